/* SPDX-License-Identifier: MIT */
/* ring.* and call.*: what a ring asks of the kernel alone, and calls of a kernel object. */
#include "tests/bench/bench/bench.h"
#include "counter.capnp.h"
#include "time.capnp.h"

static inline void nops(uint32_t n, uint32_t batch)
{
    for (uint32_t done = 0; done < n; done += batch) {
        for (uint32_t i = 0; i < batch; i++) {
            raw_clear(raw_sqe(&ring));
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
static inline void fill_now(struct capos_sqe *sqe, uint32_t slot)
{
    raw_clear(sqe);
    sqe->op = CAPOS_OP_CALL;
    sqe->flags = CAPOS_SQE_INLINE;
    sqe->method = Timer_now_ORDINAL;
    sqe->cap = caps.timer;
    sqe->interface = Timer_ID;
    sqe->result = slot * CAPOS_PAYLOAD_SLOT_BYTES;
    sqe->result_len = CAPOS_PAYLOAD_SLOT_BYTES;
}

static inline void calls(uint32_t n, uint32_t batch)
{
    for (uint32_t done = 0; done < n; done += batch) {
        for (uint32_t i = 0; i < batch; i++) {
            fill_now(raw_sqe(&ring), i);
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
        struct capos_sqe *sqe = raw_sqe(&ring);
        raw_clear(sqe);
        sqe->op = CAPOS_OP_CALL;
        sqe->method = Counter_increment_ORDINAL;
        sqe->cap = caps.silent;
        sqe->interface = Counter_ID;
        sqe->params = (uint64_t)message;
        sqe->params_len = 32;
        sqe->result = (uint64_t)answer;
        sqe->result_len = 32;
        sqe = raw_sqe(&ring);
        raw_clear(sqe);
        sqe->op = CAPOS_OP_CANCEL;
        sqe->cap = position;
        raw_publish(&ring);
        raw_require((raw_enter(2, CAPOS_FOREVER) & (int64_t)CAPOS_ENTER_READY_MASK) == 2, 14);
        raw_require(raw_reap(&ring) == ST_CANCELLED, 15);
        raw_require(raw_reap(&ring) == ST_OK, 16);
        raw_reaped(&ring);
    }
}

void bench_cancel(void)
{
    bench_measure("call.cancel", cancels, 20000);
}
