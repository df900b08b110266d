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
#include "endpoint.client.h"
#include "entropy.client.h"
#include "images.h"
#include "kernel_log.client.h"
#include "ledger.client.h"
#include "memory.client.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "power.client.h"
#include "process.client.h"
#include "scheduling.client.h"
#include "session.client.h"
#include "time.client.h"
#include "warden.h"

#define MS UINT64_C(1000000)

enum { SETTLE_MS = 60000, DETAIL_BYTES = WARDEN_DETAIL_BYTES };

struct warden warden;
int64_t child_run(const char *name);

static const struct hostile_case *const families[] = {
    forged_cases, entry_cases,  queue_cases,   pointer_cases,    message_cases, transfer_cases,
    call_cases,   memory_cases, exhaust_cases, fault_cases,      death_cases,   launch_cases,
    ledger_cases, thread_cases, park_cases,    session_cases,    runtime_cases, grant_cases,
    flag_cases,   watch_cases,  debug_cases,   scheduling_cases, lease_cases,
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
            out->limit[index] = Usage_get_limit(usage);
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
        "frames",         "kernel pages", "slots",  "threads",   "virtual pages", "calls",
        "served objects", "waiters",      "timers", "grants",    "interrupts",    "log bytes",
        "processes",      "pinned",       "DMA",    "processor",
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
    op.sqe.deadline_ns = warden_now_ns() + 60000 * MS;
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

void report(const char *name, bool good, const char *detail)
{
    warden.failed += good ? 0 : 1;
    warden.passed += good ? 1 : 0;
    capos_log("@test hostile %s %s %s", name, good ? "pass" : "fail", detail);
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
                               SESSION_SCOPE_CROSS_SESSION, 0, &warden.echo);
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
    warden.sessions = CAPOS_NEED("sessions", SessionFactory);
    warden.scheduling = CAPOS_NEED("scheduling", SchedulingPolicy);
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

/* The case is asked for, and this machine has the processors that it promises its roles. */
static bool is_wanted(const struct hostile_case *c, const char *prefix)
{
    struct usage usage;
    bool enough = warden_read_usage(&usage);
    for (unsigned i = 0; i < CASE_LIMITS; i++) {
        enough = enough && (!c->limits[i].set || c->limits[i].ledger_class != LEDGER_CLASS_CPU_NS ||
                            c->limits[i].amount <= usage.limit[LEDGER_CLASS_CPU_NS]);
    }
    return enough && strncmp(c->name, prefix, strlen(prefix)) == 0;
}

/* How many lines will come, so that one too few, or one too many, is noticed. */
static void announce(const char *prefix)
{
    unsigned count = images_count(prefix);
    for (unsigned i = 0; case_at(i) != NULL; i++) {
        count += is_wanted(case_at(i), prefix);
    }
    capos_log("@plan hostile %u", count);
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
    announce(prefix);
    for (unsigned i = 0; case_at(i) != NULL; i++) {
        if (is_wanted(case_at(i), prefix)) {
            try_case(case_at(i), i);
        }
    }
    images_try(prefix);
    capos_log("hostile: %u passed, %u failed", warden.passed, warden.failed);
    (void)Power_off(warden.power, 0);
    return 1;
}
