/* SPDX-License-Identifier: MIT */
/*
 * The paperclip business: an object whose state is its server's and goes on by itself.
 *
 * Holds: serve (Endpoint), timer (Timer), supervisor.
 *
 * Nothing runs while nobody calls: each call first lets the business come to the present (business.h).
 * An upgrade hands it over, the age it has on the monotonic clock included; a kill begins a new one.
 */
#include "apps/paperclips/business.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "endpoint.client.h"
#include "lib/base/string.h"
#include "paperclips.client.h"
#include "time.client.h"

enum { MESSAGE_BYTES = 256, REQUESTS = 4 };

#define SECOND_NS UINT64_C(1000000000)

/* All there is to know: what a successor is given. */
static struct {
    uint64_t began_ns;
    struct business business;
} all;

static capos_cap_t timer;

/* Lets the business come to the present. */
static bool advance(struct capos_request *req)
{
    uint64_t now_ns;
    status_t status = Timer_now(timer, &now_ns);
    if (status != ST_OK) {
        capos_fail(req, CAPOS_EXC_FAILED, "what time it is cannot be told: %s",
                   status_name(status));
        return false;
    }
    business_advance(&all.business, (now_ns - all.began_ns) / SECOND_NS);
    return true;
}

static void show(Business_b results)
{
    const struct business *business = &all.business;
    Business_set_clips(results, business->clips);
    Business_set_unsold(results, business->unsold);
    Business_set_wire(results, business->wire);
    Business_set_funds_cents(results, business->funds_cents);
    Business_set_price_cents(results, business->price_cents);
    Business_set_demand_per_minute(results, business_demand_milli(business) * 60 / 1000);
    Business_set_clippers(results, business->clippers);
    Business_set_marketing(results, business->marketing);
    Business_set_wire_cents(results, business_cents_of(business, GOOD_WIRE_SPOOL));
    Business_set_clipper_cents(results, business_cents_of(business, GOOD_CLIPPER_MORE));
    Business_set_marketing_cents(results, business_cents_of(business, GOOD_MARKETING_LEVEL));
    Business_set_seconds(results, business->seconds);
}

static enum capos_outcome answered(struct capos_request *req, enum business_answer answer,
                                   Business_b results)
{
    if (answer != BUSINESS_OK) {
        bool wrong = answer == BUSINESS_BAD_COUNT || answer == BUSINESS_BAD_PRICE ||
                     answer == BUSINESS_NO_SUCH_GOOD;
        return capos_fail(req, wrong ? CAPOS_EXC_INVALID_ARGUMENT : CAPOS_EXC_FAILED, "%s",
                          business_answer_text(answer));
    }
    show(results);
    return CAPOS_REPLY;
}

static enum capos_outcome do_status(struct capos_request *req, Paperclips_status_params_r params,
                                    Paperclips_status_results_b results)
{
    (void)params;
    return advance(req) ? answered(req, BUSINESS_OK, results) : CAPOS_REPLY;
}

static enum capos_outcome do_make(struct capos_request *req, Paperclips_make_params_r params,
                                  Paperclips_make_results_b results)
{
    uint32_t count = Paperclips_make_params_get_count(params);
    return advance(req) ? answered(req, business_make(&all.business, count), results) : CAPOS_REPLY;
}

static enum capos_outcome do_buy(struct capos_request *req, Paperclips_buy_params_r params,
                                 Paperclips_buy_results_b results)
{
    uint32_t what = (uint32_t)Paperclips_buy_params_get_what(params);
    uint32_t count = Paperclips_buy_params_get_count(params);
    return advance(req) ? answered(req, business_buy(&all.business, what, count), results)
                        : CAPOS_REPLY;
}

static enum capos_outcome do_price(struct capos_request *req, Paperclips_price_params_r params,
                                   Paperclips_price_results_b results)
{
    uint32_t cents = Paperclips_price_params_get_cents(params);
    return advance(req) ? answered(req, business_price(&all.business, cents), results)
                        : CAPOS_REPLY;
}

static status_t begin_business(void)
{
    business_begin(&all.business);
    return Timer_now(timer, &all.began_ns);
}

static enum capos_outcome do_reset(struct capos_request *req, Paperclips_reset_params_r params,
                                   Paperclips_reset_results_b results)
{
    (void)params;
    if (!advance(req)) {
        return CAPOS_REPLY;
    }
    (void)begin_business(); /* the clock has just answered */
    return answered(req, BUSINESS_OK, results);
}

static const struct Paperclips_server operations = {
    .status_ = do_status,
    .make = do_make,
    .buy = do_buy,
    .price = do_price,
    .reset = do_reset,
};

static const struct capos_interface interfaces[] = {
    {Paperclips_ID, Paperclips_dispatch, &operations},
};

CAPOS_SERVER_STORAGE(storage, REQUESTS, MESSAGE_BYTES, MESSAGE_BYTES, 0);
static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = 1,
    .request_count = REQUESTS,
    .params_max_bytes = MESSAGE_BYTES,
    .reply_max_bytes = MESSAGE_BYTES,
};

int capos_main(void)
{
    bool carried;
    capos_cap_t endpoint = CAPOS_NEED("serve", Endpoint);
    timer = CAPOS_NEED("timer", Timer);
    status_t status = capos_carry_over(&server, &all, sizeof(all), &carried);
    if (status == ST_OK && !carried) {
        status = begin_business();
    }
    if (status != ST_OK) {
        return capos_serve_refused(status);
    }
    return capos_serve(&server, endpoint, storage, sizeof(storage));
}
