/* SPDX-License-Identifier: MIT */
/*
 * How a further CPU comes up: copied to a page below 1 MiB, entered there in real mode at offset 0.
 * smp.c fills the words at the end of the page. The page is mapped where it is only in the tables
 * that these words name, which nobody else uses.
 */
#include "trampoline.h"

    .section .trampoline, "a"
    .globl trampoline_start, trampoline_end
    .balign 16
trampoline_start:
    .code16
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    xorl %ebx, %ebx
    movw %ax, %bx
    shll $4, %ebx                       /* our physical address */
    leal (trampoline_gdt - trampoline_start)(%ebx), %eax
    movl %eax, trampoline_gdt_pointer - trampoline_start + 2
    leal (trampoline_32 - trampoline_start)(%ebx), %eax
    movl %eax, trampoline_far_32 - trampoline_start
    leal (trampoline_64 - trampoline_start)(%ebx), %eax
    movl %eax, trampoline_far_64 - trampoline_start
    lgdtl trampoline_gdt_pointer - trampoline_start
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl *(trampoline_far_32 - trampoline_start)

    .code32
trampoline_32:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %ss
    movl $0x20, %eax                    /* PAE */
    movl %eax, %cr4
    movl TRAMPOLINE_ROOT(%ebx), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx              /* EFER: LME and what the boot CPU uses of NX */
    rdmsr
    orl TRAMPOLINE_EFER(%ebx), %eax
    wrmsr
    movl %cr0, %eax
    andl $0x9fffffff, %eax              /* caches on: CD and NW are set after INIT */
    orl $0x80010001, %eax
    movl %eax, %cr0
    ljmp *(trampoline_far_64 - trampoline_start)(%ebx)

    .code64
trampoline_64:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movq TRAMPOLINE_STACK(%rbx), %rsp
    movq TRAMPOLINE_CPU(%rbx), %rdi
    movq TRAMPOLINE_ENTRY(%rbx), %rax
    xorl %ebp, %ebp
    pushq $0
    jmp *%rax

    .balign 8
trampoline_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff            /* 32-bit code */
    .quad 0x00cf93000000ffff            /* data */
    .quad 0x00af9b000000ffff            /* 64-bit code */
trampoline_gdt_pointer:
    .short 31
    .long 0
trampoline_far_32:
    .long 0
    .short 8
trampoline_far_64:
    .long 0
    .short 24
trampoline_end:

    .section .note.GNU-stack, "", @progbits
