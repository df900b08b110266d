/* SPDX-License-Identifier: MIT */
/*
 * Process: address space, capability table, ledger, session, threads. The security boundary.
 *
 * States: BUILDING -> RUNNING -> EXITING -> REAPED. process_end moves RUNNING to EXITING once; the
 * exit job then works in slices: stop the threads; end the process's own records; end the calls it
 * had received (their callers get DISCONNECTED); drop its capabilities; tear down the address space
 * and threads; close the ledger; tell the waiters. The struct lives on while a ProcessHandle does.
 *
 * Invariants: P0 until it is reaped a process holds a ref of itself. P1 `exiting` is one-way; a thread
 * of an exiting process is never resumed, and none begins to leave by itself. P2 after `server_gone`
 * nothing is added to `inflight` or `serving`. P3 the session never changes.
 */
#ifndef CAPOS_KERNEL_OBJECT_PROCESS_H
#define CAPOS_KERNEL_OBJECT_PROCESS_H

#include "abi/capset.h"
#include "arch/thread.h"
#include "cap/ledger.h"
#include "cap/table.h"
#include "core/job.h"
#include "core/kobj.h"
#include "mem/aspace.h"
#include "object/revocation.h"
#include "object/session.h"
#include "object/thread.h"
#include "object/watch.h"

struct debugger;
struct launcher;

/* A serve capability given at spawn: an instance's own, whatever it does with the slot. */
struct serving {
    struct grant *grant; /* its route; a ref */
    uint64_t endpoint_id;
};

enum process_state { PROCESS_BUILDING, PROCESS_RUNNING, PROCESS_EXITING, PROCESS_REAPED };
enum process_end_kind { PROCESS_ENDED_EXIT, PROCESS_ENDED_FAULT, PROCESS_ENDED_TERMINATED };

/* [I] immutable once running  [a] atomic  [o] obj.lock  [f] inflight_lock  [j] the exit job */
struct process {
    struct kobj obj; /* ktype PROCESS_HANDLE */
    struct aspace aspace;
    struct cap_table table;
    struct ledger *ledger;           /* [I] what it uses; a ref and a count as a capability */
    struct session *session;         /* [I] a ref */
    char name[CAPOS_CAP_NAME_BYTES]; /* [I] */
    uint64_t image_base;             /* [I] where its image begins */

    _Atomic uint8_t exiting;       /* [a] */
    uint8_t state;                 /* [o] */
    uint8_t end_kind;              /* [o] */
    int64_t exit_code;             /* [o] */
    struct arch_fault_state fault; /* [o] when end_kind is FAULT */

    struct sched_context context;  /* its own */
    struct sched_context *bound;   /* [I] threads are bound to this at first; a ref */
    struct list threads;           /* [o] */
    struct tree parked;            /* [o] records of PARK without a capability, by address */
    uint32_t live;                 /* [o] threads that have not ended themselves */
    struct counters past;          /* [o] what its ended threads did */
    uint32_t leaving;              /* [o] those that have, and are still in the list */
    struct spinlock inflight_lock; /* rank LOCK_INFLIGHT */
    struct list inflight;          /* [f] records this process received and has not answered */
    bool server_gone;              /* [f] */

    struct serving *serving;       /* [f], after server_gone [j]: ended with the process */
    uint32_t serving_count;        /* likewise */
    struct revocation ending;      /* [j] */
    struct list_node session_link; /* session's lock */
    bool joined, in_session;       /* session's lock: it ever did; it is there still */
    uint32_t told;                 /* [j] slots whose servers have been told of the session's end */
    struct list_node class_link;   /* of its class: see process_next */
    uint8_t process_class;         /* [I] */
    void *capset;                  /* [I] the capset page */
    struct debugger *debugger;     /* a ref, or NULL; [I] until all threads are dead */
    struct launcher *launcher;     /* a ref, or NULL: told when reaped and no handle is left */
    struct job exit_job;
    uint8_t exit_stage;         /* [j] */
    struct thread *exit_passed; /* [j] the last that this stage is through with */
    bool built_aspace;          /* [I] what the exit job has to take down */
    bool built_table;           /* [I] */
    bool recordable;            /* [I] its spawner lets recorders see what it sends */
    bool owns_ledger;           /* [I] it was carved for this process, and closes with it */
    bool is_init;               /* [I] the machine halts, readably, when it ends */
    bool silent;                /* [I] never ran: nothing is reported */
};

/* A process that is nothing but its start page yet; charged: the struct to `parent`, all else to `ledger` or,
 * when that is NULL, to a new one carved from the parent. Takes a ref of the session. ST_QUOTA, ST_BAD_STATE
 * (ledger_carve): nothing is left. */
status_t process_create(struct ledger *parent, struct ledger *ledger, struct session *session,
                        const uint64_t limits[LEDGER_CLASSES], const char *name,
                        struct process **out);

/* Address space, table and one NEW thread, whose ring is to be filled; once. ST_QUOTA or what thread_create says:
 * it is to be abandoned. */
status_t process_furnish(struct process *process, uint32_t ring_entries);

/* The capability is an endpoint's serve facet and no more. */
bool process_is_serving(const struct capability *cap);

/* Room for `count` serve capabilities given to a process that is being built, at most CAPOS_CAPSET_MAX;
 * once. ST_QUOTA. Then process_note_serving for each given capability, before it is installed: those
 * that serve are noted (a ref of the route is taken), the others passed over. */
status_t process_expect_serving(struct process *process, uint32_t count);
void process_note_serving(struct process *process, const struct capability *cap);

enum { PROCESS_CLASSES = 64 };

/* Before the first process. */
void processes_init(void);

/* The processes of some of the 64 classes (bit i: class i), one after another: that after `after` (NULL:
 * the first) with a ref; takes over the ref of `after`. Finds each that exists all the while. */
struct process *process_next(struct process *after, uint64_t classes);

/* The first of this class whose id is greater, else the first of the classes behind it. With a ref. */
struct process *process_seek(unsigned process_class, uint64_t id);

/* What its handle tells of its state. */
enum ProcessState process_public_state(const struct process *process);

/* The same for the rings of a process, held by ring_put; closing ones are passed over. */
struct ring *process_next_ring(struct process *process, struct ring *after);

/* A process that never ran: takes it down, drops the creator's ref. */
void process_abandon(struct process *process);

/* Ends the process: exit system call, fault, terminate, or a spawn that was refused half-way.
 * Idempotent; the first caller's kind and code stay. Takes obj.lock. */
void process_end(struct process *process, enum process_end_kind kind, int64_t code,
                 const struct arch_fault_state *fault);

static inline bool process_is_exiting(const struct process *process)
{
    return atomic_load_acquire(&process->exiting) != 0;
}

static inline struct process *process_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct process, obj);
}

static inline struct aspace *process_aspace(struct kobj *obj)
{
    return &process_of(obj)->aspace;
}

/* Before it has a thread: its threads run on this context. Takes a ref. */
void process_run_on(struct process *process, struct sched_context *context);

#endif
