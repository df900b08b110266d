/* SPDX-License-Identifier: MIT */
/*
 * Packing has no state: a run is as long as this call's input and room allow. Unpacking is a machine that
 * may stop at any byte of input or output; only the insides of words and runs are done in bulk.
 *
 *     tag (8 bits: which bytes follow) bytes...
 *     0x00 count: the zero word and `count` more of them
 *     0xff 8 bytes count words: the word and `count` more, as they are
 */
#include "lib/capnp/packed.h"

#include "lib/capnp/segments.h"

enum { TAG_ZERO = 0x00, TAG_FULL = 0xff, RUN_MAX = 255 };

/* Which bytes of a word are not zero. */
static uint8_t tag_of(uint64_t word)
{
    uint8_t tag = 0;
    for (unsigned i = 0; i < CAPNP_WORD; i++) {
        tag = (uint8_t)(tag | (uint8_t)((word >> i * 8 & 0xff) != 0) << i);
    }
    return tag;
}

/* How many bytes of a word are not zero. */
static size_t bytes_of(uint64_t word)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
    uint64_t ones = (((word & low) + low) | word) >> 7 & UINT64_C(0x0101010101010101);
    return (size_t)(ones * UINT64_C(0x0101010101010101) >> 56);
}

/* How many words from `in` on, `most` at most, are zero. */
static size_t zero_run(const uint8_t *in, size_t most)
{
    size_t n = 0;
    while (n < most && load_le64(in + n * CAPNP_WORD) == 0) {
        n++;
    }
    return n;
}

/* How many have at most one zero byte: packed alone they would be no shorter. */
static size_t full_run(const uint8_t *in, size_t most)
{
    size_t n = 0;
    while (n < most && bytes_of(load_le64(in + n * CAPNP_WORD)) >= CAPNP_WORD - 1) {
        n++;
    }
    return n;
}

/* Packs one word and, of a run, what follows it. The bytes made; 0: they do not fit. *words says how many were taken. */
static size_t pack_some(const uint8_t *in, size_t in_words, uint8_t *out, size_t room,
                        size_t *words)
{
    uint64_t word = load_le64(in);
    uint8_t tag = tag_of(word);
    bool run = tag == TAG_ZERO || tag == TAG_FULL;
    size_t made = 1 + bytes_of(word) + (run ? 1 : 0);
    if (made > room) {
        return 0;
    }
    *words = 1;
    out[0] = tag;
    size_t at = 1;
    for (unsigned i = 0; i < CAPNP_WORD; i++) {
        if ((tag >> i & 1) != 0) {
            out[at++] = in[i];
        }
    }
    if (!run) {
        return made;
    }
    size_t most = min_u64(in_words - 1, RUN_MAX);
    size_t more = tag == TAG_ZERO
                      ? zero_run(in + CAPNP_WORD, most)
                      : full_run(in + CAPNP_WORD, min_u64(most, (room - made) / CAPNP_WORD));
    out[at] = (uint8_t)more;
    if (tag == TAG_FULL && more > 0) {
        __builtin_memcpy(out + made, in + CAPNP_WORD, more * CAPNP_WORD);
        made += more * CAPNP_WORD;
    }
    *words += more;
    return made;
}

enum capnp_status capnp_pack(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                             size_t *taken, size_t *made)
{
    *taken = 0;
    *made = 0;
    if (in_bytes % CAPNP_WORD != 0) {
        return CAPNP_BAD_LENGTH;
    }
    while (*taken < in_bytes) {
        size_t words = 0;
        size_t bytes = pack_some((const uint8_t *)in + *taken, (in_bytes - *taken) / CAPNP_WORD,
                                 (uint8_t *)out + *made, out_bytes - *made, &words);
        if (bytes == 0) {
            return CAPNP_NO_ROOM;
        }
        *taken += words * CAPNP_WORD;
        *made += bytes;
    }
    return CAPNP_OK;
}

/* ---- Unpacking ---- */

enum { AT_TAG, IN_WORD, AT_COUNT, IN_ZEROS, IN_FULL };

struct flow {
    const uint8_t *in;
    const uint8_t *in_end;
    uint8_t *out;
    uint8_t *out_end;
};

/* Each step of a state says whether the machine can go on; if not, *status says why. */
static bool stop(enum capnp_status *status, enum capnp_status why)
{
    *status = why;
    return false;
}

static bool step_tag(struct capnp_unpacker *u, struct flow *f, enum capnp_status *status)
{
    if (f->in == f->in_end) {
        return stop(status, CAPNP_OK);
    }
    if (f->out == f->out_end) {
        return stop(status, CAPNP_NO_ROOM);
    }
    u->tag = *f->in++;
    u->bit = 0;
    u->state = IN_WORD;
    return true;
}

static bool step_word(struct capnp_unpacker *u, struct flow *f, enum capnp_status *status)
{
    for (; u->bit < CAPNP_WORD; u->bit++) {
        bool there = (u->tag >> u->bit & 1) != 0;
        if (there && f->in == f->in_end) {
            return stop(status, CAPNP_OK);
        }
        if (f->out == f->out_end) {
            return stop(status, CAPNP_NO_ROOM);
        }
        *f->out++ = there ? *f->in++ : 0;
    }
    u->state = u->tag == TAG_ZERO || u->tag == TAG_FULL ? AT_COUNT : AT_TAG;
    return true;
}

static bool step_count(struct capnp_unpacker *u, struct flow *f, enum capnp_status *status)
{
    if (f->in == f->in_end) {
        return stop(status, CAPNP_OK);
    }
    u->left = (uint32_t)*f->in++ * CAPNP_WORD;
    u->state = u->tag == TAG_ZERO ? IN_ZEROS : IN_FULL;
    return true;
}

static bool step_run(struct capnp_unpacker *u, struct flow *f, enum capnp_status *status)
{
    bool full = u->state == IN_FULL;
    uint64_t n = min_u64(u->left, (uint64_t)(f->out_end - f->out));
    if (full) {
        n = min_u64(n, (uint64_t)(f->in_end - f->in));
    }
    if (n > 0 && full) {
        __builtin_memcpy(f->out, f->in, n);
        f->in += n;
    } else if (n > 0) {
        __builtin_memset(f->out, 0, n);
    }
    f->out += n;
    u->left -= (uint32_t)n;
    if (u->left > 0) {
        return stop(status, full && f->in == f->in_end ? CAPNP_OK : CAPNP_NO_ROOM);
    }
    u->state = AT_TAG;
    return true;
}

enum capnp_status capnp_unpack(struct capnp_unpacker *u, const void *in, size_t in_bytes, void *out,
                               size_t out_bytes, size_t *taken, size_t *made)
{
    *taken = 0;
    *made = 0;
    struct flow f = {in, in, out, out};
    if (in_bytes > 0) { /* else it may be NULL */
        f.in_end += in_bytes;
    }
    if (out_bytes > 0) {
        f.out_end += out_bytes;
    }
    enum capnp_status status = CAPNP_OK;
    for (bool on = true; on;) {
        switch (u->state) {
        case AT_TAG:
            on = step_tag(u, &f, &status);
            break;
        case IN_WORD:
            on = step_word(u, &f, &status);
            break;
        case AT_COUNT:
            on = step_count(u, &f, &status);
            break;
        default:
            on = step_run(u, &f, &status);
            break;
        }
    }
    *taken = in_bytes - (size_t)(f.in_end - f.in);
    *made = out_bytes - (size_t)(f.out_end - f.out);
    return status;
}

bool capnp_unpack_ended(const struct capnp_unpacker *u)
{
    return u->state == AT_TAG;
}

/* Unpacks on until there are `until` bytes; the input must have an end of a run there. */
static enum capnp_status unpack_until(const uint8_t *in, size_t in_bytes, uint8_t *out,
                                      size_t until, size_t *taken, size_t *made)
{
    struct capnp_unpacker u = {0};
    size_t more_taken, more_made;
    enum capnp_status status = capnp_unpack(&u, in + *taken, in_bytes - *taken, out + *made,
                                            until - *made, &more_taken, &more_made);
    *taken += more_taken;
    *made += more_made;
    if (*made == until && capnp_unpack_ended(&u)) {
        return CAPNP_OK;
    }
    return status == CAPNP_NO_ROOM ? CAPNP_BAD_LENGTH : CAPNP_CUT;
}

enum capnp_status capnp_unpack_frame(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                     size_t *taken, size_t *bytes)
{
    size_t at = 0, made = 0;
    *taken = 0;
    for (;;) {
        /* The frame's length as far as it is known: a word, then the table, then all of it. */
        uint32_t count;
        enum capnp_status known = capnp_frame_length(out, made, &count, bytes);
        if (known != CAPNP_OK && known != CAPNP_CUT) {
            return known;
        }
        if (*bytes > out_bytes) {
            return CAPNP_NO_ROOM;
        }
        enum capnp_status status = unpack_until(in, in_bytes, out, *bytes, &at, &made);
        if (status != CAPNP_OK) {
            return status;
        }
        if (known == CAPNP_OK) {
            *taken = at;
            return CAPNP_OK;
        }
    }
}
