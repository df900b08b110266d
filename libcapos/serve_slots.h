/* SPDX-License-Identifier: MIT */
/* What the halves of the service loop share: serve.c, serve_pause.c, handover.c. */
#ifndef CAPOS_LIBCAPOS_SERVE_SLOTS_H
#define CAPOS_LIBCAPOS_SERVE_SLOTS_H

#include "capos/serve.h"
#include "internal.h"

/* Of a slot: serve.c. */
enum phase {
    PHASE_RECEIVING,
    PHASE_HANDLING,
    PHASE_ANSWERING,
    PHASE_RETURNING,
    PHASE_REFUSING,
    PHASE_IDLE,
};

/* Arms the slot's receive, unless the server is dead or pauses. */
void capos_slot_arm(struct capos_server_slot *slot);
/* Hands what lies in the slot's buffer to its handler. */
void capos_slot_handle(struct capos_server_slot *slot);

/* Calls `paused` when nothing of a pausing server is in flight any more. */
void capos_server_look_for_pause(struct capos_server *server);

/* Stops receiving; `paused` is called, from capos_step, once nothing of the server is in flight. */
void capos_server_pause(struct capos_server *server, void (*paused)(struct capos_server *server));
void capos_server_resume(struct capos_server *server);
/* The call that a handler keeps in this slot; NULL: none. */
const struct capos_received *capos_server_kept(const struct capos_server *server, uint32_t index);
/* Gives a call, as if it had been received, to its handler in an empty slot. False: it does not fit. */
bool capos_server_adopt(struct capos_server *server, uint32_t index,
                        const struct capos_received *call);

#endif
