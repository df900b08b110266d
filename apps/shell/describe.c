/* SPDX-License-Identifier: MIT */
#include "apps/shell/describe.h"

#include "apps/shell/describe_parts.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

enum { TYPE_DEPTH_MAX = 8, ROW_COLUMNS = 79 };

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

/* ---- looking up ---- */

DescribedStruct_r describe_struct_at(Descriptor_r descriptor, uint16_t index)
{
    return DescribedStruct_list_at(Descriptor_get_structs(descriptor), index);
}

unsigned describe_count(uint64_t methods)
{
    unsigned count = 0;
    for (; methods != 0; methods &= methods - 1) {
        count++;
    }
    return count;
}

uint64_t describe_all_methods(Descriptor_r descriptor)
{
    uint32_t count = DescribedMethod_list_len(Descriptor_get_methods(descriptor));
    return count >= 64 ? UINT64_MAX : BIT64(count) - 1;
}

bool describe_find_method(Descriptor_r descriptor, struct span name, DescribedMethod_r *out)
{
    DescribedMethod_list_r methods = Descriptor_get_methods(descriptor);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods); i++) {
        DescribedMethod_r method = DescribedMethod_list_at(methods, i);
        struct capnp_text text = DescribedMethod_get_name(method);
        if (text.len == name.len && memcmp(text.ptr, name.ptr, name.len) == 0) {
            *out = method;
            return true;
        }
    }
    return false;
}

bool describe_facet_name(Descriptor_r descriptor, uint64_t methods, struct capnp_text *out)
{
    DescribedFacet_list_r facets = Descriptor_get_facets(descriptor);
    for (uint32_t i = 0; i < DescribedFacet_list_len(facets); i++) {
        DescribedFacet_r facet = DescribedFacet_list_at(facets, i);
        if (DescribedFacet_get_methods(facet) == methods) {
            *out = DescribedFacet_get_name(facet);
            return true;
        }
    }
    return false;
}

static bool holds(uint64_t methods, uint16_t ordinal)
{
    return ordinal < 64 && (methods >> ordinal & 1) != 0;
}

/* ---- types ---- */

static const char *const scalar_names[] = {
    [DESCRIBED_KIND_VOID] = "Void",       [DESCRIBED_KIND_BOOL] = "Bool",
    [DESCRIBED_KIND_INT8] = "Int8",       [DESCRIBED_KIND_INT16] = "Int16",
    [DESCRIBED_KIND_INT32] = "Int32",     [DESCRIBED_KIND_INT64] = "Int64",
    [DESCRIBED_KIND_UINT8] = "UInt8",     [DESCRIBED_KIND_UINT16] = "UInt16",
    [DESCRIBED_KIND_UINT32] = "UInt32",   [DESCRIBED_KIND_UINT64] = "UInt64",
    [DESCRIBED_KIND_FLOAT32] = "Float32", [DESCRIBED_KIND_FLOAT64] = "Float64",
    [DESCRIBED_KIND_TEXT] = "Text",       [DESCRIBED_KIND_DATA] = "Data",
};

struct capnp_text describe_short_name(struct capnp_text name)
{
    for (uint32_t i = name.len; i > 0; i--) {
        if (name.ptr[i - 1] == '_') {
            return (struct capnp_text){name.ptr + i, name.len - i};
        }
    }
    return name;
}

static size_t type_text(Descriptor_r descriptor, DescribedType_r type, char *buf, size_t size,
                        unsigned depth)
{
    unsigned kind = DescribedType_get_kind(type);
    if (kind < ARRAY_COUNT(scalar_names) && scalar_names[kind] != NULL) {
        return fmt_format(buf, size, "%s", scalar_names[kind]);
    }
    if (kind == DESCRIBED_KIND_LIST && depth < TYPE_DEPTH_MAX) {
        char element[TYPE_TEXT_BYTES];
        type_text(descriptor, DescribedType_get_element(type), element, sizeof(element), depth + 1);
        return fmt_format(buf, size, "List(%s)", element);
    }
    struct capnp_text name = {"?", 1};
    if (kind == DESCRIBED_KIND_STRUCT) {
        name =
            DescribedStruct_get_name(describe_struct_at(descriptor, DescribedType_get_index(type)));
    } else if (kind == DESCRIBED_KIND_ENUM) {
        name = DescribedEnum_get_name(
            DescribedEnum_list_at(Descriptor_get_enums(descriptor), DescribedType_get_index(type)));
    }
    name = describe_short_name(name);
    return fmt_format(buf, size, "%.*s", TEXT_ARGS(name));
}

const char *describe_type(Descriptor_r descriptor, DescribedField_r field, char *buf, size_t size)
{
    struct capnp_text capability = DescribedField_get_capability(field);
    if (DescribedField_get_is_group(field)) {
        fmt_format(buf, size, "group");
    } else if (capability.len > 0) {
        bool any = capability.len == 1 && capability.ptr[0] == '*';
        fmt_format(buf, size, any ? "capability" : "capability %.*s", TEXT_ARGS(capability));
    } else {
        type_text(descriptor, DescribedField_get_type(field), buf, size, 0);
    }
    return buf;
}

/* ---- fields ---- */

static unsigned field_kind(DescribedField_r field)
{
    return DescribedType_get_kind(DescribedField_get_type(field));
}

void describe_put_default(struct fmt_sink *sink, Descriptor_r descriptor, DescribedField_r field)
{
    uint64_t bits = DescribedField_get_default_bits(field);
    struct capnp_text text = DescribedField_get_default_text(field);
    unsigned kind = field_kind(field);
    if (text.len > 0) {
        fmt_to(sink, " = \"%.*s\"", TEXT_ARGS(text));
    }
    if (bits == 0) {
        return;
    }
    if (kind == DESCRIBED_KIND_BOOL) {
        fmt_to(sink, " = true");
    } else if (kind == DESCRIBED_KIND_ENUM) {
        DescribedEnum_r described =
            DescribedEnum_list_at(Descriptor_get_enums(descriptor),
                                  DescribedType_get_index(DescribedField_get_type(field)));
        struct capnp_text name = DescribedEnumerant_get_name(
            DescribedEnumerant_list_at(DescribedEnum_get_enumerants(described), (uint32_t)bits));
        fmt_to(sink, " = %.*s", TEXT_ARGS(name));
    } else if (kind >= DESCRIBED_KIND_INT8 && kind <= DESCRIBED_KIND_INT64) {
        static const unsigned widths[] = {8, 16, 32, 64};
        unsigned shift = 64 - widths[kind - DESCRIBED_KIND_INT8];
        fmt_to(sink, " = %lld", (long long)((int64_t)(bits << shift) >> shift));
    } else if (kind >= DESCRIBED_KIND_UINT8 && kind <= DESCRIBED_KIND_UINT64) {
        fmt_to(sink, " = %llu", (unsigned long long)bits);
    }
}

static void put_fields(struct fmt_sink *sink, Descriptor_r descriptor, uint16_t index)
{
    char type[TYPE_TEXT_BYTES];
    DescribedField_list_r fields =
        DescribedStruct_get_fields(describe_struct_at(descriptor, index));
    fmt_to(sink, "(");
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        DescribedField_r field = DescribedField_list_at(fields, i);
        struct capnp_text name = DescribedField_get_name(field);
        fmt_to(sink, "%s%.*s :%s", i > 0 ? ", " : "", TEXT_ARGS(name),
               describe_type(descriptor, field, type, sizeof(type)));
        describe_put_default(sink, descriptor, field);
    }
    fmt_to(sink, ")");
}

void describe_signature(struct fmt_sink *sink, Descriptor_r descriptor, DescribedMethod_r method)
{
    put_fields(sink, descriptor, DescribedMethod_get_params(method));
    fmt_to(sink, " -> ");
    put_fields(sink, descriptor, DescribedMethod_get_results(method));
}

/* ---- paragraphs ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

void describe_put_doc(struct fmt_sink *sink, struct capnp_text doc, unsigned indent)
{
    size_t column = 0;
    for (uint32_t at = 0; at < doc.len;) {
        uint32_t end = at;
        while (end < doc.len && !is_space(doc.ptr[end])) {
            end++;
        }
        if (end > at && column > 0 && column + 1 + (end - at) > ROW_COLUMNS) {
            fmt_to(sink, "\n");
            column = 0;
        }
        if (end > at) {
            fmt_to(sink, "%*s%.*s", column == 0 ? (int)indent : 1, "", (int)(end - at),
                   doc.ptr + at);
            column += (column == 0 ? indent : 1) + (end - at);
        }
        at = end < doc.len ? end + 1 : end;
    }
    if (column > 0) {
        fmt_to(sink, "\n");
    }
}

void describe_put_opcode_note(struct fmt_sink *sink, DescribedMethod_r method, unsigned indent)
{
    struct capnp_text opcode = DescribedMethod_get_opcode(method);
    if (capnp_text_is(opcode, "MAP")) {
        fmt_to(sink, "%*sA right that VirtualMemory.map asks for: it cannot be called.\n",
               (int)indent, "");
        return;
    }
    fmt_to(sink, "%*sStands for the ring operation %.*s: it cannot be called", (int)indent, "",
           TEXT_ARGS(opcode));
    if (capnp_text_is(opcode, "WAIT")) {
        fmt_to(sink, "; the command 'wait' uses it.\n");
    } else if (capnp_text_is(opcode, "SIGNAL")) {
        fmt_to(sink, "; the command 'signal' uses it.\n");
    } else {
        fmt_to(sink, ", programs use it.\n");
    }
}

/* A sink that only measures. */
struct measure {
    struct fmt_sink sink;
    size_t count;
};

static void measure_write(struct fmt_sink *sink, const char *bytes, size_t count)
{
    (void)bytes;
    ((struct measure *)sink)->count += count;
}

void describe_put_signature(struct fmt_sink *sink, Descriptor_r descriptor,
                            DescribedMethod_r method, size_t used)
{
    struct measure measure = {{measure_write}, used};
    describe_signature(&measure.sink, descriptor, method);
    put_fields(sink, descriptor, DescribedMethod_get_params(method));
    fmt_to(sink, measure.count > ROW_COLUMNS ? "\n      -> " : " -> ");
    put_fields(sink, descriptor, DescribedMethod_get_results(method));
}

static void put_method_head(struct fmt_sink *sink, Descriptor_r descriptor,
                            DescribedMethod_r method)
{
    struct capnp_text name = DescribedMethod_get_name(method);
    fmt_to(sink, "  %.*s", TEXT_ARGS(name));
    if (DescribedMethod_get_opcode(method).len == 0) {
        describe_put_signature(sink, descriptor, method, name.len + 2);
    }
    fmt_to(sink, "\n");
}

static const char *transfer_words(unsigned mode)
{
    switch (mode) {
    case TRANSFER_MODE_COPY:
        return "may be copied to programs";
    case TRANSFER_MODE_MOVE:
        return "may be moved to one program, not copied";
    default:
        return "stays in this process";
    }
}

static void put_facets(struct fmt_sink *sink, Descriptor_r descriptor, uint64_t methods)
{
    DescribedFacet_list_r facets = Descriptor_get_facets(descriptor);
    for (uint32_t i = 0; i < DescribedFacet_list_len(facets); i++) {
        DescribedFacet_r facet = DescribedFacet_list_at(facets, i);
        uint64_t its = DescribedFacet_get_methods(facet);
        if ((its & ~methods) != 0 || its == methods) {
            continue; /* not a narrower one */
        }
        struct capnp_text name = DescribedFacet_get_name(facet);
        fmt_to(sink, "  as %.*s only: ", TEXT_ARGS(name));
        const char *comma = "";
        DescribedMethod_list_r list = Descriptor_get_methods(descriptor);
        for (uint32_t m = 0; m < DescribedMethod_list_len(list); m++) {
            struct capnp_text method = DescribedMethod_get_name(DescribedMethod_list_at(list, m));
            if (holds(its, DescribedMethod_get_ordinal(DescribedMethod_list_at(list, m)))) {
                fmt_to(sink, "%s%.*s", comma, TEXT_ARGS(method));
                comma = ", ";
            }
        }
        fmt_to(sink, "\n");
    }
}

static void put_headline(struct fmt_sink *sink, Descriptor_r descriptor, uint64_t methods,
                         const char *cap, const char *package)
{
    struct capnp_text name = Descriptor_get_name(descriptor);
    struct capnp_text facet;
    uint64_t all = describe_all_methods(descriptor);
    unsigned count = describe_count(methods & all);
    fmt_to(sink, "@%s is of interface %.*s", cap, TEXT_ARGS(name));
    if ((methods & all) != all) {
        if (describe_facet_name(descriptor, methods & all, &facet)) {
            fmt_to(sink, ", held as %.*s", TEXT_ARGS(facet));
        }
        fmt_to(sink, " (%u of %u methods)", count, describe_count(all));
    }
    fmt_to(sink, "; %s.\n", transfer_words(Descriptor_get_transfer_mode(descriptor)));
    describe_put_doc(sink, Descriptor_get_doc(descriptor), 0);
    fmt_to(sink, "Texts from package %s, %s.\n\n", package,
           Descriptor_get_kernel(descriptor) ? "served by the kernel" : "served by a process");
}

void describe_interface(struct fmt_sink *sink, Descriptor_r descriptor, uint64_t methods,
                        const char *cap, const char *package)
{
    put_headline(sink, descriptor, methods, cap, package);
    DescribedMethod_list_r list = Descriptor_get_methods(descriptor);
    for (uint32_t i = 0; i < DescribedMethod_list_len(list); i++) {
        DescribedMethod_r method = DescribedMethod_list_at(list, i);
        if (!holds(methods, DescribedMethod_get_ordinal(method))) {
            continue;
        }
        put_method_head(sink, descriptor, method);
        describe_put_doc(sink, DescribedMethod_get_doc(method), 6);
        if (DescribedMethod_get_opcode(method).len > 0) {
            describe_put_opcode_note(sink, method, 6);
        }
    }
    put_facets(sink, descriptor, methods & describe_all_methods(descriptor));
}
