/* SPDX-License-Identifier: MIT */
/*
 * The manual: tells what interfaces are, and holds the pages of the handbook.
 *
 * Holds: library (MemoryObject, sealed: library.h says what is in it), serve, supervisor, log.
 * Serves, on one endpoint: key 1 = SchemaRegistry, key 2 = Manual.
 *
 * It keeps no state that calls could change and can be started anew at any time.
 */
#include "capos/print.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "descriptor.capnp.h"
#include "endpoint.client.h"
#include "lib/base/bits.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "manual.client.h"
#include "memory.client.h"
#include "services/manual/library.h"

enum {
    MESSAGE_BYTES = 8448,
    PIECE_BYTES = 8192,
    READ_PIECE_BYTES = 8192, /* of the library, per call to the kernel */
    DESCRIPTOR_MAX_BYTES = 24 * 1024,
    LIST_ENTRIES = 48, /* per call */
    NAME_BYTES = 48,
    SUMMARY_BYTES = 80,
};

static capos_cap_t memory;
static struct library library;

/* ---- the memory object ---- */

static bool read_piece(uint64_t offset, void *buf, size_t count)
{
    size_t got = 0;
    status_t status = MemoryObject_read(memory, offset, (uint32_t)count, buf, count, &got);
    return status == ST_OK && got == count;
}

static bool read_memory(struct library_source *source, uint64_t offset, void *buf, size_t count)
{
    (void)source;
    for (size_t at = 0; at < count;) {
        size_t piece = min_u64(count - at, READ_PIECE_BYTES);
        if (!read_piece(offset + at, (char *)buf + at, piece)) {
            return false;
        }
        at += piece;
    }
    return true;
}

static struct library_source source = {.read = read_memory};

static enum capos_outcome unreadable(struct capos_request *req)
{
    return capos_fail(req, CAPOS_EXC_FAILED, "the library could not be read");
}

/* ---- SchemaRegistry ---- */

static enum capos_outcome do_describe(struct capos_request *req,
                                      SchemaRegistry_describe_params_r params,
                                      SchemaRegistry_describe_results_b results)
{
    static uint8_t piece[PIECE_BYTES];
    uint64_t id = SchemaRegistry_describe_params_get_interface(params);
    struct capnp_data edition = SchemaRegistry_describe_params_get_edition(params);
    uint32_t editions;
    if (edition.len != 0 && edition.len != CAPOS_ARCHIVE_HASH_BYTES) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "an edition is 32 bytes");
    }
    const struct capos_archive_entry *entry =
        library_find_edition(&library, id, edition.len != 0 ? edition.ptr : NULL, &editions);
    SchemaRegistry_describe_results_set_editions(results, editions);
    if (entry == NULL) {
        return CAPOS_REPLY; /* found is false */
    }
    bool failed;
    uint32_t offset = SchemaRegistry_describe_params_get_offset_bytes(params);
    size_t count = library_read(&library, entry, offset, piece, sizeof(piece), &failed);
    if (failed) {
        return unreadable(req);
    }
    const char *package;
    size_t package_bytes;
    library_is_descriptor(entry, &id, &package, &package_bytes);
    SchemaRegistry_describe_results_set_found(results, true);
    SchemaRegistry_describe_results_set_total_bytes(results, (uint32_t)entry->size_bytes);
    SchemaRegistry_describe_results_set_package(results, package, package_bytes);
    SchemaRegistry_describe_results_set_data(results, piece, count);
    SchemaRegistry_describe_results_set_edition(results, entry->sha256, sizeof(entry->sha256));
    return CAPOS_REPLY;
}

/* Names are read from the descriptors when they are first asked for, and kept. */
static char interface_names[LIBRARY_MAX_ENTRIES][NAME_BYTES];

static const char *interface_name(uint32_t index)
{
    static uint8_t message[DESCRIPTOR_MAX_BYTES];
    const struct capos_archive_entry *entry = &library.entries[index];
    Descriptor_r descriptor;
    bool failed;
    if (interface_names[index][0] != 0 || entry->size_bytes > sizeof(message)) {
        return interface_names[index];
    }
    size_t count = library_read(&library, entry, 0, message, sizeof(message), &failed);
    if (!failed && Descriptor_read(message, count, &descriptor) == CAPNP_OK) {
        struct capnp_text name = Descriptor_get_name(descriptor);
        size_t len = min_u64(name.len, NAME_BYTES - 1);
        memcpy(interface_names[index], name.ptr, len);
        interface_names[index][len] = 0;
    }
    return interface_names[index];
}

/* Indices of library entries of one kind, from `start` on, at most LIST_ENTRIES; *next is where to
 * go on, 0 at the end. */
struct selection {
    uint32_t count;
    uint32_t next;
    uint32_t entries[LIST_ENTRIES];
};

static bool is_wanted(uint32_t index, bool pages)
{
    uint64_t id;
    const char *package;
    size_t package_bytes;
    const struct capos_archive_entry *entry = &library.entries[index];
    return pages ? library_page_name(entry) != NULL
                 : library_is_descriptor(entry, &id, &package, &package_bytes);
}

static void select_entries(struct selection *selection, uint32_t start, bool pages)
{
    selection->count = 0;
    selection->next = 0;
    uint32_t number = 0;
    for (uint32_t i = 0; i < library.count; i++) {
        if (!is_wanted(i, pages) || number++ < start) {
            continue;
        }
        if (selection->count == LIST_ENTRIES) {
            selection->next = number - 1;
            return;
        }
        selection->entries[selection->count++] = i;
    }
}

static enum capos_outcome do_list(struct capos_request *req, SchemaRegistry_list_params_r params,
                                  SchemaRegistry_list_results_b results)
{
    struct selection selection;
    (void)req;
    select_entries(&selection, SchemaRegistry_list_params_get_start(params), false);
    RegistryEntry_list_b list = SchemaRegistry_list_results_init_entries(results, selection.count);
    for (uint32_t i = 0; i < selection.count; i++) {
        uint64_t id = 0;
        const char *package = "";
        size_t package_bytes = 0;
        RegistryEntry_b entry = RegistryEntry_list_b_at(list, i);
        const char *name = interface_name(selection.entries[i]);
        const struct capos_archive_entry *found = &library.entries[selection.entries[i]];
        library_is_descriptor(found, &id, &package, &package_bytes);
        RegistryEntry_set_interface(entry, id);
        RegistryEntry_set_name(entry, name, strlen(name));
        RegistryEntry_set_package(entry, package, package_bytes);
        RegistryEntry_set_edition(entry, found->sha256, sizeof(found->sha256));
    }
    SchemaRegistry_list_results_set_next(results, selection.next);
    return CAPOS_REPLY;
}

static const struct SchemaRegistry_server registry = {
    .describe = do_describe,
    .list = do_list,
};

/* ---- Manual ---- */

/* Cuts a piece that does not reach the page's end behind its last newline, or else at the end of a
 * character. */
static size_t cut_at_line(const char *piece, size_t count, bool last)
{
    if (last) {
        return count;
    }
    for (size_t at = count; at > 0; at--) {
        if (piece[at - 1] == '\n') {
            return at;
        }
    }
    while (count > 0 && ((uint8_t)piece[count - 1] & 0xc0) == 0x80) {
        count--;
    }
    return count > 0 ? count - 1 : 0;
}

/* A comment line before the title (the licence) is not part of the page. */
static size_t skip_comment(const struct capos_archive_entry *entry)
{
    char head[128];
    bool failed;
    size_t count = library_read(&library, entry, 0, head, sizeof(head), &failed);
    const char *newline = memchr(head, '\n', count);
    if (count < 4 || memcmp(head, "<!--", 4) != 0 || newline == NULL) {
        return 0;
    }
    return (size_t)(newline - head) + 1;
}

static enum capos_outcome do_page(struct capos_request *req, Manual_page_params_r params,
                                  Manual_page_results_b results)
{
    static char piece[PIECE_BYTES];
    char name[CAPOS_ARCHIVE_NAME_BYTES];
    struct capnp_text wanted = Manual_page_params_get_name(params);
    uint32_t offset = Manual_page_params_get_offset_bytes(params);
    size_t len = fmt_format(name, sizeof(name), "page/%.*s", (int)min_u64(wanted.len, sizeof(name)),
                            wanted.ptr);
    const struct capos_archive_entry *entry = library_find(&library, name, len);
    if (entry == NULL) {
        return CAPOS_REPLY;
    }
    bool failed;
    size_t skip = skip_comment(entry);
    size_t count = library_read(&library, entry, skip + offset, piece, sizeof(piece), &failed);
    if (failed) {
        return unreadable(req);
    }
    count = cut_at_line(piece, count, skip + offset + count >= entry->size_bytes);
    Manual_page_results_set_found(results, true);
    Manual_page_results_set_total_bytes(results, (uint32_t)(entry->size_bytes - skip));
    if (!capnp_utf8_valid(piece, count)) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "offsetBytes is inside a character");
    }
    Manual_page_results_set_text(results, piece, count);
    return CAPOS_REPLY;
}

/* The first line of a page, without the marks of a heading. */
static size_t summary(uint32_t index, char *buf, size_t size)
{
    bool failed;
    const struct capos_archive_entry *entry = &library.entries[index];
    size_t count = library_read(&library, entry, skip_comment(entry), buf, size, &failed);
    const char *newline = memchr(buf, '\n', count);
    count = newline != NULL ? (size_t)(newline - buf) : count;
    size_t skip = 0;
    while (skip < count && (buf[skip] == '#' || buf[skip] == ' ')) {
        skip++;
    }
    memmove(buf, buf + skip, count - skip);
    count -= skip;
    while (count > 0 && !capnp_utf8_valid(buf, count)) {
        count--;
    }
    return count;
}

static enum capos_outcome do_topics(struct capos_request *req, Manual_topics_params_r params,
                                    Manual_topics_results_b results)
{
    struct selection selection;
    (void)req;
    select_entries(&selection, Manual_topics_params_get_start(params), true);
    Topic_list_b list = Manual_topics_results_init_topics(results, selection.count);
    for (uint32_t i = 0; i < selection.count; i++) {
        char text[SUMMARY_BYTES];
        Topic_b topic = Topic_list_b_at(list, i);
        const char *name = library_page_name(&library.entries[selection.entries[i]]);
        Topic_set_name(topic, name, strlen(name));
        Topic_set_summary(topic, text, summary(selection.entries[i], text, sizeof(text)));
    }
    Manual_topics_results_set_next(results, selection.next);
    return CAPOS_REPLY;
}

static const struct Manual_server manual = {
    .page = do_page,
    .topics = do_topics,
};

/* ---- life ---- */

static const struct capos_interface interfaces[] = {
    {SchemaRegistry_ID, SchemaRegistry_dispatch, &registry},
    {Manual_ID, Manual_dispatch, &manual},
};

CAPOS_SERVER_STORAGE(storage, 4, MESSAGE_BYTES, MESSAGE_BYTES, 0);
static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = ARRAY_COUNT(interfaces),
    .request_count = 4,
    .params_max_bytes = MESSAGE_BYTES,
    .reply_max_bytes = MESSAGE_BYTES,
};

int capos_main(void)
{
    const char *why = NULL;
    memory = CAPOS_NEED("library", MemoryObject);
    capos_cap_t endpoint = CAPOS_NEED("serve", Endpoint);
    status_t status = MemoryObject_info(memory, &source.size_bytes, NULL, NULL);
    if (status != ST_OK) {
        capos_log("manual: the library: %s: %s", status_name(status), status_text(status));
        return 1;
    }
    if (!library_open(&library, &source, &why)) {
        capos_log("manual: the library is of no use: %s; there will be no help", why);
    }
    status = capos_server_start(&server, endpoint, storage, sizeof(storage));
    if (status != ST_OK) {
        capos_log("manual: cannot serve: %s: %s", status_name(status), status_text(status));
        return 1;
    }
    capos_ready();
    capos_run();
    return 0;
}
