/* SPDX-License-Identifier: MIT */
/* Messages made to break a decoder: the known failures of other C codecs, and one test for each class
 * of the published Cap'n Proto advisories. Every one is refused with its own status, or is read
 * without leaving the message. */
#include "tests/unit/test.h"

#include "tests/unit/codec_wire.h"

enum { MAX29 = (1 << 29) - 1 };

TEST(hostile_words_list_huge, "a list of 2^29-1 words in a 32-byte message is out of bounds")
{
    CHECK_EQ(VERDICT(TestListOld, wire_struct(0, 0, 1), wire_list(0, WIRE_EIGHT, MAX29), 0, 0),
             CAPNP_OUT_OF_BOUNDS);
}

TEST(hostile_bit_list_huge, "a list of 2^29-1 bits in a 32-byte message is out of bounds")
{
    CHECK_EQ(VERDICT(TestListOld, wire_struct(0, 0, 3), 0, 0, wire_list(0, WIRE_BIT, MAX29)),
             CAPNP_OUT_OF_BOUNDS);
}

TEST(hostile_composite_wrap, "8192 elements of 512 KiB in a list of one word are refused")
{
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, 1),
                     wire_tag(8192, 65535, 1), 0),
             CAPNP_BAD_LIST);
}

TEST(hostile_composite_count,
     "a list of structs whose elements need more words than it has is refused")
{
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, 1),
                     wire_tag(2, 1, 0), 0),
             CAPNP_BAD_LIST);
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, 1),
                     wire_tag(1, 1, 0), 0),
             CAPNP_OK);
}

TEST(hostile_composite_tag, "a list of structs whose tag is not a struct pointer is refused")
{
    for (uint64_t kind = 1; kind < 4; kind++) {
        CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, 1),
                         wire_tag(0, 1, 0) | kind, 0),
                 CAPNP_BAD_LIST);
    }
}

TEST(hostile_far, "far and double-far pointers are refused, as root and as field")
{
    CHECK_EQ(VERDICT(TestOld, wire_far(0, 0, false), 0), CAPNP_BAD_POINTER);
    CHECK_EQ(VERDICT(TestOld, wire_far(0, 7, false), 0), CAPNP_BAD_POINTER);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_far(0, 1, false)), CAPNP_BAD_POINTER);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_far(2, 0, true), 0, 0), CAPNP_BAD_POINTER);
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 1), wire_far(1, 0, true), wire_far(0, 0, true)),
             CAPNP_BAD_POINTER);
}

TEST(hostile_capability, "a capability pointer is refused, in known and in unknown fields")
{
    CHECK_EQ(VERDICT(TestOld, wire_capability(0)), CAPNP_BAD_POINTER);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_capability(3)), CAPNP_BAD_POINTER);
    CHECK_EQ(VERDICT(TestFlat, wire_struct(0, 0, 1), wire_capability(0)), CAPNP_BAD_POINTER);
}

TEST(hostile_struct_underflow, "a pointer to before the message is out of bounds")
{
    CHECK_EQ(VERDICT(TestOld, wire_struct(-2, 1, 0)), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(-3, WIRE_BYTE, 1)),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestFlat, wire_struct(-2, 0, 0)), CAPNP_OUT_OF_BOUNDS);
}

TEST(hostile_struct_past_end, "a struct that ends one word past the message is out of bounds")
{
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 1, 0)), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 1, 1), 0), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 65535, 65535), 0), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestFlat, wire_struct(0, 2, 0), 0), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestFlat, wire_struct(1, 1, 0), 0), CAPNP_OUT_OF_BOUNDS);
}

TEST(hostile_cycle, "a struct that holds itself is refused once the depth limit is met")
{
    /* word 1 is the pointer section of the root and points back at itself as a struct */
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 1), wire_struct(-1, 0, 1)), CAPNP_TOO_DEEP);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 2), 0, wire_struct(-1, 0, 1)), CAPNP_TOO_DEEP);
}

TEST(hostile_cycle_list, "a list that holds itself is refused once a limit is met")
{
    CHECK_EQ(VERDICT(TestAll, wire_struct(0, 0, 1), wire_struct(-1, 0, 1)), CAPNP_BAD_KIND);
    CHECK_EQ(VERDICT(TestFlat, wire_struct(0, 0, 1), wire_list(-1, WIRE_POINTER, 1)),
             CAPNP_TOO_DEEP);
}

TEST(hostile_doubling,
     "objects that share their parts cost every visit: 2^n paths exceed the budget")
{
    enum { LEVELS = 28 };
    uint64_t words[1 + 2 * LEVELS + 2] = {wire_struct(0, 0, 2)};
    for (int level = 0; level < LEVELS; level++) {
        int at = 1 + level * 2;
        words[at] = wire_struct(1, 0, 2);
        words[at + 1] = wire_struct(0, 0, 2);
    }
    CHECK_EQ(wire_verdict(&TestFlat_type, words, sizeof(words) / 8), CAPNP_TOO_MUCH);
}

TEST(hostile_overlap, "a pointer that lies inside its own target is read like any other word")
{
    uint64_t words[] = {wire_struct(-1, 1, 0)};
    TestFlat_r r;
    REQUIRE_EQ(TestFlat_read(words, sizeof(words), &r), CAPNP_OK);
    CHECK_EQ(TestFlat_get_a(r), words[0]);
}

TEST(hostile_text, "text without its NUL, empty text lists and bad UTF-8 are refused")
{
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(0, WIRE_BYTE, 4), 0x64636261),
             CAPNP_BAD_TEXT);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(0, WIRE_BYTE, 0)), CAPNP_BAD_TEXT);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(0, WIRE_BYTE, 2), 0x00ff),
             CAPNP_BAD_TEXT);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(0, WIRE_BYTE, 3), 0x00afc0),
             CAPNP_BAD_TEXT);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(0, WIRE_BYTE, 4), 0x0080a0ed),
             CAPNP_BAD_TEXT);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(0, WIRE_BYTE, 3), 0x009fc3),
             CAPNP_OK);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(0, WIRE_TWO, 1), 0), CAPNP_BAD_KIND);
}

TEST(hostile_kind, "a pointer of another kind than the schema's is refused")
{
    CHECK_EQ(VERDICT(TestOld, wire_list(0, WIRE_BYTE, 0)), CAPNP_BAD_KIND);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_struct(-1, 0, 0)), CAPNP_BAD_KIND);
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 1), wire_list(0, WIRE_VOID, 0)), CAPNP_BAD_KIND);
}

TEST(hostile_pointers_as_numbers,
     "a list of pointers never passes for a list of numbers, nor bits for bytes")
{
    CHECK_EQ(VERDICT(TestListOld, wire_struct(0, 0, 1), wire_list(0, WIRE_POINTER, 1), 0),
             CAPNP_BAD_KIND);
    CHECK_EQ(VERDICT(TestListOld, wire_struct(0, 0, 1), wire_list(0, WIRE_TWO, 1), 0),
             CAPNP_BAD_KIND);
    CHECK_EQ(VERDICT(TestListOld, wire_struct(0, 0, 4), 0, 0, 0, wire_list(0, WIRE_BIT, 1), 0),
             CAPNP_BAD_KIND);
    CHECK_EQ(VERDICT(TestListOld, wire_struct(0, 0, 3), 0, 0, wire_list(0, WIRE_COMPOSITE, 1),
                     wire_tag(1, 1, 0), 0),
             CAPNP_BAD_KIND);
}

TEST(hostile_index, "an index outside a list reads as the default")
{
    uint64_t words[] = {wire_struct(0, 0, 1), wire_list(0, WIRE_FOUR, 2), 0x0000000900000008};
    TestListOld_r r;
    REQUIRE_EQ(TestListOld_read(words, sizeof(words), &r), CAPNP_OK);
    struct capnp_list l = TestListOld_get_numbers(r);
    CHECK_EQ(capnp_list_u32_at(l, 1), 9);
    CHECK_EQ(capnp_list_u32_at(l, 2), 0);
    CHECK_EQ(capnp_list_u32_at(l, UINT32_MAX), 0);
    CHECK_EQ(capnp_list_u64_at(l, 0), 0);
    CHECK_EQ(capnp_text_list_at(l, 0).len, 0);
    CHECK_EQ(capnp_list_struct_at(l, 7).data_bytes, 0);
    CHECK_EQ(capnp_list_list_at(l, 0).count, 0);
}

TEST(hostile_unknown_values,
     "enumerants and union members that the schema does not know are handed on")
{
    uint8_t room[512];
    struct capnp_builder b;
    size_t len;
    capnp_builder_init(&b, room, sizeof(room));
    TestAll_b all = TestAll_init(&b);
    TestAll_set_color(all, (enum TestColor)999);
    TestAll_set_name(all, "x", 1);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    TestAll_r r;
    REQUIRE_EQ(TestAll_read(room, len, &r), CAPNP_OK);
    CHECK_EQ(TestAll_get_color(r), 999);
    CHECK(TestColor_name(TestAll_get_color(r)) == NULL);
    CHECK_EQ(TestAll_which(r), TEST_ALL_WHICH_NAME);
    /* The discriminant becomes a number of the future: no member is active, none can be read. */
    uint8_t *data = room + 8;
    for (size_t at = 0; at + 2 <= r.s.data_bytes; at += 2) {
        if (load_le16(data + at) == TEST_ALL_WHICH_NAME) {
            store_le16(data + at, 777);
            break;
        }
    }
    REQUIRE_EQ(TestAll_read(room, len, &r), CAPNP_OK);
    CHECK_EQ(TestAll_which(r), 777);
    CHECK_EQ(TestAll_get_name(r).len, 0);
    CHECK(!TestAll_has_name(r));
}

TEST(hostile_union_member, "a union's pointer is checked as the active member and read as no other")
{
    uint8_t room[512];
    struct capnp_builder b;
    size_t len;
    capnp_builder_init(&b, room, sizeof(room));
    TestAll_b all = TestAll_init(&b);
    TestPoint_b point = TestAll_init_point(all);
    TestPoint_set_x(point, 5);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);
    TestAll_r r;
    REQUIRE_EQ(TestAll_read(room, len, &r), CAPNP_OK);
    CHECK_EQ(TestPoint_get_x(TestAll_get_point(r)), 5);
    CHECK_EQ(TestAll_get_name(r).len, 0);
    CHECK_EQ(capnp_list_len(TestAll_get_numbers(r)), 0);
    CHECK_EQ(TestAll_pair_get_first(TestAll_get_pair(r)).len, 0);
    /* The same bytes with the discriminant of the text member: a struct is no text. */
    for (size_t at = 0; at + 2 <= r.s.data_bytes; at += 2) {
        if (load_le16(room + 8 + at) == TEST_ALL_WHICH_POINT) {
            store_le16(room + 8 + at, TEST_ALL_WHICH_NAME);
            break;
        }
    }
    CHECK_EQ(TestAll_read(room, len, &r), CAPNP_BAD_KIND);
}

TEST(hostile_unknown_trailing,
     "fields of a newer version are bounds-checked though nothing reads them")
{
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 3), 0, 0, wire_list(0, WIRE_BYTE, 9), 0),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 3), 0, 0, wire_list(0, WIRE_BYTE, 8), 0), CAPNP_OK);
    CHECK_EQ(VERDICT(TestFlat, wire_struct(0, 2, 1), 0, 0, wire_struct(0, 1, 0)),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestFlat, wire_struct(0, 9, 0), 0, 0, 0, 0, 0, 0, 0, 0, 0), CAPNP_OK);
}

TEST(hostile_depth, "a chain as deep as the limit passes, one deeper is refused")
{
    for (int extra = 0; extra < 2; extra++) {
        uint64_t words[CAPNP_DEPTH + 2] = {0};
        int pointers = CAPNP_DEPTH + extra;
        for (int i = 0; i < pointers; i++) {
            words[i] = wire_struct(0, 0, 1);
        }
        CHECK_EQ(wire_verdict(&TestChain_type, words, (size_t)pointers + 1),
                 extra == 0 ? CAPNP_OK : CAPNP_TOO_DEEP);
    }
}

TEST(hostile_length,
     "a length that is no multiple of 8, or larger than a segment, is refused untouched")
{
    uint64_t word = 0;
    struct capnp_struct out;
    for (size_t len = 1; len < 8; len++) {
        CHECK_EQ(capnp_read(&word, len, &TestOld_type, &out), CAPNP_BAD_LENGTH);
    }
    CHECK_EQ(capnp_read(NULL, 0, &TestOld_type, &out), CAPNP_OK);
    CHECK_EQ(out.data_bytes, 0);
}

/* ---- The nine published advisory classes ---- */

TEST(advisory_1_pointer_overflow,
     "integer overflow in pointer validation: offset and size that sum past 2^32")
{
    CHECK_EQ(VERDICT(TestOld, wire_struct(0x1fffffff, 65535, 65535), 0), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(0x1fffffff, WIRE_EIGHT, MAX29)),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, MAX29),
                     wire_tag(0x3fffffff, 65535, 65535)),
             CAPNP_OUT_OF_BOUNDS);
}

TEST(advisory_2_pointer_underflow,
     "integer underflow in pointer validation: a list of structs whose tag would be past the end")
{
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, 0)),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 2), 0, wire_list(1, WIRE_COMPOSITE, 0), 0),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestChain, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, 0), 0),
             CAPNP_OK);
}

TEST(advisory_3_empty_structs,
     "amplification: a list of 2^29 structs without size is charged by element")
{
    CHECK_EQ(VERDICT(TestEmpties, wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 0),
                     wire_tag(0x1fffffff, 0, 0)),
             CAPNP_TOO_MUCH);
    CHECK_EQ(VERDICT(TestEmpties, wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 0),
                     wire_tag(40, 0, 0)),
             CAPNP_OK);
}

TEST(advisory_4_void_lists,
     "amplification: a list of 2^29 voids is charged by element, known or not")
{
    CHECK_EQ(VERDICT(TestEmpties, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_VOID, MAX29)),
             CAPNP_TOO_MUCH);
    CHECK_EQ(VERDICT(TestEmpties, wire_struct(0, 0, 1), wire_list(0, WIRE_VOID, MAX29)),
             CAPNP_TOO_MUCH);
    CHECK_EQ(VERDICT(TestFlat, wire_struct(0, 0, 1), wire_list(0, WIRE_VOID, MAX29)),
             CAPNP_TOO_MUCH);
}

TEST(
    advisory_5_elided_check,
    "bounds are compared as indices: no check rests on pointer arithmetic that a compiler may drop")
{
    CHECK_EQ(VERDICT(TestOld, wire_struct(-0x20000000, 1, 0), 0), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestOld, wire_struct(0, 0, 1), wire_list(-0x20000000, WIRE_BYTE, 1), 0),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(VERDICT(TestFlat, wire_struct(-0x20000000, 65535, 0), 0), CAPNP_OUT_OF_BOUNDS);
}

TEST(advisory_6_pointer_list,
     "a list of structs without pointers never passes for a list of pointers")
{
    CHECK_EQ(VERDICT(TestListOld, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_COMPOSITE, 1),
                     wire_tag(1, 1, 0), 0xffffffffffffffff),
             CAPNP_BAD_KIND);
    CHECK_EQ(VERDICT(TestListOld, wire_struct(0, 0, 2), 0, wire_list(0, WIRE_EIGHT, 1),
                     0xffffffffffffffff),
             CAPNP_BAD_KIND);
    /* With data and a pointer the pointer is the one behind the data. */
    uint64_t words[] = {wire_struct(0, 0, 2),
                        0,
                        wire_list(0, WIRE_COMPOSITE, 2),
                        wire_tag(1, 1, 1),
                        0xffffffffffffffff,
                        wire_list(0, WIRE_BYTE, 2),
                        'Q'};
    TestListOld_r r;
    REQUIRE_EQ(TestListOld_read(words, sizeof(words), &r), CAPNP_OK);
    CHECK(capnp_text_is(capnp_text_list_at(TestListOld_get_texts(r), 0), "Q"));
}

TEST(advisory_7_expansion,
     "nothing expands: a frame that promises more or less than the file holds is refused")
{
    const void *msg;
    size_t len;
    uint32_t frame[4] = {0, 1, 0, 0};
    CHECK_EQ(capnp_unframe(frame, sizeof(frame), &msg, &len), CAPNP_OK);
    CHECK_EQ(len, 8);
    frame[1] = 2;
    CHECK_EQ(capnp_unframe(frame, sizeof(frame), &msg, &len), CAPNP_BAD_LENGTH);
    CHECK(msg == NULL && len == 0);
    frame[1] = 0;
    CHECK_EQ(capnp_unframe(frame, sizeof(frame), &msg, &len), CAPNP_BAD_LENGTH);
    CHECK_EQ(capnp_unframe(frame, 7, &msg, &len), CAPNP_BAD_LENGTH);
    CHECK_EQ(capnp_unframe(frame, 0, &msg, &len), CAPNP_BAD_LENGTH);
}

TEST(advisory_8_size_validation,
     "a size that is negative in disguise is refused before a byte is read")
{
    uint64_t word = 0;
    struct capnp_struct out;
    CHECK_EQ(capnp_read(&word, SIZE_MAX - 7, &TestOld_type, &out), CAPNP_BAD_LENGTH);
    CHECK_EQ(capnp_read(&word, (size_t)1 << 63, &TestOld_type, &out), CAPNP_BAD_LENGTH);
    CHECK_EQ(capnp_read_flat(&word, SIZE_MAX - 7, &TestFlat_type, &out), CAPNP_BAD_LENGTH);
    CHECK_EQ(capnp_read_flat(&word, ((size_t)1 << 31) + 8, &TestFlat_type, &out), CAPNP_BAD_LENGTH);
}

TEST(advisory_9_segment_count,
     "segment counts of 1024, 2^32-1 and sizes whose sum wraps are refused")
{
    const void *msg;
    size_t len;
    uint32_t frame[1028] = {1023};
    CHECK_EQ(capnp_unframe(frame, sizeof(frame), &msg, &len), CAPNP_BAD_LENGTH);
    frame[0] = UINT32_MAX;
    CHECK_EQ(capnp_unframe(frame, sizeof(frame), &msg, &len), CAPNP_BAD_LENGTH);
    frame[0] = UINT32_MAX - 1;
    CHECK_EQ(capnp_unframe(frame, sizeof(frame), &msg, &len), CAPNP_BAD_LENGTH);
    frame[0] = 1;
    frame[1] = UINT32_MAX;
    frame[2] = 2;
    CHECK_EQ(capnp_unframe(frame, sizeof(frame), &msg, &len), CAPNP_BAD_LENGTH);
    frame[0] = 0;
    CHECK_EQ(capnp_unframe(frame, sizeof(frame), &msg, &len), CAPNP_BAD_LENGTH);
    frame[1] = 0x20000000; /* 2^29 words are 2^32 bytes: no wrap to a small size */
    CHECK_EQ(capnp_unframe(frame, 8, &msg, &len), CAPNP_BAD_LENGTH);
}
