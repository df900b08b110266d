/* SPDX-License-Identifier: MIT */
/* Capabilities beside messages: numbers, descriptors, replays, moves. */
#include "capabilities.capnp.h"
#include "capos/start.h"
#include "case.h"
#include "endpoint.capnp.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"
#include "time.capnp.h"

enum { MOST = 64 };

/* Transfer area behind an empty message. */
struct area {
    uint64_t number;
    struct capos_transfer transfers[MOST];
};

static struct area area;
static uint64_t result[32];

/* A call to the object, with `count` transfers of the area. */
static struct capos_sqe carrying(capos_cap_t object, unsigned count)
{
    struct capos_sqe sqe = raw_call_sqe(object, HOSTILE_INTERFACE, 0, &area, 0, result, 64);
    sqe.xfer_count = (uint8_t)count;
    return sqe;
}

static void number(uint64_t value)
{
    memset(&area, 0, sizeof(area));
    area.number = value;
}

static void put(unsigned i, capos_cap_t cap, unsigned mode)
{
    area.transfers[i] = (struct capos_transfer){.cap = cap, .mode = (uint16_t)mode};
}

struct place {
    capos_cap_t endpoint, object, note;
};

enum { MESSAGE_MAX = 1024, CAPS_MAX = 4, RECEIVE_BYTES = 64 + MESSAGE_MAX + 16 * CAPS_MAX };

static void set_up(struct place *place)
{
    CHECK_EQ(new_endpoint(held("ledger"), MESSAGE_MAX, CAPS_MAX, &place->endpoint), ST_OK);
    CHECK_EQ(mint(place->endpoint, 1, 1, 0, &place->object), ST_OK);
    CHECK_EQ(new_notification(held("ledger"), &place->note), ST_OK);
}

static uint64_t received[RECEIVE_BYTES / 8];

/* Receives one call and answers it with nothing; the number of capabilities that came. */
static unsigned take_one(capos_cap_t endpoint, capos_cap_t *first)
{
    struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, endpoint);
    recv.result = (uintptr_t)received;
    recv.result_len = sizeof(received);
    recv.accept_count = 8;
    struct capos_cqe cqe = raw_do(recv);
    CHECK(cqe.result >= 64);
    *first = cqe.cap_count != 0 ? cqe.first_cap : 0;
    struct capos_sqe answer = raw_sqe(CAPOS_OP_RETURN, 0);
    answer.interface = received[0];
    CHECK_EQ(raw_do(answer).result, ST_OK);
    return cqe.cap_count;
}

/* A wrong number spends nothing, whatever else is wrong; the expected one is told every time. */
static int64_t wrong_numbers(void)
{
    struct place place;
    set_up(&place);
    static const uint64_t wrong[] = {0, 2, 3, UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 32};
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        number(wrong[i]);
        put(0, place.note, CAPOS_XFER_MOVE);
        struct capos_cqe cqe = raw_do(carrying(place.object, 1));
        CHECK_EQ(cqe.result, ST_BAD_SEQUENCE);
        CHECK_EQ(cqe.flags, CAPOS_CQE_SEQUENCE);
        CHECK_EQ(cqe.expected_seq, 1);
        CHECK_EQ(raw_do(carrying(0, 1)).result, ST_BAD_SEQUENCE);
        CHECK_EQ(raw_do(carrying(place.object, 255)).result, ST_BAD_SEQUENCE);
        CHECK_EQ(raw.header->next_sequence, 1);
        CHECK_EQ(signal_bits(place.note, 1), ST_OK);
    }
    number(1);
    put(0, place.note, CAPOS_XFER_MOVE);
    uint64_t called = raw_start(carrying(place.object, 1));
    capos_cap_t got;
    CHECK_EQ(take_one(place.endpoint, &got), 1);
    CHECK_EQ(raw_wait(called).result, 0);
    CHECK_EQ(signal_bits(got, 1), ST_OK);
    CHECK_EQ(raw.header->next_sequence, 2);
    return 0;
}

/* The same entry once more: BAD_SEQUENCE, nothing moves a second time. */
static int64_t replays(void)
{
    struct place place;
    capos_cap_t got;
    set_up(&place);
    number(1);
    put(0, place.note, CAPOS_XFER_COPY);
    uint64_t called = raw_start(carrying(place.object, 1));
    for (unsigned i = 0; i < 10; i++) {
        struct capos_cqe cqe = raw_do(carrying(place.object, 1));
        CHECK_EQ(cqe.result, ST_BAD_SEQUENCE);
        CHECK_EQ(cqe.expected_seq, 2);
    }
    CHECK_EQ(take_one(place.endpoint, &got), 1);
    CHECK_EQ(raw_wait(called).result, 0);
    number(2);
    put(0, place.note, CAPOS_XFER_MOVE);
    called = raw_start(carrying(place.object, 1));
    CHECK_EQ(raw_do(carrying(place.object, 1)).result, ST_BAD_SEQUENCE);
    area.number = 3; /* the right number, for what is on its way already */
    CHECK_EQ(raw_do(carrying(place.object, 1)).result, ST_BAD_CAP);
    CHECK_EQ(take_one(place.endpoint, &got), 1);
    CHECK_EQ(raw_wait(called).result, 0);
    area.number = 4; /* and gone */
    CHECK_EQ(raw_do(carrying(place.object, 1)).result, ST_BAD_CAP);
    CHECK_EQ(raw.header->next_sequence, 5);
    CHECK_EQ(signal_bits(got, 1), ST_OK);
    return 0;
}

/* A right number is spent by the refusal that follows. */
static int64_t refusals_spend(void)
{
    struct place place;
    set_up(&place);
    uint64_t next = 1;
    struct usage before;
    usage_now(&before);
    number(next++);
    put(0, place.note, CAPOS_XFER_MOVE);
    CHECK_EQ(raw_do(carrying(0, 1)).result, ST_BAD_CAP);
    area.number = next++;
    struct capos_sqe sqe = carrying(place.object, 1);
    sqe.interface = Timer_ID;
    CHECK_EQ(raw_do(sqe).result, ST_WRONG_INTERFACE);
    area.number = next++;
    sqe = carrying(place.object, 1);
    sqe.method = 1;
    CHECK_EQ(raw_do(sqe).result, ST_NO_METHOD);
    area.number = next++;
    CHECK_EQ(raw_do(carrying(place.object, 5)).result, ST_BAD_CAP); /* descriptors 1 to 4: id 0 */
    for (unsigned i = 1; i < 5; i++) {
        put(i, place.object, CAPOS_XFER_COPY);
    }
    area.number = next++;
    CHECK_EQ(raw_do(carrying(place.object, 5)).result, ST_BAD_TRANSFER); /* the endpoint takes 4 */
    area.number = next++;
    CHECK_EQ(raw_do(carrying(place.object, 63)).result, ST_BAD_TRANSFER);
    area.number = next++;
    CHECK_EQ(raw_do(carrying(place.object, 255)).result, ST_BAD_TRANSFER);
    area.number = next++;
    sqe = CALL(held("timer"), Timer, now, &area, 0, result, 64);
    sqe.xfer_count = 1;
    CHECK_EQ(raw_do(sqe).result, ST_BAD_TRANSFER); /* the method takes none */
    CHECK_EQ(raw.header->next_sequence, next);
    CHECK_EQ(signal_bits(place.note, 1), ST_OK);
    CHECK_USAGE(&before);
    return 0;
}

static status_t send_one(capos_cap_t object, const struct capos_transfer *transfer)
{
    number(raw.sequence++);
    area.transfers[0] = *transfer;
    return raw_do(carrying(object, 1)).result;
}

static int64_t wild_descriptors(void)
{
    struct place place;
    set_up(&place);
    struct usage before;
    usage_now(&before);
    struct capos_transfer good = {.cap = place.note};
    for (unsigned kind = 1; kind < 16; kind++) {
        struct capos_transfer bad = good;
        bad.kind = (uint16_t)(1u << kind);
        CHECK_EQ(send_one(place.object, &bad), kind == 1 ? ST_UNSUPPORTED : ST_BAD_TRANSFER);
        bad = good;
        bad.mode = (uint16_t)(1u << kind);
        CHECK_EQ(send_one(place.object, &bad), ST_BAD_TRANSFER);
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        struct capos_transfer bad = good;
        bad.arg = 1u << bit;
        CHECK_EQ(send_one(place.object, &bad), ST_BAD_TRANSFER);
    }
    struct capos_transfer donation = {.cap = place.note, .kind = CAPOS_XFER_DONATION};
    CHECK_EQ(send_one(place.object, &donation), ST_UNSUPPORTED);
    static const capos_cap_t ids[] = {0, 1, UINT64_MAX, 0xffffff, UINT64_C(1) << 40};
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
        struct capos_transfer bad = {.cap = ids[i]};
        CHECK_EQ(send_one(place.object, &bad), ST_BAD_CAP);
    }
    CHECK_USAGE(&before);
    CHECK_EQ(signal_bits(place.note, 1), ST_OK);
    return 0;
}

/* What may not be handed on is not, by either mode; what may only be moved is not copied. */
static int64_t not_transferable(void)
{
    struct place place;
    capos_cap_t fixed, movable, got;
    set_up(&place);
    CHECK_EQ(mint(place.endpoint, 2, 1, TRANSFER_MODE_NONE, &fixed), ST_OK);
    CHECK_EQ(mint(place.endpoint, 3, 1, TRANSFER_MODE_MOVE, &movable), ST_OK);
    const capos_cap_t never[] = {fixed, held("ledger"), held("memory"), held("capabilities"),
                                 held("self")};
    for (unsigned i = 0; i < ARRAY_LEN(never); i++) {
        for (unsigned mode = 0; mode < 2; mode++) {
            struct capos_transfer bad = {.cap = never[i], .mode = (uint16_t)mode};
            CHECK_EQ(send_one(place.object, &bad), ST_NOT_TRANSFERABLE);
        }
    }
    struct capos_transfer copy = {.cap = movable};
    CHECK_EQ(send_one(place.object, &copy), ST_NOT_TRANSFERABLE);
    CHECK_EQ(attenuate(held("capabilities"), movable, 1, &got), ST_NOT_TRANSFERABLE);
    number(raw.sequence++);
    put(0, movable, CAPOS_XFER_MOVE);
    uint64_t called = raw_start(carrying(place.object, 1));
    CHECK_EQ(take_one(place.endpoint, &got), 1);
    CHECK_EQ(raw_wait(called).result, 0);
    CHECK_EQ(release(movable), ST_BAD_CAP);
    CHECK_EQ(release(got), ST_OK);
    return 0;
}

/* Twice in one entry: both or none, never two. */
static int64_t duplicate_moves(void)
{
    struct place place;
    capos_cap_t got;
    set_up(&place);
    struct usage before;
    usage_now(&before);
    number(raw.sequence++);
    put(0, place.note, CAPOS_XFER_MOVE);
    put(1, place.note, CAPOS_XFER_MOVE);
    CHECK_EQ(raw_do(carrying(place.object, 2)).result, ST_BAD_CAP);
    CHECK_EQ(signal_bits(place.note, 1), ST_OK);
    number(raw.sequence++);
    put(0, place.note, CAPOS_XFER_MOVE);
    put(1, place.note, CAPOS_XFER_COPY);
    CHECK_EQ(raw_do(carrying(place.object, 2)).result, ST_BAD_CAP);
    CHECK_EQ(signal_bits(place.note, 1), ST_OK);
    number(raw.sequence++);
    put(0, place.note, CAPOS_XFER_MOVE);
    put(1, place.note, 7);
    CHECK_EQ(raw_do(carrying(place.object, 2)).result, ST_BAD_TRANSFER);
    CHECK_EQ(signal_bits(place.note, 1), ST_OK);
    CHECK_USAGE(&before);
    /* The object that is called, moved away by its own call. */
    number(raw.sequence++);
    put(0, place.object, CAPOS_XFER_MOVE);
    (void)raw_start(carrying(place.object, 1));
    (void)got;
    CHECK_WORKS();
    return 0;
}

/* On its way, a moved capability is nobody's; cancelled, it is back. */
static int64_t moves_in_flight(void)
{
    struct place place;
    set_up(&place);
    struct usage before;
    usage_now(&before);
    for (unsigned round = 0; round < 20; round++) {
        number(raw.sequence++);
        put(0, place.note, CAPOS_XFER_MOVE);
        uint64_t position = raw.sq_tail;
        uint64_t called = raw_start(carrying(place.object, 1));
        CHECK_EQ(signal_bits(place.note, 1), ST_BAD_CAP);
        CHECK_EQ(release(place.note), ST_BAD_CAP);
        struct capos_transfer again = {.cap = place.note};
        CHECK_EQ(send_one(place.object, &again), ST_BAD_CAP);
        CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_CANCEL, position)).result, ST_OK);
        CHECK_EQ(raw_wait(called).result, ST_CANCELLED);
        CHECK_EQ(signal_bits(place.note, 1), ST_OK);
    }
    CHECK_USAGE(&before);
    return 0;
}

/* A copy on its way outlives the release of its original, and is gone when it is cancelled. */
static int64_t copies_in_flight(void)
{
    struct place place;
    capos_cap_t got;
    set_up(&place);
    number(raw.sequence++);
    put(0, place.note, CAPOS_XFER_COPY);
    uint64_t called = raw_start(carrying(place.object, 1));
    CHECK_EQ(release(place.note), ST_OK);
    CHECK_EQ(release(place.note), ST_BAD_CAP);
    CHECK_EQ(signal_bits(place.note, 1), ST_BAD_CAP);
    CHECK_EQ(take_one(place.endpoint, &got), 1);
    CHECK_EQ(raw_wait(called).result, 0);
    CHECK_EQ(signal_bits(got, 1), ST_OK);
    struct usage before;
    usage_now(&before);
    number(raw.sequence++);
    put(0, got, CAPOS_XFER_COPY);
    uint64_t position = raw.sq_tail;
    called = raw_start(carrying(place.object, 1));
    CHECK_EQ(release(got), ST_OK);
    CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_CANCEL, position)).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, ST_CANCELLED);
    CHECK_EQ(signal_bits(got, 1), ST_BAD_CAP);
    struct usage after;
    usage_now(&after);
    CHECK_EQ(after.used[LEDGER_CLASS_SLOTS], before.used[LEDGER_CLASS_SLOTS] - 1);
    return 0;
}

/* More capabilities than the other side takes, either way: told, and still ours. */
static int64_t too_many_back(void)
{
    struct place place;
    set_up(&place);
    number(raw.sequence++);
    put(0, place.note, CAPOS_XFER_MOVE);
    uint64_t called = raw_start(carrying(place.object, 1));
    struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, place.endpoint);
    recv.result = (uintptr_t)received;
    recv.result_len = sizeof(received);
    recv.accept_count = CAPS_MAX - 1; /* the message has but one */
    CHECK_EQ(raw_do(recv).result, ST_RESULT_TOO_SMALL);
    struct capos_cqe cqe;
    CHECK(!raw_poll(called, &cqe));
    capos_cap_t got;
    CHECK_EQ(take_one(place.endpoint, &got), 1);
    CHECK_EQ(raw_wait(called).result, 0);
    /* The answer brings one, the caller accepts none. */
    struct capos_sqe call = raw_call_sqe(place.object, HOSTILE_INTERFACE, 0, NULL, 0, result, 64);
    call.accept_count = 0;
    called = raw_start(call);
    recv.accept_count = CAPS_MAX;
    CHECK_EQ(raw_do(recv).result, 64);
    number(raw.sequence++);
    put(0, got, CAPOS_XFER_MOVE);
    struct capos_sqe answer = raw_sqe(CAPOS_OP_RETURN, 0);
    answer.interface = received[0];
    answer.params = (uintptr_t)&area;
    answer.xfer_count = 1;
    CHECK_EQ(raw_do(answer).result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(raw_wait(called).result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(signal_bits(got, 1), ST_OK);
    return 0;
}

const struct hostile_case transfer_cases[] = {
    CASE_WITH("xfer.number", wrong_numbers,
              "a wrong number spends nothing and is told the right one", 0),
    CASE_WITH("xfer.replay", replays, "a transfer happens once", 0),
    CASE_WITH("xfer.spend", refusals_spend, "a right number is spent whatever becomes of the call",
              0),
    CASE_WITH("xfer.descriptor", wild_descriptors, "no malformed descriptor moves anything", 0),
    CASE_WITH("xfer.mode", not_transferable, "what may not be handed on stays", HOLD_SELF),
    CASE_WITH("xfer.duplicate", duplicate_moves, "nothing is moved twice in one entry", 0),
    CASE_WITH("xfer.move-flight", moves_in_flight,
              "a moved capability is nobody's until it arrives or is back", 0),
    CASE_WITH("xfer.copy-flight", copies_in_flight, "a copy on its way outlives its original", 0),
    CASE_WITH("xfer.accept", too_many_back, "what is not accepted is not given", 0),
    {.name = NULL},
};
