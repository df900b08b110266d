/* SPDX-License-Identifier: MIT */
#include "capos/start.h"
#include "kernel_log.client.h"
#include "lib/base/string.h"
#include "process.client.h"
#include "warden.h"

enum { RING_ENTRIES = 32, LOG_LINE_BYTES_PER_S = 65536 };

static void put_grant(Grant_list_b list, uint32_t i, const char *name, uint64_t interface,
                      uint64_t methods, uint16_t transfer)
{
    Grant_b grant = Grant_list_b_at(list, i);
    Grant_set_name(grant, name, strlen(name));
    Grant_set_origin(grant, "warden", 6);
    Grant_set_interface(grant, interface);
    Grant_set_methods(grant, methods);
    if (transfer != UINT16_MAX) {
        Grant_set_transfer(grant, transfer);
    }
}

static unsigned count_held(uint32_t holds, const struct grant_source *sources, unsigned count)
{
    unsigned held_count = 0;
    for (unsigned i = 0; i < count; i++) {
        held_count += (holds & sources[i].hold) != 0;
    }
    return held_count;
}

static void put_grants(struct capos_call *call, ProcessSpawner_spawn_params_b params,
                       const char *name, uint32_t holds, const struct grant_source *sources,
                       unsigned source_count)
{
    uint32_t at = 1;
    Grant_list_b list = ProcessSpawner_spawn_params_init_grants(
        params, 1 + count_held(holds, sources, source_count));
    put_grant(list, 0, name, KernelLog_ID, LogWriter_FACET, capos_call_copy(call, warden.log));
    for (unsigned i = 0; i < source_count; i++) {
        const struct grant_source *source = &sources[i];
        if ((holds & source->hold) == 0) {
            continue;
        }
        uint16_t transfer = source->cap != 0 ? capos_call_copy(call, source->cap) : UINT16_MAX;
        put_grant(list, at, source->name, source->interface, source->methods, transfer);
        if (source->cap == 0) {
            Grant_set_self(Grant_list_b_at(list, at), source->self);
        }
        at++;
    }
}

static void put_limits(ProcessSpawner_spawn_params_b params, const struct limit *limits)
{
    uint32_t count = 0;
    bool log_bytes = false;
    for (unsigned i = 0; i < CASE_LIMITS; i++) {
        count += limits[i].set;
        log_bytes =
            log_bytes || (limits[i].set && limits[i].ledger_class == LEDGER_CLASS_LOG_BYTES);
    }
    Limit_list_b list = ProcessSpawner_spawn_params_init_limits(params, count + !log_bytes);
    uint32_t at = 0;
    for (unsigned i = 0; i < CASE_LIMITS; i++) {
        if (limits[i].set) {
            Limit_b limit = Limit_list_b_at(list, at++);
            Limit_set_ledger_class(limit, (enum LedgerClass)limits[i].ledger_class);
            Limit_set_amount(limit, limits[i].amount);
        }
    }
    if (!log_bytes) {
        Limit_b limit = Limit_list_b_at(list, at);
        Limit_set_ledger_class(limit, LEDGER_CLASS_LOG_BYTES);
        Limit_set_amount(limit, LOG_LINE_BYTES_PER_S);
    }
}

/* Reads the handle out of a spawn that went well, and waits for the end from now on. */
static status_t adopt(struct capos_call *call, struct child *child)
{
    ProcessSpawner_spawn_results_r results;
    status_t status = ProcessSpawner_spawn_results(call, &results);
    if (status == ST_OK) {
        child->process = capos_call_take(call, ProcessSpawner_spawn_results_get_process(results),
                                         ProcessHandle_ID);
        child->started = true;
        capos_op_init_wait(&child->wait, child->process, CAPOS_EVENT_EXIT, 0);
        capos_op_submit(&child->wait);
    }
    return status;
}

static ProcessSpawner_spawn_params_b begin_spawn(struct capos_call *call, const char *name,
                                                 capos_cap_t image)
{
    capos_call_begin(call, warden.spawner);
    ProcessSpawner_spawn_params_b params = ProcessSpawner_spawn_begin(call);
    ProcessSpawner_spawn_params_set_name(params, name, strlen(name));
    ProcessSpawner_spawn_params_set_image(params, capos_call_copy(call, image));
    ProcessSpawner_spawn_params_set_ring_entries(params, RING_ENTRIES);
    return params;
}

status_t start_child(struct child *child, const char *name, uint32_t holds,
                     const struct grant_source *sources, unsigned source_count,
                     const struct limit limits[CASE_LIMITS])
{
    CAPOS_CALL_STATIC(call, ProcessSpawner, spawn);
    memset(child, 0, sizeof(*child));
    ProcessSpawner_spawn_params_b params = begin_spawn(&call, name, warden.image);
    if (warden.child_session != 0) {
        ProcessSpawner_spawn_params_set_session(params,
                                                capos_call_copy(&call, warden.child_session));
    }
    if ((holds & HOLD_NOTHING) == 0) {
        put_grants(&call, params, name, holds, sources, source_count);
    }
    put_limits(params, limits);
    status_t status = ProcessSpawner_spawn_call(&call);
    if (status == ST_OK) {
        status = adopt(&call, child);
    }
    capos_call_end(&call);
    return status;
}

status_t start_image(struct child *child, capos_cap_t image)
{
    CAPOS_CALL_STATIC(call, ProcessSpawner, spawn);
    memset(child, 0, sizeof(*child));
    (void)begin_spawn(&call, "wild", image);
    status_t status = ProcessSpawner_spawn_call(&call);
    if (status == ST_OK) {
        status = adopt(&call, child);
    }
    capos_call_end(&call);
    return status;
}

void look_after(struct child *child)
{
    if (child->started && !child->ended && child->wait.state == CAPOS_OP_DONE) {
        child->ended = true;
    }
}

static void read_record(struct child *child)
{
    CAPOS_CALL(call, ProcessHandle, info);
    ProcessHandle_info_results_r info;
    capos_call_begin(&call, child->process);
    (void)ProcessHandle_info_begin(&call);
    child->state = PROCESS_STATE_RUNNING;
    if (ProcessHandle_info_call(&call) == ST_OK &&
        ProcessHandle_info_results(&call, &info) == ST_OK) {
        FaultRecord_r fault = ProcessHandle_info_results_get_fault(info);
        child->state = ProcessHandle_info_results_get_state(info);
        child->code = ProcessHandle_info_results_get_exit_code(info);
        child->fault_kind = (unsigned)FaultRecord_get_kind(fault);
        child->fault_address = FaultRecord_get_address(fault);
        child->fault_ip = FaultRecord_get_instruction(fault);
    }
    capos_call_end(&call);
}

void end_child(struct child *child)
{
    if (!child->started) {
        return;
    }
    if (!child->ended) {
        (void)ProcessHandle_terminate(child->process);
        child->ended = capos_op_wait(&child->wait, warden_now_ns() + UINT64_C(60000000000));
    }
    read_record(child);
    (void)capos_release_now(child->process);
}

status_t new_launcher(capos_cap_t *out)
{
    CAPOS_CALL_STATIC(call, ProcessSpawner, new_launcher);
    capos_call_begin(&call, warden.spawner);
    ProcessSpawner_new_launcher_params_b params = ProcessSpawner_new_launcher_begin(&call);
    Program_list_b programs = ProcessSpawner_new_launcher_params_init_programs(params, 1);
    Program_b program = Program_list_b_at(programs, 0);
    Program_set_name(program, "self", 4);
    Program_set_image(program, capos_call_copy(&call, warden.image));
    ProcessSpawner_new_launcher_params_set_max_children(params, LAUNCH_MAX);
    ProcessSpawner_new_launcher_params_set_watch(params, WATCH_DEBUG);
    status_t status = ProcessSpawner_new_launcher_call(&call);
    ProcessSpawner_new_launcher_results_r results;
    if (status == ST_OK) {
        status = ProcessSpawner_new_launcher_results(&call, &results);
    }
    if (status == ST_OK) {
        *out = capos_call_take(&call, ProcessSpawner_new_launcher_results_get_launcher(results),
                               Launcher_ID);
    }
    capos_call_end(&call);
    return status;
}
