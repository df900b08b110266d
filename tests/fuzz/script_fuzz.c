/* SPDX-License-Identifier: MIT */
/*
 * A text of arbitrary bytes, typed as a script: it is cut into statements that lie in it and do not overlap, or
 * refused with a place inside it; its expressions are worked out or refused; what comes out can be kept, shown
 * and written as JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "apps/shell/expression.h"
#include "apps/shell/statement.h"
#include "apps/shell/variables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The heap of a program, here the host's. */
void *capos_alloc(size_t bytes);
void capos_free(void *block);

void *capos_alloc(size_t bytes)
{
    return malloc(bytes);
}

void capos_free(void *block)
{
    free(block);
}

static _Alignas(8) uint8_t bytes[32 * 1024];
static struct kept_arena arena = {.bytes = bytes, .size = sizeof(bytes)};
static size_t shown;

static void swallow(struct fmt_sink *sink, const char *text, size_t count)
{
    (void)sink;
    shown += count > 0 ? (uint8_t)text[count - 1] : 0;
}

static void demand(bool held)
{
    if (!held) {
        abort();
    }
}

static struct node *answer(struct evaluation *self, struct span text)
{
    return text.len % 2 == 0 ? kept_number(self->arena, false, text.len) : NULL;
}

static void evaluate(struct span name, struct span text, bool dry)
{
    struct fmt_sink sink = {swallow};
    struct parse_error error;
    struct variables_error refused;
    struct evaluation evaluation = {.arena = &arena, .error = &error, .dry = dry, .call = answer};
    size_t at = 0;
    if (text.len == 0) {
        return; /* a statement has one or has none */
    }
    arena.used = 0;
    const struct node *value = expression_evaluate(&evaluation, text, &at);
    demand(at <= text.len);
    demand(value != NULL || error.at <= text.len);
    if (value != NULL && !dry) {
        kept_show(&sink, value);
        kept_json(&sink, value);
        demand(kept_equal(value, value));
        (void)variables_set(name.len > 0 ? name : (struct span){"x", 1}, value, &refused);
    }
}

static void cut(struct span text, const char *base, size_t whole, unsigned depth)
{
    struct statement statement;
    struct parse_error error = {0};
    const char *end = text.ptr;
    while (depth < STATEMENT_DEPTH_MAX) {
        if (!statement_next(&text, base, &statement, &error)) {
            demand(error.at <= whole);
            return;
        }
        if (statement.kind == STATEMENT_NONE) {
            return;
        }
        demand(statement.text.ptr >= end && statement.text.len > 0);
        end = statement.text.ptr + statement.text.len;
        demand(end <= base + whole);
        evaluate(statement.variable, statement.expression, true);
        evaluate(statement.variable, statement.expression, false);
        cut(statement.block, base, whole, depth + 1);
        cut(statement.otherwise, base, whole, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span name;
    const struct node *value;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    (void)statement_is_open(text, size);
    cut((struct span){text, size}, text, size, 0);
    while (variables_at(0, &name, &value)) {
        variables_unset(name);
    }
    free(text);
    return 0;
}
