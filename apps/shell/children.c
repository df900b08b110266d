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
#include "apps/shell/loop.h"
#include "apps/shell/nearest.h"
#include "apps/shell/stdio.h"
#include "apps/shell/term.h"
#include "bytestream.client.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "process.client.h"

enum { CHILDREN_MAX = STDIO_STREAMS, PROGRAM_BYTES = 48 };

struct child {
    bool used;
    bool ended;
    bool foreground;
    bool told; /* its end has been shown */
    bool has_stdio;
    uint64_t stdio;
    int64_t code;
    struct held *held;
    struct capos_op exit;
    char program[PROGRAM_BYTES];
};

static struct child children[CHILDREN_MAX];
static capos_cap_t launcher;
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

void children_init(capos_cap_t launcher_cap, capos_cap_t ledger, capos_cap_t terminal)
{
    launcher = launcher_cap;
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

static void say_fault(FaultRecord_r fault)
{
    term_printf("faulted: %s at address 0x%llx, instruction 0x%llx, stack 0x%llx, code 0x%llx",
                FaultRecord_Kind_name(FaultRecord_get_kind(fault)),
                (unsigned long long)FaultRecord_get_address(fault),
                (unsigned long long)FaultRecord_get_instruction(fault),
                (unsigned long long)FaultRecord_get_stack_pointer(fault),
                (unsigned long long)FaultRecord_get_code(fault));
}

static void say_end(const struct child *child)
{
    CAPOS_CALL(call, ProcessHandle, info);
    capos_call_begin(&call, child->held->cap);
    ProcessHandle_info_begin(&call);
    ProcessHandle_info_results_r info;
    if (ProcessHandle_info_call(&call) != ST_OK ||
        ProcessHandle_info_results(&call, &info) != ST_OK) {
        term_printf("ended with exit code %lld", (long long)child->code);
    } else if (ProcessHandle_info_results_get_state(info) == PROCESS_STATE_FAULTED) {
        say_fault(ProcessHandle_info_results_get_fault(info));
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
    say_end(child);
    term_printf("\n");
}

void children_tell_ends(void)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &children[i];
        if (child->used && child->ended && !child->told && !child->foreground) {
            tell_end(child);
        }
    }
    term_flush();
}

static void forget(struct child *child)
{
    if (!child->ended) {
        child->exit.done = NULL;
        capos_op_cancel(&child->exit);
    }
    child->used = false;
}

void children_forget(struct held *process)
{
    struct child *child = child_of(process);
    if (child != NULL) {
        forget(child);
    }
}

/* Gives up name, handle and place. */
static void drop(struct child *child)
{
    struct held *held = child->held;
    forget(child);
    capos_release(held->cap);
    names_remove(held);
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

static void fill_grant(Grant_b grant, const struct resolved_grant *from, uint16_t index)
{
    char origin[ORIGIN_BYTES];
    size_t len = fmt_format(origin, sizeof(origin), "shell: @%s", from->held->name);
    Grant_set_name(grant, from->line->name.ptr, from->line->name.len);
    Grant_set_origin(grant, origin, min_u64(len, sizeof(origin) - 1));
    Grant_set_interface(grant, from->held->interface);
    Grant_set_methods(grant, from->methods);
    Grant_set_transfer(grant, index);
}

static void fill_stdio(Grant_b grant, uint16_t index)
{
    static const char origin[] = "shell: stdio";
    Grant_set_name(grant, "stdio", 5);
    Grant_set_origin(grant, origin, sizeof(origin) - 1);
    Grant_set_interface(grant, ByteStream_ID);
    Grant_set_transfer(grant, index);
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

static void offer_programs(struct nearest *nearest, char *list, size_t size)
{
    static char names[1024];
    size_t used = 0;
    size_t at = 0;
    CAPOS_CALL_STATIC(call, Launcher, programs);
    capos_call_begin(&call, launcher);
    Launcher_programs_begin(&call);
    Launcher_programs_results_r results;
    list[0] = 0;
    if (Launcher_programs_call(&call) == ST_OK &&
        Launcher_programs_results(&call, &results) == ST_OK) {
        struct capnp_list found = Launcher_programs_results_get_names(results);
        for (uint32_t i = 0; i < capnp_list_len(found); i++) {
            struct capnp_text name = capnp_text_list_at(found, i);
            if (used + name.len > sizeof(names) || at >= size) {
                break;
            }
            memcpy(names + used, name.ptr, name.len);
            nearest_offer(nearest, (struct span){names + used, name.len});
            used += name.len;
            at += fmt_format(list + at, size - at, "%s%.*s", at > 0 ? ", " : "", (int)name.len,
                             name.ptr);
        }
    }
    capos_call_end(&call);
}

static void say_no_program(const struct command *command)
{
    char list[256];
    struct nearest nearest;
    nearest_begin(&nearest, command->program);
    offer_programs(&nearest, list, sizeof(list));
    if (nearest.best.len > 0) {
        term_error("no program '%.*s'; the nearest is '%.*s'", SPAN_ARGS(command->program),
                   SPAN_ARGS(nearest.best));
    } else {
        term_error("no program '%.*s'; @launcher can start: %s", SPAN_ARGS(command->program), list);
    }
}

CAPOS_CALL_STATIC(launch_call, Launcher, launch);

/* Builds and makes the call; the stream, if there is one, is the last transfer. */
static status_t launch(struct command *command, const struct resolved_grant *grants,
                       capos_cap_t stream)
{
    struct span name = command->as.len > 0 ? command->as : command->program;
    capos_call_begin(&launch_call, launcher);
    Launcher_launch_params_b params = Launcher_launch_begin(&launch_call);
    Launcher_launch_params_set_program(params, command->program.ptr, command->program.len);
    Launcher_launch_params_set_name(params, name.ptr, name.len);
    unsigned count = command->grant_count;
    Grant_list_b list = Launcher_launch_params_init_grants(params, count + (stream != 0 ? 1 : 0));
    for (unsigned i = 0; i < count; i++) {
        capos_cap_t cap = grants[i].held->cap;
        fill_grant(Grant_list_b_at(list, i), &grants[i],
                   grants[i].move ? capos_call_move(&launch_call, cap)
                                  : capos_call_copy(&launch_call, cap));
    }
    if (stream != 0) {
        fill_stdio(Grant_list_b_at(list, count), capos_call_move(&launch_call, stream));
    }
    return Launcher_launch_call(&launch_call);
}

static void say_refusal(const struct command *command, status_t status)
{
    char text[320];
    if (status == ST_NOT_FOUND) {
        say_no_program(command);
    } else {
        term_error("%.*s was not started: %s", SPAN_ARGS(command->program),
                   capos_explain(&launch_call, text, sizeof(text)));
    }
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

static bool adopt(struct child *child, struct command *command)
{
    const char *why;
    char origin[ORIGIN_BYTES];
    Launcher_launch_results_r results;
    capos_cap_t process = 0;
    if (Launcher_launch_results(&launch_call, &results) == ST_OK) {
        process = capos_call_take(&launch_call, Launcher_launch_results_get_process(results),
                                  ProcessHandle_ID);
    }
    capos_call_end(&launch_call);
    if (process == 0) {
        term_error("the launcher's answer holds no process");
        return false;
    }
    fmt_format(origin, sizeof(origin), "started here: %.*s", SPAN_ARGS(command->program));
    child->held =
        names_add(command->assign, "ProcessHandle", process, ProcessHandle_ID, origin, &why);
    if (child->held == NULL) {
        ProcessHandle_terminate(process);
        capos_release(process);
        term_error("%.*s was ended again: %s", SPAN_ARGS(command->program), why);
        return false;
    }
    capos_op_init_wait(&child->exit, process, CAPOS_EVENT_EXIT, 0);
    child->exit.done = exited;
    child->exit.cookie = child;
    capos_op_submit(&child->exit);
    return true;
}

static bool start(struct child *child, struct command *command, const struct resolved_grant *grants)
{
    capos_cap_t stream = 0;
    child->has_stdio = stdio_works && !names_stdio(command);
    if (child->has_stdio) {
        status_t status = stdio_open(child->foreground, &child->stdio, &stream);
        if (status != ST_OK) {
            term_error("no stdio for %s: %s: %s", child->program, status_name(status),
                       status_text(status));
            return false;
        }
    }
    status_t status = launch(command, grants, stream);
    if (status != ST_OK) {
        say_refusal(command, status);
        capos_call_end(&launch_call);
        capos_release(stream);
        close_stdio(child);
        return false;
    }
    after_moves(command, grants);
    if (!adopt(child, command)) {
        close_stdio(child);
        return false;
    }
    if (child->has_stdio) {
        stdio_set_label(child->stdio, child->held->name);
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
            term_error("%s does not end; it goes on as @%s", child->program, child->held->name);
            return;
        }
        stopped = true;
        ProcessHandle_terminate(child->held->cap);
    }
    child->told = true;
    if (stopped || child->code != 0) {
        term_printf("%s ", child->program);
        say_end(child);
        term_printf("\n");
    }
    drop(child);
}

void children_start(struct command *command)
{
    struct resolved_grant grants[PARSE_MAX_GRANTS];
    if (launcher == 0) {
        term_error("this shell holds no launcher: it can start nothing");
        return;
    }
    if (command->assign.len > 0 && names_find(command->assign) != NULL) {
        term_error("the name %.*s is taken; 'drop @%.*s' frees it", SPAN_ARGS(command->assign),
                   SPAN_ARGS(command->assign));
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
    child->foreground = command->verb == VERB_RUN;
    fmt_format(child->program, sizeof(child->program), "%.*s",
               SPAN_ARGS(command->as.len > 0 ? command->as : command->program));
    if (!start(child, command, grants)) {
        return;
    }
    child->used = true;
    if (child->foreground) {
        run_to_end(child);
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
    if (status != ST_OK) {
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
        say_end(child);
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
