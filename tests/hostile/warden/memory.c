/* SPDX-License-Identifier: MIT */
/* Address space and memory objects asked for what they must not give. */
#include <stdatomic.h>

#include "abi/layout.h"
#include "capabilities.capnp.h"
#include "capos/start.h"
#include "case.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"
#include "memory.capnp.h"
#include "threads.h"

static uint64_t result[2100];

static status_t vm(uint16_t method, const uint64_t *params, uint32_t bytes)
{
    return raw_status(raw_call_sqe(held("memory"), VirtualMemory_ID, method, params, bytes, result,
                                   sizeof(result)));
}

static status_t reserve(uint64_t address, uint64_t bytes)
{
    return vm(VirtualMemory_reserve_ORDINAL, MESSAGE(address, bytes), 24);
}

static status_t commit(uint64_t address, uint64_t bytes, unsigned protection)
{
    return vm(VirtualMemory_commit_ORDINAL, MESSAGE(address, bytes, protection), 32);
}

static status_t decommit(uint64_t address, uint64_t bytes)
{
    return vm(VirtualMemory_decommit_ORDINAL, MESSAGE(address, bytes), 24);
}

static status_t protect(uint64_t address, uint64_t bytes, unsigned protection)
{
    return vm(VirtualMemory_protect_ORDINAL, MESSAGE(address, bytes, protection), 32);
}

static status_t unmap(uint64_t address, uint64_t bytes)
{
    return vm(VirtualMemory_unmap_ORDINAL, MESSAGE(address, bytes), 24);
}

static status_t map(capos_cap_t memory, uint64_t address, uint64_t offset, uint64_t bytes,
                    unsigned protection)
{
    struct {
        uint64_t message[5];
        uint64_t number;
        struct capos_transfer transfer;
    } params = {{ROOT(4), (uint64_t)protection << 16, address, offset, bytes},
                raw.sequence++,
                {.cap = memory}};
    struct capos_sqe sqe =
        CALL(held("memory"), VirtualMemory, map, &params, sizeof(params.message), result, 64);
    sqe.xfer_count = 1;
    return raw_status(sqe);
}

static status_t map_private(capos_cap_t memory, uint64_t address, uint64_t offset, uint64_t bytes)
{
    struct {
        uint64_t message[5];
        uint64_t number;
        struct capos_transfer transfer;
    } params = {{ROOT(4), 0, address, offset, bytes}, raw.sequence++, {.cap = memory}};
    struct capos_sqe sqe = CALL(held("memory"), VirtualMemory, map_private, &params,
                                sizeof(params.message), result, 64);
    sqe.xfer_count = 1;
    return raw_status(sqe);
}

struct range {
    uint64_t address, bytes;
};

/* Ranges that no user mapping can be. */
static const struct range impossible[] = {
    {CAPOS_MMAP_BASE, 0},
    {CAPOS_MMAP_BASE + 1, PAGE},
    {CAPOS_MMAP_BASE, 1},
    {CAPOS_MMAP_BASE, PAGE + 8},
    {0x1000, PAGE},
    {0xf000, 2 * PAGE},
    {CAPOS_USER_END, PAGE},
    {CAPOS_USER_END - PAGE, 2 * PAGE},
    {UINT64_C(0x0000800000000000), PAGE},
    {UINT64_C(0xffff800000000000), PAGE},
    {UINT64_C(0xffffffff80000000), PAGE},
    {UINT64_C(0xfffffffffffff000), PAGE},
    {UINT64_C(0xfffffffffffff000), 2 * PAGE},
    {CAPOS_MMAP_BASE, UINT64_C(0xfffffffffffff000)},
    {CAPOS_MMAP_BASE, UINT64_C(0xffff800000000000)},
    {CAPOS_MMAP_BASE, UINT64_C(1) << 63},
};

static int64_t impossible_ranges(void)
{
    struct usage before;
    capos_cap_t object;
    CHECK_EQ(new_memory(held("ledger"), PAGE, &object), ST_OK);
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(impossible); i++) {
        const struct range *range = &impossible[i];
        CHECK_EQ(reserve(range->address, range->bytes), ST_BAD_ARGUMENT);
        CHECK_EQ(commit(range->address, range->bytes, PROTECTION_READ_WRITE), ST_BAD_ARGUMENT);
        CHECK_EQ(decommit(range->address, range->bytes), ST_BAD_ARGUMENT);
        CHECK_EQ(protect(range->address, range->bytes, PROTECTION_READ), ST_BAD_ARGUMENT);
        CHECK_EQ(unmap(range->address, range->bytes), ST_BAD_ARGUMENT);
        CHECK_EQ(map(object, range->address, 0, range->bytes, PROTECTION_READ), ST_BAD_ARGUMENT);
        CHECK_EQ(map_private(object, range->address, 0, range->bytes), ST_BAD_ARGUMENT);
        CHECK_USAGE(&before);
    }
    return 0;
}

/* What the kernel put there is not the program's to change. */
static int64_t kernel_regions(void)
{
    const struct capos_capset *page = capos_capset();
    const struct range fixed[] = {
        {page->ring, PAGE},
        {page->ring & ~UINT64_C(4095), (page->ring_bytes + PAGE - 1) & ~UINT64_C(4095)},
        {(uintptr_t)page, PAGE},
        {page->stack_base - PAGE, PAGE}, /* guard */
        {page->stack_base + page->stack_bytes, PAGE},
    };
    struct usage before;
    capos_cap_t object;
    CHECK_EQ(new_memory(held("ledger"), PAGE, &object), ST_OK);
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(fixed); i++) {
        uint64_t at = fixed[i].address;
        CHECK_EQ(reserve(at, PAGE), ST_EXISTS);
        CHECK_EQ(map(object, at, 0, PAGE, PROTECTION_READ), ST_EXISTS);
        CHECK_EQ(map_private(object, at, 0, PAGE), ST_EXISTS);
        CHECK_EQ(commit(at, PAGE, PROTECTION_READ_WRITE), ST_BAD_STATE);
        CHECK_EQ(decommit(at, PAGE), ST_BAD_STATE);
        CHECK_EQ(protect(at, PAGE, PROTECTION_READ_WRITE), ST_BAD_STATE);
        CHECK_EQ(unmap(at, PAGE), ST_BAD_STATE);
        CHECK_EQ(unmap(at, fixed[i].bytes), ST_BAD_STATE);
        CHECK_USAGE(&before);
    }
    CHECK_WORKS();
    return 0;
}

/* Nothing is ever writable and executable, by no way round. */
static int64_t write_or_execute(void)
{
    uint64_t text = capos_capset()->image_base;
    capos_cap_t object;
    uint64_t at = map_pages(held("memory"), PAGE);
    CHECK(at != 0);
    for (unsigned protection = 4; protection < 70000; protection = protection * 5) {
        CHECK_EQ(protect(at, PAGE, (uint16_t)protection), ST_BAD_ARGUMENT);
    }
    CHECK(protect(text, PAGE, PROTECTION_READ_WRITE) < 0);
    CHECK(commit(text, PAGE, PROTECTION_READ_WRITE) < 0);
    CHECK_EQ(new_memory(held("ledger"), PAGE, &object), ST_OK);
    CHECK(map(object, 0, 0, PAGE, PROTECTION_READ_EXECUTE) < 0); /* not sealed */
    CHECK(map(object, 0, 0, PAGE, PROTECTION_READ_WRITE) >= 0);
    uint64_t mapped = result[1];
    CHECK(protect(mapped, PAGE, PROTECTION_READ_EXECUTE) < 0);
    CHECK_EQ(raw_status(CALL(object, MemoryObject, seal, NULL, 0, result, 64)), ST_BUSY);
    CHECK_EQ(protect(mapped, PAGE, PROTECTION_READ), 0);
    return 0;
}

/* Sealed is for ever: by no map, write or protection is it written again. */
static int64_t sealed_objects(void)
{
    capos_cap_t object, reader;
    CHECK_EQ(new_memory(held("ledger"), 2 * PAGE, &object), ST_OK);
    CHECK(map(object, 0, 0, PAGE, PROTECTION_READ) >= 0);
    uint64_t mapped = result[1];
    CHECK_EQ(raw_status(CALL(object, MemoryObject, seal, NULL, 0, result, 64)), 0);
    CHECK_EQ(map(object, 0, 0, PAGE, PROTECTION_READ_WRITE), ST_BAD_STATE);
    CHECK(protect(mapped, PAGE, PROTECTION_READ_WRITE) < 0);
    uint64_t write[] = {(UINT64_C(1) << 32) | (UINT64_C(1) << 48), 0,
                        UINT64_C(1) | UINT64_C(2) << 32 | UINT64_C(8) << 35, 0};
    CHECK_EQ(raw_do(CALL(object, MemoryObject, write, write, sizeof(write), result, 64)).result,
             ST_BAD_STATE);
    CHECK_EQ(attenuate(held("capabilities"), object, MemoryReader_FACET, &reader), ST_OK);
    CHECK_EQ(map(reader, 0, 0, PAGE, PROTECTION_READ_WRITE), ST_NO_METHOD);
    CHECK_EQ(map(reader, 0, 0, PAGE, PROTECTION_READ_EXECUTE), ST_NO_METHOD);
    CHECK(map(reader, 0, PAGE, PAGE, PROTECTION_READ) >= 0);
    return 0;
}

/* Written to by code and by messages, a private page is the writer's alone; so is one that is taken away
 * half written. */
static int64_t private_pages(void)
{
    enum { PAGES = 6 };
    struct usage before;
    capos_cap_t object;
    CHECK_EQ(new_memory(held("ledger"), PAGES * PAGE, &object), ST_OK);
    CHECK(map(object, 0, 0, PAGES * PAGE, PROTECTION_READ_WRITE) >= 0);
    uint64_t shared = result[1];
    for (unsigned i = 0; i < PAGES; i++) {
        *(volatile uint64_t *)(uintptr_t)(shared + i * PAGE) = i;
    }
    usage_now(&before);
    for (unsigned round = 0; round < 60; round++) {
        CHECK(map_private(object, 0, 0, PAGES * PAGE) >= 0);
        uint64_t at = result[1];
        volatile uint64_t *words = (volatile uint64_t *)(uintptr_t)at;
        for (unsigned i = round % 2; i < PAGES; i++) {
            CHECK_EQ(words[i * 512], i);
        }
        words[0] = 77;
        struct capos_sqe read = CALL(object, MemoryObject, read, MESSAGE(0, 600), 24,
                                     (void *)(uintptr_t)(at + 3 * PAGE - 320), 640);
        CHECK_EQ(raw_do(read).result,
                 616); /* its answer crosses into a page that is not ours yet */
        CHECK_EQ(*(volatile uint64_t *)(uintptr_t)(at + 3 * PAGE - 320 + 24), 0);
        CHECK_EQ(protect(at + 4 * PAGE, PAGE, PROTECTION_READ), 0);
        read.result = at + 4 * PAGE;
        CHECK_EQ(raw_do(read).result, ST_BAD_ADDRESS);
        CHECK(protect(at, PAGE, PROTECTION_READ_EXECUTE) < 0);
        CHECK_EQ(protect(at + 4 * PAGE, PAGE, PROTECTION_READ_WRITE), 0);
        words[4 * 512] = 88;
        CHECK_EQ(words[0], 77);
        for (unsigned i = 0; i < PAGES; i++) {
            CHECK_EQ(*(volatile uint64_t *)(uintptr_t)(shared + i * PAGE), i);
        }
        CHECK_EQ(unmap(at, PAGES * PAGE), 0);
    }
    sleep_ms(20);
    CHECK_USAGE(&before);
    CHECK_EQ(map_private(object, 0, 0, 0), ST_BAD_ARGUMENT);
    CHECK_EQ(map_private(object, 0, PAGE, PAGES * PAGE), ST_BAD_ARGUMENT);
    CHECK_EQ(unmap(shared, PAGES * PAGE), 0);
    CHECK_EQ(raw_status(CALL(object, MemoryObject, seal, NULL, 0, result, 64)), 0);
    CHECK(map_private(object, 0, 0, PAGE) >= 0);
    *(volatile uint64_t *)(uintptr_t)result[1] = 5; /* and dies with it mapped */
    return 0;
}

enum { RACE_PAGES = 8, RACE_ROUNDS = 6 };
static struct {
    _Atomic uint64_t at, turn, done;
} scribble;

/* Writes its own word of each page, as soon as the pages are there. */
static void scribbles(uint64_t argument, struct capos_ring_header *ring)
{
    (void)argument;
    (void)ring;
    for (uint64_t turn = 1; turn <= RACE_ROUNDS; turn++) {
        while (atomic_load(&scribble.turn) != turn) {
        }
        volatile uint64_t *words = (volatile uint64_t *)(uintptr_t)atomic_load(&scribble.at);
        for (unsigned i = 0; i < RACE_PAGES; i++) {
            words[i * 512 + 8] = turn;
        }
        atomic_store(&scribble.done, turn);
    }
    capos_sys_exit_thread(0);
}

/* Two threads and the kernel write to the same fresh private pages: each finds what it wrote, and what the
 * other one did, and the object stays as it was. */
static int64_t private_race(void)
{
    capos_cap_t object;
    CHECK_EQ(new_memory(held("ledger"), RACE_PAGES * PAGE, &object), ST_OK);
    capos_cap_t other = spawn_thread(scribbles, 0, 0);
    for (uint64_t turn = 1; turn <= RACE_ROUNDS; turn++) {
        CHECK(map_private(object, 0, 0, RACE_PAGES * PAGE) >= 0);
        uint64_t at = result[1];
        volatile uint64_t *words = (volatile uint64_t *)(uintptr_t)at;
        for (unsigned i = 0; i < RACE_PAGES; i++) {
            CHECK_EQ(words[i * 512], 0); /* it is remembered as the object's */
        }
        atomic_store(&scribble.at, at);
        atomic_store(&scribble.turn, turn);
        for (unsigned i = RACE_PAGES; i-- > 0;) {
            if (i % 4 == 1) {
                struct capos_sqe read = CALL(object, MemoryObject, read, MESSAGE(0, 48), 24,
                                             (void *)(uintptr_t)(at + i * PAGE + 1024), 64);
                CHECK_EQ(raw_do(read).result, 64);
            }
            words[i * 512] = turn;
        }
        while (atomic_load(&scribble.done) != turn) {
            sleep_ms(1);
        }
        for (unsigned i = 0; i < RACE_PAGES; i++) {
            CHECK_EQ(words[i * 512], turn);
            CHECK_EQ(words[i * 512 + 8], turn);
            CHECK_EQ(words[i * 512 + 128] != 0, i % 4 == 1);
        }
        CHECK_EQ(unmap(at, RACE_PAGES * PAGE), 0);
    }
    join(other, 0);
    CHECK(map(object, 0, 0, RACE_PAGES * PAGE, PROTECTION_READ) >= 0);
    const uint64_t *words = (const uint64_t *)(uintptr_t)result[1];
    for (unsigned i = 0; i < RACE_PAGES * 512; i++) {
        CHECK_EQ(words[i], 0);
    }
    return 0;
}

static int64_t protected_private(void)
{
    capos_cap_t object;
    CHECK_EQ(new_memory(held("ledger"), PAGE, &object), ST_OK);
    CHECK(map_private(object, 0, 0, PAGE) >= 0);
    uint64_t at = result[1];
    CHECK_EQ(protect(at, PAGE, PROTECTION_READ), 0);
    raw.broken = true;
    *(volatile uint64_t *)(uintptr_t)at = 5;
    return 99;
}

static int64_t wild_offsets(void)
{
    static const struct range wild[] = {
        {PAGE, PAGE},     {0, 2 * PAGE},      {UINT64_C(0xfffffffffffff000), 2 * PAGE},
        {8, PAGE},        {UINT64_MAX, PAGE}, {UINT64_C(1) << 63, PAGE},
        {2 * PAGE, PAGE},
    };
    capos_cap_t object;
    CHECK_EQ(new_memory(held("ledger"), PAGE, &object), ST_OK);
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        CHECK_EQ(map(object, 0, wild[i].address, wild[i].bytes, PROTECTION_READ), ST_BAD_ARGUMENT);
    }
    static const uint64_t offsets[] = {PAGE + 1, UINT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 4095};
    for (unsigned i = 0; i < ARRAY_LEN(offsets); i++) {
        CHECK_EQ(raw_do(CALL(object, MemoryObject, read, MESSAGE(offsets[i], 8), 24, result, 4096))
                     .result,
                 ST_BAD_ARGUMENT);
        uint64_t write[] = {(UINT64_C(1) << 32) | (UINT64_C(1) << 48), offsets[i],
                            UINT64_C(1) | UINT64_C(2) << 32 | UINT64_C(8) << 35, 0};
        CHECK_EQ(raw_do(CALL(object, MemoryObject, write, write, sizeof(write), result, 64)).result,
                 ST_BAD_ARGUMENT);
    }
    CHECK_EQ(
        raw_do(CALL(object, MemoryObject, read, MESSAGE(0, UINT32_MAX), 24, result, sizeof(result)))
            .result,
        ST_BAD_ARGUMENT);
    CHECK_EQ(
        raw_do(CALL(object, MemoryObject, read, MESSAGE(PAGE - 4, 64), 24, result, 4096)).result,
        24); /* what there is: 4 bytes in a message of 24 */
    CHECK_USAGE(&before);
    return 0;
}

static struct capos_cqe pin(capos_cap_t memory, uint64_t offset, uint64_t bytes, uint64_t writable)
{
    static uint64_t params[4];
    memcpy(params, (uint64_t[]){ROOT(3), offset, bytes, writable}, sizeof(params));
    struct capos_sqe sqe = CALL(memory, MemoryObject, pin, params, sizeof(params), result, 64);
    sqe.accept_count = 1;
    return raw_do(sqe);
}

/* What is pinned is paid for, and stays open; no pin is had beyond the limit or the object. */
static int64_t pins(void)
{
    static const struct range wild[] = {
        {0, 0},           {0, 8},           {8, PAGE},
        {2 * PAGE, PAGE}, {PAGE, 2 * PAGE}, {UINT64_MAX - 4095, 2 * PAGE},
    };
    capos_cap_t object, reader;
    CHECK_EQ(new_memory(held("ledger"), 2 * PAGE, &object), ST_OK);
    CHECK_EQ(attenuate(held("capabilities"), object,
                       MemoryReader_FACET | UINT64_C(1) << MemoryObject_pin_ORDINAL, &reader),
             ST_OK);
    struct usage before;
    struct capos_cqe cqe = pin(object, 0, PAGE, 1);
    CHECK(cqe.result >= 0);
    CHECK_EQ(release(cqe.first_cap), ST_OK);
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        CHECK_EQ(pin(object, wild[i].address, wild[i].bytes, 0).result, ST_BAD_ARGUMENT);
    }
    CHECK_EQ(pin(reader, 0, PAGE, 1).result, ST_NO_METHOD);
    CHECK_USAGE(&before);
    capos_cap_t first = pin(object, 0, 2 * PAGE, 1).first_cap;
    capos_cap_t second = pin(reader, PAGE, PAGE, 0).first_cap;
    CHECK_EQ(pin(object, 0, PAGE, 0).result, ST_QUOTA);
    CHECK_EQ(raw_quota_class(), LEDGER_CLASS_PINNED_PAGES);
    CHECK_EQ(raw_status(CALL(object, MemoryObject, seal, NULL, 0, result, 64)), ST_BUSY);
    CHECK_EQ(release(first), ST_OK);
    CHECK_EQ(raw_status(CALL(object, MemoryObject, seal, NULL, 0, result, 64)), ST_OK);
    CHECK_EQ(pin(object, 0, PAGE, 1).result, ST_BAD_STATE);
    CHECK_EQ(release(second), ST_OK);
    CHECK_USAGE(&before);
    return pin(object, 0, 2 * PAGE, 0).result >= 0 ? 0 : 1; /* and dies with it */
}

static int64_t wrong_sizes(void)
{
    static const uint64_t wrong[] = {
        0,
        1,
        4095,
        PAGE + 8,
        (UINT64_C(1) << 39) + PAGE,
        UINT64_C(1) << 63,
        UINT64_MAX,
        UINT64_MAX - 4095,
    };
    struct usage before;
    capos_cap_t out;
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK_EQ(new_memory(held("ledger"), wrong[i], &out), ST_BAD_ARGUMENT);
    }
    CHECK_EQ(new_memory(held("ledger"), 16u << 20, &out), ST_QUOTA); /* a program has 1 MiB */
    CHECK_EQ(raw_quota_class(), LEDGER_CLASS_FRAMES);
    CHECK_USAGE(&before);
    return 0;
}

/* Map, commit, decommit, unmap a thousand times: nothing is left, and memory comes back clean. */
static int64_t churn(void)
{
    struct usage before;
    capos_cap_t object;
    CHECK_EQ(new_memory(held("ledger"), 4 * PAGE, &object), ST_OK);
    uint64_t warm = map_pages(held("memory"), 4 * PAGE);
    CHECK(warm != 0);
    CHECK_EQ(unmap(warm, 4 * PAGE), 0);
    sleep_ms(10);
    usage_now(&before);
    for (unsigned round = 0; round < 300; round++) {
        uint64_t at = map_pages(held("memory"), 4 * PAGE);
        CHECK(at != 0);
        volatile uint64_t *words = (volatile uint64_t *)(uintptr_t)at;
        for (unsigned i = 0; i < 4 * 512; i += 61) {
            CHECK_EQ(words[i], 0);
            words[i] = UINT64_MAX;
        }
        CHECK_EQ(decommit(at + PAGE, PAGE), 0);
        CHECK_EQ(commit(at + PAGE, PAGE, PROTECTION_READ_WRITE), 0);
        CHECK_EQ(words[512], 0);
        CHECK_EQ(commit(at + PAGE, PAGE, PROTECTION_READ_WRITE), ST_BAD_STATE);
        CHECK_EQ(unmap(at, 4 * PAGE), 0);
        CHECK_EQ(unmap(at, 4 * PAGE), ST_BAD_STATE);
        CHECK(map(object, 0, 0, 4 * PAGE, PROTECTION_READ_WRITE) >= 0);
        CHECK_EQ(unmap(result[1], 4 * PAGE), 0);
    }
    sleep_ms(20);
    CHECK_USAGE(&before);
    return 0;
}

enum { BIG = 8 << 20 };

/* Begins what takes many steps; *position for a cancel. */
static uint64_t begin_commit(uint64_t at, uint64_t *position)
{
    *position = raw.sq_tail;
    return raw_start(CALL(held("memory"), VirtualMemory, commit,
                          MESSAGE(at, BIG, PROTECTION_READ_WRITE), 32, raw_none, 16));
}

/* BUSY, unless the work was done by then. */
static bool busy(status_t status, uint64_t tag, struct capos_cqe *done)
{
    bool through = done->user_data == tag || raw_poll(tag, done);
    return status == ST_BUSY || through;
}

/* While pages are worked on nobody else changes them, and a cancel undoes nothing. */
static int64_t long_work(void)
{
    struct usage before;
    uint64_t position;
    CHECK(reserve(0, BIG) >= 0);
    uint64_t at = result[1];
    CHECK_EQ(commit(at, BIG, PROTECTION_READ), 0); /* its page tables stay */
    CHECK_EQ(unmap(at, BIG), 0);
    usage_now(&before);
    for (unsigned round = 0; round < 4; round++) {
        struct capos_cqe done = {0};
        CHECK(reserve(at, BIG) >= 0);
        uint64_t tag = begin_commit(at, &position);
        CHECK(busy(commit(at, PAGE, PROTECTION_READ), tag, &done));
        CHECK(busy(decommit(at + PAGE, PAGE), tag, &done));
        CHECK(busy(protect(at, BIG, PROTECTION_READ), tag, &done));
        CHECK(busy(unmap(at, BIG), tag, &done));
        if (round % 2 == 0 && done.user_data != tag) {
            status_t status = raw_status(raw_sqe(CAPOS_OP_CANCEL, position));
            done = raw_wait(tag);
            CHECK(status == ST_OK ? done.result == ST_CANCELLED : done.result >= 0);
        } else if (done.user_data != tag) {
            CHECK(raw_wait(tag).result >= 0);
            *(volatile uint64_t *)(uintptr_t)(at + BIG - 8) = 1;
            CHECK_EQ(protect(at, BIG, PROTECTION_READ), 0);
        }
        status_t status;
        while ((status = unmap(at, BIG)) == ST_BUSY) {
            sleep_ms(1);
        }
        CHECK(status == 0 || status == ST_BAD_STATE); /* it was unmapped above */
        CHECK_USAGE(&before);
    }
    return 0;
}

/* A large object is mapped by large pages; whatever part of it changes its rights, the rest stays, and it goes
 * whole. Each round has fresh addresses: where small pages have been their tables stay. */
static int64_t large_pages(void)
{
    struct usage before, after;
    capos_cap_t object;
    CHECK_EQ(new_memory(held("ledger"), BIG, &object), ST_OK);
    usage_now(&before);
    CHECK(map(object, 0, 0, BIG, PROTECTION_READ_WRITE) >= 0);
    uint64_t at = result[1];
    usage_now(&after);
    CHECK_EQ(at % (2 << 20), 0);
    /* A table above them and a page of records at most; small pages would have had four tables more. */
    CHECK(after.used[LEDGER_CLASS_KERNEL_PAGES] <= before.used[LEDGER_CLASS_KERNEL_PAGES] + 3);
    for (uint64_t i = 0; i < BIG; i += PAGE) {
        *(volatile uint64_t *)(uintptr_t)(at + i) = i;
    }
    CHECK_EQ(unmap(at, BIG), 0);
    usage_now(&before);
    for (uint64_t round = 0; round < 6; round++) {
        uint64_t offset = round % 3 * PAGE, bytes = BIG - offset;
        at += 2 * BIG;
        CHECK(map(object, at + offset * (round % 2), offset, bytes, PROTECTION_READ_WRITE) >= 0);
        uint64_t here = result[1], odd = here + (round + 1) * 77 * PAGE;
        CHECK_EQ(protect(odd, 3 * PAGE, PROTECTION_READ), 0);
        CHECK_EQ(unmap(odd, PAGE), ST_BAD_STATE);
        for (uint64_t i = 0; i < bytes; i += PAGE) {
            CHECK_EQ(*(volatile uint64_t *)(uintptr_t)(here + i), offset + i);
        }
        *(volatile uint64_t *)(uintptr_t)(odd - PAGE) += 0;
        *(volatile uint64_t *)(uintptr_t)(odd + 3 * PAGE) += 0;
        struct capos_sqe read = CALL(object, MemoryObject, read, MESSAGE(0, 48), 24, result, 64);
        read.result = odd + PAGE;
        CHECK_EQ(raw_do(read).result, ST_BAD_ADDRESS);
        CHECK_EQ(protect(here, bytes, PROTECTION_READ), 0);
        CHECK_EQ(unmap(here, bytes), 0);
    }
    CHECK_EQ(raw_status(CALL(object, MemoryObject, seal, NULL, 0, result, 64)), ST_OK);
    sleep_ms(20);
    usage_now(&after);
    CHECK_EQ(after.used[LEDGER_CLASS_FRAMES], before.used[LEDGER_CLASS_FRAMES]);
    CHECK_EQ(after.used[LEDGER_CLASS_VIRTUAL_PAGES], before.used[LEDGER_CLASS_VIRTUAL_PAGES]);
    CHECK(map(object, 0, 0, BIG, PROTECTION_READ) >= 0); /* and dies with it */
    return 0;
}

/* A large object is made and given back, and nobody sees one that is not whole. */
static int64_t long_making(void)
{
    struct usage before;
    capos_cap_t object;
    usage_now(&before);
    for (unsigned round = 0; round < 4; round++) {
        uint64_t position = raw.sq_tail;
        struct capos_sqe sqe =
            CALL(held("ledger"), Ledger, new_memory_object, MESSAGE(BIG), 16, result, 64);
        sqe.accept_count = 1;
        uint64_t tag = raw_start(sqe);
        bool cancelled = round % 2 == 0 && raw_status(raw_sqe(CAPOS_OP_CANCEL, position)) == ST_OK;
        struct capos_cqe cqe = raw_wait(tag);
        CHECK(cancelled ? cqe.result == ST_CANCELLED : cqe.result >= 0);
        if (!cancelled) {
            object = cqe.first_cap;
            CHECK(map(object, 0, BIG - PAGE, PAGE, PROTECTION_READ_WRITE) >= 0);
            CHECK_EQ(*(volatile uint64_t *)(uintptr_t)(result[1] + PAGE - 8), 0);
            CHECK_EQ(unmap(result[1], PAGE), 0);
            CHECK_EQ(release(object), ST_OK);
        }
        struct usage after;
        do {
            sleep_ms(1);
            usage_now(&after);
        } while (after.used[LEDGER_CLASS_FRAMES] != before.used[LEDGER_CLASS_FRAMES]);
    }
    return 0;
}

/* Dies while the kernel works for it. */
static int64_t dies_at_work(void)
{
    uint64_t position;
    CHECK(reserve(0, BIG) >= 0);
    uint64_t first = result[1];
    (void)begin_commit(first, &position);
    (void)raw_start(CALL(held("ledger"), Ledger, new_memory_object, MESSAGE(BIG), 16, result, 64));
    return 0;
}

#define ROOMY(name_, function, sentence_) \
    { \
        .name = name_, .sentence = sentence_, .roles = {{.run = function, .holds = HOLD_USUAL}}, \
        .limits = { \
            {LEDGER_CLASS_FRAMES, true, 2 * (BIG / PAGE) + 256}, \
        }, \
    }

const struct hostile_case memory_cases[] = {
    CASE("mem.range", impossible_ranges,
         "no range outside user space is reserved, changed or mapped"),
    CASE("mem.kernel", kernel_regions, "ring, start page and guards cannot be changed"),
    CASE("mem.w-xor-x", write_or_execute, "no way leads to memory that is writable and executable"),
    CASE("mem.seal", sealed_objects, "what is sealed is never written again"),
    CASE("mem.private", private_pages,
         "what is written to a private mapping is the writer's alone, by code or by message"),
    {.name = "mem.private-race",
     .sentence = "two threads and the kernel that write to one private page lose nothing",
     .roles = {{.run = private_race, .holds = HOLD_USUAL | HOLD_THREADS}}},
    {.name = "mem.private-read",
     .sentence = "a private page made read-only is not copied, and a write to it is a fault",
     .roles = {{.run = protected_private,
                .holds = HOLD_USUAL,
                .ending = {END_FAULT, 0, 1u << FAULT_RECORD_KIND_PAGE_FAULT, 0}}}},
    {.name = "mem.pin",
     .sentence = "what is pinned is paid for and stays open, and no pin leads out of its object",
     .roles = {{.run = pins, .holds = HOLD_USUAL}},
     .limits = {{LEDGER_CLASS_PINNED_PAGES, true, 3}}},
    CASE("mem.offset", wild_offsets, "no offset leads out of a memory object"),
    CASE("mem.size", wrong_sizes, "a memory object of a wrong size is not made"),
    CASE("mem.churn", churn, "memory given back is back, and comes again clean"),
    ROOMY("mem.large", large_pages, "parts of large pages change and go, and the rest stays"),
    ROOMY("mem.long", long_work, "pages that are worked on are busy to others, and none is lost"),
    ROOMY("mem.make", long_making,
          "a large object is made whole or not at all, and given back whole"),
    ROOMY("mem.die", dies_at_work,
          "a process that dies while the kernel works for it leaves nothing"),
    {.name = NULL},
};
