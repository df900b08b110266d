/* SPDX-License-Identifier: MIT */
/*
 * A session: in whose name a process works. Every process has exactly one, set when it is made.
 *
 * States: active <-> recovery, any -> closed for good (by Session.close, or, when it is transient, by the
 * end of its last process). A process joins when it starts and leaves when its exit job has ended its
 * own calls; a process that starts in a closed session is ended at once.
 *
 * Invariants: N1 in a closed session nobody starts an operation: the state is looked at on every kernel
 * entry. N2 SESSION_CLOSED is told when no process of it has a call under way any more, so who forgets
 * the caller then hears no more of it. N3 when it is closed and its last process has been reaped, the
 * object is dead. Lock: obj.lock.
 *
 * A capability crosses from session to session only as its scope, the state of both and the labels of
 * their domains allow (session_may_pass). Starting a process in a session by its SessionRef is no
 * crossing: it is how a session comes by what it has.
 */
#ifndef CAPOS_KERNEL_OBJECT_SESSION_H
#define CAPOS_KERNEL_OBJECT_SESSION_H

#include "abi/capset.h"
#include "cap/table.h"
#include "core/job.h"
#include "core/kobj.h"
#include "gen/session.capnp.h"

struct process;
struct thread;

enum { SESSION_DOMAINS = 16 };

/* [I] immutable  [a] atomic  [o] obj.lock */
struct session {
    struct kobj obj;
    uint64_t epoch;  /* [I] */
    uint64_t key[2]; /* [I] secret: mixed into the references that services see */
    char subject[CAPOS_CAP_NAME_BYTES]; /* [I] */
    uint8_t domain;                     /* [I] */
    bool transient;                     /* [I] */
    _Atomic uint8_t state;              /* [a] enum SessionState; written under obj.lock */
    struct list members;                /* [o] processes that have joined and not left */
    uint32_t calling;                   /* [o] how many */
    uint32_t living;                    /* [o] joined and not reaped */
    struct job job;                     /* ends the members, once closed */
    uint64_t told_since_ns; /* [o] ends of its processes that the log told, and did not */
    uint32_t told, untold;  /* [o] since then */
};

/* The one of init, made at boot: it never closes. */
struct session *session_boot(void);
/* Draws its key. Once, when entropy is there. */
void session_init(void);
status_t session_factory_create(struct kobj **out);

static inline struct session *session_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct session, obj);
}

static inline bool session_is_closed(const struct session *session)
{
    return atomic_load_acquire(&session->state) == SESSION_STATE_CLOSED;
}

/* A new process joins its session, and its thread is made ready: in one, for a process in the session
 * may be ended at any time. */
void session_join(struct process *process, struct thread *thread);
/* Its own calls have ended; call again until true: then those of a closed session all have. */
bool session_leave(struct process *process);
/* It has been reaped. */
void session_reaped(struct process *process);

/* May `from` give this capability to a process of session `to`? */
bool session_may_pass(struct process *from, const struct session *to, const struct capability *cap);

#endif
