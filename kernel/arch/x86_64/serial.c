/* SPDX-License-Identifier: MIT */
/* The debug port (0xe9, a file under an emulator) and COM1, until a driver owns it. */
#include "serial.h"

#include "arch/arch.h"
#include "lib/base/atomic.h"
#include "x86.h"

enum {
    DEBUG_PORT = 0xe9,
    COM1 = 0x3f8,
    COM_DATA = COM1,
    COM_INTERRUPTS = COM1 + 1,
    COM_FIFO = COM1 + 2,
    COM_LINE = COM1 + 3,
    COM_MODEM = COM1 + 4,
    COM_STATUS = COM1 + 5,
    COM_SCRATCH = COM1 + 7,
    LINE_DIVISOR = 0x80,
    LINE_8N1 = 0x03,
    STATUS_ROOM = 0x20,
    WAIT_MAX = 100000,
};

static bool debug_present;
static bool serial_present;
static _Atomic bool serial_owned;

static void program_port(void)
{
    out8(COM_INTERRUPTS, 0);
    out8(COM_LINE, LINE_DIVISOR);
    out8(COM_DATA, 1); /* 115,200 */
    out8(COM_INTERRUPTS, 0);
    out8(COM_LINE, LINE_8N1);
    out8(COM_FIFO, 0x07);
    out8(COM_MODEM, 0x03);
}

void serial_find(void)
{
    debug_present = in8(DEBUG_PORT) == DEBUG_PORT;
    out8(COM_SCRATCH, 0x5a);
    serial_present = in8(COM_SCRATCH) == 0x5a;
    arch_serial_own(true);
}

void arch_serial_own(bool kernel_owns)
{
    if (kernel_owns && serial_present) {
        program_port();
    }
    atomic_store_relaxed(&serial_owned, kernel_owns && serial_present);
}

void arch_debug_write(const char *bytes, size_t size_bytes)
{
    if (debug_present) {
        __asm__ volatile("rep outsb" : "+S"(bytes), "+c"(size_bytes) : "d"(DEBUG_PORT) : "memory");
    }
}

static void put(uint8_t byte)
{
    for (unsigned i = 0; i < WAIT_MAX && (in8(COM_STATUS) & STATUS_ROOM) == 0; i++) {
        arch_cpu_relax();
    }
    out8(COM_DATA, byte);
}

void arch_serial_write(const char *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes && atomic_load_relaxed(&serial_owned); i++) {
        if (bytes[i] == '\n') {
            put('\r');
        }
        put((uint8_t)bytes[i]);
    }
}
