/* SPDX-License-Identifier: MIT */
/*
 * Counters of a tree of limits.
 *
 * An open ledger is two numbers a class: a charge raises `used` by compare-and-swap, never past
 * `limit`; a refund lowers it. grow raises `limit`; shrink charges what it takes away, so that it is
 * nobody else's, and then lowers both. They hold obj.lock, under which `closed` is set, and a closed
 * ledger neither grows nor shrinks.
 *
 * Closing is the hard part: unused room must go to the parent exactly once, while refunds of what
 * others still hold keep making room. Room is therefore *grabbed*: used is swapped from u to limit,
 * so the room l - u belongs to the grabber and no charge or second grab can have it; then limit and
 * used both sink by it, and the parent is refunded. Only one CPU at a time settles a class of a
 * ledger (it alone writes limit then): `settling` says that somebody is at it, and whether somebody else
 * has come since, in which case the former goes round again. A refund lowers used first and looks at
 * `closed` second; closing sets `closed` first and looks at used second; so no room is overlooked. A
 * charge that read `limit` before it sank may overshoot: limit sinks before used does, so such a
 * charge sees that it is past the limit once it has taken effect, and takes itself back.
 *
 * Rejected: packing both numbers into one word (virtual pages need 35 bits); a lock (charges happen
 * under every lock).
 */
#include "cap/ledger.h"

#include "arch/cpu.h"
#include "core/panic.h"
#include "gen/kernel/types.h"
#include "lib/base/string.h"

/* ledger.settling */
enum { SETTLE_IDLE, SETTLE_BUSY, SETTLE_AGAIN };

static struct ledger root_ledger;
static uint8_t refused[ARCH_CPU_MAX]; /* each its own CPU's */

status_t ledger_refuse(enum LedgerClass ledger_class)
{
    refused[arch_cpu_id()] = (uint8_t)ledger_class;
    return ST_QUOTA;
}

enum LedgerClass ledger_refused(void)
{
    return (enum LedgerClass)refused[arch_cpu_id()];
}

static void settle_all(struct ledger *ledger);

static void ledger_destroy(struct kobj *obj)
{
    struct ledger *ledger = ledger_of(obj);
    KASSERT(obj->ledger != NULL); /* the kernel keeps its ref of the root */
    if (atomic_swap_seq_cst(&ledger->closed, 1) == 0) {
        settle_all(ledger); /* else it is settled: L3 */
    }
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        KASSERT(atomic_load_relaxed(&ledger->used[c]) == 0);
    }
    if (ledger->minted != NULL) {
        grant_unref(ledger->minted);
    }
    slab_free(ledger);
}

static void ledger_no_slots(struct kobj *obj)
{
    ledger_close(ledger_of(obj));
}

static const struct kobj_ops ledger_ops = {
    .name = "ledger",
    .no_slots = ledger_no_slots,
    .destroy = ledger_destroy,
};

static void ledger_setup(struct ledger *ledger, struct ledger *parent,
                         const uint64_t limits[LEDGER_CLASSES], const char *name)
{
    memset(ledger, 0, sizeof(*ledger));
    kobj_init(&ledger->obj, KTYPE_LEDGER, &ledger_ops, parent);
    ledger->depth = parent != NULL ? (uint8_t)(parent->depth + 1) : 0;
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        atomic_store_relaxed(&ledger->limit[c], limits[c]);
    }
    slab_set_init(&ledger->slabs);
    (void)str_copy(ledger->name, sizeof(ledger->name), name);
}

struct ledger *ledger_create_root(const uint64_t limits[LEDGER_CLASSES])
{
    ledger_setup(&root_ledger, NULL, limits, "kernel");
    return &root_ledger;
}

status_t ledger_charge_all(struct ledger *ledger, const uint64_t amounts[LEDGER_CLASSES])
{
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        if (amounts[c] != 0 && ledger_charge(ledger, (enum LedgerClass)c, amounts[c]) != ST_OK) {
            while (c-- > 0) {
                ledger_refund(ledger, (enum LedgerClass)c, amounts[c]);
            }
            return ST_QUOTA;
        }
    }
    return ST_OK;
}

status_t ledger_carve(struct ledger *parent, const uint64_t limits[LEDGER_CLASSES],
                      const char *name, struct ledger **ledger_out)
{
    if (parent->depth == LEDGER_MAX_DEPTH) {
        return ST_BAD_STATE;
    }
    struct ledger *ledger = slab_alloc(parent, sizeof(*ledger));
    if (ledger == NULL) {
        return ST_QUOTA;
    }
    status_t status = ledger_charge_all(parent, limits);
    if (status != ST_OK) {
        slab_free(ledger);
        return status;
    }
    ledger_setup(ledger, parent, limits, name);
    *ledger_out = ledger;
    return ST_OK;
}

status_t ledger_grow(struct ledger *child, const uint64_t amounts[LEDGER_CLASSES])
{
    lock_acquire(&child->obj.lock);
    status_t status = atomic_load_relaxed(&child->closed) != 0
                          ? ST_DISCONNECTED
                          : ledger_charge_all(child->obj.ledger, amounts);
    for (unsigned c = 0; status == ST_OK && c < LEDGER_CLASSES; c++) {
        atomic_add_relaxed(&child->limit[c], amounts[c]);
    }
    lock_release(&child->obj.lock);
    return status;
}

status_t ledger_shrink(struct ledger *child, const uint64_t amounts[LEDGER_CLASSES])
{
    lock_acquire(&child->obj.lock);
    status_t status = atomic_load_relaxed(&child->closed) != 0 ? ST_DISCONNECTED
                                                               : ledger_charge_all(child, amounts);
    for (unsigned c = 0; status == ST_OK && c < LEDGER_CLASSES; c++) {
        atomic_sub_acq_rel(&child->limit[c], amounts[c]);
        atomic_sub_acq_rel(&child->used[c], amounts[c]);
    }
    lock_release(&child->obj.lock);
    if (status == ST_OK) {
        ledger_refund_all(child->obj.ledger, amounts);
    }
    return status;
}

COLD static status_t refuse_charge(struct ledger *ledger, enum LedgerClass ledger_class)
{
    atomic_add_relaxed(&ledger->refused[ledger_class], 1);
    return ledger_refuse(ledger_class);
}

status_t ledger_charge(struct ledger *ledger, enum LedgerClass ledger_class, uint64_t n)
{
    uint64_t limit = atomic_load_relaxed(&ledger->limit[ledger_class]);
    uint64_t used = atomic_load_relaxed(&ledger->used[ledger_class]);
    do {
        if (UNLIKELY(used > limit || n > limit - used)) {
            return refuse_charge(ledger, ledger_class);
        }
    } while (!atomic_cas_acq_rel(&ledger->used[ledger_class], &used, used + n));
    if (UNLIKELY(atomic_load_relaxed(&ledger->limit[ledger_class]) < used + n)) {
        ledger_refund(ledger, ledger_class, n);
        return refuse_charge(ledger, ledger_class);
    }
    return ST_OK;
}

/* Makes the room of a class the caller's. Only the settler calls this. */
static uint64_t grab_room(struct ledger *ledger, enum LedgerClass ledger_class)
{
    uint64_t limit = atomic_load_relaxed(&ledger->limit[ledger_class]);
    uint64_t used = atomic_load_seq_cst(&ledger->used[ledger_class]);
    do {
        if (used >= limit) {
            return 0;
        }
    } while (!atomic_cas_seq_cst(&ledger->used[ledger_class], &used, limit));
    uint64_t room = limit - used;
    atomic_store_relaxed(&ledger->limit[ledger_class], limit - room);
    atomic_sub_acq_rel(&ledger->used[ledger_class], room);
    return room;
}

/* What the parent gets back of a closed ledger's class now; 0 also when another CPU sees to it. */
static uint64_t settle(struct ledger *ledger, enum LedgerClass ledger_class)
{
    _Atomic uint8_t *state = &ledger->settling[ledger_class];
    uint64_t room = 0;
    uint8_t seen;
    if (atomic_swap_seq_cst(state, SETTLE_AGAIN) != SETTLE_IDLE) {
        return 0;
    }
    do {
        atomic_store_seq_cst(state, SETTLE_BUSY);
        room += grab_room(ledger, ledger_class);
        seen = SETTLE_BUSY;
    } while (!atomic_cas_seq_cst(state, &seen, SETTLE_IDLE));
    return room;
}

void ledger_refund(struct ledger *ledger, enum LedgerClass ledger_class, uint64_t n)
{
    while (ledger != NULL && n != 0) {
        uint64_t used =
            atomic_fetch_sub_explicit(&ledger->used[ledger_class], n, memory_order_seq_cst);
        KDEBUG_ASSERT(used >= n);
        if (LIKELY(atomic_load_seq_cst(&ledger->closed) == 0)) {
            return;
        }
        n = settle(ledger, ledger_class);
        ledger = ledger->obj.ledger;
    }
}

void ledger_refund_all(struct ledger *ledger, const uint64_t amounts[LEDGER_CLASSES])
{
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        if (amounts[c] != 0) {
            ledger_refund(ledger, (enum LedgerClass)c, amounts[c]);
        }
    }
}

static void settle_all(struct ledger *ledger)
{
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        uint64_t room = settle(ledger, (enum LedgerClass)c);
        ledger_refund(ledger->obj.ledger, (enum LedgerClass)c, room);
    }
}

void ledger_close(struct ledger *ledger)
{
    lock_acquire(&ledger->obj.lock);
    bool first = ledger->obj.ledger != NULL && atomic_swap_seq_cst(&ledger->closed, 1) == 0;
    lock_release(&ledger->obj.lock);
    if (first) {
        settle_all(ledger);
    }
}
