/* SPDX-License-Identifier: MIT */
/*
 * Address spaces and the direct map.
 *
 * The caller locks: at most one CPU at a time calls the changing functions of one address space;
 * arch_translate needs that lock, too. Order of work that never fails half-way:
 *   prepare (may be refused for want of table pages, then nothing is mapped), then map (cannot
 *   fail), ... then unmap or protect, then one arch_tlb_shoot for the range; the frames may be
 *   reused when arch_tlb_done says so.
 */
#ifndef CAPOS_KERNEL_ARCH_MMU_H
#define CAPOS_KERNEL_ARCH_MMU_H

#include "arch/cpu.h"
#include "arch_types.h"
#include "core/addr.h"
#include "lib/base/compiler.h"

enum arch_prot {
    ARCH_PROT_READ = 0, /* every mapping is readable by user code */
    ARCH_PROT_WRITE = 1,
    ARCH_PROT_EXECUTE = 2,  /* never together with WRITE */
    ARCH_PROT_UNCACHED = 4, /* device registers */
    ARCH_PROT_COPY = 8,     /* not writable, and marked: a write to it is answered with a copy */
};

#define ARCH_USER_MIN UINT64_C(0x10000)
#define ARCH_USER_END UINT64_C(0x00007ffffffff000) /* one past the last mappable byte */

/* [start, start + size) lies in the user range; size 0 is fine anywhere in it. */
static inline bool arch_user_range_ok(struct uaddr start, uint64_t size_bytes)
{
    return start.v >= ARCH_USER_MIN && start.v <= ARCH_USER_END &&
           size_bytes <= ARCH_USER_END - start.v;
}

/* Direct map: every byte of RAM in boot_info, writable (the kernel's own text and constants read-
 * only), never executable. */
static inline void *arch_direct(struct paddr p);
static inline struct paddr arch_direct_to_paddr(const void *direct);

/* Takes one page for a page table, zeroed by the callee; PADDR_NONE = there is none. */
typedef struct paddr (*arch_table_take_fn)(void *context);
typedef void (*arch_table_give_fn)(void *context, struct paddr table);

/* Makes an empty address space; the caller gives one zeroed page for its root, which
 * arch_aspace_destroy gives back. Cannot fail. */
void arch_aspace_init(struct arch_aspace *as, struct paddr root);

/* Gives back every table page, the root last. No CPU may have it loaded (arch_aspace_unload). What
 * is still mapped is forgotten; the frames are the caller's affair. At most `max_tables` are given
 * back per call; true when all are gone. */
MUST_CHECK bool arch_aspace_destroy(struct arch_aspace *as, size_t max_tables,
                                    arch_table_give_fn give, void *context);

/* Makes CPUs that have it loaded without running a thread of it let go. True: none has it loaded.
 * False: asked them, try again later. */
MUST_CHECK bool arch_aspace_unload(struct arch_aspace *as);

/* Table pages that mapping these pages would add. The range is a user range. */
size_t arch_map_missing(const struct arch_aspace *as, struct uaddr start, size_t npages);

/* Adds the table pages for the range. False: `take` had none; those already added stay (they are
 * used by a later prepare, and given back by destroy). */
MUST_CHECK bool arch_map_prepare(struct arch_aspace *as, struct uaddr start, size_t npages,
                                 arch_table_take_fn take, void *context);

/* Maps one page, prepared, not mapped now. prot: enum arch_prot bits. */
void arch_map_page(struct arch_aspace *as, struct uaddr page, struct paddr frame, unsigned prot);

/* The place of one small page in its table, so that the walk is made once: good as long as the space is locked. NULL:
 * a table is missing. */
struct arch_leaf;
struct arch_leaf *arch_leaf(const struct arch_aspace *as, struct uaddr page);
/* As arch_map_page, arch_hide_page (the frame; PADDR_NONE: nothing was mapped) and arch_unmap_page. */
void arch_leaf_map(struct arch_leaf *leaf, struct paddr frame, unsigned prot);
struct paddr arch_leaf_hide(struct arch_leaf *leaf);
void arch_leaf_clear(struct arch_leaf *leaf);

/* Large pages: ARCH_LARGE_BYTES mapped by one entry, page and frame at multiples of that. Only the functions that
 * say so work on one; to the others, but for arch_translate, arch_page_state and arch_next_mapped, it is not mapped. */
#define ARCH_LARGE_BYTES (UINT64_C(1) << 21)

/* Takes the tables above it. False: there is a table of small pages in its place, or `take` had none. */
MUST_CHECK bool arch_map_large(struct arch_aspace *as, struct uaddr page, struct paddr frame,
                               unsigned prot, arch_table_take_fn take, void *context);
/* The address lies in one. */
bool arch_is_large(const struct arch_aspace *as, struct uaddr address);
/* Of one: unmaps it, changes its rights, or makes small pages of it with a table from `take`, which has one. */
void arch_unmap_large(struct arch_aspace *as, struct uaddr page);
void arch_protect_large(struct arch_aspace *as, struct uaddr page, unsigned prot);
void arch_split_large(struct arch_aspace *as, struct uaddr page, arch_table_take_fn take,
                      void *context);

/* Unmaps one page but keeps its frame in the entry, for arch_unmap_page. False: nothing was mapped.
 * Not yet forgotten by any TLB: arch_tlb_shoot. */
bool arch_hide_page(struct arch_aspace *as, struct uaddr page);

/* The first page in [page, end) that is mapped or hidden; or `end`, or any page before it: the search
 * passes over missing tables, but looks at a few entries only. Greater than `page` when nothing is
 * there. */
struct uaddr arch_next_mapped(const struct arch_aspace *as, struct uaddr page, struct uaddr end);

/* Unmaps one page, mapped or hidden, and returns its frame; PADDR_NONE when there is none. Not yet
 * forgotten by any TLB: arch_tlb_shoot. */
struct paddr arch_unmap_page(struct arch_aspace *as, struct uaddr page);

/* Gives a mapped page another frame and rights, in one store: no CPU finds it missing meanwhile. The
 * old frame is not forgotten by any TLB: arch_tlb_shoot. */
void arch_replace_page(struct arch_aspace *as, struct uaddr page, struct paddr frame,
                       unsigned prot);

/* Changes the rights of a mapped page. False: not mapped. Lost rights need arch_tlb_shoot. */
bool arch_protect_page(struct arch_aspace *as, struct uaddr page, unsigned prot);

/* The physical address behind a user address. False: not in the user range, not mapped, or
 * need_write and not writable. */
MUST_CHECK bool arch_translate(const struct arch_aspace *as, struct uaddr address, bool need_write,
                               struct paddr *out);

/* Rights and dirty bit of a page; false: not mapped. For diagnosis. */
bool arch_page_state(const struct arch_aspace *as, struct uaddr page, unsigned *prot_out,
                     bool *dirty_out);

/* After unmap or protect: forgets the range here, at once, and asks every other CPU that has `as`
 * loaded to do so. Returns a ticket, 0 when it is done already. Never waits. Large npages forget everything. */
uint64_t arch_tlb_shoot(struct arch_aspace *as, struct uaddr start, size_t npages);

/* True when every CPU has forgotten what was removed before arch_tlb_shoot returned `ticket`. */
bool arch_tlb_done(const struct arch_aspace *as, uint64_t ticket);

/* Waits for that, forgetting what others ask for meanwhile. No lock is held; the others obey before they
 * leave the kernel, or at once. */
void arch_tlb_wait(const struct arch_aspace *as, uint64_t ticket);

/* CPUs that have `as` loaded at this moment. */
arch_cpu_mask_t arch_aspace_cpus(const struct arch_aspace *as);

#include "arch_mmu_inline.h"

#endif
