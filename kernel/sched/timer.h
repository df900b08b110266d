/* SPDX-License-Identifier: MIT */
/*
 * Deadlines: one ordered tree per CPU, intrusive, nothing allocated.
 *
 * A timer is queued on the CPU that armed it. Expiry pops under the queue's lock, notes what it is
 * firing, drops the lock and calls; the callee takes its own locks and compares the generation it is
 * given with the one it finds, for the owner may have moved on meanwhile. Before the memory of a
 * timer is freed: timer_cancel, then timers_quiet until true.
 */
#ifndef CAPOS_KERNEL_SCHED_TIMER_H
#define CAPOS_KERNEL_SCHED_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lock.h"
#include "lib/base/compiler.h"
#include "lib/base/tree.h"

struct timer;
typedef void (*timer_fn)(struct timer *timer, uint32_t generation);

/* [t] lock of the queue of `cpu` */
struct timer {
    struct tree_node node; /* [t] key = deadline_ns */
    uint32_t generation;   /* [t] the owner's, when armed */
    uint16_t cpu;          /* [t] written by the owner while not armed */
    bool armed;            /* [t] */
    timer_fn fire;         /* [I] */
    void *owner;           /* [I] the ring it belongs to: see timers_quiet */
};

struct timer_queue {
    struct spinlock lock;     /* rank LOCK_TIMER */
    struct tree tree;         /* own lock */
    uint64_t armed_ns;        /* own CPU: what arch_timer_arm was last told */
    const void *firing_owner; /* own lock: of the timer popped whose function has not returned */
};

void timer_init(struct timer *timer, timer_fn fire, void *owner);

/* Arms for this absolute time on this CPU. The timer must not be armed. */
void timer_arm(struct timer *timer, uint64_t deadline_ns, uint32_t generation);

/* Disarms; true when it was armed and so will not fire. It may be firing at this moment: see
 * timers_quiet. */
bool timer_cancel_armed(struct timer *timer);
/* For the owner, who alone arms: a false is final, and with a true it may fire at this moment. */
static inline bool timer_is_armed(const struct timer *timer)
{
    return __atomic_load_n(&timer->armed, __ATOMIC_ACQUIRE);
}
static inline bool timer_cancel(struct timer *timer)
{
    return UNLIKELY(timer_is_armed(timer)) && timer_cancel_armed(timer);
}

/* True when no timer of this owner is firing on any CPU. With all of them cancelled, their memory may
 * be freed. */
bool timers_quiet(const void *owner);

/* Fires what is due on this CPU, at most a fixed number; true when more is due. */
bool timers_expire(uint64_t now_ns);

/* Earliest deadline of this CPU; ARCH_TIME_NEVER when there is none. */
uint64_t timers_next_ns(void);

#endif
