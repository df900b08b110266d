/* SPDX-License-Identifier: MIT */
#include "lib/capnp/dynamic.h"

enum {
    OFFSET_MAX = 65535 * 64, /* bits in the largest data section: no offset is beyond */
};

static bool same(struct capnp_text t, const char *name, size_t len)
{
    return t.len == len && (len == 0 || __builtin_memcmp(t.ptr, name, len) == 0);
}

/* ---- Checking a descriptor ---- */

static bool type_ok(Descriptor_r d, DescribedType_r type)
{
    for (unsigned depth = 0; depth < CAPNP_DEPTH; depth++) {
        switch (DescribedType_get_kind(type)) {
        case DESCRIBED_KIND_STRUCT:
            return DescribedType_get_index(type) <
                   DescribedStruct_list_len(Descriptor_get_structs(d));
        case DESCRIBED_KIND_ENUM:
            return DescribedType_get_index(type) < DescribedEnum_list_len(Descriptor_get_enums(d));
        case DESCRIBED_KIND_LIST:
            if (!DescribedType_has_element(type)) {
                return false;
            }
            type = DescribedType_get_element(type);
            break;
        default:
            return (unsigned)DescribedType_get_kind(type) < DESCRIBED_KIND_COUNT;
        }
    }
    return false;
}

/* Groups come after the struct that holds them, so that no group can hold itself. */
static bool field_ok(Descriptor_r d, uint32_t number, DescribedField_r f)
{
    DescribedType_r type = DescribedField_get_type(f);
    if (DescribedField_get_is_group(f)) {
        uint32_t group = DescribedType_get_index(type);
        return group > number && group < DescribedStruct_list_len(Descriptor_get_structs(d));
    }
    return DescribedField_get_offset(f) <= OFFSET_MAX && type_ok(d, type);
}

static bool struct_ok(Descriptor_r d, uint32_t number)
{
    DescribedStruct_r s = DescribedStruct_list_at(Descriptor_get_structs(d), number);
    DescribedField_list_r fields = DescribedStruct_get_fields(s);
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        if (!field_ok(d, number, DescribedField_list_at(fields, i))) {
            return false;
        }
    }
    return DescribedStruct_get_discriminant_offset(s) <= OFFSET_MAX;
}

static bool descriptor_ok(Descriptor_r d)
{
    uint32_t structs = DescribedStruct_list_len(Descriptor_get_structs(d));
    DescribedMethod_list_r methods = Descriptor_get_methods(d);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods); i++) {
        DescribedMethod_r m = DescribedMethod_list_at(methods, i);
        if (DescribedMethod_get_params(m) >= structs || DescribedMethod_get_results(m) >= structs) {
            return false;
        }
    }
    for (uint32_t i = 0; i < structs; i++) {
        if (!struct_ok(d, i)) {
            return false;
        }
    }
    return true;
}

enum capnp_status dyn_open(const void *msg, size_t len_bytes, Descriptor_r *out)
{
    enum capnp_status status = Descriptor_read(msg, len_bytes, out);
    if (status == CAPNP_OK &&
        (Descriptor_get_format_version(*out) != DYN_FORMAT_VERSION || !descriptor_ok(*out))) {
        static const Descriptor_r none;
        *out = none;
        status = CAPNP_BAD_KIND;
    }
    return status;
}

/* ---- Looking up ---- */

bool dyn_method_named(Descriptor_r d, const char *name, size_t len, DescribedMethod_r *out)
{
    DescribedMethod_list_r methods = Descriptor_get_methods(d);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods); i++) {
        *out = DescribedMethod_list_at(methods, i);
        if (same(DescribedMethod_get_name(*out), name, len)) {
            return true;
        }
    }
    return false;
}

bool dyn_method_numbered(Descriptor_r d, uint16_t ordinal, DescribedMethod_r *out)
{
    DescribedMethod_list_r methods = Descriptor_get_methods(d);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods); i++) {
        *out = DescribedMethod_list_at(methods, i);
        if (DescribedMethod_get_ordinal(*out) == ordinal) {
            return true;
        }
    }
    return false;
}

bool dyn_field_named(struct dyn_struct s, const char *name, size_t len, DescribedField_r *out)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(s.st);
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        *out = DescribedField_list_at(fields, i);
        if (same(DescribedField_get_name(*out), name, len)) {
            return true;
        }
    }
    return false;
}

bool dyn_enumerant_named(DescribedEnum_r e, const char *name, size_t len, uint16_t *out)
{
    DescribedEnumerant_list_r all = DescribedEnum_get_enumerants(e);
    for (uint32_t i = 0; i < DescribedEnumerant_list_len(all) && i <= UINT16_MAX; i++) {
        if (same(DescribedEnumerant_get_name(DescribedEnumerant_list_at(all, i)), name, len)) {
            *out = (uint16_t)i;
            return true;
        }
    }
    return false;
}

static struct dyn_struct struct_numbered(Descriptor_r d, uint16_t number)
{
    struct dyn_struct s = {d, DescribedStruct_list_at(Descriptor_get_structs(d), number)};
    return s;
}

struct dyn_struct dyn_params(Descriptor_r d, DescribedMethod_r method)
{
    return struct_numbered(d, DescribedMethod_get_params(method));
}

struct dyn_struct dyn_results(Descriptor_r d, DescribedMethod_r method)
{
    return struct_numbered(d, DescribedMethod_get_results(method));
}

struct dyn_struct dyn_struct_of(Descriptor_r d, DescribedType_r type)
{
    bool is = DescribedType_get_kind(type) == DESCRIBED_KIND_STRUCT;
    return struct_numbered(d, is ? DescribedType_get_index(type) : UINT16_MAX);
}

DescribedEnum_r dyn_enum_of(Descriptor_r d, DescribedType_r type)
{
    bool is = DescribedType_get_kind(type) == DESCRIBED_KIND_ENUM;
    return DescribedEnum_list_at(Descriptor_get_enums(d),
                                 is ? DescribedType_get_index(type) : UINT32_MAX);
}

struct dyn_struct dyn_group_of(Descriptor_r d, DescribedField_r field)
{
    bool is = DescribedField_get_is_group(field);
    return struct_numbered(d, is ? DescribedType_get_index(DescribedField_get_type(field))
                                 : UINT16_MAX);
}

/* ---- Reading ---- */

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

/* Bits of data of a scalar kind; 0 for others. */
static uint32_t width_of(enum DescribedKind kind)
{
    switch (kind) {
    case DESCRIBED_KIND_BOOL:
        return 1;
    case DESCRIBED_KIND_INT8:
    case DESCRIBED_KIND_UINT8:
        return 8;
    case DESCRIBED_KIND_INT16:
    case DESCRIBED_KIND_UINT16:
    case DESCRIBED_KIND_ENUM:
        return 16;
    case DESCRIBED_KIND_INT32:
    case DESCRIBED_KIND_UINT32:
    case DESCRIBED_KIND_FLOAT32:
        return 32;
    case DESCRIBED_KIND_INT64:
    case DESCRIBED_KIND_UINT64:
    case DESCRIBED_KIND_FLOAT64:
        return 64;
    default:
        return 0;
    }
}

static bool is_signed(enum DescribedKind kind)
{
    return kind == DESCRIBED_KIND_INT8 || kind == DESCRIBED_KIND_INT16 ||
           kind == DESCRIBED_KIND_INT32 || kind == DESCRIBED_KIND_INT64;
}

static uint64_t extend(enum DescribedKind kind, uint64_t bits)
{
    uint32_t width = width_of(kind);
    if (!is_signed(kind) || width == 64 || (bits >> (width - 1) & 1) == 0) {
        return bits;
    }
    return bits | ~(((uint64_t)1 << width) - 1);
}

bool dyn_fits(enum DescribedKind kind, uint64_t bits)
{
    uint32_t width = width_of(kind);
    if (kind == DESCRIBED_KIND_VOID) {
        return bits == 0;
    }
    if (width == 0 || width == 64) {
        return width == 64;
    }
    uint64_t low = bits & (((uint64_t)1 << width) - 1);
    return extend(kind, low) == bits;
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
    if (DescribedField_get_is_group(field) || at > OFFSET_MAX) {
        return CAPNP_BAD_KIND;
    }
    if (!dyn_active(s, field, from)) {
        from = none;
    }
    uint32_t width = width_of(out->kind);
    if (width != 0) {
        out->bits =
            extend(out->kind, load_bits(from, width, at, DescribedField_get_default_bits(field)));
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
    uint32_t width = width_of(out->kind);
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
        out->bits = extend(out->kind, load_bits(element, width, 0, 0));
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

/* ---- Building ---- */

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
    return !DescribedField_get_is_group(field) && DescribedField_get_offset(field) <= OFFSET_MAX &&
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
        store_bits(to, width_of(kind), at, bits, DescribedField_get_default_bits(field));
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
    switch (width_of(kind)) {
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
    switch (width_of(kind)) {
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
