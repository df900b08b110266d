/* SPDX-License-Identifier: MIT */
/* Words at the end of the trampoline page; shared with assembly. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_TRAMPOLINE_H
#define CAPOS_KERNEL_ARCH_X86_64_TRAMPOLINE_H

#define TRAMPOLINE_ROOT 0xfd8
#define TRAMPOLINE_EFER 0xfe0
#define TRAMPOLINE_STACK 0xfe8
#define TRAMPOLINE_CPU 0xff0
#define TRAMPOLINE_ENTRY 0xff8

#endif
