/* SPDX-License-Identifier: MIT */
/* SQE flags at their limits: quiet floods, waits that never end, chains without end or rewritten. */
#include "case.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"
#include "time.capnp.h"

static struct capos_sqe flagged(struct capos_sqe sqe, unsigned flags)
{
    sqe.flags = (uint16_t)flags;
    return sqe;
}

static struct capos_sqe wait_sqe(capos_cap_t note, uint64_t bits, unsigned flags)
{
    struct capos_sqe sqe = flagged(raw_sqe(CAPOS_OP_WAIT, note), flags);
    sqe.method = CAPOS_EVENT_SIGNALLED;
    sqe.params = bits;
    return sqe;
}

static int64_t quiet_flood(void)
{
    capos_cap_t note;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned kind = (unsigned)chance() % 3;
        struct capos_sqe sqe = kind == 0   ? raw_sqe(CAPOS_OP_NOP, 0)
                               : kind == 1 ? raw_sqe(CAPOS_OP_SIGNAL, note)
                                           : wait_sqe(note, 0, 0);
        sqe.flags = CAPOS_SQE_QUIET;
        sqe.params = kind == 0 ? 0 : 1;
        struct capos_sqe give = flagged(raw_sqe(CAPOS_OP_SIGNAL, note), CAPOS_SQE_QUIET);
        give.params = 1;
        (void)raw_push(&sqe);
        (void)raw_push(&give);
        CHECK_EQ(raw_enter(0, 0), 0);
    }
    struct capos_cqe cqe;
    CHECK(!raw_reap(&cqe));
    CHECK_EQ(raw_do(flagged(raw_sqe(CAPOS_OP_RELEASE, note), CAPOS_SQE_QUIET | 1u << 6)).result,
             ST_UNSUPPORTED);
    CHECK_EQ(release(note), ST_OK);
    CHECK_EQ(raw_do(flagged(raw_sqe(CAPOS_OP_RELEASE, note), CAPOS_SQE_QUIET)).result, ST_BAD_CAP);
    CHECK_WORKS();
    return 0;
}

/* A ring full of waits that stay, each with events; then they are all cancelled. */
static int64_t multishot_flood(void)
{
    capos_cap_t note;
    uint64_t first = raw.sq_tail;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    first = raw.sq_tail;
    unsigned waits = 0;
    for (;; waits++) {
        struct capos_sqe sqe = wait_sqe(note, UINT64_C(1) << waits % 64, CAPOS_SQE_MULTISHOT);
        sqe.user_data = UINT64_C(1) << 40 | waits;
        (void)raw_push(&sqe);
        if ((raw_enter(0, 0) & (int64_t)CAPOS_ENTER_STALLED) != 0) {
            raw.header->sq_tail = --raw.sq_tail;
            break;
        }
    }
    CHECK(waits > 8);
    unsigned events = 0, ends = 0;
    struct capos_cqe cqe;
    for (unsigned round = 0; round < 50; round++) {
        struct capos_sqe all = flagged(raw_sqe(CAPOS_OP_SIGNAL, note), CAPOS_SQE_QUIET);
        all.params = UINT64_MAX;
        (void)raw_push(&all);
        CHECK(raw_enter(0, 0) >= 0);
        while (raw_reap(&cqe)) {
            CHECK_EQ(cqe.flags, CAPOS_CQE_SIGNAL | CAPOS_CQE_MORE);
            CHECK(cqe.signal != 0 && cqe.user_data >> 40 == 1);
            events++;
        }
    }
    CHECK(events >= 50);
    for (unsigned i = 0; i < waits; i++) {
        struct capos_sqe end = flagged(raw_sqe(CAPOS_OP_CANCEL, first + i), CAPOS_SQE_QUIET);
        (void)raw_push(&end);
        CHECK(raw_enter(0, 0) >= 0);
        while (raw_reap(&cqe)) {
            ends += cqe.result == ST_CANCELLED && cqe.flags == 0;
        }
    }
    CHECK_EQ(ends, waits);
    CHECK_EQ(release(note), ST_OK);
    CHECK_WORKS();
    return 0;
}

/* Chains that are too long or have no end are refused to their end, and nothing of them is done. */
static int64_t endless_chains(void)
{
    capos_cap_t note;
    struct capos_cqe cqe;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    for (unsigned n = CAPOS_MAX_LINK + 1; n <= raw.sq_entries; n++) {
        for (unsigned i = 0; i < n; i++) {
            struct capos_sqe sqe = raw_sqe(CAPOS_OP_SIGNAL, note);
            sqe.params = 1;
            sqe.flags = i < n - 1 ? CAPOS_SQE_LINK : 0;
            (void)raw_push(&sqe);
        }
        for (unsigned got = 0; got < n;) {
            CHECK(raw_enter(1, CAPOS_FOREVER) >= 1);
            for (; raw_reap(&cqe); got++) {
                CHECK_EQ(cqe.result, ST_BAD_ARGUMENT);
            }
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        struct capos_sqe sqe = flagged(raw_sqe(CAPOS_OP_SIGNAL, note), CAPOS_SQE_LINK);
        sqe.params = 1;
        CHECK_EQ(raw_do(sqe).result, ST_BAD_ARGUMENT);
    }
    CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_NOP, 0)).result,
             ST_BAD_ARGUMENT); /* the end of the last one */
    struct capos_sqe look = wait_sqe(note, 1, 0);
    look.deadline_ns = 1;
    CHECK_EQ(raw_do(look).result, ST_TIMED_OUT);
    CHECK_EQ(release(note), ST_OK);
    CHECK_WORKS();
    return 0;
}

/* A chain is what it was when it was consumed, though its first entry's result overwrites the others. */
static int64_t rewritten_chain(void)
{
    struct capos_cqe cqe;
    for (unsigned i = 0; i < 2 * raw.sq_entries; i++) {
        uint64_t place = (raw.sq_tail + 1) & (raw.sq_entries - 1);
        struct capos_sqe first =
            CALL(held("timer"), Timer, now, NULL, 0, &raw.sq[place], sizeof(raw.sq[0]));
        first.flags = CAPOS_SQE_LINK;
        first.user_data = 1;
        (void)raw_push(&first);
        for (unsigned k = 0; k < 2; k++) {
            struct capos_sqe rest = raw_sqe(CAPOS_OP_NOP, 0);
            rest.flags = k == 0 ? CAPOS_SQE_LINK : 0;
            rest.user_data = 2 + k;
            (void)raw_push(&rest);
        }
        CHECK(raw_enter(3, CAPOS_FOREVER) >= 3);
        for (unsigned k = 1; k <= 3; k++) {
            CHECK(raw_reap(&cqe));
            CHECK_EQ(cqe.user_data, k);
            CHECK(k == 1 ? cqe.result > 0 : cqe.result == ST_OK);
        }
    }
    CHECK_WORKS();
    return 0;
}

/* Ends with a ring full of chains that wait, some of them with events on their way. */
static int64_t chains_at_exit(void)
{
    capos_cap_t note = held("note");
    for (unsigned i = 0;; i++) {
        struct capos_sqe sqes[] = {
            wait_sqe(note, UINT64_C(1) << i % 8, CAPOS_SQE_LINK),
            flagged(raw_sqe(CAPOS_OP_SIGNAL, note), CAPOS_SQE_LINK | CAPOS_SQE_QUIET),
            wait_sqe(note, UINT64_C(1) << 8, 0)};
        sqes[1].params = UINT64_C(1) << (i + 1) % 8;
        for (unsigned k = 0; k < 3; k++) {
            (void)raw_push(&sqes[k]);
        }
        if ((raw_enter(0, 0) & (int64_t)CAPOS_ENTER_STALLED) != 0) {
            break;
        }
    }
    raw.sq_tail = raw.header->sq_head;
    raw.header->sq_tail = raw.sq_tail;
    struct capos_sqe start = flagged(raw_sqe(CAPOS_OP_SIGNAL, note), CAPOS_SQE_QUIET);
    start.params = 0xff;
    (void)raw_push(&start);
    CHECK(raw_enter(0, 0) >= 0);
    return 0;
}

/* ---- answers ---- */

static uint64_t words[64];

/* A call of Ledger.newNotification that keeps its answer and takes no slot. */
static struct capos_sqe keep_sqe(void)
{
    struct capos_sqe sqe = CALL(held("ledger"), Ledger, new_notification, NULL, 0, words, 64);
    sqe.accept_count = 0;
    sqe.flags = CAPOS_SQE_KEEP;
    return sqe;
}

/* Through the answer of the entry at this position; Notification has no method that is called. */
static struct capos_sqe pipe_sqe(uint64_t position, unsigned index)
{
    struct capos_sqe sqe = CALL(position, Ledger, new_notification, NULL, 0, words, 64);
    sqe.flags = CAPOS_SQE_PIPELINE;
    sqe.pipe_index = (uint8_t)index;
    return sqe;
}

static struct capos_sqe finish_sqe(uint64_t position)
{
    return raw_sqe(CAPOS_OP_FINISH, position);
}

static int64_t forged_answers(void)
{
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t place = i % 3 == 0   ? chance()
                         : i % 3 == 1 ? raw.sq_tail
                                      : raw.sq_tail - chance() % 64;
        CHECK_EQ(raw_do(pipe_sqe(place, (unsigned)chance() % 256)).result, ST_NOT_FOUND);
        CHECK_EQ(raw_do(finish_sqe(place)).result, ST_NOT_FOUND);
    }
    uint64_t kept = raw.sq_tail;
    CHECK(raw_do(keep_sqe()).result >= 0);
    for (unsigned i = 1; i < 256; i++) {
        CHECK_EQ(raw_do(pipe_sqe(kept, i)).result, ST_BAD_CAP);
    }
    CHECK_EQ(raw_do(pipe_sqe(kept, 0)).result, ST_WRONG_INTERFACE);
    CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_CANCEL, kept)).result, ST_NOT_FOUND);
    CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_SIGNAL, kept)).result, ST_BAD_CAP);
    CHECK_EQ(raw_do(finish_sqe(kept)).result, ST_OK);
    CHECK_USAGE(&before);
    CHECK_WORKS();
    return 0;
}

/* As many answers as the ring keeps; all of it comes back. */
static int64_t answers_hoarded(void)
{
    struct usage before;
    usage_now(&before);
    for (unsigned round = 0; round < 10; round++) {
        uint64_t kept[CAPOS_MAX_ANSWERS];
        unsigned n = 0;
        for (;; n++) {
            struct capos_sqe sqe = keep_sqe();
            uint64_t position = raw.sq_tail;
            (void)raw_push(&sqe);
            struct capos_cqe cqe;
            if ((raw_enter(0, 0) & (int64_t)CAPOS_ENTER_STALLED) != 0) {
                raw.header->sq_tail = --raw.sq_tail;
                break;
            }
            CHECK(raw_reap(&cqe));
            if (cqe.result < 0) {
                CHECK_EQ(cqe.result, ST_BUSY);
                break;
            }
            CHECK(n < CAPOS_MAX_ANSWERS);
            kept[n] = position;
        }
        CHECK(n > 8);
        while (n-- != 0) {
            CHECK_EQ(raw_do(finish_sqe(kept[n])).result, ST_OK);
        }
        CHECK_USAGE(&before);
    }
    CHECK_WORKS();
    return 0;
}

/* Answers that never come, with rows of calls that wait for them, cancelled and finished in any order. */
static int64_t silent_answers(void)
{
    uint64_t object = held("object");
    for (unsigned round = 0; round < 300; round++) {
        uint64_t first = raw.sq_tail;
        for (unsigned i = 0; i < 4; i++) {
            struct capos_sqe sqe = pipe_sqe(first + i - 1, (unsigned)chance() % 3);
            sqe.interface = HOSTILE_INTERFACE;
            sqe.method = 0;
            sqe.flags |= CAPOS_SQE_KEEP;
            if (i == 0) {
                sqe.flags = CAPOS_SQE_KEEP;
                sqe.pipe_index = 0;
                sqe.cap = object;
            }
            sqe.user_data = UINT64_C(1) << 32;
            (void)raw_push(&sqe);
        }
        CHECK(raw_enter(0, 0) >= 0);
        unsigned start = (unsigned)chance() % 4;
        unsigned ended = 0;
        struct capos_cqe cqe;
        for (unsigned i = 0; i < 4; i++) {
            struct capos_sqe ops[] = {raw_sqe(CAPOS_OP_CANCEL, first + (start + i) % 4),
                                      finish_sqe(first + (start + 3 * i) % 4)};
            for (unsigned k = 0; k < 2; k++) {
                (void)raw_push(&ops[k]);
            }
            CHECK(raw_enter(0, 0) >= 0);
            while (raw_reap(&cqe)) {
                if (cqe.user_data == UINT64_C(1) << 32) {
                    CHECK_EQ(cqe.result, ST_CANCELLED);
                    ended++;
                }
            }
        }
        CHECK_EQ(ended, 4);
    }
    for (unsigned i = 0; i < 8; i++) { /* and some at exit */
        struct capos_sqe sqe = pipe_sqe(object, 0);
        sqe.interface = HOSTILE_INTERFACE;
        sqe.method = 0;
        sqe.flags = CAPOS_SQE_KEEP;
        uint64_t position = raw_push(&sqe);
        struct capos_sqe next = pipe_sqe(position, 0);
        (void)raw_push(&next);
    }
    CHECK(raw_enter(0, 0) >= 0);
    return 0;
}

const struct hostile_case flag_cases[] = {
    CASE_WITH("flag.quiet-flood", quiet_flood, "quiet entries never fill a ring", 0),
    CASE_WITH("flag.multishot-flood", multishot_flood,
              "waits that stay are told and can all be ended", 0),
    CASE_WITH("flag.endless-chain", endless_chains,
              "no entry of a chain without end is carried out", 0),
    CASE_WITH("flag.rewritten-chain", rewritten_chain,
              "a chain is what it was when it was consumed", 0),
    CASE_WITH("flag.forged-answer", forged_answers, "an answer that was not kept gives nothing", 0),
    CASE_WITH("flag.hoard", answers_hoarded, "kept answers have an end, and all comes back", 0),
    CASE_WITH("flag.silent-answer", silent_answers, "calls of what never comes can all be ended",
              HOLD_SERVE | HOLD_OBJECT),
    {.name = "flag.exit-chains",
     .sentence = "chains that wait end with their processes",
     .roles = {{.run = chains_at_exit, .holds = HOLD_USUAL | HOLD_NOTE},
               {.run = chains_at_exit, .holds = HOLD_USUAL | HOLD_NOTE}}},
    {.name = NULL},
};
