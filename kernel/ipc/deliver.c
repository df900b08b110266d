/* SPDX-License-Identifier: MIT */
/*
 * Delivery: a waiting call meets a waiting receive.
 *
 * Under the endpoint's lock both records are claimed; then, with no lock held, slots are reserved in
 * the receiver's table and bytes are copied once from the caller's memory to the receiver's; then
 * the call becomes INFLIGHT and the receive completes. Who is at fault pays: a caller whose memory
 * cannot be read loses the call and the receive waits on; a receiver whose buffer is too small or
 * not writable, or whose table is full, loses the receive and the call waits on, first in line.
 *
 * A call doomed (cancelled, timed out) while it was claimed is finished by us: before the commit
 * nothing has happened; after it the receiver has the call and its RETURN will find it GONE.
 */
#include "core/panic.h"
#include "gen/status.capnp.h"
#include "ring/buffer.h"
#include "ipc/endpoint.h"
#include "lib/base/bits.h"
#include "object/process.h"
#include "ring/ring.h"

struct delivery {
    struct endpoint *endpoint;
    struct record *call;
    struct record *receive;
    uint32_t ncaps;
    struct capability caps[ENDPOINT_MAX_CAPS]; /* refs for the receiver */
    capos_cap_t ids[ENDPOINT_MAX_CAPS];        /* reserved in the receiver's table */
};

enum fault { FAULT_NONE, FAULT_CALLER, FAULT_RECEIVER };

/* Nothing is delivered to a process that is ending: its receives end, and the call waits for whoever
 * comes next. */
static bool receiver_ending(const struct delivery *delivery)
{
    return process_is_exiting(delivery->receive->ring->process);
}

static uint64_t call_id_of(const struct record *call)
{
    uint64_t generation = atomic_load_relaxed(&call->generation);
    return generation << (RING_ID_BITS + RING_INDEX_BITS) |
           (uint64_t)call->ring->id << RING_INDEX_BITS | call->index;
}

static uint32_t delivered_bytes(const struct record *call)
{
    return (uint32_t)sizeof(struct capos_received) + (uint32_t)align_up(call->params_len, 8) +
           call->xfer_count * (uint32_t)sizeof(struct capos_cap_record);
}

static void put_caps(struct delivery *delivery)
{
    for (uint32_t i = 0; i < delivery->ncaps; i++) {
        capability_put(&delivery->caps[i]);
    }
    delivery->ncaps = 0;
}

/* Refs to what the call carries. */
static status_t take_caps(struct delivery *delivery)
{
    struct record *call = delivery->call;
    struct cap_table *table = &call->ring->process->table;
    delivery->ncaps = 0;
    for (uint32_t i = 0; i < call->xfer_count; i++) {
        status_t status = table_captured_get(table, call->xfers[i], &delivery->caps[i]);
        if (status != ST_OK) {
            put_caps(delivery);
            return status;
        }
        delivery->ncaps++;
    }
    return ST_OK;
}

static void fill_header(const struct delivery *delivery, struct capos_received *header)
{
    const struct record *call = delivery->call;
    *header = (struct capos_received){
        .call_id = call_id_of(call),
        .key = call->key,
        .interface = call->interface,
        .facet = call->facet,
        .caller = {call->caller[0], call->caller[1]},
        .epoch = call->ring->process->session->epoch,
        .params_len = call->params_len,
        .method = call->method,
        .cap_count = (uint16_t)delivery->ncaps,
    };
}

static status_t write_receiver(const struct delivery *delivery)
{
    struct record *receive = delivery->receive;
    struct capos_received header;
    fill_header(delivery, &header);
    status_t status = record_write_result(receive, 0, &header, sizeof(header));
    if (status != ST_OK || delivery->ncaps == 0) {
        return status;
    }
    struct capos_cap_record records[ENDPOINT_MAX_CAPS];
    for (uint32_t i = 0; i < delivery->ncaps; i++) {
        records[i].cap = delivery->ids[i];
        records[i].interface = delivery->caps[i].interface;
    }
    uint64_t offset = sizeof(header) + align_up(delivery->call->params_len, 8);
    return record_write_result(receive, offset, records, delivery->ncaps * sizeof(records[0]));
}

static enum fault copy_message(const struct delivery *delivery, status_t *status_out)
{
    struct record *call = delivery->call;
    struct buffer message = record_params(call);
    *status_out = record_copy_message(&message, delivery->receive, sizeof(struct capos_received));
    if (*status_out == ST_OK) {
        return FAULT_NONE;
    }
    enum fault fault = *status_out == BAD_SOURCE ? FAULT_CALLER : FAULT_RECEIVER;
    *status_out = ST_BAD_ADDRESS;
    return fault;
}

/* Everything that can fail. On success refs are taken, slots reserved and bytes written. */
static enum fault prepare(struct delivery *delivery, status_t *status_out)
{
    struct record *call = delivery->call;
    struct record *receive = delivery->receive;
    if (delivered_bytes(call) > receive->result_len || call->xfer_count > receive->accept_count) {
        *status_out = ST_RESULT_TOO_SMALL;
        return FAULT_RECEIVER;
    }
    /* The object called may have died with its server's instance while the call waited; the successor
     * may have given its key to another. */
    *status_out = grant_is_live(call->route) ? take_caps(delivery) : ST_DISCONNECTED;
    if (*status_out != ST_OK) {
        return FAULT_CALLER;
    }
    struct cap_table *table = &receive->ring->process->table;
    *status_out = table_reserve(table, delivery->ncaps, delivery->ids);
    if (*status_out != ST_OK) {
        put_caps(delivery);
        return FAULT_RECEIVER;
    }
    enum fault fault = copy_message(delivery, status_out);
    if (fault == FAULT_NONE) {
        *status_out = write_receiver(delivery);
        fault = *status_out == ST_OK ? FAULT_NONE : FAULT_RECEIVER;
    }
    if (fault != FAULT_NONE) {
        table_unreserve(table, delivery->ncaps, delivery->ids);
        put_caps(delivery);
    }
    return fault;
}

/* Puts a record that was not at fault back in line, or finishes it when it was doomed. */
static void restore_call(struct delivery *delivery)
{
    struct record *call = delivery->call;
    lock_acquire(&delivery->endpoint->obj.lock);
    status_t status = call->doom;
    if (status == ST_OK && endpoint_refuses_locked(delivery->endpoint)) {
        status = ST_DISCONNECTED;
    }
    if (status == ST_OK) {
        endpoint_requeue_locked(delivery->endpoint, call);
    }
    lock_release(&delivery->endpoint->obj.lock);
    if (status != ST_OK) {
        record_complete(call, status);
    }
}

static void restore_receive(struct delivery *delivery)
{
    struct record *receive = delivery->receive;
    lock_acquire(&delivery->endpoint->obj.lock);
    status_t status = receive->doom;
    if (status == ST_OK && (kobj_is_dead(&delivery->endpoint->obj) || receiver_ending(delivery))) {
        status = ST_DISCONNECTED;
    }
    if (status == ST_OK) {
        receive->state = RECORD_QUEUED;
        list_push_front(&delivery->endpoint->receives, &receive->link);
    }
    lock_release(&delivery->endpoint->obj.lock);
    if (status != ST_OK) {
        record_complete(receive, status);
    }
}

static void finish_receive_refused(struct delivery *delivery, status_t status)
{
    uint32_t needed = delivered_bytes(delivery->call);
    if (status == ST_RESULT_TOO_SMALL) {
        record_finish(delivery->receive, status, CAPOS_CQE_NEEDED, 0, (uint64_t)needed << 32);
    } else {
        record_complete(delivery->receive, status);
    }
}

/* Read before the commit: a doomed call is not delivered. */
static bool call_doomed(const struct delivery *delivery)
{
    lock_acquire(&delivery->endpoint->obj.lock);
    bool doomed = delivery->call->doom != ST_OK;
    lock_release(&delivery->endpoint->obj.lock);
    return doomed;
}

static void install_caps(struct delivery *delivery)
{
    struct cap_table *table = &delivery->receive->ring->process->table;
    for (uint32_t i = 0; i < delivery->ncaps; i++) {
        table_install(table, delivery->ids[i], &delivery->caps[i], CAP_HOP_RECEIVED);
    }
    if (delivery->call->xfer_count != 0) {
        record_end_transfers(delivery->call, true);
    }
}

static void commit(struct delivery *delivery)
{
    uint32_t ncaps = delivery->ncaps;
    uint32_t bytes = delivered_bytes(delivery->call);
    install_caps(delivery);
    status_t status = record_enter_inflight(delivery->call, &delivery->endpoint->inflight,
                                            delivery->receive->ring->process);
    if (status != ST_OK) {
        record_complete(delivery->call, status);
    }
    record_finish(delivery->receive, (int32_t)bytes, ncaps != 0 ? CAPOS_CQE_CAPS : 0,
                  (uint16_t)ncaps, ncaps != 0 ? delivery->ids[0] : 0);
}

static void abandon(struct delivery *delivery)
{
    struct cap_table *table = &delivery->receive->ring->process->table;
    table_unreserve(table, delivery->ncaps, delivery->ids);
    put_caps(delivery);
    restore_call(delivery); /* doomed: finishes it */
    restore_receive(delivery);
}

/* True when the pair is done with and it is worth looking for another. */
static void deliver(struct delivery *delivery)
{
    status_t status;
    enum fault fault = prepare(delivery, &status);
    if (fault == FAULT_CALLER) {
        record_complete(delivery->call, status);
        restore_receive(delivery);
    } else if (fault == FAULT_RECEIVER) {
        finish_receive_refused(delivery, status);
        restore_call(delivery);
    } else if (call_doomed(delivery) || receiver_ending(delivery)) {
        abandon(delivery);
    } else {
        commit(delivery);
    }
}

enum pairing { PAIR_NONE, PAIR_TAKEN, PAIR_RECEIVE_ENDED };

static enum pairing take_pair(struct delivery *delivery)
{
    struct endpoint *endpoint = delivery->endpoint;
    enum pairing pairing = PAIR_NONE;
    lock_acquire(&endpoint->obj.lock);
    if (!list_empty(&endpoint->callers) && !list_empty(&endpoint->receives) &&
        !kobj_is_dead(&endpoint->obj)) {
        struct list_node *node = list_pop_front(&endpoint->receives);
        delivery->receive = list_entry(node, struct record, link);
        delivery->receive->state = RECORD_CLAIMED;
        pairing = PAIR_RECEIVE_ENDED;
        if (!receiver_ending(delivery)) {
            delivery->call = endpoint_first_call_locked(endpoint);
            pairing = PAIR_TAKEN;
        }
    }
    lock_release(&endpoint->obj.lock);
    return pairing;
}

static bool queue_job_locked(struct endpoint *endpoint)
{
    if (endpoint->draining) {
        return false;
    }
    endpoint->draining = true;
    kobj_ref(&endpoint->obj);
    return true;
}

/* One pair is what a new call or receive can add; a few more when somebody was at fault, and the rest
 * of such a row is the endpoint's job. */
void endpoint_match(struct endpoint *endpoint)
{
    struct delivery delivery;
    delivery.endpoint = endpoint;
    for (unsigned i = 0; i < ENDPOINT_MAX_SKIPS; i++) {
        enum pairing pairing = take_pair(&delivery);
        if (pairing == PAIR_NONE) {
            return;
        }
        if (pairing == PAIR_TAKEN) {
            deliver(&delivery);
        } else {
            record_complete(delivery.receive, ST_DISCONNECTED);
        }
    }
    lock_acquire(&endpoint->obj.lock);
    bool left = !list_empty(&endpoint->callers) && !list_empty(&endpoint->receives);
    bool submit = left && queue_job_locked(endpoint);
    lock_release(&endpoint->obj.lock);
    if (submit) {
        job_submit(&endpoint->job);
    }
}
