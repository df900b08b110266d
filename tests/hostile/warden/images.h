/* SPDX-License-Identifier: MIT */
/* Program images that are none, started by the warden itself: nobody else may start what it likes. */
#ifndef CAPOS_TESTS_HOSTILE_IMAGES_H
#define CAPOS_TESTS_HOSTILE_IMAGES_H

#include <stdbool.h>

/* Reports a line for each group whose name begins with the prefix. */
void images_try(const char *prefix);
/* How many lines that are. */
unsigned images_count(const char *prefix);

/* starve.c, one of the groups: false and why, when a start went otherwise than it must. */
bool starved_spawns(char *detail);

#endif
