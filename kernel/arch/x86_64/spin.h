/* SPDX-License-Identifier: MIT */
/* The port's own leaf lock, for a few device registers. Interrupts are off anyway. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_SPIN_H
#define CAPOS_KERNEL_ARCH_X86_64_SPIN_H

#include "lib/base/atomic.h"
#include "lib/base/compiler.h"

struct spin {
    _Atomic uint32_t held;
};

static inline void spin_lock(struct spin *lock)
{
    while (atomic_swap_acquire(&lock->held, 1) != 0) {
        __asm__ volatile("pause");
    }
}

static inline void spin_unlock(struct spin *lock)
{
    atomic_store_release(&lock->held, 0);
}

#endif
