// SPDX-License-Identifier: MIT
//
// Messages of several segments: lib/capnp against the stock library, in both directions.
//
// The fuzzer's bytes choose a type and what happens:
//   raw      the bytes are a framed message: both take it apart and give their verdict
//   ours     a message built by our builder over small buffers: both must accept and agree
//   stock    one built by the stock library in small segments, some of its objects let go of and taken
//            up again, which makes doubled far pointers: the same
//   mutated  such a message with some bytes changed: verdicts
//
// What must hold: the frame is taken apart the same way. If we gather and accept a message, the stock
// library accepts it and every value is equal. If we refuse, it refuses too, but for what codec_fuzz
// names. Each segment lies at the end of an allocation of its own, and so does the gathered message, so
// that the address sanitizer sees a step out of any of them.

#include "tests/fuzz/codec_segments.h++"

namespace
{

const uint32_t max_segments = 64;
const size_t max_gathered = 1 << 16;

// Refusals that say nothing about the stock library: what it would take longer for, takes without a type, or finds
// doubled in a landing pad, where it does not look.
bool is_tight(capnp_status status)
{
    return status == CAPNP_TOO_MUCH || status == CAPNP_TOO_DEEP || status == CAPNP_BAD_POINTER ||
           status == CAPNP_NO_ROOM;
}

void judge(const Segments &segments, const capnp_struct_type *type, bool must_accept)
{
    Laid laid(segments);
    Exact wide(max_gathered);
    size_t bytes = 0;
    capnp_struct view;
    capnp_status status = capnp_gather_limited(laid.ours.data(), (uint32_t)laid.ours.size(), &fuzz_limits,
                                               wide.at, max_gathered, &bytes);
    Exact gathered(bytes);
    if (status == CAPNP_OK) {
        size_t again = 0;
        require(capnp_gather_limited(laid.ours.data(), (uint32_t)laid.ours.size(), &fuzz_limits, gathered.at,
                                     bytes, &again) == CAPNP_OK &&
                    again == bytes && memcmp(wide.at, gathered.at, bytes) == 0,
                "gathered into just its size it is another message");
        status = capnp_read_limited(gathered.at, bytes, type, &fuzz_limits, &view);
        require(status != CAPNP_OUT_OF_BOUNDS && status != CAPNP_BAD_POINTER &&
                    status != CAPNP_BAD_LIST && status != CAPNP_BAD_LENGTH,
                "what was gathered is malformed");
    }
    require(!must_accept || status == CAPNP_OK || status == CAPNP_NO_ROOM,
            "a good message was refused");
    if (!is_tight(status) && !segments.empty() && !segments[0].empty()) {
        capnp::SegmentArrayMessageReader reader(kj::arrayPtr(laid.stock.data(), laid.stock.size()),
                                                stock_options());
        capnp_struct holder = {gathered.at, 0, 1};
        compare_verdicts(status, holder, type, [&]() { return reader.getRoot<AnyPointer>(); },
                         (const uint8_t *)laid.all.data(), laid.all.size());
    }
}

// Takes a file apart with ours and with the stock library.
void judge_frame(const uint8_t *file, size_t bytes, const capnp_struct_type *type)
{
    size_t words = bytes / 8;
    Exact copy(words * 8);
    memcpy(copy.at, file, words * 8);
    capnp_segment segments[max_segments];
    uint32_t count;
    size_t length;
    capnp_status status =
        capnp_frame_open(copy.at, words * 8, segments, max_segments, &count, &length);
    // 2^32 segments are none to the stock library.
    if (words == 0 || status == CAPNP_NO_ROOM || load_le32(copy.at) == UINT32_MAX) {
        return;
    }
    Segments all;
    auto thrown = kj::runCatchingExceptions([&]() {
        capnp::FlatArrayMessageReader reader(kj::arrayPtr((const capnp::word *)copy.at, words),
                                             stock_options());
        require(status == CAPNP_OK, "we refused a frame that the stock library takes");
        require((const uint8_t *)reader.getEnd() == copy.at + length, "frames end elsewhere");
        for (uint32_t i = 0; i < count; i++) {
            auto other = reader.getSegment(i);
            require(other.size() * 8 == segments[i].bytes &&
                        (other.size() == 0 || (const void *)other.begin() == segments[i].base),
                    "segments lie elsewhere");
            const uint64_t *begin = (const uint64_t *)segments[i].base;
            all.emplace_back(begin, begin + other.size());
        }
    });
    require((thrown == nullptr) == (status == CAPNP_OK),
            "we took a frame that the stock library refuses");
    if (status == CAPNP_OK) {
        judge(all, type, false);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Choices c(data, size);
    uint8_t mode = c.byte();
    const capnp_struct_type *type = types[c.byte() % type_count];
    if ((mode & 3) == 0) {
        judge_frame(c.at, c.left, type);
        return 0;
    }
    Segments all =
        (mode & 3) == 1 ? build_segments_ours(c, type) : build_segments_stock(c, type);
    if (all.empty()) {
        return 0;
    }
    judge(all, type, true);
    if (mode & 4) {
        mutate_segments(c, all);
        judge(all, type, false);
    }
    return 0;
}
