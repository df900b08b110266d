/* SPDX-License-Identifier: MIT */
/*
 * scale.*: how much more is done by two of something on two CPUs than by one of it. ipc.remote: how much longer a call takes
 * whose sides are on two CPUs, both looking for what comes without waiting, than one on one CPU. Counts of work in the same piece of
 * the clock (worker.c), one, two, two, one; so what changes slowly on the host cancels out. A row is the median of the rounds.
 */
#include "capos/start.h"
#include "counter.capnp.h"
#include "ledger.capnp.h"
#include "process.capnp.h"
#include "raw.h"
#include "tests/bench/scale.h"
#include "thread.capnp.h"
#include "time.capnp.h"

enum { ROUNDS = 5, WORKERS_MOST = 2 };

static struct raw_ring ring;
static capos_cap_t timer, launcher, servers[WORKERS_MOST], poller;

static void add_grant(Grant_list_b list, uint32_t index, const char *name, uint64_t interface)
{
    Grant_b grant = Grant_list_b_at(list, index);
    Grant_set_name(grant, name, strlen(name));
    Grant_set_interface(grant, interface);
    Grant_set_transfer(grant, (uint16_t)index);
}

/* A worker with the timer and, if there is one, a server to call by this name; or with the means to have two threads. */
static capos_cap_t launch(capos_cap_t server, const char *name, bool two_threads)
{
    uint64_t words[160], result[16];
    const capos_cap_t carried[] = {timer, server};
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words) - 64);
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, "bench/worker", 12);
    Launcher_launch_params_set_name(params, "worker", 6);
    bool more = server != 0 || two_threads;
    Grant_list_b grants = Launcher_launch_params_init_grants(params, more ? 2 : 1);
    add_grant(grants, 0, "timer", Timer_ID);
    if (server != 0) {
        add_grant(grants, 1, name, Counter_ID);
    } else if (two_threads) {
        Grant_b own = Grant_list_b_at(grants, 1);
        Grant_set_name(own, "threads", 7);
        Grant_set_interface(own, ThreadSpawner_ID);
        Grant_set_self(own, SELF_OBJECT_THREAD_SPAWNER);
    }
    struct capos_sqe call = {
        .cap = launcher, .interface = Launcher_ID, .method = Launcher_launch_ORDINAL};
    uint32_t len = raw_finish(&builder);
    int32_t bytes = raw_transact(&ring, call, words, len, carried, server != 0 ? 2 : 1, result);
    raw_require(bytes > 0, 100 - bytes);
    return raw_records(result, bytes)->cap;
}

/* Its exit code: what it did. */
static uint64_t end_of(capos_cap_t worker)
{
    raw_wait(&ring, worker, CAPOS_EVENT_EXIT, 0);
    raw_submit(&ring, 1);
    uint64_t did = ring.cq[ring.cq_head & ring.cq_mask].signal;
    raw_require(raw_reap(&ring) == CAPOS_EVENT_EXIT, 53);
    raw_reaped(&ring);
    struct capos_sqe release = {.op = CAPOS_OP_RELEASE, .cap = worker};
    raw_require(raw_run(&ring, &release) == ST_OK, 54);
    return did;
}

/* Workers are started at the beginning of a period. */
static void await_period(void)
{
    uint64_t now = raw_now_ns(&ring, timer);
    uint64_t words[2] = {UINT64_C(1) << 32, now - now % SCALE_PERIOD_NS + SCALE_PERIOD_NS};
    uint64_t result[16];
    struct capos_sqe call = {.cap = timer, .interface = Timer_ID, .method = Timer_sleep_ORDINAL};
    raw_require(raw_transact(&ring, call, words, sizeof(words), NULL, 0, result) >= 0, 55);
}

enum what { PAIRS, PROCESSES, THREADS, REMOTE };

/* Of REMOTE, one is a pair on one CPU, and two is one on two. */
static uint64_t run(enum what what, unsigned count)
{
    capos_cap_t workers[WORKERS_MOST];
    uint64_t did = 0;
    unsigned made = what == THREADS || what == REMOTE ? 1 : count;
    bool remote = what == REMOTE && count == 2;
    await_period();
    for (unsigned i = 0; i < made; i++) {
        capos_cap_t server = what == PROCESSES || what == THREADS ? 0 : servers[i];
        workers[i] = launch(remote ? poller : server, remote ? "poller" : "echo",
                            what == THREADS && count == 2);
    }
    for (unsigned i = 0; i < made; i++) {
        did += end_of(workers[i]);
    }
    return did;
}

static void sort(uint64_t *values, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        for (unsigned j = i; j > 0 && values[j - 1] > values[j]; j--) {
            uint64_t t = values[j];
            values[j] = values[j - 1];
            values[j - 1] = t;
        }
    }
}

static void row(const char *name, enum what what)
{
    uint64_t percent[ROUNDS];
    char line[120];
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t one = run(what, 1), two = run(what, 2);
        two += run(what, 2);
        one += run(what, 1);
        raw_require(one != 0 && two != 0, 56);
        percent[i] = what == REMOTE ? one * 100 / two : two * 100 / one;
    }
    sort(percent, ROUNDS);
    unsigned long long least = percent[0], median = percent[ROUNDS / 2], most = percent[ROUNDS - 1];
    fmt_format(line, sizeof(line), "@bench %s %llu.%02llu times %d %llu.%02llu %llu.%02llu", name,
               median / 100, median % 100, ROUNDS, least / 100, least % 100, most / 100,
               most % 100);
    raw_log(&ring, raw_cap("log"), line);
}

int capos_main(void)
{
    raw_open(&ring);
    timer = raw_cap("timer");
    launcher = raw_cap("launcher");
    servers[0] = raw_cap("first");
    servers[1] = raw_cap("second");
    poller = raw_cap("poller");
    row("scale.pairs", PAIRS);
    row("scale.processes", PROCESSES);
    row("scale.threads", THREADS);
    row("ipc.remote", REMOTE);
    capos_sys_exit(0); /* the manifest then shuts the machine down */
}
