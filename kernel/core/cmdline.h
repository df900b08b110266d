/* SPDX-License-Identifier: MIT */
/* The boot command line: words separated by blanks, each `word` or `key=value`. */
#ifndef CAPOS_KERNEL_CORE_CMDLINE_H
#define CAPOS_KERNEL_CORE_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>

/* True when one of the words is exactly this. */
bool cmdline_has(const char *line, const char *word);

/* The value of `key` (without "="): a pointer into the line and its length; NULL when it is not
 * there. The first of several counts. */
const char *cmdline_value(const char *line, const char *key, size_t *len_out);

#endif
