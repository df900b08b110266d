/* SPDX-License-Identifier: MIT */
/*
 * A 16550 at the other end of an IoPorts capability: bytes in, bytes out through a bounded queue.
 * Nothing here waits; uart_service() is called whenever the line's interrupt has fired.
 */
#ifndef CAPOS_SERIAL_TERMINAL_UART_H
#define CAPOS_SERIAL_TERMINAL_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/types.h"
#include "lib/base/fmt.h"

enum {
    UART_PORTS = 8,
    UART_RUN_BYTES = 256,         /* of one readRun or writeRun */
    UART_QUEUE_BYTES = 64 * 1024, /* output not yet taken by the device */
};

struct uart {
    struct fmt_sink sink; /* writes go to the queue */
    capos_cap_t ports;
    void (*received)(struct uart *uart, const uint8_t *bytes, size_t count);
    uint8_t interrupts; /* the interrupt enable register */
    size_t first;
    size_t count;
    uint64_t lost; /* output bytes for which there was no room */
    char queue[UART_QUEUE_BYTES];
};

/* Sets the device up: 115200 baud, 8 bits, FIFO, receive interrupt on. ST_NOT_FOUND: there is no
 * such device behind the ports. */
status_t uart_init(struct uart *uart, capos_cap_t ports,
                   void (*received)(struct uart *, const uint8_t *, size_t));

/* Takes in what was received, as often as there is something, and sends what the device takes. */
status_t uart_service(struct uart *uart);

/* Sends what the device takes; what is left goes with later interrupts. */
status_t uart_send(struct uart *uart);

static inline size_t uart_room(const struct uart *uart)
{
    return UART_QUEUE_BYTES - uart->count;
}

#endif
