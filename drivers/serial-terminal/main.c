/* SPDX-License-Identifier: MIT */
/*
 * The serial terminal host: COM1 on one side, a TerminalSession on the other.
 *
 * Holds: ports (IoPorts), interrupt (Interrupt), serve (Endpoint), log, supervisor.
 *
 * Everything happens in callbacks of one event loop: the interrupt, and calls. Requests that cannot
 * be answered yet are kept: one reader of a line, some waiters for Ctrl-C, and writers for whose
 * text the output queue has no room. Readers and waiters are always fewer than the requests the
 * server has (SLOTS). Writers may take all that are left: further calls then wait at the endpoint,
 * which takes each client's in turn, until the wire has taken some text; so nobody who writes
 * without end keeps others from writing. A client that ends is not noticed; its kept request is
 * answered into the void when its turn comes, or when a newer client takes its place.
 */
#include "capos/print.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "devices.client.h"
#include "drivers/serial-terminal/console.h"
#include "drivers/serial-terminal/uart.h"
#include "endpoint.client.h"
#include "terminal.client.h"

enum {
    MESSAGE_BYTES = 4160, /* maxMessageBytes of the endpoint in the manifest may not be more */
    MAX_WRITE_BYTES = 4096,
    WAITERS = 3,
    SLOTS = 1 + WAITERS + 8,
    /* A byte grows to at most 8 on the screen (\u{e0000} for four); styles and redraws above it. */
    WRITE_ROOM = MAX_WRITE_BYTES * 8 + 16 * 1024,
};

struct writer {
    struct capos_request *request;
    unsigned style;
    struct capnp_data text;
};

static struct uart uart;
static struct console console;
static struct capos_op interrupt_wait;
static capos_cap_t interrupt;

static struct capos_request *reader; /* of a line */
static TerminalSession_read_line_results_b reader_results;

static struct capos_request *waiters[WAITERS];
static TerminalSession_wait_interrupt_results_b waiter_results[WAITERS];
static unsigned waiter_count;
static uint64_t interrupts_told;

static struct writer writers[SLOTS];
static unsigned writer_count;

static void fail_hard(const char *what, status_t status)
{
    capos_log("serial-terminal: %s: %s: %s", what, status_name(status), status_text(status));
    capos_exit(1);
}

/* ---- answers that were kept ---- */

static void answer_reader(enum line_event event)
{
    static const enum TerminalSession_LineOutcome outcomes[] = {
        [LINE_DONE] = TERMINAL_SESSION_LINE_OUTCOME_LINE,
        [LINE_END] = TERMINAL_SESSION_LINE_OUTCOME_END,
        [LINE_INTERRUPTED] = TERMINAL_SESSION_LINE_OUTCOME_INTERRUPTED,
        [LINE_TAB] = TERMINAL_SESSION_LINE_OUTCOME_TAB,
    };
    struct capos_request *request = reader;
    reader = NULL;
    TerminalSession_read_line_results_set_outcome(reader_results, outcomes[event]);
    size_t count = event == LINE_DONE || event == LINE_TAB ? console.edit.count : 0;
    TerminalSession_read_line_results_set_cursor_bytes(
        reader_results, event == LINE_TAB ? (uint32_t)console.edit.cursor : 0);
    TerminalSession_read_line_results_set_line(reader_results, console.edit.text, count);
    TerminalSession_read_line_reply(request);
}

static void answer_waiters(void)
{
    if (console.interrupts == interrupts_told || waiter_count == 0) {
        return;
    }
    interrupts_told = console.interrupts;
    for (unsigned i = 0; i < waiter_count; i++) {
        TerminalSession_wait_interrupt_results_set_count(waiter_results[i], console.interrupts);
        TerminalSession_wait_interrupt_reply(waiters[i]);
    }
    waiter_count = 0;
}

static void show(const struct writer *writer)
{
    console_write(&console, writer->style, (const char *)writer->text.ptr, writer->text.len);
}

static void answer_writers(void)
{
    unsigned done = 0;
    while (done < writer_count && uart_room(&uart) >= WRITE_ROOM) {
        show(&writers[done]);
        /* Both writing methods have empty results. */
        TerminalSession_write_reply(writers[done].request);
        done++;
        uart_send(&uart);
    }
    for (unsigned i = done; i < writer_count; i++) {
        writers[i - done] = writers[i];
    }
    writer_count -= done;
}

/* ---- the wire ---- */

static void received(struct uart *from, const uint8_t *bytes, size_t count)
{
    (void)from;
    for (size_t i = 0; i < count; i++) {
        enum line_event event = console_input(&console, bytes[i]);
        if (event != LINE_NONE && reader != NULL) {
            answer_reader(event);
        }
    }
    answer_waiters();
}

static void serve_wire(void)
{
    status_t status = uart_service(&uart);
    if (status != ST_OK) {
        fail_hard("the serial device", status);
    }
    answer_writers();
}

static void interrupted(struct capos_op *op)
{
    if (op->cqe.result < 0) {
        fail_hard("waiting for the interrupt", op->cqe.result);
    }
    serve_wire();
    Interrupt_acknowledge(interrupt);
    serve_wire();
    capos_op_submit(op);
}

/* ---- calls ---- */

static enum capos_outcome write_text(struct capos_request *req, unsigned style,
                                     struct capnp_data text)
{
    if (text.len > MAX_WRITE_BYTES) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "text holds %u bytes; at most %d a call",
                          text.len, (int)MAX_WRITE_BYTES);
    }
    struct writer writer = {req, style, text};
    if (writer_count == 0 && uart_room(&uart) >= WRITE_ROOM) {
        show(&writer);
        uart_send(&uart);
        return CAPOS_REPLY;
    }
    writers[writer_count++] = writer;
    return CAPOS_DEFERRED;
}

static enum capos_outcome do_write(struct capos_request *req, TerminalSession_write_params_r params,
                                   TerminalSession_write_results_b results)
{
    (void)results;
    return write_text(req, CONSOLE_PLAIN, TerminalSession_write_params_get_text(params));
}

static enum capos_outcome do_write_styled(struct capos_request *req,
                                          TerminalSession_write_styled_params_r params,
                                          TerminalSession_write_styled_results_b results)
{
    (void)results;
    return write_text(req, TerminalSession_write_styled_params_get_style(params),
                      TerminalSession_write_styled_params_get_text(params));
}

static enum capos_outcome do_read_line(struct capos_request *req,
                                       TerminalSession_read_line_params_r params,
                                       TerminalSession_read_line_results_b results)
{
    struct capnp_text prompt = TerminalSession_read_line_params_get_prompt(params);
    uint32_t max_bytes = TerminalSession_read_line_params_get_max_bytes(params);
    if (prompt.len > LINE_PROMPT_MAX_BYTES) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "prompt holds %u bytes; at most %d",
                          prompt.len, (int)LINE_PROMPT_MAX_BYTES);
    }
    struct capnp_text start = TerminalSession_read_line_params_get_start(params);
    if (start.len > LINE_START_BYTES) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "start holds %u bytes; at most %d",
                          start.len, (int)LINE_START_BYTES);
    }
    if (max_bytes < 1 || max_bytes > LINE_MAX_BYTES) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "maxBytes is %u; 1 to %d", max_bytes,
                          (int)LINE_MAX_BYTES);
    }
    if (reader != NULL) {
        console_cancel_line(&console);
        console.edit.count = 0;
        answer_reader(LINE_INTERRUPTED);
    }
    reader = req;
    reader_results = results;
    struct console_start from = {start.ptr, start.len,
                                 TerminalSession_read_line_params_get_cursor_bytes(params),
                                 TerminalSession_read_line_params_get_tabs(params)};
    enum line_event event =
        console_read_line_from(&console, prompt.ptr, prompt.len,
                               TerminalSession_read_line_params_get_echo(params), max_bytes, &from);
    uart_send(&uart);
    if (event != LINE_NONE) {
        answer_reader(event);
    }
    return CAPOS_DEFERRED;
}

static enum capos_outcome do_wait_interrupt(struct capos_request *req,
                                            TerminalSession_wait_interrupt_params_r params,
                                            TerminalSession_wait_interrupt_results_b results)
{
    (void)params;
    if (waiter_count == WAITERS) {
        /* The oldest is most likely of a client that has ended. One that lives asks again. */
        capos_fail(waiters[0], CAPOS_EXC_OVERLOADED, "a later waitInterrupt took its place");
        capos_reply(waiters[0]);
        for (unsigned i = 1; i < WAITERS; i++) {
            waiters[i - 1] = waiters[i];
            waiter_results[i - 1] = waiter_results[i];
        }
        waiter_count--;
    }
    waiters[waiter_count] = req;
    waiter_results[waiter_count++] = results;
    answer_waiters();
    return CAPOS_DEFERRED;
}

static enum capos_outcome do_clear(struct capos_request *req, TerminalSession_clear_params_r params,
                                   TerminalSession_clear_results_b results)
{
    (void)req;
    (void)params;
    (void)results;
    console_clear(&console);
    uart_send(&uart);
    return CAPOS_REPLY;
}

static enum capos_outcome do_size(struct capos_request *req, TerminalSession_size_params_r params,
                                  TerminalSession_size_results_b results)
{
    (void)req;
    (void)params;
    TerminalSession_size_results_set_columns(results, (uint16_t)console.edit.columns);
    TerminalSession_size_results_set_rows(results, (uint16_t)console.edit.rows);
    return CAPOS_REPLY;
}

static const struct TerminalSession_server operations = {
    .write = do_write,
    .write_styled = do_write_styled,
    .read_line = do_read_line,
    .wait_interrupt = do_wait_interrupt,
    .clear = do_clear,
    .size = do_size,
};

static const struct capos_interface interfaces[] = {
    {TerminalSession_ID, TerminalSession_dispatch, &operations},
};

CAPOS_SERVER_STORAGE(storage, SLOTS, MESSAGE_BYTES, MESSAGE_BYTES, 0);
static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = 1,
    .request_count = SLOTS,
    .params_max_bytes = MESSAGE_BYTES,
    .reply_max_bytes = MESSAGE_BYTES,
};

int capos_main(void)
{
    capos_cap_t ports = CAPOS_NEED("ports", IoPorts);
    interrupt = CAPOS_NEED("interrupt", Interrupt);
    capos_cap_t endpoint = CAPOS_NEED("serve", Endpoint);

    console_init(&console, &uart.sink);
    status_t status = uart_init(&uart, ports, received);
    if (status != ST_OK) {
        fail_hard("setting the serial device up", status);
    }
    Interrupt_acknowledge(interrupt); /* an instance before this one may have left it masked */
    capos_op_init_wait(&interrupt_wait, interrupt, CAPOS_EVENT_SIGNALLED, 1);
    interrupt_wait.done = interrupted;
    capos_op_submit(&interrupt_wait);
    serve_wire();

    status = capos_server_start(&server, endpoint, storage, sizeof(storage));
    if (status != ST_OK) {
        fail_hard("serving the terminal", status);
    }
    capos_ready();
    capos_run();
    return 0;
}
