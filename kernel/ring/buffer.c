/* SPDX-License-Identifier: MIT */
#include "ring/buffer.h"

#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "object/process.h"
#include "ring/ring.h"

static struct aspace *space_of(const struct record *rec)
{
    return &rec->ring->process->aspace;
}

status_t record_write_result(struct record *rec, uint64_t offset, const void *from, uint64_t size)
{
    if (size == 0) {
        return ST_OK;
    }
    if (rec->is_inline) {
        uint8_t *to = ring_inline(rec->ring, rec->result, offset + size);
        if (to == NULL) {
            return ST_BAD_ADDRESS;
        }
        memcpy(to + offset, from, size);
        return ST_OK;
    }
    uint64_t address;
    if (!add_checked(rec->result, offset, &address)) {
        return ST_BAD_ADDRESS;
    }
    return aspace_write(space_of(rec), address, from, size);
}

status_t record_copy_message(const struct buffer *message, struct record *to, uint64_t offset)
{
    uint64_t len = message->size_bytes;
    if (len == 0) {
        return ST_OK;
    }
    if (message->is_inline) {
        const void *source = ring_inline(message->ring, message->address, len);
        return source == NULL ? BAD_SOURCE : record_write_result(to, offset, source, len);
    }
    struct aspace *from = &message->ring->process->aspace;
    if (to->is_inline) {
        uint8_t *target = ring_inline(to->ring, to->result, offset + len);
        bool read =
            target != NULL && aspace_read(from, message->address, target + offset, len) == ST_OK;
        return target == NULL ? ST_BAD_ADDRESS : read ? ST_OK : BAD_SOURCE;
    }
    uint64_t address;
    if (!add_checked(to->result, offset, &address)) {
        return ST_BAD_ADDRESS;
    }
    return aspace_copy(space_of(to), address, from, message->address, len);
}
