/* SPDX-License-Identifier: MIT */
/* Building and reading with generated code: every kind of field, defaults, upgrades between versions
 * of a schema, and builders that run out of room. */
#include "tests/unit/test.h"

#include "tests/unit/codec_wire.h"

static uint8_t room[16384];

static struct capnp_builder *begin(struct capnp_builder *b)
{
    memset(room, 0xa5, sizeof(room));
    capnp_builder_init(b, room, sizeof(room));
    return b;
}

static void fill_scalars(TestAll_b b)
{
    TestAll_set_bool(b, true);
    TestAll_set_int8(b, -8);
    TestAll_set_int16(b, -1600);
    TestAll_set_int32(b, -320000);
    TestAll_set_int64(b, INT64_MIN);
    TestAll_set_uint8(b, 255);
    TestAll_set_uint16(b, 65535);
    TestAll_set_uint32(b, UINT32_MAX);
    TestAll_set_uint64(b, UINT64_MAX);
    TestAll_set_float32(b, 1.5f);
    TestAll_set_float64(b, -2.25);
    TestAll_set_color(b, TEST_COLOR_BLUE_GREEN);
    TestAll_set_second_bool(b, true);
}

static void check_scalars(TestAll_r r)
{
    CHECK(TestAll_get_bool(r) && TestAll_get_second_bool(r));
    CHECK_EQ(TestAll_get_int8(r), -8);
    CHECK_EQ(TestAll_get_int16(r), -1600);
    CHECK_EQ(TestAll_get_int32(r), -320000);
    CHECK_EQ(TestAll_get_int64(r), INT64_MIN);
    CHECK_EQ(TestAll_get_uint8(r), 255);
    CHECK_EQ(TestAll_get_uint16(r), 65535);
    CHECK_EQ(TestAll_get_uint32(r), UINT32_MAX);
    CHECK_EQ(TestAll_get_uint64(r), UINT64_MAX);
    CHECK(TestAll_get_float32(r) == 1.5f);
    CHECK(TestAll_get_float64(r) == -2.25);
    CHECK_EQ(TestAll_get_color(r), TEST_COLOR_BLUE_GREEN);
    CHECK_STR_EQ(TestColor_name(TestAll_get_color(r)), "blueGreen");
}

TEST(build_scalars, "every scalar comes back as it was set")
{
    struct capnp_builder b;
    size_t len;
    TestAll_r r;
    fill_scalars(TestAll_init(begin(&b)));
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    REQUIRE_EQ(TestAll_read(room, len, &r), CAPNP_OK);
    check_scalars(r);
    CHECK_EQ(TestAll_get_text(r).len, 0);
    CHECK(!TestAll_has_text(r) && !TestAll_has_children(r));
    CHECK_EQ(TestAll_get_uint32(TestAll_get_child(r)), 0);
}

TEST(build_lists, "lists of every kind come back as they were set")
{
    struct capnp_builder b;
    size_t len;
    TestAll_r r;
    TestAll_b all = TestAll_init(begin(&b));
    struct capnp_list_b bools = TestAll_init_bools(all, 11);
    struct capnp_list_b int16s = TestAll_init_int16s(all, 3);
    struct capnp_list_b doubles = TestAll_init_float64s(all, 2);
    struct capnp_list_b texts = TestAll_init_texts(all, 2);
    struct capnp_list_b datas = TestAll_init_datas(all, 1);
    struct capnp_list_b colors = TestAll_init_colors(all, 2);
    (void)TestAll_init_voids(all, 9);
    for (uint32_t i = 0; i < 11; i++) {
        capnp_list_bool_set(bools, i, i % 3 == 0);
    }
    capnp_list_i16_set(int16s, 2, -7);
    capnp_list_f64_set(doubles, 1, 0.5);
    capnp_text_list_set(texts, 1, "second", 6);
    capnp_data_list_set(datas, 0, "\0\1\2", 3);
    capnp_list_u16_set(colors, 1, TEST_COLOR_GREEN);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    REQUIRE_EQ(TestAll_read(room, len, &r), CAPNP_OK);
    for (uint32_t i = 0; i < 11; i++) {
        CHECK_EQ(capnp_list_bool_at(TestAll_get_bools(r), i), i % 3 == 0);
    }
    CHECK_EQ(capnp_list_i16_at(TestAll_get_int16s(r), 2), -7);
    CHECK(capnp_list_f64_at(TestAll_get_float64s(r), 1) == 0.5);
    CHECK_EQ(capnp_text_list_at(TestAll_get_texts(r), 0).len, 0);
    CHECK(capnp_text_is(capnp_text_list_at(TestAll_get_texts(r), 1), "second"));
    struct capnp_data data = capnp_data_list_at(TestAll_get_datas(r), 0);
    REQUIRE_EQ(data.len, 3);
    CHECK_MEM_EQ(data.ptr, "\0\1\2", 3);
    CHECK_EQ(capnp_list_u16_at(TestAll_get_colors(r), 1), TEST_COLOR_GREEN);
    CHECK_EQ(capnp_list_len(TestAll_get_voids(r)), 9);
}

TEST(build_nested, "structs, lists of structs and lists of lists nest")
{
    struct capnp_builder b;
    size_t len;
    TestAll_r r;
    TestAll_b all = TestAll_init(begin(&b));
    fill_scalars(TestAll_init_child(all));
    TestAll_list_b children = TestAll_init_children(all, 3);
    CHECK_EQ(TestAll_list_b_len(children), 3);
    TestAll_set_text(TestAll_list_b_at(children, 2), "third", 5);
    struct capnp_list_b matrix = TestAll_init_matrix(all, 2);
    struct capnp_list_b row = capnp_list_list_init(matrix, 1, CAPNP_KIND_BITS32, 3);
    capnp_list_u32_set(row, 2, 77);
    TestPoint_list_b points = TestPoint_list_list_init(TestAll_init_tables(all, 1), 0, 2);
    TestPoint_set_y(TestPoint_list_b_at(points, 1), -4);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    REQUIRE_EQ(TestAll_read(room, len, &r), CAPNP_OK);
    check_scalars(TestAll_get_child(r));
    CHECK(capnp_text_is(TestAll_get_text(TestAll_list_at(TestAll_get_children(r), 2)), "third"));
    CHECK_EQ(capnp_list_len(capnp_list_list_at(TestAll_get_matrix(r), 0)), 0);
    CHECK_EQ(capnp_list_u32_at(capnp_list_list_at(TestAll_get_matrix(r), 1), 2), 77);
    TestPoint_list_r table = TestPoint_list_list_at(TestAll_get_tables(r), 0);
    REQUIRE_EQ(TestPoint_list_len(table), 2);
    CHECK_EQ(TestPoint_get_y(TestPoint_list_at(table, 1)), -4);
}

TEST(build_unions, "setting a member selects it; groups and unions inside unions too")
{
    struct capnp_builder b;
    size_t len;
    TestAll_r r;
    TestAll_b all = TestAll_init(begin(&b));
    TestAll_set_number(all, 5);
    TestAll_pair_b pair = TestAll_init_pair(all);
    TestAll_pair_set_first(pair, "one", 3);
    TestAll_pair_set_second(pair, 2);
    TestAll_choice_inner_b inner = TestAll_choice_init_inner(TestAll_init_choice(all));
    TestAll_choice_inner_set_label(inner, "deep", 4);
    TestAll_choice_inner_deep_set_b(TestAll_choice_inner_init_deep(inner), "xyz", 3);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    REQUIRE_EQ(TestAll_read(room, len, &r), CAPNP_OK);
    CHECK_EQ(TestAll_which(r), TEST_ALL_WHICH_PAIR);
    CHECK_EQ(TestAll_get_number(r), 0);
    CHECK(capnp_text_is(TestAll_pair_get_first(TestAll_get_pair(r)), "one"));
    CHECK_EQ(TestAll_pair_get_second(TestAll_get_pair(r)), 2);
    TestAll_choice_r choice = TestAll_get_choice(r);
    REQUIRE_EQ(TestAll_choice_which(choice), TEST_ALL_CHOICE_WHICH_INNER);
    TestAll_choice_inner_r in = TestAll_choice_get_inner(choice);
    CHECK(capnp_text_is(TestAll_choice_inner_get_label(in), "deep"));
    TestAll_choice_inner_deep_r deep = TestAll_choice_inner_get_deep(in);
    REQUIRE_EQ(TestAll_choice_inner_deep_which(deep), TEST_ALL_CHOICE_INNER_DEEP_WHICH_B);
    CHECK_EQ(TestAll_choice_inner_deep_get_b(deep).len, 3);
    CHECK_EQ(TestPoint_get_x(TestAll_choice_get_right(choice)), 0);
}

static void check_defaults(TestDefaults_r r)
{
    CHECK(TestDefaults_get_bool(r));
    CHECK_EQ(TestDefaults_get_int8(r), -123);
    CHECK_EQ(TestDefaults_get_int16(r), -12345);
    CHECK_EQ(TestDefaults_get_int32(r), -12345678);
    CHECK_EQ(TestDefaults_get_int64(r), INT64_C(-123456789012345));
    CHECK_EQ(TestDefaults_get_uint8(r), 234);
    CHECK_EQ(TestDefaults_get_uint16(r), 45678);
    CHECK_EQ(TestDefaults_get_uint32(r), UINT32_C(3456789012));
    CHECK_EQ(TestDefaults_get_uint64(r), UINT64_C(12345678901234567890));
    CHECK(TestDefaults_get_float32(r) == 1234.5f);
    CHECK(TestDefaults_get_float64(r) == -123e45);
    CHECK_EQ(TestDefaults_get_color(r), TEST_COLOR_BLUE_GREEN);
    CHECK(capnp_text_is(TestDefaults_get_text(r), "foo"));
    REQUIRE_EQ(TestDefaults_get_data(r).len, 3);
    CHECK_MEM_EQ(TestDefaults_get_data(r).ptr, "bar", 3);
    CHECK_EQ(TestPoint_get_y(TestDefaults_get_point(r)), -9);
    CHECK_EQ(capnp_list_u16_at(TestDefaults_get_numbers(r), 2), 3);
    CHECK(capnp_text_is(capnp_text_list_at(TestDefaults_get_texts(r), 1), "corge"));
    CHECK_EQ(TestPoint_get_y(TestPoint_list_at(TestDefaults_get_points(r), 1)), 2);
}

TEST(defaults_absent, "an empty message and one of zeros read as the schema's defaults")
{
    struct capnp_builder b;
    size_t len;
    TestDefaults_r r;
    REQUIRE_EQ(TestDefaults_read(NULL, 0, &r), CAPNP_OK);
    check_defaults(r);
    (void)TestDefaults_init(begin(&b));
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    REQUIRE_EQ(TestDefaults_read(room, len, &r), CAPNP_OK);
    check_defaults(r);
}

TEST(defaults_set, "a field set to what is not its default keeps that value, also zero")
{
    struct capnp_builder b;
    size_t len;
    TestDefaults_r r;
    TestDefaults_b d = TestDefaults_init(begin(&b));
    TestDefaults_set_bool(d, false);
    TestDefaults_set_int32(d, 0);
    TestDefaults_set_uint64(d, 1);
    TestDefaults_set_float64(d, 0.0);
    TestDefaults_set_text(d, NULL, 0);
    (void)TestDefaults_init_numbers(d, 0);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    REQUIRE_EQ(TestDefaults_read(room, len, &r), CAPNP_OK);
    CHECK(!TestDefaults_get_bool(r));
    CHECK_EQ(TestDefaults_get_int32(r), 0);
    CHECK_EQ(TestDefaults_get_uint64(r), 1);
    CHECK(TestDefaults_get_float64(r) == 0.0);
    CHECK_EQ(TestDefaults_get_text(r).len, 0);
    CHECK_EQ(capnp_list_len(TestDefaults_get_numbers(r)), 0);
}

TEST(constants, "constants are there as macros and views")
{
    CHECK_EQ(TEST_ANSWER, 42);
    CHECK_STR_EQ(TEST_MOTTO, "typed \"and\" bounded");
    CHECK_EQ(TestPoint_get_y(testOrigin_const()), 4);
    CHECK_EQ(capnp_list_u16_at(testPrimes_const(), 3), 7);
}

TEST(upgrade_old_to_new, "what an older sender wrote reads with defaults for what it did not know")
{
    struct capnp_builder b;
    size_t len;
    TestOld_b old = TestOld_init(begin(&b));
    TestOld_set_old1(old, 123);
    TestOld_set_old2(old, "foo", 3);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    TestNew_r r;
    REQUIRE_EQ(TestNew_read(room, len, &r), CAPNP_OK);
    CHECK_EQ(TestNew_get_old1(r), 123);
    CHECK(capnp_text_is(TestNew_get_old2(r), "foo"));
    CHECK_EQ(TestNew_get_new1(r), 987);
    CHECK(capnp_text_is(TestNew_get_new2(r), "baz"));
    CHECK_EQ(TestNew_list_len(TestNew_get_new3(r)), 0);
}

TEST(upgrade_new_to_old, "what a newer sender wrote reads without what we do not know")
{
    struct capnp_builder b;
    size_t len;
    TestNew_b fresh = TestNew_init(begin(&b));
    TestNew_set_old1(fresh, 9);
    TestNew_set_old2(fresh, "bar", 3);
    TestNew_set_new1(fresh, 1);
    TestNew_set_new2(fresh, "qux", 3);
    TestNew_set_old1(TestNew_list_b_at(TestNew_init_new3(fresh, 2), 1), 4);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    TestOld_r r;
    REQUIRE_EQ(TestOld_read(room, len, &r), CAPNP_OK);
    CHECK_EQ(TestOld_get_old1(r), 9);
    CHECK(capnp_text_is(TestOld_get_old2(r), "bar"));
}

TEST(upgrade_lists, "lists of numbers, texts and small structs read as lists of larger structs")
{
    struct capnp_builder b;
    size_t len;
    TestListOld_b old = TestListOld_init(begin(&b));
    capnp_list_u32_set(TestListOld_init_numbers(old, 2), 1, 44);
    capnp_text_list_set(TestListOld_init_texts(old, 2), 1, "two", 3);
    TestPoint_set_y(TestPoint_list_b_at(TestListOld_init_points(old, 2), 1), 6);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    TestListNew_r r;
    REQUIRE_EQ(TestListNew_read(room, len, &r), CAPNP_OK);
    TestListNew_Number_r number = TestListNew_Number_list_at(TestListNew_get_numbers(r), 1);
    CHECK_EQ(TestListNew_Number_get_value(number), 44);
    CHECK_EQ(TestListNew_Number_get_extra(number), 5);
    TestListNew_Named_r named = TestListNew_Named_list_at(TestListNew_get_texts(r), 1);
    CHECK(capnp_text_is(TestListNew_Named_get_name(named), "two"));
    CHECK_EQ(TestListNew_Named_get_extra(named), 6);
    TestListNew_Point3_r point = TestListNew_Point3_list_at(TestListNew_get_points(r), 1);
    CHECK_EQ(TestListNew_Point3_get_y(point), 6);
    CHECK_EQ(TestListNew_Point3_get_z(point), 8);
    CHECK_EQ(TestListNew_Point3_get_label(point).len, 0);
}

TEST(downgrade_lists,
     "lists of larger structs read as the lists of numbers, texts and small structs they were")
{
    struct capnp_builder b;
    size_t len;
    TestListNew_b fresh = TestListNew_init(begin(&b));
    TestListNew_Number_set_value(
        TestListNew_Number_list_b_at(TestListNew_init_numbers(fresh, 2), 1), 44);
    TestListNew_Named_set_name(TestListNew_Named_list_b_at(TestListNew_init_texts(fresh, 2), 1),
                               "two", 3);
    TestListNew_Point3_b point = TestListNew_Point3_list_b_at(TestListNew_init_points(fresh, 2), 1);
    TestListNew_Point3_set_y(point, 6);
    TestListNew_Point3_set_label(point, "gone", 4);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    TestListOld_r r;
    REQUIRE_EQ(TestListOld_read(room, len, &r), CAPNP_OK);
    CHECK_EQ(capnp_list_u32_at(TestListOld_get_numbers(r), 1), 44);
    CHECK(capnp_text_is(capnp_text_list_at(TestListOld_get_texts(r), 1), "two"));
    CHECK_EQ(TestPoint_get_y(TestPoint_list_at(TestListOld_get_points(r), 1)), 6);
}

TEST(upgrade_bits_refused, "a list of bits never stands for a list of structs")
{
    struct capnp_builder b;
    size_t len;
    (void)TestListOld_init_bools(TestListOld_init(begin(&b)), 3);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    TestListNew_r r;
    CHECK_EQ(TestListNew_read(room, len, &r), CAPNP_BAD_KIND);
}

TEST(flat_reader,
     "the one-check reader agrees with the general one on short, long and odd messages")
{
    uint64_t words[] = {wire_struct(0, 2, 0), 17, 18, 0};
    TestFlat_r r;
    REQUIRE_EQ(TestFlat_read(words, 24, &r), CAPNP_OK);
    CHECK_EQ(TestFlat_get_a(r), 17);
    CHECK_EQ(TestFlat_get_b(r), 18);
    words[0] = wire_struct(1, 1, 0);
    REQUIRE_EQ(TestFlat_read(words, 24, &r), CAPNP_OK);
    CHECK_EQ(TestFlat_get_a(r), 18);
    CHECK_EQ(TestFlat_get_b(r), 0);
    words[0] = 0;
    REQUIRE_EQ(TestFlat_read(words, 24, &r), CAPNP_OK);
    CHECK_EQ(TestFlat_get_a(r), 0);
    words[0] = wire_struct(0, 1, 1);
    words[2] = 0;
    REQUIRE_EQ(TestFlat_read(words, 24, &r), CAPNP_OK);
    CHECK_EQ(TestFlat_get_a(r), 17);
    CHECK_EQ(TestFlat_read(words, 23, &r), CAPNP_BAD_LENGTH);
    CHECK_EQ(TestFlat_read(words, 16, &r), CAPNP_OUT_OF_BOUNDS);
}

TEST(unaligned, "messages are read and built at any address")
{
    struct capnp_builder b;
    size_t len;
    TestAll_r r;
    for (size_t shift = 1; shift < 8; shift++) {
        capnp_builder_init(&b, room + shift, sizeof(room) - 8);
        TestAll_b all = TestAll_init(&b);
        fill_scalars(all);
        TestAll_set_text(all, "odd", 3);
        REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
        REQUIRE_EQ(TestAll_read(room + shift, len, &r), CAPNP_OK);
        check_scalars(r);
        CHECK(capnp_text_is(TestAll_get_text(r), "odd"));
    }
}

TEST(build_room,
     "a builder never writes past its end; the first failure stays and sets go on harmlessly")
{
    for (size_t size = 0; size < 400; size += 4) {
        uint8_t *small = wire_copy(room, size);
        struct capnp_builder b;
        size_t len = 99;
        capnp_builder_init(&b, small, size);
        TestAll_b all = TestAll_init(&b);
        fill_scalars(all);
        TestAll_set_text(all, "some text", 9);
        fill_scalars(TestAll_list_b_at(TestAll_init_children(all, 1), 0));
        capnp_list_u32_set(
            capnp_list_list_init(TestAll_init_matrix(all, 1), 0, CAPNP_KIND_BITS32, 4), 3, 1);
        enum capnp_status status = capnp_finish(&b, &len);
        CHECK(status == CAPNP_OK || status == CAPNP_NO_ROOM);
        CHECK(status == CAPNP_OK || len == 0);
        CHECK(len <= size);
        free(small);
    }
}

TEST(build_misuse, "indices and kinds outside what was allocated are noted and change nothing")
{
    struct capnp_builder b;
    size_t len;
    TestAll_b all = TestAll_init(begin(&b));
    struct capnp_list_b l = TestAll_init_int16s(all, 2);
    uint32_t used = b.used_words;
    capnp_list_i16_set(l, 2, 1);
    CHECK_EQ(b.status, CAPNP_BAD_USE);
    capnp_builder_init(&b, room, sizeof(room));
    l = TestAll_init_int16s(TestAll_init(&b), 2);
    capnp_list_u64_set(l, 0, 1);
    CHECK_EQ(b.status, CAPNP_BAD_USE);
    capnp_text_list_set(l, 0, "x", 1);
    CHECK_EQ(b.used_words, used);
    CHECK_EQ(capnp_finish(&b, &len), CAPNP_BAD_USE);
    CHECK_EQ(len, 0);
}

TEST(build_bad_text, "text that is not UTF-8 is refused when it is set")
{
    struct capnp_builder b;
    size_t len;
    TestOld_set_old2(TestOld_init(begin(&b)), "\xff", 1);
    CHECK_EQ(capnp_finish(&b, &len), CAPNP_BAD_TEXT);
}

TEST(build_huge, "counts that no message can hold are refused without arithmetic going round")
{
    struct capnp_builder b;
    size_t len;
    (void)TestAll_init_children(TestAll_init(begin(&b)), UINT32_MAX);
    CHECK_EQ(capnp_finish(&b, &len), CAPNP_NO_ROOM);
    (void)TestAll_init_int64s(TestAll_init(begin(&b)), UINT32_MAX);
    CHECK(capnp_finish(&b, &len) != CAPNP_OK);
    CHECK(TestAll_init_data(TestAll_init(begin(&b)), SIZE_MAX) == NULL);
    CHECK(capnp_finish(&b, &len) != CAPNP_OK);
}

TEST(build_empty_struct, "a struct without fields is present, not absent")
{
    struct capnp_builder b;
    size_t len;
    TestEmpty_r r;
    (void)TestEmpty_init(begin(&b));
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    CHECK_EQ(len, 8);
    CHECK(load_le64(room) != 0);
    CHECK_EQ(TestEmpty_read(room, len, &r), CAPNP_OK);
}

TEST(build_stale_bytes, "nothing of what the buffer held before is in the message")
{
    struct capnp_builder b;
    size_t len;
    TestAll_set_text(TestAll_init(begin(&b)), "abc", 3);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    for (size_t i = 0; i < len; i++) {
        CHECK(room[i] != 0xa5);
    }
}
