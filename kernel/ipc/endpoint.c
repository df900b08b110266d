/* SPDX-License-Identifier: MIT */
/* The life of endpoints and served objects, and the methods of Endpoint. Theory in endpoint.h. */
#include "ipc/endpoint.h"

#include "abi/ring.h"
#include "core/panic.h"
#include "gen/endpoint.capnp.h"
#include "gen/kernel/endpoint.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "mem/slab.h"
#include "object/invoke.h"
#include "object/process.h"
#include "ring/ring.h"
#include "ring/wait.h"

#define BOUND_MAX_NS UINT64_C(3600000000000)

static uint32_t endpoint_poll(struct kobj *obj, uint32_t mask, uint64_t bits, uint64_t *signal_out)
{
    (void)bits;
    struct endpoint *endpoint = endpoint_of(obj);
    struct list_node *node;
    if ((mask & CAPOS_EVENT_SESSION_CLOSED) != 0 &&
        (node = list_pop_front(&endpoint->closed)) != NULL) {
        *signal_out = list_entry(node, struct served, closed_link)->closed_caller;
        return CAPOS_EVENT_SESSION_CLOSED;
    }
    if ((mask & CAPOS_EVENT_DEADLINE) != 0 && endpoint->overdue) {
        endpoint->overdue = false;
        *signal_out = endpoint->overdue_key;
        return CAPOS_EVENT_DEADLINE;
    }
    if ((mask & CAPOS_EVENT_NO_CLIENTS) == 0) {
        return 0;
    }
    for (unsigned i = 0; (node = list_first(&endpoint->idle)) != NULL; i++) {
        if (i == ENDPOINT_SLICE) {
            endpoint->unheard = true; /* the job looks on */
            break;
        }
        struct served *served = list_entry(node, struct served, idle_link);
        list_remove(node);
        list_push_back(&endpoint->reported, node);
        if (grant_is_live(
                served->obj.mint)) { /* else an earlier instance's: its key means nothing now */
            *signal_out = served->key;
            return CAPOS_EVENT_NO_CLIENTS;
        }
    }
    return 0;
}

enum end_what { END_REFUSED = 0, END_INFLIGHT = 1 };
static void submit_job(struct endpoint *endpoint, enum end_what what);

/* Served objects that were reported are let go, where no lock is held, a slice of them; true: there may be
 * more. */
static bool let_go_some(struct endpoint *endpoint)
{
    for (unsigned i = 0; i < ENDPOINT_SLICE; i++) {
        lock_acquire(&endpoint->obj.lock);
        struct list_node *node = list_pop_front(&endpoint->reported);
        lock_release(&endpoint->obj.lock);
        if (node == NULL) {
            return false;
        }
        kobj_unref(&list_entry(node, struct served, idle_link)->obj);
    }
    return true;
}

/* The first slice here, the rest by the job, which also looks on where a poll stopped. */
static void endpoint_settle(struct kobj *obj)
{
    struct endpoint *endpoint = endpoint_of(obj);
    lock_acquire(&obj->lock);
    bool work = endpoint->unheard || !list_empty(&endpoint->reported);
    bool more = endpoint->unheard;
    lock_release(&obj->lock);
    if (work && (let_go_some(endpoint) || more)) {
        submit_job(endpoint, END_REFUSED);
    }
}

static void drop_idle(struct endpoint *endpoint)
{
    lock_acquire(&endpoint->obj.lock);
    list_splice_back(&endpoint->reported, &endpoint->idle);
    lock_release(&endpoint->obj.lock);
    endpoint_settle(&endpoint->obj);
}

/* The own facet keeps an endpoint alive; when its last holder is gone, so is the endpoint. */
static void endpoint_facet_slot(struct kobj *obj, uint64_t facet, int change)
{
    struct endpoint *endpoint = endpoint_of(obj);
    if ((facet & EndpointOwn_FACET) == 0) {
        return;
    }
    if (change > 0) {
        atomic_add_relaxed(&endpoint->owners, 1);
    } else if (atomic_sub_acq_rel(&endpoint->owners, 1) == 1) {
        endpoint_kill(endpoint);
    }
}

static void endpoint_destroy(struct kobj *obj)
{
    struct endpoint *endpoint = endpoint_of(obj);
    KASSERT(list_empty(&endpoint->callers) && list_empty(&endpoint->receives) &&
            list_empty(&endpoint->inflight));
    ledger_refund(obj->ledger, LEDGER_CLASS_TIMERS, 1);
    slab_free(endpoint);
}

static const struct kobj_ops endpoint_ops = {
    .name = "endpoint",
    .facet_slot = endpoint_facet_slot,
    .destroy = endpoint_destroy,
    .unlink_record = endpoint_unlink_locked,
    .poll = endpoint_poll,
    .settle = endpoint_settle,
};

/* What to end next; CLAIMED, or INFLIGHT when `inflight` (then by record_abort). */
static struct record *next_to_end(struct endpoint *endpoint, uint32_t *generation_out,
                                  struct ring **ring_out)
{
    struct record *rec = NULL;
    *ring_out = NULL;
    lock_acquire(&endpoint->obj.lock);
    bool refuse = endpoint_refuses_locked(endpoint);
    struct list_node *node;
    if (refuse && (rec = endpoint_first_call_locked(endpoint)) != NULL) {
        /* claimed */
    } else if (kobj_is_dead(&endpoint->obj) &&
               (node = list_pop_front(&endpoint->receives)) != NULL) {
        rec = list_entry(node, struct record, link);
        rec->state = RECORD_CLAIMED;
    } else if (endpoint->end_inflight && (node = list_first(&endpoint->inflight)) != NULL) {
        rec = list_entry(node, struct record, link);
        *generation_out = atomic_load_relaxed(&rec->generation);
        *ring_out = rec->ring;
        atomic_add_relaxed(&rec->ring->refs, 1);
    } else {
        /* In the same critical section that finds nothing: a later submit_job starts the job anew. */
        endpoint->end_inflight = false;
        endpoint->draining = false;
    }
    lock_release(&endpoint->obj.lock);
    return rec;
}

static bool end_one(struct endpoint *endpoint)
{
    uint32_t generation = 0;
    struct ring *ring;
    struct record *rec = next_to_end(endpoint, &generation, &ring);
    if (rec == NULL) {
        return false;
    }
    if (ring == NULL) {
        record_complete(rec, ST_DISCONNECTED);
    } else {
        (void)record_abort(rec, generation, ST_DISCONNECTED);
        ring_put(ring);
    }
    return true;
}

/* One slice; true when nothing is left and the job's ref is given back. */
static bool endpoint_job(struct job *job)
{
    struct endpoint *endpoint = CONTAINER_OF(job, struct endpoint, job);
    lock_acquire(&endpoint->obj.lock);
    bool unheard = endpoint->unheard;
    endpoint->unheard = false;
    lock_release(&endpoint->obj.lock);
    if (unheard) {
        kobj_notify(&endpoint->obj);
    }
    if (let_go_some(endpoint)) {
        return false;
    }
    for (unsigned i = 0; i < ENDPOINT_SLICE; i++) {
        if (!end_one(endpoint)) {
            endpoint_match(endpoint);
            endpoint_settle(&endpoint->obj); /* what came meanwhile starts the job anew */
            kobj_unref(&endpoint->obj);
            return true;
        }
    }
    return false;
}

static void submit_job(struct endpoint *endpoint, enum end_what what)
{
    lock_acquire(&endpoint->obj.lock);
    endpoint->end_inflight |= what == END_INFLIGHT;
    bool submit = !endpoint->draining;
    if (submit) {
        endpoint->draining = true;
        kobj_ref(&endpoint->obj);
    }
    lock_release(&endpoint->obj.lock);
    if (submit) {
        job_submit(&endpoint->job);
    }
}

static void vacancy_over(struct timer *timer, uint32_t generation)
{
    struct endpoint *endpoint = CONTAINER_OF(timer, struct endpoint, vacancy);
    lock_acquire(&endpoint->obj.lock);
    bool over = endpoint->vacant && endpoint->vacancy_generation == generation;
    lock_release(&endpoint->obj.lock);
    if (over) {
        submit_job(endpoint, END_REFUSED);
    }
    kobj_unref(&endpoint->obj);
}

/* An armed vacancy timer holds a ref, so that it can fire while everybody else lets go. */
static void disarm_vacancy(struct endpoint *endpoint)
{
    if (timer_cancel(&endpoint->vacancy)) {
        kobj_unref(&endpoint->obj);
    }
}

void endpoint_kill(struct endpoint *endpoint)
{
    kobj_kill(&endpoint->obj);
    drop_idle(endpoint);
    disarm_vacancy(endpoint);
    submit_job(endpoint, END_INFLIGHT);
}

/* Disarmed and armed in one critical section: two owners may ask at once. */
void endpoint_begin_vacancy(struct endpoint *endpoint, uint64_t until_ns)
{
    lock_acquire(&endpoint->obj.lock);
    bool was_armed = timer_cancel(&endpoint->vacancy);
    endpoint->vacant = true;
    endpoint->vacant_until_ns = until_ns;
    endpoint->vacancy_generation++;
    if (!kobj_is_dead(&endpoint->obj) && until_ns != CAPOS_FOREVER_NS) {
        kobj_ref(&endpoint->obj);
        timer_arm(&endpoint->vacancy, until_ns, endpoint->vacancy_generation);
    }
    lock_release(&endpoint->obj.lock);
    if (was_armed) {
        kobj_unref(&endpoint->obj);
    }
    submit_job(endpoint, END_INFLIGHT);
}

status_t endpoint_create(struct ledger *ledger, uint32_t max_message_bytes, uint16_t max_caps,
                         struct endpoint **out)
{
    if (max_message_bytes > CAPOS_MAX_MESSAGE_BYTES || max_message_bytes % 8 != 0 ||
        max_caps > ENDPOINT_MAX_CAPS) {
        return ST_BAD_ARGUMENT;
    }
    if (ledger_charge(ledger, LEDGER_CLASS_TIMERS, 1) != ST_OK) { /* its vacancy's */
        return ST_QUOTA;
    }
    struct endpoint *endpoint = slab_alloc(ledger, sizeof(*endpoint));
    if (endpoint == NULL) {
        ledger_refund(ledger, LEDGER_CLASS_TIMERS, 1);
        return ST_QUOTA;
    }
    kobj_init(&endpoint->obj, KTYPE_ENDPOINT, &endpoint_ops, ledger);
    endpoint->max_message_bytes = max_message_bytes;
    endpoint->max_caps = max_caps;
    list_init(&endpoint->callers);
    list_init(&endpoint->receives);
    list_init(&endpoint->inflight);
    list_init(&endpoint->idle);
    list_init(&endpoint->closed);
    list_init(&endpoint->reported);
    timer_init(&endpoint->vacancy, vacancy_over, endpoint);
    job_init(&endpoint->job, endpoint_job);
    *out = endpoint;
    return ST_OK;
}

/* Both sides are told: the caller by its completion, the server by the event; its RETURN comes too late. */
void endpoint_overdue(struct record *call, uint32_t generation)
{
    struct ring *ring = call->ring;
    struct endpoint *endpoint = NULL;
    uint64_t key = 0;
    lock_acquire(&ring->lock);
    if (call->target != NULL && atomic_load_relaxed(&call->generation) == generation) {
        endpoint = endpoint_of(call->target);
        key = call->key;
        kobj_ref(&endpoint->obj);
    }
    lock_release(&ring->lock);
    if (endpoint == NULL) {
        return;
    }
    if (record_abort(call, generation, ST_TIMED_OUT)) {
        lock_acquire(&endpoint->obj.lock);
        endpoint->overdue = true;
        endpoint->overdue_key = key;
        kobj_notify_unlock(&endpoint->obj);
    }
    kobj_unref(&endpoint->obj);
}

/* ---- served objects ---- */

static void served_no_slots(struct kobj *obj)
{
    struct served *served = served_of(obj);
    struct endpoint *endpoint = served->endpoint;
    bool report = false;
    lock_acquire(&endpoint->obj.lock);
    if (!kobj_is_dead(&endpoint->obj) && grant_is_live(served->obj.mint) &&
        !list_linked(&served->idle_link)) {
        kobj_ref(obj);
        list_push_back(&endpoint->idle, &served->idle_link);
        report = true;
    }
    lock_release(&endpoint->obj.lock);
    if (report) {
        kobj_notify(&endpoint->obj);
    }
}

void endpoint_session_closed(struct served *served, uint64_t caller)
{
    struct endpoint *endpoint = served->endpoint;
    lock_acquire(&endpoint->obj.lock);
    if (!list_linked(&served->closed_link)) {
        served->closed_caller = caller;
        list_push_back(&endpoint->closed, &served->closed_link);
    } else if (served->closed_caller != caller) {
        served->closed_caller = 0;
    }
    lock_release(&endpoint->obj.lock);
    kobj_notify(&endpoint->obj);
}

static void served_destroy(struct kobj *obj)
{
    struct served *served = served_of(obj);
    struct ledger *ledger = obj->ledger;
    struct endpoint *endpoint = served->endpoint;
    lock_acquire(&endpoint->obj.lock);
    list_remove(&served->closed_link);
    lock_release(&endpoint->obj.lock);
    struct grant *mint = served->obj.mint;
    slab_free(served);
    ledger_refund(ledger, LEDGER_CLASS_SERVED_OBJECTS, 1);
    kobj_unref(&endpoint->obj);
    grant_unref(mint);
}

static const struct kobj_ops served_ops = {
    .name = "served object",
    .no_slots = served_no_slots,
    .destroy = served_destroy,
};

static status_t served_create(const struct minting *what, struct served **out)
{
    if (ledger_charge(what->payer, LEDGER_CLASS_SERVED_OBJECTS, 1) != ST_OK) {
        return ST_QUOTA;
    }
    struct served *served = slab_alloc(what->payer, sizeof(*served));
    if (served == NULL) {
        ledger_refund(what->payer, LEDGER_CLASS_SERVED_OBJECTS, 1);
        return ST_QUOTA;
    }
    kobj_init(&served->obj, 0, &served_ops, what->payer);
    served->obj.caller_id = what->endpoint->obj.id;
    served->endpoint = what->endpoint;
    kobj_ref(&what->endpoint->obj);
    served->obj.mint = what->route;
    grant_ref(what->route);
    served->key = what->key;
    served->interface = what->interface;
    served->bound_ns = what->bound_ns;
    if (what->bound_ns != 0) {
        lock_acquire(&what->endpoint->obj.lock);
        what->endpoint->bounded = true;
        lock_release(&what->endpoint->obj.lock);
    }
    list_node_init(&served->idle_link);
    list_node_init(&served->closed_link);
    *out = served;
    return ST_OK;
}

/* ---- methods ---- */

status_t endpoint_mint(struct invocation *inv, const struct minting *what, uint16_t *index_out)
{
    if (what->interface == 0 || what->methods == 0 || what->mode > TRANSFER_MODE_NONE ||
        what->scope > SESSION_SCOPE_REGRANT_ONLY || what->bound_ns > BOUND_MAX_NS) {
        return ST_BAD_ARGUMENT;
    }
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct served *served;
    status = served_create(what, &served);
    if (status != ST_OK) {
        return status;
    }
    grant_ref(what->route);
    struct capability cap = {
        .object = &served->obj,
        .route = what->route,
        .facet = what->methods,
        .interface = what->interface,
        .ktype = 0,
        .mode = (uint8_t)what->mode,
        .scope = (uint8_t)what->scope,
    };
    *index_out = invoke_add_capability(inv, &cap);
    return ST_OK;
}

status_t Endpoint_kernel_mint(struct invocation *inv, Endpoint_mint_params_r params,
                              Endpoint_mint_results_b results)
{
    struct minting what = {
        .endpoint = endpoint_of(inv->target.object),
        .route = inv->target.route,
        .payer = inv->process->ledger,
        .key = Endpoint_mint_params_get_key(params),
        .interface = Endpoint_mint_params_get_interface(params),
        .methods = Endpoint_mint_params_get_methods(params),
        .mode = Endpoint_mint_params_get_transfer_mode(params),
        .scope = Endpoint_mint_params_get_scope(params),
        .bound_ns = Endpoint_mint_params_get_bound_ns(params),
    };
    uint16_t index = 0;
    status_t status = endpoint_mint(inv, &what, &index);
    Endpoint_mint_results_set_object(results, index);
    return status;
}

status_t Endpoint_kernel_lend(struct invocation *inv, Endpoint_lend_params_r params,
                              Endpoint_lend_results_b results)
{
    (void)params;
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    kobj_ref(inv->target.object);
    Endpoint_lend_results_set_serve(
        results, invoke_add_cap(inv, inv->target.object, KTYPE_ENDPOINT, EndpointServe_FACET));
    return ST_OK;
}

status_t Endpoint_kernel_vacant(struct invocation *inv, Endpoint_vacant_params_r params,
                                Endpoint_vacant_results_b results)
{
    (void)results;
    uint64_t until_ns = Endpoint_vacant_params_get_until_ns(params);
    if (until_ns == 0) {
        return ST_BAD_ARGUMENT;
    }
    endpoint_begin_vacancy(endpoint_of(inv->target.object), until_ns);
    return ST_OK;
}

status_t Endpoint_kernel_destroy(struct invocation *inv, Endpoint_destroy_params_r params,
                                 Endpoint_destroy_results_b results)
{
    (void)params;
    (void)results;
    endpoint_kill(endpoint_of(inv->target.object));
    return ST_OK;
}

/* How long a list is, as far as one cares to know. The lock is held. */
static uint32_t length_locked(const struct list *list)
{
    uint32_t n = 0;
    for (struct list_node *node = list_first(list); node != NULL && n < ENDPOINT_COUNT_MAX;
         node = list_next(list, node)) {
        n++;
    }
    return n;
}

status_t Endpoint_kernel_counters(struct invocation *inv, Endpoint_counters_params_r params,
                                  Endpoint_counters_results_b results)
{
    (void)params;
    struct endpoint *endpoint = endpoint_of(inv->target.object);
    lock_acquire(&endpoint->obj.lock);
    Endpoint_counters_results_set_delivered(results, endpoint->delivered);
    Endpoint_counters_results_set_delivered_bytes(results, endpoint->delivered_bytes);
    Endpoint_counters_results_set_rings(results, length_locked(&endpoint->callers));
    Endpoint_counters_results_set_receives(results, length_locked(&endpoint->receives));
    Endpoint_counters_results_set_in_flight(results, length_locked(&endpoint->inflight));
    lock_release(&endpoint->obj.lock);
    return ST_OK;
}
