/* SPDX-License-Identifier: MIT */
/*
 * The bill of a call to a service: what its completion says was spent for it below (docs/concepts/diagnosis.md).
 *
 * Each thread has a clock: the cycles it ran, and what it was billed itself (ring.billed), so services below
 * count. The clock is cut into pieces. A piece ends when the thread RETURNs a call, which is billed that
 * piece, and when a call ends its wait: what it did for itself before is nobody's. So no cycle is billed
 * twice, a call that lies with a server for long pays for none but its own last piece, and a server that
 * answers several calls in one entry bills the first with what it did for all of them.
 *
 * Rejected: from delivery to RETURN by the server's clock (a call that waits pays for all others); equal shares among
 * the calls in flight (a division and a lock more at each end of a call, and one that waits pays again).
 */
#ifndef CAPOS_KERNEL_RING_BILL_H
#define CAPOS_KERNEL_RING_BILL_H

#include "ring/ring.h"
#include "sched/cpu.h"

/* The clock of the ring's thread, as far as it has been charged. */
static ALWAYS_INLINE uint64_t ring_clock(const struct ring *ring)
{
    return atomic_load_relaxed(&ring->thread->cycles) + atomic_load_relaxed(&ring->billed);
}

/* A call has ended the wait of the ring's thread; ring locked. */
static ALWAYS_INLINE void bill_cut_locked(struct ring *ring)
{
    ring->cut = ring_clock(ring);
}

/* For a poller (ring/poll.h), which is not the ring's thread: what this CPU did since it was last asked. */
COLD uint64_t bill_of_poller(void);

/* The piece of the ring's thread, which runs here and RETURNs a call. */
static ALWAYS_INLINE uint64_t bill_take(struct ring *ring, struct cpu *cpu)
{
    if (UNLIKELY(cpu->current == &cpu->idle)) {
        return bill_of_poller();
    }
    cpu_charge(cpu, ring->thread);
    uint64_t now = ring_clock(ring);
    uint64_t bill = now - ring->cut;
    ring->cut = now;
    return bill;
}

/* A call of the ring's thread was billed this; ring locked. */
static ALWAYS_INLINE void bill_add_locked(struct ring *ring, uint64_t bill)
{
    atomic_store_relaxed(&ring->billed, atomic_load_relaxed(&ring->billed) + bill);
}

#endif
