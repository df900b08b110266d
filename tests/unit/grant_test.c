/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include <pthread.h>

#include "mem/frames.h"

static struct ledger *root_ledger_of_test;

static struct grant *start(void)
{
    root_ledger_of_test = machine_start(4);
    return grant_create_root(root_ledger_of_test, "boot");
}

static struct grant *derive(struct grant *parent)
{
    struct grant *grant = NULL;
    CHECK_EQ(grant_derive(parent, root_ledger_of_test, "test", 4, &grant), ST_OK);
    return grant;
}

static struct ledger *carve(uint64_t grants, uint64_t pages)
{
    uint64_t limits[LEDGER_CLASSES];
    struct ledger *ledger = NULL;
    machine_limits(limits, grants, pages);
    CHECK_EQ(ledger_carve(root_ledger_of_test, limits, "test", &ledger), ST_OK);
    return ledger;
}

TEST(grant_derive_charges,
     "a derived grant is live, charged once, and gives all back with its last ref")
{
    struct grant *root = start();
    struct ledger_state before = ledger_state(root_ledger_of_test);
    uint64_t frames = frames_free_count();
    struct grant *child = derive(root);
    CHECK(grant_is_live(child));
    CHECK_EQ(child->depth, 1);
    CHECK_PTR_EQ(child->parent, root);
    CHECK_EQ(ledger_state(root_ledger_of_test).used[LEDGER_CLASS_GRANTS],
             before.used[LEDGER_CLASS_GRANTS] + 1);
    CHECK_EQ(list_count(&root->children), 1);
    grant_unref(child);
    CHECK_EQ(list_count(&root->children), 0);
    struct ledger_state after = ledger_state(root_ledger_of_test);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    CHECK_EQ(frames_free_count(), frames);
}

TEST(grant_origin, "an origin is cut at 63 bytes and made printable")
{
    struct grant *root = start();
    struct grant *grant;
    char text[80];
    memset(text, 'a', sizeof(text));
    memcpy(text, "x\x1b[2J\n\x80z", 8);
    CHECK_EQ(grant_derive(root, root_ledger_of_test, text, sizeof(text), &grant), ST_OK);
    CHECK_EQ(strlen(grant->origin), 63);
    CHECK_MEM_EQ(grant->origin, "x?[2J??zaaaa", 12);
    grant_unref(grant);
    CHECK_EQ(grant_derive(root, root_ledger_of_test, text, 0, &grant), ST_OK);
    CHECK_STR_EQ(grant->origin, "");
    grant_unref(grant);
}

TEST(grant_quota_class, "a derive beyond the class grants is refused QUOTA and changes nothing")
{
    struct grant *root = start();
    struct ledger *ledger = carve(1, 2);
    struct grant *first, *second = NULL;
    CHECK_EQ(grant_derive(root, ledger, "", 0, &first), ST_OK);
    struct ledger_state before = ledger_state(ledger);
    CHECK_EQ(grant_derive(root, ledger, "", 0, &second), ST_QUOTA);
    struct ledger_state after = ledger_state(ledger);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    CHECK_PTR_EQ(second, NULL);
    CHECK_EQ(list_count(&root->children), 1);
    grant_unref(first);
    ledger_unref(ledger);
}

TEST(grant_no_frame, "a derive without a frame is refused QUOTA and changes nothing")
{
    struct grant *root = start();
    struct ledger *ledger = carve(1, 2);
    struct grant *grant = NULL;
    struct ledger_state before = ledger_state(ledger);
    frames_fail_at(1);
    CHECK_EQ(grant_derive(root, ledger, "", 0, &grant), ST_QUOTA);
    CHECK(frames_failed());
    frames_fail_at(0);
    struct ledger_state after = ledger_state(ledger);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    CHECK_EQ(grant_derive(root, ledger, "", 0, &grant), ST_OK);
    grant_unref(grant);
    ledger_unref(ledger);
}

TEST(grant_depth, "a chain of 32 derives is as deep as it gets: the next is refused BAD_STATE")
{
    struct grant *grant = start();
    struct grant *chain[GRANT_MAX_DEPTH];
    for (unsigned i = 0; i < GRANT_MAX_DEPTH; i++) {
        grant = chain[i] = derive(grant);
        CHECK_EQ(grant->depth, i + 1);
    }
    struct ledger_state before = ledger_state(root_ledger_of_test);
    struct grant *more = NULL;
    CHECK_EQ(grant_derive(grant, root_ledger_of_test, "", 0, &more), ST_BAD_STATE);
    struct ledger_state after = ledger_state(root_ledger_of_test);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    for (unsigned i = GRANT_MAX_DEPTH; i-- > 0;) {
        grant_unref(chain[i]);
    }
}

TEST(grant_dead_parent, "a derive below a dead grant is refused DISCONNECTED and changes nothing")
{
    struct grant *root = start();
    struct grant *parent = derive(root);
    grant_kill(parent);
    struct ledger_state before = ledger_state(root_ledger_of_test);
    struct grant *child = NULL;
    CHECK_EQ(grant_derive(parent, root_ledger_of_test, "", 0, &child), ST_DISCONNECTED);
    struct ledger_state after = ledger_state(root_ledger_of_test);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    CHECK_EQ(atomic_load_relaxed(&parent->refs), 1);
    grant_unref(parent);
}

TEST(grant_kill_subtree, "killing a grant ends all below it and nothing beside or above it")
{
    enum { WIDE = 5 };
    struct grant *root = start();
    struct ledger_state before = ledger_state(root_ledger_of_test);
    struct grant *top = derive(root);
    struct grant *beside = derive(root);
    struct grant *children[WIDE], *grandchildren[WIDE][WIDE];
    for (unsigned i = 0; i < WIDE; i++) {
        children[i] = derive(top);
        for (unsigned j = 0; j < WIDE; j++) {
            grandchildren[i][j] = derive(children[i]);
        }
    }
    grant_kill(children[0]);
    CHECK(grant_is_live(top));
    CHECK(grant_is_live(children[1]));
    CHECK(!grant_is_live(grandchildren[0][3]));
    grant_kill(top);
    grant_kill(top);
    CHECK(grant_is_live(root));
    CHECK(grant_is_live(beside));
    for (unsigned i = 0; i < WIDE; i++) {
        CHECK(!grant_is_live(children[i]));
        for (unsigned j = 0; j < WIDE; j++) {
            CHECK(!grant_is_live(grandchildren[i][j]));
            grant_unref(grandchildren[i][j]);
        }
        grant_unref(children[i]);
    }
    grant_unref(top);
    grant_unref(beside);
    struct ledger_state after = ledger_state(root_ledger_of_test);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
}

TEST(grant_ancestors_kept, "ancestors live as long as a descendant holds them, and go with it")
{
    struct grant *root = start();
    struct ledger_state before = ledger_state(root_ledger_of_test);
    struct grant *chain[GRANT_MAX_DEPTH];
    struct grant *grant = root;
    for (unsigned i = 0; i < GRANT_MAX_DEPTH; i++) {
        grant = chain[i] = derive(grant);
    }
    for (unsigned i = 0; i < GRANT_MAX_DEPTH - 1; i++) {
        grant_unref(chain[i]);
    }
    CHECK_EQ(list_count(&root->children), 1);
    grant_kill(chain[0]);
    CHECK(!grant_is_live(grant));
    grant_unref(grant);
    CHECK_EQ(list_count(&root->children), 0);
    struct ledger_state after = ledger_state(root_ledger_of_test);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
}

TEST(grant_ledger_outlives, "a grant keeps the ledger it is charged to")
{
    struct grant *root = start();
    struct ledger_state before = ledger_state(root_ledger_of_test);
    struct ledger *ledger = carve(4, 2);
    struct grant *grant;
    CHECK_EQ(grant_derive(root, ledger, "", 0, &grant), ST_OK);
    ledger_close(ledger);
    ledger_unref(ledger);
    grant_unref(grant);
    struct ledger_state after = ledger_state(root_ledger_of_test);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
}

/* ---- against a model ---- */

enum { NODES = 60, STEPS = 4000 };

struct model_node {
    struct grant *grant; /* NULL: not there */
    int parent;          /* index, -1 = the root */
    bool live;
    bool held; /* the test's ref */
};

static bool below(const struct model_node *nodes, int node, int top)
{
    while (node >= 0 && node != top) {
        node = nodes[node].parent;
    }
    return node == top;
}

static bool has_children(const struct model_node *nodes, int node)
{
    for (int i = 0; i < NODES; i++) {
        if (nodes[i].grant != NULL && nodes[i].parent == node) {
            return true;
        }
    }
    return false;
}

static void model_drop(struct model_node *nodes, int node)
{
    grant_unref(nodes[node].grant);
    nodes[node].held = false;
    while (node >= 0 && !nodes[node].held && !has_children(nodes, node)) {
        nodes[node].grant = NULL;
        node = nodes[node].parent;
    }
}

static void model_add(struct model_node *nodes, struct grant *root, int slot, int parent)
{
    struct grant *grant = NULL;
    struct grant *above = parent < 0 ? root : nodes[parent].grant;
    bool live = parent < 0 || nodes[parent].live;
    status_t wanted = !live                             ? ST_DISCONNECTED
                      : above->depth == GRANT_MAX_DEPTH ? ST_BAD_STATE
                                                        : ST_OK;
    CHECK_EQ(grant_derive(above, root_ledger_of_test, "", 0, &grant), wanted);
    if (wanted == ST_OK) {
        nodes[slot] = (struct model_node){grant, parent, true, true};
    }
}

TEST(grant_model, "random derives, kills and drops agree with a model of the tree at every step")
{
    static struct model_node nodes[NODES];
    struct grant *root = start();
    struct ledger_state before = ledger_state(root_ledger_of_test);
    for (unsigned step = 0; step < STEPS; step++) {
        int node = (int)((unsigned)rand() % NODES);
        int other = (int)((unsigned)rand() % (NODES + 1)) - 1;
        if (nodes[node].grant == NULL) {
            if (other < 0 || nodes[other].held) {
                model_add(nodes, root, node, other);
            }
        } else if (nodes[node].held && rand() % 4 == 0) {
            model_drop(nodes, node);
        } else if (nodes[node].held && rand() % 4 == 0) {
            grant_kill(nodes[node].grant);
            for (int i = 0; i < NODES; i++) {
                if (nodes[i].grant != NULL && below(nodes, i, node)) {
                    nodes[i].live = false;
                }
            }
        }
        uint64_t count = 0;
        for (int i = 0; i < NODES; i++) {
            if (nodes[i].grant != NULL) {
                count++;
                CHECK_EQ(grant_is_live(nodes[i].grant), nodes[i].live);
            }
        }
        REQUIRE_EQ(ledger_state(root_ledger_of_test).used[LEDGER_CLASS_GRANTS],
                   before.used[LEDGER_CLASS_GRANTS] + count);
    }
    for (int i = 0; i < NODES; i++) {
        if (nodes[i].held) {
            model_drop(nodes, i);
        }
    }
    struct ledger_state after = ledger_state(root_ledger_of_test);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
}

/* ---- races ---- */

enum { RACERS = 3, ROUNDS = 100 };
static struct grant *race_top;
static struct grant *race_leaf[RACERS];

/* Derives downwards until it is refused. */
static void *race_derive(void *number)
{
    uintptr_t id = (uintptr_t)number;
    host_become((unsigned)id + 1);
    struct grant *grant = race_top;
    grant_ref(grant);
    for (struct grant *child; grant_derive(grant, root_ledger_of_test, "", 0, &child) == ST_OK;) {
        grant_unref(grant);
        grant = child;
        if (grant->depth == GRANT_MAX_DEPTH) {
            grant_ref(race_top);
            grant_unref(grant);
            grant = race_top;
        }
    }
    race_leaf[id] = grant;
    return NULL;
}

TEST(grant_kill_races, "when a kill has returned, no grant that was derived meanwhile is live")
{
    struct grant *root = start();
    struct ledger_state before = ledger_state(root_ledger_of_test);
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_t threads[RACERS];
        race_top = derive(root);
        for (uintptr_t i = 0; i < RACERS; i++) {
            pthread_create(&threads[i], NULL, race_derive, (void *)i);
        }
        grant_kill(race_top);
        for (unsigned i = 0; i < RACERS; i++) {
            pthread_join(threads[i], NULL);
            CHECK(!grant_is_live(race_leaf[i]));
            grant_unref(race_leaf[i]);
        }
        grant_unref(race_top);
    }
    struct ledger_state after = ledger_state(root_ledger_of_test);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
}
