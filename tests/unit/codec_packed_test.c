/* SPDX-License-Identifier: MIT */
/* The packed form: known encodings, by pieces of every size in both directions, cut anywhere, and frames. */
#include "tests/unit/test.h"

#include "lib/capnp/packed.h"
#include "lib/capnp/segments.h"
#include "tests/unit/codec_wire.h"

enum { MOST = 8192 };

static uint8_t packed[2 * MOST];
static uint8_t unpacked[2 * MOST];

/* Packs into a buffer of just `room`; the bytes made are in `packed`. */
static enum capnp_status pack(const void *in, size_t bytes, size_t room, size_t *taken,
                              size_t *made)
{
    void *from = wire_copy(in, bytes);
    uint8_t *out = malloc(room > 0 ? room : 1);
    enum capnp_status status = capnp_pack(from, bytes, out, room, taken, made);
    memcpy(packed, out, *made);
    free(out);
    free(from);
    return status;
}

static void packs_as(const void *in, size_t bytes, const void *wanted, size_t wanted_bytes)
{
    size_t taken, made;
    CHECK_EQ(pack(in, bytes, capnp_packed_most(bytes), &taken, &made), CAPNP_OK);
    CHECK_EQ(taken, bytes);
    REQUIRE_EQ(made, wanted_bytes);
    CHECK_MEM_EQ(packed, wanted, made);
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

TEST(pack_known, "the examples of the encoding's description are packed as they are there")
{
    packs_as(BYTES(8, 0, 0, 0, 3, 0, 2, 0, 0x19, 0, 0, 0, 0xaa, 1, 0, 0),
             BYTES(0x51, 8, 3, 2, 0x31, 0x19, 0xaa, 1));
    packs_as(unpacked, 32, BYTES(0, 3));
    uint8_t full[32];
    uint8_t wanted[34] = {0xff};
    memset(full, 0x8a, sizeof(full));
    memset(wanted + 1, 0x8a, 8);
    wanted[9] = 3;
    memset(wanted + 10, 0x8a, 24);
    packs_as(full, 32, wanted, sizeof(wanted));
    packs_as("", 0, "", 0);
}

TEST(pack_runs, "runs end after 256 words, and where packing pays again")
{
    static uint8_t words[300 * 8];
    packs_as(words, sizeof(words), BYTES(0, 255, 0, 43));
    /* A word of one zero goes on in a run, one of two ends it. */
    packs_as(
        BYTES(1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 0, 0),
        BYTES(0xff, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 2, 3, 4, 5, 6, 7, 0, 0x3f, 1, 2, 3, 4, 5, 6));
    size_t taken, made;
    memset(words, 7, sizeof(words));
    CHECK_EQ(pack(words, sizeof(words), 3000, &taken, &made), CAPNP_OK);
    CHECK_EQ(made, 10 + 255 * 8 + 10 + 43 * 8);
    CHECK_EQ(packed[9], 255);
    CHECK_EQ(packed[10 + 255 * 8 + 9], 43);
}

TEST(pack_refused, "what is no whole number of words is refused with nothing done")
{
    size_t taken, made;
    for (size_t bytes = 1; bytes < 8; bytes++) {
        CHECK_EQ(pack(unpacked, bytes, 64, &taken, &made), CAPNP_BAD_LENGTH);
        CHECK_EQ(taken + made, 0);
    }
}

/* Words that a seed chooses: runs of zero words, of full words, and mixed ones. */
static size_t choose(uint32_t seed, uint8_t *out, size_t most)
{
    size_t at = 0;
    while (at + 8 <= most) {
        seed = seed * 1664525 + 1013904223;
        size_t run = (seed >> 8) % 5 == 0 ? (seed >> 16) % 300 : 1 + (seed >> 16) % 3;
        uint32_t kind = (seed >> 12) % 4;
        for (size_t i = 0; i < run && at + 8 <= most; i++, at += 8) {
            for (size_t k = 0; k < 8; k++) {
                seed = seed * 1664525 + 1013904223;
                bool zero = kind == 0 || (kind > 1 && (seed >> 24) % (kind == 2 ? 2 : 8) == 0);
                out[at + k] = zero ? 0 : (uint8_t)(1 + (seed >> 16) % 255);
            }
        }
    }
    return at;
}

TEST(pack_bound, "packed at once no input is longer than said, and some are as long")
{
    static uint8_t words[5 * 8];
    size_t taken, made;
    for (uint32_t shape = 0; shape < 243; shape++) { /* 3^5: zero, full and six bytes */
        uint32_t rest = shape;
        for (size_t i = 0; i < 5; i++, rest /= 3) {
            memset(words + i * 8, rest % 3 == 0 ? 0 : 9, 8);
            memset(words + i * 8 + 6, rest % 3 == 1 ? 9 : 0, 2);
        }
        for (size_t n = 0; n <= 5; n++) {
            CHECK_EQ(pack(words, n * 8, capnp_packed_most(n * 8), &taken, &made), CAPNP_OK);
        }
    }
    memset(words, 9, sizeof(words));
    memset(words + 14, 0, 2);
    CHECK_EQ(pack(words, 24, 27, &taken, &made), CAPNP_OK);
    CHECK_EQ(made, 27);
    CHECK_EQ(capnp_packed_most(24), 27);
    static uint8_t many[MOST];
    for (uint32_t seed = 0; seed < 50; seed++) {
        size_t bytes = choose(seed, many, sizeof(many));
        CHECK_EQ(pack(many, bytes, capnp_packed_most(bytes), &taken, &made), CAPNP_OK);
    }
}

/* Packs and unpacks by pieces. */
static void by_pieces(const uint8_t *words, size_t bytes, size_t in_piece, size_t room)
{
    size_t length = 0;
    for (size_t at = 0; at < bytes;) {
        size_t piece = bytes - at < in_piece * 8 ? bytes - at : in_piece * 8;
        size_t taken, made;
        uint8_t *out = malloc(room);
        enum capnp_status status = capnp_pack(words + at, piece, out, room, &taken, &made);
        CHECK(status == CAPNP_OK ? taken == piece : status == CAPNP_NO_ROOM && taken < piece);
        REQUIRE(taken > 0 && length + made <= sizeof(packed));
        memcpy(packed + length, out, made);
        free(out);
        length += made;
        at += taken;
    }
    struct capnp_unpacker u = {0};
    size_t done = 0;
    enum capnp_status status = CAPNP_OK;
    for (size_t at = 0; at < length || status == CAPNP_NO_ROOM;) {
        size_t piece = length - at < in_piece ? length - at : in_piece;
        size_t taken, made;
        void *in = wire_copy(packed + at, piece);
        uint8_t *out = malloc(room);
        status = capnp_unpack(&u, in, piece, out, room, &taken, &made);
        CHECK(status == CAPNP_OK ? taken == piece : status == CAPNP_NO_ROOM && made == room);
        REQUIRE(taken + made > 0 && done + made <= bytes);
        memcpy(unpacked + done, out, made);
        free(in);
        free(out);
        at += taken;
        done += made;
    }
    CHECK(capnp_unpack_ended(&u));
    REQUIRE_EQ(done, bytes);
    CHECK_MEM_EQ(unpacked, words, bytes);
}

TEST(pack_pieces, "by pieces of any size what was packed comes out again")
{
    static uint8_t words[MOST];
    for (uint32_t seed = 0; seed < 12; seed++) {
        size_t bytes = choose(seed, words, 200 + seed * 500);
        for (size_t piece = 1; piece < 20; piece += 1 + piece / 4) {
            for (size_t room = CAPNP_PACK_LEAST; room < 100; room += 1 + room / 5) {
                by_pieces(words, bytes, piece, room);
            }
        }
        by_pieces(words, bytes, MOST, sizeof(packed));
    }
}

TEST(pack_least, "less room than one word needs takes nothing, and ten bytes always take something")
{
    uint64_t full = UINT64_C(0x0101010101010101);
    uint64_t zero = 0;
    size_t taken, made;
    for (size_t room = 0; room < 10; room++) {
        CHECK_EQ(pack(&full, 8, room, &taken, &made), CAPNP_NO_ROOM);
        CHECK_EQ(taken + made, 0);
        CHECK_EQ(pack(&zero, 8, room, &taken, &made), room < 2 ? CAPNP_NO_ROOM : CAPNP_OK);
    }
    CHECK_EQ(pack(&full, 8, CAPNP_PACK_LEAST, &taken, &made), CAPNP_OK);
}

TEST(unpack_bytes, "one byte of input and one of room at a time will do")
{
    static uint8_t words[1024];
    size_t bytes = choose(3, words, sizeof(words));
    size_t taken, made;
    size_t length;
    size_t at = 0;
    size_t done = 0;
    struct capnp_unpacker u = {0};
    CHECK_EQ(pack(words, bytes, sizeof(packed), &taken, &length), CAPNP_OK);
    while (done < bytes) {
        enum capnp_status status =
            capnp_unpack(&u, packed + at, at < length ? 1 : 0, unpacked + done, 1, &taken, &made);
        REQUIRE(status == CAPNP_OK || status == CAPNP_NO_ROOM);
        REQUIRE(taken + made > 0);
        at += taken;
        done += made;
    }
    /* The count behind a last zero or full word is still there to be taken. */
    CHECK_EQ(capnp_unpack(&u, packed + at, length - at, NULL, 0, &taken, &made), CAPNP_OK);
    CHECK_EQ(at + taken, length);
    CHECK(capnp_unpack_ended(&u));
    CHECK_MEM_EQ(unpacked, words, bytes);
}

TEST(unpack_cut, "an input that ends anywhere but between words and runs was cut")
{
    const uint8_t input[] = {0x51, 8, 3, 2, 0, 3, 0xff, 1, 2, 3, 4, 5, 6,
                             7,    8, 1, 9, 9, 9, 9,    9, 9, 9, 9, 0, 0};
    const size_t ends[] = {0, 4, 6, 24, 26};
    size_t next = 0;
    for (size_t n = 0; n <= sizeof(input); n++) {
        struct capnp_unpacker u = {0};
        size_t taken, made;
        void *in = wire_copy(input, n);
        CHECK_EQ(capnp_unpack(&u, in, n, unpacked, sizeof(unpacked), &taken, &made), CAPNP_OK);
        CHECK_EQ(taken, n);
        bool end = n == ends[next];
        next += end ? 1 : 0;
        CHECK_EQ(capnp_unpack_ended(&u), end);
        free(in);
    }
    CHECK_EQ(next, 5);
}

TEST(unpack_loose,
     "zeros where a byte was announced, and runs that could be longer, are read as well")
{
    struct capnp_unpacker u = {0};
    const uint8_t input[] = {0x03, 0, 7, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    size_t taken, made;
    CHECK_EQ(capnp_unpack(&u, input, sizeof(input), unpacked, sizeof(unpacked), &taken, &made),
             CAPNP_OK);
    CHECK(capnp_unpack_ended(&u));
    CHECK_EQ(made, 32);
    CHECK_EQ(load_le64(unpacked), 0x700);
    CHECK_EQ(load_le64(unpacked + 24), 0);
}

TEST(unpack_bomb, "what grows a thousand times stops at the room")
{
    uint8_t bomb[64];
    for (size_t i = 0; i < sizeof(bomb); i += 2) {
        bomb[i] = 0;
        bomb[i + 1] = 255;
    }
    struct capnp_unpacker u = {0};
    uint8_t *out = malloc(5001);
    size_t taken, made;
    CHECK_EQ(capnp_unpack(&u, bomb, sizeof(bomb), out, 5001, &taken, &made), CAPNP_NO_ROOM);
    CHECK_EQ(made, 5001);
    CHECK_EQ(taken, 6);
    free(out);
}

/* ---- Frames ---- */

/* A frame of two segments, packed as a stream does it: the table, then each segment. */
static size_t packed_frame(uint8_t *out, size_t room, uint8_t *frame, size_t *frame_bytes)
{
    static const uint64_t first[] = {1, 0, 0, UINT64_C(0x0101010101010101)};
    static const uint64_t second[] = {0, 0};
    struct capnp_segment segments[] = {{first, sizeof(first)}, {second, sizeof(second)}};
    size_t len = 0;
    size_t at = 0;
    CHECK_EQ(capnp_frame_table(segments, 2, frame, 64, &len), CAPNP_OK);
    memcpy(frame + len, first, sizeof(first));
    memcpy(frame + len + sizeof(first), second, sizeof(second));
    size_t pieces[] = {len, sizeof(first), sizeof(second)};
    *frame_bytes = 0;
    for (size_t i = 0; i < 3; i++) {
        size_t taken, made;
        CHECK_EQ(capnp_pack(frame + *frame_bytes, pieces[i], out + at, room - at, &taken, &made),
                 CAPNP_OK);
        at += made;
        *frame_bytes += pieces[i];
    }
    return at;
}

TEST(unpack_frame, "a packed frame comes out whole, says where it ends, and is cut anywhere before")
{
    uint8_t frame[64];
    uint8_t stream[128];
    size_t frame_bytes;
    size_t length = packed_frame(stream, sizeof(stream), frame, &frame_bytes);
    for (size_t have = 0; have <= length + 3; have++) {
        size_t taken, bytes;
        uint8_t *out = malloc(frame_bytes);
        void *in = wire_copy(stream, have);
        enum capnp_status status = capnp_unpack_frame(in, have, out, frame_bytes, &taken, &bytes);
        CHECK_EQ(status, have < length ? CAPNP_CUT : CAPNP_OK);
        CHECK_EQ(taken, have < length ? 0 : length);
        if (status == CAPNP_OK) {
            CHECK_EQ(bytes, frame_bytes);
            CHECK_MEM_EQ(out, frame, frame_bytes);
        }
        free(in);
        free(out);
    }
    for (size_t room = 0; room < frame_bytes; room++) {
        size_t taken, bytes;
        uint8_t *out = malloc(room > 0 ? room : 1);
        CHECK_EQ(capnp_unpack_frame(stream, length, out, room, &taken, &bytes), CAPNP_NO_ROOM);
        CHECK_EQ(bytes, room < 8 ? 8 : room < 16 ? 16 : frame_bytes);
        CHECK_EQ(taken, 0);
        free(out);
    }
}

static enum capnp_status unpack_frame(const uint8_t *in, size_t in_bytes, size_t *bytes)
{
    size_t taken;
    void *copy = wire_copy(in, in_bytes);
    enum capnp_status status = capnp_unpack_frame(copy, in_bytes, unpacked, 64, &taken, bytes);
    free(copy);
    return status;
}

TEST(unpack_frame_runs, "a run over the end of the first word, the table or the frame is refused")
{
    size_t bytes;
    /* One segment of no words; then of one word, in a run with the table. */
    CHECK_EQ(unpack_frame(BYTES(0, 0), &bytes), CAPNP_OK);
    CHECK_EQ(bytes, 8);
    CHECK_EQ(unpack_frame(BYTES(0, 1), &bytes), CAPNP_BAD_LENGTH);
    CHECK_EQ(unpack_frame(BYTES(0x10, 1, 0, 0), &bytes), CAPNP_OK);
    CHECK_EQ(unpack_frame(BYTES(0x10, 1, 0, 1), &bytes), CAPNP_BAD_LENGTH);
    /* Three empty segments: a second word of table. */
    CHECK_EQ(unpack_frame(BYTES(0x01, 2, 0, 0), &bytes), CAPNP_OK);
    CHECK_EQ(bytes, 16);
    CHECK_EQ(unpack_frame(BYTES(0x01, 2, 0, 1), &bytes), CAPNP_BAD_LENGTH);
}

TEST(unpack_frame_claims,
     "a frame is as large as it says: refused before it is made, with how large")
{
    size_t bytes;
    CHECK_EQ(unpack_frame(BYTES(0x80, 0x10), &bytes), CAPNP_NO_ROOM);
    CHECK_EQ(bytes, 8 + (UINT64_C(0x10000000) * 8));
    CHECK_EQ(unpack_frame(BYTES(0x80, 0x20), &bytes), CAPNP_BAD_LENGTH);
    CHECK_EQ(unpack_frame(BYTES(0x0f, 255, 255, 255, 255), &bytes), CAPNP_BAD_LENGTH);
    CHECK_EQ(unpack_frame(BYTES(0x0f, 254, 255, 255, 255), &bytes), CAPNP_NO_ROOM);
}
