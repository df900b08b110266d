/* SPDX-License-Identifier: MIT */
/*
 * HANDOVER: what one process has of an endpoint becomes another's, so that a service can be replaced without
 * a failed call.
 *
 * Two things tie a call to an instance of its server: who may answer it (a call in flight, record.h C5), and
 * the serve grant under which its object was minted, which ends with the instance (process->serving). Both
 * change hands here, each in one critical section; the grant goes first, so that no object dies in between.
 * What waits at the endpoint belongs to nobody. The receives of the predecessor are its own to cancel.
 *
 * Owner of the endpoint and able to end both processes: whoever asks could do worse to all concerned.
 */
#include "gen/endpoint.capnp.h"
#include "gen/kernel/types.h"
#include "gen/process.capnp.h"
#include "ipc/endpoint.h"
#include "lib/base/string.h"
#include "mem/slab.h"
#include "object/process.h"
#include "ring/op.h"

enum { HANDOVER_LOOKS = 256 };

struct handover {
    struct endpoint *endpoint;
    struct process *from;
    struct process *to;
};

/* A capability of this kind with this method, with refs. */
static status_t get(struct op *op, capos_cap_t id, uint8_t ktype, uint32_t ordinal,
                    struct capability *out)
{
    uint64_t caller[2];
    status_t status = table_get(&op->process->table, id, out, caller);
    if (status != ST_OK) {
        return status;
    }
    if (out->ktype == ktype && (out->facet >> ordinal & 1) != 0) {
        return ST_OK;
    }
    status = out->ktype == ktype ? ST_NO_METHOD : ST_WRONG_INTERFACE;
    capability_put(out);
    return status;
}

/* Neither of them has begun to let go of what it received: what is moved now is looked after. */
static bool lock_both(const struct handover *h)
{
    lock_pair(&h->from->inflight_lock, &h->to->inflight_lock);
    return !h->from->server_gone && !h->to->server_gone;
}

static void unlock_both(const struct handover *h)
{
    unlock_pair(&h->from->inflight_lock, &h->to->inflight_lock);
}

/* Something may have been minted under it. One that nobody but the list refers to ends where it is. */
static bool is_wanted(const struct handover *h, const struct serving *serving)
{
    return serving->endpoint_id == h->endpoint->obj.id &&
           atomic_load_relaxed(&serving->grant->refs) > 1;
}

static void move_grants_locked(const struct handover *h, struct serving *block)
{
    struct process *from = h->from, *to = h->to;
    uint32_t kept = 0, count = to->serving_count;
    memcpy(block, to->serving, count * sizeof(*block));
    for (uint32_t i = 0; i < from->serving_count; i++) {
        struct serving serving = from->serving[i];
        if (is_wanted(h, &serving)) {
            block[count++] = serving;
        } else {
            from->serving[kept++] = serving;
        }
    }
    from->serving_count = kept;
    to->serving = block;
    to->serving_count = count;
}

/* ST_BAD_STATE, ST_QUOTA: nothing has changed. ST_BUSY: another one was quicker. */
static status_t move_grants(const struct handover *h)
{
    bool open = lock_both(h);
    uint32_t room = h->from->serving_count + h->to->serving_count;
    unlock_both(h);
    if (!open) {
        return ST_BAD_STATE;
    }
    if (h->from->serving_count == 0) {
        return ST_OK;
    }
    struct serving *block =
        room <= CAPOS_CAPSET_MAX ? slab_alloc(h->to->ledger, room * sizeof(*block)) : NULL;
    if (block == NULL) {
        return ST_QUOTA;
    }
    struct serving *old = block;
    open = lock_both(h) && h->from->serving_count + h->to->serving_count <= room;
    if (open) {
        old = h->to->serving;
        move_grants_locked(h, block);
    }
    unlock_both(h);
    if (old != NULL) {
        slab_free(old);
    }
    return open ? ST_OK : ST_BUSY;
}

/* Looks at some calls in flight of the predecessor; those of other endpoints go to the back of its list. */
static int32_t move_calls(const struct handover *h)
{
    int32_t moved = 0;
    struct list_node *node, *kept = NULL;
    lock_acquire(&h->endpoint->obj.lock);
    bool open = lock_both(h);
    for (unsigned i = 0; open && i < HANDOVER_LOOKS; i++) {
        node = list_first(&h->from->inflight);
        if (node == NULL || node == kept) {
            break;
        }
        struct record *rec = list_entry(node, struct record, server_link);
        list_remove(node);
        if (rec->target == &h->endpoint->obj) {
            atomic_store_relaxed(&rec->server, h->to);
            list_push_back(&h->to->inflight, node);
            moved++;
        } else {
            list_push_back(&h->from->inflight, node);
            kept = kept == NULL ? node : kept;
        }
    }
    unlock_both(h);
    lock_release(&h->endpoint->obj.lock);
    return open ? moved : ST_BAD_STATE;
}

static int32_t hand_over(const struct handover *h)
{
    if (h->from == h->to) {
        return ST_BAD_ARGUMENT;
    }
    status_t status = move_grants(h);
    return status == ST_OK ? move_calls(h) : status;
}

void op_handover(struct op *op)
{
    struct capability caps[3];
    unsigned n = 0;
    const struct capos_sqe *sqe = op->sqe;
    int32_t result = get(op, sqe->cap, KTYPE_ENDPOINT, Endpoint_lend_ORDINAL, &caps[n]);
    n += result == ST_OK;
    if (result == ST_OK) {
        result =
            get(op, sqe->params, KTYPE_PROCESS_HANDLE, ProcessHandle_terminate_ORDINAL, &caps[n]);
        n += result == ST_OK;
    }
    if (result == ST_OK) {
        result = get(op, sqe->interface, KTYPE_PROCESS_HANDLE, ProcessHandle_terminate_ORDINAL,
                     &caps[n]);
        n += result == ST_OK;
    }
    if (result == ST_OK) {
        struct handover h = {endpoint_of(caps[0].object), process_of(caps[1].object),
                             process_of(caps[2].object)};
        result = hand_over(&h);
    }
    while (n != 0) {
        capability_put(&caps[--n]);
    }
    op_complete(op, result);
}
