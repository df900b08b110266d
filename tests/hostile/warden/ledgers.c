/* SPDX-License-Identifier: MIT */
/* Carves without end, limits moved where they may not go, donations misused, and death with all that. */
#include "annotations.capnp.h"
#include "capos/start.h"
#include "case.h"
#include "endpoint.capnp.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"

enum { MANY = 400, DEEP = 40 };

static capos_cap_t made[MANY];
static uint64_t result[64];
static uint64_t words[160];
static struct capnp_builder builder;

/* What is in `builder`, with one capability beside it unless that is 0. */
static struct capos_cqe send(capos_cap_t ledger, uint16_t method, capos_cap_t beside)
{
    size_t len = 0;
    CHECK_EQ(capnp_finish(&builder, &len), CAPNP_OK);
    struct capos_sqe sqe =
        raw_call_sqe(ledger, Ledger_ID, method, words, (uint32_t)len, result, sizeof(result));
    if (beside != 0) {
        uint64_t *area = &words[len / 8];
        struct capos_transfer xfer = {.cap = beside};
        area[0] = raw.sequence++;
        memcpy(area + 1, &xfer, sizeof(xfer));
        sqe.xfer_count = 1;
    }
    return raw_do(sqe);
}

static void fill(Limit_list_b list, unsigned ledger_class, uint64_t amount)
{
    Limit_set_ledger_class(Limit_list_b_at(list, 0), (enum LedgerClass)ledger_class);
    Limit_set_amount(Limit_list_b_at(list, 0), amount);
}

static struct capos_cqe carve(capos_cap_t ledger, unsigned ledger_class, uint64_t amount)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_carve_params_b params = Ledger_carve_params_init(&builder);
    Ledger_carve_params_set_name(params, "hostile", 7);
    fill(Ledger_carve_params_init_limits(params, 1), ledger_class, amount);
    return send(ledger, Ledger_carve_ORDINAL, 0);
}

static status_t move_limits(capos_cap_t ledger, uint16_t method, capos_cap_t child,
                            unsigned ledger_class, uint64_t amount)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_grow_params_b params = Ledger_grow_params_init(&builder);
    fill(Ledger_grow_params_init_limits(params, 1), ledger_class, amount);
    int32_t got = send(ledger, method, child).result;
    return got >= 0 ? ST_OK : got;
}

static status_t revoke_at(capos_cap_t ledger, capos_cap_t child, uint64_t until_ns)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_revoke_params_b params = Ledger_revoke_params_init(&builder);
    Ledger_revoke_params_set_until_ns(params, until_ns);
    int32_t got = send(ledger, Ledger_revoke_ORDINAL, child).result;
    return got >= 0 ? ST_OK : got;
}

static struct capos_cqe mint_on(capos_cap_t ledger, capos_cap_t endpoint, uint64_t key)
{
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_mint_params_b params = Ledger_mint_params_init(&builder);
    Ledger_mint_params_set_key(params, key);
    Ledger_mint_params_set_interface(params, HOSTILE_INTERFACE);
    Ledger_mint_params_set_methods(params, 1);
    return send(ledger, Ledger_mint_ORDINAL, endpoint);
}

static capos_cap_t good_carve(capos_cap_t ledger, unsigned ledger_class, uint64_t amount)
{
    struct capos_cqe cqe = carve(ledger, ledger_class, amount);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

/* Kernel pages given away until none is left, three times over. */
static int64_t carve_storm(void)
{
    struct usage before;
    unsigned first = 0;
    usage_now(&before);
    for (unsigned round = 0; round < 3; round++) {
        unsigned count = 0;
        struct capos_cqe cqe;
        while ((cqe = carve(held("ledger"), LEDGER_CLASS_KERNEL_PAGES, 3)).result >= 0) {
            CHECK(count < MANY);
            made[count++] = cqe.first_cap;
        }
        CHECK_EQ(cqe.result, ST_QUOTA);
        CHECK_EQ(raw_quota_class(), LEDGER_CLASS_KERNEL_PAGES);
        CHECK(count > 3 && (round == 0 || count == first));
        first = count;
        for (unsigned i = 0; i < count; i++) {
            CHECK_EQ(release(made[i]), ST_OK);
        }
        CHECK_USAGE(&before);
    }
    return 0;
}

/* A chain as deep as it goes, let go of from its top: what closes gives back through the closed. */
static int64_t carve_deep(void)
{
    struct usage before;
    usage_now(&before);
    unsigned depth = 0;
    capos_cap_t at = held("ledger");
    struct capos_cqe cqe;
    while ((cqe = carve(at, LEDGER_CLASS_KERNEL_PAGES, 80 - 2 * depth)).result >= 0) {
        CHECK(depth < DEEP);
        at = made[depth++] = cqe.first_cap;
    }
    CHECK_EQ(cqe.result, ST_BAD_STATE);
    capos_cap_t note;
    CHECK_EQ(new_notification(at, &note), ST_OK);
    for (unsigned i = 0; i < depth; i++) {
        CHECK_EQ(release(made[i]), ST_OK);
    }
    CHECK_EQ(release(note), ST_OK);
    CHECK_USAGE(&before);
    return 0;
}

/* Limits of ledgers that are nobody's, one's own, a sibling's, a grandchild's, a dead one's. */
static int64_t foreign(void)
{
    capos_cap_t own = held("ledger"), note;
    CHECK_EQ(new_notification(own, &note), ST_OK);
    capos_cap_t child = good_carve(own, LEDGER_CLASS_KERNEL_PAGES, 4);
    capos_cap_t sibling = good_carve(own, LEDGER_CLASS_KERNEL_PAGES, 4);
    capos_cap_t grandchild = good_carve(child, LEDGER_CLASS_KERNEL_PAGES, 1);
    const struct {
        capos_cap_t parent, child;
        status_t want;
    } rows[] = {
        {own, own, ST_NOT_TRANSFERABLE},    {own, note, ST_WRONG_INTERFACE},
        {own, grandchild, ST_BAD_ARGUMENT}, {child, child, ST_BAD_ARGUMENT},
        {child, sibling, ST_BAD_ARGUMENT},  {grandchild, child, ST_BAD_ARGUMENT},
        {own, 0, ST_BAD_ARGUMENT},          {own, UINT64_C(77777) << 24, ST_BAD_CAP},
    };
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_EQ(move_limits(rows[i].parent, Ledger_grow_ORDINAL, rows[i].child, 1, 1),
                 rows[i].want);
        CHECK_EQ(move_limits(rows[i].parent, Ledger_shrink_ORDINAL, rows[i].child, 1, 1),
                 rows[i].want);
        CHECK_EQ(revoke_at(rows[i].parent, rows[i].child, 0), rows[i].want);
    }
    CHECK_EQ(move_limits(own, Ledger_grow_ORDINAL, child, LEDGER_CLASS_COUNT, 1), ST_BAD_ARGUMENT);
    CHECK_EQ(move_limits(own, Ledger_grow_ORDINAL, child, LEDGER_CLASS_FRAMES, UINT64_MAX),
             ST_QUOTA);
    CHECK_EQ(move_limits(own, Ledger_shrink_ORDINAL, child, LEDGER_CLASS_KERNEL_PAGES, 4),
             ST_QUOTA);
    CHECK_EQ(revoke_at(own, child, now_ns() + UINT64_C(3600000000000)), ST_BAD_ARGUMENT);
    CHECK_USAGE(&before);
    CHECK_EQ(revoke_at(own, child, 0), ST_OK);
    CHECK_EQ(revoke_at(own, child, 0), ST_DISCONNECTED);
    CHECK_EQ(carve(grandchild, LEDGER_CLASS_FRAMES, 1).result, ST_DISCONNECTED);
    CHECK_WORKS();
    return 0;
}

/* The facet of a server opens nothing but mint and newMemoryObject. */
static int64_t charge_only(void)
{
    capos_cap_t donated, whole = good_carve(held("ledger"), LEDGER_CLASS_KERNEL_PAGES, 4);
    CHECK_EQ(attenuate(held("capabilities"), whole, LedgerDonation_FACET, &donated), ST_OK);
    for (unsigned method = 0; method < 64; method++) {
        if ((LedgerDonation_FACET >> method & 1) == 0) {
            CHECK_EQ(raw_do(raw_call_sqe(donated, Ledger_ID, (uint16_t)method, NULL, 0, result,
                                         sizeof(result)))
                         .result,
                     ST_NO_METHOD);
        }
    }
    CHECK_EQ(carve(donated, LEDGER_CLASS_FRAMES, 0).result, ST_NO_METHOD);
    return 0;
}

/* Used up, revoked, and left behind with its end to come; the process goes before it does. */
static int64_t donation_left(void)
{
    capos_cap_t endpoint, own = held("ledger");
    CHECK_EQ(new_endpoint(own, 64, 0, &endpoint), ST_OK);
    for (unsigned round = 0; round < 8; round++) {
        capos_cap_t donated = good_carve(own, LEDGER_CLASS_SERVED_OBJECTS, 5);
        CHECK_EQ(move_limits(own, Ledger_grow_ORDINAL, donated, LEDGER_CLASS_KERNEL_PAGES, 2),
                 ST_OK);
        for (unsigned i = 0; i < 5; i++) {
            CHECK(mint_on(donated, endpoint, i).result >= 0);
        }
        CHECK_EQ(mint_on(donated, endpoint, 5).result, ST_QUOTA);
        CHECK_EQ(raw_quota_class(), LEDGER_CLASS_SERVED_OBJECTS);
        CHECK_EQ(revoke_at(own, donated, now_ns() + UINT64_C(100000000) * (round % 4)), ST_OK);
        CHECK_EQ(mint_on(donated, endpoint, 6).result, ST_DISCONNECTED);
    }
    return 0;
}

/* The time of a revoked donation comes while its objects are called, by whom it may. */
static int64_t donation_ends(void)
{
    capos_cap_t endpoint, own = held("ledger");
    CHECK_EQ(new_endpoint(own, 64, 0, &endpoint), ST_OK);
    capos_cap_t donated = good_carve(own, LEDGER_CLASS_SERVED_OBJECTS, 5);
    CHECK_EQ(move_limits(own, Ledger_grow_ORDINAL, donated, LEDGER_CLASS_KERNEL_PAGES, 2), ST_OK);
    struct capos_cqe cqe = mint_on(donated, endpoint, 1);
    CHECK(cqe.result >= 0);
    capos_cap_t object = cqe.first_cap, ours;
    CHECK_EQ(mint(endpoint, 2, 1, 0, &ours), ST_OK);
    uint64_t dying = raw_start(raw_call_sqe(object, HOSTILE_INTERFACE, 0, NULL, 0, result, 8));
    uint64_t living = raw_start(raw_call_sqe(ours, HOSTILE_INTERFACE, 0, NULL, 0, result, 8));
    CHECK_EQ(revoke_at(own, donated, now_ns() + 20000000), ST_OK);
    CHECK_EQ(raw_wait(dying).result, ST_DISCONNECTED);
    CHECK(!raw_poll(living, &cqe));
    CHECK_EQ(raw_do(raw_call_sqe(object, HOSTILE_INTERFACE, 0, NULL, 0, result, 8)).result,
             ST_DISCONNECTED);
    return 0;
}

const struct hostile_case ledger_cases[] = {
    CASE("ledger.storm", carve_storm, "carves run out of what they are carved from"),
    CASE("ledger.deep", carve_deep, "ledgers nest so deep and no deeper"),
    CASE("ledger.foreign", foreign, "only one's own children are grown, shrunk and revoked"),
    CASE("ledger.facet", charge_only, "a donation only takes charges"),
    CASE("ledger.left", donation_left, "a donor that dies leaves nothing behind"),
    CASE("ledger.ends", donation_ends, "a donation's end ends what was minted on it, and no more"),
    {.name = NULL},
};
