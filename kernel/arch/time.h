/* SPDX-License-Identifier: MIT */
/* The monotonic clock and the per-CPU deadline. */
#ifndef CAPOS_KERNEL_ARCH_TIME_H
#define CAPOS_KERNEL_ARCH_TIME_H

#include <stdint.h>

#define ARCH_TIME_NEVER UINT64_MAX

/* Nanoseconds since boot; never goes back on one CPU; CPUs agree to within the firmware's TSC
 * synchronisation. */
static inline uint64_t arch_time_ns(void);

/* One interrupt ARCH_VECTOR_TIMER on this CPU at or soon after the absolute time; replaces the
 * earlier deadline. A deadline in the past comes at once; ARCH_TIME_NEVER disarms. Far deadlines may
 * come early: look at the clock, arm again. */
void arch_timer_arm(uint64_t deadline_ns);

/* Seconds since 1970 according to the battery clock; 0 = there is none or it is not sane. Slow. */
uint64_t arch_wall_clock_s(void);

#include "arch_time_inline.h"

#endif
