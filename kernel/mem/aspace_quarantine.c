/* SPDX-License-Identifier: MIT */
/*
 * What was unmapped, on its way to being free.
 *
 * A frame may be used again only when no CPU remembers a translation to it; likewise an object loses
 * its mapping count (and perhaps its last ref) only then, so that "sealed" means that nobody can
 * write. An operation collects what it unmaps in a reaper. After the shoot-down was asked for, it is
 * freed at once when no other CPU has the space loaded (the usual case), else it waits in the
 * quarantine for the job. Records of where the frames are cannot be kept in the frames: a CPU that
 * has not yet forgotten could write there.
 */
#include "cap/ledger.h"
#include "core/panic.h"
#include "mem/frames.h"
#include "mem/region.h"
#include "mem/slab.h"

enum {
    BATCH_MAX_FRAMES = (SLAB_MAX_BYTES - sizeof(struct frame_batch)) / sizeof(struct paddr),
};
static_assert(BATCH_MAX_FRAMES * REAPER_BATCHES >= ASPACE_MAX_PAGES, "one operation fits a reaper");

static bool is_small(const struct aspace *as, const struct aspace_held *held)
{
    return held == &as->small.held;
}

static struct frame_batch *batch_new(struct aspace *as, uint64_t frames)
{
    uint64_t capacity = frames < BATCH_MAX_FRAMES ? frames : BATCH_MAX_FRAMES;
    size_t size = sizeof(struct frame_batch) + capacity * sizeof(struct paddr);
    struct frame_batch *batch = slab_alloc(as->ledger, size);
    if (batch != NULL) {
        batch->capacity = (uint32_t)capacity;
        list_node_init(&batch->held.link);
    }
    return batch;
}

status_t reaper_begin(struct reaper *reaper, struct aspace *as, uint64_t frames)
{
    reaper->count = 0;
    reaper->at = 0;
    list_init(&reaper->out);
    if (frames > 0 && frames <= ASPACE_SMALL_FRAMES && as->small.count == 0) {
        reaper->batches[reaper->count++] = (struct frame_batch *)(void *)&as->small;
        return ST_OK;
    }
    while (frames > 0) {
        KASSERT(reaper->count < REAPER_BATCHES);
        struct frame_batch *batch = batch_new(as, frames);
        if (batch == NULL) {
            while (reaper->count > 0) {
                slab_free(reaper->batches[--reaper->count]);
            }
            return ST_QUOTA;
        }
        reaper->batches[reaper->count++] = batch;
        frames -= batch->capacity;
    }
    return ST_OK;
}

void reaper_add_frame(struct reaper *reaper, struct paddr frame)
{
    struct frame_batch *batch = reaper->batches[reaper->at];
    if (batch->count == batch->capacity) {
        reaper->at++;
        KASSERT(reaper->at < reaper->count);
        batch = reaper->batches[reaper->at];
    }
    batch->frames[batch->count++] = frame;
}

void reaper_add_region(struct reaper *reaper, struct region *region)
{
    list_push_back(&reaper->out, &region->held.link);
}

static void queue_job(struct aspace *as)
{
    if (!as->job_queued) {
        as->job_queued = true;
        job_submit(&as->job);
    }
}

/* The small batch is part of the space: it is emptied under the lock, to be free for others. */
static void small_free(struct aspace *as)
{
    for (uint32_t i = 0; i < as->small.count; i++) {
        frame_free(as->small.frames[i]);
    }
    ledger_refund(as->ledger, LEDGER_CLASS_FRAMES, as->small.count);
    as->small.count = 0;
}

/* Deals with one held thing: free it soon, without the lock, or now, when it is the small batch. */
static void let_go(struct aspace *as, struct aspace_held *held, struct list *done)
{
    if (is_small(as, held)) {
        small_free(as);
    } else {
        list_push_back(done, &held->link);
    }
}

void reaper_finish(struct reaper *reaper, struct aspace *as, uint64_t start, uint64_t pages)
{
    for (unsigned i = 0; i < reaper->count; i++) {
        struct aspace_held *held = &reaper->batches[i]->held;
        /* The small batch is in the quarantine only with frames in it: Q1. */
        if (!is_small(as, held) || as->small.count != 0) {
            list_push_back(&reaper->out, &held->link);
        }
    }
    uint64_t ticket = arch_tlb_shoot(&as->arch, uaddr(start), pages);
    bool done = arch_tlb_done(&as->arch, ticket);
    struct list all;
    list_init(&all);
    list_splice_back(&all, &reaper->out);
    for (struct list_node *node = list_pop_front(&all); node != NULL; node = list_pop_front(&all)) {
        struct aspace_held *held = list_entry(node, struct aspace_held, link);
        held->ticket = ticket;
        if (done) {
            let_go(as, held, &reaper->out);
        } else {
            list_push_back(&as->quarantine, &held->link);
        }
    }
    if (!done) {
        queue_job(as);
    }
}

void reaper_end(struct reaper *reaper, struct aspace *as)
{
    held_free(as, &reaper->out);
}

void held_free(struct aspace *as, struct list *list)
{
    for (struct list_node *node = list_pop_front(list); node != NULL; node = list_pop_front(list)) {
        struct aspace_held *held = list_entry(node, struct aspace_held, link);
        if (is_small(as, held)) {
            small_free(as);
        } else if (held->is_region) {
            region_release((struct region *)(void *)held);
        } else {
            struct frame_batch *batch = (struct frame_batch *)(void *)held;
            for (uint32_t i = 0; i < batch->count; i++) {
                frame_free(batch->frames[i]);
            }
            ledger_refund(as->ledger, LEDGER_CLASS_FRAMES, batch->count);
            slab_free(batch);
        }
    }
}

bool quarantine_run(struct job *job)
{
    struct aspace *as = CONTAINER_OF(job, struct aspace, job);
    struct list done;
    list_init(&done);
    lock_acquire(&as->lock);
    struct list_node *node = list_first(&as->quarantine);
    if (node != NULL) {
        struct aspace_held *held = list_entry(node, struct aspace_held, link);
        if (arch_tlb_done(&as->arch, held->ticket)) {
            list_remove(node);
            let_go(as, held, &done);
        }
    }
    lock_release(&as->lock);
    held_free(as, &done);
    lock_acquire(&as->lock);
    bool empty = list_empty(&as->quarantine);
    if (empty) {
        as->job_queued = false;
    }
    lock_release(&as->lock);
    return empty;
}
