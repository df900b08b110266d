/* SPDX-License-Identifier: MIT */
/*
 * Which cache lines each CPU of the host machine reads and writes. The kernel is built as for
 * ThreadSanitizer, whose callbacks are answered here: every load and store of the kernel passes by.
 */
#ifndef CAPOS_TESTS_LINES_RECORDER_H
#define CAPOS_TESTS_LINES_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

/* Forgets what was recorded, and records from now on. */
void recorder_start(void);
void recorder_stop(void);
/* Goes on without forgetting. */
void recorder_resume(void);

/* A line that one group of CPUs wrote and the other one touched. */
struct shared_line {
    uintptr_t line;   /* address */
    uint32_t writers; /* CPU masks */
    uint32_t readers;
    const void *pc[2]; /* a place that wrote, a place of another CPU that touched */
};

/* Lines written by a CPU of one mask and touched by a CPU of the other; at most `max` are stored, all
 * are counted. */
unsigned recorder_shared(uint32_t group_a, uint32_t group_b, struct shared_line *out, unsigned max);
/* Lines touched at all. */
unsigned recorder_lines(void);

#endif
