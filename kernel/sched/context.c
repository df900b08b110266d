/* SPDX-License-Identifier: MIT */
/* Budgets: spent, filled up, waited for. Theory in context.h. */
#include "sched/context.h"

#include "arch/arch.h"
#include "core/kobj.h"
#include "core/panic.h"
#include "object/thread.h"
#include "sched/cpu.h"
#include "sched/sched.h"

enum { RELEASE_SLICE = 16 };

struct sched_context sched_system = {
    .factor = 1 << SCHED_FACTOR_BITS,
    .weight = SCHED_WEIGHT,
    .class = SCHED_CLASSES - 1,
};

void context_init(struct sched_context *context, unsigned class, unsigned weight)
{
    context->class = (uint8_t) class;
    context->weight = (uint16_t)weight;
    context->factor = (SCHED_WEIGHT << SCHED_FACTOR_BITS) / weight;
}

static void arm_refill(struct sched_context *context)
{
    kobj_ref(context->object);
    timer_arm(&context->limit->refill, context->limit->refill_ns, 0);
}

static void refill_locked(struct sched_limit *limit, uint64_t now_ns)
{
    if (limit->refill_ns == 0 || now_ns < limit->refill_ns) {
        return;
    }
    int64_t budget = (int64_t)limit->budget_ns;
    int64_t left = atomic_load_relaxed(&limit->left_ns);
    uint64_t periods = 1 + (now_ns - limit->refill_ns) / limit->period_ns;
    bool full = periods > INT32_MAX || left + (int64_t)periods * budget >= budget;
    limit->refill_ns = full ? 0 : limit->refill_ns + periods * limit->period_ns;
    atomic_store_relaxed(&limit->left_ns, full ? budget : left + (int64_t)periods * budget);
}

int64_t context_refill(struct sched_limit *limit, uint64_t now_ns)
{
    lock_acquire(&limit->lock);
    refill_locked(limit, now_ns);
    int64_t left = atomic_load_relaxed(&limit->left_ns);
    lock_release(&limit->lock);
    return left;
}

bool context_spend(struct sched_limit *limit, uint64_t ns, uint64_t now_ns)
{
    lock_acquire(&limit->lock);
    refill_locked(limit, now_ns - ns);
    if (limit->refill_ns == 0) {
        limit->refill_ns = now_ns - ns + limit->period_ns;
    }
    int64_t left = atomic_load_relaxed(&limit->left_ns);
    bool last = left > 0 && left <= (int64_t)ns;
    atomic_add_relaxed(&limit->times_spent, last);
    atomic_store_relaxed(&limit->left_ns, left - (int64_t)ns);
    lock_release(&limit->lock);
    return last;
}

bool context_hold(struct thread *thread)
{
    struct sched_limit *limit = thread->context->limit;
    lock_acquire(&limit->lock);
    refill_locked(limit, arch_time_ns());
    bool hold = atomic_load_relaxed(&limit->left_ns) <= 0;
    if (hold) {
        if (!timer_is_armed(&limit->refill)) {
            arm_refill(thread->context);
        }
        list_push_back(&limit->waiting, &thread->held_link);
        atomic_store_relaxed(&thread->queued, SCHED_HELD);
    }
    lock_release(&limit->lock);
    return hold;
}

bool context_let_go(struct thread *thread)
{
    struct sched_limit *limit = thread->context->limit;
    lock_acquire(&limit->lock);
    bool held = atomic_load_relaxed(&thread->queued) == SCHED_HELD;
    bool last = false;
    if (held) {
        list_remove(&thread->held_link);
        atomic_store_relaxed(&thread->queued, 0);
        last = list_empty(&limit->waiting) && timer_cancel(&limit->refill);
    }
    lock_release(&limit->lock);
    if (last) {
        kobj_unref(thread->context->object);
    }
    return held;
}

/* A slice of those that wait goes on; the timer fires again at once for the others. */
static void refill_due(struct timer *timer, uint32_t generation)
{
    (void)generation;
    struct sched_limit *limit = CONTAINER_OF(timer, struct sched_limit, refill);
    struct sched_context *context = timer->owner;
    lock_acquire(&limit->lock);
    refill_locked(limit, arch_time_ns());
    for (unsigned i = 0; i < RELEASE_SLICE && atomic_load_relaxed(&limit->left_ns) > 0; i++) {
        struct list_node *node = list_pop_front(&limit->waiting);
        if (node == NULL) {
            break;
        }
        struct thread *thread = list_entry(node, struct thread, held_link);
        atomic_store_relaxed(&thread->queued, 0);
        sched_ready(thread);
    }
    if (!list_empty(&limit->waiting) && !timer_is_armed(&limit->refill)) {
        arm_refill(context);
    }
    lock_release(&limit->lock);
    kobj_unref(context->object);
}

void context_end(struct sched_context *context)
{
    struct sched_limit *limit = context->limit;
    for (unsigned id = 0; id < arch_cpu_count(); id++) {
        if (atomic_load_acquire(&cpu_of(id)->context) == context) {
            arch_cpu_reschedule((arch_cpu_mask_t)1 << id);
        }
    }
    cpu_this()->attention |= CPU_RESCHED;
    if (limit == NULL) {
        return;
    }
    lock_acquire(&limit->lock);
    atomic_store_relaxed(&limit->left_ns, INT64_MAX);
    limit->refill_ns = 0;
    if (timer_cancel(&limit->refill)) {
        timer_arm(&limit->refill, 0, 0);
    }
    lock_release(&limit->lock);
}

void context_limit(struct sched_context *context, struct sched_limit *limit, uint64_t budget_ns,
                   uint64_t period_ns)
{
    limit->budget_ns = budget_ns;
    limit->period_ns = period_ns;
    atomic_store_relaxed(&limit->left_ns, (int64_t)budget_ns);
    lock_init(&limit->lock, LOCK_THREAD);
    list_init(&limit->waiting);
    timer_init(&limit->refill, refill_due, context);
    context->limit = limit;
}
