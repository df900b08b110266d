/* SPDX-License-Identifier: MIT */
#include "lib/crypto/sha256.h"

#include <assert.h>
#include <bearssl_hash.h>

static_assert(sizeof(struct sha256) >= sizeof(br_sha256_context), "state holds the library's");
static_assert(_Alignof(struct sha256) >= _Alignof(br_sha256_context), "state is aligned for it");

static br_sha256_context *context(struct sha256 *state)
{
    return (br_sha256_context *)(void *)state->opaque;
}

void sha256_init(struct sha256 *state)
{
    br_sha256_init(context(state));
}

void sha256_update(struct sha256 *state, const void *data, size_t bytes)
{
    if (bytes != 0) {
        br_sha256_update(context(state), data, bytes);
    }
}

void sha256_final(const struct sha256 *state, uint8_t digest[SHA256_BYTES])
{
    br_sha256_out((const br_sha256_context *)(const void *)state->opaque, digest);
}

void sha256(const void *data, size_t bytes, uint8_t digest[SHA256_BYTES])
{
    struct sha256 state;
    sha256_init(&state);
    sha256_update(&state, data, bytes);
    sha256_final(&state, digest);
}
