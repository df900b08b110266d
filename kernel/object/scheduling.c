/* SPDX-License-Identifier: MIT */
/* SchedulingPolicy and SchedulingContext. Theory in scheduling.h. */
#include "object/scheduling.h"

#include "abi/ring.h"
#include "arch/time.h"
#include "gen/kernel/scheduling.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "cap/ledger.h"
#include "mem/slab.h"
#include "object/cpu_lease.h"
#include "object/invoke.h"
#include "object/process.h"
#include "ring/wait.h"
#include "sched/sched.h"

#define SECOND_NS UINT64_C(1000000000)
#define PERIOD_MIN_NS UINT64_C(1000000)
#define PERIOD_MAX_NS (10 * SECOND_NS)
#define BUDGET_MIN_NS UINT64_C(50000)

enum { NO_CAP = 0xffff };

static uint32_t scheduling_poll(struct kobj *obj, uint32_t mask, uint64_t bits,
                                uint64_t *signal_out)
{
    (void)bits;
    (void)signal_out;
    bool told = (mask & CAPOS_EVENT_DEPLETED) != 0 &&
                atomic_swap_acquire(&scheduling_context_of(obj)->spent, 0) != 0;
    return told ? CAPOS_EVENT_DEPLETED : 0;
}

void scheduling_context_spent(struct kobj *obj)
{
    atomic_store_release(&scheduling_context_of(obj)->spent, 1);
    kobj_notify(obj);
}

/* Its share goes back, once. */
static void give_back(struct scheduling_context *own)
{
    ledger_refund(own->obj.ledger, LEDGER_CLASS_CPU_NS, own->share_ns);
}

static void scheduling_destroy(struct kobj *obj)
{
    struct scheduling_context *own = scheduling_context_of(obj);
    if (!kobj_is_dead(obj)) {
        give_back(own);
    }
    ledger_refund(obj->ledger, LEDGER_CLASS_TIMERS, 1);
    slab_free(own);
}

static const struct kobj_ops scheduling_ops = {
    .name = "scheduling context",
    .destroy = scheduling_destroy,
    .poll = scheduling_poll,
};

static status_t check(uint64_t class, uint64_t weight, uint64_t budget_ns, uint64_t period_ns)
{
    bool limited = budget_ns != 0;
    bool good = class < SCHED_CLASSES && weight != 0 && weight <= SCHED_WEIGHT_MAX &&
                (limited ? budget_ns >= BUDGET_MIN_NS && budget_ns <= period_ns &&
                               period_ns >= PERIOD_MIN_NS && period_ns <= PERIOD_MAX_NS
                         : class >= SCHED_CLASS_NORMAL && period_ns == 0);
    return good ? ST_OK : ST_BAD_ARGUMENT;
}

/* What a budget makes of a second, rounded up. */
static uint64_t share_of(uint64_t budget_ns, uint64_t period_ns)
{
    return budget_ns == 0 ? 0 : (budget_ns * SECOND_NS + period_ns - 1) / period_ns;
}

static struct scheduling_context *create(struct ledger *ledger, uint64_t share_ns)
{
    if (ledger_charge(ledger, LEDGER_CLASS_CPU_NS, share_ns) != ST_OK) {
        return NULL;
    }
    struct scheduling_context *own = NULL;
    bool timer = ledger_charge(ledger, LEDGER_CLASS_TIMERS, 1) == ST_OK;
    if (timer) {
        own = slab_alloc(ledger, sizeof(*own));
    }
    if (own == NULL) {
        ledger_refund(ledger, LEDGER_CLASS_TIMERS, timer);
        ledger_refund(ledger, LEDGER_CLASS_CPU_NS, share_ns);
        return NULL;
    }
    own->share_ns = share_ns;
    kobj_init(&own->obj, KTYPE_SCHEDULING_CONTEXT, &scheduling_ops, ledger);
    own->context.object = &own->obj;
    return own;
}

/* The ledger that is to pay: the call's capability of this index, or the caller's own. */
static status_t payer(const struct invocation *inv, uint16_t index, struct ledger **out)
{
    *out = inv->process->ledger;
    if (index == NO_CAP) {
        return ST_OK;
    }
    const struct capability *cap;
    status_t status = invoke_param_cap(inv, index, KTYPE_LEDGER, &cap);
    *out = status == ST_OK ? ledger_of(cap->object) : NULL;
    return status;
}

status_t SchedulingPolicy_kernel_new_lease(struct invocation *inv,
                                           SchedulingPolicy_new_lease_params_r params,
                                           SchedulingPolicy_new_lease_results_b results)
{
    struct ledger *ledger;
    status_t status = payer(inv, SchedulingPolicy_new_lease_params_get_ledger(params), &ledger);
    if (status == ST_OK) {
        status = invoke_reserve_caps(inv, 1);
    }
    struct kobj *lease = NULL;
    if (status == ST_OK) {
        status = cpu_lease_create(ledger, &lease);
    }
    if (status == ST_OK) {
        SchedulingPolicy_new_lease_results_set_lease(
            results, invoke_add_cap(inv, lease, KTYPE_CPU_LEASE,
                                    kernel_interfaces[KTYPE_CPU_LEASE].facet_all));
    }
    return status;
}

status_t SchedulingPolicy_kernel_new_context(struct invocation *inv,
                                             SchedulingPolicy_new_context_params_r params,
                                             SchedulingPolicy_new_context_results_b results)
{
    unsigned class = SchedulingPolicy_new_context_params_get_class(params);
    unsigned weight = SchedulingPolicy_new_context_params_get_weight(params);
    uint64_t budget_ns = SchedulingPolicy_new_context_params_get_budget_ns(params);
    uint64_t period_ns = SchedulingPolicy_new_context_params_get_period_ns(params);
    struct ledger *ledger;
    status_t status = check(class, weight, budget_ns, period_ns);
    if (status == ST_OK) {
        status = payer(inv, SchedulingPolicy_new_context_params_get_ledger(params), &ledger);
    }
    if (status == ST_OK) {
        status = invoke_reserve_caps(inv, 1);
    }
    if (status != ST_OK) {
        return status;
    }
    struct scheduling_context *own = create(ledger, share_of(budget_ns, period_ns));
    if (own == NULL) {
        return ST_QUOTA;
    }
    context_init(&own->context, class, weight);
    if (budget_ns != 0) {
        context_limit(&own->context, &own->limit, budget_ns, period_ns);
    }
    SchedulingPolicy_new_context_results_set_context(
        results, invoke_add_cap(inv, &own->obj, KTYPE_SCHEDULING_CONTEXT,
                                kernel_interfaces[KTYPE_SCHEDULING_CONTEXT].facet_all));
    return ST_OK;
}

status_t SchedulingContext_kernel_info(struct invocation *inv,
                                       SchedulingContext_info_params_r params,
                                       SchedulingContext_info_results_b results)
{
    (void)params;
    const struct sched_context *context = &scheduling_context_of(inv->target.object)->context;
    SchedulingContext_info_results_set_class(results, (enum SchedulingClass)context->class);
    SchedulingContext_info_results_set_weight(results, context->weight);
    SchedulingContext_info_results_set_used_ns(results, atomic_load_relaxed(&context->used_ns));
    SchedulingContext_info_results_set_threads(results, atomic_load_relaxed(&context->threads));
    struct sched_limit *limit = context->limit;
    if (limit != NULL) {
        SchedulingContext_info_results_set_left_ns(results, context_refill(limit, arch_time_ns()));
        SchedulingContext_info_results_set_budget_ns(results, limit->budget_ns);
        SchedulingContext_info_results_set_period_ns(results, limit->period_ns);
        SchedulingContext_info_results_set_times_spent(results, limit->times_spent);
    }
    return ST_OK;
}

status_t SchedulingContext_kernel_revoke(struct invocation *inv,
                                         SchedulingContext_revoke_params_r params,
                                         SchedulingContext_revoke_results_b results)
{
    (void)params;
    (void)results;
    struct kobj *obj = inv->target.object;
    struct scheduling_context *own = scheduling_context_of(obj);
    lock_acquire(&obj->lock);
    bool first = !kobj_is_dead(obj);
    atomic_store_release(&obj->dead, 1);
    kobj_notify_unlock(obj);
    if (first) {
        give_back(own);
        context_end(&own->context);
    }
    return ST_OK;
}
