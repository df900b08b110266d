/* SPDX-License-Identifier: MIT */
/*
 * Starting CPUs one at a time, and stopping them all.
 *
 * A CPU that does not answer in time is taken off the end of the list (its slot is kept: it might
 * wake up late, and must then find its own stack); those after it are not tried, so the numbers stay
 * dense. Such a late CPU sees `closed` and halts.
 */
#include "smp.h"

#include "acpi.h"
#include "apic.h"
#include "arch/arch.h"
#include "bootmem.h"
#include "processor.h"
#include "fpu.h"
#include "lib/base/atomic.h"
#include "lib/base/string.h"
#include "paging.h"
#include "percpu.h"
#include "timer.h"
#include "trampoline.h"
#include "trap.h"
#include "x86.h"

enum {
    INIT_WAIT_NS = 200000,
    STARTUP_WAIT_NS = 200000,
    ANSWER_WAIT_NS = 1000000000,
    STOP_SPINS = 10000000,
};

extern const char trampoline_start[], trampoline_end[];

static struct paddr low_page = {UINT64_MAX};
static struct paddr low_root = {UINT64_MAX};
static _Atomic uint32_t stopping;
static _Atomic uint32_t closed;

unsigned arch_cpu_count(void)
{
    return cpu_total;
}

void arch_cpu_set_local(unsigned cpu, void *local)
{
    cpu_blocks[cpu]->local = local;
}

/* Tables like the kernel's, and the low page where it is. Below 4 GiB, as boot pages are. */
void smp_prepare(struct paddr page)
{
    if (paddr_is_none(page) || acpi.cpu_count == 1) {
        return;
    }
    low_page = page;
    low_root = boot_pages_take(1);
    uint64_t *root = arch_direct(low_root);
    memcpy(root, arch_direct(kernel_root), PAGE_BYTES);
    struct paddr tables[3];
    for (unsigned i = 0; i < ARRAY_LEN(tables); i++) {
        tables[i] = boot_pages_take(1);
    }
    root[0] = tables[0].v | PTE_PRESENT | PTE_WRITE;
    *(uint64_t *)arch_direct(tables[0]) = tables[1].v | PTE_PRESENT | PTE_WRITE;
    *(uint64_t *)arch_direct(tables[1]) = tables[2].v | PTE_PRESENT | PTE_WRITE;
    uint64_t *leaves = arch_direct(tables[2]);
    leaves[page.v >> PAGE_SHIFT] = page.v | PTE_PRESENT;
}

static struct thread *run_cpu(uint64_t id)
{
    return kernel_cpu_main((unsigned)id);
}

/* A further CPU's first C: on its own stack, on the trampoline's tables. */
NORETURN static void cpu_entry(struct cpu_block *cpu)
{
    write_cr3(kernel_root.v);
    features_enable();
    cpu_load_tables(cpu);
    fpu_enable();
    lapic_enable();
    timer_enable();
    atomic_store_release(&cpu->started, 1);
    if (atomic_load_seq_cst(&closed) != 0 && cpu->id >= cpu_total) {
        arch_cpu_halt();
    }
    entry_first(cpu->stack_top, run_cpu, cpu->id);
}

static void wait_ns(uint64_t ns)
{
    uint64_t end = arch_time_ns() + ns;
    while (arch_time_ns() < end) {
        arch_cpu_relax();
    }
}

static bool wait_started(const struct cpu_block *cpu, uint64_t ns)
{
    uint64_t end = arch_time_ns() + ns;
    while (atomic_load_acquire(&cpu->started) == 0) {
        if (arch_time_ns() >= end) {
            return false;
        }
        arch_cpu_relax();
    }
    return true;
}

static void put_word(char *page, unsigned offset, uint64_t value)
{
    memcpy(page + offset, &value, sizeof(value));
}

static bool start_cpu(struct cpu_block *cpu)
{
    enum { EFER_LME = 1 << 8 };
    char *page = arch_direct(low_page);
    memcpy(page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    put_word(page, TRAMPOLINE_ROOT, low_root.v);
    put_word(page, TRAMPOLINE_EFER, (uint64_t)EFER_LME | (features.nx ? EFER_NXE : 0));
    put_word(page, TRAMPOLINE_STACK, cpu->stack_top);
    put_word(page, TRAMPOLINE_CPU, (uint64_t)(uintptr_t)cpu);
    put_word(page, TRAMPOLINE_ENTRY, (uint64_t)(uintptr_t)cpu_entry);
    lapic_send_init(cpu->apic_id);
    wait_ns(INIT_WAIT_NS);
    lapic_send_startup(cpu->apic_id, (unsigned)(low_page.v >> PAGE_SHIFT));
    if (wait_started(cpu, STARTUP_WAIT_NS)) {
        return true;
    }
    lapic_send_startup(cpu->apic_id, (unsigned)(low_page.v >> PAGE_SHIFT));
    return wait_started(cpu, ANSWER_WAIT_NS);
}

void arch_smp_start(void)
{
    unsigned wanted = cpu_total;
    unsigned started = 1;
    while (started < wanted && !paddr_is_none(low_page) && start_cpu(cpu_blocks[started])) {
        started++;
    }
    cpu_total = started;
    atomic_store_seq_cst(&closed, 1);
    if (!paddr_is_none(low_page)) {
        memset(arch_direct(low_page), 0, PAGE_BYTES);
        memset(arch_direct(low_root), 0, PAGE_BYTES);
    }
}

void arch_cpu_halt(void)
{
    atomic_store_release(&this_cpu()->stopped, 1);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

void smp_nmi(void)
{
    if (atomic_load_acquire(&stopping) != 0) {
        arch_cpu_halt();
    }
}

void smp_stop_others(void)
{
    if (cpu_total <= 1 || atomic_swap_acq_rel(&stopping, 1) != 0) {
        return;
    }
    arch_cpu_mask_t others = 0;
    for (unsigned i = 0; i < cpu_total; i++) {
        if (i != arch_cpu_id() && atomic_load_acquire(&cpu_blocks[i]->started) != 0) {
            others |= UINT64_C(1) << i;
        }
    }
    lapic_send_nmi(others);
    for (unsigned i = 0; i < cpu_total; i++) {
        for (unsigned spins = 0; (others >> i & 1) != 0 && spins < STOP_SPINS &&
                                 atomic_load_acquire(&cpu_blocks[i]->stopped) == 0;
             spins++) {
            arch_cpu_relax();
        }
    }
}
