/* SPDX-License-Identifier: MIT */
/* How processes end, what they leave, and what is told of it: ProcessHandle, the exit job. */
#include "tests/unit/kernel_spawn.h"

#include "abi/capset.h"
#include "gen/notification.capnp.h"

TEST(spawn_exit_code,
     "EXIT tells the exit code, before and after the end, and everything is back by then")
{
    uint64_t result;
    spawner_start(2);
    struct held before = held_now(parent);
    struct request request = request_new();
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    struct capos_sqe wait = sqe_wait(parent, handle, CAPOS_EVENT_EXIT, 0);
    user_submit(parent, &wait);
    user_enter_start(parent, 1, CAPOS_FOREVER);
    CHECK(!user_entered(parent, &result));
    user_exit(child, -77);
    CHECK(user_entered(parent, &result));
    struct capos_cqe cqe = user_expect(parent, wait.user_data);
    CHECK_EQ(cqe.result, CAPOS_EVENT_EXIT);
    CHECK_EQ((int64_t)cqe.signal, -77);
    CHECK_EQ((int64_t)wait_exit(handle).signal, -77);
    CHECK_EQ(user_release(parent, handle), ST_OK);
    CHECK_HELD(parent, before);
    fixture_end();
}

static int32_t terminate(capos_cap_t handle)
{
    int32_t result =
        user_call_plain(parent, handle, ProcessHandle_ID, ProcessHandle_terminate_ORDINAL, NULL)
            .result;
    return result < 0 ? result : ST_OK;
}

TEST(process_terminate,
     "terminate ends a running and a sleeping process; the second time it is BAD_STATE")
{
    uint64_t result;
    spawner_start(2);
    struct request request = request_new();
    for (unsigned asleep = 0; asleep < 2; asleep++) {
        capos_cap_t handle;
        struct user *child = spawn_child(&request, &handle);
        if (asleep != 0) {
            user_enter_start(child, 1, CAPOS_FOREVER);
            CHECK(!user_entered(child, &result));
        }
        child->gone = true;
        CHECK_EQ(terminate(handle), ST_OK);
        CHECK_EQ(terminate(handle), ST_BAD_STATE);
        CHECK_EQ((int64_t)wait_exit(handle).signal, -1);
        user_ended(child);
        CHECK_EQ(terminate(handle), ST_BAD_STATE);
        CHECK_EQ(user_release(parent, handle), ST_OK);
    }
    fixture_end();
}

static ProcessHandle_info_results_r read_info(capos_cap_t handle, uint8_t *buffer, size_t size)
{
    uint64_t at;
    struct capos_cqe cqe =
        user_call_plain(parent, handle, ProcessHandle_ID, ProcessHandle_info_ORDINAL, &at);
    CHECK(cqe.result > 0 && (size_t)cqe.result <= size);
    user_read(parent, at, buffer, (uint64_t)cqe.result);
    ProcessHandle_info_results_r info;
    CHECK_EQ(ProcessHandle_info_results_read(buffer, (size_t)cqe.result, &info), CAPNP_OK);
    return info;
}

TEST(process_fault,
     "a fault ends the process; its record tells kind, access, address and all registers")
{
    static uint8_t buffer[2048] __attribute__((aligned(8)));
    spawner_start(1);
    struct request request = request_new();
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    struct user *busy = parent;
    user_enter_start(busy, 1, arch_time_ns() + 1000000000);
    struct arch_fault fault = {.kind = ARCH_FAULT_PAGE, .address = {0xdead000}, .write = true};
    unsigned cpu = 0;
    CHECK_PTR_EQ(host_current(cpu), child->thread);
    for (uint64_t i = 0; i < ARCH_REGS_COUNT; i++) {
        child->thread->arch.r[i] = 1000 + i;
    }
    child->thread->arch.r[HOST_IP] = 0x400123;
    uint64_t base = capset_of(child)->image_base;
    child->gone = true;
    host_fault(cpu, &fault);
    user_ended(child);
    fixture_advance(1000000000);
    ProcessHandle_info_results_r info = read_info(handle, buffer, sizeof(buffer));
    CHECK_EQ(ProcessHandle_info_results_get_state(info), PROCESS_STATE_FAULTED);
    CHECK_EQ(FaultRecord_get_kind(ProcessHandle_info_results_get_fault(info)),
             FAULT_RECORD_KIND_PAGE_FAULT);
    CHECK_EQ(FaultRecord_get_address(ProcessHandle_info_results_get_fault(info)), 0xdead000);
    CHECK_EQ(FaultRecord_get_instruction(ProcessHandle_info_results_get_fault(info)), 0x400123);
    CHECK_EQ(FaultRecord_get_access(ProcessHandle_info_results_get_fault(info)),
             FAULT_RECORD_ACCESS_WRITE);
    CHECK_EQ(FaultRecord_get_image_base(ProcessHandle_info_results_get_fault(info)), base);
    CHECK(!FaultRecord_get_mapped(ProcessHandle_info_results_get_fault(info)));
    struct capnp_list registers =
        FaultRecord_get_registers(ProcessHandle_info_results_get_fault(info));
    REQUIRE_EQ(capnp_list_len(registers), ARCH_REGS_COUNT);
    for (uint32_t i = 0; i < ARCH_REGS_COUNT; i++) {
        CHECK_EQ(capnp_list_u64_at(registers, i), i == HOST_IP ? 0x400123 : 1000 + i);
    }
    CHECK(strstr(host_debug_text(), "process child") != NULL);
    fixture_end();
}

TEST(process_handle_dropped,
     "a process goes on when its handle is dropped and leaves nothing when it ends")
{
    spawner_start(2);
    struct held before = held_now(parent);
    struct request request = request_new();
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    CHECK_EQ(user_release(parent, handle), ST_OK);
    struct capos_sqe nop = user_sqe(child, CAPOS_OP_NOP);
    CHECK_EQ(user_do(child, &nop).result, ST_OK);
    user_exit(child, 1);
    CHECK_HELD(parent, before);
    fixture_end();
}

TEST(process_parent_dies,
     "a child outlives its parent; what it was granted below the parent's routes stays "
     "until it ends")
{
    spawner_start(2);
    struct request request = request_new();
    capos_cap_t handle;
    struct user *child = spawn_child(&request, &handle);
    user_exit(parent, 0);
    struct capos_sqe nop = user_sqe(child, CAPOS_OP_NOP);
    CHECK_EQ(user_do(child, &nop).result, ST_OK);
    user_exit(child, 0);
    fixture_end();
}

TEST(process_dies_with_everything,
     "a process that dies with calls, waits, receives and moves under way "
     "leaves nothing")
{
    fixture_start(2);
    struct user *victim = user_new("victim"), *other = user_new("other");
    capos_cap_t endpoint = user_endpoint(other, 256, 4);
    capos_cap_t object = user_pass(other, user_mint(other, endpoint, 1), victim, 0xff);
    capos_cap_t own = user_endpoint(victim, 256, 4);
    capos_cap_t note = user_notification(victim);
    struct capos_transfer xfers[2] = {
        {.cap = user_notification(victim), .mode = CAPOS_XFER_MOVE},
        {.cap = note, .mode = CAPOS_XFER_COPY},
    };
    struct capos_sqe sqe =
        sqe_call(victim, object, FIXTURE_INTERFACE, 1, user_message(victim, NULL, 0), 0);
    sqe_transfers(victim, &sqe, 1, xfers, 2);
    user_submit(victim, &sqe);
    struct capos_sqe recv = sqe_recv(victim, own, 256, 4);
    user_submit(victim, &recv);
    struct capos_sqe wait = sqe_wait(victim, note, CAPOS_EVENT_SIGNALLED, 0);
    wait.deadline_ns = arch_time_ns() + 1000000000;
    user_submit(victim, &wait);
    user_enter_start(victim, 1, CAPOS_FOREVER);
    user_terminate(victim);
    recv = sqe_recv(other, endpoint, 512, 4);
    user_start(other, &recv);
    CHECK_EQ(completions(other), 0);
    fixture_advance(2000000000);
    fixture_end();
}
