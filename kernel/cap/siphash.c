/* SPDX-License-Identifier: MIT */
#include "cap/siphash.h"

enum { WORD_ROUNDS = 2, FINAL_ROUNDS = 4 };

struct sip_state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

static void sip_rounds(struct sip_state *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        s->v0 += s->v1;
        s->v1 = rotate_left(s->v1, 13) ^ s->v0;
        s->v0 = rotate_left(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotate_left(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotate_left(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotate_left(s->v1, 17) ^ s->v2;
        s->v2 = rotate_left(s->v2, 32);
    }
}

static void sip_absorb(struct sip_state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_rounds(s, WORD_ROUNDS);
    s->v0 ^= word;
}

static uint64_t sip_output(const struct sip_state *s)
{
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

void siphash128(const uint64_t key[2], uint64_t word, uint64_t out[2])
{
    /* The constants spell "somepseudorandomlygeneratedbytes"; 0xee marks the long output. */
    struct sip_state s = {
        .v0 = key[0] ^ UINT64_C(0x736f6d6570736575),
        .v1 = key[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
        .v2 = key[0] ^ UINT64_C(0x6c7967656e657261),
        .v3 = key[1] ^ UINT64_C(0x7465646279746573),
    };
    sip_absorb(&s, word);
    sip_absorb(&s, (uint64_t)8 << 56); /* the last block: the message's length */
    s.v2 ^= 0xee;
    sip_rounds(&s, FINAL_ROUNDS);
    out[0] = sip_output(&s);
    s.v1 ^= 0xdd;
    sip_rounds(&s, FINAL_ROUNDS);
    out[1] = sip_output(&s);
}
