/* SPDX-License-Identifier: MIT */
/*
 * init: the only process the kernel starts. It checks the manifest, starts the services in order,
 * supervises them and ends the system.
 *
 * One thread, one event loop, one ring. Calls to the kernel are synchronous: they depend on no
 * service. init never calls a service; services call init (Supervisor, SystemControl), and init
 * answers. Nothing a service does or leaves undone can therefore stop it; what init waits for is a
 * completion with a callback or a deadline that the loop looks at.
 *
 * A service's states (enum ServiceState):
 *   WAITING     until all it needs have been ready           -> STARTING
 *   STARTING    its process exists                           -> READY, or ended
 *   READY                                                    -> STOPPING, UPGRADING, or ended
 *   UPGRADING   it serves, and a successor exists            -> STARTING, READY, or ended (upgrade.c)
 *   BACKING_OFF ended, deadline set                          -> STARTING
 *   STOPPING    asked to end, deadline set, then terminated  -> ended
 *   STOPPED, FAILED                                          -> STARTING (operator's restart only)
 * "Ended" is decided in supervise.c: back off, stop or fail.
 *
 * Invariants
 *  1. now.process != 0 exactly in STARTING, READY, UPGRADING, STOPPING; then its exit_op is in flight or ready
 *     to run, and likewise of other.process.
 *  2. An endpoint and its exported objects are made before its service first starts and never
 *     change: clients keep them through restarts. While no instance serves, the endpoint is vacant.
 *  3. instance rises with every start; a Supervisor object of an earlier instance is refused.
 */
#ifndef CAPOS_INIT_H
#define CAPOS_INIT_H

#include <stdbool.h>
#include <stdint.h>

#include "capos/call.h"
#include "capos/ring.h"
#include "graph.h"
#include "lib/base/compiler.h"
#include "system_control.capnp.h"

/* Exit status of the machine, where something outside can see it. */
enum init_halt_code {
    HALT_OK = 0,
    HALT_MANIFEST = 3, /* the manifest was refused */
    HALT_CRITICAL = 4, /* a critical service is lost */
    HALT_INIT = 5,     /* init itself cannot go on */
};

/* One process of a service. */
struct instance {
    uint64_t number;
    uint64_t process_id;
    capos_cap_t process; /* 0: there is none */
    capos_cap_t session; /* the manifest's name, and the number for an epoch */
    unsigned exit_slot;  /* of exit_ops */
    /* kept requests of its Supervisor */
    struct capos_request *stop_request, *handover_request, *take_over_request, *check_request;
};

enum upgrade { UPGRADE_NONE, UPGRADE_STARTING, UPGRADE_ASKED, UPGRADE_MOVED };

struct service {
    uint32_t index; /* in the manifest */
    Service_r r;
    const char *name;
    enum ServiceState state;
    bool has_been_ready;
    bool hung;          /* the watchdog has ended it */
    bool restart_asked; /* by an operator: the coming end does not count */
    uint64_t since_ns;
    uint64_t deadline_ns;  /* 0: none */
    uint64_t instances;    /* so many have been made */
    struct instance now;   /* the one that serves */
    struct instance other; /* upgrade.c */
    enum upgrade upgrade;
    capos_cap_t state_memory; /* what the predecessor writes for the successor */
    capos_cap_t next_image;   /* of the successor, when that is another program */
    capos_cap_t image;
    capos_cap_t endpoint; /* 0: it exports nothing */
    capos_cap_t exports[GRAPH_EXPORTS_MAX];
    capos_cap_t context; /* of all its instances; 0: each has its own */
    struct capos_op exit_ops[2];
    struct capos_request *upgrade_request; /* a kept SystemControl.upgrade */
    struct capos_request *restart_request; /* a kept SystemControl.restart */
    uint64_t ends_ns[GRAPH_RESTARTS_MAX];  /* when it was restarted, newest last */
    uint32_t ends_count;
    uint32_t restarts;
    int64_t last_exit_code;
    char last_end[208];
};

enum init_goal { GOAL_RUN, GOAL_OFF, GOAL_REBOOT };

struct init {
    /* what the kernel gave */
    capos_cap_t boot, spawner, ledger, ioports, interrupts, timer, entropy, log, power, memory,
        sessions, scheduling;
    Manifest_r manifest;
    struct graph graph;
    struct service services[GRAPH_SERVICES_MAX];
    uint32_t service_count;
    capos_cap_t supervisor_endpoint;
    capos_cap_t control_endpoint;
    capos_cap_t motd; /* sealed memory; 0 until somebody is granted it */
    enum init_goal goal;
    bool all_started;
};

extern struct init init;

/* main.c */
uint64_t init_now_ns(void);
NORETURN void init_halt(enum init_halt_code code, const char *format, ...) PRINTF_LIKE(2, 3);

/* console.c: a line on the first serial port, for when nothing else can speak any more. Ends every
 * service first. */
void console_say(const char *text);

/* payload.c: the boot archive */
status_t payload_open(const char *name, capos_cap_t *memory, uint64_t *size_bytes);
bool payload_exists(const char *name);
/* Maps a payload for good. */
status_t payload_map(const char *name, const void **bytes, uint64_t *size_bytes);

/* spawn.c: from a manifest entry to a process */
status_t service_make_endpoint(struct service *s);
/* Starts an instance; on a refusal a line in the log says why, and nothing is left behind. */
status_t service_spawn(struct service *s);
/* The instance has ended. */
void service_leave_session(struct instance *instance);

/* supervise.c: the states */
void service_set_state(struct service *s, enum ServiceState state);
void services_start_waiting(void);
void service_is_ready(struct service *s);
/* Asks it to end, or ends it. */
void service_stop(struct service *s);
/* The event loop of the instance that serves has turned: it awaits the next check. */
void service_is_alive(struct service *s);
/* Acts on a deadline that has passed. */
void service_deadline(struct service *s);
bool service_restart_by_operator(struct service *s);
/* Brings the goal GOAL_OFF or GOAL_REBOOT forward; does not return when nothing lives any more. */
void services_shut_down(void);

/* Spawns an instance and waits for its end; s->now is it. */
status_t service_start_instance(struct service *s);
/* It has ended, and is no more: what it waited for is answered. */
void service_forget_instance(struct service *s, struct instance *instance);

/* upgrade.c: replacing a service while it is called */
/* DONE: it has begun, and the outcome comes later (upgrade_request). */
enum SystemControl_UpgradeOutcome upgrade_begin(struct service *s, struct capnp_text program);
enum capos_outcome upgrade_take_over(struct service *s, struct capos_request *req, bool is_other);
enum capos_outcome upgrade_hand_over(struct service *s, struct capos_request *req, uint32_t bytes);
/* Ends the successor, or hastens the predecessor's end. */
void upgrade_give_up(struct service *s);
void upgrade_other_ended(struct service *s);
/* The one that served has ended. True: its successor is the service now. */
bool upgrade_serving_ended(struct service *s);
/* The successor is ready: the upgrade is over once the predecessor has ended. */
void upgrade_advance(struct service *s);
void upgrade_is_over(struct service *s, bool well);

/* serve.c: Supervisor and SystemControl */
void serve_start(void);
/* Answers the restart that an operator waits for, if there is one. */
void serve_restarted(struct service *s, enum SystemControl_RestartOutcome outcome);
status_t serve_mint_supervisor(struct service *s, capos_cap_t *object);
status_t serve_mint_control(capos_cap_t *object);

#endif
