/* SPDX-License-Identifier: MIT */
/*
 * Calls to kernel objects that are answered later.
 *
 * A handler that cannot finish now calls invoke_wait, which gives the call a record, and returns what
 * that says. A long operation is a job that goes on whatever becomes of its caller: its handler does
 * what can be refused, calls pending_start and returns what that says; the job, when through, calls
 * pending_claim, completes the record if it is told to, and calls pending_end. Cancelling, a deadline
 * or the caller's death only detach the caller; the caller's ring stays until pending_end.
 */
#ifndef CAPOS_KERNEL_OBJECT_PENDING_H
#define CAPOS_KERNEL_OBJECT_PENDING_H

#include "core/job.h"
#include "object/invoke.h"

struct ring;

/* All written by pending_start, then the job's. */
struct pending {
    struct job job;
    struct ring *ring;  /* held by its refs; NULL: nobody waits */
    struct record *rec; /* of this generation, while the caller waits */
    uint32_t generation;
};

/* Result slots that were reserved are from then on promised to the record, and the completion redeems them.
 * ST_PENDING: inv->record waits under the caller's process; at deadline_ns (0 = none) it ends timed
 * out or, when `sleeping`, answers the time. Any other status: to be returned as it is. */
status_t invoke_wait(struct invocation *inv, uint64_t deadline_ns, bool sleeping);

/* The same on a list of another object, under that object's lock (list NULL: on none). */
status_t invoke_wait_at(struct invocation *inv, struct kobj *owner, struct list *list,
                        uint64_t deadline_ns, bool sleeping);

/* Queues the job in any case. */
status_t pending_start(struct pending *pending, struct invocation *inv, job_fn run);

/* True: the caller still waits, and the record is the job's to complete. */
bool pending_claim(struct pending *pending);
void pending_end(struct pending *pending);

/* After pending_claim: the caller waits again, or, when he was to be ended meanwhile, is. */
void pending_requeue(struct pending *pending);
/* The record has been completed, and who did that has let go of it. */
bool pending_is_over(const struct pending *pending);

/* The caller's process is ending: nobody wants the rest. */
bool pending_is_orphan(const struct pending *pending);

/* Answers with a message of at most one capability, which was made for the caller, or with a status
 * below 0; then ends. Takes over the ref of `object` (may be NULL, with ktype 0). */
void pending_answer(struct pending *pending, status_t status, const void *message, size_t len,
                    struct kobj *object, uint8_t ktype, uint64_t facet);

/* The same when pending_claim has been asked already, for a method whose result is one capability, of all
 * that `ktype` can do, and nothing else. */
void pending_hand_out(struct pending *pending, bool claimed, status_t status, struct kobj *object,
                      uint8_t ktype);
/* For a record that is the job's: two capabilities, the second of a facet, whose fields are 16 bits each and come
 * first in the results, the second with the default 0xffff. */
void pending_hand_out_both(struct pending *pending, struct kobj *first, uint8_t first_ktype,
                           struct kobj *second, uint8_t second_ktype, uint64_t second_facet);

#endif
