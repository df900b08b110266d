/* SPDX-License-Identifier: MIT */
#include "processor.h"
#include "percpu.h"
#include "trap.h"
#include "x86.h"

/* One table for all CPUs, constant once the kernel's page tables are loaded. */
struct idt_gate idt_table[VECTORS] RO_AFTER_BOOT ALIGNED(4096);

static unsigned stack_of(unsigned vector)
{
    switch (vector) {
    case VECTOR_DEBUG:
        return IST_DEBUG;
    case VECTOR_NMI:
        return IST_NMI;
    case VECTOR_DOUBLE_FAULT:
        return IST_DOUBLE_FAULT;
    case VECTOR_MACHINE_CHECK:
        return IST_MACHINE_CHECK;
    default:
        return 0;
    }
}

void idt_build(uint64_t slide)
{
    enum { BREAKPOINT = 3, OVERFLOW = 4, GATE_INTERRUPT = 0x8e, GATE_USER = 0x60 };
    for (unsigned v = 0; v < VECTORS; v++) {
        uint64_t address =
            (uint64_t)(uintptr_t)entry_vectors + slide + (uint64_t)v * ENTRY_VECTOR_BYTES;
        uint64_t type = GATE_INTERRUPT | (v == BREAKPOINT || v == OVERFLOW ? GATE_USER : 0);
        idt_table[v].low = (address & 0xffff) | (uint64_t)SELECTOR_KERNEL_CODE << 16 |
                           (uint64_t)stack_of(v) << 32 | type << 40 |
                           (address >> 16 & 0xffff) << 48;
        idt_table[v].high = address >> 32;
    }
}
