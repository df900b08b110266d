/* SPDX-License-Identifier: MIT */
/* The canonical form: what it makes of equal contents, what is told from it, and the stock tool's. */
#include "tests/unit/test.h"

#include "lib/capnp/canonical.h"
#include "tests/unit/codec_wire.h"

static uint64_t made[512];
static size_t made_bytes;

/* The canonical form of a bare message of these words; each buffer ends where it ends. */
static enum capnp_status canonical_in(size_t room, const uint64_t *words, size_t count)
{
    void *copy = wire_copy(words, count * 8);
    struct capnp_segment one = {copy, count * 8};
    uint8_t *out = malloc(room > 0 ? room : 1);
    enum capnp_status status = capnp_canonical(&one, 1, out, room, &made_bytes);
    CHECK(status == CAPNP_OK || made_bytes == 0);
    memcpy(made, out, made_bytes);
    free(out);
    free(copy);
    return status;
}

static enum capnp_status check_words(const uint64_t *words, size_t count)
{
    void *copy = wire_copy(words, count * 8);
    enum capnp_status status = capnp_check_canonical(copy, count * 8, CAPNP_DEPTH);
    free(copy);
    return status;
}

#define CANONICAL(...) \
    canonical_in(sizeof(made), (const uint64_t[]){__VA_ARGS__}, \
                 sizeof((const uint64_t[]){__VA_ARGS__}) / 8)
#define IS_CANONICAL(...) \
    check_words((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8)

/* What was made is these words; they are canonical, and their own canonical form. */
static void is_made(const uint64_t *wanted, size_t count)
{
    uint64_t again[ARRAY_COUNT(made)];
    size_t again_bytes;
    struct capnp_segment one = {made, made_bytes};
    struct capnp_limits limits = {1000, CAPNP_DEPTH};
    REQUIRE_EQ(made_bytes, count * 8);
    CHECK_MEM_EQ(made, wanted, made_bytes);
    CHECK_EQ(check_words(made, count), CAPNP_OK);
    CHECK_EQ(capnp_canonical_limited(&one, 1, &limits, again, sizeof(again), &again_bytes),
             CAPNP_OK);
    REQUIRE_EQ(again_bytes, made_bytes);
    CHECK_MEM_EQ(again, wanted, again_bytes);
}

#define MADE(...) \
    is_made((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8)

TEST(canonical_empty, "a root that is all defaults has one form, an empty message's too")
{
    uint64_t out[2];
    CHECK_EQ(capnp_canonical(NULL, 0, out, sizeof(out), &made_bytes), CAPNP_OK);
    CHECK_EQ(made_bytes, 8);
    CHECK_EQ(out[0], wire_struct(-1, 0, 0));
    CHECK_EQ(CANONICAL(0), CAPNP_OK);
    MADE(wire_struct(-1, 0, 0));
    CHECK_EQ(CANONICAL(wire_struct(0, 2, 2), 0, 0, 0, 0), CAPNP_OK);
    MADE(wire_struct(-1, 0, 0));
    CHECK_EQ(check_words(NULL, 0), CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(0), CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 0)), CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 2, 2), 0, 0, 0, 0), CAPNP_NOT_CANONICAL);
    CHECK_EQ(canonical_in(7, out, 0), CAPNP_NO_ROOM);
}

TEST(canonical_sections, "zeros at the end of sections go, others stay")
{
    CHECK_EQ(CANONICAL(wire_struct(1, 3, 3), 99, 0, 5, 0, 0, wire_struct(1, 1, 0), 0, 6), CAPNP_OK);
    MADE(wire_struct(0, 2, 2), 0, 5, 0, wire_struct(0, 1, 0), 6);
    /* A struct without sections is there; a null pointer is not. */
    CHECK_EQ(CANONICAL(wire_struct(0, 0, 2), wire_struct(1, 1, 0), 0, 0), CAPNP_OK);
    MADE(wire_struct(0, 0, 1), wire_struct(-1, 0, 0));
}

TEST(canonical_struct_lists, "structs of a list keep what the longest of them needs")
{
    CHECK_EQ(CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 10), wire_tag(2, 3, 2), 1,
                       0, 0, 0, 0, 0, 2, 0, wire_struct(-1, 0, 0), 0),
             CAPNP_OK);
    MADE(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 6), wire_tag(2, 2, 1), 1, 0, 0, 0, 2,
         wire_struct(-1, 0, 0));
    /* All defaults: a count, no words. Words behind the last struct go. */
    CHECK_EQ(CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 5), wire_tag(2, 1, 1), 0,
                       0, 0, 0, 99),
             CAPNP_OK);
    MADE(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 0), wire_tag(2, 0, 0));
    CHECK_EQ(CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 0), wire_tag(0, 3, 1)),
             CAPNP_OK);
    MADE(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 0), wire_tag(0, 0, 0));
}

TEST(canonical_many_defaults, "a count of many default structs is read within larger limits")
{
    uint64_t message[4 + 200] = {wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, 200),
                                 wire_tag(200, 1, 0)};
    CHECK_EQ(canonical_in(sizeof(made), message, ARRAY_COUNT(message)), CAPNP_OK);
    MADE(wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, 0), wire_tag(200, 0, 0));
    struct capnp_struct chain;
    CHECK_EQ(capnp_read(made, made_bytes, &TestChain_type, &chain), CAPNP_TOO_MUCH);
    struct capnp_limits limits = capnp_default_limits(sizeof(message));
    CHECK_EQ(capnp_read_limited(made, made_bytes, &TestChain_type, &limits, &chain), CAPNP_OK);
    CHECK_EQ(capnp_list_len(capnp_get_list(chain, 1, NULL)), 200);
}

TEST(canonical_refused, "a list as root and what cannot be gathered have no canonical form")
{
    CHECK_EQ(CANONICAL(wire_list(0, WIRE_BYTE, 1), 5), CAPNP_BAD_KIND);
    CHECK_EQ(CANONICAL(wire_struct(0, 0, 1), wire_capability(0)), CAPNP_BAD_POINTER);
    CHECK_EQ(CANONICAL(wire_struct(0, 2, 0), 5), CAPNP_OUT_OF_BOUNDS);
    struct capnp_segment odd = {made, 12};
    CHECK_EQ(capnp_canonical(&odd, 1, made, sizeof(made), &made_bytes), CAPNP_BAD_LENGTH);
    const uint64_t two[] = {wire_struct(0, 1, 0), 5};
    CHECK_EQ(canonical_in(15, two, 2), CAPNP_NO_ROOM);
    CHECK_EQ(canonical_in(16, two, 2), CAPNP_OK);
}

TEST(canonical_limits, "the source pays, not what is left of it")
{
    uint64_t zeros[101] = {wire_struct(0, 100, 0)};
    struct capnp_segment one = {zeros, sizeof(zeros)};
    struct capnp_limits limits = {99, 1};
    CHECK_EQ(capnp_canonical_limited(&one, 1, &limits, made, sizeof(made), &made_bytes),
             CAPNP_TOO_MUCH);
    limits.words = 100;
    CHECK_EQ(capnp_canonical_limited(&one, 1, &limits, made, sizeof(made), &made_bytes), CAPNP_OK);
    limits.depth = 0;
    CHECK_EQ(capnp_canonical_limited(&one, 1, &limits, made, sizeof(made), &made_bytes),
             CAPNP_TOO_DEEP);
}

/* ---- Telling it ---- */

TEST(told_order, "objects that lie elsewhere than at the head are told")
{
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 1, 1), 1, wire_struct(0, 1, 0), 2), CAPNP_OK);
    /* A gap, the wrong order, one object named twice, one that is left over. */
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 1, 1), 1, wire_struct(1, 1, 0), 0, 2),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 2), wire_struct(2, 1, 0), wire_struct(0, 1, 0), 1, 2),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 2), wire_struct(1, 1, 0), wire_struct(0, 1, 0), 1),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 2), wire_struct(1, 1, 0), wire_struct(0, 1, 0), 1, 2),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 2), wire_struct(2, 1, 0), wire_struct(1, 1, 0), 1, 2),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 1, 0), 1, 0), CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(1, 0, 0)), CAPNP_NOT_CANONICAL);
    /* A list of structs, whose pointers' objects lie behind all of them. */
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 4), wire_tag(2, 1, 1),
                          1, wire_struct(2, 1, 0), 2, wire_struct(1, 1, 0), 3, 4),
             CAPNP_OK);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 4), wire_tag(2, 1, 1),
                          1, wire_struct(3, 1, 0), 2, wire_struct(0, 1, 0), 3, 4),
             CAPNP_NOT_CANONICAL);
}

TEST(told_zeros, "sections that end in zeros, and bits behind a list, are told")
{
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 2, 0), 1, 0), CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 1, 1), 1, 0), CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 2), wire_tag(2, 1, 0),
                          0, 0),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 2), wire_tag(2, 1, 0),
                          0, 1),
             CAPNP_OK);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 2), wire_tag(1, 1, 1),
                          1, 0),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 0), wire_tag(0, 1, 0)),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_BIT, 3), 7), CAPNP_OK);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_BIT, 3), 15),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_BYTE, 9), 1,
                          UINT64_C(0x0100000000000001)),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_EIGHT, 1), 0), CAPNP_OK);
}

TEST(told_malformed, "what is malformed or not one segment is not canonical, and never left")
{
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 2, 0), 1), CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_EIGHT, 2), 1),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 0)),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(
        IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 1), wire_tag(2, 1, 0), 1),
        CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 2), wire_tag(1, 1, 0),
                          1, 0),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 1),
                          wire_tag(1, 1, 0) | 1, 1),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_capability(0)), CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_far(2, 0, false), wire_struct(-1, 0, 0)),
             CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_list(0, WIRE_BYTE, 1), 5), CAPNP_NOT_CANONICAL);
    CHECK_EQ(IS_CANONICAL(wire_struct(0, 0, 1), wire_struct(-1, 0, 1)), CAPNP_NOT_CANONICAL);
    const uint64_t good[] = {wire_struct(-1, 0, 0), 0};
    CHECK_EQ(capnp_check_canonical(good, 8, CAPNP_DEPTH), CAPNP_OK);
    CHECK_EQ(capnp_check_canonical(good, 12, CAPNP_DEPTH), CAPNP_NOT_CANONICAL);
}

TEST(told_deep, "pointers nested deeper than asked for are told apart")
{
    uint64_t chain[40];
    for (int i = 0; i < 40; i++) {
        chain[i] = i < 39 ? wire_struct(0, 0, 1) : wire_struct(-1, 0, 0);
    }
    CHECK_EQ(capnp_check_canonical(chain, sizeof(chain), 39), CAPNP_TOO_DEEP);
    CHECK_EQ(capnp_check_canonical(chain, sizeof(chain), 40), CAPNP_OK);
    /* Beside each other they do not add up. */
    const uint64_t wide[] = {wire_struct(0, 0, 3), wire_struct(-1, 0, 0), wire_struct(-1, 0, 0),
                             wire_struct(-1, 0, 0)};
    CHECK_EQ(capnp_check_canonical(wide, sizeof(wide), 2), CAPNP_OK);
}

/* ---- The stock tool ---- */

static size_t convert(const char *to, const char *text, uint64_t *out, size_t room)
{
    char line[512];
    snprintf(line, sizeof(line),
             "echo '%s' | capnp convert text:%s -Ischema tests/unit/codec_types.capnp TestAll",
             text, to);
    FILE *pipe = popen(line, "r");
    size_t got = pipe != NULL ? fread(out, 1, room, pipe) : 0;
    CHECK(pipe != NULL && pclose(pipe) == 0);
    return got;
}

TEST(stock_canonical, "of what the stock tool encodes we make what it makes")
{
    static const char *const texts[] = {
        "()",
        "(int32 = -77, text = \"abc\")",
        "(bools = [true, false, true], int64s = [-1, 2], texts = [\"x\", \"\"])",
        "(children = [(int8 = 1), (), (text = \"in\")], matrix = [[1, 2], [], [3]])",
        "(children = [(), ()], tables = [[(x = 1, y = -1)], []], voids = [void, void])",
        "(child = (child = (child = ())), choice = (inner = (label = \"l\", deep = (b = \"z\"))))",
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        uint64_t flat[512];
        uint64_t wanted[512];
        size_t flat_bytes = convert("flat", texts[i], flat, sizeof(flat));
        size_t wanted_bytes = convert("canonical", texts[i], wanted, sizeof(wanted));
        REQUIRE_EQ(canonical_in(sizeof(made), flat, flat_bytes / 8), CAPNP_OK);
        REQUIRE_EQ(made_bytes, wanted_bytes);
        CHECK_MEM_EQ(made, wanted, made_bytes);
        CHECK_EQ(check_words(made, made_bytes / 8), CAPNP_OK);
    }
}
