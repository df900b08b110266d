/* SPDX-License-Identifier: MIT */
#include "drivers/serial-terminal/line_history.h"

#include "lib/base/string.h"

const char *line_history_get(const struct line_history *history, unsigned back, size_t *count)
{
    unsigned place = (history->next + LINE_HISTORY_COUNT - back) % LINE_HISTORY_COUNT;
    *count = history->bytes[place];
    return history->lines[place];
}

static bool is_newest(const struct line_history *history, const char *line, size_t count)
{
    if (history->count == 0) {
        return false;
    }
    size_t newest_count;
    const char *newest = line_history_get(history, 1, &newest_count);
    return newest_count == count && memcmp(newest, line, count) == 0;
}

void line_history_add(struct line_history *history, const char *line, size_t count)
{
    if (count == 0 || count > LINE_HISTORY_BYTES || is_newest(history, line, count)) {
        return;
    }
    memcpy(history->lines[history->next], line, count);
    history->bytes[history->next] = (uint16_t)count;
    history->next = (history->next + 1) % LINE_HISTORY_COUNT;
    if (history->count < LINE_HISTORY_COUNT) {
        history->count++;
    }
}
