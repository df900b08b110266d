/* SPDX-License-Identifier: MIT */
/* Entry of a program and of its threads, and the system calls (x86_64). At entry RSP is the thread
 * pointer, a multiple of 64, with room for a word above it; RDI and RSI are the start page and the ring,
 * of a later thread its thread pointer and ring. Thread-local storage goes between pointer and stack:
 * nothing may be pushed before its size is known. */
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
    movq %rdi, %rbx
    movq %rsp, %r12
    leaq first_stack_end(%rip), %rsp
    call capos_relocate
    call capos_tls_bytes
    movq %r12, %rsp
    subq %rax, %rsp
    movq %r12, %rdi
    call capos_tls_init
    movq %rbx, %rdi
    call capos_start
    ud2
    .size _start, . - _start

    .globl capos_thread_entry
    .type capos_thread_entry, @function
capos_thread_entry:
    xorl %ebp, %ebp
    movq %rdi, %rbx
    movq %rsi, %r12
    subq 64(%rdi), %rsp /* the block's first word: bytes of thread-local storage */
    call capos_tls_init
    movq %rbx, %rdi
    movq %r12, %rsi
    call capos_thread_main
    ud2
    .size capos_thread_entry, . - capos_thread_entry

    /* (code, left): says that the stack is left, then touches none. */
    .globl capos_thread_leave
    .type capos_thread_leave, @function
capos_thread_leave:
    movl $1, (%rsi)
    movl $1, %esi
    movl $0x0ca90001, %eax
    syscall
    ud2
    .size capos_thread_leave, . - capos_thread_leave

    .globl capos_thread_pointer
    .type capos_thread_pointer, @function
capos_thread_pointer:
    movq %fs:0, %rax
    ret
    .size capos_thread_pointer, . - capos_thread_pointer

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

    .globl capos_relax
    .type capos_relax, @function
capos_relax:
    pause
    ret
    .size capos_relax, . - capos_relax

    .globl capos_cycles
    .type capos_cycles, @function
capos_cycles:
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    ret
    .size capos_cycles, . - capos_cycles

    .section .bss.first_stack, "aw", @nobits
    .balign 16
    .skip 512
first_stack_end:

    .section .note.GNU-stack, "", @progbits
