/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: per CPU a queue of ready threads by class and virtual time (sched/context.h), a slice
 * when others wait, stealing.
 *
 * sched_next runs at the end of every kernel entry and picks what to resume. Between threads it runs
 * slices of jobs; when nothing else is ready it runs jobs back to back, looking for interrupts
 * between slices. Waking never allocates and takes only the queue lock of one CPU.
 */
#ifndef CAPOS_KERNEL_SCHED_SCHED_H
#define CAPOS_KERNEL_SCHED_SCHED_H

#include "object/thread.h"

#define SCHED_SLICE_NS UINT64_C(10000000)

/* Makes a BLOCKED or NEW thread ready on the CPU it last ran on (a new one: on the least loaded). The
 * caller is the one who ended its wait. Any context; no lock above LOCK_THREAD is held. */
void sched_wake(struct thread *thread);

/* Chooses the CPU for a new thread and makes it ready. */
void sched_start(struct thread *thread);

/* Makes a READY thread that is in no queue wait for a CPU. Takes the lock of one queue only. */
void sched_ready(struct thread *thread);
/* Takes a READY thread out of whatever it waits in; false: it is on its way, ask again. */
bool sched_withdraw(struct thread *thread);
/* Its time is charged to this context from its next run on; takes over a ref of it. The thread is new or
 * blocked, or the caller's. What it was bound to, with its ref; or NULL. */
struct sched_context *sched_bind(struct thread *thread, struct sched_context *context);
/* Binds a thread of the caller's, which is in no queue, to what it was to be bound to meanwhile. */
void sched_settle(struct thread *thread);

/* `server` has received a call of `caller`, which is in flight. */
void sched_lend(struct ring *caller, struct thread *server);
/* The thread that runs here has returned a call. */
void sched_give_back(struct thread *server);
/* The thread wakes, and a call of it is, or was until now, in flight: nobody runs on its time any more. */
void sched_take_back(const struct thread *caller);

/* What this CPU resumes now. `prev` entered the kernel. sched_next is sched_choose with the common
 * case, that nothing asks for attention, in line. */
struct thread *sched_choose(struct thread *prev);

/* A timer interrupt: has the slice ended? */
void sched_tick(uint64_t now_ns);

/* Makes the CPU that runs `thread`, if any, enter the kernel soon. */
void sched_kick(struct thread *thread);

#endif
