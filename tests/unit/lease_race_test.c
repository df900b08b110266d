/* SPDX-License-Identifier: MIT */
/*
 * A thread and its poller on CPUs that run by themselves: the thread submits, enters when it is told to or for no reason, has the
 * polling stopped and begun again in the middle. Each entry is carried out once, NOPs in their order.
 */
#include "tests/unit/kernel_race.h"
#include "tests/unit/kernel_scheduling.h"

#include <sched.h>

enum { CPUS = 3, NOPS = 100000, CALLS = 64, CALL_BYTES = 256, ROUNDS = 300, IN_FLIGHT = 20 };

static capos_cap_t lease;
static unsigned seed = 7;
static uint64_t submitted, completed, pending;
static uint64_t call_at; /* the messages of poll and stop */
static uint32_t call_bytes[2];
static uint64_t polls, stops, busy, unentered;
static _Atomic bool over;

static unsigned pick(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

static _Atomic unsigned barrier;

static bool says_polled(void)
{
    (void)atomic_add_seq_cst(&barrier, 1); /* the tail is written before the flag is read */
    uint64_t flags = __atomic_load_n(&user_ring(maker)->flags, __ATOMIC_SEQ_CST);
    return (flags & CAPOS_RING_POLLED) != 0;
}

/* user_data of a NOP is its number, from 1; of a call its method, far above. */
#define OF_CALL (UINT64_C(1) << 60)

static void reap(void)
{
    struct capos_cqe cqe;
    while (race_reap(maker, &cqe)) {
        pending--;
        if (cqe.user_data == OF_CALL + CpuLease_poll_ORDINAL) {
            CHECK(cqe.result >= 0 || cqe.result == ST_BUSY);
            polls += cqe.result >= 0;
            busy += cqe.result < 0;
        } else if (cqe.user_data == OF_CALL + CpuLease_stop_ORDINAL) {
            CHECK(cqe.result >= 0);
            stops++;
        } else {
            CHECK_EQ(cqe.result, ST_OK);
            CHECK_EQ(cqe.user_data, completed + 1);
            completed = cqe.user_data;
        }
    }
}

static void submit_call(uint16_t method)
{
    unsigned which = method == CpuLease_stop_ORDINAL;
    struct capos_sqe sqe = sqe_call(maker, lease, CpuLease_ID, method, call_at + which * CALL_BYTES,
                                    call_bytes[which]);
    sqe.user_data = OF_CALL + method;
    sqe.result = call_at + 2 * CALL_BYTES;
    sqe.result_len = CALL_BYTES;
    race_submit(maker, &sqe);
    pending++;
}

static void owner_turn(void)
{
    reap();
    if (completed == NOPS && pending == 0) {
        atomic_store_seq_cst(&over, true);
        sched_yield();
        return;
    }
    for (unsigned n = pick(4); n > 0 && pending < IN_FLIGHT && submitted < NOPS; n--) {
        struct capos_sqe sqe = {.op = CAPOS_OP_NOP, .user_data = ++submitted};
        race_submit(maker, &sqe);
        pending++;
    }
    if (pending < IN_FLIGHT && pick(40) == 0) {
        submit_call(pick(2) == 0 ? CpuLease_poll_ORDINAL : CpuLease_stop_ORDINAL);
    }
    if (!says_polled() || pick(30) == 0) {
        race_enter(maker, pending != 0 && pick(2) == 0);
    } else {
        unentered++;
        sched_yield();
    }
}

static void turn(struct thread *thread)
{
    if (thread == maker->thread) {
        owner_turn();
    }
}

static bool is_over(void)
{
    return atomic_load_seq_cst(&over);
}

static void put_message(unsigned which, struct capnp_builder *builder, const uint64_t *words)
{
    size_t len = 0;
    CHECK_EQ(capnp_finish(builder, &len), CAPNP_OK);
    call_bytes[which] = (uint32_t)len;
    user_write(maker, call_at + which * CALL_BYTES, words, len);
}

TEST(lease_race,
     "a thread that submits, enters, stops and begins at random loses no entry to its poller")
{
    uint64_t limits[LEDGER_CLASSES], words[8];
    struct capnp_builder builder;
    fixture_start_real(CPUS);
    user_limits(limits);
    limits[LEDGER_CLASS_CPU_NS] = 1000 * MS;
    maker = user_new_limits("maker", limits, 32);
    policy = user_give_root(maker, KTYPE_SCHEDULING_POLICY);
    call_at = user_alloc(maker, 3 * CALL_BYTES);

    capnp_builder_init(&builder, words, sizeof(words));
    SchedulingPolicy_new_lease_params_b params = SchedulingPolicy_new_lease_params_init(&builder);
    SchedulingPolicy_new_lease_params_set_ledger(params, 0xffff);
    lease = user_call(maker, policy, SchedulingPolicy_ID, SchedulingPolicy_new_lease_ORDINAL,
                      &builder, NULL, 0, NULL)
                .first_cap;
    CHECK(lease != 0);
    capnp_builder_init(&builder, words, sizeof(words));
    CpuLease_poll_params_set_idle_rounds(CpuLease_poll_params_init(&builder), ROUNDS);
    put_message(0, &builder, words);
    capnp_builder_init(&builder, words, sizeof(words));
    (void)CpuLease_stop_params_init(&builder);
    put_message(1, &builder, words);

    fixture_run(turn, is_over);
    fixture_settle();
    CHECK_EQ(completed, NOPS);
    CHECK(polls != 0 && stops != 0 && unentered != 0);
    printf("# %llu polls, %llu stops, %llu busy, %llu turns without an entry\n",
           (unsigned long long)polls, (unsigned long long)stops, (unsigned long long)busy,
           (unsigned long long)unentered);
    fixture_end();
}
