/* SPDX-License-Identifier: MIT */
/*
 * Theory: what endpoint_submit_call with endpoint_deliver, or return_call with op_recv, does for a small
 * message is done here in one go, with each lock taken once, and the CPU goes straight to the thread that
 * waits for it, in the same time slice. Nothing is done here that the general way does not do: whatever is
 * not as simple as can be (another CPU, a deadline, capabilities, a buffer instead of a payload slot, a
 * line of callers) is left to it, and so is every refusal. Both ways leave the same state behind, and the
 * tests run the same calls over both and compare.
 *
 *   fast_call    CALL, INLINE, no transfer: the first receive of the endpoint is INLINE, its thread waits
 *                on this CPU. The call is INFLIGHT, the receive done, the caller BLOCKED.
 *   call_object  The same of a kernel object: found by the same look-up, and called as ring/call.c does, which
 *                need not look it up again.
 *   fast_answer  RETURN_RECV, INLINE, no transfer: the call's thread waits on this CPU. The call is done,
 *                a receive QUEUED, the server BLOCKED.
 *
 * The CPU's context does not change: the caller lends it (sched/context.h). So an answer goes this way only
 * while the CPU is still charged to the client's.
 *
 * Read and check come first; after `commit` nothing can fail. Locks, in order of rank: table (let go before
 * the next), endpoint, in-flight list of the server, ring of the one who is woken, then the caller's own.
 */
#include "ipc/fast.h"

#include "arch/arch.h"
#include "gen/endpoint.capnp.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "ipc/endpoint.h"
#include "object/process.h"
#include "ring/bill.h"
#include "ring/buffer.h"
#include "ring/op.h"
#include "ring/record_inline.h"
#include "sched/cpu.h"

enum { FAST_BYTES = 128 };

#define WORD0(op) ((uint64_t)(op) | (uint64_t)CAPOS_SQE_INLINE << 16)
#define WORD0_METHOD (UINT64_C(0x3f) << 32)
#define WORD0_ACCEPT (UINT64_C(0xff) << 56)

static bool disabled; /* [I] after boot; rings take it over when they are made */

void ipc_fast_enable(bool on)
{
    disabled = !on;
}

bool ipc_fast_enabled(void)
{
    return !disabled;
}

/* The SQE's words, each loaded once. */
struct words {
    uint64_t w0, cap, user_data, params, result, lens, interface;
};

static ALWAYS_INLINE uint32_t params_len(const struct words *w)
{
    return (uint32_t)w->lens;
}

/* The thread waits in cap_enter for no more than this one completion, has nothing else to be told, and may
 * run here next. The ring is locked by the caller, who holds what keeps it. */
static ALWAYS_INLINE bool waits_here(struct ring *ring, const struct cpu *cpu)
{
    struct thread *thread = ring->thread;
    return LIKELY(ring->wait_min == 1 && !ring->wait_stalled &&
                  atomic_load_relaxed(&thread->cpu) == cpu->id && !thread->deadline.armed &&
                  !process_is_exiting(ring->process));
}

/* Its completion was posted: it runs next. The ring is locked. */
static ALWAYS_INLINE void resume(struct ring *ring, struct cpu *cpu)
{
    struct thread *thread = ring->thread;
    ring->wait_min = 0;
    uint64_t ready =
        atomic_load_relaxed(&ring->cq_tail) - ring_load_acquire(&ring->header->cq_head);
    arch_syscall_set_result(
        &thread->arch, LIKELY(ready <= ring->cq_entries) ? ready : (uint64_t)(int64_t)ST_BAD_RING);
    atomic_store_relaxed(&thread->state, THREAD_RUNNING);
    cpu->current = thread;
}

/* The SQE is consumed and its thread waits for one completion, or for its turn when another CPU has posted
 * one, or made a deferred SQE ready, since the drain looked. Ring locked. */
static ALWAYS_INLINE void consume_and_block(struct ring *ring, uint64_t position)
{
    ring->sq_head = position + 1;
    ring->fast++;
    ring_store_release(&ring->header->sq_head, position + 1);
    ring->wait_stalled = false;
    if (UNLIKELY(atomic_load_relaxed(&ring->cq_tail) != ring->cq_head_seen ||
                 atomic_load_relaxed(&ring->ready) != 0)) {
        ring_wake(ring, ring_answer_locked(ring));
        return;
    }
    ring->wait_generation++;
    ring->wait_min = 1;
    /* Who sees it without the lock (thread_stopped) is to see that it waits, too. */
    atomic_store_release(&ring->thread->state, THREAD_BLOCKED);
}

/* The id that the call will have which is made of the ring's spare record. Only its own thread makes
 * records. */
static ALWAYS_INLINE uint64_t next_call_id(const struct ring *ring)
{
    return (uint64_t)record_next_generation(ring) << (RING_ID_BITS + RING_INDEX_BITS) |
           (uint64_t)ring->id << RING_INDEX_BITS | ring->spare->index;
}

/* ---- CALL ---- */

/* What the look-up found, with refs of served object and route. */
struct target {
    struct served *served;
    struct endpoint *endpoint;
    struct grant *route;
    uint64_t facet;
    uint64_t caller[2];
};

/* The slot is one that may be called so. Table locked. */
static ALWAYS_INLINE bool is_meant(const struct cap_slot *slot, const struct words *w)
{
    return LIKELY(slot != NULL && slot->interface == w->interface &&
                  (slot->facet >> (w->w0 >> 32 & 0x3f) & 1) != 0);
}

/* Table locked. */
static ALWAYS_INLINE bool take_target(const struct cap_slot *slot, const struct words *w,
                                      struct target *out)
{
    struct served *served = served_of(slot->object);
    out->served = served;
    out->endpoint = served->endpoint;
    out->route = slot->route;
    out->facet = slot->facet;
    out->caller[0] = slot->caller[0];
    out->caller[1] = slot->caller[1];
    if (UNLIKELY(!grant_is_live(served->obj.mint) ||
                 params_len(w) > out->endpoint->max_message_bytes || (w->w0 & WORD0_ACCEPT) != 0)) {
        return false;
    }
    kobj_ref(&served->obj);
    grant_ref(out->route);
    return true;
}

/* The receive that the call meets, when all is simple. The endpoint is locked. */
static ALWAYS_INLINE struct record *simple_receive(struct endpoint *endpoint)
{
    struct list_node *node = endpoint->receives.head.next;
    struct record *receive = list_entry(node, struct record, link);
    bool simple = node != &endpoint->receives.head && list_empty(&endpoint->callers) &&
                  !kobj_is_dead(&endpoint->obj) && endpoint->special == 0 &&
                  receive->sqe.flags == CAPOS_SQE_INLINE && !receive->deadline.armed;
    return LIKELY(simple) ? receive : NULL;
}

/* Header and message into the receive's slot. */
static ALWAYS_INLINE void write_slot(struct ring *ring, const struct words *w,
                                     const struct target *target, uint8_t *slot,
                                     const uint8_t *message)
{
    uint32_t len = params_len(w);
    ring_store(slot, next_call_id(ring));
    ring_store(slot + 8, target->served->key);
    ring_store(slot + 16, w->interface);
    ring_store(slot + 24, target->facet);
    ring_store(slot + 32, target->caller[0]);
    ring_store(slot + 40, target->caller[1]);
    ring_store(slot + 48, ring->process->session->epoch);
    ring_store(slot + 56, len | (w->w0 >> 32 & 0x3f) << 32);
    copy_shared(slot + sizeof(struct capos_received), message, len);
}

/* The caller's record, INFLIGHT at the server, and the caller BLOCKED. Endpoint and in-flight list are
 * locked. */
static ALWAYS_INLINE void put_in_flight(struct ring *ring, const struct words *w,
                                        const struct target *target, uint8_t *result,
                                        const struct ring *waiting, uint64_t position)
{
    struct process *server = waiting->process;
    lock_acquire(&ring->lock);
    struct record *call = record_activate(ring, position, &target->endpoint->obj,
                                          &target->served->obj, target->route, RECORD_INFLIGHT);
    uint64_t *sqe = (uint64_t *)(void *)&call->sqe;
    sqe[0] = w->w0;
    sqe[2] = w->user_data;
    sqe[4] = (uintptr_t)result;
    sqe[5] = w->lens;
    sqe[6] = w->interface;
    call->key = target->served->key;
    call->facet = target->facet;
    call->receiver = waiting->id;
    atomic_store_relaxed(&waiting->thread->caller, ring);
    consume_and_block(ring, position);
    lock_release(&ring->lock);
    atomic_store_relaxed(&call->server, server);
    list_push_back(&server->inflight, &call->server_link);
    list_push_back(&target->endpoint->inflight, &call->link);
}

/* Everything under the locks; false: nothing was done. *receive_out is done with but for its refs. */
static ALWAYS_INLINE bool deliver(struct ring *ring, const struct words *w,
                                  const struct target *target, const uint8_t *message,
                                  uint8_t *result, uint64_t position, struct record **receive_out)
{
    struct cpu *cpu = cpu_this();
    struct endpoint *endpoint = target->endpoint;
    bool done = false;
    lock_acquire(&endpoint->obj.lock);
    struct record *receive = simple_receive(endpoint);
    if (LIKELY(receive != NULL)) {
        struct ring *waiting = receive->ring;
        struct process *server = waiting->process;
        lock_acquire(&server->inflight_lock);
        lock_acquire(&waiting->lock);
        if (LIKELY(waits_here(waiting, cpu) && !server->server_gone && waiting != ring)) {
            /* commit */
            uint32_t bytes = (uint32_t)sizeof(struct capos_received) + params_len(w);
            write_slot(ring, w, target, record_slot(receive->sqe.params), message);
            endpoint_count_locked(endpoint, params_len(w));
            ring_count_call(ring);
            list_unlink(&receive->link);
            receive->state = RECORD_FREE;
            atomic_store_relaxed(&receive->generation, 0);
            record_retire_locked(waiting, receive, bytes | (uint64_t)CAPOS_CQE_INLINE << 32, 0, 0);
            cpu_charge(cpu, ring->thread);
            bill_cut_locked(waiting);
            resume(waiting, cpu);
            lock_release(&waiting->lock);
            put_in_flight(ring, w, target, result, waiting, position);
            *receive_out = receive;
            done = true;
        } else {
            lock_release(&waiting->lock);
        }
        lock_release(&server->inflight_lock);
    }
    lock_release(&endpoint->obj.lock);
    return done;
}

/* The table is locked, and let go here. */
NOINLINE static enum fast call_object(struct ring *ring, const struct words *w,
                                      const struct cap_slot *slot, const uint8_t *message,
                                      const uint8_t *result, uint64_t position)
{
    struct op op = {ring, ring->process, position, &ring->spare->sqe};
    uint64_t *sqe = (uint64_t *)(void *)op.sqe;
    sqe[0] = w->w0;
    sqe[1] = w->cap;
    sqe[2] = w->user_data;
    sqe[3] = (uintptr_t)message;
    sqe[4] = (uintptr_t)result;
    sqe[5] = w->lens;
    sqe[6] = w->interface;
    sqe[7] = 0;
    ring->began = (uint32_t)arch_cycles();
    call_kernel_checked(&op, slot);
    return FAST_TAKEN;
}

static enum fast fast_call(struct ring *ring, const struct words *w, uint64_t position)
{
    struct target target;
    struct record *receive;
    struct cap_table *table = &ring->process->table;
    uint64_t result_len = w->lens >> 32;
    const uint8_t *message = ring_inline(ring, w->params, params_len(w));
    uint8_t *result = ring_inline(ring, w->result, result_len);
    if (UNLIKELY(message == NULL || result == NULL)) {
        return FAST_NOT;
    }
    lock_acquire(&table->lock);
    const struct cap_slot *slot = table_usable_slot(table, w->cap);
    bool meant = is_meant(slot, w);
    if (meant && UNLIKELY(slot->ktype != 0)) {
        return call_object(ring, w, slot, message, result, position);
    }
    bool good = meant && take_target(slot, w, &target);
    lock_release(&table->lock);
    if (UNLIKELY(!good)) {
        return FAST_NOT;
    }
    if (UNLIKELY(!deliver(ring, w, &target, message, result, position, &receive))) {
        kobj_unref(&target.served->obj);
        grant_unref(target.route);
        return FAST_NOT;
    }
    struct grant *route = receive->route;
    struct kobj *held = receive->held;
    uint32_t promised = receive->promised;
    if (UNLIKELY(promised != 0)) {
        table_unpromise(&receive->ring->process->table, promised);
    }
    grant_unref(route);
    kobj_unref(held);
    return FAST_RESUMED;
}

/* ---- RETURN_RECV ---- */

/* The endpoint to receive from, with refs of it and the route; the table is let go again. */
static ALWAYS_INLINE struct endpoint *find_endpoint(struct ring *ring, const struct words *w,
                                                    struct grant **route_out)
{
    struct cap_table *table = &ring->process->table;
    struct endpoint *endpoint = NULL;
    lock_acquire(&table->lock);
    const struct cap_slot *slot = table_usable_slot(table, w->cap);
    if (LIKELY(slot != NULL && slot->ktype == KTYPE_ENDPOINT &&
               (slot->facet >> Endpoint_receive_ORDINAL & 1) != 0)) {
        endpoint = endpoint_of(slot->object);
        *route_out = slot->route;
        kobj_ref(&endpoint->obj);
        grant_ref(slot->route);
    }
    lock_release(&table->lock);
    return endpoint;
}

/* The receive that follows is one that the endpoint allows. */
static ALWAYS_INLINE bool receive_fits(const struct endpoint *endpoint, const struct words *w)
{
    uint64_t result_len = w->lens >> 32;
    uint64_t accept = w->w0 >> 56;
    uint64_t needed = sizeof(struct capos_received) + endpoint->max_message_bytes +
                      endpoint->max_caps * sizeof(struct capos_cap_record);
    return LIKELY((result_len >= needed || needed <= CAPOS_PAYLOAD_SLOT_BYTES) &&
                  accept >= endpoint->max_caps && accept <= ENDPOINT_MAX_CAPS &&
                  w->result <= UINT64_MAX - result_len);
}

/* The call that is answered, when all is simple. Endpoint, in-flight list and its ring are locked. */
static ALWAYS_INLINE bool simple_call(const struct record *call, uint32_t generation,
                                      const struct endpoint *endpoint, struct process *process,
                                      uint32_t len)
{
    return LIKELY(atomic_load_relaxed(&call->server) == process &&
                  atomic_load_relaxed(&call->generation) == generation &&
                  call->target == &endpoint->obj && call->sqe.flags == CAPOS_SQE_INLINE &&
                  len <= call->sqe.result_len && len <= endpoint->max_message_bytes &&
                  !call->deadline.armed && call->promised == 0);
}

/* The server's receive, QUEUED, and the server BLOCKED. The endpoint is locked. */
static ALWAYS_INLINE void put_receive(struct ring *ring, const struct words *w,
                                      struct endpoint *endpoint, struct grant *route, uint8_t *slot,
                                      uint64_t position)
{
    lock_acquire(&ring->lock);
    struct record *receive =
        record_activate(ring, position, &endpoint->obj, &endpoint->obj, route, RECORD_QUEUED);
    uint64_t *sqe = (uint64_t *)(void *)&receive->sqe;
    sqe[0] = w->w0;
    sqe[1] = w->cap;
    sqe[2] = w->user_data;
    sqe[3] = (uintptr_t)slot;
    sqe[4] = w->result;
    sqe[5] = w->lens;
    receive->promised = (uint8_t)(w->w0 >> 56);
    consume_and_block(ring, position);
    lock_release(&ring->lock);
    endpoint->vacant = false;
    list_push_back(&endpoint->receives, &receive->link);
}

/* Everything under the locks; false: nothing was done. The call is done with but for its refs. */
static ALWAYS_INLINE bool answer(struct ring *ring, const struct words *w,
                                 struct endpoint *endpoint, struct grant *route,
                                 struct ring *client, struct record *call, uint32_t generation,
                                 const uint8_t *message, uint64_t position)
{
    struct cpu *cpu = cpu_this();
    struct process *process = ring->process;
    uint32_t len = params_len(w);
    lock_acquire(&endpoint->obj.lock);
    lock_acquire(&process->inflight_lock);
    lock_acquire(&client->lock);
    bool simple =
        LIKELY(simple_call(call, generation, endpoint, process, len) && waits_here(client, cpu) &&
               client != ring && list_empty(&endpoint->callers) && !kobj_is_dead(&endpoint->obj) &&
               client->thread->context == atomic_load_relaxed(&cpu->context));
    if (LIKELY(simple)) {
        /* commit */
        list_unlink(&call->server_link);
        list_unlink(&call->link);
        atomic_store_relaxed(&call->server, NULL);
        call->state = RECORD_FREE;
        atomic_store_relaxed(&call->generation, 0);
        copy_shared(record_slot(call->sqe.result), message, len);
        uint64_t bill = bill_take(ring, cpu);
        record_retire_locked(client, call, len, 0, bill);
        bill_add_locked(client, bill);
        resume(client, cpu);
        atomic_store_relaxed(&ring->thread->caller, NULL);
    }
    lock_release(&client->lock);
    lock_release(&process->inflight_lock);
    if (LIKELY(simple)) {
        uint8_t *slot =
            (uint8_t *)((uintptr_t)message & ~(uintptr_t)(CAPOS_PAYLOAD_SLOT_BYTES - 1));
        put_receive(ring, w, endpoint, route, slot, position);
    }
    lock_release(&endpoint->obj.lock);
    return simple;
}

static ALWAYS_INLINE bool answer_call(struct ring *ring, const struct words *w,
                                      struct endpoint *endpoint, struct grant *route,
                                      const uint8_t *message, uint64_t position)
{
    uint64_t id = w->interface;
    uint32_t index = (uint32_t)(id & ((1u << RING_INDEX_BITS) - 1));
    struct ring *client = ring_get((uint32_t)(id >> RING_INDEX_BITS) & ((1u << RING_ID_BITS) - 1));
    if (UNLIKELY(client == NULL)) {
        return false;
    }
    bool done = false;
    if (LIKELY(index < client->cq_entries)) {
        struct record *call = record_at(client, index);
        uint32_t generation = (uint32_t)(id >> (RING_INDEX_BITS + RING_ID_BITS));
        done = answer(ring, w, endpoint, route, client, call, generation, message, position);
        if (LIKELY(done)) {
            struct grant *call_route = call->route;
            struct kobj *held = call->held;
            grant_unref(call_route);
            kobj_unref(held);
        }
    }
    ring_put(client);
    return done;
}

static bool fast_answer(struct ring *ring, const struct words *w, uint64_t position)
{
    const uint8_t *message = ring_inline(ring, w->params, params_len(w));
    struct grant *route;
    if (UNLIKELY(message == NULL)) {
        return false;
    }
    struct endpoint *endpoint = find_endpoint(ring, w, &route);
    if (UNLIKELY(endpoint == NULL)) {
        return false;
    }
    uint32_t accept = (uint32_t)(w->w0 >> 56);
    bool promised = LIKELY(receive_fits(endpoint, w)) &&
                    (accept == 0 || table_promise(&ring->process->table, accept) == ST_OK);
    if (LIKELY(promised) && LIKELY(answer_call(ring, w, endpoint, route, message, position))) {
        return true;
    }
    if (promised && accept != 0) {
        table_unpromise(&ring->process->table, accept);
    }
    grant_unref(route);
    kobj_unref(&endpoint->obj);
    return false;
}

enum fast ipc_fast(struct ring *ring, uint64_t position)
{
    if (UNLIKELY(atomic_load_relaxed(&ring->general) != 0 || ring->spare == NULL ||
                 atomic_load_relaxed(&cpu_this()->job_count) != 0)) {
        return FAST_NOT;
    }
    const uint8_t *shared = ring_sqe(ring, position);
    uint64_t w0 = ring_load(shared);
    bool is_call = (w0 & ~(WORD0_METHOD | WORD0_ACCEPT)) == WORD0(CAPOS_OP_CALL);
    if (!is_call && (w0 & ~WORD0_ACCEPT) != WORD0(CAPOS_OP_RETURN_RECV)) {
        return FAST_NOT;
    }
    struct words w = {
        .w0 = w0,
        .cap = ring_load(shared + 8),
        .user_data = ring_load(shared + 16),
        .params = ring_load(shared + 24),
        .result = ring_load(shared + 32),
        .lens = ring_load(shared + 40),
        .interface = ring_load(shared + 48),
    };
    const uint64_t unaligned = 7 | UINT64_C(7) << 32;
    if (UNLIKELY((w.lens & unaligned) != 0 || params_len(&w) > FAST_BYTES ||
                 ring_load(shared + 56) != 0)) {
        return FAST_NOT;
    }
    if (is_call) {
        return fast_call(ring, &w, position);
    }
    return fast_answer(ring, &w, position) ? FAST_RESUMED : FAST_NOT;
}
