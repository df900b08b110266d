/* SPDX-License-Identifier: MIT */
/* States and invariants are in debugger.h. */
#include "object/debugger.h"

#include "arch/arch.h"
#include "gen/kernel/debugger.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "mem/slab.h"
#include "object/fault.h"
#include "object/pending.h"
#include "object/process.h"
#include "ring/ring.h"
#include "ring/wait.h"
#include "sched/sched.h"

struct process *debugger_process(struct debugger *debugger)
{
    lock_acquire(&debugger->obj.lock);
    struct process *process = debugger->process;
    if (process != NULL) {
        kobj_ref(&process->obj);
    }
    lock_release(&debugger->obj.lock);
    return process;
}

static struct thread *first_of(struct list *list)
{
    struct list_node *node = list_first(list);
    return node == NULL ? NULL : list_entry(node, struct thread, stop_link);
}

void debugger_state(const struct thread *thread, struct arch_fault_state *out)
{
    out->fault = thread->fault;
    arch_thread_get_regs(&thread->arch, &out->regs);
}

/* The last holder is gone. Who stands still has nobody who could resume it. */
static void debugger_no_slots(struct kobj *obj)
{
    struct debugger *debugger = debugger_of(obj);
    struct arch_fault_state state = {.fault.kind = ARCH_FAULT_NONE};
    lock_acquire(&obj->lock);
    debugger->closed = true;
    struct process *process = debugger->process;
    struct thread *thread = first_of(&debugger->events);
    thread = thread != NULL ? thread : first_of(&debugger->stopped);
    if (process == NULL || thread == NULL) {
        lock_release(&obj->lock);
        return;
    }
    kobj_ref(&process->obj);
    debugger_state(thread, &state);
    lock_release(&obj->lock);
    bool faulted = state.fault.kind != ARCH_FAULT_NONE;
    process_end(process, faulted ? PROCESS_ENDED_FAULT : PROCESS_ENDED_TERMINATED, -1,
                faulted ? &state : NULL);
    kobj_unref(&process->obj);
}

void debugger_delivered(struct kobj *debugger)
{
    if (atomic_load_relaxed(&debugger->slots) == 0) {
        debugger_no_slots(debugger);
    }
    kobj_unref(debugger);
}

static void debugger_destroy(struct kobj *obj)
{
    slab_free(debugger_of(obj));
}

static const struct kobj_ops debugger_ops = {
    .name = "debugger",
    .no_slots = debugger_no_slots,
    .destroy = debugger_destroy,
};

status_t debugger_create(struct ledger *ledger, struct process *process, struct kobj **out)
{
    struct debugger *debugger = slab_alloc(ledger, sizeof(*debugger));
    if (debugger == NULL) {
        return ST_QUOTA;
    }
    kobj_init(&debugger->obj, KTYPE_PROCESS_DEBUGGER, &debugger_ops, ledger);
    list_init(&debugger->events);
    list_init(&debugger->stopped);
    list_init(&debugger->nexts);
    debugger->process = process;
    kobj_ref(&debugger->obj);
    process->debugger = debugger;
    *out = &debugger->obj;
    return ST_OK;
}

/* ---- events ---- */

static void tell(struct record *rec, uint64_t image_base, uint64_t thread,
                 const struct arch_fault_state *state)
{
    uint64_t words[40];
    size_t len = 0;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_next_results_b results = ProcessDebugger_next_results_init(&builder);
    ProcessDebugger_next_results_set_thread(results, thread);
    fault_fill(ProcessDebugger_next_results_init_fault(results), image_base, state);
    (void)capnp_finish(&builder, &len);
    record_complete_message(rec, words, (uint32_t)len, NULL, 0);
}

/* Brings one event and one who waits for it together; or tells who waits that it is over. False: there was
 * nothing to do. */
static bool deliver(struct debugger *debugger)
{
    struct arch_fault_state state;
    uint64_t id = 0, image_base = 0;
    lock_acquire(&debugger->obj.lock);
    struct process *process = debugger->process;
    struct list_node *node = list_first(&debugger->nexts);
    struct thread *thread = first_of(&debugger->events);
    if (node == NULL || (process != NULL && thread == NULL)) {
        lock_release(&debugger->obj.lock);
        return false;
    }
    struct record *rec = list_entry(node, struct record, link);
    (void)record_claim_locked(rec, atomic_load_relaxed(&rec->generation));
    if (process != NULL) {
        list_remove(&thread->stop_link);
        list_push_back(&debugger->stopped, &thread->stop_link);
        id = thread->obj.id;
        image_base = process->image_base;
        debugger_state(thread, &state);
    }
    lock_release(&debugger->obj.lock);
    if (process == NULL) {
        record_complete(rec, ST_DISCONNECTED);
        return true;
    }
    tell(rec, image_base, id, &state);
    return true;
}

bool debugger_stop(struct thread *thread, const struct arch_fault *fault)
{
    struct debugger *debugger = thread->process->debugger;
    if (debugger == NULL) {
        return false;
    }
    bool event = fault->kind != ARCH_FAULT_NONE;
    lock_acquire(&debugger->obj.lock);
    bool can = !debugger->closed && (!event || debugger->count < DEBUGGER_STOPPED_MAX);
    if (can) {
        debugger->count++;
        thread->fault = *fault;
        arch_thread_set_step(&thread->arch, false);
        list_push_back(event ? &debugger->events : &debugger->stopped, &thread->stop_link);
        atomic_store_release(&thread->state, THREAD_STOPPED);
        atomic_store_release(&thread->hold, 0);
    }
    lock_release(&debugger->obj.lock);
    if (can && event) {
        (void)deliver(debugger);
    }
    return can;
}

const struct arch_fault debugger_no_fault = {.kind = ARCH_FAULT_NONE};

bool debugger_hold(struct thread *thread)
{
    bool stopped = debugger_stop(thread, &debugger_no_fault);
    if (!stopped) {
        atomic_store_release(&thread->hold, 0);
    }
    return stopped;
}

/* STOPPED and in a list: no longer, but this. The lock is held. */
static void leave_locked(struct debugger *debugger, struct thread *thread, enum thread_state state)
{
    list_remove(&thread->stop_link);
    debugger->count--;
    atomic_store_release(&thread->state, (uint8_t)state);
}

void debugger_bury(struct thread *thread)
{
    struct debugger *debugger = thread->process->debugger;
    lock_acquire(&debugger->obj.lock);
    if (atomic_load_relaxed(&thread->state) == THREAD_STOPPED) {
        leave_locked(debugger, thread, THREAD_DEAD);
    }
    lock_release(&debugger->obj.lock);
}

void debugger_end(struct process *process)
{
    struct debugger *debugger = process->debugger;
    if (debugger == NULL) {
        return;
    }
    process->debugger = NULL;
    lock_acquire(&debugger->obj.lock);
    debugger->process = NULL;
    lock_release(&debugger->obj.lock);
    kobj_kill(&debugger->obj);
    while (deliver(debugger)) {
    }
    kobj_unref(&debugger->obj);
}

/* ---- methods of a fault handler ---- */

static struct thread *find_in(struct list *list, uint64_t id)
{
    list_for_each(node, list)
    {
        struct thread *thread = list_entry(node, struct thread, stop_link);
        if (thread->obj.id == id) {
            return thread;
        }
    }
    return NULL;
}

struct thread *debugger_find_locked(struct debugger *debugger, uint64_t id)
{
    struct thread *thread = find_in(&debugger->stopped, id);
    return thread != NULL ? thread : find_in(&debugger->events, id);
}

/* The stopped thread of this number may go on: then it is to be woken, without the lock. NULL: there is none. */
static struct thread *let_go_locked(struct debugger *debugger, uint64_t id, bool step)
{
    struct thread *thread = debugger->closed ? NULL : debugger_find_locked(debugger, id);
    if (thread != NULL) {
        arch_thread_set_step(&thread->arch, step);
        leave_locked(debugger, thread, THREAD_READY); /* nobody buries it but who finds it queued */
    }
    return thread;
}

status_t ProcessDebugger_kernel_next(struct invocation *inv, ProcessDebugger_next_params_r params,
                                     ProcessDebugger_next_results_b results)
{
    (void)results;
    struct debugger *debugger = debugger_of(inv->target.object);
    uint64_t resume = ProcessDebugger_next_params_get_resume(params);
    struct thread *thread = NULL;
    lock_acquire(&debugger->obj.lock);
    status_t status = list_empty(&debugger->nexts) ? ST_OK : ST_BUSY;
    if (status == ST_OK && resume != 0) {
        thread = let_go_locked(debugger, resume, ProcessDebugger_next_params_get_step(params));
        status = thread != NULL ? ST_OK : ST_NOT_FOUND;
    }
    lock_release(&debugger->obj.lock);
    if (status != ST_OK) {
        return status;
    }
    if (thread != NULL) {
        sched_wake(thread);
    }
    status = invoke_wait_at(inv, &debugger->obj, &debugger->nexts, inv->deadline_ns, false);
    (void)deliver(debugger);
    return status;
}

status_t ProcessDebugger_kernel_resume(struct invocation *inv,
                                       ProcessDebugger_resume_params_r params,
                                       ProcessDebugger_resume_results_b results)
{
    (void)results;
    struct debugger *debugger = debugger_of(inv->target.object);
    lock_acquire(&debugger->obj.lock);
    struct thread *thread =
        let_go_locked(debugger, ProcessDebugger_resume_params_get_thread(params),
                      ProcessDebugger_resume_params_get_step(params));
    lock_release(&debugger->obj.lock);
    if (thread == NULL) {
        return ST_NOT_FOUND;
    }
    sched_wake(thread);
    return ST_OK;
}

status_t ProcessDebugger_kernel_set_registers(struct invocation *inv,
                                              ProcessDebugger_set_registers_params_r params,
                                              ProcessDebugger_set_registers_results_b results)
{
    (void)results;
    struct debugger *debugger = debugger_of(inv->target.object);
    struct capnp_list list = ProcessDebugger_set_registers_params_get_registers(params);
    struct arch_regs regs;
    if (capnp_list_len(list) != ARCH_REGS_COUNT) {
        return ST_BAD_ARGUMENT;
    }
    for (uint32_t i = 0; i < ARCH_REGS_COUNT; i++) {
        regs.r[i] = capnp_list_u64_at(list, i);
    }
    status_t status = ST_NOT_FOUND;
    lock_acquire(&debugger->obj.lock);
    struct thread *thread =
        debugger_find_locked(debugger, ProcessDebugger_set_registers_params_get_thread(params));
    if (thread != NULL) {
        status = arch_thread_set_regs(&thread->arch, &regs) ? ST_OK : ST_BAD_ARGUMENT;
    }
    lock_release(&debugger->obj.lock);
    return status;
}

status_t ProcessDebugger_kernel_terminate(struct invocation *inv,
                                          ProcessDebugger_terminate_params_r params,
                                          ProcessDebugger_terminate_results_b results)
{
    (void)params;
    (void)results;
    struct process *process = debugger_process(debugger_of(inv->target.object));
    if (process == NULL) {
        return ST_BAD_STATE;
    }
    bool first = !process_is_exiting(process);
    process_end(process, PROCESS_ENDED_TERMINATED, -1, NULL);
    kobj_unref(&process->obj);
    return first ? ST_OK : ST_BAD_STATE;
}
