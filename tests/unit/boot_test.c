/* SPDX-License-Identifier: MIT */
/* From kernel_main to init: what init holds, what happens without it, and how the machine ends. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "abi/archive.h"
#include "abi/capset.h"
#include "abi/layout.h"
#include "gen/kernel_log.capnp.h"
#include "gen/power.capnp.h"
#include "gen/time.capnp.h"
#include "lib/crypto/sha256.h"

enum { ARCHIVE_BYTES = 2 * 4096 };

static uint8_t archive[ARCHIVE_BYTES] __attribute__((aligned(8)));

/* An archive of one payload: the smallest program, under this name. */
static void archive_new(const char *name)
{
    struct capos_archive_header *header = (struct capos_archive_header *)(void *)archive;
    struct capos_archive_entry *entry = (struct capos_archive_entry *)(void *)(header + 1);
    size_t size;
    const void *image = fixture_image(&size);
    header->magic = CAPOS_ARCHIVE_MAGIC;
    header->version = CAPOS_ARCHIVE_VERSION;
    header->entry_count = 1;
    header->index_bytes = sizeof(*header) + sizeof(*entry);
    header->total_bytes = ARCHIVE_BYTES;
    (void)snprintf(entry->name, sizeof(entry->name), "%s", name);
    entry->offset_bytes = 4096;
    entry->size_bytes = size;
    memcpy(archive + 4096, image, size);
    sha256(image, size, entry->sha256);
}

/* Boots as the machine would; the user is init. */
static struct user *boot(const char *program, unsigned cpus)
{
    static struct host_config config = {.ram_bytes = 32 << 20, .seed = 1};
    archive_new(program);
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
        "boot", "spawner", "ledger", "ioports",      "interrupts", "timer",   "entropy",
        "log",  "power",   "memory", "capabilities", "grants",     "sessions"};
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
