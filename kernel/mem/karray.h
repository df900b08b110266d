/* SPDX-License-Identifier: MIT */
/* A charged array of kernel pages that need not be contiguous: ring pages and records live in these.
 * At most KARRAY_MAX_PAGES pages. */
#ifndef CAPOS_KERNEL_MEM_KARRAY_H
#define CAPOS_KERNEL_MEM_KARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "lib/base/compiler.h"

struct ledger;

enum { KARRAY_DIRECTORY = 512, KARRAY_MAX_PAGES = 2 * KARRAY_DIRECTORY };

/* All [I] once filled. Begins as all zero but `npages`. */
struct karray {
    uint8_t **directory[2];
    uint32_t npages;
    uint32_t filled; /* pages that are there */
};

/* Adds zeroed pages, charged to the ledger, as far as *budget lasts: ST_OK (all are there), ST_PENDING,
 * ST_QUOTA (what is there stays, to be drained). */
MUST_CHECK status_t karray_fill(struct karray *array, struct ledger *ledger, int *budget);

/* Gives pages back, the last first, as far as *budget lasts; true when nothing is left. Harmless on one
 * that was never filled. */
bool karray_drain(struct karray *array, struct ledger *ledger, int *budget);

/* All at once. False: exhausted, nothing kept. */
MUST_CHECK bool karray_init(struct karray *array, struct ledger *ledger, uint32_t npages);

static ALWAYS_INLINE uint8_t *karray_page(const struct karray *array, uint32_t index)
{
    return array->directory[index / KARRAY_DIRECTORY][index % KARRAY_DIRECTORY];
}

#endif
