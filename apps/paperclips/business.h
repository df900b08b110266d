/* SPDX-License-Identifier: MIT */
/*
 * The rules of the paperclip business, in whole numbers.
 *
 * Time passes in whole seconds since the business began, each a step: first every clipper bends a clip if
 * there is wire and room in the store, then so many are sold as are wanted and there. What becomes of the
 * business does not depend on how often somebody looks. A step changes nothing once nothing can be made and
 * nothing sold; those are not counted one by one.
 *
 * Nothing wraps: amounts stay within BUSINESS_MOST, what would go beyond is lost (clips and money counted)
 * or refused (what is bought or made).
 */
#ifndef CAPOS_PAPERCLIPS_BUSINESS_H
#define CAPOS_PAPERCLIPS_BUSINESS_H

#include <stdbool.h>
#include <stdint.h>

#define BUSINESS_MOST UINT64_C(1000000000000000) /* cents, clips in all */

enum {
    STORE_MOST = 1000000, /* unsold clips; wire */
    SPOOL_CLIPS = 1000,
    SPOOL_CENTS = 1500,
    FIRST_CLIPPER_CENTS = 500,
    CLIPPERS_MOST = 200,
    FIRST_MARKETING_CENTS = 10000,
    MARKETING_MOST = 30,
    FIRST_PRICE_CENTS = 25,
    PRICE_MOST_CENTS = 10000,
    MAKE_MOST = 10,
    BUY_MOST = 100,
};

enum business_answer {
    BUSINESS_OK,
    BUSINESS_BAD_COUNT,
    BUSINESS_BAD_PRICE,
    BUSINESS_NO_WIRE,
    BUSINESS_STORE_FULL,
    BUSINESS_NO_MONEY,
    BUSINESS_NO_MORE,
    BUSINESS_NO_SUCH_GOOD,
    BUSINESS_ANSWERS,
};

enum business_good { GOOD_WIRE_SPOOL, GOOD_CLIPPER_MORE, GOOD_MARKETING_LEVEL, BUSINESS_GOODS };

struct business {
    uint64_t clips;
    uint64_t funds_cents;
    uint64_t seconds;
    uint64_t clipper_cents; /* the next one */
    uint64_t marketing_cents;
    uint32_t unsold;
    uint32_t wire;
    uint32_t price_cents;
    uint32_t clippers;
    uint32_t marketing;
    uint32_t wanted_milli; /* below a whole clip, from the seconds before */
};

/* What a refusal says to the person. */
const char *business_answer_text(enum business_answer answer);

void business_begin(struct business *business);

/* Lets it come to this age; an earlier one changes nothing. */
void business_advance(struct business *business, uint64_t seconds);

/* Thousandths of a clip that are wanted each second. */
uint64_t business_demand_milli(const struct business *business);

uint64_t business_cents_of(const struct business *business, enum business_good good);

/* Each changes nothing when it is refused. */
enum business_answer business_make(struct business *business, uint32_t count);
enum business_answer business_buy(struct business *business, uint32_t good, uint32_t count);
enum business_answer business_price(struct business *business, uint32_t cents);

#endif
