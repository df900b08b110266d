/* SPDX-License-Identifier: MIT */
/* Our own bugs. Nothing that user space, a device, shared memory or the boot package controls may
 * reach any of these. */
#ifndef CAPOS_KERNEL_CORE_PANIC_H
#define CAPOS_KERNEL_CORE_PANIC_H

#include "lib/base/compiler.h"

/* Stops the other CPUs, prints the message, registers, a symbolised backtrace and the last
 * operations to the debug port and to COM1, and halts (or leaves the emulator with a status). */
NORETURN COLD void panic(const char *format, ...) PRINTF_LIKE(1, 2);

/* Cheap invariants; stay in release builds. */
#define KASSERT(cond) \
    do { \
        if (UNLIKELY(!(cond))) { \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond); \
        } \
    } while (0)

/* Expensive invariants; debug builds only. The expression has no side effects. */
#ifdef CAPOS_DEBUG
#define KDEBUG_ASSERT(cond) KASSERT(cond)
#else
#define KDEBUG_ASSERT(cond) ((void)sizeof(!(cond)))
#endif

#endif
