/* SPDX-License-Identifier: MIT */
/*
 * RETURN: the answer to a received call.
 *
 * A call id names ring, record and generation. Only the process that received the call may answer,
 * from any of its threads. The record is claimed (INFLIGHT -> CLAIMED), then bytes are copied from
 * the server to the client, capabilities are installed, and both sides complete. What is wrong with
 * the client's buffer or table hurts the client only; what is wrong with the server's own message
 * refuses the RETURN and leaves the call in flight.
 */
#include "core/panic.h"
#include "gen/status.capnp.h"
#include "ipc/endpoint.h"
#include "lib/base/bits.h"
#include "object/process.h"
#include "ring/bill.h"
#include "ring/buffer.h"
#include "ring/defer.h"
#include "ring/op.h"
#include "ring/record_inline.h"
#include "sched/sched.h"

struct reply {
    struct op *op;
    struct op_transfers xfers;
    struct buffer message;
    struct ring *client; /* held by ring_put */
    struct record *call; /* claimed from this process: record.h, C5 */
    uint32_t ncaps;
    uint32_t kept_only; /* of these, at the end: for the call's answer alone (KEEP) */
    struct capability caps[ENDPOINT_MAX_CAPS];
    capos_cap_t ids[ENDPOINT_MAX_CAPS];
};

static ALWAYS_INLINE bool find_call(struct reply *reply, uint64_t call_id)
{
    uint32_t index = (uint32_t)(call_id & ((1u << RING_INDEX_BITS) - 1));
    uint32_t ring_id = (uint32_t)(call_id >> RING_INDEX_BITS) & ((1u << RING_ID_BITS) - 1);
    uint32_t generation = (uint32_t)(call_id >> (RING_INDEX_BITS + RING_ID_BITS));
    reply->client = ring_get(ring_id);
    if (UNLIKELY(reply->client == NULL)) {
        return false;
    }
    if (LIKELY(index < reply->client->cq_entries)) {
        reply->call = record_at(reply->client, index);
        if (LIKELY(record_claim_inflight(reply->call, generation, reply->op->process))) {
            return true;
        }
    }
    ring_put(reply->client);
    return false;
}

/* What comes by a call hangs below the way that the call took, unless its sender made a fresh one. */
static void adopt_route(const struct reply *reply, struct capability *cap)
{
    if (!cap->route->fresh || cap->route->ledger != reply->op->process->ledger) {
        grant_unref(cap->route);
        cap->route = reply->call->route;
        grant_ref(cap->route);
    }
}

static status_t take_caps(struct reply *reply)
{
    struct cap_table *table = &reply->op->process->table;
    for (uint32_t i = 0; i < reply->xfers.count; i++) {
        status_t status = table_captured_get(table, reply->xfers.ids[i], &reply->caps[i]);
        if (status != ST_OK) {
            return status;
        }
        reply->ncaps++;
        adopt_route(reply, &reply->caps[i]);
        if (!session_may_pass(reply->op->process, reply->call->ring->process->session,
                              &reply->caps[i])) {
            return ST_NOT_TRANSFERABLE;
        }
    }
    return ST_OK;
}

static void put_caps(struct reply *reply)
{
    for (uint32_t i = 0; i < reply->ncaps; i++) {
        capability_put(&reply->caps[i]);
    }
}

/* Capabilities that get slots. */
static ALWAYS_INLINE uint32_t slots(const struct reply *reply)
{
    return reply->ncaps - reply->kept_only;
}

static ALWAYS_INLINE uint32_t reply_bytes(const struct reply *reply)
{
    return reply->op->sqe->params_len + slots(reply) * (uint32_t)sizeof(struct capos_cap_record);
}

static status_t write_client(struct reply *reply)
{
    struct record *call = reply->call;
    status_t status =
        buffer_send(&reply->message, call->ring->process, call->sqe.result, record_is_inline(call));
    if (LIKELY(status != ST_OK || slots(reply) == 0)) {
        return status;
    }
    struct capos_cap_record records[ENDPOINT_MAX_CAPS];
    for (uint32_t i = 0; i < slots(reply); i++) {
        records[i] =
            (struct capos_cap_record){.cap = reply->ids[i], .interface = reply->caps[i].interface};
    }
    return record_write_result(call, reply->message.size_bytes, records,
                               slots(reply) * sizeof(records[0]));
}

/* The call ends with what is posted next. */
NOINLINE static void bill(struct reply *reply)
{
    reply->call->bill = bill_take(reply->op->ring, cpu_this());
}

/* The client cannot take the answer: it is told why; the server's capabilities stay the server's. */
static status_t fail_client(struct reply *reply, status_t status, status_t answer)
{
    put_caps(reply);
    op_end_transfers(reply->op, &reply->xfers, false);
    bill(reply);
    if (status == ST_RESULT_TOO_SMALL) {
        record_finish(reply->call, status, CAPOS_CQE_NEEDED, 0, (uint64_t)reply_bytes(reply) << 32);
    } else {
        record_complete(reply->call, status);
    }
    return answer;
}

static status_t succeed(struct reply *reply)
{
    struct record *call = reply->call;
    uint32_t ncaps = slots(reply);
    if (UNLIKELY(reply->ncaps != 0)) {
        struct cap_table *table = &call->ring->process->table;
        (void)answer_offer(call->ring, &call->sqe, call->position, reply->caps, reply->ncaps);
        for (uint32_t i = ncaps; i < reply->ncaps; i++) {
            capability_put(&reply->caps[i]);
        }
        for (uint32_t i = 0; i < ncaps; i++) {
            table_install(table, reply->ids[i], &reply->caps[i], CAP_HOP_RECEIVED);
        }
        op_end_transfers(reply->op, &reply->xfers, true);
    }
    bill(reply);
    record_finish(call, (int32_t)reply->op->sqe->params_len, ncaps != 0 ? CAPOS_CQE_CAPS : 0,
                  (uint16_t)ncaps, ncaps != 0 ? reply->ids[0] : 0);
    return ST_OK;
}

/* The exception's message goes along as far as the client has room; that it does not fit or cannot be
 * written hurts nobody: `needed` tells its length, 0 when none of it was written. */
static status_t finish_exception(struct reply *reply, uint16_t exception)
{
    struct record *call = reply->call;
    uint32_t len = reply->op->sqe->params_len;
    if (len > call->sqe.result_len) {
        reply->message.size_bytes = align_down(call->sqe.result_len, 8);
    }
    op_end_transfers(reply->op, &reply->xfers, false);
    if (buffer_send(&reply->message, call->ring->process, call->sqe.result,
                    record_is_inline(call)) != ST_OK) {
        len = 0;
    }
    bill(reply);
    record_finish(call, ST_EXCEPTION, CAPOS_CQE_EXCEPTION, 0, exception | (uint64_t)len << 32);
    return ST_OK;
}

/* The server's own mistake: nothing happened, the call is in flight again; or it was doomed meanwhile. */
static status_t refuse(struct reply *reply, status_t status)
{
    struct kobj *target = reply->call->target;
    put_caps(reply);
    op_end_transfers(reply->op, &reply->xfers, false);
    lock_acquire(&target->lock);
    status_t doom = record_enter_inflight_locked(reply->call, reply->op->process);
    lock_release(&target->lock);
    if (doom != ST_OK) {
        record_complete(reply->call, doom);
    }
    return status;
}

/* Ids for what comes along, out of what the call was promised. */
static void redeem(struct reply *reply)
{
    struct record *call = reply->call;
    table_redeem(&call->ring->process->table, slots(reply), reply->ids);
    call->promised = (uint8_t)(call->promised - slots(reply));
}

/* Carries the answer over. ST_OK; ST_RESULT_TOO_SMALL or ST_GONE when the client could not take it and was
 * told; anything else is the server's mistake and the call is still in flight. */
static status_t carry(struct reply *reply)
{
    struct record *call = reply->call;
    if (UNLIKELY(reply->op->sqe->params_len > endpoint_of(call->target)->max_message_bytes)) {
        return refuse(reply, ST_TOO_LARGE);
    }
    if (reply->op->sqe->method != CAPOS_EXC_NONE) {
        return finish_exception(reply, reply->op->sqe->method);
    }
    if (UNLIKELY(reply->xfers.count != 0)) {
        status_t status = take_caps(reply);
        if (status != ST_OK) {
            return refuse(reply, status);
        }
    }
    if (UNLIKELY((call->sqe.flags & CAPOS_SQE_KEEP) != 0) && reply->ncaps > call->promised) {
        reply->kept_only = reply->ncaps - call->promised;
    }
    if (UNLIKELY(reply_bytes(reply) > call->sqe.result_len || slots(reply) > call->promised)) {
        return fail_client(reply, ST_RESULT_TOO_SMALL, ST_RESULT_TOO_SMALL);
    }
    if (UNLIKELY(slots(reply) != 0)) {
        redeem(reply);
    }
    status_t status = write_client(reply);
    if (LIKELY(status == ST_OK)) {
        return succeed(reply);
    }
    if (slots(reply) != 0) {
        table_unredeem(&call->ring->process->table, slots(reply), reply->ids);
        call->promised = (uint8_t)(call->promised + slots(reply));
    }
    return status == BAD_SOURCE ? refuse(reply, ST_BAD_ADDRESS)
                                : fail_client(reply, status, ST_GONE);
}

static ALWAYS_INLINE status_t check_return(struct reply *reply)
{
    struct op *op = reply->op;
    uint32_t len = op->sqe->params_len;
    if (UNLIKELY(len % 8 != 0)) {
        return ST_BAD_MESSAGE;
    }
    reply->message = (struct buffer){op->ring, op->sqe->params, len, false};
    if ((op->sqe->flags & CAPOS_SQE_INLINE) != 0) {
        uint8_t *slot = ring_inline(op->ring, op->sqe->params, len);
        reply->message.address = (uintptr_t)slot;
        reply->message.is_inline = true;
        if (UNLIKELY(slot == NULL)) {
            return ST_BAD_ADDRESS;
        }
    }
    return LIKELY(op->sqe->method < CAPOS_EXC_COUNT) ? ST_OK : ST_BAD_ARGUMENT;
}

/* The whole RETURN but its completion. False: a completion was posted already. */
static bool return_call(struct op *op, status_t *status_out)
{
    struct reply reply;
    reply.op = op;
    reply.ncaps = 0;
    reply.kept_only = 0;
    reply.xfers.count = 0;
    reply.xfers.move_mask = 0;
    if (UNLIKELY(op->sqe->xfer_count != 0) &&
        !op_capture_transfers(op, ENDPOINT_MAX_CAPS, &reply.xfers)) {
        return false;
    }
    status_t status = check_return(&reply);
    if (LIKELY(status == ST_OK) && UNLIKELY(!find_call(&reply, op->sqe->interface))) {
        status = ST_GONE;
    }
    if (UNLIKELY(status != ST_OK)) {
        op_end_transfers(op, &reply.xfers, false);
        *status_out = status;
        return true;
    }
    *status_out = carry(&reply);
    sched_give_back(op->ring->thread);
    ring_put(reply.client);
    return true;
}

void op_return(struct op *op)
{
    status_t status;
    if (return_call(op, &status)) {
        op_complete(op, status);
    }
}

void op_return_recv(struct op *op)
{
    status_t status;
    if (UNLIKELY(!return_call(op, &status))) {
        return;
    }
    if (UNLIKELY(status != ST_OK && status != ST_GONE)) {
        op_complete(op, status);
        return;
    }
    op_recv(op);
}
