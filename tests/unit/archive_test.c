/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include "abi/archive.h"
#include "core/archive.h"
#include "core/log.h"
#include "lib/crypto/sha256.h"
#include "mem/frames.h"
#include "object/memory_object.h"

enum { ENTRIES = 4, MODULE_BYTES = 8 * 4096 };

static const char *const names[ENTRIES] = {"bin/hello", "empty", "init", "manifest"};
static const uint64_t sizes[ENTRIES] = {5000, 0, 4096, 100};

static uint8_t module[MODULE_BYTES];
static struct boot_info boot;
static char hash_hex[65];

/* What the kernel sees of the module; changed by the tests. */
static struct capos_archive_header *header;
static struct capos_archive_entry *entries;

static void module_new(uint8_t *to)
{
    struct capos_archive_header *h = (struct capos_archive_header *)(void *)to;
    struct capos_archive_entry *e = (struct capos_archive_entry *)(void *)(h + 1);
    uint64_t at = 4096;
    memset(to, 0, MODULE_BYTES);
    h->magic = CAPOS_ARCHIVE_MAGIC;
    h->version = CAPOS_ARCHIVE_VERSION;
    h->entry_count = ENTRIES;
    h->index_bytes = sizeof(*h) + ENTRIES * sizeof(*e);
    for (unsigned i = 0; i < ENTRIES; i++) {
        (void)snprintf(e[i].name, sizeof(e[i].name), "%s", names[i]);
        e[i].offset_bytes = at;
        e[i].size_bytes = sizes[i];
        for (uint64_t b = 0; b < sizes[i]; b++) {
            to[at + b] = (uint8_t)(b * 13 + i);
        }
        sha256(to + at, sizes[i], e[i].sha256);
        at += (sizes[i] + 4095) / 4096 * 4096;
    }
    h->total_bytes = at;
    uint8_t digest[SHA256_BYTES];
    sha256(h, h->index_bytes, digest);
    for (unsigned i = 0; i < SHA256_BYTES; i++) {
        (void)snprintf(hash_hex + 2 * i, 3, "%02x", digest[i]);
    }
}

static void start(const char *command_line)
{
    static struct host_config config = {.cpus = 1, .ram_bytes = MACHINE_RAM_BYTES, .seed = 1};
    module_new(module);
    config.module = module;
    config.module_bytes = sizeof(module);
    config.command_line = command_line;
    boot = *host_machine_init(&config);
    frames_init(&boot);
    header = arch_direct(boot.module.base);
    entries = (struct capos_archive_entry *)(void *)(header + 1);
}

static bool logged(const char *text)
{
    return strstr(host_debug_text(), text) != NULL;
}

static bool payload_is(const struct memory_object *object, unsigned i)
{
    static uint8_t got[8192];
    if (object->size_bytes != sizes[i]) {
        return false;
    }
    memory_object_read(object, 0, got, sizes[i]);
    for (uint64_t b = 0; b < sizes[i]; b++) {
        if (got[b] != (uint8_t)(b * 13 + i)) {
            return false;
        }
    }
    return true;
}

TEST(archive_good, "a good archive is listed, and each payload opens sealed with its bytes")
{
    start("quiet");
    archive_init(&boot);
    CHECK_EQ(archive_count(), ENTRIES);
    CHECK(!archive_is_anchored());
    CHECK(logged("unanchored"));
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct memory_object *object = NULL;
        uint32_t index = 99;
        CHECK_STR_EQ(archive_name(i), names[i]);
        CHECK_EQ(archive_find(names[i], strlen(names[i]), &index), ST_OK);
        CHECK_EQ(index, i);
        CHECK(archive_opened(i) == NULL);
        CHECK_EQ(archive_open_now(names[i], &object), ST_OK);
        CHECK(payload_is(object, i));
        CHECK(memory_object_is_sealed(object));
        struct memory_object *again = archive_opened(i);
        CHECK_PTR_EQ(again, object);
        kobj_unref(&again->obj);
        kobj_unref(&object->obj);
    }
}

TEST(archive_find, "names that are not there are not found")
{
    static const char *const missing[] = {"", "a", "bin", "bin/hell", "bin/helloo", "zzz", "init "};
    uint32_t index = 99;
    start("");
    archive_init(&boot);
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        CHECK_EQ(archive_find(missing[i], strlen(missing[i]), &index), ST_NOT_FOUND);
    }
    CHECK_EQ(archive_find("init\0x", 6, &index), ST_NOT_FOUND);
    CHECK_EQ(archive_find("init", 400, &index), ST_NOT_FOUND);
    CHECK_EQ(index, 99);
}

TEST(archive_hash,
     "a payload that does not match its hash, or with bytes behind its end, never opens")
{
    struct memory_object *object = NULL;
    start("");
    uint8_t *bytes = (uint8_t *)header;
    bytes[entries[0].offset_bytes + 4999] ^= 1;
    bytes[entries[3].offset_bytes + 100] = 1;
    archive_init(&boot);
    CHECK_EQ(archive_open_now("bin/hello", &object), ST_BAD_HASH);
    CHECK(logged("bin/hello"));
    bytes[entries[0].offset_bytes + 4999] ^= 1;
    CHECK_EQ(archive_open_now("bin/hello", &object), ST_BAD_HASH);
    CHECK_EQ(archive_open_now("manifest", &object), ST_BAD_HASH);
    CHECK_EQ(archive_open_now("init", &object), ST_OK);
    CHECK(archive_opened(0) == NULL);
}

TEST(archive_anchor, "an index is used when it is the anchored one, and else refused")
{
    char line[100];
    start("");
    (void)snprintf(boot.command_line, sizeof(boot.command_line), "quiet archive=%s x=1", hash_hex);
    archive_init(&boot);
    CHECK_EQ(archive_count(), ENTRIES);
    CHECK(archive_is_anchored());
    struct memory_object *text = archive_command_line();
    CHECK_EQ(text->size_bytes, strlen(boot.command_line));
    memory_object_read(text, 0, line, 20);
    CHECK_MEM_EQ(line, boot.command_line, 20);
    kobj_unref(&text->obj);
}

TEST(archive_anchor_wrong, "an index that is not the anchored one is refused with a reason")
{
    start("");
    (void)snprintf(boot.command_line, sizeof(boot.command_line), "archive=%s", hash_hex);
    entries[2].sha256[5] ^= 4;
    archive_init(&boot);
    CHECK_EQ(archive_count(), 0);
    CHECK(logged("refused"));
    uint32_t index;
    CHECK_EQ(archive_find("init", 4, &index), ST_NOT_FOUND);
}

/* The module as it is now is refused; then it is good again. */
static void check_bad(const char *what)
{
    archive_init(&boot);
    if (archive_count() != 0) {
        FAIL(what);
        exit(1);
    }
    module_new((uint8_t *)header);
    boot.module.size_bytes = MODULE_BYTES;
}

#define BAD(change) \
    do { \
        change; \
        check_bad(#change); \
    } while (0)

TEST(archive_hostile, "every wrong number in the index makes the archive refused as a whole")
{
    start("");
    BAD(boot.module.size_bytes = 0);
    BAD(boot.module.size_bytes = 63);
    BAD(boot.module.size_bytes = 64);
    BAD(boot.module.size_bytes = 4095);
    BAD(boot.module.size_bytes = header->total_bytes - 1);
    BAD(header->magic ^= 1);
    BAD(header->version = 2);
    BAD(header->entry_count = 5);
    BAD(header->entry_count = 3);
    BAD(header->entry_count = UINT32_MAX);
    BAD(header->index_bytes += 128);
    BAD(header->index_bytes = UINT64_MAX);
    BAD(header->total_bytes = MODULE_BYTES + 4096);
    BAD(header->total_bytes = UINT64_MAX - 4095);
    BAD(header->total_bytes = 4096);
    BAD(header->total_bytes -= 8);
    BAD(entries[0].name[0] = '\0');
    BAD(memset(entries[3].name, 'x', 64));
    BAD(entries[1].name[1] = '\n');
    BAD(entries[1].name[1] = (char)0xff);
    BAD(memcpy(entries[2].name, "bin", 4));
    BAD(memcpy(entries[2].name, "empty", 6));
    BAD(entries[2].offset_bytes += 8);
    BAD(entries[2].offset_bytes = 0);
    BAD(entries[2].offset_bytes = UINT64_MAX - 4095);
    BAD(entries[2].offset_bytes = header->total_bytes);
    BAD(entries[2].size_bytes = header->total_bytes);
    BAD(entries[2].size_bytes = UINT64_MAX);
    BAD(entries[2].size_bytes = UINT64_MAX - entries[2].offset_bytes + 1);
    archive_init(&boot);
    CHECK_EQ(archive_count(), ENTRIES);
}

TEST(archive_slices, "hashing goes in bounded slices, and the second opener finds it decided")
{
    struct archive_check first;
    struct archive_check second;
    struct memory_object *a = NULL;
    struct memory_object *b = NULL;
    unsigned slices = 1;
    start("");
    archive_init(&boot);
    archive_check_start(&first, 0);
    archive_check_start(&second, 0);
    CHECK(!archive_check_slice(&second));
    while (!archive_check_slice(&first)) {
        slices++;
    }
    CHECK_EQ(slices, (sizes[0] + ARCHIVE_SLICE_BYTES - 1) / ARCHIVE_SLICE_BYTES);
    CHECK_EQ(archive_check_finish(&first, &a), ST_OK);
    CHECK(archive_check_slice(&second));
    CHECK_EQ(archive_check_finish(&second, &b), ST_OK);
    CHECK_PTR_EQ(a, b);
}
