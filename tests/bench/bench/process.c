/* SPDX-License-Identifier: MIT */
/* process.lifecycle: a program started, run and reclaimed. */
#include "tests/bench/bench/bench.h"
#include "process.capnp.h"
#include "time.capnp.h"

/* The launch message is the same every time: built once, with its transfer area behind it. */
static uint64_t launch_words[160];
static uint32_t launch_bytes;
enum { LAUNCH_GRANTS = 4 };

static void add_grant(Grant_list_b list, uint32_t index, const char *name)
{
    Grant_b grant = Grant_list_b_at(list, index);
    Grant_set_name(grant, name, strlen(name));
    Grant_set_origin(grant, "bench", 5);
    Grant_set_interface(grant, Timer_ID);
    Grant_set_transfer(grant, 0);
}

static void build_launch(void)
{
    static const char *const names[LAUNCH_GRANTS] = {"a", "b", "c", "d"};
    struct capnp_builder builder;
    capnp_builder_init(&builder, launch_words, sizeof(launch_words) - 24);
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, "bench/null", 10);
    Launcher_launch_params_set_name(params, "null", 4);
    Grant_list_b grants = Launcher_launch_params_init_grants(params, LAUNCH_GRANTS);
    for (uint32_t i = 0; i < LAUNCH_GRANTS; i++) {
        add_grant(grants, i, names[i]);
    }
    launch_bytes = raw_finish(&builder);
}

static capos_cap_t launch(void)
{
    uint64_t result[16];
    int32_t bytes = call_with(caps.launcher, Launcher_ID, Launcher_launch_ORDINAL, launch_words,
                              launch_bytes, caps.timer, result);
    raw_require(bytes >= 0, 100 - bytes);
    return raw_records(result, bytes)->cap;
}

static void processes(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        await_end(launch());
    }
}

void bench_process(void)
{
    build_launch();
    bench_measure("process.lifecycle", processes, 2000);
}
