/* SPDX-License-Identifier: MIT */
/*
 * Registers and bits: National Semiconductor PC16550D, sections 8.1 to 8.6.
 *
 * The line is edge-triggered: it must fall before it can fire again. So after an interrupt every
 * cause is served until none is left, the line is acknowledged, and the causes are looked at once
 * more (main.c): one that came up in between would otherwise never be heard of.
 */
#include "drivers/serial-terminal/uart.h"

#include "devices.client.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

enum {
    REG_DATA = 0,
    REG_INTERRUPTS = 1,
    REG_FIFO = 2,
    REG_LINE = 3,
    REG_MODEM = 4,
    REG_STATUS = 5,
    REG_SCRATCH = 7,
    DIVISOR_LOW = 0,
    DIVISOR_HIGH = 1,
};

enum {
    INTERRUPT_RECEIVED = 1,
    INTERRUPT_SENT = 2,
    FIFO_ENABLE_AND_CLEAR = 0x07, /* interrupt at the first byte */
    LINE_8N1 = 0x03,
    LINE_DIVISOR = 0x80,
    MODEM_DTR_RTS_OUT2 = 0x0b, /* OUT2 lets the interrupt out on a PC */
    STATUS_RECEIVED = 0x01,
    STATUS_ROOM = 0x20,
    FIFO_BYTES = 16,
    READ_RUNS_MAX = 64, /* per service: a babbling line must not starve the rest */
};

static status_t put(const struct uart *uart, uint16_t reg, uint8_t value)
{
    return IoPorts_write(uart->ports, reg, 1, value);
}

static void queue_write(struct fmt_sink *sink, const char *bytes, size_t count)
{
    struct uart *uart = (struct uart *)sink;
    size_t taken = min_u64(count, uart_room(uart));
    uart->lost += count - taken;
    for (size_t i = 0; i < taken; i++) {
        uart->queue[(uart->first + uart->count + i) % UART_QUEUE_BYTES] = bytes[i];
    }
    uart->count += taken;
}

static bool is_there(const struct uart *uart)
{
    uint32_t value = 0;
    return put(uart, REG_SCRATCH, 0x5a) == ST_OK &&
           IoPorts_read(uart->ports, REG_SCRATCH, 1, &value) == ST_OK && value == 0x5a;
}

status_t uart_init(struct uart *uart, capos_cap_t ports,
                   void (*received)(struct uart *, const uint8_t *, size_t))
{
    static const struct {
        uint8_t reg;
        uint8_t value;
    } steps[] = {
        {REG_INTERRUPTS, 0},
        {REG_LINE, LINE_DIVISOR},
        {DIVISOR_LOW, 1},
        {DIVISOR_HIGH, 0},
        {REG_LINE, LINE_8N1},
        {REG_FIFO, FIFO_ENABLE_AND_CLEAR},
        {REG_MODEM, MODEM_DTR_RTS_OUT2},
        {REG_INTERRUPTS, INTERRUPT_RECEIVED},
    };
    uart->sink.write = queue_write;
    uart->ports = ports;
    uart->received = received;
    uart->interrupts = INTERRUPT_RECEIVED;
    if (!is_there(uart)) {
        return ST_NOT_FOUND;
    }
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        status_t status = put(uart, steps[i].reg, steps[i].value);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

/* Writes up to `count` bytes from the queue's front; *written tells how many the device took. */
static status_t write_run(struct uart *uart, uint8_t mask, size_t count, uint16_t *written)
{
    size_t straight = min_u64(count, UART_QUEUE_BYTES - uart->first);
    status_t status = IoPorts_write_run(uart->ports, REG_STATUS, mask, mask, REG_DATA,
                                        uart->queue + uart->first, straight, written);
    if (status == ST_OK) {
        *written = (uint16_t)min_u64(*written, straight);
        uart->first = (uart->first + *written) % UART_QUEUE_BYTES;
        uart->count -= *written;
    }
    return status;
}

status_t uart_send(struct uart *uart)
{
    while (uart->count > 0) {
        uint16_t written = 0;
        status_t status =
            write_run(uart, STATUS_ROOM, min_u64(uart->count, UART_RUN_BYTES), &written);
        if (status != ST_OK) {
            return status;
        }
        if (written == 0) {
            break;
        }
        if (written == 1 && uart->count > 0) {
            /* Room was announced once: the FIFO was empty and holds one byte by now. */
            status = write_run(uart, 0, min_u64(uart->count, FIFO_BYTES - 1), &written);
            if (status != ST_OK) {
                return status;
            }
        }
    }
    uint8_t wanted = uart->count > 0 ? INTERRUPT_RECEIVED | INTERRUPT_SENT : INTERRUPT_RECEIVED;
    if (wanted == uart->interrupts) {
        return ST_OK;
    }
    uart->interrupts = wanted;
    return put(uart, REG_INTERRUPTS, wanted);
}

/* One run of received bytes; *count 0: there was nothing. */
static status_t receive(struct uart *uart, size_t *count)
{
    CAPOS_CALL(call, IoPorts, read_run);
    capos_call_begin(&call, uart->ports);
    IoPorts_read_run_params_b params = IoPorts_read_run_begin(&call);
    IoPorts_read_run_params_set_status_offset(params, REG_STATUS);
    IoPorts_read_run_params_set_mask(params, STATUS_RECEIVED);
    IoPorts_read_run_params_set_match(params, STATUS_RECEIVED);
    IoPorts_read_run_params_set_data_offset(params, REG_DATA);
    IoPorts_read_run_params_set_max_bytes(params, UART_RUN_BYTES);
    status_t status = IoPorts_read_run_call(&call);
    IoPorts_read_run_results_r results;
    if (status == ST_OK) {
        status = IoPorts_read_run_results(&call, &results);
    }
    if (status == ST_OK) {
        struct capnp_data data = IoPorts_read_run_results_get_data(results);
        *count = data.len;
        if (data.len > 0) {
            uart->received(uart, data.ptr, data.len);
        }
    }
    capos_call_end(&call);
    return status;
}

status_t uart_service(struct uart *uart)
{
    for (unsigned run = 0; run < READ_RUNS_MAX; run++) {
        size_t count = 0;
        status_t status = receive(uart, &count);
        if (status != ST_OK) {
            return status;
        }
        if (count == 0) {
            break;
        }
    }
    return uart_send(uart);
}
