/* SPDX-License-Identifier: MIT */
/* Holds a hundred capabilities by the route it was given one by: revoke.slot takes them away. */
#include "capos/start.h"
#include "raw.h"

enum { COPIES = 99 };

static struct raw_ring ring;

int capos_main(void)
{
    raw_open(&ring);
    capos_cap_t bell = raw_cap("bell");
    for (unsigned i = 0; i < COPIES; i++) {
        (void)raw_copy(&ring, raw_cap("capabilities"), raw_cap("lease"));
    }
    raw_signal(&ring, bell, 1);
    raw_wait(&ring, bell, CAPOS_EVENT_SIGNALLED, 2); /* nobody signals that: it is ended */
    raw_submit(&ring, 2);
    return raw_reap(&ring);
}
