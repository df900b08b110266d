/* SPDX-License-Identifier: MIT */
/*
 * The memory that a record's params and result name: in its process's address space, or a payload slot
 * of its ring with INLINE. A slot's place was checked when the SQE was consumed, so the record holds its
 * kernel address; what lies in it user space may change at any time. A receive with INLINE has both: a
 * slot (params) for what fits there and a buffer (result). No lock is held; address-space locks are taken
 * inside.
 */
#ifndef CAPOS_KERNEL_RING_BUFFER_H
#define CAPOS_KERNEL_RING_BUFFER_H

#include "ring/op.h"
#include "ring/record.h"

/* Checks the payload places of an INLINE SQE that sends `sends` bytes at params and receives result_len
 * at result, and puts kernel addresses in their place. ST_BAD_ADDRESS. */
static ALWAYS_INLINE status_t op_resolve_inline(struct op *op, uint64_t sends, bool has_result)
{
    struct capos_sqe *sqe = op->sqe;
    if (sends != 0) {
        uint8_t *params = ring_inline(op->ring, sqe->params, sends);
        sqe->params = (uintptr_t)params;
        if (UNLIKELY(params == NULL)) {
            return ST_BAD_ADDRESS;
        }
    }
    if (has_result) {
        uint8_t *result = ring_inline(op->ring, sqe->result, sqe->result_len);
        sqe->result = (uintptr_t)result;
        return result != NULL ? ST_OK : ST_BAD_ADDRESS;
    }
    return ST_OK;
}

/* Bytes at the result buffer + offset; size is a multiple of 8. ST_BAD_ADDRESS. The caller checked
 * result_len. Not for receives. */
status_t record_write_result(struct record *rec, uint64_t offset, const void *from, uint64_t size);

/* Where a message lies before it is sent; size_bytes is a multiple of 8. */
struct buffer {
    struct ring *ring; /* whose process's address space */
    uint64_t address;  /* or the kernel address of a payload place */
    uint64_t size_bytes;
    bool is_inline;
};

static inline struct buffer record_params(const struct record *rec)
{
    return (struct buffer){rec->ring, rec->sqe.params, rec->sqe.params_len, record_is_inline(rec)};
}

/* The message to `address` of that process, or to the payload place, one copy. ST_BAD_ADDRESS: that
 * place cannot be used; BAD_SOURCE: the message's memory cannot. */
status_t buffer_send(const struct buffer *message, struct process *to, uint64_t address,
                     bool to_inline);

#endif
