/* SPDX-License-Identifier: MIT */
/* The special path of a small call to a server that waits on this CPU, and of its answer. */
#ifndef CAPOS_KERNEL_IPC_FAST_H
#define CAPOS_KERNEL_IPC_FAST_H

#include "ring/ring.h"

/* The SQE at `position` is the only one, and its thread is about to wait for one completion, for ever, with
 * none to reap. True: the SQE is consumed, the thread is BLOCKED, and what it called or answered runs
 * next (cpu.current). False: nothing was done. */
bool ipc_fast(struct ring *ring, uint64_t position);

/* Off (fast=off on the command line): everything goes the general way. On at first. */
void ipc_fast_enable(bool on);
bool ipc_fast_enabled(void);

#endif
