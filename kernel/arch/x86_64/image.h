/* SPDX-License-Identifier: MIT */
/* Bounds that the link script defines. Only their addresses mean anything. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_IMAGE_H
#define CAPOS_KERNEL_ARCH_X86_64_IMAGE_H

#include <stdint.h>

#define KERNEL_BASE UINT64_C(0xffffffff80000000)

extern char boot_start[], boot_end[]; /* physical */
extern char kernel_start[], kernel_end[];
extern char text_start[], text_end[];
extern char entry_text_end[]; /* of the entry code, which comes first */
extern char rodata_start[], rodata_end[];
extern char data_start[], data_end[];
extern char symbols_start[], symbols_end[];
extern const uint32_t relocs_start[], relocs_end[]; /* tools/krelocs */

/* How far the image lies above where it was linked: paging.c. */
extern uint64_t kernel_slide;

static inline uint64_t image_physical(const char *symbol)
{
    return (uint64_t)(uintptr_t)symbol - KERNEL_BASE - kernel_slide;
}

#endif
