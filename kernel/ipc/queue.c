/* SPDX-License-Identifier: MIT */
/* Who waits at an endpoint. Theory in endpoint.h. */
#include "arch/arch.h"
#include "core/panic.h"
#include "gen/endpoint.capnp.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "ipc/endpoint.h"
#include "object/process.h"
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

static status_t check_call(const struct op *op, const struct endpoint *endpoint,
                           const struct served *served, const struct op_transfers *xfers)
{
    if (!grant_is_live(served->mint)) {
        return ST_DISCONNECTED;
    }
    if (op->sqe.params_len > endpoint->max_message_bytes) {
        return ST_TOO_LARGE;
    }
    if (xfers->count > endpoint->max_caps || op->sqe.accept_count > ENDPOINT_MAX_CAPS) {
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

/* Queues, or says why not. The record is the caller's to finish when it is refused. */
static status_t enqueue(struct endpoint *endpoint, struct record *rec)
{
    status_t status = ST_OK;
    lock_acquire(&endpoint->obj.lock);
    if (endpoint_refuses_locked(endpoint)) {
        status = ST_DISCONNECTED;
    } else if (rec->doom != ST_OK) {
        status = rec->doom;
    } else {
        endpoint_enqueue_locked(endpoint, rec);
    }
    lock_release(&endpoint->obj.lock);
    return status;
}

void endpoint_submit_call(struct op *op, struct capability *cap, const uint64_t caller[2],
                          const struct op_transfers *xfers)
{
    struct served *served = served_of(cap->object);
    struct endpoint *endpoint = served->endpoint;
    status_t status = check_call(op, endpoint, served, xfers);
    struct record *rec = NULL;
    if (status == ST_OK) {
        rec = record_alloc(op->ring, &op->sqe, op->position, &endpoint->obj, cap->route);
        status = rec == NULL ? ST_DISCONNECTED : ST_OK;
    }
    if (status != ST_OK) {
        op_end_transfers(op, xfers, false);
        capability_put(cap);
        op_complete(op, status);
        return;
    }
    fill_call(rec, cap, caller, xfers);
    record_arm(rec, op->sqe.deadline_ns);
    status = enqueue(endpoint, rec);
    if (status != ST_OK) {
        record_complete(rec, status);
    } else {
        endpoint_match(endpoint);
    }
    capability_put(cap);
}

static status_t check_receive(const struct op *op, const struct capability *cap)
{
    if (cap->ktype != KTYPE_ENDPOINT) {
        return ST_WRONG_INTERFACE;
    }
    if ((cap->facet >> Endpoint_receive_ORDINAL & 1) == 0) {
        return ST_NO_METHOD;
    }
    if (op->sqe.result_len % 8 != 0 || op->sqe.result_len < sizeof(struct capos_received)) {
        return ST_BAD_MESSAGE;
    }
    return ST_OK;
}

/* A receive ends a vacancy: the successor is there. */
static status_t enqueue_receive(struct endpoint *endpoint, struct record *rec)
{
    status_t status = ST_OK;
    lock_acquire(&endpoint->obj.lock);
    if (kobj_is_dead(&endpoint->obj)) {
        status = ST_DISCONNECTED;
    } else if (!record_queue_locked(rec, &endpoint->receives)) {
        status = rec->doom;
    } else {
        endpoint->vacant = false;
    }
    lock_release(&endpoint->obj.lock);
    return status;
}

static void submit_receive(struct op *op, struct capability *cap)
{
    struct endpoint *endpoint = endpoint_of(cap->object);
    struct record *rec = record_alloc(op->ring, &op->sqe, op->position, cap->object, cap->route);
    if (rec == NULL) {
        op_complete(op, ST_DISCONNECTED);
        return;
    }
    record_arm(rec, op->sqe.deadline_ns);
    status_t status = enqueue_receive(endpoint, rec);
    if (status != ST_OK) {
        record_complete(rec, status);
        return;
    }
    endpoint_match(endpoint);
}

void op_recv(struct op *op)
{
    struct capability cap;
    uint64_t caller[2];
    status_t status = table_get(&op->process->table, op->sqe.cap, &cap, caller);
    if (status != ST_OK) {
        op_complete(op, status);
        return;
    }
    status = check_receive(op, &cap);
    if (status == ST_OK) {
        submit_receive(op, &cap);
    } else {
        op_complete(op, status);
    }
    capability_put(&cap);
}
