/* SPDX-License-Identifier: MIT */
/*
 * Serving: an endpoint, the requests it can work on at once, and who answers them.
 *
 *   static const struct capos_interface interfaces[] = {{Counter_ID, Counter_dispatch, &ops}};
 *   CAPOS_SERVER_STORAGE(storage, 4, 1024, 1024, 1);
 *   static struct capos_server server = {.interfaces = interfaces, .interface_count = 1, ...};
 *   return capos_serve(&server, CAPOS_NEED("serve", Endpoint), storage, sizeof(storage));
 *
 * Each request has a receive of its own waiting at the endpoint, so replies may go out in any order
 * and a handler may keep a request (CAPOS_DEFERRED) and answer it later with capos_reply. While all
 * are kept, further calls wait at the endpoint. Several servers may run in one program.
 */
#ifndef CAPOS_SERVE_H
#define CAPOS_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capos/call.h"
#include "capos/ring.h"

struct capos_interface {
    uint64_t id;
    capos_dispatch_fn dispatch; /* generated */
    const void *ops;            /* the generated operations table, filled in by the service */
};

struct capos_server {
    /* Set by the service before start. */
    const struct capos_interface *interfaces;
    uint32_t interface_count;
    uint32_t request_count;    /* how many calls can be worked on at once; at least 1 */
    uint32_t params_max_bytes; /* largest message received: below the endpoint's limit, no receive
                                  is armed and the server ends RESULT_TOO_SMALL */
    uint32_t reply_max_bytes;
    uint16_t caps_max;       /* per message, either way: not below the endpoint's limit either */
    uint16_t reply_caps_max; /* of replies alone, when that is more; storage is for the larger */
    void *object;            /* becomes req->object when there is no find */
    /* Sets req->object from req->key; false: the key names nothing (any more). */
    bool (*find)(struct capos_request *req);
    /* The last capability of a served object is gone (event NO_CLIENTS). May be NULL. */
    void (*no_clients)(struct capos_server *server, uint64_t key);
    /* A session that held something of this server has closed (event SESSION_CLOSED): the first word
     * of its caller reference; 0: several, look at all you know. May be NULL. */
    void (*session_closed)(struct capos_server *server, uint64_t caller);
    /* The endpoint is dead, or no receive can be armed any more. NULL: capos_stop(). */
    void (*ended)(struct capos_server *server, status_t why);
    /* Private to the library. */
    capos_cap_t endpoint;
    struct capos_server_slot *slots;
    struct capos_op clients_wait;
    bool dead;
    bool pausing;
    uint64_t served; /* requests answered */
    void (*paused)(struct capos_server *server);
    uint32_t (*adopt)(struct capos_server *server); /* how many slots it filled, the first ones */
};

/* One request with its buffers; in the header for its size only. */
struct capos_server_slot {
    struct capos_request request;
    struct capos_op op; /* RECV or RETURN_RECV, then RETURN alone */
    uint8_t *buffer;    /* struct capos_received, message, capability records */
    uint32_t buffer_bytes;
    uint8_t phase;
    uint8_t refusals; /* receives refused in a row */
};

#define CAPOS_SERVER_SLOT_BYTES(params, reply, caps) \
    (sizeof(struct capos_server_slot) + 64u + CAPOS_RESULTS_ROOM(params, caps) + \
     CAPOS_PARAMS_ROOM(reply, caps) + 16u * (caps) + 64u)

/* Storage for `count` requests, static. */
#define CAPOS_SERVER_STORAGE(name, count, params, reply, caps) \
    static _Alignas(16) uint8_t name[(count)*CAPOS_SERVER_SLOT_BYTES(params, reply, caps)]

/* Arms the receives on `endpoint` (serve facet). ST_BAD_ARGUMENT: storage too small or a setting
 * missing. Calls arrive once capos_step or capos_run is called. */
status_t capos_server_start(struct capos_server *server, capos_cap_t endpoint, void *storage,
                            size_t storage_bytes);

/* Starts the server, tells init that the service is ready, and runs until capos_stop. What capos_main
 * returns: 0, or 1 when it could not start, and then it has said why. */
int capos_serve(struct capos_server *server, capos_cap_t endpoint, void *storage,
                size_t storage_bytes);

/* Says why this service cannot serve; the 1 that capos_main then returns. */
int capos_serve_refused(status_t why);

/* Mints a served object: calls to it arrive with this key. `methods` 0 is refused; `scope` is the
 * interface's, NAME_SESSION_SCOPE. */
status_t capos_mint(capos_cap_t endpoint, uint64_t key, uint64_t interface, uint64_t methods,
                    unsigned scope, capos_cap_t *object);

/*
 * Live upgrade: a service that can be replaced while it is called (docs/how-to/upgrade.md).
 *
 * Before capos_server_start an instance asks whether it takes over from a running one: `state` then holds what
 * that saved, *bytes_out of them; 0 when there is none. The server will first go on with the calls that its
 * predecessor had kept, which come to their handlers anew. ST_TOO_LARGE: the state has no room.
 */
status_t capos_take_over(struct capos_server *server, void *state, size_t size, size_t *bytes_out);

/* From now on this instance can be replaced: when init asks for it the server stops receiving, `save` writes
 * the service's state to `state` and says how many bytes it has, and once it is handed over capos_stop() is
 * called. When the successor fails the server goes on. Calls that a handler keeps go with it, but those that
 * brought capabilities, which end `disconnected`. Needs `supervisor`; one server of a program. */
void capos_on_handover(struct capos_server *server, size_t (*save)(void *state, size_t size),
                       void *state, size_t size);

/* Both in one, of a state that is one object without pointers: `state` becomes the predecessor's, when there
 * is one (*carried), and is what a successor is given. ST_BAD_MESSAGE, ST_TOO_LARGE: the predecessor's is of
 * another size; `state` is of no use then. */
status_t capos_carry_over(struct capos_server *server, void *state, size_t size, bool *carried);

/* Tells init that this service is ready, if there is a grant `supervisor`; else does nothing. */
status_t capos_ready(void);

/* Calls `stop` once, from capos_step, when init asks this service to end. Needs `supervisor`. */
void capos_on_stop(void (*stop)(uint64_t deadline_ns));

#endif
