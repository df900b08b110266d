/* SPDX-License-Identifier: MIT */
/* ProcessDebugger: faults told and resumed, threads stopped, looked into, stepped; and what its end means. */
#include "tests/unit/kernel_pair.h"

#include <sched.h>

#include "gen/ledger.capnp.h"
#include "gen/capabilities.capnp.h"
#include "gen/debugger.capnp.h"
#include "gen/grants.capnp.h"
#include "gen/kernel/types.h"
#include "gen/memory.capnp.h"
#include "mem/frames.h"
#include "object/debugger.h"
#include "object/memory_object.h"
#include "object/notification.h"

enum { WORDS = 640 };

/* Who watches, whom, and by what. */
static struct user *boss, *child;
static capos_cap_t debugger;
static uint8_t answered[4400] __attribute__((aligned(8)));

static void watch_as(uint64_t facet)
{
    struct kobj *object;
    REQUIRE_EQ(debugger_create(boss->process->ledger, child->process, &object), ST_OK);
    debugger = user_give(boss, object, KTYPE_PROCESS_DEBUGGER, facet);
    kobj_unref(object);
}

static void start(unsigned cpus)
{
    fixture_start(cpus);
    boss = user_new("boss");
    child = user_new("child");
    watch_as(ProcessDebugger_FACET);
}

/* How the child ended, of what fault; it has been told to. */
static void ended(enum process_end_kind kind, uint64_t address)
{
    struct process *process = child->process;
    user_ended(child);
    CHECK_EQ(process->state, PROCESS_REAPED);
    CHECK_EQ(process->end_kind, kind);
    CHECK_EQ(process->fault.fault.address.v, address);
    kobj_unref(&process->obj);
}

/* From now on its struct stays, until ended. */
static void will_end(void)
{
    kobj_ref(&child->process->obj);
    child->gone = true;
}

static uint8_t state_of(const struct user *user)
{
    return atomic_load_relaxed(&user->thread->state);
}

/* The child's thread faults where it runs. */
static void fault(enum arch_fault_kind kind, uint64_t address)
{
    struct arch_fault fault = {.kind = kind, .address = {address}, .write = true};
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        if (host_current(cpu) == child->thread) {
            host_fault(cpu, &fault);
            fixture_settle();
            return;
        }
    }
    FAIL("the child does not run");
}

static struct capos_cqe call_with(uint16_t method, struct capnp_builder *builder)
{
    uint64_t at = 0;
    struct capos_cqe cqe =
        user_call(boss, debugger, ProcessDebugger_ID, method, builder, NULL, 0, &at);
    if (cqe.result > 0) {
        user_read(boss, at, answered, (uint64_t)cqe.result);
    }
    fixture_settle();
    return cqe;
}

static int32_t plain(uint16_t method)
{
    uint64_t at = 0;
    struct capos_cqe cqe = user_call_plain(boss, debugger, ProcessDebugger_ID, method, &at);
    if (cqe.result > 0) {
        user_read(boss, at, answered, (uint64_t)cqe.result);
    }
    fixture_settle();
    return cqe.result;
}

static struct capos_sqe sqe_next_of(uint64_t resumed)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_next_params_set_resume(ProcessDebugger_next_params_init(&builder), resumed);
    struct capos_sqe sqe =
        sqe_method(boss, debugger, ProcessDebugger_ID, ProcessDebugger_next_ORDINAL, &builder);
    sqe_result(boss, &sqe, 256, 0);
    return sqe;
}

static struct capos_sqe sqe_next(void)
{
    return sqe_next_of(0);
}

/* The event that an answered `next` holds. */
static ProcessDebugger_next_results_r event_of(const struct capos_sqe *sqe, int32_t len)
{
    ProcessDebugger_next_results_r event = {0};
    CHECK(len > 0);
    user_read(boss, sqe->result, answered, 256);
    CHECK_EQ(ProcessDebugger_next_results_read(answered, (size_t)len, &event), CAPNP_OK);
    return event;
}

static ProcessDebugger_next_results_r next(void)
{
    struct capos_sqe sqe = sqe_next();
    return event_of(&sqe, user_do(boss, &sqe).result);
}

static int32_t resume(uint64_t thread, bool step)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_resume_params_b params = ProcessDebugger_resume_params_init(&builder);
    ProcessDebugger_resume_params_set_thread(params, thread);
    ProcessDebugger_resume_params_set_step(params, step);
    int32_t result = call_with(ProcessDebugger_resume_ORDINAL, &builder).result;
    return result < 0 ? result : ST_OK;
}

static int32_t set_registers(uint64_t thread, const uint64_t *registers, uint32_t count)
{
    uint64_t words[WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_set_registers_params_b params =
        ProcessDebugger_set_registers_params_init(&builder);
    ProcessDebugger_set_registers_params_set_thread(params, thread);
    capnp_list_u64_copy(ProcessDebugger_set_registers_params_init_registers(params, count),
                        registers, count);
    int32_t result = call_with(ProcessDebugger_set_registers_ORDINAL, &builder).result;
    return result < 0 ? result : ST_OK;
}

static int32_t stop(uint64_t thread)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_stop_params_set_thread(ProcessDebugger_stop_params_init(&builder), thread);
    int32_t result = call_with(ProcessDebugger_stop_ORDINAL, &builder).result;
    return result < 0 ? result : ST_OK;
}

static int32_t look(uint64_t thread, FaultRecord_r *out)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_state_params_set_thread(ProcessDebugger_state_params_init(&builder), thread);
    int32_t result = call_with(ProcessDebugger_state_ORDINAL, &builder).result;
    ProcessDebugger_state_results_r results;
    if (result > 0) {
        CHECK_EQ(ProcessDebugger_state_results_read(answered, (size_t)result, &results), CAPNP_OK);
        *out = ProcessDebugger_state_results_get_fault(results);
    }
    return result < 0 ? result : ST_OK;
}

static uint64_t id(void)
{
    return child->thread->obj.id;
}

TEST(debugger_fault, "a fault is told to who waits, with thread, kind, address and registers; the "
                     "thread stands still and goes "
                     "on with the registers it is given")
{
    uint64_t result, registers[ARCH_REGS_COUNT];
    start(2);
    struct capos_sqe waiting = sqe_next();
    user_submit(boss, &waiting);
    user_enter_start(boss, 1, CAPOS_FOREVER);
    CHECK(!user_entered(boss, &result));
    for (uint64_t i = 0; i < ARCH_REGS_COUNT; i++) {
        child->thread->arch.r[i] = registers[i] = 7000 + i;
    }
    fault(ARCH_FAULT_PAGE, 0x1234);
    CHECK(user_entered(boss, &result));
    ProcessDebugger_next_results_r event =
        event_of(&waiting, user_expect(boss, waiting.user_data).result);
    CHECK_EQ(ProcessDebugger_next_results_get_thread(event), id());
    FaultRecord_r record = ProcessDebugger_next_results_get_fault(event);
    CHECK_EQ(FaultRecord_get_kind(record), FAULT_RECORD_KIND_PAGE_FAULT);
    CHECK_EQ(FaultRecord_get_address(record), 0x1234);
    CHECK_EQ(FaultRecord_get_access(record), FAULT_RECORD_ACCESS_WRITE);
    CHECK_EQ(FaultRecord_get_instruction(record), 7000 + HOST_IP);
    REQUIRE_EQ(capnp_list_len(FaultRecord_get_registers(record)), ARCH_REGS_COUNT);
    CHECK_EQ(capnp_list_u64_at(FaultRecord_get_registers(record), HOST_DI), 7000 + HOST_DI);
    CHECK_EQ(state_of(child), THREAD_STOPPED);
    CHECK(!process_is_exiting(child->process));
    registers[HOST_DI] = 42;
    CHECK_EQ(set_registers(id(), registers, ARCH_REGS_COUNT), ST_OK);
    CHECK_EQ(resume(id(), false), ST_OK);
    CHECK(state_of(child) != THREAD_STOPPED);
    CHECK_EQ(child->thread->arch.r[HOST_DI], 42);
    struct capos_sqe nop = user_sqe(child, CAPOS_OP_NOP);
    CHECK_EQ(user_do(child, &nop).result, ST_OK);
    fixture_end();
}

TEST(debugger_fault_kept, "a fault that nobody waits for is told when somebody asks, once")
{
    uint64_t result;
    start(2);
    fault(ARCH_FAULT_ILLEGAL, 0x400000);
    CHECK_EQ(state_of(child), THREAD_STOPPED);
    CHECK_EQ(ProcessDebugger_next_results_get_thread(next()), id());
    struct capos_sqe again = sqe_next(), second = sqe_next();
    uint64_t position = user_start(boss, &again);
    CHECK_EQ(completions(boss), 0);
    user_submit(boss, &second);
    user_enter_start(boss, 1, CAPOS_FOREVER);
    CHECK(user_entered(boss, &result));
    CHECK_EQ(user_expect(boss, second.user_data).result, ST_BUSY);
    user_cancel(boss, position, again.user_data);
    CHECK_EQ(resume(id(), false), ST_OK);
    CHECK_EQ(resume(id(), false), ST_NOT_FOUND);
    again = sqe_next();
    again.deadline_ns = arch_time_ns() + 1000;
    user_submit(boss, &again);
    user_enter_start(boss, 1, CAPOS_FOREVER);
    fixture_advance(1000);
    CHECK_EQ(user_expect(boss, again.user_data).result, ST_TIMED_OUT);
    fixture_end();
}

TEST(debugger_next_resumes, "next resumes a thread and waits, in one call; of a thread that is not "
                            "stopped it says so and waits not")
{
    uint64_t result;
    start(2);
    struct capos_sqe wrong = sqe_next_of(id());
    CHECK_EQ(user_do(boss, &wrong).result, ST_NOT_FOUND);
    fault(ARCH_FAULT_PAGE, 8);
    CHECK_EQ(ProcessDebugger_next_results_get_thread(next()), id());
    struct capos_sqe waiting = sqe_next_of(id()), busy = sqe_next_of(id());
    user_submit(boss, &waiting);
    user_enter_start(boss, 1, CAPOS_FOREVER);
    CHECK(!user_entered(boss, &result));
    CHECK(state_of(child) != THREAD_STOPPED);
    fault(ARCH_FAULT_PAGE, 16);
    CHECK(user_entered(boss, &result));
    ProcessDebugger_next_results_r event =
        event_of(&waiting, user_expect(boss, waiting.user_data).result);
    CHECK_EQ(FaultRecord_get_address(ProcessDebugger_next_results_get_fault(event)), 16);
    waiting = sqe_next();
    (void)user_start(boss, &waiting);
    CHECK_EQ(user_do(boss, &busy).result, ST_BUSY);
    CHECK_EQ(state_of(child), THREAD_STOPPED);
    CHECK_EQ(resume(id(), false), ST_OK);
    fixture_end();
}

TEST(debugger_refusals, "a refused resume leaves the thread, and its registers, as they were")
{
    uint64_t registers[ARCH_REGS_COUNT + 1] = {0};
    start(2);
    child->thread->arch.r[HOST_DI] = 5;
    CHECK_EQ(resume(id(), false), ST_NOT_FOUND);
    fault(ARCH_FAULT_PAGE, 8);
    CHECK_EQ(resume(id() + 1, false), ST_NOT_FOUND);
    CHECK_EQ(set_registers(id() + 1, registers, ARCH_REGS_COUNT), ST_NOT_FOUND);
    CHECK_EQ(set_registers(id(), registers, 0), ST_BAD_ARGUMENT);
    CHECK_EQ(set_registers(id(), registers, ARCH_REGS_COUNT + 1), ST_BAD_ARGUMENT);
    registers[HOST_IP] = UINT64_C(1) << 63;
    CHECK_EQ(set_registers(id(), registers, ARCH_REGS_COUNT), ST_BAD_ARGUMENT);
    CHECK_EQ(state_of(child), THREAD_STOPPED);
    CHECK_EQ(child->thread->arch.r[HOST_DI], 5);
    CHECK_EQ(child->thread->arch.r[HOST_FLAGS] & HOST_FLAG_STEP, 0);
    FaultRecord_r record = {0};
    CHECK_EQ(look(id() + 1, &record), ST_NOT_FOUND);
    CHECK_EQ(stop(id() + 1), ST_NOT_FOUND);
    CHECK_EQ(look(id(), &record), ST_OK);
    CHECK_EQ(FaultRecord_get_address(record), 8);
    CHECK_EQ(resume(id(), false), ST_OK);
    fixture_end();
}

TEST(debugger_step,
     "a thread that is resumed to step stops again after one instruction, as a debug trap")
{
    start(2);
    fault(ARCH_FAULT_PAGE, 8);
    CHECK_EQ(resume(id(), true), ST_OK);
    CHECK(child->thread->arch.r[HOST_FLAGS] & HOST_FLAG_STEP);
    fault(ARCH_FAULT_STEP, 0);
    (void)next(); /* the first fault, which nobody had asked for */
    fixture_settle();
    CHECK_EQ(child->thread->arch.r[HOST_FLAGS] & HOST_FLAG_STEP, 0);
    FaultRecord_r record = {0};
    CHECK_EQ(look(id(), &record), ST_OK);
    CHECK_EQ(FaultRecord_get_kind(record), FAULT_RECORD_KIND_DEBUG_TRAP);
    CHECK_EQ(resume(id(), false), ST_OK);
    fixture_end();
}

TEST(debugger_stop_running, "a running thread is stopped, looked into, and goes on")
{
    start(2);
    FaultRecord_r record = {0};
    child->thread->arch.r[3] = 99;
    CHECK_EQ(look(id(), &record), ST_NOT_FOUND);
    CHECK_EQ(stop(id()), ST_OK);
    CHECK_EQ(state_of(child), THREAD_STOPPED);
    CHECK_EQ(stop(id()), ST_OK);
    CHECK_EQ(look(id(), &record), ST_OK);
    CHECK_EQ(FaultRecord_get_kind(record), FAULT_RECORD_KIND_NONE);
    CHECK_EQ(capnp_list_u64_at(FaultRecord_get_registers(record), 3), 99);
    CHECK_EQ(resume(id(), false), ST_OK);
    CHECK(state_of(child) != THREAD_STOPPED);
    fixture_end();
}

TEST(debugger_stop_waiting,
     "a thread that waits is stopped at once; resumed, it waits again and misses nothing")
{
    uint64_t result;
    start(2);
    capos_cap_t note = user_notification(child);
    struct capos_sqe wait = sqe_wait(child, note, CAPOS_EVENT_SIGNALLED, 0);
    user_submit(child, &wait);
    user_enter_start(child, 1, CAPOS_FOREVER);
    for (unsigned missed = 0; missed < 2; missed++) {
        CHECK_EQ(state_of(child), THREAD_BLOCKED);
        CHECK_EQ(stop(id()), ST_OK);
        CHECK_EQ(state_of(child), THREAD_STOPPED);
        if (missed != 0) {
            notification_signal(user_object(child, note), 4);
            CHECK_EQ(state_of(child), THREAD_STOPPED);
        }
        CHECK_EQ(resume(id(), false), ST_OK);
    }
    CHECK(user_entered(child, &result));
    CHECK_EQ(result, 1);
    CHECK_EQ(user_expect(child, wait.user_data).signal, 4);
    fixture_end();
}

TEST(debugger_given_up, "when the last holder goes, the process goes on, unless a thread of it "
                        "stands still: then it ends, of its "
                        "fault or as terminated")
{
    for (unsigned how = 0; how < 3; how++) {
        start(2);
        if (how == 1) {
            fault(ARCH_FAULT_PAGE, 0x77);
        } else if (how == 2) {
            CHECK_EQ(stop(id()), ST_OK);
        }
        will_end();
        CHECK_EQ(user_release(boss, debugger), ST_OK);
        fixture_settle();
        CHECK_EQ(process_is_exiting(child->process), how != 0);
        if (how == 0) {
            struct arch_fault late = {.kind = ARCH_FAULT_PAGE};
            for (unsigned cpu = 0; cpu < 2; cpu++) {
                if (host_current(cpu) == child->thread) {
                    host_fault(cpu, &late);
                    break;
                }
            }
        }
        ended(how == 2 ? PROCESS_ENDED_TERMINATED : PROCESS_ENDED_FAULT, how == 1 ? 0x77 : 0);
        fixture_end();
    }
}

TEST(debugger_revoked,
     "a revoked debugger is gone as if it had been given up, before the revoke completes")
{
    start(2);
    struct grant *route = user_route(boss, debugger);
    fault(ARCH_FAULT_PAGE, 0x78);
    will_end();
    grant_kill(route);
    struct revocation revocation = {0};
    while (!revocation_slice(&revocation, route)) {
    }
    grant_unref(route);
    host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
    ended(PROCESS_ENDED_FAULT, 0x78);
    fixture_end();
}

TEST(debugger_process_ends, "a process may end with threads stopped, and with somebody waiting for "
                            "its faults, who is told DISCONNECTED")
{
    uint64_t result;
    for (unsigned stopped = 0; stopped < 2; stopped++) {
        start(2);
        if (stopped != 0) {
            CHECK_EQ(stop(id()), ST_OK);
        }
        struct capos_sqe waiting = sqe_next();
        user_submit(boss, &waiting);
        user_enter_start(boss, 1, CAPOS_FOREVER);
        user_terminate(child);
        CHECK(user_entered(boss, &result));
        CHECK_EQ(user_expect(boss, waiting.user_data).result, ST_DISCONNECTED);
        CHECK_EQ(plain(ProcessDebugger_threads_ORDINAL), ST_DISCONNECTED);
        CHECK_EQ(resume(1, false), ST_DISCONNECTED);
        CHECK_EQ(stop(1), ST_DISCONNECTED);
        fixture_end();
    }
}

TEST(debugger_terminates, "terminate ends the process, and is BAD_STATE while it is ending")
{
    start(2);
    fault(ARCH_FAULT_PAGE, 8);
    will_end();
    int32_t result = plain(ProcessDebugger_terminate_ORDINAL);
    CHECK(result >= 0);
    ended(PROCESS_ENDED_TERMINATED, 0);
    CHECK_EQ(plain(ProcessDebugger_terminate_ORDINAL), ST_DISCONNECTED);
    fixture_end();
}

TEST(debugger_no_slot, "what a debugger answers with needs a slot")
{
    struct capos_cqe cqe;
    start(1);
    do {
        cqe = user_call_plain(boss, boss->ledger, Ledger_ID, Ledger_new_notification_ORDINAL, NULL);
    } while (cqe.result >= 0);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(plain(ProcessDebugger_memory_ORDINAL), ST_QUOTA);
    CHECK_EQ(plain(ProcessDebugger_capabilities_ORDINAL), ST_QUOTA);
    fixture_end();
}

TEST(debugger_stops_one, "while one thread is being stopped, another stop is refused BUSY")
{
    uint64_t words[8];
    struct capnp_builder builder;
    struct capos_cqe cqe;
    unsigned busy = 0, done = 0;
    start(2);
    for (unsigned i = 0; i < 2; i++) {
        capnp_builder_init(&builder, words, sizeof(words));
        ProcessDebugger_stop_params_set_thread(ProcessDebugger_stop_params_init(&builder), id());
        struct capos_sqe sqe =
            sqe_method(boss, debugger, ProcessDebugger_ID, ProcessDebugger_stop_ORDINAL, &builder);
        sqe_result(boss, &sqe, 64, 0);
        user_submit(boss, &sqe);
    }
    user_enter_start(boss, 2, CAPOS_FOREVER);
    fixture_settle();
    while (user_reap(boss, &cqe)) {
        busy += cqe.result == ST_BUSY;
        done += cqe.result >= 0;
    }
    CHECK_EQ(busy, 1);
    CHECK_EQ(done, 1);
    CHECK_EQ(state_of(child), THREAD_STOPPED);
    CHECK_EQ(resume(id(), false), ST_OK);
    fixture_end();
}

static int32_t read_at(uint64_t address, uint32_t size)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_read_params_b params = ProcessDebugger_read_params_init(&builder);
    ProcessDebugger_read_params_set_address(params, address);
    ProcessDebugger_read_params_set_size_bytes(params, size);
    return call_with(ProcessDebugger_read_ORDINAL, &builder).result;
}

static int32_t write_at(uint64_t address, const void *bytes, size_t size)
{
    uint64_t words[WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_write_params_b params = ProcessDebugger_write_params_init(&builder);
    ProcessDebugger_write_params_set_address(params, address);
    ProcessDebugger_write_params_set_data(params, bytes, size);
    int32_t result = call_with(ProcessDebugger_write_ORDINAL, &builder).result;
    return result < 0 ? result : ST_OK;
}

TEST(debugger_memory, "memory is read where there is any and written where the process itself may "
                      "write; a refusal writes nothing")
{
    ProcessDebugger_read_results_r read;
    static const uint8_t zeros[PAGE_BYTES];
    start(2);
    uint64_t at = user_alloc(child, 64);
    user_write(child, at, "hidden", 7);
    int32_t len = read_at(at, 7);
    REQUIRE(len > 0);
    CHECK_EQ(ProcessDebugger_read_results_read(answered, (size_t)len, &read), CAPNP_OK);
    CHECK_EQ(ProcessDebugger_read_results_get_data(read).len, 7);
    CHECK_STR_EQ((const char *)ProcessDebugger_read_results_get_data(read).ptr, "hidden");
    CHECK_EQ(write_at(at, "other", 6), ST_OK);
    CHECK_STR_EQ((const char *)user_ptr(child, at), "other");
    CHECK_EQ(read_at(page_floor(at), 4096), ST_RESULT_TOO_SMALL);
    CHECK_EQ(read_at(at, 4097), ST_BAD_ARGUMENT);
    CHECK_EQ(read_at(0x1000, 8), ST_BAD_ADDRESS);
    CHECK_EQ(read_at(UINT64_MAX - 4, 8), ST_BAD_ADDRESS);
    CHECK_EQ(write_at(0x1000, "x", 1), ST_BAD_ADDRESS);
    CHECK_EQ(write_at(page_floor(at) + 4095, "xy", 2), ST_BAD_ARGUMENT);
    CHECK_EQ(read_at(child->thread->ring->user_address, 8), ST_BAD_ADDRESS);
    CHECK_EQ(write_at(child->thread->ring->user_address, zeros, 8), ST_BAD_ADDRESS);
    /* What the process may only read. */
    capos_cap_t sealed = user_memory(child, "text", 5, true);
    struct memory_object *object = memory_object_of(user_object(child, sealed));
    struct grant *route = user_route(child, sealed);
    struct aspace_op *op;
    uint64_t text = 0;
    CHECK_EQ(aspace_map_object(&child->process->aspace, object, route, &text, 0, PAGE_BYTES,
                               PROTECTION_READ_EXECUTE, &op),
             ST_OK);
    grant_unref(route);
    CHECK(read_at(text, 5) > 0);
    CHECK_EQ(write_at(text, "code", 5), ST_BAD_ADDRESS);
    CHECK_STR_EQ((const char *)frame_ptr(memory_object_frame(object, 0)), "text");
    fixture_end();
}

TEST(debugger_threads, "the threads of the process are listed, oldest first, with their states")
{
    capos_cap_t handle;
    uint64_t words[8];
    ProcessDebugger_threads_results_r results;
    start(2);
    struct user *second = user_thread(child, user_spawner(child), &handle);
    CHECK_EQ(stop(id()), ST_OK);
    int32_t len = plain(ProcessDebugger_threads_ORDINAL);
    REQUIRE(len > 0);
    CHECK_EQ(ProcessDebugger_threads_results_read(answered, (size_t)len, &results), CAPNP_OK);
    ThreadView_list_r list = ProcessDebugger_threads_results_get_threads(results);
    REQUIRE_EQ(ThreadView_list_len(list), 2);
    CHECK_EQ(ThreadView_get_thread(ThreadView_list_at(list, 0)), id());
    CHECK_EQ(ThreadView_get_state(ThreadView_list_at(list, 0)), THREAD_STATE_STOPPED);
    CHECK_EQ(ThreadView_get_thread(ThreadView_list_at(list, 1)), second->thread->obj.id);
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_threads_params_set_after(ProcessDebugger_threads_params_init(&builder), id());
    len = call_with(ProcessDebugger_threads_ORDINAL, &builder).result;
    REQUIRE(len > 0);
    CHECK_EQ(ProcessDebugger_threads_results_read(answered, (size_t)len, &results), CAPNP_OK);
    CHECK_EQ(ThreadView_list_len(ProcessDebugger_threads_results_get_threads(results)), 1);
    CHECK_EQ(resume(id(), false), ST_OK);
    fixture_end();
}

TEST(debugger_parts,
     "the table is shown by a CapabilityManager that can only list, the address space given whole")
{
    start(2);
    struct capos_cqe cqe = user_call_plain(boss, debugger, ProcessDebugger_ID,
                                           ProcessDebugger_capabilities_ORDINAL, NULL);
    struct capability cap;
    CHECK_EQ(cqe.cap_count, 1);
    CHECK_EQ(user_look(boss, cqe.first_cap, &cap), ST_OK);
    CHECK_EQ(cap.ktype, KTYPE_CAPABILITY_MANAGER);
    CHECK_EQ(cap.facet, 1u << CapabilityManager_list_ORDINAL);
    CHECK_PTR_EQ(cap.object, &child->process->obj);
    cqe = user_call_plain(boss, debugger, ProcessDebugger_ID, ProcessDebugger_memory_ORDINAL, NULL);
    CHECK_EQ(user_look(boss, cqe.first_cap, &cap), ST_OK);
    CHECK_EQ(cap.ktype, KTYPE_VIRTUAL_MEMORY);
    CHECK_PTR_EQ(cap.object, &child->process->obj);
    fixture_end();
}

TEST(debugger_facet, "a fault handler tells and resumes; it neither stops nor looks")
{
    fixture_start(2);
    boss = user_new("boss");
    child = user_new("child");
    watch_as(FaultHandler_FACET);
    FaultRecord_r record = {0};
    fault(ARCH_FAULT_PAGE, 8);
    CHECK_EQ(stop(id()), ST_NO_METHOD);
    CHECK_EQ(look(id(), &record), ST_NO_METHOD);
    CHECK_EQ(read_at(0x1000, 8), ST_NO_METHOD);
    CHECK_EQ(plain(ProcessDebugger_threads_ORDINAL), ST_NO_METHOD);
    CHECK_EQ(plain(ProcessDebugger_capabilities_ORDINAL), ST_NO_METHOD);
    CHECK_EQ(ProcessDebugger_next_results_get_thread(next()), id());
    CHECK_EQ(resume(id(), false), ST_OK);
    fixture_end();
}

TEST(debugger_hostage, "a client of a server that stands still can give up, and is told when who "
                       "could resume the server goes")
{
    struct pair p = pair_start(2);
    boss = user_new("boss");
    child = p.server;
    struct capos_sqe first = call(p.client, p.object, 1, "question", 8);
    uint64_t position = user_start(p.client, &first);
    (void)receive(p.server, p.endpoint, NULL);
    watch_as(FaultHandler_FACET);
    fault(ARCH_FAULT_PAGE, 8);
    user_cancel(p.client, position, first.user_data);
    struct capos_sqe timed = call(p.client, p.object, 1, "question", 8);
    timed.deadline_ns = arch_time_ns() + 1000;
    (void)user_start(p.client, &timed);
    fixture_advance(1000);
    CHECK_EQ(user_expect(p.client, timed.user_data).result, ST_TIMED_OUT);
    struct capos_sqe last = call(p.client, p.object, 1, "question", 8);
    (void)user_start(p.client, &last);
    child->gone = true;
    user_exit(boss, 0);
    user_ended(child);
    CHECK_EQ(user_expect(p.client, last.user_data).result, ST_DISCONNECTED);
    fixture_end();
}

TEST(debugger_no_frame, "a debugger that finds no memory is refused QUOTA and leaves nothing")
{
    fixture_start(1);
    boss = user_new("boss");
    child = user_new("child");
    struct ledger_state before = ledger_state(boss->process->ledger);
    struct kobj *object;
    frames_fail_at(1);
    status_t status = debugger_create(boss->process->ledger, child->process, &object);
    bool failed = frames_failed();
    frames_fail_at(0);
    if (failed) {
        CHECK_EQ(status, ST_QUOTA);
        CHECK(child->process->debugger == NULL);
        struct ledger_state after = ledger_state(boss->process->ledger);
        CHECK_MEM_EQ(&before, &after, sizeof(after));
    } else {
        kobj_unref(object);
    }
    fixture_end();
}
