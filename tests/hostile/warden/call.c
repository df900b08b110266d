/* SPDX-License-Identifier: MIT */
/* Calls and answers out of order: forged call ids, cancels, deadlines, endpoints that end. */
#include "capos/start.h"
#include "case.h"
#include "endpoint.capnp.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"
#include "time.capnp.h"

static uint64_t received[64], message[64], result[64];

struct place {
    capos_cap_t endpoint, object;
};

/* What the endpoint lets through, and what a receive needs for it. */
enum { MESSAGE_MAX = 256, CAPS_MAX = 2, RECEIVE_BYTES = 64 + MESSAGE_MAX + 16 * CAPS_MAX };

static void set_up(struct place *place)
{
    CHECK_EQ(new_endpoint(held("ledger"), MESSAGE_MAX, CAPS_MAX, &place->endpoint), ST_OK);
    CHECK_EQ(mint(place->endpoint, 9, 3, 0, &place->object), ST_OK);
}

static struct capos_sqe calling(const struct place *place)
{
    return raw_call_sqe(place->object, HOSTILE_INTERFACE, 0, message, 64, result, 64);
}

static struct capos_sqe receiving(const struct place *place)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_RECV, place->endpoint);
    sqe.result = (uintptr_t)received;
    sqe.result_len = sizeof(received);
    sqe.accept_count = CAPS_MAX;
    return sqe;
}

static struct capos_sqe answering(uint64_t call_id)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_RETURN, 0);
    sqe.interface = call_id;
    sqe.params = (uintptr_t)message;
    sqe.params_len = 64;
    return sqe;
}

static struct capos_sqe cancelling(uint64_t position)
{
    return raw_sqe(CAPOS_OP_CANCEL, position);
}

/* Only a call that this process received and has not answered can be answered. */
static int64_t forged_call_ids(void)
{
    struct place place;
    set_up(&place);
    uint64_t called = raw_start(calling(&place));
    CHECK_EQ(raw_do(receiving(&place)).result, 128);
    uint64_t call_id = received[0];
    CHECK(call_id != 0);
    static const uint64_t wild[] = {0, 1, UINT64_MAX, UINT64_C(1) << 63, 0x1fff, 0xfffff000};
    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        CHECK_EQ(raw_do(answering(wild[i])).result, ST_GONE);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        CHECK_EQ(raw_do(answering(call_id ^ UINT64_C(1) << bit)).result, ST_GONE);
    }
    for (unsigned i = 0; i < 500; i++) {
        CHECK_EQ(raw_do(answering(chance())).result, ST_GONE);
    }
    struct capos_cqe cqe;
    CHECK(!raw_poll(called, &cqe));
    CHECK_EQ(raw_do(answering(call_id)).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 64);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(raw_do(answering(call_id)).result, ST_GONE); /* answered once is answered */
    }
    return 0;
}

static int64_t wrong_returns(void)
{
    struct place place;
    set_up(&place);
    uint64_t called = raw_start(calling(&place));
    CHECK_EQ(raw_do(receiving(&place)).result, 128);
    uint64_t call_id = received[0];
    for (unsigned exception = CAPOS_EXC_COUNT; exception < 0x10000; exception = exception * 3) {
        struct capos_sqe answer = answering(call_id);
        answer.method = (uint16_t)exception;
        CHECK_EQ(raw_do(answer).result, ST_BAD_ARGUMENT);
    }
    struct capos_sqe answer = answering(call_id);
    answer.params_len = 12;
    CHECK_EQ(raw_do(answer).result, ST_BAD_MESSAGE);
    answer.params_len = 16392;
    CHECK_EQ(raw_do(answer).result, ST_TOO_LARGE);
    answer.params_len = 0xfffffff8;
    CHECK_EQ(raw_do(answer).result, ST_TOO_LARGE);
    struct capos_cqe cqe;
    CHECK(!raw_poll(called, &cqe));
    answer = answering(call_id);
    answer.method = CAPOS_EXC_OVERLOADED;
    CHECK_EQ(raw_do(answer).result, ST_OK);
    cqe = raw_wait(called);
    CHECK_EQ(cqe.result, ST_EXCEPTION);
    CHECK_EQ(cqe.flags, CAPOS_CQE_EXCEPTION);
    CHECK_EQ(cqe.exception, CAPOS_EXC_OVERLOADED);
    CHECK_EQ(cqe.cap_count, 0);
    return 0;
}

/* More than the endpoint takes is refused at submission. */
static int64_t too_large_calls(void)
{
    struct place place;
    set_up(&place);
    struct capos_sqe call = calling(&place);
    call.params_len = 264;
    CHECK_EQ(raw_do(call).result, ST_TOO_LARGE);
    call = calling(&place);
    call.accept_count = 255;
    CHECK_EQ(raw_do(call).result, ST_BAD_TRANSFER);
    call = calling(&place);
    call.method = 2;
    CHECK_EQ(raw_do(call).result, ST_NO_METHOD);
    return 0;
}

static void too_small(struct capos_sqe receive)
{
    struct capos_cqe cqe = raw_do(receive);
    CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
    CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
    CHECK_EQ(cqe.needed, RECEIVE_BYTES);
}

/* A receive without room for whatever may come is refused before any call is looked at: none is
 * taken, none is touched, nothing stays charged. */
static int64_t short_receives(void)
{
    struct place place;
    struct usage before;
    struct capos_cqe cqe;
    set_up(&place);
    usage_now(&before);
    uint64_t called = raw_start(calling(&place));
    for (uint32_t bytes = 0; bytes < RECEIVE_BYTES; bytes += 8) {
        struct capos_sqe receive = receiving(&place);
        receive.result_len = bytes;
        too_small(receive);
        receive.flags = CAPOS_SQE_INLINE; /* the payload slot alone is too small as well */
        too_small(receive);
        receive.result_len = bytes + 1 + (uint32_t)chance() % 7;
        CHECK_EQ(raw_do(receive).result, ST_BAD_MESSAGE);
    }
    for (unsigned accept = 0; accept < 256; accept++) {
        struct capos_sqe receive = receiving(&place);
        receive.accept_count = (uint8_t)accept;
        if (accept < CAPS_MAX) {
            too_small(receive);
        } else if (accept > 16) {
            CHECK_EQ(raw_do(receive).result, ST_BAD_MESSAGE);
        }
    }
    struct capos_sqe receive = receiving(&place);
    for (unsigned bit = 0; bit < 64; bit++) {
        receive.params = UINT64_C(1) << bit; /* without INLINE it names nothing */
        CHECK_EQ(raw_do(receive).result, ST_UNSUPPORTED);
    }
    receive = receiving(&place);
    receive.result = UINT64_MAX - RECEIVE_BYTES;
    CHECK_EQ(raw_do(receive).result, ST_BAD_ADDRESS);
    CHECK(!raw_poll(called, &cqe));
    receive = receiving(&place);
    receive.result_len = RECEIVE_BYTES;
    CHECK_EQ(raw_do(receive).result, 128);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 64);
    CHECK_USAGE(&before);
    return 0;
}

/* Undersized result buffers: caller and server are told, and nothing is written to the buffer. */
static int64_t short_results(void)
{
    struct place place;
    struct usage before;
    set_up(&place);
    usage_now(&before);
    memset(message, 0x5a, sizeof(message));
    for (uint32_t room = 0; room < 64; room += 8) {
        for (unsigned in_slot = 0; in_slot < 2; in_slot++) {
            memset(result, 0, sizeof(result));
            memset(raw.payload, 0, 64);
            struct capos_sqe call = calling(&place);
            call.result_len = room;
            if (in_slot) {
                call.flags = CAPOS_SQE_INLINE;
                call.params = CAPOS_PAYLOAD_SLOT_BYTES;
                call.result = 0;
            }
            uint64_t called = raw_start(call);
            CHECK_EQ(raw_do(receiving(&place)).result, 128);
            CHECK_EQ(raw_do(answering(received[0])).result, ST_RESULT_TOO_SMALL);
            struct capos_cqe cqe = raw_wait(called);
            CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
            CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
            CHECK_EQ(cqe.needed, 64);
            CHECK_EQ(raw_do(answering(received[0])).result, ST_GONE);
            for (unsigned i = 0; i < 8; i++) {
                CHECK_EQ(result[i], 0);
                CHECK_EQ(((uint64_t *)(void *)raw.payload)[i], 0);
            }
        }
    }
    CHECK_USAGE(&before);
    return 0;
}

/* Slots for what may come are charged while receives and calls wait, up to the limit of the process and
 * no further, and are given back when they end. */
static int64_t promises(void)
{
    struct place place;
    struct usage before, after;
    uint64_t armed[128], position[128];
    unsigned count = 0;
    set_up(&place);
    usage_now(&before);
    for (;;) {
        struct capos_sqe receive = receiving(&place);
        receive.accept_count = 16;
        struct capos_cqe cqe;
        position[count] = raw.sq_tail;
        armed[count] = raw_start(receive);
        if (raw_poll(armed[count], &cqe)) {
            CHECK_EQ(cqe.result, ST_QUOTA);
            CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
            CHECK_EQ(cqe.needed, LEDGER_CLASS_SLOTS);
            break;
        }
        CHECK(++count < ARRAY_LEN(armed));
    }
    CHECK(count > 0);
    usage_now(&after);
    CHECK_EQ(after.used[LEDGER_CLASS_SLOTS], before.used[LEDGER_CLASS_SLOTS] + 16 * count);
    struct capos_sqe call = calling(&place);
    call.accept_count = 16;
    CHECK_EQ(raw_do(call).result, ST_QUOTA); /* met no receive */
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQ(raw_do(cancelling(position[i])).result, ST_OK);
        CHECK_EQ(raw_wait(armed[i]).result, ST_CANCELLED);
    }
    uint64_t called = raw_start(call);
    usage_now(&after);
    CHECK_EQ(after.used[LEDGER_CLASS_SLOTS], before.used[LEDGER_CLASS_SLOTS] + 16);
    CHECK_EQ(raw_do(receiving(&place)).result, 128);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 64);
    usage_now(&after);
    CHECK_EQ(after.used[LEDGER_CLASS_SLOTS], before.used[LEDGER_CLASS_SLOTS]);
    return 0;
}

static int64_t wrong_endpoints(void)
{
    struct usage before;
    capos_cap_t out, endpoint;
    capos_cap_t ledger = held("ledger");
    usage_now(&before);
    CHECK_EQ(new_endpoint(ledger, 16392, 0, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(new_endpoint(ledger, 12, 0, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(new_endpoint(ledger, UINT32_MAX, 0, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(new_endpoint(ledger, 64, 17, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(new_endpoint(ledger, 64, UINT16_MAX, &out), ST_BAD_ARGUMENT);
    CHECK_USAGE(&before);
    CHECK_EQ(new_endpoint(ledger, 64, 0, &endpoint), ST_OK);
    usage_now(&before);
    CHECK_EQ(mint(endpoint, 1, 0, 0, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(mint(endpoint, 1, 1, 3, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(mint(endpoint, 1, 1, UINT16_MAX, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(raw_do(CALL(endpoint, Endpoint, mint, MESSAGE(1, 0, 1, 0), 40, result, 64)).result,
             ST_BAD_ARGUMENT);
    CHECK_EQ(raw_do(CALL(endpoint, Endpoint, vacant, MESSAGE(0), 16, result, 64)).result,
             ST_BAD_ARGUMENT);
    CHECK_USAGE(&before);
    return 0;
}

/* A position that is not, not any more or not yet in flight cannot be cancelled. */
static int64_t wrong_cancels(void)
{
    const uint64_t wild[] = {
        UINT64_MAX, raw.sq_tail + 1, raw.sq_tail + 1000, UINT64_C(1) << 63, UINT64_C(1) << 32,
    };
    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        CHECK_EQ(raw_do(cancelling(wild[i])).result, ST_NOT_FOUND);
    }
    for (unsigned i = 0; i < 200; i++) {
        CHECK_EQ(raw_do(cancelling(raw.sq_tail)).result, ST_NOT_FOUND); /* itself */
        CHECK_EQ(raw_do(cancelling(raw.sq_tail - 1)).result, ST_NOT_FOUND);
        CHECK_EQ(raw_do(cancelling(chance() % 64)).result, ST_NOT_FOUND);
    }
    return 0;
}

/* Cancelled in each state: one completion each, and the answer comes too late. */
static int64_t cancels(void)
{
    struct place place;
    set_up(&place);
    struct usage before;
    usage_now(&before);
    for (unsigned round = 0; round < 30; round++) {
        uint64_t at = raw.sq_tail;
        uint64_t called = raw_start(calling(&place)); /* queued */
        CHECK_EQ(raw_do(cancelling(at)).result, ST_OK);
        CHECK_EQ(raw_wait(called).result, ST_CANCELLED);
        CHECK_EQ(raw_do(cancelling(at)).result, ST_NOT_FOUND);
        at = raw.sq_tail;
        uint64_t armed = raw_start(receiving(&place)); /* receive */
        CHECK_EQ(raw_do(cancelling(at)).result, ST_OK);
        CHECK_EQ(raw_wait(armed).result, ST_CANCELLED);
        at = raw.sq_tail;
        called = raw_start(calling(&place)); /* in flight */
        CHECK_EQ(raw_do(receiving(&place)).result, 128);
        CHECK_EQ(raw_do(cancelling(at)).result, ST_OK);
        CHECK_EQ(raw_wait(called).result, ST_CANCELLED);
        CHECK_EQ(raw_do(answering(received[0])).result, ST_GONE);
        at = raw.sq_tail;
        uint64_t far_ns = UINT64_MAX / 2;
        uint64_t slept =
            raw_start(CALL(held("timer"), Timer, sleep, MESSAGE(far_ns), 16, result, 64));
        CHECK_EQ(raw_do(cancelling(at)).result, ST_OK);
        CHECK_EQ(raw_wait(slept).result, ST_CANCELLED);
    }
    CHECK_USAGE(&before);
    return 0;
}

/* A process that waits for itself is told in time. */
static int64_t deadlines(void)
{
    struct place place;
    set_up(&place);
    struct capos_sqe call = calling(&place);
    call.deadline_ns = 1;
    CHECK_EQ(raw_do(call).result, ST_TIMED_OUT);
    call.deadline_ns = now_ns() + 2000000;
    CHECK_EQ(raw_do(call).result, ST_TIMED_OUT);
    struct capos_sqe receive = receiving(&place);
    receive.deadline_ns = now_ns() + 2000000;
    CHECK_EQ(raw_do(receive).result, ST_TIMED_OUT);
    call.deadline_ns = now_ns() + 20000000;
    uint64_t called = raw_start(call);
    CHECK_EQ(raw_do(receiving(&place)).result, 128);
    CHECK_EQ(raw_wait(called).result, ST_TIMED_OUT);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_GONE);
    return 0;
}

/* An endpoint that ends takes everything that waits at it along, in whatever state. */
static int64_t destroyed(void)
{
    for (unsigned how = 0; how < 2; how++) {
        struct place place;
        struct usage before;
        usage_now(&before);
        set_up(&place);
        uint64_t in_flight = raw_start(calling(&place));
        CHECK_EQ(raw_do(receiving(&place)).result, 128);
        uint64_t call_id = received[0];
        uint64_t queued[8];
        for (unsigned i = 0; i < 8; i++) {
            queued[i] = raw_start(calling(&place));
        }
        if (how == 0) {
            CHECK_EQ(endpoint_call(place.endpoint, Endpoint_destroy_ORDINAL, NULL), ST_OK);
        } else {
            CHECK_EQ(release(place.endpoint), ST_OK); /* the last owner */
        }
        CHECK_EQ(raw_wait(in_flight).result, ST_DISCONNECTED);
        for (unsigned i = 0; i < 8; i++) {
            CHECK_EQ(raw_wait(queued[i]).result, ST_DISCONNECTED);
        }
        CHECK_EQ(raw_do(answering(call_id)).result, ST_GONE);
        CHECK_EQ(raw_do(calling(&place)).result, ST_DISCONNECTED);
        if (how == 0) {
            CHECK_EQ(raw_do(receiving(&place)).result, ST_DISCONNECTED);
            CHECK_EQ(release(place.endpoint), ST_OK);
        }
        CHECK_EQ(release(place.object), ST_OK);
        sleep_ms(20);
        CHECK_USAGE(&before);
    }
    return 0;
}

static int64_t receives_destroyed(void)
{
    struct place place;
    set_up(&place);
    uint64_t armed[16];
    for (unsigned i = 0; i < 16; i++) {
        armed[i] = raw_start(receiving(&place));
    }
    CHECK_EQ(endpoint_call(place.endpoint, Endpoint_destroy_ORDINAL, NULL), ST_OK);
    for (unsigned i = 0; i < 16; i++) {
        CHECK_EQ(raw_wait(armed[i]).result, ST_DISCONNECTED);
    }
    CHECK_EQ(endpoint_call(place.endpoint, Endpoint_destroy_ORDINAL, NULL), ST_DISCONNECTED);
    return 0;
}

/* Past its vacancy an endpoint refuses; a receive opens it again. */
static int64_t vacancies(void)
{
    struct place place;
    set_up(&place);
    uint64_t in_flight = raw_start(calling(&place));
    CHECK_EQ(raw_do(receiving(&place)).result, 128);
    uint64_t queued = raw_start(calling(&place));
    uint64_t until_ns = now_ns() + 30000000;
    CHECK_EQ(raw_status(CALL(place.endpoint, Endpoint, vacant, MESSAGE(until_ns), 16, result, 64)),
             0);
    CHECK_EQ(raw_wait(in_flight).result, ST_DISCONNECTED);
    CHECK_EQ(raw_wait(queued).result, ST_DISCONNECTED); /* nobody came */
    CHECK(now_ns() >= until_ns);
    CHECK_EQ(raw_do(calling(&place)).result, ST_DISCONNECTED);
    uint64_t armed = raw_start(receiving(&place));
    uint64_t called = raw_start(calling(&place));
    CHECK_EQ(raw_wait(armed).result, 128);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 64);
    return 0;
}

/* RETURN_RECV with a forged id arms the receive; with a wrong answer it does not. */
static int64_t return_receives(void)
{
    struct place place;
    set_up(&place);
    struct capos_sqe both = receiving(&place);
    both.op = CAPOS_OP_RETURN_RECV;
    both.interface = 12345;
    uint64_t armed = raw_start(both);
    uint64_t called = raw_start(calling(&place));
    CHECK_EQ(raw_wait(armed).result, 128);
    both.interface = received[0];
    both.method = 99;
    CHECK_EQ(raw_do(both).result, ST_BAD_ARGUMENT);
    both.method = 0;
    both.params = 8;
    both.params_len = 64;
    CHECK_EQ(raw_do(both).result, ST_BAD_ADDRESS);
    struct capos_cqe cqe;
    CHECK(!raw_poll(called, &cqe));
    both.params = 0;
    both.params_len = 0;
    armed = raw_start(both);
    CHECK_EQ(raw_wait(called).result, 0);
    called = raw_start(calling(&place));
    CHECK_EQ(raw_wait(armed).result, 128);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 64);
    return 0;
}

/* Between two processes, or one and itself, ring pages are no buffers. */
static int64_t calls_into_ring(void)
{
    struct place place;
    set_up(&place);
    uint64_t armed = raw_start(receiving(&place));
    struct capos_sqe call = calling(&place);
    call.params = (uintptr_t)raw.sq;
    CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
    uint64_t called = raw_start(calling(&place));
    CHECK_EQ(raw_wait(armed).result, 128);
    struct capos_sqe answer = answering(received[0]);
    answer.params = (uintptr_t)raw.cq;
    CHECK_EQ(raw_do(answer).result, ST_BAD_ADDRESS);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 64);
    call = calling(&place);
    call.result = (uintptr_t)raw.payload;
    called = raw_start(call);
    struct capos_sqe receive = receiving(&place);
    receive.result = (uintptr_t)raw.header;
    CHECK_EQ(raw_do(receive).result, ST_BAD_ADDRESS);
    CHECK_EQ(raw_do(receiving(&place)).result, 128);
    CHECK_EQ(raw_do(answering(received[0])).result, ST_GONE);
    CHECK_EQ(raw_wait(called).result, ST_BAD_ADDRESS);
    return 0;
}

/* A server can tell neither whose call it is nor what else the caller holds; the key is the
 * minter's, whatever the message says. */
static int64_t keys_are_minted(void)
{
    struct place place;
    capos_cap_t other;
    set_up(&place);
    CHECK_EQ(mint(place.endpoint, 77, 1, 0, &other), ST_OK);
    memset(message, 0xff, sizeof(message));
    uint64_t first = raw_start(calling(&place));
    struct place second = {place.endpoint, other};
    uint64_t last = raw_start(calling(&second));
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(raw_do(receiving(&place)).result, 128);
        CHECK_EQ(received[1], i == 0 ? 9 : 77);
        CHECK_EQ(received[3], i == 0 ? 3 : 1);
        CHECK_EQ(raw_do(answering(received[0])).result, ST_OK);
    }
    CHECK_EQ(raw_wait(first).result, 64);
    CHECK_EQ(raw_wait(last).result, 64);
    return 0;
}

const struct hostile_case call_cases[] = {
    CASE("call.forged-id", forged_call_ids, "only a received call can be answered, and once"),
    CASE("call.return", wrong_returns, "a wrong answer leaves the call in flight"),
    CASE("call.too-large", too_large_calls, "an endpoint's limits hold at submission"),
    CASE("call.short-receive", short_receives,
         "a receive without room for all that may come takes nothing"),
    CASE("call.short-result", short_results, "an answer that does not fit is told to both"),
    CASE("call.promise", promises, "slots for what may come are charged while it may"),
    CASE("call.endpoint", wrong_endpoints, "no endpoint or object is made of wrong numbers"),
    CASE("call.cancel-wild", wrong_cancels, "only what is in flight can be cancelled"),
    CASE("call.cancel", cancels, "what is cancelled completes once"),
    CASE("call.deadline", deadlines, "a call to oneself ends by its deadline"),
    CASE("call.destroy", destroyed, "an endpoint's end ends every call at it"),
    CASE("call.destroy-receives", receives_destroyed, "an endpoint's end ends every receive at it"),
    CASE("call.vacant", vacancies, "a vacancy ends by itself or by a receive"),
    CASE("call.return-receive", return_receives, "a refused answer arms no receive"),
    CASE("call.ring-buffer", calls_into_ring, "ring pages are no message buffers"),
    CASE("call.key", keys_are_minted, "a key is what was minted, whatever the caller says"),
    {.name = NULL},
};
