/* SPDX-License-Identifier: MIT */
#include "apps/shell/term.h"

#include <stdarg.h>

#include "capos/print.h"
#include "capos/start.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "terminal.client.h"

enum { BUFFER_BYTES = 4096 };

static capos_cap_t terminal;
static enum TerminalSession_Style style_now;
static size_t used;
static char buffer[BUFFER_BYTES];
static unsigned error_count;
static struct term_catch *catching; /* the innermost; NULL: errors are shown */

void term_init(capos_cap_t capability)
{
    terminal = capability;
}

/* A call that is refused for the moment is tried again; a terminal that is gone ends the shell: who
 * started it starts both anew. */
static void send(const char *bytes, size_t count)
{
    status_t status = ST_OK;
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        status = TerminalSession_write_styled(terminal, style_now, bytes, count);
        if (status != ST_EXCEPTION && status != ST_BUSY && status != ST_DISCONNECTED) {
            break;
        }
    }
    if (status != ST_OK) {
        capos_log("shell: the terminal is gone: %s", status_name(status));
        capos_exit(2);
    }
}

/* Bytes at the end of the buffer that begin a character without ending it. */
static size_t cut_tail(void)
{
    for (size_t back = 1; back <= 3 && back <= used; back++) {
        uint8_t byte = (uint8_t)buffer[used - back];
        if (byte >= 0xc0) {
            size_t need = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
            return need > back ? back : 0;
        }
        if (byte < 0x80) {
            break;
        }
    }
    return 0;
}

static void make_room(void)
{
    size_t tail = cut_tail();
    size_t whole = used - tail;
    send(buffer, whole);
    memmove(buffer, buffer + whole, tail);
    used = tail;
}

void term_flush(void)
{
    if (used > 0) {
        send(buffer, used);
        used = 0;
    }
}

void term_write(enum TerminalSession_Style style, const char *bytes, size_t count)
{
    if (style != style_now) {
        term_flush();
        style_now = style;
    }
    while (count > 0) {
        if (used == BUFFER_BYTES) {
            make_room();
        }
        size_t piece = min_u64(count, BUFFER_BYTES - used);
        memcpy(buffer + used, bytes, piece);
        used += piece;
        bytes += piece;
        count -= piece;
    }
}

struct style_sink {
    struct fmt_sink sink;
    enum TerminalSession_Style style;
};

static void style_sink_write(struct fmt_sink *sink, const char *bytes, size_t count)
{
    term_write(((struct style_sink *)sink)->style, bytes, count);
}

static void term_vprintf(enum TerminalSession_Style style, const char *format, va_list args)
{
    struct style_sink sink = {{style_sink_write}, style};
    fmt_vto(&sink.sink, format, args);
}

void term_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    term_vprintf(TERMINAL_SESSION_STYLE_PLAIN, format, args);
    va_end(args);
}

void term_styled(enum TerminalSession_Style style, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    term_vprintf(style, format, args);
    va_end(args);
}

unsigned term_error_count(void)
{
    return error_count;
}

void term_catch_begin(struct term_catch *caught)
{
    *caught = (struct term_catch){.outer = catching};
    catching = caught;
}

void term_catch_end(struct term_catch *caught)
{
    catching = caught->outer;
}

bool term_is_catching(void)
{
    return catching != NULL;
}

void term_error(const char *format, ...)
{
    va_list args;
    error_count++;
    if (catching != NULL) {
        va_start(args, format);
        size_t len = fmt_vformat(catching->text, sizeof(catching->text), format, args);
        va_end(args);
        catching->len = min_u64(len, sizeof(catching->text) - 1);
        return;
    }
    term_write(TERMINAL_SESSION_STYLE_ERROR, "error: ", 7);
    va_start(args, format);
    term_vprintf(TERMINAL_SESSION_STYLE_ERROR, format, args);
    va_end(args);
    term_write(TERMINAL_SESSION_STYLE_PLAIN, "\n", 1);
}

static void plain_write(struct fmt_sink *sink, const char *bytes, size_t count)
{
    (void)sink;
    term_write(TERMINAL_SESSION_STYLE_PLAIN, bytes, count);
}

struct fmt_sink term_sink = {plain_write};
