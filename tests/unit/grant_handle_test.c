/* SPDX-License-Identifier: MIT */
/* Deriving, taking back, and who holds what: CapabilityManager and GrantHandle as a process calls them. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/capabilities.capnp.h"
#include "gen/grants.capnp.h"
#include "gen/notification.capnp.h"
#include "gen/time.capnp.h"
#include "object/grant_handle.h"
#include "object/root.h"
#include "sched/cpu.h"

struct derived {
    capos_cap_t cap;
    capos_cap_t grant;
};

static capos_cap_t manager_of(struct user *user)
{
    return user_give(user, &user->process->obj, KTYPE_CAPABILITY_MANAGER, CapabilityManager_FACET);
}

static struct derived take_two(struct user *user, const struct capos_cqe *cqe, uint64_t at)
{
    struct capos_cap_record records[2] = {{0}};
    if (cqe->result >= 0) {
        CHECK_EQ(cqe->cap_count, 2);
        user_read(user, at + (uint64_t)cqe->result, records, sizeof(records));
    }
    return (struct derived){records[0].cap, records[1].cap};
}

static status_t try_derive(struct user *user, capos_cap_t manager, capos_cap_t cap, uint16_t mode,
                           uint64_t methods, uint64_t deadline_ns, struct derived *out)
{
    uint64_t words[32];
    uint64_t result;
    struct capnp_builder builder;
    struct capos_transfer xfer = {.cap = cap, .mode = mode};
    capnp_builder_init(&builder, words, sizeof(words));
    Derivation_b params = Derivation_init(&builder);
    Derivation_set_methods(params, methods);
    Derivation_set_deadline_ns(params, deadline_ns);
    Derivation_set_origin(params, "a test", 6);
    struct capos_cqe cqe = user_call(user, manager, CapabilityManager_ID,
                                     CapabilityManager_derive_ORDINAL, &builder, &xfer, 1, &result);
    *out = take_two(user, &cqe, result);
    return cqe.result < 0 ? cqe.result : ST_OK;
}

static struct derived derive(struct user *user, capos_cap_t manager, capos_cap_t cap)
{
    struct derived out;
    CHECK_EQ(try_derive(user, manager, cap, CAPOS_XFER_COPY, 0, 0, &out), ST_OK);
    return out;
}

static struct capos_sqe sqe_revoke(struct user *user, capos_cap_t grant)
{
    uint64_t words[2] = {0};
    struct capos_sqe sqe = sqe_call(user, grant, GrantHandle_ID, GrantHandle_revoke_ORDINAL,
                                    user_message(user, words, 8), 8);
    sqe_result(user, &sqe, 64, 0);
    return sqe;
}

static int32_t take_back(struct user *user, capos_cap_t grant)
{
    struct capos_sqe sqe = sqe_revoke(user, grant);
    return user_do(user, &sqe).result;
}

static struct ledger_state state_of(const struct user *user)
{
    return ledger_state(user->process->ledger);
}

static status_t ring_bell(struct user *user, capos_cap_t cap)
{
    struct capos_sqe sqe = sqe_cap(user, CAPOS_OP_SIGNAL, cap);
    sqe.params = 1;
    return user_do(user, &sqe).result;
}

TEST(derive_and_revoke,
     "what was derived works, in every copy, until it is taken back; the original goes on")
{
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t manager = manager_of(a);
    capos_cap_t note = user_notification(a);
    struct derived mine = derive(a, manager, note);
    capos_cap_t copy = user_pass_below(a, mine.cap, b, Notification_FACET);
    CHECK_EQ(ring_bell(a, mine.cap), ST_OK);
    CHECK_EQ(ring_bell(b, copy), ST_OK);
    CHECK(take_back(a, mine.grant) > 0);
    CHECK_EQ(ring_bell(a, mine.cap), ST_DISCONNECTED);
    CHECK_EQ(ring_bell(b, copy), ST_DISCONNECTED);
    CHECK_EQ(ring_bell(a, note), ST_OK);
    CHECK(take_back(a, mine.grant) > 0);
    CHECK_EQ(user_release(a, mine.cap), ST_OK);
    CHECK_EQ(user_release(a, mine.grant), ST_OK);
    CHECK_EQ(user_release(b, copy), ST_OK);
    fixture_end();
}

TEST(derive_charges, "a derive charges its maker a grant, a timer and two slots, and all come back")
{
    fixture_start(1);
    struct user *a = user_new("a");
    capos_cap_t manager = manager_of(a), note = user_notification(a);
    struct derived first = derive(a, manager, note); /* its slab page stays with the ledger */
    struct ledger_state before = state_of(a);
    struct derived mine = derive(a, manager, note);
    struct ledger_state during = state_of(a);
    CHECK_EQ(during.used[LEDGER_CLASS_GRANTS], before.used[LEDGER_CLASS_GRANTS] + 1);
    CHECK_EQ(during.used[LEDGER_CLASS_TIMERS], before.used[LEDGER_CLASS_TIMERS] + 1);
    CHECK_EQ(during.used[LEDGER_CLASS_SLOTS], before.used[LEDGER_CLASS_SLOTS] + 2);
    CHECK_EQ(user_release(a, mine.grant), ST_OK);
    CHECK_EQ(ring_bell(a, mine.cap), ST_OK); /* letting go of the handle ends nothing */
    CHECK_EQ(user_release(a, mine.cap), ST_OK);
    struct ledger_state after = state_of(a);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    CHECK_EQ(ring_bell(a, first.cap), ST_OK);
    fixture_end();
}

TEST(derive_refused,
     "methods that are not held, a move, a time that has passed, a way too long, and what "
     "may not be copied are refused, and nothing changes")
{
    fixture_start(1);
    struct user *a = user_new("a");
    capos_cap_t manager = manager_of(a), note = user_notification(a);
    struct derived out = derive(a, manager, note);
    struct ledger_state before = state_of(a);
    uint64_t now_ns = arch_time_ns();
    CHECK_EQ(try_derive(a, manager, note, CAPOS_XFER_COPY, UINT64_C(1) << 63, 0, &out),
             ST_NO_METHOD);
    CHECK_EQ(try_derive(a, manager, note, CAPOS_XFER_MOVE, 0, 0, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(try_derive(a, manager, note, CAPOS_XFER_COPY, 0, now_ns, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(try_derive(a, manager, manager, CAPOS_XFER_COPY, 0, 0, &out), ST_NOT_TRANSFERABLE);
    CHECK_EQ(
        try_derive(a, manager, note + (1 << CAPOS_CAP_INDEX_BITS), CAPOS_XFER_COPY, 0, 0, &out),
        ST_BAD_CAP);
    struct ledger_state after = state_of(a);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    capos_cap_t cap = note;
    for (unsigned depth = 2; depth <= GRANT_MAX_DEPTH; depth++) {
        cap = derive(a, manager, cap).cap;
    }
    before = state_of(a);
    CHECK_EQ(try_derive(a, manager, cap, CAPOS_XFER_COPY, 0, 0, &out), ST_BAD_STATE);
    after = state_of(a);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    fixture_end();
}

TEST(derive_quota,
     "a derive without a free grant, timer or slot, or without memory, is refused QUOTA and "
     "changes nothing; taking back needs none of them")
{
    static const enum LedgerClass classes[] = {LEDGER_CLASS_GRANTS, LEDGER_CLASS_TIMERS,
                                               LEDGER_CLASS_SLOTS};
    fixture_start(1);
    struct user *a = user_new("a");
    capos_cap_t manager = manager_of(a), note = user_notification(a);
    struct derived mine = derive(a, manager, note), out;
    struct ledger *ledger = a->process->ledger;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t limit = atomic_load_relaxed(&ledger->limit[classes[i]]);
        uint64_t used = atomic_load_relaxed(&ledger->used[classes[i]]);
        atomic_store_relaxed(&ledger->limit[classes[i]], used);
        struct ledger_state before = state_of(a);
        CHECK_EQ(try_derive(a, manager, note, CAPOS_XFER_COPY, 0, 0, &out), ST_QUOTA);
        struct ledger_state after = state_of(a);
        CHECK_MEM_EQ(&before, &after, sizeof(before));
        atomic_store_relaxed(&ledger->limit[classes[i]], limit);
    }
    struct derived spare[64];
    for (unsigned i = 0; i < 64; i++) { /* until a new page is needed */
        frames_fail_at(1);
        struct ledger_state before = state_of(a);
        status_t status = try_derive(a, manager, note, CAPOS_XFER_COPY, 0, 0, &spare[i]);
        frames_fail_at(0);
        if (status != ST_OK) {
            struct ledger_state after = state_of(a);
            CHECK_EQ(status, ST_QUOTA);
            CHECK_MEM_EQ(&before, &after, sizeof(before));
            break;
        }
        CHECK(i < 63);
    }
    frames_fail_at(1);
    CHECK(take_back(a, mine.grant) > 0);
    frames_fail_at(0);
    CHECK_EQ(ring_bell(a, mine.cap), ST_DISCONNECTED);
    fixture_end();
}

TEST(derive_narrows, "a derived capability has the methods asked for and no others")
{
    fixture_start(1);
    struct user *a = user_new("a");
    capos_cap_t manager = manager_of(a), note = user_notification(a);
    struct derived out;
    struct capability held;
    uint64_t wait_only = UINT64_C(1) << Notification_wait_ORDINAL;
    CHECK_EQ(try_derive(a, manager, note, CAPOS_XFER_COPY, wait_only, 0, &out), ST_OK);
    CHECK_EQ(ring_bell(a, out.cap), ST_NO_METHOD);
    CHECK_EQ(user_look(a, out.cap, &held), ST_OK);
    CHECK_EQ(held.facet, wait_only);
    CHECK_STR_EQ(held.route->origin, "a test");
    CHECK_EQ(user_look(a, out.grant, &held), ST_OK);
    CHECK_EQ(held.facet & GrantRoot_FACET, 0);
    fixture_end();
}

TEST(derive_deadline,
     "a grant ends by itself when its time has come, with all below it, even when the "
     "handle is gone; one taken back before leaves no timer")
{
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t manager = manager_of(a), note = user_notification(a);
    const uint64_t second = 1000000000;
    struct derived early, timed;
    uint64_t now_ns = arch_time_ns();
    CHECK_EQ(try_derive(a, manager, note, CAPOS_XFER_COPY, 0, now_ns + 10 * second, &timed), ST_OK);
    CHECK_EQ(try_derive(a, manager, note, CAPOS_XFER_COPY, 0, now_ns + 20 * second, &early), ST_OK);
    capos_cap_t copy = user_pass_below(a, timed.cap, b, Notification_FACET);
    struct capos_sqe wait = sqe_wait(b, copy, CAPOS_EVENT_DEAD, 0);
    user_start(b, &wait);
    CHECK_EQ(user_release(a, timed.grant), ST_OK);
    CHECK(take_back(a, early.grant) > 0);
    CHECK_EQ(user_release(a, early.grant), ST_OK);
    fixture_advance(8 * second);
    CHECK_EQ(ring_bell(a, timed.cap), ST_OK);
    fixture_advance(3 * second);
    CHECK_EQ(ring_bell(a, timed.cap), ST_DISCONNECTED);
    CHECK_EQ(user_expect(b, wait.user_data).result, CAPOS_EVENT_DEAD);
    CHECK_EQ(ring_bell(b, copy), ST_DISCONNECTED);
    CHECK_EQ(ring_bell(a, note), ST_OK);
    CHECK_EQ(timers_next_ns(), ARCH_TIME_NEVER);
    fixture_end();
}

/* A subtree that no single slice ends. */
static void grow(struct user *user, capos_cap_t manager, capos_cap_t cap, unsigned nodes)
{
    for (unsigned i = 0; i < nodes; i++) {
        struct derived below = derive(user, manager, cap);
        CHECK_EQ(user_release(user, below.grant), ST_OK);
    }
}

TEST(revoke_long,
     "a long revocation is answered when all is done, to everybody who asked; who cancels is "
     "detached, and the grant ends all the same")
{
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t manager = manager_of(a), note = user_notification(a);
    struct derived mine = derive(a, manager, note);
    capos_cap_t theirs = user_pass_below(a, mine.grant, b, GrantHandle_FACET);
    grow(a, manager, mine.cap, 300);
    struct capos_sqe first = sqe_revoke(a, mine.grant), second = sqe_revoke(b, theirs);
    struct capos_sqe third = sqe_revoke(b, theirs), cancel = user_sqe(b, CAPOS_OP_CANCEL);
    user_submit(a, &first);
    user_submit(b, &second);
    cancel.cap = user_submit(b, &third);
    user_submit(b, &cancel);
    host_syscall(a->thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
    host_syscall(b->thread, CAPOS_SYS_ENTER, 3, CAPOS_FOREVER);
    fixture_settle();
    CHECK(user_expect(a, first.user_data).result > 0);
    struct capos_cqe cqe;
    unsigned answered = 0, cancelled = 0;
    while (user_reap(b, &cqe)) {
        answered += cqe.result > 0;
        cancelled += cqe.result == ST_CANCELLED;
    }
    CHECK(answered + cancelled == 2);
    CHECK_EQ(ring_bell(a, mine.cap), ST_DISCONNECTED);
    fixture_end();
}

static void revoker_dies(unsigned cut)
{
    fixture_start_seed(1, cut + 1);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t manager = manager_of(a), note = user_notification(a);
    struct derived mine = derive(a, manager, note);
    capos_cap_t copy = user_pass_below(a, mine.cap, b, Notification_FACET);
    grow(a, manager, mine.cap, 200);
    struct capos_sqe first = sqe_revoke(a, mine.grant);
    struct grant *top = user_route(a, mine.cap);
    user_submit(a, &first);
    host_syscall(a->thread, CAPOS_SYS_ENTER, 1, CAPOS_FOREVER);
    for (unsigned i = 0; i < cut; i++) {
        (void)host_step(0);
    }
    bool begun = !grant_is_live(top);
    CHECK_EQ(begun, cut != 0);
    user_terminate(a);
    fixture_settle();
    CHECK_EQ(ring_bell(b, copy), begun ? ST_DISCONNECTED : ST_OK);
    struct grant *at = top;
    for (grant_ref(at); at != NULL; at = grant_next(top, at)) {
        CHECK_EQ(grant_is_live(at), !begun);
    }
    grant_unref(top);
    fixture_end();
}

TEST(revoke_dies, "a revoker that dies in the middle of it leaves nothing half-revoked")
{
    for (unsigned cut = 0; cut < 12; cut++) {
        CHECK(test_apart(revoker_dies, cut));
    }
}

TEST(revoke_root, "the kernel's own grant cannot be taken back")
{
    struct kobj *root;
    fixture_start(1);
    struct user *a = user_new("a");
    CHECK_EQ(grant_handle_create_root(fixture_roots()->grant, &root), ST_OK);
    capos_cap_t handle = user_give(a, root, KTYPE_GRANT_HANDLE, GrantHandle_FACET);
    CHECK_EQ(take_back(a, handle), ST_BAD_STATE);
    CHECK(grant_is_live(fixture_roots()->grant));
    kobj_unref(root);
    fixture_end();
}

/* ---- looking on ---- */

struct line {
    char origin[64];
    unsigned depth;
    bool live;
};

static unsigned read_chain(GrantLine_list_r list, struct line *out, unsigned max)
{
    unsigned count = GrantLine_list_len(list);
    CHECK(count <= max);
    for (unsigned i = 0; i < count && i < max; i++) {
        GrantLine_r line = GrantLine_list_at(list, i);
        struct capnp_text origin = GrantLine_get_origin(line);
        snprintf(out[i].origin, sizeof(out[i].origin), "%.*s", (int)origin.len, origin.ptr);
        out[i].depth = GrantLine_get_depth(line);
        out[i].live = GrantLine_get_live(line);
    }
    return count;
}

/* What an explain answered: a Way at `at`, or a status. */
static int32_t read_way(struct user *user, const struct capos_cqe *cqe, uint64_t at,
                        struct line *lines, unsigned *count, bool *redacted)
{
    uint64_t buffer[256];
    if (cqe->result < 0) {
        return cqe->result;
    }
    Way_r results;
    user_read(user, at, buffer, (uint64_t)cqe->result);
    CHECK_EQ(Way_read(buffer, (size_t)cqe->result, &results), CAPNP_OK);
    *count = read_chain(Way_get_chain(results), lines, 8);
    *redacted = Way_get_redacted(results);
    return ST_OK;
}

static int32_t explain_own(struct user *user, capos_cap_t manager, capos_cap_t cap,
                           struct line *lines, unsigned *count, bool *redacted)
{
    uint64_t words[8], at;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    CapabilityManager_explain_params_set_id(CapabilityManager_explain_params_init(&builder), cap);
    struct capos_cqe cqe = user_call(user, manager, CapabilityManager_ID,
                                     CapabilityManager_explain_ORDINAL, &builder, NULL, 0, &at);
    return read_way(user, &cqe, at, lines, count, redacted);
}

TEST(explain_own, "explain tells one's own part of the way, and that the rest is not told")
{
    struct line lines[8];
    unsigned count;
    bool redacted = false;
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t manager = manager_of(a), managed = manager_of(b), note = user_notification(a);
    struct derived mine = derive(a, manager, note);
    REQUIRE_EQ(explain_own(a, manager, mine.cap, lines, &count, &redacted), ST_OK);
    CHECK_EQ(count, 2);
    CHECK_STR_EQ(lines[0].origin, "a test");
    CHECK_EQ(lines[0].depth, 2);
    CHECK_STR_EQ(lines[1].origin, "test");
    CHECK(redacted);
    capos_cap_t copy = user_pass_below(a, mine.cap, b, 1);
    REQUIRE_EQ(explain_own(b, managed, copy, lines, &count, &redacted), ST_OK);
    CHECK_EQ(count, 1);
    CHECK_STR_EQ(lines[0].origin, "below");
    CHECK(redacted && lines[0].live);
    CHECK(take_back(a, mine.grant) > 0);
    REQUIRE_EQ(explain_own(b, managed, copy, lines, &count, &redacted), ST_OK);
    CHECK_EQ(count, 1);
    CHECK_STR_EQ(lines[0].origin, "revoked, or its object has ended");
    CHECK(!lines[0].live);
    CHECK_EQ(explain_own(b, managed, copy + 1, lines, &count, &redacted), ST_NOT_FOUND);
    CHECK_EQ(explain_own(b, managed, UINT64_MAX, lines, &count, &redacted), ST_NOT_FOUND);
    fixture_end();
}

struct found {
    uint64_t place, process_id;
    capos_cap_t id;
    unsigned depth;
};

/* Asks until there are no more. */
static unsigned holders(struct user *user, capos_cap_t handle, capos_cap_t filter,
                        struct found *out, unsigned max)
{
    unsigned count = 0;
    uint64_t next = 0;
    for (unsigned asked = 0; asked < 1000; asked++) {
        uint64_t words[8], buffer[1024], at;
        struct capnp_builder builder;
        struct capos_transfer xfer = {.cap = filter};
        capnp_builder_init(&builder, words, sizeof(words));
        GrantHandle_holders_params_set_start(GrantHandle_holders_params_init(&builder), next);
        user->heap_next = (user->heap_next + 15) & ~UINT64_C(15);
        uint64_t heap = user->heap_next;
        struct capos_sqe sqe =
            sqe_method(user, handle, GrantHandle_ID, GrantHandle_holders_ORDINAL, &builder);
        if (filter != 0) {
            sqe_transfers(user, &sqe, user_ring(user)->next_sequence, &xfer, 1);
        }
        sqe_result(user, &sqe, sizeof(buffer), 0);
        at = sqe.result;
        struct capos_cqe cqe = user_do(user, &sqe);
        user->heap_next = heap;
        CHECK(cqe.result > 0);
        if (cqe.result <= 0) {
            return 0;
        }
        GrantHandle_holders_results_r results;
        user_read(user, at, buffer, (uint64_t)cqe.result);
        CHECK_EQ(GrantHandle_holders_results_read(buffer, (size_t)cqe.result, &results), CAPNP_OK);
        Holder_list_r list = GrantHandle_holders_results_get_holders(results);
        for (uint32_t i = 0; i < Holder_list_len(list) && count < max; i++, count++) {
            Holder_r holder = Holder_list_at(list, i);
            out[count] = (struct found){Holder_get_place(holder), Holder_get_process_id(holder),
                                        Holder_get_id(holder), Holder_get_depth(holder)};
        }
        next = GrantHandle_holders_results_get_next(results);
        if (next == 0) {
            return count;
        }
    }
    FAIL("holders has no end");
    return count;
}

static int32_t explain_place(struct user *user, capos_cap_t handle, uint64_t place, capos_cap_t id,
                             struct line *lines, unsigned *count, bool *redacted)
{
    uint64_t words[8], at;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    GrantHandle_explain_params_b params = GrantHandle_explain_params_init(&builder);
    GrantHandle_explain_params_set_place(params, place);
    GrantHandle_explain_params_set_id(params, id);
    struct capos_cqe cqe = user_call(user, handle, GrantHandle_ID, GrantHandle_explain_ORDINAL,
                                     &builder, NULL, 0, &at);
    return read_way(user, &cqe, at, lines, count, redacted);
}

TEST(holders_below,
     "an inspector sees who holds what below its grant, and the way from each holder up to "
     "it; nothing beside or above")
{
    enum { MANY = 60 };
    struct found found[MANY + 8];
    struct line lines[8];
    unsigned count;
    bool redacted = false;
    fixture_start(1);
    struct user *a = user_new("a"), *b = user_new("b");
    capos_cap_t manager = manager_of(a), note = user_notification(a), beside = user_notification(a);
    struct derived mine = derive(a, manager, note);
    for (unsigned i = 0; i < MANY; i++) {
        (void)user_pass_below(a, mine.cap, b, 1);
    }
    capos_cap_t foreign = user_pass_below(a, beside, b, 1);
    count = holders(a, mine.grant, 0, found, MANY + 8);
    CHECK_EQ(count, MANY + 1);
    unsigned at_a = 0, at_b = 0;
    for (unsigned i = 0; i < count; i++) {
        at_a += found[i].process_id == a->process->obj.id && found[i].id == mine.cap;
        at_b += found[i].process_id == b->process->obj.id && found[i].depth == 3;
        CHECK(found[i].id != foreign);
    }
    CHECK_EQ(at_a, 1);
    CHECK_EQ(at_b, MANY);
    CHECK_EQ(holders(a, mine.grant, note, found, MANY + 8), MANY + 1);
    CHECK_EQ(holders(a, mine.grant, beside, found, MANY + 8), 0);
    count = holders(a, mine.grant, 0, found, MANY + 8);
    struct found *last = found[0].process_id == b->process->obj.id ? &found[0] : &found[count - 1];
    unsigned length = 0;
    REQUIRE_EQ(explain_place(a, mine.grant, last->place, last->id, lines, &length, &redacted),
               ST_OK);
    CHECK_EQ(length, 2);
    CHECK_STR_EQ(lines[0].origin, "below");
    CHECK_STR_EQ(lines[1].origin, "a test");
    CHECK(redacted);
    CHECK_EQ(explain_place(a, mine.grant, last->place, foreign, lines, &length, &redacted),
             ST_NOT_FOUND);
    CHECK_EQ(explain_place(a, mine.grant, UINT64_MAX, last->id, lines, &length, &redacted),
             ST_NOT_FOUND);
    CHECK(take_back(a, mine.grant) > 0);
    CHECK_EQ(holders(a, mine.grant, 0, found, MANY + 8), 0);
    fixture_end();
}

TEST(regrant_fresh, "a regranted capability hangs below the grant root and not below its old route")
{
    struct kobj *root;
    uint64_t words[32], at;
    struct capnp_builder builder;
    struct capability held;
    fixture_start(1);
    struct user *a = user_new("a");
    CHECK_EQ(grant_handle_create_root(fixture_roots()->grant, &root), ST_OK);
    capos_cap_t handle = user_give(a, root, KTYPE_GRANT_HANDLE, GrantRoot_FACET);
    capos_cap_t manager = manager_of(a), note = user_notification(a);
    struct derived lease = derive(a, manager, note);
    struct capos_transfer xfer = {.cap = lease.cap};
    capnp_builder_init(&builder, words, sizeof(words));
    Derivation_b params = Derivation_init(&builder);
    Derivation_set_origin(params, "broker", 6);
    struct capos_cqe cqe =
        user_call(a, handle, GrantHandle_ID, GrantHandle_regrant_ORDINAL, &builder, &xfer, 1, &at);
    struct derived fresh = take_two(a, &cqe, at);
    CHECK_EQ(user_look(a, fresh.cap, &held), ST_OK);
    CHECK_EQ(held.route->depth, 1);
    CHECK_STR_EQ(held.route->origin, "broker");
    CHECK(take_back(a, lease.grant) > 0);
    CHECK_EQ(ring_bell(a, fresh.cap), ST_OK);
    CHECK(take_back(a, fresh.grant) > 0);
    CHECK_EQ(ring_bell(a, fresh.cap), ST_DISCONNECTED);
    CHECK_EQ(take_back(a, handle), ST_NO_METHOD);
    kobj_unref(root);
    fixture_end();
}

/* ---- attenuate ---- */

static struct capos_cqe attenuate(struct user *user, capos_cap_t manager, capos_cap_t cap,
                                  uint64_t methods)
{
    uint64_t words[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    CapabilityManager_attenuate_params_b params = CapabilityManager_attenuate_params_init(&builder);
    CapabilityManager_attenuate_params_set_capability(params, 0);
    CapabilityManager_attenuate_params_set_methods(params, methods);
    struct capos_transfer xfer = copy_of(cap);
    return user_call(user, manager, CapabilityManager_ID, CapabilityManager_attenuate_ORDINAL,
                     &builder, &xfer, 1, NULL);
}

TEST(capabilities_attenuate,
     "attenuate gives a subset of the methods and refuses any other NO_METHOD")
{
    fixture_start(1);
    struct user *user = user_new("narrow");
    capos_cap_t manager =
        user_give(user, &user->process->obj, KTYPE_CAPABILITY_MANAGER, CapabilityManager_FACET);
    capos_cap_t note = user_notification(user);
    struct capos_cqe cqe = attenuate(user, manager, note, NotificationWaiter_FACET);
    CHECK(cqe.result >= 0);
    struct capability held;
    CHECK_EQ(user_look(user, cqe.first_cap, &held), ST_OK);
    CHECK_EQ(held.facet, NotificationWaiter_FACET);
    struct ledger_state before = ledger_state(user->process->ledger);
    CHECK_EQ(attenuate(user, manager, cqe.first_cap, Notification_FACET).result, ST_NO_METHOD);
    CHECK_EQ(attenuate(user, manager, note, 0).result < 0, true);
    CHECK_EQ(attenuate(user, manager, note, 8).result, ST_NO_METHOD);
    CHECK_EQ(attenuate(user, manager, user->ledger, 1).result, ST_NOT_TRANSFERABLE);
    struct ledger_state after = ledger_state(user->process->ledger);
    CHECK_MEM_EQ(&before, &after, sizeof(after));
    fixture_end();
}
