/* SPDX-License-Identifier: MIT */
/*
 * A process's address space: regions (an ordered tree) over arch_aspace.
 *
 * Regions do not overlap and are page multiples. Kinds: RESERVED (address space only; pages in it
 * may be committed: anonymous frames charged to the ledger), OBJECT (a memory object's pages),
 * KERNEL (ring, capset, guard: user calls may not touch them). No page is ever writable and
 * executable. No demand paging.
 *
 * Whoever unmaps frames waits for arch_tlb_done before the frames are reused: frames go to the
 * address space's quarantine list first, freed by a job (core/job.h).
 */
#ifndef CAPOS_KERNEL_MEM_ASPACE_H
#define CAPOS_KERNEL_MEM_ASPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "arch/mmu.h"
#include "core/addr.h"
#include "core/lock.h"
#include "gen/memory.capnp.h"
#include "lib/base/tree.h"

struct ledger;
struct memory_object;

/* [I] immutable  [l] lock */
struct aspace {
    struct spinlock lock;         /* rank LOCK_ADDRESS_SPACE */
    struct arch_aspace arch;      /* [l] */
    struct ledger *ledger;        /* [I] the process's; not a ref: the process holds it */
    struct tree regions;          /* [l] by start address */
    uint64_t committed_pages;     /* [l] */
    /* K2: further fields (quarantine, choose hint, teardown cursor) here */
    struct list quarantine;       /* [l] unmapped frames waiting for the TLB ticket */
    uint64_t choose_hint;         /* [l] */
    bool dying;                   /* [l] no new mapping */
};

/* Empty space; charges its root table. ST_QUOTA changes nothing. */
status_t aspace_init(struct aspace *as, struct ledger *ledger);

/* Frees everything a bounded slice at a time: call until true. No CPU may have a thread in it. */
bool aspace_destroy_slice(struct aspace *as);

/* VirtualMemory's operations; address 0 = choose. All page multiples; statuses as in the schema. */
status_t aspace_reserve(struct aspace *as, uint64_t address, uint64_t size_bytes, uint64_t *out);
status_t aspace_commit(struct aspace *as, uint64_t address, uint64_t size_bytes,
                       enum Protection protection);
status_t aspace_decommit(struct aspace *as, uint64_t address, uint64_t size_bytes);
status_t aspace_protect(struct aspace *as, uint64_t address, uint64_t size_bytes,
                        enum Protection protection);
status_t aspace_map_object(struct aspace *as, struct memory_object *object, uint64_t address,
                           uint64_t offset_bytes, uint64_t size_bytes, enum Protection protection,
                           uint64_t *out);
status_t aspace_unmap(struct aspace *as, uint64_t address, uint64_t size_bytes);

/* Kernel-placed pages (ring, capset): frames stay the caller's; the region is of kind KERNEL.
 * frames[i] is mapped at address + i pages. */
status_t aspace_map_kernel(struct aspace *as, uint64_t address, const struct paddr *frames,
                           uint32_t npages, bool writable);
/* A hole nothing may be mapped in (guard). */
status_t aspace_guard(struct aspace *as, uint64_t address, uint64_t size_bytes);

/* Message copies. Any address value is safe; a range that is not wholly mapped with the right
 * (or is a device's) gives ST_BAD_ADDRESS; bytes before the bad page may have been written.
 * Lock taken inside. size at most CAPOS_MAX_MESSAGE_BYTES + 2 KiB. */
status_t aspace_read(struct aspace *as, uint64_t from, void *to, uint64_t size_bytes);
status_t aspace_write(struct aspace *as, uint64_t to, const void *from, uint64_t size_bytes);
/* Between two spaces (may be the same one); both locked by address order. */
status_t aspace_copy(struct aspace *to_as, uint64_t to, struct aspace *from_as, uint64_t from,
                     uint64_t size_bytes);

#endif
