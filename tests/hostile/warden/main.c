/* SPDX-License-Identifier: MIT */
/*
 * The warden: init of the hostile machine.
 *
 * It starts a neighbour, then every case in processes of its own (this same program, told by the name
 * of its first grant what to be), sees how they end, and afterwards asks three things: does the
 * neighbour answer, do the kernel's services work, and does its own ledger show what it showed before.
 * A line `@test hostile NAME pass|fail DETAIL` each, then it switches the machine off.
 */
#include "boot.client.h"
#include "capos/call.h"
#include "capos/print.h"
#include "capos/start.h"
#include "case.h"
#include "capabilities.client.h"
#include "endpoint.client.h"
#include "entropy.client.h"
#include "images.h"
#include "kernel_log.client.h"
#include "ledger.client.h"
#include "memory.client.h"
#include "notification.capnp.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "power.client.h"
#include "process.client.h"
#include "time.client.h"
#include "warden.h"

#define MS UINT64_C(1000000)

enum { HANG_MS = 8000, SETTLE_MS = 5000, DETAIL_BYTES = WARDEN_DETAIL_BYTES };

struct warden warden;
int64_t child_run(const char *name);

static const struct hostile_case *const families[] = {
    forged_cases, entry_cases,  queue_cases,   pointer_cases, message_cases, transfer_cases,
    call_cases,   memory_cases, exhaust_cases, fault_cases,   death_cases,   launch_cases,
};

const struct hostile_case *case_at(unsigned n)
{
    for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
        for (const struct hostile_case *c = families[i]; c->name != NULL; c++) {
            if (n-- == 0) {
                return c;
            }
        }
    }
    return NULL;
}

/* ---- being a child ---- */

static unsigned number_in(const char *text)
{
    unsigned n = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        n = n * 10 + (unsigned)(*text - '0');
    }
    return n;
}

static const struct hostile_case *empty_case(void)
{
    const struct hostile_case *found = NULL;
    for (unsigned i = 0; (found = case_at(i)) != NULL; i++) {
        if ((found->roles[0].holds & HOLD_NOTHING) != 0) {
            break;
        }
    }
    return found;
}

NORETURN void case_run(const char *grant_name)
{
    raw_open();
    if (grant_name == NULL) {
        capos_sys_exit(empty_case()->roles[0].run());
    }
    if (strcmp(grant_name, "echo.serve") == 0) {
        echo_run();
    }
    if (strncmp(grant_name, "case.", 5) != 0) {
        capos_sys_exit(child_run(grant_name));
    }
    const struct hostile_case *c = case_at(number_in(grant_name + 7));
    capos_sys_exit(c->roles[grant_name[5] - 'a'].run());
}

/* ---- the machine's state ---- */

bool warden_read_usage(struct usage *out)
{
    CAPOS_CALL(call, Ledger, usage);
    Ledger_usage_results_r results;
    capos_call_begin(&call, warden.ledger);
    (void)Ledger_usage_begin(&call);
    if (Ledger_usage_call(&call) != ST_OK || Ledger_usage_results(&call, &results) != ST_OK) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    Usage_list_r list = Ledger_usage_results_get_classes(results);
    for (uint32_t i = 0; i < Usage_list_len(list); i++) {
        Usage_r usage = Usage_list_at(list, i);
        unsigned index = (unsigned)Usage_get_ledger_class(usage);
        if (index < LEDGER_CLASS_COUNT) {
            out->used[index] = Usage_get_used(usage);
        }
    }
    capos_call_end(&call);
    return true;
}

uint64_t warden_now_ns(void)
{
    uint64_t now_ns = 0;
    (void)Timer_now(warden.timer, &now_ns);
    return now_ns;
}

static void pause_ms(unsigned ms)
{
    uint64_t now_ns;
    (void)Timer_sleep(warden.timer, warden_now_ns() + ms * MS, &now_ns);
}

/* The first class whose use differs, or -1: all is back. */
static int differs(const struct usage *before, const struct usage *now)
{
    for (int i = 0; i < LEDGER_CLASS_COUNT; i++) {
        if (before->used[i] != now->used[i]) {
            return i;
        }
    }
    return -1;
}

/* Jobs give back what they can a little later: waits, for a while. */
static bool settles(const struct usage *before, char *detail)
{
    static const char *const names[LEDGER_CLASS_COUNT] = {
        "frames",     "kernel pages",   "slots",     "threads", "virtual pages",
        "calls",      "served objects", "waiters",   "timers",  "grants",
        "interrupts", "log bytes",      "processes",
    };
    struct usage now;
    int wrong = 0;
    uint64_t until_ns = warden_now_ns() + SETTLE_MS * MS;
    while (warden_read_usage(&now) && (wrong = differs(before, &now)) >= 0 &&
           warden_now_ns() < until_ns) {
        pause_ms(5);
    }
    if (wrong >= 0) {
        (void)fmt_format(detail, DETAIL_BYTES, "left behind: %s were %llu, are %llu", names[wrong],
                         (unsigned long long)before->used[wrong],
                         (unsigned long long)now.used[wrong]);
    }
    return wrong < 0;
}

/* The neighbour answers this process, within time, what it was asked. */
static bool neighbour_answers(void)
{
    static uint64_t message[64], answer[64];
    static uint64_t salt;
    for (unsigned i = 0; i < 64; i++) {
        message[i] = ++salt * UINT64_C(0x9e3779b97f4a7c15);
        answer[i] = 0;
    }
    struct capos_op op;
    capos_op_init(&op, CAPOS_OP_CALL, warden.echo);
    op.sqe.interface = HOSTILE_INTERFACE;
    op.sqe.params = (uintptr_t)message;
    op.sqe.params_len = sizeof(message);
    op.sqe.result = (uintptr_t)answer;
    op.sqe.result_len = sizeof(answer);
    op.sqe.deadline_ns = warden_now_ns() + 2000 * MS;
    int32_t result = capos_op_run(&op);
    return result == (int32_t)sizeof(message) && memcmp(message, answer, sizeof(message)) == 0;
}

static bool services_work(void)
{
    uint8_t random[2][16];
    size_t len;
    bool weak;
    uint64_t first = warden_now_ns();
    return first != 0 && warden_now_ns() >= first &&
           Entropy_fill(warden.entropy, 16, random[0], 16, &len, &weak) == ST_OK && len == 16 &&
           Entropy_fill(warden.entropy, 16, random[1], 16, &len, &weak) == ST_OK &&
           memcmp(random[0], random[1], 16) != 0;
}

/* ---- a case ---- */

/* What a running case has of its own. */
struct stage {
    const struct hostile_case *c;
    unsigned number;
    capos_cap_t endpoint, serve, object, note, launcher;
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
                                   &stage->object);
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
    const capos_cap_t caps[] = {stage->launcher, stage->note, stage->object, stage->serve,
                                stage->endpoint};
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
        {HOLD_SERVE, "serve", stage->serve, 0, Endpoint_ID, 0},
        {HOLD_OBJECT, "object", stage->object, 0, HOSTILE_INTERFACE, 1},
        {HOLD_NOTE, "note", stage->note, 0, Notification_ID, 0},
        {HOLD_LAUNCHER, "launcher", stage->launcher, 0, Launcher_ID, 0},
        {HOLD_LOG_READ, "logread", warden.log, 0, KernelLog_ID, LogReader_FACET},
        {HOLD_LEDGER, "ledger", 0, SELF_OBJECT_LEDGER, Ledger_ID, 0},
        {HOLD_MEMORY, "memory", 0, SELF_OBJECT_VIRTUAL_MEMORY, VirtualMemory_ID, 0},
        {HOLD_CAPS, "capabilities", 0, SELF_OBJECT_CAPABILITY_MANAGER, CapabilityManager_ID, 0},
        {HOLD_SELF, "self", 0, SELF_OBJECT_PROCESS_HANDLE, ProcessHandle_ID, 0},
    };
    (void)fmt_format(name, sizeof(name), "case.%c.%u", 'a' + (int)role, stage->number);
    status_t status = start_child(&stage->children[role], name, stage->c->roles[role].holds,
                                  sources, ARRAY_LEN(sources), stage->c->limits);
    if (status != ST_OK) {
        (void)fmt_format(stage->detail, DETAIL_BYTES, "role %c cannot start: %s", 'a' + (int)role,
                         status_name(status));
    }
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

bool warden_aftermath(const struct usage *before, char *detail)
{
    if (!neighbour_answers()) {
        (void)str_copy(detail, DETAIL_BYTES, "the neighbour does not answer");
        return false;
    }
    if (!services_work()) {
        (void)str_copy(detail, DETAIL_BYTES, "time or entropy do not work");
        return false;
    }
    return settles(before, detail);
}

static void try_case(const struct hostile_case *c, unsigned number)
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

void report(const char *name, bool good, const char *detail)
{
    warden.failed += good ? 0 : 1;
    warden.passed += good ? 1 : 0;
    capos_log("@test hostile %s %s %s", name, good ? "pass" : "fail", detail);
}

/* ---- the warden ---- */

static status_t start_neighbour(void)
{
    capos_cap_t serve = 0;
    static struct child neighbour;
    static const struct limit none[CASE_LIMITS];
    status_t status =
        Ledger_new_endpoint(warden.ledger, CASE_MESSAGE_BYTES, CASE_MAX_CAPS, &warden.endpoint);
    if (status == ST_OK) {
        status = Endpoint_lend(warden.endpoint, &serve);
    }
    if (status == ST_OK) {
        status = Endpoint_mint(warden.endpoint, KEY, HOSTILE_INTERFACE, 1, TRANSFER_MODE_COPY,
                               &warden.echo);
    }
    const struct grant_source source = {HOLD_SERVE, "serve", serve, 0, Endpoint_ID, 0};
    return status != ST_OK ? status
                           : start_child(&neighbour, "echo.serve", HOLD_SERVE, &source, 1, none);
}

static void take_roots(void)
{
    warden.boot = CAPOS_NEED("boot", BootPackage);
    warden.spawner = CAPOS_NEED("spawner", ProcessSpawner);
    warden.ledger = CAPOS_NEED("ledger", Ledger);
    warden.timer = CAPOS_NEED("timer", Timer);
    warden.entropy = CAPOS_NEED("entropy", Entropy);
    warden.log = CAPOS_NEED("log", KernelLog);
    warden.power = CAPOS_NEED("power", Power);
}

/* A word of the command line, `only=TEXT`: just the cases whose names begin so. */
static const char *wanted_prefix(void)
{
    static char line[1024];
    capos_cap_t memory;
    uint64_t size;
    size_t len = 0;
    if (BootPackage_open(warden.boot, "cmdline", &memory, &size) != ST_OK) {
        return "";
    }
    (void)MemoryObject_read(memory, 0, (uint32_t)(sizeof(line) - 1), line, sizeof(line) - 1, &len);
    capos_release(memory);
    line[len] = 0;
    for (char *at = line; *at != 0; at++) {
        if ((at == line || at[-1] == ' ') && strncmp(at, "only=", 5) == 0) {
            char *end = at + 5;
            while (*end != 0 && *end != ' ' && *end != '\n') {
                end++;
            }
            *end = 0;
            return at + 5;
        }
    }
    return "";
}

int capos_main(void)
{
    const struct capos_capset *page = capos_capset();
    if (capos_capset_find("spawner") == NULL) {
        case_run(page->count == 0 ? NULL : page->entries[0].name);
    }
    take_roots();
    uint64_t size;
    status_t status = BootPackage_open(warden.boot, "init", &warden.image, &size);
    if (status == ST_OK) {
        status = start_neighbour();
    }
    if (status != ST_OK || !neighbour_answers()) {
        report("warden", false, status_name(status));
    }
    const char *prefix = wanted_prefix();
    for (unsigned i = 0; case_at(i) != NULL; i++) {
        if (strncmp(case_at(i)->name, prefix, strlen(prefix)) == 0) {
            try_case(case_at(i), i);
        }
    }
    images_try(prefix);
    capos_log("hostile: %u passed, %u failed", warden.passed, warden.failed);
    (void)Power_off(warden.power, 0);
    return 1;
}
