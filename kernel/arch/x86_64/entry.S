/* SPDX-License-Identifier: MIT */
/*
 * Kernel entry and exit.
 *
 * Event kernel: one stack per CPU, empty at every entry from user mode or idle. An entry saves the
 * user registers into the current thread's frame, calls C on the fresh stack, and resumes the thread
 * that C returns. Interrupts are off from the first to the last instruction here; the only place
 * that enables them is the idle loop.
 *
 * E1: GS base is the CPU's block from the SWAPGS of an entry to the SWAPGS of its exit. User code
 *     cannot set its own GS base (CR4.FSGSBASE is off), and nothing here relies on its value.
 * E2: the exceptions that can strike between an entry and its SWAPGS (NMI, #DB, #DF, #MC) have
 *     stacks of their own, find the block from the stack pointer, and return exactly to where they
 *     struck.
 * E3: SYSRET is used only for frames made by SYSCALL, whose RIP is a user address since the last
 *     page below the non-canonical hole can never be mapped. All others are checked, then IRET.
 * E4: with page-table isolation only this section, the IDT and the CPU slots are mapped while CR3 is
 *     the user's; nothing else is touched before an entry has loaded the kernel's tables or after an
 *     exit has left them.
 * E5: caller-saved registers are zero after a system call: nothing of the kernel leaks.
 */
#include "offsets.h"
#include "smap.inc"

#define USER_DATA (0x20 | 3)
#define USER_CODE (0x28 | 3)
#define MSR_GS_BASE 0xc0000101

    /* struct trap_regs on the stack, and off again. */
    .macro SAVE_ALL
    .irp reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    pushq %\reg
    .endr
    .endm
    .macro RESTORE_ALL
    .irp reg, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
    popq %\reg
    .endr
    addq $16, %rsp                      /* vector, error */
    .endm

    /* A place for a load of CR3 from RAX (0xd8) or RDI (0xdf); pti.c writes it when isolation is on. */
    .macro PTI_SITE modrm
.Lpti\@:
    .byte 0x0f, 0x1f, 0x00
    .pushsection .pti_sites, "a"
    .quad .Lpti\@, \modrm
    .popsection
    .endm

    .section .text.entry, "ax"

    /* With page-table isolation SYSCALL comes here, and the exits below are patched to jump to their
     * counterparts at the end of the file. */
    .globl entry_syscall_pti
entry_syscall_pti:
    swapgs
    movq %rsp, %gs:CPU_SCRATCH
    movq %gs:CPU_ROOT_KERNEL, %rsp
    movq %rsp, %cr3
    jmp .Lentry_syscall_saved

    .globl entry_syscall
entry_syscall:
    swapgs
    movq %rsp, %gs:CPU_SCRATCH
.Lentry_syscall_saved:
    movq %gs:CPU_CURRENT, %rsp
    movq %rax, FRAME_RAX(%rsp)
    movq %rdi, FRAME_RDI(%rsp)
    movq %rsi, FRAME_RSI(%rsp)
    movq %rbx, FRAME_RBX(%rsp)
    movq %rbp, FRAME_RBP(%rsp)
    movq %r12, FRAME_R12(%rsp)
    movq %r13, FRAME_R13(%rsp)
    movq %r14, FRAME_R14(%rsp)
    movq %r15, FRAME_R15(%rsp)
    movq %rcx, FRAME_RIP(%rsp)
    movq %r11, FRAME_RFLAGS(%rsp)
    movq $FRAME_KIND_SYSCALL, FRAME_KIND(%rsp)
    movq %rsp, %rdi
    movq %gs:CPU_SCRATCH, %rax
    movq %rax, FRAME_RSP(%rdi)
    movq %gs:CPU_STACK_TOP, %rsp
    xorl %ebp, %ebp
    call kernel_syscall

    /* RAX = the thread to resume. */
exit_thread:
    cmpq %gs:CPU_CURRENT, %rax
    jne exit_switch
exit_current:
    cmpl $FRAME_KIND_SYSCALL, FRAME_KIND(%rax)
    jne exit_full
    movq FRAME_RBX(%rax), %rbx
    movq FRAME_RBP(%rax), %rbp
    movq FRAME_R12(%rax), %r12
    movq FRAME_R13(%rax), %r13
    movq FRAME_R14(%rax), %r14
    movq FRAME_R15(%rax), %r15
    movq FRAME_RIP(%rax), %rcx
    movq FRAME_RFLAGS(%rax), %r11
    movq FRAME_RSP(%rax), %rsp
    movq FRAME_RAX(%rax), %rax
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    .globl exit_sysret
exit_sysret:
    swapgs
    sysretq

exit_switch:
    movq %rax, %rdi
    movq %rax, %rbx
    call switch_to
    movq %rbx, %rax
    jmp exit_current

exit_full:
    cmpl $FRAME_KIND_IDLE, FRAME_KIND(%rax)
    je idle
    movq FRAME_RIP(%rax), %rcx
    shrq $47, %rcx
    jnz exit_bad_ip
    movq %gs:CPU_STACK_TOP, %rsp
    pushq $USER_DATA
    pushq FRAME_RSP(%rax)
    pushq FRAME_RFLAGS(%rax)
    pushq $USER_CODE
    pushq FRAME_RIP(%rax)
    movq FRAME_RBX(%rax), %rbx
    movq FRAME_RCX(%rax), %rcx
    movq FRAME_RDX(%rax), %rdx
    movq FRAME_RSI(%rax), %rsi
    movq FRAME_RDI(%rax), %rdi
    movq FRAME_RBP(%rax), %rbp
    movq FRAME_R8(%rax), %r8
    movq FRAME_R9(%rax), %r9
    movq FRAME_R10(%rax), %r10
    movq FRAME_R11(%rax), %r11
    movq FRAME_R12(%rax), %r12
    movq FRAME_R13(%rax), %r13
    movq FRAME_R14(%rax), %r14
    movq FRAME_R15(%rax), %r15
    movq FRAME_RAX(%rax), %rax
    .globl exit_iret
exit_iret:
    swapgs
    iretq

exit_bad_ip:
    movq %rax, %rdi
    call trap_bad_ip
    jmp exit_thread

    /* Compatibility mode has no code segment here, so this is never reached by honest means. */
    .globl entry_syscall_32
entry_syscall_32:
    ud2

    /* Interrupted between these two labels the kernel has nothing to save. */
    .globl idle_begin, idle_end
idle:
    movq %gs:CPU_STACK_TOP, %rsp
    xorl %ebp, %ebp
idle_begin:
    sti
    hlt
    jmp idle_begin
idle_end:

    /* void entry_first(stack_top, function, argument) */
    .globl entry_first
entry_first:
    movq %rdi, %rsp
    xorl %ebp, %ebp
    movq %rdx, %rdi
    call *%rsi
    jmp exit_thread

    /* One stub per vector. Vectors 8, 10-14, 17, 21, 29, 30 come with an error code. */
    .balign 16
    .globl entry_vectors
entry_vectors:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || \
          vector == 29 || vector == 30)
    pushq $0
    .endif
    pushq $vector
    .if vector == 1 || vector == 2 || vector == 8 || vector == 18
    jmp entry_paranoid
    .else
    jmp entry_trap
    .endif
    .set vector, vector + 1
    .endr
    .balign 16

    /* On the stack: vector, error, rip, cs, rflags, rsp, ss. */
entry_trap:
    testb $3, 24(%rsp)
    jz entry_from_kernel
entry_from_user:
    swapgs
    lfence                              /* no speculation past a SWAPGS that was not */
    cld
    SMAP_CLOSE
    pushq %rdi
    movq %gs:CPU_ROOT_KERNEL, %rdi
    PTI_SITE 0xdf
    movq %gs:CPU_CURRENT, %rdi
    movq %rax, FRAME_RAX(%rdi)
    movq %rbx, FRAME_RBX(%rdi)
    movq %rcx, FRAME_RCX(%rdi)
    movq %rdx, FRAME_RDX(%rdi)
    movq %rsi, FRAME_RSI(%rdi)
    movq %rbp, FRAME_RBP(%rdi)
    movq %r8, FRAME_R8(%rdi)
    movq %r9, FRAME_R9(%rdi)
    movq %r10, FRAME_R10(%rdi)
    movq %r11, FRAME_R11(%rdi)
    movq %r12, FRAME_R12(%rdi)
    movq %r13, FRAME_R13(%rdi)
    movq %r14, FRAME_R14(%rdi)
    movq %r15, FRAME_R15(%rdi)
    popq FRAME_RDI(%rdi)
    popq %rsi                           /* vector */
    popq %rdx                           /* error */
    popq FRAME_RIP(%rdi)
    addq $8, %rsp
    popq FRAME_RFLAGS(%rdi)
    popq FRAME_RSP(%rdi)
    movq $FRAME_KIND_TRAP, FRAME_KIND(%rdi)
    movq %gs:CPU_STACK_TOP, %rsp
    xorl %ebp, %ebp
    call trap_user
    jmp exit_thread

    /* In the kernel: an interrupt in the idle loop, or a fault. */
entry_from_kernel:
    cld
    pushq %rax
    leaq idle_begin(%rip), %rax
    cmpq %rax, 24(%rsp)
    jb 1f
    leaq idle_end(%rip), %rax
    cmpq %rax, 24(%rsp)
    jae 1f
    cmpl $32, 8(%rsp)
    jb 1f
    movq %gs:CPU_CURRENT, %rdi
    movl 8(%rsp), %esi
    movq %gs:CPU_STACK_TOP, %rsp
    xorl %ebp, %ebp
    call trap_idle
    jmp exit_thread
1:  popq %rax
    SAVE_ALL
    SMAP_CLOSE                         /* a fault in a user copy comes with the window open */
    movq %rsp, %rdi
    movq %rsp, %rbx
    andq $-16, %rsp
    call trap_kernel
    movq %rbx, %rsp
    RESTORE_ALL
    iretq

    /* NMI, #DB, #DF, #MC: on their own stacks. From user mode they are traps like any other (but a
     * double fault). In the kernel GS may be the user's: load ours, put back what was there. */
entry_paranoid:
    testb $3, 24(%rsp)
    jnz entry_from_user
    cld
    SAVE_ALL
    SMAP_CLOSE
    movl $MSR_GS_BASE, %ecx
    rdmsr
    movl %eax, %r12d
    movl %edx, %r13d
    movq %rsp, %rax
    andq $-CPU_SLOT_BYTES, %rax
    addq $CPU_BLOCK_OFFSET, %rax
    movq %rax, %rdx
    shrq $32, %rdx
    wrmsr
    movq %cr3, %r14
    movq %gs:CPU_ROOT_BASE, %rax
    PTI_SITE 0xd8
    movq %rsp, %rdi
    movq %rsp, %rbx
    andq $-16, %rsp
    call trap_paranoid
    movq %rbx, %rsp
    movq %r14, %rax
    PTI_SITE 0xd8
    movl $MSR_GS_BASE, %ecx
    movl %r12d, %eax
    movl %r13d, %edx
    wrmsr
    RESTORE_ALL
    iretq

    /* The exits with isolation: the user's tables are loaded by the last instructions that need no
     * memory but this code and this CPU's slot. */
    .globl exit_sysret_pti, exit_iret_pti
exit_sysret_pti:
    movq %gs:CPU_ROOT_USER, %rdx
    movq %rdx, %cr3
    xorl %edx, %edx
    swapgs
    sysretq
exit_iret_pti:
    pushq %rax
    movq %gs:CPU_ROOT_USER, %rax
    movq %rax, %cr3
    popq %rax
    swapgs
    iretq

    .section .note.GNU-stack, "", @progbits
