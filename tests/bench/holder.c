/* SPDX-License-Identifier: MIT */
/* Holds a hundred capabilities by the route it was given one by: revoke.slot takes them away. */
#include "capabilities.capnp.h"
#include "capos/start.h"
#include "raw.h"
#include "time.capnp.h"

enum { COPIES = 99 };

static struct raw_ring ring;

/* CapabilityManager.attenuate: one more of the same. */
static void copy(capos_cap_t manager, capos_cap_t cap)
{
    uint64_t words[8];
    uint64_t result[8];
    size_t len;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words) - 24);
    CapabilityManager_attenuate_params_b params = CapabilityManager_attenuate_params_init(&builder);
    CapabilityManager_attenuate_params_set_methods(params, 1);
    raw_require(capnp_finish(&builder, &len) == CAPNP_OK, 31);
    words[len / 8] = ring.sequence++;
    *(struct capos_transfer *)(void *)&words[len / 8 + 1] = (struct capos_transfer){.cap = cap};
    struct capos_sqe sqe = {
        .op = CAPOS_OP_CALL,
        .method = CapabilityManager_attenuate_ORDINAL,
        .xfer_count = 1,
        .accept_count = 1,
        .cap = manager,
        .interface = CapabilityManager_ID,
        .params = (uint64_t)words,
        .params_len = (uint32_t)len,
        .result = (uint64_t)result,
        .result_len = sizeof(result),
    };
    raw_require(raw_run(&ring, &sqe) >= 0, 32);
}

int capos_main(void)
{
    raw_open(&ring);
    capos_cap_t bell = raw_cap("bell");
    for (unsigned i = 0; i < COPIES; i++) {
        copy(raw_cap("capabilities"), raw_cap("lease"));
    }
    struct capos_sqe ring_it = {.op = CAPOS_OP_SIGNAL, .cap = bell, .params = 1};
    raw_require(raw_run(&ring, &ring_it) == ST_OK, 33);
    struct capos_sqe stay = {
        .op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_SIGNALLED, .cap = bell, .params = 2};
    capos_sys_exit(raw_run(&ring, &stay)); /* nobody signals that: it is ended */
}
