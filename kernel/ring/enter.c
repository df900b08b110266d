/* SPDX-License-Identifier: MIT */
/*
 * cap_enter: drain, then answer or wait.
 *
 * A drain takes SQEs in slices of RING_SLICE_SQES, or of RING_SLICE_CYCLES when they are long. Between
 * slices it looks for interrupts; when one
 * is pending the system call is made again from user space, so the interrupt is taken at once and
 * nothing has to be remembered. Each SQE is copied before it is looked at: user space may rewrite it
 * at any time.
 */
#include "abi/syscall.h"
#include "arch/arch.h"
#include "core/panic.h"
#include "core/step.h"
#include "gen/status.capnp.h"
#include "object/process.h"
#include "object/thread.h"
#include "ring/op.h"
#include "ring/ring.h"
#include "sched/cpu.h"
#include "sched/sched.h"

enum drain { DRAIN_EMPTY, DRAIN_STALLED, DRAIN_MORE, DRAIN_BAD };

enum { SQE_WORDS = sizeof(struct capos_sqe) / 8 };

static void op_nop(struct op *op)
{
    op_complete(op, ST_OK);
}

static void op_unsupported(struct op *op)
{
    op_complete(op, ST_UNSUPPORTED);
}

/* The bits of the SQE's words that an operation refuses: all that it does not understand. Word 0 is op,
 * pipe_index, flags, method, xfer_count, accept_count; word 5 is params_len and result_len. */
#define W0_OP UINT64_C(0xff)
#define W0_INLINE ((uint64_t)CAPOS_SQE_INLINE << 16)
#define W0_METHOD (UINT64_C(0xffff) << 32)
#define W0_XFER (UINT64_C(0xff) << 48)
#define W0_ACCEPT (UINT64_C(0xff) << 56)
#define W5_PARAMS UINT64_C(0xffffffff)
#define W5_RESULT (UINT64_C(0xffffffff) << 32)
#define ALL UINT64_MAX
#define NOT(bits) (~(uint64_t)(bits))

struct op_entry {
    op_fn run;
    bool reserve; /* may use the CQ reserve */
    uint64_t
        refuses[SQE_WORDS]; /* op, cap, user_data, params, result, lengths, interface, deadline */
};

static const struct op_entry ops[CAPOS_OP_COUNT + 1] = {
    [CAPOS_OP_NOP] = {op_nop, false, {NOT(W0_OP), ALL, 0, ALL, ALL, ALL, ALL, ALL}},
    [CAPOS_OP_CALL] = {op_call, false, {NOT(W0_OP | W0_INLINE | W0_METHOD | W0_XFER | W0_ACCEPT)}},
    [CAPOS_OP_RECV] = {op_recv,
                       false,
                       {NOT(W0_OP | W0_INLINE | W0_ACCEPT), 0, 0, ALL, 0, NOT(W5_RESULT), ALL}},
    [CAPOS_OP_RETURN] =
        {op_return,
         true,
         {NOT(W0_OP | W0_INLINE | W0_METHOD | W0_XFER), ALL, 0, 0, ALL, NOT(W5_PARAMS), 0, ALL}},
    [CAPOS_OP_RETURN_RECV] = {op_return_recv,
                              false,
                              {NOT(W0_OP | W0_INLINE | W0_METHOD | W0_XFER | W0_ACCEPT)}},
    [CAPOS_OP_WAIT] = {op_wait, false, {NOT(W0_OP | W0_METHOD), 0, 0, 0, ALL, ALL, ALL}},
    [CAPOS_OP_SIGNAL] = {op_signal, true, {NOT(W0_OP), 0, 0, 0, ALL, ALL, ALL, ALL}},
    [CAPOS_OP_RELEASE] = {op_release, true, {NOT(W0_OP), 0, 0, ALL, ALL, ALL, ALL, ALL}},
    [CAPOS_OP_CANCEL] = {op_cancel, true, {NOT(W0_OP), 0, 0, ALL, ALL, ALL, ALL, ALL}},
    [CAPOS_OP_FINISH] = {op_unsupported, true, {0}},
    [CAPOS_OP_PARK] = {op_park, false, {NOT(W0_OP), 0, 0, 0, ALL, ALL, 0, 0}},
    [CAPOS_OP_UNPARK] = {op_unpark, true, {NOT(W0_OP), 0, 0, 0, ALL, ALL, 0, ALL}},
    [CAPOS_OP_HANDOVER] = {op_unsupported, false, {0}},
    [CAPOS_OP_COUNT] = {op_unsupported, false, {ALL}},
};

/* One word of an SQE out of shared memory: loaded once, kept, and checked for bits the op refuses. */
static ALWAYS_INLINE uint64_t sqe_word(const uint8_t *shared, struct capos_sqe *sqe, unsigned i)
{
    uint64_t word = ring_load(shared + i * 8);
    __builtin_memcpy((uint8_t *)sqe + i * 8, &word, sizeof(word));
    return word;
}

/* Copies the SQE; true when its op exists and no bit is set that the op does not understand. Written
 * out, for it is the hottest code of all and compilers leave the loop a loop. */
static ALWAYS_INLINE bool sqe_copy(const void *shared, struct capos_sqe *sqe)
{
    uint64_t first = sqe_word(shared, sqe, 0);
    uint8_t opcode = (uint8_t)first;
    if (UNLIKELY(opcode >= CAPOS_OP_COUNT)) {
        opcode = CAPOS_OP_COUNT; /* a row that refuses everything */
    }
    const uint64_t *refuses = ops[opcode].refuses;
    uint64_t strange = first & refuses[0];
    strange |= sqe_word(shared, sqe, 1) & refuses[1];
    strange |= sqe_word(shared, sqe, 2) & refuses[2];
    strange |= sqe_word(shared, sqe, 3) & refuses[3];
    strange |= sqe_word(shared, sqe, 4) & refuses[4];
    strange |= sqe_word(shared, sqe, 5) & refuses[5];
    strange |= sqe_word(shared, sqe, 6) & refuses[6];
    strange |= sqe_word(shared, sqe, 7) & refuses[7];
    return strange == 0 && opcode != CAPOS_OP_COUNT;
}

/* Completions posted, once nobody is about to post one. */
static COLD uint64_t cq_tail_settled(struct ring *ring)
{
    lock_acquire(&ring->lock);
    uint64_t tail = atomic_load_relaxed(&ring->cq_tail);
    lock_release(&ring->lock);
    return tail;
}

/* Takes over the client's CQ index; false when it is nonsense. The client may have reaped what
 * another CPU has moved the shared index for and not yet the private one. */
static ALWAYS_INLINE bool cq_head_read(struct ring *ring)
{
    uint64_t head = ring_load_acquire(&ring_header(ring)->cq_head);
    uint64_t reaped = head - ring->cq_head_seen;
    if (UNLIKELY(reaped > atomic_load_relaxed(&ring->cq_tail) - ring->cq_head_seen) &&
        reaped > cq_tail_settled(ring) - ring->cq_head_seen) {
        return false;
    }
    ring->cq_head_seen = head;
    return true;
}

/* An SQE that transfers spends the ring's number whatever becomes of it. */
static void refuse(struct op *op)
{
    bool transfers = op->sqe.op == CAPOS_OP_CALL || op->sqe.op == CAPOS_OP_RETURN ||
                     op->sqe.op == CAPOS_OP_RETURN_RECV;
    if (!transfers || op->sqe.xfer_count == 0 || op_spend_number(op)) {
        op_unsupported(op);
    }
}

static ALWAYS_INLINE void run_one(struct op *op, bool known)
{
    if (LIKELY(known)) {
        STEP(what((uintptr_t)ops[op->sqe.op].run));
        ops[op->sqe.op].run(op);
    } else {
        refuse(op);
    }
}

/* The next SQE may be taken although only the reserve is left: its operation is one of those. */
static bool may_use_reserve(const struct ring *ring, const struct op *op, bool known)
{
    return known && ops[op->sqe.op].reserve &&
           ring->claimed - ring->cq_head_seen < ring->cq_entries;
}

/* Takes up to one slice of SQEs. Both of the client's indices are read once, at the start. */
static ALWAYS_INLINE enum drain drain_slice(struct ring *ring)
{
    struct capos_ring_header *header = ring_header(ring);
    uint64_t head = ring->sq_head;
    uint64_t waiting = ring_load_acquire(&header->sq_tail) - head;
    if (UNLIKELY(waiting > ring->sq_entries || !cq_head_read(ring))) {
        return DRAIN_BAD;
    }
    enum drain result = waiting > RING_SLICE_SQES ? DRAIN_MORE : DRAIN_EMPTY;
    uint64_t end = head + (waiting > RING_SLICE_SQES ? RING_SLICE_SQES : waiting);
    uint64_t claimed_limit = ring->cq_head_seen + ring->cq_entries - ring->cq_reserve;
    uint64_t tail = head + waiting;
    uint64_t started = arch_cycles();
    struct op op;
    op.ring = ring;
    op.process = ring->process;
    while (head != end) {
        uint64_t slot = head & (ring->sq_entries - 1);
        bool known = sqe_copy(ring_entry(ring, ring->sq_offset + slot * sizeof(op.sqe)), &op.sqe);
        if (UNLIKELY(ring->claimed >= claimed_limit) && !may_use_reserve(ring, &op, known)) {
            result = DRAIN_STALLED;
            break;
        }
        op.position = head++;
        run_one(&op, known);
        if (op.sqe.op != CAPOS_OP_NOP && UNLIKELY(arch_cycles() - started > RING_SLICE_CYCLES)) {
            result =
                head != tail ? DRAIN_MORE : DRAIN_EMPTY; /* a few long ones make a slice, too */
            break;
        }
    }
    ring->sq_head = head;
    ring_store_release(&header->sq_head, head);
    return result;
}

/* Ready completions as user space would count them; a nonsense index counts as everything, so that
 * the caller wakes and is told. */
static ALWAYS_INLINE uint64_t ready_now(struct ring *ring)
{
    return atomic_load_acquire(&ring->cq_tail) - ring_load_acquire(&ring_header(ring)->cq_head);
}

static ALWAYS_INLINE uint64_t answer_of(const struct ring *ring, uint64_t ready, bool stalled)
{
    if (UNLIKELY(ready > ring->cq_entries)) {
        return (uint64_t)(int64_t)ST_BAD_RING;
    }
    return ready | (stalled ? CAPOS_ENTER_STALLED : 0);
}

uint64_t ring_answer_locked(struct ring *ring)
{
    return answer_of(ring, ready_now(ring), ring->wait_stalled);
}

/* `outcome` is the CQE's second word: result, flags, cap_count. The private index goes last: who has
 * seen it move without the lock finds the shared one moved too. */
static ALWAYS_INLINE void write_cqe_locked(struct ring *ring, uint64_t user_data, uint64_t outcome,
                                           uint64_t extra)
{
    uint64_t tail = atomic_load_relaxed(&ring->cq_tail);
    uint64_t slot = tail & (ring->cq_entries - 1);
    uint8_t *cqe = ring_entry(ring, ring->cq_offset + slot * sizeof(struct capos_cqe));
    ring_store(cqe, user_data);
    ring_store(cqe + 8, outcome);
    ring_store(cqe + 16, extra);
    ring_store(cqe + 24, 0);
    ring_store_release(&ring_header(ring)->cq_tail, tail + 1);
    atomic_store_release(&ring->cq_tail, tail + 1);
}

static ALWAYS_INLINE uint64_t outcome_word(int32_t result, uint16_t flags, uint16_t cap_count)
{
    return (uint32_t)result | (uint64_t)flags << 32 | (uint64_t)cap_count << 48;
}

bool ring_post_locked(struct ring *ring, uint64_t user_data, int32_t result, uint16_t flags,
                      uint16_t cap_count, uint64_t extra)
{
    write_cqe_locked(ring, user_data, outcome_word(result, flags, cap_count), extra);
    if (LIKELY(ring->wait_min == 0) || ready_now(ring) < ring->wait_min) {
        return false;
    }
    ring->wait_min = 0;
    return true;
}

void ring_wake(struct ring *ring, uint64_t result)
{
    struct thread *thread = ring->thread;
    timer_cancel(&thread->deadline);
    arch_syscall_set_result(&thread->arch, result);
    sched_wake(thread);
}

/* The ring's thread is in its drain, so nobody is to be woken (R3). */
static ALWAYS_INLINE void post_own(struct ring *ring, uint64_t user_data, uint64_t outcome,
                                   uint64_t extra)
{
    lock_acquire(&ring->lock);
    KDEBUG_ASSERT(ring->wait_min == 0);
    ring->claimed++;
    write_cqe_locked(ring, user_data, outcome, extra);
    lock_release(&ring->lock);
}

void ring_post(struct ring *ring, uint64_t user_data, int32_t result, uint16_t flags,
               uint16_t cap_count, uint64_t extra)
{
    post_own(ring, user_data, outcome_word(result, flags, cap_count), extra);
}

void ring_post_result(struct ring *ring, uint64_t user_data, int32_t result)
{
    post_own(ring, user_data, (uint32_t)result, 0);
}

void ring_wait_expired(struct timer *timer, uint32_t generation)
{
    struct ring *ring = CONTAINER_OF(timer, struct thread, deadline)->ring;
    lock_acquire(&ring->lock);
    bool waiting = ring->wait_min != 0 && ring->wait_generation == generation;
    uint64_t answer = 0;
    if (waiting) {
        ring->wait_min = 0;
        answer = ring_answer_locked(ring) | CAPOS_ENTER_TIMED_OUT;
    }
    lock_release(&ring->lock);
    if (waiting) {
        ring_wake(ring, answer);
    }
}

bool ring_abort_wait(struct ring *ring)
{
    lock_acquire(&ring->lock);
    bool waiting = ring->wait_min != 0;
    ring->wait_min = 0;
    lock_release(&ring->lock);
    if (waiting) {
        timer_cancel(&ring->thread->deadline);
    }
    return waiting;
}

/* Blocks the thread, unless there is enough by now: decided under the lock, so no completion is
 * missed. */
static void wait_or_answer(struct ring *ring, uint32_t min_complete, uint64_t deadline_ns,
                           bool stalled)
{
    struct thread *thread = ring->thread;
    bool passed = deadline_ns != CAPOS_FOREVER && deadline_ns <= arch_time_ns();
    lock_acquire(&ring->lock);
    uint64_t ready = ready_now(ring);
    bool enough = ready >= min_complete || (stalled && ready != 0);
    if (enough || passed) {
        lock_release(&ring->lock);
        arch_syscall_set_result(&thread->arch, answer_of(ring, ready, stalled) |
                                                   (enough ? 0 : CAPOS_ENTER_TIMED_OUT));
        return;
    }
    ring->wait_stalled = stalled;
    ring->wait_min = stalled ? 1 : min_complete; /* any completion makes room */
    ring->wait_generation++;
    atomic_store_relaxed(&thread->state, THREAD_BLOCKED);
    cpu_this()->attention |= CPU_GONE;
    if (deadline_ns != CAPOS_FOREVER) {
        timer_arm(&thread->deadline, deadline_ns, ring->wait_generation);
    }
    lock_release(&ring->lock);
}

/* What is there already answers without the lock: the count only grows while the thread is here. */
static ALWAYS_INLINE void answer_or_wait(struct ring *ring, uint32_t min_complete,
                                         uint64_t deadline_ns, bool stalled)
{
    if (UNLIKELY(min_complete > ring->cq_entries)) {
        min_complete = ring->cq_entries;
    }
    uint64_t ready = ready_now(ring);
    if (ready >= min_complete || (stalled && ready != 0) || deadline_ns == 0) {
        arch_syscall_set_result(&ring->thread->arch, answer_of(ring, ready, stalled));
    } else {
        wait_or_answer(ring, min_complete, deadline_ns, stalled);
    }
}

static ALWAYS_INLINE void set_flags(struct ring *ring, bool stalled)
{
    struct capos_ring_header *header = ring_header(ring);
    uint64_t flags = stalled ? CAPOS_RING_STALLED : 0;
    if (UNLIKELY(ring_load(&header->flags) != flags)) {
        ring_store(&header->flags, flags);
    }
}

void ring_enter(struct ring *ring, uint32_t min_complete, uint64_t deadline_ns)
{
    enum drain drained;
    while ((drained = drain_slice(ring)) == DRAIN_MORE) {
        if (arch_interrupt_pending() || process_is_exiting(ring->process)) {
            arch_syscall_restart(&ring->thread->arch);
            return;
        }
        STEP(end());
    }
    if (UNLIKELY(drained == DRAIN_BAD)) {
        arch_syscall_set_result(&ring->thread->arch, (uint64_t)(int64_t)ST_BAD_RING);
        return;
    }
    set_flags(ring, drained == DRAIN_STALLED);
    if (LIKELY(!process_is_exiting(ring->process))) {
        answer_or_wait(ring, min_complete, deadline_ns, drained == DRAIN_STALLED);
    }
}
