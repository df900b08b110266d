/* SPDX-License-Identifier: MIT */
/* Every number in offsets.h, checked. No code. */
#include "arch_types.h"
#include "offsets.h"
#include "percpu.h"
#include "trap.h"

#define CHECK_FRAME(number, member) \
    static_assert(offsetof(struct arch_frame, member) == (number), "offsets.h: frame " #member)
#define CHECK_CPU(number, member) \
    static_assert(offsetof(struct cpu_block, member) == (number), "offsets.h: CPU " #member)
#define CHECK_TRAP(number, member) \
    static_assert(offsetof(struct trap_regs, member) == (number), "offsets.h: trap " #member)

static_assert(offsetof(struct arch_thread, frame) == 0, "the frame comes first");
CHECK_FRAME(FRAME_RAX, rax);
CHECK_FRAME(FRAME_RBX, rbx);
CHECK_FRAME(FRAME_RCX, rcx);
CHECK_FRAME(FRAME_RDX, rdx);
CHECK_FRAME(FRAME_RSI, rsi);
CHECK_FRAME(FRAME_RDI, rdi);
CHECK_FRAME(FRAME_RBP, rbp);
CHECK_FRAME(FRAME_RSP, rsp);
CHECK_FRAME(FRAME_R8, r8);
CHECK_FRAME(FRAME_R9, r9);
CHECK_FRAME(FRAME_R10, r10);
CHECK_FRAME(FRAME_R11, r11);
CHECK_FRAME(FRAME_R12, r12);
CHECK_FRAME(FRAME_R13, r13);
CHECK_FRAME(FRAME_R14, r14);
CHECK_FRAME(FRAME_R15, r15);
CHECK_FRAME(FRAME_RIP, rip);
CHECK_FRAME(FRAME_RFLAGS, rflags);
CHECK_FRAME(FRAME_KIND, kind);
static_assert(FRAME_KIND_TRAP == ARCH_FRAME_TRAP, "offsets.h: kind");
static_assert(FRAME_KIND_SYSCALL == ARCH_FRAME_SYSCALL, "offsets.h: kind");
static_assert(FRAME_KIND_IDLE == ARCH_FRAME_IDLE, "offsets.h: kind");

CHECK_CPU(CPU_SELF, self);
CHECK_CPU(CPU_CURRENT, current);
CHECK_CPU(CPU_STACK_TOP, stack_top);
CHECK_CPU(CPU_SCRATCH, scratch);
CHECK_CPU(CPU_LOCAL, local);
CHECK_CPU(CPU_ID, id);
CHECK_CPU(CPU_ROOT_KERNEL, root_kernel);
CHECK_CPU(CPU_ROOT_USER, root_user);
CHECK_CPU(CPU_ROOT_BASE, root_base);

CHECK_TRAP(TRAP_VECTOR, vector);
CHECK_TRAP(TRAP_RIP, rip);
CHECK_TRAP(TRAP_CS, cs);
