/* SPDX-License-Identifier: MIT */
/* Names that begin with what was typed, gathered for completion. Pure. */
#ifndef CAPOS_SHELL_CANDIDATES_H
#define CAPOS_SHELL_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>

#include "apps/shell/parse.h"

enum { CANDIDATES_MAX = 128, CANDIDATE_BYTES = 48 };

struct candidates {
    struct span typed; /* what they begin with */
    unsigned count;    /* of names; more of them than there is room for are left out */
    bool more;
    size_t common; /* bytes that all of them begin with */
    char names[CANDIDATES_MAX][CANDIDATE_BYTES];
};

void candidates_begin(struct candidates *all, struct span typed);

/* Takes it when it begins with what was typed and is not there yet. */
void candidates_offer(struct candidates *all, const char *name, size_t len);

/* Where in a line the cursor is. */
enum place_kind {
    PLACE_NOWHERE,   /* in quotation marks or a comment */
    PLACE_WORD,      /* a word of a command; `before` is the text of its statement up to it */
    PLACE_CAP,       /* behind an @ */
    PLACE_VARIABLE,  /* behind a $ */
    PLACE_MEMBER,    /* behind a dot; `before` is what the dot stands behind */
    PLACE_PARAMETER, /* in the list of a call; `before` is the call up to its '(' */
    PLACE_VALUE,     /* the same, behind `parameter` and its '=' */
};

struct place {
    enum place_kind kind;
    size_t at; /* where the fragment begins */
    struct span before;
    struct span parameter;
    struct span list; /* what stands in the list so far */
};

/* Looks at the first `cursor` bytes of the line. */
struct place candidates_place(const char *line, size_t cursor);

/* The parts of "@name.method(...).method": false when there is none left. Behind each method of a call is its list;
 * `called` tells whether it is there. */
struct chain_part {
    struct span name;
    bool called;
};
bool candidates_next_part(struct span *chain, struct chain_part *part);

#endif
