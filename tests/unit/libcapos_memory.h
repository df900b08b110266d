/* SPDX-License-Identifier: MIT */
/* A ring in ordinary memory, for tests of libcapos, whose kernel is the test. */
#ifndef CAPOS_TESTS_UNIT_LIBCAPOS_MEMORY_H
#define CAPOS_TESTS_UNIT_LIBCAPOS_MEMORY_H

#include <string.h>

#include "abi/ring.h"

enum { SQ = 16, CQ = 32, PAYLOAD_AT = 4096, RING_BYTES = 16384 };

static _Alignas(4096) uint8_t memory[RING_BYTES];
static struct capos_ring_header *const header = (struct capos_ring_header *)(void *)memory;

/* An empty one; it has no payload slots yet. */
static inline void make_ring(void)
{
    memset(memory, 0, sizeof(memory));
    header->magic = CAPOS_RING_MAGIC;
    header->version = CAPOS_RING_VERSION;
    header->sq_entries = SQ;
    header->cq_entries = CQ;
    header->sq_offset = 512;
    header->cq_offset = 512 + SQ * 64;
    header->payload_offset = PAYLOAD_AT;
    header->total_bytes = RING_BYTES;
}

#endif
