/* SPDX-License-Identifier: MIT */
/* Shares of the processors asked for wrongly and without end, and used against those who share them. */
#include "capos/start.h"
#include "case.h"
#include "endpoint.capnp.h"
#include "lib/base/string.h"
#include "scheduling.capnp.h"
#include "thread.capnp.h"
#include "threads.h"

enum { ROUNDS = 40, NO_CAP = 0xffff };

#define MS UINT64_C(1000000)
#define SHARE (100 * MS) /* of a second, that each role may promise */

static uint64_t result[64];

static struct capos_cqe create(unsigned class, unsigned weight, uint64_t budget_ns,
                               uint64_t period_ns)
{
    return raw_do(CALL(held("scheduling"), SchedulingPolicy, new_context,
                       MESSAGE(class | (uint64_t)weight << 16, budget_ns, period_ns), 32, result,
                       sizeof(result)));
}

/* Binds a thread (control: the caller's) to a context; 0: to its process's. */
static status_t set_context(capos_cap_t thread, uint64_t interface, unsigned method,
                            capos_cap_t context)
{
    struct {
        uint64_t message[2];
        uint64_t number;
        struct capos_transfer transfer;
    } params = {{ROOT(1), context != 0 ? NO_CAP : 0}, 0, {.cap = context}};
    struct capos_sqe sqe = raw_call_sqe(thread, interface, (uint16_t)method, &params,
                                        sizeof(params.message), result, sizeof(result));
    if (context != 0) {
        params.number = raw.sequence++;
        sqe.xfer_count = 1;
    }
    struct capos_cqe cqe = raw_do(sqe);
    return cqe.result >= 0 ? ST_OK : cqe.result;
}

static status_t bind_self(capos_cap_t context)
{
    return set_context(held("control"), ThreadControl_ID, ThreadControl_set_context_ORDINAL,
                       context);
}

static int64_t asks_wrongly(void)
{
    const struct {
        unsigned class, weight;
        uint64_t budget_ns, period_ns;
        status_t want;
    } rows[] = {
        {4, 100, 0, 0, ST_BAD_ARGUMENT},
        {0xffff, 100, MS, 100 * MS, ST_BAD_ARGUMENT},
        {2, 0, 0, 0, ST_BAD_ARGUMENT},
        {2, 0xffff, 0, 0, ST_BAD_ARGUMENT},
        {0, 100, 0, 0, ST_BAD_ARGUMENT},
        {1, 100, UINT64_MAX, UINT64_MAX, ST_BAD_ARGUMENT},
        {1, 100, 1, UINT64_MAX, ST_BAD_ARGUMENT},
        {1, 100, 11 * MS, 100 * MS, ST_QUOTA},
    };
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_EQ(create(rows[i].class, rows[i].weight, rows[i].budget_ns, rows[i].period_ns).result,
                 rows[i].want);
    }
    CHECK_EQ(bind_self(held("ledger")), ST_NOT_TRANSFERABLE);
    CHECK_EQ(bind_self(held("timer")), ST_WRONG_INTERFACE);
    CHECK_EQ(bind_self(UINT64_C(0x123456789)), ST_BAD_CAP);
    CHECK_USAGE(&before);
    return 0;
}

/* As many as there is time for, bound and let go in every order. */
static int64_t takes_all(void)
{
    struct usage before;
    usage_now(&before);
    for (unsigned round = 0; round < ROUNDS; round++) {
        capos_cap_t contexts[8];
        unsigned count = 0;
        struct capos_cqe cqe;
        while ((cqe = create(round % 3, 1 + round, 2 * MS, 100 * MS)).result >= 0) {
            CHECK(count < 5);
            contexts[count++] = cqe.first_cap;
            CHECK_EQ(bind_self(cqe.first_cap), ST_OK);
        }
        CHECK_EQ(cqe.result, ST_QUOTA);
        CHECK_EQ(count, 5);
        for (unsigned i = 0; i < count; i++) {
            unsigned at = round % 2 != 0 ? count - 1 - i : i;
            if (i % 2 != 0) {
                CHECK(raw_do(CALL(contexts[at], SchedulingContext, revoke, NULL, 0, result,
                                  sizeof(result)))
                          .result >= 0);
                CHECK_EQ(bind_self(contexts[at]), ST_DISCONNECTED);
            }
            CHECK_EQ(release(contexts[at]), ST_OK);
        }
        CHECK_EQ(bind_self(0), ST_OK);
    }
    CHECK_USAGE(&before);
    return 0;
}

/* Spins on next to nothing, until somebody ends it. */
static int64_t spins(void)
{
    struct capos_cqe cqe = create(1, 10000, 5 * MS, 100 * MS);
    CHECK(cqe.result >= 0);
    CHECK_EQ(bind_self(cqe.first_cap), ST_OK);
    CHECK_EQ(signal_bits(held("note"), 1), ST_OK);
    for (;;) {
        __asm__ volatile("" ::: "memory");
    }
}

/* Works on beside it, and has it ended. */
static int64_t beside(void)
{
    CHECK(wait_bits(held("note"), 1) >= 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        capos_cap_t note;
        CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
        CHECK_EQ(release(note), ST_OK);
    }
    CHECK_EQ(signal_bits(held("note"), NOTE_END_A), ST_OK);
    return 0;
}

/* ---- threads bound while they run ---- */

static uint64_t stop;

static void works(uint64_t argument, struct capos_ring_header *ring)
{
    struct capos_sqe nop = raw_sqe(CAPOS_OP_NOP, 0);
    (void)argument;
    while (__atomic_load_n(&stop, __ATOMIC_ACQUIRE) == 0) {
        (void)peer_do(ring, &nop);
    }
    capos_sys_exit_thread(0);
}

static int64_t binds_others(void)
{
    capos_cap_t threads[2], contexts[2];
    stop = 0;
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = spawn_thread(works, i, 0);
        struct capos_cqe cqe = create(i, 1 + 99 * i, 40 * MS, 1000 * MS);
        CHECK(cqe.result >= 0);
        contexts[i] = cqe.first_cap;
    }
    for (unsigned i = 0; i < 20 * ROUNDS; i++) {
        CHECK_EQ(set_context(threads[i % 2], ThreadHandle_ID, ThreadHandle_set_context_ORDINAL,
                             i % 3 == 0 ? 0 : contexts[i / 2 % 2]),
                 ST_OK);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(raw_do(CALL(contexts[i], SchedulingContext, revoke, NULL, 0, result, sizeof(result)))
                  .result >= 0);
        join(threads[i], 0);
        CHECK_EQ(release(contexts[i]), ST_OK);
    }
    return 0;
}

/* ---- hostages ---- */

enum { BOUND_MS = 50 };

/* Receives, and never answers: twice the callers are let go by the object's bound. */
static int64_t keeps_callers(void)
{
    static uint64_t received[(64 + CASE_MESSAGE_BYTES + 16 * CASE_MAX_CAPS) / 8];
    struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, held("serve"));
    recv.result = (uintptr_t)received;
    recv.result_len = sizeof(received);
    recv.accept_count = CASE_MAX_CAPS;
    struct capos_cqe minted =
        raw_do(CALL(held("serve"), Endpoint, mint,
                    MESSAGE(KEY + 1, HOSTILE_INTERFACE, 1, (uint64_t)1 << 16, BOUND_MS * MS), 48,
                    result, sizeof(result)));
    CHECK(minted.result >= 0);
    CHECK(raw_do(recv).result > 0); /* the first call fetches the object */
    struct {
        uint64_t number;
        struct capos_transfer transfer;
    } area = {raw.sequence++, {.cap = minted.first_cap}};
    struct capos_sqe answer = raw_sqe(CAPOS_OP_RETURN, 0);
    answer.interface = received[0];
    answer.params = (uintptr_t)&area;
    answer.xfer_count = 1;
    CHECK_EQ(raw_do(answer).result, ST_OK);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(raw_do(recv).result > 0);
        struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, held("serve"));
        wait.method = CAPOS_EVENT_DEADLINE;
        struct capos_cqe cqe = raw_do(wait);
        CHECK_EQ(cqe.result, CAPOS_EVENT_DEADLINE);
        CHECK_EQ(cqe.signal, KEY + 1);
        struct capos_sqe late = raw_sqe(CAPOS_OP_RETURN, 0);
        late.interface = received[0];
        CHECK_EQ(raw_do(late).result, ST_GONE);
    }
    return 0;
}

/* Calls it with a budget that is nearly nothing. */
static int64_t calls_keeper(void)
{
    struct capos_sqe sqe =
        raw_call_sqe(held("object"), HOSTILE_INTERFACE, 0, NULL, 0, result, sizeof(result));
    sqe.accept_count = 1;
    struct capos_cqe cqe = raw_do(sqe);
    CHECK_EQ(cqe.cap_count, 1);
    capos_cap_t bounded = cqe.first_cap;
    struct capos_cqe context = create(1, 100, MS / 2, 10 * MS);
    CHECK(context.result >= 0);
    CHECK_EQ(bind_self(context.first_cap), ST_OK);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(
            raw_do(raw_call_sqe(bounded, HOSTILE_INTERFACE, 0, NULL, 0, result, sizeof(result)))
                .result,
            ST_TIMED_OUT);
    }
    return 0;
}

#define HOLDS (HOLD_USUAL | HOLD_THREADS | HOLD_SCHEDULING)
#define LIMITS \
    { \
        { \
            LEDGER_CLASS_CPU_NS, true, SHARE \
        } \
    }

const struct hostile_case scheduling_cases[] = {
    {.name = "sched.wrong",
     .sentence = "no share of the processors that cannot be is given, nor more than there is",
     .roles = {{.run = asks_wrongly, .holds = HOLDS}},
     .limits = LIMITS},
    {.name = "sched.all",
     .sentence = "all of the time that may be promised is, and comes back, whoever is bound to it",
     .roles = {{.run = takes_all, .holds = HOLDS}},
     .limits = LIMITS},
    {.name = "sched.spins",
     .sentence = "who spins on a spent budget harms nobody, and can be ended",
     .roles = {{spins, HOLDS | HOLD_NOTE, {.kind = END_TERMINATED}},
               {.run = beside, .holds = HOLDS | HOLD_NOTE}},
     .limits = LIMITS},
    {.name = "sched.rebound",
     .sentence = "threads are bound to one context after the other while they run",
     .roles = {{.run = binds_others, .holds = HOLDS}},
     .limits = LIMITS},
    {.name = "sched.hostage",
     .sentence = "a server that never answers keeps no caller longer than its object said",
     .roles = {{.run = keeps_callers, .holds = HOLDS | HOLD_SERVE},
               {.run = calls_keeper, .holds = HOLDS | HOLD_OBJECT}},
     .limits = LIMITS},
    {.name = NULL},
};
