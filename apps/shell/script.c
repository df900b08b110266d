/* SPDX-License-Identifier: MIT */
/*
 * Statements are read anew each time they are done: a block is a piece of text, and nothing but spans of it is
 * kept while it runs. All text is looked through first (script_check), so that a mistake in the last line is
 * told before the first is done.
 *
 * Invariants
 *   1. Values that a statement works out lie in `arena` behind the mark it began with, and are gone with it.
 *      The list of a `for` lies below its block's.
 *   2. `command` and what it points to are used by one statement at a time: nothing of it is looked at after
 *      another has begun.
 *   3. A script's parameters hide variables of the same names, which come back whichever way it ends.
 *
 * A statement fails when an error is told while it runs: then all blocks around it end, up to a `try`. Ctrl-C
 * ends them all, as does leaving.
 */
#include "apps/shell/script.h"

#include "apps/shell/call.h"
#include "apps/shell/commands.h"
#include "apps/shell/expression.h"
#include "apps/shell/lex.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/nearest.h"
#include "apps/shell/script_check.h"
#include "apps/shell/script_texts.h"
#include "apps/shell/statement.h"
#include "apps/shell/term.h"
#include "apps/shell/value.h"
#include "apps/shell/variables.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

enum {
    ARENA_BYTES = 128 * 1024,
    ANSWER_BYTES = 1024, /* of what is asked for */
    WATCH_MS = 2000,
};

#define NS_PER_MS UINT64_C(1000000)

enum flow {
    FLOW_ON,
    FLOW_BREAK,
    FLOW_CONTINUE,
    FLOW_RETURN,
    FLOW_FAILED,
    FLOW_STOPPED,
    FLOW_LEAVE
};

/* What is being run: where its text begins, for telling of places. */
struct run {
    struct span whole;
    const char *name; /* of the script; NULL: typed */
    unsigned prompt_columns;
    unsigned depth; /* of blocks */
    bool aloud;
    bool begun; /* something was done: what was typed may have left the screen's last line */
};

static struct command command;
static _Alignas(8) uint8_t arena_bytes[ARENA_BYTES];
static struct kept_arena arena = {.bytes = arena_bytes, .size = sizeof(arena_bytes)};
static struct script_memory memory = {&command, &arena}; /* for looking a text through */
static unsigned script_depth;

static enum flow run_text(struct run *run, struct span text);

/* ---- telling of mistakes ---- */

/* The line that holds `at`. */
static struct span line_around(struct span whole, size_t at, unsigned *number)
{
    size_t start = 0;
    *number = 1;
    for (size_t i = 0; i < at && i < whole.len; i++) {
        if (whole.ptr[i] == '\n') {
            start = i + 1;
            (*number)++;
        }
    }
    size_t end = start;
    while (end < whole.len && whole.ptr[end] != '\n') {
        end++;
    }
    return (struct span){whole.ptr + start, end - start};
}

/* A mark under the place: below the line as it was typed, or below the line shown again. */
static void show_place(const struct run *run, size_t at)
{
    unsigned number;
    struct span line = line_around(run->whole, at, &number);
    bool typed = run->name == NULL && memchr(run->whole.ptr, '\n', run->whole.len) == NULL;
    if (typed && run->begun) {
        return;
    }
    unsigned column = typed ? run->prompt_columns : 2;
    if (!typed) {
        term_styled(TERMINAL_SESSION_STYLE_QUIET, "%s%sline %u:\n",
                    run->name != NULL ? run->name : "", run->name != NULL ? ", " : "", number);
        term_styled(TERMINAL_SESSION_STYLE_QUIET, "  %.*s\n", (int)line.len, line.ptr);
    }
    for (const char *c = line.ptr; c < run->whole.ptr + at; c++) {
        column += ((uint8_t)*c & 0xc0) != 0x80 ? 1 : 0;
    }
    if (column < 72) {
        term_styled(TERMINAL_SESSION_STYLE_ERROR, "%*s^\n", (int)column, "");
    }
}

static enum flow tell(const struct run *run, const char *base, const struct parse_error *error)
{
    if (error->message[0] != 0) {
        if (!term_is_catching()) {
            show_place(run, (size_t)(base - run->whole.ptr) + error->at);
        }
        term_error("%s", error->message);
    }
    return FLOW_FAILED;
}

/* ---- values ---- */

static struct node *call_in_expression(struct evaluation *self, struct span text)
{
    if (!parse_line(text.ptr, text.len, &command, self->error)) {
        return NULL;
    }
    self->error->at = 0;
    return commands_resolve(&command) ? call_for_value(&command, self->arena) : NULL;
}

/* NULL: it has been told why not. */
static const struct node *evaluate_from(struct run *run, struct span text, size_t *at)
{
    struct parse_error error;
    struct evaluation evaluation = {.arena = &arena, .error = &error, .call = call_in_expression};
    const struct node *value = expression_evaluate(&evaluation, text, at);
    if (value == NULL) {
        tell(run, text.ptr, &error);
    }
    return value;
}

static const struct node *evaluate(struct run *run, struct span text)
{
    size_t at = 0;
    return evaluate_from(run, text, &at);
}

static enum flow fail_at(struct run *run, struct span text, const char *expected,
                         const struct node *found)
{
    struct parse_error error;
    parse_fail(&error, 0, "expected %s, found %.*s", expected, SPAN_ARGS(found->source));
    return tell(run, text.ptr, &error);
}

/* FLOW_ON with *yes, or how it ends. */
static enum flow condition(struct run *run, struct span text, bool *yes)
{
    size_t mark = arena.used;
    const struct node *value = evaluate(run, text);
    enum flow flow = value != NULL ? FLOW_ON : FLOW_FAILED;
    if (value != NULL) {
        *yes = value->kind == NODE_WORD && span_is(value->word, "true");
        if (!*yes && !(value->kind == NODE_WORD && span_is(value->word, "false"))) {
            flow = fail_at(run, text, "true or false", value);
        }
    }
    arena.used = mark;
    return flow;
}

static enum flow set(struct run *run, const struct statement *statement, const struct node *value)
{
    struct variables_error error;
    if (value == NULL) {
        return FLOW_FAILED;
    }
    if (!variables_set(statement->variable, value, &error)) {
        (void)run;
        term_error("%s", error.message);
        return FLOW_FAILED;
    }
    return FLOW_ON;
}

/* ---- simple statements ---- */

static enum flow do_command(struct run *run, const struct statement *statement)
{
    struct parse_error error;
    if (run->aloud) {
        term_styled(TERMINAL_SESSION_STYLE_HEADING, "capos> ");
        term_printf("%.*s\n", (int)statement->text.len, statement->text.ptr);
    }
    if (!parse_line(statement->text.ptr, statement->text.len, &command, &error)) {
        return tell(run, statement->text.ptr, &error);
    }
    return commands_run(&command) ? FLOW_ON : FLOW_LEAVE;
}

static enum flow do_assign(struct run *run, const struct statement *statement)
{
    return set(run, statement, evaluate(run, statement->expression));
}

static enum flow do_unset(struct run *run, const struct statement *statement)
{
    (void)run;
    if (variables_get(statement->variable) == NULL) { /* no failure: it is as was wanted */
        term_printf("there was no $%.*s\n", SPAN_ARGS(statement->variable));
    }
    variables_unset(statement->variable);
    return FLOW_ON;
}

static enum flow do_print(struct run *run, const struct statement *statement)
{
    struct span text = statement->expression;
    size_t at = 0;
    const char *space = "";
    while (at < text.len) {
        const struct node *value = evaluate_from(run, text, &at);
        if (value == NULL) {
            return FLOW_FAILED;
        }
        term_printf("%s", space);
        kept_print(&term_sink, value);
        space = " ";
        at++; /* the comma */
    }
    term_printf("\n");
    return FLOW_ON;
}

struct message {
    struct fmt_sink sink;
    size_t len;
    char text[VARIABLES_MESSAGE_BYTES];
};

static void message_write(struct fmt_sink *sink, const char *bytes, size_t count)
{
    struct message *self = (struct message *)sink;
    size_t piece = min_u64(count, sizeof(self->text) - self->len);
    memcpy(self->text + self->len, bytes, piece);
    self->len += piece;
}

static enum flow do_fail(struct run *run, const struct statement *statement)
{
    struct message message = {.sink = {message_write}};
    const struct node *value = evaluate(run, statement->expression);
    if (value != NULL) {
        kept_print(&message.sink, value);
        term_error("%.*s", (int)message.len, message.text);
    }
    return FLOW_FAILED;
}

static enum flow do_sleep(struct run *run, const struct statement *statement)
{
    uint64_t ns;
    bool interrupted = false;
    const struct node *value = evaluate(run, statement->expression);
    if (value == NULL) {
        return FLOW_FAILED;
    }
    if (!value_duration_ns(value, &ns)) {
        return fail_at(run, statement->expression, "a time, as 500ms or 2s", value);
    }
    return loop_sleep(ns, &interrupted) ? FLOW_ON : FLOW_FAILED;
}

static enum flow do_ask(struct run *run, const struct statement *statement)
{
    static char answer[ANSWER_BYTES];
    struct message prompt = {.sink = {message_write}};
    enum TerminalSession_LineOutcome outcome;
    size_t len = 0;
    const struct node *value = evaluate(run, statement->expression);
    if (value == NULL) {
        return FLOW_FAILED;
    }
    kept_print(&prompt.sink, value);
    prompt.len = min_u64(prompt.len, 120);
    prompt.text[prompt.len] = 0;
    struct loop_line line = {.prompt = prompt.text, .hidden = statement->hidden};
    status_t status = loop_read_line(&line, &outcome, answer, sizeof(answer), &len);
    if (status != ST_OK) {
        term_error("the terminal does not read: %s", status_name(status));
        return FLOW_FAILED;
    }
    if (outcome != TERMINAL_SESSION_LINE_OUTCOME_LINE) {
        return FLOW_STOPPED;
    }
    if (statement->variable.len == 0) {
        return FLOW_ON;
    }
    struct node *text = kept_text(&arena, answer, len);
    enum flow flow = set(run, statement, text);
    memset(answer, 0, sizeof(answer)); /* it may have been a secret */
    return flow;
}

/* ---- blocks ---- */

static enum flow run_block(struct run *run, struct span block)
{
    if (run->depth == STATEMENT_DEPTH_MAX) {
        term_error("blocks nest at most %d deep", (int)STATEMENT_DEPTH_MAX);
        return FLOW_FAILED;
    }
    run->depth++;
    enum flow flow = run_text(run, block);
    run->depth--;
    return flow;
}

static enum flow do_if(struct run *run, const struct statement *statement)
{
    bool yes = false;
    enum flow flow = condition(run, statement->expression, &yes);
    if (flow != FLOW_ON) {
        return flow;
    }
    return run_block(run, yes ? statement->block : statement->otherwise);
}

/* Whether a loop goes on after its block ended so; *flow is then how the loop ends. A block may be empty, so
 * Ctrl-C is looked for here, too. */
static bool goes_on(enum flow *flow)
{
    if (loop_was_interrupted()) {
        *flow = FLOW_STOPPED;
        return false;
    }
    if (*flow == FLOW_ON || *flow == FLOW_CONTINUE) {
        *flow = FLOW_ON;
        return true;
    }
    *flow = *flow == FLOW_BREAK ? FLOW_ON : *flow;
    return false;
}

static enum flow do_while(struct run *run, const struct statement *statement)
{
    enum flow flow = FLOW_ON;
    bool yes = false;
    do {
        flow = condition(run, statement->expression, &yes);
        if (flow != FLOW_ON || !yes) {
            return flow;
        }
        flow = run_block(run, statement->block);
    } while (goes_on(&flow));
    return flow;
}

static enum flow do_for(struct run *run, const struct statement *statement)
{
    const struct node *list = evaluate(run, statement->expression);
    enum flow flow = FLOW_ON;
    if (list == NULL) {
        return FLOW_FAILED;
    }
    if (list->kind != NODE_LIST) {
        return fail_at(run, statement->expression, "a list", list);
    }
    /* The list may be a variable's that the block assigns: a copy stays. */
    list = kept_copy(&arena, list);
    if (list == NULL) {
        term_error("this list is too large to go through");
        return FLOW_FAILED;
    }
    for (const struct node *child = list->child; child != NULL; child = child->next) {
        flow = set(run, statement, child);
        flow = flow == FLOW_ON ? run_block(run, statement->block) : flow;
        if (!goes_on(&flow)) {
            break;
        }
    }
    return flow;
}

static enum flow do_repeat(struct run *run, const struct statement *statement)
{
    const struct node *value = evaluate(run, statement->expression);
    enum flow flow = FLOW_ON;
    if (value == NULL) {
        return FLOW_FAILED;
    }
    if (value->kind != NODE_NUMBER || value->negative || value->unit.len > 0) {
        return fail_at(run, statement->expression, "a number of times", value);
    }
    for (uint64_t left = value->magnitude; left > 0; left--) {
        flow = run_block(run, statement->block);
        if (!goes_on(&flow)) {
            break;
        }
    }
    return flow;
}

/* What went wrong is $error in the block behind else, and in all that follows. */
static enum flow do_try(struct run *run, const struct statement *statement)
{
    struct term_catch caught;
    struct variables_error error;
    term_catch_begin(&caught);
    enum flow flow = run_block(run, statement->block);
    term_catch_end(&caught);
    if (flow != FLOW_FAILED) {
        return flow;
    }
    struct node *text = kept_text(&arena, caught.text, caught.len);
    if (text == NULL || !variables_set((struct span){"error", 5}, text, &error)) {
        term_error("%.*s", (int)caught.len, caught.text);
    }
    return run_block(run, statement->otherwise);
}

static enum flow do_watch(struct run *run, const struct statement *statement)
{
    uint64_t ns = WATCH_MS * NS_PER_MS;
    bool interrupted = false;
    enum flow flow = FLOW_ON;
    if (statement->expression.len > 0) {
        const struct node *value = evaluate(run, statement->expression);
        if (value == NULL) {
            return FLOW_FAILED;
        }
        if (!value_duration_ns(value, &ns) || ns == 0) {
            return fail_at(run, statement->expression, "a time, as 500ms or 2s", value);
        }
    }
    while (flow == FLOW_ON && !interrupted) {
        commands_clear_screen();
        term_styled(TERMINAL_SESSION_STYLE_QUIET, "every %llu ms: %.*s   (Ctrl-C ends it)\n",
                    (unsigned long long)(ns / NS_PER_MS), (int)statement->block.len,
                    statement->block.ptr);
        flow = run_block(run, statement->block);
        if (flow == FLOW_ON && !loop_sleep(ns, &interrupted)) {
            flow = FLOW_FAILED;
        }
    }
    return flow == FLOW_STOPPED || flow == FLOW_ON ? FLOW_STOPPED : flow;
}

/* ---- scripts ---- */

static enum flow do_script(struct run *run, const struct statement *statement)
{
    char why[128];
    (void)run;
    if (statement->block.ptr == NULL) {
        return script_texts_show(statement->name) ? FLOW_ON : FLOW_FAILED;
    }
    if (!script_texts_keep(statement->name, statement->expression, statement->block, why,
                           sizeof(why))) {
        term_error("%s", why);
        return FLOW_FAILED;
    }
    return FLOW_ON;
}

struct parameters {
    unsigned count;
    struct span names[SCRIPT_PARAMETERS_MAX];
    struct node *hidden[SCRIPT_PARAMETERS_MAX];
};

static unsigned count_values(struct run *run, struct span text, const struct node **values)
{
    unsigned count = 0;
    size_t at = 0;
    while (at < text.len && count <= SCRIPT_PARAMETERS_MAX) {
        const struct node *value = evaluate_from(run, text, &at);
        if (value == NULL) {
            return UINT32_MAX;
        }
        if (count < SCRIPT_PARAMETERS_MAX) {
            values[count] = value;
        }
        count++;
        at++;
    }
    return count;
}

static bool take_parameters(struct run *run, const struct statement *statement,
                            const struct script_text *script, struct parameters *out)
{
    const struct node *values[SCRIPT_PARAMETERS_MAX];
    struct variables_error error;
    struct span rest = script->parameters;
    bool bad;
    unsigned given = count_values(run, statement->expression, values);
    if (given == UINT32_MAX) {
        return false;
    }
    for (out->count = 0; statement_parameter(&rest, &out->names[out->count], &bad); out->count++) {
    }
    if (given != out->count) {
        term_error("%.*s takes %u value%s (%.*s), and %u %s given", SPAN_ARGS(statement->name),
                   out->count, out->count == 1 ? "" : "s", SPAN_ARGS(script->parameters), given,
                   given == 1 ? "was" : "were");
        out->count = 0;
        return false;
    }
    for (unsigned i = 0; i < given; i++) {
        values[i] = kept_copy(&arena, values[i]); /* hiding a variable takes its value away */
    }
    bool good = true;
    for (unsigned i = 0; i < given; i++) {
        out->hidden[i] = variables_hide(out->names[i]);
    }
    for (unsigned i = 0; i < given && good; i++) {
        good = values[i] != NULL && variables_set(out->names[i], values[i], &error);
    }
    if (!good) {
        term_error("there is no room for these values");
    }
    return good;
}

static void give_parameters_back(const struct parameters *parameters)
{
    for (unsigned i = parameters->count; i-- > 0;) {
        variables_restore(parameters->names[i], parameters->hidden[i]);
    }
}

static enum flow run_script(struct run *outer, const char *name, struct span text, bool aloud)
{
    struct run run = {.whole = text, .name = name, .depth = 0, .aloud = aloud || outer->aloud};
    if (script_depth == SCRIPT_DEPTH_MAX) {
        term_error("scripts do scripts at most %d deep", (int)SCRIPT_DEPTH_MAX);
        return FLOW_FAILED;
    }
    script_depth++;
    enum flow flow = run_text(&run, text);
    script_depth--;
    return flow == FLOW_LEAVE || flow == FLOW_STOPPED || flow == FLOW_FAILED ? flow : FLOW_ON;
}

static enum flow do_named(struct run *run, const struct statement *statement)
{
    struct parameters parameters = {0};
    struct script_text *script = script_texts_use(statement->name);
    if (script == NULL) {
        return FLOW_FAILED;
    }
    enum flow flow = take_parameters(run, statement, script, &parameters)
                         ? run_script(run, script->name, script->block, false)
                         : FLOW_FAILED;
    give_parameters_back(&parameters);
    script_texts_release(script);
    return flow;
}

static enum flow do_of_capability(struct run *run, const struct statement *statement)
{
    struct parse_error error;
    char name[NAME_BYTES + 1];
    struct held *held = names_need(statement->name);
    struct script_text *script = held != NULL ? script_texts_read(held) : NULL;
    enum flow flow = FLOW_FAILED;
    if (script == NULL) {
        return flow;
    }
    fmt_format(name, sizeof(name), "@%s", held->name);
    struct run own = {.whole = script->block, .name = name};
    if (script_check(script->block, &memory, &error)) {
        flow = run_script(run, name, script->block, statement->aloud);
    } else {
        flow = tell(&own, script->block.ptr, &error);
    }
    script_texts_release(script);
    return flow;
}

static enum flow do_do(struct run *run, const struct statement *statement)
{
    return statement->of_capability ? do_of_capability(run, statement) : do_named(run, statement);
}

/* ---- running ---- */

static enum flow do_break(struct run *run, const struct statement *statement)
{
    (void)run;
    return statement->kind == STATEMENT_BREAK      ? FLOW_BREAK
           : statement->kind == STATEMENT_CONTINUE ? FLOW_CONTINUE
                                                   : FLOW_RETURN;
}

static enum flow (*const actions[])(struct run *run, const struct statement *statement) = {
    [STATEMENT_COMMAND] = do_command, [STATEMENT_ASSIGN] = do_assign, [STATEMENT_UNSET] = do_unset,
    [STATEMENT_PRINT] = do_print,     [STATEMENT_FAIL] = do_fail,     [STATEMENT_SLEEP] = do_sleep,
    [STATEMENT_IF] = do_if,           [STATEMENT_WHILE] = do_while,   [STATEMENT_FOR] = do_for,
    [STATEMENT_REPEAT] = do_repeat,   [STATEMENT_TRY] = do_try,       [STATEMENT_BREAK] = do_break,
    [STATEMENT_CONTINUE] = do_break,  [STATEMENT_RETURN] = do_break,  [STATEMENT_ASK] = do_ask,
    [STATEMENT_SCRIPT] = do_script,   [STATEMENT_DO] = do_do,         [STATEMENT_WATCH] = do_watch,
};

static enum flow run_one(struct run *run, const struct statement *statement)
{
    unsigned errors = term_error_count();
    unsigned interrupts = loop_interrupt_count();
    enum flow flow = actions[statement->kind](run, statement);
    bool stopped = loop_was_interrupted() || loop_interrupt_count() != interrupts;
    if (flow <= FLOW_FAILED && stopped && flow != FLOW_STOPPED) {
        return FLOW_STOPPED;
    }
    if (flow == FLOW_ON && statement->kind == STATEMENT_COMMAND && term_error_count() != errors) {
        return FLOW_FAILED;
    }
    return flow;
}

static enum flow run_text(struct run *run, struct span text)
{
    struct statement statement;
    struct parse_error error;
    enum flow flow = FLOW_ON;
    size_t mark = arena.used;
    while (flow == FLOW_ON) {
        if (!statement_next(&text, run->whole.ptr, &statement, &error)) {
            return tell(run, run->whole.ptr, &error);
        }
        if (statement.kind == STATEMENT_NONE) {
            break;
        }
        flow = run_one(run, &statement);
        arena.used = mark;
    }
    if (flow == FLOW_FAILED && run->name != NULL && run->depth == 0 && !term_is_catching()) {
        unsigned number;
        (void)line_around(run->whole, (size_t)(statement.text.ptr - run->whole.ptr), &number);
        term_styled(TERMINAL_SESSION_STYLE_QUIET, "%s stopped in line %u: %.*s\n", run->name,
                    number, SPAN_ARGS(statement.text));
    }
    return flow;
}

bool script_typed(const char *text, size_t len, unsigned prompt_columns)
{
    struct parse_error error = {0};
    struct run run = {.whole = {text, len}, .prompt_columns = prompt_columns};
    arena.used = 0;
    script_depth = 0;
    if (!script_check(run.whole, &memory, &error)) {
        (void)tell(&run, text, &error);
        return true;
    }
    run.begun = true;
    return run_text(&run, run.whole) != FLOW_LEAVE;
}
