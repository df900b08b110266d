/* SPDX-License-Identifier: MIT */
#include "apps/shell/commands.h"

#include "apps/shell/call.h"
#include "apps/shell/children.h"
#include "apps/shell/debug.h"
#include "apps/shell/describe.h"
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
#include "manual.client.h"
#include "notification.client.h"
#include "process.client.h"

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

enum {
    HISTORY_LINES = 20,
    HISTORY_BYTES = 120,
    PAGE_NAME_BYTES = 48,
    COMMAND_COLUMNS = 33, /* of the general help: left of what it says about them */
    LINE_COLUMNS = 100,
};

static capos_cap_t pages;
static char history[HISTORY_LINES][HISTORY_BYTES];
static unsigned history_count;

void commands_init(capos_cap_t pages_cap)
{
    pages = pages_cap;
}

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

/* ---- help ---- */

static const char general_help[] =
    "  caps [WORD]                    what you hold: name, interface, facet, transfer, from where\n"
    "  help @CAP                      what a capability is and can do\n"
    "  help @CAP.METHOD               one method: parameters, results, limits, refusals\n"
    "  @CAP.METHOD(NAME=VALUE, ...)   call it; also: call @CAP.METHOD NAME=VALUE ...\n"
    "  NAME = @CAP.METHOD(...)        and name the capability that comes back\n"
    "  @CAP.METHOD(...).METHOD(...)   call what the first call gives, all in one go\n"
    "  time @CAP.METHOD(...)          what a call took: entries, cycles, and its bill\n"
    "  run PROGRAM with { NAME: @CAP, NAME: @CAP as FACET, move NAME: @CAP }\n"
    "                                 start a program with exactly these, and wait for its end\n"
    "  spawn PROGRAM with { ... }     the same, in the background\n"
    "  run PROGRAM recordable with { ... }\n"
    "                                 and let 'trace' show what it says, too; also with spawn\n"
    "  ps, wait @PROCESS, kill @PROCESS\n"
    "  debug PROGRAM with { ... }     start it, stopped before its first instruction, to look into "
    "it\n"
    "  debug @PROCESS                 where it stands: threads, registers, the way it came\n"
    "  go @PROCESS, step @PROCESS     on until it stops or ends (Ctrl-C stops it); one "
    "instruction\n"
    "  dump @PROCESS ADDRESS [BYTES]  what is in its memory\n"
    "  wait @NOTIFICATION [BITS], signal @NOTIFICATION BITS\n"
    "  wait @CAP                      for the end of anything; of an endpoint, for lost clients, "
    "too\n"
    "  usage [@CAP]                   what a ledger, or a process, uses, of how much\n"
    "  services [NAME]                the system's services, or one with its last records\n"
    "  logs [NAME] [level warning] [since 5min] [last 20]\n"
    "                                 what was logged, by whom or about whom\n"
    "  top, top once                  what the programs started here do; Ctrl-C ends it\n"
    "  trace @CAP.METHOD(...)         a call, and what the kernel recorded of it\n"
    "  trace @PROCESS [for TIME]      what a process does for a while; raw: for "
    "tools/trace-decode\n"
    "  drop @CAP                      give a capability up\n"
    "  derive @CAP as NAME [METHOD ...] [for TIME]\n"
    "                                 a copy that can be taken back, by 'revoke @NAME' or in time\n"
    "  revoke @NAME, why @CAP         take back what was derived; how you came to hold it\n"
    "  $NAME = VALUE, $NAME.FIELD     keep a value or an answer; $last is the last answer\n"
    "  json @CAP.METHOD(...), json $NAME, json caps\n"
    "                                 the same as JSON\n"
    "  watch [TIME] COMMAND           again and again, on an empty screen\n"
    "  if, for, while, try, print, ask, script, do\n"
    "                                 'help scripts' tells about them\n"
    "  history, clear, exit           Tab completes, Ctrl-R searches back, Ctrl-C ends the "
    "program\n"
    "                                 in front, Ctrl-D leaves\n"
    "Values: 12 -3 0xff 5s 64KiB true \"text\" 0x0011aa (data) name (enumerant) [a, b] {x: 1} "
    "@cap\n";

static void show_topics(void)
{
    bool interrupted = false;
    CAPOS_CALL_STATIC(call, Manual, topics);
    capos_call_begin(&call, pages);
    Manual_topics_begin(&call);
    capos_params_finish(&call);
    Manual_topics_results_r results;
    if (loop_call(&call, &interrupted) == ST_OK &&
        Manual_topics_results(&call, &results) == ST_OK) {
        Topic_list_r list = Manual_topics_results_get_topics(results);
        if (Topic_list_len(list) > 0) {
            term_styled(TERMINAL_SESSION_STYLE_HEADING, "Pages, by 'help NAME'\n");
        }
        for (uint32_t i = 0; i < Topic_list_len(list); i++) {
            struct capnp_text name = Topic_get_name(Topic_list_at(list, i));
            struct capnp_text summary = Topic_get_summary(Topic_list_at(list, i));
            term_printf("  %-14.*s %.*s\n", TEXT_ARGS(name), TEXT_ARGS(summary));
        }
    }
    capos_call_end(&call);
}

static void show_general_help(void)
{
    term_styled(TERMINAL_SESSION_STYLE_HEADING, "Commands\n");
    term_printf("%s", general_help);
    if (pages != 0) {
        show_topics();
    }
}

CAPOS_CALL_STATIC(page_call, Manual, page);

/* Shows a piece of a page from *offset on and moves *offset behind it. False: that was all. */
static bool show_page_piece(struct span name, uint32_t *offset, bool *found)
{
    char text[256];
    bool interrupted = false;
    bool more = false;
    capos_call_begin(&page_call, pages);
    Manual_page_params_b params = Manual_page_begin(&page_call);
    Manual_page_params_set_name(params, name.ptr, name.len);
    Manual_page_params_set_offset_bytes(params, *offset);
    Manual_page_results_r results;
    status_t status = capos_params_finish(&page_call);
    if (status == ST_OK) {
        status = loop_call(&page_call, &interrupted);
    }
    if (status == ST_OK && Manual_page_results(&page_call, &results) == ST_OK) {
        struct capnp_text piece = Manual_page_results_get_text(results);
        *found = Manual_page_results_get_found(results);
        term_printf("%.*s", TEXT_ARGS(piece));
        *offset += piece.len;
        more = piece.len > 0 && *offset < Manual_page_results_get_total_bytes(results);
    } else if (!interrupted) {
        *found = true;
        term_error("the page cannot be read: %s", capos_explain(&page_call, text, sizeof(text)));
    }
    capos_call_end(&page_call);
    return more;
}

/* Does the word stand in the first so many columns of a line that begins something? */
static bool tells_command(const char *line, unsigned columns, struct span word)
{
    bool found = false;
    for (unsigned at = 2; at < columns && line[at] != '\n' && !found; at++) {
        found = line[at - 1] == ' ' && strncmp(line + at, word.ptr, word.len) == 0 &&
                strchr(" ,\n", line[at + word.len]) != NULL;
    }
    return found && line[2] != ' ';
}

/* The lines of the general help that are about a command, each with what continues it. */
static bool show_command_help(unsigned columns, struct span word)
{
    bool shows = false;
    bool any = false;
    for (const char *line = general_help; *line != '\0';) {
        const char *next = strchr(line, '\n') + 1;
        shows = line[2] == ' ' ? shows : tells_command(line, columns, word);
        any = any || shows;
        if (shows) {
            term_printf("%.*s", (int)(next - line), line);
        }
        line = next;
    }
    return any;
}

static bool is_command(struct span word)
{
    for (const char *const *verb = parse_verbs; *verb != NULL; verb++) {
        if (span_is(word, *verb)) {
            return true;
        }
    }
    return false;
}

/* The page, the capability or the command that is meant: the last two can be told from here. */
static void say_no_page(struct span name)
{
    struct nearest nearest;
    nearest_begin(&nearest, name);
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        nearest_offer(&nearest, (struct span){held->name, strlen(held->name)});
    }
    struct span capability = nearest.best;
    for (const char *const *verb = parse_verbs; *verb != NULL; verb++) {
        nearest_offer(&nearest, (struct span){*verb, strlen(*verb)});
    }
    if (nearest.best.len == 0) {
        term_error("no page is named '%.*s'; 'help' lists the pages there are", SPAN_ARGS(name));
    } else {
        term_error("no page is named '%.*s'; the nearest is 'help %s%.*s'", SPAN_ARGS(name),
                   nearest.best.ptr == capability.ptr ? "@" : "", SPAN_ARGS(nearest.best));
    }
}

static void show_page(struct span name)
{
    uint32_t offset = 0;
    bool found = false;
    if (is_command(name)) {
        (void)(show_command_help(COMMAND_COLUMNS, name) || show_command_help(LINE_COLUMNS, name));
        return;
    }
    if (name.len >= PAGE_NAME_BYTES) {
        term_error("no page has a name as long as '%.*s'", SPAN_ARGS(name));
        return;
    }
    if (names_find(name) != NULL) {
        term_printf("'help @%.*s' tells about the capability of that name\n", SPAN_ARGS(name));
    }
    while (pages != 0 && show_page_piece(name, &offset, &found)) {
    }
    if (!found && names_find(name) == NULL) {
        say_no_page(name);
    }
}

static void show_help_of_cap(const struct command *command)
{
    DescribedMethod_r method;
    struct held *held = names_need(command->cap);
    const struct described *described = held != NULL ? registry_get(held->interface) : NULL;
    if (described == NULL) {
        return;
    }
    names_refresh();
    if (command->method.len == 0) {
        describe_interface(&term_sink, described->descriptor, held->methods, held->name,
                           described->package);
        registry_tell_edition(held->interface);
        return;
    }
    if (!describe_find_method(described->descriptor, command->method, &method)) {
        struct capnp_text name = Descriptor_get_name(described->descriptor);
        term_error("%.*s has no method '%.*s'; 'help @%s' lists them", TEXT_ARGS(name),
                   SPAN_ARGS(command->method), held->name);
        return;
    }
    uint16_t ordinal = DescribedMethod_get_ordinal(method);
    if (ordinal > 63 || (held->methods >> ordinal & 1) == 0) {
        term_error("@%s is held without '%.*s': it could not be called", held->name,
                   SPAN_ARGS(command->method));
        return;
    }
    describe_method(&term_sink, described->descriptor, method, held->name, described->package);
}

static void help(const struct command *command)
{
    if (command->cap.len > 0) {
        show_help_of_cap(command);
    } else if (command->word.len > 0) {
        show_page(command->word);
    } else {
        show_general_help();
    }
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
        help(command);
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
