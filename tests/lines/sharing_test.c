/* SPDX-License-Identifier: MIT */
/*
 * Independent work shares nothing: two pairs of processes that call each other, each pair on a CPU of
 * its own, are watched line by line. No cache line that the kernel writes for one pair is read or
 * written for the other.
 */
#include "tests/lines/recorder.h"
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/ledger.capnp.h"

enum { PAIRS = 2, WARM_ROUNDS = 200, ROUNDS = 200, SHOWN = 40 };

struct pair {
    struct user *client, *server;
    capos_cap_t object, endpoint;
    struct capos_sqe call, receive;
    unsigned rounds; /* answers the client got */
    bool server_armed;
};

static struct pair pairs[PAIRS];

static void make_pair(struct pair *pair)
{
    pair->client = user_new("client");
    pair->server = user_new("server");
    pair->endpoint = user_endpoint(pair->server, 256, 1);
    capos_cap_t minted = user_mint(pair->server, pair->endpoint, 1);
    pair->object = user_pass(pair->server, minted, pair->client, 1);
    pair->call = sqe_call(pair->client, pair->object, FIXTURE_INTERFACE, 0,
                          user_message(pair->client, "question", 8), 8);
    sqe_result(pair->client, &pair->call, 64, 0);
    pair->receive = sqe_recv(pair->server, pair->endpoint, 256, 1);
    pair->receive.params = user_message(pair->server, "answer!!", 8);
    pair->client->thread->arch.user = pair;
    pair->server->thread->arch.user = pair;
}

static void client_turn(struct pair *pair)
{
    struct capos_cqe cqe;
    if (user_reap(pair->client, &cqe)) {
        CHECK_EQ(cqe.result, 8);
        pair->rounds++;
    }
    user_submit(pair->client, &pair->call);
    host_syscall(pair->client->thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
}

static void server_turn(struct pair *pair)
{
    struct capos_cqe cqe;
    struct capos_sqe sqe = pair->receive;
    sqe.op = CAPOS_OP_RECV;
    sqe.params = 0;
    if (user_reap(pair->server, &cqe)) {
        uint64_t call_id;
        CHECK_EQ(cqe.result, 72);
        user_read(pair->server, pair->receive.result, &call_id, 8);
        sqe = pair->receive;
        sqe.op = CAPOS_OP_RETURN_RECV;
        sqe.interface = call_id;
        sqe.params_len = 8;
    } else if (pair->server_armed) {
        FAIL("the server woke for nothing");
    }
    pair->server_armed = true;
    user_submit(pair->server, &sqe);
    host_syscall(pair->server->thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
}

/* A program of its own: makes a notification, signals, waits and releases it. */
static void alone_turn(struct pair *pair)
{
    struct user *user = pair->client;
    struct capos_cqe cqe;
    while (user_reap(user, &cqe)) {
        CHECK(cqe.result >= 0);
        if (cqe.cap_count == 1) {
            pair->object = cqe.first_cap;
            pair->rounds++;
        }
    }
    if (pair->object != 0) {
        struct capos_sqe signal = sqe_cap(user, CAPOS_OP_SIGNAL, pair->object);
        struct capos_sqe wait = sqe_wait(user, pair->object, CAPOS_EVENT_SIGNALLED, 0);
        struct capos_sqe release = sqe_cap(user, CAPOS_OP_RELEASE, pair->object);
        signal.params = 1;
        user_submit(user, &signal);
        user_submit(user, &wait);
        user_submit(user, &release);
        pair->object = 0;
    }
    user_submit(user, &pair->call);
    host_syscall(user->thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
}

static void user_turn(struct thread *thread)
{
    struct pair *pair = thread->arch.user;
    if (pair->server == NULL) {
        alone_turn(pair);
    } else if (thread == pair->client->thread) {
        client_turn(pair);
    } else {
        server_turn(pair);
    }
}

/* The kernel's part of a step is recorded, the program's is not. */
static void step(unsigned cpu, bool record)
{
    struct thread *thread = host_current(cpu);
    if (thread->process != NULL && !thread->arch.wants_syscall) {
        user_turn(thread);
    }
    if (!record) {
        host_step(cpu);
    } else {
        recorder_resume();
        host_step(cpu);
        recorder_stop();
    }
}

static unsigned cpu_of_user(struct user *user)
{
    return atomic_load_relaxed(&user->thread->cpu);
}

/* Every thread sleeps until it is put where it belongs; waking takes it there. */
static void place(void)
{
    struct user *all[2 * PAIRS];
    for (unsigned i = 0; i < PAIRS; i++) {
        all[2 * i] = pairs[i].client;
        all[2 * i + 1] = pairs[i].server;
    }
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        uint64_t wake = arch_time_ns() + 1000000000;
        for (unsigned i = 0; i < 2 * PAIRS; i++) {
            user_enter_start(all[i], 1, wake);
        }
        for (unsigned i = 0; i < 2 * PAIRS; i++) {
            atomic_store_relaxed(&all[i]->thread->cpu, (uint16_t)(i / 2));
        }
        fixture_advance(1000000000);
        bool placed = true;
        for (unsigned i = 0; i < 2 * PAIRS; i++) {
            placed = placed && cpu_of_user(all[i]) == i / 2;
        }
        if (placed) {
            return;
        }
    }
    FAIL("the pairs do not stay apart");
}

static void run(unsigned rounds, bool record)
{
    unsigned goal = pairs[0].rounds + rounds;
    for (unsigned n = 0; n < 100 * rounds; n++) {
        bool done = true;
        for (unsigned i = 0; i < PAIRS; i++) {
            step(i, record);
            done = done && pairs[i].rounds >= goal;
        }
        if (done) {
            return;
        }
    }
    FAIL("the pairs make no progress");
}

static void check_nothing_shared(void)
{
    static struct shared_line shared[SHOWN];
    CHECK(recorder_lines() > 30);
    unsigned count = recorder_shared(1, 2, shared, SHOWN);
    for (unsigned i = 0; i < count && i < SHOWN; i++) {
        printf("# line %#lx writers %#x readers %#x by %p and %p\n", (unsigned long)shared[i].line,
               shared[i].writers, shared[i].readers, shared[i].pc[0], shared[i].pc[1]);
    }
    CHECK_EQ(count, 0);
}

TEST(sharing_objects,
     "two processes that make, use and drop objects on CPUs of their own share no line")
{
    fixture_start(PAIRS);
    for (unsigned i = 0; i < PAIRS; i++) {
        uint64_t empty = 0;
        struct pair *pair = &pairs[i];
        pair->client = user_new("alone");
        pair->client->thread->arch.user = pair;
        pair->call =
            sqe_call(pair->client, pair->client->ledger, Ledger_ID, Ledger_new_notification_ORDINAL,
                     user_message(pair->client, &empty, 8), 8);
        sqe_result(pair->client, &pair->call, 64, 1);
    }
    CHECK(cpu_of_user(pairs[0].client) != cpu_of_user(pairs[1].client));
    run(WARM_ROUNDS, false);
    recorder_start();
    recorder_stop();
    run(ROUNDS, true);
    check_nothing_shared();
    fixture_end();
}

TEST(sharing_calls, "two pairs that call on CPUs of their own write no cache line in common")
{
    fixture_start(PAIRS);
    for (unsigned i = 0; i < PAIRS; i++) {
        make_pair(&pairs[i]);
    }
    place();
    run(WARM_ROUNDS, false);
    recorder_start();
    recorder_stop();
    run(ROUNDS, true);
    for (unsigned i = 0; i < PAIRS; i++) {
        CHECK_EQ(cpu_of_user(pairs[i].client), i);
        CHECK_EQ(cpu_of_user(pairs[i].server), i);
    }
    check_nothing_shared();
    fixture_end();
}
