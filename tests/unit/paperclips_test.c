/* SPDX-License-Identifier: MIT */
/* The rules of the paperclip business. */
#include "tests/unit/test.h"

#include "apps/paperclips/business.h"

static struct business business;

TEST(paperclips_begin, "a business begins with a spool of wire, no money, and a price")
{
    business_begin(&business);
    CHECK_EQ(business.wire, 1000);
    CHECK_EQ(business.funds_cents, 0);
    CHECK_EQ(business.price_cents, 25);
    CHECK_EQ(business_demand_milli(&business), 400);
}

TEST(paperclips_sold, "clips made by hand are sold as they are wanted, and no others")
{
    business_begin(&business);
    CHECK_EQ(business_make(&business, 10), BUSINESS_OK);
    CHECK_EQ(business.wire, 990);
    business_advance(&business, 2); /* 0.8 clips are wanted */
    CHECK_EQ(business.unsold, 10);
    business_advance(&business, 3);
    CHECK_EQ(business.unsold, 9);
    CHECK_EQ(business.funds_cents, 25);
    business_advance(&business, 25);
    CHECK_EQ(business.unsold, 0);
    business_advance(&business, 1000);
    CHECK_EQ(business.funds_cents, 250);
    CHECK_EQ(business.clips, 10);
    CHECK_EQ(business.seconds, 1000);
    business_advance(&business, 5); /* time does not go back */
    CHECK_EQ(business.seconds, 1000);
}

TEST(
    paperclips_price,
    "a price twice as high is asked by a quarter of the people; marketing adds as many as at first")
{
    business_begin(&business);
    CHECK_EQ(business_price(&business, 50), BUSINESS_OK);
    CHECK_EQ(business_demand_milli(&business), 100);
    CHECK_EQ(business_price(&business, 1), BUSINESS_OK);
    CHECK_EQ(business_demand_milli(&business), 250000);
    CHECK_EQ(business_price(&business, 501), BUSINESS_OK);
    CHECK_EQ(business_demand_milli(&business), 0);
    business.funds_cents = 10000;
    CHECK_EQ(business_price(&business, 5), BUSINESS_OK);
    CHECK_EQ(business_buy(&business, GOOD_MARKETING_LEVEL, 1), BUSINESS_OK);
    CHECK_EQ(business_demand_milli(&business), 20000);
    CHECK_EQ(business_cents_of(&business, GOOD_MARKETING_LEVEL), 20000);
}

TEST(paperclips_clippers,
     "a clipper bends a clip each second until there is no wire; the next one costs a tenth more")
{
    business_begin(&business);
    business.funds_cents = 1050;
    CHECK_EQ(business_buy(&business, GOOD_CLIPPER_MORE, 2), BUSINESS_OK); /* 500 and 550 */
    CHECK_EQ(business.funds_cents, 0);
    CHECK_EQ(business.clipper_cents, 605);
    CHECK_EQ(business_price(&business, 1000), BUSINESS_OK); /* nobody wants any */
    business_advance(&business, 10);
    CHECK_EQ(business.clips, 20);
    business_advance(&business, UINT64_C(1) << 60); /* for ever, at once */
    CHECK_EQ(business.clips, 1000);
    CHECK_EQ(business.wire, 0);
    CHECK_EQ(business.unsold, 1000);
}

static void check_refused(enum business_answer got, enum business_answer wanted,
                          const struct business *before)
{
    CHECK_EQ(got, wanted);
    CHECK_MEM_EQ(before, &business, sizeof(business));
}

TEST(paperclips_refused, "what cannot be made, bought or asked is refused and changes nothing")
{
    business_begin(&business);
    business.funds_cents = 2999;
    struct business before = business;
    check_refused(business_make(&business, 0), BUSINESS_BAD_COUNT, &before);
    check_refused(business_make(&business, 11), BUSINESS_BAD_COUNT, &before);
    check_refused(business_price(&business, 0), BUSINESS_BAD_PRICE, &before);
    check_refused(business_price(&business, 10001), BUSINESS_BAD_PRICE, &before);
    check_refused(business_buy(&business, 3, 1), BUSINESS_NO_SUCH_GOOD, &before);
    check_refused(business_buy(&business, GOOD_WIRE_SPOOL, 0), BUSINESS_BAD_COUNT, &before);
    check_refused(business_buy(&business, GOOD_WIRE_SPOOL, 101), BUSINESS_BAD_COUNT, &before);
    check_refused(business_buy(&business, GOOD_WIRE_SPOOL, 2), BUSINESS_NO_MONEY, &before);
    business.wire = before.wire = 9;
    check_refused(business_make(&business, 10), BUSINESS_NO_WIRE, &before);
    business.unsold = before.unsold = STORE_MOST - 5;
    check_refused(business_make(&business, 6), BUSINESS_STORE_FULL, &before);
    business.wire = before.wire = STORE_MOST - 500;
    check_refused(business_buy(&business, GOOD_WIRE_SPOOL, 1), BUSINESS_STORE_FULL, &before);
}

TEST(paperclips_most,
     "nothing wraps: what there can be most of is refused beyond, and money and clips stay at most")
{
    business_begin(&business);
    for (unsigned i = 0; i < CLIPPERS_MOST; i++) {
        business.funds_cents = BUSINESS_MOST;
        CHECK_EQ(business_buy(&business, GOOD_CLIPPER_MORE, 1), BUSINESS_OK);
    }
    CHECK(business.clipper_cents < BUSINESS_MOST);
    CHECK_EQ(business_buy(&business, GOOD_CLIPPER_MORE, 1), BUSINESS_NO_MORE);
    for (unsigned i = 1; i < MARKETING_MOST; i++) {
        business.funds_cents = BUSINESS_MOST;
        CHECK_EQ(business_buy(&business, GOOD_MARKETING_LEVEL, 1), BUSINESS_OK);
    }
    CHECK(business.marketing_cents < BUSINESS_MOST);
    CHECK_EQ(business_buy(&business, GOOD_MARKETING_LEVEL, 1), BUSINESS_NO_MORE);
    business.funds_cents = BUSINESS_MOST - 1;
    business.clips = BUSINESS_MOST - 1;
    business.wire = STORE_MOST;
    CHECK_EQ(business_price(&business, 5), BUSINESS_OK);
    business_advance(&business, 1000);
    CHECK_EQ(business.funds_cents, BUSINESS_MOST);
    CHECK_EQ(business.clips, BUSINESS_MOST);
}

TEST(paperclips_looked_at, "what becomes of it does not depend on how often somebody looks")
{
    static const uint32_t prices[] = {1, 5, 7, 25, 33, 500, 501};
    for (unsigned i = 0; i < sizeof(prices) / sizeof(prices[0]); i++) {
        business_begin(&business);
        business.clippers = 3;
        CHECK_EQ(business_price(&business, prices[i]), BUSINESS_OK);
        CHECK_EQ(business_make(&business, 10), BUSINESS_OK);
        struct business often = business;
        business_advance(&business, 5000);
        for (uint64_t second = 1; second <= 5000; second++) {
            business_advance(&often, second);
        }
        CHECK_MEM_EQ(&business, &often, sizeof(often));
    }
}
