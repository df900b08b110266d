/* SPDX-License-Identifier: MIT */
/*
 * Two samples make a table: what a process ran between them, of what one processor could, is its share. A
 * process is asked for by each handle it lies below and shown once.
 */
#include "apps/shell/top.h"

#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/term.h"
#include "lib/base/string.h"
#include "process.client.h"
#include "terminal.client.h"

enum { ROWS_MAX = 64, ROW_NAME_BYTES = 32, PAGE_KIB = 4, ONCE_MS = 200, LIVE_MS = 1000 };
#define NS_PER_MS UINT64_C(1000000)

struct row {
    uint64_t id;
    char name[ROW_NAME_BYTES];
    const char *state;
    uint64_t pages, slots, cycles, calls, refusals;
};

struct sample {
    uint64_t now_cycles;
    unsigned count;
    unsigned left_out;
    struct row rows[ROWS_MAX];
};

static struct sample samples[2];

static struct row *find(struct sample *sample, uint64_t id)
{
    for (unsigned i = 0; i < sample->count; i++) {
        if (sample->rows[i].id == id) {
            return &sample->rows[i];
        }
    }
    return NULL;
}

static void add(struct sample *sample, ProcessSummary_r summary)
{
    uint64_t id = ProcessSummary_get_process_id(summary);
    Counters_r counters = ProcessSummary_get_counters(summary);
    struct capnp_text name = ProcessSummary_get_name(summary);
    const char *state = ProcessState_name(ProcessSummary_get_state(summary));
    if (find(sample, id) != NULL) {
        return;
    }
    if (sample->count == ROWS_MAX) {
        sample->left_out++;
        return;
    }
    struct row *row = &sample->rows[sample->count++];
    *row = (struct row){
        .id = id,
        .state = state != NULL ? state : "?",
        .pages = ProcessSummary_get_frames(summary) + ProcessSummary_get_kernel_pages(summary),
        .slots = ProcessSummary_get_slots(summary),
        .cycles = Counters_get_cycles(counters),
        .calls = Counters_get_calls(counters),
        .refusals = Counters_get_refusals(counters),
    };
    fmt_format(row->name, sizeof(row->name), "%.*s", (int)name.len, name.ptr);
}

/* One answer; the cursor of the next, 0 when there is none. */
static uint64_t ask(struct sample *sample, capos_cap_t process, uint64_t after)
{
    CAPOS_CALL(call, ProcessHandle, below);
    ProcessHandle_below_results_r results;
    uint64_t next = 0;
    capos_call_begin(&call, process);
    ProcessHandle_below_params_set_after(ProcessHandle_below_begin(&call), after);
    if (ProcessHandle_below_call(&call) == ST_OK &&
        ProcessHandle_below_results(&call, &results) == ST_OK) {
        ProcessSummary_list_r list = ProcessHandle_below_results_get_processes(results);
        for (uint32_t i = 0; i < ProcessSummary_list_len(list); i++) {
            add(sample, ProcessSummary_list_at(list, i));
        }
        sample->now_cycles = ProcessHandle_below_results_get_now_cycles(results);
        next = ProcessHandle_below_results_get_next(results);
    }
    capos_call_end(&call);
    return next;
}

static void take(struct sample *sample)
{
    sample->count = sample->left_out = 0;
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        if (held->interface == ProcessHandle_ID) {
            uint64_t next = 0;
            do {
                next = ask(sample, held->cap, next);
            } while (next != 0);
        }
    }
}

static void show_row(const struct row *row, uint64_t permille)
{
    term_printf("  %7llu  %-20s %-10s %3llu.%llu %% %7llu KiB %6llu %8llu %8llu\n",
                (unsigned long long)row->id, row->name, row->state,
                (unsigned long long)permille / 10, (unsigned long long)permille % 10,
                (unsigned long long)row->pages * PAGE_KIB, (unsigned long long)row->slots,
                (unsigned long long)row->calls, (unsigned long long)row->refusals);
}

static void show(struct sample *before, const struct sample *after)
{
    uint64_t elapsed = after->now_cycles - before->now_cycles;
    term_styled(TERMINAL_SESSION_STYLE_HEADING, "  %7s  %-20s %-10s %7s %11s %6s %8s %8s\n",
                "PROCESS", "NAME", "STATE", "CPU", "MEMORY", "SLOTS", "CALLS", "REFUSED");
    for (unsigned i = 0; i < after->count; i++) {
        const struct row *was = find(before, after->rows[i].id);
        uint64_t ran = after->rows[i].cycles - (was != NULL ? was->cycles : 0);
        show_row(&after->rows[i], elapsed == 0 ? 0 : ran * 1000 / elapsed);
    }
    if (after->left_out != 0) {
        term_printf("  and %u more\n", after->left_out);
    }
    term_flush();
}

void top_show(struct span word)
{
    bool once = span_is(word, "once");
    if (word.len != 0 && !once) {
        term_error("expected 'top' or 'top once'");
        return;
    }
    unsigned at = 0;
    bool interrupted = false;
    take(&samples[at]);
    if (samples[at].count == 0) {
        term_error("you hold no process: 'spawn PROGRAM' starts one");
        return;
    }
    while (loop_sleep((once ? ONCE_MS : LIVE_MS) * NS_PER_MS, &interrupted) && !interrupted) {
        struct held *terminal = names_find((struct span){"terminal", 8});
        take(&samples[!at]);
        if (!once && terminal != NULL) {
            TerminalSession_clear(terminal->cap);
        }
        show(&samples[at], &samples[!at]);
        at = !at;
        if (once) {
            return;
        }
    }
}
