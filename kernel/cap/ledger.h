/* SPDX-License-Identifier: MIT */
/*
 * Ledgers: one tree of limits. A child's limits are carved from its parent's: the carve charges the
 * parent with the whole limit, so charging touches only one's own ledger and nothing is
 * over-committed.
 *
 * Who refuses for want of something says of what: a CPU remembers the class of its last refusal, and
 * a completion with ST_QUOTA, which is posted before anything else happens on that CPU, tells it.
 *
 * Invariants: L1 used <= limit for every class while open. L2 the sum of the children's limits plus
 * own charges is `used`. L3 once it is closed and nobody is at work on it, a ledger's limit equals
 * its use: every later refund goes on to the nearest open ancestor. All counters are atomic; there
 * is no lock.
 */
#ifndef CAPOS_KERNEL_CAP_LEDGER_H
#define CAPOS_KERNEL_CAP_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "core/lock.h"
#include "gen/status.capnp.h"
#include "mem/slab.h"

enum { LEDGER_CLASSES = LEDGER_CLASS_COUNT };

/* [I] immutable  [a] atomic  [s] slab lock */
struct ledger {
    _Atomic uint32_t refs;                    /* [a] its process, its children, objects charged */
    _Atomic uint8_t closed;                   /* [a] one-way */
    _Atomic uint8_t settling[LEDGER_CLASSES]; /* [a] see ledger.c */
    struct ledger *parent;                    /* [I] holds a ref; NULL for the root */
    _Atomic uint64_t used[LEDGER_CLASSES];    /* [a] */
    _Atomic uint64_t limit[LEDGER_CLASSES];   /* [a] */
    struct slab_set slabs;                    /* kernel objects charged here; own lock */
};

/* The root ledger holds all of the machine; made once at boot. */
struct ledger *ledger_create_root(const uint64_t limits[LEDGER_CLASSES]);

/* Carves a child: charges the parent with every limit, or changes nothing and returns ST_QUOTA. The
 * new ledger has one ref; its struct is charged to the parent. */
status_t ledger_carve(struct ledger *parent, const uint64_t limits[LEDGER_CLASSES],
                      struct ledger **ledger_out);

/* Its process is gone: give unused limits back to the parent and close. Idempotent. From now on
 * every charge is refused. */
void ledger_close(struct ledger *ledger);

static inline void ledger_ref(struct ledger *ledger)
{
    atomic_add_relaxed(&ledger->refs, 1);
}

/* The last ref closes and frees it; nothing may be charged to it then. */
void ledger_unref(struct ledger *ledger);

/* Charges n of a class, or changes nothing and returns ST_QUOTA. Any context. */
status_t ledger_charge(struct ledger *ledger, enum LedgerClass ledger_class, uint64_t n);

/* Charges every class, or changes nothing and returns ST_QUOTA. */
status_t ledger_charge_all(struct ledger *ledger, const uint64_t amounts[LEDGER_CLASSES]);

void ledger_refund_all(struct ledger *ledger, const uint64_t amounts[LEDGER_CLASSES]);

/* For what is exhausted without a charge (the machine's own frames): ST_QUOTA of this class. */
status_t ledger_refuse(enum LedgerClass ledger_class);
/* The class of the last refusal on this CPU. */
enum LedgerClass ledger_refused(void);

/* Takes a charge back; n is at most what was charged. Any context. */
void ledger_refund(struct ledger *ledger, enum LedgerClass ledger_class, uint64_t n);

#endif
