/* SPDX-License-Identifier: MIT */
/*
 * How long interrupts stay off: the longest stretch between an entry and its exit, or a point where a
 * waiting interrupt would have been noticed, for each thing that took most of it. Only in kernels
 * built with STEPS=1, for `make bench` under an instruction-counting emulator with one CPU; elsewhere
 * a step costs nothing and says nothing.
 */
#ifndef CAPOS_KERNEL_CORE_STEP_H
#define CAPOS_KERNEL_CORE_STEP_H

#include <stdint.h>

/* A stretch begins here; `what` is the code it is put down to until step_what says another. */
void step_begin(uintptr_t what);
void step_what(uintptr_t what);
/* The stretch ends here, and the next one of the same entry begins. */
void step_end(void);
/* To the log: the longest of all as a benchmark's line, then the longest of each kind. */
void step_report(void);

#ifdef CAPOS_STEPS
#define STEP(call) step_##call
#else
#define STEP(call) ((void)0)
#endif

#endif
