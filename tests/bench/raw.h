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
#include "capabilities.capnp.h"
#include "capos/start.h"
#include "kernel_log.capnp.h"
#include "status.capnp.h"
#include "time.capnp.h"
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

/* The next SQE, clear but for its operation and what it is about. */
static inline struct capos_sqe *raw_op(struct raw_ring *ring, uint8_t op, uint64_t about)
{
    struct capos_sqe *sqe = raw_sqe(ring);
    raw_clear(sqe);
    sqe->op = op;
    sqe->cap = about;
    return sqe;
}

/* A call in payload slot 0, whose answer goes there too; of no parameters until the caller says of which. */
static inline struct capos_sqe *raw_call(struct raw_ring *ring, capos_cap_t cap, uint64_t interface,
                                         uint16_t method)
{
    struct capos_sqe *sqe = raw_op(ring, CAPOS_OP_CALL, cap);
    sqe->flags = CAPOS_SQE_INLINE;
    sqe->method = method;
    sqe->interface = interface;
    sqe->result_len = CAPOS_PAYLOAD_SLOT_BYTES;
    return sqe;
}

/* Receives (or answers and receives): in the payload slot, where the message has room there. */
static inline struct capos_sqe *raw_receive(struct raw_ring *ring, uint8_t op, capos_cap_t serve)
{
    struct capos_sqe *sqe = raw_op(ring, op, serve);
    sqe->flags = CAPOS_SQE_INLINE;
    return sqe;
}

static inline void raw_signal(struct raw_ring *ring, capos_cap_t bell, uint64_t bits)
{
    raw_op(ring, CAPOS_OP_SIGNAL, bell)->params = bits;
}

/* Waits for an event; of a notification, for these bits of it. */
static inline void raw_wait(struct raw_ring *ring, capos_cap_t cap, uint16_t event, uint64_t bits)
{
    struct capos_sqe *sqe = raw_op(ring, CAPOS_OP_WAIT, cap);
    sqe->method = event;
    sqe->params = bits;
}

/* Publishes what was filled and stays in the kernel until so many completions are there. */
static inline void raw_submit(struct raw_ring *ring, uint32_t count)
{
    raw_publish(ring);
    raw_require((raw_enter(count, CAPOS_FOREVER) & (int64_t)CAPOS_ENTER_READY_MASK) == count, 11);
}

/* Publishes what was filled and looks for a completion for quite a while before it waits for one in the kernel. */
static inline void raw_poll(struct raw_ring *ring)
{
    raw_publish(ring);
    raw_require(raw_enter(0, 0) >= 0, 96);
    for (unsigned looks = 0;
         __atomic_load_n(&ring->header->cq_tail, __ATOMIC_ACQUIRE) == ring->cq_head; looks++) {
        if (looks < 1000000) {
            __asm__ volatile("pause");
        } else {
            raw_require(raw_enter(1, CAPOS_FOREVER) >= 0, 97);
        }
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

/* How many bytes a built message has. */
static inline uint32_t raw_finish(struct capnp_builder *builder)
{
    size_t len;
    raw_require(capnp_finish(builder, &len) == CAPNP_OK, 92);
    return (uint32_t)len;
}

/*
 * A call whose message is in `words`, with room for a transfer of each of `carried` behind it, and whose answer may
 * bring capabilities. Returns the completion's result.
 */
static inline int32_t raw_transact(struct raw_ring *ring, struct capos_sqe call, uint64_t *words,
                                   uint32_t len, const capos_cap_t carried[], uint8_t count,
                                   uint64_t result[16])
{
    call.op = CAPOS_OP_CALL;
    call.params = (uint64_t)words;
    call.params_len = len;
    call.xfer_count = count;
    call.accept_count = 2;
    call.result = (uint64_t)result;
    call.result_len = 16 * sizeof(result[0]);
    if (count != 0) {
        struct capos_transfer *xfers = (struct capos_transfer *)(void *)&words[len / 8 + 1];
        words[len / 8] = ring->sequence++;
        for (unsigned i = 0; i < count; i++) {
            xfers[i] = (struct capos_transfer){.cap = carried[i]};
        }
    }
    return raw_run(ring, &call);
}

/* The capability records behind an answer of so many bytes. */
static inline const struct capos_cap_record *raw_records(const uint64_t *result, int32_t bytes)
{
    return (const struct capos_cap_record *)(const void *)&result[bytes / 8];
}

/* One more capability for what a capability is for: CapabilityManager.attenuate. */
static inline capos_cap_t raw_copy(struct raw_ring *ring, capos_cap_t manager, capos_cap_t cap)
{
    uint64_t words[8], result[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words) - 24);
    CapabilityManager_attenuate_params_b params = CapabilityManager_attenuate_params_init(&builder);
    CapabilityManager_attenuate_params_set_methods(params, 1);
    struct capos_sqe call = {.cap = manager,
                             .interface = CapabilityManager_ID,
                             .method = CapabilityManager_attenuate_ORDINAL};
    uint32_t len = raw_finish(&builder);
    int32_t bytes = raw_transact(ring, call, words, len, &cap, 1, result);
    raw_require(bytes > 0, 32);
    return raw_records(result, bytes)->cap;
}

/* A line of the kernel log: what the harness reads. */
static inline void raw_log(struct raw_ring *ring, capos_cap_t log, const char *text)
{
    uint64_t words[40], result[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    KernelLog_append_params_b params = KernelLog_append_params_init(&builder);
    KernelLog_append_params_set_text(params, text, strlen(text));
    struct capos_sqe call = {
        .cap = log, .interface = KernelLog_ID, .method = KernelLog_append_ORDINAL};
    uint32_t len = raw_finish(&builder);
    raw_require(raw_transact(ring, call, words, len, NULL, 0, result) >= 0, 93);
}

/* Timer.now. */
static inline uint64_t raw_now_ns(struct raw_ring *ring, capos_cap_t timer)
{
    (void)raw_call(ring, timer, Timer_ID, Timer_now_ORDINAL);
    raw_submit(ring, 1);
    raw_require(raw_reap(ring) == 16, 95);
    raw_reaped(ring);
    return *(volatile uint64_t *)(void *)(ring->payload + 8);
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
