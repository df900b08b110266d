/* SPDX-License-Identifier: MIT */
/*
 * What user code does whose CPU runs by itself (fixture_run): it touches memory word by word, because the kernel, or a
 * program on another CPU, may look at the same words, and enters with a system call that it does not wait for.
 */
#ifndef CAPOS_TESTS_UNIT_KERNEL_RACE_H
#define CAPOS_TESTS_UNIT_KERNEL_RACE_H

#include "tests/unit/kernel_fixture.h"

uint64_t race_get(struct user *user, uint64_t address);
void race_put(struct user *user, uint64_t address, uint64_t word);
/* A multiple of eight bytes. */
void race_put_words(struct user *user, uint64_t address, const void *from, size_t bytes);

/* Puts it at the tail of the SQ. */
void race_submit(struct user *user, const struct capos_sqe *sqe);
/* The next completion; false: there is none. */
bool race_reap(struct user *user, struct capos_cqe *out);
/* Waits for so many, but looks up after a while, to see whether it is over. */
void race_enter(struct user *user, uint64_t min_complete);

/* The same for a thread that knows its ring alone: what has completed is put out of the way. */
void race_push(struct thread *thread, const struct capos_sqe *sqe);

/* After fixture_run: these have exited, in any order. */
void race_ended(struct user *const users[], unsigned count);

#endif
