/* SPDX-License-Identifier: MIT */
#include "object/kernel_trace.h"

#include "arch/arch.h"
#include "core/panic.h"
#include "gen/kernel/process.kernel.h"
#include "gen/kernel/trace.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "mem/karray.h"
#include "mem/slab.h"
#include "object/invoke.h"
#include "object/pending.h"
#include "object/process.h"
#include "sched/cpu.h"

enum {
    RECORD_BYTES_TRACE = sizeof(struct capos_trace_record),
    TRACE_PER_PAGE = PAGE_BYTES / RECORD_BYTES_TRACE,
    TRACE_MAX_PAGES = 64,
    TRACE_READ_MAX = 96,
    MARK_SLICE = 32,
};

/* [I] immutable  [t] the lock  [j] the job */
struct kernel_trace {
    struct kobj obj;
    struct ledger *root;  /* [I] a ref */
    struct karray pages;  /* [I] */
    uint64_t next;        /* [t] records ever made */
    struct pending work;  /* marks the rings that are there */
    struct process *at;   /* [j] a ref: how far it is */
    struct ring *at_ring; /* [j] held */
};

static struct spinlock lock = SPINLOCK_INIT(LOCK_LOG);

static struct kernel_trace *trace_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct kernel_trace, obj);
}

static uint64_t capacity(const struct kernel_trace *trace)
{
    return (uint64_t)trace->pages.npages * TRACE_PER_PAGE;
}

static struct capos_trace_record *place_of(const struct kernel_trace *trace, uint64_t sequence)
{
    uint64_t index = sequence % capacity(trace);
    uint8_t *page = karray_page(&trace->pages, (uint32_t)(index / TRACE_PER_PAGE));
    return (struct capos_trace_record *)(void *)page + index % TRACE_PER_PAGE;
}

/* The nearest ledger with a trace, from this one upwards. */
static struct ledger *traced_from(struct ledger *ledger)
{
    while (ledger != NULL && ledger->trace == NULL) {
        ledger = ledger->obj.ledger;
    }
    return ledger;
}

void trace_event(struct ring *ring, uint64_t what, uint64_t position, uint64_t cap,
                 uint64_t interface, uint64_t value)
{
    lock_acquire(&lock);
    struct ledger *ledger = traced_from(ring->process->ledger);
    if (ledger == NULL) {
        ring_set_traced(ring, false);
    }
    for (; ledger != NULL; ledger = traced_from(ledger->obj.ledger)) {
        *place_of(ledger->trace, ledger->trace->next++) = (struct capos_trace_record){
            .time_ns = arch_time_ns(),
            .process = ring->process->obj.id,
            .thread = ring->thread->obj.id,
            .kind = (uint8_t)what,
            .op = (uint8_t)(what >> 8),
            .method = (uint16_t)(what >> 16),
            .cpu = (uint16_t)cpu_this()->id,
            .caps = (uint16_t)(what >> 48),
            .position = position,
            .cap = cap,
            .interface = interface,
            .value = value,
        };
    }
    lock_release(&lock);
}

static bool mark(struct ring *ring)
{
    lock_acquire(&lock);
    bool traced = traced_from(ring->process->ledger) != NULL;
    if (traced) {
        ring_set_traced(ring, true);
    }
    lock_release(&lock);
    return traced;
}

void trace_ring_made(struct ring *ring)
{
    if (mark(ring)) {
        trace_event(ring, TRACE_WHAT(CAPOS_TRACE_START, 0, 0, 0), 0, 0, 0, 0);
    }
}

static void trace_destroy(struct kobj *obj)
{
    struct kernel_trace *trace = trace_of(obj);
    struct ledger *root = trace->root;
    int all = INT32_MAX;
    lock_acquire(&lock);
    root->trace = NULL;
    lock_release(&lock);
    bool empty = karray_drain(&trace->pages, obj->ledger, &all);
    KASSERT(empty);
    slab_free(trace);
    ledger_unref(root);
}

static const struct kobj_ops trace_ops = {
    .name = "trace",
    .destroy = trace_destroy,
};

static status_t attach(struct kernel_trace *trace)
{
    lock_acquire(&lock);
    bool free = trace->root->trace == NULL;
    if (free) {
        trace->root->trace = trace;
    }
    lock_release(&lock);
    return free ? ST_OK : ST_BUSY;
}

static status_t create(struct ledger *payer, struct ledger *root, uint32_t pages,
                       struct kernel_trace **out)
{
    struct kernel_trace *trace = slab_alloc(payer, sizeof(*trace));
    if (trace == NULL) {
        return ST_QUOTA;
    }
    status_t status = ST_QUOTA;
    trace->root = root;
    if (karray_init(&trace->pages, payer, pages)) {
        status = attach(trace);
    }
    if (status != ST_OK) {
        int all = INT32_MAX;
        (void)karray_drain(&trace->pages, payer, &all);
        slab_free(trace);
        return status;
    }
    kobj_init(&trace->obj, KTYPE_KERNEL_TRACE, &trace_ops, payer);
    ledger_ref(root);
    *out = trace;
    return ST_OK;
}

/* One step: the next ring, or the next process. False: there are no more. */
static bool mark_next(struct kernel_trace *trace)
{
    if (trace->at == NULL || trace->at_ring == NULL) {
        trace->at = process_next(trace->at, UINT64_MAX);
    }
    if (trace->at != NULL) {
        trace->at_ring = process_next_ring(trace->at, trace->at_ring);
    }
    if (trace->at_ring != NULL) {
        (void)mark(trace->at_ring);
    }
    return trace->at != NULL;
}

static bool mark_slice(struct job *job)
{
    struct kernel_trace *trace = CONTAINER_OF(job, struct kernel_trace, work.job);
    for (unsigned i = 0; i < MARK_SLICE; i++) {
        if (!mark_next(trace)) {
            struct pending work = trace->work; /* which goes with the trace, when nobody wants it */
            pending_hand_out(&work, pending_claim(&work), ST_OK, &trace->obj, KTYPE_KERNEL_TRACE);
            return true;
        }
    }
    return false;
}

status_t ProcessHandle_kernel_trace(struct invocation *inv, ProcessHandle_trace_params_r params,
                                    ProcessHandle_trace_results_b results)
{
    (void)results;
    struct process *process = process_of(inv->target.object);
    uint32_t pages = ProcessHandle_trace_params_get_pages(params);
    struct kernel_trace *trace;
    if (pages == 0 || pages > TRACE_MAX_PAGES) {
        return ST_BAD_ARGUMENT;
    }
    status_t status = process->owns_ledger ? invoke_reserve_caps(inv, 1) : ST_BAD_STATE;
    if (status == ST_OK) {
        status = create(inv->process->ledger, process->ledger, pages, &trace);
    }
    return status == ST_OK ? pending_start(&trace->work, inv, mark_slice) : status;
}

status_t KernelTrace_kernel_read(struct invocation *inv, KernelTrace_read_params_r params,
                                 KernelTrace_read_results_b results)
{
    const struct kernel_trace *trace = trace_of(inv->target.object);
    struct capos_trace_record *to = (struct capos_trace_record *)(void *)cpu_this()->work;
    uint64_t at = KernelTrace_read_params_get_sequence(params);
    uint64_t lost = 0;
    uint32_t n = 0;
    lock_acquire(&lock);
    uint64_t first = trace->next > capacity(trace) ? trace->next - capacity(trace) : 0;
    if (at < first) {
        lost = first - at;
        at = first;
    }
    for (; n < TRACE_READ_MAX && at < trace->next; n++, at++) {
        to[n] = *place_of(trace, at);
    }
    lock_release(&lock);
    KernelTrace_read_results_set_records(results, to, n * RECORD_BYTES_TRACE);
    KernelTrace_read_results_set_next(results, at);
    KernelTrace_read_results_set_lost(results, lost);
    return ST_OK;
}
