/* SPDX-License-Identifier: MIT */
/*
 * The ring client. Each thread has one, and what is begun on it stays there.
 *
 * An operation goes IDLE -> PENDING (our list, in order) -> QUEUED (submission queue and kernel) ->
 * DONE or, with a callback or nobody waiting, through the ready list back to IDLE.
 *
 * Each operation in flight owns one index of a table. The index, with a generation, is the user
 * data of the completion, so a completion is matched in any order and a foreign one is seen. It
 * also names the payload slot that a small message travels in: there are as many slots as
 * completion entries, and the table is never larger.
 *
 * Invariants
 *  1. in_flight <= table size <= CQ entries: the kernel can always complete what it has taken.
 *  2. An ordinary operation is queued only while in_flight < CQ entries - reserve, so the kernel has
 *     room for it, and the reserve class is never kept out by ordinary ones. Hence the ring stalls
 *     only if somebody else wrote to it; the tail is moved back then all the same (pull_back) and
 *     everything is submitted again.
 *  3. Operations leave PENDING in order, but RETURN, CANCEL and SIGNAL pass ordinary ones that wait
 *     for room. RELEASE passes those that do not use its capability.
 *  4. An SQE that transfers gets the ring's next number when it is put in the queue, so numbers rise
 *     in submission order. BAD_SEQUENCE did nothing: the operation is numbered anew and repeated.
 *  5. Callbacks run in capos_step only, never inside a synchronous call.
 *
 * Rejected: user_data as a pointer (a stale completion would be trusted); one result slot apart
 * from the parameter slot (the parameters are read before the result exists).
 */
#include "capos/ring.h"

#include "capos/start.h"
#include "internal.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "op_list.h"

enum {
    TABLE_MAX = 256,
    MAX_SEQUENCE_RETRIES = 4,
};

static _Thread_local struct {
    struct capos_ring_header *header;
    struct capos_sqe *sq;
    const struct capos_cqe *cq;
    uint8_t *payload;
    uint64_t sq_mask;
    uint64_t cq_mask;
    uint64_t sq_tail;
    uint64_t cq_head;
    uint64_t next_sequence;
    uint32_t table_size;
    uint32_t ordinary_limit;
    uint32_t in_flight;
    bool stopping;
    struct op_list pending;
    struct op_list ready;
    uint64_t free_map[TABLE_MAX / 64]; /* bit set: the index is free */
    struct capos_op *table[TABLE_MAX];
    uint32_t generation[TABLE_MAX];
    struct capos_ring_stats stats;
} ring;

/* The table */

static void table_reset(uint32_t size)
{
    ring.table_size = size;
    memset(ring.free_map, 0, sizeof(ring.free_map));
    for (uint32_t i = 0; i < size; i++) {
        ring.free_map[i / 64] |= BIT64(i % 64);
    }
}

static uint32_t table_add(struct capos_op *op)
{
    for (uint32_t word = 0; word < TABLE_MAX / 64; word++) {
        if (ring.free_map[word] != 0) {
            uint32_t index = word * 64 + bit_lowest(ring.free_map[word]);
            ring.free_map[word] &= ring.free_map[word] - 1;
            ring.table[index] = op;
            ring.generation[index]++;
            return index;
        }
    }
    return UINT32_MAX;
}

static void table_drop(uint32_t index)
{
    ring.table[index] = NULL;
    ring.free_map[index / 64] |= BIT64(index % 64);
}

/* Operations that may use the kept part of the completion queue. */
static bool op_is_reserve(const struct capos_op *op)
{
    switch (op->sqe.op) {
    case CAPOS_OP_CANCEL:
    case CAPOS_OP_RELEASE:
    case CAPOS_OP_RETURN:
    case CAPOS_OP_SIGNAL:
        return true;
    default:
        return false;
    }
}

bool capos_ring_open(void *memory, uint64_t ring_bytes)
{
    struct capos_ring_header *header = memory;
    if (ring_bytes < sizeof(*header) || header->magic != CAPOS_RING_MAGIC ||
        header->version != CAPOS_RING_VERSION || !is_power_of_two(header->sq_entries) ||
        header->cq_entries != header->sq_entries * 2 || header->total_bytes > ring_bytes) {
        return false;
    }
    memset(&ring, 0, sizeof(ring));
    capos_release_reset();
    uint8_t *base = memory;
    ring.header = header;
    ring.sq = (struct capos_sqe *)(void *)(base + header->sq_offset);
    ring.cq = (const struct capos_cqe *)(const void *)(base + header->cq_offset);
    ring.payload = base + header->payload_offset;
    ring.sq_mask = header->sq_entries - 1;
    ring.cq_mask = header->cq_entries - 1;
    ring.sq_tail = header->sq_tail;
    ring.cq_head = header->cq_head;
    ring.next_sequence = header->next_sequence;
    uint32_t reserve = header->cq_entries / 8 < 4 ? 4 : header->cq_entries / 8;
    uint32_t size = header->cq_entries < TABLE_MAX ? header->cq_entries : TABLE_MAX;
    ring.ordinary_limit = size - reserve;
    table_reset(size);
    return true;
}

/* Submission */

static bool op_fits_slot(const struct capos_op *op)
{
    const struct capos_sqe *sqe = &op->sqe;
    if (sqe->op != CAPOS_OP_CALL && sqe->op != CAPOS_OP_RETURN) {
        return false;
    }
    uint64_t params = align_up(sqe->params_len, 8);
    if (sqe->xfer_count != 0) {
        params += 8 + 16u * sqe->xfer_count;
    }
    return params <= CAPOS_PAYLOAD_SLOT_BYTES && sqe->result_len <= CAPOS_PAYLOAD_SLOT_BYTES;
}

/* Writes the transfer area behind the message at `params`. */
static void put_transfers(struct capos_op *op, uint8_t *params)
{
    uint8_t *area = params + align_up(op->sqe.params_len, 8);
    store_le64(area, ring.next_sequence++);
    memcpy(area + 8, op->transfers, sizeof(struct capos_transfer) * op->sqe.xfer_count);
}

static void put_sqe(struct capos_op *op, uint32_t index)
{
    struct capos_sqe sqe = op->sqe;
    sqe.user_data = (uint64_t)ring.generation[index] << 32 | index;
    uint8_t *params = (uint8_t *)(uintptr_t)sqe.params;
    op->inlined = op_fits_slot(op);
    if (op->inlined) {
        uint64_t offset = (uint64_t)index * CAPOS_PAYLOAD_SLOT_BYTES;
        uint8_t *slot = ring.payload + offset;
        if (sqe.params_len != 0) {
            memcpy(slot, params, sqe.params_len);
        }
        params = slot;
        sqe.params = offset;
        sqe.result = sqe.op == CAPOS_OP_CALL ? offset : 0;
        sqe.flags |= CAPOS_SQE_INLINE;
        ring.stats.inlined++;
    }
    if (sqe.xfer_count != 0) {
        put_transfers(op, params);
    }
    ring.sq[ring.sq_tail & ring.sq_mask] = sqe;
}

static void push(struct capos_op *op)
{
    uint32_t index = table_add(op);
    op_list_take(&ring.pending, op);
    put_sqe(op, index);
    op->table_index = index;
    op->position = ring.sq_tail;
    op->state = CAPOS_OP_QUEUED;
    ring.sq_tail++;
    ring.in_flight++;
    ring.stats.submitted++;
}

static bool sq_has_room(void)
{
    uint64_t head = ring_load_u64(&ring.header->sq_head);
    return ring.sq_tail - head <= ring.sq_mask && ring.in_flight < ring.table_size;
}

static bool op_uses(const struct capos_op *op, capos_cap_t cap)
{
    bool uses = op->sqe.cap == cap;
    for (unsigned i = 0; i < op->sqe.xfer_count && !uses; i++) {
        uses = op->transfers[i].cap == cap;
    }
    return uses;
}

/* Does an operation that still waits in front of this RELEASE need its capability? */
static bool is_needed_before(const struct capos_op *release)
{
    const struct capos_op *op = ring.pending.first;
    while (op != release && (op_is_reserve(op) || !op_uses(op, release->sqe.cap))) {
        op = op->next;
    }
    return op != release;
}

void capos_flush(void)
{
    capos_release_queued();
    bool blocked = false;
    struct capos_op *next;
    for (struct capos_op *op = ring.pending.first; op != NULL; op = next) {
        next = op->next;
        if (!sq_has_room()) {
            break;
        }
        if (!op_is_reserve(op) && ring.in_flight >= ring.ordinary_limit) {
            blocked = true;
            continue;
        }
        if (blocked && op->sqe.op == CAPOS_OP_RELEASE && is_needed_before(op)) {
            continue;
        }
        push(op);
    }
    ring_store_u64(&ring.header->sq_tail, ring.sq_tail);
}

/* Completion */

static void copy_back(struct capos_op *op, const struct capos_cqe *cqe)
{
    uint64_t bytes = 0;
    if (cqe->result >= 0) {
        bytes = align_up((uint64_t)cqe->result, 8);
        if (cqe->flags & CAPOS_CQE_CAPS) {
            bytes += sizeof(struct capos_cap_record) * (uint64_t)cqe->cap_count;
        }
    } else if (cqe->flags & CAPOS_CQE_EXCEPTION) {
        bytes = cqe->needed;
    }
    const uint8_t *slot = ring.payload + (uint64_t)op->table_index * CAPOS_PAYLOAD_SLOT_BYTES;
    bytes = min_u64(bytes, op->sqe.result_len);
    if (bytes != 0) {
        memcpy((void *)(uintptr_t)op->sqe.result, slot, bytes);
    }
}

static void finish(struct capos_op *op)
{
    if (op->flags & OP_FLAG_CALL) {
        capos_call_finish((struct capos_call *)(void *)op);
    }
    if (op->flags & OP_FLAG_FORGET) {
        op->state = CAPOS_OP_IDLE;
        return;
    }
    op->state = CAPOS_OP_DONE;
    if (op->done != NULL) {
        op_list_insert(&ring.ready, NULL, op);
    }
}

/* Puts an operation back in front of those never submitted, in order of its old position. */
static void requeue(struct capos_op *op)
{
    struct capos_op *before = ring.pending.first;
    while (before != NULL && before->retries != 0 && before->position < op->position) {
        before = before->next;
    }
    op->state = CAPOS_OP_PENDING;
    op_list_insert(&ring.pending, before, op);
}

static bool try_again_numbered(struct capos_op *op, const struct capos_cqe *cqe)
{
    if (!(cqe->flags & CAPOS_CQE_SEQUENCE) || op->sqe.xfer_count == 0 ||
        op->retries >= MAX_SEQUENCE_RETRIES) {
        return false;
    }
    bool drained = ring_load_u64(&ring.header->sq_head) == ring.sq_tail;
    ring.next_sequence = drained ? ring_load_u64(&ring.header->next_sequence) : cqe->expected_seq;
    op->retries++;
    ring.stats.resequenced++;
    requeue(op);
    return true;
}

static void take_out(struct capos_op *op)
{
    table_drop(op->table_index);
    ring.in_flight--;
}

static void complete(const struct capos_cqe *cqe)
{
    uint32_t index = (uint32_t)cqe->user_data;
    if (index >= ring.table_size || ring.table[index] == NULL ||
        ring.generation[index] != cqe->user_data >> 32) {
        ring.stats.unexpected++;
        return;
    }
    struct capos_op *op = ring.table[index];
    take_out(op);
    ring.stats.completed++;
    if (try_again_numbered(op, cqe)) {
        return;
    }
    if (op->inlined) {
        copy_back(op, cqe);
    }
    op->cqe = *cqe;
    finish(op);
}

bool capos_reap(void)
{
    bool any = false;
    while (ring.cq_head != ring_load_u64(&ring.header->cq_tail)) {
        struct capos_cqe cqe = ring.cq[ring.cq_head & ring.cq_mask];
        ring.cq_head++;
        ring_store_u64(&ring.header->cq_head, ring.cq_head);
        complete(&cqe);
        any = true;
    }
    return any;
}

/* Between entries the unconsumed part of the queue is ours: take it all back. Only for a ring
 * that stalled; flush then submits what may pass first. */
static void pull_back(void)
{
    uint64_t head = ring_load_u64(&ring.header->sq_head);
    if (head >= ring.sq_tail) {
        return;
    }
    ring.stats.stalls++;
    for (uint64_t position = head; position != ring.sq_tail; position++) {
        struct capos_op *op = ring.table[(uint32_t)ring.sq[position & ring.sq_mask].user_data];
        take_out(op);
        ring.next_sequence -= op->sqe.xfer_count != 0;
        op->retries++;
        requeue(op);
    }
    ring.sq_tail = head;
}

/* Enters the kernel; true when the deadline passed. Takes in completions. */
static bool enter(uint64_t min_complete, uint64_t deadline_ns)
{
    ring.stats.entries++;
    int64_t result = capos_sys_enter(min_complete, deadline_ns);
    if (result < 0) {
        capos_sys_exit(CAPOS_EXIT_BAD_RING);
    }
    capos_reap();
    if ((uint64_t)result & CAPOS_ENTER_STALLED) {
        pull_back();
    }
    return ((uint64_t)result & CAPOS_ENTER_TIMED_OUT) != 0;
}

/* Operations */

void capos_op_init(struct capos_op *op, uint8_t opcode, capos_cap_t cap)
{
    memset(op, 0, sizeof(*op));
    op->sqe.op = opcode;
    op->sqe.cap = cap;
}

void capos_op_init_wait(struct capos_op *op, capos_cap_t cap, uint16_t events, uint64_t bits)
{
    capos_op_init(op, CAPOS_OP_WAIT, cap);
    op->sqe.method = events;
    op->sqe.params = bits;
}

void capos_op_submit(struct capos_op *op)
{
    op->state = CAPOS_OP_PENDING;
    op->retries = 0;
    op_list_insert(&ring.pending, NULL, op);
}

void capos_op_refuse(struct capos_op *op, status_t status)
{
    memset(&op->cqe, 0, sizeof(op->cqe));
    op->cqe.result = status;
    finish(op);
}

bool capos_op_withdraw(struct capos_op *op)
{
    if (op->state != CAPOS_OP_PENDING) {
        return false;
    }
    op_list_take(&ring.pending, op);
    op->state = CAPOS_OP_IDLE;
    return true;
}

bool capos_op_wait(struct capos_op *op, uint64_t deadline_ns)
{
    capos_reap();
    while (op->state == CAPOS_OP_PENDING || op->state == CAPOS_OP_QUEUED) {
        capos_flush();
        bool late = enter(1, deadline_ns);
        if (late && op->state != CAPOS_OP_DONE && op->state != CAPOS_OP_IDLE) {
            return false;
        }
    }
    if (op->done == NULL) {
        op->state = CAPOS_OP_IDLE;
    }
    return true;
}

int32_t capos_op_run(struct capos_op *op)
{
    capos_op_submit(op);
    capos_op_wait(op, CAPOS_FOREVER);
    return op->cqe.result;
}

void capos_push(void)
{
    capos_flush();
    enter(0, 0);
}

void capos_await_any(void)
{
    capos_flush();
    enter(1, CAPOS_FOREVER);
}

/* Runs the callbacks of what was ready when it began; what they complete waits for the next turn. */
static bool run_ready(void)
{
    struct op_list batch = ring.ready;
    bool any = batch.first != NULL;
    ring.ready.first = NULL;
    ring.ready.last = NULL;
    while (batch.first != NULL) {
        struct capos_op *op = batch.first;
        op_list_take(&batch, op);
        op->state = CAPOS_OP_IDLE;
        op->done(op);
    }
    return any;
}

bool capos_step(uint64_t deadline_ns)
{
    capos_reap();
    if (run_ready()) {
        capos_flush();
        return true;
    }
    for (;;) {
        capos_flush();
        bool late = enter(1, deadline_ns);
        if (run_ready()) {
            return true;
        }
        if (late) {
            return false;
        }
    }
}

void capos_run(void)
{
    ring.stopping = false;
    while (!ring.stopping) {
        capos_step(CAPOS_FOREVER);
    }
}

void capos_stop(void)
{
    ring.stopping = true;
}

const struct capos_ring_stats *capos_ring_stats(void)
{
    return &ring.stats;
}
