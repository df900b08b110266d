/* SPDX-License-Identifier: MIT */
#include "object/watch.h"

#include "arch/arch.h"
#include "gen/kernel/process.kernel.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "object/invoke.h"
#include "object/process.h"
#include "object/usage.h"
#include "ring/ring.h"

enum {
    COUNT_THREADS = 64, /* looked at for one process; those beyond are left out */
    BELOW_MAX = 16,     /* told in one call */
    BELOW_LOOKS = 128,  /* processes looked at in one call */
    CURSOR_ID_BITS = 56,
};

static void add_ring(struct counters *sum, struct ring *ring)
{
    lock_acquire(&ring->lock);
    sum->cycles += atomic_load_relaxed(&ring->thread->cycles);
    sum->billed += atomic_load_relaxed(&ring->billed);
    sum->operations += atomic_load_relaxed(&ring->cq_tail);
    sum->calls += atomic_load_relaxed(&ring->calls);
    sum->refusals += atomic_load_relaxed(&ring->refusals);
    sum->waits += ring->wait_generation;
    lock_release(&ring->lock);
}

void counters_keep(struct thread *thread)
{
    struct process *process = thread->process;
    lock_acquire(&process->obj.lock);
    add_ring(&process->past, thread->ring);
    lock_release(&process->obj.lock);
}

static void count(struct process *process, struct counters *sum)
{
    lock_acquire(&process->obj.lock);
    *sum = process->past;
    lock_release(&process->obj.lock);
    struct ring *ring = NULL;
    for (unsigned i = 0; (ring = process_next_ring(process, ring)) != NULL; i++) {
        add_ring(sum, ring);
        sum->threads++;
        if (i == COUNT_THREADS) {
            ring_put(ring);
            break;
        }
    }
}

void counters_fill(struct process *process, Counters_b out)
{
    struct counters sum;
    count(process, &sum);
    Counters_set_cycles(out, sum.cycles);
    Counters_set_billed(out, sum.billed);
    Counters_set_operations(out, sum.operations);
    Counters_set_calls(out, sum.calls);
    Counters_set_refusals(out, sum.refusals);
    Counters_set_waits(out, sum.waits);
    Counters_set_threads(out, sum.threads);
}

bool process_is_below(const struct process *process, const struct process *root)
{
    const struct ledger *ledger = process == root || !root->owns_ledger ? NULL : process->ledger;
    while (ledger != NULL && ledger != root->ledger) {
        ledger = ledger->obj.ledger;
    }
    return process == root || ledger != NULL;
}

/* Up to BELOW_MAX processes from *cursor on, each with a ref; *cursor = where to go on, 0 at the end. */
static uint32_t collect(const struct process *root, uint64_t *cursor, struct process **out)
{
    uint32_t found = 0;
    struct process *at = process_seek((unsigned)(*cursor >> CURSOR_ID_BITS) % PROCESS_CLASSES,
                                      *cursor & ((UINT64_C(1) << CURSOR_ID_BITS) - 1));
    *cursor = 0;
    for (unsigned looks = 1; at != NULL; at = process_next(at, UINT64_MAX), looks++) {
        if (process_is_below(at, root)) {
            kobj_ref(&at->obj);
            out[found++] = at;
        }
        if (found == BELOW_MAX || looks == BELOW_LOOKS) {
            *cursor = (uint64_t)at->process_class << CURSOR_ID_BITS | at->obj.id;
            kobj_unref(&at->obj);
            break;
        }
    }
    return found;
}

static void fill(ProcessSummary_b out, struct process *process)
{
    const struct ledger *ledger = process->ledger;
    ProcessSummary_set_process_id(out, process->obj.id);
    ProcessSummary_set_name(out, process->name, strnlen(process->name, sizeof(process->name)));
    ProcessSummary_set_state(out, process_public_state(process));
    ProcessSummary_set_frames(out, atomic_load_relaxed(&ledger->used[LEDGER_CLASS_FRAMES]));
    ProcessSummary_set_kernel_pages(out,
                                    atomic_load_relaxed(&ledger->used[LEDGER_CLASS_KERNEL_PAGES]));
    ProcessSummary_set_slots(out, atomic_load_relaxed(&ledger->used[LEDGER_CLASS_SLOTS]));
    counters_fill(process, ProcessSummary_init_counters(out));
}

status_t ProcessHandle_kernel_below(struct invocation *inv, ProcessHandle_below_params_r params,
                                    ProcessHandle_below_results_b results)
{
    struct process *found[BELOW_MAX];
    uint64_t cursor = ProcessHandle_below_params_get_after(params);
    uint32_t n = collect(process_of(inv->target.object), &cursor, found);
    ProcessSummary_list_b list = ProcessHandle_below_results_init_processes(results, n);
    for (uint32_t i = 0; i < n; i++) {
        fill(ProcessSummary_list_b_at(list, i), found[i]);
        kobj_unref(&found[i]->obj);
    }
    ProcessHandle_below_results_set_next(results, cursor);
    ProcessHandle_below_results_set_now_cycles(results, arch_cycles());
    return ST_OK;
}
