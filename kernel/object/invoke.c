/* SPDX-License-Identifier: MIT */
#include "object/invoke.h"

#include "core/panic.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "object/process.h"
#include "ring/op.h"

status_t invoke_param_cap(const struct invocation *inv, uint16_t index, uint8_t ktype,
                          const struct capability **out)
{
    if (index >= inv->cap_count) {
        return ST_BAD_ARGUMENT;
    }
    struct capability *cap = &inv->caps[index];
    if ((*inv->caps_taken & BIT64(index)) == 0) {
        status_t status = table_captured_get(&inv->process->table, inv->xfers->ids[index], cap);
        if (status != ST_OK) {
            return status;
        }
        *inv->caps_taken |= BIT64(index);
    }
    if (ktype != 0 && cap->ktype != ktype) {
        return ST_WRONG_INTERFACE;
    }
    *out = cap;
    return ST_OK;
}

status_t invoke_reserve_caps(struct invocation *inv, uint32_t n)
{
    KASSERT(inv->reserved_caps == 0 && n <= INVOKE_MAX_RESULT_CAPS);
    status_t status = table_reserve(&inv->process->table, n, inv->result_ids);
    if (status == ST_OK) {
        inv->reserved_caps = n;
    }
    return status;
}

uint16_t invoke_add_capability(struct invocation *inv, const struct capability *cap)
{
    KASSERT(inv->result_cap_count < inv->reserved_caps);
    uint32_t index = inv->result_cap_count++;
    inv->result_caps[index] = *cap;
    return (uint16_t)index;
}

uint16_t invoke_add_cap(struct invocation *inv, struct kobj *object, uint8_t ktype, uint64_t facet)
{
    const struct kernel_interface *interface = &kernel_interfaces[ktype];
    grant_ref(inv->target.route);
    struct capability cap = {
        .object = object,
        .route = inv->target.route,
        .facet = facet,
        .interface = interface->id,
        .ktype = ktype,
        .mode = interface->mode,
        .scope = interface->scope,
    };
    return invoke_add_capability(inv, &cap);
}
