/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of a ring (abi/ring.h is the shared side).
 *
 * Shared memory is touched only by ring_load and ring_store; geometry and the kernel's two indices
 * have private copies here. The client's two indices are read, checked against those copies, and the
 * checked value is used: a nonsense index gives ST_BAD_RING and consumes nothing.
 *
 * Invariants: R1 an SQE is consumed only with a CQ slot in hand: posted + outstanding records never
 * exceed cq_entries; `claimed` minus `released` is their sum. R2 ordinary operations leave cq_entries - cq_ordinary slots for those of the reserve
 * (CANCEL, RELEASE, FINISH, RETURN, UNPARK, SIGNAL). R3 wait_min is non-zero exactly while the
 * thread is BLOCKED, and whoever zeroes it wakes the thread. R4 a record is active exactly while it
 * is in `active`. R5 what is marked [c] belongs to who has `taken` while the ring is polled (ring/poll.h). Lock: `lock` (rank
 * LOCK_RING) for all that is marked [r].
 */
#ifndef CAPOS_KERNEL_RING_RING_H
#define CAPOS_KERNEL_RING_RING_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/ring.h"
#include "core/addr.h"
#include "core/kobj.h"
#include "core/lock.h"
#include "lib/base/compiler.h"
#include "lib/base/list.h"
#include "mem/karray.h"
#include "ring/record.h"

enum {
    RING_SLICE_SQES = 32,
    RING_SLICE_CYCLES = 12000,
    RING_ID_BITS = 20,
    RING_INDEX_BITS = 13,
    RING_GENERATION_BITS = 31
};

struct process;
struct thread;

enum { RING_GENERAL = 1, RING_TRACED = 2 };

/* [I] immutable  [a] atomic  [c] only its thread, in cap_enter  [r] lock */
struct ring {
    struct capos_ring_header *header; /* [I] of the first shared page; NULL until it is filled */
    struct thread *thread;            /* [I] */
    struct process *process;          /* [I] */
    struct spinlock lock;
    _Atomic uint32_t refs;                         /* [a] users found through the registry */
    uint32_t id;                                   /* [I] in the registry; part of call ids */
    uint32_t sq_entries;                           /* [I] */
    uint32_t cq_entries;                           /* [I] */
    uint32_t sq_mask, cq_mask;                     /* [I] entries - 1 */
    uint32_t cq_ordinary;                          /* [I] entries without the reserve */
    uint32_t sq_offset, cq_offset, payload_offset; /* [I] */
    _Atomic uint32_t
        payload_near; /* [a] 0 when traced, else bytes of the payload area that ring_entry reaches */
    uint64_t user_address;      /* [I] */
    struct karray shared;       /* [I] once filled: the pages user space sees */
    uint8_t *sq_page, *cq_page; /* [I] a queue that lies in one page, else NULL */
    struct karray records;      /* [I] likewise */

    struct record *spare;    /* [c] what the next SQE is copied to; NULL only when all are in use */
    uint64_t sq_head;        /* [c] private copy */
    uint64_t claimed;        /* [c] CQ slots ever claimed: posted in a drain, or given a record */
    uint64_t cq_head_seen;   /* [c] last good value of the client's index */
    _Atomic uint8_t general; /* [a] RING_*: why its entries go no special way; 0: they may */
    uint64_t fast;           /* [c] SQEs that went the special way of ipc/fast.c */
    uint64_t next_sequence;  /* [c] transfer number expected */
    uint64_t caller_of, caller[2]; /* [c] the caller reference that a pipelined call needed last */
    _Atomic uint64_t cq_tail;      /* [r] private copy */
    _Atomic uint32_t outstanding;  /* [r] active records */
    _Atomic uint64_t billed;       /* [a] by services, in all; written under [r] */
    uint64_t cut; /* of `ring_clock`: [c], and by who ends its wait with a call: see ring/bill.h */
    uint32_t began;             /* [c] cycles: when the SQE at hand was taken */
    _Atomic uint64_t calls;     /* [a] of services; written by its thread */
    _Atomic uint64_t refusals;  /* [a] completions that say a status below 0 */
    uint32_t released;          /* [r] of `claimed`: given back by records that ended quietly */
    uint32_t wait_min;          /* [r] */
    uint32_t wait_generation;   /* [r] counts waits, so that a late deadline does nothing */
    bool wait_stalled;          /* [r] what the waiting cap_enter will answer */
    uint32_t record_generation; /* [r] */
    uint16_t free_record;       /* [r] index + 1 */
    uint16_t records_made;  /* [r] records below this index were used; the others are all zero */
    bool closing;           /* [r] no new record */
    _Atomic uint32_t ready; /* [r] counts `ready_list`, and in the upper half what else is to be
                                   done before SQEs are taken: see ring/defer.h */
    _Atomic uint8_t
        taken; /* [a] a polled ring is in a drain, of its thread or its poller: see ring/poll.h */
    _Atomic uint8_t polled; /* [a] the poller takes SQEs; written by who has `taken` */
    _Atomic uint16_t
        poller;    /* [a] number of the CPU that polls it, or 0; written by who has `taken` */
    bool refusing; /* [c] SQEs are refused up to the end of a chain */
    struct list ready_list; /* [r] deferred records that may be carried out */
    struct list answers;    /* [r] of entries with KEEP: ring/pipeline.c */
    uint32_t answer_count;  /* [r] */
    uint32_t dependents;    /* [r] of all answers */
    struct list unarmed;    /* [r] MULTISHOT waits that need a CQ slot for their next event */
    struct list active;     /* [r] records, the newest first */
    struct list call_heads; /* [r] first queued call per endpoint; see ipc/queue.c */
};

/* Takes a spare record out of the free ones; false: there is none. */
bool ring_prepare_record(struct ring *ring);

/* Begins the ring of `thread`: its number, its place in the process at `user_address` (0: where there is
 * room), the charges for what its records may be. ST_BAD_ARGUMENT (entries), ST_QUOTA, ST_EXISTS (no place
 * left): nothing is kept. */
status_t ring_create(struct process *process, struct thread *thread, uint64_t user_address,
                     uint32_t sq_entries, struct ring **out);

/* Makes pages and records, maps, and lets call ids find it, as far as *budget (in looks at a page:
 * mem/aspace.h) lasts. ST_OK: the ring is whole; ST_PENDING. A refusal (ST_QUOTA) leaves what is there. */
status_t ring_fill(struct ring *ring, int *budget);

/* No further records; active ones are aborted, some per call. True when none is left and nobody on
 * another CPU knows the ring any more. */
bool ring_close_slice(struct ring *ring);

/* Another user of the ring, to be ended by ring_put; false: it is closing. Its thread is known to exist. */
bool ring_hold(struct ring *ring);

/* Ends the records, from index *at on, whose route or object is dead: ST_DISCONNECTED, or the event
 * for those that wait for DEAD. As far as *budget lasts; true when all were looked at. */
bool ring_sweep(struct ring *ring, uint32_t *at, int32_t *budget);

/* After ring_close_slice said true, one after the other, each again until true: out of the address space (as
 * aspace_unmap_kernel; superfluous when that is gone), and, once the ticket is done, its pages back. Also
 * for one that was not filled to its end. */
bool ring_unmap_slice(struct ring *ring, uint64_t *ticket, int *budget);
bool ring_drain(struct ring *ring, int *budget);

/* After ring_drain: gives back the rest. */
void ring_destroy(struct ring *ring);

/* cap_enter. The result is already stored in the thread's frame, or the thread is BLOCKED, or its
 * system call is to be repeated (bounded slices). */
void ring_enter(struct ring *ring, uint64_t min_complete, uint64_t deadline_ns);

/* The deadline of a blocked cap_enter has passed. */
void ring_wait_expired(struct timer *timer, uint32_t generation);

/* Ends a blocked wait without a result (its process is exiting). True when it was blocked. */
bool ring_abort_wait(struct ring *ring);

/* Ring by call id: a process-independent registry. The ring stays while `ring_put` is owed. */
struct ring *ring_get(uint32_t id);
void ring_put(struct ring *ring);

/* 64-bit words in memory that user space writes at any time: one load, one store, no tearing. */
static ALWAYS_INLINE uint64_t ring_load(const void *p)
{
    return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
}

static ALWAYS_INLINE uint64_t ring_load_acquire(const void *p)
{
    return __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);
}

static ALWAYS_INLINE uint64_t ring_load_seq_cst(const void *p)
{
    return __atomic_load_n((const uint64_t *)p, __ATOMIC_SEQ_CST);
}

static ALWAYS_INLINE void ring_store_seq_cst(void *p, uint64_t v)
{
    __atomic_store_n((uint64_t *)p, v, __ATOMIC_SEQ_CST);
}

static ALWAYS_INLINE void ring_store(void *p, uint64_t v)
{
    __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED);
}

static ALWAYS_INLINE void ring_store_release(void *p, uint64_t v)
{
    __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE);
}

static ALWAYS_INLINE struct capos_ring_header *ring_header(struct ring *ring)
{
    return ring->header;
}

/* Address of the SQE or CQE at this offset. Both queues lie in the pages of the first directory. */
static ALWAYS_INLINE void *ring_entry(struct ring *ring, uint64_t offset)
{
    static_assert(sizeof(struct capos_ring_header) +
                          CAPOS_RING_MAX_ENTRIES *
                              (sizeof(struct capos_sqe) + 2 * sizeof(struct capos_cqe)) <=
                      KARRAY_DIRECTORY * PAGE_BYTES,
                  "queues within the first directory");
    return ring->shared.directory[0][offset / PAGE_BYTES] + offset % PAGE_BYTES;
}

/* The SQE at this position. */
static ALWAYS_INLINE uint8_t *ring_sqe(struct ring *ring, uint64_t position)
{
    uint64_t offset = (position & ring->sq_mask) * sizeof(struct capos_sqe);
    return LIKELY(ring->sq_page != NULL) ? ring->sq_page + offset
                                         : ring_entry(ring, ring->sq_offset + offset);
}

/* Nobody else can post to this ring: it has no record, and only its own thread makes one. */
static ALWAYS_INLINE bool ring_is_alone(struct ring *ring)
{
    return atomic_load_acquire(&ring->outstanding) == 0;
}

/* Its thread's entries are recorded: object/kernel_trace.h. */
static ALWAYS_INLINE bool ring_is_traced(const struct ring *ring)
{
    return UNLIKELY((atomic_load_relaxed(&ring->general) & RING_TRACED) != 0);
}

/* By the recorder, which locks. What waits already goes its way first. */
void ring_set_traced(struct ring *ring, bool traced);

/* Its thread calls a service. */
static ALWAYS_INLINE void ring_count_call(struct ring *ring)
{
    atomic_store_relaxed(&ring->calls, atomic_load_relaxed(&ring->calls) + 1);
}

/* `outcome` is the CQE's second word: result, flags, cap_count. */
static ALWAYS_INLINE void ring_put_cqe(struct ring *ring, uint64_t tail, uint64_t user_data,
                                       uint64_t outcome, uint64_t extra, uint64_t bill)
{
    uint64_t offset = (tail & ring->cq_mask) * sizeof(struct capos_cqe);
    uint8_t *cqe = LIKELY(ring->cq_page != NULL) ? ring->cq_page + offset
                                                 : ring_entry(ring, ring->cq_offset + offset);
    ring_store(cqe, user_data);
    ring_store(cqe + 8, outcome);
    ring_store(cqe + 16, extra);
    ring_store(cqe + 24, bill);
}

/* The private index goes last: who has seen it move without the lock finds the shared one moved too. */
static ALWAYS_INLINE void ring_publish(struct ring *ring, uint64_t tail)
{
    ring_store_release(&ring->header->cq_tail, tail);
    atomic_store_release(&ring->cq_tail, tail);
}

/* Kernel address of a byte range of the payload area for INLINE, or NULL when it is not inside one
 * payload slot or not 8-aligned. size_bytes is below 2^63. */
uint8_t *ring_inline_far(struct ring *ring, uint64_t offset, uint64_t size_bytes);
static ALWAYS_INLINE uint8_t *ring_inline(struct ring *ring, uint64_t offset, uint64_t size_bytes)
{
    if (LIKELY(offset < atomic_load_relaxed(&ring->payload_near) && offset % 8 == 0 &&
               offset % CAPOS_PAYLOAD_SLOT_BYTES + size_bytes <= CAPOS_PAYLOAD_SLOT_BYTES)) {
        return ring_entry(ring, ring->payload_offset + offset);
    }
    return ring_inline_far(ring, offset, size_bytes);
}

/* What ring_wake is given when cap_enter is to be made again: there is more to drain. */
#define RING_AGAIN (UINT64_C(1) << 62)

/* After a record ended, under the lock; true when the thread's wait is over: the caller unlocks,
 * then ring_wake. */
bool ring_wait_over_locked(struct ring *ring);
void ring_wake(struct ring *ring, uint64_t result);
/* What cap_enter answers now; under the lock. */
uint64_t ring_answer_locked(struct ring *ring);

#endif
