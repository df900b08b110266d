/* SPDX-License-Identifier: MIT */
/* The other side of ipc.*: answers every call with the parameters it got, by RETURN_RECV, through its
 * payload slot when the message is small. Never reads what it says: it is the kernel that is measured. */
#include "capos/start.h"
#include "raw.h"

enum { BUFFER_BYTES = 64 + 4096 + 64 };

static uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(64)));

static void fill_receive(struct capos_sqe *sqe, capos_cap_t serve)
{
    memset(sqe, 0, sizeof(*sqe));
    sqe->op = CAPOS_OP_RECV;
    sqe->cap = serve;
    sqe->result = (uint64_t)buffer;
    sqe->result_len = sizeof(buffer);
}

int capos_main(void)
{
    struct raw_ring ring;
    raw_open(&ring);
    capos_cap_t serve = raw_cap("serve");
    const struct capos_received *call = (const struct capos_received *)(void *)buffer;
    fill_receive(raw_sqe(&ring), serve);
    for (;;) {
        raw_publish(&ring);
        while (ring.header->cq_tail == ring.cq_head) {
            raw_require(raw_enter(1, CAPOS_FOREVER) >= 0, 81);
        }
        int32_t result = raw_reap(&ring);
        raw_reaped(&ring);
        raw_require(result >= (int32_t)sizeof(*call), 82);
        struct capos_sqe *sqe = raw_sqe(&ring);
        memset(sqe, 0, sizeof(*sqe));
        sqe->op = CAPOS_OP_RETURN_RECV;
        sqe->cap = serve;
        sqe->params = (uint64_t)(buffer + sizeof(*call));
        sqe->params_len = call->params_len;
        sqe->result = (uint64_t)buffer;
        sqe->result_len = sizeof(buffer);
        sqe->interface = call->call_id;
    }
}
