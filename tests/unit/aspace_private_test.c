/* SPDX-License-Identifier: MIT */
/* Copy-on-write: what is written stays with the writer, and its frame was there from the start. */
#include "tests/unit/aspace_space.h"
#include "tests/unit/kernel_machine.h"

#include <pthread.h>

static status_t map_private(struct memory_object *object, uint64_t address, uint64_t offset,
                            uint64_t pages)
{
    struct aspace_op *op = NULL;
    uint64_t at = address;
    return op_run(aspace_map_private(&as, object, NULL, &at, offset, pages * P, &op), &op);
}

static uint32_t word_of(const struct memory_object *object, uint32_t page)
{
    return *(uint32_t *)frame_ptr(memory_object_frame(object, page));
}

/* An object whose pages begin with 100, 101 ... */
static struct memory_object *numbered(uint64_t pages, bool sealed)
{
    struct memory_object *object = object_new(pages);
    for (uint32_t i = 0; i < pages; i++) {
        *(uint32_t *)frame_ptr(memory_object_frame(object, i)) = 100 + i;
    }
    if (sealed) {
        CHECK_EQ(memory_object_seal(object), ST_OK);
    }
    return object;
}

static uint32_t read_word(uint64_t address)
{
    uint32_t word = 0;
    CHECK_EQ(aspace_read(&as, address, &word, 4), ST_OK);
    return word;
}

static void write_word(uint64_t address, uint32_t word)
{
    CHECK_EQ(aspace_write(&as, address, &word, 4), ST_OK);
}

/* As the program's own code does: a fault, if need be, then the store. */
static bool store_word(uint64_t address, uint32_t word)
{
    uint32_t *at = host_user(&as.arch, address, true);
    if (at == NULL && aspace_unshare(&as, address, 1)) {
        at = host_user(&as.arch, address, true);
    }
    if (at != NULL) {
        *at = word;
    }
    return at != NULL;
}

TEST(private_writes,
     "what is written to a private mapping, by the program or by a message, stays there, and its "
     "frames are charged from the start to the end")
{
    start();
    struct memory_object *object = numbered(12, true);
    uint64_t before = used(LEDGER_CLASS_FRAMES);
    CHECK_EQ(map_private(object, BASE, 2 * P, 10), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), before + 10);
    uint64_t free_frames = frames_free_count();
    CHECK_EQ(read_word(BASE + 3 * P), 105);
    write_word(BASE + 3 * P, 7);
    CHECK(store_word(BASE + 4 * P + 8, 9));
    CHECK_EQ(read_word(BASE + 3 * P), 7);
    CHECK_EQ(read_word(BASE + 4 * P), 106);
    CHECK_EQ(read_word(BASE + 4 * P + 8), 9);
    CHECK_EQ(word_of(object, 5), 105);
    CHECK_EQ(((uint32_t *)frame_ptr(memory_object_frame(object, 6)))[2], 0);
    uint8_t bytes[3 * 4096];
    memset(bytes, 0x5a, sizeof(bytes));
    CHECK_EQ(aspace_write(&as, BASE + 6 * P + 100, bytes, sizeof(bytes)), ST_OK);
    CHECK_EQ(aspace_copy(&as, BASE + 200, &as, BASE + 6 * P, 2 * P), ST_OK);
    CHECK_EQ(read_word(BASE + 200), 108);
    CHECK_EQ(frames_free_count(), free_frames);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), before + 10);
    for (uint32_t i = 0; i < 12; i++) {
        CHECK_EQ(word_of(object, i), 100 + i);
    }
    CHECK_EQ(do_unmap(&as, BASE, 10 * P), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), before);
    kobj_unref(&object->obj);
    finish();
}

TEST(private_never_fails, "a write finds its frame when the machine and the ledger have none left")
{
    start();
    struct memory_object *object = numbered(4, false);
    CHECK_EQ(map_private(object, BASE, 0, 4), ST_OK);
    uint64_t rest = ledger_state(ledger).limit[LEDGER_CLASS_FRAMES] - used(LEDGER_CLASS_FRAMES);
    CHECK_EQ(ledger_charge(ledger, LEDGER_CLASS_FRAMES, rest), ST_OK);
    frames_fail_at(1);
    for (uint64_t i = 0; i < 4; i++) {
        write_word(BASE + i * P, 1);
    }
    CHECK(!frames_failed());
    frames_fail_at(0);
    ledger_refund(ledger, LEDGER_CLASS_FRAMES, rest);
    kobj_unref(&object->obj);
    finish();
}

TEST(private_seal,
     "a private mapping hinders no seal, and shows an open object's changes until it is written to")
{
    start();
    struct memory_object *object = numbered(2, false);
    CHECK_EQ(map_private(object, BASE, 0, 2), ST_OK);
    *(uint32_t *)frame_ptr(memory_object_frame(object, 0)) = 55;
    CHECK_EQ(read_word(BASE), 55);
    write_word(BASE, 56);
    *(uint32_t *)frame_ptr(memory_object_frame(object, 0)) = 57;
    CHECK_EQ(read_word(BASE), 56);
    CHECK_EQ(memory_object_seal(object), ST_OK);
    CHECK_EQ(read_word(BASE + P), 101);
    CHECK(store_word(BASE + P, 58));
    CHECK_EQ(read_word(BASE + P), 58);
    CHECK_EQ(word_of(object, 1), 101);
    kobj_unref(&object->obj);
    finish();
}

TEST(private_rights, "a private page obeys protect, copied or not, and is never executable")
{
    start();
    struct memory_object *object = numbered(3, true);
    CHECK_EQ(map_private(object, BASE, 0, 3), ST_OK);
    write_word(BASE, 1);
    CHECK_EQ(do_protect(&as, BASE, 2 * P, PROTECTION_READ), ST_OK);
    CHECK(!store_word(BASE, 2));
    CHECK(!store_word(BASE + P, 2));
    uint32_t word = 2;
    REFUSES(aspace_write(&as, BASE, &word, 4), ST_BAD_ADDRESS);
    REFUSES(aspace_write(&as, BASE + P, &word, 4), ST_BAD_ADDRESS);
    CHECK_EQ(read_word(BASE), 1);
    CHECK_EQ(read_word(BASE + P), 101);
    REFUSES(do_protect(&as, BASE, P, PROTECTION_READ_EXECUTE), ST_BAD_STATE);
    REFUSES(do_decommit(&as, BASE, P), ST_BAD_STATE);
    REFUSES(do_commit(&as, BASE, P, PROTECTION_READ_WRITE), ST_BAD_STATE);
    CHECK_EQ(do_protect(&as, BASE, 2 * P, PROTECTION_READ_WRITE), ST_OK);
    CHECK(store_word(BASE, 3));
    write_word(BASE + P, 4);
    CHECK_EQ(read_word(BASE), 3);
    CHECK_EQ(word_of(object, 0), 100);
    CHECK_EQ(word_of(object, 1), 101);
    kobj_unref(&object->obj);
    finish();
}

TEST(private_refusals,
     "a private mapping is refused for want of any class, and for a bad place, and changes nothing")
{
    static const enum LedgerClass classes[] = {LEDGER_CLASS_FRAMES, LEDGER_CLASS_VIRTUAL_PAGES,
                                               LEDGER_CLASS_KERNEL_PAGES};
    start();
    struct memory_object *object = numbered(9, true);
    REFUSES(map_private(object, BASE, 0, 10), ST_BAD_ARGUMENT);
    REFUSES(map_private(object, BASE, 9 * P, 1), ST_BAD_ARGUMENT);
    REFUSES(map_private(object, BASE, 1, 1), ST_BAD_ARGUMENT);
    REFUSES(map_private(object, BASE, 0, 0), ST_BAD_ARGUMENT);
    REFUSES(map_private(object, P, 0, 1), ST_BAD_ARGUMENT);
    CHECK_EQ(reserve(BASE + 8 * P, 1), BASE + 8 * P);
    REFUSES(map_private(object, BASE, 0, 9), ST_EXISTS);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t rest = ledger_state(ledger).limit[classes[i]] - used(classes[i]);
        CHECK_EQ(ledger_charge(ledger, classes[i], rest), ST_OK);
        REFUSES(map_private(object, BASE + (UINT64_C(1) << 40), 0, 9), ST_QUOTA);
        ledger_refund(ledger, classes[i], rest);
    }
    CHECK_EQ(object->mappings, 0);
    for (unsigned n = 1;; n++) {
        struct state before = state_now();
        frames_fail_at(n);
        status_t status = map_private(object, BASE + (UINT64_C(1) << 40), 0, 9);
        bool failed = frames_failed();
        frames_fail_at(0);
        if (!failed) {
            CHECK_EQ(status, ST_OK);
            CHECK(n > 9);
            break;
        }
        struct state after = state_now();
        CHECK_EQ(status, ST_QUOTA);
        CHECK_MEM_EQ(&before, &after, sizeof(after));
    }
    kobj_unref(&object->obj);
    finish();
}

TEST(private_other_cpu,
     "nobody writes to a copy before every CPU has forgotten the page it was made of")
{
    start();
    struct memory_object *object = numbered(2, true);
    CHECK_EQ(map_private(object, BASE, 0, 2), ST_OK);
    other_cpu(&as.arch);
    uint64_t ticket = as.arch.generation;
    CHECK(store_word(BASE, 1));
    CHECK(as.arch.generation > ticket);
    CHECK(arch_tlb_done(&as.arch, as.arch.generation)); /* it was waited for */
    write_word(BASE + P, 2);
    CHECK(arch_tlb_done(&as.arch, as.arch.generation));
    CHECK_EQ(word_of(object, 0), 100);
    other_cpu(NULL);
    kobj_unref(&object->obj);
    finish();
}

TEST(private_dies,
     "a space that dies while a private mapping is made, used or taken away keeps nothing")
{
    for (int slices = 0; slices < 30; slices++) {
        struct aspace_op *op;
        uint64_t at = BASE;
        start();
        struct memory_object *object = numbered(200, true);
        CHECK_EQ(aspace_map_private(&as, object, NULL, &at, 0, 200 * P, &op), ST_PENDING);
        bool through = false;
        for (int i = 0; i < slices && !through; i++) {
            through = aspace_op_slice(op, 120);
        }
        if (through) {
            CHECK_EQ(aspace_op_end(op), ST_OK);
            write_word(BASE + 17 * P, 1);
            write_word(BASE + 199 * P, 1);
            CHECK_EQ(aspace_unmap(&as, BASE, 200 * P, &op), ST_PENDING);
            through = aspace_op_slice(op, slices);
        }
        CHECK(!aspace_destroy_slice(&as));
        while (!through) {
            through = aspace_op_slice(op, 24);
        }
        (void)aspace_op_end(op);
        kobj_unref(&object->obj);
        finish();
    }
}

static struct memory_object *common;
enum { RACE_PAGES = 16, RACE_ROUNDS = 200, RACERS = 3 };

/* Each racer has a word of its own in every page. */
static void *race(void *arg)
{
    uintptr_t self = (uintptr_t)arg;
    host_become((unsigned)self);
    host_aspace_load(&as.arch);
    for (uint64_t i = 0; i < RACE_PAGES; i++) {
        uint64_t at = BASE + (i * 5 + self) % RACE_PAGES * P + 64 * self;
        uint32_t word = (uint32_t)self;
        if (i % 2 == 0) {
            CHECK_EQ(aspace_write(&as, at, &word, 4), ST_OK);
        } else {
            CHECK(aspace_unshare(&as, at, 4));
            *(uint32_t *)host_user(&as.arch, at, true) = word;
        }
        CHECK_EQ(read_word(at), self);
        host_tlb_acknowledge();
    }
    host_aspace_load(NULL);
    return NULL;
}

TEST(private_race, "CPUs that write to the same fresh pages at once lose no write, no frame and no "
                   "page of the object")
{
    start_cpus(RACERS + 1);
    common = numbered(RACE_PAGES, true);
    for (unsigned round = 0; round < RACE_ROUNDS; round++) {
        pthread_t threads[RACERS];
        CHECK_EQ(map_private(common, BASE, 0, RACE_PAGES), ST_OK);
        for (uintptr_t i = 0; i < RACERS; i++) {
            CHECK_EQ(pthread_create(&threads[i], NULL, race, (void *)(i + 1)), 0);
        }
        for (unsigned i = 0; i < RACERS; i++) {
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
        }
        host_become(0);
        for (uint64_t i = 0; i < RACE_PAGES; i++) {
            for (uint64_t racer = 1; racer <= RACERS; racer++) {
                CHECK_EQ(read_word(BASE + i * P + 64 * racer), racer);
            }
            CHECK_EQ(word_of(common, (uint32_t)i), 100 + i);
        }
        CHECK_EQ(do_unmap(&as, BASE, RACE_PAGES * P), ST_OK);
        run_jobs();
    }
    kobj_unref(&common->obj);
    finish();
}
