/* SPDX-License-Identifier: MIT */
/* The boot archive as init sees it. */
#include "boot.client.h"
#include "capos/handle.h"
#include "init.h"
#include "lib/base/bits.h"
#include "memory.client.h"

status_t payload_open(const char *name, capos_cap_t *memory, uint64_t *size_bytes)
{
    return BootPackage_open(init.boot, name, memory, size_bytes);
}

/* One page of names; *total is how many payloads there are. */
static struct capnp_list list_names(uint32_t start, uint32_t *total)
{
    CAPOS_CALL_STATIC(call, BootPackage, list);
    struct capnp_list none = {0};
    BootPackage_list_results_r results;
    capos_call_begin(&call, init.boot);
    BootPackage_list_params_set_start(BootPackage_list_begin(&call), start);
    if (BootPackage_list_call(&call) != ST_OK ||
        BootPackage_list_results(&call, &results) != ST_OK) {
        *total = 0;
        return none;
    }
    *total = BootPackage_list_results_get_total(results);
    return BootPackage_list_results_get_names(results);
}

bool payload_exists(const char *name)
{
    uint32_t total = 1;
    for (uint32_t start = 0; start < total;) {
        struct capnp_list names = list_names(start, &total);
        uint32_t count = capnp_list_len(names);
        for (uint32_t i = 0; i < count; i++) {
            if (capnp_text_is(capnp_text_list_at(names, i), name)) {
                return true;
            }
        }
        if (count == 0) {
            return false;
        }
        start += count;
    }
    return false;
}

status_t payload_map(const char *name, const void **bytes, uint64_t *size_bytes)
{
    CAPOS_OWNED memory = capos_own(0);
    uint64_t address = 0;
    status_t status = payload_open(name, &memory.cap, size_bytes);
    if (status == ST_OK && *size_bytes != 0) {
        status = VirtualMemory_map(init.memory, memory.cap, 0, 0, align_up(*size_bytes, 4096),
                                   PROTECTION_READ, &address);
    }
    *bytes = (const void *)(uintptr_t)address;
    return status;
}
