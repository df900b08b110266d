/* SPDX-License-Identifier: MIT */
/*
 * A service's side of a live upgrade. What the successor must know lies in a memory object that init made:
 *
 *   struct head, the service's own state (to a multiple of 8), then each kept call as it was received: header
 *   and message. The capabilities that came with a call are not there: such calls have been answered.
 *
 * Both sides are the same service, of perhaps another version, so the successor checks sizes and nothing more.
 */
#include "capos/ring.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "memory.client.h"
#include "serve_slots.h"
#include "status.capnp.h"
#include "supervisor.client.h"

enum { HEAD_MAGIC = 0x646e6168, PIECE_BYTES = 8192 };

struct head {
    uint32_t magic;
    uint32_t calls;
    uint64_t state_bytes;
};

/* The memory while it is written or read. */
struct tape {
    capos_cap_t memory;
    uint64_t at;
    uint64_t end;
    status_t status;
};

static void put(struct tape *tape, const void *bytes, uint64_t count)
{
    const uint8_t *from = bytes;
    if (tape->status == ST_OK && count > tape->end - tape->at) {
        tape->status = ST_TOO_LARGE;
    }
    while (tape->status == ST_OK && count != 0) {
        uint64_t piece = min_u64(count, PIECE_BYTES);
        tape->status = MemoryObject_write(tape->memory, tape->at, from, piece);
        tape->at += piece;
        from += piece;
        count -= piece;
    }
}

static void get(struct tape *tape, void *bytes, uint64_t count)
{
    uint8_t *to = bytes;
    if (tape->status == ST_OK && count > tape->end - tape->at) {
        tape->status = ST_BAD_MESSAGE;
    }
    while (tape->status == ST_OK && count != 0) {
        size_t piece = min_u64(count, PIECE_BYTES), got = 0;
        tape->status = MemoryObject_read(tape->memory, tape->at, (uint32_t)piece, to, piece, &got);
        if (tape->status == ST_OK && got != piece) {
            tape->status = ST_BAD_MESSAGE;
        }
        tape->at += piece;
        to += piece;
        count -= piece;
    }
}

/* ---- the one that goes ---- */

static struct {
    struct capos_server *server;
    size_t (*save)(void *state, size_t size);
    void *state;
    size_t size;
    capos_cap_t memory;
    uint64_t room;
} leaving;

CAPOS_CALL_STATIC(handover_call, Supervisor, await_handover);

static void await_handover(void);

static uint32_t put_calls(struct tape *tape, const struct capos_server *server)
{
    uint32_t calls = 0;
    for (uint32_t i = 0; i < server->request_count; i++) {
        const struct capos_received *call = capos_server_kept(server, i);
        if (call != NULL) {
            put(tape, call, sizeof(*call) + align_up(call->params_len, 8));
            calls++;
        }
    }
    return calls;
}

static status_t write_all(struct tape *tape)
{
    struct head head = {.magic = HEAD_MAGIC};
    tape->at = sizeof(head);
    head.state_bytes = min_u64(leaving.save(leaving.state, leaving.size), leaving.size);
    put(tape, leaving.state, head.state_bytes);
    tape->at = align_up(tape->at, 8);
    head.calls = put_calls(tape, leaving.server);
    uint64_t end = tape->at;
    tape->at = 0;
    put(tape, &head, sizeof(head));
    tape->at = end;
    return tape->status;
}

/* Nothing is received any more. Waiting for init is no danger: it waits for nobody. */
static void paused(struct capos_server *server)
{
    struct tape tape = {.memory = leaving.memory, .end = leaving.room};
    status_t status = write_all(&tape);
    if (status == ST_OK) {
        status = Supervisor_hand_over(CAPOS_NEED("supervisor", Supervisor), (uint32_t)tape.at);
    }
    capos_release(leaving.memory);
    if (status == ST_OK) {
        capos_stop();
        return;
    }
    capos_server_resume(server);
    await_handover();
}

static void handover_asked(struct capos_op *op)
{
    (void)op;
    Supervisor_await_handover_results_r results;
    bool asked = handover_call.status == ST_OK &&
                 Supervisor_await_handover_results(&handover_call, &results) == ST_OK;
    if (asked) {
        leaving.room = Supervisor_await_handover_results_get_room_bytes(results);
        leaving.memory = capos_call_take(
            &handover_call, Supervisor_await_handover_results_get_state(results), MemoryObject_ID);
    }
    capos_call_end(&handover_call);
    if (asked) {
        capos_server_pause(leaving.server, paused);
    }
}

static void await_handover(void)
{
    capos_call_begin(&handover_call, CAPOS_NEED("supervisor", Supervisor));
    Supervisor_await_handover_begin(&handover_call);
    handover_call.op.done = handover_asked;
    Supervisor_await_handover_submit(&handover_call);
}

void capos_on_handover(struct capos_server *server, size_t (*save)(void *state, size_t size),
                       void *state, size_t size)
{
    if (capos_capset_try("supervisor", Supervisor_ID) == 0) {
        return;
    }
    leaving.server = server;
    leaving.save = save;
    leaving.state = state;
    leaving.size = size;
    await_handover();
}

/* ---- the one that comes ---- */

static struct {
    struct tape tape; /* at the first kept call */
    uint32_t calls;
} coming;

/* One that has no slot: its client is told. */
static void turn_away(const struct capos_received *call)
{
    static const char why[] = "the successor works on fewer calls at once";
    struct capos_op op;
    capos_op_init(&op, CAPOS_OP_RETURN, 0);
    op.sqe.interface = call->call_id;
    op.sqe.method = CAPOS_EXC_OVERLOADED;
    op.sqe.params = (uintptr_t)why;
    op.sqe.params_len = (uint32_t)align_down(sizeof(why), 8);
    (void)capos_op_run(&op);
}

static uint32_t adopt_calls(struct capos_server *server)
{
    static union {
        struct capos_received call;
        uint8_t bytes[sizeof(struct capos_received) + CAPOS_MAX_MESSAGE_BYTES];
    } kept;
    uint32_t slots = 0;
    for (; coming.calls != 0 && coming.tape.status == ST_OK; coming.calls--) {
        get(&coming.tape, &kept, sizeof(kept.call));
        uint64_t rest = align_up(kept.call.params_len, 8);
        if (coming.tape.status != ST_OK || rest > CAPOS_MAX_MESSAGE_BYTES) {
            break;
        }
        get(&coming.tape, kept.bytes + sizeof(kept.call), rest);
        if (capos_server_adopt(server, slots, &kept.call)) {
            slots++;
        } else {
            turn_away(&kept.call);
        }
    }
    capos_release(coming.tape.memory);
    coming.tape.memory = 0;
    return slots;
}

static status_t read_state(void *state, size_t size, size_t *bytes_out)
{
    struct head head;
    struct tape *tape = &coming.tape;
    get(tape, &head, sizeof(head));
    if (tape->status != ST_OK || head.magic != HEAD_MAGIC) {
        return ST_BAD_MESSAGE;
    }
    if (head.state_bytes > size) {
        return ST_TOO_LARGE;
    }
    get(tape, state, head.state_bytes);
    tape->at = align_up(tape->at, 8);
    coming.calls = head.calls;
    *bytes_out = head.state_bytes;
    return tape->status;
}

status_t capos_take_over(struct capos_server *server, void *state, size_t size, size_t *bytes_out)
{
    bool found = false;
    uint32_t bytes = 0;
    *bytes_out = 0;
    capos_cap_t supervisor = capos_capset_try("supervisor", Supervisor_ID);
    if (supervisor == 0) {
        return ST_OK;
    }
    CAPOS_CALL(call, Supervisor, take_over);
    Supervisor_take_over_results_r results;
    status_t status = Supervisor_take_over_send(&call, supervisor);
    if (status == ST_OK) {
        status = capos_wait(&call, CAPOS_FOREVER);
    }
    if (status == ST_OK) {
        status = Supervisor_take_over_results(&call, &results);
    }
    if (status == ST_OK && Supervisor_take_over_results_get_found(results)) {
        found = true;
        bytes = Supervisor_take_over_results_get_bytes(results);
        coming.tape = (struct tape){.end = bytes};
        coming.tape.memory = capos_call_take(&call, Supervisor_take_over_results_get_state(results),
                                             MemoryObject_ID);
    }
    capos_call_end(&call);
    if (found) {
        status = read_state(state, size, bytes_out);
        server->adopt = adopt_calls;
    }
    return status;
}

/* ---- both ---- */

static size_t save_as_it_is(void *state, size_t size)
{
    (void)state;
    return size;
}

status_t capos_carry_over(struct capos_server *server, void *state, size_t size, bool *carried)
{
    size_t bytes;
    status_t status = capos_take_over(server, state, size, &bytes);
    if (status == ST_OK && bytes != 0 && bytes != size) {
        status = ST_BAD_MESSAGE;
    }
    *carried = status == ST_OK && bytes != 0;
    if (status == ST_OK) {
        capos_on_handover(server, save_as_it_is, state, size);
    }
    return status;
}
