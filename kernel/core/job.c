/* SPDX-License-Identifier: MIT */
#include "core/job.h"

#include "core/panic.h"
#include "core/trace.h"
#include "core/step.h"
#include "sched/cpu.h"

void job_init(struct job *job, job_fn run)
{
    list_node_init(&job->link);
    job->run = run;
    job->cycles = 0;
}

static void push(struct cpu *cpu, struct job *job)
{
    lock_acquire(&cpu->jobs_lock);
    KASSERT(!list_linked(&job->link));
    list_push_back(&cpu->jobs, &job->link);
    atomic_add_relaxed(&cpu->job_count, 1);
    lock_release(&cpu->jobs_lock);
}

void job_submit(struct job *job)
{
    struct cpu *cpu = cpu_this();
    push(cpu, job);
    cpu->attention |= CPU_RESCHED;
}

bool job_pending(void)
{
    return atomic_load_relaxed(&cpu_this()->job_count) != 0;
}

bool job_run_slice(void)
{
    struct cpu *cpu = cpu_this();
    lock_acquire(&cpu->jobs_lock);
    struct list_node *node = list_pop_front(&cpu->jobs);
    if (node != NULL) {
        atomic_sub_relaxed(&cpu->job_count, 1);
    }
    lock_release(&cpu->jobs_lock);
    if (node == NULL) {
        return false;
    }
    struct job *job = list_entry(node, struct job, link);
    STEP(what((uintptr_t)job->run));
    job->cycles -= arch_cycles();
    if (!job->run(job)) {
        job->cycles += arch_cycles();
        push(cpu, job);
    }
    return true;
}
