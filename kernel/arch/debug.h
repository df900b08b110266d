/* SPDX-License-Identifier: MIT */
/* Where the kernel's own words go before, and beside, the kernel log; and how it dies. */
#ifndef CAPOS_KERNEL_ARCH_DEBUG_H
#define CAPOS_KERNEL_ARCH_DEBUG_H

#include "lib/base/compiler.h"

/* Writes bytes to the debug port (a file under an emulator). Never blocks. Any context. */
void arch_debug_write(const char *bytes, size_t size_bytes);

/* Writes bytes to the first serial port, bounded waiting, when the kernel owns it. */
void arch_serial_write(const char *bytes, size_t size_bytes);

/* The serial port is the kernel's from the start and again in a panic; giving it to a driver stops
 * arch_serial_write. */
void arch_serial_own(bool kernel_owns);

/* For panic(), in this order. begin: the first caller wins, stops every other CPU and takes the
 * serial port back; a second caller on another CPU halts, on the same CPU gets false (say little).
 * backtrace: prints this CPU's registers of the last kernel fault, if any, and the call chain with
 * symbols, through `print`. Then arch_halt_all. */
MUST_CHECK bool arch_panic_begin(void);
void arch_panic_backtrace(void (*print)(const char *bytes, size_t size_bytes));

/* Name of the function that holds a kernel address, and the offset in it; NULL = not known. */
const char *arch_symbol(uint64_t address, uint64_t *offset_out);

#endif
