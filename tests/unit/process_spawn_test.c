/* SPDX-License-Identifier: MIT */
/* What a spawn gives its child, which spawns are refused, and that those leave nothing. */
#include "tests/unit/kernel_spawn.h"

#include "abi/capset.h"
#include "abi/layout.h"
#include "gen/capabilities.capnp.h"
#include "gen/debugger.capnp.h"
#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"
#include "gen/notification.capnp.h"
#include "gen/kernel/types.h"
#include "gen/session.capnp.h"
#include "mem/frames.h"
#include "object/spawn.h"

static void release_second(const struct capos_cqe *cqe)
{
    CHECK_EQ(user_release(parent, second_cap(cqe)), ST_OK);
    fixture_settle();
}

TEST(spawn_grants, "a child finds exactly its grants, narrowed as asked, and they work")
{
    spawner_start(2);
    capos_cap_t note = user_notification(parent);
    const struct line lines[] = {
        {"note", Notification_ID, NotificationSignaller_FACET, -1, 1},
        {"ledger", Ledger_ID, 0, SELF_OBJECT_LEDGER, 0},
        {"caps", CapabilityManager_ID, 0, SELF_OBJECT_CAPABILITY_MANAGER, 0},
    };
    struct request request = request_new();
    request.lines = lines;
    request.line_count = 3;
    request.xfers[1] = copy_of(note);
    request.xfer_count = 2;
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    const struct capos_capset *capset = capset_of(child);
    CHECK_EQ(capset->magic, CAPOS_CAPSET_MAGIC);
    CHECK_EQ(capset->count, 3);
    CHECK_EQ(capset->process_id, child->process->obj.id);
    CHECK_EQ(capset->ring, child->thread->ring->user_address);
    CHECK_STR_EQ(capset->entries[0].name, "note");
    CHECK_EQ(capset->entries[0].facet, NotificationSignaller_FACET);
    CHECK_EQ(capset->entries[1].interface, Ledger_ID);
    CHECK_EQ(child->process->table.used, 3);
    CHECK_EQ(arch_thread_ip(&child->thread->arch).v >= CAPOS_IMAGE_BASE, true);
    CHECK_EQ(child->thread->arch.r[HOST_DI], child->process->aspace.capset);
    CHECK_EQ(child->thread->arch.r[HOST_SP], child->process->aspace.stack_top - CAPOS_STACK_ROOM);
    struct capos_sqe signal = sqe_cap(child, CAPOS_OP_SIGNAL, capset->entries[0].cap);
    signal.params = 4;
    CHECK_EQ(user_do(child, &signal).result, ST_OK);
    struct capos_sqe wait = sqe_wait(parent, note, CAPOS_EVENT_SIGNALLED, 0);
    CHECK_EQ(user_do(parent, &wait).signal, 4);
    wait = sqe_wait(child, capset->entries[0].cap, CAPOS_EVENT_SIGNALLED, 0);
    CHECK_EQ(user_do(child, &wait).result, ST_NO_METHOD);
    child->ledger = capset->entries[1].cap;
    user_notification(child);
    user_exit(child, 0);
    fixture_end();
}

TEST(spawn_scatters, "two processes have nothing of their own at the same place")
{
    fixture_start(2);
    struct aspace *a = &user_new("a")->process->aspace, *b = &user_new("b")->process->aspace;
    CHECK(a->zone_start[0] != b->zone_start[0] && a->zone_start[1] != b->zone_start[1]);
    CHECK(a->capset != b->capset && a->stack_top != b->stack_top);
    fixture_end();
}

TEST(spawn_refusals,
     "a spawn that asks for what is not there starts nothing, moves nothing, keeps nothing")
{
    spawner_start(2);
    capos_cap_t note = user_notification(parent);
    capos_cap_t open_image = user_memory(parent, "no image", 8, false);
    capos_cap_t bad_image = user_memory(parent, "no image", 8, true);
    const struct line good = {"note", Notification_ID, 0, -1, 1};
    const struct line twice[] = {good, {"note", Ledger_ID, 0, SELF_OBJECT_LEDGER, 0}};
    const struct line wrong = {"note", Ledger_ID, 0, -1, 1};
    const struct line wide = {"note", Notification_ID, 4, -1, 1};
    const struct line absent = {"note", Notification_ID, 0, -1, 3};
    const struct line nameless = {"", Notification_ID, 0, -1, 1};
    const struct line control = {"no\nte", Notification_ID, 0, -1, 1};
    const struct line long_name = {"a name that is far too long for 31", Notification_ID, 0, -1, 1};
    const struct line strange = {"x", Ledger_ID, 0, 9, 0};
    const struct {
        const struct line *lines;
        uint32_t count;
        status_t wanted;
    } rows[] = {
        {twice, 2, ST_EXISTS},           {&wrong, 1, ST_WRONG_INTERFACE},
        {&wide, 1, ST_NO_METHOD},        {&absent, 1, ST_BAD_ARGUMENT},
        {&nameless, 1, ST_BAD_ARGUMENT}, {&control, 1, ST_BAD_ARGUMENT},
        {&strange, 1, ST_BAD_ARGUMENT},  {&long_name, 1, ST_BAD_ARGUMENT},
    };
    struct held before = held_now(parent);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request request = request_new();
        request.lines = rows[i].lines;
        request.line_count = rows[i].count;
        request.xfers[1] = (struct capos_transfer){.cap = note, .mode = CAPOS_XFER_MOVE};
        request.xfer_count = 2;
        CHECK_EQ(try_spawn(&request).result, rows[i].wanted);
        struct capability held;
        CHECK_EQ(user_look(parent, note, &held), ST_OK);
        CHECK_HELD(parent, before);
    }
    struct request request = request_new();
    request.xfers[0] = copy_of(open_image);
    CHECK_EQ(try_spawn(&request).result, ST_NOT_SEALED);
    request.xfers[0] = copy_of(bad_image);
    CHECK_EQ(try_spawn(&request).result, ST_BAD_IMAGE);
    request.xfers[0] = copy_of(note);
    CHECK_EQ(try_spawn(&request).result, ST_WRONG_INTERFACE);
    request = request_new();
    request.image = 1;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    request = request_new();
    request.ring_entries = 17;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    request = request_new();
    request.stack_bytes = 5000;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    request.stack_bytes = UINT64_C(1) << 40;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    request = request_new();
    request.limits[1].class = LEDGER_CLASS_FRAMES;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    request.limits[1].class = (enum LedgerClass)99;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    request.name = "";
    request.limit_count = 0;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    CHECK_HELD(parent, before);
    fixture_end();
}

TEST(spawn_move, "a moved grant leaves the parent when the child starts")
{
    spawner_start(2);
    capos_cap_t note = user_notification(parent);
    const struct line line = {"note", Notification_ID, 0, -1, 1};
    struct request request = request_new();
    request.lines = &line;
    request.line_count = 1;
    request.xfers[1] = (struct capos_transfer){.cap = note, .mode = CAPOS_XFER_MOVE};
    request.xfer_count = 2;
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    struct capability held;
    CHECK_EQ(user_look(parent, note, &held), ST_BAD_CAP);
    CHECK_EQ(user_look(child, capset_of(child)->entries[0].cap, &held), ST_OK);
    user_exit(child, 0);
    fixture_end();
}

TEST(spawn_over_quota, "limits beyond the parent's are refused QUOTA and name the class")
{
    spawner_start(1);
    struct held before = held_now(parent);
    struct request request = request_new();
    request.limits[0].amount = 100000;
    struct capos_cqe cqe = try_spawn(&request);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_FRAMES);
    request.limits[0].amount = 3; /* too few for image and stack */
    cqe = try_spawn(&request);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_FRAMES);
    request = request_new();
    request.limits[1].amount = 5; /* kernel pages */
    CHECK_EQ(try_spawn(&request).result, ST_QUOTA);
    CHECK_HELD(parent, before);
    fixture_end();
}

TEST(spawn_frame_faults,
     "a spawn that finds no frame at any point is refused QUOTA and leaves nothing; "
     "then it works")
{
    spawner_start(2);
    const struct line lines[] = {
        {"ledger", Ledger_ID, 0, SELF_OBJECT_LEDGER, 0},
        {"handle", ProcessHandle_ID, 0, SELF_OBJECT_PROCESS_HANDLE, 0},
    };
    struct request request = request_new();
    request.lines = lines;
    request.line_count = 2;
    request.watch = WATCH_FAULTS;
    struct held before = held_now(parent);
    unsigned refused = 0;
    for (unsigned n = 1;; n++) {
        frames_fail_at(n);
        struct capos_cqe cqe = try_spawn(&request);
        bool failed = frames_failed();
        frames_fail_at(0);
        if (!failed) {
            CHECK(cqe.result >= 0);
            struct user *child = user_adopt(process_behind(cqe.first_cap));
            user_exit(child, 0);
            CHECK_EQ(user_release(parent, cqe.first_cap), ST_OK);
            release_second(&cqe);
            break;
        }
        refused++;
        REQUIRE_EQ(cqe.result, ST_QUOTA);
        fixture_settle();
        CHECK_HELD(parent, before);
    }
    CHECK(refused > 20);
    CHECK_HELD(parent, before);
    fixture_end();
}

static struct capos_cqe resume(capos_cap_t debugger, uint64_t thread)
{
    uint64_t words[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessDebugger_resume_params_set_thread(ProcessDebugger_resume_params_init(&builder), thread);
    struct capos_cqe cqe = user_call(parent, debugger, ProcessDebugger_ID,
                                     ProcessDebugger_resume_ORDINAL, &builder, NULL, 0, NULL);
    fixture_settle();
    return cqe;
}

TEST(spawn_watched, "a child comes with the debugger that was asked for and no more: none, the "
                    "faults, or all, and then it "
                    "stands still before its first instruction")
{
    static const uint64_t facets[] = {0, FaultHandler_FACET, ProcessDebugger_FACET};
    spawner_start(2);
    struct held before = held_now(parent);
    for (unsigned watch = WATCH_NONE; watch <= WATCH_DEBUG; watch++) {
        struct request request = request_new();
        request.watch = (enum Watch)watch;
        struct capos_cqe cqe = try_spawn(&request);
        REQUIRE(cqe.result >= 0);
        capos_cap_t handle = cqe.first_cap;
        CHECK_EQ(cqe.cap_count, watch == WATCH_NONE ? 1 : 2);
        capos_cap_t debugger = watch == WATCH_NONE ? 0 : second_cap(&cqe);
        struct user *child = user_adopt(process_behind(handle));
        if (debugger != 0) {
            struct capability cap;
            CHECK_EQ(user_look(parent, debugger, &cap), ST_OK);
            CHECK_EQ(cap.facet, facets[watch]);
            CHECK_EQ(cap.ktype, KTYPE_PROCESS_DEBUGGER);
        }
        CHECK_EQ(atomic_load_relaxed(&child->thread->state) == THREAD_STOPPED,
                 watch == WATCH_DEBUG);
        if (watch == WATCH_DEBUG) {
            CHECK_EQ(resume(debugger, child->thread->obj.id).result >= 0, true);
        }
        struct capos_sqe nop = user_sqe(child, CAPOS_OP_NOP);
        CHECK_EQ(user_do(child, &nop).result, ST_OK);
        user_exit(child, 3);
        CHECK_EQ(user_release(parent, handle), ST_OK);
        if (debugger != 0) {
            CHECK_EQ(resume(debugger, 1).result, ST_DISCONNECTED);
            CHECK_EQ(user_release(parent, debugger), ST_OK);
        }
        fixture_settle();
        CHECK_HELD(parent, before);
    }
    struct request request = request_new();
    request.watch = (enum Watch)(WATCH_DEBUG + 1);
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    CHECK_HELD(parent, before);
    fixture_end();
}

TEST(
    spawn_watched_dropped,
    "a child that stands still before its first instruction ends when nobody can start it any more")
{
    spawner_start(2);
    struct request request = request_new();
    request.watch = WATCH_DEBUG;
    struct capos_cqe cqe = try_spawn(&request);
    REQUIRE(cqe.result >= 0);
    release_second(&cqe);
    CHECK_EQ((int64_t)wait_exit(cqe.first_cap).signal, -1);
    fixture_end();
}

TEST(spawn_on_ledger,
     "a child spawned on a carve uses it, its own Ledger is that one, and it outlives the "
     "child; a donation, or limits beside it, are refused")
{
    spawner_start(2);
    uint64_t limits[LEDGER_CLASSES], words[SPAWN_WORDS];
    spawn_default_limits(limits);
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_carve_params_b params = Ledger_carve_params_init(&builder);
    Ledger_carve_params_set_name(params, "carve", 5);
    Limit_list_b list = Ledger_carve_params_init_limits(params, LEDGER_CLASSES);
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        Limit_set_ledger_class(Limit_list_b_at(list, c), (enum LedgerClass)c);
        Limit_set_amount(Limit_list_b_at(list, c), limits[c]);
    }
    capos_cap_t whole =
        user_call(parent, parent->ledger, Ledger_ID, Ledger_carve_ORDINAL, &builder, NULL, 0, NULL)
            .first_cap;
    struct capability held;
    CHECK_EQ(user_look(parent, whole, &held), ST_OK);
    struct ledger *carve = ledger_of(held.object);
    held.facet = LedgerDonation_FACET;
    kobj_ref(held.object);
    grant_ref(held.route);
    capos_cap_t narrow;
    CHECK_EQ(table_insert(&parent->process->table, &held, CAP_HOP_DERIVED, &narrow), ST_OK);
    const struct line line = {"ledger", Ledger_ID, 0, SELF_OBJECT_LEDGER, 0};
    struct held before = held_now(parent);
    struct ledger_state empty = ledger_state(carve);
    struct request request = request_new();
    request.lines = &line;
    request.line_count = 1;
    request.xfers[1] = copy_of(whole);
    request.xfer_count = 2;
    request.ledger = 2;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT); /* with limits */
    request.limit_count = 0;
    request.xfers[1] = copy_of(narrow);
    CHECK_EQ(try_spawn(&request).result, ST_NO_METHOD);
    request.xfers[1] = copy_of(image);
    CHECK_EQ(try_spawn(&request).result, ST_WRONG_INTERFACE);
    request.ledger = 3;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    CHECK_HELD(parent, before);
    request.ledger = 2;
    request.xfers[1] = copy_of(whole);
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    CHECK_PTR_EQ(child->process->ledger, carve);
    struct capability own;
    CHECK_EQ(user_look(child, capset_of(child)->entries[0].cap, &own), ST_OK);
    CHECK_PTR_EQ(own.object, &carve->obj);
    CHECK(atomic_load_relaxed(&carve->used[LEDGER_CLASS_FRAMES]) > 0);
    user_exit(child, 0);
    CHECK_EQ(user_release(parent, handle), ST_OK);
    struct ledger_state after = ledger_state(carve);
    CHECK_MEM_EQ(&empty, &after, sizeof(after));
    CHECK_HELD(parent, before);
    fixture_end();
}

TEST(spawn_in_session,
     "a child works in the session whose SessionRef was given, else in its spawner's, and is given "
     "what may not cross; a closed session, or another facet, is refused")
{
    spawner_start(2);
    struct session *session;
    capos_cap_t enter = new_session(SessionRef_FACET, &session);
    capos_cap_t control = user_pass(parent, enter, parent, SessionControl_FACET);
    capos_cap_t endpoint = user_endpoint(parent, 64, 0); /* sameSession */
    const struct line lines[] = {
        {"endpoint", Endpoint_ID, 0, -1, 1},
        {"session", Session_ID, 0, SELF_OBJECT_SESSION, 0},
    };
    struct request request = request_new();
    request.lines = lines;
    request.line_count = 2;
    request.xfers[1] = copy_of(endpoint);
    request.xfers[2] = copy_of(control);
    request.xfer_count = 3;
    request.session = 3;
    CHECK_EQ(try_spawn(&request).result, ST_NO_METHOD);
    request.xfers[2] = copy_of(endpoint);
    CHECK_EQ(try_spawn(&request).result, ST_WRONG_INTERFACE);
    request.xfers[2] = copy_of(enter);
    for (unsigned given = 0; given < 2; given++) {
        capos_cap_t handle;
        request.session = given ? 3 : 0;
        struct user *child = spawn_child(&request, &handle);
        CHECK_PTR_EQ(child->process->session, given ? session : session_boot());
        struct capability own;
        CHECK_EQ(user_look(child, capset_of(child)->entries[1].cap, &own), ST_OK);
        CHECK_PTR_EQ(own.object, &child->process->session->obj);
        CHECK_EQ(own.facet, SessionInfo_FACET);
        user_exit(child, 0);
        CHECK_EQ(user_release(parent, handle), ST_OK);
    }
    session->living++;
    atomic_store_seq_cst(&session->state, SESSION_STATE_CLOSED);
    request.session = 3;
    CHECK_EQ(try_spawn(&request).result, ST_BAD_STATE);
    fixture_end();
}

TEST(process_create_faults,
     "a process that finds no frame at any point of its making leaves nothing")
{
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(1);
    user_limits(limits);
    struct ledger *root = fixture_roots()->ledger;
    struct ledger_state before = ledger_state(root);
    uint64_t frames = frames_free_count();
    for (unsigned n = 1;; n++) {
        struct process *process;
        frames_fail_at(n);
        status_t status =
            fixture_process(root, NULL, session_boot(), limits, "faults", USER_RING, &process);
        bool failed = frames_failed();
        frames_fail_at(0);
        if (!failed) {
            CHECK_EQ(status, ST_OK);
            process_abandon(process);
        } else {
            REQUIRE_EQ(status, ST_QUOTA);
            CHECK_EQ(ledger_refused(), LEDGER_CLASS_KERNEL_PAGES);
        }
        host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
        fixture_settle();
        struct ledger_state after = ledger_state(root);
        CHECK_MEM_EQ(&before, &after, sizeof(after));
        CHECK_EQ(frames_free_count(), frames);
        if (!failed) {
            break;
        }
    }
    fixture_end();
}
