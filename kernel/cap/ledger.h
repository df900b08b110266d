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
 * its use: every later refund goes on to the nearest open ancestor. Charges and refunds take no lock;
 * obj.lock is for grow, shrink and close, which exclude each other.
 *
 * A ledger is a kernel object, charged to its parent. It closes when its last capability goes (its
 * process counts as one), when its process ends, or when its parent's holder revokes it.
 */
#ifndef CAPOS_KERNEL_CAP_LEDGER_H
#define CAPOS_KERNEL_CAP_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/capset.h"
#include "abi/types.h"
#include "cap/grant.h"
#include "core/kobj.h"
#include "gen/status.capnp.h"
#include "mem/slab.h"

struct kernel_trace;

enum { LEDGER_CLASSES = LEDGER_CLASS_COUNT, LEDGER_MAX_DEPTH = 32 };

/* [I] immutable  [a] atomic  [o] obj.lock */
struct ledger {
    struct kobj obj; /* refs: its process, its children, objects charged; obj.ledger: parent */
    _Atomic uint8_t closed;                   /* [a] one-way; set under obj.lock */
    uint8_t depth;                            /* [I] */
    _Atomic uint8_t settling[LEDGER_CLASSES]; /* [a] see ledger.c */
    _Atomic uint64_t used[LEDGER_CLASSES];    /* [a] */
    _Atomic uint64_t limit[LEDGER_CLASSES];   /* [a] grows under obj.lock; sinks see ledger.c */
    _Atomic uint32_t refused[LEDGER_CLASSES]; /* [a] charges, so far */
    struct slab_set slabs;                    /* kernel objects charged here; own lock */
    char name[CAPOS_CAP_NAME_BYTES];          /* [I] once somebody else knows it */
    _Atomic uint64_t log_window_ns;           /* [a] KernelLog.append: start of the window and */
    _Atomic uint64_t log_window_bytes;        /* [a] bytes written in it */
    struct kernel_trace *trace; /* its lock: of the process that this was carved for */
    struct grant *minted;       /* [o] a donation: route of what is minted on it, a ref */
};

/* The root ledger holds all of the machine; made once at boot. */
struct ledger *ledger_create_root(const uint64_t limits[LEDGER_CLASSES]);

/* Carves a child: charges the parent with every limit, or changes nothing and returns ST_QUOTA or
 * ST_BAD_STATE (too deep). The new ledger has one ref; its struct is charged to the parent. */
status_t ledger_carve(struct ledger *parent, const uint64_t limits[LEDGER_CLASSES],
                      const char *name, struct ledger **ledger_out);

/* Moves limits between a child and its parent: all amounts, or nothing. ST_QUOTA when the giving side
 * has not that much unused, ST_DISCONNECTED when the child is closed. */
status_t ledger_grow(struct ledger *child, const uint64_t amounts[LEDGER_CLASSES]);
status_t ledger_shrink(struct ledger *child, const uint64_t amounts[LEDGER_CLASSES]);

/* Gives unused limits back to the parent and closes. Idempotent. From now on every charge is
 * refused. Takes obj.lock. */
void ledger_close(struct ledger *ledger);

static inline struct ledger *ledger_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct ledger, obj);
}

static inline void ledger_ref(struct ledger *ledger)
{
    kobj_ref(&ledger->obj);
}

/* The last ref closes and frees it; nothing may be charged to it then. As for kobj_unref. */
static inline void ledger_unref(struct ledger *ledger)
{
    kobj_unref(&ledger->obj);
}

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
