/* SPDX-License-Identifier: MIT */
/* What reading and building by description share; private to lib/capnp. */
#ifndef CAPOS_LIB_CAPNP_DYNAMIC_KINDS_H
#define CAPOS_LIB_CAPNP_DYNAMIC_KINDS_H

#include "lib/capnp/dynamic.h"

enum {
    DYN_OFFSET_MAX = 65535 * 64, /* bits in the largest data section: no offset is beyond */
};

/* Bits of data of a scalar kind; 0 for others. */
static inline uint32_t dyn_width(enum DescribedKind kind)
{
    switch (kind) {
    case DESCRIBED_KIND_BOOL:
        return 1;
    case DESCRIBED_KIND_INT8:
    case DESCRIBED_KIND_UINT8:
        return 8;
    case DESCRIBED_KIND_INT16:
    case DESCRIBED_KIND_UINT16:
    case DESCRIBED_KIND_ENUM:
        return 16;
    case DESCRIBED_KIND_INT32:
    case DESCRIBED_KIND_UINT32:
    case DESCRIBED_KIND_FLOAT32:
        return 32;
    case DESCRIBED_KIND_INT64:
    case DESCRIBED_KIND_UINT64:
    case DESCRIBED_KIND_FLOAT64:
        return 64;
    default:
        return 0;
    }
}

static inline bool dyn_is_signed(enum DescribedKind kind)
{
    return kind == DESCRIBED_KIND_INT8 || kind == DESCRIBED_KIND_INT16 ||
           kind == DESCRIBED_KIND_INT32 || kind == DESCRIBED_KIND_INT64;
}

static inline uint64_t dyn_extend(enum DescribedKind kind, uint64_t bits)
{
    uint32_t width = dyn_width(kind);
    if (!dyn_is_signed(kind) || width == 64 || (bits >> (width - 1) & 1) == 0) {
        return bits;
    }
    return bits | ~(((uint64_t)1 << width) - 1);
}

#endif
