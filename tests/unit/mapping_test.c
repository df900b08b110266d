/* SPDX-License-Identifier: MIT */
/* VirtualMemory's methods as a program calls them: private mappings, and a loader's in another process. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/memory.capnp.h"
#include "gen/process.capnp.h"
#include "mem/frames.h"
#include "object/memory_object.h"
#include "object/revocation.h"

#define P PAGE_BYTES
enum { PAGES = 6 };

static char bytes[PAGES * PAGE_BYTES];
static uint64_t words[32];
static struct capnp_builder builder;

static capos_cap_t own_memory(struct user *user)
{
    return user_give(user, &user->process->obj, KTYPE_VIRTUAL_MEMORY, VirtualMemory_FACET);
}

static status_t address_of(struct user *user, struct capos_cqe cqe, uint64_t at, uint64_t *out)
{
    VirtualMemory_map_results_r results;
    if (cqe.result < 0) {
        return cqe.result;
    }
    CHECK_EQ(VirtualMemory_map_results_read(user_ptr(user, at), (size_t)cqe.result, &results),
             CAPNP_OK);
    *out = VirtualMemory_map_results_get_address(results);
    return ST_OK;
}

static status_t map(struct user *user, capos_cap_t space, capos_cap_t memory,
                    enum Protection protection, uint64_t size, uint64_t *out)
{
    uint64_t at = 0;
    capnp_builder_init(&builder, words, sizeof(words));
    VirtualMemory_map_params_b params = VirtualMemory_map_params_init(&builder);
    VirtualMemory_map_params_set_address(params, *out);
    VirtualMemory_map_params_set_size_bytes(params, size);
    VirtualMemory_map_params_set_protection(params, protection);
    struct capos_transfer xfer = copy_of(memory);
    struct capos_cqe cqe = user_call(user, space, VirtualMemory_ID, VirtualMemory_map_ORDINAL,
                                     &builder, &xfer, 1, &at);
    return address_of(user, cqe, at, out);
}

static status_t map_private(struct user *user, capos_cap_t space, capos_cap_t memory, uint64_t size,
                            uint64_t *out)
{
    uint64_t at = 0;
    capnp_builder_init(&builder, words, sizeof(words));
    VirtualMemory_map_private_params_b params = VirtualMemory_map_private_params_init(&builder);
    VirtualMemory_map_private_params_set_address(params, *out);
    VirtualMemory_map_private_params_set_size_bytes(params, size);
    struct capos_transfer xfer = copy_of(memory);
    struct capos_cqe cqe = user_call(user, space, VirtualMemory_ID,
                                     VirtualMemory_map_private_ORDINAL, &builder, &xfer, 1, &at);
    return address_of(user, cqe, at, out);
}

static status_t unmap(struct user *user, capos_cap_t space, uint64_t address, uint64_t size)
{
    capnp_builder_init(&builder, words, sizeof(words));
    VirtualMemory_unmap_params_b params = VirtualMemory_unmap_params_init(&builder);
    VirtualMemory_unmap_params_set_address(params, address);
    VirtualMemory_unmap_params_set_size_bytes(params, size);
    int32_t result = user_call(user, space, VirtualMemory_ID, VirtualMemory_unmap_ORDINAL, &builder,
                               NULL, 0, NULL)
                         .result;
    return result < 0 ? result : ST_OK;
}

TEST(private_answer,
     "the answer of a call is written to a private mapping, which gets its copies by that")
{
    fixture_start(2);
    struct user *user = user_new("user");
    capos_cap_t space = own_memory(user);
    memset(bytes, 'a', sizeof(bytes));
    capos_cap_t memory = user_memory(user, bytes, sizeof(bytes), true);
    uint64_t at = 0;
    REQUIRE_EQ(map_private(user, space, memory, sizeof(bytes), &at), ST_OK);
    capnp_builder_init(&builder, words, sizeof(words));
    MemoryObject_read_params_b params = MemoryObject_read_params_init(&builder);
    MemoryObject_read_params_set_count_bytes(params, 600);
    struct capos_sqe sqe =
        sqe_method(user, memory, MemoryObject_ID, MemoryObject_read_ORDINAL, &builder);
    sqe.result = at + 3 * P - 320;
    sqe.result_len = 640;
    CHECK_EQ(user_do(user, &sqe).result, 616);
    CHECK_EQ(*(char *)user_ptr(user, at + 3 * P - 1), 'a');
    uint64_t root;
    user_read(user, at + 3 * P - 320, &root, 8);
    CHECK(root != UINT64_C(0x6161616161616161));
    struct memory_object *object = memory_object_of(user_object(user, memory));
    CHECK_EQ(*(char *)frame_ptr(memory_object_frame(object, 2)), 'a');
    CHECK_EQ(((char *)frame_ptr(memory_object_frame(object, 2)))[P - 320], 'a');
    CHECK_EQ(unmap(user, space, at, sizeof(bytes)), ST_OK);
    fixture_end();
}

/* The parent's capability to the child's address space. */
static capos_cap_t space_of(struct user *parent, struct user *child)
{
    capos_cap_t handle =
        user_give(parent, &child->process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
    struct capos_cqe cqe = user_call_plain(parent, handle, ProcessHandle_ID,
                                           ProcessHandle_address_space_ORDINAL, NULL);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

static uint64_t used(struct user *user, enum LedgerClass c)
{
    return atomic_load_relaxed(&user->process->ledger->used[c]);
}

TEST(loader_maps, "a loader maps one sealed text into two children, which share its frames, and "
                  "data that is each "
                  "one's own; the children pay")
{
    fixture_start(2);
    struct user *loader = user_new("loader"), *a = user_new("a"), *b = user_new("b");
    memset(bytes, 't', sizeof(bytes));
    capos_cap_t text = user_memory(loader, bytes, sizeof(bytes), true);
    capos_cap_t in_a = space_of(loader, a), in_b = space_of(loader, b);
    uint64_t frames = used(a, LEDGER_CLASS_FRAMES), pages = used(a, LEDGER_CLASS_VIRTUAL_PAGES);
    uint64_t mine = used(loader, LEDGER_CLASS_VIRTUAL_PAGES);
    uint64_t at_a = 0x30000000, at_b = 0x50000000, data = 0x70000000;
    CHECK_EQ(map(loader, in_a, text, PROTECTION_READ_EXECUTE, sizeof(bytes), &at_a), ST_OK);
    CHECK_EQ(map(loader, in_b, text, PROTECTION_READ_EXECUTE, sizeof(bytes), &at_b), ST_OK);
    CHECK_PTR_EQ(user_ptr(a, at_a + P), user_ptr(b, at_b + P));
    CHECK_EQ(map_private(loader, in_a, text, P, &data), ST_OK);
    CHECK_EQ(map_private(loader, in_b, text, P, &data), ST_OK);
    CHECK_EQ(used(a, LEDGER_CLASS_FRAMES), frames + 1);
    CHECK_EQ(used(a, LEDGER_CLASS_VIRTUAL_PAGES), pages + PAGES + 1);
    CHECK_EQ(used(loader, LEDGER_CLASS_VIRTUAL_PAGES), mine);
    CHECK(aspace_unshare(&a->process->aspace, data, 1));
    *(char *)user_ptr(a, data) = 'a';
    CHECK_EQ(*(char *)user_ptr(b, data), 't');
    CHECK_EQ(*(char *)user_ptr(a, at_a), 't');
    uint64_t ring = a->thread->ring->user_address;
    CHECK_EQ(map(loader, in_a, text, PROTECTION_READ, P, &ring), ST_EXISTS);
    CHECK_EQ(unmap(loader, in_a, ring, P), ST_BAD_STATE);
    CHECK_EQ(unmap(loader, in_a, at_a, sizeof(bytes)), ST_OK);
    CHECK_PTR_EQ(user_ptr(a, at_a), NULL);
    CHECK(user_ptr(b, at_b) != NULL);
    fixture_end();
}

TEST(loader_bounds, "a loader is bound by the child's ledger, by what the object's capability "
                    "allows, and by its life")
{
    fixture_start(2);
    struct user *loader = user_new("loader"), *child = user_new("child");
    capos_cap_t memory = user_memory(loader, bytes, sizeof(bytes), false);
    capos_cap_t reader = user_pass(loader, memory, loader, MemoryReader_FACET);
    capos_cap_t space = space_of(loader, child);
    struct ledger *pays = child->process->ledger;
    uint64_t at = 0x30000000;
    CHECK_EQ(map(loader, space, reader, PROTECTION_READ_WRITE, P, &at), ST_NO_METHOD);
    CHECK_EQ(map(loader, space, memory, PROTECTION_READ_EXECUTE, P, &at), ST_NOT_SEALED);
    uint64_t rest = atomic_load_relaxed(&pays->limit[LEDGER_CLASS_VIRTUAL_PAGES]) -
                    used(child, LEDGER_CLASS_VIRTUAL_PAGES);
    CHECK_EQ(ledger_charge(pays, LEDGER_CLASS_VIRTUAL_PAGES, rest), ST_OK);
    CHECK_EQ(map(loader, space, memory, PROTECTION_READ, P, &at), ST_QUOTA);
    ledger_refund(pays, LEDGER_CLASS_VIRTUAL_PAGES, rest);
    CHECK_EQ(map(loader, space, memory, PROTECTION_READ, P, &at), ST_OK);
    user_exit(child, 0);
    at = 0x40000000;
    CHECK_EQ(map(loader, space, memory, PROTECTION_READ, P, &at), ST_DISCONNECTED);
    CHECK_EQ(map_private(loader, space, memory, P, &at), ST_DISCONNECTED);
    CHECK_EQ(unmap(loader, space, 0x30000000, P), ST_DISCONNECTED);
    struct memory_object *object = memory_object_of(user_object(loader, memory));
    CHECK_EQ(object->mappings, 0);
    fixture_end();
}

TEST(loader_handle,
     "a process that ends has no address space to give, and a process gets none of itself")
{
    fixture_start(2);
    struct user *loader = user_new("loader"), *child = user_new("child");
    capos_cap_t handle =
        user_give(loader, &child->process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
    capos_cap_t self =
        user_give(child, &child->process->obj, KTYPE_PROCESS_HANDLE, ProcessSelf_FACET);
    CHECK_EQ(
        user_call_plain(child, self, ProcessHandle_ID, ProcessHandle_address_space_ORDINAL, NULL)
            .result,
        ST_NO_METHOD);
    user_exit(child, 0);
    CHECK_EQ(
        user_call_plain(loader, handle, ProcessHandle_ID, ProcessHandle_address_space_ORDINAL, NULL)
            .result,
        ST_BAD_STATE);
    fixture_end();
}

TEST(loader_revoked, "what a loader mapped goes with its way to the object, in the child too")
{
    fixture_start(2);
    struct user *owner = user_new("owner"), *loader = user_new("loader"),
                *child = user_new("child");
    capos_cap_t memory = user_memory(owner, bytes, sizeof(bytes), true);
    capos_cap_t lent = user_pass_below(owner, memory, loader, MemoryObject_FACET);
    struct grant *route = user_route(loader, lent);
    capos_cap_t space = space_of(loader, child);
    uint64_t at = 0, data = 0;
    CHECK_EQ(map(loader, space, lent, PROTECTION_READ, sizeof(bytes), &at), ST_OK);
    CHECK_EQ(map_private(loader, space, lent, sizeof(bytes), &data), ST_OK);
    CHECK(aspace_unshare(&child->process->aspace, data + P, 1));
    CHECK_EQ(user_release(loader, lent), ST_OK);
    struct revocation rev = {.step = 0};
    for (unsigned slices = 0; !revocation_slice(&rev, route); slices++) {
        REQUIRE(slices < 1000);
        (void)host_settle(10);
    }
    CHECK_PTR_EQ(user_ptr(child, at), NULL);
    CHECK_PTR_EQ(user_ptr(child, data), NULL);
    CHECK_PTR_EQ(user_ptr(child, data + P), NULL);
    struct memory_object *object = memory_object_of(user_object(owner, memory));
    CHECK_EQ(object->mappings, 0);
    grant_unref(route);
    fixture_end();
}
