/* SPDX-License-Identifier: MIT */
/*
 * Curves of growth: what one operation costs while there is ten times as much of something each time. Each curve only
 * adds to what it made before. Flat is what they should be; where one is not, docs/reference/bench.md says why.
 */
#include <stdatomic.h>

#include "tests/bench/bench/bench.h"
#include "counter.capnp.h"
#include "endpoint.capnp.h"
#include "ledger.capnp.h"
#include "time.capnp.h"

enum { MOST = 100000, THREADS_MOST = 10000 };

static capos_cap_t held[MOST];
static uint32_t size; /* of the point being measured */

static const char *point_name(const char *curve)
{
    static char name[40];
    fmt_format(name, sizeof(name), "%s.%u", curve, size);
    return name;
}

static void measure_at(const char *curve, bench_fn run, uint32_t n)
{
    bench_measure(point_name(curve), run, n);
}

/* ---- slots: a call through one capability after the other of a table with so many ---- */

static void calls_through_all(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        (void)raw_call(&ring, held[i % size], Timer_ID, Timer_now_ORDINAL);
        enter_and_reap(1, 16);
    }
}

void growth_slots(void)
{
    uint32_t made = 0;
    for (size = 10; size <= MOST; size *= 10) {
        for (; made < size; made++) {
            held[made] = raw_copy(&ring, caps.capabilities, caps.timer);
        }
        measure_at("growth.slots", calls_through_all, 20000);
    }
    while (made > 0) {
        release(held[--made]);
    }
}

/* ---- grants: a call through one derived capability after the other, and a revocation among so many ---- */

void growth_grants(void)
{
    static capos_cap_t grants[MOST];
    uint32_t made = 0;
    for (size = 10; size <= MOST; size *= 10) {
        for (; made < size; made++) {
            derive(&held[made], &grants[made]);
        }
        measure_at("growth.grants", calls_through_all, 20000);
        bench_revoke_ones(point_name("growth.revoke"), 200);
    }
    while (made > 0) {
        release(held[--made]);
        release(grants[made]);
    }
}

/* ---- timers: a sleep begun and cancelled while so many others sleep ---- */

enum { SLEEPER_RING = 4096, SLEEPS_EACH = 4000, STACK_BYTES = 192 };
static uint8_t stacks[THREADS_MOST][STACK_BYTES] __attribute__((aligned(64)));
static capos_cap_t bell;

static uint8_t *stack_of(uint32_t thread)
{
    return &stacks[thread][STACK_BYTES - 64];
}

static uint64_t far_away(uint64_t i)
{
    return UINT64_C(1000000000000000) + i * 1000;
}

static void fill_sleep(struct raw_ring *own, uint32_t slot, uint64_t until_ns)
{
    uint64_t *params =
        (uint64_t *)(void *)(own->payload + (uint64_t)slot * CAPOS_PAYLOAD_SLOT_BYTES);
    params[0] = UINT64_C(1) << 32;
    params[1] = until_ns;
    struct capos_sqe *sqe = raw_call(own, caps.timer, Timer_ID, Timer_sleep_ORDINAL);
    sqe->params = (uint64_t)slot * CAPOS_PAYLOAD_SLOT_BYTES;
    sqe->params_len = 16;
    sqe->result = sqe->params;
}

/* Rings the bell when so many sleeps are under way, then waits for the first of them. */
static void sleeps(uint64_t count, uint8_t *base)
{
    struct raw_ring own;
    raw_open_at(&own, base);
    for (uint32_t i = 0; i < count; i++) {
        fill_sleep(&own, i, far_away(i));
    }
    raw_signal(&own, bell, 1);
    raw_publish(&own);
    for (uint32_t ready = 1;; ready++) {
        (void)raw_enter(ready + 1, CAPOS_FOREVER);
    }
}

static void sleep_and_cancel(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t position = ring.sq_tail;
        fill_sleep(&ring, 0, far_away(i * UINT64_C(7919) % SLEEPS_EACH));
        (void)raw_op(&ring, CAPOS_OP_CANCEL, position);
        raw_submit(&ring, 2);
        raw_require(raw_reap(&ring) == ST_CANCELLED, 34);
        raw_require(raw_reap(&ring) == ST_OK, 35);
        raw_reaped(&ring);
    }
}

void growth_timers(void)
{
    uint32_t made = 0, threads = 0;
    bell = new_bell();
    for (size = 10; size <= THREADS_MOST; size *= 10) {
        while (made < size) {
            uint32_t count = size - made < SLEEPS_EACH ? size - made : SLEEPS_EACH;
            release(spawn_thread(sleeps, count, stack_of(threads++), SLEEPER_RING));
            await_bell(bell);
            made += count;
        }
        measure_at("growth.timers", sleep_and_cancel, 20000);
    }
}

/* ---- processes and threads: a round trip while so many others wait ---- */

void growth_processes(void)
{
    uint32_t made = 0;
    bell = new_bell();
    for (size = 10; size <= THREADS_MOST; size *= 10) {
        for (; made < size; made++) {
            held[made] = launch_idle("bench/silent", caps.timer, bell);
        }
        measure_at("growth.processes", roundtrip, 20000);
    }
    while (made > 0) {
        end_holder(held[--made]);
    }
}

static void waits(uint64_t argument, uint8_t *base)
{
    (void)argument, (void)base;
    for (;;) {
        (void)raw_enter(1, CAPOS_FOREVER);
    }
}

void growth_threads(void)
{
    uint32_t made = 0;
    for (size = 10; size <= THREADS_MOST; size *= 10) {
        for (; made < size; made++) {
            release(spawn_thread(waits, 0, stack_of(made), CAPOS_RING_MIN_ENTRIES));
        }
        measure_at("growth.threads", roundtrip, 20000);
    }
}

/* ---- clients: what an answered call costs while so many calls wait at one endpoint ----
 *
 * The first thread serves, in rounds: it answers all calls but one while none of the clients runs, then they run, one after
 * the other, and call again; the last of them rings the bell. So the endpoint's queues are full and empty in turn, and no
 * call takes the special path. The clients go on calling: nothing can be measured after this.
 */

static capos_cap_t endpoint, object;
static _Atomic uint32_t left; /* clients that have not called again in this round */

static void fill_call(struct raw_ring *own)
{
    struct capos_sqe *sqe = raw_call(own, object, Counter_ID, Counter_increment_ORDINAL);
    sqe->params_len = 32;
    sqe->result = CAPOS_PAYLOAD_SLOT_BYTES;
    sqe->result_len = 32;
}

static void calls_for_ever(uint64_t argument, uint8_t *base)
{
    struct raw_ring own;
    (void)argument;
    raw_open_at(&own, base);
    for (;;) {
        uint32_t count = 1;
        fill_call(&own);
        if (atomic_fetch_sub_explicit(&left, 1, memory_order_relaxed) == 1) {
            raw_signal(&own, bell, 1);
            count = 2;
        }
        raw_submit(&own, count);
        while (count-- > 0) {
            int32_t result = raw_reap(&own);
            raw_require(result == 32 || result == ST_OK, 37);
        }
        raw_reaped(&own);
    }
}

static void make_object(void)
{
    uint64_t words[8] = {UINT64_C(1) << 32, 32};
    uint64_t result[16];
    int32_t bytes =
        call_with(caps.ledger, Ledger_ID, Ledger_new_endpoint_ORDINAL, words, 16, 0, result);
    raw_require(bytes > 0, 38);
    endpoint = raw_records(result, bytes)->cap;
    uint64_t mint[8] = {UINT64_C(4) << 32, 1, Counter_ID, UINT64_MAX, 0};
    bytes = call_with(endpoint, Endpoint_ID, Endpoint_mint_ORDINAL, mint, 40, 0, result);
    raw_require(bytes > 0, 39);
    object = raw_records(result, bytes)->cap;
}

static uint8_t received[256] __attribute__((aligned(64)));

/* Receives a call; `answering`: and answers the one before, in the same entry. In a buffer, for others use the slots. */
static void receive(bool answering)
{
    const struct capos_received *call = (const struct capos_received *)(void *)received;
    struct capos_sqe *sqe =
        raw_op(&ring, answering ? CAPOS_OP_RETURN_RECV : CAPOS_OP_RECV, endpoint);
    sqe->result = (uint64_t)received;
    sqe->result_len = sizeof(received);
    if (answering) {
        sqe->params = (uint64_t)&call[1];
        sqe->params_len = call->params_len;
        sqe->interface = call->call_id;
    }
    enter_and_reap(1, sizeof(*call) + 32);
}

static void serve_rounds(uint32_t n)
{
    for (uint32_t round = 0; round < n / (size - 1) + 1; round++) {
        atomic_store_explicit(&left, size - 1, memory_order_relaxed);
        for (uint32_t i = 0; i < size - 1; i++) {
            receive(true);
        }
        await_bell(bell);
    }
}

/* As bench_measure, with as many calls as whole rounds make. */
static void measure_clients(void)
{
    uint64_t values[BATCHES];
    uint32_t rounds = 20000 / (size - 1) + 1;
    serve_rounds(1);
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        uint64_t start = raw_cycles();
        serve_rounds(20000);
        values[batch] = (raw_cycles() - start) * 10 / ((uint64_t)rounds * (size - 1));
    }
    bench_report(point_name("growth.clients"), values);
}

void growth_clients(void)
{
    uint32_t made = 0;
    make_object();
    bell = new_bell();
    for (size = 10; size <= THREADS_MOST; size *= 10) {
        atomic_store_explicit(&left, size - made, memory_order_relaxed);
        for (; made < size; made++) {
            release(spawn_thread(calls_for_ever, 0, stack_of(made), CAPOS_RING_MIN_ENTRIES));
        }
        await_bell(bell);
        if (size == 10) {
            receive(false);
        }
        measure_clients();
    }
}
