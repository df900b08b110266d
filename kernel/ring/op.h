/* SPDX-License-Identifier: MIT */
/* Between the drain loop and the operations. */
#ifndef CAPOS_KERNEL_RING_OP_H
#define CAPOS_KERNEL_RING_OP_H

#include "cap/ledger.h"
#include "gen/status.capnp.h"
#include "object/invoke.h"
#include "ring/ring.h"

/* One SQE being carried out: the kernel's private copy and where it stands. */
struct op {
    struct ring *ring;
    struct process *process;
    uint64_t position;
    struct capos_sqe *sqe; /* in the ring's spare record, which record_alloc makes active */
};

/* An operation either posts exactly one completion, or hands the SQE to a record. */
typedef void (*op_fn)(struct op *op);

void op_call(struct op *op);
void op_recv(struct op *op);
void op_return(struct op *op);
void op_return_recv(struct op *op);
void op_wait(struct op *op);
void op_signal(struct op *op);
void op_release(struct op *op);
void op_cancel(struct op *op);
void op_park(struct op *op);
void op_unpark(struct op *op);
void op_finish(struct op *op);
void op_handover(struct op *op);

/* call.c: a CALL of this capability; takes over its refs. */
void call_capability(struct op *op, struct capability *cap);

/* call.c: a CALL without transfers of the kernel object in this slot, whose interface, facet and lengths were found good
 * and whose INLINE places are resolved. The caller's table is locked, and let go here. */
void call_kernel_checked(struct op *op, const struct cap_slot *slot);

/* Completion without a record: the drain made sure of a CQ slot. Nothing is posted, and the slot not claimed,
 * when a QUIET entry succeeds. */
void op_post(struct op *op, int32_t result, uint16_t flags, uint16_t cap_count, uint64_t extra);
/* The same with no flags and nothing else to say. */
void op_post_result(struct op *op, int32_t result);

static inline void op_complete_needed(struct op *op, status_t status, uint32_t needed)
{
    op_post(op, status, CAPOS_CQE_NEEDED, 0, (uint64_t)needed << 32);
}

/* Posts a plain completion of this SQE; with ST_QUOTA it names the class. */
static inline void op_complete(struct op *op, int32_t result)
{
    if (UNLIKELY(result == ST_QUOTA)) {
        op_complete_needed(op, result, (uint32_t)ledger_refused());
    } else {
        op_post_result(op, result);
    }
}

/* What a transfer area held: captured slots of the caller's table. */
struct op_transfers {
    uint32_t count;
    uint64_t move_mask; /* bit i: ids[i] is to be moved */
    capos_cap_t ids[INVOKE_MAX_PARAM_CAPS];
};

/* Reads and checks the transfer area of op->sqe, spends the ring's number, captures each capability.
 * False: refused, nothing is captured, the completion is posted. out->count is 0 without transfers. */
bool op_capture_transfers(struct op *op, uint32_t max, struct op_transfers *out);

/* Ends all captures: commit = moved away for good. */
void op_end_transfers(struct op *op, const struct op_transfers *xfers, bool commit);

/* For an SQE that is refused before anything else is looked at: its number counts all the same. */
bool op_spend_number(struct op *op);
/* The same without a completion: false, nothing was spent. */
bool op_try_spend_number(struct op *op);

/* Bytes at params + offset of an SQE whose INLINE places are not resolved yet; false: not readable. len and offset are
 * multiples of 8. The thread's address space is the one that is loaded. */
bool op_peek_params(struct op *op, uint64_t offset, void *to, uint64_t len);

/* Words between places of which user space may change one at any time; bytes is a multiple of 8. */
static ALWAYS_INLINE void copy_shared(void *to, const void *from, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += 8) {
        ring_store((uint8_t *)to + at, ring_load((const uint8_t *)from + at));
    }
}

/* The kernel address of an INLINE record's params or result. */
static ALWAYS_INLINE uint8_t *record_slot(uint64_t place)
{
    return (uint8_t *)(uintptr_t)place;
}

/* Parameters of op->sqe, an INLINE one's resolved (ring/buffer.h), into kernel memory; false: not
 * readable. Lengths are multiples of 8. */
bool op_read_params_far(struct op *op, void *to, uint32_t len);
static ALWAYS_INLINE bool op_read_params(struct op *op, void *to, uint32_t len)
{
    if (LIKELY((op->sqe->flags & CAPOS_SQE_INLINE) != 0)) {
        copy_shared(to, record_slot(op->sqe->params), len);
        return true;
    }
    return op_read_params_far(op, to, len);
}

bool op_write_result_far(struct op *op, uint32_t offset, const void *from, uint32_t len);
static ALWAYS_INLINE bool op_write_result(struct op *op, uint32_t offset, const void *from,
                                          uint32_t len)
{
    if (LIKELY((op->sqe->flags & CAPOS_SQE_INLINE) != 0)) {
        copy_shared(record_slot(op->sqe->result) + offset, from, len);
        return true;
    }
    return op_write_result_far(op, offset, from, len);
}

/* True when [0, len) of the result buffer is plausibly writable now: both ends were touched. */
bool op_probe_result_far(struct op *op, uint32_t len);
static ALWAYS_INLINE bool op_probe_result(struct op *op, uint32_t len)
{
    return LIKELY((op->sqe->flags & CAPOS_SQE_INLINE) != 0) || op_probe_result_far(op, len);
}

/* ipc/queue.c: a call to a served object. Takes over the refs in `cap` and the captures. */
void endpoint_submit_call(struct op *op, struct capability *cap, const uint64_t caller[2],
                          const struct op_transfers *xfers);

#endif
