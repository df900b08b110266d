/* SPDX-License-Identifier: MIT */
#include "capos/lines.h"

static bool end_line(struct capos_lines *lines)
{
    lines->text[lines->len] = 0;
    size_t len = lines->len;
    bool unfit = lines->unfit;
    lines->len = 0;
    lines->unfit = false;
    return lines->line(unfit ? NULL : lines->text, unfit ? 0 : len);
}

bool capos_lines_take(struct capos_lines *lines, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n') {
            if (!end_line(lines)) {
                return false;
            }
        } else if (bytes[i] != 0 && lines->len < sizeof(lines->text) - 1) {
            lines->text[lines->len++] = (char)bytes[i];
        } else {
            lines->unfit = true;
        }
    }
    return true;
}
