/* SPDX-License-Identifier: MIT */
/* The host machine's debug port, serial port, interrupt lines, ports and ends. */
#include "host_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/string.h"

/* ---- where text goes ---- */

enum { TEXT_BYTES = 1 << 20 };

/* The kernel serialises its writers (the log's lock, or a panic). What does not fit is dropped. */
struct text {
    size_t length;
    char bytes[TEXT_BYTES];
};

static struct text debug_text;
static struct text serial_text;
static bool serial_is_kernels = true;
static bool echo;
static _Atomic uint32_t panicking; /* 1 + the CPU that panics */

static void text_write(struct text *text, const char *bytes, size_t size)
{
    size_t room = TEXT_BYTES - 1 - text->length;
    size_t n = size < room ? size : room;
    memcpy(text->bytes + text->length, bytes, n);
    text->length += n;
}

void arch_debug_write(const char *bytes, size_t size_bytes)
{
    text_write(&debug_text, bytes, size_bytes);
    if (echo || atomic_load_relaxed(&panicking) != 0) {
        fwrite(bytes, 1, size_bytes, stderr);
    }
}

void arch_serial_write(const char *bytes, size_t size_bytes)
{
    if (serial_is_kernels) {
        text_write(&serial_text, bytes, size_bytes);
    }
}

void arch_serial_own(bool kernel_owns)
{
    serial_is_kernels = kernel_owns;
}

const char *host_debug_text(void)
{
    return debug_text.bytes;
}

const char *host_serial_text(void)
{
    return serial_text.bytes;
}

void host_log_echo(bool on)
{
    echo = on;
}

/* ---- ends ---- */

static void (*on_end)(enum host_end how);

void host_on_end(void (*ended)(enum host_end how))
{
    on_end = ended;
}

void host_end(enum host_end how)
{
    if (on_end != NULL) {
        on_end(how);
    }
    fflush(NULL);
    if (how == HOST_END_HALT) {
        abort();
    }
    _exit(how == HOST_END_POWER_OFF ? HOST_EXIT_POWER_OFF : HOST_EXIT_RESET);
}

void arch_power_off(void)
{
    host_end(HOST_END_POWER_OFF);
}

void arch_reset(void)
{
    host_end(HOST_END_RESET);
}

void arch_halt_all(void)
{
    host_end(HOST_END_HALT);
}

void arch_debug_exit(uint32_t code)
{
    (void)code; /* there is no such device: arch_halt_all follows */
}

bool arch_panic_begin(void)
{
    uint32_t nobody = 0;
    if (!atomic_cas_acq_rel(&panicking, &nobody, host_cpu_number + 1)) {
        while (nobody != host_cpu_number + 1) {
            pause(); /* another CPU is at it */
        }
        return false;
    }
    serial_is_kernels = true;
    return true;
}

WEAK void __sanitizer_print_stack_trace(void);

void arch_panic_backtrace(void (*print)(const char *bytes, size_t size_bytes))
{
    if (__sanitizer_print_stack_trace != NULL) {
        __sanitizer_print_stack_trace();
    } else {
        print("  (run it in a debugger)\n", 25);
    }
}

const char *arch_symbol(uint64_t address, uint64_t *offset_out)
{
    (void)address;
    (void)offset_out;
    return NULL;
}

/* ---- interrupts ---- */

enum { LINES = 24, MESSAGE_BASE = 64, MESSAGES = 64 };

/* [a] throughout: a test may raise lines while CPUs run. */
struct irq_route {
    _Atomic uint16_t cpu; /* 1 + CPU; 0 = not routed */
    _Atomic bool level;
    _Atomic bool masked;
    _Atomic bool active;  /* level: asserted now */
    _Atomic bool latched; /* edge: came while masked */
};

static struct irq_route routes[ARCH_IRQ_MAX];

static void deliver(unsigned irq)
{
    struct irq_route *route = &routes[irq];
    uint16_t cpu = atomic_load_acquire(&route->cpu);
    if (cpu == 0) {
        return;
    }
    if (atomic_load_acquire(&route->masked)) {
        atomic_store_release(&route->latched, true);
        return;
    }
    if (atomic_load_relaxed(&route->level)) {
        atomic_store_release(&route->masked, true);
    }
    atomic_or_seq_cst(&host_cpus[cpu - 1].devices[irq / 64], UINT64_C(1) << irq % 64);
}

void host_irq_pulse(unsigned irq)
{
    deliver(irq);
}

void host_irq_level(unsigned irq, bool active)
{
    atomic_store_release(&routes[irq].active, active);
    if (active && !atomic_load_acquire(&routes[irq].masked)) {
        deliver(irq);
    }
}

bool host_irq_masked(unsigned irq)
{
    return atomic_load_acquire(&routes[irq].masked);
}

unsigned arch_irq_lines(void)
{
    return LINES;
}

unsigned arch_irq_of_isa(unsigned isa_irq)
{
    return isa_irq == 0 ? 2 : isa_irq;
}

static void set_route(unsigned irq, unsigned cpu, bool level, bool masked)
{
    atomic_store_relaxed(&routes[irq].level, level);
    atomic_store_relaxed(&routes[irq].masked, masked);
    atomic_store_relaxed(&routes[irq].latched, false);
    atomic_store_release(&routes[irq].cpu, (uint16_t)(cpu + 1));
}

bool arch_irq_route(unsigned line, unsigned cpu, bool set_trigger, bool level, bool active_low)
{
    (void)active_low;
    if (line >= LINES || cpu >= host_cpu_count) {
        return false;
    }
    set_route(line, cpu, set_trigger ? level : line >= 16, true);
    return true;
}

void arch_irq_unroute(unsigned line)
{
    atomic_store_release(&routes[line].cpu, 0);
    atomic_store_release(&routes[line].masked, true);
}

void arch_irq_mask(unsigned line)
{
    if (line < ARCH_IRQ_MAX) {
        atomic_store_release(&routes[line].masked, true);
    }
}

void arch_irq_unmask(unsigned line)
{
    if (line >= ARCH_IRQ_MAX || atomic_load_acquire(&routes[line].cpu) == 0) {
        return;
    }
    struct irq_route *route = &routes[line];
    atomic_store_release(&route->masked, false);
    bool latched = atomic_exchange_explicit(&route->latched, false, memory_order_acq_rel);
    if (atomic_load_relaxed(&route->level) ? atomic_load_acquire(&route->active) : latched) {
        deliver(line);
    }
}

bool arch_message_alloc(unsigned cpu, struct arch_message *out)
{
    for (unsigned irq = MESSAGE_BASE; irq < MESSAGE_BASE + MESSAGES; irq++) {
        if (cpu < host_cpu_count && atomic_load_acquire(&routes[irq].cpu) == 0) {
            set_route(irq, cpu, false, false);
            *out = (struct arch_message){.irq = irq, .address = 0xfee00000, .data = irq};
            return true;
        }
    }
    return false;
}

void arch_message_free(unsigned irq)
{
    atomic_store_release(&routes[irq].cpu, 0);
}

/* ---- ports ---- */

static uint32_t port_values[1 << 16];
static const struct host_ports *port_hooks;

void host_set_ports(const struct host_ports *ports)
{
    port_hooks = ports;
}

static bool good_width(unsigned width_bytes)
{
    return width_bytes == 1 || width_bytes == 2 || width_bytes == 4;
}

bool arch_port_in(uint16_t port, unsigned width_bytes, uint32_t *out)
{
    if (!good_width(width_bytes)) {
        return false;
    }
    *out = port_hooks != NULL ? port_hooks->in(port, width_bytes) : port_values[port];
    return true;
}

bool arch_port_out(uint16_t port, unsigned width_bytes, uint32_t value)
{
    if (!good_width(width_bytes)) {
        return false;
    }
    if (port_hooks != NULL) {
        port_hooks->out(port, width_bytes, value);
    } else {
        port_values[port] = value;
    }
    return true;
}

bool arch_port_reserved(uint16_t first, uint32_t count)
{
    static const struct {
        uint16_t first, last;
    } reserved[] = {{0x20, 0x21}, {0x40, 0x43}, {0x61, 0x61}, {0xa0, 0xa1}, {0xe9, 0xe9}};
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (first <= reserved[i].last && first + count > reserved[i].first) {
            return true;
        }
    }
    return false;
}
