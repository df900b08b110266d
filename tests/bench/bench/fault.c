/* SPDX-License-Identifier: MIT */
/* fault.deliver: a child's page fault is told to its supervisor, which lets the thread go on and waits for the
 * next; as nothing was put there, it faults again. */
#include "tests/bench/bench/bench.h"
#include "debugger.capnp.h"

static uint64_t next_words[3], event[40], thread;
static int32_t bytes; /* of the event */
static capos_cap_t child, handler;

static void launch_faulter(void)
{
    uint64_t words[40], result[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words) - 24);
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, "bench/faulter", 13);
    Launcher_launch_params_set_name(params, "faulter", 7);
    Launcher_launch_params_set_watch(params, WATCH_FAULTS);
    bytes = call_with(caps.launcher, Launcher_ID, Launcher_launch_ORDINAL, words,
                      raw_finish(&builder), 0, result);
    raw_require(bytes >= 0, 61);
    child = raw_records(result, bytes)[0].cap;
    handler = raw_records(result, bytes)[1].cap;
}

/* The message of `next` without pointers: which thread to resume first. */
static void wait_for_fault(uint64_t resume)
{
    next_words[0] = UINT64_C(2) << 32;
    next_words[1] = resume;
    struct capos_sqe *sqe =
        raw_call(&ring, handler, ProcessDebugger_ID, ProcessDebugger_next_ORDINAL);
    sqe->flags = 0;
    sqe->params = (uint64_t)next_words;
    sqe->params_len = sizeof(next_words);
    sqe->result = (uint64_t)event;
    sqe->result_len = sizeof(event);
    raw_submit(&ring, 1);
    bytes = raw_reap(&ring);
    raw_require(bytes > 0, 64);
    raw_reaped(&ring);
}

static void faults(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        wait_for_fault(thread);
    }
}

void bench_fault(void)
{
    ProcessDebugger_next_results_r first;
    launch_faulter();
    wait_for_fault(0);
    raw_require(ProcessDebugger_next_results_read(event, (size_t)bytes, &first) == CAPNP_OK, 65);
    thread = ProcessDebugger_next_results_get_thread(first);
    bench_measure("fault.deliver", faults, 20000);
    end_holder(child);
    release(handler);
}
