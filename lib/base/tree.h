/* SPDX-License-Identifier: MIT */
/*
 * Intrusive balanced tree (AVL) ordered by a 64-bit key.
 *
 * Nothing is allocated and nothing recurses; every operation takes at most O(log n) steps, `first`
 * takes one. Equal keys are allowed: the one inserted later comes later. The key must not change
 * while the node is in a tree. Nothing here locks; the owner of the tree says what protects it.
 */
#ifndef CAPOS_LIB_BASE_TREE_H
#define CAPOS_LIB_BASE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tree_node {
    struct tree_node *child[2]; /* lower, higher */
    struct tree_node *parent;   /* the node itself while it is in no tree */
    uint64_t key;
    int8_t balance; /* height of child[1] - height of child[0]: -1, 0, 1 */
};

struct tree {
    struct tree_node *root;
    struct tree_node *first; /* lowest; NULL when empty */
};

static inline void tree_init(struct tree *tree)
{
    tree->root = NULL;
    tree->first = NULL;
}

static inline void tree_node_init(struct tree_node *node)
{
    node->parent = node;
}

/* True while the node is in some tree. The node must have been initialised, inserted or removed. */
static inline bool tree_linked(const struct tree_node *node)
{
    return node->parent != node;
}

static inline bool tree_empty(const struct tree *tree)
{
    return tree->root == NULL;
}

/* Inserts under node->key = key, behind all nodes of equal key. The node is in no tree. */
void tree_insert(struct tree *tree, struct tree_node *node, uint64_t key);

/* Takes the node, which is in this tree, out of it. */
void tree_remove(struct tree *tree, struct tree_node *node);

static inline struct tree_node *tree_first(const struct tree *tree)
{
    return tree->first;
}

struct tree_node *tree_last(const struct tree *tree);

/* In-order neighbours; NULL at the ends. */
struct tree_node *tree_next(const struct tree_node *node);
struct tree_node *tree_prev(const struct tree_node *node);

/* First node whose key is >= key; NULL when there is none. */
struct tree_node *tree_lower_bound(const struct tree *tree, uint64_t key);

/* Last node whose key is <= key; NULL when there is none. */
struct tree_node *tree_at_or_below(const struct tree *tree, uint64_t key);

/* Walks the whole tree and checks order, balance and links, for tests and debug builds. O(n). */
bool tree_valid(const struct tree *tree, size_t *count_out);

#endif
