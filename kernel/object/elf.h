/* SPDX-License-Identifier: MIT */
/*
 * Static ELF64 programs from sealed memory objects.
 *
 * Accepted: ET_EXEC and ET_DYN for this machine; the latter is placed where the space drew its image,
 * and relocates itself (it alone may have a dynamic section). At most ELF_MAX_HEADERS program headers of which at most
 * ELF_MAX_SEGMENTS are PT_LOAD, no interpreter, no executable stack. Segments
 * are readable, never writable and executable, lie between ARCH_USER_MIN and the range from which
 * VirtualMemory chooses (of one that moves: below ELF_MAX_SPAN), share no page, are at most 4 MiB each, and file offset and address agree
 * modulo the page. The entry lies in an executable segment. All else is ST_BAD_IMAGE.
 *
 * Read-only and executable segments are mappings of the object's own pages (a whole page may show
 * neighbouring bytes of the same image); writable ones are fresh memory.
 */
#ifndef CAPOS_KERNEL_OBJECT_ELF_H
#define CAPOS_KERNEL_OBJECT_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "gen/memory.capnp.h"

struct aspace;
struct aspace_op;
struct memory_object;

/* Of one that moves: from 0 to its end. */
#define ELF_MAX_SPAN (UINT64_C(1) << 40)

enum { ELF_MAX_HEADERS = 32, ELF_MAX_SEGMENTS = 16, ELF_MAX_SEGMENT_PAGES = 1024 };

struct elf_image {
    uint64_t entry;
    uint64_t base; /* page-aligned, lowest */
    uint64_t end;  /* one past the highest, page-aligned */
};

/* One PT_LOAD, checked. */
struct elf_segment {
    uint64_t start; /* page-aligned, of the mapping */
    uint64_t end;
    uint64_t address; /* exact */
    uint64_t offset;  /* exact */
    uint64_t file_bytes;
    enum Protection protection;
};

/* A load under way. */
struct elf_load {
    struct elf_image image;
    struct elf_segment segments[ELF_MAX_SEGMENTS];
    unsigned count, at; /* at: the segment that is being mapped */
    bool moves, placed; /* it is position-independent; its addresses are those of the space */
    uint8_t step;       /* of a writable one: reserve, commit, copy */
    uint64_t done;      /* address to commit next; then bytes copied */
    struct aspace_op
        *op; /* under way: to be run to its end whatever becomes of the load; else NULL */
};

/* Checks all of the image. ST_NOT_SEALED, ST_BAD_IMAGE. */
status_t elf_begin(struct memory_object *object, struct elf_load *load);

/* Maps it into `as`, which no thread runs in yet, as far as *budget lasts: ST_OK, ST_PENDING, ST_QUOTA, ST_EXISTS
 * (something is there already). What is mapped then goes with the address space. */
status_t elf_load_slice(struct aspace *as, struct memory_object *object, struct elf_load *load,
                        int *budget);

#endif
