/* SPDX-License-Identifier: MIT */
/*
 * Theory: a CPU's ready list is FIFO. A thread that runs while others wait gets a slice; the timer
 * is armed only then, or for a deadline. A woken thread goes to the CPU it last ran on; a CPU that
 * goes idle takes the newest thread of the longest queue; a CPU whose queue grows beyond one while
 * others idle calls one of them. The first thread that an entry wakes on its own CPU waits in
 * `handoff`: when who entered then blocks, it goes on in the same slice, without a queue; else it is
 * queued before the entry ends.
 *
 * Jobs get one slice per pass through here, and a pass comes at least every JOB_TICK_NS while jobs
 * wait; a CPU with no ready thread runs them until an interrupt is pending.
 */
#include "sched/sched.h"

#include "arch/arch.h"
#include "core/job.h"
#include "core/panic.h"
#include "core/step.h"
#include "core/trace.h"
#include "object/debugger.h"
#include "object/kernel_trace.h"
#include "object/process.h"
#include "mem/frames.h"
#include "ring/wait.h"
#include "sched/cpu.h"

#define JOB_TICK_NS UINT64_C(1000000)

static struct cpu *cpus[ARCH_CPU_MAX]; /* [I] carved at boot, for the CPUs that are there */
static _Atomic arch_cpu_mask_t idle_mask;

struct cpu *cpu_of(unsigned id)
{
    return cpus[id];
}

void cpus_init(unsigned count)
{
    for (unsigned id = 0; id < count; id++) {
        struct cpu *cpu = frames_carve(sizeof(*cpu));
        cpus[id] = cpu;
        cpu->id = id;
        cpu->slice_end_ns = ARCH_TIME_NEVER;
        lock_init(&cpu->queue_lock, LOCK_RUN_QUEUE);
        lock_init(&cpu->timers.lock, LOCK_TIMER);
        lock_init(&cpu->jobs_lock, LOCK_JOBS);
        cpu->timers.armed_ns = ARCH_TIME_NEVER;
        list_init(&cpu->ready);
        list_init(&cpu->jobs);
        list_node_init(&cpu->scans.mark);
        job_init(&cpu->scans.job, kobj_scan_slice);
        arch_thread_init_idle(&cpu->idle.arch, id);
        list_node_init(&cpu->idle.queue_link);
        atomic_store_relaxed(&cpu->idle.state, THREAD_RUNNING);
        cpu->current = &cpu->idle;
        arch_cpu_set_local(id, cpu);
    }
}

static arch_cpu_mask_t bit_of(unsigned id)
{
    return (arch_cpu_mask_t)1 << id;
}

/* A sequence of 0 is even, so it stands for none. */
bool grace_passed(struct grace *grace)
{
    for (; grace->cpu < arch_cpu_count(); grace->cpu++) {
        struct cpu *cpu = cpus[grace->cpu];
        uint64_t sequence = atomic_load_seq_cst(&cpu->sequence);
        if (cpu == cpu_this() || sequence % 2 == 0) {
            grace->sequence = 0;
        } else if (grace->sequence == 0) {
            grace->sequence = sequence;
            arch_cpu_kick(bit_of(cpu->id));
            return false;
        } else if (grace->sequence == sequence) {
            return false;
        } else {
            grace->sequence = 0;
        }
    }
    *grace = (struct grace){.cpu = 0};
    return true;
}

static void enqueue(struct cpu *cpu, struct thread *thread)
{
    lock_acquire(&cpu->queue_lock);
    KASSERT(!list_linked(&thread->queue_link));
    atomic_store_relaxed(&thread->cpu, (uint16_t)cpu->id);
    atomic_store_relaxed(&thread->state, THREAD_READY);
    list_push_back(&cpu->ready, &thread->queue_link);
    atomic_add_relaxed(&cpu->ready_count, 1);
    lock_release(&cpu->queue_lock);
}

static struct thread *dequeue(struct cpu *cpu, bool newest)
{
    lock_acquire(&cpu->queue_lock);
    struct list_node *node = newest ? list_last(&cpu->ready) : list_first(&cpu->ready);
    if (node != NULL) {
        list_remove(node);
        atomic_sub_relaxed(&cpu->ready_count, 1);
    }
    lock_release(&cpu->queue_lock);
    return node == NULL ? NULL : list_entry(node, struct thread, queue_link);
}

/* Calls one idle CPU to come and steal. */
static void call_idle_cpu(void)
{
    arch_cpu_mask_t idle = atomic_load_relaxed(&idle_mask);
    if (idle != 0) {
        arch_cpu_reschedule(idle & (~idle + 1));
    }
}

static void make_ready(struct cpu *cpu, struct thread *thread)
{
    enqueue(cpu, thread);
    if (cpu != cpu_this()) {
        arch_cpu_reschedule(bit_of(cpu->id));
        return;
    }
    cpu->attention |= CPU_REARM;
    if (atomic_load_relaxed(&cpu->ready_count) > 1) {
        call_idle_cpu();
    }
}

void sched_wake(struct thread *thread)
{
    struct cpu *cpu = cpu_of(atomic_load_relaxed(&thread->cpu));
    if (cpu != cpu_this() || cpu->handoff != NULL) {
        make_ready(cpu, thread);
        return;
    }
    atomic_store_relaxed(&thread->state, THREAD_READY);
    cpu->handoff = thread;
    cpu->attention |= CPU_HANDOFF;
}

static void queue_handoff(struct cpu *cpu)
{
    struct thread *thread = cpu->handoff;
    if (thread != NULL) {
        cpu->handoff = NULL;
        make_ready(cpu, thread);
    }
}

/* For the flight recorder. */
static ALWAYS_INLINE void trace_switch(struct thread *thread, enum capos_trace_kind kind)
{
    if (thread->ring != NULL && ring_is_traced(thread->ring)) {
        trace_event(thread->ring, kind, 0, 0, 0, 0);
    }
}

/* Who entered blocked after it woke one thread of this CPU, and nothing else asks for attention: that
 * thread goes on in the same slice. */
static bool take_handoff(struct cpu *cpu)
{
    struct thread *thread = cpu->handoff;
    if (cpu->attention != (CPU_GONE | CPU_HANDOFF) || job_pending() ||
        process_is_exiting(thread->process)) {
        return false;
    }
    cpu->handoff = NULL;
    cpu->attention = 0;
    atomic_store_relaxed(&thread->state, THREAD_RUNNING);
    cpu->current = thread;
    trace_switch(thread, CAPOS_TRACE_RUN);
    return true;
}

/* An idle CPU, else the one with the fewest threads waiting; this one when all are alike. */
static struct cpu *least_loaded(void)
{
    arch_cpu_mask_t idle = atomic_load_relaxed(&idle_mask);
    struct cpu *best = cpu_this();
    uint32_t best_count = atomic_load_relaxed(&best->ready_count) + 1;
    for (unsigned id = 0; id < arch_cpu_count(); id++) {
        uint32_t count = atomic_load_relaxed(&cpus[id]->ready_count) +
                         ((idle & bit_of(id)) != 0 || cpus[id] == best ? 0 : 1);
        if (count < best_count && cpus[id] != best) {
            best = cpus[id];
            best_count = count;
        }
    }
    return best;
}

void sched_start(struct thread *thread)
{
    make_ready(least_loaded(), thread);
}

void sched_kick(struct thread *thread)
{
    arch_cpu_reschedule(bit_of(atomic_load_relaxed(&thread->cpu)));
}

void sched_tick(uint64_t now_ns)
{
    struct cpu *cpu = cpu_this();
    if (now_ns >= cpu->slice_end_ns) {
        cpu->attention |= CPU_RESCHED;
    }
    cpu->timers.armed_ns = ARCH_TIME_NEVER; /* the interrupt has spent it */
    cpu->attention |= CPU_REARM;
}

static struct thread *steal(struct cpu *thief)
{
    unsigned count = arch_cpu_count();
    struct cpu *victim = NULL;
    uint32_t most = 0;
    for (unsigned id = 0; id < count; id++) {
        uint32_t waiting = atomic_load_relaxed(&cpus[id]->ready_count);
        if (cpus[id] != thief && waiting > most) {
            most = waiting;
            victim = cpus[id];
        }
    }
    return victim == NULL ? NULL : dequeue(victim, true);
}

/* A thread of a process that is ending is never resumed: it dies here, and the exit job, which waits
 * for that, goes on. One that is to be stopped stops here. */
static bool bury(struct thread *thread)
{
    if (thread->process == NULL) {
        return false;
    }
    if (!process_is_exiting(thread->process)) {
        return UNLIKELY(atomic_load_relaxed(&thread->hold) != 0) && debugger_hold(thread);
    }
    atomic_store_release(&thread->state, THREAD_DEAD);
    return true;
}

static struct thread *pick(struct cpu *cpu)
{
    for (;;) {
        queue_handoff(cpu);
        struct thread *thread = dequeue(cpu, false);
        if (thread == NULL) {
            thread = steal(cpu);
        }
        if (thread == NULL || !bury(thread)) {
            return thread;
        }
    }
}

/* Arms for the nearest of: first deadline, end of the slice, next look at the jobs. */
static void arm(struct cpu *cpu, const struct thread *next)
{
    bool waiting = atomic_load_relaxed(&cpu->ready_count) != 0;
    bool jobs = atomic_load_relaxed(&cpu->job_count) != 0;
    if (next == &cpu->idle || !(waiting || jobs)) {
        cpu->slice_end_ns = ARCH_TIME_NEVER;
    } else if (cpu->slice_end_ns == ARCH_TIME_NEVER) {
        cpu->slice_end_ns = arch_time_ns() + (jobs ? JOB_TICK_NS : SCHED_SLICE_NS);
    }
    uint64_t deadline_ns = timers_next_ns();
    if (cpu->slice_end_ns < deadline_ns) {
        deadline_ns = cpu->slice_end_ns;
    }
    if (next == &cpu->idle && jobs) {
        deadline_ns = 0; /* take what is pending, then come back to the jobs at once */
    }
    cpu->attention &= ~(uint32_t)CPU_REARM;
    if (deadline_ns != cpu->timers.armed_ns) {
        cpu->timers.armed_ns = deadline_ns;
        arch_timer_arm(deadline_ns);
    }
}

static void set_idle(struct cpu *cpu, bool idle)
{
    arch_cpu_mask_t bit = bit_of(cpu->id);
    bool was = (atomic_load_relaxed(&idle_mask) & bit) != 0;
    if (idle && !was) {
        atomic_or_relaxed(&idle_mask, bit);
    } else if (!idle && was) {
        atomic_and_relaxed(&idle_mask, ~bit);
    }
}

static struct thread *resume(struct cpu *cpu, struct thread *next)
{
    cpu->attention = 0;
    if (next != &cpu->idle) {
        atomic_store_relaxed(&next->state, THREAD_RUNNING);
        atomic_store_relaxed(&next->cpu, (uint16_t)cpu->id);
    }
    set_idle(cpu, next == &cpu->idle);
    cpu->current = next;
    atomic_store_relaxed(&cpu->since, arch_cycles()); /* jobs and idle times are nobody's */
    trace_switch(next, CAPOS_TRACE_RUN);
    cpu->slice_end_ns =
        ARCH_TIME_NEVER; /* a new slice begins here only: no interrupt prolongs one */
    arm(cpu, next);
    return next;
}

/* Nothing is ready: jobs, until an interrupt or a thread comes. */
static struct thread *idle_with_jobs(struct cpu *cpu)
{
    set_idle(cpu, true);
    for (;;) {
        struct thread *thread = pick(cpu);
        if (thread != NULL) {
            return thread;
        }
        if (arch_interrupt_pending()) {
            return &cpu->idle;
        }
        STEP(end());
        if (!job_run_slice()) {
            return &cpu->idle;
        }
    }
}

/* A thread that may go on and was not asked to make room. */
static struct thread *carry_on(struct cpu *cpu, struct thread *prev)
{
    if (cpu->slice_end_ns == ARCH_TIME_NEVER || cpu->timers.armed_ns == ARCH_TIME_NEVER) {
        arm(cpu, prev);
    }
    cpu->attention = 0;
    return prev;
}

struct thread *sched_choose(struct thread *prev)
{
    struct cpu *cpu = cpu_this();
    if (LIKELY(take_handoff(cpu))) {
        return cpu->current;
    }
    queue_handoff(cpu);
    bool running = prev != &cpu->idle && (cpu->attention & CPU_GONE) == 0 && !bury(prev);
    if (running && (cpu->attention & CPU_RESCHED) == 0) {
        return carry_on(cpu, prev);
    }
    if (running) {
        cpu_charge(cpu, prev);
    }
    if (job_pending()) {
        if (!running) {
            arch_thread_let_go(); /* it may be wanted elsewhere while this CPU works */
        }
        (void)job_run_slice();
        queue_handoff(cpu);
        if (running && bury(prev)) {
            running = false;
        }
    }
    if (running) {
        if (atomic_load_relaxed(&cpu->ready_count) == 0) {
            return resume(cpu, prev);
        }
        trace_switch(prev, CAPOS_TRACE_STOP);
        enqueue(cpu, prev);
        call_idle_cpu(); /* whoever has nothing to do takes one of those that share this CPU */
    }
    struct thread *next = pick(cpu);
    if (next == NULL) {
        next = idle_with_jobs(cpu);
    }
    return resume(cpu, next);
}
