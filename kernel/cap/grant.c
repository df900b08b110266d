/* SPDX-License-Identifier: MIT */
/*
 * The grant tree.
 *
 * A walk of a subtree needs no memory but where it is: it holds a ref of that node, which so stays in
 * its parent's list and keeps its ancestors. Any number of walks may go over the same nodes at once.
 *
 * A child added during a walk that ends each node it comes to cannot be missed: a derive looks at the
 * parent's live flag and links the child in one critical section of the parent's lock; the walk
 * clears the flag first and takes the lock to find the children second. So the derive is refused, or
 * its child is found.
 *
 * A node in its parent's list may have no refs left (its last holder is on the way to unlink it):
 * refs are never raised from zero, and such a node has no children to find.
 *
 * No two of these locks are ever held together, so the tree needs no order among them. Rejected:
 * one lock for the whole tree (every spawn and exit would meet there).
 */
#include "cap/grant.h"

#include "arch/time.h"
#include "cap/ledger.h"
#include "core/kobj.h"
#include "core/panic.h"
#include "mem/slab.h"

static struct grant root_grant;
struct grant grant_nowhere = {.origin = "revoked, or its object has ended"}; /* not live */

static void set_origin(struct grant *grant, const char *origin, size_t len)
{
    size_t n = len < GRANT_ORIGIN_BYTES - 1 ? len : GRANT_ORIGIN_BYTES - 1;
    for (size_t i = 0; i < n; i++) {
        grant->origin[i] = origin[i] >= ' ' && origin[i] <= '~' ? origin[i] : '?';
    }
    grant->origin[n] = '\0';
}

static void grant_setup(struct grant *grant, struct grant *parent, struct ledger *ledger)
{
    atomic_store_relaxed(&grant->refs, 1);
    atomic_store_relaxed(&grant->live, 1);
    lock_init(&grant->lock, LOCK_GRANT);
    list_init(&grant->children);
    list_node_init(&grant->link);
    atomic_store_relaxed(&grant->holders, 0);
    grant->parent = parent;
    grant->depth = parent != NULL ? (uint8_t)(parent->depth + 1) : 0;
    grant->ledger = ledger;
    grant->id = kobj_next_id();
    grant->time_ns = arch_time_ns();
    ledger_ref(ledger);
}

struct grant *grant_create_root(struct ledger *ledger, const char *origin)
{
    size_t len = 0;
    while (origin[len] != '\0') {
        len++;
    }
    grant_setup(&root_grant, NULL, ledger);
    set_origin(&root_grant, origin, len);
    return &root_grant;
}

/* Frees a node that is in no list. */
static void grant_free(struct grant *grant)
{
    struct ledger *ledger = grant->ledger;
    slab_free(grant);
    ledger_refund(ledger, LEDGER_CLASS_GRANTS, 1);
    ledger_unref(ledger);
}

static bool link_child(struct grant *parent, struct grant *child)
{
    lock_acquire(&parent->lock);
    bool live = grant_is_live(parent);
    if (live) {
        list_push_back(&parent->children, &child->link);
        grant_ref(parent);
    }
    lock_release(&parent->lock);
    return live;
}

status_t grant_derive(struct grant *parent, struct ledger *ledger, const char *origin, size_t len,
                      struct grant **grant_out)
{
    if (!grant_is_live(parent)) {
        return ST_DISCONNECTED;
    }
    if (parent->depth == GRANT_MAX_DEPTH) {
        return ST_BAD_STATE;
    }
    if (ledger_charge(ledger, LEDGER_CLASS_GRANTS, 1) != ST_OK) {
        return ST_QUOTA;
    }
    struct grant *grant = slab_alloc(ledger, sizeof(*grant));
    if (grant == NULL) {
        ledger_refund(ledger, LEDGER_CLASS_GRANTS, 1);
        return ST_QUOTA;
    }
    grant_setup(grant, parent, ledger);
    set_origin(grant, origin, len);
    if (!link_child(parent, grant)) {
        grant_free(grant);
        return ST_DISCONNECTED;
    }
    *grant_out = grant;
    return ST_OK;
}

/* The first node from this one on that somebody holds, with a ref. The list's lock is held. */
static struct grant *hold_from(const struct list *list, struct list_node *node)
{
    for (; node != NULL; node = list_next(list, node)) {
        struct grant *grant = list_entry(node, struct grant, link);
        if (ref_try(&grant->refs)) {
            return grant;
        }
    }
    return NULL;
}

struct grant *grant_next(const struct grant *top, struct grant *at)
{
    lock_acquire(&at->lock);
    struct grant *next = hold_from(&at->children, list_first(&at->children));
    lock_release(&at->lock);
    while (next == NULL && at != top) {
        struct grant *parent = at->parent;
        lock_acquire(&parent->lock);
        next = hold_from(&parent->children, list_next(&parent->children, &at->link));
        lock_release(&parent->lock);
        grant_ref(parent);
        grant_unref(at);
        at = parent;
    }
    grant_unref(at);
    return next;
}

void grant_remove(struct grant *grant)
{
    do {
        struct grant *parent = grant->parent;
        KASSERT(parent != NULL); /* the kernel keeps its ref of the root */
        lock_acquire(&parent->lock);
        list_remove(&grant->link);
        lock_release(&parent->lock);
        grant_free(grant);
        grant = parent; /* its child's ref */
    } while (ref_drop(&grant->refs));
}

void grant_unref(struct grant *grant)
{
    grant_unref_inline(grant);
}
