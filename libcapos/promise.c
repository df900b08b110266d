/* SPDX-License-Identifier: MIT */
/*
 * Promises: calls of capabilities that have not arrived.
 *
 * A call with `keep` has a place in the table of its thread from capos_call_begin to capos_call_end. Its
 * promise is a number that stands where a capability does: place, generation and which capability of the
 * result. No capability id is that small (abi/types.h), so a promise never means one, and the kernel
 * refuses it wherever it is not resolved here. Submitting a call on a promise counts it at the promised
 * call and remembers that; the position to name is filled in when the call leaves, by when the promised
 * one has left.
 *
 * The promised call is QUIET unless somebody wants its results: it has no completion when it succeeds, so
 * whoever waits for the end of the pipeline is not woken on the way (ring_reap.c says how its end shows).
 */
#include "lib/base/string.h"
#include "ring_state.h"
#include "status.capnp.h"

enum {
    PLACE_BITS = 7,
    INDEX_BITS = 2,
    GENERATION_BITS = CAPOS_CAP_INDEX_BITS - PLACE_BITS - INDEX_BITS,
    SHARE = 4, /* of the ring: each takes two places of completions */
};
static_assert(CAPOS_MAX_ANSWERS < 1 << PLACE_BITS, "places");
static_assert(CAPOS_MAX_PIPE_CAPS < 1 << INDEX_BITS, "capabilities of a result");

static _Thread_local struct {
    struct capos_call *calls[CAPOS_MAX_ANSWERS];
    uint32_t generations[CAPOS_MAX_ANSWERS];
} promises;

void capos_promise_reset(void)
{
    memset(&promises, 0, sizeof(promises));
}

status_t capos_promise_open(struct capos_call *call)
{
    uint32_t share = capos_ring.ordinary_limit / SHARE;
    uint32_t most = share < CAPOS_MAX_ANSWERS ? share : CAPOS_MAX_ANSWERS;
    for (uint32_t i = 0; i < most; i++) {
        if (promises.calls[i] == NULL) {
            promises.calls[i] = call;
            call->promise = (uint16_t)(i + 1);
            call->kept = false;
            call->dependents = 0;
            return ST_OK;
        }
    }
    return ST_BUSY;
}

static uint32_t generation_of(uint32_t place)
{
    return promises.generations[place] & ((1u << GENERATION_BITS) - 1);
}

capos_cap_t capos_promise(struct capos_call *call, unsigned index)
{
    uint32_t place = call->promise;
    uint32_t generation = place != 0 ? generation_of(place - 1) : 1; /* 0 is no promise */
    uint32_t which = index < CAPOS_MAX_PIPE_CAPS ? index : CAPOS_MAX_PIPE_CAPS;
    return (generation << INDEX_BITS | which) << PLACE_BITS | place;
}

struct capos_call *capos_promise_find(capos_cap_t promise, unsigned *index_out, status_t *why_out)
{
    uint32_t place = promise & ((1u << PLACE_BITS) - 1);
    uint32_t generation = (uint32_t)(promise >> (PLACE_BITS + INDEX_BITS));
    *why_out = place == 0 ? ST_BUSY : ST_NOT_FOUND;
    if (place == 0 || place > CAPOS_MAX_ANSWERS || generation_of(place - 1) != generation) {
        return NULL;
    }
    *index_out = promise >> PLACE_BITS & ((1u << INDEX_BITS) - 1);
    return promises.calls[place - 1];
}

void capos_promise_blame(struct capos_call *call, const struct capos_call *on)
{
    call->failed_interface =
        on->failed_interface != NULL ? on->failed_interface : on->interface_name;
    call->failed_method = on->failed_interface != NULL ? on->failed_method : on->method_name;
    call->exception = on->exception;
    call->needed = on->needed;
    call->op.cqe.flags |= on->op.cqe.flags & CAPOS_CQE_NEEDED;
    if (call->status == ST_EXCEPTION) {
        call->result_bytes = (uint32_t)min_u64(on->result_bytes, call->result_capacity);
        memcpy(call->result, on->result, call->result_bytes);
    }
}

static void end_in_flight(struct capos_call *call)
{
    if (call->op.state == CAPOS_OP_PENDING || call->op.state == CAPOS_OP_QUEUED) {
        call->op.done = NULL;
        capos_op_cancel(&call->op);
    }
}

void capos_promise_close(struct capos_call *call)
{
    end_in_flight(call);
    if (call->dependents != 0) {
        capos_ring_detach(call);
    }
    if (call->kept) {
        capos_finish_answer(call->op.position);
        call->kept = false;
    }
    promises.calls[call->promise - 1] = NULL;
    promises.generations[call->promise - 1]++;
    call->promise = 0;
}
