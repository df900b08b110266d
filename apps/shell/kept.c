/* SPDX-License-Identifier: MIT */
#include "apps/shell/kept.h"

#include "lib/base/bits.h"
#include "lib/base/string.h"

enum { NUMBER_BYTES = 24 };

void *kept_take(struct kept_arena *arena, size_t bytes)
{
    size_t whole = align_up(bytes, 8);
    if (whole < bytes || whole > arena->size - arena->used) {
        arena->full = true;
        return NULL;
    }
    uint8_t *place = arena->bytes + arena->used;
    arena->used += whole;
    memset(place, 0, whole);
    return place;
}

struct node *kept_node(struct kept_arena *arena, enum node_kind kind, struct span source)
{
    struct node *node = kept_take(arena, sizeof(*node));
    if (node != NULL) {
        node->kind = kind;
        node->source = source;
    }
    return node;
}

/* The bytes of a span, copied. False: no room. */
static bool copy_span(struct kept_arena *arena, struct span *span)
{
    if (span->len == 0) {
        *span = (struct span){"", 0};
        return true;
    }
    char *bytes = kept_take(arena, span->len);
    if (bytes == NULL) {
        return false;
    }
    memcpy(bytes, span->ptr, span->len);
    span->ptr = bytes;
    return true;
}

struct node *kept_number(struct kept_arena *arena, bool negative, uint64_t magnitude)
{
    char text[NUMBER_BYTES];
    size_t len = fmt_format(text, sizeof(text), "%s%llu", negative && magnitude != 0 ? "-" : "",
                            (unsigned long long)magnitude);
    struct span source = {text, len};
    struct node *node = copy_span(arena, &source) ? kept_node(arena, NODE_NUMBER, source) : NULL;
    if (node != NULL) {
        node->negative = negative && magnitude != 0;
        node->magnitude = magnitude;
    }
    return node;
}

struct node *kept_word(struct kept_arena *arena, const char *word)
{
    struct span span = {word, strlen(word)};
    struct node *node = kept_node(arena, NODE_WORD, span);
    if (node != NULL) {
        node->word = span;
    }
    return node;
}

struct node *kept_text(struct kept_arena *arena, const char *bytes, size_t count)
{
    struct span span = {bytes, count};
    struct node *node = copy_span(arena, &span) ? kept_node(arena, NODE_TEXT, span) : NULL;
    if (node != NULL) {
        node->text = span;
    }
    return node;
}

/* ---- copies ---- */

static bool copy_spans(struct kept_arena *arena, struct node *node)
{
    struct span *const spans[] = {&node->digits, &node->unit, &node->word, &node->label};
    bool good = true;
    for (size_t i = 0; i < ARRAY_COUNT(spans) && good; i++) {
        good = copy_span(arena, spans[i]);
    }
    if (node->kind == NODE_TEXT) {
        good = good && copy_span(arena, &node->text);
        node->source = node->text;
        return good;
    }
    node->source.len = min_u64(node->source.len, SPAN_SHOWN_BYTES);
    return good && copy_span(arena, &node->source);
}

/* Nesting is bounded where values come from: PARSE_MAX_DEPTH, SHOW_DEPTH_MAX. */
static struct node *copy(struct kept_arena *arena, const struct node *from)
{
    struct node *node = kept_take(arena, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    *node = *from;
    node->child = node->next = NULL;
    struct node **tail = &node->child;
    bool good = copy_spans(arena, node);
    for (const struct node *child = from->child; child != NULL && good; child = child->next) {
        *tail = copy(arena, child);
        good = *tail != NULL;
        tail = good ? &(*tail)->next : tail;
    }
    return good ? node : NULL;
}

struct node *kept_copy(struct kept_arena *arena, const struct node *from)
{
    struct node *node = copy(arena, from);
    if (node != NULL) {
        node->label = (struct span){"", 0};
    }
    return node;
}

size_t kept_bytes(const struct node *value)
{
    struct span spans[] = {value->digits, value->unit, value->word, value->label,
                           value->kind == NODE_TEXT ? value->text : value->source};
    size_t bytes = align_up(sizeof(*value), 8);
    for (size_t i = 0; i < ARRAY_COUNT(spans); i++) {
        bytes += align_up(spans[i].len, 8);
    }
    for (const struct node *child = value->child; child != NULL; child = child->next) {
        bytes += kept_bytes(child);
    }
    return bytes;
}

/* ---- looking into them ---- */

const struct node *kept_field(const struct node *value, struct span name)
{
    const struct node *child = value->kind == NODE_STRUCT ? value->child : NULL;
    while (child != NULL && !span_equals(child->label, name)) {
        child = child->next;
    }
    return child;
}

const struct node *kept_element(const struct node *list, uint64_t index)
{
    const struct node *child = list->kind == NODE_LIST ? list->child : NULL;
    for (; child != NULL && index > 0; index--) {
        child = child->next;
    }
    return child;
}

uint64_t kept_count(const struct node *value)
{
    uint64_t count = 0;
    if (value->kind == NODE_TEXT) {
        for (size_t i = 0; i < value->text.len; i++) {
            count += ((uint8_t)value->text.ptr[i] & 0xc0) != 0x80;
        }
        return count;
    }
    for (const struct node *child = value->child; child != NULL; child = child->next) {
        count++;
    }
    return count;
}

static bool children_equal(const struct node *a, const struct node *b)
{
    const struct node *x = a->child;
    const struct node *y = b->child;
    while (x != NULL && y != NULL && kept_equal(x, y) && span_equals(x->label, y->label)) {
        x = x->next;
        y = y->next;
    }
    return x == NULL && y == NULL;
}

bool kept_equal(const struct node *a, const struct node *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case NODE_NUMBER:
        return a->magnitude == b->magnitude && (a->negative == b->negative || a->magnitude == 0) &&
               span_equals(a->unit, b->unit) &&
               (a->digits.len <= 16 || span_equals(a->digits, b->digits));
    case NODE_TEXT:
        return span_equals(a->text, b->text);
    case NODE_WORD:
    case NODE_CAP:
        return span_equals(a->word, b->word);
    case NODE_LIST:
    case NODE_STRUCT:
        return children_equal(a, b);
    case NODE_VARIABLE:
        break;
    }
    return false;
}

const char *kept_kind_name(const struct node *value)
{
    static const char *const names[] = {
        [NODE_NUMBER] = "a number",     [NODE_WORD] = "a word", [NODE_TEXT] = "a text",
        [NODE_CAP] = "a capability",    [NODE_LIST] = "a list", [NODE_STRUCT] = "a struct",
        [NODE_VARIABLE] = "a variable",
    };
    return names[value->kind];
}

/* ---- showing them ---- */

static void show_children(struct fmt_sink *sink, const struct node *value)
{
    const char *comma = "";
    for (const struct node *child = value->child; child != NULL; child = child->next) {
        fmt_to(sink, "%s", comma);
        if (value->kind == NODE_STRUCT) {
            fmt_to(sink, "%.*s: ", (int)child->label.len, child->label.ptr);
        }
        kept_show(sink, child);
        comma = ", ";
    }
}

static void show_number(struct fmt_sink *sink, const struct node *value)
{
    if (value->digits.len > 0) {
        fmt_to(sink, "0x%.*s", (int)value->digits.len, value->digits.ptr);
    } else {
        fmt_to(sink, "%s%llu%.*s", value->negative ? "-" : "", (unsigned long long)value->magnitude,
               (int)value->unit.len, value->unit.ptr);
    }
}

void kept_show(struct fmt_sink *sink, const struct node *value)
{
    switch (value->kind) {
    case NODE_NUMBER:
        show_number(sink, value);
        break;
    case NODE_TEXT:
        show_quoted(sink, value->text.ptr, value->text.len);
        break;
    case NODE_WORD:
        fmt_to(sink, "%.*s", (int)value->word.len, value->word.ptr);
        break;
    case NODE_CAP:
        fmt_to(sink, "@%.*s", (int)value->word.len, value->word.ptr);
        break;
    case NODE_LIST:
        fmt_to(sink, "[");
        show_children(sink, value);
        fmt_to(sink, "]");
        break;
    case NODE_STRUCT:
        fmt_to(sink, "{");
        show_children(sink, value);
        fmt_to(sink, "}");
        break;
    case NODE_VARIABLE:
        break;
    }
}

void kept_print(struct fmt_sink *sink, const struct node *value)
{
    if (value->kind == NODE_TEXT) {
        fmt_to(sink, "%.*s", (int)value->text.len, value->text.ptr);
    } else {
        kept_show(sink, value);
    }
}
