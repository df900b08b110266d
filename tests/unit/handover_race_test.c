/* SPDX-License-Identifier: MIT */
/*
 * HANDOVERs against receives, answers and clients on other CPUs.
 *
 * Two instances serve one endpoint and try to answer every call, whoever has received it; the owner hands over from
 * one to the other and back without a pause. Each call must be answered exactly once, by who has it then, and the
 * client must get that answer.
 *
 * HANDOVER_CALLS in the environment says how many calls.
 */
#include "tests/unit/kernel_race.h"
#include "tests/unit/test.h"

#include "gen/endpoint.capnp.h"
#include "gen/process.capnp.h"

enum { CPUS = 4, CALLS = 200, SLOTS = 8, SLOT_BYTES = 512, KNOWN = 16 };
enum { OWNER, SERVER_A, SERVER_B, CLIENT, RACERS };

struct racer {
    struct user *user;
    unsigned seed;
    unsigned pending;
    bool used[SLOTS + 1];
    uint64_t returns; /* the id that slot SLOTS tries to answer */
};

static struct racer racers[RACERS];
static capos_cap_t endpoint, handles[2], serve[2], object;
static _Atomic uint64_t known[KNOWN]; /* calls received and not answered yet */
static _Atomic uint64_t begun, ended, answered, gone, moved, handovers;
static _Atomic bool over;
static uint64_t wanted;

static uint64_t buffer_of(unsigned slot)
{
    return USER_HEAP + slot * SLOT_BYTES;
}

static void submit(struct racer *racer, struct capos_sqe sqe, unsigned slot)
{
    sqe.user_data = slot;
    racer->used[slot] = true;
    racer->pending++;
    race_submit(racer->user, &sqe);
}

static bool reap(struct racer *racer, struct capos_cqe *out)
{
    if (!race_reap(racer->user, out)) {
        return false;
    }
    racer->pending--;
    racer->used[out->user_data] = false;
    return true;
}

static void owner_turn(struct racer *owner)
{
    struct capos_cqe cqe;
    while (reap(owner, &cqe)) {
        CHECK(cqe.result >= 0);
        atomic_add_relaxed(&moved, (uint64_t)cqe.result);
        atomic_add_relaxed(&handovers, 1);
    }
    if (owner->pending == 0) {
        unsigned from = atomic_load_relaxed(&handovers) % 2;
        struct capos_sqe sqe = {.op = CAPOS_OP_HANDOVER, .cap = endpoint};
        sqe.params = handles[from];
        sqe.interface = handles[1 - from];
        submit(owner, sqe, 0);
    }
    race_enter(owner->user, 1);
}

static void note_call(uint64_t id)
{
    for (unsigned i = 0; i < KNOWN; i++) {
        uint64_t none = 0;
        if (atomic_cas_relaxed(&known[i], &none, id)) {
            return;
        }
    }
    FAIL("more calls than were made");
}

static void server_reaps(struct racer *server)
{
    struct capos_cqe cqe;
    while (reap(server, &cqe)) {
        if (cqe.user_data < SLOTS) {
            CHECK(cqe.result > 0);
            note_call(race_get(server->user, buffer_of((unsigned)cqe.user_data)));
        } else if (cqe.result == ST_OK) {
            atomic_add_relaxed(&answered, 1);
        } else {
            CHECK_EQ(cqe.result, ST_GONE);
            atomic_add_relaxed(&gone, 1);
        }
    }
}

static void server_turn(struct racer *server, unsigned number)
{
    server_reaps(server);
    for (unsigned i = 0; i < 2; i++) {
        if (!server->used[i]) {
            struct capos_sqe sqe = {.op = CAPOS_OP_RECV, .cap = serve[number]};
            sqe.result = buffer_of(i);
            sqe.result_len = SLOT_BYTES;
            sqe.accept_count = 1;
            submit(server, sqe, i);
        }
    }
    uint64_t id = atomic_load_relaxed(&known[(unsigned)rand_r(&server->seed) % KNOWN]);
    if (id != 0 && !server->used[SLOTS]) {
        struct capos_sqe sqe = {.op = CAPOS_OP_RETURN, .interface = id};
        submit(server, sqe, SLOTS);
    }
    race_enter(server->user, 0);
}

/* An answer that came frees the id, which the client knows by its record alone: all that are known are looked at. */
static void client_turn(struct racer *client)
{
    struct capos_cqe cqe;
    while (reap(client, &cqe)) {
        CHECK_EQ(cqe.result, 0);
        atomic_add_relaxed(&ended, 1);
    }
    if (client->pending == 0) {
        for (unsigned i = 0; i < KNOWN; i++) {
            atomic_store_relaxed(&known[i], 0);
        }
        if (atomic_load_relaxed(&ended) >= wanted) {
            atomic_store_seq_cst(&over, true);
        }
        for (unsigned i = 0; i < SLOTS; i++) {
            struct capos_sqe sqe =
                sqe_call(client->user, object, FIXTURE_INTERFACE, 0, buffer_of(i), 8);
            sqe.result = buffer_of(i) + 128;
            sqe.result_len = 128;
            submit(client, sqe, i);
            atomic_add_relaxed(&begun, 1);
        }
    }
    race_enter(client->user, 1);
}

static void turn(struct thread *thread)
{
    struct racer *racer = thread->arch.user;
    unsigned number = (unsigned)(racer - racers);
    if (atomic_load_seq_cst(&over)) {
        host_syscall(thread, CAPOS_SYS_EXIT, 0, 0);
    } else if (number == OWNER) {
        owner_turn(racer);
    } else if (number == CLIENT) {
        client_turn(racer);
    } else {
        server_turn(racer, number - SERVER_A);
    }
}

static void make_racers(void)
{
    static const char *const names[RACERS] = {"owner", "a", "b", "client"};
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i].user = user_new(names[i]);
    }
    struct user *owner = racers[OWNER].user;
    endpoint = user_endpoint(owner, 64, 1);
    for (unsigned i = 0; i < 2; i++) {
        struct user *server = racers[SERVER_A + i].user;
        serve[i] = user_pass_below(owner, endpoint, server, EndpointServe_FACET);
        handles[i] =
            user_give(owner, &server->process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
    }
    object = user_pass_below(owner, user_mint(owner, endpoint, 1), racers[CLIENT].user, 1);
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i].user->thread->arch.user = &racers[i];
        racers[i].seed = i + 1;
    }
}

static bool all_reaped(void)
{
    bool all = true;
    for (unsigned i = 0; i < RACERS; i++) {
        all = all && fixture_reaped(racers[i].user->process);
    }
    return all;
}

TEST(handover_races,
     "each call is answered once, by who has it then, however often it changes hands")
{
    const char *text = getenv("HANDOVER_CALLS");
    wanted = text != NULL ? strtoull(text, NULL, 10) : CALLS;
    fixture_start_real(CPUS);
    make_racers();
    fixture_run(turn, all_reaped);
    struct user *users[RACERS];
    for (unsigned i = 0; i < RACERS; i++) {
        users[i] = racers[i].user;
    }
    race_ended(users, RACERS);
    printf("# %llu calls ended; %llu handovers moved %llu; %llu answered, %llu gone\n",
           (unsigned long long)atomic_load_relaxed(&ended),
           (unsigned long long)atomic_load_relaxed(&handovers),
           (unsigned long long)atomic_load_relaxed(&moved),
           (unsigned long long)atomic_load_relaxed(&answered),
           (unsigned long long)atomic_load_relaxed(&gone));
    CHECK(atomic_load_relaxed(&ended) >= wanted);
    CHECK(atomic_load_relaxed(&answered) >= atomic_load_relaxed(&ended));
    CHECK(atomic_load_relaxed(&answered) <= atomic_load_relaxed(&begun));
    CHECK(atomic_load_relaxed(&moved) > 0);
    fixture_end();
}
