/* SPDX-License-Identifier: MIT */
/* Ends of the machine, and port access for the holder of IoPorts. */
#ifndef CAPOS_KERNEL_ARCH_POWER_H
#define CAPOS_KERNEL_ARCH_POWER_H

#include "lib/base/compiler.h"

/* Each stops the other CPUs first and does not return; what the machine cannot do ends in a halt. */
NORETURN void arch_power_off(void);
NORETURN void arch_reset(void);
NORETURN void arch_halt_all(void);

/* Under an emulator with the exit device: ends it with status (code << 1) | 1. Returns when there is
 * no such device. */
void arch_debug_exit(uint32_t code);

/* Port input and output; width_bytes is 1, 2 or 4. Ports are the caller's to have checked; false:
 * this machine has no ports, or the width is wrong. */
MUST_CHECK bool arch_port_in(uint16_t port, unsigned width_bytes, uint32_t *out);
MUST_CHECK bool arch_port_out(uint16_t port, unsigned width_bytes, uint32_t value);

/* True for ports that belong to the kernel for ever (interrupt controllers, timers, power, debug). */
bool arch_port_reserved(uint16_t first, uint32_t count);

#endif
