/* SPDX-License-Identifier: MIT */
/*
 * Says each second how long the system is up, until it is ended or the seconds that were typed are over.
 *
 * Holds: timer (Timer), stdio.
 *
 * It sleeps until the next whole second of the system's time, not for a second: so it does not fall behind,
 * and a second that it missed, because others had the processor, is left out and not made up for. There is
 * no clock on the wall here: no device that knows the date is anybody's capability.
 */
#include "bytestream.client.h"
#include "capos/call.h"
#include "capos/lines.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "time.client.h"

enum { MOST_SECONDS = 86400 };

#define SECOND_NS UINT64_C(1000000000)

CAPOS_CALL_STATIC(sleep_call, Timer, sleep);

static capos_cap_t timer;
static bool over;
static int result;
static uint64_t now_s;
static uint64_t end_s = UINT64_MAX;

static void give_up(const struct capos_call *call)
{
    char text[160];
    capos_error("%s\n", capos_explain(call, text, sizeof(text)));
    over = true;
    result = 1;
}

static void show(uint64_t seconds)
{
    uint64_t days = seconds / 86400;
    if (days != 0) {
        capos_printf("up %llu days ", (unsigned long long)days);
    } else {
        capos_printf("up ");
    }
    capos_printf("%02u:%02u:%02u\n", (unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60),
                 (unsigned)(seconds % 60));
    capos_print_flush();
}

/* ---- the next second ---- */

static void tick(struct capos_op *op);

static void sleep_until(uint64_t second)
{
    capos_call_begin(&sleep_call, timer);
    Timer_sleep_params_set_until_ns(Timer_sleep_begin(&sleep_call), second * SECOND_NS);
    sleep_call.op.done = tick;
    (void)Timer_sleep_submit(&sleep_call);
}

static void tick(struct capos_op *op)
{
    Timer_sleep_results_r results;
    (void)op;
    if (sleep_call.status != ST_OK || Timer_sleep_results(&sleep_call, &results) != ST_OK) {
        give_up(&sleep_call);
        return;
    }
    now_s = Timer_sleep_results_get_now_ns(results) / SECOND_NS;
    show(now_s);
    if (now_s >= end_s) {
        over = true;
    } else {
        sleep_until(now_s + 1);
    }
}

/* ---- what is typed ---- */

/* The number on a line; 0: it is none from 1 to a day. */
static uint64_t number_of(const char *text, size_t len)
{
    uint64_t number = 0;
    while (len > 0 && text[len - 1] == ' ') {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || number > MOST_SECONDS) {
            return 0;
        }
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    return number <= MOST_SECONDS ? number : 0;
}

static bool typed(const char *text, size_t len)
{
    uint64_t number = text == NULL ? 0 : number_of(text, len);
    if (number != 0) {
        end_s = now_s + number;
    } else {
        capos_printf("a number of seconds from 1 to %d is needed\n", (int)MOST_SECONDS);
        capos_print_flush();
    }
    return true;
}

/* Nothing more can be typed to a program in the background: it goes on without. */
static struct capos_lines lines = {.line = typed};

int capos_main(void)
{
    timer = CAPOS_NEED("timer", Timer);
    capos_cap_t stdio = capos_capset_try("stdio", ByteStream_ID);
    uint64_t now_ns;
    status_t status = Timer_now(timer, &now_ns);
    if (status != ST_OK) {
        char text[160];
        capos_error("%s\n", capos_explain_status("Timer", "now", status, text, sizeof(text)));
        return 1;
    }
    capos_printf("Ctrl-C ends the clock; a number and Enter ends it after so many seconds.\n");
    now_s = now_ns / SECOND_NS;
    show(now_s);
    sleep_until(now_s + 1);
    if (stdio != 0) {
        (void)capos_lines_start(&lines, stdio);
    }
    while (!over) {
        capos_step(CAPOS_FOREVER);
    }
    return result;
}
