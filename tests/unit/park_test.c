/* SPDX-License-Identifier: MIT */
/* PARK and UNPARK: who waits for which word, who is woken, and what becomes of words that go away. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include <sched.h>

#include "abi/layout.h"
#include "gen/memory.capnp.h"
#include "object/memory_object.h"
#include "object/revocation.h"

static struct capos_sqe sqe_park(struct user *user, capos_cap_t cap, uint64_t at, uint32_t expected)
{
    struct capos_sqe sqe = sqe_cap(user, CAPOS_OP_PARK, cap);
    sqe.params = at;
    sqe.interface = expected;
    return sqe;
}

static struct capos_sqe sqe_unpark(struct user *user, capos_cap_t cap, uint64_t at, uint64_t count)
{
    struct capos_sqe sqe = sqe_cap(user, CAPOS_OP_UNPARK, cap);
    sqe.params = at;
    sqe.interface = count;
    return sqe;
}

static int32_t unpark(struct user *user, capos_cap_t cap, uint64_t at, uint64_t count)
{
    struct capos_sqe sqe = sqe_unpark(user, cap, at, count);
    return user_do(user, &sqe).result;
}

static uint64_t start_park(struct user *user, capos_cap_t cap, uint64_t at, uint32_t expected)
{
    struct capos_sqe sqe = sqe_park(user, cap, at, expected);
    user_start(user, &sqe);
    return sqe.user_data;
}

static void put(struct user *user, uint64_t at, uint32_t value)
{
    user_write(user, at, &value, sizeof(value));
}

static capos_cap_t own_memory(struct user *user)
{
    return user_give(user, &user->process->obj, KTYPE_VIRTUAL_MEMORY, VirtualMemory_FACET);
}

/* VirtualMemory.unmap or decommit: the same parameters. */
static status_t take_away(struct user *user, capos_cap_t memory, uint16_t method, uint64_t address,
                          uint64_t bytes)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    VirtualMemory_unmap_params_b params = VirtualMemory_unmap_params_init(&builder);
    VirtualMemory_unmap_params_set_address(params, address);
    VirtualMemory_unmap_params_set_size_bytes(params, bytes);
    int32_t result =
        user_call(user, memory, VirtualMemory_ID, method, &builder, NULL, 0, NULL).result;
    return result < 0 ? result : ST_OK;
}

TEST(park_changed,
     "a word that is not what the parker expects is told at once; so is one that is bad")
{
    fixture_start(1);
    struct user *user = user_new("park");
    uint64_t at = user_alloc(user, 8);
    put(user, at, 5);
    struct capos_sqe sqe = sqe_park(user, 0, at, 6);
    struct capos_cqe cqe = user_do(user, &sqe);
    CHECK_EQ(cqe.result, CAPOS_PARK_CHANGED);
    CHECK_EQ(cqe.flags, 0);
    const uint64_t bad[] = {0, CAPOS_MMAP_BASE, CAPOS_USER_END, UINT64_C(1) << 63,
                            user->thread->ring->user_address + 64};
    for (unsigned i = 0; i < 5; i++) {
        sqe = sqe_park(user, 0, bad[i], 0);
        CHECK_EQ(user_do(user, &sqe).result, ST_BAD_ADDRESS);
        CHECK_EQ(unpark(user, 0, bad[i], 1), 0);
    }
    sqe = sqe_park(user, 0, at + 2, 0);
    CHECK_EQ(user_do(user, &sqe).result, ST_BAD_ARGUMENT);
    sqe = sqe_park(user, 0, at, 5);
    sqe.interface |= UINT64_C(1) << 32;
    CHECK_EQ(user_do(user, &sqe).result, ST_BAD_ARGUMENT);
    CHECK_EQ(unpark(user, 0, at + 1, 1), ST_BAD_ARGUMENT);
    CHECK(tree_empty(&user->process->parked));
    CHECK(list_empty(&user->process->obj.waiters));
    fixture_end();
}

TEST(park_order, "parkers of one word are woken in order, as many as asked, and of no other word")
{
    enum { PARKERS = 6 };
    uint64_t tags[PARKERS];
    fixture_start(1);
    struct user *user = user_new("park");
    uint64_t at = user_alloc(user, 24) + 8;
    uint64_t before = start_park(user, 0, at - 8, 0), behind = start_park(user, 0, at + 4, 0);
    for (unsigned i = 0; i < PARKERS; i++) {
        tags[i] = start_park(user, 0, at, 0);
    }
    CHECK_EQ(completions(user), 0);
    CHECK_EQ(unpark(user, 0, at + 8, 9), 0);
    CHECK_EQ(unpark(user, 0, at, 0), 0);
    struct capos_sqe sqe = sqe_unpark(user, 0, at, 2);
    user_submit(user, &sqe);
    user_enter(user, 3, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, tags[0]).result, CAPOS_PARK_WOKEN);
    CHECK_EQ(user_expect(user, tags[1]).result, CAPOS_PARK_WOKEN);
    CHECK_EQ(user_expect(user, sqe.user_data).result, 2);
    sqe.interface = UINT32_MAX;
    sqe.user_data = ++user->user_data;
    user_submit(user, &sqe);
    user_enter(user, 5, CAPOS_FOREVER);
    for (unsigned i = 2; i < PARKERS; i++) {
        CHECK_EQ(user_expect(user, tags[i]).result, CAPOS_PARK_WOKEN);
    }
    CHECK_EQ(user_expect(user, sqe.user_data).result, PARKERS - 2);
    CHECK_EQ(completions(user), 0);
    size_t count;
    CHECK(tree_valid(&user->process->parked, &count));
    CHECK_EQ(count, 2);
    (void)before, (void)behind;
    fixture_end();
}

TEST(park_bounded, "one entry wakes sixteen at most, and says how many")
{
    enum { PARKERS = 25 };
    fixture_start(1);
    struct user *user = user_new("park"), *other = NULL;
    capos_cap_t handle;
    other = user_thread(user, user_spawner(user), &handle);
    uint64_t at = user_alloc(user, 8);
    for (unsigned i = 0; i < PARKERS; i++) {
        start_park(user, 0, at, 0);
    }
    CHECK_EQ(unpark(other, 0, at, UINT32_MAX), CAPOS_UNPARK_MAX);
    CHECK_EQ(unpark(other, 0, at, UINT32_MAX), PARKERS - CAPOS_UNPARK_MAX);
    CHECK_EQ(unpark(other, 0, at, UINT32_MAX), 0);
    CHECK_EQ(completions(user), PARKERS);
    fixture_end();
}

TEST(park_threads, "a thread parks until another one of its process changes the word and unparks")
{
    capos_cap_t handle;
    uint64_t result;
    fixture_start(2);
    struct user *user = user_new("park"), *stranger = user_new("stranger");
    struct user *other = user_thread(user, user_spawner(user), &handle);
    uint64_t at = user_alloc(user, 8);
    struct capos_sqe sqe = sqe_park(user, 0, at, 0);
    user_submit(user, &sqe);
    user_enter_start(user, 1, CAPOS_FOREVER);
    CHECK(!user_entered(user, &result));
    CHECK_EQ(unpark(stranger, 0, at, 1), 0); /* the same address of another process */
    CHECK(!user_entered(user, &result));
    put(other, at, 1);
    CHECK_EQ(unpark(other, 0, at, 1), 1);
    CHECK(user_entered(user, &result));
    CHECK_EQ(user_expect(user, sqe.user_data).result, CAPOS_PARK_WOKEN);
    fixture_end();
}

TEST(park_shared, "processes that share a memory object park at its words, wherever they map it")
{
    uint64_t words[1024] = {[5] = 7};
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t mine = user_memory(a, words, sizeof(words), false);
    capos_cap_t theirs = user_pass(a, mine, b, MemoryObject_FACET);
    capos_cap_t reader = user_pass(a, mine, b, MemoryReader_FACET);
    capos_cap_t blind =
        user_pass(a, mine, b, MemoryObject_FACET & ~(UINT64_C(1) << MemoryObject_map_ORDINAL));
    struct capos_sqe sqe = sqe_park(a, mine, 40, 8);
    CHECK_EQ(user_do(a, &sqe).result, CAPOS_PARK_CHANGED);
    sqe = sqe_park(b, blind, 40, 7);
    CHECK_EQ(user_do(b, &sqe).result, ST_NO_METHOD);
    sqe = sqe_park(b, b->ledger, 40, 7);
    CHECK_EQ(user_do(b, &sqe).result, ST_WRONG_INTERFACE);
    sqe = sqe_park(b, reader, 4096 * 2, 0);
    CHECK_EQ(user_do(b, &sqe).result, ST_BAD_ARGUMENT);
    sqe = sqe_park(b, 12345, 40, 0);
    CHECK_EQ(user_do(b, &sqe).result, ST_BAD_CAP);
    uint64_t tag = start_park(a, mine, 40, 7), tag_b = start_park(b, reader, 40, 7);
    CHECK_EQ(unpark(b, reader, 40, 1), ST_NO_METHOD);
    CHECK_EQ(unpark(b, theirs, 44, 1), 0);
    CHECK_EQ(unpark(b, theirs, 40, 1), 1);
    CHECK_EQ(user_expect(a, tag).result, CAPOS_PARK_WOKEN);
    CHECK_EQ(unpark(a, mine, 40, 5), 1);
    CHECK_EQ(user_expect(b, tag_b).result, CAPOS_PARK_WOKEN);
    fixture_end();
}

TEST(park_refs, "a park refers once to the memory object and once to its route until it ends, an "
                "answer at once leaves none")
{
    uint64_t words[1024] = {[5] = 7};
    fixture_start(1);
    struct user *user = user_new("refs"), *other = user_new("other");
    struct capability held;
    capos_cap_t cap = user_memory(user, words, sizeof(words), false);
    capos_cap_t theirs = user_pass(user, cap, other, MemoryObject_FACET);
    CHECK_EQ(user_look(user, cap, &held), ST_OK);
    uint32_t object_refs = atomic_load_relaxed(&held.object->refs);
    uint32_t route_refs = atomic_load_relaxed(&held.route->refs);
    struct capos_sqe sqe = sqe_park(user, cap, 40, 8);
    CHECK_EQ(user_do(user, &sqe).result, CAPOS_PARK_CHANGED);
    CHECK_EQ(atomic_load_relaxed(&held.object->refs), object_refs);
    CHECK_EQ(atomic_load_relaxed(&held.route->refs), route_refs);
    uint64_t tag = start_park(user, cap, 40, 7);
    CHECK_EQ(atomic_load_relaxed(&held.object->refs), object_refs + 1);
    CHECK_EQ(atomic_load_relaxed(&held.route->refs), route_refs + 1);
    CHECK_EQ(unpark(other, theirs, 40, 1), 1);
    CHECK_EQ(user_expect(user, tag).result, CAPOS_PARK_WOKEN);
    CHECK_EQ(atomic_load_relaxed(&held.object->refs), object_refs);
    CHECK_EQ(atomic_load_relaxed(&held.route->refs), route_refs);
    fixture_end();
}

TEST(park_ends, "a park ends by CANCEL and by its deadline, and is then found by no UNPARK")
{
    fixture_start(1);
    struct user *user = user_new("park");
    uint64_t at = user_alloc(user, 8);
    struct capos_sqe sqe = sqe_park(user, 0, at, 0);
    user_cancel(user, user_start(user, &sqe), sqe.user_data);
    sqe = sqe_park(user, 0, at, 0);
    sqe.deadline_ns = arch_time_ns() + 1000;
    user_start(user, &sqe);
    fixture_advance(999);
    CHECK_EQ(completions(user), 0);
    fixture_advance(1);
    CHECK_EQ(user_expect(user, sqe.user_data).result, ST_TIMED_OUT);
    CHECK_EQ(unpark(user, 0, at, 9), 0);
    CHECK(tree_empty(&user->process->parked));
    fixture_end();
}

TEST(park_drained,
     "parkers of memory that is decommitted or unmapped end BAD_ADDRESS; those beside it stay")
{
    fixture_start(1);
    struct user *user = user_new("park");
    capos_cap_t memory = own_memory(user);
    uint64_t base = USER_HEAP + USER_HEAP_BYTES - 3 * PAGE_BYTES;
    uint64_t first = start_park(user, 0, base + 8, 0);
    uint64_t second = start_park(user, 0, base + PAGE_BYTES, 0);
    uint64_t third = start_park(user, 0, base + 2 * PAGE_BYTES + 16, 0);
    struct capos_sqe fourth = sqe_park(user, 0, USER_HEAP, 0);
    CHECK_EQ(take_away(user, memory, VirtualMemory_unmap_ORDINAL, base, PAGE_BYTES), ST_BAD_STATE);
    CHECK_EQ(completions(user), 0);
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    VirtualMemory_decommit_params_b params = VirtualMemory_decommit_params_init(&builder);
    VirtualMemory_decommit_params_set_address(params, base + PAGE_BYTES);
    VirtualMemory_decommit_params_set_size_bytes(params, PAGE_BYTES);
    struct capos_sqe sqe =
        sqe_method(user, memory, VirtualMemory_ID, VirtualMemory_decommit_ORDINAL, &builder);
    sqe_result(user, &sqe, 64, 0);
    user_submit(user, &sqe);
    user_enter(user, 2, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, second).result, ST_BAD_ADDRESS);
    CHECK(user_expect(user, sqe.user_data).result >= 0);
    CHECK_EQ(completions(user), 0);
    CHECK_EQ(unpark(user, 0, base + PAGE_BYTES, 1), 0);
    user_submit(user, &fourth);
    sqe = sqe_unpark(user, 0, base + 8, 1);
    user_submit(user, &sqe);
    user_enter(user, 2, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, first).result, CAPOS_PARK_WOKEN);
    CHECK_EQ(user_expect(user, sqe.user_data).result, 1);
    (void)third;
    fixture_end();
}

TEST(park_drained_many, "a crowd of parkers is ended when its page goes")
{
    enum { PARKERS = 300 };
    uint64_t limits[LEDGER_CLASSES];
    capos_cap_t handle;
    fixture_start(1);
    machine_limits(limits, 4000, 1000);
    struct user *user = user_new_limits("park", limits, 256);
    struct user *other = user_thread(user, user_spawner(user), &handle);
    capos_cap_t memory = own_memory(user);
    uint64_t page = USER_HEAP + USER_HEAP_BYTES - PAGE_BYTES;
    for (unsigned i = 0; i < PARKERS; i++) {
        start_park(user, 0, page + 4 * i, 0);
    }
    CHECK_EQ(take_away(other, memory, VirtualMemory_decommit_ORDINAL, page, PAGE_BYTES), ST_OK);
    CHECK_EQ(completions(user), PARKERS);
    struct capos_cqe cqe;
    while (user_reap(user, &cqe)) {
        CHECK_EQ(cqe.result, ST_BAD_ADDRESS);
    }
    CHECK(tree_empty(&user->process->parked));
    fixture_end();
}

TEST(park_at_exit, "parked threads end with their process, and a shared word keeps nothing of it")
{
    static uint64_t words[512];
    capos_cap_t handle;
    fixture_start(2);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t mine = user_memory(a, words, sizeof(words), false);
    capos_cap_t theirs = user_pass(a, mine, b, MemoryObject_FACET);
    struct user *other = user_thread(b, user_spawner(b), &handle);
    struct capos_sqe sqe = sqe_park(other, 0, USER_HEAP, 0);
    user_submit(other, &sqe);
    user_enter_start(other, 1, CAPOS_FOREVER);
    start_park(b, theirs, 0, 0);
    uint64_t tag = start_park(a, mine, 0, 0);
    user_terminate(b);
    sqe = sqe_cap(a, CAPOS_OP_UNPARK, mine);
    sqe.interface = 9;
    user_submit(a, &sqe);
    user_enter(a, 2, CAPOS_FOREVER);
    CHECK_EQ(user_expect(a, tag).result, CAPOS_PARK_WOKEN);
    CHECK_EQ(user_expect(a, sqe.user_data).result, 1); /* those of the other process are gone */
    fixture_end();
}

TEST(park_revoked, "a park by a capability that is revoked ends DISCONNECTED; private ones stay")
{
    static uint64_t words[512];
    struct revocation revocation = {0};
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t mine = user_memory(a, words, sizeof(words), false);
    capos_cap_t theirs = user_pass(a, mine, b, MemoryObject_FACET);
    uint64_t own = start_park(b, 0, USER_HEAP, 0), cut = start_park(b, theirs, 8, 0);
    struct grant *route = user_route(b, theirs);
    while (!revocation_slice(&revocation, route)) {
        fixture_settle();
    }
    grant_unref(route);
    CHECK_EQ(user_expect(b, cut).result, ST_DISCONNECTED);
    CHECK_EQ(completions(b), 0);
    CHECK_EQ(unpark(a, mine, 8, 1), 0);
    struct capos_sqe sqe = sqe_park(b, theirs, 8, 0);
    CHECK_EQ(user_do(b, &sqe).result, ST_DISCONNECTED);
    (void)own;
    fixture_end();
}

/* ---- on CPUs of their own ---- */

enum { CPUS = 3, THREADS = 4, TURNS = 1500 };

/* A thread hands the word's value on: it waits while the word is not its number, then makes it the next
 * one's and wakes all. A wakening that is lost stops them all. */
struct player {
    struct user *user;
    uint32_t number;
    bool parked;
};
static struct player players[THREADS];
static _Atomic unsigned passed;

static uint32_t *word_of(struct user *user)
{
    return host_user(&user->process->aspace.arch, USER_HEAP, true);
}

static void player_turn(struct thread *thread)
{
    struct player *player = thread->arch.user;
    struct user *user = player->user;
    struct capos_cqe cqe;
    while (user_reap(user, &cqe)) {
        player->parked = false;
    }
    if (player->number == UINT32_MAX || atomic_load_relaxed(&passed) >= TURNS) {
        sched_yield();
        return;
    }
    uint32_t value = __atomic_load_n(word_of(user), __ATOMIC_ACQUIRE);
    struct capos_sqe sqe = sqe_park(user, 0, USER_HEAP, value);
    if (value == player->number) {
        __atomic_store_n(word_of(user), (value + 1) % THREADS, __ATOMIC_RELEASE);
        atomic_add_relaxed(&passed, 1);
        sqe = sqe_unpark(user, 0, USER_HEAP, UINT32_MAX);
    }
    user_submit(user, &sqe);
    host_syscall(thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
}

static bool all_passed(void)
{
    return atomic_load_relaxed(&passed) >= TURNS;
}

TEST(park_race, "on CPUs of their own, threads that park and unpark in turn lose no wakening")
{
    capos_cap_t handle;
    fixture_start_real(CPUS);
    struct user *first = user_new("race");
    capos_cap_t spawner = user_spawner(first);
    for (unsigned i = 0; i < THREADS; i++) {
        players[i].user = i == 0 ? first : user_thread(first, spawner, &handle);
        players[i].number = i;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        players[i].user->thread->arch.user = &players[i];
    }
    fixture_run(player_turn, all_passed);
    CHECK_EQ(atomic_load_relaxed(&passed), TURNS);
    fixture_end();
}
