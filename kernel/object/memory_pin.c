/* SPDX-License-Identifier: MIT */
/*
 * MemoryPin: a promise that pages of a memory object stay. It holds the object, whose frames never change
 * while somebody does, and its pages count as pinned in the ledger of who asked. It is one capability's
 * worth: it ends when that is released, revoked or gone with its holder, and then the object may be
 * sealed. P1: a writable pin and a sealed object exclude each other.
 */
#include "cap/ledger.h"
#include "gen/kernel/memory.kernel.h"
#include "gen/kernel/types.h"
#include "lib/base/bits.h"
#include "mem/slab.h"
#include "object/memory_object.h"
#include "object/process.h"
#include "ring/wait.h"

static void pin_no_slots(struct kobj *obj)
{
    kobj_kill(obj);
}

static void pin_destroy(struct kobj *obj)
{
    struct memory_pin *pin = memory_pin_of(obj);
    struct memory_object *object = pin->object;
    memory_object_pin_remove(object, pin->writable);
    ledger_refund(obj->ledger, LEDGER_CLASS_PINNED_PAGES, pin->size_bytes >> PAGE_SHIFT);
    slab_free(pin);
    kobj_unref(&object->obj);
}

static const struct kobj_ops pin_ops = {
    .name = "memory pin",
    .no_slots = pin_no_slots,
    .destroy = pin_destroy,
};

/* Everything but the slot, or nothing. */
static status_t pin_create(struct ledger *ledger, struct memory_object *object, bool writable,
                           uint64_t pages, struct memory_pin **out)
{
    status_t status = ledger_charge(ledger, LEDGER_CLASS_PINNED_PAGES, pages);
    struct memory_pin *pin = status == ST_OK ? slab_alloc(ledger, sizeof(*pin)) : NULL;
    if (status == ST_OK) {
        status = pin != NULL ? memory_object_pin_add(object, writable) : ST_QUOTA;
    } else {
        pages = 0;
    }
    if (status != ST_OK) {
        if (pin != NULL) {
            slab_free(pin);
        }
        ledger_refund(ledger, LEDGER_CLASS_PINNED_PAGES, pages);
        return status;
    }
    kobj_init(&pin->obj, KTYPE_MEMORY_PIN, &pin_ops, ledger);
    kobj_ref(&object->obj);
    pin->object = object;
    pin->writable = writable;
    *out = pin;
    return ST_OK;
}

status_t MemoryObject_kernel_pin(struct invocation *inv, MemoryObject_pin_params_r params,
                                 MemoryObject_pin_results_b results)
{
    struct memory_object *object = memory_object_of(inv->target.object);
    uint64_t offset = MemoryObject_pin_params_get_offset_bytes(params);
    uint64_t size = MemoryObject_pin_params_get_size_bytes(params);
    bool writable = MemoryObject_pin_params_get_writable(params);
    if (size == 0 || !page_aligned(size) || !memory_object_has(object, offset, size)) {
        return ST_BAD_ARGUMENT;
    }
    if (writable && (inv->target.facet & BIT64(MemoryObject_map_write_ORDINAL)) == 0) {
        return ST_NO_METHOD;
    }
    struct memory_pin *pin;
    status_t status = invoke_reserve_caps(inv, 1);
    if (status == ST_OK) {
        status = pin_create(inv->process->ledger, object, writable, size >> PAGE_SHIFT, &pin);
    }
    if (status == ST_OK) {
        pin->offset = offset;
        pin->size_bytes = size;
        MemoryObject_pin_results_set_pin(
            results, invoke_add_cap(inv, &pin->obj, KTYPE_MEMORY_PIN, MemoryPin_FACET));
    }
    return status;
}

status_t MemoryPin_kernel_info(struct invocation *inv, MemoryPin_info_params_r params,
                               MemoryPin_info_results_b results)
{
    const struct memory_pin *pin = memory_pin_of(inv->target.object);
    (void)params;
    MemoryPin_info_results_set_offset_bytes(results, pin->offset);
    MemoryPin_info_results_set_size_bytes(results, pin->size_bytes);
    MemoryPin_info_results_set_writable(results, pin->writable);
    return ST_OK;
}
