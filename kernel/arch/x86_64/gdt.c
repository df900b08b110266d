/* SPDX-License-Identifier: MIT */
/* Per-CPU slots, segment and task tables. */
#include "arch/arch.h"
#include "bootmem.h"
#include "processor.h"
#include "paging.h"
#include "percpu.h"
#include "trap.h"
#include "x86.h"

struct cpu_block *cpu_blocks[ARCH_CPU_MAX];
unsigned cpu_total;

static_assert(sizeof(struct cpu_block) <= PAGE_BYTES, "the block has a page");
static_assert(CPU_BLOCK_OFFSET + PAGE_BYTES <= CPU_SLOT_BYTES, "the block lies in its slot");

/* Maps a stack behind a guard page at *at; returns its top. */
static uint64_t map_stack(uint64_t *at, size_t size_bytes)
{
    uint64_t base = *at + PAGE_BYTES;
    struct paddr pages = boot_pages_take(size_bytes / PAGE_BYTES);
    for (size_t done = 0; done < size_bytes; done += PAGE_BYTES) {
        paging_map_kernel(base + done, paddr(pages.v + done), PAGE_BYTES, PTE_WRITE | pte_nx);
    }
    *at = base + size_bytes;
    return *at;
}

static void fill_gdt(struct cpu_block *cpu)
{
    uint64_t tss = (uint64_t)(uintptr_t)&cpu->tss;
    cpu->gdt[1] = UINT64_C(0x00af9b000000ffff); /* kernel code, 64-bit */
    cpu->gdt[2] = UINT64_C(0x00cf93000000ffff); /* kernel data */
    cpu->gdt[3] = 0;                            /* 32-bit user code: there is none */
    cpu->gdt[4] = UINT64_C(0x00cff3000000ffff); /* user data */
    cpu->gdt[5] = UINT64_C(0x00affb000000ffff); /* user code, 64-bit */
    cpu->gdt[6] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
                  (tss >> 24 & 0xff) << 56;
    cpu->gdt[7] = tss >> 32;
}

void cpu_slot_create(unsigned id, uint32_t apic_id)
{
    uint64_t slot = CPU_REGION_START + (uint64_t)id * CPU_SLOT_BYTES;
    uint64_t at = slot;
    struct cpu_block *cpu = (void *)(uintptr_t)(slot + CPU_BLOCK_OFFSET);
    paging_map_kernel(slot + CPU_BLOCK_OFFSET, boot_pages_take(1), PAGE_BYTES, PTE_WRITE | pte_nx);
    cpu->self = cpu;
    cpu->id = id;
    cpu->tag = id + 1;
    cpu->root_base = kernel_root.v;
    cpu->apic_id = apic_id;
    cpu->stack_top = map_stack(&at, KERNEL_STACK_BYTES);
    cpu->tss.rsp[0] = cpu->stack_top;
    for (unsigned i = 0; i < IST_COUNT; i++) {
        cpu->tss.ist[i] = map_stack(&at, IST_STACK_BYTES);
    }
    cpu->tss.io_map = sizeof(struct tss); /* no user program has ports */
    fill_gdt(cpu);
    cpu_blocks[id] = cpu;
}

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} PACKED;

void cpu_load_tables(struct cpu_block *cpu)
{
    struct table_pointer gdt = {sizeof(cpu->gdt) - 1, (uint64_t)(uintptr_t)cpu->gdt};
    struct table_pointer idt = {IDT_BYTES - 1, (uint64_t)(uintptr_t)idt_table};
    __asm__ volatile("lgdt %0" : : "m"(gdt));
    __asm__ volatile("pushq %0\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\tmovl %1, %%eax\n\t"
                     "movw %%ax, %%ss\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "movw %%ax, %%ds\n\t"
                     "movw %%ax, %%es\n\t"
                     "movw %%ax, %%fs\n\t"
                     "movw %%ax, %%gs\n\t"
                     "movw %w2, %%ax\n\t"
                     "ltr %%ax"
                     :
                     : "i"(SELECTOR_KERNEL_CODE), "i"(SELECTOR_KERNEL_DATA), "i"(SELECTOR_TSS)
                     : "rax", "memory");
    __asm__ volatile("lidt %0" : : "m"(idt));
    write_msr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
    write_msr(MSR_KERNEL_GS_BASE, 0);
    write_msr(MSR_FS_BASE, 0);
    write_msr(MSR_STAR, (uint64_t)SELECTOR_USER_BASE << 48 | (uint64_t)SELECTOR_KERNEL_CODE << 32);
    write_msr(MSR_LSTAR, (uint64_t)(uintptr_t)(features.pti ? entry_syscall_pti : entry_syscall));
    write_msr(MSR_CSTAR, (uint64_t)(uintptr_t)entry_syscall_32);
    write_msr(MSR_SFMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF |
                              RFLAGS_AC | 0xd5);
}
