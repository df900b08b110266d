/* SPDX-License-Identifier: MIT */
/* Edit distance, one row at a time. */
#include "nearest.h"

#include "lib/base/string.h"

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned edits(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned row[NEAREST_NAME_BYTES + 1];
    for (size_t k = 0; k <= b_len; k++) {
        row[k] = (unsigned)k;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_len; k++) {
            unsigned above = row[k];
            unsigned change = diagonal + (a[i - 1] != b[k - 1]);
            row[k] = least(change, least(above, row[k - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b_len];
}

void nearest_try(struct nearest *search, const char *candidate)
{
    size_t wanted_len = strlen(search->wanted);
    size_t len = strlen(candidate);
    if (wanted_len > NEAREST_NAME_BYTES || len > NEAREST_NAME_BYTES || wanted_len < 2) {
        return;
    }
    unsigned distance = edits(search->wanted, wanted_len, candidate, len);
    if (distance < search->best_edits && distance < wanted_len) {
        search->best = candidate;
        search->best_edits = distance;
    }
}
