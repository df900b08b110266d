/* SPDX-License-Identifier: MIT */
/* Bringing the portable kernel up. */
#ifndef CAPOS_KERNEL_CORE_MAIN_H
#define CAPOS_KERNEL_CORE_MAIN_H

#include "cap/grant.h"
#include "cap/ledger.h"
#include "core/boot.h"

/* What every process comes from. All [I] after kernel_setup. */
struct kernel_roots {
    struct ledger *ledger;
    struct grant *grant;
};

/* Everything but the boot archive and init: log, frames, ledgers, CPUs. Once, on the boot CPU. */
const struct kernel_roots *kernel_setup(const struct boot_info *boot);

#endif
