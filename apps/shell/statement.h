/* SPDX-License-Identifier: MIT */
/*
 * What a person types, or a script holds, cut into statements. Pure: spans of the text, no memory.
 *
 *   text      = [statement {(";" | newline) statement}]
 *   statement = "$" name "=" expression | "unset" "$" name
 *             | "print" [expression {"," expression}] | "fail" expression | "sleep" expression
 *             | "if" expression block ["else" (block | an if)] | "while" expression block
 *             | "for" "$" name "in" expression block | "repeat" expression block
 *             | "try" block ["else" block] | "break" | "continue" | "return"
 *             | "ask" ["hidden"] ["$" name] expression
 *             | "script" [name ["(" ["$" name {"," "$" name}] ")" block]]
 *             | "do" (name "(" [expression {"," expression}] ")" | "@" name ["aloud"])
 *             | "watch" [time] statement
 *             | a command (parse.h)
 *   block     = "{" text "}"
 *
 * A statement ends where its line ends, unless a bracket is open. expression.h says what an expression is.
 */
#ifndef CAPOS_SHELL_STATEMENT_H
#define CAPOS_SHELL_STATEMENT_H

#include "apps/shell/parse.h"

enum { STATEMENT_DEPTH_MAX = 12 }; /* blocks in blocks */

enum statement_kind {
    STATEMENT_NONE, /* the text has ended */
    STATEMENT_COMMAND,
    STATEMENT_ASSIGN,
    STATEMENT_UNSET,
    STATEMENT_PRINT,
    STATEMENT_FAIL,
    STATEMENT_SLEEP,
    STATEMENT_IF,
    STATEMENT_WHILE,
    STATEMENT_FOR,
    STATEMENT_REPEAT,
    STATEMENT_TRY,
    STATEMENT_BREAK,
    STATEMENT_CONTINUE,
    STATEMENT_RETURN,
    STATEMENT_ASK,
    STATEMENT_SCRIPT,
    STATEMENT_DO,
    STATEMENT_WATCH,
};

struct statement {
    enum statement_kind kind;
    struct span text;       /* all of it */
    struct span variable;   /* a name without its $; empty when none was given */
    struct span expression; /* or several, for print and do */
    struct span block;      /* between the braces; for watch the statement */
    struct span otherwise;  /* behind else: what is between the braces, or the whole of an if */
    struct span name;       /* of a script; of a capability, for do */
    bool has_else;
    bool of_capability; /* do: name is a capability's */
    bool hidden;        /* ask */
    bool aloud;         /* do */
};

/* Takes the next statement from *rest. False: *error, whose `at` counts from `base`, where the whole text
 * begins. */
bool statement_next(struct span *rest, const char *base, struct statement *out,
                    struct parse_error *error);

/* Goes on to the next parameter of a script, in *rest. False: there is none, or the text is no list of them,
 * which *bad tells. */
bool statement_parameter(struct span *rest, struct span *name, bool *bad);

/* Is a block open at the end, so that another line belongs to it? */
bool statement_is_open(const char *text, size_t len);

/* The words that begin a statement, beside those of parse_verbs; ends with NULL. */
extern const char *const statement_words[];

#endif
