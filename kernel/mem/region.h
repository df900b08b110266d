/* SPDX-License-Identifier: MIT */
/* Regions, and what the files of the address space share. Nobody else includes this. */
#ifndef CAPOS_KERNEL_MEM_REGION_H
#define CAPOS_KERNEL_MEM_REGION_H

#include "gen/status.capnp.h"
#include "mem/aspace.h"

enum region_kind { REGION_RESERVED, REGION_OBJECT, REGION_KERNEL, REGION_GUARD };

/* All [l], the address space's lock. */
struct region {
    struct aspace_held held; /* once unmapped; must be first */
    struct tree_node node;   /* key = start */
    uint64_t end;
    uint64_t span_start; /* RESERVED: all committed pages lie in the span */
    uint64_t span_end;
    uint64_t committed;           /* RESERVED: pages */
    struct memory_object *object; /* OBJECT: a ref and a mapping count */
    uint8_t kind;
    uint8_t rights; /* OBJECT, KERNEL: arch_prot bits it was mapped with */
};
static_assert(sizeof(struct region) <= 128, "two cache lines");

static inline struct region *region_of_node(struct tree_node *node)
{
    return node != NULL ? CONTAINER_OF(node, struct region, node) : NULL;
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
bool range_ok(uint64_t address, uint64_t size_bytes);

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
struct region *region_holding(struct aspace *as, uint64_t start, uint64_t end);

/* Picks a place; false: there is none. */
bool region_choose(struct aspace *as, uint64_t size_bytes, uint64_t *out);

/* A charged region that is in no tree yet, for `pages` pages. No lock needed. NULL: quota. */
struct region *region_new(struct aspace *as, enum region_kind kind, uint64_t pages);
void region_discard(struct aspace *as, struct region *region, uint64_t pages);

void region_insert(struct aspace *as, struct region *region, uint64_t start, uint64_t end);

/* Out of the tree; its virtual pages are refunded. */
void region_remove(struct aspace *as, struct region *region);

/* Drops the object of an OBJECT region and frees the record. No lock held. */
void region_release(struct region *region);

/* Adds the table pages for a range of at most ASPACE_MAX_PAGES, or changes nothing: ST_QUOTA. */
status_t tables_prepare(struct aspace *as, uint64_t address, uint64_t pages);

/* arch_prot bits of a protection; false: not one that pages can have. */
bool protection_bits(enum Protection protection, unsigned *bits_out);

/* Frames and regions on their way out, for one operation. Begin reserves room (ST_QUOTA: nothing
 * happened), add and finish cannot fail; all three with the lock held. End, without the lock, frees
 * what no CPU can remember. */
enum { REAPER_BATCHES = 3 };
struct reaper {
    struct frame_batch *batches[REAPER_BATCHES];
    unsigned count;
    unsigned at;
    struct list out; /* of struct aspace_held: still to be dealt with */
};
status_t reaper_begin(struct reaper *reaper, struct aspace *as, uint64_t frames);
void reaper_add_frame(struct reaper *reaper, struct paddr frame);
void reaper_add_region(struct reaper *reaper, struct region *region);
/* Everything added was unmapped in [start, start + pages). */
void reaper_finish(struct reaper *reaper, struct aspace *as, uint64_t start, uint64_t pages);
void reaper_end(struct reaper *reaper, struct aspace *as);

/* Frees held things; the lock is not held. */
void held_free(struct aspace *as, struct list *list);

/* The job of an address space. */
bool quarantine_run(struct job *job);

#endif
