/* SPDX-License-Identifier: MIT */
/*
 * Text for a screen: UTF-8 scanning, width of characters, and the escaper that keeps foreign text
 * from steering the terminal. Pure: no calls, no allocation.
 */
#ifndef CAPOS_SERIAL_TERMINAL_TEXT_H
#define CAPOS_SERIAL_TERMINAL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/fmt.h"

enum {
    UTF8_MAX_BYTES = 4,
    TEXT_TAB_COLUMNS = 8,
};

/* Length of the sequence a lead byte announces: 1 to 4; 0 for a byte that cannot lead. */
unsigned utf8_sequence_bytes(uint8_t lead);

/* Decodes one character from the `count` bytes at `bytes`. Returns the bytes it takes and sets
 * *code; 0 when they are not the whole of one valid, shortest-form character (surrogates and
 * values above U+10FFFF are not). */
unsigned utf8_decode(const char *bytes, size_t count, uint32_t *code);

/* Columns a character takes: 0 for combining ones, 2 for wide ones. Meaningless for controls. */
unsigned text_width(uint32_t code);

/* True for what must never reach a screen raw: C0 and C1 controls, DEL, line and paragraph
 * separators, and the characters that reorder or hide text (a name could be made to read as
 * another). */
bool text_is_control(uint32_t code);

/* Escapes a stream of foreign bytes. A character cut by the end of one piece is kept until the next
 * piece completes it. */
struct text_escaper {
    struct fmt_sink *sink;
    unsigned column;  /* where the cursor is, counted from 0 */
    unsigned columns; /* width of the screen */
    unsigned partial_count;
    char partial[UTF8_MAX_BYTES];
};

void text_escaper_init(struct text_escaper *escaper, struct fmt_sink *sink, unsigned columns);

/* Shows `count` bytes: newline as CR LF, tab as blanks, valid characters as they are, everything
 * else as \xHH (bytes) or \u{HEX} (characters). */
void text_escape(struct text_escaper *escaper, const char *bytes, size_t count);

/* Shows an unfinished character, escaped, instead of waiting for its end. */
void text_escape_flush(struct text_escaper *escaper);

/* Starts a new line unless the cursor is at the start of one. */
void text_fresh_line(struct text_escaper *escaper);

#endif
