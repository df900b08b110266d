/* SPDX-License-Identifier: MIT */
/*
 * The first instructions. PVH and multiboot2 both enter in 32-bit protected mode without paging,
 * with a pointer to their information in EBX. We build tables that map the low 4 GiB twice (as they
 * are, and the first GiB at KERNEL_BASE), enter long mode and call boot_main(protocol, information).
 *
 * There is no multiboot1 header on purpose: QEMU refuses a 64-bit image that has one.
 */
#include "boot_protocol.h"

#define KERNEL_BASE 0xffffffff80000000

    .section .boot.header, "a"
    .balign 8
multiboot2_header:
    .long 0xe85250d6, 0, multiboot2_header_end - multiboot2_header
    .long -(0xe85250d6 + 0 + (multiboot2_header_end - multiboot2_header))
    .balign 8
    .short 1, 1                         /* information request, optional */
    .long 8 + 6 * 4
    .long 1, 2, 3, 6, 14, 15            /* command line, loader, module, memory map, RSDPs */
    .balign 8
    .short 6, 0                         /* modules page-aligned */
    .long 8
    .balign 8
    .short 0, 0
    .long 8
multiboot2_header_end:

    .section .boot.note, "a", @note
    .balign 4
    .long 4, 4, 18                      /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long boot_pvh

    .section .boot.text, "ax"
    .code32
    .globl boot_pvh, boot_multiboot2
boot_pvh:
    movl $BOOT_PROTOCOL_PVH, %ebp
    jmp boot_common
boot_multiboot2:
    xorl %ebp, %ebp
    cmpl $0x36d76289, %eax
    jne boot_common
    movl $BOOT_PROTOCOL_MULTIBOOT2, %ebp
boot_common:
    cli
    cld
    movl $boot_stack_top, %esp
    movl %ebx, %esi                     /* information; CPUID destroys EBX */
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb boot_no_long_mode
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc boot_no_long_mode
    movl %edx, %ebx                     /* bit 20: NX */

    /* Page directories: 2,048 large pages, present and writable. */
    movl $boot_directories, %edi
    movl $0x83, %eax
    movl $2048, %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b
    /* Their pointers, low and high. */
    movl $(boot_directories + 3), %eax
    movl $boot_pointers_low, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $4096, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b
    movl $(boot_directories + 3), boot_pointers_high + 510 * 8
    movl $(boot_pointers_low + 3), boot_root
    movl $(boot_pointers_high + 3), boot_root + 511 * 8

    movl %cr4, %eax
    orl $0x20, %eax                     /* PAE */
    movl %eax, %cr4
    movl $boot_root, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx              /* EFER: LME, and NXE where there is NX */
    rdmsr
    orl $0x100, %eax
    btl $20, %ebx
    jnc 2f
    orl $0x800, %eax
2:  wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax               /* PG, WP, PE */
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $8, $boot_long_mode

boot_no_long_mode:
    movl $boot_no_long_mode_text, %esi
    movw $0xe9, %dx
3:  lodsb
    testb %al, %al
    jz 4f
    outb %al, %dx
    jmp 3b
4:  hlt
    jmp 4b

    .code64
boot_long_mode:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movl %ebp, %edi                     /* zero-extends: protocol */
    movl %esi, %esi                     /* information */
    movabsq $boot_high, %rax
    jmp *%rax

    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
boot_gdt_pointer:
    .short 23
    .long boot_gdt
boot_no_long_mode_text:
    .asciz "capOS needs a 64-bit processor\n"

    .section .boot.bss, "aw", @nobits
    .balign 4096
boot_root:
    .skip 4096
boot_pointers_low:
    .skip 4096
boot_pointers_high:
    .skip 4096
boot_directories:
    .skip 4 * 4096
    .skip 256
boot_stack_top:

    .section .text.boot_high, "ax"
    .globl boot_high
boot_high:
    movq $boot_high_stack_top, %rsp
    xorl %ebp, %ebp
    call boot_main                      /* does not return */
    ud2

    .bss
    .balign 4096
    .skip 16384
boot_high_stack_top:
