/* SPDX-License-Identifier: MIT */
/* What the files of libcapos share with each other and with nobody else. */
#ifndef CAPOS_LIBCAPOS_INTERNAL_H
#define CAPOS_LIBCAPOS_INTERNAL_H

#include "abi/capset.h"
#include "capos/call.h"
#include "capos/ring.h"
#include "lib/base/atomic.h"

/* Words that the kernel writes while we read, and the other way round: acquire and release. */
static inline uint64_t ring_load_u64(const uint64_t *word)
{
    return atomic_load_acquire((const _Atomic uint64_t *)word);
}

static inline uint64_t ring_load_u64_seq_cst(const uint64_t *word)
{
    return atomic_load_seq_cst((const _Atomic uint64_t *)word);
}

static inline void ring_store_u64_seq_cst(uint64_t *word, uint64_t value)
{
    atomic_store_seq_cst((_Atomic uint64_t *)word, value);
}

static inline void ring_store_u64(uint64_t *word, uint64_t value)
{
    atomic_store_release((_Atomic uint64_t *)word, value);
}

enum {
    OP_FLAG_CALL = 1 << 0,   /* the op is the first member of a struct capos_call */
    OP_FLAG_FORGET = 1 << 1, /* nobody waits: IDLE again at completion */
    OP_FLAG_EVENT = 1 << 2,  /* MULTISHOT: on the ready list for events in cqe */
};

/* Takes over the ring that the start page names. False when its header makes no sense. */
bool capos_ring_open(void *ring, uint64_t ring_bytes);

/* Completes an operation that never went to the kernel. */
void capos_op_refuse(struct capos_op *op, status_t status);

/* Takes a PENDING operation back; false when it has left for the kernel. */
bool capos_op_withdraw(struct capos_op *op);

/* Submits what can be, and sleeps until something completes. Callbacks do not run. */
void capos_await_any(void);

/* Sleeps until `count` completions are there, or another reason to look again. */
void capos_await_more(uint32_t count);

/* The call's answer goes: calls on it that have not left for the kernel name it by its position, or end
 * as it ended when the kernel never saw it. */
void capos_ring_detach(struct capos_call *call);

/* A QUIET operation in flight is known to have succeeded, and with it what it waited for. */
void capos_ring_settle(struct capos_op *op);

/* ---- promise.c ---- */

static inline bool capos_is_promise(capos_cap_t cap)
{
    return cap != 0 && cap >> CAPOS_CAP_INDEX_BITS == 0;
}

/* A place for a call with `keep`; ST_BUSY: there is none. */
status_t capos_promise_open(struct capos_call *call);
void capos_promise_reset(void);
/* What this promise names, and which of its capabilities; NULL: nothing, *why_out says why. */
struct capos_call *capos_promise_find(capos_cap_t promise, unsigned *index_out, status_t *why_out);
/* Gives the call's place, and its answer, up. */
void capos_promise_close(struct capos_call *call);
/* `call` failed as the call it was on did: takes over what is known of that. */
void capos_promise_blame(struct capos_call *call, const struct capos_call *on);

/* Queues FINISH for the answer of the call at this position. */
void capos_finish_answer(uint64_t position);

/* Makes operations of queued releases, as many as there are free ones. */
void capos_release_queued(void);
void capos_release_reset(void);

/* Submits all of them: for the end of a thread. */
void capos_release_all(void);

/* Thread-local storage: its size, a multiple of 64; makes that below this pointer. */
uint64_t capos_tls_bytes(void);
void capos_tls_init(uint64_t thread_pointer);
uint64_t capos_thread_pointer(void);

/* Fills in a call from its completed operation. */
void capos_call_finish(struct capos_call *call);

#endif
