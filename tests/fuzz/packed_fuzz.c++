// SPDX-License-Identifier: MIT
//
// The packed form: lib/capnp against the stock library, in both directions, and by pieces of any size.
//
// The fuzzer's bytes choose what happens:
//   pack     the bytes are words: at once they become what the stock library makes of them; by pieces
//            they become something that unpacks to them
//   unpack   the bytes are a packed input: at once and by pieces the same comes out, with the same end
//   frame    the bytes are packed frames in a row: the stock library's reader of streams takes the same
//            messages out of them, and where it refuses one we do
//
// Inputs and rooms end where their allocations end.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vector>

#include <capnp/message.h>
#include <capnp/serialize-packed.h>
#include <kj/exception.h>
#include <kj/io.h>

extern "C" {
#include "lib/capnp/packed.h"
#include "lib/capnp/segments.h"
}

namespace
{

using Bytes = std::vector<uint8_t>;

const size_t max_unpacked = 1 << 17;
const uint32_t max_segments = 511; // the stock library's limit for streams

void require(bool held, const char *what)
{
    if (!held) {
        fprintf(stderr, "packed_fuzz: %s\n", what);
        abort();
    }
}

// Sizes of pieces, from a few bytes that are used again and again.
class Sizes
{
  public:
    Sizes(const uint8_t *data, size_t size) : at(data), count(size) {}
    size_t next(size_t least)
    {
        size_t n = count > 0 ? at[turn++ % count] : 0;
        return n < least ? least : n;
    }

  private:
    const uint8_t *at;
    size_t count;
    size_t turn = 0;
};

// Runs `step` with copies of exactly the piece and the room.
template <typename F>
capnp_status in_exact(const uint8_t *in, size_t in_bytes, size_t room, Bytes &out, size_t *taken, F step)
{
    auto piece = (uint8_t *)malloc(in_bytes > 0 ? in_bytes : 1);
    auto made_at = (uint8_t *)malloc(room > 0 ? room : 1);
    require(piece != nullptr && made_at != nullptr, "no memory");
    if (in_bytes > 0) {
        memcpy(piece, in, in_bytes);
    }
    size_t made = 0;
    capnp_status status = step(piece, made_at, room, taken, &made);
    require(*taken <= in_bytes && made <= room, "more was taken or made than there is");
    out.insert(out.end(), made_at, made_at + made);
    free(piece);
    free(made_at);
    return status;
}

capnp_status pack_piece(const uint8_t *in, size_t bytes, size_t room, Bytes &out, size_t *taken)
{
    return in_exact(in, bytes, room, out, taken,
                    [&](const uint8_t *piece, uint8_t *to, size_t space, size_t *t, size_t *m) {
                        return capnp_pack(piece, bytes, to, space, t, m);
                    });
}

capnp_status unpack_piece(capnp_unpacker &u, const uint8_t *in, size_t bytes, size_t room, Bytes &out,
                          size_t *taken)
{
    return in_exact(in, bytes, room, out, taken,
                    [&](const uint8_t *piece, uint8_t *to, size_t space, size_t *t, size_t *m) {
                        return capnp_unpack(&u, piece, bytes, to, space, t, m);
                    });
}

// Unpacks all of it, at most so much; true: the input may end there.
bool unpack_whole(const uint8_t *in, size_t bytes, Bytes &out, capnp_status *status)
{
    capnp_unpacker u = {};
    size_t taken = 0;
    *status = unpack_piece(u, in, bytes, max_unpacked, out, &taken);
    require(*status == CAPNP_OK ? taken == bytes : *status == CAPNP_NO_ROOM && out.size() == max_unpacked,
            "unpacking stopped for no reason");
    return capnp_unpack_ended(&u);
}

bool unpack_pieces(const uint8_t *in, size_t bytes, Sizes sizes, Bytes &out)
{
    capnp_unpacker u = {};
    size_t at = 0;
    capnp_status status = CAPNP_OK;
    while (at < bytes || status == CAPNP_NO_ROOM) {
        size_t piece = sizes.next(1), taken = 0, before = out.size();
        piece = piece < bytes - at ? piece : bytes - at;
        status = unpack_piece(u, in + at, piece, sizes.next(1), out, &taken);
        require(status == CAPNP_OK ? taken == piece : status == CAPNP_NO_ROOM, "another status");
        require(taken > 0 || out.size() > before, "unpacking stands still");
        at += taken;
    }
    return capnp_unpack_ended(&u);
}

void try_pack(const uint8_t *data, size_t size, Sizes sizes)
{
    size_t bytes = size / 8 * 8, taken = 0;
    Bytes ours;
    require(pack_piece(data, bytes, capnp_packed_most(bytes), ours, &taken) == CAPNP_OK && taken == bytes,
            "the bound is no bound");

    kj::VectorOutputStream sink;
    std::vector<uint64_t> words(bytes / 8 + 1);
    memcpy(words.data(), data, bytes);
    capnp::_::PackedOutputStream stock(sink);
    stock.write(words.data(), bytes);
    auto theirs = sink.getArray();
    require(theirs.size() == ours.size() &&
                (ours.empty() || memcmp(theirs.begin(), ours.data(), ours.size()) == 0),
            "the stock library packs otherwise");

    Bytes pieces;
    for (size_t at = 0; at < bytes;) {
        size_t piece = sizes.next(1) * 8;
        piece = piece < bytes - at ? piece : bytes - at;
        capnp_status status =
            pack_piece(data + at, piece, sizes.next(CAPNP_PACK_LEAST), pieces, &taken);
        require(taken > 0 && (status == CAPNP_OK) == (taken == piece), "packing stands still");
        at += taken;
    }
    Bytes again;
    require(unpack_pieces(pieces.data(), pieces.size(), sizes, again), "what was packed does not end");
    require(again.size() == bytes && (bytes == 0 || memcmp(again.data(), data, bytes) == 0),
            "something else comes out");
}

void try_unpack(const uint8_t *data, size_t size, Sizes sizes)
{
    Bytes whole, pieces;
    capnp_status status;
    bool ended = unpack_whole(data, size, whole, &status);
    if (status != CAPNP_OK) {
        return; // larger than we try
    }
    require(unpack_pieces(data, size, sizes, pieces) == ended, "by pieces it ends otherwise");
    require(whole == pieces, "by pieces something else comes out");
    require(!ended || whole.size() % 8 == 0, "an end within a word");

    size_t words = 0;
    auto thrown = kj::runCatchingExceptions(
        [&]() { words = capnp::computeUnpackedSizeInWords(kj::arrayPtr(data, size)); });
    // It does not look for the bytes of the last tag.
    require(!ended || (thrown == nullptr && words * 8 == whole.size()), "the stock library counts otherwise");
}

void try_frames(const uint8_t *data, size_t size)
{
    kj::ArrayInputStream input(kj::arrayPtr(data, size));
    static uint8_t room[max_unpacked];
    for (size_t at = 0; at < size;) {
        size_t taken, bytes;
        auto rest = (uint8_t *)malloc(size - at);
        require(rest != nullptr, "no memory");
        memcpy(rest, data + at, size - at);
        capnp_status status = capnp_unpack_frame(rest, size - at, room, sizeof(room), &taken, &bytes);
        free(rest);
        capnp_segment segments[max_segments];
        uint32_t count = 0;
        size_t frame_bytes;
        if (status == CAPNP_NO_ROOM) {
            return;
        }
        if (status == CAPNP_OK) {
            capnp_status opened = capnp_frame_open(room, bytes, segments, max_segments, &count, &frame_bytes);
            if (opened == CAPNP_NO_ROOM) {
                return;
            }
            require(opened == CAPNP_OK && frame_bytes == bytes, "an unpacked frame does not open");
        }
        capnp::ReaderOptions options;
        options.traversalLimitInWords = max_unpacked / 8; // as large as we try; it makes room for it at once
        bool differs = false;
        auto thrown = kj::runCatchingExceptions([&]() {
            capnp::PackedMessageReader reader(input, options);
            for (uint32_t i = 0; i < count; i++) {
                auto other = reader.getSegment(i);
                differs = differs || other.size() * 8 != segments[i].bytes ||
                          (other.size() > 0 && memcmp(other.begin(), segments[i].base, segments[i].bytes) != 0);
            }
            differs = differs || (status == CAPNP_OK && reader.getSegment(count).begin() != nullptr);
        });
        // No frame of 2^32 segments: to the stock library it is one of none.
        bool none = status == CAPNP_BAD_LENGTH && bytes == 8 && load_le32(room) == UINT32_MAX;
        require(none || (thrown == nullptr) == (status == CAPNP_OK), "other frames are taken");
        require(!differs, "other segments come out");
        if (status != CAPNP_OK) {
            return;
        }
        at += taken;
        require(input.tryGetReadBuffer().size() == size - at, "the frame ends elsewhere");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t size_bytes = 8;
    if (size < 1 + size_bytes || size > 8192) {
        return 0;
    }
    Sizes sizes(data + 1, size_bytes);
    const uint8_t *rest = data + 1 + size_bytes;
    size_t left = size - 1 - size_bytes;
    switch (data[0] % 3) {
    case 0:
        try_pack(rest, left, sizes);
        break;
    case 1:
        try_unpack(rest, left, sizes);
        break;
    default:
        try_frames(rest, left);
        break;
    }
    return 0;
}
