/* SPDX-License-Identifier: MIT */
#include "apps/shell/commands.h"

#include "apps/shell/call.h"
#include "apps/shell/children.h"
#include "apps/shell/debug.h"
#include "apps/shell/help.h"
#include "apps/shell/lend.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/nearest.h"
#include "apps/shell/registry.h"
#include "apps/shell/services.h"
#include "apps/shell/term.h"
#include "apps/shell/top.h"
#include "apps/shell/trace.h"
#include "apps/shell/usage.h"
#include "apps/shell/variables.h"
#include "annotations.capnp.h"
#include "capos/ring.h"
#include "devices.client.h"
#include "endpoint.client.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "notification.client.h"
#include "process.client.h"

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

enum {
    HISTORY_LINES = 20,
    HISTORY_BYTES = 120,
};

static char history[HISTORY_LINES][HISTORY_BYTES];
static unsigned history_count;

/* ---- history ---- */

void commands_note_line(const char *line, size_t len)
{
    if (len > 0) {
        fmt_format(history[history_count % HISTORY_LINES], HISTORY_BYTES, "%.*s", (int)len, line);
        history_count++;
    }
}

static void show_history(void)
{
    unsigned first = history_count > HISTORY_LINES ? history_count - HISTORY_LINES : 0;
    for (unsigned i = first; i < history_count; i++) {
        term_printf("%5u  %s\n", i + 1, history[i % HISTORY_LINES]);
    }
}

/* ---- caps ---- */

static const char *mode_name(unsigned mode)
{
    static const char *const names[] = {"copy", "move", "none"};
    return mode < ARRAY_COUNT(names) ? names[mode] : "?";
}

static void facet_text(const struct held *held, char *buf, size_t size)
{
    unsigned count;
    unsigned all;
    const char *name = registry_facet_name(held->interface, held->methods);
    if (!registry_count_methods(held->interface, held->methods, &count, &all)) {
        str_copy(buf, size, "?");
    } else if (count == all) {
        str_copy(buf, size, "all");
    } else if (name != NULL) {
        str_copy(buf, size, name);
    } else {
        fmt_format(buf, size, "%u of %u methods", count, all);
    }
}

static void show_cap(const struct held *held)
{
    char facet[32];
    char id[24];
    const char *interface = registry_known_name(held->interface);
    if (interface == NULL) {
        fmt_format(id, sizeof(id), "0x%llx", (unsigned long long)held->interface);
        interface = id;
    }
    facet_text(held, facet, sizeof(facet));
    term_printf("  @%-13s %-18s %-15s %-8s %s%s\n", held->name, interface, facet,
                mode_name(held->transfer_mode), held->origin, held->live ? "" : "  (dead)");
}

/* Does the filter word occur in the name or in the interface's? */
static bool matches(const struct held *held, struct span word)
{
    const char *texts[] = {held->name, registry_known_name(held->interface)};
    for (size_t t = 0; t < ARRAY_COUNT(texts); t++) {
        size_t len = texts[t] != NULL ? strlen(texts[t]) : 0;
        for (size_t i = 0; i + word.len <= len; i++) {
            if (nearest_distance((struct span){texts[t] + i, word.len}, word) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void show_caps(struct span word)
{
    unsigned shown = 0;
    names_refresh();
    term_styled(TERMINAL_SESSION_STYLE_HEADING, "  %-14s %-18s %-15s %-8s %s\n", "NAME",
                "INTERFACE", "FACET", "TRANSFER", "FROM");
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        if (word.len == 0 || matches(held, word)) {
            show_cap(held);
            shown++;
        }
    }
    if (shown == 0) {
        term_printf("nothing you hold has '%.*s' in its name or interface; 'caps' lists all\n",
                    SPAN_ARGS(word));
    }
}

static void json_field(const char *name, const char *value, const char *behind)
{
    term_printf("\"%s\": ", name);
    kept_json_text(&term_sink, value, strlen(value));
    term_printf("%s", behind);
}

static void json_caps(struct span word)
{
    const char *comma = "";
    names_refresh();
    term_printf("[");
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        const char *interface = registry_known_name(held->interface);
        char facet[32];
        if (word.len > 0 && !matches(held, word)) {
            continue;
        }
        facet_text(held, facet, sizeof(facet));
        term_printf("%s{", comma);
        json_field("name", held->name, ", ");
        json_field("interface", interface != NULL ? interface : "?", ", ");
        json_field("facet", facet, ", ");
        json_field("transfer", mode_name(held->transfer_mode), ", ");
        json_field("from", held->origin, ", ");
        term_printf("\"live\": %s}", held->live ? "true" : "false");
        comma = ", ";
    }
    term_printf("]\n");
}

/* ---- wait, signal, kill, drop ---- */

/* The one number behind the capability's name; `fallback` when there is none. */
static bool bits_argument(const struct command *command, uint64_t fallback, uint64_t *bits)
{
    const struct node *node = command->args;
    *bits = fallback;
    if (node == NULL) {
        return true;
    }
    if (node->kind != NODE_NUMBER || node->negative || node->next != NULL || node->magnitude == 0) {
        term_error("expected one number with the bits wanted, as 1 or 0xff");
        return false;
    }
    *bits = node->magnitude;
    return true;
}

/* What has happened to what was waited for. */
static void tell_event(const struct held *held, int32_t events, uint64_t signal)
{
    unsigned long long value = signal;
    if (events & CAPOS_EVENT_DEAD) {
        term_printf("@%s is dead\n", held->name);
    } else if (events & CAPOS_EVENT_SIGNALLED) {
        term_printf("bits 0x%llx\n", value);
    } else if (events & CAPOS_EVENT_NO_CLIENTS) {
        term_printf("nobody holds the object with key 0x%llx of @%s any more\n", value, held->name);
    } else if (events & CAPOS_EVENT_SESSION_CLOSED) {
        term_printf("a session that held an object of @%s has closed\n", held->name);
    } else {
        term_printf("ended with exit code %lld\n", (long long)signal);
    }
}

static void wait_for_event(const struct held *held, uint16_t events, uint64_t bits)
{
    struct capos_op op;
    bool interrupted = false;
    capos_op_init_wait(&op, held->cap, events, bits);
    int32_t result = loop_op(&op, &interrupted);
    if (interrupted) {
        term_printf("no longer waiting for @%s\n", held->name);
    } else if ((events & CAPOS_EVENT_DEAD) != 0 && result == ST_DISCONNECTED) {
        tell_event(held, CAPOS_EVENT_DEAD, 0); /* it was before */
    } else if (result < 0) {
        term_error("waiting for @%s: %s: %s", held->name, status_name(result), status_text(result));
    } else {
        tell_event(held, result, op.cqe.signal);
    }
}

static bool serves(const struct held *held)
{
    return held->interface == Endpoint_ID && (held->methods >> Endpoint_receive_ORDINAL & 1) != 0;
}

static void wait_for_end(const struct held *held)
{
    uint16_t events = CAPOS_EVENT_DEAD;
    if (serves(held)) {
        events |= CAPOS_EVENT_NO_CLIENTS | CAPOS_EVENT_SESSION_CLOSED;
    }
    term_printf("waiting for the end of @%s%s; Ctrl-C stops waiting\n", held->name,
                serves(held) ? ", or of its clients" : "");
    wait_for_event(held, events, 0);
}

static void wait_command(struct command *command)
{
    uint64_t bits;
    struct held *held = names_need(command->cap);
    if (held == NULL || !bits_argument(command, UINT64_MAX, &bits)) {
        return;
    }
    bool signalled = held->interface == Notification_ID || held->interface == Interrupt_ID;
    if (!signalled && command->args != NULL) {
        term_error("only a Notification or an Interrupt is waited for with bits");
    } else if (signalled) {
        wait_for_event(held, CAPOS_EVENT_SIGNALLED, bits);
    } else if (held->interface == ProcessHandle_ID && children_owns(held)) {
        children_wait(held);
    } else if (held->interface == ProcessHandle_ID) {
        wait_for_event(held, CAPOS_EVENT_EXIT, 0);
    } else {
        wait_for_end(held);
    }
}

static void signal_command(struct command *command)
{
    uint64_t bits;
    struct held *held = names_need(command->cap);
    if (held == NULL || !bits_argument(command, 1, &bits)) {
        return;
    }
    if (held->interface != Notification_ID) {
        const char *name = registry_known_name(held->interface);
        term_error("@%s is of interface %s; only a Notification can be signalled", held->name,
                   name != NULL ? name : "(unknown)");
        return;
    }
    status_t status = capos_signal(held->cap, bits);
    if (status != ST_OK) {
        term_error("Notification.signal: %s: %s", status_name(status), status_text(status));
    } else {
        term_printf("done\n");
    }
}

static void drop_command(struct command *command)
{
    struct held *held = names_need(command->cap);
    if (held == NULL) {
        return;
    }
    if (held->permanent) {
        term_error("@%s stays: the shell itself lives on it", held->name);
        return;
    }
    if (children_forget(held)) {
        term_printf("the program behind @%s goes on; nothing here can end it any more\n",
                    held->name);
    }
    lend_forget(held);
    status_t status = capos_release_now(held->cap);
    names_remove(held);
    if (status != ST_OK && status != ST_BAD_CAP) {
        term_error("RELEASE: %s: %s", status_name(status), status_text(status));
    }
}

static void kill_command(struct command *command)
{
    struct held *held = names_need(command->cap);
    if (held != NULL) {
        children_kill(held);
    }
}

static bool takes_no_value(const struct command *command)
{
    if (command->args != NULL) {
        term_error("nothing more is expected behind @%.*s", SPAN_ARGS(command->cap));
        return false;
    }
    return true;
}

static void revoke_command(struct command *command)
{
    struct held *held = names_need(command->cap);
    if (held != NULL) {
        lend_revoke(held);
    }
}

static void why_command(struct command *command)
{
    struct held *held = names_need(command->cap);
    if (held != NULL) {
        names_refresh();
        lend_why(held);
    }
}

static void go_command(struct command *command)
{
    struct held *held = names_need(command->cap);
    if (held != NULL) {
        debug_go(held, command->verb == VERB_STEP);
    }
}

static void dump_command(struct command *command)
{
    struct held *held = names_need(command->cap);
    if (held != NULL) {
        debug_dump(held, command->args);
    }
}

static void debug_command(struct command *command)
{
    struct held *held = command->cap.len != 0 ? names_need(command->cap) : NULL;
    if (command->cap.len == 0) {
        children_start(command);
    } else if (held != NULL) {
        debug_show(held);
    }
}

static void on_capability(struct command *command)
{
    if (command->verb == VERB_WAIT) {
        wait_command(command);
    } else if (command->verb == VERB_SIGNAL) {
        signal_command(command);
    } else if (command->verb == VERB_DUMP) {
        dump_command(command);
    } else if (!takes_no_value(command)) {
        return;
    } else if (command->verb == VERB_KILL) {
        kill_command(command);
    } else if (command->verb == VERB_REVOKE) {
        revoke_command(command);
    } else if (command->verb == VERB_WHY) {
        why_command(command);
    } else if (command->verb == VERB_GO || command->verb == VERB_STEP) {
        go_command(command);
    } else {
        drop_command(command);
    }
}

void commands_clear_screen(void)
{
    struct held *held = names_find((struct span){"terminal", 8});
    term_flush();
    if (held != NULL) {
        TerminalSession_clear(held->cap);
    }
}

static void show_value(const struct command *command)
{
    if (command->json) {
        kept_json(&term_sink, command->args);
    } else {
        kept_print(&term_sink, command->args);
    }
    term_printf("\n");
}

bool commands_resolve(struct command *command)
{
    struct variables_error error;
    if (variables_resolve(command, &error)) {
        return true;
    }
    term_error("%s", error.message);
    return false;
}

bool commands_run(struct command *command)
{
    if (!commands_resolve(command)) {
        return true;
    }
    switch (command->verb) {
    case VERB_NONE:
        break;
    case VERB_VALUE:
        show_value(command);
        break;
    case VERB_CAPS:
        if (command->json) {
            json_caps(command->word);
        } else {
            show_caps(command->word);
        }
        break;
    case VERB_HELP:
    case VERB_SHOW:
        help_show(command);
        break;
    case VERB_CALL:
        call_method(command);
        break;
    case VERB_RUN:
    case VERB_SPAWN:
        children_start(command);
        break;
    case VERB_WAIT:
    case VERB_SIGNAL:
    case VERB_KILL:
    case VERB_DROP:
    case VERB_REVOKE:
    case VERB_WHY:
    case VERB_GO:
    case VERB_STEP:
    case VERB_DUMP:
        on_capability(command);
        break;
    case VERB_DEBUG:
        debug_command(command);
        break;
    case VERB_DERIVE:
        lend_derive(command);
        break;
    case VERB_PS:
        children_list();
        break;
    case VERB_USAGE:
        usage_show(command->cap);
        break;
    case VERB_TOP:
        top_show(command->word);
        break;
    case VERB_TRACE:
        trace_process(command);
        break;
    case VERB_SERVICES:
        services_show(command->word);
        break;
    case VERB_LOGS:
        logs_show(command);
        break;
    case VERB_HISTORY:
        show_history();
        break;
    case VERB_CLEAR:
        commands_clear_screen();
        break;
    case VERB_EXIT:
        return false;
    }
    return true;
}
