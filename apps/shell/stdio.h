/* SPDX-License-Identifier: MIT */
/*
 * The stdio of programs: a ByteStream for each child, served by the shell.
 *
 * What a child writes is shown, escaped by the terminal; of a program in the background line by
 * line with its name before it. A child in the foreground reads what the person types; one in the
 * background reads the end.
 *
 * The number of a stream is its key, and no number is used twice: a stream that outlives its child
 * names nothing.
 */
#ifndef CAPOS_SHELL_STDIO_H
#define CAPOS_SHELL_STDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/types.h"

enum {
    STDIO_STREAMS = 8, /* as many as the launcher of the default manifest starts at once */
    STDIO_LABEL_BYTES = 32,
    STDIO_LINE_BYTES = 512,
};

/* Starts serving, on an endpoint of the shell's own ledger. */
status_t stdio_init(capos_cap_t ledger, capos_cap_t terminal);

/* Opens a stream and gives its capability; *number names it. */
status_t stdio_open(bool foreground, uint64_t *number, capos_cap_t *stream);

/* What is shown before the lines of a program in the background. */
void stdio_set_label(uint64_t number, const char *label);

/* While a stream is held its reads wait, and no line of the terminal is taken for it. */
void stdio_hold(uint64_t number, bool hold);

/* Shows what is left of the last line, ends a read that waits, and forgets the stream. Harmless for
 * one that is closed already: it closes by itself when nobody holds it any more. */
void stdio_close(uint64_t number);

#endif
