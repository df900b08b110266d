/* SPDX-License-Identifier: MIT */
/* The bill in a completion: whose time it counts, and whose not. One CPU, so one thread runs at a time, and the
 * clock moves only when the test moves it. */
#include "tests/unit/kernel_pair.h"

#include "ipc/fast.h"

/* A served object of `server` for `client`, and the server waiting in RECV by its slot. */
struct service {
    struct user *user;
    capos_cap_t endpoint;
    capos_cap_t object; /* the client's */
    struct capos_sqe recv;
};

static struct service service_start(struct user *client, const char *name)
{
    struct service s = {.user = user_new(name)};
    s.endpoint = user_endpoint(s.user, PAIR_MESSAGE_BYTES, 0);
    capos_cap_t minted = user_mint(s.user, s.endpoint, 7);
    s.object = user_pass(s.user, minted, client, 0xff);
    s.recv = sqe_recv(s.user, s.endpoint, PAIR_MESSAGE_BYTES, 0);
    s.recv.flags = CAPOS_SQE_INLINE;
    s.recv.params = 2 * CAPOS_PAYLOAD_SLOT_BYTES;
    return s;
}

static void wait_for_call(struct service *s)
{
    user_submit(s->user, &s->recv);
    user_enter_start(s->user, 1, CAPOS_FOREVER);
}

/* The call that came; the server runs. */
static uint64_t call_came(struct service *s)
{
    uint64_t result;
    CHECK(user_entered(s->user, &result));
    CHECK(user_expect(s->user, s->recv.user_data).result > 0);
    struct capos_received header;
    user_read(s->user,
              s->user->thread->ring->user_address + user_ring(s->user)->payload_offset +
                  2 * CAPOS_PAYLOAD_SLOT_BYTES,
              &header, sizeof(header));
    return header.call_id;
}

/* RETURN_RECV, and the server waits again. */
static void answer_and_wait(struct service *s, uint64_t call_id)
{
    struct capos_sqe sqe = s->recv;
    sqe.op = CAPOS_OP_RETURN_RECV;
    sqe.interface = call_id;
    user_submit(s->user, &sqe);
    user_enter_start(s->user, 1, CAPOS_FOREVER);
}

static struct capos_sqe call_slot(struct user *client, capos_cap_t object)
{
    struct capos_sqe sqe = user_sqe(client, CAPOS_OP_CALL);
    sqe.cap = object;
    sqe.interface = FIXTURE_INTERFACE;
    sqe.method = 1;
    sqe.flags = CAPOS_SQE_INLINE;
    sqe.result = CAPOS_PAYLOAD_SLOT_BYTES;
    sqe.result_len = CAPOS_PAYLOAD_SLOT_BYTES;
    return sqe;
}

/* The client calls and waits. */
static struct capos_sqe call_and_wait(struct user *client, capos_cap_t object)
{
    struct capos_sqe sqe = call_slot(client, object);
    user_submit(client, &sqe);
    user_enter_start(client, 1, CAPOS_FOREVER);
    return sqe;
}

static uint64_t bill_of(struct user *client, const struct capos_sqe *sqe)
{
    uint64_t result;
    CHECK(user_entered(client, &result));
    struct capos_cqe cqe = user_expect(client, sqe->user_data);
    CHECK_EQ(cqe.result, 0);
    return cqe.bill;
}

static void one_call(bool fast)
{
    fixture_start(1);
    ipc_fast_enable(fast);
    struct user *client = user_new("client");
    struct service s = service_start(client, "server");
    for (uint64_t work = 100; work < 400; work += 100) {
        fixture_advance(1 << 20); /* nobody's */
        if (work == 100) {
            wait_for_call(&s);
        }
        struct capos_sqe sqe = call_and_wait(client, s.object);
        uint64_t call_id = call_came(&s);
        fixture_advance(work);
        answer_and_wait(&s, call_id);
        CHECK_EQ(bill_of(client, &sqe), work);
    }
    CHECK_EQ(client->thread->ring->fast != 0, fast);
    CHECK_EQ(atomic_load_relaxed(&client->thread->ring->billed), 600);
    ipc_fast_enable(true);
    fixture_end();
}

TEST(bill_is_servers_time, "a call is billed what its server ran for it, by the general path")
{
    one_call(false);
}

TEST(bill_is_servers_time_fast, "and the same by the special path")
{
    one_call(true);
}

static void own_work(bool fast)
{
    fixture_start(1);
    ipc_fast_enable(fast);
    struct user *client = user_new("client");
    struct service s = service_start(client, "server");
    wait_for_call(&s);
    struct capos_sqe sqe = call_and_wait(client, s.object);
    uint64_t call_id = call_came(&s);
    struct capos_sqe ret = sqe_return(s.user, call_id, user_message(s.user, NULL, 0), 0);
    CHECK_EQ(user_do(s.user, &ret).result, ST_OK);
    fixture_advance(40);
    wait_for_call(&s);
    CHECK_EQ(bill_of(client, &sqe), 0);
    sqe = call_and_wait(client, s.object);
    call_id = call_came(&s);
    fixture_advance(2);
    answer_and_wait(&s, call_id);
    CHECK_EQ(bill_of(client, &sqe), 2);
    ipc_fast_enable(true);
    fixture_end();
}

TEST(bill_spares_own_work, "what a server does for itself before it waits is on nobody's bill")
{
    own_work(false);
    own_work(true);
}

TEST(bill_counts_services_below,
     "a call is billed what its server was billed, and no cycle is billed twice")
{
    fixture_start(1);
    struct user *client = user_new("client");
    struct service outer = service_start(client, "outer");
    struct service inner = service_start(outer.user, "inner");
    wait_for_call(&outer);
    wait_for_call(&inner);
    struct capos_sqe sqe = call_and_wait(client, outer.object);
    uint64_t call_id = call_came(&outer);
    fixture_advance(10);
    struct capos_sqe below = call_and_wait(outer.user, inner.object);
    uint64_t below_id = call_came(&inner);
    fixture_advance(200);
    answer_and_wait(&inner, below_id);
    CHECK_EQ(bill_of(outer.user, &below), 200);
    fixture_advance(3000);
    answer_and_wait(&outer, call_id);
    CHECK_EQ(bill_of(client, &sqe), 3210);
    fixture_end();
}

TEST(bill_of_a_call_that_lies,
     "a call that lies with a busy server pays for no other call, only for its own last piece")
{
    fixture_start(1);
    struct user *patient = user_new("patient");
    struct user *hasty = user_new("hasty");
    struct service s = service_start(patient, "server");
    capos_cap_t object = user_pass(patient, s.object, hasty, 0xff);
    wait_for_call(&s);
    struct capos_sqe first = call_and_wait(patient, s.object);
    uint64_t first_id = call_came(&s);
    wait_for_call(&s);
    for (unsigned i = 0; i < 5; i++) {
        struct capos_sqe sqe = call_and_wait(hasty, object);
        uint64_t id = call_came(&s);
        fixture_advance(1000);
        answer_and_wait(&s, id);
        CHECK_EQ(bill_of(hasty, &sqe), 1000);
    }
    struct capos_sqe last = call_and_wait(hasty, object);
    uint64_t last_id = call_came(&s);
    fixture_advance(7);
    struct capos_sqe ret = sqe_return(s.user, first_id, user_message(s.user, NULL, 0), 0);
    CHECK_EQ(user_do(s.user, &ret).result, ST_OK);
    fixture_advance(30);
    answer_and_wait(&s, last_id);
    CHECK_EQ(bill_of(patient, &first), 7);
    CHECK_EQ(bill_of(hasty, &last), 30);
    fixture_end();
}

TEST(bill_of_waits, "what nobody does anything for is billed nothing: WAIT, RECV, a NOP")
{
    fixture_start(1);
    struct user *user = user_new("user");
    capos_cap_t notification = user_notification(user);
    struct capos_sqe wait = sqe_wait(user, notification, CAPOS_EVENT_SIGNALLED, 1);
    user_start(user, &wait);
    fixture_advance(5000);
    struct capos_sqe signal = sqe_cap(user, CAPOS_OP_SIGNAL, notification);
    signal.params = 1;
    user_start(user, &signal);
    CHECK_EQ(user_expect(user, wait.user_data).bill, 0);
    CHECK_EQ(user_expect(user, signal.user_data).bill, 0); /* the clock stands */
    struct capos_sqe nop = user_sqe(user, CAPOS_OP_NOP);
    CHECK_EQ(user_do(user, &nop).bill, 0);
    fixture_end();
}
