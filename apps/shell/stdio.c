/* SPDX-License-Identifier: MIT */
#include "apps/shell/stdio.h"

#include "apps/shell/loop.h"
#include "apps/shell/term.h"
#include "bytestream.client.h"
#include "capos/serve.h"
#include "endpoint.client.h"
#include "ledger.client.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "terminal.client.h"

enum {
    MESSAGE_BYTES = 4160,
    PIECE_BYTES = 4096,
    ERROR_BYTES = 1024,
    SLOTS = STDIO_STREAMS + 2, /* each stream may keep one read waiting */
};

struct stream {
    bool used;
    bool foreground;
    bool reading;  /* `request` waits for a line */
    bool ended;    /* the person said Ctrl-D */
    bool held;     /* its program stands still: the lines typed meanwhile are the shell's */
    bool mid_line; /* in the foreground: what was shown last did not end its line */
    uint64_t key;
    struct capos_request *request;
    ByteStream_read_results_b results;
    uint32_t wanted;
    size_t ready_first; /* of a line typed and not yet read */
    size_t ready_count;
    char ready[PIECE_BYTES + 1];
    size_t line_count;
    char line[STDIO_LINE_BYTES];
    char label[STDIO_LABEL_BYTES];
};

static struct stream streams[STDIO_STREAMS];
static uint64_t streams_opened;
static capos_cap_t endpoint;
static capos_cap_t terminal;

/* One line is read from the terminal at a time, for the stream in the foreground; line_for is NULL
 * when that stream was closed before the line came. */
static struct stream *line_for;
static bool line_busy;
CAPOS_CALL_STATIC(line_call, TerminalSession, read_line);

/* ---- output ---- */

static enum TerminalSession_Style style_of(bool error)
{
    return error ? TERMINAL_SESSION_STYLE_PROGRAM_ERROR : TERMINAL_SESSION_STYLE_PROGRAM;
}

/* In one style, so in one write: the terminal puts each write above the line being typed. */
static void show_line(struct stream *stream, bool error)
{
    term_styled(style_of(error), "[@%s] ", stream->label);
    term_write(style_of(error), stream->line, stream->line_count);
    term_write(style_of(error), "\n", 1);
    stream->line_count = 0;
}

static void show_by_line(struct stream *stream, bool error, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n' || stream->line_count == STDIO_LINE_BYTES) {
            show_line(stream, error);
        }
        if (bytes[i] != '\n') {
            stream->line[stream->line_count++] = bytes[i];
        }
    }
}

static void show(struct stream *stream, bool error, const char *bytes, size_t count)
{
    if (stream->foreground && count > 0) {
        term_write(style_of(error), bytes, count);
        stream->mid_line = bytes[count - 1] != '\n';
    } else {
        show_by_line(stream, error, bytes, count);
    }
    term_flush();
}

/* ---- input ---- */

static void answer_read(struct stream *stream)
{
    size_t count = min_u64(stream->wanted, stream->ready_count);
    stream->reading = false;
    ByteStream_read_results_set_data(stream->results, stream->ready + stream->ready_first, count);
    ByteStream_read_results_set_end(stream->results, stream->ended && count == stream->ready_count);
    stream->ready_first += count;
    stream->ready_count -= count;
    ByteStream_read_reply(stream->request);
}

static void ask_for_line(struct stream *stream);

/* A program may have been started while the line of the one before it was being given up. */
static void ask_for_next(void)
{
    for (unsigned i = 0; i < STDIO_STREAMS; i++) {
        if (streams[i].used && streams[i].reading && !streams[i].held && !line_busy) {
            ask_for_line(&streams[i]);
        }
    }
}

/* The terminal has answered: a line, the end, or Ctrl-C. */
static void line_came(struct capos_op *op)
{
    struct stream *stream = line_for;
    TerminalSession_read_line_results_r results;
    (void)op;
    line_for = NULL;
    line_busy = false;
    if (line_call.status == ST_OK &&
        TerminalSession_read_line_results(&line_call, &results) == ST_OK) {
        enum TerminalSession_LineOutcome outcome =
            TerminalSession_read_line_results_get_outcome(results);
        if (outcome == TERMINAL_SESSION_LINE_OUTCOME_INTERRUPTED) {
            if (stream != NULL) {
                loop_interrupt();
            }
        } else if (stream != NULL && outcome == TERMINAL_SESSION_LINE_OUTCOME_LINE) {
            struct capnp_text text = TerminalSession_read_line_results_get_line(results);
            stream->ready_first = 0;
            stream->ready_count = min_u64(text.len, PIECE_BYTES - 1);
            memcpy(stream->ready, text.ptr, stream->ready_count);
            stream->ready[stream->ready_count++] = '\n';
            stream->mid_line = false; /* Enter was echoed */
        } else if (stream != NULL) {
            stream->ended = true;
        }
    } else if (stream != NULL) {
        stream->ended = true;
    }
    capos_call_end(&line_call);
    if (stream != NULL && stream->reading && (stream->ready_count > 0 || stream->ended)) {
        answer_read(stream);
    }
    ask_for_next();
}

static void ask_for_line(struct stream *stream)
{
    line_for = stream;
    line_busy = true;
    capos_call_begin(&line_call, terminal);
    TerminalSession_read_line_params_b params = TerminalSession_read_line_begin(&line_call);
    TerminalSession_read_line_params_set_max_bytes(params, PIECE_BYTES - 1);
    line_call.op.done = line_came;
    TerminalSession_read_line_submit(&line_call);
}

/* ---- the methods ---- */

static enum capos_outcome do_read(struct capos_request *req, ByteStream_read_params_r params,
                                  ByteStream_read_results_b results)
{
    struct stream *stream = req->object;
    uint32_t wanted = ByteStream_read_params_get_max_bytes(params);
    if (wanted == 0) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "maxBytes is 0");
    }
    if (stream->reading) {
        return capos_fail(req, CAPOS_EXC_OVERLOADED, "another read of this stream waits already");
    }
    stream->request = req;
    stream->results = results;
    stream->wanted = (uint32_t)min_u64(wanted, PIECE_BYTES);
    stream->reading = true;
    stream->ended = stream->ended || !stream->foreground;
    if (stream->ready_count > 0 || stream->ended) {
        answer_read(stream);
    } else if (!line_busy && !stream->held) {
        ask_for_line(stream);
    }
    return CAPOS_DEFERRED;
}

static enum capos_outcome do_write(struct capos_request *req, ByteStream_write_params_r params,
                                   ByteStream_write_results_b results)
{
    struct capnp_data data = ByteStream_write_params_get_data(params);
    if (data.len > PIECE_BYTES) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "data holds %u bytes; at most %d a call",
                          data.len, (int)PIECE_BYTES);
    }
    show(req->object, false, (const char *)data.ptr, data.len);
    ByteStream_write_results_set_written(results, data.len);
    return CAPOS_REPLY;
}

static enum capos_outcome do_end(struct capos_request *req, ByteStream_end_params_r params,
                                 ByteStream_end_results_b results)
{
    struct stream *stream = req->object;
    (void)params;
    (void)results;
    if (stream->line_count > 0) {
        show_line(stream, false);
        term_flush();
    }
    return CAPOS_REPLY;
}

static enum capos_outcome do_write_error(struct capos_request *req,
                                         ByteStream_write_error_params_r params,
                                         ByteStream_write_error_results_b results)
{
    struct capnp_text text = ByteStream_write_error_params_get_text(params);
    (void)results;
    if (text.len > ERROR_BYTES) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "text holds %u bytes; at most %d",
                          text.len, (int)ERROR_BYTES);
    }
    show(req->object, true, text.ptr, text.len);
    return CAPOS_REPLY;
}

static const struct ByteStream_server operations = {
    .read = do_read,
    .write = do_write,
    .end = do_end,
    .write_error = do_write_error,
};

/* A key is the number of streams opened so far, then eight bits of place. */
static struct stream *stream_of(uint64_t key)
{
    uint64_t place = key & 0xff;
    if (place >= STDIO_STREAMS || !streams[place].used || streams[place].key != key) {
        return NULL;
    }
    return &streams[place];
}

static bool find(struct capos_request *req)
{
    req->object = stream_of(req->key);
    return req->object != NULL;
}

static void no_clients(struct capos_server *of, uint64_t key)
{
    (void)of;
    stdio_close(key);
}

static const struct capos_interface interfaces[] = {
    {ByteStream_ID, ByteStream_dispatch, &operations}};

CAPOS_SERVER_STORAGE(storage, SLOTS, MESSAGE_BYTES, MESSAGE_BYTES, 0);

static void server_ended(struct capos_server *ended, status_t why)
{
    (void)ended;
    term_error("programs have no stdio any more: %s: %s", status_name(why), status_text(why));
    term_flush();
}

static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = 1,
    .request_count = SLOTS,
    .params_max_bytes = MESSAGE_BYTES,
    .reply_max_bytes = MESSAGE_BYTES,
    .find = find,
    .no_clients = no_clients,
    .ended = server_ended,
};

/* ---- life ---- */

status_t stdio_init(capos_cap_t ledger, capos_cap_t terminal_session)
{
    terminal = terminal_session;
    status_t status = Ledger_new_endpoint(ledger, MESSAGE_BYTES, 0, &endpoint);
    if (status == ST_OK) {
        status = capos_server_start(&server, endpoint, storage, sizeof(storage));
    }
    return status;
}

status_t stdio_open(bool foreground, uint64_t *number, capos_cap_t *capability)
{
    unsigned place = 0;
    while (place < STDIO_STREAMS && streams[place].used) {
        place++;
    }
    if (place == STDIO_STREAMS) {
        return ST_BUSY;
    }
    struct stream *stream = &streams[place];
    uint64_t key = ++streams_opened << 8 | place;
    uint64_t all = BIT64(ByteStream_read_ORDINAL) | BIT64(ByteStream_write_ORDINAL) |
                   BIT64(ByteStream_end_ORDINAL) | BIT64(ByteStream_write_error_ORDINAL);
    status_t status =
        capos_mint(endpoint, key, ByteStream_ID, all, ByteStream_SESSION_SCOPE, capability);
    if (status != ST_OK) {
        return status;
    }
    memset(stream, 0, sizeof(*stream));
    stream->used = true;
    stream->foreground = foreground;
    stream->key = key;
    *number = key;
    return ST_OK;
}

void stdio_set_label(uint64_t number, const char *label)
{
    struct stream *stream = stream_of(number);
    if (stream != NULL) {
        str_copy(stream->label, sizeof(stream->label), label);
    }
}

void stdio_hold(uint64_t number, bool hold)
{
    struct stream *stream = stream_of(number);
    if (stream == NULL) {
        return;
    }
    stream->held = hold;
    if (!hold) {
        ask_for_next();
    } else if (line_for == stream) {
        line_for = NULL; /* line_came runs in a later turn of the loop */
        capos_op_cancel(&line_call.op);
    }
}

void stdio_close(uint64_t number)
{
    struct stream *stream = stream_of(number);
    if (stream == NULL) {
        return;
    }
    if (stream->line_count > 0) {
        show_line(stream, false);
    }
    if (stream->mid_line) {
        term_printf("\n");
    }
    if (stream->reading) {
        stream->ended = true;
        stream->ready_count = 0;
        answer_read(stream);
    }
    stream->used = false;
    if (line_for == stream) {
        line_for = NULL; /* line_came runs in a later turn of the loop */
        capos_op_cancel(&line_call.op);
    }
}
