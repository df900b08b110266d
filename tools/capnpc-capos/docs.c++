// SPDX-License-Identifier: MIT
// Reference pages: one per interface with its facets, one of statuses, one of transfer modes.
#include <algorithm>

#include "emit.h"

namespace
{

const char *const modes[] = {"copy", "move", "none"};
const char *const mode_texts[] = {"may be copied and moved", "may be moved, not copied", "never leaves its holder"};
const char *const scopes[] = {"same session", "cross session", "service regrant only"};

std::string mode_of(const Interface &i)
{
    return i.transfer < 3 ? modes[i.transfer] : "?";
}

std::string scope_of(const Interface &i)
{
    return i.scope < 3 ? scopes[i.scope] : "?";
}

// One line, safe inside a table cell.
std::string cell(const std::string &text)
{
    std::string out;
    for (char c : text) {
        if (c == '\n') {
            out += ' ';
        } else if (c == '|') {
            out += "\\|";
        } else {
            out += c;
        }
    }
    while (!out.empty() && out.back() == ' ') {
        out.pop_back();
    }
    return out;
}

class Page
{
  public:
    Page(const Model &m, const Interface &i) : model(m), iface(i) {}
    std::string run();

  private:
    const Model &model;
    const Interface &iface;
    Out out;
    std::vector<uint64_t> types; // named types met, in order

    std::string type_text(Type::Reader type);
    void remember(uint64_t id);
    std::string signature(uint64_t struct_id);
    void method(const Method &m);
    void named_type(uint64_t id);
    void facets();
};

void Page::remember(uint64_t id)
{
    if (std::find(types.begin(), types.end(), id) == types.end()) {
        types.push_back(id);
    }
}

std::string Page::type_text(Type::Reader type)
{
    switch (type.which()) {
    case Type::LIST:
        return "List(" + type_text(type.getList().getElementType()) + ")";
    case Type::STRUCT:
        remember(type.getStruct().getTypeId());
        return model.c_name(type.getStruct().getTypeId());
    case Type::ENUM:
        remember(type.getEnum().getTypeId());
        return model.c_name(type.getEnum().getTypeId());
    case Type::TEXT:
        return "Text";
    case Type::DATA:
        return "Data";
    case Type::VOID:
        return "Void";
    case Type::BOOL:
        return "Bool";
    default: {
        std::string s = scalar_suffix(type);
        return (s[0] == 'i' ? "Int" : s[0] == 'f' ? "Float" : "UInt") + s.substr(1);
    }
    }
}

std::string Page::signature(uint64_t struct_id)
{
    std::string text;
    for (auto f : model.node(struct_id).getStruct().getFields()) {
        text += text.empty() ? "" : ", ";
        text += std::string(f.getName().cStr()) + " :";
        std::string capability = model.text_annotation(f.getAnnotations(), "capability");
        if (f.isGroup()) {
            text += "group";
            remember(f.getGroup().getTypeId());
        } else if (!capability.empty()) {
            text += "capability(" + capability + ")";
        } else {
            text += type_text(f.getSlot().getType());
        }
    }
    return "(" + text + ")";
}

void Page::method(const Method &m)
{
    out.line("### %s @%u\n", m.name.c_str(), m.ordinal);
    out.line("`%s %s -> %s`\n", m.name.c_str(), signature(m.params_id).c_str(), signature(m.results_id).c_str());
    if (!m.doc.empty()) {
        out.line("%s", m.doc.c_str());
    }
    if (!m.opcode.empty()) {
        out.line("Stands for the ring opcode %s; a CALL to it is refused.\n", m.opcode.c_str());
        return;
    }
    out.line("Limits: parameters %u bytes, results %u bytes, %u capabilities in, %u out.%s", m.max_params,
             m.max_results, m.param_caps, m.result_caps, m.may_block ? " May wait." : "");
    if (!m.statuses.empty()) {
        std::string list;
        for (const auto &s : m.statuses) {
            list += (list.empty() ? "`" : ", `") + upper(s) + "`";
        }
        out.line("Statuses beside the common ones: %s.", list.c_str());
    }
    out.line("%s", "");
}

void Page::named_type(uint64_t id)
{
    auto n = model.node(id);
    out.line("### %s\n", model.c_name(id).c_str());
    if (!model.doc(id).empty()) {
        out.line("%s", model.doc(id).c_str());
    }
    if (n.isEnum()) {
        out.line("| value | name | meaning |\n|---|---|---|");
        auto list = n.getEnum().getEnumerants();
        for (uint32_t i = 0; i < list.size(); i++) {
            out.line("| %u | `%s` | %s |", i, list[i].getName().cStr(), cell(model.member_doc(id, i)).c_str());
        }
    } else {
        out.line("| field | type | union | meaning |\n|---|---|---|---|");
        auto fields = n.getStruct().getFields();
        for (uint32_t i = 0; i < fields.size(); i++) {
            auto f = fields[i];
            std::string type;
            if (f.isGroup()) {
                remember(f.getGroup().getTypeId());
                type = "group " + model.c_name(f.getGroup().getTypeId());
            } else {
                type = type_text(f.getSlot().getType());
            }
            bool member = f.getDiscriminantValue() != 0xffff;
            out.line("| `%s` | %s | %s | %s |", f.getName().cStr(), type.c_str(), member ? "member" : "",
                     cell(model.member_doc(id, i)).c_str());
        }
    }
    out.line("%s", "");
}

void Page::facets()
{
    bool any = false;
    for (const auto &entry : model.interfaces) {
        const Interface &f = entry.second;
        if (f.base.empty() || f.base_id != iface.id) {
            continue;
        }
        if (!any) {
            out.line("## Facets\n\n| facet | id | methods |\n|---|---|---|");
            any = true;
        }
        std::string names;
        for (const auto &m : iface.methods) {
            if (f.facet >> m.ordinal & 1) {
                names += (names.empty() ? "" : ", ") + m.name;
            }
        }
        out.line("| %s | `0x%016llx` | %s |", f.name.c_str(), (unsigned long long)f.id, names.c_str());
    }
    if (any) {
        out.line("%s", "");
    }
}

std::string Page::run()
{
    out.line("# %s\n", iface.name.c_str());
    if (!iface.doc.empty()) {
        out.line("%s", iface.doc.c_str());
    }
    out.line("Interface `0x%016llx`, served by %s. Transfer: %s (%s); session scope: %s.\n",
             (unsigned long long)iface.id, iface.kernel ? "the kernel" : "a process", mode_of(iface).c_str(),
             iface.transfer < 3 ? mode_texts[iface.transfer] : "?", scope_of(iface).c_str());
    out.line("## Methods\n");
    for (const auto &m : iface.methods) {
        method(m);
    }
    facets();
    for (size_t i = 0; i < types.size(); i++) {
        if (i == 0) {
            out.line("## Types\n");
        }
        named_type(types[i]);
    }
    return out.text;
}

void matrix(const Model &model, const std::vector<const Interface *> &list, const std::string &dir)
{
    Out out;
    out.line("# Transfer matrix\n\nMay a holder give a capability away, and how far. Generated from the schema.\n");
    out.line("| interface | served by | transfer | session scope | facet of |\n|---|---|---|---|---|");
    for (const Interface *i : list) {
        bool kernel = i->base.empty() ? i->kernel : model.interfaces.at(i->base_id).kernel;
        out.line("| %s | %s | %s | %s | %s |", i->name.c_str(), kernel ? "kernel" : "process",
                 mode_of(*i).c_str(), scope_of(*i).c_str(), i->base.c_str());
    }
    out.save(dir + "/transfer.md");
}

void statuses(const Model &model, const std::string &dir)
{
    for (const auto &file : model.files) {
        for (uint64_t id : file.enums) {
            if (model.c_name(id) != "Status") {
                continue;
            }
            Out out;
            out.line("# Statuses\n\nThe closed list of transport refusals. Generated from the schema.\n");
            out.line("| status | number | meaning |\n|---|---|---|");
            auto list = model.node(id).getEnum().getEnumerants();
            for (uint32_t i = 0; i < list.size(); i++) {
                out.line("| `%s` | %d | %s |", upper(list[i].getName().cStr()).c_str(), -(int)i,
                         cell(model.member_doc(id, i)).c_str());
            }
            out.save(dir + "/statuses.md");
        }
    }
}

// What an annotation may stand on.
std::string targets(capnp::schema::Node::Annotation::Reader a)
{
    std::string out;
    out += a.getTargetsInterface() ? "interface " : "";
    out += a.getTargetsMethod() ? "method " : "";
    out += a.getTargetsField() ? "field " : "";
    out += a.getTargetsParam() ? "parameter " : "";
    out += a.getTargetsEnum() ? "enum " : "";
    out += a.getTargetsStruct() ? "struct " : "";
    return out;
}

void annotations(const Model &model, const std::string &dir)
{
    Out out;
    out.line("# Annotations\n\nWhat a schema can say of its interfaces. Generated from `schema/annotations.capnp`.\n");
    out.line("| annotation | on | meaning |\n|---|---|---|");
    for (const auto &file : model.files) {
        for (auto nested : model.node(file.id).getNestedNodes()) {
            auto n = model.node(nested.getId());
            if (n.isAnnotation()) {
                out.line("| `$%s` | %s | %s |", nested.getName().cStr(), targets(n.getAnnotation()).c_str(),
                         cell(model.doc(nested.getId())).c_str());
            }
        }
    }
    out.save(dir + "/annotations.md");
}

} // namespace

void emit_docs(const Model &model, const std::string &dir)
{
    std::vector<const Interface *> list;
    for (const auto &entry : model.interfaces) {
        list.push_back(&entry.second);
    }
    std::sort(list.begin(), list.end(), [](const Interface *a, const Interface *b) { return a->name < b->name; });
    Out index;
    index.line("# Interfaces\n\nGenerated from the schema. See also [transfer](transfer.md), [statuses](statuses.md)\nand [annotations](annotations.md).\n");
    index.line("| interface | id | served by | what it is |\n|---|---|---|---|");
    for (const Interface *i : list) {
        if (!i->base.empty()) {
            continue;
        }
        Out page;
        page.text = Page(model, *i).run();
        page.save(dir + "/" + i->name + ".md");
        index.line("| [%s](%s.md) | `0x%016llx` | %s | %s |", i->name.c_str(), i->name.c_str(),
                   (unsigned long long)i->id, i->kernel ? "kernel" : "process", cell(i->doc).c_str());
    }
    index.save(dir + "/index.md");
    matrix(model, list, dir);
    statuses(model, dir);
    annotations(model, dir);
}
