/* SPDX-License-Identifier: MIT */
#include "apps/shell/script_check.h"

#include "apps/shell/expression.h"
#include "apps/shell/lex.h"
#include "apps/shell/statement.h"
#include "lib/base/bits.h"

struct check {
    struct script_memory *memory;
    const char *base; /* of the whole text */
    struct parse_error *error;
    unsigned depth; /* of blocks */
    bool in_loop;
};

static bool check_text(struct check *check, struct span text);

/* One expression, or several with commas. */
static bool check_expressions(struct check *check, struct span text, bool many)
{
    struct parse_error *error = check->error;
    struct evaluation evaluation = {.arena = check->memory->arena, .error = error, .dry = true};
    size_t at = 0;
    while (text.len > 0) {
        const struct node *value = expression_evaluate(&evaluation, text, &at);
        bool comma = value != NULL && many && at < text.len && text.ptr[at] == ',';
        if (value != NULL && at < text.len && !comma) {
            value = NULL;
            parse_fail(error, at, "expected %s, found %.*s",
                       many ? "',' or the end" : "the end of this expression",
                       SPAN_ARGS(((struct span){text.ptr + at, min_u64(text.len - at, 20)})));
        }
        if (value == NULL) {
            error->at += (size_t)(text.ptr - check->base);
            return false;
        }
        if (!comma) {
            break;
        }
        at++;
    }
    return true;
}

static bool is_loop(enum statement_kind kind)
{
    return kind == STATEMENT_FOR || kind == STATEMENT_WHILE || kind == STATEMENT_REPEAT;
}

static bool check_parameters(struct span list, const char *base, struct parse_error *error)
{
    struct span rest = list;
    struct span name;
    bool bad;
    unsigned count = 0;
    while (statement_parameter(&rest, &name, &bad)) {
        count++;
    }
    if (bad) {
        return parse_fail(error, (size_t)(list.ptr - base),
                          "a script's parameters are variables, as script f($a, $b)");
    }
    if (count > SCRIPT_PARAMETERS_MAX) {
        return parse_fail(error, (size_t)(list.ptr - base),
                          "expected at most %d parameters, as ($a, $b)",
                          (int)SCRIPT_PARAMETERS_MAX);
    }
    return true;
}

/* A block, in which 'break' has a meaning or not. */
static bool check_block(struct check *check, struct span block, bool in_loop)
{
    struct check inner = *check;
    inner.depth++;
    inner.in_loop = in_loop;
    if (block.len > 0 && inner.depth > STATEMENT_DEPTH_MAX) {
        return parse_fail(check->error, (size_t)(block.ptr - check->base),
                          "blocks nest at most %d deep", (int)STATEMENT_DEPTH_MAX);
    }
    return check_text(&inner, block);
}

static bool check_command(struct check *check, struct span text)
{
    bool good = parse_line(text.ptr, text.len, check->memory->command, check->error);
    check->error->at += (size_t)(text.ptr - check->base);
    return good;
}

static bool check_one(struct check *check, const struct statement *statement)
{
    enum statement_kind kind = statement->kind;
    if (kind == STATEMENT_COMMAND) {
        return check_command(check, statement->text);
    }
    if (kind == STATEMENT_SCRIPT) {
        return check_parameters(statement->expression, check->base, check->error) &&
               check_block(check, statement->block, false);
    }
    if ((kind == STATEMENT_BREAK || kind == STATEMENT_CONTINUE) && !check->in_loop) {
        return parse_fail(check->error, (size_t)(statement->text.ptr - check->base),
                          "'%.*s' stands in the block of a for, while or repeat",
                          SPAN_ARGS(statement->text));
    }
    bool many = kind == STATEMENT_PRINT || kind == STATEMENT_DO;
    bool in_loop = check->in_loop || is_loop(kind);
    return check_expressions(check, statement->expression, many) &&
           check_block(check, statement->block, in_loop) &&
           check_block(check, statement->otherwise, check->in_loop);
}

static bool check_text(struct check *check, struct span text)
{
    struct statement statement;
    struct kept_arena *arena = check->memory->arena;
    size_t mark = arena->used;
    bool good = true;
    while (good) {
        good = statement_next(&text, check->base, &statement, check->error);
        if (!good || statement.kind == STATEMENT_NONE) {
            break;
        }
        good = check_one(check, &statement);
        arena->used = mark;
    }
    return good;
}

bool script_check(struct span text, struct script_memory *memory, struct parse_error *error)
{
    struct check check = {.memory = memory, .base = text.ptr, .error = error};
    *error = (struct parse_error){0};
    return check_text(&check, text);
}
