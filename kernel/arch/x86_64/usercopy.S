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
    .type user_copy, @function
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
    .globl user_load32, user_load64, user_store64
    .type user_load32, @function
user_load32:
    SMAP_OPEN
.Lload32_start:
    movl (%rdi), %eax
.Lload32_end:
    SMAP_CLOSE
    movl %eax, (%rsi)
    movl $1, %eax
    ret

    .type user_load64, @function
user_load64:
    SMAP_OPEN
.Lload64_start:
    movq (%rdi), %rax
.Lload64_end:
    SMAP_CLOSE
    movq %rax, (%rsi)
    movl $1, %eax
    ret

    .type user_store64, @function
user_store64:
    SMAP_OPEN
.Lstore64_start:
    movq %rsi, (%rdi)
.Lstore64_end:
    SMAP_CLOSE
    movl $1, %eax
    ret

.Lrefused:
    SMAP_CLOSE
    xorl %eax, %eax
    ret

    FIXUP .Lcopy_start, .Lcopy_end, .Lrefused
    FIXUP .Lload32_start, .Lload32_end, .Lrefused
    FIXUP .Lload64_start, .Lload64_end, .Lrefused
    FIXUP .Lstore64_start, .Lstore64_end, .Lrefused

    .section .note.GNU-stack, "", @progbits
