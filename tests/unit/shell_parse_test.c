/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "apps/shell/nearest.h"
#include "apps/shell/parse.h"

static struct command command;
static struct parse_error error;
static char kept[1 << 16];

static bool parse(const char *line)
{
    /* A copy of exactly that size: a look past the end is an error of the sanitizer's. */
    size_t len = strlen(line);
    static char *copy;
    free(copy);
    copy = malloc(len + 1);
    memcpy(copy, line, len);
    copy[len] = '"';
    return parse_line(copy, len, &command, &error);
}

static void check_message(const char *line, size_t at, const char *wanted)
{
    CHECK(!parse(line));
    CHECK_STR_EQ(error.message, wanted);
    CHECK_EQ(error.at, at);
}

static const char *str(struct span span)
{
    snprintf(kept, sizeof(kept), "%.*s", SPAN_ARGS(span));
    return kept;
}

TEST(parse_words, "plain commands are known by their word")
{
    static const struct {
        const char *line;
        enum verb verb;
    } table[] = {
        {"", VERB_NONE},
        {"  # a remark", VERB_NONE},
        {"caps", VERB_CAPS},
        {"help", VERB_HELP},
        {"?", VERB_HELP},
        {" ps ", VERB_PS},
        {"exit", VERB_EXIT},
        {"clear", VERB_CLEAR},
        {"drop @x", VERB_DROP},
        {"kill @process1", VERB_KILL},
        {"wait @p", VERB_WAIT},
        {"signal @n 3", VERB_SIGNAL},
        {"history", VERB_HISTORY},
        {"@timer", VERB_SHOW},
        {"usage", VERB_USAGE},
        {"usage @p", VERB_USAGE},
        {"revoke @lent", VERB_REVOKE},
        {"why @lent", VERB_WHY},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        CHECK(parse(table[i].line));
        CHECK_EQ(command.verb, table[i].verb);
    }
}

TEST(parse_row, "calls stand in a row, each on the answer of the one before or on a field of it")
{
    REQUIRE(parse("x = @fs.open(\"a\").file.part(from=3).read(0, 100)"));
    CHECK_EQ(command.verb, VERB_CALL);
    CHECK_STR_EQ(str(command.assign), "x");
    CHECK_STR_EQ(str(command.cap), "fs");
    CHECK_STR_EQ(str(command.method), "open");
    REQUIRE(command.args != NULL && command.args->next == NULL);
    REQUIRE(command.step_count == 2);
    CHECK_STR_EQ(str(command.steps[0].via), "file");
    CHECK_STR_EQ(str(command.steps[0].method), "part");
    CHECK_STR_EQ(str(command.steps[0].args->label), "from");
    CHECK_EQ(command.steps[1].via.len, 0);
    CHECK_STR_EQ(str(command.steps[1].method), "read");
    REQUIRE(command.steps[1].args != NULL && command.steps[1].args->next != NULL);
    CHECK_EQ(command.steps[1].args->next->magnitude, 100);
    REQUIRE(parse("call @c.child(name=\"a\").read()"));
    CHECK_EQ(command.step_count, 1);
    REQUIRE(parse("@c.read()"));
    CHECK_EQ(command.step_count, 0);
    REQUIRE(parse("@c.a().b().c().d().e().f().g().h()"));
    CHECK_EQ(command.step_count, 7);
    check_message("@c.a().b().c().d().e().f().g().h().i()", 35, "at most 8 calls in a row");
    check_message("@c.a().b().c().d().e().f().g().h().;", 35, "';' has no meaning here");
    check_message("@c.a().", 7,
                  "expected a method to call on the answer behind the '.', but the line ends here");
    check_message("@c.a().b", 8,
                  "expected '(' and arguments, as .method(field=value), but the line ends here");
    check_message("@c.a().b.c.d()", 10,
                  "expected '(' and arguments, as .method(field=value), found .");
    check_message("@c.a()b()", 6, "expected the end of the line, found b");
}

TEST(parse_derive, "derive takes a capability, a name, methods, and a time")
{
    REQUIRE(parse("derive @counter as lent read increment for 5min"));
    CHECK_EQ(command.verb, VERB_DERIVE);
    CHECK_STR_EQ(str(command.cap), "counter");
    CHECK_STR_EQ(str(command.as), "lent");
    REQUIRE(command.args != NULL && command.args->next != NULL);
    CHECK_STR_EQ(str(command.args->word), "read");
    CHECK_STR_EQ(str(command.args->next->word), "increment");
    CHECK(command.args->next->next == NULL);
    REQUIRE(command.lasts != NULL);
    CHECK_EQ(command.lasts->magnitude, 5);
    CHECK_STR_EQ(str(command.lasts->unit), "min");
    REQUIRE(parse("derive @counter as for"));
    CHECK_STR_EQ(str(command.as), "for");
    CHECK(command.args == NULL && command.lasts == NULL);
    check_message("derive @counter lent", 16,
                  "expected 'as' and a name, as derive @timer as clock, found lent; 'help derive' "
                  "tells how it is written");
    check_message("derive @counter as", 18,
                  "expected a name for the new capability behind 'as', without @, but the line "
                  "ends here; 'help derive' tells how it is written");
    check_message("derive @counter as x for ever", 25,
                  "expected a time behind 'for', as 30s or 5min, found ever; 'help derive' tells "
                  "how it is written");
    check_message("derive @counter as x 5", 21,
                  "expected names of methods, or 'for' and a time, found 5; 'help derive' tells "
                  "how it is written");
    check_message("derive @counter as x for 5s y", 28,
                  "expected names of methods, or 'for' and a time, found y; 'help derive' tells "
                  "how it is written");
    CHECK(!parse("derive @counter as x read=1"));
    CHECK(!parse("derive counter as x"));
}

TEST(parse_calls, "a call is read in its long and its short form")
{
    REQUIRE(parse("call @timer.sleep untilNs=5_000 other: 0xff"));
    CHECK_EQ(command.verb, VERB_CALL);
    CHECK_STR_EQ(str(command.cap), "timer");
    CHECK_STR_EQ(str(command.method), "sleep");
    CHECK_STR_EQ(str(command.args->label), "untilNs");
    CHECK_EQ(command.args->magnitude, 5000);
    CHECK_EQ(command.args->next->magnitude, 255);
    CHECK_STR_EQ(str(command.args->next->digits), "ff");
    REQUIRE(parse(
        "x = @a-b.c(1, -2, name=\"q\\n\\x41\\u{20ac}\", l=[1,[true]], s={a: move @k, b: {}}, @z)"));
    CHECK_STR_EQ(str(command.assign), "x");
    CHECK_STR_EQ(str(command.cap), "a-b");
    struct node *arg = command.args;
    CHECK_EQ(arg->label.len, 0);
    arg = arg->next;
    CHECK(arg->negative && arg->magnitude == 2);
    arg = arg->next;
    CHECK_EQ(arg->text.len, 6);
    CHECK_MEM_EQ(arg->text.ptr, "q\nA\xe2\x82\xac", 6);
    arg = arg->next;
    CHECK(arg->kind == NODE_LIST && arg->child->next->child->kind == NODE_WORD);
    arg = arg->next;
    CHECK(arg->kind == NODE_STRUCT && arg->child->kind == NODE_CAP && arg->child->move);
    CHECK_STR_EQ(str(arg->child->label), "a");
    CHECK_STR_EQ(str(arg->source), "{a: move @k, b: {}}");
    arg = arg->next;
    CHECK(arg->kind == NODE_CAP && !arg->move && arg->next == NULL);
    CHECK(parse("@a.b()") && command.verb == VERB_CALL && command.args == NULL);
    CHECK(parse("@a.b") && command.verb == VERB_SHOW);
    CHECK(parse("call @a.b(5s)") && span_is(command.args->unit, "s"));
    CHECK(parse("p = spawn hello") && command.verb == VERB_SPAWN);
    CHECK(parse("move = call @a.b move=move") && span_is(command.args->word, "move"));
}

TEST(parse_run, "grants are read with their mode and facet")
{
    REQUIRE(parse("run hello as greeter with { timer: @timer, room: @chat as ChatClient, move log: "
                  "@log, x: move @y }"));
    CHECK_EQ(command.verb, VERB_RUN);
    CHECK_STR_EQ(str(command.as), "greeter");
    CHECK_EQ(command.grant_count, 4);
    CHECK_STR_EQ(str(command.grants[1].interface), "ChatClient");
    CHECK_STR_EQ(str(command.grants[1].cap), "chat");
    CHECK(!command.grants[1].mode_given);
    CHECK(command.grants[2].move && span_is(command.grants[2].name, "log"));
    CHECK(command.grants[3].move);
    CHECK(parse("spawn \"counter-client\" with {}"));
    CHECK_EQ(command.grant_count, 0);
    CHECK(command.with_given && !command.recordable);
    CHECK(parse("spawn hello as x recordable with {}"));
    CHECK(command.recordable && command.with_given);
    CHECK(parse("run hello"));
    CHECK(!command.recordable);
    CHECK(parse("run counter-client with { move: @a }"));
    CHECK_STR_EQ(str(command.grants[0].name), "move");
}

TEST(parse_messages, "a mistake is told where it is and what was expected")
{
    check_message("cpas", 0,
                  "no command 'cpas'; the nearest is 'caps'; 'run cpas' starts a program");
    check_message("hello", 0,
                  "no command 'hello'; the nearest is 'help'; 'run hello' starts a program");
    check_message("counter.read()", 0,
                  "no command 'counter'; a capability begins with @: @counter.");
    check_message("frobnicate", 0,
                  "no command 'frobnicate'; 'help' lists them, 'run frobnicate' starts a program");
    check_message("call", 4,
                  "expected a capability, as @name, but the line ends here; 'help call' tells how "
                  "it is written");
    check_message(
        "call timer.now", 5,
        "expected a capability, as @name, found timer; 'help call' tells how it is written");
    check_message("call @timer", 11,
                  "expected a method, as @name.method, but the line ends here; 'help call' tells "
                  "how it is written");
    check_message("@timer.sleep(untilNs=)", 21, "expected a value, found )");
    check_message("@timer.sleep(1 2)", 15, "expected ',' or ')', found 2");
    check_message("@a.b(\"x)", 5, "this text has no closing quotation mark");
    check_message("@a.b(\"\\q\")", 7,
                  "unknown escape: \\n \\t \\r \\0 \\\\ \\\" \\xHH and \\u{HEX} exist");
    check_message("@a.b(99999999999999999999)", 5, "this number does not fit 64 bits");
    check_message("@a.b(0x)", 7, "expected hexadecimal digits (0-9, a-f) behind 0x");
    check_message("@a.b(0x1g)", 8, "expected hexadecimal digits (0-9, a-f) behind 0x");
    check_message("@a.b({1})", 6, "expected a field, as name: value, found 1");
    check_message("@a.b(\xc3\xa4)", 5, "letters beyond a-z stand in quoted text only");
    check_message("run", 3,
                  "expected the name of a program, but the line ends here; 'help run' tells how it "
                  "is written");
    check_message("run hello timer", 10,
                  "expected 'as', 'recordable', 'with' or the end of the line, found timer; 'help "
                  "run' tells how it is written");
    check_message("run hello with { timer }", 23,
                  "expected ':' and a capability, as name: @capability, found }; 'help run' tells "
                  "how it is written");
    check_message("@ timer", 2, "expected a name right behind the @, found timer");
    check_message("@timer.now x", 11,
                  "expected '(' and arguments, as @name.method(field=value), found x");
    check_message("x = 5", 4,
                  "expected a call, spawn or debug behind '=' ($NAME = keeps a value), found 5");
    check_message(
        "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", 0,
        "no command 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn'; 'help' "
        "lists them, 'run nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn' "
        "starts a program");
    check_message("x = @counter", 12,
                  "expected '.' and a method to call behind '=', but the line ends here");
    check_message(
        "@counter(1)", 8,
        "expected '.' and a method before the '(', as @name.method(field=value), found (");
    check_message("@x = @counter.read()", 3,
                  "a name to give is written without @: x = @name.method(...)");
    check_message("@x.y = @counter.read()", 5,
                  "expected '(' and arguments, as @name.method(field=value), found =");
    check_message("9x = @counter.read()", 0,
                  "expected a command or a capability, whose names begin with a letter, found 9x");
    check_message("@timer.now(", 11, "expected a parameter or ')', but the line ends here");
    check_message("@a.b(1,", 7, "expected a parameter or ')', but the line ends here");
    check_message("@a.b('x')", 5, "text stands between \"double\" quotation marks");
    check_message("caps; ps", 4, "';' has no meaning here");
}

TEST(parse_habits, "what is meant by a word, a sign or a number of elsewhere is told")
{
    check_message("ls", 0, "no command 'ls'; what you mean may be 'caps'");
    check_message("cd ..", 0, "no command 'cd'; 'help' lists them, 'run cd' starts a program");
    check_message("f(1)", 0,
                  "no command 'f'; 'do f(...)' does a script, 'run f' starts a program, "
                  "@name.method(...) calls");
    check_message("run = @a.b()", 0, "'run' is a command; give another name, as my-run = ...");
    check_message("@timer now", 7,
                  "expected '.' and a method, as @name.method(field=value), found now");
    check_message("@a.b(by 5)", 8,
                  "expected '=' and a value behind the name of a parameter, ',' or ')', found 5");
    check_message("@a.b(5 s)", 7,
                  "expected ',' or ')' (a unit stands right behind its number, as 5s), found s");
    check_message("@a.b(1.5)", 6, "numbers are whole: 1500ms is what 1.5s would be");
    check_message("@a.b(1e3)", 6, "a number is digits, and perhaps a unit behind them, as 5s");
    check_message("@a.b(\xe2\x80\x9cx)", 5, "text stands between \"double\" quotation marks");
    check_message("@a.b(\xe2\x80", 5, "letters beyond a-z stand in quoted text only");
    check_message(
        "@a.b(1+1)", 6,
        "'+' has no meaning here; 'print', '$x =' and 'if' work things out, as $x = 1 + 2");
    check_message(
        "run hello &", 10,
        "'&' has no meaning here; 'spawn' starts a program in the background, 'and' means both");
    check_message("$x == 5", 3,
                  "expected the end of the line ('print' works out what follows it), found =");
}

TEST(parse_bounds, "no line, however deep, long or broken, gets past a bound")
{
    char line[PARSE_MAX_LINE + 16];
    memset(line, '[', sizeof(line));
    memcpy(line, "@a.b(", 5);
    line[1000] = 0;
    CHECK(!parse(line));
    CHECK_STR_EQ(error.message, "values nest at most 12 deep");
    strcpy(line, "@a.b(");
    for (int i = 0; i < 300; i++) {
        strcat(line, "1,");
    }
    CHECK(!parse(line));
    CHECK_STR_EQ(error.message, "a line holds at most 256 values");
    memset(line, 'a', PARSE_MAX_LINE + 1);
    line[PARSE_MAX_LINE + 1] = 0;
    CHECK(!parse(line));
    CHECK_STR_EQ(error.message, "a line holds at most 4096 bytes");
    strcpy(line, "run x with {");
    for (int i = 0; i < 40; i++) {
        strcat(line, "a:@b,");
    }
    CHECK(!parse(line));
    CHECK_STR_EQ(error.message, "a program takes at most 15 grants here");
    strcpy(line, "run x with {");
    for (int i = 0; i < 15; i++) {
        strcat(line, "a:@b,");
    }
    strcat(line, ";");
    check_message(line, strlen(line) - 1, "';' has no meaning here");
}

TEST(parse_storm, "random lines parse or are refused, and a refusal has a message inside the line")
{
    static const char alphabet[] = "@@..((){{}}[]::==,, \"\\x0123abcmovecallrunwith-#\xff\x01";
    uint32_t state = 99;
    for (int round = 0; round < 100000; round++) {
        char line[64];
        size_t len = 0;
        state = state * 1664525u + 1013904223u;
        size_t wanted = (state >> 16) % sizeof(line);
        while (len + 1 < wanted) {
            state = state * 1664525u + 1013904223u;
            line[len++] = alphabet[(state >> 20) % (sizeof(alphabet) - 1)];
        }
        line[len] = 0;
        if (!parse(line)) {
            if (error.message[0] == 0 || error.at > len) {
                FAIL(line);
                return;
            }
        }
    }
}

TEST(nearest, "the nearest name is found, and nothing is suggested when nothing is near")
{
    static const char *const names[] = {"timer", "terminal", "log", "launcher", "memory", NULL};
    struct span word = {"tiemr", 5};
    CHECK_STR_EQ(nearest_word(word, names), "timer");
    word = (struct span){"LOG", 3};
    CHECK_STR_EQ(nearest_word(word, names), "log");
    word = (struct span){"mem", 3};
    CHECK_STR_EQ(nearest_word(word, names), "memory");
    word = (struct span){"imer", 4};
    CHECK_STR_EQ(nearest_word(word, names), "timer");
    word = (struct span){"lauchers", 8};
    CHECK_STR_EQ(nearest_word(word, names), "launcher");
    word = (struct span){"haunchre", 8}; /* as far, but it begins otherwise */
    CHECK_PTR_EQ(nearest_word(word, (const char *const[]){"launches", NULL}), NULL);
    word = (struct span){"zebra", 5};
    CHECK_PTR_EQ(nearest_word(word, names), NULL);
    word = (struct span){"", 0};
    CHECK_PTR_EQ(nearest_word(word, names), NULL);
}
