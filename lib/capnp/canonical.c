/* SPDX-License-Identifier: MIT */
/*
 * Is a message in the canonical form?
 *
 * Theory. In that form the next object begins where the last one ended, so a walk along the pointers
 * needs one number, the head, and every object must lie there. An object moves the head by all of
 * its words before its pointers are looked at; so no word is looked at twice, and work is linear
 * whatever the bytes are. Objects without words move nothing, but have no pointers either.
 */
#include "lib/capnp/canonical.h"

enum {
    POINTER_STRUCT = 0,
    POINTER_LIST = 1,
    CODE_POINTER = 6,
    CODE_COMPOSITE = 7,
    NO_OFFSET = 0x3fffffff, /* -1: a struct without words points at its own pointer */
};

struct walk {
    const uint8_t *base;
    uint64_t words;
    uint64_t head;
    uint32_t depth; /* left */
};

static enum capnp_status walk_pointer(struct walk *w, uint64_t at);

static uint64_t word_at(const struct walk *w, uint64_t at)
{
    return load_le64(w->base + at * CAPNP_WORD);
}

/* Does the pointer at `at` lead to the head, and are so many words there? Takes them. */
static bool take(struct walk *w, uint64_t at, uint64_t pointer, uint64_t words)
{
    uint64_t offset = (pointer >> 2) & 0x3fffffff;
    if (at + 1 + offset != w->head || words > w->words - w->head) {
        return false;
    }
    w->head += words;
    return true;
}

static enum capnp_status walk_pointers(struct walk *w, uint64_t at, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        enum capnp_status status = walk_pointer(w, at + i);
        if (status != CAPNP_OK) {
            return status;
        }
    }
    return CAPNP_OK;
}

static enum capnp_status walk_struct(struct walk *w, uint64_t at, uint64_t pointer)
{
    uint64_t data_words = (pointer >> 32) & 0xffff, pointers = pointer >> 48;
    uint64_t object = w->head;
    if (data_words + pointers == 0) {
        return ((pointer >> 2) & 0x3fffffff) == NO_OFFSET ? CAPNP_OK : CAPNP_NOT_CANONICAL;
    }
    if (!take(w, at, pointer, data_words + pointers) ||
        (data_words > 0 && word_at(w, object + data_words - 1) == 0) ||
        (pointers > 0 && word_at(w, object + data_words + pointers - 1) == 0)) {
        return CAPNP_NOT_CANONICAL;
    }
    return walk_pointers(w, object + data_words, pointers);
}

static enum capnp_status walk_composite(struct walk *w, uint64_t at, uint64_t pointer)
{
    uint64_t words = pointer >> 35, first = w->head + 1;
    if (!take(w, at, pointer, words + 1)) {
        return CAPNP_NOT_CANONICAL;
    }
    uint64_t tag = word_at(w, first - 1);
    uint64_t count = (tag >> 2) & 0x3fffffff;
    uint64_t data_words = (tag >> 32) & 0xffff, pointers = tag >> 48, step = data_words + pointers;
    if ((tag & 3) != POINTER_STRUCT || count * step != words) {
        return CAPNP_NOT_CANONICAL;
    }
    bool data_needed = data_words == 0, pointers_needed = pointers == 0;
    for (uint64_t i = 0; step != 0 && i < count; i++) {
        uint64_t element = first + i * step;
        data_needed = data_needed || word_at(w, element + data_words - 1) != 0;
        pointers_needed = pointers_needed || word_at(w, element + step - 1) != 0;
    }
    enum capnp_status status = data_needed && pointers_needed ? CAPNP_OK : CAPNP_NOT_CANONICAL;
    for (uint64_t i = 0; pointers != 0 && i < count && status == CAPNP_OK; i++) {
        status = walk_pointers(w, first + i * step + data_words, pointers);
    }
    return status;
}

/* Are the bits behind a list's end, which has so many, zeros? */
static bool is_clean(const struct walk *w, uint64_t at, uint64_t bits)
{
    return bits % 64 == 0 || word_at(w, at + bits / 64) >> bits % 64 == 0;
}

static enum capnp_status walk_list(struct walk *w, uint64_t at, uint64_t pointer)
{
    static const uint8_t code_bits[] = {0, 1, 8, 16, 32, 64, 64};
    uint64_t code = (pointer >> 32) & 7, count = pointer >> 35, object = w->head;
    if (code == CODE_COMPOSITE) {
        return walk_composite(w, at, pointer);
    }
    uint64_t bits = count * code_bits[code];
    if (!take(w, at, pointer, (bits + 63) / 64)) {
        return CAPNP_NOT_CANONICAL;
    }
    if (code == CODE_POINTER) {
        return walk_pointers(w, object, count);
    }
    return is_clean(w, object, bits) ? CAPNP_OK : CAPNP_NOT_CANONICAL;
}

static enum capnp_status walk_pointer(struct walk *w, uint64_t at)
{
    uint64_t pointer = word_at(w, at);
    if (pointer == 0) {
        return CAPNP_OK;
    }
    if ((pointer & 3) > POINTER_LIST) {
        return CAPNP_NOT_CANONICAL;
    }
    if (w->depth == 0) {
        return CAPNP_TOO_DEEP;
    }
    w->depth--;
    enum capnp_status status =
        (pointer & 3) == POINTER_STRUCT ? walk_struct(w, at, pointer) : walk_list(w, at, pointer);
    w->depth++;
    return status;
}

enum capnp_status capnp_check_canonical(const void *msg, size_t len_bytes, uint32_t depth)
{
    struct walk w = {msg, len_bytes / CAPNP_WORD, 1, depth};
    if (len_bytes == 0 || len_bytes % CAPNP_WORD != 0 || len_bytes > CAPNP_SEGMENT_MAX_BYTES ||
        word_at(&w, 0) == 0 || (word_at(&w, 0) & 3) != POINTER_STRUCT) {
        return CAPNP_NOT_CANONICAL;
    }
    enum capnp_status status = walk_pointer(&w, 0);
    return status == CAPNP_OK && w.head != w.words ? CAPNP_NOT_CANONICAL : status;
}
