/* SPDX-License-Identifier: MIT */
#include "drivers/serial-terminal/text.h"

#include "lib/base/bits.h"
#include "lib/base/string.h"

struct code_range {
    uint32_t first;
    uint32_t last;
};

/* The common wide blocks of East Asian scripts and pictographs. A terminal that disagrees about one
 * of them shows a cursor one column off, nothing worse. */
static const struct code_range wide_ranges[] = {
    {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xac00, 0xd7a3},
    {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
    {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

static const struct code_range zero_ranges[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a}, {0x064b, 0x065f},
    {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

static const struct code_range control_ranges[] = {
    {0x0000, 0x001f}, {0x007f, 0x009f}, {0x061c, 0x061c}, {0x200b, 0x200f},   {0x2028, 0x202e},
    {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
};

static bool in_ranges(uint32_t code, const struct code_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

unsigned utf8_sequence_bytes(uint8_t lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        return 2;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        return 3;
    }
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

unsigned utf8_decode(const char *bytes, size_t count, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint8_t lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    if (count == 0) {
        return 0;
    }
    unsigned need = utf8_sequence_bytes((uint8_t)bytes[0]);
    if (need == 0 || need > count) {
        return 0;
    }
    uint32_t value = (uint8_t)bytes[0] & lead_mask[need];
    for (unsigned i = 1; i < need; i++) {
        uint8_t byte = (uint8_t)bytes[i];
        if ((byte & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (byte & 0x3f);
    }
    if (value < least[need] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *code = value;
    return need;
}

unsigned text_width(uint32_t code)
{
    if (code < 0x300) {
        return 1;
    }
    if (in_ranges(code, zero_ranges, ARRAY_COUNT(zero_ranges))) {
        return 0;
    }
    return in_ranges(code, wide_ranges, ARRAY_COUNT(wide_ranges)) ? 2 : 1;
}

bool text_is_control(uint32_t code)
{
    return in_ranges(code, control_ranges, ARRAY_COUNT(control_ranges));
}

void text_escaper_init(struct text_escaper *escaper, struct fmt_sink *sink, unsigned columns)
{
    *escaper = (struct text_escaper){.sink = sink, .columns = columns};
}

static void put(struct text_escaper *escaper, const char *bytes, size_t count, unsigned width)
{
    escaper->sink->write(escaper->sink, bytes, count);
    escaper->column += width;
    if (escaper->column >= escaper->columns) {
        escaper->column %= escaper->columns;
    }
}

static void put_newline(struct text_escaper *escaper)
{
    escaper->sink->write(escaper->sink, "\r\n", 2);
    escaper->column = 0;
}

static void put_escaped(struct text_escaper *escaper, const char *format, uint32_t value)
{
    char text[16];
    size_t count = fmt_format(text, sizeof(text), format, value);
    put(escaper, text, count, (unsigned)count);
}

static void put_code(struct text_escaper *escaper, uint32_t code, const char *bytes, size_t count)
{
    if (code == '\n') {
        put_newline(escaper);
    } else if (code == '\t') {
        unsigned blanks = TEXT_TAB_COLUMNS - escaper->column % TEXT_TAB_COLUMNS;
        put(escaper, "        ", blanks, blanks);
    } else if (code < 0x80 && text_is_control(code)) {
        put_escaped(escaper, "\\x%02x", code);
    } else if (text_is_control(code)) {
        put_escaped(escaper, "\\u{%x}", code);
    } else {
        put(escaper, bytes, count, text_width(code));
    }
}

/* Takes one character, or one bad byte, off the front of `bytes`; 0 when a character is unfinished
 * but good so far. */
static size_t escape_one(struct text_escaper *escaper, const char *bytes, size_t count)
{
    uint32_t code;
    unsigned taken = utf8_decode(bytes, count, &code);
    if (taken > 0) {
        put_code(escaper, code, bytes, taken);
        return taken;
    }
    unsigned need = utf8_sequence_bytes((uint8_t)bytes[0]);
    bool unfinished = need > count;
    for (size_t i = 1; unfinished && i < count; i++) {
        unfinished = ((uint8_t)bytes[i] & 0xc0) == 0x80;
    }
    if (unfinished) {
        return 0;
    }
    put_escaped(escaper, "\\x%02x", (uint8_t)bytes[0]);
    return 1;
}

/* Ends the kept character with bytes of the new piece, as many as it takes. */
static size_t finish_partial(struct text_escaper *escaper, const char *bytes, size_t count)
{
    size_t used = 0;
    while (escaper->partial_count > 0 && used < count) {
        char whole[UTF8_MAX_BYTES];
        unsigned have = escaper->partial_count;
        memcpy(whole, escaper->partial, have);
        whole[have] = bytes[used];
        size_t taken = escape_one(escaper, whole, have + 1);
        if (taken == 0) {
            escaper->partial[escaper->partial_count++] = bytes[used++];
        } else if (taken == have + 1) {
            escaper->partial_count = 0;
            used++;
        } else {
            /* The new byte did not continue it: one kept byte was shown, the others stay kept. */
            escaper->partial_count = have - 1;
            memmove(escaper->partial, escaper->partial + 1, escaper->partial_count);
            text_escape_flush(escaper);
        }
    }
    return used;
}

void text_escape(struct text_escaper *escaper, const char *bytes, size_t count)
{
    size_t at = finish_partial(escaper, bytes, count);
    while (at < count) {
        size_t taken = escape_one(escaper, bytes + at, count - at);
        if (taken == 0) {
            escaper->partial_count = (unsigned)(count - at);
            memcpy(escaper->partial, bytes + at, count - at);
            return;
        }
        at += taken;
    }
}

void text_escape_flush(struct text_escaper *escaper)
{
    for (unsigned i = 0; i < escaper->partial_count; i++) {
        put_escaped(escaper, "\\x%02x", (uint8_t)escaper->partial[i]);
    }
    escaper->partial_count = 0;
}

void text_fresh_line(struct text_escaper *escaper)
{
    text_escape_flush(escaper);
    if (escaper->column != 0) {
        put_newline(escaper);
    }
}
