/* SPDX-License-Identifier: MIT */
/*
 * Touching user memory: through the tables of the address space that this CPU has loaded. What user
 * code may write at the same time is read and written by atomic words, so that ThreadSanitizer sees
 * intended races as such.
 */
#include "arch/user.h"

#include "host_private.h"

#include "lib/base/string.h"

static bool both_aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 7) == 0;
}

void arch_copy(void *to, const void *from, size_t size_bytes)
{
    size_t i = 0;
    if (both_aligned(to, from)) {
        for (; i + 8 <= size_bytes; i += 8) {
            uint64_t word = __atomic_load_n(
                (const uint64_t *)(const void *)((const char *)from + i), __ATOMIC_RELAXED);
            __atomic_store_n((uint64_t *)(void *)((char *)to + i), word, __ATOMIC_RELAXED);
        }
    }
    for (; i < size_bytes; i++) {
        uint8_t byte = __atomic_load_n((const uint8_t *)from + i, __ATOMIC_RELAXED);
        __atomic_store_n((uint8_t *)to + i, byte, __ATOMIC_RELAXED);
    }
}

void arch_zero_page(void *page)
{
    memset(page, 0, PAGE_BYTES);
}

/* Host address of user address; NULL: the copy fails here. */
static void *loaded_user(uint64_t address, bool write)
{
    struct arch_aspace *as = atomic_load_relaxed(&host_this()->loaded);
    return as != NULL ? host_user(as, address, write) : NULL;
}

static size_t to_page_end(uint64_t address, size_t size)
{
    size_t room = (size_t)(PAGE_BYTES - address % PAGE_BYTES);
    return size < room ? size : room;
}

bool arch_copy_from_user(void *to, struct uaddr from, size_t size_bytes)
{
    char *out = to;
    if (!arch_user_range_ok(from, size_bytes)) {
        return false;
    }
    for (uint64_t at = from.v; size_bytes > 0;) {
        size_t n = to_page_end(at, size_bytes);
        const void *page = loaded_user(at, false);
        if (page == NULL) {
            return false;
        }
        arch_copy(out, page, n);
        out += n;
        at += n;
        size_bytes -= n;
    }
    return true;
}

bool arch_copy_to_user(struct uaddr to, const void *from, size_t size_bytes)
{
    const char *in = from;
    if (!arch_user_range_ok(to, size_bytes)) {
        return false;
    }
    for (uint64_t at = to.v; size_bytes > 0;) {
        size_t n = to_page_end(at, size_bytes);
        void *page = loaded_user(at, true);
        if (page == NULL) {
            return false;
        }
        arch_copy(page, in, n);
        in += n;
        at += n;
        size_bytes -= n;
    }
    return true;
}

bool arch_load_user_u32(struct uaddr from, uint32_t *out)
{
    const uint32_t *word = from.v % 4 == 0 ? loaded_user(from.v, false) : NULL;
    if (word == NULL) {
        return false;
    }
    *out = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    return true;
}

bool arch_load_user_u64(struct uaddr from, uint64_t *out)
{
    const uint64_t *word = from.v % 8 == 0 ? loaded_user(from.v, false) : NULL;
    if (word == NULL) {
        return false;
    }
    *out = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    return true;
}

bool arch_store_user_u64(struct uaddr to, uint64_t value)
{
    uint64_t *word = to.v % 8 == 0 ? loaded_user(to.v, true) : NULL;
    if (word == NULL) {
        return false;
    }
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    return true;
}
