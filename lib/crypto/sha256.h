/* SPDX-License-Identifier: MIT */
/*
 * SHA-256. The state is plain memory without pointers to itself, so it may be copied to hash two
 * messages with a common beginning, and a long hash may be done in slices.
 * The compression function is BearSSL's, fetched at set-up (tools/sources.list); no name of that
 * library passes this header.
 */
#ifndef CAPOS_LIB_CRYPTO_SHA256_H
#define CAPOS_LIB_CRYPTO_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32 };

struct sha256 {
    uint64_t opaque[14];
};

/* Begin a message. */
void sha256_init(struct sha256 *state);

/* Append bytes; data may be NULL when bytes is 0. */
void sha256_update(struct sha256 *state, const void *data, size_t bytes);

/* The digest of what was appended so far; the state is unchanged and may go on. */
void sha256_final(const struct sha256 *state, uint8_t digest[SHA256_BYTES]);

/* The digest of one whole message. */
void sha256(const void *data, size_t bytes, uint8_t digest[SHA256_BYTES]);

#endif
