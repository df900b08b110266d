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
 * needs room, and an unfinished refusal, which needs SQEs.
 */
#ifndef CAPOS_KERNEL_RING_DEFER_H
#define CAPOS_KERNEL_RING_DEFER_H

#include "ring/op.h"
#include "ring/record_inline.h"

enum { DEFER_RUN = 1, DEFER_ARM = 1 << 16 };

/* Flags of a record's SQE that make its end a matter of this file. */
#define SQE_FLAGGED (CAPOS_SQE_QUIET | CAPOS_SQE_LINK | CAPOS_SQE_MULTISHOT | SQE_DEFERRED)

static ALWAYS_INLINE bool defer_any_ready(const struct ring *ring)
{
    return (uint16_t)atomic_load_relaxed(&ring->ready) != 0;
}

/* A record with one of SQE_FLAGGED ends; ring locked. True: without a completion. */
bool defer_ended_locked(struct record *rec, int32_t result);

/* The event of a MULTISHOT wait was posted, and it is QUEUED; its target and ring are locked. */
void defer_unarmed_locked(struct record *rec);

/* Of the entry that op carries out now, without a record. */
void defer_ended_now(struct op *op, int32_t result);

/* The n SQEs from `position` on are a chain, and there is room for n completions: consumes them. */
void defer_chain(struct ring *ring, uint64_t position, uint32_t n);

enum defer { DEFER_DONE, DEFER_LEFT, DEFER_STARVED };

/* Does a slice of what is to be done. DEFER_LEFT: there is more; DEFER_STARVED: a wait lacks a CQ slot. */
enum defer defer_run(struct ring *ring);

/* enter.c: checks the SQE in op and carries it out. */
void ring_dispatch(struct op *op);
/* enter.c: room for so many ordinary completions. */
bool ring_has_room(struct ring *ring, uint64_t completions);

#endif
