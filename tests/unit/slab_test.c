/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include "mem/frames.h"
#include "mem/slab.h"

enum { OBJECTS = 600 };

struct item {
    uint8_t *ptr;
    size_t size;
    uint8_t fill;
};

static struct ledger *root;
static struct ledger *ledger;
static struct ledger_state clean;
static uint64_t frames;

static void start(uint64_t pages)
{
    uint64_t limits[LEDGER_CLASSES];
    root = machine_start(2);
    machine_limits(limits, 100, pages);
    CHECK_EQ(ledger_carve(root, limits, "test", &ledger), ST_OK);
    clean = ledger_state(ledger);
    frames = frames_free_count();
}

static void check_clean(void)
{
    struct ledger_state now = ledger_state(ledger);
    CHECK_MEM_EQ(&now, &clean, sizeof(now));
    CHECK_EQ(frames_free_count(), frames);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static bool all_are(const uint8_t *bytes, size_t count, uint8_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

TEST(slab_sizes, "an object of every size is zeroed, aligned and costs one page, then none")
{
    start(10);
    for (size_t size = 1; size <= SLAB_MAX_BYTES; size++) {
        uint8_t *object = slab_alloc(ledger, size);
        CHECK(object != NULL);
        CHECK_EQ((uintptr_t)object % 64, 0);
        CHECK(all_are(object, size, 0));
        CHECK_EQ(ledger_state(ledger).used[LEDGER_CLASS_KERNEL_PAGES], 1);
        memset(object, 0xee, size);
        slab_free(object);
        check_clean();
    }
}

TEST(slab_shares, "objects of one size share a page, and a page goes back with its last object")
{
    start(10);
    void *objects[64];
    for (int i = 0; i < 64; i++) {
        objects[i] = slab_alloc(ledger, 64);
        CHECK(objects[i] != NULL);
    }
    CHECK_EQ(ledger_state(ledger).used[LEDGER_CLASS_KERNEL_PAGES], 2);
    slab_free(objects[63]);
    CHECK_EQ(ledger_state(ledger).used[LEDGER_CLASS_KERNEL_PAGES], 1);
    for (int i = 0; i < 63; i++) {
        slab_free(objects[i]);
    }
    check_clean();
}

TEST(slab_quota, "a ledger without room gives nothing and changes nothing; so do a machine without")
{
    start(1);
    void *first = slab_alloc(ledger, 64);
    struct ledger_state before = ledger_state(ledger);
    CHECK(slab_alloc(ledger, 128) == NULL);
    CHECK(kpage_alloc(ledger) == NULL);
    struct ledger_state after = ledger_state(ledger);
    CHECK_MEM_EQ(&before, &after, sizeof(after));
    slab_free(first);
    check_clean();
    while (!paddr_is_none(frame_alloc())) {
    }
    CHECK(slab_alloc(ledger, 64) == NULL);
    CHECK(kpage_alloc(ledger) == NULL);
    struct ledger_state now = ledger_state(ledger);
    CHECK_MEM_EQ(&now, &clean, sizeof(now));
}

TEST(slab_random, "a long random life of objects keeps their contents apart and leaks nothing")
{
    static struct item items[OBJECTS];
    uint64_t seed = 5;
    start(2000);
    for (unsigned step = 0; step < 40000; step++) {
        struct item *item = &items[next_random(&seed) % OBJECTS];
        if (item->ptr != NULL) {
            CHECK(all_are(item->ptr, item->size, item->fill));
            slab_free(item->ptr);
            item->ptr = NULL;
        } else {
            item->size = 1 + next_random(&seed) % SLAB_MAX_BYTES;
            item->fill = (uint8_t)step;
            item->ptr = slab_alloc(ledger, item->size);
            CHECK(item->ptr != NULL && all_are(item->ptr, item->size, 0));
            memset(item->ptr, item->fill, item->size);
        }
    }
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (items[i].ptr != NULL) {
            slab_free(items[i].ptr);
        }
    }
    check_clean();
}

TEST(slab_kernel, "the kernel's own objects are charged to nobody")
{
    start(1);
    void *object = slab_alloc(NULL, 100);
    void *page = kpage_alloc(NULL);
    CHECK(object != NULL && page != NULL);
    CHECK_EQ(ledger_state(ledger).used[LEDGER_CLASS_KERNEL_PAGES], 0);
    kpage_free(NULL, page);
    slab_free(object);
    check_clean();
}

TEST(slab_double_free, "an object freed twice is a panic")
{
    start(4);
    void *keep = slab_alloc(ledger, 64);
    void *object = slab_alloc(ledger, 64);
    slab_free(object);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        (void)!freopen("/dev/null", "w", stderr);
        slab_free(object);
        _exit(0);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    CHECK(!(WIFEXITED(status) && WEXITSTATUS(status) == 0));
    slab_free(keep);
    check_clean();
}
