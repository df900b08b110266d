/* SPDX-License-Identifier: MIT */
/*
 * The waiting side of spin locks, and the rank checker of debug builds.
 *
 * The checker keeps, for each CPU, the locks it holds in the order they were taken. Only that CPU
 * touches its list. It checks before it waits, so an inversion is reported even on the day that it
 * does not deadlock.
 */
#include "core/lock.h"

#include <stddef.h>

#include "arch/cpu.h"
#include "core/panic.h"

void lock_init(struct spinlock *lock, enum lock_rank rank)
{
    atomic_store_relaxed(&lock->next, 0);
    atomic_store_relaxed(&lock->serving, 0);
    lock->rank = (uint8_t)rank;
}

void lock_wait(struct spinlock *lock, uint16_t ticket)
{
    while (atomic_load_acquire(&lock->serving) != ticket) {
        arch_cpu_relax();
    }
}

#ifdef CAPOS_DEBUG

/* More than ranks, since two of a rank may be held. */
enum { HELD_MAX = 2 * LOCK_RANKS };

struct held_locks {
    uint32_t count;
    const struct spinlock *lock[HELD_MAX];
} ALIGNED(64);

static struct held_locks held_locks[ARCH_CPU_MAX]; /* each by its own CPU */

static const char *const rank_names[LOCK_RANKS] = {
    [LOCK_NONE] = "none",
    [LOCK_GRANT] = "grant",
    [LOCK_CAP_TABLE] = "capability table",
    [LOCK_OBJECT] = "object",
    [LOCK_INFLIGHT] = "inflight",
    [LOCK_ADDRESS_SPACE] = "address space",
    [LOCK_MEMORY_OBJECT] = "memory object",
    [LOCK_REGISTRY] = "registry",
    [LOCK_RING] = "ring",
    [LOCK_THREAD] = "thread",
    [LOCK_RUN_QUEUE] = "run queue",
    [LOCK_TIMER] = "timer",
    [LOCK_JOBS] = "jobs",
    [LOCK_SLAB] = "slab",
    [LOCK_FRAMES] = "frames",
    [LOCK_LOG] = "log",
};

static const char *rank_name(const struct spinlock *lock)
{
    return lock->rank < LOCK_RANKS ? rank_names[lock->rank] : "unknown";
}

/* `pair`: the second of lock_pair may be of the rank of the first. */
static void held_push(const struct spinlock *lock, bool pair)
{
    struct held_locks *held = &held_locks[arch_cpu_id()];
    for (uint32_t i = 0; i < held->count; i++) {
        const struct spinlock *other = held->lock[i];
        if (other == lock) {
            panic("lock %s at %p taken twice", rank_name(lock), (const void *)lock);
        }
        if (other->rank > lock->rank || (other->rank == lock->rank && !pair)) {
            panic("lock order: %s at %p taken while %s at %p is held", rank_name(lock),
                  (const void *)lock, rank_name(other), (const void *)other);
        }
    }
    if (held->count == HELD_MAX) {
        panic("lock %s at %p: too many held", rank_name(lock), (const void *)lock);
    }
    held->lock[held->count++] = lock;
}

static void held_pop(const struct spinlock *lock)
{
    struct held_locks *held = &held_locks[arch_cpu_id()];
    for (uint32_t i = held->count; i-- > 0;) {
        if (held->lock[i] == lock) {
            held->count--;
            for (; i < held->count; i++) {
                held->lock[i] = held->lock[i + 1];
            }
            return;
        }
    }
    panic("lock %s at %p released but not held", rank_name(lock), (const void *)lock);
}

static void acquire(struct spinlock *lock, bool pair)
{
    held_push(lock, pair);
    uint16_t ticket = atomic_add_relaxed(&lock->next, 1);
    lock_wait(lock, ticket);
}

void lock_acquire(struct spinlock *lock)
{
    acquire(lock, false);
}

void lock_release(struct spinlock *lock)
{
    held_pop(lock);
    uint16_t serving = atomic_load_relaxed(&lock->serving);
    atomic_store_release(&lock->serving, (uint16_t)(serving + 1));
}

void lock_assert_held(const struct spinlock *lock)
{
    const struct held_locks *held = &held_locks[arch_cpu_id()];
    for (uint32_t i = 0; i < held->count; i++) {
        if (held->lock[i] == lock) {
            return;
        }
    }
    panic("lock %s at %p should be held", rank_name(lock), (const void *)lock);
}

void lock_assert_none(void)
{
    const struct held_locks *held = &held_locks[arch_cpu_id()];
    if (held->count != 0) {
        panic("lock %s at %p is held on the way out", rank_name(held->lock[0]),
              (const void *)held->lock[0]);
    }
}

#else

static void acquire(struct spinlock *lock, bool pair)
{
    (void)pair;
    lock_acquire(lock);
}

void lock_assert_held(const struct spinlock *lock)
{
    (void)lock;
}

void lock_assert_none(void)
{
}

#endif

void lock_pair(struct spinlock *a, struct spinlock *b)
{
    if (a == b) {
        lock_acquire(a);
        return;
    }
    struct spinlock *first = (uintptr_t)a < (uintptr_t)b ? a : b;
    struct spinlock *second = first == a ? b : a;
    lock_acquire(first);
    acquire(second, true);
}

void unlock_pair(struct spinlock *a, struct spinlock *b)
{
    lock_release(a);
    if (a != b) {
        lock_release(b);
    }
}
