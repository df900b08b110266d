/* SPDX-License-Identifier: MIT */
/*
 * Regions of an address space: where they are, their making and ending, and the end of the whole.
 *
 * What is committed is known by the page tables alone; a reservation keeps a count and the span from
 * its first to its last committed page, so that nothing ever walks an empty terabyte.
 *
 * Invariants, under the lock: A1 regions do not overlap. A2 a mapped page lies in a region of kind
 * RESERVED (inside its span; the frame is ours), OBJECT or KERNEL (the frame is theirs) or PRIVATE (either, and
 * for each page that shows the object's there is one of ours in `spare`). A3 a dying
 * space gets no page. A4 what was unmapped and may still be remembered by a CPU is hidden in its entry,
 * in a busy region, and charged. A5 `ops` counts the operations that have begun and not ended; the
 * space is not destroyed before there is none. A6 a page in `found` is mapped so, and is no page of a
 * ring.
 */
#include "mem/aspace.h"

#include "abi/layout.h"
#include "cap/grant.h"
#include "cap/ledger.h"
#include "core/panic.h"
#include "lib/base/bits.h"
#include "mem/frames.h"
#include "mem/karray.h"
#include "mem/region.h"
#include "mem/slab.h"
#include "object/memory_object.h"

enum {
    CHOOSE_STEPS = 64,   /* gaps looked at before the end of the used range is taken */
    DESTROY_TABLES = 64, /* one slice */
    DESTROY_REGION_COST = 8,
};

/* A process's home: one page table for what its kernel makes at its start, at these pages or up to 63
 * higher. The stack is at most 256 pages below its top, with a guard page on both sides; a ring that is
 * larger than what is left, and later ones, go on behind. */
enum { HOME_SHIFT = 21, HOME_STACK = 64 + 256 + 1, HOME_RING = HOME_STACK + 65 };
#define HOME_BYTES (UINT64_C(1) << HOME_SHIFT)
#define RINGS_BYTES (UINT64_C(1) << 30)

static uint64_t take_bits(uint64_t *random, unsigned count)
{
    uint64_t taken = *random & ((UINT64_C(1) << count) - 1);
    *random >>= count;
    return taken;
}

bool protection_bits(enum Protection protection, unsigned *bits_out)
{
    switch (protection) {
    case PROTECTION_READ:
        *bits_out = ARCH_PROT_READ;
        return true;
    case PROTECTION_READ_WRITE:
        *bits_out = ARCH_PROT_WRITE;
        return true;
    case PROTECTION_READ_EXECUTE:
        *bits_out = ARCH_PROT_EXECUTE;
        return true;
    case PROTECTION_NONE:
        break;
    }
    return false;
}

/* ---- the tree ---- */

struct region *region_overlapping(struct aspace *as, uint64_t start, uint64_t end)
{
    struct region *region = region_of_node(tree_at_or_below(&as->regions, start));
    if (region != NULL && region->end > start) {
        return region;
    }
    region = region_of_node(tree_lower_bound(&as->regions, start));
    return region != NULL && region_start(region) < end ? region : NULL;
}

static bool gap_fits(uint64_t start, uint64_t end, uint64_t size_bytes)
{
    return start < end && end - start >= size_bytes;
}

static enum zone zone_of(const struct aspace *as, uint64_t address)
{
    return address < as->zone_start[ZONE_RINGS] ? ZONE_PROGRAM : ZONE_RINGS;
}

/* One past the last address that is chosen: the home's start, and a GiB further. */
static uint64_t zone_limit(const struct aspace *as, enum zone zone)
{
    uint64_t home = as->zone_start[ZONE_RINGS] & ~(HOME_BYTES - 1);
    return zone == ZONE_RINGS ? home + RINGS_BYTES : home;
}

/* What is large lies so that large pages can show it. */
static uint64_t place_from(uint64_t start, uint64_t size_bytes)
{
    return size_bytes >= ARCH_LARGE_BYTES ? align_up(start, ARCH_LARGE_BYTES) : start;
}

static bool region_choose(struct aspace *as, enum zone zone, uint64_t size_bytes, uint64_t *out)
{
    const uint64_t limit = zone_limit(as, zone);
    uint64_t start = as->choose_hint[zone];
    struct region *region = region_of_node(tree_at_or_below(&as->regions, start));
    if (region != NULL && region->end > start) {
        start = region->end;
    }
    region = region_of_node(tree_lower_bound(&as->regions, start));
    for (int step = 0; step < CHOOSE_STEPS; step++) {
        uint64_t end = region != NULL ? min_u64(region_start(region), limit) : limit;
        *out = place_from(start, size_bytes);
        if (gap_fits(*out, end, size_bytes)) {
            if (step == 0 && *out == start) {
                as->choose_hint[zone] = start;
            }
            return true;
        }
        if (region == NULL) {
            return false;
        }
        start = region->end;
        region = region_of_node(tree_next(&region->node));
    }
    region = region_of_node(tree_at_or_below(&as->regions, limit - 1));
    start = region != NULL ? region->end : start;
    *out = place_from(start, size_bytes);
    return gap_fits(*out, limit, size_bytes);
}

struct region *region_new(struct aspace *as, enum region_kind kind, uint64_t pages)
{
    if (ledger_charge(as->ledger, LEDGER_CLASS_VIRTUAL_PAGES, pages) != ST_OK) {
        return NULL;
    }
    struct region *region = slab_alloc(as->ledger, sizeof(*region));
    if (region == NULL) {
        ledger_refund(as->ledger, LEDGER_CLASS_VIRTUAL_PAGES, pages);
        return NULL;
    }
    region->kind = (uint8_t)kind;
    list_node_init(&region->link);
    tree_node_init(&region->node);
    return region;
}

void region_discard(struct aspace *as, struct region *region, uint64_t pages)
{
    ledger_refund(as->ledger, LEDGER_CLASS_VIRTUAL_PAGES, pages);
    slab_free(region);
}

void region_insert(struct aspace *as, struct region *region, uint64_t start, uint64_t end)
{
    region->end = end;
    tree_insert(&as->regions, &region->node, start);
    as->routed += region_is_routed(region);
    uint64_t *hint = &as->choose_hint[zone_of(as, start)];
    if (start == *hint) {
        *hint = end;
    }
}

void region_remove(struct aspace *as, struct region *region)
{
    uint64_t start = region_start(region);
    tree_remove(&as->regions, &region->node);
    as->routed -= region_is_routed(region);
    ledger_refund(as->ledger, LEDGER_CLASS_VIRTUAL_PAGES, (region->end - start) >> PAGE_SHIFT);
    enum zone zone = zone_of(as, start);
    uint64_t *hint = &as->choose_hint[zone];
    if (start >= as->zone_start[zone] && start < *hint) {
        *hint = start;
    }
}

void region_release(struct region *region)
{
    if (region->kind == REGION_OBJECT || region->kind == REGION_PRIVATE) {
        memory_object_mapping_remove(region->object,
                                     region_writes_object(region->kind, region->rights));
        kobj_unref(&region->object->obj);
        if (region_is_routed(region)) {
            grant_unref(region->route);
        }
    }
    slab_free(region);
}

/* ---- making and plain regions ---- */

status_t aspace_init(struct aspace *as, struct ledger *ledger)
{
    void *root = kpage_alloc(ledger);
    if (root == NULL) {
        return ST_QUOTA;
    }
    lock_init(&as->lock, LOCK_ADDRESS_SPACE);
    arch_aspace_init(&as->arch, frame_of_ptr(root));
    as->ledger = ledger;
    tree_init(&as->regions);
    as->committed_pages = 0;
    static const uint64_t lowest[2];
    aspace_scatter(as, lowest);
    as->ring_start = UINT64_MAX;
    as->ring_end = 0;
    found_forget(as);
    as->ops = 0;
    as->routed = 0;
    as->op_used = false;
    as->dying = false;
    return ST_OK;
}

void aspace_scatter(struct aspace *as, const uint64_t words[2])
{
    uint64_t random = words[0];
    uint64_t home = CAPOS_HOME_BASE + (take_bits(&random, 22) << HOME_SHIFT);
    as->zone_start[ZONE_PROGRAM] = CAPOS_MMAP_BASE + (take_bits(&random, 24) << HOME_SHIFT);
    as->zone_start[ZONE_RINGS] = home + ((HOME_RING + take_bits(&random, 6)) << PAGE_SHIFT);
    as->capset = home + (take_bits(&random, 6) << PAGE_SHIFT);
    as->stack_top = home + ((HOME_STACK + take_bits(&random, 6)) << PAGE_SHIFT);
    random = words[1];
    as->image_at = CAPOS_IMAGE_BASE + (take_bits(&random, 22) << HOME_SHIFT);
    as->choose_hint[ZONE_PROGRAM] = as->zone_start[ZONE_PROGRAM];
    as->choose_hint[ZONE_RINGS] = as->zone_start[ZONE_RINGS];
}

status_t region_place(struct aspace *as, enum zone zone, uint64_t *address, uint64_t size_bytes)
{
    if (as->dying) {
        return ST_BAD_STATE;
    }
    if (*address == 0) {
        return region_choose(as, zone, size_bytes, address) ? ST_OK : ST_EXISTS;
    }
    return region_overlapping(as, *address, *address + size_bytes) == NULL ? ST_OK : ST_EXISTS;
}

/* A region without pages; *address is 0 to choose. */
static status_t place(struct aspace *as, enum region_kind kind, uint64_t *address,
                      uint64_t size_bytes)
{
    uint64_t pages = size_bytes >> PAGE_SHIFT;
    struct region *region = region_new(as, kind, pages);
    if (region == NULL) {
        return ST_QUOTA;
    }
    lock_acquire(&as->lock);
    status_t status = region_place(as, ZONE_PROGRAM, address, size_bytes);
    if (status == ST_OK) {
        region_insert(as, region, *address, *address + size_bytes);
    }
    lock_release(&as->lock);
    if (status != ST_OK) {
        region_discard(as, region, pages);
    }
    return status;
}

status_t aspace_reserve(struct aspace *as, uint64_t address, uint64_t size_bytes, uint64_t *out)
{
    if (!range_ok(address != 0 ? address : CAPOS_MMAP_BASE, size_bytes)) {
        return ST_BAD_ARGUMENT;
    }
    status_t status = place(as, REGION_RESERVED, &address, size_bytes);
    if (status == ST_OK) {
        *out = address;
    }
    return status;
}

status_t aspace_guard(struct aspace *as, uint64_t address, uint64_t size_bytes)
{
    if (!range_ok(address, size_bytes)) {
        return ST_BAD_ARGUMENT;
    }
    return place(as, REGION_GUARD, &address, size_bytes);
}

static struct paddr table_take(void *context)
{
    void *page = kpage_alloc(((struct aspace *)context)->ledger);
    return page != NULL ? frame_of_ptr(page) : PADDR_NONE;
}

status_t aspace_place_kernel(struct aspace *as, uint64_t *address, uint32_t npages, bool writable)
{
    uint64_t size_bytes = (uint64_t)npages << PAGE_SHIFT;
    struct region *region = region_new(as, REGION_KERNEL, npages);
    if (region == NULL) {
        return ST_QUOTA;
    }
    region->rights = writable ? ARCH_PROT_WRITE : ARCH_PROT_READ;
    lock_acquire(&as->lock);
    status_t status = region_place(as, ZONE_RINGS, address, size_bytes);
    if (status == ST_OK) {
        region_insert(as, region, *address, *address + size_bytes);
    }
    if (status == ST_OK && writable) {
        as->ring_start = min_u64(as->ring_start, *address);
        as->ring_end = max_u64(as->ring_end, *address + size_bytes);
    }
    lock_release(&as->lock);
    if (status != ST_OK) {
        region_discard(as, region, npages);
    }
    return status;
}

/* Lock held. */
static struct region *kernel_region(struct aspace *as, uint64_t address)
{
    struct region *region = region_of_node(tree_at_or_below(&as->regions, address));
    KASSERT(region != NULL && region_start(region) == address && region->kind == REGION_KERNEL);
    return region;
}

/* Tables that were added stay when another one is refused: they go with the space, or serve a later
 * map. Lock held. */
static status_t map_some(struct aspace *as, struct region *region, const struct karray *pages,
                         int *budget)
{
    uint64_t from = region->committed;
    uint64_t to = min_u64(from + (*budget > 0 ? (uint64_t)*budget : 0), pages->npages);
    if (!arch_map_prepare(&as->arch, uaddr(region_start(region) + (from << PAGE_SHIFT)), to - from,
                          table_take, as)) {
        return ST_QUOTA;
    }
    for (uint64_t i = from; i < to; i++) {
        arch_map_page(&as->arch, uaddr(region_start(region) + (i << PAGE_SHIFT)),
                      frame_of_ptr(karray_page(pages, (uint32_t)i)), region->rights);
    }
    region->committed = to;
    *budget -= (int)(to - from);
    return to < pages->npages ? ST_PENDING : ST_OK;
}

status_t aspace_map_kernel(struct aspace *as, uint64_t address, const struct karray *pages,
                           int *budget)
{
    lock_acquire(&as->lock);
    status_t status =
        as->dying ? ST_BAD_STATE : map_some(as, kernel_region(as, address), pages, budget);
    lock_release(&as->lock);
    return status;
}

bool aspace_unmap_kernel(struct aspace *as, uint64_t address, uint64_t *ticket, int *budget)
{
    lock_acquire(&as->lock);
    struct region *region = kernel_region(as, address);
    uint64_t end = region->committed;
    found_forget(as);
    for (; region->committed > 0 && *budget > 0; --*budget) {
        region->committed--;
        (void)arch_unmap_page(&as->arch, uaddr(address + (region->committed << PAGE_SHIFT)));
    }
    if (end > region->committed) {
        *ticket = arch_tlb_shoot(&as->arch, uaddr(address + (region->committed << PAGE_SHIFT)),
                                 end - region->committed);
    }
    bool through = region->committed == 0;
    if (through) {
        region_remove(as, region);
    }
    lock_release(&as->lock);
    if (through) {
        slab_free(region);
    }
    return through;
}

bool aspace_tlb_done(struct aspace *as, uint64_t ticket)
{
    return arch_tlb_done(&as->arch, ticket);
}

/* ---- the end ---- */

bool region_shows_object(const struct region *region, uint64_t address, struct paddr frame)
{
    uint32_t page = (uint32_t)object_page(region, address);
    return region->kind == REGION_PRIVATE && memory_object_frame(region->object, page).v == frame.v;
}

/* The frame of ours that goes with a page that has been taken out. */
static struct paddr region_own_frame(struct region *region, uint64_t at, struct paddr frame)
{
    return region_shows_object(region, at, frame) ? frame_pop(&region->spare) : frame;
}

uint64_t region_empty(struct aspace *as, struct region *region, uint64_t at, uint64_t end,
                      int *budget)
{
    uint64_t freed = 0;
    uint64_t own = region_own_pages(region);
    for (; at < end && freed<own && * budget> 0; (*budget)--) {
        struct paddr frame = arch_unmap_page(&as->arch, uaddr(at));
        if (paddr_is_none(frame)) {
            at = arch_next_mapped(&as->arch, uaddr(at), uaddr(end)).v;
            continue;
        }
        frame_free(region_own_frame(region, at, frame));
        freed++;
        at += PAGE_BYTES;
    }
    region->committed -= freed;
    as->committed_pages -= freed;
    ledger_refund(as->ledger, LEDGER_CLASS_FRAMES, freed);
    return at;
}

/* Frees the pages of the first region, or takes the empty one out into *out; true when the budget is
 * spent or none is left. No CPU has the space loaded. */
static bool destroy_first(struct aspace *as, int *budget, struct list *out)
{
    struct region *region = region_of_node(tree_first(&as->regions));
    if (region == NULL || *budget <= 0) {
        return true;
    }
    if (region_own_pages(region) > 0) {
        bool reserved = region->kind == REGION_RESERVED;
        uint64_t *from = reserved ? &region->span_start : &region->emptied;
        *from = region_empty(as, region, *from, reserved ? region->span_end : region->end, budget);
        return false;
    }
    region_remove(as, region);
    list_push_back(out, &region->link);
    *budget -= DESTROY_REGION_COST;
    return false;
}

static bool regions_slice(struct aspace *as)
{
    struct list out;
    int budget = ASPACE_SLICE;
    list_init(&out);
    lock_acquire(&as->lock);
    while (!destroy_first(as, &budget, &out)) {
    }
    bool empty = tree_empty(&as->regions);
    lock_release(&as->lock);
    for (struct list_node *node; (node = list_pop_front(&out)) != NULL;) {
        region_release(list_entry(node, struct region, link));
    }
    return empty;
}

static void table_give(void *context, struct paddr table)
{
    struct aspace *as = context;
    kpage_free(as->ledger, frame_ptr(table));
}

bool aspace_destroy_slice(struct aspace *as)
{
    lock_acquire(&as->lock);
    as->dying = true;
    found_forget(as);
    bool at_work = as->ops != 0;
    lock_release(&as->lock);
    if (at_work || !arch_aspace_unload(&as->arch) || !regions_slice(as)) {
        return false;
    }
    return arch_aspace_destroy(&as->arch, DESTROY_TABLES, table_give, as);
}
