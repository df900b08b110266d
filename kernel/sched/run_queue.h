/* SPDX-License-Identifier: MIT */
/* Ready threads in line, for the scheduler alone (sched/sched.c). All takes the queue lock of one CPU. */
#ifndef CAPOS_KERNEL_SCHED_RUN_QUEUE_H
#define CAPOS_KERNEL_SCHED_RUN_QUEUE_H

#include "sched/cpu.h"

/* Who runs and could go on: how far it has come. */
struct rival {
    unsigned class;
    uint64_t place, half_slice;
};

/* Puts a READY thread that is in no queue into that of `cpu`. Who makes room for others keeps what it has to its
 * credit, as far as that is not too much. */
void run_queue_put(struct cpu *cpu, struct thread *thread, bool makes_room);

/* Takes who stands before all others and, unless it is NULL, before `rival`; from another CPU only if it is
 * half a slice before it, or they would take turns there for ever. NULL: nobody. */
struct thread *run_queue_take(struct cpu *cpu, const struct rival *rival);

/* From the longest queue elsewhere, who has more right to run than `rival`. NULL: nobody. */
struct thread *run_queue_steal(struct cpu *thief, const struct rival *rival);

/* A thread that was taken runs on this CPU, which is charged to it already. Its place in line was paid in advance by
 * its own context, in the class that it stood in. */
void run_queue_settle(struct cpu *cpu, struct thread *thread);

#endif
