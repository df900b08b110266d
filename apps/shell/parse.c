/* SPDX-License-Identifier: MIT */
#include "apps/shell/parse.h"

#include "apps/shell/nearest.h"
#include "apps/shell/parser.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"

const char *const parse_verbs[] = {
    "caps",   "help",    "call",  "run",   "spawn", "wait",     "signal", "kill",  "drop", "derive",
    "revoke", "why",     "ps",    "usage", "top",   "trace",    "time",   "debug", "go",   "step",
    "dump",   "history", "clear", "exit",  "json",  "services", "logs",   NULL,
};

static bool method_name(struct parser *p)
{
    if (!parser_take_punct(p, '.')) {
        return true;
    }
    return parser_take_word(p, &p->command->method, "the name of a method behind the '.'");
}

static bool target(struct parser *p)
{
    return parser_cap_name(p, &p->command->cap) && method_name(p);
}

/* What could stand behind a field besides the next: what is mostly meant by what stands there. */
static const char *behind_field(const struct parser *p, const struct node *node)
{
    if (node->kind == NODE_WORD && node->label.len == 0) {
        return "'=' and a value behind the name of a parameter, ',' or ')'";
    }
    if (node->kind == NODE_NUMBER && node->unit.len == 0 && p->token.kind == TOKEN_WORD) {
        return "',' or ')' (a unit stands right behind its number, as 5s)";
    }
    return "',' or ')'";
}

/* Fields up to `close`, which is taken, or up to the end of the line when it is 0; commas may stand between. */
static bool fields(struct parser *p, struct node **tail, char close)
{
    while (close != 0 ? !parser_is_punct(p, close) : p->token.kind != TOKEN_END) {
        struct node *node = NULL;
        if (p->token.kind == TOKEN_END) {
            return parser_expected(p, "a parameter or ')'");
        }
        if (!parser_field(p, &node, 0, false)) {
            return false;
        }
        *tail = node;
        tail = &node->next;
        bool comma = parser_take_punct(p, ',');
        if (close != 0 && !comma && !parser_is_punct(p, close)) {
            return parser_expected(p, behind_field(p, node));
        }
    }
    if (close != 0) {
        parser_advance(p);
    }
    return !p->failed;
}

static bool arguments(struct parser *p, char close)
{
    return fields(p, &p->command->args, close) && parser_at_end(p);
}

/* Behind the dot: a method and what it takes, or a field of the answer and then those. */
static bool one_step(struct parser *p)
{
    struct command *command = p->command;
    if (p->failed) {
        return false; /* what is wrong has been said */
    }
    if (command->step_count == PARSE_MAX_STEPS - 1) {
        p->failed = true;
        return parse_fail(p->error, parser_here(p), "at most %d calls in a row",
                          (int)PARSE_MAX_STEPS);
    }
    struct call_step *step = &command->steps[command->step_count++];
    *step = (struct call_step){0};
    if (!parser_take_word(p, &step->method, "a method to call on the answer behind the '.'")) {
        return false;
    }
    if (parser_take_punct(p, '.')) {
        step->via = step->method;
        if (!parser_take_word(p, &step->method, "a method to call on that field of the answer")) {
            return false;
        }
    }
    if (!parser_take_punct(p, '(')) {
        return parser_expected(p, "'(' and arguments, as .method(field=value)");
    }
    return fields(p, &step->args, ')');
}

/* The list of the first call, whose '(' was taken, and the calls on what it gives. */
static bool calls_in_a_row(struct parser *p)
{
    bool good = fields(p, &p->command->args, ')');
    while (good && parser_take_punct(p, '.')) {
        good = one_step(p);
    }
    return good && parser_at_end(p);
}

static bool call(struct parser *p)
{
    p->command->verb = VERB_CALL;
    if (!target(p)) {
        return false;
    }
    if (p->command->method.len == 0) {
        return parser_expected(p, "a method, as @name.method");
    }
    return parser_take_punct(p, '(') ? calls_in_a_row(p) : arguments(p, 0);
}

/* $name.method( is a call of what the variable holds. The method was taken for a part of its path. */
static bool call_of_variable(struct parser *p, struct node *node)
{
    struct span path = node->text;
    size_t dot = path.len;
    while (dot > 0 && path.ptr[dot - 1] != '.' && path.ptr[dot - 1] != ']') {
        dot--;
    }
    if (dot == 0 || path.ptr[dot - 1] != '.' || p->token.space_before) {
        return parser_expected(p, "'.' and a method before the '(', as $name.method(field=value)");
    }
    node->text.len = dot - 1;
    p->command->method = (struct span){path.ptr + dot, path.len - dot};
    p->command->target = node;
    p->command->verb = VERB_CALL;
    parser_advance(p);
    return calls_in_a_row(p);
}

static bool variable(struct parser *p)
{
    struct node *node = NULL;
    if (!parser_field(p, &node, 0, false)) {
        return false;
    }
    if (parser_is_punct(p, '(')) {
        return call_of_variable(p, node);
    }
    p->command->verb = VERB_VALUE;
    p->command->args = node;
    return p->token.kind == TOKEN_END
               ? !p->failed
               : parser_expected(p, "the end of the line ('print' works out what follows it)");
}

static bool short_call(struct parser *p)
{
    if (p->token.kind == TOKEN_VARIABLE) {
        return variable(p);
    }
    if (!target(p)) {
        return false;
    }
    if (p->command->method.len > 0 && parser_take_punct(p, '(')) {
        p->command->verb = VERB_CALL;
        return calls_in_a_row(p);
    }
    p->command->verb = VERB_SHOW;
    if (p->command->method.len == 0 && parser_is_punct(p, '(')) {
        return parser_expected(p, "'.' and a method before the '(', as @name.method(field=value)");
    }
    if (p->command->method.len == 0 && parser_is_punct(p, '=')) {
        p->failed = true;
        return parse_fail(p->error, parser_here(p),
                          "a name to give is written without @: %.*s = @name.method(...)",
                          SPAN_ARGS(p->command->cap));
    }
    if (p->token.kind == TOKEN_END) {
        return !p->failed;
    }
    return parser_expected(p, p->command->method.len > 0
                                  ? "'(' and arguments, as @name.method(field=value)"
                                  : "'.' and a method, as @name.method(field=value)");
}

static bool timed(struct parser *p)
{
    p->command->timed = true;
    if (parser_is_word(p, "call")) {
        parser_advance(p);
        return call(p);
    }
    return short_call(p) && (p->command->verb == VERB_CALL ||
                             parser_expected(p, "a call, as time @name.method(field=value)"));
}

static bool filter(struct parser *p)
{
    if (p->token.kind == TOKEN_WORD) {
        p->command->word = p->token.source;
        parser_advance(p);
    }
    return parser_at_end(p);
}

static bool json(struct parser *p)
{
    p->command->json = true;
    if (parser_is_word(p, "caps")) {
        p->command->verb = VERB_CAPS;
        parser_advance(p);
        return filter(p);
    }
    if (parser_is_word(p, "call")) {
        parser_advance(p);
        return call(p);
    }
    return short_call(p) &&
           (p->command->verb != VERB_SHOW || parser_expected(p, "a call, a variable or 'caps'"));
}

static bool one_grant(struct parser *p)
{
    struct command *command = p->command;
    if (p->failed) {
        return false; /* what is wrong has been said */
    }
    if (command->grant_count == PARSE_MAX_GRANTS) {
        p->failed = true;
        return parse_fail(p->error, parser_here(p), "a program takes at most %d grants here",
                          (int)PARSE_MAX_GRANTS);
    }
    struct grant_line *grant = &command->grants[command->grant_count];
    *grant = (struct grant_line){0};
    if (!parser_take_word(p, &grant->name, "a grant, as name: @capability")) {
        return false;
    }
    if (p->token.kind == TOKEN_WORD &&
        (span_is(grant->name, "move") || span_is(grant->name, "copy"))) {
        grant->mode_given = true;
        grant->move = span_is(grant->name, "move");
        parser_take_word(p, &grant->name, "the name of a grant");
    }
    if (!parser_take_punct(p, ':') && !parser_take_punct(p, '=')) {
        return parser_expected(p, "':' and a capability, as name: @capability");
    }
    if (parser_is_word(p, "move") || parser_is_word(p, "copy")) {
        grant->mode_given = true;
        grant->move = parser_is_word(p, "move");
        parser_advance(p);
    }
    if (!parser_cap_name(p, &grant->cap)) {
        return false;
    }
    if (parser_is_word(p, "as")) {
        parser_advance(p);
        if (!parser_take_word(p, &grant->interface, "the name of an interface behind 'as'")) {
            return false;
        }
    }
    command->grant_count++;
    return true;
}

static bool grants(struct parser *p)
{
    if (!parser_take_punct(p, '{')) {
        return parser_expected(p, "'{' and grants, as with { timer: @timer }");
    }
    while (!parser_is_punct(p, '}')) {
        if (!one_grant(p)) {
            return false;
        }
        if (!parser_take_punct(p, ',') && !parser_is_punct(p, '}')) {
            return parser_expected(p, "',' or '}'");
        }
    }
    parser_advance(p);
    return true;
}

static bool program(struct parser *p)
{
    struct command *command = p->command;
    if (p->token.kind == TOKEN_TEXT) {
        command->program = p->token.text;
        parser_advance(p);
    } else if (!parser_take_word(p, &command->program, "the name of a program")) {
        return false;
    }
    if (parser_is_word(p, "as")) {
        parser_advance(p);
        if (!parser_take_word(p, &command->as, "a name for the process behind 'as'")) {
            return false;
        }
    }
    if (parser_is_word(p, "recordable")) {
        command->recordable = true;
        parser_advance(p);
    }
    if (parser_is_word(p, "with")) {
        command->with_given = true;
        parser_advance(p);
        if (!grants(p)) {
            return false;
        }
    }
    return p->token.kind == TOKEN_END
               ? !p->failed
               : parser_expected(p, "'as', 'recordable', 'with' or the end of the line");
}

static bool help(struct parser *p)
{
    if (parser_is_punct(p, '@')) {
        return target(p) && parser_at_end(p);
    }
    if (p->token.kind == TOKEN_WORD) {
        p->command->word = p->token.source;
        parser_advance(p);
    }
    return parser_at_end(p);
}

static bool on_capability(struct parser *p)
{
    return parser_cap_name(p, &p->command->cap) && arguments(p, 0);
}

static bool maybe_capability(struct parser *p)
{
    return (!parser_is_punct(p, '@') || parser_cap_name(p, &p->command->cap)) && parser_at_end(p);
}

/* Nothing, or "for" and a time. */
static bool for_time(struct parser *p)
{
    if (!parser_is_word(p, "for")) {
        return true;
    }
    parser_advance(p);
    if (p->token.kind != TOKEN_NUMBER) {
        return parser_expected(p, "a time behind 'for', as 30s or 5min");
    }
    return parser_field(p, &p->command->lasts, 0, false);
}

static bool traced(struct parser *p)
{
    struct command *command = p->command;
    if (parser_is_word(p, "call")) {
        command->traced = true;
        parser_advance(p);
        return call(p);
    }
    if (parser_is_word(p, "raw")) {
        command->word = p->token.source;
        parser_advance(p);
    }
    if (!target(p)) {
        return false;
    }
    if (command->method.len > 0) {
        command->traced = command->word.len == 0;
        command->verb = VERB_CALL;
        return parser_take_punct(p, '(')
                   ? calls_in_a_row(p)
                   : parser_expected(p, "'(' and arguments behind the method");
    }
    return for_time(p) && (p->token.kind == TOKEN_END || parser_expected(p, "'for' and a time"));
}

static bool derive(struct parser *p)
{
    struct command *command = p->command;
    struct node **tail = &command->args;
    if (!parser_cap_name(p, &command->cap)) {
        return false;
    }
    if (!parser_is_word(p, "as")) {
        return parser_expected(p, "'as' and a name, as derive @timer as clock");
    }
    parser_advance(p);
    if (!parser_take_word(p, &command->as,
                          "a name for the new capability behind 'as', without @")) {
        return false;
    }
    for (; p->token.kind == TOKEN_WORD && !parser_is_word(p, "for"); tail = &(*tail)->next) {
        if (!parser_field(p, tail, 0, false)) {
            return false;
        }
        if ((*tail)->kind != NODE_WORD || (*tail)->label.len != 0) {
            return parser_expected(p, "names of methods, or 'for' and a time");
        }
    }
    if (!for_time(p)) {
        return false;
    }
    return p->token.kind == TOKEN_END ? !p->failed
                                      : parser_expected(p, "names of methods, or 'for' and a time");
}

static bool debug(struct parser *p)
{
    return parser_is_punct(p, '@') ? parser_cap_name(p, &p->command->cap) && parser_at_end(p)
                                   : program(p);
}

/* Who, and then level, since and last in any order. */
static bool logs(struct parser *p)
{
    struct command *command = p->command;
    while (p->token.kind == TOKEN_WORD) {
        if (parser_is_word(p, "level")) {
            parser_advance(p);
            if (!parser_take_word(p, &command->as, "info, warning or error behind 'level'")) {
                return false;
            }
        } else if (parser_is_word(p, "since") || parser_is_word(p, "last")) {
            bool since = parser_is_word(p, "since");
            parser_advance(p);
            if (p->token.kind != TOKEN_NUMBER) {
                return parser_expected(p, since ? "a time, as 30s or 5min" : "how many records");
            }
            if (!parser_field(p, since ? &command->lasts : &command->args, 0, false)) {
                return false;
            }
        } else if (command->word.len == 0) {
            command->word = p->token.source;
            parser_advance(p);
        } else {
            return parser_expected(p, "'level', 'since' or 'last'");
        }
    }
    return parser_at_end(p);
}

struct verb_entry {
    const char *word;
    enum verb verb;
    bool (*rest)(struct parser *p);
};

static const struct verb_entry verb_table[] = {
    {"caps", VERB_CAPS, filter},
    {"help", VERB_HELP, help},
    {"call", VERB_CALL, call},
    {"run", VERB_RUN, program},
    {"spawn", VERB_SPAWN, program},
    {"wait", VERB_WAIT, on_capability},
    {"signal", VERB_SIGNAL, on_capability},
    {"kill", VERB_KILL, on_capability},
    {"drop", VERB_DROP, on_capability},
    {"derive", VERB_DERIVE, derive},
    {"revoke", VERB_REVOKE, on_capability},
    {"why", VERB_WHY, on_capability},
    {"debug", VERB_DEBUG, debug},
    {"go", VERB_GO, on_capability},
    {"step", VERB_STEP, on_capability},
    {"dump", VERB_DUMP, on_capability},
    {"ps", VERB_PS, parser_at_end},
    {"usage", VERB_USAGE, maybe_capability},
    {"top", VERB_TOP, filter},
    {"trace", VERB_TRACE, traced},
    {"time", VERB_CALL, timed},
    {"json", VERB_CALL, json},
    {"services", VERB_SERVICES, filter},
    {"logs", VERB_LOGS, logs},
    {"history", VERB_HISTORY, parser_at_end},
    {"clear", VERB_CLEAR, parser_at_end},
    {"exit", VERB_EXIT, parser_at_end},
};

/* What hands type that know other systems, and what comes nearest to it here. */
static const struct {
    const char *word;
    const char *here;
} elsewhere[] = {
    {"ls", "caps"},
    {"dir", "caps"},
    {"man", "help"},
    {"quit", "exit"},
    {"logout", "exit"},
    {"bye", "exit"},
    {"cls", "clear"},
    {"echo", "print"},
    {"start", "run PROGRAM"},
    {"exec", "run PROGRAM"},
    {"jobs", "ps"},
    {"rm", "drop @NAME"},
    {"set", "$NAME = VALUE"},
    {"let", "$NAME = VALUE"},
    {"export", "$NAME = VALUE"},
    {"shutdown", "@control.shutdown()"},
    {"poweroff", "@control.shutdown()"},
    {"halt", "@control.shutdown()"},
    {"reboot", "@control.reboot()"},
    {"with", "run PROGRAM with { NAME: @CAP }"},
};

static const char *from_elsewhere(struct span word)
{
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        if (span_is(word, elsewhere[i].word)) {
            return elsewhere[i].here;
        }
    }
    return NULL;
}

static bool unknown_command(struct parser *p, struct span word, size_t at)
{
    const char *near = nearest_word(word, parse_verbs);
    const char *meant = from_elsewhere(word);
    p->failed = true;
    if (parser_is_punct(p, '.') && !p->token.space_before) {
        return parse_fail(p->error, at, "no command '%.*s'; a capability begins with @: @%.*s.",
                          SPAN_ARGS(word), SPAN_ARGS(word));
    }
    if (parser_is_punct(p, '(')) {
        return parse_fail(p->error, at,
                          "no command '%.*s'; 'do %.*s(...)' does a script, 'run %.*s' starts a "
                          "program, @name.method(...) calls",
                          SPAN_ARGS(word), SPAN_ARGS(word), SPAN_ARGS(word));
    }
    if (meant != NULL) {
        return parse_fail(p->error, at, "no command '%.*s'; what you mean may be '%s'",
                          SPAN_ARGS(word), meant);
    }
    if (near != NULL) {
        return parse_fail(p->error, at,
                          "no command '%.*s'; the nearest is '%s'; 'run %.*s' starts a program",
                          SPAN_ARGS(word), near, SPAN_ARGS(word));
    }
    return parse_fail(p->error, at,
                      "no command '%.*s'; 'help' lists them, 'run %.*s' starts a program",
                      SPAN_ARGS(word), SPAN_ARGS(word));
}

/* A command's word cannot be given to a capability: it would be read as the command. */
static bool is_no_name(struct parser *p, struct span word, size_t at)
{
    if (!parser_is_punct(p, '=')) {
        return true;
    }
    p->failed = true;
    return parse_fail(p->error, at, "'%.*s' is a command; give another name, as my-%.*s = ...",
                      SPAN_ARGS(word), SPAN_ARGS(word));
}

/* Behind what was expected of a command: where all of it is told. */
static bool point_to_help(struct parser *p, struct span word)
{
    char *message = p->error->message;
    size_t used = strlen(message);
    if (strncmp(message, "expected ", 9) == 0 && strchr(message, ';') == NULL) {
        fmt_format(message + used, sizeof(p->error->message) - used,
                   "; 'help %.*s' tells how it is written", SPAN_ARGS(word));
    }
    return false;
}

static bool verb_command(struct parser *p)
{
    struct span word = p->token.source;
    size_t at = parser_here(p);
    parser_advance(p);
    for (size_t i = 0; i < sizeof(verb_table) / sizeof(verb_table[0]); i++) {
        if (span_is(word, verb_table[i].word)) {
            p->command->verb = verb_table[i].verb;
            return is_no_name(p, word, at) && (verb_table[i].rest(p) || point_to_help(p, word));
        }
    }
    if (p->token.kind == TOKEN_PUNCT && p->token.punct == '=' && p->command->assign.len == 0) {
        p->command->assign = word;
        parser_advance(p);
        if (parser_is_punct(p, '@') || p->token.kind == TOKEN_VARIABLE) {
            return short_call(p) && (p->command->verb == VERB_CALL ||
                                     parser_expected(p, "'.' and a method to call behind '='"));
        }
        if (parser_is_word(p, "call") || parser_is_word(p, "spawn") || parser_is_word(p, "debug")) {
            return verb_command(p);
        }
        return parser_expected(p, "a call, spawn or debug behind '=' ($NAME = keeps a value)");
    }
    return unknown_command(p, word, at);
}

static bool whole_line(struct parser *p)
{
    if (p->token.kind == TOKEN_END) {
        p->command->verb = VERB_NONE;
        return !p->failed;
    }
    if (parser_is_punct(p, '?')) {
        parser_advance(p);
        p->command->verb = VERB_HELP;
        return help(p);
    }
    if (parser_is_punct(p, '@') || p->token.kind == TOKEN_VARIABLE) {
        return short_call(p);
    }
    if (p->token.kind == TOKEN_WORD) {
        return verb_command(p);
    }
    return parser_expected(p, p->token.kind == TOKEN_NUMBER
                                  ? "a command or a capability, whose names begin with a letter"
                                  : "a command or a capability");
}

bool parse_line(const char *line, size_t len, struct command *command, struct parse_error *error)
{
    command->verb = VERB_NONE;
    command->assign = command->word = command->cap = command->method = (struct span){0};
    command->program = command->as = (struct span){0};
    command->target = command->args = command->lasts = NULL;
    command->step_count = 0;
    command->with_given = command->recordable = false;
    command->json = command->timed = command->traced = false;
    command->grant_count = 0;
    command->node_count = 0;
    command->text_bytes = 0;
    *error = (struct parse_error){0};
    if (len > PARSE_MAX_LINE) {
        return parse_fail(error, PARSE_MAX_LINE, "a line holds at most %d bytes",
                          (int)PARSE_MAX_LINE);
    }
    struct parser parser = {.command = command, .error = error};
    parser.lexer = (struct lexer){.line = line, .len = len, .command = command, .error = error};
    parser_advance(&parser);
    return whole_line(&parser) && !parser.failed;
}
