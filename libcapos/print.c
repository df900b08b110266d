/* SPDX-License-Identifier: MIT */
/* Output: one line buffer, one static call for each of the two sinks, under one mutex. */
#include "capos/print.h"

#include "bytestream.client.h"
#include "capos/call.h"
#include "capos/start.h"
#include "capos/thread.h"
#include "kernel_log.client.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "status.capnp.h"

enum {
    LINE_BYTES = 1000,
    MESSAGE_BYTES = LINE_BYTES + 40,
};

static struct {
    char text[LINE_BYTES];
    size_t used;
} line;
static struct capos_mutex output;

static _Alignas(8) uint8_t params[CAPOS_PARAMS_ROOM(MESSAGE_BYTES, 0)];
static _Alignas(8) uint8_t result[64];

/* Both interfaces are called over the same small storage: a print never nests in a print. */
static struct capos_call output_call(uint64_t interface, uint16_t method)
{
    return (struct capos_call){
        .interface = interface,
        .method = method,
        .params = params,
        .params_capacity = MESSAGE_BYTES,
        .result = result,
        .result_capacity = sizeof(result),
    };
}

static bool log_bytes(const char *bytes, size_t count)
{
    capos_cap_t log = capos_capset_try("log", KernelLog_ID);
    while (count > 0 && (bytes[count - 1] == '\n' || bytes[count - 1] == '\r')) {
        count--;
    }
    if (log == 0 || count == 0) {
        return log != 0;
    }
    struct capos_call call = output_call(KernelLog_ID, KernelLog_append_ORDINAL);
    capos_call_begin(&call, log);
    KernelLog_append_params_set_text(KernelLog_append_begin(&call), bytes, count);
    return KernelLog_append_call(&call) == ST_OK;
}

static status_t stream_write(capos_cap_t stdio, const char *bytes, size_t count, size_t *written)
{
    struct capos_call call = output_call(ByteStream_ID, ByteStream_write_ORDINAL);
    capos_call_begin(&call, stdio);
    ByteStream_write_params_set_data(ByteStream_write_begin(&call), bytes, count);
    status_t status = ByteStream_write_call(&call);
    ByteStream_write_results_r results;
    if (status == ST_OK) {
        status = ByteStream_write_results(&call, &results);
    }
    if (status == ST_OK) {
        *written = ByteStream_write_results_get_written(results);
    }
    return status;
}

static bool stream_bytes(capos_cap_t stdio, const char *bytes, size_t count)
{
    while (count > 0) {
        size_t written = 0;
        if (stream_write(stdio, bytes, count, &written) != ST_OK || written == 0 ||
            written > count) {
            return false;
        }
        bytes += written;
        count -= written;
    }
    return true;
}

static void emit(const char *bytes, size_t count)
{
    static bool ended;
    if (ended) {
        return;
    }
    capos_cap_t stdio = capos_capset_try("stdio", ByteStream_ID);
    ended = stdio != 0 ? !stream_bytes(stdio, bytes, count) : !log_bytes(bytes, count);
}

static void flush(void)
{
    if (line.used != 0) {
        size_t count = line.used;
        line.used = 0;
        emit(line.text, count);
    }
}

void capos_print_flush(void)
{
    capos_mutex_lock(&output);
    flush();
    capos_mutex_unlock(&output);
}

static void write_sink(struct fmt_sink *sink, const char *bytes, size_t count)
{
    (void)sink;
    for (size_t i = 0; i < count; i++) {
        line.text[line.used++] = bytes[i];
        if (bytes[i] == '\n' || line.used == LINE_BYTES) {
            flush();
        }
    }
}

void capos_write(const char *bytes, size_t count)
{
    capos_mutex_lock(&output);
    write_sink(NULL, bytes, count);
    capos_mutex_unlock(&output);
}

void capos_vprintf(const char *format, va_list args)
{
    struct fmt_sink sink = {write_sink};
    capos_mutex_lock(&output);
    fmt_vto(&sink, format, args);
    capos_mutex_unlock(&output);
}

void capos_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    capos_vprintf(format, args);
    va_end(args);
}

static bool stream_error(capos_cap_t stdio, const char *bytes, size_t count)
{
    struct capos_call call = output_call(ByteStream_ID, ByteStream_write_error_ORDINAL);
    capos_call_begin(&call, stdio);
    ByteStream_write_error_params_set_text(ByteStream_write_error_begin(&call), bytes, count);
    return ByteStream_write_error_call(&call) == ST_OK;
}

void capos_error(const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    size_t count = fmt_vformat(text, sizeof(text), format, args);
    va_end(args);
    count = count < sizeof(text) ? count : sizeof(text) - 1;
    capos_mutex_lock(&output);
    flush();
    capos_cap_t stdio = capos_capset_try("stdio", ByteStream_ID);
    if (stdio == 0 || !stream_error(stdio, text, count)) {
        log_bytes(text, count);
    }
    capos_mutex_unlock(&output);
}

void capos_log(const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    size_t count = fmt_vformat(text, sizeof(text), format, args);
    va_end(args);
    capos_mutex_lock(&output);
    log_bytes(text, count < sizeof(text) ? count : sizeof(text) - 1);
    capos_mutex_unlock(&output);
}
