/* SPDX-License-Identifier: MIT */
/* Theory in lease.h. */
#include "sched/lease.h"

#include "arch/arch.h"
#include "cap/grant.h"
#include "core/job.h"
#include "core/step.h"
#include "gen/status.capnp.h"
#include "object/process.h"
#include "object/session.h"
#include "object/thread.h"
#include "ring/poll.h"
#include "sched/cpu.h"

static _Atomic arch_cpu_mask_t leased;

arch_cpu_mask_t leased_cpus(void)
{
    return atomic_load_relaxed(&leased);
}

/* It looks at its lease: another CPU soon, this one before it leaves the kernel. */
static void call(unsigned id)
{
    arch_cpu_reschedule((arch_cpu_mask_t)1 << id);
    if (id == cpu_this()->id) {
        cpu_this()->attention |= CPU_RESCHED;
    }
}

status_t lease_take(unsigned *cpu_out)
{
    for (unsigned id = arch_cpu_count() - 1; id > 0; id--) {
        uint8_t none = LEASE_NONE;
        if (atomic_cas_acquire(&cpu_of(id)->lease.state, &none, LEASE_HELD)) {
            atomic_or_relaxed(&leased, (arch_cpu_mask_t)1 << id);
            atomic_store_relaxed(&cpu_of(id)->lease.entries, 0);
            call(id);
            *cpu_out = id;
            return ST_OK;
        }
    }
    return ST_BUSY;
}

void lease_end(unsigned id)
{
    atomic_store_release(&cpu_of(id)->lease.state, LEASE_ENDING);
    call(id);
}

status_t lease_poll(unsigned id, struct ring *ring, struct grant *route, uint32_t idle_rounds)
{
    struct cpu_lease *lease = &cpu_of(id)->lease;
    if (atomic_load_acquire(&lease->ring) != NULL) {
        return ST_BUSY;
    }
    status_t status = poll_attach(ring, id);
    if (status == ST_OK) {
        grant_ref(route);
        lease->route = route;
        lease->idle_limit = idle_rounds != 0 ? idle_rounds : LEASE_IDLE_ROUNDS;
        atomic_store_relaxed(&lease->stopping, 0);
        atomic_store_release(&lease->ring, ring);
    }
    return status;
}

void lease_stop(unsigned id)
{
    atomic_store_release(&cpu_of(id)->lease.stopping, 1);
    call(id);
}

/* What a system call of the ring's thread would be asked, too. */
static bool may_poll(const struct cpu_lease *lease, const struct ring *ring)
{
    return atomic_load_acquire(&lease->state) == LEASE_HELD &&
           atomic_load_acquire(&lease->stopping) == 0 && grant_is_live(lease->route) &&
           !process_is_exiting(ring->process) && !session_is_closed(ring->process->session) &&
           atomic_load_relaxed(&ring->thread->state) != THREAD_DEAD;
}

static void leave(struct cpu *cpu, struct ring *ring)
{
    struct cpu_lease *lease = &cpu->lease;
    struct grant *route = lease->route;
    arch_idle_aspace(&cpu->idle.arch, NULL);
    if (poll_leave(ring)) {
        lease->route = NULL;
        atomic_store_release(&lease->ring, NULL);
        grant_unref(route);
    }
}

/* A round, and perhaps the last before the poller sleeps, or leaves. */
static void round_of(struct cpu *cpu, struct ring *ring)
{
    struct cpu_lease *lease = &cpu->lease;
    uint64_t taken;
    enum poll poll = may_poll(lease, ring) ? poll_round(ring, &taken) : POLL_BROKEN;
    if (poll == POLL_BROKEN) {
        leave(cpu, ring);
        return;
    }
    atomic_store_relaxed(&lease->entries, atomic_load_relaxed(&lease->entries) + taken);
    lease->idle_rounds = poll == POLL_WORKED ? 0 : lease->idle_rounds + 1;
    if (lease->idle_rounds >= lease->idle_limit) {
        lease->idle_rounds = 0;
        lease->polling = !poll_sleep(ring);
    }
}

void lease_run(struct cpu *cpu)
{
    struct cpu_lease *lease = &cpu->lease;
    struct ring *ring;
    while ((ring = atomic_load_acquire(&lease->ring)) != NULL) {
        lease->polling = atomic_load_relaxed(&ring->polled) != 0 || !may_poll(lease, ring);
        if (lease->polling) {
            arch_idle_aspace(&cpu->idle.arch, &ring->process->aspace.arch);
            round_of(cpu, ring);
        }
        STEP(end());
        if (!lease->polling || arch_interrupt_pending() || cpu->attention != 0 || job_pending()) {
            return;
        }
    }
    lease->polling =
        atomic_load_relaxed(&lease->state) == LEASE_ENDING; /* and is over, next time */
}

bool lease_is_over(struct cpu *cpu)
{
    struct cpu_lease *lease = &cpu->lease;
    if (atomic_load_acquire(&lease->state) != LEASE_ENDING ||
        atomic_load_acquire(&lease->ring) != NULL) {
        return false;
    }
    lease->polling = false;
    atomic_and_relaxed(&leased, ~((arch_cpu_mask_t)1 << cpu->id));
    atomic_store_release(&lease->state, LEASE_NONE);
    return true;
}
