/* SPDX-License-Identifier: MIT */
/*
 * The special path against the general one: the same program of a client and a server is run over both,
 * from the same seed, in two machines, and everything either side can see is compared: completions,
 * headers, messages, what cap_enter answered, who runs and who waits, and that nothing is left at the end.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"
#include "ipc/endpoint.h"
#include "ipc/fast.h"
#include "object/notification.h"

enum { STEPS = 400, TRANSCRIPT_MAX = 1 << 16, SLOT = CAPOS_PAYLOAD_SLOT_BYTES, MESSAGE = 1024 };

/* What a run saw; shared with the process that compares. */
struct transcript {
    uint64_t words[TRANSCRIPT_MAX];
    uint32_t count;
    uint64_t fast; /* SQEs that went the special way */
    bool finished;
};

static struct transcript *transcript;
static uint64_t chance_state;

static uint64_t chance(uint64_t below)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return chance_state % below;
}

static void note(uint64_t word)
{
    CHECK(transcript->count < TRANSCRIPT_MAX);
    transcript->words[transcript->count++] = word;
}

/* One side, and what it is in the middle of. */
struct side {
    struct user *user;
    capos_cap_t cap;   /* the client's object, the server's endpoint */
    uint64_t buffer;   /* of its own memory */
    bool blocked;      /* in cap_enter */
    uint64_t position; /* of the last SQE */
    uint64_t call_id;  /* server: to be answered; 0 = none */
    bool in_slot;      /* server: where the last call lies */
};

static struct side client, server;

static uint8_t *slot_of(struct side *side, unsigned index)
{
    struct capos_ring_header *ring = user_ring(side->user);
    return user_ptr(side->user,
                    side->user->thread->ring->user_address + ring->payload_offset + index * SLOT);
}

static void note_bytes(const uint8_t *bytes, uint64_t count)
{
    uint64_t sum = count;
    for (uint64_t i = 0; i < count; i++) {
        sum = sum * 31 + bytes[i];
    }
    note(sum);
}

/* Header and message of a call that came; call id, caller and epoch differ from machine to machine. */
static void note_call(const struct capos_cqe *cqe)
{
    server.in_slot = (cqe->flags & CAPOS_CQE_INLINE) != 0;
    const uint8_t *at = server.in_slot ? slot_of(&server, 2) : user_ptr(server.user, server.buffer);
    struct capos_received header;
    memcpy(&header, at, sizeof(header));
    note(header.key);
    note(header.interface);
    note(header.facet);
    note(header.params_len);
    note(header.method);
    note(header.cap_count);
    note_bytes(at + sizeof(header), header.params_len);
    server.call_id = header.call_id;
}

static void reap(struct side *side)
{
    struct capos_cqe cqe;
    while (user_reap(side->user, &cqe)) {
        note(cqe.user_data);
        note((uint64_t)(int64_t)cqe.result);
        note(cqe.flags);
        note(cqe.cap_count);
        note(cqe.flags & CAPOS_CQE_NEEDED ? cqe.needed : 0);
        bool received = side == &server && cqe.result >= (int32_t)sizeof(struct capos_received);
        if (received) {
            note_call(&cqe);
        } else if (side == &client && cqe.result > 0) {
            note_bytes(slot_of(&client, 1), SLOT);
            note_bytes(user_ptr(client.user, client.buffer), 256);
        }
    }
}

/* After anything: who has come out of cap_enter, with what. */
static void look(void)
{
    struct side *sides[] = {&client, &server};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t result;
        if (sides[i]->user->gone || !sides[i]->blocked || !user_entered(sides[i]->user, &result)) {
            note(0xb10c);
            continue;
        }
        sides[i]->blocked = false;
        note(result);
        reap(sides[i]);
    }
}

/* What both are charged for, while both live. */
static void note_charges(void)
{
    note(atomic_load_relaxed(&server.user->process->ledger->used[LEDGER_CLASS_SLOTS]));
    note(atomic_load_relaxed(&client.user->process->ledger->used[LEDGER_CLASS_SLOTS]));
}

/* Most steps are what the special way is for; the others stray from it in one way or another. */
static bool strays(void)
{
    return chance(4) == 0;
}

static void enter(struct side *side, const struct capos_sqe *sqe, bool stray)
{
    side->position = user_submit(side->user, sqe);
    bool two = stray && chance(4) == 0;
    bool forever = !two && (!stray || chance(4) != 0);
    user_enter_start(side->user, two ? 2 : 1, forever ? CAPOS_FOREVER : host_time_ns() + 1000);
    side->blocked = true;
}

static uint32_t some_length(bool stray)
{
    static const uint32_t lengths[] = {0, 8, 32, 120, 128, 136, 192, 256};
    return lengths[chance(stray ? sizeof(lengths) / sizeof(lengths[0]) : 5)];
}

static void client_calls(void)
{
    bool stray = strays();
    struct capos_sqe sqe = user_sqe(client.user, CAPOS_OP_CALL);
    sqe.cap = stray && chance(12) == 0 ? client.cap + 1 : client.cap;
    sqe.interface = stray && chance(12) == 0 ? 1 : FIXTURE_INTERFACE;
    sqe.method = (uint16_t)chance(stray ? 9 : 7);
    sqe.params_len = some_length(stray);
    sqe.result_len = stray && chance(3) == 0 ? 8 : 256;
    sqe.accept_count = stray && chance(3) == 0;
    sqe.deadline_ns = stray && chance(4) == 0 ? host_time_ns() + 1000 : 0;
    bool is_inline = !stray || chance(4) != 0;
    sqe.flags = is_inline ? CAPOS_SQE_INLINE : 0;
    sqe.params = is_inline ? 0 : client.buffer;
    sqe.result = is_inline ? SLOT : client.buffer;
    if (stray && is_inline && chance(8) == 0) {
        sqe.params = 64; /* the longest do not fit behind it */
    }
    uint8_t *at = is_inline ? slot_of(&client, 0) : user_ptr(client.user, client.buffer);
    for (uint32_t i = 0; i < 256; i++) {
        at[i] = (uint8_t)chance(256);
    }
    enter(&client, &sqe, stray);
}

/* A kernel object goes a special way, too: its ledger, asked for a notification or, with a word of the message or the
 * entry changed, for who knows what. */
static void client_calls_kernel(void)
{
    bool stray = strays();
    struct capos_sqe sqe = user_sqe(client.user, CAPOS_OP_CALL);
    sqe.cap = client.user->ledger;
    sqe.interface = stray && chance(8) == 0 ? FIXTURE_INTERFACE : Ledger_ID;
    sqe.method =
        stray && chance(3) == 0 ? (uint16_t)chance(12) : (uint16_t)Ledger_new_notification_ORDINAL;
    sqe.params_len = stray && chance(3) == 0 ? some_length(true) : 8;
    sqe.result_len = stray && chance(3) == 0 ? (uint32_t)chance(7) * 8 : 256;
    sqe.accept_count = stray && chance(3) == 0 ? 0 : 1;
    sqe.deadline_ns = stray && chance(4) == 0 ? host_time_ns() + 1000 : 0;
    bool is_inline = !stray || chance(4) != 0;
    sqe.flags = is_inline ? CAPOS_SQE_INLINE : 0;
    sqe.params = is_inline ? 0 : client.buffer;
    sqe.result = is_inline ? SLOT : client.buffer;
    uint8_t *at = is_inline ? slot_of(&client, 0) : user_ptr(client.user, client.buffer);
    memset(at, 0, 256);
    at[chance(64)] = stray && chance(2) == 0 ? (uint8_t)chance(256) : 0;
    enter(&client, &sqe, stray);
}

static void server_receives(void)
{
    bool stray = strays();
    bool answers = server.call_id != 0;
    struct capos_sqe sqe = user_sqe(server.user, answers ? CAPOS_OP_RETURN_RECV : CAPOS_OP_RECV);
    bool is_inline = !stray || chance(4) != 0;
    sqe.cap = server.cap;
    sqe.flags = is_inline ? CAPOS_SQE_INLINE : 0;
    sqe.result = server.buffer;
    sqe.result_len = sizeof(struct capos_received) + MESSAGE + (stray && chance(6) == 0 ? 0 : 16);
    sqe.accept_count = 1;
    if (answers) {
        sqe.interface = stray && chance(8) == 0 ? server.call_id ^ 1 : server.call_id;
        sqe.method = stray && chance(6) == 0 ? CAPOS_EXC_FAILED : 0;
        sqe.params_len = some_length(stray);
    }
    if (answers && is_inline && sqe.params_len > SLOT - 64) {
        sqe.params_len = SLOT - 64;
    }
    sqe.params = is_inline ? 2 * SLOT + (answers ? 64 : 0) : answers ? server.buffer : 0;
    server.call_id = sqe.interface == server.call_id ? 0 : server.call_id;
    enter(&server, &sqe, stray);
}

static void client_cancels(void)
{
    struct capos_sqe sqe = user_sqe(client.user, CAPOS_OP_CANCEL);
    sqe.cap = client.position;
    user_submit(client.user, &sqe);
    user_enter_start(client.user, 0, 0);
    client.blocked = true;
}

static void step(void)
{
    switch (chance(14)) {
    case 0:
        if (!client.blocked) {
            client_cancels();
        }
        break;
    case 12:
    case 13:
        if (!client.blocked) {
            client_calls_kernel();
        }
        break;
    case 1:
        fixture_advance(chance(3000));
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        if (!server.blocked) {
            server_receives();
        }
        break;
    default:
        if (!client.blocked) {
            client_calls();
        }
        break;
    }
    look();
    note_charges();
}

static void begin(unsigned cpus, uint64_t seed, bool fast)
{
    chance_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    fixture_start_seed(cpus, seed);
    ipc_fast_enable(fast);
    client.user = user_new("client");
    server.user = user_new("server");
    server.cap = user_endpoint(server.user, MESSAGE, 1);
    capos_cap_t minted = user_mint(server.user, server.cap, 7);
    client.cap = user_pass(server.user, minted, client.user, 0x7f);
    CHECK_EQ(user_release(server.user, minted), ST_OK);
    client.buffer = user_alloc(client.user, 256 + 64);
    server.buffer = user_alloc(server.user, sizeof(struct capos_received) + MESSAGE + 64);
}

/* How the run ends: by the end of either side, the endpoint's, or in good order. */
static void finish(void)
{
    switch (chance(3)) {
    case 0:
        user_terminate(server.user);
        break;
    case 1:
        user_terminate(client.user);
        break;
    default:
        break;
    }
    look();
}

static void run(unsigned cpus, uint64_t seed, bool fast)
{
    begin(cpus, seed, fast);
    for (unsigned i = 0; i < STEPS; i++) {
        step();
    }
    transcript->fast = client.user->thread->ring->fast + server.user->thread->ring->fast;
    finish();
    fixture_end();
    transcript->finished = true;
}

/* In a process of its own: a machine is made once in a process. */
static struct transcript *run_apart(unsigned cpus, uint64_t seed, bool fast)
{
    transcript =
        mmap(NULL, sizeof(*transcript), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(transcript != MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        run(cpus, seed, fast);
        _exit(test_failures == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK(transcript->finished);
    return transcript;
}

static uint64_t compare(unsigned cpus, uint64_t seed)
{
    struct transcript *special = run_apart(cpus, seed, true);
    struct transcript *general = run_apart(cpus, seed, false);
    CHECK_EQ(general->fast, 0);
    CHECK_EQ(special->count, general->count);
    for (uint32_t i = 0; i < special->count && i < general->count; i++) {
        if (special->words[i] != general->words[i]) {
            fprintf(stderr,
                    "# seed %llu: word %u is %#llx by the special way, %#llx by the general\n",
                    (unsigned long long)seed, i, (unsigned long long)special->words[i],
                    (unsigned long long)general->words[i]);
            FAIL("the two ways differ");
            break;
        }
    }
    uint64_t fast = special->fast;
    munmap(special, sizeof(*special));
    munmap(general, sizeof(*general));
    return fast;
}

TEST(ipc_fast_same, "whatever a client and a server do on one CPU, both ways look the same")
{
    uint64_t fast = 0;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        fast += compare(1, seed);
    }
    CHECK(fast > 24 * 40); /* the special way was taken often enough to mean anything */
}

TEST(ipc_fast_two_cpus, "the same with two CPUs, where the other side may sit on the other one")
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        (void)compare(2, seed);
    }
}

/* ---- what chance does not meet: each begins with a server that waits ---- */

/* A ring's first operation prepares it for the special way. */
static void begin_plain(void)
{
    begin(1, 1, true);
    CHECK_EQ(user_release(client.user, 1), ST_BAD_CAP);
}

static void plain_call(uint64_t deadline_ns)
{
    struct capos_sqe sqe = user_sqe(client.user, CAPOS_OP_CALL);
    sqe.cap = client.cap;
    sqe.interface = FIXTURE_INTERFACE;
    sqe.flags = CAPOS_SQE_INLINE;
    sqe.result = SLOT;
    sqe.result_len = 256;
    sqe.deadline_ns = deadline_ns;
    user_submit(client.user, &sqe);
}

static struct capos_sqe plain_receive(uint8_t op)
{
    struct capos_sqe sqe = user_sqe(server.user, op);
    sqe.cap = server.cap;
    sqe.flags = CAPOS_SQE_INLINE;
    sqe.params = 2 * SLOT;
    sqe.result = server.buffer;
    sqe.result_len = sizeof(struct capos_received) + MESSAGE + 16;
    sqe.accept_count = 1;
    return sqe;
}

static void server_waits(void)
{
    struct capos_sqe sqe = plain_receive(CAPOS_OP_RECV);
    user_submit(server.user, &sqe);
    user_enter_start(server.user, 1, CAPOS_FOREVER);
}

/* The server has come out with a call, and answers it. */
static void server_answers(void)
{
    uint64_t result;
    struct capos_cqe cqe;
    struct capos_received header;
    CHECK(user_entered(server.user, &result));
    CHECK(user_reap(server.user, &cqe));
    CHECK_EQ(cqe.result, (int32_t)sizeof(header));
    memcpy(&header, slot_of(&server, 2), sizeof(header));
    struct capos_sqe sqe = plain_receive(CAPOS_OP_RETURN_RECV);
    sqe.interface = header.call_id;
    user_submit(server.user, &sqe);
    user_enter_start(server.user, 1, CAPOS_FOREVER);
}

static int32_t client_result(void)
{
    uint64_t result;
    struct capos_cqe cqe = {.result = INT32_MIN};
    CHECK(user_entered(client.user, &result));
    CHECK(user_reap(client.user, &cqe));
    return cqe.result;
}

static uint64_t fast_count(const struct side *side)
{
    return side->user->thread->ring->fast;
}

static struct endpoint *look_endpoint(void)
{
    struct capability cap;
    CHECK_EQ(user_look(server.user, server.cap, &cap), ST_OK);
    return endpoint_of(cap.object);
}

static struct kobj *bell;
static _Atomic bool endpoint_held;

/* Another CPU: keeps the endpoint until the call waits for it, and then signals. */
static void *signal_meanwhile(void *at)
{
    struct endpoint *endpoint = at;
    struct spinlock *lock = &endpoint->obj.lock;
    host_become(1);
    lock_acquire(lock);
    atomic_store_release(&endpoint_held, true);
    while ((uint16_t)(atomic_load_relaxed(&lock->next) - atomic_load_relaxed(&lock->serving)) < 2) {
        sched_yield();
    }
    host_become(2); /* for it holds nothing of the same rank */
    notification_signal(bell, 1);
    host_become(1);
    lock_release(lock);
    return NULL;
}

/* What waits for the signal comes meanwhile: a completion of this result. */
static void call_meanwhile(uint8_t flags, int32_t expected)
{
    begin_plain();
    server_waits();
    capos_cap_t cap = user_notification(client.user);
    struct capability notification;
    CHECK_EQ(user_look(client.user, cap, &notification), ST_OK);
    bell = notification.object;
    struct capos_sqe wait = sqe_wait(client.user, cap, CAPOS_EVENT_SIGNALLED, 1);
    wait.flags = flags;
    user_submit(client.user, &wait);
    if (flags != 0) {
        struct capos_sqe nop = user_sqe(client.user, CAPOS_OP_NOP);
        user_submit(client.user, &nop);
    }
    user_enter(client.user, 0, 0);
    uint64_t before = fast_count(&client);
    pthread_t other;
    CHECK_EQ(pthread_create(&other, NULL, signal_meanwhile, look_endpoint()), 0);
    while (!atomic_load_acquire(&endpoint_held)) {
        sched_yield();
    }
    plain_call(0);
    user_enter_start(client.user, 1, CAPOS_FOREVER);
    pthread_join(other, NULL);
    fixture_settle();
    CHECK_EQ(fast_count(&client), before + 1);
    uint64_t result = 0;
    CHECK(user_entered(client.user, &result));
    CHECK_EQ(result, 1);
    CHECK_EQ(client_result(), expected);
    user_enter_start(client.user, 1, CAPOS_FOREVER);
    server_answers();
    CHECK_EQ(client_result(), 0);
    fixture_end();
}

TEST(ipc_fast_completion, "a completion that another CPU posts during the call ends the wait")
{
    call_meanwhile(0, CAPOS_EVENT_SIGNALLED);
}

TEST(ipc_fast_ready,
     "a linked entry that becomes ready on another CPU during the call is carried out")
{
    call_meanwhile(CAPOS_SQE_QUIET | CAPOS_SQE_LINK, ST_OK);
}

TEST(ipc_fast_stalled, "who waits for room is told so when a call comes")
{
    begin_plain();
    const struct ring *ring = server.user->thread->ring;
    for (uint32_t i = 0; i < ring->cq_ordinary; i++) {
        struct capos_sqe sqe = plain_receive(CAPOS_OP_RECV);
        user_start(server.user, &sqe);
    }
    server_waits(); /* nothing of it can be taken */
    CHECK_EQ(user_ring(server.user)->flags, CAPOS_RING_STALLED);
    plain_call(0);
    user_enter_start(client.user, 1, CAPOS_FOREVER);
    uint64_t result = 0;
    CHECK(user_entered(server.user, &result));
    CHECK_EQ(result, 1 | CAPOS_ENTER_STALLED);
    fixture_end();
}

TEST(ipc_fast_flags, "a ring that is stalled no more says so before its thread waits for an answer")
{
    begin_plain();
    server_waits();
    user_ring(client.user)->flags = CAPOS_RING_STALLED;
    plain_call(0);
    user_enter_start(client.user, 1, CAPOS_FOREVER);
    CHECK_EQ(user_ring(client.user)->flags, 0);
    server_answers();
    CHECK_EQ(client_result(), 0);
    fixture_end();
}

static void vacate(uint64_t ns)
{
    endpoint_begin_vacancy(look_endpoint(), arch_time_ns() + ns);
    host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
    fixture_settle();
}

TEST(ipc_fast_vacancy, "an answer that receives ends a vacancy")
{
    begin_plain();
    server_waits();
    vacate(1000000);
    plain_call(0);
    user_enter_start(client.user, 1, CAPOS_FOREVER);
    uint64_t before = fast_count(&server);
    server_answers();
    CHECK_EQ(fast_count(&server), before + 1);
    CHECK_EQ(client_result(), 0);
    fixture_advance(2000000);
    plain_call(arch_time_ns() + 1000000); /* the general way */
    user_enter_start(client.user, 1, CAPOS_FOREVER);
    server_answers();
    CHECK_EQ(client_result(), 0);
    fixture_end();
}

TEST(ipc_fast_vacant,
     "a vacancy that was too long refuses a call, though a receive of old still waits")
{
    begin_plain();
    server_waits();
    vacate(1000000);
    fixture_advance(2000000);
    plain_call(0);
    user_enter_start(client.user, 1, CAPOS_FOREVER);
    CHECK_EQ(client_result(), ST_DISCONNECTED);
    fixture_end();
}
