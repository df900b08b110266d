/* SPDX-License-Identifier: MIT */
/* Boot-time view of memory: what firmware said, and a page allocator that lives until kernel_main. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_BOOTMEM_H
#define CAPOS_KERNEL_ARCH_X86_64_BOOTMEM_H

#include "core/boot.h"
#include "lib/base/compiler.h"

/* Addresses at or above this are never used, whatever firmware says. */
#define PHYSICAL_MAX (UINT64_C(1) << 44)

/* The one boot_info, being filled. */
extern struct boot_info boot_information;

/* Pointer to boot-loader data through the boot tables' identity map; NULL unless [base, base + size)
 * is not empty, not at 0 and below 4 GiB. Only before paging_start. */
const void *boot_pointer(uint64_t base, uint64_t size_bytes);

/* Notes a range. Overlaps are settled by the later of FREE, KERNEL, MODULE, ACPI, RESERVED. Ranges
 * beyond PHYSICAL_MAX are cut, and those beyond the table's capacity are left out when FREE. */
void boot_memory_add(uint64_t base, uint64_t size_bytes, enum boot_memory_kind kind);

/* Rebuilds boot_information.memory from the noted ranges: sorted, disjoint, whole pages. */
void boot_memory_normalise(void);

/* Chooses where boot_page_take takes from. False: no usable memory. */
MUST_CHECK bool boot_pages_start(void);

/* `count` contiguous zeroed pages below 4 GiB; panics when there are none (a machine too small). */
struct paddr boot_pages_take(size_t count);

/* One page below 1 MiB for starting CPUs; PADDR_NONE = none. */
struct paddr boot_low_page_take(void);

/* Takes the boot part's own memory off the kernel's, adds what was taken, normalises for good. */
void boot_memory_finish(void);

/* Copies loader text: bounded, NUL-terminated, control bytes made blanks. True when it was cut. */
bool boot_copy_text(char *to, size_t size, const char *from, size_t from_max);

/* Notes a module; the first not empty one is the boot archive. */
void boot_module_add(uint64_t base, uint64_t size_bytes);

/* Keeps a copy of an RSDP (the loader's copy is in memory that will be reused); where it is now. */
struct paddr boot_rsdp_keep(const char *bytes, size_t size_bytes);

/* True once any memory was noted. */
bool boot_memory_noted(void);

/* Parsers of what the loader left; false: not what it claims to be. */
MUST_CHECK bool pvh_parse(uint64_t information);
MUST_CHECK bool multiboot2_parse(uint64_t information);

#endif
