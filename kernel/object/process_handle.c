/* SPDX-License-Identifier: MIT */
/* ProcessHandle: what the one who started a process may do with it. */
#include "gen/kernel/process.kernel.h"
#include "gen/kernel/types.h"
#include "gen/memory.capnp.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "object/invoke.h"
#include "object/process.h"
#include "object/usage.h"

static enum FaultRecord_Kind fault_kind(const struct arch_fault *fault)
{
    static const uint8_t kinds[] = {
        [ARCH_FAULT_PAGE] = FAULT_RECORD_KIND_PAGE_FAULT,
        [ARCH_FAULT_PROTECTION] = FAULT_RECORD_KIND_PROTECTION,
        [ARCH_FAULT_ILLEGAL] = FAULT_RECORD_KIND_ILLEGAL_INSTRUCTION,
        [ARCH_FAULT_ARITHMETIC] = FAULT_RECORD_KIND_DIVIDE,
        [ARCH_FAULT_FLOAT] = FAULT_RECORD_KIND_FLOATING_POINT,
        [ARCH_FAULT_ALIGNMENT] = FAULT_RECORD_KIND_ALIGNMENT,
        [ARCH_FAULT_BREAKPOINT] = FAULT_RECORD_KIND_DEBUG_TRAP,
        [ARCH_FAULT_STEP] = FAULT_RECORD_KIND_DEBUG_TRAP,
        [ARCH_FAULT_MACHINE] = FAULT_RECORD_KIND_OTHER,
    };
    return (unsigned)fault->kind < sizeof(kinds) ? (enum FaultRecord_Kind)kinds[fault->kind]
                                                 : FAULT_RECORD_KIND_OTHER;
}

enum ProcessState process_public_state(const struct process *process)
{
    static const uint8_t ended[] = {
        [PROCESS_ENDED_EXIT] = PROCESS_STATE_EXITED,
        [PROCESS_ENDED_FAULT] = PROCESS_STATE_FAULTED,
        [PROCESS_ENDED_TERMINATED] = PROCESS_STATE_TERMINATED,
    };
    if (process->state == PROCESS_EXITING) {
        return PROCESS_STATE_EXITING;
    }
    return process->state == PROCESS_REAPED ? (enum ProcessState)ended[process->end_kind]
                                            : PROCESS_STATE_RUNNING;
}

status_t ProcessHandle_kernel_terminate(struct invocation *inv,
                                        ProcessHandle_terminate_params_r params,
                                        ProcessHandle_terminate_results_b results)
{
    (void)params;
    (void)results;
    struct process *process = process_of(inv->target.object);
    if (process_is_exiting(process)) {
        return ST_BAD_STATE;
    }
    process_end(process, PROCESS_ENDED_TERMINATED, -1, NULL);
    return ST_OK;
}

/* A copy under the lock, so that state, code and fault belong together. */
struct snapshot {
    enum ProcessState state;
    int64_t exit_code;
    bool faulted;
    struct arch_fault fault;
    uint64_t fault_ip, fault_sp;
};

static void take_snapshot(struct process *process, struct snapshot *out)
{
    lock_acquire(&process->obj.lock);
    out->state = process_public_state(process);
    out->exit_code = process->exit_code;
    out->faulted = process->state >= PROCESS_EXITING && process->end_kind == PROCESS_ENDED_FAULT;
    out->fault = process->fault;
    out->fault_ip = process->fault_ip;
    out->fault_sp = process->fault_sp;
    lock_release(&process->obj.lock);
}

status_t ProcessHandle_kernel_address_space(struct invocation *inv,
                                            ProcessHandle_address_space_params_r params,
                                            ProcessHandle_address_space_results_b results)
{
    (void)params;
    struct kobj *process = inv->target.object;
    status_t status =
        process_is_exiting(process_of(process)) ? ST_BAD_STATE : invoke_reserve_caps(inv, 1);
    if (status == ST_OK) {
        kobj_ref(process);
        ProcessHandle_address_space_results_set_memory(
            results, invoke_add_cap(inv, process, KTYPE_VIRTUAL_MEMORY, VirtualMemory_FACET));
    }
    return status;
}

status_t ProcessHandle_kernel_info(struct invocation *inv, ProcessHandle_info_params_r params,
                                   ProcessHandle_info_results_b results)
{
    (void)params;
    struct process *process = process_of(inv->target.object);
    struct snapshot snapshot;
    take_snapshot(process, &snapshot);
    ProcessHandle_info_results_set_process_id(results, process->obj.id);
    ProcessHandle_info_results_set_name(results, process->name,
                                        strnlen(process->name, sizeof(process->name)));
    ProcessHandle_info_results_set_state(results, snapshot.state);
    ProcessHandle_info_results_set_exit_code(results, snapshot.exit_code);
    if (snapshot.faulted) {
        FaultRecord_b fault = ProcessHandle_info_results_init_fault(results);
        FaultRecord_set_kind(fault, fault_kind(&snapshot.fault));
        FaultRecord_set_address(fault, snapshot.fault.address.v);
        FaultRecord_set_instruction(fault, snapshot.fault_ip);
        FaultRecord_set_stack_pointer(fault, snapshot.fault_sp);
        FaultRecord_set_code(fault, snapshot.fault.code);
    }
    counters_fill(process, ProcessHandle_info_results_init_counters(results));
    usage_fill(process->ledger, ProcessHandle_info_results_init_ledger(results, LEDGER_CLASSES));
    return ST_OK;
}
