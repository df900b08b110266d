/* SPDX-License-Identifier: MIT */
#include "apps/shell/show.h"

#include "apps/shell/show_parts.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

static void show_field_value(struct show *show, struct dyn_struct s, DescribedField_r field,
                             struct capnp_struct from, unsigned depth);
static void show_fields(struct show *show, struct dyn_struct s, struct capnp_struct from,
                        unsigned depth);

/* ---- scalars ---- */

void show_quoted(struct fmt_sink *sink, const char *bytes, size_t count)
{
    fmt_to(sink, "\"");
    for (size_t i = 0; i < count; i++) {
        char c = bytes[i];
        if (c == '"' || c == '\\') {
            fmt_to(sink, "\\%c", c);
        } else if (c == '\n') {
            fmt_to(sink, "\\n");
        } else if (c == '\t') {
            fmt_to(sink, "\\t");
        } else if ((uint8_t)c < 0x20 || c == 0x7f) {
            fmt_to(sink, "\\x%02x", (uint8_t)c);
        } else {
            sink->write(sink, &c, 1);
        }
    }
    fmt_to(sink, "\"");
}

static bool is_plain_text(struct capnp_data data)
{
    for (uint32_t i = 0; i < data.len; i++) {
        if (data.ptr[i] < 0x20 || data.ptr[i] > 0x7e) {
            return false;
        }
    }
    return data.len > 0;
}

static void show_data(struct fmt_sink *sink, struct capnp_data data)
{
    uint32_t shown = data.len < SHOW_DATA_BYTES ? data.len : SHOW_DATA_BYTES;
    fmt_to(sink, "0x");
    for (uint32_t i = 0; i < shown; i++) {
        fmt_to(sink, "%02x", data.ptr[i]);
    }
    if (shown < data.len) {
        fmt_to(sink, "... (%u bytes)", data.len);
    } else if (is_plain_text(data)) {
        fmt_to(sink, " ");
        show_quoted(sink, (const char *)data.ptr, data.len);
    }
}

/* No more than six places: enough to recognise a value. */
static void show_float(struct fmt_sink *sink, double value)
{
    if (!(value > -9e15 && value < 9e15)) {
        fmt_to(sink, "0x%016llx (as bits)", (unsigned long long)capnp_bits_of_double(value));
        return;
    }
    bool negative = value < 0;
    uint64_t millionths = (uint64_t)((negative ? -value : value) * 1e6 + 0.5);
    fmt_to(sink, "%s%llu.%06llu", negative ? "-" : "", (unsigned long long)(millionths / 1000000),
           (unsigned long long)(millionths % 1000000));
}

/* "5000000000 ns (5.000 s)" */
static void show_unit(struct fmt_sink *sink, struct capnp_text unit, uint64_t value)
{
    if (unit.len == 0) {
        return;
    }
    fmt_to(sink, " %.*s", TEXT_ARGS(unit));
    if (!capnp_text_is(unit, "ns") || value < 1000000) {
        return;
    }
    if (value < 1000000000) {
        fmt_to(sink, " (%llu.%03llu ms)", (unsigned long long)(value / 1000000),
               (unsigned long long)(value / 1000 % 1000));
    } else {
        fmt_to(sink, " (%llu.%03llu s)", (unsigned long long)(value / 1000000000),
               (unsigned long long)(value / 1000000 % 1000));
    }
}

static bool is_signed(unsigned kind)
{
    return kind >= DESCRIBED_KIND_INT8 && kind <= DESCRIBED_KIND_INT64;
}

/* A number in a field called `interface` has a name that says more. */
static void show_interface_name(struct show *show, const struct dyn_value *value,
                                DescribedField_r field)
{
    const char *name = NULL;
    if (value->kind == DESCRIBED_KIND_UINT64 &&
        capnp_text_is(DescribedField_get_name(field), "interface")) {
        name = show->caps->interface(value->bits);
    }
    if (name != NULL) {
        fmt_to(show->sink, " (%s)", name);
    }
}

static void show_integer(struct show *show, const struct dyn_value *value,
                         const DescribedField_r *field)
{
    struct fmt_sink *sink = show->sink;
    if (field != NULL && DescribedField_get_hex(*field)) {
        fmt_to(sink, "0x%llx", (unsigned long long)value->bits);
        show_interface_name(show, value, *field);
    } else if (is_signed(value->kind)) {
        fmt_to(sink, "%lld", (long long)value->bits);
    } else {
        fmt_to(sink, "%llu", (unsigned long long)value->bits);
    }
    if (field != NULL) {
        show_unit(sink, DescribedField_get_unit(*field), value->bits);
    }
}

static void show_enum(struct fmt_sink *sink, const struct dyn_value *value, Descriptor_r descriptor)
{
    DescribedEnumerant_list_r list =
        DescribedEnum_get_enumerants(dyn_enum_of(descriptor, value->type));
    if (value->bits < DescribedEnumerant_list_len(list)) {
        struct capnp_text name =
            DescribedEnumerant_get_name(DescribedEnumerant_list_at(list, (uint32_t)value->bits));
        fmt_to(sink, "%.*s", TEXT_ARGS(name));
    } else {
        fmt_to(sink, "%llu (a value this description does not know)",
               (unsigned long long)value->bits);
    }
}

static void show_capability(struct show *show, const struct dyn_value *value)
{
    const char *name = show->caps->name(show->caps, value->bits);
    if (name != NULL) {
        fmt_to(show->sink, "%s", name);
    } else {
        fmt_to(show->sink, "no capability");
    }
}

/* ---- lists and structs ---- */

static void indent(struct show *show, unsigned depth)
{
    fmt_to(show->sink, "%*s", (int)(2 * depth), "");
}

static void show_elements(struct show *show, const struct dyn_value *value, Descriptor_r descriptor,
                          const DescribedField_r *field, unsigned depth, bool rows)
{
    for (uint32_t i = 0; i < capnp_list_len(value->list); i++) {
        struct dyn_value element;
        if (rows) {
            fmt_to(show->sink, "\n");
            indent(show, depth + 1);
        } else if (i > 0) {
            fmt_to(show->sink, ", ");
        }
        if (dyn_element(value, i, &element) == CAPNP_OK) {
            show_value(show, &element, descriptor, field, depth + 1);
        } else {
            fmt_to(show->sink, "(malformed)");
        }
    }
}

static void show_list(struct show *show, const struct dyn_value *value, Descriptor_r descriptor,
                      const DescribedField_r *field, unsigned depth)
{
    uint32_t count = capnp_list_len(value->list);
    bool rows =
        DescribedType_get_kind(DescribedType_get_element(value->type)) == DESCRIBED_KIND_STRUCT;
    if (count == 0) {
        fmt_to(show->sink, "[] (none)");
        return;
    }
    fmt_to(show->sink, rows ? "%u of them" : "[", count);
    if (rows && depth == 0 && show_table(show, value, descriptor)) {
        return;
    }
    show_elements(show, value, descriptor, field, depth, rows);
    fmt_to(show->sink, rows ? "" : "]");
}

/* A struct that does not fit a line: a line for each field, the inner ones indented. */
static void show_tree(struct show *show, struct dyn_struct s, struct capnp_struct from,
                      unsigned depth)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(s.st);
    bool first = true;
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        DescribedField_r field = DescribedField_list_at(fields, i);
        if (!dyn_active(s, field, from)) {
            continue;
        }
        struct capnp_text name = DescribedField_get_name(field);
        fmt_to(show->sink, first ? "- " : "\n");
        if (!first) {
            indent(show, depth + 1);
        }
        fmt_to(show->sink, "%.*s: ", TEXT_ARGS(name));
        show_field_value(show, s, field, from, depth + 1);
        first = false;
    }
}

static void show_struct(struct show *show, struct dyn_struct s, struct capnp_struct from,
                        unsigned depth)
{
    struct counting_sink count = {{show_count_columns}, 0};
    struct show counting = {&count.sink, show->caps, true};
    if (show->sink->write != show_count_columns) {
        show_fields(&counting, s, from, depth);
    }
    if (count.columns > LINE_COLUMNS_MAX && !show->one_line) {
        show_tree(show, s, from, depth);
        return;
    }
    fmt_to(show->sink, "{");
    show_fields(show, s, from, depth);
    fmt_to(show->sink, "}");
}

void show_value(struct show *show, const struct dyn_value *value, Descriptor_r descriptor,
                const DescribedField_r *field, unsigned depth)
{
    struct fmt_sink *sink = show->sink;
    if (depth > SHOW_DEPTH_MAX) {
        fmt_to(sink, "...");
        return;
    }
    switch (value->kind) {
    case DESCRIBED_KIND_VOID:
        fmt_to(sink, "void");
        break;
    case DESCRIBED_KIND_BOOL:
        fmt_to(sink, value->bits != 0 ? "true" : "false");
        break;
    case DESCRIBED_KIND_FLOAT32:
        show_float(sink, (double)capnp_float_of_bits((uint32_t)value->bits));
        break;
    case DESCRIBED_KIND_FLOAT64:
        show_float(sink, capnp_double_of_bits(value->bits));
        break;
    case DESCRIBED_KIND_TEXT:
        show_quoted(sink, value->text.ptr, value->text.len);
        break;
    case DESCRIBED_KIND_DATA:
        show_data(sink, value->data);
        break;
    case DESCRIBED_KIND_LIST:
        show_list(show, value, descriptor, field, depth);
        break;
    case DESCRIBED_KIND_STRUCT:
        show_struct(show, dyn_struct_of(descriptor, value->type), value->value, depth);
        break;
    case DESCRIBED_KIND_ENUM:
        show_enum(sink, value, descriptor);
        break;
    default:
        show_integer(show, value, field);
        break;
    }
}

static void show_field_value(struct show *show, struct dyn_struct s, DescribedField_r field,
                             struct capnp_struct from, unsigned depth)
{
    struct dyn_value value;
    if (DescribedField_get_is_group(field)) {
        show_struct(show, dyn_group_of(s.descriptor, field), from, depth + 1);
    } else if (dyn_get(s, field, from, &value) != CAPNP_OK) {
        fmt_to(show->sink, "(malformed)");
    } else if (DescribedField_get_capability(field).len > 0 && depth == 0) {
        show_capability(show, &value);
    } else {
        show_value(show, &value, s.descriptor, &field, depth);
    }
}

/* "a: 1, b: "x"": inside braces. */
static void show_fields(struct show *show, struct dyn_struct s, struct capnp_struct from,
                        unsigned depth)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(s.st);
    const char *comma = "";
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        DescribedField_r field = DescribedField_list_at(fields, i);
        if (!dyn_active(s, field, from)) {
            continue;
        }
        struct capnp_text name = DescribedField_get_name(field);
        fmt_to(show->sink, "%s%.*s: ", comma, TEXT_ARGS(name));
        show_field_value(show, s, field, from, depth + 1);
        comma = ", ";
    }
}

/* A text with newlines, as lines. */
static void show_block(struct fmt_sink *sink, struct capnp_text text)
{
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        fmt_to(sink, "\n  | %.*s", (int)(stop - at), at);
        at = newline != NULL ? newline + 1 : end;
    }
}

static bool is_block(struct dyn_struct s, DescribedField_r field, struct capnp_struct from,
                     struct capnp_text *text)
{
    struct dyn_value value;
    if (DescribedField_get_is_group(field) || dyn_get(s, field, from, &value) != CAPNP_OK ||
        value.kind != DESCRIBED_KIND_TEXT) {
        return false;
    }
    *text = value.text;
    return memchr(value.text.ptr, '\n', value.text.len) != NULL;
}

void show_line(struct fmt_sink *sink, struct dyn_struct s, struct capnp_struct from,
               struct show_caps *caps)
{
    struct show show = {sink, caps, true};
    show_fields(&show, s, from, 0);
}

void show_results(struct fmt_sink *sink, struct dyn_struct results, struct capnp_struct from,
                  struct show_caps *caps)
{
    struct show show = {sink, caps, false};
    DescribedField_list_r fields = DescribedStruct_get_fields(results.st);
    bool any = false;
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        DescribedField_r field = DescribedField_list_at(fields, i);
        struct capnp_text name = DescribedField_get_name(field);
        struct capnp_text text;
        if (!dyn_active(results, field, from)) {
            continue;
        }
        any = true;
        fmt_to(sink, "%.*s = ", TEXT_ARGS(name));
        if (is_block(results, field, from, &text)) {
            show_block(sink, text);
        } else {
            show_field_value(&show, results, field, from, 0);
        }
        fmt_to(sink, "\n");
    }
    if (!any) {
        fmt_to(sink, "done\n");
    }
}
