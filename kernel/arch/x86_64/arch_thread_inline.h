/* SPDX-License-Identifier: MIT */
/* Inline halves of thread.h. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_ARCH_THREAD_INLINE_H
#define CAPOS_KERNEL_ARCH_X86_64_ARCH_THREAD_INLINE_H

#include "arch_types.h"

static inline uint64_t arch_syscall_number(const struct arch_thread *thread)
{
    return thread->frame.rax;
}

static inline uint64_t arch_syscall_arg(const struct arch_thread *thread, unsigned index)
{
    return index == 0 ? thread->frame.rdi : thread->frame.rsi;
}

static inline void arch_syscall_set_result(struct arch_thread *thread, uint64_t result)
{
    thread->frame.rax = result;
}

#endif
