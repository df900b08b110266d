/* SPDX-License-Identifier: MIT */
/*
 * The only instructions that touch user memory. A page fault between a start and an end label goes
 * on at the resume label (trap.c), which says false. Addresses were checked to be user addresses, so
 * a page fault is all that can happen.
 *
 * REP MOVSQ: one counted instruction per eight bytes.
 */
#include "smap.inc"

    .macro FIXUP start, end, resume
    .pushsection .copy_fixups, "a"
    .quad \start, \end, \resume
    .popsection
    .endm

    .section .text.usercopy, "ax"

    /* bool user_copy(void *to, const void *from, size_t size) */
    .globl user_copy
user_copy:
    SMAP_OPEN
    movq %rdx, %rcx
    shrq $3, %rcx
.Lcopy_start:
    rep movsq
    movl %edx, %ecx
    andl $7, %ecx
    jz .Lcopy_end
    rep movsb
.Lcopy_end:
    SMAP_CLOSE
    movl $1, %eax
    ret

    /* bool user_load32(const void *from, uint32_t *to), user_load64, user_store64(to, value) */
    .macro USER_WORD name, touch, keep
    .globl \name
\name:
    SMAP_OPEN
.Lstart\@:
    \touch
.Lend\@:
    SMAP_CLOSE
    \keep
    movl $1, %eax
    ret
    FIXUP .Lstart\@, .Lend\@, .Lrefused
    .endm
    USER_WORD user_load32, "movl (%rdi), %eax", "movl %eax, (%rsi)"
    USER_WORD user_load64, "movq (%rdi), %rax", "movq %rax, (%rsi)"
    USER_WORD user_store64, "movq %rsi, (%rdi)"

.Lrefused:
    SMAP_CLOSE
    xorl %eax, %eax
    ret

    FIXUP .Lcopy_start, .Lcopy_end, .Lrefused

    .section .note.GNU-stack, "", @progbits
