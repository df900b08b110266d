/* SPDX-License-Identifier: MIT */
/*
 * Who has which address space loaded, and making them forget.
 *
 * There is no residency mask to keep: each CPU publishes what it has loaded, and whoever shoots looks
 * at all of them (at most 64 words, seldom).
 *   load:  loaded = as; FENCE; g = as->generation; CR3 = root (forgets all); seen = g
 *   shoot: entries removed; ++as->generation; FENCE; for each CPU with loaded == as: interrupt
 * L1: either the shooter sees `loaded`, or the loader sees the new generation and, since CR3 is
 *     loaded after that, the removed entries.
 * L2: a ticket is done when every CPU that has `as` loaded has seen at least that generation. A CPU
 *     that loads it later has not cached anything older.
 * L3: `seen` is stored after the flush it stands for, and is taken back to 0 before `loaded`
 *     changes, so a stale pair never looks done.
 * L4: a CPU that has not caught up with an earlier ticket forgets everything, not just a range,
 *     before it says that it has seen a later one.
 * L5: when no other CPU has `as` loaded after the new generation is there to be seen, this ticket and all before
 *     it are done, for ever: 0 says so.
 * Idle CPUs keep the last address space (a wake-up of the same process then costs no CR3 load) and
 * let it go when they are asked for the first time.
 */
#include "apic.h"
#include "arch/arch.h"
#include "aspace.h"
#include "lib/base/atomic.h"
#include "paging.h"
#include "percpu.h"
#include "trap.h"
#include "x86.h"

enum { FLUSH_PAGES_MAX = 32 };

void aspace_let_go(struct cpu_block *cpu)
{
    write_cr3(kernel_root.v);
    atomic_store_release(&cpu->loaded, NULL);
}

void aspace_catch_up(struct cpu_block *cpu)
{
    struct arch_aspace *as = atomic_load_relaxed(&cpu->loaded);
    if (as == NULL) {
        return;
    }
    if (cpu->current == NULL || cpu->current->aspace != as) {
        aspace_let_go(cpu);
        return;
    }
    uint64_t generation = atomic_load_seq_cst(&as->generation);
    if (atomic_load_relaxed(&cpu->seen_generation) != generation) {
        write_cr3(as->root.v);
        atomic_store_release(&cpu->seen_generation, generation);
    }
}

static void flush_here(struct arch_aspace *as, uint64_t start, size_t npages)
{
    if (npages > FLUSH_PAGES_MAX) {
        write_cr3(as->root.v);
        return;
    }
    for (size_t i = 0; i < npages; i++) {
        invalidate_page(start + (uint64_t)i * PAGE_BYTES);
    }
}

arch_cpu_mask_t arch_aspace_cpus(const struct arch_aspace *as)
{
    arch_cpu_mask_t mask = 0;
    for (unsigned i = 0; i < cpu_total; i++) {
        if (atomic_load_seq_cst(&cpu_blocks[i]->loaded) == as) {
            mask |= UINT64_C(1) << i;
        }
    }
    return mask;
}

uint64_t arch_tlb_shoot(struct arch_aspace *as, struct uaddr start, size_t npages)
{
    struct cpu_block *cpu = this_cpu();
    uint64_t ticket = atomic_add_seq_cst(&as->generation, 1) + 1;
    arch_cpu_mask_t mask = arch_aspace_cpus(as);
    if (atomic_load_relaxed(&cpu->loaded) == as) {
        bool behind = atomic_load_relaxed(&cpu->seen_generation) != ticket - 1;
        flush_here(as, start.v, behind ? SIZE_MAX : npages);
        atomic_store_release(&cpu->seen_generation, ticket);
        mask &= ~(UINT64_C(1) << cpu->id);
    }
    if (LIKELY(mask == 0)) {
        return 0; /* L5 */
    }
    lapic_send(mask, VECTOR_KICK);
    return ticket;
}

bool arch_tlb_done(const struct arch_aspace *as, uint64_t ticket)
{
    for (unsigned i = 0; ticket != 0 && i < cpu_total; i++) {
        const struct cpu_block *cpu = cpu_blocks[i];
        if (atomic_load_seq_cst(&cpu->loaded) == as &&
            atomic_load_acquire(&cpu->seen_generation) < ticket) {
            return false;
        }
    }
    return true;
}

void arch_tlb_wait(const struct arch_aspace *as, uint64_t ticket)
{
    while (!arch_tlb_done(as, ticket)) {
        aspace_catch_up(this_cpu());
        __asm__ volatile("pause" ::: "memory");
    }
}

bool arch_aspace_unload(struct arch_aspace *as)
{
    struct cpu_block *cpu = this_cpu();
    if (atomic_load_relaxed(&cpu->loaded) == as &&
        (cpu->current == NULL || cpu->current->aspace != as)) {
        aspace_let_go(cpu);
    }
    arch_cpu_mask_t mask = arch_aspace_cpus(as) & ~(UINT64_C(1) << cpu->id);
    if (mask != 0) {
        lapic_send(mask, VECTOR_KICK);
    }
    return arch_aspace_cpus(as) == 0;
}
