/* SPDX-License-Identifier: MIT */
/* ipc.*: a call to another process and its answer. */
#include "tests/bench/bench/bench.h"
#include "counter.capnp.h"

static uint8_t message[4096 + 64] __attribute__((aligned(64)));
static uint8_t answer[4096 + 64] __attribute__((aligned(64)));

static inline struct capos_sqe *fill_echo(uint64_t params, uint64_t result, uint32_t bytes)
{
    struct capos_sqe *sqe = raw_call(&ring, caps.echo, Counter_ID, Counter_increment_ORDINAL);
    sqe->params = params;
    sqe->params_len = bytes;
    sqe->result = result;
    sqe->result_len = bytes;
    return sqe;
}

/* From payload slot 0 to slot 1. */
void roundtrip(uint32_t n)
{
    enum { BYTES = 32 };
    uint8_t *back = ring.payload + CAPOS_PAYLOAD_SLOT_BYTES;
    ring.payload[BYTES - 1] = 0x5a;
    for (uint32_t i = 0; i < n; i++) {
        back[BYTES - 1] = 0;
        (void)fill_echo(0, CAPOS_PAYLOAD_SLOT_BYTES, BYTES);
        enter_and_reap(1, BYTES);
        raw_require(*(volatile uint8_t *)&back[BYTES - 1] == 0x5a, 13);
    }
}

static void roundtrip_4k(uint32_t n)
{
    enum { BYTES = 4096 };
    for (uint32_t i = 0; i < n; i++) {
        answer[BYTES - 1] = 0;
        fill_echo((uint64_t)message, (uint64_t)answer, BYTES)->flags = 0;
        enter_and_reap(1, BYTES);
        raw_require(*(volatile uint8_t *)&answer[BYTES - 1] == message[BYTES - 1], 13);
    }
}

/* A capability goes there and comes back: moved both ways. */
static void roundtrip_cap(uint32_t n)
{
    enum { BYTES = 32 };
    uint64_t *area = (uint64_t *)(void *)(ring.payload + BYTES);
    const struct capos_cap_record *back =
        (const struct capos_cap_record *)(void *)(ring.payload + CAPOS_PAYLOAD_SLOT_BYTES + BYTES);
    for (uint32_t i = 0; i < n; i++) {
        area[0] = ring.sequence++;
        *(struct capos_transfer *)(void *)&area[1] =
            (struct capos_transfer){.cap = caps.spare, .mode = CAPOS_XFER_MOVE};
        struct capos_sqe *sqe = fill_echo(0, CAPOS_PAYLOAD_SLOT_BYTES, BYTES);
        sqe->cap = caps.carrier;
        sqe->xfer_count = 1;
        sqe->accept_count = 1;
        sqe->result_len = BYTES + sizeof(*back);
        enter_and_reap(1, BYTES);
        caps.spare = *(volatile const uint64_t *)&back->cap;
        raw_require(caps.spare != 0, 21);
    }
}

void bench_ipc(void)
{
    memset(message, 0x5a, sizeof(message));
    bench_measure("ipc.roundtrip", roundtrip, 20000);
    bench_measure("ipc.roundtrip.4k", roundtrip_4k, 20000);
    bench_measure("ipc.roundtrip.cap", roundtrip_cap, 20000);
}
