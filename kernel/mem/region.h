/* SPDX-License-Identifier: MIT */
/* Regions, and what the files of the address space share. Nobody else includes this. */
#ifndef CAPOS_KERNEL_MEM_REGION_H
#define CAPOS_KERNEL_MEM_REGION_H

#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "mem/aspace.h"
#include "mem/frames.h"

struct grant;

enum region_kind {
    REGION_RESERVED,
    REGION_OBJECT,
    REGION_PRIVATE,
    REGION_KERNEL,
    REGION_GUARD,
};

/* All [l], the address space's lock. */
struct region {
    struct tree_node node; /* key = start */
    uint64_t end;
    struct list_node link; /* of the one operation that works on it: it is busy while linked */
    uint64_t committed;    /* RESERVED, PRIVATE: pages that are mapped, each with a frame of ours;
                            * KERNEL: its first so many are mapped */
    union {
        struct { /* RESERVED: all committed pages lie in here */
            uint64_t span_start, span_end;
        };
        struct { /* OBJECT, PRIVATE: a ref of it and a mapping count */
            struct memory_object *object;
            uint64_t first_page; /* of the object */
            struct grant *route; /* by which it was mapped, a ref; NULL: the kernel mapped it */
            /* PRIVATE: the frames of pages that show the object's, linked through their first words;
             * and who must have forgotten those before a copy is written to: arch_tlb_shoot */
            struct paddr spare;
            uint64_t ticket;
            uint64_t emptied; /* up to here, when the space is destroyed */
        };
    };
    uint8_t kind;
    uint8_t rights; /* OBJECT, KERNEL: arch_prot bits it was mapped with */
};
static_assert(sizeof(struct region) <= 128, "two cache lines");

static inline struct region *region_of_node(struct tree_node *node)
{
    return node != NULL ? CONTAINER_OF(node, struct region, node) : NULL;
}

/* Mapped by a capability: it goes when that is revoked. */
static inline bool region_is_routed(const struct region *region)
{
    return (region->kind == REGION_OBJECT || region->kind == REGION_PRIVATE) &&
           region->route != NULL;
}

/* Mapped pages whose frames go with them. */
static inline uint64_t region_own_pages(const struct region *region)
{
    bool own = region->kind == REGION_RESERVED || region->kind == REGION_PRIVATE;
    return own ? region->committed : 0;
}

static inline bool region_writes_object(enum region_kind kind, unsigned prot)
{
    return kind == REGION_OBJECT && (prot & ARCH_PROT_WRITE) != 0;
}

static inline uint64_t object_page(const struct region *region, uint64_t address)
{
    return region->first_page + ((address - region->node.key) >> PAGE_SHIFT);
}

static inline uint64_t region_start(const struct region *region)
{
    return region->node.key;
}

static inline uint64_t region_pages(const struct region *region)
{
    return (region->end - region->node.key) >> PAGE_SHIFT;
}

/* Size not 0, page multiples, in the user range. */
static ALWAYS_INLINE bool range_ok(uint64_t address, uint64_t size_bytes)
{
    return size_bytes != 0 && page_aligned(address | size_bytes) &&
           arch_user_range_ok(uaddr(address), size_bytes);
}

/* arch_prot bits of a protection; false: not one that pages can have. */
bool protection_bits(enum Protection protection, unsigned *bits_out);

/* The lock is held in all of these. */

/* Before a page is unmapped or loses a right: copies walk to their pages anew. */
static inline void found_forget(struct aspace *as)
{
    for (unsigned i = 0; i < ASPACE_FOUND_PAGES; i++) {
        as->found[i].tag = 0;
    }
}

/* First region that has a page in the range; NULL: the range is free. */
struct region *region_overlapping(struct aspace *as, uint64_t start, uint64_t end);

/* The region that holds the whole range; NULL when there is none. */
static inline struct region *region_holding(struct aspace *as, uint64_t start, uint64_t end)
{
    struct region *region = region_of_node(tree_at_or_below(&as->regions, start));
    return region != NULL && region->end >= end ? region : NULL;
}

/* ST_OK: the range is free; *address 0: a place was chosen. ST_EXISTS, ST_BAD_STATE (dying). */
enum zone { ZONE_PROGRAM, ZONE_RINGS };
status_t region_place(struct aspace *as, enum zone zone, uint64_t *address, uint64_t size_bytes);

/* A charged region that is in no tree yet, for `pages` pages. No lock needed. NULL: quota. */
struct region *region_new(struct aspace *as, enum region_kind kind, uint64_t pages);
void region_discard(struct aspace *as, struct region *region, uint64_t pages);

void region_insert(struct aspace *as, struct region *region, uint64_t start, uint64_t end);

/* Out of the tree; its virtual pages are refunded. */
void region_remove(struct aspace *as, struct region *region);

/* Drops the object of an OBJECT or PRIVATE region and frees the record. No lock held. */
void region_release(struct region *region);

/* Frames that wait to be used, linked through their first words; those are zero again afterwards. */
static inline void frame_push(struct paddr *chain, struct paddr frame)
{
    *(struct paddr *)frame_ptr(frame) = *chain;
    *chain = frame;
}

static inline struct paddr frame_pop(struct paddr *chain)
{
    struct paddr frame = *chain;
    struct paddr *link = frame_ptr(frame);
    *chain = *link;
    link->v = 0;
    return frame;
}

/* A page of a PRIVATE region: shows the object's frame. Any address in it. */
bool region_shows_object(const struct region *region, uint64_t address, struct paddr frame);

/* What the entry of such a page gets so that the program has these rights: unless it can be written to
 * now, it is to be copied first (aspace_unshare). */
unsigned private_prot(struct aspace *as, uint64_t address, unsigned prot);

/* Takes out what is mapped or hidden in [at, end), at most *budget looks, and frees what is the
 * region's own; returns where it stopped. */
uint64_t region_empty(struct aspace *as, struct region *region, uint64_t at, uint64_t end,
                      int *budget);

/* Hides pages of [start, end), at most *budget looks, and asks the CPUs to forget them: *ticket. Returns where
 * it stopped; `end` when there is nothing more. */
uint64_t region_hide(struct aspace *as, const struct region *region, uint64_t start, uint64_t end,
                     int *budget, uint64_t *ticket);

/* The span of committed pages, before these are counted, or after they are no more. */
static inline void span_grow(struct region *region, uint64_t start, uint64_t end)
{
    if (region->committed == 0) {
        region->span_start = start;
        region->span_end = end;
    } else {
        region->span_start = min_u64(region->span_start, start);
        region->span_end = max_u64(region->span_end, end);
    }
}

static inline void span_shrink(struct region *region, uint64_t start, uint64_t end)
{
    if (region->committed == 0) {
        region->span_start = region->span_end = region_start(region);
    } else if (start <= region->span_start && end > region->span_start) {
        region->span_start = end;
    } else if (end >= region->span_end && start < region->span_end) {
        region->span_end = start;
    }
}

/* One stage of an operation: ST_PENDING when there is more to do. The lock is held. */
typedef status_t (*aspace_stage)(struct aspace_op *op, int *budget);
extern const aspace_stage commit_stages[], decommit_stages[], protect_stages[], map_stages[],
    unmap_stages[];

/* A new operation, with its stages; NULL: quota. The lock is held. */
struct aspace_op *aspace_op_new(struct aspace *as, const aspace_stage *stages, uint64_t start,
                                uint64_t end);

/* Runs what began with ST_OK as far as one step goes, and gives the lock back: the result, or
 * ST_PENDING. */
status_t aspace_op_go(struct aspace *as, status_t begun, struct aspace_op **op);

#endif
