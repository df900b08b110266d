/* SPDX-License-Identifier: MIT */
/* ProcessDebugger: what looks into a process, and the job that stops a thread. */
#include "arch/arch.h"
#include "gen/capabilities.capnp.h"
#include "gen/kernel/debugger.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "object/debugger.h"
#include "object/fault.h"
#include "object/process.h"
#include "ring/ring.h"
#include "sched/sched.h"

enum { LOOKS_MAX = 4096, VIEWS_MAX = 64, COPY_BYTES = 4096 };

/* The process itself, as an object of another kind. Its index among the results. */
static status_t hand_out(struct invocation *inv, uint8_t ktype, uint64_t facet, uint16_t *index_out)
{
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct process *process = debugger_process(debugger_of(inv->target.object));
    if (process == NULL) {
        return ST_DISCONNECTED;
    }
    *index_out = invoke_add_cap(inv, &process->obj, ktype, facet);
    return ST_OK;
}

status_t ProcessDebugger_kernel_memory(struct invocation *inv,
                                       ProcessDebugger_memory_params_r params,
                                       ProcessDebugger_memory_results_b results)
{
    (void)params;
    uint16_t index = 0;
    status_t status = hand_out(inv, KTYPE_VIRTUAL_MEMORY,
                               kernel_interfaces[KTYPE_VIRTUAL_MEMORY].facet_all, &index);
    ProcessDebugger_memory_results_set_memory(results, index);
    return status;
}

status_t ProcessDebugger_kernel_capabilities(struct invocation *inv,
                                             ProcessDebugger_capabilities_params_r params,
                                             ProcessDebugger_capabilities_results_b results)
{
    (void)params;
    uint16_t index = 0;
    status_t status =
        hand_out(inv, KTYPE_CAPABILITY_MANAGER, BIT64(CapabilityManager_list_ORDINAL), &index);
    ProcessDebugger_capabilities_results_set_table(results, index);
    return status;
}

static enum ThreadState public_state(const struct thread *thread)
{
    static const uint8_t states[] = {
        [THREAD_NEW] = THREAD_STATE_READY,       [THREAD_READY] = THREAD_STATE_READY,
        [THREAD_RUNNING] = THREAD_STATE_RUNNING, [THREAD_BLOCKED] = THREAD_STATE_WAITING,
        [THREAD_STOPPED] = THREAD_STATE_STOPPED, [THREAD_DEAD] = THREAD_STATE_ENDED,
    };
    return (enum ThreadState)states[atomic_load_relaxed(&thread->state)];
}

struct view {
    uint64_t id;
    enum ThreadState state;
};

/* Up to VIEWS_MAX threads above `after`, as far as LOOKS_MAX looks go. */
static uint32_t collect(struct process *process, uint64_t after, struct view *out)
{
    uint32_t count = 0;
    uint32_t looks = 0;
    lock_acquire(&process->obj.lock);
    list_for_each(node, &process->threads)
    {
        const struct thread *thread = list_entry(node, struct thread, process_link);
        if (count == VIEWS_MAX || looks++ == LOOKS_MAX) {
            break;
        }
        if (thread->obj.id > after) {
            out[count++] = (struct view){thread->obj.id, public_state(thread)};
        }
    }
    lock_release(&process->obj.lock);
    return count;
}

status_t ProcessDebugger_kernel_threads(struct invocation *inv,
                                        ProcessDebugger_threads_params_r params,
                                        ProcessDebugger_threads_results_b results)
{
    struct view views[VIEWS_MAX];
    struct process *process = debugger_process(debugger_of(inv->target.object));
    if (process == NULL) {
        return ST_DISCONNECTED;
    }
    uint32_t count = collect(process, ProcessDebugger_threads_params_get_after(params), views);
    kobj_unref(&process->obj);
    ThreadView_list_b list = ProcessDebugger_threads_results_init_threads(results, count);
    for (uint32_t i = 0; i < count; i++) {
        ThreadView_b view = ThreadView_list_b_at(list, i);
        ThreadView_set_thread(view, views[i].id);
        ThreadView_set_state(view, views[i].state);
    }
    return ST_OK;
}

status_t ProcessDebugger_kernel_state(struct invocation *inv, ProcessDebugger_state_params_r params,
                                      ProcessDebugger_state_results_b results)
{
    struct debugger *debugger = debugger_of(inv->target.object);
    struct arch_fault_state state;
    lock_acquire(&debugger->obj.lock);
    struct thread *thread =
        debugger_find_locked(debugger, ProcessDebugger_state_params_get_thread(params));
    if (thread != NULL) {
        debugger_state(thread, &state);
        fault_fill(ProcessDebugger_state_results_init_fault(results), debugger->process->image_base,
                   &state);
    }
    lock_release(&debugger->obj.lock);
    return thread != NULL ? ST_OK : ST_NOT_FOUND;
}

status_t ProcessDebugger_kernel_read(struct invocation *inv, ProcessDebugger_read_params_r params,
                                     ProcessDebugger_read_results_b results)
{
    uint32_t size = ProcessDebugger_read_params_get_size_bytes(params);
    if (size > COPY_BYTES) {
        return ST_BAD_ARGUMENT;
    }
    struct process *process = debugger_process(debugger_of(inv->target.object));
    if (process == NULL) {
        return ST_DISCONNECTED;
    }
    uint8_t *to = ProcessDebugger_read_results_init_data(results, size);
    status_t status = ST_OK; /* without room the caller is told so */
    if (to != NULL) {
        status = aspace_read(&process->aspace, ProcessDebugger_read_params_get_address(params), to,
                             size);
    }
    kobj_unref(&process->obj);
    return status;
}

status_t ProcessDebugger_kernel_write(struct invocation *inv, ProcessDebugger_write_params_r params,
                                      ProcessDebugger_write_results_b results)
{
    (void)results;
    uint64_t address = ProcessDebugger_write_params_get_address(params);
    struct capnp_data data = ProcessDebugger_write_params_get_data(params);
    if (data.len > PAGE_BYTES - address % PAGE_BYTES) {
        return ST_BAD_ARGUMENT;
    }
    struct process *process = debugger_process(debugger_of(inv->target.object));
    if (process == NULL) {
        return ST_DISCONNECTED;
    }
    status_t status = aspace_write(&process->aspace, address, data.ptr, data.len);
    kobj_unref(&process->obj);
    return status;
}

/* ---- stop ---- */

/* ST_PENDING: not yet. */
static status_t try_stop(struct thread *thread)
{
    bool wanted = atomic_load_acquire(&thread->hold) !=
                  0; /* first: else it was stopped, and may go on already */
    uint8_t state = atomic_load_acquire(&thread->state);
    if (state == THREAD_STOPPED || !wanted) {
        return ST_OK;
    }
    if (state == THREAD_DEAD || process_is_exiting(thread->process)) {
        return ST_NOT_FOUND;
    }
    if (state == THREAD_BLOCKED && ring_abort_wait(thread->ring)) {
        arch_syscall_restart(&thread->arch);
        if (debugger_stop(thread, &debugger_no_fault)) {
            return ST_OK;
        }
        sched_wake(thread); /* nobody would resume it */
        return ST_NOT_FOUND;
    }
    if (state == THREAD_RUNNING) {
        sched_kick(thread);
    }
    return ST_PENDING;
}

static bool stop_slice(struct job *job)
{
    struct debugger *debugger = CONTAINER_OF(job, struct debugger, stop.job);
    struct ring *ring = debugger->stopping;
    struct pending pending = debugger->stop;
    uint64_t words[4];
    size_t len = 0;
    status_t status = pending_is_orphan(&pending) ? ST_NOT_FOUND : try_stop(ring->thread);
    if (status == ST_PENDING) {
        return false;
    }
    atomic_store_relaxed(&ring->thread->hold, 0);
    ring_put(ring);
    lock_acquire(&debugger->obj.lock);
    debugger->stopping = NULL; /* the job may be another's from here on */
    lock_release(&debugger->obj.lock);
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    (void)ProcessDebugger_stop_results_init(&builder);
    (void)capnp_finish(&builder, &len);
    pending_answer(&pending, status, words, len, NULL, 0, 0);
    kobj_unref(&debugger->obj);
    return true;
}

/* The ring, held, of a thread that has begun; NULL: there is none of that number, as far as LOOKS_MAX looks go. */
static struct ring *find_ring(struct process *process, uint64_t id)
{
    struct ring *found = NULL;
    uint32_t looks = 0;
    lock_acquire(&process->obj.lock);
    list_for_each(node, &process->threads)
    {
        struct thread *thread = list_entry(node, struct thread, process_link);
        if (thread->obj.id == id) {
            bool begun = atomic_load_relaxed(&thread->state) != THREAD_NEW;
            found = begun && ring_hold(thread->ring) ? thread->ring : NULL;
            break;
        }
        if (looks++ == LOOKS_MAX) {
            break;
        }
    }
    lock_release(&process->obj.lock);
    return found;
}

status_t ProcessDebugger_kernel_stop(struct invocation *inv, ProcessDebugger_stop_params_r params,
                                     ProcessDebugger_stop_results_b results)
{
    (void)results;
    struct debugger *debugger = debugger_of(inv->target.object);
    struct process *process = debugger_process(debugger);
    if (process == NULL) {
        return ST_DISCONNECTED;
    }
    struct ring *ring = find_ring(process, ProcessDebugger_stop_params_get_thread(params));
    kobj_unref(&process->obj);
    if (ring == NULL) {
        return ST_NOT_FOUND;
    }
    lock_acquire(&debugger->obj.lock);
    bool busy = debugger->stopping != NULL || debugger->count >= DEBUGGER_STOPPED_MAX;
    debugger->stopping = busy ? debugger->stopping : ring;
    lock_release(&debugger->obj.lock);
    if (busy) {
        ring_put(ring);
        return ST_BUSY;
    }
    kobj_ref(&debugger->obj);
    atomic_store_relaxed(&ring->thread->hold, 1);
    return pending_start(&debugger->stop, inv, stop_slice);
}
