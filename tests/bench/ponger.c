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
        raw_signal(&ring, bell, bits);
        raw_wait(&ring, bell, CAPOS_EVENT_SIGNALLED, 4);
        raw_submit(&ring, 2);
        raw_require(raw_reap(&ring) == ST_OK, 62);
        raw_require(raw_reap(&ring) == CAPOS_EVENT_SIGNALLED, 63);
        raw_reaped(&ring);
    }
}
