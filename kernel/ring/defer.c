/* SPDX-License-Identifier: MIT */
/* Theory in defer.h. */
#include "ring/defer.h"

#include "arch/arch.h"
#include "core/step.h"
#include "object/process.h"
#include "ring/wait.h"

static void ready_add(struct ring *ring, uint32_t what)
{
    atomic_store_relaxed(&ring->ready, atomic_load_relaxed(&ring->ready) + what);
}

static void ready_sub(struct ring *ring, uint32_t what)
{
    atomic_store_relaxed(&ring->ready, atomic_load_relaxed(&ring->ready) - what);
}

COLD void defer_ready_locked(struct record *rec)
{
    rec->ready = true;
    list_push_back(&rec->ring->ready_list, &rec->ring_link);
    ready_add(rec->ring, DEFER_RUN);
}

/* The deferred record at this index (+ 1) and position, unless it has ended; ring locked. */
COLD static void make_ready_locked(struct ring *ring, uint16_t index, uint64_t position,
                                   bool cancel)
{
    struct record *rec = record_at(ring, index - 1u);
    if (rec->target == NULL || rec->position != position || (rec->sqe.flags & SQE_DEFERRED) == 0 ||
        list_linked(&rec->ring_link)) {
        return;
    }
    if (cancel) {
        rec->sqe.flags |= SQE_CANCELLED;
    }
    defer_ready_locked(rec);
}

/* The entry at `position` has ended: the next of its chain may go on, or is to be cancelled. */
COLD static void link_ended_locked(struct ring *ring, uint16_t chain_next, uint64_t position,
                                   int32_t result)
{
    if (chain_next != 0) {
        make_ready_locked(ring, chain_next, position + 1, result < 0);
    }
}

/* Out of ready_list or unarmed, whose count goes down by `what`. */
COLD static void unlink_locked(struct ring *ring, struct record *rec, uint32_t what)
{
    if (list_linked(&rec->ring_link)) {
        list_remove(&rec->ring_link);
        ready_sub(ring, what);
    }
}

COLD bool defer_ended_locked(struct record *rec, uint64_t outcome, uint64_t extra)
{
    struct ring *ring = rec->ring;
    uint32_t flags = rec->sqe.flags;
    int32_t result = (int32_t)outcome;
    lock_assert_held(&ring->lock);
    if ((flags & (SQE_DEFERRED | SQE_ANSWER)) != 0) {
        unlink_locked(ring, rec, rec->ready ? DEFER_RUN : 0);
    }
    if ((flags & SQE_ANSWER) != 0) {
        return true;
    }
    if ((flags & (SQE_DEFERRED | SQE_DEPENDENT)) == (SQE_DEFERRED | SQE_DEPENDENT)) {
        answer_left_locked(ring, rec->sqe.cap);
    }
    if ((flags & CAPOS_SQE_KEEP) != 0) {
        answer_ended_locked(ring, rec->position, outcome, extra);
    }
    if ((flags & CAPOS_SQE_LINK) != 0) {
        link_ended_locked(ring, rec->chain_next, rec->position, result);
    }
    if ((flags & CAPOS_SQE_MULTISHOT) != 0) {
        unlink_locked(ring, rec, DEFER_ARM);
        ring->released += rec->armed;
        rec->armed = false;
    }
    return (flags & CAPOS_SQE_QUIET) != 0 && result >= 0;
}

COLD void defer_unarmed_locked(struct record *rec)
{
    struct ring *ring = rec->ring;
    lock_assert_held(&ring->lock);
    list_push_back(&ring->unarmed, &rec->ring_link);
    ready_add(ring, DEFER_ARM);
}

COLD void defer_ended_now(struct op *op, uint64_t outcome, uint64_t extra)
{
    struct ring *ring = op->ring;
    lock_acquire(&ring->lock);
    if ((op->sqe->flags & CAPOS_SQE_LINK) != 0) {
        link_ended_locked(ring, CONTAINER_OF(op->sqe, struct record, sqe)->chain_next, op->position,
                          (int32_t)outcome);
    }
    if ((op->sqe->flags & CAPOS_SQE_KEEP) != 0) {
        answer_ended_locked(ring, op->position, outcome, extra);
    }
    lock_release(&ring->lock);
}

/* ---- chains ---- */

static bool transfers(const struct capos_sqe *sqe)
{
    return sqe->xfer_count != 0 && (sqe->op == CAPOS_OP_CALL || sqe->op == CAPOS_OP_RETURN ||
                                    sqe->op == CAPOS_OP_RETURN_RECV);
}

/* The SQE, with the flags of its place in the chain whatever user space made of it meanwhile. A wrong
 * transfer number is told when the entry's turn comes. */
COLD static void copy_link(struct op *op, bool last)
{
    struct capos_sqe *sqe = op->sqe;
    uint64_t *words = (uint64_t *)(void *)sqe;
    const uint8_t *shared = ring_sqe(op->ring, op->position);
    for (unsigned i = 0; i < sizeof(*sqe) / 8; i++) {
        words[i] = ring_load(shared + 8 * i);
    }
    if ((sqe->flags & ~CAPOS_SQE_FLAGS_ALL) != 0) {
        sqe->op = CAPOS_OP_COUNT; /* refused, like all that is unknown */
    }
    sqe->flags &= CAPOS_SQE_FLAGS_ALL & ~CAPOS_SQE_LINK;
    sqe->flags |= (uint16_t)(last ? 0 : CAPOS_SQE_LINK);
    if (transfers(sqe) && op_try_spend_number(op)) {
        sqe->flags |= SQE_SPENT;
    }
}

COLD struct record *defer(struct op *op)
{
    struct kobj *self = &op->process->obj;
    op->sqe->flags |= SQE_DEFERRED;
    op->ring->spare->ready = false;
    struct record *rec = record_alloc(op->ring, op->position, self, NULL);
    if (rec == NULL) {
        return NULL;
    }
    lock_acquire(&self->lock);
    bool queued = record_queue_locked(rec, NULL);
    lock_release(&self->lock);
    if (!queued) {
        record_complete(rec, rec->doom);
    }
    return queued ? rec : NULL;
}

COLD void defer_chain(struct ring *ring, uint64_t position, uint32_t n, uint32_t keeps)
{
    uint16_t first = 0;
    struct record *before = NULL;
    for (uint32_t i = 0; i < n; i++) {
        struct op op = {ring, ring->process, position + i, &ring->spare->sqe};
        ring->spare->chain_next = 0;
        copy_link(&op, i == n - 1);
        if ((op.sqe->flags & CAPOS_SQE_KEEP) != 0 && op.sqe->op == CAPOS_OP_CALL && keeps != 0) {
            keeps--;
            (void)answer_open(&op);
        }
        struct record *rec = defer(&op);
        if (rec == NULL) {
            return;
        }
        lock_acquire(&ring->lock);
        if (before == NULL) {
            first = (uint16_t)(rec->index + 1);
        } else {
            before->chain_next = (uint16_t)(rec->index + 1);
        }
        lock_release(&ring->lock);
        before = rec;
    }
    lock_acquire(&ring->lock);
    make_ready_locked(ring, first, position, false);
    lock_release(&ring->lock);
}

/* ---- the ring's thread goes on ---- */

/* Takes the first record of a list; NULL when it is empty. */
COLD static struct record *pop(struct ring *ring, struct list *list, uint32_t what,
                               uint32_t *generation_out)
{
    struct record *rec = NULL;
    lock_acquire(&ring->lock);
    struct list_node *node = list_first(list);
    if (node != NULL) {
        rec = list_entry(node, struct record, ring_link);
        *generation_out = atomic_load_relaxed(&rec->generation);
        unlink_locked(ring, rec, what);
    }
    lock_release(&ring->lock);
    return rec;
}

/* Its record and slot are given back, and with them it is carried out. */
COLD static void carry_out(struct record *rec)
{
    struct ring *ring = rec->ring;
    if ((rec->sqe.flags & SQE_ANSWER) != 0) {
        answer_empty(rec);
        record_dissolve(rec);
        return;
    }
    struct capos_sqe sqe = rec->sqe;
    uint64_t position = rec->position;
    uint16_t chain_next = rec->chain_next;
    record_dissolve(rec);
    if (ring->spare == NULL && !ring_prepare_record(ring)) {
        return; /* cannot be: one was given back */
    }
    struct op op = {ring, ring->process, position, &ring->spare->sqe};
    *op.sqe = sqe;
    op.sqe->flags &= (uint16_t) ~(SQE_DEFERRED | SQE_CANCELLED);
    ring->spare->chain_next = chain_next;
    if ((sqe.flags & SQE_CANCELLED) != 0) {
        op.sqe->flags &= (uint16_t)~SQE_DEPENDENT; /* it waited for its chain alone */
        op_complete(&op, ST_CANCELLED);
    } else if ((sqe.flags & SQE_DEPENDENT) != 0) {
        pipeline_call(&op); /* it was looked at before it waited for its answer */
    } else {
        ring_dispatch(&op);
    }
}

/* False: there was nothing to do. */
COLD static bool run_one(struct ring *ring)
{
    uint32_t generation;
    struct record *rec = pop(ring, &ring->ready_list, DEFER_RUN, &generation);
    if (rec != NULL && record_claim(rec, generation)) {
        carry_out(rec);
    }
    return rec != NULL;
}

COLD static bool arm_one(struct ring *ring)
{
    uint32_t generation;
    struct record *rec = pop(ring, &ring->unarmed, DEFER_ARM, &generation);
    if (rec != NULL && record_claim(rec, generation)) {
        wait_arm(rec);
    }
    return rec != NULL;
}

COLD enum defer defer_run(struct ring *ring)
{
    uint64_t started = arch_cycles();
    for (unsigned i = 0; i < RING_SLICE_SQES; i++) {
        if (!run_one(ring)) {
            if (!ring_has_room(ring, 1)) {
                uint32_t waiting =
                    (atomic_load_relaxed(&ring->ready) & ~(uint32_t)DEFER_POLLED) / DEFER_ARM;
                return waiting > ring->refusing ? DEFER_STARVED : DEFER_DONE;
            }
            if (!arm_one(ring)) {
                return DEFER_DONE;
            }
        }
        if (arch_cycles() - started > RING_SLICE_CYCLES) {
            break;
        }
    }
    return DEFER_LEFT;
}
