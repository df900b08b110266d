/* SPDX-License-Identifier: MIT */
/*
 * Random programs against the whole kernel. Each actor is a process that submits random operations,
 * good and bad, answers some of the calls it receives, and exits in the middle of things. First one
 * step at a time with seeds (every run is the same), then with a host thread per CPU.
 *
 * STRESS_SEED and STRESS_STEPS in the environment give the last two tests other seeds and lengths.
 *
 * Checked all along: each SQE that was consumed completes once; every status is one of the list; the
 * tables keep their invariants. Checked at the end: nothing is left of any process.
 */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include <sched.h>

#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"
#include "gen/notification.capnp.h"
#include "gen/process.capnp.h"

enum {
    ACTORS = 6,
    PENDING = 64, /* places for operations, each with its buffers */
    PARAMS_BYTES = 256,
    RESULT_BYTES = 1280,
    CAPS = 12,
    CALLS = 24,
    KEPT = 4,
    MAX_CAPS = 4, /* of an endpoint */
};

#define QUIET_MARK (UINT64_C(1) << 63)

struct awaited {
    uint64_t user_data; /* 0: free */
    uint64_t position;
    uint64_t slot; /* address of the payload slot it uses; 0 without INLINE */
    uint8_t op;
    bool launches;
};

struct actor {
    struct user *user;
    unsigned seed;
    unsigned steps_left;
    uint64_t count; /* operations made */
    struct awaited pending[PENDING];
    capos_cap_t endpoint;
    capos_cap_t launcher;
    capos_cap_t handles[4];    /* of children */
    capos_cap_t objects[CAPS]; /* served objects */
    capos_cap_t notes[CAPS];   /* notifications, and whatever came */
    uint64_t calls[CALLS];     /* to answer */
    uint64_t kept[KEPT];       /* positions of calls with KEEP */
    unsigned call_count;
    uint64_t submitted, completed;
    bool leaving;
    bool hostile; /* writes anything to its ring */
    bool endless; /* goes on until told to stop */
    _Atomic bool stop;
};

static struct actor actors[ACTORS];

/* Launcher.launch("tool", "child"), as words. */
static uint64_t launch_words[PARAMS_BYTES / 8];
static uint32_t launch_bytes;
static _Atomic unsigned left;

static unsigned pick(struct actor *actor, unsigned n)
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

/* User memory as a program on another CPU would touch it: word by word. */
static void put_word(struct actor *actor, uint64_t address, uint64_t word)
{
    __atomic_store_n((uint64_t *)user_ptr(actor->user, address), word, __ATOMIC_RELAXED);
}

static uint64_t get_word(struct actor *actor, uint64_t address)
{
    return __atomic_load_n((uint64_t *)user_ptr(actor->user, address), __ATOMIC_RELAXED);
}

static void keep(struct actor *actor, capos_cap_t cap)
{
    actor->notes[pick(actor, CAPS)] = cap;
}

/* ---- what was done ---- */

static void take_caps(struct actor *actor, uint64_t at, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        keep(actor, get_word(actor, at + i * sizeof(struct capos_cap_record)));
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
    uint64_t params_len = get_word(actor, at + offsetof(struct capos_received, params_len));
    if (actor->call_count < CALLS) {
        actor->calls[actor->call_count++] = get_word(actor, at);
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
        actor->handles[pick(actor, 4)] = cqe->first_cap;
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
    unsigned count = pick(actor, 3);
    uint64_t at = sqe->params + sqe->params_len;
    if (pick(actor, 3) != 0 || count == 0) {
        return;
    }
    uint64_t number = __atomic_load_n(&user_ring(actor->user)->next_sequence, __ATOMIC_RELAXED);
    put_word(actor, at, pick(actor, 10) == 0 ? number + 1 : number);
    for (unsigned i = 0; i < count; i++) {
        struct capos_transfer xfer = {.cap = actor->notes[pick(actor, CAPS)],
                                      .mode = (uint16_t)pick(actor, 2)};
        uint64_t words[2];
        memcpy(words, &xfer, sizeof(words));
        put_word(actor, at + 8 + i * 16, words[0]);
        put_word(actor, at + 16 + i * 16, words[1]);
    }
    sqe->xfer_count = (uint8_t)count;
}

static void make_call(struct actor *actor, struct capos_sqe *sqe)
{
    sqe->cap = actor->objects[pick(actor, CAPS)];
    sqe->interface = FIXTURE_INTERFACE;
    sqe->method = (uint16_t)pick(actor, 9);
    sqe->params_len = 8 * pick(actor, 8);
    sqe->result_len = pick(actor, 5) == 0 ? 8 : 256;
    sqe->accept_count = (uint8_t)pick(actor, 5);
    write_transfers(actor, sqe);
    if (pick(actor, 20) == 0) {
        sqe->params = 0x5000;
    }
}

static void make_receive(struct actor *actor, struct capos_sqe *sqe)
{
    sqe->cap = actor->endpoint;
    sqe->result_len = pick(actor, 10) == 0 ? 64 : RESULT_BYTES;
    sqe->accept_count = (uint8_t)(pick(actor, 10) == 0 ? pick(actor, 5) : MAX_CAPS);
    if (pick(actor, 20) == 0) {
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
        unsigned i = pick(actor, actor->call_count);
        sqe->interface = actor->calls[i];
        if (pick(actor, 8) != 0) {
            actor->calls[i] = actor->calls[--actor->call_count];
        }
    }
    sqe->method = pick(actor, 5) == 0 ? 1 : 0;
    sqe->params_len = 8 * pick(actor, 8);
    write_transfers(actor, sqe);
}

/* Of an operation that is likely to be under way. */
static uint64_t some_position(struct actor *actor)
{
    unsigned place = pick(actor, PENDING);
    for (unsigned i = 0; i < 20 && actor->pending[place].user_data == 0; i++) {
        place = pick(actor, PENDING);
    }
    return actor->pending[place].position;
}

static void make_small(struct actor *actor, struct capos_sqe *sqe)
{
    switch (sqe->op) {
    case CAPOS_OP_WAIT:
        sqe->cap = pick(actor, 4) == 0 ? actor->endpoint : actor->notes[pick(actor, CAPS)];
        sqe->method = sqe->cap == actor->endpoint ? CAPOS_EVENT_NO_CLIENTS : CAPOS_EVENT_SIGNALLED;
        sqe->params = pick(actor, 16);
        break;
    case CAPOS_OP_SIGNAL:
        sqe->cap = actor->notes[pick(actor, CAPS)];
        sqe->params = pick(actor, 256);
        break;
    case CAPOS_OP_RELEASE:
        sqe->cap = pick(actor, 40) == 0 ? actor->objects[pick(actor, CAPS)]
                                        : actor->notes[pick(actor, CAPS)];
        break;
    case CAPOS_OP_CANCEL:
        sqe->cap = some_position(actor);
        break;
    case CAPOS_OP_FINISH:
        sqe->cap = actor->kept[pick(actor, KEPT)];
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
    put_word(actor, sqe->params, 0); /* an empty parameter struct */
    sqe->params_len = 8;
    sqe->result_len = 64;
    sqe->accept_count = 1;
}

static void make_launch(struct actor *actor, struct capos_sqe *sqe)
{
    make_kernel_call(actor, sqe, actor->launcher, Launcher_ID, Launcher_launch_ORDINAL);
    for (uint32_t i = 0; i < launch_bytes / 8; i++) {
        put_word(actor, sqe->params + 8 * i, launch_words[i]);
    }
    sqe->params_len = launch_bytes;
}

/* Something done to a child by its handle. */
static void make_child_op(struct actor *actor, struct capos_sqe *sqe)
{
    capos_cap_t handle = actor->handles[pick(actor, 4)];
    switch (pick(actor, 3)) {
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
    switch (pick(actor, 20)) {
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
        if (pick(actor, 10) == 0 && actor->steps_left < 30) {
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
    sqe->op = ops[pick(actor, sizeof(ops))];
    bool receives = sqe->op == CAPOS_OP_RECV || sqe->op == CAPOS_OP_RETURN_RECV;
    bool in_slot =
        sqe->op >= CAPOS_OP_CALL && sqe->op <= CAPOS_OP_RETURN_RECV && pick(actor, 3) == 0;
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
    if (waits && pick(actor, 2) == 0) {
        sqe->deadline_ns = arch_time_ns() + pick(actor, 3000000);
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
    if (small && pick(actor, 6) == 0) {
        sqe->flags |= CAPOS_SQE_QUIET;
        sqe->user_data |= QUIET_MARK;
    }
    if (pick(actor, 4) == 0) {
        sqe->flags |= CAPOS_SQE_LINK;
    }
    if (sqe->op == CAPOS_OP_CALL && pick(actor, 4) == 0) {
        sqe->flags |= CAPOS_SQE_KEEP;
        actor->kept[pick(actor, KEPT)] = actor->user->sq_tail;
    }
    if (sqe->op == CAPOS_OP_CALL && pick(actor, 5) == 0) {
        sqe->flags |= CAPOS_SQE_PIPELINE;
        sqe->cap = actor->kept[pick(actor, KEPT)];
        sqe->pipe_index = (uint8_t)pick(actor, 2);
        sqe->interface = FIXTURE_INTERFACE;
    }
    if (sqe->op == CAPOS_OP_WAIT && sqe->flags == 0 && pick(actor, 2) == 0 &&
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
    uint64_t slot = user->sq_tail % ring->sq_entries;
    memcpy(user_ptr(user, ring->user_address + ring->sq_offset + slot * sizeof(sqe)), &sqe,
           sizeof(sqe));
    __atomic_store_n(&header->sq_tail, ++user->sq_tail, __ATOMIC_RELEASE);
    actor->submitted += awaited;
}

/* A child sleeps a few times, or many times, and exits. */
static void child_turn(struct thread *thread)
{
    uint64_t turn = thread->arch.r[HOST_FLAGS]++;
    if (turn == (thread->obj.id % 4 == 0 ? 60 : 3)) {
        host_syscall(thread, CAPOS_SYS_EXIT, turn, 0);
    } else {
        host_syscall(thread, CAPOS_SYS_ENTER, 1, arch_time_ns() + 50000);
    }
}

/* ---- hostile rings ---- */

/* Words at any place of ring header, SQ and CQ: some plausible, some not. */
static void scribble(struct actor *actor, unsigned words, unsigned *seed)
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
        put_word(actor, ring->user_address + offset, value);
    }
}

/* Indices that mostly make sense, so that what was scribbled is looked at. */
static void hostile_turn(struct actor *actor, struct thread *thread)
{
    struct capos_ring_header *header = user_ring(actor->user);
    const struct ring *ring = thread->ring;
    scribble(actor, 8, &actor->seed);
    if (!actor->endless) {
        actor->steps_left--;
    }
    if (pick(actor, 4) != 0) {
        uint64_t head = ring->sq_head;
        __atomic_store_n(&header->sq_tail, head + pick(actor, 6), __ATOMIC_RELEASE);
        __atomic_store_n(&header->cq_head, atomic_load_relaxed(&ring->cq_tail) - pick(actor, 3),
                         __ATOMIC_RELEASE);
    }
    uint64_t deadline = pick(actor, 2) == 0 ? 0 : arch_time_ns() + pick(actor, 200000);
    host_syscall(thread, CAPOS_SYS_ENTER, pick(actor, 3), deadline);
}

/* One turn of the program, up to its next system call. */
static void actor_turn(struct thread *thread)
{
    struct actor *actor = thread->arch.user;
    if (actor == NULL) {
        child_turn(thread);
        return;
    }
    if (!actor->hostile) {
        reap_all(actor);
    }
    if (actor->steps_left == 0 || atomic_load_relaxed(&actor->stop)) {
        if (!actor->leaving) {
            actor->leaving = true;
            atomic_sub_relaxed(&left, 1);
        }
        host_syscall(thread, CAPOS_SYS_EXIT, 0, 0);
        return;
    }
    if (actor->hostile) {
        hostile_turn(actor, thread);
        return;
    }
    actor->steps_left--;
    for (unsigned n = pick(actor, 6); n > 0; n--) {
        submit_one(actor);
    }
    uint64_t deadline = pick(actor, 2) == 0 ? 0 : arch_time_ns() + pick(actor, 200000);
    host_syscall(thread, CAPOS_SYS_ENTER, pick(actor, 3), deadline);
}

/* ---- the world ---- */

static void make_launch_message(void)
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

/* Each may have two children at a time. */
static capos_cap_t make_launcher(struct user *user)
{
    static const enum LedgerClass classes[] = {LEDGER_CLASS_FRAMES, LEDGER_CLASS_KERNEL_PAGES,
                                               LEDGER_CLASS_VIRTUAL_PAGES, LEDGER_CLASS_CALLS,
                                               LEDGER_CLASS_SLOTS};
    uint64_t words[64];
    struct capnp_builder builder;
    capos_cap_t spawner = user_give_root(user, KTYPE_PROCESS_SPAWNER);
    capos_cap_t image = user_image(user);
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessSpawner_new_launcher_params_b params = ProcessSpawner_new_launcher_params_init(&builder);
    Program_b program =
        Program_list_b_at(ProcessSpawner_new_launcher_params_init_programs(params, 1), 0);
    Program_set_name(program, "tool", 4);
    Limit_list_b limits = ProcessSpawner_new_launcher_params_init_limits(params, 5);
    for (uint32_t i = 0; i < 5; i++) {
        Limit_set_ledger_class(Limit_list_b_at(limits, i), classes[i]);
        Limit_set_amount(Limit_list_b_at(limits, i), 60);
    }
    ProcessSpawner_new_launcher_params_set_max_children(params, 2);
    struct capos_transfer xfer = {.cap = image};
    struct capos_cqe cqe = user_call(user, spawner, ProcessSpawner_ID,
                                     ProcessSpawner_new_launcher_ORDINAL, &builder, &xfer, 1, NULL);
    CHECK(cqe.result >= 0);
    CHECK_EQ(user_release(user, image), ST_OK);
    CHECK_EQ(user_release(user, spawner), ST_OK);
    return cqe.first_cap;
}

/* Everybody serves, and holds objects of everybody. */
static void make_world(unsigned seed, unsigned steps)
{
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 5000, 600);
    limits[LEDGER_CLASS_SLOTS] = 60 + 2 * 60;
    make_launch_message();
    for (unsigned i = 0; i < ACTORS; i++) {
        struct actor *actor = &actors[i];
        *actor = (struct actor){.user = user_new_limits("actor", limits, USER_RING)};
        actor->seed = seed * 1000 + i;
        actor->steps_left = steps + pick(actor, steps);
        actor->endpoint = user_endpoint(actor->user, 1024, MAX_CAPS);
        actor->launcher = make_launcher(actor->user);
    }
    for (unsigned i = 0; i < ACTORS; i++) {
        for (unsigned n = 0; n < CAPS; n++) {
            struct actor *server = &actors[pick(&actors[i], ACTORS)];
            capos_cap_t minted = user_mint(server->user, server->endpoint, n);
            actors[i].objects[n] = user_pass(server->user, minted, actors[i].user, 0xff);
            user_release(server->user, minted);
        }
        actors[i].notes[0] = user_notification(actors[i].user);
        actors[i].user->thread->arch.user = &actors[i];
    }
    atomic_store_relaxed(&left, ACTORS);
}

static void check_tables(void)
{
    const char *why;
    for (unsigned i = 0; i < ACTORS; i++) {
        struct process *process = actors[i].user->process;
        if (!process_is_exiting(process) && !table_check(&process->table, &why)) {
            FAIL(why);
        }
    }
}

/* Children that nobody ended outlive their parents: they go on until they exit by themselves. */
static void end_children(void)
{
    for (unsigned n = 0; n < 100000 && !fixture_is_clean(); n++) {
        unsigned cpu = n % arch_cpu_count();
        if (!host_step(cpu) && host_current(cpu)->process != NULL) {
            child_turn(host_current(cpu));
        }
        host_clock_advance(5000);
    }
}

static void end_world(void)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        actors[i].user->gone = true;
    }
    for (unsigned i = 0; i < ACTORS; i++) {
        user_ended(actors[i].user);
        CHECK(actors[i].completed <= actors[i].submitted);
        CHECK(actors[i].completed > 0 || actors[i].hostile);
    }
    end_children();
    fixture_end();
}

static void run_stepped(unsigned cpus, unsigned seed, unsigned steps, unsigned hostile)
{
    fixture_start_seed(cpus, seed);
    make_world(seed, steps);
    for (unsigned i = 0; i < hostile; i++) {
        actors[i].hostile = true;
    }
    unsigned random = seed;
    for (unsigned n = 0; atomic_load_relaxed(&left) != 0; n++) {
        unsigned cpu = (unsigned)rand_r(&random) % cpus;
        if (!host_step(cpu)) {
            struct thread *thread = host_current(cpu);
            if (thread->process != NULL) {
                actor_turn(thread);
            }
        }
        if (rand_r(&random) % 4 == 0) {
            host_clock_advance((unsigned)rand_r(&random) % 300000);
        }
        if (n % 500 == 0) {
            check_tables();
        }
    }
    end_world();
}

TEST(stress_one_cpu, "random programs on one CPU keep every invariant and leave nothing behind")
{
    run_stepped(1, 1, 400, 0);
}

TEST(stress_two_cpus,
     "random programs on two CPUs, stepped in a random order, leave nothing behind")
{
    run_stepped(2, 2, 400, 0);
}

TEST(stress_more_cpus,
     "random programs on eight CPUs, stepped in a random order, leave nothing behind")
{
    run_stepped(8, 3, 400, 0);
}

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

TEST(stress_seeds,
     "forty short lives of random programs, each of another seed, leave nothing behind")
{
    unsigned first = setting("STRESS_SEED", 10);
    for (unsigned seed = first; seed < first + 40; seed++) {
        pid_t child = fork();
        if (child == 0) {
            run_stepped(1 + seed % 4, seed, setting("STRESS_STEPS", 40), seed % 3);
            exit(test_failures == 0 ? 0 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (status != 0) {
            printf("# seed %u\n", seed);
            FAIL("a seed failed");
        }
    }
}

TEST(stress_hostile, "processes that write anything to their rings hurt themselves alone")
{
    run_stepped(3, 4, 800, 3);
}

static bool all_reaped(void)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        if (!fixture_reaped(actors[i].user->process)) {
            return false;
        }
    }
    return true;
}

TEST(stress_threads, "random programs on CPUs of their own leave nothing behind")
{
    enum { CPUS = 3 };
    fixture_start_real(CPUS);
    make_world(setting("STRESS_SEED", 77), setting("STRESS_STEPS", 1500));
    fixture_run(actor_turn, all_reaped);
    end_world();
}

static unsigned scribbler_seed;

/* Scribbles until all others have left. */
static bool scribbled_over(void)
{
    if (atomic_load_relaxed(&left) > 1) {
        scribble(&actors[0], 50, &scribbler_seed);
        return false;
    }
    atomic_store_relaxed(&actors[0].stop, true);
    return all_reaped();
}

TEST(stress_scribbler, "a ring that is overwritten while the kernel reads it hurts its owner alone")
{
    enum { CPUS = 3 };
    scribbler_seed = setting("STRESS_SEED", 5);
    fixture_start_real(CPUS);
    make_world(scribbler_seed, 1000);
    actors[0].hostile = true;
    actors[0].endless = true;
    fixture_run(actor_turn, scribbled_over);
    end_world();
}
