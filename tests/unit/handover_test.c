/* SPDX-License-Identifier: MIT */
/* HANDOVER: a service is replaced, and no call of its clients fails. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/endpoint.capnp.h"
#include "gen/process.capnp.h"
#include "ipc/endpoint.h"
#include "mem/slab.h"

/* An owner with an endpoint, an instance that serves it, its successor, and a client that holds an exported
 * object and one that the old instance made (key 5). */
struct upgrade {
    struct user *owner, *old, *new, *client;
    capos_cap_t endpoint; /* the owner's */
    capos_cap_t old_handle, new_handle;
    capos_cap_t old_serve, new_serve;
    capos_cap_t exported, made;
};

static struct upgrade upgrade_start(unsigned cpus)
{
    struct upgrade u;
    fixture_start(cpus);
    u.owner = user_new("owner");
    u.old = user_new("old");
    u.new = user_new("new");
    u.client = user_new("client");
    u.endpoint = user_endpoint(u.owner, 256, 1);
    u.old_serve = user_pass_below(u.owner, u.endpoint, u.old, EndpointServe_FACET);
    u.new_serve = user_pass_below(u.owner, u.endpoint, u.new, EndpointServe_FACET);
    u.exported = user_pass_below(u.owner, user_mint(u.owner, u.endpoint, 1), u.client, 0xff);
    capos_cap_t minted = user_mint(u.old, u.old_serve, 5);
    u.made = user_pass_below(u.old, minted, u.client, 0xff);
    CHECK_EQ(user_release(u.old, minted), ST_OK);
    u.old_handle =
        user_give(u.owner, &u.old->process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
    u.new_handle =
        user_give(u.owner, &u.new->process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
    return u;
}

static struct capos_sqe handover(const struct upgrade *u)
{
    struct capos_sqe sqe = sqe_cap(u->owner, CAPOS_OP_HANDOVER, u->endpoint);
    sqe.params = u->old_handle;
    sqe.interface = u->new_handle;
    return sqe;
}

static int32_t hand_over(const struct upgrade *u)
{
    struct capos_sqe sqe = handover(u);
    return user_do(u->owner, &sqe).result;
}

static struct capos_sqe call(struct user *user, capos_cap_t cap)
{
    struct capos_sqe sqe =
        sqe_call(user, cap, FIXTURE_INTERFACE, 0, user_message(user, "question", 8), 8);
    sqe_result(user, &sqe, 256, 0);
    return sqe;
}

static struct capos_received receive(struct user *server, capos_cap_t serve)
{
    struct capos_received header = {0};
    struct capos_sqe recv = sqe_recv(server, serve, 512, 1);
    CHECK(user_do(server, &recv).result >= (int32_t)sizeof(header));
    user_read(server, recv.result, &header, sizeof(header));
    return header;
}

static int32_t answer(struct user *server, uint64_t call_id)
{
    struct capos_sqe ret = sqe_return(server, call_id, user_message(server, "answer..", 8), 8);
    return user_do(server, &ret).result;
}

/* What the client sees of a call that has ended. */
static int32_t client_gets(struct user *client, uint64_t user_data)
{
    fixture_settle();
    return user_expect(client, user_data).result;
}

static int32_t outcome(struct user *client, const struct capos_sqe *sqe)
{
    return client_gets(client, sqe->user_data);
}

TEST(handover_inflight,
     "a call in flight is the successor's to answer, and no longer the predecessor's")
{
    struct upgrade u = upgrade_start(2);
    struct capos_sqe one = call(u.client, u.exported), two = call(u.client, u.made);
    user_start(u.client, &one);
    user_start(u.client, &two);
    struct capos_received first = receive(u.old, u.old_serve);
    struct capos_received second = receive(u.old, u.old_serve);
    CHECK_EQ(answer(u.new, first.call_id), ST_GONE);
    CHECK_EQ(hand_over(&u), 2);
    CHECK_EQ(hand_over(&u), 0);
    CHECK_EQ(answer(u.old, first.call_id), ST_GONE);
    user_exit(u.old, 0);
    CHECK_EQ(completions(u.client), 0);
    CHECK_EQ(answer(u.new, second.call_id), ST_OK);
    CHECK_EQ(outcome(u.client, &two), 8);
    CHECK_EQ(answer(u.new, first.call_id), ST_OK);
    CHECK_EQ(outcome(u.client, &one), 8);
    fixture_end();
}

TEST(handover_objects,
     "objects that the predecessor made live on behind the successor, and end with that")
{
    struct upgrade u = upgrade_start(2);
    CHECK_EQ(hand_over(&u), 0);
    struct capos_sqe waiting = call(u.client, u.made);
    user_start(u.client, &waiting);
    user_exit(u.old, 0);
    CHECK_EQ(completions(u.client), 0);
    struct capos_received header = receive(u.new, u.new_serve);
    CHECK_EQ(header.key, 5);
    CHECK_EQ(answer(u.new, header.call_id), ST_OK);
    CHECK_EQ(outcome(u.client, &waiting), 8);
    struct capos_sqe dead = sqe_wait(u.client, u.made, CAPOS_EVENT_DEAD, 0);
    user_start(u.client, &dead);
    user_exit(u.new, 0);
    CHECK_EQ(outcome(u.client, &dead), CAPOS_EVENT_DEAD);
    CHECK_EQ(user_look(u.client, u.made, &(struct capability){0}), ST_DISCONNECTED);
    fixture_end();
}

TEST(handover_no_clients,
     "the successor hears of the last client of an object that its predecessor made")
{
    struct upgrade u = upgrade_start(2);
    CHECK_EQ(hand_over(&u), 0);
    user_exit(u.old, 0);
    struct capos_sqe wait = sqe_wait(u.new, u.new_serve, CAPOS_EVENT_NO_CLIENTS, 0);
    user_start(u.new, &wait);
    CHECK_EQ(user_release(u.client, u.made), ST_OK);
    fixture_settle();
    struct capos_cqe cqe = user_expect(u.new, wait.user_data);
    CHECK_EQ(cqe.result, CAPOS_EVENT_NO_CLIENTS);
    CHECK_EQ(cqe.signal, 5);
    fixture_end();
}

TEST(handover_undelivered, "what waits at the endpoint is received by the successor, in turn")
{
    struct upgrade u = upgrade_start(1);
    struct capos_sqe calls[5];
    for (unsigned i = 0; i < 5; i++) {
        calls[i] = call(u.client, i % 2 == 0 ? u.exported : u.made);
        user_start(u.client, &calls[i]);
    }
    CHECK_EQ(hand_over(&u), 0);
    user_exit(u.old, 0);
    for (unsigned i = 0; i < 5; i++) {
        struct capos_received header = receive(u.new, u.new_serve);
        CHECK_EQ(header.key, i % 2 == 0 ? 1 : 5);
        CHECK_EQ(answer(u.new, header.call_id), ST_OK);
        CHECK_EQ(outcome(u.client, &calls[i]), 8);
    }
    fixture_end();
}

TEST(handover_doomed,
     "a call that was moved is cancelled, and dies with its client, like any other")
{
    struct upgrade u = upgrade_start(2);
    struct capos_sqe one = call(u.client, u.exported), two = call(u.client, u.made);
    uint64_t position = user_start(u.client, &one);
    user_start(u.client, &two);
    struct capos_received first = receive(u.old, u.old_serve);
    struct capos_received second = receive(u.old, u.old_serve);
    CHECK_EQ(hand_over(&u), 2);
    user_cancel(u.client, position, one.user_data);
    CHECK_EQ(answer(u.new, first.call_id), ST_GONE);
    user_exit(u.client, 0);
    CHECK_EQ(answer(u.new, second.call_id), ST_GONE);
    fixture_end();
}

TEST(handover_successor_dies,
     "when the successor dies what it took over ends DISCONNECTED, the rest waits for the next")
{
    struct upgrade u = upgrade_start(2);
    struct user *third = user_new("third");
    capos_cap_t serve = user_pass_below(u.owner, u.endpoint, third, EndpointServe_FACET);
    struct capos_sqe one = call(u.client, u.exported), two = call(u.client, u.made);
    struct capos_sqe three = call(u.client, u.exported);
    user_start(u.client, &one);
    receive(u.old, u.old_serve);
    CHECK_EQ(hand_over(&u), 1);
    user_start(u.client, &two);
    user_start(u.client, &three);
    user_exit(u.new, 1);
    CHECK_EQ(outcome(u.client, &one), ST_DISCONNECTED);
    CHECK_EQ(outcome(u.client, &two), ST_DISCONNECTED); /* its object went with its new owner */
    CHECK_EQ(completions(u.client), 0);
    struct capos_sqe recv = sqe_recv(u.old, u.old_serve, 512, 1);
    CHECK_EQ(user_do(u.old, &recv).result, ST_DISCONNECTED); /* and so did the grant it had */
    struct capos_received header = receive(third, serve);
    CHECK_EQ(header.key, 1);
    CHECK_EQ(answer(third, header.call_id), ST_OK);
    CHECK_EQ(outcome(u.client, &three), 8);
    fixture_end();
}

TEST(handover_chain,
     "one instance after the other takes over, and no grant is kept that is of no use")
{
    struct upgrade u = upgrade_start(2);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_EQ(hand_over(&u), 0);
        user_exit(u.old, 0);
        CHECK(u.new->process->serving_count <= 3);
        CHECK_EQ(user_release(u.owner, u.old_handle), ST_OK);
        u.old = u.new;
        u.old_handle = u.new_handle;
        u.new = user_new("next");
        u.new_serve = user_pass_below(u.owner, u.endpoint, u.new, EndpointServe_FACET);
        u.new_handle =
            user_give(u.owner, &u.new->process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
    }
    struct capability held;
    CHECK_EQ(user_look(u.client, u.made, &held), ST_OK);
    fixture_end();
}

TEST(handover_other_endpoints, "calls and objects of another endpoint stay with the predecessor")
{
    struct upgrade u = upgrade_start(2);
    capos_cap_t other = user_endpoint(u.owner, 256, 1);
    capos_cap_t serve = user_pass_below(u.owner, other, u.old, EndpointServe_FACET);
    capos_cap_t object = user_pass_below(u.old, user_mint(u.old, serve, 9), u.client, 0xff);
    struct capos_sqe one = call(u.client, object), two = call(u.client, u.made);
    user_start(u.client, &one);
    struct capos_received first = receive(u.old, serve);
    user_start(u.client, &two);
    receive(u.old, u.old_serve);
    CHECK_EQ(hand_over(&u), 1);
    CHECK_EQ(answer(u.old, first.call_id), ST_OK);
    CHECK_EQ(outcome(u.client, &one), 8);
    user_exit(u.old, 0);
    struct capability held;
    CHECK_EQ(user_look(u.client, object, &held), ST_DISCONNECTED);
    CHECK_EQ(user_look(u.client, u.made, &held), ST_OK);
    fixture_end();
}

TEST(handover_many, "hundreds of calls in flight are moved, some in each entry")
{
    enum { CALLS = 400, RING = 256 };
    static uint64_t ids[CALLS], user_data[CALLS];
    uint64_t limits[LEDGER_CLASSES];
    struct upgrade u = upgrade_start(2);
    user_limits(limits);
    struct user *client = user_new_limits("many", limits, RING);
    capos_cap_t object = user_pass_below(u.client, u.exported, client, 0xff);
    struct capos_sqe sqe = call(client, object);
    uint64_t buffer = user_alloc(u.old, 512);
    for (unsigned i = 0; i < CALLS; i++) {
        user_data[i] = sqe.user_data = user_sqe(client, CAPOS_OP_CALL).user_data;
        user_start(client, &sqe);
        struct capos_sqe recv = sqe_cap(u.old, CAPOS_OP_RECV, u.old_serve);
        recv.result = buffer;
        recv.result_len = 512;
        recv.accept_count = 1;
        CHECK(user_do(u.old, &recv).result > 0);
        user_read(u.old, buffer, &ids[i], sizeof(ids[i]));
    }
    int32_t moved, total = 0, entries = 0;
    do {
        moved = hand_over(&u);
        total += moved;
        entries++;
    } while (moved > 0);
    CHECK_EQ(total, CALLS);
    CHECK_EQ(entries, 3);
    user_exit(u.old, 0);
    struct capos_sqe ret = sqe_return(u.new, 0, user_message(u.new, "answer..", 8), 8);
    for (unsigned i = 0; i < CALLS; i++) {
        ret.interface = ids[i];
        CHECK_EQ(user_do(u.new, &ret).result, ST_OK);
        CHECK_EQ(client_gets(client, user_data[i]), 8);
    }
    fixture_end();
}

/* After a refusal the call in flight is still the predecessor's, and its object as it was. */
static void check_refused(const struct upgrade *u, struct capos_sqe sqe, status_t status)
{
    uint32_t before = u->old->process->serving_count, after = u->new->process->serving_count;
    sqe.user_data = user_sqe(u->owner, CAPOS_OP_NOP).user_data;
    CHECK_EQ(user_do(u->owner, &sqe).result, status);
    CHECK_EQ(u->old->process->serving_count, before);
    CHECK_EQ(u->new->process->serving_count, after);
    CHECK_EQ(list_first(&u->new->process->inflight) == NULL, true);
}

TEST(handover_refusals,
     "each thing that is wrong with a HANDOVER refuses it, and nothing has changed")
{
    struct upgrade u = upgrade_start(2);
    struct capos_sqe one = call(u.client, u.made);
    user_start(u.client, &one);
    struct capos_received header = receive(u.old, u.old_serve);
    uint64_t no_end = ProcessHandle_FACET & ~(UINT64_C(1) << ProcessHandle_terminate_ORDINAL);
    capos_cap_t weak_old = user_give(u.owner, &u.old->process->obj, KTYPE_PROCESS_HANDLE, no_end);
    capos_cap_t weak_new = user_give(u.owner, &u.new->process->obj, KTYPE_PROCESS_HANDLE, no_end);
    capos_cap_t serve = user_pass(u.owner, u.endpoint, u.owner, EndpointServe_FACET);
    struct capos_sqe sqe = handover(&u);
    sqe.cap = 0;
    check_refused(&u, sqe, ST_BAD_CAP);
    sqe.cap = u.old_handle;
    check_refused(&u, sqe, ST_WRONG_INTERFACE);
    sqe.cap = serve;
    check_refused(&u, sqe, ST_NO_METHOD);
    sqe = handover(&u);
    sqe.params = 77;
    check_refused(&u, sqe, ST_BAD_CAP);
    sqe.params = u.endpoint;
    check_refused(&u, sqe, ST_WRONG_INTERFACE);
    sqe.params = weak_old;
    check_refused(&u, sqe, ST_NO_METHOD);
    sqe.params = u.new_handle;
    check_refused(&u, sqe, ST_BAD_ARGUMENT);
    sqe = handover(&u);
    sqe.interface = u.endpoint;
    check_refused(&u, sqe, ST_WRONG_INTERFACE);
    sqe.interface = weak_new;
    check_refused(&u, sqe, ST_NO_METHOD);
    sqe = handover(&u);
    sqe.result = 8;
    check_refused(&u, sqe, ST_UNSUPPORTED);
    sqe = handover(&u);
    sqe.method = 1;
    check_refused(&u, sqe, ST_UNSUPPORTED);
    sqe = handover(&u);
    sqe.deadline_ns = 1;
    check_refused(&u, sqe, ST_UNSUPPORTED);
    CHECK_EQ(answer(u.old, header.call_id), ST_OK);
    CHECK_EQ(outcome(u.client, &one), 8);
    user_terminate(u.new);
    check_refused(&u, handover(&u), ST_BAD_STATE);
    user_exit(u.old, 0);
    check_refused(&u, handover(&u), ST_BAD_STATE);
    fixture_end();
}

TEST(handover_no_memory, "without memory for the list of the successor nothing is handed over")
{
    static void *taken[PAGE_BYTES / 16];
    struct upgrade u = upgrade_start(1);
    struct capos_sqe one = call(u.client, u.made);
    user_start(u.client, &one);
    struct capos_received header = receive(u.old, u.old_serve);
    struct ledger *ledger = u.new->process->ledger;
    uint64_t limit = atomic_load_relaxed(&ledger->limit[LEDGER_CLASS_KERNEL_PAGES]);
    atomic_store_relaxed(&ledger->limit[LEDGER_CLASS_KERNEL_PAGES],
                         atomic_load_relaxed(&ledger->used[LEDGER_CLASS_KERNEL_PAGES]));
    size_t bytes =
        (u.old->process->serving_count + u.new->process->serving_count) * sizeof(struct serving);
    unsigned n = 0;
    while (n < PAGE_BYTES / 16 && (taken[n] = slab_alloc(ledger, bytes)) != NULL) {
        n++;
    }
    check_refused(&u, handover(&u), ST_QUOTA);
    while (n != 0) {
        slab_free(taken[--n]);
    }
    atomic_store_relaxed(&ledger->limit[LEDGER_CLASS_KERNEL_PAGES], limit);
    CHECK_EQ(answer(u.old, header.call_id), ST_OK);
    CHECK_EQ(outcome(u.client, &one), 8);
    CHECK_EQ(hand_over(&u), 0);
    fixture_end();
}
