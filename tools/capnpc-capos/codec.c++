// SPDX-License-Identifier: MIT
// NAME.capnp.h and NAME.capnp.c.
#include <algorithm>

#include <capnp/serialize.h>

#include "emit.h"

std::string scalar_type(Type::Reader type)
{
    switch (type.which()) {
    case Type::BOOL:
        return "bool";
    case Type::INT8:
        return "int8_t";
    case Type::INT16:
        return "int16_t";
    case Type::INT32:
        return "int32_t";
    case Type::INT64:
        return "int64_t";
    case Type::UINT8:
        return "uint8_t";
    case Type::UINT16:
    case Type::ENUM:
        return "uint16_t";
    case Type::UINT32:
        return "uint32_t";
    case Type::UINT64:
        return "uint64_t";
    case Type::FLOAT32:
        return "float";
    case Type::FLOAT64:
        return "double";
    default:
        return "void";
    }
}

std::string scalar_suffix(Type::Reader type)
{
    switch (type.which()) {
    case Type::BOOL:
        return "bool";
    case Type::INT8:
        return "i8";
    case Type::INT16:
        return "i16";
    case Type::INT32:
        return "i32";
    case Type::INT64:
        return "i64";
    case Type::UINT8:
        return "u8";
    case Type::UINT16:
    case Type::ENUM:
        return "u16";
    case Type::UINT32:
        return "u32";
    case Type::UINT64:
        return "u64";
    case Type::FLOAT32:
        return "f32";
    case Type::FLOAT64:
        return "f64";
    default:
        return "";
    }
}

bool is_scalar(Type::Reader type)
{
    return !scalar_suffix(type).empty();
}

std::string kind_name(Type::Reader type)
{
    switch (type.which()) {
    case Type::VOID:
        return "CAPNP_KIND_VOID";
    case Type::BOOL:
        return "CAPNP_KIND_BOOL";
    case Type::INT8:
    case Type::UINT8:
        return "CAPNP_KIND_BITS8";
    case Type::INT16:
    case Type::UINT16:
    case Type::ENUM:
        return "CAPNP_KIND_BITS16";
    case Type::INT32:
    case Type::UINT32:
    case Type::FLOAT32:
        return "CAPNP_KIND_BITS32";
    case Type::INT64:
    case Type::UINT64:
    case Type::FLOAT64:
        return "CAPNP_KIND_BITS64";
    case Type::TEXT:
        return "CAPNP_KIND_TEXT";
    case Type::DATA:
        return "CAPNP_KIND_DATA";
    case Type::LIST:
        return "CAPNP_KIND_LIST";
    default:
        return "CAPNP_KIND_STRUCT";
    }
}

std::string reader_type(const Model &model, Type::Reader type)
{
    switch (type.which()) {
    case Type::ENUM:
        return "enum " + model.c_name(type.getEnum().getTypeId());
    case Type::TEXT:
        return "struct capnp_text";
    case Type::DATA:
        return "struct capnp_data";
    case Type::STRUCT:
        return model.c_name(type.getStruct().getTypeId()) + "_r";
    case Type::LIST:
        if (type.getList().getElementType().isStruct()) {
            return model.c_name(type.getList().getElementType().getStruct().getTypeId()) + "_list_r";
        }
        return "struct capnp_list";
    default:
        return scalar_type(type);
    }
}

namespace
{

const uint16_t no_discriminant = 0xffff;

// A constant or default as the words of a bare message.
std::vector<uint64_t> message_of(Value::Reader value)
{
    size_t words = 64;
    capnp::AnyPointer::Reader pointer;
    switch (value.which()) {
    case Value::STRUCT:
        pointer = value.getStruct();
        break;
    case Value::LIST:
        pointer = value.getList();
        break;
    case Value::ANY_POINTER:
        pointer = value.getAnyPointer();
        break;
    case Value::TEXT:
        words += value.getText().size() / 8;
        break;
    case Value::DATA:
        words += value.getData().size() / 8;
        break;
    default:
        return {};
    }
    words += pointer.targetSize().wordCount;
    capnp::MallocMessageBuilder message((unsigned)words, capnp::AllocationStrategy::FIXED_SIZE);
    if (value.isText()) {
        message.getRoot<capnp::AnyPointer>().setAs<capnp::Text>(value.getText());
    } else if (value.isData()) {
        message.getRoot<capnp::AnyPointer>().setAs<capnp::Data>(value.getData());
    } else {
        message.getRoot<capnp::AnyPointer>().set(pointer);
    }
    auto segments = message.getSegmentsForOutput();
    std::vector<uint64_t> out(segments[0].size());
    memcpy(out.data(), segments[0].begin(), out.size() * 8);
    return out;
}

bool is_null_pointer(Value::Reader value)
{
    switch (value.which()) {
    case Value::STRUCT:
        return value.getStruct().isNull();
    case Value::LIST:
        return value.getList().isNull();
    case Value::TEXT:
        return !value.hasText();
    case Value::DATA:
        return !value.hasData();
    default:
        return true;
    }
}

// The XOR mask of a scalar's default, as a C expression of the field's unsigned type.
std::string mask_of(Value::Reader v)
{
    switch (v.which()) {
    case Value::BOOL:
        return v.getBool() ? "true" : "false";
    case Value::INT8:
        return format("UINT8_C(%u)", (uint8_t)v.getInt8());
    case Value::INT16:
        return format("UINT16_C(%u)", (uint16_t)v.getInt16());
    case Value::INT32:
        return format("UINT32_C(%u)", (uint32_t)v.getInt32());
    case Value::INT64:
        return format("UINT64_C(%llu)", (unsigned long long)v.getInt64());
    case Value::UINT8:
        return format("UINT8_C(%u)", v.getUint8());
    case Value::UINT16:
        return format("UINT16_C(%u)", v.getUint16());
    case Value::UINT32:
        return format("UINT32_C(%u)", v.getUint32());
    case Value::UINT64:
        return format("UINT64_C(%llu)", (unsigned long long)v.getUint64());
    case Value::ENUM:
        return format("UINT16_C(%u)", v.getEnum());
    case Value::FLOAT32: {
        float f = v.getFloat32();
        uint32_t bits;
        memcpy(&bits, &f, 4);
        return format("UINT32_C(%u)", bits);
    }
    case Value::FLOAT64: {
        double f = v.getFloat64();
        uint64_t bits;
        memcpy(&bits, &f, 8);
        return format("UINT64_C(%llu)", (unsigned long long)bits);
    }
    default:
        return "0";
    }
}

// A C expression of a scalar constant.
std::string literal_of(Value::Reader v)
{
    switch (v.which()) {
    case Value::INT8:
        return format("INT8_C(%d)", v.getInt8());
    case Value::INT16:
        return format("INT16_C(%d)", v.getInt16());
    case Value::INT32:
        return v.getInt32() == INT32_MIN ? "INT32_MIN" : format("INT32_C(%d)", v.getInt32());
    case Value::INT64:
        return v.getInt64() == INT64_MIN ? "INT64_MIN"
                                         : format("INT64_C(%lld)", (long long)v.getInt64());
    case Value::FLOAT32:
        return format("%.9gF", v.getFloat32());
    case Value::FLOAT64:
        return format("%.17g", v.getFloat64());
    default:
        return mask_of(v);
    }
}

class Codec
{
  public:
    Codec(const Model &m, const SchemaFile &f) : model(m), file(f) {}
    void run(const std::string &dir);

  private:
    const Model &model;
    const SchemaFile &file;
    Out h, c;
    unsigned numbered = 0;

    struct PointerField {
        uint32_t slot;
        std::string when;
        std::string type;
    };

    void header_start();
    void typedefs(uint64_t id);
    void enumeration(uint64_t id);
    void constant(uint64_t id);
    void words(const std::string &name, const std::vector<uint64_t> &message);
    std::string type_entry(Type::Reader type);
    void collect(uint64_t id, const std::string &outer, std::vector<PointerField> &out);
    void type_table(uint64_t id);
    void struct_code(uint64_t id);
    void view_code(uint64_t id);
    void field_code(uint64_t id, Field::Reader f, uint32_t index);
    void scalar_field(const std::string &n, const std::string &f, const std::string &view,
                      const std::string &mark, Field::Reader field);
    void pointer_field(const std::string &n, const std::string &f, const std::string &view,
                       const std::string &mark, Field::Reader field);
    void list_init(const std::string &n, const std::string &f, const std::string &mark,
                   uint32_t slot, Type::Reader type);
    void method_aliases(const Interface &iface);
    std::string fallback_of(const std::string &n, const std::string &f, Field::Reader field);
};

void Codec::words(const std::string &name, const std::vector<uint64_t> &message)
{
    h.line("extern const uint64_t %s[%zu];", name.c_str(), message.size());
    c.line("const uint64_t %s[%zu] = {", name.c_str(), message.size());
    for (uint64_t w : message) {
        c.line("    UINT64_C(0x%016llx),", (unsigned long long)w);
    }
    c.line("};\n");
}

void Codec::header_start()
{
    std::string guard = "CAPOS_GEN_" + upper(file.stem) + "_CAPNP_H";
    std::replace(guard.begin(), guard.end(), '-', '_');
    for (Out *o : {&h, &c}) {
        o->line("/* SPDX-License-Identifier: MIT */");
        o->line("/* Generated by capnpc-capos from %s. Do not edit. */", file.path.c_str());
    }
    h.line("#ifndef %s\n#define %s\n", guard.c_str(), guard.c_str());
    h.line("#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n");
    h.line("#include \"abi/types.h\"\n#include \"lib/capnp/capnp.h\"\n");
    for (const auto &use : file.uses) {
        h.line("#include \"%s.capnp.h\"", use.c_str());
    }
    c.line("#include \"%s.capnp.h\"\n", file.stem.c_str());
}

void Codec::typedefs(uint64_t id)
{
    const char *n = model.c_name(id).c_str();
    auto s = model.node(id).getStruct();
    if (!s.getIsGroup()) {
        h.comment(model.doc(id));
    }
    h.line("typedef struct {\n    struct capnp_struct s;\n} %s_r;", n);
    h.line("typedef struct {\n    struct capnp_struct_b s;\n} %s_b;", n);
    if (!s.getIsGroup()) {
        h.line("typedef struct {\n    struct capnp_list l;\n} %s_list_r;", n);
        h.line("typedef struct {\n    struct capnp_list_b l;\n} %s_list_b;", n);
    }
    h.line("%s", "");
    for (auto f : s.getFields()) {
        if (f.isGroup()) {
            typedefs(f.getGroup().getTypeId());
        }
    }
}

void Codec::enumeration(uint64_t id)
{
    const std::string &n = model.c_name(id);
    auto enumerants = model.node(id).getEnum().getEnumerants();
    h.comment(model.doc(id));
    h.line("enum %s {", n.c_str());
    c.line("const char *%s_name(enum %s v)\n{\n    switch ((unsigned)v) {", n.c_str(), n.c_str());
    for (uint32_t i = 0; i < enumerants.size(); i++) {
        std::string e = enumerants[i].getName().cStr();
        std::string doc = model.member_doc(id, i);
        h.line("    %s_%s = %u,", upper(n).c_str(), upper(e).c_str(), i);
        c.line("    case %u:\n        return \"%s\";", i, e.c_str());
    }
    h.line("};\nenum {\n    %s_COUNT = %u,\n};", upper(n).c_str(), enumerants.size());
    h.line("/* The enumerant as the schema spells it; NULL when the schema does not know it. */");
    h.line("const char *%s_name(enum %s v);\n", n.c_str(), n.c_str());
    c.line("    default:\n        return NULL;\n    }\n}\n");
    if (model.has_annotation(model.node(id).getAnnotations(), "wireStatus") || n == "Status") {
        emit_statuses(model, id, h, c);
    }
}

void Codec::constant(uint64_t id)
{
    auto k = model.node(id).getConst();
    const std::string &n = model.c_name(id);
    std::string name = upper(n);
    h.comment(model.doc(id));
    auto type = k.getType();
    if (type.isEnum()) {
        h.line("#define %s ((enum %s)%u)\n", name.c_str(),
               model.c_name(type.getEnum().getTypeId()).c_str(), k.getValue().getEnum());
    } else if (is_scalar(type)) {
        h.line("#define %s %s\n", name.c_str(), literal_of(k.getValue()).c_str());
    } else if (type.isText()) {
        h.line("#define %s %s\n", name.c_str(), quoted(k.getValue().getText().cStr()).c_str());
    } else if (type.isStruct()) {
        const char *s = model.c_name(type.getStruct().getTypeId()).c_str();
        words(n + "_words", message_of(k.getValue()));
        h.line("static inline %s_r %s_const(void)\n{", s, n.c_str());
        h.line("    %s_r r = {capnp_trusted_root(%s_words)};\n    return r;\n}\n", s, n.c_str());
    } else if (type.isList() || type.isData()) {
        std::string result = reader_type(model, type);
        bool list_of_structs = result.rfind("struct ", 0) != 0;
        words(n + "_words", message_of(k.getValue()));
        h.line("static inline %s %s_const(void)\n{", result.c_str(), n.c_str());
        h.line("    struct capnp_struct none = {NULL, 0, 0};");
        std::string get = format("capnp_get_%s(none, 0, %s_words)", type.isData() ? "data" : "list", n.c_str());
        h.line(list_of_structs ? "    %s r = {%s};\n    return r;\n}\n" : "    %s r = %s;\n    return r;\n}\n",
               result.c_str(), get.c_str());
    }
}

// A struct capnp_type initialiser; emits the tables of list elements it needs.
std::string Codec::type_entry(Type::Reader type)
{
    std::string kind = kind_name(type);
    if (type.isList()) {
        std::string element = type_entry(type.getList().getElementType());
        unsigned n = numbered++;
        c.line("static const struct capnp_type element_%u = %s;", n, element.c_str());
        return format("{%s, &element_%u}", kind.c_str(), n);
    }
    if (type.isStruct()) {
        return format("{%s, &%s_type}", kind.c_str(),
                      model.c_name(type.getStruct().getTypeId()).c_str());
    }
    return "{" + kind + ", NULL}";
}

void Codec::collect(uint64_t id, const std::string &outer, std::vector<PointerField> &out)
{
    auto s = model.node(id).getStruct();
    for (auto f : s.getFields()) {
        std::string when = outer;
        bool pointer = f.isSlot() && !is_scalar(f.getSlot().getType()) && !f.getSlot().getType().isVoid();
        if (f.getDiscriminantValue() != no_discriminant && (pointer || f.isGroup())) {
            unsigned n = numbered++;
            c.line("static const struct capnp_condition when_%u = {%u, %u, %s};", n,
                   s.getDiscriminantOffset() * 2, f.getDiscriminantValue(), outer.c_str());
            when = format("&when_%u", n);
        }
        if (f.isGroup()) {
            collect(f.getGroup().getTypeId(), when, out);
        } else if (pointer) {
            out.push_back({f.getSlot().getOffset(), when, type_entry(f.getSlot().getType())});
        }
    }
}

void Codec::type_table(uint64_t id)
{
    const std::string &n = model.c_name(id);
    auto s = model.node(id).getStruct();
    std::vector<PointerField> fields;
    collect(id, "NULL", fields);
    std::stable_sort(fields.begin(), fields.end(),
                     [](const PointerField &a, const PointerField &b) { return a.slot < b.slot; });
    if (!fields.empty()) {
        c.line("static const struct capnp_pointer_field %s_fields[%zu] = {", n.c_str(), fields.size());
        for (const auto &f : fields) {
            c.line("    {%u, %s, %s},", f.slot, f.when.c_str(), f.type.c_str());
        }
        c.line("};");
    }
    c.line("const struct capnp_struct_type %s_type = {%u, %u, %zu, %s};\n", n.c_str(),
           s.getDataWordCount(), s.getPointerCount(), fields.size(),
           fields.empty() ? "NULL" : (n + "_fields").c_str());
}

// Getter and setters of a field of bits. `view` is the struct to read, `mark` sets the discriminant.
void Codec::scalar_field(const std::string &n, const std::string &f, const std::string &view,
                         const std::string &mark, Field::Reader field)
{
    auto slot = field.getSlot();
    auto type = slot.getType();
    std::string suffix = scalar_suffix(type);
    std::string ctype = reader_type(model, type);
    std::string mask = mask_of(slot.getDefaultValue());
    uint32_t at = slot.getOffset();
    std::string bits = suffix;
    bits[0] = bits == "bool" ? 'b' : 'u';
    std::string from = format("capnp_get_%s(%s, %u, %s)", bits.c_str(), view.c_str(), at, mask.c_str());
    std::string value = "v";
    if (type.isFloat32() || type.isFloat64()) {
        const char *name = type.isFloat32() ? "float" : "double";
        from = format("capnp_%s_of_bits(%s)", name, from.c_str());
        value = format("capnp_bits_of_%s(v)", name);
        h.line("#if defined(CAPNP_HAS_FLOAT)");
    } else if (!type.isBool()) {
        from = format("(%s)%s", ctype.c_str(), from.c_str());
        value = format("(uint%s_t)v", bits.substr(1).c_str());
    }
    h.line("static inline %s %s_get_%s(%s_r r)\n{\n    return %s;\n}", ctype.c_str(), n.c_str(),
           f.c_str(), n.c_str(), from.c_str());
    h.line("static inline void %s_set_%s(%s_b b, %s v)\n{\n%s    capnp_set_%s(b.s, %u, %s, %s);\n}",
           n.c_str(), f.c_str(), n.c_str(), ctype.c_str(), mark.c_str(), bits.c_str(), at,
           value.c_str(), mask.c_str());
    if (type.isFloat32() || type.isFloat64()) {
        h.line("#endif");
    }
}

std::string Codec::fallback_of(const std::string &n, const std::string &f, Field::Reader field)
{
    auto slot = field.getSlot();
    if (!slot.getHadExplicitDefault() || is_null_pointer(slot.getDefaultValue())) {
        return "NULL";
    }
    std::string name = n + "_" + f + "_default";
    words(name, message_of(slot.getDefaultValue()));
    return name;
}

void Codec::list_init(const std::string &n, const std::string &f, const std::string &mark,
                      uint32_t slot, Type::Reader type)
{
    auto element = type.getList().getElementType();
    if (element.isStruct()) {
        uint64_t id = element.getStruct().getTypeId();
        const char *e = model.c_name(id).c_str();
        auto s = model.node(id).getStruct();
        h.line("static inline %s_list_b %s_init_%s(%s_b b, uint32_t count)\n{", e, n.c_str(), f.c_str(),
               n.c_str());
        h.line("%s    %s_list_b l = {capnp_init_struct_list(b.s, %u, %u, %u, count)};\n    return l;\n}",
               mark.c_str(), e, slot, s.getDataWordCount(), s.getPointerCount());
        return;
    }
    h.line("static inline struct capnp_list_b %s_init_%s(%s_b b, uint32_t count)\n{", n.c_str(), f.c_str(),
           n.c_str());
    h.line("%s    return capnp_init_list(b.s, %u, %s, count);\n}", mark.c_str(), slot,
           kind_name(element).c_str());
}

void Codec::pointer_field(const std::string &n, const std::string &f, const std::string &view,
                          const std::string &mark, Field::Reader field)
{
    auto type = field.getSlot().getType();
    uint32_t slot = field.getSlot().getOffset();
    std::string fallback = fallback_of(n, f, field);
    std::string ctype = reader_type(model, type);
    const char *what = type.isText() ? "text" : type.isData() ? "data" : type.isList() ? "list" : "struct";
    std::string get = format("capnp_get_%s(%s, %u, %s)", what, view.c_str(), slot, fallback.c_str());
    h.line("static inline bool %s_has_%s(%s_r r)\n{\n    return capnp_has(%s, %u);\n}", n.c_str(),
           f.c_str(), n.c_str(), view.c_str(), slot);
    h.line("static inline %s %s_get_%s(%s_r r)\n{", ctype.c_str(), n.c_str(), f.c_str(), n.c_str());
    if (ctype.rfind("struct ", 0) == 0) {
        h.line("    return %s;\n}", get.c_str());
    } else {
        h.line("    %s v = {%s};\n    return v;\n}", ctype.c_str(), get.c_str());
    }
    if (type.isText() || type.isData()) {
        h.line("static inline void %s_set_%s(%s_b b, const %s *ptr, size_t len)\n{\n%s"
               "    capnp_set_%s(b.s, %u, ptr, len);\n}",
               n.c_str(), f.c_str(), n.c_str(), type.isText() ? "char" : "void", mark.c_str(), what, slot);
        if (type.isData()) {
            h.line("static inline uint8_t *%s_init_%s(%s_b b, size_t len)\n{\n%s"
                   "    return capnp_init_data(b.s, %u, len);\n}",
                   n.c_str(), f.c_str(), n.c_str(), mark.c_str(), slot);
        }
    } else if (type.isList()) {
        list_init(n, f, mark, slot, type);
    } else {
        uint64_t id = type.getStruct().getTypeId();
        const char *s = model.c_name(id).c_str();
        auto sizes = model.node(id).getStruct();
        h.line("static inline %s_b %s_init_%s(%s_b b)\n{\n%s"
               "    %s_b v = {capnp_init_struct(b.s, %u, %u, %u)};\n    return v;\n}",
               s, n.c_str(), f.c_str(), n.c_str(), mark.c_str(), s, slot, sizes.getDataWordCount(),
               sizes.getPointerCount());
    }
}

void Codec::field_code(uint64_t id, Field::Reader field, uint32_t index)
{
    const std::string &n = model.c_name(id);
    auto s = model.node(id).getStruct();
    std::string f = snake(field.getName().cStr());
    std::string view = "r.s";
    std::string mark;
    if (field.getDiscriminantValue() != no_discriminant) {
        view = format("capnp_active(r.s, %u, %u)", s.getDiscriminantOffset(), field.getDiscriminantValue());
        mark = format("    capnp_set_u16(b.s, %u, %u, 0);\n", s.getDiscriminantOffset(),
                      field.getDiscriminantValue());
    }
    h.comment(model.member_doc(id, index));
    if (field.isGroup()) {
        const char *g = model.c_name(field.getGroup().getTypeId()).c_str();
        h.line("static inline %s_r %s_get_%s(%s_r r)\n{\n    %s_r v = {%s};\n    return v;\n}", g, n.c_str(),
               f.c_str(), n.c_str(), g, view.c_str());
        h.line("static inline %s_b %s_init_%s(%s_b b)\n{\n%s    %s_b v = {b.s};\n    return v;\n}", g,
               n.c_str(), f.c_str(), n.c_str(), mark.c_str(), g);
    } else if (field.getSlot().getType().isVoid()) {
        h.line("static inline void %s_set_%s(%s_b b)\n{\n%s    (void)b;\n}", n.c_str(), f.c_str(), n.c_str(),
               mark.c_str());
    } else if (is_scalar(field.getSlot().getType())) {
        scalar_field(n, f, view, mark, field);
    } else {
        pointer_field(n, f, view, mark, field);
    }
}

// What structs and groups have in common: the union and the fields.
void Codec::view_code(uint64_t id)
{
    const std::string &n = model.c_name(id);
    auto s = model.node(id).getStruct();
    if (s.getDiscriminantCount() > 0) {
        h.line("enum %s_which {", n.c_str());
        for (auto f : s.getFields()) {
            if (f.getDiscriminantValue() != no_discriminant) {
                h.line("    %s_WHICH_%s = %u,", upper(n).c_str(), upper(f.getName().cStr()).c_str(),
                       f.getDiscriminantValue());
            }
        }
        h.line("};");
        h.line("/* The active member; may be one that this schema does not know. */");
        h.line("static inline enum %s_which %s_which(%s_r r)\n{\n"
               "    return (enum %s_which)capnp_get_u16(r.s, %u, 0);\n}",
               n.c_str(), n.c_str(), n.c_str(), n.c_str(), s.getDiscriminantOffset());
    }
    auto fields = s.getFields();
    for (uint32_t i = 0; i < fields.size(); i++) {
        if (fields[i].isGroup()) {
            view_code(fields[i].getGroup().getTypeId());
        }
    }
    for (uint32_t i = 0; i < fields.size(); i++) {
        field_code(id, fields[i], i);
    }
    h.line("%s", "");
}

void Codec::struct_code(uint64_t id)
{
    const char *n = model.c_name(id).c_str();
    auto s = model.node(id).getStruct();
    h.line("/* ---- %s ---- */\n", n);
    h.line("static inline enum capnp_status %s_read(const void *msg, size_t len_bytes, %s_r *out)\n{\n"
           "    return capnp_read%s(msg, len_bytes, &%s_type, &out->s);\n}",
           n, n, s.getPointerCount() == 0 ? "_flat" : "", n);
    h.line("static inline %s_b %s_init(struct capnp_builder *builder)\n{\n"
           "    %s_b b = {capnp_init_root(builder, %u, %u)};\n    return b;\n}",
           n, n, n, s.getDataWordCount(), s.getPointerCount());
    h.line("static inline uint32_t %s_list_len(%s_list_r l)\n{\n    return l.l.count;\n}", n, n);
    h.line("static inline %s_r %s_list_at(%s_list_r l, uint32_t i)\n{\n"
           "    %s_r r = {capnp_list_struct_at(l.l, i)};\n    return r;\n}",
           n, n, n, n);
    h.line("static inline uint32_t %s_list_b_len(%s_list_b l)\n{\n    return l.l.count;\n}", n, n);
    h.line("static inline %s_b %s_list_b_at(%s_list_b l, uint32_t i)\n{\n"
           "    %s_b b = {capnp_list_struct_b_at(l.l, i)};\n    return b;\n}",
           n, n, n, n);
    h.line("/* Element i of a list of lists of these. */");
    h.line("static inline %s_list_r %s_list_list_at(struct capnp_list l, uint32_t i)\n{\n"
           "    %s_list_r r = {capnp_list_list_at(l, i)};\n    return r;\n}",
           n, n, n);
    h.line("static inline %s_list_b %s_list_list_init(struct capnp_list_b l, uint32_t i, uint32_t count)\n{\n"
           "    %s_list_b b = {capnp_list_struct_list_init(l, i, %u, %u, count)};\n    return b;\n}\n",
           n, n, n, s.getDataWordCount(), s.getPointerCount());
    view_code(id);
}

// A method whose parameters or results are a named struct: the method's names stand for it.
void Codec::method_aliases(const Interface &iface)
{
    for (const auto &m : iface.methods) {
        for (int results = 0; results < 2; results++) {
            uint64_t id = results ? m.results_id : m.params_id;
            const std::string &alias = results ? m.results : m.params;
            if (model.node(id).getScopeId() == 0) {
                continue;
            }
            const char *n = model.c_name(id).c_str();
            const char *a = alias.c_str();
            h.line("typedef %s_r %s_r;\ntypedef %s_b %s_b;", n, a, n, a);
            h.line("static inline enum capnp_status %s_read(const void *msg, size_t len_bytes, %s_r *out)\n"
                   "{\n    return %s_read(msg, len_bytes, out);\n}",
                   a, a, n);
            h.line("static inline %s_b %s_init(struct capnp_builder *builder)\n{\n    return %s_init(builder);\n}\n",
                   a, a, n);
        }
    }
}

void Codec::run(const std::string &dir)
{
    header_start();
    h.line("%s", "");
    for (uint64_t id : file.enums) {
        enumeration(id);
    }
    for (uint64_t id : file.structs) {
        typedefs(id);
    }
    for (uint64_t id : file.structs) {
        h.line("extern const struct capnp_struct_type %s_type;", model.c_name(id).c_str());
    }
    h.line("%s", "");
    for (uint64_t id : file.structs) {
        type_table(id);
        struct_code(id);
    }
    for (uint64_t id : file.consts) {
        constant(id);
    }
    for (uint64_t id : file.interfaces) {
        method_aliases(model.interfaces.at(id));
    }
    emit_interface_constants(model, file, h);
    h.line("#endif");
    h.save(dir + "/" + file.stem + ".capnp.h");
    c.save(dir + "/" + file.stem + ".capnp.c");
}

} // namespace

void emit_codec(const Model &model, const SchemaFile &file, const std::string &dir)
{
    Codec codec(model, file);
    codec.run(dir);
}
