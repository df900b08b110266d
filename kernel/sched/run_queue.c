/* SPDX-License-Identifier: MIT */
/*
 * The line of ready threads of each CPU: a tree for each class, by place.
 *
 * A thread takes its place, which is virtual time of its context, when it is put in, and pays a slice in
 * advance; run_queue_settle gives that back, or makes it the CPU's, when it is chosen. A thread stands in at most one
 * queue, that of `queued`; SCHED_HELD is none of them (sched/context.c).
 */
#include "sched/run_queue.h"

#include "core/panic.h"
#include "lib/base/tree.h"
#include "sched/cpu.h"
#include "sched/sched.h"

#define CREDIT_NS (UINT64_C(50) * SCHED_SLICE_NS) /* of virtual time */

/* Of each class, the place in line of the last that was chosen, on any CPU. */
static _Atomic uint64_t clocks[SCHED_CLASSES];

/* A place in line, and a slice in advance for it. Who makes room for others keeps what it has to its
 * credit, as far as that is not too much. */
COLD static uint64_t take_place(struct thread *thread, bool makes_room)
{
    _Atomic uint64_t *finish = &thread->context->finish[thread->sched_class];
    uint64_t clock =
        atomic_load_relaxed(&clocks[thread->sched_class]) - (makes_room ? CREDIT_NS : 0);
    uint64_t seen = atomic_load_relaxed(finish);
    uint64_t place;
    thread->prepaid = (uint32_t)context_virtual_ns(thread->context, SCHED_SLICE_NS);
    do {
        place = (int64_t)(seen - clock) < 0 ? clock : seen;
    } while (!atomic_cas_relaxed(finish, &seen, place + thread->prepaid));
    return place;
}

COLD void run_queue_put(struct cpu *cpu, struct thread *thread, bool makes_room)
{
    uint8_t own = thread->context->class, boost = atomic_load_relaxed(&thread->boost);
    atomic_store_relaxed(&thread->sched_class, boost < own ? boost : own);
    uint64_t place = take_place(thread, makes_room);
    lock_acquire(&cpu->queue_lock);
    KASSERT(atomic_load_relaxed(&thread->queued) == 0);
    atomic_store_relaxed(&thread->cpu, (uint16_t)cpu->id);
    atomic_store_relaxed(&thread->queued, (uint16_t)(cpu->id + 1));
    atomic_store_relaxed(&thread->state, THREAD_READY);
    tree_insert(&cpu->ready[thread->sched_class], &thread->queue_node, place);
    atomic_add_relaxed(&cpu->ready_count, 1);
    lock_release(&cpu->queue_lock);
}

static void unlink_locked(struct cpu *cpu, struct thread *thread)
{
    tree_remove(&cpu->ready[thread->sched_class], &thread->queue_node);
    atomic_store_relaxed(&thread->queued, 0);
    atomic_sub_relaxed(&cpu->ready_count, 1);
}

/* Who stands before all others, NULL: nobody. */
COLD static struct thread *first_locked(struct cpu *cpu)
{
    for (unsigned class = 0; class < SCHED_CLASSES; class ++) {
        struct tree_node *node = tree_first(&cpu->ready[class]);
        if (node != NULL) {
            return CONTAINER_OF(node, struct thread, queue_node);
        }
    }
    return NULL;
}

COLD struct thread *run_queue_take(struct cpu *cpu, const struct rival *rival)
{
    if (atomic_load_relaxed(&cpu->ready_count) == 0) {
        return NULL;
    }
    lock_acquire(&cpu->queue_lock);
    struct thread *thread = first_locked(cpu);
    if (thread != NULL && rival != NULL) {
        uint64_t place = rival->place - (cpu != cpu_this() ? rival->half_slice : 0);
        bool behind =
            thread->sched_class > rival->class ||
            (thread->sched_class == rival->class && (int64_t)(thread->queue_node.key - place) > 0);
        thread = behind ? NULL : thread;
    }
    if (thread != NULL) {
        unlink_locked(cpu, thread);
    }
    lock_release(&cpu->queue_lock);
    return thread;
}

COLD bool sched_withdraw(struct thread *thread)
{
    uint16_t queued = atomic_load_relaxed(&thread->queued);
    bool found = queued == SCHED_HELD && context_let_go(thread);
    if (queued != 0 && queued != SCHED_HELD) {
        struct cpu *cpu = cpu_of((unsigned)queued - 1);
        lock_acquire(&cpu->queue_lock);
        found = atomic_load_relaxed(&thread->queued) == queued;
        if (found) {
            unlink_locked(cpu, thread);
        }
        lock_release(&cpu->queue_lock);
    }
    return found;
}

COLD struct thread *run_queue_steal(struct cpu *thief, const struct rival *rival)
{
    unsigned count = arch_cpu_count();
    struct cpu *victim = NULL;
    uint32_t most = 0;
    for (unsigned id = 0; id < count; id++) {
        uint32_t waiting = atomic_load_relaxed(&cpu_of(id)->ready_count);
        if (cpu_of(id) != thief && waiting > most) {
            most = waiting;
            victim = cpu_of(id);
        }
    }
    return victim == NULL ? NULL : run_queue_take(victim, rival);
}

COLD void run_queue_settle(struct cpu *cpu, struct thread *thread)
{
    unsigned class = thread->sched_class;
    struct sched_context *own = thread->context;
    _Atomic uint64_t *clock = &clocks[class];
    uint64_t place = thread->queue_node.key;
    if ((int64_t)(place - atomic_load_relaxed(clock)) > 0) {
        atomic_store_relaxed(clock, place);
    }
    if (own == atomic_load_relaxed(&cpu->context) && class == cpu->sched_class) {
        cpu->prepaid = thread->prepaid;
    } else {
        atomic_sub_relaxed(&own->finish[class], thread->prepaid);
    }
}
