/* SPDX-License-Identifier: MIT */
/*
 * The kernel log.
 *
 * A record is a line: two bytes of length, then the text, in a ring of bytes that records may wrap
 * around in. `oldest` and `newest` are byte counters that never wrap in practice, `oldest_sequence`
 * and `next_sequence` number the records; the oldest records make way for new ones. All of it is
 * under log_lock. Where every MARK_RECORDS-th record begins is remembered, so that a read walks past that
 * many at most, and one read gives READ_RECORDS at most: a step is bounded however short the lines are.
 *
 * What a process writes is cut into lines first, and every line gets the writer's name: no text can
 * look like a line of the kernel or of somebody else.
 */
#include "core/log.h"

#include <stdarg.h>

#include "arch/arch.h"
#include "core/lock.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"

enum { LENGTH_BYTES = 2, LOG_LINE_MAX = LOG_RECORD_MAX_BYTES };

/* No line is shorter than its time, so the records of a full ring have marks of their own. */
enum { MARK_RECORDS = 64, MARKS = 128, LINE_MIN = 14, READ_RECORDS = 96 };
static_assert(MARK_RECORDS * (MARKS - 1) >= LOG_RING_BYTES / (LENGTH_BYTES + LINE_MIN), "marks");

/* Lines of one text; what follows is escaped into the last, so that the work is bounded. */
enum { LOG_USER_LINES = 32 };

static struct spinlock log_lock = SPINLOCK_INIT(LOCK_LOG);
static char ring[LOG_RING_BYTES]; /* log_lock, like all below */
static uint64_t oldest;           /* byte counters */
static uint64_t newest;
static uint64_t oldest_sequence;
static uint64_t next_sequence;
static uint64_t marks[MARKS]; /* byte counters, by sequence / MARK_RECORDS */
static bool serial_released;
static bool serial_quiet;

static void ring_put(uint64_t at, const char *from, size_t size)
{
    size_t place = at % LOG_RING_BYTES;
    size_t first = size < LOG_RING_BYTES - place ? size : LOG_RING_BYTES - place;
    memcpy(ring + place, from, first);
    memcpy(ring, from + first, size - first);
}

static void ring_get(uint64_t at, char *to, size_t size)
{
    size_t place = at % LOG_RING_BYTES;
    size_t first = size < LOG_RING_BYTES - place ? size : LOG_RING_BYTES - place;
    memcpy(to, ring + place, first);
    memcpy(to + first, ring, size - first);
}

static size_t record_length(uint64_t at)
{
    uint16_t length;
    ring_get(at, (char *)&length, LENGTH_BYTES);
    return length;
}

static void drop_oldest(void)
{
    oldest += LENGTH_BYTES + record_length(oldest);
    oldest_sequence++;
}

/* One line without its end. */
static void append(const char *line, size_t length)
{
    uint16_t stored = (uint16_t)length;
    lock_acquire(&log_lock);
    while (newest + LENGTH_BYTES + length - oldest > LOG_RING_BYTES) {
        drop_oldest();
    }
    if (next_sequence % MARK_RECORDS == 0) {
        marks[next_sequence / MARK_RECORDS % MARKS] = newest;
    }
    ring_put(newest, (const char *)&stored, LENGTH_BYTES);
    ring_put(newest + LENGTH_BYTES, line, length);
    newest += LENGTH_BYTES + length;
    next_sequence++;
    arch_debug_write(line, length);
    arch_debug_write("\n", 1);
    if (!serial_released && !serial_quiet) {
        arch_serial_write(line, length);
        arch_serial_write("\r\n", 2);
    }
    lock_release(&log_lock);
}

/* A line being put together; too long a line is cut. */
struct line {
    size_t length;
    char text[LOG_LINE_MAX];
};

static void line_start(struct line *line)
{
    uint64_t now_us = arch_time_ns() / 1000;
    line->length =
        fmt_format(line->text, sizeof(line->text), "[%4llu.%06llu] ",
                   (unsigned long long)(now_us / 1000000), (unsigned long long)(now_us % 1000000));
}

static void line_put(struct line *line, const char *text, size_t length)
{
    size_t room = sizeof(line->text) - line->length;
    size_t n = length < room ? length : room;
    memcpy(line->text + line->length, text, n);
    line->length += n;
}

/* Printable ASCII and tabs as they are, all else as \xNN. */
static void line_put_escaped(struct line *line, const char *text, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length && line->length < sizeof(line->text); i++) {
        unsigned char c = (unsigned char)text[i];
        if (c - (unsigned)' ' <= '~' - ' ' || c == '\t') {
            line->text[line->length++] = (char)c;
        } else {
            char escape[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
            line_put(line, escape, sizeof(escape));
        }
    }
}

void klog(const char *format, ...)
{
    struct line line;
    va_list args;
    line_start(&line);
    size_t room = sizeof(line.text) - line.length;
    va_start(args, format);
    size_t wanted = fmt_vformat(line.text + line.length, room, format, args);
    va_end(args);
    line.length += wanted < room ? wanted : room - 1;
    while (line.text[line.length - 1] == '\n') {
        line.length--;
    }
    append(line.text, line.length);
}

void log_append_user(const char *who, const char *text, size_t len)
{
    size_t start = 0;
    unsigned lines = 0;
    struct line line;
    line_start(&line);
    line_put_escaped(&line, who, strlen(who));
    line_put(&line, ": ", 2);
    const size_t prefix = line.length;
    do {
        bool last = ++lines == LOG_USER_LINES;
        const char *end = last ? NULL : memchr(text + start, '\n', len - start);
        size_t stop = end != NULL ? (size_t)(end - text) : len;
        line.length = prefix;
        line_put_escaped(&line, text + start, stop - start);
        append(line.text, line.length);
        start = stop + 1;
    } while (start < len);
}

/* The byte counter of the record `sequence`, which is kept. */
static uint64_t find_record(uint64_t sequence)
{
    uint64_t at = oldest;
    uint64_t number = oldest_sequence;
    uint64_t marked = sequence - sequence % MARK_RECORDS;
    if (marked > number && marked < next_sequence) {
        at = marks[marked / MARK_RECORDS % MARKS];
        number = marked;
    }
    for (; number < sequence; number++) {
        at += LENGTH_BYTES + record_length(at);
    }
    return at;
}

static size_t copy_records(uint64_t *sequence, char *buf, size_t size)
{
    size_t written = 0;
    uint64_t at = find_record(*sequence);
    uint64_t end =
        next_sequence - *sequence < READ_RECORDS ? next_sequence : *sequence + READ_RECORDS;
    for (; *sequence < end; (*sequence)++) {
        size_t length = record_length(at);
        if (length + 1 > size - written) {
            break;
        }
        ring_get(at + LENGTH_BYTES, buf + written, length);
        written += length;
        buf[written++] = '\n';
        at += LENGTH_BYTES + length;
    }
    return written;
}

void log_quiet(void)
{
    lock_acquire(&log_lock);
    serial_quiet = true;
    lock_release(&log_lock);
}

void log_tell_end(void)
{
    enum { TOLD_RECORDS = 8 };
    char line[LOG_LINE_MAX];
    lock_acquire(&log_lock);
    arch_serial_own(true);
    uint64_t sequence = next_sequence - oldest_sequence > TOLD_RECORDS
                            ? next_sequence - TOLD_RECORDS
                            : oldest_sequence;
    for (uint64_t at = find_record(sequence); sequence < next_sequence; sequence++) {
        size_t length = record_length(at);
        ring_get(at + LENGTH_BYTES, line, length);
        arch_serial_write(line, length);
        arch_serial_write("\r\n", 2);
        at += LENGTH_BYTES + length;
    }
    lock_release(&log_lock);
}

size_t log_read(uint64_t from, char *buf, size_t size, uint64_t *next_out, uint64_t *lost_out)
{
    lock_acquire(&log_lock);
    uint64_t sequence = from < next_sequence ? from : next_sequence;
    *lost_out = 0;
    if (sequence < oldest_sequence) {
        *lost_out = oldest_sequence - sequence;
        sequence = oldest_sequence;
    }
    size_t written = copy_records(&sequence, buf, size);
    *next_out = sequence;
    lock_release(&log_lock);
    return written;
}

void log_release_serial(void)
{
    lock_acquire(&log_lock);
    serial_released = true;
    arch_serial_own(false);
    lock_release(&log_lock);
}

void log_panic_write(const char *text, size_t len)
{
    arch_debug_write(text, len);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n') {
            arch_serial_write("\r", 1);
        }
        arch_serial_write(text + i, 1);
    }
}
