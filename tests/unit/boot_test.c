/* SPDX-License-Identifier: MIT */
/* From kernel_main to init: what init holds, what happens without it, and how the machine ends. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "abi/archive.h"
#include "abi/capset.h"
#include "abi/layout.h"
#include "gen/boot.capnp.h"
#include "gen/kernel_log.capnp.h"
#include "gen/power.capnp.h"
#include "gen/time.capnp.h"
#include "lib/crypto/sha256.h"

enum { ARCHIVE_BYTES = 4 * 4096 };

static uint8_t archive[ARCHIVE_BYTES] __attribute__((aligned(8)));

/* The next payload, of at most a page; names ascend. */
static void archive_add(const char *name, const void *bytes, size_t size)
{
    struct capos_archive_header *header = (struct capos_archive_header *)(void *)archive;
    uint32_t number = header->entry_count++;
    struct capos_archive_entry *entry = (struct capos_archive_entry *)(void *)(header + 1) + number;
    header->index_bytes += sizeof(*entry);
    (void)snprintf(entry->name, sizeof(entry->name), "%s", name);
    entry->offset_bytes = (number + 1) * 4096;
    entry->size_bytes = size;
    memcpy(archive + entry->offset_bytes, bytes, size);
    sha256(bytes, size, entry->sha256);
}

/* An archive of the smallest program, under this name. */
static void archive_new(const char *name)
{
    struct capos_archive_header *header = (struct capos_archive_header *)(void *)archive;
    size_t size;
    const void *image = fixture_image(&size);
    header->magic = CAPOS_ARCHIVE_MAGIC;
    header->version = CAPOS_ARCHIVE_VERSION;
    header->index_bytes = sizeof(*header);
    header->total_bytes = ARCHIVE_BYTES;
    archive_add(name, image, size);
}

/* Boots as the machine would, from the archive made before, or one of this program; the user is init. */
static struct user *boot(const char *program, unsigned cpus)
{
    static struct host_config config = {.ram_bytes = 32 << 20, .seed = 1};
    if (archive[0] == 0) {
        archive_new(program);
    }
    config.cpus = cpus;
    config.module = archive;
    config.module_bytes = sizeof(archive);
    struct thread *first = kernel_main(host_machine_init(&config));
    host_cpu_set_first(0, first);
    fixture_settle();
    for (unsigned i = 0; i < cpus; i++) {
        if (host_current(i)->process != NULL) {
            return user_adopt(host_current(i)->process);
        }
    }
    FAIL("init does not run");
    return NULL;
}

static const char *wanted;
static enum host_end wanted_end;

static void check_end(enum host_end how)
{
    CHECK_EQ(how, wanted_end);
    if (wanted != NULL && strstr(host_debug_text(), wanted) == NULL) {
        FAIL(wanted);
    }
    fflush(NULL);
    _exit(test_failures == 0 ? 0 : 1);
}

static void expect_end(enum host_end how, const char *text)
{
    wanted = text;
    wanted_end = how;
    host_on_end(check_end);
}

static capos_cap_t find(struct user *init, const char *name)
{
    const struct capos_capset *capset = user_ptr(init, init->process->aspace.capset);
    for (uint32_t i = 0; i < capset->count; i++) {
        if (strcmp(capset->entries[i].name, name) == 0) {
            return capset->entries[i].cap;
        }
    }
    FAIL(name);
    return 0;
}

TEST(boot_init_holds,
     "init starts with exactly the roots of the machine and its own objects, all alive")
{
    static const char *const names[] = {
        "boot", "spawner", "ledger", "ioports",      "interrupts", "timer",    "entropy",
        "log",  "power",   "memory", "capabilities", "grants",     "sessions", "scheduling"};
    struct user *init = boot("init", 2);
    const struct capos_capset *capset = user_ptr(init, init->process->aspace.capset);
    CHECK_EQ(capset->count, sizeof(names) / sizeof(names[0]));
    CHECK_EQ(init->process->table.used, capset->count);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct capability held;
        CHECK_EQ(user_look(init, find(init, names[i]), &held), ST_OK);
    }
    CHECK_STR_EQ(init->process->name, "init");
    struct capos_sqe nop = user_sqe(init, CAPOS_OP_NOP);
    CHECK_EQ(user_do(init, &nop).result, ST_OK);
}

TEST(boot_says_itself,
     "the boot log names CPUs, memory and loader; without a hash it says unanchored")
{
    boot("init", 3);
    CHECK(strstr(host_debug_text(), "capOS on 3 CPUs, 32 MiB of memory, loaded by host") != NULL);
    CHECK(strstr(host_debug_text(), "unanchored") != NULL);
    CHECK(strstr(host_serial_text(), "capOS on 3 CPUs") != NULL);
}

TEST(boot_without_init, "an archive without init halts the machine and says what is missing")
{
    expect_end(HOST_END_HALT, "init cannot start");
    boot("other", 1);
    FAIL("it went on without init");
}

TEST(boot_damaged_init, "an init whose bytes do not match their hash is not started")
{
    static struct host_config config = {
        .cpus = 1, .ram_bytes = 32 << 20, .module = archive, .module_bytes = sizeof(archive)};
    archive_new("init");
    archive[4096 + 64] ^= 1;
    expect_end(HOST_END_HALT, "BAD_HASH");
    kernel_main(host_machine_init(&config));
    FAIL("it started");
}

TEST(boot_init_dies, "init's death is a readable halt")
{
    struct user *init = boot("init", 1);
    expect_end(HOST_END_HALT, "init");
    init->gone = true;
    host_syscall(init->thread, CAPOS_SYS_EXIT, 5, 0);
    fixture_settle();
    fixture_advance(1000000000);
    FAIL("the machine goes on without init");
}

TEST(boot_power_off, "Power.off by its holder ends the machine")
{
    struct user *init = boot("init", 2);
    expect_end(HOST_END_POWER_OFF, NULL);
    user_call_plain(init, find(init, "power"), Power_ID, Power_off_ORDINAL, NULL);
    FAIL("the machine goes on");
}

TEST(boot_timer, "init can read the clock")
{
    uint64_t at, now = 1;
    struct user *init = boot("init", 1);
    host_clock_advance(123456);
    struct capos_cqe cqe =
        user_call_plain(init, find(init, "timer"), Timer_ID, Timer_now_ORDINAL, &at);
    CHECK_EQ(cqe.result, 16);
    user_read(init, at + 8, &now, 8);
    CHECK_EQ(now, arch_time_ns());
}

/* BootPackage.open; the memory and its size in *out and *bytes. */
static int32_t open_payload(struct user *init, const char *name, capos_cap_t *out, uint64_t *bytes)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    BootPackage_open_params_set_name(BootPackage_open_params_init(&builder), name, strlen(name));
    struct capos_sqe call =
        sqe_method(init, find(init, "boot"), BootPackage_ID, BootPackage_open_ORDINAL, &builder);
    sqe_result(init, &call, 64, 1);
    (void)user_start(init, &call);
    fixture_settle(); /* the hash is a job's */
    struct capos_cqe cqe = user_expect(init, call.user_data);
    *out = cqe.cap_count == 1 ? cqe.first_cap : 0;
    *bytes = 0;
    BootPackage_open_results_r results;
    if (cqe.result >= 0 &&
        BootPackage_open_results_read(user_ptr(init, call.result), (size_t)cqe.result, &results) ==
            CAPNP_OK) {
        *bytes = BootPackage_open_results_get_size_bytes(results);
    }
    return cqe.result;
}

TEST(boot_package,
     "BootPackage lists what there is, and opens it hashed, by name, as often as one likes")
{
    static const char *const names[] = {"bad", "init", "text"};
    capos_cap_t memory, again;
    uint64_t at, bytes;
    archive_new("bad");
    archive[4096] ^= 1;
    size_t size;
    const void *image = fixture_image(&size);
    archive_add("init", image, size);
    archive_add("text", "what is in it", 13);
    struct user *init = boot("init", 2);
    uint32_t slots = init->process->table.used;
    CHECK(open_payload(init, "text", &memory, &bytes) > 0);
    CHECK_EQ(bytes, 13);
    CHECK(open_payload(init, "text", &again, &bytes) > 0);
    CHECK(memory != 0 && again != 0 && memory != again);
    CHECK_EQ(user_release(init, memory), ST_OK);
    CHECK_EQ(user_release(init, again), ST_OK);
    for (unsigned i = 0; i < 2; i++) { /* what was decided stays so */
        CHECK_EQ(open_payload(init, "bad", &memory, &bytes), ST_BAD_HASH);
        CHECK_EQ(open_payload(init, "tex", &memory, &bytes), ST_NOT_FOUND);
        CHECK_EQ(open_payload(init, "", &memory, &bytes), ST_NOT_FOUND);
    }
    CHECK_EQ(init->process->table.used, slots);

    BootPackage_list_results_r results;
    struct capos_cqe cqe =
        user_call_plain(init, find(init, "boot"), BootPackage_ID, BootPackage_list_ORDINAL, &at);
    REQUIRE(cqe.result > 0);
    REQUIRE_EQ(BootPackage_list_results_read(user_ptr(init, at), (size_t)cqe.result, &results),
               CAPNP_OK);
    struct capnp_list list = BootPackage_list_results_get_names(results);
    REQUIRE_EQ(list.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_STR_EQ(capnp_text_list_at(list, i).ptr, names[i]);
    }
    CHECK_EQ(BootPackage_list_results_get_total(results), 3);
    CHECK(!BootPackage_list_results_get_anchored(results));
}
