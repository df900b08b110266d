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
