/* SPDX-License-Identifier: MIT */
/*
 * Cap'n Proto without allocation, for messages from strangers.
 *
 * A message here is *bare*: one segment, its first word the root pointer, its length a multiple of
 * 8. An empty message (length 0) is the root struct with every field at its default. Far pointers and
 * capability pointers are refused; a message of several segments is first gathered into a bare one
 * (lib/capnp/segments.h).
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
    CAPNP_CUT,           /* a frame's input ends too early */
    CAPNP_NOT_CANONICAL, /* well formed or not, it is not the one form of its content */
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

/* The same with one bounds check where the sender knew no pointers: made for types without pointer fields. */
static inline enum capnp_status capnp_read_flat(const void *msg, size_t len_bytes,
                                                const struct capnp_struct_type *type,
                                                struct capnp_struct *out)
{
    if (len_bytes == 0) {
        out->data = NULL;
        out->data_bytes = 0;
        out->ptr_count = 0;
        return CAPNP_OK;
    }
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

#include "lib/capnp/get.h"

#include "lib/capnp/build.h"

#endif
