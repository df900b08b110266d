/* SPDX-License-Identifier: MIT */
/* The other side of ipc.*: answers every call with the parameters it got, by RETURN_RECV, in its payload
 * slot when the message came there. Never reads what it says: it is the kernel that is measured. */
#include "capos/start.h"
#include "raw.h"

enum { BUFFER_BYTES = 64 + 4096 + 64 };

static uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(64)));
static uint8_t accepts; /* capabilities with a call: as the endpoint was made to take */

static inline struct capos_sqe *fill_receive(struct raw_ring *ring, uint8_t op, capos_cap_t serve)
{
    struct capos_sqe *sqe = raw_receive(ring, op, serve);
    sqe->accept_count = accepts;
    sqe->result = (uint64_t)buffer;
    sqe->result_len = sizeof(buffer);
    return sqe;
}

/* The answer to what was received, and the next receive. Capabilities that came go back. */
static inline void fill_answer(struct raw_ring *ring, capos_cap_t serve, bool in_slot)
{
    uint8_t *at = in_slot ? ring->payload : buffer;
    const struct capos_received *call = (const struct capos_received *)(void *)at;
    uint32_t params_len = call->params_len;
    struct capos_sqe *sqe = fill_receive(ring, CAPOS_OP_RETURN_RECV, serve);
    sqe->flags = in_slot ? CAPOS_SQE_INLINE : 0;
    sqe->params = (in_slot ? 0 : (uint64_t)buffer) + sizeof(*call);
    sqe->params_len = params_len;
    sqe->interface = call->call_id;
    if (call->cap_count != 0) {
        uint64_t *area = (uint64_t *)(void *)(at + sizeof(*call) + params_len);
        capos_cap_t cap = area[0];
        area[0] = ring->sequence++;
        *(struct capos_transfer *)(void *)&area[1] =
            (struct capos_transfer){.cap = cap, .mode = CAPOS_XFER_MOVE};
        sqe->xfer_count = 1;
    }
}

int capos_main(void)
{
    struct raw_ring ring;
    raw_open(&ring);
    capos_cap_t serve = raw_cap("serve");
    (void)fill_receive(&ring, CAPOS_OP_RECV, serve);
    for (;;) {
        raw_publish(&ring);
        while (ring.header->cq_tail == ring.cq_head) {
            raw_require(raw_enter(1, CAPOS_FOREVER) >= 0, 81);
        }
        bool in_slot = (ring.cq[ring.cq_head & ring.cq_mask].flags & CAPOS_CQE_INLINE) != 0;
        int32_t result = raw_reap(&ring);
        raw_reaped(&ring);
        if (result == ST_RESULT_TOO_SMALL && accepts == 0) {
            accepts = 1;
            (void)fill_receive(&ring, CAPOS_OP_RECV, serve);
            continue;
        }
        raw_require(result >= (int32_t)sizeof(struct capos_received), 82);
        fill_answer(&ring, serve, in_slot);
    }
}
