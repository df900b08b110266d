/* SPDX-License-Identifier: MIT */
#include "apps/shell/services.h"

#include "apps/shell/log_record.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/registry.h"
#include "apps/shell/term.h"
#include "apps/shell/value.h"
#include "kernel_log.client.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "time.client.h"

enum { PIECE_BYTES = 8000, LAST_DEFAULT = 40, NS_PER_US = 1000 };

/* Which records are wanted. */
struct wanted {
    struct span name; /* empty: of all */
    enum log_level level;
    uint64_t since_us;
    uint64_t skip; /* of those that fit, the first so many are not shown */
    bool shows;
    uint64_t fitting; /* found so far */
    uint64_t lost;
};

CAPOS_CALL_STATIC(read_call, KernelLog, read);

/* The capability that may read the log, whatever its name is. */
static const struct held *find_log(void)
{
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        if (held->interface == KernelLog_ID && (held->methods & LogReader_FACET) != 0) {
            return held;
        }
    }
    return NULL;
}

static void take_line(struct wanted *wanted, struct span line)
{
    static const enum TerminalSession_Style styles[] = {
        TERMINAL_SESSION_STYLE_PLAIN, TERMINAL_SESSION_STYLE_HEADING, TERMINAL_SESSION_STYLE_ERROR};
    struct log_record record;
    if (!log_record_read(line, &record) || record.level < wanted->level ||
        record.time_us < wanted->since_us ||
        (wanted->name.len > 0 && !log_record_is_about(&record, wanted->name))) {
        return;
    }
    if (wanted->shows && wanted->fitting >= wanted->skip) {
        term_styled(styles[record.level], "%.*s\n", (int)line.len, line.ptr);
    }
    wanted->fitting++;
}

static void take_lines(struct wanted *wanted, struct capnp_text text)
{
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        take_line(wanted, (struct span){at, (size_t)(stop - at)});
        at = newline != NULL ? newline + 1 : end;
    }
}

/* One piece of the log; true when there may be more. */
static bool read_piece(const struct held *log, uint64_t *sequence, struct wanted *wanted)
{
    char text[256];
    bool interrupted = false;
    bool more = false;
    capos_call_begin(&read_call, log->cap);
    KernelLog_read_params_b params = KernelLog_read_begin(&read_call);
    KernelLog_read_params_set_sequence(params, *sequence);
    KernelLog_read_params_set_max_bytes(params, PIECE_BYTES);
    capos_params_finish(&read_call);
    KernelLog_read_results_r results;
    if (loop_call(&read_call, &interrupted) == ST_OK &&
        KernelLog_read_results(&read_call, &results) == ST_OK) {
        take_lines(wanted, KernelLog_read_results_get_text(results));
        wanted->lost += KernelLog_read_results_get_lost(results);
        more = KernelLog_read_results_get_next(results) != *sequence &&
               KernelLog_read_results_get_text(results).len > 0;
        *sequence = KernelLog_read_results_get_next(results);
    } else if (!interrupted) {
        term_error("the log cannot be read: %s", capos_explain(&read_call, text, sizeof(text)));
    }
    capos_call_end(&read_call);
    return more;
}

static void read_all(const struct held *log, struct wanted *wanted)
{
    uint64_t sequence = 0;
    wanted->fitting = wanted->lost = 0;
    while (read_piece(log, &sequence, wanted)) {
    }
}

/* Twice: to count them, and to show the last of them. */
static bool show(struct wanted *wanted, uint64_t last)
{
    const struct held *log = find_log();
    if (log == NULL) {
        return false;
    }
    wanted->shows = false;
    read_all(log, wanted);
    wanted->skip = wanted->fitting > last ? wanted->fitting - last : 0;
    if (wanted->lost > 0) {
        term_styled(TERMINAL_SESSION_STYLE_QUIET, "(%llu older records have been dropped)\n",
                    (unsigned long long)wanted->lost);
    }
    if (wanted->skip > 0) {
        term_styled(TERMINAL_SESSION_STYLE_QUIET, "(%llu older ones; 'last' shows more)\n",
                    (unsigned long long)wanted->skip);
    }
    wanted->shows = true;
    read_all(log, wanted);
    return true;
}

bool logs_of_service(struct span name, unsigned count)
{
    struct wanted wanted = {.name = name};
    return show(&wanted, count);
}

/* since TIME: so long ago. */
static bool since(const struct node *node, uint64_t *us)
{
    uint64_t ns;
    uint64_t now_ns;
    struct held *timer = names_find((struct span){"timer", 5});
    if (!value_duration_ns(node, &ns)) {
        term_error("since: expected a time, as 30s or 5min, found %.*s", SPAN_ARGS(node->source));
        return false;
    }
    if (timer == NULL || timer->interface != Timer_ID || Timer_now(timer->cap, &now_ns) != ST_OK) {
        term_error("a clock is needed: a capability named 'timer'");
        return false;
    }
    *us = ns < now_ns ? (now_ns - ns) / NS_PER_US : 0;
    return true;
}

void logs_show(const struct command *command)
{
    struct wanted wanted = {.name = command->word};
    uint64_t last = LAST_DEFAULT;
    if (command->as.len > 0 && !log_level_named(command->as, &wanted.level)) {
        term_error("no level '%.*s'; there are info, warning and error", SPAN_ARGS(command->as));
        return;
    }
    if (command->lasts != NULL && !since(command->lasts, &wanted.since_us)) {
        return;
    }
    if (command->args != NULL) {
        if (command->args->kind != NODE_NUMBER || command->args->negative ||
            command->args->unit.len > 0) {
            term_error("last: expected how many records, found %.*s",
                       SPAN_ARGS(command->args->source));
            return;
        }
        last = command->args->magnitude;
    }
    if (!show(&wanted, last)) {
        term_error(
            "nothing here can read the log: a LogReader is needed, which the manifest grants");
    } else if (wanted.fitting == 0) {
        term_printf("no such records\n");
    }
}
