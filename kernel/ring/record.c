/* SPDX-License-Identifier: MIT */
/* The life of records; states and invariants are in record.h. */
#include "ring/record.h"

#include "arch/arch.h"
#include "core/panic.h"
#include "gen/status.capnp.h"
#include "gen/time.capnp.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "ipc/endpoint.h"
#include "object/invoke.h"
#include "object/kernel_trace.h"
#include "object/process.h"
#include "ring/bill.h"
#include "ring/buffer.h"
#include "ring/defer.h"
#include "ring/op.h"
#include "ring/record_inline.h"
#include "ring/wait.h"
#include "sched/sched.h"

/* Timer.sleep ends by its deadline, and tells the time. */
static void sleep_done(struct record *rec, uint32_t generation)
{
    if (!record_claim(rec, generation)) {
        return;
    }
    uint64_t words[8];
    size_t len = 0;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Timer_sleep_results_b results = Timer_sleep_results_init(&builder);
    Timer_sleep_results_set_now_ns(results, arch_time_ns());
    if (capnp_finish(&builder, &len) != CAPNP_OK) {
        panic("eight words hold a time");
    }
    record_complete_message(rec, words, (uint32_t)len, NULL, 0);
}

COLD static void deadline_passed(struct timer *timer, uint32_t generation)
{
    struct record *rec = CONTAINER_OF(timer, struct record, deadline);
    if (atomic_load_relaxed(&rec->sleeping)) {
        sleep_done(rec, generation);
    } else if (UNLIKELY(atomic_load_relaxed(&rec->bounded))) {
        endpoint_overdue(rec, generation);
    } else {
        (void)record_abort(rec, generation, ST_TIMED_OUT);
    }
}

struct record *record_make(struct ring *ring)
{
    if (ring->records_made == ring->cq_entries) {
        return NULL;
    }
    struct record *rec = record_at(ring, ring->records_made);
    rec->ring = ring;
    rec->index = ring->records_made++;
    list_node_init(&rec->link);
    list_init(&rec->followers);
    list_node_init(&rec->ring_link);
    list_node_init(&rec->active_link);
    list_node_init(&rec->server_link);
    timer_init(&rec->deadline, deadline_passed, ring);
    return rec;
}

bool ring_prepare_record(struct ring *ring)
{
    lock_acquire(&ring->lock);
    record_refill(ring);
    lock_release(&ring->lock);
    return ring->spare != NULL;
}

struct record *record_alloc_held(struct ring *ring, uint64_t position, struct kobj *target,
                                 struct kobj *held, struct grant *route)
{
    struct record *rec = NULL;
    lock_acquire(&ring->lock);
    if (LIKELY(!ring->closing)) {
        rec = record_activate(ring, position, target, held, route, RECORD_CLAIMED);
    }
    lock_release(&ring->lock);
    return rec;
}

struct record *record_alloc(struct ring *ring, uint64_t position, struct kobj *target,
                            struct grant *route)
{
    kobj_ref(target);
    if (route != NULL) {
        grant_ref(route);
    }
    struct record *rec = record_alloc_held(ring, position, target, target, route);
    if (rec == NULL) {
        kobj_unref(target);
        if (route != NULL) {
            grant_unref(route);
        }
    }
    return rec;
}

static void unlink_locked(struct record *rec)
{
    struct kobj *target = rec->target;
    lock_assert_held(&target->lock);
    if (target->ops->unlink_record != NULL) {
        target->ops->unlink_record(target, rec);
    } else {
        list_remove(&rec->link);
    }
}

bool record_claim_locked(struct record *rec, uint32_t generation)
{
    if (atomic_load_relaxed(&rec->generation) != generation || rec->state != RECORD_QUEUED) {
        return false;
    }
    unlink_locked(rec);
    rec->state = RECORD_CLAIMED;
    return true;
}

/* A ref of the record's target, when it is active and of this generation; else NULL. */
static struct kobj *target_of(struct record *rec, uint32_t generation)
{
    struct ring *ring = rec->ring;
    struct kobj *target = NULL;
    lock_acquire(&ring->lock);
    if (rec->target != NULL && generation != 0 &&
        atomic_load_relaxed(&rec->generation) == generation) {
        target = rec->target;
        kobj_ref(target);
    }
    lock_release(&ring->lock);
    return target;
}

bool record_claim(struct record *rec, uint32_t generation)
{
    struct kobj *target = target_of(rec, generation);
    if (target == NULL) {
        return false;
    }
    lock_acquire(&target->lock);
    bool claimed = record_claim_locked(rec, generation);
    lock_release(&target->lock);
    kobj_unref(target);
    return claimed;
}

bool record_queue_locked(struct record *rec, struct list *list)
{
    lock_assert_held(&rec->target->lock);
    if (rec->doom != ST_OK) {
        return false;
    }
    rec->state = RECORD_QUEUED;
    list_node_init(&rec->link); /* ipc/fast.c leaves it as it was */
    if (list != NULL) {
        list_push_back(list, &rec->link);
    }
    return true;
}

void record_arm(struct record *rec, uint64_t deadline_ns)
{
    if (deadline_ns != 0) {
        timer_arm(&rec->deadline, deadline_ns, atomic_load_relaxed(&rec->generation));
    }
}

void record_end_transfers(struct record *rec, bool commit)
{
    struct cap_table *table = &rec->ring->process->table;
    bool apart = UNLIKELY(rec->xfer_count == RECORD_XFERS_APART);
    const capos_cap_t *ids = apart ? rec->apart->ids : rec->xfers;
    uint64_t move_mask = apart ? rec->apart->move_mask : rec->move_mask;
    uint32_t count = apart ? rec->apart->count : rec->xfer_count;
    for (uint32_t i = 0; i < count; i++) {
        table_capture_end(table, ids[i], (move_mask >> i & 1) != 0, commit);
    }
    rec->xfer_count = 0;
}

void record_unpromise(struct record *rec)
{
    if (UNLIKELY(rec->promised != 0)) {
        table_unpromise(&rec->ring->process->table, rec->promised);
        rec->promised = 0;
    }
}

/* From here on nobody can find the record: C2 needs the target's lock. The generation goes, too:
 * whoever has come this far with it and waits for the lock must not look at the record's next use,
 * which another lock protects. */
void record_let_go_locked(struct record *rec)
{
    if (rec->state == RECORD_INFLIGHT) {
        KDEBUG_ASSERT(atomic_load_relaxed(&rec->server) == NULL);
        list_remove(&rec->link);
    } else {
        KASSERT(rec->state == RECORD_CLAIMED);
    }
    rec->state = RECORD_FREE;
    atomic_store_relaxed(&rec->generation, 0);
}

/* For the flight recorder. */
static ALWAYS_INLINE void record_trace(const struct record *rec, int32_t result, uint16_t flags,
                                       uint16_t cap_count, uint64_t extra)
{
    if (ring_is_traced(rec->ring) && (rec->sqe.flags & (SQE_ANSWER | SQE_DEFERRED)) == 0) {
        trace_event(rec->ring, TRACE_WHAT(CAPOS_TRACE_COMPLETE, 0, flags, cap_count), rec->position,
                    rec->bill, extra, (uint64_t)(int64_t)result);
    }
}

void record_post(struct record *rec, int32_t result, uint16_t flags, uint16_t cap_count,
                 uint64_t extra)
{
    struct ring *ring = rec->ring;
    struct kobj *held = rec->held;
    struct grant *route = rec->route;
    (void)timer_cancel(&rec->deadline);
    record_trace(rec, result, flags, cap_count, extra);
    lock_acquire(&ring->lock);
    if (UNLIKELY((rec->sqe.flags & SQE_FLAGGED) != 0) &&
        defer_ended_locked(rec, outcome_word(result, flags, cap_count), extra)) {
        ring->released++;
    } else {
        record_put_cqe_locked(ring, rec, outcome_word(result, flags, cap_count), extra, rec->bill);
    }
    bill_add_locked(ring, rec->bill);
    if (result < 0) {
        atomic_add_relaxed(&ring->refusals, 1);
    }
    record_free_locked(ring, rec);
    bool wake = ring_wait_over_locked(ring);
    uint64_t answer = wake ? ring_answer_locked(ring) : 0;
    if (wake && (rec->sqe.op == CAPOS_OP_RECV || rec->sqe.op == CAPOS_OP_RETURN_RECV)) {
        bill_cut_locked(ring);
    }
    lock_release(&ring->lock);
    if (route != NULL) {
        grant_unref_inline(route);
    }
    kobj_unref_inline(held);
    if (wake) { /* last: who is woken may look at what it is charged for */
        ring_wake(ring, answer);
    }
}

COLD void record_event(struct record *rec, int32_t events, uint64_t signal)
{
    struct ring *ring = rec->ring;
    struct kobj *target = rec->target;
    lock_acquire(&target->lock);
    rec->armed = false;
    record_trace(rec, events, CAPOS_CQE_SIGNAL | CAPOS_CQE_MORE, 0, signal);
    bool queued = record_queue_locked(rec, NULL);
    lock_acquire(&ring->lock);
    record_put_cqe_locked(ring, rec, outcome_word(events, CAPOS_CQE_SIGNAL | CAPOS_CQE_MORE, 0),
                          signal, 0);
    if (queued) {
        defer_unarmed_locked(rec);
    }
    bool wake = ring_wait_over_locked(ring);
    uint64_t answer = wake ? ring_answer_locked(ring) : 0;
    lock_release(&ring->lock);
    lock_release(&target->lock);
    if (wake) {
        ring_wake(ring, answer);
    }
    if (!queued) {
        record_finish(rec, rec->doom, rec->doom > 0 ? CAPOS_CQE_SIGNAL : 0, 0, 0);
    }
}

COLD void record_dissolve(struct record *rec)
{
    struct ring *ring = rec->ring;
    struct kobj *held = rec->held;
    lock_acquire(&rec->target->lock);
    record_let_go_locked(rec);
    lock_release(&rec->target->lock);
    lock_acquire(&ring->lock);
    record_free_locked(ring, rec);
    ring->claimed--;
    lock_release(&ring->lock);
    kobj_unref(held);
}

void record_finish(struct record *rec, int32_t result, uint16_t flags, uint16_t cap_count,
                   uint64_t extra)
{
    struct kobj *target = rec->target;
    if (UNLIKELY((rec->sqe.flags & SQE_ANSWER) != 0)) {
        answer_empty(rec);
    }
    if (rec->xfer_count != 0) {
        record_end_transfers(rec, false);
    }
    record_unpromise(rec);
    lock_acquire(&target->lock);
    record_let_go_locked(rec);
    lock_release(&target->lock);
    record_post(rec, result, flags, cap_count, extra);
}

void record_complete(struct record *rec, status_t status)
{
    bool quota = status == ST_QUOTA;
    record_finish(rec, status, quota ? CAPOS_CQE_NEEDED : 0, 0,
                  quota ? (uint64_t)ledger_refused() << 32 : 0);
}

static void drop_caps(const struct capability *caps, uint32_t ncaps)
{
    for (uint32_t i = 0; i < ncaps; i++) {
        struct capability cap = caps[i];
        capability_put(&cap);
    }
}

static void fail_message(struct record *rec, status_t status, const struct capability *caps,
                         uint32_t ncaps)
{
    drop_caps(caps, ncaps);
    record_complete(rec, status);
}

void record_complete_message(struct record *rec, const void *message, uint32_t len,
                             const struct capability *caps, uint32_t ncaps)
{
    struct cap_table *table = &rec->ring->process->table;
    capos_cap_t ids[INVOKE_MAX_RESULT_CAPS];
    struct capos_cap_record records[INVOKE_MAX_RESULT_CAPS];
    KASSERT(ncaps <= INVOKE_MAX_RESULT_CAPS);
    uint32_t kept_only = answer_offer(rec->ring, &rec->sqe, rec->position, caps, ncaps);
    drop_caps(caps + ncaps - kept_only, kept_only);
    ncaps -= kept_only;
    uint32_t needed = len + ncaps * (uint32_t)sizeof(records[0]);
    if (needed > rec->sqe.result_len || ncaps > rec->sqe.accept_count) {
        drop_caps(caps, ncaps);
        record_finish(rec, ST_RESULT_TOO_SMALL, CAPOS_CQE_NEEDED, 0, (uint64_t)needed << 32);
        return;
    }
    if (ncaps <= rec->promised) {
        table_redeem(table, ncaps, ids);
        rec->promised = (uint8_t)(rec->promised - ncaps);
    } else if (table_reserve(table, ncaps, ids) != ST_OK) {
        fail_message(rec, ST_QUOTA, caps, ncaps);
        return;
    }
    for (uint32_t i = 0; i < ncaps; i++) {
        records[i] = (struct capos_cap_record){.cap = ids[i], .interface = caps[i].interface};
    }
    status_t status = record_write_result(rec, 0, message, len);
    if (status == ST_OK) {
        status = record_write_result(rec, len, records, ncaps * sizeof(records[0]));
    }
    if (status != ST_OK) {
        table_unreserve(table, ncaps, ids);
        fail_message(rec, status, caps, ncaps);
        return;
    }
    for (uint32_t i = 0; i < ncaps; i++) {
        table_install(table, ids[i], &caps[i], CAP_HOP_RESULT);
    }
    record_finish(rec, (int32_t)len, ncaps != 0 ? CAPOS_CQE_CAPS : 0, (uint16_t)ncaps,
                  ncaps != 0 ? ids[0] : 0);
}

/* For those who hold the target's lock: INFLIGHT -> CLAIMED. False: RETURN was quicker (C5). */
static bool take_from_server_locked(struct record *rec)
{
    struct process *server = atomic_load_relaxed(&rec->server);
    if (server == NULL) {
        return false;
    }
    lock_acquire(&server->inflight_lock);
    bool ours = atomic_load_relaxed(&rec->server) == server;
    if (ours) {
        list_remove(&rec->server_link);
        atomic_store_relaxed(&rec->server, NULL);
    }
    lock_release(&server->inflight_lock);
    if (ours) {
        list_remove(&rec->link);
        rec->state = RECORD_CLAIMED;
    }
    return ours;
}

bool record_claim_inflight(struct record *rec, uint32_t generation, struct process *server)
{
    lock_acquire(&server->inflight_lock);
    bool ours = atomic_load_relaxed(&rec->server) == server &&
                atomic_load_relaxed(&rec->generation) == generation;
    if (ours) {
        list_remove(&rec->server_link);
        atomic_store_relaxed(&rec->server, NULL);
    }
    lock_release(&server->inflight_lock);
    return ours;
}

status_t record_enter_inflight_locked(struct record *rec, struct process *server)
{
    status_t status = rec->doom;
    lock_acquire(&server->inflight_lock);
    if (UNLIKELY(status == ST_OK && server->server_gone)) {
        status = ST_DISCONNECTED;
    }
    if (LIKELY(status == ST_OK)) {
        atomic_store_relaxed(&rec->server, server);
        list_push_back(&server->inflight, &rec->server_link);
        if (rec->state != RECORD_INFLIGHT) {
            rec->state = RECORD_INFLIGHT;
            list_push_back(&endpoint_of(rec->target)->inflight, &rec->link);
        }
    }
    lock_release(&server->inflight_lock);
    return status;
}

bool record_abort(struct record *rec, uint32_t generation, status_t status)
{
    struct kobj *target = target_of(rec, generation);
    if (target == NULL) {
        return false;
    }
    lock_acquire(&target->lock);
    bool ours = atomic_load_relaxed(&rec->generation) == generation && rec->state != RECORD_FREE;
    bool claimed = false, lent = false;
    if (ours && rec->state == RECORD_QUEUED) {
        claimed = record_claim_locked(rec, generation);
    } else if (ours && rec->state == RECORD_INFLIGHT) {
        claimed = lent = take_from_server_locked(rec);
    }
    if (ours && !claimed && rec->doom == ST_OK) {
        rec->doom = status;
    }
    lock_release(&target->lock);
    if (lent) {
        sched_take_back(rec->ring->thread);
    }
    if (claimed) {
        record_finish(rec, status, status > 0 ? CAPOS_CQE_SIGNAL : 0, 0, 0);
    }
    kobj_unref(target);
    return ours;
}

struct record *record_find(struct ring *ring, uint64_t position, uint32_t *generation_out)
{
    struct record *found = NULL;
    lock_acquire(&ring->lock);
    list_for_each(node, &ring->active)
    {
        struct record *rec = list_entry(node, struct record, active_link);
        if (rec->position == position && (rec->sqe.flags & SQE_ANSWER) == 0) {
            found = rec;
            *generation_out = atomic_load_relaxed(&rec->generation);
            break;
        }
    }
    lock_release(&ring->lock);
    return found;
}
