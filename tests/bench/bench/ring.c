/* SPDX-License-Identifier: MIT */
/* ring.* and call.*: what a ring asks of the kernel alone, and calls of a kernel object. */
#include "tests/bench/bench/bench.h"
#include "counter.capnp.h"
#include "time.capnp.h"

static inline void nops(uint32_t n, uint32_t batch)
{
    for (uint32_t done = 0; done < n; done += batch) {
        for (uint32_t i = 0; i < batch; i++) {
            (void)raw_op(&ring, CAPOS_OP_NOP, 0);
        }
        enter_and_reap(batch, ST_OK);
    }
}

static void nop_1(uint32_t n)
{
    nops(n, 1);
}

static void nop_32(uint32_t n)
{
    nops(n, 32);
}

/* Timer.now by INLINE: the message of results goes to payload slot i. */
static inline void calls(uint32_t n, uint32_t batch)
{
    for (uint32_t done = 0; done < n; done += batch) {
        for (uint32_t i = 0; i < batch; i++) {
            struct capos_sqe *sqe = raw_call(&ring, caps.timer, Timer_ID, Timer_now_ORDINAL);
            sqe->result = i * CAPOS_PAYLOAD_SLOT_BYTES;
        }
        enter_and_reap(batch, 16);
    }
}

static void call_1(uint32_t n)
{
    calls(n, 1);
}

static void call_32(uint32_t n)
{
    calls(n, 32);
}

void bench_ring(void)
{
    bench_measure("ring.nop.1", nop_1, 20000);
    bench_measure("ring.nop.32", nop_32, 64000);
    bench_measure("call.kernel.1", call_1, 20000);
    bench_measure("call.kernel.32", call_32, 64000);
}

static uint8_t message[64] __attribute__((aligned(64)));
static uint8_t answer[64] __attribute__((aligned(64)));

/* A call nobody will answer, and its cancellation; both completions. */
static void cancels(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t position = ring.sq_tail;
        struct capos_sqe *sqe = raw_call(&ring, caps.silent, Counter_ID, Counter_increment_ORDINAL);
        sqe->flags = 0;
        sqe->params = (uint64_t)message;
        sqe->params_len = 32;
        sqe->result = (uint64_t)answer;
        sqe->result_len = 32;
        (void)raw_op(&ring, CAPOS_OP_CANCEL, position);
        raw_submit(&ring, 2);
        raw_require(raw_reap(&ring) == ST_CANCELLED, 15);
        raw_require(raw_reap(&ring) == ST_OK, 16);
        raw_reaped(&ring);
    }
}

void bench_cancel(void)
{
    bench_measure("call.cancel", cancels, 20000);
}
