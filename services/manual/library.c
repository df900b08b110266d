/* SPDX-License-Identifier: MIT */
#include "services/manual/library.h"

#include "lib/base/bits.h"
#include "lib/base/string.h"

enum { ID_DIGITS = 16 };

static const char descriptor_prefix[] = "desc/";
static const char page_prefix[] = "page/";
static const char default_package[] = "capos";

static const char *entry_problem(const struct library *library, uint32_t index)
{
    const struct capos_archive_entry *entry = &library->entries[index];
    uint64_t end;
    if (entry->name[CAPOS_ARCHIVE_NAME_BYTES - 1] != 0) {
        return "an entry's name has no end";
    }
    if (index > 0 && strcmp(library->entries[index - 1].name, entry->name) >= 0) {
        return "its entries are not in order";
    }
    if (!add_checked(entry->offset_bytes, entry->size_bytes, &end) ||
        end > library->source->size_bytes) {
        return "an entry lies outside it";
    }
    return NULL;
}

static const char *open_problem(struct library *library)
{
    struct library_source *source = library->source;
    struct capos_archive_header header;
    if (source->size_bytes < sizeof(header) || !source->read(source, 0, &header, sizeof(header))) {
        return "its header cannot be read";
    }
    if (header.magic != CAPOS_ARCHIVE_MAGIC || header.version != CAPOS_ARCHIVE_VERSION) {
        return "it is not an archive of this version";
    }
    if (header.entry_count > LIBRARY_MAX_ENTRIES) {
        return "it has more entries than the manual can hold";
    }
    size_t bytes = header.entry_count * sizeof(struct capos_archive_entry);
    if (bytes > source->size_bytes - sizeof(header) ||
        !source->read(source, sizeof(header), library->entries, bytes)) {
        return "its index cannot be read";
    }
    for (uint32_t i = 0; i < header.entry_count; i++) {
        const char *problem = entry_problem(library, i);
        if (problem != NULL) {
            return problem;
        }
    }
    library->count = header.entry_count;
    return NULL;
}

bool library_open(struct library *library, struct library_source *source, const char **why)
{
    library->source = source;
    library->count = 0;
    *why = open_problem(library);
    return *why == NULL;
}

const struct capos_archive_entry *library_find(const struct library *library, const char *name,
                                               size_t len)
{
    uint32_t low = 0;
    uint32_t high = library->count;
    if (len >= CAPOS_ARCHIVE_NAME_BYTES || memchr(name, 0, len) != NULL) {
        return NULL;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct capos_archive_entry *entry = &library->entries[middle];
        int order = strncmp(entry->name, name, len);
        order = order != 0 ? order : entry->name[len] != 0;
        if (order == 0) {
            return entry;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static bool parse_id(const char *digits, uint64_t *id)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < ID_DIGITS; i++) {
        char c = digits[i];
        unsigned digit;
        if (c >= '0' && c <= '9') {
            digit = (unsigned)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (unsigned)(c - 'a') + 10;
        } else {
            return false;
        }
        value = value << 4 | digit;
    }
    *id = value;
    return digits[ID_DIGITS] == 0;
}

bool library_is_descriptor(const struct capos_archive_entry *entry, uint64_t *interface,
                           const char **package, size_t *package_bytes)
{
    if (!str_starts_with(entry->name, descriptor_prefix)) {
        return false;
    }
    const char *rest = entry->name + sizeof(descriptor_prefix) - 1;
    const char *slash = strrchr(rest, '/');
    *package = slash != NULL ? rest : default_package;
    *package_bytes = slash != NULL ? (size_t)(slash - rest) : sizeof(default_package) - 1;
    const char *digits = slash != NULL ? slash + 1 : rest;
    return strlen(digits) >= ID_DIGITS && parse_id(digits, interface);
}

/* What is byte for byte an earlier entry, as of an interface that two packages brought. */
static bool is_repeated(const struct library *library, uint32_t index)
{
    const uint8_t *sha256 = library->entries[index].sha256;
    for (uint32_t i = 0; i < index; i++) {
        if (memcmp(library->entries[i].sha256, sha256, CAPOS_ARCHIVE_HASH_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

const struct capos_archive_entry *library_find_edition(const struct library *library,
                                                       uint64_t interface, const uint8_t *edition,
                                                       uint32_t *editions)
{
    const struct capos_archive_entry *found = NULL;
    *editions = 0;
    for (uint32_t i = 0; i < library->count; i++) {
        uint64_t id;
        const char *package;
        size_t package_bytes;
        const struct capos_archive_entry *entry = &library->entries[i];
        if (!library_is_descriptor(entry, &id, &package, &package_bytes) || id != interface ||
            is_repeated(library, i)) {
            continue;
        }
        ++*editions;
        if (edition == NULL || memcmp(edition, entry->sha256, CAPOS_ARCHIVE_HASH_BYTES) == 0) {
            found = entry;
        }
    }
    return edition == NULL && *editions > 1 ? NULL : found;
}

const char *library_page_name(const struct capos_archive_entry *entry)
{
    return str_starts_with(entry->name, page_prefix) ? entry->name + sizeof(page_prefix) - 1 : NULL;
}

size_t library_read(const struct library *library, const struct capos_archive_entry *entry,
                    uint64_t offset, void *buf, size_t room, bool *failed)
{
    *failed = false;
    if (offset >= entry->size_bytes) {
        return 0;
    }
    size_t count = (size_t)min_u64(entry->size_bytes - offset, room);
    *failed = !library->source->read(library->source, entry->offset_bytes + offset, buf, count);
    return *failed ? 0 : count;
}
