/* SPDX-License-Identifier: MIT */
/* Second threads of a hostile process: thread.c has the theory. The case holds HOLD_THREADS. */
#ifndef CAPOS_TESTS_HOSTILE_THREADS_H
#define CAPOS_TESTS_HOSTILE_THREADS_H

#include "raw.h"

enum { THREADS_MAX = 4, STACK_BYTES = 16384, PEER_ENTRIES = 16 };

/* Never returns: it ends with capos_sys_exit_thread. */
typedef void (*thread_fn)(uint64_t argument, struct capos_ring_header *ring);

/* A thread with the n-th stack; its handle. */
capos_cap_t spawn_thread(thread_fn run, unsigned n, uint64_t argument);

/* Waits for its end, which must be with this code, and releases the handle. */
void join(capos_cap_t handle, int64_t code);

/* One operation on a ring of one's own, by a thread that has nothing else; its result. */
int32_t peer_do(struct capos_ring_header *ring, const struct capos_sqe *sqe);

#endif
