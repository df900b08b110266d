/* SPDX-License-Identifier: MIT */
/*
 * What the shell says. Text is gathered and goes to the TerminalSession in large pieces: at a change
 * of style, when the buffer is full, and at term_flush(). The terminal escapes what must be escaped.
 */
#ifndef CAPOS_SHELL_TERM_H
#define CAPOS_SHELL_TERM_H

#include <stdbool.h>
#include <stddef.h>

#include "abi/types.h"
#include "lib/base/compiler.h"
#include "lib/base/fmt.h"
#include "terminal.capnp.h"

/* Everything goes to this terminal from now on. */
void term_init(capos_cap_t terminal);

void term_write(enum TerminalSession_Style style, const char *bytes, size_t count);
void term_flush(void);

/* Plain text. */
void term_printf(const char *format, ...) PRINTF_LIKE(1, 2);

/* A line of its own about what went wrong: "error: ..." */
void term_error(const char *format, ...) PRINTF_LIKE(1, 2);

/* How many errors have been told, or caught. */
unsigned term_error_count(void);

enum { TERM_CAUGHT_BYTES = 240 };

/* While it lasts errors are kept here instead of shown: the last one. They nest. */
struct term_catch {
    struct term_catch *outer;
    size_t len;
    char text[TERM_CAUGHT_BYTES];
};

void term_catch_begin(struct term_catch *caught);
void term_catch_end(struct term_catch *caught);
bool term_is_catching(void);

/* Text in another style. */
void term_styled(enum TerminalSession_Style style, const char *format, ...) PRINTF_LIKE(2, 3);

/* A sink for the pure files: plain text. */
extern struct fmt_sink term_sink;

#endif
