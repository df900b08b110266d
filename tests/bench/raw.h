/* SPDX-License-Identifier: MIT */
/*
 * The bare ring, for measuring: what a program pays that fills SQEs and reaps CQEs itself. A program
 * that uses this uses nothing of libcapos but its start-up, for the library keeps indices of its own.
 *
 * All functions are inline so that the count of an operation holds its user side and nothing else.
 */
#ifndef CAPOS_BENCH_RAW_H
#define CAPOS_BENCH_RAW_H

#include "abi/ring.h"
#include "abi/syscall.h"
#include "capos/start.h"
#include "kernel_log.capnp.h"
#include "status.capnp.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"

struct raw_ring {
    volatile struct capos_ring_header *header;
    struct capos_sqe *sq;
    volatile struct capos_cqe *cq;
    uint8_t *payload;
    uint64_t sq_tail, cq_head;
    uint64_t sq_mask, cq_mask;
    uint64_t sequence;
};

static inline void raw_open_at(struct raw_ring *ring, uint8_t *base)
{
    ring->header = (volatile struct capos_ring_header *)(void *)base;
    ring->sq = (struct capos_sqe *)(void *)(base + ring->header->sq_offset);
    ring->cq = (volatile struct capos_cqe *)(void *)(base + ring->header->cq_offset);
    ring->payload = base + ring->header->payload_offset;
    ring->sq_tail = ring->header->sq_tail;
    ring->cq_head = ring->header->cq_tail;
    ring->header->cq_head = ring->cq_head;
    ring->sq_mask = ring->header->sq_entries - 1;
    ring->cq_mask = ring->header->cq_entries - 1;
    ring->sequence = ring->header->next_sequence;
}

static inline void raw_open(struct raw_ring *ring)
{
    raw_open_at(ring, (uint8_t *)capos_capset()->ring);
}

static inline int64_t raw_enter(uint64_t min_complete, uint64_t deadline_ns)
{
    register uint64_t number __asm__("rax") = CAPOS_SYS_ENTER;
    register uint64_t min __asm__("rdi") = min_complete;
    register uint64_t deadline __asm__("rsi") = deadline_ns;
    __asm__ volatile("syscall"
                     : "+r"(number), "+r"(min), "+r"(deadline)
                     :
                     : "rcx", "r11", "rdx", "r8", "r9", "r10", "memory");
    return (int64_t)number;
}

/* The next SQE to fill; it must be filled whole. */
static inline struct capos_sqe *raw_sqe(struct raw_ring *ring)
{
    return &ring->sq[ring->sq_tail++ & ring->sq_mask];
}

static inline void raw_clear(struct capos_sqe *sqe)
{
    uint64_t *words = (uint64_t *)(void *)sqe;
    for (unsigned i = 0; i < sizeof(*sqe) / 8; i++) {
        words[i] = 0;
    }
}

static inline void raw_publish(struct raw_ring *ring)
{
    __atomic_store_n(&ring->header->sq_tail, ring->sq_tail, __ATOMIC_RELEASE);
}

/* Takes the next completion, which is there. */
static inline int32_t raw_reap(struct raw_ring *ring)
{
    int32_t result = ring->cq[ring->cq_head & ring->cq_mask].result;
    ring->cq_head++;
    return result;
}

static inline void raw_reaped(struct raw_ring *ring)
{
    __atomic_store_n(&ring->header->cq_head, ring->cq_head, __ATOMIC_RELEASE);
}

/* Ends the process when something is not as it must be: a figure that was not checked is none. */
static inline void raw_require(bool condition, int code)
{
    if (!condition) {
        capos_sys_exit(code);
    }
}

/* One operation: submit, wait, reap. */
static inline int32_t raw_run(struct raw_ring *ring, const struct capos_sqe *sqe)
{
    *raw_sqe(ring) = *sqe;
    raw_publish(ring);
    while (ring->header->cq_tail == ring->cq_head) {
        raw_require(raw_enter(1, CAPOS_FOREVER) >= 0, 91);
    }
    int32_t result = raw_reap(ring);
    raw_reaped(ring);
    return result;
}

/* A line of the kernel log: what the harness reads. */
static inline void raw_log(struct raw_ring *ring, capos_cap_t log, const char *text)
{
    uint64_t words[40];
    size_t len;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    KernelLog_append_params_b params = KernelLog_append_params_init(&builder);
    KernelLog_append_params_set_text(params, text, strlen(text));
    raw_require(capnp_finish(&builder, &len) == CAPNP_OK, 92);
    uint64_t result[2];
    struct capos_sqe sqe = {
        .op = CAPOS_OP_CALL,
        .method = KernelLog_append_ORDINAL,
        .cap = log,
        .interface = KernelLog_ID,
        .params = (uint64_t)words,
        .params_len = (uint32_t)len,
        .result = (uint64_t)result,
        .result_len = sizeof(result),
    };
    raw_require(raw_run(ring, &sqe) >= 0, 93);
}

static inline uint64_t raw_cycles(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline capos_cap_t raw_cap(const char *name)
{
    const struct capos_capset_entry *entry = capos_capset_find(name);
    raw_require(entry != NULL, 94);
    return entry->cap;
}

#endif
