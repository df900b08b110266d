/* SPDX-License-Identifier: MIT */
/* Local and I/O interrupt controllers. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_APIC_H
#define CAPOS_KERNEL_ARCH_X86_64_APIC_H

#include "arch/cpu.h"
#include "lib/base/compiler.h"

/* Finds the local controller (x2APIC when offered) and masks the legacy one. Boot CPU, once. */
void lapic_find(uint64_t registers);

/* Switches this CPU's on; every local source masked but the timer. */
void lapic_enable(void);

uint32_t lapic_id(void);
void lapic_end_of_interrupt(void);

/* A fixed interrupt, or an NMI, to each CPU of the mask but this one. Never waits for them. */
void lapic_send(arch_cpu_mask_t cpus, unsigned vector);
void lapic_send_nmi(arch_cpu_mask_t cpus);

/* Starting a CPU: INIT, then a start-up at page << 12. */
void lapic_send_init(uint32_t apic_id);
void lapic_send_startup(uint32_t apic_id, unsigned page);

/* The one-shot timer counts down from `ticks`; 0 stops it. */
void lapic_timer_start(uint32_t ticks);
uint32_t lapic_timer_left(void);
void lapic_timer_unmask(bool tsc_deadline);

/* Registers an I/O controller whose first line is `gsi_base`; ignored when it makes no sense. */
void ioapic_add(uint64_t registers, uint32_t gsi_base);

/* An ISA interrupt that is on another line, or has an unusual trigger, by firmware's word. */
void irq_override(uint8_t isa, uint32_t gsi, bool level, bool active_low);

/* The highest vector that a device was ever given; 0 = none yet. They are given from below. */
unsigned irq_last_vector(void);

/* Acknowledges vector; true and *logical for kernel_interrupt, false: nothing to tell it. */
bool irq_accept(unsigned vector, unsigned *logical);

#endif
