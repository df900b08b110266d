/* SPDX-License-Identifier: MIT */
/* The memory that a record's params and result name: in its process's address space, or in its
 * ring's payload area with INLINE. No lock is held; address-space locks are taken inside. */
#ifndef CAPOS_KERNEL_RING_BUFFER_H
#define CAPOS_KERNEL_RING_BUFFER_H

#include "ring/record.h"

/* Bytes at the result buffer + offset. ST_BAD_ADDRESS. The caller checked result_len. */
status_t record_write_result(struct record *rec, uint64_t offset, const void *from, uint64_t size);

/* The first len bytes of from's params to to's result + offset, one copy. ST_BAD_ADDRESS. */
status_t record_copy_message(struct record *from, struct record *to, uint64_t offset, uint64_t len);

/* True when the first len bytes of params can be read now. */
bool record_params_readable(struct record *rec, uint64_t len);

#endif
