/* SPDX-License-Identifier: MIT */
/* The ring client against a fake kernel: a ring in ordinary memory and a scripted cap_enter. */
#include "tests/unit/test.h"

#include "abi/ring.h"
#include "abi/syscall.h"
#include "capos/call.h"
#include "capos/handle.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "libcapos/internal.h"
#include "status.capnp.h"

enum { SQ = 16, CQ = 32, PAYLOAD_AT = 4096, RING_BYTES = 16384 };

static _Alignas(4096) uint8_t memory[RING_BYTES];
static struct capos_ring_header *const header = (struct capos_ring_header *)(void *)memory;

static struct {
    uint64_t head; /* consumed */
    uint64_t cq_tail;
    struct capos_sqe held[64]; /* consumed and not completed */
    unsigned held_count;
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
    memset(memory, 0, sizeof(memory));
    memset(&kernel, 0, sizeof(kernel));
    header->magic = CAPOS_RING_MAGIC;
    header->version = CAPOS_RING_VERSION;
    header->sq_entries = SQ;
    header->cq_entries = CQ;
    header->sq_offset = 512;
    header->cq_offset = 512 + SQ * 64;
    header->payload_offset = PAYLOAD_AT;
    header->payload_slots = CQ;
    header->total_bytes = RING_BYTES;
    header->next_sequence = 7;
    kernel.expected_seq = 7;
    REQUIRE(capos_ring_open(memory, RING_BYTES));
}

static void post(const struct capos_sqe *sqe, int32_t result, uint16_t flags, uint64_t extra)
{
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

/* A call answers with its own parameters. */
static void answer(const struct capos_sqe *sqe)
{
    if (sqe->op != CAPOS_OP_CALL || kernel.answer != ST_OK) {
        post(sqe, kernel.answer, 0, 0);
        return;
    }
    uint32_t length = sqe->params_len < sqe->result_len ? sqe->params_len : sqe->result_len;
    memmove(bytes_of(sqe, sqe->result), bytes_of(sqe, sqe->params), length);
    post(sqe, (int32_t)length, 0, 0);
}

static void release_held(void)
{
    for (unsigned i = 0; i < kernel.held_count; i++) {
        answer(&kernel.held[kernel.reverse ? kernel.held_count - 1 - i : i]);
    }
    kernel.held_count = 0;
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
        struct capos_sqe sqe =
            ((struct capos_sqe *)(void *)(memory + header->sq_offset))[kernel.head % SQ];
        header->sq_head = ++kernel.head;
        kernel.order[kernel.consumed++ % 64] = sqe.op;
        if (!sequence_is_right(&sqe)) {
            continue;
        }
        if (kernel.hold_calls && sqe.op == CAPOS_OP_CALL) {
            kernel.held[kernel.held_count++] = sqe;
        } else {
            answer(&sqe);
        }
    }
    if (header->cq_head == kernel.cq_tail && min_complete > 0) {
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
    capos_call_begin(&box->call, 5);
    box->call.params_bytes = bytes;
    memcpy(box->params, &value, 8);
}

static uint64_t result_of(const struct box *box)
{
    uint64_t value;
    memcpy(&value, box->result, 8);
    return value;
}

TEST(ring_refuses_strange_header, "a ring whose header contradicts itself is not opened")
{
    setup();
    header->cq_entries = 48;
    CHECK(!capos_ring_open(memory, RING_BYTES));
    header->cq_entries = CQ;
    CHECK(!capos_ring_open(memory, 100));
    header->magic = 0;
    CHECK(!capos_ring_open(memory, RING_BYTES));
}

TEST(ring_small_call_is_inline, "a small call travels in a payload slot and its result comes back")
{
    static struct box box;
    setup();
    make_call(&box, 64, 0x1122334455667788);
    CHECK_EQ(capos_call(&box.call), ST_OK);
    CHECK_EQ(box.call.result_bytes, 64);
    CHECK_EQ(result_of(&box), 0x1122334455667788);
    CHECK_EQ(capos_ring_stats()->inlined, 1);
    CHECK_EQ(kernel.entries, 1);
}

TEST(ring_large_call_is_not_inline, "a call above a payload slot uses its own buffers")
{
    static struct box box;
    setup();
    make_call(&box, 1024, 42);
    CHECK_EQ(capos_call(&box.call), ST_OK);
    CHECK_EQ(box.call.result_bytes, 1024);
    CHECK_EQ(result_of(&box), 42);
    CHECK_EQ(capos_ring_stats()->inlined, 0);
}

TEST(ring_more_calls_than_room,
     "more calls than the queues hold all complete, each with its own result")
{
    enum { CALLS = 100 };
    static struct box boxes[CALLS];
    setup();
    kernel.hold_calls = true;
    kernel.reverse = true;
    for (unsigned i = 0; i < CALLS; i++) {
        make_call(&boxes[i], 16, 1000 + i);
        capos_submit(&boxes[i].call);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        CHECK_EQ(capos_wait(&boxes[i].call, CAPOS_FOREVER), ST_OK);
        CHECK_EQ(result_of(&boxes[i]), 1000 + i);
    }
    CHECK_EQ(capos_ring_stats()->unexpected, 0);
    CHECK_EQ(capos_ring_stats()->completed, CALLS);
}

TEST(ring_wait_deadline, "a wait whose deadline passes says TIMED_OUT and the call goes on")
{
    static struct box box;
    setup();
    kernel.hold_calls = true;
    make_call(&box, 16, 9);
    capos_submit(&box.call);
    CHECK_EQ(capos_wait(&box.call, 1), ST_TIMED_OUT);
    CHECK(!capos_poll(&box.call));
    CHECK_EQ(capos_wait(&box.call, CAPOS_FOREVER), ST_OK);
    CHECK_EQ(result_of(&box), 9);
}

TEST(ring_transfers_are_numbered, "calls with transfers carry rising numbers and none is lost")
{
    static struct box boxes[3];
    setup();
    for (unsigned i = 0; i < 3; i++) {
        make_call(&boxes[i], 16, i);
        CHECK_EQ(capos_call_copy(&boxes[i].call, 77), 0);
        capos_submit(&boxes[i].call);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(capos_wait(&boxes[i].call, CAPOS_FOREVER), ST_OK);
    }
    CHECK_EQ(kernel.expected_seq, 10);
    CHECK_EQ(capos_ring_stats()->resequenced, 0);
}

TEST(ring_bad_sequence_recovers,
     "after BAD_SEQUENCE the calls are numbered anew, in order, and succeed")
{
    static struct box boxes[3];
    setup();
    kernel.expected_seq = 100;
    header->next_sequence = 100;
    for (unsigned i = 0; i < 3; i++) {
        make_call(&boxes[i], 1024, i);
        capos_call_move(&boxes[i].call, 77);
        capos_submit(&boxes[i].call);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(capos_wait(&boxes[i].call, CAPOS_FOREVER), ST_OK);
        CHECK_EQ(result_of(&boxes[i]), i);
    }
    CHECK_EQ(kernel.expected_seq, 103);
    CHECK(capos_ring_stats()->resequenced >= 3);
}

TEST(ring_too_many_transfers,
     "a transfer above the capacity refuses the call BAD_TRANSFER, unsubmitted")
{
    static struct box box;
    setup();
    make_call(&box, 16, 0);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(capos_call_copy(&box.call, 50 + i), i);
    }
    CHECK_EQ(capos_call_copy(&box.call, 60), UINT16_MAX);
    CHECK_EQ(capos_call(&box.call), ST_BAD_TRANSFER);
    CHECK_EQ(capos_ring_stats()->submitted, 0);
}

TEST(ring_stall_moves_back, "a stalled queue is taken back and submitted again, nothing twice")
{
    enum { CALLS = 10 };
    static struct box boxes[CALLS];
    setup();
    kernel.allow = 3;
    for (unsigned i = 0; i < CALLS; i++) {
        make_call(&boxes[i], 16, i);
        capos_call_copy(&boxes[i].call, 9);
        capos_submit(&boxes[i].call);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        CHECK_EQ(capos_wait(&boxes[i].call, CAPOS_FOREVER), ST_OK);
        CHECK_EQ(result_of(&boxes[i]), i);
    }
    CHECK_EQ(kernel.consumed, CALLS);
    CHECK_EQ(kernel.expected_seq, 7 + CALLS);
    CHECK(capos_ring_stats()->stalls > 0);
    CHECK_EQ(capos_ring_stats()->resequenced, 0);
}

TEST(
    ring_reserve_passes,
    "RETURN, SIGNAL and RELEASE pass calls that wait for room, a RELEASE of what they use does not")
{
    enum { CALLS = 40 };
    static struct box boxes[CALLS];
    static struct capos_op ops[5];
    setup();
    kernel.hold_calls = true;
    for (unsigned i = 0; i < CALLS; i++) {
        make_call(&boxes[i], 16, i);
        CHECK_EQ(capos_call_copy(&boxes[i].call, 6), 0);
        capos_submit(&boxes[i].call);
    }
    capos_push();
    capos_push();
    unsigned before = kernel.consumed;
    CHECK_EQ(before, CQ - 4);
    capos_op_init(&ops[0], CAPOS_OP_RELEASE, 5); /* they call it */
    capos_op_init(&ops[1], CAPOS_OP_RELEASE, 6); /* they give it away */
    capos_op_init(&ops[2], CAPOS_OP_RETURN, 0);
    capos_op_init(&ops[3], CAPOS_OP_SIGNAL, 3);
    capos_op_init(&ops[4], CAPOS_OP_RELEASE, 3);
    for (unsigned i = 0; i < 5; i++) {
        capos_op_submit(&ops[i]);
    }
    capos_push();
    CHECK_EQ(kernel.consumed, before + 3);
    CHECK_EQ(kernel.order[before], CAPOS_OP_RETURN);
    CHECK_EQ(kernel.order[before + 1], CAPOS_OP_SIGNAL);
    CHECK_EQ(kernel.order[before + 2], CAPOS_OP_RELEASE);
    for (unsigned i = 0; i < CALLS; i++) {
        CHECK_EQ(capos_wait(&boxes[i].call, CAPOS_FOREVER), ST_OK);
    }
    CHECK(capos_op_wait(&ops[0], CAPOS_FOREVER));
    CHECK(capos_op_wait(&ops[1], CAPOS_FOREVER));
}

/* As many calls as there is room for are in flight, and more wait; none is answered until the
 * kernel is entered to wait for ever. Each waiting one uses a capability of its own. */
static void fill_ring(struct box *boxes, unsigned count)
{
    setup();
    kernel.hold_calls = true;
    for (unsigned i = 0; i < count; i++) {
        make_call(&boxes[i], 16, i);
        boxes[i].call.cap = 1000 + i;
        capos_submit(&boxes[i].call);
    }
    capos_push();
    capos_push();
}

TEST(ring_release_when_full, "with every place taken for good, capabilities can still be released")
{
    enum { CALLS = 40, RELEASES = 300 };
    static struct box boxes[CALLS];
    fill_ring(boxes, CALLS);
    unsigned held = kernel.held_count;
    for (unsigned i = 0; i < RELEASES; i++) {
        capos_release(5000 + i);
    }
    for (unsigned i = 0; i < RELEASES; i++) {
        capos_push();
    }
    CHECK_EQ(kernel.held_count, held);
    CHECK_EQ(capos_ring_stats()->completed, RELEASES);
}

TEST(ring_release_waits, "a release that must wait for a call in front of it sleeps, and then goes")
{
    enum { CALLS = 200 };
    static struct box boxes[CALLS];
    fill_ring(boxes, CALLS);
    for (unsigned i = 0; i < CALLS; i++) {
        capos_release(1000 + i);
    }
    CHECK(kernel.entries < 1000);
    for (unsigned i = 0; i < CALLS; i++) {
        CHECK_EQ(capos_wait(&boxes[i].call, CAPOS_FOREVER), ST_OK);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        capos_push();
    }
    CHECK_EQ(capos_ring_stats()->completed, 2 * CALLS);
}

TEST(ring_releases_are_batched, "queued releases go to the kernel with the next call, all of them")
{
    static struct box box;
    setup();
    for (unsigned i = 0; i < 30; i++) {
        capos_release(100 + i);
    }
    capos_release(0);
    CHECK_EQ(kernel.entries, 0);
    make_call(&box, 16, 1);
    CHECK_EQ(capos_call(&box.call), ST_OK);
    for (unsigned i = 0; i < 4; i++) {
        capos_push();
    }
    unsigned releases = 0;
    for (unsigned i = 0; i < kernel.consumed; i++) {
        releases += kernel.order[i] == CAPOS_OP_RELEASE;
    }
    CHECK_EQ(releases, 30);
}

static unsigned releases_so_far(void)
{
    unsigned releases = 0;
    for (unsigned i = 0; i < 4; i++) {
        capos_push();
    }
    for (unsigned i = 0; i < kernel.consumed; i++) {
        releases += kernel.order[i] == CAPOS_OP_RELEASE;
    }
    return releases;
}

static capos_cap_t passes_on(capos_cap_t cap)
{
    CAPOS_OWNED handle = capos_own(cap);
    return capos_handle_take(&handle);
}

static int leaves_early(capos_cap_t cap, bool early)
{
    CAPOS_OWNED handle = capos_own(cap);
    if (early) {
        return 1;
    }
    capos_handle_drop(&handle);
    return 0;
}

TEST(handle_scope, "an owned handle releases its capability once, on every way out of its block")
{
    setup();
    {
        CAPOS_OWNED handle = capos_own(41);
        CHECK_EQ(handle.cap, 41);
        CHECK_EQ(releases_so_far(), 0);
    }
    CHECK_EQ(releases_so_far(), 1);
    CHECK_EQ(leaves_early(42, true), 1);
    CHECK_EQ(releases_so_far(), 2);
    CHECK_EQ(leaves_early(43, false), 0);
    CHECK_EQ(releases_so_far(), 3);
}

TEST(handle_given_up,
     "a capability that was taken from its handle is not released, one that was replaced is")
{
    setup();
    CHECK_EQ(passes_on(44), 44);
    CHECK_EQ(releases_so_far(), 0);
    {
        CAPOS_OWNED handle = capos_own(45);
        capos_handle_set(&handle, 46);
        CHECK_EQ(releases_so_far(), 1);
        CHECK_EQ(handle.cap, 46);
    }
    CHECK_EQ(releases_so_far(), 2);
    {
        CAPOS_OWNED nothing = capos_own(0);
        CHECK_EQ(nothing.cap, 0);
    }
    CHECK_EQ(releases_so_far(), 2);
}

TEST(ring_foreign_completion, "a completion that belongs to nothing is counted and ignored")
{
    static struct box box;
    struct capos_sqe stranger = {.user_data = 3};
    setup();
    post(&stranger, 0, 0, 0);
    stranger.user_data = UINT64_MAX;
    post(&stranger, 0, 0, 0);
    make_call(&box, 16, 5);
    CHECK_EQ(capos_call(&box.call), ST_OK);
    CHECK_EQ(result_of(&box), 5);
    CHECK_EQ(capos_ring_stats()->unexpected, 2);
}

static unsigned callbacks;

static void count_callback(struct capos_op *op)
{
    callbacks++;
    if (callbacks < 3) {
        capos_op_submit(op);
    }
}

TEST(ring_callbacks_run_in_step,
     "a callback runs in a step, not inside a call, and may submit again")
{
    static struct box box;
    static struct capos_op op;
    setup();
    callbacks = 0;
    capos_op_init(&op, CAPOS_OP_NOP, 0);
    op.done = count_callback;
    capos_op_submit(&op);
    make_call(&box, 16, 5);
    CHECK_EQ(capos_call(&box.call), ST_OK);
    CHECK_EQ(callbacks, 0);
    CHECK(capos_step(CAPOS_FOREVER));
    CHECK(capos_step(CAPOS_FOREVER));
    CHECK(capos_step(CAPOS_FOREVER));
    CHECK_EQ(callbacks, 3);
    CHECK(!capos_step(1));
}

TEST(ring_cancel_unsubmitted, "cancelling what has not left yet never reaches the kernel")
{
    static struct box box;
    setup();
    make_call(&box, 16, 5);
    capos_submit(&box.call);
    CHECK_EQ(capos_cancel(&box.call), ST_CANCELLED);
    CHECK_EQ(capos_ring_stats()->submitted, 0);
}

TEST(ring_result_bytes_bounded, "a result longer than the buffer is cut to it, records included")
{
    static struct box box;
    setup();
    make_call(&box, 16, 5);
    box.call.op.cqe = (struct capos_cqe){.result = 4096, .flags = CAPOS_CQE_CAPS, .cap_count = 9};
    box.call.result_capacity = 64;
    capos_call_finish(&box.call);
    CHECK_EQ(box.call.result_bytes, 64);
    CHECK_EQ(box.call.cap_count, 0);
    CHECK_EQ(capos_call_take(&box.call, 0, 0), 0);
}

TEST(ring_room_for_words,
     "a declared call has room for the text of an exception, however small its result")
{
    enum {
        Small_get_MAX_PARAMS_BYTES = 8,
        Small_get_MAX_RESULTS_BYTES = 16,
        Small_get_PARAM_CAPS = 0,
        Small_get_RESULT_CAPS = 0,
        Small_get_ORDINAL = 0,
        Small_ID = 1,
    };
    static const char text[] = "2 restarts are under way; wait for one";
    char words[64];
    CAPOS_CALL(call, Small, get);
    REQUIRE(call.result_capacity >= sizeof(text));
    memcpy(call.result, text, sizeof(text));
    call.op.cqe = (struct capos_cqe){.result = ST_EXCEPTION, .flags = CAPOS_CQE_EXCEPTION};
    call.op.cqe.exception = CAPOS_EXC_OVERLOADED;
    call.op.cqe.needed = sizeof(text) - 1;
    capos_call_finish(&call);
    CHECK_STR_EQ(capos_call_text(&call, words, sizeof(words)), text);
}
