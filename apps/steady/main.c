/* SPDX-License-Identifier: MIT */
/*
 * Steady: calls a counter without a pause while its service is replaced again and again, and looks at every
 * answer. docs/how-to/upgrade.md goes through it.
 *
 * Holds: counter (Counter), control (SystemControl), stdio.
 */
#include "capos/call.h"
#include "capos/print.h"
#include "capos/start.h"
#include "counter.client.h"
#include "system_control.client.h"

enum { UPGRADES = 3, CALLS_BETWEEN = 100, FAR = 1000000 };

static int64_t expected;
static uint64_t calls;

/* Counts on; false: the call failed, or the counter was not where it was left. */
static bool count(capos_cap_t counter, int64_t by)
{
    int64_t value = 0;
    status_t status = Counter_increment(counter, by, &value);
    calls++;
    expected += by;
    if (status != ST_OK || value != expected) {
        capos_error("call %llu: %s, the counter is at %lld and not at %lld\n",
                    (unsigned long long)calls, status_name(status), (long long)value,
                    (long long)expected);
        return false;
    }
    return true;
}

/* Calls on while the service is replaced under it. */
static bool count_through_upgrade(capos_cap_t counter, capos_cap_t control)
{
    enum SystemControl_UpgradeOutcome outcome = SYSTEM_CONTROL_UPGRADE_OUTCOME_FAILED;
    CAPOS_CALL(upgrade, SystemControl, upgrade);
    status_t status = SystemControl_upgrade_send(&upgrade, control, "counter", "");
    bool good = status == ST_OK;
    while (good && !capos_poll(&upgrade)) {
        good = count(counter, 1);
    }
    status = SystemControl_upgrade_await(&upgrade, &outcome);
    for (unsigned i = 0; i < CALLS_BETWEEN && good; i++) {
        good = count(counter, 1);
    }
    if (status != ST_OK || outcome != SYSTEM_CONTROL_UPGRADE_OUTCOME_DONE) {
        capos_error("the upgrade: %s, %s\n", status_name(status),
                    SystemControl_UpgradeOutcome_name(outcome));
        return false;
    }
    return good;
}

int capos_main(void)
{
    capos_cap_t control = CAPOS_NEED("control", SystemControl);
    capos_cap_t counter = 0;
    status_t status = Counter_child(CAPOS_NEED("counter", Counter), "steady", &counter, &expected);
    int64_t far = expected + FAR;
    CAPOS_CALL(reach, Counter, reach); /* waits through all of it */
    if (status == ST_OK) {
        status = Counter_reach_send(&reach, counter, far);
    }
    bool good = status == ST_OK;
    for (unsigned i = 0; i < UPGRADES && good; i++) {
        good = count_through_upgrade(counter, control);
    }
    good = good && !capos_poll(&reach) && count(counter, far - expected);
    status = good ? Counter_reach_await(&reach, NULL) : status;
    if (!good || status != ST_OK) {
        capos_error("after %llu calls: %s\n", (unsigned long long)calls, status_name(status));
        return 1;
    }
    capos_printf("%llu calls through %d upgrades, and not one failed\n", (unsigned long long)calls,
                 (int)UPGRADES);
    return 0;
}
