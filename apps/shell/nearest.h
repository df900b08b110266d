/* SPDX-License-Identifier: MIT */
/* "Did you mean": the known name nearest to a mistyped one. */
#ifndef CAPOS_SHELL_NEAREST_H
#define CAPOS_SHELL_NEAREST_H

#include "apps/shell/parse.h"

enum { NEAREST_MAX_BYTES = 40 }; /* longer names are not compared */

/* How many letters must be put in, taken out, changed or swapped with a neighbour; case counts
 * nothing. UINT_MAX for names beyond NEAREST_MAX_BYTES. */
unsigned nearest_distance(struct span a, struct span b);

/* True when the distance is small enough, for a word of that length, to be worth telling. */
bool nearest_is_close(struct span word, unsigned distance);

/* Picks the best of candidates offered one by one. */
struct nearest {
    struct span word;
    struct span best; /* empty: none is close */
    unsigned distance;
};

void nearest_begin(struct nearest *nearest, struct span word);
void nearest_offer(struct nearest *nearest, struct span candidate);

/* The nearest of a NULL-ended list; NULL when none is close. */
const char *nearest_word(struct span word, const char *const *candidates);

#endif
