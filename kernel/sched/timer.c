/* SPDX-License-Identifier: MIT */
#include "sched/timer.h"

#include "arch/arch.h"
#include "core/panic.h"
#include "lib/base/compiler.h"
#include "sched/cpu.h"

enum { EXPIRE_SLICE = 16 };

void timer_init(struct timer *timer, timer_fn fire, void *owner)
{
    timer->armed = false;
    timer->fire = fire;
    timer->owner = owner;
}

/* Tells the hardware when the first deadline is nearer than what it was told. The slice of the
 * running thread is looked after by sched_next, which arms for the nearer of the two. */
static void rearm_locked(struct timer_queue *queue)
{
    struct tree_node *first = tree_first(&queue->tree);
    uint64_t next_ns = first != NULL ? first->key : ARCH_TIME_NEVER;
    if (next_ns < queue->armed_ns) {
        queue->armed_ns = next_ns;
        arch_timer_arm(next_ns);
    }
}

void timer_arm(struct timer *timer, uint64_t deadline_ns, uint32_t generation)
{
    struct cpu *cpu = cpu_this();
    struct timer_queue *queue = &cpu->timers;
    lock_acquire(&queue->lock);
    KASSERT(!timer->armed);
    timer->generation = generation;
    timer->cpu = (uint16_t)cpu->id;
    timer->armed = true;
    tree_insert(&queue->tree, &timer->node, deadline_ns);
    rearm_locked(queue);
    lock_release(&queue->lock);
}

bool timer_cancel_armed(struct timer *timer)
{
    struct timer_queue *queue = &cpu_of(timer->cpu)->timers;
    lock_acquire(&queue->lock);
    bool was_armed = timer->armed;
    if (was_armed) {
        tree_remove(&queue->tree, &timer->node);
        __atomic_store_n(&timer->armed, false, __ATOMIC_RELEASE);
    }
    lock_release(&queue->lock);
    return was_armed;
}

bool timers_quiet(const void *owner)
{
    for (unsigned id = 0; id < arch_cpu_count(); id++) {
        struct timer_queue *queue = &cpu_of(id)->timers;
        lock_acquire(&queue->lock);
        bool busy = queue->firing_owner == owner;
        lock_release(&queue->lock);
        if (busy) {
            return false;
        }
    }
    return true;
}

/* Pops the first timer that is due; NULL when there is none. */
static struct timer *pop_due(struct timer_queue *queue, uint64_t now_ns, uint32_t *generation_out)
{
    struct timer *timer = NULL;
    lock_acquire(&queue->lock);
    struct tree_node *first = tree_first(&queue->tree);
    if (first != NULL && first->key <= now_ns) {
        timer = CONTAINER_OF(first, struct timer, node);
        tree_remove(&queue->tree, first);
        *generation_out = timer->generation;
        queue->firing_owner = timer->owner;
        __atomic_store_n(&timer->armed, false, __ATOMIC_RELEASE);
    }
    lock_release(&queue->lock);
    return timer;
}

bool timers_expire(uint64_t now_ns)
{
    struct timer_queue *queue = &cpu_this()->timers;
    for (unsigned i = 0; i < EXPIRE_SLICE; i++) {
        uint32_t generation = 0;
        struct timer *timer = pop_due(queue, now_ns, &generation);
        if (timer == NULL) {
            return false;
        }
        timer->fire(timer, generation);
        lock_acquire(&queue->lock);
        queue->firing_owner = NULL;
        lock_release(&queue->lock);
    }
    return true;
}

uint64_t timers_next_ns(void)
{
    struct timer_queue *queue = &cpu_this()->timers;
    lock_acquire(&queue->lock);
    struct tree_node *first = tree_first(&queue->tree);
    uint64_t next_ns = first != NULL ? first->key : ARCH_TIME_NEVER;
    lock_release(&queue->lock);
    return next_ns;
}
