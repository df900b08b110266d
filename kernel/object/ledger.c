/* SPDX-License-Identifier: MIT */
/* The Ledger capability: a process's own ledger, and the maker of objects charged to it. The object
 * behind the capability is the process. */
#include "gen/kernel/ledger.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "ipc/endpoint.h"
#include "object/invoke.h"
#include "object/memory_object.h"
#include "object/notification.h"
#include "object/process.h"
#include "object/usage.h"

void usage_fill(struct ledger *ledger, Usage_list_b list)
{
    for (uint32_t i = 0; i < LEDGER_CLASSES; i++) {
        Usage_b usage = Usage_list_b_at(list, i);
        Usage_set_ledger_class(usage, (enum LedgerClass)i);
        Usage_set_used(usage, atomic_load_relaxed(&ledger->used[i]));
        Usage_set_limit(usage, atomic_load_relaxed(&ledger->limit[i]));
    }
}

static struct ledger *ledger_of(const struct invocation *inv)
{
    return process_of(inv->target.object)->ledger;
}

/* The new object goes into the reserved slot with all its methods. */
static uint16_t hand_out(struct invocation *inv, struct kobj *obj, uint8_t ktype)
{
    return invoke_add_cap(inv, obj, ktype, kernel_interfaces[ktype].facet_all);
}

status_t Ledger_kernel_new_endpoint(struct invocation *inv, Ledger_new_endpoint_params_r params,
                                    Ledger_new_endpoint_results_b results)
{
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct endpoint *endpoint;
    status =
        endpoint_create(ledger_of(inv), Ledger_new_endpoint_params_get_max_message_bytes(params),
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
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct notification *notification;
    status = notification_create(ledger_of(inv), &notification);
    if (status != ST_OK) {
        return status;
    }
    Ledger_new_notification_results_set_notification(
        results, hand_out(inv, &notification->obj, KTYPE_NOTIFICATION));
    return ST_OK;
}

status_t Ledger_kernel_new_memory_object(struct invocation *inv,
                                         Ledger_new_memory_object_params_r params,
                                         Ledger_new_memory_object_results_b results)
{
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct memory_object *memory;
    status = memory_object_create(ledger_of(inv),
                                  Ledger_new_memory_object_params_get_size_bytes(params), &memory);
    if (status != ST_OK) {
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
    usage_fill(ledger_of(inv), Ledger_usage_results_init_classes(results, LEDGER_CLASSES));
    return ST_OK;
}
