/* SPDX-License-Identifier: MIT */
/*
 * Jobs: long work in slices of a fixed bound, embedded in the object it works on.
 *
 * A job is on at most one CPU's list. Each run does at most some 20,000 instructions and says
 * whether it is done. Between slices interrupts are taken and threads run; a CPU with nothing else
 * to do runs its jobs back to back. A job that waits for another CPU (a TLB ticket, a thread that
 * is on its way out) just says it is not done.
 */
#ifndef CAPOS_KERNEL_CORE_JOB_H
#define CAPOS_KERNEL_CORE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/list.h"

struct job;
typedef bool (*job_fn)(struct job *job); /* true: done, the job may be gone already */

struct job {
    struct list_node link; /* the CPU's job lock */
    job_fn run;            /* [I] */
    uint64_t cycles;       /* its CPU only: while it runs, what it took with arch_cycles() added */
};

void job_init(struct job *job, job_fn run);

/* Queues it on this CPU. The job must not be queued already. */
void job_submit(struct job *job);

/* Runs one slice of the first job of this CPU; a job not done goes to the back. False: there was
 * none. */
bool job_run_slice(void);
bool job_pending(void);

#endif
