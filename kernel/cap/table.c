/* SPDX-License-Identifier: MIT */
/*
 * The capability table.
 *
 * Pages are added in order of index and never taken away before the table is destroyed, so
 * index < capacity is all that must be checked before a slot is touched. Free slots form a list,
 * last freed first; a page of 64 joins it when fewer are free than somebody reserves.
 *
 * What leaves a slot leaves it in two steps: under the lock the slot becomes FREE and what it held
 * is copied out (struct dropped); after the lock is gone the refs are dropped, for the last ref of
 * an object or grant takes locks of lower rank.
 *
 * Everything is under the table's own lock. Rejected: a look-up without lock (its refs would need a
 * grace period on every release, and the lock is never contended by design: a table serves the
 * threads of one process).
 */
#include "cap/table.h"

#include "abi/ring.h"
#include "cap/ledger.h"
#include "cap/siphash.h"
#include "core/panic.h"
#include "gen/annotations.capnp.h"

#include "mem/slab.h"

enum {
    SLOT_BITS = CAP_SLOT_BITS,
    DIRECTORY_BITS = CAP_DIRECTORY_BITS,
    DIRECTORY_SLOTS = CAP_PAGE_SLOTS * CAP_DIRECTORY_ENTRIES,
    PINS_MAX = UINT16_MAX,
    NEXT_SLOTS = 64, /* looked at by one table_next */
    SWEEP_BATCH = 16,
};

#define INDEX_MASK ((UINT64_C(1) << CAPOS_CAP_INDEX_BITS) - 1)
#define GENERATION_MAX ((UINT64_C(1) << CAPOS_CAP_GENERATION_BITS) - 1)

static_assert(CAP_PAGE_SLOTS == 1 << SLOT_BITS, "page");
static_assert(CAP_DIRECTORY_ENTRIES == 1 << DIRECTORY_BITS, "directory");
static_assert(SLOT_BITS + 2 * DIRECTORY_BITS == CAPOS_CAP_INDEX_BITS, "index");
static_assert(CAP_PAGE_SLOTS * sizeof(struct cap_slot) == 4096, "slots fill a page");
static_assert(CAP_DIRECTORY_ENTRIES * sizeof(void *) == 4096, "directory fills a page");
static_assert((int)CAPOS_MAX_TRANSFERS <= (int)CAP_PAGE_SLOTS, "one new page is always enough");

/* What a slot held: one slots count with its ref, one ref of the route. Object NULL: it was swept. */
struct dropped {
    struct kobj *object;
    struct grant *route;
    uint64_t facet;
};

static void drop(const struct dropped *held)
{
    if (held->object == NULL) {
        return;
    }
    if (held->object->ops->facet_slot != NULL) {
        held->object->ops->facet_slot(held->object, held->facet, -1);
    }
    kobj_slot_drop(held->object);
    grant_unref(held->route);
}

/* The same for what many slots held; a run of copies is counted off at once, but for the last. */
static void drop_all(const struct dropped *held, uint32_t count)
{
    for (uint32_t i = 0, run = 0; i < count; i++) {
        const struct dropped *next = &held[i + 1];
        if (i + 1 < count && next->object == held[i].object && next->route == held[i].route &&
            held[i].object->ops->facet_slot == NULL) {
            run++;
            continue;
        }
        if (run != 0) {
            atomic_sub_relaxed(&held[i].object->slots, run);
            atomic_sub_relaxed(&held[i].object->refs, run);
            atomic_sub_relaxed(&held[i].route->refs, run);
            run = 0;
        }
        drop(&held[i]);
    }
}

static ALWAYS_INLINE struct cap_slot *live_slot(const struct cap_table *table, capos_cap_t id)
{
    struct cap_slot *slot = table_slot_of(table, id);
    return LIKELY(slot != NULL && slot->state == CAP_LIVE) ? slot : NULL;
}

static ALWAYS_INLINE bool slot_is_usable(const struct cap_slot *slot)
{
    return LIKELY(grant_is_live(slot->route) && !object_has_ended(slot->object));
}

static capos_cap_t id_of(const struct cap_slot *slot, uint32_t index)
{
    return slot->generation << CAPOS_CAP_INDEX_BITS | index;
}

static ALWAYS_INLINE void look(const struct cap_slot *slot, struct capability *out)
{
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

static void push_free(struct cap_table *table, struct cap_slot *slot, uint32_t index)
{
    slot->state = CAP_FREE;
    slot->interface = table->first_free;
    table->first_free = index + 1;
    table->free_count++;
}

/* A slot that is not pinned becomes FREE (or RETIRED); its content is the caller's to drop. */
static void vacate(struct cap_table *table, struct cap_slot *slot, uint32_t index,
                   struct dropped *held)
{
    *held = (struct dropped){slot->object, slot->route, slot->facet};
    slot->object = NULL;
    slot->route = NULL;
    table->used--;
    if (slot->generation == GENERATION_MAX) {
        slot->state = CAP_RETIRED;
        return;
    }
    slot->generation++;
    push_free(table, slot, index);
}

/* ---- making and destroying ---- */

void table_init(struct cap_table *table, struct ledger *ledger, const uint64_t session_key[2])
{
    lock_init(&table->lock, LOCK_CAP_TABLE);
    table->ledger = ledger;
    table->root = &table->first_directory;
    table->first_directory = &table->first_page;
    table->first_page = NULL;
    table->first_free = 0;
    table->capacity = 0;
    table->used = 0;
    table->free_count = 0;
    table->holder = 0;
    table->promised = 0;
    table->session_key[0] = session_key[0];
    table->session_key[1] = session_key[1];
}

/* Where the page after `base` slots is to be entered; NULL: quota, nothing changed. */
static struct cap_slot **place_of_page(struct cap_table *table, uint32_t base)
{
    uint32_t index = base / DIRECTORY_SLOTS;
    bool new_root = index != 0 && table->root == &table->first_directory;
    bool new_directory = base == CAP_PAGE_SLOTS || (base % DIRECTORY_SLOTS == 0 && base != 0);
    struct cap_slot **directory = new_directory ? kpage_alloc(table->ledger) : NULL;
    struct cap_slot ***root = new_root && directory != NULL ? kpage_alloc(table->ledger) : NULL;
    if ((new_directory && directory == NULL) || (new_root && root == NULL)) {
        if (directory != NULL) {
            kpage_free(table->ledger, directory);
        }
        return NULL;
    }
    if (new_root) {
        root[0] = table->first_directory;
        table->root = root;
    }
    if (new_directory) {
        directory[0] = index == 0 ? table->first_page : NULL;
        table->root[index] = directory;
    }
    return &table->root[index][(base >> SLOT_BITS) % CAP_DIRECTORY_ENTRIES];
}

/* One page of slots more. ST_QUOTA changes nothing. */
COLD static status_t grow(struct cap_table *table)
{
    uint32_t base = table->capacity;
    if (base == CAP_SLOTS_MAX) {
        return ledger_refuse(LEDGER_CLASS_SLOTS);
    }
    struct cap_slot *page = kpage_alloc(table->ledger);
    struct cap_slot **place = page != NULL ? place_of_page(table, base) : NULL;
    if (place == NULL) {
        if (page != NULL) {
            kpage_free(table->ledger, page);
        }
        return ST_QUOTA;
    }
    *place = page;
    table->capacity += CAP_PAGE_SLOTS;
    for (uint32_t i = CAP_PAGE_SLOTS; i-- > 0;) {
        page[i].generation = 1;
        push_free(table, &page[i], base + i);
    }
    return ST_OK;
}

/* Lets the free slots at the end go, but for the first of the page. */
static void skip_free(struct cap_table *table)
{
    uint32_t index = table->capacity - 1;
    const struct cap_slot *slot = table_slot_at(table, index);
    if (table->used == 0) {
        index &= ~(uint32_t)(CAP_PAGE_SLOTS - 1);
    }
    for (; index % CAP_PAGE_SLOTS != 0 && slot->state == CAP_FREE; index--) {
        slot--;
    }
    table->capacity = index + 1;
}

/* The last slot goes; what it held is the caller's to drop. */
static void shrink(struct cap_table *table, struct dropped *held)
{
    uint32_t index = --table->capacity;
    struct cap_slot *slot = table_slot_at(table, index);
    *held = (struct dropped){slot->object, slot->route, slot->facet};
    if (slot->state != CAP_FREE && slot->state != CAP_RETIRED) {
        table->used--;
        ledger_refund(table->ledger, LEDGER_CLASS_SLOTS, 1);
    }
    if (index % CAP_PAGE_SLOTS == 0) {
        kpage_free(table->ledger, slot);
    }
    struct cap_slot **directory = table->root[index / DIRECTORY_SLOTS];
    if (index % DIRECTORY_SLOTS == 0 && directory != &table->first_page) {
        kpage_free(table->ledger, directory);
    }
}

COLD bool table_destroy_slice(struct cap_table *table, uint32_t max)
{
    table->first_free = 0;
    table->free_count = 0;
    while (max != 0 && table->capacity != 0) {
        struct dropped held = {0};
        lock_acquire(&table->lock); /* a revocation may be sweeping it */
        for (; max != 0 && table->capacity != 0 && held.object == NULL; max--) {
            skip_free(table);
            shrink(table, &held);
        }
        lock_release(&table->lock);
        drop(&held);
    }
    if (table->capacity != 0) {
        return false;
    }
    if (table->root != NULL && table->root != &table->first_directory) {
        kpage_free(table->ledger, table->root);
    }
    table->root = NULL;
    return true;
}

/* ---- look-up ---- */

status_t table_get(struct cap_table *table, capos_cap_t id, struct capability *out,
                   uint64_t caller_out[2])
{
    status_t status;
    const struct cap_slot *slot = table_open(table, id, &status);
    if (UNLIKELY(slot == NULL)) {
        return status;
    }
    table_copy_out(slot, out);
    if (caller_out != NULL) {
        caller_out[0] = slot->caller[0];
        caller_out[1] = slot->caller[1];
    }
    table_close(table);
    return ST_OK;
}

void capability_put(struct capability *cap)
{
    if (cap->object == NULL) {
        return;
    }
    kobj_unref(cap->object);
    grant_unref(cap->route);
    cap->object = NULL;
    cap->route = NULL;
}

/* Lock held. */
static void sweep_slot(struct cap_slot *slot, struct dropped *held)
{
    *held = (struct dropped){slot->object, slot->route, slot->facet};
    slot->object = NULL;
    slot->route = &grant_nowhere;
}

/* Lock held. Slots of one page from *at up to `end`, until the batch is full or *left in use were seen;
 * returns how many were swept. */
static uint32_t sweep_page(struct cap_table *table, uint32_t *at, uint32_t end, uint32_t *left,
                           struct dropped held[SWEEP_BATCH])
{
    struct cap_slot *slot = table_slot_at(table, *at);
    uint32_t count = 0;
    uint32_t index = *at;
    uint32_t in_use = *left;
    for (; index < end && in_use != 0 && count < SWEEP_BATCH; index++, slot++) {
        if (slot->object == NULL) {
            in_use -= slot->state != CAP_FREE && slot->state != CAP_RETIRED;
            continue;
        }
        in_use--;
        if (!slot_is_usable(slot)) {
            sweep_slot(slot, &held[count++]);
        }
    }
    *at = index;
    *left = in_use;
    return count;
}

/* A look from the first slot on ends with the last in use, unless the lock was let go meanwhile. */
bool table_sweep(struct cap_table *table, uint32_t *at, int32_t *budget)
{
    struct dropped held[SWEEP_BATCH];
    while (*budget > 0) {
        uint32_t count = 0;
        lock_acquire(&table->lock);
        uint32_t left = *at == 0 ? table->used : UINT32_MAX;
        while (count == 0 && *at < table->capacity && left != 0 && *budget > 0) {
            uint32_t start = *at;
            uint32_t end = (start | (CAP_PAGE_SLOTS - 1)) + 1;
            /* An exiting process's table shrinks meanwhile, in the middle of a page too: what lies behind its
             * capacity has been dropped already. */
            end = end < table->capacity ? end : table->capacity;
            count = sweep_page(table, at, end, &left, held);
            *budget -= (int32_t)(*at - start);
        }
        bool ended = left == 0 || *at >= table->capacity;
        lock_release(&table->lock);
        drop_all(held, count);
        *budget -= (int32_t)count * SWEEP_DROP;
        if (ended) {
            return true;
        }
    }
    return false;
}

COLD uint32_t table_next(struct cap_table *table, uint32_t start, struct capability *out,
                         capos_cap_t *id_out, enum cap_hop *hop_out, uint32_t *resume_out)
{
    uint32_t found = UINT32_MAX;
    lock_acquire(&table->lock);
    uint32_t end = start < table->capacity && table->capacity - start > NEXT_SLOTS
                       ? start + NEXT_SLOTS
                       : table->capacity;
    uint32_t index = start;
    for (; index < end && found == UINT32_MAX; index++) {
        const struct cap_slot *slot = table_slot_at(table, index);
        if (slot->state == CAP_LIVE) {
            if (slot->object != NULL) {
                table_copy_out(slot, out);
            } else {
                look(slot, out);
            }
            *id_out = id_of(slot, index);
            *hop_out = (enum cap_hop)slot->last_hop;
            found = index;
        }
    }
    *resume_out = index < table->capacity ? index : UINT32_MAX;
    lock_release(&table->lock);
    return found;
}

/* ---- filling and emptying slots ---- */

/* Lock held, enough are free. */
static void take_free(struct cap_table *table, uint32_t n, capos_cap_t *ids_out)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = table->first_free - 1;
        struct cap_slot *slot = table_slot_at(table, index);
        table->first_free = (uint32_t)slot->interface;
        slot->state = CAP_RESERVED;
        slot->pins = 0;
        ids_out[i] = id_of(slot, index);
    }
    table->free_count -= n;
    table->used += n;
}

/* Lock held. ST_QUOTA changes nothing. */
static status_t make_room(struct cap_table *table, uint32_t n)
{
    return LIKELY(table->free_count - table->promised >= n) ? ST_OK : grow(table);
}

status_t table_reserve(struct cap_table *table, uint32_t n, capos_cap_t *ids_out)
{
    KDEBUG_ASSERT(n <= CAP_PAGE_SLOTS);
    if (n == 0) {
        return ST_OK;
    }
    status_t status = ledger_charge(table->ledger, LEDGER_CLASS_SLOTS, n);
    if (status != ST_OK) {
        return status;
    }
    lock_acquire(&table->lock);
    status = make_room(table, n);
    if (LIKELY(status == ST_OK)) {
        take_free(table, n, ids_out);
    }
    lock_release(&table->lock);
    if (UNLIKELY(status != ST_OK)) {
        ledger_refund(table->ledger, LEDGER_CLASS_SLOTS, n);
    }
    return status;
}

status_t table_promise(struct cap_table *table, uint32_t n)
{
    KDEBUG_ASSERT(n <= CAP_PAGE_SLOTS);
    status_t status = ledger_charge(table->ledger, LEDGER_CLASS_SLOTS, n);
    if (status != ST_OK) {
        return status;
    }
    lock_acquire(&table->lock);
    status = make_room(table, n);
    if (LIKELY(status == ST_OK)) {
        table->promised += n;
    }
    lock_release(&table->lock);
    if (UNLIKELY(status != ST_OK)) {
        ledger_refund(table->ledger, LEDGER_CLASS_SLOTS, n);
    }
    return status;
}

void table_redeem(struct cap_table *table, uint32_t n, capos_cap_t *ids_out)
{
    lock_acquire(&table->lock);
    KASSERT(n <= table->promised);
    table->promised -= n;
    take_free(table, n, ids_out);
    lock_release(&table->lock);
}

void table_unpromise(struct cap_table *table, uint32_t n)
{
    lock_acquire(&table->lock);
    KASSERT(n <= table->promised);
    table->promised -= n;
    lock_release(&table->lock);
    ledger_refund(table->ledger, LEDGER_CLASS_SLOTS, n);
}

/* Reserved slots become free ones; lock held. Nobody has seen the ids, so the generation stays. */
static void put_back(struct cap_table *table, uint32_t n, const capos_cap_t *ids)
{
    for (uint32_t i = n; i-- > 0;) {
        struct cap_slot *slot = table_slot_of(table, ids[i]);
        KASSERT(slot != NULL && slot->state == CAP_RESERVED);
        push_free(table, slot, (uint32_t)(ids[i] & INDEX_MASK));
    }
    table->used -= n;
}

void table_unredeem(struct cap_table *table, uint32_t n, const capos_cap_t *ids)
{
    lock_acquire(&table->lock);
    put_back(table, n, ids);
    table->promised += n;
    lock_release(&table->lock);
}

void table_unreserve(struct cap_table *table, uint32_t n, const capos_cap_t *ids)
{
    if (n == 0) {
        return;
    }
    lock_acquire(&table->lock);
    put_back(table, n, ids);
    lock_release(&table->lock);
    ledger_refund(table->ledger, LEDGER_CLASS_SLOTS, n);
}

static void count_holder(const struct capability *cap)
{
    if (cap->object->ops->facet_slot != NULL) {
        cap->object->ops->facet_slot(cap->object, cap->facet, 1);
    }
    kobj_slot_add(cap->object);
}

void capability_keep(const struct capability *cap)
{
    kobj_ref(cap->object);
    grant_ref(cap->route);
    count_holder(cap);
}

void capability_unkeep(const struct capability *cap)
{
    struct dropped held = {.object = cap->object, .route = cap->route, .facet = cap->facet};
    drop(&held);
}

void table_caller(const struct cap_table *table, const struct capability *cap, uint64_t out[2])
{
    out[0] = out[1] = 0;
    if (cap->ktype == 0) {
        siphash128(table->session_key, cap->object->caller_id, out);
    }
}

void table_install(struct cap_table *table, capos_cap_t id, const struct capability *cap,
                   enum cap_hop hop)
{
    uint64_t caller[2];
    struct dropped held = {.object = NULL};
    struct grant *mint = cap->object->mint;
    grant_note_holder(cap->route, table->holder);
    if (mint != NULL) {
        grant_note_holder(mint, table->holder);
    }
    table_caller(table, cap, caller);
    count_holder(cap);
    lock_acquire(&table->lock);
    struct cap_slot *slot = table_slot_of(table, id);
    KASSERT(slot != NULL && slot->state == CAP_RESERVED);
    slot->object = cap->object;
    slot->route = cap->route;
    slot->facet = cap->facet;
    slot->interface = cap->interface;
    slot->caller[0] = caller[0];
    slot->caller[1] = caller[1];
    slot->ktype = cap->ktype;
    slot->mode = cap->mode;
    slot->scope = cap->scope;
    slot->last_hop = (uint8_t)hop;
    slot->state = CAP_LIVE;
    if (UNLIKELY(atomic_load_seq_cst(&cap->route->live) == 0 ||
                 (mint != NULL && atomic_load_seq_cst(&mint->live) == 0))) {
        sweep_slot(slot, &held);
    }
    lock_release(&table->lock);
    drop(&held);
}

status_t table_insert(struct cap_table *table, const struct capability *cap, enum cap_hop hop,
                      capos_cap_t *id_out)
{
    status_t status = table_reserve(table, 1, id_out);
    if (status == ST_OK) {
        table_install(table, *id_out, cap, hop);
    }
    return status;
}

/* Frees the slot now or, when it is pinned, as soon as it is not. True: *held is to be dropped and
 * the slot's charge refunded, after the lock. */
static bool end_slot(struct cap_table *table, struct cap_slot *slot, capos_cap_t id,
                     struct dropped *held)
{
    if (slot->pins != 0) {
        slot->state = CAP_ZOMBIE;
        return false;
    }
    vacate(table, slot, (uint32_t)(id & INDEX_MASK), held);
    return true;
}

static void after_end(struct cap_table *table, const struct dropped *held)
{
    ledger_refund(table->ledger, LEDGER_CLASS_SLOTS, 1);
    drop(held);
}

status_t table_release(struct cap_table *table, capos_cap_t id)
{
    struct dropped held;
    lock_acquire(&table->lock);
    struct cap_slot *slot = live_slot(table, id);
    bool ended = slot != NULL && end_slot(table, slot, id, &held);
    lock_release(&table->lock);
    if (ended) {
        after_end(table, &held);
    }
    return slot != NULL ? ST_OK : ST_BAD_CAP;
}

/* ---- transfers, sender's side ---- */

/* Lock held. */
static status_t check_capture(const struct cap_slot *slot, bool move)
{
    if (slot == NULL) {
        return ST_BAD_CAP;
    }
    if (!slot_is_usable(slot)) {
        return ST_DISCONNECTED;
    }
    if (slot->mode == TRANSFER_MODE_NONE || (slot->mode == TRANSFER_MODE_MOVE && !move)) {
        return ST_NOT_TRANSFERABLE;
    }
    return !move && slot->pins == PINS_MAX ? ST_BUSY : ST_OK;
}

status_t table_capture_locked(struct cap_table *table, capos_cap_t id, bool move)
{
    struct cap_slot *slot = live_slot(table, id);
    status_t status = check_capture(slot, move);
    if (status == ST_OK) {
        if (move) {
            slot->state = CAP_MOVING;
        } else {
            slot->pins++;
        }
    }
    return status;
}

status_t table_capture(struct cap_table *table, capos_cap_t id, bool move)
{
    lock_acquire(&table->lock);
    status_t status = table_capture_locked(table, id, move);
    lock_release(&table->lock);
    return status;
}

status_t table_captured_get(struct cap_table *table, capos_cap_t id, struct capability *out)
{
    lock_acquire(&table->lock);
    const struct cap_slot *slot = table_slot_of(table, id);
    KASSERT(slot != NULL && slot->route != NULL);
    status_t status = slot_is_usable(slot) ? ST_OK : ST_DISCONNECTED;
    if (status == ST_OK) {
        table_copy_out(slot, out);
    }
    lock_release(&table->lock);
    return status;
}

/* Lock held. What end_slot says. */
static bool end_capture(struct cap_table *table, struct cap_slot *slot, capos_cap_t id, bool move,
                        bool commit, struct dropped *held)
{
    if (move) {
        KASSERT(slot->state == CAP_MOVING);
        slot->state = CAP_LIVE;
        return commit && end_slot(table, slot, id, held);
    }
    KASSERT(slot->pins != 0);
    slot->pins--;
    return slot->state == CAP_ZOMBIE && end_slot(table, slot, id, held);
}

void table_capture_end(struct cap_table *table, capos_cap_t id, bool move, bool commit)
{
    struct dropped held;
    lock_acquire(&table->lock);
    struct cap_slot *slot = table_slot_of(table, id);
    KASSERT(slot != NULL);
    bool ended = end_capture(table, slot, id, move, commit, &held);
    lock_release(&table->lock);
    if (ended) {
        after_end(table, &held);
    }
}

/* ---- checking, for tests ---- */

static const char *check_slot(const struct cap_slot *slot)
{
    bool full = slot->state == CAP_LIVE || slot->state == CAP_MOVING || slot->state == CAP_ZOMBIE;
    if (slot->generation == 0 || slot->generation > GENERATION_MAX) {
        return "a generation is out of range";
    }
    if (slot->state > CAP_RETIRED) {
        return "a slot has an unknown state";
    }
    bool swept = slot->route == &grant_nowhere;
    if (full != (slot->route != NULL) || (full && !swept) != (slot->object != NULL)) {
        return "T1: a slot holds what its state does not say";
    }
    if (full && !swept &&
        (atomic_load_relaxed(&slot->object->refs) == 0 ||
         atomic_load_relaxed(&slot->object->slots) == 0 ||
         atomic_load_relaxed(&slot->route->refs) == 0)) {
        return "T1: a slot's object or route is not counted";
    }
    if ((slot->state == CAP_ZOMBIE) && slot->pins == 0) {
        return "a zombie is not pinned";
    }
    return NULL;
}

static const char *check_free_list(const struct cap_table *table)
{
    uint32_t count = 0;
    for (uint32_t next = table->first_free; next != 0; count++) {
        if (next > table->capacity || count == table->free_count) {
            return "the free list is broken";
        }
        const struct cap_slot *slot = table_slot_at(table, next - 1);
        if (slot->state != CAP_FREE) {
            return "the free list holds a slot that is not free";
        }
        next = (uint32_t)slot->interface;
    }
    return count == table->free_count ? NULL : "the free list is too short";
}

static const char *check_locked(const struct cap_table *table)
{
    uint32_t used = 0;
    uint32_t free_slots = 0;
    for (uint32_t i = 0; i < table->capacity; i++) {
        const struct cap_slot *slot = table_slot_at(table, i);
        const char *why = check_slot(slot);
        if (why != NULL) {
            return why;
        }
        used += slot->state != CAP_FREE && slot->state != CAP_RETIRED;
        free_slots += slot->state == CAP_FREE;
    }
    if (used != table->used || free_slots != table->free_count ||
        table->promised > table->free_count) {
        return "the counts are wrong";
    }
    if (atomic_load_relaxed(&table->ledger->used[LEDGER_CLASS_SLOTS]) < used + table->promised) {
        return "T2: a slot is not charged";
    }
    return check_free_list(table);
}

bool table_check(struct cap_table *table, const char **why_out)
{
    lock_acquire(&table->lock);
    const char *why = check_locked(table);
    lock_release(&table->lock);
    if (why_out != NULL) {
        *why_out = why;
    }
    return why == NULL;
}
