/* SPDX-License-Identifier: MIT */
#include "apps/shell/nearest.h"

#include <limits.h>

#include "lib/base/string.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: three rows of the usual table. */
unsigned nearest_distance(struct span a, struct span b)
{
    if (a.len > NEAREST_MAX_BYTES || b.len > NEAREST_MAX_BYTES) {
        return UINT_MAX;
    }
    unsigned rows[3][NEAREST_MAX_BYTES + 1];
    for (unsigned j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            char ca = lower(a.ptr[i - 1]);
            char cb = lower(b.ptr[j - 1]);
            unsigned cost = above[j - 1] + (ca == cb ? 0 : 1);
            cost = least(cost, least(above[j] + 1, row[j - 1] + 1));
            if (i > 1 && j > 1 && ca == lower(b.ptr[j - 2]) && lower(a.ptr[i - 2]) == cb) {
                cost = least(cost, above2[j - 2] + 1);
            }
            row[j] = cost;
        }
    }
    return rows[a.len % 3][b.len];
}

bool nearest_is_close(struct span word, unsigned distance)
{
    return distance <= (word.len <= 3 ? 1u : word.len <= 6 ? 2u : 3u);
}

void nearest_begin(struct nearest *nearest, struct span word)
{
    *nearest = (struct nearest){.word = word, .distance = UINT_MAX};
}

/* A name that begins with the whole word is nearer than any with a letter changed; one that begins with
 * another letter is farther. */
static unsigned rank(struct span word, struct span candidate)
{
    unsigned distance = nearest_distance(word, candidate);
    if (word.len > 0 && candidate.len > 0 && lower(word.ptr[0]) != lower(candidate.ptr[0]) &&
        distance != UINT_MAX) {
        distance++;
    }
    if (word.len >= 2 && candidate.len > word.len &&
        memcmp(word.ptr, candidate.ptr, word.len) == 0) {
        return least(distance, 1);
    }
    return distance;
}

void nearest_offer(struct nearest *nearest, struct span candidate)
{
    unsigned distance = rank(nearest->word, candidate);
    if (distance < nearest->distance && nearest_is_close(nearest->word, distance)) {
        nearest->distance = distance;
        nearest->best = candidate;
    }
}

const char *nearest_word(struct span word, const char *const *candidates)
{
    struct nearest nearest;
    nearest_begin(&nearest, word);
    for (size_t i = 0; candidates[i] != NULL; i++) {
        nearest_offer(&nearest, (struct span){candidates[i], strlen(candidates[i])});
    }
    return nearest.best.ptr;
}
