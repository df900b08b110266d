/* SPDX-License-Identifier: MIT */
/* From a message, by its description, to a value. */
#include "apps/shell/kept.h"

#include "lib/base/bits.h"
#include "lib/base/string.h"

enum { FLOAT_BYTES = 32 };

struct reader {
    struct kept_arena *arena;
    struct show_caps *caps;
    Descriptor_r descriptor;
};

static struct node *of_value(struct reader *reader, const struct dyn_value *value, unsigned depth);
static struct node *of_struct(struct reader *reader, struct dyn_struct s, struct capnp_struct from,
                              unsigned depth);

static struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static struct node *of_integer(struct reader *reader, const struct dyn_value *value)
{
    bool is_signed = value->kind >= DESCRIBED_KIND_INT8 && value->kind <= DESCRIBED_KIND_INT64;
    bool negative = is_signed && value->bits >> 63 != 0;
    return kept_number(reader->arena, negative, negative ? 0 - value->bits : value->bits);
}

static struct node *of_bytes_as_word(struct reader *reader, const char *bytes, size_t count)
{
    struct node *node = kept_text(reader->arena, bytes, count);
    if (node != NULL) {
        node->kind = NODE_WORD;
        node->word = node->text;
    }
    return node;
}

/* Fractions are for looking at; six places, as in what is shown. */
static struct node *of_float(struct reader *reader, double value)
{
    char text[FLOAT_BYTES];
    bool negative = value < 0;
    double size = negative ? -value : value;
    if (!(size < 9e12)) {
        return of_bytes_as_word(reader, "beyond", 6);
    }
    uint64_t millionths = (uint64_t)(size * 1e6 + 0.5);
    size_t len = fmt_format(text, sizeof(text), "%s%llu.%06llu", negative ? "-" : "",
                            (unsigned long long)(millionths / 1000000),
                            (unsigned long long)(millionths % 1000000));
    return of_bytes_as_word(reader, text, len);
}

/* As digits, which is how data is typed; without any it is an empty text. */
static struct node *of_data(struct reader *reader, struct capnp_data data)
{
    struct node *node = data.len > 0 ? kept_node(reader->arena, NODE_NUMBER, span_of("0x..."))
                                     : kept_text(reader->arena, "", 0);
    char *digits =
        node != NULL && data.len > 0 ? kept_take(reader->arena, 2 * (size_t)data.len + 1) : NULL;
    if (digits == NULL) {
        return data.len > 0 ? NULL : node;
    }
    for (uint32_t i = 0; i < data.len; i++) {
        fmt_format(digits + 2 * (size_t)i, 3, "%02x", data.ptr[i]);
        node->magnitude = data.len > 8 ? UINT64_MAX : node->magnitude << 8 | data.ptr[i];
    }
    node->digits = (struct span){digits, 2 * (size_t)data.len};
    return node;
}

static struct node *of_enum(struct reader *reader, const struct dyn_value *value)
{
    DescribedEnumerant_list_r list =
        DescribedEnum_get_enumerants(dyn_enum_of(reader->descriptor, value->type));
    if (value->bits >= DescribedEnumerant_list_len(list)) {
        return kept_number(reader->arena, false, value->bits);
    }
    struct capnp_text name =
        DescribedEnumerant_get_name(DescribedEnumerant_list_at(list, (uint32_t)value->bits));
    return of_bytes_as_word(reader, name.ptr, name.len);
}

static struct node *of_list(struct reader *reader, const struct dyn_value *value, unsigned depth)
{
    struct node *list = kept_node(reader->arena, NODE_LIST, span_of("[...]"));
    struct node **tail = list != NULL ? &list->child : NULL;
    uint32_t count = capnp_list_len(value->list);
    for (uint32_t i = 0; i < count && tail != NULL; i++) {
        struct dyn_value element;
        *tail = dyn_element(value, i, &element) == CAPNP_OK ? of_value(reader, &element, depth + 1)
                                                            : NULL;
        tail = *tail != NULL ? &(*tail)->next : NULL;
    }
    return tail != NULL ? list : NULL;
}

static struct node *of_capability(struct reader *reader, const struct dyn_value *value)
{
    const char *name = reader->caps->name(reader->caps, value->bits);
    if (name == NULL) {
        return kept_word(reader->arena, "void");
    }
    struct node *node = of_bytes_as_word(reader, name + 1, strlen(name + 1));
    if (node != NULL) {
        node->kind = NODE_CAP;
    }
    return node;
}

static struct node *of_value(struct reader *reader, const struct dyn_value *value, unsigned depth)
{
    if (depth > SHOW_DEPTH_MAX) {
        return NULL;
    }
    switch (value->kind) {
    case DESCRIBED_KIND_VOID:
        return kept_word(reader->arena, "void");
    case DESCRIBED_KIND_BOOL:
        return kept_word(reader->arena, value->bits != 0 ? "true" : "false");
    case DESCRIBED_KIND_FLOAT32:
        return of_float(reader, (double)capnp_float_of_bits((uint32_t)value->bits));
    case DESCRIBED_KIND_FLOAT64:
        return of_float(reader, capnp_double_of_bits(value->bits));
    case DESCRIBED_KIND_TEXT:
        return kept_text(reader->arena, value->text.ptr, value->text.len);
    case DESCRIBED_KIND_DATA:
        return of_data(reader, value->data);
    case DESCRIBED_KIND_LIST:
        return of_list(reader, value, depth);
    case DESCRIBED_KIND_STRUCT:
        return of_struct(reader, dyn_struct_of(reader->descriptor, value->type), value->value,
                         depth);
    case DESCRIBED_KIND_ENUM:
        return of_enum(reader, value);
    default:
        return of_integer(reader, value);
    }
}

static struct node *of_field(struct reader *reader, struct dyn_struct s, DescribedField_r field,
                             struct capnp_struct from, unsigned depth)
{
    struct dyn_value value;
    if (DescribedField_get_is_group(field)) {
        return of_struct(reader, dyn_group_of(s.descriptor, field), from, depth + 1);
    }
    if (dyn_get(s, field, from, &value) != CAPNP_OK) {
        return NULL;
    }
    return DescribedField_get_capability(field).len > 0 && depth == 0
               ? of_capability(reader, &value)
               : of_value(reader, &value, depth + 1);
}

static struct node *of_struct(struct reader *reader, struct dyn_struct s, struct capnp_struct from,
                              unsigned depth)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(s.st);
    struct node *node =
        depth <= SHOW_DEPTH_MAX ? kept_node(reader->arena, NODE_STRUCT, span_of("{...}")) : NULL;
    struct node **tail = node != NULL ? &node->child : NULL;
    for (uint32_t i = 0; i < DescribedField_list_len(fields) && tail != NULL; i++) {
        DescribedField_r field = DescribedField_list_at(fields, i);
        if (!dyn_active(s, field, from)) {
            continue;
        }
        struct capnp_text name = DescribedField_get_name(field);
        char *label = kept_take(reader->arena, name.len);
        *tail = label != NULL ? of_field(reader, s, field, from, depth) : NULL;
        if (*tail != NULL) {
            memcpy(label, name.ptr, name.len);
            (*tail)->label = (struct span){label, name.len};
        }
        tail = *tail != NULL ? &(*tail)->next : NULL;
    }
    return tail != NULL ? node : NULL;
}

struct node *kept_answer(struct kept_arena *arena, struct dyn_struct s, struct capnp_struct from,
                         struct show_caps *caps)
{
    struct reader reader = {arena, caps, s.descriptor};
    return of_struct(&reader, s, from, 0);
}
