/* SPDX-License-Identifier: MIT */
#include "apps/shell/lex.h"

#include <stdarg.h>

#include "lib/base/fmt.h"
#include "lib/base/string.h"

bool parse_fail(struct parse_error *error, size_t at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fmt_vformat(error->message, sizeof(error->message), format, args);
    va_end(args);
    error->at = at;
    return false;
}

bool span_is(struct span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.ptr, text, span.len) == 0;
}

bool span_equals(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word_char(char c)
{
    return is_letter(c) || is_digit(c) || c == '-';
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char peek(const struct lexer *lexer, size_t ahead)
{
    return lexer->at + ahead < lexer->len ? lexer->line[lexer->at + ahead] : 0;
}

static struct span span_from(const struct lexer *lexer, size_t start)
{
    return (struct span){lexer->line + start, lexer->at - start};
}

/* It stands at the end of the line, where nothing follows. */
static struct token bad(struct lexer *lexer)
{
    lexer->at = lexer->len;
    return (struct token){.kind = TOKEN_BAD, .source = span_from(lexer, lexer->len)};
}

/* Hexadecimal digits may be more than a number holds: they may be data. The magnitude then
 * saturates, and digits tells the whole story. */
static struct token hex_number(struct lexer *lexer, size_t start)
{
    struct token token = {.kind = TOKEN_NUMBER};
    lexer->at += 2;
    size_t first = lexer->at;
    bool too_big = false;
    while (hex_value(peek(lexer, 0)) >= 0) {
        too_big = too_big || token.magnitude >> 60 != 0;
        token.magnitude = token.magnitude << 4 | (uint64_t)hex_value(peek(lexer, 0));
        lexer->at++;
    }
    token.digits = span_from(lexer, first);
    token.source = span_from(lexer, start);
    if (token.digits.len == 0 || is_word_char(peek(lexer, 0))) {
        parse_fail(lexer->error, lexer->at, "expected hexadecimal digits (0-9, a-f) behind 0x");
        return bad(lexer);
    }
    if (too_big) {
        token.magnitude = UINT64_MAX;
    }
    return token;
}

static struct token decimal_number(struct lexer *lexer, size_t start)
{
    struct token token = {.kind = TOKEN_NUMBER};
    while (is_digit(peek(lexer, 0)) || (peek(lexer, 0) == '_' && is_digit(peek(lexer, 1)))) {
        char c = peek(lexer, 0);
        lexer->at++;
        if (c == '_') {
            continue;
        }
        uint64_t digit = (uint64_t)(c - '0');
        if (token.magnitude > (UINT64_MAX - digit) / 10) {
            parse_fail(lexer->error, start, "this number does not fit 64 bits");
            return bad(lexer);
        }
        token.magnitude = token.magnitude * 10 + digit;
    }
    size_t unit = lexer->at;
    while (is_letter(peek(lexer, 0))) {
        lexer->at++;
    }
    token.unit = span_from(lexer, unit);
    token.source = span_from(lexer, start);
    if (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1))) {
        parse_fail(lexer->error, lexer->at, "numbers are whole: 1500ms is what 1.5s would be");
        return bad(lexer);
    }
    if (token.unit.len > 0 && is_digit(peek(lexer, 0))) {
        parse_fail(lexer->error, unit, "a number is digits, and perhaps a unit behind them, as 5s");
        return bad(lexer);
    }
    return token;
}

static bool put_byte(struct lexer *lexer, uint8_t byte)
{
    struct command *command = lexer->command;
    if (command->text_bytes == PARSE_TEXT_BYTES) {
        return parse_fail(lexer->error, lexer->at, "the texts of one line hold at most %d bytes",
                          (int)PARSE_TEXT_BYTES);
    }
    command->text[command->text_bytes++] = (char)byte;
    return true;
}

static bool put_code(struct lexer *lexer, uint32_t code)
{
    if (code < 0x80) {
        return put_byte(lexer, (uint8_t)code);
    }
    if (code < 0x800) {
        return put_byte(lexer, (uint8_t)(0xc0 | code >> 6)) &&
               put_byte(lexer, (uint8_t)(0x80 | (code & 63)));
    }
    if (code < 0x10000) {
        return put_byte(lexer, (uint8_t)(0xe0 | code >> 12)) &&
               put_byte(lexer, (uint8_t)(0x80 | (code >> 6 & 63))) &&
               put_byte(lexer, (uint8_t)(0x80 | (code & 63)));
    }
    return put_byte(lexer, (uint8_t)(0xf0 | code >> 18)) &&
           put_byte(lexer, (uint8_t)(0x80 | (code >> 12 & 63))) &&
           put_byte(lexer, (uint8_t)(0x80 | (code >> 6 & 63))) &&
           put_byte(lexer, (uint8_t)(0x80 | (code & 63)));
}

/* Behind \x: two digits, one byte. */
static bool byte_escape(struct lexer *lexer)
{
    int high = hex_value(peek(lexer, 0));
    int low = high < 0 ? -1 : hex_value(peek(lexer, 1));
    if (low < 0) {
        return parse_fail(lexer->error, lexer->at, "expected two hexadecimal digits behind \\x");
    }
    lexer->at += 2;
    return put_byte(lexer, (uint8_t)(high << 4 | low));
}

/* Behind \u: a character number in braces. */
static bool char_escape(struct lexer *lexer)
{
    uint32_t code = 0;
    size_t digits = 0;
    if (peek(lexer, 0) != '{') {
        return parse_fail(lexer->error, lexer->at,
                          "expected a character number in braces: \\u{41}");
    }
    lexer->at++;
    for (; hex_value(peek(lexer, 0)) >= 0 && digits < 6; digits++) {
        code = code << 4 | (uint32_t)hex_value(peek(lexer, 0));
        lexer->at++;
    }
    bool valid = digits > 0 && peek(lexer, 0) == '}' && code <= 0x10ffff &&
                 !(code >= 0xd800 && code <= 0xdfff);
    if (!valid) {
        return parse_fail(lexer->error, lexer->at, "no such character: \\u{...} takes 0 to 10ffff");
    }
    lexer->at++;
    return put_code(lexer, code);
}

static bool escape(struct lexer *lexer)
{
    char c = peek(lexer, 0);
    size_t at = lexer->at;
    lexer->at++;
    switch (c) {
    case 'n':
        return put_byte(lexer, '\n');
    case 't':
        return put_byte(lexer, '\t');
    case 'r':
        return put_byte(lexer, '\r');
    case '0':
        return put_byte(lexer, 0);
    case '\\':
    case '"':
        return put_byte(lexer, (uint8_t)c);
    case 'x':
        return byte_escape(lexer);
    case 'u':
        return char_escape(lexer);
    default:
        return parse_fail(lexer->error, at,
                          "unknown escape: \\n \\t \\r \\0 \\\\ \\\" \\xHH and \\u{HEX} exist");
    }
}

static struct token quoted_text(struct lexer *lexer, size_t start)
{
    struct token token = {.kind = TOKEN_TEXT};
    size_t first = lexer->command->text_bytes;
    lexer->at++;
    for (;;) {
        if (lexer->at >= lexer->len) {
            parse_fail(lexer->error, start, "this text has no closing quotation mark");
            return bad(lexer);
        }
        char c = lexer->line[lexer->at];
        if (c == '\n') {
            parse_fail(lexer->error, start, "this text has no closing quotation mark in its line");
            return bad(lexer);
        }
        lexer->at++;
        if (c == '"') {
            break;
        }
        if (!(c == '\\' ? escape(lexer) : put_byte(lexer, (uint8_t)c))) {
            return bad(lexer);
        }
    }
    token.text = (struct span){lexer->command->text + first, lexer->command->text_bytes - first};
    token.source = span_from(lexer, start);
    return token;
}

static struct token word(struct lexer *lexer, size_t start)
{
    while (is_word_char(peek(lexer, 0))) {
        lexer->at++;
    }
    return (struct token){.kind = TOKEN_WORD, .source = span_from(lexer, start)};
}

/* Names of variables and fields hold no '-', so that $a-1 is what it looks like. */
static size_t take_name(struct lexer *lexer)
{
    size_t start = lexer->at;
    while (is_letter(peek(lexer, 0)) || (lexer->at > start && is_digit(peek(lexer, 0)))) {
        lexer->at++;
    }
    return lexer->at - start;
}

/* Behind the '[': a number or a variable, and ']'. */
static bool take_index(struct lexer *lexer)
{
    size_t start = lexer->at;
    if (peek(lexer, 0) == '$') {
        lexer->at++;
        if (take_name(lexer) == 0) {
            return parse_fail(lexer->error, lexer->at, "expected the name of a variable behind $");
        }
    }
    while (is_digit(peek(lexer, 0))) {
        lexer->at++;
    }
    if (lexer->at == start || peek(lexer, 0) != ']') {
        return parse_fail(lexer->error, lexer->at, "expected a number and ']', as [0]");
    }
    lexer->at++;
    return true;
}

/* $name, and .field or [number] as often as they stand right behind it. */
static struct token variable(struct lexer *lexer, size_t start)
{
    struct token token = {.kind = TOKEN_VARIABLE};
    lexer->at++;
    if (take_name(lexer) == 0) {
        parse_fail(lexer->error, lexer->at, "expected the name of a variable right behind the $");
        return bad(lexer);
    }
    token.name = span_from(lexer, start + 1);
    size_t path = lexer->at;
    for (;;) {
        if (peek(lexer, 0) == '.' && is_letter(peek(lexer, 1))) {
            lexer->at++;
            (void)take_name(lexer);
        } else if (peek(lexer, 0) == '[') {
            lexer->at++;
            if (!take_index(lexer)) {
                return bad(lexer);
            }
        } else {
            break;
        }
    }
    token.text = span_from(lexer, path);
    token.source = span_from(lexer, start);
    return token;
}

/* Blanks, ends of lines, and comments up to them. */
static void skip_space(struct lexer *lexer)
{
    for (;;) {
        char c = peek(lexer, 0);
        if (lexer->at < lexer->len && c == '#') {
            while (lexer->at < lexer->len && peek(lexer, 0) != '\n') {
                lexer->at++;
            }
        } else if (c == ' ' || c == '\t' || c == '\n') {
            lexer->at++;
        } else {
            break;
        }
    }
}

/* Quotation marks as books print them, which come with what is copied from one. */
static bool is_printed_quote(const struct lexer *lexer, size_t start)
{
    const char *at = lexer->line + start;
    return lexer->len - start >= 3 && at[0] == '\xe2' && at[1] == '\x80' && at[2] >= '\x98' &&
           at[2] <= '\x9f';
}

/* A sign that nothing here begins with: what is mostly meant by it. */
static void refuse_sign(struct lexer *lexer, size_t start, char c)
{
    if (c == '\'' || c == '`' || is_printed_quote(lexer, start)) {
        parse_fail(lexer->error, start, "text stands between \"double\" quotation marks");
    } else if ((uint8_t)c >= 0x80) {
        parse_fail(lexer->error, start, "letters beyond a-z stand in quoted text only");
    } else if (strchr("+*/%<>!", c) != NULL) {
        parse_fail(lexer->error, start,
                   "'%c' has no meaning here; 'print', '$x =' and 'if' work things out, as $x = 1 "
                   "+ 2",
                   c);
    } else if (c == '&') {
        parse_fail(lexer->error, start,
                   "'&' has no meaning here; 'spawn' starts a program in the background, 'and' "
                   "means both");
    } else if (c == '|') {
        parse_fail(lexer->error, start,
                   "'|' has no meaning here; 'stdio: @stream' connects a program, 'or' means one "
                   "of two");
    } else {
        parse_fail(lexer->error, start, "'%c' has no meaning here", c);
    }
}

static struct token punct(struct lexer *lexer, size_t start)
{
    char c = lexer->line[lexer->at];
    lexer->at++;
    if (strchr("@=:,.(){}[]-?", c) == NULL && !(lexer->operators && strchr("+*/%<>!", c) != NULL)) {
        refuse_sign(lexer, start, c);
        return bad(lexer);
    }
    return (struct token){.kind = TOKEN_PUNCT, .punct = c, .source = span_from(lexer, start)};
}

static struct token any(struct lexer *lexer)
{
    size_t start = lexer->at;
    char c = peek(lexer, 0);
    if (lexer->at >= lexer->len) {
        return (struct token){.kind = TOKEN_END, .source = span_from(lexer, start)};
    }
    if (c == '$') {
        return variable(lexer, start);
    }
    if (is_letter(c)) {
        return word(lexer, start);
    }
    if (c == '0' && (peek(lexer, 1) == 'x' || peek(lexer, 1) == 'X')) {
        return hex_number(lexer, start);
    }
    if (is_digit(c)) {
        return decimal_number(lexer, start);
    }
    return c == '"' ? quoted_text(lexer, start) : punct(lexer, start);
}

struct token lex_next(struct lexer *lexer)
{
    size_t before = lexer->at;
    skip_space(lexer);
    bool space = lexer->at > before;
    struct token token = any(lexer);
    token.space_before = space;
    return token;
}
