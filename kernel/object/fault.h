/* SPDX-License-Identifier: MIT */
/* Faults of user code, from the port's door on, and what is told of them. */
#ifndef CAPOS_KERNEL_OBJECT_FAULT_H
#define CAPOS_KERNEL_OBJECT_FAULT_H

#include "arch/thread.h"
#include "gen/process.capnp.h"

/* What a process did that faulted, for the log. */
const char *fault_text(const struct arch_fault *fault);

/* The record of a fault, registers included, of a process whose image begins there. */
void fault_fill(FaultRecord_b record, uint64_t image_base, const struct arch_fault_state *state);

#endif
