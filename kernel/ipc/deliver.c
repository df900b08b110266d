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
#include "arch/time.h"
#include "core/panic.h"
#include "gen/status.capnp.h"
#include "ring/buffer.h"
#include "ipc/endpoint.h"
#include "lib/base/bits.h"
#include "object/kernel_trace.h"
#include "object/process.h"
#include "ring/ring.h"
#include "sched/sched.h"

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
    return (uint32_t)sizeof(struct capos_received) + call->sqe.params_len +
           call->xfer_count * (uint32_t)sizeof(struct capos_cap_record);
}

static void put_caps(struct delivery *delivery)
{
    for (uint32_t i = 0; i < delivery->ncaps; i++) {
        capability_put(&delivery->caps[i]);
    }
    delivery->ncaps = 0;
}

/* The receive may wait on: what was promised to it is again. */
static void undo_caps(struct delivery *delivery)
{
    struct record *receive = delivery->receive;
    if (delivery->ncaps != 0) {
        table_unredeem(&receive->ring->process->table, delivery->ncaps, delivery->ids);
        receive->promised = (uint8_t)(receive->promised + delivery->ncaps);
        put_caps(delivery);
    }
}

/* Refs to what the call carries. */
static status_t take_caps(struct delivery *delivery)
{
    struct record *call = delivery->call;
    struct cap_table *table = &call->ring->process->table;
    delivery->ncaps = 0;
    for (uint32_t i = 0; i < call->xfer_count; i++) {
        status_t status = table_captured_get(table, call->xfers[i], &delivery->caps[i]);
        delivery->ncaps += status == ST_OK;
        if (status == ST_OK &&
            !session_may_pass(call->ring->process, delivery->receive->ring->process->session,
                              &delivery->caps[i])) {
            status = ST_NOT_TRANSFERABLE;
        }
        if (status != ST_OK) {
            put_caps(delivery);
            return status;
        }
    }
    return ST_OK;
}

static ALWAYS_INLINE struct capos_received header_of(const struct delivery *delivery)
{
    const struct record *call = delivery->call;
    return (struct capos_received){
        .call_id = call_id_of(call),
        .key = call->key,
        .interface = call->sqe.interface,
        .facet = call->facet,
        .caller = {call->caller[0], call->caller[1]},
        .epoch = call->ring->process->session->epoch,
        .params_len = call->sqe.params_len,
        .method = call->sqe.method,
        .cap_count = (uint16_t)delivery->ncaps,
    };
}

/* Bytes of the delivery at `offset`, in the receive's slot or its buffer. */
static status_t write_receiver(const struct delivery *delivery, uint64_t offset, const void *from,
                               uint64_t size)
{
    const struct record *receive = delivery->receive;
    if (delivery->to_slot) {
        copy_shared(record_slot(receive->sqe.params) + offset, from, size);
        return ST_OK;
    }
    return aspace_write(&receive->ring->process->aspace, receive->sqe.result + offset, from, size);
}

static enum fault copy_message(const struct delivery *delivery, status_t *status_out)
{
    const struct record *receive = delivery->receive;
    struct buffer message = record_params(delivery->call);
    uint64_t place = (delivery->to_slot ? receive->sqe.params : receive->sqe.result) +
                     sizeof(struct capos_received);
    *status_out = buffer_send(&message, receive->ring->process, place, delivery->to_slot);
    if (LIKELY(*status_out == ST_OK)) {
        return FAULT_NONE;
    }
    enum fault fault = *status_out == BAD_SOURCE ? FAULT_CALLER : FAULT_RECEIVER;
    *status_out = ST_BAD_ADDRESS;
    return fault;
}

static enum fault write_all(struct delivery *delivery, status_t *status_out)
{
    enum fault fault = copy_message(delivery, status_out);
    if (UNLIKELY(fault != FAULT_NONE)) {
        return fault;
    }
    struct capos_received header = header_of(delivery);
    *status_out = write_receiver(delivery, 0, &header, sizeof(header));
    if (UNLIKELY(delivery->ncaps != 0) && *status_out == ST_OK) {
        struct capos_cap_record records[ENDPOINT_MAX_CAPS];
        for (uint32_t i = 0; i < delivery->ncaps; i++) {
            records[i] = (struct capos_cap_record){.cap = delivery->ids[i],
                                                   .interface = delivery->caps[i].interface};
        }
        *status_out = write_receiver(delivery, sizeof(header) + delivery->call->sqe.params_len,
                                     records, delivery->ncaps * sizeof(records[0]));
    }
    return LIKELY(*status_out == ST_OK) ? FAULT_NONE : FAULT_RECEIVER;
}

/* Everything that can fail. On success refs are taken, slots reserved and bytes written. That the
 * receive has room for all that the endpoint takes was checked when it was submitted. */
static enum fault prepare(struct delivery *delivery, status_t *status_out)
{
    struct record *call = delivery->call;
    struct record *receive = delivery->receive;
    delivery->bytes = delivered_bytes(call);
    delivery->to_slot = record_is_inline(receive) && delivery->bytes <= CAPOS_PAYLOAD_SLOT_BYTES;
    delivery->ncaps = 0;
    /* The object called may have died with its server's instance while the call waited; the successor
     * may have given its key to another. */
    if (UNLIKELY(record_is_cut_off(call))) {
        *status_out = ST_DISCONNECTED;
        return FAULT_CALLER;
    }
    if (call->xfer_count == 0) {
        return write_all(delivery, status_out);
    }
    *status_out = take_caps(delivery);
    if (*status_out != ST_OK) {
        return FAULT_CALLER;
    }
    struct cap_table *table = &receive->ring->process->table;
    table_redeem(table, delivery->ncaps, delivery->ids);
    receive->promised = (uint8_t)(receive->promised - delivery->ncaps);
    enum fault fault = write_all(delivery, status_out);
    if (fault != FAULT_NONE) {
        undo_caps(delivery);
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

static bool abandon(struct delivery *delivery)
{
    kobj_ref(&delivery->endpoint->obj);
    undo_caps(delivery);
    restore_call(delivery); /* doomed: finishes it */
    restore_receive(delivery);
    return false;
}

/* For the flight recorder; the call is not done with while its endpoint is locked. */
static ALWAYS_INLINE void trace_delivery(const struct delivery *delivery)
{
    const struct record *call = delivery->call;
    if (ring_is_traced(call->ring)) {
        trace_event(call->ring, CAPOS_TRACE_DELIVER, call->position, 0, 0, 0);
    }
    if (ring_is_traced(delivery->receive->ring)) {
        trace_event(delivery->receive->ring,
                    TRACE_WHAT(CAPOS_TRACE_RECEIVE, 0, call->sqe.method, delivery->ncaps),
                    call_id_of(call), call->key, call->sqe.interface, call->sqe.params_len);
    }
}

/* From now on it has so long, or until its own deadline, if that is earlier. */
COLD static void bound(struct record *call, uint64_t bound_ns)
{
    uint64_t until_ns = arch_time_ns() + bound_ns;
    bool own = call->sqe.deadline_ns != 0;
    if (!own || (call->sqe.deadline_ns > until_ns && timer_cancel(&call->deadline))) {
        atomic_store_relaxed(&call->bounded, true);
        record_arm(call, until_ns);
    }
}

/* The call is in flight and the receive done, in one critical section. With capabilities there is no way
 * back: they are installed, so a call that was doomed meanwhile ends, and its RETURN will find it gone. */
static bool commit(struct delivery *delivery)
{
    struct record *call = delivery->call;
    struct record *receive = delivery->receive;
    uint32_t ncaps = delivery->ncaps;
    if (UNLIKELY(ncaps != 0)) {
        install_caps(delivery);
    }
    lock_acquire(&delivery->endpoint->obj.lock);
    call->receiver = receive->ring->id;
    status_t status = record_enter_inflight_locked(call, receive->ring->process);
    if (LIKELY(status == ST_OK)) {
        sched_lend(call->ring, receive->ring->thread);
        if (UNLIKELY(served_of(call->held)->bound_ns != 0)) {
            bound(call, served_of(call->held)->bound_ns);
        }
    }
    if (UNLIKELY(status != ST_OK && ncaps == 0)) {
        lock_release(&delivery->endpoint->obj.lock);
        return abandon(delivery);
    }
    record_let_go_locked(receive);
    endpoint_count_locked(delivery->endpoint, call->sqe.params_len);
    if (LIKELY(status == ST_OK)) {
        trace_delivery(delivery);
    }
    lock_release(&delivery->endpoint->obj.lock);
    if (UNLIKELY(status != ST_OK)) {
        record_complete(call, status);
    }
    record_unpromise(receive);
    uint16_t flags =
        (uint16_t)((ncaps != 0 ? CAPOS_CQE_CAPS : 0) | (delivery->to_slot ? CAPOS_CQE_INLINE : 0));
    record_post(receive, (int32_t)delivery->bytes, flags, (uint16_t)ncaps,
                ncaps != 0 ? delivery->ids[0] : 0);
    return true;
}

bool endpoint_deliver(struct delivery *delivery)
{
    status_t status;
    enum fault fault = prepare(delivery, &status);
    if (LIKELY(fault == FAULT_NONE)) {
        if (UNLIKELY(receiver_ending(delivery) ||
                     (delivery->ncaps != 0 && call_doomed(delivery)))) {
            return abandon(delivery);
        }
        return commit(delivery);
    }
    kobj_ref(&delivery->endpoint->obj);
    if (fault == FAULT_CALLER) {
        record_complete(delivery->call, status);
        restore_receive(delivery);
    } else {
        record_complete(delivery->receive, status);
        restore_call(delivery);
    }
    return false;
}

enum pairing { PAIR_NONE, PAIR_TAKEN, PAIR_RECEIVE_ENDED };

/* Queued ones, in line. */
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
            if (!endpoint_deliver(&delivery)) {
                kobj_unref(&endpoint->obj);
            }
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
