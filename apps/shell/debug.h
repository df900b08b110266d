/* SPDX-License-Identifier: MIT */
/* A program started by `debug`: where it stands, a step, on until something happens, what is in its memory. */
#ifndef CAPOS_SHELL_DEBUG_H
#define CAPOS_SHELL_DEBUG_H

#include <stdbool.h>

#include "apps/shell/names.h"

/* debug @PROCESS: its threads; of those that stand still the registers and the way they came. */
void debug_show(struct held *process);

/* go and step @PROCESS: resumes what stands still, or the first of it for one instruction, and waits for what
 * happens. Ctrl-C stops the program again. */
void debug_go(struct held *process, bool step);

/* dump @PROCESS ADDRESS [BYTES] */
void debug_dump(struct held *process, const struct node *arguments);

#endif
