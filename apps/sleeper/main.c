/* SPDX-License-Identifier: MIT */
/*
 * Runs until it is ended from outside: something to interrupt, kill and wait for.
 *
 * Holds: timer (Timer, if granted), stdio. With a timer it says once a second that it is there;
 * without one it repeats what is typed, and when nothing more can be typed it waits for the end of
 * its stdio.
 */
#include "bytestream.client.h"
#include "capos/call.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "time.client.h"

/* Says why it cannot go on. */
static int give_up(const char *interface, const char *method, status_t status)
{
    char text[160];
    capos_error("%s\n", capos_explain_status(interface, method, status, text, sizeof(text)));
    return 1;
}

static int sleep_for_ever(capos_cap_t timer)
{
    uint64_t now_ns;
    status_t status = Timer_now(timer, &now_ns);
    if (status != ST_OK) {
        return give_up("Timer", "now", status);
    }
    for (unsigned second = 1;; second++) {
        status = Timer_sleep(timer, now_ns + UINT64_C(1000000000), &now_ns);
        if (status != ST_OK) {
            return give_up("Timer", "sleep", status);
        }
        capos_printf("still here after %u s\n", second);
    }
}

static int repeat(capos_cap_t stdio)
{
    bool end = false;
    char text[160];
    while (!end) {
        CAPOS_CALL(call, ByteStream, read);
        capos_call_begin(&call, stdio);
        ByteStream_read_params_set_max_bytes(ByteStream_read_begin(&call), 256);
        ByteStream_read_results_r results;
        if (ByteStream_read_call(&call) != ST_OK) {
            capos_error("%s\n", capos_explain(&call, text, sizeof(text)));
            return 1;
        }
        status_t status = ByteStream_read_results(&call, &results);
        if (status != ST_OK) {
            return give_up("ByteStream", "read", status);
        }
        struct capnp_data data = ByteStream_read_results_get_data(results);
        end = ByteStream_read_results_get_end(results);
        if (data.len > 0) {
            capos_printf("you said: ");
            capos_write((const char *)data.ptr, data.len);
        }
        capos_call_end(&call);
    }
    capos_print_flush();
    struct capos_op wait;
    capos_op_init_wait(&wait, stdio, CAPOS_EVENT_DEAD, 0);
    status_t status = capos_op_run(&wait);
    return status < 0 ? give_up("ByteStream", "WAIT", status) : 0;
}

int capos_main(void)
{
    capos_cap_t timer = capos_capset_try("timer", Timer_ID);
    capos_cap_t stdio = capos_capset_try("stdio", ByteStream_ID);
    capos_printf("sleeping; end me with Ctrl-C or kill\n");
    capos_print_flush();
    if (timer != 0) {
        return sleep_for_ever(timer);
    }
    if (stdio != 0) {
        return repeat(stdio);
    }
    capos_error("sleeper holds neither a timer nor stdio: it has nothing to wait for\n");
    return 2;
}
