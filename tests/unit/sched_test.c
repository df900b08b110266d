/* SPDX-License-Identifier: MIT */
/* Who runs when: slices, tickless idling, waking, stealing, jobs beside busy programs, deadlines. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/notification.capnp.h"
#include "sched/cpu.h"
#include "sched/sched.h"

static bool runs_on(struct user *user, unsigned cpu)
{
    return host_current(cpu) == user->thread;
}

static bool runs(struct user *user)
{
    for (unsigned i = 0; i < arch_cpu_count(); i++) {
        if (runs_on(user, i)) {
            return true;
        }
    }
    return false;
}

TEST(sched_slices, "two busy programs on one CPU take turns, a slice each")
{
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    struct user *now = runs(a) ? a : b;
    struct user *other = now == a ? b : a;
    for (unsigned turn = 0; turn < 6; turn++) {
        CHECK(runs(now) && !runs(other));
        fixture_advance(SCHED_SLICE_NS - 1);
        CHECK(runs(now) && !runs(other));
        fixture_advance(1);
        struct user *next = other;
        other = now;
        now = next;
    }
    fixture_end();
}

TEST(sched_slice_not_prolonged, "a program's own deadlines do not prolong its slice")
{
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    struct user *now = runs(a) ? a : b;
    struct user *other = now == a ? b : a;
    capos_cap_t note = user_notification(now);
    for (unsigned i = 1; i < 4; i++) {
        struct capos_sqe wait = sqe_wait(now, note, CAPOS_EVENT_SIGNALLED, 1);
        wait.deadline_ns = arch_time_ns() + i * (SCHED_SLICE_NS / 4);
        user_start(now, &wait);
    }
    CHECK(runs(now));
    for (unsigned i = 0; i < 3; i++) {
        fixture_advance(SCHED_SLICE_NS / 4);
        CHECK(runs(now) && !runs(other));
    }
    fixture_advance(SCHED_SLICE_NS / 4);
    CHECK(runs(other));
    fixture_end();
}

TEST(sched_tickless, "a program alone on its CPU is never interrupted, nor is an idle CPU")
{
    fixture_start(2);
    struct user *user = user_new("alone");
    fixture_settle();
    CHECK(runs(user));
    CHECK_EQ(host_next_deadline(), ARCH_TIME_NEVER);
    uint64_t deadline = arch_time_ns() + 12345;
    user_enter_start(user, 1, deadline);
    CHECK(!runs(user));
    CHECK_EQ(host_next_deadline(), deadline);
    fixture_advance(12345);
    CHECK(runs(user));
    CHECK_EQ(host_next_deadline(), ARCH_TIME_NEVER);
    fixture_end();
}

TEST(sched_spreads, "new programs go to idle CPUs first")
{
    enum { CPUS = 4 };
    struct user *all[CPUS];
    fixture_start(CPUS);
    for (unsigned i = 0; i < CPUS; i++) {
        all[i] = user_new("spread");
    }
    for (unsigned i = 0; i < CPUS; i++) {
        CHECK(runs(all[i]));
    }
    fixture_end();
}

TEST(sched_steals, "a CPU that goes idle takes a program that waits at another one")
{
    fixture_start(2);
    struct user *a = user_new("a"), *b = user_new("b"), *c = user_new("c");
    int running = runs(a) + runs(b) + runs(c);
    CHECK_EQ(running, 2);
    struct user *waiting = !runs(a) ? a : !runs(b) ? b : c;
    unsigned its_cpu = atomic_load_relaxed(&waiting->thread->cpu);
    struct user *elsewhere = NULL;
    struct user *all[] = {a, b, c};
    for (unsigned i = 0; i < 3; i++) {
        if (all[i] != waiting && !runs_on(all[i], its_cpu)) {
            elsewhere = all[i];
        }
    }
    user_enter_start(elsewhere, 1, arch_time_ns() + UINT64_C(1000000000000));
    CHECK(runs(waiting));
    CHECK(runs_on(waiting, 1 - its_cpu));
    fixture_end();
}

TEST(sched_wakes_where_it_ran, "a program that wakes goes on where it ran, if that CPU is free")
{
    fixture_start(3);
    struct user *user = user_new("home");
    for (unsigned turn = 0; turn < 5; turn++) {
        unsigned home = atomic_load_relaxed(&user->thread->cpu);
        user_enter_start(user, 1, arch_time_ns() + 1000);
        fixture_advance(1000);
        CHECK(runs_on(user, home));
    }
    fixture_end();
}

TEST(sched_jobs_beside_programs,
     "the end of a process is worked off although every CPU has a busy program")
{
    fixture_start(1);
    struct user *victim = user_new("victim"), *busy = user_new("busy");
    uint64_t start = arch_time_ns();
    user_terminate(victim);
    CHECK(runs(busy));
    CHECK(arch_time_ns() - start < 2 * UINT64_C(1000000000));
    fixture_end();
}

TEST(sched_many_deadlines, "two hundred deadlines on one CPU pass in order, each at its time")
{
    enum { SLEEPS = 200 };
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(1);
    user_limits(limits);
    struct user *user = user_new_limits("deadlines", limits, 256);
    capos_cap_t note = user_notification(user);
    uint64_t start = arch_time_ns();
    uint64_t first = user->user_data;
    for (unsigned i = 0; i < SLEEPS; i++) {
        struct capos_sqe wait = sqe_wait(user, note, CAPOS_EVENT_SIGNALLED, 0);
        wait.deadline_ns = start + 1000 * (1 + i * 77 % SLEEPS);
        user_submit(user, &wait);
    }
    user_enter(user, 0, 0);
    for (unsigned passed = 1; passed <= SLEEPS; passed++) {
        fixture_advance(1000);
        CHECK_EQ(completions(user), 1);
        struct capos_cqe cqe;
        REQUIRE(user_reap(user, &cqe));
        CHECK_EQ(cqe.result, ST_TIMED_OUT);
        CHECK_EQ(1 + (cqe.user_data - first - 1) * 77 % SLEEPS, passed);
    }
    fixture_end();
}

TEST(sched_deadlines_at_once, "deadlines that all pass at the same time are all told")
{
    enum { SLEEPS = 100 };
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(2);
    user_limits(limits);
    struct user *user = user_new_limits("at once", limits, 128);
    capos_cap_t note = user_notification(user);
    for (unsigned i = 0; i < SLEEPS; i++) {
        struct capos_sqe wait = sqe_wait(user, note, CAPOS_EVENT_SIGNALLED, 0);
        wait.deadline_ns = arch_time_ns() + 5000 + i % 7;
        user_submit(user, &wait);
    }
    user_enter_start(user, SLEEPS, CAPOS_FOREVER);
    fixture_advance(100000);
    uint64_t result;
    CHECK(user_entered(user, &result));
    CHECK_EQ(result, SLEEPS);
    fixture_end();
}

TEST(sched_drain,
     "who is woken in a long drain is queued after a slice, for the drain may never end")
{
    enum { ENTRIES = 64 };
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(1);
    user_limits(limits);
    struct user *waiter = user_new("waiter"), *busy = user_new_limits("busy", limits, ENTRIES);
    capos_cap_t note = user_notification(waiter);
    struct capos_sqe signal =
        sqe_cap(busy, CAPOS_OP_SIGNAL, user_pass(waiter, note, busy, Notification_FACET));
    struct capos_sqe wait = sqe_wait(waiter, note, CAPOS_EVENT_SIGNALLED, 1);
    user_submit(waiter, &wait);
    user_enter_start(waiter, 1, CAPOS_FOREVER);
    signal.params = 1;
    uint64_t first = user_submit(busy, &signal);
    for (unsigned i = 1; i < ENTRIES; i++) {
        struct capos_sqe nop = user_sqe(busy, CAPOS_OP_NOP);
        user_submit(busy, &nop);
    }
    host_syscall(busy->thread, CAPOS_SYS_ENTER, 0, 0);
    while (user_ring(busy)->sq_head == first) {
        REQUIRE(host_step(0));
    }
    CHECK(user_ring(busy)->sq_head < first + ENTRIES);
    CHECK(atomic_load_relaxed(&waiter->thread->queued) != 0);
    fixture_settle();
    CHECK_EQ(user_ring(busy)->sq_head, first + ENTRIES);
    fixture_end();
}
