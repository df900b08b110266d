/* SPDX-License-Identifier: MIT */
/* The bytes are copied before they are cut: what a line leads to may make calls of its own and wait. */
#include "capos/lines.h"

#include "bytestream.client.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

enum { READ_BYTES = 256 };

CAPOS_CALL_STATIC(read_call, ByteStream, read);

static struct capos_lines *reader;

static void read_done(struct capos_op *op);

static status_t read_more(void)
{
    capos_call_begin(&read_call, reader->stream);
    ByteStream_read_params_set_max_bytes(ByteStream_read_begin(&read_call), READ_BYTES);
    read_call.op.done = read_done;
    return ByteStream_read_submit(&read_call);
}

static void no_more(void)
{
    if (reader->ended != NULL) {
        reader->ended();
    }
}

static void read_done(struct capos_op *op)
{
    ByteStream_read_results_r results;
    uint8_t bytes[READ_BYTES] = {0};
    (void)op;
    if (read_call.status != ST_OK || ByteStream_read_results(&read_call, &results) != ST_OK) {
        capos_call_end(&read_call);
        no_more();
        return;
    }
    struct capnp_data data = ByteStream_read_results_get_data(results);
    size_t count = min_u64(data.len, sizeof(bytes));
    bool end = ByteStream_read_results_get_end(results);
    memcpy(bytes, data.ptr, count);
    capos_call_end(&read_call);
    bool wanted = capos_lines_take(reader, bytes, count);
    capos_print_flush();
    if (wanted && (end || read_more() != ST_OK)) {
        no_more();
    }
}

status_t capos_lines_start(struct capos_lines *lines, capos_cap_t stream)
{
    lines->stream = stream;
    reader = lines;
    return read_more();
}
