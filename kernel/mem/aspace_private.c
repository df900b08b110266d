/* SPDX-License-Identifier: MIT */
/*
 * Copy-on-write: pages of a memory object that become the process's own when somebody writes to them.
 *
 * A page of a PRIVATE region is in one of three states, which its entry tells:
 *   shown    the object's frame, not writable, ARCH_PROT_COPY if the program may write
 *   copied   a frame of ours with the same bytes, not writable yet, ARCH_PROT_COPY
 *   own      a frame of ours, writable
 * shown -> copied takes a frame from the region's `spare`, which has one for each page that is shown, so
 * nothing can be missing. A CPU may still remember the object's frame then; it reads the same bytes there.
 * Only when all have forgotten it does copied become own: else one thread would write what another one
 * does not see. protect leads back to a state without ARCH_PROT_COPY, and from there to `copied`.
 *
 * Whoever writes comes here: a thread by its page fault, the kernel when it delivers a message. Two at
 * once find each other's work done: all of it is under the space's lock, but for the waiting.
 */
#include "arch/user.h"
#include "core/panic.h"
#include "mem/region.h"
#include "object/memory_object.h"

unsigned private_prot(struct aspace *as, uint64_t address, unsigned prot)
{
    struct paddr frame;
    bool writable = arch_translate(&as->arch, uaddr(address), true, &frame);
    return (prot & ARCH_PROT_WRITE) != 0 && !writable ? ARCH_PROT_COPY : prot;
}

/* One page; the lock is held. ST_OK: it can be written to. ST_PENDING: when *ticket is done. */
static status_t unshare_page(struct aspace *as, uint64_t page, uint64_t *ticket)
{
    struct region *region = region_holding(as, page, page + PAGE_BYTES);
    struct paddr frame;
    unsigned prot;
    bool dirty;
    if (as->dying || !arch_page_state(&as->arch, uaddr(page), &prot, &dirty) ||
        !arch_translate(&as->arch, uaddr(page), false, &frame)) {
        return ST_BAD_ADDRESS;
    }
    if ((prot & ARCH_PROT_COPY) == 0) { /* of whatever region: there is nothing to do */
        return (prot & ARCH_PROT_WRITE) != 0 ? ST_OK : ST_BAD_ADDRESS;
    }
    if (region_shows_object(region, page, frame)) {
        struct paddr own = frame_pop(&region->spare);
        arch_copy(frame_ptr(own), frame_ptr(frame), PAGE_BYTES);
        found_forget(as);
        arch_replace_page(&as->arch, uaddr(page), own, ARCH_PROT_COPY);
        region->ticket = arch_tlb_shoot(&as->arch, uaddr(page), 1);
    }
    *ticket = region->ticket;
    if (!arch_tlb_done(&as->arch, *ticket)) {
        return ST_PENDING;
    }
    (void)arch_protect_page(&as->arch, uaddr(page), ARCH_PROT_WRITE);
    return ST_OK;
}

bool aspace_unshare(struct aspace *as, uint64_t address, uint64_t size_bytes)
{
    uint64_t page = page_floor(address);
    if (!arch_user_range_ok(uaddr(address), size_bytes)) {
        return false;
    }
    status_t status = ST_OK;
    while (status != ST_BAD_ADDRESS && page < address + size_bytes) {
        uint64_t ticket;
        lock_acquire(&as->lock);
        status = unshare_page(as, page, &ticket);
        lock_release(&as->lock);
        if (status == ST_PENDING) {
            arch_tlb_wait(&as->arch, ticket);
        } else {
            page += PAGE_BYTES;
        }
    }
    return status == ST_OK;
}
