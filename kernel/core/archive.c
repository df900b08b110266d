/* SPDX-License-Identifier: MIT */
#include "core/archive.h"

#include "arch/arch.h"
#include "core/cmdline.h"
#include "core/log.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "mem/frames.h"
#include "mem/karray.h"
#include "object/memory_object.h"

/* Linked in when the archive was built together with the kernel. */
extern const uint8_t boot_archive_index_sha256[SHA256_BYTES] WEAK;

enum payload_state { PAYLOAD_UNOPENED, PAYLOAD_VERIFIED, PAYLOAD_BAD };

/* own lock */
struct payload {
    struct memory_object *object; /* the archive's ref, when VERIFIED */
    uint8_t state;
};

enum { PAYLOADS_PER_PAGE = PAGE_BYTES / sizeof(struct payload) };

/* [I] after archive_init but for the payloads, which are under `lock`. */
static struct {
    struct spinlock lock;
    struct paddr base;
    const struct capos_archive_header *header;
    const struct capos_archive_entry *entries;
    uint32_t count;
    bool anchored;
    struct karray payloads;
    struct memory_object *command_line;
} archive = {.lock = SPINLOCK_INIT(LOCK_REGISTRY)};

static struct payload *payload_of(uint32_t index)
{
    uint8_t *page = karray_page(&archive.payloads, index / PAYLOADS_PER_PAGE);
    return &((struct payload *)(void *)page)[index % PAYLOADS_PER_PAGE];
}

static bool name_ok(const char *name)
{
    size_t len = strnlen(name, CAPOS_ARCHIVE_NAME_BYTES);
    if (len == 0 || len == CAPOS_ARCHIVE_NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '.' && c != '_' && c != '/' && c != '-') {
            return false;
        }
    }
    return true;
}

static const char *check_header(const struct capos_archive_header *header, uint64_t module_bytes)
{
    if (module_bytes < sizeof(*header) || header->magic != CAPOS_ARCHIVE_MAGIC) {
        return "it is not a boot archive";
    }
    if (header->version != CAPOS_ARCHIVE_VERSION) {
        return "its version is not this kernel's";
    }
    uint64_t index_bytes =
        sizeof(*header) + (uint64_t)header->entry_count * sizeof(struct capos_archive_entry);
    if (header->entry_count > CAPOS_ARCHIVE_MAX_ENTRIES || header->index_bytes != index_bytes ||
        header->total_bytes > module_bytes || index_bytes > header->total_bytes ||
        !page_aligned(header->total_bytes)) {
        return "its sizes contradict each other";
    }
    return NULL;
}

static const char *check_entry(const struct capos_archive_header *header,
                               const struct capos_archive_entry *entry,
                               const struct capos_archive_entry *before)
{
    uint64_t end;
    if (!name_ok(entry->name)) {
        return "a payload's name is malformed";
    }
    if (before != NULL && strncmp(before->name, entry->name, CAPOS_ARCHIVE_NAME_BYTES) >= 0) {
        return "its names are not in order";
    }
    if (!page_aligned(entry->offset_bytes) || entry->offset_bytes < header->index_bytes ||
        !add_checked(entry->offset_bytes, entry->size_bytes, &end) || end > header->total_bytes) {
        return "a payload lies outside it";
    }
    return NULL;
}

static const char *check_index(const struct capos_archive_header *header)
{
    const struct capos_archive_entry *entries = (const void *)(header + 1);
    for (uint32_t i = 0; i < header->entry_count; i++) {
        const char *why = check_entry(header, &entries[i], i == 0 ? NULL : &entries[i - 1]);
        if (why != NULL) {
            return why;
        }
    }
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: the value is no 64 hexadecimal digits. */
static bool parse_hash(const char *text, size_t len, uint8_t out[SHA256_BYTES])
{
    if (len != 2 * SHA256_BYTES) {
        return false;
    }
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* NULL when the index is the anchored one, or when there is no anchor (*anchored_out false). */
static const char *check_anchor(const struct boot_info *boot,
                                const struct capos_archive_header *header, bool *anchored_out)
{
    uint8_t wanted[SHA256_BYTES];
    uint8_t found[SHA256_BYTES];
    size_t len = 0;
    const char *value = cmdline_value(boot->command_line, "archive", &len);
    *anchored_out = true;
    if ((uintptr_t)boot_archive_index_sha256 != 0) {
        memcpy(wanted, boot_archive_index_sha256, sizeof(wanted));
    } else if (value == NULL) {
        *anchored_out = false;
        return NULL;
    } else if (!parse_hash(value, len, wanted)) {
        return "archive= on the command line is not 64 hexadecimal digits";
    }
    sha256(header, header->index_bytes, found);
    return memcmp(found, wanted, sizeof(found)) == 0 ? NULL
                                                     : "its index is not the one that is anchored";
}

static void make_command_line(const struct boot_info *boot)
{
    size_t len = strnlen(boot->command_line, sizeof(boot->command_line));
    if (memory_object_create_text(NULL, boot->command_line, len, &archive.command_line) != ST_OK) {
        archive.command_line = NULL;
    }
}

static const char *adopt(const struct boot_info *boot)
{
    if (boot->module.size_bytes == 0) {
        return "the loader passed none";
    }
    const struct capos_archive_header *header = arch_direct(boot->module.base);
    const char *why = check_header(header, boot->module.size_bytes);
    if (why == NULL) {
        why = check_anchor(boot, header, &archive.anchored);
    }
    if (why == NULL) {
        why = check_index(header);
    }
    uint32_t pages =
        why != NULL ? 0 : (header->entry_count + PAYLOADS_PER_PAGE - 1) / PAYLOADS_PER_PAGE;
    if (why == NULL && !karray_init(&archive.payloads, NULL, pages)) {
        why = "there is no memory for its index";
    }
    if (why == NULL) {
        archive.base = boot->module.base;
        archive.header = header;
        archive.entries = (const void *)(header + 1);
        archive.count = header->entry_count;
    }
    return why;
}

void archive_init(const struct boot_info *boot)
{
    make_command_line(boot);
    const char *why = adopt(boot);
    if (why != NULL) {
        klog("boot archive: refused: %s", why);
        return;
    }
    klog("boot archive: %u payloads, %llu KiB, %s", archive.count,
         (unsigned long long)(archive.header->total_bytes / 1024),
         archive.anchored ? "anchored" : "unanchored");
}

uint32_t archive_count(void)
{
    return archive.count;
}

bool archive_is_anchored(void)
{
    return archive.anchored;
}

const char *archive_name(uint32_t index)
{
    return archive.entries[index].name;
}

struct memory_object *archive_command_line(void)
{
    if (archive.command_line != NULL) {
        kobj_ref(&archive.command_line->obj);
    }
    return archive.command_line;
}

/* <0, 0, >0 as the entry's name sorts before, at, behind the text. */
static int compare_name(const char *entry, const char *name, size_t len)
{
    int order = strncmp(entry, name, len);
    return order != 0 ? order : entry[len] != '\0';
}

status_t archive_find(const char *name, size_t len, uint32_t *index_out)
{
    if (len == 0 || len >= CAPOS_ARCHIVE_NAME_BYTES || memchr(name, '\0', len) != NULL) {
        return ST_NOT_FOUND;
    }
    uint32_t low = 0;
    uint32_t high = archive.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_name(archive.entries[middle].name, name, len);
        if (order == 0) {
            *index_out = middle;
            return ST_OK;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return ST_NOT_FOUND;
}

static uint8_t state_of(uint32_t index)
{
    lock_acquire(&archive.lock);
    uint8_t state = payload_of(index)->state;
    lock_release(&archive.lock);
    return state;
}

static const uint8_t *bytes_of(uint32_t index)
{
    return arch_direct(paddr(archive.base.v + archive.entries[index].offset_bytes));
}

void archive_check_start(struct archive_check *check, uint32_t index)
{
    check->index = index;
    check->done_bytes = 0;
    sha256_init(&check->state);
}

bool archive_check_slice(struct archive_check *check)
{
    const struct capos_archive_entry *entry = &archive.entries[check->index];
    if (state_of(check->index) != PAYLOAD_UNOPENED) {
        return true;
    }
    uint64_t left = entry->size_bytes - check->done_bytes;
    uint64_t n = left < ARCHIVE_SLICE_BYTES ? left : ARCHIVE_SLICE_BYTES;
    sha256_update(&check->state, bytes_of(check->index) + check->done_bytes, n);
    check->done_bytes += n;
    return check->done_bytes == entry->size_bytes;
}

/* Bytes behind the payload in its last page are in nobody's hash, and a mapping shows them. */
static bool tail_is_zero(uint32_t index)
{
    uint64_t size = archive.entries[index].size_bytes;
    const uint8_t *bytes = bytes_of(index);
    uint64_t word, seen = 0, at = size;
    for (; at % sizeof(word) != 0; at++) {
        seen |= bytes[at];
    }
    for (; at < page_ceil(size); at += sizeof(word)) {
        memcpy(&word, bytes + at, sizeof(word));
        seen |= word;
    }
    return seen == 0;
}

/* Lock held; the hash was right. */
static status_t make_object(uint32_t index, struct payload *payload)
{
    const struct capos_archive_entry *entry = &archive.entries[index];
    status_t status = memory_object_create_borrowed(
        NULL, paddr(archive.base.v + entry->offset_bytes), entry->size_bytes, &payload->object);
    if (status == ST_OK) {
        payload->state = PAYLOAD_VERIFIED;
    }
    return status;
}

status_t archive_check_finish(struct archive_check *check, struct memory_object **out)
{
    uint8_t digest[SHA256_BYTES];
    sha256_final(&check->state, digest);
    bool right = memcmp(digest, archive.entries[check->index].sha256, sizeof(digest)) == 0 &&
                 tail_is_zero(check->index);
    status_t status = ST_OK;
    lock_acquire(&archive.lock);
    struct payload *payload = payload_of(check->index);
    if (payload->state == PAYLOAD_UNOPENED && right) {
        status = make_object(check->index, payload);
    } else if (payload->state == PAYLOAD_UNOPENED) {
        payload->state = PAYLOAD_BAD;
    }
    if (payload->state == PAYLOAD_VERIFIED) {
        *out = payload->object;
        kobj_ref(&payload->object->obj);
    } else if (status == ST_OK) {
        status = ST_BAD_HASH;
    }
    lock_release(&archive.lock);
    if (status == ST_BAD_HASH) {
        klog("boot archive: %s does not match its recorded hash", archive_name(check->index));
    }
    return status;
}

struct memory_object *archive_opened(uint32_t index)
{
    lock_acquire(&archive.lock);
    struct payload *payload = payload_of(index);
    struct memory_object *object = payload->state == PAYLOAD_VERIFIED ? payload->object : NULL;
    if (object != NULL) {
        kobj_ref(&object->obj);
    }
    lock_release(&archive.lock);
    return object;
}

status_t archive_open_now(const char *name, struct memory_object **out)
{
    struct archive_check check;
    uint32_t index;
    status_t status = archive_find(name, strlen(name), &index);
    if (status != ST_OK) {
        return status;
    }
    archive_check_start(&check, index);
    while (!archive_check_slice(&check)) {
    }
    return archive_check_finish(&check, out);
}
