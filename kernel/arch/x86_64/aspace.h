/* SPDX-License-Identifier: MIT */
#ifndef CAPOS_KERNEL_ARCH_X86_64_ASPACE_H
#define CAPOS_KERNEL_ARCH_X86_64_ASPACE_H

#include "lib/base/atomic.h"
#include "percpu.h"
#include "processor.h"
#include "x86.h"

/* Makes it this CPU's. The order matters: tlb.c. */
static ALWAYS_INLINE void aspace_load(struct cpu_block *cpu, struct arch_aspace *as)
{
    atomic_store_relaxed(&cpu->seen_generation, 0);
    atomic_store_seq_cst(&cpu->loaded, as);
    uint64_t generation = atomic_load_seq_cst(&as->generation);
    write_cr3(as->root.v);
    atomic_store_release(&cpu->seen_generation, generation);
    if (UNLIKELY(features.pti)) {
        cpu->root_kernel = as->root.v;
        cpu->root_user = as->user_root.v;
    }
}

/* Leaves this CPU with the kernel's half alone. */
void aspace_let_go(struct cpu_block *cpu);

/* An interrupt asks this CPU to forget what was removed from what it has loaded; a CPU that runs no
 * thread of it lets it go. */
void aspace_catch_up(struct cpu_block *cpu);

#endif
