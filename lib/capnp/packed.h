/* SPDX-License-Identifier: MIT */
/*
 * The packed form: each word is a byte that says which of its bytes are not zero, and those; runs of zero
 * words and of words without zeros are counted. It may hold anything of whole words, frames as a
 * rule. Programs only, like lib/capnp/segments.h.
 *
 * Both ways work by pieces: any input, any room, and each call says how much it has taken and made.
 * What comes out is bounded by the room alone: two bytes of input can ask for 2 KiB.
 */
#ifndef CAPOS_LIB_CAPNP_PACKED_H
#define CAPOS_LIB_CAPNP_PACKED_H

#include "lib/capnp/capnp.h"

enum { CAPNP_PACK_LEAST = 10 }; /* bytes of room with which packing always goes on */

/* The most that so many bytes become if they are packed at once. */
static inline uint64_t capnp_packed_most(uint64_t bytes)
{
    return bytes + bytes / 16 + 2;
}

/* Packs whole words. CAPNP_OK: all of the input is taken. CAPNP_NO_ROOM: go on with the rest and
 * more room. CAPNP_BAD_LENGTH: the input is no whole number of words, and nothing was done. A run
 * ends with the call: packed by pieces it is a little longer, and reads the same. */
enum capnp_status capnp_pack(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                             size_t *taken, size_t *made);

/* Where unpacking stands between two calls. All zero: at the beginning. */
struct capnp_unpacker {
    uint8_t state;
    uint8_t tag;
    uint8_t bit;   /* the next byte of the word */
    uint32_t left; /* bytes of a run that are still to come */
};

/* Unpacks. CAPNP_OK: all of the input is taken and all of it has come out. CAPNP_NO_ROOM: there is
 * more than the room. What is not taken belongs to the next call. Nothing else can be wrong with a
 * packed input but that it ends too early. */
enum capnp_status capnp_unpack(struct capnp_unpacker *u, const void *in, size_t in_bytes, void *out,
                               size_t out_bytes, size_t *taken, size_t *made);

/* May the input end here? If not, it was cut. */
bool capnp_unpack_ended(const struct capnp_unpacker *u);

/* Unpacks one frame: then capnp_frame_open() takes it apart. CAPNP_OK: it is *bytes long in `out` and
 * ends in the input at *taken; what lies behind is the next one's. CAPNP_NO_ROOM: it would be *bytes
 * long, by the sender's word. CAPNP_CUT: the input ends too early. CAPNP_BAD_LENGTH: a run goes on
 * over the end of the table or of the frame, or a segment is longer than can be. On refusal *taken is 0. */
enum capnp_status capnp_unpack_frame(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                     size_t *taken, size_t *bytes);

#endif
