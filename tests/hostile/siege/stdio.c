/* SPDX-License-Identifier: MIT */
/* Started by the shell to attack the ByteStream that it was given there. The first grant says how:
 * run siege with { stdio-abuse: @log, log: @log, timer: @timer } */
#include "bytestream.client.h"
#include "capos/print.h"
#include "capos/start.h"
#include "kernel_log.client.h"
#include "lib/base/string.h"
#include "process.client.h"
#include "siege.h"
#include "time.client.h"

static const struct target stream = {
    .name = "stdio",
    .interface = ByteStream_ID,
    .max_bytes = 4160,
    .methods = ByteStream_FACET,
    .blocks = BIT64(ByteStream_read_ORDINAL),
    .texts = BIT64(ByteStream_write_ORDINAL) | BIT64(ByteStream_write_error_ORDINAL),
};

static const struct attack *attack_named(const char *name)
{
    const struct attack *attack = attacks;
    while (attack->name != NULL && strcmp(attack->name, name) != 0) {
        attack++;
    }
    return attack->name != NULL ? attack : NULL;
}

/* What the interface says is refused. */
static void limits(void)
{
    static char text[CAPOS_MAX_MESSAGE_BYTES];
    capos_cap_t stdio = held("stdio");
    uint32_t written = 0;
    size_t len;
    bool end;
    memset(text, 'x', sizeof(text));
    CHECK_EQ(ByteStream_read(stdio, 0, text, sizeof(text), &len, &end), ST_EXCEPTION);
    CHECK_EQ(ByteStream_write(stdio, text, 4097, &written), ST_EXCEPTION);
    CHECK_EQ(ByteStream_write(stdio, text, 0, &written), ST_OK);
    CHECK_EQ(written, 0);
    text[1025] = '\0';
    CHECK_EQ(ByteStream_write_error(stdio, text), ST_EXCEPTION);
    CHECK_EQ(ByteStream_end(stdio), ST_OK);
    CHECK_EQ(ByteStream_end(stdio), ST_OK);
}

/* Two reads at once: the second is refused, and the first goes on waiting. */
static void two_reads(void)
{
    struct shot first, second;
    static const uint64_t message[] = {(uint64_t)1 << 32, 100};
    aim(&first, held("stdio"), ByteStream_ID, ByteStream_read_ORDINAL);
    load(&first, message, sizeof(message));
    capos_op_submit(&first.op);
    capos_push();
    aim(&second, held("stdio"), ByteStream_ID, ByteStream_read_ORDINAL);
    load(&second, message, sizeof(message));
    CHECK_EQ(fire(&second), ST_EXCEPTION);
    CHECK_EQ(last_exception(), CAPOS_EXC_OVERLOADED);
    capos_op_cancel(&first.op);
    CHECK_EQ(first.op.cqe.result, ST_CANCELLED);
}

/* Text that looks like the shell's, controls, half characters; without an end, and never ending. */
static void write_for_ever(void)
{
    static const char text[] = "capos> \x1b[2J\x1b]0;owned\x07\xc2\x9b\xe2\x80\xae\xf0\x9f\r\b\x7f";
    for (;;) {
        capos_write(text, sizeof(text) - 1);
    }
}

/* ---- a stream that outlives who was given it ---- */

CAPOS_CALL_STATIC(launch_call, Launcher, launch);

static void give(Grant_list_b list, uint32_t i, const char *name, const char *ours,
                 uint64_t interface)
{
    Grant_b grant = Grant_list_b_at(list, i);
    Grant_set_name(grant, name, strlen(name));
    Grant_set_origin(grant, "siege", 5);
    Grant_set_interface(grant, interface);
    Grant_set_transfer(grant, capos_call_copy(&launch_call, held(ours)));
}

static void leave_an_heir(void)
{
    capos_call_begin(&launch_call, held("launcher"));
    Launcher_launch_params_b params = Launcher_launch_begin(&launch_call);
    Launcher_launch_params_set_program(params, "siege", 5);
    Launcher_launch_params_set_name(params, "heir", 4);
    Grant_list_b grants = Launcher_launch_params_init_grants(params, 4);
    give(grants, 0, "stdio-heir", "log", KernelLog_ID);
    give(grants, 1, "log", "log", KernelLog_ID);
    give(grants, 2, "timer", "timer", Timer_ID);
    give(grants, 3, "stdio", "stdio", ByteStream_ID);
    CHECK_EQ(Launcher_launch_call(&launch_call), ST_OK);
    capos_call_end(&launch_call);
}

/* Writes until it is told that the stream is gone; that must come, and nothing else. */
static void inherit(void)
{
    struct shot shot;
    status_t status = ST_OK;
    static const uint64_t message[] = {(uint64_t)1 << 48, 1 | (uint64_t)2 << 32 | (uint64_t)2 << 35,
                                       'h' | '\n' << 8};
    for (unsigned i = 0; i < 1000 && status == ST_OK; i++) {
        aim(&shot, held("stdio"), ByteStream_ID, ByteStream_write_ORDINAL);
        load(&shot, message, sizeof(message));
        status = fire(&shot);
        sleep_ms(5);
    }
    CHECK_EQ(status, ST_EXCEPTION);
    CHECK_EQ(last_exception(), CAPOS_EXC_DISCONNECTED);
    capos_log("the heir has nothing");
}

NORETURN void stdio_run(const char *mode)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } own[] = {
        {"limits", limits},       {"two-reads", two_reads}, {"write", write_for_ever},
        {"leave", leave_an_heir}, {"heir", inherit},
    };
    const struct attack *attack = attack_named(mode);
    if (attack != NULL) {
        attack->run(&stream, held("stdio"));
        capos_exit(0);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(own); i++) {
        if (strcmp(mode, own[i].name) == 0) {
            own[i].run();
            capos_exit(0);
        }
    }
    capos_exit(1);
}
