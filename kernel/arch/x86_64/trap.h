/* SPDX-License-Identifier: MIT */
/* Between entry.S and C. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_TRAP_H
#define CAPOS_KERNEL_ARCH_X86_64_TRAP_H

#include "arch_types.h"
#include "lib/base/compiler.h"

enum {
    VECTOR_DEBUG = 1,
    VECTOR_NMI = 2,
    VECTOR_DOUBLE_FAULT = 8,
    VECTOR_PAGE_FAULT = 14,
    VECTOR_MACHINE_CHECK = 18,
    VECTOR_EXCEPTIONS = 32,
    VECTOR_PIC = 0x20, /* .. 0x2f, masked, but spurious ones come unasked */
    VECTOR_DEVICE_FIRST = 0x30,
    VECTOR_DEVICE_LAST = 0xdf,
    VECTOR_TIMER = 0xf0,
    VECTOR_RESCHEDULE = 0xf1,
    VECTOR_KICK = 0xf2,
    VECTOR_SPURIOUS = 0xff,
    VECTORS = 256,
};

/* A trap in the kernel itself, as entry.S pushes it. */
struct trap_regs {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

struct idt_gate {
    uint64_t low, high;
};

enum { IDT_BYTES = VECTORS * sizeof(struct idt_gate) };

extern struct idt_gate idt_table[VECTORS];

struct thread;

/* entry.S */
extern char entry_syscall[], entry_syscall_pti[], entry_syscall_32[];
extern char exit_sysret[], exit_iret[], exit_sysret_pti[], exit_iret_pti[];
extern char entry_vectors[]; /* ENTRY_VECTOR_BYTES each */
extern char idle_begin[], idle_end[];
enum { ENTRY_VECTOR_BYTES = 16 };

/* Leaves boot: runs function(argument) on `stack_top` and resumes the thread it returns. */
NORETURN void entry_first(uint64_t stack_top, struct thread *(*function)(uint64_t),
                          uint64_t argument);

/* Called by entry.S. */
struct thread *trap_user(struct thread *thread, unsigned vector, uint64_t error);
struct thread *trap_idle(struct thread *thread, unsigned vector);
struct thread *trap_bad_ip(struct thread *thread);
void trap_kernel(struct trap_regs *regs);
void trap_paranoid(struct trap_regs *regs);
void switch_to(struct arch_thread *next);

/* Registers of the kernel fault that is being reported, per CPU; NULL = none. */
extern const struct trap_regs *trap_reported[];

#endif
