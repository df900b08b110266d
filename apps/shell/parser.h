/* SPDX-License-Identifier: MIT */
/* What the two halves of the parser share: parse_value.c (words and values) and parse.c (commands). */
#ifndef CAPOS_SHELL_PARSER_H
#define CAPOS_SHELL_PARSER_H

#include "apps/shell/lex.h"
#include "apps/shell/parse.h"

struct parser {
    struct lexer lexer;
    struct token token; /* looked at, not yet taken */
    struct command *command;
    struct parse_error *error;
    bool failed;
};

/* Takes the token looked at and looks at the next. */
void parser_advance(struct parser *p);

/* Where the token looked at stands in the line. */
size_t parser_here(const struct parser *p);

/* Notes "expected WHAT, found ..." about the token looked at, unless there is an error already.
 * Always false. */
bool parser_expected(struct parser *p, const char *what);

/* Is the token looked at this sign or word? The take forms take it; take_word says what was expected
 * when it is no word. */
bool parser_is_punct(const struct parser *p, char c);
bool parser_take_punct(struct parser *p, char c);
bool parser_is_word(const struct parser *p, const char *word);
bool parser_take_word(struct parser *p, struct span *out, const char *what);

/* True at the end of a line without an error. */
bool parser_at_end(struct parser *p);

/* @name */
bool parser_cap_name(struct parser *p, struct span *out);

/* A value. */
bool parser_value(struct parser *p, struct node **out);

/* One field: an optional label, then a value. */
bool parser_field(struct parser *p, struct node **out, unsigned depth, bool label_needed);

#endif
