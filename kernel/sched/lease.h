/* SPDX-License-Identifier: MIT */
/*
 * A CPU that is leased runs no thread: it polls a ring (ring/poll.h), or does nothing.
 *
 * NONE -> HELD    lease_take, any CPU but the boot CPU
 * HELD -> ENDING  lease_end
 * ENDING -> NONE  the CPU itself, once it polls nothing
 * A thread that is made ready on a leased CPU is sent on from there. Jobs and timers of a leased CPU go on.
 *
 * The poller is the idle loop: it looks for SQEs until an interrupt is pending, takes that where idle CPUs do, and comes
 * again at once. So shootdowns, kicks of a grace period and the end of all this come between two slices of SQEs.
 *
 * Invariants: L1 `ring` is set by lease_poll, one at a time, and cleared by the CPU alone; `route` and `idle_limit` are
 * written before and read while it is set. L2 while `ring` is set the CPU owes it poll_leave.
 */
#ifndef CAPOS_KERNEL_SCHED_LEASE_H
#define CAPOS_KERNEL_SCHED_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "arch/cpu.h"

struct cpu;
struct grant;
struct ring;

enum lease_state { LEASE_NONE, LEASE_HELD, LEASE_ENDING };
enum { LEASE_IDLE_ROUNDS = 20000 };

/* [a] atomic  [c] its CPU only  [L] L1 */
struct cpu_lease {
    _Atomic uint8_t state;       /* [a] enum lease_state */
    _Atomic uint8_t stopping;    /* [a] the ring is to be left */
    bool polling;                /* [c] it has something to poll, and is awake */
    uint32_t idle_rounds;        /* [c] rounds without an SQE in a row */
    uint32_t idle_limit;         /* [L] so many put the poller to sleep */
    struct grant *route;         /* [L] a ref: it stops when this is dead */
    _Atomic(struct ring *) ring; /* [a] polled, or NULL */
    _Atomic uint64_t entries;    /* [a] SQEs taken in all; written by its CPU */
};

/* Takes a CPU out of general use. ST_BUSY: there is none to spare. */
status_t lease_take(unsigned *cpu_out);
void lease_end(unsigned cpu);

/* The CPU polls the ring of the thread that entered here, from the end of this entry on, as long as `route` lives.
 * idle_rounds 0: as usual. The caller keeps lease_end and others away. ST_BUSY: it, or the ring, has another already. */
status_t lease_poll(unsigned cpu, struct ring *ring, struct grant *route, uint32_t idle_rounds);
/* After the slice at hand, or that of the thread's cap_enter, no further SQE is taken by the CPU. */
void lease_stop(unsigned cpu);

/* By sched.c, on a leased CPU that was idle: polls until something else is to be done. */
void lease_run(struct cpu *cpu);
/* The lease has ended, and this CPU is free; once. */
bool lease_is_over(struct cpu *cpu);

/* CPUs that are leased, or have been up to now. */
arch_cpu_mask_t leased_cpus(void);

#endif
