/* SPDX-License-Identifier: MIT */
/*
 * Tab: what can stand where the cursor is, from what is really there: the capabilities held, the methods of their
 * facets, parameters, enumerants, variables, programs, pages and commands.
 */
#ifndef CAPOS_SHELL_COMPLETE_H
#define CAPOS_SHELL_COMPLETE_H

#include <stddef.h>

#include "abi/types.h"

/* 0: there are none. */
void complete_init(capos_cap_t launcher, capos_cap_t pages);

/* Puts in what all that can stand at the cursor begins with. When that is nothing and there are several, they are
 * shown below the line. `line` holds *len of `size` bytes. */
void complete_line(const char *prompt, char *line, size_t size, size_t *len, size_t *cursor);

#endif
