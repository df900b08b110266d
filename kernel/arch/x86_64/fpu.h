/* SPDX-License-Identifier: MIT */
/*
 * Extended register state: everything beyond the general registers.
 *
 * Saving and restoring are on the switch path, so they are inline and without branches: the three
 * instruction pairs (FXSAVE, XSAVE, XSAVEOPT and their counterparts) differ in one byte, which boot
 * patches at every site listed in .fpu_sites. Unpatched they are FXSAVE64 and FXRSTOR64, which every
 * processor has and which ignore the component mask.
 */
#ifndef CAPOS_KERNEL_ARCH_X86_64_FPU_H
#define CAPOS_KERNEL_ARCH_X86_64_FPU_H

#include "lib/base/compiler.h"

/* XSAVE components in use; below 2^32, since none above is wanted. */
extern uint32_t fpu_components;
enum { FPU_COMPONENT_AVX = 1 << 2 };

/* Decides which components are used and how large the area is, patches the sites. Boot CPU, after
 * features_enable, before paging_start. */
void fpu_setup(void);

/* Switches the components on. Each CPU, after features_enable. */
void fpu_enable(void);

void fpu_init(void *area);

static ALWAYS_INLINE void fpu_save(void *area)
{
    __asm__ volatile("1: fxsave64 (%0)\n\t"
                     ".pushsection .fpu_sites, \"a\"\n\t"
                     ".quad 1b + 3, 0\n\t" /* the byte to patch; 0 = a save */
                     ".popsection"
                     :
                     : "D"(area), "a"(fpu_components), "d"(0)
                     : "memory");
}

static ALWAYS_INLINE void fpu_restore(const void *area)
{
    __asm__ volatile("1: fxrstor64 (%0)\n\t"
                     ".pushsection .fpu_sites, \"a\"\n\t"
                     ".quad 1b + 3, 1\n\t"
                     ".popsection"
                     :
                     : "D"(area), "a"(fpu_components), "d"(0)
                     : "memory");
}

#endif
