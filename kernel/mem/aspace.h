/* SPDX-License-Identifier: MIT */
/*
 * A process's address space: regions (an ordered tree) over arch_aspace.
 *
 * Regions do not overlap and are page multiples. Kinds: RESERVED (address space only; pages in it
 * may be committed: anonymous frames charged to the ledger), OBJECT (a memory object's pages),
 * KERNEL (ring, capset: user calls may not touch them), GUARD (never mapped). No page is ever
 * writable and executable, and only a sealed object is mapped executable. No demand paging.
 *
 * Every call does a bounded amount of work: at most ASPACE_MAX_PAGES pages of commit, decommit,
 * protect or map; unmap takes any reservation whose committed span is no longer than that. More is
 * ST_BAD_ARGUMENT. The span reaches from the first to the last page committed; decommitting at an end
 * shortens it by what was named, decommitting all of it empties it.
 *
 * Charges: VIRTUAL_PAGES for every region, FRAMES for committed pages, KERNEL_PAGES for tables and
 * region records. A frame stays charged until it is free.
 *
 * Whoever unmaps frames waits for arch_tlb_done before the frames are reused: unless no other CPU
 * can remember them, frames go to the address space's quarantine first, freed by a job.
 */
#ifndef CAPOS_KERNEL_MEM_ASPACE_H
#define CAPOS_KERNEL_MEM_ASPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "arch/mmu.h"
#include "core/addr.h"
#include "core/job.h"
#include "core/lock.h"
#include "gen/memory.capnp.h"
#include "lib/base/list.h"
#include "lib/base/tree.h"

struct ledger;
struct memory_object;

enum {
    ASPACE_MAX_PAGES = 1024,       /* 4 MiB: pages one call may touch */
    ASPACE_MAX_UNMAP_REGIONS = 64, /* regions one unmap may end */
    ASPACE_SMALL_FRAMES = 8,
    ASPACE_FOUND_PAGES = 8, /* a power of two */
};

/* A page that message copies found lately, so that the same buffer need not be walked to each time:
 * tag = address | ASPACE_FOUND_* bits. Forgotten whenever a page of the space is unmapped or loses a
 * right. Never a ring's page. */
enum { ASPACE_FOUND_READ = 1, ASPACE_FOUND_WRITE = 2 };
struct aspace_found {
    uint64_t tag;
    uint8_t *page; /* in the direct map */
};

/* Something unmapped that another CPU may still remember: frames or a region. First in each. */
struct aspace_held {
    struct list_node link; /* [l] in quarantine */
    uint64_t ticket;       /* [I] of arch_tlb_shoot */
    bool is_region;        /* [I] */
};

struct frame_batch {
    struct aspace_held held;
    uint32_t count;
    uint32_t capacity;
    struct paddr frames[];
};

/* A batch that needs no memory: enough for most calls. */
struct small_batch {
    struct aspace_held held;
    uint32_t count;
    uint32_t capacity;
    struct paddr frames[ASPACE_SMALL_FRAMES];
};
static_assert(offsetof(struct small_batch, frames) == offsetof(struct frame_batch, frames),
              "the small batch is a batch");

/* [I] immutable  [l] lock */
struct aspace {
    struct spinlock lock;          /* rank LOCK_ADDRESS_SPACE */
    struct arch_aspace arch;       /* [l] */
    struct ledger *ledger;         /* [I] the process's; not a ref: the process holds it */
    struct tree regions;           /* [l] by start address */
    uint64_t committed_pages;      /* [l] */
    uint64_t choose_hint;          /* [l] no free place below it was seen */
    uint64_t ring_start, ring_end; /* [l] all writable KERNEL regions lie in here */
    struct aspace_found found[ASPACE_FOUND_PAGES]; /* [l] by page number */
    struct list quarantine;                        /* [l] of struct aspace_held, by ticket */
    struct small_batch small;                      /* [l] in quarantine when count is not 0 */
    struct job job;                                /* frees the quarantine */
    bool job_queued;                               /* [l] */
    bool dying;                                    /* [l] no new mapping, no copy */
};

/* Empty space; charges its root table. ST_QUOTA changes nothing. */
status_t aspace_init(struct aspace *as, struct ledger *ledger);

/* Frees everything a bounded slice at a time: call until true. No CPU may have a thread in it. */
bool aspace_destroy_slice(struct aspace *as);

/* VirtualMemory's operations; address 0 = choose. All page multiples; statuses as in the schema.
 * A refusal changes nothing. */
status_t aspace_reserve(struct aspace *as, uint64_t address, uint64_t size_bytes, uint64_t *out);

/* The range lies in one reservation and no page of it is committed (ST_BAD_STATE). PROTECTION_NONE
 * is refused: uncommitted pages are that. */
status_t aspace_commit(struct aspace *as, uint64_t address, uint64_t size_bytes,
                       enum Protection protection);

/* The range lies in one reservation; pages that are not committed are passed over. */
status_t aspace_decommit(struct aspace *as, uint64_t address, uint64_t size_bytes);

/* The range lies in one region and all of it is mapped. Pages of an object never get a right that
 * its mapping was not made with. */
status_t aspace_protect(struct aspace *as, uint64_t address, uint64_t size_bytes,
                        enum Protection protection);

/* Maps pages of the object; takes a ref. What the caller may do with the object was checked by him.
 * ST_BAD_STATE: writable, and it is sealed. ST_NOT_SEALED: executable, and it is not. */
status_t aspace_map_object(struct aspace *as, struct memory_object *object, uint64_t address,
                           uint64_t offset_bytes, uint64_t size_bytes, enum Protection protection,
                           uint64_t *out);

/* Ends the regions in the range. ST_BAD_STATE: none is there, one reaches out of it, or one is the
 * kernel's. */
status_t aspace_unmap(struct aspace *as, uint64_t address, uint64_t size_bytes);

/* Kernel-placed pages (ring, capset): frames stay the caller's; the region is of kind KERNEL.
 * frames[i] is mapped at address + i pages. Writable ones are refused as message buffers. */
status_t aspace_map_kernel(struct aspace *as, uint64_t address, const struct paddr *frames,
                           uint32_t npages, bool writable);

/* Ends the KERNEL region that starts there (our own bug if there is none). The frames may be reused
 * when aspace_tlb_done says so of the ticket returned. */
uint64_t aspace_unmap_kernel(struct aspace *as, uint64_t address);
bool aspace_tlb_done(struct aspace *as, uint64_t ticket);

/* A hole nothing may be mapped in. */
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
