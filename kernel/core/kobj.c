/* SPDX-License-Identifier: MIT */
#include "core/kobj.h"

#include "cap/ledger.h"
#include "core/panic.h"
#include "core/trace.h"

static _Atomic uint64_t last_id;

uint64_t kobj_next_id(void)
{
    return atomic_add_relaxed(&last_id, 1) + 1;
}

void kobj_init(struct kobj *obj, uint8_t ktype, const struct kobj_ops *ops, struct ledger *ledger)
{
    atomic_store_relaxed(&obj->refs, 1);
    atomic_store_relaxed(&obj->slots, 0);
    atomic_store_relaxed(&obj->dead, 0);
    lock_init(&obj->lock, LOCK_OBJECT);
    obj->ktype = ktype;
    obj->ops = ops;
    obj->ledger = ledger;
    obj->id = kobj_next_id();
    obj->caller_id = obj->id;
    list_init(&obj->waiters);
    if (ledger != NULL) {
        ledger_ref(ledger);
    }
}

void kobj_unref(struct kobj *obj)
{
    uint32_t refs = atomic_sub_acq_rel(&obj->refs, 1);
    KDEBUG_ASSERT(refs != 0);
    if (LIKELY(refs != 1)) {
        return;
    }
    KDEBUG_ASSERT(atomic_load_relaxed(&obj->slots) == 0);
    trace_note(TRACE_DESTROY, (uint64_t)(uintptr_t)obj, obj->id);
    struct ledger *ledger = obj->ledger;
    obj->ops->destroy(obj);
    if (ledger != NULL) {
        ledger_unref(ledger);
    }
}

void kobj_slot_drop(struct kobj *obj)
{
    uint32_t slots = atomic_sub_acq_rel(&obj->slots, 1);
    KDEBUG_ASSERT(slots != 0);
    if (slots == 1 && obj->ops->no_slots != NULL) {
        obj->ops->no_slots(obj);
    }
    kobj_unref(obj);
}
