/* SPDX-License-Identifier: MIT */
/*
 * Theory: ready threads stand in the queue of one CPU (run_queue.c), by class and then by virtual time (context.h). A
 * thread that runs while others wait gets a slice, and then goes on if it still stands before them. The
 * timer is armed only when others wait, for a deadline, and for what may run out. A woken thread goes to
 * the CPU it last ran on. Virtual time is one for all CPUs: a CPU that goes idle, and one whose thread is
 * alone there when its slice ends, takes the first of the longest queue if that has more right to run; a
 * CPU where a thread makes room calls another to come. The first thread that an entry wakes on its own
 * CPU waits in `handoff`: when who entered then blocks, it goes on in the same slice, without a queue;
 * else it is queued before the entry ends.
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
#include "object/scheduling.h"
#include "mem/frames.h"
#include "ring/poll.h"
#include "ring/record_inline.h"
#include "ring/wait.h"
#include "sched/cpu.h"
#include "sched/run_queue.h"

#define JOB_TICK_NS UINT64_C(1000000)
enum { LENT_CHAIN = 8, LENT_LOOKS = 8 };

static struct cpu *cpus[ARCH_CPU_MAX]; /* [I] carved at boot, for the CPUs that are there */
static _Atomic arch_cpu_mask_t idle_mask;

struct cpu *cpu_of(unsigned id)
{
    return cpus[id];
}

COLD void cpus_init(unsigned count)
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
        list_init(&cpu->jobs);
        list_node_init(&cpu->scans.mark);
        job_init(&cpu->scans.job, kobj_scan_slice);
        arch_thread_init_idle(&cpu->idle.arch, id);
        (void)sched_bind(&cpu->idle, &sched_system);
        atomic_store_relaxed(&cpu->context, &sched_system);
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
COLD bool grace_passed(struct grace *grace)
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

/* ---- time ---- */

/* ns since this CPU was last asked. */
static ALWAYS_INLINE uint64_t take_ns(struct cpu *cpu)
{
    uint64_t now_ns = arch_time_ns();
    uint64_t ns = now_ns - cpu->since_ns;
    cpu->since_ns = now_ns;
    return ns;
}

/* What this CPU did since it was last asked goes to its context, with what hand-offs have noted there.
 * Virtual time is kept for those who compete: if nobody asked for two slices, nobody did. */
COLD static void charge(struct cpu *cpu)
{
    struct sched_context *context = atomic_load_relaxed(&cpu->context);
    uint64_t ns = take_ns(cpu);
    uint64_t all_ns = ns + atomic_swap_relaxed(&context->noted_ns, 0);
    uint64_t counted_ns = all_ns < 2 * SCHED_SLICE_NS ? all_ns : 2 * SCHED_SLICE_NS;
    atomic_add_relaxed(&context->used_ns, all_ns);
    atomic_add_relaxed(&context->finish[cpu->sched_class],
                       context_virtual_ns(context, counted_ns) - cpu->prepaid);
    cpu->prepaid = 0;
    if (UNLIKELY(context->limit != NULL) && context_spend(context->limit, ns, cpu->since_ns)) {
        scheduling_context_spent(context->object);
    }
}

/* A CPU holds a ref of what it is charged to. What it was charged to before, with its ref; or NULL. */
static ALWAYS_INLINE struct sched_context *swap_context(struct cpu *cpu,
                                                        struct sched_context *context)
{
    struct sched_context *old = atomic_load_relaxed(&cpu->context);
    if (old == context) {
        return NULL;
    }
    context_ref(context);
    atomic_store_relaxed(&cpu->context, context);
    return old;
}

static ALWAYS_INLINE void charge_to(struct cpu *cpu, struct sched_context *context, unsigned class)
{
    cpu->sched_class = (uint8_t) class;
    context_unref(swap_context(cpu, context));
}

COLD bool context_is_quiet(const struct sched_context *context)
{
    bool quiet = true;
    for (unsigned id = 0; id < arch_cpu_count(); id++) {
        if (atomic_load_acquire(&cpus[id]->context) == context) {
            arch_cpu_reschedule(bit_of(id));
            quiet = false;
        }
    }
    return quiet;
}

struct sched_context *sched_bind(struct thread *thread, struct sched_context *context)
{
    struct sched_context *old = thread->context;
    if (old != NULL) {
        atomic_sub_relaxed(&old->threads, 1);
    }
    atomic_add_relaxed(&context->threads, 1);
    atomic_store_relaxed(&thread->context, context);
    atomic_store_relaxed(&thread->sched_class, context->class);
    atomic_store_relaxed(&thread->boost, SCHED_CLASSES);
    thread->prepaid = 0;
    thread->queue_node.key = 0; /* a place of another clock */
    return old;
}

/* Who is bound to a dead context goes back to its process's. */
COLD void sched_settle(struct thread *thread)
{
    struct sched_context *next = atomic_swap_acquire(&thread->pending, NULL);
    struct kobj *object = thread->context->object;
    if (next == NULL && object != NULL && kobj_is_dead(object)) {
        next = &thread->process->context;
    }
    if (next != NULL) {
        context_unref(sched_bind(thread, next));
    }
}

static ALWAYS_INLINE void settle(struct thread *thread)
{
    if (UNLIKELY(atomic_load_relaxed(&thread->pending) != NULL ||
                 thread->context->object != NULL)) {
        sched_settle(thread);
    }
}

/* ---- time that is lent ---- */

/* The ring, held, of the call in flight that `ring`'s thread received last; NULL: none. */
COLD static struct ring *caller_of(const struct ring *ring)
{
    struct process *process = ring->process;
    struct ring *caller = NULL;
    lock_acquire(&process->inflight_lock);
    struct list_node *node = process->inflight.head.prev;
    for (unsigned i = 0; i < LENT_LOOKS && node != &process->inflight.head; i++) {
        struct record *call = list_entry(node, struct record, server_link);
        if (call->receiver == ring->id) {
            caller = call->ring;
            atomic_add_relaxed(&caller->refs, 1);
            break;
        }
        node = node->prev;
    }
    lock_release(&process->inflight_lock);
    return caller;
}

/* Charges this CPU to the caller's thread, if that waits for just this call and has time left. Under the ring's
 * lock, so that it cannot wake, nor end, in between. */
COLD static bool borrow_from(struct cpu *cpu, struct ring *caller)
{
    struct sched_context *old = NULL;
    lock_acquire(&caller->lock);
    bool waits = caller->wait_min != 0 && atomic_load_relaxed(&caller->outstanding) == 1;
    struct sched_context *context = caller->thread->context;
    if (waits && !context_is_spent(context)) {
        old = swap_context(cpu, context);
        cpu->sched_class = context->class < cpu->sched_class ? context->class : cpu->sched_class;
    }
    lock_release(&caller->lock);
    context_unref(old);
    return waits;
}

/* The CPU is charged to the thread that is to run: to its own context, or to the first in the chain of those
 * who wait for what it does. The class is the best of all. */
COLD static void set_context(struct cpu *cpu, struct thread *thread)
{
    charge_to(cpu, thread->context, thread->context->class);
    atomic_store_relaxed(&thread->boost, SCHED_CLASSES);
    struct ring *ring = caller_of(thread->ring);
    if (ring == NULL) {
        atomic_store_relaxed(&thread->caller, NULL);
    }
    for (unsigned depth = 1; ring != NULL; depth++) {
        bool waits = borrow_from(cpu, ring);
        struct ring *next = waits && depth < LENT_CHAIN ? caller_of(ring) : NULL;
        ring_put(ring);
        ring = next;
    }
    if (cpu->sched_class < thread->context->class) {
        atomic_store_relaxed(&thread->boost, cpu->sched_class);
    }
}

void sched_lend(struct ring *caller, struct thread *server)
{
    uint8_t class = caller->thread->sched_class;
    atomic_store_relaxed(&server->caller, caller);
    if (class < server->sched_class) {
        atomic_store_relaxed(&server->boost, class);
    }
}

void sched_give_back(struct thread *server)
{
    struct cpu *cpu = cpu_this();
    atomic_store_relaxed(&server->caller, NULL);
    if (server->context != atomic_load_relaxed(&cpu->context) &&
        (cpu->attention & CPU_HANDOFF) == 0) {
        cpu->attention |= CPU_REARM; /* carry_on sets it right */
    }
}

COLD void sched_take_back(const struct thread *caller)
{
    const struct sched_context *context =
        atomic_load_relaxed(&caller->caller) == NULL ? caller->context : NULL;
    for (unsigned id = 0; id < arch_cpu_count(); id++) {
        const struct sched_context *used = atomic_load_relaxed(&cpus[id]->context);
        if (used == context || (context == NULL && used != &sched_system)) {
            arch_cpu_reschedule(bit_of(id));
        }
    }
    cpu_this()->attention |= CPU_RESCHED;
}

/* ---- ready ---- */

COLD static struct rival rival_here(const struct cpu *cpu)
{
    const struct sched_context *context = atomic_load_relaxed(&cpu->context);
    return (struct rival){cpu->sched_class, atomic_load_relaxed(&context->finish[cpu->sched_class]),
                          context_virtual_ns(context, SCHED_SLICE_NS / 2)};
}

/* Calls one CPU to come and take a thread: an idle one, else one whose thread is alone there. */
COLD static void call_idle_cpu(bool or_alone)
{
    arch_cpu_mask_t idle = atomic_load_relaxed(&idle_mask);
    for (unsigned id = 0; idle == 0 && or_alone && id < arch_cpu_count(); id++) {
        if (cpus[id] != cpu_this() && (leased_cpus() & bit_of(id)) == 0 &&
            atomic_load_relaxed(&cpus[id]->ready_count) == 0) {
            idle = bit_of(id);
        }
    }
    if (idle != 0) {
        arch_cpu_reschedule(idle & (~idle + 1));
    }
}

COLD static void make_ready(struct cpu *cpu, struct thread *thread)
{
    run_queue_put(cpu, thread, false);
    if (cpu != cpu_this()) {
        arch_cpu_reschedule(bit_of(cpu->id));
        return;
    }
    cpu->attention |= thread->sched_class < cpu->sched_class ? CPU_RESCHED : CPU_REARM;
    if (atomic_load_relaxed(&cpu->ready_count) > 1) {
        call_idle_cpu(false);
    }
}

void sched_ready(struct thread *thread)
{
    make_ready(cpu_of(atomic_load_relaxed(&thread->cpu)), thread);
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
 * thread goes on in the same slice. Jobs that wait have set the timer. */
static ALWAYS_INLINE bool may_hand_off(const struct cpu *cpu)
{
    return LIKELY(cpu->attention == (CPU_GONE | CPU_HANDOFF) &&
                  !process_is_exiting(cpu->handoff->process));
}

static ALWAYS_INLINE struct thread *hand_off(struct cpu *cpu)
{
    struct thread *thread = cpu->handoff;
    cpu->handoff = NULL;
    cpu->attention = 0;
    atomic_store_relaxed(&thread->state, THREAD_RUNNING);
    cpu->current = thread;
    trace_switch(thread, CAPOS_TRACE_RUN);
    return thread;
}

/* The CPU goes over to the context of who is to run: not to one that has a limit, which the timer must
 * know of, nor to a worse class, for others may be waiting. */
COLD static bool change_context(struct cpu *cpu)
{
    bool limited = atomic_load_relaxed(&cpu->context)->limit != NULL;
    unsigned class = cpu->sched_class;
    charge(cpu);
    set_context(cpu, cpu->handoff);
    return !limited && atomic_load_relaxed(&cpu->context)->limit == NULL &&
           cpu->sched_class <= class;
}

/* The same in short: who waits for what this thread is to do for it lends its context. Where both contexts
 * are processes' own, time is only noted. */
static ALWAYS_INLINE bool go_over(struct cpu *cpu, const struct thread *prev)
{
    struct sched_context *old = atomic_load_relaxed(&cpu->context), *next = cpu->handoff->context;
    if (old == next) {
        return true;
    }
    const struct ring *caller = atomic_load_relaxed(&cpu->handoff->caller);
    if (caller != NULL) {
        return LIKELY(caller == prev->ring && atomic_load_relaxed(&prev->ring->outstanding) == 1);
    }
    if (UNLIKELY(((uintptr_t)old->object | (uintptr_t)next->object | cpu->prepaid) != 0)) {
        return false;
    }
    atomic_add_relaxed(&old->noted_ns, take_ns(cpu));
    atomic_store_relaxed(&cpu->context, next);
    return true;
}

/* An idle CPU, else the one with the fewest threads waiting; this one when all are alike. None that is leased:
 * the boot CPU never is. */
COLD static struct cpu *least_loaded(void)
{
    arch_cpu_mask_t idle = atomic_load_relaxed(&idle_mask), leased = leased_cpus();
    struct cpu *best = (leased & bit_of(cpu_this()->id)) == 0 ? cpu_this() : cpus[0];
    uint32_t best_count = atomic_load_relaxed(&best->ready_count) + 1;
    for (unsigned id = 0; id < arch_cpu_count(); id++) {
        uint32_t count = atomic_load_relaxed(&cpus[id]->ready_count) +
                         ((idle & bit_of(id)) != 0 || cpus[id] == best ? 0 : 1);
        if (count < best_count && cpus[id] != best && (leased & bit_of(id)) == 0) {
            best = cpus[id];
            best_count = count;
        }
    }
    return best;
}

COLD void sched_start(struct thread *thread)
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

/* A thread of a process that is ending is never resumed: it dies here, and the exit job, which waits
 * for that, goes on. One that is to be stopped stops here. */
COLD static bool bury(struct thread *thread)
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

/* The CPU is charged to the thread, unless it has no time left: then it waits for more, in no queue. */
COLD static bool is_held(struct cpu *cpu, struct thread *thread)
{
    settle(thread);
    set_context(cpu, thread);
    if (LIKELY(!context_is_spent(atomic_load_relaxed(&cpu->context)))) {
        return false;
    }
    atomic_store_relaxed(&thread->state, THREAD_READY);
    return context_hold(thread);
}

/* Who runs instead of `rival` (NULL: there is none); NULL: nobody. Of those whose budget is spent, each is
 * met here once. */
COLD static struct thread *pick(struct cpu *cpu, const struct rival *rival)
{
    for (;;) {
        queue_handoff(cpu);
        struct thread *thread = run_queue_take(cpu, rival);
        if (thread == NULL && atomic_load_relaxed(&cpu->ready_count) == 0) {
            thread = run_queue_steal(cpu, rival);
        }
        if (thread == NULL || (!bury(thread) && !is_held(cpu, thread))) {
            return thread;
        }
    }
}

/* Arms for the nearest of: first deadline, end of the slice or the budget, next look at the jobs. A
 * context that may run elsewhere at the same time is charged once a slice. */
COLD static void arm(struct cpu *cpu, const struct thread *next)
{
    bool waiting = atomic_load_relaxed(&cpu->ready_count) != 0;
    bool jobs = atomic_load_relaxed(&cpu->job_count) != 0;
    struct sched_context *context = atomic_load_relaxed(&cpu->context);
    if (next == &cpu->idle) {
        cpu->slice_end_ns = ARCH_TIME_NEVER;
    } else if (cpu->slice_end_ns == ARCH_TIME_NEVER) {
        bool shared = arch_cpu_count() > 1 && atomic_load_relaxed(&context->threads) > 1;
        if (waiting || jobs || shared) {
            cpu->slice_end_ns = arch_time_ns() + (jobs ? JOB_TICK_NS : SCHED_SLICE_NS);
        }
        if (context->limit != NULL) {
            uint64_t end_ns =
                cpu->since_ns + (uint64_t)atomic_load_relaxed(&context->limit->left_ns);
            cpu->slice_end_ns = end_ns < cpu->slice_end_ns ? end_ns : cpu->slice_end_ns;
        }
    }
    uint64_t deadline_ns = timers_next_ns();
    if (cpu->slice_end_ns < deadline_ns) {
        deadline_ns = cpu->slice_end_ns;
    }
    if (next == &cpu->idle && (jobs || cpu->lease.polling)) {
        deadline_ns =
            0; /* take what is pending, then come back to the jobs, or the ring, at once */
    }
    cpu->attention &= ~(uint32_t)CPU_REARM;
    if (deadline_ns != cpu->timers.armed_ns) {
        cpu->timers.armed_ns = deadline_ns;
        arch_timer_arm(deadline_ns);
    }
}

COLD static void set_idle(struct cpu *cpu, bool idle)
{
    arch_cpu_mask_t bit = bit_of(cpu->id);
    bool was = (atomic_load_relaxed(&idle_mask) & bit) != 0;
    if (idle && !was) {
        atomic_or_relaxed(&idle_mask, bit);
    } else if (!idle && was) {
        atomic_and_relaxed(&idle_mask, ~bit);
    }
}

/* The CPU is charged to it already. `queued`: it was taken out of a queue. */
COLD static struct thread *resume(struct cpu *cpu, struct thread *next, bool queued)
{
    cpu->attention = 0;
    if (next != &cpu->idle) {
        atomic_store_relaxed(&next->state, THREAD_RUNNING);
        atomic_store_relaxed(&next->cpu, (uint16_t)cpu->id);
    } else {
        charge_to(cpu, &sched_system, SCHED_CLASSES - 1);
    }
    set_idle(cpu, next == &cpu->idle && (leased_cpus() & bit_of(cpu->id)) == 0);
    cpu->current = next;
    atomic_store_relaxed(&cpu->since, arch_cycles()); /* jobs and idle times are nobody's */
    trace_switch(next, CAPOS_TRACE_RUN);
    if (queued) {
        run_queue_settle(cpu, next);
    }
    cpu->slice_end_ns =
        ARCH_TIME_NEVER; /* a new slice begins here only: no interrupt prolongs one */
    arm(cpu, next);
    return next;
}

/* One slice of a job, which is charged to the system. */
COLD static bool run_job(struct cpu *cpu)
{
    charge_to(cpu, &sched_system, SCHED_CLASSES - 1);
    bool ran = job_run_slice();
    charge(cpu);
    return ran;
}

/* Nothing is ready: jobs, until an interrupt or a thread comes. */
COLD static struct thread *idle_with_jobs(struct cpu *cpu)
{
    set_idle(cpu, true);
    for (;;) {
        struct thread *thread = pick(cpu, NULL);
        if (thread != NULL) {
            return thread;
        }
        if (arch_interrupt_pending()) {
            return &cpu->idle;
        }
        STEP(end());
        if (!run_job(cpu)) {
            return &cpu->idle;
        }
    }
}

/* A thread that may go on and was not asked to make room. */
COLD static struct thread *carry_on(struct cpu *cpu, struct thread *prev)
{
    if (UNLIKELY(atomic_load_relaxed(&cpu->context) != prev->context)) {
        charge(cpu);
        set_context(cpu, prev); /* it may have returned the call of who lent it its context */
        if (atomic_load_relaxed(&cpu->context)->limit != NULL) {
            return resume(cpu, prev, false);
        }
    }
    if (cpu->slice_end_ns == ARCH_TIME_NEVER || cpu->timers.armed_ns == ARCH_TIME_NEVER) {
        arm(cpu, prev);
    }
    cpu->attention = 0;
    return prev;
}

/* Nobody, or nobody else, runs on here. */
COLD static struct thread *next_or_idle(struct cpu *cpu)
{
    struct thread *next = pick(cpu, NULL);
    if (next == NULL) {
        next = idle_with_jobs(cpu);
    }
    return resume(cpu, next, next != &cpu->idle);
}

/* One that was here when the CPU was leased, or has been woken on it since, goes on elsewhere. */
COLD static void send_on(struct cpu *cpu)
{
    struct thread *thread = run_queue_take(cpu, NULL);
    if (thread != NULL) {
        make_ready(least_loaded(), thread);
    }
}

/* A leased CPU resumes nobody: who is here goes elsewhere, then, once this CPU was idle, its ring is polled. */
COLD static struct thread *choose_leased(struct cpu *cpu, struct thread *prev)
{
    queue_handoff(cpu);
    charge(cpu);
    if (prev != &cpu->idle && (cpu->attention & CPU_GONE) == 0 && !bury(prev)) {
        cpu_charge(cpu, prev);
        trace_switch(prev, CAPOS_TRACE_STOP);
        make_ready(least_loaded(), prev);
    }
    send_on(cpu);
    if (job_pending()) {
        if (prev != &cpu->idle) {
            arch_thread_let_go();
        }
        (void)run_job(cpu);
    }
    cpu->attention = 0;
    if (prev == &cpu->idle) {
        lease_run(cpu);
    }
    queue_handoff(cpu);
    cpu->lease.polling |= prev != &cpu->idle || atomic_load_relaxed(&cpu->ready_count) != 0;
    return resume(cpu, &cpu->idle, false);
}

/* Apart, so that a hand-off saves no registers. */
NOINLINE COLD static struct thread *choose(struct cpu *cpu, struct thread *prev)
{
    if (UNLIKELY((cpu->attention & CPU_POLL) != 0)) {
        cpu->attention &= ~(uint32_t)CPU_POLL;
        poll_begin(prev->ring);
    }
    if (UNLIKELY(atomic_load_relaxed(&cpu->lease.state) != LEASE_NONE) && !lease_is_over(cpu)) {
        return choose_leased(cpu, prev);
    }
    if (may_hand_off(cpu) && change_context(cpu)) {
        return hand_off(cpu);
    }
    queue_handoff(cpu);
    bool running = prev != &cpu->idle && (cpu->attention & CPU_GONE) == 0 && !bury(prev);
    if (running && (cpu->attention & CPU_RESCHED) == 0) {
        return carry_on(cpu, prev);
    }
    charge(cpu);
    if (running) {
        cpu_charge(cpu, prev);
    }
    /* What a thread asked for may have been long: an interrupt that waits goes first, and then a job. */
    if (job_pending() && (cpu->interrupted || prev == &cpu->idle || !arch_interrupt_pending())) {
        STEP(end());
        if (!running) {
            arch_thread_let_go(); /* it may be wanted elsewhere while this CPU works */
        }
        (void)run_job(cpu);
        running = running && !bury(prev);
    }
    if (!running || is_held(cpu, prev)) {
        return next_or_idle(cpu);
    }
    struct rival rival = rival_here(cpu);
    struct thread *next = pick(cpu, &rival);
    if (next == NULL) {
        set_context(cpu, prev);
        return resume(cpu, prev, false);
    }
    trace_switch(prev, CAPOS_TRACE_STOP);
    run_queue_put(cpu, prev, true);
    call_idle_cpu(true); /* whoever has nothing to do takes one of those that share this CPU */
    return resume(cpu, next, true);
}

struct thread *sched_choose(struct thread *prev)
{
    struct cpu *cpu = cpu_this();
    return LIKELY(may_hand_off(cpu) && go_over(cpu, prev)) ? hand_off(cpu) : choose(cpu, prev);
}
