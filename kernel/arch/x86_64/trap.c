/* SPDX-License-Identifier: MIT */
/* What entry.S found: sorts exceptions and interrupts, from user mode, from idle, from the kernel. */
#include "trap.h"

#include "apic.h"
#include "arch/arch.h"
#include "percpu.h"
#include "smp.h"
#include "x86.h"

/* A user copy's instruction range and where to go on when it faults. */
struct copy_fixup {
    uint64_t start, end, resume;
};

extern const struct copy_fixup copy_fixups_start[], copy_fixups_end[];

const struct trap_regs *trap_reported[ARCH_CPU_MAX];

enum {
    ERROR_PRESENT = 1,
    ERROR_WRITE = 2,
    ERROR_FETCH = 16,
};

static enum arch_fault_kind fault_kind(unsigned vector)
{
    switch (vector) {
    case 0: /* divide */
    case 4: /* overflow */
    case 5: /* bound */
        return ARCH_FAULT_ARITHMETIC;
    case VECTOR_DEBUG:
        return ARCH_FAULT_STEP;
    case 3:
        return ARCH_FAULT_BREAKPOINT;
    case 6:
        return ARCH_FAULT_ILLEGAL;
    case 10:
    case 11:
    case 12:
    case 13:
        return ARCH_FAULT_PROTECTION;
    case VECTOR_PAGE_FAULT:
        return ARCH_FAULT_PAGE;
    case 16:
    case 19:
        return ARCH_FAULT_FLOAT;
    case 17:
        return ARCH_FAULT_ALIGNMENT;
    default:
        return ARCH_FAULT_MACHINE;
    }
}

static struct thread *user_fault(struct thread *thread, unsigned vector, uint64_t error)
{
    const struct arch_thread *t = (const struct arch_thread *)thread;
    struct arch_fault fault = {
        .kind = fault_kind(vector),
        .code = vector << 16 | (uint32_t)(error & 0xffff),
        .address = uaddr(t->frame.rip),
    };
    if (vector == VECTOR_PAGE_FAULT) {
        fault.address = uaddr(read_cr2());
        fault.present = (error & ERROR_PRESENT) != 0;
        fault.write = (error & ERROR_WRITE) != 0;
        fault.execute = (error & ERROR_FETCH) != 0;
    }
    return kernel_fault(thread, &fault);
}

static struct thread *interrupt(struct thread *thread, unsigned vector)
{
    unsigned logical;
    return irq_accept(vector, &logical) ? kernel_interrupt(thread, logical) : thread;
}

struct thread *trap_user(struct thread *thread, unsigned vector, uint64_t error)
{
    switch (vector) {
    case VECTOR_NMI:
        smp_nmi();
        return thread;
    case VECTOR_MACHINE_CHECK:
        panic("machine check in a program: ip %#llx",
              (unsigned long long)((const struct arch_thread *)thread)->frame.rip);
    case VECTOR_DOUBLE_FAULT:
        panic("double fault");
    default:
        return vector < VECTOR_EXCEPTIONS ? user_fault(thread, vector, error)
                                          : interrupt(thread, vector);
    }
}

struct thread *trap_idle(struct thread *thread, unsigned vector)
{
    return interrupt(thread, vector);
}

/* A user thread whose instruction pointer is no user address: the machine let it run there. */
struct thread *trap_bad_ip(struct thread *thread)
{
    return user_fault(thread, 13, 0);
}

static bool fix_user_copy(struct trap_regs *regs)
{
    for (const struct copy_fixup *f = copy_fixups_start; f < copy_fixups_end; f++) {
        if (regs->rip >= f->start && regs->rip < f->end) {
            regs->rip = f->resume;
            return true;
        }
    }
    return false;
}

NORETURN static void report(const struct trap_regs *regs, const char *what)
{
    trap_reported[arch_cpu_id()] = regs;
    panic("%s in the kernel: vector %u, error %#llx, ip %#llx, address %#llx", what,
          (unsigned)regs->vector, (unsigned long long)regs->error, (unsigned long long)regs->rip,
          (unsigned long long)read_cr2());
}

void trap_kernel(struct trap_regs *regs)
{
    if (regs->vector == VECTOR_PAGE_FAULT && fix_user_copy(regs)) {
        return;
    }
    report(regs, regs->vector < VECTOR_EXCEPTIONS ? "fault" : "interrupt");
}

/* A page fault that could not be delivered: the stack to push it on is used up. */
static bool stack_is_used_up(void)
{
    return this_cpu()->stack_top - KERNEL_STACK_BYTES - 1 - read_cr2() < PAGE_BYTES;
}

void trap_paranoid(struct trap_regs *regs)
{
    switch (regs->vector) {
    case VECTOR_NMI:
        smp_nmi();
        return;
    case VECTOR_DOUBLE_FAULT:
        report(regs, stack_is_used_up() ? "the kernel stack ran into its guard page: double fault"
                                        : "double fault");
    case VECTOR_MACHINE_CHECK:
        report(regs, "machine check");
    default:
        report(regs, "debug trap");
    }
}
