/* SPDX-License-Identifier: MIT */
/* Calls between processes: delivery, answers, cancel, death, bad memory, payload slots. */
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
