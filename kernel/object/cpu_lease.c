/* SPDX-License-Identifier: MIT */
#include "object/cpu_lease.h"

#include "cap/ledger.h"
#include "gen/kernel/scheduling.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "mem/slab.h"
#include "object/invoke.h"
#include "ring/op.h"
#include "ring/ring.h"
#include "ring/wait.h"
#include "sched/cpu.h"
#include "sched/lease.h"

#define SECOND_NS UINT64_C(1000000000)

/* [I] immutable */
struct lease_object {
    struct kobj obj; /* ktype CPU_LEASE; its lock keeps the processor its own: see lease.h, L1 */
    unsigned cpu;    /* [I] its processor, until it is dead */
};

static struct lease_object *lease_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct lease_object, obj);
}

static void give_back(struct lease_object *own)
{
    lease_end(own->cpu);
    ledger_refund(own->obj.ledger, LEDGER_CLASS_CPU_NS, SECOND_NS);
}

static void lease_destroy(struct kobj *obj)
{
    if (!kobj_is_dead(obj)) {
        give_back(lease_of(obj));
    }
    slab_free(lease_of(obj));
}

static const struct kobj_ops lease_ops = {
    .name = "processor lease",
    .destroy = lease_destroy,
};

status_t cpu_lease_create(struct ledger *ledger, struct kobj **out)
{
    if (ledger_charge(ledger, LEDGER_CLASS_CPU_NS, SECOND_NS) != ST_OK) {
        return ST_QUOTA;
    }
    struct lease_object *own = slab_alloc(ledger, sizeof(*own));
    status_t status = own == NULL ? ST_QUOTA : lease_take(&own->cpu);
    if (status != ST_OK) {
        if (own != NULL) {
            slab_free(own);
        }
        ledger_refund(ledger, LEDGER_CLASS_CPU_NS, SECOND_NS);
        return status;
    }
    kobj_init(&own->obj, KTYPE_CPU_LEASE, &lease_ops, ledger);
    *out = &own->obj;
    return ST_OK;
}

status_t CpuLease_kernel_info(struct invocation *inv, CpuLease_info_params_r params,
                              CpuLease_info_results_b results)
{
    (void)params;
    unsigned id = lease_of(inv->target.object)->cpu;
    const struct cpu_lease *lease = &cpu_of(id)->lease;
    CpuLease_info_results_set_processor(results, id);
    CpuLease_info_results_set_polling(results, atomic_load_acquire(&lease->ring) != NULL);
    CpuLease_info_results_set_entries(results, atomic_load_relaxed(&lease->entries));
    return ST_OK;
}

status_t CpuLease_kernel_poll(struct invocation *inv, CpuLease_poll_params_r params,
                              CpuLease_poll_results_b results)
{
    (void)results;
    struct kobj *obj = inv->target.object;
    lock_acquire(&obj->lock);
    status_t status = ST_DISCONNECTED; /* by a revoke since the look-up */
    if (!kobj_is_dead(obj)) {
        status = lease_poll(lease_of(obj)->cpu, inv->op->ring, inv->target.route,
                            CpuLease_poll_params_get_idle_rounds(params));
    }
    lock_release(&obj->lock);
    return status;
}

status_t CpuLease_kernel_stop(struct invocation *inv, CpuLease_stop_params_r params,
                              CpuLease_stop_results_b results)
{
    (void)params;
    (void)results;
    struct kobj *obj = inv->target.object;
    lock_acquire(&obj->lock);
    if (!kobj_is_dead(obj)) {
        lease_stop(lease_of(obj)->cpu);
    }
    lock_release(&obj->lock);
    return ST_OK;
}

status_t CpuLease_kernel_revoke(struct invocation *inv, CpuLease_revoke_params_r params,
                                CpuLease_revoke_results_b results)
{
    (void)params;
    (void)results;
    struct kobj *obj = inv->target.object;
    lock_acquire(&obj->lock);
    bool first = !kobj_is_dead(obj);
    atomic_store_release(&obj->dead, 1);
    kobj_notify_unlock(obj);
    if (first) {
        give_back(lease_of(obj));
    }
    return ST_OK;
}
