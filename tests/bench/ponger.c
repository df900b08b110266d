/* SPDX-License-Identifier: MIT */
/* The other side of notify.pingpong: answers each signal of bit 4 with bit 8, in one entry, for ever. */
#include "capos/start.h"
#include "notification.capnp.h"
#include "raw.h"

static struct raw_ring ring;

int capos_main(void)
{
    raw_open(&ring);
    capos_cap_t bell = raw_cap("bell");
    for (uint64_t bits = 1;; bits = 8) {
        struct capos_sqe *sqe = raw_sqe(&ring);
        raw_clear(sqe);
        sqe->op = CAPOS_OP_SIGNAL;
        sqe->cap = bell;
        sqe->params = bits;
        sqe = raw_sqe(&ring);
        raw_clear(sqe);
        sqe->op = CAPOS_OP_WAIT;
        sqe->method = CAPOS_EVENT_SIGNALLED;
        sqe->cap = bell;
        sqe->params = 4;
        raw_publish(&ring);
        raw_require(raw_enter(2, CAPOS_FOREVER) == 2, 61);
        raw_require(raw_reap(&ring) == ST_OK, 62);
        raw_require(raw_reap(&ring) == CAPOS_EVENT_SIGNALLED, 63);
        raw_reaped(&ring);
    }
}
