/* SPDX-License-Identifier: MIT */
/* Grants: deriving more than there is, taking back what is not one's own, dying half-way. */
#include "capabilities.capnp.h"
#include "capos/start.h"
#include "case.h"
#include "grants.capnp.h"
#include "time.capnp.h"

enum { CROWD = 60, DEEPEST = 32 };

/* CapabilityManager.derive with these very words. */
static status_t derive_as(capos_cap_t cap, uint16_t mode, uint64_t index, uint64_t methods,
                          uint64_t deadline_ns, capos_cap_t *cap_out, capos_cap_t *grant_out)
{
    uint64_t result[16];
    struct {
        uint64_t message[4];
        uint64_t number;
        struct capos_transfer transfer;
    } params = {{ROOT(3), index, methods, deadline_ns}, raw.sequence, {.cap = cap, .mode = mode}};
    struct capos_sqe sqe =
        raw_call_sqe(held("capabilities"), CapabilityManager_ID, CapabilityManager_derive_ORDINAL,
                     &params, sizeof(params.message), result, sizeof(result));
    sqe.xfer_count = 1;
    sqe.accept_count = 2;
    struct capos_cqe cqe = raw_do(sqe);
    raw.sequence++;
    if (cqe.result < 0) {
        return cqe.result;
    }
    const struct capos_cap_record *records =
        (const struct capos_cap_record *)(const void *)&result[cqe.result / 8];
    CHECK_EQ(cqe.cap_count, 2);
    *cap_out = records[0].cap;
    *grant_out = records[1].cap;
    return ST_OK;
}

static status_t derive(capos_cap_t cap, capos_cap_t *cap_out, capos_cap_t *grant_out)
{
    return derive_as(cap, CAPOS_XFER_COPY, 0, 0, 0, cap_out, grant_out);
}

static struct capos_sqe revoking(capos_cap_t grant)
{
    return CALL(grant, GrantHandle, revoke, NULL, 0, raw_none, sizeof(raw_none));
}

static status_t revoke(capos_cap_t grant)
{
    return raw_status(revoking(grant));
}

static status_t ask_time(capos_cap_t timer)
{
    uint64_t result[4];
    return raw_status(CALL(timer, Timer, now, NULL, 0, result, sizeof(result)));
}

static int64_t lend_and_take(void)
{
    capos_cap_t cap, grant;
    struct usage before;
    CHECK_EQ(derive(held("timer"), &cap, &grant), ST_OK); /* pages come once and stay */
    CHECK_EQ(release(cap), ST_OK);
    CHECK_EQ(release(grant), ST_OK);
    usage_now(&before);
    for (unsigned i = 0; i < 200; i++) {
        CHECK_EQ(derive(held("timer"), &cap, &grant), ST_OK);
        CHECK_EQ(ask_time(cap), ST_OK);
        CHECK_EQ(revoke(grant), ST_OK);
        CHECK_EQ(ask_time(cap), ST_DISCONNECTED);
        CHECK_EQ(revoke(grant), ST_OK);
        CHECK_EQ(release(cap), ST_OK);
        CHECK_EQ(ask_time(cap), ST_BAD_CAP);
        CHECK_EQ(release(grant), ST_OK);
        CHECK_EQ(ask_time(held("timer")), ST_OK);
    }
    CHECK_USAGE(&before);
    return 0;
}

static int64_t refused(void)
{
    capos_cap_t cap, grant, out;
    struct usage before;
    CHECK_EQ(derive(held("timer"), &cap, &grant), ST_OK);
    usage_now(&before);
    capos_cap_t timer = held("timer");
    CHECK_EQ(derive_as(timer, 0, 1, 0, 0, &out, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(derive_as(timer, 0, 0, UINT64_MAX, 0, &out, &out), ST_NO_METHOD);
    CHECK_EQ(derive_as(timer, 0, 0, 0, 1, &out, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(derive_as(timer, 0, 0, 0, now_ns(), &out, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(derive_as(timer, CAPOS_XFER_MOVE, 0, 0, 0, &out, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(derive(held("capabilities"), &out, &out), ST_NOT_TRANSFERABLE);
    CHECK_EQ(derive(chance(), &out, &out), ST_BAD_CAP);
    uint64_t result[16];
    CHECK_EQ(raw_status(CALL(grant, GrantHandle, regrant, NULL, 0, result, sizeof(result))),
             ST_NO_METHOD);
    CHECK_EQ(raw_status(CALL(timer, GrantHandle, revoke, NULL, 0, result, sizeof(result))),
             ST_WRONG_INTERFACE);
    CHECK_USAGE(&before);
    CHECK_EQ(ask_time(cap), ST_OK);
    CHECK_EQ(ask_time(timer), ST_OK);
    return 0;
}

/* As many as the ledger allows, below one another as deep as it goes; the topmost takes them all. */
static void one_crowd(capos_cap_t *caps, capos_cap_t *grants, unsigned max)
{
    unsigned count;
    status_t status = derive(held("timer"), &caps[0], &grants[0]);
    for (count = 1; count < max && status == ST_OK; count++) {
        status = derive(caps[count % 7 == 0 ? 0 : count - 1], &caps[count], &grants[count]);
    }
    count--;
    CHECK_EQ(status, ST_QUOTA);
    CHECK(count > 30);
    CHECK_EQ(ask_time(caps[count - 1]), ST_OK);
    CHECK_EQ(revoke(grants[0]), ST_OK);
    for (unsigned i = 0; i < count; i++) {
        capos_cap_t out;
        CHECK_EQ(ask_time(caps[i]), ST_DISCONNECTED);
        CHECK_EQ(derive(caps[i], &out, &out), ST_DISCONNECTED);
    }
    while (count-- > 0) {
        CHECK_EQ(release(caps[count]), ST_OK);
        CHECK_EQ(release(grants[count]), ST_OK);
    }
}

static int64_t crowd(void)
{
    static capos_cap_t caps[4096], grants[4096];
    struct usage before;
    one_crowd(caps, grants, 4096); /* the table's pages come once and stay */
    usage_now(&before);
    for (unsigned i = 0; i < 5; i++) {
        one_crowd(caps, grants, 4096);
    }
    CHECK_USAGE(&before);
    return 0;
}

static int64_t deep(void)
{
    capos_cap_t caps[DEEPEST + 1], grants[DEEPEST + 1];
    capos_cap_t cap = held("timer");
    unsigned depth = 0;
    status_t status = ST_OK;
    for (; depth <= DEEPEST && status == ST_OK; depth++) {
        status = derive(cap, &caps[depth], &grants[depth]);
        cap = caps[depth];
    }
    CHECK_EQ(status, ST_BAD_STATE);
    CHECK(depth > 8);
    CHECK_EQ(ask_time(caps[depth - 2]), ST_OK);
    CHECK_EQ(revoke(grants[3]), ST_OK);
    CHECK_EQ(ask_time(caps[depth - 2]), ST_DISCONNECTED);
    CHECK_EQ(ask_time(caps[2]), ST_OK);
    return 0;
}

/* Waits begun through what is taken back end at once. */
static int64_t take_from_waits(void)
{
    capos_cap_t cap, grant;
    uint64_t tags[8];
    uint64_t result[8][4];
    CHECK_EQ(derive(held("timer"), &cap, &grant), ST_OK);
    for (unsigned i = 0; i < 8; i++) {
        tags[i] = raw_start(CALL(cap, Timer, sleep, MESSAGE(UINT64_MAX), MESSAGE_BYTES(0),
                                 result[i], sizeof(result[i])));
    }
    CHECK_EQ(revoke(grant), ST_OK);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(raw_wait(tags[i]).result, ST_DISCONNECTED);
    }
    return 0;
}

/* Places and ids that were never told; the kernel walks nowhere. */
static int64_t look_anywhere(void)
{
    capos_cap_t cap, grant;
    static uint64_t result[1100];
    CHECK_EQ(derive(held("timer"), &cap, &grant), ST_OK);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t place = i < 64 ? UINT64_C(1) << i : chance();
        struct capos_cqe cqe = raw_do(CALL(grant, GrantHandle, holders, MESSAGE(place),
                                           MESSAGE_BYTES(0), result, sizeof(result)));
        CHECK(cqe.result > 0);
        status_t status = raw_status(CALL(grant, GrantHandle, explain, MESSAGE(place, chance()),
                                          MESSAGE_BYTES(0, 0), result, sizeof(result)));
        CHECK_EQ(status, ST_NOT_FOUND);
        status =
            raw_status(CALL(held("capabilities"), CapabilityManager, explain,
                            MESSAGE(chance() << 12), MESSAGE_BYTES(0), result, sizeof(result)));
        CHECK_EQ(status, ST_NOT_FOUND);
    }
    CHECK_EQ(ask_time(cap), ST_OK);
    return 0;
}

/* A subtree that no slice ends, and its revoker is gone before the second. */
static int64_t die_revoking(void)
{
    capos_cap_t cap, grant, out;
    CHECK_EQ(derive(held("timer"), &cap, &grant), ST_OK);
    for (unsigned i = 0; i < CROWD; i++) {
        CHECK_EQ(derive(cap, &out, &out), ST_OK);
    }
    (void)raw_push(&(struct capos_sqe){.op = CAPOS_OP_NOP});
    struct capos_sqe sqe = revoking(grant);
    (void)raw_start(sqe);
    capos_sys_exit(0);
}

/* The handle is let go of, and even the original: time ends it all the same. */
static int64_t ends_in_time(void)
{
    capos_cap_t cap, grant;
    uint64_t end_ns = now_ns() + 20000000;
    CHECK_EQ(derive_as(held("timer"), 0, 0, 0, end_ns, &cap, &grant), ST_OK);
    CHECK_EQ(release(grant), ST_OK);
    struct capos_sqe dead = raw_sqe(CAPOS_OP_WAIT, cap);
    dead.method = CAPOS_EVENT_DEAD;
    CHECK_EQ(raw_do(dead).result, CAPOS_EVENT_DEAD);
    CHECK(now_ns() >= end_ns);
    CHECK_EQ(ask_time(cap), ST_DISCONNECTED);
    return 0;
}

/* Thousands that all end in the same moment, with nobody there any more. */
static int64_t leave_timers(void)
{
    capos_cap_t cap, grant;
    uint64_t end_ns = now_ns() + 30000000;
    for (unsigned i = 0; i < CROWD; i++) {
        CHECK_EQ(derive_as(held("timer"), 0, 0, 0, end_ns + chance() % 1000000, &cap, &grant),
                 ST_OK);
    }
    return 0;
}

const struct hostile_case grant_cases[] = {
    CASE("grant.lend", lend_and_take,
         "what is lent and taken back two hundred times costs nothing"),
    CASE("grant.refused", refused, "no grant is made or ended by who may not, and nothing changes"),
    CASE("grant.crowd", crowd, "all the grants a ledger allows end with the topmost"),
    CASE("grant.deep", deep,
         "a way longer than 32 grants is refused; taking back cuts it anywhere"),
    CASE("grant.waits", take_from_waits, "waits through what is taken back end at once"),
    CASE("grant.look", look_anywhere, "an inspector's places and ids may be anything"),
    CASE("grant.die", die_revoking, "a revoker that dies leaves nothing behind"),
    CASE("grant.time", ends_in_time, "a grant ends in time with nobody holding its handle"),
    CASE("grant.timers", leave_timers, "grants whose time comes after their maker's end are gone"),
    {.name = NULL},
};
