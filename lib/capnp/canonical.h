/* SPDX-License-Identifier: MIT */
/*
 * The canonical form: of all bare messages with the same content one, so that content can be compared,
 * hashed and signed as bytes. Objects lie in the order of their pointers, without gaps; sections do
 * not end in zeros; nothing lies behind the end of a list or of the message. A struct's type is not asked for,
 * so fields that a reader does not know count as content. Programs only, like lib/capnp/segments.h.
 *
 * The root is a struct; one that is all defaults, an empty message's too, is the word of a struct
 * without sections. Lists stay what they are: one of numbers, and one of structs that hold the same numbers, are two contents.
 *
 * The canonical form of many structs that are all defaults is a count and no words, which the default limits of X_read may find
 * too much: it is read within the limits of the message that it was made of.
 */
#ifndef CAPOS_LIB_CAPNP_CANONICAL_H
#define CAPOS_LIB_CAPNP_CANONICAL_H

#include "lib/capnp/segments.h"

/* Copies a message into `out` in its canonical form. As capnp_gather_limited(); CAPNP_BAD_KIND: the root is a list. */
enum capnp_status capnp_canonical_limited(const struct capnp_segment *segments, uint32_t count,
                                          const struct capnp_limits *limits, void *out,
                                          size_t out_bytes, size_t *len);

/* The same with the default limits. */
enum capnp_status capnp_canonical(const struct capnp_segment *segments, uint32_t count, void *out,
                                  size_t out_bytes, size_t *len);

/* Is a bare message canonical? CAPNP_OK: it is, and within its bounds too. CAPNP_NOT_CANONICAL: no.
 * CAPNP_TOO_DEEP: its pointers are nested deeper than `depth` (CAPNP_DEPTH is usual), and as far as it was
 * looked at it is. The work is linear in its length. */
enum capnp_status capnp_check_canonical(const void *msg, size_t len_bytes, uint32_t depth);

#endif
