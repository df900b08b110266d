/* SPDX-License-Identifier: MIT */
/*
 * Work on the pages of an address space, in slices.
 *
 * An operation is checked and charged in one short step (aspace_pages.c), which marks the regions it
 * works on as busy: nobody else changes or ends them, copies go on. Then it goes through its stages:
 *   check     commit, protect: every page is as it must be
 *   fill      takes the frames and table pages that were charged, zeroed: the last thing that can fail
 *   work      maps, changes rights, or unmaps
 *   drain     gives back what was not needed
 * and at its end the regions are free for others. A small one does all of that in one step, a large one goes on as a job.
 *
 * Unmapping takes two looks at a page. The first hides it: the entry keeps the frame, but no CPU finds
 * it any more. When every CPU has forgotten it, the second takes the frame out and frees it. So a frame
 * is in quarantine where it was mapped, and needs no memory to be remembered in; a region, its object's
 * mapping count and the range itself are free only after that.
 */
#include "cap/ledger.h"
#include "core/panic.h"
#include "lib/base/bits.h"
#include "mem/frames.h"
#include "mem/region.h"
#include "mem/slab.h"
#include "object/memory_object.h"

/* In looks at a page: zeroing one, taking one out, ending a region. */
enum { FILL_COST = 8, REMOVE_COST = 2, REGION_COST = 8, LARGE_COST = 2 };

/* ---- frames of its own ---- */

static struct paddr chain_pop(struct aspace_op *op)
{
    op->chained--;
    return frame_pop(&op->chain);
}

static struct paddr table_take(void *context)
{
    struct aspace_op *op = context;
    KASSERT(op->tables > 0);
    op->tables--;
    return chain_pop(op);
}

static status_t stage_fill(struct aspace_op *op, int *budget)
{
    while (op->chained < op->pages + op->tables) {
        if (*budget <= 0) {
            return ST_PENDING;
        }
        *budget -= FILL_COST;
        struct paddr frame = frame_alloc_zeroed();
        if (paddr_is_none(frame)) {
            return ledger_refuse(LEDGER_CLASS_FRAMES);
        }
        frame_push(&op->chain, frame);
        op->chained++;
    }
    return ST_OK;
}

static status_t stage_drain(struct aspace_op *op, int *budget)
{
    for (; op->chained > 0; (*budget)--) {
        if (*budget <= 0) {
            return ST_PENDING;
        }
        frame_free(chain_pop(op));
    }
    if ((op->pages | op->tables) != 0) {
        ledger_refund(op->as->ledger, LEDGER_CLASS_FRAMES, op->pages);
        ledger_refund(op->as->ledger, LEDGER_CLASS_KERNEL_PAGES, op->tables);
    }
    return ST_OK;
}

/* ---- pages; the lock is held ---- */

static struct region *region_of_op(const struct aspace_op *op)
{
    struct list_node *node = list_first(&op->regions);
    return node != NULL ? list_entry(node, struct region, link) : NULL;
}

/* How far the budget allows to go from `at`, which pays for it. */
static uint64_t piece(uint64_t at, uint64_t end, int *budget)
{
    uint64_t pages = min_u64((end - at) >> PAGE_SHIFT, *budget > 0 ? (uint64_t)*budget : 0);
    *budget -= (int)pages;
    return at + (pages << PAGE_SHIFT);
}

static status_t more(const struct aspace_op *op)
{
    return op->at < op->end ? ST_PENDING : ST_OK;
}

static status_t check(struct aspace_op *op, int *budget, bool mapped)
{
    struct paddr frame;
    for (; op->at < op->end; (*budget)--) {
        if (*budget <= 0) {
            return ST_PENDING;
        }
        if (arch_translate(&op->as->arch, uaddr(op->at), false, &frame) != mapped) {
            return ST_BAD_STATE;
        }
        op->at = mapped ? op->at + PAGE_BYTES
                        : arch_next_mapped(&op->as->arch, uaddr(op->at), uaddr(op->end)).v;
    }
    op->at = op->marked = op->start;
    return ST_OK;
}

static status_t check_empty(struct aspace_op *op, int *budget)
{
    return check(op, budget, false);
}

static status_t check_mapped(struct aspace_op *op, int *budget)
{
    return check(op, budget, true);
}

/* Adds the tables that are missing; without any charged, none is. */
static void prepare(struct aspace_op *op, uint64_t at, uint64_t pages)
{
    bool prepared =
        op->tables == 0 || arch_map_prepare(&op->as->arch, uaddr(at), pages, table_take, op);
    KASSERT(prepared);
}

static status_t work_commit(struct aspace_op *op, int *budget)
{
    struct region *region = region_of_op(op);
    uint64_t from = op->at;
    uint64_t stop = piece(op->at, op->end, budget);
    uint64_t pages = (stop - from) >> PAGE_SHIFT;
    prepare(op, from, pages);
    for (; op->at < stop; op->at += PAGE_BYTES) {
        arch_map_page(&op->as->arch, uaddr(op->at), chain_pop(op), op->prot);
    }
    span_grow(region, op->start, stop);
    region->committed += pages;
    op->as->committed_pages += pages;
    op->pages -= pages;
    return more(op);
}

/* The next pages as one large page, when the object has a run of frames for it; else false. */
static bool map_large(struct aspace_op *op, const struct region *region)
{
    if (region->kind != REGION_OBJECT || (op->at & (ARCH_LARGE_BYTES - 1)) != 0 ||
        op->end - op->at < ARCH_LARGE_BYTES) {
        return false;
    }
    struct paddr run = memory_object_run(region->object, (uint32_t)object_page(region, op->at));
    return !paddr_is_none(run) &&
           arch_map_large(&op->as->arch, uaddr(op->at), run, op->prot, table_take, op);
}

/* Each page of a PRIVATE region brings the frame of its copy along. */
static void bring_spares(struct aspace_op *op, struct region *region, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        frame_push(&region->spare, chain_pop(op));
    }
    op->pages -= pages;
    region->committed += pages;
    op->as->committed_pages += pages;
}

static status_t work_map(struct aspace_op *op, int *budget)
{
    struct region *region = region_of_op(op);
    while (op->at<op->end && * budget> 0) {
        if (map_large(op, region)) {
            op->at += ARCH_LARGE_BYTES;
            *budget -= LARGE_COST;
            continue;
        }
        uint64_t edge = min_u64(op->end, (op->at | (ARCH_LARGE_BYTES - 1)) + 1);
        uint64_t stop = piece(op->at, edge, budget);
        uint64_t pages = (stop - op->at) >> PAGE_SHIFT;
        uint64_t page = object_page(region, op->at);
        prepare(op, op->at, pages);
        if (region->kind == REGION_PRIVATE) {
            bring_spares(op, region, pages);
        }
        for (; op->at < stop; op->at += PAGE_BYTES) {
            struct paddr frame = memory_object_frame(region->object, (uint32_t)page++);
            arch_map_page(&op->as->arch, uaddr(op->at), frame, op->prot);
        }
    }
    return more(op);
}

/* Large pages as they are, when all of one is meant; of others small ones are made first: for that the operation has
 * tables. Returns where the next page begins. */
static uint64_t protect_one(struct aspace_op *op, const struct region *region, uint64_t at)
{
    struct arch_aspace *arch = &op->as->arch;
    if (region->kind == REGION_OBJECT && arch_is_large(arch, uaddr(at))) {
        if ((at & (ARCH_LARGE_BYTES - 1)) == 0 && op->end - at >= ARCH_LARGE_BYTES) {
            arch_protect_large(arch, uaddr(at), op->prot);
            return at + ARCH_LARGE_BYTES;
        }
        arch_split_large(arch, uaddr(at), table_take, op);
    }
    unsigned prot = region->kind == REGION_PRIVATE ? private_prot(op->as, at, op->prot) : op->prot;
    (void)arch_protect_page(arch, uaddr(at), prot);
    return at + PAGE_BYTES;
}

static status_t work_protect(struct aspace_op *op, int *budget)
{
    struct arch_aspace *arch = &op->as->arch;
    if (op->marked == op->at) {
        uint64_t stop = piece(op->at, op->end, budget);
        found_forget(op->as);
        for (op->marked = op->at; op->marked < stop;) {
            op->marked = protect_one(op, region_of_op(op), op->marked);
        }
        op->ticket = arch_tlb_shoot(arch, uaddr(op->at), (op->marked - op->at) >> PAGE_SHIFT);
    }
    if (!arch_tlb_done(arch, op->ticket)) {
        return ST_PENDING;
    }
    op->at = op->marked;
    return more(op);
}

/* Pages of an object need no second look. */
uint64_t region_hide(struct aspace *as, const struct region *region, uint64_t start, uint64_t end,
                     int *budget, uint64_t *ticket)
{
    struct arch_aspace *arch = &as->arch;
    bool object = region->kind == REGION_OBJECT;
    uint64_t left = object ? UINT64_MAX : region->committed;
    uint64_t hidden = 0;
    uint64_t at = start;
    found_forget(as);
    for (; at < end && hidden<left && * budget> 0; *budget -= object ? 1 : 1 + REMOVE_COST) {
        if (object && arch_is_large(arch, uaddr(at))) { /* all of it lies in the region */
            arch_unmap_large(arch, uaddr(at));
            hidden++;
            at += ARCH_LARGE_BYTES;
            continue;
        }
        bool there = object ? !paddr_is_none(arch_unmap_page(arch, uaddr(at)))
                            : arch_hide_page(arch, uaddr(at));
        hidden += there ? 1 : 0;
        at = there ? at + PAGE_BYTES : arch_next_mapped(arch, uaddr(at), uaddr(end)).v;
    }
    *ticket = hidden == 0 ? 0 : arch_tlb_shoot(arch, uaddr(start), (at - start) >> PAGE_SHIFT);
    return hidden == left ? end : at;
}

/* Unmaps [at, end) of the first region. */
static status_t remove_pages(struct aspace_op *op, int *budget)
{
    struct region *region = region_of_op(op);
    int enough = INT32_MAX; /* no more than were hidden */
    if (op->marked == op->at) {
        op->marked = region_hide(op->as, region, op->at, op->end, budget, &op->ticket);
    }
    if (!arch_tlb_done(&op->as->arch, op->ticket)) {
        return ST_PENDING;
    }
    (void)region_empty(op->as, region, op->at, op->marked, &enough);
    op->at = op->marked;
    return more(op);
}

static status_t work_decommit(struct aspace_op *op, int *budget)
{
    struct region *region = region_of_op(op);
    status_t status = remove_pages(op, budget);
    if (status != ST_OK) {
        return status;
    }
    span_shrink(region, op->start, op->end);
    return ST_OK;
}

/* The part of a region that may have pages. */
static void aim(struct aspace_op *op, const struct region *region)
{
    bool reserved = region->kind == REGION_RESERVED;
    op->at = reserved ? region->span_start : region_start(region);
    op->end = reserved ? region->span_end : region->end;
    op->marked = op->at;
}

static status_t work_unmap(struct aspace_op *op, int *budget)
{
    for (struct region *region; (region = region_of_op(op)) != NULL; *budget -= REGION_COST) {
        if (op->marked == 0) {
            aim(op, region);
        }
        status_t status = *budget > 0 ? remove_pages(op, budget) : ST_PENDING;
        if (status != ST_OK) {
            return status;
        }
        list_remove(&region->link);
        region_remove(op->as, region);
        list_push_back(&op->gone, &region->link);
        op->marked = 0; /* the next region is to be aimed at */
    }
    return ST_OK;
}

/* ---- running ---- */

static const aspace_stage undo_stages[] = {stage_drain, NULL};
const aspace_stage commit_stages[] = {check_empty, stage_fill, work_commit, stage_drain, NULL};
const aspace_stage decommit_stages[] = {work_decommit, NULL};
const aspace_stage protect_stages[] = {check_mapped, stage_fill, work_protect, stage_drain, NULL};
const aspace_stage map_stages[] = {stage_fill, work_map, stage_drain, NULL};
const aspace_stage unmap_stages[] = {work_unmap, NULL};

/* True when the last stage is through. The lock is held. */
static bool run_stages(struct aspace_op *op, int budget)
{
    while (*op->stage != NULL) {
        bool gives_up = op->as->dying && *op->stage != stage_drain;
        status_t status = gives_up ? ST_BAD_STATE : (*op->stage)(op, &budget);
        if (status == ST_PENDING) {
            return false;
        }
        op->stage = status == ST_OK ? op->stage + 1 : undo_stages;
        op->status = status == ST_OK ? op->status : status;
    }
    return true;
}

bool aspace_op_slice(struct aspace_op *op, int budget)
{
    lock_acquire(&op->as->lock);
    bool through = run_stages(op, budget);
    lock_release(&op->as->lock);
    return through;
}

struct aspace_op *aspace_op_new(struct aspace *as, const aspace_stage *stages, uint64_t start,
                                uint64_t end)
{
    struct aspace_op *op = as->op_used ? slab_alloc(as->ledger, sizeof(*op)) : &as->op;
    if (op != NULL) {
        as->op_used = true;
        as->ops++;
        op->as = as;
        op->stage = stages;
        op->status = ST_OK;
        list_init(&op->regions);
        list_init(&op->gone);
        op->start = op->at = op->marked = start;
        op->end = end;
        op->ticket = 0;
        op->pages = op->tables = op->chained = 0;
        op->chain = PADDR_NONE;
        op->fresh = false;
    }
    return op;
}

/* The regions are free for others; that of a map that did not happen ends, too. *gone gets what is to
 * be released without the lock. */
static status_t end_locked(struct aspace_op *op, struct list *gone)
{
    struct aspace *as = op->as;
    struct region *region;
    status_t status = op->status;
    list_init(gone);
    list_splice_back(gone, &op->gone);
    while ((region = region_of_op(op)) != NULL) {
        list_remove(&region->link);
        if (op->fresh && status != ST_OK && region->committed == 0) { /* else it dies with all */
            region_remove(as, region);
            list_push_back(gone, &region->link);
        }
    }
    if (op == &as->op) {
        as->op_used = false;
    } else {
        slab_free(op);
    }
    as->ops--;
    return status;
}

static void release_all(struct list *gone)
{
    for (struct list_node *node; (node = list_pop_front(gone)) != NULL;) {
        region_release(list_entry(node, struct region, link));
    }
}

status_t aspace_op_end(struct aspace_op *op)
{
    struct list gone;
    lock_acquire(&op->as->lock);
    struct aspace *as = op->as;
    status_t status = end_locked(op, &gone);
    lock_release(&as->lock);
    release_all(&gone);
    return status;
}

status_t aspace_op_go(struct aspace *as, status_t status, struct aspace_op **op)
{
    struct list gone;
    list_init(&gone);
    if (status == ST_OK) {
        status = run_stages(*op, ASPACE_AT_ONCE) ? end_locked(*op, &gone) : ST_PENDING;
    }
    lock_release(&as->lock);
    release_all(&gone);
    return status;
}

status_t aspace_op_go_on(struct aspace_op **op, int *budget)
{
    status_t status = ST_PENDING;
    if (aspace_op_slice(*op, *budget)) {
        status = aspace_op_end(*op);
        *op = NULL;
    }
    *budget = 0;
    return status;
}
