/* SPDX-License-Identifier: MIT */
/* Shares of processor time: fairness by weight, budgets, classes, and what their holders can do. */
#include "tests/unit/kernel_scheduling.h"

static struct capos_cqe set_other(struct user *user, capos_cap_t handle, capos_cap_t cap)
{
    return set_context_by(user, handle, ThreadHandle_ID, ThreadHandle_set_context_ORDINAL, cap);
}

static struct capos_cqe end_context(capos_cap_t cap)
{
    return user_call_plain(maker, cap, SchedulingContext_ID, SchedulingContext_revoke_ORDINAL,
                           NULL);
}

/* Within a fiftieth of `total`. */
static bool is_share(uint64_t part, uint64_t total, uint64_t num, uint64_t den)
{
    uint64_t expected = total * num / den;
    uint64_t off = part > expected ? part - expected : expected - part;
    if (off * 50 > total) {
        fprintf(stderr, "# %llu of %llu is not %llu/%llu\n", (unsigned long long)part,
                (unsigned long long)total, (unsigned long long)num, (unsigned long long)den);
    }
    return off * 50 <= total;
}

/* What each gets of so much time; all together. */
static uint64_t shares(struct sched_context *const of[], unsigned count, uint64_t ns,
                       uint64_t got[])
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        got[i] = used(of[i]);
    }
    run_for(ns);
    for (unsigned i = 0; i < count; i++) {
        got[i] = used(of[i]) - got[i];
        total += got[i];
    }
    return total;
}

/* In so much time, the two get the same. */
static void check_equal(struct sched_context *one, struct sched_context *other, uint64_t ns)
{
    struct sched_context *const both[] = {one, other};
    uint64_t got[2];
    uint64_t total = shares(both, 2, ns, got);
    CHECK(is_share(got[0], total, 1, 2));
}

TEST(scheduling_weights, "programs that never stop get time by their weights, within 2 % of it all")
{
    enum { USERS = 3 };
    static const unsigned weights[USERS] = {100, 200, 700};
    struct sched_context *contexts[USERS];
    uint64_t got[USERS];
    start(1);
    for (unsigned i = 0; i < USERS; i++) {
        struct user *user = user_new("hog");
        capos_cap_t cap = context(SCHEDULING_CLASS_NORMAL, weights[i], 0, 0);
        contexts[i] = behind(cap);
        bind(user, cap);
    }
    maker_blocks();
    run_for(200 * MS);
    uint64_t total = shares(contexts, USERS, 10000 * MS, got);
    CHECK(total > 9900 * MS);
    for (unsigned i = 0; i < USERS; i++) {
        CHECK(is_share(got[i], total, weights[i], 1000));
    }
    fixture_end();
}

/* A process of many threads beside one of a single thread, for ten seconds. */
static void crowd(unsigned cpus, unsigned threads)
{
    start(cpus);
    struct user *one = user_new("one"), *many = user_new("many");
    capos_cap_t spawner = user_spawner(many);
    for (unsigned i = 1; i < threads; i++) {
        capos_cap_t handle;
        (void)user_thread(many, spawner, &handle);
    }
    maker_blocks();
    run_for(200 * MS);
    check_equal(&one->process->context, &many->process->context, 10000 * MS);
    fixture_end();
}

TEST(scheduling_crowd, "a process with seven threads gets no more than one with a single thread")
{
    crowd(1, 7);
}

TEST(scheduling_crowd_cpus, "nor does it on two processors, where it could use both")
{
    crowd(2, 3);
}

TEST(scheduling_crowd_bound,
     "four threads that are bound to one context get as much as one that is bound to another")
{
    enum { THREADS = 4 };
    start(1);
    capos_cap_t handles[THREADS], spawner = user_spawner(maker);
    capos_cap_t many = context(SCHEDULING_CLASS_NORMAL, 100, 0, 0);
    capos_cap_t one = context(SCHEDULING_CLASS_NORMAL, 100, 0, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        (void)user_thread(maker, spawner, &handles[i]);
        CHECK(set_other(maker, handles[i], i == 0 ? one : many).result >= 0);
    }
    maker_blocks();
    run_for(200 * MS);
    check_equal(behind(one), behind(many), 10000 * MS);
    fixture_end();
}

TEST(scheduling_processors, "three programs on two processors get two thirds of one each")
{
    enum { USERS = 3 };
    struct sched_context *contexts[USERS];
    uint64_t got[USERS];
    start(2);
    for (unsigned i = 0; i < USERS; i++) {
        contexts[i] = &user_new("hog")->process->context;
    }
    maker_blocks();
    run_for(200 * MS);
    uint64_t total = shares(contexts, USERS, 10000 * MS, got);
    CHECK(total > 19000 * MS);
    for (unsigned i = 0; i < USERS; i++) {
        CHECK(is_share(got[i], total, 1, USERS));
    }
    fixture_end();
}

TEST(scheduling_no_saving, "who has slept gets its share from then on, and not what it did not use")
{
    start(1);
    struct user *hog = user_new("hog"), *sleeper = user_new("sleeper");
    maker_blocks();
    user_enter_start(sleeper, 1, arch_time_ns() + 2000 * MS);
    run_for(2000 * MS);
    check_equal(&hog->process->context, &sleeper->process->context, 1000 * MS);
    fixture_end();
}

TEST(scheduling_budget, "a budget is what its threads get in each period, and others have the rest")
{
    start(1);
    struct user *hog = user_new("hog"), *limited = user_new("limited");
    capos_cap_t cap = context(SCHEDULING_CLASS_INTERACTIVE, 100, 10 * MS, 100 * MS);
    struct sched_context *own = behind(cap);
    bind(limited, cap);
    maker_blocks();
    uint64_t before = used(own), hog_ns = used(&hog->process->context);
    for (unsigned period = 1; period <= 20; period++) {
        run_for(100 * MS);
        CHECK(used(own) - before <= (period + 1) * 10 * MS);
    }
    CHECK(is_share(used(own) - before, 2000 * MS, 1, 10));
    CHECK(is_share(used(&hog->process->context) - hog_ns, 2000 * MS, 9, 10));
    CHECK(atomic_load_relaxed(&own->limit->times_spent) >= 19);
    fixture_end();
}

TEST(scheduling_budget_alone, "a budget holds on an idle machine, too")
{
    start(2);
    struct user *limited = user_new("limited");
    capos_cap_t cap = context(SCHEDULING_CLASS_NORMAL, 100, 20 * MS, 100 * MS);
    struct sched_context *own = behind(cap);
    bind(limited, cap);
    maker_blocks();
    uint64_t before = used(own);
    run_for(1000 * MS);
    CHECK(used(own) - before <= 220 * MS && used(own) - before >= 180 * MS);
    fixture_end();
}

TEST(scheduling_class, "who is of a better class runs as soon as it wakes")
{
    start(1);
    struct user *hog = user_new("hog"), *lively = user_new("lively");
    capos_cap_t cap = context(SCHEDULING_CLASS_INTERACTIVE, 100, 90 * MS, 100 * MS);
    maker_blocks();
    bind(lively, cap);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t until = arch_time_ns() + 3 * MS;
        user_enter_start(lively, 1, until);
        CHECK(runs(hog));
        fixture_advance(3 * MS);
        CHECK(runs(lively));
    }
    fixture_end();
}

TEST(scheduling_background, "who is of a worse class runs when nobody else wants to")
{
    start(1);
    struct user *hog = user_new("hog"), *last = user_new("last");
    bind(last, context(SCHEDULING_CLASS_BACKGROUND, 10000, 0, 0));
    maker_blocks();
    run_for(100 * MS);
    CHECK(runs(hog));
    user_enter_start(hog, 1, arch_time_ns() + 20 * MS);
    run_for(10 * MS);
    CHECK(runs(last));
    run_for(10 * MS);
    CHECK(runs(hog));
    fixture_end();
}

TEST(scheduling_depleted, "whoever waits for it is told once that a budget was spent")
{
    start(2);
    struct user *limited = user_new("limited");
    capos_cap_t cap = context(SCHEDULING_CLASS_NORMAL, 100, 5 * MS, 100 * MS);
    bind(limited, cap);
    struct capos_sqe wait = sqe_wait(maker, cap, CAPOS_EVENT_DEPLETED, 0);
    user_submit(maker, &wait);
    maker_blocks();
    run_for(4 * MS);
    CHECK_EQ(completions(maker), 0);
    run_for(2 * MS);
    CHECK_EQ(completions(maker), 1);
    struct capos_cqe cqe;
    REQUIRE(user_reap(maker, &cqe));
    CHECK_EQ(cqe.result, CAPOS_EVENT_DEPLETED);
    user_submit(maker, &wait);
    maker_blocks();
    run_for(50 * MS);
    CHECK_EQ(completions(maker), 0);
    run_for(60 * MS);
    CHECK_EQ(completions(maker), 1);
    fixture_end();
}

TEST(scheduling_revoke, "a revoked context lets its threads go, those too that wait for its budget")
{
    start(1);
    struct user *limited = user_new("limited");
    capos_cap_t cap = context(SCHEDULING_CLASS_INTERACTIVE, 100, 1 * MS, 10000 * MS);
    struct ledger *ledger = maker->process->ledger;
    CHECK(atomic_load_relaxed(&ledger->used[LEDGER_CLASS_CPU_NS]) > 0);
    bind(limited, cap);
    fixture_advance(2 * MS);
    CHECK(!runs(limited));
    CHECK_EQ(atomic_load_relaxed(&limited->thread->queued), SCHED_HELD);
    CHECK(end_context(cap).result >= 0);
    CHECK_EQ(atomic_load_relaxed(&ledger->used[LEDGER_CLASS_CPU_NS]), 0);
    maker_blocks();
    fixture_advance(MS);
    CHECK(runs(limited));
    CHECK_PTR_EQ(limited->thread->context, &limited->process->context);
    fixture_end();
}

TEST(scheduling_revoked, "nothing is bound to a revoked context, and it is revoked only once")
{
    start(1);
    capos_cap_t cap = context(SCHEDULING_CLASS_NORMAL, 50, 0, 0);
    CHECK(end_context(cap).result >= 0);
    CHECK_EQ(end_context(cap).result, ST_DISCONNECTED);
    CHECK_EQ(set_context(maker, cap).result, ST_DISCONNECTED);
    CHECK_PTR_EQ(maker->thread->context, &maker->process->context);
    fixture_end();
}

TEST(scheduling_unbind, "a thread that is let go runs on its process's own context again")
{
    start(1);
    capos_cap_t cap = context(SCHEDULING_CLASS_NORMAL, 50, 0, 0);
    bind(maker, cap);
    CHECK_PTR_EQ(maker->thread->context, behind(cap));
    CHECK_EQ(atomic_load_relaxed(&behind(cap)->threads), 1);
    CHECK(set_context(maker, 0).result >= 0);
    CHECK_PTR_EQ(maker->thread->context, &maker->process->context);
    CHECK_EQ(atomic_load_relaxed(&behind(cap)->threads), 0);
    fixture_end();
}

TEST(scheduling_bind_other,
     "a thread is bound by its handle, running or blocked, until it has ended")
{
    start(2);
    capos_cap_t cap = context(SCHEDULING_CLASS_NORMAL, 50, 0, 0);
    capos_cap_t handle;
    struct user *other = user_thread(maker, user_spawner(maker), &handle);
    for (unsigned turn = 0; turn < 2; turn++) {
        CHECK(set_other(maker, handle, cap).result >= 0);
        CHECK_PTR_EQ(other->thread->context, behind(cap));
        CHECK(set_other(maker, handle, 0).result >= 0);
        CHECK_PTR_EQ(other->thread->context, &maker->process->context);
        if (turn == 0) {
            user_enter_start(other, 1, arch_time_ns() + MS);
        }
    }
    fixture_advance(MS);
    CHECK_EQ(set_other(maker, handle, maker->ledger).result, ST_NOT_TRANSFERABLE);
    CHECK_EQ(set_other(maker, handle, policy).result, ST_WRONG_INTERFACE);
    user_thread_exit(other, 0);
    CHECK_EQ(set_other(maker, handle, cap).result, ST_BAD_STATE);
    fixture_end();
}

TEST(scheduling_refusals, "what no context can be is refused, and nothing is charged")
{
    static const struct {
        unsigned class, weight;
        uint64_t budget_ns, period_ns;
    } bad[] = {
        {SCHED_CLASSES, 100, 0, 0},
        {SCHEDULING_CLASS_NORMAL, 0, 0, 0},
        {SCHEDULING_CLASS_NORMAL, SCHED_WEIGHT_MAX + 1, 0, 0},
        {SCHEDULING_CLASS_NORMAL, 100, 0, 10 * MS},
        {SCHEDULING_CLASS_INTERACTIVE, 100, 0, 0},
        {SCHEDULING_CLASS_URGENT, 100, 0, 0},
        {SCHEDULING_CLASS_NORMAL, 100, 49999, MS},
        {SCHEDULING_CLASS_NORMAL, 100, 2 * MS, MS},
        {SCHEDULING_CLASS_NORMAL, 100, 50000, 999999},
        {SCHEDULING_CLASS_NORMAL, 100, MS, 10001 * MS},
        {SCHEDULING_CLASS_NORMAL, 100, UINT64_MAX, UINT64_MAX},
    };
    start(1);
    struct ledger_state before = ledger_state(maker->process->ledger);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ(create(bad[i].class, bad[i].weight, bad[i].budget_ns, bad[i].period_ns).result,
                 ST_BAD_ARGUMENT);
    }
    struct ledger_state after = ledger_state(maker->process->ledger);
    CHECK_EQ(memcmp(&before, &after, sizeof(after)), 0);
    fixture_end();
}

TEST(scheduling_quota, "no more time is promised than the ledger has, and it comes back")
{
    start(1);
    capos_cap_t first = context(SCHEDULING_CLASS_URGENT, 100, 50 * MS, 100 * MS);
    CHECK_EQ(atomic_load_relaxed(&maker->process->ledger->used[LEDGER_CLASS_CPU_NS]), 500 * MS);
    struct capos_cqe cqe = create(SCHEDULING_CLASS_NORMAL, 100, 41 * MS, 100 * MS);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_CPU_NS);
    CHECK_EQ(atomic_load_relaxed(&maker->process->ledger->used[LEDGER_CLASS_CPU_NS]), 500 * MS);
    CHECK_EQ(user_release(maker, first), ST_OK);
    CHECK_EQ(atomic_load_relaxed(&maker->process->ledger->used[LEDGER_CLASS_CPU_NS]), 0);
    (void)context(SCHEDULING_CLASS_NORMAL, 100, 90 * MS, 100 * MS);
    fixture_end();
}

TEST(scheduling_end_held, "a process whose budget is spent ends at once when it is ended")
{
    start(1);
    struct user *limited = user_new("limited");
    bind(limited, context(SCHEDULING_CLASS_NORMAL, 100, 1 * MS, 10000 * MS));
    fixture_advance(2 * MS);
    CHECK_EQ(atomic_load_relaxed(&limited->thread->queued), SCHED_HELD);
    uint64_t before = arch_time_ns();
    user_terminate(limited);
    CHECK(arch_time_ns() - before < 1000 * MS);
    fixture_end();
}

TEST(scheduling_end_starved, "a process that never gets a processor ends when it is ended")
{
    start(1);
    struct user *last = user_new("last");
    bind(last, context(SCHEDULING_CLASS_BACKGROUND, 1, 0, 0));
    struct user *hog = user_new("hog");
    maker_blocks();
    run_for(20 * MS);
    CHECK(runs(hog) && !runs(last));
    uint64_t before = arch_time_ns();
    user_terminate(last);
    CHECK(arch_time_ns() - before < 1000 * MS);
    fixture_end();
}
