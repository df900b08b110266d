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
    struct capos_sqe call = {.cap = cap, .interface = interface, .method = method};
    return raw_transact(&ring, call, words, (uint32_t)len, &carried, carried != 0, result);
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
    return raw_records(result, bytes)->cap;
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
    uint64_t words[160], result[16];
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
    const capos_cap_t carried[] = {lease, bell};
    struct capos_sqe call = {
        .cap = caps.launcher, .interface = Launcher_ID, .method = Launcher_launch_ORDINAL};
    uint32_t len = raw_finish(&builder);
    int32_t bytes = raw_transact(&ring, call, words, len, carried, 2, result);
    raw_require(bytes > 0, 100 - bytes);
    return raw_records(result, bytes)->cap;
}

void await_end(capos_cap_t handle)
{
    struct capos_sqe wait = {.op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_EXIT, .cap = handle};
    raw_require(raw_run(&ring, &wait) == CAPOS_EVENT_EXIT, 50);
    release(handle);
}

void end_holder(capos_cap_t process)
{
    uint64_t words[4] = {0};
    uint64_t result[16];
    raw_require(call_with(process, ProcessHandle_ID, ProcessHandle_terminate_ORDINAL, words, 8, 0,
                          result) > 0,
                49);
    await_end(process);
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
    struct capos_sqe *sqe =
        raw_call(&ring, caps.threads, ThreadSpawner_ID, ThreadSpawner_spawn_ORDINAL);
    sqe->accept_count = 1;
    sqe->params_len = 40;
    sqe->result = CAPOS_PAYLOAD_SLOT_BYTES;
    sqe->result_len = 32;
    enter_and_reap(1, 16);
    return raw_records((const uint64_t *)(void *)(ring.payload + CAPOS_PAYLOAD_SLOT_BYTES), 16)
        ->cap;
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
