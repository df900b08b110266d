/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "capos/lines.h"

static char heard[2048]; /* each line in brackets; "!" is one that did not fit */
static bool wanted;

static bool hear(const char *text, size_t len)
{
    size_t at = strlen(heard);
    CHECK(text == NULL || strlen(text) == len);
    snprintf(heard + at, sizeof(heard) - at, "[%s]", text == NULL ? "!" : text);
    return wanted;
}

static struct capos_lines lines;

static void setup(void)
{
    lines = (struct capos_lines){.line = hear};
    heard[0] = 0;
    wanted = true;
}

static bool take(const char *bytes, size_t count)
{
    return capos_lines_take(&lines, (const uint8_t *)bytes, count);
}

TEST(pieces, "a line is whole whatever the pieces it came in")
{
    static const char typed[] = "one\n\ntwo words\nrest";
    for (size_t piece = 1; piece < sizeof(typed); piece++) {
        setup();
        for (size_t at = 0; at < sizeof(typed) - 1; at += piece) {
            size_t left = sizeof(typed) - 1 - at;
            CHECK(take(typed + at, left < piece ? left : piece));
        }
        CHECK(strcmp(heard, "[one][][two words]") == 0);
    }
}

TEST(unfit, "a line that is too long or has a 0 in it is told as such, and the next is whole")
{
    char typed[2 * CAPOS_LINE_BYTES];
    memset(typed, 'a', sizeof(typed));
    setup();
    CHECK(take(typed, CAPOS_LINE_BYTES - 1) && take("\n", 1));
    CHECK_EQ(strlen(heard), CAPOS_LINE_BYTES - 1 + 2);
    setup();
    CHECK(take(typed, CAPOS_LINE_BYTES) && take("\nb\n", 3));
    CHECK(take(typed, sizeof(typed)) && take("\nc\n", 3));
    CHECK(take("d\0e\nf\n", 6));
    CHECK(strcmp(heard, "[!][b][!][c][!][f]") == 0);
}

TEST(enough, "behind the line that was enough nothing is told")
{
    setup();
    wanted = false;
    CHECK(!take("quit\nmore\n", 10));
    CHECK(strcmp(heard, "[quit]") == 0);
}
