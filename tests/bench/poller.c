/* SPDX-License-Identifier: MIT */
/* The other side of ipc.remote: answers every call with what was said, and keeps a CPU of its own while calls
 * come. */
#include "capos/start.h"
#include "raw.h"

int capos_main(void)
{
    struct raw_ring ring;
    raw_open(&ring);
    capos_cap_t serve = raw_cap("serve");
    (void)raw_receive(&ring, CAPOS_OP_RECV, serve);
    for (;;) {
        raw_poll(&ring);
        raw_require(raw_reap(&ring) >= (int32_t)sizeof(struct capos_received), 82);
        raw_reaped(&ring);
        const struct capos_received *call = (const struct capos_received *)(void *)ring.payload;
        struct capos_sqe *sqe = raw_receive(&ring, CAPOS_OP_RETURN_RECV, serve);
        sqe->params = sizeof(*call);
        sqe->params_len = call->params_len;
        sqe->interface = call->call_id;
    }
}
