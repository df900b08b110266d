/* SPDX-License-Identifier: MIT */
/*
 * Ranked spin locks. Interrupts are always off in the kernel, so there is one kind.
 *
 * A lock may be taken only while every lock held has a lower rank, or, for two locks of one rank,
 * through lock_pair, which orders them by address. Debug builds keep the held locks of each CPU and
 * panic at the first violation, naming both. No CPU waits for another CPU (shootdown, grace period)
 * while it holds a lock.
 *
 * A ticket lock in two words: the owner alone writes `serving`, so giving the lock back is a plain
 * store. Tickets wrap at 2^16; a CPU holds at most one ticket, so that is no danger.
 */
#ifndef CAPOS_KERNEL_CORE_LOCK_H
#define CAPOS_KERNEL_CORE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/cpu.h"
#include "lib/base/atomic.h"
#include "lib/base/compiler.h"

/* Outermost first. The comment says what may be held when one of this rank is taken. */
enum lock_rank {
    LOCK_NONE = 0,
    LOCK_GRANT,         /* nothing, not even another grant */
    LOCK_CAP_TABLE,     /* grant; two tables by address */
    LOCK_OBJECT,        /* grant, never a table: endpoint, notification, process, any kobj.lock */
    LOCK_INFLIGHT,      /* object: a process's list of received calls */
    LOCK_ADDRESS_SPACE, /* two by address; never under an endpoint's lock */
    LOCK_MEMORY_OBJECT, /* address space: mapping counts */
    LOCK_REGISTRY,      /* anything above: ring registry entries, port and interrupt claims */
    LOCK_RING,          /* object, inflight, registry: completions and records of one ring */
    LOCK_THREAD,        /* ring: a thread's scheduling state */
    LOCK_RUN_QUEUE,     /* thread; two by CPU number */
    LOCK_TIMER,         /* any of the above: a CPU's timer queue */
    LOCK_JOBS,          /* any of the above: a CPU's job list */
    LOCK_SLAB,          /* any of the above: a ledger's slab pages */
    LOCK_FRAMES,        /* slab: the frame pool */
    LOCK_LOG,           /* any: the kernel log */
    LOCK_RANKS,
};

/* [a] atomic  [o] written by the owner alone  [I] immutable */
struct spinlock {
    _Atomic uint16_t next;    /* [a] the ticket the next comer gets */
    _Atomic uint16_t serving; /* [o] the ticket that holds the lock */
    uint8_t rank;             /* [I] enum lock_rank */
};

#define SPINLOCK_INIT(r) \
    { \
        .rank = (r) \
    }

void lock_init(struct spinlock *lock, enum lock_rank rank);

/* Takes two distinct locks of one rank, lower address first; a == b takes it once. */
void lock_pair(struct spinlock *a, struct spinlock *b);
void unlock_pair(struct spinlock *a, struct spinlock *b);

/* Panics in debug builds unless this CPU holds the lock; nothing in release builds or in a panic. */
void lock_assert_held(const struct spinlock *lock);

/* Panics in debug builds if this CPU holds any lock: for the ways out of the kernel. */
void lock_assert_none(void);

/* For lock_acquire: waits for the ticket's turn. */
COLD void lock_wait(struct spinlock *lock, uint16_t ticket);

#ifdef CAPOS_DEBUG
void lock_acquire(struct spinlock *lock);
void lock_release(struct spinlock *lock);
#else
static inline void lock_acquire(struct spinlock *lock)
{
    uint16_t ticket;
    if (UNLIKELY(!arch_ticket_take(&lock->next, &lock->serving, &ticket))) {
        lock_wait(lock, ticket);
    }
}

static inline void lock_release(struct spinlock *lock)
{
    arch_ticket_pass(&lock->serving);
}
#endif

#endif
