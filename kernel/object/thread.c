/* SPDX-License-Identifier: MIT */
#include "object/thread.h"

#include "abi/layout.h"
#include "arch/arch.h"
#include "core/panic.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "mem/slab.h"
#include "object/process.h"
#include "ring/ring.h"
#include "sched/sched.h"

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

static void init_fields(struct thread *thread, struct process *process)
{
    thread->process = process;
    thread->id = kobj_next_id();
    atomic_store_relaxed(&thread->state, THREAD_NEW);
    list_node_init(&thread->queue_link);
    list_node_init(&thread->process_link);
}

status_t thread_create(struct process *process, uint32_t sq_entries, struct thread **out)
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
    init_fields(thread, process);
    thread->fpu = fpu_alloc(ledger);
    if (thread->fpu == NULL) {
        goto free_thread;
    }
    status = ring_create(process, thread, CAPOS_RING_BASE, sq_entries, &thread->ring);
    if (status != ST_OK) {
        goto free_fpu;
    }
    timer_init(&thread->deadline, ring_wait_expired, thread->ring);
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
                     uaddr(stack), arg0, 0);
}

bool thread_stopped(struct thread *thread)
{
    uint8_t state = atomic_load_acquire(&thread->state);
    if (state == THREAD_BLOCKED && ring_abort_wait(thread->ring)) {
        atomic_store_release(&thread->state, THREAD_DEAD);
        state = THREAD_DEAD;
    }
    if (state == THREAD_RUNNING) {
        sched_kick(thread);
    }
    return state == THREAD_NEW || (state == THREAD_DEAD && arch_thread_detach(&thread->arch));
}

void thread_destroy(struct thread *thread)
{
    struct ledger *ledger = thread->process->ledger;
    ring_destroy(thread->ring);
    fpu_free(ledger, thread->fpu);
    slab_free(thread);
    ledger_refund(ledger, LEDGER_CLASS_THREADS, 1);
}
