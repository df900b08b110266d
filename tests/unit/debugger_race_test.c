/* SPDX-License-Identifier: MIT */
/* Debuggers that stop, resume and die against what they watch, on CPUs of their own. */
#include "tests/unit/kernel_race.h"
#include "tests/unit/test.h"

#include <sched.h>

#include "gen/debugger.capnp.h"
#include "object/debugger.h"

enum { CPUS = 3, PAIRS = 3, TURNS = 300 };

/* A process that stops, resumes and waits for another without looking at the answers, and then dies. */
static struct race {
    struct process *boss, *child;
    struct user *users[2];
    capos_cap_t debugger;
    uint64_t message, result;
    _Atomic unsigned turns;
} races[PAIRS];

static void race_boss(struct race *race, struct thread *thread, unsigned turn)
{
    static const uint16_t methods[] = {ProcessDebugger_stop_ORDINAL, ProcessDebugger_resume_ORDINAL,
                                       ProcessDebugger_threads_ORDINAL};
    uint16_t method = methods[turn % 3];
    race_push(thread, &(struct capos_sqe){.op = CAPOS_OP_CALL,
                                          .method = method,
                                          .cap = race->debugger,
                                          .params = race->message,
                                          .params_len = 24,
                                          .result = race->result,
                                          .result_len = 512,
                                          .interface = ProcessDebugger_ID});
    host_syscall(thread, CAPOS_SYS_ENTER, turn % 2, turn % 2 != 0 ? arch_time_ns() + 1000000 : 0);
}

static void race_turn(struct thread *thread)
{
    for (unsigned i = 0; i < PAIRS && thread->process != NULL; i++) {
        struct race *race = &races[i];
        if (thread->process == race->boss) {
            unsigned turn = atomic_add_relaxed(&race->turns, 1);
            if (turn >= TURNS) {
                host_syscall(thread, CAPOS_SYS_EXIT, 0, 0);
            } else {
                race_boss(race, thread, turn);
            }
            return;
        }
        if (thread->process == race->child) {
            bool over = atomic_load_relaxed(&race->turns) >= TURNS;
            race_push(thread, &(struct capos_sqe){.op = CAPOS_OP_NOP});
            host_syscall(thread, over ? CAPOS_SYS_EXIT : CAPOS_SYS_ENTER, over ? 0 : 2,
                         arch_time_ns() + 100000); /* two: so that it waits */
            return;
        }
    }
    sched_yield();
}

static bool race_over(void)
{
    for (unsigned i = 0; i < PAIRS; i++) {
        if (!fixture_reaped(races[i].boss) || !fixture_reaped(races[i].child)) {
            return false;
        }
    }
    return true;
}

TEST(debugger_race, "debuggers that stop and resume threads on three CPUs, and die, leave nothing")
{
    fixture_start_real(CPUS);
    for (unsigned i = 0; i < PAIRS; i++) {
        struct user *boss = user_new("boss"), *child = user_new("child");
        const uint64_t message[3] = {UINT64_C(2) << 32, child->thread->obj.id, 0};
        struct kobj *object;
        REQUIRE_EQ(debugger_create(boss->process->ledger, child->process, &object), ST_OK);
        races[i] = (struct race){
            .users = {boss, child},
            .boss = boss->process,
            .child = child->process,
            .debugger = user_give(boss, object, KTYPE_PROCESS_DEBUGGER, ProcessDebugger_FACET),
            .message = user_message(boss, message, sizeof(message)),
            .result = user_alloc(boss, 512)};
        kobj_unref(object);
        boss->gone = child->gone = true;
    }
    fixture_run(race_turn, race_over);
    for (unsigned i = 0; i < PAIRS; i++) {
        user_ended(races[i].users[0]);
        user_ended(races[i].users[1]);
    }
    fixture_end();
}
