/* SPDX-License-Identifier: MIT */
/* Builders over a caller's buffer; include lib/capnp/capnp.h, which tells the contract. */
#ifndef CAPOS_LIB_CAPNP_BUILD_H
#define CAPOS_LIB_CAPNP_BUILD_H

#include "lib/capnp/capnp.h"
#include "lib/capnp/get.h"

/* The kernel's messages are bare, so its builders know no further segments (lib/capnp/segments.h). */
#if !defined(CAPOS_KERNEL)
#define CAPNP_HAS_SEGMENTS 1
#endif

struct capnp_builder {
    uint8_t *base;
    uint32_t capacity_words;
#if defined(CAPNP_HAS_SEGMENTS)
    uint32_t segment; /* 0: a bare message; else its number in a capnp_segmented, from 1 */
#endif
    uint32_t used_words;
    enum capnp_status status; /* the first failure; stays */
};

/* A struct under construction. With data_words and ptr_count 0 it swallows every set. */
struct capnp_struct_b {
    struct capnp_builder *b;
    uint32_t word; /* index of its first word */
    uint16_t data_words;
    uint16_t ptr_count;
};

struct capnp_list_b {
    struct capnp_builder *b;
    uint32_t word;
    uint32_t count;
    uint16_t data_words; /* of a struct element */
    uint16_t ptr_count;
    enum capnp_kind kind;
};

/* Starts a builder over `bytes` bytes at buf (no alignment needed; a tail below 8 bytes is unused).
 * Words are zeroed as they are allocated. */
static inline void capnp_builder_init(struct capnp_builder *b, void *buf, size_t bytes)
{
    if (bytes > CAPNP_SEGMENT_MAX_BYTES) {
        bytes = CAPNP_SEGMENT_MAX_BYTES;
    }
    b->base = (uint8_t *)buf;
    b->capacity_words = (uint32_t)(bytes / CAPNP_WORD);
#if defined(CAPNP_HAS_SEGMENTS)
    b->segment = 0;
#endif
    b->used_words = 0;
    b->status = CAPNP_OK;
}

/* capnp_init_root of any size, with or without room. */
struct capnp_struct_b capnp_init_root_general(struct capnp_builder *b, uint16_t data_words,
                                              uint16_t ptr_count);

/* Allocates the root. Called again it starts the message anew; a failure already noted stays. In line
 * for small structs that fit: generated code passes constants, and a kernel call's results are one. */
static inline struct capnp_struct_b capnp_init_root(struct capnp_builder *b, uint16_t data_words,
                                                    uint16_t ptr_count)
{
    enum { SMALL_WORDS = 8 };
    uint32_t words = (uint32_t)data_words + ptr_count;
    if (words > SMALL_WORDS || b->status != CAPNP_OK || words + 1 > b->capacity_words) {
        return capnp_init_root_general(b, data_words, ptr_count);
    }
    /* A struct without words points at its own pointer: null would mean absent. */
    const uint64_t itself = UINT64_C(0x3fffffff) << 2;
    store_le64(b->base,
               words == 0 ? itself : (uint64_t)data_words << 32 | (uint64_t)ptr_count << 48);
    for (uint32_t i = 1; i <= words; i++) {
        store_le64(b->base + i * CAPNP_WORD, 0);
    }
    b->used_words = words + 1;
    struct capnp_struct_b root = {b, 1, data_words, ptr_count};
    return root;
}

/* Ends building: the status, and on CAPNP_OK *len = bytes of the message (else 0). A builder in
 * which nothing was initialised gives the empty message, length 0. */
static inline enum capnp_status capnp_finish(const struct capnp_builder *b, size_t *len)
{
    *len = b->status == CAPNP_OK ? (size_t)b->used_words * CAPNP_WORD : 0;
    return b->status;
}

/* Notes a failure if none is noted yet. */
static inline void capnp_builder_fail(struct capnp_builder *b, enum capnp_status status)
{
    if (b->status == CAPNP_OK) {
        b->status = status;
    }
}

#if defined(CAPNP_HAS_SEGMENTS)
/* For build.c, when `words` do not fit behind the pointer at word *at of *b: finds another segment
 * with room for them, makes that pointer a far one, and hands on where the pointer to be written
 * now is. False (failure noted): no room, or a bare message. */
bool capnp_spill(struct capnp_builder **b, uint32_t *at, uint64_t words);
#endif

/* The `bytes` bytes at byte `at` of the data section; NULL (failure noted) outside it. */
static inline uint8_t *capnp_field(struct capnp_struct_b s, uint32_t at, uint32_t bytes)
{
    if (at + bytes > (uint32_t)s.data_words * 8) {
        capnp_builder_fail(s.b, CAPNP_BAD_USE);
        return NULL;
    }
    return s.b->base + (size_t)s.word * 8 + at;
}

static inline void capnp_set_u8(struct capnp_struct_b s, uint32_t at, uint8_t v, uint8_t mask)
{
    uint8_t *p = capnp_field(s, at, 1);
    if (p != NULL) {
        *p = v ^ mask;
    }
}

static inline void capnp_set_u16(struct capnp_struct_b s, uint32_t at, uint16_t v, uint16_t mask)
{
    uint8_t *p = capnp_field(s, at * 2, 2);
    if (p != NULL) {
        store_le16(p, v ^ mask);
    }
}

static inline void capnp_set_u32(struct capnp_struct_b s, uint32_t at, uint32_t v, uint32_t mask)
{
    uint8_t *p = capnp_field(s, at * 4, 4);
    if (p != NULL) {
        store_le32(p, v ^ mask);
    }
}

static inline void capnp_set_u64(struct capnp_struct_b s, uint32_t at, uint64_t v, uint64_t mask)
{
    uint8_t *p = capnp_field(s, at * 8, 8);
    if (p != NULL) {
        store_le64(p, v ^ mask);
    }
}

static inline void capnp_set_bool(struct capnp_struct_b s, uint32_t at, bool v, bool mask)
{
    uint8_t *p = capnp_field(s, at / 8, 1);
    if (p != NULL) {
        uint8_t bit = (uint8_t)(1u << (at % 8));
        *p = (uint8_t)((v != mask) ? (*p | bit) : (*p & (uint8_t)~bit));
    }
}

struct capnp_struct_b capnp_init_struct(struct capnp_struct_b s, uint32_t slot, uint16_t data_words,
                                        uint16_t ptr_count);
/* Text is checked: bytes that are not UTF-8 are CAPNP_BAD_TEXT. ptr may be NULL when len is 0. */
void capnp_set_text(struct capnp_struct_b s, uint32_t slot, const char *ptr, size_t len);
void capnp_set_data(struct capnp_struct_b s, uint32_t slot, const void *ptr, size_t len);
/* Allocates `len` zero bytes of data and returns where they are, to be filled in place before the
 * next use of the builder's buffer by anyone else; NULL (failure noted) without room. */
uint8_t *capnp_init_data(struct capnp_struct_b s, uint32_t slot, size_t len);
struct capnp_list_b capnp_init_list(struct capnp_struct_b s, uint32_t slot, enum capnp_kind kind,
                                    uint32_t count);
struct capnp_list_b capnp_init_struct_list(struct capnp_struct_b s, uint32_t slot,
                                           uint16_t data_words, uint16_t ptr_count, uint32_t count);

static inline uint32_t capnp_list_b_len(struct capnp_list_b l)
{
    return l.count;
}

void capnp_list_bool_set(struct capnp_list_b l, uint32_t i, bool v);
void capnp_list_u8_set(struct capnp_list_b l, uint32_t i, uint8_t v);
void capnp_list_u16_set(struct capnp_list_b l, uint32_t i, uint16_t v);
void capnp_list_u32_set(struct capnp_list_b l, uint32_t i, uint32_t v);
void capnp_list_u64_set(struct capnp_list_b l, uint32_t i, uint64_t v);
/* The first `count` elements at once; more than the list has are not set at all. */
void capnp_list_u64_copy(struct capnp_list_b l, const uint64_t *values, uint32_t count);
static inline void capnp_list_i8_set(struct capnp_list_b l, uint32_t i, int8_t v)
{
    capnp_list_u8_set(l, i, (uint8_t)v);
}
static inline void capnp_list_i16_set(struct capnp_list_b l, uint32_t i, int16_t v)
{
    capnp_list_u16_set(l, i, (uint16_t)v);
}
static inline void capnp_list_i32_set(struct capnp_list_b l, uint32_t i, int32_t v)
{
    capnp_list_u32_set(l, i, (uint32_t)v);
}
static inline void capnp_list_i64_set(struct capnp_list_b l, uint32_t i, int64_t v)
{
    capnp_list_u64_set(l, i, (uint64_t)v);
}
#if defined(CAPNP_HAS_FLOAT)
static inline void capnp_list_f32_set(struct capnp_list_b l, uint32_t i, float v)
{
    capnp_list_u32_set(l, i, capnp_bits_of_float(v));
}
static inline void capnp_list_f64_set(struct capnp_list_b l, uint32_t i, double v)
{
    capnp_list_u64_set(l, i, capnp_bits_of_double(v));
}
#endif
struct capnp_struct_b capnp_list_struct_b_at(struct capnp_list_b l, uint32_t i);
void capnp_text_list_set(struct capnp_list_b l, uint32_t i, const char *ptr, size_t len);
void capnp_data_list_set(struct capnp_list_b l, uint32_t i, const void *ptr, size_t len);
/* Element i of a list of lists: allocates the inner list. */
struct capnp_list_b capnp_list_list_init(struct capnp_list_b l, uint32_t i, enum capnp_kind kind,
                                         uint32_t count);
struct capnp_list_b capnp_list_struct_list_init(struct capnp_list_b l, uint32_t i,
                                                uint16_t data_words, uint16_t ptr_count,
                                                uint32_t count);

#endif
