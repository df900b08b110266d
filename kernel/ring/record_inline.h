/* SPDX-License-Identifier: MIT */
/* The life of a record in line, for the paths where every instruction counts. record.h has the rules. */
#ifndef CAPOS_KERNEL_RING_RECORD_INLINE_H
#define CAPOS_KERNEL_RING_RECORD_INLINE_H

#include "ring/ring.h"

/* The record at this index of the ring. */
static ALWAYS_INLINE struct record *record_at(struct ring *ring, uint32_t index)
{
    uint8_t *page = karray_page(&ring->records, index / RECORDS_PER_PAGE);
    return (struct record *)(void *)(page + (index % RECORDS_PER_PAGE) * RECORD_BYTES);
}

/* A free record becomes the spare one; NULL when all are in use. Ring locked, or alone. Records are made
 * ready when they are first needed, for most rings need few of theirs. */
static ALWAYS_INLINE void record_refill(struct ring *ring)
{
    uint16_t first = ring->free_record;
    if (LIKELY(first != 0)) {
        struct record *spare = record_at(ring, first - 1u);
        ring->free_record = spare->next;
        ring->spare = spare;
    } else {
        ring->spare = record_make(ring);
    }
}

/* Of the record that is made active next. Generations skip 0, so that no call id is 0. */
static ALWAYS_INLINE uint32_t record_next_generation(const struct ring *ring)
{
    uint32_t generation = (ring->record_generation + 1) & ((1u << RING_GENERATION_BITS) - 1);
    return LIKELY(generation != 0) ? generation : 1;
}

/* The spare record becomes active in this state. Takes over the refs. Ring locked, or alone. */
static ALWAYS_INLINE struct record *record_activate(struct ring *ring, uint64_t position,
                                                    struct kobj *target, struct kobj *held,
                                                    struct grant *route, enum record_state state)
{
    struct record *rec = ring->spare;
    rec->promised = 0;
    rec->state = (uint8_t)state;
    rec->xfer_count = 0;
    rec->doom = ST_OK;
    rec->bill = 0;
    atomic_store_relaxed(&rec->sleeping, false);
    atomic_store_relaxed(&rec->bounded, false);
    rec->position = position;
    rec->held = held;
    rec->route = route;
    /* Last: a sweep on another CPU, which does not know that the ring is alone, looks at the route then. */
    __atomic_store_n(&rec->target, target, __ATOMIC_RELEASE);
    list_push_front(&ring->active, &rec->active_link);
    ring->record_generation = record_next_generation(ring);
    atomic_store_release(&rec->generation, ring->record_generation);
    atomic_store_relaxed(&ring->outstanding, atomic_load_relaxed(&ring->outstanding) + 1);
    ring->claimed++;
    record_refill(ring);
    return rec;
}

static ALWAYS_INLINE void record_put_cqe_locked(struct ring *ring, const struct record *rec,
                                                uint64_t outcome, uint64_t extra, uint64_t bill)
{
    uint64_t tail = atomic_load_relaxed(&ring->cq_tail);
    ring_put_cqe(ring, tail, rec->sqe.user_data, outcome, extra, bill);
    ring_publish(ring, tail + 1);
}

/* Frees a record that its target let go of. Ring locked; the refs it held are the caller's. */
static ALWAYS_INLINE void record_free_locked(struct ring *ring, struct record *rec)
{
    list_unlink(&rec->active_link);
    rec->target = NULL;
    rec->next = ring->free_record;
    ring->free_record = (uint16_t)(rec->index + 1);
    atomic_store_release(&ring->outstanding, atomic_load_relaxed(&ring->outstanding) - 1);
}

/* The same after its completion was posted. */
static ALWAYS_INLINE void record_retire_locked(struct ring *ring, struct record *rec,
                                               uint64_t outcome, uint64_t extra, uint64_t bill)
{
    record_put_cqe_locked(ring, rec, outcome, extra, bill);
    record_free_locked(ring, rec);
}

static ALWAYS_INLINE uint64_t outcome_word(int32_t result, uint16_t flags, uint16_t cap_count)
{
    return (uint32_t)result | (uint64_t)flags << 32 | (uint64_t)cap_count << 48;
}

#endif
