/* SPDX-License-Identifier: MIT */
/*
 * What a ring's thread has to do before it takes new SQEs: deferred SQEs whose time has come, and
 * MULTISHOT waits that need a CQ slot.
 *
 * A deferred SQE was consumed and not carried out. It is a record that waits on its own process, so that
 * CANCEL, exit and ring close find it like any other; it has a CQ slot of its own. What it waits for
 * (LINK: the entry before it) puts it on `ready_list` when it completes, on whatever CPU, and the ring's
 * thread is woken: it gives record and slot back and carries the SQE out as if it had just been
 * consumed. To be cancelled is carried out as well, so a long chain ends one entry after the other,
 * without recursion.
 *
 * `ready` is looked at once in each cap_enter. DEFER_RUN counts ready_list; DEFER_ARM counts `unarmed`, which
 * needs room, and an unfinished refusal, which needs SQEs; DEFER_POLLED says that the ring is polled, so that a
 * cap_enter has to agree with its poller first (ring/poll.h).
 */
#ifndef CAPOS_KERNEL_RING_DEFER_H
#define CAPOS_KERNEL_RING_DEFER_H

#include "ring/op.h"
#include "ring/record_inline.h"

enum { DEFER_RUN = 1, DEFER_ARM = 1 << 16, DEFER_POLLED = 1 << 30 };

/* Flags of a record's SQE that make its end a matter of this file. */
#define SQE_FLAGGED \
    (CAPOS_SQE_QUIET | CAPOS_SQE_LINK | CAPOS_SQE_MULTISHOT | CAPOS_SQE_KEEP | SQE_DEFERRED | \
     SQE_DEPENDENT | SQE_ANSWER)

static ALWAYS_INLINE bool defer_any_ready(const struct ring *ring)
{
    return (uint16_t)atomic_load_relaxed(&ring->ready) != 0;
}

/* A record with one of SQE_FLAGGED ends; ring locked. True: without a completion. */
bool defer_ended_locked(struct record *rec, uint64_t outcome, uint64_t extra);

/* The event of a MULTISHOT wait was posted, and it is QUEUED; its target and ring are locked. */
void defer_unarmed_locked(struct record *rec);

/* Of the entry that op carries out now, without a record. */
void defer_ended_now(struct op *op, uint64_t outcome, uint64_t extra);

/* Makes a deferred record of the SQE in op; NULL: the ring is closing. */
struct record *defer(struct op *op);

/* A deferred record, on no list, is to be carried out; ring locked. */
void defer_ready_locked(struct record *rec);

/* The n SQEs from `position` on are a chain, and there is room for n completions and `keeps` answers: consumes
 * them. */
void defer_chain(struct ring *ring, uint64_t position, uint32_t n, uint32_t keeps);

enum defer { DEFER_DONE, DEFER_LEFT, DEFER_STARVED };

/* Does a slice of what is to be done. DEFER_LEFT: there is more; DEFER_STARVED: a wait lacks a CQ slot. */
enum defer defer_run(struct ring *ring);

/* ---- pipeline.c ---- */

/* Of a CALL with KEEP: the answer that others can name, empty. There is room for its CQ slot. Afterwards op's
 * SQE lies in another record. False: the ring keeps as many as it can, or is closing. */
bool answer_open(struct op *op);
bool answer_exists(struct ring *ring, uint64_t position);
/* What comes with the answer of this CALL, before it completes; no lock held. With KEEP the answer takes its own
 * holds. Returns how many capabilities at the end go to nobody else, for want of accept_count. */
uint32_t answer_offer(struct ring *ring, const struct capos_sqe *sqe, uint64_t position,
                      const struct capability *caps, uint32_t ncaps);
/* The call has completed; ring locked. */
void answer_ended_locked(struct ring *ring, uint64_t position, uint64_t outcome, uint64_t extra);
/* The dependent will not be carried out, or is now; ring locked. */
void answer_left_locked(struct ring *ring, uint64_t position);
/* For an answer that is claimed: lets go of what it keeps. No lock held. */
void answer_empty(struct record *answer);
/* A CALL with PIPELINE. */
void pipeline_call(struct op *op);

/* enter.c: checks the SQE in op and carries it out. */
void ring_dispatch(struct op *op);
/* enter.c: room for so many ordinary completions. */
bool ring_has_room(struct ring *ring, uint64_t completions);

#endif
