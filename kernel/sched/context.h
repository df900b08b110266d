/* SPDX-License-Identifier: MIT */
/*
 * Whom processor time is shared among: contexts, not threads.
 *
 * A context has a weight and a class, and perhaps a limit: so much time in each period. Every process
 * has one of its own for all its threads, so that many threads get no more than one. A
 * SchedulingContext (object/scheduling.h) is another, which threads are bound to.
 *
 * Virtual time is time divided by weight. `finish` is the virtual time up to which a context has been
 * served. A thread that is queued gets it as its place in line, and the context is charged a whole slice
 * in advance, so its other threads stand behind by as much; when the run is over, that is set right. Who
 * comes after a pause starts where the last one stood that was chosen: nobody saves time up. Each class
 * has a clock of its own, the better class always goes first, and to be better than normal takes a limit.
 *
 * A budget is filled up one period after its first use since it was full. What was used beyond it is
 * taken from the next. Threads whose budget is spent stand in `waiting`, in no queue.
 *
 * Invariants: C1 a CPU's `context` is that of the thread it runs, except between a change from outside
 * and the reschedule interrupt that was sent for it. C2 while `waiting` is not empty, the timer is armed
 * or firing.
 */
#ifndef CAPOS_KERNEL_SCHED_CONTEXT_H
#define CAPOS_KERNEL_SCHED_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/kobj.h"
#include "core/lock.h"
#include "lib/base/atomic.h"
#include "lib/base/list.h"
#include "sched/timer.h"

struct thread;

enum { SCHED_CLASSES = 4, SCHED_CLASS_NORMAL = 2 }; /* as enum SchedulingClass, the best first */
enum { SCHED_WEIGHT = 100, SCHED_WEIGHT_MAX = 10000, SCHED_FACTOR_BITS = 16 };

/* [I] immutable  [a] atomic  [l] lock */
struct sched_limit {
    uint64_t budget_ns, period_ns; /* [I] */
    _Atomic int64_t left_ns;       /* [a] 0 and less: spent; written under the lock */
    struct spinlock lock;          /* rank LOCK_THREAD */
    uint64_t refill_ns;            /* [l] when it is filled up; 0: it is full */
    _Atomic uint64_t times_spent;  /* [a] */
    struct list waiting;           /* [l] threads, by held_link */
    struct timer refill;           /* armed while some wait; holds a ref of the context's object */
};

struct sched_context {
    _Atomic uint64_t finish[SCHED_CLASSES]; /* [a] virtual ns */
    _Atomic uint64_t used_ns;               /* [a] in all, but for */
    _Atomic uint64_t noted_ns;              /* [a] what is not in `finish` yet, either */
    _Atomic uint32_t threads;               /* [a] that are bound to it */
    uint32_t factor;                        /* [I] virtual ns per ns, in 16.16 */
    uint16_t weight;                        /* [I] */
    uint8_t class;                          /* [I] */
    struct sched_limit *limit;              /* [I] or NULL */
    struct kobj *object;                    /* [I] the SchedulingContext; NULL: a process's own */
};

/* What the kernel does for nobody, and idling, is charged to this. */
extern struct sched_context sched_system;

/* Weight 1 to SCHED_WEIGHT_MAX. */
void context_init(struct sched_context *context, unsigned class, unsigned weight);
void context_limit(struct sched_context *context, struct sched_limit *limit, uint64_t budget_ns,
                   uint64_t period_ns);

/* A ref of what keeps it, when that is an object. */
static inline void context_ref(struct sched_context *context)
{
    if (context->object != NULL) {
        kobj_ref(context->object);
    }
}

static inline void context_unref(struct sched_context *context)
{
    if (UNLIKELY(context != NULL && context->object != NULL)) {
        kobj_unref(context->object);
    }
}

static inline bool context_is_spent(const struct sched_context *context)
{
    return context->limit != NULL && atomic_load_relaxed(&context->limit->left_ns) <= 0;
}

/* Takes from the budget of a limited context what was used up to now. True: that was the last of it. */
bool context_spend(struct sched_limit *limit, uint64_t ns, uint64_t now_ns);
/* Fills it up if it is time; what is left. */
int64_t context_refill(struct sched_limit *limit, uint64_t now_ns);

/* The context is dead: who waits for its budget waits no more. */
void context_end(struct sched_context *context);

/* A READY thread in no queue waits for its budget, or need not (false). */
bool context_hold(struct thread *thread);
/* Takes a thread out of the line of those that wait; false: it is not in it. */
bool context_let_go(struct thread *thread);

/* True when no CPU is charged to it; those that are are made to look. No thread runs on it any more. */
bool context_is_quiet(const struct sched_context *context);

/* What `ns` of its time are in line. */
static inline uint64_t context_virtual_ns(const struct sched_context *context, uint64_t ns)
{
    return ns * context->factor >> SCHED_FACTOR_BITS;
}

#endif
