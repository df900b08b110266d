/* SPDX-License-Identifier: MIT */
/* ipc.pipeline.4: four calls to one server in one entry, each on the capability that the one before gives. ipc.service: a
 * call to a service that is written with libcapos and generated dispatch (apps/counter). */
#include "tests/bench/bench/bench.h"
#include "counter.capnp.h"

enum { DEPTH = 4, BYTES = 32 };

/* Step i has payload slot i; the last wants what it said back. */
static inline void fill_step(unsigned i, uint64_t position)
{
    bool last = i == DEPTH - 1;
    struct capos_sqe *sqe = raw_call(&ring, i == 0 ? caps.opener : position - 1, Counter_ID,
                                     last ? Counter_increment_ORDINAL : Counter_child_ORDINAL);
    sqe->flags |= (uint16_t)((last ? 0 : CAPOS_SQE_KEEP | CAPOS_SQE_QUIET) |
                             (i == 0 ? 0 : CAPOS_SQE_PIPELINE));
    sqe->params = i * CAPOS_PAYLOAD_SLOT_BYTES;
    sqe->params_len = BYTES;
    sqe->result = i * CAPOS_PAYLOAD_SLOT_BYTES;
}

/* The answers are kept no longer than the calls on them. */
static inline void fill_finish(uint64_t position)
{
    raw_op(&ring, CAPOS_OP_FINISH, position)->flags = CAPOS_SQE_QUIET;
}

static void pipeline(uint32_t n)
{
    volatile uint8_t *last = &ring.payload[(DEPTH - 1) * CAPOS_PAYLOAD_SLOT_BYTES + BYTES - 1];
    for (uint32_t done = 0; done < n; done += DEPTH) {
        uint64_t first = ring.sq_tail;
        *last = 0x5a;
        for (unsigned i = 0; i < DEPTH; i++) {
            fill_step(i, first + i);
        }
        for (unsigned i = 0; i < DEPTH - 1; i++) {
            fill_finish(first + i);
        }
        enter_and_reap(1, BYTES);
        raw_require(*last == 0x5a, 25);
    }
}

/* A whole Cap'n Proto message: Counter.increment(by = 1 more than its default). */
static void service(uint32_t n)
{
    uint64_t *params = (uint64_t *)(void *)ring.payload;
    const volatile uint64_t *value =
        (const volatile uint64_t *)(const volatile void *)(ring.payload + CAPOS_PAYLOAD_SLOT_BYTES);
    uint64_t before = value[1];
    params[0] = UINT64_C(1) << 32;
    params[1] = 0; /* by = 1 */
    for (uint32_t i = 0; i < n; i++) {
        struct capos_sqe *sqe =
            raw_call(&ring, caps.counted, Counter_ID, Counter_increment_ORDINAL);
        sqe->params_len = 16;
        sqe->result = CAPOS_PAYLOAD_SLOT_BYTES;
        enter_and_reap(1, 16);
        raw_require(before == 0 || value[1] == before + 1, 26);
        before = value[1];
    }
}

void bench_pipeline(void)
{
    bench_measure("ipc.pipeline.4", pipeline, 20000);
    *(uint64_t *)(void *)(ring.payload + CAPOS_PAYLOAD_SLOT_BYTES + 8) = 0;
    bench_measure("ipc.service", service, 20000);
}
