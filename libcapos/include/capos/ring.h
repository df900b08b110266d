/* SPDX-License-Identifier: MIT */
/*
 * The ring client below typed calls: operations of any opcode, waiting, the event loop, releasing.
 * Each thread has its own ring: see libcapos/ring.c for how it works.
 */
#ifndef CAPOS_RING_H
#define CAPOS_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/ring.h"
#include "abi/syscall.h"
#include "capos/call.h"

/* Makes an operation of this opcode on this capability; all else is zero. */
void capos_op_init(struct capos_op *op, uint8_t opcode, capos_cap_t cap);

/* WAIT for events (enum capos_event); bits are the signal bits wanted. */
void capos_op_init_wait(struct capos_op *op, capos_cap_t cap, uint16_t events, uint64_t bits);

/* WAIT for a notification's bits again and again (MULTISHOT): `done` is called for each event with the bits
 * in op->cqe.signal, several at once when they came quickly. op->cqe.flags has CAPOS_CQE_MORE but for the last
 * time, when op->cqe.result says why it is over (it was cancelled, or its capability is gone). */
void capos_op_init_watch(struct capos_op *op, capos_cap_t notification, uint64_t bits,
                         void (*done)(struct capos_op *op));

/* Accepts an operation; it must not be in flight. It goes to the kernel at the next flush. */
void capos_op_submit(struct capos_op *op);

/* Waits for the completion of an operation without a callback; false when the absolute deadline
 * passed first. */
bool capos_op_wait(struct capos_op *op, uint64_t deadline_ns);

/* Submit and wait. Returns the completion's result. */
int32_t capos_op_run(struct capos_op *op);

/* Asks for the end of an operation in flight, and waits for its completion. */
void capos_op_cancel(struct capos_op *op);

/* Puts accepted operations into the submission queue, as many as there is room for. The kernel
 * looks at them at its next entry. */
void capos_flush(void);

/* Takes in completions that are there, without entering the kernel. True when there was one. */
bool capos_reap(void);

/* Flush, and let the kernel take them in, without waiting. */
void capos_push(void);

/* A processor takes what is flushed as it comes (CpuLease.poll): nothing enters the kernel but who waits long. False: none
 * does, or it sleeps, and the next entry wakes it. */
bool capos_ring_is_polled(void);

/* One turn of the event loop: flush, wait for a completion until the absolute deadline, then run
 * the callbacks of all operations that are done. False: the deadline passed and none was run. */
bool capos_step(uint64_t deadline_ns);

/* Turns until capos_stop is called. */
void capos_run(void);
void capos_stop(void);

/* Gives a capability up. Queued: it goes with the next entry into the kernel, after everything
 * submitted before. 0 is ignored. */
void capos_release(capos_cap_t cap);

/* The same, done when it returns. ST_BAD_CAP: it was not ours. */
status_t capos_release_now(capos_cap_t cap);

/* Notification.signal without waiting for the completion's turn. */
status_t capos_signal(capos_cap_t notification, uint64_t bits);

/* What the ring has done since the start: for tests and for the curious. */
struct capos_ring_stats {
    uint64_t entries; /* times the kernel was entered */
    uint64_t submitted;
    uint64_t completed;
    uint64_t inlined; /* messages that went through a payload slot */
    uint64_t stalls;  /* times the tail was moved back */
    uint64_t resequenced;
    uint64_t unexpected; /* completions that belong to nothing: ignored */
};
const struct capos_ring_stats *capos_ring_stats(void);

/* For the loop of who waits for another processor. */
void capos_relax(void);

/* The processor's cycle counter, in which bills are. */
uint64_t capos_cycles(void);

#endif
