/* SPDX-License-Identifier: MIT */
/* Values of a message by description. The message is bounds-checked; kinds are checked here. */
#include "lib/capnp/dynamic_kinds.h"

enum capnp_status dyn_read(const void *msg, size_t len_bytes, struct capnp_struct *out)
{
    return capnp_read(msg, len_bytes, NULL, out);
}

bool dyn_active(struct dyn_struct s, DescribedField_r field, struct capnp_struct from)
{
    uint16_t wanted = DescribedField_get_discriminant(field);
    return wanted == DYN_NO_DISCRIMINANT ||
           capnp_get_u16(from, DescribedStruct_get_discriminant_offset(s.st), 0) == wanted;
}

bool dyn_fits(enum DescribedKind kind, uint64_t bits)
{
    uint32_t width = dyn_width(kind);
    if (kind == DESCRIBED_KIND_VOID) {
        return bits == 0;
    }
    if (width == 0 || width == 64) {
        return width == 64;
    }
    uint64_t low = bits & (((uint64_t)1 << width) - 1);
    return dyn_extend(kind, low) == bits;
}

static uint64_t load_bits(struct capnp_struct s, uint32_t width, uint32_t at, uint64_t mask)
{
    switch (width) {
    case 1:
        return capnp_get_bool(s, at, mask & 1);
    case 8:
        return capnp_get_u8(s, at, (uint8_t)mask);
    case 16:
        return capnp_get_u16(s, at, (uint16_t)mask);
    case 32:
        return capnp_get_u32(s, at, (uint32_t)mask);
    default:
        return capnp_get_u64(s, at, mask);
    }
}

static void clear_value(struct dyn_value *v, DescribedType_r type)
{
    static const struct dyn_value none = {.text = {.ptr = ""}};
    *v = none;
    v->kind = DescribedType_get_kind(type);
    v->type = type;
}

/* The pointer of a struct's slot as a value. The struct is bounds-checked, kinds are not. */
static enum capnp_status pointer_value(struct capnp_struct s, uint32_t slot, struct dyn_value *out)
{
    enum { STRUCT_POINTER = 0, LIST_POINTER = 1, CODE_BYTE = 2 };
    if (!capnp_has(s, slot)) {
        return CAPNP_OK;
    }
    uint64_t pointer = load_le64(s.data + s.data_bytes + (size_t)slot * 8);
    uint64_t code = pointer >> 32 & 7;
    bool bytes = out->kind == DESCRIBED_KIND_TEXT || out->kind == DESCRIBED_KIND_DATA;
    uint64_t wanted = out->kind == DESCRIBED_KIND_STRUCT ? STRUCT_POINTER : LIST_POINTER;
    if ((pointer & 3) != wanted || (bytes && code != CODE_BYTE)) {
        return CAPNP_BAD_KIND;
    }
    switch (out->kind) {
    case DESCRIBED_KIND_TEXT:
        out->data = capnp_get_data(s, slot, NULL);
        if (out->data.len == 0 || out->data.ptr[out->data.len - 1] != 0 ||
            !capnp_utf8_valid(out->data.ptr, out->data.len - 1)) {
            return CAPNP_BAD_TEXT;
        }
        out->text = capnp_get_text(s, slot, NULL);
        return CAPNP_OK;
    case DESCRIBED_KIND_DATA:
        out->data = capnp_get_data(s, slot, NULL);
        return CAPNP_OK;
    case DESCRIBED_KIND_LIST:
        out->list = capnp_get_list(s, slot, NULL);
        return CAPNP_OK;
    default:
        out->value = capnp_get_struct(s, slot, NULL);
        return CAPNP_OK;
    }
}

enum capnp_status dyn_get(struct dyn_struct s, DescribedField_r field, struct capnp_struct from,
                          struct dyn_value *out)
{
    static const struct capnp_struct none = {NULL, 0, 0};
    uint32_t at = DescribedField_get_offset(field);
    clear_value(out, DescribedField_get_type(field));
    if (DescribedField_get_is_group(field) || at > DYN_OFFSET_MAX) {
        return CAPNP_BAD_KIND;
    }
    if (!dyn_active(s, field, from)) {
        from = none;
    }
    uint32_t width = dyn_width(out->kind);
    if (width != 0) {
        out->bits = dyn_extend(out->kind,
                               load_bits(from, width, at, DescribedField_get_default_bits(field)));
        return CAPNP_OK;
    }
    if (out->kind == DESCRIBED_KIND_VOID) {
        return CAPNP_OK;
    }
    if (out->kind == DESCRIBED_KIND_TEXT && !capnp_has(from, at)) {
        out->text = DescribedField_get_default_text(field);
        return CAPNP_OK;
    }
    return pointer_value(from, at, out);
}

enum capnp_status dyn_element(const struct dyn_value *list, uint32_t i, struct dyn_value *out)
{
    DescribedType_r type = DescribedType_get_element(list->type);
    struct capnp_list l = list->list;
    clear_value(out, type);
    if (i >= l.count) {
        return CAPNP_OK;
    }
    uint32_t width = dyn_width(out->kind);
    if ((l.data_bits == 1) != (out->kind == DESCRIBED_KIND_BOOL) || l.data_bits < width) {
        /* Bits stand only for bits; an element too small for its kind is another kind. */
        return l.data_bits == 0 && width == 0 ? CAPNP_OK : CAPNP_BAD_KIND;
    }
    if (out->kind == DESCRIBED_KIND_BOOL) {
        out->bits = capnp_list_bool_at(l, i);
        return CAPNP_OK;
    }
    struct capnp_struct element = capnp_list_struct_at(l, i);
    if (width != 0) {
        out->bits = dyn_extend(out->kind, load_bits(element, width, 0, 0));
        return CAPNP_OK;
    }
    if (out->kind == DESCRIBED_KIND_STRUCT) {
        out->value = element;
        return CAPNP_OK;
    }
    if (out->kind == DESCRIBED_KIND_VOID) {
        return CAPNP_OK;
    }
    return element.ptr_count == 0 ? CAPNP_BAD_KIND : pointer_value(element, 0, out);
}
