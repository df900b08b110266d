/* SPDX-License-Identifier: MIT */
/* WAIT and SIGNAL: bits that are given and taken, who is woken, and what no WAIT can ask for. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/ledger.capnp.h"
#include "gen/notification.capnp.h"

static int32_t signal_bits(struct user *user, capos_cap_t cap, uint64_t bits)
{
    struct capos_sqe sqe = sqe_cap(user, CAPOS_OP_SIGNAL, cap);
    sqe.params = bits;
    return user_do(user, &sqe).result;
}

TEST(notification_taken, "a WAIT takes the bits it wants and leaves the others")
{
    fixture_start(1);
    struct user *user = user_new("bits");
    capos_cap_t cap = user_notification(user);
    CHECK_EQ(signal_bits(user, cap, 0xf0), ST_OK);
    CHECK_EQ(signal_bits(user, cap, 0x0f), ST_OK);
    struct capos_sqe wait = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, 0x3c);
    struct capos_cqe cqe = user_do(user, &wait);
    CHECK_EQ(cqe.result, CAPOS_EVENT_SIGNALLED);
    CHECK_EQ(cqe.flags, CAPOS_CQE_SIGNAL);
    CHECK_EQ(cqe.signal, 0x3c);
    wait = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, 0);
    CHECK_EQ(user_do(user, &wait).signal, 0xc3);
    wait.deadline_ns = 1;
    CHECK_EQ(user_do(user, &wait).result, ST_TIMED_OUT);
    fixture_end();
}

TEST(notification_wakes, "a SIGNAL from another process wakes the first waiter that wants the bit")
{
    uint64_t result;
    fixture_start(2);
    struct user *waiter = user_new("waiter");
    struct user *other = user_new("other");
    capos_cap_t cap = user_notification(waiter);
    capos_cap_t signaller = user_pass(waiter, cap, other, NotificationSignaller_FACET);
    struct capos_sqe a = sqe_wait(waiter, cap, CAPOS_EVENT_SIGNALLED, 1);
    struct capos_sqe b = sqe_wait(waiter, cap, CAPOS_EVENT_SIGNALLED, 2);
    struct capos_sqe c = sqe_wait(waiter, cap, CAPOS_EVENT_SIGNALLED, 2);
    user_submit(waiter, &a);
    user_submit(waiter, &b);
    user_submit(waiter, &c);
    user_enter_start(waiter, 1, CAPOS_FOREVER);
    CHECK(!user_entered(waiter, &result));
    CHECK_EQ(signal_bits(other, signaller, 4), ST_OK);
    CHECK(!user_entered(waiter, &result));
    CHECK_EQ(signal_bits(other, signaller, 2), ST_OK);
    fixture_settle();
    CHECK(user_entered(waiter, &result));
    CHECK_EQ(result, 1);
    CHECK_EQ(user_expect(waiter, b.user_data).signal, 2);
    fixture_end();
}

TEST(notification_refs,
     "a WAIT refers once to its object and once to its route until it ends, a SIGNAL not at all")
{
    fixture_start(1);
    struct user *user = user_new("refs"), *other = user_new("other");
    struct capability held;
    capos_cap_t cap = user_notification(user);
    capos_cap_t signaller = user_pass(user, cap, other, NotificationSignaller_FACET);
    CHECK_EQ(user_look(user, cap, &held), ST_OK);
    uint32_t object_refs = atomic_load_relaxed(&held.object->refs);
    uint32_t route_refs = atomic_load_relaxed(&held.route->refs);
    struct capos_sqe wait = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, 1);
    user_start(user, &wait);
    CHECK_EQ(atomic_load_relaxed(&held.object->refs), object_refs + 1);
    CHECK_EQ(atomic_load_relaxed(&held.route->refs), route_refs + 1);
    CHECK_EQ(signal_bits(other, signaller, 2), ST_OK);
    CHECK_EQ(atomic_load_relaxed(&held.object->refs), object_refs + 1);
    CHECK_EQ(atomic_load_relaxed(&held.route->refs), route_refs + 1);
    CHECK_EQ(signal_bits(other, signaller, 1), ST_OK);
    CHECK_EQ(user_expect(user, wait.user_data).signal, 1);
    CHECK_EQ(atomic_load_relaxed(&held.object->refs), object_refs);
    CHECK_EQ(atomic_load_relaxed(&held.route->refs), route_refs);
    fixture_end();
}

TEST(notification_facets, "a facet without the method is refused NO_METHOD and nothing happens")
{
    fixture_start(1);
    struct user *user = user_new("facets");
    struct capability held;
    capos_cap_t cap = user_notification(user);
    capos_cap_t signaller = user_pass(user, cap, user, NotificationSignaller_FACET);
    capos_cap_t waiter = user_pass(user, cap, user, NotificationWaiter_FACET);
    struct capos_sqe wait = sqe_wait(user, signaller, CAPOS_EVENT_SIGNALLED, 0);
    CHECK_EQ(user_do(user, &wait).result, ST_NO_METHOD);
    CHECK_EQ(signal_bits(user, waiter, 1), ST_NO_METHOD);
    wait = sqe_wait(user, waiter, CAPOS_EVENT_SIGNALLED, 0);
    wait.deadline_ns = 1;
    CHECK_EQ(user_do(user, &wait).result, ST_TIMED_OUT);
    CHECK_EQ(user_look(user, signaller, &held), ST_OK);
    CHECK_EQ(held.facet, NotificationSignaller_FACET);
    fixture_end();
}

TEST(wait_refusals, "WAIT refuses no event, unknown events, and events the object does not have")
{
    fixture_start(1);
    struct user *user = user_new("events");
    capos_cap_t cap = user_notification(user);
    struct capos_sqe wait = sqe_wait(user, cap, 0, 0);
    CHECK_EQ(user_do(user, &wait).result, ST_BAD_ARGUMENT);
    wait = sqe_wait(user, cap, CAPOS_EVENTS_ALL + 1, 0);
    CHECK_EQ(user_do(user, &wait).result, ST_BAD_ARGUMENT);
    wait = sqe_wait(user, cap, CAPOS_EVENT_EXIT, 0);
    CHECK_EQ(user_do(user, &wait).result, ST_NO_METHOD);
    wait = sqe_wait(user, user->ledger, CAPOS_EVENT_SIGNALLED, 0);
    CHECK_EQ(user_do(user, &wait).result, ST_NO_METHOD);
    CHECK_EQ(signal_bits(user, user->ledger, 1), ST_WRONG_INTERFACE);
    fixture_end();
}

TEST(wait_deadline, "a WAIT ends TIMED_OUT at its deadline while its thread sleeps on")
{
    uint64_t result;
    fixture_start(1);
    struct user *user = user_new("sleep");
    capos_cap_t cap = user_notification(user);
    uint64_t start = arch_time_ns();
    struct capos_sqe a = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, 0);
    struct capos_sqe b = a;
    a.deadline_ns = start + 2000;
    b.deadline_ns = start + 1000;
    b.user_data++;
    user_submit(user, &a);
    user_submit(user, &b);
    user_enter_start(user, 2, CAPOS_FOREVER);
    fixture_advance(1000);
    CHECK(!user_entered(user, &result));
    CHECK_EQ(completions(user), 1);
    fixture_advance(1000);
    CHECK(user_entered(user, &result));
    CHECK_EQ(result, 2);
    CHECK_EQ(user_expect(user, b.user_data).result, ST_TIMED_OUT);
    CHECK_EQ(user_expect(user, a.user_data).result, ST_TIMED_OUT);
    fixture_end();
}

TEST(wait_many_notified, "forty waiters of one object are all told, in order of arrival")
{
    enum { WAITERS = 40 };
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(2);
    user_limits(limits);
    struct user *user = user_new_limits("many", limits, 64);
    capos_cap_t cap = user_notification(user);
    uint64_t first = user->user_data + 1;
    for (unsigned i = 0; i < WAITERS; i++) {
        struct capos_sqe wait = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, UINT64_C(1) << i);
        user_submit(user, &wait);
    }
    user_enter(user, 0, 0);
    struct user *other = user_new("other");
    capos_cap_t signaller = user_pass(user, cap, other, NotificationSignaller_FACET);
    CHECK_EQ(signal_bits(other, signaller, UINT64_MAX), ST_OK);
    CHECK_EQ(user_enter(user, WAITERS, CAPOS_FOREVER), WAITERS);
    for (unsigned i = 0; i < WAITERS; i++) {
        CHECK_EQ(user_expect(user, first + i).signal, UINT64_C(1) << i);
    }
    fixture_end();
}

TEST(notification_last_release,
     "waits on a notification end DISCONNECTED when its last capability goes")
{
    fixture_start(1);
    struct user *user = user_new("last");
    capos_cap_t cap = user_notification(user);
    struct capos_sqe wait = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, 0);
    struct capos_sqe dead = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED | CAPOS_EVENT_DEAD, 0);
    struct capos_sqe release = sqe_cap(user, CAPOS_OP_RELEASE, cap);
    user_submit(user, &wait);
    user_submit(user, &dead);
    user_submit(user, &release);
    CHECK_EQ(user_enter(user, 3, CAPOS_FOREVER), 3);
    CHECK_EQ(user_expect(user, wait.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(user_expect(user, dead.user_data).result, CAPOS_EVENT_DEAD);
    CHECK_EQ(user_expect(user, release.user_data).result, ST_OK);
    fixture_end();
}
