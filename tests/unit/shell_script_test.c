/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "apps/shell/expression.h"
#include "apps/shell/script_check.h"
#include "apps/shell/statement.h"
#include "apps/shell/variables.h"

/* The heap of a program, here the host's. */
void *capos_alloc(size_t bytes);
void capos_free(void *block);

static unsigned blocks;

void *capos_alloc(size_t bytes)
{
    blocks++;
    return malloc(bytes);
}

void capos_free(void *block)
{
    blocks -= block != NULL;
    free(block);
}

static _Alignas(8) uint8_t bytes[64 * 1024];
static struct kept_arena arena = {.bytes = bytes, .size = sizeof(bytes)};
static struct parse_error error;
static char shown[4096];
static size_t shown_bytes;

static void put(struct fmt_sink *sink, const char *text, size_t count)
{
    (void)sink;
    CHECK(shown_bytes + count < sizeof(shown));
    memcpy(shown + shown_bytes, text, count);
    shown_bytes += count;
    shown[shown_bytes] = 0;
}

static struct fmt_sink sink = {put};

static struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

/* Answers {value: 7, child: {name: "x"}}; the call that is called fails. */
static struct node *answer(struct evaluation *self, struct span text)
{
    struct evaluation inner = {.arena = self->arena, .error = self->error};
    size_t at = 0;
    if (span_is(text, "@c.fails()")) {
        return NULL;
    }
    return (struct node *)(uintptr_t)expression_evaluate(
        &inner, span_of("{value: 7, child: {name: \"x\"}}"), &at);
}

/* What an expression gives, as it would be typed; "!" and the message when it is refused. */
static const char *worth(const char *text)
{
    struct evaluation evaluation = {.arena = &arena, .error = &error, .call = answer};
    size_t at = 0;
    arena.used = 0;
    shown_bytes = 0;
    shown[0] = 0;
    const struct node *value = expression_evaluate(&evaluation, span_of(text), &at);
    if (value == NULL) {
        put(&sink, "!", 1);
        put(&sink, error.message, strlen(error.message));
    } else {
        CHECK_EQ(at, strlen(text));
        kept_show(&sink, value);
    }
    return shown;
}

static void assign(const char *name, const char *text)
{
    struct evaluation evaluation = {.arena = &arena, .error = &error, .call = answer};
    struct variables_error refused;
    size_t at = 0;
    const struct node *value = expression_evaluate(&evaluation, span_of(text), &at);
    CHECK(value != NULL);
    CHECK(variables_set(span_of(name), value, &refused));
}

static void forget_all(void)
{
    struct span name;
    const struct node *value;
    while (variables_at(0, &name, &value)) {
        variables_unset(name);
    }
    CHECK_EQ(blocks, 0);
}

TEST(expression_numbers, "numbers are calculated with, and what does not fit is refused")
{
    static const char *const cases[][2] = {
        {"3 + 4 * 2", "11"},
        {"(3 + 4) * 2", "14"},
        {"10 - 2 - 3", "5"},
        {"-5 + 3", "-2"},
        {"3 - 5", "-2"},
        {"7 / 2", "3"},
        {"-7 / 2", "-3"},
        {"7 % 4", "3"},
        {"2 * -3", "-6"},
        {"18446744073709551615", "18446744073709551615"},
        {"18446744073709551615 + 1", "!the result does not fit 64 bits"},
        {"-18446744073709551615 - 1", "!the result does not fit 64 bits"},
        {"4294967296 * 4294967296", "!the result does not fit 64 bits"},
        {"1 / 0", "!a division by 0"},
        {"1 % 0", "!a division by 0"},
        {"1s + 1", "!'+' takes numbers without a unit, and there is 1s"},
        {"5s", "5s"},
        {"0 - 0", "0"},
        {"true + 1", "!'+' takes numbers, and true is a word"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CHECK_STR_EQ(worth(cases[i][0]), cases[i][1]);
    }
}

TEST(expression_truth, "comparisons are of like with like and give true or false")
{
    static const char *const cases[][2] = {
        {"1 < 2", "true"},
        {"2 <= 2", "true"},
        {"-1 > -2", "true"},
        {"1 >= 2", "false"},
        {"1 == 1 and 2 != 3", "true"},
        {"not true or true", "true"},
        {"\"a\" < \"ab\"", "true"},
        {"\"a\" == \"a\"", "true"},
        {"[1, 2] == [1, 2]", "true"},
        {"{a: 1} == {b: 1}", "false"},
        {"2 in [1, 2]", "true"},
        {"3 in [1, 2]", "false"},
        {"running == running", "true"},
        {"@a == @b", "false"},
        {"1 == \"1\"", "!a number and a text cannot be compared"},
        {"1 in 2", "!'in' looks into a list, and this is a number"},
        {"true and 1", "!expected true or false, found 1"},
        {"not 3", "!expected true or false, found 3"},
        {"1 = 1", "!a comparison is written == or !="},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CHECK_STR_EQ(worth(cases[i][0]), cases[i][1]);
    }
}

TEST(expression_texts, "texts are put together and counted by characters")
{
    CHECK_STR_EQ(worth("\"a\" + 1 + \"b\""), "\"a1b\"");
    CHECK_STR_EQ(worth("1 + \"b\""), "\"1b\"");
    CHECK_STR_EQ(worth("size(\"h\\u{e9}\")"), "2");
    CHECK_STR_EQ(worth("size([1, 2, 3]) + 1"), "4");
    CHECK_STR_EQ(worth("size(5)"), "!size counts a text, a list or a struct, and this is a number");
    CHECK_STR_EQ(worth("size {"), "!expected '(' behind size, found {");
}

TEST(expression_calls, "a call in an expression is its answer, and its fields can be named")
{
    CHECK_STR_EQ(worth("@c.read().value + 1"), "8");
    CHECK_STR_EQ(worth("@c.read(a = \")\", b = [1]).child.name"), "\"x\"");
    CHECK_STR_EQ(worth("@c.child().read()"), "{value: 7, child: {name: \"x\"}}");
    CHECK_STR_EQ(worth("@c.child().reader.read().value"), "7");
    CHECK_STR_EQ(worth("@c.fails()"), "!");
    CHECK_STR_EQ(worth("1 + @c.read().valu"), "!no field 'valu' here; the nearest is 'value'");
    CHECK_EQ(error.at, 13);
    CHECK_STR_EQ(worth("@c.read"),
                 "!expected '(' and arguments behind the method, but the line ends here");
    CHECK_STR_EQ(worth("@c.read("), "!expected ')', but the line ends here");
}

TEST(expression_refused, "what is no expression is refused where it goes wrong")
{
    CHECK_STR_EQ(worth("1 +"), "!expected a value, but the line ends here");
    CHECK_EQ(error.at, 3);
    CHECK_STR_EQ(worth("(1"), "!expected ')', but the line ends here");
    CHECK_STR_EQ(worth(""), "!expected a value, but the line ends here");
    CHECK_STR_EQ(worth("[{a: 1, b: 2, a: 3}]"), "!a is there twice");
    CHECK_EQ(error.at, 14);
    CHECK_STR_EQ(worth("{a: {b: 1}, b: 2}"), "{a: {b: 1}, b: 2}");
    char deep[256] = {0};
    memset(deep, '(', 100);
    CHECK_STR_EQ(worth(deep), "!expressions nest at most 24 deep");
    memset(deep, '-', 100);
    CHECK_STR_EQ(worth(deep), "!expressions nest at most 24 deep");
}

TEST(variables,
     "variables hold copies, and their fields and elements are found or the nearest is named")
{
    assign("a", "{list: [1, {x: \"deep\"}], c: @cap}");
    assign("i", "1");
    CHECK_STR_EQ(worth("$a.list[0]"), "1");
    CHECK_STR_EQ(worth("$a.list[$i].x"), "\"deep\"");
    CHECK_STR_EQ(worth("[$a.c, $i]"), "[@cap, 1]");
    CHECK_STR_EQ(worth("$a.list[2]"), "!there is no element 2 in a list of 2; the first is [0]");
    CHECK_STR_EQ(worth("$a.lst"), "!no field 'lst' here; the nearest is 'list'");
    CHECK_STR_EQ(worth("$i.x"), "!a number has no field 'x'");
    CHECK_STR_EQ(worth("$i[0]"), "!a number has no elements");
    CHECK_STR_EQ(worth("$b"), "!no variable $b; '$b = ...' makes one");
    CHECK_STR_EQ(worth("$a.list[$q]"), "!no variable $q; '$q = ...' makes one");
    assign("a", "$a.list");
    CHECK_STR_EQ(worth("$a"), "[1, {x: \"deep\"}]");
    forget_all();
}

TEST(variables_bounded, "one variable more than there are is refused and the others stay")
{
    struct variables_error refused;
    struct node value = {.kind = NODE_WORD, .word = {"x", 1}, .source = {"x", 1}};
    char name[16];
    for (unsigned i = 0; i < VARIABLES_MAX; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        CHECK(variables_set(span_of(name), &value, &refused));
    }
    CHECK(!variables_set(span_of("more"), &value, &refused));
    CHECK_STR_EQ(refused.message, "there are at most 64 variables; 'unset $name' frees one");
    CHECK(variables_set(span_of("v3"), &value, &refused));
    CHECK(!variables_set(span_of("a-name-that-is-longer-than-names-are"), &value, &refused));
    forget_all();
}

TEST(variables_hidden, "a parameter hides a variable, which comes back")
{
    assign("x", "1");
    struct node *hidden = variables_hide(span_of("x"));
    CHECK(hidden != NULL);
    assign("x", "2");
    variables_restore(span_of("x"), hidden);
    CHECK_STR_EQ(worth("$x"), "1");
    CHECK(variables_hide(span_of("y")) == NULL);
    assign("y", "2");
    variables_restore(span_of("y"), NULL);
    CHECK(variables_get(span_of("y")) == NULL);
    forget_all();
}

static const char *json(const char *text)
{
    struct evaluation evaluation = {.arena = &arena, .error = &error, .call = answer};
    size_t at = 0;
    arena.used = 0;
    shown_bytes = 0;
    const struct node *value = expression_evaluate(&evaluation, span_of(text), &at);
    CHECK(value != NULL);
    kept_json(&sink, value);
    return shown;
}

TEST(json, "values are JSON")
{
    CHECK_STR_EQ(json("{a: 1, b: [true, -2], c: \"x\\\"\\n\\x01\", d: onFailure, e: @cap, f: void, "
                      "g: 0x00ff}"),
                 "{\"a\": 1, \"b\": [true, -2], \"c\": \"x\\\"\\n\\u0001\", \"d\": \"onFailure\", "
                 "\"e\": \"@cap\", \"f\": null, \"g\": \"0x00ff\"}");
    CHECK_STR_EQ(json("[]"), "[]");
    CHECK_STR_EQ(json("\"\\xff\""), "\"\\u00ff\"");
}

/* ---- statements ---- */

static struct statement statement;

static bool first(const char *text)
{
    struct span rest = span_of(text);
    error = (struct parse_error){0};
    return statement_next(&rest, text, &statement, &error);
}

static bool is(struct span span, const char *text)
{
    return span_is(span, text);
}

TEST(statements_cut,
     "a text is cut at newlines and semicolons outside of brackets and quotation marks")
{
    const char *text = "a; b \";\" (;)\n# c ; d\n  run x with {\n a: @b; }\n\n;e";
    static const char *const wanted[] = {"a", "b \";\" (;)", "run x with {\n a: @b; }", "e"};
    struct span rest = span_of(text);
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        CHECK(statement_next(&rest, text, &statement, &error));
        CHECK_EQ(statement.kind, STATEMENT_COMMAND);
        CHECK(is(statement.text, wanted[i]));
    }
    CHECK(statement_next(&rest, text, &statement, &error));
    CHECK_EQ(statement.kind, STATEMENT_NONE);
}

TEST(statements_of_each_kind, "each kind of statement is known and has its parts")
{
    CHECK(first("if $x > 1 { a } else if $x { b } else { c }; d"));
    CHECK_EQ(statement.kind, STATEMENT_IF);
    CHECK(is(statement.expression, "$x > 1") && is(statement.block, " a "));
    CHECK(is(statement.otherwise, "if $x { b } else { c }"));
    CHECK(first("try { a }\nelse { b }"));
    CHECK(statement.kind == STATEMENT_TRY && is(statement.otherwise, " b "));
    CHECK(first("for $i in [1, 2] { a }"));
    CHECK(statement.kind == STATEMENT_FOR && is(statement.variable, "i") &&
          is(statement.expression, "[1, 2]"));
    CHECK(first("$x = @a.b()"));
    CHECK(statement.kind == STATEMENT_ASSIGN && is(statement.variable, "x") &&
          is(statement.expression, "@a.b()"));
    CHECK(first("$x == 1"));
    CHECK_EQ(statement.kind, STATEMENT_COMMAND);
    CHECK(first("print = @a.b()"));
    CHECK_EQ(statement.kind, STATEMENT_COMMAND);
    CHECK(first("script f($a, $b) { x }"));
    CHECK(statement.kind == STATEMENT_SCRIPT && is(statement.name, "f") &&
          is(statement.expression, "$a, $b") && is(statement.block, " x "));
    CHECK(first("do f(1, \")\")"));
    CHECK(statement.kind == STATEMENT_DO && is(statement.name, "f"));
    CHECK(first("do @tour aloud"));
    CHECK(statement.of_capability && statement.aloud && is(statement.name, "tour"));
    CHECK(first("ask hidden $pw \"word: \""));
    CHECK(statement.hidden && is(statement.variable, "pw") &&
          is(statement.expression, "\"word: \""));
    CHECK(first("watch 500ms @a.b()"));
    CHECK(is(statement.expression, "500ms") && is(statement.block, "@a.b()"));
    CHECK(first("watch ps"));
    CHECK(statement.expression.len == 0 && is(statement.block, "ps"));
}

TEST(statements_refused, "what is no statement is refused where it goes wrong")
{
    static const struct {
        const char *text;
        size_t at;
        const char *message;
    } cases[] = {
        {"if { a }", 3, "expected a condition behind 'if'"},
        {"if true", 7, "expected '{' and what is to be done"},
        {"if true {", 8, "this '{' has no '}'"},
        {"if true { a } b", 14, "expected 'else' and a block, the end of the line or ';'"},
        {"for x in [1] { a }", 4, "expected a variable, as $name"},
        {"for $x [1] { a }", 7, "expected 'in' and a list, as for $x in [1, 2] { ... }"},
        {"else { a }", 5, "'else' stands behind the '}' of an 'if' or a 'try'"},
        {"sleep", 5, "expected how long, as 2s"},
        {"unset x", 6, "expected a variable, as $name"},
        {"do", 2, "expected a script's name, or a capability as @name"},
        {"$x =", 4, "expected a value behind the '='"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CHECK(!first(cases[i].text));
        CHECK_STR_EQ(error.message, cases[i].message);
        CHECK_EQ(error.at, cases[i].at);
    }
}

TEST(statements_open, "a text with an open brace goes on in the next line")
{
    CHECK(statement_is_open("if true {", 9));
    CHECK(!statement_is_open("if true { \"}\" }", 15));
    CHECK(statement_is_open("for $x in [1] { # }", 19));
}

TEST(parameters, "the parameters of a script are told apart")
{
    struct span rest = span_of("$a, $b");
    struct span name;
    bool bad;
    CHECK(statement_parameter(&rest, &name, &bad) && is(name, "a"));
    CHECK(statement_parameter(&rest, &name, &bad) && is(name, "b"));
    CHECK(!statement_parameter(&rest, &name, &bad) && !bad);
    rest = span_of("$a b");
    CHECK(!statement_parameter(&rest, &name, &bad) && bad);
}

TEST(script_checked, "a mistake anywhere in a script is told with its place, and none of it needs "
                     "to be done for that")
{
    static struct command command;
    struct script_memory memory = {&command, &arena};
    static const struct {
        const char *text;
        size_t at;
        const char *message;
    } cases[] = {
        {"caps\nif true { caps; @a. }", 24,
         "expected the name of a method behind the '.', but the line ends here"},
        {"for $x in [1] { break }; break", 25,
         "'break' stands in the block of a for, while or repeat"},
        {"while true { script f() { break } }", 26,
         "'break' stands in the block of a for, while or repeat"},
        {"print 1, 2 3", 11, "expected ',' or the end, found 3"},
        {"$x = 1 2", 7, "expected the end of this expression, found 2"},
        {"do f 1", 5, "what a script is given stands in brackets, as do f(1)"},
        {"script f($a $b) { }", 9, "a script's parameters are variables, as script f($a, $b)"},
        {"if $nothing.is.there { @nobody.has(this=1) } else { print $none[9] }", 0, ""},
    };
    arena.used = 0;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        bool good = script_check(span_of(cases[i].text), &memory, &error);
        CHECK_EQ(good, cases[i].message[0] == 0);
        CHECK_STR_EQ(error.message, cases[i].message);
        CHECK_EQ(error.at, cases[i].at);
        CHECK_EQ(arena.used, 0);
    }
    char deep[200] = {0};
    for (unsigned i = 0; i < 14; i++) {
        strcat(deep, "try { ");
    }
    for (unsigned i = 0; i < 14; i++) {
        strcat(deep, "}");
    }
    CHECK(!script_check(span_of(deep), &memory, &error));
    CHECK_STR_EQ(error.message, "blocks nest at most 12 deep");
}
