/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include "core/log.h"

static char buffer[2 * LOG_RING_BYTES];

static const char *read_all(uint64_t from, uint64_t *next, uint64_t *lost)
{
    uint64_t none;
    size_t n = log_read(from, buffer, sizeof(buffer) - 1, next, lost);
    for (size_t more = n; more != 0; n += more) {
        more = log_read(*next, buffer + n, sizeof(buffer) - 1 - n, next, &none);
    }
    buffer[n] = '\0';
    return buffer;
}

TEST(log_line, "a line gets the time, goes to the ring, the debug port and the serial port")
{
    uint64_t next, lost;
    machine_start(1);
    host_clock_advance(1234567890);
    klog("hello %d\n", 7);
    CHECK_STR_EQ(read_all(0, &next, &lost), "[   1.234567] hello 7\n");
    CHECK_EQ(next, 1);
    CHECK_EQ(lost, 0);
    CHECK_STR_EQ(host_debug_text(), "[   1.234567] hello 7\n");
    CHECK_STR_EQ(host_serial_text(), "[   1.234567] hello 7\r\n");
}

TEST(log_serial_released, "after the serial port is given away only the debug port sees lines")
{
    machine_start(1);
    log_release_serial();
    klog("quiet");
    CHECK_STR_EQ(host_serial_text(), "");
    CHECK_STR_EQ(host_debug_text(), "[   0.000000] quiet\n");
    log_panic_write("end\n", 4);
    CHECK_STR_EQ(host_serial_text(), "");
}

TEST(log_user_escapes, "what a process writes cannot forge a line or drive a terminal")
{
    uint64_t next, lost;
    const char text[] = "a\tb\x1b[2J\nsecond\r\n\x9bz";
    machine_start(1);
    log_append_user("shell", text, sizeof(text) - 1);
    CHECK_STR_EQ(read_all(0, &next, &lost), "[   0.000000] shell: a\tb\\x1b[2J\n"
                                            "[   0.000000] shell: second\\x0d\n"
                                            "[   0.000000] shell: \\x9bz\n");
    CHECK_EQ(next, 3);
}

TEST(log_user_bounds, "an empty text is an empty line; a long text is cut; many lines end in one")
{
    uint64_t next, lost;
    static char text[5000];
    machine_start(1);
    log_append_user("a", "", 0);
    CHECK_STR_EQ(read_all(0, &next, &lost), "[   0.000000] a: \n");
    memset(text, 'x', sizeof(text));
    log_append_user("a", text, sizeof(text));
    read_all(1, &next, &lost);
    CHECK_EQ(strlen(buffer), LOG_RECORD_MAX_BYTES + 1);
    memset(text, '\n', sizeof(text));
    log_append_user("a", text, sizeof(text));
    read_all(2, &next, &lost);
    CHECK_EQ(next, 2 + 32);
}

TEST(log_cut, "a kernel line longer than a record is cut, not lost")
{
    uint64_t next, lost;
    static char text[3000];
    machine_start(1);
    memset(text, 'y', sizeof(text) - 1);
    klog("%s", text);
    read_all(0, &next, &lost);
    CHECK_EQ(strlen(buffer), LOG_RECORD_MAX_BYTES);
    CHECK_EQ(buffer[500], 'y');
}

TEST(log_whole_records, "a read returns whole records and goes on where it stopped")
{
    uint64_t next, lost;
    machine_start(1);
    klog("one");
    klog("two");
    klog("three");
    size_t n = log_read(0, buffer, 40, &next, &lost);
    CHECK_EQ(n, 2 * 18);
    CHECK_EQ(next, 2);
    n = log_read(next, buffer, 40, &next, &lost);
    CHECK_EQ(n, 20);
    CHECK_MEM_EQ(buffer, "[   0.000000] three\n", 20);
    CHECK_EQ(log_read(next, buffer, 40, &next, &lost), 0);
    CHECK_EQ(log_read(1000, buffer, 40, &next, &lost), 0);
    CHECK_EQ(next, 3);
    CHECK_EQ(log_read(0, buffer, 3, &next, &lost), 0);
    CHECK_EQ(next, 0);
}

TEST(log_bounded, "a read gives 96 lines at most and finds any line, however short they are")
{
    enum { LINES = 9000, MOST = 96 };
    uint64_t next, lost;
    machine_start(1);
    for (unsigned i = 0; i < LINES; i++) {
        klog("%c", (int)('a' + i % 26));
    }
    (void)log_read(0, buffer, sizeof(buffer), &next, &lost);
    uint64_t first = lost;
    CHECK_EQ(next, first + MOST);
    for (uint64_t at = first; at < LINES; at += 37) {
        uint64_t count = LINES - at < MOST ? LINES - at : MOST;
        CHECK_EQ(log_read(at, buffer, sizeof(buffer), &next, &lost), 16 * count);
        CHECK_EQ(next, at + count);
        CHECK_EQ(buffer[14], 'a' + (int)(at % 26));
        CHECK_EQ(buffer[16 * count - 2], 'a' + (int)((next - 1) % 26));
    }
}

TEST(log_wraps,
     "when the ring wraps, the oldest lines go, the reader learns how many, none is torn")
{
    enum { LINES = 20000 };
    uint64_t next, lost, seen = 0, from = 0;
    machine_start(1);
    for (unsigned i = 0; i < LINES; i++) {
        klog("line %u %.*s", i, (int)(i % 90),
             "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopq"
             "rstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz");
        if (i % 700 == 0) {
            log_read(from, buffer, 3000, &from, &lost);
            seen += lost;
        }
    }
    read_all(0, &next, &lost);
    CHECK_EQ(next, LINES);
    CHECK(lost > LINES / 2 && lost < LINES - 400);
    uint64_t number = lost;
    for (char *line = strtok(buffer, "\n"); line != NULL; line = strtok(NULL, "\n"), number++) {
        char start[40];
        snprintf(start, sizeof(start), "[   0.000000] line %" PRIu64 " ", number);
        REQUIRE(strncmp(line, start, strlen(start)) == 0);
        CHECK_EQ(strlen(line), strlen(start) + number % 90);
    }
    CHECK_EQ(number, LINES);
}
