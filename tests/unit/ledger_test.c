/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include <pthread.h>

#include "mem/frames.h"

static uint64_t used(struct ledger *ledger, enum LedgerClass c)
{
    return atomic_load_relaxed(&ledger->used[c]);
}

static uint64_t limit(struct ledger *ledger, enum LedgerClass c)
{
    return atomic_load_relaxed(&ledger->limit[c]);
}

static struct ledger *carve(struct ledger *parent, uint64_t n, uint64_t pages)
{
    uint64_t limits[LEDGER_CLASSES];
    struct ledger *ledger = NULL;
    machine_limits(limits, n, pages);
    CHECK_EQ(ledger_carve(parent, limits, "test", &ledger), ST_OK);
    return ledger;
}

TEST(ledger_charge_to_limit, "a charge up to the limit is taken, one more is refused and changes "
                             "nothing")
{
    struct ledger *ledger = carve(machine_start(1), 10, 4);
    CHECK_EQ(ledger_charge(ledger, LEDGER_CLASS_SLOTS, 10), ST_OK);
    struct ledger_state before = ledger_state(ledger);
    CHECK_EQ(ledger_charge(ledger, LEDGER_CLASS_SLOTS, 1), ST_QUOTA);
    CHECK_EQ(ledger_charge(ledger, LEDGER_CLASS_SLOTS, UINT64_MAX), ST_QUOTA);
    struct ledger_state after = ledger_state(ledger);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    CHECK_EQ(ledger_charge(ledger, LEDGER_CLASS_SLOTS, 0), ST_OK);
    ledger_refund(ledger, LEDGER_CLASS_SLOTS, 1);
    CHECK_EQ(ledger_charge(ledger, LEDGER_CLASS_SLOTS, 1), ST_OK);
}

TEST(ledger_classes_apart, "an exhausted class refuses nothing of another class")
{
    struct ledger *ledger = carve(machine_start(1), 1, 4);
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        if (c != LEDGER_CLASS_FRAMES && c != LEDGER_CLASS_KERNEL_PAGES) {
            CHECK_EQ(ledger_charge(ledger, (enum LedgerClass)c, 1), ST_OK);
            CHECK_EQ(ledger_charge(ledger, (enum LedgerClass)c, 1), ST_QUOTA);
        }
    }
}

TEST(ledger_carve_charges,
     "a carve charges the parent with every limit, and the last ref gives all "
     "of it back")
{
    struct ledger *root = machine_start(1);
    struct ledger_state before = ledger_state(root);
    uint64_t frames = frames_free_count();
    struct ledger *child = carve(root, 7, 3);
    CHECK_EQ(used(root, LEDGER_CLASS_SLOTS), before.used[LEDGER_CLASS_SLOTS] + 7);
    CHECK_EQ(used(root, LEDGER_CLASS_KERNEL_PAGES), before.used[LEDGER_CLASS_KERNEL_PAGES] + 3 + 1);
    CHECK_EQ(limit(child, LEDGER_CLASS_SLOTS), 7);
    CHECK_EQ(used(child, LEDGER_CLASS_SLOTS), 0);
    ledger_unref(child);
    struct ledger_state after = ledger_state(root);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    CHECK_EQ(frames_free_count(), frames);
}

TEST(ledger_carve_refused,
     "a carve beyond any one class is refused, names the class, changes nothing")
{
    struct ledger *parent = carve(machine_start(1), 100, 50);
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        uint64_t limits[LEDGER_CLASSES];
        struct ledger *ledger = NULL;
        machine_limits(limits, 1, 1);
        limits[c] = 101;
        struct ledger_state before = ledger_state(parent);
        CHECK_EQ(ledger_carve(parent, limits, "test", &ledger), ST_QUOTA);
        CHECK_EQ(ledger_refused(), c);
        CHECK_PTR_EQ(ledger, NULL);
        struct ledger_state after = ledger_state(parent);
        CHECK_MEM_EQ(&before, &after, sizeof(before));
    }
}

TEST(ledger_carve_no_frame, "a carve without a frame for the ledger is refused as kernel pages")
{
    struct ledger *parent = machine_start(1);
    uint64_t limits[LEDGER_CLASSES];
    struct ledger *ledger;
    machine_limits(limits, 1, 1);
    struct ledger_state before = ledger_state(parent);
    frames_fail_at(1);
    CHECK_EQ(ledger_carve(parent, limits, "test", &ledger), ST_QUOTA);
    CHECK_EQ(ledger_refused(), LEDGER_CLASS_KERNEL_PAGES);
    frames_fail_at(0);
    struct ledger_state after = ledger_state(parent);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
}

TEST(ledger_close_gives_back,
     "closing gives unused room to the parent at once and used room as it is "
     "refunded; charges are refused")
{
    struct ledger *root = machine_start(1);
    uint64_t base = used(root, LEDGER_CLASS_SLOTS);
    struct ledger *child = carve(root, 10, 3);
    CHECK_EQ(ledger_charge(child, LEDGER_CLASS_SLOTS, 4), ST_OK);
    ledger_close(child);
    CHECK_EQ(used(root, LEDGER_CLASS_SLOTS), base + 4);
    CHECK_EQ(limit(child, LEDGER_CLASS_SLOTS), 4);
    CHECK_EQ(used(child, LEDGER_CLASS_SLOTS), 4);
    CHECK_EQ(ledger_charge(child, LEDGER_CLASS_SLOTS, 1), ST_QUOTA);
    ledger_refund(child, LEDGER_CLASS_SLOTS, 3);
    CHECK_EQ(used(root, LEDGER_CLASS_SLOTS), base + 1);
    CHECK_EQ(limit(child, LEDGER_CLASS_SLOTS), 1);
    ledger_close(child);
    CHECK_EQ(used(root, LEDGER_CLASS_SLOTS), base + 1);
    ledger_refund(child, LEDGER_CLASS_SLOTS, 1);
    CHECK_EQ(used(root, LEDGER_CLASS_SLOTS), base);
    ledger_unref(child);
}

TEST(ledger_close_chain, "a refund below closed ledgers goes to the nearest open ancestor, however "
                         "deep")
{
    enum { DEPTH = LEDGER_MAX_DEPTH };
    struct ledger *root = machine_start(1);
    struct ledger_state before = ledger_state(root);
    struct ledger *chain[DEPTH];
    struct ledger *parent = root;
    for (unsigned i = 0; i < DEPTH; i++) {
        parent = chain[i] = carve(parent, 1000, 2 * (DEPTH - i));
    }
    CHECK_EQ(ledger_charge(chain[DEPTH - 1], LEDGER_CLASS_SLOTS, 600), ST_OK);
    for (unsigned i = 1; i < DEPTH; i++) {
        ledger_close(chain[i]);
    }
    CHECK_EQ(used(chain[0], LEDGER_CLASS_SLOTS), 600);
    ledger_refund(chain[DEPTH - 1], LEDGER_CLASS_SLOTS, 600);
    CHECK_EQ(used(chain[0], LEDGER_CLASS_SLOTS), 0);
    for (unsigned i = 0; i < DEPTH; i++) {
        ledger_unref(chain[i]);
    }
    struct ledger_state after = ledger_state(root);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
}

TEST(ledger_child_keeps_parent,
     "a parent lives as long as a child, and dropping both gives all back")
{
    struct ledger *root = machine_start(1);
    struct ledger_state before = ledger_state(root);
    struct ledger *parent = carve(root, 10, 5);
    struct ledger *child = carve(parent, 5, 2);
    ledger_unref(parent);
    CHECK_EQ(ledger_charge(child, LEDGER_CLASS_SLOTS, 5), ST_OK);
    ledger_refund(child, LEDGER_CLASS_SLOTS, 5);
    ledger_unref(child);
    struct ledger_state after = ledger_state(root);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
}

/* ---- races ---- */

enum { RACERS = 4, ROUNDS = 2000 };

static struct ledger *race_child;
static _Atomic unsigned race_go;

/* Charges and refunds until the ledger is closed; nothing stays charged. */
static void *race_charge(void *number)
{
    host_become((unsigned)(uintptr_t)number);
    atomic_add_seq_cst(&race_go, 1);
    unsigned held = 0;
    for (;;) {
        if (ledger_charge(race_child, LEDGER_CLASS_SLOTS, 3) == ST_OK) {
            held++;
        } else if (atomic_load_acquire(&race_child->closed) != 0) {
            break;
        }
        if (held > 5 || (held > 0 && atomic_load_acquire(&race_child->closed) != 0)) {
            ledger_refund(race_child, LEDGER_CLASS_SLOTS, 3);
            held--;
        }
    }
    while (held-- > 0) {
        ledger_refund(race_child, LEDGER_CLASS_SLOTS, 3);
    }
    ledger_unref(race_child);
    return NULL;
}

/* Each round two racers of each kind use one ledger, which is closed `pause` after they have all begun; no room is lost
 * and none invented. */
static void race_to_close(unsigned rounds, void *(*even)(void *), void *(*odd)(void *),
                          unsigned pause)
{
    struct ledger *root = machine_start(RACERS + 1);
    struct ledger_state before = ledger_state(root);
    for (unsigned round = 0; round < rounds; round++) {
        pthread_t threads[RACERS];
        race_child = carve(root, 50, 1);
        atomic_store_seq_cst(&race_go, 0);
        for (uintptr_t i = 0; i < RACERS; i++) {
            ledger_ref(race_child);
            pthread_create(&threads[i], NULL, i % 2 ? odd : even, (void *)(i + 1));
        }
        while (atomic_load_seq_cst(&race_go) < RACERS) {
            host_relax();
        }
        for (unsigned i = 0; i < pause; i++) {
            host_relax();
        }
        ledger_close(race_child);
        for (unsigned i = 0; i < RACERS; i++) {
            pthread_join(threads[i], NULL);
        }
        CHECK_EQ(used(race_child, LEDGER_CLASS_SLOTS), 0);
        CHECK_EQ(limit(race_child, LEDGER_CLASS_SLOTS), 0);
        ledger_unref(race_child);
    }
    struct ledger_state after = ledger_state(root);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
}

TEST(ledger_close_races, "closing while others charge and refund loses no room and invents none")
{
    race_to_close(ROUNDS / 20, race_charge, race_charge, 0);
}

/* Moves limits to and fro until the ledger is closed. */
static void *race_move(void *number)
{
    host_become((unsigned)(uintptr_t)number);
    uint64_t amounts[LEDGER_CLASSES] = {[LEDGER_CLASS_SLOTS] = 7};
    atomic_add_seq_cst(&race_go, 1);
    while (ledger_grow(race_child, amounts) != ST_DISCONNECTED) {
        (void)ledger_shrink(race_child, amounts);
        host_relax();
    }
    ledger_unref(race_child);
    return NULL;
}

TEST(ledger_move_races,
     "growing and shrinking while others charge, refund and close lose no room and "
     "invent none")
{
    race_to_close(ROUNDS / 400, race_move, race_charge, 200);
}
