/* SPDX-License-Identifier: MIT */
/* Building a message by description. */
#include "lib/capnp/dynamic_kinds.h"

struct capnp_struct_b dyn_init(struct capnp_builder *b, struct dyn_struct s)
{
    return capnp_init_root(b, DescribedStruct_get_data_words(s.st),
                           DescribedStruct_get_pointers(s.st));
}

static void mark(struct dyn_struct s, DescribedField_r field, struct capnp_struct_b to)
{
    uint16_t value = DescribedField_get_discriminant(field);
    if (value != DYN_NO_DISCRIMINANT) {
        capnp_set_u16(to, DescribedStruct_get_discriminant_offset(s.st), value, 0);
    }
}

/* Is `field` of this kind, and not a group? */
static bool is_kind(DescribedField_r field, enum DescribedKind kind)
{
    return !DescribedField_get_is_group(field) &&
           DescribedField_get_offset(field) <= DYN_OFFSET_MAX &&
           DescribedType_get_kind(DescribedField_get_type(field)) == kind;
}

static void store_bits(struct capnp_struct_b to, uint32_t width, uint32_t at, uint64_t bits,
                       uint64_t mask)
{
    switch (width) {
    case 1:
        capnp_set_bool(to, at, bits != 0, mask & 1);
        break;
    case 8:
        capnp_set_u8(to, at, (uint8_t)bits, (uint8_t)mask);
        break;
    case 16:
        capnp_set_u16(to, at, (uint16_t)bits, (uint16_t)mask);
        break;
    case 32:
        capnp_set_u32(to, at, (uint32_t)bits, (uint32_t)mask);
        break;
    default:
        capnp_set_u64(to, at, bits, mask);
        break;
    }
}

enum capnp_status dyn_set_bits(struct dyn_struct s, DescribedField_r field,
                               struct capnp_struct_b to, uint64_t bits)
{
    enum DescribedKind kind = DescribedType_get_kind(DescribedField_get_type(field));
    uint32_t at = DescribedField_get_offset(field);
    if (!is_kind(field, kind) || !dyn_fits(kind, bits)) {
        return CAPNP_BAD_USE;
    }
    mark(s, field, to);
    if (kind != DESCRIBED_KIND_VOID) {
        store_bits(to, dyn_width(kind), at, bits, DescribedField_get_default_bits(field));
    }
    return to.b->status;
}

enum capnp_status dyn_set_text(struct dyn_struct s, DescribedField_r field,
                               struct capnp_struct_b to, const char *ptr, size_t len)
{
    if (!is_kind(field, DESCRIBED_KIND_TEXT) || (len > 0 && !capnp_utf8_valid(ptr, len))) {
        return CAPNP_BAD_USE;
    }
    mark(s, field, to);
    capnp_set_text(to, DescribedField_get_offset(field), ptr, len);
    return to.b->status;
}

enum capnp_status dyn_set_data(struct dyn_struct s, DescribedField_r field,
                               struct capnp_struct_b to, const void *ptr, size_t len)
{
    if (!is_kind(field, DESCRIBED_KIND_DATA)) {
        return CAPNP_BAD_USE;
    }
    mark(s, field, to);
    capnp_set_data(to, DescribedField_get_offset(field), ptr, len);
    return to.b->status;
}

static enum capnp_kind list_kind(enum DescribedKind kind)
{
    switch (dyn_width(kind)) {
    case 1:
        return CAPNP_KIND_BOOL;
    case 8:
        return CAPNP_KIND_BITS8;
    case 16:
        return CAPNP_KIND_BITS16;
    case 32:
        return CAPNP_KIND_BITS32;
    case 64:
        return CAPNP_KIND_BITS64;
    default:
        break;
    }
    switch (kind) {
    case DESCRIBED_KIND_TEXT:
        return CAPNP_KIND_TEXT;
    case DESCRIBED_KIND_DATA:
        return CAPNP_KIND_DATA;
    case DESCRIBED_KIND_LIST:
        return CAPNP_KIND_LIST;
    case DESCRIBED_KIND_STRUCT:
        return CAPNP_KIND_STRUCT;
    default:
        return CAPNP_KIND_VOID;
    }
}

enum capnp_status dyn_init_list(struct dyn_struct s, DescribedField_r field,
                                struct capnp_struct_b to, uint32_t count, struct capnp_list_b *out)
{
    DescribedType_r element = DescribedType_get_element(DescribedField_get_type(field));
    uint32_t at = DescribedField_get_offset(field);
    if (!is_kind(field, DESCRIBED_KIND_LIST)) {
        return CAPNP_BAD_USE;
    }
    mark(s, field, to);
    if (DescribedType_get_kind(element) == DESCRIBED_KIND_STRUCT) {
        DescribedStruct_r st = dyn_struct_of(s.descriptor, element).st;
        *out = capnp_init_struct_list(to, at, DescribedStruct_get_data_words(st),
                                      DescribedStruct_get_pointers(st), count);
    } else {
        *out = capnp_init_list(to, at, list_kind(DescribedType_get_kind(element)), count);
    }
    return to.b->status;
}

enum capnp_status dyn_init_struct(struct dyn_struct s, DescribedField_r field,
                                  struct capnp_struct_b to, struct capnp_struct_b *out)
{
    if (!is_kind(field, DESCRIBED_KIND_STRUCT)) {
        return CAPNP_BAD_USE;
    }
    DescribedStruct_r st = dyn_struct_of(s.descriptor, DescribedField_get_type(field)).st;
    mark(s, field, to);
    *out = capnp_init_struct(to, DescribedField_get_offset(field),
                             DescribedStruct_get_data_words(st), DescribedStruct_get_pointers(st));
    return to.b->status;
}

enum capnp_status dyn_select_group(struct dyn_struct s, DescribedField_r field,
                                   struct capnp_struct_b to)
{
    if (!DescribedField_get_is_group(field)) {
        return CAPNP_BAD_USE;
    }
    mark(s, field, to);
    return to.b->status;
}

enum capnp_status dyn_element_set_bits(DescribedType_r element, struct capnp_list_b l, uint32_t i,
                                       uint64_t bits)
{
    enum DescribedKind kind = DescribedType_get_kind(element);
    if (!dyn_fits(kind, bits) || i >= l.count) {
        return CAPNP_BAD_USE;
    }
    switch (dyn_width(kind)) {
    case 1:
        capnp_list_bool_set(l, i, bits != 0);
        break;
    case 8:
        capnp_list_u8_set(l, i, (uint8_t)bits);
        break;
    case 16:
        capnp_list_u16_set(l, i, (uint16_t)bits);
        break;
    case 32:
        capnp_list_u32_set(l, i, (uint32_t)bits);
        break;
    case 64:
        capnp_list_u64_set(l, i, bits);
        break;
    default:
        break;
    }
    return l.b->status;
}

enum capnp_status dyn_element_set_text(DescribedType_r element, struct capnp_list_b l, uint32_t i,
                                       const char *ptr, size_t len)
{
    if (DescribedType_get_kind(element) != DESCRIBED_KIND_TEXT || i >= l.count ||
        (len > 0 && !capnp_utf8_valid(ptr, len))) {
        return CAPNP_BAD_USE;
    }
    capnp_text_list_set(l, i, ptr, len);
    return l.b->status;
}

enum capnp_status dyn_element_set_data(DescribedType_r element, struct capnp_list_b l, uint32_t i,
                                       const void *ptr, size_t len)
{
    if (DescribedType_get_kind(element) != DESCRIBED_KIND_DATA || i >= l.count) {
        return CAPNP_BAD_USE;
    }
    capnp_data_list_set(l, i, ptr, len);
    return l.b->status;
}

enum capnp_status dyn_element_init_list(Descriptor_r d, DescribedType_r element,
                                        struct capnp_list_b l, uint32_t i, uint32_t count,
                                        struct capnp_list_b *out)
{
    if (DescribedType_get_kind(element) != DESCRIBED_KIND_LIST || i >= l.count) {
        return CAPNP_BAD_USE;
    }
    DescribedType_r inner = DescribedType_get_element(element);
    if (DescribedType_get_kind(inner) == DESCRIBED_KIND_STRUCT) {
        DescribedStruct_r st = dyn_struct_of(d, inner).st;
        *out = capnp_list_struct_list_init(l, i, DescribedStruct_get_data_words(st),
                                           DescribedStruct_get_pointers(st), count);
    } else {
        *out = capnp_list_list_init(l, i, list_kind(DescribedType_get_kind(inner)), count);
    }
    return l.b->status;
}
