/* SPDX-License-Identifier: MIT */
/*
 * The porting contract: all that the portable kernel asks of a machine, and the few functions that
 * the machine-dependent part calls in the portable kernel (at the end of this file).
 *
 * Rules of the house:
 *  - Event kernel. One kernel stack per CPU; interrupts are off whenever kernel code runs. A kernel
 *    entry is a function from the trapped thread to the thread to resume: it always returns.
 *  - struct thread has a `struct arch_thread` as its FIRST member.
 *  - Nothing here allocates, blocks or takes a portable lock. Memory comes from callbacks.
 *  - The bodies of struct arch_thread, arch_aspace come from arch_types.h of the port, the bodies of
 *    the inline functions from its arch_inline.h; the include path picks the port.
 */
#ifndef CAPOS_KERNEL_ARCH_ARCH_H
#define CAPOS_KERNEL_ARCH_ARCH_H

#include "arch/cpu.h"
#include "arch/debug.h"
#include "arch/irq.h"
#include "arch/mmu.h"
#include "arch/power.h"
#include "arch/thread.h"
#include "arch/time.h"
#include "arch/user.h"

struct boot_info;

/* ---- what the portable kernel supplies ---- */

/* Called once, on the boot CPU, on its kernel stack, interrupts off, other CPUs not started. `info`
 * stays valid for ever. Returns the first thread to run on this CPU (its idle thread, if need be). */
struct thread *kernel_main(const struct boot_info *info);

/* Called once on each further CPU that arch_smp_start starts, interrupts off. */
struct thread *kernel_cpu_main(unsigned cpu);

/* A thread executed the system call instruction: arch_syscall_* read its arguments. */
struct thread *kernel_syscall(struct thread *thread);

/* An interrupt came while `thread` (possibly this CPU's idle thread) ran. `vector` is one of
 * enum arch_vector, or ARCH_VECTOR_DEVICE + n. The controller has been told already. */
struct thread *kernel_interrupt(struct thread *thread, unsigned vector);

/* User code of `thread` faulted. Resuming the same thread unchanged repeats the instruction. */
struct thread *kernel_fault(struct thread *thread, const struct arch_fault *fault);

/* The kernel itself is broken: prints and stops everything. Any CPU, any context. */
NORETURN COLD void panic(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
