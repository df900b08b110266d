/* SPDX-License-Identifier: MIT */
/*
 * Threads of this process, and what they wait for each other with.
 *
 * A program that makes threads is granted its own ThreadSpawner as `threads` and VirtualMemory as
 * `memory`. Each thread has its own ring: operations, calls and the event loop belong to the thread that
 * began them. The heap, printing and the start page are for all. CAPOS_CALL_STATIC, and whatever else
 * a program keeps in static storage, is shared: use automatic storage, _Thread_local, or a mutex.
 */
#ifndef CAPOS_THREAD_H
#define CAPOS_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "lib/base/compiler.h"

/* All zero: open. Neither fair nor recursive. Unlocked by the one who locked it. */
struct capos_mutex {
    _Atomic uint32_t state; /* 0 open, 1 locked, 2 locked and somebody may be parked */
};

/* Inline, for most locks are open. */
void capos_mutex_lock_slow(struct capos_mutex *mutex);
void capos_mutex_wake(struct capos_mutex *mutex);

static inline bool capos_mutex_try(struct capos_mutex *mutex)
{
    uint32_t open = 0;
    return atomic_compare_exchange_strong_explicit(&mutex->state, &open, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void capos_mutex_lock(struct capos_mutex *mutex)
{
    if (UNLIKELY(!capos_mutex_try(mutex))) {
        capos_mutex_lock_slow(mutex);
    }
}

static inline void capos_mutex_unlock(struct capos_mutex *mutex)
{
    if (UNLIKELY(atomic_exchange_explicit(&mutex->state, 0, memory_order_release) == 2)) {
        capos_mutex_wake(mutex);
    }
}

/* All zero: ready. */
struct capos_condition {
    _Atomic uint32_t sequence;
};

/* Lets go of the mutex, waits for a signal or the absolute deadline (CAPOS_FOREVER), takes the mutex
 * again. May return for no reason: look again at what is waited for. False: the deadline passed. */
bool capos_condition_wait(struct capos_condition *condition, struct capos_mutex *mutex,
                          uint64_t deadline_ns);
/* Wakes one who waits, or all. */
void capos_condition_signal(struct capos_condition *condition);
void capos_condition_broadcast(struct capos_condition *condition);

/* All zero: not yet. */
struct capos_once {
    _Atomic uint32_t state; /* 0 not yet, 1 under way, 2 done */
};

/* Runs `run` the first time; whoever comes meanwhile waits until it has returned. */
void capos_once(struct capos_once *once, void (*run)(void));

typedef int64_t (*capos_thread_fn)(void *argument);

/* What a thread's maker keeps of it. */
struct capos_thread {
    capos_cap_t handle;
    uint64_t memory; /* its stack and thread-local storage */
    uint64_t memory_bytes;
};

/* Starts a thread; 0 means default: 64 KiB of stack, a ring of 16 entries. ST_NOT_FOUND: `threads` or
 * `memory` was not granted. ST_QUOTA, ST_BAD_ARGUMENT: nothing was started. */
status_t capos_thread_create(struct capos_thread *thread, capos_thread_fn run, void *argument,
                             uint64_t stack_bytes, uint32_t ring_entries);

/* Waits for its end and gives its memory back; *code_out (may be NULL) is what `run` returned. */
status_t capos_thread_join(struct capos_thread *thread, int64_t *code_out);

/* Nobody will wait for it: its memory is given back when a later thread is made or joined. */
void capos_thread_detach(struct capos_thread *thread);

/* Ends the calling thread; the last one's end is the process's. Not from a callback or with a mutex. */
NORETURN void capos_thread_exit(int64_t code);

#endif
