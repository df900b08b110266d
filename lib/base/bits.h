/* SPDX-License-Identifier: MIT */
/* Alignment, powers of two, bit scans, checked arithmetic, unaligned little-endian access. */
#ifndef CAPOS_LIB_BASE_BITS_H
#define CAPOS_LIB_BASE_BITS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "loads and stores are little-endian");

#define BIT64(n) (UINT64_C(1) << (n))
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

static inline bool is_power_of_two(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

/* `align` is a power of two. align_up wraps to a small value above UINT64_MAX - align + 1: callers
 * with foreign values use align_up_checked. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

static inline bool is_aligned(uint64_t v, uint64_t align)
{
    return (v & (align - 1)) == 0;
}

/* Each returns false, and leaves *out alone, when the result does not fit. */
static inline bool add_checked(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

static inline bool mul_checked(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b != 0 && a > UINT64_MAX / b) {
        return false;
    }
    *out = a * b;
    return true;
}

static inline bool align_up_checked(uint64_t v, uint64_t align, uint64_t *out)
{
    uint64_t sum;
    if (!add_checked(v, align - 1, &sum)) {
        return false;
    }
    *out = sum & ~(align - 1);
    return true;
}

/* Index of the lowest or highest set bit; `v` must not be 0. */
static inline unsigned bit_lowest(uint64_t v)
{
    return (unsigned)__builtin_ctzll(v);
}

static inline unsigned bit_highest(uint64_t v)
{
    return 63u - (unsigned)__builtin_clzll(v);
}

static inline unsigned bit_count(uint64_t v)
{
    return (unsigned)__builtin_popcountll(v);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Loads and stores at any alignment, safe against aliasing rules. */
static inline uint16_t load_le16(const void *p)
{
    uint16_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t load_le32(const void *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t load_le64(const void *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static inline void store_le16(void *p, uint16_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

static inline void store_le32(void *p, uint32_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

static inline void store_le64(void *p, uint64_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

#endif
