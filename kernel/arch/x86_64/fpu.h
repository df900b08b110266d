/* SPDX-License-Identifier: MIT */
/* Extended register state: everything beyond the general registers. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_FPU_H
#define CAPOS_KERNEL_ARCH_X86_64_FPU_H

/* Decides which components are used and how large the area is. Boot CPU, after features_enable. */
void fpu_setup(void);

/* Switches the components on. Each CPU, after features_enable. */
void fpu_enable(void);

void fpu_init(void *area);
void fpu_save(void *area);
void fpu_restore(const void *area);

#endif
