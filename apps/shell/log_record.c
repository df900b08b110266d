/* SPDX-License-Identifier: MIT */
#include "apps/shell/log_record.h"

#include "lib/base/bits.h"
#include "lib/base/string.h"

static const char *const level_names[] = {"info", "warning", "error"};

bool log_level_named(struct span word, enum log_level *out)
{
    for (unsigned i = 0; i < ARRAY_COUNT(level_names); i++) {
        if (span_is(word, level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* "word: " at the beginning; what is behind it. False: there is no such beginning. */
static bool take_prefix(struct span *text, struct span *word)
{
    for (size_t i = 0; i + 1 < text->len && text->ptr[i] != ' '; i++) {
        if (text->ptr[i] == ':' && text->ptr[i + 1] == ' ') {
            *word = (struct span){text->ptr, i};
            *text = (struct span){text->ptr + i + 2, text->len - i - 2};
            return true;
        }
    }
    return false;
}

/* The level stands first, or behind the writer's name. */
static enum log_level level_of(struct span text)
{
    struct span word;
    enum log_level level = LOG_INFO;
    for (unsigned i = 0; i < 2 && take_prefix(&text, &word); i++) {
        if (log_level_named(word, &level)) {
            return level;
        }
    }
    return LOG_INFO;
}

bool log_record_read(struct span line, struct log_record *out)
{
    uint64_t us = 0;
    size_t at = 1;
    if (line.len < 3 || line.ptr[0] != '[') {
        return false;
    }
    for (; at < line.len && line.ptr[at] != ']'; at++) {
        char c = line.ptr[at];
        if (c >= '0' && c <= '9') {
            us = us * 10 + (uint64_t)(c - '0');
        } else if (c != ' ' && c != '.') {
            return false;
        }
    }
    if (at + 2 > line.len) {
        return false;
    }
    *out = (struct log_record){.time_us = us, .text = {line.ptr + at + 2, line.len - at - 2}};
    out->level = level_of(out->text);
    return true;
}

static bool begins(struct span text, const char *before, struct span name, const char *behind)
{
    size_t first = strlen(before);
    size_t last = strlen(behind);
    return text.len >= first + name.len + last && memcmp(text.ptr, before, first) == 0 &&
           memcmp(text.ptr + first, name.ptr, name.len) == 0 &&
           memcmp(text.ptr + first + name.len, behind, last) == 0;
}

bool log_record_is_about(const struct log_record *record, struct span name)
{
    struct span text = record->text;
    struct span word;
    enum log_level level;
    if (begins(text, "process ", name, " (")) {
        return true;
    }
    for (unsigned i = 0; i < 3 && take_prefix(&text, &word); i++) {
        if (span_equals(word, name)) {
            return true;
        }
        if (!span_is(word, "init") && !log_level_named(word, &level)) {
            return false;
        }
    }
    return false;
}
