/* SPDX-License-Identifier: MIT */
/* The calls that several rows make. */
#include "tests/bench/bench/bench.h"
#include "capabilities.capnp.h"
#include "ledger.capnp.h"
#include "notification.capnp.h"
#include "process.capnp.h"
#include "thread.capnp.h"
#include "time.capnp.h"

int32_t call_with(capos_cap_t cap, uint64_t interface, uint16_t method, uint64_t *words, size_t len,
                  capos_cap_t carried, uint64_t result[16])
{
    struct capos_sqe sqe = {
        .op = CAPOS_OP_CALL,
        .method = method,
        .xfer_count = carried != 0,
        .accept_count = 2,
        .cap = cap,
        .interface = interface,
        .params = (uint64_t)words,
        .params_len = (uint32_t)len,
        .result = (uint64_t)result,
        .result_len = 128,
    };
    if (carried != 0) {
        words[len / 8] = ring.sequence++;
        *(struct capos_transfer *)(void *)&words[len / 8 + 1] =
            (struct capos_transfer){.cap = carried};
    }
    return raw_run(&ring, &sqe);
}

const struct capos_cap_record *records_of(const uint64_t *result, int32_t bytes)
{
    return (const struct capos_cap_record *)(const void *)&result[bytes / 8];
}

void release(capos_cap_t cap)
{
    struct capos_sqe sqe = {.op = CAPOS_OP_RELEASE, .cap = cap};
    raw_require(raw_run(&ring, &sqe) == ST_OK, 43);
}

capos_cap_t new_bell(void)
{
    uint64_t words[4] = {0};
    uint64_t result[16];
    int32_t bytes =
        call_with(caps.ledger, Ledger_ID, Ledger_new_notification_ORDINAL, words, 8, 0, result);
    raw_require(bytes > 0, 51);
    return records_of(result, bytes)->cap;
}

enum { HOLDER_GRANTS = 3 };

static void holder_grant(Grant_list_b list, uint32_t index, const char *name, uint64_t interface)
{
    Grant_b grant = Grant_list_b_at(list, index);
    Grant_set_name(grant, name, strlen(name));
    Grant_set_interface(grant, interface);
    Grant_set_transfer(grant, (uint16_t)index);
}

capos_cap_t launch_idle(const char *program, capos_cap_t lease, capos_cap_t bell)
{
    uint64_t words[160];
    uint64_t result[8];
    size_t len;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words) - 64);
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, program, strlen(program));
    Launcher_launch_params_set_name(params, "holder", 6);
    Grant_list_b grants = Launcher_launch_params_init_grants(params, HOLDER_GRANTS);
    holder_grant(grants, 0, "lease", Timer_ID);
    holder_grant(grants, 1, "bell", Notification_ID);
    Grant_b self = Grant_list_b_at(grants, 2);
    Grant_set_name(self, "capabilities", 12);
    Grant_set_interface(self, CapabilityManager_ID);
    Grant_set_self(self, SELF_OBJECT_CAPABILITY_MANAGER);
    raw_require(capnp_finish(&builder, &len) == CAPNP_OK, 46);
    uint64_t *area = &words[len / 8];
    struct capos_transfer *xfers = (struct capos_transfer *)(void *)&area[1];
    area[0] = ring.sequence++;
    xfers[0] = (struct capos_transfer){.cap = lease};
    xfers[1] = (struct capos_transfer){.cap = bell};
    struct capos_sqe sqe = {
        .op = CAPOS_OP_CALL,
        .method = Launcher_launch_ORDINAL,
        .xfer_count = 2,
        .accept_count = 2,
        .cap = caps.launcher,
        .interface = Launcher_ID,
        .params = (uint64_t)words,
        .params_len = (uint32_t)len,
        .result = (uint64_t)result,
        .result_len = sizeof(result),
    };
    int32_t bytes = raw_run(&ring, &sqe);
    raw_require(bytes > 0, 100 - bytes);
    return records_of(result, bytes)->cap;
}

void end_holder(capos_cap_t process)
{
    uint64_t words[4] = {0};
    uint64_t result[16];
    struct capos_sqe wait = {.op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_EXIT, .cap = process};
    raw_require(call_with(process, ProcessHandle_ID, ProcessHandle_terminate_ORDINAL, words, 8, 0,
                          result) > 0,
                49);
    raw_require(raw_run(&ring, &wait) == CAPOS_EVENT_EXIT, 50);
    release(process);
}

capos_cap_t spawn_thread(thread_fn entry, uint64_t argument, uint8_t *stack_top,
                         uint32_t ring_entries)
{
    uint64_t *params = (uint64_t *)(void *)ring.payload;
    params[0] = UINT64_C(4) << 32;
    params[1] = (uint64_t)entry;
    params[2] = (uint64_t)stack_top - 8;
    params[3] = argument;
    params[4] = ring_entries;
    struct capos_sqe *sqe = raw_sqe(&ring);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_CALL;
    sqe->flags = CAPOS_SQE_INLINE;
    sqe->method = ThreadSpawner_spawn_ORDINAL;
    sqe->accept_count = 1;
    sqe->cap = caps.threads;
    sqe->interface = ThreadSpawner_ID;
    sqe->params_len = 40;
    sqe->result = CAPOS_PAYLOAD_SLOT_BYTES;
    sqe->result_len = 32;
    enter_and_reap(1, 16);
    return records_of((const uint64_t *)(void *)(ring.payload + CAPOS_PAYLOAD_SLOT_BYTES), 16)->cap;
}

void await_bell(capos_cap_t bell)
{
    struct capos_sqe wait = {
        .op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_SIGNALLED, .cap = bell, .params = 1};
    raw_require(raw_run(&ring, &wait) == CAPOS_EVENT_SIGNALLED, 48);
}

capos_cap_t launch_holder(const char *program, capos_cap_t lease, capos_cap_t bell)
{
    capos_cap_t process = launch_idle(program, lease, bell);
    await_bell(bell);
    return process;
}
