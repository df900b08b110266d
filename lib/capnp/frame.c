/* SPDX-License-Identifier: MIT */
/*
 * The frame of a message in files and streams: the number of segments less one and the words of each,
 * 32 bits each, filled up to a whole word; then the segments.
 */
#include "lib/capnp/segments.h"

enum capnp_status capnp_frame_length(const void *file, size_t file_bytes, uint32_t *count,
                                     size_t *bytes)
{
    const uint8_t *table = file;
    *count = 0;
    *bytes = CAPNP_WORD;
    if (file_bytes < CAPNP_WORD) {
        return CAPNP_CUT;
    }
    uint32_t all = load_le32(table) + 1;
    if (all == 0) {
        return CAPNP_BAD_LENGTH;
    }
    size_t end = capnp_frame_table_bytes(all);
    *bytes = end;
    if (file_bytes < end) {
        return CAPNP_CUT;
    }
    /* Less than 2^32 segments of 2^31 bytes: no sum wraps. */
    for (uint32_t i = 0; i < all; i++) {
        uint64_t length = (uint64_t)load_le32(table + 4 + (size_t)i * 4) * CAPNP_WORD;
        if (length > CAPNP_SEGMENT_MAX_BYTES) {
            return CAPNP_BAD_LENGTH;
        }
        end += (size_t)length;
    }
    *count = all;
    *bytes = end;
    return CAPNP_OK;
}

enum capnp_status capnp_frame_open(const void *file, size_t file_bytes,
                                   struct capnp_segment *segments, uint32_t room, uint32_t *count,
                                   size_t *bytes)
{
    const uint8_t *table = file;
    uint32_t all = file_bytes >= CAPNP_WORD ? load_le32(table) + 1 : 0;
    *count = 0;
    if (all > room) {
        *count = all;
        *bytes = capnp_frame_table_bytes(all);
        return CAPNP_NO_ROOM;
    }
    enum capnp_status status = capnp_frame_length(file, file_bytes, &all, bytes);
    if (status != CAPNP_OK || file_bytes < *bytes) {
        return status != CAPNP_OK ? status : CAPNP_CUT;
    }
    const uint8_t *at = table + capnp_frame_table_bytes(all);
    for (uint32_t i = 0; i < all; i++) {
        segments[i].base = at;
        segments[i].bytes = (size_t)load_le32(table + 4 + (size_t)i * 4) * CAPNP_WORD;
        at += segments[i].bytes;
    }
    *count = all;
    return CAPNP_OK;
}

enum capnp_status capnp_frame_table(const struct capnp_segment *segments, uint32_t count, void *out,
                                    size_t out_bytes, size_t *len)
{
    *len = 0;
    if (count == 0 || count == UINT32_MAX) {
        return CAPNP_BAD_USE;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (segments[i].bytes % CAPNP_WORD != 0 || segments[i].bytes > CAPNP_SEGMENT_MAX_BYTES) {
            return CAPNP_BAD_USE;
        }
    }
    size_t bytes = capnp_frame_table_bytes(count);
    if (out_bytes < bytes) {
        return CAPNP_NO_ROOM;
    }
    uint8_t *table = out;
    store_le64(table + bytes - CAPNP_WORD, 0); /* the half that fills it up */
    store_le32(table, count - 1);
    for (uint32_t i = 0; i < count; i++) {
        store_le32(table + 4 + (size_t)i * 4, (uint32_t)(segments[i].bytes / CAPNP_WORD));
    }
    *len = bytes;
    return CAPNP_OK;
}
