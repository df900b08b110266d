/* SPDX-License-Identifier: MIT */
#include "tests/lines/recorder.h"

#include <stdlib.h>
#include <string.h>

#include "host.h"

enum { LINE_BYTES = 64, TABLE = 1 << 16, CPUS = 8 };

struct line {
    uintptr_t line; /* 0: free */
    uint32_t writers, readers;
    const void *writer_pc[CPUS], *reader_pc[CPUS];
};

static struct line lines[TABLE];
static unsigned line_count;
static bool recording;

static struct line *find(uintptr_t line)
{
    size_t at = (line / LINE_BYTES * UINT64_C(0x9e3779b97f4a7c15)) >> 48;
    while (lines[at].line != line) {
        if (lines[at].line == 0) {
            lines[at].line = line;
            line_count++;
            break;
        }
        at = (at + 1) % TABLE;
    }
    if (line_count == TABLE) {
        abort();
    }
    return &lines[at];
}

static void touch(const volatile void *address, size_t size, bool write, const void *pc)
{
    uintptr_t first = (uintptr_t)address & ~(uintptr_t)(LINE_BYTES - 1);
    /* The stack is the CPU's own: on the host all CPUs take turns on one. */
    uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
    bool on_stack =
        (uintptr_t)address > stack - (1 << 20) && (uintptr_t)address < stack + (1 << 20);
    bool is_port = address == (const volatile void *)&host_cpu_number;
    if (!recording || on_stack || is_port) {
        return;
    }
    unsigned cpu = host_cpu_number % CPUS;
    for (uintptr_t line = first; line < (uintptr_t)address + size; line += LINE_BYTES) {
        struct line *entry = find(line);
        if (write) {
            entry->writers |= 1u << cpu;
            entry->writer_pc[cpu] = pc;
        } else {
            entry->readers |= 1u << cpu;
            entry->reader_pc[cpu] = pc;
        }
    }
}

void recorder_start(void)
{
    memset(lines, 0, sizeof(lines));
    line_count = 0;
    recording = true;
}

void recorder_stop(void)
{
    recording = false;
}

void recorder_resume(void)
{
    recording = true;
}

unsigned recorder_lines(void)
{
    return line_count;
}

static const void *pc_of(const struct line *line, uint32_t mask, bool write)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        if ((mask >> cpu & 1) != 0 && (line->writers >> cpu & 1) != 0) {
            return line->writer_pc[cpu];
        }
    }
    for (unsigned cpu = 0; cpu < CPUS && !write; cpu++) {
        if ((mask >> cpu & 1) != 0 && (line->readers >> cpu & 1) != 0) {
            return line->reader_pc[cpu];
        }
    }
    return NULL;
}

unsigned recorder_shared(uint32_t group_a, uint32_t group_b, struct shared_line *out, unsigned max)
{
    unsigned count = 0;
    for (size_t i = 0; i < TABLE; i++) {
        const struct line *line = &lines[i];
        uint32_t touched = line->writers | line->readers;
        bool a_writes = (line->writers & group_a) != 0 && (touched & group_b) != 0;
        bool b_writes = (line->writers & group_b) != 0 && (touched & group_a) != 0;
        if (!a_writes && !b_writes) {
            continue;
        }
        if (count < max) {
            uint32_t by = a_writes ? group_a : group_b;
            uint32_t other = a_writes ? group_b : group_a;
            out[count] =
                (struct shared_line){.line = line->line,
                                     .writers = line->writers,
                                     .readers = line->readers,
                                     .pc = {pc_of(line, by, true), pc_of(line, other, false)}};
        }
        count++;
    }
    return count;
}

/* ---- what the instrumented kernel calls ---- */

#define PC __builtin_return_address(0)

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
    (void)pc;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

#define PLAIN(size) \
    void __tsan_read##size(void *p); \
    void __tsan_read##size(void *p) \
    { \
        touch(p, size, false, PC); \
    } \
    void __tsan_write##size(void *p); \
    void __tsan_write##size(void *p) \
    { \
        touch(p, size, true, PC); \
    }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *p, unsigned long size);
void __tsan_read_range(void *p, unsigned long size)
{
    touch(p, size, false, PC);
}

void __tsan_write_range(void *p, unsigned long size);
void __tsan_write_range(void *p, unsigned long size)
{
    touch(p, size, true, PC);
}

#define FETCH(bits, name, call) \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t v, \
                                                int order); \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t v, \
                                                int order) \
    { \
        (void)order; \
        touch(p, bits / 8, true, PC); \
        return call(p, v, __ATOMIC_SEQ_CST); \
    }

#define ATOMICS(bits) \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order); \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order) \
    { \
        (void)order; \
        touch(p, bits / 8, false, PC); \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST); \
    } \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order); \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order) \
    { \
        (void)order; \
        touch(p, bits / 8, true, PC); \
        __atomic_store_n(p, v, __ATOMIC_SEQ_CST); \
    } \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile uint##bits##_t *p, \
                                                      uint##bits##_t *expected, uint##bits##_t v, \
                                                      int order, int failed); \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile uint##bits##_t *p, \
                                                      uint##bits##_t *expected, uint##bits##_t v, \
                                                      int order, int failed) \
    { \
        (void)order; \
        (void)failed; \
        touch(p, bits / 8, true, PC); \
        return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, \
                                           __ATOMIC_SEQ_CST); \
    } \
    FETCH(bits, exchange, __atomic_exchange_n) \
    FETCH(bits, fetch_add, __atomic_fetch_add) \
    FETCH(bits, fetch_sub, __atomic_fetch_sub) \
    FETCH(bits, fetch_and, __atomic_fetch_and) \
    FETCH(bits, fetch_or, __atomic_fetch_or)

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

/* memcpy and memset of the kernel: the linker sends them here (--wrap). */
void *__real_memcpy(void *to, const void *from, size_t n);
void *__wrap_memcpy(void *to, const void *from, size_t n);
void *__wrap_memcpy(void *to, const void *from, size_t n)
{
    touch(from, n, false, PC);
    touch(to, n, true, PC);
    return __real_memcpy(to, from, n);
}

void *__real_memset(void *to, int c, size_t n);
void *__wrap_memset(void *to, int c, size_t n);
void *__wrap_memset(void *to, int c, size_t n)
{
    touch(to, n, true, PC);
    return __real_memset(to, c, n);
}
