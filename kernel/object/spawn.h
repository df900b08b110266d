/* SPDX-License-Identifier: MIT */
/*
 * Spawning: one path for the kernel's own start of init, ProcessSpawner.spawn and Launcher.launch.
 * spawn_request.c reads, spawn.c builds, in slices; the theory is there.
 */
#ifndef CAPOS_KERNEL_OBJECT_SPAWN_H
#define CAPOS_KERNEL_OBJECT_SPAWN_H

#include "abi/capset.h"
#include "cap/ledger.h"
#include "cap/table.h"
#include "gen/process.capnp.h"
#include "object/memory_object.h"

struct build;
struct invocation;
struct launcher;
struct process;

enum { SPAWN_DEFAULT_RING = 32, SPAWN_DEFAULT_STACK = 65536, SPAWN_MAX_STACK = 1048576 };

struct spawn_request {
    char name[CAPOS_CAP_NAME_BYTES];
    struct memory_object *image;
    struct ledger *parent; /* pays */
    struct session *session;
    bool endows;           /* the spawner holds the session's SessionRef: scopes are not asked */
    struct ledger *ledger; /* for the process to use; NULL: one is carved from parent */
    struct sched_context *context; /* its threads run on; NULL: the process's own */
    struct grant *route;           /* above the self objects' grants */
    uint64_t limits[LEDGER_CLASSES];
    uint32_t ring_entries;
    uint64_t stack_bytes;
    bool recordable;                /* the child's messages may be recorded */
    enum Watch watch;               /* what the caller gets of a debugger */
    struct launcher *launcher;      /* told when the child is gone; a ref is taken; or NULL */
    const struct capability *given; /* what transfers are, when the kernel itself spawns */
};

/* The limits of a child that asks for nothing. */
void spawn_default_limits(uint64_t limits[LEDGER_CLASSES]);
/* Overwrites the classes named. ST_BAD_ARGUMENT: unknown class, or one named twice. */
status_t spawn_read_limits(Limit_list_r list, uint64_t limits[LEDGER_CLASSES]);

/* Letters, digits and # - . / _, at most 31. */
bool spawn_name_ok(const char *name, size_t len);
status_t spawn_read_name(struct capnp_text text, char out[CAPOS_CAP_NAME_BYTES]);

/* Adds lines, at most CAPOS_CAPSET_MAX, as far as they are good without a look at what they name. ST_BAD_ARGUMENT:
 * the build is to be refused. */
status_t spawn_read_grants(const struct invocation *inv, Grant_list_r list, struct build *build);

/* Checks the request, makes the empty process and all that a build needs. ST_BAD_ARGUMENT, ST_NOT_SEALED, or
 * what process_create says: nothing is kept. */
status_t spawn_begin(const struct spawn_request *req, struct build **out);

/* One more line of the child's capset, at most CAPOS_CAPSET_MAX: an object of its own, or the transfer of
 * this index when self_ktype is 0. The name is 1 to 31 bytes. */
void spawn_add(struct build *build, struct capnp_text name, struct capnp_text origin,
               uint64_t interface, uint64_t methods, uint8_t self_ktype, uint16_t index);

/* Builds as a job, or refuses with a status below 0, and answers the call, which has reserved a result slot,
 * then; takes over its transfers. What pending_start says. */
status_t spawn_later(struct build *build, status_t status, struct invocation *inv);

/* Builds and starts in one step, for the kernel itself, which stops after a refusal. *out has one ref for the
 * caller. */
status_t spawn_now(struct build *build, struct process **out);

#endif
