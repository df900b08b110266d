/* SPDX-License-Identifier: MIT */
/* What PARK shares with those whose waiters its records are: processes and memory objects. */
#ifndef CAPOS_KERNEL_RING_PARK_H
#define CAPOS_KERNEL_RING_PARK_H

#include "core/kobj.h"
#include "ring/record.h"

/* kobj_ops.unlink_record of both. */
void park_unlink(struct kobj *obj, struct record *rec);

/* For a round of the waiters: 0 to stay parked, ST_BAD_ADDRESS when the word is gone, ST_DISCONNECTED.
 * obj->lock is held. */
int32_t park_outcome_locked(struct kobj *obj, const struct record *rec);

#endif
