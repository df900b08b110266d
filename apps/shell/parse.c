/* SPDX-License-Identifier: MIT */
#include "apps/shell/parse.h"

#include "apps/shell/lex.h"
#include "apps/shell/nearest.h"
#include "lib/base/string.h"

struct parser {
    struct lexer lexer;
    struct token token; /* looked at, not yet taken */
    struct command *command;
    struct parse_error *error;
    bool failed;
};

const char *const parse_verbs[] = {
    "caps", "help", "call", "run",     "spawn", "wait", "signal",
    "kill", "drop", "ps",   "history", "clear", "exit", NULL,
};

static bool value(struct parser *p, struct node **out, unsigned depth);

static void advance(struct parser *p)
{
    p->token = lex_next(&p->lexer);
    p->failed = p->failed || p->token.kind == TOKEN_BAD;
}

static size_t here(const struct parser *p)
{
    return (size_t)(p->token.source.ptr - p->lexer.line);
}

/* "expected X, found Y" at the token looked at; keeps an error of the lexer. */
static bool expected(struct parser *p, const char *what)
{
    if (p->failed) {
        return false;
    }
    p->failed = true;
    if (p->token.kind == TOKEN_END) {
        return parse_fail(p->error, here(p), "expected %s, but the line ends here", what);
    }
    return parse_fail(p->error, here(p), "expected %s, found %.*s", what,
                      SPAN_ARGS(p->token.source));
}

static bool is_punct(const struct parser *p, char c)
{
    return p->token.kind == TOKEN_PUNCT && p->token.punct == c;
}

static bool take_punct(struct parser *p, char c)
{
    if (!is_punct(p, c)) {
        return false;
    }
    advance(p);
    return true;
}

static bool is_word(const struct parser *p, const char *word)
{
    return p->token.kind == TOKEN_WORD && span_is(p->token.source, word);
}

static bool take_word(struct parser *p, struct span *out, const char *what)
{
    if (p->token.kind != TOKEN_WORD) {
        return expected(p, what);
    }
    *out = p->token.source;
    advance(p);
    return true;
}

static bool at_end(struct parser *p)
{
    return p->token.kind == TOKEN_END ? !p->failed : expected(p, "the end of the line");
}

static bool cap_name(struct parser *p, struct span *out)
{
    if (!take_punct(p, '@')) {
        return expected(p, "a capability, as @name");
    }
    if (p->token.space_before) {
        return expected(p, "a name right behind the @");
    }
    return take_word(p, out, "the name of a capability behind the @");
}

/* ---- values ---- */

static struct node *new_node(struct parser *p, enum node_kind kind)
{
    struct command *command = p->command;
    if (command->node_count == PARSE_MAX_NODES) {
        if (!p->failed) {
            parse_fail(p->error, here(p), "a line holds at most %d values", (int)PARSE_MAX_NODES);
        }
        p->failed = true;
        return NULL;
    }
    struct node *node = &command->nodes[command->node_count++];
    *node = (struct node){.kind = kind, .source = p->token.source};
    return node;
}

static bool number(struct parser *p, struct node **out)
{
    const char *start = p->token.source.ptr;
    bool negative = take_punct(p, '-');
    if (p->token.kind != TOKEN_NUMBER || (negative && p->token.space_before)) {
        return expected(p, "a number");
    }
    struct node *node = new_node(p, NODE_NUMBER);
    if (node == NULL) {
        return false;
    }
    node->negative = negative;
    node->magnitude = p->token.magnitude;
    node->digits = p->token.digits;
    node->unit = p->token.unit;
    node->source.len += (size_t)(node->source.ptr - start);
    node->source.ptr = start;
    *out = node;
    advance(p);
    return true;
}

static bool capability(struct parser *p, struct node **out, bool move)
{
    struct node *node = new_node(p, NODE_CAP);
    *out = node;
    if (node == NULL) {
        return false;
    }
    node->move = move;
    if (!cap_name(p, &node->word)) {
        return false;
    }
    node->source.len = (size_t)(node->word.ptr + node->word.len - node->source.ptr);
    return true;
}

static bool text(struct parser *p, struct node **out)
{
    struct node *node = new_node(p, NODE_TEXT);
    *out = node;
    if (node == NULL) {
        return false;
    }
    node->text = p->token.text;
    advance(p);
    return true;
}

static bool word_value(struct parser *p, struct node **out)
{
    struct span source = p->token.source;
    if (is_word(p, "move") || is_word(p, "copy")) {
        bool move = is_word(p, "move");
        advance(p);
        if (is_punct(p, '@')) {
            return capability(p, out, move);
        }
    } else {
        advance(p);
    }
    struct node *node = new_node(p, NODE_WORD);
    *out = node;
    if (node == NULL) {
        return false;
    }
    node->word = source;
    node->source = source;
    return true;
}

/* One field: an optional label, then a value. */
static bool field(struct parser *p, struct node **out, unsigned depth, bool label_needed)
{
    struct span label = {0};
    if (p->token.kind == TOKEN_WORD) {
        struct lexer ahead = p->lexer; /* looks one token further; texts it takes are taken again */
        size_t text_bytes = p->command->text_bytes;
        struct parse_error quiet;
        ahead.error = &quiet;
        struct token next = lex_next(&ahead);
        p->command->text_bytes = text_bytes;
        if (next.kind == TOKEN_PUNCT && (next.punct == '=' || next.punct == ':')) {
            label = p->token.source;
            advance(p);
            advance(p);
        }
    }
    if (label.len == 0 && label_needed) {
        return expected(p, "a field, as name: value");
    }
    if (!value(p, out, depth)) {
        return false;
    }
    (*out)->label = label;
    return true;
}

/* Fields or values between brackets, separated by commas; the opening one is taken. */
static bool children(struct parser *p, struct node *parent, char close, unsigned depth)
{
    struct node **tail = &parent->child;
    while (!is_punct(p, close)) {
        bool labelled = parent->kind == NODE_STRUCT;
        struct node *child = NULL;
        if (!(labelled ? field(p, &child, depth, true) : value(p, &child, depth))) {
            return false;
        }
        *tail = child;
        tail = &child->next;
        if (!take_punct(p, ',') && !is_punct(p, close)) {
            return expected(p, close == ']' ? "',' or ']'" : "',' or '}'");
        }
    }
    parent->source.len = (size_t)(p->token.source.ptr - parent->source.ptr) + 1;
    advance(p);
    return true;
}

static bool brackets(struct parser *p, struct node **out, unsigned depth)
{
    if (depth >= PARSE_MAX_DEPTH) {
        if (!p->failed) {
            parse_fail(p->error, here(p), "values nest at most %d deep", (int)PARSE_MAX_DEPTH);
        }
        p->failed = true;
        return false;
    }
    bool list = is_punct(p, '[');
    struct node *node = new_node(p, list ? NODE_LIST : NODE_STRUCT);
    *out = node;
    if (node == NULL) {
        return false;
    }
    advance(p);
    return children(p, node, list ? ']' : '}', depth + 1);
}

static bool value(struct parser *p, struct node **out, unsigned depth)
{
    switch (p->token.kind) {
    case TOKEN_NUMBER:
        return number(p, out);
    case TOKEN_TEXT:
        return text(p, out);
    case TOKEN_WORD:
        return word_value(p, out);
    case TOKEN_PUNCT:
        if (p->token.punct == '-') {
            return number(p, out);
        }
        if (p->token.punct == '@') {
            return capability(p, out, false);
        }
        if (p->token.punct == '[' || p->token.punct == '{') {
            return brackets(p, out, depth);
        }
        return expected(p, "a value");
    default:
        return expected(p, "a value");
    }
}

/* ---- commands ---- */

static bool method_name(struct parser *p)
{
    if (!take_punct(p, '.')) {
        return true;
    }
    return take_word(p, &p->command->method, "the name of a method behind the '.'");
}

static bool target(struct parser *p)
{
    return cap_name(p, &p->command->cap) && method_name(p);
}

/* Fields up to `close`, or up to the end of the line when it is 0; commas may stand between. */
static bool arguments(struct parser *p, char close)
{
    struct node **tail = &p->command->args;
    while (close != 0 ? !is_punct(p, close) : p->token.kind != TOKEN_END) {
        struct node *node = NULL;
        if (!field(p, &node, 0, false)) {
            return false;
        }
        *tail = node;
        tail = &node->next;
        bool comma = take_punct(p, ',');
        if (close != 0 && !comma && !is_punct(p, close)) {
            return expected(p, "',' or ')'");
        }
    }
    if (close != 0) {
        advance(p);
    }
    return at_end(p);
}

static bool call(struct parser *p)
{
    p->command->verb = VERB_CALL;
    if (!target(p)) {
        return false;
    }
    if (p->command->method.len == 0) {
        return expected(p, "a method, as @name.method");
    }
    return take_punct(p, '(') ? arguments(p, ')') : arguments(p, 0);
}

static bool short_call(struct parser *p)
{
    if (!target(p)) {
        return false;
    }
    if (p->command->method.len > 0 && take_punct(p, '(')) {
        p->command->verb = VERB_CALL;
        return arguments(p, ')');
    }
    p->command->verb = VERB_SHOW;
    return p->token.kind == TOKEN_END
               ? !p->failed
               : expected(p, "'(' and arguments, as @name.method(field=value)");
}

static bool one_grant(struct parser *p)
{
    struct command *command = p->command;
    if (command->grant_count == PARSE_MAX_GRANTS) {
        p->failed = true;
        return parse_fail(p->error, here(p), "a program takes at most %d grants here",
                          (int)PARSE_MAX_GRANTS);
    }
    struct grant_line *grant = &command->grants[command->grant_count];
    *grant = (struct grant_line){0};
    if (!take_word(p, &grant->name, "a grant, as name: @capability")) {
        return false;
    }
    if (p->token.kind == TOKEN_WORD &&
        (span_is(grant->name, "move") || span_is(grant->name, "copy"))) {
        grant->mode_given = true;
        grant->move = span_is(grant->name, "move");
        take_word(p, &grant->name, "the name of a grant");
    }
    if (!take_punct(p, ':') && !take_punct(p, '=')) {
        return expected(p, "':' and a capability, as name: @capability");
    }
    if (is_word(p, "move") || is_word(p, "copy")) {
        grant->mode_given = true;
        grant->move = is_word(p, "move");
        advance(p);
    }
    if (!cap_name(p, &grant->cap)) {
        return false;
    }
    if (is_word(p, "as")) {
        advance(p);
        if (!take_word(p, &grant->interface, "the name of an interface behind 'as'")) {
            return false;
        }
    }
    command->grant_count++;
    return true;
}

static bool grants(struct parser *p)
{
    if (!take_punct(p, '{')) {
        return expected(p, "'{' and grants, as with { timer: @timer }");
    }
    while (!is_punct(p, '}')) {
        if (!one_grant(p)) {
            return false;
        }
        if (!take_punct(p, ',') && !is_punct(p, '}')) {
            return expected(p, "',' or '}'");
        }
    }
    advance(p);
    return true;
}

static bool program(struct parser *p)
{
    struct command *command = p->command;
    if (p->token.kind == TOKEN_TEXT) {
        command->program = p->token.text;
        advance(p);
    } else if (!take_word(p, &command->program, "the name of a program")) {
        return false;
    }
    if (is_word(p, "as")) {
        advance(p);
        if (!take_word(p, &command->as, "a name for the process behind 'as'")) {
            return false;
        }
    }
    if (is_word(p, "with")) {
        command->with_given = true;
        advance(p);
        if (!grants(p)) {
            return false;
        }
    }
    return p->token.kind == TOKEN_END ? !p->failed
                                      : expected(p, "'as', 'with' or the end of the line");
}

static bool help(struct parser *p)
{
    if (is_punct(p, '@')) {
        return target(p) && at_end(p);
    }
    if (p->token.kind == TOKEN_WORD) {
        p->command->word = p->token.source;
        advance(p);
    }
    return at_end(p);
}

static bool filter(struct parser *p)
{
    if (p->token.kind == TOKEN_WORD) {
        p->command->word = p->token.source;
        advance(p);
    }
    return at_end(p);
}

static bool on_capability(struct parser *p)
{
    return cap_name(p, &p->command->cap) && arguments(p, 0);
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
    {"ps", VERB_PS, at_end},
    {"history", VERB_HISTORY, at_end},
    {"clear", VERB_CLEAR, at_end},
    {"exit", VERB_EXIT, at_end},
};

static bool unknown_command(struct parser *p, struct span word, size_t at)
{
    const char *near = nearest_word(word, parse_verbs);
    p->failed = true;
    if (near != NULL) {
        return parse_fail(p->error, at, "no command '%.*s'; the nearest is '%s'", SPAN_ARGS(word),
                          near);
    }
    return parse_fail(p->error, at,
                      "no command '%.*s'; 'help' lists them, 'run %.*s' starts a program",
                      SPAN_ARGS(word), SPAN_ARGS(word));
}

static bool verb_command(struct parser *p)
{
    struct span word = p->token.source;
    size_t at = here(p);
    advance(p);
    for (size_t i = 0; i < sizeof(verb_table) / sizeof(verb_table[0]); i++) {
        if (span_is(word, verb_table[i].word)) {
            p->command->verb = verb_table[i].verb;
            return verb_table[i].rest(p);
        }
    }
    if (p->token.kind == TOKEN_PUNCT && p->token.punct == '=' && p->command->assign.len == 0) {
        p->command->assign = word;
        advance(p);
        if (is_punct(p, '@')) {
            return short_call(p);
        }
        if (is_word(p, "call") || is_word(p, "spawn")) {
            return verb_command(p);
        }
        return expected(p, "a call or spawn behind '='");
    }
    return unknown_command(p, word, at);
}

static bool whole_line(struct parser *p)
{
    if (p->token.kind == TOKEN_END) {
        p->command->verb = VERB_NONE;
        return !p->failed;
    }
    if (is_punct(p, '?')) {
        advance(p);
        p->command->verb = VERB_HELP;
        return help(p);
    }
    if (is_punct(p, '@')) {
        return short_call(p);
    }
    if (p->token.kind == TOKEN_WORD) {
        return verb_command(p);
    }
    return expected(p, "a command or a capability");
}

bool parse_line(const char *line, size_t len, struct command *command, struct parse_error *error)
{
    command->verb = VERB_NONE;
    command->assign = command->word = command->cap = command->method = (struct span){0};
    command->program = command->as = (struct span){0};
    command->args = NULL;
    command->with_given = false;
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
    advance(&parser);
    return whole_line(&parser) && !parser.failed;
}
