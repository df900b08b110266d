/* SPDX-License-Identifier: MIT */
/*
 * Room for messages and capabilities: what is checked and charged when a receive or a call is
 * submitted, so that nothing is wanting when the other side comes; where an INLINE receive puts a
 * message; who is told when an answer does not fit.
 */
#include "tests/unit/kernel_pair.h"

#include "abi/layout.h"
#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"
#include "ipc/endpoint.h"

enum {
    HEADER = (int)sizeof(struct capos_received),
    ROOM = HEADER + PAIR_MESSAGE_BYTES + 16 * PAIR_CAPS,
    SLOT = CAPOS_PAYLOAD_SLOT_BYTES,
};

static const uint8_t zeroes[PAIR_MESSAGE_BYTES];

/* Sets the limit of slots; returns what it was, for the end: a parent knows it. */
static uint64_t limit_slots(struct user *user, uint64_t limit)
{
    uint64_t was = ledger_state(user->process->ledger).limit[LEDGER_CLASS_SLOTS];
    atomic_store_relaxed(&user->process->ledger->limit[LEDGER_CLASS_SLOTS], limit);
    return was;
}

static void check_table(struct user *user)
{
    const char *why = NULL;
    if (!table_check(&user->process->table, &why)) {
        FAIL(why);
    }
}

/* Nothing is promised, and `used` slots are charged. */
#define CHECK_SLOTS(user_, used_) \
    do { \
        CHECK_EQ(slots_used(user_), (used_)); \
        CHECK_EQ((user_)->process->table.promised, 0); \
        check_table(user_); \
    } while (0)

/* A call that carries so many new notifications, moved; their ids at *moved. */
static struct capos_sqe carrying(struct pair *p, uint64_t number, unsigned count,
                                 capos_cap_t moved[PAIR_CAPS])
{
    struct capos_transfer xfers[PAIR_CAPS];
    for (unsigned i = 0; i < count; i++) {
        moved[i] = user_notification(p->client);
        xfers[i] = xfer(moved[i], CAPOS_XFER_MOVE);
    }
    struct capos_sqe sqe = call(p->client, p->object, 1, NULL, 0);
    sqe.accept_count = 0;
    sqe_transfers(p->client, &sqe, number, xfers, (uint8_t)count);
    return sqe;
}

static struct capos_sqe recv_of(struct pair *p)
{
    return sqe_recv(p->server, p->endpoint, PAIR_MESSAGE_BYTES, PAIR_CAPS);
}

/* ---- what a receive needs ---- */

TEST(room_receive, "a receive that could not take whatever its endpoint lets through is refused at "
                   "once, says what "
                   "is needed, and takes no call")
{
    struct pair p = pair_start(2);
    uint64_t used = slots_used(p.server);
    struct capos_sqe waiting = call(p.client, p.object, 6, NULL, 0);
    for (unsigned turn = 0; turn < 2; turn++) {
        struct capos_sqe recv = recv_of(&p);
        recv.result_len = ROOM - 8;
        struct capos_cqe cqe = user_do(p.server, &recv);
        CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
        CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
        CHECK_EQ(cqe.needed, ROOM);
        recv = recv_of(&p);
        recv.accept_count = PAIR_CAPS - 1;
        cqe = user_do(p.server, &recv);
        CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
        CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
        CHECK_EQ(cqe.needed, ROOM);
        recv = recv_of(&p);
        recv.result = UINT64_MAX - 7;
        CHECK_EQ(user_do(p.server, &recv).result, ST_BAD_ADDRESS);
        CHECK_SLOTS(p.server, used);
        if (turn == 0) {
            user_start(p.client,
                       &waiting); /* meets none of them; the next round is with a call in line */
        }
    }
    CHECK_EQ(completions(p.client), 0);
    struct capos_sqe recv = recv_of(&p);
    CHECK_EQ(user_do(p.server, &recv).result, HEADER);
    fixture_end();
}

TEST(room_receive_exact, "a receive of exactly the room that is needed takes the largest message")
{
    struct pair p = pair_start(2);
    capos_cap_t moved[PAIR_CAPS];
    struct capos_sqe recv = recv_of(&p);
    CHECK_EQ(recv.result_len, ROOM);
    user_start(p.server, &recv);
    struct capos_sqe sqe = carrying(&p, 1, 0, moved);
    struct capos_transfer xfers[PAIR_CAPS];
    for (unsigned i = 0; i < PAIR_CAPS; i++) {
        xfers[i] = xfer(user_notification(p.client), CAPOS_XFER_MOVE);
    }
    sqe.params = user_message(p.client, zeroes, PAIR_MESSAGE_BYTES);
    sqe.params_len = PAIR_MESSAGE_BYTES;
    sqe_transfers(p.client, &sqe, 1, xfers, PAIR_CAPS);
    user_start(p.client, &sqe);
    struct capos_cqe cqe = client_gets(p.server, recv.user_data);
    CHECK_EQ(cqe.result, ROOM);
    CHECK_EQ(cqe.flags, CAPOS_CQE_CAPS);
    CHECK_EQ(cqe.cap_count, PAIR_CAPS);
    fixture_end();
}

TEST(room_vacant, "a receive that is refused does not end a vacancy")
{
    struct pair p = pair_start(2);
    endpoint_begin_vacancy(endpoint_of(user_object(p.server, p.endpoint)), 1);
    fixture_settle();
    struct capos_sqe recv = recv_of(&p);
    recv.accept_count = 0;
    CHECK_EQ(user_do(p.server, &recv).result, ST_RESULT_TOO_SMALL);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    CHECK_EQ(user_do(p.client, &sqe).result, ST_DISCONNECTED);
    fixture_end();
}

/* ---- promises of slots ---- */

TEST(
    promise_receive_quota,
    "a receive whose capabilities would find no slots is refused QUOTA of slots, and takes no call")
{
    struct pair p = pair_start(2);
    capos_cap_t moved[PAIR_CAPS];
    uint64_t used = slots_used(p.server);
    uint64_t limit = limit_slots(p.server, used + PAIR_CAPS - 1);
    struct capos_sqe sqe = carrying(&p, 1, 2, moved);
    user_start(p.client, &sqe);
    struct capos_sqe recv = recv_of(&p);
    struct capos_cqe cqe = user_do(p.server, &recv);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_SLOTS);
    CHECK_EQ(completions(p.client), 0);
    CHECK_SLOTS(p.server, used);
    (void)limit_slots(p.server, used + PAIR_CAPS);
    CHECK_EQ(user_do(p.server, &recv).cap_count, 2);
    CHECK_SLOTS(p.server, used + 2);
    (void)limit_slots(p.server, limit);
    fixture_end();
}

TEST(promise_call_quota,
     "a call whose answer's capabilities would find no slots is refused QUOTA of slots, is not "
     "delivered, and keeps what it was to move")
{
    struct pair p = pair_start(2);
    struct capability held;
    capos_cap_t moved[PAIR_CAPS];
    struct capos_sqe recv = recv_of(&p);
    user_start(p.server, &recv);
    struct capos_sqe sqe = carrying(&p, 1, 1, moved);
    sqe.accept_count = 3;
    uint64_t used = slots_used(p.client);
    uint64_t limit = limit_slots(p.client, used + 2);
    struct capos_cqe cqe = user_do(p.client, &sqe);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_SLOTS);
    CHECK_EQ(user_look(p.client, moved[0], &held), ST_OK);
    CHECK_EQ(completions(p.server), 0);
    CHECK_SLOTS(p.client, used);
    (void)limit_slots(p.client, limit);
    fixture_end();
}

TEST(
    promise_kept,
    "an answer's capabilities find the slots that were promised, however full the table is by then")
{
    struct pair p = pair_start(2);
    struct capos_transfer xfers[2] = {xfer(user_notification(p.server), CAPOS_XFER_MOVE),
                                      xfer(user_notification(p.server), CAPOS_XFER_COPY)};
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0); /* accepts two */
    uint64_t used = slots_used(p.client);
    user_start(p.client, &sqe);
    CHECK_EQ(slots_used(p.client), used + 2);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    uint64_t limit = limit_slots(p.client, used + 2);
    struct capos_cqe cqe = user_call_plain(p.client, p.client->ledger, Ledger_ID,
                                           Ledger_new_notification_ORDINAL, NULL);
    CHECK_EQ(cqe.result, ST_QUOTA);
    struct capos_sqe ret = sqe_return(p.server, header.call_id, user_message(p.server, NULL, 0), 0);
    sqe_transfers(p.server, &ret, 1, xfers, 2);
    CHECK_EQ(user_do(p.server, &ret).result, ST_OK);
    cqe = client_gets(p.client, sqe.user_data);
    CHECK_EQ(cqe.result, 0);
    CHECK_EQ(cqe.cap_count, 2);
    CHECK_SLOTS(p.client, used + 2);
    (void)limit_slots(p.client, limit);
    fixture_end();
}

TEST(promise_receive_ends,
     "the slots promised to a receive are given back however it ends: what came stays charged")
{
    struct pair p = pair_start(2);
    capos_cap_t moved[PAIR_CAPS];
    uint64_t used = slots_used(p.server);
    struct capos_sqe recv = recv_of(&p);
    uint64_t position = user_start(p.server, &recv);
    CHECK_EQ(slots_used(p.server), used + PAIR_CAPS);
    CHECK_EQ(p.server->process->table.promised, PAIR_CAPS);
    check_table(p.server);
    user_cancel(p.server, position, recv.user_data);
    CHECK_SLOTS(p.server, used);

    recv.deadline_ns = arch_time_ns() + 1000000;
    user_start(p.server, &recv);
    CHECK_EQ(slots_used(p.server), used + PAIR_CAPS);
    fixture_advance(1000000);
    CHECK_EQ(user_expect(p.server, recv.user_data).result, ST_TIMED_OUT);
    CHECK_SLOTS(p.server, used);

    recv = recv_of(&p);
    recv.result = p.server->thread->ring->user_address + UINT64_C(0x100000);
    struct capos_sqe sqe = carrying(&p, 1, 3, moved);
    user_start(p.client, &sqe); /* waits on, three slots on their way */
    CHECK_EQ(user_do(p.server, &recv).result, ST_BAD_ADDRESS);
    CHECK_SLOTS(p.server, used);
    recv = recv_of(&p);
    CHECK_EQ(user_do(p.server, &recv).cap_count, 3);
    CHECK_SLOTS(p.server, used + 3);

    user_start(p.server, &recv);
    struct capos_sqe plain = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &plain);
    CHECK_EQ(client_gets(p.server, recv.user_data).cap_count, 0);
    CHECK_SLOTS(p.server, used + 3);

    user_start(p.server, &recv);
    user_destroy(p.server, p.endpoint);
    CHECK_EQ(user_expect(p.server, recv.user_data).result, ST_DISCONNECTED);
    CHECK_SLOTS(p.server, used + 3);
    CHECK_EQ(user_do(p.server, &recv).result, ST_DISCONNECTED);
    CHECK_SLOTS(p.server, used + 3);
    fixture_end();
}

TEST(promise_call_ends,
     "the slots promised to a call are given back however it ends: what came stays charged")
{
    struct pair p = pair_start(2);
    struct user *server = p.server, *client = p.client;
    struct capos_sqe sqe = call(client, p.object, 1, NULL, 0);
    struct capos_sqe dated = sqe;
    uint64_t used = slots_used(client);
    uint64_t position = user_start(client, &sqe);
    CHECK_EQ(slots_used(client), used + 2);
    user_cancel(client, position, sqe.user_data); /* queued */
    CHECK_SLOTS(client, used);

    position = user_start(client, &sqe);
    receive(server, p.endpoint, NULL);
    CHECK_EQ(slots_used(client), used + 2);
    user_cancel(client, position, sqe.user_data); /* in flight */
    CHECK_SLOTS(client, used);

    dated.deadline_ns = arch_time_ns() + 1000000;
    user_start(client, &dated);
    fixture_advance(1000000);
    CHECK_EQ(user_expect(client, sqe.user_data).result, ST_TIMED_OUT);
    CHECK_SLOTS(client, used);

    user_start(client, &sqe);
    struct capos_received header = receive(server, p.endpoint, NULL);
    CHECK_EQ(answer(server, header.call_id, NULL, 0), ST_OK);
    CHECK_EQ(client_gets(client, sqe.user_data).result, 0);
    CHECK_SLOTS(client, used);

    user_start(client, &sqe);
    header = receive(server, p.endpoint, NULL);
    struct capos_transfer one = xfer(user_notification(server), CAPOS_XFER_MOVE);
    struct capos_sqe ret = sqe_return(server, header.call_id, user_message(server, NULL, 0), 0);
    sqe_transfers(server, &ret, 1, &one, 1);
    CHECK_EQ(user_do(server, &ret).result, ST_OK);
    CHECK_EQ(client_gets(client, sqe.user_data).cap_count, 1);
    CHECK_SLOTS(client, used + 1);

    user_start(client, &sqe);
    header = receive(server, p.endpoint, NULL);
    ret = sqe_return(server, header.call_id, user_message(server, NULL, 0), 0);
    ret.method = CAPOS_EXC_FAILED;
    CHECK_EQ(user_do(server, &ret).result, ST_OK);
    CHECK_EQ(client_gets(client, sqe.user_data).result, ST_EXCEPTION);
    CHECK_SLOTS(client, used + 1);

    struct capos_sqe bad = sqe;
    bad.result = 0x1000;
    user_start(client, &bad);
    header = receive(server, p.endpoint, NULL);
    one = xfer(user_notification(server), CAPOS_XFER_MOVE);
    ret = sqe_return(server, header.call_id, user_message(server, NULL, 0), 0);
    sqe_transfers(server, &ret, 2, &one, 1);
    CHECK_EQ(user_do(server, &ret).result, ST_GONE);
    CHECK_EQ(client_gets(client, sqe.user_data).result, ST_BAD_ADDRESS);
    CHECK_EQ(user_release(server, one.cap), ST_OK);
    CHECK_SLOTS(client, used + 1);

    bad = sqe;
    bad.params_len = PAIR_MESSAGE_BYTES + 8;
    CHECK_EQ(user_do(client, &bad).result, ST_TOO_LARGE);
    CHECK_SLOTS(client, used + 1);
    fixture_end();
}

TEST(promise_deaths,
     "the slots promised to a call are given back when its server dies, or its endpoint; a process "
     "may die with promises of both kinds")
{
    struct pair p = pair_start(2);
    struct user *other = user_new("other");
    capos_cap_t theirs = user_endpoint(other, PAIR_MESSAGE_BYTES, PAIR_CAPS);
    capos_cap_t object = user_pass(other, user_mint(other, theirs, 1), p.client, 0xff);
    struct capos_sqe first = call(p.client, p.object, 1, NULL, 0);
    struct capos_sqe second = call(p.client, object, 1, NULL, 0);
    uint64_t used = slots_used(p.client);
    user_start(p.client, &first);
    receive(p.server, p.endpoint, NULL);
    user_start(p.client, &first);
    struct capos_sqe recv = recv_of(&p);
    CHECK_EQ(slots_used(p.client), used + 4);
    user_exit(p.server, 0); /* one in flight, one queued that goes with the endpoint */
    CHECK_EQ(client_gets(p.client, first.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(user_expect(p.client, first.user_data).result, ST_DISCONNECTED);
    CHECK_SLOTS(p.client, used);

    user_start(p.client, &second);
    receive(other, theirs, NULL);
    user_start(p.client, &second);
    user_destroy(other, theirs);
    CHECK_EQ(user_expect(p.client, second.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(user_expect(p.client, second.user_data).result, ST_DISCONNECTED);
    CHECK_SLOTS(p.client, used);

    theirs = user_endpoint(other, PAIR_MESSAGE_BYTES, PAIR_CAPS);
    second.cap = user_pass(other, user_mint(other, theirs, 1), p.client, 0xff);
    recv = sqe_recv(p.client, user_endpoint(p.client, 64, PAIR_CAPS), 64, PAIR_CAPS);
    user_start(p.client, &recv);
    user_start(p.client, &second);
    receive(other, theirs, NULL);
    user_start(p.client, &second);
    CHECK_EQ(p.client->process->table.promised, PAIR_CAPS + 4);
    user_exit(p.client, 0);
    fixture_end(); /* looks for what would be left */
}

TEST(promise_put_back,
     "a receive that is put back after a call with capabilities whose message cannot be read keeps "
     "its promise")
{
    struct pair p = pair_start(2);
    struct capability held;
    capos_cap_t moved[PAIR_CAPS];
    uint64_t used = slots_used(p.server);
    struct capos_sqe recv = recv_of(&p);
    user_start(p.server, &recv);
    /* The message lies in front of the heap, where nothing is; the transfer area behind it is good. */
    struct capos_sqe bad = call(p.client, p.object, 1, NULL, 0);
    struct capos_transfer xfers[2];
    for (unsigned i = 0; i < 2; i++) {
        moved[i] = user_notification(p.client);
        xfers[i] = xfer(moved[i], CAPOS_XFER_MOVE);
    }
    bad.params = USER_HEAP - 8;
    bad.params_len = 8;
    sqe_transfers(p.client, &bad, 1, xfers, 2);
    uint64_t clients = slots_used(p.client);
    for (unsigned turn = 0; turn < 3; turn++) {
        uint64_t number = turn + 1;
        user_write(p.client, USER_HEAP, &number, sizeof(number));
        CHECK_EQ(user_do(p.client, &bad).result, ST_BAD_ADDRESS);
        CHECK_EQ(completions(p.server), 0);
        CHECK_EQ(slots_used(p.server), used + PAIR_CAPS);
        CHECK_EQ(p.server->process->table.promised, PAIR_CAPS);
        check_table(p.server);
        CHECK_SLOTS(p.client, clients);
        CHECK_EQ(user_look(p.client, moved[0], &held), ST_OK);
        CHECK_EQ(user_look(p.client, moved[1], &held), ST_OK);
    }
    struct capos_sqe good = carrying(&p, 4, PAIR_CAPS, moved);
    user_start(p.client, &good);
    CHECK_EQ(client_gets(p.server, recv.user_data).cap_count, PAIR_CAPS);
    CHECK_SLOTS(p.server, used + PAIR_CAPS);
    fixture_end();
}

/* ---- answers that do not fit ---- */

TEST(
    answer_too_long,
    "an answer longer than its caller's buffer ends the call RESULT_TOO_SMALL with what is needed, "
    "and the RETURN too")
{
    struct pair p = pair_start(2);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(answer(p.server, header.call_id, zeroes, 264), ST_RESULT_TOO_SMALL);
    struct capos_cqe cqe = client_gets(p.client, sqe.user_data);
    CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
    CHECK_EQ(cqe.needed, 264);
    CHECK_MEM_EQ(user_ptr(p.client, sqe.result), zeroes, 256);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_GONE);
    fixture_end();
}

TEST(answer_too_many, "an answer with more capabilities than its caller accepts, or has bytes for, "
                      "transfers nothing: "
                      "both are told RESULT_TOO_SMALL")
{
    struct pair p = pair_start(2);
    struct capability held;
    capos_cap_t gift = user_notification(p.server), copy = user_notification(p.server);
    struct capos_transfer xfers[2] = {xfer(gift, CAPOS_XFER_MOVE), xfer(copy, CAPOS_XFER_COPY)};
    static const struct {
        uint8_t accept;
        uint32_t room, answer;
    } rows[] = {{1, 256, 8}, {0, 256, 8}, {2, 32, 8}};
    for (unsigned i = 0; i < 3; i++) {
        struct capos_sqe stingy = call(p.client, p.object, 1, NULL, 0);
        stingy.accept_count = rows[i].accept;
        stingy.result_len = rows[i].room;
        uint64_t used = slots_used(p.client), servers = slots_used(p.server);
        user_start(p.client, &stingy);
        struct capos_received header = receive(p.server, p.endpoint, NULL);
        struct capos_sqe ret =
            sqe_return(p.server, header.call_id, user_message(p.server, zeroes, rows[i].answer),
                       rows[i].answer);
        sqe_transfers(p.server, &ret, i + 1, xfers, 2);
        struct capos_cqe cqe = user_do(p.server, &ret);
        CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
        cqe = client_gets(p.client, stingy.user_data);
        CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
        CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
        CHECK_EQ(cqe.needed, 8 + 2 * 16);
        CHECK_EQ(user_look(p.server, gift, &held), ST_OK);
        CHECK_EQ(user_look(p.server, copy, &held), ST_OK);
        CHECK_SLOTS(p.client, used);
        CHECK_SLOTS(p.server, servers);
    }
    fixture_end();
}

TEST(answer_too_large, "an answer above the endpoint's limit is refused TOO_LARGE, exception or "
                       "not; the call stays in "
                       "flight and can be answered")
{
    struct pair p = pair_start(2);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    sqe_result(p.client, &sqe, 2048, 2);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    static const uint8_t big[PAIR_MESSAGE_BYTES + 8];
    struct capos_sqe ret =
        sqe_return(p.server, header.call_id, user_message(p.server, big, sizeof(big)), sizeof(big));
    CHECK_EQ(user_do(p.server, &ret).result, ST_TOO_LARGE);
    ret.method = CAPOS_EXC_FAILED;
    CHECK_EQ(user_do(p.server, &ret).result, ST_TOO_LARGE);
    CHECK_EQ(completions(p.client), 0);
    CHECK_EQ(answer(p.server, header.call_id, big, PAIR_MESSAGE_BYTES), ST_OK);
    CHECK_EQ(client_gets(p.client, sqe.user_data).result, PAIR_MESSAGE_BYTES);
    fixture_end();
}

TEST(answer_too_long_receives_not,
     "RETURN_RECV with an answer that does not fit tells so and arms no receive")
{
    struct pair p = pair_start(2);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    struct capos_sqe later = call(p.client, p.object, 2, NULL, 0);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    uint64_t used = slots_used(p.server);
    struct capos_sqe both = return_recv(&p, header.call_id, zeroes, 264);
    CHECK_EQ(user_do(p.server, &both).result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(client_gets(p.client, sqe.user_data).result, ST_RESULT_TOO_SMALL);
    CHECK_SLOTS(p.server, used);
    user_start(p.client, &later);
    CHECK_EQ(completions(p.server), 0);
    user_start(p.server, &both); /* GONE by now: it receives */
    CHECK_EQ(client_gets(p.server, both.user_data).result, HEADER);
    fixture_end();
}

TEST(answer_given_receive_refused,
     "RETURN_RECV whose receive is refused has answered all the same, and says what is needed")
{
    struct pair p = pair_start(2);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    struct capos_sqe both = return_recv(&p, header.call_id, zeroes, 8);
    both.result_len -= 8;
    struct capos_cqe cqe = user_do(p.server, &both);
    CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
    CHECK_EQ(cqe.needed, ROOM);
    CHECK_EQ(client_gets(p.client, sqe.user_data).result, 8);
    fixture_end();
}

/* ---- INLINE receives ---- */

static uint64_t payload(struct user *user, uint64_t offset)
{
    return user->thread->ring->user_address + user_ring(user)->payload_offset + offset;
}

static struct capos_sqe inline_recv(struct pair *p, uint64_t slot)
{
    struct capos_sqe recv = recv_of(p);
    recv.flags = CAPOS_SQE_INLINE;
    recv.params = slot;
    return recv;
}

/* What the receive got, in its slot or in its buffer. */
static struct capos_received got(struct user *user, const struct capos_sqe *recv, bool in_slot)
{
    struct capos_received header;
    user_read(user, in_slot ? payload(user, recv->params / SLOT * SLOT) : recv->result, &header,
              sizeof(header));
    return header;
}

TEST(inline_slot_or_buffer,
     "an INLINE receive gets what fits the payload slot there, told by a flag, and the rest in its "
     "buffer; the other place stays as it was")
{
    static const struct {
        uint32_t bytes;
        unsigned caps;
        bool in_slot;
    } rows[] = {{0, 0, true},   {8, 0, true},    {192, 0, true},  {200, 0, false},
                {160, 2, true}, {168, 2, false}, {1024, 4, false}};
    uint8_t message[PAIR_MESSAGE_BYTES], untouched[SLOT];
    memset(message, 0x5a, sizeof(message));
    memset(untouched, 0xee, sizeof(untouched));
    struct pair p = pair_start(2);
    uint64_t number = 1;
    uint64_t heap = p.client->heap_next, servers_heap = p.server->heap_next;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        p.client->heap_next = heap;
        p.server->heap_next = servers_heap;
        struct capos_transfer xfers[PAIR_CAPS];
        for (unsigned c = 0; c < rows[i].caps; c++) {
            xfers[c] = xfer(user_notification(p.client), CAPOS_XFER_MOVE);
        }
        struct capos_sqe sqe = call(p.client, p.object, (uint16_t)(i % 8), message, rows[i].bytes);
        if (rows[i].caps != 0) {
            sqe_transfers(p.client, &sqe, number++, xfers, (uint8_t)rows[i].caps);
        }
        struct capos_sqe recv = inline_recv(&p, 2 * SLOT + 40); /* any place of the slot */
        user_write(p.server, payload(p.server, 2 * SLOT), untouched, SLOT);
        user_write(p.server, recv.result, untouched, SLOT);
        /* The receive comes first and second in turn. */
        user_start(i % 2 == 0 ? p.server : p.client, i % 2 == 0 ? &recv : &sqe);
        user_start(i % 2 == 0 ? p.client : p.server, i % 2 == 0 ? &sqe : &recv);
        struct capos_cqe cqe = client_gets(p.server, recv.user_data);
        CHECK_EQ(cqe.result, HEADER + rows[i].bytes + 16 * rows[i].caps);
        CHECK_EQ(cqe.flags, (rows[i].in_slot ? CAPOS_CQE_INLINE : 0) |
                                (rows[i].caps != 0 ? CAPOS_CQE_CAPS : 0));
        struct capos_received header = got(p.server, &recv, rows[i].in_slot);
        CHECK_EQ(header.method, i % 8);
        CHECK_EQ(header.params_len, rows[i].bytes);
        CHECK_EQ(header.cap_count, rows[i].caps);
        uint64_t at = (rows[i].in_slot ? payload(p.server, 2 * SLOT) : recv.result) + HEADER;
        CHECK_MEM_EQ(user_ptr(p.server, at), message, rows[i].bytes);
        for (unsigned c = 0; c < rows[i].caps; c++) {
            struct capability held;
            capos_cap_t cap = record_cap(p.server, at + rows[i].bytes + 16 * c);
            CHECK_EQ(user_look(p.server, cap, &held), ST_OK);
        }
        uint64_t other = rows[i].in_slot ? recv.result : payload(p.server, 2 * SLOT);
        CHECK_MEM_EQ(user_ptr(p.server, other), untouched, SLOT);
        CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
        CHECK_EQ(client_gets(p.client, sqe.user_data).result, 0);
    }
    fixture_end();
}

TEST(
    inline_without_buffer,
    "an INLINE receive needs no buffer where all that the endpoint lets through fits the slot, and "
    "is refused without one where it does not")
{
    struct pair p = pair_start_limits(2, SLOT - HEADER - 2 * 16, 2);
    capos_cap_t larger = user_endpoint(p.server, SLOT - HEADER - 2 * 16 + 8, 2);
    uint64_t used = slots_used(p.server);
    struct capos_sqe recv = sqe_cap(p.server, CAPOS_OP_RECV, larger);
    recv.flags = CAPOS_SQE_INLINE;
    recv.params = SLOT;
    recv.accept_count = 2;
    struct capos_cqe cqe = user_do(p.server, &recv);
    CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
    CHECK_EQ(cqe.needed, SLOT + 8);
    recv.cap = p.endpoint;
    recv.accept_count = 1;
    cqe = user_do(p.server, &recv);
    CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(cqe.needed, SLOT);
    CHECK_SLOTS(p.server, used);
    recv.accept_count = 2;
    user_start(p.server, &recv);
    struct capos_transfer xfers[2] = {xfer(user_notification(p.client), CAPOS_XFER_MOVE),
                                      xfer(user_notification(p.client), CAPOS_XFER_MOVE)};
    struct capos_sqe sqe = call(p.client, p.object, 5, zeroes, SLOT - HEADER - 2 * 16);
    sqe_transfers(p.client, &sqe, 1, xfers, 2);
    user_start(p.client, &sqe);
    cqe = client_gets(p.server, recv.user_data);
    CHECK_EQ(cqe.result, SLOT);
    CHECK_EQ(cqe.flags, CAPOS_CQE_INLINE | CAPOS_CQE_CAPS);
    CHECK_EQ(got(p.server, &recv, true).method, 5);
    fixture_end();
}

TEST(inline_receive_refusals,
     "a receive is refused with a slot outside the area or a buffer that wraps; one without INLINE "
     "names no parameters; none is armed")
{
    struct pair p = pair_start(2);
    uint64_t used = slots_used(p.server);
    static const uint64_t bad[] = {2 * USER_RING * SLOT, UINT64_MAX, UINT64_C(1) << 63,
                                   UINT64_C(1) << 32, 0 - (uint64_t)SLOT};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct capos_sqe recv = inline_recv(&p, bad[i]);
        CHECK_EQ(user_do(p.server, &recv).result, ST_BAD_ADDRESS);
        recv.flags = 0;
        CHECK_EQ(user_do(p.server, &recv).result, ST_UNSUPPORTED);
    }
    struct capos_sqe recv = inline_recv(&p, 0);
    recv.result = UINT64_MAX - 7;
    CHECK_EQ(user_do(p.server, &recv).result, ST_BAD_ADDRESS);
    recv = inline_recv(&p, 8);
    recv.flags = 0;
    CHECK_EQ(user_do(p.server, &recv).result, ST_UNSUPPORTED);
    CHECK_SLOTS(p.server, used);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    fixture_settle();
    CHECK_EQ(completions(p.server), 0);
    fixture_end();
}

TEST(
    inline_bad_buffer,
    "an INLINE receive whose buffer cannot be written takes small calls, and ends BAD_ADDRESS with "
    "the first that needs it, which waits on")
{
    struct pair p = pair_start(2);
    struct capos_sqe recv = inline_recv(&p, SLOT);
    recv.result = p.server->thread->ring->user_address + UINT64_C(0x100000);
    struct capos_sqe small = call(p.client, p.object, 1, NULL, 0);
    struct capos_sqe large = call(p.client, p.object, 2, zeroes, 512);
    user_start(p.server, &recv);
    user_start(p.client, &small);
    CHECK_EQ(client_gets(p.server, recv.user_data).flags, CAPOS_CQE_INLINE);
    user_start(p.server, &recv);
    user_start(p.client, &large);
    CHECK_EQ(client_gets(p.server, recv.user_data).result, ST_BAD_ADDRESS);
    CHECK_EQ(completions(p.client), 0);
    CHECK_EQ(receive(p.server, p.endpoint, NULL).method, 2);
    fixture_end();
}

TEST(inline_return_receive, "RETURN_RECV with INLINE answers out of a payload slot and receives "
                            "into the same slot, or into "
                            "its buffer")
{
    struct pair p = pair_start(2);
    struct capos_sqe first = call(p.client, p.object, 1, "question", 8);
    struct capos_sqe second = call(p.client, p.object, 2, "12345678", 8);
    struct capos_sqe third = call(p.client, p.object, 3, zeroes, 512);
    struct capos_sqe recv = inline_recv(&p, 3 * SLOT);
    user_start(p.server, &recv);
    user_start(p.client, &first);
    CHECK_EQ(client_gets(p.server, recv.user_data).flags, CAPOS_CQE_INLINE);
    uint64_t call_id = got(p.server, &recv, true).call_id;

    /* The answer is what was asked, where it lies. */
    struct capos_sqe both = recv;
    both.op = CAPOS_OP_RETURN_RECV;
    both.params = 3 * SLOT + HEADER;
    both.params_len = 8;
    both.interface = call_id;
    user_start(p.client, &second);
    struct capos_cqe cqe = user_do(p.server, &both);
    CHECK_EQ(cqe.result, HEADER + 8);
    CHECK_EQ(cqe.flags, CAPOS_CQE_INLINE);
    CHECK_EQ(client_gets(p.client, first.user_data).result, 8);
    CHECK_MEM_EQ(user_ptr(p.client, first.result), "question", 8);
    CHECK_EQ(got(p.server, &both, true).method, 2);
    CHECK_MEM_EQ(user_ptr(p.server, payload(p.server, 3 * SLOT + HEADER)), "12345678", 8);

    both.interface = got(p.server, &both, true).call_id;
    user_start(p.client, &third);
    cqe = user_do(p.server, &both);
    CHECK_EQ(cqe.result, HEADER + 512);
    CHECK_EQ(cqe.flags, 0);
    CHECK_EQ(client_gets(p.client, second.user_data).result, 8);
    CHECK_MEM_EQ(user_ptr(p.client, second.result), "12345678", 8);
    CHECK_EQ(got(p.server, &both, false).method, 3);

    both.interface = got(p.server, &both, false).call_id;
    both.params = 4 * SLOT - 8; /* no room for 16 bytes */
    both.params_len = 16;
    CHECK_EQ(user_do(p.server, &both).result, ST_BAD_ADDRESS);
    CHECK_EQ(completions(p.client), 0);
    both.params_len = 8;
    user_start(p.server, &both);
    CHECK_EQ(client_gets(p.client, third.user_data).result, 8);
    fixture_end();
}
