/* SPDX-License-Identifier: MIT */
/* Inline halves of cpu.h. GS base is this CPU's struct cpu_block whenever kernel code runs. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_ARCH_INLINE_H
#define CAPOS_KERNEL_ARCH_X86_64_ARCH_INLINE_H

#include "lib/base/compiler.h"
#include "offsets.h"

static inline unsigned arch_cpu_id(void)
{
    unsigned id;
    __asm__("movl %%gs:%c1, %0" : "=r"(id) : "i"(CPU_ID));
    return id;
}

static inline void *arch_cpu_local(void)
{
    void *local;
    __asm__("movq %%gs:%c1, %0" : "=r"(local) : "i"(CPU_LOCAL));
    return local;
}

/* Stores and loads are as ordered as they have to be; the compiler is told. */
static inline bool arch_ticket_take(_Atomic uint16_t *next, const _Atomic uint16_t *serving,
                                    uint16_t *ticket_out)
{
    uint16_t ticket = 1;
    bool served;
    __asm__ volatile("lock xaddw %0, %1" : "+r"(ticket), "+m"(*next) : : "memory", "cc");
    __asm__ volatile("cmpw %1, %2" : "=@cce"(served) : "r"(ticket), "m"(*serving) : "memory");
    *ticket_out = ticket;
    return served;
}

static inline void arch_ticket_pass(_Atomic uint16_t *serving)
{
    __asm__ volatile("incw %0" : "+m"(*serving) : : "memory", "cc");
}

static inline void arch_cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline uint64_t arch_cycles(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

#endif
