/* SPDX-License-Identifier: MIT */
/*
 * AVL tree with parent links.
 *
 * Invariants: A1 in-order keys never fall. A2 the heights of two siblings differ by at most one, and
 * `balance` is that difference. A3 child and parent links agree. A4 tree.first is the lowest node.
 * Side 0 is lower, side 1 higher; `sign(side)` is the change of balance when that side grows.
 */
#include "lib/base/tree.h"

static int8_t sign(int side)
{
    return (int8_t)(side ? 1 : -1);
}

static int side_of(const struct tree_node *parent, const struct tree_node *child)
{
    return parent->child[1] == child;
}

/* Puts `fresh` (may be NULL) where `old` hangs below `parent` (NULL: the root). */
static void replace_child(struct tree *tree, struct tree_node *parent, const struct tree_node *old,
                          struct tree_node *fresh)
{
    if (parent == NULL) {
        tree->root = fresh;
    } else {
        parent->child[side_of(parent, old)] = fresh;
    }
    if (fresh != NULL) {
        fresh->parent = parent;
    }
}

/* Lifts node->child[side], which exists, over node; balances are the caller's affair. */
static void lift(struct tree *tree, struct tree_node *node, int side)
{
    struct tree_node *up = node->child[side];
    struct tree_node *inner = up->child[!side];
    replace_child(tree, node->parent, node, up);
    node->child[side] = inner;
    if (inner != NULL) {
        inner->parent = node;
    }
    up->child[!side] = node;
    node->parent = up;
}

/* Mends a node whose balance is 2 or -2; returns the new top of this subtree. Its height has fallen
 * by one unless its balance is not 0. */
static struct tree_node *rebalance(struct tree *tree, struct tree_node *node)
{
    int heavy = node->balance > 0;
    int8_t d = sign(heavy);
    struct tree_node *top = node->child[heavy];
    if (top->balance == -d) {
        struct tree_node *low = top;
        top = low->child[!heavy];
        lift(tree, low, !heavy);
        lift(tree, node, heavy);
        node->balance = (int8_t)(top->balance == d ? -d : 0);
        low->balance = (int8_t)(top->balance == -d ? d : 0);
        top->balance = 0;
        return top;
    }
    lift(tree, node, heavy);
    bool level = top->balance == 0;
    node->balance = (int8_t)(level ? d : 0);
    top->balance = (int8_t)(level ? -d : 0);
    return top;
}

void tree_insert(struct tree *tree, struct tree_node *node, uint64_t key)
{
    struct tree_node *parent = NULL;
    struct tree_node **link = &tree->root;
    bool lowest = true;
    while (*link != NULL) {
        parent = *link;
        int side = key >= parent->key;
        lowest = lowest && side == 0;
        link = &parent->child[side];
    }
    node->child[0] = NULL;
    node->child[1] = NULL;
    node->parent = parent;
    node->key = key;
    node->balance = 0;
    *link = node;
    if (lowest) {
        tree->first = node;
    }
    for (; parent != NULL; node = parent, parent = parent->parent) {
        parent->balance = (int8_t)(parent->balance + sign(side_of(parent, node)));
        if (parent->balance == 0) {
            return;
        }
        if (parent->balance < -1 || parent->balance > 1) {
            (void)rebalance(tree, parent);
            return;
        }
    }
}

/* The subtree at parent->child[side] has lost one level. */
static void shrunk(struct tree *tree, struct tree_node *parent, int side)
{
    while (parent != NULL) {
        parent->balance = (int8_t)(parent->balance - sign(side));
        if (parent->balance == 1 || parent->balance == -1) {
            return;
        }
        if (parent->balance != 0) {
            parent = rebalance(tree, parent);
            if (parent->balance != 0) {
                return;
            }
        }
        struct tree_node *above = parent->parent;
        if (above != NULL) {
            side = side_of(above, parent);
        }
        parent = above;
    }
}

/* `node` has two children: its successor takes its place. */
static void remove_inner(struct tree *tree, struct tree_node *node)
{
    struct tree_node *heir = node->child[1];
    while (heir->child[0] != NULL) {
        heir = heir->child[0];
    }
    struct tree_node *from = heir->parent;
    int side = 0;
    if (from == node) {
        from = heir;
        side = 1;
    } else {
        replace_child(tree, from, heir, heir->child[1]);
        heir->child[1] = node->child[1];
        heir->child[1]->parent = heir;
    }
    heir->child[0] = node->child[0];
    heir->child[0]->parent = heir;
    heir->balance = node->balance;
    replace_child(tree, node->parent, node, heir);
    shrunk(tree, from, side);
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
    if (tree->first == node) {
        tree->first = tree_next(node);
    }
    if (node->child[0] != NULL && node->child[1] != NULL) {
        remove_inner(tree, node);
    } else {
        struct tree_node *parent = node->parent;
        int side = parent != NULL ? side_of(parent, node) : 0;
        replace_child(tree, parent, node, node->child[node->child[0] == NULL]);
        shrunk(tree, parent, side);
    }
    tree_node_init(node);
}

static struct tree_node *extreme(struct tree_node *node, int side)
{
    while (node->child[side] != NULL) {
        node = node->child[side];
    }
    return node;
}

static struct tree_node *neighbour(const struct tree_node *node, int side)
{
    if (node->child[side] != NULL) {
        return extreme(node->child[side], !side);
    }
    struct tree_node *parent = node->parent;
    while (parent != NULL && parent->child[side] == node) {
        node = parent;
        parent = parent->parent;
    }
    return parent;
}

struct tree_node *tree_last(const struct tree *tree)
{
    return tree->root != NULL ? extreme(tree->root, 1) : NULL;
}

struct tree_node *tree_next(const struct tree_node *node)
{
    return neighbour(node, 1);
}

struct tree_node *tree_prev(const struct tree_node *node)
{
    return neighbour(node, 0);
}

struct tree_node *tree_lower_bound(const struct tree *tree, uint64_t key)
{
    struct tree_node *found = NULL;
    struct tree_node *node = tree->root;
    while (node != NULL) {
        if (node->key >= key) {
            found = node;
            node = node->child[0];
        } else {
            node = node->child[1];
        }
    }
    return found;
}

struct tree_node *tree_at_or_below(const struct tree *tree, uint64_t key)
{
    struct tree_node *found = NULL;
    struct tree_node *node = tree->root;
    while (node != NULL) {
        if (node->key <= key) {
            found = node;
            node = node->child[1];
        } else {
            node = node->child[0];
        }
    }
    return found;
}

/* Height of a subtree by walking down its heavier side; right when balances are. */
static int height(const struct tree_node *node)
{
    int levels = 0;
    while (node != NULL) {
        levels++;
        node = node->child[node->balance > 0];
    }
    return levels;
}

static bool node_valid(const struct tree_node *node)
{
    for (int side = 0; side < 2; side++) {
        if (node->child[side] != NULL && node->child[side]->parent != node) {
            return false;
        }
    }
    int difference = height(node->child[1]) - height(node->child[0]);
    return node->balance == difference && difference >= -1 && difference <= 1;
}

bool tree_valid(const struct tree *tree, size_t *count_out)
{
    const struct tree_node *lowest = tree->root != NULL ? extreme(tree->root, 0) : NULL;
    *count_out = 0;
    if (tree->first != lowest || (tree->root != NULL && tree->root->parent != NULL)) {
        return false;
    }
    uint64_t key = 0;
    for (const struct tree_node *n = lowest; n != NULL; n = tree_next(n)) {
        if (n->key < key || !node_valid(n)) {
            return false;
        }
        key = n->key;
        (*count_out)++;
    }
    return true;
}
