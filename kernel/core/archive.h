/* SPDX-License-Identifier: MIT */
/*
 * The boot archive (abi/archive.h) as the kernel knows it: an index over frames of the boot module.
 *
 * The index is checked once at boot: every number in it is bounded before it is used, names are sorted
 * and well formed, payloads lie inside the module and do not overlap the index. A payload is hashed
 * when it is first opened, and is then a sealed memory object for good. All of this input is hostile
 * until its hash has been compared.
 */
#ifndef CAPOS_KERNEL_CORE_ARCHIVE_H
#define CAPOS_KERNEL_CORE_ARCHIVE_H

#include <stdbool.h>

#include "abi/archive.h"
#include "abi/types.h"
#include "core/boot.h"
#include "lib/crypto/sha256.h"

struct memory_object;

enum { ARCHIVE_SLICE_BYTES = 256 };

/* Looks at the boot module and compares the index with its anchor: the hash linked into the kernel, else
 * `archive=HEX` on the command line; without either the archive is used and the log says unanchored. A
 * module that is no archive, or not the anchored one, leaves the archive empty, and the log says why. */
void archive_init(const struct boot_info *boot);

uint32_t archive_count(void);
bool archive_is_anchored(void);

/* Name of entry `index`, NUL-terminated. */
const char *archive_name(uint32_t index);

/* ST_NOT_FOUND. */
status_t archive_find(const char *name, size_t len, uint32_t *index_out);

/* The hashing of one payload, in slices. */
struct archive_check {
    uint32_t index;
    uint64_t done_bytes;
    struct sha256 state;
};

void archive_check_start(struct archive_check *check, uint32_t index);
/* Hashes the next slice; true when all is hashed (or was, by somebody, before). */
bool archive_check_slice(struct archive_check *check);
/* After that: the payload, sealed, with one ref for the caller. ST_BAD_HASH, ST_QUOTA. */
status_t archive_check_finish(struct archive_check *check, struct memory_object **out);

/* The payload when it was verified already, else NULL; one ref for the caller. */
struct memory_object *archive_opened(uint32_t index);

/* All of it at once; for the kernel's own start of init. */
status_t archive_open_now(const char *name, struct memory_object **out);

/* The boot command line as a sealed memory object; one ref. */
struct memory_object *archive_command_line(void);

#endif
