// SPDX-License-Identifier: MIT
// The golden ABI: one line per fact, sorted, so that any change is a reviewed difference; and the
// class of a change. The facts of the schema are ours, those of abi/*.h come from tools/abi-facts.
//
//   kind name attribute=value attribute=value ...
//
// Classes, mildest first: binary-compatible (programs built before go on running), source-compatible
// (they must be built again), breaking (their source must change, or a number has been reused).
#include <cstdio>
#include <fstream>
#include <sstream>

#include <capnp/any.h>
#include <capnp/message.h>

#include "emit.h"

namespace
{

const char *const modes[] = {"copy", "move", "none"};
const char *const scopes[] = {"sameSession", "crossSession", "regrantOnly"};

enum Class { same, binary, source, breaking };
const char *const class_names[] = {"same", "binary-compatible", "source-compatible", "breaking"};

using Attributes = std::vector<std::pair<std::string, std::string>>;
using Facts = std::map<std::string, Attributes>; // "kind name" -> attributes

std::string type_text(const Model &model, Type::Reader type)
{
    if (type.isList()) {
        return "List(" + type_text(model, type.getList().getElementType()) + ")";
    }
    if (type.isStruct()) {
        return model.c_name(type.getStruct().getTypeId());
    }
    if (type.isEnum()) {
        return model.c_name(type.getEnum().getTypeId());
    }
    if (type.isText() || type.isData() || type.isVoid()) {
        return type.isText() ? "Text" : type.isData() ? "Data" : "Void";
    }
    return scalar_suffix(type);
}

// A struct or list in its canonical form: equal values are equal text, also after their types have grown.
std::string canonical_text(capnp::AnyPointer::Reader value)
{
    if (value.isNull()) {
        return "none";
    }
    capnp::MallocMessageBuilder message;
    auto holder = message.initRoot<capnp::AnyPointer>().initAsAnyStruct(0, 1);
    holder.getPointerSection()[0].set(value);
    auto words = holder.asReader().canonicalize();
    std::string text = "0x";
    for (auto byte : words.asBytes()) {
        text += format("%02x", byte);
    }
    return text;
}

std::string default_text(Value::Reader v)
{
    if (v.isStruct() || v.isList()) {
        return canonical_text(v.isStruct() ? v.getStruct() : v.getList());
    }
    std::string text = kj::str(v).cStr(); // "(uint16 = 5)"
    size_t equals = text.find(" = ");
    if (equals != std::string::npos && text.back() == ')') {
        text = text.substr(equals + 3, text.size() - equals - 4);
    }
    for (auto &c : text) {
        c = c == ' ' || c == '\n' || c == '=' ? '_' : c;
    }
    return text;
}

void struct_facts(const Model &model, uint64_t id, Facts &out)
{
    auto s = model.node(id).getStruct();
    std::string name = model.c_name(id);
    Attributes &a = out["struct " + name];
    a.push_back({"words", std::to_string(s.getDataWordCount())});
    a.push_back({"pointers", std::to_string(s.getPointerCount())});
    if (s.getDiscriminantCount() > 0) {
        a.push_back({"union_at", std::to_string(s.getDiscriminantOffset() * 16)});
    }
    for (auto f : s.getFields()) {
        Attributes &fa = out["field " + name + "." + f.getName().cStr()];
        if (f.getDiscriminantValue() != 0xffff) {
            fa.push_back({"member", std::to_string(f.getDiscriminantValue())});
        }
        if (f.isGroup()) {
            fa.push_back({"group", model.c_name(f.getGroup().getTypeId())});
            struct_facts(model, f.getGroup().getTypeId(), out);
            continue;
        }
        auto slot = f.getSlot();
        fa.push_back({"type", type_text(model, slot.getType())});
        fa.push_back({"offset", std::to_string(slot.getOffset())});
        if (slot.getHadExplicitDefault()) {
            fa.push_back({"default", default_text(slot.getDefaultValue())});
        }
        std::string capability = model.text_annotation(f.getAnnotations(), "capability");
        if (!capability.empty()) {
            fa.push_back({"capability", capability});
        }
    }
}

void method_facts(const Model &model, const Interface &i, Facts &out)
{
    for (const auto &m : i.methods) {
        Attributes &a = out["method " + i.name + "." + m.name];
        a.push_back({"ordinal", std::to_string(m.ordinal)});
        a.push_back({"params", model.c_name(m.params_id)});
        a.push_back({"results", model.c_name(m.results_id)});
        a.push_back({"max_params", std::to_string(m.max_params)});
        a.push_back({"max_results", std::to_string(m.max_results)});
        a.push_back({"param_caps", std::to_string(m.param_caps)});
        a.push_back({"result_caps", std::to_string(m.result_caps)});
        if (!m.opcode.empty()) {
            a.push_back({"opcode", m.opcode});
        }
        if (m.may_block) {
            a.push_back({"may_block", "yes"});
        }
        std::string statuses;
        for (const auto &s : m.statuses) {
            statuses += (statuses.empty() ? "" : ",") + s;
        }
        if (!statuses.empty()) {
            a.push_back({"statuses", statuses});
        }
    }
}

void interface_facts(const Model &model, const Interface &i, Facts &out)
{
    std::string mode = i.transfer < 3 ? modes[i.transfer] : "?";
    std::string scope = i.scope < 3 ? scopes[i.scope] : "?";
    Attributes &a = out[(i.base.empty() ? "interface " : "facet ") + i.name];
    a.push_back({"id", format("0x%016llx", (unsigned long long)i.id)});
    if (!i.base.empty()) {
        a.push_back({"base", i.base});
        a.push_back({"methods", format("0x%llx", (unsigned long long)i.facet)});
    }
    a.push_back({"transfer", mode});
    a.push_back({"scope", scope});
    if (i.kernel) {
        a.push_back({"kernel", std::to_string(i.ktype)});
    }
    method_facts(model, i, out);
}

Facts facts_of(const Model &model)
{
    Facts out;
    for (const auto &file : model.files) {
        for (uint64_t id : file.structs) {
            struct_facts(model, id, out);
        }
        for (uint64_t id : file.enums) {
            auto enumerants = model.node(id).getEnum().getEnumerants();
            for (uint32_t i = 0; i < enumerants.size(); i++) {
                out["enumerant " + model.c_name(id) + "." + enumerants[i].getName().cStr()] = {
                    {"value", std::to_string(i)}};
            }
        }
        for (uint64_t id : file.consts) {
            out["const " + model.c_name(id)] = {
                {"value", default_text(model.node(id).getConst().getValue())}};
        }
        for (uint64_t id : file.interfaces) {
            interface_facts(model, model.interfaces.at(id), out);
        }
    }
    return out;
}

std::string line_of(const std::string &key, const Attributes &a)
{
    std::string out = key;
    for (const auto &pair : a) {
        out += " " + pair.first + "=" + pair.second;
    }
    return out;
}

Facts parse(const std::string &path)
{
    Facts out;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line[0] == '#') {
            continue;
        }
        std::istringstream words(line);
        std::string kind, name;
        words >> kind >> name;
        Attributes &a = out[kind + " " + name];
        for (std::string word; words >> word;) {
            size_t eq = word.find('=');
            a.push_back({word.substr(0, eq), eq == std::string::npos ? "" : word.substr(eq + 1)});
        }
    }
    return out;
}

// What a changed, added (before empty) or removed (after empty) attribute means.
Class class_of(const std::string &name, const std::string &before, const std::string &after)
{
    uint64_t was = strtoull(before.c_str(), nullptr, 0);
    uint64_t is = strtoull(after.c_str(), nullptr, 0);
    if (name == "words" || name == "pointers") {
        return is > was ? binary : breaking;
    }
    if (name == "methods") {
        return (was & ~is) == 0 ? binary : breaking; // a facet that grows
    }
    if (name == "max_params" || name == "param_caps") {
        return is > was ? binary : breaking;
    }
    if (name == "max_results" || name == "result_caps") {
        return is > was ? source : binary; // callers reserve room
    }
    if (name == "statuses" || name == "may_block") {
        return binary;
    }
    if (name == "offset" || name == "value" || name == "member" || name == "union_at" || name == "id" ||
        name == "kernel" || name == "bytes") {
        return source;
    }
    return breaking;
}

std::string attribute(const Attributes &a, const std::string &name)
{
    for (const auto &pair : a) {
        if (pair.first == name) {
            return pair.second;
        }
    }
    return "";
}

// What a changed attribute means where the fact's name says more: a count of what there is may grow.
Class class_of_fact(const std::string &key, const std::string &name, const std::string &before,
                    const std::string &after)
{
    bool counts = key.size() > 6 && (key.compare(key.size() - 6, 6, "_COUNT") == 0 ||
                                     key.compare(key.size() - 4, 4, "_ALL") == 0);
    bool grows = strtoull(after.c_str(), nullptr, 0) > strtoull(before.c_str(), nullptr, 0);
    return counts && name == "value" && grows ? binary : class_of(name, before, after);
}

Class compare_attributes(const std::string &key, const Attributes &before, const Attributes &after)
{
    Class worst = same;
    std::set<std::string> names;
    for (const auto *list : {&before, &after}) {
        for (const auto &pair : *list) {
            names.insert(pair.first);
        }
    }
    for (const auto &name : names) {
        std::string was = attribute(before, name);
        std::string is = attribute(after, name);
        if (was == is) {
            continue;
        }
        Class c = class_of_fact(key, name, was, is);
        worst = std::max(worst, c);
        printf("~ %s: %s %s -> %s   [%s]\n", key.c_str(), name.c_str(), was.empty() ? "none" : was.c_str(),
               is.empty() ? "none" : is.c_str(), class_names[c]);
    }
    return worst;
}

// A new method under an ordinal that another method had: never allowed, whatever else changed.
bool reuses_ordinal(const std::string &key, const Attributes &after, const Facts &golden, const Facts &now)
{
    if (key.rfind("method ", 0) != 0) {
        return false;
    }
    std::string prefix = key.substr(0, key.find('.') + 1);
    for (auto it = golden.lower_bound(prefix); it != golden.end() && it->first.rfind(prefix, 0) == 0; ++it) {
        if (attribute(it->second, "ordinal") == attribute(after, "ordinal") && now.count(it->first) == 0) {
            return true;
        }
    }
    return false;
}

} // namespace

namespace
{

void abi_accept(const Facts &facts, const std::string &golden_path)
{
    Out out;
    out.text = "# SPDX-License-Identifier: MIT\n"
               "# The ABI of schema/ and of abi/*.h, as accepted. Written by `make abi-accept`; any difference is\n"
               "# told and classed by `make check`.\n";
    for (const auto &fact : facts) {
        out.text += line_of(fact.first, fact.second) + "\n";
    }
    out.save(golden_path);
}

} // namespace

int abi_check(const Model &model, const std::string &layout_path, const std::string &golden_path, bool accept)
{
    Facts now = facts_of(model);
    for (const auto &fact : parse(layout_path)) {
        now.insert(fact);
    }
    if (accept) {
        abi_accept(now, golden_path);
        return 0;
    }
    Facts golden = parse(golden_path);
    Class worst = same;
    for (const auto &fact : golden) {
        auto it = now.find(fact.first);
        if (it == now.end()) {
            worst = breaking;
            printf("- %s   [breaking]\n", line_of(fact.first, fact.second).c_str());
        } else {
            worst = std::max(worst, compare_attributes(fact.first, fact.second, it->second));
        }
    }
    for (const auto &fact : now) {
        if (golden.count(fact.first) == 0) {
            bool reused = reuses_ordinal(fact.first, fact.second, golden, now);
            worst = std::max(worst, reused ? breaking : binary);
            printf("+ %s   [%s]\n", line_of(fact.first, fact.second).c_str(),
                   reused ? "breaking: its ordinal belonged to another method" : "binary-compatible");
        }
    }
    if (worst == same) {
        return 0;
    }
    printf("The ABI differs from %s: %s. If that is meant, say so in CHANGES.md and run `make abi-accept`.\n",
           golden_path.c_str(), class_names[worst]);
    return 1;
}
