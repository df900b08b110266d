/* SPDX-License-Identifier: MIT */
#include "apps/shell/help.h"

#include "apps/shell/describe.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/nearest.h"
#include "apps/shell/registry.h"
#include "apps/shell/term.h"
#include "lib/base/string.h"
#include "manual.client.h"

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

enum {
    PAGE_NAME_BYTES = 48,
    COMMAND_COLUMNS = 33, /* of the general help: left of what it says about them */
    LINE_COLUMNS = 100,
};

static capos_cap_t pages;

void help_init(capos_cap_t pages_cap)
{
    pages = pages_cap;
}

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

void help_show(const struct command *command)
{
    if (command->cap.len > 0) {
        show_help_of_cap(command);
    } else if (command->word.len > 0) {
        show_page(command->word);
    } else {
        show_general_help();
    }
}
