/* SPDX-License-Identifier: MIT */
/* Inline half of time.h. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_ARCH_TIME_INLINE_H
#define CAPOS_KERNEL_ARCH_X86_64_ARCH_TIME_INLINE_H

#include "arch/cpu.h"

/* The counter's value at time 0, and nanoseconds per tick in 32.32. Written once at boot. */
extern uint64_t time_tsc_base, time_ns_per_tick_32;

static inline uint64_t arch_time_ns(void)
{
    return (uint64_t)((unsigned __int128)(arch_cycles() - time_tsc_base) * time_ns_per_tick_32 >>
                      32);
}

#endif
