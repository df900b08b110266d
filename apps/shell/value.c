/* SPDX-License-Identifier: MIT */
#include "apps/shell/value.h"

#include <stdarg.h>

#include "apps/shell/describe.h"
#include "apps/shell/nearest.h"
#include "lib/base/bits.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

struct build {
    Descriptor_r descriptor;
    struct capnp_builder *builder;
    struct value_caps *caps;
    struct value_error *error;
};

/* What is being set: a field of a struct, or an element of a list. */
struct place {
    struct capnp_text name; /* of the field, for messages */
    DescribedType_r type;
    /* a field */
    bool is_field;
    struct dyn_struct s;
    DescribedField_r field;
    struct capnp_struct_b to;
    /* an element */
    struct capnp_list_b list;
    uint32_t index;
};

static bool set_fields(struct build *build, struct dyn_struct s, struct capnp_struct_b to,
                       const struct node *first, bool by_order, unsigned depth);
static bool set_place(struct build *build, struct place *place, const struct node *node,
                      unsigned depth);

__attribute__((format(printf, 3, 4))) static bool refuse(struct build *build,
                                                         const struct node *node,
                                                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fmt_vformat(build->error->message, sizeof(build->error->message), format, args);
    va_end(args);
    build->error->at = node != NULL ? node->source : (struct span){0};
    return false;
}

static bool expected(struct build *build, const struct place *place, const struct node *node,
                     const char *what)
{
    size_t len = node->source.len < 40 ? node->source.len : 40;
    if (node->kind == NODE_WORD && node->label.len == 0 && node->word.len == place->name.len &&
        memcmp(node->word.ptr, place->name.ptr, place->name.len) == 0) {
        return refuse(build, node, "%.*s: its value goes behind a '=', as %.*s=...",
                      TEXT_ARGS(place->name), TEXT_ARGS(place->name));
    }
    return refuse(build, node, "%.*s: expected %s, found %.*s%s", TEXT_ARGS(place->name), what,
                  (int)len, node->source.ptr, len < node->source.len ? "..." : "");
}

/* The codec refused: room, text or a type it cannot take. */
static bool check(struct build *build, const struct place *place, const struct node *node,
                  enum capnp_status status)
{
    status = status == CAPNP_OK ? build->builder->status : status;
    switch (status) {
    case CAPNP_OK:
        return true;
    case CAPNP_NO_ROOM:
        return refuse(build, node,
                      "%.*s: with this the parameters are larger than the method takes",
                      TEXT_ARGS(place->name));
    default:
        return refuse(build, node, "%.*s: this value cannot be sent (%s)", TEXT_ARGS(place->name),
                      capnp_status_name(status));
    }
}

static bool set_bits(struct build *build, struct place *place, const struct node *node,
                     uint64_t bits)
{
    enum capnp_status status =
        place->is_field ? dyn_set_bits(place->s, place->field, place->to, bits)
                        : dyn_element_set_bits(place->type, place->list, place->index, bits);
    return check(build, place, node, status);
}

/* ---- numbers ---- */

struct unit_factor {
    const char *field_unit;
    const char *suffix;
    uint64_t factor;
};

static const struct unit_factor unit_factors[] = {
    {"ns", "ns", 1},           {"ns", "us", 1000},         {"ns", "ms", 1000000},
    {"ns", "s", 1000000000},   {"ns", "min", 60000000000}, {"ms", "ms", 1},
    {"ms", "s", 1000},         {"ms", "min", 60000},       {"bytes", "B", 1},
    {"bytes", "KiB", 1 << 10}, {"bytes", "MiB", 1 << 20},  {"bytes", "GiB", 1 << 30},
};

bool value_duration_ns(const struct node *node, uint64_t *ns)
{
    for (size_t i = 0; i < ARRAY_COUNT(unit_factors); i++) {
        const struct unit_factor *entry = &unit_factors[i];
        if (strcmp(entry->field_unit, "ns") == 0 && span_is(node->unit, entry->suffix)) {
            return node->kind == NODE_NUMBER && !node->negative &&
                   mul_checked(node->magnitude, entry->factor, ns);
        }
    }
    return false;
}

static bool ends_with(struct capnp_text name, const char *ending)
{
    size_t len = strlen(ending);
    return name.len >= len && memcmp(name.ptr + name.len - len, ending, len) == 0;
}

/* The unit of a field: as declared, else as its name says. */
static struct capnp_text unit_of(const struct place *place)
{
    struct capnp_text unit = {"", 0};
    if (place->is_field) {
        unit = DescribedField_get_unit(place->field);
    }
    if (unit.len == 0 && (ends_with(place->name, "Bytes") || ends_with(place->name, "bytes"))) {
        unit = (struct capnp_text){"bytes", 5};
    }
    return unit;
}

static void list_units(struct capnp_text of, char *buf, size_t size)
{
    size_t at = 0;
    buf[0] = 0;
    for (size_t i = 0; i < ARRAY_COUNT(unit_factors) && at < size; i++) {
        if (capnp_text_is(of, unit_factors[i].field_unit)) {
            at +=
                fmt_format(buf + at, size - at, "%s%s", at > 0 ? ", " : "", unit_factors[i].suffix);
        }
    }
}

static bool apply_unit(struct build *build, struct place *place, const struct node *node,
                       uint64_t *magnitude)
{
    struct capnp_text unit = unit_of(place);
    if (node->unit.len == 0) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(unit_factors); i++) {
        const struct unit_factor *entry = &unit_factors[i];
        if (capnp_text_is(unit, entry->field_unit) && span_is(node->unit, entry->suffix)) {
            if (!mul_checked(*magnitude, entry->factor, magnitude)) {
                return refuse(build, node, "%.*s: this does not fit 64 bits",
                              TEXT_ARGS(place->name));
            }
            return true;
        }
    }
    if (unit.len == 0) {
        return refuse(build, node, "%.*s: a number without unit is expected, found %.*s",
                      TEXT_ARGS(place->name), SPAN_ARGS(node->source));
    }
    char units[64];
    list_units(unit, units, sizeof(units));
    return refuse(build, node, "%.*s: '%.*s' is no unit for %.*s; there are: %s",
                  TEXT_ARGS(place->name), SPAN_ARGS(node->unit), TEXT_ARGS(unit), units);
}

static bool out_of_range(struct build *build, struct place *place, const struct node *node,
                         bool is_signed, unsigned width)
{
    uint64_t most = width == 64 ? UINT64_MAX : BIT64(width) - 1;
    if (is_signed) {
        long long half = (long long)(most / 2);
        return refuse(build, node, "%.*s: %.*s is outside %lld to %lld (Int%u)",
                      TEXT_ARGS(place->name), SPAN_ARGS(node->source), -half - 1, half, width);
    }
    return refuse(build, node, "%.*s: %.*s is outside 0 to %llu (UInt%u)", TEXT_ARGS(place->name),
                  SPAN_ARGS(node->source), (unsigned long long)most, width);
}

static bool set_integer(struct build *build, struct place *place, const struct node *node,
                        bool is_signed, unsigned width)
{
    char what[48];
    uint64_t magnitude = node->magnitude;
    if (node->kind != NODE_NUMBER) {
        fmt_format(what, sizeof(what), "a number (%s%u)", is_signed ? "Int" : "UInt", width);
        return expected(build, place, node, what);
    }
    if (!apply_unit(build, place, node, &magnitude)) {
        return false;
    }
    uint64_t most = width == 64 ? UINT64_MAX : BIT64(width) - 1;
    uint64_t limit = !is_signed ? most : node->negative ? most / 2 + 1 : most / 2;
    /* Digits beyond 64 bits were saturated by the lexer. */
    bool wide = node->digits.len > 16 && magnitude == UINT64_MAX;
    if (magnitude > limit || wide || (node->negative && !is_signed && magnitude != 0)) {
        return out_of_range(build, place, node, is_signed, width);
    }
    return set_bits(build, place, node, node->negative ? 0 - magnitude : magnitude);
}

static bool set_float(struct build *build, struct place *place, const struct node *node, bool wide)
{
    if (node->kind != NODE_NUMBER || node->unit.len > 0) {
        return expected(build, place, node, "a whole number");
    }
    double value = (double)node->magnitude;
    value = node->negative ? -value : value;
    uint64_t bits = wide ? capnp_bits_of_double(value) : capnp_bits_of_float((float)value);
    return set_bits(build, place, node, bits);
}

/* ---- words, text, data ---- */

static bool set_bool(struct build *build, struct place *place, const struct node *node)
{
    bool yes = node->kind == NODE_WORD && span_is(node->word, "true");
    if (!yes && !(node->kind == NODE_WORD && span_is(node->word, "false"))) {
        return expected(build, place, node, "true or false");
    }
    return set_bits(build, place, node, yes);
}

static void list_enumerants(DescribedEnum_r described, char *buf, size_t size)
{
    DescribedEnumerant_list_r list = DescribedEnum_get_enumerants(described);
    size_t at = 0;
    buf[0] = 0;
    for (uint32_t i = 0; i < DescribedEnumerant_list_len(list) && at < size; i++) {
        struct capnp_text name = DescribedEnumerant_get_name(DescribedEnumerant_list_at(list, i));
        at += fmt_format(buf + at, size - at, "%s%.*s", at > 0 ? ", " : "", TEXT_ARGS(name));
    }
}

static bool set_enum(struct build *build, struct place *place, const struct node *node)
{
    char names[128];
    char what[160];
    uint16_t value;
    DescribedEnum_r described = dyn_enum_of(build->descriptor, place->type);
    if (node->kind == NODE_WORD &&
        dyn_enumerant_named(described, node->word.ptr, node->word.len, &value)) {
        return set_bits(build, place, node, value);
    }
    list_enumerants(described, names, sizeof(names));
    fmt_format(what, sizeof(what), "one of %s", names);
    return expected(build, place, node, what);
}

static bool set_text(struct build *build, struct place *place, const struct node *node)
{
    if (node->kind != NODE_TEXT) {
        return expected(build, place, node, "text in quotation marks");
    }
    const char *ptr = node->text.ptr;
    size_t len = node->text.len;
    if (!capnp_utf8_valid(ptr, len)) {
        return refuse(build, node, "%.*s: text must be valid UTF-8", TEXT_ARGS(place->name));
    }
    return check(build, place, node,
                 place->is_field
                     ? dyn_set_text(place->s, place->field, place->to, ptr, len)
                     : dyn_element_set_text(place->type, place->list, place->index, ptr, len));
}

static bool put_data(struct build *build, struct place *place, const struct node *node,
                     const void *ptr, size_t len)
{
    return check(build, place, node,
                 place->is_field
                     ? dyn_set_data(place->s, place->field, place->to, ptr, len)
                     : dyn_element_set_data(place->type, place->list, place->index, ptr, len));
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 32) - 'a' + 10;
}

static bool set_data(struct build *build, struct place *place, const struct node *node)
{
    static uint8_t bytes[PARSE_MAX_LINE / 2];
    if (node->kind == NODE_TEXT) {
        return put_data(build, place, node, node->text.ptr, node->text.len);
    }
    if (node->kind != NODE_NUMBER || node->digits.len == 0 || node->negative) {
        return expected(build, place, node, "bytes, as 0x0011ff or in quotation marks");
    }
    if (node->digits.len % 2 != 0) {
        return expected(build, place, node, "two hexadecimal digits for each byte");
    }
    for (size_t i = 0; i < node->digits.len; i += 2) {
        bytes[i / 2] =
            (uint8_t)(hex_digit(node->digits.ptr[i]) << 4 | hex_digit(node->digits.ptr[i + 1]));
    }
    return put_data(build, place, node, bytes, node->digits.len / 2);
}

static bool set_capability(struct build *build, struct place *place, const struct node *node)
{
    char what[64];
    struct capnp_text wanted = DescribedField_get_capability(place->field);
    uint16_t index;
    if (node->kind != NODE_CAP) {
        bool any = capnp_text_is(wanted, "*");
        fmt_format(what, sizeof(what),
                   any ? "a capability, as @name" : "a capability of %.*s, as @name",
                   TEXT_ARGS(wanted));
        return expected(build, place, node, what);
    }
    if (!build->caps->add(build->caps, node, DescribedField_get_capability_id(place->field),
                          build->error, &index)) {
        return false;
    }
    return set_bits(build, place, node, index);
}

/* ---- structs and lists ---- */

static bool set_struct(struct build *build, struct place *place, const struct node *node,
                       unsigned depth)
{
    struct dyn_struct s = dyn_struct_of(build->descriptor, place->type);
    struct capnp_struct_b inner;
    if (node->kind != NODE_STRUCT) {
        char what[96];
        struct capnp_text name = describe_short_name(DescribedStruct_get_name(s.st));
        fmt_format(what, sizeof(what), "a %.*s, as {field: value}", TEXT_ARGS(name));
        return expected(build, place, node, what);
    }
    if (place->is_field) {
        if (!check(build, place, node,
                   dyn_init_struct(place->s, place->field, place->to, &inner))) {
            return false;
        }
    } else {
        inner = capnp_list_struct_b_at(place->list, place->index);
    }
    return set_fields(build, s, inner, node->child, false, depth + 1);
}

static bool set_group(struct build *build, struct place *place, const struct node *node,
                      unsigned depth)
{
    if (node->kind != NODE_STRUCT) {
        return expected(build, place, node, "a group, as {field: value}");
    }
    if (!check(build, place, node, dyn_select_group(place->s, place->field, place->to))) {
        return false;
    }
    return set_fields(build, dyn_group_of(build->descriptor, place->field), place->to, node->child,
                      false, depth + 1);
}

static bool set_list(struct build *build, struct place *place, const struct node *node,
                     unsigned depth)
{
    uint32_t count = 0;
    if (node->kind != NODE_LIST) {
        return expected(build, place, node, "a list, as [value, value]");
    }
    for (const struct node *child = node->child; child != NULL; child = child->next) {
        count++;
    }
    struct place element = {.name = place->name, .type = DescribedType_get_element(place->type)};
    enum capnp_status status =
        place->is_field ? dyn_init_list(place->s, place->field, place->to, count, &element.list)
                        : dyn_element_init_list(build->descriptor, place->type, place->list,
                                                place->index, count, &element.list);
    if (!check(build, place, node, status)) {
        return false;
    }
    for (const struct node *child = node->child; child != NULL;
         child = child->next, element.index++) {
        if (!set_place(build, &element, child, depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool set_void(struct build *build, struct place *place, const struct node *node)
{
    if (node->kind != NODE_WORD || !span_is(node->word, "void")) {
        return expected(build, place, node, "the word void");
    }
    return set_bits(build, place, node, 0);
}

static bool set_place(struct build *build, struct place *place, const struct node *node,
                      unsigned depth)
{
    unsigned kind = DescribedType_get_kind(place->type);
    if (depth >= VALUE_DEPTH_MAX) {
        return refuse(build, node, "%.*s: nested too deep", TEXT_ARGS(place->name));
    }
    switch (kind) {
    case DESCRIBED_KIND_VOID:
        return set_void(build, place, node);
    case DESCRIBED_KIND_BOOL:
        return set_bool(build, place, node);
    case DESCRIBED_KIND_INT8:
    case DESCRIBED_KIND_INT16:
    case DESCRIBED_KIND_INT32:
    case DESCRIBED_KIND_INT64:
        return set_integer(build, place, node, true, 8u << (kind - DESCRIBED_KIND_INT8));
    case DESCRIBED_KIND_UINT8:
    case DESCRIBED_KIND_UINT16:
    case DESCRIBED_KIND_UINT32:
    case DESCRIBED_KIND_UINT64:
        return set_integer(build, place, node, false, 8u << (kind - DESCRIBED_KIND_UINT8));
    case DESCRIBED_KIND_FLOAT32:
    case DESCRIBED_KIND_FLOAT64:
        return set_float(build, place, node, kind == DESCRIBED_KIND_FLOAT64);
    case DESCRIBED_KIND_TEXT:
        return set_text(build, place, node);
    case DESCRIBED_KIND_DATA:
        return set_data(build, place, node);
    case DESCRIBED_KIND_LIST:
        return set_list(build, place, node, depth);
    case DESCRIBED_KIND_STRUCT:
        return set_struct(build, place, node, depth);
    case DESCRIBED_KIND_ENUM:
        return set_enum(build, place, node);
    default:
        return refuse(build, node, "%.*s: a type this shell does not know", TEXT_ARGS(place->name));
    }
}

/* ---- fields ---- */

static bool set_field(struct build *build, struct dyn_struct s, DescribedField_r field,
                      struct capnp_struct_b to, const struct node *node, unsigned depth)
{
    struct place place = {
        .name = DescribedField_get_name(field),
        .type = DescribedField_get_type(field),
        .is_field = true,
        .s = s,
        .field = field,
        .to = to,
    };
    if (DescribedField_get_is_group(field)) {
        return set_group(build, &place, node, depth);
    }
    if (DescribedField_get_capability(field).len > 0) {
        return set_capability(build, &place, node);
    }
    return set_place(build, &place, node, depth);
}

static bool unknown_field(struct build *build, struct dyn_struct s, const struct node *node)
{
    char names[160];
    size_t at = 0;
    struct nearest nearest;
    DescribedField_list_r fields = DescribedStruct_get_fields(s.st);
    nearest_begin(&nearest, node->label);
    names[0] = 0;
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        struct capnp_text name = DescribedField_get_name(DescribedField_list_at(fields, i));
        nearest_offer(&nearest, (struct span){name.ptr, name.len});
        if (at < sizeof(names)) {
            at += fmt_format(names + at, sizeof(names) - at, "%s%.*s", at > 0 ? ", " : "",
                             TEXT_ARGS(name));
        }
    }
    refuse(build, node, "no field '%.*s' here; %s%.*s%s%s", SPAN_ARGS(node->label),
           nearest.best.len > 0 ? "the nearest is '"
           : at > 0             ? "there are: "
                                : "there are none",
           SPAN_ARGS(nearest.best), nearest.best.len > 0 ? "'" : "",
           nearest.best.len > 0 ? "" : names);
    build->error->at = node->label;
    return false;
}

/* The field a node is for: by its label, or the next in order. */
static bool pick_field(struct build *build, struct dyn_struct s, const struct node *node,
                       bool by_order, uint32_t order, DescribedField_r *out)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(s.st);
    if (node->label.len > 0) {
        return dyn_field_named(s, node->label.ptr, node->label.len, out) ||
               unknown_field(build, s, node);
    }
    if (!by_order) {
        return refuse(build, node, "a value without a name cannot follow one with a name");
    }
    uint32_t count = DescribedField_list_len(fields);
    if (order >= count) {
        return count == 0 ? refuse(build, node, "this method takes no parameters")
                          : refuse(build, node, "this method takes only %u parameter%s", count,
                                   count == 1 ? "" : "s");
    }
    *out = DescribedField_list_at(fields, order);
    return true;
}

/* Two values for one field, or for two members of one union, are a mistake. */
static bool check_new(struct build *build, DescribedField_r field, const struct node *node,
                      const DescribedField_r *seen, unsigned seen_count)
{
    struct capnp_text name = DescribedField_get_name(field);
    uint16_t member = DescribedField_get_discriminant(field);
    for (unsigned i = 0; i < seen_count; i++) {
        struct capnp_text other = DescribedField_get_name(seen[i]);
        if (other.len == name.len && memcmp(other.ptr, name.ptr, name.len) == 0) {
            return refuse(build, node, "%.*s is there twice", TEXT_ARGS(name));
        }
        if (member != DYN_NO_DISCRIMINANT &&
            DescribedField_get_discriminant(seen[i]) != DYN_NO_DISCRIMINANT) {
            return refuse(build, node, "only one of %.*s and %.*s can be given", TEXT_ARGS(other),
                          TEXT_ARGS(name));
        }
    }
    return true;
}

static bool set_fields(struct build *build, struct dyn_struct s, struct capnp_struct_b to,
                       const struct node *first, bool by_order, unsigned depth)
{
    enum { FIELDS_MAX = 64 };
    DescribedField_r seen[FIELDS_MAX];
    uint32_t order = 0;
    for (const struct node *node = first; node != NULL; node = node->next, order++) {
        DescribedField_r field;
        by_order = by_order && node->label.len == 0;
        if (order == FIELDS_MAX) {
            return refuse(build, node, "too many fields");
        }
        if (!pick_field(build, s, node, by_order, order, &field) ||
            !check_new(build, field, node, seen, order) ||
            !set_field(build, s, field, to, node, depth)) {
            return false;
        }
        seen[order] = field;
    }
    return true;
}

bool value_build(struct dyn_struct params, const struct node *args, struct capnp_builder *builder,
                 struct value_caps *caps, struct value_error *error)
{
    struct build build = {params.descriptor, builder, caps, error};
    *error = (struct value_error){0};
    struct capnp_struct_b root = dyn_init(builder, params);
    return set_fields(&build, params, root, args, true, 0);
}
