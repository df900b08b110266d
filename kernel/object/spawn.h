/* SPDX-License-Identifier: MIT */
/*
 * Spawning: one path for the kernel's own start of init, ProcessSpawner.spawn and Launcher.launch.
 *
 * Everything the request says is checked before anything is made; what is made is charged to a
 * ledger carved for the child and thrown away whole when a later step is refused; the commit
 * (capabilities into the child's table, moved ones out of the spawner's, the thread made ready)
 * cannot fail.
 */
#ifndef CAPOS_KERNEL_OBJECT_SPAWN_H
#define CAPOS_KERNEL_OBJECT_SPAWN_H

#include "abi/capset.h"
#include "cap/ledger.h"
#include "cap/table.h"
#include "gen/process.capnp.h"
#include "object/memory_object.h"

struct invocation;
struct launcher;
struct process;

enum { SPAWN_DEFAULT_RING = 32, SPAWN_DEFAULT_STACK = 65536, SPAWN_MAX_STACK = 1048576 };

/* One line of the child's capset. */
struct spawn_grant {
    char name[CAPOS_CAP_NAME_BYTES];
    char origin[GRANT_ORIGIN_BYTES];
    struct capability cap; /* object and route borrowed; object NULL: self_ktype of the child */
    uint8_t self_ktype;
    struct grant *derived; /* the child's own route */
    capos_cap_t id;        /* reserved in the child's table */
};

struct spawn_request {
    char name[CAPOS_CAP_NAME_BYTES];
    struct memory_object *image;
    struct ledger *parent; /* pays */
    struct session *session;
    bool endows;           /* the spawner holds the session's SessionRef: scopes are not asked */
    struct ledger *ledger; /* for the process to use; NULL: one is carved from parent */
    struct grant *route;   /* above the self objects' grants */
    uint64_t limits[LEDGER_CLASSES];
    uint32_t ring_entries;
    uint64_t stack_bytes;
    struct spawn_grant *grants;
    uint32_t grant_count;
    struct launcher *launcher; /* told when the child is gone; a ref is taken; or NULL */
};

/* The limits of a child that asks for nothing. */
void spawn_default_limits(uint64_t limits[LEDGER_CLASSES]);
/* Overwrites the classes named. ST_BAD_ARGUMENT: unknown class, or one named twice. */
status_t spawn_read_limits(Limit_list_r list, uint64_t limits[LEDGER_CLASSES]);

/* Reads and checks names, grants and transfers of a call into req (grants: room for
 * CAPOS_CAPSET_MAX). */
status_t spawn_read_name(struct capnp_text text, char out[CAPOS_CAP_NAME_BYTES]);
status_t spawn_read_grants(const struct invocation *inv, Grant_list_r list, uint64_t used_caps,
                           struct spawn_request *req);

/* Builds and starts the process; *out has one ref for the caller. */
status_t spawn(struct spawn_request *req, struct process **out);

#endif
