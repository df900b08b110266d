/* SPDX-License-Identifier: MIT */
/* What this processor offers, read once on the boot CPU; and switching it on, on each. */
#ifndef CAPOS_KERNEL_ARCH_X86_64_PROCESSOR_H
#define CAPOS_KERNEL_ARCH_X86_64_PROCESSOR_H

#include "lib/base/compiler.h"

/* Written during boot only; the kernel's tables make it constant. */
#define RO_AFTER_BOOT SECTION(".ro_after_boot")

struct features {
    bool nx, pages_1g, global_pages;
    bool smep, smap, umip;
    bool x2apic, tsc_deadline;
    bool xsave, xsaveopt;
    bool rdrand, rdseed;
    bool hypervisor;
    bool leaks; /* Meltdown: user code can read what is mapped for the kernel */
    bool pti;   /* so user code runs on tables that hold almost nothing of it: pti.h */
};

extern struct features features;

/* Fills `features`, the stack guard, and patches the SMAP sites. Before paging_start. */
void features_read(void);

/* Sets CR0, CR4, EFER of this CPU as `features` says. */
void features_enable(void);

/* Random words for boot; false: time stamps only. */
bool features_seed(uint64_t *words, size_t count);

#endif
