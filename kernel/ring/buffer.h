/* SPDX-License-Identifier: MIT */
/* The memory that a record's params and result name: in its process's address space, or in its
 * ring's payload area with INLINE. No lock is held; address-space locks are taken inside. */
#ifndef CAPOS_KERNEL_RING_BUFFER_H
#define CAPOS_KERNEL_RING_BUFFER_H

#include "ring/record.h"

/* Bytes at the result buffer + offset. ST_BAD_ADDRESS. The caller checked result_len. */
status_t record_write_result(struct record *rec, uint64_t offset, const void *from, uint64_t size);

/* Where a message lies before it is sent. */
struct buffer {
    struct ring *ring; /* whose process's address space, or payload area */
    uint64_t address;  /* or payload-area offset */
    uint64_t size_bytes;
    bool is_inline;
};

static inline struct buffer record_params(const struct record *rec)
{
    return (struct buffer){rec->ring, rec->params, rec->params_len, rec->is_inline};
}

/* The message to the record's result buffer + offset, one copy. ST_BAD_ADDRESS: that buffer cannot be
 * used; BAD_SOURCE: the message's memory cannot. */
status_t record_copy_message(const struct buffer *message, struct record *to, uint64_t offset);

#endif
