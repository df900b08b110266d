/* SPDX-License-Identifier: MIT */
/*
 * Threads. States and who moves them:
 *   NEW -> READY          spawn, once
 *   READY -> RUNNING      the CPU that pops it off its queue
 *   RUNNING -> READY      preempted, by its own CPU
 *   RUNNING -> BLOCKED    cap_enter finds too few completions; under the ring's lock
 *   BLOCKED -> READY      whoever clears ring->wait_min under the ring's lock wakes it, once
 *   any -> DEAD           its process is exiting: by the CPU that finds it running, or that pops it,
 *                         or (when BLOCKED) by the exit job under the ring's lock
 * A thread is queued at most once; wake paths never allocate.
 */
#ifndef CAPOS_KERNEL_OBJECT_THREAD_H
#define CAPOS_KERNEL_OBJECT_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "arch/thread.h"
#include "lib/base/atomic.h"
#include "lib/base/list.h"
#include "sched/timer.h"

struct process;
struct ring;

enum thread_state { THREAD_NEW, THREAD_READY, THREAD_RUNNING, THREAD_BLOCKED, THREAD_DEAD };

/* [I] immutable  [a] atomic  [q] its CPU's queue lock  [r] ring lock */
struct thread {
    struct arch_thread arch;       /* must be first */
    struct process *process;       /* [I] NULL for idle threads */
    struct ring *ring;             /* [I] */
    _Atomic uint8_t state;         /* [a] enum thread_state; see the table above */
    _Atomic uint16_t cpu;          /* [a] where it last ran or is queued */
    struct list_node queue_link;   /* [q] */
    struct list_node process_link; /* process lock */
    struct timer deadline;         /* of its cap_enter */
    void *fpu;                     /* [I] arch_fpu_size() bytes */
    uint64_t id;                   /* [I] */
};

/* A thread of `process` that will start at `entry` with RDI = arg0. Makes its ring; charges the
 * process's ledger. ST_QUOTA or what ring_create says; a refusal leaves nothing behind. */
status_t thread_create(struct process *process, uint32_t sq_entries, struct thread **out);

/* Sets where it starts; before it is first made ready. */
void thread_start_at(struct thread *thread, uint64_t entry, uint64_t stack, uint64_t arg0);

/* For the exit job: stops the thread wherever it is; true when no CPU runs it or holds anything of
 * it. Call again until true. */
bool thread_stopped(struct thread *thread);

/* Gives back the ring, the extended state and the thread. It has stopped, its ring is closed, its
 * address space is gone. */
void thread_destroy(struct thread *thread);

#endif
