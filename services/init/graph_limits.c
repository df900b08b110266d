/* SPDX-License-Identifier: MIT */
/* What services may use: that each limit is one, and that all of them are there to be given. */
#include "graph_internal.h"
#include "lib/base/bits.h"

void graph_check_limits(struct graph_check *check, const char *place, const char *name,
                        ServiceLimit_list_r limits, uint64_t *sums)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < ServiceLimit_list_len(limits); i++) {
        ServiceLimit_r limit = ServiceLimit_list_at(limits, i);
        unsigned class = (unsigned)ServiceLimit_get_class(limit);
        if (class >= LEDGER_CLASS_COUNT || class >= GRAPH_CLASSES) {
            graph_problem(check, "%s.%s.limits[%u]: unknown ledger class %u", place, name, i,
                          class);
            continue;
        }
        if (seen & BIT64(class)) {
            graph_problem(check, "%s.%s.limits: ledger class %u is limited twice", place, name,
                          class);
        }
        seen |= BIT64(class);
        if (!add_checked(sums[class], ServiceLimit_get_amount(limit), &sums[class])) {
            sums[class] = UINT64_MAX;
        }
    }
}

/* The rules of SchedulingPolicy.newContext, told in the manifest's words. */
void graph_check_processor(struct graph_check *check, Service_r service, uint64_t *sums)
{
    const char *name = Service_get_name(service).ptr;
    ProcessorShare_r share = Service_get_processor(service);
    uint64_t budget_us = ProcessorShare_get_budget_us(share);
    uint64_t period_us = ProcessorShare_get_period_us(share);
    unsigned weight = ProcessorShare_get_weight(share);
    unsigned class = ProcessorShare_get_class(share);
    if (!Service_has_processor(service)) {
        return;
    }
    if (weight == 0 || weight > PROCESSOR_WEIGHT_MAX) {
        graph_problem(check, "services.%s.processor.weight: %u; 1 to %u are possible", name, weight,
                      (unsigned)PROCESSOR_WEIGHT_MAX);
    }
    if (class > SCHEDULING_CLASS_BACKGROUND) {
        graph_problem(check, "services.%s.processor.class: this init does not know class %u", name,
                      class);
    } else if (class < SCHEDULING_CLASS_NORMAL && budget_us == 0) {
        graph_problem(check,
                      "services.%s.processor: a class better than normal needs a budget; say "
                      "budgetUs and periodUs",
                      name);
    }
    if (budget_us == 0
            ? period_us != 0
            : period_us < 1000 || period_us > 10000000 || budget_us < 50 || budget_us > period_us) {
        graph_problem(
            check,
            "services.%s.processor: a budget of %llu us in each %llu us; periods are 1000 "
            "to 10000000 us, budgets 50 us to the whole period",
            name, (unsigned long long)budget_us, (unsigned long long)period_us);
    } else if (budget_us != 0 && !add_checked(sums[LEDGER_CLASS_CPU_NS],
                                              (budget_us * 1000000000 + period_us - 1) / period_us,
                                              &sums[LEDGER_CLASS_CPU_NS])) {
        sums[LEDGER_CLASS_CPU_NS] = UINT64_MAX;
    }
}

void graph_check_sums(struct graph_check *check, const uint64_t *sums)
{
    for (unsigned class = 0; class < GRAPH_CLASSES; class ++) {
        uint64_t available = check->input->available[class];
        if (sums[class] > available) {
            graph_problem(
                check,
                "services: their limits of ledger class %u sum to %llu, but init has %llu "
                "to give; lower some, or give the machine more memory",
                class, (unsigned long long)sums[class], (unsigned long long)available);
        }
    }
}
