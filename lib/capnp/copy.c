/* SPDX-License-Identifier: MIT */
/*
 * A message of several segments, copied to a bare one by its pointers: as it is, or in the canonical form.
 *
 * Theory. A place is a segment's number and a word in it; a segment has at most 2^28 words, a pointer
 * moves by less than 2^29 and no object is larger than 2^33 words, so no sum here can wrap. Every
 * pointer is charged before its target is looked at, as in check.c: at least one word, its landing
 * pad, and one word per element for lists whose elements take no space. So work is linear in the
 * budget however objects overlap, share or contain themselves, and what is written is no more than
 * was charged. Depth counts pointers from the root; the recursion is as deep as that and no deeper.
 *
 * Objects are written in the order in which their pointers come, each whole before what it points
 * at. So offsets are positive and below 2^28, and the copy passes capnp_read_limited()'s bounds by
 * construction; kinds and texts are left to it. Bits behind the end of a list are written as zeros.
 * That is the canonical form already, but for sections that end in zeros: there they are cut, those
 * of the structs in a list to the longest that one of them needs.
 */
#include "lib/capnp/canonical.h"

enum {
    POINTER_STRUCT = 0,
    POINTER_LIST = 1,
    POINTER_FAR = 2,
    CODE_VOID = 0,
    CODE_BIT = 1,
    CODE_POINTER = 6,
    CODE_COMPOSITE = 7,
};

struct copy {
    const struct capnp_segment *segments;
    uint32_t count;
    uint32_t depth; /* left */
    uint64_t budget;
    bool canonical;
    uint8_t *out;
    uint64_t out_words;
    uint64_t used_words;
};

/* Where something lies in the source, or would: inside() tells whether it does. */
struct place {
    uint32_t segment;
    uint64_t word;
};

/* What a pointer leads to: its upper half and kind, and where that begins, which may be nowhere. */
struct target {
    struct place place;
    uint64_t pointer;
};

static enum capnp_status copy_pointer(struct copy *c, struct place from, uint64_t to);

static uint64_t words_of(const struct copy *c, uint32_t segment)
{
    return c->segments[segment].bytes / CAPNP_WORD;
}

static const uint8_t *bytes_at(const struct copy *c, struct place at)
{
    return (const uint8_t *)c->segments[at.segment].base + at.word * CAPNP_WORD;
}

static uint64_t word_at(const struct copy *c, struct place at)
{
    return load_le64(bytes_at(c, at));
}

static struct place behind(struct place at, uint64_t words)
{
    at.word += words;
    return at;
}

/* Are so many words there? A place before the segment is one far behind it. */
static bool inside(const struct copy *c, struct place at, uint64_t words)
{
    uint64_t all = words_of(c, at.segment);
    return at.word <= all && words <= all - at.word;
}

static bool charge(struct copy *c, uint64_t words)
{
    if (words == 0) {
        words = 1;
    }
    if (words > c->budget) {
        c->budget = 0;
        return false;
    }
    c->budget -= words;
    return true;
}

/* The zeroed word after what was written so far, and the `words` from there; false: no room. */
static bool allocate(struct copy *c, uint64_t words, uint64_t *word)
{
    if (words > c->out_words - c->used_words) {
        return false;
    }
    *word = c->used_words;
    if (words > 0) {
        __builtin_memset(c->out + *word * CAPNP_WORD, 0, (size_t)words * CAPNP_WORD);
    }
    c->used_words += words;
    return true;
}

static uint8_t *out_at(const struct copy *c, uint64_t word)
{
    return c->out + word * CAPNP_WORD;
}

/* Writes the pointer at `to` that leads to `word`. `rest` is its upper half and kind. */
static void write_pointer(struct copy *c, uint64_t to, uint64_t word, uint64_t rest)
{
    store_le64(out_at(c, to), rest | ((word - to - 1) & 0x3fffffff) << 2);
}

/* Where a near pointer, which lies at `at`, leads. */
static enum capnp_status near_target(struct place at, uint64_t pointer, struct target *out)
{
    if ((pointer & 3) > POINTER_LIST) {
        return CAPNP_BAD_POINTER; /* a capability, or a landing pad that leads on */
    }
    int64_t offset = (int32_t)(uint32_t)pointer >> 2;
    out->place.segment = at.segment;
    out->place.word = (uint64_t)((int64_t)at.word + 1 + offset);
    out->pointer = pointer;
    return CAPNP_OK;
}

/* Finds the landing pad of `words` words that a far pointer names. */
static enum capnp_status landing_pad(struct copy *c, uint64_t far, uint64_t words,
                                     struct place *pad)
{
    pad->segment = (uint32_t)(far >> 32);
    pad->word = (uint32_t)far >> 3;
    if (pad->segment >= c->count || !inside(c, *pad, words)) {
        return CAPNP_OUT_OF_BOUNDS;
    }
    return charge(c, words) ? CAPNP_OK : CAPNP_TOO_MUCH;
}

/* Follows a pointer over at most two segments. A pad of two words holds a far pointer to the object
 * itself and a pointer without place that says what it is. */
static enum capnp_status follow(struct copy *c, struct place at, struct target *out)
{
    enum { DOUBLED = 4 };
    uint64_t pointer = word_at(c, at);
    if ((pointer & 3) != POINTER_FAR) {
        return near_target(at, pointer, out);
    }
    struct place pad;
    bool doubled = (pointer & DOUBLED) != 0;
    enum capnp_status status = landing_pad(c, pointer, doubled ? 2 : 1, &pad);
    if (status != CAPNP_OK) {
        return status;
    }
    if (!doubled) {
        return near_target(pad, word_at(c, pad), out);
    }
    uint64_t far = word_at(c, pad);
    out->pointer = word_at(c, behind(pad, 1));
    if ((far & 7) != POINTER_FAR || (out->pointer & 3) > POINTER_LIST) {
        return CAPNP_BAD_POINTER;
    }
    out->place.segment = (uint32_t)(far >> 32);
    out->place.word = (uint32_t)far >> 3;
    return out->place.segment < c->count ? CAPNP_OK : CAPNP_OUT_OF_BOUNDS;
}

/* Copies what `count` pointers lead to; the pointers themselves go from `from` to `to`. */
static enum capnp_status copy_pointers(struct copy *c, struct place from, uint64_t to,
                                       uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        enum capnp_status status = copy_pointer(c, behind(from, i), to + i);
        if (status != CAPNP_OK) {
            return status;
        }
    }
    return CAPNP_OK;
}

/* Words from `from` on, of which the last is not zero; `most` in all. */
static uint64_t without_zeros(const struct copy *c, struct place from, uint64_t most)
{
    while (most > 0 && word_at(c, behind(from, most - 1)) == 0) {
        most--;
    }
    return most;
}

static enum capnp_status copy_struct(struct copy *c, const struct target *t, uint64_t to)
{
    uint64_t data_words = (t->pointer >> 32) & 0xffff, pointers = t->pointer >> 48, word;
    if (!inside(c, t->place, data_words + pointers)) {
        return CAPNP_OUT_OF_BOUNDS;
    }
    if (!charge(c, data_words + pointers)) {
        return CAPNP_TOO_MUCH;
    }
    struct place first = behind(t->place, data_words);
    if (c->canonical) {
        data_words = without_zeros(c, t->place, data_words);
        pointers = without_zeros(c, first, pointers);
    }
    if (!allocate(c, data_words + pointers, &word)) {
        return CAPNP_NO_ROOM;
    }
    /* A struct without words points at its own pointer: null would mean absent. */
    write_pointer(c, to, data_words + pointers == 0 ? to : word, data_words << 32 | pointers << 48);
    if (data_words > 0) {
        __builtin_memcpy(out_at(c, word), bytes_at(c, t->place), (size_t)data_words * CAPNP_WORD);
    }
    return copy_pointers(c, first, word + data_words, pointers);
}

/* The sections of a list's structs: as they lie there, and as they are written. */
struct sections {
    uint64_t data_words;
    uint64_t pointers;
};

/* The longest sections that any of `count` structs needs. */
static struct sections needed(const struct copy *c, struct place first, uint64_t count,
                              struct sections there)
{
    struct sections most = {0, 0};
    uint64_t step = there.data_words + there.pointers;
    for (uint64_t i = 0; step != 0 && i < count; i++) {
        struct place at = behind(first, i * step);
        most.data_words = max_u64(most.data_words, without_zeros(c, at, there.data_words));
        most.pointers =
            max_u64(most.pointers, without_zeros(c, behind(at, there.data_words), there.pointers));
    }
    return most;
}

static enum capnp_status copy_element(struct copy *c, struct place from, struct sections there,
                                      uint64_t to, struct sections kept)
{
    if (kept.data_words > 0) {
        __builtin_memcpy(out_at(c, to), bytes_at(c, from), (size_t)kept.data_words * CAPNP_WORD);
    }
    return copy_pointers(c, behind(from, there.data_words), to + kept.data_words, kept.pointers);
}

/* A list of structs: a tag word, then the elements. Words that no element takes are left out. */
static enum capnp_status copy_composite(struct copy *c, const struct target *t, uint64_t to)
{
    uint64_t words = t->pointer >> 35, tag_word;
    if (!inside(c, t->place, words + 1)) {
        return CAPNP_OUT_OF_BOUNDS;
    }
    uint64_t tag = word_at(c, t->place);
    uint64_t count = (tag >> 2) & 0x3fffffff;
    struct sections there = {(tag >> 32) & 0xffff, tag >> 48};
    uint64_t step = there.data_words + there.pointers;
    if ((tag & 3) != POINTER_STRUCT || count * step > words) {
        return CAPNP_BAD_LIST;
    }
    if (!charge(c, words + 1 + (step == 0 ? count : 0))) {
        return CAPNP_TOO_MUCH;
    }
    struct place first = behind(t->place, 1);
    struct sections kept = c->canonical ? needed(c, first, count, there) : there;
    uint64_t kept_step = kept.data_words + kept.pointers;
    if (!allocate(c, 1 + count * kept_step, &tag_word)) {
        return CAPNP_NO_ROOM;
    }
    write_pointer(c, to, tag_word,
                  POINTER_LIST | (uint64_t)CODE_COMPOSITE << 32 | count * kept_step << 35);
    store_le64(out_at(c, tag_word), count << 2 | kept.data_words << 32 | kept.pointers << 48);
    for (uint64_t i = 0; kept_step != 0 && i < count; i++) {
        enum capnp_status status =
            copy_element(c, behind(first, i * step), there, tag_word + 1 + i * kept_step, kept);
        if (status != CAPNP_OK) {
            return status;
        }
    }
    return CAPNP_OK;
}

/* The elements of a list of scalars; no bits but theirs. */
static void copy_scalars(struct copy *c, struct place from, uint64_t word, uint64_t bits)
{
    if (bits == 0) {
        return;
    }
    size_t bytes = (size_t)((bits + 7) / 8);
    __builtin_memcpy(out_at(c, word), bytes_at(c, from), bytes);
    if (bits % 8 != 0) {
        uint8_t *last = out_at(c, word) + bytes - 1;
        *last = (uint8_t)(*last & ((1u << bits % 8) - 1));
    }
}

static enum capnp_status copy_list(struct copy *c, const struct target *t, uint64_t to)
{
    static const uint8_t code_bits[] = {0, 1, 8, 16, 32, 64, 64};
    uint64_t code = (t->pointer >> 32) & 7, count = t->pointer >> 35, word;
    if (code == CODE_COMPOSITE) {
        return copy_composite(c, t, to);
    }
    uint64_t bits = count * code_bits[code], words = (bits + 63) / 64;
    if (!inside(c, t->place, words)) {
        return CAPNP_OUT_OF_BOUNDS;
    }
    if (!charge(c, code == CODE_VOID ? count : words)) {
        return CAPNP_TOO_MUCH;
    }
    if (!allocate(c, words, &word)) {
        return CAPNP_NO_ROOM;
    }
    write_pointer(c, to, word, POINTER_LIST | code << 32 | count << 35);
    if (code == CODE_POINTER) {
        return copy_pointers(c, t->place, word, count);
    }
    copy_scalars(c, t->place, word, bits);
    return CAPNP_OK;
}

/* Copies the pointer at `from`, if it is not null, and all it leads to; the word at `to` is zero. */
static enum capnp_status copy_pointer(struct copy *c, struct place from, uint64_t to)
{
    struct target t;
    if (word_at(c, from) == 0) {
        return CAPNP_OK;
    }
    if (c->depth == 0) {
        return CAPNP_TOO_DEEP;
    }
    enum capnp_status status = follow(c, from, &t);
    if (status != CAPNP_OK) {
        return status;
    }
    c->depth--;
    status = (t.pointer & 3) == POINTER_STRUCT ? copy_struct(c, &t, to) : copy_list(c, &t, to);
    c->depth++;
    return status;
}

static enum capnp_status lengths_ok(const struct capnp_segment *segments, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (segments[i].bytes % CAPNP_WORD != 0 || segments[i].bytes > CAPNP_SEGMENT_MAX_BYTES) {
            return CAPNP_BAD_LENGTH;
        }
    }
    return CAPNP_OK;
}

/* The copy, but for the root. */
static enum capnp_status copy_message(struct copy *c, const struct capnp_limits *limits, void *out,
                                      size_t out_bytes, size_t *len)
{
    uint64_t root;
    c->depth = limits->depth;
    c->budget = limits->words;
    c->out = out;
    c->out_words = min_u64(out_bytes, CAPNP_SEGMENT_MAX_BYTES) / CAPNP_WORD;
    c->used_words = 0;
    if (!allocate(c, 1, &root)) {
        return CAPNP_NO_ROOM;
    }
    bool empty = c->count == 0 || c->segments[0].bytes == 0;
    enum capnp_status status = empty ? CAPNP_OK : copy_pointer(c, (struct place){0, 0}, root);
    if (status != CAPNP_OK) {
        return status;
    }
    if (c->canonical && load_le64(out) == 0) {
        write_pointer(c, root, root,
                      POINTER_STRUCT); /* the one form of a root that is all defaults */
    }
    if (c->canonical && (load_le64(out) & 3) != POINTER_STRUCT) {
        return CAPNP_BAD_KIND;
    }
    *len = (size_t)c->used_words * CAPNP_WORD;
    return CAPNP_OK;
}

static struct capnp_limits limits_of(const struct capnp_segment *segments, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t more = segments[i].bytes;
        bytes = more > SIZE_MAX / 2 - bytes ? SIZE_MAX / 2 : bytes + more;
    }
    return capnp_default_limits(bytes);
}

enum capnp_status capnp_gather_limited(const struct capnp_segment *segments, uint32_t count,
                                       const struct capnp_limits *limits, void *out,
                                       size_t out_bytes, size_t *len)
{
    *len = 0;
    enum capnp_status status = lengths_ok(segments, count);
    if (status != CAPNP_OK || count == 0 || segments[0].bytes == 0) {
        return status;
    }
    struct copy c = {.segments = segments, .count = count, .canonical = false};
    return copy_message(&c, limits, out, out_bytes, len);
}

enum capnp_status capnp_gather(const struct capnp_segment *segments, uint32_t count, void *out,
                               size_t out_bytes, size_t *len)
{
    struct capnp_limits limits = limits_of(segments, count);
    return capnp_gather_limited(segments, count, &limits, out, out_bytes, len);
}

enum capnp_status capnp_canonical_limited(const struct capnp_segment *segments, uint32_t count,
                                          const struct capnp_limits *limits, void *out,
                                          size_t out_bytes, size_t *len)
{
    *len = 0;
    enum capnp_status status = lengths_ok(segments, count);
    if (status != CAPNP_OK) {
        return status;
    }
    struct copy c = {.segments = segments, .count = count, .canonical = true};
    return copy_message(&c, limits, out, out_bytes, len);
}

enum capnp_status capnp_canonical(const struct capnp_segment *segments, uint32_t count, void *out,
                                  size_t out_bytes, size_t *len)
{
    struct capnp_limits limits = limits_of(segments, count);
    return capnp_canonical_limited(segments, count, &limits, out, out_bytes, len);
}
