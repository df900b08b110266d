/* SPDX-License-Identifier: MIT */
/*
 * The host machine: memory, CPUs, clock, and the step that turns what is pending into a kernel entry.
 *
 * Stepped by one host thread, everything is deterministic. With a host thread per CPU, the fields
 * marked [a] in host_private.h are all that CPUs share here; a thread handed from one CPU to another
 * is handed over by arch_thread.on_cpu, as on a real machine.
 */
#include "host_private.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "core/panic.h"
#include "lib/base/string.h"

/* A stepped CPU that asks so often in one entry waits for another CPU: it is made to leave. */
enum { POLLS_MAX = 20 };

enum { RAM_START = 0x100000 }; /* low memory is not RAM here: address 0 is never a frame */

_Thread_local unsigned host_cpu_number;
void *host_cpu_locals[ARCH_CPU_MAX];
struct host_cpu host_cpus[ARCH_CPU_MAX];
unsigned host_cpu_count;

static struct boot_info boot_info;
static _Atomic uint64_t clock_ns;
static bool real_time;
static uint64_t start_ns;
static _Atomic uint64_t random_state;

static _Atomic bool cpus_running;
static pthread_t cpu_threads[ARCH_CPU_MAX];
static host_user_fn cpu_user;

/* ---- memory ---- */

static void add_memory(uint64_t base, uint64_t size, enum boot_memory_kind kind)
{
    boot_info.memory[boot_info.memory_count++] = (struct boot_memory){paddr(base), size, kind};
    boot_info.ram_bytes += size;
    boot_info.ram_end = paddr(base + size);
}

static void make_memory(const struct host_config *config)
{
    uint64_t module_bytes = page_ceil(config->module_bytes);
    uint64_t total = config->ram_bytes + module_bytes;
    void *ram = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED || !page_aligned(config->ram_bytes)) {
        abort();
    }
    host_direct_base = (uintptr_t)ram - RAM_START;
    add_memory(RAM_START, config->ram_bytes, BOOT_MEMORY_FREE);
    if (module_bytes != 0) {
        boot_info.module.base = boot_info.ram_end;
        boot_info.module.size_bytes = config->module_bytes;
        memcpy(arch_direct(boot_info.ram_end), config->module, config->module_bytes);
        add_memory(boot_info.ram_end.v, module_bytes, BOOT_MEMORY_MODULE);
    }
}

static uint64_t real_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void set_text(char *to, size_t size, const char *from)
{
    size_t n = strnlen(from, size - 1);
    memcpy(to, from, n);
    to[n] = '\0';
}

const struct boot_info *host_machine_init(const struct host_config *config)
{
    host_cpu_count = config->cpus;
    real_time = config->real_time;
    start_ns = real_ns();
    atomic_store_relaxed(&random_state, config->seed);
    for (unsigned i = 0; i < ARCH_CPU_MAX; i++) {
        atomic_store_relaxed(&host_cpus[i].deadline_ns, ARCH_TIME_NEVER);
    }
    make_memory(config);
    boot_info.rsdp = PADDR_NONE;
    for (unsigned i = 0; i < 4; i++) {
        boot_info.entropy_seed[i] = host_random();
    }
    boot_info.entropy_strong = true;
    set_text(boot_info.command_line, sizeof(boot_info.command_line),
             config->command_line != NULL ? config->command_line : "");
    set_text(boot_info.loader_name, sizeof(boot_info.loader_name), "host");
    return &boot_info;
}

/* ---- CPUs ---- */

void host_become(unsigned cpu)
{
    host_cpu_number = cpu;
}

struct thread *host_current(unsigned cpu)
{
    return host_cpus[cpu].current;
}

void arch_cpu_set_local(unsigned cpu, void *local)
{
    host_cpu_locals[cpu] = local;
}

unsigned arch_cpu_count(void)
{
    return host_cpu_count;
}

void arch_smp_start(void)
{
    unsigned self = host_cpu_number;
    for (unsigned i = 0; i < host_cpu_count; i++) {
        if (i != self) {
            host_become(i);
            host_cpu_set_first(i, kernel_cpu_main(i));
        }
    }
    host_become(self);
}

static void post(arch_cpu_mask_t cpus, enum arch_vector vector)
{
    for (unsigned i = 0; i < host_cpu_count; i++) {
        if (i != host_cpu_number && (cpus >> i & 1) != 0) {
            atomic_or_seq_cst(&host_cpus[i].pending, 1u << vector);
        }
    }
}

void host_interrupt(unsigned cpu, enum arch_vector vector)
{
    atomic_or_seq_cst(&host_cpus[cpu].pending, 1u << vector);
}

void arch_cpu_reschedule(arch_cpu_mask_t cpus)
{
    post(cpus, ARCH_VECTOR_RESCHEDULE);
}

void arch_cpu_kick(arch_cpu_mask_t cpus)
{
    post(cpus, ARCH_VECTOR_KICK);
}

static bool timer_due(const struct host_cpu *cpu)
{
    uint64_t deadline = atomic_load_relaxed(&cpu->deadline_ns);
    return deadline != ARCH_TIME_NEVER && deadline <= arch_time_ns();
}

bool arch_interrupt_pending(void)
{
    struct host_cpu *cpu = host_this();
    if (!atomic_load_relaxed(&cpus_running) && ++cpu->polls == POLLS_MAX) {
        return true;
    }
    bool pending = atomic_load_acquire(&cpu->pending) != 0 || timer_due(cpu);
    for (unsigned i = 0; i < HOST_DEVICE_WORDS; i++) {
        pending = pending || atomic_load_acquire(&cpu->devices[i]) != 0;
    }
    return pending;
}

void host_relax(void)
{
    sched_yield();
}

uint64_t host_cycles(void)
{
    return arch_time_ns();
}

void arch_cpu_halt(void)
{
    host_end(HOST_END_HALT);
}

/* Stepped, the others take their kicks now; on their own, they do so by themselves. */
void arch_tlb_wait(const struct arch_aspace *as, uint64_t ticket)
{
    unsigned self = host_cpu_number;
    for (unsigned i = 0; i < host_cpu_count && !atomic_load_relaxed(&cpus_running); i++) {
        host_become(i);
        host_tlb_acknowledge();
    }
    host_become(self);
    while (!arch_tlb_done(as, ticket)) {
        host_tlb_acknowledge();
        host_relax();
    }
}

/* ---- clock ---- */

uint64_t host_time_ns(void)
{
    return real_time ? real_ns() - start_ns : atomic_load_relaxed(&clock_ns);
}

void arch_timer_arm(uint64_t deadline_ns)
{
    atomic_store_relaxed(&host_this()->deadline_ns, deadline_ns);
}

uint64_t arch_wall_clock_s(void)
{
    return 0;
}

void host_clock_advance(uint64_t ns)
{
    atomic_add_relaxed(&clock_ns, ns);
}

uint64_t host_next_deadline(void)
{
    uint64_t nearest = ARCH_TIME_NEVER;
    for (unsigned i = 0; i < host_cpu_count; i++) {
        uint64_t deadline = atomic_load_relaxed(&host_cpus[i].deadline_ns);
        nearest = deadline < nearest ? deadline : nearest;
    }
    return nearest;
}

/* ---- randomness ---- */

static _Atomic bool entropy_fails;

/* splitmix64 */
uint64_t host_random(void)
{
    uint64_t z = atomic_add_relaxed(&random_state, UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void host_entropy_fail(bool fail)
{
    atomic_store_relaxed(&entropy_fails, fail);
}

bool arch_entropy(uint64_t *out)
{
    if (atomic_load_relaxed(&entropy_fails)) {
        return false;
    }
    *out = host_random();
    return true;
}

bool arch_entropy_present(void)
{
    return true;
}

/* ---- kernel entries ---- */

/* The entry that `cpu` made is over: it goes on with `next`. */
static void resume(struct host_cpu *cpu, struct thread *next)
{
    if (next == cpu->current) {
        return;
    }
    if (cpu->current != NULL) {
        atomic_store_release(&host_arch(cpu->current)->on_cpu, 0);
    }
    cpu->current = next;
    struct arch_thread *thread = host_arch(next);
    while (atomic_load_acquire(&thread->on_cpu) != 0) {
        host_relax();
    }
    atomic_store_relaxed(&thread->on_cpu, host_cpu_number + 1);
    if (thread->aspace != NULL) {
        host_aspace_load(thread->aspace);
    }
}

void host_cpu_set_first(unsigned cpu, struct thread *thread)
{
    unsigned self = host_cpu_number;
    host_become(cpu);
    resume(&host_cpus[cpu], thread);
    host_become(self);
}

/* Lowest pending vector, taken; false: none. The timer comes first, but not twice in a row when something else is
 * pending: a CPU that arms it for at once each time would never hear a kick. */
static bool take_vector(struct host_cpu *cpu, unsigned *vector_out)
{
    uint32_t pending = atomic_load_acquire(&cpu->pending);
    bool due = timer_due(cpu) && !(cpu->timer_was_last && pending != 0);
    cpu->timer_was_last = due;
    if (due) {
        atomic_store_relaxed(&cpu->deadline_ns, ARCH_TIME_NEVER);
        *vector_out = ARCH_VECTOR_TIMER;
        return true;
    }
    if (pending != 0) {
        *vector_out = (unsigned)__builtin_ctz(pending);
        atomic_and_acq_rel(&cpu->pending, ~(1u << *vector_out));
        return true;
    }
    for (unsigned i = 0; i < HOST_DEVICE_WORDS; i++) {
        uint64_t devices = atomic_load_acquire(&cpu->devices[i]);
        if (devices != 0) {
            unsigned bit = (unsigned)__builtin_ctzll(devices);
            atomic_and_acq_rel(&cpu->devices[i], ~(UINT64_C(1) << bit));
            *vector_out = ARCH_VECTOR_DEVICE + i * 64 + bit;
            return true;
        }
    }
    return false;
}

/* A kick that finds an address space loaded without a thread of it lets go of it. */
static void take_kick(struct host_cpu *cpu)
{
    const struct arch_thread *current = cpu->current != NULL ? host_arch(cpu->current) : NULL;
    if (current == NULL || current->aspace != atomic_load_relaxed(&cpu->loaded)) {
        host_aspace_load(NULL);
    }
    host_tlb_acknowledge();
}

static bool step_here(void)
{
    struct host_cpu *cpu = host_this();
    unsigned vector;
    cpu->polls = 0;
    if (take_vector(cpu, &vector)) {
        if (vector == ARCH_VECTOR_KICK) {
            take_kick(cpu);
        }
        resume(cpu, kernel_interrupt(cpu->current, vector));
        return true;
    }
    struct arch_thread *thread = host_arch(cpu->current);
    if (!thread->is_idle && thread->wants_syscall) {
        thread->wants_syscall = false;
        resume(cpu, kernel_syscall(cpu->current));
        return true;
    }
    return false;
}

bool host_step(unsigned cpu)
{
    unsigned self = host_cpu_number;
    host_become(cpu);
    bool stepped = step_here();
    host_become(self);
    return stepped;
}

unsigned host_settle(unsigned max)
{
    unsigned steps = 0;
    bool any = true;
    while (any && steps < max) {
        unsigned first = (unsigned)(host_random() % host_cpu_count);
        any = false;
        for (unsigned i = 0; i < host_cpu_count; i++) {
            if (host_step((first + i) % host_cpu_count)) {
                any = true;
                steps++;
            }
        }
    }
    return steps;
}

void host_syscall(struct thread *thread, uint64_t number, uint64_t arg0, uint64_t arg1)
{
    struct arch_thread *arch = host_arch(thread);
    arch->r[HOST_AX] = number;
    arch->r[HOST_DI] = arg0;
    arch->r[HOST_SI] = arg1;
    arch->wants_syscall = true;
}

bool host_syscall_done(const struct thread *thread, uint64_t *result_out)
{
    const struct arch_thread *arch = host_arch_const(thread);
    if (arch->wants_syscall || atomic_load_acquire(&arch->on_cpu) == 0) {
        return false;
    }
    *result_out = arch->r[HOST_AX];
    return true;
}

void host_fault(unsigned cpu, const struct arch_fault *fault)
{
    unsigned self = host_cpu_number;
    host_become(cpu);
    resume(host_this(), kernel_fault(host_this()->current, fault));
    host_become(self);
}

/* ---- CPUs on their own ---- */

static void *cpu_loop(void *number)
{
    host_become((unsigned)(uintptr_t)number);
    struct host_cpu *cpu = host_this();
    while (atomic_load_acquire(&cpus_running)) {
        if (step_here()) {
            continue;
        }
        if (host_arch(cpu->current)->is_idle) {
            host_relax();
        } else {
            cpu_user(cpu->current);
        }
    }
    return NULL;
}

void host_cpus_start(host_user_fn user)
{
    cpu_user = user;
    atomic_store_release(&cpus_running, true);
    for (uintptr_t i = 0; i < host_cpu_count; i++) {
        if (pthread_create(&cpu_threads[i], NULL, cpu_loop, (void *)i) != 0) {
            abort();
        }
    }
}

void host_cpus_stop(void)
{
    atomic_store_release(&cpus_running, false);
    for (unsigned i = 0; i < host_cpu_count; i++) {
        pthread_join(cpu_threads[i], NULL);
    }
}
