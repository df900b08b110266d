/* SPDX-License-Identifier: MIT */
/* Several threads of one process: how they start and end, alone and with their process. */
#include "tests/unit/kernel_race.h"
#include "tests/unit/test.h"

#include <sched.h>

#include "abi/layout.h"
#include "gen/notification.capnp.h"
#include "gen/thread.capnp.h"
#include "mem/frames.h"
#include "object/revocation.h"
#include "sched/sched.h"

#define ENTRY UINT64_C(0x400000)
#define STACK (USER_HEAP + PAGE_BYTES)

static struct capos_sqe join(struct user *user, capos_cap_t handle)
{
    return sqe_wait(user, handle, CAPOS_EVENT_EXIT, 0);
}

static void step_only(unsigned cpu)
{
    for (unsigned i = 0; i < 50; i++) {
        host_become(cpu);
        (void)host_step(cpu);
    }
}

TEST(
    thread_starts,
    "a new thread begins at its entry, with argument, ring, stack and thread pointer as asked, and "
    "its ring works")
{
    struct user *other;
    fixture_start(2);
    struct user *user = user_new("first");
    capos_cap_t spawner = user_spawner(user);
    struct capos_cqe cqe = user_try_thread(user, spawner, ENTRY, STACK, 64, &other);
    CHECK_EQ(cqe.cap_count, 1);
    struct arch_regs regs;
    arch_thread_get_regs(&other->thread->arch, &regs);
    CHECK_EQ(regs.r[HOST_IP], ENTRY);
    CHECK_EQ(regs.r[HOST_SP], STACK);
    CHECK_EQ(regs.r[HOST_DI], 0xa59);
    CHECK_EQ(arch_thread_tls(&other->thread->arch).v, STACK);
    struct capos_ring_header *ring = user_ptr(other, regs.r[HOST_SI]);
    REQUIRE(ring != NULL);
    CHECK_PTR_EQ(ring, user_ring(other));
    CHECK(ring != user_ring(user));
    CHECK_EQ(ring->magic, CAPOS_RING_MAGIC);
    CHECK_EQ(ring->sq_entries, 64);
    CHECK_EQ(ring->sq_head | ring->sq_tail | ring->cq_head | ring->cq_tail | ring->flags, 0);
    struct capos_sqe nop = user_sqe(other, CAPOS_OP_NOP);
    CHECK_EQ(user_do(other, &nop).result, ST_OK);
    nop = user_sqe(user, CAPOS_OP_NOP);
    CHECK_EQ(user_do(user, &nop).result, ST_OK);
    CHECK(host_current(0) != host_current(1));
    fixture_end();
}

TEST(thread_join, "who waits for a thread gets its exit code when all it held is back")
{
    capos_cap_t handle;
    uint64_t result;
    fixture_start(1);
    struct user *user = user_new("first");
    capos_cap_t spawner = user_spawner(user);
    struct held before = held_now(user);
    for (unsigned i = 0; i < 3; i++) {
        struct user *other = user_thread(user, spawner, &handle);
        CHECK_EQ(user->process->live, 2);
        struct capos_sqe wait = join(user, handle);
        user_submit(user, &wait);
        user_enter_start(user, 1, CAPOS_FOREVER);
        CHECK(!user_entered(user, &result));
        user_thread_exit(other, -42 - (int64_t)i);
        CHECK(user_entered(user, &result));
        CHECK_EQ(result, 1);
        CHECK_EQ(user->process->live, 1);
        struct capos_cqe cqe = user_expect(user, wait.user_data);
        CHECK_EQ(cqe.result, CAPOS_EVENT_EXIT);
        CHECK_EQ(cqe.signal, (uint64_t)-42 - i);
        struct capos_sqe late = join(user, handle);
        CHECK_EQ(user_do(user, &late).signal, (uint64_t)-42 - i);
        CHECK_EQ(user_release(user, handle), ST_OK);
        CHECK_HELD(user, before);
    }
    fixture_end();
}

TEST(thread_detached, "a thread without a handle goes on, and leaves nothing when it ends")
{
    capos_cap_t handle;
    fixture_start(1);
    struct user *user = user_new("first");
    capos_cap_t spawner = user_spawner(user);
    struct held before = held_now(user);
    struct user *other = user_thread(user, spawner, &handle);
    CHECK_EQ(user_release(user, handle), ST_OK);
    struct capos_sqe nop = user_sqe(other, CAPOS_OP_NOP);
    CHECK_EQ(user_do(other, &nop).result, ST_OK);
    user_thread_exit(other, 1);
    CHECK_HELD(user, before);
    fixture_end();
}

TEST(thread_refused, "a spawn that is refused says why and changes nothing")
{
    static const uint64_t wild[] = {CAPOS_USER_END, UINT64_C(1) << 47, UINT64_C(1) << 63,
                                    UINT64_MAX};
    static const uint32_t sizes[] = {1, 8, 17, 24, 8192, UINT32_MAX};
    fixture_start(1);
    struct user *user = user_new("first");
    capos_cap_t spawner = user_spawner(user);
    struct held before = held_now(user);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(user_try_thread(user, spawner, wild[i], STACK, 0, NULL).result, ST_BAD_ARGUMENT);
        CHECK_EQ(user_try_thread(user, spawner, ENTRY, wild[i], 0, NULL).result, ST_BAD_ARGUMENT);
        CHECK_HELD(user, before);
    }
    for (unsigned i = 0; i < 6; i++) {
        CHECK_EQ(user_try_thread(user, spawner, ENTRY, STACK, sizes[i], NULL).result,
                 ST_BAD_ARGUMENT);
        CHECK_HELD(user, before);
    }
    fixture_end();
}

TEST(thread_quota,
     "a spawn refused for want of threads or memory changes nothing, wherever it stops")
{
    uint64_t limits[LEDGER_CLASSES];
    struct user *other;
    fixture_start(1);
    user_limits(limits);
    limits[LEDGER_CLASS_THREADS] = 2;
    struct user *user = user_new_limits("first", limits, USER_RING);
    capos_cap_t spawner = user_spawner(user);
    struct held before = held_now(user);
    struct capos_cqe cqe;
    unsigned refusals = 0;
    for (unsigned n = 1;; n++) {
        frames_fail_at(n);
        cqe = user_try_thread(user, spawner, ENTRY, STACK, 0, &other);
        frames_fail_at(0);
        if (cqe.result >= 0) {
            break;
        }
        refusals++;
        CHECK_EQ(cqe.result, ST_QUOTA);
        CHECK_HELD(user, before);
    }
    CHECK(refusals >= 5);
    struct held full = held_now(user);
    cqe = user_try_thread(user, spawner, ENTRY, STACK, 0, NULL);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_THREADS);
    CHECK_HELD(user, full);
    fixture_end();
}

/* ---- large rings ---- */

enum { LARGE = CAPOS_RING_MAX_ENTRIES };

static struct user *user_large(const char *name)
{
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 1 << 16, 2000);
    return user_new_limits(name, limits, USER_RING);
}

/* A spawn of a large ring that has been entered and goes on as a job. */
static struct capos_sqe begin_large(struct user *user, capos_cap_t spawner, uint64_t deadline_ns,
                                    uint64_t *position_out)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ThreadSpawner_spawn_params_b params = ThreadSpawner_spawn_params_init(&builder);
    ThreadSpawner_spawn_params_set_entry(params, ENTRY);
    ThreadSpawner_spawn_params_set_stack(params, STACK);
    ThreadSpawner_spawn_params_set_ring_entries(params, LARGE);
    user->heap_next = USER_HEAP;
    struct capos_sqe sqe =
        sqe_method(user, spawner, ThreadSpawner_ID, ThreadSpawner_spawn_ORDINAL, &builder);
    sqe_result(user, &sqe, 64, 1);
    sqe.deadline_ns = deadline_ns;
    *position_out = user_submit(user, &sqe);
    host_syscall(user->thread, CAPOS_SYS_ENTER, 0, 0);
    step_only(0);
    return sqe;
}

/* Lets the kernel do `n` slices of its jobs while the user runs. */
static void slices(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        host_clock_advance(SCHED_SLICE_NS);
        step_only(0);
    }
}

/* How many slices it takes; the page tables that it leaves behind are there from now on. */
static unsigned try_large(struct user *user, capos_cap_t spawner)
{
    uint64_t position;
    unsigned count = 0;
    struct capos_sqe sqe = begin_large(user, spawner, 0, &position);
    for (; completions(user) == 0 && count < 1000; count++) {
        slices(1);
    }
    capos_cap_t handle = user_expect(user, sqe.user_data).first_cap;
    struct thread *other =
        list_entry(list_last(&user->process->threads), struct thread, process_link);
    other->arch.user = user;
    host_syscall(other, CAPOS_SYS_EXIT, 0, CAPOS_EXIT_THREAD);
    fixture_settle();
    CHECK_EQ(user_release(user, handle), ST_OK);
    return count;
}

/* Where to interrupt it: at its first and its last slices and at some between. */
enum { STAGES = 16 };
static unsigned stage(unsigned i, unsigned count)
{
    return i < 4 ? i : i < 12 ? i * count / 13 : count - (STAGES - i);
}

TEST(thread_large_ring, "the largest ring is made in slices while its maker goes on, works, and is "
                        "given back in slices")
{
    uint64_t position;
    unsigned count = 0;
    fixture_start(1);
    struct user *user = user_large("first");
    capos_cap_t spawner = user_spawner(user);
    (void)try_large(user, spawner);
    struct held before = held_now(user);
    struct capos_sqe sqe = begin_large(user, spawner, 0, &position);
    for (; completions(user) == 0 && count < 1000; count++) {
        CHECK_EQ(user->process->live, 1);
        slices(1);
    }
    CHECK(count > 100);
    CHECK_EQ(user->process->live, 2);
    struct capos_cqe cqe = user_expect(user, sqe.user_data);
    CHECK(cqe.result >= 0);
    CHECK_EQ(cqe.cap_count, 1);
    capos_cap_t handle = cqe.first_cap;
    struct user other = *user;
    other.thread = list_entry(list_last(&user->process->threads), struct thread, process_link);
    other.thread->arch.user = &other;
    other.sq_tail = other.cq_head = 0;
    CHECK_EQ(user_ring(&other)->sq_entries, LARGE);
    for (unsigned i = 0; i < 2 * LARGE; i += LARGE) { /* once round all of its pages */
        for (unsigned j = 0; j < LARGE; j++) {
            struct capos_sqe nop = user_sqe(&other, CAPOS_OP_NOP);
            user_submit(&other, &nop);
        }
        user_enter(&other, LARGE, CAPOS_FOREVER);
        for (unsigned j = 0; j < LARGE; j++) {
            CHECK(user_reap(&other, &cqe));
            CHECK_EQ(cqe.result, ST_OK);
        }
    }
    host_syscall(other.thread, CAPOS_SYS_EXIT, 0, CAPOS_EXIT_THREAD);
    for (count = 0; list_count(&user->process->threads) > 1 && count < 1000; count++) {
        slices(1);
    }
    CHECK(count > 30);
    CHECK_EQ(user_release(user, handle), ST_OK);
    CHECK_HELD(user, before);
    fixture_end();
}

TEST(thread_large_cancelled, "cancel, deadline and revocation of the spawner, however far the ring "
                             "is, end the call and leave nothing")
{
    fixture_start(1);
    struct user *user = user_large("first");
    unsigned count = try_large(user, user_spawner(user));
    for (unsigned i = 0; i < 3 * STAGES; i++) {
        uint64_t position;
        capos_cap_t spawner = user_spawner(user);
        struct grant *route = user_route(user, spawner);
        struct held before = held_now(user);
        uint64_t until = arch_time_ns() + (stage(i / 3, count) + 1) * SCHED_SLICE_NS;
        struct capos_sqe sqe = begin_large(user, spawner, i % 3 == 1 ? until : 0, &position);
        slices(stage(i / 3, count));
        REQUIRE_EQ(completions(user), 0);
        if (i % 3 == 0) {
            user_cancel(user, position, sqe.user_data);
        } else if (i % 3 == 1) {
            slices(1);
            CHECK_EQ(user_expect(user, sqe.user_data).result, ST_TIMED_OUT);
        } else {
            struct revocation rev = {.step = 0};
            while (!revocation_slice(&rev, route)) {
            }
            CHECK_EQ(user_expect(user, sqe.user_data).result, ST_DISCONNECTED);
        }
        fixture_settle();
        if (i % 3 != 2) {
            CHECK_HELD(user, before);
        }
        CHECK_EQ(user->process->live, 1);
        CHECK_EQ(list_count(&user->process->threads), 1);
        CHECK_EQ(user_release(user, spawner), ST_OK);
        grant_unref(route);
    }
    fixture_end();
}

TEST(thread_large_dies, "the end of a process, by its last thread or from outside, ends the making "
                        "of a ring however far it is")
{
    fixture_start(1);
    struct user *first = user_large("first");
    unsigned count = try_large(first, user_spawner(first));
    user_exit(first, 0);
    for (unsigned i = 0; i < 2 * STAGES; i++) {
        uint64_t position;
        struct user *user = user_large("victim");
        (void)begin_large(user, user_spawner(user), 0, &position);
        slices(stage(i / 2, count));
        if (i % 2 == 0) {
            host_syscall(user->thread, CAPOS_SYS_EXIT, 0, CAPOS_EXIT_THREAD);
            user_ended(user);
        } else {
            user_terminate(user);
        }
    }
    fixture_end();
}

TEST(thread_large_quota,
     "a ring that finds no memory, however far it is, is refused QUOTA and leaves nothing")
{
    fixture_start(1);
    struct user *user = user_large("first");
    capos_cap_t spawner = user_spawner(user);
    (void)try_large(user, spawner);
    struct held before = held_now(user);
    for (unsigned n = 1; n < 2000; n += n < 8 ? 1 : 83) {
        uint64_t position;
        frames_fail_at(n);
        struct capos_sqe sqe = begin_large(user, spawner, 0, &position);
        fixture_settle();
        bool failed = frames_failed();
        frames_fail_at(0);
        struct capos_cqe cqe = user_expect(user, sqe.user_data);
        if (!failed) {
            CHECK(n > 1600);
            CHECK(cqe.result >= 0);
            break;
        }
        REQUIRE_EQ(cqe.result, ST_QUOTA);
        CHECK_EQ(cqe.needed, LEDGER_CLASS_KERNEL_PAGES);
        CHECK_HELD(user, before);
    }
    fixture_end();
}

TEST(thread_last, "the last thread's exit is the exit of the process, with its code")
{
    capos_cap_t handle;
    fixture_start(1);
    struct user *user = user_new("first");
    struct user *other = user_thread(user, user_spawner(user), &handle);
    user_thread_exit(user, 5);
    CHECK_EQ(user->process->state, PROCESS_RUNNING);
    struct capos_sqe nop = user_sqe(other, CAPOS_OP_NOP);
    CHECK_EQ(user_do(other, &nop).result, ST_OK);
    user_thread_exit(other, 7);
    CHECK_EQ(user->process->state, PROCESS_REAPED);
    CHECK_EQ(user->process->end_kind, PROCESS_ENDED_EXIT);
    CHECK_EQ(user->process->exit_code, 7);
    user_ended(user);
    fixture_end();
}

static void process_exits(unsigned how)
{
    enum { THREADS = 9, CPUS = 4 };
    struct user *others[THREADS];
    capos_cap_t handle;
    fixture_start(CPUS);
    struct user *user = user_new("first");
    capos_cap_t spawner = user_spawner(user), note = user_notification(user);
    for (unsigned i = 0; i < THREADS; i++) {
        others[i] = user_thread(user, spawner, &handle);
        struct capos_sqe wait = sqe_wait(others[i], note, CAPOS_EVENT_SIGNALLED, 1);
        user_submit(others[i], &wait);
        if (i % 3 == 0) {
            user_enter_start(others[i], 1, CAPOS_FOREVER);
        }
    }
    if (how == 0) {
        user_exit(user, 3);
    } else if (how == 1) {
        user_exit(others[THREADS - 1], 3);
    } else {
        user_terminate(user);
    }
    fixture_end();
}

TEST(thread_process_exit, "a process ends with all its threads, wherever they run or wait")
{
    for (unsigned how = 0; how < 3; how++) {
        CHECK(test_apart(process_exits, how));
    }
}

TEST(thread_end_waits, "the end of a process waits for the threads that other CPUs still run")
{
    capos_cap_t handle;
    fixture_start(2);
    struct user *user = user_new("first");
    struct user *other = user_thread(user, user_spawner(user), &handle);
    unsigned here = host_current(0) == user->thread ? 0 : 1;
    CHECK(host_current(1 - here) == other->thread);
    host_become(here);
    process_end(user->process, PROCESS_ENDED_TERMINATED, 0, NULL);
    host_interrupt(here, ARCH_VECTOR_RESCHEDULE);
    step_only(here);
    CHECK_EQ(user->process->exit_stage, 0);
    user_ended(user);
    fixture_end();
}

TEST(thread_end_lets_leave, "the end of a process waits for threads that are on their way out")
{
    capos_cap_t handle;
    fixture_start(1);
    struct user *user = user_new("first");
    struct user *other = user_thread(user, user_spawner(user), &handle);
    struct ring *ring = ring_get(other->thread->ring->id); /* as a RETURN elsewhere would */
    other->gone = true;
    host_syscall(other->thread, CAPOS_SYS_EXIT, 1, CAPOS_EXIT_THREAD);
    while (user->process->leaving == 0) {
        host_clock_advance(SCHED_SLICE_NS);
        step_only(0);
    }
    process_end(user->process, PROCESS_ENDED_TERMINATED, 0, NULL);
    host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
    step_only(0);
    CHECK_EQ(user->process->leaving, 1);
    CHECK_EQ(user->process->exit_stage, 0);
    ring_put(ring);
    user_ended(user);
    fixture_end();
}

TEST(thread_leaves_operations,
     "a thread that ends takes its waits and calls along, and leaves those of others")
{
    capos_cap_t handle;
    fixture_start(1);
    struct user *user = user_new("first"), *server = user_new("server");
    capos_cap_t note = user_notification(user);
    capos_cap_t endpoint = user_endpoint(server, 64, 0);
    capos_cap_t object = user_pass(server, user_mint(server, endpoint, 1), user, 0xff);
    struct capos_sqe mine = sqe_wait(user, note, CAPOS_EVENT_SIGNALLED, 1);
    user_start(user, &mine);
    struct user *other = user_thread(user, user_spawner(user), &handle);
    struct capos_sqe wait = sqe_wait(other, note, CAPOS_EVENT_SIGNALLED, 2);
    user_start(other, &wait);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t nothing = 0;
        struct capos_sqe call =
            sqe_call(other, object, FIXTURE_INTERFACE, 0, user_message(other, &nothing, 8), 8);
        sqe_result(other, &call, 64, 0);
        user_start(other, &call);
    }
    struct capos_sqe receive = sqe_recv(server, endpoint, 256, 0);
    uint64_t call_id;
    CHECK(user_do(server, &receive).result >= 0);
    user_read(server, receive.result, &call_id, sizeof(call_id));
    user_thread_exit(other, 0);
    struct capos_sqe answer = sqe_return(server, call_id, 0, 0);
    CHECK_EQ(user_do(server, &answer).result, ST_GONE);
    struct capos_sqe signal = sqe_cap(user, CAPOS_OP_SIGNAL, note);
    signal.params = 3;
    user_submit(user, &signal);
    user_enter(user, 2, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, mine.user_data).signal, 1);
    CHECK_EQ(user_expect(user, signal.user_data).result, ST_OK);
    struct capos_sqe rest = sqe_wait(user, note, CAPOS_EVENT_SIGNALLED, 0);
    CHECK_EQ(user_do(user, &rest).signal, 2); /* nobody took it */
    fixture_end();
}

TEST(thread_pointer, "a thread sets its own thread pointer, to addresses of programs alone")
{
    capos_cap_t handle;
    uint64_t words[4];
    struct capnp_builder builder;
    fixture_start(1);
    struct user *user = user_new("first");
    capos_cap_t control =
        user_give(user, &user->process->obj, KTYPE_THREAD_CONTROL, ThreadControl_FACET);
    struct user *other = user_thread(user, user_spawner(user), &handle);
    static const uint64_t wild[] = {UINT64_C(1) << 47, UINT64_MAX, UINT64_C(1) << 63};
    for (unsigned i = 0; i < 4; i++) {
        capnp_builder_init(&builder, words, sizeof(words));
        ThreadControl_set_thread_pointer_params_b params =
            ThreadControl_set_thread_pointer_params_init(&builder);
        ThreadControl_set_thread_pointer_params_set_address(params, i < 3 ? wild[i] : 0x1230);
        struct capos_cqe cqe =
            user_call(other, control, ThreadControl_ID, ThreadControl_set_thread_pointer_ORDINAL,
                      &builder, NULL, 0, NULL);
        CHECK_EQ(cqe.result < 0 ? cqe.result : ST_OK, i < 3 ? ST_BAD_ARGUMENT : ST_OK);
        CHECK_EQ(arch_thread_tls(&other->thread->arch).v, i < 3 ? STACK : 0x1230);
        CHECK_EQ(arch_thread_tls(&user->thread->arch).v, 0);
    }
    fixture_end();
}

TEST(thread_rings_reused, "places of rings are used again, and many fit one after the other")
{
    enum { ROUNDS = 3, THREADS = 40 };
    struct user *user;
    capos_cap_t handle;
    uint64_t limits[LEDGER_CLASSES], highest[ROUNDS] = {0};
    fixture_start(1);
    machine_limits(limits, 4000, 1000);
    user = user_new_limits("first", limits, USER_RING);
    capos_cap_t spawner = user_spawner(user);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct thread *made[THREADS];
        for (unsigned i = 0; i < THREADS; i++) {
            struct capos_cqe cqe = user_try_thread(user, spawner, ENTRY, STACK, 0, NULL);
            REQUIRE(cqe.result >= 0);
            handle = cqe.first_cap;
            CHECK_EQ(user_release(user, handle), ST_OK);
            made[i] = list_entry(list_last(&user->process->threads), struct thread, process_link);
            uint64_t at = made[i]->ring->user_address;
            highest[round] = at > highest[round] ? at : highest[round];
        }
        for (unsigned i = 0; i < THREADS; i++) {
            host_syscall(made[i * 7 % THREADS], CAPOS_SYS_EXIT, 0, CAPOS_EXIT_THREAD);
        }
        while (user->process->live != 1 || user->process->leaving != 0) {
            fixture_advance(10000000);
        }
    }
    CHECK_EQ(highest[1], highest[0]);
    CHECK_EQ(highest[2], highest[0]);
    fixture_end();
}

/* ---- on CPUs of their own ---- */

enum { CPUS = 3, PARTIES = 3, TURNS = 120 };

/* A process whose threads make and end threads; any of them may end it. */
struct party {
    struct process *process;
    capos_cap_t spawner;
    uint64_t message; /* a spawn */
    uint64_t result;
    _Atomic unsigned turns;
    bool exits; /* in the end, by itself */
};
static struct party parties[PARTIES];

/* One turn of a thread's program: it knows its ring, and nothing of earlier turns but what is there. */
static void party_turn(struct thread *thread)
{
    struct party *party = NULL;
    for (unsigned i = 0; i < PARTIES && thread->process != NULL; i++) {
        party = parties[i].process == thread->process ? &parties[i] : party;
    }
    if (party == NULL) {
        sched_yield();
        return;
    }
    unsigned turn = atomic_add_relaxed(&party->turns, 1);
    if (turn >= TURNS) {
        host_syscall(thread, party->exits ? CAPOS_SYS_EXIT : CAPOS_SYS_ENTER, 0, 0);
        return;
    }
    if (turn % 5 == 4) {
        host_syscall(thread, CAPOS_SYS_EXIT, turn, CAPOS_EXIT_THREAD);
        return;
    }
    struct capos_sqe sqe = {.op = CAPOS_OP_NOP, .user_data = turn};
    if (turn % 2 == 0) {
        sqe = (struct capos_sqe){.op = CAPOS_OP_CALL,
                                 .method = ThreadSpawner_spawn_ORDINAL,
                                 .accept_count = 1,
                                 .cap = party->spawner,
                                 .params = party->message,
                                 .params_len = 40,
                                 .result = party->result,
                                 .result_len = 64,
                                 .interface = ThreadSpawner_ID};
    }
    race_push(thread, &sqe);
    host_syscall(thread, CAPOS_SYS_ENTER, 0, 0);
}

static bool all_churned(void)
{
    for (unsigned i = 0; i < PARTIES; i++) {
        if (atomic_load_relaxed(&parties[i].turns) < TURNS ||
            (parties[i].exits && !fixture_reaped(parties[i].process))) {
            return false;
        }
    }
    return true;
}

TEST(thread_churn,
     "threads that make and end threads on three CPUs leave nothing when their process ends")
{
    struct user *users[PARTIES];
    fixture_start_real(CPUS);
    for (unsigned i = 0; i < PARTIES; i++) {
        const uint64_t message[5] = {UINT64_C(4) << 32, ENTRY, STACK, 0, 0};
        struct user *user = user_new("party");
        users[i] = user;
        user->gone = true; /* its first thread may end before the others */
        parties[i].process = user->process;
        parties[i].spawner = user_spawner(user);
        parties[i].message = user_message(user, message, sizeof(message));
        parties[i].result = user_alloc(user, 64);
        parties[i].exits = i != 0;
    }
    fixture_run(party_turn, all_churned);
    for (unsigned i = 0; i < PARTIES; i++) {
        user_terminate(users[i]);
    }
    fixture_end();
}
