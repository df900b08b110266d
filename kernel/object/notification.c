/* SPDX-License-Identifier: MIT */
/*
 * Theory: `pending` holds bits nobody took. A waiter gets (pending & wanted) and clears just those
 * bits; it waits while that is empty. Invariant N1: outside obj.lock no queued waiter wants a pending
 * bit (kobj_notify restores it after every signal). The ring's opcodes do all; the two ordinals only
 * give facets something to allow.
 */
#include "object/notification.h"

#include "abi/ring.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "mem/slab.h"
#include "ring/wait.h"

static uint32_t notification_poll(struct kobj *obj, uint32_t mask, uint64_t bits,
                                  uint64_t *signal_out)
{
    struct notification *notification = CONTAINER_OF(obj, struct notification, obj);
    uint64_t taken = notification->pending & bits;
    if ((mask & CAPOS_EVENT_SIGNALLED) == 0 || taken == 0) {
        return 0;
    }
    notification->pending &= ~taken;
    *signal_out = taken;
    return CAPOS_EVENT_SIGNALLED;
}

static void notification_no_slots(struct kobj *obj)
{
    kobj_kill(obj);
}

static void notification_destroy(struct kobj *obj)
{
    slab_free(CONTAINER_OF(obj, struct notification, obj));
}

static const struct kobj_ops notification_ops = {
    .name = "notification",
    .no_slots = notification_no_slots,
    .destroy = notification_destroy,
    .poll = notification_poll,
};

status_t notification_create(struct ledger *ledger, struct notification **out)
{
    struct notification *notification = slab_alloc(ledger, sizeof(*notification));
    if (notification == NULL) {
        return ST_QUOTA;
    }
    kobj_init(&notification->obj, KTYPE_NOTIFICATION, &notification_ops, ledger);
    *out = notification;
    return ST_OK;
}

void notification_signal(struct kobj *obj, uint64_t bits)
{
    struct notification *notification = CONTAINER_OF(obj, struct notification, obj);
    lock_acquire(&obj->lock);
    notification->pending |= bits;
    kobj_notify_unlock(obj);
}
