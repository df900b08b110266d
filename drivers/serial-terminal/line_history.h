/* SPDX-License-Identifier: MIT */
/* The lines typed before, newest first; bounded, oldest dropped. */
#ifndef CAPOS_SERIAL_TERMINAL_LINE_HISTORY_H
#define CAPOS_SERIAL_TERMINAL_LINE_HISTORY_H

#include "drivers/serial-terminal/line_edit.h"

/* Remembers a line, unless it is empty, longer than LINE_HISTORY_BYTES or the same as the last. */
void line_history_add(struct line_history *history, const char *line, size_t count);

/* The line `back` lines ago, 1 = the newest. 1 <= back <= history->count. */
const char *line_history_get(const struct line_history *history, unsigned back, size_t *count);

#endif
