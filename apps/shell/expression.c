/* SPDX-License-Identifier: MIT */
#include "apps/shell/expression.h"

#include <stdarg.h>

#include "apps/shell/parser.h"
#include "apps/shell/variables.h"
#include "lib/base/bits.h"
#include "lib/base/compiler.h"
#include "lib/base/string.h"

#define KIND_NAME(node) kept_kind_name(node)

struct reading {
    struct parser p;
    struct evaluation *self;
    unsigned depth;
    size_t operator_at;
};

static struct command words; /* memory of the literals while an expression is read */

static const struct node *expression(struct reading *r);

/* In a dry run every value is this one. */
static const struct node unknown = {.kind = NODE_WORD, .word = {"true", 4}, .source = {"true", 4}};

static const struct node *refuse(struct reading *r, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static const struct node *refuse(struct reading *r, size_t at, const char *format, ...)
{
    va_list args;
    if (!r->p.failed) {
        va_start(args, format);
        fmt_vformat(r->p.error->message, sizeof(r->p.error->message), format, args);
        va_end(args);
        r->p.error->at = at;
    }
    r->p.failed = true;
    return NULL;
}

static const struct node *expected(struct reading *r, const char *what)
{
    parser_expected(&r->p, what);
    return NULL;
}

static const struct node *no_room(struct reading *r)
{
    return refuse(r, r->operator_at,
                  "this value is too large: %d KiB are all there is for one line",
                  (int)(r->self->arena->size / 1024));
}

static const struct node *made(struct reading *r, const struct node *value)
{
    return value != NULL ? value : no_room(r);
}

static const struct node *truth(struct reading *r, bool yes)
{
    return made(r, kept_word(r->self->arena, yes ? "true" : "false"));
}

/* ---- operands ---- */

/* Reads a path that stands right behind a closing ')': .field[0] */
static struct span take_path(struct reading *r)
{
    struct lexer *lexer = &r->p.lexer;
    /* The token looked at is the '.' or '[' already. */
    if (r->p.token.space_before || !(parser_is_punct(&r->p, '.') || parser_is_punct(&r->p, '['))) {
        return (struct span){"", 0};
    }
    const char *start = r->p.token.source.ptr;
    const char *end = lexer->line + lexer->len;
    const char *at = start;
    while (at < end && (*at == '.' || *at == '[' || *at == ']')) {
        at++;
        while (at < end && ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                            (*at >= '0' && *at <= '9') || *at == '_' || *at == '$')) {
            at++;
        }
    }
    lexer->at = (size_t)(at - lexer->line);
    parser_advance(&r->p);
    return (struct span){start, (size_t)(at - start)};
}

static const struct node *follow(struct reading *r, const struct node *value)
{
    struct variables_error error;
    size_t at = parser_here(&r->p);
    struct span path = take_path(r);
    if (value == NULL || r->p.failed || r->self->dry || path.len == 0) {
        return r->p.failed ? NULL : value;
    }
    const struct node *found = variables_follow(value, path, &error);
    return found != NULL ? found : refuse(r, at, "%s", error.message);
}

/* From a '(' to behind its ')'. False: it has none. */
static bool skip_list(struct reading *r)
{
    unsigned depth = 0;
    do {
        if (r->p.token.kind == TOKEN_END || r->p.failed) {
            return parser_expected(&r->p, "')'");
        }
        depth += parser_is_punct(&r->p, '(') ? 1 : 0;
        depth -= parser_is_punct(&r->p, ')') ? 1 : 0;
        r->operator_at = parser_here(&r->p) + 1;
        parser_advance(&r->p);
    } while (depth > 0);
    return true;
}

/* Does a call on the answer follow: .method( or .field.method( ? */
static bool goes_on(const struct reading *r)
{
    struct parser ahead = r->p;
    struct parse_error quiet;
    ahead.error = ahead.lexer.error = &quiet;
    for (unsigned i = 0; i < 2 && parser_is_punct(&ahead, '.'); i++) {
        parser_advance(&ahead);
        if (ahead.token.kind != TOKEN_WORD) {
            return false;
        }
        parser_advance(&ahead);
    }
    return parser_is_punct(&ahead, '(');
}

/* A call: `start` is where it begins, its '(' is the token looked at. */
static const struct node *call(struct reading *r, const char *start)
{
    size_t at = (size_t)(start - r->p.lexer.line);
    bool good = skip_list(r);
    while (good && goes_on(r)) {
        while (!parser_is_punct(&r->p, '(')) {
            parser_advance(&r->p);
        }
        good = skip_list(r);
    }
    if (!good) {
        return NULL;
    }
    struct span text = {start, r->operator_at - at};
    if (r->self->dry) {
        return follow(r, &unknown);
    }
    *r->p.error = (struct parse_error){0};
    const struct node *answer = r->self->call(r->self, text);
    if (answer == NULL) {
        r->p.failed = true;
        r->p.error->at += at;
        return NULL;
    }
    return follow(r, answer);
}

static const struct node *capability(struct reading *r)
{
    const char *start = r->p.token.source.ptr;
    struct span name;
    if (!parser_cap_name(&r->p, &name)) {
        return NULL;
    }
    if (parser_take_punct(&r->p, '.')) {
        struct span method;
        if (!parser_take_word(&r->p, &method, "the name of a method behind the '.'")) {
            return NULL;
        }
        return parser_is_punct(&r->p, '(') ? call(r, start)
                                           : expected(r, "'(' and arguments behind the method");
    }
    struct node *node = kept_node(r->self->arena, NODE_CAP, (struct span){start, name.len + 1});
    if (node != NULL) {
        node->word = name;
    }
    return made(r, node);
}

static const struct node *variable(struct reading *r)
{
    struct token token = r->p.token;
    struct variables_error error;
    size_t at = parser_here(&r->p);
    parser_advance(&r->p);
    if (parser_is_punct(&r->p, '(') && !r->p.token.space_before) {
        return call(r, token.source.ptr);
    }
    if (r->self->dry) {
        return &unknown;
    }
    const struct node *value = variables_look_up(token.name, token.text, &error);
    return value != NULL ? value : refuse(r, at, "%s", error.message);
}

/* size(...) */
static const struct node *size(struct reading *r)
{
    size_t at = parser_here(&r->p);
    parser_advance(&r->p);
    if (!parser_take_punct(&r->p, '(')) {
        return expected(r, "'(' behind size");
    }
    const struct node *of = expression(r);
    if (of == NULL || !parser_take_punct(&r->p, ')')) {
        return expected(r, "')'");
    }
    if (!r->self->dry && of->kind != NODE_TEXT && of->kind != NODE_LIST &&
        of->kind != NODE_STRUCT) {
        return refuse(r, at, "size counts a text, a list or a struct, and this is %s",
                      KIND_NAME(of));
    }
    return made(r, kept_number(r->self->arena, false, kept_count(of)));
}

/* Of a struct that is written out: a field that an earlier one has the name of. */
static const struct node *repeated_field(const struct node *node)
{
    for (const struct node *one = node->child; one != NULL; one = one->next) {
        for (const struct node *other = node->child; other != one; other = other->next) {
            if (span_equals(other->label, one->label)) {
                return one;
            }
        }
    }
    return NULL;
}

/* Variables in a list or struct that is written out. */
static bool resolve_within(struct reading *r, struct node *node)
{
    struct variables_error error;
    if (node->kind == NODE_VARIABLE) {
        struct span label = node->label;
        struct node *next = node->next;
        const struct node *value =
            r->self->dry ? &unknown : variables_look_up(node->word, node->text, &error);
        if (value == NULL) {
            refuse(r, (size_t)(node->source.ptr - r->p.lexer.line), "%s", error.message);
            return false;
        }
        *node = *value;
        node->label = label;
        node->next = next;
        return true;
    }
    const struct node *repeated = node->kind == NODE_STRUCT ? repeated_field(node) : NULL;
    if (repeated != NULL) {
        refuse(r, (size_t)(repeated->label.ptr - r->p.lexer.line), "%.*s is there twice",
               SPAN_ARGS(repeated->label));
        return false;
    }
    bool good = true;
    for (struct node *child = node->child; child != NULL && good; child = child->next) {
        good = resolve_within(r, child);
    }
    return good;
}

static const struct node *literal(struct reading *r)
{
    struct node *node = NULL;
    if (!parser_value(&r->p, &node) || !resolve_within(r, node)) {
        return NULL;
    }
    return made(r, kept_copy(r->self->arena, node));
}

static const struct node *operand(struct reading *r)
{
    struct parser *p = &r->p;
    r->operator_at = parser_here(p);
    if (parser_take_punct(p, '(')) {
        const struct node *value = expression(r);
        if (value == NULL || !parser_take_punct(p, ')')) {
            return expected(r, "')'");
        }
        return follow(r, value);
    }
    if (p->token.kind == TOKEN_VARIABLE) {
        return variable(r);
    }
    if (parser_is_punct(p, '@')) {
        return capability(r);
    }
    return parser_is_word(p, "size") ? size(r) : literal(r);
}

/* ---- numbers ---- */

static bool are_numbers(struct reading *r, size_t at, const char *sign, const struct node *a,
                        const struct node *b)
{
    const struct node *odd = a->kind != NODE_NUMBER ? a : b;
    if (odd->kind != NODE_NUMBER) {
        refuse(r, at, "'%s' takes numbers, and %.*s is %s", sign, SPAN_ARGS(odd->source),
               KIND_NAME(odd));
        return false;
    }
    odd = a->unit.len > 0 ? a : b;
    if (odd->unit.len > 0) {
        refuse(r, at, "'%s' takes numbers without a unit, and there is %.*s", sign,
               SPAN_ARGS(odd->source));
        return false;
    }
    return true;
}

static const struct node *too_big(struct reading *r, size_t at)
{
    return refuse(r, at, "the result does not fit 64 bits");
}

static const struct node *add(struct reading *r, size_t at, const struct node *a,
                              const struct node *b, bool subtract)
{
    bool b_negative = b->negative != (subtract && b->magnitude != 0);
    uint64_t sum;
    if (a->negative == b_negative) {
        return ADD_OVERFLOWS(a->magnitude, b->magnitude, &sum)
                   ? too_big(r, at)
                   : made(r, kept_number(r->self->arena, a->negative, sum));
    }
    bool a_larger = a->magnitude >= b->magnitude;
    sum = a_larger ? a->magnitude - b->magnitude : b->magnitude - a->magnitude;
    return made(r, kept_number(r->self->arena, a_larger ? a->negative : b_negative, sum));
}

static const struct node *multiply(struct reading *r, size_t at, char sign, const struct node *a,
                                   const struct node *b)
{
    bool negative = a->negative != b->negative;
    uint64_t result;
    if (sign != '*' && b->magnitude == 0) {
        return refuse(r, at, "a division by 0");
    }
    if (sign == '/') {
        result = a->magnitude / b->magnitude;
    } else if (sign == '%') {
        result = a->magnitude % b->magnitude;
        negative = a->negative;
    } else if (!mul_checked(a->magnitude, b->magnitude, &result)) {
        return too_big(r, at);
    }
    return made(r, kept_number(r->self->arena, negative, result));
}

struct text_sink {
    struct fmt_sink sink;
    char *bytes; /* NULL: only counted */
    size_t count;
};

static void put_text(struct fmt_sink *sink, const char *bytes, size_t count)
{
    struct text_sink *self = (struct text_sink *)sink;
    if (self->bytes != NULL) {
        memcpy(self->bytes + self->count, bytes, count);
    }
    self->count += count;
}

static const struct node *join(struct reading *r, const struct node *a, const struct node *b)
{
    struct text_sink sink = {{put_text}, NULL, 0};
    kept_print(&sink.sink, a);
    kept_print(&sink.sink, b);
    char *bytes = kept_take(r->self->arena, sink.count + 1);
    if (bytes == NULL) {
        return no_room(r);
    }
    sink = (struct text_sink){{put_text}, bytes, 0};
    kept_print(&sink.sink, a);
    kept_print(&sink.sink, b);
    struct span text = {bytes, sink.count};
    struct node *node = kept_node(r->self->arena, NODE_TEXT, text);
    if (node != NULL) {
        node->text = text;
    }
    return made(r, node);
}

/* ---- from the strongest to the weakest ---- */

static const struct node *signed_operand(struct reading *r)
{
    static const struct node zero = {.kind = NODE_NUMBER, .source = {"0", 1}};
    size_t at = parser_here(&r->p);
    if (!parser_take_punct(&r->p, '-')) {
        return operand(r);
    }
    if (++r->depth > EXPRESSION_DEPTH_MAX) {
        return refuse(r, at, "expressions nest at most %d deep", (int)EXPRESSION_DEPTH_MAX);
    }
    const struct node *value = signed_operand(r);
    r->depth--;
    if (value == NULL || r->self->dry) {
        return value;
    }
    if (value->kind == NODE_NUMBER && value->unit.len > 0) {
        struct node *copy = kept_copy(r->self->arena, value);
        if (copy != NULL) {
            copy->negative = !copy->negative;
        }
        return made(r, copy);
    }
    return are_numbers(r, at, "-", &zero, value) ? add(r, at, &zero, value, true) : NULL;
}

/* The sign looked at, when it is one of these; it is taken. */
static char take_sign(struct reading *r, const char *signs, size_t *at)
{
    char c = r->p.token.kind == TOKEN_PUNCT ? r->p.token.punct : 0;
    if (c == 0 || strchr(signs, c) == NULL || r->p.failed) {
        return 0;
    }
    *at = r->operator_at = parser_here(&r->p);
    parser_advance(&r->p);
    return c;
}

static const struct node *product(struct reading *r)
{
    size_t at;
    char sign;
    const struct node *a = signed_operand(r);
    while (a != NULL && (sign = take_sign(r, "*/%", &at)) != 0) {
        const struct node *b = signed_operand(r);
        if (b == NULL) {
            return NULL;
        }
        char name[2] = {sign, 0};
        if (!r->self->dry) {
            a = are_numbers(r, at, name, a, b) ? multiply(r, at, sign, a, b) : NULL;
        }
    }
    return a;
}

static const struct node *sum(struct reading *r)
{
    size_t at;
    char sign;
    const struct node *a = product(r);
    while (a != NULL && (sign = take_sign(r, "+-", &at)) != 0) {
        const struct node *b = product(r);
        if (b == NULL) {
            return NULL;
        }
        if (r->self->dry) {
            continue;
        }
        if (sign == '+' && (a->kind == NODE_TEXT || b->kind == NODE_TEXT)) {
            a = join(r, a, b);
        } else {
            a = are_numbers(r, at, sign == '+' ? "+" : "-", a, b) ? add(r, at, a, b, sign == '-')
                                                                  : NULL;
        }
    }
    return a;
}

enum comparison { NOT_COMPARED, EQUAL, UNEQUAL, LESS, LESS_EQUAL, MORE, MORE_EQUAL, WITHIN };

static enum comparison take_comparison(struct reading *r, size_t *at)
{
    struct parser *p = &r->p;
    *at = r->operator_at = parser_here(p);
    if (parser_is_word(p, "in")) {
        parser_advance(p);
        return WITHIN;
    }
    char first = p->token.kind == TOKEN_PUNCT ? p->token.punct : 0;
    if (first == 0 || strchr("=!<>", first) == NULL) {
        return NOT_COMPARED;
    }
    parser_advance(p);
    bool equals = parser_is_punct(p, '=') && !p->token.space_before;
    if (equals) {
        parser_advance(p);
    }
    if (first == '<' || first == '>') {
        return first == '<' ? equals ? LESS_EQUAL : LESS : equals ? MORE_EQUAL : MORE;
    }
    if (!equals) {
        refuse(r, *at, "a comparison is written == or !=");
    }
    return first == '=' ? EQUAL : UNEQUAL;
}

static bool is_less(const struct node *a, const struct node *b)
{
    if (a->kind == NODE_TEXT) {
        size_t len = min_u64(a->text.len, b->text.len);
        int order = memcmp(a->text.ptr, b->text.ptr, len);
        return order < 0 || (order == 0 && a->text.len < b->text.len);
    }
    if (a->negative != b->negative) {
        return a->negative;
    }
    return a->negative ? a->magnitude > b->magnitude : a->magnitude < b->magnitude;
}

static const struct node *is_within(struct reading *r, size_t at, const struct node *a,
                                    const struct node *list)
{
    if (list->kind != NODE_LIST) {
        return refuse(r, at, "'in' looks into a list, and this is %s", KIND_NAME(list));
    }
    bool found = false;
    for (const struct node *child = list->child; child != NULL && !found; child = child->next) {
        found = kept_equal(a, child);
    }
    return truth(r, found);
}

static const struct node *compare(struct reading *r, size_t at, enum comparison how,
                                  const struct node *a, const struct node *b)
{
    if (how == WITHIN) {
        return is_within(r, at, a, b);
    }
    if (a->kind != b->kind) {
        return refuse(r, at, "%s and %s cannot be compared", KIND_NAME(a), KIND_NAME(b));
    }
    if (how == EQUAL || how == UNEQUAL) {
        return truth(r, kept_equal(a, b) == (how == EQUAL));
    }
    if (a->kind != NODE_TEXT && !are_numbers(r, at, "<", a, b)) {
        return NULL;
    }
    bool turned = how == MORE || how == LESS_EQUAL;
    bool less = turned ? is_less(b, a) : is_less(a, b);
    return truth(r, less == (how == LESS || how == MORE));
}

static const struct node *compared(struct reading *r)
{
    size_t at;
    const struct node *a = sum(r);
    enum comparison how = a != NULL ? take_comparison(r, &at) : NOT_COMPARED;
    if (how == NOT_COMPARED || r->p.failed) {
        return r->p.failed ? NULL : a;
    }
    const struct node *b = sum(r);
    return b == NULL || r->self->dry ? b : compare(r, at, how, a, b);
}

static bool is_truth(struct reading *r, size_t at, const struct node *value, bool *yes)
{
    *yes = value->kind == NODE_WORD && span_is(value->word, "true");
    if (!*yes && !(value->kind == NODE_WORD && span_is(value->word, "false"))) {
        refuse(r, at, "expected true or false, found %.*s", SPAN_ARGS(value->source));
        return false;
    }
    return true;
}

static const struct node *negated(struct reading *r)
{
    bool yes;
    size_t at = parser_here(&r->p);
    if (!parser_is_word(&r->p, "not")) {
        return compared(r);
    }
    parser_advance(&r->p);
    if (++r->depth > EXPRESSION_DEPTH_MAX) {
        return refuse(r, at, "expressions nest at most %d deep", (int)EXPRESSION_DEPTH_MAX);
    }
    const struct node *value = negated(r);
    r->depth--;
    if (value == NULL || r->self->dry) {
        return value;
    }
    return is_truth(r, at, value, &yes) ? truth(r, !yes) : NULL;
}

static const struct node *both(struct reading *r)
{
    bool x, y;
    const struct node *a = negated(r);
    while (a != NULL && parser_is_word(&r->p, "and")) {
        size_t at = parser_here(&r->p);
        parser_advance(&r->p);
        const struct node *b = negated(r);
        if (b == NULL || r->self->dry) {
            a = b;
        } else {
            a = is_truth(r, at, a, &x) && is_truth(r, at, b, &y) ? truth(r, x && y) : NULL;
        }
    }
    return a;
}

static const struct node *either(struct reading *r)
{
    bool x, y;
    const struct node *a = both(r);
    while (a != NULL && parser_is_word(&r->p, "or")) {
        size_t at = parser_here(&r->p);
        parser_advance(&r->p);
        const struct node *b = both(r);
        if (b == NULL || r->self->dry) {
            a = b;
        } else {
            a = is_truth(r, at, a, &x) && is_truth(r, at, b, &y) ? truth(r, x || y) : NULL;
        }
    }
    return a;
}

static const struct node *expression(struct reading *r)
{
    if (++r->depth > EXPRESSION_DEPTH_MAX) {
        return refuse(r, parser_here(&r->p), "expressions nest at most %d deep",
                      (int)EXPRESSION_DEPTH_MAX);
    }
    const struct node *value = either(r);
    r->depth--;
    return r->p.failed ? NULL : value;
}

const struct node *expression_evaluate(struct evaluation *self, struct span text, size_t *at)
{
    struct reading r = {.self = self};
    words.node_count = 0;
    words.text_bytes = 0;
    *self->error = (struct parse_error){0};
    r.p = (struct parser){.command = &words, .error = self->error};
    r.p.lexer = (struct lexer){.line = text.ptr,
                               .len = text.len,
                               .at = *at,
                               .operators = true,
                               .command = &words,
                               .error = self->error};
    parser_advance(&r.p);
    const struct node *value = expression(&r);
    *at = r.p.failed ? *at : parser_here(&r.p);
    return r.p.failed ? NULL : value;
}
