/* SPDX-License-Identifier: MIT */
#include "apps/shell/statement.h"

#include "apps/shell/lex.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

const char *const statement_words[] = {
    "if",       "while", "for",   "repeat", "try",    "print",  "fail", "sleep", "break",
    "continue", "ask",   "unset", "watch",  "return", "script", "do",   "else",  NULL,
};

/* A text that is walked: quotation marks, comments and brackets are passed over whole. */
struct scan {
    const char *base; /* of the whole text: places are told from there */
    const char *at;
    const char *end;
    struct parse_error *error;
};

static bool refuse(struct scan *scan, const char *at, const char *format, const char *word)
{
    return parse_fail(scan->error, (size_t)(at - scan->base), format, word);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* strchr would find a NUL in any set. */
static bool is_one_of(char c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static void skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end && is_blank(*scan->at)) {
        scan->at++;
    }
}

/* Blanks, newlines, semicolons and comments: what stands between statements. */
static void skip_between(struct scan *scan)
{
    while (scan->at < scan->end) {
        if (*scan->at == '#') {
            while (scan->at < scan->end && *scan->at != '\n') {
                scan->at++;
            }
        } else if (is_blank(*scan->at) || *scan->at == '\n' || *scan->at == ';') {
            scan->at++;
        } else {
            break;
        }
    }
}

/* Behind a quoted text, a comment, or one character. */
static const char *pass_one(const char *at, const char *end)
{
    if (*at == '"') {
        for (at++; at < end && *at != '"' && *at != '\n'; at++) {
            at += *at == '\\' && at + 1 < end ? 1 : 0;
        }
        return at < end ? at + 1 : end;
    }
    if (*at == '#') {
        while (at < end && *at != '\n') {
            at++;
        }
        return at;
    }
    return at + 1;
}

/* The first of these characters outside of brackets and quotation marks, else the end. */
static const char *find_outside(const char *at, const char *end, const char *stops)
{
    unsigned depth = 0;
    while (at < end) {
        if (depth == 0 && is_one_of(*at, stops)) {
            return at;
        }
        if (is_one_of(*at, "([{")) {
            depth++;
        } else if (is_one_of(*at, ")]}")) {
            depth -= depth > 0 ? 1 : 0;
        }
        at = pass_one(at, end);
    }
    return end;
}

/* The '}' of the '{' at `open`; `end` when there is none. */
static const char *find_close(const char *open, const char *end)
{
    unsigned depth = 0;
    for (const char *at = open; at < end; at = pass_one(at, end)) {
        depth += *at == '{' ? 1 : 0;
        if (*at == '}' && --depth == 0) {
            return at;
        }
    }
    return end;
}

bool statement_is_open(const char *text, size_t len)
{
    unsigned depth = 0;
    const char *end = text + len;
    for (const char *at = text; at < end; at = pass_one(at, end)) {
        depth += *at == '{' ? 1 : 0;
        depth -= *at == '}' && depth > 0 ? 1 : 0;
    }
    return depth > 0;
}

static struct span trimmed(const char *start, const char *end)
{
    while (start < end && (is_blank(*start) || *start == '\n')) {
        start++;
    }
    while (start < end && (is_blank(end[-1]) || end[-1] == '\n')) {
        end--;
    }
    return (struct span){start, (size_t)(end - start)};
}

/* ---- the parts of a statement ---- */

/* Takes the word when it stands here as a whole word and no '=' makes it a name. */
static bool take_word(struct scan *scan, const char *word)
{
    size_t len = strlen(word);
    const char *at = scan->at;
    if ((size_t)(scan->end - at) < len || memcmp(at, word, len) != 0 ||
        (at + len < scan->end && (is_name_char(at[len]) || at[len] == '-'))) {
        return false;
    }
    const char *behind = at + len;
    while (behind < scan->end && is_blank(*behind)) {
        behind++;
    }
    if (behind < scan->end && *behind == '=' && (behind + 1 == scan->end || behind[1] != '=')) {
        return false;
    }
    scan->at = behind;
    return true;
}

static struct span take_name(struct scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && (is_name_char(*scan->at) || (*scan->at == '-'))) {
        scan->at++;
    }
    return (struct span){start, (size_t)(scan->at - start)};
}

/* $name; what follows it is left. */
static bool take_variable(struct scan *scan, struct span *name)
{
    skip_blanks(scan);
    const char *start = scan->at;
    if (start >= scan->end || *start != '$') {
        return refuse(scan, start, "expected a variable, as $%s", "name");
    }
    const char *at = start + 1;
    while (at < scan->end && is_name_char(*at)) {
        at++;
    }
    *name = (struct span){start + 1, (size_t)(at - start - 1)};
    if (name->len == 0 || (name->ptr[0] >= '0' && name->ptr[0] <= '9')) {
        return refuse(scan, start, "a variable has a name that begins with a letter, as $%s", "x");
    }
    scan->at = at;
    return true;
}

/* Up to the end of the statement. */
static struct span take_rest(struct scan *scan)
{
    const char *end = find_outside(scan->at, scan->end, ";\n");
    struct span rest = trimmed(scan->at, end);
    scan->at = end;
    return rest;
}

static bool take_block(struct scan *scan, struct span *block)
{
    skip_blanks(scan);
    if (scan->at >= scan->end || *scan->at != '{') {
        return refuse(scan, scan->at, "expected '{' and what is to be done%s", "");
    }
    const char *close = find_close(scan->at, scan->end);
    if (close == scan->end) {
        return refuse(scan, scan->at, "this '{' has no '}'%s", "");
    }
    *block = (struct span){scan->at + 1, (size_t)(close - scan->at - 1)};
    scan->at = close + 1;
    return true;
}

/* An expression and the block behind it. */
static bool take_condition(struct scan *scan, struct statement *out, const char *what)
{
    const char *open = find_outside(scan->at, scan->end, "{;\n");
    out->expression = trimmed(scan->at, open);
    if (out->expression.len == 0) {
        return refuse(scan, scan->at, "expected %s", what);
    }
    scan->at = open;
    return take_block(scan, &out->block);
}

/* "else" may stand on the next line. */
static bool take_else(struct scan *scan, struct statement *out, bool may_be_if)
{
    struct scan ahead = *scan;
    while (ahead.at < ahead.end && (is_blank(*ahead.at) || *ahead.at == '\n')) {
        ahead.at++;
    }
    if (!take_word(&ahead, "else")) {
        return true;
    }
    out->has_else = true;
    const char *start = ahead.at;
    struct scan whole = ahead;
    if (may_be_if && take_word(&ahead, "if")) {
        struct statement inner = {0};
        if (!take_condition(&ahead, &inner, "a condition behind 'if'") ||
            !take_else(&ahead, &inner, true)) {
            return false;
        }
        out->otherwise = (struct span){start, (size_t)(ahead.at - start)};
        scan->at = ahead.at;
        return true;
    }
    if (!take_block(&whole, &out->otherwise)) {
        return false;
    }
    scan->at = whole.at;
    return true;
}

static bool at_end(struct scan *scan)
{
    skip_blanks(scan);
    if (scan->at < scan->end && !is_one_of(*scan->at, ";\n#")) {
        return refuse(scan, scan->at, "expected the end of the line or ';'%s", "");
    }
    return true;
}

/* Behind the '}' of an 'if' or a 'try'. */
static bool at_end_without_else(struct scan *scan)
{
    skip_blanks(scan);
    if (scan->at < scan->end && !is_one_of(*scan->at, ";\n#")) {
        return refuse(scan, scan->at, "expected 'else' and a block, the end of the line or ';'%s",
                      "");
    }
    return true;
}

static bool needs_rest(struct scan *scan, struct statement *out, const char *what)
{
    const char *start = scan->at;
    out->expression = take_rest(scan);
    return out->expression.len > 0 || refuse(scan, start, "expected %s", what);
}

/* ---- one of each kind ---- */

static bool of_if(struct scan *scan, struct statement *out)
{
    return take_condition(scan, out, "a condition behind 'if'") && take_else(scan, out, true) &&
           (out->has_else ? at_end(scan) : at_end_without_else(scan));
}

static bool of_while(struct scan *scan, struct statement *out)
{
    return take_condition(scan, out, "a condition behind 'while'") && at_end(scan);
}

static bool of_repeat(struct scan *scan, struct statement *out)
{
    return take_condition(scan, out, "how often, behind 'repeat'") && at_end(scan);
}

static bool of_for(struct scan *scan, struct statement *out)
{
    if (!take_variable(scan, &out->variable)) {
        return false;
    }
    skip_blanks(scan);
    if (!take_word(scan, "in")) {
        return refuse(scan, scan->at, "expected 'in' and a list, as for $x in %s { ... }",
                      "[1, 2]");
    }
    return take_condition(scan, out, "a list behind 'in'") && at_end(scan);
}

static bool of_try(struct scan *scan, struct statement *out)
{
    return take_block(scan, &out->block) && take_else(scan, out, false) &&
           (out->has_else ? at_end(scan) : at_end_without_else(scan));
}

static bool of_nothing(struct scan *scan, struct statement *out)
{
    (void)out;
    return at_end(scan);
}

static bool of_print(struct scan *scan, struct statement *out)
{
    out->expression = take_rest(scan);
    return true;
}

static bool of_fail(struct scan *scan, struct statement *out)
{
    return needs_rest(scan, out, "why, behind 'fail'");
}

static bool of_sleep(struct scan *scan, struct statement *out)
{
    return needs_rest(scan, out, "how long, as 2s");
}

static bool of_unset(struct scan *scan, struct statement *out)
{
    return take_variable(scan, &out->variable) && at_end(scan);
}

static bool of_ask(struct scan *scan, struct statement *out)
{
    skip_blanks(scan);
    out->hidden = take_word(scan, "hidden");
    if (scan->at < scan->end && *scan->at == '$' && !take_variable(scan, &out->variable)) {
        return false;
    }
    return needs_rest(scan, out, "what to ask, in quotation marks");
}

static bool of_script(struct scan *scan, struct statement *out)
{
    out->name = take_name(scan);
    skip_blanks(scan);
    if (scan->at >= scan->end || (*scan->at != '(' && *scan->at != '{')) {
        return at_end(scan);
    }
    if (out->name.len == 0) {
        return refuse(scan, scan->at, "expected a name behind '%s'", "script");
    }
    if (*scan->at == '(') {
        const char *close = find_outside(scan->at + 1, scan->end, ")\n");
        if (close == scan->end || *close != ')') {
            return refuse(scan, scan->at, "this '(' has no ')'%s", "");
        }
        out->expression = trimmed(scan->at + 1, close);
        scan->at = close + 1;
    }
    return take_block(scan, &out->block) && at_end(scan);
}

static bool of_do(struct scan *scan, struct statement *out)
{
    skip_blanks(scan);
    out->of_capability = scan->at < scan->end && *scan->at == '@';
    scan->at += out->of_capability ? 1 : 0;
    out->name = take_name(scan);
    if (out->name.len == 0) {
        return refuse(scan, scan->at, "expected a script's name, or a capability as @%s", "name");
    }
    skip_blanks(scan);
    if (out->of_capability) {
        out->aloud = take_word(scan, "aloud");
        return at_end(scan);
    }
    if (scan->at < scan->end && *scan->at == '(') {
        const char *close = find_outside(scan->at + 1, scan->end, ")");
        if (close == scan->end) {
            return refuse(scan, scan->at, "this '(' has no ')'%s", "");
        }
        out->expression = trimmed(scan->at + 1, close);
        scan->at = close + 1;
        return at_end(scan);
    }
    if (scan->at < scan->end && !is_one_of(*scan->at, ";\n#")) {
        return refuse(scan, scan->at, "what a script is given stands in brackets, as do %s",
                      "f(1)");
    }
    return true;
}

/* The time, when there is one, begins with a digit; no statement does. */
static bool of_watch(struct scan *scan, struct statement *out)
{
    skip_blanks(scan);
    const char *start = scan->at;
    while (scan->at < scan->end && is_name_char(*scan->at) && *start >= '0' && *start <= '9') {
        scan->at++;
    }
    out->expression = (struct span){start, (size_t)(scan->at - start)};
    out->block = take_rest(scan);
    return out->block.len > 0 ||
           refuse(scan, scan->at, "expected what to watch, as watch 2s %s", "@timer.now()");
}

static bool of_else(struct scan *scan, struct statement *out)
{
    (void)out;
    return refuse(scan, scan->at, "'else' stands behind the '}' of an 'if' or a '%s'", "try");
}

struct kind_entry {
    const char *word;
    enum statement_kind kind;
    bool (*rest)(struct scan *scan, struct statement *out);
};

static const struct kind_entry kinds[] = {
    {"if", STATEMENT_IF, of_if},
    {"while", STATEMENT_WHILE, of_while},
    {"for", STATEMENT_FOR, of_for},
    {"repeat", STATEMENT_REPEAT, of_repeat},
    {"try", STATEMENT_TRY, of_try},
    {"print", STATEMENT_PRINT, of_print},
    {"fail", STATEMENT_FAIL, of_fail},
    {"sleep", STATEMENT_SLEEP, of_sleep},
    {"break", STATEMENT_BREAK, of_nothing},
    {"continue", STATEMENT_CONTINUE, of_nothing},
    {"return", STATEMENT_RETURN, of_nothing},
    {"ask", STATEMENT_ASK, of_ask},
    {"unset", STATEMENT_UNSET, of_unset},
    {"script", STATEMENT_SCRIPT, of_script},
    {"do", STATEMENT_DO, of_do},
    {"watch", STATEMENT_WATCH, of_watch},
    {"else", STATEMENT_NONE, of_else},
};

/* $name = ..., but not $name == and not $name.field. */
static bool is_assignment(const struct scan *scan)
{
    const char *at = scan->at + 1;
    while (at < scan->end && is_name_char(*at)) {
        at++;
    }
    while (at < scan->end && is_blank(*at)) {
        at++;
    }
    return at < scan->end && *at == '=' && (at + 1 == scan->end || at[1] != '=');
}

static bool of_assign(struct scan *scan, struct statement *out)
{
    out->kind = STATEMENT_ASSIGN;
    if (!take_variable(scan, &out->variable)) {
        return false;
    }
    skip_blanks(scan);
    scan->at++; /* the '=' */
    return needs_rest(scan, out, "a value behind the '='");
}

static bool one(struct scan *scan, struct statement *out)
{
    if (*scan->at == '$' && is_assignment(scan)) {
        return of_assign(scan, out);
    }
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (take_word(scan, kinds[i].word)) {
            out->kind = kinds[i].kind;
            return kinds[i].rest(scan, out);
        }
    }
    out->kind = STATEMENT_COMMAND;
    (void)take_rest(scan);
    return true;
}

bool statement_next(struct span *rest, const char *base, struct statement *out,
                    struct parse_error *error)
{
    *out = (struct statement){.kind = STATEMENT_NONE};
    if (rest->len == 0) {
        return true;
    }
    struct scan scan = {base, rest->ptr, rest->ptr + rest->len, error};
    skip_between(&scan);
    const char *start = scan.at;
    bool good = scan.at == scan.end || one(&scan, out);
    out->text = trimmed(start, scan.at);
    *rest = (struct span){scan.at, (size_t)(scan.end - scan.at)};
    return good;
}

bool statement_parameter(struct span *rest, struct span *name, bool *bad)
{
    struct parse_error error;
    *bad = false;
    if (rest->len == 0) {
        return false;
    }
    struct scan scan = {rest->ptr, rest->ptr, rest->ptr + rest->len, &error};
    skip_blanks(&scan);
    if (scan.at == scan.end) {
        return false;
    }
    *bad = !take_variable(&scan, name);
    skip_blanks(&scan);
    *bad = *bad || (scan.at < scan.end && *scan.at != ',');
    scan.at += scan.at < scan.end ? 1 : 0;
    *rest = (struct span){scan.at, (size_t)(scan.end - scan.at)};
    return !*bad;
}
