/* SPDX-License-Identifier: MIT */
/* Bodies of the port's structures that the portable kernel embeds. Its members are the port's. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_ARCH_TYPES_H
#define CAPOS_KERNEL_ARCH_X86_64_ARCH_TYPES_H

#include "core/addr.h"
#include "lib/base/compiler.h"

#include <stdatomic.h>

/* How the frame was made, and so how it is resumed. */
enum arch_frame_kind {
    ARCH_FRAME_TRAP = 0,    /* every register counts: iretq */
    ARCH_FRAME_SYSCALL = 1, /* callee-saved ones and the result: sysretq */
    ARCH_FRAME_IDLE = 2,    /* the kernel's idle loop; no register counts */
};

/* User registers. Offsets are known to entry.S through offsets.h. */
struct arch_frame {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags;
    uint64_t kind;
};

/* Enough for every process of usual size. */
enum { ARCH_ASPACE_NOTED = 24 };

/* [I] immutable  [a] atomic  [l] lock of the address space around it */
struct arch_aspace {
    struct paddr root;           /* [I] */
    struct paddr user_root;      /* [l] with page-table isolation, once anything is prepared */
    _Atomic uint64_t generation; /* [a] last ticket of arch_tlb_shoot */
    uint64_t table_count;        /* [l] table pages, the root included */
    uint32_t noted_count; /* [l] of these below the roots; more than ARCH_ASPACE_NOTED: not all */
    struct paddr noted[ARCH_ASPACE_NOTED]; /* [l] */
};

/* [I] immutable  [a] atomic  [c] the CPU it runs on, or nobody */
struct arch_thread {
    struct arch_frame frame;    /* [c] */
    struct arch_aspace *aspace; /* [I] */
    void *fpu;                  /* [I] */
    uint64_t fs_base;           /* [c] */
    _Atomic uint32_t on_cpu;    /* [a] 1 + the CPU that holds its extended state, 0 = in memory */
    uint32_t fpu_cpu;           /* [c] 1 + the CPU whose registers may still equal the saved ones */
};

#endif
