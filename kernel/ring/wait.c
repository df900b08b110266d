/* SPDX-License-Identifier: MIT */
/*
 * WAIT, SIGNAL, RELEASE, CANCEL: the small operations on capabilities and records.
 *
 * Theory of waiters: the records of WAIT queue on their object in order of arrival. An event is shown
 * to them in that order, in rounds. A round looks at those that were there when it began, SCAN_LOOKS
 * at a time: the first slice at once, all others by a job of this CPU, which works on one object
 * after the other. Its place in the object's list is a mark; an event that comes meanwhile asks for
 * another round. Who begins to wait during a round queues unseen (`key` is then the number of a round
 * not older than this one), ends the round where he stands, and is in the next one.
 *
 * Invariants, outside obj.lock: W1 while no round is under way (scan is SCAN_NONE) no queued waiter
 * wants what there is. W2 an object whose scan is not SCAN_NONE is in one CPU's scan queue, which holds
 * a ref of it. W3 the notify job is on this CPU's list, or running, exactly while its queue is not empty.
 *
 * Rejected: an event for all waiters in one step (unbounded); a round that begins anew with each event
 * (those at the end might never be seen); a job in every object (most are never waited on by many).
 */
#include "ring/wait.h"

#include "gen/endpoint.capnp.h"
#include "gen/kernel/types.h"
#include "gen/notification.capnp.h"
#include "gen/scheduling.capnp.h"
#include "gen/status.capnp.h"
#include "ipc/endpoint.h"
#include "object/notification.h"
#include "object/process.h"
#include "ring/op.h"
#include "ring/park.h"
#include "sched/cpu.h"

enum { SCAN_LOOKS = 64, SCAN_WAKES = 16 };
enum { SCAN_NONE, SCAN_ROUND, SCAN_AGAIN };

static _Atomic uint64_t rounds; /* numbers of rounds given so far */

/* Waiters whose time has come. */
struct wakenings {
    unsigned count;
    struct {
        struct record *rec;
        int32_t result;
        uint64_t signal;
    } list[SCAN_WAKES];
};

/* What a waiter gets of obj now: events, ST_DISCONNECTED, or 0 = nothing yet. An object that can be
 * reached no more by the way it was waited on is as good as dead. */
static int32_t outcome_locked(struct kobj *obj, const struct record *rec, uint64_t *signal_out)
{
    *signal_out = 0;
    if (rec->sqe.op == CAPOS_OP_PARK) {
        return park_outcome_locked(obj, rec);
    }
    uint32_t events = 0;
    if (obj->ops->poll != NULL) {
        events = obj->ops->poll(obj, rec->sqe.method, rec->facet, signal_out);
    }
    if (kobj_is_dead(obj) || record_is_cut_off(rec)) {
        events |= rec->sqe.method & CAPOS_EVENT_DEAD;
        if (events == 0) {
            return ST_DISCONNECTED;
        }
    }
    return (int32_t)events;
}

/* An event ends it, and it has nothing but its completion to settle: no transfers, no promised slots, no answer. So
 * its target lets go of it as it is claimed. */
static ALWAYS_INLINE bool ends_plainly(const struct record *rec)
{
    return rec->sqe.op == CAPOS_OP_PARK ||
           (rec->sqe.op == CAPOS_OP_WAIT && (rec->sqe.flags & CAPOS_SQE_MULTISHOT) == 0);
}

/* One slice of a round: looks at waiters behind *at, which moves along, as far as they were there when
 * the round began. True: there are no more of them. */
static bool scan_locked(struct kobj *obj, struct list_node **at, uint64_t round,
                        struct wakenings *out)
{
    out->count = 0;
    for (unsigned looks = 0; looks < SCAN_LOOKS && out->count < SCAN_WAKES; looks++) {
        struct list_node *node = (*at)->next;
        struct record *rec = list_entry(node, struct record, link);
        if (node == &obj->waiters.head || rec->key >= round) {
            return true;
        }
        uint64_t signal;
        int32_t result = outcome_locked(obj, rec, &signal);
        if (result == 0) {
            *at = node;
            continue;
        }
        (void)record_claim_locked(rec, atomic_load_relaxed(&rec->generation));
        if (LIKELY(ends_plainly(rec))) {
            record_let_go_locked(rec);
        }
        out->list[out->count].rec = rec;
        out->list[out->count].result = result;
        out->list[out->count++].signal = signal;
    }
    return (*at)->next == &obj->waiters.head;
}

/* Without the lock: lets go of what was reported. */
static void settle(struct kobj *obj)
{
    if (obj->ops->settle != NULL) {
        obj->ops->settle(obj);
    }
}

/* Ends a wait, or tells of an event that does not end it. */
static void tell(struct record *rec, int32_t result, uint64_t signal)
{
    const int32_t last = CAPOS_EVENT_DEAD | CAPOS_EVENT_EXIT; /* nothing comes after these */
    if ((rec->sqe.flags & CAPOS_SQE_MULTISHOT) != 0 && result > 0 && (result & last) == 0) {
        record_event(rec, result, signal);
    } else {
        record_finish(rec, result, result > 0 ? CAPOS_CQE_SIGNAL : 0, 0, result > 0 ? signal : 0);
    }
}

static void wake(struct kobj *obj, const struct wakenings *wakenings)
{
    for (unsigned i = 0; i < wakenings->count; i++) {
        struct record *rec = wakenings->list[i].rec;
        int32_t result = wakenings->list[i].result;
        uint64_t signal = wakenings->list[i].signal;
        if (LIKELY(ends_plainly(rec))) {
            record_post(rec, result, result > 0 ? CAPOS_CQE_SIGNAL : 0, 0, result > 0 ? signal : 0);
        } else {
            tell(rec, result, signal);
        }
    }
    settle(obj);
}

static void scans_push(struct scans *scans, struct kobj *obj)
{
    obj->scan_next = NULL;
    *(scans->first != NULL ? &scans->last->scan_next : &scans->first) = obj;
    scans->last = obj;
}

void kobj_notify(struct kobj *obj)
{
    lock_acquire(&obj->lock);
    kobj_notify_unlock(obj);
}

void kobj_notify_unlock(struct kobj *obj)
{
    if (LIKELY(list_empty(&obj->waiters))) { /* nor is a round under way */
        lock_release(&obj->lock);
        return;
    }
    struct wakenings wakenings;
    struct list_node *at = &obj->waiters.head;
    bool leave = false;
    wakenings.count = 0;
    if (UNLIKELY(obj->scan != SCAN_NONE)) {
        obj->scan = SCAN_AGAIN;
    } else if (!scan_locked(obj, &at, UINT64_MAX, &wakenings)) {
        obj->scan = SCAN_AGAIN;
        leave = true;
    }
    lock_release(&obj->lock);
    if (UNLIKELY(leave)) {
        struct scans *scans = &cpu_this()->scans;
        bool idle = scans->first == NULL;
        kobj_ref(obj);
        scans_push(scans, obj);
        if (idle) {
            job_submit(&scans->job);
        }
    }
    wake(obj, &wakenings);
}

/* The first object's slice under its lock. True: the round is over. */
static bool scan_slice_locked(struct scans *scans, struct kobj *obj, struct wakenings *out)
{
    if (!list_linked(&scans->mark)) {
        scans->round = atomic_add_relaxed(&rounds, 1) + 1;
        obj->scan = SCAN_ROUND;
        list_push_front(&obj->waiters, &scans->mark);
    }
    struct list_node *at = &scans->mark;
    bool over = scan_locked(obj, &at, scans->round, out);
    if (at != &scans->mark) {
        list_remove(&scans->mark);
        list_insert_after(at, &scans->mark);
    }
    if (over) {
        bool again = obj->scan == SCAN_AGAIN || list_next(&obj->waiters, &scans->mark) != NULL;
        obj->scan = again ? SCAN_AGAIN : SCAN_NONE;
        list_remove(&scans->mark);
    }
    return over;
}

bool kobj_scan_slice(struct job *job)
{
    struct scans *scans = CONTAINER_OF(job, struct scans, job);
    struct kobj *obj = scans->first;
    struct wakenings wakenings;
    lock_acquire(&obj->lock);
    bool over = scan_slice_locked(scans, obj, &wakenings);
    bool again = over && obj->scan == SCAN_AGAIN;
    if (over) { /* out of the queue before another CPU can put it into its own */
        scans->first = obj->scan_next;
    }
    if (again) {
        scans_push(scans, obj);
    }
    bool done = scans->first == NULL; /* whoever is told below may submit this job anew */
    lock_release(&obj->lock);
    wake(obj, &wakenings);
    if (over && !again) {
        kobj_unref(obj);
    }
    return done;
}

void kobj_kill(struct kobj *obj)
{
    lock_acquire(&obj->lock);
    atomic_store_release(&obj->dead, 1);
    kobj_notify_unlock(obj);
}

/* The ordinal whose facet bit each event needs, by interface. DEAD needs any capability. */
static bool wait_allowed(const struct capability *cap, uint32_t mask)
{
    static const struct {
        uint8_t ordinal;
        uint8_t events;
    } kinds[KTYPE_COUNT] = {
        [KTYPE_NOTIFICATION] = {Notification_wait_ORDINAL, CAPOS_EVENT_SIGNALLED},
        [KTYPE_INTERRUPT] = {0, CAPOS_EVENT_SIGNALLED},
        [KTYPE_PROCESS_HANDLE] = {0, CAPOS_EVENT_EXIT},
        [KTYPE_THREAD_HANDLE] = {0, CAPOS_EVENT_EXIT},
        [KTYPE_SCHEDULING_CONTEXT] = {SchedulingContext_depleted_ORDINAL, CAPOS_EVENT_DEPLETED},
        [KTYPE_ENDPOINT] = {Endpoint_wait_clients_ORDINAL, CAPOS_EVENT_NO_CLIENTS |
                                                               CAPOS_EVENT_SESSION_CLOSED |
                                                               CAPOS_EVENT_DEADLINE},
    };
    bool held = (cap->facet >> kinds[cap->ktype].ordinal & 1) != 0;
    uint32_t allowed = CAPOS_EVENT_DEAD | (held ? kinds[cap->ktype].events : 0u);
    return (mask & ~allowed) == 0;
}

static status_t wait_check(const struct capos_sqe *sqe, const struct capability *cap)
{
    if (sqe->method == 0 || (sqe->method & ~CAPOS_EVENTS_ALL) != 0) {
        return ST_BAD_ARGUMENT;
    }
    return wait_allowed(cap, sqe->method) ? ST_OK : ST_NO_METHOD;
}

bool waiter_queue_locked(struct kobj *obj, struct record *rec)
{
    rec->key = UNLIKELY(obj->scan != SCAN_NONE) ? atomic_load_relaxed(&rounds) : 0;
    return record_queue_locked(rec, &obj->waiters);
}

/* Done now (result in *result_out, nothing queued) or queued. */
static bool wait_now(struct kobj *obj, struct record *rec, int32_t *result_out,
                     uint64_t *signal_out)
{
    lock_acquire(&obj->lock);
    bool unseen = obj->scan != SCAN_NONE && !kobj_is_dead(obj);
    /* Those who came before are to be looked at first. */
    *result_out = UNLIKELY(unseen) ? 0 : outcome_locked(obj, rec, signal_out);
    bool queued = *result_out == 0 && waiter_queue_locked(obj, rec);
    lock_release(&obj->lock);
    return !queued;
}

/* Waits from here on. No lock held; the record is CLAIMED and nobody's any more. */
static void wait_begin(struct kobj *obj, struct record *rec)
{
    int32_t result;
    uint64_t signal;
    kobj_ref(obj); /* a wait that was queued may end, and with it the object */
    if (wait_now(obj, rec, &result, &signal)) {
        /* An event that was taken is told, even when the deadline passed in the same moment. */
        tell(rec, result != 0 ? result : rec->doom, signal);
    }
    settle(obj);
    kobj_unref(obj);
}

/* `claimed` counts the slot for an event as well. */
void wait_arm(struct record *rec)
{
    struct kobj *obj = rec->target;
    rec->armed = true;
    rec->ring->claimed++;
    wait_begin(obj, rec);
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
    status_t status = table_get(&op->process->table, op->sqe->cap, &cap, caller);
    if (status != ST_OK) {
        op_complete(op, status);
        return;
    }
    status = wait_check(op->sqe, &cap);
    if (status != ST_OK) {
        capability_put(&cap);
        op_complete(op, status);
        return;
    }
    struct kobj *obj = waited_on(&cap);
    /* The record takes over the refs. Until it waits nobody but this drain ends it. */
    struct record *rec = record_alloc_held(op->ring, op->position, obj, cap.object, cap.route);
    if (rec == NULL) {
        capability_put(&cap);
        op_complete(op, ST_DISCONNECTED);
        return;
    }
    rec->facet = op->sqe->params != 0 ? op->sqe->params : UINT64_MAX;
    record_arm(rec, op->sqe->deadline_ns);
    if ((op->sqe->flags & CAPOS_SQE_MULTISHOT) != 0) {
        wait_arm(rec);
    } else {
        wait_begin(obj, rec);
    }
}

void op_signal(struct op *op)
{
    struct cap_table *table = &op->process->table;
    status_t status = ST_OK;
    const struct cap_slot *slot = table_open(table, op->sqe->cap, &status);
    if (slot == NULL) {
        op_complete(op, status);
        return;
    }
    struct kobj *obj = slot->object;
    if (slot->ktype != KTYPE_NOTIFICATION) {
        status = ST_WRONG_INTERFACE;
    } else if ((slot->facet >> Notification_signal_ORDINAL & 1) == 0) {
        status = ST_NO_METHOD;
    } else {
        kobj_ref(obj); /* the route is not needed any more: as of now the signal is allowed */
    }
    table_close(table);
    if (status == ST_OK) {
        notification_signal(obj, op->sqe->params);
        kobj_unref_inline(obj);
    }
    op_complete(op, status);
}

void op_release(struct op *op)
{
    op_complete(op, table_release(&op->process->table, op->sqe->cap));
}

void op_cancel(struct op *op)
{
    uint32_t generation;
    struct record *rec = record_find(op->ring, op->sqe->cap, &generation);
    bool found = rec != NULL && record_abort(rec, generation, ST_CANCELLED);
    op_complete(op, found ? ST_OK : ST_NOT_FOUND);
}
