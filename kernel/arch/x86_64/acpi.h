/* SPDX-License-Identifier: MIT */
/* The little of ACPI that the kernel itself needs: processors, interrupt controllers, power. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_ACPI_H
#define CAPOS_KERNEL_ARCH_X86_64_ACPI_H

#include "arch/cpu.h"
#include "core/addr.h"

struct acpi {
    bool found;
    uint64_t lapic;        /* physical */
    unsigned cpu_count;    /* the boot CPU included, first */
    unsigned cpus_ignored; /* beyond ARCH_CPU_MAX */
    uint32_t cpu_apic_id[ARCH_CPU_MAX];
    uint16_t pm_timer_port;              /* 0 = none */
    uint16_t pm1a_control, pm1b_control; /* 0 = none */
    uint16_t smi_command;
    uint8_t acpi_enable;
    bool has_s5;
    uint8_t s5_a, s5_b;
    bool has_reset_port;
    uint16_t reset_port;
    uint8_t reset_value;
};

extern struct acpi acpi;

/* Reads the tables, registers I/O APICs and overrides. Without tables: one CPU, usual places. */
void acpi_read(struct paddr rsdp, uint32_t boot_apic_id);

#endif
