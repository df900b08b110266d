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
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words) - 24);
    Derivation_set_origin(Derivation_init(&builder), "bench", 5);
    uint32_t len = raw_finish(&builder);
    int32_t bytes = call_with(caps.capabilities, CapabilityManager_ID,
                              CapabilityManager_derive_ORDINAL, words, len, caps.timer, result);
    raw_require(bytes > 0, 42);
    *cap_out = raw_records(result, bytes)[0].cap;
    *grant_out = raw_records(result, bytes)[1].cap;
}

/* Counts from the filling of the SQE to the reaped completion, INLINE as in the other rows. */
static uint64_t revoke(capos_cap_t grant)
{
    uint64_t start = raw_cycles();
    (void)raw_call(&ring, grant, GrantHandle_ID, GrantHandle_revoke_ORDINAL);
    enter_and_reap(1, 8);
    return raw_cycles() - start;
}

/* One derived slot, taken back, from the filling of the SQE to the reaped completion: deriving it and letting go of
 * it are not counted. */
static uint64_t revoke_one(void)
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

void bench_revoke_ones(const char *name, unsigned n)
{
    uint64_t values[BATCHES];
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        uint64_t spent = 0;
        for (unsigned i = 0; i < n; i++) {
            spent += revoke_one();
        }
        values[batch] = spent * 10 / n;
    }
    bench_report(name, values);
}

void bench_revoke(void)
{
    bench_revoke_ones("revoke.latency", 2000);
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
