/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "apps/shell/log_record.h"

static struct log_record record;

static bool read_line(const char *line)
{
    return log_record_read((struct span){line, strlen(line)}, &record);
}

static bool about(const char *name)
{
    return log_record_is_about(&record, (struct span){name, strlen(name)});
}

TEST(log_records, "a record has its time, its level and its text")
{
    CHECK(read_line("[    1.250000] init: counter: started as process 54"));
    CHECK_EQ(record.time_us, 1250000);
    CHECK_EQ(record.level, LOG_INFO);
    CHECK(span_is(record.text, "init: counter: started as process 54"));
    CHECK(read_line("[   10.000001] init: warning: counter: ended: exit code 1"));
    CHECK_EQ(record.time_us, 10000001);
    CHECK_EQ(record.level, LOG_WARNING);
    CHECK(read_line("[    0.000000] chat: error: lost"));
    CHECK_EQ(record.level, LOG_ERROR);
    CHECK(read_line("[    0.000000] chat: it said error: lost"));
    CHECK_EQ(record.level, LOG_INFO);
}

TEST(log_records_bad, "what is no record is none")
{
    CHECK(!read_line(""));
    CHECK(!read_line("["));
    CHECK(!read_line("cut: 1.250000] init"));
    CHECK(!read_line("[ x ] init"));
    CHECK(!read_line("[    1.2"));
    CHECK(read_line("[    1.2] "));
    CHECK_EQ(record.text.len, 0);
}

TEST(log_records_about,
     "a record is about who wrote it, about whom init tells, and about a process of that name")
{
    CHECK(read_line("[    1.250000] init: warning: counter: ended: exit code 1"));
    CHECK(about("counter"));
    CHECK(about("init"));
    CHECK(!about("count"));
    CHECK(!about("ended"));
    CHECK(read_line("[    1.250000] process counter (12) was terminated, code -1"));
    CHECK(about("counter"));
    CHECK(!about("process"));
    CHECK(read_line("[    1.250000] chat: counter: is what I say"));
    CHECK(about("chat"));
    CHECK(!about("counter"));
}

TEST(log_levels, "levels have names")
{
    enum log_level level;
    CHECK(log_level_named((struct span){"warning", 7}, &level) && level == LOG_WARNING);
    CHECK(!log_level_named((struct span){"warn", 4}, &level));
}
