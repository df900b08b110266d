/* SPDX-License-Identifier: MIT */
#include "apps/shell/parser.h"

static bool value(struct parser *p, struct node **out, unsigned depth);

void parser_advance(struct parser *p)
{
    p->token = lex_next(&p->lexer);
    p->failed = p->failed || p->token.kind == TOKEN_BAD;
}

size_t parser_here(const struct parser *p)
{
    return (size_t)(p->token.source.ptr - p->lexer.line);
}

bool parser_expected(struct parser *p, const char *what)
{
    if (p->failed) {
        return false;
    }
    p->failed = true;
    if (p->token.kind == TOKEN_END) {
        return parse_fail(p->error, parser_here(p), "expected %s, but the line ends here", what);
    }
    return parse_fail(p->error, parser_here(p), "expected %s, found %.*s", what,
                      SPAN_ARGS(p->token.source));
}

bool parser_is_punct(const struct parser *p, char c)
{
    return p->token.kind == TOKEN_PUNCT && p->token.punct == c;
}

bool parser_take_punct(struct parser *p, char c)
{
    if (!parser_is_punct(p, c)) {
        return false;
    }
    parser_advance(p);
    return true;
}

bool parser_is_word(const struct parser *p, const char *word)
{
    return p->token.kind == TOKEN_WORD && span_is(p->token.source, word);
}

bool parser_take_word(struct parser *p, struct span *out, const char *what)
{
    if (p->token.kind != TOKEN_WORD) {
        return parser_expected(p, what);
    }
    *out = p->token.source;
    parser_advance(p);
    return true;
}

bool parser_at_end(struct parser *p)
{
    return p->token.kind == TOKEN_END ? !p->failed : parser_expected(p, "the end of the line");
}

bool parser_cap_name(struct parser *p, struct span *out)
{
    if (!parser_take_punct(p, '@')) {
        return parser_expected(p, "a capability, as @name");
    }
    if (p->token.space_before) {
        return parser_expected(p, "a name right behind the @");
    }
    return parser_take_word(p, out, "the name of a capability behind the @");
}

/* ---- values ---- */

static struct node *new_node(struct parser *p, enum node_kind kind)
{
    struct command *command = p->command;
    if (command->node_count == PARSE_MAX_NODES) {
        if (!p->failed) {
            parse_fail(p->error, parser_here(p), "a line holds at most %d values",
                       (int)PARSE_MAX_NODES);
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
    bool negative = parser_take_punct(p, '-');
    if (p->token.kind != TOKEN_NUMBER || (negative && p->token.space_before)) {
        return parser_expected(p, "a number");
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
    parser_advance(p);
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
    if (!parser_cap_name(p, &node->word)) {
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
    parser_advance(p);
    return true;
}

bool parser_value(struct parser *p, struct node **out)
{
    return value(p, out, 0);
}

static bool variable(struct parser *p, struct node **out)
{
    struct node *node = new_node(p, NODE_VARIABLE);
    *out = node;
    if (node == NULL) {
        return false;
    }
    node->word = p->token.name;
    node->text = p->token.text;
    parser_advance(p);
    return true;
}

static bool word_value(struct parser *p, struct node **out)
{
    struct span source = p->token.source;
    if (parser_is_word(p, "move") || parser_is_word(p, "copy")) {
        bool move = parser_is_word(p, "move");
        parser_advance(p);
        if (parser_is_punct(p, '@')) {
            return capability(p, out, move);
        }
    } else {
        parser_advance(p);
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

bool parser_field(struct parser *p, struct node **out, unsigned depth, bool label_needed)
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
            parser_advance(p);
            parser_advance(p);
        }
    }
    if (label.len == 0 && label_needed) {
        return parser_expected(p, "a field, as name: value");
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
    while (!parser_is_punct(p, close)) {
        bool labelled = parent->kind == NODE_STRUCT;
        struct node *child = NULL;
        if (!(labelled ? parser_field(p, &child, depth, true) : value(p, &child, depth))) {
            return false;
        }
        *tail = child;
        tail = &child->next;
        if (!parser_take_punct(p, ',') && !parser_is_punct(p, close)) {
            return parser_expected(p, close == ']' ? "',' or ']'" : "',' or '}'");
        }
    }
    parent->source.len = (size_t)(p->token.source.ptr - parent->source.ptr) + 1;
    parser_advance(p);
    return true;
}

static bool brackets(struct parser *p, struct node **out, unsigned depth)
{
    if (depth >= PARSE_MAX_DEPTH) {
        if (!p->failed) {
            parse_fail(p->error, parser_here(p), "values nest at most %d deep",
                       (int)PARSE_MAX_DEPTH);
        }
        p->failed = true;
        return false;
    }
    bool list = parser_is_punct(p, '[');
    struct node *node = new_node(p, list ? NODE_LIST : NODE_STRUCT);
    *out = node;
    if (node == NULL) {
        return false;
    }
    parser_advance(p);
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
    case TOKEN_VARIABLE:
        return variable(p, out);
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
        return parser_expected(p, "a value");
    default:
        return parser_expected(p, "a value");
    }
}
