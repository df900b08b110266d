/* SPDX-License-Identifier: MIT */
/*
 * Heap. A program with the grant `memory` (VirtualMemory) reserves address space once and commits
 * as it grows; without it there is a static arena of CAPOS_HEAP_ARENA_BYTES. Blocks are aligned to
 * 16. Programs that never call these do not contain them.
 */
#ifndef CAPOS_HEAP_H
#define CAPOS_HEAP_H

#include <stddef.h>

enum {
    CAPOS_HEAP_ARENA_BYTES = 32 * 1024,
    CAPOS_HEAP_RESERVE_BYTES = 16 * 1024 * 1024, /* halved until the ledger allows it */
};

/* NULL when there is no memory left, or bytes is 0. */
void *capos_alloc(size_t bytes);

/* The same, zeroed; count * bytes is checked. */
void *capos_alloc_zeroed(size_t count, size_t bytes);

/* Grows or shrinks; NULL and the old block untouched when there is no memory. */
void *capos_realloc(void *block, size_t bytes);

/* NULL is ignored. A block that is not allocated ends the process: the heap is corrupt. */
void capos_free(void *block);

struct capos_heap_stats {
    size_t used_bytes;      /* in blocks handed out, headers included */
    size_t committed_bytes; /* from the system */
};
struct capos_heap_stats capos_heap_stats(void);

#endif
