/* SPDX-License-Identifier: MIT */
#include "core/kobj.h"

#include "arch/cpu.h"
#include "cap/ledger.h"
#include "core/panic.h"
#include "core/trace.h"

/* Each CPU gives numbers out of a block of its own, so that making objects shares no cache line. */
enum { ID_BLOCK = 1024 };

/* Touched by its own CPU alone. */
struct id_block {
    uint64_t next; /* the one to give out next */
    uint64_t end;
} ALIGNED(ARCH_CACHE_LINE_BYTES);

static struct id_block id_blocks[ARCH_CPU_MAX];
static _Atomic uint64_t blocks_end = 1; /* numbers below are in some CPU's block; 0 is nobody's */

uint64_t kobj_next_id(void)
{
    struct id_block *block = &id_blocks[arch_cpu_id()];
    if (UNLIKELY(block->next == block->end)) {
        block->next = atomic_add_relaxed(&blocks_end, ID_BLOCK);
        block->end = block->next + ID_BLOCK;
    }
    return block->next++;
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
    obj->mint = NULL;
    obj->id = kobj_next_id();
    obj->caller_id = obj->id;
    list_init(&obj->waiters);
    obj->scan = 0;
    if (ledger != NULL) {
        ledger_ref(ledger);
    }
}

/* The object's ledger may go with it, and that one's parent: at most LEDGER_MAX_DEPTH rounds. */
void kobj_end(struct kobj *obj)
{
    do {
        KDEBUG_ASSERT(atomic_load_relaxed(&obj->slots) == 0);
        trace_note(TRACE_DESTROY, (uint64_t)(uintptr_t)obj, obj->id);
        struct ledger *ledger = obj->ledger;
        obj->ops->destroy(obj);
        obj = ledger != NULL ? &ledger->obj : NULL;
    } while (obj != NULL && ref_drop(&obj->refs));
}

void kobj_unref(struct kobj *obj)
{
    kobj_unref_inline(obj);
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
