/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "apps/shell/candidates.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

static struct candidates all;

static void offer(const char *name)
{
    candidates_offer(&all, name, strlen(name));
}

TEST(candidates,
     "only what begins with the word typed is taken, once, and what all have in common is known")
{
    candidates_begin(&all, (struct span){"co", 2});
    offer("counter");
    offer("control");
    offer("caps");
    offer("counter");
    CHECK_EQ(all.count, 2);
    CHECK_EQ(all.common, 2);
    offer("c");
    CHECK_EQ(all.count, 2);
    char long_name[CANDIDATE_BYTES + 1];
    memset(long_name, 'c', sizeof(long_name));
    long_name[1] = 'o';
    candidates_offer(&all, long_name, CANDIDATE_BYTES);
    CHECK_EQ(all.count, 2);
}

TEST(candidates_bounded, "more than there is room for are left out, and that is known")
{
    char name[16];
    candidates_begin(&all, (struct span){"", 0});
    for (unsigned i = 0; i < CANDIDATES_MAX + 1; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        offer(name);
    }
    CHECK_EQ(all.count, CANDIDATES_MAX);
    CHECK(all.more);
}

TEST(places, "what the cursor stands behind says what can be there")
{
    static const struct {
        const char *line;
        enum place_kind kind;
        const char *fragment;
        const char *before;
        const char *parameter;
    } cases[] = {
        {"", PLACE_WORD, "", "", ""},
        {"ca", PLACE_WORD, "ca", "", ""},
        {"run he", PLACE_WORD, "he", "run ", ""},
        {"ps; he", PLACE_WORD, "he", " ", ""},
        {"if true { he", PLACE_WORD, "he", " ", ""},
        {"@cou", PLACE_CAP, "cou", "", ""},
        {"run x with { a: @t", PLACE_CAP, "t", "", ""},
        {"$va", PLACE_VARIABLE, "va", "", ""},
        {"$va.fi", PLACE_MEMBER, "fi", "$va", ""},
        {"$va.a[0].fi", PLACE_MEMBER, "fi", "$va.a[0]", ""},
        {"@c.inc", PLACE_MEMBER, "inc", "@c", ""},
        {"time @c.child(name=\"a.b(\").re", PLACE_MEMBER, "re", "@c.child(name=\"a.b(\")", ""},
        {"@c.increment(b", PLACE_PARAMETER, "b", "@c.increment", ""},
        {"@c.f(a=1, b", PLACE_PARAMETER, "b", "@c.f", ""},
        {"@c.f(a=tr", PLACE_VALUE, "tr", "@c.f", "a"},
        {"@c.f(a = ", PLACE_VALUE, "", "@c.f", "a"},
        {"@c.f(a=\"x", PLACE_NOWHERE, "", "", ""},
        {"ps # @c", PLACE_NOWHERE, "", "", ""},
        {"x.y", PLACE_NOWHERE, "y", "", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        size_t len = strlen(cases[i].line);
        struct place place = candidates_place(cases[i].line, len);
        CHECK_EQ(place.kind, cases[i].kind);
        CHECK(str_equals(cases[i].line + place.at, len - place.at, cases[i].fragment));
        CHECK(str_equals(place.before.ptr, place.before.len, cases[i].before));
        CHECK(str_equals(place.parameter.ptr, place.parameter.len, cases[i].parameter));
    }
}

TEST(chains, "the parts of a chain of calls are told apart")
{
    struct span chain = {"@c.child(name=\"a\").field.read(x)", 32};
    static const char *const names[] = {"c", "child", "field", "read"};
    struct chain_part part;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        CHECK(candidates_next_part(&chain, &part));
        CHECK(span_is(part.name, names[i]));
        CHECK_EQ(part.called, i == 1 || i == 3);
    }
    CHECK(!candidates_next_part(&chain, &part));
}
