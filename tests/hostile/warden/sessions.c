/* SPDX-License-Identifier: MIT */
/* What may not cross a session's border, tried; a session closed under its processes' hands. */
#include "annotations.capnp.h"
#include "capos/start.h"
#include "case.h"
#include "endpoint.capnp.h"
#include "lib/base/string.h"
#include "session.capnp.h"

enum { ROUNDS = 50 };

static uint64_t result[64];

static struct {
    uint64_t number;
    struct capos_transfer transfer;
} area;

static struct capos_cqe give(capos_cap_t object, capos_cap_t gift, unsigned mode)
{
    struct capos_sqe sqe =
        raw_call_sqe(object, HOSTILE_INTERFACE, 0, &area, 0, result, sizeof(result));
    area.number = raw.sequence++;
    area.transfer = (struct capos_transfer){.cap = gift, .mode = (uint16_t)mode};
    sqe.xfer_count = 1;
    sqe.accept_count = 1;
    return raw_do(sqe);
}

static status_t mint_scoped(capos_cap_t endpoint, unsigned scope, capos_cap_t *out)
{
    struct capos_cqe cqe =
        raw_do(CALL(endpoint, Endpoint, mint,
                    MESSAGE(7, HOSTILE_INTERFACE, 1, (uint64_t)scope << 16), 40, result, 64));
    *out = cqe.result >= 0 ? cqe.first_cap : 0;
    return cqe.result >= 0 ? ST_OK : cqe.result;
}

/* Copies and moves of what is to stay, to a service of another session, over and over. */
static int64_t smuggle(void)
{
    capos_cap_t endpoint, object, note;
    CHECK_EQ(new_endpoint(held("ledger"), 64, 0, &endpoint), ST_OK);
    CHECK_EQ(mint_scoped(endpoint, SESSION_SCOPE_COUNT, &object), ST_BAD_ARGUMENT);
    CHECK_EQ(mint_scoped(endpoint, SESSION_SCOPE_SAME_SESSION, &object), ST_OK);
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_EQ(give(held("object"), endpoint, i % 2).result, ST_NOT_TRANSFERABLE);
        CHECK_EQ(give(held("object"), object, i % 2).result, ST_NOT_TRANSFERABLE);
    }
    CHECK_USAGE(&before);
    CHECK_EQ(release(object), ST_OK);
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    CHECK(give(held("object"), note, CAPOS_XFER_MOVE).result >= 0);
    CHECK_EQ(release(note), ST_BAD_CAP);
    return 0;
}

/* The other side: answers with what may not cross, first. */
static int64_t smuggle_back(void)
{
    static uint64_t received[(64 + CASE_MESSAGE_BYTES + 16 * CASE_MAX_CAPS) / 8];
    capos_cap_t endpoint, object;
    CHECK_EQ(new_endpoint(held("ledger"), 64, 0, &endpoint), ST_OK);
    CHECK_EQ(mint_scoped(endpoint, SESSION_SCOPE_SAME_SESSION, &object), ST_OK);
    struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, held("serve"));
    recv.result = (uintptr_t)received;
    recv.result_len = sizeof(received);
    recv.accept_count = CASE_MAX_CAPS;
    struct capos_cqe cqe = raw_do(recv);
    CHECK_EQ(cqe.cap_count, 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct capos_sqe answer = raw_sqe(CAPOS_OP_RETURN, 0);
        answer.interface = received[0];
        answer.params = (uintptr_t)&area;
        answer.xfer_count = 1;
        area.number = raw.sequence++;
        area.transfer = (struct capos_transfer){.cap = object, .mode = (uint16_t)(i % 2)};
        CHECK_EQ(raw_do(answer).result, ST_NOT_TRANSFERABLE);
    }
    struct capos_sqe answer = raw_sqe(CAPOS_OP_RETURN, 0);
    answer.interface = received[0];
    CHECK_EQ(raw_do(answer).result, ST_OK);
    return 0;
}

/* One's own session, told of and no more. */
static int64_t own_session(void)
{
    capos_cap_t note, session = held("session");
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    for (unsigned method = 0; method < 64; method++) {
        if ((SessionInfo_FACET >> method & 1) == 0) {
            CHECK_EQ(raw_do(raw_call_sqe(session, Session_ID, (uint16_t)method, MESSAGE(1), 16,
                                         result, sizeof(result)))
                         .result,
                     ST_NO_METHOD);
        }
    }
    const struct {
        capos_cap_t beside;
        status_t want;
    } rows[] = {{note, ST_WRONG_INTERFACE}, {session, ST_WRONG_INTERFACE}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct {
            uint64_t message[2];
            uint64_t number;
            struct capos_transfer transfer;
        } params = {{ROOT(1), 0}, raw.sequence++, {.cap = rows[i].beside}};
        struct capos_sqe sqe = raw_call_sqe(session, Session_ID, Session_reference_ORDINAL, &params,
                                            sizeof(params.message), result, sizeof(result));
        sqe.xfer_count = 1;
        CHECK_EQ(raw_do(sqe).result, rows[i].want);
    }
    CHECK_EQ(raw_do(raw_call_sqe(session, Session_ID, Session_reference_ORDINAL, MESSAGE(0), 16,
                                 result, sizeof(result)))
                 .result,
             ST_BAD_ARGUMENT);
    return 0;
}

/* Calls, waits, mints and carves without end, until the session is closed. */
static int64_t busy_to_the_end(void)
{
    CHECK_EQ(signal_bits(held("note"), NOTE_CLOSE), ST_OK);
    for (unsigned i = 0;; i++) {
        capos_cap_t cap;
        (void)raw_start(raw_call_sqe(held("echo"), HOSTILE_INTERFACE, 0, result, 64, result, 64));
        CHECK_EQ(new_endpoint(held("ledger"), 64, 0, &cap), ST_OK);
        CHECK_EQ(release(cap), ST_OK);
        struct capos_cqe cqe;
        CHECK(raw_enter(i % 4 == 0 ? 1 : 0, CAPOS_FOREVER) >= 0);
        while (raw_reap(&cqe)) {
        }
    }
}

static int64_t idle_to_the_end(void)
{
    CHECK(raw_enter(1, CAPOS_FOREVER) > 0);
    return 0;
}

#define TERMINATED \
    { \
        .kind = END_TERMINATED \
    }

const struct hostile_case session_cases[] = {
    {.name = "session.scope",
     .sentence = "what is of one session stays in it, called out or answered out",
     .roles = {{.run = smuggle_back, .holds = HOLD_USUAL | HOLD_SERVE | HOLD_SESSION},
               {.run = smuggle, .holds = HOLD_USUAL | HOLD_OBJECT | HOLD_SESSION}}},
    {.name = "session.own",
     .sentence = "one's own session tells of itself and obeys its maker only",
     .roles = {{.run = own_session, .holds = HOLD_USUAL | HOLD_SESSION}}},
    {.name = "session.closed",
     .sentence = "a closed session ends its processes, whatever they are at",
     .roles = {{busy_to_the_end, HOLD_USUAL | HOLD_ECHO | HOLD_NOTE | HOLD_SESSION, TERMINATED}}},
    {.name = "session.idle",
     .sentence = "a closed session ends those, too, that wait",
     .roles = {{idle_to_the_end, HOLD_USUAL | HOLD_SESSION, TERMINATED},
               {busy_to_the_end, HOLD_USUAL | HOLD_ECHO | HOLD_NOTE | HOLD_SESSION, TERMINATED}}},
    {.name = NULL},
};
