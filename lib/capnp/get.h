/* SPDX-License-Identifier: MIT */
/* Getters over views of a validated message; include lib/capnp/capnp.h, which tells the contract. */
#ifndef CAPOS_LIB_CAPNP_GET_H
#define CAPOS_LIB_CAPNP_GET_H

#include "lib/capnp/capnp.h"

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

#endif
