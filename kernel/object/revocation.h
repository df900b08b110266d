/* SPDX-License-Identifier: MIT */
/*
 * Revocation: ending a grant and all that hangs below it, in slices of bounded work.
 *
 * Steps: MARK ends every node of the subtree, so that nothing new begins. A GRACE period passes:
 * every CPU that was inside the kernel has left it, so nothing begun before goes on. SWEEP visits the
 * processes that hold, or ever held, something by these grants: operations that wait end
 * ST_DISCONNECTED (a WAIT for DEAD is told), slots let go of what they held, what was mapped is unmapped
 * (and forgotten by every TLB). A second GRACE: an
 * operation that another CPU was delivering when the sweep found it has been finished by that CPU.
 *
 * Who holds is found by `grant.holders`, one of 64 bits for each process, and not by lists of slots:
 * calls and transfers so pay nothing for it (docs/decisions/0030-sweep-by-holders.md).
 *
 * Invariants: V1 when it is done no slot, record, mapping or running operation uses the subtree, but those of a
 * process that is ending. V2 a step done twice, by two revocations that meet, is as good as done once.
 */
#ifndef CAPOS_KERNEL_OBJECT_REVOCATION_H
#define CAPOS_KERNEL_OBJECT_REVOCATION_H

#include "sched/cpu.h"

struct aspace_op;
struct grant;
struct process;
struct ring;

/* Whoever runs it owns it; nobody else looks. All zero: ready to be used, also again once done. */
struct revocation {
    uint8_t step;
    uint64_t holders;
    struct grant *at;        /* MARK: where the walk is; a ref */
    struct grace grace;      /* GRACE */
    struct process *process; /* SWEEP: being visited; a ref */
    struct ring *ring;       /* of that process; held */
    uint32_t cursor;         /* the record or slot to look at next */
    uint64_t address;        /* of the mapping to look at next */
    struct aspace_op *unmap; /* under way */
    int32_t budget;          /* of this slice */
};

/* One slice of ending `top`, which the caller keeps; true when all is done. No lock held. */
bool revocation_slice(struct revocation *rev, struct grant *top);

#endif
