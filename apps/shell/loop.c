/* SPDX-License-Identifier: MIT */
#include "apps/shell/loop.h"

#include "abi/syscall.h"
#include "apps/shell/names.h"
#include "apps/shell/term.h"
#include "capos/print.h"
#include "capos/start.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "time.client.h"

static capos_cap_t terminal;
static bool interrupted;
static unsigned interrupt_count; /* ends of waiting by it */
static void (*idle)(void);

CAPOS_CALL_STATIC(interrupt_call, TerminalSession, wait_interrupt);

static void listen(void)
{
    capos_call_begin(&interrupt_call, terminal);
    TerminalSession_wait_interrupt_begin(&interrupt_call);
    TerminalSession_wait_interrupt_submit(&interrupt_call);
}

/* A terminal host that is started anew disconnects the call it held, and one at which many wait
 * gives up the oldest: listen again. Anything else is for good, and Ctrl-C is then no more; the next
 * write says so. */
static void heard(struct capos_op *op)
{
    (void)op;
    status_t status = interrupt_call.status;
    bool displaced = status == ST_EXCEPTION && interrupt_call.exception == CAPOS_EXC_OVERLOADED;
    capos_call_end(&interrupt_call);
    if (status == ST_OK) {
        interrupted = true;
    }
    if (status == ST_OK || status == ST_DISCONNECTED || displaced) {
        listen();
    }
}

void loop_init(capos_cap_t capability)
{
    terminal = capability;
    interrupt_call.op.done = heard;
    listen();
}

bool loop_sleep(uint64_t ns, bool *was_interrupted)
{
    struct held *timer = names_find((struct span){"timer", 5});
    uint64_t now_ns;
    if (timer == NULL || timer->interface != Timer_ID || Timer_now(timer->cap, &now_ns) != ST_OK) {
        term_error("a clock is needed: a capability named 'timer'");
        return false;
    }
    CAPOS_CALL(call, Timer, sleep);
    capos_call_begin(&call, timer->cap);
    Timer_sleep_params_set_until_ns(Timer_sleep_begin(&call),
                                    ns < UINT64_MAX - now_ns ? now_ns + ns : UINT64_MAX);
    capos_params_finish(&call);
    (void)loop_call(&call, was_interrupted);
    capos_call_end(&call);
    return true;
}

void loop_set_idle(void (*function)(void))
{
    idle = function;
}

void loop_interrupt(void)
{
    interrupted = true;
}

enum loop_outcome loop_until(bool (*done)(void *context), void *context)
{
    term_flush();
    while (!done(context)) {
        if (interrupted) {
            interrupted = false;
            interrupt_count++;
            return LOOP_INTERRUPTED;
        }
        capos_step(CAPOS_FOREVER);
    }
    return LOOP_DONE;
}

bool loop_was_interrupted(void)
{
    (void)capos_step(0);
    bool was = interrupted;
    interrupted = false;
    return was;
}

unsigned loop_interrupt_count(void)
{
    return interrupt_count;
}

static void mark_done(struct capos_op *op)
{
    *(bool *)op->cookie = true;
}

static bool is_set(void *context)
{
    return *(bool *)context;
}

/* Waits for an operation that was submitted with mark_done. */
static bool wait_marked(struct capos_op *op, bool *done)
{
    if (loop_until(is_set, done) == LOOP_DONE) {
        return false;
    }
    if (!*done) {
        capos_op_cancel(op);
        while (!*done) {
            capos_step(CAPOS_FOREVER);
        }
    }
    return true;
}

status_t loop_call(struct capos_call *call, bool *was_interrupted)
{
    bool done = false;
    call->op.done = mark_done;
    call->op.cookie = &done;
    capos_submit(call);
    *was_interrupted = wait_marked(&call->op, &done);
    call->op.done = NULL;
    return call->status;
}

int32_t loop_op(struct capos_op *op, bool *was_interrupted)
{
    bool done = false;
    op->done = mark_done;
    op->cookie = &done;
    capos_op_submit(op);
    *was_interrupted = wait_marked(op, &done);
    return op->cqe.result;
}

enum { START_BYTES = 1024 }; /* of a line that is begun anew: TerminalSession.readLine */

CAPOS_CALL_STATIC(line_call, TerminalSession, read_line);

/* The terminal answers in the order of what happens: a Ctrl-C told of before the line came while
 * nothing could be interrupted; one told of after it is meant for what the line says. */
static void line_came(struct capos_op *op)
{
    interrupted = false;
    mark_done(op);
}

static status_t read_once(const struct loop_line *wanted, size_t *cursor,
                          enum TerminalSession_LineOutcome *outcome, char *line, size_t size,
                          size_t *len)
{
    bool done = false;
    bool stopped = false;
    capos_call_begin(&line_call, terminal);
    TerminalSession_read_line_params_b params = TerminalSession_read_line_begin(&line_call);
    TerminalSession_read_line_params_set_prompt(params, wanted->prompt, strlen(wanted->prompt));
    TerminalSession_read_line_params_set_echo(params, !wanted->hidden);
    TerminalSession_read_line_params_set_max_bytes(params, (uint32_t)size);
    TerminalSession_read_line_params_set_start(params, line, *len);
    TerminalSession_read_line_params_set_cursor_bytes(params, (uint32_t)*cursor);
    TerminalSession_read_line_params_set_tabs(params, wanted->complete != NULL);
    line_call.op.done = line_came;
    line_call.op.cookie = &done;
    status_t status = TerminalSession_read_line_submit(&line_call);
    if (status != ST_OK) {
        return status;
    }
    while (!done) {
        if (wanted->continues && interrupted) {
            stopped = true;
            interrupted = false;
            capos_op_cancel(&line_call.op);
        }
        capos_step(CAPOS_FOREVER);
        if (!done && idle != NULL) {
            idle();
        }
    }
    TerminalSession_read_line_results_r results;
    status = line_call.status;
    if (status == ST_OK) {
        status = TerminalSession_read_line_results(&line_call, &results);
    }
    if (status == ST_OK) {
        struct capnp_text text = TerminalSession_read_line_results_get_line(results);
        *len = text.len < size ? text.len : size;
        memcpy(line, text.ptr, *len);
        *outcome = TerminalSession_read_line_results_get_outcome(results);
        *cursor = min_u64(TerminalSession_read_line_results_get_cursor_bytes(results), *len);
    }
    capos_call_end(&line_call);
    if (stopped) {
        *outcome = TERMINAL_SESSION_LINE_OUTCOME_INTERRUPTED;
        return ST_OK;
    }
    return status;
}

/* The terminal host may be started anew while it reads: then it is asked again. */
static status_t read_surely(const struct loop_line *wanted, size_t *cursor,
                            enum TerminalSession_LineOutcome *outcome, char *line, size_t size,
                            size_t *len)
{
    status_t status = read_once(wanted, cursor, outcome, line, size, len);
    for (unsigned attempt = 0; attempt < 100 && status == ST_DISCONNECTED; attempt++) {
        status = read_once(wanted, cursor, outcome, line, size, len);
    }
    return status;
}

status_t loop_read_line(const struct loop_line *wanted, enum TerminalSession_LineOutcome *outcome,
                        char *line, size_t size, size_t *len)
{
    size_t cursor = 0;
    *len = 0;
    term_flush();
    status_t status = read_surely(wanted, &cursor, outcome, line, size, len);
    while (status == ST_OK && *outcome == TERMINAL_SESSION_LINE_OUTCOME_TAB) {
        wanted->complete(wanted->prompt, line, min_u64(size, START_BYTES), len, &cursor);
        term_flush();
        status = read_surely(wanted, &cursor, outcome, line, size, len);
    }
    return status;
}
