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

#include <vector>

#include "tests/fuzz/codec_common.h++"

extern "C" {
#include "lib/capnp/segments.h"
}

namespace
{

using Words = std::vector<uint64_t>;
using Segments = std::vector<Words>;

const uint32_t max_segments = 64;
const size_t max_gathered = 1 << 16;

// A copy that ends where its words end.
class Exact
{
  public:
    explicit Exact(size_t bytes) : at((uint8_t *)malloc(bytes > 0 ? bytes : 1))
    {
        require(at != nullptr, "no memory");
    }
    Exact(Exact &&other) : at(other.at)
    {
        other.at = nullptr;
    }
    Exact(const Exact &) = delete;
    ~Exact()
    {
        free(at);
    }
    uint8_t *at;
};

// Refusals that say nothing about the stock library: what it would take longer for, takes without a type, or finds
// doubled in a landing pad, where it does not look.
bool is_tight(capnp_status status)
{
    return status == CAPNP_TOO_MUCH || status == CAPNP_TOO_DEEP || status == CAPNP_BAD_POINTER ||
           status == CAPNP_NO_ROOM;
}

void judge(const Segments &segments, const capnp_struct_type *type, bool must_accept)
{
    std::vector<Exact> copies;
    std::vector<capnp_segment> ours;
    std::vector<kj::ArrayPtr<const capnp::word>> stock;
    Words all;
    for (const Words &words : segments) {
        copies.emplace_back(words.size() * 8);
        uint8_t *at = copies.back().at;
        if (!words.empty()) {
            memcpy(at, words.data(), words.size() * 8);
        }
        ours.push_back({at, words.size() * 8});
        stock.push_back(kj::arrayPtr((const capnp::word *)at, words.size()));
        all.insert(all.end(), words.begin(), words.end());
    }
    Exact wide(max_gathered);
    size_t bytes = 0;
    capnp_struct view;
    capnp_status status = capnp_gather_limited(ours.data(), (uint32_t)ours.size(), &fuzz_limits,
                                               wide.at, max_gathered, &bytes);
    Exact gathered(bytes);
    if (status == CAPNP_OK) {
        size_t again = 0;
        require(capnp_gather_limited(ours.data(), (uint32_t)ours.size(), &fuzz_limits, gathered.at,
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
        capnp::SegmentArrayMessageReader reader(kj::arrayPtr(stock.data(), stock.size()),
                                                stock_options());
        capnp_struct holder = {gathered.at, 0, 1};
        compare_verdicts(status, holder, type, [&]() { return reader.getRoot<AnyPointer>(); },
                         (const uint8_t *)all.data(), all.size());
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

struct Shelf {
    Choices *choices;
    std::vector<Words> buffers;
};

void *shelf_more(void *context, size_t least, size_t *bytes)
{
    auto shelf = (Shelf *)context;
    *bytes = least + shelf->choices->below(20) * 8;
    shelf->buffers.emplace_back(*bytes / 8, UINT64_C(0xaaaaaaaaaaaaaaaa));
    return shelf->buffers.back().data();
}

Segments build_segments_ours(Choices &c, const capnp_struct_type *type)
{
    Shelf shelf = {&c, {}};
    shelf.buffers.reserve(CAPNP_SEGMENTS_MAX);
    Words first(1 + c.below(40));
    capnp_segmented w;
    capnp_segmented_init(&w, first.data(), first.size() * 8, shelf_more, &shelf);
    build_ours(c, capnp_init_root(capnp_segmented_root(&w), type->data_words, type->ptr_count),
               type, 0);
    capnp_segment out[CAPNP_SEGMENTS_MAX];
    uint32_t count;
    capnp_status status = capnp_segmented_finish(&w, out, &count);
    require(status == CAPNP_OK || (status == CAPNP_NO_ROOM && w.count == CAPNP_SEGMENTS_MAX),
            "building failed for another reason than room");
    Segments all;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t *begin = (const uint64_t *)out[i].base;
        all.emplace_back(begin, begin + out[i].bytes / 8);
    }
    return all;
}

// Lets go of objects and takes them up again: in full segments that makes doubled far pointers.
void readopt(Choices &c, capnp::MessageBuilder &message, AnyStruct::Builder b, unsigned depth)
{
    auto pointers = b.getPointerSection();
    for (uint32_t i = 0; i < pointers.size() && depth < 3; i++) {
        auto p = pointers[i];
        if (p.isNull()) {
            continue;
        }
        if (p.asReader().getPointerType() == capnp::PointerType::STRUCT) {
            readopt(c, message, p.getAs<AnyStruct>(), depth + 1);
        }
        if (c.byte() & 1) {
            auto orphan = p.disown();
            p.adopt(kj::mv(orphan));
        }
    }
}

Segments build_segments_stock(Choices &c, const capnp_struct_type *type)
{
    capnp::MallocMessageBuilder message(1 + c.below(24), capnp::AllocationStrategy::FIXED_SIZE);
    auto root = message.getRoot<AnyPointer>();
    const capnp_type of = {CAPNP_KIND_STRUCT, type};
    pointer_stock(c, root, &of, 0);
    if (c.byte() & 1) {
        readopt(c, message, root.getAs<AnyStruct>(), 0);
    }
    Segments all;
    for (auto segment : message.getSegmentsForOutput()) {
        auto begin = (const uint64_t *)segment.begin();
        all.emplace_back(begin, begin + segment.size());
    }
    return all;
}

void mutate_segments(Choices &c, Segments &all)
{
    uint32_t rounds = 1 + c.below(3);
    for (uint32_t i = 0; i < rounds; i++) {
        Words &words = all[c.below((uint32_t)all.size())];
        if (words.empty()) {
            continue;
        }
        if (c.byte() & 1) {
            // A far pointer into these segments, or nearly.
            uint64_t at = c.below(8), segment = c.below((uint32_t)all.size() + 1);
            words[c.below((uint32_t)words.size())] = 2 | (c.byte() & 1) << 2 | at << 3 | segment << 32;
        } else {
            mutate(c, (uint8_t *)words.data(), words.size() * 8);
        }
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
