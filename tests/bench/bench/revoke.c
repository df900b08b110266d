/* SPDX-License-Identifier: MIT */
/* revoke.*: taking back what was derived. */
#include "tests/bench/bench/bench.h"
#include "capabilities.capnp.h"
#include "grants.capnp.h"
#include "time.capnp.h"

void derive(capos_cap_t *cap_out, capos_cap_t *grant_out)
{
    uint64_t words[16];
    uint64_t result[16];
    size_t len;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words) - 24);
    Derivation_set_origin(Derivation_init(&builder), "bench", 5);
    raw_require(capnp_finish(&builder, &len) == CAPNP_OK, 41);
    int32_t bytes = call_with(caps.capabilities, CapabilityManager_ID,
                              CapabilityManager_derive_ORDINAL, words, len, caps.timer, result);
    raw_require(bytes > 0, 42);
    *cap_out = records_of(result, bytes)[0].cap;
    *grant_out = records_of(result, bytes)[1].cap;
}

/* Counts from the filling of the SQE to the reaped completion, INLINE as in the other rows. */
static uint64_t revoke(capos_cap_t grant)
{
    uint64_t start = raw_cycles();
    struct capos_sqe *sqe = raw_sqe(&ring);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_CALL;
    sqe->flags = CAPOS_SQE_INLINE;
    sqe->method = GrantHandle_revoke_ORDINAL;
    sqe->cap = grant;
    sqe->interface = GrantHandle_ID;
    sqe->result_len = CAPOS_PAYLOAD_SLOT_BYTES;
    enter_and_reap(1, 8);
    return raw_cycles() - start;
}

/* One derived slot, taken back: deriving it and letting go of it are not counted. */
uint64_t revoke_one(void)
{
    capos_cap_t cap, grant;
    derive(&cap, &grant);
    uint64_t spent = revoke(grant);
    struct capos_sqe dead = {.op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_DEAD, .cap = cap};
    raw_require(raw_run(&ring, &dead) == ST_DISCONNECTED, 45);
    release(cap);
    release(grant);
    return spent;
}

void bench_revoke(void)
{
    enum { ONES = 2000 };
    uint64_t values[BATCHES];
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        uint64_t spent = 0;
        for (unsigned i = 0; i < ONES; i++) {
            spent += revoke_one();
        }
        values[batch] = spent * 10 / ONES;
    }
    bench_report("revoke.latency", values);
}

enum { HOLDERS = 100, HELD = 100 };

/* A hundred slots in each of a hundred processes that wait for something else. */
static uint64_t revoke_many(capos_cap_t bell)
{
    static capos_cap_t holders[HOLDERS];
    capos_cap_t cap, grant;
    derive(&cap, &grant);
    for (unsigned i = 0; i < HOLDERS; i++) {
        holders[i] = launch_holder("bench/holder", cap, bell);
    }
    release(cap);
    uint64_t spent = revoke(grant);
    for (unsigned i = 0; i < HOLDERS; i++) {
        end_holder(holders[i]);
    }
    release(grant);
    return spent;
}

void bench_revoke_slots(void)
{
    uint64_t values[BATCHES];
    capos_cap_t bell = new_bell();
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        values[batch] = revoke_many(bell) * 10 / (HOLDERS * HELD);
    }
    bench_report("revoke.slot", values);
}
