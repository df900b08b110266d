/* SPDX-License-Identifier: MIT */
/* A processor of one's own, and a ring whose entries it takes: what is taken, by whom, and how it ends. */
#include "tests/unit/kernel_scheduling.h"

#include "gen/notification.capnp.h"
#include "object/session.h"
#include "ring/poll.h"

enum { ROUNDS = 64 };

static capos_cap_t lease;

static struct capos_cqe new_lease(struct user *user, capos_cap_t from)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    SchedulingPolicy_new_lease_params_b params = SchedulingPolicy_new_lease_params_init(&builder);
    SchedulingPolicy_new_lease_params_set_ledger(params, 0xffff);
    return user_call(user, from, SchedulingPolicy_ID, SchedulingPolicy_new_lease_ORDINAL, &builder,
                     NULL, 0, NULL);
}

static int32_t poll_by(struct user *user, capos_cap_t cap, uint32_t rounds)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    CpuLease_poll_params_b params = CpuLease_poll_params_init(&builder);
    CpuLease_poll_params_set_idle_rounds(params, rounds);
    return user_call(user, cap, CpuLease_ID, CpuLease_poll_ORDINAL, &builder, NULL, 0, NULL).result;
}

static int32_t plain(struct user *user, capos_cap_t cap, uint16_t method)
{
    return user_call_plain(user, cap, CpuLease_ID, method, NULL).result;
}

/* A maker with a whole processor to its ledger, and a lease of the last. */
static void start_leased(unsigned cpus)
{
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(cpus);
    user_limits(limits);
    limits[LEDGER_CLASS_CPU_NS] = 1000 * MS;
    maker = user_new_limits("maker", limits, 32);
    policy = user_give_root(maker, KTYPE_SCHEDULING_POLICY);
    struct capos_cqe cqe = new_lease(maker, policy);
    CHECK(cqe.result >= 0);
    lease = cqe.first_cap;
    fixture_settle();
}

static bool says_polled(struct user *user)
{
    return (user_ring(user)->flags & CAPOS_RING_POLLED) != 0;
}

/* An entry, which wakes the poller, and no more. */
static void wake(struct user *user)
{
    host_syscall(user->thread, CAPOS_SYS_ENTER, 0, 0);
    while (host_step(0)) {
    }
    CHECK(says_polled(user));
}

/* The leased processor alone goes on, until so many have completed. */
static void await(struct user *user, unsigned n)
{
    for (unsigned i = 0; i < 64 && completions(user) < n; i++) {
        host_step(1);
    }
    CHECK_EQ(completions(user), n);
}

/* Puts n NOPs in the queue, and does not enter. */
static uint64_t submit_nops(struct user *user, unsigned n)
{
    struct capos_sqe sqe = {0};
    for (unsigned i = 0; i < n; i++) {
        sqe = user_sqe(user, CAPOS_OP_NOP);
        user_submit(user, &sqe);
    }
    return sqe.user_data;
}

static unsigned reap_all(struct user *user)
{
    struct capos_cqe cqe;
    unsigned n = 0;
    for (; user_reap(user, &cqe); n++) {
        CHECK_EQ(cqe.result, ST_OK);
    }
    return n;
}

static bool is_leased(unsigned cpu)
{
    return (leased_cpus() >> cpu & 1) != 0;
}

/* Nobody is polled any more, and the ring is as any other. */
static void check_left(struct user *user)
{
    CHECK(!says_polled(user));
    CHECK_EQ(atomic_load(&user->thread->ring->poller), 0);
    submit_nops(user, 3);
    fixture_settle();
    CHECK_EQ(completions(user), 0);
    user_enter(user, 3, CAPOS_FOREVER);
    CHECK_EQ(reap_all(user), 3);
}

TEST(lease_takes, "what is submitted to a polled ring is carried out without an entry")
{
    start_leased(2);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    wake(maker);
    for (unsigned turn = 0; turn < 20; turn++) {
        submit_nops(maker, 7);
        await(maker, 7);
        CHECK_EQ(reap_all(maker), 7);
    }
    CHECK(says_polled(maker));
    CHECK_EQ(atomic_load(&cpu_of(1)->lease.entries), 140);
    uint64_t at, words[4];
    CHECK_EQ(user_call_plain(maker, lease, CpuLease_ID, CpuLease_info_ORDINAL, &at).result, 24);
    user_read(maker, at, words, sizeof(words[0]) * 3);
    CHECK_EQ(words[1], UINT64_C(1) << 32 | 1); /* polling, processor */
    CHECK(words[2] >= 140);
    fixture_end();
}

TEST(lease_calls, "calls of kernel objects and signals go the same way, with their results")
{
    start_leased(2);
    capos_cap_t bell = user_notification(maker);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    wake(maker);
    struct capos_sqe wait = sqe_wait(maker, bell, CAPOS_EVENT_SIGNALLED, 5);
    user_submit(maker, &wait);
    struct capos_sqe signal = sqe_cap(maker, CAPOS_OP_SIGNAL, bell);
    signal.params = 4;
    user_submit(maker, &signal);
    struct capos_sqe bad = sqe_cap(maker, CAPOS_OP_RELEASE, 77);
    user_submit(maker, &bad);
    await(maker, 3);
    struct capos_cqe fired = user_expect(maker, wait.user_data);
    CHECK_EQ(fired.result, CAPOS_EVENT_SIGNALLED);
    CHECK_EQ(fired.signal, 4);
    CHECK_EQ(user_expect(maker, signal.user_data).result, ST_OK);
    CHECK_EQ(user_expect(maker, bad.user_data).result, ST_BAD_CAP);
    fixture_end();
}

TEST(lease_sleeps, "a poller that looks in vain sleeps and says so; the next entry wakes it")
{
    start_leased(2);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    fixture_settle();
    CHECK(!says_polled(maker));
    submit_nops(maker, 2);
    fixture_settle();
    CHECK_EQ(completions(maker), 0);
    user_enter_start(maker, 0, 0);
    uint64_t result;
    CHECK(user_entered(maker, &result));
    CHECK_EQ(reap_all(maker), 2);
    submit_nops(maker, 1);
    wake(maker);
    CHECK_EQ(reap_all(maker), 1);
    submit_nops(maker, 2);
    await(maker, 2);
    CHECK_EQ(reap_all(maker), 2);
    fixture_end();
}

TEST(lease_blocked, "a thread that waits in cap_enter is woken, though its ring is polled")
{
    start_leased(2);
    struct user *other = user_new("other");
    capos_cap_t bell = user_notification(maker);
    capos_cap_t theirs = user_pass(maker, bell, other, Notification_FACET);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    struct capos_sqe wait = sqe_wait(maker, bell, CAPOS_EVENT_SIGNALLED, 1);
    user_submit(maker, &wait);
    user_enter_start(maker, 1, CAPOS_FOREVER);
    fixture_settle();
    uint64_t result;
    CHECK(!user_entered(maker, &result));
    struct capos_sqe signal = sqe_cap(other, CAPOS_OP_SIGNAL, theirs);
    signal.params = 1;
    CHECK_EQ(user_do(other, &signal).result, ST_OK);
    fixture_settle();
    CHECK(user_entered(maker, &result));
    CHECK_EQ(user_expect(maker, wait.user_data).result, CAPOS_EVENT_SIGNALLED);
    fixture_end();
}

TEST(lease_refused,
     "no processor to spare, no time in the ledger, a ring or a processor that is taken")
{
    start_leased(2);
    struct held before = held_now(maker);
    CHECK_EQ(new_lease(maker, policy).result, ST_QUOTA);
    CHECK_HELD(maker, before);
    uint64_t limits[LEDGER_CLASSES];
    user_limits(limits);
    limits[LEDGER_CLASS_CPU_NS] = 1000 * MS;
    struct user *rich = user_new_limits("rich", limits, 32);
    capos_cap_t theirs = user_give_root(rich, KTYPE_SCHEDULING_POLICY);
    struct held rich_before = held_now(rich);
    CHECK_EQ(new_lease(rich, theirs).result, ST_BUSY);
    CHECK_HELD(rich, rich_before);
    capos_cap_t shared = user_pass(maker, lease, rich, CpuLease_FACET);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    CHECK_EQ(poll_by(maker, lease, ROUNDS), ST_BUSY);
    CHECK_EQ(poll_by(rich, shared, ROUNDS), ST_BUSY);
    CHECK(!says_polled(rich));
    fixture_end();
}

TEST(lease_one_processor, "the only processor of a machine is not leased")
{
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(1);
    user_limits(limits);
    limits[LEDGER_CLASS_CPU_NS] = 1000 * MS;
    maker = user_new_limits("maker", limits, 32);
    policy = user_give_root(maker, KTYPE_SCHEDULING_POLICY);
    struct held before = held_now(maker);
    CHECK_EQ(new_lease(maker, policy).result, ST_BUSY);
    CHECK_HELD(maker, before);
    fixture_end();
}

TEST(lease_stop, "stop leaves the ring, and another can be polled")
{
    start_leased(2);
    struct user *other = user_new("other");
    capos_cap_t theirs = user_pass(maker, lease, other, CpuLease_FACET);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    CHECK(plain(other, theirs, CpuLease_stop_ORDINAL) >= 0);
    fixture_settle();
    check_left(maker);
    CHECK(poll_by(other, theirs, ROUNDS) >= 0);
    wake(other);
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    (void)CpuLease_stop_params_init(&builder);
    struct capos_sqe stop = /* by the poller itself */
        sqe_method(other, theirs, CpuLease_ID, CpuLease_stop_ORDINAL, &builder);
    sqe_result(other, &stop, 64, 0);
    user_submit(other, &stop);
    fixture_settle();
    CHECK_EQ(user_expect(other, stop.user_data).result, 8);
    check_left(other);
    fixture_end();
}

TEST(lease_revoke,
     "revoke ends it: the ring is left, the processor serves all again, its time is given back")
{
    start_leased(2);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    CHECK(is_leased(1));
    CHECK(plain(maker, lease, CpuLease_revoke_ORDINAL) >= 0);
    fixture_settle();
    check_left(maker);
    CHECK(!is_leased(1));
    CHECK_EQ(maker->process->ledger->used[LEDGER_CLASS_CPU_NS], 0);
    CHECK_EQ(plain(maker, lease, CpuLease_info_ORDINAL), ST_DISCONNECTED);
    struct capos_cqe again = new_lease(maker, policy);
    CHECK(again.result >= 0);
    CHECK_EQ(user_release(maker, again.first_cap), ST_OK);
    fixture_settle();
    CHECK(!is_leased(1));
    CHECK_EQ(maker->process->ledger->used[LEDGER_CLASS_CPU_NS], 0);
    fixture_end();
}

TEST(lease_route, "the poller leaves when the capability by which it was called is revoked")
{
    start_leased(2);
    struct user *other = user_new("other");
    capos_cap_t theirs = user_pass_below(maker, lease, other, CpuLease_FACET);
    struct grant *route = user_route(other, theirs);
    CHECK(poll_by(other, theirs, ROUNDS) >= 0);
    wake(other);
    grant_kill(route);
    grant_unref(route);
    submit_nops(other, 1);
    fixture_settle();
    CHECK_EQ(completions(other), 0);
    user_enter(other, 1, CAPOS_FOREVER);
    CHECK_EQ(reap_all(other), 1);
    check_left(other);
    CHECK(is_leased(1));
    CHECK_EQ(user_release(other, theirs), ST_OK);
    fixture_end();
}

/* A program with a polled ring ends; asleep: its poller sleeps. */
static void end_polled(bool asleep, bool terminated)
{
    start_leased(2);
    struct user *other = user_new("other");
    capos_cap_t theirs = user_pass(maker, lease, other, CpuLease_FACET);
    CHECK(poll_by(other, theirs, ROUNDS) >= 0);
    if (!asleep) {
        wake(other);
    }
    submit_nops(other, 5);
    if (terminated) {
        user_terminate(other);
    } else {
        user_exit(other, 0);
    }
    CHECK(is_leased(1));
    CHECK(atomic_load(&cpu_of(1)->lease.ring) == NULL);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    fixture_end();
}

TEST(lease_exit, "a program whose ring is polled exits, and nothing of it stays")
{
    end_polled(false, false);
}

TEST(lease_exit_asleep, "nor when the poller sleeps")
{
    end_polled(true, false);
}

TEST(lease_terminated, "nor when it is terminated")
{
    end_polled(false, true);
    end_polled(true, true);
}

TEST(lease_thread, "a thread of several ends while its ring is polled")
{
    start_leased(2);
    capos_cap_t handle;
    struct user *thread = user_thread(maker, user_spawner(maker), &handle);
    CHECK(poll_by(thread, lease, ROUNDS) >= 0);
    wake(thread);
    user_thread_exit(thread, 3);
    struct capos_sqe join = sqe_wait(maker, handle, CAPOS_EVENT_EXIT, 0);
    CHECK_EQ(user_do(maker, &join).result, CAPOS_EVENT_EXIT);
    CHECK(atomic_load(&cpu_of(1)->lease.ring) == NULL);
    fixture_end();
}

TEST(lease_nonsense, "indices that are nonsense make it leave, and the next entry tells")
{
    start_leased(2);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    struct capos_ring_header *ring = user_ring(maker);
    uint64_t tail = ring->sq_tail;
    wake(maker);
    ring->sq_tail = tail + 1000;
    fixture_settle();
    CHECK(!says_polled(maker));
    CHECK_EQ((int64_t)user_enter(maker, 0, 0), ST_BAD_RING);
    ring->sq_tail = tail;
    check_left(maker);
    fixture_end();
}

TEST(lease_stalled, "a full completion queue stalls it; it goes on when there is room")
{
    start_leased(2);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    struct capos_ring_header *ring = user_ring(maker);
    unsigned ordinary = maker->thread->ring->cq_ordinary;
    wake(maker);
    for (unsigned done = 0; done < ordinary;) {
        submit_nops(maker, ring->sq_entries / 2 < ordinary - done ? ring->sq_entries / 2
                                                                  : ordinary - done);
        for (unsigned i = 0; i < 64 && ring->sq_head != ring->sq_tail; i++) {
            host_step(1);
        }
        done = (unsigned)completions(maker);
    }
    submit_nops(maker, 2);
    host_step(1);
    host_step(1);
    CHECK_EQ(completions(maker), ordinary);
    CHECK_EQ(ring->flags, CAPOS_RING_POLLED | CAPOS_RING_STALLED);
    CHECK_EQ(reap_all(maker), ordinary);
    await(maker, 2);
    CHECK_EQ(reap_all(maker), 2);
    CHECK_EQ(ring->flags, CAPOS_RING_POLLED);
    fixture_end();
}

TEST(lease_empties,
     "threads of a processor that is leased go on elsewhere, and new ones start elsewhere")
{
    enum { USERS = 6 };
    uint64_t limits[LEDGER_CLASSES];
    struct user *users[USERS];
    fixture_start(2);
    user_limits(limits);
    limits[LEDGER_CLASS_CPU_NS] = 1000 * MS;
    maker = user_new_limits("maker", limits, 32);
    policy = user_give_root(maker, KTYPE_SCHEDULING_POLICY);
    for (unsigned i = 0; i < USERS; i++) {
        users[i] = user_new(i % 2 == 0 ? "even" : "odd");
    }
    run_for(100 * MS);
    CHECK(host_current(1) != &cpu_of(1)->idle);
    lease = new_lease(maker, policy).first_cap;
    CHECK(lease != 0);
    fixture_settle();
    CHECK(host_current(1) == &cpu_of(1)->idle);
    struct user *late = user_new("late");
    run_for(200 * MS);
    CHECK(host_current(1) == &cpu_of(1)->idle);
    submit_nops(late, 1);
    user_enter(late, 1, CAPOS_FOREVER);
    CHECK_EQ(reap_all(late), 1);
    for (unsigned i = 0; i < USERS; i++) {
        CHECK_EQ(atomic_load(&users[i]->thread->cpu), 0);
        submit_nops(users[i], 1);
        user_enter(users[i], 1, CAPOS_FOREVER);
        CHECK_EQ(reap_all(users[i]), 1);
    }
    fixture_end();
}

TEST(lease_thread_pointer, "a poller cannot set the thread pointer of a thread that runs elsewhere")
{
    start_leased(2);
    capos_cap_t control =
        user_give(maker, &maker->process->obj, KTYPE_THREAD_CONTROL, ThreadControl_FACET);
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ThreadControl_set_thread_pointer_params_b params =
        ThreadControl_set_thread_pointer_params_init(&builder);
    ThreadControl_set_thread_pointer_params_set_address(params, 0x5000);
    struct capos_sqe sqe = sqe_method(maker, control, ThreadControl_ID,
                                      ThreadControl_set_thread_pointer_ORDINAL, &builder);
    sqe_result(maker, &sqe, 64, 0);
    uint64_t before = arch_thread_tls(&maker->thread->arch).v;
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    wake(maker);
    user_submit(maker, &sqe);
    await(maker, 1);
    CHECK_EQ(user_expect(maker, sqe.user_data).result, ST_BAD_STATE);
    CHECK_EQ(arch_thread_tls(&maker->thread->arch).v, before);
    fixture_end();
}

TEST(lease_serves,
     "a service whose ring is polled receives and answers without an entry of its own")
{
    start_leased(2);
    struct user *client = user_new("client");
    capos_cap_t endpoint = user_endpoint(maker, 256, 0);
    capos_cap_t object = user_pass(maker, user_mint(maker, endpoint, 9), client, 0xff);
    CHECK(poll_by(maker, lease, ROUNDS) >= 0);
    for (unsigned turn = 0; turn < 5; turn++) {
        wake(maker);
        struct capos_sqe receive = sqe_recv(maker, endpoint, 256, 0);
        user_submit(maker, &receive);
        struct capos_sqe call =
            sqe_call(client, object, FIXTURE_INTERFACE, 2, user_alloc(client, 16), 16);
        sqe_result(client, &call, 64, 0);
        user_submit(client, &call);
        user_enter_start(client, 1, CAPOS_FOREVER);
        for (unsigned i = 0; i < 400 && completions(maker) == 0; i++) {
            host_step(i % 2);
        }
        struct capos_cqe got = user_expect(maker, receive.user_data);
        CHECK(got.result > 0);
        struct capos_received header;
        user_read(maker, receive.result, &header, sizeof(header));
        CHECK_EQ(header.key, 9);
        struct capos_sqe answer = sqe_return(maker, header.call_id, user_alloc(maker, 8), 8);
        wake(maker);
        user_submit(maker, &answer);
        for (unsigned i = 0; i < 400 && completions(client) == 0; i++) {
            host_step(i % 2);
        }
        CHECK_EQ(user_expect(maker, answer.user_data).result, ST_OK);
        struct capos_cqe answered = user_expect(client, call.user_data);
        CHECK_EQ(answered.result, 8);
        CHECK(answered.bill < UINT64_C(1) << 40);
    }
    fixture_end();
}
