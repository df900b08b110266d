/* SPDX-License-Identifier: MIT */
/*
 * A server that pauses: it receives no more, answers what it is about to answer, and keeps what is kept; then it goes
 * on, or its kept calls go to a successor (handover.c).
 */
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "serve_slots.h"
#include "status.capnp.h"

static bool is_in_flight(const struct capos_op *op)
{
    return op->state == CAPOS_OP_PENDING || op->state == CAPOS_OP_QUEUED;
}

/* Once no operation of its slots is in flight, nor its wait for clients. */
void capos_server_look_for_pause(struct capos_server *server)
{
    if (!server->pausing || server->paused == NULL) {
        return;
    }
    bool over = server->clients_wait.state == CAPOS_OP_IDLE;
    for (uint32_t i = 0; i < server->request_count && over; i++) {
        over = server->slots[i].phase == PHASE_IDLE || server->slots[i].phase == PHASE_HANDLING;
    }
    if (over) {
        void (*paused)(struct capos_server *) = server->paused;
        server->paused = NULL;
        paused(server);
    }
}

/* A reply that has not left yet must leave: with its receive it would be taken back. */
static void stop_receiving(struct capos_server_slot *slot)
{
    while (slot->op.state == CAPOS_OP_PENDING && slot->phase == PHASE_ANSWERING) {
        capos_push();
    }
    if (is_in_flight(&slot->op) &&
        (slot->phase == PHASE_RECEIVING || slot->phase == PHASE_ANSWERING)) {
        capos_op_cancel(&slot->op);
    }
}

void capos_server_pause(struct capos_server *server, void (*paused)(struct capos_server *server))
{
    server->pausing = true;
    server->paused = paused;
    for (uint32_t i = 0; i < server->request_count; i++) {
        struct capos_server_slot *slot = &server->slots[i];
        stop_receiving(slot);
        if (slot->phase == PHASE_HANDLING && slot->request.cap_count != 0) {
            capos_fail(&slot->request, CAPOS_EXC_DISCONNECTED,
                       "the service is replaced, and what came with the call stays; call again");
            capos_reply(&slot->request);
        }
    }
    if (is_in_flight(&server->clients_wait)) {
        capos_op_cancel(&server->clients_wait);
    }
    capos_server_look_for_pause(server);
}

void capos_server_resume(struct capos_server *server)
{
    server->pausing = false;
    for (uint32_t i = 0; i < server->request_count; i++) {
        if (server->slots[i].phase == PHASE_IDLE) {
            capos_slot_arm(&server->slots[i]);
        }
    }
    capos_op_submit(&server->clients_wait);
}

const struct capos_received *capos_server_kept(const struct capos_server *server, uint32_t index)
{
    const struct capos_server_slot *slot = &server->slots[index];
    return slot->phase == PHASE_HANDLING ? (const struct capos_received *)(const void *)slot->buffer
                                         : NULL;
}

bool capos_server_adopt(struct capos_server *server, uint32_t index,
                        const struct capos_received *call)
{
    struct capos_server_slot *slot = &server->slots[index];
    uint64_t bytes = sizeof(*call) + align_up(call->params_len, 8);
    if (index >= server->request_count || bytes > slot->buffer_bytes) {
        return false;
    }
    memcpy(slot->buffer, call, bytes);
    capos_slot_handle(slot);
    return true;
}
