/* SPDX-License-Identifier: MIT */
/*
 * PARK and UNPARK: waiting for a change of a word in memory.
 *
 * Theory: a word is named by the process and its address (private), or by a memory object and the
 * offset in it (shared by all who map it). That process or object is the target of the record, which
 * queues among its waiters and hangs in its tree `parked` under the address. PARK compares under the
 * object's lock and UNPARK takes under it; so if the word is changed first and unparked then, a parker
 * has seen the change or is found. Equal addresses are found in order of arrival.
 *
 * Memory that goes away: whoever has taken pages from a process notifies it, and the round of its
 * waiters (wait.c) ends those whose word is gone. Cancel, deadline, revocation and exit find a parked
 * record like any other.
 *
 * Invariant: P1 under the target's lock, a record of PARK is QUEUED exactly while it is in both the
 * waiters and the tree.
 *
 * Rejected: one hash table of all parkers (a stranger's crowd could share one's bucket, and an unmap
 * would have to look through all of them); see docs/decisions/0041-parked-by-object.md.
 */
#include "ring/park.h"

#include "gen/kernel/types.h"
#include "gen/memory.capnp.h"
#include "gen/status.capnp.h"
#include "mem/frames.h"
#include "object/memory_object.h"
#include "object/process.h"
#include "ring/op.h"
#include "ring/wait.h"

static struct tree *tree_of(struct kobj *obj)
{
    return obj->ktype == KTYPE_MEMORY_OBJECT ? &memory_object_of(obj)->parked
                                             : &process_of(obj)->parked;
}

static status_t load_word(struct kobj *obj, uint64_t at, uint32_t *out)
{
    if (obj->ktype != KTYPE_MEMORY_OBJECT) {
        return aspace_load_u32(process_aspace(obj), at, out);
    }
    struct paddr frame = memory_object_frame(memory_object_of(obj), (uint32_t)(at / PAGE_BYTES));
    const uint8_t *page = frame_ptr(frame);
    *out =
        __atomic_load_n((const uint32_t *)(const void *)(page + at % PAGE_BYTES), __ATOMIC_RELAXED);
    return ST_OK;
}

int32_t park_outcome_locked(struct kobj *obj, const struct record *rec)
{
    uint32_t word;
    if (kobj_is_dead(obj) || record_is_cut_off(rec)) {
        return ST_DISCONNECTED;
    }
    return load_word(obj, rec->parked.key, &word);
}

void park_unlink(struct kobj *obj, struct record *rec)
{
    list_remove(&rec->link);
    if (rec->sqe.op == CAPOS_OP_PARK && (rec->sqe.flags & SQE_DEFERRED) == 0) {
        tree_remove(tree_of(obj), &rec->parked);
    }
}

/* Whose word it is; `ordinal` is the right needed at a memory object. A route of NULL: the caller's own
 * process, without refs. */
static status_t find_word(struct op *op, unsigned ordinal, struct capability *out)
{
    out->object = &op->process->obj;
    out->route = NULL;
    if (op->sqe->params % sizeof(uint32_t) != 0 || op->sqe->interface > UINT32_MAX) {
        return ST_BAD_ARGUMENT;
    }
    if (op->sqe->cap == 0) {
        return ST_OK;
    }
    status_t status = table_get(&op->process->table, op->sqe->cap, out, NULL);
    if (status != ST_OK) {
        return status;
    }
    if (out->ktype != KTYPE_MEMORY_OBJECT) {
        status = ST_WRONG_INTERFACE;
    } else if ((out->facet >> ordinal & 1) == 0) {
        status = ST_NO_METHOD;
    } else if (op->sqe->params >= memory_object_of(out->object)->size_bytes) {
        status = ST_BAD_ARGUMENT;
    }
    if (status != ST_OK) {
        capability_put(out);
    }
    return status;
}

static void put_word(struct capability *cap)
{
    if (cap->route != NULL) {
        capability_put(cap);
    }
}

/* What PARK answers at once, 0 when the record is parked. */
static int32_t park_or_answer(struct kobj *obj, struct record *rec, uint64_t at, uint32_t expected)
{
    uint32_t word = 0;
    lock_acquire(&obj->lock);
    int32_t result = kobj_is_dead(obj) ? ST_DISCONNECTED : load_word(obj, at, &word);
    if (result == ST_OK && word != expected) {
        result = CAPOS_PARK_CHANGED;
    }
    if (result == ST_OK) {
        if (waiter_queue_locked(obj, rec)) {
            tree_insert(tree_of(obj), &rec->parked, at);
        } else {
            result = rec->doom;
        }
    }
    lock_release(&obj->lock);
    return result;
}

void op_park(struct op *op)
{
    struct capability cap;
    status_t status = find_word(op, MemoryObject_map_ORDINAL, &cap);
    if (status != ST_OK) {
        op_complete(op, status);
        return;
    }
    if (cap.route == NULL) {
        kobj_ref(cap.object);
    }
    /* The record takes over the refs. Until it is parked nobody but this drain ends it. */
    struct record *rec =
        record_alloc_held(op->ring, op->position, cap.object, cap.object, cap.route);
    if (rec == NULL) {
        kobj_unref(cap.object);
        if (cap.route != NULL) {
            grant_unref(cap.route);
        }
        op_complete(op, ST_DISCONNECTED);
        return;
    }
    tree_node_init(&rec->parked);
    record_arm(rec, op->sqe->deadline_ns);
    int32_t result = park_or_answer(cap.object, rec, op->sqe->params, (uint32_t)op->sqe->interface);
    if (result != 0) {
        record_finish(rec, result, 0, 0, 0);
    }
}

void op_unpark(struct op *op)
{
    struct capability cap;
    struct record *woken[CAPOS_UNPARK_MAX];
    uint64_t most = op->sqe->interface < CAPOS_UNPARK_MAX ? op->sqe->interface : CAPOS_UNPARK_MAX;
    unsigned count = 0;
    status_t status = find_word(op, MemoryObject_map_write_ORDINAL, &cap);
    if (status != ST_OK) {
        op_complete(op, status);
        return;
    }
    lock_acquire(&cap.object->lock);
    while (count < most) {
        struct tree_node *node = tree_lower_bound(tree_of(cap.object), op->sqe->params);
        if (node == NULL || node->key != op->sqe->params) {
            break;
        }
        woken[count] = CONTAINER_OF(node, struct record, parked);
        (void)record_claim_locked(woken[count], atomic_load_relaxed(&woken[count]->generation));
        record_let_go_locked(woken[count]);
        count++;
    }
    lock_release(&cap.object->lock);
    for (unsigned i = 0; i < count; i++) {
        record_post(woken[i], ST_OK, 0, 0, 0);
    }
    put_word(&cap);
    op_complete(op, (int32_t)count);
}
