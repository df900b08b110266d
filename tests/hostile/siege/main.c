/* SPDX-License-Identifier: MIT */
/* The besieger, and what the processes of a case begin with. siege.h says how it works. */
#include "capos/print.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "counter.client.h"
#include "kernel_log.client.h"
#include "ledger.client.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "process.client.h"
#include "siege.h"
#include "system_control.client.h"
#include "time.client.h"

enum { PROCESSES_MAX = 8, END_MS = 60000, KILL_AFTER_MS = 60, RESTART_AFTER_MS = 80 };

static unsigned passed, failed;
static bool besieger; /* else a process of a case */
static bool broken;   /* a check failed here */

capos_cap_t held(const char *name)
{
    const struct capos_capset_entry *entry = capos_capset_find(name);
    if (entry == NULL) {
        capos_log("the grant %s is missing", name);
        capos_exit(CAPOS_EXIT_NO_GRANT);
    }
    return entry->cap;
}

uint64_t now_ns(void)
{
    uint64_t now = 0;
    (void)Timer_now(held("timer"), &now);
    return now;
}

void sleep_ms(unsigned ms)
{
    uint64_t now;
    (void)Timer_sleep(held("timer"), now_ns() + ms * MS, &now);
}

/* The same at every run. */
uint64_t chance(void)
{
    static uint64_t state = UINT64_C(0x243f6a8885a308d3);
    return chance_after(&state);
}

void check_failed(const char *file, int line, const char *what, int64_t got, int64_t want)
{
    const char *slash = strrchr(file, '/');
    capos_log("broken at %s:%d: %s is %lld (%s), expected %lld (exception %u)",
              slash != NULL ? slash + 1 : file, line, what, (long long)got,
              got <= 0 ? status_name((status_t)got) : "", (long long)want, last_exception());
    broken = true;
    if (!besieger) {
        capos_exit(line);
    }
}

/* ---- cases by number: attacks on each target first, then assaults ---- */

static unsigned count_targets(void)
{
    unsigned count = 0;
    while (targets[count].name != NULL) {
        count++;
    }
    return count;
}

static unsigned count_attacks(void)
{
    unsigned count = 0;
    while (attacks[count].name != NULL) {
        count++;
    }
    return count;
}

static void run_numbered(unsigned number)
{
    unsigned pairs = count_targets() * count_attacks();
    if (number >= pairs) {
        assaults[number - pairs].run();
    } else {
        const struct target *target = &targets[number / count_attacks()];
        attacks[number % count_attacks()].run(target, held(target->name));
    }
    capos_exit(0);
}

/* ---- processes of a case ---- */

struct post {
    capos_cap_t process;
    struct capos_op wait;
};

CAPOS_CALL_STATIC(launch_call, Launcher, launch);

static void give(Grant_list_b list, uint32_t i, const char *name, const char *ours,
                 uint64_t interface, uint64_t methods)
{
    Grant_b grant = Grant_list_b_at(list, i);
    Grant_set_name(grant, name, strlen(name));
    Grant_set_origin(grant, "siege", 5);
    Grant_set_interface(grant, interface);
    Grant_set_methods(grant, methods);
    Grant_set_transfer(grant, capos_call_copy(&launch_call, held(ours)));
}

/* Everything that is attacked, a timer, a log and its own ledger. */
static status_t launch(struct post *post, unsigned number)
{
    char name[16];
    unsigned count = count_targets();
    (void)fmt_format(name, sizeof(name), "case-%u", number);
    capos_call_begin(&launch_call, held("launcher"));
    Launcher_launch_params_b params = Launcher_launch_begin(&launch_call);
    Launcher_launch_params_set_program(params, "siege", 5);
    Launcher_launch_params_set_name(params, name, strlen(name));
    Grant_list_b grants = Launcher_launch_params_init_grants(params, count + 4);
    give(grants, 0, name, "log", KernelLog_ID, 0);
    give(grants, 1, "timer", "timer", Timer_ID, 0);
    give(grants, 2, "log", "log", KernelLog_ID, 0);
    Grant_b ledger = Grant_list_b_at(grants, 3);
    Grant_set_name(ledger, "ledger", 6);
    Grant_set_origin(ledger, "siege", 5);
    Grant_set_interface(ledger, Ledger_ID);
    Grant_set_self(ledger, SELF_OBJECT_LEDGER);
    for (unsigned i = 0; i < count; i++) {
        give(grants, 4 + i, targets[i].name, targets[i].name, targets[i].interface,
             targets[i].methods);
    }
    status_t status = Launcher_launch_call(&launch_call);
    Launcher_launch_results_r results;
    if (status == ST_OK) {
        status = Launcher_launch_results(&launch_call, &results);
    }
    if (status == ST_OK) {
        post->process = capos_call_take(&launch_call, Launcher_launch_results_get_process(results),
                                        ProcessHandle_ID);
        capos_op_init_wait(&post->wait, post->process, CAPOS_EVENT_EXIT, 0);
        capos_op_submit(&post->wait);
    }
    capos_call_end(&launch_call);
    return status;
}

/* Its exit code, or what became of it, must be right. */
static bool judge(const struct post *post, bool killed, char *why)
{
    CAPOS_CALL_STATIC(call, ProcessHandle, info);
    ProcessHandle_info_results_r info;
    capos_call_begin(&call, post->process);
    ProcessHandle_info_begin(&call);
    if (ProcessHandle_info_call(&call) != ST_OK ||
        ProcessHandle_info_results(&call, &info) != ST_OK) {
        (void)str_copy(why, TEXT_BYTES, "a process has no record");
        return false;
    }
    enum ProcessState state = ProcessHandle_info_results_get_state(info);
    int64_t code = ProcessHandle_info_results_get_exit_code(info);
    (void)fmt_format(why, TEXT_BYTES, "a process ended in state %s with code %lld",
                     ProcessState_name(state), (long long)code);
    return killed ? state == PROCESS_STATE_TERMINATED : state == PROCESS_STATE_EXITED && code == 0;
}

static bool end(struct post *post, bool killed, char *why)
{
    if (killed) {
        (void)ProcessHandle_terminate(post->process);
    }
    bool ended = capos_op_wait(&post->wait, now_ns() + END_MS * MS);
    bool good = ended && judge(post, killed, why);
    if (!ended) {
        (void)str_copy(why, TEXT_BYTES, "a process does not end");
        (void)ProcessHandle_terminate(post->process);
        (void)capos_op_wait(&post->wait, CAPOS_FOREVER);
    }
    (void)capos_release_now(post->process);
    return good;
}

static bool restart(const char *service, char *why)
{
    enum SystemControl_RestartOutcome outcome = SYSTEM_CONTROL_RESTART_OUTCOME_FAILED;
    status_t status = SystemControl_restart(held("control"), service, &outcome);
    (void)fmt_format(why, TEXT_BYTES, "restart of %s: %s, outcome %u", service, status_name(status),
                     (unsigned)outcome);
    return status == ST_OK && outcome == SYSTEM_CONTROL_RESTART_OUTCOME_DONE;
}

static bool act(unsigned number, const struct attack *how, const char *service, char *why)
{
    static struct post posts[PROCESSES_MAX];
    bool good = true;
    unsigned started = 0;
    for (; started < how->processes && good; started++) {
        status_t status = launch(&posts[started], number);
        if (status != ST_OK) {
            (void)fmt_format(why, TEXT_BYTES, "a process cannot start: %s", status_name(status));
            good = false;
            break;
        }
    }
    if (good && how->killed) {
        sleep_ms(KILL_AFTER_MS);
        good = state_works(why); /* for others, too, in the midst of it */
    }
    if (good && how->restarted) {
        sleep_ms(RESTART_AFTER_MS);
        good = restart(service, why);
    }
    for (unsigned i = 0; i < started; i++) {
        char reason[TEXT_BYTES];
        if (!end(&posts[i], how->killed, reason) && good) {
            (void)str_copy(why, TEXT_BYTES, reason);
            good = false;
        }
    }
    return good && (!how->restarted || state_keep_service(service));
}

/* ---- the siege ---- */

static void report(const char *target, const char *name, bool good, const char *detail)
{
    passed += good;
    failed += !good;
    capos_log("@test siege %s.%s %s %s", target, name, good ? "pass" : "fail", detail);
}

static void try_attack(const struct target *target, const struct attack *attack, unsigned number)
{
    char why[TEXT_BYTES] = "";
    bool good = act(number, attack, target->service, why);
    good = state_same(good ? why : (char[TEXT_BYTES]){0}) && good;
    report(target->name, attack->name, good, good ? attack->sentence : why);
}

static void try_assault(const struct assault *assault, unsigned number)
{
    const struct attack how = {.processes = assault->processes, .killed = assault->killed};
    char why[TEXT_BYTES] = "";
    bool good = true;
    if (assault->here) {
        broken = false;
        assault->run();
        good = !broken;
        (void)str_copy(why, TEXT_BYTES, "a check is broken: see the log");
    } else {
        good = act(number, &how, NULL, why);
    }
    good = state_same(good ? why : (char[TEXT_BYTES]){0}) && good;
    report("assault", assault->name, good, good ? assault->sentence : why);
}

/* Does this attack make sense for this target? init is not started anew. */
static bool applies(const struct target *target, const struct attack *attack)
{
    return target->service != NULL || !attack->restarted;
}

static void announce(void)
{
    unsigned count = 0;
    for (const struct target *target = targets; target->name != NULL; target++) {
        for (const struct attack *attack = attacks; attack->name != NULL; attack++) {
            count += applies(target, attack);
        }
    }
    for (const struct assault *assault = assaults; assault->name != NULL; assault++) {
        count++;
    }
    capos_log("@plan siege %u", count);
}

/* One call of each kind first: what a service sets up at its first use is no leak. */
static bool warm_up(void)
{
    char why[TEXT_BYTES];
    capos_cap_t child = 0;
    bool good = state_wait_ready() && state_keep();
    (void)state_same(why);
    good = good && Counter_child(held("counter"), "warm", &child, NULL) == ST_OK;
    capos_release(child);
    sleep_ms(100);
    return good && state_keep();
}

static void besiege(void)
{
    unsigned number = 0;
    announce();
    if (!warm_up()) {
        report("warm", "up", false, "the services do not come, or do not say what they use");
    }
    for (const struct target *target = targets; target->name != NULL; target++) {
        for (const struct attack *attack = attacks; attack->name != NULL; attack++, number++) {
            if (applies(target, attack)) {
                try_attack(target, attack, number);
            }
        }
    }
    for (const struct assault *assault = assaults; assault->name != NULL; assault++, number++) {
        try_assault(assault, number);
    }
    capos_log("the siege is over: %u passed, %u failed", passed, failed);
}

static unsigned number_in(const char *text)
{
    unsigned n = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        n = n * 10 + (unsigned)(*text - '0');
    }
    return n;
}

static void obey(uint64_t deadline_ns)
{
    (void)deadline_ns;
    capos_stop();
}

static void ignore(uint64_t deadline_ns)
{
    (void)deadline_ns;
}

/* A service that is slow to become ready. Asked to end, it does, or does not, or never listened. */
static int be_slow(void)
{
    sleep_ms(400);
    if (capos_capset_find("stubborn") != NULL) {
        capos_on_stop(ignore);
    } else if (capos_capset_find("obedient") != NULL) {
        capos_on_stop(obey);
    }
    (void)capos_ready();
    capos_run();
    return 0;
}

int capos_main(void)
{
    const char *first = capos_capset()->count > 0 ? capos_capset()->entries[0].name : "";
    if (strncmp(first, "case-", 5) == 0) {
        run_numbered(number_in(first + 5));
    }
    if (strncmp(first, "stdio-", 6) == 0) {
        stdio_run(first + 6);
    }
    if (capos_capset_find("serve") != NULL) {
        return liar_run();
    }
    if (capos_capset_find("slow") != NULL) {
        return be_slow();
    }
    besieger = true;
    (void)capos_ready();
    besiege();
    return 0;
}
