/* SPDX-License-Identifier: MIT */
#ifndef CAPOS_KERNEL_ARCH_X86_64_ASPACE_H
#define CAPOS_KERNEL_ARCH_X86_64_ASPACE_H

struct arch_aspace;
struct cpu_block;

/* Makes it this CPU's; NULL = the kernel's half alone. */
void aspace_load(struct cpu_block *cpu, struct arch_aspace *as);

/* An interrupt asks this CPU to forget what was removed from what it has loaded; a CPU that runs no
 * thread of it lets it go. */
void aspace_catch_up(struct cpu_block *cpu);

#endif
