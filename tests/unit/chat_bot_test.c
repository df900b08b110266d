/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "apps/chat-bot/allowance.h"

#define SECOND_NS UINT64_C(1000000000)
#define START_NS (100 * SECOND_NS)

static struct allowance allowance;

static unsigned takes(uint64_t now_ns)
{
    unsigned count = 0;
    while (count < 100 && allowance_take(&allowance, now_ns)) {
        count++;
    }
    return count;
}

TEST(burst, "no more than the burst is said at once, and then one line for each refill")
{
    allowance_begin(&allowance, START_NS);
    CHECK_EQ(takes(START_NS), ALLOWANCE_LINES);
    CHECK_EQ(takes(START_NS + ALLOWANCE_REFILL_S * SECOND_NS - 1), 0);
    CHECK_EQ(takes(START_NS + ALLOWANCE_REFILL_S * SECOND_NS), 1);
    CHECK_EQ(takes(START_NS + 2 * ALLOWANCE_REFILL_S * SECOND_NS), 1);
}

TEST(refusal, "a refusal does not put off the next line")
{
    allowance_begin(&allowance, START_NS);
    (void)takes(START_NS);
    for (unsigned ms = 1; ms < ALLOWANCE_REFILL_S * 1000; ms++) {
        CHECK(!allowance_take(&allowance, START_NS + ms * (SECOND_NS / 1000)));
    }
    CHECK(allowance_take(&allowance, START_NS + ALLOWANCE_REFILL_S * SECOND_NS));
}

TEST(silence, "a long silence is worth one burst and no more")
{
    allowance_begin(&allowance, START_NS);
    (void)takes(START_NS);
    CHECK_EQ(takes(START_NS + 1000000 * SECOND_NS), ALLOWANCE_LINES);
    CHECK_EQ(takes(START_NS + 1000000 * SECOND_NS), 0);
}

TEST(backwards, "a time before the last gives nothing")
{
    allowance_begin(&allowance, START_NS);
    (void)takes(START_NS);
    CHECK_EQ(takes(0), 0);
    CHECK_EQ(takes(START_NS), 0);
}
