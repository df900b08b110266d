/* SPDX-License-Identifier: MIT */
#include "object/power.h"

#include "arch/arch.h"
#include "core/log.h"
#include "core/step.h"
#include "gen/kernel/power.kernel.h"
#include "gen/kernel/types.h"
#include "object/root.h"

status_t power_create(struct kobj **out)
{
    return root_object_create(KTYPE_POWER, out);
}

/* A clean end is an ordinary power-off; a code is something only an emulator can take. */
status_t Power_kernel_off(struct invocation *inv, Power_off_params_r params,
                          Power_off_results_b results)
{
    (void)inv;
    (void)results;
    uint8_t code = Power_off_params_get_code(params);
    STEP(report());
    klog("power off, code %u", code);
    if (code != 0) {
        log_tell_end();
        arch_debug_exit(code);
    }
    arch_power_off();
}

status_t Power_kernel_reset(struct invocation *inv, Power_reset_params_r params,
                            Power_reset_results_b results)
{
    (void)inv;
    (void)params;
    (void)results;
    klog("reset");
    arch_reset();
}
