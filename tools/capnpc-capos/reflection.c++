// SPDX-License-Identifier: MIT
// Descriptors: schema/descriptor.capnp written by layout (the generator cannot be compiled from its
// own output), and the table of all interfaces.
#include <algorithm>
#include <functional>

#include <capnp/any.h>
#include <capnp/serialize.h>

#include "emit.h"
#include "tools/mkarchive/sha256.h"

namespace
{

const uint16_t no_discriminant = 0xffff;

// A struct under construction, fields set by bit and pointer offset.
class Struct
{
  public:
    explicit Struct(capnp::AnyStruct::Builder b) : builder(b) {}
    void bits(unsigned bit_offset, unsigned width, uint64_t value)
    {
        auto data = builder.getDataSection();
        for (unsigned i = 0; i < width; i++) {
            unsigned at = bit_offset + i;
            if (value >> i & 1) {
                data[at / 8] = (kj::byte)(data[at / 8] | 1u << at % 8);
            }
        }
    }
    void text(unsigned slot, const std::string &value)
    {
        if (!value.empty()) {
            builder.getPointerSection()[slot].setAs<capnp::Text>(value.c_str());
        }
    }
    Struct child(unsigned slot, uint16_t data_words, uint16_t pointers)
    {
        return Struct(builder.getPointerSection()[slot].initAsAnyStruct(data_words, pointers));
    }
    void list(unsigned slot, uint16_t data_words, uint16_t pointers, size_t count,
              const std::function<void(Struct, size_t)> &fill)
    {
        auto l = builder.getPointerSection()[slot].initAsListOfAnyStruct(data_words, pointers,
                                                                        (unsigned)count);
        for (size_t i = 0; i < count; i++) {
            fill(Struct(l[(unsigned)i]), i);
        }
    }
    void texts(unsigned slot, const std::vector<std::string> &values)
    {
        auto l = builder.getPointerSection()[slot].initAs<capnp::List<capnp::Text>>((unsigned)values.size());
        for (unsigned i = 0; i < values.size(); i++) {
            l.set(i, values[i].c_str());
        }
    }

  private:
    capnp::AnyStruct::Builder builder;
};

std::string trimmed(std::string s)
{
    while (!s.empty() && (s.back() == '\n' || s.back() == ' ')) {
        s.pop_back();
    }
    return s;
}

class Describer
{
  public:
    Describer(const Model &m, const Interface &i) : model(m), iface(i) {}
    kj::Array<capnp::word> run();

  private:
    const Model &model;
    const Interface &iface;
    std::vector<uint64_t> structs; // by number
    std::vector<uint64_t> enums;

    size_t number(std::vector<uint64_t> &list, uint64_t id);
    void reach_type(Type::Reader type);
    void reach(uint64_t id);
    void write_type(Struct out, Type::Reader type);
    void write_field(Struct out, uint64_t id, uint32_t index, Field::Reader f);
    void write_struct(Struct out, uint64_t id);
    void write_method(Struct out, const Method &m);
};

size_t Describer::number(std::vector<uint64_t> &list, uint64_t id)
{
    auto it = std::find(list.begin(), list.end(), id);
    if (it == list.end()) {
        list.push_back(id);
        return list.size() - 1;
    }
    return (size_t)(it - list.begin());
}

void Describer::reach_type(Type::Reader type)
{
    if (type.isList()) {
        reach_type(type.getList().getElementType());
    } else if (type.isEnum()) {
        number(enums, type.getEnum().getTypeId());
    } else if (type.isStruct()) {
        reach(type.getStruct().getTypeId());
    }
}

// Numbers a struct and all it reaches; its groups come after it.
void Describer::reach(uint64_t id)
{
    if (std::find(structs.begin(), structs.end(), id) != structs.end()) {
        return;
    }
    number(structs, id);
    for (auto f : model.node(id).getStruct().getFields()) {
        if (f.isGroup()) {
            reach(f.getGroup().getTypeId());
        } else {
            reach_type(f.getSlot().getType());
        }
    }
}

uint16_t described_kind(Type::Reader type)
{
    switch (type.which()) {
    case Type::VOID:
        return 0;
    case Type::BOOL:
        return 1;
    case Type::INT8:
        return 2;
    case Type::INT16:
        return 3;
    case Type::INT32:
        return 4;
    case Type::INT64:
        return 5;
    case Type::UINT8:
        return 6;
    case Type::UINT16:
        return 7;
    case Type::UINT32:
        return 8;
    case Type::UINT64:
        return 9;
    case Type::FLOAT32:
        return 10;
    case Type::FLOAT64:
        return 11;
    case Type::TEXT:
        return 12;
    case Type::DATA:
        return 13;
    case Type::LIST:
        return 14;
    case Type::STRUCT:
        return 15;
    default:
        return 16;
    }
}

void Describer::write_type(Struct out, Type::Reader type)
{
    out.bits(0, 16, described_kind(type));
    if (type.isStruct()) {
        out.bits(16, 16, number(structs, type.getStruct().getTypeId()));
    } else if (type.isEnum()) {
        out.bits(16, 16, number(enums, type.getEnum().getTypeId()));
    } else if (type.isList()) {
        write_type(out.child(0, 1, 1), type.getList().getElementType());
    }
}

void Describer::write_field(Struct out, uint64_t id, uint32_t index, Field::Reader f)
{
    out.text(0, f.getName().cStr());
    out.text(1, trimmed(model.member_doc(id, index)));
    out.bits(0, 16, (uint16_t)(f.getDiscriminantValue() ^ no_discriminant));
    out.bits(16, 1, model.has_annotation(f.getAnnotations(), "hex"));
    out.bits(17, 1, f.isGroup());
    out.text(4, model.text_annotation(f.getAnnotations(), "unit"));
    if (f.isGroup()) {
        out.child(2, 1, 1).bits(16, 16, number(structs, f.getGroup().getTypeId()));
        return;
    }
    auto slot = f.getSlot();
    std::string capability = model.text_annotation(f.getAnnotations(), "capability");
    const Interface *named = model.interface_named(capability);
    out.bits(32, 32, slot.getOffset());
    out.bits(64, 64, default_bits(slot.getDefaultValue()));
    out.bits(128, 64, named == nullptr ? 0 : named->id);
    write_type(out.child(2, 1, 1), slot.getType());
    out.text(3, capability);
    if (slot.getDefaultValue().isText()) {
        out.text(5, slot.getDefaultValue().getText().cStr());
    }
}

void Describer::write_struct(Struct out, uint64_t id)
{
    auto s = model.node(id).getStruct();
    auto fields = s.getFields();
    std::vector<uint32_t> order(fields.size());
    for (uint32_t i = 0; i < fields.size(); i++) {
        order[fields[i].getCodeOrder()] = i;
    }
    out.text(0, model.c_name(id));
    out.text(1, trimmed(model.doc(id)));
    out.bits(0, 16, s.getDataWordCount());
    out.bits(16, 16, s.getPointerCount());
    out.bits(32, 16, s.getDiscriminantCount());
    out.bits(48, 1, s.getIsGroup());
    out.bits(64, 32, s.getDiscriminantOffset());
    out.list(2, 3, 6, fields.size(),
             [&](Struct f, size_t i) { write_field(f, id, order[i], fields[order[i]]); });
}

void Describer::write_method(Struct out, const Method &m)
{
    out.text(0, m.name);
    out.text(1, trimmed(m.doc));
    out.bits(0, 16, m.ordinal);
    out.bits(16, 16, number(structs, m.params_id));
    out.bits(32, 16, number(structs, m.results_id));
    out.bits(48, 16, m.param_caps);
    out.bits(64, 16, m.result_caps);
    out.bits(80, 1, m.may_block);
    out.bits(96, 32, m.max_params);
    out.bits(128, 32, m.max_results);
    out.text(2, m.opcode);
    out.texts(3, m.statuses);
}

kj::Array<capnp::word> Describer::run()
{
    for (const auto &m : iface.methods) {
        reach(m.params_id);
        reach(m.results_id);
    }
    std::vector<const Interface *> facets;
    for (const auto &entry : model.interfaces) {
        if (entry.second.base_id == iface.id && !entry.second.base.empty()) {
            facets.push_back(&entry.second);
        }
    }
    std::sort(facets.begin(), facets.end(),
              [](const Interface *a, const Interface *b) { return a->name < b->name; });
    capnp::MallocMessageBuilder message(1u << 16, capnp::AllocationStrategy::FIXED_SIZE);
    Struct root(message.getRoot<capnp::AnyPointer>().initAsAnyStruct(3, 7));
    root.bits(0, 32, 1);
    root.bits(64, 64, iface.id);
    root.text(0, iface.name);
    root.text(1, trimmed(iface.doc));
    root.text(2, iface.file + ".capnp");
    root.bits(32, 16, iface.transfer);
    root.bits(48, 16, iface.scope);
    root.bits(128, 1, iface.kernel);
    root.list(3, 3, 4, iface.methods.size(), [&](Struct s, size_t i) { write_method(s, iface.methods[i]); });
    root.list(4, 2, 2, facets.size(), [&](Struct s, size_t i) {
        s.bits(0, 64, facets[i]->id);
        s.bits(64, 64, facets[i]->facet);
        s.text(0, facets[i]->name);
        s.text(1, trimmed(facets[i]->doc));
    });
    root.list(5, 2, 3, structs.size(), [&](Struct s, size_t i) { write_struct(s, structs[i]); });
    root.list(6, 0, 3, enums.size(), [&](Struct s, size_t i) {
        auto enumerants = model.node(enums[i]).getEnum().getEnumerants();
        s.text(0, model.c_name(enums[i]));
        s.text(1, trimmed(model.doc(enums[i])));
        s.list(2, 0, 2, enumerants.size(), [&](Struct e, size_t k) {
            e.text(0, enumerants[(unsigned)k].getName().cStr());
            e.text(1, trimmed(model.member_doc(enums[i], (uint32_t)k)));
        });
    });
    auto segments = message.getSegmentsForOutput();
    return kj::heapArray(segments[0]);
}

// The bytes of an interface's edition, for a C table.
std::string edition(const Model &model, const Interface &base)
{
    auto words = Describer(model, base).run();
    std::string bytes;
    for (uint8_t byte : sha256(words.begin(), words.size() * sizeof(capnp::word))) {
        bytes += format("%s%u", bytes.empty() ? "" : ", ", byte);
    }
    return bytes;
}

std::vector<const Interface *> by_name(const Model &model)
{
    std::vector<const Interface *> out;
    for (const auto &entry : model.interfaces) {
        out.push_back(&entry.second);
    }
    std::sort(out.begin(), out.end(),
              [](const Interface *a, const Interface *b) { return a->name < b->name; });
    return out;
}

// Linkable descriptors of the platform's interfaces: those under schema/.
void descriptor_arrays(const Model &model, const std::string &dir)
{
    Out h, c;
    h.line("/* SPDX-License-Identifier: MIT */\n/* Generated by capnpc-capos. Do not edit. */\n"
           "#ifndef CAPOS_GEN_DESCRIPTORS_H\n#define CAPOS_GEN_DESCRIPTORS_H\n\n#include <stddef.h>\n"
           "#include <stdint.h>\n\n/* Descriptors (schema/descriptor.capnp) of the platform's interfaces, by id. */\n"
           "struct capos_descriptor {\n    uint64_t id;\n    const uint64_t *message;\n    uint32_t bytes;\n};\n"
           "extern const struct capos_descriptor capos_descriptors[];\nextern const size_t capos_descriptor_count;\n\n#endif");
    c.line("/* SPDX-License-Identifier: MIT */\n/* Generated by capnpc-capos. Do not edit. */\n#include \"descriptors.h\"\n");
    std::string table;
    size_t count = 0;
    for (const auto &entry : model.interfaces) {
        const Interface &i = entry.second;
        const SchemaFile *file = model.file_of(i.id);
        bool platform = file->path.rfind("schema/", 0) == 0 || file->path.find('/') == std::string::npos;
        if (!i.base.empty() || !platform) {
            continue;
        }
        auto words = Describer(model, i).run();
        c.line("static const uint64_t %s_descriptor[%zu] = {", i.name.c_str(), words.size());
        auto raw = (const uint64_t *)words.begin();
        for (size_t w = 0; w < words.size(); w += 4) {
            std::string row = "   ";
            for (size_t k = w; k < words.size() && k < w + 4; k++) {
                row += format(" 0x%016llx,", (unsigned long long)raw[k]);
            }
            c.line("%s", row.c_str());
        }
        c.line("};\n");
        table += format("    {UINT64_C(0x%016llx), %s_descriptor, sizeof(%s_descriptor)},\n",
                        (unsigned long long)i.id, i.name.c_str(), i.name.c_str());
        count++;
    }
    c.line("const struct capos_descriptor capos_descriptors[] = {\n%s};\nconst size_t capos_descriptor_count = %zu;",
           table.c_str(), count);
    h.save(dir + "/descriptors.h");
    c.save(dir + "/descriptors.c");
}

} // namespace

void emit_descriptors(const Model &model, const SchemaFile &file, const std::string &dir)
{
    for (uint64_t id : file.interfaces) {
        const Interface &i = model.interfaces.at(id);
        if (!i.base.empty()) {
            continue;
        }
        auto words = Describer(model, i).run();
        Out out;
        out.text.assign((const char *)words.begin(), words.size() * 8);
        make_directories(dir + "/desc");
        out.save(format("%s/desc/%016llx.desc", dir.c_str(), (unsigned long long)i.id));
    }
}

void emit_interface_table(const Model &model, const std::string &dir)
{
    Out h, c;
    h.line("/* SPDX-License-Identifier: MIT */\n/* Generated by capnpc-capos. Do not edit. */\n"
           "#ifndef CAPOS_GEN_INTERFACES_H\n#define CAPOS_GEN_INTERFACES_H\n\n#include <stdbool.h>\n#include <stddef.h>\n"
           "#include <stdint.h>\n\n/* Every interface and facet known when the system was built, by name. */\n"
           "struct capos_interface_info {\n    const char *name;\n    uint64_t id;\n"
           "    uint64_t base_id; /* of a facet: the interface it narrows; else = id */\n"
           "    uint64_t methods; /* facet bitmap, ordinals that stand for opcodes too */\n"
           "    uint8_t transfer; /* enum TransferMode */\n    uint8_t scope;    /* enum SessionScope */\n"
           "    bool kernel;\n    uint8_t edition[32]; /* SHA-256 of its descriptor; of a facet, of its interface's */\n};\n\nextern const struct capos_interface_info capos_interfaces[];\n"
           "extern const size_t capos_interface_count;\n\n#endif");
    c.line("/* SPDX-License-Identifier: MIT */\n/* Generated by capnpc-capos. Do not edit. */\n"
           "#include \"interfaces.h\"\n\nconst struct capos_interface_info capos_interfaces[] = {");
    for (const Interface *i : by_name(model)) {
        bool kernel = i->base.empty() ? i->kernel : model.interfaces.at(i->base_id).kernel;
        c.line("    {\"%s\", UINT64_C(0x%016llx), UINT64_C(0x%016llx), UINT64_C(0x%llx), %u, %u, %s,\n     {%s}},",
               i->name.c_str(), (unsigned long long)i->id, (unsigned long long)i->base_id,
               (unsigned long long)i->facet, i->transfer, i->scope, kernel ? "true" : "false",
               edition(model, model.interfaces.at(i->base_id)).c_str());
    }
    c.line("};\nconst size_t capos_interface_count = %zu;", model.interfaces.size());
    h.save(dir + "/interfaces.h");
    c.save(dir + "/interfaces.c");
    descriptor_arrays(model, dir);
}
