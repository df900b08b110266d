/* SPDX-License-Identifier: MIT */
#ifndef CAPOS_KERNEL_ARCH_X86_64_PTI_H
#define CAPOS_KERNEL_ARCH_X86_64_PTI_H

/* Decides whether user code runs on tables of its own and, if so, patches entry and exit. After the
 * command line is known, before paging_start makes the text constant. */
void pti_decide(void);

#endif
