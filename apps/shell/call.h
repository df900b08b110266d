/* SPDX-License-Identifier: MIT */
/* Calls of any method of any capability held. */
#ifndef CAPOS_SHELL_CALL_H
#define CAPOS_SHELL_CALL_H

#include "apps/shell/kept.h"
#include "apps/shell/parse.h"

/* Does `call @cap.method ...`: finds the method, builds the parameters, calls, shows the results and
 * names the capabilities received. */
void call_method(struct command *command);

/* The same, and the results are the value: they are not shown. NULL: it failed, which has been told. */
struct node *call_for_value(struct command *command, struct kept_arena *arena);

#endif
