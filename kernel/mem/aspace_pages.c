/* SPDX-License-Identifier: MIT */
/* VirtualMemory's work on pages: commit, decommit, protect, map, unmap. Each reads and checks, then
 * reserves all it may need, then commits without a way to fail. */
#include "cap/ledger.h"
#include "lib/base/bits.h"
#include "mem/frames.h"
#include "mem/region.h"
#include "mem/slab.h"
#include "object/memory_object.h"

static bool work_ok(uint64_t address, uint64_t size_bytes)
{
    return range_ok(address, size_bytes) && size_bytes >> PAGE_SHIFT <= ASPACE_MAX_PAGES;
}

/* ---- commit ---- */

/* Charged, zeroed frames that nobody else knows, linked through their first words. */
struct frame_chain {
    struct paddr head;
};

static struct paddr chain_pop(struct frame_chain *chain)
{
    struct paddr frame = chain->head;
    struct paddr *link = frame_ptr(frame);
    chain->head = *link;
    link->v = 0;
    return frame;
}

static void chain_free(struct aspace *as, struct frame_chain *chain)
{
    uint64_t count = 0;
    for (; !paddr_is_none(chain->head); count++) {
        frame_free(chain_pop(chain));
    }
    ledger_refund(as->ledger, LEDGER_CLASS_FRAMES, count);
}

static status_t chain_make(struct aspace *as, uint64_t pages, struct frame_chain *chain)
{
    chain->head = PADDR_NONE;
    if (ledger_charge(as->ledger, LEDGER_CLASS_FRAMES, pages) != ST_OK) {
        return ST_QUOTA;
    }
    for (uint64_t i = 0; i < pages; i++) {
        struct paddr frame = frame_alloc_zeroed();
        if (paddr_is_none(frame)) {
            ledger_refund(as->ledger, LEDGER_CLASS_FRAMES, pages - i);
            chain_free(as, chain);
            return ledger_refuse(LEDGER_CLASS_FRAMES);
        }
        *(struct paddr *)frame_ptr(frame) = chain->head;
        chain->head = frame;
    }
    return ST_OK;
}

/* True when not one page of the range, which lies in the reservation, is committed. */
static bool all_empty(const struct aspace *as, const struct region *region, uint64_t start,
                      uint64_t end)
{
    struct paddr frame;
    if (region->committed == 0) {
        return true;
    }
    end = min_u64(end, region->span_end);
    for (uint64_t at = max_u64(start, region->span_start); at < end; at += PAGE_BYTES) {
        if (arch_translate(&as->arch, uaddr(at), false, &frame)) {
            return false;
        }
    }
    return true;
}

static bool all_mapped(const struct aspace *as, uint64_t start, uint64_t end)
{
    struct paddr frame;
    for (uint64_t at = start; at < end; at += PAGE_BYTES) {
        if (!arch_translate(&as->arch, uaddr(at), false, &frame)) {
            return false;
        }
    }
    return true;
}

static void span_grow(struct region *region, uint64_t start, uint64_t end)
{
    if (region->committed == 0) {
        region->span_start = start;
        region->span_end = end;
    } else {
        region->span_start = min_u64(region->span_start, start);
        region->span_end = max_u64(region->span_end, end);
    }
}

status_t aspace_commit(struct aspace *as, uint64_t address, uint64_t size_bytes,
                       enum Protection protection)
{
    unsigned prot;
    struct frame_chain chain;
    if (!work_ok(address, size_bytes) || !protection_bits(protection, &prot)) {
        return ST_BAD_ARGUMENT;
    }
    uint64_t end = address + size_bytes;
    uint64_t pages = size_bytes >> PAGE_SHIFT;
    if (chain_make(as, pages, &chain) != ST_OK) {
        return ST_QUOTA;
    }
    lock_acquire(&as->lock);
    struct region *region = region_holding(as, address, end);
    status_t status = ST_BAD_STATE;
    if (!as->dying && region != NULL && region->kind == REGION_RESERVED &&
        all_empty(as, region, address, end)) {
        status = tables_prepare(as, address, pages);
    }
    if (status == ST_OK) {
        for (uint64_t at = address; at < end; at += PAGE_BYTES) {
            arch_map_page(&as->arch, uaddr(at), chain_pop(&chain), prot);
        }
        span_grow(region, address, end);
        region->committed += pages;
        as->committed_pages += pages;
    }
    lock_release(&as->lock);
    chain_free(as, &chain);
    return status;
}

/* ---- decommit ---- */

/* Unmaps what is committed of [start, end) into the reaper. */
static void take_pages(struct aspace *as, struct region *region, uint64_t start, uint64_t end,
                       struct reaper *reaper)
{
    found_forget(as);
    for (uint64_t at = start; at < end; at += PAGE_BYTES) {
        struct paddr frame = arch_unmap_page(&as->arch, uaddr(at));
        if (!paddr_is_none(frame)) {
            reaper_add_frame(reaper, frame);
            region->committed--;
            as->committed_pages--;
        }
    }
    if (region->committed == 0) {
        region->span_start = region->span_end = region_start(region);
    } else if (start <= region->span_start && end > region->span_start) {
        region->span_start = end;
    } else if (end >= region->span_end && start < region->span_end) {
        region->span_end = start;
    }
}

status_t aspace_decommit(struct aspace *as, uint64_t address, uint64_t size_bytes)
{
    struct reaper reaper;
    if (!work_ok(address, size_bytes)) {
        return ST_BAD_ARGUMENT;
    }
    lock_acquire(&as->lock);
    struct region *region = region_holding(as, address, address + size_bytes);
    if (region == NULL || region->kind != REGION_RESERVED) {
        lock_release(&as->lock);
        return ST_BAD_STATE;
    }
    uint64_t start = max_u64(address, region->span_start);
    uint64_t end = min_u64(address + size_bytes, region->span_end);
    if (start >= end || region->committed == 0) {
        lock_release(&as->lock);
        return ST_OK;
    }
    uint64_t pages = (end - start) >> PAGE_SHIFT;
    status_t status = reaper_begin(&reaper, as, min_u64(pages, region->committed));
    if (status == ST_OK) {
        take_pages(as, region, start, end, &reaper);
        reaper_finish(&reaper, as, start, pages);
    }
    lock_release(&as->lock);
    reaper_end(&reaper, as);
    return status;
}

/* ---- protect ---- */

static bool may_protect(const struct region *region, unsigned prot)
{
    if (region == NULL) {
        return false;
    }
    return region->kind == REGION_RESERVED ||
           (region->kind == REGION_OBJECT && (prot & ~(unsigned)region->rights) == 0);
}

status_t aspace_protect(struct aspace *as, uint64_t address, uint64_t size_bytes,
                        enum Protection protection)
{
    unsigned prot;
    if (!work_ok(address, size_bytes) || !protection_bits(protection, &prot)) {
        return ST_BAD_ARGUMENT;
    }
    uint64_t end = address + size_bytes;
    lock_acquire(&as->lock);
    status_t status = ST_BAD_STATE;
    if (may_protect(region_holding(as, address, end), prot) && all_mapped(as, address, end)) {
        found_forget(as);
        for (uint64_t at = address; at < end; at += PAGE_BYTES) {
            (void)arch_protect_page(&as->arch, uaddr(at), prot);
        }
        (void)arch_tlb_shoot(&as->arch, uaddr(address), size_bytes >> PAGE_SHIFT);
        status = ST_OK;
    }
    lock_release(&as->lock);
    return status;
}

/* ---- objects ---- */

/* Finds the place and the tables; *address is 0 to choose. The lock is held. */
static status_t prepare_place(struct aspace *as, uint64_t *address, uint64_t size_bytes)
{
    if (as->dying) {
        return ST_BAD_STATE;
    }
    if (*address == 0) {
        if (!region_choose(as, size_bytes, address)) {
            return ST_EXISTS;
        }
    } else if (region_overlapping(as, *address, *address + size_bytes) != NULL) {
        return ST_EXISTS;
    }
    return tables_prepare(as, *address, size_bytes >> PAGE_SHIFT);
}

static status_t map_region(struct aspace *as, struct region *region, uint64_t *address,
                           uint64_t offset_bytes, uint64_t size_bytes, unsigned prot)
{
    uint32_t first = (uint32_t)(offset_bytes >> PAGE_SHIFT);
    uint32_t pages = (uint32_t)(size_bytes >> PAGE_SHIFT);
    lock_acquire(&as->lock);
    status_t status = prepare_place(as, address, size_bytes);
    if (status == ST_OK) {
        for (uint32_t i = 0; i < pages; i++) {
            arch_map_page(&as->arch, uaddr(*address + (uint64_t)i * PAGE_BYTES),
                          memory_object_frame(region->object, first + i), prot);
        }
        region_insert(as, region, *address, *address + size_bytes);
    }
    lock_release(&as->lock);
    return status;
}

static bool inside_object(const struct memory_object *object, uint64_t offset_bytes,
                          uint64_t size_bytes)
{
    uint64_t total = (uint64_t)object->npages << PAGE_SHIFT;
    return page_aligned(offset_bytes) && offset_bytes <= total &&
           size_bytes <= total - offset_bytes;
}

status_t aspace_map_object(struct aspace *as, struct memory_object *object, uint64_t address,
                           uint64_t offset_bytes, uint64_t size_bytes, enum Protection protection,
                           uint64_t *out)
{
    unsigned prot;
    if (!work_ok(address != 0 ? address : ARCH_USER_MIN, size_bytes) ||
        !inside_object(object, offset_bytes, size_bytes) || !protection_bits(protection, &prot)) {
        return ST_BAD_ARGUMENT;
    }
    if ((prot & ARCH_PROT_EXECUTE) != 0 && !memory_object_is_sealed(object)) {
        return ST_NOT_SEALED;
    }
    bool writable = (prot & ARCH_PROT_WRITE) != 0;
    status_t status = memory_object_mapping_add(object, writable);
    if (status != ST_OK) {
        return status;
    }
    struct region *region = region_new(as, REGION_OBJECT, size_bytes >> PAGE_SHIFT);
    if (region == NULL) {
        memory_object_mapping_remove(object, writable);
        return ST_QUOTA;
    }
    region->rights = (uint8_t)prot;
    region->object = object;
    kobj_ref(&object->obj);
    status = map_region(as, region, &address, offset_bytes, size_bytes, prot);
    if (status != ST_OK) {
        ledger_refund(as->ledger, LEDGER_CLASS_VIRTUAL_PAGES, size_bytes >> PAGE_SHIFT);
        region_release(region);
        return status;
    }
    *out = address;
    return ST_OK;
}

/* ---- unmap ---- */

/* What ending the regions of a range takes. */
struct unmap_plan {
    uint64_t regions;
    uint64_t pages;     /* to look at */
    uint64_t committed; /* frames that become free */
};

static uint64_t region_work(const struct region *region)
{
    if (region->kind == REGION_OBJECT) {
        return region_pages(region);
    }
    return region->committed > 0 ? (region->span_end - region->span_start) >> PAGE_SHIFT : 0;
}

static status_t plan_unmap(struct aspace *as, uint64_t start, uint64_t end, struct unmap_plan *plan)
{
    *plan = (struct unmap_plan){0};
    struct region *region = region_overlapping(as, start, end);
    if (region == NULL) {
        return ST_BAD_STATE;
    }
    for (; region != NULL && region_start(region) < end;
         region = region_of_node(tree_next(&region->node))) {
        bool ours = region->kind == REGION_RESERVED || region->kind == REGION_OBJECT;
        if (!ours || region_start(region) < start || region->end > end) {
            return ST_BAD_STATE;
        }
        plan->regions++;
        plan->pages += region_work(region);
        plan->committed += region->committed;
        if (plan->regions > ASPACE_MAX_UNMAP_REGIONS || plan->pages > ASPACE_MAX_PAGES) {
            return ST_BAD_ARGUMENT;
        }
    }
    return ST_OK;
}

static void unmap_one(struct aspace *as, struct region *region, struct reaper *reaper)
{
    if (region->kind == REGION_OBJECT) {
        found_forget(as);
        for (uint64_t at = region_start(region); at < region->end; at += PAGE_BYTES) {
            (void)arch_unmap_page(&as->arch, uaddr(at));
        }
    } else if (region->committed > 0) {
        take_pages(as, region, region->span_start, region->span_end, reaper);
    }
    region_remove(as, region);
    reaper_add_region(reaper, region);
}

status_t aspace_unmap(struct aspace *as, uint64_t address, uint64_t size_bytes)
{
    struct unmap_plan plan;
    struct reaper reaper;
    if (!range_ok(address, size_bytes)) {
        return ST_BAD_ARGUMENT;
    }
    uint64_t end = address + size_bytes;
    lock_acquire(&as->lock);
    status_t status = plan_unmap(as, address, end, &plan);
    if (status == ST_OK) {
        status = reaper_begin(&reaper, as, plan.committed);
    }
    if (status != ST_OK) {
        lock_release(&as->lock);
        return status;
    }
    uint64_t first = end;
    uint64_t last = address;
    for (uint64_t i = 0; i < plan.regions; i++) {
        struct region *region = region_overlapping(as, address, end);
        first = min_u64(first, region_start(region));
        last = max_u64(last, region->end);
        unmap_one(as, region, &reaper);
    }
    reaper_finish(&reaper, as, first, (last - first) >> PAGE_SHIFT);
    lock_release(&as->lock);
    reaper_end(&reaper, as);
    return ST_OK;
}
