/* SPDX-License-Identifier: MIT */
#include "object/pending.h"

#include "gen/status.capnp.h"
#include "object/process.h"
#include "ring/op.h"

status_t invoke_wait(struct invocation *inv, uint64_t deadline_ns, bool sleeping)
{
    return invoke_wait_at(inv, &inv->process->obj, NULL, deadline_ns, sleeping);
}

status_t invoke_wait_at(struct invocation *inv, struct kobj *owner, struct list *list,
                        uint64_t deadline_ns, bool sleeping)
{
    const struct op *op = inv->op;
    struct record *rec = record_alloc(op->ring, op->position, owner, inv->target.route);
    if (rec == NULL) {
        return ST_DISCONNECTED;
    }
    inv->record = rec;
    inv->generation = atomic_load_relaxed(&rec->generation);
    if (inv->keep_xfers != NULL) {
        rec->apart = inv->keep_xfers;
        rec->xfer_count = RECORD_XFERS_APART;
        inv->xfers_taken = true;
    }
    if (inv->reserved_caps != 0) {
        table_unredeem(&inv->process->table, inv->reserved_caps, inv->result_ids);
        rec->promised = (uint8_t)inv->reserved_caps;
        inv->reserved_caps = 0;
    }
    atomic_store_relaxed(&rec->sleeping, sleeping);
    record_arm(rec, deadline_ns); /* once it is queued anybody may end it */
    lock_acquire(&owner->lock);
    bool queued = record_queue_locked(rec, list);
    lock_release(&owner->lock);
    return queued ? ST_PENDING : rec->doom;
}

status_t pending_start(struct pending *pending, struct invocation *inv, job_fn run)
{
    status_t status = invoke_wait(inv, inv->deadline_ns, false);
    job_init(&pending->job, run);
    pending->ring = status == ST_PENDING ? inv->op->ring : NULL;
    pending->rec = inv->record;
    pending->generation = inv->generation;
    if (pending->ring != NULL) {
        atomic_add_relaxed(&pending->ring->refs, 1);
    }
    job_submit(&pending->job);
    return status;
}

bool pending_claim(struct pending *pending)
{
    return pending->ring != NULL && record_claim(pending->rec, pending->generation);
}

void pending_requeue(struct pending *pending)
{
    struct record *rec = pending->rec;
    lock_acquire(&rec->target->lock);
    bool queued = record_queue_locked(rec, NULL);
    lock_release(&rec->target->lock);
    if (!queued) {
        record_complete(rec, rec->doom);
    }
}

bool pending_is_over(const struct pending *pending)
{
    return pending->ring == NULL ||
           atomic_load_acquire(&pending->rec->generation) != pending->generation;
}

void pending_end(struct pending *pending)
{
    if (pending->ring != NULL) {
        ring_put(pending->ring);
    }
}

bool pending_is_orphan(const struct pending *pending)
{
    return pending->ring == NULL || process_is_exiting(pending->ring->process);
}

/* A capability of whoever waits for this record; takes over the ref of object. */
static struct capability made_for(struct record *rec, struct kobj *object, uint8_t ktype,
                                  uint64_t facet)
{
    const struct kernel_interface *interface = &kernel_interfaces[ktype];
    grant_ref(rec->route);
    return (struct capability){
        .object = object,
        .route = rec->route,
        .facet = facet,
        .interface = interface->id,
        .ktype = ktype,
        .mode = interface->mode,
        .scope = interface->scope,
    };
}

static void answer(struct pending *pending, bool claimed, status_t status, const void *message,
                   size_t len, struct kobj *object, uint8_t ktype, uint64_t facet)
{
    if (!claimed) {
        if (object != NULL) {
            kobj_unref(object);
        }
        pending_end(pending);
        return;
    }
    pending->rec->bill = pending->job.cycles + arch_cycles();
    if (status != ST_OK) {
        if (object != NULL) {
            kobj_unref(object);
        }
        record_complete(pending->rec, status);
    } else if (object == NULL) {
        record_complete_message(pending->rec, message, (uint32_t)len, NULL, 0);
    } else {
        struct capability cap = made_for(pending->rec, object, ktype, facet);
        record_complete_message(pending->rec, message, (uint32_t)len, &cap, 1);
    }
    pending_end(pending);
}

void pending_answer(struct pending *pending, status_t status, const void *message, size_t len,
                    struct kobj *object, uint8_t ktype, uint64_t facet)
{
    answer(pending, pending_claim(pending), status, message, len, object, ktype, facet);
}

void pending_hand_out(struct pending *pending, bool claimed, status_t status, struct kobj *object,
                      uint8_t ktype)
{
    uint64_t words[2];
    size_t len = 0;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    (void)capnp_init_root(&builder, 1, 0);
    (void)capnp_finish(&builder, &len);
    answer(pending, claimed, status, words, len, object, ktype, kernel_interfaces[ktype].facet_all);
}

void pending_hand_out_both(struct pending *pending, struct kobj *first, uint8_t first_ktype,
                           struct kobj *second, uint8_t second_ktype, uint64_t second_facet)
{
    /* One word: index 0, and 1 less the schema's default for a capability that is not there. */
    const uint64_t words[] = {UINT64_C(1) << 32, (UINT64_C(1) ^ 0xffff) << 16};
    const struct capability caps[] = {
        made_for(pending->rec, first, first_ktype, kernel_interfaces[first_ktype].facet_all),
        made_for(pending->rec, second, second_ktype, second_facet),
    };
    record_complete_message(pending->rec, words, sizeof(words), caps, 2);
    pending_end(pending);
}
