/* SPDX-License-Identifier: MIT */
/* Counts of references: what holds a thing keeps its memory. */
#ifndef CAPOS_KERNEL_CORE_REFS_H
#define CAPOS_KERNEL_CORE_REFS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/panic.h"
#include "lib/base/atomic.h"

/* A ref of something whose refs may be zero already (its last holder is unlinking it): false. */
static inline bool ref_try(_Atomic uint32_t *refs)
{
    uint32_t seen = atomic_load_relaxed(refs);
    while (seen != 0) {
        if (atomic_cas_relaxed(refs, &seen, seen + 1)) {
            return true;
        }
    }
    return false;
}

/* True: it was the last. */
static ALWAYS_INLINE bool ref_drop(_Atomic uint32_t *refs)
{
    uint32_t before = atomic_sub_acq_rel(refs, 1);
    KDEBUG_ASSERT(before != 0);
    return UNLIKELY(before == 1);
}

#endif
