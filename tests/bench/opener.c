/* SPDX-License-Identifier: MIT */
/* The other side of ipc.pipeline.4: method `child` is answered with a copy of an object of its own, any other with what
 * was said; by RETURN_RECV, in the payload slot. */
#include "annotations.capnp.h"
#include "capos/start.h"
#include "counter.capnp.h"
#include "endpoint.capnp.h"
#include "raw.h"

enum { KEY = 7 };

static struct raw_ring ring;

static capos_cap_t mint_object(capos_cap_t serve)
{
    uint64_t words[16], result[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Endpoint_mint_params_b params = Endpoint_mint_params_init(&builder);
    Endpoint_mint_params_set_key(params, KEY);
    Endpoint_mint_params_set_interface(params, Counter_ID);
    Endpoint_mint_params_set_methods(params, Counter_FACET);
    Endpoint_mint_params_set_transfer_mode(params, TRANSFER_MODE_COPY);
    Endpoint_mint_params_set_scope(params, SESSION_SCOPE_CROSS_SESSION);
    struct capos_sqe call = {
        .cap = serve, .interface = Endpoint_ID, .method = Endpoint_mint_ORDINAL};
    uint32_t len = raw_finish(&builder);
    int32_t bytes = raw_transact(&ring, call, words, len, NULL, 0, result);
    raw_require(bytes >= 0, 85);
    return raw_records(result, bytes)->cap;
}

static inline void fill_answer(capos_cap_t serve, capos_cap_t object)
{
    const struct capos_received *call = (const struct capos_received *)(void *)ring.payload;
    struct capos_sqe *sqe = raw_receive(&ring, CAPOS_OP_RETURN_RECV, serve);
    sqe->accept_count = 1;
    sqe->params = sizeof(*call);
    sqe->params_len = call->params_len;
    sqe->interface = call->call_id;
    if (call->method == Counter_child_ORDINAL) {
        uint64_t *area = (uint64_t *)(void *)(ring.payload + sizeof(*call) + call->params_len);
        area[0] = ring.sequence++;
        *(struct capos_transfer *)(void *)&area[1] = (struct capos_transfer){.cap = object};
        sqe->xfer_count = 1;
    }
}

int capos_main(void)
{
    raw_open(&ring);
    capos_cap_t serve = raw_cap("serve");
    capos_cap_t object = mint_object(serve);
    raw_receive(&ring, CAPOS_OP_RECV, serve)->accept_count = 1;
    for (;;) {
        raw_publish(&ring);
        while (ring.header->cq_tail == ring.cq_head) {
            raw_require(raw_enter(1, CAPOS_FOREVER) >= 0, 81);
        }
        int32_t result = raw_reap(&ring);
        raw_reaped(&ring);
        raw_require(result >= (int32_t)sizeof(struct capos_received), 82);
        fill_answer(serve, object);
    }
}
