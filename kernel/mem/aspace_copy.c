/* SPDX-License-Identifier: MIT */
/*
 * Copies between user memory and the kernel, and between two address spaces: one look a page, under
 * the lock of the space, which keeps the frame from being unmapped and reused meanwhile. Programs use
 * the same buffers over and over, so pages found lately are remembered (aspace.found); whoever takes
 * a page or a right away forgets them all.
 *
 * Pages of a ring are refused as message buffers: the ring's own rules say who writes what there. All
 * writable KERNEL regions lie in [ring_start, ring_end), so other pages cost two compares.
 */
#include "arch/user.h"
#include "core/panic.h"
#include "lib/base/string.h"
#include "mem/region.h"

static bool is_ring_page(struct aspace *as, uint64_t page)
{
    if (LIKELY(page < as->ring_start || page >= as->ring_end)) {
        return false;
    }
    const struct region *region = region_overlapping(as, page, page + PAGE_BYTES);
    return region != NULL && region->kind == REGION_KERNEL &&
           (region->rights & ARCH_PROT_WRITE) != 0;
}

/* Any address. NULL when the page may not be used so. */
static NOINLINE uint8_t *find_page(struct aspace *as, uint64_t page, bool write)
{
    struct paddr p;
    if (!arch_translate(&as->arch, uaddr(page), write, &p) || is_ring_page(as, page)) {
        return NULL;
    }
    struct aspace_found *found = &as->found[(page >> PAGE_SHIFT) % ASPACE_FOUND_PAGES];
    found->tag = page | ASPACE_FOUND_READ | (write ? ASPACE_FOUND_WRITE : 0);
    found->page = arch_direct(p);
    return found->page;
}

/* Kernel address of a user address; NULL when it may not be used so. The lock is held. */
static ALWAYS_INLINE uint8_t *locate(struct aspace *as, uint64_t address, bool write)
{
    uint64_t page = page_floor(address);
    const struct aspace_found *found = &as->found[(address >> PAGE_SHIFT) % ASPACE_FOUND_PAGES];
    uint64_t tag = write ? found->tag : found->tag & ~(uint64_t)ASPACE_FOUND_WRITE;
    uint64_t wanted = page | ASPACE_FOUND_READ | (write ? ASPACE_FOUND_WRITE : 0);
    uint8_t *kernel = LIKELY(tag == wanted) ? found->page : find_page(as, page, write);
    return LIKELY(kernel != NULL) ? kernel + (address - page) : NULL;
}

static ALWAYS_INLINE uint64_t page_rest(uint64_t address)
{
    return PAGE_BYTES - (address & (PAGE_BYTES - 1));
}

static status_t read_locked(struct aspace *as, uint64_t from, uint8_t *to, uint64_t size_bytes)
{
    while (size_bytes > 0) {
        uint64_t n = page_rest(from);
        n = n < size_bytes ? n : size_bytes;
        const uint8_t *source = locate(as, from, false);
        if (source == NULL) {
            return ST_BAD_ADDRESS;
        }
        arch_copy(to, source, n);
        from += n;
        to += n;
        size_bytes -= n;
    }
    return ST_OK;
}

static status_t write_locked(struct aspace *as, uint64_t to, const uint8_t *from,
                             uint64_t size_bytes)
{
    while (size_bytes > 0) {
        uint64_t n = page_rest(to);
        n = n < size_bytes ? n : size_bytes;
        uint8_t *target = locate(as, to, true);
        if (target == NULL) {
            return ST_BAD_ADDRESS;
        }
        arch_copy(target, from, n);
        from += n;
        to += n;
        size_bytes -= n;
    }
    return ST_OK;
}

status_t aspace_read(struct aspace *as, uint64_t from, void *to, uint64_t size_bytes)
{
    lock_acquire(&as->lock);
    status_t status = as->dying ? ST_BAD_ADDRESS : read_locked(as, from, to, size_bytes);
    lock_release(&as->lock);
    return status;
}

static status_t write_once(struct aspace *as, uint64_t to, const void *from, uint64_t size_bytes)
{
    lock_acquire(&as->lock);
    status_t status = as->dying ? ST_BAD_ADDRESS : write_locked(as, to, from, size_bytes);
    lock_release(&as->lock);
    return status;
}

status_t aspace_write(struct aspace *as, uint64_t to, const void *from, uint64_t size_bytes)
{
    status_t status = write_once(as, to, from, size_bytes);
    bool again = UNLIKELY(status == ST_BAD_ADDRESS) && aspace_unshare(as, to, size_bytes);
    return again ? write_once(as, to, from, size_bytes) : status;
}

status_t aspace_load_u32(struct aspace *as, uint64_t address, uint32_t *out)
{
    lock_acquire(&as->lock);
    const uint8_t *word = as->dying ? NULL : locate(as, address, false);
    if (word != NULL) {
        *out = __atomic_load_n((const uint32_t *)(const void *)word, __ATOMIC_RELAXED);
    }
    lock_release(&as->lock);
    return word != NULL ? ST_OK : ST_BAD_ADDRESS;
}

/* One piece that crosses no page on either side. Both may be the same frame (one process calling
 * itself, or shared memory), so the pieces may overlap. */
static void copy_piece(uint8_t *to, const uint8_t *from, uint64_t n)
{
    uintptr_t distance = (uintptr_t)to - (uintptr_t)from;
    if (LIKELY(distance >= n && -distance >= n)) {
        arch_copy(to, from, n);
    } else {
        memmove(to, from, n);
    }
}

static status_t copy_locked(struct aspace *to_as, uint64_t to, struct aspace *from_as,
                            uint64_t from, uint64_t size_bytes)
{
    while (size_bytes > 0) {
        uint64_t n = page_rest(from);
        n = n < page_rest(to) ? n : page_rest(to);
        n = n < size_bytes ? n : size_bytes;
        const uint8_t *source = locate(from_as, from, false);
        uint8_t *target = locate(to_as, to, true);
        if (source == NULL || target == NULL) {
            return source == NULL ? BAD_SOURCE : ST_BAD_ADDRESS;
        }
        copy_piece(target, source, n);
        from += n;
        to += n;
        size_bytes -= n;
    }
    return ST_OK;
}

static status_t copy_once(struct aspace *to_as, uint64_t to, struct aspace *from_as, uint64_t from,
                          uint64_t size_bytes)
{
    lock_pair(&to_as->lock, &from_as->lock);
    status_t status = from_as->dying ? BAD_SOURCE
                      : to_as->dying ? ST_BAD_ADDRESS
                                     : copy_locked(to_as, to, from_as, from, size_bytes);
    unlock_pair(&to_as->lock, &from_as->lock);
    return status;
}

status_t aspace_copy(struct aspace *to_as, uint64_t to, struct aspace *from_as, uint64_t from,
                     uint64_t size_bytes)
{
    status_t status = copy_once(to_as, to, from_as, from, size_bytes);
    bool again = UNLIKELY(status == ST_BAD_ADDRESS) && aspace_unshare(to_as, to, size_bytes);
    return again ? copy_once(to_as, to, from_as, from, size_bytes) : status;
}
