/* SPDX-License-Identifier: MIT */
/* For assembly: a place for STAC or CLAC. processor.c writes the instruction where there is SMAP; it
 * stays a NOP elsewhere. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_SMAP_H
#define CAPOS_KERNEL_ARCH_X86_64_SMAP_H

#ifdef __ASSEMBLER__
    .macro SMAP_SITE clear
.Lsite\@:
    .byte 0x0f, 0x1f, 0x00
    .pushsection .smap_sites, "a"
    .quad .Lsite\@, \clear
    .popsection
    .endm

#define SMAP_OPEN SMAP_SITE 0
#define SMAP_CLOSE SMAP_SITE 1
#endif

#endif
