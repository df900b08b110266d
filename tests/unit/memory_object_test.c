/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include "core/job.h"
#include "mem/frames.h"
#include "object/memory_object.h"
#include "sched/cpu.h"

#define P UINT64_C(4096)

static struct ledger *root;
static struct ledger *ledger;
static struct ledger_state clean;
static uint64_t frames;

static void start(void)
{
    uint64_t limits[LEDGER_CLASSES];
    root = machine_start(1);
    cpus_init(1);
    machine_limits(limits, 100, 1800);
    CHECK_EQ(ledger_carve(root, limits, "test", &ledger), ST_OK);
    clean = ledger_state(ledger);
    frames = frames_free_count();
}

static void finish(void)
{
    while (job_run_slice()) {
    }
    struct ledger_state now = ledger_state(ledger);
    CHECK_MEM_EQ(&now, &clean, sizeof(now));
    CHECK_EQ(frames_free_count(), frames);
}

static void one_size(uint32_t pages)
{
    struct memory_object *object = NULL;
    CHECK_EQ(memory_object_create(ledger, pages * P, &object), ST_OK);
    for (uint32_t page = 0; page < pages; page++) {
        uint32_t *words = frame_ptr(memory_object_frame(object, page));
        CHECK_EQ(words[0] | words[1023], 0);
        words[0] = page + 1;
    }
    for (uint32_t page = 0; page < pages; page++) {
        uint32_t word;
        memory_object_read(object, page * P, &word, 4);
        CHECK_EQ(word, page + 1);
    }
    kobj_unref(&object->obj);
    finish();
}

TEST(memory_lists, "objects of every shape have their own zeroed frames and give all of them back")
{
    static const uint32_t sizes[] = {1, 2, 7, 8, 9, 10, 255, 256, 257, 511, 512, 513, 520, 1025};
    start();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        one_size(sizes[i]);
    }
}

TEST(memory_refusals, "bad sizes and exhausted ledgers are refused and change nothing")
{
    struct memory_object *object = NULL;
    start();
    CHECK_EQ(memory_object_create(ledger, 0, &object), ST_BAD_ARGUMENT);
    CHECK_EQ(memory_object_create(ledger, 100, &object), ST_BAD_ARGUMENT);
    CHECK_EQ(memory_object_create(ledger, (MEMORY_OBJECT_MAX_PAGES + UINT64_C(1)) * P, &object),
             ST_BAD_ARGUMENT);
    CHECK_EQ(memory_object_create(ledger, UINT64_MAX - P + 1, &object), ST_BAD_ARGUMENT);
    CHECK_EQ(memory_object_create(ledger, 1801 * P, &object), ST_QUOTA);
    CHECK(object == NULL);
    finish();
    for (unsigned n = 1; n < 14; n++) {
        frames_fail_at(n);
        CHECK_EQ(memory_object_create(ledger, 12 * P, &object), ST_QUOTA);
        frames_fail_at(0);
        finish();
    }
}

TEST(memory_text, "a text object has the exact size and is sealed")
{
    struct memory_object *object = NULL;
    char text[5] = "";
    start();
    CHECK_EQ(memory_object_create_text(NULL, "four", 4, &object), ST_OK);
    CHECK_EQ(object->size_bytes, 4);
    CHECK(memory_object_is_sealed(object));
    CHECK_EQ(memory_object_mapping_add(object, true), ST_BAD_STATE);
    memory_object_read(object, 0, text, 4);
    CHECK_STR_EQ(text, "four");
    kobj_unref(&object->obj);
    finish();
}

TEST(memory_borrowed, "an object over foreign frames frees none of them")
{
    struct memory_object *object = NULL;
    start();
    struct paddr frame = frame_alloc_zeroed();
    memcpy(frame_ptr(frame), "payload", 7);
    CHECK_EQ(memory_object_create_borrowed(NULL, frame, 7, &object), ST_OK);
    CHECK_EQ(object->npages, 1);
    char text[8] = "";
    memory_object_read(object, 0, text, 7);
    CHECK_STR_EQ(text, "payload");
    kobj_unref(&object->obj);
    CHECK_EQ(memory_object_create_borrowed(NULL, frame, 0, &object), ST_OK);
    CHECK_EQ(object->npages, 0);
    kobj_unref(&object->obj);
    frame_free(frame);
    finish();
}
