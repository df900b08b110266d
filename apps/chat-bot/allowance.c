/* SPDX-License-Identifier: MIT */
#include "apps/chat-bot/allowance.h"

#include "lib/base/bits.h"

#define REFILL_NS (ALLOWANCE_REFILL_S * UINT64_C(1000000000))

void allowance_begin(struct allowance *allowance, uint64_t now_ns)
{
    *allowance = (struct allowance){.lines = ALLOWANCE_LINES, .refilled_ns = now_ns};
}

bool allowance_take(struct allowance *allowance, uint64_t now_ns)
{
    uint64_t more =
        now_ns > allowance->refilled_ns ? (now_ns - allowance->refilled_ns) / REFILL_NS : 0;
    allowance->refilled_ns += more * REFILL_NS;
    allowance->lines = (unsigned)min_u64(allowance->lines + more, ALLOWANCE_LINES);
    if (allowance->lines == 0) {
        return false;
    }
    allowance->lines--;
    return true;
}
