/* SPDX-License-Identifier: MIT */
/* Who waits at an endpoint. Theory in endpoint.h. */
#include "arch/arch.h"
#include "core/panic.h"
#include "gen/endpoint.capnp.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "ipc/endpoint.h"
#include "object/process.h"
#include "lib/base/bits.h"
#include "ring/buffer.h"
#include "ring/op.h"

/* The first queued call of this ring at this endpoint; NULL when there is none. A ring has one head
 * per endpoint it has calls waiting at. */
static struct record *head_of(struct endpoint *endpoint, struct ring *ring)
{
    struct record *found = NULL;
    lock_acquire(&ring->lock);
    list_for_each(node, &ring->call_heads)
    {
        struct record *head = list_entry(node, struct record, ring_link);
        if (head->target == &endpoint->obj) {
            found = head;
            break;
        }
    }
    lock_release(&ring->lock);
    return found;
}

static void become_head(struct record *call)
{
    struct ring *ring = call->ring;
    lock_acquire(&ring->lock);
    list_push_back(&ring->call_heads, &call->ring_link);
    lock_release(&ring->lock);
    call->heads_ring = true;
}

static void cease_head(struct record *call)
{
    struct ring *ring = call->ring;
    lock_acquire(&ring->lock);
    list_remove(&call->ring_link);
    lock_release(&ring->lock);
    call->heads_ring = false;
}

void endpoint_enqueue_locked(struct endpoint *endpoint, struct record *call)
{
    lock_assert_held(&endpoint->obj.lock);
    call->state = RECORD_QUEUED;
    struct record *head = head_of(endpoint, call->ring);
    if (head != NULL) {
        list_push_back(&head->followers, &call->link);
        return;
    }
    become_head(call);
    list_push_back(&endpoint->callers, &call->link);
}

/* Back to where it came from: first of its ring, and its ring first in line. */
void endpoint_requeue_locked(struct endpoint *endpoint, struct record *call)
{
    lock_assert_held(&endpoint->obj.lock);
    call->state = RECORD_QUEUED;
    struct record *head = head_of(endpoint, call->ring);
    if (head != NULL) {
        list_remove(&head->link);
        list_splice_back(&call->followers, &head->followers);
        list_push_front(&call->followers, &head->link);
        cease_head(head);
    }
    become_head(call);
    list_push_front(&endpoint->callers, &call->link);
}

/* A head leaves: its next follower takes over its followers, and a place in line. */
static void unlink_head(struct endpoint *endpoint, struct record *head, bool keep_place)
{
    struct list_node *place = head->link.prev;
    list_remove(&head->link);
    cease_head(head);
    struct list_node *first = list_pop_front(&head->followers);
    if (first == NULL) {
        return;
    }
    struct record *next = list_entry(first, struct record, link);
    list_splice_back(&next->followers, &head->followers);
    become_head(next);
    if (keep_place) {
        list_insert_after(place, &next->link);
    } else {
        list_push_back(&endpoint->callers, &next->link);
    }
}

void endpoint_unlink_locked(struct kobj *obj, struct record *rec)
{
    struct endpoint *endpoint = endpoint_of(obj);
    if (rec->heads_ring) {
        unlink_head(endpoint, rec, true);
    } else {
        list_remove(&rec->link);
    }
}

/* Takes the first call in line (state CLAIMED) and sends its ring to the back. */
struct record *endpoint_first_call_locked(struct endpoint *endpoint)
{
    struct list_node *node = list_first(&endpoint->callers);
    if (node == NULL) {
        return NULL;
    }
    struct record *call = list_entry(node, struct record, link);
    unlink_head(endpoint, call, false);
    call->state = RECORD_CLAIMED;
    return call;
}

bool endpoint_refuses_locked(const struct endpoint *endpoint)
{
    return atomic_load_relaxed(&endpoint->obj.dead) != 0 ||
           (endpoint->vacant && endpoint->vacant_until_ns <= arch_time_ns());
}

static status_t check_call(struct op *op, const struct endpoint *endpoint,
                           const struct served *served, const struct op_transfers *xfers)
{
    if (UNLIKELY(!grant_is_live(served->obj.mint))) {
        return ST_DISCONNECTED;
    }
    if (UNLIKELY(op->sqe->params_len > endpoint->max_message_bytes)) {
        return ST_TOO_LARGE;
    }
    if (UNLIKELY(xfers->count > endpoint->max_caps || op->sqe->accept_count > ENDPOINT_MAX_CAPS)) {
        return ST_BAD_TRANSFER;
    }
    return ST_OK;
}

static void fill_call(struct record *rec, const struct capability *cap, const uint64_t caller[2],
                      const struct op_transfers *xfers)
{
    struct served *served = served_of(cap->object);
    rec->facet = cap->facet;
    rec->key = served->key;
    rec->caller[0] = caller[0];
    rec->caller[1] = caller[1];
    rec->xfer_count = (uint8_t)xfers->count;
    rec->move_mask = (uint32_t)xfers->move_mask;
    for (uint32_t i = 0; i < xfers->count; i++) {
        rec->xfers[i] = xfers->ids[i];
    }
}

/* With nobody in line before it, the call meets the first receive at once. */
static struct record *claim_receive_locked(struct endpoint *endpoint)
{
    struct list_node *node = list_first(&endpoint->receives);
    if (node == NULL || !list_empty(&endpoint->callers)) {
        return NULL;
    }
    struct record *receive = list_entry(node, struct record, link);
    if (UNLIKELY(process_is_exiting(receive->ring->process))) {
        return NULL;
    }
    list_remove(node);
    receive->state = RECORD_CLAIMED;
    return receive;
}

static struct record *claim_call_locked(struct endpoint *endpoint)
{
    return list_empty(&endpoint->receives) ? endpoint_first_call_locked(endpoint) : NULL;
}

static void match_and_unref(struct endpoint *endpoint)
{
    endpoint_match(endpoint);
    kobj_unref(&endpoint->obj);
}

/* Brings a pair together, or looks at those in line, for which a ref was taken. */
static void go_on(struct delivery *delivery, bool paired, bool in_line)
{
    if (paired ? !endpoint_deliver(delivery) : in_line) {
        match_and_unref(delivery->endpoint);
    }
}

/* Pairs, queues, or says why not: then the record is finished. */
static void submit_call(struct delivery *delivery)
{
    struct endpoint *endpoint = delivery->endpoint;
    struct record *call = delivery->call;
    bool in_line = false;
    delivery->receive = NULL;
    lock_acquire(&endpoint->obj.lock);
    status_t status = endpoint_refuses_locked(endpoint) ? ST_DISCONNECTED : call->doom;
    if (LIKELY(status == ST_OK)) {
        delivery->receive = claim_receive_locked(endpoint);
        if (delivery->receive == NULL) {
            endpoint_enqueue_locked(endpoint, call);
            in_line = !list_empty(&endpoint->receives);
            if (UNLIKELY(in_line)) {
                kobj_ref(&endpoint->obj);
            }
        }
    }
    lock_release(&endpoint->obj.lock);
    if (UNLIKELY(status != ST_OK)) {
        record_complete(call, status);
        return;
    }
    go_on(delivery, delivery->receive != NULL, in_line);
}

/* Slots for what comes with the answer, or with a call. */
static status_t promise(struct op *op, struct record *rec)
{
    uint32_t n = op->sqe->accept_count;
    if (LIKELY(n == 0)) {
        return ST_OK;
    }
    status_t status = table_promise(&op->process->table, n);
    if (status == ST_OK) {
        rec->promised = (uint8_t)n;
    }
    return status;
}

void endpoint_submit_call(struct op *op, struct capability *cap, const uint64_t caller[2],
                          const struct op_transfers *xfers)
{
    struct served *served = served_of(cap->object);
    struct delivery delivery;
    delivery.endpoint = served->endpoint;
    status_t status = check_call(op, delivery.endpoint, served, xfers);
    struct record *rec = NULL;
    if (LIKELY(status == ST_OK)) {
        rec = record_alloc_held(op->ring, op->position, &delivery.endpoint->obj, cap->object,
                                cap->route);
        status = rec == NULL ? ST_DISCONNECTED : ST_OK;
    }
    if (UNLIKELY(status != ST_OK)) {
        op_end_transfers(op, xfers, false);
        capability_put(cap);
        op_complete(op, status);
        return;
    }
    fill_call(rec, cap, caller, xfers);
    if (UNLIKELY(promise(op, rec) != ST_OK)) {
        record_complete(rec, ST_QUOTA);
        return;
    }
    record_arm(rec, op->sqe->deadline_ns);
    ring_count_call(op->ring);
    delivery.call = rec;
    submit_call(&delivery);
}

/* What a receive needs at least: it must be able to take whatever the endpoint lets through. */
static uint32_t receive_bytes(const struct endpoint *endpoint)
{
    return (uint32_t)sizeof(struct capos_received) + endpoint->max_message_bytes +
           endpoint->max_caps * (uint32_t)sizeof(struct capos_cap_record);
}

static status_t check_receive(const struct cap_slot *slot)
{
    if (UNLIKELY(slot->ktype != KTYPE_ENDPOINT)) {
        return ST_WRONG_INTERFACE;
    }
    return LIKELY((slot->facet >> Endpoint_receive_ORDINAL & 1) != 0) ? ST_OK : ST_NO_METHOD;
}

/* The slot of an INLINE receive takes what fits there; a buffer is needed where the endpoint lets more
 * through. RETURN_RECV names one slot for the answer and what is received. */
static status_t check_room(struct op *op, const struct endpoint *endpoint, uint32_t *needed_out)
{
    struct capos_sqe *sqe = op->sqe;
    if (UNLIKELY(sqe->params != 0 && sqe->op == CAPOS_OP_RECV &&
                 (sqe->flags & CAPOS_SQE_INLINE) == 0)) {
        return ST_UNSUPPORTED;
    }
    *needed_out = receive_bytes(endpoint);
    bool small = (sqe->flags & CAPOS_SQE_INLINE) != 0 && *needed_out <= CAPOS_PAYLOAD_SLOT_BYTES;
    if (UNLIKELY(sqe->result_len % 8 != 0 || sqe->accept_count > ENDPOINT_MAX_CAPS)) {
        return ST_BAD_MESSAGE;
    }
    if (UNLIKELY((sqe->result_len < *needed_out && !small) ||
                 sqe->accept_count < endpoint->max_caps)) {
        return ST_RESULT_TOO_SMALL;
    }
    if (UNLIKELY(sqe->result > UINT64_MAX - sqe->result_len)) {
        return ST_BAD_ADDRESS;
    }
    if ((sqe->flags & CAPOS_SQE_INLINE) != 0) {
        sqe->params = align_down(sqe->params, CAPOS_PAYLOAD_SLOT_BYTES);
        return op_resolve_inline(op, CAPOS_PAYLOAD_SLOT_BYTES, false);
    }
    return ST_OK;
}

/* A receive ends a vacancy: the successor is there. */
static void submit_receive(struct delivery *delivery)
{
    struct endpoint *endpoint = delivery->endpoint;
    struct record *receive = delivery->receive;
    delivery->call = NULL;
    lock_acquire(&endpoint->obj.lock);
    status_t status = kobj_is_dead(&endpoint->obj) ? ST_DISCONNECTED : receive->doom;
    bool in_line = false;
    if (LIKELY(status == ST_OK)) {
        endpoint->vacant = false;
        delivery->call = claim_call_locked(endpoint);
        if (delivery->call == NULL) {
            receive->state = RECORD_QUEUED;
            list_push_back(&endpoint->receives, &receive->link);
            in_line = !list_empty(&endpoint->callers);
            if (UNLIKELY(in_line)) {
                kobj_ref(&endpoint->obj);
            }
        }
    }
    lock_release(&endpoint->obj.lock);
    if (UNLIKELY(status != ST_OK)) {
        record_complete(receive, status);
        return;
    }
    go_on(delivery, delivery->call != NULL, in_line);
}

/* The record, with refs of what it names. NULL: refused, the completion is posted. */
static struct record *receive_record(struct op *op, struct kobj *obj, struct grant *route)
{
    uint32_t needed;
    status_t status = check_room(op, endpoint_of(obj), &needed);
    if (LIKELY(status == ST_OK)) {
        struct record *rec = record_alloc_held(op->ring, op->position, obj, obj, route);
        if (LIKELY(rec != NULL)) {
            return rec;
        }
        status = ST_DISCONNECTED;
    }
    kobj_unref(obj);
    grant_unref(route);
    if (status == ST_RESULT_TOO_SMALL) {
        op_complete_needed(op, status, needed);
    } else {
        op_complete(op, status);
    }
    return NULL;
}

void op_recv(struct op *op)
{
    status_t status;
    const struct cap_slot *slot = table_open(&op->process->table, op->sqe->cap, &status);
    if (UNLIKELY(slot == NULL)) {
        op_complete(op, status);
        return;
    }
    struct kobj *obj = slot->object;
    struct grant *route = slot->route;
    status = check_receive(slot);
    if (LIKELY(status == ST_OK)) {
        kobj_ref(obj);
        grant_ref(route);
    }
    table_close(&op->process->table);
    if (UNLIKELY(status != ST_OK)) {
        op_complete(op, status);
        return;
    }
    struct delivery delivery;
    delivery.receive = receive_record(op, obj, route);
    if (UNLIKELY(delivery.receive == NULL)) {
        return;
    }
    if (UNLIKELY(promise(op, delivery.receive) != ST_OK)) {
        record_complete(delivery.receive, ST_QUOTA);
        return;
    }
    record_arm(delivery.receive, op->sqe->deadline_ns);
    delivery.endpoint = endpoint_of(obj);
    submit_receive(&delivery);
}
