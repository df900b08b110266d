/* SPDX-License-Identifier: MIT */
/* Calls of kernel objects: what is refused before a method begins, and a method that ends later. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/ledger.capnp.h"
#include "gen/notification.capnp.h"
#include "gen/time.capnp.h"

TEST(call_refusals,
     "a CALL is refused for the wrong interface, a method outside the facet, odd lengths")
{
    fixture_start(1);
    struct user *user = user_new("call");
    struct ledger_state before = ledger_state(user->process->ledger);
    struct capos_sqe sqe =
        sqe_call(user, user->ledger, Ledger_ID ^ 1, Ledger_new_notification_ORDINAL, 0, 0);
    sqe_result(user, &sqe, 64, 1);
    CHECK_EQ(user_do(user, &sqe).result, ST_WRONG_INTERFACE);
    sqe.interface = Ledger_ID;
    sqe.method = 40;
    CHECK_EQ(user_do(user, &sqe).result, ST_NO_METHOD);
    sqe.method = 64;
    CHECK_EQ(user_do(user, &sqe).result, ST_NO_METHOD);
    sqe.method = UINT16_MAX;
    CHECK_EQ(user_do(user, &sqe).result, ST_NO_METHOD);
    sqe.method = Ledger_new_notification_ORDINAL;
    sqe.params_len = 4;
    CHECK_EQ(user_do(user, &sqe).result, ST_BAD_MESSAGE);
    sqe.params_len = 0;
    sqe.result_len = 63;
    CHECK_EQ(user_do(user, &sqe).result, ST_BAD_MESSAGE);
    struct ledger_state after = ledger_state(user->process->ledger);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    fixture_end();
}

TEST(call_result_too_small,
     "a result buffer or accept count that cannot hold the results is refused "
     "before anything is made")
{
    fixture_start(1);
    struct user *user = user_new("small");
    uint64_t message[1] = {0};
    struct ledger_state before = ledger_state(user->process->ledger);
    struct capos_sqe sqe = sqe_call(user, user->ledger, Ledger_ID, Ledger_new_notification_ORDINAL,
                                    user_message(user, message, 8), 8);
    sqe_result(user, &sqe, 16, 1);
    struct capos_cqe cqe = user_do(user, &sqe);
    CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
    CHECK_EQ(cqe.needed, 32);
    sqe.result_len = 64;
    sqe.accept_count = 0;
    CHECK_EQ(user_do(user, &sqe).result, ST_RESULT_TOO_SMALL);
    struct ledger_state after = ledger_state(user->process->ledger);
    CHECK_MEM_EQ(&before, &after, sizeof(before));
    fixture_end();
}

TEST(call_bad_addresses,
     "parameters and results at any bad address are refused BAD_ADDRESS, nothing made")
{
    static const uint64_t bad[] = {8,
                                   USER_HEAP - 8,
                                   USER_HEAP + USER_HEAP_BYTES,
                                   UINT64_C(0x7fffffffeff8),
                                   UINT64_C(0x800000000000),
                                   UINT64_C(0xffff800000000000),
                                   UINT64_MAX - 7};
    fixture_start(1);
    struct user *user = user_new("addresses");
    uint64_t message[1] = {0};
    uint64_t good = user_message(user, message, 8);
    struct ledger_state before = ledger_state(user->process->ledger);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct capos_sqe sqe =
            sqe_call(user, user->ledger, Ledger_ID, Ledger_new_notification_ORDINAL, good, 8);
        sqe_result(user, &sqe, 64, 1);
        uint64_t result = sqe.result;
        sqe.params = bad[i];
        CHECK_EQ(user_do(user, &sqe).result, ST_BAD_ADDRESS);
        sqe.params = good;
        sqe.result = bad[i];
        CHECK_EQ(user_do(user, &sqe).result, ST_BAD_ADDRESS);
        sqe.result = result;
        sqe.result_len = UINT32_MAX - 7;
        CHECK(user_do(user, &sqe).result != INT32_MIN);
    }
    (void)before;
    fixture_end();
}

TEST(call_opcode_methods, "a CALL to an ordinal that stands for an opcode is refused NO_METHOD")
{
    fixture_start(1);
    struct user *user = user_new("opcode");
    capos_cap_t cap = user_notification(user);
    for (uint16_t method = 0; method < 2; method++) {
        struct capos_sqe sqe = sqe_call(user, cap, Notification_ID, method, 0, 0);
        sqe_result(user, &sqe, 64, 1);
        CHECK_EQ(user_do(user, &sqe).result, ST_NO_METHOD);
    }
    fixture_end();
}

TEST(timer_sleep,
     "a sleep completes at its time with the time, not before; cancel and deadline end it")
{
    uint64_t now;
    fixture_start(1);
    struct user *user = user_new("sleeper");
    capos_cap_t timer = user_give_root(user, KTYPE_TIMER);
    uint64_t until = arch_time_ns() + 5000;
    struct capos_sqe sqe = sqe_sleep(user, timer, until);
    user_start(user, &sqe);
    fixture_advance(4999);
    CHECK_EQ(completions(user), 0);
    fixture_advance(1);
    CHECK_EQ(user_expect(user, sqe.user_data).result, 16);
    user_read(user, sqe.result + 8, &now, 8);
    CHECK_EQ(now, until);
    CHECK_EQ(user_do(user, &sqe).result, 16);

    sqe = sqe_sleep(user, timer, UINT64_MAX);
    user_cancel(user, user_start(user, &sqe), sqe.user_data);
    sqe.deadline_ns = arch_time_ns() + 100;
    user_start(user, &sqe);
    fixture_advance(100);
    CHECK_EQ(user_expect(user, sqe.user_data).result, ST_TIMED_OUT);
    fixture_end();
}
