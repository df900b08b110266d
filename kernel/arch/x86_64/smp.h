/* SPDX-License-Identifier: MIT */
#ifndef CAPOS_KERNEL_ARCH_X86_64_SMP_H
#define CAPOS_KERNEL_ARCH_X86_64_SMP_H

#include "core/addr.h"

/* Keeps what starting CPUs will need. Boot CPU, while boot pages can be taken. */
void smp_prepare(struct paddr low_page);

/* A non-maskable interrupt came: halts when the machine is being stopped. */
void smp_nmi(void);

/* Stops every other CPU (bounded waiting). Once; later callers return at once. */
void smp_stop_others(void);

#endif
