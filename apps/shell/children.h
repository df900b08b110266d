/* SPDX-License-Identifier: MIT */
/* The programs that this shell has started. */
#ifndef CAPOS_SHELL_CHILDREN_H
#define CAPOS_SHELL_CHILDREN_H

#include <stdbool.h>

#include "abi/types.h"
#include "apps/shell/names.h"
#include "apps/shell/parse.h"

/* Sets up stdio; launcher 0: nothing can be started. */
void children_init(capos_cap_t launcher, capos_cap_t ledger, capos_cap_t terminal);

/* run, spawn, debug, wait, kill, ps. What they have to say they say themselves. */
void children_start(struct command *command);
void children_kill(struct held *process);

/* While a process stands still, what is typed is not for it. */
void children_hold_stdio(const struct held *process, bool hold);
void children_list(void);

/* True for a process that was started by run or spawn, and so is watched. */
bool children_owns(const struct held *process);

/* The debugger of a process that was started by debug; 0: it has none. */
capos_cap_t children_debugger(const struct held *process);

/* Waits for the end of such a process. */
void children_wait(struct held *process);

/* A name is dropped: if it is a child's, the shell forgets the child; the process goes on. True when it
 * still runs. */
bool children_forget(struct held *process);

/* Tells of background programs that have ended since. */
void children_tell_ends(void);

#endif
