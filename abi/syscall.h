/* SPDX-License-Identifier: MIT */
/* The two system calls. x86_64: number in RAX, arguments in RDI and RSI, result in RAX; RCX, R11
 * and the other caller-saved registers are destroyed (returned as zero), callee-saved ones kept.
 * The numbers are far from those of any other system, so that a foreign program fails cleanly. */
#ifndef CAPOS_ABI_SYSCALL_H
#define CAPOS_ABI_SYSCALL_H

enum capos_syscall {
    /* cap_enter(min_complete, deadline_ns): drains the calling thread's SQ in slices, then waits
     * until at least min_complete completions are ready or the absolute monotonic deadline has
     * passed (0 polls, CAPOS_FOREVER waits without end). More than the CQ holds counts as all it holds;
     * what the operations under way cannot make waits for the deadline. Never sleeps on a stalled SQ
     * while the CQ holds something to reap. Result: see CAPOS_ENTER_*; negative: ST_BAD_RING. */
    CAPOS_SYS_ENTER = 0x0ca90000,
    /* exit(code, scope): ends the calling thread with this 64-bit exit code when scope is
     * CAPOS_EXIT_THREAD and it is not the last one, else the process. Never returns. */
    CAPOS_SYS_EXIT = 0x0ca90001,
};

enum capos_exit_scope { CAPOS_EXIT_PROCESS = 0, CAPOS_EXIT_THREAD = 1 };

/* Result of cap_enter when not negative. */
#define CAPOS_ENTER_READY_MASK UINT64_C(0xffffffff) /* completions ready to reap */
#define CAPOS_ENTER_STALLED (UINT64_C(1) << 32)     /* SQEs are left for want of CQ room */
#define CAPOS_ENTER_TIMED_OUT (UINT64_C(1) << 33)   /* the deadline passed first */

#define CAPOS_FOREVER UINT64_MAX

#endif
