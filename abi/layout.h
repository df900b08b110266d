/* SPDX-License-Identifier: MIT */
/* Where the kernel puts things in a new address space (x86_64). Programs learn the addresses from
 * the capset page; only the linker script of programs and VirtualMemory's default range rely on
 * these. */
#ifndef CAPOS_ABI_LAYOUT_H
#define CAPOS_ABI_LAYOUT_H

#include <stdint.h>

#define CAPOS_PAGE_BYTES UINT64_C(4096)
#define CAPOS_USER_MIN UINT64_C(0x10000)            /* lowest mappable address */
#define CAPOS_USER_END UINT64_C(0x00007ffffffff000) /* one past the highest */
#define CAPOS_IMAGE_BASE UINT64_C(0x400000)
#define CAPOS_MMAP_BASE UINT64_C(0x100000000000) /* first address VirtualMemory chooses */
#define CAPOS_CAPSET_ADDRESS UINT64_C(0x7ffffe000000)
#define CAPOS_STACK_TOP UINT64_C(0x7fffff000000) /* guard pages on both sides */
#define CAPOS_STACK_START (CAPOS_STACK_TOP - 64) /* first stack and thread pointer */
#define CAPOS_RING_BASE UINT64_C(0x7fffc0000000) /* rings, 16 MiB apart */
#define CAPOS_RING_STRIDE UINT64_C(0x1000000)

#endif
