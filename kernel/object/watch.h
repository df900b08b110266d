/* SPDX-License-Identifier: MIT */
/*
 * What can be seen of a process from outside: what it did in all, and who is below it.
 *
 * Below a process are all whose ledgers are carved, at whatever depth, from a ledger that was carved for it
 * alone. Below one that lives on a ledger together with others there is nobody: they are not its business.
 */
#ifndef CAPOS_KERNEL_OBJECT_WATCH_H
#define CAPOS_KERNEL_OBJECT_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct process;
struct thread;

/* Of a process: all its threads, those too that have ended. */
struct counters {
    uint64_t cycles;     /* that they ran */
    uint64_t billed;     /* by services they called */
    uint64_t operations; /* completed */
    uint64_t calls;      /* of services */
    uint64_t refusals;   /* completions that say a status below 0 */
    uint64_t waits;      /* times a thread waited in cap_enter */
    uint32_t threads;    /* that are there */
};

/* The thread's ring has been closed: what it did goes to its process's books. */
void counters_keep(struct thread *thread);

/* `process` is `root`, or below it. */
bool process_is_below(const struct process *process, const struct process *root);

#endif
