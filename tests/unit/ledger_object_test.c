/* SPDX-License-Identifier: MIT */
/* The Ledger capability: carves, moved limits, donations. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include "arch/time.h"
#include "gen/endpoint.capnp.h"
#include "gen/kernel/types.h"
#include "gen/ledger.capnp.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "mem/frames.h"
#include "object/process.h"

enum { WORDS = 64 };

static uint64_t words[WORDS];
static struct capnp_builder builder;

/* What limits a call names; at most three. */
struct limit {
    unsigned ledger_class;
    uint64_t amount;
};
#define LIMITS(...) ((const struct limit[4]){__VA_ARGS__, {0, 0}})

static uint32_t count_of(const struct limit *limits)
{
    uint32_t count = 0;
    while (limits[count].amount != 0) {
        count++;
    }
    return count;
}

static void fill(Limit_list_b list, const struct limit *limits)
{
    for (uint32_t i = 0; i < count_of(limits); i++) {
        Limit_set_ledger_class(Limit_list_b_at(list, i), (enum LedgerClass)limits[i].ledger_class);
        Limit_set_amount(Limit_list_b_at(list, i), limits[i].amount);
    }
}

static struct capos_cqe carve(struct user *user, capos_cap_t ledger, const char *name,
                              const struct limit *limits)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_carve_params_b params = Ledger_carve_params_init(&builder);
    Ledger_carve_params_set_name(params, name, strlen(name));
    fill(Ledger_carve_params_init_limits(params, count_of(limits)), limits);
    return user_call(user, ledger, Ledger_ID, Ledger_carve_ORDINAL, &builder, NULL, 0, NULL);
}

static capos_cap_t good_carve(struct user *user, const struct limit *limits)
{
    struct capos_cqe cqe = carve(user, user->ledger, "carve", limits);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

static struct capos_cqe move(struct user *user, capos_cap_t ledger, uint16_t method,
                             capos_cap_t child, const struct limit *limits)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_grow_params_b params = Ledger_grow_params_init(&builder); /* shrink's are the same */
    Ledger_grow_params_set_child(params, 0);
    fill(Ledger_grow_params_init_limits(params, count_of(limits)), limits);
    struct capos_transfer xfer = copy_of(child);
    return user_call(user, ledger, Ledger_ID, method, &builder, &xfer, 1, NULL);
}

static struct capos_cqe revoke_child(struct user *user, capos_cap_t child, uint64_t until_ns)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_revoke_params_b params = Ledger_revoke_params_init(&builder);
    Ledger_revoke_params_set_until_ns(params, until_ns);
    struct capos_transfer xfer = copy_of(child);
    return user_call(user, user->ledger, Ledger_ID, Ledger_revoke_ORDINAL, &builder, &xfer, 1,
                     NULL);
}

static struct capos_cqe mint_on(struct user *user, capos_cap_t ledger, capos_cap_t endpoint,
                                uint64_t key)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_mint_params_b params = Ledger_mint_params_init(&builder);
    Ledger_mint_params_set_key(params, key);
    Ledger_mint_params_set_interface(params, FIXTURE_INTERFACE);
    Ledger_mint_params_set_methods(params, 0xff);
    struct capos_transfer xfer = copy_of(endpoint);
    return user_call(user, ledger, Ledger_ID, Ledger_mint_ORDINAL, &builder, &xfer, 1, NULL);
}

static struct ledger *behind(struct user *user, capos_cap_t cap)
{
    return ledger_of(user_object(user, cap));
}

static uint64_t used(struct ledger *ledger, enum LedgerClass c)
{
    return atomic_load_relaxed(&ledger->used[c]);
}

static uint64_t limit(struct ledger *ledger, enum LedgerClass c)
{
    return atomic_load_relaxed(&ledger->limit[c]);
}

static int32_t note_on(struct user *user, capos_cap_t ledger, capos_cap_t *out)
{
    struct capos_cqe cqe =
        user_call_plain(user, ledger, Ledger_ID, Ledger_new_notification_ORDINAL, NULL);
    *out = cqe.result >= 0 ? cqe.first_cap : 0;
    return cqe.result;
}

TEST(carve_works,
     "a carve takes its limits from its parent, pays for what is made with it, and gives "
     "all back when it is dropped")
{
    fixture_start(1);
    struct user *user = user_new("parent");
    struct ledger *own = user->process->ledger;
    struct ledger_state before = ledger_state(own);
    capos_cap_t cap =
        good_carve(user, LIMITS({LEDGER_CLASS_KERNEL_PAGES, 2}, {LEDGER_CLASS_SLOTS, 3}));
    struct ledger *child = behind(user, cap);
    CHECK_EQ(strcmp(child->name, "carve"), 0);
    CHECK_EQ(limit(child, LEDGER_CLASS_KERNEL_PAGES), 2);
    CHECK_EQ(limit(child, LEDGER_CLASS_FRAMES), 0);
    CHECK_EQ(used(own, LEDGER_CLASS_SLOTS), before.used[LEDGER_CLASS_SLOTS] + 3 + 1);
    capos_cap_t note;
    CHECK(note_on(user, cap, &note) >= 0);
    CHECK_EQ(used(child, LEDGER_CLASS_KERNEL_PAGES), 1);
    CHECK_EQ(user_release(user, cap), ST_OK);
    CHECK_EQ(used(own, LEDGER_CLASS_SLOTS), before.used[LEDGER_CLASS_SLOTS] + 1);
    CHECK_EQ(user_release(user, note), ST_OK);
    struct ledger_state after = ledger_state(own);
    CHECK_MEM_EQ(&before, &after, sizeof(after));
    fixture_end();
}

TEST(carve_refusals,
     "a carve with a bad name, a class twice or unknown, or of more than there is, is "
     "refused and changes nothing")
{
    fixture_start(1);
    struct user *user = user_new("parent");
    struct ledger *own = user->process->ledger;
    struct ledger_state before = ledger_state(own);
    CHECK_EQ(carve(user, user->ledger, "", LIMITS({LEDGER_CLASS_SLOTS, 1})).result,
             ST_BAD_ARGUMENT);
    CHECK_EQ(carve(user, user->ledger, "a b", LIMITS({LEDGER_CLASS_SLOTS, 1})).result,
             ST_BAD_ARGUMENT);
    CHECK_EQ(
        carve(user, user->ledger, "twice", LIMITS({LEDGER_CLASS_SLOTS, 1}, {LEDGER_CLASS_SLOTS, 1}))
            .result,
        ST_BAD_ARGUMENT);
    CHECK_EQ(carve(user, user->ledger, "unknown", LIMITS({LEDGER_CLASSES, 1})).result,
             ST_BAD_ARGUMENT);
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        struct capos_cqe cqe = carve(user, user->ledger, "much", LIMITS({c, UINT64_C(1) << 50}));
        CHECK_EQ(cqe.result, ST_QUOTA);
        CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
        CHECK_EQ(cqe.needed, c);
        struct ledger_state after = ledger_state(own);
        CHECK_MEM_EQ(&before, &after, sizeof(after));
    }
    fixture_end();
}

TEST(carve_depth, "ledgers nest 32 deep and no deeper")
{
    fixture_start(1);
    struct user *user = user_new("parent");
    capos_cap_t chain[LEDGER_MAX_DEPTH];
    unsigned depth = 0;
    struct capos_cqe cqe;
    capos_cap_t at = user->ledger;
    while ((cqe = carve(user, at, "deep", LIMITS({LEDGER_CLASS_KERNEL_PAGES, 80 - 2 * depth})))
               .result >= 0) {
        REQUIRE_EQ(depth < LEDGER_MAX_DEPTH, true);
        at = chain[depth++] = cqe.first_cap;
    }
    CHECK_EQ(cqe.result, ST_BAD_STATE);
    CHECK_EQ(depth, LEDGER_MAX_DEPTH - 1); /* the process's own is one */
    while (depth-- > 0) {
        CHECK_EQ(user_release(user, chain[depth]), ST_OK);
    }
    fixture_end();
}

TEST(limits_move,
     "grow and shrink move limits between parent and child, all or nothing; what is used "
     "stays, and only one's own children are touched")
{
    fixture_start(1);
    struct user *user = user_new("parent");
    struct ledger *own = user->process->ledger;
    capos_cap_t cap = good_carve(user, LIMITS({LEDGER_CLASS_KERNEL_PAGES, 1}));
    capos_cap_t other = good_carve(user, LIMITS({LEDGER_CLASS_KERNEL_PAGES, 3}));
    struct ledger *child = behind(user, cap);
    capos_cap_t note;
    CHECK(note_on(user, cap, &note) >= 0);
    uint64_t pages = used(own, LEDGER_CLASS_KERNEL_PAGES);
    CHECK(move(user, user->ledger, Ledger_grow_ORDINAL, cap,
               LIMITS({LEDGER_CLASS_KERNEL_PAGES, 2}, {LEDGER_CLASS_SLOTS, 5}))
              .result >= 0);
    CHECK_EQ(limit(child, LEDGER_CLASS_KERNEL_PAGES), 3);
    CHECK_EQ(limit(child, LEDGER_CLASS_SLOTS), 5);
    CHECK_EQ(used(own, LEDGER_CLASS_KERNEL_PAGES), pages + 2);
    struct ledger_state before = ledger_state(own);
    struct ledger_state child_before = ledger_state(child);
    struct capos_cqe cqe = move(user, user->ledger, Ledger_shrink_ORDINAL, cap,
                                LIMITS({LEDGER_CLASS_SLOTS, 5}, {LEDGER_CLASS_KERNEL_PAGES, 3}));
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_KERNEL_PAGES);
    CHECK_EQ(
        move(user, user->ledger, Ledger_grow_ORDINAL, cap, LIMITS({LEDGER_CLASS_SLOTS, UINT64_MAX}))
            .result,
        ST_QUOTA);
    CHECK_EQ(move(user, cap, Ledger_grow_ORDINAL, other, LIMITS({LEDGER_CLASS_SLOTS, 1})).result,
             ST_BAD_ARGUMENT);
    CHECK_EQ(move(user, other, Ledger_shrink_ORDINAL, cap, LIMITS({LEDGER_CLASS_SLOTS, 1})).result,
             ST_BAD_ARGUMENT);
    CHECK_EQ(move(user, user->ledger, Ledger_shrink_ORDINAL, note, LIMITS({LEDGER_CLASS_SLOTS, 1}))
                 .result,
             ST_WRONG_INTERFACE);
    struct ledger_state after = ledger_state(own);
    struct ledger_state child_after = ledger_state(child);
    CHECK_MEM_EQ(&before, &after, sizeof(after));
    CHECK_MEM_EQ(&child_before, &child_after, sizeof(after));
    CHECK(move(user, user->ledger, Ledger_shrink_ORDINAL, cap,
               LIMITS({LEDGER_CLASS_SLOTS, 5}, {LEDGER_CLASS_KERNEL_PAGES, 2}))
              .result >= 0);
    CHECK_EQ(limit(child, LEDGER_CLASS_KERNEL_PAGES), 1);
    CHECK_EQ(used(own, LEDGER_CLASS_KERNEL_PAGES), pages);
    CHECK_EQ(used(own, LEDGER_CLASS_SLOTS), before.used[LEDGER_CLASS_SLOTS] - 5);
    fixture_end();
}

TEST(lent_ledger,
     "a process that lives on a lent ledger charges it, and gives all back but the ledger")
{
    fixture_start(1);
    struct user *user = user_new("parent");
    capos_cap_t cap = good_carve(user, LIMITS({LEDGER_CLASS_KERNEL_PAGES, 60},
                                              {LEDGER_CLASS_FRAMES, 40}, {LEDGER_CLASS_SLOTS, 9}));
    CHECK(move(user, user->ledger, Ledger_grow_ORDINAL, cap,
               LIMITS({LEDGER_CLASS_VIRTUAL_PAGES, 300}, {LEDGER_CLASS_CALLS, 64},
                      {LEDGER_CLASS_WAITERS, 64}))
              .result >= 0);
    CHECK(move(user, user->ledger, Ledger_grow_ORDINAL, cap,
               LIMITS({LEDGER_CLASS_TIMERS, 65}, {LEDGER_CLASS_THREADS, 1}))
              .result >= 0);
    struct ledger *lent = behind(user, cap);
    struct ledger_state before = ledger_state(lent);
    struct process *process;
    CHECK_EQ(
        fixture_process(user->process->ledger, lent, session_boot(), NULL, "lodger", 32, &process),
        ST_OK);
    CHECK_EQ(used(lent, LEDGER_CLASS_CALLS), 64);
    CHECK_EQ(used(lent, LEDGER_CLASS_THREADS), 1);
    CHECK_EQ(fixture_process(user->process->ledger, lent, session_boot(), NULL, "second", 32,
                             &(struct process *){NULL}),
             ST_QUOTA);
    process_abandon(process);
    host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
    fixture_settle();
    struct ledger_state after = ledger_state(lent);
    CHECK_MEM_EQ(&before, &after, sizeof(after));
    CHECK(note_on(user, cap, &cap) >= 0);
    fixture_end();
}

/* ---- donations ---- */

struct donation {
    struct user *donor, *server;
    capos_cap_t carve;    /* the donor's */
    capos_cap_t donated;  /* the server's, charge-only */
    capos_cap_t endpoint; /* the server's */
};

static struct donation donate(void)
{
    struct donation d;
    fixture_start(1);
    d.donor = user_new("donor");
    d.server = user_new("server");
    d.endpoint = user_endpoint(d.server, 256, 1);
    d.carve = good_carve(d.donor, LIMITS({LEDGER_CLASS_SERVED_OBJECTS, 3},
                                         {LEDGER_CLASS_KERNEL_PAGES, 2}, {LEDGER_CLASS_FRAMES, 1}));
    d.donated = user_pass(d.donor, d.carve, d.server, LedgerDonation_FACET);
    return d;
}

/* A served object on the donation, as `user` has it. */
static capos_cap_t paid_object(const struct donation *d, struct user *user)
{
    struct capos_cqe cqe = mint_on(d->server, d->donated, d->endpoint, 1);
    return user_pass(d->server, cqe.first_cap, user, 0xff);
}

static int32_t call_now(struct user *user, capos_cap_t object, struct capos_sqe *sqe)
{
    *sqe = sqe_call(user, object, FIXTURE_INTERFACE, 0, user_message(user, NULL, 0), 0);
    sqe_result(user, sqe, 64, 0);
    struct capos_cqe cqe;
    user_start(user, sqe);
    fixture_settle();
    return user_reap(user, &cqe) ? cqe.result : 1;
}

TEST(donation_charges,
     "a server charges what it mints for a client to the client's donation, up to its "
     "limit, and learns nothing of it")
{
    struct donation d = donate();
    struct ledger *ledger = behind(d.donor, d.carve);
    struct ledger_state before = ledger_state(d.server->process->ledger);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(mint_on(d.server, d.donated, d.endpoint, i).result >= 0);
    }
    CHECK_EQ(used(ledger, LEDGER_CLASS_SERVED_OBJECTS), 3);
    CHECK_EQ(used(d.server->process->ledger, LEDGER_CLASS_SERVED_OBJECTS), 0);
    CHECK_EQ(used(d.server->process->ledger, LEDGER_CLASS_GRANTS),
             before.used[LEDGER_CLASS_GRANTS] + 1);
    struct capos_cqe cqe = mint_on(d.server, d.donated, d.endpoint, 3);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_SERVED_OBJECTS);
    const uint16_t hidden[] = {Ledger_usage_ORDINAL, Ledger_new_endpoint_ORDINAL,
                               Ledger_new_notification_ORDINAL};
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(user_call_plain(d.server, d.donated, Ledger_ID, hidden[i], NULL).result,
                 ST_NO_METHOD);
    }
    CHECK_EQ(carve(d.server, d.donated, "more", LIMITS({LEDGER_CLASS_FRAMES, 1})).result,
             ST_NO_METHOD);
    fixture_end();
}

TEST(donation_of_one,
     "a donation belongs to the server that minted on it first; minting needs the serve "
     "capability's own right")
{
    struct donation d = donate();
    CHECK(mint_on(d.server, d.donated, d.endpoint, 1).result >= 0);
    struct user *thief = user_new("thief");
    capos_cap_t second = user_endpoint(thief, 64, 0);
    capos_cap_t seen = user_pass(d.server, d.donated, thief, LedgerDonation_FACET);
    CHECK_EQ(mint_on(thief, seen, second, 1).result, ST_BAD_STATE);
    capos_cap_t deaf = user_pass(d.server, d.endpoint, d.server, EndpointOwn_FACET);
    CHECK_EQ(mint_on(d.server, d.donated, deaf, 1).result, ST_NO_METHOD);
    CHECK_EQ(mint_on(d.server, d.donated, d.donated, 1).result, ST_WRONG_INTERFACE);
    CHECK_EQ(used(behind(d.donor, d.carve), LEDGER_CLASS_SERVED_OBJECTS), 1);
    fixture_end();
}

TEST(donation_revoked,
     "a revoked donation tells its server, takes no new charge, and its objects, no "
     "others, die at the deadline with the calls that wait for them")
{
    struct donation d = donate();
    struct capos_cqe cqe = mint_on(d.server, d.donated, d.endpoint, 1);
    capos_cap_t object = cqe.first_cap;
    capos_cap_t other = user_mint(d.server, d.endpoint, 2);
    struct capos_sqe wait = sqe_wait(d.server, d.donated, CAPOS_EVENT_DEAD, 0);
    user_start(d.server, &wait);
    struct ledger *own = d.donor->process->ledger;
    uint64_t timers = used(own, LEDGER_CLASS_TIMERS);
    uint64_t until = arch_time_ns() + 1000000000;
    CHECK(revoke_child(d.donor, d.carve, until).result >= 0);
    fixture_settle();
    CHECK_EQ(user_expect(d.server, wait.user_data).result, CAPOS_EVENT_DEAD);
    CHECK_EQ(mint_on(d.server, d.donated, d.endpoint, 3).result, ST_DISCONNECTED);
    CHECK_EQ(used(own, LEDGER_CLASS_SERVED_OBJECTS), 1);
    CHECK_EQ(used(own, LEDGER_CLASS_TIMERS), timers + 1);
    CHECK_EQ(revoke_child(d.donor, d.carve, until).result, ST_DISCONNECTED);
    struct capos_sqe waiting, staying, late;
    CHECK_EQ(call_now(d.server, object, &waiting), 1);
    CHECK_EQ(call_now(d.server, other, &staying), 1);
    fixture_advance(2000000000);
    CHECK_EQ(user_expect(d.server, waiting.user_data).result, ST_DISCONNECTED);
    CHECK_EQ(call_now(d.server, object, &late), ST_DISCONNECTED);
    CHECK_EQ(call_now(d.server, other, &late), 1);
    CHECK_EQ(used(own, LEDGER_CLASS_TIMERS), timers);
    fixture_end();
}

TEST(donation_ends_now, "revoked with the time 0 its objects die at once, with no end they live on")
{
    for (unsigned never = 0; never < 2; never++) {
        struct donation d = donate();
        capos_cap_t object = paid_object(&d, d.donor);
        CHECK(revoke_child(d.donor, d.carve, never ? CAPOS_FOREVER : 0).result >= 0);
        struct capos_sqe sqe;
        CHECK_EQ(call_now(d.donor, object, &sqe), never ? 1 : ST_DISCONNECTED);
        fixture_end();
    }
}

TEST(donation_unpaid_end,
     "a revoke whose timer cannot be paid for, or is more than a minute away, is refused and "
     "changes nothing")
{
    struct donation d = donate();
    struct ledger *own = d.donor->process->ledger;
    uint64_t room = limit(own, LEDGER_CLASS_TIMERS) - used(own, LEDGER_CLASS_TIMERS);
    CHECK_EQ(ledger_charge(own, LEDGER_CLASS_TIMERS, room), ST_OK);
    struct capos_cqe cqe = revoke_child(d.donor, d.carve, arch_time_ns() + 1000000000);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_TIMERS);
    ledger_refund(own, LEDGER_CLASS_TIMERS, room);
    CHECK_EQ(revoke_child(d.donor, d.carve, arch_time_ns() + UINT64_C(61000000000)).result,
             ST_BAD_ARGUMENT);
    CHECK_EQ(revoke_child(d.donor, d.donor->ledger, 0).result, ST_NOT_TRANSFERABLE);
    CHECK(mint_on(d.server, d.donated, d.endpoint, 1).result >= 0);
    fixture_end();
}

TEST(donor_gone,
     "when the donor has ended nothing more is charged to its donation; what is there stays")
{
    struct donation d = donate();
    capos_cap_t object = paid_object(&d, d.server);
    user_terminate(d.donor);
    CHECK_EQ(mint_on(d.server, d.donated, d.endpoint, 2).result, ST_DISCONNECTED);
    struct capos_sqe sqe;
    CHECK_EQ(call_now(d.server, object, &sqe), 1);
    fixture_end();
}

TEST(server_gone,
     "objects on a donation die with the server that minted them, and the room comes back")
{
    struct donation d = donate();
    capos_cap_t object = paid_object(&d, d.donor);
    user_exit(d.server, 0);
    struct capos_sqe sqe;
    CHECK_EQ(call_now(d.donor, object, &sqe), ST_DISCONNECTED);
    CHECK_EQ(user_release(d.donor, object), ST_OK);
    CHECK_EQ(used(behind(d.donor, d.carve), LEDGER_CLASS_SERVED_OBJECTS), 0);
    fixture_end();
}
