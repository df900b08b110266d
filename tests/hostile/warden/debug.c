/* SPDX-License-Identifier: MIT */
/* Debuggers that ask for what no program may have, that never answer, that die; programs that are debugged. */
#include "capos/start.h"
#include "case.h"
#include "debugger.capnp.h"
#include "kernel_log.capnp.h"
#include "lib/base/string.h"

enum { REGISTERS = 18, REGISTER_SP = 7, REGISTER_IP = 16, REGISTER_FLAGS = 17 };

static uint64_t message[64], result[64];

/* A child by what its grant is named (child_run), and its debugger. */
struct watched {
    capos_cap_t process, debugger;
};

static void start_watched(const char *what, enum Watch watch, struct watched *out)
{
    struct capnp_builder builder;
    size_t len = 0;
    capnp_builder_init(&builder, message, sizeof(message) - 64);
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, "self", 4);
    Launcher_launch_params_set_name(params, "watched", 7);
    Launcher_launch_params_set_watch(params, watch);
    Grant_b grant = Grant_list_b_at(Launcher_launch_params_init_grants(params, 1), 0);
    Grant_set_name(grant, what, strlen(what));
    Grant_set_interface(grant, KernelLog_ID);
    Grant_set_transfer(grant, 0);
    CHECK_EQ(capnp_finish(&builder, &len), CAPNP_OK);
    struct capos_sqe sqe =
        CALL(held("launcher"), Launcher, launch, message, len, result, sizeof(result));
    uint64_t *area = &message[len / 8];
    struct capos_transfer transfer = {.cap = capos_capset()->entries[0].cap,
                                      .mode = CAPOS_XFER_COPY};
    area[0] = raw.sequence++;
    memcpy(area + 1, &transfer, sizeof(transfer));
    sqe.xfer_count = 1;
    struct capos_cqe cqe = raw_do(sqe);
    CHECK(cqe.result >= 0);
    CHECK_EQ(cqe.cap_count, 2);
    struct capos_cap_record records[2];
    memcpy(records, (const uint8_t *)result + cqe.result, sizeof(records));
    out->process = records[0].cap;
    out->debugger = records[1].cap;
}

static int32_t call_built(capos_cap_t debugger, uint16_t method, struct capnp_builder *builder)
{
    size_t len = 0;
    CHECK_EQ(capnp_finish(builder, &len), CAPNP_OK);
    return raw_do(raw_call_sqe(debugger, ProcessDebugger_ID, method, message, (uint32_t)len, result,
                               sizeof(result)))
        .result;
}

static int32_t resume(capos_cap_t debugger, uint64_t thread, bool step)
{
    struct capnp_builder builder;
    capnp_builder_init(&builder, message, sizeof(message));
    ProcessDebugger_resume_params_b params = ProcessDebugger_resume_params_init(&builder);
    ProcessDebugger_resume_params_set_thread(params, thread);
    ProcessDebugger_resume_params_set_step(params, step);
    return call_built(debugger, ProcessDebugger_resume_ORDINAL, &builder);
}

static int32_t set_registers(capos_cap_t debugger, uint64_t thread, const uint64_t *registers)
{
    struct capnp_builder builder;
    capnp_builder_init(&builder, message, sizeof(message));
    ProcessDebugger_set_registers_params_b params =
        ProcessDebugger_set_registers_params_init(&builder);
    ProcessDebugger_set_registers_params_set_thread(params, thread);
    capnp_list_u64_copy(ProcessDebugger_set_registers_params_init_registers(params, REGISTERS),
                        registers, REGISTERS);
    return call_built(debugger, ProcessDebugger_set_registers_ORDINAL, &builder);
}

static int32_t stop(capos_cap_t debugger, uint64_t thread)
{
    struct capnp_builder builder;
    capnp_builder_init(&builder, message, sizeof(message));
    ProcessDebugger_stop_params_set_thread(ProcessDebugger_stop_params_init(&builder), thread);
    return call_built(debugger, ProcessDebugger_stop_ORDINAL, &builder);
}

/* The next event: its thread, and the record in *fault. */
static uint64_t next(capos_cap_t debugger, FaultRecord_r *fault)
{
    ProcessDebugger_next_results_r event;
    int32_t len =
        raw_do(CALL(debugger, ProcessDebugger, next, NULL, 0, result, sizeof(result))).result;
    CHECK(len > 0);
    CHECK_EQ(ProcessDebugger_next_results_read(result, (size_t)len, &event), CAPNP_OK);
    *fault = ProcessDebugger_next_results_get_fault(event);
    return ProcessDebugger_next_results_get_thread(event);
}

static uint64_t only_thread(capos_cap_t debugger)
{
    ProcessDebugger_threads_results_r results;
    int32_t len =
        raw_do(CALL(debugger, ProcessDebugger, threads, NULL, 0, result, sizeof(result))).result;
    CHECK(len > 0);
    CHECK_EQ(ProcessDebugger_threads_results_read(result, (size_t)len, &results), CAPNP_OK);
    ThreadView_list_r list = ProcessDebugger_threads_results_get_threads(results);
    CHECK_EQ(ThreadView_list_len(list), 1);
    return ThreadView_get_thread(ThreadView_list_at(list, 0));
}

static void wait_exit(const struct watched *child)
{
    struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, child->process);
    wait.method = CAPOS_EVENT_EXIT;
    CHECK_EQ(raw_do(wait).result, CAPOS_EVENT_EXIT);
    CHECK_EQ(release(child->process), ST_OK);
    CHECK_EQ(release(child->debugger), ST_OK);
}

static void end(const struct watched *child)
{
    CHECK_EQ(raw_status(CALL(child->process, ProcessHandle, terminate, NULL, 0, result, 64)), 0);
    wait_exit(child);
}

/* Registers that no program has are refused, or what is dangerous in them is left out: the kernel lives. */
static int64_t wild_registers(void)
{
    static const uint64_t places[] = {
        0,
        8,
        UINT64_C(0x7fffffffffff),
        UINT64_C(0x800000000000),
        UINT64_MAX,
        ~UINT64_C(7),
        UINT64_C(0xffff800000000000),
        UINT64_C(0xffffffff80109000),
    };
    struct usage before;
    usage_now(&before);
    struct watched child;
    start_watched("spinner", WATCH_DEBUG, &child);
    uint64_t thread = only_thread(child.debugger);
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        for (unsigned j = 0; j < ARRAY_LEN(places); j++) {
            uint64_t registers[REGISTERS];
            FaultRecord_r fault;
            memset(registers, 0xff, sizeof(registers));
            registers[REGISTER_IP] = places[i];
            registers[REGISTER_SP] = places[j];
            int32_t got = set_registers(child.debugger, thread, registers);
            CHECK_EQ(got < 0, places[i] >= UINT64_C(0x7ffffffff000));
            if (got >= 0) {
                CHECK(resume(child.debugger, thread, (j & 1) != 0) >= 0);
                CHECK_EQ(next(child.debugger, &fault), thread);
                CHECK_EQ(FaultRecord_get_kind(fault) != FAULT_RECORD_KIND_NONE, true);
                /* No system flag came in: IOPL, NT, VM, VIF, VIP. */
                CHECK_EQ(capnp_list_u64_at(FaultRecord_get_registers(fault), REGISTER_FLAGS) &
                             0x1a7000,
                         0);
            }
        }
    }
    end(&child);
    CHECK_USAGE(&before);
    return 0;
}

/* Memory outside the program, text, and the ring are not written; nothing of the kernel is read. */
static int64_t wild_memory(void)
{
    static const uint64_t places[] = {
        0,
        8,
        UINT64_C(0x7ffffffffff8),
        UINT64_C(0x800000000000),
        UINT64_MAX,
        ~UINT64_C(7),
        UINT64_C(0xffff800000000000),
        UINT64_C(0xffffffff80109000),
    };
    struct watched child;
    start_watched("spinner", WATCH_DEBUG, &child);
    uint64_t text = (uintptr_t)&wild_memory;
    for (unsigned i = 0; i <= ARRAY_LEN(places); i++) {
        struct capnp_builder builder;
        uint64_t place =
            i < ARRAY_LEN(places) ? places[i] : text; /* the same image, at any place of its own */
        capnp_builder_init(&builder, message, sizeof(message));
        ProcessDebugger_write_params_b write = ProcessDebugger_write_params_init(&builder);
        ProcessDebugger_write_params_set_address(write, place);
        ProcessDebugger_write_params_set_data(write, "\xcc", 1);
        CHECK_EQ(call_built(child.debugger, ProcessDebugger_write_ORDINAL, &builder),
                 ST_BAD_ADDRESS);
        if (i < ARRAY_LEN(places)) {
            capnp_builder_init(&builder, message, sizeof(message));
            ProcessDebugger_read_params_b read = ProcessDebugger_read_params_init(&builder);
            ProcessDebugger_read_params_set_address(read, place);
            ProcessDebugger_read_params_set_size_bytes(read, 8);
            CHECK_EQ(call_built(child.debugger, ProcessDebugger_read_ORDINAL, &builder),
                     ST_BAD_ADDRESS);
        }
    }
    end(&child);
    return 0;
}

static int64_t wild_threads(void)
{
    struct watched child;
    start_watched("sleeper", WATCH_DEBUG, &child);
    uint64_t thread = only_thread(child.debugger);
    const uint64_t ids[] = {0, UINT64_MAX, thread + 1, thread - 1, capos_capset()->process_id};
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
        CHECK_EQ(stop(child.debugger, ids[i]), ST_NOT_FOUND);
        CHECK_EQ(resume(child.debugger, ids[i], false), ST_NOT_FOUND);
        CHECK_EQ(set_registers(child.debugger, ids[i], message), ST_NOT_FOUND);
    }
    for (unsigned i = 0; i < 200; i++) {
        CHECK(resume(child.debugger, thread, false) >= 0);
        CHECK_EQ(resume(child.debugger, thread, false), ST_NOT_FOUND);
        CHECK(stop(child.debugger, thread) >= 0);
    }
    end(&child);
    return 0;
}

/* A fault told a hundred times, resumed as it is: it comes again each time. Then the handler goes. */
static int64_t fault_storm(void)
{
    struct usage before;
    FaultRecord_r fault;
    usage_now(&before);
    struct watched child;
    start_watched("crasher", WATCH_FAULTS, &child);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t thread = next(child.debugger, &fault);
        CHECK_EQ(FaultRecord_get_address(fault), 8);
        CHECK(resume(child.debugger, thread, false) >= 0);
    }
    (void)next(child.debugger, &fault);
    CHECK_EQ(stop(child.debugger, 1), ST_NO_METHOD);
    CHECK_EQ(release(child.debugger), ST_OK);
    struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, child.process);
    wait.method = CAPOS_EVENT_EXIT;
    CHECK_EQ(raw_do(wait).result, CAPOS_EVENT_EXIT);
    CHECK_EQ(release(child.process), ST_OK);
    CHECK_USAGE(&before);
    return 0;
}

/* Killed at each step: before the first instruction, running, stopped, faulted, while somebody waits. */
static int64_t killed_anywhere(void)
{
    FaultRecord_r fault;
    struct usage before;
    usage_now(&before);
    for (unsigned step = 0; step < 6; step++) {
        struct watched child;
        start_watched(step == 3 ? "crasher" : "spinner", WATCH_DEBUG, &child);
        uint64_t thread = only_thread(child.debugger);
        uint64_t tag = 0;
        if (step > 0) {
            CHECK(resume(child.debugger, thread, false) >= 0);
        }
        if (step == 2) {
            CHECK(stop(child.debugger, thread) >= 0);
        } else if (step == 3) {
            (void)next(child.debugger, &fault);
        } else if (step == 4) {
            tag = raw_start(
                CALL(child.debugger, ProcessDebugger, next, NULL, 0, result, sizeof(result)));
        } else if (step == 5) {
            ProcessDebugger_stop_params_b params;
            struct capnp_builder builder;
            size_t len;
            capnp_builder_init(&builder, message, sizeof(message));
            params = ProcessDebugger_stop_params_init(&builder);
            ProcessDebugger_stop_params_set_thread(params, thread);
            CHECK_EQ(capnp_finish(&builder, &len), CAPNP_OK);
            (void)raw_send(CALL(child.debugger, ProcessDebugger, stop, message, len, result, 64));
        }
        end(&child);
        if (step == 4) {
            CHECK_EQ(raw_wait(tag).result, ST_DISCONNECTED);
        }
    }
    CHECK_USAGE(&before);
    return 0;
}

/* Goes with a child stopped in every way: they end with it, and nobody else waits for them. */
static int64_t dies_holding(void)
{
    struct watched child;
    FaultRecord_r fault;
    start_watched("spinner", WATCH_DEBUG, &child);
    start_watched("crasher", WATCH_FAULTS, &child);
    (void)next(child.debugger, &fault);
    start_watched("crasher", WATCH_FAULTS, &child);
    (void)raw_start(CALL(child.debugger, ProcessDebugger, next, NULL, 0, result, sizeof(result)));
    return 0;
}

#define DEBUGS(name_, function, sentence_) CASE_WITH(name_, function, sentence_, HOLD_LAUNCHER)

const struct hostile_case debug_cases[] = {
    DEBUGS("debug.registers", wild_registers,
           "no registers give a thread what a program may not have"),
    DEBUGS("debug.memory", wild_memory, "a debugger writes no more than the program itself may"),
    DEBUGS("debug.threads", wild_threads, "numbers of no stopped thread are refused"),
    DEBUGS("debug.storm", fault_storm, "a fault that comes again and again harms nobody"),
    DEBUGS("debug.killed", killed_anywhere, "a program ends at every step of its debugging"),
    DEBUGS("debug.dies", dies_holding, "what a dead debugger held stopped ends with it"),
    {.name = NULL},
};
