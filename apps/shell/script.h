/* SPDX-License-Identifier: MIT */
/* Carries out what is typed, and what scripts hold: statements, with the shell's variables. */
#ifndef CAPOS_SHELL_SCRIPT_H
#define CAPOS_SHELL_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    SCRIPT_MAX_BYTES = 16 * 1024, /* of a text with all its blocks */
    SCRIPTS_MAX = 16,             /* named ones */
    SCRIPT_DEPTH_MAX = 8,         /* scripts that do scripts */
};

/* Carries out a text that the person typed behind a prompt of so many columns. The whole of it is looked
 * through before any of it is done. False: the person leaves. */
bool script_typed(const char *text, size_t len, unsigned prompt_columns);

#endif
