/* SPDX-License-Identifier: MIT */
/*
 * Keys and foreign text of arbitrary bytes at the terminal: the line keeps its invariants, and no
 * byte of foreign text reaches the screen that could steer it.
 *
 * Input: commands of one byte and a length, then that many bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "drivers/serial-terminal/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct console console;
static bool foreign; /* what comes out now is foreign text */

static void screen(struct fmt_sink *sink, const char *bytes, size_t count)
{
    (void)sink;
    for (size_t i = 0; foreign && i < count;) {
        uint32_t code;
        unsigned taken = utf8_decode(bytes + i, count - i, &code);
        if (taken == 0 || (text_is_control(code) && code != '\r' && code != '\n')) {
            abort();
        }
        i += taken;
    }
}

static struct fmt_sink sink = {screen};

static void check(void)
{
    const struct line_edit *edit = &console.edit;
    if (edit->cursor > edit->count || edit->window > edit->count ||
        (console.reading && edit->count > edit->limit) || edit->count > LINE_MAX_BYTES) {
        abort();
    }
}

static void type(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        console_input(&console, bytes[i]);
        check();
    }
}

/* Plain style and no line on the screen: every byte that comes out is the text's. */
static void write_plain(const uint8_t *bytes, size_t count)
{
    console_cancel_line(&console);
    foreign = true;
    console_write(&console, CONSOLE_PLAIN, (const char *)bytes, count);
    foreign = false;
}

static void one(uint8_t command, const uint8_t *bytes, size_t count)
{
    switch (command % 5) {
    case 0:
    case 1:
        type(bytes, count);
        break;
    case 2:
        write_plain(bytes, count);
        break;
    case 3:
        console_write(&console, command, (const char *)bytes, count);
        break;
    default:
        if (!console.reading) {
            console_read_line(&console, (const char *)bytes, count < 128 ? count : 128,
                              (command & 64) != 0, command);
        }
        break;
    }
    check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    console_init(&console, &sink);
    while (size >= 2) {
        uint8_t command = data[0];
        size_t count = data[1] < size - 2 ? data[1] : size - 2;
        one(command, data + 2, count);
        data += 2 + count;
        size -= 2 + count;
    }
    return 0;
}
