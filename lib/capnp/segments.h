/* SPDX-License-Identifier: MIT */
/*
 * Messages of several segments: what other Cap'n Proto programs send, and what is built without
 * knowing its size. Nothing here is linked into the kernel, whose messages are bare.
 *
 * Reading is one copy. capnp_gather() follows every pointer, far ones too, and writes the same
 * message as a bare one into the caller's buffer; X_read() then checks it against its type, and
 * every getter works on it. So there is one door for types and texts, and one form behind it.
 * docs/decisions/0101-segments-are-gathered.md says why.
 *
 * A segment is read where it lies, at any alignment; nobody may change it meanwhile. The copy is
 * bounded three times: by the limits, which count words as they are followed, by the depth, and by
 * the buffer, so a message that names one object many times costs no more than its reader grants.
 */
#ifndef CAPOS_LIB_CAPNP_SEGMENTS_H
#define CAPOS_LIB_CAPNP_SEGMENTS_H

#include "lib/capnp/capnp.h"

struct capnp_segment {
    const void *base;
    size_t bytes; /* a multiple of 8, at most CAPNP_SEGMENT_MAX_BYTES */
};

/* ---- Reading ---- */

/* Copies a message into `out` as a bare one, in the order of its pointers, without what nothing
 * points at; unknown fields come along. *len is its length on CAPNP_OK, else 0; what `out` holds
 * then means nothing. `out` lies apart from the segments. No segments, or an empty first one, give
 * the empty message. The recursion is as deep as limits->depth. Statuses: CAPNP_BAD_LENGTH,
 * CAPNP_OUT_OF_BOUNDS (an unknown segment too), CAPNP_BAD_POINTER (a capability; a landing pad that
 * is none), CAPNP_BAD_LIST, CAPNP_TOO_DEEP, CAPNP_TOO_MUCH, CAPNP_NO_ROOM. */
enum capnp_status capnp_gather_limited(const struct capnp_segment *segments, uint32_t count,
                                       const struct capnp_limits *limits, void *out,
                                       size_t out_bytes, size_t *len);

/* The same with the default limits of so many bytes: what points at everything once passes. */
enum capnp_status capnp_gather(const struct capnp_segment *segments, uint32_t count, void *out,
                               size_t out_bytes, size_t *len);

/* ---- The frame of a message in a file or stream: a table of the segments, then the segments ---- */

/* How long the frame is that begins so. CAPNP_OK: the table is there, of *count segments, and with
 * them it is *bytes long. CAPNP_CUT: the table is not all there; it ends at *bytes or later.
 * CAPNP_BAD_LENGTH: a segment longer than can be, or 2^32 of them. */
enum capnp_status capnp_frame_length(const void *file, size_t file_bytes, uint32_t *count,
                                     size_t *bytes);

/* Takes a frame apart that begins at `file`. CAPNP_OK: *count segments are in segments[], and the
 * frame ends at *bytes; what lies behind is the next one's. CAPNP_CUT: the input ends too early, and
 * there will be at least *bytes of it: bound that before room is made, it is the sender's word.
 * CAPNP_NO_ROOM: there are *count segments, more than `room`. CAPNP_BAD_LENGTH as above. On every
 * other status *count is 0. */
enum capnp_status capnp_frame_open(const void *file, size_t file_bytes,
                                   struct capnp_segment *segments, uint32_t room, uint32_t *count,
                                   size_t *bytes);

/* Bytes of the table for so many segments. */
static inline size_t capnp_frame_table_bytes(uint32_t count)
{
    return ((size_t)count + 2) / 2 * CAPNP_WORD;
}

/* Writes the table; the segments go behind it, in their order. CAPNP_BAD_USE: no segment, or one
 * that cannot be; CAPNP_NO_ROOM. *len is the table's length on CAPNP_OK, else 0. */
enum capnp_status capnp_frame_table(const struct capnp_segment *segments, uint32_t count, void *out,
                                    size_t out_bytes, size_t *len);

/* ---- Building ---- */

enum { CAPNP_SEGMENTS_MAX = 32 }; /* of one message under construction */

/* Gives a buffer of at least `least` bytes that is the message's until it is sent, and its true size; NULL: none. */
typedef void *capnp_more(void *context, size_t least, size_t *bytes);

/* A message under construction that takes a further buffer whenever those it has are full. It stays
 * where it is: builders of its structs point at it. */
struct capnp_segmented {
    struct capnp_builder segments[CAPNP_SEGMENTS_MAX];
    uint32_t count;
    capnp_more *more; /* NULL: the first buffer is all */
    void *context;
};

/* Begins with one buffer, of at least 8 bytes. */
void capnp_segmented_init(struct capnp_segmented *w, void *first, size_t bytes, capnp_more *more,
                          void *context);

/* What X_init() takes, once: all generated setters then work as on a bare message. An object lies
 * in one segment whole; one larger than any buffer given is CAPNP_NO_ROOM. */
static inline struct capnp_builder *capnp_segmented_root(struct capnp_segmented *w)
{
    return &w->segments[0];
}

/* Ends building: the first failure, or CAPNP_OK and the segments in out[0..*count), else *count is
 * 0. `out` has room for CAPNP_SEGMENTS_MAX. Not capnp_finish(), which knows one buffer. */
enum capnp_status capnp_segmented_finish(const struct capnp_segmented *w, struct capnp_segment *out,
                                         uint32_t *count);

#endif
