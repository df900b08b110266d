/* SPDX-License-Identifier: MIT */
/* Our codec against the stock `capnp` tool, field by field and by name, in both directions; and what
 * the generator refuses, with file and line. Needs `capnp` and build/tools/capnpc-capos; run at the
 * top of the tree, as all unit tests are. */
#include "tests/unit/test.h"

#include "tests/unit/codec_wire.h"

#define SCHEMA "tests/unit/codec_types.capnp"

static uint8_t room[8192];

/* Runs a command with `input` on its standard input; its output (both streams) into out. */
static int run(const char *command, const void *input, size_t input_bytes, char *out, size_t size,
               size_t *got)
{
    char in_path[] = "/tmp/codec-in-XXXXXX";
    char line[1024];
    int fd = mkstemp(in_path);
    if (fd < 0 || write(fd, input, input_bytes) != (ssize_t)input_bytes) {
        return -1;
    }
    close(fd);
    snprintf(line, sizeof(line), "(%s) < %s 2>&1", command, in_path);
    FILE *pipe = popen(line, "r");
    *got = pipe != NULL ? fread(out, 1, size - 1, pipe) : 0;
    out[*got] = '\0';
    int status = pipe != NULL ? pclose(pipe) : -1;
    unlink(in_path);
    return status;
}

static size_t encode(const char *type, const char *text)
{
    char command[256];
    size_t got = 0;
    snprintf(command, sizeof(command), "capnp convert text:flat -Ischema " SCHEMA " %s", type);
    if (run(command, text, strlen(text), (char *)room, sizeof(room), &got) != 0) {
        printf("# %s\n", (char *)room);
        FAIL("capnp convert");
        return 0;
    }
    return got;
}

static const char all_text[] =
    "(bool = true, int8 = -8, int16 = -1600, int32 = -320000, int64 = -5000000000, uint8 = 200, "
    "uint16 = 60000, uint32 = 4000000000, uint64 = 18446744073709551615, float32 = 1.5, "
    "float64 = -2.25, text = \"abc\", data = \"\\x00\\xff\", child = (uint8 = 7), "
    "color = blueGreen, bools = [true, false, true], int64s = [-1, 2], texts = [\"x\", \"yz\"], "
    "children = [(int8 = 1), (text = \"in\")], colors = [green, red], "
    "matrix = [[1, 2], [], [3]], tables = [[(x = 1, y = -1)]], secondBool = true, "
    "pair = (first = \"p\", second = 9), choice = (inner = (label = \"l\", deep = (b = \"z\"))))";

TEST(stock_to_ours, "what the stock tool encodes by name reads as the same values")
{
    TestAll_r r;
    size_t len = encode("TestAll", all_text);
    REQUIRE_EQ(TestAll_read(room, len, &r), CAPNP_OK);
    CHECK(TestAll_get_bool(r) && TestAll_get_second_bool(r));
    CHECK_EQ(TestAll_get_int8(r), -8);
    CHECK_EQ(TestAll_get_int16(r), -1600);
    CHECK_EQ(TestAll_get_int32(r), -320000);
    CHECK_EQ(TestAll_get_int64(r), INT64_C(-5000000000));
    CHECK_EQ(TestAll_get_uint8(r), 200);
    CHECK_EQ(TestAll_get_uint16(r), 60000);
    CHECK_EQ(TestAll_get_uint32(r), UINT32_C(4000000000));
    CHECK_EQ(TestAll_get_uint64(r), UINT64_MAX);
    CHECK(TestAll_get_float32(r) == 1.5f && TestAll_get_float64(r) == -2.25);
    CHECK(capnp_text_is(TestAll_get_text(r), "abc"));
    CHECK_EQ(TestAll_get_data(r).len, 2);
    CHECK_EQ(TestAll_get_uint8(TestAll_get_child(r)), 7);
    CHECK_EQ(TestAll_get_color(r), TEST_COLOR_BLUE_GREEN);
    CHECK(capnp_list_bool_at(TestAll_get_bools(r), 2) &&
          !capnp_list_bool_at(TestAll_get_bools(r), 1));
    CHECK_EQ(capnp_list_i64_at(TestAll_get_int64s(r), 0), -1);
    CHECK(capnp_text_is(capnp_text_list_at(TestAll_get_texts(r), 1), "yz"));
    CHECK(capnp_text_is(TestAll_get_text(TestAll_list_at(TestAll_get_children(r), 1)), "in"));
    CHECK_EQ(capnp_list_u16_at(TestAll_get_colors(r), 0), TEST_COLOR_GREEN);
    CHECK_EQ(capnp_list_u32_at(capnp_list_list_at(TestAll_get_matrix(r), 2), 0), 3);
    CHECK_EQ(
        TestPoint_get_y(TestPoint_list_at(TestPoint_list_list_at(TestAll_get_tables(r), 0), 0)),
        -1);
    REQUIRE_EQ(TestAll_which(r), TEST_ALL_WHICH_PAIR);
    CHECK_EQ(TestAll_pair_get_second(TestAll_get_pair(r)), 9);
    TestAll_choice_inner_r inner = TestAll_choice_get_inner(TestAll_get_choice(r));
    CHECK(capnp_text_is(TestAll_choice_inner_get_label(inner), "l"));
    CHECK_EQ(TestAll_choice_inner_deep_get_b(TestAll_choice_inner_get_deep(inner)).len, 1);
}

TEST(stock_defaults,
     "defaults are those of the stock tool, when it spells them out and when it does not")
{
    TestDefaults_r r;
    size_t len =
        encode("TestDefaults", "(int8 = -123, uint64 = 12345678901234567890, bool = true)");
    REQUIRE_EQ(TestDefaults_read(room, len, &r), CAPNP_OK);
    CHECK_EQ(TestDefaults_get_int8(r), -123);
    CHECK_EQ(TestDefaults_get_uint64(r), UINT64_C(12345678901234567890));
    CHECK(TestDefaults_get_bool(r));
    CHECK_EQ(TestDefaults_get_int16(r), -12345);
}

TEST(ours_to_stock, "what we build the stock tool prints by name")
{
    char out[4096];
    struct capnp_builder b;
    size_t len;
    size_t got;
    capnp_builder_init(&b, room, sizeof(room));
    TestAll_b all = TestAll_init(&b);
    TestAll_set_int32(all, -77);
    TestAll_set_text(all, "from us", 7);
    TestAll_set_color(all, TEST_COLOR_GREEN);
    capnp_list_bool_set(TestAll_init_bools(all, 2), 1, true);
    TestPoint_b point = TestAll_init_point(all);
    TestPoint_set_y(point, 12);
    TestAll_choice_set_left(TestAll_init_choice(all), 3);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    int status = run("capnp convert flat:text --short -Ischema " SCHEMA " TestAll", room, len, out,
                     sizeof(out), &got);
    CHECK_EQ(status, 0);
    const char *const wanted[] = {
        "int32 = -77",   "text = \"from us\"",      "color = green",
        "[false, true]", "point = (x = 0, y = 12)", "choice = (left = 3)"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strstr(out, wanted[i]) == NULL) {
            printf("# missing: %s\n# in: %s\n", wanted[i], out);
            FAIL("the stock tool read something else");
        }
    }
}

/* Compiles a schema text with our plugin in one of its modes and checks the first line of its complaint. */
static void refused_in(const char *mode, const char *body, const char *wanted)
{
    char command[512];
    char schema[2048];
    char out[4096];
    size_t got;
    int n = snprintf(schema, sizeof(schema),
                     "@0xb3c5a1d2e4f60718;\nusing A = import \"/annotations.capnp\";\n%s", body);
    snprintf(command, sizeof(command),
             "d=$(mktemp -d) && cat > $d/refused.capnp && "
             "capnp compile -Ischema --src-prefix=$d -o- $d/refused.capnp | "
             "CAPNPC_CAPOS_SOURCES=$d build/tools/capnpc-capos %s $d/out; s=$?; rm -rf $d; exit $s",
             mode);
    int status = run(command, schema, (size_t)n, out, sizeof(out), &got);
    CHECK(status != 0);
    /* "<folder>/refused.capnp:LINE: error: ..." */
    char *at = strstr(out, "refused.capnp:");
    if (at == NULL || strncmp(at, wanted, strlen(wanted)) != 0) {
        printf("# wanted: %s\n# got: %s\n", wanted, out);
        FAIL("the generator says something else");
    }
}

static void refused(const char *body, const char *wanted)
{
    refused_in("--out", body, wanted);
}

TEST(generator_any_pointer, "AnyPointer is refused with the line of the field")
{
    refused("struct S {\n  a @0 :UInt8;\n  any @1 :AnyPointer;\n}\n",
            "refused.capnp:5: error: any: AnyPointer and generic parameters are not supported");
}

TEST(generator_capability, "a capability as a field is refused, with the way to do it")
{
    refused("interface I {}\nstruct S {\n  cap @0 :I;\n}\n",
            "refused.capnp:5: error: cap: capabilities do not travel in a message; declare `cap "
            ":UInt16 $capability(\"...\")`");
}

TEST(generator_generics, "generic types and their use are refused")
{
    refused("struct Box(T) {\n  value @0 :T;\n}\n",
            "refused.capnp:3: error: generic types are not supported");
}

TEST(generator_extends, "an object interface that extends another is refused")
{
    refused("interface A1 {}\ninterface B1 extends(A1) {\n  go @0 ();\n}\n",
            "refused.capnp:4: error: B1: interfaces of objects do not use extends");
}

TEST(generator_stream, "a streaming method is refused")
{
    refused("interface I {\n  a @0 ();\n  push @1 (x :UInt8) -> stream;\n}\n",
            "refused.capnp:5: error: push: -> stream is not supported");
}

TEST(generator_unbounded, "a method whose text, data or lists have no declared limit is refused")
{
    refused(
        "interface I {\n  say @0 (text :Text) -> ();\n}\n",
        "refused.capnp:4: error: I.say: its parameters hold text, data or lists: say $maxParams");
    refused(
        "interface I {\n  hear @0 () -> (text :Text);\n}\n",
        "refused.capnp:4: error: I.hear: its results hold text, data or lists: say $maxResults");
    refused("interface I {\n  hear @0 () -> (text :Text) $A.maxResults(20000);\n}\n",
            "refused.capnp:4: error: I.hear: a message has at most 16384 bytes");
}

TEST(generator_facets,
     "a facet of nothing, with unknown methods or with methods of its own is refused")
{
    refused("interface F $A.facet(base = \"Nowhere\", methods = [\"x\"]) {}\n",
            "refused.capnp:3: error: F: $facet names the unknown interface Nowhere");
    refused(
        "interface I {\n  a @0 ();\n}\ninterface F $A.facet(base = \"I\", methods = [\"b\"]) {}\n",
        "refused.capnp:6: error: F: I has no method b");
    refused("interface I {\n  a @0 ();\n}\n"
            "interface F $A.facet(base = \"I\", methods = [\"a\"]) {\n  own @0 ();\n}\n",
            "refused.capnp:6: error: F: a facet has the methods of its base and none of its own");
}

TEST(generator_capability_index, "a field that names a capability must be a UInt16")
{
    refused("struct S {\n  index @0 :UInt32 $A.capability(\"*\");\n}\n",
            "refused.capnp:4: error: index: a field with $capability must be a UInt16");
}

TEST(generator_annotations, "an annotation that cannot be meant is refused")
{
    refused("interface I {\n  make @0 () -> (c :UInt16 $A.capability(\"*\"));\n}\n",
            "refused.capnp:4: error: I.make: its results name 1 capabilities: say $resultCaps(1)");
    refused(
        "interface I {\n  take @0 (a :UInt16 $A.capability(\"*\"), b :UInt16 $A.capability(\"*\")) "
        "-> () $A.paramCaps(1);\n}\n",
        "refused.capnp:4: error: I.take: its parameters name 2 capabilities: say $paramCaps(2)");
    refused("interface I {\n  many @0 () -> () $A.paramCaps(63);\n}\n",
            "refused.capnp:4: error: I.many: its parameters carry at most 62 capabilities");
    refused("interface I {\n  say @0 (text :Text, n :UInt64) -> () $A.maxParams(16);\n}\n",
            "refused.capnp:4: error: I.say: its parameters are 24 bytes at least: $maxParams(16) "
            "is too small");
    refused("interface I {\n  op @0 () -> () $A.opcode(\"RECIEVE\");\n}\n",
            "refused.capnp:4: error: I.op: $opcode names RECIEVE, which is none");
    refused(
        "struct S { s @0 :import \"/status.capnp\".Status; }\n"
        "interface I {\n  go @0 () -> () $A.statuses([\"quota\", \"qouta\"]);\n}\n",
        "refused.capnp:5: error: I.go: $statuses names qouta, which schema/status.capnp has not");
    refused_in("--interfaces", "struct S {\n  made @0 :UInt16 $A.capability(\"Nowhere\");\n}\n",
               "refused.capnp:4: error: made: $capability names the unknown interface Nowhere");
}

TEST(generator_too_many_methods, "an interface with 65 methods is refused")
{
    char body[2048] = "interface Wide {\n";
    for (int i = 0; i < 65; i++) {
        char line[48];
        snprintf(line, sizeof(line), "  m%d @%d ();\n", i, i);
        strcat(body, line);
    }
    strcat(body, "}\n");
    refused(body, "refused.capnp:3: error: Wide: 65 methods; a facet bitmap has room for 64");
}

TEST(generator_names, "two types that would have one name in C are refused")
{
    char out[4096];
    size_t got;
    int status = run(
        "d=$(mktemp -d) && sed 's/f60718/f60719/' > $d/first.capnp <<E && sed '' > $d/names.capnp "
        "<<E\n"
        "@0xb3c5a1d2e4f60718;\nstruct Same {}\nE\n"
        "@0xb3c5a1d2e4f60718;\nstruct Other {}\nstruct Same {}\nE\n"
        "capnp compile -Ischema --src-prefix=$d -o- $d/names.capnp $d/first.capnp | "
        "CAPNPC_CAPOS_SOURCES=$d build/tools/capnpc-capos --out $d/out; s=$?; rm -rf $d; exit $s",
        "", 0, out, sizeof(out), &got);
    CHECK(status != 0);
    if (strstr(out, "names.capnp:3: error: Same: the same C name as ") == NULL) {
        printf("# got: %s\n", out);
        FAIL("the generator says something else");
    }
}

/* The golden file: `before` is accepted, then `after` is checked; the answer must hold `wanted`. */
static void drift(const char *before, const char *after, const char *wanted)
{
    char script[4096];
    char out[4096];
    size_t got;
    int n = snprintf(script, sizeof(script),
                     "set -e; d=$(mktemp -d)\n"
                     "h='@0xb3c5a1d2e4f60718; using A = import \"/annotations.capnp\";'\n"
                     "req() { printf '%%s\\n%%s\\n' \"$h\" \"$1\" > $d/x.capnp; "
                     "capnp compile -Ischema --src-prefix=$d -o- $d/x.capnp; }\n"
                     "req '%s' | build/tools/capnpc-capos --abi-accept $d/golden\n"
                     "req '%s' | build/tools/capnpc-capos --abi-check $d/golden || echo differs\n"
                     "rm -rf $d\n",
                     before, after);
    CHECK_EQ(run("sh", script, (size_t)n, out, sizeof(out), &got), 0);
    bool held =
        wanted == NULL ? got == 0 : strstr(out, wanted) != NULL && strstr(out, "differs") != NULL;
    if (!held) {
        printf("# wanted: %s\n# got: %s\n", wanted != NULL ? wanted : "nothing", out);
        FAIL("the drift check says something else");
    }
}

TEST(golden_same, "the schema that was accepted has no difference, nor has one with other comments")
{
    drift("struct S { a @0 :UInt8; }", "struct S { a @0 :UInt8; # a comment\n }", NULL);
}

TEST(golden_added, "a new field, method or enumerant is binary-compatible")
{
    drift("struct S { a @0 :UInt8; }", "struct S { a @0 :UInt8; b @1 :UInt8; }",
          "binary-compatible");
    drift("interface I { a @0 (); }", "interface I { a @0 (); b @1 (); }", "binary-compatible");
    drift("enum E { a @0; }", "enum E { a @0; b @1; }", "binary-compatible");
}

TEST(golden_breaking, "a removed, renamed or retyped field and a reused ordinal are breaking")
{
    drift("struct S { a @0 :UInt8; b @1 :Text; }", "struct S { a @0 :UInt8; c @1 :Text; }",
          "breaking");
    drift("struct S { a @0 :UInt8; b @1 :Text; }", "struct S { a @0 :UInt8; }", "breaking");
    drift("interface I { a @0 (); b @1 (); }", "interface I { a @0 (); }", "breaking");
    drift("enum E { a @0; b @1; }", "enum E { a @0; }", "breaking");
    drift("struct S { a @0 :UInt8; }", "struct S { a @0 :Int8; }", "breaking");
    drift("interface I { a @0 (); }", "interface I { b @0 (); }",
          "breaking: its ordinal belonged to another method");
    drift("struct S { a @0 :UInt8 = 1; }", "struct S { a @0 :UInt8 = 2; }", "breaking");
}

TEST(golden_values, "defaults and constants that are structs or lists are compared by their values")
{
    drift("struct S { a @0 :List(UInt8) = [1]; }", "struct S { a @0 :List(UInt8) = [2]; }",
          "breaking");
    drift("struct P { x @0 :UInt8; } struct S { a @0 :P = (x = 1); }",
          "struct P { x @0 :UInt8; } struct S { a @0 :P = (x = 2); }", "breaking");
    drift("const k :List(Text) = [\"a\"];", "const k :List(Text) = [\"b\"];", "source-compatible");
    drift("struct P { x @0 :UInt8; } struct S { a @0 :P = (x = 1); }",
          "struct P { x @0 :UInt8; y @1 :UInt64; } struct S { a @0 :P = (x = 1); }",
          ": binary-compatible. If");
}

TEST(golden_source, "a larger result limit needs callers to be built again")
{
    drift("interface I { a @0 () -> (t :Text) $A.maxResults(64); }",
          "interface I { a @0 () -> (t :Text) $A.maxResults(128); }", "source-compatible");
}
