/* SPDX-License-Identifier: MIT */
/*
 * Mutex, condition, once: a word each, and PARK for those who wait for it to change.
 *
 * A mutex is 2 while somebody may be parked, so that the usual unlock makes no entry into the kernel. Who
 * was parked takes it as 2: it cannot know whether others are. A condition is a count of signals: who
 * waits parks on the count that was there while it still held the mutex, so a signal that comes before it
 * is parked is seen.
 */
#include "capos/ring.h"
#include "capos/thread.h"
#include "status.capnp.h"

/* PARK on the word while it is `expected`; false when the deadline passed. */
static bool park(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    struct capos_op op;
    capos_op_init(&op, CAPOS_OP_PARK, 0);
    op.sqe.params = (uintptr_t)word;
    op.sqe.interface = expected;
    op.sqe.deadline_ns = deadline_ns == CAPOS_FOREVER ? 0 : deadline_ns;
    return capos_op_run(&op) != ST_TIMED_OUT;
}

static void unpark(_Atomic uint32_t *word, uint32_t count)
{
    struct capos_op op;
    do {
        capos_op_init(&op, CAPOS_OP_UNPARK, 0);
        op.sqe.params = (uintptr_t)word;
        op.sqe.interface = count;
    } while (capos_op_run(&op) == CAPOS_UNPARK_MAX && count > CAPOS_UNPARK_MAX);
}

void capos_mutex_lock_slow(struct capos_mutex *mutex)
{
    while (atomic_exchange_explicit(&mutex->state, 2, memory_order_acquire) != 0) {
        (void)park(&mutex->state, 2, CAPOS_FOREVER);
    }
}

void capos_mutex_wake(struct capos_mutex *mutex)
{
    unpark(&mutex->state, 1);
}

bool capos_condition_wait(struct capos_condition *condition, struct capos_mutex *mutex,
                          uint64_t deadline_ns)
{
    uint32_t seen = atomic_load_explicit(&condition->sequence, memory_order_relaxed);
    capos_mutex_unlock(mutex);
    bool in_time = park(&condition->sequence, seen, deadline_ns);
    capos_mutex_lock_slow(mutex);
    return in_time;
}

void capos_condition_signal(struct capos_condition *condition)
{
    atomic_fetch_add_explicit(&condition->sequence, 1, memory_order_release);
    unpark(&condition->sequence, 1);
}

void capos_condition_broadcast(struct capos_condition *condition)
{
    atomic_fetch_add_explicit(&condition->sequence, 1, memory_order_release);
    unpark(&condition->sequence, UINT32_MAX);
}

void capos_once(struct capos_once *once, void (*run)(void))
{
    uint32_t state = 0;
    if (atomic_compare_exchange_strong_explicit(&once->state, &state, 1, memory_order_acquire,
                                                memory_order_acquire)) {
        run();
        atomic_store_explicit(&once->state, 2, memory_order_release);
        unpark(&once->state, UINT32_MAX);
        return;
    }
    while (atomic_load_explicit(&once->state, memory_order_acquire) != 2) {
        (void)park(&once->state, 1, CAPOS_FOREVER);
    }
}
