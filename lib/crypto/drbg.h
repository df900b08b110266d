/* SPDX-License-Identifier: MIT */
/*
 * A deterministic random generator with fast key erasure: every request makes a fresh key first and
 * forgets the one that made the output, so a state that leaks later tells nothing about earlier output.
 * Key stream: ChaCha20; mixing: SHA-256. It knows nothing about how good its seeds are; the owner does.
 * Not locked: the owner serialises.
 */
#ifndef CAPOS_LIB_CRYPTO_DRBG_H
#define CAPOS_LIB_CRYPTO_DRBG_H

#include <stddef.h>
#include <stdint.h>

struct drbg {
    uint8_t key[32];
};

/* Start from a seed of any length. The same seed gives the same output for ever. */
void drbg_init(struct drbg *drbg, const void *seed, size_t bytes);

/* Mix more in: the new state depends on the old one and on every byte. It never makes the state weaker. */
void drbg_mix(struct drbg *drbg, const void *data, size_t bytes);

/* Fill out with output. Any length; the cost is one ChaCha20 block for each 64 bytes and one more. */
void drbg_generate(struct drbg *drbg, void *out, size_t bytes);

#endif
