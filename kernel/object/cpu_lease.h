/* SPDX-License-Identifier: MIT */
/*
 * CpuLease: a processor as a capability. sched/lease.h says what becomes of the processor.
 *
 * It lives while there is a capability. Its processor is its own until it is revoked or destroyed, whichever comes first.
 */
#ifndef CAPOS_KERNEL_OBJECT_CPU_LEASE_H
#define CAPOS_KERNEL_OBJECT_CPU_LEASE_H

#include "core/kobj.h"

/* With one ref, the caller's; a second of LEDGER_CLASS_CPU_NS is charged. ST_QUOTA; ST_BUSY: no processor to spare. */
status_t cpu_lease_create(struct ledger *ledger, struct kobj **out);

#endif
