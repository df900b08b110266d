/* SPDX-License-Identifier: MIT */
/* What ring.c (submission, entering) and ring_reap.c (completion) share: the ring of this thread. */
#ifndef CAPOS_LIBCAPOS_RING_STATE_H
#define CAPOS_LIBCAPOS_RING_STATE_H

#include "capos/ring.h"
#include "internal.h"
#include "lib/base/bits.h"
#include "op_list.h"

enum {
    RING_TABLE_MAX = 256,
    RING_MAX_SEQUENCE_RETRIES = 4,
    POLLED_LOOKS = 4000, /* for a completion of a polled ring, before the thread sleeps */
};

struct capos_ring_state {
    struct capos_ring_header *header;
    struct capos_sqe *sq;
    const struct capos_cqe *cq;
    uint8_t *payload;
    uint64_t sq_mask;
    uint64_t cq_mask;
    uint64_t sq_tail;
    uint64_t cq_head;
    uint64_t next_sequence;
    uint32_t table_size;
    uint32_t ordinary_limit;
    uint32_t in_flight;
    uint32_t
        beside; /* places of completions held beside those: kept answers, events of MULTISHOT */
    bool stopping;
    struct op_list pending;
    struct op_list ready;
    uint64_t free_map[RING_TABLE_MAX / 64]; /* bit set: the index is free */
    struct capos_op *table[RING_TABLE_MAX];
    uint32_t generation[RING_TABLE_MAX];
    struct capos_ring_stats stats;
};

extern _Thread_local struct capos_ring_state capos_ring;

/* It is in nobody's hands but ours again: its index is free. */
static inline void ring_take_out(struct capos_op *op)
{
    uint32_t index = op->table_index;
    capos_ring.table[index] = NULL;
    capos_ring.free_map[index / 64] |= BIT64(index % 64);
    capos_ring.in_flight--;
    capos_ring.beside -= (op->sqe.flags & CAPOS_SQE_MULTISHOT) != 0;
}

/* Puts an operation back in front of those never submitted, in order of its old position. */
void capos_ring_requeue(struct capos_op *op);

/* The operation has its outcome, in op->cqe. */
void capos_ring_finish(struct capos_op *op);

/* Runs the callbacks of what was ready when it began; what they complete waits for the next turn. */
bool capos_ring_run_ready(void);

#endif
