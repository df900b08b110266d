/* SPDX-License-Identifier: MIT */
/*
 * A line's calls, made ready: each with its method found, its parameters built, and what it is called on: a
 * capability held, or the one that the call before it will give. That one's type is known beforehand, from
 * the field that names it.
 */
#ifndef CAPOS_SHELL_STEPS_H
#define CAPOS_SHELL_STEPS_H

#include "apps/shell/names.h"
#include "apps/shell/parse.h"
#include "apps/shell/registry.h"
#include "apps/shell/value.h"
#include "capos/call.h"

enum { STEP_NAME_BYTES = 64, STEP_WHAT_BYTES = 160 };

/* What a call is made on. */
struct step_target {
    capos_cap_t cap; /* or a promise */
    uint64_t interface;
    uint64_t methods;
    char what[STEP_WHAT_BYTES]; /* "@counter", "the Counter that child gives" */
    const struct held *held;    /* NULL: not held */
};

struct step {
    struct capos_call call;
    const struct described *described;
    DescribedMethod_r method;
    char interface_name[STEP_NAME_BYTES];
    char method_name[STEP_NAME_BYTES];
    struct value_caps caps;
    unsigned moved_count;
    struct held *moved[CAPOS_MAX_TRANSFERS];
};

/* Makes all calls of the command ready; nothing is submitted. NULL: a message has been shown, and nothing is
 * left over. Else the first of *count_out; the last is an ordinary call, those before it are promises. */
struct step *steps_prepare(struct command *command, const struct held *held, unsigned *count_out);

/* Ends them all, last first, and forgets the names of what was moved away by those that succeeded. */
void steps_end(struct step *steps, unsigned count);

#endif
