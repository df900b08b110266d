/* SPDX-License-Identifier: MIT */
#include "drivers/serial-terminal/line_edit.h"

#include "drivers/serial-terminal/line_history.h"
#include "drivers/serial-terminal/line_view.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

enum { CTRL_C = 3, CTRL_D = 4, ESCAPE = 0x1b, DELETE = 0x7f, PROMPT_WIDTH_MAX = 40 };

static void bell(struct line_edit *edit)
{
    line_send(edit, "\a", 1);
}

static bool is_word_byte(char byte)
{
    uint8_t b = (uint8_t)byte;
    return b >= 0x80 || b == '_' || (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') ||
           (b >= 'A' && b <= 'Z');
}

static size_t word_left(const struct line_edit *edit)
{
    size_t at = edit->cursor;
    while (at > 0 && !is_word_byte(edit->text[at - 1])) {
        at--;
    }
    while (at > 0 && is_word_byte(edit->text[at - 1])) {
        at--;
    }
    return at;
}

static size_t word_right(const struct line_edit *edit)
{
    size_t at = edit->cursor;
    while (at < edit->count && !is_word_byte(edit->text[at])) {
        at++;
    }
    while (at < edit->count && is_word_byte(edit->text[at])) {
        at++;
    }
    return at;
}

/* ---- changes ---- */

static void move_to(struct line_edit *edit, size_t at)
{
    if (at == edit->cursor) {
        return;
    }
    edit->cursor = at;
    line_redraw(edit);
}

static void insert(struct line_edit *edit, const char *bytes, size_t count)
{
    if (count > edit->limit - edit->count) {
        bell(edit);
        return;
    }
    memmove(edit->text + edit->cursor + count, edit->text + edit->cursor,
            edit->count - edit->cursor);
    memcpy(edit->text + edit->cursor, bytes, count);
    bool at_end = edit->cursor == edit->count;
    edit->count += count;
    edit->cursor += count;
    if (!edit->echo) {
        return;
    }
    if (at_end && line_width(edit, edit->window, edit->cursor) <= line_room(edit)) {
        line_send(edit, bytes, count); /* the usual key: no need to draw the row again */
    } else {
        line_redraw(edit);
    }
}

/* Takes [from, to) out of the line; kept for Ctrl-Y when `keep`. */
static void cut(struct line_edit *edit, size_t from, size_t to, bool keep)
{
    if (from >= to) {
        return;
    }
    if (keep && edit->echo) {
        edit->kill_count = min_u64(to - from, LINE_KILL_BYTES);
        while (edit->kill_count < to - from && edit->kill_count > 0 &&
               ((uint8_t)edit->text[from + edit->kill_count] & 0xc0) == 0x80) {
            edit->kill_count--;
        }
        memcpy(edit->kill, edit->text + from, edit->kill_count);
    }
    memmove(edit->text + from, edit->text + to, edit->count - to);
    edit->count -= to - from;
    edit->cursor = from;
    line_redraw(edit);
}

static void replace(struct line_edit *edit, const char *bytes, size_t count)
{
    edit->count = count <= edit->limit ? count : 0;
    memcpy(edit->text, bytes, edit->count);
    edit->cursor = edit->count;
    edit->window = 0;
    line_redraw(edit);
}

static void swap_chars(struct line_edit *edit)
{
    size_t middle = edit->cursor == edit->count ? line_prev(edit, edit->cursor) : edit->cursor;
    size_t first = line_prev(edit, middle);
    size_t end = line_next(edit, middle);
    if (first == middle || middle == end) {
        return;
    }
    char left[UTF8_MAX_BYTES];
    size_t left_bytes = middle - first;
    memcpy(left, edit->text + first, left_bytes);
    memmove(edit->text + first, edit->text + middle, end - middle);
    memcpy(edit->text + first + (end - middle), left, left_bytes);
    edit->cursor = end;
    line_redraw(edit);
}

/* What is typed for a program (without a prompt) or without echo is not remembered. */
static bool has_history(const struct line_edit *edit)
{
    return edit->echo && edit->prompt_bytes > 0;
}

static void browse(struct line_edit *edit, int step)
{
    if (!has_history(edit) || (step < 0 && edit->back == 0) ||
        (step > 0 && edit->back >= edit->history.count)) {
        bell(edit);
        return;
    }
    if (edit->back == 0) {
        edit->kept_count = edit->count <= LINE_HISTORY_BYTES ? edit->count : 0;
        memcpy(edit->kept, edit->text, edit->kept_count);
    }
    edit->back = step > 0 ? edit->back + 1 : edit->back - 1;
    if (edit->back == 0) {
        replace(edit, edit->kept, edit->kept_count);
    } else {
        size_t count;
        const char *line = line_history_get(&edit->history, edit->back, &count);
        replace(edit, line, count);
    }
}

/* Is the line on the screen the one that browsing has brought? */
static bool is_browsed(const struct line_edit *edit)
{
    size_t count;
    if (edit->back == 0) {
        return false;
    }
    const char *line = line_history_get(&edit->history, edit->back, &count);
    return count == edit->count && memcmp(line, edit->text, count) == 0;
}

static bool holds(const char *line, size_t count, const char *part, size_t part_count)
{
    for (size_t at = 0; at + part_count <= count; at++) {
        if (memcmp(line + at, part, part_count) == 0) {
            return true;
        }
    }
    return false;
}

/* The next older line that holds what was typed before the first search; arrow down leads back to that. */
static void search_back(struct line_edit *edit)
{
    unsigned back = is_browsed(edit) ? edit->back : 0;
    if (!has_history(edit) || edit->count > LINE_HISTORY_BYTES) {
        bell(edit);
        return;
    }
    if (back == 0) {
        edit->kept_count = edit->count;
        memcpy(edit->kept, edit->text, edit->kept_count);
    }
    for (back++; back <= edit->history.count; back++) {
        size_t count;
        const char *line = line_history_get(&edit->history, back, &count);
        if (holds(line, count, edit->kept, edit->kept_count)) {
            edit->back = back;
            replace(edit, line, count);
            return;
        }
    }
    bell(edit);
}

/* ---- keys ---- */

static enum line_event finish(struct line_edit *edit, enum line_event event)
{
    if (edit->cursor < edit->count) {
        edit->cursor = edit->count;
        line_redraw(edit);
    }
    edit->shown = false;
    edit->key_state = KEY_GROUND;
    edit->partial_count = 0;
    edit->text[edit->count] = 0;
    if (event == LINE_INTERRUPTED) {
        line_send(edit, "^C", 2);
        edit->count = edit->cursor = edit->window = 0;
        edit->text[0] = 0;
    }
    line_send(edit, "\r\n", 2);
    if (event == LINE_DONE && has_history(edit)) {
        line_history_add(&edit->history, edit->text, edit->count);
    }
    return event;
}

/* Whoever reads the line looks at it, and begins it again. */
static enum line_event tab(struct line_edit *edit)
{
    if (!edit->tabs || edit->count > LINE_START_BYTES) {
        bell(edit);
        return LINE_NONE;
    }
    line_edit_hide(edit);
    return LINE_TAB;
}

static void delete_forward(struct line_edit *edit)
{
    cut(edit, edit->cursor, line_next(edit, edit->cursor), false);
}

static void delete_back(struct line_edit *edit)
{
    cut(edit, line_prev(edit, edit->cursor), edit->cursor, false);
}

static enum line_event control_key(struct line_edit *edit, uint8_t key)
{
    switch (key) {
    case '\r':
    case '\n':
        edit->skip_newline = key == '\r';
        return finish(edit, LINE_DONE);
    case CTRL_C:
        return finish(edit, LINE_INTERRUPTED);
    case CTRL_D:
        if (edit->count == 0) {
            return finish(edit, LINE_END);
        }
        delete_forward(edit);
        break;
    case DELETE:
    case 'H' & 31:
        delete_back(edit);
        break;
    case 'A' & 31:
        move_to(edit, 0);
        break;
    case 'E' & 31:
        move_to(edit, edit->count);
        break;
    case 'B' & 31:
        move_to(edit, line_prev(edit, edit->cursor));
        break;
    case 'F' & 31:
        move_to(edit, line_next(edit, edit->cursor));
        break;
    case 'K' & 31:
        cut(edit, edit->cursor, edit->count, true);
        break;
    case 'U' & 31:
        cut(edit, 0, edit->cursor, true);
        break;
    case 'W' & 31:
        cut(edit, word_left(edit), edit->cursor, true);
        break;
    case 'Y' & 31:
        insert(edit, edit->kill, edit->kill_count);
        break;
    case 'T' & 31:
        swap_chars(edit);
        break;
    case 'P' & 31:
        browse(edit, 1);
        break;
    case 'N' & 31:
        browse(edit, -1);
        break;
    case 'R' & 31:
        search_back(edit);
        break;
    case '\t':
        return tab(edit);
    case 'L' & 31:
        line_send(edit, "\x1b[H\x1b[2J", 7);
        edit->start_column = 0;
        line_draw(edit);
        line_edit_ask_size(edit); /* who clears the screen may have another one by now */
        break;
    case ESCAPE:
        edit->key_state = KEY_ESCAPE;
        edit->sequence_count = 0;
        break;
    default:
        break;
    }
    return LINE_NONE;
}

static void tilde_key(struct line_edit *edit, char number)
{
    switch (number) {
    case '1':
    case '7':
        move_to(edit, 0);
        break;
    case '4':
    case '8':
        move_to(edit, edit->count);
        break;
    case '3':
        delete_forward(edit);
        break;
    default:
        break;
    }
}

/* "24;80": rows and columns, as the screen answers line_edit_ask_size. */
static void take_size(struct line_edit *edit)
{
    unsigned numbers[2] = {0, 0};
    unsigned which = 0;
    for (unsigned i = 0; i < edit->sequence_count && which < 2; i++) {
        char c = edit->sequence[i];
        if (c >= '0' && c <= '9' && numbers[which] < LINE_COLUMNS_MAX) {
            numbers[which] = numbers[which] * 10 + (unsigned)(c - '0');
        } else {
            which++;
        }
    }
    if (numbers[0] >= LINE_ROWS_MIN && numbers[0] <= LINE_ROWS_MAX &&
        numbers[1] >= LINE_COLUMNS_MIN && numbers[1] <= LINE_COLUMNS_MAX) {
        bool other = edit->columns != numbers[1];
        edit->rows = numbers[0];
        edit->columns = numbers[1];
        if (other && edit->shown) {
            edit->window = 0;
            line_redraw(edit);
        }
    }
}

/* The last byte of an escape sequence; `modified`: Ctrl or Alt was held. */
static void final_key(struct line_edit *edit, char key, bool modified)
{
    switch (key) {
    case 'A':
        browse(edit, 1);
        break;
    case 'B':
        browse(edit, -1);
        break;
    case 'C':
        move_to(edit, modified ? word_right(edit) : line_next(edit, edit->cursor));
        break;
    case 'D':
        move_to(edit, modified ? word_left(edit) : line_prev(edit, edit->cursor));
        break;
    case 'H':
        move_to(edit, 0);
        break;
    case 'F':
        move_to(edit, edit->count);
        break;
    case 'R':
        take_size(edit);
        break;
    case '~':
        if (edit->sequence_count == 1) {
            tilde_key(edit, edit->sequence[0]);
        }
        break;
    default:
        break;
    }
}

static void alt_key(struct line_edit *edit, uint8_t key)
{
    switch (key) {
    case 'b':
        move_to(edit, word_left(edit));
        break;
    case 'f':
        move_to(edit, word_right(edit));
        break;
    case 'd':
        cut(edit, edit->cursor, word_right(edit), true);
        break;
    case DELETE:
    case '\b':
        cut(edit, word_left(edit), edit->cursor, true);
        break;
    default:
        break;
    }
}

static enum line_event sequence_byte(struct line_edit *edit, uint8_t byte)
{
    if (byte < 0x20) {
        /* A control key ends whatever sequence was begun: Ctrl-C must always work. */
        edit->key_state = KEY_GROUND;
        return control_key(edit, byte);
    }
    if (edit->key_state == KEY_ESCAPE) {
        edit->key_state = byte == '[' ? KEY_CSI : byte == 'O' ? KEY_SS3 : KEY_GROUND;
        if (edit->key_state == KEY_GROUND) {
            alt_key(edit, byte);
        }
        return LINE_NONE;
    }
    bool final = byte >= 0x40;
    if (!final) {
        if (edit->sequence_count < LINE_SEQUENCE_MAX) {
            edit->sequence[edit->sequence_count] = (char)byte;
        }
        edit->sequence_count += edit->sequence_count <= LINE_SEQUENCE_MAX ? 1 : 0;
        return LINE_NONE;
    }
    edit->key_state = KEY_GROUND;
    if (edit->sequence_count <= LINE_SEQUENCE_MAX) {
        final_key(edit, (char)byte, memchr(edit->sequence, ';', edit->sequence_count) != NULL);
    }
    return LINE_NONE;
}

static void text_byte(struct line_edit *edit, uint8_t byte)
{
    if (edit->partial_count == UTF8_MAX_BYTES) {
        edit->partial_count = 0; /* cannot be: a whole sequence never stays */
    }
    edit->partial[edit->partial_count++] = (char)byte;
    unsigned need = utf8_sequence_bytes((uint8_t)edit->partial[0]);
    if (edit->partial_count > 1 && (byte & 0xc0) != 0x80) {
        /* A character that was cut off; what cut it is one of its own. */
        edit->partial_count = 0;
        bell(edit);
        text_byte(edit, byte);
        return;
    }
    bool bad = need == 0;
    if (!bad && edit->partial_count < need) {
        return;
    }
    uint32_t code = 0;
    bad =
        bad || utf8_decode(edit->partial, edit->partial_count, &code) == 0 || text_is_control(code);
    size_t count = edit->partial_count;
    edit->partial_count = 0;
    if (bad) {
        bell(edit);
    } else {
        insert(edit, edit->partial, count);
    }
}

enum line_event line_edit_feed(struct line_edit *edit, uint8_t byte)
{
    bool skip = edit->skip_newline && byte == '\n';
    edit->skip_newline = false;
    if (skip) {
        return LINE_NONE;
    }
    if (edit->key_state != KEY_GROUND) {
        return sequence_byte(edit, byte);
    }
    if (byte < 0x20 || byte == DELETE) {
        edit->partial_count = 0;
        return control_key(edit, byte);
    }
    text_byte(edit, byte);
    return LINE_NONE;
}

/* ---- life ---- */

void line_edit_init(struct line_edit *edit, struct fmt_sink *sink, unsigned columns, unsigned rows)
{
    memset(edit, 0, sizeof(*edit));
    edit->sink = sink;
    edit->columns = columns;
    edit->rows = rows;
}

static void set_prompt(struct line_edit *edit, const char *prompt, size_t count)
{
    edit->prompt_bytes = 0;
    edit->prompt_width = 0;
    for (size_t at = 0; at < count;) {
        uint32_t code;
        unsigned taken = utf8_decode(prompt + at, count - at, &code);
        if (taken == 0 || text_is_control(code)) {
            at += taken > 0 ? taken : 1;
            continue;
        }
        if (edit->prompt_bytes + taken > LINE_PROMPT_MAX_BYTES ||
            edit->prompt_width + text_width(code) > PROMPT_WIDTH_MAX) {
            break;
        }
        memcpy(edit->prompt + edit->prompt_bytes, prompt + at, taken);
        edit->prompt_bytes += taken;
        edit->prompt_width += text_width(code);
        at += taken;
    }
}

void line_edit_begin(struct line_edit *edit, const char *prompt, size_t prompt_bytes, bool echo,
                     size_t limit, unsigned start_column)
{
    set_prompt(edit, prompt, prompt_bytes);
    edit->echo = echo;
    edit->tabs = false;
    edit->limit = limit < 1 ? 1 : min_u64(limit, LINE_MAX_BYTES);
    edit->count = 0;
    edit->cursor = 0;
    edit->window = 0;
    edit->back = 0;
    edit->start_column = start_column;
    edit->key_state = KEY_GROUND;
    edit->partial_count = 0;
    line_draw(edit);
}

void line_edit_fill(struct line_edit *edit, const char *text, size_t count, size_t cursor,
                    bool tabs)
{
    edit->tabs = tabs;
    for (size_t i = 0; i < min_u64(count, LINE_START_BYTES); i++) {
        if ((uint8_t)text[i] >= 0x20 && text[i] != DELETE) {
            text_byte(edit, (uint8_t)text[i]);
        }
    }
    edit->partial_count = 0;
    cursor = min_u64(cursor, edit->count);
    while (cursor > 0 && cursor < edit->count && ((uint8_t)edit->text[cursor] & 0xc0) == 0x80) {
        cursor--;
    }
    move_to(edit, cursor);
}
