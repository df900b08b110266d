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
 *  1. in_flight + beside <= table size <= CQ entries: the kernel can always complete what it has taken.
 *  2. An ordinary operation is queued only while they leave the CQ's reserve alone, so the kernel has
 *     room for it, and the reserve class is never kept out by ordinary ones. Hence the ring stalls
 *     only if somebody else wrote to it; the tail is moved back then all the same (pull_back) and
 *     everything is submitted again.
 *  3. Operations leave PENDING in order, but RETURN, CANCEL and SIGNAL pass ordinary ones that wait
 *     for room. RELEASE and FINISH pass those that do not use what they give up. Operations of a chain
 *     (LINK) leave together, with nothing in between.
 *  4. An SQE that transfers gets the ring's next number when it is put in the queue, so numbers rise
 *     in submission order. BAD_SEQUENCE did nothing: the operation is numbered anew and repeated.
 *  5. Callbacks run in capos_step only, never inside a synchronous call.
 *  6. While the kernel says POLLED the queue between head and tail is the poller's: nothing is pulled back.
 *
 * Rejected: user_data as a pointer (a stale completion would be trusted); one result slot apart
 * from the parameter slot (the parameters are read before the result exists).
 */
#include "capos/ring.h"

#include "capos/start.h"
#include "internal.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "ring_state.h"
#include "status.capnp.h"

_Thread_local struct capos_ring_state capos_ring;

#define ring capos_ring

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
    for (uint32_t word = 0; word < RING_TABLE_MAX / 64; word++) {
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

/* Operations that may use the kept part of the completion queue. */
static bool op_is_reserve(const struct capos_op *op)
{
    switch (op->sqe.op) {
    case CAPOS_OP_CANCEL:
    case CAPOS_OP_FINISH:
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
    capos_promise_reset();
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
    uint32_t size = header->cq_entries < RING_TABLE_MAX ? header->cq_entries : RING_TABLE_MAX;
    ring.ordinary_limit = size - reserve;
    table_reset(size);
    return true;
}

/* Submission */

/* Its messages travel in the payload slot of its index. A receive has a buffer beside it, for what is larger. */
static bool op_fits_slot(const struct capos_op *op)
{
    const struct capos_sqe *sqe = &op->sqe;
    if (sqe->op == CAPOS_OP_RECV) {
        return true;
    }
    if (sqe->op < CAPOS_OP_CALL || sqe->op > CAPOS_OP_RETURN_RECV) {
        return false;
    }
    uint64_t params = align_up(sqe->params_len, 8);
    if (sqe->xfer_count != 0) {
        params += 8 + 16u * sqe->xfer_count;
    }
    return params <= CAPOS_PAYLOAD_SLOT_BYTES &&
           (sqe->op != CAPOS_OP_CALL || sqe->result_len <= CAPOS_PAYLOAD_SLOT_BYTES);
}

static bool op_receives(const struct capos_op *op)
{
    return op->sqe.op == CAPOS_OP_RECV || op->sqe.op == CAPOS_OP_RETURN_RECV;
}

/* Writes the transfer area behind the message at `params`. */
static void put_transfers(struct capos_op *op, uint8_t *params)
{
    uint8_t *area = params + align_up(op->sqe.params_len, 8);
    store_le64(area, ring.next_sequence++);
    memcpy(area + 8, op->transfers, sizeof(struct capos_transfer) * op->sqe.xfer_count);
}

/* Of a call with KEEP or PIPELINE: its answer is kept from now on; the position of what it is called on. */
static void put_pipeline(struct capos_op *op, struct capos_sqe *sqe)
{
    struct capos_call *call = (struct capos_call *)(void *)op;
    if (call->on != NULL) {
        sqe->cap = call->on->op.position;
    }
    call->kept = (sqe->flags & CAPOS_SQE_KEEP) != 0;
}

static void put_sqe(struct capos_op *op, uint32_t index)
{
    struct capos_sqe sqe = op->sqe;
    if ((sqe.flags & (CAPOS_SQE_KEEP | CAPOS_SQE_PIPELINE)) != 0) {
        put_pipeline(op, &sqe);
    }
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
        if (!op_receives(op)) {
            sqe.result = sqe.op == CAPOS_OP_CALL ? offset : 0;
        }
        sqe.flags |= CAPOS_SQE_INLINE;
        ring.stats.inlined++;
    }
    if (sqe.xfer_count != 0) {
        put_transfers(op, params);
    }
    ring.sq[ring.sq_tail & ring.sq_mask] = sqe;
}

/* Places of completions that it takes beside the one each has. */
static uint32_t places_beside(const struct capos_op *op)
{
    return (op->sqe.flags & (CAPOS_SQE_KEEP | CAPOS_SQE_MULTISHOT)) != 0;
}

/* `before`: the operation of its chain that comes before it, or NULL. */
static void push(struct capos_op *op, const struct capos_op *before)
{
    uint32_t index = table_add(op);
    op_list_take(&ring.pending, op);
    put_sqe(op, index);
    op->table_index = index;
    op->before = (uint16_t)(before != NULL ? before->table_index + 1 : 0);
    op->before_generation = before != NULL ? ring.generation[before->table_index] : 0;
    op->position = ring.sq_tail;
    op->state = CAPOS_OP_QUEUED;
    ring.sq_tail++;
    ring.in_flight++;
    ring.beside += places_beside(op);
    ring.stats.submitted++;
}

/* An operation with those that are linked to it. */
struct chain {
    struct capos_op *next; /* behind it */
    uint32_t count;
    uint32_t places; /* of completions */
};

static struct chain chain_from(struct capos_op *op)
{
    struct chain chain = {op->next, 1, 1 + places_beside(op)};
    while ((op->sqe.flags & CAPOS_SQE_LINK) != 0) {
        op = chain.next;
        chain.next = op->next;
        chain.count++;
        chain.places += 1 + places_beside(op);
    }
    return chain;
}

static void push_chain(struct capos_op *op, uint32_t count)
{
    const struct capos_op *before = NULL;
    while (count-- != 0) {
        struct capos_op *next = op->next;
        push(op, before);
        before = op;
        op = next;
    }
}

static bool sq_has_room(uint32_t count)
{
    uint64_t head = ring_load_u64(&ring.header->sq_head);
    return ring.sq_tail - head + count <= ring.sq_mask + 1 &&
           ring.in_flight + ring.beside + count <= ring.table_size;
}

static bool op_uses(const struct capos_op *op, capos_cap_t cap)
{
    bool uses = op->sqe.cap == cap && (op->sqe.flags & CAPOS_SQE_PIPELINE) == 0;
    for (unsigned i = 0; i < op->sqe.xfer_count && !uses; i++) {
        uses = op->transfers[i].cap == cap;
    }
    return uses;
}

static bool op_names(const struct capos_op *op, uint64_t position)
{
    return (op->sqe.flags & CAPOS_SQE_PIPELINE) != 0 && op->sqe.cap == position;
}

/* Does an operation that still waits in front of this RELEASE or FINISH need what it gives up? */
static bool is_needed_before(const struct capos_op *giving)
{
    const struct capos_op *op = ring.pending.first;
    bool answer = giving->sqe.op == CAPOS_OP_FINISH;
    while (op != giving && (op_is_reserve(op) || !(answer ? op_names(op, giving->sqe.cap)
                                                          : op_uses(op, giving->sqe.cap)))) {
        op = op->next;
    }
    return op != giving;
}

static bool must_wait(const struct capos_op *op)
{
    return (op->sqe.op == CAPOS_OP_RELEASE || op->sqe.op == CAPOS_OP_FINISH) &&
           is_needed_before(op);
}

void capos_flush(void)
{
    capos_release_queued();
    bool blocked = false;
    struct chain chain;
    for (struct capos_op *op = ring.pending.first; op != NULL; op = chain.next) {
        chain = chain_from(op);
        if (!sq_has_room(chain.count)) {
            break;
        }
        if ((!op_is_reserve(op) || chain.count > 1) &&
            ring.in_flight + ring.beside + chain.places > ring.ordinary_limit) {
            blocked = true;
            continue;
        }
        if (blocked && must_wait(op)) {
            continue;
        }
        push_chain(op, chain.count);
    }
    ring_store_u64(&ring.header->sq_tail, ring.sq_tail);
}

void capos_ring_detach(struct capos_call *call)
{
    struct capos_op *next;
    for (struct capos_op *op = ring.pending.first; op != NULL; op = next) {
        next = op->next;
        struct capos_call *dependent = (struct capos_call *)(void *)op;
        if ((op->flags & OP_FLAG_CALL) == 0 || dependent->on != call) {
            continue;
        }
        if (call->kept) {
            op->sqe.cap = call->op.position;
            dependent->on = NULL;
        } else {
            op_list_take(&ring.pending, op);
            capos_op_refuse(op, call->status != ST_OK ? call->status : ST_CANCELLED);
        }
    }
    for (uint32_t i = 0; i < ring.table_size; i++) {
        struct capos_call *dependent = (struct capos_call *)(void *)ring.table[i];
        if (dependent != NULL && (dependent->op.flags & OP_FLAG_CALL) && dependent->on == call) {
            dependent->op.sqe.cap = call->op.position;
            dependent->on = NULL;
        }
    }
    call->dependents = 0;
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
        ring_take_out(op);
        ring.beside -= (op->sqe.flags & CAPOS_SQE_KEEP) != 0;
        ring.next_sequence -= op->sqe.xfer_count != 0;
        op->retries++;
        capos_ring_requeue(op);
    }
    ring.sq_tail = head;
}

/* The poller clears the flag and then looks at the tail; so here the tail is written before the flag is believed. */
bool capos_ring_is_polled(void)
{
    if (LIKELY((ring_load_u64(&ring.header->flags) & CAPOS_RING_POLLED) == 0)) {
        return false;
    }
    ring_store_u64_seq_cst(&ring.header->sq_tail, ring.sq_tail);
    return (ring_load_u64_seq_cst(&ring.header->flags) & CAPOS_RING_POLLED) != 0;
}

/* A polled ring is not entered to submit, nor for completions that come soon. True: so many are there. */
static bool await_polled(uint64_t min_complete)
{
    for (unsigned look = 0; look < POLLED_LOOKS && capos_ring_is_polled(); look++) {
        if (ring_load_u64(&ring.header->cq_tail) - ring.cq_head >= min_complete) {
            return true;
        }
        capos_relax();
    }
    return false;
}

/* Enters the kernel; true when the deadline passed. Takes in completions. */
static bool enter(uint64_t min_complete, uint64_t deadline_ns)
{
    if (UNLIKELY(capos_ring_is_polled()) && await_polled(min_complete)) {
        capos_reap();
        return false;
    }
    ring.stats.entries++;
    int64_t result = capos_sys_enter(min_complete, deadline_ns);
    if (result < 0) {
        capos_sys_exit(CAPOS_EXIT_BAD_RING);
    }
    capos_reap();
    if (((uint64_t)result & CAPOS_ENTER_STALLED) && !capos_ring_is_polled()) {
        pull_back();
    }
    /* A deadline of 0 only looks, and the kernel does not call that a time-out. */
    return deadline_ns == 0 || ((uint64_t)result & CAPOS_ENTER_TIMED_OUT) != 0;
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

void capos_op_init_watch(struct capos_op *op, capos_cap_t notification, uint64_t bits,
                         void (*done)(struct capos_op *op))
{
    capos_op_init_wait(op, notification, CAPOS_EVENT_SIGNALLED, bits);
    op->sqe.flags = CAPOS_SQE_MULTISHOT;
    op->done = done;
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
    capos_ring_finish(op);
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

void capos_await_more(uint32_t count)
{
    capos_flush();
    enter(count, CAPOS_FOREVER);
}

void capos_await_any(void)
{
    capos_await_more(1);
}

bool capos_step(uint64_t deadline_ns)
{
    capos_reap();
    if (capos_ring_run_ready()) {
        capos_flush();
        return true;
    }
    for (;;) {
        capos_flush();
        bool late = enter(1, deadline_ns);
        if (capos_ring_run_ready()) {
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
