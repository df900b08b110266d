/* SPDX-License-Identifier: MIT */
#include "acpi.h"
#include "arch/arch.h"
#include "smp.h"
#include "x86.h"

enum { DEBUG_EXIT_PORT = 0xf4, RESET_CONTROL = 0xcf9, KEYBOARD_COMMAND = 0x64, SPIN_MAX = 1000000 };

void arch_halt_all(void)
{
    smp_stop_others();
    arch_cpu_halt();
}

/* Firmware may have left the machine in legacy mode, where the sleep registers are dead. */
static void enter_acpi_mode(void)
{
    enum { SCI_ENABLE = 1 };
    if ((in16(acpi.pm1a_control) & SCI_ENABLE) != 0 || acpi.smi_command == 0) {
        return;
    }
    out8(acpi.smi_command, acpi.acpi_enable);
    for (unsigned i = 0; i < SPIN_MAX && (in16(acpi.pm1a_control) & SCI_ENABLE) == 0; i++) {
        arch_cpu_relax();
    }
}

void arch_power_off(void)
{
    enum { SLEEP_ENABLE = 1 << 13, SLEEP_TYPE_SHIFT = 10, SLEEP_TYPE_MASK = 7 };
    smp_stop_others();
    if (acpi.has_s5 && acpi.pm1a_control != 0) {
        enter_acpi_mode();
        uint16_t type_a = (uint16_t)((acpi.s5_a & SLEEP_TYPE_MASK) << SLEEP_TYPE_SHIFT);
        uint16_t type_b = (uint16_t)((acpi.s5_b & SLEEP_TYPE_MASK) << SLEEP_TYPE_SHIFT);
        out16(acpi.pm1a_control, (uint16_t)(type_a | SLEEP_ENABLE));
        if (acpi.pm1b_control != 0) {
            out16(acpi.pm1b_control, (uint16_t)(type_b | SLEEP_ENABLE));
        }
    }
    arch_halt_all();
}

/* The last resort: an exception with no table to look it up in. */
static void triple_fault(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } PACKED none = {0, 0};
    __asm__ volatile("lidt %0; int3" : : "m"(none));
}

void arch_reset(void)
{
    smp_stop_others();
    if (acpi.has_reset_port) {
        out8(acpi.reset_port, acpi.reset_value);
    }
    out8(RESET_CONTROL, 0x02);
    out8(RESET_CONTROL, 0x06);
    for (unsigned i = 0; i < SPIN_MAX && (in8(KEYBOARD_COMMAND) & 2) != 0; i++) {
        arch_cpu_relax();
    }
    out8(KEYBOARD_COMMAND, 0xfe);
    for (unsigned i = 0; i < SPIN_MAX; i++) {
        arch_cpu_relax();
    }
    triple_fault();
    arch_halt_all();
}

void arch_debug_exit(uint32_t code)
{
    out32(DEBUG_EXIT_PORT, code);
}

bool arch_port_in(uint16_t port, unsigned width_bytes, uint32_t *out)
{
    switch (width_bytes) {
    case 1:
        *out = in8(port);
        return true;
    case 2:
        *out = in16(port);
        return true;
    case 4:
        *out = in32(port);
        return true;
    default:
        return false;
    }
}

bool arch_port_out(uint16_t port, unsigned width_bytes, uint32_t value)
{
    switch (width_bytes) {
    case 1:
        out8(port, (uint8_t)value);
        return true;
    case 2:
        out16(port, (uint16_t)value);
        return true;
    case 4:
        out32(port, value);
        return true;
    default:
        return false;
    }
}

bool arch_port_reserved(uint16_t first, uint32_t count)
{
    const struct {
        uint32_t start, end;
    } kept[] = {
        {0x20, 0x22},
        {0x40, 0x44},
        {0x61, 0x62},
        {0x64, 0x65},
        {0xa0, 0xa2},
        {0xe9, 0xea},
        {0xf4, 0xf8},
        {RESET_CONTROL, RESET_CONTROL + 1},
        {acpi.pm1a_control, acpi.pm1a_control + 4u},
        {acpi.pm1b_control, acpi.pm1b_control + 4u},
        {acpi.pm_timer_port, acpi.pm_timer_port + 4u},
        {acpi.smi_command, acpi.smi_command + 2u},
        {acpi.reset_port, acpi.reset_port + 1u},
    };
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (kept[i].start != 0 && first < kept[i].end && (uint64_t)first + count > kept[i].start) {
            return true;
        }
    }
    return false;
}
