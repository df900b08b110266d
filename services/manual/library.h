/* SPDX-License-Identifier: MIT */
/*
 * The library the manual serves from: an archive (abi/archive.h) inside a sealed memory object.
 *
 *   desc/<package>/<16 hex digits>   the descriptor of one interface, in the edition that this
 *                                    package was built with
 *   page/<name>                      a page of the handbook
 *
 * Pure: bytes come through a callback. What is in the library was made when the system was built,
 * but nothing here trusts it: the index is checked once, offsets stay inside the object.
 */
#ifndef CAPOS_MANUAL_LIBRARY_H
#define CAPOS_MANUAL_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/archive.h"

enum { LIBRARY_MAX_ENTRIES = 256 };

struct library_source {
    /* Reads exactly `count` bytes; false when they cannot be had. */
    bool (*read)(struct library_source *source, uint64_t offset, void *buf, size_t count);
    uint64_t size_bytes;
};

struct library {
    struct library_source *source;
    uint32_t count;
    struct capos_archive_entry entries[LIBRARY_MAX_ENTRIES];
};

/* Reads and checks the index. On false *why says in words what is wrong with it, and the library is
 * empty. */
bool library_open(struct library *library, struct library_source *source, const char **why);

/* The entry of exactly that name; NULL when there is none. */
const struct capos_archive_entry *library_find(const struct library *library, const char *name,
                                               size_t len);

/* The descriptor of an interface, whatever its package, in the edition asked for: its SHA-256, or NULL
 * for the only one there is. NULL when that is not there; *editions counts those that are. */
const struct capos_archive_entry *library_find_edition(const struct library *library,
                                                       uint64_t interface, const uint8_t *edition,
                                                       uint32_t *editions);

/* What an entry's name says: true and *interface, *package (not NUL-terminated) for a descriptor. */
bool library_is_descriptor(const struct capos_archive_entry *entry, uint64_t *interface,
                           const char **package, size_t *package_bytes);

/* The page name in an entry's name; NULL when it is not a page. */
const char *library_page_name(const struct capos_archive_entry *entry);

/* Copies at most `room` bytes of an entry from `offset` on; how many, 0 past its end. *failed when
 * they could not be read. */
size_t library_read(const struct library *library, const struct capos_archive_entry *entry,
                    uint64_t offset, void *buf, size_t room, bool *failed);

#endif
