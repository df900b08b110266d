/* SPDX-License-Identifier: MIT */
/* What is tried once: the places a service keeps, the limits a method states, init's own promises. */
#include "counter.client.h"
#include "ledger.client.h"
#include "lib/base/string.h"
#include "manual.client.h"
#include "siege.h"
#include "supervisor.client.h"
#include "system_control.client.h"
#include "terminal.client.h"

/* ---- init: SystemControl and Supervisor ---- */

static const char *const slow[] = {"slow-a", "slow-b", "slow-c"};

enum { SLOW = ARRAY_COUNT(slow) };

struct restart {
    _Alignas(8) uint8_t params[CAPOS_PARAMS_ROOM(SystemControl_restart_MAX_PARAMS_BYTES, 0)];
    _Alignas(8) uint8_t result[CAPOS_TEXT_ROOM];
    struct capos_call call;
};

static struct restart restarts[SLOW];

static void submit_restart(unsigned i)
{
    struct restart *r = &restarts[i];
    memset(r, 0, sizeof(*r));
    r->call.interface = SystemControl_ID;
    r->call.method = SystemControl_restart_ORDINAL;
    r->call.params = r->params;
    r->call.params_capacity = SystemControl_restart_MAX_PARAMS_BYTES;
    r->call.result = r->result;
    r->call.result_capacity = sizeof(r->result);
    capos_call_begin(&r->call, held("control"));
    SystemControl_restart_params_set_service(SystemControl_restart_begin(&r->call), slow[i],
                                             strlen(slow[i]));
    CHECK_EQ(SystemControl_restart_submit(&r->call), ST_OK);
    capos_push();
}

static void await_restart(unsigned i)
{
    SystemControl_restart_results_r results;
    CHECK_EQ(capos_wait(&restarts[i].call, now_ns() + 10000 * MS), ST_OK);
    CHECK_EQ(SystemControl_restart_results(&restarts[i].call, &results), ST_OK);
    CHECK_EQ(SystemControl_restart_results_get_outcome(results),
             SYSTEM_CONTROL_RESTART_OUTCOME_DONE);
}

static void keep_slow(void)
{
    for (unsigned i = 0; i < SLOW; i++) {
        CHECK(state_keep_service(slow[i]));
    }
}

static void restart_limit(void)
{
    enum SystemControl_RestartOutcome outcome;
    struct shot shot;
    char text[64];
    submit_restart(0);
    submit_restart(1);
    submit_restart(2);
    CHECK_EQ(capos_wait(&restarts[2].call, now_ns() + 5000 * MS), ST_EXCEPTION);
    CHECK_EQ(restarts[2].call.exception, CAPOS_EXC_OVERLOADED);
    capos_call_text(&restarts[2].call, text, sizeof(text));
    CHECK_EQ(strcmp(text, "2 restarts are under way; wait for one"), 0);
    /* The other places are free for what does not wait. */
    aim(&shot, held("control"), SystemControl_ID, SystemControl_services_ORDINAL);
    CHECK_EQ(fire(&shot), ST_OK);
    CHECK_EQ(SystemControl_restart(held("control"), "nobody", &outcome), ST_OK);
    CHECK_EQ(outcome, SYSTEM_CONTROL_RESTART_OUTCOME_UNKNOWN_SERVICE);
    aim(&shot, held("control"), SystemControl_ID, SystemControl_usage_ORDINAL);
    CHECK_EQ(fire(&shot), ST_OK);
    CHECK(!capos_poll(&restarts[0].call) && !capos_poll(&restarts[1].call));
    await_restart(0);
    await_restart(1);
    submit_restart(2);
    await_restart(2);
    keep_slow();
}

/* Who asked is gone before the restart is done: its place is free again once it is. */
static void restart_cancelled(void)
{
    submit_restart(0);
    submit_restart(1);
    CHECK_EQ(capos_cancel(&restarts[0].call), ST_CANCELLED);
    CHECK_EQ(capos_cancel(&restarts[1].call), ST_CANCELLED);
    submit_restart(2);
    CHECK_EQ(capos_wait(&restarts[2].call, now_ns() + 5000 * MS), ST_EXCEPTION);
    CHECK_EQ(restarts[2].call.exception, CAPOS_EXC_OVERLOADED);
    CHECK(state_wait_ready());
    submit_restart(2);
    await_restart(2);
    keep_slow();
}

/* A malformed end of everything ends nothing. */
static void shutdown_malformed(void)
{
    static const uint64_t bad[] = {(uint64_t)9 << 32};
    const uint16_t methods[] = {SystemControl_shutdown_ORDINAL, SystemControl_reboot_ORDINAL};
    for (unsigned i = 0; i < ARRAY_COUNT(methods); i++) {
        struct shot shot;
        aim(&shot, held("control"), SystemControl_ID, methods[i]);
        load(&shot, bad, sizeof(bad));
        CHECK_EQ(fire(&shot), ST_EXCEPTION);
        CHECK_EQ(last_exception(), CAPOS_EXC_INVALID_ARGUMENT);
        aim(&shot, held("control"), SystemControl_ID, methods[i]);
        load(&shot, message_room, 0);
        attach(&shot, held("timer"), CAPOS_XFER_COPY);
        CHECK_EQ(fire(&shot), ST_BAD_TRANSFER);
    }
}

static void submit_await_stop(struct shot *shot)
{
    aim(shot, held("supervisor"), Supervisor_ID, Supervisor_await_stop_ORDINAL);
    capos_op_submit(&shot->op);
    capos_push();
}

static void await_stop_newest(void)
{
    static struct shot shots[3];
    submit_await_stop(&shots[0]);
    submit_await_stop(&shots[1]);
    CHECK(capos_op_wait(&shots[0].op, now_ns() + 5000 * MS));
    CHECK_EQ(shots[0].op.cqe.result, ST_EXCEPTION);
    CHECK_EQ(shots[0].op.cqe.exception, CAPOS_EXC_OVERLOADED);
    CHECK(!capos_op_wait(&shots[1].op, now_ns() + 20 * MS)); /* it waits */
    capos_op_cancel(&shots[1].op);
    submit_await_stop(&shots[2]); /* takes the place of one that is gone */
    CHECK(!capos_op_wait(&shots[2].op, now_ns() + 20 * MS));
    CHECK_EQ(Supervisor_ready(held("supervisor")), ST_OK);
    capos_op_cancel(&shots[2].op);
}

/* Attacks that end by themselves and do not end their process. */
static void attack_here(const struct target *target, capos_cap_t cap)
{
    for (const struct attack *attack = attacks; strcmp(attack->name, "die") != 0; attack++) {
        attack->run(target, cap);
    }
}

static void supervisor(void)
{
    static const struct target target = {
        .name = "supervisor",
        .interface = Supervisor_ID,
        .max_bytes = 64,
        .methods = Supervisor_FACET,
        .blocks = BIT64(Supervisor_await_stop_ORDINAL) | BIT64(Supervisor_await_handover_ORDINAL),
    };
    attack_here(&target, held("supervisor"));
}

/* ---- the counter and its children ---- */

static capos_cap_t child_named(unsigned number, status_t *status)
{
    char name[8] = {'c', (char)('a' + number / 26), (char)('a' + number % 26), 0};
    capos_cap_t child = 0;
    *status = Counter_child(held("counter"), name, &child, NULL);
    return child;
}

enum { PLACES = 32 };

/* Takes all places and ends with them; the next case takes them again. */
static void all_children(void)
{
    status_t status;
    int64_t value;
    for (unsigned i = 0; i < PLACES; i++) {
        capos_cap_t child = child_named(i, &status);
        CHECK_EQ(status, ST_OK);
        CHECK_EQ(Counter_increment(child, (int64_t)i, &value), ST_OK);
        CHECK_EQ(value, i);
    }
    for (unsigned i = 0; i < 20; i++) {
        child_named(PLACES + i, &status);
        CHECK_EQ(status, ST_EXCEPTION);
    }
    CHECK_EQ(Counter_read(held("counter"), &value), ST_OK);
}

/* More capabilities of one child than the service may make: refused, and the rest still counts. */
static void one_child(void)
{
    static capos_cap_t copies[200];
    unsigned count = 0;
    status_t status = ST_OK;
    int64_t value;
    for (; count < ARRAY_COUNT(copies) && status == ST_OK; count++) {
        copies[count] = child_named(0, &status);
    }
    CHECK_EQ(status, ST_EXCEPTION);
    count--;
    CHECK(count >= PLACES);
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQ(Counter_increment(copies[i], 1, &value), ST_OK);
        CHECK_EQ(value, i + 1);
        capos_release(copies[i]);
    }
    CHECK_EQ(Counter_read(held("counter"), &value), ST_OK);
}

static void child_attacked(void)
{
    static const struct target target = {
        .name = "child",
        .interface = Counter_ID,
        .max_bytes = 2112,
        .methods = BIT64(Counter_increment_ORDINAL) | BIT64(Counter_child_ORDINAL) |
                   BIT64(Counter_info_ORDINAL) | BIT64(Counter_read_ORDINAL) |
                   BIT64(Counter_reset_ORDINAL) | BIT64(Counter_reach_ORDINAL),
        .blocks = BIT64(Counter_reach_ORDINAL),
        .texts = BIT64(Counter_child_ORDINAL),
    };
    status_t status;
    capos_cap_t child = child_named(1, &status);
    CHECK_EQ(status, ST_OK);
    attack_here(&target, child);
    CHECK_EQ(Counter_child(child, "grandchild", &child, NULL), ST_OK);
    attack_here(&target, child);
}

/* A client that can hold nothing more: what is meant for it goes back where it came from. */
static void full_client(void)
{
    capos_cap_t bell;
    status_t status;
    while (Ledger_new_notification(held("ledger"), &bell) == ST_OK) {
    }
    for (unsigned i = 0; i < 100; i++) {
        CHECK_EQ(child_named(i % PLACES, &status), 0);
        CHECK_EQ(status, ST_QUOTA);
    }
}

static void overflows(void)
{
    int64_t value;
    status_t status;
    capos_cap_t child = child_named(2, &status);
    CHECK_EQ(status, ST_OK);
    CHECK_EQ(Counter_increment(child, INT64_MAX, &value), ST_OK);
    CHECK_EQ(Counter_increment(child, 1, &value), ST_EXCEPTION);
    CHECK_EQ(Counter_read(child, &value), ST_OK);
    CHECK_EQ(value, INT64_MAX);
    CHECK_EQ(Counter_reset(child), ST_OK);
    CHECK_EQ(Counter_increment(child, INT64_MIN, &value), ST_OK);
    CHECK_EQ(Counter_increment(child, -1, &value), ST_EXCEPTION);
}

/* ---- the manual ---- */

static void odd_pages(void)
{
    static const char *const names[] = {"",      "nowhere", "../start", "page/start", "start ",
                                        "Start", "\n",      "desc",     "/"};
    /* 0xff is never part of a text. */
    static const uint64_t not_text[] = {(uint64_t)2 << 48 | (uint64_t)1 << 32, 0,
                                        1 | 1 << 2 | (uint64_t)2 << 32 | (uint64_t)2 << 35, 0,
                                        0xff};
    static char text[8300];
    bool found = true;
    uint32_t total = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        status_t status =
            Manual_page(held("pages"), names[i], 0, &found, text, sizeof(text), &total);
        CHECK(status == ST_EXCEPTION || (status == ST_OK && !found));
    }
    struct shot shot;
    aim(&shot, held("pages"), Manual_ID, Manual_page_ORDINAL);
    load(&shot, not_text, sizeof(not_text));
    CHECK_EQ(fire(&shot), ST_EXCEPTION);
    CHECK_EQ(last_exception(), CAPOS_EXC_INVALID_ARGUMENT);
    CHECK_EQ(Manual_page(held("pages"), "start", 0, &found, text, sizeof(text), &total), ST_OK);
    CHECK(found);
    const uint32_t places[] = {total - 1, total, total + 1, UINT32_MAX / 2, UINT32_MAX};
    for (unsigned i = 0; i < ARRAY_COUNT(places); i++) {
        CHECK_EQ(Manual_page(held("pages"), "start", places[i], &found, text, sizeof(text), NULL),
                 ST_OK);
        CHECK(found);
    }
}

/* ---- the terminal ---- */

static status_t read_line(uint32_t max_bytes, uint32_t prompt_bytes)
{
    CAPOS_CALL(call, TerminalSession, read_line);
    static char prompt[CAPOS_MAX_MESSAGE_BYTES];
    memset(prompt, 'p', sizeof(prompt));
    capos_call_begin(&call, held("terminal"));
    call.deadline_ns = now_ns() + 20 * MS;
    TerminalSession_read_line_params_b params = TerminalSession_read_line_begin(&call);
    TerminalSession_read_line_params_set_prompt(params, prompt, prompt_bytes);
    TerminalSession_read_line_params_set_max_bytes(params, max_bytes);
    return TerminalSession_read_line_call(&call);
}

static void terminal_limits(void)
{
    static char text[CAPOS_MAX_MESSAGE_BYTES];
    capos_cap_t terminal = held("terminal");
    memset(text, 'x', sizeof(text));
    CHECK_EQ(read_line(0, 1), ST_EXCEPTION);
    CHECK_EQ(read_line(4097, 1), ST_EXCEPTION);
    CHECK_EQ(read_line(UINT32_MAX, 1), ST_EXCEPTION);
    CHECK_EQ(read_line(100, 129), ST_EXCEPTION);
    CHECK_EQ(TerminalSession_write(terminal, text, 4097), ST_EXCEPTION);
    CHECK_EQ(TerminalSession_write_styled(terminal, (enum TerminalSession_Style)0xffff, text, 1),
             ST_OK);
}

/* Control bytes grow to four on the screen: a few of these fill the wire's queue. */
static void submit_writes(unsigned count)
{
    enum { TEXT_WORDS = 2 + 4096 / 8 };
    static uint64_t message[TEXT_WORDS];
    message[0] = (uint64_t)1 << 48;
    message[1] = 1 | (uint64_t)2 << 32 | (uint64_t)4096 << 35;
    memset(&message[2], 1, 4096);
    for (unsigned i = 0; i < count; i++) {
        aim(&volley[i], held("terminal"), TerminalSession_ID, TerminalSession_write_ORDINAL);
        load(&volley[i], message, sizeof(message));
        capos_op_submit(&volley[i].op);
    }
}

/* More than the wire takes: each waits for its turn, and none is lost. */
static void terminal_writes(void)
{
    enum { WRITES = 40 };
    submit_writes(WRITES);
    for (unsigned i = 0; i < WRITES; i++) {
        CHECK(capos_op_wait(&volley[i].op, CAPOS_FOREVER));
        CHECK(volley[i].op.cqe.result >= 0);
    }
    (void)TerminalSession_clear(held("terminal"));
}

static void terminal_hog(void)
{
    for (;;) {
        submit_writes(CALLS);
        for (unsigned i = 0; i < CALLS; i++) {
            (void)capos_op_wait(&volley[i].op, CAPOS_FOREVER);
        }
    }
}

/* Nobody pressed Ctrl-C: none of many who wait for it may be told so. */
static void interrupts_forged(void)
{
    for (unsigned i = 0; i < CALLS; i++) {
        aim(&volley[i], held("terminal"), TerminalSession_ID,
            TerminalSession_wait_interrupt_ORDINAL);
        volley[i].op.sqe.deadline_ns = now_ns() + 100 * MS;
        capos_op_submit(&volley[i].op);
    }
    for (unsigned i = 0; i < CALLS; i++) {
        CHECK(capos_op_wait(&volley[i].op, now_ns() + 5000 * MS));
        const struct capos_cqe *cqe = &volley[i].op.cqe;
        CHECK(cqe->result == ST_TIMED_OUT ||
              (cqe->result == ST_EXCEPTION && cqe->exception == CAPOS_EXC_OVERLOADED));
    }
}

const struct assault assaults[] = {
    {"restart-limit", "two restarts are waited for at a time; what does not wait goes on",
     restart_limit, .here = true},
    {"restart-cancelled", "a restart whose asker is gone gives its place back", restart_cancelled,
     .here = true},
    {"shutdown-malformed", "a malformed shutdown shuts nothing down", shutdown_malformed,
     .here = true},
    {"await-stop", "the newest awaitStop takes the place of the one before", await_stop_newest,
     .here = true},
    {"supervisor", "a service that attacks its own line to init gets answers, nothing else",
     supervisor, .here = true},
    {"children", "all places of the counter are taken, and free when their taker has died",
     all_children, .processes = 1},
    {"children-again", "the next one finds all of them free", all_children, .processes = 1},
    {"one-child", "there are no more capabilities of a child than the service may make", one_child,
     .processes = 1},
    {"full-client", "a capability that its receiver has no room for goes back", full_client,
     .processes = 1},
    {"child", "a counter's child and its child are attacked like the counter", child_attacked,
     .processes = 1},
    {"overflows", "a sum that does not fit is refused and changes nothing", overflows,
     .processes = 1},
    {"pages", "odd names and places of pages are told as such", odd_pages, .processes = 1},
    {"terminal-limits", "what the terminal does not take it refuses", terminal_limits,
     .processes = 1},
    {"interrupts-forged", "who waits for Ctrl-C is told of it when it is pressed, and else never",
     interrupts_forged, .processes = 1},
    {"terminal-writes", "more text than the wire takes waits for it", terminal_writes,
     .processes = 1},
    {"terminal-hog", "who writes without end keeps nobody else from writing", terminal_hog,
     .processes = 3, .killed = true},
    {0},
};
