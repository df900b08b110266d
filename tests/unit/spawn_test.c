/* SPDX-License-Identifier: MIT */
/* Building a process in slices: the largest ones, and builds that are cut short or refused at every slice. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "abi/capset.h"
#include "gen/ledger.capnp.h"
#include "gen/notification.capnp.h"
#include "gen/process.capnp.h"
#include "gen/session.capnp.h"
#include "mem/frames.h"
#include "object/revocation.h"
#include "object/spawn.h"
#include "sched/sched.h"

enum { GRANTS = CAPOS_CAPSET_MAX, MESSAGE_WORDS = 2048 };

static struct user *parent;
static capos_cap_t spawner, image, note;

/* What is asked for. */
struct wish {
    uint32_t ring_entries, grants;
    uint64_t kernel_pages;
    uint64_t deadline_ns;
    uint32_t same; /* two lines have one name: the first and this one; 0: none */
    uint32_t odd;  /* this line, + 1, asks for another interface */
    bool once;     /* only line 0 is the note */
    bool moves;    /* likewise, and it is moved */
    bool session;  /* works in that of `enter` */
};
static capos_cap_t enter;

/* A notification under a route of its own. */
static capos_cap_t new_note(void)
{
    capos_cap_t made = user_notification(parent);
    capos_cap_t given = user_pass(parent, made, parent, Notification_FACET);
    CHECK_EQ(user_release(parent, made), ST_OK);
    return given;
}

static void make_parent(void)
{
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 1 << 20, 3000);
    parent = user_new_limits("parent", limits, USER_RING);
    spawner = user_give_root(parent, KTYPE_PROCESS_SPAWNER);
    image = user_image(parent);
    note = new_note();
}

static void start(void)
{
    fixture_start(1);
    make_parent();
}

static void fill_grants(Grant_list_b list, const struct wish *wish)
{
    for (uint32_t i = 0; i < wish->grants; i++) {
        char name[] = "a-name-of-the-longest-that-is00";
        uint32_t n = wish->same != 0 && i == wish->same ? 0 : i;
        name[CAPOS_CAP_NAME_BYTES - 3] = (char)('a' + n / 10);
        name[CAPOS_CAP_NAME_BYTES - 2] = (char)('0' + n % 10);
        Grant_b grant = Grant_list_b_at(list, i);
        Grant_set_name(grant, name, CAPOS_CAP_NAME_BYTES - 1);
        Grant_set_origin(grant, "an origin that is as long as an origin can be: sixty-three byte",
                         63);
        Grant_set_interface(grant, i + 1 == wish->odd ? ProcessSpawner_ID : Notification_ID);
        Grant_set_transfer(grant, 1);
        if ((wish->moves || wish->once) && i != 0) {
            Grant_set_interface(grant, Ledger_ID);
            Grant_set_self(grant, SELF_OBJECT_LEDGER);
        }
    }
}

/* The call, entered: its first step is done, and the job's first slice. */
static struct capos_sqe begin(const struct wish *wish, uint64_t *position_out)
{
    static uint64_t words[MESSAGE_WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessSpawner_spawn_params_b params = ProcessSpawner_spawn_params_init(&builder);
    ProcessSpawner_spawn_params_set_name(params, "child", 5);
    ProcessSpawner_spawn_params_set_image(params, 0);
    ProcessSpawner_spawn_params_set_ring_entries(params, wish->ring_entries);
    ProcessSpawner_spawn_params_set_session(params, wish->session ? 2 : UINT16_MAX);
    fill_grants(ProcessSpawner_spawn_params_init_grants(params, wish->grants), wish);
    Limit_list_b limits = ProcessSpawner_spawn_params_init_limits(params, 5);
    static const enum LedgerClass classes[] = {LEDGER_CLASS_FRAMES, LEDGER_CLASS_CALLS,
                                               LEDGER_CLASS_WAITERS, LEDGER_CLASS_TIMERS};
    for (uint32_t i = 0; i < 4; i++) {
        Limit_set_ledger_class(Limit_list_b_at(limits, i), classes[i]);
        Limit_set_amount(Limit_list_b_at(limits, i), 10000 >> (i == 0 ? 8 : 0));
    }
    Limit_set_ledger_class(Limit_list_b_at(limits, 4), LEDGER_CLASS_KERNEL_PAGES);
    Limit_set_amount(Limit_list_b_at(limits, 4),
                     wish->kernel_pages != 0 ? wish->kernel_pages : 2000);
    struct capos_transfer xfers[3] = {
        {.cap = image, .mode = CAPOS_XFER_COPY},
        {.cap = note, .mode = wish->moves ? CAPOS_XFER_MOVE : CAPOS_XFER_COPY},
        {.cap = wish->session ? enter : image, .mode = CAPOS_XFER_COPY},
    };
    struct capos_sqe sqe =
        sqe_method(parent, spawner, ProcessSpawner_ID, ProcessSpawner_spawn_ORDINAL, &builder);
    sqe_transfers(parent, &sqe, user_ring(parent)->next_sequence, xfers, 3);
    sqe_result(parent, &sqe, 64, 2);
    sqe.deadline_ns = wish->deadline_ns;
    *position_out = user_submit(parent, &sqe);
    host_syscall(parent->thread, CAPOS_SYS_ENTER, 0, 0);
    for (unsigned i = 0; i < 50; i++) {
        (void)host_step(0);
    }
    return sqe;
}

/* Lets the kernel do `n` slices of its jobs while the parent runs. */
static void slices(unsigned n)
{
    for (; n > 0; n--) {
        host_clock_advance(SCHED_SLICE_NS);
        for (unsigned i = 0; i < 50; i++) {
            host_become(0);
            (void)host_step(0);
        }
    }
}

/* To its end: how many slices it took. */
static unsigned until_answered(void)
{
    unsigned count = 0;
    for (; completions(parent) == 0 && count < 1000; count++) {
        slices(1);
    }
    return count;
}

static struct capos_cqe spawn_whole(const struct wish *wish)
{
    uint64_t position, heap = parent->heap_next;
    struct capos_sqe sqe = begin(wish, &position);
    (void)until_answered();
    parent->heap_next = heap;
    return user_expect(parent, sqe.user_data);
}

static void end_child(capos_cap_t handle)
{
    user_exit(user_adopt(process_of(user_object(parent, handle))), 0);
    CHECK_EQ(user_release(parent, handle), ST_OK);
}

static bool has(capos_cap_t cap)
{
    struct capability held;
    return user_look(parent, cap, &held) == ST_OK;
}

TEST(spawn_most,
     "a child with the most grants, of the longest names, and the largest ring has all of it")
{
    uint64_t position;
    start();
    struct held before = held_now(parent);
    const struct wish wish = {.ring_entries = CAPOS_RING_MAX_ENTRIES, .grants = GRANTS};
    struct capos_sqe sqe = begin(&wish, &position);
    unsigned count = until_answered();
    CHECK(count > 70);
    struct capos_cqe cqe = user_expect(parent, sqe.user_data);
    REQUIRE(cqe.result >= 0);
    struct user *child = user_adopt(process_of(user_object(parent, cqe.first_cap)));
    const struct capos_capset *capset = user_ptr(child, child->process->aspace.capset);
    CHECK_EQ(capset->count, GRANTS);
    CHECK_EQ(user_ring(child)->sq_entries, CAPOS_RING_MAX_ENTRIES);
    CHECK_STR_EQ(capset->entries[61].name, "a-name-of-the-longest-that-isg1");
    for (uint32_t i = 0; i < GRANTS; i++) {
        struct capability held;
        CHECK_EQ(user_look(child, capset->entries[i].cap, &held), ST_OK);
        CHECK_PTR_EQ(held.object, user_object(parent, note));
        CHECK_EQ(strlen(held.route->origin), 63);
        CHECK_EQ(capset->entries[i].reserved, 0);
    }
    user_exit(child, 0);
    CHECK_EQ(user_release(parent, cqe.first_cap), ST_OK);
    CHECK_HELD(parent, before);
    fixture_end();
}

TEST(spawn_lines, "of any number of grants the one with a name that is taken, or with another "
                  "interface, is refused")
{
    start();
    struct held before = held_now(parent);
    for (uint32_t n = 2; n <= GRANTS; n += 6) {
        struct wish wish = {.grants = GRANTS, .same = n - 1};
        CHECK_EQ(spawn_whole(&wish).result, ST_EXISTS);
        CHECK_HELD(parent, before);
        wish = (struct wish){.grants = GRANTS, .odd = n};
        CHECK_EQ(spawn_whole(&wish).result, ST_WRONG_INTERFACE);
        CHECK_HELD(parent, before);
    }
    fixture_end();
}

/* ---- cut short ---- */

/* Of a child with the ring of 256 entries and the note moved to it. */
static unsigned slices_needed(void)
{
    uint64_t position;
    const struct wish wish = {.ring_entries = 256, .grants = GRANTS};
    struct capos_sqe sqe = begin(&wish, &position);
    unsigned count = until_answered();
    end_child(user_expect(parent, sqe.user_data).first_cap);
    return count;
}

static const struct wish moving = {.ring_entries = 256, .grants = GRANTS, .moves = true};

TEST(spawn_cancelled,
     "a build that is cancelled, or times out, at any slice gives the moved capability back before "
     "that is told, and leaves nothing")
{
    start();
    unsigned count = slices_needed();
    CHECK(count > 5);
    for (unsigned at = 0; at < 2 * count; at++) {
        uint64_t position;
        struct held before = held_now(parent);
        struct wish wish = moving;
        parent->heap_next = USER_HEAP;
        wish.deadline_ns = at % 2 == 0 ? 0 : arch_time_ns() + (at / 2 + 1) * SCHED_SLICE_NS;
        struct capos_sqe sqe = begin(&wish, &position);
        slices(at / 2);
        CHECK(!has(note));
        if (at % 2 == 0) {
            user_cancel(parent, position, sqe.user_data);
        } else {
            host_clock_advance(SCHED_SLICE_NS);
            while (completions(parent) == 0) {
                (void)host_step(0);
            }
            CHECK(has(note));
            CHECK_EQ(user_expect(parent, sqe.user_data).result, ST_TIMED_OUT);
        }
        CHECK(has(note));
        fixture_settle();
        CHECK_HELD(parent, before);
    }
    fixture_end();
}

/* Ends the grant, and what hangs below it, for good. */
static void end_grant(capos_cap_t cap)
{
    struct grant *route = user_route(parent, cap);
    struct revocation rev = {.step = 0};
    while (!revocation_slice(&rev, route)) {
    }
    grant_unref(route);
}

TEST(spawn_spawner_revoked, "a build whose spawner is revoked at any slice is DISCONNECTED when "
                            "the revocation is through, and moves nothing")
{
    start();
    unsigned count = slices_needed();
    for (unsigned at = 0; at < count; at++) {
        uint64_t position;
        parent->heap_next = USER_HEAP;
        struct capos_sqe sqe = begin(&moving, &position);
        slices(at);
        end_grant(spawner);
        CHECK_EQ(user_expect(parent, sqe.user_data).result, ST_DISCONNECTED);
        CHECK(has(note));
        fixture_settle();
        CHECK_EQ(user_release(parent, spawner), ST_OK);
        spawner = user_give_root(parent, KTYPE_PROCESS_SPAWNER);
    }
    fixture_end();
}

TEST(spawn_grant_revoked, "a granted capability that is revoked while the child is built is "
                          "DISCONNECTED when its turn has not come; "
                          "else the child starts with a dead slot")
{
    start();
    unsigned count = slices_needed(), refused = 0, dead = 0;
    for (unsigned at = 0; at < count; at++) {
        uint64_t position;
        parent->heap_next = USER_HEAP;
        const struct wish wish = {.ring_entries = 256, .grants = GRANTS, .once = true};
        struct capos_sqe sqe = begin(&wish, &position);
        slices(at);
        end_grant(note);
        CHECK_EQ(completions(parent), 0);
        (void)until_answered();
        struct capos_cqe cqe = user_expect(parent, sqe.user_data);
        if (cqe.result < 0) {
            CHECK_EQ(cqe.result, ST_DISCONNECTED);
            CHECK_EQ(dead, 0);
            refused++;
        } else {
            struct process *child = process_of(user_object(parent, cqe.first_cap));
            const struct capos_capset *capset = child->capset;
            struct capability held;
            dead++;
            CHECK_EQ(table_get(&child->table, capset->entries[0].cap, &held, NULL),
                     ST_DISCONNECTED);
            end_child(cqe.first_cap);
        }
        CHECK_EQ(user_release(parent, note), ST_OK);
        note = new_note();
    }
    CHECK(refused > 2 && dead > 0);
    fixture_end();
}

TEST(spawn_caller_dies, "the end of its caller, at any slice, ends a build; nothing is left")
{
    start();
    unsigned count = slices_needed();
    user_exit(parent, 0);
    for (unsigned at = 0; at < count; at++) {
        uint64_t position;
        make_parent();
        (void)begin(&moving, &position);
        slices(at);
        if (at % 2 == 0) {
            user_exit(parent, 0);
        } else {
            user_terminate(parent);
        }
        struct process *child = process_next(NULL, UINT64_MAX);
        if (child != NULL) { /* it had started by then */
            CHECK(at + 2 >= count);
            process_end(child, PROCESS_ENDED_TERMINATED, -1, NULL);
            host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
            kobj_unref(&child->obj);
            fixture_settle();
        }
        CHECK_EQ(list_count(&fixture_roots()->grant->children), 0);
    }
    fixture_end();
}

TEST(spawn_child_ends,
     "a child that somebody ends while it is built is DISCONNECTED, and the note comes back")
{
    start();
    unsigned count = slices_needed();
    for (unsigned at = 0; at < count; at++) {
        uint64_t position;
        struct held before = held_now(parent);
        parent->heap_next = USER_HEAP;
        struct capos_sqe sqe = begin(&moving, &position);
        slices(at);
        struct process *child = NULL;
        for (struct process *p = process_next(NULL, UINT64_MAX); p != NULL;
             p = process_next(p, UINT64_MAX)) {
            child = p->state == PROCESS_BUILDING ? p : child;
        }
        REQUIRE(child != NULL);
        process_end(child, PROCESS_ENDED_TERMINATED, -1, NULL);
        (void)until_answered();
        CHECK(has(note));
        CHECK_EQ(user_expect(parent, sqe.user_data).result, ST_DISCONNECTED);
        fixture_settle();
        CHECK_HELD(parent, before);
    }
    fixture_end();
}

TEST(spawn_session_closes, "a session that closes while a child of it is built refuses it "
                           "BAD_STATE, and gives the note back before that is told")
{
    start();
    unsigned count = slices_needed();
    for (unsigned at = 0; at < count; at++) {
        uint64_t position;
        struct wish wish = moving;
        wish.session = true;
        parent->heap_next = USER_HEAP;
        enter = user_session(parent);
        struct held before = held_now(parent);
        struct capos_sqe sqe = begin(&wish, &position);
        slices(at);
        host_become(0);
        struct session *session = session_of(user_object(parent, enter));
        atomic_store_seq_cst(&session->state, SESSION_STATE_CLOSED);
        while (completions(parent) == 0) {
            slices(1);
        }
        CHECK(has(note));
        CHECK_HELD(parent, before);
        CHECK_EQ(user_expect(parent, sqe.user_data).result, ST_BAD_STATE);
        CHECK_EQ(user_release(parent, enter), ST_OK);
    }
    fixture_end();
}

/* ---- refused ---- */

TEST(spawn_quota, "a child whose limits do not suffice, wherever the build has come to, is refused "
                  "QUOTA, and all is back when "
                  "that is told")
{
    start();
    struct held before = held_now(parent);
    unsigned refusals = 0;
    for (uint64_t pages = 1; pages < 500; pages++) {
        struct wish wish = moving;
        wish.kernel_pages = pages;
        struct capos_cqe cqe = spawn_whole(&wish);
        if (cqe.result >= 0) {
            CHECK(!has(note));
            end_child(cqe.first_cap);
            break;
        }
        refusals++;
        CHECK_EQ(cqe.result, ST_QUOTA);
        CHECK_EQ(cqe.needed, LEDGER_CLASS_KERNEL_PAGES);
        CHECK(has(note));
        CHECK_HELD(parent, before);
    }
    CHECK(refusals > 100);
    fixture_end();
}

TEST(spawn_no_frames,
     "a build that finds no frame at any point is refused QUOTA, and all is back when that is told")
{
    start();
    struct held before = held_now(parent);
    unsigned refusals = 0;
    for (unsigned n = 1; n < 1000; n++) {
        struct wish wish = moving;
        frames_fail_at(n);
        struct capos_cqe cqe = spawn_whole(&wish);
        bool failed = frames_failed();
        frames_fail_at(0);
        if (!failed) {
            REQUIRE(cqe.result >= 0);
            end_child(cqe.first_cap);
            break;
        }
        refusals++;
        REQUIRE_EQ(cqe.result, ST_QUOTA);
        CHECK(has(note));
        CHECK_HELD(parent, before);
    }
    CHECK(refusals > 100);
    fixture_end();
}
