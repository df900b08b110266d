/* SPDX-License-Identifier: MIT */
/*
 * Records: what the kernel keeps of an operation that has not completed. A ring owns one per CQ slot,
 * so no operation allocates.
 *
 * States:
 *   FREE -> QUEUED          record_alloc, then queued on its target under the target's lock
 *   QUEUED -> CLAIMED       whoever ends or delivers it, under the target's lock
 *   CLAIMED -> QUEUED       delivery put it back (the other side was at fault)
 *   CLAIMED -> INFLIGHT     a call was delivered and awaits its RETURN
 *   INFLIGHT -> CLAIMED     cancel, deadline, death of client or server
 *   INFLIGHT, no server     claimed by RETURN: see C5
 * A deferred SQE (ring/defer.h) is QUEUED on its own process, on no list of it.
 *   CLAIMED -> FREE         record_finish: the completion is posted
 * Invariants: C1 only the claimer may finish. C2 cancel, deadline and exit that find a record
 * CLAIMED write `doom` and go; the claimer looks at it under the target's lock before it lets go.
 * C3 `generation` is 0 while the record is FREE and a new number after every record_alloc, so a late
 * deadline or RETURN finds a stranger and stops. C4 while a record is active it holds a ref of its
 * route and of `held`, which is its target or keeps it (a served object keeps its endpoint). C5 a call
 * awaits its RETURN exactly while `server` is set, which its in-flight lock protects: RETURN claims the
 * call by clearing it there, and must take the target's lock before it leaves the kernel, so whoever
 * holds that lock and sees `server` set may use the process.
 */
#ifndef CAPOS_KERNEL_RING_RECORD_H
#define CAPOS_KERNEL_RING_RECORD_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/ring.h"
#include "abi/types.h"
#include "cap/table.h"
#include "lib/base/list.h"
#include "sched/timer.h"

struct op_transfers;
struct process;
struct ring;

/* Bits of the kernel's copy of sqe.flags; user space cannot set them. */
enum {
    SQE_DEFERRED = 1 << 15,  /* not carried out yet */
    SQE_CANCELLED = 1 << 14, /* and it will not be: an earlier entry of its chain failed [r] */
    SQE_SPENT = 1 << 13,     /* its transfer number was spent when it was consumed */
    SQE_DEPENDENT = 1 << 12, /* PIPELINE: counted by the answer it waits, or waited, for */
    SQE_TRACED = 1 << 10,    /* of a traced ring: goes the general way */
    SQE_ANSWER = 1 << 11,    /* no SQE: the answer of one with KEEP (ring/pipeline.c) */
};

enum record_state { RECORD_FREE, RECORD_QUEUED, RECORD_CLAIMED, RECORD_INFLIGHT };

enum { RECORD_XFERS_APART = UINT8_MAX }; /* xfer_count: the transfers are in `apart` */
enum { RECORD_MAX_CAPS = 16, RECORD_BYTES = 512, RECORDS_PER_PAGE = 4096 / RECORD_BYTES };

/* [I] set by record_alloc  [o] target's lock  [r] ring lock  [f] server's inflight lock */
struct record {
    struct list_node link;      /* [o] in a list of the target; stays there while RETURN works */
    struct list followers;      /* [o] endpoint: later calls of the same ring, when this is first */
    struct list_node ring_link; /* [r] in ring->call_heads (endpoint), ready or unarmed (defer.h) */
    struct list_node active_link; /* [r] in ring->active */
    struct list_node server_link; /* [f] in the server's inflight list */
    struct ring *ring;            /* [I] for good */
    struct kobj *target;          /* [I] whose lock protects the state; set and cleared under [r] */
    struct kobj *held;            /* [I] a ref */
    struct grant *route;          /* [I] */
    _Atomic(struct process *) server; /* [f] INFLIGHT: the receiver; set under [o], too */
    uint64_t position;                /* [I] of its SQE */
    struct capos_sqe sqe; /* [I] as consumed; INLINE places are kernel addresses (ring/buffer.h) */
    uint64_t facet;       /* [I] call: of the capability called; WAIT: signal bits wanted */
    uint64_t key;         /* [I] call: of the served object */
    uint64_t caller[2];   /* [I] */
    uint64_t bill; /* [I] what the completion says: by the claimer, before it ends the record */
    _Atomic uint32_t generation; /* [a] 31 bits; set under [r], 0 again under [o] */
    uint32_t
        receiver; /* [f] INFLIGHT: id of the ring that received the call, which its caller lends time to */
    uint16_t index;      /* [I] for good */
    uint16_t next;       /* [r] free list: index + 1 */
    uint16_t chain_next; /* [r] LINK: index + 1 of the deferred record after this one */
    uint8_t promised;    /* [I] slots of the table promised for capabilities that come */
    uint8_t state;       /* [o] enum record_state; FREE also under [r] */
    uint8_t xfer_count;  /* [I] captured transfers not yet ended */
    bool heads_ring;     /* [o] call: linked by ring_link */
    bool ready;          /* [r] deferred: ring_link is in ready_list */
    bool armed;          /* [o] MULTISHOT: has a CQ slot for an event beside that for its end */
    _Atomic bool
        sleeping; /* [a] a late deadline may look at it: its deadline is its purpose (Timer.sleep) */
    _Atomic bool bounded; /* [a] call: `deadline` is the end of its object's bound */
    status_t doom;        /* [o] */
    uint32_t move_mask;   /* [I] bit i: xfers[i] is a move */
    struct timer deadline;
    /* Of an answer, all [r]; `followers` then holds dependents that wait, `server_link` is in ring->answers,
     * `key` and `facet` are the second and third word of the completion. */
    bool ended;         /* the call has completed */
    bool finished;      /* by FINISH: it goes when it has ended and no dependent is left */
    uint8_t dependents; /* not carried out yet */
    uint8_t kept_count;
    union {
        capos_cap_t xfers[RECORD_MAX_CAPS];          /* [I] captured slots in the ring's process */
        const struct op_transfers *apart;            /* [I] of a kernel call, by pending_start */
        struct capability kept[CAPOS_MAX_PIPE_CAPS]; /* [r] of an answer */
        struct tree_node parked; /* [o] PARK: by address or offset; see park.c */
    };
};

static_assert(sizeof(struct record) <= RECORD_BYTES, "records fit their places");

/* The next record of the ring that was never used; NULL when there is none. Ring locked, or alone. */
struct record *record_make(struct ring *ring);

/* The record of the SQE that the ring's drain holds (it was copied there): active, not yet on any list;
 * state CLAIMED, owned by the caller. Takes a ref of target and route (NULL: no capability leads to it). The CQ slot was checked by the
 * drain. NULL only when the ring is closing. */
struct record *record_alloc(struct ring *ring, uint64_t position, struct kobj *target,
                            struct grant *route);
/* The same, but takes over the caller's refs of `held` and route (not when it is NULL). */
struct record *record_alloc_held(struct ring *ring, uint64_t position, struct kobj *target,
                                 struct kobj *held, struct grant *route);

static inline bool record_is_inline(const struct record *rec)
{
    return (rec->sqe.flags & CAPOS_SQE_INLINE) != 0;
}

/* The capability that led to the target has been revoked. */
static inline bool record_is_cut_off(const struct record *rec)
{
    return (rec->route != NULL && !grant_is_live(rec->route)) ||
           (rec->held->mint != NULL && !grant_is_live(rec->held->mint));
}

/* Under the target's lock: QUEUED and of this generation -> CLAIMED, out of the target's list. */
bool record_claim_locked(struct record *rec, uint32_t generation);
/* The same for those who hold no lock; safe at any time while the ring exists. */
bool record_claim(struct record *rec, uint32_t generation);

/* CLAIMED -> QUEUED under the target's lock. When doomed meanwhile: false, the caller still owns it
 * and finishes it with rec->doom. */
bool record_queue_locked(struct record *rec, struct list *list);

/* Arms the deadline of a record that is, or is about to be, queued. deadline_ns 0 = none. */
void record_arm(struct record *rec, uint64_t deadline_ns);

/* Posts the completion of a CLAIMED record and frees it; wakes the thread. Ends captures that are
 * left (moves are undone). No lock held. */
void record_finish(struct record *rec, int32_t result, uint16_t flags, uint16_t cap_count,
                   uint64_t extra);

/* The same with nothing but a status; with ST_QUOTA it names the class. */
void record_complete(struct record *rec, status_t status);

/* The second half of record_finish, for a record that its target let go of (record_let_go_locked). */
void record_post(struct record *rec, int32_t result, uint16_t flags, uint16_t cap_count,
                 uint64_t extra);
/* For a CLAIMED record of a MULTISHOT wait: posts the event and leaves the record QUEUED, on no list of its
 * target, until its ring's thread arms it again; finished when it was doomed meanwhile. */
void record_event(struct record *rec, int32_t events, uint64_t signal);
/* For a CLAIMED record without a route: frees it without a completion and gives its CQ slot back. Own thread only. */
void record_dissolve(struct record *rec);
/* CLAIMED, or INFLIGHT and claimed by RETURN: nobody finds it any more. Under the target's lock. */
void record_let_go_locked(struct record *rec);

/* For a CLAIMED record of a kernel call: writes message and capabilities to the caller's result
 * buffer and finishes. Takes over the refs in caps. */
void record_complete_message(struct record *rec, const void *message, uint32_t len,
                             const struct capability *caps, uint32_t ncaps);

/* Ends the record as `status` says, wherever it is: QUEUED (finished here), INFLIGHT (finished here;
 * its RETURN will find nothing), CLAIMED (doomed). A positive status is an event, for a WAIT. False:
 * it is not of this generation any more. */
bool record_abort(struct record *rec, uint32_t generation, status_t status);

/* RETURN: INFLIGHT at `server` and of this generation -> claimed (C5). */
bool record_claim_inflight(struct record *rec, uint32_t generation, struct process *server);
/* CLAIMED -> INFLIGHT at `server`, or back to it from RETURN; the target's lock is held. ST_OK, or what
 * the caller is to finish it with (it was doomed, or the server is ending). */
status_t record_enter_inflight_locked(struct record *rec, struct process *server);

/* The record of the SQE at this position, when active: *generation_out for record_abort. */
struct record *record_find(struct ring *ring, uint64_t position, uint32_t *generation_out);

/* Gives up what is left of the promise of slots. */
void record_unpromise(struct record *rec);

/* Ends the capture of transfers: commit = moved away for good. */
void record_end_transfers(struct record *rec, bool commit);

#endif
