/* SPDX-License-Identifier: MIT */
/*
 * The codec as it is compiled for programs: a message is built over small segments, framed, taken
 * apart, gathered and read again; packed and unpacked; and brought into its canonical form. All of
 * it is printed in hexadecimal, for the stock tool on the host (tests/qemu/cases/codec.py).
 *
 * Holds: stdio.
 */
#include "capos/print.h"
#include "capos/start.h"
#include "codec_types.capnp.h"
#include "lib/capnp/canonical.h"
#include "lib/capnp/packed.h"
#include "lib/capnp/segments.h"

enum { BUFFER_BYTES = 256, BUFFERS = 8, ROOM_BYTES = 4096, LINE_BYTES = 32 };

static uint8_t buffers[BUFFERS][BUFFER_BYTES];
static uint32_t buffers_given;
static uint8_t file[ROOM_BYTES];
static uint8_t packed[ROOM_BYTES];
static uint8_t room[ROOM_BYTES];
static bool good = true;

/* What comes after something that is not so means nothing. */
static void expect(bool held, const char *what)
{
    if (!held && good) {
        capos_error("codec-check: not so: %s\n", what);
        good = false;
    }
}

static void *next_buffer(void *context, size_t least, size_t *bytes)
{
    (void)context;
    if (buffers_given == BUFFERS || least > BUFFER_BYTES) {
        return NULL;
    }
    *bytes = BUFFER_BYTES;
    return buffers[buffers_given++];
}

static void print_hex(const char *name, const uint8_t *bytes, size_t count)
{
    for (size_t at = 0; at < count; at += LINE_BYTES) {
        capos_printf("%s ", name);
        for (size_t i = at; i < count && i < at + LINE_BYTES; i++) {
            capos_printf("%02x", bytes[i]);
        }
        capos_printf("\n");
    }
}

/* Builds a TestAll over several buffers and puts the frame into `file`; its length. */
static size_t build(void)
{
    struct capnp_segmented w;
    struct capnp_segment segments[CAPNP_SEGMENTS_MAX];
    uint32_t count;
    size_t len;
    size_t bytes = 0;
    uint8_t *first = next_buffer(NULL, 0, &bytes);
    capnp_segmented_init(&w, first, bytes, next_buffer, NULL);
    TestAll_b all = TestAll_init(capnp_segmented_root(&w));
    TestAll_set_int32(all, -77);
    TestAll_set_text(all, "from a machine", 14);
    TestAll_b child = TestAll_init_child(all);
    TestAll_set_uint64(child, UINT64_C(1) << 40);
    struct capnp_list_b texts = TestAll_init_texts(all, 3);
    capnp_text_list_set(texts, 0, "one", 3);
    capnp_text_list_set(texts, 2, "and three, which is longer than the others", 42);
    TestAll_choice_set_left(TestAll_init_choice(all), 3);
    expect(capnp_segmented_finish(&w, segments, &count) == CAPNP_OK, "the message is built");
    expect(count > 2, "it has several segments");
    expect(capnp_frame_table(segments, count, file, sizeof(file), &len) == CAPNP_OK,
           "the table is written");
    for (uint32_t i = 0; i < count; i++) {
        __builtin_memcpy(file + len, segments[i].base, segments[i].bytes);
        len += segments[i].bytes;
    }
    return len;
}

/* Reads `file` again. */
static void read_again(size_t file_bytes)
{
    struct capnp_segment segments[BUFFERS];
    uint32_t count;
    size_t bytes;
    size_t len;
    TestAll_r all;
    expect(capnp_frame_open(file, file_bytes, segments, BUFFERS, &count, &bytes) == CAPNP_OK &&
               bytes == file_bytes,
           "the frame opens");
    expect(capnp_frame_open(file, file_bytes - 1, segments, BUFFERS, &count, &bytes) == CAPNP_CUT &&
               bytes == file_bytes,
           "a cut frame says how long it is");
    expect(capnp_frame_open(file, file_bytes, segments, BUFFERS, &count, &bytes) == CAPNP_OK,
           "the frame opens again");
    expect(capnp_gather(segments, count, room, sizeof(room), &len) == CAPNP_OK,
           "the segments are gathered");
    expect(TestAll_read(room, len, &all) == CAPNP_OK, "what was gathered is well formed");
    expect(TestAll_get_int32(all) == -77, "a number is what it was");
    expect(capnp_text_is(TestAll_get_text(all), "from a machine"), "a text is what it was");
    expect(TestAll_get_uint64(TestAll_get_child(all)) == UINT64_C(1) << 40,
           "a struct's number is what it was");
    expect(capnp_text_is(capnp_text_list_at(TestAll_get_texts(all), 2),
                         "and three, which is longer than the others"),
           "a list's text is what it was");
    size_t none;
    expect(capnp_gather(segments, count, room, len - 1, &none) == CAPNP_NO_ROOM,
           "there is no room in less");
    expect(capnp_gather(segments, count - 1, room, sizeof(room), &none) == CAPNP_OUT_OF_BOUNDS,
           "a segment that is missing is missed");
}

/* Packs `file` as a stream does, by table and segments, into `packed`; its length. */
static size_t pack(size_t file_bytes)
{
    struct capnp_segment segments[BUFFERS];
    uint32_t count;
    size_t bytes, taken, made;
    expect(capnp_frame_open(file, file_bytes, segments, BUFFERS, &count, &bytes) == CAPNP_OK,
           "the frame opens to be packed");
    size_t table = capnp_frame_table_bytes(count);
    size_t len = 0;
    for (uint32_t i = 0; i <= count; i++) {
        const void *piece = i == 0 ? file : segments[i - 1].base;
        expect(capnp_pack(piece, i == 0 ? table : segments[i - 1].bytes, packed + len,
                          sizeof(packed) - len, &taken, &made) == CAPNP_OK,
               "a piece is packed");
        len += made;
    }
    expect(len < file_bytes / 2, "it is less than half as long");
    expect(capnp_unpack_frame(packed, len, room, sizeof(room), &taken, &bytes) == CAPNP_OK &&
               taken == len && bytes == file_bytes,
           "the packed frame is unpacked");
    expect(__builtin_memcmp(room, file, file_bytes) == 0, "it is what was packed");
    expect(capnp_unpack_frame(packed, len - 1, room, sizeof(room), &taken, &bytes) == CAPNP_CUT,
           "a cut one is refused");
    return len;
}

/* The canonical form of what is in `file`, in `room`; its length. */
static size_t canonical(size_t file_bytes)
{
    struct capnp_segment segments[BUFFERS];
    uint32_t count;
    size_t bytes;
    size_t len;
    expect(capnp_frame_open(file, file_bytes, segments, BUFFERS, &count, &bytes) == CAPNP_OK,
           "the frame opens to be made canonical");
    expect(capnp_canonical(segments, count, room, sizeof(room), &len) == CAPNP_OK,
           "it has a canonical form");
    expect(capnp_check_canonical(room, len, CAPNP_DEPTH) == CAPNP_OK, "that is canonical");
    expect(capnp_check_canonical(room, len - 8, CAPNP_DEPTH) == CAPNP_NOT_CANONICAL,
           "a part of it is not");
    return len;
}

int capos_main(void)
{
    size_t len = build();
    if (good) {
        read_again(len);
    }
    print_hex("frame", file, len);
    if (good) {
        print_hex("packed", packed, pack(len));
    }
    if (good) {
        print_hex("canonical", room, canonical(len));
    }
    capos_printf("codec-check: %s\n", good ? "all is well" : "failed");
    return good ? 0 : 1;
}
