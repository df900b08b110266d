/* SPDX-License-Identifier: MIT */
/*
 * The ring client, completions. Theory in ring.c.
 *
 * An operation has one completion, but for these:
 *  - QUIET: none when it succeeds. That it has succeeded shows in what could only start then: a later
 *    operation of its chain, or a call on its promise. Until that shows it counts as in flight, which
 *    errs on the safe side (invariant 2).
 *  - MULTISHOT: one with MORE for each event, and one at its end. Events that come before the callback
 *    has run for earlier ones are told together, as the object itself would have.
 */
#include "lib/base/string.h"
#include "ring_state.h"
#include "status.capnp.h"

#define ring capos_ring

/* A receive told where it put what came; its result is all of it. */
static void copy_back(struct capos_op *op, const struct capos_cqe *cqe)
{
    uint64_t bytes = 0;
    if (op->sqe.op != CAPOS_OP_CALL) {
        bytes = (cqe->flags & CAPOS_CQE_INLINE) != 0 ? (uint64_t)cqe->result : 0;
    } else if (cqe->result >= 0) {
        bytes = align_up((uint64_t)cqe->result, 8);
        if (cqe->flags & CAPOS_CQE_CAPS) {
            bytes += sizeof(struct capos_cap_record) * (uint64_t)cqe->cap_count;
        }
    } else if (cqe->flags & CAPOS_CQE_EXCEPTION) {
        bytes = cqe->needed;
    }
    const uint8_t *slot = ring.payload + (uint64_t)op->table_index * CAPOS_PAYLOAD_SLOT_BYTES;
    bytes = min_u64(bytes, op->sqe.result_len);
    if (bytes != 0) {
        memcpy((void *)(uintptr_t)op->sqe.result, slot, bytes);
    }
}

void capos_ring_finish(struct capos_op *op)
{
    if (op->flags & OP_FLAG_CALL) {
        capos_call_finish((struct capos_call *)(void *)op);
    }
    if (op->flags & OP_FLAG_FORGET) {
        ring.beside -= op->sqe.op == CAPOS_OP_FINISH;
        op->state = CAPOS_OP_IDLE;
        return;
    }
    op->state = CAPOS_OP_DONE;
    if (op->done != NULL) {
        op_list_insert(&ring.ready, NULL, op);
    }
}

void capos_ring_requeue(struct capos_op *op)
{
    struct capos_op *before = ring.pending.first;
    while (before != NULL && before->retries != 0 && before->position < op->position) {
        before = before->next;
    }
    op->state = CAPOS_OP_PENDING;
    op_list_insert(&ring.pending, before, op);
}

/* The operation did nothing, for its number was wrong, and can be repeated: not in a chain, whose rest is
 * cancelled, and not when others have been told to follow it. */
static bool try_again_numbered(struct capos_op *op, const struct capos_cqe *cqe)
{
    if (!(cqe->flags & CAPOS_CQE_SEQUENCE) || op->sqe.xfer_count == 0) {
        return false;
    }
    bool drained = ring_load_u64(&ring.header->sq_head) == ring.sq_tail;
    ring.next_sequence = drained ? ring_load_u64(&ring.header->next_sequence) : cqe->expected_seq;
    if (op->retries >= RING_MAX_SEQUENCE_RETRIES || op->before != 0 ||
        (op->sqe.flags & (CAPOS_SQE_LINK | CAPOS_SQE_KEEP)) != 0) {
        return false;
    }
    op->retries++;
    ring.stats.resequenced++;
    capos_ring_requeue(op);
    return true;
}

/* The operation of its chain that comes before it, when it is still in flight. */
static struct capos_op *before(const struct capos_op *op)
{
    struct capos_op *earlier = op->before != 0 ? ring.table[op->before - 1u] : NULL;
    return earlier != NULL && ring.generation[op->before - 1u] == op->before_generation ? earlier
                                                                                        : NULL;
}

/* The operation that could not have started before `op` was done, of a chain or a pipeline. */
static struct capos_op *waited_for(const struct capos_op *op)
{
    if (op->flags & OP_FLAG_CALL) {
        struct capos_call *on = ((const struct capos_call *)(const void *)op)->on;
        if (on != NULL) {
            return &on->op;
        }
    }
    return before(op);
}

void capos_ring_settle(struct capos_op *op)
{
    while (op != NULL && op->state == CAPOS_OP_QUEUED && (op->sqe.flags & CAPOS_SQE_QUIET) != 0) {
        struct capos_op *earlier = waited_for(op);
        ring_take_out(op);
        memset(&op->cqe, 0, sizeof(op->cqe));
        capos_ring_finish(op);
        op = earlier;
    }
}

/* What the outcome of `op` tells of operations that it waited for. */
static void settle_earlier(struct capos_op *op, const struct capos_cqe *cqe)
{
    struct capos_op *earlier = waited_for(op);
    bool chained = earlier != NULL && earlier == before(op);
    bool started = chained ? cqe->result != ST_CANCELLED
                           : cqe->result >= 0 || (cqe->flags & CAPOS_CQE_EXCEPTION) != 0;
    if (earlier != NULL && started) {
        capos_ring_settle(earlier);
    }
}

/* An event of a MULTISHOT operation, which stays where it is. */
static void tell_event(struct capos_op *op, const struct capos_cqe *cqe)
{
    if (op->flags & OP_FLAG_EVENT) {
        op->cqe.result |= cqe->result;
        op->cqe.signal |= cqe->signal;
        return;
    }
    op->cqe = *cqe;
    op->flags |= OP_FLAG_EVENT;
    op_list_insert(&ring.ready, NULL, op);
}

/* The last completion of a MULTISHOT operation, while an event of it has yet to be told. */
static bool end_after_event(struct capos_op *op, const struct capos_cqe *cqe)
{
    if ((op->flags & OP_FLAG_EVENT) == 0) {
        return false;
    }
    ring_take_out(op);
    op->state = CAPOS_OP_DONE;
    op->end = cqe->result;
    return true;
}

static void complete(const struct capos_cqe *cqe)
{
    uint32_t index = (uint32_t)cqe->user_data;
    if (index >= ring.table_size || ring.table[index] == NULL ||
        ring.generation[index] != cqe->user_data >> 32) {
        ring.stats.unexpected++;
        return;
    }
    struct capos_op *op = ring.table[index];
    ring.stats.completed++;
    if ((cqe->flags & CAPOS_CQE_MORE) != 0) {
        tell_event(op, cqe);
        return;
    }
    if (end_after_event(op, cqe)) {
        return;
    }
    ring_take_out(op);
    if (try_again_numbered(op, cqe)) {
        return;
    }
    if (op->inlined) {
        copy_back(op, cqe);
    }
    op->cqe = *cqe;
    settle_earlier(op, cqe);
    capos_ring_finish(op);
}

bool capos_reap(void)
{
    bool any = false;
    while (ring.cq_head != ring_load_u64(&ring.header->cq_tail)) {
        struct capos_cqe cqe = ring.cq[ring.cq_head & ring.cq_mask];
        ring.cq_head++;
        ring_store_u64(&ring.header->cq_head, ring.cq_head);
        complete(&cqe);
        any = true;
    }
    return any;
}

/* Tells an event; when the operation has ended meanwhile its end comes in the next turn. */
static void run_event(struct capos_op *op)
{
    op->flags &= (uint8_t)~OP_FLAG_EVENT;
    bool over = op->state == CAPOS_OP_DONE;
    struct capos_cqe end = {.user_data = op->cqe.user_data, .result = op->end};
    op->done(op);
    if (over) {
        op->cqe = end;
        capos_ring_finish(op);
    }
}

bool capos_ring_run_ready(void)
{
    struct op_list batch = ring.ready;
    bool any = batch.first != NULL;
    ring.ready.first = NULL;
    ring.ready.last = NULL;
    while (batch.first != NULL) {
        struct capos_op *op = batch.first;
        op_list_take(&batch, op);
        if (op->flags & OP_FLAG_EVENT) {
            run_event(op);
            continue;
        }
        op->state = CAPOS_OP_IDLE;
        op->done(op);
    }
    return any;
}
