/* SPDX-License-Identifier: MIT */
/* Calls between processes: delivery, answers, transfers, cancel, death, vacancy, hostile sides. */
#include "tests/unit/kernel_pair.h"

#include "abi/layout.h"
#include "gen/endpoint.capnp.h"
#include "ipc/endpoint.h"

TEST(ipc_round_trip,
     "a call arrives with key, method, interface, facet and bytes, and its answer goes "
     "back")
{
    struct pair p = pair_start(2);
    const uint64_t question[2] = {0x1111, 0x2222};
    const uint64_t reply[3] = {1, 2, 3};
    struct capos_sqe sqe = call(p.client, p.object, 5, question, 16);
    user_start(p.client, &sqe);
    uint64_t message, bytes[3];
    struct capos_received header = receive(p.server, p.endpoint, &message);
    CHECK_EQ(header.key, 7);
    CHECK_EQ(header.method, 5);
    CHECK_EQ(header.interface, FIXTURE_INTERFACE);
    CHECK_EQ(header.facet, 0xff);
    CHECK_EQ(header.params_len, 16);
    CHECK_EQ(header.cap_count, 0);
    CHECK(header.call_id != 0);
    CHECK(header.caller[0] != 0 && header.caller[1] != 0);
    user_read(p.server, message, bytes, 16);
    CHECK_MEM_EQ(bytes, question, 16);
    CHECK_EQ(completions(p.client), 0);
    CHECK_EQ(answer(p.server, header.call_id, reply, 24), ST_OK);
    struct capos_cqe cqe = client_gets(p.client, sqe.user_data);
    CHECK_EQ(cqe.result, 24);
    CHECK_EQ(cqe.flags, 0);
    user_read(p.client, sqe.result, bytes, 24);
    CHECK_MEM_EQ(bytes, reply, 24);
    fixture_end();
}

TEST(ipc_receive_first, "a receive that waits gets the call when it comes; both sleepers wake")
{
    uint64_t result;
    struct pair p = pair_start(2);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, 1024, 4);
    user_submit(p.server, &recv);
    user_enter_start(p.server, 1, CAPOS_FOREVER);
    CHECK(!user_entered(p.server, &result));
    struct capos_sqe sqe = call(p.client, p.object, 0, NULL, 0);
    user_submit(p.client, &sqe);
    user_enter_start(p.client, 1, CAPOS_FOREVER);
    CHECK(user_entered(p.server, &result));
    CHECK(!user_entered(p.client, &result));
    CHECK_EQ(user_expect(p.server, recv.user_data).result, sizeof(struct capos_received));
    struct capos_received header;
    user_read(p.server, recv.result, &header, sizeof(header));
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    fixture_settle();
    CHECK(user_entered(p.client, &result));
    CHECK_EQ(user_expect(p.client, sqe.user_data).result, 0);
    fixture_end();
}

TEST(ipc_return_recv, "RETURN_RECV answers and receives the next call with one completion")
{
    struct pair p = pair_start(2);
    struct capos_sqe first = call(p.client, p.object, 1, NULL, 0);
    struct capos_sqe second = call(p.client, p.object, 2, NULL, 0);
    user_start(p.client, &first);
    user_start(p.client, &second);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    struct capos_sqe both = return_recv(&p, header.call_id, NULL, 0);
    CHECK_EQ(user_do(p.server, &both).result, sizeof(header));
    CHECK_EQ(client_gets(p.client, first.user_data).result, 0);
    user_read(p.server, both.result, &header, sizeof(header));
    CHECK_EQ(header.method, 2);
    both.interface = 0x123456789;
    user_start(p.server, &both);
    CHECK_EQ(completions(p.server), 0);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    fixture_end();
}

TEST(ipc_exception, "RETURN with an exception ends the call EXCEPTION with its kind and its text")
{
    struct pair p = pair_start(2);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    struct capos_sqe ret =
        sqe_return(p.server, header.call_id, user_message(p.server, "why not", 8), 8);
    ret.method = CAPOS_EXC_COUNT;
    CHECK_EQ(user_do(p.server, &ret).result, ST_BAD_ARGUMENT);
    ret.method = CAPOS_EXC_OVERLOADED;
    CHECK_EQ(user_do(p.server, &ret).result, ST_OK);
    struct capos_cqe cqe = client_gets(p.client, sqe.user_data);
    CHECK_EQ(cqe.result, ST_EXCEPTION);
    CHECK_EQ(cqe.flags, CAPOS_CQE_EXCEPTION);
    CHECK_EQ(cqe.exception, CAPOS_EXC_OVERLOADED);
    CHECK_EQ(cqe.needed, 8);
    CHECK_MEM_EQ(user_ptr(p.client, sqe.result), "why not", 8);
    fixture_end();
}

TEST(ipc_refused_calls,
     "a call is refused for the wrong interface, a method outside the facet, length and "
     "transfers beyond the endpoint's")
{
    struct pair p = pair_start(2);
    static const uint8_t big[1032];
    struct capos_sqe sqe = call(p.client, p.object, 8, NULL, 0);
    CHECK_EQ(user_do(p.client, &sqe).result, ST_NO_METHOD);
    sqe.method = 3;
    sqe.interface ^= 1;
    CHECK_EQ(user_do(p.client, &sqe).result, ST_WRONG_INTERFACE);
    sqe = call(p.client, p.object, 1, big, 1032);
    CHECK_EQ(user_do(p.client, &sqe).result, ST_TOO_LARGE);
    sqe.params_len = 4;
    CHECK_EQ(user_do(p.client, &sqe).result, ST_BAD_MESSAGE);
    sqe = call(p.client, p.object, 1, NULL, 0);
    sqe.accept_count = 17;
    CHECK_EQ(user_do(p.client, &sqe).result, ST_BAD_TRANSFER);
    CHECK_EQ(completions(p.server), 0);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, 1024, 4);
    user_start(p.server, &recv);
    CHECK_EQ(completions(p.server), 0);
    fixture_end();
}

TEST(ipc_receive_refusals,
     "RECV is refused without the facet, on another object, of a length that is none, for more "
     "capabilities than a message has")
{
    struct pair p = pair_start(1);
    capos_cap_t own = user_pass(p.server, p.endpoint, p.server, EndpointOwn_FACET);
    struct capos_sqe recv = sqe_recv(p.server, own, 1024, 4);
    CHECK_EQ(user_do(p.server, &recv).result, ST_NO_METHOD);
    recv.cap = p.server->ledger;
    CHECK_EQ(user_do(p.server, &recv).result, ST_WRONG_INTERFACE);
    recv.cap = p.endpoint;
    recv.result_len += 1;
    CHECK_EQ(user_do(p.server, &recv).result, ST_BAD_MESSAGE);
    recv.result_len -= 1;
    recv.accept_count = ENDPOINT_MAX_CAPS + 1;
    CHECK_EQ(user_do(p.server, &recv).result, ST_BAD_MESSAGE);
    fixture_end();
}

TEST(ipc_round_robin, "rings that wait are served in turn, each ring's own calls in order")
{
    struct pair p = pair_start(2);
    struct user *other = user_new("other");
    capos_cap_t theirs = user_pass(p.client, p.object, other, 0xff);
    for (uint16_t i = 0; i < 3; i++) {
        struct capos_sqe sqe = call(p.client, p.object, i, NULL, 0);
        user_start(p.client, &sqe);
    }
    for (uint16_t i = 4; i < 6; i++) {
        struct capos_sqe sqe = call(other, theirs, i, NULL, 0);
        user_start(other, &sqe);
    }
    static const uint16_t order[] = {0, 4, 1, 5, 2};
    for (unsigned i = 0; i < 5; i++) {
        struct capos_received header = receive(p.server, p.endpoint, NULL);
        CHECK_EQ(header.method, order[i]);
        CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    }
    fixture_settle();
    CHECK_EQ(completions(p.client), 3);
    CHECK_EQ(completions(other), 2);
    fixture_end();
}

TEST(ipc_answers_once, "a call is answered once: a second RETURN, and one by a stranger, gets GONE")
{
    struct pair p = pair_start(2);
    struct user *stranger = user_new("stranger");
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(answer(stranger, header.call_id, NULL, 0), ST_GONE);
    CHECK_EQ(completions(p.client), 0);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_GONE);
    CHECK_EQ(client_gets(p.client, sqe.user_data).result, 0);
    CHECK_EQ(completions(p.client), 0);
    for (unsigned bit = 0; bit < 64; bit++) {
        CHECK_EQ(answer(p.server, header.call_id ^ UINT64_C(1) << bit, NULL, 0), ST_GONE);
        p.server->heap_next -= 8 + 16 * CAPOS_MAX_TRANSFERS;
    }
    fixture_end();
}

TEST(ipc_cancel_queued, "a queued call is cancelled CANCELLED and never delivered")
{
    struct pair p = pair_start(2);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_cancel(p.client, user_start(p.client, &sqe), sqe.user_data);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, 1024, 4);
    user_start(p.server, &recv);
    CHECK_EQ(completions(p.server), 0);
    fixture_end();
}

TEST(ipc_cancel_inflight,
     "a call in flight is cancelled at once; its RETURN gets GONE and touches nothing")
{
    struct pair p = pair_start(2);
    const uint64_t reply = 0x4141414141414141;
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    uint64_t position = user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    user_cancel(p.client, position, sqe.user_data);
    CHECK_EQ(answer(p.server, header.call_id, &reply, 8), ST_GONE);
    uint64_t word;
    user_read(p.client, sqe.result, &word, 8);
    CHECK_EQ(word, 0);
    fixture_end();
}

TEST(ipc_deadline, "a call ends TIMED_OUT at its deadline, queued or in flight")
{
    struct pair p = pair_start(2);
    struct capos_sqe queued = call(p.client, p.object, 1, NULL, 0);
    struct capos_sqe inflight = call(p.client, p.object, 2, NULL, 0);
    inflight.deadline_ns = arch_time_ns() + 100000;
    queued.deadline_ns = arch_time_ns() + 200000;
    user_start(p.client, &inflight);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    user_start(p.client, &queued);
    fixture_advance(100000);
    CHECK_EQ(user_expect(p.client, inflight.user_data).result, ST_TIMED_OUT);
    CHECK_EQ(completions(p.client), 0);
    fixture_advance(100000);
    CHECK_EQ(user_expect(p.client, queued.user_data).result, ST_TIMED_OUT);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_GONE);
    struct capos_sqe past = call(p.client, p.object, 3, NULL, 0);
    past.deadline_ns = 1;
    user_start(p.client, &past);
    CHECK_EQ(client_gets(p.client, past.user_data).result, ST_TIMED_OUT);
    fixture_end();
}

TEST(ipc_server_dies,
     "the server's death ends what it had received DISCONNECTED and the rest with its "
     "endpoint")
{
    struct pair p = pair_start(2);
    struct capos_sqe inflight = call(p.client, p.object, 1, NULL, 0);
    struct capos_sqe queued = call(p.client, p.object, 2, NULL, 0);
    user_start(p.client, &inflight);
    user_start(p.client, &queued);
    receive(p.server, p.endpoint, NULL);
    user_exit(p.server, 3);
    CHECK_EQ(completions(p.client), 2);
    struct capos_cqe a, b;
    CHECK(user_reap(p.client, &a) && user_reap(p.client, &b));
    CHECK_EQ(a.result, ST_DISCONNECTED);
    CHECK_EQ(b.result, ST_DISCONNECTED);
    struct capos_sqe late = call(p.client, p.object, 2, NULL, 0);
    CHECK_EQ(user_do(p.client, &late).result, ST_DISCONNECTED);
    fixture_end();
}

TEST(ipc_server_replaced,
     "while somebody else owns the endpoint, queued calls outlive a server and go to "
     "its successor")
{
    fixture_start(2);
    struct user *client = user_new("client"), *owner = user_new("owner");
    struct user *old = user_new("old"), *new = user_new("new");
    capos_cap_t endpoint = user_endpoint(owner, 256, 1);
    capos_cap_t object = user_pass(owner, user_mint(owner, endpoint, 9), client, 1);
    capos_cap_t serve = user_pass(owner, endpoint, old, EndpointServe_FACET);
    struct capos_sqe inflight = call(client, object, 0, NULL, 0);
    struct capos_sqe queued = call(client, object, 0, NULL, 0);
    user_start(client, &inflight);
    user_start(client, &queued);
    struct capos_sqe recv = sqe_recv(old, serve, 512, 1);
    user_do(old, &recv);
    user_exit(old, 0);
    CHECK_EQ(client_gets(client, inflight.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(completions(client), 0);
    serve = user_pass(owner, endpoint, new, EndpointServe_FACET);
    struct capos_received header = receive(new, serve, NULL);
    CHECK_EQ(header.key, 9);
    CHECK_EQ(answer(new, header.call_id, NULL, 0), ST_OK);
    CHECK_EQ(client_gets(client, queued.user_data).result, 0);
    fixture_end();
}

TEST(ipc_client_dies, "a client that dies takes its queued calls along; in-flight ones are GONE")
{
    struct pair p = pair_start(2);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    user_exit(p.client, 0);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_GONE);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, 1024, 4);
    user_start(p.server, &recv);
    CHECK_EQ(completions(p.server), 0);
    fixture_end();
}

/* ---- whose memory is at fault ---- */

TEST(ipc_bad_caller_memory,
     "a call whose parameters cannot be read ends BAD_ADDRESS and the receive waits "
     "on")
{
    struct pair p = pair_start(2);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, 1024, 4);
    user_start(p.server, &recv);
    struct capos_sqe sqe = call(p.client, p.object, 1, "12345678", 8);
    uint64_t good = sqe.params;
    sqe.params = USER_HEAP + USER_HEAP_BYTES - 8;
    sqe.params_len = 16;
    user_start(p.client, &sqe);
    CHECK_EQ(client_gets(p.client, sqe.user_data).result, ST_BAD_ADDRESS);
    CHECK_EQ(completions(p.server), 0);
    sqe.params = good;
    sqe.params_len = 8;
    user_start(p.client, &sqe);
    fixture_settle();
    CHECK_EQ(user_expect(p.server, recv.user_data).result, sizeof(struct capos_received) + 8);
    fixture_end();
}

TEST(ipc_bad_receiver_memory,
     "a receive whose buffer cannot be written ends BAD_ADDRESS and the call "
     "waits on")
{
    struct pair p = pair_start(2);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, 1024, 4);
    recv.result = p.server->thread->ring->user_address + UINT64_C(0x100000);
    user_start(p.server, &recv);
    struct capos_sqe sqe = call(p.client, p.object, 6, NULL, 0);
    user_start(p.client, &sqe);
    CHECK_EQ(client_gets(p.server, recv.user_data).result, ST_BAD_ADDRESS);
    CHECK_EQ(completions(p.client), 0);
    CHECK_EQ(receive(p.server, p.endpoint, NULL).method, 6);
    fixture_end();
}

TEST(ipc_put_back_in_order, "a call that goes back in line is still the first of its ring's calls")
{
    struct pair p = pair_start(2);
    static const uint8_t big[64];
    for (uint16_t i = 0; i < 3; i++) {
        struct capos_sqe sqe = call(p.client, p.object, i, big, 64);
        user_start(p.client, &sqe);
    }
    for (unsigned turn = 0; turn < 2; turn++) {
        struct capos_sqe bad = sqe_recv(p.server, p.endpoint, 1024, 4);
        bad.result = p.server->thread->ring->user_address + UINT64_C(0x100000);
        CHECK_EQ(user_do(p.server, &bad).result, ST_BAD_ADDRESS);
    }
    for (uint16_t i = 0; i < 3; i++) {
        CHECK_EQ(receive(p.server, p.endpoint, NULL).method, i);
    }
    fixture_end();
}

TEST(ipc_bad_result_memory,
     "a client whose result buffer cannot be written ends BAD_ADDRESS; its server's RETURN is GONE")
{
    struct pair p = pair_start(2);
    static const uint8_t big[512];
    struct capos_sqe bad = call(p.client, p.object, 1, NULL, 0);
    bad.result = 0x1000;
    bad.result_len = 1024;
    user_start(p.client, &bad);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(answer(p.server, header.call_id, big, 512), ST_GONE);
    CHECK_EQ(client_gets(p.client, bad.user_data).result, ST_BAD_ADDRESS);
    fixture_end();
}

TEST(ipc_bad_reply_memory, "a RETURN whose message cannot be read is refused and may be made again")
{
    struct pair p = pair_start(2);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    struct capos_sqe ret = sqe_return(p.server, header.call_id, 0x2000, 64);
    CHECK_EQ(user_do(p.server, &ret).result, ST_BAD_ADDRESS);
    ret.params_len = 63;
    CHECK_EQ(user_do(p.server, &ret).result, ST_BAD_MESSAGE);
    ret.params_len = PAIR_MESSAGE_BYTES + 8;
    CHECK_EQ(user_do(p.server, &ret).result, ST_TOO_LARGE);
    ret.params_len = CAPOS_MAX_MESSAGE_BYTES + 8;
    CHECK_EQ(user_do(p.server, &ret).result, ST_TOO_LARGE);
    CHECK_EQ(completions(p.client), 0);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    CHECK_EQ(client_gets(p.client, sqe.user_data).result, 0);
    fixture_end();
}

/* ---- transfers ---- */

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

/* ---- served objects and endpoints ---- */

TEST(served_mint_refusals,
     "minting is refused without serve facet, interface or methods, and beyond the "
     "quota")
{
    uint64_t limits[LEDGER_CLASSES];
    capos_cap_t cap;
    fixture_start(1);
    user_limits(limits);
    limits[LEDGER_CLASS_SERVED_OBJECTS] = 2;
    struct user *user = user_new_limits("mint", limits, USER_RING);
    capos_cap_t endpoint = user_endpoint(user, 256, 1);
    capos_cap_t own = user_pass(user, endpoint, user, EndpointOwn_FACET);
    CHECK_EQ(user_try_mint(user, own, 1, FIXTURE_INTERFACE, 1, &cap), ST_NO_METHOD);
    CHECK_EQ(user_try_mint(user, endpoint, 1, 0, 1, &cap), ST_BAD_ARGUMENT);
    CHECK_EQ(user_try_mint(user, endpoint, 1, FIXTURE_INTERFACE, 0, &cap), ST_BAD_ARGUMENT);
    struct ledger_state before = ledger_state(user->process->ledger);
    capos_cap_t first = user_mint(user, endpoint, 1);
    user_mint(user, endpoint, 1);
    CHECK_EQ(user_try_mint(user, endpoint, 1, FIXTURE_INTERFACE, 1, &cap), ST_QUOTA);
    CHECK_EQ(user_release(user, first), ST_OK);
    struct capos_sqe wait = sqe_wait(user, endpoint, CAPOS_EVENT_NO_CLIENTS, 0);
    CHECK_EQ(user_do(user, &wait).signal, 1);
    user_mint(user, endpoint, 2);
    CHECK_EQ(ledger_state(user->process->ledger).used[LEDGER_CLASS_SERVED_OBJECTS],
             before.used[LEDGER_CLASS_SERVED_OBJECTS] + 2);
    fixture_end();
}

TEST(served_callers,
     "one caller has one reference at a service, whatever the object, and another one at "
     "another service")
{
    struct pair p = pair_start(2);
    struct user *other = user_new("other");
    capos_cap_t minted = user_mint(p.server, p.endpoint, 8);
    capos_cap_t second = user_pass(p.server, minted, p.client, 0xff);
    capos_cap_t endpoint2 = user_endpoint(other, 256, 1);
    capos_cap_t third = user_pass(other, user_mint(other, endpoint2, 8), p.client, 0xff);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    struct capos_received a = receive(p.server, p.endpoint, NULL);
    sqe.cap = second;
    user_start(p.client, &sqe);
    struct capos_received b = receive(p.server, p.endpoint, NULL);
    sqe.cap = third;
    user_start(p.client, &sqe);
    struct capos_received c = receive(other, endpoint2, NULL);
    CHECK_EQ(a.key, 7);
    CHECK_EQ(b.key, 8);
    CHECK_MEM_EQ(a.caller, b.caller, 16);
    CHECK(a.caller[0] != c.caller[0] && a.caller[1] != c.caller[1]);
    fixture_end();
}

TEST(served_no_clients, "NO_CLIENTS tells each key whose last capability is gone, once")
{
    uint64_t result;
    struct pair p = pair_start(2);
    capos_cap_t eight = user_mint(p.server, p.endpoint, 8);
    capos_cap_t copy = user_pass(p.server, eight, p.client, 1);
    struct capos_sqe wait = sqe_wait(p.server, p.endpoint, CAPOS_EVENT_NO_CLIENTS, 0);
    user_submit(p.server, &wait);
    user_enter_start(p.server, 1, CAPOS_FOREVER);
    CHECK_EQ(user_release(p.client, copy), ST_OK);
    CHECK(!user_entered(p.server, &result));
    CHECK_EQ(user_release(p.client, p.object), ST_OK);
    fixture_settle();
    CHECK(user_entered(p.server, &result));
    struct capos_cqe cqe = user_expect(p.server, wait.user_data);
    CHECK_EQ(cqe.result, CAPOS_EVENT_NO_CLIENTS);
    CHECK_EQ(cqe.signal, 7);
    CHECK_EQ(user_release(p.server, eight), ST_OK);
    CHECK_EQ(user_do(p.server, &wait).signal, 8);
    wait.deadline_ns = 1;
    CHECK_EQ(user_do(p.server, &wait).result, ST_TIMED_OUT);
    fixture_end();
}

TEST(served_crowd,
     "each of a crowd of keys without clients is told once, however many came before the wait")
{
    enum { CROWD = 70 };
    struct pair p = pair_start(2);
    for (uint64_t key = 100; key < 100 + CROWD; key++) {
        CHECK_EQ(user_release(p.server, user_mint(p.server, p.endpoint, key)), ST_OK);
    }
    struct capos_sqe wait = sqe_wait(p.server, p.endpoint, CAPOS_EVENT_NO_CLIENTS, 0);
    for (uint64_t key = 100; key < 100 + CROWD; key++) {
        CHECK_EQ(user_do(p.server, &wait).signal, key);
    }
    wait.deadline_ns = 1;
    CHECK_EQ(user_do(p.server, &wait).result, ST_TIMED_OUT);
    fixture_end();
}

TEST(served_crowd_dead,
     "keys of an instance that is gone are passed over, be they many, and keep nothing")
{
    enum { CROWD = 70 };
    uint64_t result;
    fixture_start(2);
    struct user *owner = user_new("owner"), *server = user_new("server");
    capos_cap_t endpoint = user_endpoint(owner, 256, 1);
    uint64_t before = owner->process->ledger->used[LEDGER_CLASS_SERVED_OBJECTS];
    capos_cap_t serve = user_pass(owner, endpoint, server, EndpointServe_FACET);
    for (uint64_t key = 100; key < 100 + CROWD; key++) {
        CHECK_EQ(user_release(server, user_mint(server, serve, key)), ST_OK);
    }
    user_exit(server, 0);
    CHECK_EQ(user_release(owner, user_mint(owner, endpoint, 7)), ST_OK);
    struct capos_sqe wait = sqe_wait(owner, endpoint, CAPOS_EVENT_NO_CLIENTS, 0);
    user_submit(owner, &wait);
    user_enter_start(owner, 1, CAPOS_FOREVER);
    fixture_settle();
    CHECK(user_entered(owner, &result));
    CHECK_EQ(user_expect(owner, wait.user_data).signal, 7);
    CHECK_EQ(owner->process->ledger->used[LEDGER_CLASS_SERVED_OBJECTS], before);
    fixture_end();
}

TEST(served_dies_with_grant,
     "served objects die with the grant under which the serve capability is held, "
     "and so do the calls that wait for them")
{
    fixture_start(2);
    struct user *client = user_new("client"), *owner = user_new("owner"),
                *server = user_new("server");
    capos_cap_t endpoint = user_endpoint(owner, 256, 1);
    capos_cap_t serve = user_pass(owner, endpoint, server, EndpointServe_FACET);
    capos_cap_t exported = user_pass(owner, user_mint(owner, endpoint, 1), client, 1);
    capos_cap_t minted = user_mint(server, serve, 2);
    struct capos_sqe ask = call(client, exported, 0, NULL, 0);
    user_start(client, &ask);
    struct capos_received header = receive(server, serve, NULL);
    struct capos_transfer move = {.cap = minted, .mode = CAPOS_XFER_MOVE};
    struct capos_sqe ret = sqe_return(server, header.call_id, user_message(server, NULL, 0), 0);
    sqe_transfers(server, &ret, 1, &move, 1);
    CHECK_EQ(user_do(server, &ret).result, ST_OK);
    capos_cap_t own = client_gets(client, ask.user_data).first_cap;
    struct capos_sqe first = call(client, exported, 0, NULL, 0);
    struct capos_sqe doomed = call(client, own, 0, NULL, 0);
    struct capos_sqe last = call(client, exported, 0, NULL, 0);
    user_start(client, &first);
    user_start(client, &doomed);
    user_start(client, &last);
    user_exit(server, 0);
    CHECK_EQ(client_gets(client, doomed.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(completions(client), 0);
    CHECK_EQ(user_do(client, &doomed).result, ST_DISCONNECTED);
    CHECK_EQ(receive(owner, endpoint, NULL).key, 1);
    CHECK_EQ(receive(owner, endpoint, NULL).key, 1);
    fixture_end();
}

static status_t vacant(struct user *user, capos_cap_t endpoint, uint64_t until_ns)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Endpoint_vacant_params_b params = Endpoint_vacant_params_init(&builder);
    Endpoint_vacant_params_set_until_ns(params, until_ns);
    int32_t result =
        user_call(user, endpoint, Endpoint_ID, Endpoint_vacant_ORDINAL, &builder, NULL, 0, NULL)
            .result;
    return result < 0 ? result : ST_OK;
}

TEST(endpoint_vacant, "a vacancy ends calls in flight, keeps queued ones until a RECV or its end")
{
    struct pair p = pair_start(2);
    struct capos_sqe inflight = call(p.client, p.object, 1, NULL, 0);
    struct capos_sqe queued = call(p.client, p.object, 2, NULL, 0);
    user_start(p.client, &inflight);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    user_start(p.client, &queued);
    CHECK_EQ(vacant(p.server, p.endpoint, 0), ST_BAD_ARGUMENT);
    CHECK_EQ(vacant(p.server, p.endpoint, arch_time_ns() + 1000000000), ST_OK);
    CHECK_EQ(client_gets(p.client, inflight.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(completions(p.client), 0);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_GONE);
    CHECK_EQ(receive(p.server, p.endpoint, NULL).method, 2);
    fixture_advance(2000000000);
    CHECK_EQ(completions(p.client), 0);
    fixture_end();
}

TEST(endpoint_vacancy_ends,
     "past its end a vacancy refuses queued and new calls DISCONNECTED until a RECV")
{
    struct pair p = pair_start(2);
    struct capos_sqe queued = call(p.client, p.object, 2, NULL, 0);
    user_start(p.client, &queued);
    CHECK_EQ(vacant(p.server, p.endpoint, arch_time_ns() + 1000000000), ST_OK);
    fixture_advance(900000000);
    CHECK_EQ(completions(p.client), 0);
    fixture_advance(200000000);
    CHECK_EQ(user_expect(p.client, queued.user_data).result, ST_DISCONNECTED);
    struct capos_sqe late = call(p.client, p.object, 2, NULL, 0);
    CHECK_EQ(user_do(p.client, &late).result, ST_DISCONNECTED);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, 1024, 4);
    user_start(p.server, &recv);
    user_start(p.client, &late);
    fixture_settle();
    CHECK_EQ(completions(p.server), 1);
    fixture_end();
}

TEST(endpoint_destroy,
     "destroy ends queued calls, calls in flight and receives; its objects are dead")
{
    struct pair p = pair_start(2);
    struct capos_sqe inflight = call(p.client, p.object, 1, NULL, 0);
    struct capos_sqe queued = call(p.client, p.object, 2, NULL, 0);
    user_start(p.client, &inflight);
    receive(p.server, p.endpoint, NULL);
    user_start(p.client, &queued);
    user_destroy(p.server, p.endpoint);
    CHECK_EQ(completions(p.client), 2);
    CHECK_EQ(user_expect(p.client, queued.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(user_expect(p.client, inflight.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(user_do(p.client, &queued).result, ST_DISCONNECTED);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, 1024, 4);
    CHECK_EQ(user_do(p.server, &recv).result, ST_DISCONNECTED);
    fixture_end();
}

TEST(endpoint_own_lost,
     "when the last own capability goes, the endpoint dies and receivers learn it")
{
    fixture_start(2);
    struct user *owner = user_new("owner"), *server = user_new("server");
    capos_cap_t endpoint = user_endpoint(owner, 256, 1);
    capos_cap_t serve = user_pass(owner, endpoint, server, EndpointServe_FACET);
    struct capos_sqe recv = sqe_recv(server, serve, 256, 1);
    user_start(server, &recv);
    CHECK_EQ(user_release(owner, endpoint), ST_OK);
    fixture_settle();
    CHECK_EQ(user_expect(server, recv.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(user_do(server, &recv).result, ST_DISCONNECTED);
    fixture_end();
}

/* ---- payload slots ---- */

TEST(ipc_inline, "messages travel from payload slot to payload slot")
{
    struct pair p = pair_start(2);
    struct capos_ring_header *ring = user_ring(p.client);
    uint64_t client_slot = p.client->thread->ring->user_address + ring->payload_offset + 256;
    uint64_t server_slot = p.server->thread->ring->user_address + ring->payload_offset + 512;
    user_write(p.client, client_slot, "question", 8);
    struct capos_sqe sqe = sqe_call(p.client, p.object, FIXTURE_INTERFACE, 1, 256, 8);
    sqe.flags = CAPOS_SQE_INLINE;
    sqe.result = 256;
    sqe.result_len = 256;
    user_start(p.client, &sqe);
    struct capos_sqe recv = sqe_cap(p.server, CAPOS_OP_RECV, p.endpoint);
    recv.flags = CAPOS_SQE_INLINE;
    recv.params = 512;
    sqe_result(p.server, &recv, 64 + PAIR_MESSAGE_BYTES + 16 * PAIR_CAPS, PAIR_CAPS);
    struct capos_cqe cqe = user_do(p.server, &recv);
    CHECK_EQ(cqe.result, 72);
    CHECK_EQ(cqe.flags, CAPOS_CQE_INLINE);
    struct capos_received header;
    user_read(p.server, server_slot, &header, sizeof(header));
    CHECK_MEM_EQ(user_ptr(p.server, server_slot + 64), "question", 8);
    user_write(p.server, server_slot, "reply!!!", 8);
    struct capos_sqe ret = sqe_return(p.server, header.call_id, 512, 8);
    ret.flags = CAPOS_SQE_INLINE;
    CHECK_EQ(user_do(p.server, &ret).result, ST_OK);
    CHECK_EQ(client_gets(p.client, sqe.user_data).result, 8);
    CHECK_MEM_EQ(user_ptr(p.client, client_slot), "reply!!!", 8);
    fixture_end();
}

TEST(ipc_inline_outside, "payload offsets outside the area, across slots or unaligned are refused "
                         "BAD_ADDRESS")
{
    static const struct {
        uint64_t offset;
        uint32_t len;
    } bad[] = {{255, 8},
               {128, 136},
               {2 * USER_RING * 256, 8},
               {UINT64_MAX - 7, 8},
               {UINT64_MAX, 8},
               {1ull << 63, 256},
               {4, 8}};
    struct pair p = pair_start(2);
    struct capos_sqe recv = sqe_recv(p.server, p.endpoint, 1024, 4);
    user_start(p.server, &recv);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct capos_sqe sqe =
            sqe_call(p.client, p.object, FIXTURE_INTERFACE, 1, bad[i].offset, bad[i].len);
        sqe.flags = CAPOS_SQE_INLINE;
        user_start(p.client, &sqe);
        CHECK_EQ(client_gets(p.client, sqe.user_data).result, ST_BAD_ADDRESS);
        CHECK_EQ(completions(p.server), 0);
    }
    fixture_end();
}
