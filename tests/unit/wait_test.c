/* SPDX-License-Identifier: MIT */
/* Objects that many wait for: how much one step does, in which order they are told, what is not lost. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include <sched.h>

#include "core/job.h"
#include "gen/notification.capnp.h"
#include "mem/slab.h"
#include "object/notification.h"
#include "ring/wait.h"

enum {
    STEP_LOOKS = 64, /* waiters one step may look at */
    STEP_WAKES = 16, /* and tell */
    RING = 512,
    MANY = 600,
};

static struct user *big_user(const char *name)
{
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 4 * RING, 1000 + 2 * RING / 4);
    return user_new_limits(name, limits, RING);
}

/* `count` waits for these bits; the last one's user data. */
static uint64_t start_waits(struct user *user, capos_cap_t cap, unsigned count, uint64_t bits)
{
    for (unsigned i = 0; i < count; i++) {
        struct capos_sqe wait = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, bits);
        user_submit(user, &wait);
        if (i % RING == RING - 1 || i == count - 1) {
            user_enter(user, 0, 0);
        }
    }
    return user->user_data;
}

/* An object that counts how often a waiter is looked at, and has no events. */
struct counting {
    struct kobj obj;
    unsigned looks;
};

static uint32_t counting_poll(struct kobj *obj, uint32_t mask, uint64_t bits, uint64_t *signal_out)
{
    (void)mask, (void)bits, (void)signal_out;
    CONTAINER_OF(obj, struct counting, obj)->looks++;
    return 0;
}

static void counting_destroy(struct kobj *obj)
{
    slab_free(CONTAINER_OF(obj, struct counting, obj));
}

static const struct kobj_ops counting_ops = {
    .name = "counting",
    .destroy = counting_destroy,
    .poll = counting_poll,
};

TEST(wait_looks_bounded, "an event that none of six hundred waiters wants is shown to 64 of them "
                         "in one step, and to all "
                         "in the end")
{
    fixture_start(1);
    struct user *user = big_user("many");
    struct counting *counting = slab_alloc(user->process->ledger, sizeof(*counting));
    kobj_init(&counting->obj, KTYPE_NOTIFICATION, &counting_ops, user->process->ledger);
    capos_cap_t cap = user_give(user, &counting->obj, KTYPE_NOTIFICATION, Notification_FACET);
    start_waits(user, cap, MANY, 1);
    counting->looks = 0;
    kobj_notify(&counting->obj);
    CHECK_EQ(counting->looks, STEP_LOOKS);
    counting->looks = 0;
    for (unsigned before = 0; job_pending(); before = counting->looks) {
        CHECK(job_run_slice());
        CHECK(counting->looks - before <= STEP_LOOKS);
    }
    CHECK_EQ(counting->looks, MANY); /* those seen at once were seen again */
    kobj_unref(&counting->obj);
    fixture_end();
}

TEST(wait_kill_bounded,
     "the end of an object tells 16 of its waiters in one step, and all of them in order")
{
    fixture_start(1);
    struct user *user = big_user("many"), *owner = user_new("owner");
    capos_cap_t cap = user_notification(owner);
    capos_cap_t mine = user_pass(owner, cap, user, NotificationWaiter_FACET);
    uint64_t last = start_waits(user, mine, MANY, 1);
    struct kobj *obj = user_object(user, mine);
    kobj_ref(obj);
    kobj_kill(obj);
    CHECK_EQ(completions(user), STEP_WAKES);
    for (uint64_t before = completions(user); job_pending(); before = completions(user)) {
        CHECK(job_run_slice());
        CHECK(completions(user) - before <= STEP_WAKES);
    }
    for (unsigned i = 1; i <= MANY; i++) {
        CHECK_EQ(user_expect(user, last - MANY + i).result, ST_DISCONNECTED);
    }
    struct capos_sqe late = sqe_wait(user, mine, CAPOS_EVENT_DEAD, 0);
    CHECK_EQ(user_do(user, &late).result, ST_DISCONNECTED);
    kobj_unref(obj);
    fixture_end();
}

TEST(wait_order_kept,
     "who begins to wait while many are looked at gets nothing that an earlier one still wants")
{
    fixture_start(1);
    struct user *user = big_user("many");
    capos_cap_t cap = user_notification(user);
    start_waits(user, cap, 200, 1);
    uint64_t early = start_waits(user, cap, 1, 2);
    notification_signal(user_object(user, cap), 2 | 4); /* does not get as far as the early one */
    CHECK_EQ(completions(user), 0);
    struct capos_sqe wait = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, 2 | 4);
    user_start(user, &wait);
    user_enter(user, 2, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, early).signal, 2);
    CHECK_EQ(user_expect(user, wait.user_data).signal, 4);
    CHECK_EQ(completions(user), 0);
    fixture_end();
}

TEST(wait_event_in_round,
     "an event in the middle of a round reaches a waiter that the round has passed")
{
    fixture_start(1);
    struct user *user = big_user("many");
    capos_cap_t cap = user_notification(user);
    uint64_t early = start_waits(user, cap, 1, 2);
    start_waits(user, cap, 300, 1);
    struct kobj *object = user_object(user, cap);
    notification_signal(object, 8);
    CHECK(job_run_slice());
    notification_signal(object, 2);
    CHECK_EQ(completions(user), 0);
    user_enter(user, 1, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, early).signal, 2);
    fixture_end();
}

TEST(wait_two_objects, "two objects with many waiters are worked off one after the other")
{
    fixture_start(1);
    struct user *user = big_user("many");
    struct kobj *objects[2];
    capos_cap_t caps[2] = {user_notification(user), user_notification(user)};
    uint64_t last[2];
    for (unsigned i = 0; i < 2; i++) {
        start_waits(user, caps[i], 200, 1);
        last[i] = start_waits(user, caps[i], 1, 2);
        objects[i] = user_object(user, caps[i]);
    }
    notification_signal(objects[0], 2);
    notification_signal(objects[1], 2);
    user_enter(user, 2, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, last[0]).signal, 2);
    CHECK_EQ(user_expect(user, last[1]).signal, 2);
    fixture_end();
}

TEST(wait_cancelled_in_round, "waiters that end while they are looked at disturb nobody")
{
    fixture_start(1);
    struct user *user = big_user("many");
    capos_cap_t cap = user_notification(user);
    start_waits(user, cap, 200, 1);
    uint64_t last = start_waits(user, cap, 1, 2);
    notification_signal(user_object(user, cap), 2);
    CHECK(job_run_slice()); /* the mark stands behind the 64th */
    for (unsigned position = 60; position < 70; position++) {
        struct capos_sqe cancel = sqe_cap(user, CAPOS_OP_CANCEL, 1 + position);
        user_submit(user, &cancel);
    }
    user_enter(user, 21, CAPOS_FOREVER);
    unsigned cancelled = 0, taken = 0;
    struct capos_cqe cqe;
    while (user_reap(user, &cqe)) {
        cancelled += cqe.result == ST_CANCELLED;
        taken += cqe.user_data == last && cqe.signal == 2;
    }
    CHECK_EQ(cancelled, 10);
    CHECK_EQ(taken, 1);
    fixture_end();
}

/* ---- on CPUs of their own ---- */

enum { ROUNDS = 300, BITS = 8, PARTIES = 4 };

struct party {
    struct user *user;
    capos_cap_t cap;
    unsigned turns;
    uint64_t taken;
    bool waits;
};
static struct party parties[PARTIES];
static _Atomic unsigned busy;

/* One turn of a program: waiters keep some 80 waits queued, the others signal a bit. */
static void party_turn(struct thread *thread)
{
    struct party *party = thread->arch.user;
    struct capos_cqe cqe;
    while (user_reap(party->user, &cqe)) {
        party->taken += cqe.result == CAPOS_EVENT_SIGNALLED;
    }
    if (party->turns == 0) {
        sched_yield();
        return;
    }
    if (--party->turns == 0) {
        atomic_sub_release(&busy, 1);
    }
    struct capos_sqe sqe = party->waits
                               ? sqe_wait(party->user, party->cap, CAPOS_EVENT_SIGNALLED, 0)
                               : sqe_cap(party->user, CAPOS_OP_SIGNAL, party->cap);
    sqe.params = UINT64_C(1) << party->turns % BITS;
    user_submit(party->user, &sqe);
    host_syscall(thread, CAPOS_SYS_ENTER, 0, 0);
}

static bool nobody_busy(void)
{
    return atomic_load_acquire(&busy) == 0;
}

TEST(wait_threads,
     "on CPUs of their own, waiters and signallers leave no bit that a waiter still wants")
{
    enum { CPUS = 3 };
    fixture_start_real(CPUS);
    struct user *owner = user_new("owner");
    capos_cap_t cap = user_notification(owner);
    for (unsigned i = 0; i < PARTIES; i++) {
        parties[i].user = big_user("party");
        parties[i].cap = user_pass(owner, cap, parties[i].user, Notification_FACET);
        parties[i].waits = i % 2 == 0;
        parties[i].turns = ROUNDS;
        start_waits(parties[i].user, parties[i].cap, 40, UINT64_C(1) << 63);
        parties[i].user->thread->arch.user = &parties[i];
    }
    owner->thread->arch.user = &(struct party){.user = owner};
    struct kobj *object = user_object(owner, cap);
    atomic_store_relaxed(&busy, PARTIES);
    fixture_run(party_turn, nobody_busy);
    fixture_settle();
    struct notification *notification = CONTAINER_OF(object, struct notification, obj);
    CHECK_EQ(object->scan, 0);
    list_for_each(node, &object->waiters)
    {
        struct record *rec = list_entry(node, struct record, link);
        CHECK_EQ(rec->facet & notification->pending, 0);
    }
    fixture_end();
}
