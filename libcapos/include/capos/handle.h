/* SPDX-License-Identifier: MIT */
/*
 * Owned handles: a capability that is released when its variable goes out of scope, on every way out.
 *
 *     CAPOS_OWNED memory = capos_own(cap);         released at the end of the block
 *     capos_handle_set(&memory, another);          the earlier one is released
 *     return capos_handle_take(&memory);           the caller owns it now; nothing is released
 *
 * A handle has one owner: it is not copied. 0 is no capability, and releasing it does nothing.
 */
#ifndef CAPOS_HANDLE_H
#define CAPOS_HANDLE_H

#include "abi/types.h"
#include "capos/ring.h"
#include "lib/base/compiler.h"

struct capos_handle {
    capos_cap_t cap; /* to be used, not to be kept; 0 when somebody else has it */
};

static inline struct capos_handle capos_own(capos_cap_t cap)
{
    return (struct capos_handle){cap};
}

/* Gives the capability up to the caller. */
static inline MUST_CHECK capos_cap_t capos_handle_take(struct capos_handle *handle)
{
    capos_cap_t cap = handle->cap;
    handle->cap = 0;
    return cap;
}

/* Releases what it holds and owns this one. */
static inline void capos_handle_set(struct capos_handle *handle, capos_cap_t cap)
{
    capos_release(handle->cap);
    handle->cap = cap;
}

/* Releases what it holds: early, or for CAPOS_OWNED. */
static inline void capos_handle_drop(struct capos_handle *handle)
{
    capos_handle_set(handle, 0);
}

/* Declares a handle that is dropped at the end of its block. */
#define CAPOS_OWNED AT_SCOPE_END(capos_handle_drop) struct capos_handle

#endif
