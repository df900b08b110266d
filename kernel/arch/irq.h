/* SPDX-License-Identifier: MIT */
/* Interrupt vectors and device lines. */
#ifndef CAPOS_KERNEL_ARCH_IRQ_H
#define CAPOS_KERNEL_ARCH_IRQ_H

#include "lib/base/compiler.h"

/* What kernel_interrupt is told. */
enum arch_vector {
    ARCH_VECTOR_TIMER,       /* the deadline of arch_timer_arm has passed (or nearly: look) */
    ARCH_VECTOR_RESCHEDULE,  /* arch_cpu_reschedule */
    ARCH_VECTOR_KICK,        /* arch_cpu_kick or a TLB shootdown, which is done already */
    ARCH_VECTOR_DEVICE = 16, /* + device interrupt number, see below */
};

/* Device interrupt numbers: 0 .. arch_irq_lines() - 1 are the lines (global system interrupts) of
 * the interrupt controllers; arch_irq_message_base() .. + arch_irq_messages() - 1 are message-
 * signalled ones. Messages may start below where the lines of a large machine end: use the base. */
enum { ARCH_IRQ_MAX = 256 };

unsigned arch_irq_lines(void);

/* The line of a legacy ISA interrupt 0..15 after the firmware's overrides. */
unsigned arch_irq_of_isa(unsigned isa_irq);

/* Routes a line to CPU `cpu`, masked. The trigger mode is the firmware's (ISA: edge; else level,
 * low) unless `set_trigger`. False: no such line, or no vector is left. */
MUST_CHECK bool arch_irq_route(unsigned line, unsigned cpu, bool set_trigger, bool level,
                               bool active_low);
void arch_irq_unroute(unsigned line);

/* A level line is masked by its own arrival: unmask it once the driver has quietened the device.
 * An edge line stays open. Routed lines only; others are ignored. */
void arch_irq_mask(unsigned line);
void arch_irq_unmask(unsigned line);

/* Message-signalled interrupts: what to write into a device's MSI-X entry. */
struct arch_message {
    unsigned irq; /* device interrupt number */
    uint64_t address;
    uint32_t data;
};
MUST_CHECK bool arch_message_alloc(unsigned cpu, struct arch_message *out);
void arch_message_free(unsigned irq);

#endif
