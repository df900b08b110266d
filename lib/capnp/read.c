/* SPDX-License-Identifier: MIT */
/*
 * Getters of pointer fields and list elements. They follow pointers that capnp_read_limited()
 * (check.c) has already followed, or those of our own constants, so they check kinds, to be total,
 * but not bounds.
 */
#include "lib/capnp/capnp.h"

enum {
    POINTER_STRUCT = 0,
    POINTER_LIST = 1,
    CODE_BIT = 1,
    CODE_BYTE = 2,
    CODE_POINTER = 6,
    CODE_COMPOSITE = 7,
};

static const struct capnp_struct no_struct = {NULL, 0, 0};
static const struct capnp_list no_list = {NULL, 0, 0, 0, 0};

const char *capnp_status_name(enum capnp_status status)
{
    switch (status) {
    case CAPNP_OK:
        return "ok";
    case CAPNP_BAD_LENGTH:
        return "bad length";
    case CAPNP_OUT_OF_BOUNDS:
        return "pointer out of bounds";
    case CAPNP_BAD_POINTER:
        return "far or capability pointer";
    case CAPNP_BAD_KIND:
        return "pointer of the wrong kind";
    case CAPNP_BAD_LIST:
        return "malformed list of structs";
    case CAPNP_BAD_TEXT:
        return "malformed text";
    case CAPNP_TOO_DEEP:
        return "nested too deep";
    case CAPNP_TOO_MUCH:
        return "traversal limit exceeded";
    case CAPNP_NO_ROOM:
        return "buffer full";
    case CAPNP_BAD_USE:
        return "index or size outside the message under construction";
    case CAPNP_CUT:
        return "input ends too early";
    case CAPNP_NOT_CANONICAL:
        return "not canonical";
    }
    return "unknown status";
}

/* The pointer word `p`, or the root of `fallback` where p is NULL or null. NULL: neither. */
static const uint8_t *present(const uint8_t *p, const uint64_t *fallback)
{
    if (p != NULL && load_le64(p) != 0) {
        return p;
    }
    const uint8_t *root = (const uint8_t *)fallback;
    return root != NULL && load_le64(root) != 0 ? root : NULL;
}

static const uint8_t *slot_of(struct capnp_struct s, uint32_t slot)
{
    return slot < s.ptr_count ? s.data + s.data_bytes + (size_t)slot * 8 : NULL;
}

static const uint8_t *target_of(const uint8_t *p, uint64_t pointer)
{
    int64_t offset = (int32_t)(uint32_t)pointer >> 2;
    return p + 8 + offset * 8;
}

static struct capnp_struct struct_from(const uint8_t *p)
{
    uint64_t pointer = p != NULL ? load_le64(p) : 0;
    if (pointer == 0 || (pointer & 3) != POINTER_STRUCT) {
        return no_struct;
    }
    struct capnp_struct s = {target_of(p, pointer), (uint32_t)((pointer >> 32) & 0xffff) * 8,
                             (uint16_t)(pointer >> 48)};
    return s;
}

static struct capnp_list composite_from(const uint8_t *target)
{
    uint64_t tag = load_le64(target);
    uint32_t data_words = (uint32_t)(tag >> 32) & 0xffff;
    uint32_t ptr_count = (uint32_t)(tag >> 48);
    struct capnp_list l = {target + 8, (uint32_t)(tag >> 2) & 0x3fffffff,
                           (data_words + ptr_count) * 64, data_words * 64, (uint16_t)ptr_count};
    return l;
}

static struct capnp_list list_from(const uint8_t *p)
{
    static const uint8_t code_bits[] = {0, 1, 8, 16, 32, 64, 0};
    uint64_t pointer = p != NULL ? load_le64(p) : 0;
    if ((pointer & 3) != POINTER_LIST) {
        return no_list;
    }
    const uint8_t *target = target_of(p, pointer);
    uint32_t code = (uint32_t)(pointer >> 32) & 7;
    if (code == CODE_COMPOSITE) {
        return composite_from(target);
    }
    bool pointers = code == CODE_POINTER;
    struct capnp_list l = {target, (uint32_t)(pointer >> 35), pointers ? 64 : code_bits[code],
                           code_bits[code], pointers ? 1 : 0};
    return l;
}

static struct capnp_data data_from(const uint8_t *p)
{
    static const uint8_t none[1];
    struct capnp_data empty = {none, 0};
    uint64_t pointer = p != NULL ? load_le64(p) : 0;
    if ((pointer & 3) != POINTER_LIST || ((pointer >> 32) & 7) != CODE_BYTE) {
        return empty;
    }
    struct capnp_data d = {target_of(p, pointer), (uint32_t)(pointer >> 35)};
    return d;
}

static struct capnp_text text_from(const uint8_t *p)
{
    struct capnp_data d = data_from(p);
    struct capnp_text t = {"", 0};
    if (d.len > 0) {
        t.ptr = (const char *)d.ptr;
        t.len = d.len - 1;
    }
    return t;
}

bool capnp_has(struct capnp_struct s, uint32_t slot)
{
    return present(slot_of(s, slot), NULL) != NULL;
}

struct capnp_struct capnp_get_struct(struct capnp_struct s, uint32_t slot, const uint64_t *fallback)
{
    return struct_from(present(slot_of(s, slot), fallback));
}

struct capnp_list capnp_get_list(struct capnp_struct s, uint32_t slot, const uint64_t *fallback)
{
    return list_from(present(slot_of(s, slot), fallback));
}

struct capnp_text capnp_get_text(struct capnp_struct s, uint32_t slot, const uint64_t *fallback)
{
    return text_from(present(slot_of(s, slot), fallback));
}

struct capnp_data capnp_get_data(struct capnp_struct s, uint32_t slot, const uint64_t *fallback)
{
    return data_from(present(slot_of(s, slot), fallback));
}

struct capnp_struct capnp_trusted_root(const uint64_t *message)
{
    return struct_from(present(NULL, message));
}

/* Element i's data, when it has at least `bits` bits of it; else NULL. */
static const uint8_t *element(struct capnp_list l, uint32_t i, uint32_t bits)
{
    if (i >= l.count || l.data_bits < bits) {
        return NULL;
    }
    return l.ptr + (uint64_t)i * l.stride_bits / 8;
}

/* Element i's first pointer; NULL when there is none. */
static const uint8_t *element_pointer(struct capnp_list l, uint32_t i)
{
    if (i >= l.count || l.ptr_count == 0) {
        return NULL;
    }
    return l.ptr + (uint64_t)i * l.stride_bits / 8 + l.data_bits / 8;
}

bool capnp_list_bool_at(struct capnp_list l, uint32_t i)
{
    /* Lists of bits have no wider successors, so bits are counted whatever the elements' size: what
     * the reference implementation does. */
    return i < l.count && l.data_bits > 0 && ((l.ptr[i / 8] >> (i % 8)) & 1) != 0;
}

uint8_t capnp_list_u8_at(struct capnp_list l, uint32_t i)
{
    const uint8_t *p = element(l, i, 8);
    return p != NULL ? *p : 0;
}

uint16_t capnp_list_u16_at(struct capnp_list l, uint32_t i)
{
    const uint8_t *p = element(l, i, 16);
    return p != NULL ? load_le16(p) : 0;
}

uint32_t capnp_list_u32_at(struct capnp_list l, uint32_t i)
{
    const uint8_t *p = element(l, i, 32);
    return p != NULL ? load_le32(p) : 0;
}

uint64_t capnp_list_u64_at(struct capnp_list l, uint32_t i)
{
    const uint8_t *p = element(l, i, 64);
    return p != NULL ? load_le64(p) : 0;
}

struct capnp_struct capnp_list_struct_at(struct capnp_list l, uint32_t i)
{
    if (i >= l.count || l.stride_bits == 1) {
        return no_struct;
    }
    struct capnp_struct s = {element(l, i, 0), l.data_bits / 8, l.ptr_count};
    return s;
}

struct capnp_text capnp_text_list_at(struct capnp_list l, uint32_t i)
{
    return text_from(element_pointer(l, i));
}

struct capnp_data capnp_data_list_at(struct capnp_list l, uint32_t i)
{
    return data_from(element_pointer(l, i));
}

struct capnp_list capnp_list_list_at(struct capnp_list l, uint32_t i)
{
    return list_from(element_pointer(l, i));
}

bool capnp_text_is(struct capnp_text text, const char *literal)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if (literal[i] == '\0' || literal[i] != text.ptr[i]) {
            return false;
        }
    }
    return literal[text.len] == '\0';
}
