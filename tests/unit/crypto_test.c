/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "lib/crypto/chacha20.h"
#include "lib/crypto/drbg.h"
#include "lib/crypto/sha256.h"

/* Vectors: FIPS 180-4 examples; RFC 8439 section 2.4.2. */

static void from_hex(const char *hex, uint8_t *out, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static void check_digest(const void *data, size_t bytes, const char *wanted_hex)
{
    uint8_t wanted[SHA256_BYTES];
    uint8_t digest[SHA256_BYTES];
    from_hex(wanted_hex, wanted, sizeof(wanted));
    sha256(data, bytes, digest);
    CHECK_MEM_EQ(digest, wanted, sizeof(wanted));
}

TEST(sha256_vectors, "the published messages have the published digests")
{
    check_digest(NULL, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_digest("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(sha256_slices, "a message hashed in slices of any length has the digest of the whole")
{
    uint8_t message[200];
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (uint8_t)(i * 7);
    }
    uint8_t whole[SHA256_BYTES];
    sha256(message, sizeof(message), whole);
    for (size_t slice = 1; slice <= sizeof(message); slice++) {
        struct sha256 state;
        sha256_init(&state);
        for (size_t at = 0; at < sizeof(message); at += slice) {
            size_t left = sizeof(message) - at;
            sha256_update(&state, message + at, left < slice ? left : slice);
        }
        uint8_t digest[SHA256_BYTES];
        sha256_final(&state, digest);
        CHECK_MEM_EQ(digest, whole, sizeof(whole));
    }
}

TEST(chacha20_vector, "the message of RFC 8439 encrypts to the published bytes")
{
    char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip "
                  "for the future, sunscreen would be it.";
    uint8_t key[CHACHA20_KEY_BYTES];
    uint8_t nonce[CHACHA20_NONCE_BYTES];
    uint8_t wanted[16];
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t)i;
    }
    from_hex("000000000000004a00000000", nonce, sizeof(nonce));
    from_hex("6e2e359a2568f98041ba0728dd0d6981", wanted, sizeof(wanted));
    CHECK_EQ(chacha20_xor(key, nonce, 1, text, sizeof(text) - 1), 3);
    CHECK_MEM_EQ(text, wanted, sizeof(wanted));
    CHECK_EQ(chacha20_xor(key, nonce, 1, text, sizeof(text) - 1), 3);
    CHECK_STR_EQ(text, "Ladies and Gentlemen of the class of '99: If I could offer you only one "
                       "tip for the future, sunscreen would be it.");
}

TEST(drbg_repeats, "the same seed gives the same output and another seed does not")
{
    struct drbg first;
    struct drbg second;
    struct drbg other;
    uint8_t a[100];
    uint8_t b[100];
    uint8_t c[100];
    drbg_init(&first, "seed", 4);
    drbg_init(&second, "seed", 4);
    drbg_init(&other, "sees", 4);
    drbg_generate(&first, a, sizeof(a));
    drbg_generate(&second, b, sizeof(b));
    drbg_generate(&other, c, sizeof(c));
    CHECK_MEM_EQ(a, b, sizeof(a));
    CHECK(memcmp(a, c, sizeof(a)) != 0);
}

TEST(drbg_moves_on, "two requests, a request of nothing and a mix each change what comes next")
{
    struct drbg drbg;
    uint8_t seen[4][32];
    drbg_init(&drbg, "seed", 4);
    drbg_generate(&drbg, seen[0], sizeof(seen[0]));
    drbg_generate(&drbg, seen[1], sizeof(seen[1]));
    struct drbg fork = drbg;
    drbg_generate(&drbg, seen[2], 0);
    drbg_generate(&drbg, seen[2], sizeof(seen[2]));
    drbg_mix(&fork, "more", 4);
    drbg_generate(&fork, seen[3], sizeof(seen[3]));
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < i; j++) {
            CHECK(memcmp(seen[i], seen[j], sizeof(seen[i])) != 0);
        }
    }
}

TEST(drbg_forgets, "the key that made an output is not in the state afterwards")
{
    struct drbg drbg;
    uint8_t out[32];
    drbg_init(&drbg, "seed", 4);
    struct drbg before = drbg;
    drbg_generate(&drbg, out, sizeof(out));
    CHECK(memcmp(drbg.key, before.key, sizeof(drbg.key)) != 0);
    CHECK(memcmp(drbg.key, out, sizeof(drbg.key)) != 0);
}
