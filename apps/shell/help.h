/* SPDX-License-Identifier: MIT */
/* The command help: the commands, a page of the handbook, a capability, or one of its methods. */
#ifndef CAPOS_SHELL_HELP_H
#define CAPOS_SHELL_HELP_H

#include "abi/types.h"
#include "apps/shell/parse.h"

/* `pages`: the handbook (Manual); 0 when there is none. */
void help_init(capos_cap_t pages);

void help_show(const struct command *command);

#endif
