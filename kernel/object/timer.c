/* SPDX-License-Identifier: MIT */
/* Timer: now and sleep. A sleep is a record whose deadline is its purpose; it waits under its own
 * process's lock, so that sleepers do not meet. */
#include "arch/arch.h"
#include "gen/kernel/time.kernel.h"
#include "gen/status.capnp.h"
#include "object/pending.h"

status_t Timer_kernel_now(struct invocation *inv, Timer_now_params_r params,
                          Timer_now_results_b results)
{
    (void)inv;
    (void)params;
    Timer_now_results_set_now_ns(results, arch_time_ns());
    return ST_OK;
}

uint32_t Timer_quick_now(struct kobj *object, uint64_t message[])
{
    (void)object;
    message[0] = Timer_quick_now_ROOT;
    message[1] = arch_time_ns();
    return Timer_quick_now_BYTES;
}

status_t Timer_kernel_sleep(struct invocation *inv, Timer_sleep_params_r params,
                            Timer_sleep_results_b results)
{
    uint64_t until_ns = Timer_sleep_params_get_until_ns(params);
    uint64_t now_ns = arch_time_ns();
    if (until_ns <= now_ns) {
        Timer_sleep_results_set_now_ns(results, now_ns);
        return ST_OK;
    }
    bool sleeping = inv->deadline_ns == 0 || until_ns <= inv->deadline_ns;
    return invoke_wait(inv, sleeping ? until_ns : inv->deadline_ns, sleeping);
}
