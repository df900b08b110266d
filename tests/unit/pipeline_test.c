/* SPDX-License-Identifier: MIT */
/* PIPELINE, KEEP, FINISH: calls of capabilities that have not arrived. */
#include "tests/unit/kernel_pair.h"

#include <sched.h>

#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"

static struct capos_sqe flagged(struct capos_sqe sqe, unsigned flags)
{
    sqe.flags = (uint16_t)(sqe.flags | flags);
    return sqe;
}

/* The same for an answer that has not come: of the entry at `position`, its capability number `index`. */
static struct capos_sqe pipelined(struct capos_sqe sqe, uint64_t position, uint8_t index)
{
    sqe = flagged(sqe, CAPOS_SQE_PIPELINE);
    sqe.cap = position;
    sqe.pipe_index = index;
    return sqe;
}

static struct capos_sqe finish(struct user *user, uint64_t position)
{
    return flagged(sqe_cap(user, CAPOS_OP_FINISH, position), CAPOS_SQE_QUIET);
}

/* A call of the pair's object that wants its answer kept, and no slot for what comes with it. */
static struct capos_sqe keeping(struct pair *p)
{
    struct capos_sqe sqe = flagged(call(p->client, p->object, 1, "8 bytes", 8), CAPOS_SQE_KEEP);
    sqe.accept_count = 0;
    return sqe;
}

/* The server answers with a new object of its endpoint, and keeps nothing of it. */
static status_t answer_object(struct pair *p, uint64_t call_id, uint64_t key)
{
    capos_cap_t object = user_mint(p->server, p->endpoint, key);
    struct capos_transfer move = xfer(object, CAPOS_XFER_MOVE);
    struct capos_sqe ret =
        sqe_return(p->server, call_id, user_message(p->server, "12345678", 8), 8);
    sqe_transfers(p->server, &ret, user_ring(p->server)->next_sequence, &move, 1);
    return user_do(p->server, &ret).result;
}

/* An answer that the client keeps, with an object of key 8 in it: the position. */
static uint64_t kept_object(struct pair *p)
{
    struct capos_sqe sqe = keeping(p);
    uint64_t position = user_start(p->client, &sqe);
    struct capos_received header = receive(p->server, p->endpoint, NULL);
    CHECK_EQ(answer_object(p, header.call_id, 8), ST_OK);
    CHECK_EQ(client_gets(p->client, sqe.user_data).result, 8);
    return position;
}

static uint64_t slots_filled(struct user *user)
{
    return user->process->table.used;
}

static void check_idle(struct user *user)
{
    const struct ring *ring = user->thread->ring;
    CHECK_EQ(ring->answer_count, 0);
    CHECK_EQ(ring->dependents, 0);
    CHECK_EQ(ring->outstanding, 0);
    CHECK_EQ(ring->claimed - ring->released, ring->cq_tail);
}

static struct capos_sqe make_endpoint(struct user *user, uint8_t accept)
{
    uint64_t words[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_new_endpoint_params_b params = Ledger_new_endpoint_params_init(&builder);
    Ledger_new_endpoint_params_set_max_message_bytes(params, 1024);
    Ledger_new_endpoint_params_set_max_caps(params, 1);
    struct capos_sqe sqe =
        sqe_method(user, user->ledger, Ledger_ID, Ledger_new_endpoint_ORDINAL, &builder);
    sqe_result(user, &sqe, 64, accept);
    return flagged(sqe, CAPOS_SQE_KEEP);
}

static struct capos_sqe lend(struct user *user, uint64_t position, uint8_t accept)
{
    struct capos_sqe sqe = sqe_call(user, 0, Endpoint_ID, Endpoint_lend_ORDINAL, 0, 0);
    sqe_result(user, &sqe, 64, accept);
    return pipelined(sqe, position, 0);
}

TEST(pipeline_kernel,
     "a kernel object's result is called in the same entry, and takes no slot itself")
{
    fixture_start(1);
    struct user *user = user_new("pipe");
    uint64_t before = slots_filled(user);
    uint64_t position = user_ring(user)->sq_tail;
    struct capos_sqe first = flagged(make_endpoint(user, 0), CAPOS_SQE_QUIET);
    struct capos_sqe second = lend(user, position, 1);
    struct capos_sqe last = finish(user, position);
    user_submit(user, &first);
    user_submit(user, &second);
    user_submit(user, &last);
    CHECK_EQ(user_enter(user, 1, CAPOS_FOREVER), 1);
    struct capos_cqe cqe = user_expect(user, second.user_data);
    CHECK(cqe.result > 0);
    CHECK_EQ(cqe.cap_count, 1);
    CHECK_EQ(slots_filled(user), before + 1);
    struct capability held;
    CHECK_EQ(user_look(user, cqe.first_cap, &held), ST_DISCONNECTED); /* its owner has let go */
    CHECK_EQ(user_release(user, cqe.first_cap), ST_OK);
    check_idle(user);

    first = make_endpoint(user, 1); /* with accept_count it gets a slot as well */
    position = user_start(user, &first);
    cqe = user_expect(user, first.user_data);
    CHECK_EQ(cqe.cap_count, 1);
    second = lend(user, position, 1);
    CHECK_EQ(user_do(user, &second).cap_count, 1);
    user_start(user, &(struct capos_sqe[]){finish(user, position)}[0]);
    CHECK_EQ(slots_filled(user), before + 2);
    check_idle(user);
    fixture_end();
}

TEST(pipeline_server, "calls of a capability that has not come wait for it, and are then delivered")
{
    struct pair p = pair_start(2);
    uint64_t before = slots_filled(p.client);
    struct capos_sqe first = keeping(&p);
    uint64_t position = user_submit(p.client, &first);
    struct capos_sqe second = pipelined(call(p.client, 0, 2, "2nd call", 8), position, 0);
    struct capos_sqe third = pipelined(call(p.client, 0, 3, "3rd call", 8), position, 0);
    struct capos_sqe last = finish(p.client, position);
    user_submit(p.client, &second);
    user_submit(p.client, &third);
    user_submit(p.client, &last);
    user_enter_start(p.client, 3, CAPOS_FOREVER);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(header.method, 1);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, PAIR_MESSAGE_BYTES, PAIR_CAPS);
    user_start(p.server, &recv);
    fixture_settle();
    CHECK_EQ(completions(p.server), 0); /* nothing more before the answer */
    CHECK_EQ(answer_object(&p, header.call_id, 77), ST_OK);
    fixture_settle();
    (void)user_expect(p.server, recv.user_data);
    user_read(p.server, recv.result, &header, sizeof(header));
    CHECK_EQ(header.method, 2);
    CHECK_EQ(header.key, 77);
    CHECK_EQ(header.facet, 0xff);
    CHECK_EQ(answer(p.server, header.call_id, "answered", 8), ST_OK);
    header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(header.method, 3);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    fixture_settle();
    CHECK_EQ(user_expect(p.client, first.user_data).cap_count, 0);
    CHECK_EQ(user_expect(p.client, second.user_data).result, 8);
    CHECK_EQ(user_expect(p.client, third.user_data).result, 0);
    CHECK_EQ(slots_filled(p.client), before);
    user_enter(p.client, 0, 0);
    check_idle(p.client);
    fixture_end();
}

TEST(pipeline_same_caller, "a server sees the same caller through an answer as through a slot")
{
    struct pair p = pair_start(1);
    struct capos_sqe plain = call(p.client, p.object, 1, "8 bytes", 8);
    user_start(p.client, &plain);
    struct capos_received by_slot = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(answer(p.server, by_slot.call_id, NULL, 0), ST_OK);
    (void)client_gets(p.client, plain.user_data);
    struct capos_sqe second = pipelined(plain, kept_object(&p), 0);
    user_start(p.client, &second);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(header.key, 8);
    CHECK_MEM_EQ(header.caller, by_slot.caller, sizeof(header.caller));
    fixture_end();
}

TEST(pipeline_failure, "what goes wrong with a call fails those that depend on it, the same way")
{
    struct pair p = pair_start(1);
    for (unsigned how = 0; how < 4; how++) {
        struct capos_sqe first = keeping(&p);
        if (how == 3) {
            first.result_len = 0;
        }
        uint64_t position = user_start(p.client, &first);
        struct capos_sqe second =
            flagged(pipelined(call(p.client, 0, 2, NULL, 0), position, 0), CAPOS_SQE_KEEP);
        uint64_t middle = user_start(p.client, &second);
        struct capos_sqe third = pipelined(call(p.client, 0, 3, NULL, 0), middle, 2);
        user_start(p.client, &third);
        struct capos_received header = receive(p.server, p.endpoint, NULL);
        struct capos_sqe act = sqe_return(p.server, header.call_id, 0, 0);
        act.method = how == 0 ? CAPOS_EXC_OVERLOADED : CAPOS_EXC_NONE;
        if (how == 1) {
            act = sqe_cap(p.client, CAPOS_OP_CANCEL, position);
            act.flags = CAPOS_SQE_QUIET;
            user_start(p.client, &act);
        } else if (how == 3) {
            CHECK_EQ(answer(p.server, header.call_id, "12345678", 8), ST_RESULT_TOO_SMALL);
        } else {
            CHECK_EQ(user_do(p.server, &act).result, ST_OK);
        }
        fixture_settle();
        user_enter(p.client, 3, CAPOS_FOREVER);
        static const status_t firsts[] = {ST_EXCEPTION, ST_CANCELLED, ST_OK, ST_RESULT_TOO_SMALL};
        static const status_t others[] = {ST_EXCEPTION, ST_CANCELLED, ST_BAD_CAP,
                                          ST_RESULT_TOO_SMALL};
        CHECK_EQ(user_expect(p.client, first.user_data).result, firsts[how]);
        for (unsigned i = 0; i < 2; i++) {
            struct capos_cqe cqe =
                user_expect(p.client, i == 0 ? second.user_data : third.user_data);
            CHECK_EQ(cqe.result, others[how]);
            CHECK_EQ(cqe.flags, how == 0 ? CAPOS_CQE_EXCEPTION : 0);
            CHECK_EQ(cqe.exception, how == 0 ? CAPOS_EXC_OVERLOADED : 0);
            CHECK_EQ(cqe.needed, 0);
        }
        struct capos_sqe ends[] = {finish(p.client, position), finish(p.client, middle)};
        user_start(p.client, &ends[0]);
        user_start(p.client, &ends[1]);
        check_idle(p.client);
    }
    fixture_end();
}

TEST(pipeline_refused, "an answer that is not kept, or has no such capability, is refused")
{
    fixture_start(1);
    struct user *user = user_new("pipe");
    struct capos_sqe sqe = lend(user, 12345, 1);
    CHECK_EQ(user_do(user, &sqe).result, ST_NOT_FOUND);
    struct capos_sqe first = make_endpoint(user, 0);
    uint64_t position = user_start(user, &first);
    CHECK(user_expect(user, first.user_data).result > 0);
    sqe = lend(user, position, 1);
    sqe.pipe_index = 1;
    CHECK_EQ(user_do(user, &sqe).result, ST_BAD_CAP);
    sqe = lend(user, position, 1);
    sqe.interface++;
    CHECK_EQ(user_do(user, &sqe).result, ST_WRONG_INTERFACE);
    sqe = lend(user, position, 0);
    CHECK_EQ(user_do(user, &sqe).result, ST_RESULT_TOO_SMALL);
    sqe = lend(user, position, 1);
    CHECK_EQ(user_do(user, &sqe).cap_count, 1);
    sqe = sqe_cap(user, CAPOS_OP_FINISH, position);
    CHECK_EQ(user_do(user, &sqe).result, ST_OK);
    CHECK_EQ(user_do(user, &sqe).result, ST_NOT_FOUND);
    sqe = lend(user, position, 1);
    CHECK_EQ(user_do(user, &sqe).result, ST_NOT_FOUND);
    sqe = sqe_cap(user, CAPOS_OP_CANCEL, position);
    CHECK_EQ(user_do(user, &sqe).result, ST_NOT_FOUND);
    for (uint8_t op = 0; op < CAPOS_OP_COUNT; op++) {
        for (unsigned flag = CAPOS_SQE_PIPELINE; flag <= CAPOS_SQE_KEEP; flag *= 2) {
            sqe = flagged(user_sqe(user, op), flag);
            if (op != CAPOS_OP_CALL) {
                CHECK_EQ(user_do(user, &sqe).result, ST_UNSUPPORTED);
            }
        }
    }
    sqe = sqe_call(user, user->ledger, Ledger_ID, Ledger_usage_ORDINAL, 0, 0);
    sqe.pipe_index = 1; /* without PIPELINE */
    CHECK_EQ(user_do(user, &sqe).result, ST_UNSUPPORTED);
    check_idle(user);
    fixture_end();
}

TEST(pipeline_limits, "16 wait for one answer, 64 in a ring, 64 answers are kept; others are BUSY")
{
    struct pair p;
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(1);
    user_limits(limits);
    p.client = user_new_limits("client", limits, 256);
    p.server = user_new("server");
    p.endpoint = user_endpoint(p.server, PAIR_MESSAGE_BYTES, PAIR_CAPS);
    capos_cap_t minted = user_mint(p.server, p.endpoint, 7);
    p.object = user_pass(p.server, minted, p.client, 0xff);
    struct capos_sqe first = keeping(&p);
    uint64_t positions[CAPOS_MAX_ANSWERS];
    for (unsigned i = 0; i < CAPOS_MAX_ANSWERS; i++) {
        positions[i] = user_start(p.client, &first);
    }
    CHECK_EQ(user_do(p.client, &first).result, ST_BUSY);
    struct capos_sqe sqe = pipelined(call(p.client, 0, 2, NULL, 0), 0, 0);
    for (unsigned i = 0; i < 4; i++) {
        sqe.cap = positions[i];
        for (unsigned k = 0; k < CAPOS_MAX_DEPENDENTS; k++) {
            user_start(p.client, &sqe);
        }
        CHECK_EQ(completions(p.client), 0);
        CHECK_EQ(user_do(p.client, &sqe).result, ST_BUSY);
    }
    sqe.cap = positions[4];
    CHECK_EQ(user_do(p.client, &sqe).result, ST_BUSY);
    struct capos_sqe end = sqe_cap(p.client, CAPOS_OP_CANCEL, positions[0]);
    user_start(p.client, &end);
    struct capos_cqe cqe;
    for (unsigned i = 0; i < 2 + CAPOS_MAX_DEPENDENTS; i++) {
        CHECK(user_reap(p.client, &cqe));
        CHECK_EQ(cqe.result, cqe.user_data == end.user_data ? ST_OK : ST_CANCELLED);
    }
    user_start(p.client, &sqe); /* there is room for it now */
    CHECK_EQ(completions(p.client), 0);
    end = finish(p.client, positions[0]);
    user_start(p.client, &end);
    user_start(p.client, &first);
    CHECK_EQ(completions(p.client), 0);
    fixture_end();
}

TEST(pipeline_finish_early, "FINISH before the answer serves who waits for it and nobody else")
{
    struct pair p = pair_start(1);
    struct capos_sqe first = keeping(&p);
    uint64_t position = user_start(p.client, &first);
    struct capos_sqe second = pipelined(call(p.client, 0, 2, NULL, 0), position, 0);
    user_start(p.client, &second);
    struct capos_sqe end = finish(p.client, position);
    user_start(p.client, &end);
    struct capos_sqe late = pipelined(call(p.client, 0, 3, NULL, 0), position, 0);
    CHECK_EQ(user_do(p.client, &late).result, ST_NOT_FOUND);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(answer_object(&p, header.call_id, 8), ST_OK);
    user_enter(p.client, 1, CAPOS_FOREVER);
    CHECK_EQ(user_expect(p.client, first.user_data).result, 8);
    header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(header.key, 8);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    CHECK_EQ(client_gets(p.client, second.user_data).result, 0);
    check_idle(p.client);
    fixture_end();
}

TEST(pipeline_counts_as_client, "a kept answer is a client of what it holds until FINISH")
{
    struct pair p = pair_start(1);
    uint64_t position = kept_object(&p);
    struct capos_sqe wait = sqe_wait(p.server, p.endpoint, CAPOS_EVENT_NO_CLIENTS, 0);
    user_start(p.server, &wait);
    CHECK_EQ(completions(p.server), 0);
    struct capos_sqe end = finish(p.client, position);
    user_start(p.client, &end);
    fixture_settle();
    CHECK_EQ(user_expect(p.server, wait.user_data).signal, 8);
    check_idle(p.client);
    fixture_end();
}

TEST(pipeline_numbers,
     "the number of a call that waits for its answer is spent when it is consumed")
{
    struct pair p = pair_start(1);
    struct capability held;
    capos_cap_t gift = user_notification(p.client);
    struct capos_transfer move = xfer(gift, CAPOS_XFER_MOVE);
    uint64_t number = user_ring(p.client)->next_sequence;
    struct capos_sqe first = keeping(&p);
    uint64_t position = user_start(p.client, &first);
    struct capos_sqe second = pipelined(call(p.client, 0, 2, "8 bytes", 8), position, 0);
    sqe_transfers(p.client, &second, number, &move, 1);
    uint64_t waiting = user_start(p.client, &second);
    CHECK_EQ(user_ring(p.client)->next_sequence, number + 1);
    CHECK_EQ(user_look(p.client, gift, &held), ST_OK);
    CHECK_EQ(user_do(p.client, &second).result, ST_BAD_SEQUENCE);
    struct capos_sqe end = finish(p.client, 0);
    end = flagged(sqe_cap(p.client, CAPOS_OP_CANCEL, waiting), CAPOS_SQE_QUIET);
    user_start(p.client, &end);
    CHECK_EQ(user_expect(p.client, second.user_data).result, ST_CANCELLED);
    CHECK_EQ(user_look(p.client, gift, &held), ST_OK);
    sqe_transfers(p.client, &second, number + 1, &move, 1);
    user_start(p.client, &second);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(answer_object(&p, header.call_id, 8), ST_OK);
    user_enter(p.client, 1, CAPOS_FOREVER);
    CHECK_EQ(user_look(p.client, gift, &held), ST_BAD_CAP);
    header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(header.cap_count, 1);
    fixture_end();
}

TEST(pipeline_in_chain, "a pipelined call in a chain waits for its turn, then for its answer")
{
    struct pair p = pair_start(1);
    capos_cap_t note = user_notification(p.client);
    struct capos_sqe first = keeping(&p);
    uint64_t position = user_start(p.client, &first);
    struct capos_sqe chain[] = {
        flagged(sqe_wait(p.client, note, CAPOS_EVENT_SIGNALLED, 1), CAPOS_SQE_LINK),
        flagged(pipelined(call(p.client, 0, 2, NULL, 0), position, 0),
                CAPOS_SQE_LINK | CAPOS_SQE_KEEP),
        user_sqe(p.client, CAPOS_OP_NOP),
    };
    for (unsigned i = 0; i < 3; i++) {
        user_submit(p.client, &chain[i]);
    }
    struct capos_sqe give = flagged(sqe_cap(p.client, CAPOS_OP_SIGNAL, note), CAPOS_SQE_QUIET);
    give.params = 1;
    user_submit(p.client, &give);
    user_enter_start(p.client, 4, CAPOS_FOREVER);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(answer_object(&p, header.call_id, 8), ST_OK);
    header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(header.method, 2);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    fixture_settle();
    CHECK_EQ(user_expect(p.client, chain[0].user_data).result, CAPOS_EVENT_SIGNALLED);
    CHECK_EQ(user_expect(p.client, first.user_data).result, 8);
    CHECK_EQ(user_expect(p.client, chain[1].user_data).result, 0);
    CHECK_EQ(user_expect(p.client, chain[2].user_data).result, ST_OK);
    fixture_end();
}

TEST(pipeline_revoked, "a call through an answer whose capability was revoked is DISCONNECTED")
{
    struct pair p = pair_start(1);
    uint64_t position = kept_object(&p);
    user_exit(p.server, 0);
    struct capos_sqe second = pipelined(call(p.client, 0, 2, NULL, 0), position, 0);
    CHECK_EQ(user_do(p.client, &second).result, ST_DISCONNECTED);
    fixture_end();
}

TEST(pipeline_exit, "processes that end with answers and dependents in every state leave nothing")
{
    for (unsigned how = 0; how < 6; how++) {
        struct pair p = pair_start(2);
        struct capos_sqe first = keeping(&p);
        uint64_t position = user_start(p.client, &first);
        struct capos_sqe second =
            flagged(pipelined(call(p.client, 0, 2, NULL, 0), position, 0), CAPOS_SQE_KEEP);
        uint64_t middle = user_start(p.client, &second);
        struct capos_sqe third = pipelined(call(p.client, 0, 3, NULL, 0), middle, 0);
        user_start(p.client, &third);
        if (how % 3 >= 1) {
            struct capos_received header = receive(p.server, p.endpoint, NULL);
            CHECK_EQ(answer_object(&p, header.call_id, 8), ST_OK);
        }
        if (how % 3 == 2) {
            user_enter(p.client, 0, 0);
        }
        if (how < 3) {
            user_exit(p.client, 0);
        } else {
            user_enter_start(p.client, USER_RING, CAPOS_FOREVER);
            user_terminate(p.client);
        }
        fixture_end();
    }
}

/* ---- CPUs of their own ---- */

enum { ROUNDS = 300 };

static struct {
    struct pair p;
    uint64_t recv_result, return_params;
    capos_cap_t served; /* the object, as the server has it */
    unsigned rounds, answered;
    bool started;
} race;

static _Atomic bool over;

static void client_turn(struct thread *thread)
{
    struct user *user = race.p.client;
    struct capos_cqe cqe;
    bool go = !race.started;
    while (user_reap(user, &cqe)) {
        CHECK_EQ(cqe.user_data, 4);
        CHECK_EQ(cqe.result, 8);
        race.rounds++;
        go = true;
    }
    race.started = true;
    if (race.rounds == ROUNDS) {
        atomic_store_release(&over, true);
        host_syscall(thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
        return;
    }
    if (go) {
        uint64_t heap = user->heap_next;
        uint64_t position = user->sq_tail;
        struct capos_sqe sqes[7];
        for (unsigned i = 0; i < 4; i++) {
            sqes[i] = call(user, race.p.object, 1, "8 bytes", 8);
            sqes[i].accept_count = 0;
            sqes[i].user_data = 1 + i;
            if (i > 0) {
                sqes[i] = pipelined(sqes[i], position + i - 1, 0);
            }
            if (i < 3) {
                sqes[i] = flagged(sqes[i], CAPOS_SQE_KEEP | CAPOS_SQE_QUIET);
                sqes[4 + i] = finish(user, position + i);
            } else {
                sqes[i].method = 2; /* no further object */
            }
        }
        for (unsigned i = 0; i < 7; i++) {
            user_submit(user, &sqes[i]);
        }
        user->heap_next = heap;
    }
    host_syscall(thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
}

/* Answers each call with the object it was given for that. */
static void server_turn(struct thread *thread)
{
    struct user *user = race.p.server;
    struct capos_cqe cqe;
    while (user_reap(user, &cqe)) {
        if (cqe.user_data != 9) {
            CHECK_EQ(cqe.result, ST_OK);
            continue;
        }
        struct capos_received header;
        user_read(user, race.recv_result, &header, sizeof(header));
        struct capos_sqe ret = sqe_return(user, header.call_id, race.return_params, 8);
        struct capos_transfer copy = xfer(race.served, CAPOS_XFER_COPY);
        ret.user_data = 10;
        if (header.method == 1) {
            sqe_transfers(user, &ret, user_ring(user)->next_sequence, &copy, 1);
        }
        user_submit(user, &ret);
        struct capos_sqe recv = sqe_cap(user, CAPOS_OP_RECV, race.p.endpoint);
        recv.user_data = 9;
        recv.result = race.recv_result;
        recv.result_len = sizeof(header) + PAIR_MESSAGE_BYTES + PAIR_CAPS * 16;
        recv.accept_count = PAIR_CAPS;
        user_submit(user, &recv);
        race.answered++;
    }
    host_syscall(thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
}

static void race_turn(struct thread *thread)
{
    if (thread == race.p.client->thread) {
        client_turn(thread);
    } else if (thread == race.p.server->thread) {
        server_turn(thread);
    } else {
        sched_yield();
    }
}

static bool race_over(void)
{
    return atomic_load_acquire(&over);
}

TEST(pipeline_threads, "on CPUs of their own, rows of four dependent calls all come to their end")
{
    enum { CPUS = 2 };
    fixture_start_real(CPUS);
    race.p.client = user_new("client");
    race.p.server = user_new("server");
    race.p.endpoint = user_endpoint(race.p.server, PAIR_MESSAGE_BYTES, PAIR_CAPS);
    capos_cap_t minted = user_mint(race.p.server, race.p.endpoint, 7);
    capos_cap_t passed = user_pass(race.p.server, minted, race.p.client, 0xff);
    race.p.object = passed;
    race.served = minted;
    race.recv_result = user_alloc(race.p.server, 4096);
    race.return_params = user_message(race.p.server, "12345678", 8);
    struct capos_sqe recv = sqe_recv(race.p.server, race.p.endpoint, PAIR_MESSAGE_BYTES, PAIR_CAPS);
    recv.result = race.recv_result;
    recv.user_data = 9;
    user_start(race.p.server, &recv);
    fixture_run(race_turn, race_over);
    fixture_settle();
    CHECK_EQ(race.rounds, ROUNDS);
    CHECK_EQ(race.answered, 4 * ROUNDS);
    fixture_end();
}
