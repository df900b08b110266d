/* SPDX-License-Identifier: MIT */
/*
 * Each method of the kernel's objects gives each answer that its schema declares: the pairs that no other test has a
 * reason to ask for (tools/status-pairs tells which are missing). A refusal leaves the caller's ledger as it was.
 */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/capabilities.capnp.h"
#include "gen/devices.capnp.h"
#include "gen/endpoint.capnp.h"
#include "gen/grants.capnp.h"
#include "gen/kernel_log.capnp.h"
#include "gen/ledger.capnp.h"
#include "gen/memory.capnp.h"
#include "gen/process.capnp.h"
#include "gen/scheduling.capnp.h"
#include "gen/session.capnp.h"
#include "gen/thread.capnp.h"
#include "core/log.h"
#include "lib/base/string.h"
#include "mem/slab.h"
#include "object/grant_handle.h"
#include "object/root.h"
#include "object/session.h"

#define P UINT64_C(4096)

enum { DATA_WORDS = 8, MESSAGE_WORDS = 160 };

static uint64_t words[MESSAGE_WORDS];
static struct capnp_builder builder;

static struct capnp_builder *message(void)
{
    capnp_builder_init(&builder, words, sizeof(words));
    return &builder;
}

static const struct kernel_method *method_of(uint64_t interface, uint16_t method)
{
    unsigned ktype = 1;
    while (kernel_interfaces[ktype].id != interface) {
        ktype++;
    }
    return &kernel_interfaces[ktype].methods[method];
}

/* Calls with a parameter struct of these data words and no pointers, carrying one capability unless it is 0. */
static struct capos_cqe ask(struct user *user, capos_cap_t cap, uint64_t interface, uint16_t method,
                            const uint64_t data[DATA_WORDS], capos_cap_t carried)
{
    uint64_t raw[1 + DATA_WORDS];
    const struct kernel_method *called = method_of(interface, method);
    uint32_t bytes = called->params_max_bytes;
    bytes = bytes < sizeof(raw) ? bytes : sizeof(raw);
    raw[0] = (uint64_t)(bytes / 8 - 1) << 32;
    memcpy(&raw[1], data, sizeof(raw) - 8);
    uint64_t at = user_message(user, raw, bytes);
    struct capos_sqe sqe = sqe_call(user, cap, interface, method, at, bytes);
    sqe_result(user, &sqe, called->results_max_bytes <= 64 ? 128 : 1024, 2);
    if (carried != 0) {
        struct capos_transfer xfer = copy_of(carried);
        sqe_transfers(user, &sqe, user_ring(user)->next_sequence, &xfer, 1);
    }
    return user_do(user, &sqe);
}
#define DATA(...) ((const uint64_t[DATA_WORDS]){__VA_ARGS__})

/* The same, which must be refused so and must leave the ledger as it was. */
static void refused(struct user *user, capos_cap_t cap, uint64_t interface, uint16_t method,
                    const uint64_t data[DATA_WORDS], capos_cap_t carried, status_t status)
{
    struct ledger_state before = ledger_state(user->process->ledger);
    CHECK_EQ(ask(user, cap, interface, method, data, carried).result, status);
    struct ledger_state after = ledger_state(user->process->ledger);
    CHECK_MEM_EQ(after.used, before.used, sizeof(after.used));
}

/* Takes every slot that the user may have. */
static void fill_slots(struct user *user)
{
    struct capos_cqe cqe;
    do {
        cqe = ask(user, user->ledger, Ledger_ID, Ledger_new_notification_ORDINAL, DATA(0), 0);
    } while (cqe.result >= 0);
    CHECK_EQ(cqe.result, ST_QUOTA);
}

static struct user *user_of_few_slots(void)
{
    uint64_t limits[LEDGER_CLASSES];
    user_limits(limits);
    limits[LEDGER_CLASS_SLOTS] = 24;
    return user_new_limits("poor", limits, USER_RING);
}

TEST(no_slot, "what answers with a capability says QUOTA when no slot is left")
{
    fixture_start(1);
    struct user *user = user_of_few_slots();
    capos_cap_t irqs = user_give_root(user, KTYPE_INTERRUPT_ROOT);
    capos_cap_t ports = user_give_root(user, KTYPE_IO_PORTS_ROOT);
    capos_cap_t spawner = user_give_root(user, KTYPE_PROCESS_SPAWNER);
    capos_cap_t manager = user_give_self(user, KTYPE_CAPABILITY_MANAGER);
    capos_cap_t endpoint = user_endpoint(user, 64, 0);
    capos_cap_t bell = user_notification(user);
    fill_slots(user);
    refused(user, irqs, InterruptRoot_ID, InterruptRoot_open_ORDINAL, DATA(5), 0, ST_QUOTA);
    refused(user, ports, IoPortsRoot_ID, IoPortsRoot_open_ORDINAL, DATA(0x300 | 8 << 16), 0,
            ST_QUOTA);
    refused(user, spawner, ProcessSpawner_ID, ProcessSpawner_new_launcher_ORDINAL, DATA(1), 0,
            ST_QUOTA);
    refused(user, manager, CapabilityManager_ID, CapabilityManager_attenuate_ORDINAL, DATA(0, 1),
            bell, ST_QUOTA);
    refused(user, endpoint, Endpoint_ID, Endpoint_lend_ORDINAL, DATA(0), 0, ST_QUOTA);
    refused(user, user->ledger, Ledger_ID, Ledger_new_endpoint_ORDINAL, DATA(64), 0, ST_QUOTA);
    refused(user, user->ledger, Ledger_ID, Ledger_new_memory_object_ORDINAL, DATA(P), 0, ST_QUOTA);
    fixture_end();
}

TEST(memory_answers,
     "virtual memory by its ring: each answer of reserve, commit, protect, decommit, unmap and map")
{
    enum {
        BASE = 0x40000000,
        COMMIT = VirtualMemory_commit_ORDINAL,
        READ_WRITE = PROTECTION_READ_WRITE
    };
    fixture_start(1);
    uint64_t limits[LEDGER_CLASSES];
    user_limits(limits);
    limits[LEDGER_CLASS_VIRTUAL_PAGES] = 600;
    limits[LEDGER_CLASS_FRAMES] = 64;
    struct user *user = user_new_limits("mapper", limits, USER_RING);
    capos_cap_t self = user_give_self(user, KTYPE_VIRTUAL_MEMORY);
    static const struct {
        uint16_t method;
        uint64_t address, size, protection;
        status_t status; /* 0: it succeeds */
    } steps[] = {
        {VirtualMemory_reserve_ORDINAL, BASE + 1, P, 0, ST_BAD_ARGUMENT},
        {VirtualMemory_reserve_ORDINAL, BASE, 4096 * P, 0, ST_QUOTA},
        {VirtualMemory_reserve_ORDINAL, BASE, 128 * P, 0, 0},
        {VirtualMemory_reserve_ORDINAL, BASE, P, 0, ST_EXISTS},
        {COMMIT, BASE + 1, P, READ_WRITE, ST_BAD_ARGUMENT},
        {COMMIT, BASE + 4096 * P, P, READ_WRITE, ST_BAD_STATE},
        {COMMIT, BASE, 128 * P, READ_WRITE, ST_QUOTA},
        {COMMIT, BASE, 2 * P, READ_WRITE, 0},
        {VirtualMemory_protect_ORDINAL, BASE, P, PROTECTION_READ, 0},
        {VirtualMemory_protect_ORDINAL, BASE + 1, P, PROTECTION_READ, ST_BAD_ARGUMENT},
        {VirtualMemory_protect_ORDINAL, BASE + 8 * P, P, PROTECTION_READ, ST_BAD_STATE},
        {VirtualMemory_decommit_ORDINAL, BASE + 1, P, 0, ST_BAD_ARGUMENT},
        {VirtualMemory_decommit_ORDINAL, BASE + 4096 * P, P, 0, ST_BAD_STATE},
        {VirtualMemory_decommit_ORDINAL, BASE, P, 0, 0},
        {VirtualMemory_unmap_ORDINAL, BASE + 1, P, 0, ST_BAD_ARGUMENT},
        {VirtualMemory_unmap_ORDINAL, BASE, 128 * P, 0, 0},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const uint64_t *data = DATA(steps[i].address, steps[i].size, steps[i].protection);
        if (steps[i].status != 0) {
            refused(user, self, VirtualMemory_ID, steps[i].method, data, 0, steps[i].status);
        } else {
            CHECK(ask(user, self, VirtualMemory_ID, steps[i].method, data, 0).result >= 0);
        }
    }
    capos_cap_t memory = user_memory(user, "x", 1, false);
    const uint64_t *over_heap = DATA(PROTECTION_READ << 16, USER_HEAP, 0, P);
    refused(user, self, VirtualMemory_ID, VirtualMemory_map_ORDINAL, over_heap, memory, ST_EXISTS);
    fixture_end();
}

TEST(port_answers,
     "ports by their ring: widths and offsets that a range has, and those that it has not")
{
    fixture_start(1);
    struct user *user = user_new("driver");
    capos_cap_t root = user_give_root(user, KTYPE_IO_PORTS_ROOT);
    struct capos_cqe open =
        ask(user, root, IoPortsRoot_ID, IoPortsRoot_open_ORDINAL, DATA(0x300 | 8 << 16), 0);
    CHECK(open.result >= 0);
    capos_cap_t ports = open.first_cap;
    CHECK(ask(user, ports, IoPorts_ID, IoPorts_read_ORDINAL, DATA(1 | 1 << 16), 0).result >= 0);
    CHECK(ask(user, ports, IoPorts_ID, IoPorts_write_ORDINAL,
              DATA(4 | UINT64_C(4) << 16 | UINT64_C(7) << 32), 0)
              .result >= 0);
    refused(user, ports, IoPorts_ID, IoPorts_read_ORDINAL, DATA(8 | 1 << 16), 0, ST_BAD_ARGUMENT);
    refused(user, ports, IoPorts_ID, IoPorts_read_ORDINAL, DATA(0 | 3 << 16), 0, ST_BAD_ARGUMENT);
    refused(user, ports, IoPorts_ID, IoPorts_write_ORDINAL, DATA(6 | 4 << 16), 0, ST_BAD_ARGUMENT);
    refused(user, ports, IoPorts_ID, IoPorts_write_run_ORDINAL, DATA(8), 0, ST_BAD_ARGUMENT);
    fixture_end();
}

TEST(ledger_answers, "a ledger makes memory and refuses what no object can be")
{
    fixture_start(1);
    struct user *user = user_new("maker");
    struct capos_cqe made =
        ask(user, user->ledger, Ledger_ID, Ledger_new_memory_object_ORDINAL, DATA(2 * P), 0);
    CHECK(made.result >= 0);
    CHECK_EQ(user_release(user, made.first_cap), ST_OK);
    refused(user, user->ledger, Ledger_ID, Ledger_new_memory_object_ORDINAL, DATA(P + 1), 0,
            ST_BAD_ARGUMENT);
    refused(user, user->ledger, Ledger_ID, Ledger_new_memory_object_ORDINAL, DATA(0), 0,
            ST_BAD_ARGUMENT);
    refused(user, user->ledger, Ledger_ID, Ledger_new_endpoint_ORDINAL, DATA(7), 0,
            ST_BAD_ARGUMENT);
    refused(user, user->ledger, Ledger_ID, Ledger_new_endpoint_ORDINAL,
            DATA(64 | UINT64_C(17) << 32), 0, ST_BAD_ARGUMENT);
    refused(user, user->ledger, Ledger_ID, Ledger_new_memory_object_ORDINAL, DATA(100000 * P), 0,
            ST_QUOTA);
    fixture_end();
}

TEST(memory_object_answers,
     "a memory object is read within its size, and sealed when nobody can write to it")
{
    fixture_start(1);
    struct user *user = user_new("reader");
    capos_cap_t memory = user_memory(user, "text", 4, false);
    capos_cap_t self = user_give_self(user, KTYPE_VIRTUAL_MEMORY);
    refused(user, memory, MemoryObject_ID, MemoryObject_read_ORDINAL, DATA(2 * P, 8), 0,
            ST_BAD_ARGUMENT);
    struct capos_cqe mapped = ask(user, self, VirtualMemory_ID, VirtualMemory_map_ORDINAL,
                                  DATA(PROTECTION_READ_WRITE << 16, 0, 0, P), memory);
    CHECK(mapped.result >= 0);
    refused(user, memory, MemoryObject_ID, MemoryObject_seal_ORDINAL, DATA(0), 0, ST_BUSY);
    fixture_end();
}

TEST(log_answers, "the log is read from any place, and takes no text that is too long")
{
    fixture_start(1);
    struct user *user = user_new("logger");
    capos_cap_t log = user_give_root(user, KTYPE_KERNEL_LOG);
    CHECK(ask(user, log, KernelLog_ID, KernelLog_read_ORDINAL, DATA(0, 256), 0).result >= 0);
    refused(user, log, KernelLog_ID, KernelLog_read_ORDINAL, DATA(0, 0), 0, ST_BAD_ARGUMENT);
    static char text[LOG_RECORD_MAX_BYTES + 1];
    memset(text, 'x', sizeof(text));
    KernelLog_append_params_set_text(KernelLog_append_params_init(message()), text, sizeof(text));
    CHECK_EQ(user_call(user, log, KernelLog_ID, KernelLog_append_ORDINAL, &builder, NULL, 0, NULL)
                 .result,
             ST_BAD_ARGUMENT);
    fixture_end();
}

TEST(session_answers, "a session tells its state, epoch and domain")
{
    fixture_start(1);
    struct user *user = user_new("looker");
    capos_cap_t factory = user_give_root(user, KTYPE_SESSION_FACTORY);
    SessionFactory_create_params_b params = SessionFactory_create_params_init(message());
    SessionFactory_create_params_set_subject(params, "guest", 5);
    SessionFactory_create_params_set_epoch(params, 3);
    struct capos_cqe made = user_call(user, factory, SessionFactory_ID,
                                      SessionFactory_create_ORDINAL, &builder, NULL, 0, NULL);
    CHECK(made.result >= 0);
    static const uint16_t methods[] = {Session_state_ORDINAL, Session_epoch_ORDINAL,
                                       Session_domain_ORDINAL};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        CHECK(ask(user, made.first_cap, Session_ID, methods[i], DATA(0), 0).result >= 0);
    }
    fixture_end();
}

TEST(thread_answers, "no thread is made at an address that no program has")
{
    fixture_start(1);
    struct user *user = user_new("spawner");
    capos_cap_t threads = user_spawner(user);
    refused(user, threads, ThreadSpawner_ID, ThreadSpawner_spawn_ORDINAL,
            DATA(UINT64_C(1) << 63, 0, 0, 16), 0, ST_BAD_ARGUMENT);
    fixture_end();
}

/* ---- grants ---- */

static struct capos_cqe regrant(struct user *user, capos_cap_t root, capos_cap_t cap,
                                uint64_t methods, uint64_t deadline_ns)
{
    Derivation_b want = Derivation_init(message());
    Derivation_set_methods(want, methods);
    Derivation_set_deadline_ns(want, deadline_ns);
    Derivation_set_origin(want, "broker", 6);
    struct capos_transfer xfer = copy_of(cap);
    return user_call(user, root, GrantHandle_ID, GrantHandle_regrant_ORDINAL, &builder, &xfer, 1,
                     NULL);
}

static capos_cap_t give_grant_root(struct user *user)
{
    struct kobj *root;
    CHECK_EQ(grant_handle_create_root(fixture_roots()->grant, &root), ST_OK);
    capos_cap_t cap =
        user_give(user, root, KTYPE_GRANT_HANDLE, kernel_interfaces[KTYPE_GRANT_HANDLE].facet_all);
    kobj_unref(root);
    return cap;
}

TEST(regrant_answers, "a capability is granted anew only with methods that it has, for a time to "
                      "come, when it may be passed on")
{
    fixture_start(1);
    struct user *user = user_of_few_slots();
    capos_cap_t root = give_grant_root(user);
    capos_cap_t bell = user_notification(user);
    capos_cap_t self = user_give_self(user, KTYPE_VIRTUAL_MEMORY);
    CHECK(ask(user, root, GrantHandle_ID, GrantHandle_info_ORDINAL, DATA(0), 0).result >= 0);
    struct ledger_state before = ledger_state(user->process->ledger);
    CHECK_EQ(regrant(user, root, bell, UINT64_MAX, 0).result, ST_NO_METHOD);
    CHECK_EQ(regrant(user, root, bell, 0, 1).result, ST_BAD_ARGUMENT);
    CHECK_EQ(regrant(user, root, self, 0, 0).result, ST_NOT_TRANSFERABLE);
    struct ledger_state after = ledger_state(user->process->ledger);
    CHECK_MEM_EQ(after.used, before.used, sizeof(after.used));
    fill_slots(user);
    CHECK_EQ(regrant(user, root, bell, 0, 0).result, ST_QUOTA);
    fixture_end();
}

/* ---- launchers ---- */

static struct capos_cqe new_launcher(struct user *user, capos_cap_t spawner, const char *first,
                                     const char *second, const struct capos_transfer *xfers,
                                     uint8_t count)
{
    ProcessSpawner_new_launcher_params_b params =
        ProcessSpawner_new_launcher_params_init(message());
    Program_list_b programs = ProcessSpawner_new_launcher_params_init_programs(params, 2);
    Program_set_name(Program_list_b_at(programs, 0), first, strlen(first));
    Program_set_name(Program_list_b_at(programs, 1), second, strlen(second));
    ProcessSpawner_new_launcher_params_set_max_children(params, 2);
    ProcessSpawner_new_launcher_params_set_ledger(params, UINT16_MAX);
    ProcessSpawner_new_launcher_params_set_session(params, UINT16_MAX);
    return user_call(user, spawner, ProcessSpawner_ID, ProcessSpawner_new_launcher_ORDINAL,
                     &builder, xfers, count, NULL);
}

static struct capos_cqe launch(struct user *user, capos_cap_t launcher, const char *name,
                               const char *grant)
{
    Launcher_launch_params_b params = Launcher_launch_params_init(message());
    Launcher_launch_params_set_program(params, "one", 3);
    Launcher_launch_params_set_name(params, name, strlen(name));
    Grant_list_b grants = Launcher_launch_params_init_grants(params, 2);
    for (uint32_t i = 0; i < 2; i++) {
        Grant_set_name(Grant_list_b_at(grants, i), grant, strlen(grant));
        Grant_set_interface(Grant_list_b_at(grants, i), Ledger_ID);
        Grant_set_self(Grant_list_b_at(grants, i), SELF_OBJECT_LEDGER);
    }
    return user_call(user, launcher, Launcher_ID, Launcher_launch_ORDINAL, &builder, NULL, 0, NULL);
}

TEST(launcher_answers, "a launcher has programs of different names, each of them sealed")
{
    fixture_start(1);
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 1000000, 2000);
    struct user *user = user_new_limits("maker", limits, USER_RING);
    capos_cap_t spawner = user_give_root(user, KTYPE_PROCESS_SPAWNER);
    struct capos_transfer xfers[1] = {copy_of(user_image(user))};
    struct capos_transfer open = copy_of(user_memory(user, "text", 4, false));
    struct ledger_state before = ledger_state(user->process->ledger);
    CHECK_EQ(new_launcher(user, spawner, "one", "one", xfers, 1).result, ST_EXISTS);
    CHECK_EQ(new_launcher(user, spawner, "one", "", xfers, 1).result, ST_BAD_ARGUMENT);
    CHECK_EQ(new_launcher(user, spawner, "one", "two", &open, 1).result, ST_NOT_SEALED);
    struct ledger_state after = ledger_state(user->process->ledger);
    CHECK_MEM_EQ(after.used, before.used, sizeof(after.used));
    struct capos_cqe made = new_launcher(user, spawner, "one", "two", xfers, 1);
    CHECK(made.result >= 0);
    CHECK(ask(user, made.first_cap, Launcher_ID, Launcher_programs_ORDINAL, DATA(0), 0).result >=
          0);
    CHECK_EQ(launch(user, made.first_cap, "child", "twice").result, ST_EXISTS);
    CHECK_EQ(
        launch(user, made.first_cap, "child", "a name of a grant that is too long for a capset")
            .result,
        ST_BAD_ARGUMENT);
    fixture_end();
}

/* ---- ledgers ---- */

static struct capos_cqe carve(struct user *user, capos_cap_t ledger, uint64_t pages)
{
    Ledger_carve_params_b params = Ledger_carve_params_init(message());
    Ledger_carve_params_set_name(params, "carve", 5);
    Limit_b limit = Limit_list_b_at(Ledger_carve_params_init_limits(params, 1), 0);
    Limit_set_ledger_class(limit, LEDGER_CLASS_KERNEL_PAGES);
    Limit_set_amount(limit, pages);
    return user_call(user, ledger, Ledger_ID, Ledger_carve_ORDINAL, &builder, NULL, 0, NULL);
}

static struct capos_cqe move_limits(struct user *user, capos_cap_t ledger, uint16_t method,
                                    capos_cap_t child)
{
    Ledger_grow_params_b params = Ledger_grow_params_init(message()); /* shrink's are the same */
    Limit_b limit = Limit_list_b_at(Ledger_grow_params_init_limits(params, 1), 0);
    Limit_set_ledger_class(limit, LEDGER_CLASS_KERNEL_PAGES);
    Limit_set_amount(limit, 1);
    struct capos_transfer xfer = copy_of(child);
    return user_call(user, ledger, Ledger_ID, method, &builder, &xfer, 1, NULL);
}

TEST(closed_ledger_answers, "a carve that has been revoked, or whose maker has ended, is told so "
                            "by each method that would use it")
{
    fixture_start(1);
    struct user *maker = user_new("maker"), *user = user_new("user");
    struct capos_cqe made = carve(maker, maker->ledger, 40);
    CHECK(made.result >= 0);
    capos_cap_t carved =
        user_pass(maker, made.first_cap, user, kernel_interfaces[KTYPE_LEDGER].facet_all);
    struct capos_cqe child = carve(maker, maker->ledger, 10);
    CHECK(child.result >= 0);
    CHECK(ask(maker, maker->ledger, Ledger_ID, Ledger_revoke_ORDINAL, DATA(0), child.first_cap)
              .result >= 0);
    fixture_settle();
    CHECK_EQ(move_limits(maker, maker->ledger, Ledger_grow_ORDINAL, child.first_cap).result,
             ST_DISCONNECTED);
    CHECK_EQ(move_limits(maker, maker->ledger, Ledger_shrink_ORDINAL, child.first_cap).result,
             ST_DISCONNECTED);
    user_exit(maker, 0);
    CHECK_EQ(carve(user, carved, 10).result, ST_DISCONNECTED);
    fixture_end();
}

/* ---- an address space that another operation works on ---- */

TEST(busy_memory_answers,
     "each change of a region that another one works on is refused BUSY, and leaves it alone")
{
    enum { BASE = 0x40000000, PAGES = 512 };
    static const uint16_t methods[] = {VirtualMemory_commit_ORDINAL, VirtualMemory_decommit_ORDINAL,
                                       VirtualMemory_protect_ORDINAL, VirtualMemory_unmap_ORDINAL};
    fixture_start(1);
    struct user *user = user_new("mapper");
    capos_cap_t self = user_give_self(user, KTYPE_VIRTUAL_MEMORY);
    const uint64_t *all = DATA(BASE, PAGES * P, PROTECTION_READ_WRITE);
    CHECK(ask(user, self, VirtualMemory_ID, VirtualMemory_reserve_ORDINAL, all, 0).result >= 0);
    struct aspace_op *op;
    CHECK_EQ(aspace_commit(&user->process->aspace, BASE, PAGES * P, PROTECTION_READ_WRITE, &op),
             ST_PENDING);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        refused(user, self, VirtualMemory_ID, methods[i], all, 0, ST_BUSY);
    }
    while (!aspace_op_slice(op, PAGES)) {
    }
    CHECK_EQ(aspace_op_end(op), ST_OK);
    fixture_end();
}

TEST(no_memory_answers, "each change of an address space says QUOTA when there is no memory for "
                        "what it needs to remember")
{
    enum { BASE = 0x40000000, TAKEN_MAX = 256 };
    static const uint16_t methods[] = {VirtualMemory_decommit_ORDINAL,
                                       VirtualMemory_protect_ORDINAL, VirtualMemory_unmap_ORDINAL};
    static void *taken[TAKEN_MAX];
    size_t count = 0;
    fixture_start(1);
    struct user *user = user_new("mapper");
    capos_cap_t self = user_give_self(user, KTYPE_VIRTUAL_MEMORY);
    capos_cap_t sealed = user_memory(user, "text", 4, true);
    const uint64_t *page = DATA(BASE, P, PROTECTION_READ_WRITE);
    CHECK(ask(user, self, VirtualMemory_ID, VirtualMemory_reserve_ORDINAL, page, 0).result >= 0);
    CHECK(ask(user, self, VirtualMemory_ID, VirtualMemory_commit_ORDINAL, page, 0).result >= 0);
    const uint64_t *writable = DATA(PROTECTION_READ_WRITE << 16, 0, 0, P);
    refused(user, self, VirtualMemory_ID, VirtualMemory_map_ORDINAL, writable, sealed,
            ST_BAD_STATE);
    /* The first operation has its place in the process; a second one under way needs memory. */
    enum { LARGE = 0x50000000, LARGE_PAGES = 512 };
    struct aspace_op *first;
    const uint64_t *large = DATA(LARGE, LARGE_PAGES * P);
    CHECK(ask(user, self, VirtualMemory_ID, VirtualMemory_reserve_ORDINAL, large, 0).result >= 0);
    CHECK_EQ(aspace_commit(&user->process->aspace, LARGE, LARGE_PAGES * P, PROTECTION_READ_WRITE,
                           &first),
             ST_PENDING);
    frames_fail_at(1);
    while (count < TAKEN_MAX &&
           (taken[count] = slab_alloc(user->process->ledger, sizeof(struct aspace_op))) != NULL) {
        count++;
    }
    CHECK(count < TAKEN_MAX);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        refused(user, self, VirtualMemory_ID, methods[i], page, 0, ST_QUOTA);
    }
    const uint64_t *readable = DATA(PROTECTION_READ << 16, 0, 0, P);
    refused(user, self, VirtualMemory_ID, VirtualMemory_map_ORDINAL, readable, sealed, ST_QUOTA);
    frames_fail_at(0);
    while (count > 0) {
        slab_free(taken[--count]);
    }
    while (!aspace_op_slice(first, LARGE_PAGES)) {
    }
    CHECK_EQ(aspace_op_end(first), ST_OK);
    fixture_end();
}

TEST(mint_answers,
     "no object is minted without an interface, and what may not be passed on starts no program")
{
    fixture_start(1);
    struct user *user = user_of_few_slots();
    capos_cap_t endpoint = user_endpoint(user, 64, 0);
    refused(user, user->ledger, Ledger_ID, Ledger_mint_ORDINAL, DATA(0, 1, 0, 1), endpoint,
            ST_BAD_ARGUMENT);
    capos_cap_t spawner = user_give_root(user, KTYPE_PROCESS_SPAWNER);
    capos_cap_t self = user_give_self(user, KTYPE_VIRTUAL_MEMORY);
    refused(user, spawner, ProcessSpawner_ID, ProcessSpawner_spawn_ORDINAL, DATA(0), self,
            ST_NOT_TRANSFERABLE);
    capos_cap_t factory = user_give_root(user, KTYPE_SESSION_FACTORY);
    fill_slots(user);
    SessionFactory_create_params_b params = SessionFactory_create_params_init(message());
    SessionFactory_create_params_set_subject(params, "guest", 5);
    CHECK_EQ(user_call(user, factory, SessionFactory_ID, SessionFactory_create_ORDINAL, &builder,
                       NULL, 0, NULL)
                 .result,
             ST_QUOTA);
    fixture_end();
}

TEST(private_answers,
     "private mappings by their ring: each refusal, and the address space stays as it was")
{
    fixture_start(1);
    struct user *user = user_new("mapper");
    capos_cap_t self = user_give_self(user, KTYPE_VIRTUAL_MEMORY);
    capos_cap_t memory = user_memory(user, "text", 4, false);
    capos_cap_t large = user_memory(user, "text", 4, false);
    capos_cap_t blind = user_pass(user, memory, user, 1 << MemoryObject_info_ORDINAL);
    enum { MAP = VirtualMemory_map_private_ORDINAL };
    refused(user, self, VirtualMemory_ID, MAP, DATA(0, 1, 0, P), memory, ST_BAD_ARGUMENT);
    refused(user, self, VirtualMemory_ID, MAP, DATA(0, USER_HEAP, 0, P), memory, ST_EXISTS);
    refused(user, self, VirtualMemory_ID, MAP, DATA(0, 0, 0, P), blind, ST_NO_METHOD);
    frames_fail_at(1);
    refused(user, self, VirtualMemory_ID, MAP, DATA(0, 0, 0, P), large, ST_QUOTA);
    frames_fail_at(0);
    fixture_end();
}

TEST(ended_space_answers, "the address space of a process that has ended says so")
{
    static const uint16_t methods[] = {VirtualMemory_reserve_ORDINAL, VirtualMemory_commit_ORDINAL,
                                       VirtualMemory_decommit_ORDINAL,
                                       VirtualMemory_protect_ORDINAL};
    fixture_start(1);
    struct user *user = user_new("loader"), *other = user_new("loaded");
    capos_cap_t space = user_give(user, &other->process->obj, KTYPE_VIRTUAL_MEMORY,
                                  kernel_interfaces[KTYPE_VIRTUAL_MEMORY].facet_all);
    user_exit(other, 0);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        refused(user, space, VirtualMemory_ID, methods[i], DATA(0x40000000, P, PROTECTION_READ), 0,
                ST_DISCONNECTED);
    }
    fixture_end();
}

TEST(context_answers, "a scheduling context tells what it is")
{
    fixture_start(1);
    struct user *user = user_new("looker");
    capos_cap_t policy = user_give_root(user, KTYPE_SCHEDULING_POLICY);
    struct capos_cqe made =
        ask(user, policy, SchedulingPolicy_ID, SchedulingPolicy_new_context_ORDINAL,
            DATA(SCHEDULING_CLASS_NORMAL | 100 << 16), 0);
    CHECK(made.result >= 0);
    CHECK(
        ask(user, made.first_cap, SchedulingContext_ID, SchedulingContext_info_ORDINAL, DATA(0), 0)
            .result >= 0);
    fixture_end();
}

TEST(no_slot_of_process, "what a process's handle and debugger answer with needs a slot, too")
{
    fixture_start(1);
    struct user *user = user_of_few_slots();
    capos_cap_t handle = user_give_self(user, KTYPE_PROCESS_HANDLE);
    fill_slots(user);
    refused(user, handle, ProcessHandle_ID, ProcessHandle_address_space_ORDINAL, DATA(0), 0,
            ST_QUOTA);
    fixture_end();
}
