/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_race.h"

#include <string.h>

uint64_t race_get(struct user *user, uint64_t address)
{
    return __atomic_load_n((uint64_t *)user_ptr(user, address), __ATOMIC_RELAXED);
}

void race_put(struct user *user, uint64_t address, uint64_t word)
{
    __atomic_store_n((uint64_t *)user_ptr(user, address), word, __ATOMIC_RELAXED);
}

void race_put_words(struct user *user, uint64_t address, const void *from, size_t bytes)
{
    const uint64_t *words = from;
    for (size_t i = 0; i < bytes / 8; i++) {
        race_put(user, address + i * 8, words[i]);
    }
}

void race_submit(struct user *user, const struct capos_sqe *sqe)
{
    const struct ring *ring = user->thread->ring;
    uint64_t slot = user->sq_tail % ring->sq_entries;
    race_put_words(user, ring->user_address + ring->sq_offset + slot * sizeof(*sqe), sqe,
                   sizeof(*sqe));
    __atomic_store_n(&user_ring(user)->sq_tail, ++user->sq_tail, __ATOMIC_RELEASE);
}

bool race_reap(struct user *user, struct capos_cqe *out)
{
    const struct ring *ring = user->thread->ring;
    struct capos_ring_header *header = user_ring(user);
    if (user->cq_head == __atomic_load_n(&header->cq_tail, __ATOMIC_ACQUIRE)) {
        return false;
    }
    uint64_t slot = user->cq_head % ring->cq_entries;
    uint64_t at = ring->user_address + ring->cq_offset + slot * sizeof(*out);
    uint64_t words[sizeof(*out) / 8];
    for (unsigned i = 0; i < sizeof(*out) / 8; i++) {
        words[i] = race_get(user, at + i * 8);
    }
    memcpy(out, words, sizeof(*out));
    __atomic_store_n(&header->cq_head, ++user->cq_head, __ATOMIC_RELEASE);
    return true;
}

void race_enter(struct user *user, uint64_t min_complete)
{
    host_syscall(user->thread, CAPOS_SYS_ENTER, min_complete, arch_time_ns() + 1000000);
}

void race_push(struct thread *thread, const struct capos_sqe *sqe)
{
    const struct arch_aspace *as = &thread->process->aspace.arch;
    uint64_t at = thread->ring->user_address;
    struct capos_ring_header *ring = host_user(as, at, true);
    uint64_t tail = ring->sq_tail;
    __atomic_store_n(&ring->cq_head, __atomic_load_n(&ring->cq_tail, __ATOMIC_ACQUIRE),
                     __ATOMIC_RELEASE);
    uint64_t slot = ring->sq_offset + tail % ring->sq_entries * sizeof(*sqe);
    memcpy(host_user(as, at + slot, true), sqe, sizeof(*sqe));
    __atomic_store_n(&ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

void race_ended(struct user *const users[], unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        users[i]->gone = true;
    }
    for (unsigned i = 0; i < count; i++) {
        user_ended(users[i]);
    }
}
