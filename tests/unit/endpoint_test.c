/* SPDX-License-Identifier: MIT */
/* Endpoints and the objects they serve: minting, who calls, keys without clients, vacancy, the end. */
#include "tests/unit/kernel_pair.h"

#include "gen/endpoint.capnp.h"
#include "ipc/endpoint.h"

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
