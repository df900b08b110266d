/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of number that are not pointers. Mixing them is a compile error.
 *
 * A uaddr is what user space says; nothing is known about it. Only arch_copy_from_user,
 * arch_copy_to_user and arch_translate turn it into data.
 */
#ifndef CAPOS_KERNEL_CORE_ADDR_H
#define CAPOS_KERNEL_CORE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

enum { PAGE_SHIFT = 12, PAGE_BYTES = 1 << PAGE_SHIFT };

/* Physical address. PADDR_NONE is never the address of a frame. */
struct paddr {
    uint64_t v;
};

/* User virtual address, in the address space that the context names. */
struct uaddr {
    uint64_t v;
};

#define PADDR_NONE ((struct paddr){UINT64_MAX})

static inline struct paddr paddr(uint64_t v)
{
    return (struct paddr){v};
}

static inline struct uaddr uaddr(uint64_t v)
{
    return (struct uaddr){v};
}

static inline bool paddr_is_none(struct paddr p)
{
    return p.v == UINT64_MAX;
}

static inline uint64_t page_floor(uint64_t v)
{
    return v & ~(uint64_t)(PAGE_BYTES - 1);
}

/* Wraps to 0 in the last page of the 64-bit range: check the range first. */
static inline uint64_t page_ceil(uint64_t v)
{
    return page_floor(v + PAGE_BYTES - 1);
}

static inline bool page_aligned(uint64_t v)
{
    return (v & (PAGE_BYTES - 1)) == 0;
}

#endif
