/* SPDX-License-Identifier: MIT */
/* What the warden's processes and the siege's have in common: checks, pointers of messages, chance. */
#ifndef CAPOS_TESTS_HOSTILE_COMMON_H
#define CAPOS_TESTS_HOSTILE_COMMON_H

#include <stdint.h>

/* ---- checks ---- */

/* A broken check, told in the program's own way. */
void check_failed(const char *file, int line, const char *what, int64_t got, int64_t want);

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            check_failed(__FILE__, __LINE__, #condition, 0, 1); \
        } \
    } while (0)
#define CHECK_EQ(got, want) \
    do { \
        int64_t got_ = (int64_t)(got); \
        int64_t want_ = (int64_t)(want); \
        if (got_ != want_) { \
            check_failed(__FILE__, __LINE__, #got, got_, want_); \
        } \
    } while (0)

/* ---- pointers of the encoding; an offset is in words from behind the pointer ---- */

#define STRUCT_PTR(offset, data, ptrs) \
    ((uint64_t)((uint32_t)(offset) << 2) | (uint64_t)(data) << 32 | (uint64_t)(ptrs) << 48)
#define LIST_PTR(offset, code, count) \
    ((uint64_t)((uint32_t)(offset) << 2 | 1) | (uint64_t)(code) << 32 | (uint64_t)(count) << 35)
#define FAR_PTR(offset, segment) \
    ((uint64_t)((uint32_t)(offset) << 3 | 2) | (uint64_t)(segment) << 32)
#define CAP_PTR(index) (UINT64_C(3) | (uint64_t)(index) << 32)

enum { BITS = 1, BYTES = 2, WORDS = 5, POINTERS = 6, COMPOSITE = 7 };

/* ---- chance, the same at every run ---- */

uint64_t chance(void);

static inline uint64_t chance_after(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

#endif
