/* SPDX-License-Identifier: MIT */
/* What the person types, taken apart. */
#ifndef CAPOS_ADVENTURE_CLIENT_WORDS_H
#define CAPOS_ADVENTURE_CLIENT_WORDS_H

#include <stddef.h>

enum { WORD_BYTES = 32, REST_BYTES = 128 }; /* with the NUL */

enum verb {
    VERB_NOTHING, /* an empty line */
    VERB_UNKNOWN,
    VERB_LOOK,
    VERB_GO,   /* thing: the direction, in full */
    VERB_TAKE, /* thing, and so on */
    VERB_DROP,
    VERB_USE,
    VERB_EXAMINE,
    VERB_GIVE, /* thing, other: to whom */
    VERB_SAY,  /* rest */
    VERB_INVENTORY,
    VERB_PLAYERS,
    VERB_HELP,
    VERB_QUIT,
    VERBS,
};

struct words {
    enum verb verb;
    char word[WORD_BYTES];  /* the first, as it was typed */
    char thing[WORD_BYTES]; /* "" when there is none; cut when it is longer */
    char other[WORD_BYTES];
    char rest[REST_BYTES]; /* all behind the first word */
};

void words_read(const char *line, size_t len, struct words *out);

/* What the verb wants behind it: "" when nothing. */
const char *words_wanted(enum verb verb);

#endif
