// SPDX-License-Identifier: MIT
//
// The canonical form: lib/capnp against the stock library.
//
// The fuzzer's bytes choose what happens:
//   raw      the bytes are a bare message: is it canonical? Both say the same
//   built    a message of several segments, built by either, mutated or not: both make the same bytes of
//            it; that is canonical, and its own canonical form; with one bit changed it is not, or is
//            the canonical form of something else
//
// What we refuse and the stock library does not: a root that is null or a list, objects without size that lie
// outside, lists of 2^29 structs and more, and limits.

#include <capnp/any.h>

#include "tests/fuzz/codec_segments.h++"

extern "C" {
#include "lib/capnp/canonical.h"
}

namespace
{

const size_t max_bytes = 1 << 16;

// What the stock library says; words end where they end.
bool stock_says_canonical(const uint64_t *words, size_t count)
{
    kj::ArrayPtr<const capnp::word> segment((const capnp::word *)words, count);
    kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments(&segment, 1);
    bool canonical = false;
    auto thrown = kj::runCatchingExceptions([&]() {
        capnp::SegmentArrayMessageReader reader(segments, stock_options());
        canonical = reader.isCanonical();
    });
    return thrown == nullptr && canonical;
}

// The stock library takes an object without size that lies outside for one that lies at the end.
bool is_outside(const uint8_t *message, size_t count)
{
    Exact out(max_bytes);
    capnp_segment one = {message, count * 8};
    size_t len = 0;
    capnp_limits limits = {UINT64_C(1) << 40, 100};
    return capnp_gather_limited(&one, 1, &limits, out.at, max_bytes, &len) == CAPNP_OUT_OF_BOUNDS;
}

void check_same(const uint64_t *words, size_t count)
{
    Exact copy(count * 8);
    if (count > 0) {
        memcpy(copy.at, words, count * 8);
    }
    capnp_status status = capnp_check_canonical(copy.at, count * 8, 100);
    if (count == 0 || words[0] == 0 || (words[0] & 3) != 0) {
        require(status == CAPNP_NOT_CANONICAL, "a root that is no struct is canonical");
        return;
    }
    require(status == CAPNP_OK || status == CAPNP_NOT_CANONICAL || status == CAPNP_TOO_DEEP,
            "another status");
    if (status == CAPNP_TOO_DEEP) {
        return;
    }
    bool stock = stock_says_canonical((const uint64_t *)copy.at, count);
    if (stock && status != CAPNP_OK && (is_outside(copy.at, count) || has_huge_tag(copy.at, count))) {
        return;
    }
    if (stock != (status == CAPNP_OK)) {
        for (size_t i = 0; i < count; i++) {
            fprintf(stderr, "%4zu %016llx\n", i, (unsigned long long)words[i]);
        }
        fail(stock ? "we say it is not canonical" : "we say it is canonical");
    }
}

// Our canonical form of a canonical message, or of one that we found to be.
void check_own(const uint8_t *message, size_t bytes)
{
    Exact out(bytes);
    capnp_segment one = {message, bytes};
    size_t len = 0;
    capnp_limits limits = {UINT64_C(1) << 40, 100}; // elements without size cost nothing here
    require(capnp_canonical_limited(&one, 1, &limits, out.at, bytes, &len) == CAPNP_OK &&
                len == bytes && memcmp(out.at, message, bytes) == 0,
            "a canonical message has another canonical form");
}

void try_raw(const uint8_t *data, size_t size)
{
    size_t words = size / 8;
    Words copy(words + 1);
    memcpy(copy.data(), data, words * 8);
    check_same(copy.data(), words);
    Exact exact(words * 8);
    memcpy(exact.at, data, words * 8);
    if (capnp_check_canonical(exact.at, words * 8, 100) == CAPNP_OK) {
        check_own(exact.at, words * 8);
    }
}

void try_built(Choices &c, const Segments &segments)
{
    Laid laid(segments);
    Exact wide(max_bytes);
    size_t bytes = 0;
    capnp_status status = capnp_canonical_limited(laid.ours.data(), (uint32_t)laid.ours.size(),
                                                  &fuzz_limits, wide.at, max_bytes, &bytes);
    if (status != CAPNP_OK) {
        return; // codec_fuzz and segments_fuzz compare refusals
    }
    Exact ours(bytes);
    memcpy(ours.at, wide.at, bytes);
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(laid.stock.data(), laid.stock.size()),
                                            stock_options());
    auto thrown = kj::runCatchingExceptions([&]() {
        auto root = reader.getRoot<AnyPointer>();
        auto stock = root.getAs<AnyStruct>().canonicalize();
        require(stock.size() * 8 == bytes && memcmp(stock.begin(), ours.at, bytes) == 0,
                "the stock library has another canonical form");
    });
    KJ_IF_MAYBE (e, thrown) {
        fprintf(stderr, "%s\n", kj::str(*e).cStr());
        fail("the stock library has no canonical form of it");
    }
    require(capnp_check_canonical(ours.at, bytes, 100) == CAPNP_OK, "our canonical form is none");
    check_own(ours.at, bytes);
    Words changed(bytes / 8);
    memcpy(changed.data(), ours.at, bytes);
    check_same(changed.data(), changed.size());
    changed[c.below((uint32_t)changed.size())] ^= UINT64_C(1) << c.below(64);
    try_raw((const uint8_t *)changed.data(), bytes);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Choices c(data, size);
    uint8_t mode = c.byte();
    const capnp_struct_type *type = types[c.byte() % type_count];
    if ((mode & 3) == 0) {
        try_raw(c.at, c.left);
        return 0;
    }
    Segments all =
        (mode & 3) == 1 ? build_segments_ours(c, type) : build_segments_stock(c, type);
    if (all.empty()) {
        return 0;
    }
    if (mode & 4) {
        mutate_segments(c, all);
    }
    try_built(c, all);
    return 0;
}
