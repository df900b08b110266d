/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "drivers/serial-terminal/console.h"

/* A screen that keeps what was sent, and one that plays it: one row with a cursor. */
struct screen {
    struct fmt_sink sink;
    size_t count;
    char bytes[1 << 20];
};

static struct screen screen;
static struct console console;

static void screen_write(struct fmt_sink *sink, const char *bytes, size_t count)
{
    struct screen *s = (struct screen *)sink;
    if (s->count + count < sizeof(s->bytes)) {
        memcpy(s->bytes + s->count, bytes, count);
        s->count += count;
        s->bytes[s->count] = 0;
    }
}

static void setup(void)
{
    memset(&screen, 0, sizeof(screen));
    screen.sink.write = screen_write;
    console_init(&console, &screen.sink);
}

static enum line_event type(const char *keys)
{
    enum line_event event = LINE_NONE;
    for (const char *k = keys; *k != 0; k++) {
        enum line_event now = console_input(&console, (uint8_t)*k);
        event = now != LINE_NONE ? now : event;
    }
    return event;
}

static void begin(void)
{
    CHECK_EQ(console_read_line(&console, "> ", 2, true, 1024), LINE_NONE);
}

static void check_line(const char *keys, const char *wanted)
{
    begin();
    CHECK_EQ(type(keys), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, wanted);
    CHECK_EQ(console.edit.count, strlen(wanted));
}

/* What the current row shows: the subset of terminal control the console uses. */
static void play_row(char *row, size_t size)
{
    size_t cursor = 0;
    memset(row, ' ', size);
    for (size_t i = 0; i < screen.count; i++) {
        char c = screen.bytes[i];
        if (c == '\r') {
            cursor = 0;
        } else if (c == '\n') {
            memset(row, ' ', size);
        } else if (c == 0x1b && (screen.bytes[i + 1] == '7' || screen.bytes[i + 1] == '8')) {
            i++;
        } else if (c == 0x1b) {
            unsigned n = 0;
            for (i += 2; screen.bytes[i] >= '0' && screen.bytes[i] <= '9'; i++) {
                n = n * 10 + (unsigned)(screen.bytes[i] - '0');
            }
            char op = screen.bytes[i];
            if (op == 'K') {
                memset(row + cursor, ' ', size - cursor);
            } else if (op == 'D') {
                cursor -= n;
            } else if (op == 'G') {
                cursor = n - 1;
            }
        } else if (c != '\a' && cursor < size - 1) {
            row[cursor++] = c;
        }
    }
    while (size > 1 && row[size - 2] == ' ') {
        size--;
    }
    row[size - 1] = 0;
}

TEST(line_plain, "a typed line is what was typed, whichever way it ends")
{
    setup();
    check_line("caps\r", "caps");
    check_line("help\n", "help");
    check_line("\n", ""); /* the LF stands alone: the last line ended with LF */
    check_line("a\r", "a");
    begin();
    CHECK_EQ(type("\n"), LINE_NONE); /* belongs to the CR before it */
    CHECK_EQ(type("b\r"), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "b");
}

TEST(line_keys, "editing keys do what they say")
{
    setup();
    check_line("helo\x1b[Dl\r", "hello");
    check_line("ello\x01h\r", "hello");
    check_line("\x1b[Hx\x1b[Fy\r", "xy");
    check_line("abc\x7f\x08\r", "a");
    check_line("abc\x01\x1b[3~\r", "bc");
    check_line("abc\x01\x04\r", "bc");
    check_line("one two\x17three\r", "one three");
    check_line("one two\x15x\r", "x");
    check_line("one two\x01\x0bx\x19\r", "xone two");
    check_line("one two\x1b[1;5DX\r", "one Xtwo");
    check_line("one two\x01\x1b[1;5CX\r", "oneX two");
    check_line("one two\x1b"
               "b\x1b"
               "d\r",
               "one ");
    check_line("ab\x14\r", "ba");
    check_line("ab\x02\x02X\x06Y\r", "XaYb");
    check_line("x\x1bOHy\x1bOFz\r", "yxz");
}

TEST(line_utf8, "characters of several bytes move and go as one; bad bytes are dropped with a bell")
{
    setup();
    check_line("h\xc3\xa4\xe2\x82\xac\x1b[D\x7f\r", "h\xe2\x82\xac");
    check_line("a\xff\xc3(b\r", "a(b"); /* what cuts a character off is one of its own */
    check_line("\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80ok\r", "ok");
    check_line("x\xe2\x80\xae\xc2\x9by\r", "xy"); /* right-to-left override, C1 CSI */
}

TEST(line_history, "history goes back and forth and keeps the line left behind")
{
    setup();
    check_line("one\r", "one");
    check_line("two\r", "two");
    check_line("two\r", "two");
    check_line("\x1b[A\r", "two");
    check_line("\x1b[A\x1b[A\r", "one");
    check_line("dra\x1b[A\x1b[A\x1b[B\x1b[B"
               "ft\r",
               "draft");
    for (int i = 0; i < 100; i++) {
        char line[16];
        snprintf(line, sizeof(line), "l%d\r", i);
        begin();
        CHECK_EQ(type(line), LINE_DONE);
    }
    begin();
    for (int i = 0; i < 200; i++) {
        type("\x10");
    }
    CHECK_EQ(type("\r"), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "l68");
}

TEST(line_search,
     "Ctrl-R brings the last line that holds what is typed, then older ones, and down leads back")
{
    setup();
    check_line("@counter.read()\r", "@counter.read()");
    check_line("ps\r", "ps");
    check_line("@counter.reset()\r", "@counter.reset()");
    check_line("caps\r", "caps");
    check_line("coun\x12\r", "@counter.reset()");
    check_line("rea\x12\r", "@counter.read()");
    check_line("counter\x12\x12\r", "@counter.reset()");
    check_line("counter\x12\x12\x1b[B\r", "@counter.reset()");
    check_line("counter\x12\x12\x1b[B\x1b[B\r", "counter");
    check_line("nowhere\x12\r", "nowhere");
    check_line("ps\x12\x12s\r", "pss");
}

TEST(line_tab, "Tab ends a line that asks for it, and the line goes on with what it is begun with")
{
    struct console_start start = {.text = "@coun", .count = 5, .cursor = 5, .tabs = true};
    setup();
    check_line("a\tb\r", "ab");
    CHECK_EQ(console_read_line_from(&console, "> ", 2, true, 64, &start), LINE_NONE);
    CHECK_EQ(type("t\t"), LINE_TAB);
    CHECK_EQ(console.edit.count, 6);
    CHECK_EQ(console.edit.cursor, 6);
    CHECK(!console.reading);
    CHECK_EQ(type("x"), LINE_NONE); /* kept for the line that comes */
    start = (struct console_start){.text = "@counter", .count = 8, .cursor = 1, .tabs = true};
    CHECK_EQ(console_read_line_from(&console, "> ", 2, true, 64, &start), LINE_NONE);
    CHECK_EQ(type("\r"), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "@xcounter");
    start = (struct console_start){
        .text = "a\x1b\xff\xc3\xa9\nb", .count = 7, .cursor = 2, .tabs = true};
    CHECK_EQ(console_read_line_from(&console, "> ", 2, true, 64, &start), LINE_NONE);
    CHECK_EQ(console.edit.cursor, 1); /* not inside a character */
    CHECK_EQ(type("\r"), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "a\xc3\xa9"
                                    "b");
}

TEST(line_ends, "Ctrl-D ends on an empty line only; Ctrl-C drops the line, also inside a sequence")
{
    setup();
    begin();
    CHECK_EQ(type("\x04"), LINE_END);
    begin();
    CHECK_EQ(type("ab\x04"), LINE_NONE);
    CHECK_EQ(type("\x03"), LINE_INTERRUPTED);
    CHECK_EQ(console.edit.count, 0);
    begin();
    CHECK_EQ(type("ab\x1b[1;\x03"), LINE_INTERRUPTED);
    CHECK(!console.reading);
    CHECK_EQ(console.interrupts, 0);
}

TEST(line_limit, "a line never grows beyond its limit, whatever is typed or recalled")
{
    setup();
    CHECK_EQ(console_read_line(&console, "", 0, true, 3), LINE_NONE);
    CHECK_EQ(type("abcdef\r"), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "abc");
    check_line("a longer line\r", "a longer line");
    CHECK_EQ(console_read_line(&console, "> ", 2, true, 3), LINE_NONE);
    CHECK_EQ(type("\x10\r"), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "");
    CHECK_EQ(console_read_line(&console, "", 0, true, 1u << 30), LINE_NONE);
    for (int i = 0; i < LINE_MAX_BYTES + 50; i++) {
        type("x");
    }
    CHECK_EQ(type("\r"), LINE_DONE);
    CHECK_EQ(console.edit.count, LINE_MAX_BYTES);
}

TEST(line_program, "what is typed for a program, without a prompt, is not remembered")
{
    setup();
    check_line("command\r", "command");
    CHECK_EQ(console_read_line(&console, "", 0, true, 64), LINE_NONE);
    CHECK_EQ(type("answer\x10\r"), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "answer");
    check_line("\x10\r", "command");
}

TEST(line_secret, "without echo nothing typed is shown or remembered")
{
    setup();
    CHECK_EQ(console_read_line(&console, "key: ", 5, false, 64), LINE_NONE);
    CHECK_EQ(type("hun\x1b[Dter2\r"), LINE_DONE);
    CHECK(strstr(screen.bytes, "hun") == NULL && strstr(screen.bytes, "ter2") == NULL);
    check_line("\x10\r", "");
}

TEST(line_screen, "the row shows the prompt, the line and, when it is long, the part at the cursor")
{
    char row[128];
    setup();
    begin();
    type("hello\x01X");
    play_row(row, sizeof(row));
    CHECK_STR_EQ(row, "> Xhello");
    for (int i = 0; i < 100; i++) {
        type("y");
    }
    play_row(row, sizeof(row));
    CHECK(strlen(row) > 59 && strlen(row) <= 79);
    type("\x15");
    play_row(row, sizeof(row));
    CHECK_STR_EQ(row, "> hello");
}

TEST(write_while_reading, "text written while a line is typed goes above it")
{
    char row[128];
    setup();
    begin();
    type("half");
    console_write(&console, CONSOLE_PLAIN, "news\n", 5);
    play_row(row, sizeof(row));
    CHECK_STR_EQ(row, "> half");
    CHECK(strstr(screen.bytes, "news\r\n") != NULL);
    CHECK_EQ(type(" line\r"), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "half line");
}

TEST(prompt_after_text, "a line without a prompt goes on where the text stopped")
{
    char row[128];
    setup();
    console_write(&console, CONSOLE_PLAIN, "name? ", 6);
    CHECK_EQ(console_read_line(&console, "", 0, true, 64), LINE_NONE);
    type("eve\x01"
         "St");
    play_row(row, sizeof(row));
    CHECK_STR_EQ(row, "name? Steve");
}

TEST(typed_ahead, "what is typed before a line is asked for is kept, in order and within bounds")
{
    setup();
    CHECK_EQ(type("one\rtwo\r"), LINE_NONE);
    CHECK_EQ(console_read_line(&console, "> ", 2, true, 64), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "one");
    CHECK_EQ(console_read_line(&console, "> ", 2, true, 64), LINE_DONE);
    CHECK_STR_EQ(console.edit.text, "two");
    for (int i = 0; i < CONSOLE_AHEAD_BYTES + 10; i++) {
        type("z");
    }
    CHECK_EQ(console.dropped, 10);
    CHECK_EQ(type("\x03"), LINE_NONE);
    CHECK_EQ(console.interrupts, 1);
    CHECK_EQ(console.ahead_count, 0);
}

TEST(escapes, "no control byte of foreign text reaches the screen")
{
    setup();
    static const char hostile[] = "\x1b]0;owned\a\x1b[2J\x9b"
                                  "2J\xc2\x9b\b\r\x7f\xe2\x80\xaetxt\0x";
    console_write(&console, CONSOLE_PLAIN, hostile, sizeof(hostile) - 1);
    CHECK_STR_EQ(screen.bytes,
                 "\\x1b]0;owned\\x07\\x1b[2J\\x9b2J\\u{9b}\\x08\\x0d\\x7f\\u{202e}txt\\x00x");
}

TEST(escape_pieces, "a character cut between two writes is shown whole; a broken one is escaped")
{
    setup();
    console_write(&console, CONSOLE_PLAIN, "\xe2\x82", 2);
    console_write(&console, CONSOLE_PLAIN, "\xac!", 2);
    CHECK_STR_EQ(screen.bytes, "\xe2\x82\xac!");
    setup();
    console_write(&console, CONSOLE_PLAIN, "\xe2\x82", 2);
    console_write(&console, CONSOLE_PLAIN, "\x1b[m", 3);
    CHECK_STR_EQ(screen.bytes, "\\xe2\\x82\\x1b[m");
    setup();
    console_write(&console, CONSOLE_PLAIN, "a\tb\n", 4);
    CHECK_STR_EQ(screen.bytes, "a       b\r\n");
}

TEST(styles, "a style is switched on and off by the terminal, and an unknown one is plain")
{
    setup();
    console_write(&console, CONSOLE_ERROR, "no\x1b[0m", 6);
    CHECK_STR_EQ(screen.bytes, "\x1b[31mno\\x1b[0m\x1b[0m");
    setup();
    console_write(&console, 77, "x", 1);
    CHECK_STR_EQ(screen.bytes, "x");
}

TEST(size, "the screen's answer sets the size, a foolish one does not, and a wide row is used")
{
    char row[256];
    setup();
    begin();
    CHECK(strstr(screen.bytes, "\x1b[6n") != NULL);
    type("\x1b[50;132R");
    CHECK_EQ(console.edit.columns, 132);
    CHECK_EQ(console.edit.rows, 50);
    type("\x1b[0;0R\x1b[9999;99999R\x1b[5R\x1b[R\x1b[;;;R");
    CHECK_EQ(console.edit.columns, 132);
    screen.count = 0;
    for (int i = 0; i < 200; i++) {
        type("y");
    }
    play_row(row, sizeof(row));
    CHECK(strlen(row) > 98 && strlen(row) <= 131);
}

TEST(storm, "random bytes never break the invariants of the line")
{
    setup();
    uint32_t state = 12345;
    for (int round = 0; round < 300; round++) {
        size_t limit = round % 3 == 0 ? 5 : 200;
        if (!console.reading) {
            console_read_line(&console, "\x1b[prompt", 8, round % 2 == 0, limit);
        }
        for (int i = 0; i < 500; i++) {
            state = state * 1664525u + 1013904223u;
            uint8_t byte = (uint8_t)(state >> 24);
            byte = byte < 40 ? 0x1b : byte < 60 ? '[' : byte;
            console_input(&console, byte);
            struct line_edit *e = &console.edit;
            if (e->cursor > e->count || e->count > e->limit || e->window > e->count) {
                FAIL("invariant broken");
                return;
            }
        }
        screen.count = 0;
    }
}
