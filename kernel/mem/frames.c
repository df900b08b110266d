/* SPDX-License-Identifier: MIT */
/*
 * The frame pool.
 *
 * A free frame is in exactly one of five places:
 *   virgin   from a section's cursor to its end: never handed out, nothing written to it;
 *   run      in a run that was given back whole; broken up when nothing else is left;
 *   pool     in a batch: CACHE_BATCH frames of which the first holds the numbers of the others;
 *   cache    in the array of one CPU;
 *   nowhere  it is in use.
 * So a free frame costs no memory, and boot touches none. Debug builds keep one bit per frame more,
 * set while the frame is free, to catch a second free and a foreign address.
 *
 * Invariants: F1 the caches of other CPUs are read (their counts only) for statistics, never taken
 * from. F2 a cache is touched by its own CPU alone, with interrupts off. F3 `pool` and the cursors
 * are under `lock`. F4 a frame is fetched from or given to the pool in batches, so a CPU takes the
 * lock at most once in CACHE_BATCH operations of one kind.
 *
 * Up to CACHE_FRAMES of memory per CPU may be out of reach of the others: who sets limits leaves
 * that much unpromised (frames_reserve_count).
 */
#include "mem/frames.h"

#include "lib/base/string.h"

#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/user.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/panic.h"
#include "lib/base/atomic.h"
#include "lib/base/bits.h"

enum { CACHE_BATCH = 16, CACHE_FRAMES = 2 * CACHE_BATCH };

struct section {
    uint64_t first;  /* frame numbers */
    uint64_t cursor; /* [l] first virgin one */
    uint64_t end;    /* [l] of the virgin ones: runs come from here */
    uint64_t limit;  /* of all */
    uint64_t bit;    /* number of its first bit in free_bits */
};

/* One per CPU, on cache lines of its own. */
struct frame_cache {
    _Atomic uint32_t count;
    struct paddr frame[CACHE_FRAMES];
} ALIGNED(ARCH_CACHE_LINE_BYTES);

/* What the first frame of a batch in the pool holds. */
struct pool_batch {
    struct paddr next; /* first frame of the next batch */
    struct paddr others[CACHE_BATCH - 1];
};

static struct section sections[2 * BOOT_MEMORY_MAX];
static size_t section_count;
static struct frame_cache caches[ARCH_CPU_MAX];
static struct spinlock pool_lock = SPINLOCK_INIT(LOCK_FRAMES);
static struct paddr pool_head = {UINT64_MAX}; /* [l] first batch */
static _Atomic uint64_t pool_count;           /* written under the lock */
static _Atomic uint64_t virgin_count;         /* written under the lock */
static struct paddr run_head = {UINT64_MAX};  /* [l] linked through their first words */
static _Atomic uint64_t run_count;            /* written under the lock; frames in them */
static uint64_t total_count;
static size_t carve_section; /* [l] where virgin frames come from now */

#ifdef CAPOS_DEBUG
static _Atomic uint64_t *free_bits;

static const struct section *section_of(uint64_t number)
{
    for (size_t i = 0; i < section_count; i++) {
        if (number >= sections[i].first && number < sections[i].limit) {
            return &sections[i];
        }
    }
    panic("frame %llx is not the pool's", (unsigned long long)number << PAGE_SHIFT);
}

static void note_free(struct paddr frame)
{
    const struct section *section = section_of(frame.v >> PAGE_SHIFT);
    uint64_t bit = section->bit + ((frame.v >> PAGE_SHIFT) - section->first);
    uint64_t before = atomic_or_relaxed(&free_bits[bit / 64], BIT64(bit % 64));
    if ((before & BIT64(bit % 64)) != 0) {
        panic("frame %llx freed twice", (unsigned long long)frame.v);
    }
}

static void note_used(struct paddr frame)
{
    const struct section *section = section_of(frame.v >> PAGE_SHIFT);
    uint64_t bit = section->bit + ((frame.v >> PAGE_SHIFT) - section->first);
    uint64_t before = atomic_and_relaxed(&free_bits[bit / 64], ~BIT64(bit % 64));
    if ((before & BIT64(bit % 64)) == 0) {
        panic("frame %llx handed out twice", (unsigned long long)frame.v);
    }
}

/* Takes room for the bits from the largest section; returns the frames spent. */
static uint64_t debug_bits_init(struct section *largest)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < section_count; i++) {
        sections[i].bit = bits;
        bits += sections[i].limit - sections[i].first;
    }
    uint64_t frames = align_up((bits + 7) / 8 + 8, PAGE_BYTES) >> PAGE_SHIFT;
    free_bits = arch_direct(paddr(largest->cursor << PAGE_SHIFT));
    for (uint64_t word = 0; word < frames * (PAGE_BYTES / 8); word++) {
        atomic_store_relaxed(&free_bits[word], UINT64_MAX);
    }
    return frames;
}
#else
static void note_free(struct paddr frame)
{
    (void)frame;
}

static void note_used(struct paddr frame)
{
    (void)frame;
}

static uint64_t debug_bits_init(struct section *largest)
{
    (void)largest;
    return 0;
}
#endif

static struct section *section_add(uint64_t first, uint64_t end)
{
    struct section *s = &sections[section_count++];
    *s = (struct section){.first = first, .cursor = first, .end = end, .limit = end};
    total_count += end - first;
    return s;
}

void frames_init(const struct boot_info *boot)
{
    struct section *largest = NULL;
    section_count = 0;
    carve_section = 0;
    total_count = 0;
    pool_head = run_head = PADDR_NONE;
    atomic_store_relaxed(&pool_count, 0);
    atomic_store_relaxed(&run_count, 0);
    for (size_t i = 0; i < ARCH_CPU_MAX; i++) {
        atomic_store_relaxed(&caches[i].count, 0);
    }
    for (size_t i = 0; i < boot->memory_count; i++) {
        const struct boot_memory *m = &boot->memory[i];
        if (m->kind != BOOT_MEMORY_FREE) {
            continue;
        }
        uint64_t first = m->base.v >> PAGE_SHIFT;
        uint64_t end = (m->base.v + m->size_bytes) >> PAGE_SHIFT;
        uint64_t last_run = end & ~(uint64_t)(FRAME_RUN - 1);
        if (last_run > first && last_run < end) { /* so that the rest ends where a run does */
            (void)section_add(last_run, end);
            end = last_run;
        }
        struct section *s = section_add(first, end);
        if (largest == NULL || s->end - s->first > largest->end - largest->first) {
            largest = s;
        }
    }
    if (largest == NULL) {
        panic("no free memory");
    }
    uint64_t spent = debug_bits_init(largest);
    if (spent >= largest->end - largest->first) {
        panic("no room for the frame pool");
    }
    largest->cursor += spent;
    total_count -= spent;
    atomic_store_relaxed(&virgin_count, total_count);
}

void *frames_carve(uint64_t size_bytes)
{
    uint64_t count = page_ceil(size_bytes) >> PAGE_SHIFT;
    for (size_t i = 0; i < section_count; i++) {
        struct section *s = &sections[i];
        if (s->end - s->cursor >= count) {
            void *memory = arch_direct(paddr(s->cursor << PAGE_SHIFT));
            s->cursor += count;
            total_count -= count;
            atomic_store_relaxed(&virgin_count, atomic_load_relaxed(&virgin_count) - count);
            memset(memory, 0, count << PAGE_SHIFT);
            return memory;
        }
    }
    panic("no room for %llu bytes at boot", (unsigned long long)size_bytes);
}

/* Takes a batch out of the pool; the lock is held. */
static void take_batch(struct paddr frames[CACHE_BATCH])
{
    const struct pool_batch *batch = arch_direct(pool_head);
    frames[0] = pool_head;
    pool_head = batch->next;
    for (uint32_t i = 1; i < CACHE_BATCH; i++) {
        frames[i] = batch->others[i - 1];
    }
    atomic_store_relaxed(&pool_count, atomic_load_relaxed(&pool_count) - CACHE_BATCH);
}

/* Takes virgin frames, up to a batch; returns how many there were. The lock is held. */
static uint32_t take_virgin(struct paddr frames[CACHE_BATCH])
{
    uint32_t count = 0;
    while (count < CACHE_BATCH && carve_section < section_count) {
        struct section *s = &sections[carve_section];
        if (s->cursor == s->end) {
            carve_section++;
        } else {
            frames[count++] = paddr(s->cursor++ << PAGE_SHIFT);
        }
    }
    atomic_store_relaxed(&virgin_count, atomic_load_relaxed(&virgin_count) - count);
    return count;
}

/* Breaks up a run: a batch to the caller, the others to the pool. The lock is held. */
static uint32_t take_from_run(struct paddr frames[CACHE_BATCH])
{
    if (paddr_is_none(run_head)) {
        return 0;
    }
    struct paddr run = run_head;
    run_head = *(struct paddr *)arch_direct(run);
    for (uint64_t i = 0; i < FRAME_RUN; i++) {
        struct paddr frame = paddr(run.v + (i << PAGE_SHIFT));
        struct pool_batch *batch =
            arch_direct(paddr(run.v + (i / CACHE_BATCH * CACHE_BATCH << PAGE_SHIFT)));
        if (i < CACHE_BATCH) {
            frames[i] = frame;
        } else if (i % CACHE_BATCH == 0) {
            batch->next = pool_head;
            pool_head = frame;
        } else {
            batch->others[i % CACHE_BATCH - 1] = frame;
        }
    }
    atomic_store_relaxed(&run_count, atomic_load_relaxed(&run_count) - FRAME_RUN);
    atomic_store_relaxed(&pool_count, atomic_load_relaxed(&pool_count) + FRAME_RUN - CACHE_BATCH);
    return CACHE_BATCH;
}

struct paddr frame_run_alloc(void)
{
    lock_acquire(&pool_lock);
    struct paddr run = run_head;
    if (!paddr_is_none(run)) {
        run_head = *(struct paddr *)arch_direct(run);
        atomic_store_relaxed(&run_count, atomic_load_relaxed(&run_count) - FRAME_RUN);
    }
    for (size_t i = section_count; i-- > 0 && paddr_is_none(run);) {
        struct section *s = &sections[i];
        if (s->end % FRAME_RUN == 0 && s->end - s->cursor >= FRAME_RUN) {
            s->end -= FRAME_RUN;
            run = paddr(s->end << PAGE_SHIFT);
            atomic_store_relaxed(&virgin_count, atomic_load_relaxed(&virgin_count) - FRAME_RUN);
        }
    }
    lock_release(&pool_lock);
    for (uint64_t i = 0; i < FRAME_RUN && !paddr_is_none(run); i++) {
        note_used(paddr(run.v + (i << PAGE_SHIFT)));
    }
    return run;
}

void frame_run_free(struct paddr run)
{
    for (uint64_t i = 0; i < FRAME_RUN; i++) {
        note_free(paddr(run.v + (i << PAGE_SHIFT)));
    }
    lock_acquire(&pool_lock);
    *(struct paddr *)arch_direct(run) = run_head;
    run_head = run;
    atomic_store_relaxed(&run_count, atomic_load_relaxed(&run_count) + FRAME_RUN);
    lock_release(&pool_lock);
}

static ALWAYS_INLINE struct paddr pop(struct frame_cache *cache, uint32_t count)
{
    struct paddr frame = cache->frame[count - 1];
    atomic_store_relaxed(&cache->count, count - 1);
    note_used(frame);
    return frame;
}

static ALWAYS_INLINE void push(struct frame_cache *cache, uint32_t count, struct paddr frame)
{
    cache->frame[count] = frame;
    atomic_store_relaxed(&cache->count, count + 1);
}

/* The cache is empty. */
static NOINLINE struct paddr refill_and_pop(struct frame_cache *cache)
{
    uint32_t count = CACHE_BATCH;
    lock_acquire(&pool_lock);
    if (!paddr_is_none(pool_head)) {
        take_batch(cache->frame);
    } else {
        count = take_virgin(cache->frame);
        count = count != 0 ? count : take_from_run(cache->frame);
    }
    lock_release(&pool_lock);
    return count != 0 ? pop(cache, count) : PADDR_NONE;
}

/* The cache is full: its older half, which is colder, goes to the pool. */
static NOINLINE void drain_and_push(struct frame_cache *cache, struct paddr frame)
{
    struct pool_batch *batch = arch_direct(cache->frame[0]);
    for (uint32_t i = 1; i < CACHE_BATCH; i++) {
        batch->others[i - 1] = cache->frame[i];
    }
    lock_acquire(&pool_lock);
    batch->next = pool_head;
    pool_head = cache->frame[0];
    atomic_store_relaxed(&pool_count, atomic_load_relaxed(&pool_count) + CACHE_BATCH);
    lock_release(&pool_lock);
    for (uint32_t i = 0; i < CACHE_BATCH; i++) {
        cache->frame[i] = cache->frame[i + CACHE_BATCH];
    }
    push(cache, CACHE_BATCH, frame);
}

struct paddr frame_alloc(void)
{
    struct frame_cache *cache = &caches[arch_cpu_id()];
    uint32_t count = atomic_load_relaxed(&cache->count);
    return LIKELY(count != 0) ? pop(cache, count) : refill_and_pop(cache);
}

struct paddr frame_alloc_zeroed(void)
{
    struct paddr frame = frame_alloc();
    if (LIKELY(!paddr_is_none(frame))) {
        frame_zero(frame);
    }
    return frame;
}

void frame_free(struct paddr frame)
{
    KASSERT(page_aligned(frame.v));
    note_free(frame);
    struct frame_cache *cache = &caches[arch_cpu_id()];
    uint32_t count = atomic_load_relaxed(&cache->count);
    if (LIKELY(count != CACHE_FRAMES)) {
        push(cache, count, frame);
    } else {
        drain_and_push(cache, frame);
    }
}

uint64_t frames_free_count(void)
{
    uint64_t count = atomic_load_relaxed(&pool_count) + atomic_load_relaxed(&virgin_count) +
                     atomic_load_relaxed(&run_count);
    for (size_t i = 0; i < ARCH_CPU_MAX; i++) {
        count += atomic_load_relaxed(&caches[i].count);
    }
    return count;
}

uint64_t frames_total_count(void)
{
    return total_count;
}

uint64_t frames_reserve_count(void)
{
    return (uint64_t)arch_cpu_count() * CACHE_FRAMES;
}

void page_zero(void *page)
{
    arch_zero_page(page);
}
