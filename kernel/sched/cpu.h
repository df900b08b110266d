/* SPDX-License-Identifier: MIT */
/* The portable kernel's block of each CPU. */
#ifndef CAPOS_KERNEL_SCHED_CPU_H
#define CAPOS_KERNEL_SCHED_CPU_H

#include <stdint.h>

#include "abi/ring.h"
#include "arch/cpu.h"
#include "core/job.h"
#include "core/lock.h"
#include "lib/base/compiler.h"
#include "lib/base/list.h"
#include "object/thread.h"
#include "sched/context.h"
#include "sched/lease.h"
#include "sched/timer.h"

/* struct cpu.attention */
enum {
    CPU_RESCHED = 1 << 0, /* look for another thread */
    CPU_REARM = 1 << 1,   /* the timer was spent, or a slice is to begin */
    CPU_GONE = 1 << 2,    /* who entered has blocked: it may run elsewhere already */
    CPU_HANDOFF = 1 << 3, /* `handoff` was woken in this entry */
    CPU_POLL = 1 << 4,    /* the ring of who entered is polled from now on: ring/poll.h */
};

enum {
    CPU_SCRATCH_BYTES = CAPOS_MAX_MESSAGE_BYTES + 2048, /* a message, its transfers and records */
    CPU_WORK_BYTES = 16384,
};

/* Objects whose waiters are many, and how far the first one's are looked at: see ring/wait.c. */
struct scans {
    struct kobj *first, *last;
    struct list_node mark; /* in the first one's waiters while its round is under way */
    uint64_t round;
    struct job job;
};

/* [c] this CPU only  [q] queue lock  [a] atomic  [I] immutable */
struct cpu {
    unsigned id;            /* [I] */
    struct thread *current; /* [c] what entered the kernel, or was last resumed */
    struct thread idle;     /* [c] */
    bool interrupted;       /* [c] it was an interrupt, or a fault, that entered */
    uint32_t attention;     /* [c] CPU_* bits: why sched_next must look; 0 = resume who entered */
    struct thread
        *handoff; /* [c] READY and in no queue: the first that this entry woke; else NULL */
    uint64_t slice_end_ns; /* [c] of current, when others wait; else ARCH_TIME_NEVER */
    _Atomic(struct sched_context *)
        context;            /* [a] written here: what this CPU does is charged to it, */
    uint64_t since_ns;      /* [c] up to here, */
    uint64_t prepaid;       /* [c] but for this much virtual time, */
    uint8_t sched_class;    /* [c] in this class */
    _Atomic uint64_t since; /* [a] cycles: what comes after is not in current's count yet */

    struct spinlock queue_lock;       /* rank LOCK_RUN_QUEUE */
    struct tree ready[SCHED_CLASSES]; /* [q] threads by virtual time */
    _Atomic uint32_t ready_count;     /* [a] written under the lock */

    struct timer_queue timers;

    struct spinlock jobs_lock; /* rank LOCK_JOBS */
    struct list jobs;
    _Atomic uint32_t job_count; /* [a] written under the lock */

    struct scans scans; /* [c] */
    struct cpu_lease lease;

    _Atomic uint64_t sequence; /* [a] odd: inside the kernel; written by this CPU only */

    uint8_t params[CPU_SCRATCH_BYTES] ALIGNED(16);  /* [c] */
    uint8_t results[CPU_SCRATCH_BYTES] ALIGNED(16); /* [c] */
    uint8_t work[CPU_WORK_BYTES] ALIGNED(16);       /* [c] of one handler while it runs */
};

static inline struct cpu *cpu_this(void)
{
    return arch_cpu_local();
}

/* Every way into the kernel, and out of it. The way in is a full barrier: whoever finds the sequence
 * even afterwards knows that this CPU sees all that was written before. */
static inline void cpu_enter_kernel(struct cpu *cpu)
{
    atomic_add_seq_cst(&cpu->sequence, 1);
}

static inline void cpu_leave_kernel(struct cpu *cpu)
{
    atomic_store_release(&cpu->sequence, atomic_load_relaxed(&cpu->sequence) + 1);
}

/* Adds what this CPU did since it was last asked to the thread that did it, which runs here. A thread that
 * blocks is charged under its ring's lock, so whoever wakes it finds its count complete. */
static ALWAYS_INLINE void cpu_charge(struct cpu *cpu, struct thread *thread)
{
    uint64_t now = arch_cycles();
    atomic_store_relaxed(&thread->cycles, atomic_load_relaxed(&thread->cycles) + now -
                                              atomic_load_relaxed(&cpu->since));
    atomic_store_relaxed(&cpu->since, now);
}

/* A grace period: all zero at its beginning, and again once it has passed. */
struct grace {
    unsigned cpu;      /* those below have been seen outside */
    uint64_t sequence; /* of this one, seen inside and kicked; 0 = not looked at yet */
};

/* True when every other CPU has been outside the kernel at some time since the first call. */
bool grace_passed(struct grace *grace);

struct thread *sched_choose(struct thread *prev);

/* See sched.h. */
static inline struct thread *sched_next(struct thread *prev)
{
    struct cpu *cpu = cpu_this();
    return LIKELY(cpu->attention == 0 && prev != &cpu->idle) ? prev : sched_choose(prev);
}

struct cpu *cpu_of(unsigned id);

/* Makes the blocks of all CPUs; before arch_smp_start. */
void cpus_init(unsigned count);

#endif
