/* SPDX-License-Identifier: MIT */
/*
 * The benchmark: guest instructions per operation, user side included, under an instruction-counting emulator whose time
 * stamp counter counts instructions. Method: shared with the peers' figures (docs/reference/bench.md): a warm-up of a
 * tenth, ten batches, median, least and most. The payload `data/bench` names the rows
 * that are wanted (make bench T=prefix).
 */
#include "tests/bench/bench/bench.h"

#include "memory.capnp.h"

struct raw_ring ring;
struct bench_caps caps;

void bench_sort(uint64_t *values, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        for (unsigned j = i; j > 0 && values[j - 1] > values[j]; j--) {
            uint64_t t = values[j];
            values[j] = values[j - 1];
            values[j - 1] = t;
        }
    }
}

/* Tenths of an instruction per operation. */
void bench_report(const char *name, uint64_t values[BATCHES])
{
    char line[200];
    bench_sort(values, BATCHES);
    uint64_t median = (values[BATCHES / 2 - 1] + values[BATCHES / 2]) / 2;
    fmt_format(line, sizeof(line), "@bench %s %llu.%llu instr %d %llu.%llu %llu.%llu", name,
               (unsigned long long)(median / 10), (unsigned long long)(median % 10), BATCHES,
               (unsigned long long)(values[0] / 10), (unsigned long long)(values[0] % 10),
               (unsigned long long)(values[BATCHES - 1] / 10),
               (unsigned long long)(values[BATCHES - 1] % 10));
    raw_log(&ring, caps.log, line);
}

void bench_measure(const char *name, bench_fn run, uint32_t n)
{
    uint64_t values[BATCHES];
    run(n / WARM_UP_SHARE);
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        uint64_t start = raw_cycles();
        run(n);
        values[batch] = (raw_cycles() - start) * 10 / n;
    }
    bench_report(name, values);
}

static const struct grant {
    const char *name;
    capos_cap_t *cap;
} grants[] = {
    {"log", &caps.log},           {"timer", &caps.timer},
    {"spare", &caps.spare},       {"echo", &caps.echo},
    {"carrier", &caps.carrier},   {"opener", &caps.opener},
    {"counted", &caps.counted},   {"silent", &caps.silent},
    {"launcher", &caps.launcher}, {"capabilities", &caps.capabilities},
    {"ledger", &caps.ledger},     {"threads", &caps.threads},
    {"memory", &caps.memory},     {"scheduling", &caps.scheduling},
    {"control", &caps.control},
};

/* In this order; `rows` are the prefixes of what a group prints. */
enum { ROWS = 2 };
static const struct group {
    const char *rows[ROWS];
    void (*run)(void);
} groups[] = {
    {{"ring.nop", "call.kernel"}, bench_ring},
    {{"ipc.roundtrip"}, bench_ipc},
    {{"ipc.pipeline", "ipc.service"}, bench_pipeline},
    {{"call.cancel"}, bench_cancel},
    {{"page.lifecycle"}, bench_page},
    {{"notify.pingpong"}, bench_notify},
    {{"park.pingpong"}, bench_park},
    {{"thread.lifecycle"}, bench_thread},
    {{"process.lifecycle"}, bench_process},
    {{"fault.deliver"}, bench_fault},
    {{"sched."}, bench_sched},
    {{"revoke.latency"}, bench_revoke},
    {{"revoke.slot"}, bench_revoke_slots},
};

enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

/* The prefix of the rows that are wanted: the payload `data/bench` up to its end of line. Nothing: all. */
static char wanted[64];

static void read_wanted(void)
{
    uint64_t words[3] = {UINT64_C(2) << 32, 0, sizeof(wanted) - 1};
    uint64_t result[16];
    int32_t bytes = call_with(raw_cap("rows"), MemoryObject_ID, MemoryObject_read_ORDINAL, words,
                              sizeof(words), 0, result);
    raw_require(bytes >= 16, 23);
    const char *text = (const char *)&result[2];
    for (unsigned i = 0; 16 + i < (unsigned)bytes && text[i] != '\n'; i++) {
        wanted[i] = text[i];
    }
}

/* One begins with the other. */
static bool agree(const char *row, const char *prefix)
{
    while (*row != '\0' && *row == *prefix) {
        row++, prefix++;
    }
    return *row == '\0' || *prefix == '\0';
}

static const struct group growth[] = {
    {{"growth.grants", "growth.revoke"}, growth_grants},
    {{"growth.slots"}, growth_slots},
    {{"growth.timers"}, growth_timers},
    {{"growth.processes"}, growth_processes},
    {{"growth.threads"}, growth_threads},
    {{"growth.clients"}, growth_clients},
};

static bool is_wanted(const struct group *group)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (group->rows[i] != NULL && agree(group->rows[i], wanted)) {
            return true;
        }
    }
    return false;
}

static void run_groups(const struct group *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_wanted(&table[i])) {
            table[i].run();
        }
    }
}

int capos_main(void)
{
    raw_open(&ring);
    for (unsigned i = 0; i < sizeof(grants) / sizeof(grants[0]); i++) {
        const struct capos_capset_entry *entry = capos_capset_find(grants[i].name);
        *grants[i].cap =
            entry == NULL ? 0 : entry->cap; /* what a row lacks, its first call tells */
    }
    read_wanted();
    if (capos_capset_find("growth") != NULL) {
        run_groups(growth, sizeof(growth) / sizeof(growth[0]));
    } else {
        run_groups(groups, sizeof(groups) / sizeof(groups[0]));
    }
    capos_sys_exit(0); /* the manifest then shuts the machine down */
}
