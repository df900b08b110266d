/* SPDX-License-Identifier: MIT */
/*
 * One contiguous arena of blocks with boundary tags, free blocks in bins by size.
 *
 * A block is a 16-byte header {size of the block before, own size | USED} and its payload. The arena
 * ends in a USED header of size 0. Free neighbours are always merged, so no two adjoin. Bin n holds
 * blocks of [2^n, 2^(n+1)) units; the first that fits in the wanted bin, else the first of a higher
 * one. The arena grows at its end only and is never given back.
 */
#include "capos/heap.h"

#include "capos/start.h"
#include "capos/thread.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "memory.client.h"
#include "status.capnp.h"

enum {
    UNIT = 16,
    USED_BIT = 1,
    BINS = 32,
    MIN_BLOCK = 32, /* header and the two links of a free block */
    GROW_BYTES = 64 * 1024,
    COMMIT_BYTES = 4 * 1024 * 1024, /* at most, in one call */
};

struct block;

struct block_links {
    struct block *next;
    struct block *prev;
};

struct block {
    size_t before;              /* size of the block in front; 0 for the first */
    size_t size;                /* multiple of UNIT, with USED_BIT */
    struct block_links links[]; /* while free; the end mark has none */
};
static_assert(sizeof(struct block) == UNIT, "block header");

static struct {
    uint8_t *base;
    size_t size;      /* in use as arena */
    size_t committed; /* >= size: what a grow that failed half-way left is used by the next */
    size_t reserve;   /* how far it may grow */
    size_t used;
    capos_cap_t memory;
    struct block *bins[BINS];
    struct capos_mutex mutex; /* of all of it, and of the blocks' headers */
} heap;

static _Alignas(UNIT) uint8_t arena[CAPOS_HEAP_ARENA_BYTES];

static size_t block_size(const struct block *b)
{
    return b->size & ~(size_t)USED_BIT;
}

static struct block *block_at(void *base, size_t offset)
{
    return (struct block *)(void *)((uint8_t *)base + offset);
}

static unsigned bin_of(size_t size)
{
    unsigned bin = bit_highest(size / UNIT);
    return bin < BINS ? bin : BINS - 1;
}

static void bin_add(struct block *b)
{
    struct block **head = &heap.bins[bin_of(b->size)];
    b->links->next = *head;
    b->links->prev = NULL;
    if (*head != NULL) {
        (*head)->links->prev = b;
    }
    *head = b;
}

static void bin_remove(struct block *b)
{
    if (b->links->prev != NULL) {
        b->links->prev->links->next = b->links->next;
    } else {
        heap.bins[bin_of(b->size)] = b->links->next;
    }
    if (b->links->next != NULL) {
        b->links->next->links->prev = b->links->prev;
    }
}

static void set_size(struct block *b, size_t size, size_t used)
{
    b->size = size | used;
    block_at(b, size)->before = size;
}

/* Makes `b`, in no bin, free: merged with free neighbours and put into its bin. */
static void give(struct block *b)
{
    size_t size = block_size(b);
    struct block *after = block_at(b, size);
    if ((after->size & USED_BIT) == 0) {
        bin_remove(after);
        size += after->size;
    }
    if (b->before != 0) {
        struct block *front = (struct block *)(void *)((uint8_t *)b - b->before);
        if ((front->size & USED_BIT) == 0) {
            bin_remove(front);
            size += front->size;
            b = front;
        }
    }
    set_size(b, size, 0);
    bin_add(b);
}

static bool reserve_range(void)
{
    heap.memory = capos_capset_try("memory", VirtualMemory_ID);
    if (heap.memory == 0) {
        return false;
    }
    for (size_t bytes = CAPOS_HEAP_RESERVE_BYTES; bytes >= GROW_BYTES; bytes /= 2) {
        uint64_t address = 0;
        if (VirtualMemory_reserve(heap.memory, 0, bytes, &address) == ST_OK) {
            heap.base = (uint8_t *)(uintptr_t)address;
            heap.reserve = bytes;
            return true;
        }
    }
    return false;
}

static bool commit(size_t bytes)
{
    if (heap.memory == 0 || heap.size + bytes > heap.reserve) {
        return false;
    }
    while (heap.committed < heap.size + bytes) {
        uint64_t piece = min_u64(heap.size + bytes - heap.committed, COMMIT_BYTES);
        if (VirtualMemory_commit(heap.memory, (uintptr_t)heap.base + heap.committed, piece,
                                 PROTECTION_READ_WRITE) != ST_OK) {
            return false;
        }
        heap.committed += piece;
    }
    return true;
}

/* Writes the end mark. */
static void seal_end(void)
{
    block_at(heap.base, heap.size - UNIT)->size = USED_BIT;
}

static void begin_arena(size_t size)
{
    heap.size = size;
    struct block *first = block_at(heap.base, 0);
    first->before = 0;
    first->size = size - UNIT;
    set_size(first, size - UNIT, USED_BIT);
    seal_end();
    give(first);
}

static bool heap_start(void)
{
    if (reserve_range() && commit(GROW_BYTES)) {
        begin_arena(GROW_BYTES);
        return true;
    }
    heap.memory = 0;
    heap.base = arena;
    heap.reserve = sizeof(arena);
    begin_arena(sizeof(arena));
    return true;
}

static bool grow(size_t bytes)
{
    if (heap.base == NULL) {
        return heap_start();
    }
    size_t more = (size_t)align_up(bytes + UNIT, GROW_BYTES);
    if (more < bytes || !commit(more)) {
        return false;
    }
    struct block *b = block_at(heap.base, heap.size - UNIT);
    heap.size += more;
    set_size(b, more, USED_BIT);
    seal_end();
    give(b);
    return true;
}

static struct block *find(size_t size)
{
    for (unsigned bin = bin_of(size); bin < BINS; bin++) {
        for (struct block *b = heap.bins[bin]; b != NULL; b = b->links->next) {
            if (b->size >= size) {
                return b;
            }
        }
    }
    return NULL;
}

/* Cuts what is over `size` off a used block. */
static void trim(struct block *b, size_t size)
{
    size_t whole = block_size(b);
    if (whole - size < MIN_BLOCK) {
        return;
    }
    set_size(b, size, USED_BIT);
    struct block *rest = block_at(b, size);
    set_size(rest, whole - size, USED_BIT);
    give(rest);
}

static size_t wanted_size(size_t bytes)
{
    size_t size = (size_t)align_up(bytes + UNIT, UNIT);
    return size < MIN_BLOCK ? MIN_BLOCK : size;
}

static void *alloc_locked(size_t size)
{
    struct block *b = find(size);
    while (b == NULL) {
        if (!grow(size)) {
            return NULL;
        }
        b = find(size);
        if (b == NULL && heap.memory == 0) {
            return NULL;
        }
    }
    bin_remove(b);
    set_size(b, b->size, USED_BIT);
    trim(b, size);
    heap.used += block_size(b);
    return (uint8_t *)b + UNIT;
}

void *capos_alloc(size_t bytes)
{
    if (bytes == 0 || bytes > CAPOS_HEAP_RESERVE_BYTES) {
        return NULL;
    }
    capos_mutex_lock(&heap.mutex);
    void *block = alloc_locked(wanted_size(bytes));
    capos_mutex_unlock(&heap.mutex);
    return block;
}

void *capos_alloc_zeroed(size_t count, size_t bytes)
{
    uint64_t total;
    if (!mul_checked(count, bytes, &total)) {
        return NULL;
    }
    void *block = capos_alloc(total);
    if (block != NULL) {
        memset(block, 0, total);
    }
    return block;
}

static struct block *block_of(void *payload)
{
    struct block *b = (struct block *)(void *)((uint8_t *)payload - UNIT);
    bool inside = (uint8_t *)b >= heap.base && (uint8_t *)b < heap.base + heap.size;
    if (!inside || !is_aligned((uintptr_t)payload, UNIT) || (b->size & USED_BIT) == 0 ||
        block_at(b, block_size(b))->before != block_size(b)) {
        capos_sys_exit(CAPOS_EXIT_HEAP);
    }
    return b;
}

void capos_free(void *payload)
{
    if (payload == NULL) {
        return;
    }
    capos_mutex_lock(&heap.mutex);
    struct block *b = block_of(payload);
    heap.used -= block_size(b);
    give(b);
    capos_mutex_unlock(&heap.mutex);
}

void *capos_realloc(void *payload, size_t bytes)
{
    if (payload == NULL) {
        return capos_alloc(bytes);
    }
    capos_mutex_lock(&heap.mutex);
    size_t room = block_size(block_of(payload)) - UNIT;
    capos_mutex_unlock(&heap.mutex);
    if (bytes != 0 && bytes <= room) {
        return payload;
    }
    void *fresh = capos_alloc(bytes);
    if (fresh != NULL) {
        memcpy(fresh, payload, room < bytes ? room : bytes);
        capos_free(payload);
    }
    return fresh;
}

struct capos_heap_stats capos_heap_stats(void)
{
    capos_mutex_lock(&heap.mutex);
    struct capos_heap_stats stats = {heap.used, heap.size};
    capos_mutex_unlock(&heap.mutex);
    return stats;
}
