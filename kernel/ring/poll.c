/* SPDX-License-Identifier: MIT */
/* Theory in poll.h. */
#include "ring/poll.h"

#include "arch/arch.h"
#include "gen/status.capnp.h"
#include "object/thread.h"
#include "ring/bill.h"
#include "ring/defer.h"
#include "sched/cpu.h"

static void set_ready(struct ring *ring, uint32_t polled)
{
    lock_acquire(&ring->lock);
    uint32_t others = atomic_load_relaxed(&ring->ready) & ~(uint32_t)DEFER_POLLED;
    atomic_store_release(&ring->ready, others | polled);
    lock_release(&ring->lock);
}

status_t poll_attach(struct ring *ring, unsigned cpu)
{
    /* A poller that carries out this call has taken the ring. */
    if (atomic_load_relaxed(&ring->poller) != 0 || !poll_take(ring)) {
        return ST_BUSY;
    }
    if (!ring_hold(ring)) {
        poll_let_go(ring);
        return ST_DISCONNECTED;
    }
    atomic_store_relaxed(&ring->poller, (uint16_t)cpu);
    set_ready(ring, DEFER_POLLED);
    cpu_this()->attention |= CPU_POLL;
    return ST_OK;
}

void poll_nudge(const struct ring *ring)
{
    unsigned cpu = atomic_load_relaxed(&ring->poller);
    if (cpu != 0) {
        arch_cpu_reschedule((arch_cpu_mask_t)1 << cpu);
    }
}

void poll_begin(struct ring *ring)
{
    bool wakes = atomic_load_relaxed(&ring->poller) != 0 && atomic_load_relaxed(&ring->polled) == 0;
    if (wakes) {
        atomic_store_relaxed(&ring->polled, 1);
        ring_say_flags(ring, (ring_load(&ring->header->flags) & CAPOS_RING_STALLED) != 0);
    }
    poll_let_go(ring);
    if (wakes) {
        poll_nudge(ring);
    }
}

/* Nothing for the poller to do; the words are the client's, who can only make it look in vain. */
static bool seems_empty(const struct ring *ring)
{
    return ring_load_seq_cst(&ring->header->sq_tail) == ring_load(&ring->header->sq_head) &&
           (atomic_load_relaxed(&ring->ready) & ~(uint32_t)DEFER_POLLED) == 0;
}

/* P2 */
static bool is_blocked(struct ring *ring)
{
    lock_acquire(&ring->lock);
    bool blocked = ring->wait_min != 0;
    lock_release(&ring->lock);
    return blocked;
}

enum poll poll_round(struct ring *ring, uint64_t *taken_out)
{
    *taken_out = 0;
    if (seems_empty(ring) || !poll_take(ring)) {
        return POLL_IDLE;
    }
    enum drain drained = DRAIN_EMPTY;
    if (!is_blocked(ring)) {
        uint64_t before = ring->sq_head;
        atomic_store_relaxed(&cpu_this()->since, arch_cycles());
        drained = ring_go_on(ring, ring->header);
        *taken_out = ring->sq_head - before;
        ring_say_flags(ring, drained == DRAIN_STALLED);
    }
    poll_let_go(ring);
    if (drained == DRAIN_BAD) {
        return POLL_BROKEN;
    }
    return *taken_out != 0 || drained == DRAIN_MORE ? POLL_WORKED : POLL_IDLE;
}

COLD uint64_t bill_of_poller(void)
{
    struct cpu *cpu = cpu_this();
    uint64_t now = arch_cycles();
    uint64_t bill = now - atomic_load_relaxed(&cpu->since);
    atomic_store_relaxed(&cpu->since, now);
    return bill;
}

/* The flag is cleared before the tail is looked at, as the client moves the tail before it looks at the flag. */
bool poll_sleep(struct ring *ring)
{
    if (!poll_take(ring)) {
        return false;
    }
    atomic_store_relaxed(&ring->polled, 0);
    ring_store_seq_cst(&ring->header->flags, ring_load(&ring->header->flags) & CAPOS_RING_STALLED);
    bool empty = seems_empty(ring) || is_blocked(ring);
    if (!empty) {
        atomic_store_relaxed(&ring->polled, 1);
        ring_say_flags(ring, false);
    }
    poll_let_go(ring);
    return empty;
}

bool poll_leave(struct ring *ring)
{
    if (!poll_take(ring)) {
        return false;
    }
    atomic_store_relaxed(&ring->polled, 0);
    atomic_store_relaxed(&ring->poller, 0);
    ring_say_flags(ring, false);
    set_ready(ring, 0);
    poll_let_go(ring);
    ring_put(ring);
    return true;
}
