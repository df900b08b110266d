/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "descriptors.h"
#include "interfaces.h"
#include "lib/crypto/sha256.h"
#include "services/manual/library.h"

/* An archive of entries without payloads: the index alone is looked at. */

enum { ENTRIES_MAX = 8, COUNTER = 0x77 };

static struct {
    struct capos_archive_header header;
    struct capos_archive_entry entries[ENTRIES_MAX];
} archive;
static struct library library;
static const char *why;

static bool read_archive(struct library_source *source, uint64_t offset, void *buf, size_t count)
{
    CHECK(offset + count <= source->size_bytes);
    memcpy(buf, (const uint8_t *)&archive + offset, count);
    return true;
}

static struct library_source source = {.read = read_archive, .size_bytes = sizeof(archive)};

/* Names ascend; the edition is so many bytes of one value. */
static void add(const char *name, uint8_t edition)
{
    struct capos_archive_entry *entry = &archive.entries[archive.header.entry_count++];
    (void)snprintf(entry->name, sizeof(entry->name), "%s", name);
    memset(entry->sha256, edition, sizeof(entry->sha256));
}

static void start(void)
{
    archive.header.magic = CAPOS_ARCHIVE_MAGIC;
    archive.header.version = CAPOS_ARCHIVE_VERSION;
}

/* The edition found, by its first byte; 0 = none. */
static unsigned find(uint64_t interface, uint8_t wanted, uint32_t *editions)
{
    uint8_t edition[CAPOS_ARCHIVE_HASH_BYTES];
    memset(edition, wanted, sizeof(edition));
    const struct capos_archive_entry *entry =
        library_find_edition(&library, interface, wanted != 0 ? edition : NULL, editions);
    return entry != NULL ? entry->sha256[0] : 0;
}

TEST(library_edition, "a descriptor is found in the edition that was asked for, and in no other")
{
    uint32_t editions;
    start();
    add("desc/counter-1/0000000000000077", 1);
    add("desc/counter-2/0000000000000077", 2);
    add("desc/counter-2/0000000000000078", 3);
    REQUIRE(library_open(&library, &source, &why));
    CHECK_EQ(find(COUNTER, 1, &editions), 1);
    CHECK_EQ(editions, 2);
    CHECK_EQ(find(COUNTER, 2, &editions), 2);
    CHECK_EQ(find(COUNTER, 3, &editions), 0); /* there, but of another interface */
    CHECK_EQ(editions, 2);
    CHECK_EQ(find(0x79, 1, &editions), 0);
    CHECK_EQ(editions, 0);
}

TEST(library_any_edition,
     "who names no edition is given the only one, and none where there are two")
{
    uint32_t editions;
    start();
    add("desc/counter-1/0000000000000077", 1);
    add("desc/counter-2/0000000000000077", 1);
    add("desc/other/0000000000000078", 4);
    REQUIRE(library_open(&library, &source, &why));
    CHECK_EQ(find(COUNTER, 0, &editions), 1); /* two packages brought the same one */
    CHECK_EQ(editions, 1);
    add("desc/zero/0000000000000077", 2);
    REQUIRE(library_open(&library, &source, &why));
    CHECK_EQ(find(COUNTER, 0, &editions), 0);
    CHECK_EQ(editions, 2);
}

TEST(library_edition_is_the_hash,
     "the edition programs are built with is the SHA-256 of the descriptor")
{
    for (size_t i = 0; i < capos_descriptor_count; i++) {
        uint8_t digest[SHA256_BYTES];
        size_t found = 0;
        sha256(capos_descriptors[i].message, capos_descriptors[i].bytes, digest);
        for (size_t k = 0; k < capos_interface_count; k++) {
            const struct capos_interface_info *info = &capos_interfaces[k];
            if (info->base_id == capos_descriptors[i].id) {
                CHECK(memcmp(info->edition, digest, sizeof(digest)) == 0);
                found++;
            }
        }
        CHECK(found > 0);
    }
}
