/* SPDX-License-Identifier: MIT */
/* SQE flags that change when and whether an entry completes: QUIET, MULTISHOT, LINK. */
#include "tests/unit/kernel_pair.h"

#include <sched.h>

#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"
#include "gen/time.capnp.h"
#include "object/notification.h"
#include "ring/wait.h"
#include "object/thread.h"

static struct capos_sqe flagged(struct capos_sqe sqe, unsigned flags)
{
    sqe.flags = (uint16_t)(sqe.flags | flags);
    return sqe;
}

static struct capos_sqe quiet(struct capos_sqe sqe)
{
    return flagged(sqe, CAPOS_SQE_QUIET);
}

static struct capos_sqe linked(struct capos_sqe sqe)
{
    return flagged(sqe, CAPOS_SQE_LINK);
}

static struct capos_sqe nop(struct user *user)
{
    return user_sqe(user, CAPOS_OP_NOP);
}

static struct capos_sqe signal_bits(struct user *user, capos_cap_t cap, uint64_t bits)
{
    struct capos_sqe sqe = sqe_cap(user, CAPOS_OP_SIGNAL, cap);
    sqe.params = bits;
    return sqe;
}

static struct capos_sqe wait_bits(struct user *user, capos_cap_t cap, uint64_t bits)
{
    return sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, bits);
}

static struct capos_sqe cancel(struct user *user, uint64_t position)
{
    return sqe_cap(user, CAPOS_OP_CANCEL, position);
}

/* A call of Ledger.usage, which a kernel object answers at once. */
static struct capos_sqe usage_call(struct user *user, uint32_t result_bytes)
{
    struct capos_sqe sqe = sqe_call(user, user->ledger, Ledger_ID, Ledger_usage_ORDINAL, 0, 0);
    sqe_result(user, &sqe, result_bytes, 1);
    return sqe;
}

/* Submits these and enters without waiting. */
static void start_all(struct user *user, const struct capos_sqe *sqes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        user_submit(user, &sqes[i]);
    }
    user_enter(user, 0, 0);
}

static struct user *other;

static void begin(unsigned cpus)
{
    fixture_start(cpus);
    other = user_new("other");
}

/* Another process signals. */
static void notify(struct user *user, capos_cap_t cap, uint64_t bits)
{
    capos_cap_t passed = user_pass(user, cap, other, NotificationSignaller_FACET);
    struct capos_sqe sqe = signal_bits(other, passed, bits);
    CHECK_EQ(user_do(other, &sqe).result, ST_OK);
    CHECK_EQ(user_release(other, passed), ST_OK);
    fixture_settle();
}

static void expect_result(struct user *user, const struct capos_sqe *sqe, int32_t result)
{
    CHECK_EQ(user_expect(user, sqe->user_data).result, result);
}

/* ---- QUIET ---- */

TEST(quiet_at_once, "a quiet entry that succeeds at once posts nothing, one that fails is told")
{
    begin(1);
    struct user *user = user_new("quiet");
    capos_cap_t cap = user_notification(user);
    struct capos_sqe good[] = {
        quiet(nop(user)),
        quiet(signal_bits(user, cap, 1)),
        quiet(wait_bits(user, cap, 1)),
        quiet(usage_call(user, 1024)),
        quiet(sqe_cap(user, CAPOS_OP_RELEASE, cap)),
    };
    start_all(user, good, 5);
    CHECK_EQ(completions(user), 0);
    CHECK_EQ(user_ring(user)->sq_head, user_ring(user)->sq_tail);
    struct capos_sqe bad[] = {
        quiet(signal_bits(user, cap, 1)), quiet(wait_bits(user, cap, 1)),
        quiet(usage_call(user, 8)),       quiet(sqe_cap(user, CAPOS_OP_RELEASE, cap)),
        quiet(cancel(user, 12345)),       quiet(sqe_cap(user, CAPOS_OP_FINISH, 12345)),
    };
    bad[5].pipe_index = 1;
    start_all(user, bad, 6);
    static const status_t want[] = {ST_BAD_CAP, ST_BAD_CAP,   ST_RESULT_TOO_SMALL,
                                    ST_BAD_CAP, ST_NOT_FOUND, ST_UNSUPPORTED};
    for (unsigned i = 0; i < 6; i++) {
        expect_result(user, &bad[i], want[i]);
    }
    CHECK_EQ(completions(user), 0);
    fixture_end();
}

TEST(quiet_later,
     "a quiet call that is answered posts nothing; its exception and its cancel are told")
{
    struct pair p = pair_start(1);
    other = p.server;
    struct capos_sqe good = quiet(call(p.client, p.object, 1, "8 bytes", 8));
    user_start(p.client, &good);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    struct capos_sqe ret =
        quiet(sqe_return(p.server, header.call_id, user_message(p.server, "answered", 8), 8));
    user_start(p.server, &ret);
    fixture_settle();
    CHECK_EQ(completions(p.client) + completions(p.server), 0);
    char text[8] = "";
    user_read(p.client, good.result, text, 8);
    CHECK(memcmp(text, "answered", 8) == 0);

    struct capos_sqe bad = quiet(call(p.client, p.object, 1, "8 bytes", 8));
    user_start(p.client, &bad);
    header = receive(p.server, p.endpoint, NULL);
    ret = sqe_return(p.server, header.call_id, 0, 0);
    ret.method = CAPOS_EXC_FAILED;
    CHECK_EQ(user_do(p.server, &ret).result, ST_OK);
    CHECK_EQ(client_gets(p.client, bad.user_data).result, ST_EXCEPTION);

    struct capos_sqe ended = quiet(call(p.client, p.object, 1, "8 bytes", 8));
    uint64_t position = user_submit(p.client, &ended);
    struct capos_sqe end = quiet(cancel(p.client, position));
    start_all(p.client, &end, 1);
    expect_result(p.client, &ended, ST_CANCELLED);
    CHECK_EQ(completions(p.client), 0);
    ret = quiet(sqe_return(p.server, header.call_id, 0, 0));
    CHECK_EQ(user_do(p.server, &ret).result, ST_GONE);
    fixture_end();
}

TEST(quiet_slots, "quiet entries give their CQ slots back: a ring never fills up with them")
{
    begin(1);
    struct user *user = user_new("quiet");
    capos_cap_t cap = user_notification(user);
    for (unsigned i = 0; i < 10 * USER_RING; i++) {
        struct capos_sqe sqes[] = {quiet(wait_bits(user, cap, 2)), quiet(nop(user)),
                                   quiet(signal_bits(user, cap, 2))};
        start_all(user, sqes, 3);
        CHECK_EQ(user_ring(user)->flags, 0);
        CHECK_EQ(completions(user), 0);
    }
    CHECK_EQ(user_ring(user)->sq_head, user_ring(user)->sq_tail);
    fixture_end();
}

TEST(quiet_wakes_stalled,
     "a thread that sleeps on a stalled ring goes on when a quiet entry gives its slot back")
{
    begin(1);
    struct user *user = user_new("quiet");
    capos_cap_t cap = user_notification(user);
    enum { ORDINARY = 2 * USER_RING - 4 };
    for (unsigned i = 0; i < ORDINARY; i++) {
        struct capos_sqe wait = quiet(wait_bits(user, cap, UINT64_C(1) << i));
        user_start(user, &wait);
    }
    struct capos_sqe last = nop(user);
    user_submit(user, &last);
    user_enter_start(user, 1, CAPOS_FOREVER);
    fixture_settle();
    uint64_t result;
    CHECK(!user_entered(user, &result));
    CHECK_EQ(user_ring(user)->flags, CAPOS_RING_STALLED);
    notify(user, cap, 1 << 5);
    CHECK(user_entered(user, &result));
    CHECK_EQ(result, 1);
    expect_result(user, &last, ST_OK);
    fixture_end();
}

/* ---- MULTISHOT ---- */

static struct capos_sqe multishot(struct user *user, capos_cap_t cap, uint64_t bits)
{
    return flagged(wait_bits(user, cap, bits), CAPOS_SQE_MULTISHOT);
}

static void expect_event(struct user *user, const struct capos_sqe *wait, uint64_t bits)
{
    struct capos_cqe cqe = user_expect(user, wait->user_data);
    CHECK_EQ(cqe.result, CAPOS_EVENT_SIGNALLED);
    CHECK_EQ(cqe.signal, bits);
    CHECK_EQ(cqe.flags, CAPOS_CQE_SIGNAL | CAPOS_CQE_MORE);
}

TEST(multishot_events,
     "a MULTISHOT wait tells event after event with MORE, signals between coalesce")
{
    begin(1);
    struct user *user = user_new("waiter");
    capos_cap_t cap = user_notification(user);
    notify(user, cap, 8);
    struct capos_sqe wait = multishot(user, cap, 0);
    uint64_t position = user_submit(user, &wait);
    user_enter(user, 1, CAPOS_FOREVER);
    expect_event(user, &wait, 8); /* what was there already */
    for (unsigned i = 0; i < 100; i++) {
        user_enter_start(user, 1, CAPOS_FOREVER);
        fixture_settle();
        notify(user, cap, 1); /* wakes, and cap_enter arms the wait again before it returns */
        uint64_t result;
        CHECK(user_entered(user, &result));
        CHECK_EQ(result, 1);
        expect_event(user, &wait, 1);
        notify(user, cap, 2);
        notify(user, cap, 4); /* these coalesce until the thread is in the kernel again */
        notify(user, cap, 8);
        expect_event(user, &wait, 2);
        CHECK_EQ(completions(user), 0);
        CHECK_EQ(user_enter(user, 1, CAPOS_FOREVER), 1);
        expect_event(user, &wait, 12);
    }
    struct capos_sqe end = cancel(user, position);
    start_all(user, &end, 1);
    struct capos_cqe cqe = user_expect(user, wait.user_data);
    CHECK_EQ(cqe.result, ST_CANCELLED);
    CHECK_EQ(cqe.flags, 0);
    expect_result(user, &end, ST_OK);
    notify(user, cap, 1);
    CHECK_EQ(user_enter(user, 0, 0), 0);
    fixture_end();
}

TEST(multishot_blocked,
     "a thread that waits for two events is armed again without leaving cap_enter")
{
    begin(1);
    struct user *user = user_new("waiter");
    capos_cap_t cap = user_notification(user);
    struct capos_sqe wait = multishot(user, cap, 0);
    user_submit(user, &wait);
    user_enter_start(user, 2, CAPOS_FOREVER);
    fixture_settle();
    uint64_t result;
    notify(user, cap, 1);
    CHECK(!user_entered(user, &result));
    notify(user, cap, 2);
    CHECK(user_entered(user, &result));
    CHECK_EQ(result, 2);
    expect_event(user, &wait, 1);
    expect_event(user, &wait, 2);
    fixture_end();
}

TEST(multishot_room, "without room the event stays in the object, and is told when there is room")
{
    begin(1);
    struct user *user = user_new("waiter");
    capos_cap_t cap = user_notification(user);
    struct capos_sqe wait = multishot(user, cap, 0);
    user_start(user, &wait);
    for (unsigned i = 0; i < 2 * USER_RING - 4 - 2; i++) {
        struct capos_sqe sqe = nop(user);
        user_start(user, &sqe);
    }
    notify(user, cap, 1); /* has a slot of its own */
    notify(user, cap, 2);
    uint64_t result = user_enter(user, 2 * USER_RING, CAPOS_FOREVER);
    CHECK_EQ(result, (2 * USER_RING - 4 - 1) | CAPOS_ENTER_STALLED);
    struct capos_cqe cqe;
    for (unsigned i = 0; i < 2 * USER_RING - 4 - 2; i++) {
        CHECK(user_reap(user, &cqe));
    }
    expect_event(user, &wait, 1);
    CHECK_EQ(user_enter(user, 1, CAPOS_FOREVER), 1);
    CHECK_EQ(user_ring(user)->flags, 0);
    expect_event(user, &wait, 2);
    fixture_end();
}

TEST(multishot_stalls,
     "a MULTISHOT wait needs room for an event and its end, else it is not consumed")
{
    begin(1);
    struct user *user = user_new("waiter");
    capos_cap_t cap = user_notification(user);
    for (unsigned i = 0; i < 2 * USER_RING - 4 - 1; i++) {
        struct capos_sqe sqe = nop(user);
        user_start(user, &sqe);
    }
    struct capos_sqe wait = multishot(user, cap, 0);
    uint64_t position = user_submit(user, &wait);
    CHECK((user_enter(user, 0, 0) & CAPOS_ENTER_STALLED) != 0);
    CHECK_EQ(user_ring(user)->sq_head, position);
    struct capos_cqe cqe;
    CHECK(user_reap(user, &cqe));
    CHECK((user_enter(user, 0, 0) & CAPOS_ENTER_STALLED) == 0);
    CHECK_EQ(user_ring(user)->sq_head, position + 1);
    fixture_end();
}

TEST(multishot_ends,
     "DEAD and a deadline end a MULTISHOT wait, armed or not, and its slots come back")
{
    begin(1);
    struct user *user = user_new("waiter");
    for (unsigned i = 0; i < 4 * USER_RING; i++) {
        capos_cap_t cap = user_notification(user);
        struct capos_sqe wait = multishot(user, cap, 0);
        wait.method |= CAPOS_EVENT_DEAD;
        wait.deadline_ns = i % 2 == 0 ? 0 : arch_time_ns() + 1000000000;
        user_start(user, &wait);
        if (i % 4 < 2) {
            notify(user, cap, 1);
            expect_event(user, &wait, 1);
        }
        struct kobj *obj = user_object(user, cap);
        kobj_ref(obj);
        if (i % 2 != 0) {
            fixture_advance(1000000000);
        }
        kobj_kill(obj);
        user_enter(user, 1, CAPOS_FOREVER);
        struct capos_cqe cqe = user_expect(user, wait.user_data);
        CHECK_EQ(cqe.result, i % 2 == 0 ? CAPOS_EVENT_DEAD : ST_TIMED_OUT);
        CHECK_EQ(cqe.flags, i % 2 == 0 ? CAPOS_CQE_SIGNAL : 0);
        kobj_unref(obj);
        CHECK_EQ(user_release(user, cap), ST_OK);
    }
    CHECK_EQ(completions(user), 0);
    fixture_end();
}

TEST(multishot_refused, "MULTISHOT is refused on all but WAIT, and together with QUIET or LINK")
{
    begin(1);
    struct user *user = user_new("waiter");
    capos_cap_t cap = user_notification(user);
    for (uint8_t op = 0; op < CAPOS_OP_COUNT; op++) {
        struct capos_sqe sqe = flagged(sqe_cap(user, op, cap), CAPOS_SQE_MULTISHOT);
        sqe.method = 0;
        CHECK_EQ(user_do(user, &sqe).result,
                 op == CAPOS_OP_WAIT ? ST_BAD_ARGUMENT : ST_UNSUPPORTED);
    }
    struct capos_sqe sqe = quiet(multishot(user, cap, 0));
    CHECK_EQ(user_do(user, &sqe).result, ST_UNSUPPORTED);
    struct capos_sqe chain[] = {linked(multishot(user, cap, 0)), nop(user)};
    start_all(user, chain, 2);
    expect_result(user, &chain[0], ST_UNSUPPORTED);
    expect_result(user, &chain[1], ST_CANCELLED);
    fixture_end();
}

/* ---- LINK ---- */

TEST(link_in_order, "each entry of a chain starts when the one before has succeeded")
{
    struct pair p = pair_start(1);
    other = p.server;
    capos_cap_t cap = user_notification(p.client);
    struct capos_sqe chain[] = {
        linked(nop(p.client)),
        linked(wait_bits(p.client, cap, 1)),
        linked(call(p.client, p.object, 1, "8 bytes", 8)),
        linked(quiet(signal_bits(p.client, cap, 2))),
        wait_bits(p.client, cap, 2),
        nop(p.client), /* not of the chain: does not wait for it */
    };
    start_all(p.client, chain, 6);
    expect_result(p.client, &chain[0], ST_OK);
    expect_result(p.client, &chain[5], ST_OK);
    CHECK_EQ(completions(p.client), 0);
    user_enter_start(p.client, 3, CAPOS_FOREVER);
    fixture_settle();
    notify(p.client, cap, 1);
    uint64_t result;
    CHECK(!user_entered(p.client, &result));
    expect_result(p.client, &chain[1], CAPOS_EVENT_SIGNALLED);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(header.method, 1);
    CHECK_EQ(answer(p.server, header.call_id, "answered", 8), ST_OK);
    fixture_settle();
    CHECK_EQ(completions(p.client), 2);
    expect_result(p.client, &chain[2], 8);
    expect_result(p.client, &chain[4], CAPOS_EVENT_SIGNALLED);
    fixture_end();
}

TEST(link_failure,
     "a failure cancels the rest of its chain, in order, and undoes nothing before it")
{
    begin(1);
    struct user *user = user_new("chain");
    capos_cap_t cap = user_notification(user);
    struct capos_sqe chain[] = {
        linked(signal_bits(user, cap, 1)), linked(signal_bits(user, 1, 2)),
        linked(signal_bits(user, cap, 4)), linked(quiet(nop(user))),
        signal_bits(user, cap, 8),         nop(user),
    };
    static const status_t want[] = {ST_OK,        ST_BAD_CAP,   ST_CANCELLED,
                                    ST_CANCELLED, ST_CANCELLED, ST_OK};
    start_all(user, chain, 6);
    for (unsigned i = 0; i < 6; i++) {
        expect_result(user, &chain[i], want[i]);
    }
    struct capos_sqe look = wait_bits(user, cap, 0);
    CHECK_EQ(user_do(user, &look).signal, 1);
    fixture_end();
}

TEST(link_cancel, "CANCEL finds an entry that has not started, and ends the chain from there")
{
    begin(1);
    struct user *user = user_new("chain");
    capos_cap_t cap = user_notification(user);
    struct capos_sqe chain[] = {linked(wait_bits(user, cap, 1)), linked(nop(user)),
                                linked(nop(user)), nop(user)};
    uint64_t position = user_ring(user)->sq_tail;
    start_all(user, chain, 4);
    CHECK_EQ(completions(user), 0);
    struct capos_sqe end = cancel(user, position + 2);
    start_all(user, &end, 1);
    expect_result(user, &chain[2], ST_CANCELLED);
    expect_result(user, &end, ST_OK);
    expect_result(user, &chain[3], ST_CANCELLED);
    CHECK_EQ(user_do(user, &end).result, ST_NOT_FOUND);
    notify(user, cap, 1);
    user_enter(user, 2, CAPOS_FOREVER);
    expect_result(user, &chain[0], CAPOS_EVENT_SIGNALLED);
    expect_result(user, &chain[1], ST_OK);
    CHECK_EQ(completions(user), 0);

    start_all(user, chain, 4);
    end = cancel(user, position + 6);
    start_all(user, &end, 1);
    static const unsigned order[] = {0, 9, 1, 2, 3};
    for (unsigned i = 0; i < 5; i++) {
        if (order[i] == 9) {
            expect_result(user, &end, ST_OK);
        } else {
            expect_result(user, &chain[order[i]], ST_CANCELLED);
        }
    }
    fixture_end();
}

TEST(link_room,
     "a chain is consumed whole or not at all: without room for all it stays in the ring")
{
    begin(1);
    struct user *user = user_new("chain");
    for (unsigned i = 0; i < 2 * USER_RING - 4 - 3; i++) {
        struct capos_sqe sqe = nop(user);
        user_start(user, &sqe);
    }
    uint64_t position = user_ring(user)->sq_tail;
    for (unsigned i = 0; i < 4; i++) {
        struct capos_sqe sqe = i < 3 ? linked(nop(user)) : nop(user);
        user_submit(user, &sqe);
    }
    CHECK((user_enter(user, 0, 0) & CAPOS_ENTER_STALLED) != 0);
    CHECK_EQ(user_ring(user)->sq_head, position);
    struct capos_cqe cqe;
    CHECK(user_reap(user, &cqe));
    CHECK_EQ(user_enter(user, 0, 0), 2 * USER_RING - 4);
    CHECK_EQ(user_ring(user)->sq_head, position + 4);
    fixture_end();
}

TEST(link_longest,
     "a chain of 16 runs; a longer one, or one without its end, is refused to its end")
{
    struct ring *ring;
    uint64_t limits[LEDGER_CLASSES];
    begin(1);
    user_limits(limits);
    struct user *user = user_new_limits("chain", limits, 64);
    ring = user->thread->ring;
    for (unsigned n = 1; n <= 40; n++) {
        for (unsigned i = 0; i <= n; i++) {
            struct capos_sqe sqe = i < n - 1 ? linked(nop(user)) : nop(user);
            user_submit(user, &sqe);
        }
        CHECK_EQ(user_enter(user, 0, 0), n + 1);
        struct capos_cqe cqe;
        for (unsigned i = 0; i <= n; i++) {
            CHECK(user_reap(user, &cqe));
            CHECK_EQ(cqe.result, n <= 16 || i == n ? ST_OK : ST_BAD_ARGUMENT);
        }
    }
    CHECK(!ring->refusing);
    for (unsigned i = 0; i < 3; i++) { /* the end comes later: too late */
        struct capos_sqe sqe = i < 2 ? linked(nop(user)) : nop(user);
        CHECK_EQ(user_do(user, &sqe).result, ST_BAD_ARGUMENT);
    }
    struct capos_sqe sqe = nop(user);
    CHECK_EQ(user_do(user, &sqe).result, ST_OK);
    CHECK_EQ(ring->ready, 0);
    fixture_end();
}

TEST(link_numbers,
     "transfer numbers of a chain are spent when it is consumed, whatever becomes of it")
{
    struct pair p = pair_start(1);
    other = p.server;
    capos_cap_t cap = user_notification(p.client);
    uint64_t number = user_ring(p.client)->next_sequence;
    struct capos_transfer move = xfer(cap, CAPOS_XFER_MOVE);
    struct capos_sqe chain[] = {linked(wait_bits(p.client, cap, 1)),
                                linked(call(p.client, p.object, 1, "8 bytes", 8)),
                                call(p.client, p.object, 1, "8 bytes", 8)};
    sqe_transfers(p.client, &chain[1], number, &move, 1);
    sqe_transfers(p.client, &chain[2], number + 7, &move, 1);
    start_all(p.client, chain, 3);
    CHECK_EQ(user_ring(p.client)->next_sequence, number + 1);
    struct capability held;
    CHECK_EQ(user_look(p.client, cap, &held), ST_OK); /* moves when the call starts */
    notify(p.client, cap, 1);
    user_enter(p.client, 1, CAPOS_FOREVER);
    expect_result(p.client, &chain[0], CAPOS_EVENT_SIGNALLED);
    CHECK_EQ(user_look(p.client, cap, &held), ST_BAD_CAP);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(header.cap_count, 1);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    fixture_settle();
    user_enter(p.client, 2, CAPOS_FOREVER);
    expect_result(p.client, &chain[1], 0);
    struct capos_cqe cqe = user_expect(p.client, chain[2].user_data);
    CHECK_EQ(cqe.result, ST_BAD_SEQUENCE);
    CHECK_EQ(cqe.expected_seq, number + 1);
    CHECK_EQ(user_ring(p.client)->next_sequence, number + 1);

    struct capos_sqe failed[] = {linked(sqe_cap(p.client, CAPOS_OP_RELEASE, 1)),
                                 call(p.client, p.object, 1, "8 bytes", 8)};
    capos_cap_t kept = user_notification(p.client);
    move = xfer(kept, CAPOS_XFER_MOVE);
    number = user_ring(p.client)->next_sequence;
    sqe_transfers(p.client, &failed[1], number, &move, 1);
    start_all(p.client, failed, 2);
    expect_result(p.client, &failed[0], ST_BAD_CAP);
    expect_result(p.client, &failed[1], ST_CANCELLED);
    CHECK_EQ(user_ring(p.client)->next_sequence, number + 1);
    CHECK_EQ(user_look(p.client, kept, &held), ST_OK);
    fixture_end();
}

TEST(link_exit, "a process that ends with chains in every state leaves nothing behind")
{
    begin(2);
    for (unsigned i = 0; i < 4; i++) {
        struct user *user = user_new("chain");
        capos_cap_t cap = user_notification(user);
        struct capos_sqe chain[] = {linked(wait_bits(user, cap, 1)), linked(nop(user)),
                                    linked(wait_bits(user, cap, 2)), multishot(user, cap, 4)};
        chain[3].flags = 0;
        start_all(user, chain, 4);
        struct capos_sqe wait = multishot(user, cap, 8);
        user_start(user, &wait);
        if (i >= 1) {
            notify(user, cap, 8);
        }
        if (i >= 2) {
            notify(user, cap, 1); /* ready, and its thread does not come */
        }
        if (i == 3) {
            user_enter_start(user, USER_RING, CAPOS_FOREVER);
            fixture_settle();
            user_terminate(user);
        } else {
            user_exit(user, 0);
        }
    }
    fixture_end();
}

TEST(link_bits, "bits of the flags that user space cannot set are refused in a chain, too")
{
    begin(1);
    struct user *user = user_new("chain");
    for (unsigned bit = 6; bit < 16; bit++) {
        struct capos_sqe chain[] = {linked(nop(user)), flagged(nop(user), 1u << bit), nop(user)};
        chain[1].flags |= CAPOS_SQE_LINK;
        start_all(user, chain, 3);
        expect_result(user, &chain[0], ST_OK);
        expect_result(user, &chain[1], ST_UNSUPPORTED);
        expect_result(user, &chain[2], ST_CANCELLED);
    }
    fixture_end();
}

/* ---- CPUs of their own ---- */

enum { PLAYERS = 4, ROUNDS = 400 };

static struct player {
    struct user *user;
    capos_cap_t mine, next;
    unsigned turns, told, events;
    bool started;
} players[PLAYERS];

static _Atomic unsigned playing;

/* Each player's chain waits for its bit and sends the next player's on; a MULTISHOT wait watches other bits
 * that come and go. */
static void player_turn(struct thread *thread)
{
    struct player *player = thread->arch.user;
    if (player == NULL) {
        sched_yield();
        return;
    }
    struct user *user = player->user;
    struct capos_cqe cqe;
    bool go = !player->started;
    while (user_reap(user, &cqe)) {
        if (cqe.user_data == 1) {
            player->told++;
            go = true;
        } else {
            CHECK_EQ(cqe.user_data, 2);
            CHECK_EQ(cqe.result, CAPOS_EVENT_SIGNALLED);
            player->events++;
        }
    }
    if (player->told == ROUNDS) {
        if (player->turns++ == ROUNDS) {
            atomic_sub_release(&playing, 1);
        }
        host_syscall(thread, CAPOS_SYS_ENTER, 0, 0);
        return;
    }
    if (!player->started) {
        player->started = true;
        struct capos_sqe wait = multishot(user, player->mine, ~UINT64_C(1));
        wait.user_data = 2;
        user_submit(user, &wait);
    }
    if (go) {
        struct capos_sqe chain[] = {linked(quiet(wait_bits(user, player->mine, 1))),
                                    linked(quiet(signal_bits(user, player->next, 2))),
                                    linked(quiet(signal_bits(user, player->next, 1))), nop(user)};
        chain[3].user_data = 1;
        for (unsigned i = 0; i < 4; i++) {
            user_submit(user, &chain[i]);
        }
        player->turns++;
    }
    host_syscall(thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
}

static bool nobody_plays(void)
{
    return atomic_load_acquire(&playing) == 0;
}

TEST(flags_threads, "on CPUs of their own, chains hand a bit round and no thread is left asleep")
{
    enum { CPUS = 2 };
    fixture_start_real(CPUS);
    for (unsigned i = 0; i < PLAYERS; i++) {
        players[i] = (struct player){.user = user_new("player")};
        players[i].mine = user_notification(players[i].user);
    }
    for (unsigned i = 0; i < PLAYERS; i++) {
        struct player *next = &players[(i + 1) % PLAYERS];
        players[i].next =
            user_pass(next->user, next->mine, players[i].user, NotificationSignaller_FACET);
        players[i].user->thread->arch.user = &players[i];
    }
    notification_signal(user_object(players[0].user, players[0].mine), 1);
    atomic_store_relaxed(&playing, PLAYERS);
    fixture_run(player_turn, nobody_plays);
    fixture_settle();
    for (unsigned i = 0; i < PLAYERS; i++) {
        CHECK_EQ(players[i].told, ROUNDS);
        CHECK(players[i].events > 0 && players[i].events <= ROUNDS);
    }
    fixture_end();
}
