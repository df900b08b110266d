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
#include "apps/shell/help.h"
#include "apps/shell/complete.h"
#include "apps/shell/lend.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/parse.h"
#include "apps/shell/registry.h"
#include "apps/shell/script.h"
#include "apps/shell/services.h"
#include "apps/shell/statement.h"
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

static const char more_prompt[] = "  ...> ";

static char typed[SCRIPT_MAX_BYTES];

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
    services_tell_degraded();
}

/* Time stamp counter at the first prompt: what boot.prompt of the benchmarks reads. */
static void log_first_prompt(void)
{
    unsigned long long count = __builtin_ia32_rdtsc();
    capos_log("@bench boot.prompt %llu instr 1 %llu %llu", count, count, count);
}

/* Reads a line to the end of what there is of `typed`. False: the person leaves, or stops what was begun. */
static bool read_more(size_t *used, enum TerminalSession_LineOutcome *outcome)
{
    struct loop_line wanted = {.prompt = *used == 0 ? prompt : more_prompt,
                               .complete = complete_line,
                               .continues = *used != 0};
    size_t room = min_u64(sizeof(typed) - *used, PARSE_MAX_LINE);
    size_t len = 0;
    status_t status = loop_read_line(&wanted, outcome, typed + *used, room, &len);
    if (status != ST_OK) {
        capos_log("shell: the terminal does not read: %s", status_name(status));
        *outcome = TERMINAL_SESSION_LINE_OUTCOME_END;
    } else if (*outcome == TERMINAL_SESSION_LINE_OUTCOME_END) {
        term_printf(*used == 0 ? "exit\n" : "\n");
    }
    if (*outcome == TERMINAL_SESSION_LINE_OUTCOME_LINE) {
        commands_note_line(typed + *used, len);
        *used += len;
    }
    return *outcome == TERMINAL_SESSION_LINE_OUTCOME_LINE;
}

/* Only what begins with a word that takes a block is read on when a brace is open: of anything else an open
 * brace is a mistake that is told at once. */
static bool wants_more(size_t used)
{
    size_t start = 0;
    while (start < used && typed[start] == ' ') {
        start++;
    }
    for (const char *const *word = statement_words; *word != NULL; word++) {
        size_t len = strlen(*word);
        if (used - start > len && memcmp(typed + start, *word, len) == 0 &&
            (typed[start + len] == ' ' || typed[start + len] == '{')) {
            return statement_is_open(typed, used);
        }
    }
    return false;
}

/* False: the person leaves. */
static bool one_line(void)
{
    enum TerminalSession_LineOutcome outcome = TERMINAL_SESSION_LINE_OUTCOME_END;
    size_t used = 0;
    children_tell_ends();
    if (!read_more(&used, &outcome)) {
        return outcome != TERMINAL_SESSION_LINE_OUTCOME_END;
    }
    while (wants_more(used)) {
        if (sizeof(typed) - used < 2) {
            term_error("a text has at most %d KiB", (int)SCRIPT_MAX_BYTES / 1024);
            return true;
        }
        typed[used++] = '\n';
        if (!read_more(&used, &outcome)) {
            return true;
        }
    }
    return script_typed(typed, used, (unsigned)sizeof(prompt) - 1);
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
    help_init(capos_capset_try("pages", Manual_ID));
    children_init(capos_capset_try("launcher", Launcher_ID), capos_capset_try("ledger", Ledger_ID),
                  terminal);
    complete_init(capos_capset_try("launcher", Launcher_ID), capos_capset_try("pages", Manual_ID));
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
