/* SPDX-License-Identifier: MIT */
/*
 * One line under the hands of a person: keys in, screen bytes out. Pure: no calls, no allocation.
 *
 * Keys: left, right, home, end, backspace, delete, up and down (history), word left and right
 * (Ctrl or Alt with the arrows, Alt-B, Alt-F), Ctrl-A E B F D H K U W Y L P N T, Alt-D, Alt-backspace,
 * Enter, and Ctrl-R: the last line that holds what is typed, and the one before it. Tab ends the reading of a line
 * that wants it (tabs). Unknown control keys and escape sequences do nothing.
 *
 * The line is shown on one row of the screen; a longer one scrolls sideways under the prompt, so
 * nothing depends on how the terminal wraps.
 *
 * Invariants: 0 <= cursor <= count <= limit; `text` is valid UTF-8 without controls; cursor and
 * window lie at character starts.
 */
#ifndef CAPOS_SERIAL_TERMINAL_LINE_EDIT_H
#define CAPOS_SERIAL_TERMINAL_LINE_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/serial-terminal/text.h"
#include "lib/base/fmt.h"

enum {
    LINE_MAX_BYTES = 4096,
    LINE_PROMPT_MAX_BYTES = 128,
    LINE_KILL_BYTES = 1024,
    LINE_HISTORY_COUNT = 32,
    LINE_HISTORY_BYTES = 512, /* longer lines are not remembered */
    LINE_START_BYTES = 1024,  /* of a text that a line begins with; Tab ends no longer one */
    LINE_COLUMNS_MIN = 20,    /* an answer outside these is no answer */
    LINE_COLUMNS_MAX = 1000,
    LINE_ROWS_MIN = 5,
    LINE_ROWS_MAX = 500,
    LINE_SEQUENCE_MAX = 16, /* bytes of an escape sequence; a longer one is dropped whole */
};

enum line_event {
    LINE_NONE,        /* goes on */
    LINE_DONE,        /* a line: text, count */
    LINE_END,         /* Ctrl-D on an empty line */
    LINE_INTERRUPTED, /* Ctrl-C */
    LINE_TAB,         /* Tab: text, count, cursor; the line is off the screen, to be begun again */
};

struct line_history {
    unsigned count; /* lines held, at most LINE_HISTORY_COUNT */
    unsigned next;  /* place of the next line */
    uint16_t bytes[LINE_HISTORY_COUNT];
    char lines[LINE_HISTORY_COUNT][LINE_HISTORY_BYTES];
};

enum key_state { KEY_GROUND, KEY_ESCAPE, KEY_CSI, KEY_SS3 };

struct line_edit {
    struct fmt_sink *sink;
    unsigned columns; /* of the screen: assumed, until the screen has answered a question for it */
    unsigned rows;
    bool shown; /* prompt and line are on the screen */
    bool echo;
    bool tabs;
    bool skip_newline; /* the last line ended with CR: an LF right behind it belongs to it */
    unsigned start_column;
    size_t limit;
    size_t count;
    size_t cursor;
    size_t window; /* first byte of the line on the screen */
    char prompt[LINE_PROMPT_MAX_BYTES];
    size_t prompt_bytes;
    unsigned prompt_width;
    char text[LINE_MAX_BYTES + 1]; /* NUL behind the line once done */
    char kill[LINE_KILL_BYTES];
    size_t kill_count;
    /* Browsing history: how many lines back, and the line left behind. */
    unsigned back;
    char kept[LINE_HISTORY_BYTES];
    size_t kept_count;
    struct line_history history;
    /* The key being typed. */
    enum key_state key_state;
    unsigned sequence_count;
    char sequence[LINE_SEQUENCE_MAX];
    unsigned partial_count;
    char partial[UTF8_MAX_BYTES];
};

void line_edit_init(struct line_edit *edit, struct fmt_sink *sink, unsigned columns, unsigned rows);

/* Asks the screen for its size: the answer comes as if it were typed. A screen that does not know
 * the question does not answer, and nothing waits for it. */
void line_edit_ask_size(struct line_edit *edit);

/* Shows a prompt (controls in it are left out) and an empty line; start_column tells where the
 * cursor stands. The limit is clamped to 1 .. LINE_MAX_BYTES. */
void line_edit_begin(struct line_edit *edit, const char *prompt, size_t prompt_bytes, bool echo,
                     size_t limit, unsigned start_column);

/* Behind begin: the line holds this text, with the cursor at a place in it; what does not belong into a line is left
 * out. `tabs`: Tab is an event. */
void line_edit_fill(struct line_edit *edit, const char *text, size_t count, size_t cursor,
                    bool tabs);

/* One typed byte. After an event other than LINE_NONE the line is over: the cursor is at the start
 * of a new row; text and count stay until the next begin. */
enum line_event line_edit_feed(struct line_edit *edit, uint8_t byte);

/* Takes the line off the screen, for other output; and shows it again from start_column on. */
void line_edit_hide(struct line_edit *edit);
void line_edit_show(struct line_edit *edit, unsigned start_column);

#endif
