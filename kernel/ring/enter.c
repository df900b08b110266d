/* SPDX-License-Identifier: MIT */
/*
 * cap_enter: drain, then answer or wait.
 *
 * A drain takes SQEs in slices of RING_SLICE_SQES, or of RING_SLICE_CYCLES when they are long. Between
 * slices it looks for interrupts, jobs and threads it has woken: then the system call is made again from
 * user space, so they get the CPU even while another thread fills the queue for ever, and nothing has to
 * be remembered. Each SQE is copied before it is looked at: user space may rewrite it at any time.
 */
#include "abi/syscall.h"
#include "arch/arch.h"
#include "core/panic.h"
#include "core/step.h"
#include "gen/status.capnp.h"
#include "ipc/fast.h"
#include "object/kernel_trace.h"
#include "object/process.h"
#include "object/thread.h"
#include "ring/op.h"
#include "ring/defer.h"
#include "ring/poll.h"
#include "ring/quick.h"
#include "ring/record_inline.h"
#include "ring/ring.h"
#include "sched/cpu.h"
#include "sched/sched.h"

enum { SQE_WORDS = sizeof(struct capos_sqe) / 8 };

static void op_unsupported(struct op *op)
{
    op_complete(op, ST_UNSUPPORTED);
}

static void op_nop(struct op *op)
{
    op_complete(op, ST_OK);
}

/* The bits of the SQE's words that an operation refuses: all that it does not understand. Word 0 is op,
 * pipe_index, flags, method, xfer_count, accept_count; word 5 is params_len and result_len. */
#define W0_OP UINT64_C(0xff)
#define W0_PIPE UINT64_C(0xff00)
#define W0_INLINE ((uint64_t)CAPOS_SQE_INLINE << 16)
#define W0_METHOD (UINT64_C(0xffff) << 32)
#define W0_XFER (UINT64_C(0xff) << 48)
#define W0_ACCEPT (UINT64_C(0xff) << 56)
/* Flags of every operation. */
#define FLAGS_COMMON ((uint64_t)(CAPOS_SQE_QUIET | CAPOS_SQE_LINK))
#define W5_PARAMS UINT64_C(0xffffffff)
#define W5_RESULT (UINT64_C(0xffffffff) << 32)
#define ALL UINT64_MAX
#define NOT(bits) (~(uint64_t)(bits))

struct op_entry {
    op_fn run;
    uint64_t word0; /* of word 0; flags other than INLINE are looked at apart */
    bool reserve;   /* may use the CQ reserve */
    bool strict;    /* `words` refuse something */
    uint64_t
        words[SQE_WORDS - 1]; /* cap, user_data, params, result, lengths, interface, deadline */
};

static const struct op_entry ops[CAPOS_OP_COUNT + 1] = {
    [CAPOS_OP_NOP] = {op_nop, NOT(W0_OP), false, true, {ALL, 0, ALL, ALL, ALL, ALL, ALL}},
    [CAPOS_OP_CALL] =
        {op_call, NOT(W0_OP | W0_INLINE | W0_METHOD | W0_XFER | W0_ACCEPT), false, false, {0}},
    [CAPOS_OP_RECV] = {op_recv,
                       NOT(W0_OP | W0_INLINE | W0_ACCEPT),
                       false,
                       true,
                       {0, 0, 0, 0, NOT(W5_RESULT), ALL, 0}},
    [CAPOS_OP_RETURN] = {op_return,
                         NOT(W0_OP | W0_INLINE | W0_METHOD | W0_XFER),
                         true,
                         true,
                         {ALL, 0, 0, ALL, NOT(W5_PARAMS), 0, ALL}},
    [CAPOS_OP_RETURN_RECV] = {op_return_recv,
                              NOT(W0_OP | W0_INLINE | W0_METHOD | W0_XFER | W0_ACCEPT),
                              false,
                              false,
                              {0}},
    [CAPOS_OP_WAIT] = {op_wait, NOT(W0_OP | W0_METHOD), false, true, {0, 0, 0, ALL, ALL, ALL, 0}},
    [CAPOS_OP_SIGNAL] = {op_signal, NOT(W0_OP), true, true, {0, 0, 0, ALL, ALL, ALL, ALL}},
    [CAPOS_OP_RELEASE] = {op_release, NOT(W0_OP), true, true, {0, 0, ALL, ALL, ALL, ALL, ALL}},
    [CAPOS_OP_CANCEL] = {op_cancel, NOT(W0_OP), true, true, {0, 0, ALL, ALL, ALL, ALL, ALL}},
    [CAPOS_OP_FINISH] = {op_finish, NOT(W0_OP), true, true, {0, 0, ALL, ALL, ALL, ALL, ALL}},
    [CAPOS_OP_PARK] = {op_park, NOT(W0_OP), false, true, {0, 0, 0, ALL, ALL, 0, 0}},
    [CAPOS_OP_UNPARK] = {op_unpark, NOT(W0_OP), true, true, {0, 0, 0, ALL, ALL, 0, ALL}},
    [CAPOS_OP_HANDOVER] = {op_handover, NOT(W0_OP), false, true, {0, 0, 0, ALL, ALL, 0, ALL}},
    [CAPOS_OP_COUNT] = {op_unsupported, ALL, false, false, {0}}, /* also refuses opcode 0 + COUNT */
};

/* The row of the SQE's op; an unknown one has a row that refuses everything. */
static ALWAYS_INLINE const struct op_entry *entry_of(uint8_t opcode)
{
    return &ops[LIKELY(opcode < CAPOS_OP_COUNT) ? opcode : CAPOS_OP_COUNT];
}

/* Bits of a copied SQE that its operation does not understand, flags that it does set aside. */
NOINLINE COLD static uint64_t strange_bits(const struct op_entry *entry,
                                           const struct capos_sqe *sqe)
{
    const uint64_t *words = (const uint64_t *)(const void *)sqe;
    uint64_t strange =
        words[0] & entry->word0 & ~((FLAGS_COMMON | SQE_SPENT | SQE_DEPENDENT | SQE_TRACED) << 16);
    if (sqe->op == CAPOS_OP_CALL) {
        uint64_t pipes = (sqe->flags & CAPOS_SQE_PIPELINE) != 0 ? W0_PIPE : 0;
        strange &= ~((uint64_t)(CAPOS_SQE_KEEP | CAPOS_SQE_PIPELINE) << 16 | pipes);
    }
    if (sqe->op == CAPOS_OP_WAIT && (sqe->flags & FLAGS_COMMON) == 0) {
        strange &= ~((uint64_t)CAPOS_SQE_MULTISHOT << 16);
    }
    for (unsigned i = 1; entry->strict && i < SQE_WORDS; i++) {
        strange |= words[i] & entry->words[i - 1];
    }
    return strange;
}

enum kind { KIND_PLAIN, KIND_FLAGGED, KIND_STRANGE };

NOINLINE COLD static enum kind kind_of(const struct op_entry *entry, const struct capos_sqe *sqe)
{
    bool known = (sqe->flags & ~CAPOS_SQE_FLAGS_ALL) == 0 && strange_bits(entry, sqe) == 0;
    return known ? KIND_FLAGGED : KIND_STRANGE;
}

/* Copies the SQE out of shared memory, each word loaded once; *kind_out: whether it has flags, or a bit
 * that the op does not understand. Written out, for it is the hottest code of all and compilers leave a loop a loop. */
static ALWAYS_INLINE const struct op_entry *sqe_take(const uint8_t *shared, struct capos_sqe *sqe,
                                                     enum kind *kind_out)
{
    static_assert(SQE_WORDS == 8, "all are copied");
    uint64_t w0 = ring_load(shared), w1 = ring_load(shared + 8), w2 = ring_load(shared + 16),
             w3 = ring_load(shared + 24), w4 = ring_load(shared + 32), w5 = ring_load(shared + 40),
             w6 = ring_load(shared + 48), w7 = ring_load(shared + 56);
    const struct op_entry *entry = entry_of((uint8_t)w0);
    uint64_t strange = w0 & entry->word0;
    if (entry->strict) {
        strange |= (w1 & entry->words[0]) | (w2 & entry->words[1]) | (w3 & entry->words[2]) |
                   (w4 & entry->words[3]) | (w5 & entry->words[4]) | (w6 & entry->words[5]) |
                   (w7 & entry->words[6]);
    }
    uint64_t *words = (uint64_t *)(void *)sqe;
    words[0] = w0;
    words[1] = w1;
    words[2] = w2;
    words[3] = w3;
    words[4] = w4;
    words[5] = w5;
    words[6] = w6;
    words[7] = w7;
    *kind_out = LIKELY(strange == 0) ? KIND_PLAIN : kind_of(entry, sqe);
    return entry;
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
static ALWAYS_INLINE bool cq_head_read(struct ring *ring, struct capos_ring_header *header)
{
    uint64_t head = ring_load_acquire(&header->cq_head);
    uint64_t reaped = head - ring->cq_head_seen;
    if (UNLIKELY(reaped > atomic_load_relaxed(&ring->cq_tail) - ring->cq_head_seen) &&
        reaped > cq_tail_settled(ring) - ring->cq_head_seen) {
        return false;
    }
    ring->cq_head_seen = head;
    return true;
}

/* An SQE that transfers spends the ring's number whatever becomes of it. */
static void refuse(struct op *op, status_t status)
{
    bool transfers = op->sqe->op == CAPOS_OP_CALL || op->sqe->op == CAPOS_OP_RETURN ||
                     op->sqe->op == CAPOS_OP_RETURN_RECV;
    if (!transfers || op->sqe->xfer_count == 0 || op_spend_number(op)) {
        op_complete(op, status);
    }
}

/* Takes back the CQ slots of records that ended without a completion. True: there is ordinary room now. */
NOINLINE static bool ring_reclaim(struct ring *ring)
{
    lock_acquire(&ring->lock);
    ring->claimed -= ring->released;
    ring->released = 0;
    lock_release(&ring->lock);
    return ring->claimed - ring->cq_head_seen < ring->cq_ordinary;
}

/* The next SQE may be taken although only the reserve is left: its operation is one of those. */
static bool may_use_reserve(const struct ring *ring, const struct op_entry *entry, enum kind kind)
{
    return kind != KIND_STRANGE && entry->reserve &&
           ring->claimed - ring->cq_head_seen < ring->cq_entries;
}

static ALWAYS_INLINE void write_cqe(struct ring *ring, uint64_t user_data, uint64_t outcome,
                                    uint64_t extra, uint64_t bill)
{
    uint64_t tail = atomic_load_relaxed(&ring->cq_tail);
    ring_put_cqe(ring, tail, user_data, outcome, extra, bill);
    ring_publish(ring, tail + 1);
}

NOINLINE static void post_among_others(struct ring *ring, uint64_t user_data, uint64_t outcome,
                                       uint64_t extra, uint64_t bill)
{
    lock_acquire(&ring->lock);
    write_cqe(ring, user_data, outcome, extra, bill);
    lock_release(&ring->lock);
}

/* The ring's thread is in its drain, so nobody is to be woken (R3); without records nobody else posts. */
static ALWAYS_INLINE void post_own(struct ring *ring, uint64_t user_data, uint64_t outcome,
                                   uint64_t extra, uint64_t bill)
{
    KDEBUG_ASSERT(ring->wait_min == 0);
    ring->claimed++;
    if (LIKELY(ring_is_alone(ring))) {
        write_cqe(ring, user_data, outcome, extra, bill);
    } else {
        post_among_others(ring, user_data, outcome, extra, bill);
    }
}

/* The SQE says NOP: all its words but user_data are zero. */
static ALWAYS_INLINE bool sqe_is_nop(uint64_t w0, const uint8_t *shared)
{
    return w0 == CAPOS_OP_NOP &&
           LIKELY((ring_load(shared + 8) | ring_load(shared + 24) | ring_load(shared + 32) |
                   ring_load(shared + 40) | ring_load(shared + 48) | ring_load(shared + 56)) == 0);
}

/* Takes SQEs that need no record, while they lie in shared memory: one, or with `room` for more than one
 * completion a row of the shortest calls before `end`. Returns the position it got to. */
static ALWAYS_INLINE uint64_t take_short(struct ring *ring, uint64_t position, uint64_t end,
                                         uint64_t room)
{
    const uint8_t *shared = ring_sqe(ring, position);
    uint64_t w0 = ring_load(shared);
    uint32_t bytes = 0;
    uint64_t bill = 0; /* a NOP is done for nobody */
    if (!sqe_is_nop(w0, shared)) {
        if ((w0 & ~QUICK_METHOD) != QUICK_WORD0) {
            return position;
        }
        if (room > 1) {
            return quick_run(ring, position, end - position < room ? end : position + room);
        }
        ring->began = (uint32_t)arch_cycles();
        bytes = quick_one(ring, w0, shared);
        if (UNLIKELY(bytes == 0)) {
            return position;
        }
        bill = (uint32_t)arch_cycles() - ring->began;
    }
    post_own(ring, ring_load(shared + 16), bytes, 0, bill);
    return position + 1;
}

COLD bool ring_has_room(struct ring *ring, uint64_t completions)
{
    return ring->claimed - ring->cq_head_seen + completions <= ring->cq_ordinary ||
           (ring_reclaim(ring),
            ring->claimed - ring->cq_head_seen + completions <= ring->cq_ordinary);
}

/* There is room for an ordinary completion. Slots that were claimed and then not needed count for room once
 * it matters. */
static ALWAYS_INLINE bool has_room(struct ring *ring)
{
    return LIKELY(ring->claimed - ring->cq_head_seen < ring->cq_ordinary) || ring_reclaim(ring);
}

/* The beginning of what the entry sends: its parameters, or an answer. */
COLD static void record_message(struct op *op)
{
    const struct capos_sqe *sqe = op->sqe;
    bool sends =
        sqe->op == CAPOS_OP_CALL || sqe->op == CAPOS_OP_RETURN || sqe->op == CAPOS_OP_RETURN_RECV;
    uint32_t bytes = sends ? sqe->params_len & ~7u : 0;
    bytes = bytes < CAPOS_TRACE_MESSAGE_BYTES ? bytes : CAPOS_TRACE_MESSAGE_BYTES;
    for (uint32_t at = 0; at < bytes; at += CAPOS_TRACE_PIECE_BYTES) {
        uint64_t words[CAPOS_TRACE_PIECE_BYTES / 8] = {0};
        uint32_t some = bytes - at < sizeof(words) ? bytes - at : (uint32_t)sizeof(words);
        if (!op_peek_params(op, at, words, some)) {
            return; /* the operation says what is wrong */
        }
        trace_event(op->ring, TRACE_WHAT(CAPOS_TRACE_MESSAGE, some, at, 0), op->position, words[0],
                    words[1], words[2]);
    }
}

/* For the flight recorder. */
static ALWAYS_INLINE void record_submission(struct op *op)
{
    if (ring_is_traced(op->ring)) {
        struct capos_sqe *sqe = op->sqe;
        trace_event(op->ring, TRACE_WHAT(CAPOS_TRACE_SUBMIT, sqe->op, sqe->method, sqe->xfer_count),
                    op->position, sqe->cap, sqe->interface,
                    sqe->params_len | (uint64_t)(sqe->flags & CAPOS_SQE_FLAGS_ALL) << 32);
        if (op->process->recordable) {
            record_message(op);
        }
        sqe->flags |= SQE_TRACED;
    }
}

COLD void ring_dispatch(struct op *op)
{
    const struct op_entry *entry = entry_of(op->sqe->op);
    STEP(what((uintptr_t)entry->run));
    op->ring->began = (uint32_t)arch_cycles();
    record_submission(op);
    if (strange_bits(entry, op->sqe) != 0) {
        refuse(op, ST_UNSUPPORTED);
    } else if ((op->sqe->flags & CAPOS_SQE_KEEP) != 0 && !answer_exists(op->ring, op->position)) {
        refuse(op, ST_BUSY);
    } else if ((op->sqe->flags & CAPOS_SQE_PIPELINE) != 0) {
        pipeline_call(op);
    } else {
        entry->run(op);
    }
}

/* SQEs of the chain that begins at `position`, before `tail`, and how many say KEEP; 0: it has no end there, or
 * is too long for any ring or this one. */
COLD static uint32_t chain_length(struct ring *ring, uint64_t position, uint64_t tail,
                                  uint32_t *keeps)
{
    *keeps = 0;
    for (uint32_t n = 1; n <= CAPOS_MAX_LINK && position + n <= tail; n++) {
        uint64_t flags = ring_load(ring_sqe(ring, position + n - 1)) >> 16;
        *keeps += (flags & CAPOS_SQE_KEEP) != 0;
        if ((flags & CAPOS_SQE_LINK) == 0) {
            return n + *keeps <= ring->cq_ordinary ? n : 0;
        }
    }
    return 0;
}

/* Takes a chain. Returns the position behind it, the same when there is no room or it is to be refused. */
NOINLINE COLD static uint64_t take_chain(struct ring *ring, uint64_t position, uint64_t tail)
{
    uint32_t keeps;
    uint32_t n = chain_length(ring, position, tail, &keeps);
    if (n == 0) {
        lock_acquire(&ring->lock);
        ring->refusing = true;
        atomic_store_relaxed(&ring->ready, atomic_load_relaxed(&ring->ready) + DEFER_ARM);
        lock_release(&ring->lock);
        return position;
    }
    if (!ring_has_room(ring, n + keeps)) {
        return position;
    }
    defer_chain(ring, position, n, keeps);
    return position + n;
}

/* Takes any SQE, the whole of it read into the spare record, and with it the chain that it begins. Returns
 * the position it got to: the same when there is no room, or the SQEs are to be refused. */
NOINLINE static uint64_t take_long(struct ring *ring, uint64_t position, uint64_t tail,
                                   bool ordinary)
{
    if (UNLIKELY(ring->spare == NULL) && !ring_prepare_record(ring)) {
        return position;
    }
    enum kind kind;
    struct op op;
    op.sqe = &ring->spare->sqe;
    const struct op_entry *entry = sqe_take(ring_sqe(ring, position), op.sqe, &kind);
    if (UNLIKELY(!ordinary) && !may_use_reserve(ring, entry, kind)) {
        return position;
    }
    op.ring = ring;
    op.process = ring->process;
    op.position = position;
    ring->began = (uint32_t)arch_cycles();
    STEP(what((uintptr_t)entry->run));
    if (LIKELY(kind == KIND_PLAIN)) {
        record_submission(&op);
        entry->run(&op);
    } else if ((op.sqe->flags & CAPOS_SQE_LINK) != 0) {
        return take_chain(ring, position, tail);
    } else if (kind == KIND_STRANGE) {
        refuse(&op, ST_UNSUPPORTED);
    } else if ((op.sqe->flags & (CAPOS_SQE_MULTISHOT | CAPOS_SQE_KEEP)) != 0 &&
               !ring_has_room(ring, 2)) {
        return position;
    } else {
        if ((op.sqe->flags & CAPOS_SQE_KEEP) != 0) {
            (void)answer_open(&op);
        }
        ring_dispatch(&op);
    }
    return position + 1;
}

/* Takes the SQE at `position`, and perhaps some of those behind it before `end`. Returns the position it got
 * to: the same when there is no room for a completion. *long_out: it may have taken a while. */
static ALWAYS_INLINE uint64_t take(struct ring *ring, uint64_t position, uint64_t end,
                                   uint64_t tail, bool *long_out)
{
    bool ordinary = has_room(ring);
    *long_out = false;
    if (ordinary) {
        uint64_t room =
            end == position + 1 ? 1 : ring->cq_ordinary - (ring->claimed - ring->cq_head_seen);
        uint64_t next = take_short(ring, position, end, room);
        if (next != position) {
            return next;
        }
    }
    *long_out = true;
    return take_long(ring, position, tail, ordinary);
}

/* Deferred SQEs, or a chain to refuse, come before the next SQE. */
static ALWAYS_INLINE bool must_go_on(const struct ring *ring)
{
    return UNLIKELY(atomic_load_relaxed(&ring->ready) != 0) &&
           (defer_any_ready(ring) || ring->refusing);
}

/* Takes up to one slice of SQEs, up to `tail`. */
NOINLINE static enum drain drain_slice(struct ring *ring, uint64_t tail)
{
    uint64_t started = arch_cycles();
    uint64_t before, position = ring->sq_head;
    uint64_t end = tail - position > RING_SLICE_SQES ? position + RING_SLICE_SQES : tail;
    bool was_long;
    do {
        before = position;
        position = take(ring, position, end, tail, &was_long);
    } while (
        LIKELY(position != before) && position < end &&
        (!was_long || (arch_cycles() - started <= RING_SLICE_CYCLES && LIKELY(!must_go_on(ring)))));
    ring->sq_head = position;
    ring_store_release(&ring->header->sq_head, position);
    if (UNLIKELY(must_go_on(ring))) {
        return DRAIN_MORE;
    }
    return UNLIKELY(position == before) ? DRAIN_STALLED
           : position != tail           ? DRAIN_MORE
                                        : DRAIN_EMPTY;
}

/* Nothing is to be reaped or told, one completion is awaited for ever, and nothing else asks for this CPU. */
static ALWAYS_INLINE bool will_wait(struct ring *ring, uint64_t min_complete, uint64_t deadline_ns)
{
    return min_complete == 1 && deadline_ns == CAPOS_FOREVER &&
           atomic_load_relaxed(&ring->cq_tail) == ring->cq_head_seen &&
           atomic_load_relaxed(&ring->ready) == 0 && ring_load(&ring->header->flags) == 0 &&
           cpu_this()->attention == 0 && !process_is_exiting(ring->process);
}

/* One SQE alone, the commonest case. */
static ALWAYS_INLINE enum drain drain_single(struct ring *ring, struct capos_ring_header *header,
                                             uint64_t tail, uint64_t min_complete,
                                             uint64_t deadline_ns)
{
    bool ordinary = has_room(ring);
    if (!ordinary || take_short(ring, tail - 1, tail, 1) != tail) {
        enum fast fast = ordinary && will_wait(ring, min_complete, deadline_ns)
                             ? ipc_fast(ring, tail - 1)
                             : FAST_NOT;
        if (LIKELY(fast == FAST_RESUMED)) {
            return DRAIN_RESUMED;
        }
        if (fast == FAST_NOT && UNLIKELY(take_long(ring, tail - 1, tail, ordinary) != tail)) {
            return ring->refusing ? DRAIN_MORE : DRAIN_STALLED;
        }
        if (UNLIKELY(defer_any_ready(ring))) {
            ring->sq_head = tail;
            ring_store_release(&header->sq_head, tail);
            return DRAIN_MORE;
        }
    }
    ring->sq_head = tail;
    ring_store_release(&header->sq_head, tail);
    return DRAIN_EMPTY;
}

/* Takes over both of the client's indices, each read once; false: one is nonsense. */
static ALWAYS_INLINE bool indices_good(struct ring *ring, struct capos_ring_header *header,
                                       uint64_t tail)
{
    return LIKELY(tail - ring->sq_head <= ring->sq_entries && cq_head_read(ring, header));
}

static ALWAYS_INLINE enum drain drain(struct ring *ring, struct capos_ring_header *header,
                                      uint64_t min_complete, uint64_t deadline_ns)
{
    uint64_t tail = ring_load_acquire(&header->sq_tail);
    if (UNLIKELY(!indices_good(ring, header, tail))) {
        return DRAIN_BAD;
    }
    if (LIKELY(tail - ring->sq_head == 1)) {
        return drain_single(ring, header, tail, min_complete, deadline_ns);
    }
    return tail != ring->sq_head ? drain_slice(ring, tail) : DRAIN_EMPTY;
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

/* A drain would go further than the one before the wait: deferred SQEs, or room that nothing is reaped for. */
static ALWAYS_INLINE bool can_go_on_locked(const struct ring *ring, bool stalled)
{
    return !list_empty(&ring->ready_list) || (!stalled && !list_empty(&ring->unarmed)) ||
           (stalled && ring->released != 0);
}

uint64_t ring_answer_locked(struct ring *ring)
{
    if (UNLIKELY(can_go_on_locked(ring, ring->wait_stalled))) {
        return RING_AGAIN;
    }
    return answer_of(ring, ready_now(ring), ring->wait_stalled);
}

bool ring_wait_over_locked(struct ring *ring)
{
    if (LIKELY(ring->wait_min == 0) ||
        (ready_now(ring) < ring->wait_min && !can_go_on_locked(ring, ring->wait_stalled))) {
        return false;
    }
    ring->wait_min = 0;
    return true;
}

void ring_wake(struct ring *ring, uint64_t result)
{
    struct thread *thread = ring->thread;
    timer_cancel(&thread->deadline);
    if (UNLIKELY(result == RING_AGAIN)) {
        arch_syscall_restart(&thread->arch);
    } else {
        arch_syscall_set_result(&thread->arch, result);
    }
    sched_wake(thread);
}

/* Of an entry that is recorded, or has flags that say more of its completion. */
NOINLINE static void post_flagged(struct op *op, uint64_t outcome, uint64_t extra, uint64_t bill)
{
    int32_t result = (int32_t)outcome;
    if (ring_is_traced(op->ring)) {
        trace_event(op->ring,
                    TRACE_WHAT(CAPOS_TRACE_COMPLETE, 0, outcome >> 32 & UINT16_MAX, outcome >> 48),
                    op->position, bill, extra, (uint64_t)(int64_t)result);
    }
    if ((op->sqe->flags & (CAPOS_SQE_LINK | CAPOS_SQE_KEEP)) != 0) {
        defer_ended_now(op, outcome, extra);
    }
    if ((op->sqe->flags & CAPOS_SQE_QUIET) == 0 || result < 0) {
        post_own(op->ring, op->sqe->user_data, outcome, extra, bill);
    }
}

void op_post(struct op *op, int32_t result, uint16_t flags, uint16_t cap_count, uint64_t extra)
{
    struct ring *ring = op->ring;
    uint64_t bill = (uint32_t)arch_cycles() - ring->began;
    uint64_t outcome = outcome_word(result, flags, cap_count);
    if (UNLIKELY(result < 0)) {
        atomic_add_relaxed(&ring->refusals, 1);
    }
    if (UNLIKELY(ring_is_traced(ring) ||
                 (op->sqe->flags & (CAPOS_SQE_QUIET | CAPOS_SQE_LINK | CAPOS_SQE_KEEP)) != 0)) {
        post_flagged(op, outcome, extra, bill);
    } else {
        post_own(ring, op->sqe->user_data, outcome, extra, bill);
    }
}

void op_post_result(struct op *op, int32_t result)
{
    op_post(op, result, 0, 0, 0);
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
        if (!ring_is_alone(ring)) {
            sched_take_back(ring->thread);
        }
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
static void wait_or_answer(struct ring *ring, uint64_t min_complete, uint64_t deadline_ns,
                           bool stalled)
{
    struct thread *thread = ring->thread;
    if (UNLIKELY(process_is_exiting(ring->process))) {
        return; /* it is not resumed */
    }
    if (UNLIKELY(min_complete > ring->cq_entries)) {
        min_complete = ring->cq_entries;
    }
    bool passed = deadline_ns != CAPOS_FOREVER && deadline_ns <= arch_time_ns();
    lock_acquire(&ring->lock);
    uint64_t ready = ready_now(ring);
    bool enough = ready >= min_complete || (stalled && ready != 0);
    if (UNLIKELY(can_go_on_locked(ring, stalled))) {
        lock_release(&ring->lock);
        arch_syscall_restart(&thread->arch);
        return;
    }
    if (enough || passed) {
        lock_release(&ring->lock);
        arch_syscall_set_result(&thread->arch, answer_of(ring, ready, stalled) |
                                                   (enough ? 0 : CAPOS_ENTER_TIMED_OUT));
        return;
    }
    ring->wait_stalled = stalled;
    ring->wait_min = stalled ? 1 : (uint32_t)min_complete; /* any completion makes room */
    ring->wait_generation++;
    cpu_charge(cpu_this(), thread);
    if (ring_is_traced(ring)) {
        trace_event(ring, CAPOS_TRACE_STOP, 0, 0, 0, 1);
    }
    atomic_store_relaxed(&thread->state, THREAD_BLOCKED);
    cpu_this()->attention |= CPU_GONE;
    if (deadline_ns != CAPOS_FOREVER) {
        timer_arm(&thread->deadline, deadline_ns, ring->wait_generation);
    }
    lock_release(&ring->lock);
}

/* What is there already answers without the lock: the count only grows while the thread is here. The
 * client's index is the one this drain read and found good. */
static ALWAYS_INLINE void answer_or_wait(struct ring *ring, uint64_t min_complete,
                                         uint64_t deadline_ns, bool stalled)
{
    uint64_t ready = atomic_load_acquire(&ring->cq_tail) - ring->cq_head_seen;
    if (ready >= min_complete || (stalled && ready != 0) || deadline_ns == 0) {
        arch_syscall_set_result(&ring->thread->arch, ready | (stalled ? CAPOS_ENTER_STALLED : 0));
    } else {
        wait_or_answer(ring, min_complete, deadline_ns, stalled);
    }
}

COLD void ring_say_flags(struct ring *ring, bool stalled)
{
    ring_store(&ring->header->flags,
               (stalled ? CAPOS_RING_STALLED : 0) |
                   (atomic_load_relaxed(&ring->polled) != 0 ? CAPOS_RING_POLLED : 0));
}

static ALWAYS_INLINE void set_flags(struct ring *ring, const struct capos_ring_header *header,
                                    bool stalled)
{
    uint64_t flags = stalled ? CAPOS_RING_STALLED : 0;
    if (UNLIKELY(ring_load(&header->flags) != flags)) {
        ring_say_flags(ring, stalled);
    }
}

/* Refuses SQEs up to the end of a chain that cannot be one, as far as there are any and there is room. */
COLD static enum drain refuse_chain(struct ring *ring, struct capos_ring_header *header,
                                    uint64_t tail)
{
    for (unsigned i = 0; i < RING_SLICE_SQES; i++) {
        if (ring->sq_head == tail) {
            return DRAIN_EMPTY;
        }
        if (!ring_has_room(ring, 1) || (ring->spare == NULL && !ring_prepare_record(ring))) {
            return DRAIN_STALLED;
        }
        enum kind kind;
        struct op op = {ring, ring->process, ring->sq_head, &ring->spare->sqe};
        ring->began = (uint32_t)arch_cycles();
        (void)sqe_take(ring_sqe(ring, op.position), op.sqe, &kind);
        ring->sq_head++;
        ring_store_release(&header->sq_head, ring->sq_head);
        bool last = (op.sqe->flags & CAPOS_SQE_LINK) == 0;
        op.sqe->flags &= CAPOS_SQE_INLINE;
        refuse(&op, ST_BAD_ARGUMENT);
        if (last) {
            lock_acquire(&ring->lock);
            ring->refusing = false;
            atomic_store_relaxed(&ring->ready, atomic_load_relaxed(&ring->ready) - DEFER_ARM);
            lock_release(&ring->lock);
            break;
        }
    }
    return DRAIN_MORE;
}

COLD enum drain ring_go_on(struct ring *ring, struct capos_ring_header *header)
{
    uint64_t tail = ring_load_acquire(&header->sq_tail);
    if (!indices_good(ring, header, tail)) {
        return DRAIN_BAD;
    }
    bool deferred = (atomic_load_relaxed(&ring->ready) & ~(uint32_t)DEFER_POLLED) != 0;
    enum defer defer = deferred ? defer_run(ring) : DEFER_DONE;
    if (defer == DEFER_LEFT) {
        return DRAIN_MORE;
    }
    enum drain drained = DRAIN_EMPTY;
    if (ring->refusing) {
        drained = refuse_chain(ring, header, tail);
    } else if (tail != ring->sq_head) {
        drained = drain_slice(ring, tail);
    }
    return drained == DRAIN_EMPTY && defer == DEFER_STARVED ? DRAIN_STALLED : drained;
}

/* Of a polled ring, which its thread then has up to the end of this entry, where poll_begin gives it back. False: a slice
 * of the poller's is under way. */
COLD static bool take_from_poller(struct ring *ring)
{
    bool taken = poll_take(ring);
    cpu_this()->attention |= taken ? CPU_POLL : 0;
    return taken;
}

/* What takes more than one slice. DRAIN_RESUMED: the system call is answered, or made again. */
NOINLINE COLD static enum drain enter_slices(struct ring *ring, struct capos_ring_header *header)
{
    bool mine = atomic_load_relaxed(&ring->ready) < DEFER_POLLED || take_from_poller(ring);
    for (;;) {
        if (!mine || arch_interrupt_pending() ||
            (cpu_this()->attention & ~(uint32_t)CPU_POLL) != 0 ||
            process_is_exiting(ring->process)) {
            arch_syscall_restart(&ring->thread->arch);
            return DRAIN_RESUMED;
        }
        STEP(end());
        enum drain drained = ring_go_on(ring, header);
        if (drained != DRAIN_MORE) {
            return drained;
        }
    }
}

void ring_enter(struct ring *ring, uint64_t min_complete, uint64_t deadline_ns)
{
    struct capos_ring_header *header = ring_header(ring);
    enum drain drained = DRAIN_MORE;
    if (LIKELY(atomic_load_acquire(&ring->ready) == 0)) {
        drained = drain(ring, header, min_complete, deadline_ns);
    }
    if (UNLIKELY(drained == DRAIN_MORE)) {
        drained = enter_slices(ring, header);
    }
    if (LIKELY(drained == DRAIN_RESUMED)) {
        return;
    }
    if (UNLIKELY(drained == DRAIN_BAD)) {
        arch_syscall_set_result(&ring->thread->arch, (uint64_t)(int64_t)ST_BAD_RING);
        return;
    }
    set_flags(ring, header, drained == DRAIN_STALLED);
    answer_or_wait(ring, min_complete, deadline_ns, drained == DRAIN_STALLED);
}
