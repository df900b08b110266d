/* SPDX-License-Identifier: MIT */
/* The special path of a small call to a kernel object, or to a server that waits on this CPU, and of its answer. */
#ifndef CAPOS_KERNEL_IPC_FAST_H
#define CAPOS_KERNEL_IPC_FAST_H

#include "ring/ring.h"

/* FAST_NOT: nothing was done.
 * FAST_TAKEN: the SQE was carried out, or waits as a record; the caller goes on as after any other.
 * FAST_RESUMED: it is consumed, its thread is BLOCKED, and what it called or answered runs next (cpu.current). */
enum fast { FAST_NOT, FAST_TAKEN, FAST_RESUMED };

/* The SQE at `position` is the only one, and its thread is about to wait for one completion, for ever, with
 * none to reap. */
enum fast ipc_fast(struct ring *ring, uint64_t position);

/* Off (fast=off on the command line): everything goes the general way. On at first. */
void ipc_fast_enable(bool on);
bool ipc_fast_enabled(void);

#endif
