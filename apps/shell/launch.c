/* SPDX-License-Identifier: MIT */
#include "apps/shell/launch.h"

#include "apps/shell/nearest.h"
#include "apps/shell/term.h"
#include "bytestream.client.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "debugger.capnp.h"
#include "process.client.h"

static capos_cap_t launcher;

void launch_init(capos_cap_t launcher_cap)
{
    launcher = launcher_cap;
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
static status_t launch(const struct command *command, const struct resolved_grant *grants,
                       capos_cap_t stream)
{
    struct span name = command->as.len > 0 ? command->as : command->program;
    capos_call_begin(&launch_call, launcher);
    Launcher_launch_params_b params = Launcher_launch_begin(&launch_call);
    Launcher_launch_params_set_program(params, command->program.ptr, command->program.len);
    Launcher_launch_params_set_name(params, name.ptr, name.len);
    Launcher_launch_params_set_watch(params,
                                     command->verb == VERB_DEBUG ? WATCH_DEBUG : WATCH_NONE);
    Launcher_launch_params_set_recordable(params, command->recordable);
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

capos_cap_t launch_program(const struct command *command, const struct resolved_grant *grants,
                           capos_cap_t stream, capos_cap_t *debugger)
{
    Launcher_launch_results_r results;
    capos_cap_t process = 0;
    if (launcher == 0) {
        term_error("this shell holds no launcher: it can start nothing");
        return 0;
    }
    status_t status = launch(command, grants, stream);
    if (status != ST_OK) {
        say_refusal(command, status);
    } else if (Launcher_launch_results(&launch_call, &results) == ST_OK) {
        process = capos_call_take(&launch_call, Launcher_launch_results_get_process(results),
                                  ProcessHandle_ID);
        if (command->verb == VERB_DEBUG) {
            *debugger = capos_call_take(&launch_call, Launcher_launch_results_get_debugger(results),
                                        ProcessDebugger_ID);
        }
    }
    if (status == ST_OK && process == 0) {
        term_error("the launcher's answer holds no process");
    }
    capos_call_end(&launch_call);
    return process;
}
