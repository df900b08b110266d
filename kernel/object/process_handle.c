/* SPDX-License-Identifier: MIT */
/* ProcessHandle: what the one who started a process may do with it. */
#include "gen/kernel/process.kernel.h"
#include "gen/kernel/types.h"
#include "gen/memory.capnp.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "object/fault.h"
#include "object/invoke.h"
#include "object/process.h"
#include "object/usage.h"

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
    ProcessHandle_info_results_set_process_id(results, process->obj.id);
    ProcessHandle_info_results_set_name(results, process->name,
                                        strnlen(process->name, sizeof(process->name)));
    lock_acquire(&process->obj.lock); /* state, code and fault belong together */
    ProcessHandle_info_results_set_state(results, process_public_state(process));
    ProcessHandle_info_results_set_exit_code(results, process->exit_code);
    if (process->state >= PROCESS_EXITING && process->end_kind == PROCESS_ENDED_FAULT) {
        fault_fill(ProcessHandle_info_results_init_fault(results), process->image_base,
                   &process->fault);
    }
    lock_release(&process->obj.lock);
    counters_fill(process, ProcessHandle_info_results_init_counters(results));
    usage_fill(process->ledger, ProcessHandle_info_results_init_ledger(results, LEDGER_CLASSES));
    return ST_OK;
}
