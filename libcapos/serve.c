/* SPDX-License-Identifier: MIT */
/*
 * The service loop.
 *
 * A slot is one request and one operation, in one of these phases:
 *
 *   RECEIVING  RECV is armed                               -> HANDLING, or dead
 *   HANDLING   a handler has the request, or has kept it   -> ANSWERING or RETURNING
 *   ANSWERING  RETURN_RECV in flight: reply and next receive in one completion -> HANDLING
 *   RETURNING  RETURN alone in flight                      -> RECEIVING
 *   REFUSING   RETURN of an exception after a refused reply -> RECEIVING
 *   IDLE       nothing, while the server pauses             -> RECEIVING
 *
 * A reply that gives capabilities away goes out by RETURN alone: RETURN_RECV does not tell whether
 * the caller was gone, and then the capabilities are still ours to release. A reply that its caller
 * had no room for (RESULT_TOO_SMALL) ended the call: the caller was told, and nothing more can be
 * said. Any other refusal leaves the call to be answered: an exception takes the reply's place, once;
 * a second refusal is ignored (the caller was gone).
 */
#include "capos/serve.h"

#include "endpoint.client.h"
#include "serve_slots.h"
#include "lib/base/bits.h"
#include "lib/base/compiler.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "status.capnp.h"

enum { MAX_REFUSALS = 8, MAX_CAPS = 16 /* that an endpoint takes */ };

static void slot_done(struct capos_op *op);

static struct capos_server_slot *slot_of(struct capos_request *req)
{
    return CONTAINER_OF(req, struct capos_server_slot, request);
}

static void server_ended(struct capos_server *server, status_t why)
{
    if (server->dead) {
        return;
    }
    server->dead = true;
    if (server->ended != NULL) {
        server->ended(server, why);
    } else {
        capos_stop();
    }
}

static void submit(struct capos_server_slot *slot, enum phase phase)
{
    slot->phase = (uint8_t)phase;
    slot->op.done = slot_done;
    capos_op_submit(&slot->op);
}

static void set_receive(struct capos_server_slot *slot)
{
    slot->op.sqe.cap = slot->request.server->endpoint;
    slot->op.sqe.result = (uintptr_t)slot->buffer;
    slot->op.sqe.result_len = slot->buffer_bytes;
    slot->op.sqe.accept_count = (uint8_t)slot->request.server->caps_max;
}

void capos_slot_arm(struct capos_server_slot *slot)
{
    if (slot->request.server->dead || slot->request.server->pausing) {
        slot->phase = PHASE_IDLE;
        return;
    }
    capos_op_init(&slot->op, CAPOS_OP_RECV, 0);
    set_receive(slot);
    submit(slot, PHASE_RECEIVING);
}

/* Replies */

static bool gives_away(const struct capos_request *req)
{
    return req->release_after != 0;
}

static void set_reply(struct capos_server_slot *slot, uint8_t opcode)
{
    struct capos_request *req = &slot->request;
    capos_op_init(&slot->op, opcode, 0);
    slot->op.sqe.interface = req->call_id;
    slot->op.sqe.method = (uint16_t)req->exception;
    slot->op.sqe.params = (uintptr_t)req->reply;
    slot->op.sqe.params_len = (uint32_t)align_up(req->reply_bytes, 8);
    slot->op.sqe.xfer_count = req->transfer_count;
    slot->op.transfers = req->transfers;
}

static void release_untaken(struct capos_request *req)
{
    for (uint16_t i = 0; i < req->cap_count; i++) {
        if ((req->taken & BIT64(i)) == 0) {
            capos_release(req->caps[i].cap);
        }
    }
    req->cap_count = 0;
}

static void release_given(struct capos_request *req)
{
    for (uint8_t i = 0; i < req->transfer_count; i++) {
        if (req->release_after & BIT64(i)) {
            capos_release(req->transfers[i].cap);
        }
    }
    req->transfer_count = 0;
    req->release_after = 0;
}

/* An exception carries its text and no capabilities. The text of a refused transfer is written only
 * now: the handler may have gone on building results where it would have stood. */
static void drop_results(struct capos_request *req)
{
    if (req->transfer_refused) {
        capos_fail(req, CAPOS_EXC_FAILED, "no room for a capability in the reply");
    }
    if (req->exception != CAPOS_EXC_NONE && req->transfer_count != 0) {
        release_given(req);
    }
}

void capos_reply(struct capos_request *req)
{
    struct capos_server_slot *slot = slot_of(req);
    drop_results(req);
    req->server->served++;
    if (gives_away(req) || req->server->dead || req->server->pausing) {
        set_reply(slot, CAPOS_OP_RETURN);
        submit(slot, PHASE_RETURNING);
    } else {
        set_reply(slot, CAPOS_OP_RETURN_RECV);
        /* What came with the request goes before the buffer that names it is used again. */
        release_untaken(req);
        set_receive(slot);
        submit(slot, PHASE_ANSWERING);
        return;
    }
    release_untaken(req);
}

enum capos_outcome capos_fail(struct capos_request *req, enum capos_exception exception,
                              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = req->reply_capacity;
    size_t length = fmt_vformat(req->reply, room, format, args);
    va_end(args);
    length = min_u64(length, room != 0 ? room - 1 : 0);
    /* It goes out in whole words: nothing of an earlier reply behind it. */
    memset((char *)req->reply + length, 0, min_u64(align_up(length, 8), room) - length);
    req->reply_bytes = (uint32_t)length;
    req->exception = exception;
    req->transfer_refused = false;
    return CAPOS_REPLY;
}

/* The refused reply's place is taken by an exception. */
static void refuse_reply(struct capos_server_slot *slot, status_t status)
{
    struct capos_request *req = &slot->request;
    release_given(req);
    capos_fail(req, CAPOS_EXC_FAILED, "the reply was refused: %s", status_name(status));
    set_reply(slot, CAPOS_OP_RETURN);
    submit(slot, PHASE_REFUSING);
}

/* Requests */

static const struct capos_interface *find_interface(const struct capos_request *req)
{
    for (uint32_t i = 0; i < req->server->interface_count; i++) {
        if (req->server->interfaces[i].id == req->interface) {
            return &req->server->interfaces[i];
        }
    }
    return NULL;
}

static enum capos_outcome dispatch(struct capos_request *req)
{
    const struct capos_interface *interface = find_interface(req);
    if (interface == NULL) {
        return capos_fail(req, CAPOS_EXC_UNIMPLEMENTED, "this service does not serve it");
    }
    req->object = req->server->object;
    if (req->server->find != NULL && !req->server->find(req)) {
        return capos_fail(req, CAPOS_EXC_DISCONNECTED, "the object is gone");
    }
    return interface->dispatch(req, interface->ops);
}

static void fill_request(struct capos_server_slot *slot)
{
    const struct capos_received *received = (const struct capos_received *)(void *)slot->buffer;
    const uint8_t *message = slot->buffer + sizeof(*received);
    struct capos_request *req = &slot->request;
    req->object = NULL;
    req->call_id = received->call_id;
    req->key = received->key;
    req->interface = received->interface;
    req->facet = received->facet;
    req->caller[0] = received->caller[0];
    req->caller[1] = received->caller[1];
    req->epoch = received->epoch;
    req->method = received->method;
    req->cap_count = received->cap_count;
    req->params_bytes = received->params_len;
    req->params = message;
    req->caps = (const struct capos_cap_record *)(const void *)(message +
                                                                align_up(received->params_len, 8));
    req->taken = 0;
    req->reply_bytes = 0;
    req->exception = CAPOS_EXC_NONE;
    req->transfer_count = 0;
    req->transfer_refused = false;
    req->release_after = 0;
    req->cookie = NULL;
}

void capos_slot_handle(struct capos_server_slot *slot)
{
    slot->phase = PHASE_HANDLING;
    slot->refusals = 0;
    fill_request(slot);
    if (dispatch(&slot->request) == CAPOS_REPLY) {
        capos_reply(&slot->request);
    }
}

static void receive_refused(struct capos_server_slot *slot, status_t status)
{
    if (slot->request.server->pausing) {
        slot->phase = PHASE_IDLE;
        return;
    }
    bool final = status == ST_DISCONNECTED || status == ST_BAD_CAP || status == ST_CANCELLED ||
                 status == ST_NO_METHOD || status == ST_WRONG_INTERFACE ||
                 status == ST_RESULT_TOO_SMALL;
    if (final || ++slot->refusals >= MAX_REFUSALS) {
        server_ended(slot->request.server, status);
    } else {
        capos_slot_arm(slot);
    }
}

/* The call has ended, though not with the reply. */
static bool call_ended(status_t status)
{
    return status == ST_GONE || status == ST_RESULT_TOO_SMALL;
}

/* A RETURN by itself. What it was to give away and did not is still ours. */
static void returned(struct capos_server_slot *slot, status_t status)
{
    if (status != ST_OK && !call_ended(status)) {
        refuse_reply(slot, status);
        return;
    }
    if (status != ST_OK) {
        release_given(&slot->request);
    }
    capos_slot_arm(slot);
}

/* RETURN_RECV: what failed is the answer, or the call has been answered and the receive was refused:
 * then the exception finds it gone. */
static void answered(struct capos_server_slot *slot, status_t status)
{
    if (status == ST_OK) {
        capos_slot_handle(slot);
    } else if (call_ended(status) ||
               (status == ST_CANCELLED && slot->request.server->pausing)) { /* it was answered */
        capos_slot_arm(slot);
    } else {
        refuse_reply(slot, status);
    }
}

static void slot_done(struct capos_op *op)
{
    struct capos_server_slot *slot = CONTAINER_OF(op, struct capos_server_slot, op);
    status_t status = op->cqe.result < 0 ? op->cqe.result : ST_OK;
    switch ((enum phase)slot->phase) {
    case PHASE_RECEIVING:
        if (status == ST_OK) {
            capos_slot_handle(slot);
        } else {
            receive_refused(slot, status);
        }
        break;
    case PHASE_ANSWERING:
        answered(slot, status);
        break;
    case PHASE_RETURNING:
        returned(slot, status);
        break;
    case PHASE_REFUSING:
        receive_refused(slot, status == ST_DISCONNECTED ? status : ST_OK);
        break;
    case PHASE_HANDLING:
    case PHASE_IDLE:
        break;
    }
    capos_server_look_for_pause(slot->request.server);
}

/* Capabilities of a request */

static uint16_t add_transfer(struct capos_request *req, capos_cap_t cap, uint16_t mode)
{
    if (req->transfer_count >= req->transfer_capacity || cap == 0) {
        req->transfer_refused = true;
        req->exception = CAPOS_EXC_FAILED;
        return UINT16_MAX;
    }
    req->transfers[req->transfer_count] =
        (struct capos_transfer){.cap = cap, .kind = CAPOS_XFER_CAP, .mode = mode};
    return req->transfer_count++;
}

uint16_t capos_request_copy(struct capos_request *req, capos_cap_t cap)
{
    return add_transfer(req, cap, CAPOS_XFER_COPY);
}

uint16_t capos_request_move(struct capos_request *req, capos_cap_t cap)
{
    uint16_t index = add_transfer(req, cap, CAPOS_XFER_MOVE);
    if (index == UINT16_MAX) {
        capos_release(cap);
    } else {
        req->release_after |= BIT64(index);
    }
    return index;
}

capos_cap_t capos_request_cap(const struct capos_request *req, uint16_t index, uint64_t interface)
{
    if (index >= req->cap_count) {
        return 0;
    }
    const struct capos_cap_record *record = &req->caps[index];
    return interface == 0 || interface == record->interface ? record->cap : 0;
}

capos_cap_t capos_request_take(struct capos_request *req, uint16_t index, uint64_t interface)
{
    capos_cap_t cap = capos_request_cap(req, index, interface);
    if (cap == 0 || (req->taken & BIT64(index))) {
        return 0;
    }
    req->taken |= BIT64(index);
    return cap;
}

/* Start */

/* Waited for by every server: the kernel keeps, and charges, a served object without clients until
 * its key has been told. */
static void clients_changed(struct capos_op *op)
{
    struct capos_server *server = CONTAINER_OF(op, struct capos_server, clients_wait);
    if (op->cqe.result < 0) {
        capos_server_look_for_pause(server);
        return;
    }
    bool gone = ((uint32_t)op->cqe.result & CAPOS_EVENT_NO_CLIENTS) != 0;
    bool closed = ((uint32_t)op->cqe.result & CAPOS_EVENT_SESSION_CLOSED) != 0;
    if (gone && (op->cqe.flags & CAPOS_CQE_SIGNAL) && server->no_clients != NULL) {
        server->no_clients(server, op->cqe.signal);
    }
    if (closed && server->session_closed != NULL) {
        server->session_closed(server, op->cqe.signal);
    }
    if (server->pausing) {
        capos_server_look_for_pause(server);
    } else {
        capos_op_submit(op);
    }
}

static uint16_t reply_caps(const struct capos_server *server)
{
    return server->reply_caps_max > server->caps_max ? server->reply_caps_max : server->caps_max;
}

/* Lays a slot out at `at`; returns where the next one goes. */
static uint8_t *place_slot(struct capos_server *server, struct capos_server_slot *slot, uint8_t *at)
{
    memset(slot, 0, sizeof(*slot));
    slot->request.server = server;
    slot->buffer = at;
    slot->buffer_bytes = (uint32_t)sizeof(struct capos_received) +
                         CAPOS_RESULTS_ROOM(server->params_max_bytes, server->caps_max);
    at += align_up(slot->buffer_bytes, 16);
    slot->request.reply = at;
    slot->request.reply_capacity = (uint32_t)align_down(server->reply_max_bytes, 8);
    at += align_up(CAPOS_PARAMS_ROOM(server->reply_max_bytes, reply_caps(server)), 16);
    slot->request.transfers = (struct capos_transfer *)(void *)at;
    slot->request.transfer_capacity = (uint8_t)reply_caps(server);
    return at + sizeof(struct capos_transfer) * reply_caps(server);
}

status_t capos_server_start(struct capos_server *server, capos_cap_t endpoint, void *storage,
                            size_t storage_bytes)
{
    size_t slot_bytes = CAPOS_SERVER_SLOT_BYTES(server->params_max_bytes, server->reply_max_bytes,
                                                reply_caps(server));
    if (endpoint == 0 || server->request_count == 0 || server->interface_count == 0 ||
        reply_caps(server) > MAX_CAPS || !is_aligned((uintptr_t)storage, 16) ||
        storage_bytes / slot_bytes < server->request_count) {
        return ST_BAD_ARGUMENT;
    }
    server->endpoint = endpoint;
    server->dead = false;
    server->pausing = false;
    server->slots = storage;
    uint8_t *at =
        (uint8_t *)storage + align_up(sizeof(struct capos_server_slot) * server->request_count, 16);
    for (uint32_t i = 0; i < server->request_count; i++) {
        at = place_slot(server, &server->slots[i], at);
        server->slots[i].phase = PHASE_IDLE;
    }
    uint32_t adopted = server->adopt != NULL ? server->adopt(server) : 0;
    for (uint32_t i = adopted; i < server->request_count; i++) {
        capos_slot_arm(&server->slots[i]);
    }
    capos_op_init_wait(&server->clients_wait, endpoint,
                       CAPOS_EVENT_NO_CLIENTS | CAPOS_EVENT_SESSION_CLOSED, 0);
    server->clients_wait.done = clients_changed;
    capos_op_submit(&server->clients_wait);
    return ST_OK;
}

status_t capos_mint(capos_cap_t endpoint, uint64_t key, uint64_t interface, uint64_t methods,
                    unsigned scope, capos_cap_t *object)
{
    return Endpoint_mint(endpoint, key, interface, methods, TRANSFER_MODE_COPY,
                         (enum SessionScope)scope, 0, object);
}
