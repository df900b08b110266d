/* SPDX-License-Identifier: MIT */
/*
 * Building a bare message in a caller's buffer. Objects are laid out in the order they are
 * initialised, so every offset is positive and below 2^28. A failed allocation notes its status in
 * the builder and yields a view of size 0, which swallows what is done to it. Outside the kernel the
 * builder may be a segment of several: then an allocation that fails is tried in another one
 * (segmented.c), and the view that is handed out has that one's builder.
 */
#include "lib/capnp/capnp.h"

enum {
    CODE_VOID = 0,
    CODE_BYTE = 2,
    CODE_POINTER = 6,
    CODE_COMPOSITE = 7,
    LIST_MAX = (1 << 29) - 1,
};

#define NO_WORD UINT32_MAX

static uint8_t *word_ptr(const struct capnp_builder *b, uint32_t word)
{
    return b->base + (size_t)word * 8;
}

#if defined(CAPNP_HAS_SEGMENTS)
static bool is_segment(const struct capnp_builder *b)
{
    return b->segment != 0;
}

/* The segment that a list asked of `b` came to lie in. */
static struct capnp_builder *holder_of(struct capnp_builder *b, struct capnp_list_b l)
{
    (void)b;
    return l.b;
}
#else
static bool is_segment(const struct capnp_builder *b)
{
    (void)b;
    return false;
}

static bool capnp_spill(struct capnp_builder **b, uint32_t *at, uint64_t words)
{
    (void)b;
    (void)at;
    (void)words;
    return false;
}

static struct capnp_builder *holder_of(struct capnp_builder *b, struct capnp_list_b l)
{
    (void)l;
    return b;
}
#endif

/* Zeroed words; NO_WORD without room. The failure is noted, but in a segment: there may be others. */
static uint32_t allocate(struct capnp_builder *b, uint64_t words)
{
    if (b->status != CAPNP_OK || words > b->capacity_words - b->used_words) {
        if (!is_segment(b)) {
            capnp_builder_fail(b, CAPNP_NO_ROOM);
        }
        return NO_WORD;
    }
    uint32_t word = b->used_words;
    if (words <= 8) {
        for (uint32_t i = 0; i < words; i++) {
            store_le64(word_ptr(b, word + i), 0);
        }
    } else {
        __builtin_memset(word_ptr(b, word), 0, (size_t)words * 8);
    }
    b->used_words += (uint32_t)words;
    return word;
}

/* Writes the pointer at word `at` to target `word`; `rest` is the upper half and the kind. */
static void write_pointer(struct capnp_builder *b, uint32_t at, uint32_t word, uint64_t rest)
{
    uint64_t offset = (uint64_t)(word - at - 1) & 0x3fffffff;
    store_le64(word_ptr(b, at), rest | offset << 2);
}

static struct capnp_struct_b no_struct(struct capnp_builder *b)
{
    struct capnp_struct_b s = {b, 0, 0, 0};
    return s;
}

static struct capnp_list_b no_list(struct capnp_builder *b, enum capnp_kind kind)
{
    struct capnp_list_b l = {b, 0, 0, 0, 0, kind};
    return l;
}

/* Allocates a struct for the pointer at word `at`. */
static struct capnp_struct_b struct_at(struct capnp_builder *b, uint32_t at, uint16_t data_words,
                                       uint16_t ptr_count)
{
    uint64_t words = (uint64_t)data_words + ptr_count;
    uint32_t word = allocate(b, words);
    if (word == NO_WORD) {
        return capnp_spill(&b, &at, words) ? struct_at(b, at, data_words, ptr_count) : no_struct(b);
    }
    uint64_t sizes = (uint64_t)data_words << 32 | (uint64_t)ptr_count << 48;
    /* A struct without words points at its own pointer: null would mean absent. */
    write_pointer(b, at, sizes == 0 ? at : word, sizes);
    struct capnp_struct_b s = {b, word, data_words, ptr_count};
    return s;
}

struct capnp_struct_b capnp_init_root_general(struct capnp_builder *b, uint16_t data_words,
                                              uint16_t ptr_count)
{
    b->used_words = 0;
    uint32_t at = allocate(b, 1);
    return at == NO_WORD ? no_struct(b) : struct_at(b, at, data_words, ptr_count);
}

/* The word of pointer `slot`; NO_WORD (failure noted) outside the struct. */
static uint32_t slot_of(struct capnp_struct_b s, uint32_t slot)
{
    if (slot >= s.ptr_count) {
        capnp_builder_fail(s.b, CAPNP_BAD_USE);
        return NO_WORD;
    }
    return s.word + s.data_words + slot;
}

/* The word of pointer element i. */
static uint32_t element_slot(struct capnp_list_b l, uint32_t i)
{
    bool pointers =
        l.kind == CAPNP_KIND_TEXT || l.kind == CAPNP_KIND_DATA || l.kind == CAPNP_KIND_LIST;
    if (i >= l.count || !pointers) {
        capnp_builder_fail(l.b, CAPNP_BAD_USE);
        return NO_WORD;
    }
    return l.word + i;
}

static uint32_t code_of(enum capnp_kind kind)
{
    switch (kind) {
    case CAPNP_KIND_VOID:
    case CAPNP_KIND_BOOL:
    case CAPNP_KIND_BITS8:
    case CAPNP_KIND_BITS16:
    case CAPNP_KIND_BITS32:
    case CAPNP_KIND_BITS64:
        return (uint32_t)kind; /* the wire's codes in the wire's order */
    case CAPNP_KIND_TEXT:
    case CAPNP_KIND_DATA:
    case CAPNP_KIND_LIST:
        return CODE_POINTER;
    case CAPNP_KIND_STRUCT:
        break;
    }
    return CODE_COMPOSITE;
}

/* Allocates a list of `count` elements of `kind` for the pointer at word `at`. */
static struct capnp_list_b list_at(struct capnp_builder *b, uint32_t at, enum capnp_kind kind,
                                   uint64_t count)
{
    static const uint8_t code_bits[] = {0, 1, 8, 16, 32, 64, 64};
    uint32_t code = code_of(kind);
    if (code == CODE_COMPOSITE || count > LIST_MAX) {
        capnp_builder_fail(b, CAPNP_BAD_USE);
        return no_list(b, kind);
    }
    uint64_t words = (count * code_bits[code] + 63) / 64;
    uint32_t word = allocate(b, words);
    if (word == NO_WORD) {
        return capnp_spill(&b, &at, words) ? list_at(b, at, kind, count) : no_list(b, kind);
    }
    write_pointer(b, at, word, 1 | (uint64_t)code << 32 | count << 35);
    struct capnp_list_b l = {b, word, (uint32_t)count, 0, 0, kind};
    return l;
}

static struct capnp_list_b struct_list_at(struct capnp_builder *b, uint32_t at, uint16_t data_words,
                                          uint16_t ptr_count, uint32_t count)
{
    uint64_t words = (uint64_t)count * ((uint64_t)data_words + ptr_count);
    if (count > LIST_MAX || words > LIST_MAX) {
        capnp_builder_fail(b, CAPNP_NO_ROOM);
        return no_list(b, CAPNP_KIND_STRUCT);
    }
    uint32_t tag = allocate(b, 1 + words);
    if (tag == NO_WORD) {
        return capnp_spill(&b, &at, 1 + words) ? struct_list_at(b, at, data_words, ptr_count, count)
                                               : no_list(b, CAPNP_KIND_STRUCT);
    }
    uint64_t sizes = (uint64_t)data_words << 32 | (uint64_t)ptr_count << 48;
    store_le64(word_ptr(b, tag), sizes | (uint64_t)count << 2);
    write_pointer(b, at, tag, 1 | (uint64_t)CODE_COMPOSITE << 32 | words << 35);
    struct capnp_list_b l = {b, tag + 1, count, data_words, ptr_count, CAPNP_KIND_STRUCT};
    return l;
}

/* Copies bytes, or with ptr NULL leaves zeros, behind the pointer at word `at`. */
static uint8_t *bytes_at(struct capnp_builder *b, uint32_t at, const void *ptr, size_t len,
                         size_t extra)
{
    if (len > LIST_MAX - extra) {
        capnp_builder_fail(b, CAPNP_NO_ROOM);
        return NULL;
    }
    struct capnp_list_b l = list_at(b, at, CAPNP_KIND_BITS8, len + extra);
    b = holder_of(b, l);
    if (b->status != CAPNP_OK) {
        return NULL;
    }
    uint8_t *bytes = word_ptr(b, l.word);
    if (ptr != NULL && len > 0) {
        __builtin_memcpy(bytes, ptr, len);
    }
    return bytes;
}

static void text_at(struct capnp_builder *b, uint32_t at, const char *ptr, size_t len)
{
    if (len > 0 && !capnp_utf8_valid(ptr, len)) {
        capnp_builder_fail(b, CAPNP_BAD_TEXT);
        return;
    }
    (void)bytes_at(b, at, ptr, len, 1);
}

struct capnp_struct_b capnp_init_struct(struct capnp_struct_b s, uint32_t slot, uint16_t data_words,
                                        uint16_t ptr_count)
{
    uint32_t at = slot_of(s, slot);
    return at == NO_WORD ? no_struct(s.b) : struct_at(s.b, at, data_words, ptr_count);
}

void capnp_set_text(struct capnp_struct_b s, uint32_t slot, const char *ptr, size_t len)
{
    uint32_t at = slot_of(s, slot);
    if (at != NO_WORD) {
        text_at(s.b, at, ptr, len);
    }
}

void capnp_set_data(struct capnp_struct_b s, uint32_t slot, const void *ptr, size_t len)
{
    uint32_t at = slot_of(s, slot);
    if (at != NO_WORD) {
        (void)bytes_at(s.b, at, ptr, len, 0);
    }
}

uint8_t *capnp_init_data(struct capnp_struct_b s, uint32_t slot, size_t len)
{
    uint32_t at = slot_of(s, slot);
    return at == NO_WORD ? NULL : bytes_at(s.b, at, NULL, len, 0);
}

struct capnp_list_b capnp_init_list(struct capnp_struct_b s, uint32_t slot, enum capnp_kind kind,
                                    uint32_t count)
{
    uint32_t at = slot_of(s, slot);
    return at == NO_WORD ? no_list(s.b, kind) : list_at(s.b, at, kind, count);
}

struct capnp_list_b capnp_init_struct_list(struct capnp_struct_b s, uint32_t slot,
                                           uint16_t data_words, uint16_t ptr_count, uint32_t count)
{
    uint32_t at = slot_of(s, slot);
    return at == NO_WORD ? no_list(s.b, CAPNP_KIND_STRUCT)
                         : struct_list_at(s.b, at, data_words, ptr_count, count);
}

/* Where element i of a scalar list of this kind lies; NULL (failure noted) outside it. */
static uint8_t *scalar_at(struct capnp_list_b l, uint32_t i, enum capnp_kind kind, uint32_t bytes)
{
    if (i >= l.count || l.kind != kind) {
        capnp_builder_fail(l.b, CAPNP_BAD_USE);
        return NULL;
    }
    return word_ptr(l.b, l.word) + (size_t)i * bytes;
}

void capnp_list_bool_set(struct capnp_list_b l, uint32_t i, bool v)
{
    if (i >= l.count || l.kind != CAPNP_KIND_BOOL) {
        capnp_builder_fail(l.b, CAPNP_BAD_USE);
        return;
    }
    uint8_t *p = word_ptr(l.b, l.word) + i / 8;
    uint8_t bit = (uint8_t)(1u << (i % 8));
    *p = (uint8_t)(v ? (*p | bit) : (*p & (uint8_t)~bit));
}

void capnp_list_u8_set(struct capnp_list_b l, uint32_t i, uint8_t v)
{
    uint8_t *p = scalar_at(l, i, CAPNP_KIND_BITS8, 1);
    if (p != NULL) {
        *p = v;
    }
}

void capnp_list_u16_set(struct capnp_list_b l, uint32_t i, uint16_t v)
{
    uint8_t *p = scalar_at(l, i, CAPNP_KIND_BITS16, 2);
    if (p != NULL) {
        store_le16(p, v);
    }
}

void capnp_list_u32_set(struct capnp_list_b l, uint32_t i, uint32_t v)
{
    uint8_t *p = scalar_at(l, i, CAPNP_KIND_BITS32, 4);
    if (p != NULL) {
        store_le32(p, v);
    }
}

void capnp_list_u64_copy(struct capnp_list_b l, const uint64_t *values, uint32_t count)
{
    uint8_t *p = count != 0 && count <= l.count ? scalar_at(l, 0, CAPNP_KIND_BITS64, 8) : NULL;
    if (p == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        store_le64(p + i * 8, values[i]);
    }
}

void capnp_list_u64_set(struct capnp_list_b l, uint32_t i, uint64_t v)
{
    uint8_t *p = scalar_at(l, i, CAPNP_KIND_BITS64, 8);
    if (p != NULL) {
        store_le64(p, v);
    }
}

struct capnp_struct_b capnp_list_struct_b_at(struct capnp_list_b l, uint32_t i)
{
    if (i >= l.count || l.kind != CAPNP_KIND_STRUCT) {
        capnp_builder_fail(l.b, CAPNP_BAD_USE);
        return no_struct(l.b);
    }
    uint32_t step = (uint32_t)l.data_words + l.ptr_count;
    struct capnp_struct_b s = {l.b, l.word + i * step, l.data_words, l.ptr_count};
    return s;
}

void capnp_text_list_set(struct capnp_list_b l, uint32_t i, const char *ptr, size_t len)
{
    uint32_t at = element_slot(l, i);
    if (at != NO_WORD) {
        text_at(l.b, at, ptr, len);
    }
}

void capnp_data_list_set(struct capnp_list_b l, uint32_t i, const void *ptr, size_t len)
{
    uint32_t at = element_slot(l, i);
    if (at != NO_WORD) {
        (void)bytes_at(l.b, at, ptr, len, 0);
    }
}

struct capnp_list_b capnp_list_list_init(struct capnp_list_b l, uint32_t i, enum capnp_kind kind,
                                         uint32_t count)
{
    uint32_t at = element_slot(l, i);
    return at == NO_WORD ? no_list(l.b, kind) : list_at(l.b, at, kind, count);
}

struct capnp_list_b capnp_list_struct_list_init(struct capnp_list_b l, uint32_t i,
                                                uint16_t data_words, uint16_t ptr_count,
                                                uint32_t count)
{
    uint32_t at = element_slot(l, i);
    return at == NO_WORD ? no_list(l.b, CAPNP_KIND_STRUCT)
                         : struct_list_at(l.b, at, data_words, ptr_count, count);
}
