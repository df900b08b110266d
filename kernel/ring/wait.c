/* SPDX-License-Identifier: MIT */
/* WAIT, SIGNAL, RELEASE, CANCEL: the small operations on capabilities and records. */
#include "ring/wait.h"

#include "gen/endpoint.capnp.h"
#include "gen/kernel/types.h"
#include "gen/notification.capnp.h"
#include "gen/status.capnp.h"
#include "ipc/endpoint.h"
#include "object/notification.h"
#include "object/process.h"
#include "ring/op.h"

enum { NOTIFY_BATCH = 16 };

/* One waiter whose time has come. */
struct wakening {
    struct record *rec;
    int32_t result;
    uint64_t signal;
};

/* What a waiter gets of obj now: events, ST_DISCONNECTED, or 0 = nothing yet. An object that can be
 * reached no more by the way it was waited on is as good as dead. */
static int32_t outcome_locked(struct kobj *obj, const struct record *rec, uint64_t *signal_out)
{
    *signal_out = 0;
    uint32_t events = 0;
    if (obj->ops->poll != NULL) {
        events = obj->ops->poll(obj, rec->method, rec->facet, signal_out);
    }
    if (kobj_is_dead(obj) || !grant_is_live(rec->route)) {
        events |= rec->method & CAPOS_EVENT_DEAD;
        if (events == 0) {
            return ST_DISCONNECTED;
        }
    }
    return (int32_t)events;
}

/* Takes up to a batch of waiters off the list; true when some may be left. */
static bool take_batch(struct kobj *obj, struct wakening *batch, unsigned *count_out)
{
    unsigned count = 0;
    bool more = false;
    lock_acquire(&obj->lock);
    list_for_each_safe(node, &obj->waiters)
    {
        if (count == NOTIFY_BATCH) {
            more = true;
            break;
        }
        struct record *rec = list_entry(node, struct record, link);
        uint64_t signal;
        int32_t result = outcome_locked(obj, rec, &signal);
        if (result != 0) {
            (void)record_claim_locked(rec, atomic_load_relaxed(&rec->generation));
            batch[count++] = (struct wakening){rec, result, signal};
        }
    }
    lock_release(&obj->lock);
    *count_out = count;
    return more;
}

static void settle(struct kobj *obj)
{
    if (obj->ops->settle != NULL) {
        obj->ops->settle(obj);
    }
}

void kobj_notify(struct kobj *obj)
{
    struct wakening batch[NOTIFY_BATCH];
    bool more = true;
    while (more) {
        unsigned count;
        more = take_batch(obj, batch, &count);
        for (unsigned i = 0; i < count; i++) {
            record_finish(batch[i].rec, batch[i].result, batch[i].result > 0 ? CAPOS_CQE_SIGNAL : 0,
                          0, batch[i].signal);
        }
    }
    settle(obj);
}

void kobj_kill(struct kobj *obj)
{
    lock_acquire(&obj->lock);
    atomic_store_release(&obj->dead, 1);
    lock_release(&obj->lock);
    kobj_notify(obj);
}

/* The ordinal whose facet bit each event needs, by interface. DEAD needs any capability. */
static bool wait_allowed(const struct capability *cap, uint32_t mask)
{
    static const struct {
        uint8_t ktype;
        uint8_t ordinal;
        uint32_t events;
    } table[] = {
        {KTYPE_NOTIFICATION, Notification_wait_ORDINAL, CAPOS_EVENT_SIGNALLED},
        {KTYPE_INTERRUPT, 0, CAPOS_EVENT_SIGNALLED},
        {KTYPE_PROCESS_HANDLE, 0, CAPOS_EVENT_EXIT},
        {KTYPE_ENDPOINT, Endpoint_wait_clients_ORDINAL, CAPOS_EVENT_NO_CLIENTS},
    };
    uint32_t allowed = CAPOS_EVENT_DEAD;
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].ktype == cap->ktype && (cap->facet >> table[i].ordinal & 1) != 0) {
            allowed |= table[i].events;
        }
    }
    return (mask & ~allowed) == 0;
}

static status_t wait_check(const struct capos_sqe *sqe, const struct capability *cap)
{
    if (sqe->method == 0 || (sqe->method & ~CAPOS_EVENTS_ALL) != 0) {
        return ST_BAD_ARGUMENT;
    }
    return wait_allowed(cap, sqe->method) ? ST_OK : ST_NO_METHOD;
}

/* Done now (result in *result_out, nothing queued) or queued. */
static bool wait_now(struct kobj *obj, struct record *rec, int32_t *result_out,
                     uint64_t *signal_out)
{
    lock_acquire(&obj->lock);
    *result_out = outcome_locked(obj, rec, signal_out);
    bool queued = *result_out == 0 && record_queue_locked(rec, &obj->waiters);
    lock_release(&obj->lock);
    return !queued;
}

/* Where the waiters of a capability queue: a served object's end comes with its endpoint. */
static struct kobj *waited_on(const struct capability *cap)
{
    return cap->ktype == 0 ? &served_of(cap->object)->endpoint->obj : cap->object;
}

void op_wait(struct op *op)
{
    struct capability cap;
    uint64_t caller[2];
    status_t status = table_get(&op->process->table, op->sqe.cap, &cap, caller);
    if (status != ST_OK) {
        op_complete(op, status);
        return;
    }
    status = wait_check(&op->sqe, &cap);
    if (status != ST_OK) {
        capability_put(&cap);
        op_complete(op, status);
        return;
    }
    struct kobj *obj = waited_on(&cap);
    struct record *rec = record_alloc(op->ring, &op->sqe, op->position, obj, cap.route);
    if (rec == NULL) {
        capability_put(&cap);
        op_complete(op, ST_DISCONNECTED);
        return;
    }
    rec->facet = op->sqe.params != 0 ? op->sqe.params : UINT64_MAX;
    record_arm(rec, op->sqe.deadline_ns);
    int32_t result;
    uint64_t signal;
    if (wait_now(obj, rec, &result, &signal)) {
        /* An event that was taken is told, even when the deadline passed in the same moment. */
        int32_t final = result != 0 ? result : rec->doom;
        record_finish(rec, final, final > 0 ? CAPOS_CQE_SIGNAL : 0, 0, final > 0 ? signal : 0);
        settle(obj);
    }
    capability_put(&cap);
}

void op_signal(struct op *op)
{
    struct capability cap;
    uint64_t caller[2];
    status_t status = table_get(&op->process->table, op->sqe.cap, &cap, caller);
    if (status != ST_OK) {
        op_complete(op, status);
        return;
    }
    if (cap.ktype != KTYPE_NOTIFICATION) {
        status = ST_WRONG_INTERFACE;
    } else if ((cap.facet >> Notification_signal_ORDINAL & 1) == 0) {
        status = ST_NO_METHOD;
    }
    if (status == ST_OK) {
        notification_signal(cap.object, op->sqe.params);
    }
    capability_put(&cap);
    op_complete(op, status);
}

void op_release(struct op *op)
{
    op_complete(op, table_release(&op->process->table, op->sqe.cap));
}

void op_cancel(struct op *op)
{
    uint32_t generation;
    struct record *rec = record_find(op->ring, op->sqe.cap, &generation);
    bool found = rec != NULL && record_abort(rec, generation, ST_CANCELLED);
    op_complete(op, found ? ST_OK : ST_NOT_FOUND);
}
