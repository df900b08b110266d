/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "lib/base/bits.h"
#include "lib/base/tree.h"

enum { NODES = 400 };

struct item {
    struct tree_node node;
    unsigned serial;
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static bool valid(const struct tree *tree, size_t wanted)
{
    size_t count;
    return tree_valid(tree, &count) && count == wanted;
}

TEST(tree_empty, "an empty tree has no first, last or bound")
{
    struct tree tree;
    tree_init(&tree);
    CHECK(tree_empty(&tree));
    CHECK(tree_first(&tree) == NULL);
    CHECK(tree_last(&tree) == NULL);
    CHECK(tree_lower_bound(&tree, 0) == NULL);
    CHECK(tree_at_or_below(&tree, UINT64_MAX) == NULL);
}

TEST(tree_orders, "ascending, descending and shuffled insertions come out in order and balanced")
{
    for (int order = 0; order < 3; order++) {
        static struct item items[NODES];
        struct tree tree;
        uint64_t seed = 7;
        tree_init(&tree);
        for (unsigned i = 0; i < NODES; i++) {
            uint64_t key = order == 0 ? i : order == 1 ? NODES - i : next_random(&seed);
            tree_insert(&tree, &items[i].node, key);
            CHECK(valid(&tree, i + 1));
        }
    }
}

TEST(tree_stable, "nodes of equal key come out in the order of their insertion")
{
    struct item items[60];
    struct tree tree;
    tree_init(&tree);
    for (unsigned i = 0; i < 60; i++) {
        items[i].serial = i;
        tree_insert(&tree, &items[i].node, i % 3);
    }
    struct tree_node *node = tree_first(&tree);
    for (unsigned key = 0; key < 3; key++) {
        for (unsigned i = key; i < 60; i += 3) {
            struct item *item = (struct item *)(void *)node;
            CHECK_EQ(node->key, key);
            CHECK_EQ(item->serial, i);
            node = tree_next(node);
        }
    }
    CHECK(node == NULL);
}

TEST(tree_random, "random insertions and removals keep the tree valid and agree with a plain set")
{
    static struct item items[NODES];
    struct tree tree;
    uint64_t seed = 99;
    size_t count = 0;
    tree_init(&tree);
    for (unsigned i = 0; i < NODES; i++) {
        tree_node_init(&items[i].node);
    }
    for (unsigned step = 0; step < 20000; step++) {
        struct tree_node *node = &items[next_random(&seed) % NODES].node;
        if (tree_linked(node)) {
            tree_remove(&tree, node);
            CHECK(!tree_linked(node));
            count--;
        } else {
            tree_insert(&tree, node, next_random(&seed) % 64);
            count++;
        }
        if (step % 16 == 0) {
            CHECK(valid(&tree, count));
        }
    }
    while (!tree_empty(&tree)) {
        tree_remove(&tree, tree_first(&tree));
        count--;
        CHECK(valid(&tree, count));
    }
}

TEST(tree_bounds, "lower bound and at-or-below find the neighbours of every key")
{
    static struct item items[100];
    struct tree tree;
    tree_init(&tree);
    for (unsigned i = 0; i < 100; i++) {
        tree_insert(&tree, &items[i].node, 10 + i * 2);
    }
    for (uint64_t key = 0; key < 220; key++) {
        struct tree_node *above = tree_lower_bound(&tree, key);
        struct tree_node *below = tree_at_or_below(&tree, key);
        uint64_t up = key <= 10 ? 10 : key + (key & 1);
        uint64_t down = key >= 208 ? 208 : key & ~UINT64_C(1);
        CHECK_EQ(above == NULL, key > 208);
        CHECK(above == NULL || above->key == up);
        CHECK_EQ(below == NULL, key < 10);
        CHECK(below == NULL || below->key == down);
        CHECK(above == NULL || tree_prev(above) == NULL || tree_prev(above)->key < key);
    }
    CHECK_EQ(tree_last(&tree)->key, 208);
}
