/* SPDX-License-Identifier: MIT */
/*
 * sched.*: shares, time from wake to run, and what a spent budget costs others; on one CPU whose clock counts
 * instructions, so a nanosecond is one.
 *
 * Shares are counts of one loop by threads that do nothing else, over two seconds. A wake is told by a thread
 * that is woken by one of a worse class, which noted the time before it entered. The longest gap that a
 * thread sees between two looks at the clock is what it was kept from running at once.
 */
#include <assert.h>
#include <stdatomic.h>

#include "tests/bench/bench/bench.h"
#include "notification.capnp.h"
#include "scheduling.capnp.h"
#include "thread.capnp.h"
#include "time.capnp.h"

enum { HOGS = 5, STACK_BYTES = 4096, WAKES = 1000 };

#define MS UINT64_C(1000000)
#define LONG_RUN_NS (2000 * MS)

static uint8_t stacks[HOGS][STACK_BYTES] __attribute__((aligned(64)));
static _Atomic uint64_t counts[HOGS];
static _Atomic bool over;
static _Atomic uint64_t stamp;
static capos_cap_t bell;

static capos_cap_t start_thread(thread_fn entry, unsigned n)
{
    return spawn_thread(entry, n, stacks[n] + STACK_BYTES - 64, 16);
}

static capos_cap_t new_context(unsigned class, unsigned weight, uint64_t budget_ns,
                               uint64_t period_ns)
{
    uint64_t words[6] = {UINT64_C(3) << 32, class | (uint64_t)weight << 16, budget_ns, period_ns};
    uint64_t result[16];
    int32_t bytes = call_with(caps.scheduling, SchedulingPolicy_ID,
                              SchedulingPolicy_new_context_ORDINAL, words, 32, 0, result);
    raw_require(bytes >= 0, 113);
    return raw_records(result, bytes)->cap;
}

/* Of ThreadHandle, or of ThreadControl: the method is the same. 0: back to the process's. */
static void bind(capos_cap_t thread, uint64_t interface, capos_cap_t context)
{
    static_assert(ThreadHandle_set_context_ORDINAL == ThreadControl_set_context_ORDINAL,
                  "one call");
    uint64_t words[5] = {UINT64_C(1) << 32, context != 0 ? 0xffff : 0}; /* capability 0, or none */
    uint64_t result[16];
    raw_require(call_with(thread, interface, ThreadHandle_set_context_ORDINAL, words, 16, context,
                          result) >= 0,
                114);
}

static void sleep_ns(uint64_t ns)
{
    uint64_t words[2] = {UINT64_C(1) << 32, 0};
    uint64_t result[16];
    raw_require(call_with(caps.timer, Timer_ID, Timer_now_ORDINAL, words, 0, 0, result) >= 0, 115);
    words[1] = result[1] + ns;
    raw_require(call_with(caps.timer, Timer_ID, Timer_sleep_ORDINAL, words, 16, 0, result) >= 0,
                116);
}

static void row(const char *name, uint64_t value, const char *unit)
{
    char line[120];
    unsigned long long v = (unsigned long long)value;
    fmt_format(line, sizeof(line), "@bench %s %llu %s 1 %llu %llu", name, v, unit, v, v);
    raw_log(&ring, caps.log, line);
}

/* ---- shares ---- */

static void counts_up(uint64_t n, uint8_t *base)
{
    (void)base;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        atomic_store_explicit(&counts[n],
                              atomic_load_explicit(&counts[n], memory_order_relaxed) + 1,
                              memory_order_relaxed);
    }
    capos_sys_exit_thread(0);
}

/* Runs `count` of them, the i-th on contexts[i]; ran[i] is how far each came. */
static void run_hogs(unsigned count, const capos_cap_t contexts[], uint64_t ran[])
{
    capos_cap_t threads[HOGS];
    atomic_store(&over, false);
    for (unsigned i = 0; i < count; i++) {
        threads[i] = start_thread(counts_up, i);
        bind(threads[i], ThreadHandle_ID, contexts[i]);
    }
    sleep_ns(50 * MS);
    for (unsigned i = 0; i < count; i++) { /* not reset: they may be just about to add one */
        ran[i] = atomic_load(&counts[i]);
    }
    sleep_ns(LONG_RUN_NS);
    for (unsigned i = 0; i < count; i++) {
        ran[i] = atomic_load(&counts[i]) - ran[i];
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < count; i++) {
        await_end(threads[i]);
    }
}

static uint64_t permille(const uint64_t ran[], unsigned one, unsigned count)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < count; i++) {
        all += ran[i];
    }
    return (ran[one] * 1000 + all / 2) / all;
}

static void shares(void)
{
    capos_cap_t contexts[3] = {new_context(SCHEDULING_CLASS_NORMAL, 100, 0, 0),
                               new_context(SCHEDULING_CLASS_NORMAL, 200, 0, 0),
                               new_context(SCHEDULING_CLASS_NORMAL, 700, 0, 0)};
    uint64_t ran[HOGS];
    run_hogs(3, contexts, ran);
    row("sched.share.100", permille(ran, 0, 3), "permille");
    row("sched.share.200", permille(ran, 1, 3), "permille");
    row("sched.share.700", permille(ran, 2, 3), "permille");
    /* One thread beside four of another context of the same weight. */
    capos_cap_t crowd[HOGS] = {contexts[0], contexts[1], contexts[1], contexts[1], contexts[1]};
    release(contexts[1]);
    crowd[1] = crowd[2] = crowd[3] = crowd[4] = new_context(SCHEDULING_CLASS_NORMAL, 100, 0, 0);
    run_hogs(HOGS, crowd, ran);
    row("sched.share.crowd", permille(ran, 0, HOGS), "permille");
    release(contexts[0]);
    release(contexts[2]);
    release(crowd[1]);
}

/* ---- from wake to run ---- */

/* Rings the bell after a while that is different each time. */
static void rings(uint64_t n, uint8_t *base)
{
    struct raw_ring own;
    (void)n;
    raw_open_at(&own, base);
    for (unsigned i = 0; !atomic_load_explicit(&over, memory_order_relaxed); i++) {
        for (unsigned spin = 0; spin < 500 + i * 37 % 1000; spin++) {
            __asm__ volatile("");
        }
        raw_signal(&own, bell, 1);
        raw_publish(&own);
        atomic_store_explicit(&stamp, raw_cycles(), memory_order_relaxed);
        raw_require(raw_enter(0, 0) >= 0, 117);
        raw_require(raw_reap(&own) == ST_OK, 118);
        raw_reaped(&own);
    }
    capos_sys_exit_thread(0);
}

/* This thread waits as an interactive one; the ringer is normal. */
static void wakes(void)
{
    static uint64_t took[WAKES];
    capos_cap_t lively = new_context(SCHEDULING_CLASS_INTERACTIVE, 100, 9 * MS, 10 * MS);
    atomic_store(&over, false);
    capos_cap_t ringer = start_thread(rings, 0);
    bind(caps.control, ThreadControl_ID, lively);
    for (unsigned i = 0; i < WAKES; i++) {
        await_bell(bell);
        took[i] = raw_cycles() - atomic_load_explicit(&stamp, memory_order_relaxed);
    }
    atomic_store(&over, true);
    await_end(ringer);
    bench_sort(took, WAKES);
    row("sched.wake.median", took[WAKES / 2], "instr");
    row("sched.wake.p99", took[WAKES * 99 / 100], "instr");
    row("sched.wake.max", took[WAKES - 1], "instr");
    bind(caps.control, ThreadControl_ID, 0);
    release(lively);
}

/* ---- what a spent budget costs others ---- */

static uint64_t longest_gap(void)
{
    uint64_t longest = 0, begin = raw_cycles(), last = begin;
    while (last - begin < LONG_RUN_NS / 20) {
        uint64_t now = raw_cycles();
        longest = now - last > longest ? now - last : longest;
        last = now;
    }
    return longest;
}

/* An urgent thread that would run for ever has 50 us of each 10 ms. */
static void gaps(void)
{
    capos_cap_t urgent = new_context(SCHEDULING_CLASS_URGENT, 100, MS / 20, 10 * MS);
    atomic_store(&over, false);
    capos_cap_t hog = start_thread(counts_up, 0);
    bind(hog, ThreadHandle_ID, urgent);
    sleep_ns(20 * MS);
    uint64_t longest = longest_gap();
    row("sched.gap", longest, "instr");
    row("sched.gap.beyond", longest > MS / 20 ? longest - MS / 20 : 0, "instr");
    atomic_store(&over, true);
    await_end(hog);
    release(urgent);
}

void bench_sched(void)
{
    bell = new_bell();
    shares();
    wakes();
    gaps();
    release(bell);
}
