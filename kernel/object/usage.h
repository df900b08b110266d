/* SPDX-License-Identifier: MIT */
/* A ledger's counts as the schema tells them. */
#ifndef CAPOS_KERNEL_OBJECT_USAGE_H
#define CAPOS_KERNEL_OBJECT_USAGE_H

#include "cap/ledger.h"
#include "gen/process.capnp.h"

struct process;

/* list has LEDGER_CLASSES elements. */
void usage_fill(struct ledger *ledger, Usage_list_b list);

/* object/watch.c */
void counters_fill(struct process *process, Counters_b out);

#endif
