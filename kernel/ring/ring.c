/* SPDX-License-Identifier: MIT */
/*
 * Making, finding and ending rings.
 *
 * The registry turns the ring number in a call id into a ring. Its entries are words with a lock
 * bit, on pages that are made as numbers grow and stay for good: two servers that answer different
 * clients touch different words. A ring that is found is held by `refs`, which ring_close_slice
 * waits for.
 */
#include "ring/record_inline.h"

#include "abi/layout.h"
#include "core/panic.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "mem/frames.h"
#include "ipc/fast.h"
#include "object/kernel_trace.h"
#include "object/process.h"
#include "object/thread.h"
#include "ring/poll.h"
#include "sched/timer.h"

enum {
    REGISTRY_PAGE_ENTRIES = PAGE_BYTES / 8,
    REGISTRY_PAGES = (1 << RING_ID_BITS) / REGISTRY_PAGE_ENTRIES,
    REGISTRY_LOCK_BIT = 1,
    CLOSE_SLICE_RECORDS = 32,
    SWEEP_ABORT = 32, /* looks that ending a record costs */
    CQ_RESERVE_MIN = 4,
};

typedef _Atomic uintptr_t registry_entry;

static struct {
    struct spinlock lock; /* free numbers and new pages */
    _Atomic(registry_entry *) pages[REGISTRY_PAGES];
    uint32_t next;      /* numbers below were used at least once */
    uint32_t free_head; /* number + 1 of a freed one; chained in entries */
} registry = {.lock = SPINLOCK_INIT(LOCK_REGISTRY)};

/* Neighbouring numbers lie on different cache lines: 64 rings share none, 128 share by twos. */
static uint32_t place_in_page(uint32_t id)
{
    enum { PER_LINE = CAPOS_RING_LINE / 8, LINES = REGISTRY_PAGE_ENTRIES / PER_LINE };
    return id % LINES * PER_LINE + id / LINES % PER_LINE;
}

static registry_entry *registry_entry_of(uint32_t id)
{
    if (id >> RING_ID_BITS != 0) {
        return NULL;
    }
    registry_entry *page = atomic_load_acquire(&registry.pages[id / REGISTRY_PAGE_ENTRIES]);
    return page == NULL ? NULL : &page[place_in_page(id)];
}

static uintptr_t entry_lock(registry_entry *entry)
{
    for (;;) {
        uintptr_t value = atomic_or_acq_rel(entry, REGISTRY_LOCK_BIT);
        if ((value & REGISTRY_LOCK_BIT) == 0) {
            return value;
        }
        arch_cpu_relax();
    }
}

static void entry_unlock(registry_entry *entry, uintptr_t value)
{
    atomic_store_release(entry, value);
}

/* A free number keeps the next free one, shifted above the lock bit and marked by bit 1: rings are
 * at least 4-aligned, so the mark tells the two apart. */
static uintptr_t free_mark(uint32_t next_plus_one)
{
    return ((uintptr_t)next_plus_one << 2) | 2;
}

static bool registry_take_number(uint32_t *id_out)
{
    if (registry.free_head != 0) {
        uint32_t id = registry.free_head - 1;
        registry.free_head = (uint32_t)(atomic_load_relaxed(registry_entry_of(id)) >> 2);
        *id_out = id;
        return true;
    }
    uint32_t id = registry.next;
    if (id >> RING_ID_BITS != 0) {
        return false;
    }
    if (id % REGISTRY_PAGE_ENTRIES == 0) {
        struct paddr frame = frame_alloc_zeroed();
        if (paddr_is_none(frame)) {
            (void)ledger_refuse(LEDGER_CLASS_KERNEL_PAGES);
            return false;
        }
        atomic_store_release(&registry.pages[id / REGISTRY_PAGE_ENTRIES],
                             (registry_entry *)frame_ptr(frame));
    }
    registry.next = id + 1;
    *id_out = id;
    return true;
}

static bool registry_reserve(struct ring *ring)
{
    lock_acquire(&registry.lock);
    bool taken = registry_take_number(&ring->id);
    lock_release(&registry.lock);
    return taken;
}

/* A RETURN with a made-up call id may hold the entry at this moment, and puts back what it found. */
static void registry_publish(struct ring *ring)
{
    registry_entry *entry = registry_entry_of(ring->id);
    (void)entry_lock(entry);
    entry_unlock(entry, (uintptr_t)ring);
}

static void registry_remove(struct ring *ring)
{
    registry_entry *entry = registry_entry_of(ring->id);
    lock_acquire(&registry.lock);
    (void)entry_lock(entry);
    entry_unlock(entry, free_mark(registry.free_head));
    registry.free_head = ring->id + 1;
    lock_release(&registry.lock);
}

struct ring *ring_get(uint32_t id)
{
    registry_entry *entry = registry_entry_of(id);
    if (entry == NULL) {
        return NULL;
    }
    uintptr_t value = entry_lock(entry);
    struct ring *ring = NULL;
    if (value != 0 && (value & 2) == 0) {
        ring = (struct ring *)value;
        atomic_add_relaxed(&ring->refs, 1);
    }
    entry_unlock(entry, value);
    return ring;
}

void ring_put(struct ring *ring)
{
    atomic_sub_release(&ring->refs, 1);
}

COLD uint8_t *ring_inline_far(struct ring *ring, uint64_t offset, uint64_t size_bytes)
{
    uint64_t area = (uint64_t)ring->cq_entries * CAPOS_PAYLOAD_SLOT_BYTES;
    if (offset >= area || offset % 8 != 0 ||
        offset % CAPOS_PAYLOAD_SLOT_BYTES + size_bytes > CAPOS_PAYLOAD_SLOT_BYTES) {
        return NULL;
    }
    uint64_t at = ring->payload_offset + offset; /* a slot never straddles a page */
    return karray_page(&ring->shared, (uint32_t)(at / PAGE_BYTES)) + at % PAGE_BYTES;
}

void ring_set_traced(struct ring *ring, bool traced)
{
    uint32_t near = KARRAY_DIRECTORY * PAGE_BYTES - ring->payload_offset;
    uint32_t payload_bytes = ring->cq_entries * CAPOS_PAYLOAD_SLOT_BYTES;
    near = near < payload_bytes ? near : payload_bytes;
    atomic_store_relaxed(&ring->payload_near, traced ? 0 : near);
    atomic_store_relaxed(&ring->general,
                         (ipc_fast_enabled() ? 0 : RING_GENERAL) | (traced ? RING_TRACED : 0));
}

/* Offsets and sizes of a ring of sq_entries, which is all zero yet; every entry and slot lies inside one page. */
static void lay_out(struct ring *ring, uint32_t sq_entries)
{
    ring->sq_entries = sq_entries;
    ring->cq_entries = 2 * sq_entries;
    uint32_t eighth = ring->cq_entries / 8;
    ring->cq_ordinary = ring->cq_entries - (eighth < CQ_RESERVE_MIN ? CQ_RESERVE_MIN : eighth);
    ring->sq_mask = sq_entries - 1;
    ring->cq_mask = ring->cq_entries - 1;
    /* A queue of at most a page lies within one. */
    uint32_t sq_bytes = sq_entries * (uint32_t)sizeof(struct capos_sqe);
    uint32_t cq_bytes = ring->cq_entries * (uint32_t)sizeof(struct capos_cqe);
    ring->sq_offset = (uint32_t)align_up(sizeof(struct capos_ring_header),
                                         sq_bytes < PAGE_BYTES ? sq_bytes : PAGE_BYTES);
    ring->cq_offset = ring->sq_offset + sq_bytes;
    uint64_t cq_end = ring->cq_offset + cq_bytes;
    ring->payload_offset = (uint32_t)align_up(cq_end, CAPOS_PAYLOAD_SLOT_BYTES);
    uint64_t payload_bytes = (uint64_t)ring->cq_entries * CAPOS_PAYLOAD_SLOT_BYTES;
    ring_set_traced(ring, false);
    ring->shared.npages = (uint32_t)(page_ceil(ring->payload_offset + payload_bytes) / PAGE_BYTES);
    ring->records.npages = (ring->cq_entries + RECORDS_PER_PAGE - 1) / RECORDS_PER_PAGE;
}

static void write_header(struct ring *ring)
{
    ring->header = (struct capos_ring_header *)(void *)karray_page(&ring->shared, 0);
    if (ring->sq_entries * sizeof(struct capos_sqe) <= PAGE_BYTES) {
        ring->sq_page = ring_entry(ring, ring->sq_offset);
        ring->cq_page = ring_entry(ring, ring->cq_offset);
    }
    struct capos_ring_header *header = ring->header;
    header->magic = CAPOS_RING_MAGIC;
    header->version = CAPOS_RING_VERSION;
    header->sq_entries = ring->sq_entries;
    header->cq_entries = ring->cq_entries;
    header->sq_offset = ring->sq_offset;
    header->cq_offset = ring->cq_offset;
    header->payload_offset = ring->payload_offset;
    header->payload_slots = ring->cq_entries;
    header->total_bytes =
        ring->payload_offset + (uint64_t)ring->cq_entries * CAPOS_PAYLOAD_SLOT_BYTES;
    header->next_sequence = ring->next_sequence;
}

/* Any record may be a call, or wait, or have a deadline, and so may cap_enter: a ring pays once for
 * the most it can hold, and operations touch no ledger. */
static const uint8_t record_classes[] = {LEDGER_CLASS_CALLS, LEDGER_CLASS_WAITERS,
                                         LEDGER_CLASS_TIMERS};
enum { RECORD_CLASSES = sizeof(record_classes) };

static uint32_t record_charge(const struct ring *ring, unsigned i)
{
    return ring->cq_entries + (record_classes[i] == LEDGER_CLASS_TIMERS);
}

/* Of the first `classes`. */
static void refund_records(const struct ring *ring, unsigned classes)
{
    for (unsigned i = 0; i < classes; i++) {
        ledger_refund(ring->process->ledger, record_classes[i], record_charge(ring, i));
    }
}

static status_t charge_records(const struct ring *ring)
{
    for (unsigned i = 0; i < RECORD_CLASSES; i++) {
        if (ledger_charge(ring->process->ledger, record_classes[i], record_charge(ring, i)) !=
            ST_OK) {
            refund_records(ring, i);
            return ST_QUOTA;
        }
    }
    return ST_OK;
}

static void give_back(struct ring *ring)
{
    refund_records(ring, RECORD_CLASSES);
    slab_free(ring);
}

static void init_fields(struct ring *ring, struct process *process, struct thread *thread,
                        uint64_t user_address)
{
    ring->process = process;
    ring->thread = thread;
    ring->user_address = user_address;
    ring->next_sequence = 1;
    lock_init(&ring->lock, LOCK_RING);
    list_init(&ring->active);
    list_init(&ring->ready_list);
    list_init(&ring->unarmed);
    list_init(&ring->answers);
    list_init(&ring->call_heads);
    /* Call ids of a ring that had this number before must not be taken for this one's. */
    ring->record_generation = (uint32_t)(kobj_next_id() * UINT64_C(0x9e3779b1));
}

status_t ring_create(struct process *process, struct thread *thread, uint64_t user_address,
                     uint32_t sq_entries, struct ring **out)
{
    if (sq_entries < CAPOS_RING_MIN_ENTRIES || sq_entries > CAPOS_RING_MAX_ENTRIES ||
        !is_power_of_two(sq_entries)) {
        return ST_BAD_ARGUMENT;
    }
    struct ledger *ledger = process->ledger;
    struct ring *ring = slab_alloc(ledger, sizeof(*ring));
    if (ring == NULL) {
        return ST_QUOTA;
    }
    init_fields(ring, process, thread, user_address);
    lay_out(ring, sq_entries);
    if (charge_records(ring) != ST_OK) {
        slab_free(ring);
        return ST_QUOTA;
    }
    status_t status = registry_reserve(ring) ? ST_OK : ST_QUOTA;
    if (status == ST_OK) {
        status =
            aspace_place_kernel(&process->aspace, &ring->user_address, ring->shared.npages, true);
        if (status != ST_OK) {
            registry_remove(ring);
        }
    }
    if (status != ST_OK) {
        give_back(ring);
        return status;
    }
    *out = ring;
    return ST_OK;
}

status_t ring_fill(struct ring *ring, int *budget)
{
    struct process *process = ring->process;
    status_t status = karray_fill(&ring->shared, process->ledger, budget);
    if (status == ST_OK) {
        status = karray_fill(&ring->records, process->ledger, budget);
    }
    if (status == ST_OK && ring->header == NULL) {
        write_header(ring);
    }
    if (status == ST_OK) {
        status = aspace_map_kernel(&process->aspace, ring->user_address, &ring->shared, budget);
    }
    if (status == ST_OK) {
        registry_publish(ring);
        trace_ring_made(ring);
    }
    return status;
}

bool ring_unmap_slice(struct ring *ring, uint64_t *ticket, int *budget)
{
    return aspace_unmap_kernel(&ring->process->aspace, ring->user_address, ticket, budget);
}

bool ring_drain(struct ring *ring, int *budget)
{
    struct ledger *ledger = ring->process->ledger;
    return karray_drain(&ring->records, ledger, budget) &&
           karray_drain(&ring->shared, ledger, budget);
}

/* Aborts active records, a slice of them; true when none is active. One that cannot end at once goes to the
 * back of the line. */
static bool abort_some(struct ring *ring)
{
    for (uint32_t i = 0; i < CLOSE_SLICE_RECORDS; i++) {
        lock_acquire(&ring->lock);
        struct list_node *node = list_first(&ring->active);
        if (node == NULL) {
            lock_release(&ring->lock);
            return true;
        }
        struct record *rec = list_entry(node, struct record, active_link);
        list_unlink(node);
        list_push_back(&ring->active, node);
        uint32_t generation = atomic_load_relaxed(&rec->generation);
        lock_release(&ring->lock);
        (void)record_abort(rec, generation, ST_DISCONNECTED);
    }
    return false;
}

bool ring_hold(struct ring *ring)
{
    lock_acquire(&ring->lock);
    bool open = !ring->closing;
    if (open) {
        atomic_add_relaxed(&ring->refs, 1);
    }
    lock_release(&ring->lock);
    return open;
}

/* The next record whose route is dead, and what to end it with; NULL: there is none, or the budget is
 * used up. A look from the first record on ends with the last active one. */
static struct record *next_cut_off(struct ring *ring, uint32_t *at, int32_t *budget,
                                   uint32_t *generation_out, status_t *status_out)
{
    struct record *found = NULL;
    lock_acquire(&ring->lock);
    uint32_t left = *at == 0 ? atomic_load_relaxed(&ring->outstanding) : ring->cq_entries;
    for (; found == NULL && left != 0 && *at<ring->cq_entries && * budget> 0; ++*at, --*budget) {
        struct record *rec = record_at(ring, *at);
        if (rec->target != NULL) {
            left--;
            if (record_is_cut_off(rec)) {
                found = rec;
                *generation_out = atomic_load_relaxed(&rec->generation);
                bool told =
                    rec->sqe.op == CAPOS_OP_WAIT && (rec->sqe.method & CAPOS_EVENT_DEAD) != 0;
                *status_out = told ? CAPOS_EVENT_DEAD : ST_DISCONNECTED;
            }
        }
    }
    if (left == 0 && found == NULL) {
        *at = ring->cq_entries;
    }
    lock_release(&ring->lock);
    return found;
}

bool ring_sweep(struct ring *ring, uint32_t *at, int32_t *budget)
{
    uint32_t generation;
    status_t status;
    for (struct record *rec;
         (rec = next_cut_off(ring, at, budget, &generation, &status)) != NULL;) {
        (void)record_abort(rec, generation, status);
        *budget -= SWEEP_ABORT;
    }
    return *at == ring->cq_entries;
}

bool ring_close_slice(struct ring *ring)
{
    lock_acquire(&ring->lock);
    bool first = !ring->closing;
    ring->closing = true;
    lock_release(&ring->lock);
    if (first) {
        registry_remove(ring);
    }
    timer_cancel(&ring->thread->deadline);
    poll_nudge(ring);
    return abort_some(ring) && atomic_load_acquire(&ring->refs) == 0 && timers_quiet(ring);
}

void ring_destroy(struct ring *ring)
{
    KASSERT(atomic_load_relaxed(&ring->outstanding) == 0 && list_empty(&ring->call_heads));
    KASSERT(ring->shared.filled == 0 && ring->records.filled == 0);
    give_back(ring);
}
