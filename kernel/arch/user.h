/* SPDX-License-Identifier: MIT */
/*
 * Touching user memory. Any pointer value is fine: what cannot be read or written is a false, and
 * the kernel never faults. A copy that returns false may have changed part of the destination.
 */
#ifndef CAPOS_KERNEL_ARCH_USER_H
#define CAPOS_KERNEL_ARCH_USER_H

#include "core/addr.h"
#include "lib/base/compiler.h"

struct arch_aspace;

/* Through the address space that is loaded on this CPU: that of the thread which entered. */
MUST_CHECK bool arch_copy_from_user(void *to, struct uaddr from, size_t size_bytes);
MUST_CHECK bool arch_copy_to_user(struct uaddr to, const void *from, size_t size_bytes);

/* One aligned word, atomically; false also when it is not aligned. */
MUST_CHECK bool arch_load_user_u32(struct uaddr from, uint32_t *out);
MUST_CHECK bool arch_load_user_u64(struct uaddr from, uint64_t *out);
MUST_CHECK bool arch_store_user_u64(struct uaddr to, uint64_t value);

/* Copies within the direct map or other kernel memory; regions do not overlap. For page-wise copies
 * between address spaces by arch_translate and arch_direct. */
void arch_copy(void *to, const void *from, size_t size_bytes);

/* Zeroes one page (4 KiB aligned), the cheapest way. */
void arch_zero_page(void *page);

#endif
