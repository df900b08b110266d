/* SPDX-License-Identifier: MIT */
/*
 * The shell: a person's hands on capabilities. Every one it holds can be listed, asked what it is,
 * called, and given to a program; nothing else can be done from here, because the shell holds
 * nothing else.
 *
 * Holds: terminal (TerminalSession), and uses when granted: capabilities (CapabilityManager), ledger
 * (for the stdio endpoint), launcher, manual (SchemaRegistry), pages (Manual), memory, log,
 * supervisor, motd. Whatever else it is granted is simply there to be used by the person.
 */
#include "apps/shell/children.h"
#include "apps/shell/commands.h"
#include "apps/shell/lend.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/parse.h"
#include "apps/shell/registry.h"
#include "apps/shell/term.h"
#include "capabilities.client.h"
#include "capos/print.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "ledger.client.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "manual.client.h"
#include "memory.client.h"
#include "process.client.h"
#include "terminal.client.h"

static const char prompt[] = "capos> ";

static struct command command;
static char line[PARSE_MAX_LINE];

static void show_motd(void)
{
    static char text[2048];
    size_t len = 0;
    capos_cap_t motd = capos_capset_try("motd", MemoryObject_ID);
    if (motd != 0 && MemoryObject_read(motd, 0, sizeof(text), text, sizeof(text), &len) == ST_OK) {
        len = strnlen(text, len);
        term_printf("%.*s%s", (int)len, text, len > 0 && text[len - 1] != '\n' ? "\n" : "");
    }
}

static void show_banner(void)
{
    show_motd();
    term_styled(TERMINAL_SESSION_STYLE_QUIET,
                "'help' tells what can be done here, 'caps' what you hold.\n");
}

/* Under the line as it was typed, a mark where the mistake is. */
static void show_parse_error(const struct parse_error *error)
{
    unsigned column = (unsigned)sizeof(prompt) - 1;
    for (size_t i = 0; i < error->at; i++) {
        column += ((uint8_t)line[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    if (column < 72) {
        term_styled(TERMINAL_SESSION_STYLE_ERROR, "%*s^\n", (int)column, "");
    }
    term_error("%s", error->message);
}

/* Time stamp counter at the first prompt: what boot.prompt of the benchmarks reads. */
static void log_first_prompt(void)
{
    unsigned long long count = __builtin_ia32_rdtsc();
    capos_log("@bench boot.prompt %llu instr 1 %llu %llu", count, count, count);
}

/* False: the person leaves. */
static bool one_line(void)
{
    enum TerminalSession_LineOutcome outcome = TERMINAL_SESSION_LINE_OUTCOME_END;
    size_t len = 0;
    struct parse_error error;
    children_tell_ends();
    status_t status = loop_read_line(prompt, &outcome, line, sizeof(line), &len);
    if (status != ST_OK) {
        capos_log("shell: the terminal does not read: %s", status_name(status));
        return false;
    }
    if (outcome == TERMINAL_SESSION_LINE_OUTCOME_END) {
        term_printf("exit\n");
        return false;
    }
    if (outcome == TERMINAL_SESSION_LINE_OUTCOME_INTERRUPTED) {
        return true;
    }
    commands_note_line(line, len);
    if (!parse_line(line, len, &command, &error)) {
        show_parse_error(&error);
        return true;
    }
    return commands_run(&command);
}

static void mark_permanent(const char *name)
{
    struct held *held = names_find((struct span){name, strlen(name)});
    if (held != NULL) {
        held->permanent = true;
    }
}

int capos_main(void)
{
    static const char *const own[] = {"terminal",     "ledger",     "memory",
                                      "capabilities", "supervisor", "self"};
    capos_cap_t terminal = CAPOS_NEED("terminal", TerminalSession);
    term_init(terminal);
    loop_init(terminal);
    names_init(capos_capset_try("capabilities", CapabilityManager_ID));
    for (size_t i = 0; i < ARRAY_COUNT(own); i++) {
        mark_permanent(own[i]);
    }
    lend_init(capos_capset_try("capabilities", CapabilityManager_ID));
    registry_init(capos_capset_try("manual", SchemaRegistry_ID));
    commands_init(capos_capset_try("pages", Manual_ID));
    children_init(capos_capset_try("launcher", Launcher_ID), capos_capset_try("ledger", Ledger_ID),
                  terminal);
    loop_set_idle(children_tell_ends);
    capos_ready();
    show_banner();
    log_first_prompt();
    while (one_line()) {
        term_flush();
    }
    term_flush();
    return 0;
}
