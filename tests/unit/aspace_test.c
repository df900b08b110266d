/* SPDX-License-Identifier: MIT */
#include "tests/unit/aspace_space.h"
#include "tests/unit/kernel_machine.h"

#include <pthread.h>

TEST(aspace_empty, "an empty space costs its root table and gives it back")
{
    start();
    CHECK_EQ(used(LEDGER_CLASS_KERNEL_PAGES), 1);
    finish();
}

TEST(aspace_reserve_checks, "reserve refuses bad ranges and occupied ones, and charges pages")
{
    uint64_t at = 77;
    start();
    REFUSES(aspace_reserve(&as, BASE, 0, &at), ST_BAD_ARGUMENT);
    REFUSES(aspace_reserve(&as, BASE + 1, P, &at), ST_BAD_ARGUMENT);
    REFUSES(aspace_reserve(&as, BASE, P + 1, &at), ST_BAD_ARGUMENT);
    REFUSES(aspace_reserve(&as, P, P, &at), ST_BAD_ARGUMENT);
    REFUSES(aspace_reserve(&as, ARCH_USER_END, P, &at), ST_BAD_ARGUMENT);
    REFUSES(aspace_reserve(&as, UINT64_MAX - P + 1, P, &at), ST_BAD_ARGUMENT);
    REFUSES(aspace_reserve(&as, BASE, UINT64_MAX - P + 1, &at), ST_BAD_ARGUMENT);
    REFUSES(aspace_reserve(&as, 0, UINT64_C(1) << 63, &at), ST_BAD_ARGUMENT);
    REFUSES(aspace_reserve(&as, BASE, (UINT64_C(1) << 31) * P, &at), ST_QUOTA);
    CHECK_EQ(at, 77);
    CHECK_EQ(reserve(BASE, 10), BASE);
    CHECK_EQ(used(LEDGER_CLASS_VIRTUAL_PAGES), 10);
    REFUSES(aspace_reserve(&as, BASE, P, &at), ST_EXISTS);
    REFUSES(aspace_reserve(&as, BASE + 9 * P, P, &at), ST_EXISTS);
    REFUSES(aspace_reserve(&as, BASE - P, 2 * P, &at), ST_EXISTS);
    REFUSES(aspace_reserve(&as, BASE - P, 20 * P, &at), ST_EXISTS);
    CHECK_EQ(reserve(BASE - P, 1), BASE - P);
    CHECK_EQ(reserve(BASE + 10 * P, 1), BASE + 10 * P);
    finish();
}

TEST(aspace_choose,
     "the kernel chooses free places, and the same one again after it was given back")
{
    start();
    uint64_t a = reserve(0, 4);
    uint64_t b = reserve(0, 4);
    CHECK_EQ(a, CAPOS_MMAP_BASE);
    CHECK_EQ(b, a + 4 * P);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(do_unmap(&as, a, 4 * P), ST_OK);
        CHECK_EQ(reserve(0, 4), a);
    }
    CHECK_EQ(do_unmap(&as, a, 4 * P), ST_OK);
    CHECK_EQ(reserve(0, 5), b + 4 * P);
    CHECK_EQ(reserve(0, 1), a);
    uint64_t at;
    REFUSES(aspace_reserve(&as, 0, CAPOS_HOME_BASE - CAPOS_MMAP_BASE, &at), ST_QUOTA);
    finish();
}

TEST(aspace_choose_crowded, "a place is found behind more small gaps than are looked at")
{
    start();
    for (uint64_t i = 0; i < 200; i++) {
        (void)reserve(CAPOS_MMAP_BASE + 2 * i * P, 1);
    }
    CHECK_EQ(reserve(0, 2), CAPOS_MMAP_BASE + 399 * P);
    CHECK_EQ(reserve(0, 1), CAPOS_MMAP_BASE + P);
    finish();
}

TEST(aspace_scatter, "whatever is drawn, start page, stack with its guards and first ring share "
                     "one table and no page, "
                     "and choosing begins below them")
{
    enum { STACK = 256, RING = 62 };
    start();
    uint64_t random[2] = {UINT64_MAX, UINT64_MAX};
    for (unsigned i = 0; i < 20000; i++) {
        aspace_scatter(&as, random);
        random[0] = random[0] * UINT64_C(6364136223846793005) + 1;
        random[1] = random[0] ^ random[1] >> 1;
        CHECK(as.image_at >= CAPOS_IMAGE_BASE &&
              as.image_at < CAPOS_MMAP_BASE - (UINT64_C(1) << 40));
        CHECK(page_aligned(as.image_at));
        uint64_t home = as.capset >> 21;
        uint64_t mapped_from = as.zone_start[0], ring = as.zone_start[1];
        CHECK(as.capset >= CAPOS_HOME_BASE);
        CHECK(as.capset + P <= as.stack_top - (STACK + 1) * P);
        CHECK(as.stack_top + P <= ring);
        CHECK_EQ((ring + RING * P - 1) >> 21, home);
        CHECK((home << 21) + (UINT64_C(1) << 30) <= CAPOS_USER_END);
        CHECK(mapped_from >= CAPOS_MMAP_BASE && mapped_from < CAPOS_HOME_BASE);
        CHECK_EQ(mapped_from & ((1 << 21) - 1), 0);
        CHECK(page_aligned(as.capset) && page_aligned(as.stack_top) && page_aligned(ring));
    }
    random[0] = UINT64_C(0x123456789abcdef0);
    aspace_scatter(&as, random);
    uint64_t first = reserve(0, 4), second = reserve(0, 2);
    CHECK_EQ(first, as.zone_start[0]);
    CHECK_EQ(do_unmap(&as, first, 4 * P), ST_OK);
    CHECK_EQ(reserve(CAPOS_MMAP_BASE, 1), CAPOS_MMAP_BASE); /* below: nobody chooses there */
    CHECK_EQ(do_unmap(&as, CAPOS_MMAP_BASE, P), ST_OK);
    CHECK_EQ(reserve(0, 4), first);
    CHECK_EQ(second, first + 4 * P);
    finish();
}

TEST(aspace_commit, "committed pages are zero, charged, and hold what is written")
{
    uint8_t bytes[3 * 4096];
    start();
    (void)reserve(BASE, 16);
    CHECK_EQ(do_commit(&as, BASE + P, 3 * P, PROTECTION_READ_WRITE), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 3);
    CHECK_EQ(aspace_read(&as, BASE + P, bytes, sizeof(bytes)), ST_OK);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        CHECK_EQ(bytes[i], 0);
        bytes[i] = (uint8_t)(i * 7);
    }
    CHECK_EQ(aspace_write(&as, BASE + P, bytes, sizeof(bytes)), ST_OK);
    uint8_t back[100];
    CHECK_EQ(aspace_read(&as, BASE + 2 * P - 50, back, 100), ST_OK);
    CHECK_MEM_EQ(back, bytes + P - 50, 100);
    finish();
}

TEST(aspace_commit_checks,
     "commit refuses what is not reserved, committed, or too much, and changes nothing")
{
    start();
    (void)reserve(BASE, 1100);
    CHECK_EQ(do_commit(&as, BASE + 4 * P, P, PROTECTION_READ), ST_OK);
    REFUSES(do_commit(&as, BASE + 2 * P, 5 * P, PROTECTION_READ_WRITE), ST_BAD_STATE);
    REFUSES(do_commit(&as, BASE - P, 2 * P, PROTECTION_READ_WRITE), ST_BAD_STATE);
    REFUSES(do_commit(&as, BASE + 1099 * P, 2 * P, PROTECTION_READ_WRITE), ST_BAD_STATE);
    REFUSES(do_commit(&as, BASE, (ASPACE_MAX_PAGES + 1) * P, PROTECTION_READ_WRITE),
            ST_BAD_ARGUMENT);
    REFUSES(do_commit(&as, BASE, P, PROTECTION_NONE), ST_BAD_ARGUMENT);
    REFUSES(do_commit(&as, BASE, P, (enum Protection)9), ST_BAD_ARGUMENT);
    REFUSES(do_commit(&as, BASE + 1, P, PROTECTION_READ), ST_BAD_ARGUMENT);
    CHECK_EQ(aspace_guard(&as, BASE - 2 * P, 2 * P), ST_OK);
    REFUSES(do_commit(&as, BASE - P, P, PROTECTION_READ), ST_BAD_STATE);
    REFUSES(do_unmap(&as, BASE - 2 * P, 2 * P), ST_BAD_STATE);
    finish();
}

TEST(aspace_commit_largest, "1024 pages are committed at once and a quota stops the next ones")
{
    start();
    (void)reserve(BASE, 4096);
    CHECK_EQ(do_commit(&as, BASE, 1024 * P, PROTECTION_READ_WRITE), ST_OK);
    REFUSES(do_commit(&as, BASE + 1024 * P, 1024 * P, PROTECTION_READ_WRITE), ST_QUOTA);
    CHECK_EQ(do_unmap(&as, BASE, 4096 * P), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 0);
    CHECK_EQ(used(LEDGER_CLASS_VIRTUAL_PAGES), 0);
    finish();
}

TEST(aspace_decommit,
     "decommit gives frames back, passes over holes, and the range can be committed anew")
{
    start();
    (void)reserve(BASE, 64);
    REFUSES(do_decommit(&as, BASE, 65 * P), ST_BAD_STATE);
    REFUSES(do_decommit(&as, BASE + P / 2, P), ST_BAD_ARGUMENT);
    CHECK_EQ(do_decommit(&as, BASE, 64 * P), ST_OK);
    for (uint64_t i = 0; i < 64; i += 2) {
        CHECK_EQ(do_commit(&as, BASE + i * P, P, PROTECTION_READ_WRITE), ST_OK);
    }
    CHECK_EQ(do_decommit(&as, BASE + 10 * P, 20 * P), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 22);
    uint8_t byte;
    CHECK_EQ(aspace_read(&as, BASE + 10 * P, &byte, 1), ST_BAD_ADDRESS);
    CHECK_EQ(aspace_read(&as, BASE + 30 * P, &byte, 1), ST_OK);
    CHECK_EQ(do_commit(&as, BASE + 9 * P, 21 * P, PROTECTION_READ_WRITE), ST_OK);
    CHECK_EQ(do_decommit(&as, BASE, 64 * P), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 0);
    CHECK_EQ(do_unmap(&as, BASE, 64 * P), ST_OK);
    finish();
}

TEST(aspace_sparse,
     "a huge reservation with a page at either end goes in steps and in its destruction")
{
    uint64_t huge = UINT64_C(1) << 27; /* pages: 512 GiB */
    start();
    (void)reserve(CAPOS_MMAP_BASE, huge);
    CHECK_EQ(do_commit(&as, CAPOS_MMAP_BASE, P, PROTECTION_READ), ST_OK);
    CHECK_EQ(do_commit(&as, CAPOS_MMAP_BASE + (huge / 64) * P, P, PROTECTION_READ), ST_OK);
    finish();
    start();
    (void)reserve(CAPOS_MMAP_BASE, huge);
    CHECK_EQ(do_commit(&as, CAPOS_MMAP_BASE, P, PROTECTION_READ), ST_OK);
    CHECK_EQ(do_commit(&as, CAPOS_MMAP_BASE + (huge - 1) * P, P, PROTECTION_READ), ST_OK);
    CHECK_EQ(do_decommit(&as, CAPOS_MMAP_BASE + (huge - 1) * P, P), ST_OK);
    CHECK_EQ(do_decommit(&as, CAPOS_MMAP_BASE + P, 1023 * P), ST_OK);
    CHECK_EQ(do_unmap(&as, CAPOS_MMAP_BASE, huge * P), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 0);
    CHECK_EQ(used(LEDGER_CLASS_VIRTUAL_PAGES), 0);
    finish();
}

TEST(aspace_protect, "rights change page by page, never to write and execute, and copies obey them")
{
    unsigned prot;
    uint8_t byte = 1;
    start();
    (void)reserve(BASE, 8);
    CHECK_EQ(do_commit(&as, BASE, 4 * P, PROTECTION_READ_WRITE), ST_OK);
    REFUSES(do_protect(&as, BASE, 5 * P, PROTECTION_READ), ST_BAD_STATE);
    REFUSES(do_protect(&as, BASE, 4 * P, PROTECTION_NONE), ST_BAD_ARGUMENT);
    CHECK_EQ(do_protect(&as, BASE + P, P, PROTECTION_READ_EXECUTE), ST_OK);
    CHECK(page_state(BASE + P, &prot));
    CHECK_EQ(prot, ARCH_PROT_EXECUTE);
    CHECK(page_state(BASE, &prot));
    CHECK_EQ(prot, ARCH_PROT_WRITE);
    CHECK_EQ(aspace_write(&as, BASE + P, &byte, 1), ST_BAD_ADDRESS);
    CHECK_EQ(aspace_read(&as, BASE + P, &byte, 1), ST_OK);
    finish();
}

TEST(aspace_unmap_whole, "unmap ends whole regions only")
{
    start();
    REFUSES(do_unmap(&as, BASE, P), ST_BAD_STATE);
    (void)reserve(BASE, 4);
    (void)reserve(BASE + 4 * P, 4);
    (void)reserve(BASE + 16 * P, 4);
    CHECK_EQ(do_commit(&as, BASE + P, 2 * P, PROTECTION_READ_WRITE), ST_OK);
    REFUSES(do_unmap(&as, BASE, 3 * P), ST_BAD_STATE);
    REFUSES(do_unmap(&as, BASE + P, 7 * P), ST_BAD_STATE);
    REFUSES(do_unmap(&as, BASE, 17 * P), ST_BAD_STATE);
    CHECK_EQ(do_unmap(&as, BASE - 4 * P, 16 * P), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_VIRTUAL_PAGES), 4);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 0);
    for (uint64_t i = 0; i < 65; i++) {
        (void)reserve(BASE + 2 * i * P + 64 * P, 1);
    }
    REFUSES(do_unmap(&as, BASE, 1024 * P), ST_BAD_ARGUMENT);
    finish();
}

TEST(aspace_kernel_pages, "ring pages are neither message buffers nor the program's to change")
{
    uint8_t bytes[16] = {0};
    start();
    struct paddr ring[2] = {frame_alloc_zeroed(), frame_alloc_zeroed()};
    struct paddr capset = frame_alloc_zeroed();
    CHECK_EQ(map_kernel(as.zone_start[1], ring, 2, true), ST_OK);
    CHECK_EQ(map_kernel(as.capset, &capset, 1, false), ST_OK);
    REFUSES(map_kernel(as.zone_start[1] + P, ring, 2, true), ST_EXISTS);
    (void)reserve(as.zone_start[1] + 2 * P, 2);
    CHECK_EQ(do_commit(&as, as.zone_start[1] + 2 * P, P, PROTECTION_READ_WRITE), ST_OK);
    CHECK_EQ(aspace_read(&as, as.zone_start[1] + 8, bytes, 16), ST_BAD_ADDRESS);
    CHECK_EQ(aspace_write(&as, as.zone_start[1] + 8, bytes, 16), ST_BAD_ADDRESS);
    CHECK_EQ(aspace_write(&as, as.zone_start[1] + 2 * P - 8, bytes, 16), ST_BAD_ADDRESS);
    CHECK_EQ(aspace_write(&as, as.zone_start[1] + 2 * P, bytes, 16), ST_OK);
    CHECK_EQ(aspace_read(&as, as.capset, bytes, 16), ST_OK);
    CHECK_EQ(aspace_write(&as, as.capset, bytes, 16), ST_BAD_ADDRESS);
    REFUSES(do_decommit(&as, as.zone_start[1], 2 * P), ST_BAD_STATE);
    REFUSES(do_protect(&as, as.capset, P, PROTECTION_READ_WRITE), ST_BAD_STATE);
    REFUSES(do_unmap(&as, as.zone_start[1], 2 * P), ST_BAD_STATE);
    unmap_kernel(as.zone_start[1]);
    CHECK_EQ(aspace_read(&as, as.zone_start[1] + 8, bytes, 16), ST_BAD_ADDRESS);
    frame_free(ring[0]);
    frame_free(ring[1]);
    frame_free(capset);
    finish();
}

/* CPU 1 has the space loaded, and remembers what it has seen until it says otherwise. */
TEST(aspace_quarantine, "a frame that another CPU may remember is not reused before it has let go")
{
    start();
    (void)reserve(BASE, 600);
    (void)reserve(BASE + 600 * P, 1);
    CHECK_EQ(do_commit(&as, BASE, 600 * P, PROTECTION_READ_WRITE), ST_OK);
    uint64_t free_before = frames_free_count();
    other_cpu(&as.arch);
    CHECK_EQ(do_decommit(&as, BASE, 600 * P), ST_OK);
    CHECK(job_run_slice());
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 600);
    CHECK_EQ(frames_free_count(), free_before);
    uint8_t byte = 1;
    CHECK_EQ(aspace_read(&as, BASE, &byte, 1), ST_BAD_ADDRESS);
    REFUSES(do_commit(&as, BASE, P, PROTECTION_READ), ST_BUSY);
    REFUSES(do_decommit(&as, BASE, P), ST_BUSY);
    REFUSES(do_protect(&as, BASE, P, PROTECTION_READ), ST_BUSY);
    REFUSES(do_unmap(&as, BASE, 601 * P), ST_BUSY);
    CHECK_EQ(do_commit(&as, BASE + 600 * P, P, PROTECTION_READ), ST_OK);
    CHECK_EQ(do_unmap(&as, BASE + 600 * P, P), ST_OK);
    do {
        other_cpu_forgets();
    } while (job_run_slice());
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 0);
    CHECK_EQ(do_commit(&as, BASE, P, PROTECTION_READ), ST_OK);
    CHECK_EQ(do_unmap(&as, BASE, 600 * P), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_VIRTUAL_PAGES), 600);
    other_cpu(NULL);
    run_jobs();
    CHECK_EQ(used(LEDGER_CLASS_VIRTUAL_PAGES), 0);
    finish();
}

TEST(aspace_quarantine_one,
     "one page, too, keeps its frame until the other CPU has let go of it, and then it is free")
{
    start();
    (void)reserve(BASE, 16);
    CHECK_EQ(do_commit(&as, BASE, P, PROTECTION_READ_WRITE), ST_OK);
    CHECK_EQ(do_commit(&as, BASE + 8 * P, P, PROTECTION_READ_WRITE), ST_OK);
    uint64_t free_before = frames_free_count();
    other_cpu(&as.arch);
    CHECK_EQ(do_decommit(&as, BASE, P), ST_OK);
    CHECK(job_pending());
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 2);
    CHECK_EQ(frames_free_count(), free_before);
    uint8_t byte = 1;
    CHECK_EQ(aspace_read(&as, BASE, &byte, 1), ST_BAD_ADDRESS);
    REFUSES(do_commit(&as, BASE, P, PROTECTION_READ), ST_BUSY);
    REFUSES(do_decommit(&as, BASE + 8 * P, P), ST_BUSY);
    do {
        other_cpu_forgets();
    } while (job_run_slice());
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 1);
    CHECK_EQ(frames_free_count(), free_before + 1);
    CHECK_EQ(aspace_read(&as, BASE + 8 * P, &byte, 1), ST_OK);
    other_cpu(NULL);
    CHECK_EQ(do_decommit(&as, BASE + 8 * P, P), ST_OK);
    CHECK(!job_pending()); /* nobody else has it: at once */
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 0);
    CHECK_EQ(frames_free_count(), free_before + 2);
    finish();
}

TEST(aspace_quarantine_empty,
     "taking nothing out of a space that another CPU has loaded leaves nothing waiting")
{
    start();
    (void)reserve(BASE, 16);
    CHECK_EQ(do_commit(&as, BASE, P, PROTECTION_READ), ST_OK);
    CHECK_EQ(do_commit(&as, BASE + 8 * P, P, PROTECTION_READ), ST_OK);
    other_cpu(&as.arch);
    CHECK_EQ(do_decommit(&as, BASE + 2 * P, P), ST_OK);
    CHECK_EQ(do_decommit(&as, BASE + 4 * P, P), ST_OK);
    CHECK(!job_pending());
    CHECK_EQ(do_decommit(&as, BASE, P), ST_OK);
    CHECK_EQ(as.ops, 1);
    other_cpu(NULL);
    run_jobs();
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 1);
    CHECK_EQ(do_decommit(&as, BASE + 8 * P, P), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 0);
    finish();
}

TEST(aspace_busy_elsewhere, "operations on different regions go on at the same time")
{
    struct aspace_op *op[3];
    start();
    for (uint64_t i = 0; i < 3; i++) {
        (void)reserve(BASE + i * 100 * P, 100);
        CHECK_EQ(aspace_commit(&as, BASE + i * 100 * P, 100 * P, PROTECTION_READ, &op[i]),
                 ST_PENDING);
    }
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), 300);
    for (unsigned through = 0; through != 7;) {
        for (unsigned i = 0; i < 3; i++) {
            if ((through >> i & 1) == 0 && aspace_op_slice(op[i], 16)) {
                CHECK_EQ(aspace_op_end(op[i]), ST_OK);
                through |= 1u << i;
            }
        }
    }
    CHECK_EQ(as.committed_pages, 300);
    CHECK_EQ(as.ops, 0);
    finish();
}

TEST(aspace_dies_at_work,
     "a space that dies while operations are at work waits for them and keeps nothing")
{
    for (int slices = 0; slices < 40; slices++) {
        struct aspace_op *op[4];
        start();
        struct memory_object *object = NULL;
        CHECK_EQ(memory_object_create(ledger, 200 * P, &object), ST_OK);
        (void)reserve(BASE, 200);
        (void)reserve(BASE + 400 * P, 200);
        (void)reserve(BASE + 800 * P, 200);
        CHECK_EQ(do_commit(&as, BASE + 400 * P, 200 * P, PROTECTION_READ), ST_OK);
        CHECK_EQ(do_commit(&as, BASE + 800 * P, 200 * P, PROTECTION_READ), ST_OK);
        CHECK_EQ(aspace_commit(&as, BASE, 200 * P, PROTECTION_READ, &op[0]), ST_PENDING);
        CHECK_EQ(aspace_decommit(&as, BASE + 400 * P, 200 * P, &op[1]), ST_PENDING);
        uint64_t at = BASE + 1200 * P;
        CHECK_EQ(
            aspace_map_object(&as, object, NULL, &at, 0, 200 * P, PROTECTION_READ_WRITE, &op[2]),
            ST_PENDING);
        CHECK_EQ(aspace_unmap(&as, BASE + 800 * P, 200 * P, &op[3]), ST_PENDING);
        bool through[4] = {false};
        for (int i = 0; i < slices; i++) {
            through[i % 4] = through[i % 4] || aspace_op_slice(op[i % 4], 24);
        }
        CHECK(!aspace_destroy_slice(&as));
        for (int i = 0; i < 4; i++) {
            for (int n = 0; !through[i]; n++) {
                CHECK(n < 100);
                through[i] = aspace_op_slice(op[i], 24);
            }
            (void)aspace_op_end(op[i]);
        }
        kobj_unref(&object->obj);
        finish();
    }
}

TEST(aspace_map_object,
     "an object is mapped, shared and given back, and its rights are those of the map")
{
    uint64_t at = 0;
    uint64_t again = 0;
    uint32_t word = 0xfeedface;
    start();
    struct memory_object *object = object_new(20);
    REFUSES(do_map_object(&as, object, BASE, 0, 21 * P, PROTECTION_READ, &at), ST_BAD_ARGUMENT);
    REFUSES(do_map_object(&as, object, BASE, 20 * P, P, PROTECTION_READ, &at), ST_BAD_ARGUMENT);
    REFUSES(do_map_object(&as, object, BASE, UINT64_MAX - P + 1, 2 * P, PROTECTION_READ, &at),
            ST_BAD_ARGUMENT);
    REFUSES(do_map_object(&as, object, BASE, 0, P, PROTECTION_NONE, &at), ST_BAD_ARGUMENT);
    REFUSES(do_map_object(&as, object, BASE, 0, P, PROTECTION_READ_EXECUTE, &at), ST_NOT_SEALED);
    CHECK_EQ(do_map_object(&as, object, BASE, 2 * P, 3 * P, PROTECTION_READ_WRITE, &at), ST_OK);
    CHECK_EQ(at, BASE);
    CHECK_EQ(do_map_object(&as, object, 0, 0, 20 * P, PROTECTION_READ, &again), ST_OK);
    REFUSES(do_map_object(&as, object, BASE + 2 * P, 0, P, PROTECTION_READ, &at), ST_EXISTS);
    CHECK_EQ(aspace_write(&as, BASE + 4, &word, 4), ST_OK);
    word = 0;
    CHECK_EQ(aspace_read(&as, again + 2 * P + 4, &word, 4), ST_OK);
    CHECK_EQ(word, 0xfeedface);
    CHECK_EQ(aspace_write(&as, again, &word, 4), ST_BAD_ADDRESS);
    REFUSES(do_protect(&as, again, P, PROTECTION_READ_WRITE), ST_BAD_STATE);
    CHECK_EQ(memory_object_seal(object), ST_BUSY);
    CHECK_EQ(do_protect(&as, BASE, 3 * P, PROTECTION_READ), ST_OK);
    CHECK_EQ(memory_object_seal(object), ST_BUSY);
    CHECK_EQ(do_unmap(&as, BASE, 3 * P), ST_OK);
    CHECK_EQ(memory_object_seal(object), ST_OK);
    REFUSES(do_map_object(&as, object, BASE, 0, P, PROTECTION_READ_WRITE, &at), ST_BAD_STATE);
    CHECK_EQ(do_map_object(&as, object, BASE, 0, P, PROTECTION_READ_EXECUTE, &at), ST_OK);
    REFUSES(do_commit(&as, BASE, P, PROTECTION_READ), ST_BAD_STATE);
    REFUSES(do_decommit(&as, BASE, P), ST_BAD_STATE);
    kobj_unref(&object->obj);
    CHECK_EQ(do_unmap(&as, again, 20 * P), ST_OK);
    finish();
}

TEST(aspace_seal_waits,
     "an object stays unsealed while another CPU may remember a writable mapping")
{
    uint64_t at;
    start();
    struct memory_object *object = object_new(1);
    CHECK_EQ(do_map_object(&as, object, BASE, 0, P, PROTECTION_READ_WRITE, &at), ST_OK);
    other_cpu(&as.arch);
    CHECK_EQ(do_unmap(&as, BASE, P), ST_OK);
    CHECK_EQ(memory_object_seal(object), ST_BUSY);
    other_cpu(NULL);
    run_jobs();
    CHECK_EQ(memory_object_seal(object), ST_OK);
    kobj_unref(&object->obj);
    finish();
}

/* Runs `operation` with the allocator failing at the first, second ... call until it succeeds. */
static void fail_everywhere(status_t (*operation)(void))
{
    for (unsigned n = 1; n < 200; n++) {
        struct state before = state_now();
        frames_fail_at(n);
        status_t status = operation();
        bool failed = frames_failed();
        frames_fail_at(0);
        if (!failed) {
            CHECK_EQ(status, ST_OK);
            return;
        }
        struct state after = state_now();
        CHECK_EQ(status, ST_QUOTA);
        CHECK_MEM_EQ(&before, &after, sizeof(after));
    }
    FAIL("never succeeded");
}

static struct memory_object *mapped;

static status_t op_reserve(void)
{
    uint64_t at;
    return aspace_reserve(&as, BASE, 64 * P, &at);
}

static status_t op_commit(void)
{
    return do_commit(&as, BASE, 20 * P, PROTECTION_READ_WRITE);
}

static status_t op_commit_few(void)
{
    return do_commit(&as, BASE + 30 * P, 5 * P, PROTECTION_READ_WRITE);
}

/* Its tables are there. */
static status_t op_commit_one(void)
{
    return do_commit(&as, BASE + 40 * P, P, PROTECTION_READ_WRITE);
}

static status_t op_map(void)
{
    uint64_t at;
    return do_map_object(&as, mapped, BASE + (UINT64_C(1) << 40), 0, 4 * P, PROTECTION_READ, &at);
}

static status_t op_decommit(void)
{
    return do_decommit(&as, BASE, 64 * P);
}

static status_t op_object(void)
{
    return memory_object_create(ledger, 40 * P, &mapped);
}

TEST(aspace_no_memory,
     "when memory runs out at any step the operation is refused and changes nothing")
{
    start();
    fail_everywhere(op_reserve);
    fail_everywhere(op_commit);
    fail_everywhere(op_commit_few);
    fail_everywhere(op_commit_one);
    fail_everywhere(op_object);
    fail_everywhere(op_map);
    fail_everywhere(op_decommit);
    kobj_unref(&mapped->obj);
    finish();
}

static struct memory_object *shared;

/* One of several CPUs that use the space at once. */
static void *use_space(void *arg)
{
    unsigned cpu = (unsigned)(uintptr_t)arg;
    uint64_t seed = cpu + 1;
    uint8_t bytes[300] = {0};
    uint64_t at;
    host_become(cpu);
    host_aspace_load(&as.arch);
    for (unsigned step = 0; step < 3000; step++) {
        uint64_t address = BASE + next_random(&seed) % 64 * P;
        uint64_t size = (1 + next_random(&seed) % 12) * P;
        switch (next_random(&seed) % 8) {
        case 0:
            (void)aspace_reserve(&as, address, size, &at);
            break;
        case 1:
            (void)do_commit(&as, address, size, PROTECTION_READ_WRITE);
            break;
        case 2:
            (void)do_decommit(&as, address, size);
            break;
        case 3:
            (void)do_map_object(&as, shared, address, 0, P, PROTECTION_READ_WRITE, &at);
            break;
        case 4:
            (void)do_unmap(&as, address, size);
            break;
        case 5:
            (void)aspace_read(&as, address + 4000, bytes, sizeof(bytes));
            break;
        case 6:
            (void)aspace_write(&as, address + 4000, bytes, sizeof(bytes));
            break;
        default:
            (void)aspace_copy(&as, address + 100, &as, BASE + 4000, sizeof(bytes));
        }
        host_tlb_acknowledge();
        (void)job_run_slice();
    }
    host_aspace_load(NULL);
    run_jobs();
    return NULL;
}

TEST(aspace_cpus, "CPUs that change and copy in one space at once lose no page")
{
    pthread_t threads[3];
    start_cpus(4);
    CHECK_EQ(memory_object_create(ledger, 4 * P, &shared), ST_OK);
    for (uintptr_t i = 0; i < 3; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, use_space, (void *)(i + 1)), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    for (unsigned cpu = 1; cpu < 4; cpu++) {
        host_become(cpu);
        run_jobs();
    }
    host_become(0);
    CHECK_EQ(used(LEDGER_CLASS_FRAMES), as.committed_pages + 4);
    kobj_unref(&shared->obj);
    finish();
}

TEST(aspace_random, "random operations keep regions apart and every page charged exactly once")
{
    uint64_t seed = 11;
    uint64_t at;
    struct aspace_op *op;
    start();
    struct memory_object *object = object_new(16);
    for (unsigned step = 0; step < 20000; step++) {
        uint64_t address = BASE + next_random(&seed) % 256 * P;
        uint64_t size = (1 + next_random(&seed) % 24) * P;
        enum Protection protection = (enum Protection)(1 + next_random(&seed) % 3);
        switch (next_random(&seed) % 8) {
        case 0:
            (void)aspace_reserve(&as, address, size, &at);
            break;
        case 1:
        case 2:
            (void)do_commit(&as, address, size, protection);
            break;
        case 3:
            (void)do_decommit(&as, address, size);
            break;
        case 4:
            (void)do_protect(&as, address, size, protection);
            break;
        case 5:
            (void)do_map_object(&as, object, address, 0, size, protection, &at);
            break;
        case 6:
            if (step % 2 == 0) {
                at = address;
                (void)op_run(aspace_map_private(&as, object, NULL, &at, 0, size, &op), &op);
            } else {
                (void)aspace_write(&as, address, &step, sizeof(step));
            }
            break;
        default:
            (void)do_unmap(&as, address, size);
        }
        struct state now = state_now();
        CHECK_EQ(now.ledger.used[LEDGER_CLASS_FRAMES], now.committed + 16);
    }
    kobj_unref(&object->obj);
    finish();
}
