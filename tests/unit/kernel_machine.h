/* SPDX-License-Identifier: MIT */
/*
 * What every test of the kernel's core shares: a host machine with a frame pool and a root ledger, a
 * frame allocator that fails when told to, plain objects to hold capabilities of, and the sums that
 * a leak check compares. kernel_fixture.h adds processes and threads.
 */
#ifndef CAPOS_TESTS_UNIT_KERNEL_MACHINE_H
#define CAPOS_TESTS_UNIT_KERNEL_MACHINE_H

#include "cap/grant.h"
#include "cap/ledger.h"
#include "cap/table.h"
#include "core/kobj.h"
#include "host.h"

enum { MACHINE_RAM_BYTES = 16 << 20 };

/* A machine of so many CPUs with frames, nothing of the kernel started. Returns the root ledger, whose
 * limits are generous. */
struct ledger *machine_start(unsigned cpus);

/* Limits of `n` in every class but frames and kernel pages, which get `pages`. */
void machine_limits(uint64_t limits[LEDGER_CLASSES], uint64_t n, uint64_t pages);

/* Ends a grant and all below it, at once; nobody is swept. */
void grant_kill(struct grant *grant);

/* The frame allocator refuses the n-th call from now (1 = the next) and all later ones; 0 = never. */
void frames_fail_at(unsigned n);
/* True when it has refused since frames_fail_at. */
bool frames_failed(void);

/* A ledger's counts in one comparable piece. */
struct ledger_state {
    uint64_t used[LEDGER_CLASSES];
    uint64_t limit[LEDGER_CLASSES];
    uint32_t refs;
    uint32_t slab_pages;
};
struct ledger_state ledger_state(struct ledger *ledger);

/* An object that does nothing, and tells what happened to it. */
struct plain_object {
    struct kobj obj;
    unsigned *destroyed; /* counted when it is, unless NULL */
    unsigned *emptied;   /* counted when the last capability goes */
};
struct plain_object *plain_object_new(struct ledger *ledger, uint8_t ktype);

#endif
