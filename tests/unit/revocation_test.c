/* SPDX-License-Identifier: MIT */
/* What ends with a grant, when, and in what steps. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/aspace_ops.h"
#include "tests/unit/test.h"

#include "gen/capabilities.capnp.h"
#include "gen/endpoint.capnp.h"
#include "gen/memory.capnp.h"
#include "gen/notification.capnp.h"
#include "gen/time.capnp.h"
#include "ipc/endpoint.h"
#include "object/memory_object.h"
#include "object/root.h"
#include "sched/cpu.h"

/* Runs a revocation to its end, outside of all CPUs. */
static void end_all(struct grant *grant)
{
    struct revocation rev = {.step = 0};
    unsigned slices = 1;
    while (!revocation_slice(&rev, grant)) {
        REQUIRE(slices++ < 100000);
    }
}

static struct grant *derive(struct grant *parent)
{
    struct grant *grant = NULL;
    CHECK_EQ(grant_derive(parent, fixture_roots()->ledger, "test", 4, &grant), ST_OK);
    return grant;
}

/* A capability to a plain object, under a route that the test keeps the ref of. */
static capos_cap_t put_plain(struct user *user, struct plain_object *object, struct grant *route)
{
    capos_cap_t id = 0;
    struct capability cap = {.object = &object->obj,
                             .route = route,
                             .facet = 1,
                             .interface = FIXTURE_INTERFACE,
                             .ktype = KTYPE_NOTIFICATION};
    kobj_ref(cap.object);
    grant_ref(route);
    CHECK_EQ(table_insert(&user->process->table, &cap, CAP_HOP_RECEIVED, &id), ST_OK);
    return id;
}

static struct capos_sqe call(struct user *user, capos_cap_t cap)
{
    struct capos_sqe sqe =
        sqe_call(user, cap, FIXTURE_INTERFACE, 0, user_message(user, NULL, 0), 0);
    sqe_result(user, &sqe, 256, 0);
    return sqe;
}

static void check_tables(struct user *a, struct user *b)
{
    const char *why = NULL;
    CHECK(table_check(&a->process->table, &why));
    CHECK(table_check(&b->process->table, &why));
    CHECK_PTR_EQ(why, NULL);
}

TEST(revoke_slots, "slots of a revoked grant, in every process, let go of their object and answer "
                   "DISCONNECTED until they are released; others are left alone")
{
    fixture_start(1);
    unsigned destroyed = 0;
    struct user *a = user_new("a"), *b = user_new("b");
    struct plain_object *object = plain_object_new(fixture_roots()->ledger, KTYPE_NOTIFICATION);
    object->destroyed = &destroyed;
    struct grant *top = derive(fixture_roots()->grant), *below = derive(derive(top));
    struct grant *beside = derive(fixture_roots()->grant);
    capos_cap_t at_top = put_plain(a, object, top), at_below = put_plain(b, object, below);
    capos_cap_t at_beside = put_plain(b, object, beside);
    struct capability held;
    uint64_t used = slots_used(b);
    end_all(top);
    CHECK_EQ(user_look(a, at_top, &held), ST_DISCONNECTED);
    CHECK_EQ(user_look(b, at_below, &held), ST_DISCONNECTED);
    CHECK_EQ(user_look(b, at_beside, &held), ST_OK);
    CHECK_EQ(atomic_load_relaxed(&object->obj.slots), 1);
    CHECK_EQ(atomic_load_relaxed(&object->obj.refs), 2);
    CHECK_EQ(atomic_load_relaxed(&below->refs), 1);
    CHECK_EQ(slots_used(b), used);
    check_tables(a, b);
    CHECK_EQ(user_release(b, at_below), ST_OK);
    CHECK_EQ(slots_used(b), used - 1);
    CHECK_EQ(user_look(b, at_below, &held), ST_BAD_CAP);
    kobj_unref(&object->obj);
    CHECK_EQ(destroyed, 0);
    end_all(beside);
    CHECK_EQ(destroyed, 1);
    check_tables(a, b);
    grant_unref(below->parent);
    grant_unref(below);
    grant_unref(beside);
    grant_unref(top);
    fixture_end();
}

TEST(revoke_listed,
     "a revoked capability is listed as not alive, with the reason, until it is released")
{
    uint64_t words[512] = {0};
    uint64_t result;
    fixture_start(1);
    struct user *a = user_new("a");
    struct plain_object *object = plain_object_new(fixture_roots()->ledger, KTYPE_NOTIFICATION);
    struct grant *top = derive(fixture_roots()->grant);
    capos_cap_t manager =
        user_give(a, &a->process->obj, KTYPE_CAPABILITY_MANAGER, CapabilityManager_FACET);
    capos_cap_t gone = put_plain(a, object, top);
    end_all(top);
    for (unsigned round = 0; round < 2; round++) {
        struct capos_cqe cqe = user_call_plain(a, manager, CapabilityManager_ID,
                                               CapabilityManager_list_ORDINAL, &result);
        REQUIRE(cqe.result > 0);
        user_read(a, result, words, (uint64_t)cqe.result);
        CapabilityManager_list_results_r list;
        REQUIRE_EQ(CapabilityManager_list_results_read(words, (size_t)cqe.result, &list), CAPNP_OK);
        CapabilityInfo_list_r all = CapabilityManager_list_results_get_capabilities(list);
        unsigned dead = 0;
        for (uint32_t i = 0; i < CapabilityInfo_list_len(all); i++) {
            CapabilityInfo_r info = CapabilityInfo_list_at(all, i);
            CHECK_EQ(CapabilityInfo_get_live(info), CapabilityInfo_get_id(info) != gone);
            dead += CapabilityInfo_get_id(info) == gone;
        }
        CHECK_EQ(dead, round == 0);
        CHECK_EQ(round == 0 ? user_release(a, gone) : ST_OK, ST_OK);
    }
    kobj_unref(&object->obj);
    grant_unref(top);
    fixture_end();
}

TEST(revoke_captured,
     "a slot revoked while a transfer has captured it is swept, and the capture ends "
     "as ever: a copy and an undone move leave it dead, a committed move frees it")
{
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    struct cap_table *table = &a->process->table;
    struct plain_object *object = plain_object_new(fixture_roots()->ledger, KTYPE_NOTIFICATION);
    struct grant *top = derive(fixture_roots()->grant);
    capos_cap_t copied = put_plain(a, object, top), undone = put_plain(a, object, top);
    capos_cap_t moved = put_plain(a, object, top), zombie = put_plain(a, object, top);
    struct capability held;
    uint64_t used = slots_used(a);
    CHECK_EQ(table_capture(table, copied, false), ST_OK);
    CHECK_EQ(table_capture(table, undone, true), ST_OK);
    CHECK_EQ(table_capture(table, moved, true), ST_OK);
    CHECK_EQ(table_capture(table, zombie, false), ST_OK);
    CHECK_EQ(table_release(table, zombie), ST_OK);
    end_all(top);
    CHECK_EQ(atomic_load_relaxed(&object->obj.slots), 0);
    CHECK_EQ(table_captured_get(table, copied, &held), ST_DISCONNECTED);
    CHECK_EQ(table_captured_get(table, undone, &held), ST_DISCONNECTED);
    check_tables(a, b);
    table_capture_end(table, copied, false, true);
    table_capture_end(table, undone, true, false);
    table_capture_end(table, moved, true, true);
    table_capture_end(table, zombie, false, false);
    CHECK_EQ(slots_used(a), used - 2);
    CHECK_EQ(user_look(a, copied, &held), ST_DISCONNECTED);
    CHECK_EQ(user_look(a, undone, &held), ST_DISCONNECTED);
    CHECK_EQ(user_look(a, moved, &held), ST_BAD_CAP);
    CHECK_EQ(table_capture(table, copied, false), ST_DISCONNECTED);
    check_tables(a, b);
    kobj_unref(&object->obj);
    grant_unref(top);
    fixture_end();
}

TEST(revoke_born_swept, "a capability that arrives by a route that has died meanwhile is born dead")
{
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    struct plain_object *object = plain_object_new(fixture_roots()->ledger, KTYPE_NOTIFICATION);
    struct grant *top = derive(fixture_roots()->grant);
    struct capability held;
    end_all(top);
    capos_cap_t cap = put_plain(a, object, top);
    CHECK_EQ(user_look(a, cap, &held), ST_DISCONNECTED);
    CHECK_EQ(atomic_load_relaxed(&object->obj.refs), 1);
    CHECK_EQ(atomic_load_relaxed(&top->refs), 1);
    check_tables(a, b);
    kobj_unref(&object->obj);
    grant_unref(top);
    fixture_end();
}

TEST(revoke_waits,
     "waits through a revoked grant end DISCONNECTED, or with DEAD when that was waited "
     "for; the same waits by another route go on")
{
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t note = user_notification(a);
    capos_cap_t passed = user_pass_below(a, note, b, Notification_FACET);
    struct grant *route = user_route(b, passed);
    struct capos_sqe bits = sqe_wait(b, passed, CAPOS_EVENT_SIGNALLED, 1);
    struct capos_sqe dead = sqe_wait(b, passed, CAPOS_EVENT_SIGNALLED | CAPOS_EVENT_DEAD, 1);
    struct capos_sqe mine = sqe_wait(a, note, CAPOS_EVENT_SIGNALLED, 1);
    user_start(b, &bits);
    user_start(b, &dead);
    user_start(a, &mine);
    end_all(route);
    CHECK_EQ(completions(b), 2);
    CHECK_EQ(user_expect(b, bits.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(user_expect(b, dead.user_data).result, CAPOS_EVENT_DEAD);
    CHECK_EQ(completions(a), 0);
    CHECK_EQ(b->thread->ring->outstanding, 0);
    CHECK_EQ(a->thread->ring->outstanding, 1);
    grant_unref(route);
    fixture_end();
}

TEST(revoke_calls,
     "calls through a revoked grant end DISCONNECTED wherever they are, the later RETURN "
     "is GONE, and calls by other routes are answered")
{
    fixture_start(1);
    struct user *server = user_new("server"), *a = user_new("a"), *b = user_new("b");
    capos_cap_t endpoint = user_endpoint(server, 256, 1);
    capos_cap_t object = user_mint(server, endpoint, 7);
    capos_cap_t to_a = user_pass_below(server, object, a, 1);
    capos_cap_t to_b = user_pass_below(server, object, b, 1);
    struct grant *route = user_route(a, to_a);
    struct capos_sqe inflight = call(a, to_a), queued = call(a, to_a), other = call(b, to_b);
    struct capos_sqe recv = sqe_recv(server, endpoint, 512, 1);
    user_start(a, &inflight);
    CHECK_EQ(user_do(server, &recv).result, sizeof(struct capos_received));
    struct capos_received header;
    user_read(server, recv.result, &header, sizeof(header));
    user_start(a, &queued);
    user_start(b, &other);
    CHECK_EQ(completions(a), 0);
    end_all(route);
    CHECK_EQ(completions(a), 2);
    CHECK_EQ(user_expect(a, inflight.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(user_expect(a, queued.user_data).result, ST_DISCONNECTED);
    struct capos_sqe late = sqe_return(server, header.call_id, 0, 0);
    CHECK_EQ(user_do(server, &late).result, ST_GONE);
    CHECK_EQ(user_do(a, &queued).result, ST_DISCONNECTED);
    CHECK_EQ(user_do(server, &recv).result, sizeof(struct capos_received));
    user_read(server, recv.result, &header, sizeof(header));
    struct capos_sqe answer = sqe_return(server, header.call_id, 0, 0);
    CHECK_EQ(user_do(server, &answer).result, ST_OK);
    CHECK_EQ(user_expect(b, other.user_data).result, 0);
    grant_unref(route);
    fixture_end();
}

TEST(revoke_sleep_recv, "a sleep and a receive through a revoked grant end DISCONNECTED")
{
    struct kobj *timer;
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    CHECK_EQ(root_object_create(KTYPE_TIMER, &timer), ST_OK);
    capos_cap_t clock = user_give(b, timer, KTYPE_TIMER, Timer_FACET);
    capos_cap_t serve = user_pass_below(a, user_endpoint(a, 256, 1), b, EndpointServe_FACET);
    struct grant *by_clock = user_route(b, clock), *by_serve = user_route(b, serve);
    struct capos_sqe sleep = sqe_sleep(b, clock, arch_time_ns() + 1000000000);
    struct capos_sqe recv = sqe_recv(b, serve, 512, 1);
    user_start(b, &sleep);
    user_start(b, &recv);
    CHECK_EQ(completions(b), 0);
    end_all(by_serve);
    CHECK_EQ(user_expect(b, recv.user_data).result, ST_DISCONNECTED);
    end_all(by_clock);
    CHECK_EQ(user_expect(b, sleep.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(timers_next_ns(), ARCH_TIME_NEVER);
    grant_unref(by_clock);
    grant_unref(by_serve);
    fixture_end();
}

/* ---- what comes by a call ---- */

/* The server answers the call that waits for it, with a copy of a capability. */
static void answer_with(struct user *server, capos_cap_t serve, capos_cap_t cap)
{
    struct capos_sqe recv = sqe_recv(server, serve, 512, 2);
    struct capos_received header;
    struct capos_transfer xfer = {.cap = cap};
    REQUIRE_EQ(user_do(server, &recv).result, sizeof(header));
    user_read(server, recv.result, &header, sizeof(header));
    struct capos_sqe back = sqe_return(server, header.call_id, user_message(server, NULL, 0), 0);
    sqe_transfers(server, &back, user_ring(server)->next_sequence, &xfer, 1);
    CHECK_EQ(user_do(server, &back).result, ST_OK);
}

static struct capos_sqe call_for_one(struct user *user, capos_cap_t cap)
{
    struct capos_sqe sqe = call(user, cap);
    sqe.accept_count = 1;
    return sqe;
}

TEST(revoke_results,
     "what a call brought goes with the way that the call took, in every copy; the server's own "
     "stays")
{
    fixture_start(1);
    struct user *server = user_new("server"), *a = user_new("a"), *b = user_new("b");
    capos_cap_t endpoint = user_endpoint(server, 256, 2), note = user_notification(server);
    capos_cap_t directory = user_pass_below(server, user_mint(server, endpoint, 7), a, 1);
    struct capos_sqe open = call_for_one(a, directory);
    user_start(a, &open);
    answer_with(server, endpoint, note);
    struct capos_cqe cqe = user_expect(a, open.user_data);
    CHECK_EQ(cqe.cap_count, 1);
    struct capability held;
    CHECK_EQ(user_look(a, cqe.first_cap, &held), ST_OK);
    struct grant *route = user_route(a, directory);
    CHECK_PTR_EQ(held.route, route);
    capos_cap_t copy = user_pass_below(a, cqe.first_cap, b, 1);
    end_all(route);
    CHECK_EQ(user_look(a, cqe.first_cap, &held), ST_DISCONNECTED);
    CHECK_EQ(user_look(b, copy, &held), ST_DISCONNECTED);
    CHECK_EQ(user_look(server, note, &held), ST_OK);
    grant_unref(route);
    fixture_end();
}

TEST(revoke_results_fresh,
     "a capability under a fresh route of its sender's keeps it when it is returned; one that "
     "somebody else made fresh does not")
{
    fixture_start(1);
    struct user *broker = user_new("broker"), *a = user_new("a");
    capos_cap_t endpoint = user_endpoint(broker, 256, 2);
    capos_cap_t service = user_pass_below(broker, user_mint(broker, endpoint, 7), a, 1);
    struct plain_object *object = plain_object_new(fixture_roots()->ledger, KTYPE_NOTIFICATION);
    struct grant *mine = NULL, *foreign = derive(fixture_roots()->grant);
    CHECK_EQ(grant_derive(fixture_roots()->grant, broker->process->ledger, "lease", 5, &mine),
             ST_OK);
    mine->fresh = true;
    foreign->fresh = true;
    struct grant *routes[] = {mine, foreign}, *wanted[] = {mine, user_route(a, service)};
    for (unsigned i = 0; i < 2; i++) {
        struct capability held;
        struct capos_sqe ask = call_for_one(a, service);
        user_start(a, &ask);
        answer_with(broker, endpoint, put_plain(broker, object, routes[i]));
        CHECK_EQ(user_look(a, user_expect(a, ask.user_data).first_cap, &held), ST_OK);
        CHECK_PTR_EQ(held.route, wanted[i]);
    }
    grant_unref(wanted[1]);
    grant_unref(mine);
    grant_unref(foreign);
    kobj_unref(&object->obj);
    fixture_end();
}

TEST(revoke_minted,
     "what an instance minted dies with it by whatever way it was come by: calls and waits end, "
     "slots are swept, and a capability that arrives late is born dead")
{
    fixture_start(1);
    struct user *owner = user_new("owner"), *instance = user_new("instance"), *a = user_new("a");
    capos_cap_t endpoint = user_endpoint(owner, 256, 2);
    capos_cap_t serve = user_pass_below(owner, endpoint, instance, EndpointServe_FACET);
    capos_cap_t exported = user_pass_below(owner, user_mint(owner, endpoint, 1), a, 1);
    struct capos_sqe open = call_for_one(a, exported);
    user_start(a, &open);
    answer_with(instance, serve, user_mint(instance, serve, 5));
    capos_cap_t file = user_expect(a, open.user_data).first_cap;
    struct capability held;
    struct kobj *object = user_object(a, file);
    kobj_ref(object);
    struct capos_sqe queued = call(a, file), dead = sqe_wait(a, file, CAPOS_EVENT_DEAD, 0);
    struct capos_sqe patient = call(a, exported);
    user_start(a, &queued);
    user_start(a, &dead);
    user_start(a, &patient);
    CHECK_EQ(completions(a), 0);
    user_terminate(instance);
    CHECK_EQ(completions(a), 2);
    struct capos_cqe one = {0}, two = {0};
    CHECK(user_reap(a, &one) && user_reap(a, &two));
    bool swapped = one.user_data == dead.user_data;
    CHECK_EQ((swapped ? two : one).result, ST_DISCONNECTED);
    CHECK_EQ((swapped ? one : two).result, CAPOS_EVENT_DEAD);
    CHECK_EQ(user_look(a, file, &held), ST_DISCONNECTED);
    CHECK_EQ(atomic_load_relaxed(&object->slots), 0);
    CHECK_EQ(user_look(a, exported, &held), ST_OK);
    struct capability late = {.object = object, .route = user_route(a, exported), .facet = 1};
    capos_cap_t id = 0;
    kobj_ref(object);
    CHECK_EQ(table_insert(&a->process->table, &late, CAP_HOP_RECEIVED, &id), ST_OK);
    CHECK_EQ(user_look(a, id, &held), ST_DISCONNECTED);
    CHECK_EQ(atomic_load_relaxed(&object->slots), 0);
    kobj_unref(object);
    fixture_end();
}

/* ---- mappings ---- */

#define MAPPED UINT64_C(0x30000000)

/* What VirtualMemory.map does with a capability of the user's. */
static void map_by(struct user *user, capos_cap_t memory, uint64_t address, uint64_t pages)
{
    struct capability held;
    struct aspace_op *op;
    REQUIRE_EQ(user_look(user, memory, &held), ST_OK);
    status_t status =
        aspace_map_object(&user->process->aspace, memory_object_of(held.object), held.route,
                          &address, 0, pages * PAGE_BYTES, PROTECTION_READ_WRITE, &op);
    CHECK_EQ(op_run(status, &op), ST_OK);
}

TEST(revoke_mappings,
     "what was mapped through a revoked grant is mapped no more, however much it is and also "
     "when its slot was released; other mappings of the same object stay")
{
    enum { PAGES = 300 };
    static char bytes[PAGES * PAGE_BYTES];
    fixture_start(2);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t memory = user_memory(a, bytes, sizeof(bytes), false);
    capos_cap_t lent = user_pass_below(a, memory, b, MemoryObject_FACET);
    struct grant *route = user_route(b, lent);
    struct capability held;
    REQUIRE_EQ(user_look(a, memory, &held), ST_OK);
    struct memory_object *object = memory_object_of(held.object);
    map_by(a, memory, MAPPED, 2);
    map_by(b, lent, MAPPED, PAGES);
    map_by(b, lent, MAPPED + 2 * PAGES * PAGE_BYTES, 1);
    CHECK(user_ptr(b, MAPPED) != NULL && user_ptr(a, MAPPED) != NULL);
    CHECK_EQ(user_release(b, lent), ST_OK);
    CHECK(user_ptr(b, MAPPED) != NULL);
    struct revocation rev = {.step = 0};
    for (unsigned slices = 0; !revocation_slice(&rev, route); slices++) {
        REQUIRE(slices < 1000);
        (void)host_settle(10); /* other CPUs hear of the shoot-down */
    }
    CHECK_PTR_EQ(user_ptr(b, MAPPED), NULL);
    CHECK_PTR_EQ(user_ptr(b, MAPPED + (PAGES - 1) * PAGE_BYTES), NULL);
    CHECK_PTR_EQ(user_ptr(b, MAPPED + 2 * PAGES * PAGE_BYTES), NULL);
    CHECK(user_ptr(a, MAPPED) != NULL);
    CHECK_EQ(atomic_load_relaxed(&route->refs), 1);
    CHECK_EQ(memory_object_seal(object), ST_BUSY); /* a's mapping counts, and nobody else's */
    struct aspace_op *op;
    status_t status = aspace_unmap(&a->process->aspace, MAPPED, 2 * PAGE_BYTES, &op);
    if (status == ST_PENDING) { /* the other CPU has it loaded */
        while (!aspace_op_slice(op, ASPACE_SLICE)) {
            (void)host_settle(10);
        }
        status = aspace_op_end(op);
    }
    CHECK_EQ(status, ST_OK);
    CHECK_EQ(memory_object_seal(object), ST_OK);
    grant_unref(route);
    fixture_end();
}

static void mapper_dies(unsigned cut)
{
    enum { PAGES = 300 };
    static char bytes[PAGES * PAGE_BYTES];
    fixture_start_seed(1, cut);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t memory = user_memory(a, bytes, sizeof(bytes), false);
    capos_cap_t lent = user_pass_below(a, memory, b, MemoryObject_FACET);
    struct grant *route = user_route(b, lent);
    map_by(b, lent, MAPPED, PAGES);
    struct revocation rev = {.step = 0};
    bool done = false;
    for (unsigned i = 0; i < cut && !done; i++) {
        done = revocation_slice(&rev, route);
    }
    process_end(b->process, PROCESS_ENDED_TERMINATED, 0, NULL);
    host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
    while (!done) {
        (void)host_settle(20);
        done = revocation_slice(&rev, route);
    }
    user_ended(b);
    grant_unref(route);
    fixture_end();
}

TEST(revoke_mapping_dies,
     "a process that ends while what it mapped is taken away leaves nothing behind")
{
    for (unsigned cut = 1; cut < 12; cut++) {
        CHECK(test_apart(mapper_dies, cut));
    }
}

/* ---- bounds ---- */

enum { HOSTILE_NODES = 10000, NODES_A_SLICE = 80 };

TEST(revoke_bounded,
     "ending 10,000 grants is done in slices of at most 80 nodes each, whatever the "
     "tree looks like, and what hangs beside goes on meanwhile")
{
    static struct grant *nodes[HOSTILE_NODES];
    fixture_start(1);
    struct grant *top = derive(fixture_roots()->grant);
    struct grant *beside = derive(fixture_roots()->grant);
    for (unsigned i = 0; i < HOSTILE_NODES; i++) {
        struct grant *parent = i == 0 ? top : nodes[(unsigned)rand() % i];
        nodes[i] = derive(parent->depth < GRANT_MAX_DEPTH ? parent : top);
    }
    struct revocation rev = {.step = 0};
    unsigned slices = 0, dead = 0;
    for (bool done = false; !done; slices++) {
        done = revocation_slice(&rev, top);
        unsigned now = 0;
        for (unsigned i = 0; i < HOSTILE_NODES; i++) {
            now += !grant_is_live(nodes[i]);
        }
        CHECK(now - dead <= NODES_A_SLICE);
        dead = now;
        CHECK(grant_is_live(beside));
    }
    CHECK_EQ(dead, HOSTILE_NODES);
    CHECK(slices >= HOSTILE_NODES / NODES_A_SLICE && slices < HOSTILE_NODES / NODES_A_SLICE * 3);
    for (unsigned i = 0; i < HOSTILE_NODES; i++) {
        grant_unref(nodes[i]);
    }
    grant_unref(top);
    grant_unref(beside);
    fixture_end();
}

TEST(revoke_table_bounded, "a slice sweeps a bounded part of a large table")
{
    enum { SLOTS = 700, SLOTS_A_SLICE = 130 };
    fixture_start(1);
    struct user *a = user_new("a");
    struct plain_object *object = plain_object_new(fixture_roots()->ledger, KTYPE_NOTIFICATION);
    struct grant *top = derive(fixture_roots()->grant);
    for (unsigned i = 0; i < SLOTS; i++) {
        (void)put_plain(a, object, top);
    }
    struct revocation rev = {.step = 0};
    uint32_t slots = SLOTS;
    for (bool done = false; !done;) {
        done = revocation_slice(&rev, top);
        uint32_t now = atomic_load_relaxed(&object->obj.slots);
        CHECK(slots - now <= SLOTS_A_SLICE);
        slots = now;
    }
    CHECK_EQ(slots, 0);
    kobj_unref(&object->obj);
    grant_unref(top);
    fixture_end();
}

/* ---- other CPUs ---- */

TEST(revoke_grace, "a revocation is not done before a CPU that was inside the kernel has left it")
{
    fixture_start(2);
    struct grant *top = derive(fixture_roots()->grant);
    struct revocation rev = {.step = 0};
    cpu_enter_kernel(cpu_of(1));
    for (unsigned i = 0; i < 10; i++) {
        CHECK(!revocation_slice(&rev, top));
    }
    CHECK(!grant_is_live(top));
    cpu_leave_kernel(cpu_of(1));
    cpu_enter_kernel(cpu_of(1)); /* a later stay: the sweep may begin, but it counts for the end */
    CHECK(!revocation_slice(&rev, top));
    cpu_leave_kernel(cpu_of(1));
    CHECK(revocation_slice(&rev, top));
    grant_unref(top);
    fixture_settle();
    fixture_end();
}

TEST(revoke_process_goes,
     "processes that begin and end while a revocation is on its way hurt nothing")
{
    fixture_start(1);
    struct plain_object *object = plain_object_new(fixture_roots()->ledger, KTYPE_NOTIFICATION);
    struct grant *top = derive(fixture_roots()->grant);
    struct user *users[4];
    for (unsigned i = 0; i < 4; i++) {
        users[i] = user_new("holder");
        for (unsigned j = 0; j < 300; j++) {
            (void)put_plain(users[i], object, top);
        }
    }
    struct revocation rev = {.step = 0};
    unsigned slices = 0, ended = 0;
    for (; !revocation_slice(&rev, top); slices++) {
        REQUIRE(slices < 100);
        /* One that it is at work on would wait for it. */
        if (slices % 2 == 0 && ended < 4 && users[ended]->process != rev.process) {
            user_terminate(users[ended++]);
        } else if (slices % 2 == 1 && slices < 4) {
            (void)user_new("late");
        }
    }
    CHECK_EQ(atomic_load_relaxed(&object->obj.slots), 0);
    CHECK(slices > 4 && ended > 1);
    kobj_unref(&object->obj);
    grant_unref(top);
    fixture_end();
}
