/* SPDX-License-Identifier: MIT */
#include "core/step.h"

#include "arch/arch.h"
#include "core/log.h"

enum { STEP_KINDS = 64 };

/* Of one CPU: counts mean nothing when there are more. */
static uint64_t begun, piece_begun,
    worst_piece; /* the stretch, what is done now in it, its longest */
static uintptr_t doing, worst;
static struct {
    uintptr_t what;
    uint64_t longest;
} kinds[STEP_KINDS];

void step_begin(uintptr_t what)
{
    doing = worst = what;
    worst_piece = 0;
    begun = piece_begun = arch_cycles();
}

void step_what(uintptr_t what)
{
    uint64_t now = arch_cycles();
    if (now - piece_begun > worst_piece) {
        worst_piece = now - piece_begun;
        worst = doing;
    }
    piece_begun = now;
    doing = what;
}

void step_end(void)
{
    unsigned i = 0;
    step_what(doing);
    while (i < STEP_KINDS - 1 && kinds[i].what != 0 && kinds[i].what != worst) {
        i++;
    }
    kinds[i].what = worst;
    if (piece_begun - begun > kinds[i].longest) {
        kinds[i].longest = piece_begun - begun;
    }
    step_begin(doing);
}

void step_report(void)
{
    unsigned long long longest = 0;
    for (unsigned i = 0; i < STEP_KINDS && kinds[i].what != 0; i++) {
        uint64_t offset;
        longest = kinds[i].longest > longest ? kinds[i].longest : longest;
        klog("step %s %llu", arch_symbol(kinds[i].what, &offset),
             (unsigned long long)kinds[i].longest);
    }
    klog("@bench kernel.maxstep %llu instr 1 %llu %llu", longest, longest, longest);
}
