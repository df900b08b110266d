/* SPDX-License-Identifier: MIT */
#ifndef CAPOS_KERNEL_ARCH_X86_64_TIMER_H
#define CAPOS_KERNEL_ARCH_X86_64_TIMER_H

/* Measures TSC and local timer in 2 ms. Boot CPU, after lapic_enable. */
void timer_calibrate(void);

/* Readies this CPU's timer. Each CPU, after lapic_enable. */
void timer_enable(void);

#endif
