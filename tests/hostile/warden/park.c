/* SPDX-License-Identifier: MIT */
/* PARK and UNPARK: wild words, crowds, words that go away under their parkers, wakenings raced for. */
#include "abi/layout.h"
#include "capos/start.h"
#include "case.h"
#include "memory.capnp.h"
#include "threads.h"

static struct capos_sqe parking(capos_cap_t cap, uint64_t at, uint64_t expected)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_PARK, cap);
    sqe.params = at;
    sqe.interface = expected;
    return sqe;
}

static struct capos_sqe unparking(capos_cap_t cap, uint64_t at, uint64_t count)
{
    struct capos_sqe sqe = parking(cap, at, count);
    sqe.op = CAPOS_OP_UNPARK;
    return sqe;
}

static int64_t wild_words(void)
{
    const uint64_t wild[] = {
        0,
        8,
        CAPOS_MMAP_BASE,
        CAPOS_USER_END - 4,
        CAPOS_USER_END,
        UINT64_C(1) << 47,
        UINT64_C(0xffff800000000000),
        UINT64_C(0xffffffff80000000),
        (uint64_t)0 - 4,
        (uintptr_t)raw.header,
        (uintptr_t)raw.header + 192,
        capos_capset()->stack_base + capos_capset()->stack_bytes,
    };
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        CHECK_EQ(raw_do(parking(0, wild[i], 0)).result, ST_BAD_ADDRESS);
        CHECK_EQ(raw_do(unparking(0, wild[i], UINT32_MAX)).result, 0);
        for (unsigned odd = 1; odd < 4; odd++) {
            CHECK_EQ(raw_do(parking(0, wild[i] + odd, 0)).result, ST_BAD_ARGUMENT);
            CHECK_EQ(raw_do(unparking(0, wild[i] + odd, 1)).result, ST_BAD_ARGUMENT);
        }
    }
    static uint32_t word = 5;
    CHECK_EQ(raw_do(parking(0, (uintptr_t)&word, 4)).result, CAPOS_PARK_CHANGED);
    for (unsigned bit = 32; bit < 64; bit++) {
        CHECK_EQ(raw_do(parking(0, (uintptr_t)&word, 5 | UINT64_C(1) << bit)).result,
                 ST_BAD_ARGUMENT);
    }
    CHECK_USAGE(&before);
    CHECK_WORKS();
    return 0;
}

static int64_t wild_objects(void)
{
    capos_cap_t memory, blind, reader, note;
    CHECK_EQ(new_memory(held("ledger"), PAGE, &memory), ST_OK);
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    CHECK_EQ(
        attenuate(held("capabilities"), memory, MemoryObject_FACET & ~(UINT64_C(0x70)), &blind),
        ST_OK);
    CHECK_EQ(attenuate(held("capabilities"), memory, MemoryReader_FACET, &reader), ST_OK);
    CHECK_EQ(raw_do(parking(note, 0, 0)).result, ST_WRONG_INTERFACE);
    CHECK_EQ(raw_do(parking(memory ^ UINT64_C(1) << 40, 0, 0)).result, ST_BAD_CAP);
    CHECK_EQ(raw_do(parking(blind, 0, 0)).result, ST_NO_METHOD);
    CHECK_EQ(raw_do(unparking(blind, 0, 1)).result, ST_NO_METHOD);
    CHECK_EQ(raw_do(unparking(reader, 0, 1)).result, ST_NO_METHOD);
    CHECK_EQ(raw_do(parking(reader, 0, 1)).result, CAPOS_PARK_CHANGED);
    const uint64_t wild[] = {PAGE, PAGE + 4, UINT64_C(1) << 32, UINT64_C(1) << 63, (uint64_t)0 - 4};
    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        CHECK_EQ(raw_do(parking(memory, wild[i], 0)).result, ST_BAD_ARGUMENT);
        CHECK_EQ(raw_do(unparking(memory, wild[i], 1)).result, ST_BAD_ARGUMENT);
    }
    /* Parked by a capability that is then released: the others still find it. */
    uint64_t tag = raw_start(parking(reader, PAGE - 4, 0));
    CHECK_EQ(release(reader), ST_OK);
    CHECK_EQ(raw_do(unparking(memory, PAGE - 4, 1)).result, 1);
    CHECK_EQ(raw_wait(tag).result, CAPOS_PARK_WOKEN);
    return 0;
}

/* As many as the ring holds; some cancelled, some woken, some timed out, the rest left to the exit. */
static int64_t park_storm(void)
{
    static uint64_t tags[256], positions[256];
    static uint32_t word;
    unsigned most = raw.cq_entries - raw.cq_reserve - 1;
    uint64_t soon_ns = now_ns() + UINT64_C(1000000);
    CHECK(most <= 256 && most > 48);
    for (unsigned i = 0; i < most; i++) {
        struct capos_sqe sqe = parking(0, (uintptr_t)&word, 0);
        sqe.deadline_ns = i < 8 ? soon_ns : 0;
        positions[i] = raw.sq_tail;
        tags[i] = raw_start(sqe);
    }
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(raw_wait(tags[i]).result, ST_TIMED_OUT);
    }
    for (unsigned i = 8; i < 16; i++) {
        CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_CANCEL, positions[i])).result, ST_OK);
        CHECK_EQ(raw_wait(tags[i]).result, ST_CANCELLED);
    }
    CHECK_EQ(raw_do(unparking(0, (uintptr_t)&word, UINT32_MAX)).result, CAPOS_UNPARK_MAX);
    for (unsigned i = 16; i < 32; i++) {
        CHECK_EQ(raw_wait(tags[i]).result, CAPOS_PARK_WOKEN);
    }
    CHECK_EQ(raw_do(unparking(0, (uintptr_t)&word, 3)).result, 3);
    return 0;
}

/* Two threads hand a word to and fro; a wakening that is lost stops both. */
static uint32_t turn;

static void answers(uint64_t argument, struct capos_ring_header *ring)
{
    for (uint64_t i = 0; i < argument; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != 1) {
            struct capos_sqe sqe = parking(0, (uintptr_t)&turn, 0);
            (void)peer_do(ring, &sqe);
        }
        __atomic_store_n(&turn, 0, __ATOMIC_RELEASE);
        struct capos_sqe sqe = unparking(0, (uintptr_t)&turn, 1);
        (void)peer_do(ring, &sqe);
    }
    capos_sys_exit_thread(0);
}

static int64_t to_and_fro(void)
{
    enum { ROUNDS = 2000 };
    capos_cap_t handle = spawn_thread(answers, 0, ROUNDS);
    for (unsigned i = 0; i < ROUNDS; i++) {
        __atomic_store_n(&turn, 1, __ATOMIC_RELEASE);
        CHECK(raw_do(unparking(0, (uintptr_t)&turn, 1)).result >= 0);
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != 0) {
            CHECK(raw_do(parking(0, (uintptr_t)&turn, 1)).result >= 0);
        }
    }
    join(handle, 0);
    return 0;
}

/* The page goes while others are parked on it, and comes back. */
static int64_t word_taken_away(void)
{
    uint64_t at = map_pages(held("memory"), PAGE);
    CHECK(at != 0);
    for (unsigned round = 0; round < 50; round++) {
        uint64_t tags[10];
        for (unsigned i = 0; i < ARRAY_LEN(tags); i++) {
            tags[i] = raw_start(parking(0, at + 4 * i, 0));
        }
        CHECK_EQ(raw_status(CALL(held("memory"), VirtualMemory, decommit, MESSAGE(at, PAGE), 24,
                                 raw_none, 16)),
                 ST_OK);
        for (unsigned i = 0; i < ARRAY_LEN(tags); i++) {
            CHECK_EQ(raw_wait(tags[i]).result, ST_BAD_ADDRESS);
        }
        CHECK_EQ(raw_do(parking(0, at, 0)).result, ST_BAD_ADDRESS);
        CHECK_EQ(raw_status(CALL(held("memory"), VirtualMemory, commit,
                                 MESSAGE(at, PAGE, PROTECTION_READ_WRITE), 32, raw_none, 16)),
                 ST_OK);
    }
    return 0;
}

const struct hostile_case park_cases[] = {
    CASE_WITH("park.wild", wild_words, "no word but the program's own is parked at", 0),
    CASE_WITH("park.object", wild_objects, "a word of a memory object needs the right to map it",
              0),
    CASE_WITH("park.storm", park_storm, "a ring full of parks ends in every way", 0),
    CASE_WITH("park.race", to_and_fro, "no wakening is lost between two threads", HOLD_THREADS),
    CASE_WITH("park.unmap", word_taken_away, "parkers learn that their page is gone", 0),
    {.name = NULL},
};
