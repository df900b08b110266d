/* SPDX-License-Identifier: MIT */
/*
 * Threads. States and who moves them:
 *   NEW -> READY          thread_live, then sched_start: spawn, once
 *   NEW -> DEAD           thread_give_up: it will never run
 *   READY -> RUNNING      the CPU that pops it off its queue
 *   RUNNING -> READY      preempted, by its own CPU
 *   RUNNING -> BLOCKED    cap_enter finds too few completions; under the ring's lock
 *   BLOCKED -> READY      whoever clears ring->wait_min under the ring's lock wakes it, once
 *   any -> DEAD           its process is exiting: by the CPU that finds it running, or that pops it,
 *                         or (when BLOCKED) by the exit job under the ring's lock
 *   STOPPED               object/debugger.h
 *   RUNNING -> DEAD       its own exit, when it is not the last of its process
 * A thread is queued at most once; wake paths never allocate.
 *
 * A NEW thread is being made, perhaps in slices, by whoever called thread_create. Until that one has made it
 * live or given it up nobody else touches it: the exit job waits for that, so the maker looks at
 * process_is_exiting in every slice. It is in its process's list, but not among the live.
 *
 * The end of a thread by itself is a job, a stage after the other: its ring is closed, unmapped and drained,
 * all is given back, then the waiters of its handle are told. The end of its process takes it along instead, unless that job has
 * begun, which the exit job then waits for (process.live, process.leaving). Until it has ended, a thread
 * holds a ref of itself; so dropping its handle detaches it.
 */
#ifndef CAPOS_KERNEL_OBJECT_THREAD_H
#define CAPOS_KERNEL_OBJECT_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "arch/thread.h"
#include "core/job.h"
#include "core/kobj.h"
#include "lib/base/atomic.h"
#include "lib/base/list.h"
#include "object/pending.h"
#include "lib/base/tree.h"
#include "sched/context.h"
#include "sched/timer.h"

struct process;
struct ring;

enum { SCHED_HELD = 0xffff }; /* waits for its context's budget */

enum thread_state {
    THREAD_NEW,
    THREAD_READY,
    THREAD_RUNNING,
    THREAD_BLOCKED,
    THREAD_STOPPED,
    THREAD_DEAD
};

/* [I] immutable  [a] atomic  [q] its CPU's queue lock  [o] obj.lock  [j] the job  [r] ring lock
 * [s] who made it READY, then the CPU that took it */
struct thread {
    struct arch_thread arch;     /* must be first */
    struct kobj obj;             /* ktype THREAD_HANDLE; unused in idle threads */
    struct process *process;     /* [I] NULL for idle threads */
    struct ring *ring;           /* [I] */
    _Atomic uint8_t state;       /* [a] enum thread_state; see the table above */
    _Atomic uint8_t sched_class; /* [a] it is queued in; written by [s] */
    _Atomic uint8_t boost;       /* [a] the class it was lent, when better than its own */
    uint8_t end_stage;           /* [j] */
    _Atomic uint16_t cpu;        /* [a] where it last ran or is queued */
    _Atomic uint16_t queued;     /* [q] CPU number + 1 while in its queue; SCHED_HELD; or 0 */
    uint32_t prepaid;            /* [s] virtual time that its context was charged in advance */
    bool ended;                  /* [o] */
    _Atomic uint64_t cycles;     /* [a] that it ran; written by its CPU: see cpu_charge */
    union {
        struct tree_node queue_node; /* [q] */
        struct list_node held_link;  /* lock of its context's limit, when held */
    };
    _Atomic(struct sched_context *) context; /* [a] it is bound to; a ref; NULL once it has ended */
    _Atomic(struct sched_context *) pending; /* [a] it is to be bound to next; a ref; or NULL */
    _Atomic(const struct ring *) caller;     /* [a] whose call it has received; only compared */
    struct list_node process_link;           /* process lock */
    struct timer deadline;                   /* of its cap_enter */
    void *fpu;                               /* [I] arch_fpu_size() bytes */
    struct pending making;      /* while its ring is filled as a job: the call that asked for it */
    _Atomic uint8_t hold;       /* [a] it is to be stopped: see object/debugger.h */
    struct list_node stop_link; /* [d] debugger's lock */
    struct arch_fault fault;    /* [d] what it was stopped by */
    struct job end_job;
    uint64_t ticket;   /* [j] of the ring's unmapping */
    int64_t exit_code; /* [I] once `ended` */
};

/* A NEW thread of `process`, in its list, with one ref, which is its own. Begins its ring (at ring_address,
 * 0 = where there is room), which ring_fill is to make whole; charges the process's ledger. ST_QUOTA or what
 * ring_create says; a refusal leaves nothing behind. */
status_t thread_create(struct process *process, uint64_t ring_address, uint32_t sq_entries,
                       struct thread **out);

/* It counts among those whose end is the end of the process; to be followed by sched_start. False: the
 * process is ending, and the thread is to be given up. */
bool thread_live(struct thread *thread);

/* NEW -> DEAD: it ends by itself or, when that one is ending or was never started, with its process. */
void thread_give_up(struct thread *thread);

/* Sets where it starts, with arg0 and the address of its ring, and with the thread pointer at the stack's
 * top; before it is first made ready. The addresses are a program's. */
void thread_start_at(struct thread *thread, uint64_t entry, uint64_t stack, uint64_t arg0);

/* The thread that entered ends itself; its process, when it is the last. */
void thread_exit(struct thread *thread, int64_t code);

/* For the exit job: stops the thread wherever it is; true when no CPU runs it or holds anything of
 * it. Call again until true. */
bool thread_stopped(struct thread *thread);

/* Gives back a drained ring and the extended state, and drops the thread's ref of itself. It has stopped
 * and is in no list. */
void thread_release(struct thread *thread);

#endif
