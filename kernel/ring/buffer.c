/* SPDX-License-Identifier: MIT */
#include "ring/buffer.h"

#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "object/process.h"
#include "ring/ring.h"

status_t record_write_result(struct record *rec, uint64_t offset, const void *from, uint64_t size)
{
    if (size == 0) {
        return ST_OK;
    }
    if (record_is_inline(rec)) {
        copy_shared(record_slot(rec->sqe.result) + offset, from, size);
        return ST_OK;
    }
    uint64_t address;
    if (!add_checked(rec->sqe.result, offset, &address)) {
        return ST_BAD_ADDRESS;
    }
    return aspace_write(&rec->ring->process->aspace, address, from, size);
}

status_t buffer_send(const struct buffer *message, struct process *to, uint64_t address,
                     bool to_inline)
{
    uint64_t len = message->size_bytes;
    if (message->is_inline && to_inline) {
        copy_shared(record_slot(address), record_slot(message->address), len);
        return ST_OK;
    }
    if (len == 0) {
        return ST_OK;
    }
    if (message->is_inline) {
        return aspace_write(&to->aspace, address, record_slot(message->address), len);
    }
    struct aspace *from = &message->ring->process->aspace;
    if (to_inline) {
        bool read = aspace_read(from, message->address, record_slot(address), len) == ST_OK;
        return read ? ST_OK : BAD_SOURCE;
    }
    return aspace_copy(&to->aspace, address, from, message->address, len);
}
