/* SPDX-License-Identifier: MIT */
/* The shortest calls (kernel/ring/quick.h): what they answer, and that whatever they do not take on goes the
 * usual way with its usual answer. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include "gen/kernel/types.h"
#include "gen/time.capnp.h"
#include "object/root.h"

enum { SLOT = CAPOS_PAYLOAD_SLOT_BYTES, NOW_BYTES = 16 };

static capos_cap_t give_timer(struct user *user, uint64_t facet)
{
    struct kobj *timer = NULL;
    CHECK_EQ(root_object_create(KTYPE_TIMER, &timer), ST_OK);
    capos_cap_t cap = user_give(user, timer, KTYPE_TIMER, facet);
    kobj_unref(timer);
    return cap;
}

static uint8_t *slot_at(struct user *user, uint64_t offset)
{
    return user_ptr(user,
                    user->thread->ring->user_address + user_ring(user)->payload_offset + offset);
}

/* Timer.now as the quick way takes it, into payload slot `index`. */
static struct capos_sqe now_into(struct user *user, capos_cap_t timer, uint32_t index)
{
    struct capos_sqe sqe = user_sqe(user, CAPOS_OP_CALL);
    sqe.flags = CAPOS_SQE_INLINE;
    sqe.method = Timer_now_ORDINAL;
    sqe.cap = timer;
    sqe.interface = Timer_ID;
    sqe.result = index * SLOT;
    sqe.result_len = SLOT;
    return sqe;
}

/* The time in a result message, checked by the codec. */
static uint64_t time_in(const void *message)
{
    Timer_now_results_r results;
    uint64_t words[2];
    memcpy(words, message, sizeof(words));
    CHECK_EQ(Timer_now_results_read(words, sizeof(words), &results), CAPNP_OK);
    return Timer_now_results_get_now_ns(results);
}

TEST(quick_answers, "an INLINE Timer.now tells the time, alone and in a row, in the slots named")
{
    fixture_start(1);
    struct user *user = user_new("quick");
    capos_cap_t timer = give_timer(user, Timer_FACET);
    for (uint32_t count = 1; count <= USER_RING; count++) {
        fixture_advance(1000);
        for (uint32_t i = 0; i < count; i++) {
            struct capos_sqe sqe = now_into(user, timer, i);
            memset(slot_at(user, i * SLOT), 0xff, SLOT);
            user_submit(user, &sqe);
        }
        CHECK_EQ(user_enter(user, count, CAPOS_FOREVER), count);
        for (uint32_t i = 0; i < count; i++) {
            struct capos_cqe cqe = user_expect(user, user->user_data - count + 1 + i);
            CHECK_EQ(cqe.result, NOW_BYTES);
            CHECK_EQ(cqe.flags, 0);
            CHECK_EQ(time_in(slot_at(user, i * SLOT)), host_time_ns());
            CHECK_EQ(*slot_at(user, i * SLOT + NOW_BYTES), 0xff); /* no more than the message */
        }
    }
    fixture_end();
}

TEST(quick_usual, "what the quick way does not take on is answered the same by the usual way")
{
    static const struct {
        uint64_t result, params;
        uint32_t result_len, params_len;
        uint16_t flags;
        int32_t wanted;
    } cases[] = {
        {SLOT, 0, SLOT, 0, CAPOS_SQE_INLINE, NOW_BYTES},
        {SLOT + 8, 0, SLOT - 8, 0, CAPOS_SQE_INLINE, NOW_BYTES},
        {SLOT, 0, NOW_BYTES, 0, CAPOS_SQE_INLINE, NOW_BYTES},
        {SLOT, 0, 8, 0, CAPOS_SQE_INLINE, ST_RESULT_TOO_SMALL},
        {SLOT, 0, 0, 0, CAPOS_SQE_INLINE, ST_RESULT_TOO_SMALL},
        {SLOT, 0, SLOT + 8, 0, CAPOS_SQE_INLINE, ST_BAD_ADDRESS},
        {SLOT, 0, 100, 0, CAPOS_SQE_INLINE, ST_BAD_MESSAGE},
        {SLOT + 8, 0, SLOT, 0, CAPOS_SQE_INLINE, ST_BAD_ADDRESS},
        {SLOT + 1, 0, 64, 0, CAPOS_SQE_INLINE, ST_BAD_ADDRESS},
        {2 * USER_RING * SLOT, 0, SLOT, 0, CAPOS_SQE_INLINE, ST_BAD_ADDRESS},
        {UINT64_MAX - SLOT + 1, 0, SLOT, 0, CAPOS_SQE_INLINE, ST_BAD_ADDRESS},
        {SLOT, 2 * SLOT, SLOT, 8, CAPOS_SQE_INLINE, NOW_BYTES},
        {SLOT, 2 * SLOT, SLOT, 16, CAPOS_SQE_INLINE, ST_TOO_LARGE},
        {SLOT, 0, SLOT, 0, CAPOS_SQE_INLINE | CAPOS_SQE_MULTISHOT, ST_UNSUPPORTED},
    };
    fixture_start(1);
    struct user *user = user_new("usual");
    capos_cap_t timer = give_timer(user, Timer_FACET);
    memset(slot_at(user, 2 * SLOT), 0, SLOT);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct capos_sqe sqe = now_into(user, timer, 0);
        sqe.result = cases[i].result;
        sqe.params = cases[i].params;
        sqe.result_len = cases[i].result_len;
        sqe.params_len = cases[i].params_len;
        sqe.flags = cases[i].flags;
        struct capos_cqe cqe = user_do(user, &sqe);
        CHECK_EQ(cqe.result, cases[i].wanted);
        if (cases[i].wanted == NOW_BYTES) {
            CHECK_EQ(time_in(slot_at(user, cases[i].result)), host_time_ns());
        }
    }
    fixture_end();
}

TEST(quick_refusals,
     "a stale, foreign, narrowed or revoked capability and a wrong interface or method are "
     "refused in the middle of a row, and the row goes on")
{
    fixture_start(1);
    struct user *user = user_new("refusals");
    capos_cap_t timer = give_timer(user, Timer_FACET);
    capos_cap_t narrow = give_timer(user, UINT64_C(1) << Timer_sleep_ORDINAL);
    capos_cap_t stale = give_timer(user, Timer_FACET);
    capos_cap_t other = user_endpoint(user, 64, 0);
    CHECK_EQ(user_release(user, stale), ST_OK);
    struct {
        capos_cap_t cap;
        uint64_t interface;
        uint16_t method;
        int32_t wanted;
    } row[] = {
        {timer, Timer_ID, Timer_now_ORDINAL, NOW_BYTES},
        {stale, Timer_ID, Timer_now_ORDINAL, ST_BAD_CAP},
        {timer, Timer_ID, Timer_now_ORDINAL, NOW_BYTES},
        {narrow, Timer_ID, Timer_now_ORDINAL, ST_NO_METHOD},
        {timer, 1, Timer_now_ORDINAL, ST_WRONG_INTERFACE},
        {other, Timer_ID, Timer_now_ORDINAL, ST_WRONG_INTERFACE},
        {timer, Timer_ID, 2, ST_NO_METHOD},
        {timer, Timer_ID, 63, ST_NO_METHOD},
        {timer, Timer_ID, 64, ST_NO_METHOD},
        {timer, Timer_ID, UINT16_MAX, ST_NO_METHOD},
        {timer, Timer_ID, Timer_now_ORDINAL, NOW_BYTES},
        {0, Timer_ID, Timer_now_ORDINAL, ST_BAD_CAP},
        {UINT64_MAX, Timer_ID, Timer_now_ORDINAL, ST_BAD_CAP},
    };
    enum { ROW = sizeof(row) / sizeof(row[0]) };
    for (unsigned together = 0; together < 2; together++) {
        for (unsigned i = 0; i < ROW; i++) {
            struct capos_sqe sqe = now_into(user, row[i].cap, 0);
            sqe.interface = row[i].interface;
            sqe.method = row[i].method;
            user_submit(user, &sqe);
            if (!together) {
                CHECK_EQ(user_enter(user, 1, CAPOS_FOREVER), 1);
                CHECK_EQ(user_expect(user, sqe.user_data).result, row[i].wanted);
            }
        }
        if (together) {
            CHECK_EQ(user_enter(user, ROW, CAPOS_FOREVER), ROW);
            for (unsigned i = 0; i < ROW; i++) {
                CHECK_EQ(user_expect(user, user->user_data - ROW + 1 + i).result, row[i].wanted);
            }
        }
    }
    fixture_end();
}

TEST(quick_stalled, "a row stops where the CQ's ordinary room ends, and goes on when there is room")
{
    fixture_start(1);
    struct user *user = user_new("stalled");
    capos_cap_t timer = give_timer(user, Timer_FACET);
    struct capos_ring_header *ring = user_ring(user);
    uint32_t ordinary = ring->cq_entries - 4;
    uint64_t start = user->user_data;
    uint64_t head = ring->sq_head;
    uint64_t reaped = user->cq_head;
    for (uint32_t done = 0; done < 2 * USER_RING; done += USER_RING) {
        for (uint32_t i = 0; i < USER_RING; i++) {
            struct capos_sqe sqe = now_into(user, timer, i);
            user_submit(user, &sqe);
        }
        (void)user_enter(user, 0, 0);
    }
    CHECK_EQ(ring->sq_head, head + ordinary);
    CHECK_EQ(ring->cq_tail, reaped + ordinary);
    CHECK_EQ(ring->flags, CAPOS_RING_STALLED);
    CHECK_EQ(user_enter(user, 1, CAPOS_FOREVER), ordinary | CAPOS_ENTER_STALLED);
    CHECK_EQ(ring->sq_head, head + ordinary);
    for (uint32_t i = 0; i < ordinary; i++) {
        CHECK_EQ(user_expect(user, start + 1 + i).result, NOW_BYTES);
    }
    CHECK_EQ(user_enter(user, 4, CAPOS_FOREVER), 4);
    CHECK_EQ(ring->flags, 0);
    for (uint32_t i = ordinary; i < 2 * USER_RING; i++) {
        CHECK_EQ(user_expect(user, start + 1 + i).result, NOW_BYTES);
    }
    fixture_end();
}

TEST(quick_with_records, "a row is answered while operations of the ring wait")
{
    fixture_start(1);
    struct user *user = user_new("records");
    capos_cap_t timer = give_timer(user, Timer_FACET);
    capos_cap_t bell = user_notification(user);
    struct capos_sqe wait = sqe_wait(user, bell, CAPOS_EVENT_SIGNALLED, 1);
    user_start(user, &wait);
    for (uint32_t i = 0; i < 4; i++) {
        struct capos_sqe sqe = now_into(user, timer, i);
        user_submit(user, &sqe);
    }
    CHECK_EQ(user_enter(user, 4, CAPOS_FOREVER), 4);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(user_expect(user, user->user_data - 3 + i).result, NOW_BYTES);
    }
    struct capos_sqe signal = sqe_cap(user, CAPOS_OP_SIGNAL, bell);
    signal.params = 1;
    user_submit(user, &signal);
    CHECK_EQ(user_enter(user, 2, CAPOS_FOREVER), 2);
    CHECK_EQ(user_expect(user, wait.user_data).result, CAPOS_EVENT_SIGNALLED);
    CHECK_EQ(user_expect(user, signal.user_data).result, ST_OK);
    fixture_end();
}
