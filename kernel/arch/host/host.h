/* SPDX-License-Identifier: MIT */
/*
 * The host process as a machine, for tests: what a test may do to it.
 *
 * A CPU is a number that a host thread takes with host_become. A test either drives all CPUs itself,
 * one step at a time (deterministic: the clock stands still unless the test moves it), or gives each
 * CPU a host thread of its own (host_cpus_start), under ThreadSanitizer.
 *
 * User code is the test: it reads and writes user memory through host_user and says which system
 * call a thread makes next; the call happens when a CPU that runs the thread is stepped.
 *
 * Modelled, not real: page tables (four levels in frames), TLB shootdown (tickets that a CPU
 * acknowledges when it takes a kick), inter-processor and device interrupts, timers, ports, power.
 * Not modelled: registers and extended state across switches, caches, faults of user code (the test
 * says host_fault).
 */
#ifndef CAPOS_KERNEL_ARCH_HOST_HOST_H
#define CAPOS_KERNEL_ARCH_HOST_HOST_H

#include "arch/arch.h"
#include "core/boot.h"

struct host_config {
    unsigned cpus;            /* 1 .. ARCH_CPU_MAX */
    uint64_t ram_bytes;       /* for the frame pool; page multiple */
    const char *command_line; /* NULL = none */
    const void *module;       /* boot archive, or NULL */
    size_t module_bytes;
    bool real_time; /* the clock runs by itself */
    uint64_t seed;  /* of arch_entropy and of the order in which host_settle steps */
};

/* Makes the machine and its boot_info (valid for ever). Once per process. */
const struct boot_info *host_machine_init(const struct host_config *config);

/* What kernel_main or kernel_cpu_main returned for a CPU. */
void host_cpu_set_first(unsigned cpu, struct thread *thread);

/* The calling host thread is this CPU from now on. */
void host_become(unsigned cpu);
struct thread *host_current(unsigned cpu);

/* One kernel entry on this CPU if anything asks for one: an interrupt, then a system call of the
 * current thread. False: its user code runs, or it is idle. */
bool host_step(unsigned cpu);

/* Steps all CPUs, in an order that the seed gives, until no CPU has anything to do or `max` steps are
 * done. Returns the steps. */
unsigned host_settle(unsigned max);

/* An interrupt for the CPU, as arch_cpu_reschedule and arch_cpu_kick make it: what a test that calls
 * the kernel from outside sends afterwards. */
void host_interrupt(unsigned cpu, enum arch_vector vector);

/* Puts the CPU on its own: steps by itself, and calls `user` when its thread runs user code. */
typedef void (*host_user_fn)(struct thread *thread);
void host_cpus_start(host_user_fn user);
void host_cpus_stop(void);

void host_clock_advance(uint64_t ns);
/* The nearest deadline armed on any CPU; ARCH_TIME_NEVER. */
uint64_t host_next_deadline(void);

/* The thread's next instruction is the system call. */
void host_syscall(struct thread *thread, uint64_t number, uint64_t arg0, uint64_t arg1);
/* True once it has returned from it (result in arch_syscall's AX). */
bool host_syscall_done(const struct thread *thread, uint64_t *result_out);
/* The current thread of a CPU faults now. */
void host_fault(unsigned cpu, const struct arch_fault *fault);

/* User memory as the thread's own code sees it; NULL when not mapped so. Valid to the page's end. */
void *host_user(const struct arch_aspace *as, uint64_t address, bool write);

/* Device interrupts: edge, or the level as it is now. */
void host_irq_pulse(unsigned irq);
void host_irq_level(unsigned irq, bool active);
bool host_irq_masked(unsigned irq);

/* Port accesses go here; the default reads what was written last. */
struct host_ports {
    uint32_t (*in)(uint16_t port, unsigned width_bytes);
    void (*out)(uint16_t port, unsigned width_bytes, uint32_t value);
};
void host_set_ports(const struct host_ports *ports);

/* How the machine ended. The function must not return (a test ends its process in it); without
 * one, power off and reset exit with HOST_EXIT_*, a halt aborts. */
enum host_end { HOST_END_POWER_OFF, HOST_END_RESET, HOST_END_HALT };
enum { HOST_EXIT_POWER_OFF = 90, HOST_EXIT_RESET = 91 };
void host_on_end(void (*ended)(enum host_end how));

/* All that was written to the debug port and to the serial port since boot, NUL-terminated. */
const char *host_debug_text(void);
const char *host_serial_text(void);

/* Fault injection: arch_entropy fails; the debug port's text goes to standard error, too. */
void host_entropy_fail(bool fail);
void host_log_echo(bool echo);

#endif
