/* SPDX-License-Identifier: MIT */
#include "lib/crypto/chacha20.h"

#include <bearssl_block.h>

uint32_t chacha20_xor(const uint8_t key[CHACHA20_KEY_BYTES],
                      const uint8_t nonce[CHACHA20_NONCE_BYTES], uint32_t counter, void *data,
                      size_t bytes)
{
    return br_chacha20_ct_run(key, nonce, counter, data, bytes);
}
