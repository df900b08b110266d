/* SPDX-License-Identifier: MIT */
/*
 * Threads on this machine: making them, looking into them, switching between them.
 *
 * A thread's frame is in memory from the entry on; its extended state (and nothing else) stays in
 * the registers until switch_to. on_cpu guards exactly that:
 * T1: on_cpu = 1 + c while CPU c holds state that is not in memory; only c stores it to 0, after the
 *     save, with release; a CPU that takes the thread waits for 0 with acquire.
 * T2: switch_to lets go of the old thread before it waits for the new one, so CPUs that swap two
 *     threads do not wait for each other.
 * T3: a saved state may still equal the registers of the CPU that saved it: fpu_cpu says which, and
 *     that CPU's fpu_last says whose. Both must agree for a restore to be left out.
 */
#include "arch/arch.h"
#include "aspace.h"
#include "fpu.h"
#include "lib/base/string.h"
#include "percpu.h"
#include "trap.h"
#include "x86.h"

void arch_thread_init(struct arch_thread *thread, struct arch_aspace *aspace, void *fpu,
                      struct uaddr entry, struct uaddr stack, uint64_t arg0, uint64_t arg1)
{
    memset(&thread->frame, 0, sizeof(thread->frame));
    thread->frame.kind = ARCH_FRAME_TRAP;
    thread->frame.rip = entry.v;
    thread->frame.rsp = stack.v;
    thread->frame.rdi = arg0;
    thread->frame.rsi = arg1;
    thread->frame.rflags = RFLAGS_FIXED | RFLAGS_IF;
    thread->aspace = aspace;
    thread->fpu = fpu;
    thread->fs_base = 0;
    thread->fpu_cpu = 0;
    atomic_store_relaxed(&thread->on_cpu, 0);
    fpu_init(fpu);
}

void arch_thread_init_idle(struct arch_thread *thread, unsigned cpu)
{
    (void)cpu;
    memset(&thread->frame, 0, sizeof(thread->frame));
    thread->frame.kind = ARCH_FRAME_IDLE;
    thread->aspace = NULL;
    thread->fpu = NULL;
    thread->fs_base = 0;
    thread->fpu_cpu = 0;
    atomic_store_relaxed(&thread->on_cpu, 0);
}

COLD void arch_idle_aspace(struct arch_thread *idle, struct arch_aspace *aspace)
{
    struct cpu_block *cpu = this_cpu();
    idle->aspace = aspace;
    if (atomic_load_relaxed(&cpu->loaded) == aspace) {
        return;
    }
    if (aspace == NULL) {
        aspace_let_go(cpu);
    } else {
        aspace_load(cpu, aspace);
    }
}

bool arch_thread_detach(struct arch_thread *thread)
{
    struct cpu_block *cpu = this_cpu();
    if (cpu->current == thread) {
        cpu->current = NULL;
        atomic_store_release(&thread->on_cpu, 0);
    }
    if (cpu->fpu_last == thread) {
        cpu->fpu_last = NULL;
    }
    return atomic_load_acquire(&thread->on_cpu) == 0;
}

static ALWAYS_INLINE void let_go(struct cpu_block *cpu)
{
    struct arch_thread *old = cpu->current;
    if (old != NULL && old->fpu != NULL) {
        fpu_save(old->fpu);
        old->fpu_cpu = cpu->tag;
        cpu->fpu_last = old;
        atomic_store_release(&old->on_cpu, 0);
    }
}

void arch_thread_let_go(void)
{
    struct cpu_block *cpu = this_cpu();
    let_go(cpu);
    cpu->current = NULL;
}

static ALWAYS_INLINE void take(struct cpu_block *cpu, struct arch_thread *next)
{
    atomic_store_relaxed(&next->on_cpu, cpu->tag);
    if (atomic_load_relaxed(&cpu->loaded) != next->aspace) {
        aspace_load(cpu, next->aspace);
    }
    if (cpu->fpu_last != next || next->fpu_cpu != cpu->tag) {
        fpu_restore(next->fpu);
        cpu->fpu_last = NULL; /* what the registers held is gone, whoever's it was */
    }
    write_msr(MSR_FS_BASE, next->fs_base);
}

/* Another CPU still has it. Apart, so that the usual way saves no registers. */
NOINLINE static void wait_and_take(struct cpu_block *cpu, struct arch_thread *next)
{
    while (atomic_load_acquire(&next->on_cpu) != 0) {
        aspace_catch_up(cpu); /* whoever has it may be waiting for just that */
        arch_cpu_relax();
    }
    take(cpu, next);
}

/* Called by entry.S with the thread to resume when it is not the one that entered. */
void switch_to(struct arch_thread *next)
{
    struct cpu_block *cpu = this_cpu();
    let_go(cpu);
    cpu->current = next;
    if (next->fpu == NULL) {
        return;
    }
    if (UNLIKELY(atomic_load_acquire(&next->on_cpu) != 0)) {
        wait_and_take(cpu, next);
        return;
    }
    take(cpu, next);
}

/* After a system call frame became a full one: what SYSRET would have zeroed is zero. */
static void make_full(struct arch_frame *frame)
{
    if (frame->kind == ARCH_FRAME_SYSCALL) {
        frame->kind = ARCH_FRAME_TRAP;
        frame->rcx = frame->rdx = frame->rsi = frame->rdi = 0;
        frame->r8 = frame->r9 = frame->r10 = frame->r11 = 0;
    }
}

void arch_syscall_restart(struct arch_thread *thread)
{
    enum { SYSCALL_BYTES = 2 };
    struct arch_frame *frame = &thread->frame;
    uint64_t rdi = frame->rdi, rsi = frame->rsi;
    make_full(frame);
    frame->rdi = rdi;
    frame->rsi = rsi;
    frame->rip -= SYSCALL_BYTES;
}

void arch_syscall_set_arg(struct arch_thread *thread, unsigned index, uint64_t value)
{
    if (index == 0) {
        thread->frame.rdi = value;
    } else {
        thread->frame.rsi = value;
    }
}

bool arch_thread_set_tls(struct arch_thread *thread, struct uaddr base)
{
    if (base.v > ARCH_USER_END) {
        return false;
    }
    thread->fs_base = base.v;
    if (this_cpu()->current == thread) {
        write_msr(MSR_FS_BASE, base.v);
    }
    return true;
}

struct uaddr arch_thread_tls(const struct arch_thread *thread)
{
    return uaddr(thread->fs_base);
}

struct uaddr arch_thread_ip(const struct arch_thread *thread)
{
    return uaddr(thread->frame.rip);
}

struct uaddr arch_thread_sp(const struct arch_thread *thread)
{
    return uaddr(thread->frame.rsp);
}

static_assert(offsetof(struct arch_frame, rsp) == ARCH_REG_SP * sizeof(uint64_t) &&
                  offsetof(struct arch_frame, rip) == ARCH_REG_IP * sizeof(uint64_t) &&
                  offsetof(struct arch_frame, kind) == ARCH_REGS_COUNT * sizeof(uint64_t),
              "a frame begins with the registers in a debugger's order");

COLD void arch_thread_get_regs(const struct arch_thread *thread, struct arch_regs *out)
{
    memcpy(out->r, &thread->frame, sizeof(out->r));
    if (thread->frame.kind == ARCH_FRAME_SYSCALL) { /* as make_full has it */
        memset(&out->r[2], 0, 4 * sizeof(out->r[0]));
        memset(&out->r[8], 0, 4 * sizeof(out->r[0]));
    }
}

COLD void arch_thread_set_step(struct arch_thread *thread, bool on)
{
    thread->frame.rflags = (thread->frame.rflags & ~RFLAGS_TF) | (on ? RFLAGS_TF : 0);
}

COLD bool arch_thread_set_regs(struct arch_thread *thread, const struct arch_regs *regs)
{
    struct arch_frame *frame = &thread->frame;
    if (regs->r[ARCH_REG_IP] >= ARCH_USER_END || frame->kind == ARCH_FRAME_IDLE) {
        return false;
    }
    memcpy(frame, regs->r, sizeof(regs->r));
    frame->rflags = (frame->rflags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF;
    frame->kind = ARCH_FRAME_TRAP;
    return true;
}
