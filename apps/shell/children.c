/* SPDX-License-Identifier: MIT */
/*
 * A child has a place in the table from its start until it is told of and dropped. Its EXIT is
 * waited for by an operation of its own, so its end is noticed whatever the shell does.
 *
 * States of a place: unused; running; ended (exit code known, stdio closed). The name in the table
 * of capabilities (names.h) lives as long as the place, or until the person drops it.
 */
#include "apps/shell/children.h"

#include "apps/shell/grants.h"
#include "apps/shell/launch.h"
#include "apps/shell/loop.h"
#include "apps/shell/stdio.h"
#include "apps/shell/term.h"
#include "capos/fault.h"
#include "capos/handle.h"
#include "lib/base/string.h"
#include "debugger.capnp.h"
#include "process.client.h"

enum { CHILDREN_MAX = STDIO_STREAMS, PROGRAM_BYTES = 48 };

struct child {
    bool used;
    bool ended;
    bool foreground;
    bool told;    /* its end has been shown */
    bool stopped; /* by Ctrl-C, and the prompt did not wait for its end: its name goes with it */
    bool has_stdio;
    uint64_t stdio;
    int64_t code;
    struct held *held;
    struct held *debugger; /* its name while it is held; NULL */
    struct capos_op exit;
    char program[PROGRAM_BYTES];
};

static struct child children[CHILDREN_MAX];
static bool stdio_works;

static struct child *child_of(const struct held *held)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        if (children[i].used && children[i].held == held) {
            return &children[i];
        }
    }
    return NULL;
}

bool children_owns(const struct held *process)
{
    return child_of(process) != NULL;
}

capos_cap_t children_debugger(const struct held *process)
{
    struct child *child = child_of(process);
    return child != NULL && child->debugger != NULL ? child->debugger->cap : 0;
}

void children_init(capos_cap_t launcher, capos_cap_t ledger, capos_cap_t terminal)
{
    launch_init(launcher);
    status_t status = ledger != 0 ? stdio_init(ledger, terminal) : ST_BAD_CAP;
    stdio_works = status == ST_OK;
    if (!stdio_works) {
        term_error("programs will have no stdio: %s: %s", status_name(status), status_text(status));
    }
}

/* ---- ends ---- */

static void close_stdio(struct child *child)
{
    if (child->has_stdio) {
        child->has_stdio = false;
        stdio_close(child->stdio);
    }
}

static void exited(struct capos_op *op)
{
    struct child *child = op->cookie;
    if (op->cqe.result < 0) {
        return; /* cancelled: the child was forgotten */
    }
    child->ended = true;
    child->code = (int64_t)op->cqe.signal;
    close_stdio(child);
}

static void say_fault(FaultRecord_r fault, bool registers)
{
    char text[CAPOS_FAULT_BYTES];
    capos_fault_text(fault, text, sizeof(text));
    term_printf("faulted: %s", text);
    struct capnp_list list = FaultRecord_get_registers(fault);
    for (uint32_t line = 0; registers && capos_registers_line(list, line, text, sizeof(text)) != 0;
         line++) {
        term_printf("\n  %s", text);
    }
}

static void say_end(const struct child *child, bool registers)
{
    CAPOS_CALL(call, ProcessHandle, info);
    capos_call_begin(&call, child->held->cap);
    ProcessHandle_info_begin(&call);
    ProcessHandle_info_results_r info;
    if (ProcessHandle_info_call(&call) != ST_OK ||
        ProcessHandle_info_results(&call, &info) != ST_OK) {
        term_printf("ended with exit code %lld", (long long)child->code);
    } else if (ProcessHandle_info_results_get_state(info) == PROCESS_STATE_FAULTED) {
        say_fault(ProcessHandle_info_results_get_fault(info), registers);
    } else if (ProcessHandle_info_results_get_state(info) == PROCESS_STATE_TERMINATED) {
        term_printf("was ended from outside");
    } else {
        term_printf("ended with exit code %lld", (long long)child->code);
    }
    capos_call_end(&call);
}

static void tell_end(struct child *child)
{
    child->told = true;
    term_printf("@%s (%s) ", child->held->name, child->program);
    say_end(child, true);
    term_printf("\n");
}

static void forget(struct child *child)
{
    if (!child->ended) {
        child->exit.done = NULL;
        capos_op_cancel(&child->exit);
    }
    child->used = false;
}

/* The name of a debugger is dropped: the child has none from now on. */
static void forget_debugger(const struct held *held)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        if (children[i].used && children[i].debugger == held) {
            children[i].debugger = NULL;
        }
    }
}

bool children_forget(struct held *process)
{
    struct child *child = child_of(process);
    forget_debugger(process);
    bool lives = child != NULL && !child->ended;
    if (child != NULL) {
        forget(child);
    }
    return lives;
}

/* Gives up name, handle and place. */
static void drop(struct child *child)
{
    struct held *held = child->held;
    struct held *debugger = child->debugger;
    forget(child);
    capos_release(held->cap);
    names_remove(held);
    if (debugger != NULL) {
        capos_release(debugger->cap);
        names_remove(debugger);
    }
}

void children_tell_ends(void)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &children[i];
        if (child->used && child->ended && !child->told && !child->foreground) {
            tell_end(child);
            if (child->stopped) {
                drop(child);
            }
        }
    }
    term_flush();
}

/* ---- starts ---- */

static struct child *new_child(void)
{
    struct child *oldest_ended = NULL;
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        if (!children[i].used) {
            return &children[i];
        }
        if (children[i].ended && children[i].told && oldest_ended == NULL) {
            oldest_ended = &children[i];
        }
    }
    if (oldest_ended != NULL) {
        drop(oldest_ended);
    }
    return oldest_ended;
}

static bool names_stdio(const struct command *command)
{
    for (unsigned i = 0; i < command->grant_count; i++) {
        if (span_is(command->grants[i].name, "stdio")) {
            return true;
        }
    }
    return false;
}

/* Forgets the names that were moved away. */
static void after_moves(const struct command *command, const struct resolved_grant *grants)
{
    for (unsigned i = 0; i < command->grant_count; i++) {
        if (grants[i].move) {
            children_forget(grants[i].held);
            names_remove(grants[i].held);
        }
    }
}

/* Named after the process. Without a name it goes back, and the child with it. */
static void adopt_debugger(struct child *child, capos_cap_t debugger)
{
    const char *why;
    char name[NAME_BYTES];
    size_t len = fmt_format(name, sizeof(name), "%s-debugger", child->held->name);
    child->debugger = names_add((struct span){name, len}, "ProcessDebugger", debugger,
                                ProcessDebugger_ID, child->held->origin, &why);
    if (child->debugger == NULL) {
        term_error("@%s has no debugger: %s", child->held->name, why);
        capos_release(debugger);
    }
}

static bool adopt(struct child *child, const struct command *command, capos_cap_t process)
{
    const char *why;
    char origin[ORIGIN_BYTES];
    fmt_format(origin, sizeof(origin), ORIGIN_STARTED "%.*s", SPAN_ARGS(command->program));
    child->held =
        names_add(command->assign, "ProcessHandle", process, ProcessHandle_ID, origin, &why);
    if (child->held == NULL) {
        ProcessHandle_terminate(process);
        capos_release(process);
        term_error("%.*s was ended again: %s", SPAN_ARGS(command->program), why);
        return false;
    }
    if (child->has_stdio) {
        stdio_set_label(child->stdio, child->held->name);
    }
    capos_op_init_wait(&child->exit, process, CAPOS_EVENT_EXIT, 0);
    child->exit.done = exited;
    child->exit.cookie = child;
    capos_op_submit(&child->exit);
    return true;
}

static bool open_stdio(struct child *child, const struct command *command, capos_cap_t *stream)
{
    *stream = 0;
    child->has_stdio = stdio_works && !names_stdio(command);
    if (!child->has_stdio) {
        return true;
    }
    status_t status = stdio_open(child->foreground, &child->stdio, stream);
    if (status == ST_BUSY) {
        term_error("%d programs started here have a stdio already; wait for one to end, or give "
                   "this one a stdio of another's",
                   (int)STDIO_STREAMS);
    } else if (status != ST_OK) {
        term_error("no stdio for %s: %s: %s", child->program, status_name(status),
                   status_text(status));
    }
    return status == ST_OK;
}

static bool start(struct child *child, const struct command *command,
                  const struct resolved_grant *grants)
{
    CAPOS_OWNED stream = capos_own(0);
    if (!open_stdio(child, command, &stream.cap)) {
        return false;
    }
    capos_cap_t debugger = 0;
    capos_cap_t process = launch_program(command, grants, stream.cap, &debugger);
    if (process == 0) {
        close_stdio(child);
        return false;
    }
    stream.cap = 0; /* the program has it */
    after_moves(command, grants);
    if (!adopt(child, command, process)) {
        capos_release(debugger);
        close_stdio(child);
        return false;
    }
    if (debugger != 0) {
        adopt_debugger(child, debugger);
    }
    return true;
}

static bool has_ended(void *context)
{
    return ((struct child *)context)->ended;
}

static void run_to_end(struct child *child)
{
    bool stopped = false;
    while (loop_until(has_ended, child) == LOOP_INTERRUPTED) {
        if (stopped) {
            child->foreground = false;
            child->stopped = true;
            children_hold_stdio(child->held, true);
            term_error("%s has not ended yet; it is @%s until it has", child->program,
                       child->held->name);
            return;
        }
        stopped = true;
        ProcessHandle_terminate(child->held->cap);
    }
    child->told = true;
    if (stopped || child->code != 0) {
        term_printf("%s ", child->program);
        say_end(child, true);
        term_printf("\n");
    }
    drop(child);
}

void children_start(struct command *command)
{
    struct resolved_grant grants[PARSE_MAX_GRANTS];
    if (command->assign.len > 0 && names_find(command->assign) != NULL) {
        term_error("the name %.*s is taken; 'drop @%.*s' frees it", SPAN_ARGS(command->assign),
                   SPAN_ARGS(command->assign));
        return;
    }
    if (command->as.len >= NAME_BYTES) {
        term_error("a name has at most %d bytes", NAME_BYTES - 1);
        return;
    }
    if (!grants_resolve(command, grants)) {
        return;
    }
    struct child *child = new_child();
    if (child == NULL) {
        term_error("%d programs run already; wait for one, or kill one", (int)CHILDREN_MAX);
        return;
    }
    memset(child, 0, sizeof(*child));
    child->foreground = command->verb != VERB_SPAWN;
    fmt_format(child->program, sizeof(child->program), "%.*s",
               SPAN_ARGS(command->as.len > 0 ? command->as : command->program));
    if (!start(child, command, grants)) {
        return;
    }
    child->used = true;
    if (command->verb == VERB_RUN) {
        run_to_end(child);
    } else if (command->verb == VERB_DEBUG) {
        term_printf("@%s is %s, stopped at its start; 'go @%s' lets it run\n", child->held->name,
                    child->program, child->held->name);
    } else {
        term_printf("@%s is %s\n", child->held->name, child->program);
    }
}

/* ---- commands on processes ---- */

void children_wait(struct held *process)
{
    struct child *child = child_of(process);
    if (child == NULL) {
        return;
    }
    bool told_before = child->told;
    child->told = true; /* here, not by the prompt */
    if (loop_until(has_ended, child) == LOOP_INTERRUPTED) {
        child->told = told_before;
        term_printf("@%s goes on\n", process->name);
        return;
    }
    tell_end(child);
    drop(child);
}

void children_hold_stdio(const struct held *process, bool hold)
{
    struct child *child = child_of(process);
    if (child != NULL && child->has_stdio) {
        stdio_hold(child->stdio, hold);
    }
}

void children_kill(struct held *process)
{
    struct child *child = child_of(process);
    if (process->interface != ProcessHandle_ID) {
        term_error("@%s is no process; 'ps' lists the processes started here", process->name);
        return;
    }
    if (child != NULL && child->ended) {
        tell_end(child);
        drop(child);
        return;
    }
    status_t status = ProcessHandle_terminate(process->cap);
    if (status == ST_BAD_STATE) {
        term_printf("@%s has ended already; 'drop @%s' forgets it\n", process->name, process->name);
    } else if (status != ST_OK) {
        term_error("ProcessHandle.terminate: %s: %s", status_name(status), status_text(status));
    } else if (child != NULL) {
        children_wait(process);
    } else {
        term_printf("@%s was told to end\n", process->name);
    }
}

static void list_one(const struct child *child)
{
    uint64_t pages = 0;
    uint64_t id = 0;
    const char *state = "?";
    CAPOS_CALL(call, ProcessHandle, info);
    capos_call_begin(&call, child->held->cap);
    ProcessHandle_info_begin(&call);
    ProcessHandle_info_results_r info;
    if (ProcessHandle_info_call(&call) == ST_OK &&
        ProcessHandle_info_results(&call, &info) == ST_OK) {
        Usage_list_r usage = ProcessHandle_info_results_get_ledger(info);
        state = ProcessState_name(ProcessHandle_info_results_get_state(info));
        id = ProcessHandle_info_results_get_process_id(info);
        for (uint32_t i = 0; i < Usage_list_len(usage); i++) {
            if (Usage_get_ledger_class(Usage_list_at(usage, i)) == LEDGER_CLASS_FRAMES) {
                pages = Usage_get_used(Usage_list_at(usage, i));
            }
        }
    }
    term_printf("  @%-13s %-16s %7llu  %-11s %6llu KiB", child->held->name, child->program,
                (unsigned long long)id, state, (unsigned long long)pages * 4);
    if (child->ended) {
        term_printf("  ");
        say_end(child, false);
    }
    term_printf("\n");
    capos_call_end(&call);
}

void children_list(void)
{
    bool any = false;
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        if (children[i].used) {
            if (!any) {
                term_styled(TERMINAL_SESSION_STYLE_HEADING, "  %-14s %-16s %7s  %-11s %10s\n",
                            "NAME", "PROGRAM", "PROCESS", "STATE", "MEMORY");
            }
            any = true;
            list_one(&children[i]);
        }
    }
    if (!any) {
        term_printf("no program that was started here runs; 'spawn sleeper' starts one\n");
    }
}
