/* SPDX-License-Identifier: MIT */
/*
 * A process's address space: regions (an ordered tree) over arch_aspace.
 *
 * Regions do not overlap and are page multiples. Kinds: RESERVED (address space only; pages in it
 * may be committed: anonymous frames charged to the ledger), OBJECT (a memory object's pages),
 * KERNEL (ring, capset: user calls may not touch them), GUARD (never mapped). No page is ever
 * writable and executable, and only a sealed object is mapped executable. No demand paging, but for one
 * fault: a PRIVATE region shows an object's pages until they are written to, and then copies into frames
 * that were taken when it was mapped (aspace_unshare).
 *
 * Operations on pages do in one step what is little; what is more goes on in slices:
 * aspace_op_slice until true, then aspace_op_end. Meanwhile their regions are busy (ST_BUSY to others).
 * `committed` pages of a reservation lie in its span: from the first to the last page committed;
 * decommitting at an end shortens it by what was named, decommitting all of it empties it.
 *
 * Charges: VIRTUAL_PAGES for every region, FRAMES for committed pages, KERNEL_PAGES for tables and
 * region records. A frame stays charged until it is free.
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
#include "lib/base/list.h"
#include "lib/base/tree.h"
#include "object/pending.h"

struct karray;
struct grant;
struct ledger;
struct memory_object;

enum {
    ASPACE_MAX_PAGES = 1 << 18,    /* 1 GiB: pages that one call may map or change */
    ASPACE_MAX_UNMAP_REGIONS = 64, /* regions one unmap may end */
    ASPACE_FOUND_PAGES = 8,        /* a power of two */
    ASPACE_SLICE = 96,    /* budget of a slice, in looks at a page: some 8,000 instructions */
    ASPACE_AT_ONCE = 144, /* what a call may spend at once: 16 fresh pages, with their maps */
};

/* A page that message copies found lately, so that the same buffer need not be walked to each time:
 * tag = address | ASPACE_FOUND_* bits. Forgotten whenever a page of the space is unmapped or loses a
 * right. Never a ring's page. */
enum { ASPACE_FOUND_READ = 1, ASPACE_FOUND_WRITE = 2 };
struct aspace_found {
    uint64_t tag;
    uint8_t *page; /* in the direct map */
};

/* An operation on pages. It belongs to whoever runs it, a slice at a time; [l] the space's lock. */
struct aspace_op {
    struct pending pending;                                      /* when it goes on as a job */
    struct aspace *as;                                           /* [I] */
    status_t (*const *stage)(struct aspace_op *op, int *budget); /* the one it is in */
    status_t status;                                             /* of the whole */
    struct list regions;    /* [l] busy with it; work is on the first */
    struct list gone;       /* regions out of the tree, to be released */
    uint64_t start, end;    /* the pages, or those of the first region */
    uint64_t at;            /* where it is */
    uint64_t marked;        /* [at, marked) waits until all CPUs have forgotten it */
    uint64_t ticket;        /* of arch_tlb_shoot, for that */
    uint64_t pages, tables; /* charged, and not used yet */
    struct paddr chain;     /* zeroed frames for them, linked through their first words */
    uint64_t chained;       /* so many */
    uint8_t prot;           /* arch_prot bits */
    bool fresh;             /* the region was made by it */
};

/* [I] immutable  [l] lock */
struct aspace {
    struct spinlock lock;     /* rank LOCK_ADDRESS_SPACE */
    struct arch_aspace arch;  /* [l] */
    struct ledger *ledger;    /* [I] the process's; not a ref: the process holds it */
    struct tree regions;      /* [l] by start address */
    uint64_t committed_pages; /* [l] */
    uint64_t zone_start[2];   /* [I] where choosing begins: for the program, for rings */
    /* [I] what is made at the start: aspace_scatter; an image that cannot be moved says where itself */
    uint64_t image_at, capset, stack_top;
    uint64_t choose_hint[2];       /* [l] per zone: no free place below it was seen */
    uint64_t ring_start, ring_end; /* [l] all writable KERNEL regions lie in here */
    struct aspace_found found[ASPACE_FOUND_PAGES]; /* [l] by page number */
    struct aspace_op op; /* the first that is at work; others come from the ledger */
    uint32_t ops;        /* [l] at work */
    uint32_t routed;     /* [l] regions that a revocation may end */
    bool op_used;        /* [l] */
    bool dying;          /* [l] no new mapping, no copy */
};

/* Empty space; charges its root table. ST_QUOTA changes nothing. */
status_t aspace_init(struct aspace *as, struct ledger *ledger);

/* Draws the places of what will be in it from two random words; before anything is. Without it they
 * are the lowest there are. */
void aspace_scatter(struct aspace *as, const uint64_t random[2]);

/* Frees everything a bounded slice at a time: call until true. No CPU may have a thread in it. */
bool aspace_destroy_slice(struct aspace *as);

/* VirtualMemory's operations; address 0 = choose. All page multiples; statuses as in the schema.
 * A refusal changes nothing; ST_BUSY: another operation is at work there. */
status_t aspace_reserve(struct aspace *as, uint64_t address, uint64_t size_bytes, uint64_t *out);

/* With ST_PENDING there is more to do: the operation in *out must be run to its end; what it then says
 * is the result. */

/* The range lies in one reservation and no page of it is committed (ST_BAD_STATE). PROTECTION_NONE
 * is refused: uncommitted pages are that. */
status_t aspace_commit(struct aspace *as, uint64_t address, uint64_t size_bytes,
                       enum Protection protection, struct aspace_op **out);

/* The range lies in one reservation; pages that are not committed are passed over. */
status_t aspace_decommit(struct aspace *as, uint64_t address, uint64_t size_bytes,
                         struct aspace_op **out);

/* The range lies in one region and all of it is mapped. Pages of an object never get a right that
 * its mapping was not made with. */
status_t aspace_protect(struct aspace *as, uint64_t address, uint64_t size_bytes,
                        enum Protection protection, struct aspace_op **out);

/* Maps pages of the object, at *address; takes a ref of it and of the route by which the caller came
 * to it (NULL: the kernel maps). What the caller may do with the object was checked by him.
 * ST_BAD_STATE: writable, and it is sealed. ST_NOT_SEALED: executable, and it is not. */
status_t aspace_map_object(struct aspace *as, struct memory_object *object, struct grant *route,
                           uint64_t *address, uint64_t offset_bytes, uint64_t size_bytes,
                           enum Protection protection, struct aspace_op **out);

/* The same, to read and write, and what is written stays here: the object is read only, sealed or not.
 * Charges a frame for each page. */
status_t aspace_map_private(struct aspace *as, struct memory_object *object, struct grant *route,
                            uint64_t *address, uint64_t offset_bytes, uint64_t size_bytes,
                            struct aspace_op **out);

/* Somebody wants to write to these pages: those that a PRIVATE region shows get copies of their own. True:
 * try again. Cannot fail for want of anything; waits for CPUs that may remember the page as it was
 * (arch_tlb_wait), so no lock is held. */
bool aspace_unshare(struct aspace *as, uint64_t address, uint64_t size_bytes);

/* Ends the regions in the range. ST_BAD_STATE: none is there, one reaches out of it, or one is the
 * kernel's. */
status_t aspace_unmap(struct aspace *as, uint64_t address, uint64_t size_bytes,
                      struct aspace_op **out);

/* Begins to unmap the first mapping from *at on whose route is dead, as far as *budget lasts (one for
 * each region). ST_NOT_FOUND: there is none, or the space is dying. Another status: ask again. */
status_t aspace_unmap_dead(struct aspace *as, uint64_t *at, int32_t *budget,
                           struct aspace_op **out);

/* Runs until the budget (in looks at a page) is spent or it must wait for a CPU; true: it is through.
 * No lock is held. */
bool aspace_op_slice(struct aspace_op *op, int budget);
/* Gives it back; its status. */
status_t aspace_op_end(struct aspace_op *op);
/* Both in one: ST_PENDING, or the status of what is then over, and *op is NULL. Takes all of the budget. */
status_t aspace_op_go_on(struct aspace_op **op, int *budget);

/* Commits pages of a reservation for reading and writing, from *at on, as far as *budget lasts: ST_OK (up to
 * end), ST_PENDING, or what aspace_commit says. *op, NULL at first, is to be run to its end whatever happens. */
status_t aspace_commit_some(struct aspace *as, uint64_t *at, uint64_t end, struct aspace_op **op,
                            int *budget);

/* Kernel-placed pages (ring, capset): they stay the caller's; the region is of kind KERNEL. A place for
 * them comes first, *address 0 = choose among the rings; writable ones are refused as message buffers.
 * ST_QUOTA, ST_EXISTS, ST_BAD_STATE. */
status_t aspace_place_kernel(struct aspace *as, uint64_t *address, uint32_t npages, bool writable);

/* Maps the next of the pages at that place, as far as *budget lasts: ST_OK (all are mapped), ST_PENDING;
 * ST_QUOTA and ST_BAD_STATE (the space is dying) leave what is mapped. All of `pages` are filled. */
status_t aspace_map_kernel(struct aspace *as, uint64_t address, const struct karray *pages,
                           int *budget);

/* Unmaps what is mapped there (our own bug if it is no such place), the last page first, as far as *budget
 * lasts; true when nothing is left, and the place is free. The frames may be reused when aspace_tlb_done says
 * so of *ticket, which is the caller's, 0 at first. */
bool aspace_unmap_kernel(struct aspace *as, uint64_t address, uint64_t *ticket, int *budget);
bool aspace_tlb_done(struct aspace *as, uint64_t ticket);

/* A hole nothing may be mapped in. */
status_t aspace_guard(struct aspace *as, uint64_t address, uint64_t size_bytes);

/* Message copies. Any address value is safe; a range that is not wholly mapped with the right
 * (or is a device's) gives ST_BAD_ADDRESS; bytes before the bad page may have been written.
 * Lock taken inside. size at most CAPOS_MAX_MESSAGE_BYTES + 2 KiB. */
status_t aspace_read(struct aspace *as, uint64_t from, void *to, uint64_t size_bytes);
status_t aspace_write(struct aspace *as, uint64_t to, const void *from, uint64_t size_bytes);
/* A 4-aligned word, whole. ST_BAD_ADDRESS. */
status_t aspace_load_u32(struct aspace *as, uint64_t address, uint32_t *out);
/* Between two spaces (may be the same one); both locked by address order. ST_BAD_ADDRESS: the target;
 * BAD_SOURCE: the source. Only the copy itself can tell: other threads map and unmap meanwhile. */
enum { BAD_SOURCE = 2 };
status_t aspace_copy(struct aspace *to_as, uint64_t to, struct aspace *from_as, uint64_t from,
                     uint64_t size_bytes);

#endif
