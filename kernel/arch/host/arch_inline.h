/* SPDX-License-Identifier: MIT */
/* Inline halves of cpu.h: a CPU is whatever host thread has taken its number (host_become). */
#ifndef CAPOS_KERNEL_ARCH_HOST_ARCH_INLINE_H
#define CAPOS_KERNEL_ARCH_HOST_ARCH_INLINE_H

extern _Thread_local unsigned host_cpu_number;
extern void *host_cpu_locals[ARCH_CPU_MAX];
void host_relax(void);
uint64_t host_cycles(void);

static inline unsigned arch_cpu_id(void)
{
    return host_cpu_number;
}

static inline void *arch_cpu_local(void)
{
    return host_cpu_locals[host_cpu_number];
}

static inline bool arch_ticket_take(_Atomic uint16_t *next, const _Atomic uint16_t *serving,
                                    uint16_t *ticket_out)
{
    *ticket_out = atomic_add_relaxed(next, 1);
    return atomic_load_acquire(serving) == *ticket_out;
}

static inline void arch_ticket_pass(_Atomic uint16_t *serving)
{
    atomic_store_release(serving, (uint16_t)(atomic_load_relaxed(serving) + 1));
}

static inline void arch_cpu_relax(void)
{
    host_relax();
}

static inline uint64_t arch_cycles(void)
{
    return host_cycles();
}

#endif
