/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/devices.capnp.h"
#include "gen/entropy.capnp.h"
#include "gen/kernel_log.capnp.h"
#include "gen/memory.capnp.h"
#include "object/entropy.h"
#include "object/invoke.h"
#include "object/interrupt.h"
#include "object/io_ports.h"
#include "object/kernel_log.h"
#include "object/root.h"

#define P UINT64_C(4096)

static uint64_t words[64];
static struct capnp_builder builder;

static struct capnp_builder *message(void)
{
    capnp_builder_init(&builder, words, sizeof(words));
    return &builder;
}

static struct capos_cqe call(struct user *user, capos_cap_t cap, uint64_t interface,
                             uint16_t method, uint64_t *result)
{
    return user_call(user, cap, interface, method, &builder, NULL, 0, result);
}

static struct capos_cqe open_ports(struct user *user, capos_cap_t root, uint16_t base,
                                   uint16_t count)
{
    IoPortsRoot_open_params_b params = IoPortsRoot_open_params_init(message());
    IoPortsRoot_open_params_set_base(params, base);
    IoPortsRoot_open_params_set_count(params, count);
    return call(user, root, IoPortsRoot_ID, IoPortsRoot_open_ORDINAL, NULL);
}

TEST(ports_claims, "a port has one holder at a time, and the kernel's own are never given")
{
    fixture_start(1);
    struct user *user = user_new("driver");
    capos_cap_t root = user_give_root(user, KTYPE_IO_PORTS_ROOT);
    CHECK_EQ(open_ports(user, root, 0x300, 0).result, ST_BAD_ARGUMENT);
    CHECK_EQ(open_ports(user, root, 0xfff0, 0x11).result, ST_BAD_ARGUMENT);
    CHECK_EQ(open_ports(user, root, 0x3f, 4).result, ST_BUSY);
    struct capos_cqe first = open_ports(user, root, 0x300, 8);
    CHECK(first.result >= 0);
    CHECK_EQ(open_ports(user, root, 0x307, 1).result, ST_BUSY);
    CHECK_EQ(open_ports(user, root, 0x2f0, 0x11).result, ST_BUSY);
    CHECK(open_ports(user, root, 0x308, 8).result >= 0);
    CHECK_EQ(user_release(user, first.first_cap), ST_OK);
    CHECK(open_ports(user, root, 0x300, 8).result >= 0);
    fixture_end();
}

TEST(ports_ranges,
     "a range of any length is claimed and given back whole, and its capability tells it")
{
    fixture_start(1);
    struct user *user = user_new("driver");
    capos_cap_t root = user_give_root(user, KTYPE_IO_PORTS_ROOT);
    static const struct {
        uint16_t base, count;
    } ranges[] = {{0x1000, 0xf000}, {0x103f, 2}, {0x1040, 64}, {0x1001, 62}, {0xffff, 1}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        uint32_t end = (uint32_t)ranges[i].base + ranges[i].count;
        struct capos_cqe held = open_ports(user, root, ranges[i].base, ranges[i].count);
        REQUIRE(held.result >= 0);
        uint64_t result;
        (void)message();
        (void)IoPorts_info_params_init(&builder);
        struct capos_cqe cqe =
            call(user, held.first_cap, IoPorts_ID, IoPorts_info_ORDINAL, &result);
        IoPorts_info_results_r info;
        REQUIRE(cqe.result >= 0);
        CHECK_EQ(IoPorts_info_results_read(user_ptr(user, result), (size_t)cqe.result, &info),
                 CAPNP_OK);
        CHECK_EQ(IoPorts_info_results_get_base(info), ranges[i].base);
        CHECK_EQ(IoPorts_info_results_get_count(info), ranges[i].count);
        CHECK_EQ(open_ports(user, root, ranges[i].base, 1).result, ST_BUSY);
        CHECK_EQ(open_ports(user, root, (uint16_t)(end - 1), 1).result, ST_BUSY);
        struct capos_cqe below = open_ports(user, root, (uint16_t)(ranges[i].base - 1), 1);
        CHECK(below.result >= 0);
        CHECK_EQ(user_release(user, below.first_cap), ST_OK);
        if (end < 65536) {
            struct capos_cqe above = open_ports(user, root, (uint16_t)end, 1);
            CHECK(above.result >= 0);
            CHECK_EQ(user_release(user, above.first_cap), ST_OK);
        }
        CHECK_EQ(user_release(user, held.first_cap), ST_OK);
    }
    fixture_end();
}

static struct capos_cqe write_memory(struct user *user, capos_cap_t memory, uint64_t offset,
                                     const void *bytes, uint32_t count)
{
    MemoryObject_write_params_b params = MemoryObject_write_params_init(message());
    MemoryObject_write_params_set_offset_bytes(params, offset);
    MemoryObject_write_params_set_data(params, bytes, count);
    return call(user, memory, MemoryObject_ID, MemoryObject_write_ORDINAL, NULL);
}

TEST(memory_methods,
     "a memory object tells itself, is written inside its size, and never again once sealed")
{
    fixture_start(1);
    struct user *user = user_new("writer");
    capos_cap_t memory = user_memory(user, "old", 4, false);
    CHECK_EQ(write_memory(user, memory, P - 4, "end", 4).result, 8);
    CHECK_EQ(write_memory(user, memory, P - 3, "end", 4).result, ST_BAD_ARGUMENT);
    CHECK_EQ(write_memory(user, memory, UINT64_MAX, "end", 4).result, ST_BAD_ARGUMENT);
    CHECK_EQ(write_memory(user, memory, P, "", 0).result, 8);
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        uint64_t result;
        (void)MemoryObject_info_params_init(message());
        struct capos_cqe cqe =
            call(user, memory, MemoryObject_ID, MemoryObject_info_ORDINAL, &result);
        MemoryObject_info_results_r info;
        REQUIRE(cqe.result >= 0);
        CHECK_EQ(MemoryObject_info_results_read(user_ptr(user, result), (size_t)cqe.result, &info),
                 CAPNP_OK);
        CHECK_EQ(MemoryObject_info_results_get_size_bytes(info), P);
        CHECK_EQ(MemoryObject_info_results_get_sealed(info), sealed != 0);
        CHECK_EQ(MemoryObject_info_results_get_mappings(info), 0);
        (void)MemoryObject_seal_params_init(message());
        CHECK_EQ(call(user, memory, MemoryObject_ID, MemoryObject_seal_ORDINAL, NULL).result, 8);
    }
    CHECK_EQ(write_memory(user, memory, 0, "new", 4).result, ST_BAD_STATE);
    uint64_t result;
    MemoryObject_read_params_b params = MemoryObject_read_params_init(message());
    MemoryObject_read_params_set_offset_bytes(params, 0);
    MemoryObject_read_params_set_count_bytes(params, 4);
    struct capos_cqe cqe = call(user, memory, MemoryObject_ID, MemoryObject_read_ORDINAL, &result);
    MemoryObject_read_results_r read;
    REQUIRE(cqe.result >= 0);
    CHECK_EQ(MemoryObject_read_results_read(user_ptr(user, result), (size_t)cqe.result, &read),
             CAPNP_OK);
    CHECK_EQ(MemoryObject_read_results_get_data(read).len, 4);
    CHECK_MEM_EQ(MemoryObject_read_results_get_data(read).ptr, "old", 4);
    fixture_end();
}

static uint32_t ready; /* reads of the status port that say "ready" */
static uint8_t next_byte;
static char sent[300];
static size_t sent_count;

static uint32_t fake_in(uint16_t port, unsigned width_bytes)
{
    (void)width_bytes;
    if (port == 0x305) {
        return ready > 0 ? (ready--, 0x61u) : 0x60u;
    }
    return port == 0x300 ? next_byte++ : 0xdead0000u + port;
}

static void fake_out(uint16_t port, unsigned width_bytes, uint32_t value)
{
    CHECK_EQ(width_bytes, 1);
    if (port == 0x300 && sent_count < sizeof(sent)) {
        sent[sent_count++] = (char)value;
    }
}

static struct capos_cqe read_run(struct user *user, capos_cap_t ports, uint16_t status_at,
                                 uint16_t data_at, uint16_t max, uint64_t *result)
{
    IoPorts_read_run_params_b params = IoPorts_read_run_params_init(message());
    IoPorts_read_run_params_set_status_offset(params, status_at);
    IoPorts_read_run_params_set_mask(params, 1);
    IoPorts_read_run_params_set_match(params, 1);
    IoPorts_read_run_params_set_data_offset(params, data_at);
    IoPorts_read_run_params_set_max_bytes(params, max);
    return call(user, ports, IoPorts_ID, IoPorts_read_run_ORDINAL, result);
}

TEST(ports_runs, "runs stop with the status, stay in the range, and move 256 bytes at most")
{
    static const struct host_ports fake = {fake_in, fake_out};
    uint64_t result;
    IoPorts_read_run_results_r got;
    fixture_start(1);
    host_set_ports(&fake);
    struct user *user = user_new("driver");
    capos_cap_t root = user_give_root(user, KTYPE_IO_PORTS_ROOT);
    capos_cap_t ports = open_ports(user, root, 0x300, 8).first_cap;
    ready = 5;
    struct capos_cqe cqe = read_run(user, ports, 5, 0, 256, &result);
    CHECK(cqe.result >= 0);
    CHECK_EQ(IoPorts_read_run_results_read(user_ptr(user, result), (size_t)cqe.result, &got),
             CAPNP_OK);
    struct capnp_data data = IoPorts_read_run_results_get_data(got);
    CHECK_EQ(data.len, 5);
    CHECK_EQ(data.ptr[4], 4);
    ready = 1000;
    CHECK(read_run(user, ports, 5, 0, 256, &result).result >= 0);
    CHECK_EQ(ready, 1000 - 256);
    CHECK_EQ(read_run(user, ports, 5, 0, 257, &result).result, ST_BAD_ARGUMENT);
    CHECK_EQ(read_run(user, ports, 8, 0, 1, &result).result, ST_BAD_ARGUMENT);
    CHECK_EQ(read_run(user, ports, 5, 8, 1, &result).result, ST_BAD_ARGUMENT);
    ready = 9;
    IoPorts_read_run_params_b few = IoPorts_read_run_params_init(message());
    IoPorts_read_run_params_set_max_bytes(few, 9);
    struct capos_sqe sqe = sqe_method(user, ports, IoPorts_ID, IoPorts_read_run_ORDINAL, &builder);
    sqe_result(user, &sqe, 24, 0);
    uint8_t unread = next_byte;
    CHECK_EQ(user_do(user, &sqe).result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(next_byte, unread);
    ready = 3;
    IoPorts_write_run_params_b params = IoPorts_write_run_params_init(message());
    IoPorts_write_run_params_set_status_offset(params, 5);
    IoPorts_write_run_params_set_mask(params, 1);
    IoPorts_write_run_params_set_match(params, 1);
    IoPorts_write_run_params_set_data(params, "hello", 5);
    CHECK(call(user, ports, IoPorts_ID, IoPorts_write_run_ORDINAL, NULL).result >= 0);
    CHECK_EQ(sent_count, 3);
    CHECK_MEM_EQ(sent, "hel", 3);
    fixture_end();
}

static struct capos_cqe open_line(struct user *user, capos_cap_t root, uint32_t line)
{
    InterruptRoot_open_params_b params = InterruptRoot_open_params_init(message());
    InterruptRoot_open_params_set_line(params, line);
    return call(user, root, InterruptRoot_ID, InterruptRoot_open_ORDINAL, NULL);
}

TEST(interrupt_life, "a line has one holder, who waits for it and finds one that came before")
{
    fixture_start(1);
    struct user *user = user_new("driver");
    capos_cap_t root = user_give_root(user, KTYPE_INTERRUPT_ROOT);
    CHECK_EQ(open_line(user, root, 100000).result, ST_BAD_ARGUMENT);
    struct capos_cqe opened = open_line(user, root, 4);
    CHECK(opened.result >= 0);
    capos_cap_t line = opened.first_cap;
    CHECK_EQ(open_line(user, root, 4).result, ST_BUSY);

    host_irq_pulse(arch_irq_of_isa(4));
    fixture_settle();
    struct capos_sqe wait = sqe_wait(user, line, CAPOS_EVENT_SIGNALLED, 1);
    struct capos_cqe cqe = user_do(user, &wait);
    CHECK_EQ(cqe.result, CAPOS_EVENT_SIGNALLED);
    CHECK_EQ(cqe.signal, 1);
    CHECK(user_call_plain(user, line, Interrupt_ID, Interrupt_acknowledge_ORDINAL, NULL).result >=
          0);

    struct capos_sqe again = sqe_wait(user, line, CAPOS_EVENT_SIGNALLED, 1);
    (void)user_submit(user, &again);
    user_enter_start(user, 1, CAPOS_FOREVER);
    uint64_t entered;
    CHECK(!user_entered(user, &entered));
    host_irq_pulse(arch_irq_of_isa(4));
    fixture_settle();
    CHECK(user_entered(user, &entered));
    CHECK_EQ(user_expect(user, again.user_data).result, CAPOS_EVENT_SIGNALLED);

    CHECK_EQ(user_release(user, line), ST_OK);
    CHECK(host_irq_masked(arch_irq_of_isa(4)));
    CHECK(open_line(user, root, 4).result >= 0);
    fixture_end();
}

static struct capos_cqe fill(struct user *user, capos_cap_t cap, uint32_t count, uint64_t *result)
{
    Entropy_fill_params_b params = Entropy_fill_params_init(message());
    Entropy_fill_params_set_count_bytes(params, count);
    return call(user, cap, Entropy_ID, Entropy_fill_ORDINAL, result);
}

TEST(entropy_fill, "random bytes come in the number asked for, never twice the same")
{
    uint8_t seen[2][32];
    fixture_start(1);
    struct user *user = user_new("asker");
    capos_cap_t cap = user_give_root(user, KTYPE_ENTROPY);
    CHECK_EQ(fill(user, cap, 0, NULL).result, ST_BAD_ARGUMENT);
    CHECK_EQ(fill(user, cap, 4097, NULL).result, ST_BAD_ARGUMENT);
    for (int i = 0; i < 2; i++) {
        uint64_t result;
        Entropy_fill_results_r got;
        struct capos_cqe cqe = fill(user, cap, 32, &result);
        CHECK(cqe.result >= 0);
        CHECK_EQ(Entropy_fill_results_read(user_ptr(user, result), (size_t)cqe.result, &got),
                 CAPNP_OK);
        CHECK_EQ(Entropy_fill_results_get_data(got).len, 32);
        CHECK(!Entropy_fill_results_get_weak(got));
        memcpy(seen[i], Entropy_fill_results_get_data(got).ptr, 32);
    }
    CHECK(memcmp(seen[0], seen[1], 32) != 0);
    fixture_end();
}

static status_t append(struct user *user, capos_cap_t cap, const char *text, size_t len)
{
    KernelLog_append_params_b params = KernelLog_append_params_init(message());
    KernelLog_append_params_set_text(params, text, len);
    struct capos_cqe cqe = call(user, cap, KernelLog_ID, KernelLog_append_ORDINAL, NULL);
    return cqe.result >= 0 ? ST_OK : cqe.result;
}

TEST(log_window, "a process writes what its ledger allows in a second, under its own name, no more")
{
    uint64_t limits[LEDGER_CLASSES];
    struct user *user;
    fixture_start(1);
    user_limits(limits);
    limits[LEDGER_CLASS_LOG_BYTES] = 100;
    CHECK_EQ(user_try_new("talker", limits, USER_RING, &user), ST_OK);
    capos_cap_t cap = user_give_root(user, KTYPE_KERNEL_LOG);
    for (int second = 0; second < 3; second++) {
        CHECK_EQ(
            append(user, cap, "sixty bytes of text, more or less, do not fit twice: 60 bytes.", 60),
            ST_OK);
        CHECK_EQ(
            append(user, cap, "sixty bytes of text, more or less, do not fit twice: 60 bytes.", 60),
            ST_QUOTA);
        CHECK_EQ(append(user, cap, "forty more do fit: forty more do fit: 40", 40), ST_OK);
        CHECK_EQ(append(user, cap, "x", 1), ST_QUOTA);
        fixture_advance(UINT64_C(1000000000));
    }
    CHECK(strstr(host_debug_text(), "talker: forty more do fit") != NULL);
    CHECK_EQ(append(user, cap, "\n\n", 2), ST_OK);
    CHECK_EQ(append(user, cap, "", 0), ST_QUOTA);
    fixture_end();
}

static struct capos_cqe map(struct user *user, capos_cap_t memory_cap, capos_cap_t object,
                            enum Protection protection, uint64_t *result)
{
    struct capos_transfer xfer = {.cap = object, .mode = CAPOS_XFER_COPY};
    VirtualMemory_map_params_b params = VirtualMemory_map_params_init(message());
    VirtualMemory_map_params_set_memory(params, 0);
    VirtualMemory_map_params_set_size_bytes(params, P);
    VirtualMemory_map_params_set_protection(params, protection);
    return user_call(user, memory_cap, VirtualMemory_ID, VirtualMemory_map_ORDINAL, &builder, &xfer,
                     1, result);
}

TEST(map_facets, "a memory object is mapped only with the rights that its capability's facet has")
{
    fixture_start(1);
    struct user *user = user_new("mapper");
    capos_cap_t self = user_give(user, &user->process->obj, KTYPE_VIRTUAL_MEMORY,
                                 kernel_interfaces[KTYPE_VIRTUAL_MEMORY].facet_all);
    uint8_t bytes[16] = "sixteen bytes..";
    capos_cap_t whole = user_memory(user, bytes, sizeof(bytes), false);
    capos_cap_t image = user_pass(user, whole, user, MemoryImage_FACET);
    capos_cap_t reader = user_pass(user, whole, user, MemoryReader_FACET);
    uint64_t result;
    CHECK_EQ(map(user, self, reader, PROTECTION_READ_WRITE, NULL).result, ST_NO_METHOD);
    CHECK_EQ(map(user, self, reader, PROTECTION_READ_EXECUTE, NULL).result, ST_NO_METHOD);
    CHECK_EQ(map(user, self, image, PROTECTION_READ_WRITE, NULL).result, ST_NO_METHOD);
    CHECK_EQ(map(user, self, image, PROTECTION_READ_EXECUTE, NULL).result, ST_NOT_SEALED);
    CHECK_EQ(map(user, self, whole, PROTECTION_NONE, NULL).result, ST_BAD_ARGUMENT);
    CHECK_EQ(map(user, self, self, PROTECTION_READ, NULL).result, ST_NOT_TRANSFERABLE);
    struct capos_cqe cqe = map(user, self, reader, PROTECTION_READ, &result);
    CHECK(cqe.result >= 0);
    VirtualMemory_map_results_r got;
    CHECK_EQ(VirtualMemory_map_results_read(user_ptr(user, result), (size_t)cqe.result, &got),
             CAPNP_OK);
    CHECK_MEM_EQ(user_ptr(user, VirtualMemory_map_results_get_address(got)), bytes, 16);
    fixture_end();
}
