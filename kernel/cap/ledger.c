/* SPDX-License-Identifier: MIT */
/*
 * Counters of a tree of limits, without locks.
 *
 * An open ledger is two numbers a class: a charge raises `used` by compare-and-swap, never past
 * `limit`; a refund lowers it. Nobody writes `limit`.
 *
 * Closing is the hard part: unused room must go to the parent exactly once, while refunds of what
 * others still hold keep making room. Room is therefore *grabbed*: used is swapped from u to limit,
 * so the room l - u belongs to the grabber and no charge or second grab can have it; then limit and
 * used both sink by it, and the parent is refunded. Only one CPU at a time settles a class of a
 * ledger (it alone writes limit): `settling` says that somebody is at it, and whether somebody else
 * has come since, in which case the former goes round again. A refund lowers used first and looks at
 * `closed` second; closing sets `closed` first and looks at used second; so no room is overlooked. A
 * charge that read `limit` before it sank may overshoot: limit sinks before used does, so such a
 * charge sees another limit once it has taken effect, and takes itself back.
 *
 * Rejected: packing both numbers into one word (virtual pages need 35 bits); a lock (charges happen
 * under every lock).
 */
#include "cap/ledger.h"

#include "arch/cpu.h"
#include "core/panic.h"
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

static void ledger_setup(struct ledger *ledger, struct ledger *parent,
                         const uint64_t limits[LEDGER_CLASSES])
{
    atomic_store_relaxed(&ledger->refs, 1);
    atomic_store_relaxed(&ledger->closed, 0);
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        atomic_store_relaxed(&ledger->settling[c], 0);
        atomic_store_relaxed(&ledger->used[c], 0);
        atomic_store_relaxed(&ledger->limit[c], limits[c]);
    }
    ledger->parent = parent;
    slab_set_init(&ledger->slabs);
}

struct ledger *ledger_create_root(const uint64_t limits[LEDGER_CLASSES])
{
    ledger_setup(&root_ledger, NULL, limits);
    return &root_ledger;
}

status_t ledger_charge_all(struct ledger *ledger, const uint64_t amounts[LEDGER_CLASSES])
{
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        if (ledger_charge(ledger, (enum LedgerClass)c, amounts[c]) != ST_OK) {
            while (c-- > 0) {
                ledger_refund(ledger, (enum LedgerClass)c, amounts[c]);
            }
            return ST_QUOTA;
        }
    }
    return ST_OK;
}

status_t ledger_carve(struct ledger *parent, const uint64_t limits[LEDGER_CLASSES],
                      struct ledger **ledger_out)
{
    struct ledger *ledger = slab_alloc(parent, sizeof(*ledger));
    if (ledger == NULL) {
        return ST_QUOTA;
    }
    status_t status = ledger_charge_all(parent, limits);
    if (status != ST_OK) {
        slab_free(ledger);
        return status;
    }
    ledger_ref(parent);
    ledger_setup(ledger, parent, limits);
    *ledger_out = ledger;
    return ST_OK;
}

status_t ledger_charge(struct ledger *ledger, enum LedgerClass ledger_class, uint64_t n)
{
    uint64_t limit = atomic_load_relaxed(&ledger->limit[ledger_class]);
    uint64_t used = atomic_load_relaxed(&ledger->used[ledger_class]);
    do {
        if (UNLIKELY(used > limit || n > limit - used)) {
            return ledger_refuse(ledger_class);
        }
    } while (!atomic_cas_acq_rel(&ledger->used[ledger_class], &used, used + n));
    if (UNLIKELY(atomic_load_relaxed(&ledger->limit[ledger_class]) != limit)) {
        ledger_refund(ledger, ledger_class, n);
        return ledger_refuse(ledger_class);
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
        ledger = ledger->parent;
    }
}

void ledger_refund_all(struct ledger *ledger, const uint64_t amounts[LEDGER_CLASSES])
{
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        ledger_refund(ledger, (enum LedgerClass)c, amounts[c]);
    }
}

void ledger_close(struct ledger *ledger)
{
    if (atomic_swap_seq_cst(&ledger->closed, 1) != 0 || ledger->parent == NULL) {
        return;
    }
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        uint64_t room = settle(ledger, (enum LedgerClass)c);
        ledger_refund(ledger->parent, (enum LedgerClass)c, room);
    }
}

void ledger_unref(struct ledger *ledger)
{
    while (ledger != NULL) {
        uint32_t refs = atomic_sub_acq_rel(&ledger->refs, 1);
        KDEBUG_ASSERT(refs != 0);
        if (refs != 1) {
            return;
        }
        struct ledger *parent = ledger->parent;
        KASSERT(parent != NULL); /* the kernel keeps its ref of the root */
        ledger_close(ledger);
        for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
            KASSERT(atomic_load_relaxed(&ledger->used[c]) == 0);
        }
        slab_free(ledger);
        ledger = parent;
    }
}
