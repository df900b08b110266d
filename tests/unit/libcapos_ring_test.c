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
#include "tests/unit/libcapos_fake.h"
#include "status.capnp.h"

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
    capos_op_init(&ops[0], CAPOS_OP_RELEASE, CAP(5)); /* they call it */
    capos_op_init(&ops[1], CAPOS_OP_RELEASE, 6);      /* they give it away */
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
        boxes[i].call.cap = CAP(1000 + i);
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
        capos_release(CAP(1000 + i));
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

TEST(ring_step_looks, "a turn of the loop with a deadline of 0 looks once and goes on")
{
    setup();
    CHECK(!capos_step(0));
    CHECK_EQ(kernel.entries, 1);
}

TEST(ring_polled, "what is submitted to a polled ring is not entered for; who waits long is")
{
    static struct capos_op op;
    setup();
    header->flags = CAPOS_RING_POLLED;
    CHECK(capos_ring_is_polled());
    capos_op_init(&op, CAPOS_OP_NOP, 0);
    capos_op_submit(&op);
    capos_push();
    CHECK_EQ(kernel.entries, 0);
    CHECK_EQ(header->sq_tail, kernel.head + 1);
    CHECK(capos_op_wait(&op, CAPOS_FOREVER)); /* nobody polls after all: it enters in the end */
    CHECK_EQ(kernel.entries, 1);
    CHECK_EQ(op.cqe.result, ST_OK);
    header->flags = 0;
    CHECK(!capos_ring_is_polled());
    CHECK_EQ(capos_op_run(&op), ST_OK);
    CHECK_EQ(kernel.entries, 2);
}

TEST(ring_polled_stall, "a polled ring's queue is never taken back, though the kernel says STALLED")
{
    static struct capos_op ops[3];
    setup();
    for (unsigned i = 0; i < 3; i++) {
        capos_op_init(&ops[i], CAPOS_OP_NOP, 0);
        capos_op_submit(&ops[i]);
    }
    kernel.allow = 1;
    capos_flush();
    header->flags = CAPOS_RING_POLLED;
    uint64_t tail = header->sq_tail;
    CHECK(capos_op_wait(&ops[0], CAPOS_FOREVER));
    CHECK_EQ(header->sq_tail, tail);
    CHECK_EQ(capos_ring_stats()->stalls, 0);
    kernel.allow = 0;
    CHECK(capos_op_wait(&ops[2], CAPOS_FOREVER));
    CHECK_EQ(ops[2].cqe.result, ST_OK);
}
