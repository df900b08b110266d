/* SPDX-License-Identifier: MIT */
/*
 * The boot archive: one boot module that holds every payload apart, page-aligned.
 *
 *   page 0..    header, then the entries (the index), zero-padded to a page
 *   payloads    each at a page boundary, zero-padded to a page
 *
 * Anchor: SHA-256 over the index bytes [0, index_bytes). Each entry holds the SHA-256 of its
 * payload's size_bytes bytes, checked by the kernel once, when the payload is first opened.
 * Entries are sorted by name, strictly ascending (bytewise), so look-up is a binary search.
 */
#ifndef CAPOS_ABI_ARCHIVE_H
#define CAPOS_ABI_ARCHIVE_H

#include <assert.h>
#include <stdint.h>

enum {
    CAPOS_ARCHIVE_VERSION = 1,
    CAPOS_ARCHIVE_NAME_BYTES = 64, /* NUL-padded, at least one NUL; [a-z0-9._/-] only */
    CAPOS_ARCHIVE_MAX_ENTRIES = 4096,
    CAPOS_ARCHIVE_HASH_BYTES = 32,
};

#define CAPOS_ARCHIVE_MAGIC UINT64_C(0x315641534f504143) /* "CAPOSAV1" */

struct capos_archive_header {
    uint64_t magic;
    uint32_t version;
    uint32_t entry_count;
    uint64_t index_bytes; /* header and entries, without padding */
    uint64_t total_bytes; /* whole file; a multiple of 4096 */
    uint64_t reserved[4];
};
static_assert(sizeof(struct capos_archive_header) == 64, "archive header");

struct capos_archive_entry {
    char name[CAPOS_ARCHIVE_NAME_BYTES];
    uint64_t offset_bytes; /* multiple of 4096 */
    uint64_t size_bytes;
    uint8_t sha256[CAPOS_ARCHIVE_HASH_BYTES];
    uint64_t reserved[2];
};
static_assert(sizeof(struct capos_archive_entry) == 128, "archive entry");

#endif
