/* SPDX-License-Identifier: MIT */
/* Messages of several segments: gathered, framed, built; and what is refused, each with its status. */
#include "tests/unit/test.h"

#include "lib/capnp/segments.h"
#include "tests/unit/codec_wire.h"

/* ---- Gathering hand-made segments ---- */

enum { MOST = 4 };

struct words {
    const uint64_t *at;
    size_t count;
};

#define WORDS(...) \
    { \
        (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8 \
    }

static uint64_t gathered[512];
static size_t gathered_bytes;

/* Gathers copies of these segments that each end where they end, into `room` bytes. */
static enum capnp_status gather_into(size_t room, const struct capnp_limits *limits,
                                     const struct words *words, uint32_t count)
{
    struct capnp_segment segments[MOST];
    for (uint32_t i = 0; i < count; i++) {
        segments[i].base = wire_copy(words[i].at, words[i].count * 8);
        segments[i].bytes = words[i].count * 8;
    }
    uint8_t *out = malloc(room > 0 ? room : 1);
    enum capnp_status status =
        limits != NULL ? capnp_gather_limited(segments, count, limits, out, room, &gathered_bytes)
                       : capnp_gather(segments, count, out, room, &gathered_bytes);
    CHECK(status == CAPNP_OK || gathered_bytes == 0);
    if (gathered_bytes <= sizeof(gathered)) {
        memcpy(gathered, out, gathered_bytes);
    }
    free(out);
    for (uint32_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)segments[i].base);
    }
    return status;
}

#define GATHER(...) \
    gather_into(sizeof(gathered), NULL, (const struct words[]){__VA_ARGS__}, \
                sizeof((const struct words[]){__VA_ARGS__}) / sizeof(struct words))

static void is_gathered(struct words wanted)
{
    REQUIRE_EQ(gathered_bytes, wanted.count * 8);
    CHECK_MEM_EQ(gathered, wanted.at, gathered_bytes);
}

#define GATHERED(...) is_gathered((struct words)WORDS(__VA_ARGS__))

TEST(gather_nothing, "no segment and an empty first segment are the empty message")
{
    size_t len = 1;
    CHECK_EQ(capnp_gather(NULL, 0, NULL, 0, &len), CAPNP_OK);
    CHECK_EQ(len, 0);
    CHECK_EQ(GATHER({NULL, 0}, WORDS(7)), CAPNP_OK);
    CHECK_EQ(gathered_bytes, 0);
    CHECK_EQ(GATHER(WORDS(0)), CAPNP_OK);
    GATHERED(0);
}

TEST(gather_far, "a far pointer leads to a struct beside its landing pad in another segment")
{
    CHECK_EQ(GATHER(WORDS(wire_far(1, 1, false)), WORDS(99, wire_struct(0, 1, 0), 42)), CAPNP_OK);
    GATHERED(wire_struct(0, 1, 0), 42);
    /* The pad may lie behind its object, and the far pointer may lead to its own segment. */
    CHECK_EQ(GATHER(WORDS(wire_far(2, 0, false), 43, wire_struct(-2, 1, 0))), CAPNP_OK);
    GATHERED(wire_struct(0, 1, 0), 43);
}

TEST(gather_double_far, "a doubled far pointer leads to a struct and a list in a third segment")
{
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, true)), WORDS(wire_far(1, 2, false), wire_struct(0, 1, 0)),
                    WORDS(99, 44)),
             CAPNP_OK);
    GATHERED(wire_struct(0, 1, 0), 44);
    CHECK_EQ(GATHER(WORDS(wire_struct(0, 0, 1), wire_far(0, 1, true)),
                    WORDS(wire_far(0, 2, false), wire_list(0, WIRE_EIGHT, 2)), WORDS(5, 6)),
             CAPNP_OK);
    GATHERED(wire_struct(0, 0, 1), wire_list(0, WIRE_EIGHT, 2), 5, 6);
}

TEST(gather_tag_offset, "the place in a doubled pointer's tag is not looked at")
{
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, true)),
                    WORDS(wire_far(0, 2, false), wire_struct(-77, 1, 0)), WORDS(45)),
             CAPNP_OK);
    GATHERED(wire_struct(0, 1, 0), 45);
}

TEST(gather_lists, "lists of pointers and of structs are copied with all they lead to")
{
    CHECK_EQ(GATHER(WORDS(wire_struct(0, 0, 2), wire_far(0, 1, false), wire_far(3, 1, false)),
                    WORDS(wire_list(0, WIRE_POINTER, 2), wire_far(0, 2, false), 0,
                          wire_list(0, WIRE_COMPOSITE, 4), wire_tag(2, 1, 1), 11, 0, 12,
                          wire_far(0, 2, false)),
                    WORDS(wire_list(0, WIRE_BYTE, 3), 0xffffffffff006162)),
             CAPNP_OK);
    GATHERED(wire_struct(0, 0, 2), wire_list(1, WIRE_POINTER, 2), wire_list(3, WIRE_COMPOSITE, 4),
             wire_list(1, WIRE_BYTE, 3), 0, 0x6162, wire_tag(2, 1, 1), 11, 0, 12,
             wire_list(0, WIRE_BYTE, 3), 0x6162);
}

TEST(gather_sections, "sections keep their sizes, zeros and all")
{
    CHECK_EQ(GATHER(WORDS(wire_struct(0, 2, 2), 1, 0, wire_list(1, WIRE_COMPOSITE, 6), 0,
                          wire_tag(2, 2, 1), 1, 0, 0, 2, 0, 0)),
             CAPNP_OK);
    GATHERED(wire_struct(0, 2, 2), 1, 0, wire_list(1, WIRE_COMPOSITE, 6), 0, wire_tag(2, 2, 1), 1,
             0, 0, 2, 0, 0);
}

TEST(gather_order,
     "objects lie in the order of their pointers, without holes and what is unreachable")
{
    CHECK_EQ(
        GATHER(WORDS(wire_struct(1, 0, 2), 99, wire_struct(2, 1, 0), wire_struct(0, 1, 0), 1, 2)),
        CAPNP_OK);
    GATHERED(wire_struct(0, 0, 2), wire_struct(1, 1, 0), wire_struct(1, 1, 0), 2, 1);
}

TEST(gather_padding,
     "bits behind a list's end, and words behind its last struct, do not come along")
{
    CHECK_EQ(GATHER(WORDS(wire_struct(0, 0, 1), wire_list(0, WIRE_BIT, 3), UINT64_MAX)), CAPNP_OK);
    GATHERED(wire_struct(0, 0, 1), wire_list(0, WIRE_BIT, 3), 7);
    CHECK_EQ(GATHER(WORDS(wire_struct(0, 0, 1), wire_list(0, WIRE_TWO, 1), UINT64_MAX)), CAPNP_OK);
    GATHERED(wire_struct(0, 0, 1), wire_list(0, WIRE_TWO, 1), 0xffff);
    CHECK_EQ(GATHER(WORDS(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 3), wire_tag(1, 1, 0),
                          5, 99, 99)),
             CAPNP_OK);
    GATHERED(wire_struct(0, 0, 1), wire_list(0, WIRE_COMPOSITE, 1), wire_tag(1, 1, 0), 5);
}

TEST(gather_empty_objects, "objects without size keep their kind and count")
{
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_struct(0, 0, 0))), CAPNP_OK);
    GATHERED(wire_struct(-1, 0, 0));
    CHECK_EQ(GATHER(WORDS(wire_struct(0, 0, 3), wire_list(2, WIRE_VOID, 9), wire_far(0, 1, false),
                          wire_list(0, WIRE_COMPOSITE, 0), wire_tag(3, 0, 0)),
                    WORDS(wire_list(-1, WIRE_BYTE, 0))),
             CAPNP_OK);
    GATHERED(wire_struct(0, 0, 3), wire_list(2, WIRE_VOID, 9), wire_list(1, WIRE_BYTE, 0),
             wire_list(0, WIRE_COMPOSITE, 0), wire_tag(3, 0, 0));
    /* A pad of zeros is a struct without words: the far pointer to it is not null. */
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(0)), CAPNP_OK);
    GATHERED(wire_struct(-1, 0, 0));
}

TEST(gather_refuses_places,
     "an unknown segment, and pads and objects that leave theirs, are refused")
{
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false))), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(GATHER(WORDS(wire_far(0, UINT32_MAX, false)), WORDS(0)), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(GATHER(WORDS(wire_far(1, 1, false)), WORDS(0)), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(GATHER(WORDS(wire_far(0x1fffffff, 1, false)), WORDS(0)), CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), {NULL, 0}), CAPNP_OUT_OF_BOUNDS);
    /* Half a pad. */
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, true)), WORDS(wire_far(0, 0, false))),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(
        GATHER(WORDS(wire_far(0, 1, true)), WORDS(wire_far(0, 2, false), wire_struct(0, 0, 0))),
        CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(
        GATHER(WORDS(wire_far(0, 1, true)), WORDS(wire_far(2, 0, false), wire_struct(0, 0, 0))),
        CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(
        GATHER(WORDS(wire_far(0, 1, true)), WORDS(wire_far(1, 0, false), wire_struct(0, 1, 0))),
        CAPNP_OUT_OF_BOUNDS);
    /* Objects: before the segment, one word past it, a list, the tag of a list of structs. */
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_struct(-2, 1, 0))),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_struct(0, 1, 1), 0)),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_list(0, WIRE_EIGHT, 2), 0)),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_list(0, WIRE_BYTE, (1 << 29) - 1), 0)),
             CAPNP_OUT_OF_BOUNDS);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_list(0, WIRE_COMPOSITE, 0))),
             CAPNP_OUT_OF_BOUNDS);
}

TEST(gather_segments_apart,
     "an object does not reach into the next segment, though that lies right behind")
{
    uint64_t both[] = {wire_struct(0, 2, 0), 1, 2};
    struct capnp_segment segments[] = {{both, 16}, {both + 2, 8}};
    uint64_t out[8];
    size_t len;
    CHECK_EQ(capnp_gather(segments, 2, out, sizeof(out), &len), CAPNP_OUT_OF_BOUNDS);
    both[0] = wire_struct(1, 1, 0);
    CHECK_EQ(capnp_gather(segments, 2, out, sizeof(out), &len), CAPNP_OUT_OF_BOUNDS);
    both[0] = wire_struct(0, 1, 0);
    CHECK_EQ(capnp_gather(segments, 2, out, sizeof(out), &len), CAPNP_OK);
}

TEST(gather_refuses_pads, "a landing pad that leads on, or is none, is refused")
{
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_far(0, 2, false)),
                    WORDS(wire_struct(0, 0, 0))),
             CAPNP_BAD_POINTER);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 0, false))), CAPNP_BAD_POINTER); /* itself */
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_capability(0))), CAPNP_BAD_POINTER);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, true)), WORDS(wire_struct(0, 0, 0), wire_struct(0, 0, 0))),
             CAPNP_BAD_POINTER);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, true)), WORDS(wire_far(0, 0, true), wire_struct(0, 0, 0))),
             CAPNP_BAD_POINTER);
    CHECK_EQ(
        GATHER(WORDS(wire_far(0, 1, true)), WORDS(wire_far(0, 0, false), wire_far(0, 0, false))),
        CAPNP_BAD_POINTER);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, true)), WORDS(wire_far(0, 0, false), wire_capability(0))),
             CAPNP_BAD_POINTER);
    CHECK_EQ(GATHER(WORDS(wire_struct(0, 0, 1), wire_capability(0))), CAPNP_BAD_POINTER);
}

TEST(gather_refuses_lists, "a malformed list of structs is refused")
{
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)),
                    WORDS(wire_list(0, WIRE_COMPOSITE, 1), wire_tag(2, 1, 0), 0)),
             CAPNP_BAD_LIST);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)),
                    WORDS(wire_list(0, WIRE_COMPOSITE, 1), wire_tag(1, 1, 0) | 1, 0)),
             CAPNP_BAD_LIST);
}

TEST(gather_lengths, "a segment that is no whole number of words, or too long, is refused unread")
{
    struct capnp_segment segments[] = {{NULL, 0}, {NULL, 12}};
    size_t len;
    CHECK_EQ(capnp_gather(segments, 2, NULL, 0, &len), CAPNP_BAD_LENGTH);
    segments[1].bytes = CAPNP_SEGMENT_MAX_BYTES + 8;
    CHECK_EQ(capnp_gather(segments, 2, NULL, 0, &len), CAPNP_BAD_LENGTH);
    segments[1].bytes = SIZE_MAX - 7;
    CHECK_EQ(capnp_gather(segments, 2, NULL, 0, &len), CAPNP_BAD_LENGTH);
}

TEST(gather_room,
     "a buffer of just the size will do, and of no smaller one a byte too many is written")
{
    const struct words words[] = {WORDS(wire_far(0, 1, false)),
                                  WORDS(wire_struct(0, 1, 2), 9, wire_list(1, WIRE_BYTE, 9),
                                        wire_list(2, WIRE_POINTER, 1), 1, 2, 0)};
    for (size_t room = 0; room < 56; room++) {
        CHECK_EQ(gather_into(room, NULL, words, 2), CAPNP_NO_ROOM);
    }
    CHECK_EQ(gather_into(56, NULL, words, 2), CAPNP_OK);
    CHECK_EQ(gathered_bytes, 56);
}

TEST(gather_budget, "every word followed is paid for, landing pads too, and no more")
{
    const struct words words[] = {WORDS(wire_far(0, 1, true)),
                                  WORDS(wire_far(0, 2, false), wire_struct(0, 3, 0)),
                                  WORDS(1, 2, 3)};
    for (uint64_t budget = 0; budget < 8; budget++) {
        struct capnp_limits limits = {budget, 1};
        CHECK_EQ(gather_into(64, &limits, words, 3), budget < 5 ? CAPNP_TOO_MUCH : CAPNP_OK);
    }
    struct capnp_limits shallow = {100, 0};
    CHECK_EQ(gather_into(64, &shallow, words, 3), CAPNP_TOO_DEEP);
}

TEST(gather_loop,
     "a struct that contains itself, by way of another segment, ends at the depth limit")
{
    CHECK_EQ(
        GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_struct(0, 0, 1), wire_far(0, 1, false))),
        CAPNP_TOO_DEEP);
    /* Thirty-two levels pass. */
    uint64_t chain[32];
    for (int i = 0; i < 32; i++) {
        chain[i] = i < 31 ? wire_struct(0, 0, 1) : wire_struct(-1, 0, 0);
    }
    struct words words = {chain, 32};
    CHECK_EQ(gather_into(sizeof(gathered), NULL, &words, 1), CAPNP_OK);
    struct capnp_limits limits = {1000, 31};
    CHECK_EQ(gather_into(sizeof(gathered), &limits, &words, 1), CAPNP_TOO_DEEP);
}

TEST(gather_amplified,
     "a list that names one list many times, and so on, costs no more than its limit")
{
    /* 8 pointers to a list of 8 pointers to ... : 8^24 words if all were followed. */
    enum { LEVELS = 24, WIDE = 8 };
    static uint64_t tower[1 + LEVELS * WIDE];
    tower[0] = wire_list(0, WIRE_POINTER, WIDE);
    for (int level = 0; level < LEVELS; level++) {
        for (int i = 0; i < WIDE; i++) {
            tower[1 + level * WIDE + i] =
                level + 1 < LEVELS ? wire_list(WIDE - 1 - i, WIRE_POINTER, WIDE) : 0;
        }
    }
    struct words words = {tower, 1 + LEVELS * WIDE};
    CHECK_EQ(gather_into(1 << 20, NULL, &words, 1), CAPNP_TOO_MUCH);
    struct capnp_limits generous = {UINT64_C(1) << 40, 32};
    CHECK_EQ(gather_into(4096, &generous, &words, 1), CAPNP_NO_ROOM);
}

TEST(gather_void_amplified, "lists of elements without size are paid by the element")
{
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)), WORDS(wire_list(0, WIRE_VOID, (1 << 29) - 1))),
             CAPNP_TOO_MUCH);
    CHECK_EQ(GATHER(WORDS(wire_far(0, 1, false)),
                    WORDS(wire_list(0, WIRE_COMPOSITE, 0), wire_tag((1 << 29) - 1, 0, 0))),
             CAPNP_TOO_MUCH);
}

/* ---- Frames ---- */

TEST(frame_cut, "of a frame that ends too early one learns how long it is at least")
{
    uint8_t file[16 + 24 + 8 + 3];
    memset(file, 0, sizeof(file));
    store_le32(file, 1);
    store_le32(file + 4, 3);
    store_le32(file + 8, 1);
    for (size_t have = 0; have < sizeof(file); have++) {
        struct capnp_segment segments[2];
        uint32_t count;
        size_t bytes;
        uint8_t *copy = wire_copy(file, have);
        enum capnp_status status = capnp_frame_open(copy, have, segments, 2, &count, &bytes);
        CHECK_EQ(status, have < 48 ? CAPNP_CUT : CAPNP_OK);
        CHECK_EQ(bytes, have < 8 ? 8 : have < 16 ? 16 : 48);
        CHECK_EQ(count, have < 48 ? 0 : 2);
        if (status == CAPNP_OK) {
            CHECK_PTR_EQ(segments[0].base, copy + 16);
            CHECK_EQ(segments[0].bytes, 24);
            CHECK_PTR_EQ(segments[1].base, copy + 40);
            CHECK_EQ(segments[1].bytes, 8);
        }
        free(copy);
    }
}

TEST(frame_refused, "frames of too many and of impossible segments are refused")
{
    struct capnp_segment segments[2];
    uint32_t count;
    size_t bytes;
    uint32_t table[4] = {2, 0, 0, 0};
    CHECK_EQ(capnp_frame_open(table, 16, segments, 2, &count, &bytes), CAPNP_NO_ROOM);
    CHECK_EQ(count, 3);
    table[0] = UINT32_MAX;
    CHECK_EQ(capnp_frame_open(table, 16, segments, 2, &count, &bytes), CAPNP_BAD_LENGTH);
    table[0] = UINT32_MAX - 1;
    CHECK_EQ(capnp_frame_open(table, 16, segments, 2, &count, &bytes), CAPNP_NO_ROOM);
    CHECK_EQ(count, UINT32_MAX);
    table[0] = 1;
    table[2] = UINT32_MAX;
    CHECK_EQ(capnp_frame_open(table, 16, segments, 2, &count, &bytes), CAPNP_BAD_LENGTH);
    table[2] = UINT32_C(1) << 28;
    CHECK_EQ(capnp_frame_open(table, 16, segments, 2, &count, &bytes), CAPNP_CUT);
    CHECK_EQ(bytes, 16 + CAPNP_SEGMENT_MAX_BYTES);
}

TEST(frame_table,
     "a written table opens as what was written, and is refused where it cannot be written")
{
    uint8_t words[64] = {0};
    struct capnp_segment in[3] = {{words, 8}, {words, 16}, {words, 0}};
    struct capnp_segment segments[3];
    uint8_t file[64];
    size_t len;
    uint32_t count;
    size_t bytes;
    for (uint32_t n = 1; n <= 3; n++) {
        memset(file, 0xff, sizeof(file));
        REQUIRE_EQ(capnp_frame_table(in, n, file, sizeof(file), &len), CAPNP_OK);
        CHECK_EQ(len, n == 1 ? 8 : 16);
        CHECK(n != 2 || load_le32(file + 12) == 0);
        CHECK_EQ(capnp_frame_open(file, sizeof(file), segments, 3, &count, &bytes), CAPNP_OK);
        CHECK_EQ(count, n);
        CHECK_EQ(segments[n - 1].bytes, in[n - 1].bytes);
        CHECK_EQ(capnp_frame_table(in, n, file, len - 1, &len), CAPNP_NO_ROOM);
        CHECK_EQ(len, 0);
    }
    CHECK_EQ(capnp_frame_table(in, 0, file, sizeof(file), &len), CAPNP_BAD_USE);
    in[1].bytes = 12;
    CHECK_EQ(capnp_frame_table(in, 2, file, sizeof(file), &len), CAPNP_BAD_USE);
    in[1].bytes = CAPNP_SEGMENT_MAX_BYTES + 8;
    CHECK_EQ(capnp_frame_table(in, 2, file, sizeof(file), &len), CAPNP_BAD_USE);
}

/* ---- Building over several buffers ---- */

/* Gives buffers that end where they end, of `bytes` or, if that is less than asked for, just what is asked for. */
struct shelf {
    void *given[CAPNP_SEGMENTS_MAX];
    uint32_t count;
    size_t bytes;
    uint32_t most; /* then there are none */
    bool stingy;   /* gives nothing */
};

static void *shelf_more(void *context, size_t least, size_t *bytes)
{
    struct shelf *shelf = context;
    if (shelf->count == shelf->most) {
        return NULL;
    }
    *bytes = shelf->stingy ? 0 : least > shelf->bytes ? least : shelf->bytes;
    void *buffer = malloc(*bytes + 1);
    memset(buffer, 0xaa, *bytes);
    shelf->given[shelf->count++] = buffer;
    return buffer;
}

static void shelf_empty(struct shelf *shelf)
{
    for (uint32_t i = 0; i < shelf->count; i++) {
        free(shelf->given[i]);
    }
    shelf->count = 0;
}

/* Some of every kind of object. */
static void fill(TestAll_b all)
{
    TestAll_set_int64(all, -5);
    TestAll_set_text(all, "a text of more than one word", 28);
    TestAll_set_data(all, "\1\2\3", 3);
    TestAll_b child = TestAll_init_child(all);
    TestAll_set_uint32(child, 77);
    TestAll_set_text(child, "", 0);
    capnp_list_bool_set(TestAll_init_bools(all, 70), 69, true);
    capnp_list_i64_set(TestAll_init_int64s(all, 3), 2, -9);
    struct capnp_list_b texts = TestAll_init_texts(all, 3);
    capnp_text_list_set(texts, 0, "first", 5);
    capnp_text_list_set(texts, 2, "and the third one", 17);
    TestAll_list_b children = TestAll_init_children(all, 2);
    TestAll_set_text(TestAll_list_b_at(children, 1), "in a list", 9);
    struct capnp_list_b matrix = TestAll_init_matrix(all, 2);
    struct capnp_list_b row = capnp_list_list_init(matrix, 1, CAPNP_KIND_BITS32, 5);
    capnp_list_u32_set(row, 4, 4);
    TestPoint_b point = TestAll_init_point(all);
    TestPoint_set_y(point, 12);
    (void)TestAll_init_voids(all, 6);
}

/* The same content, gathered from one buffer. */
static size_t fill_bare(uint64_t *out, size_t bytes)
{
    static uint64_t room[512];
    struct capnp_builder b;
    struct capnp_segment one = {room, 0};
    size_t len = 0;
    capnp_builder_init(&b, room, sizeof(room));
    fill(TestAll_init(&b));
    CHECK_EQ(capnp_finish(&b, &one.bytes), CAPNP_OK);
    CHECK_EQ(capnp_gather(&one, 1, out, bytes, &len), CAPNP_OK);
    return len;
}

TEST(build_same, "over buffers of any size the same message is built as in one")
{
    uint64_t wanted[512];
    uint64_t found[512];
    size_t wanted_bytes = fill_bare(wanted, sizeof(wanted));
    uint32_t most = 0;
    for (size_t bytes = 8; bytes < 1024; bytes += bytes < 300 ? 1 : 37) {
        struct shelf shelf = {.bytes = bytes, .most = CAPNP_SEGMENTS_MAX};
        struct capnp_segmented w;
        struct capnp_segment segments[CAPNP_SEGMENTS_MAX];
        uint32_t count;
        size_t len = 0;
        uint8_t *first = malloc(bytes);
        capnp_segmented_init(&w, first, bytes, shelf_more, &shelf);
        fill(TestAll_init(capnp_segmented_root(&w)));
        REQUIRE_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_OK);
        CHECK_EQ(capnp_gather(segments, count, found, sizeof(found), &len), CAPNP_OK);
        CHECK_EQ(len, wanted_bytes);
        CHECK_MEM_EQ(found, wanted, len);
        CHECK_EQ(count, shelf.count + 1);
        most = count > most ? count : most;
        free(first);
        shelf_empty(&shelf);
    }
    CHECK(most > 4);
}

TEST(build_without_more, "without further buffers a full one is a failure that stays")
{
    uint64_t room[4];
    struct capnp_segmented w;
    struct capnp_segment segments[CAPNP_SEGMENTS_MAX];
    uint32_t count = 9;
    capnp_segmented_init(&w, room, sizeof(room), NULL, NULL);
    TestOld_b old = TestOld_init(capnp_segmented_root(&w));
    TestOld_set_old2(old, "longer than there is room for", 29);
    TestOld_set_old2(old, "", 0);
    CHECK_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_NO_ROOM);
    CHECK_EQ(count, 0);
    /* It fits when it fits. */
    capnp_segmented_init(&w, room, sizeof(room), NULL, NULL);
    old = TestOld_init(capnp_segmented_root(&w));
    TestOld_set_old2(old, "", 0);
    CHECK_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_OK);
    CHECK_EQ(count, 1);
}

TEST(build_no_room,
     "a first buffer without a word, a stingy giver and an end of buffers are failures")
{
    uint64_t room[2];
    struct capnp_segment segments[CAPNP_SEGMENTS_MAX];
    uint32_t count;
    struct capnp_segmented w;
    struct shelf shelf = {.bytes = 64, .most = 3};
    capnp_segmented_init(&w, room, 7, shelf_more, &shelf);
    (void)TestAll_init(capnp_segmented_root(&w));
    CHECK_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_NO_ROOM);
    CHECK_EQ(shelf.count, 0);
    capnp_segmented_init(&w, room, sizeof(room), shelf_more, &shelf);
    fill(TestAll_init(capnp_segmented_root(&w)));
    CHECK_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_NO_ROOM);
    CHECK_EQ(count, 0);
    CHECK_EQ(shelf.count, 3);
    shelf_empty(&shelf);
    shelf.stingy = true;
    capnp_segmented_init(&w, room, sizeof(room), shelf_more, &shelf);
    fill(TestAll_init(capnp_segmented_root(&w)));
    CHECK_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_NO_ROOM);
    shelf_empty(&shelf);
}

TEST(build_too_many, "more segments than a message under construction may have are a failure")
{
    uint64_t room[1];
    struct capnp_segment segments[CAPNP_SEGMENTS_MAX];
    uint32_t count;
    struct capnp_segmented w;
    struct shelf shelf = {.bytes = 8, .most = UINT32_MAX};
    capnp_segmented_init(&w, room, sizeof(room), shelf_more, &shelf);
    TestChain_b chain = TestChain_init(capnp_segmented_root(&w));
    for (int i = 0; i < CAPNP_SEGMENTS_MAX - 2; i++) {
        chain = TestChain_init_next(chain);
    }
    TestChain_set_mark(chain, 5);
    REQUIRE_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_OK);
    CHECK_EQ(count, CAPNP_SEGMENTS_MAX);
    chain = TestChain_init_next(chain);
    TestChain_set_mark(chain, 6);
    CHECK_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_NO_ROOM);
    CHECK_EQ(shelf.count, CAPNP_SEGMENTS_MAX - 1);
    shelf_empty(&shelf);
}

TEST(build_bad_use, "a bad index in a later segment is the message's failure")
{
    uint64_t room[1];
    struct capnp_segment segments[CAPNP_SEGMENTS_MAX];
    uint32_t count;
    struct capnp_segmented w;
    struct shelf shelf = {.bytes = 4096, .most = 1};
    capnp_segmented_init(&w, room, sizeof(room), shelf_more, &shelf);
    TestAll_b all = TestAll_init(capnp_segmented_root(&w));
    capnp_list_u64_set(TestAll_init_int64s(all, 2), 2, 1);
    CHECK_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_BAD_USE);
    shelf_empty(&shelf);
}

/* ---- The stock tool ---- */

TEST(stock_reads_segments, "the stock tool reads by name what we built over small buffers")
{
    char path[] = "/tmp/codec-segments-XXXXXX";
    char line[256];
    char out[4096];
    struct shelf shelf = {.bytes = 160, .most = CAPNP_SEGMENTS_MAX};
    struct capnp_segmented w;
    struct capnp_segment segments[CAPNP_SEGMENTS_MAX];
    uint32_t count;
    uint8_t table[256];
    size_t len;
    capnp_segmented_init(&w, malloc(160), 160, shelf_more, &shelf);
    fill(TestAll_init(capnp_segmented_root(&w)));
    REQUIRE_EQ(capnp_segmented_finish(&w, segments, &count), CAPNP_OK);
    REQUIRE(count > 3);
    REQUIRE_EQ(capnp_frame_table(segments, count, table, sizeof(table), &len), CAPNP_OK);
    int fd = mkstemp(path);
    REQUIRE(fd >= 0 && write(fd, table, len) == (ssize_t)len);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(write(fd, segments[i].base, segments[i].bytes) == (ssize_t)segments[i].bytes);
    }
    close(fd);
    free((void *)(uintptr_t)segments[0].base);
    shelf_empty(&shelf);
    snprintf(line, sizeof(line),
             "capnp convert binary:text --short -Ischema tests/unit/codec_types.capnp TestAll < %s",
             path);
    FILE *pipe = popen(line, "r");
    size_t got = pipe != NULL ? fread(out, 1, sizeof(out) - 1, pipe) : 0;
    out[got] = '\0';
    CHECK(pipe != NULL && pclose(pipe) == 0);
    unlink(path);
    const char *const wanted[] = {"int64 = -5",
                                  "text = \"a text of more than one word\"",
                                  "data = \"\\001\\002\\003\"",
                                  "uint32 = 77",
                                  "int64s = [0, 0, -9]",
                                  "texts = [\"first\", \"\", \"and the third one\"]",
                                  "text = \"in a list\"",
                                  "matrix = [[], [0, 0, 0, 0, 4]]",
                                  "point = (x = 0, y = 12)"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strstr(out, wanted[i]) == NULL) {
            printf("# missing: %s\n# in: %s\n", wanted[i], out);
            FAIL("the stock tool read something else");
        }
    }
}
