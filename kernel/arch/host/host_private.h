/* SPDX-License-Identifier: MIT */
/* Shared by the files of this port alone. */
#ifndef CAPOS_KERNEL_ARCH_HOST_PRIVATE_H
#define CAPOS_KERNEL_ARCH_HOST_PRIVATE_H

#include "host.h"

#include "lib/base/atomic.h"

enum { HOST_DEVICE_WORDS = ARCH_IRQ_MAX / 64 };

/* [a] atomic  [c] its own host thread */
struct host_cpu {
    _Atomic uint32_t pending;                    /* [a] bit per enum arch_vector below DEVICE */
    _Atomic uint64_t devices[HOST_DEVICE_WORDS]; /* [a] bit per device interrupt */
    _Atomic uint64_t deadline_ns;                /* [a] of arch_timer_arm */
    _Atomic(struct arch_aspace *) loaded;        /* [a] written by its own */
    _Atomic uint64_t seen;                       /* [a] shootdowns of `loaded` it knows of */
    struct thread *current;                      /* [c] NULL within an entry that let go of it */
    unsigned polls;                              /* [c] of arch_interrupt_pending in this entry */
    bool timer_was_last;                         /* [c] of the vectors that were taken */
} ALIGNED(64);

extern struct host_cpu host_cpus[ARCH_CPU_MAX];
extern unsigned host_cpu_count;

static inline struct arch_thread *host_arch(struct thread *thread)
{
    return (struct arch_thread *)(void *)thread;
}

static inline const struct arch_thread *host_arch_const(const struct thread *thread)
{
    return (const struct arch_thread *)(const void *)thread;
}

static inline struct host_cpu *host_this(void)
{
    return &host_cpus[host_cpu_number];
}

/* mmu.c: the CPU's address space becomes `as` (NULL = none); acknowledges shootdowns. */
void host_aspace_load(struct arch_aspace *as);
void host_tlb_acknowledge(void);

NORETURN void host_end(enum host_end how);

/* A random number of the machine's own sequence. */
uint64_t host_random(void);

#endif
