/* SPDX-License-Identifier: MIT */
/* Inline halves of mmu.h. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_ARCH_MMU_INLINE_H
#define CAPOS_KERNEL_ARCH_X86_64_ARCH_MMU_INLINE_H

#include "core/addr.h"

/* Set once at boot, before the portable kernel runs. */
extern uint64_t x86_direct_base;

static inline void *arch_direct(struct paddr p)
{
    return (void *)(uintptr_t)(x86_direct_base + p.v);
}

static inline struct paddr arch_direct_to_paddr(const void *direct)
{
    return (struct paddr){(uint64_t)(uintptr_t)direct - x86_direct_base};
}

#endif
