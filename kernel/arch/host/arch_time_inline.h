/* SPDX-License-Identifier: MIT */
/* Inline half of time.h: the clock of the modelled machine. */
#ifndef CAPOS_KERNEL_ARCH_HOST_ARCH_TIME_INLINE_H
#define CAPOS_KERNEL_ARCH_HOST_ARCH_TIME_INLINE_H

uint64_t host_time_ns(void);

static inline uint64_t arch_time_ns(void)
{
    return host_time_ns();
}

#endif
