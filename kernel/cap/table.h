/* SPDX-License-Identifier: MIT */
/*
 * The capability table of one process: flat, index 9 + 9 + 6 bits over two directory levels and
 * pages of 64 slots, grown page by page, charged to the ledger.
 *
 * A CapId is index | generation << 24; generations start at 1, so no valid id is below 2^24. A slot
 * whose generation would wrap is retired for good.
 *
 * A slot whose route or object has died is *swept*: it lets go of both (object NULL, route
 * &grant_nowhere) and answers ST_DISCONNECTED until it is released.
 *
 * Slot states: FREE -> RESERVED -> LIVE -> FREE; LIVE -> MOVING (a move captured it: ids stop
 * working) -> FREE or back to LIVE; LIVE|MOVING -> ZOMBIE (gone while pinned) -> FREE; any -> RETIRED
 * in place of FREE when the generation is used up.
 * Invariants (checked by table_check in tests): T1 each LIVE, MOVING or ZOMBIE slot not swept holds
 * one ref and one slots count of its object and one ref of its route. T2 each slot neither FREE nor RETIRED
 * counts once in LEDGER_CLASS_SLOTS. T3 an id is found only while LIVE and of the same generation.
 * T4 a failed operation leaves table, ledger and grants as they were.
 * Nothing here drops a last ref of an object or grant under the table's lock.
 */
#ifndef CAPOS_KERNEL_CAP_TABLE_H
#define CAPOS_KERNEL_CAP_TABLE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "cap/grant.h"
#include "core/kobj.h"
#include "gen/status.capnp.h"
#include "lib/base/compiler.h"

enum {
    CAP_PAGE_SLOTS = 64, /* slots a page holds; also the most that can be reserved at once */
    CAP_DIRECTORY_ENTRIES = 512,
    CAP_SLOTS_MAX = 1 << CAPOS_CAP_INDEX_BITS,
};

enum cap_slot_state { CAP_FREE, CAP_RESERVED, CAP_LIVE, CAP_MOVING, CAP_ZOMBIE, CAP_RETIRED };

/* What a capability is, apart from where it sits. `object` and `route` are borrowed or owned as the
 * context says. */
struct capability {
    struct kobj *object;
    struct grant *route;
    uint64_t facet;     /* methods allowed */
    uint64_t interface; /* base interface id */
    uint8_t ktype;      /* KTYPE_*; 0: a served object */
    uint8_t mode;       /* enum TransferMode */
    uint8_t scope;      /* enum SessionScope */
};

/* It is dead, or the grant by which it was minted is. */
static inline bool object_has_ended(struct kobj *object)
{
    return kobj_is_dead(object) || (object->mint != NULL && !grant_is_live(object->mint));
}

/* All fields: the table's lock. */
struct cap_slot {
    struct kobj *object;
    struct grant *route;
    uint64_t facet;
    uint64_t interface;  /* FREE: index + 1 of the next free slot, 0 at the end */
    uint64_t generation; /* 40 bits, never 0 */
    uint64_t caller[2];  /* reference that a server sees of this holder; fixed at install */
    uint8_t ktype;
    uint8_t mode;
    uint8_t scope;
    uint8_t state;    /* enum cap_slot_state */
    uint16_t pins;    /* captured transfers that copy it */
    uint8_t last_hop; /* enum cap_hop */
    uint8_t reserved;
};
static_assert(sizeof(struct cap_slot) == 64, "a slot is a cache line");

enum cap_hop { CAP_HOP_KERNEL, CAP_HOP_SPAWN, CAP_HOP_RESULT, CAP_HOP_RECEIVED, CAP_HOP_DERIVED };

struct cap_table {
    struct spinlock lock;  /* rank LOCK_CAP_TABLE */
    struct ledger *ledger; /* [I] not a ref */
    struct cap_slot **
        *root; /* directory of directories of pages; in a small table they are in here: */
    struct cap_slot **first_directory; /* root's only entry up to CAP_DIRECTORY_ENTRIES pages */
    struct cap_slot *first_page;       /* that one's only entry up to one page */
    uint32_t first_free;               /* index + 1 of the head of the free list; 0 = none */
    uint32_t capacity;                 /* slots in pages that exist */
    uint32_t used;                     /* slots not FREE and not RETIRED */
    uint32_t free_count;               /* slots FREE */
    uint32_t promised;       /* of those: charged for results and receives that are to come */
    uint64_t session_key[2]; /* [I] mixed into caller references */
    uint64_t holder;         /* [I] one bit: see struct grant */
};

/* Empty. */
void table_init(struct cap_table *table, struct ledger *ledger, const uint64_t session_key[2]);

/* ---- look-up in line: the call path ---- */

enum { CAP_SLOT_BITS = 6, CAP_DIRECTORY_BITS = 9 };

/* The index lies below the capacity. */
static ALWAYS_INLINE struct cap_slot *table_slot_at(const struct cap_table *table, uint32_t index)
{
    struct cap_slot **directory = table->root[index >> (CAP_DIRECTORY_BITS + CAP_SLOT_BITS)];
    struct cap_slot *page = directory[(index >> CAP_SLOT_BITS) % CAP_DIRECTORY_ENTRIES];
    return &page[index % CAP_PAGE_SLOTS];
}

/* The slot that the id names, in whatever state; NULL when its generation is another. Locked. */
static ALWAYS_INLINE struct cap_slot *table_slot_of(const struct cap_table *table, capos_cap_t id)
{
    uint32_t index = (uint32_t)(id & ((UINT64_C(1) << CAPOS_CAP_INDEX_BITS) - 1));
    if (UNLIKELY(index >= table->capacity)) {
        return NULL;
    }
    struct cap_slot *slot = table_slot_at(table, index);
    return LIKELY(slot->generation == id >> CAPOS_CAP_INDEX_BITS) ? slot : NULL;
}

/* The slot, LIVE with route and object alive; else NULL. Locked. */
static ALWAYS_INLINE struct cap_slot *table_usable_slot(const struct cap_table *table,
                                                        capos_cap_t id)
{
    struct cap_slot *slot = table_slot_of(table, id);
    return LIKELY(slot != NULL && slot->state == CAP_LIVE && grant_is_live(slot->route) &&
                  !kobj_is_dead(slot->object))
               ? slot
               : NULL;
}

/* Locks the table and finds the slot, LIVE with route and object alive; then table_close. NULL: the
 * lock is not held, *status_out is ST_BAD_CAP or ST_DISCONNECTED. What the slot holds stays as long as
 * the lock does. */
static ALWAYS_INLINE struct cap_slot *table_open(struct cap_table *table, capos_cap_t id,
                                                 status_t *status_out)
{
    lock_acquire(&table->lock);
    struct cap_slot *slot = table_slot_of(table, id);
    if (UNLIKELY(slot == NULL || slot->state != CAP_LIVE)) {
        *status_out = ST_BAD_CAP;
    } else if (UNLIKELY(!grant_is_live(slot->route) || kobj_is_dead(slot->object))) {
        *status_out = ST_DISCONNECTED;
    } else {
        return slot;
    }
    lock_release(&table->lock);
    return NULL;
}

static ALWAYS_INLINE void table_close(struct cap_table *table)
{
    lock_release(&table->lock);
}

/* With one ref each for the caller. */
static ALWAYS_INLINE void table_copy_out(const struct cap_slot *slot, struct capability *out)
{
    kobj_ref(slot->object);
    grant_ref(slot->route);
    *out = (struct capability){
        .object = slot->object,
        .route = slot->route,
        .facet = slot->facet,
        .interface = slot->interface,
        .ktype = slot->ktype,
        .mode = slot->mode,
        .scope = slot->scope,
    };
}

/* Looks at up to `max` slots and drops what they hold; true when the table is empty and its pages
 * are given back. For process exit: no other operation is under way, then or later. */
bool table_destroy_slice(struct cap_table *table, uint32_t max);

/* Sweeps slots from index *at on, as far as *budget lasts (one for each slot looked at, SWEEP_DROP for
 * each swept); true when the table's end was reached. */
enum { SWEEP_DROP = 8 };
bool table_sweep(struct cap_table *table, uint32_t *at, int32_t *budget);

/* Look-up by id. On ST_OK *out is filled and out->object and out->route are owned by the caller (one
 * ref each): drop with capability_put. ST_BAD_CAP, ST_DISCONNECTED (route or object dead). */
status_t table_get(struct cap_table *table, capos_cap_t id, struct capability *out,
                   uint64_t caller_out[2]);
/* Nothing to drop when the object is NULL. */
void capability_put(struct capability *cap);
/* One holder more or less of what it names, as a slot is one: refs of object and route and all counts. */
void capability_keep(const struct capability *cap);
void capability_unkeep(const struct capability *cap);
/* The reference that a server sees of the holder of this table. */
void table_caller(const struct cap_table *table, const struct capability *cap, uint64_t out[2]);

/* Reserves n slots (n <= CAP_PAGE_SLOTS): ids_out gets ids that will be valid once installed. All or
 * nothing: ST_QUOTA. */
status_t table_reserve(struct cap_table *table, uint32_t n, capos_cap_t *ids_out);
void table_unreserve(struct cap_table *table, uint32_t n, const capos_cap_t *ids);

/* Room for n capabilities that may come (n <= CAP_PAGE_SLOTS): charged now, no id chosen. ST_QUOTA.
 * redeem makes n of what was promised reserved ids, unredeem takes that back, unpromise gives the
 * room up; none of these fails. */
status_t table_promise(struct cap_table *table, uint32_t n);
void table_redeem(struct cap_table *table, uint32_t n, capos_cap_t *ids_out);
void table_unredeem(struct cap_table *table, uint32_t n, const capos_cap_t *ids);
void table_unpromise(struct cap_table *table, uint32_t n);

/* Fills a reserved slot; when the route has died meanwhile the slot is born swept. Takes over one ref
 * of cap->object and cap->route. Cannot fail. */
void table_install(struct cap_table *table, capos_cap_t id, const struct capability *cap,
                   enum cap_hop hop);

/* Reserve and install in one; ST_QUOTA leaves the refs with the caller. */
status_t table_insert(struct cap_table *table, const struct capability *cap, enum cap_hop hop,
                      capos_cap_t *id_out);

/* The slot dies at once. ST_BAD_CAP. A pinned slot becomes a zombie until unpinned. */
status_t table_release(struct cap_table *table, capos_cap_t id);

/* Transfers, sender's side. capture: checks id and mode; pins (copy) or marks MOVING (move).
 * ST_BAD_CAP, ST_NOT_TRANSFERABLE, ST_DISCONNECTED, ST_BUSY (pinned 65,535 times). A move needs
 * mode copy or move, a copy mode copy. Whether the scope lets it through is asked where the receiver
 * is known: session_may_pass. */
status_t table_capture(struct cap_table *table, capos_cap_t id, bool move);
/* For several: the caller holds the table's lock. */
status_t table_capture_locked(struct cap_table *table, capos_cap_t id, bool move);
/* What a captured slot holds, with one ref each for the receiver; ST_DISCONNECTED when its route or
 * object died meanwhile. */
status_t table_captured_get(struct cap_table *table, capos_cap_t id, struct capability *out);
/* Ends a capture: commit of a move frees the slot; abort of a move makes it LIVE again; a copy is
 * unpinned either way. */
void table_capture_end(struct cap_table *table, capos_cap_t id, bool move, bool commit);

/* For CapabilityManager.list: fills *out for the first LIVE slot at index >= start, its route or
 * object dead or not (swept: object NULL); refs as table_get. Returns its index, or UINT32_MAX when there is none in the next 64 slots and
 * *resume_out = where to go on (UINT32_MAX at the end). */
uint32_t table_next(struct cap_table *table, uint32_t start, struct capability *out,
                    capos_cap_t *id_out, enum cap_hop *hop_out, uint32_t *resume_out);

/* For tests: true when T1 to T3 hold as far as the table alone can tell; else *why_out says which
 * does not. Takes the lock. Slow. */
bool table_check(struct cap_table *table, const char **why_out);

#endif
