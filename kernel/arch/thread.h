/* SPDX-License-Identifier: MIT */
/*
 * What a thread is to the machine: its saved user registers, extended state, thread pointer and
 * address space. `struct arch_thread` is the first member of struct thread.
 *
 * A thread returned from a kernel entry is switched to there: the old one's extended state is saved
 * and the old one let go, then the new one is taken. A thread that the portable kernel has made
 * runnable on another CPU may still be on its way off this one; the port waits for that (it is
 * bounded, without locks), the portable kernel does not care. Only freeing a thread cares:
 * arch_thread_detach.
 */
#ifndef CAPOS_KERNEL_ARCH_THREAD_H
#define CAPOS_KERNEL_ARCH_THREAD_H

#include "arch_types.h"
#include "core/addr.h"

/* Bytes of extended (FPU, vector) state per thread on this machine; 64-byte alignment wanted. */
size_t arch_fpu_size(void);

/* Makes a fresh user thread: all registers zero but these. `fpu` is arch_fpu_size() zeroed
 * bytes, 64-byte aligned, owned by the caller, made initial here. `aspace` may be changed while it is not running. */
void arch_thread_init(struct arch_thread *thread, struct arch_aspace *aspace, void *fpu,
                      struct uaddr entry, struct uaddr stack, uint64_t arg0, uint64_t arg1);

/* Makes the idle thread of CPU `cpu`: resumed, it halts until an interrupt comes. It has neither
 * address space nor extended state; interrupts taken in it come with it as the thread. */
void arch_thread_init_idle(struct arch_thread *thread, unsigned cpu);

/* This CPU, which entered from its idle thread, has `aspace` loaded from now on while it is idle, for user copies of
 * the kernel's; NULL: none, and what it has loaded is let go. */
void arch_idle_aspace(struct arch_thread *idle, struct arch_aspace *aspace);

/* Before a thread is freed. Makes this CPU forget it. False: another CPU still holds its state
 * because it has not left the kernel (or runs it): kick that CPU and ask again later. The idle
 * thread, or another, must then be what the current entry returns. */
MUST_CHECK bool arch_thread_detach(struct arch_thread *thread);

/* Saves what this CPU holds of the thread that entered, so that another CPU can run it before this
 * entry returns: for an entry that goes on with other work (jobs) after the thread has blocked. Must
 * not be followed by a return of that thread without a look at who owns it; harmless otherwise. */
void arch_thread_let_go(void);

/* System call of a thread that entered by kernel_syscall. */
static inline uint64_t arch_syscall_number(const struct arch_thread *thread);
static inline uint64_t arch_syscall_arg(const struct arch_thread *thread,
                                        unsigned index); /* 0, 1 */
static inline void arch_syscall_set_result(struct arch_thread *thread, uint64_t result);

/* Instead of a result: the thread, once resumed, makes the same system call again (after pending
 * interrupts were taken). Arguments may be changed first. */
void arch_syscall_restart(struct arch_thread *thread);
void arch_syscall_set_arg(struct arch_thread *thread, unsigned index, uint64_t value);

/* The user thread pointer (FS base). False: not a user address; nothing changed. `thread` is not
 * running on another CPU (it may be the one that entered here). */
MUST_CHECK bool arch_thread_set_tls(struct arch_thread *thread, struct uaddr base);
struct uaddr arch_thread_tls(const struct arch_thread *thread);

struct uaddr arch_thread_ip(const struct arch_thread *thread);
struct uaddr arch_thread_sp(const struct arch_thread *thread);

/* Registers as a debugger sees them. Set refuses (false, nothing changed) what user code could not
 * have: an address outside the user range as ip. Privileged flag bits are ignored. */
enum { ARCH_REGS_COUNT = 18, ARCH_REG_SP = 7, ARCH_REG_IP = 16 };
struct arch_regs {
    uint64_t r[ARCH_REGS_COUNT]; /* x86_64: ax bx cx dx si di bp sp 8..15 ip flags */
};
void arch_thread_get_regs(const struct arch_thread *thread, struct arch_regs *out);
MUST_CHECK bool arch_thread_set_regs(struct arch_thread *thread, const struct arch_regs *regs);

/* After the next instruction the thread faults (ARCH_FAULT_STEP), or no longer does. It is not running. */
void arch_thread_set_step(struct arch_thread *thread, bool on);

enum arch_fault_kind {
    ARCH_FAULT_NONE,
    ARCH_FAULT_PAGE,       /* address, access, present */
    ARCH_FAULT_PROTECTION, /* privileged instruction, segment, non-canonical address */
    ARCH_FAULT_ILLEGAL,    /* undefined instruction */
    ARCH_FAULT_ARITHMETIC, /* divide, overflow */
    ARCH_FAULT_FLOAT,
    ARCH_FAULT_ALIGNMENT,
    ARCH_FAULT_BREAKPOINT,
    ARCH_FAULT_STEP,
    ARCH_FAULT_MACHINE, /* anything else the machine invented */
};

struct arch_fault {
    enum arch_fault_kind kind;
    bool write;           /* PAGE */
    bool execute;         /* PAGE */
    bool present;         /* PAGE: a mapping is there and does not allow this */
    uint32_t code;        /* raw machine vector << 16 | error code, for records */
    struct uaddr address; /* PAGE: the address touched (any 64-bit value); else the ip */
};

/* A fault, and all registers as they were. */
struct arch_fault_state {
    struct arch_fault fault;
    struct arch_regs regs;
};

#include "arch_thread_inline.h"

#endif
