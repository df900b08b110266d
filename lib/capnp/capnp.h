/* SPDX-License-Identifier: MIT */
/*
 * Cap'n Proto without allocation, for messages from strangers.
 *
 * A message here is *bare*: one segment, its first word the root pointer, its length a multiple of
 * 8. An empty message (length 0) is the root struct with every field at its default. Far pointers,
 * further segments and capability pointers are refused.
 *
 * Reading. X_read() (generated) walks the whole message once against the type table of X. When it
 * returns CAPNP_OK, every getter on the view it gave is total: it can neither fail nor leave the
 * message, whatever the bytes were. Absent fields and shorter sections (an older sender) read as the
 * schema's default; longer ones (a newer sender) are bounds-checked and ignored. Enumerants and
 * union members that the schema does not know are handed on as numbers. A getter of a union
 * member that is not the active one gives that member's default.
 *
 * The message must not change and must stay mapped for as long as a view of it is used: read a
 * private copy, never memory that somebody else can write. No alignment is required.
 *
 * Cost is bounded before anything is followed: every pointer is charged to a budget of words and to
 * a budget of depth; lists whose elements take no space are charged per element. Validation recurses
 * once a pointer: at most about 200 bytes of stack for each level of the depth limit.
 *
 * Building. A builder owns nothing: it fills a caller's buffer up to a hard end. The first failure
 * is kept in `status`; from then on every set is harmless and capnp_finish() reports it.
 *
 * Setting a pointer field twice leaves the first object's words in the message, unreferenced.
 */
#ifndef CAPOS_LIB_CAPNP_CAPNP_H
#define CAPOS_LIB_CAPNP_CAPNP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/bits.h"

enum capnp_status {
    CAPNP_OK = 0,
    CAPNP_BAD_LENGTH,    /* not a multiple of 8, longer than a segment can be, or a bad frame */
    CAPNP_OUT_OF_BOUNDS, /* something points, or reaches, outside the message */
    CAPNP_BAD_POINTER,   /* far pointer, capability pointer, unknown pointer kind */
    CAPNP_BAD_KIND,      /* the pointer's kind or element size does not fit the schema */
    CAPNP_BAD_LIST,      /* malformed list of structs */
    CAPNP_BAD_TEXT,      /* text without its NUL, or not UTF-8 */
    CAPNP_TOO_DEEP,      /* more nested pointers than the limit */
    CAPNP_TOO_MUCH,      /* following every pointer would cost more words than the limit */
    CAPNP_NO_ROOM,       /* building: the buffer is full */
    CAPNP_BAD_USE,       /* building: index or size outside what was allocated */
};

/* The name of a status, for messages and logs. */
const char *capnp_status_name(enum capnp_status status);

enum {
    CAPNP_WORD = 8,
    CAPNP_DEPTH = 32, /* nested pointers X_read follows */
};

/* A segment holds at most this many bytes: list and pointer offsets stay far from overflow. */
#define CAPNP_SEGMENT_MAX_BYTES (UINT64_C(1) << 31)

struct capnp_limits {
    uint64_t words; /* what following every pointer may cost */
    uint32_t depth;
};

/* The limits X_read uses: every message whose objects are pointed to once passes. */
static inline struct capnp_limits capnp_default_limits(size_t len_bytes)
{
    struct capnp_limits limits = {(uint64_t)len_bytes + 64, CAPNP_DEPTH};
    return limits;
}

/* ---- Type tables, generated ---- */

enum capnp_kind {
    CAPNP_KIND_VOID,
    CAPNP_KIND_BOOL,
    CAPNP_KIND_BITS8,
    CAPNP_KIND_BITS16,
    CAPNP_KIND_BITS32,
    CAPNP_KIND_BITS64,
    CAPNP_KIND_TEXT,
    CAPNP_KIND_DATA,
    CAPNP_KIND_LIST,   /* of: the element's struct capnp_type */
    CAPNP_KIND_STRUCT, /* of: struct capnp_struct_type */
};

struct capnp_type {
    enum capnp_kind kind;
    const void *of;
};

/* A pointer field that is a union member exists only while the discriminant has its value; outer
 * conditions are those of the groups around it. */
struct capnp_condition {
    uint32_t offset_bytes;
    uint16_t value;
    const struct capnp_condition *outer;
};

struct capnp_pointer_field {
    uint16_t slot;
    const struct capnp_condition *when; /* NULL: always */
    struct capnp_type type;
};

struct capnp_struct_type {
    uint16_t data_words;
    uint16_t ptr_count;
    uint16_t field_count;
    const struct capnp_pointer_field *fields; /* by slot, ascending */
};

/* ---- Views of a validated message ---- */

/* A struct: its data section, then its pointers. All zero: every field reads as default. */
struct capnp_struct {
    const uint8_t *data;
    uint32_t data_bytes;
    uint16_t ptr_count;
};

/* A list. An element's data begins stride_bits * index bits behind ptr; its pointers follow its
 * data. Lists of bits have stride 1. */
struct capnp_list {
    const uint8_t *ptr;
    uint32_t count;
    uint32_t stride_bits;
    uint32_t data_bits;
    uint16_t ptr_count;
};

/* UTF-8; ptr[len] is 0. The text may hold further NULs: use len. Never NULL. */
struct capnp_text {
    const char *ptr;
    uint32_t len;
};

struct capnp_data {
    const uint8_t *ptr;
    uint32_t len;
};

/* Validates the message `msg` of `len_bytes` against `type` within `limits`. On CAPNP_OK *out views
 * its root; else *out is the empty struct. msg may be NULL when len_bytes is 0. */
enum capnp_status capnp_read_limited(const void *msg, size_t len_bytes,
                                     const struct capnp_struct_type *type,
                                     const struct capnp_limits *limits, struct capnp_struct *out);

/* The same with the default limits. */
enum capnp_status capnp_read(const void *msg, size_t len_bytes,
                             const struct capnp_struct_type *type, struct capnp_struct *out);

/* For types without pointer fields: one bounds check where the sender knew no pointers either. */
static inline enum capnp_status capnp_read_flat(const void *msg, size_t len_bytes,
                                                const struct capnp_struct_type *type,
                                                struct capnp_struct *out)
{
    if (len_bytes >= CAPNP_WORD && len_bytes <= CAPNP_SEGMENT_MAX_BYTES && len_bytes % 8 == 0) {
        uint64_t root = load_le64(msg);
        uint64_t offset = (root >> 2) & 0x3fffffff;
        uint64_t data_words = (root >> 32) & 0xffff;
        if ((root & 3) == 0 && root >> 48 == 0 && offset < 0x20000000 &&
            1 + offset + data_words <= len_bytes / 8) {
            out->data = (const uint8_t *)msg + 8 + offset * 8;
            out->data_bytes = (uint32_t)data_words * 8;
            out->ptr_count = 0;
            return CAPNP_OK;
        }
    }
    return capnp_read(msg, len_bytes, type, out);
}

/* Finds the one segment in a framed stream message (what `capnp eval -b` writes): *msg and
 * *msg_bytes are then fit for X_read. More than one segment, a length that disagrees with the
 * frame, or trailing bytes are CAPNP_BAD_LENGTH. */
enum capnp_status capnp_unframe(const void *file, size_t file_bytes, const void **msg,
                                size_t *msg_bytes);

/* True when the bytes are well-formed UTF-8 (no overlong forms, no surrogates). */
bool capnp_utf8_valid(const void *bytes, size_t len);

/* ---- Scalar fields. Offsets are in units of the field; `mask` is the default, XORed ---- */

static inline uint8_t capnp_get_u8(struct capnp_struct s, uint32_t at, uint8_t mask)
{
    return (uint8_t)((at < s.data_bytes ? s.data[at] : 0) ^ mask);
}

static inline uint16_t capnp_get_u16(struct capnp_struct s, uint32_t at, uint16_t mask)
{
    return (uint16_t)((at * 2 + 2 <= s.data_bytes ? load_le16(s.data + at * 2) : 0) ^ mask);
}

static inline uint32_t capnp_get_u32(struct capnp_struct s, uint32_t at, uint32_t mask)
{
    return (at * 4 + 4 <= s.data_bytes ? load_le32(s.data + at * 4) : 0) ^ mask;
}

static inline uint64_t capnp_get_u64(struct capnp_struct s, uint32_t at, uint64_t mask)
{
    return (at * 8 + 8 <= s.data_bytes ? load_le64(s.data + at * 8) : 0) ^ mask;
}

static inline bool capnp_get_bool(struct capnp_struct s, uint32_t at, bool mask)
{
    bool bit = at / 8 < s.data_bytes && ((s.data[at / 8] >> (at % 8)) & 1) != 0;
    return bit != mask;
}

/* The struct while its union's discriminant (16-bit unit `at`) is `value`; else the empty struct, all
 * of whose fields are at their defaults. */
static inline struct capnp_struct capnp_active(struct capnp_struct s, uint32_t at, uint16_t value)
{
    static const struct capnp_struct none = {NULL, 0, 0};
    return capnp_get_u16(s, at, 0) == value ? s : none;
}

/* The kernel is built without floating-point registers; it has no such fields. */
#if !defined(CAPOS_KERNEL)
#define CAPNP_HAS_FLOAT 1
static inline uint32_t capnp_bits_of_float(float v)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static inline uint64_t capnp_bits_of_double(double v)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static inline float capnp_float_of_bits(uint32_t bits)
{
    float v;
    __builtin_memcpy(&v, &bits, sizeof(v));
    return v;
}

static inline double capnp_double_of_bits(uint64_t bits)
{
    double v;
    __builtin_memcpy(&v, &bits, sizeof(v));
    return v;
}
#endif

/* ---- Pointer fields. `fallback` is the default as a bare message of ours, or NULL ---- */

bool capnp_has(struct capnp_struct s, uint32_t slot);
struct capnp_struct capnp_get_struct(struct capnp_struct s, uint32_t slot,
                                     const uint64_t *fallback);
struct capnp_list capnp_get_list(struct capnp_struct s, uint32_t slot, const uint64_t *fallback);
struct capnp_text capnp_get_text(struct capnp_struct s, uint32_t slot, const uint64_t *fallback);
struct capnp_data capnp_get_data(struct capnp_struct s, uint32_t slot, const uint64_t *fallback);

/* The view of a message that is known to be well formed: a constant or a default. */
struct capnp_struct capnp_trusted_root(const uint64_t *message);

/* ---- List elements. An index at or past count gives the default ---- */

static inline uint32_t capnp_list_len(struct capnp_list l)
{
    return l.count;
}

bool capnp_list_bool_at(struct capnp_list l, uint32_t i);
uint8_t capnp_list_u8_at(struct capnp_list l, uint32_t i);
uint16_t capnp_list_u16_at(struct capnp_list l, uint32_t i);
uint32_t capnp_list_u32_at(struct capnp_list l, uint32_t i);
uint64_t capnp_list_u64_at(struct capnp_list l, uint32_t i);
static inline int8_t capnp_list_i8_at(struct capnp_list l, uint32_t i)
{
    return (int8_t)capnp_list_u8_at(l, i);
}
static inline int16_t capnp_list_i16_at(struct capnp_list l, uint32_t i)
{
    return (int16_t)capnp_list_u16_at(l, i);
}
static inline int32_t capnp_list_i32_at(struct capnp_list l, uint32_t i)
{
    return (int32_t)capnp_list_u32_at(l, i);
}
static inline int64_t capnp_list_i64_at(struct capnp_list l, uint32_t i)
{
    return (int64_t)capnp_list_u64_at(l, i);
}
#if defined(CAPNP_HAS_FLOAT)
static inline float capnp_list_f32_at(struct capnp_list l, uint32_t i)
{
    return capnp_float_of_bits(capnp_list_u32_at(l, i));
}
static inline double capnp_list_f64_at(struct capnp_list l, uint32_t i)
{
    return capnp_double_of_bits(capnp_list_u64_at(l, i));
}
#endif
struct capnp_struct capnp_list_struct_at(struct capnp_list l, uint32_t i);
struct capnp_text capnp_text_list_at(struct capnp_list l, uint32_t i);
struct capnp_data capnp_data_list_at(struct capnp_list l, uint32_t i);
struct capnp_list capnp_list_list_at(struct capnp_list l, uint32_t i);

/* Compares with a C string. */
bool capnp_text_is(struct capnp_text text, const char *literal);

/* ---- Building ---- */

struct capnp_builder {
    uint8_t *base;
    uint32_t capacity_words;
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
void capnp_builder_init(struct capnp_builder *b, void *buf, size_t bytes);

/* Allocates the root. Called again it starts the message anew; a failure already noted stays. */
struct capnp_struct_b capnp_init_root(struct capnp_builder *b, uint16_t data_words,
                                      uint16_t ptr_count);

/* Ends building: the status, and on CAPNP_OK *len = bytes of the message (else 0). A builder in
 * which nothing was initialised gives the empty message, length 0. */
enum capnp_status capnp_finish(const struct capnp_builder *b, size_t *len);

/* Notes a failure if none is noted yet. */
static inline void capnp_builder_fail(struct capnp_builder *b, enum capnp_status status)
{
    if (b->status == CAPNP_OK) {
        b->status = status;
    }
}

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
