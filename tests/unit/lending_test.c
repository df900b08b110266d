/* SPDX-License-Identifier: MIT */
/* Time that is lent: a server runs on its caller's context for as long as the caller waits, and no longer than the
 * called object's bound. */
#include "tests/unit/kernel_scheduling.h"

#include "gen/endpoint.capnp.h"

enum { MESSAGE = 64 };

/* A client that calls a server, which receives the call and does not answer yet. */
struct pair {
    struct user *client, *server;
    capos_cap_t context; /* of the client; the maker's */
    capos_cap_t endpoint;
    struct capos_sqe receive, call;
    uint64_t position, call_id;
};

static struct sched_context *own(const struct user *user)
{
    return &user->process->context;
}

static void meet(struct pair *pair, capos_cap_t context)
{
    pair->server = user_new("server");
    pair->client = user_new("client");
    pair->context = context;
    bind(pair->client, context);
    pair->endpoint = user_endpoint(pair->server, MESSAGE, 0);
    capos_cap_t object = user_mint(pair->server, pair->endpoint, 7);
    capos_cap_t held = user_pass(pair->server, object, pair->client, 0xff);
    pair->receive = sqe_recv(pair->server, pair->endpoint, MESSAGE, 0);
    pair->call = sqe_call(pair->client, held, FIXTURE_INTERFACE, 1, 0, 0);
    sqe_result(pair->client, &pair->call, MESSAGE, 0);
}

/* The server waits, the client calls and waits. */
static void call(struct pair *pair)
{
    user_submit(pair->server, &pair->receive);
    user_enter_start(pair->server, 1, CAPOS_FOREVER);
    pair->position = user_submit(pair->client, &pair->call);
    user_enter_start(pair->client, 1, CAPOS_FOREVER);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair->server, &cqe));
    CHECK(cqe.result > 0);
    user_read(pair->server, pair->receive.result, &pair->call_id, sizeof(pair->call_id));
}

/* The server answers, and goes on. */
static status_t answer(struct pair *pair)
{
    struct capos_sqe sqe = sqe_return(pair->server, pair->call_id, 0, 0);
    user_submit(pair->server, &sqe);
    user_enter(pair->server, 0, 0);
    struct capos_cqe cqe = {.result = INT32_MIN};
    CHECK(user_reap(pair->server, &cqe));
    return cqe.result;
}

/* What each has used since. */
struct bill {
    uint64_t client, server;
};

static struct bill bill(const struct pair *pair)
{
    return (struct bill){used(behind(pair->context)), used(own(pair->server))};
}

static void lent_on(unsigned cpus)
{
    struct pair pair;
    start(cpus);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    maker_blocks();
    call(&pair);
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill during = bill(&pair);
    CHECK(during.client - before.client >= 49 * MS);
    CHECK(during.server - before.server <= MS);
    CHECK_EQ(answer(&pair), ST_OK);
    user_enter_start(pair.client, 9, CAPOS_FOREVER); /* it waits for something else */
    before = bill(&pair);
    run_for(50 * MS);
    during = bill(&pair);
    CHECK(during.client - before.client <= MS);
    CHECK(during.server - before.server >= 49 * MS);
    fixture_end();
}

TEST(lend_call, "a server runs on its caller's time until it has answered")
{
    lent_on(1);
}

TEST(lend_call_cpus, "so it does on another processor")
{
    lent_on(2);
}

TEST(lend_spent, "a caller's budget that is spent does not stop the server, and is not spent twice")
{
    struct pair pair;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_INTERACTIVE, 100, 5 * MS, 1000 * MS));
    maker_blocks();
    call(&pair);
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill after = bill(&pair);
    CHECK(after.client - before.client <= 6 * MS);
    CHECK(after.server - before.server >= 44 * MS);
    CHECK(runs(pair.server));
    CHECK_EQ(answer(&pair), ST_OK);
    run_for(50 * MS);
    CHECK(!runs(pair.client)); /* it has none left until the next period */
    CHECK_EQ(completions(pair.client), 1);
    before = bill(&pair);
    run_for(1000 * MS);
    CHECK(bill(&pair).client - before.client >= 4 * MS);
    fixture_end();
}

TEST(lend_class, "while a better one waits for it a server goes before others of its class")
{
    struct pair pair;
    start(1);
    struct user *hog = user_new("hog");
    meet(&pair, context(SCHEDULING_CLASS_INTERACTIVE, 100, 90 * MS, 100 * MS));
    maker_blocks();
    call(&pair);
    struct bill before = bill(&pair);
    uint64_t hog_ns = used(own(hog));
    run_for(40 * MS);
    CHECK(bill(&pair).client - before.client >= 39 * MS);
    CHECK_EQ(used(own(hog)), hog_ns);
    CHECK_EQ(answer(&pair), ST_OK);
    fixture_end();
}

TEST(lend_deadline,
     "when a caller's deadline passes its server goes on with its own time, and its answer is late")
{
    struct pair pair;
    start(2);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    maker_blocks();
    pair.call.deadline_ns = arch_time_ns() + 20 * MS;
    call(&pair);
    run_for(21 * MS);
    CHECK_EQ(completions(pair.client), 1);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair.client, &cqe));
    CHECK_EQ(cqe.result, ST_TIMED_OUT);
    user_enter_start(pair.client, 1, CAPOS_FOREVER);
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill after = bill(&pair);
    CHECK(after.client - before.client <= MS);
    CHECK(after.server - before.server >= 49 * MS);
    CHECK_EQ(answer(&pair), ST_GONE);
    fixture_end();
}

TEST(lend_enter_deadline, "a caller that no longer waits lends nothing, though its call goes on")
{
    struct pair pair;
    start(2);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    maker_blocks();
    user_submit(pair.server, &pair.receive);
    user_enter_start(pair.server, 1, CAPOS_FOREVER);
    user_submit(pair.client, &pair.call);
    user_enter_start(pair.client, 1, arch_time_ns() + 10 * MS);
    run_for(11 * MS);
    CHECK(runs(pair.client) && runs(pair.server));
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill after = bill(&pair);
    CHECK(after.client - before.client <= 51 * MS);
    CHECK(after.server - before.server >= 49 * MS);
    fixture_end();
}

TEST(lend_both, "a caller that waits for something else as well lends nothing")
{
    struct pair pair;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    capos_cap_t note = user_notification(pair.client);
    maker_blocks();
    struct capos_sqe wait = sqe_wait(pair.client, note, CAPOS_EVENT_SIGNALLED, 1);
    user_submit(pair.client, &wait);
    call(&pair);
    struct bill before = bill(&pair);
    run_for(50 * MS);
    struct bill after = bill(&pair);
    CHECK(after.client - before.client <= MS);
    CHECK(after.server - before.server >= 49 * MS);
    fixture_end();
}

static void client_ends(unsigned cpus)
{
    struct pair pair;
    start(cpus);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    maker_blocks();
    call(&pair);
    run_for(5 * MS);
    user_terminate(pair.client);
    uint64_t before = used(own(pair.server));
    run_for(20 * MS);
    CHECK(used(own(pair.server)) - before >= 19 * MS);
    CHECK_EQ(answer(&pair), ST_GONE);
    fixture_end();
}

TEST(lend_client_ends,
     "a caller that is ended takes its time along, while its server runs elsewhere")
{
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        CHECK(test_apart(client_ends, cpus));
    }
}

TEST(lend_server_ends, "a server that is ended gives its caller's time back")
{
    struct pair pair;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    maker_blocks();
    call(&pair);
    run_for(5 * MS);
    user_terminate(pair.server);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair.client, &cqe));
    CHECK_EQ(cqe.result, ST_DISCONNECTED);
    uint64_t before = used(behind(pair.context));
    run_for(20 * MS);
    CHECK(used(behind(pair.context)) - before >= 19 * MS);
    fixture_end();
}

/* An object of the server's whose calls may take so long. */
static void mint_bounded(struct pair *pair, uint64_t bound_ns)
{
    uint64_t words[32];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Endpoint_mint_params_b params = Endpoint_mint_params_init(&builder);
    Endpoint_mint_params_set_key(params, 77);
    Endpoint_mint_params_set_interface(params, FIXTURE_INTERFACE);
    Endpoint_mint_params_set_methods(params, 0xff);
    Endpoint_mint_params_set_bound_ns(params, bound_ns);
    struct capos_cqe cqe = user_call(pair->server, pair->endpoint, Endpoint_ID,
                                     Endpoint_mint_ORDINAL, &builder, NULL, 0, NULL);
    CHECK_EQ(cqe.result >= 0, bound_ns <= 3600000 * MS);
    if (cqe.result >= 0) {
        pair->call.cap = user_pass(pair->server, cqe.first_cap, pair->client, 0xff);
    } else {
        CHECK_EQ(cqe.result, ST_BAD_ARGUMENT);
    }
}

/* The caller has no deadline, a later one, or an earlier one than the bound of 30 ms. */
static void overdue(uint64_t deadline_ns, uint64_t ends_ns, bool tells)
{
    struct pair pair;
    start(2);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    mint_bounded(&pair, 3600000 * MS + 1);
    mint_bounded(&pair, 30 * MS);
    maker_blocks();
    pair.call.deadline_ns = deadline_ns != 0 ? arch_time_ns() + deadline_ns : 0;
    call(&pair);
    run_for(ends_ns - MS);
    CHECK_EQ(completions(pair.client), 0);
    run_for(2 * MS);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair.client, &cqe));
    CHECK_EQ(cqe.result, ST_TIMED_OUT);
    struct capos_sqe wait = sqe_wait(pair.server, pair.endpoint, CAPOS_EVENT_DEADLINE, 0);
    user_submit(pair.server, &wait);
    user_enter(pair.server, 0, 0);
    CHECK_EQ(user_reap(pair.server, &cqe), tells);
    if (tells) {
        CHECK_EQ(cqe.result, CAPOS_EVENT_DEADLINE);
        CHECK_EQ(cqe.signal, 77);
    }
    user_enter_start(pair.client, 1, CAPOS_FOREVER);
    struct bill before = bill(&pair);
    run_for(20 * MS);
    CHECK(bill(&pair).client - before.client <= MS);
    CHECK_EQ(answer(&pair), ST_GONE);
    fixture_end();
}

TEST(lend_bound, "a server that never answers keeps its caller no longer than the object said")
{
    overdue(0, 30 * MS, true);
}

TEST(lend_bound_later, "nor does it with a later deadline of the caller's")
{
    overdue(100 * MS, 30 * MS, true);
}

TEST(lend_bound_earlier, "an earlier deadline of the caller's is the caller's affair")
{
    overdue(10 * MS, 10 * MS, false);
}

TEST(lend_bound_kept, "a call that is answered in time is answered, and no bound comes after it")
{
    struct pair pair;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    mint_bounded(&pair, 30 * MS);
    maker_blocks();
    call(&pair);
    run_for(10 * MS);
    CHECK_EQ(answer(&pair), ST_OK);
    struct capos_cqe cqe;
    REQUIRE(user_reap(pair.client, &cqe));
    CHECK_EQ(cqe.result, 0);
    user_enter_start(pair.client, 1, CAPOS_FOREVER);
    run_for(50 * MS);
    CHECK_EQ(completions(pair.client), 0);
    fixture_end();
}

TEST(lend_bound_over,
     "what takes the record of a bounded call afterwards ends by its own deadline alone")
{
    struct pair pair;
    struct capos_cqe cqe;
    start(1);
    meet(&pair, context(SCHEDULING_CLASS_NORMAL, 100, 0, 0));
    mint_bounded(&pair, 30 * MS);
    maker_blocks();
    call(&pair);
    run_for(MS);
    CHECK_EQ(answer(&pair), ST_OK);
    REQUIRE(user_reap(pair.client, &cqe));
    capos_cap_t own = user_endpoint(pair.client, 64, 0);
    uint64_t buffer = user_alloc(pair.client, 256);
    for (unsigned i = 0; i < 4; i++) {
        struct capos_sqe receive = user_sqe(pair.client, CAPOS_OP_RECV);
        receive.cap = own;
        receive.result = buffer;
        receive.result_len = 256;
        receive.deadline_ns = arch_time_ns() + MS;
        user_submit(pair.client, &receive);
        user_enter_start(pair.client, 1, CAPOS_FOREVER);
        run_for(2 * MS);
        REQUIRE(user_reap(pair.client, &cqe));
        CHECK_EQ(cqe.result, ST_TIMED_OUT);
    }
    struct capos_sqe wait = sqe_wait(pair.client, own, CAPOS_EVENT_DEADLINE, 0);
    user_submit(pair.client, &wait);
    user_enter(pair.client, 0, 0);
    CHECK(!user_reap(pair.client, &cqe)); /* no call of its endpoint was overdue */
    fixture_end();
}

TEST(lend_chain,
     "what a server's servers do is on the first caller's time, as far as eight calls reach")
{
    enum { LINKS = 10 };
    struct user *users[LINKS + 1];
    struct capos_sqe receives[LINKS];
    uint64_t limits[LEDGER_CLASSES];
    start(1);
    machine_limits(limits, 200, 200);
    for (unsigned i = 0; i <= LINKS; i++) {
        users[i] = user_new_limits("link", limits, 16);
    }
    maker_blocks();
    capos_cap_t held[LINKS];
    for (unsigned i = 0; i < LINKS; i++) {
        struct user *server = users[i + 1];
        capos_cap_t endpoint = user_endpoint(server, MESSAGE, 0);
        held[i] = user_pass(server, user_mint(server, endpoint, 7), users[i], 0xff);
        receives[i] = sqe_recv(server, endpoint, MESSAGE, 0);
        user_submit(server, &receives[i]);
        user_enter_start(server, 1, CAPOS_FOREVER);
    }
    for (unsigned i = 0; i < LINKS; i++) {
        struct capos_cqe cqe;
        struct capos_sqe call = sqe_call(users[i], held[i], FIXTURE_INTERFACE, 1, 0, 0);
        sqe_result(users[i], &call, MESSAGE, 0);
        user_submit(users[i], &call);
        user_enter_start(users[i], 1, CAPOS_FOREVER);
        REQUIRE(user_reap(users[i + 1], &cqe));
        uint64_t first = used(own(users[0]));
        run_for(10 * MS);
        CHECK_EQ(used(own(users[0])) - first >= 9 * MS, i < 8);
    }
    fixture_end();
}
