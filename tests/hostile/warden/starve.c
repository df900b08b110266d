/* SPDX-License-Identifier: MIT */
/* Starts that cannot be paid for: too little for the child itself, or more than its parent has. */
#include "images.h"
#include "lib/base/fmt.h"
#include "time.client.h"
#include "warden.h"

#define BEYOND_ALL (UINT64_C(1) << 40)

static const struct {
    uint8_t ledger_class;
    uint64_t amount;
} starved[] = {
    {LEDGER_CLASS_FRAMES, 0},
    {LEDGER_CLASS_FRAMES, 5},
    {LEDGER_CLASS_KERNEL_PAGES, 0},
    {LEDGER_CLASS_KERNEL_PAGES, 3},
    {LEDGER_CLASS_KERNEL_PAGES, 7},
    {LEDGER_CLASS_SLOTS, 1},
    {LEDGER_CLASS_THREADS, 0},
    {LEDGER_CLASS_VIRTUAL_PAGES, 4},
    {LEDGER_CLASS_CALLS, 63},
    {LEDGER_CLASS_WAITERS, 63},
    {LEDGER_CLASS_TIMERS, 64},
    {LEDGER_CLASS_GRANTS, 1},
    {LEDGER_CLASS_FRAMES, BEYOND_ALL},
    {LEDGER_CLASS_KERNEL_PAGES, BEYOND_ALL},
    {LEDGER_CLASS_SLOTS, BEYOND_ALL},
    {LEDGER_CLASS_THREADS, BEYOND_ALL},
    {LEDGER_CLASS_VIRTUAL_PAGES, BEYOND_ALL},
    {LEDGER_CLASS_CALLS, BEYOND_ALL},
    {LEDGER_CLASS_SERVED_OBJECTS, BEYOND_ALL},
    {LEDGER_CLASS_WAITERS, BEYOND_ALL},
    {LEDGER_CLASS_TIMERS, BEYOND_ALL},
    {LEDGER_CLASS_GRANTS, BEYOND_ALL},
    {LEDGER_CLASS_INTERRUPTS, BEYOND_ALL},
    {LEDGER_CLASS_LOG_BYTES, UINT64_MAX},
    {LEDGER_CLASS_PROCESSES, UINT64_MAX},
    {LEDGER_CLASS_PINNED_PAGES, BEYOND_ALL},
    {LEDGER_CLASS_DMA_PAGES, BEYOND_ALL},
    {LEDGER_CLASS_CPU_NS, BEYOND_ALL},
};

bool starved_spawns(char *detail)
{
    const struct grant_source timer = {HOLD_TIMER, "timer", warden.timer, 0, Timer_ID, 0};
    for (unsigned i = 0; i < ARRAY_LEN(starved); i++) {
        struct child child;
        const struct limit limits[CASE_LIMITS] = {
            {starved[i].ledger_class, true, starved[i].amount}};
        status_t status = start_child(&child, "starved", HOLD_TIMER, &timer, 1, limits);
        end_child(&child);
        if (status != ST_QUOTA) {
            (void)fmt_format(detail, WARDEN_DETAIL_BYTES, "class %u limited to %llu: %s",
                             starved[i].ledger_class, (unsigned long long)starved[i].amount,
                             status_name(status));
            return false;
        }
    }
    return true;
}
