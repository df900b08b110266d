/* SPDX-License-Identifier: MIT */
/* Spawning, ending and being told: ProcessSpawner, Launcher, ProcessHandle, the exit job. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "abi/capset.h"
#include "abi/layout.h"
#include "gen/capabilities.capnp.h"
#include "gen/debugger.capnp.h"
#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"
#include "gen/notification.capnp.h"
#include "gen/kernel/types.h"
#include "gen/process.capnp.h"
#include "gen/session.capnp.h"
#include "gen/time.capnp.h"
#include "mem/frames.h"
#include "object/spawn.h"

enum { LIMITS_MAX = 16, WORDS = 512 };

/* One line of a spawn. */
struct line {
    const char *name;
    uint64_t interface;
    uint64_t methods;
    int self;       /* -1: a transfer */
    uint16_t index; /* of the transfer */
};

struct request {
    const char *name;
    const struct line *lines;
    uint32_t line_count;
    struct {
        enum LedgerClass class;
        uint64_t amount;
    } limits[LIMITS_MAX];
    uint32_t limit_count;
    uint32_t ring_entries;
    uint64_t stack_bytes;
    enum Watch watch;
    uint16_t image;
    uint16_t ledger, session;       /* index of the transfer, + 1; 0: none */
    struct capos_transfer xfers[4]; /* the image first */
    uint8_t xfer_count;
};

/* The process that spawns: a user with the raw spawner. */
static struct user *parent;
static capos_cap_t spawner;
static capos_cap_t image;
static struct kobj spawner_object;
static const struct kobj_ops spawner_ops = {.name = "spawner"};

static void start(unsigned cpus)
{
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(cpus);
    machine_limits(limits, 1 << 20, 2000); /* the defaults of a child fit in */
    parent = user_new_limits("parent", limits, USER_RING);
    kobj_init(&spawner_object, KTYPE_PROCESS_SPAWNER, &spawner_ops, NULL);
    spawner = user_give(parent, &spawner_object, KTYPE_PROCESS_SPAWNER, ProcessSpawner_FACET);
    image = user_image(parent);
}

static uint64_t answered; /* where the last answer lies */

static struct capos_transfer copy_of(capos_cap_t cap)
{
    return (struct capos_transfer){.cap = cap, .mode = CAPOS_XFER_COPY};
}

static struct request request_new(void)
{
    struct request request = {.name = "child", .xfers = {copy_of(image)}, .xfer_count = 1};
    request.limits[0].class = LEDGER_CLASS_FRAMES;
    request.limits[0].amount = 40;
    request.limits[1].class = LEDGER_CLASS_KERNEL_PAGES;
    request.limits[1].amount = 60;
    request.limit_count = 2;
    return request;
}

static void fill_lines(Grant_list_b list, const struct request *request)
{
    for (uint32_t i = 0; i < request->line_count; i++) {
        const struct line *line = &request->lines[i];
        Grant_b grant = Grant_list_b_at(list, i);
        Grant_set_name(grant, line->name, strlen(line->name));
        Grant_set_origin(grant, "test line", 9);
        Grant_set_interface(grant, line->interface);
        Grant_set_methods(grant, line->methods);
        if (line->self >= 0) {
            Grant_set_self(grant, (enum SelfObject)line->self);
        } else {
            Grant_set_transfer(grant, line->index);
        }
    }
}

static struct capos_cqe try_spawn(const struct request *request)
{
    uint64_t words[WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessSpawner_spawn_params_b params = ProcessSpawner_spawn_params_init(&builder);
    ProcessSpawner_spawn_params_set_name(params, request->name, strlen(request->name));
    ProcessSpawner_spawn_params_set_image(params, request->image);
    ProcessSpawner_spawn_params_set_ring_entries(params, request->ring_entries);
    ProcessSpawner_spawn_params_set_stack_bytes(params, request->stack_bytes);
    ProcessSpawner_spawn_params_set_watch(params, request->watch);
    fill_lines(ProcessSpawner_spawn_params_init_grants(params, request->line_count), request);
    ProcessSpawner_spawn_params_set_ledger(params, (uint16_t)(request->ledger - 1));
    ProcessSpawner_spawn_params_set_session(params, (uint16_t)(request->session - 1));
    Limit_list_b limits = ProcessSpawner_spawn_params_init_limits(params, request->limit_count);
    for (uint32_t i = 0; i < request->limit_count; i++) {
        Limit_b limit = Limit_list_b_at(limits, i);
        Limit_set_ledger_class(limit, request->limits[i].class);
        Limit_set_amount(limit, request->limits[i].amount);
    }
    struct capos_cqe cqe =
        user_call(parent, spawner, ProcessSpawner_ID, ProcessSpawner_spawn_ORDINAL, &builder,
                  request->xfers, request->xfer_count, &answered);
    fixture_settle();
    return cqe;
}

/* The capabilities of an answer: process and debugger. */
static capos_cap_t second_cap(const struct capos_cqe *cqe)
{
    struct capos_cap_record records[2];
    CHECK_EQ(cqe->cap_count, 2);
    user_read(parent, answered + (uint64_t)cqe->result, records, sizeof(records));
    CHECK_EQ(records[0].cap, cqe->first_cap);
    return records[1].cap;
}

static void release_second(const struct capos_cqe *cqe)
{
    CHECK_EQ(user_release(parent, second_cap(cqe)), ST_OK);
    fixture_settle();
}

/* The process behind a handle. */
static struct process *process_behind(capos_cap_t handle)
{
    return process_of(user_object(parent, handle));
}

/* A child with these lines; its handle in *handle_out. */
static struct user *spawn_child(const struct request *request, capos_cap_t *handle_out)
{
    struct capos_cqe cqe = try_spawn(request);
    CHECK(cqe.result >= 0);
    CHECK_EQ(cqe.cap_count, 1);
    *handle_out = cqe.first_cap;
    struct user *child = user_adopt(process_behind(cqe.first_cap));
    fixture_settle();
    return child;
}

static struct capos_cqe wait_exit(capos_cap_t handle)
{
    struct capos_sqe wait = sqe_wait(parent, handle, CAPOS_EVENT_EXIT, 0);
    return user_do(parent, &wait);
}

static const struct capos_capset *capset_of(struct user *user)
{
    return user_ptr(user, user->process->aspace.capset);
}

/* What must be as before after a refusal, once the machine has come to rest. */
struct snapshot {
    struct ledger_state ledger;
    uint64_t frames;
};

static struct snapshot snap(void)
{
    struct snapshot now;
    memset(&now, 0, sizeof(now));
    now.ledger = ledger_state(parent->process->ledger);
    now.frames = frames_free_count();
    return now;
}

static void check_unchanged(const struct snapshot *before)
{
    struct snapshot now = snap();
    CHECK_MEM_EQ(before, &now, sizeof(now));
}

TEST(spawn_grants, "a child finds exactly its grants, narrowed as asked, and they work")
{
    start(2);
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

TEST(spawn_exit_code,
     "EXIT tells the exit code, before and after the end, and everything is back by then")
{
    uint64_t result;
    start(2);
    struct snapshot before = snap();
    struct request request = request_new();
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    struct capos_sqe wait = sqe_wait(parent, handle, CAPOS_EVENT_EXIT, 0);
    user_submit(parent, &wait);
    user_enter_start(parent, 1, CAPOS_FOREVER);
    CHECK(!user_entered(parent, &result));
    user_exit(child, -77);
    CHECK(user_entered(parent, &result));
    struct capos_cqe cqe = user_expect(parent, wait.user_data);
    CHECK_EQ(cqe.result, CAPOS_EVENT_EXIT);
    CHECK_EQ((int64_t)cqe.signal, -77);
    CHECK_EQ((int64_t)wait_exit(handle).signal, -77);
    CHECK_EQ(user_release(parent, handle), ST_OK);
    check_unchanged(&before);
    fixture_end();
}

TEST(spawn_refusals,
     "a spawn that asks for what is not there starts nothing, moves nothing, keeps nothing")
{
    start(2);
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
    struct snapshot before = snap();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request request = request_new();
        request.lines = rows[i].lines;
        request.line_count = rows[i].count;
        request.xfers[1] = (struct capos_transfer){.cap = note, .mode = CAPOS_XFER_MOVE};
        request.xfer_count = 2;
        CHECK_EQ(try_spawn(&request).result, rows[i].wanted);
        struct capability held;
        CHECK_EQ(user_look(parent, note, &held), ST_OK);
        check_unchanged(&before);
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
    check_unchanged(&before);
    fixture_end();
}

TEST(spawn_move, "a moved grant leaves the parent when the child starts")
{
    start(2);
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
    start(1);
    struct snapshot before = snap();
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
    check_unchanged(&before);
    fixture_end();
}

TEST(spawn_frame_faults,
     "a spawn that finds no frame at any point is refused QUOTA and leaves nothing; "
     "then it works")
{
    start(2);
    const struct line lines[] = {
        {"ledger", Ledger_ID, 0, SELF_OBJECT_LEDGER, 0},
        {"handle", ProcessHandle_ID, 0, SELF_OBJECT_PROCESS_HANDLE, 0},
    };
    struct request request = request_new();
    request.lines = lines;
    request.line_count = 2;
    request.watch = WATCH_FAULTS;
    struct snapshot before = snap();
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
        check_unchanged(&before);
    }
    CHECK(refused > 20);
    check_unchanged(&before);
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
    start(2);
    struct snapshot before = snap();
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
        check_unchanged(&before);
    }
    struct request request = request_new();
    request.watch = (enum Watch)(WATCH_DEBUG + 1);
    CHECK_EQ(try_spawn(&request).result, ST_BAD_ARGUMENT);
    check_unchanged(&before);
    fixture_end();
}

TEST(
    spawn_watched_dropped,
    "a child that stands still before its first instruction ends when nobody can start it any more")
{
    start(2);
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
    start(2);
    uint64_t limits[LEDGER_CLASSES], words[WORDS];
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
    struct snapshot before = snap();
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
    check_unchanged(&before);
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
    check_unchanged(&before);
    fixture_end();
}

static capos_cap_t new_session(uint64_t facet, struct session **out)
{
    struct kobj *object;
    uint64_t words[WORDS];
    struct capnp_builder builder;
    CHECK_EQ(session_factory_create(&object), ST_OK);
    capos_cap_t factory = user_give(parent, object, KTYPE_SESSION_FACTORY, SessionFactory_FACET);
    kobj_unref(object);
    capnp_builder_init(&builder, words, sizeof(words));
    SessionFactory_create_params_set_subject(SessionFactory_create_params_init(&builder), "s", 1);
    capos_cap_t whole = user_call(parent, factory, SessionFactory_ID, SessionFactory_create_ORDINAL,
                                  &builder, NULL, 0, NULL)
                            .first_cap;
    *out = session_of(user_object(parent, whole));
    return user_pass(parent, whole, parent, facet);
}

TEST(spawn_in_session,
     "a child works in the session whose SessionRef was given, else in its spawner's, and is given "
     "what may not cross; a closed session, or another facet, is refused")
{
    start(2);
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

static int32_t terminate(capos_cap_t handle)
{
    int32_t result =
        user_call_plain(parent, handle, ProcessHandle_ID, ProcessHandle_terminate_ORDINAL, NULL)
            .result;
    return result < 0 ? result : ST_OK;
}

TEST(process_terminate,
     "terminate ends a running and a sleeping process; the second time it is BAD_STATE")
{
    uint64_t result;
    start(2);
    struct request request = request_new();
    for (unsigned asleep = 0; asleep < 2; asleep++) {
        capos_cap_t handle;
        struct user *child = spawn_child(&request, &handle);
        if (asleep != 0) {
            user_enter_start(child, 1, CAPOS_FOREVER);
            CHECK(!user_entered(child, &result));
        }
        child->gone = true;
        CHECK_EQ(terminate(handle), ST_OK);
        CHECK_EQ(terminate(handle), ST_BAD_STATE);
        CHECK_EQ((int64_t)wait_exit(handle).signal, -1);
        user_ended(child);
        CHECK_EQ(terminate(handle), ST_BAD_STATE);
        CHECK_EQ(user_release(parent, handle), ST_OK);
    }
    fixture_end();
}

static ProcessHandle_info_results_r read_info(capos_cap_t handle, uint8_t *buffer, size_t size)
{
    uint64_t at;
    struct capos_cqe cqe =
        user_call_plain(parent, handle, ProcessHandle_ID, ProcessHandle_info_ORDINAL, &at);
    CHECK(cqe.result > 0 && (size_t)cqe.result <= size);
    user_read(parent, at, buffer, (uint64_t)cqe.result);
    ProcessHandle_info_results_r info;
    CHECK_EQ(ProcessHandle_info_results_read(buffer, (size_t)cqe.result, &info), CAPNP_OK);
    return info;
}

TEST(process_fault,
     "a fault ends the process; its record tells kind, access, address and all registers")
{
    static uint8_t buffer[2048] __attribute__((aligned(8)));
    start(1);
    struct request request = request_new();
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    struct user *busy = parent;
    user_enter_start(busy, 1, arch_time_ns() + 1000000000);
    struct arch_fault fault = {.kind = ARCH_FAULT_PAGE, .address = {0xdead000}, .write = true};
    unsigned cpu = 0;
    CHECK_PTR_EQ(host_current(cpu), child->thread);
    for (uint64_t i = 0; i < ARCH_REGS_COUNT; i++) {
        child->thread->arch.r[i] = 1000 + i;
    }
    child->thread->arch.r[HOST_IP] = 0x400123;
    uint64_t base = capset_of(child)->image_base;
    child->gone = true;
    host_fault(cpu, &fault);
    user_ended(child);
    fixture_advance(1000000000);
    ProcessHandle_info_results_r info = read_info(handle, buffer, sizeof(buffer));
    CHECK_EQ(ProcessHandle_info_results_get_state(info), PROCESS_STATE_FAULTED);
    CHECK_EQ(FaultRecord_get_kind(ProcessHandle_info_results_get_fault(info)),
             FAULT_RECORD_KIND_PAGE_FAULT);
    CHECK_EQ(FaultRecord_get_address(ProcessHandle_info_results_get_fault(info)), 0xdead000);
    CHECK_EQ(FaultRecord_get_instruction(ProcessHandle_info_results_get_fault(info)), 0x400123);
    CHECK_EQ(FaultRecord_get_access(ProcessHandle_info_results_get_fault(info)),
             FAULT_RECORD_ACCESS_WRITE);
    CHECK_EQ(FaultRecord_get_image_base(ProcessHandle_info_results_get_fault(info)), base);
    CHECK(!FaultRecord_get_mapped(ProcessHandle_info_results_get_fault(info)));
    struct capnp_list registers =
        FaultRecord_get_registers(ProcessHandle_info_results_get_fault(info));
    REQUIRE_EQ(capnp_list_len(registers), ARCH_REGS_COUNT);
    for (uint32_t i = 0; i < ARCH_REGS_COUNT; i++) {
        CHECK_EQ(capnp_list_u64_at(registers, i), i == HOST_IP ? 0x400123 : 1000 + i);
    }
    CHECK(strstr(host_debug_text(), "process child") != NULL);
    fixture_end();
}

TEST(process_handle_dropped,
     "a process goes on when its handle is dropped and leaves nothing when it ends")
{
    start(2);
    struct snapshot before = snap();
    struct request request = request_new();
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    CHECK_EQ(user_release(parent, handle), ST_OK);
    struct capos_sqe nop = user_sqe(child, CAPOS_OP_NOP);
    CHECK_EQ(user_do(child, &nop).result, ST_OK);
    user_exit(child, 1);
    check_unchanged(&before);
    fixture_end();
}

TEST(process_parent_dies,
     "a child outlives its parent; what it was granted below the parent's routes stays "
     "until it ends")
{
    start(2);
    struct request request = request_new();
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    user_exit(parent, 0);
    struct capos_sqe nop = user_sqe(child, CAPOS_OP_NOP);
    CHECK_EQ(user_do(child, &nop).result, ST_OK);
    user_exit(child, 0);
    fixture_end();
}

TEST(process_dies_with_everything,
     "a process that dies with calls, waits, receives and moves under way "
     "leaves nothing")
{
    fixture_start(2);
    struct user *victim = user_new("victim"), *other = user_new("other");
    capos_cap_t endpoint = user_endpoint(other, 256, 4);
    capos_cap_t object = user_pass(other, user_mint(other, endpoint, 1), victim, 0xff);
    capos_cap_t own = user_endpoint(victim, 256, 4);
    capos_cap_t note = user_notification(victim);
    struct capos_transfer xfers[2] = {
        {.cap = user_notification(victim), .mode = CAPOS_XFER_MOVE},
        {.cap = note, .mode = CAPOS_XFER_COPY},
    };
    struct capos_sqe sqe =
        sqe_call(victim, object, FIXTURE_INTERFACE, 1, user_message(victim, NULL, 0), 0);
    sqe_transfers(victim, &sqe, 1, xfers, 2);
    user_submit(victim, &sqe);
    struct capos_sqe recv = sqe_recv(victim, own, 256, 4);
    user_submit(victim, &recv);
    struct capos_sqe wait = sqe_wait(victim, note, CAPOS_EVENT_SIGNALLED, 0);
    wait.deadline_ns = arch_time_ns() + 1000000000;
    user_submit(victim, &wait);
    user_enter_start(victim, 1, CAPOS_FOREVER);
    user_terminate(victim);
    recv = sqe_recv(other, endpoint, 512, 4);
    user_start(other, &recv);
    CHECK_EQ(completions(other), 0);
    fixture_advance(2000000000);
    fixture_end();
}

/* ---- Launcher ---- */

static capos_cap_t bound_session; /* of the launchers made now; 0: none */

static enum Watch launcher_watch; /* the most that launchers made now give */
static enum Watch launch_watch;   /* wanted */

static capos_cap_t new_launcher(const char *program, uint32_t max_children)
{
    uint64_t words[WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessSpawner_new_launcher_params_b params = ProcessSpawner_new_launcher_params_init(&builder);
    Program_b entry =
        Program_list_b_at(ProcessSpawner_new_launcher_params_init_programs(params, 1), 0);
    Program_set_name(entry, program, strlen(program));
    Program_set_image(entry, 0);
    Limit_list_b limits = ProcessSpawner_new_launcher_params_init_limits(params, 2);
    Limit_set_ledger_class(Limit_list_b_at(limits, 0), LEDGER_CLASS_FRAMES);
    Limit_set_amount(Limit_list_b_at(limits, 0), 40);
    Limit_set_ledger_class(Limit_list_b_at(limits, 1), LEDGER_CLASS_KERNEL_PAGES);
    Limit_set_amount(Limit_list_b_at(limits, 1), 60);
    ProcessSpawner_new_launcher_params_set_max_children(params, max_children);
    ProcessSpawner_new_launcher_params_set_watch(params, launcher_watch);
    struct capos_transfer xfers[2] = {copy_of(image), copy_of(bound_session)};
    ProcessSpawner_new_launcher_params_set_session(params, bound_session != 0 ? 1 : UINT16_MAX);
    struct capos_cqe cqe =
        user_call(parent, spawner, ProcessSpawner_ID, ProcessSpawner_new_launcher_ORDINAL, &builder,
                  xfers, bound_session != 0 ? 2 : 1, NULL);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

static struct capos_cqe launch(capos_cap_t launcher, const char *program)
{
    uint64_t words[WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, program, strlen(program));
    Launcher_launch_params_set_name(params, "child", 5);
    Launcher_launch_params_set_watch(params, launch_watch);
    struct capos_cqe cqe =
        user_call(parent, launcher, Launcher_ID, Launcher_launch_ORDINAL, &builder, NULL, 0, NULL);
    fixture_settle();
    return cqe;
}

TEST(launcher_watch, "a launcher gives no more of a debugger than its maker let it")
{
    start(2);
    for (unsigned most = WATCH_NONE; most <= WATCH_DEBUG; most++) {
        launcher_watch = (enum Watch)most;
        capos_cap_t launcher = new_launcher("tool", 1);
        for (unsigned want = most + 1; want <= WATCH_DEBUG + 1; want++) {
            launch_watch = (enum Watch)want;
            CHECK_EQ(launch(launcher, "tool").result, ST_NO_METHOD);
        }
        launch_watch = (enum Watch)most;
        struct capos_cqe cqe = launch(launcher, "tool");
        CHECK(cqe.result >= 0);
        CHECK_EQ(cqe.cap_count, most == WATCH_NONE ? 1 : 2);
        user_terminate(user_adopt(process_behind(cqe.first_cap)));
    }
    launch_watch = WATCH_NONE;
    fixture_end();
}

TEST(launcher_session,
     "a launcher bound to a session starts in it, gives nothing there that may not cross, "
     "and starts nothing when it is closed")
{
    start(2);
    struct session *session;
    bound_session = new_session(SessionRef_FACET, &session);
    capos_cap_t launcher = new_launcher("tool", 2);
    bound_session = 0;
    struct snapshot before = snap();
    const capos_cap_t gifts[] = {user_endpoint(parent, 64, 0), user_notification(parent)};
    const struct line lines[] = {{"x", Endpoint_ID, 0, -1, 0}, {"x", Notification_ID, 0, -1, 0}};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t words[WORDS];
        struct capnp_builder builder;
        capnp_builder_init(&builder, words, sizeof(words));
        Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
        Launcher_launch_params_set_program(params, "tool", 4);
        Launcher_launch_params_set_name(params, "child", 5);
        const struct request request = {.lines = &lines[i], .line_count = 1};
        fill_lines(Launcher_launch_params_init_grants(params, 1), &request);
        struct capos_transfer xfer = copy_of(gifts[i]);
        struct capos_cqe cqe = user_call(parent, launcher, Launcher_ID, Launcher_launch_ORDINAL,
                                         &builder, &xfer, 1, NULL);
        fixture_settle();
        if (i == 0) {
            CHECK_EQ(cqe.result, ST_NOT_TRANSFERABLE);
        } else {
            CHECK(cqe.result >= 0);
            struct user *child = user_adopt(process_behind(cqe.first_cap));
            CHECK_PTR_EQ(child->process->session, session);
            user_exit(child, 0);
            CHECK_EQ(user_release(parent, cqe.first_cap), ST_OK);
        }
        CHECK_EQ(user_release(parent, gifts[i]), ST_OK);
    }
    check_unchanged(&before);
    session->living++;
    atomic_store_seq_cst(&session->state, SESSION_STATE_CLOSED);
    CHECK_EQ(launch(launcher, "tool").result, ST_BAD_STATE);
    fixture_end();
}

TEST(launcher_children,
     "a launcher starts its programs, no others, and so many at a time; one that has "
     "ended counts until its handle is gone")
{
    start(2);
    struct snapshot before = snap();
    capos_cap_t launcher = new_launcher("tool", 2);
    CHECK_EQ(launch(launcher, "other").result, ST_NOT_FOUND);
    struct capos_cqe first = launch(launcher, "tool");
    struct capos_cqe second = launch(launcher, "tool");
    CHECK(first.result >= 0 && second.result >= 0);
    CHECK_EQ(launch(launcher, "tool").result, ST_BUSY);
    user_exit(user_adopt(process_behind(first.first_cap)), 0);
    CHECK_EQ(launch(launcher, "tool").result, ST_BUSY);
    CHECK_EQ(user_release(parent, first.first_cap), ST_OK);
    struct capos_cqe third = launch(launcher, "tool");
    CHECK(third.result >= 0);
    CHECK_EQ(user_release(parent, launcher), ST_OK);
    user_exit(user_adopt(process_behind(second.first_cap)), 0);
    user_exit(user_adopt(process_behind(third.first_cap)), 0);
    CHECK_EQ(user_release(parent, second.first_cap), ST_OK);
    CHECK_EQ(user_release(parent, third.first_cap), ST_OK);
    check_unchanged(&before);
    fixture_end();
}

/* ---- Timer and CapabilityManager ---- */

TEST(timer_sleep,
     "a sleep completes at its time with the time, not before; cancel and deadline end it")
{
    static struct kobj timer_object;
    uint64_t now;
    fixture_start(1);
    struct user *user = user_new("sleeper");
    kobj_init(&timer_object, KTYPE_TIMER, &spawner_ops, NULL);
    capos_cap_t timer = user_give(user, &timer_object, KTYPE_TIMER, Timer_FACET);
    uint64_t until = arch_time_ns() + 5000;
    struct capos_sqe sqe = sqe_sleep(user, timer, until);
    user_start(user, &sqe);
    fixture_advance(4999);
    CHECK_EQ(completions(user), 0);
    fixture_advance(1);
    CHECK_EQ(user_expect(user, sqe.user_data).result, 16);
    user_read(user, sqe.result + 8, &now, 8);
    CHECK_EQ(now, until);
    CHECK_EQ(user_do(user, &sqe).result, 16);

    sqe = sqe_sleep(user, timer, UINT64_MAX);
    user_cancel(user, user_start(user, &sqe), sqe.user_data);
    sqe.deadline_ns = arch_time_ns() + 100;
    user_start(user, &sqe);
    fixture_advance(100);
    CHECK_EQ(user_expect(user, sqe.user_data).result, ST_TIMED_OUT);
    fixture_end();
}

static struct capos_cqe attenuate(struct user *user, capos_cap_t manager, capos_cap_t cap,
                                  uint64_t methods)
{
    uint64_t words[WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    CapabilityManager_attenuate_params_b params = CapabilityManager_attenuate_params_init(&builder);
    CapabilityManager_attenuate_params_set_capability(params, 0);
    CapabilityManager_attenuate_params_set_methods(params, methods);
    struct capos_transfer xfer = copy_of(cap);
    return user_call(user, manager, CapabilityManager_ID, CapabilityManager_attenuate_ORDINAL,
                     &builder, &xfer, 1, NULL);
}

TEST(capabilities_attenuate,
     "attenuate gives a subset of the methods and refuses any other NO_METHOD")
{
    fixture_start(1);
    struct user *user = user_new("narrow");
    capos_cap_t manager =
        user_give(user, &user->process->obj, KTYPE_CAPABILITY_MANAGER, CapabilityManager_FACET);
    capos_cap_t note = user_notification(user);
    struct capos_cqe cqe = attenuate(user, manager, note, NotificationWaiter_FACET);
    CHECK(cqe.result >= 0);
    struct capability held;
    CHECK_EQ(user_look(user, cqe.first_cap, &held), ST_OK);
    CHECK_EQ(held.facet, NotificationWaiter_FACET);
    struct ledger_state before = ledger_state(user->process->ledger);
    CHECK_EQ(attenuate(user, manager, cqe.first_cap, Notification_FACET).result, ST_NO_METHOD);
    CHECK_EQ(attenuate(user, manager, note, 0).result < 0, true);
    CHECK_EQ(attenuate(user, manager, note, 8).result, ST_NO_METHOD);
    CHECK_EQ(attenuate(user, manager, user->ledger, 1).result, ST_NOT_TRANSFERABLE);
    struct ledger_state after = ledger_state(user->process->ledger);
    CHECK_MEM_EQ(&before, &after, sizeof(after));
    fixture_end();
}
