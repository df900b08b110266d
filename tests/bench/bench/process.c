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
    size_t len;
    struct capnp_builder builder;
    capnp_builder_init(&builder, launch_words, sizeof(launch_words) - 24);
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, "bench/null", 10);
    Launcher_launch_params_set_name(params, "null", 4);
    Grant_list_b grants = Launcher_launch_params_init_grants(params, LAUNCH_GRANTS);
    for (uint32_t i = 0; i < LAUNCH_GRANTS; i++) {
        add_grant(grants, i, names[i]);
    }
    raw_require(capnp_finish(&builder, &len) == CAPNP_OK, 17);
    launch_bytes = (uint32_t)len;
}

static capos_cap_t launch(void)
{
    uint64_t *area = &launch_words[launch_bytes / 8];
    area[0] = ring.sequence++;
    struct capos_transfer *xfer = (struct capos_transfer *)(void *)&area[1];
    *xfer = (struct capos_transfer){.cap = caps.timer, .mode = CAPOS_XFER_COPY};
    uint64_t result[8];
    struct capos_sqe sqe = {
        .op = CAPOS_OP_CALL,
        .method = Launcher_launch_ORDINAL,
        .xfer_count = 1,
        .accept_count = 2,
        .cap = caps.launcher,
        .interface = Launcher_ID,
        .params = (uint64_t)launch_words,
        .params_len = launch_bytes,
        .result = (uint64_t)result,
        .result_len = sizeof(result),
    };
    int32_t result_code = raw_run(&ring, &sqe);
    raw_require(result_code >= 0, 100 - result_code);
    return ((const struct capos_cap_record *)(void *)&result[2])->cap;
}

static void processes(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        capos_cap_t child = launch();
        struct capos_sqe wait = {.op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_EXIT, .cap = child};
        raw_require(raw_run(&ring, &wait) == CAPOS_EVENT_EXIT, 19);
        struct capos_sqe release = {.op = CAPOS_OP_RELEASE, .cap = child};
        raw_require(raw_run(&ring, &release) == ST_OK, 20);
    }
}

void bench_process(void)
{
    build_launch();
    bench_measure("process.lifecycle", processes, 2000);
}
