/* SPDX-License-Identifier: MIT */
/*
 * A CPU's own block and stacks, in a slot of the CPU region:
 *
 *   guard, kernel stack, guard, NMI stack, guard, #DF stack, guard, #MC stack, guard, #DB stack,
 *   guard, ..., block (the last pages of the slot)
 *
 * Slots are aligned to their size, so code on any of these stacks finds its block from the stack
 * pointer alone: the paranoid entries rely on that, since they cannot trust GS.
 */
#ifndef CAPOS_KERNEL_ARCH_X86_64_PERCPU_H
#define CAPOS_KERNEL_ARCH_X86_64_PERCPU_H

#include "arch_types.h"
#include "lib/base/atomic.h"
#include "lib/base/compiler.h"
#include "offsets.h"

enum {
    KERNEL_STACK_BYTES = 32768,
    IST_STACK_BYTES = 8192,
    IST_COUNT = 4,
    IST_NMI = 1,
    IST_DOUBLE_FAULT = 2,
    IST_MACHINE_CHECK = 3,
    IST_DEBUG = 4,
    GDT_ENTRIES = 8,
};

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
} PACKED;

static_assert(sizeof(struct tss) == 104, "64-bit TSS");

/* [I] constant after boot   [o] this CPU only   [a] others read */
struct cpu_block {
    struct cpu_block *self;               /* [I] */
    struct arch_thread *current;          /* [o] whose frame the next entry saves into */
    uint64_t stack_top;                   /* [I] */
    uint64_t scratch;                     /* [o] entry.S */
    void *local;                          /* [I] the portable kernel's */
    uint32_t id;                          /* [I] */
    uint32_t apic_id;                     /* [I] */
    uint64_t root_kernel;                 /* [o] isolation: CR3 of an entry, */
    uint64_t root_user;                   /* [o] and of an exit, for what is loaded */
    uint64_t root_base;                   /* [I] kernel_root */
    uint32_t tag;                         /* [I] id + 1: what on_cpu and fpu_cpu hold */
    _Atomic(struct arch_aspace *) loaded; /* [a] NULL = kernel_root */
    _Atomic uint64_t seen_generation;     /* [a] of `loaded`: forgotten what was removed up to it */
    struct arch_thread *fpu_last; /* [o] whose extended state the registers may still hold */
    _Atomic uint32_t started;     /* [a] set by the CPU itself */
    _Atomic uint32_t stopped;     /* [a] halted for a panic or the end */
    uint64_t gdt[GDT_ENTRIES];    /* [I] */
    struct tss tss;               /* [I] */
};

extern struct cpu_block *cpu_blocks[];
extern unsigned cpu_total;

static inline struct cpu_block *this_cpu(void)
{
    struct cpu_block *self;
    __asm__("movq %%gs:%c1, %0" : "=r"(self) : "i"(CPU_SELF));
    return self;
}

/* Makes the slot of CPU `id`. Boot only, after paging_start. */
void cpu_slot_create(unsigned id, uint32_t apic_id);

/* Loads GDT, TSS, IDT, GS base and system call registers of this CPU. */
void cpu_load_tables(struct cpu_block *cpu);

/* Fills the IDT for an image that moves so far. Before paging_start makes it constant. */
void idt_build(uint64_t slide);

#endif
