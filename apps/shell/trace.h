/* SPDX-License-Identifier: MIT */
/* `trace`: the flight recorder, decoded. */
#ifndef CAPOS_SHELL_TRACE_H
#define CAPOS_SHELL_TRACE_H

#include "apps/shell/parse.h"

/* trace [raw] @PROCESS [for TIME]: records until the time is over, or Ctrl-C, then shows. */
void trace_process(const struct command *command);

/* Begins to record what this shell does, for one command; false: it cannot be, which has been said. */
bool trace_begin(void);
/* Ends it, and shows what was recorded between. */
void trace_stop(void);
void trace_show(void);

#endif
