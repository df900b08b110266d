/* SPDX-License-Identifier: MIT */
/*
 * What the rows of the benchmark share: the measuring process's ring and capabilities, the method (warm-up, batches,
 * median), and the calls that more than one row makes. Every result is checked; a wrong one ends the program with a
 * code that is its place's own.
 */
#ifndef CAPOS_BENCH_BENCH_H
#define CAPOS_BENCH_BENCH_H

#include "capos/start.h"
#include "tests/bench/raw.h"

enum { BATCHES = 10, WARM_UP_SHARE = 10 };

extern struct raw_ring ring;

/* What the manifest grants, by the same names. */
extern struct bench_caps {
    capos_cap_t log, timer, spare, echo, carrier, opener, counted, silent, launcher, capabilities,
        ledger, threads, memory, scheduling, control;
} caps;

/* One measured operation: runs `n` times. */
typedef void (*bench_fn)(uint32_t n);

/* Least first. */
void bench_sort(uint64_t *values, unsigned n);

/* Prints the row: tenths of an instruction per operation, of each batch. Sorts the values. */
void bench_report(const char *name, uint64_t values[BATCHES]);

/* Warms up, runs ten batches of `n`, prints the row. */
void bench_measure(const char *name, bench_fn run, uint32_t n);

/* One row, or rows of one prefix; measures and prints. */
void bench_ring(void);
void bench_ipc(void);
void bench_pipeline(void);
void bench_cancel(void);
void bench_notify(void);
void bench_park(void);
void bench_page(void);
void bench_thread(void);
void bench_process(void);
void bench_fault(void);
void bench_sched(void);
void bench_revoke(void);
void bench_revoke_slots(void);

/* Curves of growth (growth.c), of a machine that the manifest `growth` gives the means. */
void growth_slots(void);
void growth_grants(void);
void growth_timers(void);
void growth_processes(void);
void growth_threads(void);
void growth_clients(void); /* the last: its clients go on */

/* Calls the echo by its capability, from payload slot 0 to slot 1. */
void roundtrip(uint32_t n);

/* Derives the timer: a capability under a grant of its own. */
void derive(capos_cap_t *cap_out, capos_cap_t *grant_out);

/* Derives and revokes `n` times a batch and prints the row: what a revocation takes. */
void bench_revoke_ones(const char *name, unsigned n);

/* ---- what several rows do; calls.c ---- */

/* raw_transact with at most one capability. */
int32_t call_with(capos_cap_t cap, uint64_t interface, uint16_t method, uint64_t *words, size_t len,
                  capos_cap_t carried, uint64_t result[16]);

void release(capos_cap_t cap);

/* Waits for the end of a thread or a process, and lets go of its handle. */
void await_end(capos_cap_t handle);

/* A notification of one's own ledger. */
capos_cap_t new_bell(void);

/* Waits for bit 1, and takes it. */
void await_bell(capos_cap_t bell);

/* A thread with an argument and its ring's address; `stack_top` is a multiple of 64 with room for a word above. */
typedef void (*thread_fn)(uint64_t argument, uint8_t *base);
capos_cap_t spawn_thread(thread_fn entry, uint64_t argument, uint8_t *stack_top,
                         uint32_t ring_entries);

/* A program of the launch set that gets the lease and the bell. */
capos_cap_t launch_idle(const char *program, capos_cap_t lease, capos_cap_t bell);

/* The same, of a program that rings the bell first: when it has. */
capos_cap_t launch_holder(const char *program, capos_cap_t lease, capos_cap_t bell);

/* Terminates it and waits for its end. */
void end_holder(capos_cap_t process);

/* Submits and waits for so many completions, each with this result. */
static inline void enter_and_reap(uint32_t count, int32_t expected)
{
    raw_submit(&ring, count);
    for (uint32_t i = 0; i < count; i++) {
        raw_require(raw_reap(&ring) == expected, 12);
    }
    raw_reaped(&ring);
}

#endif
