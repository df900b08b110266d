/* SPDX-License-Identifier: MIT */
/*
 * Theory: a handle names one grant and owns the one revocation that ends it, as a job. States, under
 * obj.lock: idle -> running (the first request, or the deadline) -> idle again. Requests that come
 * meanwhile wait for the same job; whoever cancels is only detached.
 *
 * Invariants: H1 while it runs, or its deadline is armed, a handle has a ref for that. H2 `requests`
 * is empty while it is idle. H3 the kernel's own grant is never ended.
 *
 * Looking on (holders, explain) walks tables a bounded stretch at a time and keeps nothing between
 * calls: a place is class, number of the process in its class, and slot.
 */
#include "object/grant_handle.h"

#include "arch/arch.h"
#include "gen/grants.capnp.h"
#include "gen/kernel/capabilities.kernel.h"
#include "gen/kernel/grants.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "mem/slab.h"
#include "object/pending.h"
#include "object/process.h"
#include "object/revocation.h"
#include "ring/record.h"
#include "sched/timer.h"

enum {
    HOLDERS_MAX = 24,   /* in one answer: as many as fit whatever their texts are */
    HOLDERS_STEPS = 64, /* processes and stretches of tables looked at for one answer */
    ANSWERS = 16,       /* in one slice */
    PLACE_SLOT_BITS = 24,
    PLACE_CLASS_SHIFT = 58,
};

/* [I] immutable  [o] obj.lock  [j] the job, or who made it run */
struct grant_handle {
    struct kobj obj;
    struct grant *grant;      /* [I] a ref */
    uint64_t deadline_ns;     /* [I] 0 = none */
    struct timer deadline;    /* armed once, at the start */
    struct list requests;     /* [o] records of revoke */
    bool running;             /* [o] */
    bool ended;               /* [j] requests are to be answered */
    struct revocation ending; /* [j] */
    struct job job;
};

static struct grant_handle *handle_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct grant_handle, obj);
}

static void handle_destroy(struct kobj *obj)
{
    struct grant *grant = handle_of(obj)->grant;
    ledger_refund(obj->ledger, LEDGER_CLASS_TIMERS, 1);
    slab_free(handle_of(obj));
    if (grant != NULL) { /* else it was never derived */
        grant_unref(grant);
    }
}

static const struct kobj_ops handle_ops = {
    .name = "grant handle",
    .destroy = handle_destroy,
};

/* ---- ending ---- */

/* True: it was idle and is the caller's to run now. */
static bool begin(struct grant_handle *handle)
{
    lock_acquire(&handle->obj.lock);
    bool idle = !handle->running;
    handle->running = true;
    lock_release(&handle->obj.lock);
    return idle;
}

static void answer_revoke(struct record *rec)
{
    uint64_t words[2];
    size_t len = 0;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    (void)GrantHandle_revoke_results_init(&builder);
    (void)capnp_finish(&builder, &len);
    record_complete_message(rec, words, (uint32_t)len, NULL, 0);
}

/* Answers some; true: none was left, and the handle is idle. */
static bool answer_requests(struct grant_handle *handle)
{
    for (unsigned i = 0; i < ANSWERS; i++) {
        lock_acquire(&handle->obj.lock);
        struct list_node *node = list_pop_front(&handle->requests);
        if (node == NULL) {
            handle->ended = false;
            handle->running = false;
        } else {
            list_entry(node, struct record, link)->state = RECORD_CLAIMED;
        }
        lock_release(&handle->obj.lock);
        if (node == NULL) {
            return true;
        }
        answer_revoke(list_entry(node, struct record, link));
    }
    return false;
}

static bool handle_job(struct job *job)
{
    struct grant_handle *handle = CONTAINER_OF(job, struct grant_handle, job);
    if (!handle->ended) {
        handle->ended = revocation_slice(&handle->ending, handle->grant);
    }
    if (!handle->ended || !answer_requests(handle)) {
        return false;
    }
    kobj_unref(&handle->obj);
    return true;
}

/* Look-ups are refused at once, all else is the job's. It takes over the timer's ref. */
static void deadline_passed(struct timer *timer, uint32_t generation)
{
    struct grant_handle *handle = CONTAINER_OF(timer, struct grant_handle, deadline);
    (void)generation;
    grant_end(handle->grant);
    if (begin(handle)) {
        job_submit(&handle->job);
    } else {
        kobj_unref(&handle->obj);
    }
}

/* The first slice is done at once: most grants need no other. */
status_t GrantHandle_kernel_revoke(struct invocation *inv, GrantHandle_revoke_params_r params,
                                   GrantHandle_revoke_results_b results)
{
    struct grant_handle *handle = handle_of(inv->target.object);
    (void)params;
    (void)results;
    if (handle->grant->parent == NULL) {
        return ST_BAD_STATE;
    }
    if (timer_cancel(&handle->deadline)) {
        kobj_unref(&handle->obj);
    }
    bool ours = begin(handle);
    bool through = ours && revocation_slice(&handle->ending, handle->grant);
    status_t status = ST_OK;
    if (!through) {
        status = invoke_wait_at(inv, &handle->obj, &handle->requests, inv->deadline_ns, false);
        ours = ours || begin(handle); /* it may have ended before this request was queued */
    } else {
        handle->ended = true;
    }
    if (ours) {
        kobj_ref(&handle->obj);
        if (!through || !handle_job(&handle->job)) {
            job_submit(&handle->job);
        }
    }
    return status;
}

/* ---- making ---- */

static status_t handle_create(struct ledger *ledger, uint64_t deadline_ns,
                              struct grant_handle **out)
{
    if (ledger_charge(ledger, LEDGER_CLASS_TIMERS, 1) != ST_OK) {
        return ST_QUOTA;
    }
    struct grant_handle *handle = slab_alloc(ledger, sizeof(*handle));
    if (handle == NULL) {
        ledger_refund(ledger, LEDGER_CLASS_TIMERS, 1);
        return ST_QUOTA;
    }
    kobj_init(&handle->obj, KTYPE_GRANT_HANDLE, &handle_ops, ledger);
    handle->deadline_ns = deadline_ns;
    timer_init(&handle->deadline, deadline_passed, handle);
    list_init(&handle->requests);
    job_init(&handle->job, handle_job);
    *out = handle;
    return ST_OK;
}

status_t grant_handle_create_root(struct grant *root, struct kobj **out)
{
    struct grant_handle *handle;
    status_t status = handle_create(root->ledger, 0, &handle);
    if (status == ST_OK) {
        handle->grant = root;
        grant_ref(root);
        *out = &handle->obj;
    }
    return status;
}

/* A handle of a new grant; the deadline is not armed yet. */
static status_t make_grant(struct ledger *ledger, struct grant *above, Derivation_r want,
                           struct grant_handle **out)
{
    struct capnp_text origin = Derivation_get_origin(want);
    status_t status = handle_create(ledger, Derivation_get_deadline_ns(want), out);
    if (status == ST_OK) {
        status = grant_derive(above, ledger, origin.ptr, origin.len, &(*out)->grant);
        if (status != ST_OK) {
            kobj_unref(&(*out)->obj);
        }
    }
    return status;
}

static status_t derive_check(const struct invocation *inv, Derivation_r want,
                             const struct capability **held)
{
    uint64_t deadline_ns = Derivation_get_deadline_ns(want);
    status_t status = invoke_param_cap(inv, Derivation_get_capability(want), 0, held);
    if (status == ST_OK && (Derivation_get_methods(want) & ~(*held)->facet) != 0) {
        status = ST_NO_METHOD;
    } else if (inv->move_mask != 0 || (deadline_ns != 0 && deadline_ns <= arch_time_ns())) {
        status = ST_BAD_ARGUMENT;
    }
    return status;
}

/* Below `root` or, when that is NULL, below the capability's own route. */
static status_t derive(struct invocation *inv, Derivation_r want, Derived_b results,
                       struct grant *root)
{
    const struct capability *held;
    struct grant_handle *handle;
    status_t status = derive_check(inv, want, &held);
    if (status == ST_OK) {
        status = invoke_reserve_caps(inv, 2);
    }
    if (status == ST_OK) {
        struct grant *above = root != NULL ? root : held->route;
        status = make_grant(inv->process->ledger, above, want, &handle);
    }
    if (status != ST_OK) {
        return status;
    }
    struct capability cap = *held;
    uint64_t methods = Derivation_get_methods(want);
    cap.facet = methods != 0 ? methods : held->facet;
    cap.route = handle->grant;
    cap.route->fresh = root != NULL;
    kobj_ref(cap.object);
    grant_ref(cap.route);
    Derived_set_capability(results, invoke_add_capability(inv, &cap));
    if (handle->deadline_ns != 0) {
        kobj_ref(&handle->obj);
        timer_arm(&handle->deadline, handle->deadline_ns, 0);
    }
    Derived_set_grant(results, invoke_add_cap(inv, &handle->obj, KTYPE_GRANT_HANDLE,
                                              GrantHandle_FACET & ~GrantRoot_FACET));
    return ST_OK;
}

status_t CapabilityManager_kernel_derive(struct invocation *inv, Derivation_r params,
                                         Derived_b results)
{
    return derive(inv, params, results, NULL);
}

status_t GrantHandle_kernel_regrant(struct invocation *inv, Derivation_r params, Derived_b results)
{
    return derive(inv, params, results, handle_of(inv->target.object)->grant);
}

/* ---- looking on ---- */

static void tell_line(GrantLine_b line, const struct grant *grant)
{
    GrantLine_set_origin(line, grant->origin, strlen(grant->origin));
    GrantLine_set_depth(line, grant->depth);
    GrantLine_set_live(line, grant_is_live(grant));
    GrantLine_set_time_ns(line, grant->time_ns);
}

status_t GrantHandle_kernel_info(struct invocation *inv, GrantHandle_info_params_r params,
                                 GrantHandle_info_results_b results)
{
    const struct grant_handle *handle = handle_of(inv->target.object);
    (void)params;
    tell_line(GrantHandle_info_results_init_line(results), handle->grant);
    GrantHandle_info_results_set_deadline_ns(results, handle->deadline_ns);
    return ST_OK;
}

/* The nodes from `route` up: those charged to `own` (NULL: all), up to and with `top`. */
static void tell_way(Way_b out, const struct grant *route, const struct ledger *own,
                     const struct grant *top)
{
    const struct grant *at = route;
    uint32_t count = 0;
    while (at != NULL && (own == NULL || at->ledger == own || at == &grant_nowhere)) {
        const struct grant *last = at;
        at = at->parent;
        count++;
        if (last == top) {
            break;
        }
    }
    GrantLine_list_b list = Way_init_chain(out, count);
    Way_set_redacted(out, at != NULL);
    for (uint32_t i = 0; i < count; i++, route = route->parent) {
        tell_line(GrantLine_list_b_at(list, i), route);
    }
}

static bool hangs_below(const struct grant *grant, const struct grant *top)
{
    while (grant != NULL && grant != top) {
        grant = grant->parent;
    }
    return grant != NULL;
}

/* Tells the way of the slot of this id, when it hangs below `top` (NULL: in any case). */
static status_t explain(struct cap_table *table, capos_cap_t id, const struct ledger *own,
                        const struct grant *top, Way_b results)
{
    struct capability cap = {.object = NULL};
    enum cap_hop hop;
    capos_cap_t found = 0;
    uint32_t resume;
    uint32_t index = (uint32_t)(id & (BIT64(CAPOS_CAP_INDEX_BITS) - 1));
    bool ours = table_next(table, index, &cap, &found, &hop, &resume) != UINT32_MAX &&
                found == id && (top == NULL || hangs_below(cap.route, top));
    if (ours) {
        tell_way(results, cap.route, own, top);
    }
    capability_put(&cap);
    return ours ? ST_OK : ST_NOT_FOUND;
}

status_t CapabilityManager_kernel_explain(struct invocation *inv,
                                          CapabilityManager_explain_params_r params, Way_b results)
{
    struct process *process = process_of(inv->target.object);
    return explain(&process->table, CapabilityManager_explain_params_get_id(params),
                   process->ledger, NULL, results);
}

/* Where a look at holders is. */
struct place {
    unsigned class;
    uint64_t number;         /* of the process in its class */
    struct process *process; /* a ref; NULL: beyond the last of the class */
    uint32_t slot;
};

static void place_open(struct place *at, uint64_t place)
{
    uint64_t mask = BIT64(place >> PLACE_CLASS_SHIFT);
    at->class = (unsigned)(place >> PLACE_CLASS_SHIFT);
    at->number = place << (64 - PLACE_CLASS_SHIFT) >> (64 - PLACE_CLASS_SHIFT + PLACE_SLOT_BITS);
    at->slot = (uint32_t)(place & (BIT64(PLACE_SLOT_BITS) - 1));
    at->process = process_next(NULL, mask);
    for (uint64_t i = 0; i < at->number && at->process != NULL; i++) {
        at->process = process_next(at->process, mask);
    }
}

static uint64_t place_of(const struct place *at, uint32_t slot)
{
    return (uint64_t)at->class << PLACE_CLASS_SHIFT | at->number << PLACE_SLOT_BITS | slot;
}

/* To the next process, or the next class. */
static void place_next_process(struct place *at)
{
    at->slot = 0;
    if (at->process != NULL) {
        at->number++;
        at->process = process_next(at->process, BIT64(at->class));
    } else {
        at->number = 0;
        at->class ++;
        at->process = at->class < PROCESS_CLASSES ? process_next(NULL, BIT64(at->class)) : NULL;
    }
}

struct holder {
    uint64_t place, process_id;
    char process[CAPOS_CAP_NAME_BYTES];
    capos_cap_t id;
    struct capability cap; /* refs */
};

static void fill_holder(Holder_b out, const struct holder *holder)
{
    const struct grant *route = holder->cap.route;
    Holder_set_place(out, holder->place);
    Holder_set_process_id(out, holder->process_id);
    Holder_set_process(out, holder->process, strnlen(holder->process, CAPOS_CAP_NAME_BYTES));
    Holder_set_id(out, holder->id);
    Holder_set_interface(out, holder->cap.interface);
    Holder_set_methods(out, holder->cap.facet);
    Holder_set_live(out, grant_is_live(route) && !object_has_ended(holder->cap.object));
    Holder_set_depth(out, route->depth);
    Holder_set_origin(out, route->origin, strlen(route->origin));
}

/* Looks at the next stretch of a table; true: *out is one that was asked for. */
static bool look_at(struct place *at, const struct grant *top, const struct kobj *object,
                    struct holder *out)
{
    enum cap_hop hop;
    uint32_t resume;
    uint32_t slot = table_next(&at->process->table, at->slot, &out->cap, &out->id, &hop, &resume);
    bool found = slot != UINT32_MAX;
    if (found &&
        (!hangs_below(out->cap.route, top) || (object != NULL && out->cap.object != object))) {
        capability_put(&out->cap);
        found = false;
    }
    if (found) {
        out->place = place_of(at, slot);
        out->process_id = at->process->obj.id;
        memcpy(out->process, at->process->name, sizeof(out->process));
    }
    at->slot = resume;
    if (resume == UINT32_MAX) {
        place_next_process(at);
    }
    return found;
}

status_t GrantHandle_kernel_holders(struct invocation *inv, GrantHandle_holders_params_r params,
                                    GrantHandle_holders_results_b results)
{
    struct holder *holders = (struct holder *)(void *)cpu_this()->work;
    const struct grant *top = handle_of(inv->target.object)->grant;
    const struct capability *cap;
    const struct kobj *object = NULL;
    if (inv->cap_count != 0) {
        status_t status = invoke_param_cap(inv, 0, 0, &cap);
        if (status != ST_OK) {
            return status;
        }
        object = cap->object;
    }
    uint32_t count = 0;
    uint32_t steps = 0;
    struct place at;
    place_open(&at, GrantHandle_holders_params_get_start(params));
    for (; at.class < PROCESS_CLASSES && steps < HOLDERS_STEPS && count < HOLDERS_MAX; steps++) {
        if (at.process == NULL) {
            place_next_process(&at);
        } else {
            count += look_at(&at, top, object, &holders[count]);
        }
    }
    bool more = at.class < PROCESS_CLASSES;
    GrantHandle_holders_results_set_next(results, more ? place_of(&at, at.slot) : 0);
    if (at.process != NULL) {
        kobj_unref(&at.process->obj);
    }
    Holder_list_b list = GrantHandle_holders_results_init_holders(results, count);
    for (uint32_t i = 0; i < count; i++) {
        fill_holder(Holder_list_b_at(list, i), &holders[i]);
        capability_put(&holders[i].cap);
    }
    return ST_OK;
}

status_t GrantHandle_kernel_explain(struct invocation *inv, GrantHandle_explain_params_r params,
                                    Way_b results)
{
    struct place at;
    place_open(&at, GrantHandle_explain_params_get_place(params));
    if (at.process == NULL) {
        return ST_NOT_FOUND;
    }
    status_t status = explain(&at.process->table, GrantHandle_explain_params_get_id(params), NULL,
                              handle_of(inv->target.object)->grant, results);
    kobj_unref(&at.process->obj);
    return status;
}
