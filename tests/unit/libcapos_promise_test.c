/* SPDX-License-Identifier: MIT */
/* Promises, chains, batches and repeated waits of the ring client, against a fake kernel. */
#include "tests/unit/libcapos_fake.h"

enum { FAILS = 6 };

/* A call that others may be called on; nobody waits for it. */
static void make_promise(struct box *box, capos_cap_t cap, uint16_t method)
{
    make_call(box, 16, 11);
    box->call.keep = true;
    box->call.quiet = true;
    box->call.interface_name = "Directory";
    box->call.method_name = "open_file";
    box->call.method = method;
    capos_call_begin(&box->call, cap);
    box->call.params_bytes = 16;
}

static void make_on(struct box *box, capos_cap_t promise)
{
    make_call(box, 16, 22);
    box->call.interface_name = "File";
    box->call.method_name = "read";
    capos_call_begin(&box->call, promise);
    box->call.params_bytes = 16;
}

/* Nothing is in flight, nothing is kept, and the client knows it: a new call goes through alone. */
static void check_over(void)
{
    static struct box last;
    capos_push();
    capos_push();
    CHECK_EQ(kernel.kept_count, 0);
    CHECK_EQ(capos_ring_stats()->unexpected, 0);
    unsigned entries = kernel.entries;
    make_call(&last, 16, 33);
    CHECK_EQ(capos_call(&last.call), ST_OK);
    CHECK_EQ(kernel.entries, entries + 1);
}

TEST(promise_row, "a row of four calls, each on the result of the one before, is one entry")
{
    static struct box steps[4];
    setup();
    kernel.hold_calls = true;
    capos_cap_t target = CAP(5);
    for (unsigned i = 0; i < 3; i++) {
        make_promise(&steps[i], target, 1);
        capos_submit(&steps[i].call);
        target = capos_promise(&steps[i].call, i);
    }
    make_on(&steps[3], target);
    CHECK_EQ(capos_call(&steps[3].call), ST_OK);
    CHECK_EQ(result_of(&steps[3]), 22);
    CHECK_EQ(kernel.entries, 1);
    for (unsigned i = 1; i < 4; i++) {
        const struct capos_sqe *sqe =
            (struct capos_sqe *)(void *)(memory + header->sq_offset) + i % SQ;
        CHECK_EQ(sqe->cap, i - 1);
        CHECK_EQ(sqe->pipe_index, i - 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(steps[i].call.op.state, CAPOS_OP_DONE); /* it shows in what came after it */
        CHECK_EQ(steps[i].call.status, ST_OK);
        capos_call_end(&steps[i].call);
    }
    check_over();
}

TEST(promise_failure, "a step that fails fails those behind it, which name it and have its words")
{
    static struct box steps[3];
    char words[200];
    setup();
    kernel.fails = FAILS;
    make_promise(&steps[0], CAP(5), FAILS);
    capos_submit(&steps[0].call);
    make_promise(&steps[1], capos_promise(&steps[0].call, 0), 1);
    capos_submit(&steps[1].call);
    make_on(&steps[2], capos_promise(&steps[1].call, 0));
    CHECK_EQ(capos_call(&steps[2].call), ST_EXCEPTION);
    CHECK_EQ(steps[2].call.exception, CAPOS_EXC_FAILED);
    CHECK_STR_EQ(capos_call_text(&steps[2].call, words, sizeof(words)), "no such thing");
    CHECK_STR_EQ(capos_explain(&steps[2].call, words, sizeof(words)),
                 "Directory.openFile: EXCEPTION: failed: no such thing (so nothing was done by "
                 "File.read)");
    capos_call_end(&steps[0].call);
    capos_call_end(&steps[1].call);
    CHECK_STR_EQ(capos_call_text(&steps[2].call, words, sizeof(words)), "no such thing");
    kernel.fails = 0;
    check_over();
}

TEST(promise_refused, "what was never sent fails what is called on it with its own status")
{
    static struct box first, second;
    setup();
    make_promise(&first, CAP(5), 1);
    first.call.status = ST_TOO_LARGE; /* as when its parameters do not fit */
    make_on(&second, capos_promise(&first.call, 0));
    CHECK_EQ(capos_call(&second.call), ST_TOO_LARGE);
    CHECK_STR_EQ(second.call.failed_method, "open_file");
    CHECK_EQ(kernel.consumed, 0);
    capos_call_end(&first.call);
    make_promise(&first, CAP(5), 1); /* nor submitted */
    make_on(&second, capos_promise(&first.call, 0));
    CHECK_EQ(capos_call(&second.call), ST_NOT_FOUND);
    capos_call_end(&first.call);
    check_over();
}

TEST(promise_ended, "a promise that has ended names nothing, whatever has its place now")
{
    static struct box first, second;
    setup();
    make_promise(&first, CAP(5), 1);
    capos_cap_t stale = capos_promise(&first.call, 0);
    capos_submit(&first.call);
    capos_push();
    capos_call_end(&first.call);
    make_promise(&first, CAP(5), 1);
    CHECK(capos_promise(&first.call, 0) != stale);
    make_on(&second, stale);
    CHECK_EQ(capos_call(&second.call), ST_NOT_FOUND);
    CHECK(second.call.failed_method == NULL);
    capos_call_end(&first.call);
    check_over();
}

TEST(promise_end_in_flight,
     "a promise that is ended in flight is cancelled, and what is on it fails")
{
    static struct box first, second;
    setup();
    kernel.hold_calls = true;
    make_promise(&first, CAP(5), 1);
    capos_submit(&first.call);
    make_on(&second, capos_promise(&first.call, 0));
    capos_submit(&second.call);
    capos_push();
    capos_call_end(&first.call);
    CHECK_EQ(first.call.status, ST_CANCELLED);
    CHECK_EQ(capos_wait(&second.call, CAPOS_FOREVER), ST_CANCELLED);
    check_over();
}

TEST(promise_end_unknown, "a promise of which nothing has shown is asked for when it is ended")
{
    static struct box first;
    setup();
    make_promise(&first, CAP(5), 1);
    capos_submit(&first.call);
    capos_push(); /* done, and it says nothing */
    CHECK_EQ(first.call.op.state, CAPOS_OP_QUEUED);
    CHECK_EQ(capos_wait(&first.call, CAPOS_FOREVER), ST_TIMED_OUT);
    capos_call_end(&first.call);
    CHECK_EQ(first.call.status, ST_OK);
    check_over();
}

TEST(promise_unsent_dependents, "calls on a promise that ends before they leave keep its answer")
{
    enum { CALLS = 40 };
    static struct box boxes[CALLS], first, second;
    setup();
    make_promise(&first, CAP(5), 1);
    first.call.quiet = false;
    CHECK_EQ(capos_call(&first.call), ST_OK);
    kernel.hold_calls = true;
    for (unsigned i = 0; i < CALLS; i++) {
        make_call(&boxes[i], 16, i);
        capos_submit(&boxes[i].call);
    }
    make_on(&second, capos_promise(&first.call, 0));
    capos_submit(&second.call);
    capos_push();
    CHECK_EQ(second.call.op.state, CAPOS_OP_PENDING);
    capos_call_end(&first.call);
    for (unsigned i = 0; i < CALLS; i++) {
        CHECK_EQ(capos_wait(&boxes[i].call, CAPOS_FOREVER), ST_OK);
    }
    CHECK_EQ(capos_wait(&second.call, CAPOS_FOREVER), ST_OK);
    check_over();
}

TEST(promise_results, "a promise that is waited for gives its results, too")
{
    static struct box first, second;
    setup();
    make_promise(&first, CAP(5), 1);
    first.call.quiet = false;
    capos_submit(&first.call);
    make_on(&second, capos_promise(&first.call, 0));
    capos_submit(&second.call);
    struct capos_call *both[] = {&first.call, &second.call};
    CHECK_EQ(capos_wait_all(both, 2), ST_OK);
    CHECK_EQ(result_of(&first), 11);
    CHECK_EQ(result_of(&second), 22);
    CHECK_EQ(kernel.entries, 1);
    capos_call_end(&first.call);
    check_over();
}

TEST(promise_places,
     "more promises than the ring has room for are refused BUSY, and room comes back")
{
    static struct box boxes[8], second;
    setup();
    for (unsigned i = 0; i < 7; i++) {
        make_promise(&boxes[i], CAP(5), 1);
        capos_submit(&boxes[i].call);
    }
    make_promise(&boxes[7], CAP(5), 1);
    CHECK_EQ(boxes[7].call.status, ST_BUSY);
    make_on(&second, capos_promise(&boxes[7].call, 0));
    CHECK_EQ(capos_call(&second.call), ST_BUSY);
    for (unsigned i = 0; i < 8; i++) {
        capos_call_end(&boxes[i].call);
    }
    make_promise(&boxes[7], CAP(5), 1);
    CHECK_EQ(boxes[7].call.status, ST_OK);
    capos_call_end(&boxes[7].call);
    check_over();
}

TEST(batch_wait_all, "a batch of calls is one entry, and its first failure is told")
{
    enum { CALLS = 10 };
    static struct box boxes[CALLS];
    struct capos_call *calls[CALLS];
    setup();
    kernel.fails = FAILS;
    for (unsigned i = 0; i < CALLS; i++) {
        make_call(&boxes[i], 16, i);
        boxes[i].call.method = i == 4 ? FAILS : 0;
        calls[i] = &boxes[i].call;
        capos_submit(calls[i]);
    }
    CHECK_EQ(capos_wait_all(calls, CALLS), ST_EXCEPTION);
    CHECK_EQ(kernel.entries, 1);
    for (unsigned i = 0; i < CALLS; i++) {
        CHECK_EQ(boxes[i].call.status, i == 4 ? ST_EXCEPTION : ST_OK);
        CHECK(i == 4 || result_of(&boxes[i]) == i);
    }
    check_over();
}

TEST(batch_more_than_room, "a batch larger than the ring is waited for to its end")
{
    enum { CALLS = 100 };
    static struct box boxes[CALLS];
    struct capos_call *calls[CALLS];
    setup();
    kernel.hold_calls = true;
    for (unsigned i = 0; i < CALLS; i++) {
        make_call(&boxes[i], 16, i);
        calls[i] = &boxes[i].call;
        capos_submit(calls[i]);
    }
    CHECK_EQ(capos_wait_all(calls, CALLS), ST_OK);
    CHECK_EQ(result_of(&boxes[CALLS - 1]), CALLS - 1);
    check_over();
}

static void submit_chain(struct capos_call *const calls[], unsigned count)
{
    capos_chain_begin();
    for (unsigned i = 0; i < count; i++) {
        capos_submit(calls[i]);
        capos_push(); /* nothing of a chain leaves before its end */
    }
    capos_chain_end();
}

TEST(chain_stops,
     "a failure in a chain ends what is behind it CANCELLED, what is before it is done")
{
    static struct box boxes[4];
    struct capos_call *calls[4];
    setup();
    kernel.fails = FAILS;
    for (unsigned i = 0; i < 4; i++) {
        make_call(&boxes[i], 16, i);
        boxes[i].call.method = i == 2 ? FAILS : 1;
        boxes[i].call.quiet = i < 3;
        calls[i] = &boxes[i].call;
    }
    submit_chain(calls, 4);
    capos_release(CAP(9));
    CHECK_EQ(capos_wait(calls[3], CAPOS_FOREVER), ST_CANCELLED);
    CHECK_EQ(boxes[0].call.status, ST_OK);
    CHECK_EQ(boxes[1].call.status, ST_OK);
    CHECK_EQ(boxes[1].call.op.state, CAPOS_OP_DONE);
    CHECK_EQ(boxes[2].call.status, ST_EXCEPTION);
    kernel.fails = 0;
    check_over();
}

TEST(chain_quiet, "a chain of quiet calls completes once, and all have ended then")
{
    static struct box boxes[3];
    struct capos_call *calls[3];
    setup();
    for (unsigned i = 0; i < 3; i++) {
        make_call(&boxes[i], 16, i);
        boxes[i].call.quiet = i < 2;
        calls[i] = &boxes[i].call;
    }
    submit_chain(calls, 3);
    CHECK_EQ(capos_wait_all(calls, 3), ST_OK);
    CHECK_EQ(capos_ring_stats()->completed, 1);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(capos_poll(calls[i]));
    }
    check_over();
}

TEST(chain_whole, "a chain leaves whole or not at all, and nothing gets between its calls")
{
    enum { CALLS = 26 };
    static struct box boxes[CALLS], chain[4];
    struct capos_call *calls[4];
    setup();
    kernel.hold_calls = true;
    for (unsigned i = 0; i < CALLS; i++) {
        make_call(&boxes[i], 16, i);
        capos_submit(&boxes[i].call);
    }
    capos_push();
    capos_push();
    for (unsigned i = 0; i < 4; i++) {
        make_call(&chain[i], 16, i);
        calls[i] = &chain[i].call;
    }
    submit_chain(calls, 4);
    capos_push();
    for (unsigned i = 0; i < 4; i++) { /* room for two alone */
        CHECK_EQ(chain[i].call.op.state, CAPOS_OP_PENDING);
    }
    CHECK_EQ(capos_wait_all(calls, 4), ST_OK);
    CHECK_EQ(chain[3].call.op.position, chain[0].call.op.position + 3);
    for (unsigned i = 0; i < CALLS; i++) {
        CHECK_EQ(capos_wait(&boxes[i].call, CAPOS_FOREVER), ST_OK);
    }
    check_over();
}

TEST(chain_refused, "a chain of which one call cannot be sent is not begun")
{
    static struct box boxes[3];
    struct capos_call *calls[3];
    setup();
    for (unsigned i = 0; i < 3; i++) {
        make_call(&boxes[i], 16, i);
        calls[i] = &boxes[i].call;
    }
    boxes[1].call.params_bytes = 4096;
    submit_chain(calls, 3);
    CHECK_EQ(capos_wait_all(calls, 3), ST_CANCELLED);
    CHECK_EQ(boxes[1].call.status, ST_BAD_MESSAGE);
    CHECK_EQ(kernel.consumed, 0);
    check_over();
}

TEST(chain_too_long, "a chain of more than 16 is not begun")
{
    static struct box boxes[CAPOS_MAX_LINK + 2];
    struct capos_call *calls[CAPOS_MAX_LINK + 2];
    setup();
    for (unsigned i = 0; i < CAPOS_MAX_LINK + 2; i++) {
        make_call(&boxes[i], 16, i);
        calls[i] = &boxes[i].call;
    }
    submit_chain(calls, CAPOS_MAX_LINK + 2);
    CHECK_EQ(boxes[CAPOS_MAX_LINK].call.status, ST_BAD_ARGUMENT);
    CHECK_EQ(boxes[CAPOS_MAX_LINK + 1].call.status, ST_CANCELLED);
    CHECK_EQ(boxes[0].call.status, ST_CANCELLED);
    CHECK_EQ(kernel.consumed, 0);
    check_over();
}

static uint64_t told;
static unsigned times, ends;

static void note(struct capos_op *op)
{
    if (op->cqe.flags & CAPOS_CQE_MORE) {
        told |= op->cqe.signal;
        times++;
    } else {
        ends++;
        CHECK_EQ(op->cqe.result, ST_CANCELLED);
    }
}

TEST(watch_events, "a watch is told each event, those that come quickly together, and its end once")
{
    static struct capos_op watch;
    setup();
    told = times = ends = 0;
    capos_op_init_watch(&watch, CAP(9), 0xff, note);
    kernel.hold_calls = true;
    kernel.answer = ST_OK;
    capos_op_submit(&watch);
    capos_flush();
    struct capos_sqe sqe = ((struct capos_sqe *)(void *)(memory + header->sq_offset))[0];
    CHECK_EQ(sqe.flags, CAPOS_SQE_MULTISHOT);
    header->sq_head = ++kernel.head; /* taken, and nothing has happened yet */
    post(&sqe, CAPOS_EVENT_SIGNALLED, CAPOS_CQE_SIGNAL | CAPOS_CQE_MORE, 1);
    CHECK(capos_step(1));
    CHECK_EQ(told, 1);
    post(&sqe, CAPOS_EVENT_SIGNALLED, CAPOS_CQE_SIGNAL | CAPOS_CQE_MORE, 2);
    post(&sqe, CAPOS_EVENT_SIGNALLED, CAPOS_CQE_SIGNAL | CAPOS_CQE_MORE, 4);
    post(&sqe, ST_CANCELLED, 0, 0);
    CHECK(capos_step(1));
    CHECK_EQ(told, 7);
    CHECK_EQ(times, 2);
    CHECK_EQ(ends, 0);
    CHECK(capos_step(1));
    CHECK_EQ(ends, 1);
    kernel.hold_calls = false;
    check_over();
}
