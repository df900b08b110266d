/* SPDX-License-Identifier: MIT */
#ifndef CAPOS_KERNEL_ARCH_X86_64_SERIAL_H
#define CAPOS_KERNEL_ARCH_X86_64_SERIAL_H

/* Looks which of the two ports exist. First thing at boot. */
void serial_find(void);

#endif
