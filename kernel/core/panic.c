/* SPDX-License-Identifier: MIT */
/*
 * The kernel's last words.
 *
 * Only one CPU gets here (arch_panic_begin stops the others first), so the buffer is static: the
 * stack may be what is broken. No lock is taken and nothing is allocated.
 */
#include "core/panic.h"

#include <stdarg.h>

#include "arch/arch.h"
#include "core/log.h"
#include "core/trace.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "object/process.h"
#include "object/thread.h"
#include "ring/ring.h"
#include "sched/cpu.h"

/* What the emulator's exit device is told: it ends with status 2 * 17 + 1 = 35. */
enum { PANIC_EXIT_CODE = 0x11 };

struct trace_ring trace_rings[ARCH_CPU_MAX];

static const char *const trace_names[TRACE_KINDS] = {
    [TRACE_NONE] = "none", [TRACE_INTERRUPT] = "interrupt", [TRACE_FAULT] = "fault",
    [TRACE_JOB] = "job",   [TRACE_DESTROY] = "destroy",
};

void trace_print(void (*print)(const char *bytes, size_t size_bytes))
{
    const struct trace_ring *ring = &trace_rings[arch_cpu_id()];
    uint64_t first = ring->next > TRACE_NOTES ? ring->next - TRACE_NOTES : 0;
    for (uint64_t i = first; i < ring->next; i++) {
        const struct trace_note_entry *note = &ring->notes[i % TRACE_NOTES];
        const char *name = note->kind < TRACE_KINDS ? trace_names[note->kind] : "?";
        char line[96];
        fmt_format(line, sizeof(line), "  %-10s %#llx %#llx\n", name, (unsigned long long)note->a,
                   (unsigned long long)note->b);
        print(line, strnlen(line, sizeof(line)));
    }
}

static void panic_print(const char *format, ...) PRINTF_LIKE(1, 2);

static void panic_vprint(const char *format, va_list args)
{
    static char line[LOG_RECORD_MAX_BYTES];
    fmt_vformat(line, sizeof(line), format, args);
    log_panic_write(line, strnlen(line, sizeof(line)));
}

static void panic_print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    panic_vprint(format, args);
    va_end(args);
}

/* The entries of the ring around where its drain is, as user space has them now: those taken last, and
 * those of the slice that may have been at work. */
static void print_entries(struct ring *ring)
{
    static const char *const names[CAPOS_OP_COUNT] = {
        "NOP",     "CALL",   "RECV",   "RETURN", "RETURN_RECV", "WAIT",     "SIGNAL",
        "RELEASE", "CANCEL", "FINISH", "PARK",   "UNPARK",      "HANDOVER",
    };
    enum { TOLD_BEFORE = 4, TOLD_AFTER = 8 };
    uint64_t at = ring->sq_head > TOLD_BEFORE ? ring->sq_head - TOLD_BEFORE : 0;
    uint64_t waiting = ring_load(&ring->header->sq_tail) - ring->sq_head;
    uint64_t end = ring->sq_head + (waiting < TOLD_AFTER ? waiting : TOLD_AFTER);
    for (; at != end; at++) {
        uint64_t slot = at & (ring->sq_entries - 1);
        const uint8_t *sqe = ring_entry(ring, ring->sq_offset + slot * sizeof(struct capos_sqe));
        uint64_t first = ring_load(sqe);
        panic_print("  %s %llu: %s method %u, capability %#llx, interface %#llx\n",
                    at < ring->sq_head ? "taken" : "next ", (unsigned long long)at,
                    (uint8_t)first < CAPOS_OP_COUNT ? names[(uint8_t)first] : "?",
                    (unsigned)(uint16_t)(first >> 32), (unsigned long long)ring_load(sqe + 8),
                    (unsigned long long)ring_load(sqe + 48));
    }
}

static void print_running(void)
{
    const struct cpu *cpu = cpu_this(); /* NULL early in boot */
    const struct thread *thread = cpu != NULL ? cpu->current : NULL;
    if (thread == NULL || thread->process == NULL) {
        panic_print("running: no program\n");
        return;
    }
    panic_print("running: thread %llu of process %s (%llu); its ring:\n",
                (unsigned long long)thread->obj.id, thread->process->name,
                (unsigned long long)thread->process->obj.id);
    if (thread->ring != NULL) {
        print_entries(thread->ring);
    }
}

void panic(const char *format, ...)
{
    if (!arch_panic_begin()) {
        /* A second fault in here: say so and stop before it becomes a loop. */
        log_panic_write("panic: again while panicking\n", 29);
        arch_debug_exit(PANIC_EXIT_CODE);
        arch_halt_all();
    }
    uint64_t now_us = arch_time_ns() / 1000;
    panic_print("\n[%4llu.%06llu] panic on CPU %u: ", (unsigned long long)(now_us / 1000000),
                (unsigned long long)(now_us % 1000000), arch_cpu_id());
    va_list args;
    va_start(args, format);
    panic_vprint(format, args);
    va_end(args);
    panic_print("\nlast operations of this CPU:\n");
    trace_print(log_panic_write);
    panic_print("call chain:\n");
    arch_panic_backtrace(log_panic_write);
    print_running(); /* last: what it follows may be what is broken */
    panic_print("the system is halted\n");
    arch_debug_exit(PANIC_EXIT_CODE);
    arch_halt_all();
}
