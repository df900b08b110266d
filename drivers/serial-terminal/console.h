/* SPDX-License-Identifier: MIT */
/*
 * The terminal without its wire: what is typed goes in byte by byte, what the screen shall show
 * comes out of a sink. Pure: no calls, no allocation; the process around it moves bytes and answers
 * calls.
 *
 * States: idle, or reading (a line is being edited). While idle, typed bytes are kept for the next
 * line, up to CONSOLE_AHEAD_BYTES; Ctrl-C is counted at once and drops them.
 */
#ifndef CAPOS_SERIAL_TERMINAL_CONSOLE_H
#define CAPOS_SERIAL_TERMINAL_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/serial-terminal/line_edit.h"
#include "drivers/serial-terminal/text.h"

enum {
    CONSOLE_AHEAD_BYTES = 4096,
    CONSOLE_COLUMNS = 80, /* until the screen says otherwise */
    CONSOLE_ROWS = 24,
};

/* The order of TerminalSession.Style. */
enum console_style {
    CONSOLE_PLAIN,
    CONSOLE_HEADING,
    CONSOLE_ERROR,
    CONSOLE_QUIET,
    CONSOLE_PROGRAM,
    CONSOLE_PROGRAM_ERROR,
    CONSOLE_STYLE_COUNT,
};

struct console {
    struct fmt_sink *sink;
    struct text_escaper escaper;
    struct line_edit edit;
    bool reading;
    bool asked_size;     /* since the start, or since the screen was cleared */
    uint64_t interrupts; /* Ctrl-C while idle, since the start */
    uint64_t dropped;    /* typed bytes for which there was no room */
    size_t ahead_first;
    size_t ahead_count;
    uint8_t ahead[CONSOLE_AHEAD_BYTES];
};

void console_init(struct console *console, struct fmt_sink *sink);

/* Shows foreign text, escaped; a style that is not known counts as plain. */
void console_write(struct console *console, unsigned style, const char *bytes, size_t count);

void console_clear(struct console *console);

/* Begins a line; the console must be idle. Bytes typed ahead are taken first: returns what they led
 * to. */
enum line_event console_read_line(struct console *console, const char *prompt, size_t prompt_bytes,
                                  bool echo, size_t limit);

/* The same for a line that begins with a text, and that Tab ends (LINE_TAB) when `tabs`. */
struct console_start {
    const char *text;
    size_t count;
    size_t cursor;
    bool tabs;
};
enum line_event console_read_line_from(struct console *console, const char *prompt,
                                       size_t prompt_bytes, bool echo, size_t limit,
                                       const struct console_start *start);

/* Gives up the line being read; what was typed of it is dropped. Harmless while idle. */
void console_cancel_line(struct console *console);

/* One typed byte. With an event other than LINE_NONE the line is in edit.text, edit.count until the
 * next console_read_line. */
enum line_event console_input(struct console *console, uint8_t byte);

#endif
