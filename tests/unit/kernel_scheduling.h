/* SPDX-License-Identifier: MIT */
/* A maker of scheduling contexts, threads that are bound to them, and the time that these have had. */
#ifndef CAPOS_TESTS_UNIT_KERNEL_SCHEDULING_H
#define CAPOS_TESTS_UNIT_KERNEL_SCHEDULING_H

#include "gen/scheduling.capnp.h"
#include "gen/thread.capnp.h"
#include "object/scheduling.h"
#include "sched/cpu.h"
#include "sched/sched.h"
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#define MS UINT64_C(1000000)

static struct user *maker; /* holds the policy; it blocks while others are watched */
static capos_cap_t policy;

static inline void start(unsigned cpus)
{
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(cpus);
    user_limits(limits);
    limits[LEDGER_CLASS_CPU_NS] = 900 * MS;
    maker = user_new_limits("maker", limits, 32);
    policy = user_give_root(maker, KTYPE_SCHEDULING_POLICY);
}

static inline struct capos_cqe create(enum SchedulingClass class, unsigned weight,
                                      uint64_t budget_ns, uint64_t period_ns)
{
    uint64_t words[32];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    SchedulingPolicy_new_context_params_b params =
        SchedulingPolicy_new_context_params_init(&builder);
    SchedulingPolicy_new_context_params_set_class(params, class);
    SchedulingPolicy_new_context_params_set_weight(params, (uint16_t)weight);
    SchedulingPolicy_new_context_params_set_budget_ns(params, budget_ns);
    SchedulingPolicy_new_context_params_set_period_ns(params, period_ns);
    SchedulingPolicy_new_context_params_set_ledger(params, 0xffff);
    return user_call(maker, policy, SchedulingPolicy_ID, SchedulingPolicy_new_context_ORDINAL,
                     &builder, NULL, 0, NULL);
}

static inline capos_cap_t context(enum SchedulingClass class, unsigned weight, uint64_t budget_ns,
                                  uint64_t period_ns)
{
    struct capos_cqe cqe = create(class, weight, budget_ns, period_ns);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

static inline struct sched_context *behind(capos_cap_t cap)
{
    return &scheduling_context_of(user_object(maker, cap))->context;
}

/* Binds the caller to a context of its own, or (0) to its process's. */
/* setContext, the same of a ThreadHandle and of a ThreadControl; cap 0: back to the process's. */
static inline struct capos_cqe set_context_by(struct user *user, capos_cap_t control,
                                              uint64_t interface, uint16_t method, capos_cap_t cap)
{
    struct capos_transfer xfer = {.cap = cap};
    uint64_t words[32];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ThreadControl_set_context_params_b params = ThreadControl_set_context_params_init(&builder);
    ThreadControl_set_context_params_set_context(params, cap != 0 ? 0 : 0xffff);
    return user_call(user, control, interface, method, &builder, &xfer, cap != 0, NULL);
}

static inline struct capos_cqe set_context(struct user *user, capos_cap_t cap)
{
    capos_cap_t control =
        user_give(user, &user->process->obj, KTYPE_THREAD_CONTROL, ThreadControl_FACET);
    return set_context_by(user, control, ThreadControl_ID, ThreadControl_set_context_ORDINAL, cap);
}

static inline void bind(struct user *user, capos_cap_t cap)
{
    CHECK(set_context(user, user_pass(maker, cap, user, SchedulingContext_FACET)).result >= 0);
}

/* The maker sleeps, so the others have the machine. */
static inline void maker_blocks(void)
{
    user_enter_start(maker, 1, CAPOS_FOREVER);
}

/* Lets programs that never block run for so long. */
static inline void run_for(uint64_t ns)
{
    for (uint64_t done = 0; done < ns; done += MS) {
        fixture_advance(MS);
    }
}

/* What was not charged yet, is. */
static inline uint64_t used(struct sched_context *of)
{
    for (unsigned i = 0; i < arch_cpu_count(); i++) {
        host_interrupt(i, ARCH_VECTOR_RESCHEDULE);
    }
    fixture_settle();
    return atomic_load_relaxed(&of->used_ns);
}

static inline bool runs(const struct user *user)
{
    for (unsigned i = 0; i < arch_cpu_count(); i++) {
        if (host_current(i) == user->thread) {
            return true;
        }
    }
    return false;
}

#endif
