/* SPDX-License-Identifier: MIT */
/*
 * Making and ending processes. States and invariants are in process.h.
 *
 * The exit job is a table of stages, each a function that does a bounded slice and says whether it is
 * through. Order matters: threads first, so that nothing new begins; then its own records, so that
 * no call is delivered to it any more; then what others wait for (calls it had received); then its
 * capabilities, whose loss may end other
 * objects; then memory; then the ledger; and only then are those who wait for EXIT told, so that
 * whoever sees EXIT sees the resources back.
 */
#include "object/process.h"

#include "abi/layout.h"
#include "cap/siphash.h"
#include "arch/arch.h"
#include "core/log.h"
#include "core/panic.h"
#include "core/step.h"
#include "gen/endpoint.capnp.h"
#include "ipc/endpoint.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "mem/frames.h"
#include "mem/slab.h"
#include "object/entropy.h"
#include "object/debugger.h"
#include "object/fault.h"
#include "object/launcher.h"
#include "ring/park.h"
#include "ring/ring.h"
#include "ring/wait.h"
#include "sched/cpu.h"

enum {
    EXIT_SLICE_CALLS = 16,
    EXIT_SLICE_SLOTS = 32,
    EXIT_SLICE_THREADS = 8,
    EXIT_SLICE_CYCLES = 5000
};

/* All processes by class, for those who look for the holders of something. A process is in its list
 * until nobody has a ref of it. */
static struct process_class {
    struct spinlock lock; /* rank LOCK_REGISTRY */
    struct list list;
} classes[PROCESS_CLASSES];
static _Atomic uint32_t processes_made;

void processes_init(void)
{
    for (unsigned i = 0; i < PROCESS_CLASSES; i++) {
        lock_init(&classes[i].lock, LOCK_REGISTRY);
        list_init(&classes[i].list);
    }
}

/* It can be found from now on; before it is given anything. */
static void enter_class(struct process *process)
{
    struct process_class *class = &classes[process->process_class];
    process->table.holder = BIT64(process->process_class);
    lock_acquire(&class->lock);
    list_push_back(&class->list, &process->class_link);
    lock_release(&class->lock);
}

static struct process *next_of_class(struct process_class *class, const struct process *after)
{
    struct process *found = NULL;
    lock_acquire(&class->lock);
    struct list_node *node =
        after != NULL ? list_next(&class->list, &after->class_link) : list_first(&class->list);
    for (; node != NULL && found == NULL; node = list_next(&class->list, node)) {
        struct process *process = list_entry(node, struct process, class_link);
        if (ref_try(&process->obj.refs)) {
            found = process;
        }
    }
    lock_release(&class->lock);
    return found;
}

struct process *process_seek(unsigned process_class, uint64_t id)
{
    struct process *at = next_of_class(&classes[process_class], NULL);
    while (at != NULL && at->obj.id <= id) {
        struct process *before = at;
        at = next_of_class(&classes[process_class], before);
        kobj_unref(&before->obj);
    }
    return at != NULL ? at : process_next(NULL, ~(BIT64(process_class) * 2 - 1));
}

struct process *process_next(struct process *after, uint64_t mask)
{
    struct process *found = NULL;
    if (after != NULL) {
        found = next_of_class(&classes[after->process_class], after);
        mask &= ~(BIT64(after->process_class) * 2 - 1);
        kobj_unref(&after->obj);
    }
    for (; mask != 0 && found == NULL; mask &= mask - 1) {
        found = next_of_class(&classes[__builtin_ctzll(mask)], NULL);
    }
    return found;
}

struct ring *process_next_ring(struct process *process, struct ring *after)
{
    struct ring *found = NULL;
    lock_acquire(&process->obj.lock);
    struct list_node *node = after != NULL
                                 ? list_next(&process->threads, &after->thread->process_link)
                                 : list_first(&process->threads);
    for (; node != NULL && found == NULL; node = list_next(&process->threads, node)) {
        struct ring *ring = list_entry(node, struct thread, process_link)->ring;
        if (ring_hold(ring)) {
            found = ring;
        }
    }
    lock_release(&process->obj.lock);
    if (after != NULL) {
        ring_put(after);
    }
    return found;
}

static uint32_t process_poll(struct kobj *obj, uint32_t mask, uint64_t bits, uint64_t *signal_out)
{
    (void)bits;
    struct process *process = process_of(obj);
    if (process->state != PROCESS_REAPED) {
        return 0;
    }
    *signal_out = (uint64_t)process->exit_code;
    return mask & (CAPOS_EVENT_EXIT | CAPOS_EVENT_DEAD);
}

/* Its place at the launcher is free: it has been reaped and no handle is left. */
static void free_place(struct process *process)
{
    struct launcher *launcher = process->launcher;
    process->launcher = NULL;
    if (launcher != NULL) {
        launcher_child_gone(launcher);
    }
}

static void process_no_slots(struct kobj *obj)
{
    struct process *process = process_of(obj);
    lock_acquire(&obj->lock);
    bool reaped = process->state == PROCESS_REAPED; /* else destroy sees to it */
    lock_release(&obj->lock);
    if (reaped) {
        free_place(process);
    }
}

static void process_destroy(struct kobj *obj)
{
    struct process *process = process_of(obj);
    struct ledger *parent = obj->ledger;
    KASSERT(process->state == PROCESS_REAPED);
    free_place(process);
    lock_acquire(&classes[process->process_class].lock);
    list_remove(&process->class_link);
    lock_release(&classes[process->process_class].lock);
    kobj_slot_drop(&process->ledger->obj);
    kobj_unref(&process->session->obj);
    context_unref(process->bound);
    slab_free(process);
    ledger_refund(parent, LEDGER_CLASS_PROCESSES, 1);
}

static const struct kobj_ops process_ops = {
    .name = "process",
    .no_slots = process_no_slots,
    .destroy = process_destroy,
    .unlink_record = park_unlink,
    .poll = process_poll,
};

static bool process_exit_slice(struct job *job);

static void init_fields(struct process *process, struct ledger *parent, struct session *session,
                        const char *name)
{
    kobj_init(&process->obj, KTYPE_PROCESS_HANDLE, &process_ops, parent);
    (void)str_copy(process->name, sizeof(process->name), name);
    process->session = session;
    kobj_ref(&session->obj);
    list_node_init(&process->session_link);
    process->state = PROCESS_BUILDING;
    context_init(&process->context, SCHED_CLASS_NORMAL, SCHED_WEIGHT);
    process->bound = &process->context;
    list_init(&process->threads);
    lock_init(&process->inflight_lock, LOCK_INFLIGHT);
    list_init(&process->inflight);
    list_node_init(&process->class_link);
    process->process_class = (uint8_t)(atomic_add_relaxed(&processes_made, 1) % PROCESS_CLASSES);
    job_init(&process->exit_job, process_exit_slice);
    kobj_ref(&process->obj); /* its own, until it is reaped: dropping every handle ends nothing */
}

status_t process_furnish(struct process *process, uint32_t ring_entries)
{
    status_t status = aspace_init(&process->aspace, process->ledger);
    if (status != ST_OK) {
        return status;
    }
    const uint64_t random[2] = {entropy_word(), entropy_word()};
    aspace_scatter(&process->aspace, random);
    process->built_aspace = true;
    table_init(&process->table, process->ledger, process->session->key);
    process->built_table = true;
    struct thread *thread;
    status = thread_create(process, 0, ring_entries, &thread);
    if (status == ST_OK) {
        enter_class(process);
    }
    return status;
}

status_t process_create(struct ledger *parent, struct ledger *ledger, struct session *session,
                        const uint64_t limits[LEDGER_CLASSES], const char *name,
                        struct process **out)
{
    if (ledger_charge(parent, LEDGER_CLASS_PROCESSES, 1) != ST_OK) {
        return ST_QUOTA;
    }
    struct process *process = slab_alloc(parent, sizeof(*process));
    if (process == NULL) {
        ledger_refund(parent, LEDGER_CLASS_PROCESSES, 1);
        return ST_QUOTA;
    }
    status_t status = ST_OK;
    if (ledger != NULL) {
        ledger_ref(ledger);
        process->ledger = ledger;
    } else {
        status = ledger_carve(parent, limits, name, &process->ledger);
    }
    if (status == ST_OK && (process->capset = kpage_alloc(process->ledger)) == NULL) {
        ledger_unref(process->ledger);
        status = ST_QUOTA;
    }
    if (status != ST_OK) {
        slab_free(process);
        ledger_refund(parent, LEDGER_CLASS_PROCESSES, 1);
        return status;
    }
    kobj_slot_add(&process->ledger->obj);
    process->owns_ledger = ledger == NULL;
    init_fields(process, parent, session, name);
    *out = process;
    return ST_OK;
}

void process_run_on(struct process *process, struct sched_context *context)
{
    context_ref(context);
    process->bound = context;
}

void process_abandon(struct process *process)
{
    struct list_node *first = list_first(&process->threads);
    if (first != NULL) {
        thread_give_up(list_entry(first, struct thread, process_link));
    }
    process->silent = true;
    process_end(process, PROCESS_ENDED_TERMINATED, 0, NULL);
    kobj_unref(&process->obj);
}

void process_end(struct process *process, enum process_end_kind kind, int64_t code,
                 const struct arch_fault_state *fault)
{
    struct kobj *obj = &process->obj;
    lock_acquire(&obj->lock);
    bool first = process->state == PROCESS_BUILDING || process->state == PROCESS_RUNNING;
    if (first) {
        process->state = PROCESS_EXITING;
        process->end_kind = (uint8_t)kind;
        process->exit_code = code;
        if (fault != NULL) {
            process->fault = *fault;
        }
        atomic_store_release(&process->exiting, 1);
    }
    lock_release(&obj->lock);
    if (first) {
        job_submit(&process->exit_job); /* which makes this CPU look again before it resumes */
    }
}

/* ---- the exit job ---- */

static struct thread *next_thread(struct process *process, const struct thread *after)
{
    lock_acquire(&process->obj.lock);
    struct list_node *node = after != NULL ? list_next(&process->threads, &after->process_link)
                                           : list_first(&process->threads);
    lock_release(&process->obj.lock);
    return node == NULL ? NULL : list_entry(node, struct thread, process_link);
}

/* Goes over the threads, some per slice, until `done` says true of each. */
static bool each_thread(struct process *process, bool (*done)(struct thread *))
{
    for (unsigned i = 0; i < EXIT_SLICE_THREADS; i++) {
        struct thread *thread = next_thread(process, process->exit_passed);
        if (thread == NULL) {
            process->exit_passed = NULL;
            return true;
        }
        if (!done(thread)) {
            return false;
        }
        process->exit_passed = thread;
    }
    return false;
}

/* Threads on their way out by themselves go first; after that nobody else changes the list, but for
 * threads that a thread not stopped yet still makes, at its end. */
static bool stage_stop_threads(struct process *process)
{
    lock_acquire(&process->obj.lock);
    bool leaving = process->leaving != 0;
    lock_release(&process->obj.lock);
    if (leaving || !each_thread(process, thread_stopped) || !context_is_quiet(&process->context)) {
        return false;
    }
    debugger_end(process);
    return true;
}

/* The first call this process received and has not answered; its ring is held. */
static struct record *first_inflight(struct process *process, uint32_t *generation_out)
{
    struct record *rec = NULL;
    lock_acquire(&process->inflight_lock);
    process->server_gone = true;
    struct list_node *node = list_first(&process->inflight);
    if (node != NULL) {
        rec = list_entry(node, struct record, server_link);
        *generation_out = atomic_load_relaxed(&rec->generation);
        atomic_add_relaxed(&rec->ring->refs, 1);
    }
    lock_release(&process->inflight_lock);
    return rec;
}

static bool stage_end_received(struct process *process)
{
    for (unsigned i = 0; i < EXIT_SLICE_CALLS; i++) {
        uint32_t generation;
        struct record *rec = first_inflight(process, &generation);
        if (rec == NULL) {
            return true;
        }
        struct ring *ring = rec->ring;
        (void)record_abort(rec, generation, ST_DISCONNECTED);
        ring_put(ring);
    }
    return false;
}

static bool close_ring(struct thread *thread)
{
    return ring_close_slice(thread->ring);
}

static bool stage_end_records(struct process *process)
{
    return each_thread(process, close_ring);
}

bool process_is_serving(const struct capability *cap)
{
    return cap->ktype == KTYPE_ENDPOINT && (cap->facet & EndpointOwn_FACET) == 0;
}

status_t process_expect_serving(struct process *process, uint32_t count)
{
    KASSERT(process->serving == NULL && count <= CAPOS_CAPSET_MAX);
    if (count == 0) {
        return ST_OK;
    }
    process->serving = slab_alloc(process->ledger, count * sizeof(*process->serving));
    return process->serving != NULL ? ST_OK : ST_QUOTA;
}

void process_note_serving(struct process *process, const struct capability *cap)
{
    if (!process_is_serving(cap)) {
        return;
    }
    process->serving[process->serving_count++] = (struct serving){cap->route, cap->object->id};
    grant_ref(cap->route);
}

/* In a closed session: the servers of all it held hear that this caller is gone. */
static bool stage_tell_servers(struct process *process)
{
    uint64_t caller[2];
    if (!session_is_closed(process->session) || !process->built_table) {
        return true;
    }
    for (unsigned i = 0; i < EXIT_SLICE_SLOTS && process->told != UINT32_MAX; i++) {
        struct capability cap;
        capos_cap_t id;
        enum cap_hop hop;
        uint32_t at = process->told;
        if (table_next(&process->table, at, &cap, &id, &hop, &process->told) == UINT32_MAX) {
            continue;
        }
        if (cap.ktype == 0 && cap.object != NULL) {
            siphash128(process->session->key, cap.object->caller_id, caller);
            endpoint_session_closed(served_of(cap.object), caller[0]);
        }
        capability_put(&cap);
    }
    return process->told == UINT32_MAX;
}

/* What was minted through a serve capability dies with the instance that was given it, even when it
 * has dropped the slot since; nobody would answer for it, and a successor's keys are its own. */
static bool stage_end_serving(struct process *process)
{
    if (process->serving_count == 0) {
        if (process->serving != NULL) {
            slab_free(process->serving);
        }
        process->serving = NULL;
        return true;
    }
    struct grant *grant = process->serving[process->serving_count - 1].grant;
    if (revocation_slice(&process->ending, grant)) {
        process->serving_count--;
        grant_unref(grant);
    }
    return false;
}

static bool stage_drop_capabilities(struct process *process)
{
    return !process->built_table || table_destroy_slice(&process->table, EXIT_SLICE_SLOTS);
}

static bool stage_drop_memory(struct process *process)
{
    return !process->built_aspace || aspace_destroy_slice(&process->aspace);
}

static bool stage_drop_threads(struct process *process)
{
    int budget = ASPACE_SLICE;
    for (struct thread *thread; (thread = next_thread(process, NULL)) != NULL;) {
        if (!ring_drain(thread->ring, &budget)) {
            return false;
        }
        lock_acquire(&process->obj.lock);
        list_remove(&thread->process_link);
        lock_release(&process->obj.lock);
        thread_release(thread);
    }
    kpage_free(process->ledger, process->capset);
    return true;
}

static const char *end_text(const struct process *process)
{
    static const char *const texts[] = {"exited", "faulted", "was terminated"};
    return texts[process->end_kind];
}

/* The log is everybody's: what is started in one session fills so many lines of it in a second, however
 * often it ends. */
static bool may_report(struct session *session)
{
    enum { REPORTS = 16 };
    uint64_t now_ns = arch_time_ns();
    uint32_t untold = 0;
    lock_acquire(&session->obj.lock);
    if (now_ns - session->told_since_ns >= UINT64_C(1000000000)) {
        untold = session->untold;
        session->told_since_ns = now_ns;
        session->told = session->untold = 0;
    }
    bool may = session->told < REPORTS;
    session->told += may;
    session->untold += !may;
    lock_release(&session->obj.lock);
    if (untold != 0) {
        klog("session %s: %u ends of processes before this were not logged", session->subject,
             untold);
    }
    return may;
}

static bool stage_report(struct process *process)
{
    bool told = process->end_kind == PROCESS_ENDED_FAULT || process->exit_code != 0;
    if (process->silent || !told || !may_report(process->session)) {
        return true;
    }
    if (process->end_kind == PROCESS_ENDED_FAULT) {
        klog("process %s (%llu) %s: address %#llx, instruction %#llx (image + %#llx), stack %#llx",
             process->name, (unsigned long long)process->obj.id, fault_text(&process->fault.fault),
             (unsigned long long)process->fault.fault.address.v,
             (unsigned long long)process->fault.regs.r[ARCH_REG_IP],
             (unsigned long long)(process->fault.regs.r[ARCH_REG_IP] - process->image_base),
             (unsigned long long)process->fault.regs.r[ARCH_REG_SP]);
    } else {
        klog("process %s (%llu) %s, code %lld", process->name, (unsigned long long)process->obj.id,
             end_text(process), (long long)process->exit_code);
    }
    return true;
}

/* Without init nobody supervises and nobody can be asked: say so and stop. */
static void halt_without_init(const struct process *process)
{
    klog("init %s with code %lld: the system halts", end_text(process),
         (long long)process->exit_code);
    log_tell_end();
    arch_debug_exit(0x21);
    arch_halt_all();
}

static bool stage_close(struct process *process)
{
    if (process->is_init) {
        halt_without_init(process);
    }
    if (process->owns_ledger) {
        ledger_close(process->ledger);
    }
    session_reaped(process);
    lock_acquire(&process->obj.lock);
    process->state = PROCESS_REAPED; /* not dead: its handle tells how it ended */
    lock_release(&process->obj.lock);
    kobj_notify(&process->obj);
    return true;
}

static bool (*const exit_stages[])(struct process *) = {
    stage_stop_threads,
    stage_end_records,
    stage_end_received,
    session_leave,
    stage_tell_servers,
    stage_end_serving,
    stage_drop_capabilities,
    stage_drop_memory,
    stage_drop_threads,
    stage_report,
    stage_close,
};

static bool process_exit_slice(struct job *job)
{
    struct process *process = CONTAINER_OF(job, struct process, exit_job);
    uint64_t begun = arch_cycles();
    do {
        STEP(what((uintptr_t)exit_stages[process->exit_stage]));
        if (!exit_stages[process->exit_stage](process)) {
            return false;
        }
        process->exit_stage++;
        if (process->exit_stage == sizeof(exit_stages) / sizeof(exit_stages[0])) {
            kobj_unref(&process->obj);
            return true;
        }
    } while (arch_cycles() - begun < EXIT_SLICE_CYCLES);
    return false;
}
