/* SPDX-License-Identifier: MIT */
/*
 * The shell's variables: a name, and a value that is its own copy. Pure but for the heap.
 *
 * A value stays where it is until it is assigned anew or unset; who holds on to it over that copies it.
 */
#ifndef CAPOS_SHELL_VARIABLES_H
#define CAPOS_SHELL_VARIABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "apps/shell/kept.h"

enum {
    VARIABLES_MAX = 64,
    VARIABLE_NAME_BYTES = 32,
    VARIABLES_TOTAL_BYTES = 128 * 1024, /* of all values together */
    VARIABLES_MESSAGE_BYTES = 256,
};

struct variables_error {
    char message[VARIABLES_MESSAGE_BYTES];
};

/* Copies the value. False, and nothing is changed: no place, no memory, a name that is too long. */
bool variables_set(struct span name, const struct node *value, struct variables_error *error);

void variables_unset(struct span name);

/* NULL: there is none of that name. */
const struct node *variables_get(struct span name);

/* What stands in $name and its path. NULL: *error says what is missing. */
const struct node *variables_look_up(struct span name, struct span path,
                                     struct variables_error *error);

/* The same from a value that has no name. */
const struct node *variables_follow(const struct node *value, struct span path,
                                    struct variables_error *error);

/* Number `index` of them in the order in which they were made; false: there are not so many. */
bool variables_at(unsigned index, struct span *name, const struct node **value);

/* Puts values where the command names variables. False: *error. */
bool variables_resolve(struct command *command, struct variables_error *error);

/* Takes a value away and keeps it aside, so that it can be put back: the parameters of a script hide what had
 * their names. NULL: there was none. */
struct node *variables_hide(struct span name);
void variables_restore(struct span name, struct node *hidden);

#endif
