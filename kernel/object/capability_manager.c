/* SPDX-License-Identifier: MIT */
/* CapabilityManager: a process looks at, and narrows, what it holds itself. */
#include "gen/capabilities.capnp.h"
#include "gen/kernel/capabilities.kernel.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "object/invoke.h"
#include "object/process.h"

/* As many entries as fit the results whatever their texts are. */
enum { LIST_MAX = 48, LIST_STEPS = 64 };

struct listed {
    capos_cap_t id;
    struct capability cap;
    enum cap_hop hop;
};

static const char *origin_of(const struct listed *entry)
{
    if (entry->cap.object == NULL) {
        return entry->cap.route->origin; /* it was swept: this says why */
    }
    switch (entry->hop) {
    case CAP_HOP_RESULT:
        return "result of a call";
    case CAP_HOP_RECEIVED:
        return "received";
    case CAP_HOP_DERIVED:
        return "made here";
    case CAP_HOP_KERNEL:
    case CAP_HOP_SPAWN:
        break;
    }
    return entry->cap.route->origin;
}

static void fill(CapabilityInfo_b info, const struct listed *entry)
{
    const char *origin = origin_of(entry);
    CapabilityInfo_set_id(info, entry->id);
    CapabilityInfo_set_interface(info, entry->cap.interface);
    CapabilityInfo_set_methods(info, entry->cap.facet);
    CapabilityInfo_set_transfer_mode(info, (enum TransferMode)entry->cap.mode);
    CapabilityInfo_set_scope(info, (enum SessionScope)entry->cap.scope);
    CapabilityInfo_set_live(info, grant_is_live(entry->cap.route) &&
                                      !object_has_ended(entry->cap.object));
    CapabilityInfo_set_origin(info, origin, strlen(origin));
}

/* Collects up to LIST_MAX slots from *start on; *start = where to go on, 0 at the end. */
static uint32_t collect(struct cap_table *table, uint32_t *start, struct listed *out)
{
    uint32_t count = 0;
    uint32_t at = *start;
    for (unsigned step = 0; step < LIST_STEPS && count < LIST_MAX && at != UINT32_MAX; step++) {
        struct listed *entry = &out[count];
        if (table_next(table, at, &entry->cap, &entry->id, &entry->hop, &at) != UINT32_MAX) {
            count++;
        }
    }
    *start = at == UINT32_MAX ? 0 : at;
    return count;
}

status_t CapabilityManager_kernel_list(struct invocation *inv,
                                       CapabilityManager_list_params_r params,
                                       CapabilityManager_list_results_b results)
{
    struct listed entries[LIST_MAX];
    struct process *process = process_of(inv->target.object);
    uint32_t next = CapabilityManager_list_params_get_start(params);
    uint32_t count = collect(&process->table, &next, entries);
    CapabilityInfo_list_b list = CapabilityManager_list_results_init_capabilities(results, count);
    for (uint32_t i = 0; i < count; i++) {
        fill(CapabilityInfo_list_b_at(list, i), &entries[i]);
        capability_put(&entries[i].cap);
    }
    CapabilityManager_list_results_set_next(results, next);
    return ST_OK;
}

status_t CapabilityManager_kernel_attenuate(struct invocation *inv,
                                            CapabilityManager_attenuate_params_r params,
                                            CapabilityManager_attenuate_results_b results)
{
    uint64_t methods = CapabilityManager_attenuate_params_get_methods(params);
    const struct capability *held;
    status_t status =
        invoke_param_cap(inv, CapabilityManager_attenuate_params_get_capability(params), 0, &held);
    if (status != ST_OK) {
        return status;
    }
    if (inv->move_mask != 0 || methods == 0) {
        return ST_BAD_ARGUMENT;
    }
    if ((methods & ~held->facet) != 0) {
        return ST_NO_METHOD;
    }
    status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct capability cap = *held;
    cap.facet = methods;
    kobj_ref(cap.object);
    grant_ref(cap.route);
    CapabilityManager_attenuate_results_set_capability(results, invoke_add_capability(inv, &cap));
    return ST_OK;
}
