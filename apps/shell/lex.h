/* SPDX-License-Identifier: MIT */
/* The words of a line. */
#ifndef CAPOS_SHELL_LEX_H
#define CAPOS_SHELL_LEX_H

#include "apps/shell/parse.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,     /* letters, digits, _ and - ; starts with a letter or _ */
    TOKEN_NUMBER,   /* magnitude, digits, unit */
    TOKEN_TEXT,     /* text */
    TOKEN_VARIABLE, /* $name and a path right behind it: name, text */
    TOKEN_PUNCT,    /* one of @ = : , . ( ) { } [ ] - ; in expressions + * / % < > ! too */
    TOKEN_BAD,      /* error holds the message */
};

struct token {
    enum token_kind kind;
    struct span source;
    char punct;
    bool space_before;
    uint64_t magnitude;
    struct span digits;
    struct span unit;
    struct span text; /* of a variable: its path, as .field[0] */
    struct span name; /* of a variable */
};

struct lexer {
    const char *line;
    size_t len;
    size_t at;
    bool operators;          /* an expression: its signs mean something */
    struct command *command; /* owns the bytes of texts */
    struct parse_error *error;
};

/* The next token; after TOKEN_END or TOKEN_BAD the same again. */
struct token lex_next(struct lexer *lexer);

/* Notes an error at `at`; always false, so that a parser can return it. */
bool parse_fail(struct parse_error *error, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
