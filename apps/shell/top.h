/* SPDX-License-Identifier: MIT */
/* `top`: what the processes do that the shell holds handles of, and those below them. */
#ifndef CAPOS_SHELL_TOP_H
#define CAPOS_SHELL_TOP_H

#include "apps/shell/parse.h"

/* `word` empty: a table anew each second, until Ctrl-C; "once": one table. */
void top_show(struct span word);

#endif
