/* SPDX-License-Identifier: MIT */
/* How a line looks: the half of the line editor that writes to the screen. line_edit.h has the
 * structure and what others may call. */
#ifndef CAPOS_SERIAL_TERMINAL_LINE_VIEW_H
#define CAPOS_SERIAL_TERMINAL_LINE_VIEW_H

#include "drivers/serial-terminal/line_edit.h"

void line_send(struct line_edit *edit, const char *bytes, size_t count);

/* The start of the character behind or before the one at `at`; the line's end or start. */
size_t line_next(const struct line_edit *edit, size_t at);
size_t line_prev(const struct line_edit *edit, size_t at);

/* Columns of the text from `from` up to `to`. */
unsigned line_width(const struct line_edit *edit, size_t from, size_t to);

/* How many columns of the row the text has: what the prompt leaves, less one for the cursor. */
unsigned line_room(const struct line_edit *edit);

/* Draws the line behind the prompt, which stays as it is. */
void line_redraw(struct line_edit *edit);

/* Draws prompt and line. */
void line_draw(struct line_edit *edit);

#endif
