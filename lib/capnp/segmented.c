/* SPDX-License-Identifier: MIT */
/*
 * Building over several buffers. Each segment is a capnp_builder, so setters write where their
 * struct lies and know nothing of the others. Only an allocation that does not fit comes here
 * (build.c): the object is put behind a landing pad into a segment with room for both, and the
 * pointer becomes a far one. So a pad is always beside its object, and no far pointer is doubled.
 */
#include "lib/capnp/segments.h"

void capnp_segmented_init(struct capnp_segmented *w, void *first, size_t bytes, capnp_more *more,
                          void *context)
{
    w->count = 1;
    w->more = more;
    w->context = context;
    capnp_builder_init(&w->segments[0], first, bytes);
    w->segments[0].segment = 1;
    if (bytes < CAPNP_WORD) {
        w->segments[0].status = CAPNP_NO_ROOM;
    }
}

static bool has_room(const struct capnp_builder *b, uint64_t words)
{
    return b->status == CAPNP_OK && words <= b->capacity_words - b->used_words;
}

/* A segment with room for so many words: the newest, or one more. NULL: there is none. */
static struct capnp_builder *roomy(struct capnp_segmented *w, uint64_t words)
{
    struct capnp_builder *last = &w->segments[w->count - 1];
    if (has_room(last, words)) {
        return last;
    }
    size_t bytes = 0;
    bool can = w->count < CAPNP_SEGMENTS_MAX && w->more != NULL &&
               words <= CAPNP_SEGMENT_MAX_BYTES / CAPNP_WORD;
    void *buffer = can ? w->more(w->context, (size_t)words * CAPNP_WORD, &bytes) : NULL;
    if (buffer == NULL || bytes / CAPNP_WORD < words) {
        return NULL;
    }
    struct capnp_builder *next = &w->segments[w->count];
    capnp_builder_init(next, buffer, bytes);
    next->segment = ++w->count;
    return next;
}

bool capnp_spill(struct capnp_builder **b, uint32_t *at, uint64_t words)
{
    struct capnp_builder *from = *b;
    if (from->segment == 0 || from->status != CAPNP_OK) {
        return false;
    }
    struct capnp_builder *first = from - (from->segment - 1);
    struct capnp_segmented *w =
        (struct capnp_segmented *)(void *)((uint8_t *)first -
                                           offsetof(struct capnp_segmented, segments));
    struct capnp_builder *to = roomy(w, words + 1);
    if (to == NULL) {
        capnp_builder_fail(from, CAPNP_NO_ROOM);
        return false;
    }
    enum { POINTER_FAR = 2 };
    uint64_t pad = to->used_words++;
    store_le64(from->base + (size_t)*at * CAPNP_WORD,
               POINTER_FAR | pad << 3 | (uint64_t)(to->segment - 1) << 32);
    *b = to;
    *at = (uint32_t)pad;
    return true;
}

enum capnp_status capnp_segmented_finish(const struct capnp_segmented *w, struct capnp_segment *out,
                                         uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->segments[i].status != CAPNP_OK) {
            return w->segments[i].status;
        }
    }
    for (uint32_t i = 0; i < w->count; i++) {
        out[i].base = w->segments[i].base;
        out[i].bytes = (size_t)w->segments[i].used_words * CAPNP_WORD;
    }
    *count = w->count;
    return CAPNP_OK;
}
