/* SPDX-License-Identifier: MIT */
/* Sessions: what services see of them, what crosses between them, how they end. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/annotations.capnp.h"
#include "gen/endpoint.capnp.h"
#include "gen/kernel/types.h"
#include "gen/notification.capnp.h"
#include "gen/session.capnp.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "object/process.h"
#include "object/session.h"

static struct user *maker; /* holds the factory */
static capos_cap_t factory;
static uint64_t words[32];
static struct capnp_builder builder;

static void start(unsigned cpus)
{
    fixture_session = NULL;
    fixture_start(cpus);
    maker = user_new("maker");
    factory = user_give_root(maker, KTYPE_SESSION_FACTORY);
}

static struct capos_cqe create(const char *subject, uint64_t epoch, uint16_t domain, bool transient)
{
    capnp_builder_init(&builder, words, sizeof(words));
    SessionFactory_create_params_b params = SessionFactory_create_params_init(&builder);
    SessionFactory_create_params_set_subject(params, subject, strlen(subject));
    SessionFactory_create_params_set_epoch(params, epoch);
    SessionFactory_create_params_set_domain(params, domain);
    SessionFactory_create_params_set_transient(params, transient);
    return user_call(maker, factory, SessionFactory_ID, SessionFactory_create_ORDINAL, &builder,
                     NULL, 0, NULL);
}

static capos_cap_t session(const char *subject, uint64_t epoch, uint16_t domain)
{
    struct capos_cqe cqe = create(subject, epoch, domain, false);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

static struct session *behind(capos_cap_t cap)
{
    return session_of(user_object(maker, cap));
}

static struct user *user_in(const char *name, capos_cap_t cap)
{
    fixture_session = cap != 0 ? behind(cap) : NULL;
    struct user *user = user_new(name);
    fixture_session = NULL;
    return user;
}

static int32_t allow(unsigned sender, unsigned receiver, unsigned scope, bool allowed)
{
    capnp_builder_init(&builder, words, sizeof(words));
    SessionFactory_allow_params_b params = SessionFactory_allow_params_init(&builder);
    SessionFactory_allow_params_set_sender(params, (uint16_t)sender);
    SessionFactory_allow_params_set_receiver(params, (uint16_t)receiver);
    SessionFactory_allow_params_set_scope(params, (enum SessionScope)scope);
    SessionFactory_allow_params_set_allowed(params, allowed);
    return user_call(maker, factory, SessionFactory_ID, SessionFactory_allow_ORDINAL, &builder,
                     NULL, 0, NULL)
        .result;
}

static capos_cap_t mint(struct user *user, capos_cap_t endpoint, uint64_t key, unsigned scope)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Endpoint_mint_params_b params = Endpoint_mint_params_init(&builder);
    Endpoint_mint_params_set_key(params, key);
    Endpoint_mint_params_set_interface(params, FIXTURE_INTERFACE);
    Endpoint_mint_params_set_methods(params, 0xff);
    Endpoint_mint_params_set_scope(params, (enum SessionScope)scope);
    struct capos_cqe cqe =
        user_call(user, endpoint, Endpoint_ID, Endpoint_mint_ORDINAL, &builder, NULL, 0, NULL);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

static struct capos_cqe plain(capos_cap_t cap, uint16_t method, uint64_t *result_out)
{
    return user_call_plain(maker, cap, Session_ID, method, result_out);
}

/* A call of `user`, with a capability moved or copied beside it unless that is 0; it is started. */
static struct capos_sqe send(struct user *user, capos_cap_t object, capos_cap_t gift, uint16_t mode)
{
    struct capos_sqe sqe =
        sqe_call(user, object, FIXTURE_INTERFACE, 0, user_message(user, NULL, 0), 0);
    sqe_result(user, &sqe, 64, 1);
    if (gift != 0) {
        const struct capos_transfer xfer = {.cap = gift, .mode = mode};
        sqe_transfers(user, &sqe, user_ring(user)->next_sequence, &xfer, 1);
    }
    user_start(user, &sqe);
    fixture_settle();
    return sqe;
}

/* The server takes the call that waits. */
static struct capos_received receive(struct user *server, capos_cap_t endpoint,
                                     struct capos_cqe *cqe_out)
{
    struct capos_received header = {0};
    struct capos_sqe recv = sqe_recv(server, endpoint, 256, 2);
    *cqe_out = user_do(server, &recv);
    CHECK(cqe_out->result >= (int32_t)sizeof(header));
    user_read(server, recv.result, &header, sizeof(header));
    return header;
}

static struct capos_received receive_from(struct user *client, capos_cap_t object,
                                          struct user *server, capos_cap_t endpoint)
{
    struct capos_cqe cqe;
    (void)send(client, object, 0, 0);
    return receive(server, endpoint, &cqe);
}

TEST(references,
     "a service sees one reference for all processes of a session, another for each other "
     "session; another service sees others; a subject keeps its own from epoch to epoch")
{
    start(2);
    capos_cap_t a = session("alice", 7, 0), b = session("bob", 1, 0),
                again = session("alice", 8, 0);
    struct user *users[] = {user_in("a1", a), user_in("a2", a), user_in("b", b),
                            user_in("a3", again)};
    struct user *server = user_in("server", 0);
    capos_cap_t first = user_endpoint(server, 64, 1), second = user_endpoint(server, 64, 1);
    capos_cap_t object = user_mint(server, first, 1), other = user_mint(server, second, 1);
    struct capos_received seen[4], there;
    for (unsigned i = 0; i < 4; i++) {
        seen[i] = receive_from(users[i], user_pass(server, object, users[i], 0xff), server, first);
    }
    there = receive_from(users[0], user_pass(server, other, users[0], 0xff), server, second);
    CHECK_MEM_EQ(seen[0].caller, seen[1].caller, sizeof(seen[0].caller));
    CHECK_MEM_EQ(seen[0].caller, seen[3].caller, sizeof(seen[0].caller));
    CHECK(seen[0].caller[0] != seen[2].caller[0] && seen[0].caller[1] != seen[2].caller[1]);
    CHECK(seen[0].caller[0] != there.caller[0] && seen[0].caller[1] != there.caller[1]);
    CHECK_EQ(seen[0].epoch, 7);
    CHECK_EQ(seen[1].epoch, 7);
    CHECK_EQ(seen[2].epoch, 1);
    CHECK_EQ(seen[3].epoch, 8);
    fixture_end();
}

TEST(factory_refusals,
     "a session needs a name and a domain that exists; labels concern domains that exist "
     "and scopes that can cross")
{
    start(1);
    struct ledger_state before = ledger_state(maker->process->ledger);
    CHECK_EQ(create("", 1, 0, false).result, ST_BAD_ARGUMENT);
    CHECK_EQ(create("a b", 1, 0, false).result, ST_BAD_ARGUMENT);
    CHECK_EQ(create("alice", 1, SESSION_DOMAINS, false).result, ST_BAD_ARGUMENT);
    CHECK_EQ(allow(SESSION_DOMAINS, 0, SESSION_SCOPE_CROSS_SESSION, true), ST_BAD_ARGUMENT);
    CHECK_EQ(allow(0, SESSION_DOMAINS, SESSION_SCOPE_CROSS_SESSION, true), ST_BAD_ARGUMENT);
    CHECK_EQ(allow(0, 0, SESSION_SCOPE_SAME_SESSION, true), ST_BAD_ARGUMENT);
    CHECK_EQ(allow(0, 0, SESSION_SCOPE_COUNT, true), ST_BAD_ARGUMENT);
    struct ledger_state after = ledger_state(maker->process->ledger);
    CHECK_MEM_EQ(&before, &after, sizeof(after));
    fixture_end();
}

/* ---- crossing ---- */

/* A client of one session, a server of another, and what they need. */
static struct {
    capos_cap_t here, there;
    struct user *client, *server;
    capos_cap_t endpoint, object; /* the server's, the client's */
    capos_cap_t own;              /* an endpoint of the client's */
} border;

static void border_start(uint16_t here, uint16_t there)
{
    start(2);
    border.here = session("here", 1, here);
    border.there = session("there", 1, there);
    border.client = user_in("client", border.here);
    border.server = user_in("server", border.there);
    border.endpoint = user_endpoint(border.server, 64, 1);
    border.object =
        user_pass(border.server, user_mint(border.server, border.endpoint, 1), border.client, 0xff);
    border.own = user_endpoint(border.client, 64, 1);
}

/* What becomes of a call that moves this across: ST_OK when the server has it. After a refusal the
 * client has it still, and the receive is still armed. */
static status_t cross(capos_cap_t gift)
{
    struct capos_sqe recv = sqe_recv(border.server, border.endpoint, 256, 2);
    user_start(border.server, &recv);
    struct capos_sqe sqe = send(border.client, border.object, gift, CAPOS_XFER_MOVE);
    struct capos_cqe cqe;
    struct capability held;
    if (user_reap(border.client, &cqe)) {
        CHECK_EQ(cqe.user_data, sqe.user_data);
        CHECK_EQ(user_look(border.client, gift, &held), ST_OK);
        struct capos_sqe after = send(border.client, border.object, 0, 0);
        CHECK_EQ(user_expect(border.server, recv.user_data).result, 64);
        (void)after;
        return cqe.result;
    }
    cqe = user_expect(border.server, recv.user_data);
    CHECK(cqe.result > 0);
    CHECK_EQ(cqe.cap_count, 1);
    CHECK_EQ(user_look(border.client, gift, &held), ST_BAD_CAP);
    return ST_OK;
}

TEST(scopes_of_calls,
     "sameSession stays, crossSession goes, regrantOnly goes from who serves it; a refusal "
     "undoes the call alone")
{
    border_start(0, 0);
    CHECK_EQ(cross(mint(border.client, border.own, 1, SESSION_SCOPE_SAME_SESSION)),
             ST_NOT_TRANSFERABLE);
    CHECK_EQ(cross(mint(border.client, border.own, 2, SESSION_SCOPE_CROSS_SESSION)), ST_OK);
    CHECK_EQ(cross(mint(border.client, border.own, 3, SESSION_SCOPE_REGRANT_ONLY)), ST_OK);
    struct user *stranger = user_in("stranger", border.there);
    capos_cap_t strange = user_endpoint(stranger, 64, 1);
    capos_cap_t foreign = user_pass(
        stranger, mint(stranger, strange, 1, SESSION_SCOPE_REGRANT_ONLY), border.client, 0xff);
    CHECK_EQ(cross(foreign), ST_NOT_TRANSFERABLE);
    capos_cap_t serve = user_pass(stranger, strange, border.client, EndpointServe_FACET);
    CHECK_EQ(user_release(border.client, serve), ST_OK); /* it was given it: that is enough */
    CHECK_EQ(cross(foreign), ST_OK);
    fixture_end();
}

TEST(scopes_within, "within one session every scope goes")
{
    border_start(0, 0);
    struct user *friend = user_in("friend", border.here);
    capos_cap_t endpoint = user_endpoint(friend, 64, 1);
    capos_cap_t object = user_pass(friend, user_mint(friend, endpoint, 1), border.client, 0xff);
    for (unsigned scope = 0; scope < SESSION_SCOPE_COUNT; scope++) {
        struct capos_cqe cqe;
        (void)send(border.client, object, mint(border.client, border.own, scope, scope),
                   CAPOS_XFER_MOVE);
        (void)receive(friend, endpoint, &cqe);
        CHECK_EQ(cqe.cap_count, 1);
    }
    fixture_end();
}

TEST(scopes_of_answers,
     "an answer that carries what may not cross is refused, and the call can be answered "
     "again")
{
    border_start(0, 0);
    struct capos_cqe cqe;
    struct capos_sqe sqe = send(border.client, border.object, 0, 0);
    struct capos_received header = receive(border.server, border.endpoint, &cqe);
    capos_cap_t minted = mint(border.server, border.endpoint, 5, SESSION_SCOPE_SAME_SESSION);
    for (unsigned i = 0; i < 2; i++) {
        struct capos_transfer xfer = {.cap = minted, .mode = CAPOS_XFER_MOVE};
        struct capos_sqe ret =
            sqe_return(border.server, header.call_id, user_message(border.server, NULL, 0), 0);
        sqe_transfers(border.server, &ret, user_ring(border.server)->next_sequence, &xfer, 1);
        CHECK_EQ(user_do(border.server, &ret).result, i == 0 ? ST_NOT_TRANSFERABLE : ST_OK);
        minted = mint(border.server, border.endpoint, 6, SESSION_SCOPE_REGRANT_ONLY);
    }
    fixture_settle();
    cqe = user_expect(border.client, sqe.user_data);
    CHECK_EQ(cqe.cap_count, 1);
    fixture_end();
}

TEST(labels, "between domains nothing crosses until the table says so, scope by scope and one way")
{
    border_start(3, 4);
    CHECK_EQ(cross(mint(border.client, border.own, 1, SESSION_SCOPE_CROSS_SESSION)),
             ST_NOT_TRANSFERABLE);
    CHECK(allow(4, 3, SESSION_SCOPE_CROSS_SESSION, true) >= 0);
    CHECK(allow(3, 4, SESSION_SCOPE_REGRANT_ONLY, true) >= 0);
    CHECK_EQ(cross(mint(border.client, border.own, 2, SESSION_SCOPE_CROSS_SESSION)),
             ST_NOT_TRANSFERABLE);
    CHECK_EQ(cross(mint(border.client, border.own, 3, SESSION_SCOPE_REGRANT_ONLY)), ST_OK);
    CHECK(allow(3, 4, SESSION_SCOPE_CROSS_SESSION, true) >= 0);
    CHECK_EQ(cross(mint(border.client, border.own, 4, SESSION_SCOPE_CROSS_SESSION)), ST_OK);
    CHECK(allow(3, 4, SESSION_SCOPE_CROSS_SESSION, false) >= 0);
    CHECK_EQ(cross(mint(border.client, border.own, 5, SESSION_SCOPE_CROSS_SESSION)),
             ST_NOT_TRANSFERABLE);
    CHECK(allow(4, 3, SESSION_SCOPE_CROSS_SESSION, false) >= 0);
    CHECK(allow(3, 4, SESSION_SCOPE_REGRANT_ONLY, false) >= 0);
    fixture_end();
}

static int32_t recover(capos_cap_t cap, bool on)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Session_recover_params_set_on(Session_recover_params_init(&builder), on);
    return user_call(maker, cap, Session_ID, Session_recover_ORDINAL, &builder, NULL, 0, NULL)
        .result;
}

TEST(recovery, "while either side is in recovery nothing crosses, and its processes go on")
{
    border_start(0, 0);
    for (unsigned side = 0; side < 2; side++) {
        capos_cap_t one = side == 0 ? border.here : border.there;
        CHECK(recover(one, true) >= 0);
        CHECK_EQ(cross(mint(border.client, border.own, 1, SESSION_SCOPE_CROSS_SESSION)),
                 ST_NOT_TRANSFERABLE);
        CHECK(recover(one, false) >= 0);
        CHECK_EQ(cross(mint(border.client, border.own, 2, SESSION_SCOPE_CROSS_SESSION)), ST_OK);
    }
    fixture_end();
}

/* ---- the end ---- */

TEST(close_ends_all,
     "a closed session starts no operation, its processes are ended, and who waits for it "
     "is told when the last is gone")
{
    start(2);
    capos_cap_t cap = session("alice", 1, 0);
    struct user *users[6];
    for (unsigned i = 0; i < 6; i++) {
        users[i] = user_in("member", cap);
        users[i]->gone = true; /* its thread may go any moment */
    }
    struct user *other = user_in("other", 0);
    struct capos_sqe wait = sqe_wait(maker, cap, CAPOS_EVENT_DEAD, 0);
    user_start(maker, &wait);
    struct session *behind_it = behind(cap);
    CHECK(plain(cap, Session_close_ORDINAL, NULL).result >= 0);
    CHECK(session_is_closed(behind_it));
    fixture_settle();
    for (unsigned i = 0; i < 6; i++) {
        CHECK_EQ(users[i]->process->end_kind, PROCESS_ENDED_TERMINATED);
        user_ended(users[i]);
    }
    CHECK_EQ(user_expect(maker, wait.user_data).result, CAPOS_EVENT_DEAD);
    CHECK_EQ(other->process->state, PROCESS_RUNNING);
    CHECK_EQ(plain(cap, Session_enter_ORDINAL, NULL).result, ST_DISCONNECTED);
    fixture_end();
}

TEST(closed_at_entry,
     "a process of a closed session that enters before it has been ended does nothing more")
{
    start(4); /* one for each */
    capos_cap_t cap = session("alice", 1, 0);
    struct user *member = user_in("member", cap);
    struct user *other = user_in("other", 0);
    capos_cap_t note = user_notification(other);
    capos_cap_t seen = user_pass(other, note, member, Notification_FACET);
    struct capos_sqe sqe = sqe_cap(member, CAPOS_OP_SIGNAL, seen);
    sqe.params = 1;
    (void)user_submit(member, &sqe);
    member->gone = true;
    atomic_store_seq_cst(&behind(cap)->state, SESSION_STATE_CLOSED);
    host_syscall(member->thread, CAPOS_SYS_ENTER, 0, 0);
    user_ended(member);
    struct capos_sqe wait = sqe_wait(other, note, CAPOS_EVENT_SIGNALLED, 1);
    wait.deadline_ns = 1;
    CHECK_EQ(user_do(other, &wait).result, ST_TIMED_OUT);
    fixture_end();
}

TEST(closed_before,
     "who is started in a session that has just closed is ended at once; a closed session "
     "does not recover")
{
    start(1);
    capos_cap_t cap = session("alice", 1, 0);
    struct user *member = user_in("member", cap);
    struct session *it = behind(cap);
    kobj_ref(&it->obj);
    CHECK(plain(cap, Session_enter_ORDINAL, NULL).result >= 0);
    member->gone = true;
    it->living++; /* somebody is about to start */
    CHECK(plain(cap, Session_close_ORDINAL, NULL).result >= 0);
    CHECK_EQ(plain(cap, Session_enter_ORDINAL, NULL).result, ST_BAD_STATE);
    CHECK_EQ(recover(cap, true), ST_BAD_STATE);
    user_ended(member);
    fixture_session = it;
    struct process *process;
    uint64_t limits[LEDGER_CLASSES];
    user_limits(limits);
    CHECK_EQ(
        fixture_process(fixture_roots()->ledger, NULL, it, limits, "late", USER_RING, &process),
        ST_OK);
    process->state = PROCESS_RUNNING;
    CHECK(thread_live(list_entry(list_first(&process->threads), struct thread, process_link)));
    session_join(process, list_entry(list_first(&process->threads), struct thread, process_link));
    CHECK_EQ(process->state, PROCESS_EXITING);
    host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
    fixture_settle();
    CHECK_EQ(process->state, PROCESS_REAPED);
    it->living--;
    kobj_unref(&process->obj);
    kobj_unref(&it->obj);
    fixture_session = NULL;
    fixture_end();
}

TEST(transient, "a transient session closes with its last process, another does not")
{
    start(2);
    for (unsigned transient = 0; transient < 2; transient++) {
        struct capos_cqe cqe = create("alice", 1, 0, transient != 0);
        struct session *it = behind(cqe.first_cap);
        struct user *first = user_in("first", cqe.first_cap);
        struct user *last = user_in("last", cqe.first_cap);
        user_terminate(first);
        CHECK(!session_is_closed(it));
        user_terminate(last);
        CHECK_EQ(session_is_closed(it), transient != 0);
        CHECK_EQ(kobj_is_dead(&it->obj), transient != 0);
    }
    fixture_end();
}

/* The next SESSION_CLOSED of the endpoint: result, and the reference. */
static int32_t heard(struct user *server, capos_cap_t endpoint, uint64_t *caller_out)
{
    struct capos_sqe wait = sqe_wait(server, endpoint, CAPOS_EVENT_SESSION_CLOSED, 0);
    wait.deadline_ns = 1;
    struct capos_cqe cqe = user_do(server, &wait);
    *caller_out = cqe.signal;
    return cqe.result;
}

TEST(servers_are_told,
     "the server of what a closed session held hears its reference, once for each object; "
     "two sessions at one object are told as 0; an end without a close is told to nobody")
{
    start(2);
    capos_cap_t a = session("alice", 1, 0), b = session("bob", 1, 0);
    struct user *server = user_in("server", 0);
    capos_cap_t endpoint = user_endpoint(server, 64, 1);
    capos_cap_t object = user_mint(server, endpoint, 1), shared = user_mint(server, endpoint, 2);
    struct user *alice = user_in("alice", a), *twin = user_in("twin", a), *bob = user_in("bob", b);
    struct user *leaver = user_in("leaver", b);
    struct capos_received seen =
        receive_from(alice, user_pass(server, object, alice, 0xff), server, endpoint);
    (void)user_pass(server, object, twin, 0xff);
    uint64_t caller;
    (void)user_pass(server, object, leaver, 0xff);
    user_terminate(leaver);
    CHECK_EQ(heard(server, endpoint, &caller), ST_TIMED_OUT);
    alice->gone = twin->gone = bob->gone = true;
    CHECK(plain(a, Session_close_ORDINAL, NULL).result >= 0);
    fixture_settle();
    user_ended(alice);
    user_ended(twin);
    CHECK_EQ(heard(server, endpoint, &caller), CAPOS_EVENT_SESSION_CLOSED);
    CHECK_EQ(caller, seen.caller[0]);
    CHECK_EQ(heard(server, endpoint, &caller), ST_TIMED_OUT);
    (void)user_pass(server, shared, bob, 0xff);
    capos_cap_t c = session("carol", 1, 0);
    struct user *carol = user_in("carol", c);
    (void)user_pass(server, shared, carol, 0xff);
    carol->gone = true;
    CHECK(plain(b, Session_close_ORDINAL, NULL).result >= 0);
    CHECK(plain(c, Session_close_ORDINAL, NULL).result >= 0);
    fixture_settle();
    user_ended(bob);
    user_ended(carol);
    CHECK_EQ(heard(server, endpoint, &caller), CAPOS_EVENT_SESSION_CLOSED);
    CHECK_EQ(caller, 0);
    CHECK_EQ(heard(server, endpoint, &caller), ST_TIMED_OUT);
    fixture_end();
}

/* ---- disclosure ---- */

TEST(disclosure,
     "a session's details are told field by field, to whom one of its own processes gave them, "
     "and the reference shows that they are the caller's")
{
    border_start(0, 0);
    struct session *it = behind(border.here);
    capos_cap_t info = user_give(border.client, &it->obj, KTYPE_SESSION, SessionInfo_FACET);
    struct capos_cqe cqe;
    capos_cap_t field = user_give(border.client, &it->obj, KTYPE_SESSION,
                                  Session_subject_BIT | Session_reference_BIT);
    (void)send(border.client, border.object, field, CAPOS_XFER_COPY);
    struct capos_received header = receive(border.server, border.endpoint, &cqe);
    capos_cap_t got = cqe.first_cap;
    uint64_t at;
    cqe = user_call_plain(border.server, got, Session_ID, Session_subject_ORDINAL, &at);
    CHECK(cqe.result >= 0);
    uint64_t answer[8];
    user_read(border.server, at, answer, sizeof(answer));
    Session_subject_results_r subject;
    CHECK_EQ(Session_subject_results_read(answer, (size_t)cqe.result, &subject), CAPNP_OK);
    CHECK(capnp_text_is(Session_subject_results_get_subject(subject), "here"));
    CHECK_EQ(user_call_plain(border.server, got, Session_ID, Session_epoch_ORDINAL, &at).result,
             ST_NO_METHOD);
    capnp_builder_init(&builder, words, sizeof(words));
    (void)Session_reference_params_init(&builder);
    struct capos_transfer xfer = {.cap = border.endpoint};
    cqe = user_call(border.server, got, Session_ID, Session_reference_ORDINAL, &builder, &xfer, 1,
                    &at);
    CHECK(cqe.result >= 0);
    user_read(border.server, at, answer, sizeof(answer));
    Session_reference_results_r reference;
    CHECK_EQ(Session_reference_results_read(answer, (size_t)cqe.result, &reference), CAPNP_OK);
    CHECK_EQ(Session_reference_results_get_first(reference), header.caller[0]);
    CHECK_EQ(Session_reference_results_get_second(reference), header.caller[1]);
    /* The server may not hand it on across a border, its own session's processes may. */
    struct user *third = user_in("third", 0);
    capos_cap_t endpoint = user_endpoint(third, 64, 1);
    capos_cap_t object = user_pass(third, user_mint(third, endpoint, 1), border.server, 0xff);
    struct capos_sqe recv = sqe_recv(third, endpoint, 256, 2);
    user_start(third, &recv);
    struct capos_sqe sqe = send(border.server, object, got, CAPOS_XFER_COPY);
    CHECK_EQ(user_expect(border.server, sqe.user_data).result, ST_NOT_TRANSFERABLE);
    (void)info;
    fixture_end();
}
