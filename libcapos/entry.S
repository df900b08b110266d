/* SPDX-License-Identifier: MIT */
/* Entry of a program and the two system calls (exit in both scopes) (x86_64). At entry RDI is the address of the start
 * page and RSP is aligned as at a call: one push of nothing makes it so for capos_start_c. */
    .text
    .globl _start
    .type _start, @function
_start:
    xorl %ebp, %ebp
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    rolq $19, %rax
    xorq %rsp, %rax
    xorq %rax, __stack_chk_guard(%rip)
    movb $0, __stack_chk_guard(%rip) /* a NUL stops string functions */
    andq $-16, %rsp
    call capos_start
    ud2
    .size _start, . - _start

    .globl capos_sys_enter
    .type capos_sys_enter, @function
capos_sys_enter:
    movl $0x0ca90000, %eax
    syscall
    ret
    .size capos_sys_enter, . - capos_sys_enter

    .globl capos_sys_exit
    .type capos_sys_exit, @function
capos_sys_exit:
    xorl %esi, %esi
    movl $0x0ca90001, %eax
    syscall
    ud2
    .size capos_sys_exit, . - capos_sys_exit

    .globl capos_sys_exit_thread
    .type capos_sys_exit_thread, @function
capos_sys_exit_thread:
    movl $1, %esi
    movl $0x0ca90001, %eax
    syscall
    ud2
    .size capos_sys_exit_thread, . - capos_sys_exit_thread

    .section .note.GNU-stack, "", @progbits
