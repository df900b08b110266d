/* SPDX-License-Identifier: MIT */
/* One call of Launcher.launch, from a command as it was typed. */
#ifndef CAPOS_SHELL_LAUNCH_H
#define CAPOS_SHELL_LAUNCH_H

#include "abi/types.h"
#include "apps/shell/grants.h"
#include "apps/shell/parse.h"

/* 0: there is no launcher, and launch_program always says so. */
void launch_init(capos_cap_t launcher);

/* Starts command->program with these grants and, unless it is 0, a stream as its stdio, which is
 * moved to it. The process; 0 when it was not started: a message has been shown, and nothing was
 * moved. For `debug` with its debugger. */
capos_cap_t launch_program(const struct command *command, const struct resolved_grant *grants,
                           capos_cap_t stream, capos_cap_t *debugger);

#endif
