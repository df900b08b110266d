/* SPDX-License-Identifier: MIT */
/* One case from start to end: what its processes share, starting them, heeding their note, judging how
 * each ended. */
#include "capabilities.client.h"
#include "capos/call.h"
#include "case.h"
#include "endpoint.client.h"
#include "entropy.client.h"
#include "kernel_log.client.h"
#include "ledger.client.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "memory.client.h"
#include "notification.capnp.h"
#include "process.client.h"
#include "scheduling.client.h"
#include "session.client.h"
#include "thread.capnp.h"
#include "time.client.h"
#include "warden.h"

#define MS UINT64_C(1000000)

enum { HANG_MS = 60000, DETAIL_BYTES = WARDEN_DETAIL_BYTES };

/* What a running case has of its own. */
struct stage {
    const struct hostile_case *c;
    unsigned number;
    capos_cap_t endpoint, serve, object, note, launcher, sessions[ROLES];
    struct child children[ROLES];
    char detail[DETAIL_BYTES];
};

static bool wants(const struct hostile_case *c, uint32_t holds)
{
    uint32_t all = 0;
    for (unsigned i = 0; i < ROLES; i++) {
        all |= c->roles[i].run != NULL ? c->roles[i].holds : 0;
    }
    return (all & holds) != 0;
}

static bool make_stage(struct stage *stage)
{
    status_t status = ST_OK;
    if (wants(stage->c, HOLD_SERVE | HOLD_OBJECT)) {
        status =
            Ledger_new_endpoint(warden.ledger, CASE_MESSAGE_BYTES, CASE_MAX_CAPS, &stage->endpoint);
        if (status == ST_OK) {
            status = Endpoint_lend(stage->endpoint, &stage->serve);
        }
        if (status == ST_OK) {
            status = Endpoint_mint(stage->endpoint, KEY, HOSTILE_INTERFACE, 1, TRANSFER_MODE_COPY,
                                   SESSION_SCOPE_CROSS_SESSION, 0, &stage->object);
        }
    }
    if (status == ST_OK && wants(stage->c, HOLD_NOTE)) {
        status = Ledger_new_notification(warden.ledger, &stage->note);
    }
    if (status == ST_OK && wants(stage->c, HOLD_LAUNCHER)) {
        status = new_launcher(&stage->launcher);
    }
    return status == ST_OK;
}

static void drop_stage(struct stage *stage)
{
    const capos_cap_t caps[] = {stage->launcher,    stage->note,       stage->object,
                                stage->serve,       stage->endpoint,   stage->sessions[0],
                                stage->sessions[1], stage->sessions[2]};
    for (unsigned i = 0; i < ARRAY_LEN(caps); i++) {
        if (caps[i] != 0) {
            (void)capos_release_now(caps[i]);
        }
    }
}

static bool start_role(struct stage *stage, unsigned role)
{
    char name[32];
    const struct grant_source sources[] = {
        {HOLD_TIMER, "timer", warden.timer, 0, Timer_ID, 0},
        {HOLD_ENTROPY, "entropy", warden.entropy, 0, Entropy_ID, 0},
        {HOLD_ECHO, "echo", warden.echo, 0, HOSTILE_INTERFACE, 1},
        {HOLD_SCHEDULING, "scheduling", warden.scheduling, 0, SchedulingPolicy_ID, 0},
        {HOLD_SERVE, "serve", stage->serve, 0, Endpoint_ID, 0},
        {HOLD_OBJECT, "object", stage->object, 0, HOSTILE_INTERFACE, 1},
        {HOLD_NOTE, "note", stage->note, 0, Notification_ID, 0},
        {HOLD_LAUNCHER, "launcher", stage->launcher, 0, Launcher_ID, 0},
        {HOLD_LOG_READ, "logread", warden.log, 0, KernelLog_ID, LogReader_FACET},
        {HOLD_LEDGER, "ledger", 0, SELF_OBJECT_LEDGER, Ledger_ID, 0},
        {HOLD_MEMORY, "memory", 0, SELF_OBJECT_VIRTUAL_MEMORY, VirtualMemory_ID, 0},
        {HOLD_CAPS, "capabilities", 0, SELF_OBJECT_CAPABILITY_MANAGER, CapabilityManager_ID, 0},
        {HOLD_THREADS, "threads", 0, SELF_OBJECT_THREAD_SPAWNER, ThreadSpawner_ID, 0},
        {HOLD_THREADS, "control", 0, SELF_OBJECT_THREAD_CONTROL, ThreadControl_ID, 0},
        {HOLD_SESSION, "session", 0, SELF_OBJECT_SESSION, Session_ID, 0},
        {HOLD_SELF, "self", 0, SELF_OBJECT_PROCESS_HANDLE, ProcessHandle_ID, 0},
    };
    (void)fmt_format(name, sizeof(name), "case.%c.%u", 'a' + (int)role, stage->number);
    warden.child_session = 0;
    if ((stage->c->roles[role].holds & HOLD_SESSION) != 0) {
        (void)SessionFactory_create(warden.sessions, "case", role, 0, role != 0,
                                    &stage->sessions[role]);
        warden.child_session = stage->sessions[role];
    }
    status_t status = start_child(&stage->children[role], name, stage->c->roles[role].holds,
                                  sources, ARRAY_LEN(sources), stage->c->limits);
    if (status != ST_OK) {
        (void)fmt_format(stage->detail, DETAIL_BYTES, "role %c cannot start: %s", 'a' + (int)role,
                         status_name(status));
    }
    warden.child_session = 0;
    return status == ST_OK;
}

/* What the note asks the warden to do. */
static void obey(struct stage *stage, uint64_t bits)
{
    if ((bits & NOTE_END_A) != 0) {
        (void)ProcessHandle_terminate(stage->children[0].process);
    }
    if ((bits & NOTE_END_B) != 0) {
        (void)ProcessHandle_terminate(stage->children[1].process);
    }
    for (unsigned i = 0; (bits & NOTE_CLOSE) != 0 && i < ROLES; i++) {
        (void)Session_close(stage->sessions[i]);
    }
    if ((bits & NOTE_DESTROY) != 0) {
        (void)Endpoint_destroy(stage->endpoint);
    }
}

static bool all_ended(const struct stage *stage)
{
    for (unsigned i = 0; i < ROLES; i++) {
        if (stage->children[i].started && !stage->children[i].ended) {
            return false;
        }
    }
    return true;
}

/* Waits for every role's end, starts the successor, listens to the note. False: somebody hung. */
static bool attend(struct stage *stage)
{
    uint64_t until_ns = warden_now_ns() + HANG_MS * MS;
    struct capos_op listen;
    bool listening = stage->note != 0;
    if (listening) {
        capos_op_init_wait(&listen, stage->note, CAPOS_EVENT_SIGNALLED, NOTE_WARDEN);
        capos_op_submit(&listen);
    }
    while (!all_ended(stage) && warden_now_ns() < until_ns) {
        (void)capos_step(warden_now_ns() + 2 * MS);
        if (listening && listen.state == CAPOS_OP_DONE) {
            obey(stage, listen.cqe.result > 0 ? listen.cqe.signal : 0);
            capos_op_init_wait(&listen, stage->note, CAPOS_EVENT_SIGNALLED, NOTE_WARDEN);
            capos_op_submit(&listen);
        }
        for (unsigned i = 0; i < ROLES; i++) {
            look_after(&stage->children[i]);
        }
        if (stage->children[0].ended && stage->c->roles[2].run != NULL &&
            !stage->children[2].started && !start_role(stage, 2)) {
            break;
        }
    }
    if (listening) {
        capos_op_cancel(&listen);
    }
    return all_ended(stage);
}

static bool judge(struct stage *stage, unsigned role)
{
    const struct child *child = &stage->children[role];
    const struct ending *want = &stage->c->roles[role].ending;
    static const enum ProcessState states[] = {PROCESS_STATE_EXITED, PROCESS_STATE_FAULTED,
                                               PROCESS_STATE_TERMINATED};
    bool right = child->state == states[want->kind];
    if (want->kind == END_EXIT) {
        right = right && child->code == want->code;
    } else if (want->kind == END_FAULT) {
        right = right && (want->faults >> child->fault_kind & 1) != 0 &&
                (want->address == 0 || want->address == child->fault_address);
    }
    bool lived = child->state == PROCESS_STATE_EXITED && child->code == 99;
    right = right || (want->kind == END_FAULT && want->faults >> 31 != 0 && lived);
    if (!right) {
        (void)fmt_format(stage->detail, DETAIL_BYTES,
                         "role %c ended in state %u, code %lld, fault %u at %llx, ip %llx",
                         'a' + (int)role, (unsigned)child->state, (long long)child->code,
                         child->fault_kind, (unsigned long long)child->fault_address,
                         (unsigned long long)child->fault_ip);
    }
    return right;
}

/* The processes of the case, from start to end. */
static bool act(struct stage *stage)
{
    bool good = make_stage(stage);
    for (unsigned role = 0; good && role < 2; role++) {
        good = stage->c->roles[role].run == NULL || start_role(stage, role);
    }
    if (good && !attend(stage)) {
        (void)fmt_format(stage->detail, DETAIL_BYTES, "still running after %u s",
                         (unsigned)HANG_MS / 1000);
        good = false;
    }
    for (unsigned role = 0; role < ROLES; role++) {
        struct child *child = &stage->children[role];
        end_child(child);
        good = good && (!child->started || judge(stage, role));
    }
    drop_stage(stage);
    return good;
}

void try_case(const struct hostile_case *c, unsigned number)
{
    struct usage before;
    static struct stage stage;
    memset(&stage, 0, sizeof(stage));
    stage.c = c;
    stage.number = number;
    bool good = warden_read_usage(&before);
    good = good && act(&stage);
    good = warden_aftermath(&before, good ? stage.detail : (char[DETAIL_BYTES]){0}) && good;
    report(c->name, good, good ? c->sentence : stage.detail);
}
