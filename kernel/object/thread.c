/* SPDX-License-Identifier: MIT */
#include "object/thread.h"

#include "abi/layout.h"
#include "arch/arch.h"
#include "core/panic.h"
#include "gen/kernel/thread.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "mem/slab.h"
#include "object/debugger.h"
#include "object/invoke.h"
#include "object/kernel_trace.h"
#include "object/process.h"
#include "object/scheduling.h"
#include "ring/ring.h"
#include "ring/wait.h"
#include "sched/cpu.h"
#include "sched/sched.h"

enum { NO_CAP = 0xffff };

static_assert(offsetof(struct thread, arch) == 0, "the port finds struct arch_thread there");

/* Extended state comes as whole pages when it does not fit a slab; 64-aligned either way. */
static void *fpu_alloc(struct ledger *ledger)
{
    size_t size = arch_fpu_size();
    if (size <= SLAB_MAX_BYTES) {
        return slab_alloc(ledger, size);
    }
    return size <= PAGE_BYTES ? kpage_alloc(ledger) : NULL;
}

static void fpu_free(struct ledger *ledger, void *fpu)
{
    if (arch_fpu_size() <= SLAB_MAX_BYTES) {
        slab_free(fpu);
    } else {
        kpage_free(ledger, fpu);
    }
}

static struct thread *thread_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct thread, obj);
}

static uint32_t thread_poll(struct kobj *obj, uint32_t mask, uint64_t bits, uint64_t *signal_out)
{
    (void)bits;
    struct thread *thread = thread_of(obj);
    *signal_out = (uint64_t)thread->exit_code;
    return thread->ended ? mask & (CAPOS_EVENT_EXIT | CAPOS_EVENT_DEAD) : 0;
}

static void thread_destroy(struct kobj *obj)
{
    slab_free(thread_of(obj));
}

static const struct kobj_ops thread_ops = {
    .name = "thread",
    .destroy = thread_destroy,
    .poll = thread_poll,
};

static bool end_slice(struct job *job);

static void init_fields(struct thread *thread, struct process *process)
{
    kobj_init(&thread->obj, KTYPE_THREAD_HANDLE, &thread_ops, process->ledger);
    thread->process = process;
    list_node_init(&thread->stop_link);
    context_ref(process->bound);
    (void)sched_bind(thread, process->bound);
    job_init(&thread->end_job, end_slice);
    timer_init(&thread->deadline, ring_wait_expired, thread->ring);
    lock_acquire(&process->obj.lock);
    list_push_back(&process->threads, &thread->process_link);
    lock_release(&process->obj.lock);
}

status_t thread_create(struct process *process, uint64_t ring_address, uint32_t sq_entries,
                       struct thread **out)
{
    struct ledger *ledger = process->ledger;
    if (ledger_charge(ledger, LEDGER_CLASS_THREADS, 1) != ST_OK) {
        return ST_QUOTA;
    }
    status_t status = ST_QUOTA;
    struct thread *thread = slab_alloc(ledger, sizeof(*thread));
    if (thread == NULL) {
        goto refund;
    }
    thread->fpu = fpu_alloc(ledger);
    if (thread->fpu == NULL) {
        goto free_thread;
    }
    status = ring_create(process, thread, ring_address, sq_entries, &thread->ring);
    if (status != ST_OK) {
        goto free_fpu;
    }
    init_fields(thread, process);
    *out = thread;
    return ST_OK;

free_fpu:
    fpu_free(ledger, thread->fpu);
free_thread:
    slab_free(thread);
refund:
    ledger_refund(ledger, LEDGER_CLASS_THREADS, 1);
    return status;
}

void thread_start_at(struct thread *thread, uint64_t entry, uint64_t stack, uint64_t arg0)
{
    arch_thread_init(&thread->arch, &thread->process->aspace.arch, thread->fpu, uaddr(entry),
                     uaddr(stack), arg0, thread->ring->user_address);
    bool set = arch_thread_set_tls(&thread->arch, uaddr(stack));
    KASSERT(set);
}

bool thread_live(struct thread *thread)
{
    struct process *process = thread->process;
    lock_acquire(&process->obj.lock);
    bool live = process->state == PROCESS_BUILDING || process->state == PROCESS_RUNNING;
    process->live += live ? 1 : 0;
    lock_release(&process->obj.lock);
    return live;
}

void thread_give_up(struct thread *thread)
{
    struct process *process = thread->process;
    lock_acquire(&process->obj.lock);
    bool alone = process->state == PROCESS_RUNNING;
    process->leaving += alone ? 1 : 0;
    atomic_store_release(&thread->state, THREAD_DEAD);
    lock_release(&process->obj.lock);
    if (alone && !end_slice(&thread->end_job)) {
        job_submit(&thread->end_job);
    }
}

bool thread_stopped(struct thread *thread)
{
    uint8_t state = atomic_load_acquire(&thread->state);
    if (state == THREAD_BLOCKED && ring_abort_wait(thread->ring)) {
        atomic_store_release(&thread->state, THREAD_DEAD);
        state = THREAD_DEAD;
    }
    if (state == THREAD_STOPPED) {
        debugger_bury(thread); /* unless it goes on at this moment */
        state = atomic_load_acquire(&thread->state);
    }
    if (state == THREAD_RUNNING) {
        sched_kick(thread);
    }
    if (state == THREAD_READY && sched_withdraw(thread)) {
        atomic_store_release(&thread->state, THREAD_DEAD);
        state = THREAD_DEAD;
    }
    return state == THREAD_DEAD && arch_thread_detach(&thread->arch);
}

void thread_release(struct thread *thread)
{
    struct ledger *ledger = thread->process->ledger;
    counters_keep(thread);
    if (ring_is_traced(thread->ring)) {
        bool alone = !process_is_exiting(thread->process);
        trace_event(thread->ring, TRACE_WHAT(CAPOS_TRACE_END, !alone, 0, 0), 0, 0, 0,
                    (uint64_t)(alone ? thread->exit_code : thread->process->exit_code));
    }
    struct sched_context *context = thread->context;
    lock_acquire(&thread->obj.lock);
    thread->context = NULL;
    struct sched_context *pending = atomic_swap_acquire(&thread->pending, NULL);
    lock_release(&thread->obj.lock);
    atomic_sub_relaxed(&context->threads, 1);
    context_unref(context);
    context_unref(pending);
    ring_destroy(thread->ring);
    fpu_free(ledger, thread->fpu);
    ledger_refund(ledger, LEDGER_CLASS_THREADS, 1);
    kobj_unref(&thread->obj);
}

/* It runs, or is on its way to: it looks for itself when it is next chosen. */
static void bind_later(struct thread *thread)
{
    if (sched_withdraw(thread)) {
        sched_settle(thread);
        sched_ready(thread);
    } else {
        sched_kick(thread);
        cpu_this()->attention |= CPU_RESCHED;
    }
}

/* From now on, or when it is next chosen. False: it has ended. */
static bool thread_bind(struct thread *thread, struct sched_context *context)
{
    struct sched_context *pending = NULL, *old = NULL;
    lock_acquire(&thread->obj.lock);
    bool ended = thread->context == NULL;
    bool blocked = !ended;
    if (!ended) {
        struct ring *ring = thread->ring;
        context_ref(context);
        lock_acquire(&ring->lock);
        blocked = ring->wait_min != 0; /* nobody else looks at its context */
        pending = atomic_swap_acq_rel(&thread->pending, blocked ? NULL : context);
        old = blocked ? sched_bind(thread, context) : NULL;
        lock_release(&ring->lock);
    }
    lock_release(&thread->obj.lock);
    context_unref(pending);
    context_unref(old);
    if (!ended && !blocked) {
        bind_later(thread);
    }
    return !ended;
}

/* ---- a thread's own end ---- */

void thread_exit(struct thread *thread, int64_t code)
{
    struct process *process = thread->process;
    lock_acquire(&process->obj.lock);
    bool last = process->live == 1;
    bool alone = !last && process->state == PROCESS_RUNNING;
    if (alone) {
        process->live--;
        process->leaving++;
        thread->exit_code = code;
    }
    lock_release(&process->obj.lock);
    if (alone) {
        atomic_store_release(&thread->state, THREAD_DEAD);
        cpu_this()->attention |= CPU_GONE;
        job_submit(&thread->end_job);
    } else if (last) {
        process_end(process, PROCESS_ENDED_EXIT, code, NULL);
    }
}

/* The stages of the end; each a slice, and whether it is through. */

static bool end_close(struct thread *thread)
{
    return thread_stopped(thread) && ring_close_slice(thread->ring);
}

static bool end_unmap(struct thread *thread)
{
    int budget = ASPACE_SLICE;
    return ring_unmap_slice(thread->ring, &thread->ticket, &budget);
}

static bool end_drain(struct thread *thread)
{
    int budget = ASPACE_SLICE;
    return aspace_tlb_done(&thread->process->aspace, thread->ticket) &&
           ring_drain(thread->ring, &budget);
}

static bool end_tell(struct thread *thread)
{
    struct process *process = thread->process;
    kobj_ref(&thread->obj);
    lock_acquire(&process->obj.lock);
    list_remove(&thread->process_link);
    lock_release(&process->obj.lock);
    thread_release(thread);
    lock_acquire(&thread->obj.lock);
    thread->ended = true;
    lock_release(&thread->obj.lock);
    kobj_notify(&thread->obj);
    kobj_unref(&thread->obj);
    lock_acquire(&process->obj.lock);
    process->leaving--; /* the process may be gone from here on */
    lock_release(&process->obj.lock);
    return true;
}

/* A ring of the usual size goes through all of them in one slice. */
static bool end_slice(struct job *job)
{
    static bool (*const stages[])(struct thread *) = {end_close, end_unmap, end_drain, end_tell};
    enum { STAGES = sizeof(stages) / sizeof(stages[0]) };
    struct thread *thread = CONTAINER_OF(job, struct thread, end_job);
    for (unsigned stage = thread->end_stage; stages[stage](thread);) {
        if (++stage == STAGES) {
            return true;
        }
        thread->end_stage = (uint8_t)stage;
    }
    return false;
}

/* ---- methods ---- */

static bool is_program_address(uint64_t address)
{
    return arch_user_range_ok(uaddr(address), 1);
}

/* The rest of a large ring. Who asked may have given up meanwhile: then nothing starts. The claim decides. */
static bool make_slice(struct job *job)
{
    struct thread *thread = CONTAINER_OF(job, struct thread, making.job);
    int budget = ASPACE_SLICE;
    status_t status =
        process_is_exiting(thread->process) ? ST_DISCONNECTED : ring_fill(thread->ring, &budget);
    if (status == ST_PENDING) {
        return false;
    }
    struct pending made = thread->making; /* which goes with the thread */
    bool wanted = pending_claim(&made);
    if (status == ST_OK && !(wanted && thread_live(thread))) {
        status = ST_DISCONNECTED;
    }
    kobj_ref(&thread->obj);
    if (status == ST_OK) {
        sched_start(thread);
    } else {
        thread_give_up(thread);
    }
    pending_hand_out(&made, wanted, status, &thread->obj, KTYPE_THREAD_HANDLE);
    return true;
}

status_t ThreadSpawner_kernel_spawn(struct invocation *inv, ThreadSpawner_spawn_params_r params,
                                    ThreadSpawner_spawn_results_b results)
{
    struct process *process = process_of(inv->target.object);
    uint64_t entry = ThreadSpawner_spawn_params_get_entry(params);
    uint64_t stack = ThreadSpawner_spawn_params_get_stack(params);
    uint32_t entries = ThreadSpawner_spawn_params_get_ring_entries(params);
    if (!is_program_address(entry) || !is_program_address(stack)) {
        return ST_BAD_ARGUMENT;
    }
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct thread *thread;
    status = thread_create(process, 0, entries != 0 ? entries : CAPOS_RING_MIN_ENTRIES, &thread);
    if (status != ST_OK) {
        return status;
    }
    int budget = ASPACE_AT_ONCE;
    thread_start_at(thread, entry, stack, ThreadSpawner_spawn_params_get_argument(params));
    status = ring_fill(thread->ring, &budget);
    if (status == ST_PENDING) {
        return pending_start(&thread->making, inv, make_slice);
    }
    if (status == ST_OK && !thread_live(thread)) {
        status = ST_DISCONNECTED;
    }
    if (status != ST_OK) {
        thread_give_up(thread);
        return status;
    }
    kobj_ref(&thread->obj);
    sched_start(thread);
    ThreadSpawner_spawn_results_set_thread(
        results, invoke_add_cap(inv, &thread->obj, KTYPE_THREAD_HANDLE,
                                kernel_interfaces[KTYPE_THREAD_HANDLE].facet_all));
    return ST_OK;
}

status_t ThreadControl_kernel_set_thread_pointer(struct invocation *inv,
                                                 ThreadControl_set_thread_pointer_params_r params,
                                                 ThreadControl_set_thread_pointer_results_b results)
{
    (void)results;
    uint64_t address = ThreadControl_set_thread_pointer_params_get_address(params);
    if (inv->thread != cpu_this()->current) {
        return ST_BAD_STATE; /* its ring is polled, and it runs elsewhere */
    }
    return arch_thread_set_tls(&inv->thread->arch, uaddr(address)) ? ST_OK : ST_BAD_ARGUMENT;
}

/* Binds it to the context at this index of the call's capabilities, or to its process's own. */
static status_t set_context(const struct invocation *inv, struct thread *thread, uint16_t index)
{
    struct sched_context *context = thread->process->bound;
    if (index != NO_CAP) {
        const struct capability *cap;
        status_t status = invoke_param_cap(inv, index, KTYPE_SCHEDULING_CONTEXT, &cap);
        if (status != ST_OK) {
            return status;
        }
        context = &scheduling_context_of(cap->object)->context;
    }
    return thread_bind(thread, context) ? ST_OK : ST_BAD_STATE;
}

status_t ThreadHandle_kernel_set_context(struct invocation *inv,
                                         ThreadHandle_set_context_params_r params,
                                         ThreadHandle_set_context_results_b results)
{
    (void)results;
    return set_context(inv, thread_of(inv->target.object),
                       ThreadHandle_set_context_params_get_context(params));
}

status_t ThreadControl_kernel_set_context(struct invocation *inv,
                                          ThreadControl_set_context_params_r params,
                                          ThreadControl_set_context_results_b results)
{
    (void)results;
    return set_context(inv, inv->thread, ThreadControl_set_context_params_get_context(params));
}
