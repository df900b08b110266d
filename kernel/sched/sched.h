/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: a FIFO of ready threads per CPU, a slice when others wait, stealing when idle.
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

/* What this CPU resumes now. `prev` entered the kernel. sched_next is sched_choose with the common
 * case, that nothing asks for attention, in line. */
struct thread *sched_choose(struct thread *prev);

/* A timer interrupt: has the slice ended? */
void sched_tick(uint64_t now_ns);

/* Makes the CPU that runs `thread`, if any, enter the kernel soon. */
void sched_kick(struct thread *thread);

#endif
