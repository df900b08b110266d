/* SPDX-License-Identifier: MIT */
#include "lib/base/fmt.h"

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/string.h"

struct spec {
    bool left;
    bool zero;
    bool plus;
    bool space;
    bool alternate;
    int width;
    int precision; /* -1: none */
    char length;   /* 'H' = hh, 'L' = ll, else the letter or 0 */
};

struct buffer_sink {
    struct fmt_sink sink; /* first: fmt_sink pointers are cast back */
    char *buf;
    size_t size;
    size_t total;
};

static void buffer_write(struct fmt_sink *sink, const char *bytes, size_t count)
{
    struct buffer_sink *b = (struct buffer_sink *)sink;
    for (size_t i = 0; i < count; i++) {
        if (b->total + 1 < b->size) {
            b->buf[b->total] = bytes[i];
        }
        b->total++;
    }
}

static void pad(struct fmt_sink *sink, char c, int count)
{
    static const char spaces[] = "                ";
    static const char zeros[] = "0000000000000000";
    const char *from = c == '0' ? zeros : spaces;
    while (count > 0) {
        int n = count < 16 ? count : 16;
        sink->write(sink, from, (size_t)n);
        count -= n;
    }
}

static void put(struct fmt_sink *sink, const char *bytes, int count)
{
    if (count > 0) {
        sink->write(sink, bytes, (size_t)count);
    }
}

/* A decimal number of the format itself; stops growing far below overflow. */
static int parse_number(const char **p)
{
    int value = 0;
    while (**p >= '0' && **p <= '9') {
        if (value < 100000) {
            value = value * 10 + (**p - '0');
        }
        (*p)++;
    }
    return value;
}

static void parse_flags(const char **p, struct spec *s)
{
    for (;; (*p)++) {
        switch (**p) {
        case '-':
            s->left = true;
            break;
        case '0':
            s->zero = true;
            break;
        case '+':
            s->plus = true;
            break;
        case ' ':
            s->space = true;
            break;
        case '#':
            s->alternate = true;
            break;
        default:
            return;
        }
    }
}

static void parse_length(const char **p, struct spec *s)
{
    char c = **p;
    if (c != 'h' && c != 'l' && c != 'z' && c != 't' && c != 'j') {
        return;
    }
    s->length = c;
    (*p)++;
    if ((c == 'h' || c == 'l') && **p == c) {
        s->length = c == 'h' ? 'H' : 'L';
        (*p)++;
    }
}

static void print_string(struct fmt_sink *sink, const struct spec *s, const char *text, int len)
{
    int fill = s->width - len;
    if (!s->left) {
        pad(sink, ' ', fill);
    }
    put(sink, text, len);
    if (s->left) {
        pad(sink, ' ', fill);
    }
}

static void print_number(struct fmt_sink *sink, const struct spec *s, const char *prefix,
                         uint64_t value, unsigned base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    int at = (int)sizeof(text);
    for (uint64_t v = value; v != 0; v /= base) {
        text[--at] = digits[v % base];
    }
    int count = (int)sizeof(text) - at;
    int least = s->precision >= 0 ? s->precision : 1;
    int prefix_len = (int)strlen(prefix);
    int zeros = least > count ? least - count : 0;
    int fill = s->width - prefix_len - zeros - count;
    if (s->zero && !s->left && s->precision < 0 && fill > 0) {
        zeros += fill;
        fill = 0;
    }
    if (!s->left) {
        pad(sink, ' ', fill);
    }
    put(sink, prefix, prefix_len);
    pad(sink, '0', zeros);
    put(sink, text + at, count);
    if (s->left) {
        pad(sink, ' ', fill);
    }
}

/* va_list is passed by pointer so that the caller's moves on. */
struct args {
    va_list list;
};

static int64_t take_signed(struct args *a, char length)
{
    switch (length) {
    case 'H':
        return (signed char)va_arg(a->list, int);
    case 'h':
        return (short)va_arg(a->list, int);
    case 'l':
        return va_arg(a->list, long);
    case 'L':
        return va_arg(a->list, long long);
    case 'z':
    case 't':
        return va_arg(a->list, ptrdiff_t);
    case 'j':
        return va_arg(a->list, intmax_t);
    default:
        return va_arg(a->list, int);
    }
}

static uint64_t take_unsigned(struct args *a, char length)
{
    switch (length) {
    case 'H':
        return (unsigned char)va_arg(a->list, unsigned);
    case 'h':
        return (unsigned short)va_arg(a->list, unsigned);
    case 'l':
        return va_arg(a->list, unsigned long);
    case 'L':
        return va_arg(a->list, unsigned long long);
    case 'z':
    case 't':
        return va_arg(a->list, size_t);
    case 'j':
        return va_arg(a->list, uintmax_t);
    default:
        return va_arg(a->list, unsigned);
    }
}

static void print_signed(struct fmt_sink *sink, const struct spec *s, int64_t value)
{
    const char *prefix = value < 0 ? "-" : s->plus ? "+" : s->space ? " " : "";
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    print_number(sink, s, prefix, magnitude, 10, false);
}

static void print_text(struct fmt_sink *sink, const struct spec *s, const char *text)
{
    if (text == NULL) {
        text = "(null)";
    }
    size_t most = s->precision >= 0 ? (size_t)s->precision : (size_t)INT32_MAX;
    print_string(sink, s, text, (int)strnlen(text, most));
}

/* Prints one conversion. False: unknown, nothing printed, no argument taken. */
static bool convert(struct fmt_sink *sink, const struct spec *s, char c, struct args *a)
{
    char one;
    uint64_t value;
    switch (c) {
    case 'd':
    case 'i':
        print_signed(sink, s, take_signed(a, s->length));
        return true;
    case 'u':
        print_number(sink, s, "", take_unsigned(a, s->length), 10, false);
        return true;
    case 'o':
        print_number(sink, s, s->alternate ? "0" : "", take_unsigned(a, s->length), 8, false);
        return true;
    case 'x':
    case 'X':
        value = take_unsigned(a, s->length);
        print_number(sink, s,
                     !s->alternate || value == 0 ? ""
                     : c == 'x'                  ? "0x"
                                                 : "0X",
                     value, 16, c == 'X');
        return true;
    case 'p':
        print_number(sink, s, "0x", (uintptr_t)va_arg(a->list, void *), 16, false);
        return true;
    case 'c':
        one = (char)va_arg(a->list, int);
        print_string(sink, s, &one, 1);
        return true;
    case 's':
        print_text(sink, s, va_arg(a->list, const char *));
        return true;
    case '%':
        put(sink, "%", 1);
        return true;
    default:
        return false;
    }
}

static void parse_spec(const char **p, struct spec *s, struct args *a)
{
    parse_flags(p, s);
    if (**p == '*') {
        (*p)++;
        s->width = va_arg(a->list, int);
        if (s->width < 0) {
            s->left = true;
            s->width = s->width == INT32_MIN ? 0 : -s->width;
        }
    } else {
        s->width = parse_number(p);
    }
    if (**p == '.') {
        (*p)++;
        if (**p == '*') {
            (*p)++;
            s->precision = va_arg(a->list, int);
        } else {
            s->precision = parse_number(p);
        }
    }
    parse_length(p, s);
}

void fmt_vto(struct fmt_sink *sink, const char *format, va_list list)
{
    struct args a;
    va_copy(a.list, list);
    const char *p = format;
    while (*p != '\0') {
        const char *start = p;
        while (*p != '\0' && *p != '%') {
            p++;
        }
        put(sink, start, (int)(p - start));
        if (*p == '\0') {
            break;
        }
        start = p++;
        struct spec s = {.precision = -1};
        parse_spec(&p, &s, &a);
        if (*p == '\0') {
            put(sink, start, (int)(p - start));
            break;
        }
        if (!convert(sink, &s, *p, &a)) {
            put(sink, start, (int)(p + 1 - start));
        }
        p++;
    }
    va_end(a.list);
}

void fmt_to(struct fmt_sink *sink, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fmt_vto(sink, format, args);
    va_end(args);
}

size_t fmt_vformat(char *buf, size_t size, const char *format, va_list args)
{
    struct buffer_sink b = {.sink = {.write = buffer_write}, .buf = buf, .size = size};
    fmt_vto(&b.sink, format, args);
    if (size > 0) {
        buf[b.total < size ? b.total : size - 1] = '\0';
    }
    return b.total;
}

size_t fmt_format(char *buf, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t total = fmt_vformat(buf, size, format, args);
    va_end(args);
    return total;
}
