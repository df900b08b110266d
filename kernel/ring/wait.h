/* SPDX-License-Identifier: MIT */
/* WAIT, SIGNAL and their waiters: kobj.waiters holds QUEUED records of WAIT. */
#ifndef CAPOS_KERNEL_RING_WAIT_H
#define CAPOS_KERNEL_RING_WAIT_H

#include "core/job.h"
#include "core/kobj.h"
#include "ring/ring.h"

/* Something happened to obj: completes every waiter for whom ops->poll reports an event, in order of
 * arrival; when obj is dead, those who want DEAD get it and the others ST_DISCONNECTED. The first few
 * dozen are looked at here, the others by a job. Takes obj->lock; no lock of rank OBJECT or above is
 * held. */
void kobj_notify(struct kobj *obj);
/* The same for who holds obj->lock, and loses it. */
void kobj_notify_unlock(struct kobj *obj);

/* record_queue_locked among the waiters of obj: behind a round that is under way. */
bool waiter_queue_locked(struct kobj *obj, struct record *rec);

/* A slice of that job: for struct scans. */
bool kobj_scan_slice(struct job *job);

/* For a CLAIMED record of a MULTISHOT wait, by its ring's thread, with room for a completion: claims a CQ
 * slot for the next event and waits for it. */
void wait_arm(struct record *rec);

/* Sets dead (under the lock) and notifies. */
void kobj_kill(struct kobj *obj);

#endif
