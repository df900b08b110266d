/* SPDX-License-Identifier: MIT */
/*
 * The Ledger capability: what somebody may use, the maker of objects charged to it, and the parent of
 * ledgers carved from it.
 *
 * A donation is a carve of which its server holds the facet LedgerDonation. The first mint on it derives
 * a grant below the server's own, charged to the server (what keeps a service going is never on
 * donated memory); all that is minted on the donation has that grant as its route. So objects on it die
 * with the server, as all that it mints, or alone, when the grant is ended at the donation's deadline.
 */
#include "gen/kernel/ledger.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "abi/syscall.h"
#include "core/job.h"
#include "gen/annotations.capnp.h"
#include "gen/endpoint.capnp.h"
#include "ipc/endpoint.h"
#include "object/memory_object.h"
#include "object/notification.h"
#include "object/pending.h"
#include "object/revocation.h"
#include "object/process.h"
#include "object/spawn.h"
#include "object/usage.h"
#include "lib/base/string.h"
#include "mem/slab.h"
#include "ring/wait.h"
#include "sched/timer.h"
#include "arch/time.h"

void usage_fill(struct ledger *ledger, Usage_list_b list)
{
    for (uint32_t i = 0; i < LEDGER_CLASSES; i++) {
        Usage_b usage = Usage_list_b_at(list, i);
        Usage_set_ledger_class(usage, (enum LedgerClass)i);
        Usage_set_used(usage, atomic_load_relaxed(&ledger->used[i]));
        Usage_set_limit(usage, atomic_load_relaxed(&ledger->limit[i]));
        Usage_set_refused(usage, atomic_load_relaxed(&ledger->refused[i]));
    }
}

static struct ledger *target_of(const struct invocation *inv)
{
    return ledger_of(inv->target.object);
}

static bool is_closed(struct ledger *ledger)
{
    return ledger != NULL && atomic_load_relaxed(&ledger->closed) != 0;
}

/* A carve outlives whoever carved it, its use does not. */
static status_t check_open(const struct invocation *inv)
{
    struct ledger *ledger = target_of(inv);
    bool own = ledger == inv->process->ledger;
    return is_closed(ledger) || (!own && is_closed(ledger->obj.ledger)) ? ST_DISCONNECTED : ST_OK;
}

/* With room for the capability that is made. */
static status_t begin_making(struct invocation *inv)
{
    status_t status = check_open(inv);
    return status == ST_OK ? invoke_reserve_caps(inv, 1) : status;
}

/* The new object goes into the reserved slot with all its methods. */
static uint16_t hand_out(struct invocation *inv, struct kobj *obj, uint8_t ktype)
{
    return invoke_add_cap(inv, obj, ktype, kernel_interfaces[ktype].facet_all);
}

status_t Ledger_kernel_new_endpoint(struct invocation *inv, Ledger_new_endpoint_params_r params,
                                    Ledger_new_endpoint_results_b results)
{
    status_t status = begin_making(inv);
    if (status != ST_OK) {
        return status;
    }
    struct endpoint *endpoint;
    status =
        endpoint_create(target_of(inv), Ledger_new_endpoint_params_get_max_message_bytes(params),
                        Ledger_new_endpoint_params_get_max_caps(params), &endpoint);
    if (status != ST_OK) {
        return status;
    }
    Ledger_new_endpoint_results_set_endpoint(results,
                                             hand_out(inv, &endpoint->obj, KTYPE_ENDPOINT));
    return ST_OK;
}

status_t Ledger_kernel_new_notification(struct invocation *inv,
                                        Ledger_new_notification_params_r params,
                                        Ledger_new_notification_results_b results)
{
    (void)params;
    status_t status = begin_making(inv);
    if (status != ST_OK) {
        return status;
    }
    struct notification *notification;
    status = notification_create(target_of(inv), &notification);
    if (status != ST_OK) {
        return status;
    }
    Ledger_new_notification_results_set_notification(
        results, hand_out(inv, &notification->obj, KTYPE_NOTIFICATION));
    return ST_OK;
}

/* A large object fills up while its maker waits, or has gone. */
static bool fill_on(struct job *job)
{
    struct memory_object *memory = CONTAINER_OF(job, struct memory_object, work.job);
    bool orphan = pending_is_orphan(&memory->work);
    status_t status = orphan ? ST_CANCELLED : memory_object_fill(memory);
    if (status == ST_PENDING) {
        return false;
    }
    kobj_ref(&memory->obj);
    pending_hand_out(&memory->work, pending_claim(&memory->work), status, &memory->obj,
                     KTYPE_MEMORY_OBJECT);
    kobj_unref(&memory->obj); /* perhaps the last: `work` then frees it */
    return true;
}

status_t Ledger_kernel_new_memory_object(struct invocation *inv,
                                         Ledger_new_memory_object_params_r params,
                                         Ledger_new_memory_object_results_b results)
{
    struct memory_object *memory;
    status_t status = begin_making(inv);
    if (status == ST_OK) {
        status = memory_object_begin(
            target_of(inv), Ledger_new_memory_object_params_get_size_bytes(params), &memory);
    }
    if (status != ST_OK) {
        return status;
    }
    status = memory_object_fill(memory);
    if (status == ST_PENDING) {
        return pending_start(&memory->work, inv, fill_on);
    }
    if (status != ST_OK) {
        kobj_unref(&memory->obj);
        return status;
    }
    Ledger_new_memory_object_results_set_memory(results,
                                                hand_out(inv, &memory->obj, KTYPE_MEMORY_OBJECT));
    return ST_OK;
}

status_t Ledger_kernel_usage(struct invocation *inv, Ledger_usage_params_r params,
                             Ledger_usage_results_b results)
{
    (void)params;
    struct ledger *ledger = target_of(inv);
    const char *lender = ledger->obj.ledger != NULL ? ledger->obj.ledger->name : "";
    usage_fill(ledger, Ledger_usage_results_init_classes(results, LEDGER_CLASSES));
    Ledger_usage_results_set_name(results, ledger->name, strlen(ledger->name));
    Ledger_usage_results_set_lender(results, lender, strlen(lender));
    return ST_OK;
}

/* ---- carves ---- */

status_t Ledger_kernel_carve(struct invocation *inv, Ledger_carve_params_r params,
                             Ledger_carve_results_b results)
{
    uint64_t limits[LEDGER_CLASSES] = {0};
    char name[CAPOS_CAP_NAME_BYTES];
    struct ledger *child;
    status_t status = spawn_read_name(Ledger_carve_params_get_name(params), name);
    if (status == ST_OK) {
        status = spawn_read_limits(Ledger_carve_params_get_limits(params), limits);
    }
    if (status == ST_OK) {
        status = begin_making(inv);
    }
    if (status == ST_OK) {
        status = ledger_carve(target_of(inv), limits, name, &child);
    }
    if (status != ST_OK) {
        return status;
    }
    Ledger_carve_results_set_ledger(results, hand_out(inv, &child->obj, KTYPE_LEDGER));
    struct capability *cap = &inv->result_caps[0];
    cap->mode = TRANSFER_MODE_COPY; /* a process's own ledger stays with it, a carve may go */
    cap->scope = SESSION_SCOPE_CROSS_SESSION;
    return ST_OK;
}

/* The ledger at this index of the call's capabilities: one carved from the ledger called. */
static status_t child_param(const struct invocation *inv, uint16_t index, struct ledger **out)
{
    const struct capability *cap;
    status_t status = invoke_param_cap(inv, index, KTYPE_LEDGER, &cap);
    if (status != ST_OK) {
        return status;
    }
    *out = ledger_of(cap->object);
    return (*out)->obj.ledger == target_of(inv) ? ST_OK : ST_BAD_ARGUMENT;
}

typedef status_t (*move_fn)(struct ledger *child, const uint64_t amounts[LEDGER_CLASSES]);

static status_t move_limits(const struct invocation *inv, uint16_t index, Limit_list_r list,
                            move_fn move)
{
    uint64_t amounts[LEDGER_CLASSES] = {0};
    struct ledger *child;
    status_t status = child_param(inv, index, &child);
    if (status == ST_OK) {
        status = spawn_read_limits(list, amounts);
    }
    return status == ST_OK ? move(child, amounts) : status;
}

status_t Ledger_kernel_grow(struct invocation *inv, Ledger_grow_params_r params,
                            Ledger_grow_results_b results)
{
    (void)results;
    return move_limits(inv, Ledger_grow_params_get_child(params),
                       Ledger_grow_params_get_limits(params), ledger_grow);
}

status_t Ledger_kernel_shrink(struct invocation *inv, Ledger_shrink_params_r params,
                              Ledger_shrink_results_b results)
{
    (void)results;
    return move_limits(inv, Ledger_shrink_params_get_child(params),
                       Ledger_shrink_params_get_limits(params), ledger_shrink);
}

/* ---- donations ---- */

/* The grant under which objects are minted on this ledger through this serve capability; a ref. A
 * donation belongs to the server that mints on it first. */
static status_t minting_route(const struct invocation *inv, struct ledger *ledger,
                              struct grant *serve_route, struct grant **route_out)
{
    struct grant *route = serve_route;
    if (ledger == inv->process->ledger) {
        grant_ref(route);
        *route_out = route;
        return ST_OK;
    }
    status_t status = grant_derive(serve_route, inv->process->ledger, "donation", 8, &route);
    if (status != ST_OK) {
        return status;
    }
    struct grant *spare = route;
    lock_acquire(&ledger->obj.lock);
    if (ledger->minted == NULL && !kobj_is_dead(&ledger->obj)) {
        ledger->minted = route;
        grant_ref(route);
    }
    route = ledger->minted;
    status = route != NULL && route->parent == serve_route ? ST_OK : ST_BAD_STATE;
    if (status == ST_OK) {
        grant_ref(route);
    }
    lock_release(&ledger->obj.lock);
    grant_unref(spare);
    *route_out = route;
    return status;
}

status_t Ledger_kernel_mint(struct invocation *inv, Ledger_mint_params_r params,
                            Ledger_mint_results_b results)
{
    const struct capability *serve;
    uint16_t index = 0;
    struct minting what = {
        .payer = target_of(inv),
        .key = Ledger_mint_params_get_key(params),
        .interface = Ledger_mint_params_get_interface(params),
        .methods = Ledger_mint_params_get_methods(params),
        .mode = Ledger_mint_params_get_transfer_mode(params),
        .scope = Ledger_mint_params_get_scope(params),
        .bound_ns = Ledger_mint_params_get_bound_ns(params),
    };
    status_t status =
        invoke_param_cap(inv, Ledger_mint_params_get_endpoint(params), KTYPE_ENDPOINT, &serve);
    if (status == ST_OK && (serve->facet >> Endpoint_mint_ORDINAL & 1) == 0) {
        status = ST_NO_METHOD;
    }
    if (status == ST_OK) {
        status = check_open(inv);
    }
    if (status == ST_OK) {
        status = minting_route(inv, what.payer, serve->route, &what.route);
    }
    if (status != ST_OK) {
        return status;
    }
    what.endpoint = endpoint_of(serve->object);
    status = endpoint_mint(inv, &what, &index);
    grant_unref(what.route);
    Ledger_mint_results_set_object(results, index);
    return status;
}

/* The record of a coming end outlives the donor: it must not do so for long. */
#define DONATION_END_MAX_NS UINT64_C(60000000000)

/* The end of what is minted on a revoked ledger, at its time; charged to the donor, one timer. */
struct donation_end {
    struct timer timer;
    struct job job;
    struct revocation revocation;
    struct ledger *ledger; /* a ref */
};

static bool donation_end_slice(struct job *job)
{
    struct donation_end *end = CONTAINER_OF(job, struct donation_end, job);
    struct ledger *ledger = end->ledger;
    if (ledger->minted != NULL && !revocation_slice(&end->revocation, ledger->minted)) {
        return false;
    }
    slab_free(end);
    ledger_refund(ledger->obj.ledger, LEDGER_CLASS_TIMERS, 1);
    ledger_unref(ledger);
    return true;
}

static void donation_over(struct timer *timer, uint32_t generation)
{
    (void)generation;
    job_submit(&CONTAINER_OF(timer, struct donation_end, timer)->job);
}

static struct donation_end *donation_end_create(struct ledger *ledger)
{
    struct ledger *payer = ledger->obj.ledger;
    if (ledger_charge(payer, LEDGER_CLASS_TIMERS, 1) != ST_OK) {
        return NULL;
    }
    struct donation_end *end = slab_alloc(payer, sizeof(*end));
    if (end == NULL) {
        ledger_refund(payer, LEDGER_CLASS_TIMERS, 1);
        return NULL;
    }
    timer_init(&end->timer, donation_over, end);
    job_init(&end->job, donation_end_slice);
    end->ledger = ledger;
    ledger_ref(ledger);
    return end;
}

status_t Ledger_kernel_revoke(struct invocation *inv, Ledger_revoke_params_r params,
                              Ledger_revoke_results_b results)
{
    (void)results;
    uint64_t until_ns = Ledger_revoke_params_get_until_ns(params);
    bool ends = until_ns != CAPOS_FOREVER;
    struct donation_end *end = NULL;
    struct ledger *child = NULL;
    status_t status = child_param(inv, Ledger_revoke_params_get_child(params), &child);
    if (status == ST_OK && ends && until_ns > arch_time_ns() + DONATION_END_MAX_NS) {
        status = ST_BAD_ARGUMENT;
    }
    if (status == ST_OK && ends) {
        end = donation_end_create(child);
        status = end != NULL ? ST_OK : ST_QUOTA;
    }
    if (status != ST_OK) {
        return status;
    }
    kobj_kill(&child->obj);
    ledger_close(child);
    if (end != NULL) {
        timer_arm(&end->timer, until_ns, 0); /* a time that has passed fires at once */
    }
    return ST_OK;
}
