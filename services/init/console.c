/* SPDX-License-Identifier: MIT */
/*
 * The last words of init on the first serial port: the kernel log may be going where nobody looks.
 * Only once the port is free, that is, when no terminal host lives (any more).
 */
#include "devices.client.h"
#include "init.h"
#include "lib/base/string.h"
#include "process.client.h"
#include "time.client.h"

enum {
    PORT = 0x3f8,
    PORT_COUNT = 8,
    REGISTER_DATA = 0,
    REGISTER_INTERRUPTS = 1,
    REGISTER_LINE_CONTROL = 3,
    REGISTER_LINE_STATUS = 5,
    LINE_8N1 = 3,
    STATUS_CAN_SEND = 0x20,
    RUN_BYTES = 256,
    TRIES = 200, /* of a port that is not free, and of one that takes no byte */
    TRY_NS = 5000000,
};

static capos_cap_t port;

static void pause_briefly(void)
{
    uint64_t now = 0;
    Timer_sleep(init.timer, init_now_ns() + TRY_NS, &now);
}

static void end_everything(void)
{
    for (uint32_t i = 0; i < init.service_count; i++) {
        const struct service *s = &init.services[i];
        if (s->now.process != 0) {
            ProcessHandle_terminate(s->now.process);
        }
        if (s->other.process != 0) {
            ProcessHandle_terminate(s->other.process);
        }
    }
}

static bool open_port(void)
{
    if (port != 0) {
        return true;
    }
    end_everything();
    for (unsigned i = 0; i < TRIES; i++) {
        status_t status = IoPortsRoot_open(init.ioports, PORT, PORT_COUNT, &port);
        if (status != ST_BUSY) {
            break;
        }
        pause_briefly();
    }
    if (port == 0) {
        return false;
    }
    IoPorts_write(port, REGISTER_INTERRUPTS, 1, 0);
    IoPorts_write(port, REGISTER_LINE_CONTROL, 1, LINE_8N1);
    return true;
}

static void send(const char *bytes, size_t count)
{
    unsigned tries = 0;
    while (count > 0 && tries < TRIES) {
        uint16_t written = 0;
        size_t piece = count < RUN_BYTES ? count : RUN_BYTES;
        if (IoPorts_write_run(port, REGISTER_LINE_STATUS, STATUS_CAN_SEND, STATUS_CAN_SEND,
                              REGISTER_DATA, bytes, piece, &written) != ST_OK) {
            return;
        }
        bytes += written;
        count -= written;
        if (written == 0) {
            tries++;
            pause_briefly();
        }
    }
}

void console_say(const char *text)
{
    if (open_port()) {
        send(text, strlen(text));
        send("\r\n", 2);
    }
}
