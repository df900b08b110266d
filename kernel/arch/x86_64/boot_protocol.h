/* SPDX-License-Identifier: MIT */
/* How the kernel was entered; shared with assembly. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_BOOT_PROTOCOL_H
#define CAPOS_KERNEL_ARCH_X86_64_BOOT_PROTOCOL_H

#define BOOT_PROTOCOL_PVH 1
#define BOOT_PROTOCOL_MULTIBOOT2 2

#endif
