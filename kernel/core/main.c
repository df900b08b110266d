/* SPDX-License-Identifier: MIT */
/*
 * Boot and entry: kernel_main brings the portable kernel up and starts init, the only process the
 * kernel starts; kernel_syscall and kernel_interrupt are doors from the port (object/fault.c has the third).
 */
#include "core/main.h"

#include "abi/syscall.h"
#include "arch/arch.h"
#include "core/archive.h"
#include "core/cmdline.h"
#include "core/log.h"
#include "core/panic.h"
#include "core/step.h"
#include "core/trace.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "ipc/fast.h"
#include "lib/base/string.h"
#include "mem/frames.h"
#include "object/boot_package.h"
#include "object/entropy.h"
#include "object/grant_handle.h"
#include "object/interrupt.h"
#include "object/invoke.h"
#include "object/io_ports.h"
#include "object/kernel_log.h"
#include "object/kernel_trace.h"
#include "object/power.h"
#include "object/process.h"
#include "object/root.h"
#include "object/spawn.h"
#include "ring/ring.h"
#include "sched/cpu.h"
#include "sched/sched.h"

static struct kernel_roots roots;

/* The root ledger holds all of the machine; counts that memory bounds anyway are given freely. */
static struct ledger *make_root_ledger(void)
{
    uint64_t limits[LEDGER_CLASSES];
    for (unsigned i = 0; i < LEDGER_CLASSES; i++) {
        limits[i] = UINT64_C(1) << 40;
    }
    limits[LEDGER_CLASS_FRAMES] = frames_total_count();
    limits[LEDGER_CLASS_KERNEL_PAGES] = frames_total_count();
    limits[LEDGER_CLASS_CPU_NS] = arch_cpu_count() * UINT64_C(1000000000);
    return ledger_create_root(limits);
}

const struct kernel_roots *kernel_setup(const struct boot_info *boot)
{
    ipc_fast_enable(!cmdline_has(boot->command_line, "fast=off"));
    if (cmdline_has(boot->command_line, "quiet")) {
        log_quiet();
    }
    frames_init(boot);
    cpus_init(arch_cpu_count());
    roots.ledger = make_root_ledger();
    roots.grant = grant_create_root(roots.ledger, "boot");
    entropy_init(boot);
    session_init();
    processes_init();
    return &roots;
}

static void describe_machine(const struct boot_info *boot)
{
    klog("capOS on %u CPU%s, %llu MiB of memory, loaded by %s", arch_cpu_count(),
         arch_cpu_count() == 1 ? "" : "s", (unsigned long long)(boot->ram_bytes >> 20),
         boot->loader_name[0] != '\0' ? boot->loader_name : "an unnamed loader");
    klog("command line: %s", boot->command_line);
}

/* ---- init ---- */

typedef status_t (*root_create_fn)(struct kobj **out);

static status_t timer_root(struct kobj **out)
{
    return root_object_create(KTYPE_TIMER, out);
}

static status_t spawner_root(struct kobj **out)
{
    return root_object_create(KTYPE_PROCESS_SPAWNER, out);
}

static status_t scheduling_root(struct kobj **out)
{
    return root_object_create(KTYPE_SCHEDULING_POLICY, out);
}

static status_t grants_root(struct kobj **out)
{
    return grant_handle_create_root(roots.grant, out);
}

/* What init holds: roots of the machine and its own objects. */
static const struct {
    const char *name;
    uint8_t ktype;
    root_create_fn create; /* NULL: an object of its own */
} init_grants[] = {
    {"boot", KTYPE_BOOT_PACKAGE, boot_package_create},
    {"spawner", KTYPE_PROCESS_SPAWNER, spawner_root},
    {"ledger", KTYPE_LEDGER, NULL},
    {"ioports", KTYPE_IO_PORTS_ROOT, io_ports_root_create},
    {"interrupts", KTYPE_INTERRUPT_ROOT, interrupt_root_create},
    {"timer", KTYPE_TIMER, timer_root},
    {"entropy", KTYPE_ENTROPY, entropy_create},
    {"log", KTYPE_KERNEL_LOG, kernel_log_create},
    {"power", KTYPE_POWER, power_create},
    {"memory", KTYPE_VIRTUAL_MEMORY, NULL},
    {"capabilities", KTYPE_CAPABILITY_MANAGER, NULL},
    {"grants", KTYPE_GRANT_HANDLE, grants_root},
    {"sessions", KTYPE_SESSION_FACTORY, session_factory_create},
    {"scheduling", KTYPE_SCHEDULING_POLICY, scheduling_root},
};

enum { INIT_GRANTS = sizeof(init_grants) / sizeof(init_grants[0]) };

/* The creator's ref stays for good: roots are never destroyed. */
static status_t give_init(struct build *build, struct capability given[INIT_GRANTS])
{
    const struct capnp_text origin = {.ptr = "boot", .len = 4};
    for (unsigned i = 0; i < INIT_GRANTS; i++) {
        uint8_t ktype = init_grants[i].ktype;
        const struct kernel_interface *interface = &kernel_interfaces[ktype];
        const struct capnp_text name = {.ptr = init_grants[i].name,
                                        .len = (uint32_t)strlen(init_grants[i].name)};
        bool own = init_grants[i].create == NULL;
        given[i] = (struct capability){
            .route = roots.grant,
            .facet = interface->facet_all,
            .interface = interface->id,
            .ktype = ktype,
            .mode = interface->mode,
            .scope = interface->scope,
        };
        status_t status = own ? ST_OK : init_grants[i].create(&given[i].object);
        if (status != ST_OK) {
            return status;
        }
        spawn_add(build, name, origin, interface->id, 0, own ? ktype : 0, (uint16_t)i);
    }
    return ST_OK;
}

/* init's share: all of the machine but a sixteenth of its memory for the kernel, and of its time for
 * those without a budget. */
static void init_limits(uint64_t limits[LEDGER_CLASSES])
{
    for (unsigned i = 0; i < LEDGER_CLASSES; i++) {
        limits[i] = UINT64_C(1) << 32;
    }
    uint64_t frames = frames_free_count();
    limits[LEDGER_CLASS_FRAMES] = frames / 4 * 3;
    limits[LEDGER_CLASS_KERNEL_PAGES] = frames / 16 * 3;
    limits[LEDGER_CLASS_CPU_NS] = roots.ledger->limit[LEDGER_CLASS_CPU_NS] / 16 * 15;
}

static status_t start_init(void)
{
    static struct capability given[INIT_GRANTS];
    struct spawn_request req = {
        .name = "init",
        .parent = roots.ledger,
        .session = session_boot(),
        .route = roots.grant,
        .ring_entries = 256,
        .stack_bytes = 131072,
        .given = given,
    };
    struct build *build;
    struct process *init;
    init_limits(req.limits);
    status_t status = archive_open_now("init", &req.image);
    if (status == ST_OK) {
        status = spawn_begin(&req, &build);
    }
    if (status == ST_OK) {
        status = give_init(build, given);
    }
    if (status == ST_OK) {
        status = spawn_now(build, &init);
    }
    if (status == ST_OK) {
        init->is_init = true;
        kobj_unref(&init->obj);
    }
    return status;
}

/* What is in use: all of memory but what is free and the boot archive; so the kernel's image, tables
 * and firmware's holes count. One line for each figure that the benchmark reads. */
static void report_boot(const struct boot_info *boot)
{
    uint64_t free_kib = frames_free_count() * (PAGE_BYTES / 1024);
    uint64_t archive_kib = page_ceil(boot->module.size_bytes) / 1024;
    unsigned long long used = boot->ram_bytes / 1024 - archive_kib - free_kib;
    unsigned long long cycles = (unsigned long long)arch_cycles();
    klog("memory: %llu KiB in use, %llu KiB for programs, boot archive %llu KiB", used,
         (unsigned long long)free_kib, (unsigned long long)archive_kib);
    klog("@bench mem.init %llu KiB 1 %llu %llu", used, used, used);
    klog("@bench boot.init %llu instr 1 %llu %llu", cycles, cycles, cycles);
}

/* Nothing can be done without init: the machine says why and stops. */
NORETURN static void halt_without_init(status_t status)
{
    klog("init cannot start: %s (%s)", status_name(status), status_text(status));
    klog("the boot archive must hold a program named init: see docs/reference/boot.md");
    log_tell_end();
    arch_debug_exit(0x20);
    arch_halt_all();
}

#ifdef CAPOS_DEBUG
/* Uses the stack up, for the test of what the kernel then says. Comes back only where no guard is. */
NOINLINE static uint64_t fall_off_the_stack(uint64_t deeper)
{
    volatile uint64_t here[16] = {deeper};
    return deeper == 0 ? 0 : fall_off_the_stack(deeper - 1) + here[0];
}
#endif

struct thread *kernel_main(const struct boot_info *boot)
{
    (void)kernel_setup(boot);
    describe_machine(boot);
    archive_init(boot);
    arch_smp_start();
    status_t status = start_init();
    if (status != ST_OK) {
        halt_without_init(status);
    }
    report_boot(boot);
#ifdef CAPOS_DEBUG
    if (cmdline_has(boot->command_line, "test=stack")) {
        (void)fall_off_the_stack(PAGE_BYTES);
    }
#endif
    return sched_next(&cpu_this()->idle);
}

struct thread *kernel_cpu_main(unsigned id)
{
    return sched_next(&cpu_of(id)->idle);
}

/* ---- doors ---- */

/* What this CPU resumes: the end of the step that the door began. */
static ALWAYS_INLINE struct thread *leave(struct thread *thread)
{
    struct cpu *cpu = cpu_this();
    cpu->interrupted = true;
    struct thread *next = sched_next(thread);
    cpu->interrupted = false;
    STEP(end());
    cpu_leave_kernel(cpu);
    return next;
}

struct thread *kernel_syscall(struct thread *thread)
{
    STEP(begin((uintptr_t)kernel_syscall));
    struct cpu *cpu = cpu_this();
    cpu_enter_kernel(cpu);
    uint64_t number = arch_syscall_number(&thread->arch);
    if (UNLIKELY(session_is_closed(thread->process->session))) {
        process_end(thread->process, PROCESS_ENDED_TERMINATED, -1, NULL);
    } else if (LIKELY(number == CAPOS_SYS_ENTER)) {
        ring_enter(thread->ring, arch_syscall_arg(&thread->arch, 0),
                   arch_syscall_arg(&thread->arch, 1));
    } else if (number == CAPOS_SYS_EXIT &&
               arch_syscall_arg(&thread->arch, 1) == CAPOS_EXIT_THREAD) {
        thread_exit(thread, (int64_t)arch_syscall_arg(&thread->arch, 0));
    } else if (number == CAPOS_SYS_EXIT) {
        process_end(thread->process, PROCESS_ENDED_EXIT,
                    (int64_t)arch_syscall_arg(&thread->arch, 0), NULL);
    } else {
        arch_syscall_set_result(&thread->arch, (uint64_t)(int64_t)ST_UNSUPPORTED);
    }
    struct thread *next = LIKELY(cpu->attention == 0) ? cpu->current : sched_choose(cpu->current);
    STEP(end());
    cpu_leave_kernel(cpu);
    return next;
}

struct thread *kernel_interrupt(struct thread *thread, unsigned vector)
{
    struct cpu *cpu = cpu_this();
    STEP(begin((uintptr_t)kernel_interrupt));
    trace_note(TRACE_INTERRUPT, vector, thread->obj.id);
    cpu_enter_kernel(cpu);
    if (vector == ARCH_VECTOR_TIMER) {
        uint64_t now_ns = arch_time_ns();
        sched_tick(now_ns);
        if (timers_expire(now_ns)) {
            cpu->attention |= CPU_REARM;
        }
    } else if (vector == ARCH_VECTOR_RESCHEDULE) {
        cpu->attention |= CPU_RESCHED;
    } else if (vector >= ARCH_VECTOR_DEVICE) {
        interrupt_fire(vector - ARCH_VECTOR_DEVICE);
    }
    return leave(thread);
}
