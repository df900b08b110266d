/* SPDX-License-Identifier: MIT */
/*
 * What stands behind a '=' , an 'if' or a 'print': a value, worked out. Pure but for the calls, which its user
 * makes.
 *
 *   expression = and {"or" and}          and = not {"and" not}          not = "not" not | compared
 *   compared   = sum [("==" | "!=" | "<" | "<=" | ">" | ">=" | "in") sum]
 *   sum        = product {("+" | "-") product}      product = signed {("*" | "/" | "%") signed}
 *   signed     = "-" signed | operand
 *   operand    = "(" expression ")" path | "size" "(" expression ")" | call path | value of a line
 *   call       = ("@" name | "$" name path) "." method "(" ... ")" {"." ... "(" ... ")"}     as in parse.h
 *
 * Numbers are whole, from -(2^64 - 1) to 2^64 - 1; what does not fit is refused, and so is a division by 0.
 * "+" with a text on either side puts the two together. Only like is compared with like. Both sides of
 * "and" and "or" are worked out.
 */
#ifndef CAPOS_SHELL_EXPRESSION_H
#define CAPOS_SHELL_EXPRESSION_H

#include "apps/shell/kept.h"
#include "apps/shell/parse.h"

enum { EXPRESSION_DEPTH_MAX = 24 };

struct evaluation {
    struct kept_arena *arena; /* of the values */
    struct parse_error *error;
    bool dry; /* only see whether it is one: nothing is looked up or called */
    /* Carries out a call as it is written; its answer as a value. NULL: it has been told why not, or *error
     * says it and error->message is not empty. */
    struct node *(*call)(struct evaluation *self, struct span text);
    void *context;
};

/* Takes one expression from *rest, which afterwards begins behind it and the blanks there. NULL: error->message
 * says why, unless it is empty: then a call failed and it has been told. error->at is the place in `text`. */
const struct node *expression_evaluate(struct evaluation *self, struct span text, size_t *at);

#endif
