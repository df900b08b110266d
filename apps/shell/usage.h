/* SPDX-License-Identifier: MIT */
/* The command `usage`: what a ledger, or the ledger of a process, counts. */
#ifndef CAPOS_SHELL_USAGE_H
#define CAPOS_SHELL_USAGE_H

#include "apps/shell/parse.h"

/* The capability named, else the one held as `ledger`. */
void usage_show(struct span name);

#endif
