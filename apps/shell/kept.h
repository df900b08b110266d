/* SPDX-License-Identifier: MIT */
/*
 * Values as trees of nodes, apart from the line they came from: answers, variables, what an expression gives.
 * Pure.
 *
 * A value lies in an arena, with all that it points to. Nothing is freed by itself: who evaluates notes how
 * much of the arena is used and goes back to that.
 */
#ifndef CAPOS_SHELL_KEPT_H
#define CAPOS_SHELL_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/shell/parse.h"
#include "apps/shell/show.h"
#include "lib/base/fmt.h"
#include "lib/capnp/dynamic.h"

struct kept_arena {
    uint8_t *bytes; /* aligned to 8; NULL: only what would be used is counted */
    size_t size;
    size_t used;
    bool full; /* something found no room */
};

/* NULL: there is no room, which is noted. Zeroed, aligned to 8. */
void *kept_take(struct kept_arena *arena, size_t bytes);

/* A node of this kind; `source` is how it is told of in messages. NULL: no room. */
struct node *kept_node(struct kept_arena *arena, enum node_kind kind, struct span source);
struct node *kept_number(struct kept_arena *arena, bool negative, uint64_t magnitude);
struct node *kept_word(struct kept_arena *arena, const char *word); /* true, false: a constant */
struct node *kept_text(struct kept_arena *arena, const char *bytes, size_t count);

/* A copy of a value, without its label. NULL: no room. */
struct node *kept_copy(struct kept_arena *arena, const struct node *from);

/* How many bytes of an arena a copy takes. */
size_t kept_bytes(const struct node *value);

/* The fields of a validated message as a struct. NULL: no room, or malformed. */
struct node *kept_answer(struct kept_arena *arena, struct dyn_struct s, struct capnp_struct from,
                         struct show_caps *caps);

const struct node *kept_field(const struct node *value, struct span name);
const struct node *kept_element(const struct node *list, uint64_t index);
uint64_t kept_count(const struct node *value); /* elements, fields, characters of a text; else 0 */
bool kept_equal(const struct node *a, const struct node *b);

/* "a number", "a text": what it is. */
const char *kept_kind_name(const struct node *value);

/* As it would be typed; a text on its own without quotation marks. */
void kept_show(struct fmt_sink *sink, const struct node *value);
void kept_print(struct fmt_sink *sink, const struct node *value);

/* As JSON, in one line: capabilities are their names with the @, data is its digits, a member without a value
 * is null. Numbers are written whole: some readers hold no more than 53 bits. */
void kept_json(struct fmt_sink *sink, const struct node *value);
void kept_json_text(struct fmt_sink *sink, const char *bytes, size_t count);

#endif
