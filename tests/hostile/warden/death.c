/* SPDX-License-Identifier: MIT */
/*
 * Death at each step of a call, of the one who calls and of the one who serves; by its own exit, by a
 * fault and by the warden's hand. Role a serves or calls; b is the other side; c is a's successor.
 */
#include "capos/start.h"
#include "case.h"
#include "endpoint.capnp.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"
#include "time.capnp.h"

enum {
    MESSAGE_WORDS = 32,
    RECEIVED_WORDS = 8 + CASE_MESSAGE_BYTES / 8 + 2 * CASE_MAX_CAPS,
};

/* The roles' own bits of the note. */
#define SERVER_READY UINT64_C(1)
#define CLIENT_CALLED UINT64_C(2)
#define GO_ON UINT64_C(4)

static uint64_t received[RECEIVED_WORDS], message[MESSAGE_WORDS], result[64];

static void say(uint64_t bit)
{
    CHECK_EQ(signal_bits(held("note"), bit), ST_OK);
}

static void hear(uint64_t bit)
{
    CHECK_EQ(wait_bits(held("note"), bit), CAPOS_EVENT_SIGNALLED);
}

static struct capos_sqe calling(void)
{
    return raw_call_sqe(held("object"), HOSTILE_INTERFACE, 0, message, sizeof(message), result,
                        sizeof(result));
}

static struct capos_sqe receiving(void)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_RECV, held("serve"));
    sqe.result = (uintptr_t)received;
    sqe.result_len = sizeof(received);
    sqe.accept_count = CASE_MAX_CAPS;
    return sqe;
}

static struct capos_sqe answering(uint64_t call_id)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_RETURN, 0);
    sqe.interface = call_id;
    sqe.params = (uintptr_t)message;
    sqe.params_len = sizeof(message);
    return sqe;
}

static struct {
    uint64_t message[MESSAGE_WORDS];
    uint64_t number;
    struct capos_transfer transfers[4];
} carried;

/* A call that carries `count` new notifications. */
static struct capos_sqe carrying(unsigned count, unsigned mode)
{
    struct capos_sqe sqe = calling();
    carried.number = raw.sequence++;
    for (unsigned i = 0; i < count; i++) {
        capos_cap_t note;
        CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
        carried.transfers[i] = (struct capos_transfer){.cap = note, .mode = (uint16_t)mode};
    }
    sqe.params = (uintptr_t)&carried;
    sqe.xfer_count = (uint8_t)count;
    return sqe;
}

static void wait_for_the_end(void)
{
    (void)raw_enter(UINT32_MAX, CAPOS_FOREVER);
    CHECK(false);
}

static void fall(void)
{
    raw.broken = true;
    __asm__ volatile("movq $1, 8");
}

/* ---- the client dies ---- */

/* What serves the cases below: hears of the client, receives, answers into the void, and can go on. */
static int64_t client_died_queued(void)
{
    (void)raw_start(calling());
    say(CLIENT_CALLED);
    return 0;
}

static int64_t server_after_queued(void)
{
    hear(CLIENT_CALLED);
    sleep_ms(20);
    struct capos_sqe receive = receiving();
    receive.deadline_ns = now_ns() + 20000000;
    CHECK_EQ(raw_do(receive).result, ST_TIMED_OUT); /* the call went with its caller */
    return 0;
}

static int64_t client_dies_in_flight(void)
{
    (void)raw_start(calling());
    say(CLIENT_CALLED);
    hear(GO_ON);
    return 0;
}

static int64_t client_falls_in_flight(void)
{
    (void)raw_start(calling());
    say(CLIENT_CALLED);
    hear(GO_ON);
    fall();
    return 0;
}

static int64_t client_is_ended_in_flight(void)
{
    (void)raw_start(calling());
    say(CLIENT_CALLED);
    wait_for_the_end();
    return 0;
}

static int64_t server_answers_the_dead(void)
{
    hear(CLIENT_CALLED);
    CHECK_EQ(raw_do(receiving()).result, 64 + sizeof(message));
    say(GO_ON);
    sleep_ms(30);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_GONE);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_GONE);
    CHECK_WORKS();
    return 0;
}

static int64_t server_ends_the_client(void)
{
    hear(CLIENT_CALLED);
    CHECK_EQ(raw_do(receiving()).result, 64 + sizeof(message));
    say(NOTE_END_A);
    sleep_ms(50);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_GONE);
    return 0;
}

/* Transfers queued die with the caller; those received are the receiver's. */
static int64_t client_dies_with_transfers(void)
{
    (void)raw_start(carrying(3, CAPOS_XFER_MOVE));
    (void)raw_start(carrying(3, CAPOS_XFER_COPY));
    say(CLIENT_CALLED);
    hear(GO_ON);
    return 0;
}

static int64_t server_keeps_transfers(void)
{
    hear(CLIENT_CALLED);
    struct capos_cqe cqe = raw_do(receiving());
    CHECK_EQ(cqe.cap_count, 3);
    struct capos_cap_record *records =
        (struct capos_cap_record *)(void *)&received[8 + MESSAGE_WORDS];
    say(GO_ON);
    sleep_ms(30);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(signal_bits(records[i].cap, 1), ST_OK); /* lives on, though its maker is dead */
    }
    CHECK_EQ(raw_do(answering(received[0])).result, ST_GONE);
    return 0;
}

/* A storm of calls of every state, left behind. */
static int64_t client_dies_with_many(void)
{
    for (unsigned i = 0; i < raw.sq_entries; i++) {
        (void)raw_start(i % 5 == 4 ? carrying(2, i % 2) : calling());
    }
    say(CLIENT_CALLED);
    hear(GO_ON);
    return 0;
}

static int64_t server_of_many(void)
{
    uint64_t ids[10];
    hear(CLIENT_CALLED);
    for (unsigned i = 0; i < 10; i++) {
        CHECK(raw_do(receiving()).result > 0);
        ids[i] = received[0];
    }
    say(GO_ON);
    sleep_ms(30);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(raw_do(answering(ids[i])).result, ST_GONE);
    }
    struct capos_sqe receive = receiving();
    receive.deadline_ns = now_ns() + 10000000;
    CHECK_EQ(raw_do(receive).result, ST_TIMED_OUT);
    return 0;
}

/* ---- the server dies ---- */

static int64_t server_never_receives(void)
{
    hear(CLIENT_CALLED);
    return 0;
}

/* The call stays queued while the endpoint lives, and ends with it. */
static int64_t client_of_nobody(void)
{
    uint64_t called = raw_start(calling());
    say(CLIENT_CALLED);
    sleep_ms(50);
    struct capos_cqe cqe;
    CHECK(!raw_poll(called, &cqe));
    say(NOTE_DESTROY);
    CHECK_EQ(raw_wait(called).result, ST_DISCONNECTED);
    CHECK_EQ(raw_do(calling()).result, ST_DISCONNECTED);
    return 0;
}

static int64_t server_dies_holding(void)
{
    CHECK(raw_do(receiving()).result > 0);
    return 0;
}

static int64_t server_falls_holding(void)
{
    CHECK(raw_do(receiving()).result > 0);
    fall();
    return 0;
}

static int64_t server_is_ended_holding(void)
{
    CHECK(raw_do(receiving()).result > 0);
    say(NOTE_END_A);
    wait_for_the_end();
    return 0;
}

static int64_t client_is_disconnected(void)
{
    CHECK_EQ(raw_do(calling()).result, ST_DISCONNECTED);
    CHECK_WORKS();
    return 0;
}

/* What was moved into a call is gone with the server that had received it; what was copied is not. */
static int64_t client_loses_moves(void)
{
    struct capos_sqe call = carrying(2, CAPOS_XFER_MOVE);
    capos_cap_t moved = carried.transfers[0].cap;
    CHECK_EQ(raw_do(call).result, ST_DISCONNECTED);
    CHECK_EQ(signal_bits(moved, 1), ST_BAD_CAP);
    return 0;
}

static int64_t client_keeps_copies(void)
{
    struct capos_sqe call = carrying(2, CAPOS_XFER_COPY);
    capos_cap_t copied = carried.transfers[0].cap;
    CHECK_EQ(raw_do(call).result, ST_DISCONNECTED);
    CHECK_EQ(signal_bits(copied, 1), ST_OK);
    CHECK_EQ(release(copied), ST_OK);
    return 0;
}

static int64_t server_dies_armed(void)
{
    for (unsigned i = 0; i < 20; i++) {
        (void)raw_start(receiving());
    }
    say(SERVER_READY);
    return 0;
}

/* The receives that died take no call with them. */
static int64_t client_of_successor(void)
{
    hear(SERVER_READY);
    sleep_ms(30);
    CHECK_EQ(raw_do(calling()).result, sizeof(message));
    return 0;
}

static int64_t serve_one(void)
{
    CHECK(raw_do(receiving()).result > 0);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_OK);
    return 0;
}

/* Two calls: the one the server had received is lost, the one still queued is the successor's. */
static int64_t client_of_two(void)
{
    uint64_t lost = raw_start(calling());
    uint64_t kept = raw_start(calling());
    CHECK_EQ(raw_wait(lost).result, ST_DISCONNECTED);
    CHECK_EQ(raw_wait(kept).result, sizeof(message));
    return 0;
}

/* Answers with capabilities of its own making, and is gone before the client looks. */
static int64_t server_answers_and_dies(void)
{
    capos_cap_t note;
    CHECK(raw_do(receiving()).result > 0);
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    carried.number = raw.sequence++;
    carried.transfers[0] = (struct capos_transfer){.cap = note, .mode = CAPOS_XFER_MOVE};
    struct capos_sqe answer = answering(received[0]);
    answer.params = (uintptr_t)&carried;
    answer.xfer_count = 1;
    (void)raw_start(answer);
    return 0;
}

static int64_t client_keeps_answer(void)
{
    struct capos_cqe cqe = raw_do(calling());
    CHECK_EQ(cqe.result, sizeof(message));
    CHECK_EQ(cqe.cap_count, 1);
    sleep_ms(30);
    CHECK_EQ(signal_bits(cqe.first_cap, 5), ST_OK);
    CHECK_EQ(wait_bits(cqe.first_cap, 1), CAPOS_EVENT_SIGNALLED);
    CHECK_EQ(release(cqe.first_cap), ST_OK);
    return 0;
}

/* Objects minted through a serve capability die with the instance that minted them. */
static int64_t server_mints_and_dies(void)
{
    capos_cap_t object;
    CHECK_EQ(mint(held("serve"), 1234, 1, 0, &object), ST_OK);
    CHECK(raw_do(receiving()).result > 0);
    carried.number = raw.sequence++;
    carried.transfers[0] = (struct capos_transfer){.cap = object, .mode = CAPOS_XFER_MOVE};
    struct capos_sqe answer = answering(received[0]);
    answer.params = (uintptr_t)&carried;
    answer.xfer_count = 1;
    CHECK_EQ(raw_do(answer).result, ST_OK);
    hear(GO_ON);
    return 0;
}

static int64_t client_of_minted(void)
{
    struct capos_cqe cqe = raw_do(calling());
    CHECK_EQ(cqe.cap_count, 1);
    struct capos_sqe call = calling();
    call.cap = cqe.first_cap;
    say(GO_ON);
    CHECK_EQ(raw_do(call).result, ST_DISCONNECTED); /* at once, or when its maker is gone */
    CHECK_EQ(raw_do(call).result, ST_DISCONNECTED);
    return 0;
}

static int64_t server_drops_serve(void)
{
    capos_cap_t serve = held("serve");
    CHECK(raw_do(receiving()).result > 0);
    uint64_t armed = raw_start(receiving());
    CHECK_EQ(release(serve), ST_OK);
    CHECK_EQ(raw_do(receiving()).result, ST_BAD_CAP);
    (void)armed;
    CHECK_EQ(raw_do(answering(received[0])).result, ST_OK); /* what it has received it may answer */
    return 0;
}

static int64_t client_is_answered(void)
{
    CHECK_EQ(raw_do(calling()).result, sizeof(message));
    return 0;
}

/* A call id that belongs to another process's call. */
static int64_t server_tells_its_id(void)
{
    CHECK(raw_do(receiving()).result > 0);
    memcpy(message, received, 8);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_OK); /* the id, in the clear */
    CHECK(raw_do(receiving()).result > 0);
    hear(GO_ON);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_OK);
    return 0;
}

static int64_t client_answers_itself(void)
{
    CHECK_EQ(raw_do(calling()).result, sizeof(message));
    uint64_t id = result[0];
    uint64_t called = raw_start(calling());
    for (unsigned i = 0; i < 200; i++) {
        CHECK_EQ(raw_do(answering(id + ((uint64_t)i << 33))).result, ST_GONE);
        CHECK_EQ(raw_do(answering(id + i)).result, ST_GONE);
    }
    struct capos_cqe cqe;
    CHECK(!raw_poll(called, &cqe));
    say(GO_ON);
    CHECK_EQ(raw_wait(called).result, sizeof(message));
    return 0;
}

static int64_t both_die(void)
{
    for (unsigned i = 0; i < 30; i++) {
        (void)raw_start(i % 2 ? receiving() : carrying(1, CAPOS_XFER_MOVE));
    }
    return 0;
}

static int64_t both_fall(void)
{
    (void)both_die();
    fall();
    return 0;
}

static int64_t ended_in_everything(void)
{
    (void)both_die();
    (void)raw_start(CALL(held("timer"), Timer, sleep, MESSAGE(UINT64_MAX / 2), 16, result, 64));
    say(NOTE_END_A | NOTE_END_B);
    struct capos_cqe cqe;
    for (uint64_t i = 0; i < UINT64_MAX; i++) {
        (void)raw_start(raw_sqe(CAPOS_OP_NOP, 0));
        while (raw_reap(&cqe)) {
        }
    }
    return 99;
}

/* ---- the table ---- */

#define SERVER (HOLD_USUAL | HOLD_SERVE | HOLD_NOTE)
#define CLIENT (HOLD_USUAL | HOLD_OBJECT | HOLD_NOTE)
#define BOTH (SERVER | CLIENT)
#define FALLS \
    { \
        .kind = END_FAULT, .faults = 1u << FAULT_RECORD_KIND_PAGE_FAULT, .address = 8 \
    }
#define IS_ENDED \
    { \
        .kind = END_TERMINATED \
    }
#define PAIR(name_, a_, a_holds, b_, b_holds, sentence_, ...) \
    { \
        .name = name_, .sentence = sentence_, .roles = { \
            {a_, a_holds, __VA_ARGS__}, \
            {b_, b_holds, {0}} \
        } \
    }
#define TRIPLE(name_, a_, b_, c_, sentence_, ...) \
    { \
        .name = name_, .sentence = sentence_, .roles = { \
            {a_, SERVER, __VA_ARGS__}, \
            {b_, CLIENT, {0}}, \
            {c_, SERVER, {0}} \
        } \
    }

const struct hostile_case death_cases[] = {
    PAIR("death.client-queued", client_died_queued, CLIENT, server_after_queued, SERVER,
         "a queued call goes with its caller", {0}),
    PAIR("death.client-flight", client_dies_in_flight, CLIENT, server_answers_the_dead, SERVER,
         "an answer to a dead caller is GONE", {0}),
    PAIR("death.client-fault", client_falls_in_flight, CLIENT, server_answers_the_dead, SERVER,
         "an answer to a caller that fell is GONE", FALLS),
    PAIR("death.client-ended", client_is_ended_in_flight, CLIENT, server_ends_the_client, SERVER,
         "an answer to a caller that was ended is GONE", IS_ENDED),
    PAIR("death.client-transfers", client_dies_with_transfers, CLIENT, server_keeps_transfers,
         SERVER, "transfers that arrived are the receiver's, the others die with the sender", {0}),
    PAIR("death.client-many", client_dies_with_many, CLIENT, server_of_many, SERVER,
         "dozens of calls in every state go with their caller", {0}),
    PAIR("death.server-absent", server_never_receives, SERVER, client_of_nobody, CLIENT,
         "a call stays queued until its endpoint ends", {0}),
    PAIR("death.server-holding", server_dies_holding, SERVER, client_is_disconnected, CLIENT,
         "a received call ends with its server", {0}),
    PAIR("death.server-fault", server_falls_holding, SERVER, client_is_disconnected, CLIENT,
         "a received call ends when its server falls", FALLS),
    PAIR("death.server-ended", server_is_ended_holding, SERVER, client_is_disconnected, CLIENT,
         "a received call ends when its server is ended", IS_ENDED),
    PAIR("death.server-moves", server_dies_holding, SERVER, client_loses_moves, CLIENT,
         "what was moved to a server dies with it", {0}),
    PAIR("death.server-copies", server_falls_holding, SERVER, client_keeps_copies, CLIENT,
         "what was copied to a server stays", FALLS),
    TRIPLE("death.server-armed", server_dies_armed, client_of_successor, serve_one,
           "receives of a dead server take no call; its successor does", {0}),
    TRIPLE("death.server-queued", server_dies_holding, client_of_two, serve_one,
           "calls still queued are the successor's", {0}),
    PAIR("death.server-answered", server_answers_and_dies, SERVER, client_keeps_answer, CLIENT,
         "an answer given before death stays given", {0}),
    PAIR("death.server-minted", server_mints_and_dies, SERVER, client_of_minted, CLIENT,
         "objects minted by an instance die with it", {0}),
    PAIR("death.serve-released", server_drops_serve, SERVER, client_is_answered, CLIENT,
         "a server that gives up serving may answer what it has", {0}),
    PAIR("death.foreign-id", server_tells_its_id, SERVER, client_answers_itself, CLIENT,
         "nobody answers a call that another process received", {0}),
    PAIR("death.both", both_die, BOTH, both_die, BOTH, "two that call each other may die at once",
         {0}),
    {.name = "death.both-fault",
     .sentence = "two that call each other may fall at once",
     .roles = {{both_fall, BOTH, FALLS}, {both_fall, BOTH, FALLS}}},
    {.name = "death.both-ended",
     .sentence = "two that call each other may be ended while they run",
     .roles = {{ended_in_everything, BOTH, IS_ENDED}, {ended_in_everything, BOTH, IS_ENDED}}},
    {.name = NULL},
};
