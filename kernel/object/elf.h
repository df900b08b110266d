/* SPDX-License-Identifier: MIT */
/*
 * Static ELF64 programs from sealed memory objects.
 *
 * Accepted: ET_EXEC for this machine, at most ELF_MAX_HEADERS program headers of which at most
 * ELF_MAX_SEGMENTS are PT_LOAD, no interpreter, no dynamic section, no executable stack. Segments
 * are readable, never writable and executable, lie between ARCH_USER_MIN and the range from which
 * VirtualMemory chooses, share no page, are at most 4 MiB each, and file offset and address agree
 * modulo the page. The entry lies in an executable segment. All else is ST_BAD_IMAGE.
 *
 * Read-only and executable segments are mappings of the object's own pages (a whole page may show
 * neighbouring bytes of the same image); writable ones are fresh memory.
 */
#ifndef CAPOS_KERNEL_OBJECT_ELF_H
#define CAPOS_KERNEL_OBJECT_ELF_H

#include <stdint.h>

#include "abi/types.h"

struct aspace;
struct memory_object;

enum { ELF_MAX_HEADERS = 32, ELF_MAX_SEGMENTS = 16, ELF_MAX_SEGMENT_PAGES = 1024 };

struct elf_image {
    uint64_t entry;
    uint64_t base; /* page-aligned, lowest */
    uint64_t end;  /* one past the highest, page-aligned */
};

/* Checks all of the image, then maps it into `as`, which no thread runs in yet. ST_NOT_SEALED,
 * ST_BAD_IMAGE, ST_QUOTA, ST_EXISTS (something is there already). After ST_BAD_IMAGE nothing is
 * mapped; after the others what is mapped goes with the address space. */
status_t elf_load(struct aspace *as, struct memory_object *object, struct elf_image *out);

#endif
