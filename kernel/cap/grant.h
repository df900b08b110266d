/* SPDX-License-Identifier: MIT */
/*
 * Grants: the tree of how each holder came by each capability. Every slot has a route grant; look-up
 * reads its live flag. Spawn derives one grant per grant line of the child below the spawner's own
 * route; a copy inside a session keeps the route.
 *
 * States: live -> dead, one way. Invariants: G1 a dead grant's descendants are dead, or a revocation
 * (object/revocation.h) is on its way to them. G2 depth <= GRANT_MAX_DEPTH. G3 a dead grant gets no
 * children. G4 `holders` has the bit of every process that has, or ever had, a slot or mapping of this route.
 * Lock: the node's own; never two at once (grant.c).
 */
#ifndef CAPOS_KERNEL_CAP_GRANT_H
#define CAPOS_KERNEL_CAP_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "core/lock.h"
#include "core/refs.h"
#include "lib/base/atomic.h"
#include "lib/base/list.h"

enum { GRANT_MAX_DEPTH = 32, GRANT_ORIGIN_BYTES = 64 };

struct ledger;

/* [I] immutable  [a] atomic  [p] parent's lock */
struct grant {
    _Atomic uint32_t refs;           /* [a] slots, children, records in flight */
    _Atomic uint8_t live;            /* [a] */
    uint8_t depth;                   /* [I] */
    bool fresh;                      /* [I] made by GrantHandle.regrant: see ipc/reply.c */
    struct spinlock lock;            /* rank LOCK_GRANT */
    struct grant *parent;            /* [I] holds a ref; NULL for the root */
    struct list children;            /* own lock */
    struct list_node link;           /* [p] in parent's children */
    _Atomic uint64_t holders;        /* [a] bits only ever set: cap_table.holder of each table */
    struct ledger *ledger;           /* [I] charged; holds a ref */
    uint64_t id;                     /* [I] */
    uint64_t time_ns;                /* [I] */
    char origin[GRANT_ORIGIN_BYTES]; /* [I] NUL-terminated, printable */
};

/* The root: the kernel's boot grant; live for ever. */
struct grant *grant_create_root(struct ledger *ledger, const char *origin);

/* A child with one ref. ST_QUOTA (memory or class grants), ST_BAD_STATE (too deep),
 * ST_DISCONNECTED (parent dead); a refusal changes nothing. origin is cut at 63 bytes and made
 * printable. */
status_t grant_derive(struct grant *parent, struct ledger *ledger, const char *origin, size_t len,
                      struct grant **grant_out);

/* Ends this one node: look-ups through it are refused from now on, and it gets no children. */
static inline void grant_end(struct grant *grant)
{
    atomic_store_seq_cst(&grant->live, 0);
}

/* The node that comes after `at` in a walk of `top` and all below it, parents before children, with a
 * ref; NULL at the end. Takes over the ref of `at`. When every node was ended before its children are
 * asked for, the walk misses none: see grant.c. */
struct grant *grant_next(const struct grant *top, struct grant *at);

/* What a swept slot has for a route: dead, counted by nobody. */
extern struct grant grant_nowhere;

static inline bool grant_is_live(const struct grant *grant)
{
    return atomic_load_acquire(&grant->live) != 0;
}

/* Sets the bit of a process that gets a slot or a mapping by this route. Only then look whether it lives: a
 * revocation ends the route, and only then looks for holders (both sequentially consistent), so it finds
 * the process, or the caller finds the route dead. */
static inline void grant_note_holder(struct grant *route, uint64_t holder)
{
    if ((atomic_load_acquire(&route->holders) & holder) != holder) {
        atomic_or_seq_cst(&route->holders, holder);
    }
}

static inline void grant_ref(struct grant *grant)
{
    atomic_add_relaxed(&grant->refs, 1);
}

/* The last ref frees the node, and its ancestors as far as nothing else holds them. No lock may be
 * held. */
void grant_unref(struct grant *grant);

/* What the last one does: only for grant_unref_inline, which is for the hottest paths. */
COLD void grant_remove(struct grant *grant);

static ALWAYS_INLINE void grant_unref_inline(struct grant *grant)
{
    if (ref_drop(&grant->refs)) {
        grant_remove(grant);
    }
}

#endif
