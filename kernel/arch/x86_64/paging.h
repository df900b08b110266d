/* SPDX-License-Identifier: MIT */
/*
 * Page tables: entry bits, the kernel's own half, the map of it.
 *
 *   0xffff800000000000 + seed   direct map of RAM (base x86_direct_base)
 *   0xffffa00000000000          one slot per CPU: stacks between guard pages, the CPU's block
 *   0xffffb00000000000          device registers and firmware tables
 *   0xffffffff80000000 + slide  the kernel image
 *
 * The upper 256 root entries are complete before the first user address space is made, and never
 * change, so each root copies them once.
 */
#ifndef CAPOS_KERNEL_ARCH_X86_64_PAGING_H
#define CAPOS_KERNEL_ARCH_X86_64_PAGING_H

#include "core/addr.h"
#include "lib/base/compiler.h"

#define PTE_PRESENT (UINT64_C(1) << 0)
#define PTE_WRITE (UINT64_C(1) << 1)
#define PTE_USER (UINT64_C(1) << 2)
#define PTE_WRITE_THROUGH (UINT64_C(1) << 3)
#define PTE_CACHE_OFF (UINT64_C(1) << 4)
#define PTE_DIRTY (UINT64_C(1) << 6)
#define PTE_LARGE (UINT64_C(1) << 7)
#define PTE_GLOBAL (UINT64_C(1) << 8)
#define PTE_HIDDEN (UINT64_C(1) << 9) /* ours */
#define PTE_COPY (UINT64_C(1) << 10)  /* ours */
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

#define DIRECT_MAP_START UINT64_C(0xffff800000000000)
#define CPU_REGION_START UINT64_C(0xffffa00000000000)
#define DEVICE_REGION_START UINT64_C(0xffffb00000000000)

enum { TABLE_ENTRIES = 512, KERNEL_ROOT_FIRST = 256 };

/* The root that has the kernel's half only. */
extern struct paddr kernel_root;

/* The upper half of every user_root; PADDR_NONE without page-table isolation. */
extern struct paddr pti_root;

/* PTE_NX where the processor has it, else 0. */
extern uint64_t pte_nx;

/* Where the image shall lie: so many bytes above where it was linked. */
uint64_t paging_slide(uint64_t seed);

/* Builds the kernel's half from boot_information, seeds the direct map, moves the image, loads it. After
 * this the boot tables, and with them the identity map, are gone, and every address of the image that is
 * taken is that of the moved one. This CPU still runs where it was linked, until it leaves its stack. */
void paging_start(uint64_t seed, uint64_t slide);

/* Takes away the image where it was linked. This CPU has left it; no other one was there. */
void paging_end_linked(void);

/* Maps kernel pages; tables from boot_pages_take. flags: PTE bits besides PRESENT. */
void paging_map_kernel(uint64_t virtual, struct paddr physical, uint64_t size_bytes,
                       uint64_t flags);

/* A kernel address for device registers or firmware tables; stays for ever. RAM is returned as the
 * direct map has it. NULL: not a sane range. Boot only. */
void *paging_window(uint64_t physical, uint64_t size_bytes, bool cached);

#endif
