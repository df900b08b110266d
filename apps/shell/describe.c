/* SPDX-License-Identifier: MIT */
#include "apps/shell/describe.h"

#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "status.capnp.h"

enum { TYPE_DEPTH_MAX = 8, STRUCTS_SHOWN_MAX = 16, ROW_COLUMNS = 79 };

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

/* ---- looking up ---- */

static DescribedStruct_r struct_at(Descriptor_r descriptor, uint16_t index)
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
        name = DescribedStruct_get_name(struct_at(descriptor, DescribedType_get_index(type)));
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

/* " = 1" when the default is not what a person would take for granted. */
static void put_default(struct fmt_sink *sink, Descriptor_r descriptor, DescribedField_r field)
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
    DescribedField_list_r fields = DescribedStruct_get_fields(struct_at(descriptor, index));
    fmt_to(sink, "(");
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        DescribedField_r field = DescribedField_list_at(fields, i);
        struct capnp_text name = DescribedField_get_name(field);
        fmt_to(sink, "%s%.*s :%s", i > 0 ? ", " : "", TEXT_ARGS(name),
               describe_type(descriptor, field, type, sizeof(type)));
        put_default(sink, descriptor, field);
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

/* A text, indented, its lines broken anew to fit the row. */
static void put_doc(struct fmt_sink *sink, struct capnp_text doc, unsigned indent)
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

static void put_opcode_note(struct fmt_sink *sink, DescribedMethod_r method, unsigned indent)
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

/* The signature behind `used` columns: on one row if it fits, else with the results on the next. */
static void put_signature(struct fmt_sink *sink, Descriptor_r descriptor, DescribedMethod_r method,
                          size_t used)
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
        put_signature(sink, descriptor, method, name.len + 2);
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
    put_doc(sink, Descriptor_get_doc(descriptor), 0);
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
        put_doc(sink, DescribedMethod_get_doc(method), 6);
        if (DescribedMethod_get_opcode(method).len > 0) {
            put_opcode_note(sink, method, 6);
        }
    }
    put_facets(sink, descriptor, methods & describe_all_methods(descriptor));
}

/* ---- one method ---- */

/* Structs and enums that were met and are to be explained behind the fields. */
struct explained {
    unsigned struct_count;
    uint16_t structs[STRUCTS_SHOWN_MAX];
    unsigned enum_count;
    uint16_t enums[STRUCTS_SHOWN_MAX];
};

static void note(uint16_t *list, unsigned *count, uint16_t index)
{
    for (unsigned i = 0; i < *count; i++) {
        if (list[i] == index) {
            return;
        }
    }
    if (*count < STRUCTS_SHOWN_MAX) {
        list[(*count)++] = index;
    }
}

static void note_type(struct explained *met, DescribedType_r type)
{
    for (unsigned depth = 0; depth < TYPE_DEPTH_MAX; depth++) {
        unsigned kind = DescribedType_get_kind(type);
        if (kind == DESCRIBED_KIND_LIST) {
            type = DescribedType_get_element(type);
            continue;
        }
        if (kind == DESCRIBED_KIND_STRUCT) {
            note(met->structs, &met->struct_count, DescribedType_get_index(type));
        } else if (kind == DESCRIBED_KIND_ENUM) {
            note(met->enums, &met->enum_count, DescribedType_get_index(type));
        }
        return;
    }
}

static void put_field(struct fmt_sink *sink, Descriptor_r descriptor, DescribedField_r field)
{
    char type[TYPE_TEXT_BYTES];
    struct capnp_text name = DescribedField_get_name(field);
    struct capnp_text unit = DescribedField_get_unit(field);
    fmt_to(sink, "    %-18.*s %s", TEXT_ARGS(name),
           describe_type(descriptor, field, type, sizeof(type)));
    if (unit.len > 0) {
        fmt_to(sink, ", %.*s", TEXT_ARGS(unit));
    }
    put_default(sink, descriptor, field);
    if (DescribedField_get_discriminant(field) != UINT16_MAX) {
        fmt_to(sink, "  (one of these)");
    }
    fmt_to(sink, "\n");
    put_doc(sink, DescribedField_get_doc(field), 8);
}

static void put_struct(struct fmt_sink *sink, Descriptor_r descriptor, uint16_t index,
                       struct explained *met)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(struct_at(descriptor, index));
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        DescribedField_r field = DescribedField_list_at(fields, i);
        put_field(sink, descriptor, field);
        if (DescribedField_get_is_group(field)) {
            note(met->structs, &met->struct_count,
                 DescribedType_get_index(DescribedField_get_type(field)));
        } else {
            note_type(met, DescribedField_get_type(field));
        }
    }
}

static void put_fields_of(struct fmt_sink *sink, Descriptor_r descriptor, const char *title,
                          uint16_t index, struct explained *met)
{
    if (DescribedField_list_len(DescribedStruct_get_fields(struct_at(descriptor, index))) == 0) {
        fmt_to(sink, "  %s: none\n", title);
        return;
    }
    fmt_to(sink, "  %s\n", title);
    put_struct(sink, descriptor, index, met);
}

static bool any_doc(DescribedEnumerant_list_r list)
{
    for (uint32_t i = 0; i < DescribedEnumerant_list_len(list); i++) {
        if (DescribedEnumerant_get_doc(DescribedEnumerant_list_at(list, i)).len > 0) {
            return true;
        }
    }
    return false;
}

static void put_enumerant(struct fmt_sink *sink, DescribedEnumerant_r enumerant)
{
    struct capnp_text name = DescribedEnumerant_get_name(enumerant);
    struct capnp_text doc = DescribedEnumerant_get_doc(enumerant);
    fmt_to(sink, "    %.*s", TEXT_ARGS(name));
    if (doc.len > 0) {
        const char *newline = memchr(doc.ptr, '\n', doc.len);
        int len = newline != NULL ? (int)(newline - doc.ptr) : (int)doc.len;
        fmt_to(sink, ": %.*s", len, doc.ptr);
    }
    fmt_to(sink, "\n");
}

static void put_enum(struct fmt_sink *sink, Descriptor_r descriptor, uint16_t index)
{
    DescribedEnum_r described = DescribedEnum_list_at(Descriptor_get_enums(descriptor), index);
    struct capnp_text name = describe_short_name(DescribedEnum_get_name(described));
    DescribedEnumerant_list_r list = DescribedEnum_get_enumerants(described);
    bool rows = any_doc(list);
    fmt_to(sink, "  %.*s is one of%s", TEXT_ARGS(name), rows ? "\n" : "");
    for (uint32_t i = 0; i < DescribedEnumerant_list_len(list); i++) {
        if (rows) {
            put_enumerant(sink, DescribedEnumerant_list_at(list, i));
        } else {
            name = DescribedEnumerant_get_name(DescribedEnumerant_list_at(list, i));
            fmt_to(sink, "%s %.*s", i > 0 ? "," : "", TEXT_ARGS(name));
        }
    }
    fmt_to(sink, rows ? "" : "\n");
}

/* badArgument and BAD_ARGUMENT are the same status. */
static bool same_status(struct capnp_text name, const char *upper)
{
    size_t at = 0;
    for (; *upper != 0; upper++) {
        if (*upper == '_') {
            continue;
        }
        if (at >= name.len) {
            return false;
        }
        char c = name.ptr[at++];
        c = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        if (c != *upper) {
            return false;
        }
    }
    return at == name.len;
}

static void put_statuses(struct fmt_sink *sink, DescribedMethod_r method)
{
    enum { STATUS_COUNT_MAX = 64 };
    struct capnp_list list = DescribedMethod_get_statuses(method);
    if (capnp_list_len(list) > 0) {
        fmt_to(sink, "  refusals beside those every call can have\n");
    }
    for (uint32_t i = 0; i < capnp_list_len(list); i++) {
        struct capnp_text name = capnp_text_list_at(list, i);
        fmt_to(sink, "    %.*s", TEXT_ARGS(name));
        for (int32_t status = 1; status < STATUS_COUNT_MAX; status++) {
            if (same_status(name, status_name(-status))) {
                fmt_to(sink, ": %s", status_text(-status));
                break;
            }
        }
        fmt_to(sink, "\n");
    }
}

static void put_limits(struct fmt_sink *sink, DescribedMethod_r method)
{
    unsigned with_call = DescribedMethod_get_param_caps(method);
    unsigned with_answer = DescribedMethod_get_result_caps(method);
    fmt_to(sink, "  limits: parameters %u bytes, results %u bytes",
           DescribedMethod_get_max_params_bytes(method),
           DescribedMethod_get_max_results_bytes(method));
    if (with_call > 0 || with_answer > 0) {
        fmt_to(sink, ";\n    capabilities: at most %u with the call, %u with the answer", with_call,
               with_answer);
    }
    fmt_to(sink, "%s\n",
           DescribedMethod_get_may_block(method) ? "; may wait (Ctrl-C ends the waiting)" : "");
}

static void put_explained(struct fmt_sink *sink, Descriptor_r descriptor, struct explained *met)
{
    for (unsigned i = 0; i < met->struct_count; i++) { /* grows while it goes */
        struct capnp_text name =
            describe_short_name(DescribedStruct_get_name(struct_at(descriptor, met->structs[i])));
        fmt_to(sink, "  %.*s holds\n", TEXT_ARGS(name));
        put_struct(sink, descriptor, met->structs[i], met);
    }
    for (unsigned i = 0; i < met->enum_count; i++) {
        put_enum(sink, descriptor, met->enums[i]);
    }
}

void describe_method(struct fmt_sink *sink, Descriptor_r descriptor, DescribedMethod_r method,
                     const char *cap, const char *package)
{
    struct explained met = {0};
    struct capnp_text name = DescribedMethod_get_name(method);
    fmt_to(sink, "@%s.%.*s", cap, TEXT_ARGS(name));
    if (DescribedMethod_get_opcode(method).len > 0) {
        fmt_to(sink, "\n");
        put_doc(sink, DescribedMethod_get_doc(method), 2);
        put_opcode_note(sink, method, 2);
        return;
    }
    put_signature(sink, descriptor, method, strlen(cap) + name.len + 2);
    fmt_to(sink, "\n");
    put_doc(sink, DescribedMethod_get_doc(method), 2);
    put_fields_of(sink, descriptor, "parameters", DescribedMethod_get_params(method), &met);
    put_fields_of(sink, descriptor, "results", DescribedMethod_get_results(method), &met);
    put_explained(sink, descriptor, &met);
    put_limits(sink, method);
    put_statuses(sink, method);
    fmt_to(sink, "  texts from package %s\n", package);
}
