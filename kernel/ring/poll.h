/* SPDX-License-Identifier: MIT */
/*
 * A ring whose SQEs another CPU takes, one leased for that (sched/lease.h), so that its thread need not enter.
 *
 * At any time one of the two takes SQEs: who has `taken`, which is tried and never waited for. The poller has it for a
 * slice of SQEs, the thread from the beginning of a cap_enter to its end, blocked or not; who does not get it comes again: the
 * poller with its next round, the thread by making the system call again. What belongs to the thread in its drain
 * ([c] in ring/ring.h) belongs to who has `taken`.
 *
 * The client reads CAPOS_RING_POLLED. While it is set, what the client submits is taken without an entry. The poller
 * that finds nothing for long goes to sleep: it clears the flag and then looks once more, as the client submits and then
 * looks at the flag, so one of them sees the other. The next cap_enter sets the flag and wakes the poller.
 *
 * Invariants: P1 DEFER_POLLED is in `ready` exactly while `poller` is not 0, so an unpolled ring pays nothing. P2 the poller
 * takes nothing while the thread is blocked: then the ring is the waker's. P3 the poller has a hold of the ring, so neither it
 * nor its process goes before the poller has left. P4 the CPU that is leased has the process's address space loaded.
 *
 * Rejected: a lock (the thread would spin, interrupts off, for a slice of the poller's); a thread of the kernel's own as the poller
 * (a stack and a scheduling entity for what is a loop).
 */
#ifndef CAPOS_KERNEL_RING_POLL_H
#define CAPOS_KERNEL_RING_POLL_H

#include "ring/ring.h"

enum poll { POLL_IDLE, POLL_WORKED, POLL_BROKEN };

static ALWAYS_INLINE bool poll_take(struct ring *ring)
{
    uint8_t none = 0;
    return atomic_cas_acquire(&ring->taken, &none, 1);
}

static ALWAYS_INLINE void poll_let_go(struct ring *ring)
{
    atomic_store_release(&ring->taken, 0);
}

/* By its thread in its entry: `cpu` (not 0) polls it from the end of this entry on (CPU_POLL). ST_BUSY: it is polled
 * already. ST_DISCONNECTED: it is closing. Afterwards the CPU owes poll_leave. */
status_t poll_attach(struct ring *ring, unsigned cpu);
/* The end of an entry of its thread that had `taken`: the poller is awake and goes on. By sched.c, for CPU_POLL. */
void poll_begin(struct ring *ring);

/* By its poller. One slice; *taken_out = SQEs consumed. POLL_BROKEN: the client's indices are nonsense, and it must be told. */
enum poll poll_round(struct ring *ring, uint64_t *taken_out);
/* True: it sleeps, until its thread enters. False: there is something to do. */
bool poll_sleep(struct ring *ring);
/* It is polled no more, and the hold is given back: nobody may use it then. False: its thread is in cap_enter; ask again. */
bool poll_leave(struct ring *ring);

/* Makes a sleeping poller look whether it should leave. Any context. */
void poll_nudge(const struct ring *ring);

/* ---- enter.c ---- */

enum drain { DRAIN_EMPTY, DRAIN_STALLED, DRAIN_MORE, DRAIN_BAD, DRAIN_RESUMED };

/* One slice of what is to be done: what was consumed before, then new SQEs. DRAIN_MORE: there is more. */
enum drain ring_go_on(struct ring *ring, struct capos_ring_header *header);
/* Tells the client what is so. */
void ring_say_flags(struct ring *ring, bool stalled);

#endif
