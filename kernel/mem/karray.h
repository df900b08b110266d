/* SPDX-License-Identifier: MIT */
/* A charged array of kernel pages that need not be contiguous: ring pages and records live in these.
 * At most KARRAY_MAX_PAGES pages. */
#ifndef CAPOS_KERNEL_MEM_KARRAY_H
#define CAPOS_KERNEL_MEM_KARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/compiler.h"

struct ledger;

enum { KARRAY_DIRECTORY = 512, KARRAY_MAX_PAGES = 2 * KARRAY_DIRECTORY };

/* All [I] once made. */
struct karray {
    uint8_t **directory[2];
    uint32_t npages;
};

/* Zeroed pages, charged to the ledger. False: exhausted, nothing kept. */
MUST_CHECK bool karray_init(struct karray *array, struct ledger *ledger, uint32_t npages);

/* Gives all back. Harmless on one that is all zero. */
void karray_destroy(struct karray *array, struct ledger *ledger);

static ALWAYS_INLINE uint8_t *karray_page(const struct karray *array, uint32_t index)
{
    return array->directory[index / KARRAY_DIRECTORY][index % KARRAY_DIRECTORY];
}

#endif
