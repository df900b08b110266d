/* SPDX-License-Identifier: MIT */
/* One address space with a ledger of its own, for the tests of it: what a refusal must leave alone, and that
 * nothing is left at the end. */
#ifndef CAPOS_TESTS_UNIT_ASPACE_SPACE_H
#define CAPOS_TESTS_UNIT_ASPACE_SPACE_H

#include "tests/unit/aspace_ops.h"
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include "abi/layout.h"
#include "core/job.h"
#include "host_private.h"
#include "mem/aspace.h"
#include "mem/frames.h"
#include "mem/karray.h"
#include "mem/region.h"
#include "object/memory_object.h"
#include "sched/cpu.h"

enum { PAGES = 2000 };

#define BASE UINT64_C(0x20000000)
#define P UINT64_C(4096)

static struct ledger *root;
static struct ledger *ledger;
static struct aspace as;
static struct ledger_state clean;
static uint64_t frames;

static inline void start_cpus(unsigned cpus)
{
    uint64_t limits[LEDGER_CLASSES];
    (void)machine_start(cpus);
    cpus_init(cpus);
    frames = frames_free_count();
    machine_limits(limits, UINT64_C(1) << 40, PAGES);
    root = ledger_create_root(limits);
    limits[LEDGER_CLASS_VIRTUAL_PAGES] = UINT64_C(1) << 30;
    limits[LEDGER_CLASS_KERNEL_PAGES] = PAGES - 8;
    CHECK_EQ(ledger_carve(root, limits, "test", &ledger), ST_OK);
    clean = ledger_state(ledger);
    CHECK_EQ(aspace_init(&as, ledger), ST_OK);
}

static inline void start(void)
{
    start_cpus(2);
}

static inline void run_jobs(void)
{
    while (job_run_slice()) {
    }
}

/* Destroys the space; nothing may be left of it. */
static inline void finish(void)
{
    unsigned slices = 0;
    while (!aspace_destroy_slice(&as)) {
        CHECK(++slices < 10000);
        run_jobs();
    }
    run_jobs();
    struct ledger_state now = ledger_state(ledger);
    CHECK_MEM_EQ(&now, &clean, sizeof(now));
    ledger_unref(ledger);
    CHECK_EQ(frames_free_count(), frames);
}

/* What a refusal must leave alone. */
struct state {
    struct ledger_state ledger;
    uint64_t committed;
    uint64_t hints[2];
    size_t regions;
};

static inline struct state state_now(void)
{
    struct state state;
    memset(&state, 0, sizeof(state));
    state.ledger = ledger_state(ledger);
    state.committed = as.committed_pages;
    memcpy(state.hints, as.choose_hint, sizeof(state.hints));
    CHECK(tree_valid(&as.regions, &state.regions));
    return state;
}

/* Evaluates the call; it must give the status and change nothing. */
#define REFUSES(call, status) \
    do { \
        struct state before_ = state_now(); \
        CHECK_EQ(call, status); \
        struct state after_ = state_now(); \
        CHECK_MEM_EQ(&before_, &after_, sizeof(after_)); \
    } while (0)

static inline status_t map_kernel(uint64_t address, const struct paddr *from, uint32_t npages,
                                  bool writable)
{
    uint8_t *pages[2];
    const struct karray array = {.directory = {pages}, .npages = npages, .filled = npages};
    for (uint32_t i = 0; i < npages; i++) {
        pages[i] = frame_ptr(from[i]);
    }
    status_t status = aspace_place_kernel(&as, &address, npages, writable);
    for (int budget = 1; status == ST_OK; budget = 1) {
        status = aspace_map_kernel(&as, address, &array, &budget);
        if (status != ST_PENDING) {
            break;
        }
        status = ST_OK;
    }
    return status;
}

/* Forgotten by all CPUs by the time it returns. */
static inline void unmap_kernel(uint64_t address)
{
    uint64_t ticket = 0;
    int budget;
    do {
        budget = 1;
    } while (!aspace_unmap_kernel(&as, address, &ticket, &budget));
    CHECK(aspace_tlb_done(&as, ticket));
}

static inline uint64_t reserve(uint64_t address, uint64_t pages)
{
    uint64_t at = 0;
    CHECK_EQ(aspace_reserve(&as, address, pages * P, &at), ST_OK);
    return at;
}

static inline uint64_t used(enum LedgerClass c)
{
    return ledger_state(ledger).used[c];
}

static inline bool page_state(uint64_t address, unsigned *prot)
{
    bool dirty;
    return arch_page_state(&as.arch, uaddr(address), prot, &dirty);
}

static inline void other_cpu(struct arch_aspace *loaded)
{
    host_become(1);
    host_aspace_load(loaded);
    host_become(0);
}

static inline void other_cpu_forgets(void)
{
    host_become(1);
    host_tlb_acknowledge();
    host_become(0);
}

static inline struct memory_object *object_new(uint64_t pages)
{
    struct memory_object *object = NULL;
    CHECK_EQ(memory_object_create(ledger, pages * P, &object), ST_OK);
    return object;
}

static inline uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

#endif
