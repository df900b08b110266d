/* SPDX-License-Identifier: MIT */
/*
 * Revocations against operations that are begun at the same moment on other CPUs.
 *
 * For each pair the revoker derives a capability, gives copies to two callers, and takes it back while they
 * use it as fast as they can: a notification that they signal, or an object that a server answers for.
 * It says when its revoke was answered (`done`). Nothing that a caller begins after that may succeed,
 * no bit may appear that was not there then, and no RETURN may find its call.
 *
 * REVOKE_PAIRS in the environment says how many pairs (docs/reference/tests.md).
 */
#include "tests/unit/kernel_race.h"
#include "tests/unit/test.h"

#include <sched.h>

#include "gen/capabilities.capnp.h"
#include "gen/grants.capnp.h"
#include "gen/notification.capnp.h"
#include "object/notification.h"

enum { CPUS = 4, CALLERS = 2, PAIRS = 400, PATIENCE = 1000, SLOTS = 16, SLOT_BYTES = 512 };

struct place {
    uint64_t pair; /* of the operation */
    bool signals;  /* else it calls */
    bool late;     /* begun after the revoke was answered */
    bool used;
};

struct player {
    struct user *user;
    unsigned seed;
    unsigned pending;
    struct place places[SLOTS];
    /* callers */
    uint64_t pair; /* of `mine` */
    capos_cap_t mine;
    /* the server */
    uint64_t call_id, call_pair;
    bool receives;
};

static struct player revoker, callers[CALLERS], server;
static capos_cap_t manager, note, object;
static struct notification *bell;

/* Published by the revoker: first the ids, then the number. */
static _Atomic uint64_t pair_now, done;
static _Atomic capos_cap_t caps[CALLERS];
static _Atomic uint64_t succeeded, refused, gone, answered;
static _Atomic bool over;
static uint64_t pairs_wanted;

static unsigned pick(struct player *player, unsigned n)
{
    return (unsigned)rand_r(&player->seed) % n;
}

static uint64_t buffer_of(unsigned slot)
{
    return USER_HEAP + slot * SLOT_BYTES;
}

/* user_data is the slot. */
static void submit(struct player *player, struct capos_sqe sqe, unsigned slot)
{
    sqe.user_data = slot;
    player->pending++;
    race_submit(player->user, &sqe);
}

static bool reap(struct player *player, struct capos_cqe *out)
{
    bool some = race_reap(player->user, out);
    player->pending -= some;
    return some;
}

/* ---- the revoker ---- */

static enum { DERIVE, DERIVED, REVOKE, REVOKED, LET_GO } stage;
static capos_cap_t derived, handle;

static void submit_derive(void)
{
    uint64_t words[16];
    size_t len = 0;
    struct capnp_builder builder;
    struct capos_transfer xfer = {.cap = atomic_load_relaxed(&done) % 2 != 0 ? note : object};
    capnp_builder_init(&builder, words, sizeof(words));
    (void)Derivation_init(&builder);
    CHECK_EQ(capnp_finish(&builder, &len), CAPNP_OK);
    struct capos_sqe sqe = sqe_call(revoker.user, manager, CapabilityManager_ID,
                                    CapabilityManager_derive_ORDINAL, buffer_of(0), (uint32_t)len);
    race_put_words(revoker.user, buffer_of(0), words, len);
    race_put(revoker.user, buffer_of(0) + len,
             __atomic_load_n(&user_ring(revoker.user)->next_sequence, __ATOMIC_RELAXED));
    race_put_words(revoker.user, buffer_of(0) + len + 8, &xfer, sizeof(xfer));
    sqe.xfer_count = 1;
    sqe.result = buffer_of(1);
    sqe.result_len = 256;
    sqe.accept_count = 2;
    submit(&revoker, sqe, 0);
}

/* As a spawn would: each copy under a grant of its own. The copies of the pair before are let go of. */
static void hand_out(void)
{
    atomic_store_seq_cst(&pair_now, 0); /* the ids are not of one pair now */
    for (unsigned i = 0; i < CALLERS; i++) {
        struct capability cap;
        capos_cap_t id = 0;
        CHECK_EQ(table_get(&revoker.user->process->table, derived, &cap, NULL), ST_OK);
        struct grant *route = NULL;
        CHECK_EQ(grant_derive(cap.route, callers[i].user->process->ledger, "", 0, &route), ST_OK);
        grant_unref(cap.route);
        cap.route = route;
        (void)table_release(&callers[i].user->process->table, atomic_load_relaxed(&caps[i]));
        CHECK_EQ(table_insert(&callers[i].user->process->table, &cap, CAP_HOP_SPAWN, &id), ST_OK);
        atomic_store_seq_cst(&caps[i], id);
    }
    atomic_store_seq_cst(&pair_now, atomic_load_relaxed(&done) + 1);
}

static uint64_t take_bits(void)
{
    lock_acquire(&bell->obj.lock);
    uint64_t bits = bell->pending;
    bell->pending = 0;
    lock_release(&bell->obj.lock);
    return bits;
}

/* Does what comes next; true: it has to be entered for. */
static void revoker_turn(void)
{
    struct capos_cqe cqe;
    while (reap(&revoker, &cqe)) {
        if (stage == DERIVED) {
            CHECK(cqe.result >= 0 && cqe.cap_count == 2);
            uint64_t at = buffer_of(1) + (uint64_t)cqe.result;
            derived = race_get(revoker.user, at);
            handle = race_get(revoker.user, at + sizeof(struct capos_cap_record));
            stage = REVOKE;
        } else if (stage == REVOKED) {
            CHECK(cqe.result > 0);
            (void)take_bits();
            atomic_store_seq_cst(&done, atomic_load_relaxed(&pair_now));
            stage = LET_GO;
        } else if (stage == LET_GO && revoker.pending == 0) {
            stage = DERIVE;
        }
    }
    if (stage == DERIVE && revoker.pending == 0) {
        if (take_bits() != 0) {
            FAIL("a bit was signalled after its revoke was answered");
        }
        /* Not before the callers had a CPU, which on a busy machine may be a while. */
        uint64_t pairs = atomic_load_relaxed(&done);
        bool raced = atomic_load_relaxed(&succeeded) > 0 && atomic_load_relaxed(&refused) > 0;
        if (pairs >= pairs_wanted && (raced || pairs == pairs_wanted * PATIENCE)) {
            atomic_store_seq_cst(&over, true);
        }
        submit_derive();
        stage = DERIVED;
    } else if (stage == REVOKE) {
        hand_out();
        for (unsigned spin = pick(&revoker, 3); spin > 0; spin--) {
            sched_yield();
        }
        struct capos_sqe sqe = sqe_call(revoker.user, handle, GrantHandle_ID,
                                        GrantHandle_revoke_ORDINAL, buffer_of(2), 8);
        race_put(revoker.user, buffer_of(2), 0);
        sqe.result = buffer_of(3);
        sqe.result_len = 64;
        submit(&revoker, sqe, 0);
        stage = REVOKED;
    } else if (stage == LET_GO && revoker.pending == 0) {
        struct capos_sqe one = {.op = CAPOS_OP_RELEASE, .cap = derived};
        struct capos_sqe two = {.op = CAPOS_OP_RELEASE, .cap = handle};
        submit(&revoker, one, 0);
        submit(&revoker, two, 0);
    }
    race_enter(revoker.user, 1);
}

/* ---- callers ---- */

static struct place *free_place(struct player *player, unsigned *slot_out)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (!player->places[i].used) {
            *slot_out = i;
            return &player->places[i];
        }
    }
    return NULL;
}

static void begin_one(struct player *caller)
{
    unsigned slot;
    struct place *place = free_place(caller, &slot);
    if (place == NULL || caller->mine == 0) {
        return;
    }
    struct capos_sqe sqe = {.op = CAPOS_OP_SIGNAL, .cap = caller->mine, .params = 1};
    bool signals = caller->pair % 2 == 0;
    if (!signals) {
        sqe = sqe_call(caller->user, caller->mine, FIXTURE_INTERFACE, 0, buffer_of(slot), 8);
        race_put(caller->user, buffer_of(slot), caller->pair);
        sqe.result = buffer_of(slot) + 128;
        sqe.result_len = 128;
    }
    bool late = atomic_load_seq_cst(&done) >= caller->pair;
    *place = (struct place){.pair = caller->pair, .signals = signals, .late = late, .used = true};
    submit(caller, sqe, slot);
}

static void caller_turn(struct player *caller)
{
    struct capos_cqe cqe;
    while (reap(caller, &cqe)) {
        struct place *place = &caller->places[cqe.user_data];
        place->used = false;
        bool good = cqe.result >= 0;
        if (good && place->late) {
            FAIL("an operation that was begun after the revoke succeeded");
        }
        if (!good && cqe.result != ST_DISCONNECTED &&
            !(cqe.result == ST_BAD_CAP && atomic_load_seq_cst(&done) >= place->pair)) {
            printf("# result %d\n", cqe.result);
            FAIL("an operation through a revoked capability ended in another way");
        }
        atomic_add_relaxed(good ? &succeeded : &refused, 1);
    }
    uint64_t now = atomic_load_seq_cst(&pair_now);
    capos_cap_t cap = atomic_load_seq_cst(&caps[caller - callers]);
    if (now == 0 || atomic_load_seq_cst(&pair_now) != now) {
        now = caller->pair;
    }
    if (now != caller->pair && caller->pending == 0) {
        caller->pair = now;
        caller->mine = cap;
    }
    if (now == caller->pair) {
        for (unsigned n = 1 + pick(caller, 3); n > 0; n--) {
            begin_one(caller);
        }
    }
    race_enter(caller->user, caller->pending != 0 && pick(caller, 2) == 0);
}

/* ---- the server ---- */

static capos_cap_t endpoint;

static void server_turn(void)
{
    struct capos_cqe cqe;
    while (reap(&server, &cqe)) {
        struct place *place = &server.places[cqe.user_data];
        if (cqe.user_data == 1) {
            if (cqe.result == ST_OK && place->late) {
                FAIL("a RETURN found its call after the revoke");
            }
            CHECK(cqe.result == ST_OK || cqe.result == ST_GONE);
            atomic_add_relaxed(cqe.result == ST_OK ? &answered : &gone, 1);
            continue;
        }
        server.receives = false;
        if (cqe.result > 0) {
            server.call_id = race_get(server.user, buffer_of(0));
            server.call_pair = race_get(server.user, buffer_of(0) + sizeof(struct capos_received));
        }
    }
    if (server.call_id != 0) {
        struct capos_sqe sqe = {.op = CAPOS_OP_RETURN, .interface = server.call_id};
        server.places[1].late = atomic_load_seq_cst(&done) >= server.call_pair;
        server.call_id = 0;
        submit(&server, sqe, 1);
    } else if (!server.receives && server.pending == 0) {
        struct capos_sqe sqe = {.op = CAPOS_OP_RECV, .cap = endpoint};
        sqe.result = buffer_of(0);
        sqe.result_len = SLOT_BYTES;
        sqe.accept_count = 1;
        server.receives = true;
        submit(&server, sqe, 0);
    }
    race_enter(server.user, 1);
}

static void turn(struct thread *thread)
{
    struct player *player = thread->arch.user;
    if (atomic_load_seq_cst(&over)) {
        host_syscall(thread, CAPOS_SYS_EXIT, 0, 0);
    } else if (player == &revoker) {
        revoker_turn();
    } else if (player == &server) {
        server_turn();
    } else {
        caller_turn(player);
    }
}

static void make_players(void)
{
    revoker.user = user_new("revoker");
    server.user = user_new("server");
    manager = user_give(revoker.user, &revoker.user->process->obj, KTYPE_CAPABILITY_MANAGER,
                        CapabilityManager_FACET);
    note = user_notification(revoker.user);
    bell = CONTAINER_OF(user_object(revoker.user, note), struct notification, obj);
    endpoint = user_endpoint(server.user, 64, 1);
    object = user_pass(server.user, user_mint(server.user, endpoint, 1), revoker.user, 1);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i].user = user_new("caller");
        callers[i].seed = i + 1;
    }
    struct player *all[] = {&revoker, &server, &callers[0], &callers[1]};
    for (unsigned i = 0; i < 4; i++) {
        struct user *user = all[i]->user;
        user->thread->arch.user = all[i];
        all[i]->seed = i + 1;
    }
}

static bool all_reaped(void)
{
    return fixture_reaped(revoker.user->process) && fixture_reaped(server.user->process) &&
           fixture_reaped(callers[0].user->process) && fixture_reaped(callers[1].user->process);
}

TEST(revoke_races,
     "of operations that race with a revoke on other CPUs not one that is begun after it "
     "was answered succeeds, has an effect, or is answered")
{
    const char *text = getenv("REVOKE_PAIRS");
    pairs_wanted = text != NULL ? strtoull(text, NULL, 10) : PAIRS;
    fixture_start_real(CPUS);
    make_players();
    fixture_run(turn, all_reaped);
    struct user *all[] = {revoker.user, server.user, callers[0].user, callers[1].user};
    race_ended(all, 4);
    printf("# %llu pairs: %llu operations succeeded, %llu refused; %llu answered, %llu gone\n",
           (unsigned long long)atomic_load_relaxed(&done),
           (unsigned long long)atomic_load_relaxed(&succeeded),
           (unsigned long long)atomic_load_relaxed(&refused),
           (unsigned long long)atomic_load_relaxed(&answered),
           (unsigned long long)atomic_load_relaxed(&gone));
    CHECK(atomic_load_relaxed(&done) >= pairs_wanted);
    CHECK(atomic_load_relaxed(&succeeded) > 0 && atomic_load_relaxed(&refused) > 0);
    fixture_end();
}
