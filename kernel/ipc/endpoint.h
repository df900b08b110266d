/* SPDX-License-Identifier: MIT */
/*
 * Endpoints and served objects.
 *
 * An endpoint brings calls (records of clients' rings, QUEUED) and receives (records of servers'
 * rings, QUEUED) together. Waiting calls hang in `callers`: one record per ring, the first of that
 * ring's calls here, with the later ones in its `followers`; after each delivery the ring goes to the
 * back, so rings are served round-robin.
 *
 * States: serving -> vacant(until) -> serving (a RECV ends the vacancy) or expired (calls refused
 * until a RECV comes); any -> dead (destroyed, or the last owner slot is gone).
 * Invariants: E1 a queued record is on exactly one of callers, a followers list, receives. E2 while
 * the endpoint serves, callers or receives is empty whenever the lock is free and no delivery is
 * under way. E3 in-flight calls are on `inflight` and, unless their server is exiting, on the
 * server's list. E4 a served object whose last capability has gone is on `idle` (holding a ref) or
 * was reported. Lock: obj.lock.
 *
 * Rejected: one FIFO of calls (a client with a long ring would starve the others); a queue object per
 * (ring, endpoint) pair (something to allocate on the call path).
 */
#ifndef CAPOS_KERNEL_IPC_ENDPOINT_H
#define CAPOS_KERNEL_IPC_ENDPOINT_H

#include "cap/table.h"
#include "core/job.h"
#include "core/kobj.h"
#include "ring/record.h"
#include "sched/timer.h"

struct invocation;

#define CAPOS_FOREVER_NS UINT64_MAX

enum {
    ENDPOINT_MAX_CAPS = RECORD_MAX_CAPS,
    ENDPOINT_MAX_SKIPS = 4,
    ENDPOINT_SLICE = 16,
    ENDPOINT_COUNT_MAX = 1000
};

/* [I] immutable  [a] atomic  [o] obj.lock */
struct endpoint {
    struct kobj obj;
    uint32_t max_message_bytes; /* [I] */
    uint16_t max_caps;          /* [I] */
    _Atomic uint32_t owners;    /* [a] slots that hold an own-facet bit */
    struct list callers;        /* [o] */
    struct list receives;       /* [o] */
    struct list inflight;       /* [o] */
    struct list idle;           /* [o] served objects to report with NO_CLIENTS */
    struct list closed;         /* [o] served objects to report with SESSION_CLOSED */
    struct list reported;       /* [o] reported, their refs to be dropped without the lock */
    bool unheard;               /* [o] a poll stopped before the end of idle */
    union {
        struct {
            bool vacant;  /* [o] */
            bool bounded; /* [o] objects with a bound were minted here */
        };
        uint16_t special; /* [o] either: calls do not go the special way of ipc/fast.c */
    };
    bool overdue;                /* [o] event DEADLINE is to be told, with */
    uint64_t overdue_key;        /* [o] */
    uint64_t vacant_until_ns;    /* [o] */
    struct timer vacancy;        /* armed while vacant */
    uint32_t vacancy_generation; /* [o] */
    uint64_t delivered;          /* [o] calls, and */
    uint64_t delivered_bytes;    /* [o] bytes of their messages */
    bool draining;     /* [o] the job is queued: ends calls, or delivers what was skipped */
    bool end_inflight; /* [o] what the job is to do */
    struct job job;
};

/* A served object: what a client's capability of a service points to. */
struct served {
    struct kobj obj;              /* ktype 0; caller_id is the endpoint's */
    struct endpoint *endpoint;    /* [I] a ref */
    uint64_t key;                 /* [I] */
    uint64_t interface;           /* [I] */
    uint64_t bound_ns;            /* [I] how long a call may take; 0: any time */
    struct list_node idle_link;   /* endpoint's lock */
    struct list_node closed_link; /* endpoint's lock */
    uint64_t closed_caller;       /* endpoint's lock: whose session closed; 0: several */
};

/* A session in which this was held has closed: its server is told, without anything allocated. */
void endpoint_session_closed(struct served *served, uint64_t caller);

/* What Endpoint.mint and Ledger.mint make. */
struct minting {
    struct endpoint *endpoint;
    struct grant *route; /* it dies with this */
    struct ledger *payer;
    uint64_t key, interface, methods, bound_ns;
    unsigned mode, scope;
};

/* The capability is the invocation's result at *index_out. ST_BAD_ARGUMENT, ST_QUOTA. */
status_t endpoint_mint(struct invocation *inv, const struct minting *what, uint16_t *index_out);

/* One ref. ST_BAD_ARGUMENT, ST_QUOTA. */
status_t endpoint_create(struct ledger *ledger, uint32_t max_message_bytes, uint16_t max_caps,
                         struct endpoint **out);

/* Keeps the count of owners when capabilities to an endpoint come and go: see kobj_slot hooks. */
static inline struct endpoint *endpoint_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct endpoint, obj);
}

static inline struct served *served_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct served, obj);
}

/* queue.c, all under the lock. */
void endpoint_enqueue_locked(struct endpoint *endpoint, struct record *call);
void endpoint_requeue_locked(struct endpoint *endpoint, struct record *call);
void endpoint_unlink_locked(struct kobj *obj, struct record *rec);
struct record *endpoint_first_call_locked(struct endpoint *endpoint);

/* deliver.c: a call and a receive, both CLAIMED in one critical section. */
struct delivery {
    struct endpoint *endpoint;
    struct record *call;
    struct record *receive;
    uint32_t ncaps;
    uint32_t bytes;                            /* header, message, capability records */
    bool to_slot;                              /* they go to the receive's payload slot */
    struct capability caps[ENDPOINT_MAX_CAPS]; /* refs for the receiver */
    capos_cap_t ids[ENDPOINT_MAX_CAPS];        /* redeemed in the receiver's table */
};

/* A call goes to a server. */
static inline void endpoint_count_locked(struct endpoint *endpoint, uint32_t bytes)
{
    endpoint->delivered++;
    endpoint->delivered_bytes += bytes;
}

/* A call of this generation has come to the end of its bound. */
void endpoint_overdue(struct record *call, uint32_t generation);

/* Carries it out, no lock held. Both records are finished, or queued again, and the endpoint may be gone.
 * False: somebody was at fault, so there may be another pair; the caller owes an unref of the endpoint. */
bool endpoint_deliver(struct delivery *delivery);

/* Brings queued calls and receives together; no lock held, a ref is. */
void endpoint_match(struct endpoint *endpoint);

/* Ends everything: queued calls, receives and calls in flight get ST_DISCONNECTED; bounded slices. */
void endpoint_kill(struct endpoint *endpoint);
void endpoint_begin_vacancy(struct endpoint *endpoint, uint64_t until_ns);
/* Vacant for too long, or dead: calls are refused. Under the lock. */
bool endpoint_refuses_locked(const struct endpoint *endpoint);

#endif
