/* SPDX-License-Identifier: MIT */
/* Inline halves of mmu.h: RAM is one piece of host memory. */
#ifndef CAPOS_KERNEL_ARCH_HOST_ARCH_MMU_INLINE_H
#define CAPOS_KERNEL_ARCH_HOST_ARCH_MMU_INLINE_H

/* Host address of physical address 0 (nothing lies there: RAM begins higher). */
extern uintptr_t host_direct_base;

static inline void *arch_direct(struct paddr p)
{
    return (void *)(host_direct_base + (uintptr_t)p.v);
}

static inline struct paddr arch_direct_to_paddr(const void *direct)
{
    return (struct paddr){(uint64_t)((uintptr_t)direct - host_direct_base)};
}

#endif
