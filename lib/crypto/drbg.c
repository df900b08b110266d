/* SPDX-License-Identifier: MIT */
#include "lib/crypto/drbg.h"

#include "lib/crypto/chacha20.h"
#include "lib/crypto/sha256.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(((struct drbg *)0)->key) == SHA256_BYTES, "a digest is a key");
static_assert(sizeof(((struct drbg *)0)->key) == CHACHA20_KEY_BYTES, "a digest is a key");

/* One key makes at most this much output; the block counter cannot come near its end. */
enum { DRBG_CHUNK_BYTES = 1 << 20 };

static const uint8_t nonce[CHACHA20_NONCE_BYTES];

void drbg_init(struct drbg *drbg, const void *seed, size_t bytes)
{
    memset(drbg->key, 0, sizeof(drbg->key));
    drbg_mix(drbg, seed, bytes);
}

void drbg_mix(struct drbg *drbg, const void *data, size_t bytes)
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, drbg->key, sizeof(drbg->key));
    sha256_update(&hash, data, bytes);
    sha256_final(&hash, drbg->key);
}

/* Block 0 of the old key holds the next key; output comes from block 1 on. */
static void generate_chunk(struct drbg *drbg, uint8_t *out, size_t bytes)
{
    uint8_t next[CHACHA20_BLOCK_BYTES] = {0};
    uint32_t counter = chacha20_xor(drbg->key, nonce, 0, next, sizeof(next));
    memset(out, 0, bytes);
    (void)chacha20_xor(drbg->key, nonce, counter, out, bytes);
    memcpy(drbg->key, next, sizeof(drbg->key));
    memset(next, 0, sizeof(next));
}

void drbg_generate(struct drbg *drbg, void *out, size_t bytes)
{
    uint8_t *next = out;
    do {
        size_t chunk = bytes < DRBG_CHUNK_BYTES ? bytes : DRBG_CHUNK_BYTES;
        generate_chunk(drbg, next, chunk);
        next += chunk;
        bytes -= chunk;
    } while (bytes != 0);
}
