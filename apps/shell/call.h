/* SPDX-License-Identifier: MIT */
/* Calls of any method of any capability held. */
#ifndef CAPOS_SHELL_CALL_H
#define CAPOS_SHELL_CALL_H

#include "apps/shell/parse.h"

/* Does `call @cap.method ...`: finds the method, builds the parameters, calls, shows the results and
 * names the capabilities received. */
void call_method(struct command *command);

#endif
