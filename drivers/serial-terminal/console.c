/* SPDX-License-Identifier: MIT */
#include "drivers/serial-terminal/console.h"

#include "lib/base/string.h"

enum { CTRL_C = 3 };

static const char *const style_on[CONSOLE_STYLE_COUNT] = {
    [CONSOLE_HEADING] = "\x1b[1m",
    [CONSOLE_ERROR] = "\x1b[31m",
    [CONSOLE_QUIET] = "\x1b[2m",
    [CONSOLE_PROGRAM_ERROR] = "\x1b[33m",
};

static void send(struct console *console, const char *text)
{
    console->sink->write(console->sink, text, strlen(text));
}

void console_init(struct console *console, struct fmt_sink *sink)
{
    memset(console, 0, sizeof(*console));
    console->sink = sink;
    text_escaper_init(&console->escaper, sink, CONSOLE_COLUMNS);
    line_edit_init(&console->edit, sink, CONSOLE_COLUMNS, CONSOLE_ROWS);
}

/* Puts the line being read back under what was written. A prompt gets a row of its own. */
static void show_line_again(struct console *console)
{
    if (console->edit.prompt_bytes > 0) {
        text_fresh_line(&console->escaper);
    }
    line_edit_show(&console->edit, console->escaper.column);
}

void console_write(struct console *console, unsigned style, const char *bytes, size_t count)
{
    const char *on = style < CONSOLE_STYLE_COUNT ? style_on[style] : NULL;
    if (console->reading) {
        line_edit_hide(&console->edit);
    }
    if (on != NULL) {
        text_escape_flush(&console->escaper);
        send(console, on);
    }
    text_escape(&console->escaper, bytes, count);
    if (on != NULL) {
        text_escape_flush(&console->escaper);
        send(console, "\x1b[0m");
    }
    if (console->reading) {
        show_line_again(console);
    }
}

void console_clear(struct console *console)
{
    send(console, "\x1b[H\x1b[2J");
    console->escaper.column = 0;
    console->escaper.partial_count = 0;
    console->asked_size = false; /* the window may have changed: ask again */
    if (console->reading) {
        show_line_again(console);
    }
}

static enum line_event feed(struct console *console, uint8_t byte)
{
    enum line_event event = line_edit_feed(&console->edit, byte);
    console->escaper.columns = console->edit.columns;
    if (event != LINE_NONE) {
        console->reading = false;
        console->escaper.column = event == LINE_TAB ? console->edit.start_column : 0;
    }
    return event;
}

static enum line_event feed_ahead(struct console *console)
{
    enum line_event event = LINE_NONE;
    while (console->ahead_count > 0 && event == LINE_NONE) {
        uint8_t byte = console->ahead[console->ahead_first];
        console->ahead_first = (console->ahead_first + 1) % CONSOLE_AHEAD_BYTES;
        console->ahead_count--;
        event = feed(console, byte);
    }
    return event;
}

enum line_event console_read_line(struct console *console, const char *prompt, size_t prompt_bytes,
                                  bool echo, size_t limit)
{
    struct console_start nothing = {.text = "", .tabs = false};
    return console_read_line_from(console, prompt, prompt_bytes, echo, limit, &nothing);
}

enum line_event console_read_line_from(struct console *console, const char *prompt,
                                       size_t prompt_bytes, bool echo, size_t limit,
                                       const struct console_start *start)
{
    text_escape_flush(&console->escaper);
    if (prompt_bytes > 0) {
        text_fresh_line(&console->escaper);
    }
    console->reading = true;
    if (!console->asked_size) {
        console->asked_size = true;
        line_edit_ask_size(&console->edit);
    }
    line_edit_begin(&console->edit, prompt, prompt_bytes, echo, limit, console->escaper.column);
    line_edit_fill(&console->edit, start->text, start->count, start->cursor, start->tabs);
    return feed_ahead(console);
}

void console_cancel_line(struct console *console)
{
    if (console->reading) {
        line_edit_hide(&console->edit);
        console->reading = false;
    }
}

static void keep_for_later(struct console *console, uint8_t byte)
{
    if (byte == CTRL_C) {
        console->interrupts++;
        console->ahead_count = 0;
        text_escape_flush(&console->escaper);
        send(console, "^C\r\n");
        console->escaper.column = 0;
        return;
    }
    if (console->ahead_count == CONSOLE_AHEAD_BYTES) {
        console->dropped++;
        send(console, "\a");
        return;
    }
    size_t place = (console->ahead_first + console->ahead_count) % CONSOLE_AHEAD_BYTES;
    console->ahead[place] = byte;
    console->ahead_count++;
}

enum line_event console_input(struct console *console, uint8_t byte)
{
    if (!console->reading) {
        keep_for_later(console, byte);
        return LINE_NONE;
    }
    return feed(console, byte);
}
