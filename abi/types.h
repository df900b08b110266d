/* SPDX-License-Identifier: MIT */
/* Scalars with a meaning that kernel, user space and host tools share. */
#ifndef CAPOS_ABI_TYPES_H
#define CAPOS_ABI_TYPES_H

#include <stddef.h>
#include <stdint.h>

/* 0 is success, negative is one of the ST_* refusals of schema/status.capnp (generated). */
typedef int32_t status_t;

/* A capability id: 24 bits of index below 40 bits of generation. 0 is never a capability. */
typedef uint64_t capos_cap_t;

enum {
    CAPOS_CAP_INDEX_BITS = 24,
    CAPOS_CAP_GENERATION_BITS = 40,
};

#endif
