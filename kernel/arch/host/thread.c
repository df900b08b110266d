/* SPDX-License-Identifier: MIT */
/* Threads of the host machine: register files that the test reads and writes. */
#include "arch/thread.h"

#include "arch/mmu.h"
#include "host_private.h"

#include "lib/base/string.h"

enum { FPU_BYTES = 512 };

size_t arch_fpu_size(void)
{
    return FPU_BYTES;
}

void arch_thread_init(struct arch_thread *thread, struct arch_aspace *aspace, void *fpu,
                      struct uaddr entry, struct uaddr stack, uint64_t arg0, uint64_t arg1)
{
    memset(thread, 0, sizeof(*thread));
    thread->aspace = aspace;
    thread->fpu = fpu;
    thread->r[HOST_IP] = entry.v;
    thread->r[HOST_SP] = stack.v;
    thread->r[HOST_DI] = arg0;
    thread->r[HOST_SI] = arg1;
    memset(fpu, 0, FPU_BYTES);
}

void arch_thread_init_idle(struct arch_thread *thread, unsigned cpu)
{
    (void)cpu;
    memset(thread, 0, sizeof(*thread));
    thread->is_idle = true;
}

void arch_idle_aspace(struct arch_thread *idle, struct arch_aspace *aspace)
{
    idle->aspace = aspace;
    if (atomic_load_relaxed(&host_this()->loaded) != aspace) {
        host_aspace_load(aspace);
    }
}

bool arch_thread_detach(struct arch_thread *thread)
{
    struct host_cpu *cpu = host_this();
    uint32_t holder = atomic_load_acquire(&thread->on_cpu);
    if (holder == 0) {
        return true;
    }
    if (holder != host_cpu_number + 1) {
        return false;
    }
    if (cpu->current != NULL && host_arch(cpu->current) == thread) {
        cpu->current = NULL;
    }
    atomic_store_release(&thread->on_cpu, 0);
    return true;
}

void arch_thread_let_go(void)
{
    struct host_cpu *cpu = host_this();
    if (cpu->current != NULL) {
        atomic_store_release(&host_arch(cpu->current)->on_cpu, 0);
        cpu->current = NULL;
    }
}

void arch_syscall_restart(struct arch_thread *thread)
{
    thread->wants_syscall = true;
}

void arch_syscall_set_arg(struct arch_thread *thread, unsigned index, uint64_t value)
{
    thread->r[index == 0 ? HOST_DI : HOST_SI] = value;
}

bool arch_thread_set_tls(struct arch_thread *thread, struct uaddr base)
{
    if (base.v >= ARCH_USER_END) {
        return false;
    }
    thread->tls = base.v;
    return true;
}

struct uaddr arch_thread_tls(const struct arch_thread *thread)
{
    return uaddr(thread->tls);
}

struct uaddr arch_thread_ip(const struct arch_thread *thread)
{
    return uaddr(thread->r[HOST_IP]);
}

struct uaddr arch_thread_sp(const struct arch_thread *thread)
{
    return uaddr(thread->r[HOST_SP]);
}

void arch_thread_get_regs(const struct arch_thread *thread, struct arch_regs *out)
{
    memcpy(out->r, thread->r, sizeof(out->r));
}

bool arch_thread_set_regs(struct arch_thread *thread, const struct arch_regs *regs)
{
    if (regs->r[HOST_IP] >= ARCH_USER_END) {
        return false;
    }
    memcpy(thread->r, regs->r, sizeof(thread->r));
    return true;
}

void arch_thread_set_step(struct arch_thread *thread, bool on)
{
    thread->r[HOST_FLAGS] = (thread->r[HOST_FLAGS] & ~HOST_FLAG_STEP) | (on ? HOST_FLAG_STEP : 0);
}
