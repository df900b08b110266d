/* SPDX-License-Identifier: MIT */
#include "apps/shell/describe.h"
#include "apps/shell/describe_parts.h"
#include "lib/base/string.h"
#include "status.capnp.h"

enum { TYPE_DEPTH_MAX = 8, STRUCTS_SHOWN_MAX = 16 };

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

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
    describe_put_default(sink, descriptor, field);
    if (DescribedField_get_discriminant(field) != UINT16_MAX) {
        fmt_to(sink, "  (one of these)");
    }
    fmt_to(sink, "\n");
    describe_put_doc(sink, DescribedField_get_doc(field), 8);
}

static void put_struct(struct fmt_sink *sink, Descriptor_r descriptor, uint16_t index,
                       struct explained *met)
{
    DescribedField_list_r fields =
        DescribedStruct_get_fields(describe_struct_at(descriptor, index));
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
    if (DescribedField_list_len(
            DescribedStruct_get_fields(describe_struct_at(descriptor, index))) == 0) {
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
        struct capnp_text name = describe_short_name(
            DescribedStruct_get_name(describe_struct_at(descriptor, met->structs[i])));
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
        describe_put_doc(sink, DescribedMethod_get_doc(method), 2);
        describe_put_opcode_note(sink, method, 2);
        return;
    }
    describe_put_signature(sink, descriptor, method, strlen(cap) + name.len + 2);
    fmt_to(sink, "\n");
    describe_put_doc(sink, DescribedMethod_get_doc(method), 2);
    put_fields_of(sink, descriptor, "parameters", DescribedMethod_get_params(method), &met);
    put_fields_of(sink, descriptor, "results", DescribedMethod_get_results(method), &met);
    put_explained(sink, descriptor, &met);
    put_limits(sink, method);
    put_statuses(sink, method);
    fmt_to(sink, "  texts from package %s\n", package);
}
