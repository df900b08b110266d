/* SPDX-License-Identifier: MIT */
/*
 * The frame pool: all RAM that is not the kernel's or firmware's. No metadata (one bit a frame in
 * debug builds); per-CPU caches so that independent CPUs seldom meet. Charging is the caller's
 * business.
 */
#ifndef CAPOS_KERNEL_MEM_FRAMES_H
#define CAPOS_KERNEL_MEM_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "abi/types.h"
#include "arch/mmu.h"
#include "arch/user.h"
#include "core/addr.h"
#include "core/boot.h"

/* Takes over all BOOT_MEMORY_FREE ranges. Metadata comes out of the largest one. Once, on the boot
 * CPU, before any allocation. */
void frames_init(const struct boot_info *boot);

/* Contiguous zeroed memory that is never given back and no longer counts as the pool's. At boot only,
 * after frames_init, on the boot CPU, before anything else allocates. */
void *frames_carve(uint64_t size_bytes);

/* One frame, contents undefined; PADDR_NONE when there is none. Any context; LOCK_FRAMES. */
struct paddr frame_alloc(void);
/* The same, zeroed. */
struct paddr frame_alloc_zeroed(void);
void frame_free(struct paddr frame);

/* FRAME_RUN frames side by side that begin at a multiple of their size, contents undefined; PADDR_NONE when there
 * is no such run: take single ones. Given back whole. */
enum { FRAME_RUN = 512 };
struct paddr frame_run_alloc(void);
void frame_run_free(struct paddr first);

/* Frames free now; a snapshot for statistics and leak checks (sums the caches). */
uint64_t frames_free_count(void);
uint64_t frames_total_count(void);

/* Frames that may be free and yet out of reach, in the caches of other CPUs: limits that promise
 * memory leave so many out. */
uint64_t frames_reserve_count(void);

/* Kernel's own view of a frame through the direct map. */
static ALWAYS_INLINE void *frame_ptr(struct paddr frame)
{
    return arch_direct(frame);
}

static ALWAYS_INLINE struct paddr frame_of_ptr(const void *ptr)
{
    return arch_direct_to_paddr(ptr);
}

static ALWAYS_INLINE void frame_zero(struct paddr frame)
{
    arch_zero_page(arch_direct(frame));
}

/* Clears the page at this kernel address with unrolled 8-byte stores: cheapest by
 * reference measurements (perf-baselines 4.3). */
void page_zero(void *page);

#endif
