/* SPDX-License-Identifier: MIT */
/* Inline halves of thread.h. */
#ifndef CAPOS_KERNEL_ARCH_HOST_ARCH_THREAD_INLINE_H
#define CAPOS_KERNEL_ARCH_HOST_ARCH_THREAD_INLINE_H

static inline uint64_t arch_syscall_number(const struct arch_thread *thread)
{
    return thread->r[HOST_AX];
}

static inline uint64_t arch_syscall_arg(const struct arch_thread *thread, unsigned index)
{
    return thread->r[index == 0 ? HOST_DI : HOST_SI];
}

static inline void arch_syscall_set_result(struct arch_thread *thread, uint64_t result)
{
    thread->r[HOST_AX] = result;
}

#endif
