/* SPDX-License-Identifier: MIT */
/* notify.pingpong, park.pingpong, thread.lifecycle: waiting for each other. */
#include <stdatomic.h>

#include "tests/bench/bench/bench.h"
#include "notification.capnp.h"
#include "time.capnp.h"

static capos_cap_t pong_bell;

/* Signal the other, and wait for its signal. */
static void notifies(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        raw_signal(&ring, pong_bell, 4);
        raw_wait(&ring, pong_bell, CAPOS_EVENT_SIGNALLED, 8);
        raw_submit(&ring, 2);
        raw_require(raw_reap(&ring) == ST_OK, 72);
        raw_require(raw_reap(&ring) == CAPOS_EVENT_SIGNALLED, 73);
        raw_reaped(&ring);
    }
}

void bench_notify(void)
{
    pong_bell = new_bell();
    capos_cap_t ponger = launch_holder("bench/ponger", caps.timer, pong_bell);
    bench_measure("notify.pingpong", notifies, 20000);
    end_holder(ponger);
}

/* Threads: raw ones, each with a stack here and a ring that the kernel names. */
static uint8_t thread_stack[4096] __attribute__((aligned(64)));
#define STACK_TOP (thread_stack + sizeof(thread_stack) - 64)
static _Atomic uint32_t ball; /* whose turn: 0 the first thread's, 1 the second's, 2 nobody's */

/* Waits for the thread and lets go of its handle, in one entry. */
static void join(capos_cap_t handle)
{
    raw_wait(&ring, handle, CAPOS_EVENT_EXIT, 0);
    (void)raw_op(&ring, CAPOS_OP_RELEASE, handle);
    raw_submit(&ring, 2);
    raw_require(raw_reap(&ring) + raw_reap(&ring) == CAPOS_EVENT_EXIT + ST_OK, 75);
    raw_reaped(&ring);
}

static void ends(uint64_t argument, uint8_t *base)
{
    (void)argument, (void)base;
    capos_sys_exit_thread(0);
}

static void thread_lives(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        join(spawn_thread(ends, 0, STACK_TOP, 16));
    }
}

void bench_thread(void)
{
    bench_measure("thread.lifecycle", thread_lives, 20000);
}

/* Gives the ball away and parks until it is back; both in one entry. */
static inline void pass_ball(struct raw_ring *own, uint32_t to, uint32_t mine)
{
    atomic_store_explicit(&ball, to, memory_order_release);
    struct capos_sqe *sqe = raw_op(own, CAPOS_OP_UNPARK, 0);
    sqe->params = (uint64_t)&ball;
    sqe->interface = 1;
    sqe = raw_op(own, CAPOS_OP_PARK, 0);
    sqe->params = (uint64_t)&ball;
    sqe->interface = to;
    raw_submit(own, 2);
    raw_require(raw_reap(own) >= 0, 77);
    raw_require(raw_reap(own) >= 0, 78);
    raw_reaped(own);
    raw_require(atomic_load_explicit(&ball, memory_order_acquire) == mine || mine == 1, 79);
}

static void returns_ball(uint64_t argument, uint8_t *base)
{
    struct raw_ring own;
    (void)argument;
    raw_open_at(&own, base);
    while (atomic_load_explicit(&ball, memory_order_acquire) != 2) {
        pass_ball(&own, 0, 1);
    }
    capos_sys_exit_thread(0);
}

static void parks(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        pass_ball(&ring, 1, 0);
    }
}

void bench_park(void)
{
    capos_cap_t other = spawn_thread(returns_ball, 0, STACK_TOP, 16);
    bench_measure("park.pingpong", parks, 20000);
    atomic_store_explicit(&ball, 2, memory_order_release);
    struct capos_sqe sqe = {.op = CAPOS_OP_UNPARK, .params = (uint64_t)&ball, .interface = 1};
    raw_require(raw_run(&ring, &sqe) == 1, 80);
    join(other);
}
