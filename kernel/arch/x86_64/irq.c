/* SPDX-License-Identifier: MIT */
/*
 * Device interrupts: lines of the I/O APICs and messages, each with a vector of its own on all CPUs.
 *
 * I1: vector_irq[v] names the device interrupt of vector v, or NONE. I2: a line is routed exactly
 * when it has a vector. A level line masks itself on arrival, before the end-of-interrupt, so it
 * cannot storm; an edge line does not. `lock` protects everything here and the I/O APICs' two-step
 * registers; it is the port's own, a leaf, held for some 20 instructions.
 */
#include "apic.h"
#include "arch/arch.h"
#include "aspace.h"
#include "paging.h"
#include "percpu.h"
#include "spin.h"
#include "trap.h"

enum {
    IOAPIC_MAX = 16,
    LINES_MAX = 192,
    ISA_IRQS = 16,
    NONE = 0xffff,
};

enum {
    IOAPIC_VERSION = 1,
    IOAPIC_ENTRY = 0x10,
    ENTRY_ACTIVE_LOW = 1 << 13,
    ENTRY_LEVEL = 1 << 15,
    ENTRY_MASKED = 1 << 16,
};

struct ioapic {
    volatile uint32_t *registers;
    uint32_t gsi_base, lines;
};

struct line {
    uint8_t vector; /* 0 = not routed */
    bool level, active_low;
    bool masked;
};

static struct ioapic ioapics[IOAPIC_MAX];
static unsigned ioapic_count;
static unsigned line_count;
static struct line lines[LINES_MAX];
static uint16_t isa_line[ISA_IRQS];
static uint16_t vector_irq[VECTORS];
static uint8_t message_vector[ARCH_IRQ_MAX]; /* by device interrupt number, 0 = free */
static _Atomic unsigned last_vector;         /* written under the lock, only grows */
static struct spin lock;
static bool tables_ready;

static void prepare_tables(void)
{
    if (tables_ready) {
        return;
    }
    tables_ready = true;
    for (unsigned i = 0; i < VECTORS; i++) {
        vector_irq[i] = NONE;
    }
    for (unsigned i = 0; i < LINES_MAX; i++) {
        lines[i] =
            (struct line){.level = i >= ISA_IRQS, .active_low = i >= ISA_IRQS, .masked = true};
    }
    for (unsigned i = 0; i < ISA_IRQS; i++) {
        isa_line[i] = (uint16_t)i;
    }
}

static uint32_t ioapic_read(const struct ioapic *io, uint32_t reg)
{
    io->registers[0] = reg;
    return io->registers[4];
}

static void ioapic_write(const struct ioapic *io, uint32_t reg, uint32_t value)
{
    io->registers[0] = reg;
    io->registers[4] = value;
}

void ioapic_add(uint64_t registers, uint32_t gsi_base)
{
    prepare_tables();
    if (ioapic_count == IOAPIC_MAX || gsi_base >= LINES_MAX) {
        return;
    }
    struct ioapic *io = &ioapics[ioapic_count];
    io->registers = paging_window(registers, PAGE_BYTES, false);
    if (io->registers == NULL) {
        return;
    }
    io->gsi_base = gsi_base;
    io->lines = (ioapic_read(io, IOAPIC_VERSION) >> 16 & 0xff) + 1;
    if (io->lines > LINES_MAX - gsi_base) {
        io->lines = LINES_MAX - gsi_base;
    }
    for (uint32_t i = 0; i < io->lines; i++) {
        ioapic_write(io, IOAPIC_ENTRY + 2 * i, ENTRY_MASKED);
        ioapic_write(io, IOAPIC_ENTRY + 2 * i + 1, 0);
    }
    if (gsi_base + io->lines > line_count) {
        line_count = gsi_base + io->lines;
    }
    ioapic_count++;
}

void irq_override(uint8_t isa, uint32_t gsi, bool level, bool active_low)
{
    prepare_tables();
    if (isa < ISA_IRQS && gsi < LINES_MAX) {
        isa_line[isa] = (uint16_t)gsi;
        lines[gsi].level = level;
        lines[gsi].active_low = active_low;
    }
}

static const struct ioapic *ioapic_of(unsigned line)
{
    for (unsigned i = 0; i < ioapic_count; i++) {
        if (line >= ioapics[i].gsi_base && line < ioapics[i].gsi_base + ioapics[i].lines) {
            return &ioapics[i];
        }
    }
    return NULL;
}

static void write_low(unsigned line)
{
    const struct ioapic *io = ioapic_of(line);
    const struct line *l = &lines[line];
    uint32_t entry = l->vector | (l->active_low ? ENTRY_ACTIVE_LOW : 0) |
                     (l->level ? ENTRY_LEVEL : 0) |
                     (l->masked || l->vector == 0 ? ENTRY_MASKED : 0);
    if (io != NULL) {
        ioapic_write(io, IOAPIC_ENTRY + 2 * (line - io->gsi_base), entry);
    }
}

/* A free vector for device interrupt `irq`; 0 = none. */
static uint8_t take_vector(unsigned irq)
{
    for (unsigned v = VECTOR_DEVICE_FIRST; v <= VECTOR_DEVICE_LAST; v++) {
        if (vector_irq[v] == NONE) {
            vector_irq[v] = (uint16_t)irq;
            if (v > atomic_load_relaxed(&last_vector)) {
                atomic_store_relaxed(&last_vector, v);
            }
            return (uint8_t)v;
        }
    }
    return 0;
}

unsigned irq_last_vector(void)
{
    return atomic_load_relaxed(&last_vector);
}

unsigned arch_irq_lines(void)
{
    return line_count;
}

unsigned arch_irq_of_isa(unsigned isa_irq)
{
    prepare_tables();
    return isa_irq < ISA_IRQS ? isa_line[isa_irq] : isa_irq;
}

bool arch_irq_route(unsigned line, unsigned cpu, bool set_trigger, bool level, bool active_low)
{
    const struct ioapic *io = ioapic_of(line);
    bool ok = false;
    if (io == NULL || cpu >= cpu_total || cpu_blocks[cpu]->apic_id > 0xff) {
        return false;
    }
    spin_lock(&lock);
    struct line *l = &lines[line];
    if (l->vector == 0) {
        l->vector = take_vector(line);
    }
    if (l->vector != 0) {
        if (set_trigger) {
            l->level = level;
            l->active_low = active_low;
        }
        l->masked = true;
        write_low(line);
        ioapic_write(io, IOAPIC_ENTRY + 2 * (line - io->gsi_base) + 1,
                     cpu_blocks[cpu]->apic_id << 24);
        ok = true;
    }
    spin_unlock(&lock);
    return ok;
}

static void set_masked(unsigned line, bool masked)
{
    if (line >= line_count) {
        return;
    }
    spin_lock(&lock);
    if (lines[line].vector != 0) {
        lines[line].masked = masked;
        write_low(line);
    }
    spin_unlock(&lock);
}

void arch_irq_unroute(unsigned line)
{
    set_masked(line, true);
    if (line >= line_count) {
        return;
    }
    spin_lock(&lock);
    if (lines[line].vector != 0) {
        vector_irq[lines[line].vector] = NONE;
        lines[line].vector = 0;
    }
    spin_unlock(&lock);
}

void arch_irq_mask(unsigned line)
{
    set_masked(line, true);
}

void arch_irq_unmask(unsigned line)
{
    set_masked(line, false);
}

bool arch_message_alloc(unsigned cpu, struct arch_message *out)
{
    bool ok = false;
    if (cpu >= cpu_total || cpu_blocks[cpu]->apic_id > 0xff) {
        return false;
    }
    spin_lock(&lock);
    for (unsigned irq = line_count; irq < ARCH_IRQ_MAX && !ok; irq++) {
        if (message_vector[irq] == 0) {
            message_vector[irq] = take_vector(irq);
            ok = message_vector[irq] != 0;
            *out = (struct arch_message){
                irq, UINT64_C(0xfee00000) | (uint64_t)cpu_blocks[cpu]->apic_id << 12,
                message_vector[irq]};
        }
    }
    spin_unlock(&lock);
    return ok;
}

void arch_message_free(unsigned irq)
{
    if (irq < line_count || irq >= ARCH_IRQ_MAX) {
        return;
    }
    spin_lock(&lock);
    if (message_vector[irq] != 0) {
        vector_irq[message_vector[irq]] = NONE;
        message_vector[irq] = 0;
    }
    spin_unlock(&lock);
}

static bool accept_device(unsigned vector, unsigned *logical)
{
    spin_lock(&lock);
    unsigned irq = vector_irq[vector];
    if (irq < line_count && lines[irq].level) {
        lines[irq].masked = true;
        write_low(irq);
    }
    spin_unlock(&lock);
    lapic_end_of_interrupt();
    *logical = ARCH_VECTOR_DEVICE + irq;
    return irq != NONE;
}

bool irq_accept(unsigned vector, unsigned *logical)
{
    switch (vector) {
    case VECTOR_TIMER:
        lapic_end_of_interrupt();
        *logical = ARCH_VECTOR_TIMER;
        return true;
    case VECTOR_RESCHEDULE:
        lapic_end_of_interrupt();
        *logical = ARCH_VECTOR_RESCHEDULE;
        return true;
    case VECTOR_KICK:
        lapic_end_of_interrupt();
        aspace_catch_up(this_cpu());
        *logical = ARCH_VECTOR_KICK;
        return true;
    default:
        if (vector >= VECTOR_DEVICE_FIRST && vector <= VECTOR_DEVICE_LAST) {
            return accept_device(vector, logical);
        }
        return false; /* spurious: from the legacy controllers or our own, no acknowledgement */
    }
}
