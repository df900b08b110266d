/* SPDX-License-Identifier: MIT */
/*
 * SchedulingContext: a share of processor time as a capability. sched/context.h says what a context is.
 *
 * It lives while there is a capability, a thread bound to it, a CPU charged to it, or its timer is armed;
 * each holds a ref. Revoked it is dead: whoever is bound to it goes back to the context of its process
 * when it is next chosen.
 */
#ifndef CAPOS_KERNEL_OBJECT_SCHEDULING_H
#define CAPOS_KERNEL_OBJECT_SCHEDULING_H

#include "core/kobj.h"
#include "sched/context.h"

/* [I] immutable  [a] atomic  [o] obj.lock */
struct scheduling_context {
    struct kobj obj; /* ktype SCHEDULING_CONTEXT */
    struct sched_context context;
    struct sched_limit limit;
    uint64_t share_ns;     /* [I] of a second, charged to obj.ledger until it is dead */
    _Atomic uint8_t spent; /* [a] event DEPLETED is to be told */
};

static inline struct scheduling_context *scheduling_context_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct scheduling_context, obj);
}

/* The budget is spent: tells those who wait for it. No lock of rank OBJECT or above is held. */
void scheduling_context_spent(struct kobj *obj);

#endif
