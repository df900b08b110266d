/* SPDX-License-Identifier: MIT */
/* Byte offsets that assembly needs; layout.c asserts every one. Plain numbers only. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_OFFSETS_H
#define CAPOS_KERNEL_ARCH_X86_64_OFFSETS_H

/* struct arch_thread (its frame comes first) */
#define FRAME_RAX 0
#define FRAME_RBX 8
#define FRAME_RCX 16
#define FRAME_RDX 24
#define FRAME_RSI 32
#define FRAME_RDI 40
#define FRAME_RBP 48
#define FRAME_RSP 56
#define FRAME_R8 64
#define FRAME_R9 72
#define FRAME_R10 80
#define FRAME_R11 88
#define FRAME_R12 96
#define FRAME_R13 104
#define FRAME_R14 112
#define FRAME_R15 120
#define FRAME_RIP 128
#define FRAME_RFLAGS 136
#define FRAME_KIND 144

#define FRAME_KIND_TRAP 0
#define FRAME_KIND_SYSCALL 1
#define FRAME_KIND_IDLE 2

/* struct cpu_block (at GS base) */
#define CPU_SELF 0
#define CPU_CURRENT 8
#define CPU_STACK_TOP 16
#define CPU_SCRATCH 24
#define CPU_LOCAL 32
#define CPU_ID 40
#define CPU_ROOT_KERNEL 48
#define CPU_ROOT_USER 56
#define CPU_ROOT_BASE 64

/* A CPU's slot (percpu.h): slot address = any of its stack addresses, rounded down. */
#define CPU_SLOT_BYTES 0x40000
#define CPU_BLOCK_OFFSET 0x3e000

/* The paranoid entries' saved registers: struct trap_regs. */
#define TRAP_VECTOR 120
#define TRAP_RIP 136
#define TRAP_CS 144

#endif
