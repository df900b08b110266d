/* SPDX-License-Identifier: MIT */
/*
 * What every kernel object begins with.
 *
 * Two counts. `refs` keeps the memory: slots, records in flight, embedded users, and the creator
 * each hold one; the object is freed when it falls to zero. `slots` counts the capabilities; when it
 * falls to zero ops->no_slots runs once per fall (an endpoint counts owner slots apart). `dead` is
 * one-way: a dead object refuses every operation with ST_DISCONNECTED and is never revived.
 *
 * Invariants: K1 a slot holds exactly one ref and one slots count. K2 refs is never raised from
 * zero. K3 `dead` is set under `lock`; whoever sees it set may rely on no new waiter being queued.
 */
#ifndef CAPOS_KERNEL_CORE_KOBJ_H
#define CAPOS_KERNEL_CORE_KOBJ_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "core/lock.h"
#include "core/refs.h"
#include "lib/base/list.h"

struct grant;
struct ledger;
struct kobj;
struct record;

struct kobj_ops {
    const char *name;
    /* The last capability is gone. Takes obj->lock if it needs it. May be NULL. */
    void (*no_slots)(struct kobj *obj);
    /* A capability with this facet was installed (change 1) or has left its table (-1); no lock is
     * held. For objects that count capabilities by facet; NULL for the others. */
    void (*facet_slot)(struct kobj *obj, uint64_t facet, int change);
    /* refs is zero: give memory and charges back. Runs once. */
    void (*destroy)(struct kobj *obj);
    /* Takes `rec` (which waits on this object) out of every list of the object; obj->lock is held.
     * NULL: list_remove(&rec->link) is all there is to do. */
    void (*unlink_record)(struct kobj *obj, struct record *rec);
    /* WAIT: of the events in mask, those that have happened; takes what it reports (signal bits among
     * bits). *signal_out = bits, key or exit code. obj->lock is held. NULL: no events but DEAD. */
    uint32_t (*poll)(struct kobj *obj, uint32_t mask, uint64_t bits, uint64_t *signal_out);
    /* After polls, without the lock: lets go of what was reported. NULL: nothing to do. */
    void (*settle)(struct kobj *obj);
};

/* [I] immutable after creation  [a] atomic  [o] kobj.lock */
struct kobj {
    _Atomic uint32_t refs;      /* [a] */
    _Atomic uint32_t slots;     /* [a] */
    struct spinlock lock;       /* rank LOCK_OBJECT */
    _Atomic uint8_t dead;       /* [a] written under lock */
    uint8_t ktype;              /* [I] KTYPE_* of the main interface; 0 for served objects */
    const struct kobj_ops *ops; /* [I] */
    struct ledger *ledger; /* [I] charged for this object; holds a ref; NULL for the kernel's own */
    struct grant *mint;    /* [I] served objects: they die with it; a ref. NULL for all others */
    uint64_t id;           /* [I] unique since boot; for logs */
    uint64_t caller_id;    /* [I] what caller references are made from: id, or the endpoint's */
    struct list waiters;   /* [o] records of WAIT, and at times a mark: see ring/wait.c */
    struct kobj *scan_next; /* own CPU: in the scan queue */
    uint8_t scan;           /* [o] a round of the waiters is under way */
};

/* refs 1 (the creator's), slots 0, alive. Takes a ref on ledger (may be NULL), which kobj_unref
 * gives back after ops->destroy has returned. */
void kobj_init(struct kobj *obj, uint8_t ktype, const struct kobj_ops *ops, struct ledger *ledger);

static inline void kobj_ref(struct kobj *obj)
{
    atomic_add_relaxed(&obj->refs, 1);
}

/* Drops one ref; the last one destroys. No lock may be held whose rank destroy needs: only locks of
 * rank LOCK_SLAB and above may be taken by destroy while the caller holds none of rank OBJECT. */
void kobj_unref(struct kobj *obj);

/* What the last one does: only for kobj_unref_inline, which is for the hottest paths. */
COLD void kobj_end(struct kobj *obj);

static ALWAYS_INLINE void kobj_unref_inline(struct kobj *obj)
{
    if (ref_drop(&obj->refs)) {
        kobj_end(obj);
    }
}

/* One capability more; the slot takes over one ref that the caller holds. */
static inline void kobj_slot_add(struct kobj *obj)
{
    atomic_add_relaxed(&obj->slots, 1);
}

/* One capability less: its slots count and its ref, with ops->no_slots when it was the last. As
 * for kobj_unref, no lock may be held. */
void kobj_slot_drop(struct kobj *obj);

static inline bool kobj_is_dead(struct kobj *obj)
{
    return atomic_load_acquire(&obj->dead) != 0;
}

/* Fresh number for kobj.id, processes, grants. */
uint64_t kobj_next_id(void);

#endif
