// SPDX-License-Identifier: MIT
//
// What the fuzzers of lib/capnp against the stock library share: choices from the fuzzer's bytes, a walk
// through a message with the stock library that compares with ours, random messages by either builder,
// verdicts. For one file of a program.
#ifndef CAPOS_TESTS_FUZZ_CODEC_COMMON_H
#define CAPOS_TESTS_FUZZ_CODEC_COMMON_H

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <capnp/any.h>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <kj/function.h>

extern "C" {
#include "codec_types.capnp.h"
#include "lib/capnp/capnp.h"
}

namespace
{

using capnp::AnyList;
using capnp::AnyPointer;
using capnp::AnyStruct;

const capnp_struct_type *const types[] = {
    &TestAll_type,     &TestDefaults_type, &TestOld_type,     &TestNew_type,   &TestListOld_type,
    &TestListNew_type, &TestFlat_type,     &TestEmpties_type, &TestChain_type, &TestPoint_type,
};
const size_t type_count = sizeof(types) / sizeof(types[0]);
const uint32_t max_elements = 4096; // compared of one list

[[noreturn]] void fail(const char *what)
{
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

void require(bool held, const char *what)
{
    if (!held) {
        fail(what);
    }
}

// A source of choices; zeros once the input is used up.
class Choices
{
  public:
    Choices(const uint8_t *data, size_t size) : at(data), left(size) {}
    uint32_t below(uint32_t n)
    {
        return n == 0 ? 0 : (uint32_t)(word() % n);
    }
    uint8_t byte()
    {
        if (left == 0) {
            return 0;
        }
        left--;
        return *at++;
    }
    uint64_t word()
    {
        uint64_t v = 0;
        for (int i = 0; i < 2; i++) {
            v = v << 8 | byte();
        }
        return v;
    }
    bool done() const
    {
        return left == 0;
    }
    const uint8_t *at;
    size_t left;
};

// ---- Walking with the stock library, comparing with ours where we accepted ----

class Walk
{
  public:
    bool compare = false;  // ours accepted: values must be equal
    bool tolerated = false; // met something that only we refuse
    bool empty = false;     // met an object without size: the stock library does not ask where it lies

    void structure(AnyStruct::Reader s, const capnp_struct_type *type, capnp_struct ours);
    void pointer(AnyPointer::Reader p, const capnp_type *type, capnp_struct holder, uint32_t slot);

  private:
    void unknown(AnyPointer::Reader p);
    void list(AnyPointer::Reader p, const capnp_type *element, capnp_list ours);
    template <typename T, typename F> void scalars(AnyPointer::Reader p, capnp_list ours, F at);
};

bool holds(const capnp_condition *when, kj::ArrayPtr<const kj::byte> data)
{
    for (; when != nullptr; when = when->outer) {
        uint32_t at = when->offset_bytes;
        uint16_t v = 0;
        if (at + 2 <= data.size()) {
            memcpy(&v, data.begin() + at, 2);
        }
        if (v != when->value) {
            return false;
        }
    }
    return true;
}

void Walk::structure(AnyStruct::Reader s, const capnp_struct_type *type, capnp_struct ours)
{
    auto data = s.getDataSection();
    auto pointers = s.getPointerSection();
    if (compare) {
        require(data.size() == ours.data_bytes, "data section sizes differ");
        require(data.size() == 0 || memcmp(data.begin(), ours.data, data.size()) == 0,
                "data sections differ");
        require(pointers.size() == ours.ptr_count, "pointer counts differ");
    }
    empty = empty || (data.size() == 0 && pointers.size() == 0);
    for (uint32_t slot = 0; slot < pointers.size(); slot++) {
        const capnp_type *known = nullptr;
        for (uint32_t f = 0; type != nullptr && f < type->field_count; f++) {
            if (type->fields[f].slot == slot && holds(type->fields[f].when, data)) {
                known = &type->fields[f].type;
            }
        }
        pointer(pointers[slot], known, ours, slot);
    }
}

void Walk::unknown(AnyPointer::Reader p)
{
    switch (p.getPointerType()) {
    case capnp::PointerType::NULL_:
        return;
    case capnp::PointerType::CAPABILITY:
        tolerated = true;
        return;
    case capnp::PointerType::STRUCT: {
        bool was = compare;
        compare = false;
        structure(p.getAs<AnyStruct>(), nullptr, capnp_struct{nullptr, 0, 0});
        compare = was;
        return;
    }
    case capnp::PointerType::LIST:
        break;
    }
    auto any = p.getAs<AnyList>();
    empty = empty || any.size() == 0 || any.getElementSize() == capnp::ElementSize::VOID;
    if (any.getElementSize() == capnp::ElementSize::POINTER) {
        for (auto e : any.as<capnp::List<AnyPointer>>()) {
            unknown(e);
        }
    } else if (any.getElementSize() == capnp::ElementSize::INLINE_COMPOSITE) {
        bool was = compare;
        compare = false;
        auto all = any.as<capnp::List<AnyStruct>>();
        for (uint32_t i = 0; i < all.size() && i < max_elements; i++) {
            structure(all[i], nullptr, capnp_struct{nullptr, 0, 0});
        }
        compare = was;
    }
}

template <typename T, typename F> void Walk::scalars(AnyPointer::Reader p, capnp_list ours, F at)
{
    auto all = p.getAs<capnp::List<T>>();
    if (!compare) {
        return;
    }
    require(all.size() == capnp_list_len(ours), "list lengths differ");
    for (uint32_t i = 0; i < all.size() && i < max_elements; i++) {
        require(all[i] == (T)at(ours, i), "list elements differ");
    }
}

void Walk::list(AnyPointer::Reader p, const capnp_type *element, capnp_list ours)
{
    unknown(p); // the parts that a list of a smaller kind does not look at
    switch (element->kind) {
    case CAPNP_KIND_VOID:
        require(!compare || p.getAs<capnp::List<capnp::Void>>().size() == capnp_list_len(ours),
                "void list lengths differ");
        (void)p.getAs<capnp::List<capnp::Void>>();
        return;
    case CAPNP_KIND_BOOL:
        return scalars<bool>(p, ours, capnp_list_bool_at);
    case CAPNP_KIND_BITS8:
        return scalars<uint8_t>(p, ours, capnp_list_u8_at);
    case CAPNP_KIND_BITS16:
        return scalars<uint16_t>(p, ours, capnp_list_u16_at);
    case CAPNP_KIND_BITS32:
        return scalars<uint32_t>(p, ours, capnp_list_u32_at);
    case CAPNP_KIND_BITS64:
        return scalars<uint64_t>(p, ours, capnp_list_u64_at);
    case CAPNP_KIND_STRUCT: {
        auto any = p.getAs<AnyList>();
        // Typed code of the stock library refuses this; its untyped view does not look.
        KJ_REQUIRE(any.getElementSize() != capnp::ElementSize::BIT, "bits as structs");
        auto all = any.as<capnp::List<AnyStruct>>();
        require(!compare || all.size() == capnp_list_len(ours), "struct list lengths differ");
        for (uint32_t i = 0; i < all.size() && i < max_elements; i++) {
            structure(all[i], (const capnp_struct_type *)element->of, capnp_list_struct_at(ours, i));
        }
        return;
    }
    default:
        break;
    }
    (void)p.getAs<capnp::List<capnp::Text>>(); // checks that the elements hold pointers
    auto all = p.getAs<AnyList>().as<capnp::List<AnyPointer>>();
    require(!compare || all.size() == capnp_list_len(ours), "pointer list lengths differ");
    for (uint32_t i = 0; i < all.size() && i < max_elements; i++) {
        pointer(all[i], element, compare ? capnp_list_struct_at(ours, i) : capnp_struct{nullptr, 0, 0}, 0);
    }
}

// The pointer in `slot` of what we see as `holder`.
void Walk::pointer(AnyPointer::Reader p, const capnp_type *type, capnp_struct holder, uint32_t slot)
{
    if (compare) {
        require(p.isNull() == !capnp_has(holder, slot), "presence differs");
    }
    if (p.isNull()) {
        return;
    }
    if (type == nullptr) {
        return unknown(p);
    }
    switch (type->kind) {
    case CAPNP_KIND_STRUCT:
        return structure(p.getAs<AnyStruct>(), (const capnp_struct_type *)type->of,
                         capnp_get_struct(holder, slot, nullptr));
    case CAPNP_KIND_LIST:
        return list(p, (const capnp_type *)type->of, capnp_get_list(holder, slot, nullptr));
    case CAPNP_KIND_DATA: {
        auto stock = p.getAs<capnp::Data>();
        empty = empty || stock.size() == 0;
        capnp_data ours = capnp_get_data(holder, slot, nullptr);
        require(!compare || (stock.size() == ours.len && memcmp(stock.begin(), ours.ptr, ours.len) == 0),
                "data differ");
        return;
    }
    default: {
        auto stock = p.getAs<capnp::Text>();
        capnp_text ours = capnp_get_text(holder, slot, nullptr);
        tolerated = tolerated || !capnp_utf8_valid(stock.begin(), stock.size());
        require(!compare || (stock.size() == ours.len && memcmp(stock.begin(), ours.ptr, ours.len) == 0),
                "texts differ");
        return;
    }
    }
}
// ---- Verdicts ----

// The stock library drops the highest bit of a struct list's count; we refuse such a list.
bool has_huge_tag(const uint8_t *message, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if ((load_le64(message + i * 8) & 0x80000003u) == 0x80000000u) {
            return true;
        }
    }
    return false;
}

// Our verdict is `status`, with `holder` the pointer section of the root where we accepted; what does the
// stock library say of `reader`? `message` is all of it, to be shown.
[[maybe_unused]] void compare_verdicts(capnp_status status, capnp_struct holder, const capnp_struct_type *type,
                      kj::Function<AnyPointer::Reader()> root, const uint8_t *message, size_t words)
{
    Walk walk;
    walk.compare = status == CAPNP_OK;
    auto thrown = kj::runCatchingExceptions([&]() {
        auto at = root();
        capnp_type of = {CAPNP_KIND_STRUCT, type};
        capnp_struct none = {nullptr, 0, 0};
        if (status == CAPNP_OK) {
            walk.pointer(at, &of, holder, 0);
        } else if (!at.isNull()) {
            walk.pointer(at, &of, none, 0);
        }
    });
    KJ_IF_MAYBE (e, thrown) {
        if (status == CAPNP_OK) {
            fprintf(stderr, "%s\n", kj::str(*e).cStr());
            fail("we accepted what the stock library refuses");
        }
    } else if (status != CAPNP_OK && !walk.tolerated &&
               !(status == CAPNP_OUT_OF_BOUNDS && walk.empty) &&
               !(status == CAPNP_BAD_LIST && has_huge_tag(message, words))) {
        fprintf(stderr, "our status: %s; the message:\n", capnp_status_name(status));
        for (size_t i = 0; i < words; i++) {
            fprintf(stderr, "%4zu %016llx\n", i, (unsigned long long)load_le64(message + i * 8));
        }
        fail("we refused what the stock library accepts");
    }
}

const capnp_limits fuzz_limits = {UINT64_C(1) << 16, 48};

capnp::ReaderOptions stock_options()
{
    capnp::ReaderOptions options;
    options.traversalLimitInWords = UINT64_C(1) << 30;
    options.nestingLimit = 200;
    return options;
}

// ---- Building with ours ----

void build_ours(Choices &c, capnp_struct_b b, const capnp_struct_type *type, unsigned depth);

const char *const sample = "caf\xc3\xa9 and more text than a word";

size_t sample_length(Choices &c)
{
    size_t n = c.below(30);
    return n == 4 ? 5 : n; // not inside the two-byte character
}

void fill_ours(Choices &c, capnp_list_b l, const capnp_type *element, unsigned depth);

capnp_list_b init_ours(const capnp_type *element, uint32_t n, capnp_struct_b s, uint32_t slot)
{
    if (element->kind == CAPNP_KIND_STRUCT) {
        auto st = (const capnp_struct_type *)element->of;
        return capnp_init_struct_list(s, slot, st->data_words, st->ptr_count, n);
    }
    return capnp_init_list(s, slot, element->kind, n);
}

void fill_ours(Choices &c, capnp_list_b l, const capnp_type *element, unsigned depth)
{
    for (uint32_t i = 0; i < l.count; i++) {
        switch (element->kind) {
        case CAPNP_KIND_VOID:
            break;
        case CAPNP_KIND_BOOL:
            capnp_list_bool_set(l, i, c.byte() & 1);
            break;
        case CAPNP_KIND_BITS8:
            capnp_list_u8_set(l, i, c.byte());
            break;
        case CAPNP_KIND_BITS16:
            capnp_list_u16_set(l, i, (uint16_t)c.word());
            break;
        case CAPNP_KIND_BITS32:
            capnp_list_u32_set(l, i, (uint32_t)c.word() * 65537);
            break;
        case CAPNP_KIND_BITS64:
            capnp_list_u64_set(l, i, c.word() * UINT64_C(0x0001000100010001));
            break;
        case CAPNP_KIND_TEXT:
            capnp_text_list_set(l, i, sample, sample_length(c));
            break;
        case CAPNP_KIND_DATA:
            capnp_data_list_set(l, i, sample, c.below(20));
            break;
        case CAPNP_KIND_STRUCT:
            build_ours(c, capnp_list_struct_b_at(l, i), (const capnp_struct_type *)element->of, depth + 1);
            break;
        case CAPNP_KIND_LIST: {
            auto inner = (const capnp_type *)element->of;
            capnp_list_b sub;
            if (inner->kind == CAPNP_KIND_STRUCT) {
                auto st = (const capnp_struct_type *)inner->of;
                sub = capnp_list_struct_list_init(l, i, st->data_words, st->ptr_count, c.below(4));
            } else {
                sub = capnp_list_list_init(l, i, inner->kind, c.below(4));
            }
            fill_ours(c, sub, inner, depth + 1);
            break;
        }
        }
    }
}

void build_ours(Choices &c, capnp_struct_b b, const capnp_struct_type *type, unsigned depth)
{
    for (uint32_t i = 0; i < b.data_words * 4u; i++) {
        // Small values too, so that discriminants hit their members.
        uint16_t v = (uint16_t)(c.byte() & 1 ? c.below(8) : c.word());
        capnp_set_u16(b, i, v, 0);
    }
    for (uint32_t f = 0; f < type->field_count && depth < 5 && b.b->status == CAPNP_OK; f++) {
        const capnp_pointer_field &field = type->fields[f];
        capnp_struct view = {b.b->base + b.word * 8, b.data_words * 8u, 0};
        if ((c.byte() & 3) == 0 ||
            !holds(field.when, kj::arrayPtr(view.data, view.data_bytes))) {
            continue;
        }
        switch (field.type.kind) {
        case CAPNP_KIND_TEXT:
            capnp_set_text(b, field.slot, sample, sample_length(c));
            break;
        case CAPNP_KIND_DATA:
            capnp_set_data(b, field.slot, sample, c.below(20));
            break;
        case CAPNP_KIND_STRUCT: {
            auto st = (const capnp_struct_type *)field.type.of;
            build_ours(c, capnp_init_struct(b, field.slot, st->data_words, st->ptr_count), st, depth + 1);
            break;
        }
        default: {
            auto element = (const capnp_type *)field.type.of;
            fill_ours(c, init_ours(element, c.below(5), b, field.slot), element, depth + 1);
            break;
        }
        }
    }
}

// ---- Building with the stock library ----

void build_stock(Choices &c, AnyStruct::Builder b, const capnp_struct_type *type, unsigned depth);

void pointer_stock(Choices &c, AnyPointer::Builder p, const capnp_type *type, unsigned depth);

// Sizes as another version of the schema would have them.
uint16_t other_size(Choices &c, uint16_t size)
{
    uint32_t roll = c.below(8);
    return (uint16_t)(roll == 0 ? 0 : roll == 1 ? size / 2 : roll == 2 ? size + 2 : size);
}

template <typename T> void numbers_stock(Choices &c, AnyPointer::Builder p, uint32_t n)
{
    auto l = p.initAs<capnp::List<T>>(n);
    for (uint32_t i = 0; i < n; i++) {
        l.set(i, (T)c.word());
    }
}

void list_stock(Choices &c, AnyPointer::Builder p, const capnp_type *element, unsigned depth)
{
    uint32_t n = c.below(5);
    switch (element->kind) {
    case CAPNP_KIND_VOID:
        p.initAs<capnp::List<capnp::Void>>(n);
        return;
    case CAPNP_KIND_BOOL:
        return numbers_stock<bool>(c, p, n);
    case CAPNP_KIND_BITS8:
        return numbers_stock<uint8_t>(c, p, n);
    case CAPNP_KIND_BITS16:
        return numbers_stock<uint16_t>(c, p, n);
    case CAPNP_KIND_BITS32:
        return numbers_stock<uint32_t>(c, p, n);
    case CAPNP_KIND_BITS64:
        return numbers_stock<uint64_t>(c, p, n);
    case CAPNP_KIND_STRUCT: {
        auto st = (const capnp_struct_type *)element->of;
        auto l = p.initAsListOfAnyStruct(other_size(c, st->data_words), other_size(c, st->ptr_count), n);
        for (uint32_t i = 0; i < n; i++) {
            build_stock(c, l[i], st, depth + 1);
        }
        return;
    }
    default: {
        auto l = p.initAsAnyList(capnp::ElementSize::POINTER, n).as<capnp::List<AnyPointer>>();
        for (uint32_t i = 0; i < n; i++) {
            pointer_stock(c, l[i], element, depth + 1);
        }
        return;
    }
    }
}

void pointer_stock(Choices &c, AnyPointer::Builder p, const capnp_type *type, unsigned depth)
{
    switch (type->kind) {
    case CAPNP_KIND_TEXT:
        p.setAs<capnp::Text>(kj::heapString(sample, sample_length(c)));
        return;
    case CAPNP_KIND_DATA:
        p.setAs<capnp::Data>(kj::arrayPtr((const kj::byte *)sample, c.below(20)));
        return;
    case CAPNP_KIND_STRUCT: {
        auto st = (const capnp_struct_type *)type->of;
        build_stock(c, p.initAsAnyStruct(other_size(c, st->data_words), other_size(c, st->ptr_count)), st,
                    depth + 1);
        return;
    }
    default:
        return list_stock(c, p, (const capnp_type *)type->of, depth);
    }
}

void build_stock(Choices &c, AnyStruct::Builder b, const capnp_struct_type *type, unsigned depth)
{
    auto data = b.getDataSection();
    for (auto &byte : data) {
        byte = c.byte() & 1 ? (uint8_t)c.below(8) : c.byte();
    }
    auto pointers = b.getPointerSection();
    for (uint32_t f = 0; f < type->field_count && depth < 5; f++) {
        const capnp_pointer_field &field = type->fields[f];
        if (field.slot < pointers.size() && (c.byte() & 3) != 0 && holds(field.when, data)) {
            pointer_stock(c, pointers[field.slot], &field.type, depth + 1);
        }
    }
}

void mutate(Choices &c, uint8_t *bytes, size_t len)
{
    uint32_t count = 1 + c.below(4);
    for (uint32_t i = 0; i < count && len > 0; i++) {
        size_t at = c.below((uint32_t)len);
        if (c.byte() & 1) {
            bytes[at] ^= (uint8_t)(1u << c.below(8));
        } else {
            bytes[at] = c.byte();
        }
    }
}

} // namespace

#endif
