/* SPDX-License-Identifier: MIT */
/* The ChaCha20 stream cipher of RFC 8439, constant time. Not authenticated by itself. */
#ifndef CAPOS_LIB_CRYPTO_CHACHA20_H
#define CAPOS_LIB_CRYPTO_CHACHA20_H

#include <stddef.h>
#include <stdint.h>

enum {
    CHACHA20_KEY_BYTES = 32,
    CHACHA20_NONCE_BYTES = 12,
    CHACHA20_BLOCK_BYTES = 64,
};

/*
 * XOR the key stream that starts at block `counter` into data, and return the number of the block after
 * the last one begun. A caller that goes on in the same stream passes whole blocks except at the end.
 */
uint32_t chacha20_xor(const uint8_t key[CHACHA20_KEY_BYTES],
                      const uint8_t nonce[CHACHA20_NONCE_BYTES], uint32_t counter, void *data,
                      size_t bytes);

#endif
