/* SPDX-License-Identifier: MIT */
/* Capabilities that travel with calls and answers, and the number that lets no transfer happen twice. */
#include "tests/unit/kernel_pair.h"

#include "abi/layout.h"

TEST(ipc_transfer_copy_move,
     "a copy leaves the sender its capability, a move takes it; both arrive and "
     "work")
{
    struct pair p = pair_start(2);
    struct capability held;
    capos_cap_t kept = user_notification(p.client), moved = user_notification(p.client);
    struct capos_transfer xfers[2] = {xfer(kept, CAPOS_XFER_COPY), xfer(moved, CAPOS_XFER_MOVE)};
    struct capos_sqe sqe = call(p.client, p.object, 1, "abcdefgh", 8);
    sqe_transfers(p.client, &sqe, 1, xfers, 2);
    user_start(p.client, &sqe);
    CHECK_EQ(user_look(p.client, kept, &held), ST_OK);
    CHECK_EQ(user_look(p.client, moved, &held), ST_BAD_CAP);
    uint64_t message;
    struct capos_received header = receive(p.server, p.endpoint, &message);
    CHECK_EQ(header.cap_count, 2);
    capos_cap_t first = record_cap(p.server, message + 8);
    capos_cap_t second = record_cap(p.server, message + 24);
    CHECK_EQ(user_look(p.server, first, &held), ST_OK);
    CHECK_EQ(held.facet, Notification_FACET);
    CHECK_EQ(user_look(p.server, second, &held), ST_OK);
    CHECK_EQ(user_look(p.client, kept, &held), ST_OK);
    CHECK_EQ(user_look(p.client, moved, &held), ST_BAD_CAP);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    CHECK_EQ(client_gets(p.client, sqe.user_data).result, 0);
    fixture_end();
}

TEST(ipc_transfer_back, "an answer carries capabilities the same way")
{
    struct pair p = pair_start(2);
    struct capability held;
    capos_cap_t gift = user_notification(p.server);
    struct capos_transfer move = xfer(gift, CAPOS_XFER_MOVE);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    struct capos_sqe ret =
        sqe_return(p.server, header.call_id, user_message(p.server, "12345678", 8), 8);
    sqe_transfers(p.server, &ret, 1, &move, 1);
    CHECK_EQ(user_do(p.server, &ret).result, ST_OK);
    struct capos_cqe cqe = client_gets(p.client, sqe.user_data);
    CHECK_EQ(cqe.result, 8);
    CHECK_EQ(cqe.flags, CAPOS_CQE_CAPS);
    CHECK_EQ(cqe.cap_count, 1);
    CHECK_EQ(cqe.first_cap, record_cap(p.client, sqe.result + 8));
    CHECK_EQ(user_look(p.client, cqe.first_cap, &held), ST_OK);
    CHECK_EQ(user_look(p.server, gift, &held), ST_BAD_CAP);
    fixture_end();
}

TEST(ipc_bad_sequence,
     "a wrong or unreadable transfer number does nothing and tells the expected one")
{
    struct pair p = pair_start(2);
    struct capability held;
    capos_cap_t cap = user_notification(p.client);
    struct capos_transfer move = xfer(cap, CAPOS_XFER_MOVE);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    static const uint64_t wrong[] = {0, 2, UINT64_MAX};
    for (unsigned i = 0; i < 3; i++) {
        sqe_transfers(p.client, &sqe, wrong[i], &move, 1);
        struct capos_cqe cqe = user_do(p.client, &sqe);
        CHECK_EQ(cqe.result, ST_BAD_SEQUENCE);
        CHECK_EQ(cqe.flags, CAPOS_CQE_SEQUENCE);
        CHECK_EQ(cqe.expected_seq, 1);
    }
    struct capos_sqe unreadable = sqe;
    unreadable.params = 0x3000;
    CHECK_EQ(user_do(p.client, &unreadable).result, ST_BAD_SEQUENCE);
    CHECK_EQ(user_look(p.client, cap, &held), ST_OK);
    CHECK_EQ(user_ring(p.client)->next_sequence, 1);
    CHECK_EQ(completions(p.server), 0);
    fixture_end();
}

TEST(ipc_sequence_spent,
     "the number is spent when its SQE is consumed, whatever the status: a replayed "
     "move does nothing")
{
    struct pair p = pair_start(2);
    struct capability held;
    capos_cap_t cap = user_notification(p.client);
    struct capos_transfer bad = xfer(cap + 1, CAPOS_XFER_MOVE);
    struct capos_transfer good = xfer(cap, CAPOS_XFER_MOVE);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    sqe_transfers(p.client, &sqe, 1, &bad, 1);
    CHECK_EQ(user_do(p.client, &sqe).result, ST_BAD_CAP);
    CHECK_EQ(user_ring(p.client)->next_sequence, 2);
    sqe_transfers(p.client, &sqe, 2, &good, 1);
    user_start(p.client, &sqe);
    struct capos_cqe cqe = user_do(p.client, &sqe);
    CHECK_EQ(cqe.result, ST_BAD_SEQUENCE);
    CHECK_EQ(cqe.expected_seq, 3);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(header.cap_count, 1);
    CHECK_EQ(user_look(p.client, cap, &held), ST_BAD_CAP);
    fixture_end();
}

TEST(ipc_bad_descriptors,
     "malformed transfer descriptors are refused and capture nothing, not even the "
     "good ones before")
{
    struct pair p = pair_start(2);
    struct capability held;
    capos_cap_t cap = user_notification(p.client);
    struct capos_transfer rows[] = {
        {.cap = cap, .kind = CAPOS_XFER_DONATION},
        {.cap = cap, .kind = CAPOS_XFER_DISCLOSURE},
        {.cap = cap, .kind = 3},
        {.cap = cap, .mode = 2},
        {.cap = cap, .arg = 1},
        {.cap = 0},
        {.cap = p.client->ledger},
    };
    static const status_t wanted[] = {ST_UNSUPPORTED,     ST_UNSUPPORTED,  ST_BAD_TRANSFER,
                                      ST_BAD_TRANSFER,    ST_BAD_TRANSFER, ST_BAD_CAP,
                                      ST_NOT_TRANSFERABLE};
    uint64_t number = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct capos_transfer xfers[2] = {xfer(cap, CAPOS_XFER_MOVE), rows[i]};
        struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
        sqe_transfers(p.client, &sqe, number++, xfers, 2);
        if (rows[i].cap == cap) {
            xfers[0].cap = user_notification(p.client);
            sqe_transfers(p.client, &sqe, number - 1, xfers, 2);
        }
        CHECK_EQ(user_do(p.client, &sqe).result, wanted[i]);
        CHECK_EQ(user_look(p.client, cap, &held), ST_OK);
        CHECK_EQ(user_look(p.client, xfers[0].cap, &held), ST_OK);
    }
    struct capos_transfer twice[2] = {xfer(cap, CAPOS_XFER_MOVE), xfer(cap, CAPOS_XFER_MOVE)};
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    sqe_transfers(p.client, &sqe, number++, twice, 2);
    CHECK_EQ(user_do(p.client, &sqe).result, ST_BAD_CAP);
    CHECK_EQ(user_look(p.client, cap, &held), ST_OK);
    CHECK_EQ(completions(p.server), 0);
    fixture_end();
}

TEST(ipc_too_many_transfers, "more transfers than the endpoint takes are refused and come back")
{
    struct pair p = pair_start(2);
    struct capability held;
    struct capos_transfer xfers[5];
    for (unsigned i = 0; i < 5; i++) {
        xfers[i] = xfer(user_notification(p.client), CAPOS_XFER_MOVE);
    }
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    sqe_transfers(p.client, &sqe, 1, xfers, 5);
    CHECK_EQ(user_do(p.client, &sqe).result, ST_BAD_TRANSFER);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQ(user_look(p.client, xfers[i].cap, &held), ST_OK);
    }
    fixture_end();
}

TEST(ipc_cancel_returns_move, "a cancelled call gives moved capabilities back")
{
    struct pair p = pair_start(2);
    struct capability held;
    capos_cap_t cap = user_notification(p.client);
    struct capos_transfer move = xfer(cap, CAPOS_XFER_MOVE);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    sqe_transfers(p.client, &sqe, 1, &move, 1);
    uint64_t position = user_start(p.client, &sqe);
    CHECK_EQ(user_look(p.client, cap, &held), ST_BAD_CAP);
    user_cancel(p.client, position, sqe.user_data);
    CHECK_EQ(user_look(p.client, cap, &held), ST_OK);
    fixture_end();
}
