/* SPDX-License-Identifier: MIT */
/*
 * What is typed, line by line, while the program does other things.
 *
 *   static struct capos_lines lines = {.line = line_typed, .ended = no_more};
 *   capos_lines_start(&lines, CAPOS_NEED("stdio", ByteStream));
 *
 * Both are called from capos_step, on the thread that started it. One such reader in a program.
 */
#ifndef CAPOS_LINES_H
#define CAPOS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capos/call.h"

enum { CAPOS_LINE_BYTES = 256 };

struct capos_lines {
    /* A line without its end, a 0 behind it; NULL: it was CAPOS_LINE_BYTES or longer, or had a 0 in it. May
     * call whom it likes, and wait. False: nothing more is read. */
    bool (*line)(const char *text, size_t len);
    /* Nothing more will come, and `line` has not said so: the stream's end, or its death. What was behind
     * the last end of a line is dropped. May be NULL. */
    void (*ended)(void);
    /* Private to the library. */
    capos_cap_t stream;
    size_t len;
    bool unfit;
    char text[CAPOS_LINE_BYTES];
};

/* ST_OK: a read waits; else why none can. */
status_t capos_lines_start(struct capos_lines *lines, capos_cap_t stream);

/* The bytes as they came, cut into lines. False: `line` wants no more. Pure. */
bool capos_lines_take(struct capos_lines *lines, const uint8_t *bytes, size_t count);

#endif
