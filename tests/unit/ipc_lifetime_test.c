/* SPDX-License-Identifier: MIT */
/* What ends while somebody else waits for it. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/endpoint.capnp.h"
#include "ipc/endpoint.h"

static struct capos_sqe call(struct user *user, capos_cap_t cap)
{
    struct capos_sqe sqe =
        sqe_call(user, cap, FIXTURE_INTERFACE, 0, user_message(user, NULL, 0), 0);
    sqe_result(user, &sqe, 256, 0);
    return sqe;
}

TEST(ipc_stale_object,
     "a call that waits for an object of a dead instance ends DISCONNECTED, and the successor, who "
     "may use the key again, gets the next one")
{
    fixture_start(2);
    struct user *client = user_new("client"), *owner = user_new("owner");
    struct user *old = user_new("old"), *new = user_new("new");
    capos_cap_t endpoint = user_endpoint(owner, 256, 1);
    capos_cap_t exported = user_pass_below(owner, user_mint(owner, endpoint, 1), client, 1);
    capos_cap_t serve = user_pass_below(owner, endpoint, old, EndpointServe_FACET);
    capos_cap_t mine = user_pass_below(old, user_mint(old, serve, 5), client, 1);
    struct capos_sqe stale = call(client, mine);
    struct capos_sqe good = call(client, exported);
    user_start(client, &stale);
    user_start(client, &good);
    user_exit(old, 0);
    serve = user_pass_below(owner, endpoint, new, EndpointServe_FACET);
    struct capos_sqe recv = sqe_recv(new, serve, 512, 1);
    struct capos_received header = {0};
    CHECK_EQ(user_do(new, &recv).result, sizeof(header));
    user_read(new, recv.result, &header, sizeof(header));
    CHECK_EQ(header.key, 1);
    fixture_settle();
    CHECK_EQ(completions(client), 1);
    CHECK_EQ(user_expect(client, stale.user_data).result, ST_DISCONNECTED);
    fixture_end();
}

TEST(ring_stalled_wakes,
     "whoever waits for many completions with a stalled SQ is woken by the first, to make room")
{
    fixture_start(1);
    struct user *user = user_new("stall");
    capos_cap_t note = user_notification(user);
    struct capos_sqe wait = {0};
    for (unsigned i = 0; i < 2 * USER_RING - 4; i++) {
        wait = sqe_wait(user, note, CAPOS_EVENT_SIGNALLED, UINT64_C(1) << i);
        wait.deadline_ns = i == 0 ? arch_time_ns() + 1000000 : 0;
        user_start(user, &wait);
    }
    CHECK_EQ(completions(user), 0);
    user_submit(user, &wait);
    uint64_t result;
    user_enter_start(user, 5, CAPOS_FOREVER);
    CHECK(!user_entered(user, &result));
    fixture_advance(2000000);
    CHECK(user_entered(user, &result));
    CHECK_EQ(result, 1 | CAPOS_ENTER_STALLED);
    fixture_end();
}

TEST(wait_served_dead,
     "a WAIT for DEAD on a served object ends with its server's instance, or with its endpoint")
{
    fixture_start(2);
    struct user *client = user_new("client"), *owner = user_new("owner"), *old = user_new("old");
    capos_cap_t endpoint = user_endpoint(owner, 256, 1);
    capos_cap_t exported = user_pass_below(owner, user_mint(owner, endpoint, 1), client, 1);
    capos_cap_t serve = user_pass_below(owner, endpoint, old, EndpointServe_FACET);
    capos_cap_t mine = user_pass_below(old, user_mint(old, serve, 5), client, 1);
    struct capos_sqe instance = sqe_wait(client, mine, CAPOS_EVENT_DEAD, 0);
    struct capos_sqe whole = sqe_wait(client, exported, CAPOS_EVENT_DEAD, 0);
    user_start(client, &whole);
    user_start(client, &instance);
    fixture_settle();
    CHECK_EQ(completions(client), 0);
    user_exit(old, 0);
    CHECK_EQ(completions(client), 1);
    CHECK_EQ(user_expect(client, instance.user_data).result, CAPOS_EVENT_DEAD);
    CHECK_EQ(user_do(client, &instance).result, ST_DISCONNECTED);
    user_destroy(owner, endpoint);
    CHECK_EQ(user_expect(client, whole.user_data).result, CAPOS_EVENT_DEAD);
    fixture_end();
}
