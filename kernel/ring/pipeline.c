/* SPDX-License-Identifier: MIT */
/*
 * PIPELINE, KEEP, FINISH: calls of capabilities that have not arrived.
 *
 * A CALL with KEEP gets, when it is consumed, a second record: its *answer*, with the same position and a CQ slot
 * of its own, which is never posted to. When the call completes, whoever completes it puts outcome and
 * capabilities there. A CALL with PIPELINE names the answer; until that is complete it is a deferred SQE
 * (defer.h) among the answer's followers, which become ready together. It is carried out by the ring's own
 * thread, with the capability straight from the answer: no slot of the table comes into it.
 *
 * Life of an answer: open -> ended (the call completed); finished by FINISH at any time. When it has ended, is
 * finished and no dependent is left, it goes through ready_list to the ring's thread, which lets go of what it
 * keeps where no lock is held. Only that thread and ring close take one out of ring->answers.
 */
#include "core/panic.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "object/process.h"
#include "ring/defer.h"

static_assert(sizeof(((struct record *)NULL)->kept) <= sizeof(((struct record *)NULL)->xfers),
              "no record grows for it");

COLD static struct record *find_locked(struct ring *ring, uint64_t position)
{
    lock_assert_held(&ring->lock);
    list_for_each(node, &ring->answers)
    {
        struct record *answer = list_entry(node, struct record, server_link);
        if (answer->position == position) {
            return answer;
        }
    }
    return NULL;
}

COLD bool answer_exists(struct ring *ring, uint64_t position)
{
    lock_acquire(&ring->lock);
    bool exists = find_locked(ring, position) != NULL;
    lock_release(&ring->lock);
    return exists;
}

COLD bool answer_open(struct op *op)
{
    struct ring *ring = op->ring;
    struct record *spare = ring->spare;
    if (ring->answer_count == CAPOS_MAX_ANSWERS) {
        return false;
    }
    struct capos_sqe sqe = *op->sqe;
    uint16_t chain_next = spare->chain_next;
    spare->sqe.flags = SQE_ANSWER;
    spare->ended = false;
    spare->finished = false;
    spare->dependents = 0;
    spare->kept_count = 0;
    struct record *answer = defer(op);
    if (answer != NULL) {
        lock_acquire(&ring->lock);
        list_push_back(&ring->answers, &answer->server_link);
        ring->answer_count++;
        lock_release(&ring->lock);
    }
    if (ring->spare == NULL && !ring_prepare_record(ring)) {
        panic("there was room for two completions");
    }
    op->sqe = &ring->spare->sqe;
    *op->sqe = sqe;
    ring->spare->chain_next = chain_next;
    return answer != NULL;
}

COLD static void unkeep_all(const struct capability *caps, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        capability_unkeep(&caps[i]);
    }
}

uint32_t answer_offer(struct ring *ring, const struct capos_sqe *sqe, uint64_t position,
                      const struct capability *caps, uint32_t ncaps)
{
    if (LIKELY((sqe->flags & CAPOS_SQE_KEEP) == 0) || ncaps == 0) {
        return 0;
    }
    uint32_t kept = ncaps < CAPOS_MAX_PIPE_CAPS ? ncaps : CAPOS_MAX_PIPE_CAPS;
    for (uint32_t i = 0; i < kept; i++) {
        capability_keep(&caps[i]);
    }
    lock_acquire(&ring->lock);
    struct record *answer = find_locked(ring, position);
    bool taken = answer != NULL && answer->kept_count == 0;
    if (taken) {
        memcpy(answer->kept, caps, kept * sizeof(caps[0]));
        answer->kept_count = (uint8_t)kept;
    }
    lock_release(&ring->lock);
    if (!taken) {
        unkeep_all(caps, kept);
    }
    return ncaps > sqe->accept_count ? ncaps - sqe->accept_count : 0;
}

COLD static void go_when_over_locked(struct record *answer)
{
    if (answer->finished && answer->ended && answer->dependents == 0 && !answer->ready) {
        defer_ready_locked(answer);
    }
}

COLD void answer_ended_locked(struct ring *ring, uint64_t position, uint64_t outcome,
                              uint64_t extra)
{
    struct record *answer = find_locked(ring, position);
    if (answer == NULL || answer->ended) {
        return;
    }
    answer->ended = true;
    answer->key = outcome;
    answer->facet = extra;
    for (struct list_node *node; (node = list_pop_front(&answer->followers)) != NULL;) {
        defer_ready_locked(list_entry(node, struct record, ring_link));
    }
    go_when_over_locked(answer);
}

COLD void answer_left_locked(struct ring *ring, uint64_t position)
{
    struct record *answer = find_locked(ring, position);
    ring->dependents--;
    if (answer != NULL) {
        answer->dependents--;
        go_when_over_locked(answer);
    }
}

COLD void answer_empty(struct record *answer)
{
    struct ring *ring = answer->ring;
    lock_acquire(&ring->lock);
    uint32_t n = answer->kept_count;
    answer->kept_count = 0;
    list_remove(&answer->server_link);
    ring->answer_count--;
    lock_release(&ring->lock);
    unkeep_all(answer->kept, n);
}

/* ST_OK: *cap_out with refs for the caller. ST_PENDING: wait for it. Else why not. */
COLD static status_t resolve_locked(struct op *op, struct capability *cap_out)
{
    struct ring *ring = op->ring;
    bool counted = (op->sqe->flags & SQE_DEPENDENT) != 0;
    struct record *answer = find_locked(ring, op->sqe->cap);
    if (answer == NULL || (answer->finished && !counted)) {
        return ST_NOT_FOUND;
    }
    if (!answer->ended) {
        bool room =
            answer->dependents < CAPOS_MAX_DEPENDENTS && ring->dependents < CAPOS_MAX_ANSWERS;
        return room ? ST_PENDING : ST_BUSY;
    }
    if ((int32_t)answer->key < 0) {
        return (status_t)(int32_t)answer->key;
    }
    if (op->sqe->pipe_index >= answer->kept_count) {
        return ST_BAD_CAP;
    }
    *cap_out = answer->kept[op->sqe->pipe_index];
    kobj_ref(cap_out->object);
    grant_ref(cap_out->route);
    return ST_OK;
}

/* Waits for its answer, which is not complete. Its transfer number is spent now: in the order of the queue. */
COLD static void depend(struct op *op)
{
    struct ring *ring = op->ring;
    if (op->sqe->xfer_count != 0 && !op_spend_number(op)) {
        return;
    }
    op->sqe->flags |= (uint16_t)(SQE_DEPENDENT | (op->sqe->xfer_count != 0 ? SQE_SPENT : 0));
    lock_acquire(&ring->lock);
    find_locked(ring, op->sqe->cap)->dependents++;
    ring->dependents++;
    lock_release(&ring->lock);
    struct record *rec = defer(op);
    if (rec == NULL) {
        return; /* the ring is closing */
    }
    lock_acquire(&ring->lock);
    struct record *answer = find_locked(ring, rec->sqe.cap);
    if (rec->target != NULL && answer != NULL) {
        if (answer->ended) {
            defer_ready_locked(rec);
        } else {
            list_push_back(&answer->followers, &rec->ring_link);
        }
    }
    lock_release(&ring->lock);
}

/* With the status of the answer it depends on, and the exception's kind. */
COLD static void fail(struct op *op, status_t status, uint64_t extra)
{
    if (op->sqe->xfer_count != 0 && !op_spend_number(op)) {
        return;
    }
    if (status == ST_EXCEPTION) {
        op_post(op, status, CAPOS_CQE_EXCEPTION, 0, extra & 0xffff);
    } else {
        op_post(op, status, 0, 0, 0);
    }
}

COLD void pipeline_call(struct op *op)
{
    struct ring *ring = op->ring;
    struct capability cap;
    uint64_t extra = 0;
    lock_acquire(&ring->lock);
    status_t status = resolve_locked(op, &cap);
    if (status == ST_EXCEPTION) {
        extra = find_locked(ring, op->sqe->cap)->facet;
    }
    if ((op->sqe->flags & SQE_DEPENDENT) != 0) {
        op->sqe->flags &= (uint16_t)~SQE_DEPENDENT;
        answer_left_locked(ring, op->sqe->cap);
    }
    lock_release(&ring->lock);
    if (status == ST_PENDING) {
        depend(op);
    } else if (status != ST_OK) {
        fail(op, status, extra);
    } else if (!grant_is_live(cap.route) || kobj_is_dead(cap.object)) {
        capability_put(&cap);
        fail(op, ST_DISCONNECTED, 0);
    } else {
        call_capability(op, &cap);
    }
}

COLD void op_finish(struct op *op)
{
    struct ring *ring = op->ring;
    lock_acquire(&ring->lock);
    struct record *answer = find_locked(ring, op->sqe->cap);
    bool found = answer != NULL && !answer->finished;
    if (found) {
        answer->finished = true;
        go_when_over_locked(answer);
    }
    lock_release(&ring->lock);
    op_complete(op, found ? ST_OK : ST_NOT_FOUND);
}
