/* SPDX-License-Identifier: MIT */
/* What the commands do. */
#ifndef CAPOS_SHELL_COMMANDS_H
#define CAPOS_SHELL_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

#include "apps/shell/parse.h"

/* Does one command. False: the person leaves. */
bool commands_run(struct command *command);

/* Puts values where the command names variables. False: one of them is not there, which has been told. */
bool commands_resolve(struct command *command);

void commands_clear_screen(void);

/* Remembers a line for the command `history`. */
void commands_note_line(const char *line, size_t len);

#endif
