/* SPDX-License-Identifier: MIT */
/*
 * The one door for foreign messages: validates a bare message against a type table.
 *
 * Theory. Positions are word indices in uint64_t; a message has at most 2^28 words, a pointer moves
 * by less than 2^29 and no object is larger than 2^33 words, so no sum here can wrap. Every pointer
 * is charged before its target is looked at: at least one word, and one word per element for lists
 * whose elements take no space, so work is linear in the budget however the objects overlap or
 * refer back to themselves. Depth counts pointers from the root; the recursion is as deep as that
 * limit and no deeper.
 *
 * A pointer the type table knows is checked against its kind; one it does not know (a newer
 * sender's field, or a union member that is not active) only has to stay inside the message. The
 * compatibility rules for lists are those of the reference implementation: elements may be larger
 * than expected, bit lists stand only for bit lists, text and data only for byte lists.
 */
#include "lib/base/bits.h"
#include "lib/capnp/capnp.h"

struct check {
    const uint8_t *base;
    uint64_t words;
    uint64_t budget;
    uint32_t depth; /* left */
};

static enum capnp_status check_pointer(struct check *c, uint64_t at, const struct capnp_type *type);

static uint64_t word_at(const struct check *c, uint64_t at)
{
    return load_le64(c->base + at * 8);
}

static bool charge(struct check *c, uint64_t words)
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

/* Where the pointer at `at` leads; false when that is before the message or past its end. */
static bool target_of(const struct check *c, uint64_t at, uint64_t pointer, uint64_t *target)
{
    int64_t offset = (int32_t)(uint32_t)pointer >> 2;
    int64_t index = (int64_t)at + 1 + offset;
    if (index < 0 || (uint64_t)index > c->words) {
        return false;
    }
    *target = (uint64_t)index;
    return true;
}

static bool condition_holds(const struct capnp_condition *when, struct capnp_struct s)
{
    for (; when != NULL; when = when->outer) {
        if (capnp_get_u16(s, when->offset_bytes / 2, 0) != when->value) {
            return false;
        }
    }
    return true;
}

/* The usual text, looked at by words. */
static bool is_ascii(const uint8_t *p, size_t len)
{
    uint64_t seen = 0;
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        seen |= load_le64(p + i);
    }
    if (len >= 8) {
        seen |= load_le64(p + len - 8);
    }
    for (; len < 8 && i < len; i++) {
        seen |= p[i];
    }
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

/* Text and data that are as they should be, the usual pointers, in line; false: to be looked at closer. */
static bool is_plain_bytes(struct check *c, uint64_t at, enum capnp_kind kind)
{
    enum { POINTER_LIST = 1, CODE_BYTE = 2 };
    uint64_t pointer = word_at(c, at), target;
    uint64_t count = pointer >> 35, words = (count + 7) / 8;
    if ((pointer & 3) != POINTER_LIST || (pointer >> 32 & 7) != CODE_BYTE || count == 0 ||
        c->depth == 0 || !target_of(c, at, pointer, &target) || words > c->words - target ||
        words > c->budget) {
        return false;
    }
    const uint8_t *bytes = c->base + target * 8;
    if (kind == CAPNP_KIND_TEXT && (bytes[count - 1] != 0 || !is_ascii(bytes, count - 1))) {
        return false;
    }
    c->budget -= words;
    return true;
}

/* Checks the pointers of one struct whose words are known to be inside. `type` may be NULL. */
static enum capnp_status check_struct(struct check *c, uint64_t at, uint32_t data_bytes,
                                      uint16_t ptr_count, const struct capnp_struct_type *type)
{
    struct capnp_struct view = {c->base + at * 8, data_bytes, ptr_count};
    uint64_t first = at + data_bytes / 8;
    uint32_t field = 0;
    for (uint32_t slot = 0; slot < ptr_count; slot++) {
        const struct capnp_type *known = NULL;
        for (; type != NULL && field < type->field_count && type->fields[field].slot <= slot;
             field++) {
            if (type->fields[field].slot == slot &&
                condition_holds(type->fields[field].when, view)) {
                known = &type->fields[field].type;
            }
        }
        if (known != NULL && (known->kind == CAPNP_KIND_TEXT || known->kind == CAPNP_KIND_DATA) &&
            is_plain_bytes(c, first + slot, known->kind)) {
            continue;
        }
        enum capnp_status status = check_pointer(c, first + slot, known);
        if (status != CAPNP_OK) {
            return status;
        }
    }
    return CAPNP_OK;
}

static enum capnp_status check_struct_pointer(struct check *c, uint64_t at, uint64_t pointer,
                                              const struct capnp_type *type)
{
    if (type != NULL && type->kind != CAPNP_KIND_STRUCT) {
        return CAPNP_BAD_KIND;
    }
    uint16_t data_words = (uint16_t)(pointer >> 32);
    uint16_t ptr_count = (uint16_t)(pointer >> 48);
    uint64_t size = (uint64_t)data_words + ptr_count;
    uint64_t target;
    if (!target_of(c, at, pointer, &target) || size > c->words - target) {
        return CAPNP_OUT_OF_BOUNDS;
    }
    if (!charge(c, size)) {
        return CAPNP_TOO_MUCH;
    }
    return check_struct(c, target, (uint32_t)data_words * 8, ptr_count,
                        type != NULL ? type->of : NULL);
}

/* Text or data: a list of bytes inside the message. */
static enum capnp_status check_bytes(const struct check *c, uint64_t target, uint64_t count,
                                     enum capnp_kind kind)
{
    if (kind == CAPNP_KIND_DATA) {
        return CAPNP_OK;
    }
    const uint8_t *bytes = c->base + target * 8;
    if (count == 0 || bytes[count - 1] != 0 || !capnp_utf8_valid(bytes, count - 1)) {
        return CAPNP_BAD_TEXT;
    }
    return CAPNP_OK;
}

/* Bits of data and number of pointers an element of this kind needs. */
static uint32_t data_bits_of(enum capnp_kind kind)
{
    static const uint8_t bits[] = {0, 1, 8, 16, 32, 64};
    return kind <= CAPNP_KIND_BITS64 ? bits[kind] : 0;
}

static bool is_pointer_kind(enum capnp_kind kind)
{
    return kind == CAPNP_KIND_TEXT || kind == CAPNP_KIND_DATA || kind == CAPNP_KIND_LIST;
}

/* Do elements with these sections serve as elements of kind `want`? */
static bool elements_fit(enum capnp_kind want, uint64_t data_bits, uint32_t ptr_count)
{
    if (want == CAPNP_KIND_STRUCT) {
        return data_bits != 1;
    }
    if (data_bits == 1 && want != CAPNP_KIND_BOOL) {
        return false;
    }
    return data_bits >= data_bits_of(want) && (!is_pointer_kind(want) || ptr_count > 0);
}

/* The pointers of one list element against the element type (NULL: unknown). */
static enum capnp_status check_element(struct check *c, uint64_t at, uint32_t data_bytes,
                                       uint16_t ptr_count, const struct capnp_type *element)
{
    if (element != NULL && element->kind == CAPNP_KIND_STRUCT) {
        return check_struct(c, at, data_bytes, ptr_count, element->of);
    }
    uint64_t first = at + data_bytes / 8;
    bool typed = element != NULL && is_pointer_kind(element->kind);
    for (uint32_t slot = 0; slot < ptr_count; slot++) {
        enum capnp_status status =
            check_pointer(c, first + slot, typed && slot == 0 ? element : NULL);
        if (status != CAPNP_OK) {
            return status;
        }
    }
    return CAPNP_OK;
}

static enum capnp_status check_elements(struct check *c, uint64_t at, uint64_t count,
                                        uint16_t data_words, uint16_t ptr_count,
                                        const struct capnp_type *element)
{
    if (ptr_count == 0) {
        return CAPNP_OK;
    }
    uint64_t step = (uint64_t)data_words + ptr_count;
    for (uint64_t i = 0; i < count; i++) {
        enum capnp_status status =
            check_element(c, at + i * step, (uint32_t)data_words * 8, ptr_count, element);
        if (status != CAPNP_OK) {
            return status;
        }
    }
    return CAPNP_OK;
}

/* A list of structs: a tag word, then the elements. `words` does not count the tag. */
static enum capnp_status check_composite(struct check *c, uint64_t target, uint64_t words,
                                         const struct capnp_type *element)
{
    if (target >= c->words || words > c->words - target - 1) {
        return CAPNP_OUT_OF_BOUNDS;
    }
    uint64_t tag = word_at(c, target);
    uint64_t count = (tag >> 2) & 0x3fffffff;
    uint16_t data_words = (uint16_t)(tag >> 32);
    uint16_t ptr_count = (uint16_t)(tag >> 48);
    uint64_t step = (uint64_t)data_words + ptr_count;
    if ((tag & 3) != 0 || count * step > words) {
        return CAPNP_BAD_LIST;
    }
    if (!charge(c, words + 1 + (step == 0 ? count : 0))) {
        return CAPNP_TOO_MUCH;
    }
    if (element != NULL && (element->kind == CAPNP_KIND_BOOL ||
                            !elements_fit(element->kind, (uint64_t)data_words * 64, ptr_count))) {
        return CAPNP_BAD_KIND;
    }
    return check_elements(c, target + 1, count, data_words, ptr_count, element);
}

static enum capnp_status check_list_pointer(struct check *c, uint64_t at, uint64_t pointer,
                                            const struct capnp_type *type)
{
    static const uint8_t code_bits[] = {0, 1, 8, 16, 32, 64, 64};
    enum { CODE_VOID = 0, CODE_BYTE = 2, CODE_POINTER = 6, CODE_COMPOSITE = 7 };
    if (type != NULL && !is_pointer_kind(type->kind)) {
        return CAPNP_BAD_KIND;
    }
    uint32_t code = (uint32_t)(pointer >> 32) & 7;
    uint64_t count = pointer >> 35;
    bool bytes = type != NULL && type->kind != CAPNP_KIND_LIST;
    const struct capnp_type *element = type != NULL && !bytes ? type->of : NULL;
    uint64_t target;
    if (!target_of(c, at, pointer, &target)) {
        return CAPNP_OUT_OF_BOUNDS;
    }
    if (bytes && code != CODE_BYTE) {
        return CAPNP_BAD_KIND;
    }
    if (code == CODE_COMPOSITE) {
        return check_composite(c, target, count, element);
    }
    uint64_t words = (count * code_bits[code] + 63) / 64;
    if (words > c->words - target) {
        return CAPNP_OUT_OF_BOUNDS;
    }
    if (!charge(c, code == CODE_VOID ? count : words)) {
        return CAPNP_TOO_MUCH;
    }
    if (bytes) {
        return check_bytes(c, target, count, type->kind);
    }
    uint16_t ptr_count = code == CODE_POINTER ? 1 : 0;
    if (element != NULL &&
        !elements_fit(element->kind, ptr_count ? 0 : code_bits[code], ptr_count)) {
        return CAPNP_BAD_KIND;
    }
    return check_elements(c, target, count, 0, ptr_count, element);
}

static enum capnp_status check_pointer(struct check *c, uint64_t at, const struct capnp_type *type)
{
    enum { POINTER_STRUCT = 0, POINTER_LIST = 1 };
    uint64_t pointer = word_at(c, at);
    if (pointer == 0) {
        return CAPNP_OK;
    }
    uint64_t kind = pointer & 3;
    if (kind > POINTER_LIST) {
        return CAPNP_BAD_POINTER;
    }
    if (c->depth == 0) {
        return CAPNP_TOO_DEEP;
    }
    c->depth--;
    enum capnp_status status = kind == POINTER_STRUCT ? check_struct_pointer(c, at, pointer, type)
                                                      : check_list_pointer(c, at, pointer, type);
    c->depth++;
    return status;
}

enum capnp_status capnp_read_limited(const void *msg, size_t len_bytes,
                                     const struct capnp_struct_type *type,
                                     const struct capnp_limits *limits, struct capnp_struct *out)
{
    *out = (struct capnp_struct){NULL, 0, 0};
    if (len_bytes == 0) {
        return CAPNP_OK;
    }
    if (len_bytes % CAPNP_WORD != 0 || len_bytes > CAPNP_SEGMENT_MAX_BYTES) {
        return CAPNP_BAD_LENGTH;
    }
    struct check c = {msg, len_bytes / CAPNP_WORD, limits->words, limits->depth};
    struct capnp_type root = {CAPNP_KIND_STRUCT, type};
    enum capnp_status status = check_pointer(&c, 0, &root);
    if (status == CAPNP_OK) {
        struct capnp_struct holder = {msg, 0, 1};
        *out = capnp_get_struct(holder, 0, NULL);
    }
    return status;
}

enum capnp_status capnp_read(const void *msg, size_t len_bytes,
                             const struct capnp_struct_type *type, struct capnp_struct *out)
{
    struct capnp_limits limits = capnp_default_limits(len_bytes);
    return capnp_read_limited(msg, len_bytes, type, &limits, out);
}

enum capnp_status capnp_unframe(const void *file, size_t file_bytes, const void **msg,
                                size_t *msg_bytes)
{
    enum { HEADER_BYTES = 8 };
    *msg = NULL;
    *msg_bytes = 0;
    if (file_bytes < HEADER_BYTES || load_le32(file) != 0) {
        return CAPNP_BAD_LENGTH;
    }
    uint64_t words = load_le32((const uint8_t *)file + 4);
    if (words * CAPNP_WORD != file_bytes - HEADER_BYTES) {
        return CAPNP_BAD_LENGTH;
    }
    *msg = (const uint8_t *)file + HEADER_BYTES;
    *msg_bytes = (size_t)(words * CAPNP_WORD);
    return CAPNP_OK;
}

/* Length of the UTF-8 sequence that `lead` begins, its payload bits and its least code point. */
static uint32_t utf8_length(uint8_t lead, uint32_t *bits, uint32_t *least)
{
    if (lead >= 0xc2 && lead <= 0xdf) {
        *bits = lead & 0x1f;
        *least = 0x80;
        return 2;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        *bits = lead & 0x0f;
        *least = 0x800;
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        *bits = lead & 0x07;
        *least = 0x10000;
        return 4;
    }
    return 0;
}

bool capnp_utf8_valid(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    if (is_ascii(p, len)) {
        return true;
    }
    for (size_t i = 0; i < len;) {
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        uint32_t code = 0;
        uint32_t least = 0;
        uint32_t n = utf8_length(p[i], &code, &least);
        if (n == 0 || n > len - i) {
            return false;
        }
        for (uint32_t k = 1; k < n; k++) {
            if ((p[i + k] & 0xc0) != 0x80) {
                return false;
            }
            code = code << 6 | (p[i + k] & 0x3fu);
        }
        if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            return false;
        }
        i += n;
    }
    return true;
}
