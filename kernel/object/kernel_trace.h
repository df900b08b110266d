/* SPDX-License-Identifier: MIT */
/*
 * The flight recorder: a ring of records of what the threads of a process, and of those below it
 * (object/watch.h), do.
 *
 * A trace hangs at the root's ledger. A ring that lies below has RING_TRACED set, which sends all its entries the
 * general way, where the hooks are; they cost a load and a branch that is never taken elsewhere. An event goes to each
 * trace on the way from its process's ledger to the root, so nobody who traces himself hides from those above.
 *
 * Invariants: T1 a ring below a trace is marked, from the time newTrace has answered, or its thread was made; T2 a ring that is
 * marked and below none loses the mark at its next event. Lock: one for all of it, the last in rank, so hooks may stand
 * anywhere.
 */
#ifndef CAPOS_KERNEL_OBJECT_KERNEL_TRACE_H
#define CAPOS_KERNEL_OBJECT_KERNEL_TRACE_H

#include <stdint.h>

#include "abi/trace.h"
#include "ring/ring.h"

/* The event of this kind: `what` is kind | op << 8 | method << 16 | caps << 48. Any context. */
COLD void trace_event(struct ring *ring, uint64_t what, uint64_t position, uint64_t cap,
                      uint64_t interface, uint64_t value);

/* A new ring: marks it when it is below a trace, and records its start. */
void trace_ring_made(struct ring *ring);

#define TRACE_WHAT(kind, op, method, caps) \
    ((uint64_t)(kind) | (uint64_t)(op) << 8 | (uint64_t)(method) << 16 | (uint64_t)(caps) << 48)

#endif
