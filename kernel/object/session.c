/* SPDX-License-Identifier: MIT */
/* Sessions, their factory, and what may cross between them. Theory in session.h. */
#include "object/session.h"

#include "cap/siphash.h"
#include "gen/annotations.capnp.h"
#include "gen/endpoint.capnp.h"
#include "gen/kernel/session.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "ipc/endpoint.h"
#include "lib/base/string.h"
#include "mem/slab.h"
#include "object/entropy.h"
#include "object/invoke.h"
#include "object/process.h"
#include "object/root.h"
#include "object/spawn.h"
#include "ring/wait.h"
#include "sched/sched.h"

enum { SESSION_SLICE = 8 };

static struct session boot_session;
static uint64_t secret[2]; /* [I] of this boot */

/* Bit r of [scope][s]: capabilities of the scope may pass from domain s to domain r. */
static _Atomic uint16_t labels[SESSION_SCOPE_COUNT][SESSION_DOMAINS];

static void session_destroy(struct kobj *obj)
{
    slab_free(session_of(obj));
}

static const struct kobj_ops session_ops = {
    .name = "session",
    .destroy = session_destroy,
};

/* ---- closing ---- */

/* Ends some of the members; each is gone from the list once its exit job has come to session_leave. */
static bool session_job(struct job *job)
{
    struct session *session = CONTAINER_OF(job, struct session, job);
    for (unsigned i = 0; i < SESSION_SLICE; i++) {
        struct process *process = NULL;
        lock_acquire(&session->obj.lock);
        struct list_node *node = list_pop_front(&session->members);
        if (node != NULL) {
            process = list_entry(node, struct process, session_link);
            kobj_ref(&process->obj);
        }
        lock_release(&session->obj.lock);
        if (process == NULL) {
            kobj_unref(&session->obj);
            return true;
        }
        process_end(process, PROCESS_ENDED_TERMINATED, -1, NULL);
        kobj_unref(&process->obj);
    }
    return false;
}

/* Closed and empty: who waits for it is told. */
static void tell_when_empty(struct session *session)
{
    lock_acquire(&session->obj.lock);
    bool over = session_is_closed(session) && session->living == 0;
    lock_release(&session->obj.lock);
    if (over) {
        kobj_kill(&session->obj);
    }
}

static void session_close(struct session *session)
{
    lock_acquire(&session->obj.lock);
    bool first = !session_is_closed(session);
    atomic_store_seq_cst(&session->state, SESSION_STATE_CLOSED);
    lock_release(&session->obj.lock);
    if (first) {
        kobj_ref(&session->obj);
        job_submit(&session->job);
        tell_when_empty(session);
    }
}

/* ---- its processes ---- */

void session_join(struct process *process, struct thread *thread)
{
    struct session *session = process->session;
    lock_acquire(&session->obj.lock);
    bool closed = session_is_closed(session);
    if (!closed) {
        list_push_back(&session->members, &process->session_link);
    }
    session->calling++;
    session->living++;
    process->joined = process->in_session = true;
    if (atomic_load_relaxed(&thread->state) == THREAD_NEW) { /* not for a debugger to start */
        sched_start(thread);
    }
    lock_release(&session->obj.lock);
    if (closed) {
        process_end(process, PROCESS_ENDED_TERMINATED, -1, NULL);
    }
}

bool session_leave(struct process *process)
{
    struct session *session = process->session;
    lock_acquire(&session->obj.lock);
    if (process->in_session) {
        process->in_session = false;
        if (list_linked(&process->session_link)) {
            list_remove(&process->session_link);
        }
        session->calling--;
        if (session->transient && session->calling == 0) {
            atomic_store_seq_cst(&session->state, SESSION_STATE_CLOSED);
        }
    }
    bool through = !session_is_closed(session) || session->calling == 0;
    lock_release(&session->obj.lock);
    return through;
}

void session_reaped(struct process *process)
{
    struct session *session = process->session;
    if (!process->joined) {
        return;
    }
    lock_acquire(&session->obj.lock);
    session->living--;
    lock_release(&session->obj.lock);
    tell_when_empty(session);
}

/* ---- crossing ---- */

/* Is the process the one behind the object? */
static bool serves(struct process *process, const struct capability *cap)
{
    if (cap->ktype == KTYPE_SESSION) {
        return session_of(cap->object) == process->session;
    }
    if (cap->ktype != 0) {
        return false;
    }
    const struct kobj *endpoint = &served_of(cap->object)->endpoint->obj;
    bool found = endpoint->ledger == process->ledger;
    lock_acquire(&process->inflight_lock);
    for (uint32_t i = 0; !found && i < process->serving_count; i++) {
        found = process->serving[i].endpoint_id == endpoint->id;
    }
    lock_release(&process->inflight_lock);
    return found;
}

static bool in_recovery(const struct session *session)
{
    return atomic_load_relaxed(&session->state) == SESSION_STATE_RECOVERY;
}

bool session_may_pass(struct process *from, const struct session *to, const struct capability *cap)
{
    const struct session *own = from->session;
    if (LIKELY(own == to)) {
        return true;
    }
    if (in_recovery(own) || in_recovery(to) ||
        (atomic_load_relaxed(&labels[cap->scope][own->domain]) >> to->domain & 1) == 0) {
        return false;
    }
    return cap->scope == SESSION_SCOPE_CROSS_SESSION || serves(from, cap);
}

/* ---- making ---- */

static void session_setup(struct session *session, struct ledger *ledger, const char *subject,
                          uint64_t epoch)
{
    kobj_init(&session->obj, KTYPE_SESSION, &session_ops, ledger);
    (void)str_copy(session->subject, sizeof(session->subject), subject);
    session->epoch = epoch;
    session->key[0] = secret[0];
    session->key[1] = secret[1];
    uint64_t words[CAPOS_CAP_NAME_BYTES / 8];
    memcpy(words, session->subject, sizeof(words));
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        uint64_t key[2] = {session->key[0], session->key[1]};
        siphash128(key, words[i], session->key);
    }
    list_init(&session->members);
    job_init(&session->job, session_job);
}

struct session *session_boot(void)
{
    return &boot_session;
}

void session_init(void)
{
    memset(&boot_session, 0, sizeof(boot_session));
    entropy_bytes(secret, sizeof(secret));
    session_setup(&boot_session, NULL, "boot", 1);
    atomic_store_relaxed(&labels[SESSION_SCOPE_CROSS_SESSION][0], 1);
    atomic_store_relaxed(&labels[SESSION_SCOPE_REGRANT_ONLY][0], 1);
}

status_t session_factory_create(struct kobj **out)
{
    return root_object_create(KTYPE_SESSION_FACTORY, out);
}

status_t SessionFactory_kernel_create(struct invocation *inv, SessionFactory_create_params_r params,
                                      SessionFactory_create_results_b results)
{
    char subject[CAPOS_CAP_NAME_BYTES];
    uint16_t domain = SessionFactory_create_params_get_domain(params);
    status_t status = spawn_read_name(SessionFactory_create_params_get_subject(params), subject);
    if (status != ST_OK || domain >= SESSION_DOMAINS) {
        return ST_BAD_ARGUMENT;
    }
    status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct session *session = slab_alloc(inv->process->ledger, sizeof(*session));
    if (session == NULL) {
        return ST_QUOTA;
    }
    session_setup(session, inv->process->ledger, subject,
                  SessionFactory_create_params_get_epoch(params));
    session->domain = (uint8_t)domain;
    session->transient = SessionFactory_create_params_get_transient(params);
    SessionFactory_create_results_set_session(
        results, invoke_add_cap(inv, &session->obj, KTYPE_SESSION, Session_FACET));
    inv->result_caps[0].scope = SESSION_SCOPE_CROSS_SESSION; /* it is its maker's to hand on */
    return ST_OK;
}

status_t SessionFactory_kernel_allow(struct invocation *inv, SessionFactory_allow_params_r params,
                                     SessionFactory_allow_results_b results)
{
    (void)inv;
    (void)results;
    uint16_t sender = SessionFactory_allow_params_get_sender(params);
    uint16_t receiver = SessionFactory_allow_params_get_receiver(params);
    unsigned scope = SessionFactory_allow_params_get_scope(params);
    if (sender >= SESSION_DOMAINS || receiver >= SESSION_DOMAINS ||
        scope == SESSION_SCOPE_SAME_SESSION || scope >= SESSION_SCOPE_COUNT) {
        return ST_BAD_ARGUMENT;
    }
    uint16_t bit = (uint16_t)(1u << receiver);
    if (SessionFactory_allow_params_get_allowed(params)) {
        atomic_or_relaxed(&labels[scope][sender], bit);
    } else {
        atomic_and_relaxed(&labels[scope][sender], (uint16_t)~bit);
    }
    return ST_OK;
}

/* ---- methods ---- */

status_t Session_kernel_enter(struct invocation *inv, Session_enter_params_r params,
                              Session_enter_results_b results)
{
    (void)params;
    (void)results;
    return session_is_closed(session_of(inv->target.object)) ? ST_BAD_STATE : ST_OK;
}

status_t Session_kernel_state(struct invocation *inv, Session_state_params_r params,
                              Session_state_results_b results)
{
    (void)params;
    Session_state_results_set_state(
        results, (enum SessionState)atomic_load_relaxed(&session_of(inv->target.object)->state));
    return ST_OK;
}

status_t Session_kernel_recover(struct invocation *inv, Session_recover_params_r params,
                                Session_recover_results_b results)
{
    (void)results;
    struct session *session = session_of(inv->target.object);
    uint8_t state =
        Session_recover_params_get_on(params) ? SESSION_STATE_RECOVERY : SESSION_STATE_ACTIVE;
    lock_acquire(&session->obj.lock);
    bool closed = session_is_closed(session);
    if (!closed) {
        atomic_store_relaxed(&session->state, state);
    }
    lock_release(&session->obj.lock);
    return closed ? ST_BAD_STATE : ST_OK;
}

status_t Session_kernel_close(struct invocation *inv, Session_close_params_r params,
                              Session_close_results_b results)
{
    (void)params;
    (void)results;
    session_close(session_of(inv->target.object));
    return ST_OK;
}

status_t Session_kernel_subject(struct invocation *inv, Session_subject_params_r params,
                                Session_subject_results_b results)
{
    (void)params;
    const char *subject = session_of(inv->target.object)->subject;
    Session_subject_results_set_subject(results, subject, strlen(subject));
    return ST_OK;
}

status_t Session_kernel_epoch(struct invocation *inv, Session_epoch_params_r params,
                              Session_epoch_results_b results)
{
    (void)params;
    Session_epoch_results_set_epoch(results, session_of(inv->target.object)->epoch);
    return ST_OK;
}

status_t Session_kernel_domain(struct invocation *inv, Session_domain_params_r params,
                               Session_domain_results_b results)
{
    (void)params;
    Session_domain_results_set_domain(results, session_of(inv->target.object)->domain);
    return ST_OK;
}

status_t Session_kernel_reference(struct invocation *inv, Session_reference_params_r params,
                                  Session_reference_results_b results)
{
    const struct capability *cap;
    uint64_t caller[2];
    status_t status =
        invoke_param_cap(inv, Session_reference_params_get_endpoint(params), KTYPE_ENDPOINT, &cap);
    if (status == ST_OK && (cap->facet >> Endpoint_receive_ORDINAL & 1) == 0) {
        status = ST_NO_METHOD;
    }
    if (status == ST_OK) {
        siphash128(session_of(inv->target.object)->key, cap->object->caller_id, caller);
        Session_reference_results_set_first(results, caller[0]);
        Session_reference_results_set_second(results, caller[1]);
    }
    return status;
}
