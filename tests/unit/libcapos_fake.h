/* SPDX-License-Identifier: MIT */
/* A fake kernel for tests of libcapos: a ring in ordinary memory and a scripted cap_enter. */
#ifndef CAPOS_TESTS_UNIT_LIBCAPOS_FAKE_H
#define CAPOS_TESTS_UNIT_LIBCAPOS_FAKE_H

#include "abi/ring.h"
#include "abi/syscall.h"
#include "capos/call.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "libcapos/internal.h"
#include "status.capnp.h"
#include "tests/unit/libcapos_memory.h"
#include "tests/unit/test.h"

/* The number of a capability, which no promise has. */
#define CAP(n) (UINT64_C(1) << CAPOS_CAP_INDEX_BITS | (n))

static struct {
    uint64_t head; /* consumed */
    uint64_t cq_tail;
    struct held {
        struct capos_sqe sqe;
        uint64_t position;
    } held[64]; /* consumed and not completed */
    unsigned held_count;
    struct kept {
        uint64_t position;
        int32_t result;
        bool ended;
        bool finished; /* goes when no held call is on it */
    } kept[64];        /* answers, in order */
    unsigned kept_count;
    bool chain_failed;
    uint16_t fails; /* calls of this method, when it is not 0, end FAILED "no such thing" */
    uint64_t expected_seq;
    unsigned allow; /* SQEs it consumes before it says STALLED; 0 = all */
    unsigned entries;
    uint8_t order[64]; /* opcodes as consumed */
    unsigned consumed;
    bool hold_calls;
    bool reverse;
    status_t answer;
} kernel;

static void setup(void)
{
    memset(&kernel, 0, sizeof(kernel));
    make_ring();
    header->payload_slots = CQ;
    header->next_sequence = 7;
    kernel.expected_seq = 7;
    REQUIRE(capos_ring_open(memory, RING_BYTES));
}

static void post(const struct capos_sqe *sqe, int32_t result, uint16_t flags, uint64_t extra)
{
    if ((sqe->flags & CAPOS_SQE_QUIET) != 0 && result >= 0) {
        return;
    }
    struct capos_cqe *cqe =
        (struct capos_cqe *)(void *)(memory + header->cq_offset) + kernel.cq_tail % CQ;
    CHECK(kernel.cq_tail - header->cq_head < CQ);
    memset(cqe, 0, sizeof(*cqe));
    cqe->user_data = sqe->user_data;
    cqe->result = result;
    cqe->flags = flags;
    cqe->signal = extra;
    header->cq_tail = ++kernel.cq_tail;
}

static uint8_t *bytes_of(const struct capos_sqe *sqe, uint64_t place)
{
    return sqe->flags & CAPOS_SQE_INLINE ? memory + PAYLOAD_AT + place
                                         : (uint8_t *)(uintptr_t)place;
}

static bool sequence_is_right(const struct capos_sqe *sqe)
{
    if (sqe->xfer_count == 0) {
        return true;
    }
    uint64_t number;
    memcpy(&number, bytes_of(sqe, sqe->params) + ((sqe->params_len + 7u) & ~7u), 8);
    if (number != kernel.expected_seq) {
        post(sqe, ST_BAD_SEQUENCE, CAPOS_CQE_SEQUENCE, kernel.expected_seq);
        return false;
    }
    header->next_sequence = ++kernel.expected_seq;
    return true;
}

static struct kept *kept_at(uint64_t position)
{
    for (unsigned i = 0; i < kernel.kept_count; i++) {
        if (kernel.kept[i].position == position) {
            return &kernel.kept[i];
        }
    }
    return NULL;
}

/* The end of the SQE at `position`: told, and noted in its answer when that is kept. */
static void end(const struct held *held, int32_t result, uint16_t flags, uint64_t extra)
{
    struct kept *kept = held->sqe.flags & CAPOS_SQE_KEEP ? kept_at(held->position) : NULL;
    if (kept != NULL) {
        kept->ended = true;
        kept->result = result;
    }
    kernel.chain_failed = (held->sqe.flags & CAPOS_SQE_LINK) != 0 && result < 0;
    post(&held->sqe, result, flags, extra);
}

static void end_with_text(const struct held *held, const char *text)
{
    memcpy(bytes_of(&held->sqe, held->sqe.result), text, strlen(text));
    end(held, ST_EXCEPTION, CAPOS_CQE_EXCEPTION, CAPOS_EXC_FAILED | (uint64_t)strlen(text) << 32);
}

/* A call answers with its own parameters. */
static void answer(const struct held *held)
{
    const struct capos_sqe *sqe = &held->sqe;
    struct kept *on = sqe->flags & CAPOS_SQE_PIPELINE ? kept_at(sqe->cap) : NULL;
    if ((sqe->flags & CAPOS_SQE_PIPELINE) != 0 && (on == NULL || on->result < 0)) {
        status_t status = on != NULL ? on->result : ST_NOT_FOUND;
        end(held, status, status == ST_EXCEPTION ? CAPOS_CQE_EXCEPTION : 0,
            status == ST_EXCEPTION ? CAPOS_EXC_FAILED : 0);
    } else if (sqe->op != CAPOS_OP_CALL || kernel.answer != ST_OK) {
        end(held, kernel.answer, 0, 0);
    } else if (kernel.fails != 0 && sqe->method == kernel.fails) {
        end_with_text(held, "no such thing");
    } else {
        uint32_t length = sqe->params_len < sqe->result_len ? sqe->params_len : sqe->result_len;
        memmove(bytes_of(sqe, sqe->result), bytes_of(sqe, sqe->params), length);
        end(held, (int32_t)length, 0, 0);
    }
}

static bool is_awaited(uint64_t position)
{
    for (unsigned i = 0; i < kernel.held_count; i++) {
        const struct capos_sqe *sqe = &kernel.held[i].sqe;
        if ((sqe->flags & CAPOS_SQE_PIPELINE) != 0 && sqe->cap == position) {
            return true;
        }
    }
    return false;
}

static void drop_finished(void)
{
    for (unsigned i = 0; i < kernel.kept_count;) {
        if (kernel.kept[i].finished && !is_awaited(kernel.kept[i].position)) {
            kernel.kept[i] = kernel.kept[--kernel.kept_count];
        } else {
            i++;
        }
    }
}

static void release_held(void)
{
    for (unsigned i = 0; i < kernel.held_count; i++) {
        answer(&kernel.held[kernel.reverse ? kernel.held_count - 1 - i : i]);
    }
    kernel.held_count = 0;
    drop_finished();
}

/* CANCEL and FINISH: what they name is there, or NOT_FOUND. */
static status_t cancel(uint64_t position)
{
    for (unsigned i = 0; i < kernel.held_count; i++) {
        if (kernel.held[i].position == position) {
            end(&kernel.held[i], ST_CANCELLED, 0, 0);
            kernel.held[i] = kernel.held[--kernel.held_count];
            return ST_OK;
        }
    }
    return ST_NOT_FOUND;
}

static status_t finish_answer(uint64_t position)
{
    struct kept *kept = kept_at(position);
    if (kept == NULL) {
        return ST_NOT_FOUND;
    }
    kept->finished = true;
    drop_finished();
    return ST_OK;
}

static void consume(const struct held *held)
{
    const struct capos_sqe *sqe = &held->sqe;
    bool chain_failed = kernel.chain_failed;
    kernel.chain_failed = false;
    if (chain_failed) {
        end(held, ST_CANCELLED, 0, 0);
    } else if (sqe->op == CAPOS_OP_CANCEL) {
        post(sqe, cancel(sqe->cap), 0, 0);
    } else if (sqe->op == CAPOS_OP_FINISH) {
        post(sqe, finish_answer(sqe->cap), 0, 0);
    } else if (kernel.hold_calls && sqe->op == CAPOS_OP_CALL) {
        kernel.held[kernel.held_count++] = *held;
    } else {
        answer(held);
    }
}

void capos_relax(void)
{
}

int64_t capos_sys_enter(uint64_t min_complete, uint64_t deadline_ns)
{
    unsigned budget = kernel.allow;
    int64_t flags = 0;
    kernel.entries++;
    while (kernel.head < header->sq_tail) {
        if (kernel.allow != 0 && budget-- == 0) {
            flags |= (int64_t)CAPOS_ENTER_STALLED;
            break;
        }
        struct held held = {
            ((struct capos_sqe *)(void *)(memory + header->sq_offset))[kernel.head % SQ],
            kernel.head};
        header->sq_head = ++kernel.head;
        kernel.order[kernel.consumed++ % 64] = held.sqe.op;
        if (held.sqe.flags & CAPOS_SQE_KEEP) {
            kernel.kept[kernel.kept_count++] = (struct kept){.position = held.position};
        }
        if (sequence_is_right(&held.sqe)) {
            consume(&held);
        }
    }
    if (header->cq_head == kernel.cq_tail && min_complete > 0) {
        if (deadline_ns == 0) {
            return flags; /* as the kernel does: who only looks has not waited in vain */
        }
        if (deadline_ns != CAPOS_FOREVER) {
            return flags | (int64_t)CAPOS_ENTER_TIMED_OUT;
        }
        release_held();
    }
    return flags | (int64_t)(kernel.cq_tail - header->cq_head);
}

NORETURN void capos_sys_exit(int64_t code)
{
    printf("# the library ended the process with code %lld\n", (long long)code);
    exit(2);
}

/* A call with room for `bytes` and four transfers. */
struct box {
    _Alignas(8) uint8_t params[2048 + 8 + 64];
    _Alignas(8) uint8_t result[2048];
    struct capos_transfer transfers[4];
    struct capos_call call;
};

static void make_call(struct box *box, uint32_t bytes, uint64_t value)
{
    memset(box, 0, sizeof(*box));
    box->call.params = box->params;
    box->call.params_capacity = 2048;
    box->call.result = box->result;
    box->call.result_capacity = bytes < 16 ? 16 : bytes;
    box->call.transfers = box->transfers;
    box->call.transfer_capacity = 4;
    capos_call_begin(&box->call, CAP(5));
    box->call.params_bytes = bytes;
    memcpy(box->params, &value, 8);
}

static uint64_t result_of(const struct box *box)
{
    uint64_t value;
    memcpy(&value, box->result, 8);
    return value;
}

#endif
