/* SPDX-License-Identifier: MIT */
#include "drivers/serial-terminal/line_view.h"

void line_send(struct line_edit *edit, const char *bytes, size_t count)
{
    edit->sink->write(edit->sink, bytes, count);
}

/* ---- characters of the line ---- */

size_t line_next(const struct line_edit *edit, size_t at)
{
    if (at >= edit->count) {
        return edit->count;
    }
    do {
        at++;
    } while (at < edit->count && ((uint8_t)edit->text[at] & 0xc0) == 0x80);
    return at;
}

size_t line_prev(const struct line_edit *edit, size_t at)
{
    while (at > 0) {
        at--;
        if (((uint8_t)edit->text[at] & 0xc0) != 0x80) {
            break;
        }
    }
    return at;
}

unsigned line_width(const struct line_edit *edit, size_t from, size_t to)
{
    unsigned width = 0;
    while (from < to) {
        uint32_t code = 0;
        unsigned taken = utf8_decode(edit->text + from, to - from, &code);
        if (taken == 0) {
            break; /* cannot be: the line is valid UTF-8 */
        }
        width += text_width(code);
        from += taken;
    }
    return width;
}

/* ---- the screen ---- */

unsigned line_room(const struct line_edit *edit)
{
    unsigned used = edit->start_column + edit->prompt_width + 1;
    return edit->columns > used + 8 ? edit->columns - used : 8;
}

static void to_column(struct line_edit *edit, unsigned column)
{
    char text[16];
    if (column == 0) {
        line_send(edit, "\r", 1);
    } else {
        line_send(edit, text, fmt_format(text, sizeof(text), "\x1b[%uG", column + 1));
    }
}

/* Keeps the cursor inside the window; past its end it jumps a quarter on, so that a long line does
 * not draw its row anew with every key. */
static void scroll(struct line_edit *edit)
{
    if (edit->cursor < edit->window) {
        edit->window = edit->cursor;
    }
    if (line_width(edit, edit->window, edit->cursor) <= line_room(edit)) {
        return;
    }
    while (line_width(edit, edit->window, edit->cursor) > line_room(edit) - line_room(edit) / 4) {
        edit->window = line_next(edit, edit->window);
    }
}

/* Where the window ends: as much of the line as has room. */
static size_t window_end(const struct line_edit *edit)
{
    size_t at = edit->window;
    unsigned width = 0;
    while (at < edit->count) {
        size_t after = line_next(edit, at);
        width += line_width(edit, at, after);
        if (width > line_room(edit)) {
            break;
        }
        at = after;
    }
    return at;
}

void line_redraw(struct line_edit *edit)
{
    if (!edit->echo) {
        return;
    }
    scroll(edit);
    size_t end = window_end(edit);
    to_column(edit, edit->start_column + edit->prompt_width);
    line_send(edit, edit->text + edit->window, end - edit->window);
    line_send(edit, "\x1b[K", 3);
    unsigned after = line_width(edit, edit->cursor, end);
    if (after > 0) {
        char text[16];
        line_send(edit, text, fmt_format(text, sizeof(text), "\x1b[%uD", after));
    }
}

void line_draw(struct line_edit *edit)
{
    edit->shown = true;
    to_column(edit, edit->start_column);
    if (edit->prompt_bytes > 0) {
        line_send(edit, "\x1b[1m", 4);
        line_send(edit, edit->prompt, edit->prompt_bytes);
        line_send(edit, "\x1b[0m", 4);
    }
    line_send(edit, "\x1b[K", 3);
    if (edit->count > 0) {
        line_redraw(edit);
    }
}

void line_edit_hide(struct line_edit *edit)
{
    if (edit->shown) {
        to_column(edit, edit->start_column);
        line_send(edit, "\x1b[K", 3);
        edit->shown = false;
    }
}

void line_edit_show(struct line_edit *edit, unsigned start_column)
{
    edit->start_column = start_column;
    line_draw(edit);
}

/* Keeps the cursor, goes as far down and right as the screen goes, asks where that is, comes back. */
void line_edit_ask_size(struct line_edit *edit)
{
    static const char question[] = "\x1b"
                                   "7\x1b[999;999H\x1b[6n\x1b"
                                   "8";
    line_send(edit, question, sizeof(question) - 1);
}
