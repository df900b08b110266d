/* SPDX-License-Identifier: MIT */
/* VirtualMemory's operations on pages, as they begin: read, check, charge. aspace_op.c does the work. */
#include "cap/grant.h"
#include "cap/ledger.h"
#include "lib/base/bits.h"
#include "mem/region.h"
#include "object/memory_object.h"

static ALWAYS_INLINE bool work_ok(uint64_t address, uint64_t size_bytes)
{
    return range_ok(address, size_bytes) && size_bytes >> PAGE_SHIFT <= ASPACE_MAX_PAGES;
}

static bool is_busy(const struct region *region)
{
    return list_linked(&region->link);
}

/* ST_OK: work may begin on pages of this region. */
static ALWAYS_INLINE status_t ready(const struct aspace *as, const struct region *region,
                                    bool kind_ok)
{
    if (as->dying || region == NULL || !kind_ok) {
        return ST_BAD_STATE;
    }
    return is_busy(region) ? ST_BUSY : ST_OK;
}

/* Tables that these pages lack, were all of them small. */
static uint64_t tables_for(const struct aspace *as, uint64_t start, uint64_t end)
{
    return arch_map_missing(&as->arch, uaddr(start), (end - start) >> PAGE_SHIFT);
}

/* Tables for the large pages of which a part is meant, at either end. */
static uint64_t tables_to_split(const struct aspace *as, uint64_t start, uint64_t end)
{
    const uint64_t low = ~(ARCH_LARGE_BYTES - 1);
    bool head = (start & ~low) != 0 && arch_is_large(&as->arch, uaddr(start));
    bool tail = (end & ~low) != 0 && arch_is_large(&as->arch, uaddr(end - 1));
    return (uint64_t)head + (tail && !(head && (start & low) == ((end - 1) & low)));
}

/* Charges these frames and tables and begins; from here on the operation must be run. The lock is held. */
static status_t begin(struct aspace *as, const aspace_stage *stages, uint64_t start, uint64_t end,
                      uint64_t frames, uint64_t missing, struct aspace_op **out)
{
    if (frames != 0 && ledger_charge(as->ledger, LEDGER_CLASS_FRAMES, frames) != ST_OK) {
        return ST_QUOTA;
    }
    bool charged =
        missing == 0 || ledger_charge(as->ledger, LEDGER_CLASS_KERNEL_PAGES, missing) == ST_OK;
    struct aspace_op *op = charged ? aspace_op_new(as, stages, start, end) : NULL;
    if (op == NULL) {
        ledger_refund(as->ledger, LEDGER_CLASS_KERNEL_PAGES, charged ? missing : 0);
        ledger_refund(as->ledger, LEDGER_CLASS_FRAMES, frames);
        return ST_QUOTA;
    }
    op->pages = frames;
    op->tables = missing;
    *out = op;
    return ST_OK;
}

/* ---- a few pages ---- */

/* So few that they are worked on without an operation, as long as nothing is to be waited for. */
enum { FEW_PAGES = 8 };

static bool known_empty(const struct region *region, uint64_t start, uint64_t end)
{
    return region->committed == 0 || start >= region->span_end || end <= region->span_start;
}

/* Zeroed frames for them in *chain, charged, or nothing. */
static status_t take_frames(struct aspace *as, uint64_t pages, struct paddr *chain)
{
    if (ledger_charge(as->ledger, LEDGER_CLASS_FRAMES, pages) != ST_OK) {
        return ST_QUOTA;
    }
    *chain = PADDR_NONE;
    for (uint64_t i = 0; i < pages; i++) {
        struct paddr frame = frame_alloc_zeroed();
        if (UNLIKELY(paddr_is_none(frame))) {
            while (!paddr_is_none(*chain)) {
                frame_free(frame_pop(chain));
            }
            ledger_refund(as->ledger, LEDGER_CLASS_FRAMES, pages);
            return ledger_refuse(LEDGER_CLASS_FRAMES);
        }
        frame_push(chain, frame);
    }
    return ST_OK;
}

/* Commits pages that are known to be empty and for which there are tables; the lock is held. */
static status_t commit_few(struct aspace *as, struct region *region, uint64_t start, uint64_t end,
                           unsigned prot)
{
    struct paddr chain;
    uint64_t pages = (end - start) >> PAGE_SHIFT;
    status_t status = take_frames(as, pages, &chain);
    if (status == ST_OK) {
        span_grow(region, start, end);
        for (uint64_t at = start; at < end; at += PAGE_BYTES) {
            arch_map_page(&as->arch, uaddr(at), frame_pop(&chain), prot);
        }
        region->committed += pages;
        as->committed_pages += pages;
    }
    return status;
}

/* The same of one. */
static status_t commit_one(struct aspace *as, struct region *region, uint64_t at,
                           struct arch_leaf *leaf, unsigned prot)
{
    if (UNLIKELY(ledger_charge(as->ledger, LEDGER_CLASS_FRAMES, 1) != ST_OK)) {
        return ST_QUOTA;
    }
    struct paddr frame = frame_alloc_zeroed();
    if (UNLIKELY(paddr_is_none(frame))) {
        ledger_refund(as->ledger, LEDGER_CLASS_FRAMES, 1);
        return ledger_refuse(LEDGER_CLASS_FRAMES);
    }
    span_grow(region, at, at + PAGE_BYTES);
    arch_leaf_map(leaf, frame, prot);
    region->committed++;
    as->committed_pages++;
    return ST_OK;
}

/* Another CPU is to be waited for: `as->op`, which is free, goes on with what was hidden up to `marked`. */
COLD static status_t decommit_later(struct aspace *as, struct region *region, uint64_t start,
                                    uint64_t end, uint64_t marked, uint64_t ticket,
                                    struct aspace_op **out)
{
    *out = aspace_op_new(as, decommit_stages, start, end);
    (*out)->marked = marked;
    (*out)->ticket = ticket;
    list_push_back(&(*out)->regions, &region->link);
    return ST_PENDING;
}

/* One page of a reservation, of which one is committed at least, with a single walk to it. The lock is held. */
static status_t decommit_one(struct aspace *as, struct region *region, uint64_t at,
                             struct aspace_op **out)
{
    struct arch_leaf *leaf = arch_leaf(&as->arch, uaddr(at));
    struct paddr frame = LIKELY(leaf != NULL) ? arch_leaf_hide(leaf) : PADDR_NONE;
    if (LIKELY(!paddr_is_none(frame))) {
        found_forget(as);
        uint64_t ticket = arch_tlb_shoot(&as->arch, uaddr(at), 1);
        if (UNLIKELY(ticket != 0) && !arch_tlb_done(&as->arch, ticket)) {
            return decommit_later(as, region, at, at + PAGE_BYTES, at + PAGE_BYTES, ticket, out);
        }
        arch_leaf_clear(leaf);
        frame_free(frame);
        region->committed--;
        as->committed_pages--;
        ledger_refund(as->ledger, LEDGER_CLASS_FRAMES, 1);
    }
    span_shrink(region, at, at + PAGE_BYTES);
    return ST_OK;
}

/* Decommits a few pages, or, when a CPU is to be waited for, goes as far as that. The lock is held. */
static status_t decommit_few(struct aspace *as, struct region *region, uint64_t start, uint64_t end,
                             struct aspace_op **out)
{
    int enough = INT32_MAX;
    uint64_t ticket;
    uint64_t marked = region_hide(as, region, start, end, &enough, &ticket);
    if (LIKELY(arch_tlb_done(&as->arch, ticket))) {
        (void)region_empty(as, region, start, marked, &enough);
        span_shrink(region, start, end);
        return ST_OK;
    }
    return decommit_later(as, region, start, end, marked, ticket, out);
}

/* Commits pages that are known to be empty, if that needs no table; ST_NOT_FOUND: it does. */
static status_t commit_at_once(struct aspace *as, struct region *region, uint64_t start,
                               uint64_t end, unsigned prot)
{
    if (LIKELY(end - start == PAGE_BYTES)) {
        struct arch_leaf *leaf = arch_leaf(&as->arch, uaddr(start));
        return LIKELY(leaf != NULL) ? commit_one(as, region, start, leaf, prot) : ST_NOT_FOUND;
    }
    return tables_for(as, start, end) == 0 ? commit_few(as, region, start, end, prot)
                                           : ST_NOT_FOUND;
}

status_t aspace_commit(struct aspace *as, uint64_t address, uint64_t size_bytes,
                       enum Protection protection, struct aspace_op **out)
{
    unsigned prot;
    if (!work_ok(address, size_bytes) || !protection_bits(protection, &prot)) {
        return ST_BAD_ARGUMENT;
    }
    uint64_t end = address + size_bytes;
    lock_acquire(&as->lock);
    struct region *region = region_holding(as, address, end);
    status_t status = ready(as, region, region != NULL && region->kind == REGION_RESERVED);
    if (LIKELY(status == ST_OK && size_bytes <= FEW_PAGES * PAGE_BYTES) &&
        known_empty(region, address, end)) {
        status_t done = commit_at_once(as, region, address, end, prot);
        if (LIKELY(done != ST_NOT_FOUND)) {
            lock_release(&as->lock);
            return done;
        }
    }
    if (status == ST_OK) {
        status = begin(as, commit_stages, address, end, size_bytes >> PAGE_SHIFT,
                       tables_for(as, address, end), out);
    }
    if (status == ST_OK) {
        (*out)->prot = (uint8_t)prot;
        list_push_back(&(*out)->regions, &region->link);
        if (known_empty(region, address, end)) {
            (*out)->stage++; /* known to be empty: there is nothing to look at */
        }
    }
    return aspace_op_go(as, status, out);
}

status_t aspace_commit_some(struct aspace *as, uint64_t *at, uint64_t end, struct aspace_op **op,
                            int *budget)
{
    enum { PAGE_COST = 9, PIECE = 16 }; /* which is usually done at once */
    status_t status = ST_OK;
    while (status == ST_OK && *at < end) {
        uint64_t bytes = min_u64(end - *at, PIECE * PAGE_BYTES);
        if (*op != NULL) {
            status = aspace_op_go_on(op, budget);
        } else if (*budget <= 0) {
            return ST_PENDING;
        } else {
            *budget -= PAGE_COST * (int)(bytes >> PAGE_SHIFT);
            status = aspace_commit(as, *at, bytes, PROTECTION_READ_WRITE, op);
            *op = status == ST_PENDING ? *op : NULL;
        }
        *at += status == ST_OK ? bytes : 0;
    }
    return status;
}

status_t aspace_decommit(struct aspace *as, uint64_t address, uint64_t size_bytes,
                         struct aspace_op **out)
{
    if (!range_ok(address, size_bytes)) {
        return ST_BAD_ARGUMENT;
    }
    uint64_t end = address + size_bytes;
    lock_acquire(&as->lock);
    struct region *region = region_holding(as, address, end);
    status_t status = ready(as, region, region != NULL && region->kind == REGION_RESERVED);
    if (status == ST_OK) {
        /* Outside the span, or with nothing committed, start and end meet. */
        uint64_t stop = region->committed != 0 ? min_u64(end, region->span_end) : address;
        uint64_t start = min_u64(max_u64(address, region->span_start), max_u64(stop, address));
        if (LIKELY(start < stop && stop - start <= FEW_PAGES * PAGE_BYTES && !as->op_used)) {
            status = stop - start == PAGE_BYTES ? decommit_one(as, region, start, out)
                                                : decommit_few(as, region, start, stop, out);
            lock_release(&as->lock);
            return status;
        }
        status = begin(as, decommit_stages, start, max_u64(start, stop), 0, 0, out);
    }
    if (status == ST_OK) {
        list_push_back(&(*out)->regions, &region->link);
    }
    return aspace_op_go(as, status, out);
}

static bool shows_object(const struct region *region)
{
    return region->kind == REGION_OBJECT || region->kind == REGION_PRIVATE;
}

static bool may_protect(const struct region *region, unsigned prot)
{
    return region != NULL && (region->kind == REGION_RESERVED ||
                              (shows_object(region) && (prot & ~(unsigned)region->rights) == 0));
}

status_t aspace_protect(struct aspace *as, uint64_t address, uint64_t size_bytes,
                        enum Protection protection, struct aspace_op **out)
{
    unsigned prot;
    if (!work_ok(address, size_bytes) || !protection_bits(protection, &prot)) {
        return ST_BAD_ARGUMENT;
    }
    uint64_t end = address + size_bytes;
    lock_acquire(&as->lock);
    struct region *region = region_holding(as, address, end);
    status_t status = ready(as, region, may_protect(region, prot));
    if (status == ST_OK) {
        status = begin(as, protect_stages, address, end, 0, tables_to_split(as, address, end), out);
    }
    if (status == ST_OK) {
        (*out)->prot = (uint8_t)prot;
        list_push_back(&(*out)->regions, &region->link);
        if (shows_object(region) || region->committed == region_pages(region)) {
            (*out)->stage++; /* known to be mapped */
        }
    }
    return aspace_op_go(as, status, out);
}

static status_t begin_map(struct aspace *as, struct region *region, uint64_t *address,
                          uint64_t size_bytes, struct aspace_op **out, bool *begun)
{
    uint64_t at = *address;
    lock_acquire(&as->lock);
    bool private = region->kind == REGION_PRIVATE;
    status_t status = region_place(as, ZONE_PROGRAM, &at, size_bytes);
    if (status == ST_OK) {
        uint64_t frames = private ? size_bytes >> PAGE_SHIFT : 0;
        status = begin(as, map_stages, at, at + size_bytes, frames,
                       tables_for(as, at, at + size_bytes), out);
    }
    *begun = status == ST_OK;
    if (*begun) {
        (*out)->prot = private ? ARCH_PROT_COPY : region->rights;
        (*out)->fresh = true;
        region->emptied = at;
        region_insert(as, region, at, at + size_bytes);
        list_push_back(&(*out)->regions, &region->link);
        *address = at;
    }
    return aspace_op_go(as, status, out);
}

/* The rest of both; prot has been checked. */
static status_t map_object(struct aspace *as, enum region_kind kind, struct memory_object *object,
                           struct grant *route, uint64_t *address, uint64_t offset_bytes,
                           uint64_t size_bytes, unsigned prot, struct aspace_op **out)
{
    if (!work_ok(*address != 0 ? *address : ARCH_USER_MIN, size_bytes) ||
        !memory_object_has(object, offset_bytes, size_bytes)) {
        return ST_BAD_ARGUMENT;
    }
    if ((prot & ARCH_PROT_EXECUTE) != 0 && !memory_object_is_sealed(object)) {
        return ST_NOT_SEALED;
    }
    bool writable = region_writes_object(kind, prot);
    status_t status = memory_object_mapping_add(object, writable);
    if (status != ST_OK) {
        return status;
    }
    struct region *region = region_new(as, kind, size_bytes >> PAGE_SHIFT);
    if (region == NULL) {
        memory_object_mapping_remove(object, writable);
        return ST_QUOTA;
    }
    region->rights = (uint8_t)prot;
    region->object = object;
    region->first_page = offset_bytes >> PAGE_SHIFT;
    kobj_ref(&object->obj);
    region->route = route;
    region->spare = PADDR_NONE;
    if (route != NULL) {
        grant_ref(route);
    }
    bool begun;
    status = begin_map(as, region, address, size_bytes, out, &begun);
    if (!begun) {
        ledger_refund(as->ledger, LEDGER_CLASS_VIRTUAL_PAGES, size_bytes >> PAGE_SHIFT);
        region_release(region);
    }
    return status;
}

status_t aspace_map_object(struct aspace *as, struct memory_object *object, struct grant *route,
                           uint64_t *address, uint64_t offset_bytes, uint64_t size_bytes,
                           enum Protection protection, struct aspace_op **out)
{
    unsigned prot;
    if (!protection_bits(protection, &prot)) {
        return ST_BAD_ARGUMENT;
    }
    return map_object(as, REGION_OBJECT, object, route, address, offset_bytes, size_bytes, prot,
                      out);
}

status_t aspace_map_private(struct aspace *as, struct memory_object *object, struct grant *route,
                            uint64_t *address, uint64_t offset_bytes, uint64_t size_bytes,
                            struct aspace_op **out)
{
    return map_object(as, REGION_PRIVATE, object, route, address, offset_bytes, size_bytes,
                      ARCH_PROT_WRITE, out);
}

/* ST_OK: the range holds whole regions only, at least one, all of which may be ended. */
static status_t may_unmap(struct aspace *as, uint64_t start, uint64_t end)
{
    struct region *region = region_overlapping(as, start, end);
    status_t status = region != NULL ? ST_OK : ST_BAD_STATE;
    unsigned count = 0;
    for (; status == ST_OK && region != NULL && region_start(region) < end;
         region = region_of_node(tree_next(&region->node))) {
        bool ours = region->kind == REGION_RESERVED || shows_object(region);
        bool whole = region_start(region) >= start && region->end <= end;
        status =
            ++count > ASPACE_MAX_UNMAP_REGIONS ? ST_BAD_ARGUMENT : ready(as, region, ours && whole);
    }
    return status;
}

status_t aspace_unmap(struct aspace *as, uint64_t address, uint64_t size_bytes,
                      struct aspace_op **out)
{
    if (!range_ok(address, size_bytes)) {
        return ST_BAD_ARGUMENT;
    }
    uint64_t end = address + size_bytes;
    lock_acquire(&as->lock);
    status_t status = may_unmap(as, address, end);
    if (status == ST_OK) {
        status = begin(as, unmap_stages, 0, 0, 0, 0, out);
    }
    for (struct region *region = status == ST_OK ? region_overlapping(as, address, end) : NULL;
         region != NULL && region_start(region) < end;
         region = region_of_node(tree_next(&region->node))) {
        list_push_back(&(*out)->regions, &region->link);
    }
    return aspace_op_go(as, status, out);
}

status_t aspace_unmap_dead(struct aspace *as, uint64_t *at, int32_t *budget, struct aspace_op **out)
{
    lock_acquire(&as->lock);
    status_t status = ST_NOT_FOUND;
    struct region *region =
        as->dying || as->routed == 0 ? NULL : region_of_node(tree_lower_bound(&as->regions, *at));
    for (; region != NULL && status == ST_NOT_FOUND;
         region = region_of_node(tree_next(&region->node))) {
        *at = region_start(region);
        if (--*budget <= 0) {
            status = ST_BUSY;
        } else if (region_is_routed(region) && !grant_is_live(region->route)) {
            status = ready(as, region, true);
            if (status == ST_OK) {
                status = begin(as, unmap_stages, 0, 0, 0, 0, out);
            }
            if (status == ST_OK) {
                list_push_back(&(*out)->regions, &region->link);
            }
        }
    }
    lock_release(&as->lock);
    return status;
}
