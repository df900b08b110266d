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

/* What the emulator's exit device is told: it ends with status 2 * 17 + 1 = 35. */
enum { PANIC_EXIT_CODE = 0x11 };

struct trace_ring trace_rings[ARCH_CPU_MAX];

static const char *const trace_names[TRACE_KINDS] = {
    [TRACE_NONE] = "none",         [TRACE_SYSCALL] = "syscall", [TRACE_INTERRUPT] = "interrupt",
    [TRACE_FAULT] = "fault",       [TRACE_SWITCH] = "switch",   [TRACE_SQE] = "sqe",
    [TRACE_COMPLETE] = "complete", [TRACE_JOB] = "job",         [TRACE_DESTROY] = "destroy",
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
    panic_print("the system is halted\n");
    arch_debug_exit(PANIC_EXIT_CODE);
    arch_halt_all();
}
