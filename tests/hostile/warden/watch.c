/* SPDX-License-Identifier: MIT */
/* Looking at what is not one's business: others below no ledger of one's own, places made up, recorders without end,
 * and death of who records and who is recorded. */
#include "abi/trace.h"
#include "capos/start.h"
#include "case.h"
#include "lib/base/string.h"
#include "process.capnp.h"
#include "trace.capnp.h"

enum { TRIES = 200 };

static uint64_t result[1040]; /* an answer of 8192 bytes and its capabilities */
static uint64_t words[16];
static struct capnp_builder builder;

static struct capos_cqe send(capos_cap_t cap, uint64_t interface, uint16_t method)
{
    size_t len = 0;
    CHECK_EQ(capnp_finish(&builder, &len), CAPNP_OK);
    return raw_do(
        raw_call_sqe(cap, interface, method, words, (uint32_t)len, result, sizeof(result)));
}

static struct capos_cqe trace(capos_cap_t process, uint32_t pages)
{
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessHandle_trace_params_set_pages(ProcessHandle_trace_params_init(&builder), pages);
    return send(process, ProcessHandle_ID, ProcessHandle_trace_ORDINAL);
}

/* All that is told below, from this place on: nothing but this process. */
static void only_self(capos_cap_t process, uint64_t after)
{
    ProcessHandle_below_results_r results;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessHandle_below_params_set_after(ProcessHandle_below_params_init(&builder), after);
    struct capos_cqe cqe = send(process, ProcessHandle_ID, ProcessHandle_below_ORDINAL);
    CHECK(cqe.result > 0);
    CHECK_EQ(ProcessHandle_below_results_read(result, (size_t)cqe.result, &results), CAPNP_OK);
    ProcessSummary_list_r list = ProcessHandle_below_results_get_processes(results);
    CHECK(ProcessSummary_list_len(list) <= 1);
    for (uint32_t i = 0; i < ProcessSummary_list_len(list); i++) {
        CHECK_EQ(ProcessSummary_get_process_id(ProcessSummary_list_at(list, i)),
                 capos_capset()->process_id);
    }
}

static int64_t look_around(void)
{
    capos_cap_t self = held("self");
    only_self(self, 0);
    only_self(self, UINT64_MAX);
    for (uint64_t i = 0; i < TRIES; i++) {
        only_self(self, i << 56 | i);
        only_self(self, i * UINT64_C(0x9e3779b97f4a7c15));
    }
    return 0;
}

/* What a trace has from this record on: of this process alone. */
static uint64_t only_own(capos_cap_t recorder, uint64_t from)
{
    KernelTrace_read_results_r results;
    capnp_builder_init(&builder, words, sizeof(words));
    KernelTrace_read_params_set_sequence(KernelTrace_read_params_init(&builder), from);
    struct capos_cqe cqe = send(recorder, KernelTrace_ID, KernelTrace_read_ORDINAL);
    CHECK(cqe.result > 0);
    CHECK_EQ(KernelTrace_read_results_read(result, (size_t)cqe.result, &results), CAPNP_OK);
    struct capnp_data data = KernelTrace_read_results_get_records(results);
    struct capos_trace_record rec;
    for (uint32_t at = 0; at < data.len; at += sizeof(rec)) {
        memcpy(&rec, data.ptr + at, sizeof(rec));
        CHECK_EQ(rec.process, capos_capset()->process_id);
        CHECK(rec.kind > CAPOS_TRACE_NONE && rec.kind < CAPOS_TRACE_KINDS);
    }
    return KernelTrace_read_results_get_next(results);
}

static int64_t record_all(void)
{
    capos_cap_t self = held("self"), echo = held("echo");
    CHECK_EQ(trace(self, 0).result, ST_BAD_ARGUMENT);
    CHECK_EQ(trace(self, 65).result, ST_BAD_ARGUMENT);
    CHECK_EQ(trace(self, UINT32_MAX).result, ST_BAD_ARGUMENT);
    struct capos_cqe cqe = trace(self, 2);
    CHECK(cqe.result >= 0);
    CHECK_EQ(trace(self, 1).result, ST_BUSY);
    uint64_t next = 0;
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t message[2] = {i, i};
        struct capos_sqe sqe =
            raw_call_sqe(echo, HOSTILE_INTERFACE, 0, message, sizeof(message), result, 64);
        CHECK_EQ(raw_do(sqe).result, 16);
        next = only_own(cqe.first_cap, next);
        (void)only_own(cqe.first_cap, i * UINT64_C(0x9e3779b97f4a7c15));
    }
    return 0; /* and dies with its recorder running */
}

static int64_t recorders(void)
{
    capos_cap_t self = held("self");
    for (unsigned i = 0; i < TRIES; i++) {
        struct capos_cqe cqe = trace(self, 1 + i % 64);
        if (cqe.result == ST_QUOTA) {
            continue;
        }
        CHECK(cqe.result >= 0);
        if (i % 2 == 0) {
            (void)only_own(cqe.first_cap, 0);
        }
        struct capos_sqe sqe = {.op = CAPOS_OP_RELEASE, .cap = cqe.first_cap};
        CHECK_EQ(raw_do(sqe).result, ST_OK);
    }
    return 0;
}

#define LOOKS_ON(name_, function, holds_, sentence_) \
    { \
        .name = name_, .sentence = sentence_, .roles = { {.run = function, .holds = holds_} } \
    }

const struct hostile_case watch_cases[] = {
    LOOKS_ON("watch.below", look_around, HOLD_USUAL | HOLD_SELF,
             "who looks around, wherever he begins, sees himself alone"),
    LOOKS_ON("watch.record", record_all, HOLD_USUAL | HOLD_SELF | HOLD_ECHO,
             "a recorder has nothing of neighbours and servers, and dies with its holder"),
    LOOKS_ON("watch.storm", recorders, HOLD_USUAL | HOLD_SELF,
             "recorders come and go, and each gives back what it took"),
    {.name = NULL},
};
