/* SPDX-License-Identifier: MIT */
/*
 * What a new process finds. Entry registers (x86_64): RDI = address of the capset pages (below,
 * mapped read-only), RSI = the thread's ring, all other general registers zero, RSP = CAPOS_STACK_ROOM
 * (abi/layout.h) below the end of the stack, which is the thread pointer too: a multiple of 64 with room for a word above it;
 * direction flag clear.
 */
#ifndef CAPOS_ABI_CAPSET_H
#define CAPOS_ABI_CAPSET_H

#include <assert.h>
#include <stdint.h>

#include "abi/types.h"

enum {
    CAPOS_CAPSET_VERSION = 1,
    CAPOS_CAP_NAME_BYTES = 32, /* NUL-terminated */
    CAPOS_CAPSET_MAX = 62,     /* grants of one spawn: header and entries fill one page */
};

#define CAPOS_CAPSET_MAGIC UINT32_C(0x53504143) /* "CAPS" */

struct capos_capset_entry {
    uint64_t cap;
    uint64_t interface;
    uint64_t facet;         /* method bitmap */
    uint32_t transfer_mode; /* enum of schema/annotations.capnp: 0 copy, 1 move, 2 none */
    uint32_t reserved;
    char name[CAPOS_CAP_NAME_BYTES];
};
static_assert(sizeof(struct capos_capset_entry) == 64, "capset entry");

struct capos_capset {
    uint32_t magic;
    uint32_t version;
    uint32_t count;
    uint32_t reserved;
    uint64_t ring; /* address of the first thread's ring */
    uint64_t ring_bytes;
    uint64_t stack_base; /* lowest usable address of the first thread's stack */
    uint64_t stack_bytes;
    uint64_t image_base; /* lowest and one past the highest address of the image */
    uint64_t image_end;
    uint64_t process_id; /* for messages and logs only; never authority */
    uint64_t reserved1[7];
    struct capos_capset_entry entries[];
};
static_assert(offsetof(struct capos_capset, entries) == 128, "capset header");
static_assert(128 + CAPOS_CAPSET_MAX * 64 <= 4096, "capset fits a page");

#endif
