/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "core/job.h"
#include "gen/memory.capnp.h"
#include "object/memory_object.h"
#include "object/revocation.h"

#define P PAGE_BYTES
enum { PAGES = 4 };

static const char bytes[PAGES * PAGE_BYTES] = "pinned";

static struct capos_cqe pin(struct user *user, capos_cap_t memory, uint64_t offset, uint64_t size,
                            bool writable)
{
    static uint64_t words[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    MemoryObject_pin_params_b params = MemoryObject_pin_params_init(&builder);
    MemoryObject_pin_params_set_offset_bytes(params, offset);
    MemoryObject_pin_params_set_size_bytes(params, size);
    MemoryObject_pin_params_set_writable(params, writable);
    return user_call(user, memory, MemoryObject_ID, MemoryObject_pin_ORDINAL, &builder, NULL, 0,
                     NULL);
}

static uint64_t pinned(struct user *user)
{
    return atomic_load_relaxed(&user->process->ledger->used[LEDGER_CLASS_PINNED_PAGES]);
}

static struct memory_object *object_of(struct user *user, capos_cap_t memory)
{
    return memory_object_of(user_object(user, memory));
}

TEST(pin_holds,
     "a pin is charged, tells what it pins, keeps the pages of an object that nobody holds, and a "
     "writable one keeps it open")
{
    fixture_start(1);
    struct user *user = user_new("pins");
    capos_cap_t memory = user_memory(user, bytes, sizeof(bytes), false);
    struct memory_object *object = object_of(user, memory);
    struct capos_cqe reads = pin(user, memory, P, 2 * P, false);
    CHECK(reads.result >= 0);
    CHECK_EQ(pinned(user), 2);
    CHECK_EQ(object->pins, 1);
    struct capos_cqe writes = pin(user, memory, 0, PAGES * P, true);
    CHECK(writes.result >= 0);
    CHECK_EQ(pinned(user), 2 + PAGES);
    CHECK_EQ(memory_object_seal(object), ST_BUSY);
    uint64_t at = 0;
    struct capos_cqe told =
        user_call_plain(user, reads.first_cap, MemoryPin_ID, MemoryPin_info_ORDINAL, &at);
    MemoryPin_info_results_r info;
    CHECK_EQ(MemoryPin_info_results_read(user_ptr(user, at), (size_t)told.result, &info), CAPNP_OK);
    CHECK_EQ(MemoryPin_info_results_get_offset_bytes(info), P);
    CHECK_EQ(MemoryPin_info_results_get_size_bytes(info), 2 * P);
    CHECK(!MemoryPin_info_results_get_writable(info));
    CHECK_EQ(user_release(user, writes.first_cap), ST_OK);
    CHECK_EQ(pinned(user), 2);
    CHECK_EQ(memory_object_seal(object), ST_OK);
    kobj_ref(&object->obj);
    CHECK_EQ(user_release(user, memory), ST_OK);
    CHECK(atomic_load_relaxed(&object->obj.refs) > 1);
    CHECK_EQ(user_release(user, reads.first_cap), ST_OK);
    CHECK_EQ(atomic_load_relaxed(&object->obj.refs), 1);
    CHECK_EQ(object->pins, 0);
    kobj_unref(&object->obj);
    CHECK_EQ(pinned(user), 0);
    fixture_end();
}

TEST(pin_refusals, "each refusal of a pin says why and changes nothing")
{
    static const struct {
        uint64_t offset, size;
    } wrong[] = {{0, 0},
                 {0, 1},
                 {1, P},
                 {PAGES * P, P},
                 {0, (PAGES + 1) * P},
                 {UINT64_MAX - P + 1, 2 * P},
                 {0, P + 8},
                 {UINT64_MAX, P}};
    static const enum LedgerClass classes[] = {LEDGER_CLASS_PINNED_PAGES, LEDGER_CLASS_SLOTS,
                                               LEDGER_CLASS_KERNEL_PAGES};
    fixture_start(1);
    struct user *user = user_new("pins");
    struct ledger *ledger = user->process->ledger;
    capos_cap_t memory = user_memory(user, bytes, sizeof(bytes), false);
    capos_cap_t reader =
        user_pass(user, memory, user, BIT64(MemoryObject_pin_ORDINAL) | MemoryReader_FACET);
    capos_cap_t image = user_pass(user, memory, user, MemoryImage_FACET);
    struct memory_object *object = object_of(user, memory);
    struct ledger_state before = ledger_state(ledger);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK_EQ(pin(user, memory, wrong[i].offset, wrong[i].size, false).result, ST_BAD_ARGUMENT);
    }
    CHECK_EQ(pin(user, reader, 0, P, true).result, ST_NO_METHOD);
    CHECK_EQ(pin(user, image, 0, P, false).result, ST_NO_METHOD);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t rest = atomic_load_relaxed(&ledger->limit[classes[i]]) -
                        atomic_load_relaxed(&ledger->used[classes[i]]);
        CHECK_EQ(ledger_charge(ledger, classes[i], rest), ST_OK);
        if (classes[i] == LEDGER_CLASS_KERNEL_PAGES) {
            frames_fail_at(1);
        }
        struct capos_cqe last;
        unsigned made = 0;
        capos_cap_t caps[64];
        while ((last = pin(user, memory, 0, P, true)).result >= 0 && made < 64) {
            caps[made++] = last.first_cap; /* there was room in a page of its kind */
        }
        CHECK_EQ(last.result, ST_QUOTA);
        CHECK(classes[i] == LEDGER_CLASS_KERNEL_PAGES || made == 0);
        while (made > 0) {
            CHECK_EQ(user_release(user, caps[--made]), ST_OK);
        }
        frames_fail_at(0);
        ledger_refund(ledger, classes[i], rest);
    }
    CHECK_EQ(memory_object_seal(object), ST_OK);
    CHECK_EQ(pin(user, memory, 0, P, true).result, ST_BAD_STATE);
    CHECK_EQ(object->pins, 0);
    CHECK_EQ(object->writers, 0);
    struct ledger_state after = ledger_state(ledger);
    CHECK_MEM_EQ(&before.used, &after.used, sizeof(after.used));
    CHECK(pin(user, reader, 0, P, false).result >= 0);
    fixture_end();
}

TEST(pin_ends_with_its_way, "a pin ends with the grant it came by, and with its holder")
{
    fixture_start(2);
    struct user *a = user_new("a"), *b = user_new("b"), *c = user_new("c");
    capos_cap_t memory = user_memory(a, bytes, sizeof(bytes), false);
    struct memory_object *object = object_of(a, memory);
    capos_cap_t lent = user_pass_below(a, memory, b, MemoryObject_FACET);
    capos_cap_t other = user_pass_below(a, memory, c, MemoryObject_FACET);
    struct grant *route = user_route(b, lent);
    CHECK(pin(b, lent, 0, P, true).result >= 0);
    CHECK(pin(b, lent, P, P, true).result >= 0);
    CHECK(pin(c, other, 0, P, true).result >= 0);
    CHECK_EQ(user_release(b, lent), ST_OK);
    CHECK_EQ(object->pins, 3);
    struct revocation rev = {.step = 0};
    while (!revocation_slice(&rev, route)) {
        (void)host_settle(10);
    }
    CHECK_EQ(object->pins, 1);
    CHECK_EQ(pinned(b), 0);
    CHECK_EQ(memory_object_seal(object), ST_BUSY);
    grant_unref(route);
    user_exit(c, 0);
    CHECK_EQ(object->pins, 0);
    CHECK_EQ(memory_object_seal(object), ST_OK);
    fixture_end();
}
