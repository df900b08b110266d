/* SPDX-License-Identifier: MIT */
/*
 * Counts on a counter somebody else serves, ten times, and prints what it sees; with a timer it
 * pauses a little between two counts. Two of them at once show that they share one counter. When
 * the counter's server is started anew in between, its capability goes on working.
 *
 * Holds: counter (Counter), timer (Timer, if granted), stdio.
 */
#include "capos/call.h"
#include "capos/print.h"
#include "capos/start.h"
#include "counter.client.h"
#include "time.client.h"

enum { ROUNDS = 10, ATTEMPTS = 20, PAUSE_MS = 100 };

static void rest(capos_cap_t timer)
{
    uint64_t now_ns;
    if (timer != 0 && Timer_now(timer, &now_ns) == ST_OK) {
        Timer_sleep(timer, now_ns + UINT64_C(1000000) * PAUSE_MS, &now_ns);
    }
}

/* A server that ends while it works on a call disconnects that call alone: the next one may meet
 * its successor. Whether the lost one was counted nobody can know. */
static status_t count_once(capos_cap_t counter, capos_cap_t timer, int64_t *value)
{
    status_t status = ST_DISCONNECTED;
    for (unsigned i = 0; i < ATTEMPTS && status == ST_DISCONNECTED; i++) {
        if (i > 0) {
            rest(timer);
        }
        status = Counter_increment(counter, 1, value);
    }
    return status;
}

int capos_main(void)
{
    capos_cap_t counter = CAPOS_NEED("counter", Counter);
    capos_cap_t timer = capos_capset_try("timer", Timer_ID);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        int64_t value = 0;
        char text[160];
        status_t status = count_once(counter, timer, &value);
        if (status != ST_OK) {
            capos_error("count %u failed: %s\n", round,
                        capos_explain_status("Counter", "increment", status, text, sizeof(text)));
            return 1;
        }
        capos_printf("count %u: the counter is at %lld\n", round, (long long)value);
        rest(timer);
    }
    return 0;
}
