/* SPDX-License-Identifier: MIT */
/* Bodies of the structures that the portable kernel embeds: the host process as a machine. */
#ifndef CAPOS_KERNEL_ARCH_HOST_ARCH_TYPES_H
#define CAPOS_KERNEL_ARCH_HOST_ARCH_TYPES_H

#include "core/addr.h"
#include "lib/base/compiler.h"

#include <stdatomic.h>

enum { HOST_REGS = 18 };

/* Indices into arch_thread.r, as in struct arch_regs. */
enum host_reg { HOST_AX = 0, HOST_SI = 4, HOST_DI = 5, HOST_SP = 7, HOST_IP = 16, HOST_FLAGS = 17 };

#define HOST_FLAG_STEP UINT64_C(0x100)

struct arch_aspace {
    struct paddr root;           /* a table of four levels, in frames like a real one */
    _Atomic uint64_t generation; /* last ticket of arch_tlb_shoot */
    uint64_t table_count;        /* the root included */
};

struct arch_thread {
    uint64_t r[HOST_REGS];
    struct arch_aspace *aspace;
    void *fpu;
    uint64_t tls;
    _Atomic uint32_t on_cpu; /* 1 + the CPU that holds it, 0 = none */
    bool wants_syscall;      /* in user mode, before the system call instruction */
    bool is_idle;
    void *user; /* the test's: what the thread's program is */
};

#endif
