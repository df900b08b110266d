/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_actor.h"

#include "tests/unit/kernel_race.h"

#define TEST_NO_MAIN
#include "tests/unit/test.h"

#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"
#include "gen/process.capnp.h"

#define QUIET_MARK (UINT64_C(1) << 63)

_Atomic unsigned actors_left;

/* Launcher.launch("tool", "child"), as words. */
static uint64_t launch_words[PARAMS_BYTES / 8];
static uint32_t launch_bytes;

unsigned actor_pick(struct actor *actor, unsigned n)
{
    return (unsigned)rand_r(&actor->seed) % n;
}

static uint64_t params_of(unsigned place)
{
    return USER_HEAP + place * PARAMS_BYTES;
}

static uint64_t result_of(unsigned place)
{
    return USER_HEAP + PENDING * PARAMS_BYTES + place * RESULT_BYTES;
}

static void keep(struct actor *actor, capos_cap_t cap)
{
    actor->notes[actor_pick(actor, CAPS)] = cap;
}

/* ---- what was done ---- */

static void take_caps(struct actor *actor, uint64_t at, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        keep(actor, race_get(actor->user, at + i * sizeof(struct capos_cap_record)));
    }
}

static void take_received(struct actor *actor, unsigned place, const struct capos_cqe *cqe)
{
    bool in_slot = (cqe->flags & CAPOS_CQE_INLINE) != 0;
    uint64_t at = in_slot ? actor->pending[place].slot : result_of(place);
    if (at == 0) {
        FAIL("a message in a payload slot that was not offered");
        return;
    }
    uint64_t params_len = race_get(actor->user, at + offsetof(struct capos_received, params_len));
    if (actor->call_count < CALLS) {
        actor->calls[actor->call_count++] = race_get(actor->user, at);
    }
    take_caps(actor, at + sizeof(struct capos_received) + (uint32_t)params_len, cqe->cap_count);
}

static bool result_ok(const struct awaited *pending, int32_t result)
{
    if (result == ST_BAD_RING || result < ST_BAD_HASH) {
        return false;
    }
    bool plain = pending->op == CAPOS_OP_NOP || pending->op == CAPOS_OP_SIGNAL ||
                 pending->op == CAPOS_OP_RELEASE || pending->op == CAPOS_OP_CANCEL ||
                 pending->op == CAPOS_OP_RETURN;
    return result <= 0 || !plain;
}

static void complete(struct actor *actor, const struct capos_cqe *cqe)
{
    unsigned place = (unsigned)(cqe->user_data % PENDING);
    struct awaited *pending = &actor->pending[place];
    if ((cqe->user_data & QUIET_MARK) != 0 && cqe->result < 0) {
        return;
    }
    if ((cqe->flags & CAPOS_CQE_MORE) != 0) {
        if (pending->user_data != cqe->user_data || cqe->result != CAPOS_EVENT_SIGNALLED) {
            FAIL("an event nobody waits for");
        }
        return;
    }
    actor->completed++;
    if (pending->user_data != cqe->user_data) {
        FAIL("a completion nobody waits for");
        return;
    }
    if (!result_ok(pending, cqe->result)) {
        printf("# op %u completed %d\n", pending->op, cqe->result);
        FAIL("an impossible result");
    }
    pending->user_data = 0;
    if (cqe->result < 0) {
        return;
    }
    if (pending->op == CAPOS_OP_RECV || pending->op == CAPOS_OP_RETURN_RECV) {
        take_received(actor, place, cqe);
    } else if (pending->launches) {
        actor->handles[actor_pick(actor, 4)] = cqe->first_cap;
    } else if (pending->op == CAPOS_OP_CALL && cqe->cap_count > 0) {
        uint64_t at = pending->slot != 0 ? pending->slot : result_of(place);
        take_caps(actor, at + (uint64_t)cqe->result, cqe->cap_count);
    }
}

static void reap_all(struct actor *actor)
{
    struct user *user = actor->user;
    const struct ring *ring = user->thread->ring;
    struct capos_ring_header *header = user_ring(user);
    uint64_t tail = __atomic_load_n(&header->cq_tail, __ATOMIC_ACQUIRE);
    while (user->cq_head != tail) {
        struct capos_cqe cqe;
        uint64_t slot = user->cq_head % ring->cq_entries;
        memcpy(&cqe, user_ptr(user, ring->user_address + ring->cq_offset + slot * sizeof(cqe)),
               sizeof(cqe));
        user->cq_head++;
        complete(actor, &cqe);
    }
    __atomic_store_n(&header->cq_head, user->cq_head, __ATOMIC_RELEASE);
}

/* ---- what to do next ---- */

static void write_transfers(struct actor *actor, struct capos_sqe *sqe)
{
    unsigned count = actor_pick(actor, 3);
    uint64_t at = sqe->params + sqe->params_len;
    if (actor_pick(actor, 3) != 0 || count == 0) {
        return;
    }
    uint64_t number = __atomic_load_n(&user_ring(actor->user)->next_sequence, __ATOMIC_RELAXED);
    race_put(actor->user, at, actor_pick(actor, 10) == 0 ? number + 1 : number);
    for (unsigned i = 0; i < count; i++) {
        struct capos_transfer xfer = {.cap = actor->notes[actor_pick(actor, CAPS)],
                                      .mode = (uint16_t)actor_pick(actor, 2)};
        uint64_t words[2];
        memcpy(words, &xfer, sizeof(words));
        race_put(actor->user, at + 8 + i * 16, words[0]);
        race_put(actor->user, at + 16 + i * 16, words[1]);
    }
    sqe->xfer_count = (uint8_t)count;
}

static void make_call(struct actor *actor, struct capos_sqe *sqe)
{
    sqe->cap = actor->objects[actor_pick(actor, CAPS)];
    sqe->interface = FIXTURE_INTERFACE;
    sqe->method = (uint16_t)actor_pick(actor, 9);
    sqe->params_len = 8 * actor_pick(actor, 8);
    sqe->result_len = actor_pick(actor, 5) == 0 ? 8 : 256;
    sqe->accept_count = (uint8_t)actor_pick(actor, 5);
    write_transfers(actor, sqe);
    if (actor_pick(actor, 20) == 0) {
        sqe->params = 0x5000;
    }
}

static void make_receive(struct actor *actor, struct capos_sqe *sqe)
{
    sqe->cap = actor->endpoint;
    sqe->result_len = actor_pick(actor, 10) == 0 ? 64 : RESULT_BYTES;
    sqe->accept_count = (uint8_t)(actor_pick(actor, 10) == 0 ? actor_pick(actor, 5) : MAX_CAPS);
    if (actor_pick(actor, 20) == 0) {
        sqe->result = 0x5000;
    }
}

static uint64_t payload_of(struct actor *actor)
{
    const struct ring *ring = actor->user->thread->ring;
    return ring->user_address + ring->payload_offset;
}

/* Two operations under way may use one slot: what comes of it is theirs alone to suffer. */
static uint64_t slot_of(struct actor *actor, unsigned place)
{
    return payload_of(actor) + place % (2 * USER_RING) * CAPOS_PAYLOAD_SLOT_BYTES;
}

/* Message and result in a payload slot, so far by their addresses. */
static void use_slot(struct actor *actor, struct capos_sqe *sqe, unsigned place)
{
    sqe->flags = CAPOS_SQE_INLINE;
    sqe->params = slot_of(actor, place);
    if (sqe->op == CAPOS_OP_CALL) {
        sqe->result = sqe->params;
    }
}

/* Addresses in the payload area become offsets, as INLINE wants them. */
static void place_in_area(struct actor *actor, struct capos_sqe *sqe)
{
    uint64_t area = payload_of(actor);
    if (sqe->params >= area) {
        sqe->params -= area;
    }
    if (sqe->op == CAPOS_OP_CALL) {
        sqe->result -= area;
    }
}

static void make_return(struct actor *actor, struct capos_sqe *sqe)
{
    if (actor->call_count > 0) {
        unsigned i = actor_pick(actor, actor->call_count);
        sqe->interface = actor->calls[i];
        if (actor_pick(actor, 8) != 0) {
            actor->calls[i] = actor->calls[--actor->call_count];
        }
    }
    sqe->method = actor_pick(actor, 5) == 0 ? 1 : 0;
    sqe->params_len = 8 * actor_pick(actor, 8);
    write_transfers(actor, sqe);
}

/* Of an operation that is likely to be under way. */
static uint64_t some_position(struct actor *actor)
{
    unsigned place = actor_pick(actor, PENDING);
    for (unsigned i = 0; i < 20 && actor->pending[place].user_data == 0; i++) {
        place = actor_pick(actor, PENDING);
    }
    return actor->pending[place].position;
}

static void make_small(struct actor *actor, struct capos_sqe *sqe)
{
    switch (sqe->op) {
    case CAPOS_OP_WAIT:
        sqe->cap =
            actor_pick(actor, 4) == 0 ? actor->endpoint : actor->notes[actor_pick(actor, CAPS)];
        sqe->method = sqe->cap == actor->endpoint ? CAPOS_EVENT_NO_CLIENTS : CAPOS_EVENT_SIGNALLED;
        sqe->params = actor_pick(actor, 16);
        break;
    case CAPOS_OP_SIGNAL:
        sqe->cap = actor->notes[actor_pick(actor, CAPS)];
        sqe->params = actor_pick(actor, 256);
        break;
    case CAPOS_OP_RELEASE:
        sqe->cap = actor_pick(actor, 40) == 0 ? actor->objects[actor_pick(actor, CAPS)]
                                              : actor->notes[actor_pick(actor, CAPS)];
        break;
    case CAPOS_OP_CANCEL:
        sqe->cap = some_position(actor);
        break;
    case CAPOS_OP_FINISH:
        sqe->cap = actor->kept[actor_pick(actor, KEPT)];
        break;
    default:
        break;
    }
}

static void make_kernel_call(struct actor *actor, struct capos_sqe *sqe, capos_cap_t cap,
                             uint64_t interface, uint16_t method)
{
    sqe->op = CAPOS_OP_CALL;
    sqe->cap = cap;
    sqe->interface = interface;
    sqe->method = method;
    race_put(actor->user, sqe->params, 0); /* an empty parameter struct */
    sqe->params_len = 8;
    sqe->result_len = 64;
    sqe->accept_count = 1;
}

static void make_launch(struct actor *actor, struct capos_sqe *sqe)
{
    make_kernel_call(actor, sqe, actor->launcher, Launcher_ID, Launcher_launch_ORDINAL);
    for (uint32_t i = 0; i < launch_bytes / 8; i++) {
        race_put(actor->user, sqe->params + 8 * i, launch_words[i]);
    }
    sqe->params_len = launch_bytes;
}

/* Something done to a child by its handle. */
static void make_child_op(struct actor *actor, struct capos_sqe *sqe)
{
    capos_cap_t handle = actor->handles[actor_pick(actor, 4)];
    switch (actor_pick(actor, 3)) {
    case 0:
        make_kernel_call(actor, sqe, handle, ProcessHandle_ID, ProcessHandle_terminate_ORDINAL);
        break;
    case 1:
        *sqe = (struct capos_sqe){.op = CAPOS_OP_WAIT,
                                  .cap = handle,
                                  .method = CAPOS_EVENT_EXIT,
                                  .user_data = sqe->user_data};
        break;
    default:
        *sqe =
            (struct capos_sqe){.op = CAPOS_OP_RELEASE, .cap = handle, .user_data = sqe->user_data};
        break;
    }
}

/* Calls of kernel methods. */
static bool make_kernel_op(struct actor *actor, struct capos_sqe *sqe)
{
    switch (actor_pick(actor, 20)) {
    case 0:
    case 4:
    case 5:
        make_kernel_call(actor, sqe, actor->user->ledger, Ledger_ID,
                         Ledger_new_notification_ORDINAL);
        return true;
    case 1:
        make_launch(actor, sqe);
        return true;
    case 2:
        make_child_op(actor, sqe);
        return true;
    case 3:
        if (actor_pick(actor, 10) == 0 && actor->steps_left < 30) {
            make_kernel_call(actor, sqe, actor->endpoint, Endpoint_ID, Endpoint_destroy_ORDINAL);
            return true;
        }
        return false;
    default:
        return false;
    }
}

static void fill(struct actor *actor, struct capos_sqe *sqe)
{
    static const uint8_t ops[] = {
        CAPOS_OP_NOP,    CAPOS_OP_CALL,   CAPOS_OP_CALL,   CAPOS_OP_CALL,        CAPOS_OP_CALL,
        CAPOS_OP_RECV,   CAPOS_OP_RECV,   CAPOS_OP_RECV,   CAPOS_OP_RETURN,      CAPOS_OP_RETURN,
        CAPOS_OP_RETURN, CAPOS_OP_RETURN, CAPOS_OP_WAIT,   CAPOS_OP_RETURN_RECV, CAPOS_OP_SIGNAL,
        CAPOS_OP_SIGNAL, CAPOS_OP_CANCEL, CAPOS_OP_CANCEL, CAPOS_OP_RELEASE,     CAPOS_OP_FINISH,
        CAPOS_OP_FINISH,
    };
    if (make_kernel_op(actor, sqe)) {
        return;
    }
    sqe->op = ops[actor_pick(actor, sizeof(ops))];
    bool receives = sqe->op == CAPOS_OP_RECV || sqe->op == CAPOS_OP_RETURN_RECV;
    bool in_slot =
        sqe->op >= CAPOS_OP_CALL && sqe->op <= CAPOS_OP_RETURN_RECV && actor_pick(actor, 3) == 0;
    if (in_slot) {
        use_slot(actor, sqe, (unsigned)(sqe->user_data % PENDING));
    }
    if (sqe->op == CAPOS_OP_CALL) {
        make_call(actor, sqe);
    }
    if (sqe->op == CAPOS_OP_RETURN || sqe->op == CAPOS_OP_RETURN_RECV) {
        make_return(actor, sqe);
    }
    if (receives) {
        make_receive(actor, sqe);
    }
    make_small(actor, sqe);
    bool waits = receives || sqe->op == CAPOS_OP_CALL || sqe->op == CAPOS_OP_WAIT;
    if (waits && actor_pick(actor, 2) == 0) {
        sqe->deadline_ns = arch_time_ns() + actor_pick(actor, 3000000);
    }
    if (!receives && sqe->op != CAPOS_OP_CALL) {
        sqe->result = 0;
    }
    if (sqe->op != CAPOS_OP_CALL && sqe->op != CAPOS_OP_RETURN && sqe->op != CAPOS_OP_RETURN_RECV &&
        sqe->op != CAPOS_OP_WAIT && sqe->op != CAPOS_OP_SIGNAL && !in_slot) {
        sqe->params = 0;
    }
    if (in_slot) {
        place_in_area(actor, sqe);
    }
}

/* Some say QUIET, and then nobody waits for them; some are chained to the next, if there is one. */
static void set_flags(struct actor *actor, struct capos_sqe *sqe)
{
    bool small = sqe->op == CAPOS_OP_NOP || sqe->op >= CAPOS_OP_WAIT;
    if (small && actor_pick(actor, 6) == 0) {
        sqe->flags |= CAPOS_SQE_QUIET;
        sqe->user_data |= QUIET_MARK;
    }
    if (actor_pick(actor, 4) == 0) {
        sqe->flags |= CAPOS_SQE_LINK;
    }
    if (sqe->op == CAPOS_OP_CALL && actor_pick(actor, 4) == 0) {
        sqe->flags |= CAPOS_SQE_KEEP;
        actor->kept[actor_pick(actor, KEPT)] = actor->user->sq_tail;
    }
    if (sqe->op == CAPOS_OP_CALL && actor_pick(actor, 5) == 0) {
        sqe->flags |= CAPOS_SQE_PIPELINE;
        sqe->cap = actor->kept[actor_pick(actor, KEPT)];
        sqe->pipe_index = (uint8_t)actor_pick(actor, 2);
        sqe->interface = FIXTURE_INTERFACE;
    }
    if (sqe->op == CAPOS_OP_WAIT && sqe->flags == 0 && actor_pick(actor, 2) == 0 &&
        sqe->method == CAPOS_EVENT_SIGNALLED) {
        sqe->flags = CAPOS_SQE_MULTISHOT;
    }
}

static void submit_one(struct actor *actor)
{
    struct user *user = actor->user;
    const struct ring *ring = user->thread->ring;
    struct capos_ring_header *header = user_ring(user);
    uint64_t head = __atomic_load_n(&header->sq_head, __ATOMIC_ACQUIRE);
    unsigned place = (unsigned)(++actor->count % PENDING);
    if (user->sq_tail - head >= ring->sq_entries || place == 0 ||
        actor->pending[place].user_data != 0) {
        return;
    }
    struct capos_sqe sqe = {
        .user_data = actor->count, .params = params_of(place), .result = result_of(place)};
    fill(actor, &sqe);
    set_flags(actor, &sqe);
    bool awaited = (sqe.user_data & QUIET_MARK) == 0;
    actor->pending[place] =
        (struct awaited){.user_data = awaited ? sqe.user_data : 0,
                         .position = user->sq_tail,
                         .slot = (sqe.flags & CAPOS_SQE_INLINE) != 0 ? slot_of(actor, place) : 0,
                         .op = sqe.op,
                         .launches = sqe.op == CAPOS_OP_CALL && sqe.interface == Launcher_ID};
    race_submit(user, &sqe);
    actor->submitted += awaited;
}

void actor_child_turn(struct thread *thread)
{
    uint64_t turn = thread->arch.r[HOST_FLAGS]++;
    if (turn == (thread->obj.id % 4 == 0 ? 60 : 3)) {
        host_syscall(thread, CAPOS_SYS_EXIT, turn, 0);
    } else {
        host_syscall(thread, CAPOS_SYS_ENTER, 1, arch_time_ns() + 50000);
    }
}

/* ---- hostile rings ---- */

void actor_scribble(struct actor *actor, unsigned words, unsigned *seed)
{
    const struct ring *ring = actor->user->thread->ring;
    for (unsigned i = 0; i < words; i++) {
        uint64_t offset = (unsigned)rand_r(seed) % (ring->payload_offset / 8) * 8;
        uint64_t value = (uint64_t)rand_r(seed) << 32 ^ (uint64_t)rand_r(seed);
        switch (rand_r(seed) % 4) {
        case 0:
            value &= 15;
            break;
        case 1:
            value = actor->objects[(unsigned)rand_r(seed) % CAPS];
            break;
        case 2:
            value = USER_HEAP + value % USER_HEAP_BYTES;
            break;
        default:
            break;
        }
        race_put(actor->user, ring->user_address + offset, value);
    }
}

/* Indices that mostly make sense, so that what was scribbled is looked at. */
static void hostile_turn(struct actor *actor, struct thread *thread)
{
    struct capos_ring_header *header = user_ring(actor->user);
    const struct ring *ring = thread->ring;
    actor_scribble(actor, 8, &actor->seed);
    if (!actor->endless) {
        actor->steps_left--;
    }
    if (actor_pick(actor, 4) != 0) {
        uint64_t head = ring->sq_head;
        __atomic_store_n(&header->sq_tail, head + actor_pick(actor, 6), __ATOMIC_RELEASE);
        __atomic_store_n(&header->cq_head,
                         atomic_load_relaxed(&ring->cq_tail) - actor_pick(actor, 3),
                         __ATOMIC_RELEASE);
    }
    uint64_t deadline = actor_pick(actor, 2) == 0 ? 0 : arch_time_ns() + actor_pick(actor, 200000);
    host_syscall(thread, CAPOS_SYS_ENTER, actor_pick(actor, 3), deadline);
}

void actor_turn(struct thread *thread)
{
    struct actor *actor = thread->arch.user;
    if (actor == NULL) {
        actor_child_turn(thread);
        return;
    }
    if (!actor->hostile) {
        reap_all(actor);
    }
    if (actor->steps_left == 0 || atomic_load_relaxed(&actor->stop)) {
        if (!actor->leaving) {
            actor->leaving = true;
            atomic_sub_relaxed(&actors_left, 1);
        }
        host_syscall(thread, CAPOS_SYS_EXIT, 0, 0);
        return;
    }
    if (actor->hostile) {
        hostile_turn(actor, thread);
        return;
    }
    actor->steps_left--;
    for (unsigned n = actor_pick(actor, 6); n > 0; n--) {
        submit_one(actor);
    }
    uint64_t deadline = actor_pick(actor, 2) == 0 ? 0 : arch_time_ns() + actor_pick(actor, 200000);
    host_syscall(thread, CAPOS_SYS_ENTER, actor_pick(actor, 3), deadline);
}

void actor_learn_launch(void)
{
    struct capnp_builder builder;
    size_t len = 0;
    capnp_builder_init(&builder, launch_words, sizeof(launch_words));
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, "tool", 4);
    Launcher_launch_params_set_name(params, "child", 5);
    CHECK_EQ(capnp_finish(&builder, &len), CAPNP_OK);
    launch_bytes = (uint32_t)len;
}
