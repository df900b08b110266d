/* SPDX-License-Identifier: MIT */
/*
 * Debugger: what a process's faults are told to, and what may stop, look into and resume its threads.
 *
 * It is made with the process, when who starts it asks for it, and the process holds a ref of it until all its threads
 * are dead. States of a thread beside those of object/thread.h, all under the debugger's lock:
 *   RUNNING -> STOPPED        it faults (or has made its step), by the CPU that runs it: in `events`, then, once `next`
 *                             has told of it, in `stopped`
 *   RUNNING, READY -> STOPPED `hold` is set: by the CPU that would run it on
 *   BLOCKED -> STOPPED        by the job of `stop`, which took its wait (ring_abort_wait): it will wait again
 *   NEW -> STOPPED            a process that starts with a debugger: before its first instruction
 *   STOPPED -> READY          resume
 *   STOPPED -> DEAD           its process is exiting: by the exit job
 * Invariants: D1 a STOPPED thread is in exactly one of the two lists, in no queue, on no CPU's way; its registers are
 * in memory. D2 `process` is cleared before the process drops its ref, and all who wait are told then. D3 after `closed`
 * nothing stops any more, and who is stopped then ends with its process.
 */
#ifndef CAPOS_KERNEL_OBJECT_DEBUGGER_H
#define CAPOS_KERNEL_OBJECT_DEBUGGER_H

#include "arch/thread.h"
#include "core/kobj.h"
#include "object/pending.h"

struct ledger;
struct process;
struct ring;
struct thread;

/* [o] obj.lock  [j] the job of stop */
struct debugger {
    struct kobj obj;
    struct process *process; /* [o] no ref; NULL when its threads are dead */
    bool closed;             /* [o] nobody holds it any more */
    uint32_t count;          /* [o] of threads in both lists */
    struct list events;      /* [o] stopped, to be told of */
    struct list stopped;     /* [o] the others that are */
    struct list nexts;       /* [o] records of `next`: one, but for races */
    struct ring *stopping;   /* [o] held; of the thread that is being stopped */
    struct pending stop;     /* [j] */
};

enum { DEBUGGER_STOPPED_MAX = 1024 };

static inline struct debugger *debugger_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct debugger, obj);
}

/* For a process that is being made; one ref, which is the caller's, beside the process's. ST_QUOTA. */
status_t debugger_create(struct ledger *ledger, struct process *process, struct kobj **out);

/* It was given to whoever asked for it; takes over a ref. If that came to nothing, nobody will ever hold it. */
void debugger_delivered(struct kobj *debugger);

/* For a thread that cannot go on, by the CPU it is on (or before it was ever ready): true, it is STOPPED. False:
 * nobody is there who could resume it. ARCH_FAULT_NONE is not told of. */
bool debugger_stop(struct thread *thread, const struct arch_fault *fault);

/* The thread is to be stopped, and its CPU has come to know: true, it is. */
bool debugger_hold(struct thread *thread);

/* For the exit job: STOPPED -> DEAD. Then, when all threads are dead, that it is over. */
void debugger_bury(struct thread *thread);
void debugger_end(struct process *process);

/* What the methods share. A ref of the process; NULL: it is over. The stopped thread of this number, under the lock;
 * NULL: there is none. What a stopped thread stopped by, and its registers. */
struct process *debugger_process(struct debugger *debugger);
struct thread *debugger_find_locked(struct debugger *debugger, uint64_t id);
void debugger_state(const struct thread *thread, struct arch_fault_state *out);
extern const struct arch_fault debugger_no_fault;

#endif
