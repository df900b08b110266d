// SPDX-License-Identifier: MIT
//
// lib/capnp against the stock library, in both directions, driven by the generated type tables.
//
// The fuzzer's bytes choose a type and what happens:
//   raw      the bytes are the message: both readers give their verdict
//   ours     a message built by our builder: both readers must accept and agree
//   stock    a message built by the stock library, with sections of other versions' sizes: the same
//   mutated  such a message with some bytes changed: verdicts
//
// What must hold: if we accept, the stock library accepts and every value is equal. If we refuse,
// the stock library refuses too, except for what we refuse by intent: far and capability pointers,
// text that is not UTF-8, objects without size that lie outside, and limits. The message lies at the end of
// its allocation, so that the address sanitizer sees a read past it.

#include "tests/fuzz/codec_common.h++"

namespace
{

void judge(const uint8_t *message, size_t bytes, const capnp_struct_type *type, bool must_accept)
{
    size_t words = bytes / 8;
    auto copy = (capnp::word *)malloc(words * 8 + 1); // +1: malloc(0)
    require(copy != nullptr, "no memory");
    memcpy((void *)copy, message, words * 8);
    capnp_struct ours;
    capnp_status status = capnp_read_limited(copy, words * 8, type, &fuzz_limits, &ours);
    require(!must_accept || status == CAPNP_OK, "a good message was refused");

    bool tight = status == CAPNP_TOO_MUCH || status == CAPNP_TOO_DEEP || status == CAPNP_BAD_POINTER;
    if (!tight && words > 0) {
        kj::ArrayPtr<const capnp::word> segment(copy, words);
        kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments(&segment, 1);
        capnp::SegmentArrayMessageReader reader(segments, stock_options());
        capnp_struct holder = {(const uint8_t *)copy, 0, 1};
        compare_verdicts(status, holder, type, [&]() { return reader.getRoot<AnyPointer>(); },
                         (const uint8_t *)copy, words);
    }
    free(copy);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Choices c(data, size);
    uint8_t mode = c.byte();
    const capnp_struct_type *type = types[c.byte() % type_count];
    static uint8_t room[65536];
    size_t len = 0;
    if ((mode & 3) == 0) {
        judge(c.at, c.left, type, false);
        return 0;
    }
    if ((mode & 3) == 1) {
        capnp_builder b;
        capnp_builder_init(&b, room, sizeof(room));
        build_ours(c, capnp_init_root(&b, type->data_words, type->ptr_count), type, 0);
        if (capnp_finish(&b, &len) != CAPNP_OK) {
            require(b.status == CAPNP_NO_ROOM, "building failed for another reason than room");
            return 0;
        }
    } else {
        capnp::MallocMessageBuilder message(sizeof(room) / 8, capnp::AllocationStrategy::FIXED_SIZE);
        auto root = message.getRoot<AnyPointer>();
        const capnp_type of = {CAPNP_KIND_STRUCT, type};
        pointer_stock(c, root, &of, 0);
        auto segments = message.getSegmentsForOutput();
        if (segments.size() != 1 || segments[0].size() * 8 > sizeof(room)) {
            return 0;
        }
        len = segments[0].size() * 8;
        memcpy(room, segments[0].begin(), len);
    }
    judge(room, len, type, true);
    if (mode & 4) {
        mutate(c, room, len);
        judge(room, len, type, false);
    }
    return 0;
}
