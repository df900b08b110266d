/* SPDX-License-Identifier: MIT */
/*
 * What the machine-dependent start-up hands to the portable kernel, once, on the boot CPU. All of
 * it comes from firmware or a boot loader; the producer has checked, bounded and normalised it, so
 * the reader may rely on what is written here.
 */
#ifndef CAPOS_KERNEL_CORE_BOOT_H
#define CAPOS_KERNEL_CORE_BOOT_H

#include "core/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BOOT_MEMORY_MAX = 128,
    BOOT_COMMAND_LINE_BYTES = 1024,
    BOOT_LOADER_NAME_BYTES = 64,
};

enum boot_memory_kind {
    BOOT_MEMORY_FREE,     /* RAM that nobody uses: the frame pool's */
    BOOT_MEMORY_KERNEL,   /* RAM that holds the kernel image, its tables, stacks, boot data: kept */
    BOOT_MEMORY_MODULE,   /* RAM that holds the boot module: read-only as long as it is used */
    BOOT_MEMORY_ACPI,     /* ACPI tables (reclaimable or NVS): RAM, kept */
    BOOT_MEMORY_RESERVED, /* the firmware said so; anything that is in no region is unknown */
};

/* Page-aligned, not empty. */
struct boot_memory {
    struct paddr base;
    uint64_t size_bytes;
    enum boot_memory_kind kind;
};

/* A range of the RAM that the direct map covers, read-only by agreement. size_bytes 0 = none. */
struct boot_module {
    struct paddr base; /* page-aligned */
    uint64_t size_bytes;
};

struct boot_info {
    struct boot_memory memory[BOOT_MEMORY_MAX]; /* sorted by base, disjoint, neighbours merged */
    size_t memory_count;
    uint64_t ram_bytes;        /* sum of FREE, KERNEL, MODULE and ACPI */
    struct paddr ram_end;      /* one past the highest byte of those */
    struct boot_module module; /* the boot archive; the first one, when the loader passed several */
    unsigned modules_ignored;
    struct paddr rsdp;        /* PADDR_NONE when not found */
    uint64_t entropy_seed[4]; /* boot-time hardware randomness for the entropy pool, or zeros */
    bool entropy_strong;      /* the seed came from RDSEED or RDRAND */
    char command_line[BOOT_COMMAND_LINE_BYTES]; /* NUL-terminated, control bytes made blanks */
    bool command_line_cut;                      /* it was longer */
    char loader_name[BOOT_LOADER_NAME_BYTES];   /* NUL-terminated, printable */
};

#endif
