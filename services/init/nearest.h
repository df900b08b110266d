/* SPDX-License-Identifier: MIT */
/* "Did you mean": the candidate that a name was probably meant to be. */
#ifndef CAPOS_INIT_NEAREST_H
#define CAPOS_INIT_NEAREST_H

enum { NEAREST_MAX_EDITS = 2, NEAREST_NAME_BYTES = 64 };

struct nearest {
    const char *wanted;
    const char *best; /* NULL: nothing is near */
    unsigned best_edits;
};

static inline struct nearest nearest_to(const char *wanted)
{
    return (struct nearest){wanted, 0, NEAREST_MAX_EDITS + 1};
}

/* Takes one more candidate into account; it must outlive the search. */
void nearest_try(struct nearest *search, const char *candidate);

#endif
