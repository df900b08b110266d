/* SPDX-License-Identifier: MIT */
/* A client and a server, for tests of calls between processes. */
#ifndef CAPOS_TESTS_UNIT_KERNEL_PAIR_H
#define CAPOS_TESTS_UNIT_KERNEL_PAIR_H

#include "gen/notification.capnp.h"
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

/* What the pair's endpoint lets through. */
enum { PAIR_MESSAGE_BYTES = 1024, PAIR_CAPS = 4 };

/* A client and a server with an endpoint and one served object (key 7). */
struct pair {
    struct user *client;
    struct user *server;
    capos_cap_t endpoint; /* the server's, both facets */
    capos_cap_t object;   /* the client's */
};

/* Two users of generous limits, and an endpoint of these. */
static inline struct pair pair_start_limits(unsigned cpus, uint32_t max_message, uint16_t max_caps)
{
    struct pair p;
    fixture_start(cpus);
    p.client = user_new("client");
    p.server = user_new("server");
    p.endpoint = user_endpoint(p.server, max_message, max_caps);
    capos_cap_t minted = user_mint(p.server, p.endpoint, 7);
    p.object = user_pass(p.server, minted, p.client, 0xff);
    CHECK_EQ(user_release(p.server, minted), ST_OK);
    return p;
}

static inline struct pair pair_start(unsigned cpus)
{
    return pair_start_limits(cpus, PAIR_MESSAGE_BYTES, PAIR_CAPS);
}

static inline struct capos_sqe call(struct user *user, capos_cap_t cap, uint16_t method,
                                    const void *bytes, uint32_t len)
{
    struct capos_sqe sqe =
        sqe_call(user, cap, FIXTURE_INTERFACE, method, user_message(user, bytes, len), len);
    sqe_result(user, &sqe, 256, 2);
    return sqe;
}

/* The server receives one call that is waiting: header read, message at *message_out. */
static inline struct capos_received receive(struct user *server, capos_cap_t endpoint,
                                            uint64_t *message_out)
{
    struct capos_received header = {0};
    struct capos_sqe recv = sqe_recv(server, endpoint, PAIR_MESSAGE_BYTES, PAIR_CAPS);
    struct capos_cqe cqe = user_do(server, &recv);
    CHECK(cqe.result >= (int32_t)sizeof(header));
    user_read(server, recv.result, &header, sizeof(header));
    CHECK_EQ(cqe.cap_count, header.cap_count);
    if (message_out != NULL) {
        *message_out = recv.result + sizeof(header);
    }
    return header;
}

static inline int32_t answer(struct user *server, uint64_t call_id, const void *bytes, uint32_t len)
{
    struct capos_sqe ret = sqe_return(server, call_id, user_message(server, bytes, len), len);
    return user_do(server, &ret).result;
}

/* RETURN_RECV: answers the call, then receives whatever the pair's endpoint lets through. */
static inline struct capos_sqe return_recv(struct pair *p, uint64_t call_id, const void *bytes,
                                           uint32_t len)
{
    struct capos_sqe sqe = sqe_recv(p->server, p->endpoint, PAIR_MESSAGE_BYTES, PAIR_CAPS);
    sqe.op = CAPOS_OP_RETURN_RECV;
    sqe.interface = call_id;
    sqe.params = user_message(p->server, bytes, len);
    sqe.params_len = len;
    return sqe;
}

/* Lets the client's pending completions show up, then the next one. */
static inline struct capos_cqe client_gets(struct user *client, uint64_t user_data)
{
    fixture_settle();
    return user_expect(client, user_data);
}

static inline struct capos_transfer xfer(capos_cap_t cap, uint16_t mode)
{
    return (struct capos_transfer){.cap = cap, .kind = CAPOS_XFER_CAP, .mode = mode};
}

static inline capos_cap_t record_cap(struct user *user, uint64_t at)
{
    struct capos_cap_record record;
    user_read(user, at, &record, sizeof(record));
    CHECK_EQ(record.interface, Notification_ID);
    return record.cap;
}

#endif
