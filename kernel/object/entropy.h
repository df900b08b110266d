/* SPDX-License-Identifier: MIT */
/*
 * The kernel's random bytes: one generator with fast key erasure (lib/crypto/drbg.h), seeded at boot
 * from the processor's source or the firmware's seed, always with timing mixed in. Without a strong
 * source it is `weak` and says so with every answer. `entropy=fixed` on the command line makes it
 * repeatable, for tests; the log says that, too.
 */
#ifndef CAPOS_KERNEL_OBJECT_ENTROPY_H
#define CAPOS_KERNEL_OBJECT_ENTROPY_H

#include "core/boot.h"
#include "core/kobj.h"

void entropy_init(const struct boot_info *boot);

/* Fills `out`. Any context; takes a lock of rank LOCK_REGISTRY. */
void entropy_bytes(void *out, size_t bytes);

/* The same for one word, out of a stock. */
uint64_t entropy_word(void);

status_t entropy_create(struct kobj **out);

#endif
