/* SPDX-License-Identifier: MIT */
/* The heap over a fake address space. */
#include "tests/unit/test.h"

#include <sys/mman.h>

#include "capos/heap.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "memory.client.h"
#include "status.capnp.h"

static bool have_memory;
static uint64_t commit_limit = UINT64_MAX;
static uint64_t committed;

capos_cap_t capos_capset_try(const char *name, uint64_t interface)
{
    CHECK_STR_EQ(name, "memory");
    CHECK_EQ(interface, VirtualMemory_ID);
    return have_memory ? 11 : 0;
}

status_t VirtualMemory_reserve(capos_cap_t cap, uint64_t address, uint64_t size_bytes,
                               uint64_t *address_out)
{
    CHECK_EQ(cap, 11);
    CHECK_EQ(address, 0);
    void *range = mmap(NULL, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *address_out = (uintptr_t)range;
    return ST_OK;
}

status_t VirtualMemory_commit(capos_cap_t cap, uint64_t address, uint64_t size_bytes,
                              enum Protection protection)
{
    CHECK_EQ(cap, 11);
    CHECK_EQ(protection, PROTECTION_READ_WRITE);
    if (committed + size_bytes > commit_limit) {
        return ST_QUOTA;
    }
    committed += size_bytes;
    CHECK_EQ(mprotect((void *)(uintptr_t)address, size_bytes, PROT_READ | PROT_WRITE), 0);
    return ST_OK;
}

/* The heap's mutex is open whenever one thread comes. */
void capos_op_init(struct capos_op *op, uint8_t opcode, capos_cap_t cap)
{
    (void)op, (void)opcode, (void)cap;
    FAIL("the heap waits for its mutex");
}

int32_t capos_op_run(struct capos_op *op)
{
    (void)op;
    abort();
}

NORETURN void capos_sys_exit(int64_t code)
{
    exit((int)code);
}

TEST(heap_without_memory, "a program without `memory` has a small static arena and then gets NULL")
{
    size_t total = 0;
    while (capos_alloc(1000) != NULL) {
        total += 1000;
    }
    CHECK(total > CAPOS_HEAP_ARENA_BYTES / 2);
    CHECK(total < CAPOS_HEAP_ARENA_BYTES);
}

TEST(heap_random_blocks, "blocks keep their contents through random allocation and release")
{
    enum { SLOTS = 200, ROUNDS = 20000 };
    static uint8_t *blocks[SLOTS];
    static size_t sizes[SLOTS];
    uint32_t seed = 12345;
    have_memory = true;
    for (unsigned round = 0; round < ROUNDS; round++) {
        seed = seed * 1664525 + 1013904223;
        unsigned i = (seed >> 8) % SLOTS;
        if (blocks[i] != NULL) {
            for (size_t k = 0; k < sizes[i]; k++) {
                REQUIRE(blocks[i][k] == (uint8_t)i);
            }
            capos_free(blocks[i]);
            blocks[i] = NULL;
            continue;
        }
        sizes[i] = 1 + (seed >> 12) % ((seed & 64) ? 5000 : 100);
        blocks[i] = capos_alloc(sizes[i]);
        REQUIRE(blocks[i] != NULL);
        CHECK_EQ((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)i, sizes[i]);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        capos_free(blocks[i]);
    }
    CHECK_EQ(capos_heap_stats().used_bytes, 0);
}

TEST(heap_everything_comes_back,
     "after all blocks are freed one block of all that memory can be had")
{
    void *blocks[8];
    have_memory = true;
    for (unsigned i = 0; i < 8; i++) {
        blocks[i] = capos_alloc(100000);
        REQUIRE(blocks[i] != NULL);
    }
    size_t before = capos_heap_stats().committed_bytes;
    for (unsigned i = 0; i < 8; i += 2) {
        capos_free(blocks[i]);
    }
    for (unsigned i = 1; i < 8; i += 2) {
        capos_free(blocks[i]);
    }
    CHECK(capos_alloc(790000) != NULL);
    CHECK_EQ(capos_heap_stats().committed_bytes, before);
}

TEST(heap_quota, "a refused commit gives NULL, changes nothing, and less can still be had")
{
    have_memory = true;
    commit_limit = 256 * 1024;
    void *small = capos_alloc(1000);
    REQUIRE(small != NULL);
    size_t used = capos_heap_stats().used_bytes;
    CHECK(capos_alloc(1024 * 1024) == NULL);
    CHECK_EQ(capos_heap_stats().used_bytes, used);
    CHECK(capos_alloc(30000) != NULL);
}

TEST(heap_realloc, "realloc keeps the contents and refuses without losing the old block")
{
    have_memory = true;
    uint8_t *block = capos_alloc(10);
    memcpy(block, "123456789", 10);
    block = capos_realloc(block, 100000);
    REQUIRE(block != NULL);
    CHECK_STR_EQ((char *)block, "123456789");
    commit_limit = 0;
    CHECK(capos_realloc(block, 10 * 1024 * 1024) == NULL);
    CHECK_STR_EQ((char *)block, "123456789");
    CHECK(capos_alloc_zeroed(SIZE_MAX / 2, 4) == NULL);
}
