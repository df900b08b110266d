/* SPDX-License-Identifier: MIT */
/* Notification: a 64-bit word of signals and a queue of waiters. Signal ORs, a waiter takes the bits
 * it wants. Any context may signal; the word and the waiters are under obj.lock. */
#ifndef CAPOS_KERNEL_OBJECT_NOTIFICATION_H
#define CAPOS_KERNEL_OBJECT_NOTIFICATION_H

#include "core/kobj.h"

struct notification {
    struct kobj obj;
    uint64_t pending; /* [o] bits not yet taken */
};

/* One ref. ST_QUOTA. */
status_t notification_create(struct ledger *ledger, struct notification **out);

/* Adds bits and completes the waiters that want one of them. Cannot fail. Takes obj->lock. */
void notification_signal(struct kobj *obj, uint64_t bits);

#endif
