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
#include "ring/buffer.h"
#include "ring/op.h"

struct reply {
    struct op *op;
    struct op_transfers xfers;
    struct ring *client; /* held by ring_put */
    struct record *call; /* CLAIMED */
    struct kobj *target; /* the endpoint; a ref */
    uint32_t ncaps;
    struct capability caps[ENDPOINT_MAX_CAPS];
    capos_cap_t ids[ENDPOINT_MAX_CAPS];
};

static bool find_call(struct reply *reply, uint64_t call_id)
{
    uint32_t index = (uint32_t)(call_id & ((1u << RING_INDEX_BITS) - 1));
    uint32_t ring_id = (uint32_t)(call_id >> RING_INDEX_BITS) & ((1u << RING_ID_BITS) - 1);
    uint32_t generation = (uint32_t)(call_id >> (RING_INDEX_BITS + RING_ID_BITS));
    reply->client = ring_get(ring_id);
    if (reply->client == NULL) {
        return false;
    }
    if (index < reply->client->cq_entries) {
        reply->call = record_at(reply->client, index);
        if (record_claim_inflight(reply->call, generation, reply->op->process)) {
            reply->target = reply->call->target;
            kobj_ref(reply->target);
            return true;
        }
    }
    ring_put(reply->client);
    return false;
}

static void let_go(struct reply *reply)
{
    kobj_unref(reply->target);
    ring_put(reply->client);
}

/* Back in flight: the server made a mistake and may answer again. Doomed meanwhile: finished. */
static void restore(struct reply *reply)
{
    status_t status = record_enter_inflight(reply->call, &endpoint_of(reply->target)->inflight,
                                            reply->op->process);
    if (status != ST_OK) {
        record_complete(reply->call, status);
    }
    let_go(reply);
}

static status_t take_caps(struct reply *reply)
{
    struct cap_table *table = &reply->op->process->table;
    reply->ncaps = 0;
    for (uint32_t i = 0; i < reply->xfers.count; i++) {
        status_t status = table_captured_get(table, reply->xfers.ids[i], &reply->caps[i]);
        if (status != ST_OK) {
            return status;
        }
        reply->ncaps++;
    }
    return ST_OK;
}

static void put_caps(struct reply *reply)
{
    for (uint32_t i = 0; i < reply->ncaps; i++) {
        capability_put(&reply->caps[i]);
    }
}

static uint32_t reply_bytes(const struct reply *reply)
{
    return (uint32_t)align_up(reply->op->sqe.params_len, 8) +
           reply->ncaps * (uint32_t)sizeof(struct capos_cap_record);
}

static struct buffer message_of(const struct reply *reply)
{
    const struct op *op = reply->op;
    struct buffer message = {
        .ring = op->ring,
        .address = op->sqe.params,
        .size_bytes = op->sqe.params_len,
        .is_inline = (op->sqe.flags & CAPOS_SQE_INLINE) != 0,
    };
    return message;
}

static status_t write_client(struct reply *reply, const struct buffer *message)
{
    struct record *call = reply->call;
    status_t status = record_copy_message(message, call, 0);
    if (status != ST_OK || reply->ncaps == 0) {
        return status;
    }
    struct capos_cap_record records[ENDPOINT_MAX_CAPS];
    for (uint32_t i = 0; i < reply->ncaps; i++) {
        records[i].cap = reply->ids[i];
        records[i].interface = reply->caps[i].interface;
    }
    return record_write_result(call, align_up(message->size_bytes, 8), records,
                               reply->ncaps * sizeof(records[0]));
}

/* The client cannot take the answer: it is told why; the server's capabilities stay the server's. */
static void fail_client(struct reply *reply, status_t status)
{
    put_caps(reply);
    op_end_transfers(reply->op, &reply->xfers, false);
    if (status == ST_RESULT_TOO_SMALL) {
        record_finish(reply->call, status, CAPOS_CQE_NEEDED, 0, (uint64_t)reply_bytes(reply) << 32);
    } else {
        record_complete(reply->call, status);
    }
    let_go(reply);
}

static void succeed(struct reply *reply)
{
    struct record *call = reply->call;
    struct cap_table *table = &call->ring->process->table;
    for (uint32_t i = 0; i < reply->ncaps; i++) {
        table_install(table, reply->ids[i], &reply->caps[i], CAP_HOP_RECEIVED);
    }
    op_end_transfers(reply->op, &reply->xfers, true);
    bool caps = reply->ncaps != 0;
    record_finish(call, (int32_t)reply->op->sqe.params_len, caps ? CAPOS_CQE_CAPS : 0,
                  (uint16_t)reply->ncaps, caps ? reply->ids[0] : 0);
    let_go(reply);
}

/* The exception's message goes along as far as the client has room; that it does not fit or cannot be
 * written hurts nobody: `needed` tells its length, 0 when none of it was written. */
static void finish_exception(struct reply *reply, uint16_t exception)
{
    struct buffer message = message_of(reply);
    uint32_t len = (uint32_t)message.size_bytes;
    if (len > reply->call->result_len) {
        message.size_bytes = reply->call->result_len;
    }
    op_end_transfers(reply->op, &reply->xfers, false);
    if (record_copy_message(&message, reply->call, 0) != ST_OK) {
        len = 0;
    }
    record_finish(reply->call, ST_EXCEPTION, CAPOS_CQE_EXCEPTION, 0,
                  exception | (uint64_t)len << 32);
    let_go(reply);
}

/* The server's own mistake: nothing happened, the call is in flight again. */
static status_t refuse(struct reply *reply, status_t status)
{
    put_caps(reply);
    op_end_transfers(reply->op, &reply->xfers, false);
    restore(reply);
    return status;
}

/* Carries the answer over. ST_OK, or ST_GONE when the client could not take it; anything else is the
 * server's mistake and the call is still in flight. */
static status_t carry(struct reply *reply)
{
    struct record *call = reply->call;
    struct cap_table *table = &call->ring->process->table;
    status_t status = take_caps(reply);
    if (status != ST_OK) {
        return refuse(reply, status);
    }
    if (reply_bytes(reply) > call->result_len || reply->ncaps > call->accept_count) {
        fail_client(reply, ST_RESULT_TOO_SMALL);
        return ST_GONE;
    }
    status = table_reserve(table, reply->ncaps, reply->ids);
    if (status != ST_OK) {
        fail_client(reply, status);
        return ST_GONE;
    }
    struct buffer message = message_of(reply);
    status = write_client(reply, &message);
    if (status == ST_OK) {
        succeed(reply);
        return ST_OK;
    }
    table_unreserve(table, reply->ncaps, reply->ids);
    if (status == BAD_SOURCE) {
        return refuse(reply, ST_BAD_ADDRESS);
    }
    fail_client(reply, status);
    return ST_GONE;
}

static status_t check_return(const struct op *op)
{
    if (op->sqe.params_len % 8 != 0) {
        return ST_BAD_MESSAGE;
    }
    if (op->sqe.params_len > CAPOS_MAX_MESSAGE_BYTES) {
        return ST_TOO_LARGE;
    }
    return op->sqe.method < CAPOS_EXC_COUNT ? ST_OK : ST_BAD_ARGUMENT;
}

/* The whole RETURN but its completion. False: a completion was posted already. */
static bool return_call(struct op *op, status_t *status_out)
{
    struct reply reply;
    reply.op = op;
    reply.ncaps = 0;
    if (!op_capture_transfers(op, ENDPOINT_MAX_CAPS, &reply.xfers)) {
        return false;
    }
    status_t status = check_return(op);
    if (status == ST_OK && !find_call(&reply, op->sqe.interface)) {
        status = ST_GONE;
    }
    if (status != ST_OK) {
        op_end_transfers(op, &reply.xfers, false);
        *status_out = status;
        return true;
    }
    if (op->sqe.method != CAPOS_EXC_NONE) {
        finish_exception(&reply, op->sqe.method);
        *status_out = ST_OK;
        return true;
    }
    *status_out = carry(&reply);
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
    if (!return_call(op, &status)) {
        return;
    }
    if (status != ST_OK && status != ST_GONE) {
        op_complete(op, status);
        return;
    }
    op_recv(op);
}
