/* SPDX-License-Identifier: MIT */
/*
 * The shortest call: an INLINE CALL without parameters to a kernel method that is marked $quick, answered
 * while the SQE lies in shared memory still. Whatever is not as it must be, a refusal too, is left to the
 * usual way (call.c), which looks at everything again; so there is one place that says what is wrong.
 */
#ifndef CAPOS_KERNEL_RING_QUICK_H
#define CAPOS_KERNEL_RING_QUICK_H

#include "object/invoke.h"
#include "object/process.h"
#include "ring/ring.h"

/* Word 0 of such an SQE: CALL, INLINE, any method an interface can have. */
#define QUICK_WORD0 ((uint64_t)CAPOS_OP_CALL | (uint64_t)CAPOS_SQE_INLINE << 16)
#define QUICK_METHOD (UINT64_C(0x3f) << 32)

/* The result goes to a whole payload slot that is near, and there is no message; else: look more closely. */
static ALWAYS_INLINE bool quick_place(const struct ring *ring, uint64_t offset, uint64_t lens)
{
    const uint64_t lens_allowed = UINT64_C(0x1f8)
                                  << 32; /* no message; result_len below 512, aligned */
    return LIKELY((lens & ~lens_allowed) == 0 &&
                  (lens >> 32) - INVOKE_QUICK_BYTES <=
                      CAPOS_PAYLOAD_SLOT_BYTES - INVOKE_QUICK_BYTES &&
                  offset % CAPOS_PAYLOAD_SLOT_BYTES == 0 &&
                  offset < atomic_load_relaxed(&ring->payload_near));
}

static ALWAYS_INLINE uint64_t *quick_slot(struct ring *ring, uint64_t offset)
{
    return ring_entry(ring, ring->payload_offset + offset);
}

/* The bytes of the result, which lie in the slot; 0: take the usual way. The table is locked. */
static ALWAYS_INLINE uint32_t quick_answer(const struct cap_table *table, const uint8_t *shared,
                                           uint64_t method, uint64_t *message)
{
    const struct cap_slot *slot = table_usable_slot(table, ring_load(shared + 8));
    if (UNLIKELY(slot == NULL)) {
        return 0;
    }
    quick_fn answer = kernel_quick[slot->ktype][method];
    if (UNLIKELY(answer == NULL || slot->interface != ring_load(shared + 48) ||
                 (slot->facet >> method & 1) == 0)) {
        return 0;
    }
    return answer(slot->object, message);
}

/* The one at `shared` with this word 0, alone: the bytes of its result, or 0. */
static ALWAYS_INLINE uint32_t quick_one(struct ring *ring, uint64_t w0, const uint8_t *shared)
{
    struct cap_table *table = &ring->process->table;
    uint64_t place = ring_load(shared + 32);
    if (!quick_place(ring, place, ring_load(shared + 40))) {
        return 0;
    }
    uint64_t *message = quick_slot(ring, place);
    lock_acquire(&table->lock);
    uint32_t bytes = quick_answer(table, shared, w0 >> 32, message);
    lock_release(&table->lock);
    return bytes;
}

/* Answers such SQEs from `position` on, before `end`, as long as they are. Returns the position it got to.
 * The caller made sure of the room for their completions. */
NOINLINE static uint64_t quick_run(struct ring *ring, uint64_t position, uint64_t end)
{
    struct cap_table *table = &ring->process->table;
    bool alone = ring_is_alone(ring);
    lock_acquire(&table->lock);
    if (UNLIKELY(!alone)) {
        lock_acquire(&ring->lock);
    }
    uint64_t start = position;
    uint64_t tail = atomic_load_relaxed(&ring->cq_tail);
    uint32_t began = (uint32_t)arch_cycles(); /* half a counter is enough for these */
    do {
        const uint8_t *shared = ring_sqe(ring, position);
        uint64_t w0 = ring_load(shared);
        uint64_t place = ring_load(shared + 32);
        if (UNLIKELY((w0 & ~QUICK_METHOD) != QUICK_WORD0 ||
                     !quick_place(ring, place, ring_load(shared + 40)))) {
            break;
        }
        uint64_t *message = quick_slot(ring, place);
        uint32_t bytes = quick_answer(table, shared, w0 >> 32, message);
        if (UNLIKELY(bytes == 0)) {
            break;
        }
        uint32_t now = (uint32_t)arch_cycles();
        ring_put_cqe(ring, tail++, ring_load(shared + 16), bytes, 0, now - began);
        began = now;
    } while (++position != end);
    ring->claimed += position - start;
    ring_publish(ring, tail);
    if (UNLIKELY(!alone)) {
        lock_release(&ring->lock);
    }
    lock_release(&table->lock);
    return position;
}

#endif
