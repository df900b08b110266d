/* SPDX-License-Identifier: MIT */
/*
 * Runs until it is ended from outside: something to interrupt, kill and wait for.
 *
 * Holds: timer (Timer, if granted), stdio. With a timer it says once a second that it is there;
 * without one it repeats what is typed, and when nothing more can be typed it waits for the end of
 * its stdio.
 */
#include "bytestream.client.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "time.client.h"

static int sleep_for_ever(capos_cap_t timer)
{
    uint64_t now_ns;
    for (unsigned second = 1; Timer_now(timer, &now_ns) == ST_OK; second++) {
        if (Timer_sleep(timer, now_ns + UINT64_C(1000000000), &now_ns) != ST_OK) {
            break;
        }
        capos_printf("still here after %u s\n", second);
    }
    return 1;
}

static int repeat(capos_cap_t stdio)
{
    bool end = false;
    while (!end) {
        CAPOS_CALL(call, ByteStream, read);
        capos_call_begin(&call, stdio);
        ByteStream_read_params_set_max_bytes(ByteStream_read_begin(&call), 256);
        ByteStream_read_results_r results;
        if (ByteStream_read_call(&call) != ST_OK ||
            ByteStream_read_results(&call, &results) != ST_OK) {
            return 1;
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
    return capos_op_run(&wait) < 0 ? 1 : 0;
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
    return stdio != 0 ? repeat(stdio) : 2;
}
