/* SPDX-License-Identifier: MIT */
/* Where the kernel puts things in a new address space (x86_64). Each process gets places of its own,
 * drawn at its making; it learns them from its registers and the capset page. What is here is the bounds
 * that hold for all. */
#ifndef CAPOS_ABI_LAYOUT_H
#define CAPOS_ABI_LAYOUT_H

#include <stdint.h>

#define CAPOS_PAGE_BYTES UINT64_C(4096)
#define CAPOS_USER_MIN UINT64_C(0x10000)            /* lowest mappable address */
#define CAPOS_USER_END UINT64_C(0x00007ffffffff000) /* one past the highest */
#define CAPOS_IMAGE_BASE UINT64_C(0x400000)
#define CAPOS_MMAP_BASE UINT64_C(0x100000000000) /* VirtualMemory chooses from here or higher */
#define CAPOS_HOME_BASE UINT64_C(0x600000000000) /* capset, first stack, rings: here or higher */
#define CAPOS_STACK_ROOM 64 /* bytes between the first stack pointer and the stack's end */

#endif
