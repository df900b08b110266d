// SPDX-License-Identifier: MIT
//
// Messages of several segments for fuzzers: built by our builder over small buffers, or by the stock library in
// small segments, and mutated. For one file of a program.
#ifndef CAPOS_TESTS_FUZZ_CODEC_SEGMENTS_H
#define CAPOS_TESTS_FUZZ_CODEC_SEGMENTS_H

#include <vector>

#include "tests/fuzz/codec_common.h++"

extern "C" {
#include "lib/capnp/segments.h"
}

namespace
{

using Words = std::vector<uint64_t>;
using Segments = std::vector<Words>;

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

// The segments, each in an allocation that ends where it ends, as either side wants them.
struct Laid {
    explicit Laid(const Segments &segments)
    {
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
    }
    std::vector<Exact> copies;
    std::vector<capnp_segment> ours;
    std::vector<kj::ArrayPtr<const capnp::word>> stock;
    Words all;
};

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

#endif
