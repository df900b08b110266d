/* SPDX-License-Identifier: MIT */
/*
 * Last words: registers of the fault, the call chain by frame pointers, names from the table that is
 * linked in behind the data. Everything read here is checked to lie in a kernel stack or the table:
 * the stack may be what is broken.
 */
#include "arch/arch.h"
#include "image.h"
#include "lib/base/atomic.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "paging.h"
#include "percpu.h"
#include "smp.h"
#include "trap.h"
#include "x86.h"

enum { FRAMES_MAX = 32, LINE_BYTES = 160, NO_OWNER = 0 };

/* The section .symbols: a header, `count` entries by ascending address, the names. */
struct symbol_head {
    uint32_t count, names_bytes;
};

struct symbol {
    uint32_t offset; /* from KERNEL_BASE */
    uint32_t name;   /* in the names */
};

static _Atomic uint32_t panic_owner; /* 1 + CPU */

bool arch_panic_begin(void)
{
    uint32_t expected = NO_OWNER;
    uint32_t self = arch_cpu_id() + 1;
    __asm__ volatile("cli");
    if (!atomic_cas_acq_rel(&panic_owner, &expected, self)) {
        if (expected != self) {
            arch_cpu_halt();
        }
        return false;
    }
    smp_stop_others();
    arch_serial_own(true);
    return true;
}

const char *arch_symbol(uint64_t address, uint64_t *offset_out)
{
    const struct symbol_head *head = (const void *)symbols_start;
    size_t size = (size_t)(symbols_end - symbols_start);
    if (size < sizeof(*head) || head->count == 0 ||
        sizeof(*head) + (uint64_t)head->count * sizeof(struct symbol) + head->names_bytes > size ||
        address < (uint64_t)(uintptr_t)text_start || address >= (uint64_t)(uintptr_t)text_end) {
        return NULL;
    }
    const struct symbol *symbols = (const void *)(head + 1);
    const char *names = (const char *)(symbols + head->count);
    uint32_t offset = (uint32_t)(address - KERNEL_BASE - kernel_slide);
    size_t low = 0, high = head->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols[middle].offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || symbols[low - 1].name >= head->names_bytes) {
        return NULL;
    }
    *offset_out = offset - symbols[low - 1].offset;
    return names + symbols[low - 1].name;
}

typedef void (*print_fn)(const char *bytes, size_t size_bytes);

static void print_line(print_fn print, const char *format, ...) PRINTF_LIKE(2, 3);

static void print_line(print_fn print, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)fmt_vformat(line, sizeof(line), format, args);
    va_end(args);
    print(line, strnlen(line, sizeof(line)));
}

static void print_address(print_fn print, uint64_t address)
{
    uint64_t offset;
    const char *name = arch_symbol(address, &offset);
    if (name != NULL) {
        print_line(print, "  %016llx %s+%#llx\n", (unsigned long long)address, name,
                   (unsigned long long)offset);
    } else {
        print_line(print, "  %016llx\n", (unsigned long long)address);
    }
}

/* A frame (two words) may be read: mapped parts of this CPU's slot, or the kernel image's data. */
static bool frame_readable(uint64_t frame)
{
    if (frame % 8 != 0) {
        return false;
    }
    if (frame >= (uint64_t)(uintptr_t)data_start && frame + 16 <= (uint64_t)(uintptr_t)data_end) {
        return true;
    }
    const struct cpu_block *cpu = this_cpu();
    if (frame >= cpu->stack_top - KERNEL_STACK_BYTES && frame + 16 <= cpu->stack_top) {
        return true;
    }
    for (unsigned i = 0; i < IST_COUNT; i++) {
        uint64_t top = cpu->tss.ist[i];
        if (frame >= top - IST_STACK_BYTES && frame + 16 <= top) {
            return true;
        }
    }
    return false;
}

static void print_again(print_fn print, unsigned times)
{
    if (times > 0) {
        print_line(print, "  ... and %u times more\n", times);
    }
}

/* The chain ends by itself: frames ascend. One that calls itself is shown once, and counted. */
static void print_chain(print_fn print, uint64_t frame)
{
    unsigned again = 0;
    uint64_t last = 0;
    for (unsigned lines = 0; lines < FRAMES_MAX && frame_readable(frame);) {
        const uint64_t *words = (const uint64_t *)(uintptr_t)frame;
        if (words[1] < (uint64_t)(uintptr_t)text_start ||
            words[1] >= (uint64_t)(uintptr_t)text_end) {
            break;
        }
        if (words[1] == last) {
            again++;
        } else {
            print_again(print, again);
            print_address(print, words[1] - 1);
            again = 0;
            lines++;
        }
        if (words[0] <= frame) {
            break;
        }
        last = words[1];
        frame = words[0];
    }
    print_again(print, again);
}

static void print_registers(print_fn print, const struct trap_regs *r)
{
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        {"rax", r->rax},     {"rbx", r->rbx},     {"rcx", r->rcx},     {"rdx", r->rdx},
        {"rsi", r->rsi},     {"rdi", r->rdi},     {"rbp", r->rbp},     {"rsp", r->rsp},
        {"r8 ", r->r8},      {"r9 ", r->r9},      {"r10", r->r10},     {"r11", r->r11},
        {"r12", r->r12},     {"r13", r->r13},     {"r14", r->r14},     {"r15", r->r15},
        {"rip", r->rip},     {"rfl", r->rflags},  {"cs ", r->cs},      {"ss ", r->ss},
        {"cr0", read_cr0()}, {"cr2", read_cr2()}, {"cr3", read_cr3()}, {"cr4", read_cr4()},
    };
    for (size_t i = 0; i < ARRAY_LEN(values); i += 4) {
        print_line(print, "  %s %016llx  %s %016llx  %s %016llx  %s %016llx\n", values[i].name,
                   (unsigned long long)values[i].value, values[i + 1].name,
                   (unsigned long long)values[i + 1].value, values[i + 2].name,
                   (unsigned long long)values[i + 2].value, values[i + 3].name,
                   (unsigned long long)values[i + 3].value);
    }
}

void arch_panic_backtrace(print_fn print)
{
    const struct trap_regs *r = trap_reported[arch_cpu_id()];
    print_line(print, "  (image moved by %#llx)\n", (unsigned long long)kernel_slide);
    if (r != NULL) {
        print_registers(print, r);
        print_address(print, r->rip);
        print_chain(print, r->rbp);
    } else {
        print_chain(print, (uint64_t)(uintptr_t)__builtin_frame_address(0));
    }
}
