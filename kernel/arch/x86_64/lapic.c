/* SPDX-License-Identifier: MIT */
/* Local APIC: memory-mapped, or by MSR where the processor offers x2APIC. */
#include "apic.h"

#include "arch/arch.h"
#include "processor.h"
#include "paging.h"
#include "percpu.h"
#include "trap.h"
#include "x86.h"

enum {
    REG_ID = 0x20,
    REG_TASK_PRIORITY = 0x80,
    REG_EOI = 0xb0,
    REG_LOGICAL_DESTINATION = 0xd0,
    REG_SPURIOUS = 0xf0,
    REG_REQUESTS = 0x200,
    REG_ERROR = 0x280,
    REG_COMMAND = 0x300,
    REG_COMMAND_HIGH = 0x310,
    REG_TIMER = 0x320,
    REG_THERMAL = 0x330,
    REG_PERFORMANCE = 0x340,
    REG_LINT0 = 0x350,
    REG_LINT1 = 0x360,
    REG_LVT_ERROR = 0x370,
    REG_TIMER_INITIAL = 0x380,
    REG_TIMER_CURRENT = 0x390,
    REG_TIMER_DIVIDE = 0x3e0,
};

enum {
    LVT_MASKED = 1 << 16,
    LVT_TSC_DEADLINE = 2 << 17,
    SPURIOUS_ENABLE = 1 << 8,
    DIVIDE_BY_1 = 0xb,
    COMMAND_PENDING = 1 << 12,
    COMMAND_ASSERT = 1 << 14,
    DELIVER_NMI = 4 << 8,
    DELIVER_INIT = 5 << 8,
    DELIVER_STARTUP = 6 << 8,
    APIC_BASE_ENABLE = 1 << 11,
    APIC_BASE_X2 = 1 << 10,
    SPIN_MAX = 100000,
};

static volatile uint32_t *mapped; /* NULL with x2APIC */

static uint32_t reg_read(unsigned reg)
{
    return features.x2apic ? (uint32_t)read_msr(MSR_X2APIC + (reg >> 4)) : mapped[reg / 4];
}

static void reg_write(unsigned reg, uint32_t value)
{
    if (features.x2apic) {
        write_msr(MSR_X2APIC + (reg >> 4), value);
    } else {
        mapped[reg / 4] = value;
    }
}

/* The two legacy controllers: moved off the exceptions' vectors, everything masked. */
static void mask_legacy(void)
{
    out8(0x20, 0x11);
    out8(0xa0, 0x11);
    out8(0x21, VECTOR_PIC);
    out8(0xa1, VECTOR_PIC + 8);
    out8(0x21, 4);
    out8(0xa1, 2);
    out8(0x21, 1);
    out8(0xa1, 1);
    out8(0x21, 0xff);
    out8(0xa1, 0xff);
}

void lapic_find(uint64_t registers)
{
    mask_legacy();
    if (!features.x2apic) {
        mapped = paging_window(registers, PAGE_BYTES, false);
        if (mapped == NULL) {
            panic("the local APIC is said to be at %#llx", (unsigned long long)registers);
        }
    }
}

void lapic_enable(void)
{
    uint64_t base = read_msr(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    write_msr(MSR_APIC_BASE, base);
    if (features.x2apic) {
        write_msr(MSR_APIC_BASE, base | APIC_BASE_X2);
    }
    reg_write(REG_TASK_PRIORITY, 0);
    reg_write(REG_LINT0, LVT_MASKED);
    reg_write(REG_LINT1, LVT_MASKED);
    reg_write(REG_LVT_ERROR, LVT_MASKED);
    reg_write(REG_TIMER, LVT_MASKED | VECTOR_TIMER);
    reg_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
    reg_write(REG_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
}

uint32_t lapic_id(void)
{
    uint32_t id = reg_read(REG_ID);
    return features.x2apic ? id : id >> 24;
}

void lapic_end_of_interrupt(void)
{
    reg_write(REG_EOI, 0);
}

/* Sends one command. The memory-mapped form has one command register: wait (bounded) until the last
 * one has left. That is a wait for this CPU's own controller, never for another CPU. */
static void command(uint32_t apic_id, uint32_t low)
{
    if (features.x2apic) {
        write_msr(MSR_X2APIC + (REG_COMMAND >> 4), (uint64_t)apic_id << 32 | low);
        return;
    }
    for (unsigned i = 0; i < SPIN_MAX && (mapped[REG_COMMAND / 4] & COMMAND_PENDING) != 0; i++) {
        arch_cpu_relax();
    }
    mapped[REG_COMMAND_HIGH / 4] = apic_id << 24;
    mapped[REG_COMMAND / 4] = low;
}

static void send_each(arch_cpu_mask_t cpus, uint32_t low)
{
    unsigned self = arch_cpu_id();
    for (unsigned i = 0; i < cpu_total && cpus != 0; i++, cpus >>= 1) {
        if ((cpus & 1) != 0 && i != self) {
            command(cpu_blocks[i]->apic_id, low);
        }
    }
}

void lapic_send(arch_cpu_mask_t cpus, unsigned vector)
{
    send_each(cpus, COMMAND_ASSERT | vector);
}

void lapic_send_nmi(arch_cpu_mask_t cpus)
{
    send_each(cpus, COMMAND_ASSERT | DELIVER_NMI);
}

void lapic_send_init(uint32_t apic_id)
{
    command(apic_id, COMMAND_ASSERT | DELIVER_INIT);
}

void lapic_send_startup(uint32_t apic_id, unsigned page)
{
    command(apic_id, COMMAND_ASSERT | DELIVER_STARTUP | page);
}

void lapic_timer_start(uint32_t ticks)
{
    reg_write(REG_TIMER_INITIAL, ticks);
}

uint32_t lapic_timer_left(void)
{
    return reg_read(REG_TIMER_CURRENT);
}

void lapic_timer_unmask(bool tsc_deadline)
{
    reg_write(REG_TIMER, VECTOR_TIMER | (tsc_deadline ? LVT_TSC_DEADLINE : 0));
}

bool arch_interrupt_pending(void)
{
    enum { WORD_BITS = 32, LOCAL_WORD = VECTOR_TIMER / WORD_BITS };
    static_assert(VECTOR_KICK / WORD_BITS == LOCAL_WORD, "our own vectors share a word");
    if (reg_read(REG_REQUESTS + LOCAL_WORD * 16) != 0) {
        return true;
    }
    unsigned last = irq_last_vector();
    for (unsigned i = VECTOR_DEVICE_FIRST / WORD_BITS; i <= last / WORD_BITS; i++) {
        if (reg_read(REG_REQUESTS + i * 16) != 0) {
            return true;
        }
    }
    return false;
}

void arch_cpu_reschedule(arch_cpu_mask_t cpus)
{
    lapic_send(cpus, VECTOR_RESCHEDULE);
}

void arch_cpu_kick(arch_cpu_mask_t cpus)
{
    lapic_send(cpus, VECTOR_KICK);
}
