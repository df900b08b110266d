/* SPDX-License-Identifier: MIT */
/* Looking a script through before any of it is done: each statement, expression and command of it. Pure. */
#ifndef CAPOS_SHELL_SCRIPT_CHECK_H
#define CAPOS_SHELL_SCRIPT_CHECK_H

#include "apps/shell/kept.h"
#include "apps/shell/parse.h"

enum { SCRIPT_PARAMETERS_MAX = 8 };

/* What it works with, and leaves as it was but for the command's contents. */
struct script_memory {
    struct command *command;
    struct kept_arena *arena;
};

/* False: *error, whose `at` is the place in the text. */
bool script_check(struct span text, struct script_memory *memory, struct parse_error *error);

#endif
