/* SPDX-License-Identifier: MIT */
/* The steps of a revocation. Theory in revocation.h. */
#include "object/revocation.h"

#include "cap/grant.h"
#include "object/process.h"
#include "ring/ring.h"

/* A slice looks at so many slots or records; other work counts as so many of them. */
enum { SLICE_LOOKS = 1024, NODE_LOOKS = 16, PROCESS_LOOKS = 16 };

static bool mark(struct revocation *rev, struct grant *top)
{
    if (rev->at == NULL) {
        grant_ref(top);
        rev->at = top;
    }
    for (; rev->at != NULL && rev->budget > 0; rev->budget -= NODE_LOOKS) {
        grant_end(rev->at);
        rev->holders |= atomic_load_seq_cst(&rev->at->holders);
        rev->at = grant_next(top, rev->at);
    }
    return rev->at == NULL;
}

static bool wait_for_cpus(struct revocation *rev, struct grant *top)
{
    (void)top;
    return grace_passed(&rev->grace);
}

/* True when no mapping by a dead route is left. One that another operation works on is waited for. */
static bool sweep_mappings(struct revocation *rev)
{
    for (;;) {
        if (rev->unmap == NULL) {
            status_t status =
                aspace_unmap_dead(&rev->process->aspace, &rev->address, &rev->budget, &rev->unmap);
            if (status != ST_OK) {
                return status == ST_NOT_FOUND;
            }
        }
        rev->budget -= ASPACE_SLICE;
        if (!aspace_op_slice(rev->unmap, ASPACE_SLICE)) {
            return false;
        }
        (void)aspace_op_end(rev->unmap);
        rev->unmap = NULL;
    }
}

/* The records of one process, then its slots, then its mappings; true when it is through. */
static bool sweep_process(struct revocation *rev)
{
    while (rev->ring != NULL) {
        if (!ring_sweep(rev->ring, &rev->cursor, &rev->budget)) {
            return false;
        }
        rev->cursor = 0;
        rev->ring = process_next_ring(rev->process, rev->ring);
    }
    return table_sweep(&rev->process->table, &rev->cursor, &rev->budget) && sweep_mappings(rev);
}

static bool sweep(struct revocation *rev, struct grant *top)
{
    (void)top;
    for (; rev->budget > 0; rev->budget -= PROCESS_LOOKS) {
        if (rev->process != NULL && !sweep_process(rev)) {
            return false;
        }
        rev->process = process_next(rev->process, rev->holders);
        if (rev->process == NULL) {
            return true;
        }
        rev->cursor = 0;
        rev->address = 0;
        rev->ring = process_next_ring(rev->process, NULL);
    }
    return false;
}

bool revocation_slice(struct revocation *rev, struct grant *top)
{
    static bool (*const steps[])(struct revocation *, struct grant *) = {
        mark,
        wait_for_cpus,
        sweep,
        wait_for_cpus,
    };
    enum { STEPS = sizeof(steps) / sizeof(steps[0]) };
    rev->budget = SLICE_LOOKS;
    while (steps[rev->step](rev, top)) {
        if (++rev->step == STEPS) {
            *rev = (struct revocation){.step = 0};
            return true;
        }
    }
    return false;
}
