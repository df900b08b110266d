/* SPDX-License-Identifier: MIT */
#include "apps/paperclips/business.h"

#include "lib/base/bits.h"
#include "lib/base/compiler.h"

/* At a price of one cent and the first level of marketing. */
enum { DEMAND_MILLI = 250000 };

static_assert((uint64_t)DEMAND_MILLI * MARKETING_MOST + 1000 < UINT32_MAX, "a second's demand");

const char *business_answer_text(enum business_answer answer)
{
    static const char *const texts[BUSINESS_ANSWERS] = {
        [BUSINESS_OK] = "done",
        [BUSINESS_BAD_COUNT] = "too many or none at once: make 1 to 10, buy 1 to 100",
        [BUSINESS_BAD_PRICE] = "a price of 1 to 10000 cents is needed",
        [BUSINESS_NO_WIRE] = "not enough wire: buy some",
        [BUSINESS_STORE_FULL] = "the store holds 1000000 unsold clips, and wire for as many",
        [BUSINESS_NO_MONEY] = "not enough money: sell clips, or ask less for them",
        [BUSINESS_NO_MORE] = "there can be 200 clippers, and 30 levels of marketing",
        [BUSINESS_NO_SUCH_GOOD] = "no such good: wire, clipper or marketing",
    };
    return answer < BUSINESS_ANSWERS ? texts[answer] : "?";
}

void business_begin(struct business *business)
{
    *business = (struct business){
        .wire = SPOOL_CLIPS,
        .price_cents = FIRST_PRICE_CENTS,
        .marketing = 1,
        .clipper_cents = FIRST_CLIPPER_CENTS,
        .marketing_cents = FIRST_MARKETING_CENTS,
    };
}

/* A price twice as high is asked by a quarter of the people. */
uint64_t business_demand_milli(const struct business *business)
{
    uint64_t price = business->price_cents;
    return (uint64_t)DEMAND_MILLI * business->marketing / (price * price);
}

static void bend(struct business *business, uint32_t count)
{
    business->wire -= count;
    business->unsold += count;
    business->clips = min_u64(business->clips + count, BUSINESS_MOST);
}

static void sell(struct business *business)
{
    uint64_t wanted = business->wanted_milli + business_demand_milli(business);
    uint32_t sold = (uint32_t)min_u64(wanted / 1000, business->unsold);
    business->wanted_milli = (uint32_t)(wanted % 1000); /* who found none goes elsewhere */
    business->unsold -= sold;
    business->funds_cents =
        min_u64(business->funds_cents + (uint64_t)sold * business->price_cents, BUSINESS_MOST);
}

static uint32_t can_bend(const struct business *business, uint32_t count)
{
    uint64_t most = min_u64(business->wire, STORE_MOST - business->unsold);
    return (uint32_t)min_u64(most, count);
}

/* Only what is wanted of the next clip still changes, and that can be said for any time at once. */
static bool rests(const struct business *business)
{
    bool makes = business->clippers != 0 && can_bend(business, business->clippers) != 0;
    bool sells = business->unsold != 0 && business_demand_milli(business) != 0;
    return !makes && !sells;
}

void business_advance(struct business *business, uint64_t seconds)
{
    while (business->seconds < seconds && !rests(business)) {
        bend(business, can_bend(business, business->clippers));
        sell(business);
        business->seconds++;
    }
    if (business->seconds < seconds) {
        uint64_t idle = seconds - business->seconds;
        uint64_t milli = business_demand_milli(business) % 1000 * (idle % 1000);
        business->wanted_milli = (uint32_t)((business->wanted_milli + milli) % 1000);
        business->seconds = seconds;
    }
}

enum business_answer business_make(struct business *business, uint32_t count)
{
    if (count == 0 || count > MAKE_MOST) {
        return BUSINESS_BAD_COUNT;
    }
    if (business->wire < count) {
        return BUSINESS_NO_WIRE;
    }
    if (can_bend(business, count) < count) {
        return BUSINESS_STORE_FULL;
    }
    bend(business, count);
    return BUSINESS_OK;
}

uint64_t business_cents_of(const struct business *business, enum business_good good)
{
    return good == GOOD_WIRE_SPOOL     ? SPOOL_CENTS
           : good == GOOD_CLIPPER_MORE ? business->clipper_cents
                                       : business->marketing_cents;
}

/* One of them, if there is money and room. */
static enum business_answer buy_one(struct business *business, enum business_good good)
{
    uint64_t cents = business_cents_of(business, good);
    if ((good == GOOD_CLIPPER_MORE && business->clippers == CLIPPERS_MOST) ||
        (good == GOOD_MARKETING_LEVEL && business->marketing == MARKETING_MOST)) {
        return BUSINESS_NO_MORE;
    }
    if (good == GOOD_WIRE_SPOOL && business->wire + SPOOL_CLIPS > STORE_MOST) {
        return BUSINESS_STORE_FULL;
    }
    if (business->funds_cents < cents) {
        return BUSINESS_NO_MONEY;
    }
    business->funds_cents -= cents;
    if (good == GOOD_WIRE_SPOOL) {
        business->wire += SPOOL_CLIPS;
    } else if (good == GOOD_CLIPPER_MORE) {
        business->clippers++;
        business->clipper_cents += business->clipper_cents / 10;
    } else {
        business->marketing++;
        business->marketing_cents *= 2;
    }
    return BUSINESS_OK;
}

enum business_answer business_buy(struct business *business, uint32_t good, uint32_t count)
{
    struct business after = *business; /* all or none */
    if (good >= BUSINESS_GOODS) {
        return BUSINESS_NO_SUCH_GOOD;
    }
    if (count == 0 || count > BUY_MOST) {
        return BUSINESS_BAD_COUNT;
    }
    for (uint32_t i = 0; i < count; i++) {
        enum business_answer answer = buy_one(&after, (enum business_good)good);
        if (answer != BUSINESS_OK) {
            return answer;
        }
    }
    *business = after;
    return BUSINESS_OK;
}

enum business_answer business_price(struct business *business, uint32_t cents)
{
    if (cents == 0 || cents > PRICE_MOST_CENTS) {
        return BUSINESS_BAD_PRICE;
    }
    business->price_cents = cents;
    return BUSINESS_OK;
}
