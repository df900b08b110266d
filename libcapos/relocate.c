/* SPDX-License-Identifier: MIT */
/*
 * A program lies where the kernel drew, so the addresses that its data holds are put right before anything
 * else runs. The linker leaves them packed (RELR): an even word is the place of one, an odd word is a
 * bitmap of the 63 places behind it, each eight bytes. Text and constants hold none: they stay shared.
 */
#include "capos/start.h"
#include "internal.h"

enum { DYNAMIC_END = 0, DYNAMIC_RELA = 7, DYNAMIC_RELR_BYTES = 35, DYNAMIC_RELR = 36 };

struct dynamic {
    uint64_t tag;
    uint64_t value;
};

/* The linker's: the program's first byte, and what it says about it. */
extern const uint8_t __ehdr_start[];
extern const struct dynamic _DYNAMIC[];

extern void capos_relocate(void); /* called by entry.S */

static uint64_t dynamic(uint64_t tag)
{
    const struct dynamic *entry = _DYNAMIC;
    while (entry->tag != DYNAMIC_END && entry->tag != tag) {
        entry++;
    }
    return entry->tag == tag ? entry->value : 0;
}

NO_STACK_PROTECTOR void capos_relocate(void)
{
    uintptr_t base = (uintptr_t)__ehdr_start;
    const uint64_t *packed = (const uint64_t *)(base + dynamic(DYNAMIC_RELR));
    uint64_t count = dynamic(DYNAMIC_RELR_BYTES) / sizeof(*packed);
    uintptr_t *place = NULL;
    if (dynamic(DYNAMIC_RELA) != 0) {
        capos_sys_exit(CAPOS_EXIT_BAD_START); /* linked without packing them */
    }
    for (uint64_t i = 0; i < count; i++) {
        if ((packed[i] & 1) == 0) {
            place = (uintptr_t *)(base + packed[i]);
            *place++ += base;
            continue;
        }
        for (unsigned bit = 1; bit < 64; bit++, place++) {
            *place += (packed[i] >> bit & 1) != 0 ? base : 0;
        }
    }
}
