/* SPDX-License-Identifier: MIT */
/* Shares of processor time: fairness by weight, budgets, classes, and what their holders can do. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/endpoint.capnp.h"
#include "gen/notification.capnp.h"
#include "gen/scheduling.capnp.h"
#include "gen/thread.capnp.h"
#include "object/root.h"
#include "object/scheduling.h"
#include "sched/cpu.h"
#include "sched/sched.h"

#include <sys/wait.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

static struct user *maker; /* holds the policy; it blocks while others are watched */
static capos_cap_t policy;
static uint64_t words[32];
static struct capnp_builder builder;

static void start(unsigned cpus)
{
    struct kobj *object;
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(cpus);
    user_limits(limits);
    limits[LEDGER_CLASS_CPU_NS] = 900 * MS;
    maker = user_new_limits("maker", limits, 32);
    CHECK_EQ(root_object_create(KTYPE_SCHEDULING_POLICY, &object), ST_OK);
    policy = user_give(maker, object, KTYPE_SCHEDULING_POLICY, SchedulingPolicy_FACET);
    kobj_unref(object);
}

static struct capos_cqe create(enum SchedulingClass class, unsigned weight, uint64_t budget_ns,
                               uint64_t period_ns)
{
    capnp_builder_init(&builder, words, sizeof(words));
    SchedulingPolicy_new_context_params_b params =
        SchedulingPolicy_new_context_params_init(&builder);
    SchedulingPolicy_new_context_params_set_class(params, class);
    SchedulingPolicy_new_context_params_set_weight(params, (uint16_t)weight);
    SchedulingPolicy_new_context_params_set_budget_ns(params, budget_ns);
    SchedulingPolicy_new_context_params_set_period_ns(params, period_ns);
    SchedulingPolicy_new_context_params_set_ledger(params, 0xffff);
    return user_call(maker, policy, SchedulingPolicy_ID, SchedulingPolicy_new_context_ORDINAL,
                     &builder, NULL, 0, NULL);
}

static capos_cap_t context(enum SchedulingClass class, unsigned weight, uint64_t budget_ns,
                           uint64_t period_ns)
{
    struct capos_cqe cqe = create(class, weight, budget_ns, period_ns);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

static struct sched_context *behind(capos_cap_t cap)
{
    return &scheduling_context_of(user_object(maker, cap))->context;
}

/* Binds the caller to a context of its own, or (0) to its process's. */
static struct capos_cqe set_context(struct user *user, capos_cap_t cap)
{
    capos_cap_t control =
        user_give(user, &user->process->obj, KTYPE_THREAD_CONTROL, ThreadControl_FACET);
    struct capos_transfer xfer = {.cap = cap};
    capnp_builder_init(&builder, words, sizeof(words));
    ThreadControl_set_context_params_b params = ThreadControl_set_context_params_init(&builder);
    ThreadControl_set_context_params_set_context(params, cap != 0 ? 0 : 0xffff);
    return user_call(user, control, ThreadControl_ID, ThreadControl_set_context_ORDINAL, &builder,
                     &xfer, cap != 0, NULL);
}

static struct capos_cqe set_other(struct user *user, capos_cap_t handle, capos_cap_t cap)
{
    struct capos_transfer xfer = {.cap = cap};
    capnp_builder_init(&builder, words, sizeof(words));
    ThreadHandle_set_context_params_b params = ThreadHandle_set_context_params_init(&builder);
    ThreadHandle_set_context_params_set_context(params, cap != 0 ? 0 : 0xffff);
    return user_call(user, handle, ThreadHandle_ID, ThreadHandle_set_context_ORDINAL, &builder,
                     &xfer, cap != 0, NULL);
}

static void bind(struct user *user, capos_cap_t cap)
{
    CHECK(set_context(user, user_pass(maker, cap, user, SchedulingContext_FACET)).result >= 0);
}

static struct capos_cqe end_context(capos_cap_t cap)
{
    return user_call_plain(maker, cap, SchedulingContext_ID, SchedulingContext_revoke_ORDINAL,
                           NULL);
}

/* The maker sleeps, so the others have the machine. */
static void maker_blocks(void)
{
    user_enter_start(maker, 1, CAPOS_FOREVER);
}

/* Lets programs that never block run for so long. */
static void run_for(uint64_t ns)
{
    for (uint64_t done = 0; done < ns; done += MS) {
        fixture_advance(MS);
    }
}

/* What was not charged yet, is. */
static uint64_t used(struct sched_context *of)
{
    for (unsigned i = 0; i < arch_cpu_count(); i++) {
        host_interrupt(i, ARCH_VECTOR_RESCHEDULE);
    }
    fixture_settle();
    return atomic_load_relaxed(&of->used_ns);
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

TEST(scheduling_weights, "programs that never stop get time by their weights, within 2 % of it all")
{
    enum { USERS = 3 };
    static const unsigned weights[USERS] = {100, 200, 700};
    struct user *users[USERS];
    struct sched_context *contexts[USERS];
    uint64_t before[USERS], total = 0;
    start(1);
    for (unsigned i = 0; i < USERS; i++) {
        users[i] = user_new("hog");
        capos_cap_t cap = context(SCHEDULING_CLASS_NORMAL, weights[i], 0, 0);
        contexts[i] = behind(cap);
        bind(users[i], cap);
    }
    maker_blocks();
    run_for(200 * MS);
    for (unsigned i = 0; i < USERS; i++) {
        before[i] = used(contexts[i]);
    }
    run_for(10000 * MS);
    for (unsigned i = 0; i < USERS; i++) {
        before[i] = used(contexts[i]) - before[i];
        total += before[i];
    }
    CHECK(total > 9900 * MS);
    for (unsigned i = 0; i < USERS; i++) {
        CHECK(is_share(before[i], total, weights[i], 1000));
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
    uint64_t one_ns = used(&one->process->context), many_ns = used(&many->process->context);
    run_for(10000 * MS);
    one_ns = used(&one->process->context) - one_ns;
    many_ns = used(&many->process->context) - many_ns;
    CHECK(is_share(one_ns, one_ns + many_ns, 1, 2));
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
    uint64_t one_ns = used(behind(one)), many_ns = used(behind(many));
    run_for(10000 * MS);
    one_ns = used(behind(one)) - one_ns;
    many_ns = used(behind(many)) - many_ns;
    CHECK(is_share(one_ns, one_ns + many_ns, 1, 2));
    fixture_end();
}

TEST(scheduling_processors, "three programs on two processors get two thirds of one each")
{
    enum { USERS = 3 };
    struct user *users[USERS];
    uint64_t before[USERS], total = 0;
    start(2);
    for (unsigned i = 0; i < USERS; i++) {
        users[i] = user_new("hog");
    }
    maker_blocks();
    run_for(200 * MS);
    for (unsigned i = 0; i < USERS; i++) {
        before[i] = used(&users[i]->process->context);
    }
    run_for(10000 * MS);
    for (unsigned i = 0; i < USERS; i++) {
        before[i] = used(&users[i]->process->context) - before[i];
        total += before[i];
    }
    CHECK(total > 19000 * MS);
    for (unsigned i = 0; i < USERS; i++) {
        CHECK(is_share(before[i], total, 1, USERS));
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
    uint64_t hog_ns = used(&hog->process->context), sleeper_ns = used(&sleeper->process->context);
    run_for(1000 * MS);
    hog_ns = used(&hog->process->context) - hog_ns;
    sleeper_ns = used(&sleeper->process->context) - sleeper_ns;
    CHECK(is_share(hog_ns, hog_ns + sleeper_ns, 1, 2));
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

static bool runs(const struct user *user)
{
    for (unsigned i = 0; i < arch_cpu_count(); i++) {
        if (host_current(i) == user->thread) {
            return true;
        }
    }
    return false;
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

/* ---- time that is lent ---- */

enum { MESSAGE = 64 };

/* A client that calls a server, which receives the call and does not answer yet. */
struct pair {
    struct user *client, *server;
    capos_cap_t context; /* of the client; the maker's */
    capos_cap_t endpoint;
    struct capos_sqe receive, call;
    uint64_t position, call_id;
};

static struct sched_context *own(const struct user *user)
{
    return &user->process->context;
}

static void meet(struct pair *pair, capos_cap_t context)
{
    pair->server = user_new("server");
    pair->client = user_new("client");
    pair->context = context;
    bind(pair->client, context);
    pair->endpoint = user_endpoint(pair->server, MESSAGE, 0);
    capos_cap_t object = user_mint(pair->server, pair->endpoint, 7);
    capos_cap_t held = user_pass(pair->server, object, pair->client, 0xff);
    pair->receive = sqe_recv(pair->server, pair->endpoint, MESSAGE, 0);
    pair->call = sqe_call(pair->client, held, FIXTURE_INTERFACE, 1, 0, 0);
    sqe_result(pair->client, &pair->call, MESSAGE, 0);
}

/* The server waits, the client calls and waits. */
static void call(struct pair *pair)
{
    user_submit(pair->server, &pair->receive);
    user_enter_start(pair->server, 1, CAPOS_FOREVER);
    pair->position = user_submit(pair->client, &pair->call);
    user_enter_start(pair->client, 1, CAPOS_FOREVER);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair->server, &cqe));
    CHECK(cqe.result > 0);
    user_read(pair->server, pair->receive.result, &pair->call_id, sizeof(pair->call_id));
}

/* The server answers, and goes on. */
static status_t answer(struct pair *pair)
{
    struct capos_sqe sqe = sqe_return(pair->server, pair->call_id, 0, 0);
    user_submit(pair->server, &sqe);
    user_enter(pair->server, 0, 0);
    struct capos_cqe cqe = {.result = INT32_MIN};
    CHECK(user_reap(pair->server, &cqe));
    return cqe.result;
}

/* What each has used since. */
struct bill {
    uint64_t client, server;
};

static struct bill bill(const struct pair *pair)
{
    return (struct bill){used(behind(pair->context)), used(own(pair->server))};
}

static void lent_on(unsigned cpus)
{
    struct pair pair;
    start(cpus);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    maker_blocks();
    call(&pair);
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill during = bill(&pair);
    CHECK(during.client - before.client >= 49 * MS);
    CHECK(during.server - before.server <= MS);
    CHECK_EQ(answer(&pair), ST_OK);
    user_enter_start(pair.client, 9, CAPOS_FOREVER); /* it waits for something else */
    before = bill(&pair);
    run_for(50 * MS);
    during = bill(&pair);
    CHECK(during.client - before.client <= MS);
    CHECK(during.server - before.server >= 49 * MS);
    fixture_end();
}

TEST(lend_call, "a server runs on its caller's time until it has answered")
{
    lent_on(1);
}

TEST(lend_call_cpus, "so it does on another processor")
{
    lent_on(2);
}

TEST(lend_spent, "a caller's budget that is spent does not stop the server, and is not spent twice")
{
    struct pair pair;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_INTERACTIVE, 100, 5 * MS, 1000 * MS));
    maker_blocks();
    call(&pair);
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill after = bill(&pair);
    CHECK(after.client - before.client <= 6 * MS);
    CHECK(after.server - before.server >= 44 * MS);
    CHECK(runs(pair.server));
    CHECK_EQ(answer(&pair), ST_OK);
    run_for(50 * MS);
    CHECK(!runs(pair.client)); /* it has none left until the next period */
    CHECK_EQ(completions(pair.client), 1);
    before = bill(&pair);
    run_for(1000 * MS);
    CHECK(bill(&pair).client - before.client >= 4 * MS);
    fixture_end();
}

TEST(lend_class, "while a better one waits for it a server goes before others of its class")
{
    struct pair pair;
    start(1);
    struct user *hog = user_new("hog");
    meet(&pair, context(SCHEDULING_CLASS_INTERACTIVE, 100, 90 * MS, 100 * MS));
    maker_blocks();
    call(&pair);
    struct bill before = bill(&pair);
    uint64_t hog_ns = used(own(hog));
    run_for(40 * MS);
    CHECK(bill(&pair).client - before.client >= 39 * MS);
    CHECK_EQ(used(own(hog)), hog_ns);
    CHECK_EQ(answer(&pair), ST_OK);
    fixture_end();
}

TEST(lend_deadline,
     "when a caller's deadline passes its server goes on with its own time, and its answer is late")
{
    struct pair pair;
    start(2);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    maker_blocks();
    pair.call.deadline_ns = arch_time_ns() + 20 * MS;
    call(&pair);
    run_for(21 * MS);
    CHECK_EQ(completions(pair.client), 1);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair.client, &cqe));
    CHECK_EQ(cqe.result, ST_TIMED_OUT);
    user_enter_start(pair.client, 1, CAPOS_FOREVER);
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill after = bill(&pair);
    CHECK(after.client - before.client <= MS);
    CHECK(after.server - before.server >= 49 * MS);
    CHECK_EQ(answer(&pair), ST_GONE);
    fixture_end();
}

TEST(lend_enter_deadline, "a caller that no longer waits lends nothing, though its call goes on")
{
    struct pair pair;
    start(2);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    maker_blocks();
    user_submit(pair.server, &pair.receive);
    user_enter_start(pair.server, 1, CAPOS_FOREVER);
    user_submit(pair.client, &pair.call);
    user_enter_start(pair.client, 1, arch_time_ns() + 10 * MS);
    run_for(11 * MS);
    CHECK(runs(pair.client) && runs(pair.server));
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill after = bill(&pair);
    CHECK(after.client - before.client <= 51 * MS);
    CHECK(after.server - before.server >= 49 * MS);
    fixture_end();
}

TEST(lend_both, "a caller that waits for something else as well lends nothing")
{
    struct pair pair;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    capos_cap_t note = user_notification(pair.client);
    maker_blocks();
    struct capos_sqe wait = sqe_wait(pair.client, note, CAPOS_EVENT_SIGNALLED, 1);
    user_submit(pair.client, &wait);
    call(&pair);
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill after = bill(&pair);
    CHECK(after.client - before.client <= MS);
    CHECK(after.server - before.server >= 49 * MS);
    fixture_end();
}

TEST(lend_client_ends,
     "a caller that is ended takes its time along, while its server runs elsewhere")
{
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        pid_t child = fork();
        if (child == 0) {
            struct pair pair;
            start(cpus);
            meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
            maker_blocks();
            call(&pair);
            run_for(5 * MS);
            user_terminate(pair.client);
            uint64_t before = used(own(pair.server));
            run_for(20 * MS);
            CHECK(used(own(pair.server)) - before >= 19 * MS);
            CHECK_EQ(answer(&pair), ST_GONE);
            fixture_end();
            exit(test_failures == 0 ? 0 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        CHECK_EQ(status, 0);
    }
}

TEST(lend_server_ends, "a server that is ended gives its caller's time back")
{
    struct pair pair;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    maker_blocks();
    call(&pair);
    run_for(5 * MS);
    user_terminate(pair.server);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair.client, &cqe));
    CHECK_EQ(cqe.result, ST_DISCONNECTED);
    uint64_t before = used(behind(pair.context));
    run_for(20 * MS);
    CHECK(used(behind(pair.context)) - before >= 19 * MS);
    fixture_end();
}

/* An object of the server's whose calls may take so long. */
static void mint_bounded(struct pair *pair, uint64_t bound_ns)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Endpoint_mint_params_b params = Endpoint_mint_params_init(&builder);
    Endpoint_mint_params_set_key(params, 77);
    Endpoint_mint_params_set_interface(params, FIXTURE_INTERFACE);
    Endpoint_mint_params_set_methods(params, 0xff);
    Endpoint_mint_params_set_bound_ns(params, bound_ns);
    struct capos_cqe cqe = user_call(pair->server, pair->endpoint, Endpoint_ID,
                                     Endpoint_mint_ORDINAL, &builder, NULL, 0, NULL);
    CHECK_EQ(cqe.result >= 0, bound_ns <= 3600000 * MS);
    if (cqe.result >= 0) {
        pair->call.cap = user_pass(pair->server, cqe.first_cap, pair->client, 0xff);
    } else {
        CHECK_EQ(cqe.result, ST_BAD_ARGUMENT);
    }
}

/* The caller has no deadline, a later one, or an earlier one than the bound of 30 ms. */
static void overdue(uint64_t deadline_ns, uint64_t ends_ns, bool tells)
{
    struct pair pair;
    start(2);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    mint_bounded(&pair, 3600000 * MS + 1);
    mint_bounded(&pair, 30 * MS);
    maker_blocks();
    pair.call.deadline_ns = deadline_ns != 0 ? arch_time_ns() + deadline_ns : 0;
    call(&pair);
    run_for(ends_ns - MS);
    CHECK_EQ(completions(pair.client), 0);
    run_for(2 * MS);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair.client, &cqe));
    CHECK_EQ(cqe.result, ST_TIMED_OUT);
    struct capos_sqe wait = sqe_wait(pair.server, pair.endpoint, CAPOS_EVENT_DEADLINE, 0);
    user_submit(pair.server, &wait);
    user_enter(pair.server, 0, 0);
    CHECK_EQ(user_reap(pair.server, &cqe), tells);
    if (tells) {
        CHECK_EQ(cqe.result, CAPOS_EVENT_DEADLINE);
        CHECK_EQ(cqe.signal, 77);
    }
    user_enter_start(pair.client, 1, CAPOS_FOREVER);
    struct bill before = bill(&pair);
    run_for(20 * MS);
    CHECK(bill(&pair).client - before.client <= MS);
    CHECK_EQ(answer(&pair), ST_GONE);
    fixture_end();
}

TEST(lend_bound, "a server that never answers keeps its caller no longer than the object said")
{
    overdue(0, 30 * MS, true);
}

TEST(lend_bound_later, "nor does it with a later deadline of the caller's")
{
    overdue(100 * MS, 30 * MS, true);
}

TEST(lend_bound_earlier, "an earlier deadline of the caller's is the caller's affair")
{
    overdue(10 * MS, 10 * MS, false);
}

TEST(lend_bound_kept, "a call that is answered in time is answered, and no bound comes after it")
{
    struct pair pair;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    mint_bounded(&pair, 30 * MS);
    maker_blocks();
    call(&pair);
    run_for(10 * MS);
    CHECK_EQ(answer(&pair), ST_OK);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair.client, &cqe));
    CHECK_EQ(cqe.result, 0);
    user_enter_start(pair.client, 1, CAPOS_FOREVER);
    run_for(50 * MS);
    CHECK_EQ(completions(pair.client), 0);
    fixture_end();
}

TEST(lend_bound_over,
     "what takes the record of a bounded call afterwards ends by its own deadline alone")
{
    struct pair pair;
    struct capos_cqe cqe;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    mint_bounded(&pair, 30 * MS);
    maker_blocks();
    call(&pair);
    run_for(MS);
    CHECK_EQ(answer(&pair), ST_OK);
    REQUIRE(user_reap(pair.client, &cqe));
    capos_cap_t own = user_endpoint(pair.client, 64, 0);
    uint64_t buffer = user_alloc(pair.client, 256);
    for (unsigned i = 0; i < 4; i++) {
        struct capos_sqe receive = user_sqe(pair.client, CAPOS_OP_RECV);
        receive.cap = own;
        receive.result = buffer;
        receive.result_len = 256;
        receive.deadline_ns = arch_time_ns() + MS;
        user_submit(pair.client, &receive);
        user_enter_start(pair.client, 1, CAPOS_FOREVER);
        run_for(2 * MS);
        REQUIRE(user_reap(pair.client, &cqe));
        CHECK_EQ(cqe.result, ST_TIMED_OUT);
    }
    struct capos_sqe wait = sqe_wait(pair.client, own, CAPOS_EVENT_DEADLINE, 0);
    user_submit(pair.client, &wait);
    user_enter(pair.client, 0, 0);
    CHECK(!user_reap(pair.client, &cqe)); /* no call of its endpoint was overdue */
    fixture_end();
}

TEST(lend_chain,
     "what a server's servers do is on the first caller's time, as far as eight calls reach")
{
    enum { LINKS = 10 };
    struct user *users[LINKS + 1];
    struct capos_sqe receives[LINKS];
    uint64_t limits[LEDGER_CLASSES];
    start(1);
    machine_limits(limits, 200, 200);
    for (unsigned i = 0; i <= LINKS; i++) {
        users[i] = user_new_limits("link", limits, 16);
    }
    maker_blocks();
    capos_cap_t held[LINKS];
    for (unsigned i = 0; i < LINKS; i++) {
        struct user *server = users[i + 1];
        capos_cap_t endpoint = user_endpoint(server, MESSAGE, 0);
        held[i] = user_pass(server, user_mint(server, endpoint, 7), users[i], 0xff);
        receives[i] = sqe_recv(server, endpoint, MESSAGE, 0);
        user_submit(server, &receives[i]);
        user_enter_start(server, 1, CAPOS_FOREVER);
    }
    for (unsigned i = 0; i < LINKS; i++) {
        struct capos_cqe cqe;
        struct capos_sqe call = sqe_call(users[i], held[i], FIXTURE_INTERFACE, 1, 0, 0);
        sqe_result(users[i], &call, MESSAGE, 0);
        user_submit(users[i], &call);
        user_enter_start(users[i], 1, CAPOS_FOREVER);
        REQUIRE(user_reap(users[i + 1], &cqe));
        uint64_t first = used(own(users[0]));
        run_for(10 * MS);
        CHECK_EQ(used(own(users[0])) - first >= 9 * MS, i < 8);
    }
    fixture_end();
}
