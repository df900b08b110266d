/* SPDX-License-Identifier: MIT */
/*
 * What each CPU did last, for the panic message: a ring of small notes per CPU, overwritten for
 * ever. Nothing reads it but panic() and tests. A note costs some six instructions and one cache
 * line that no other CPU touches. The hot operations, those of rings, leave no note: the ring itself
 * tells them.
 */
#ifndef CAPOS_KERNEL_CORE_TRACE_H
#define CAPOS_KERNEL_CORE_TRACE_H

#include <stdint.h>

#include "arch/cpu.h"
#include "lib/base/compiler.h"

enum trace_kind {
    TRACE_NONE,
    TRACE_INTERRUPT, /* vector, id of the thread it came upon */
    TRACE_FAULT,     /* code, ip */
    TRACE_JOB,       /* job, function */
    TRACE_DESTROY,   /* object, id */
    TRACE_KINDS,
};

enum { TRACE_NOTES = 16 };

struct trace_note_entry {
    uint64_t kind;
    uint64_t a;
    uint64_t b;
};

/* Written by its own CPU alone. */
struct trace_ring {
    uint64_t next; /* notes written since boot */
    struct trace_note_entry notes[TRACE_NOTES];
} ALIGNED(ARCH_CACHE_LINE_BYTES);

extern struct trace_ring trace_rings[ARCH_CPU_MAX];

static inline void trace_note(enum trace_kind kind, uint64_t a, uint64_t b)
{
    struct trace_ring *ring = &trace_rings[arch_cpu_id()];
    ring->notes[ring->next++ % TRACE_NOTES] = (struct trace_note_entry){(uint64_t)kind, a, b};
}

/* Prints the notes of this CPU, oldest first, one line each. */
void trace_print(void (*print)(const char *bytes, size_t size_bytes));

#endif
