/* SPDX-License-Identifier: MIT */
/*
 * The ring's own words, rewritten; queues filled to the brim.
 *
 * Here the kernel itself changes the ring while it drains it: results of kernel methods are told to
 * land on indices, entries and payload slots. Between two entries the program rewrites what it likes.
 * Another thread that writes to the ring meanwhile is in thread.c.
 */
#include "capos/start.h"
#include "case.h"
#include "entropy.capnp.h"
#include "lib/base/string.h"
#include "time.capnp.h"

static void set_tail(uint64_t value)
{
    __atomic_store_n(&raw.header->sq_tail, value, __ATOMIC_RELEASE);
}

static void set_head(uint64_t value)
{
    __atomic_store_n(&raw.header->cq_head, value, __ATOMIC_RELEASE);
}

static void nop_works(void)
{
    struct capos_cqe cqe = raw_do(raw_sqe(CAPOS_OP_NOP, 0));
    CHECK_EQ(cqe.result, ST_OK);
}

static int64_t wild_tail(void)
{
    const uint64_t away[] = {
        UINT64_MAX,        (uint64_t)0 - 64,  raw.sq_entries + 1, raw.cq_entries,
        UINT64_C(1) << 63, UINT64_C(1) << 32, UINT64_MAX / 2,     (uint64_t)0 - raw.sq_entries,
    };
    for (unsigned i = 0; i < ARRAY_LEN(away); i++) {
        uint64_t good = raw.sq_tail;
        set_tail(good + away[i]);
        CHECK_EQ(raw_enter(0, 0), ST_BAD_RING);
        CHECK_EQ(raw_enter(1, CAPOS_FOREVER), ST_BAD_RING);
        CHECK_EQ(raw.header->sq_head, good);
        CHECK_EQ(raw.header->cq_tail, raw.cq_head);
        set_tail(good);
        nop_works();
    }
    return 0;
}

/* A head that is moved back by a few only makes the queue look fuller: that is no nonsense. */
static int64_t wild_head(void)
{
    const uint64_t away[] = {
        1,
        2,
        raw.cq_entries,
        raw.cq_entries + 1,
        UINT64_C(1) << 32,
        UINT64_C(1) << 63,
        (uint64_t)0 - 1000,
        (uint64_t)0 - (UINT64_C(1) << 32),
    };
    for (unsigned i = 0; i < ARRAY_LEN(away); i++) {
        uint64_t good = raw.cq_head;
        uint64_t tag = raw_send(raw_sqe(CAPOS_OP_NOP, 0));
        set_head(good + away[i]);
        CHECK_EQ(raw_enter(0, 0), ST_BAD_RING);
        CHECK_EQ(raw_enter(1, CAPOS_FOREVER), ST_BAD_RING);
        CHECK_EQ(raw.header->sq_head, raw.sq_tail - 1);
        set_head(good);
        CHECK_EQ(raw_wait(tag).result, ST_OK);
    }
    return 0;
}

/* Every other word of the header is the kernel's or decoration. */
static int64_t scribble_header(void)
{
    struct capos_ring_header saved = *raw.header;
    for (unsigned round = 0; round < 8; round++) {
        uint64_t *words = (uint64_t *)(void *)raw.header;
        for (unsigned i = 0; i < sizeof(saved) / 8; i++) {
            if (i != offsetof(struct capos_ring_header, sq_tail) / 8 &&
                i != offsetof(struct capos_ring_header, cq_head) / 8) {
                words[i] = round == 0 ? 0 : round == 1 ? UINT64_MAX : chance();
            }
        }
        uint64_t first = raw.cq_head;
        for (unsigned i = 0; i < 10; i++) {
            struct capos_sqe nop = raw_sqe(CAPOS_OP_NOP, 0);
            nop.user_data = i;
            (void)raw_push(&nop);
        }
        CHECK_EQ(raw_enter(10, CAPOS_FOREVER), 10);
        CHECK_EQ(raw.header->sq_head, raw.sq_tail);
        CHECK_EQ(raw.header->cq_tail, first + 10);
        for (unsigned i = 0; i < 10; i++) {
            struct capos_cqe cqe;
            CHECK(raw_reap(&cqe));
            CHECK_EQ(cqe.user_data, i);
        }
    }
    raw_open();
    return 0;
}

/* A full SQ, never reaped: the ring stalls with nothing lost, and goes on when it is reaped. */
static int64_t sq_storm(void)
{
    uint64_t next = 0;
    uint64_t sent = 0;
    for (unsigned round = 0; round < 40; round++) {
        while (raw.sq_tail - raw.header->sq_head < raw.sq_entries) {
            struct capos_sqe nop = raw_sqe(CAPOS_OP_NOP, 0);
            nop.user_data = sent++;
            (void)raw_push(&nop);
        }
        int64_t got = raw_enter(0, 0);
        CHECK(got >= 0);
        uint64_t ready = (uint64_t)got & CAPOS_ENTER_READY_MASK;
        CHECK(ready <= raw.cq_entries - raw.cq_reserve);
        if ((uint64_t)got & CAPOS_ENTER_STALLED) {
            CHECK_EQ(ready, raw.cq_entries - raw.cq_reserve);
            CHECK(raw.header->flags & CAPOS_RING_STALLED);
            /* Never sleeps on a stalled SQ while there is something to reap. */
            CHECK_EQ(raw_enter(UINT32_MAX, CAPOS_FOREVER), got);
            struct capos_cqe cqe;
            while (raw_reap(&cqe)) {
                CHECK_EQ(cqe.user_data, next++);
                CHECK_EQ(cqe.result, ST_OK);
            }
        }
    }
    while (next < sent) {
        struct capos_cqe cqe;
        CHECK(raw_enter(1, CAPOS_FOREVER) > 0);
        while (raw_reap(&cqe)) {
            CHECK_EQ(cqe.user_data, next++);
        }
    }
    return 0;
}

static uint64_t wait_for_bit(capos_cap_t note, unsigned bit, uint64_t *position)
{
    struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, note);
    wait.method = CAPOS_EVENT_SIGNALLED;
    wait.params = UINT64_C(1) << bit;
    *position = raw.sq_tail;
    return raw_start(wait);
}

/* Every record in use: ordinary entries stall, those of the reserve still empty the ring. */
static int64_t record_storm(void)
{
    static uint64_t tags[256], positions[256];
    capos_cap_t note;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    unsigned most = raw.cq_entries - raw.cq_reserve;
    CHECK(most <= 256);
    for (unsigned i = 0; i < most; i++) {
        tags[i] = wait_for_bit(note, i % 64, &positions[i]);
    }
    uint64_t extra = raw_send(raw_sqe(CAPOS_OP_NOP, 0));
    CHECK_EQ(raw_enter(0, 0), (int64_t)CAPOS_ENTER_STALLED);
    CHECK_EQ(raw.header->sq_head, raw.sq_tail - 1);
    /* Between entries the SQEs from head to tail are ours: move the tail back, cancel, resubmit. */
    raw.header->sq_tail = --raw.sq_tail;
    struct capos_cqe cqe = raw_do(raw_sqe(CAPOS_OP_CANCEL, positions[0]));
    CHECK_EQ(cqe.result, ST_OK);
    CHECK_EQ(raw_wait(tags[0]).result, ST_CANCELLED);
    struct capos_sqe nop = raw_sqe(CAPOS_OP_NOP, 0);
    nop.user_data = extra;
    (void)raw_push(&nop);
    CHECK_EQ(raw_wait(extra).result, ST_OK);
    struct capos_sqe signal = raw_sqe(CAPOS_OP_SIGNAL, note);
    signal.params = UINT64_MAX;
    CHECK_EQ(raw_do(signal).result, ST_OK);
    CHECK_EQ(raw_wait(tags[1]).result, CAPOS_EVENT_SIGNALLED);
    return 0;
}

/* Sleeps, receives and waits by the hundred, some cancelled, the rest left to die with the process. */
static int64_t waiting_at_exit(void)
{
    static uint8_t buffer[1024];
    capos_cap_t note, endpoint;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    CHECK_EQ(new_endpoint(held("ledger"), 64, 0, &endpoint), ST_OK);
    uint64_t far_ns = now_ns() + UINT64_C(3600000000000);
    for (unsigned i = 0; i + 3 < raw.cq_entries - raw.cq_reserve; i += 3) {
        uint64_t position;
        (void)wait_for_bit(note, i % 64, &position);
        struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, endpoint);
        recv.result = (uintptr_t)buffer;
        recv.result_len = sizeof(buffer);
        recv.deadline_ns = far_ns;
        (void)raw_start(recv);
        (void)raw_start(CALL(held("timer"), Timer, sleep, MESSAGE(far_ns), 16, buffer, 64));
    }
    return 0;
}

/* Two processes crowd at one notification, signal what nobody wants, then bit after bit what all do. */
static int64_t crowd(void)
{
    enum { WANTED = 5, NOBODYS = 6 };
    static uint64_t tags[256];
    uint64_t position;
    unsigned most = raw.cq_entries - raw.cq_reserve;
    CHECK(most <= 256);
    for (unsigned i = 0; i < most; i++) {
        tags[i] = wait_for_bit(held("note"), WANTED, &position);
    }
    for (unsigned i = 0; i < 300; i++) {
        CHECK_EQ(signal_bits(held("note"), UINT64_C(1) << NOBODYS), ST_OK);
    }
    for (unsigned done = 0; done < most;) {
        struct capos_cqe cqe;
        CHECK_EQ(signal_bits(held("note"), UINT64_C(1) << WANTED), ST_OK);
        if (raw_poll(tags[done], &cqe)) {
            CHECK_EQ(cqe.result, CAPOS_EVENT_SIGNALLED);
            CHECK_EQ(cqe.signal, UINT64_C(1) << WANTED);
            done++;
        }
    }
    return 0;
}

/* The result of the first call is the second entry. */
static int64_t result_over_entries(void)
{
    for (unsigned round = 0; round < 64; round++) {
        uint64_t place = (raw.sq_tail + 1) & (raw.sq_entries - 1);
        struct capos_sqe call = CALL(held("timer"), Timer, now, NULL, 0, &raw.sq[place], 64);
        uint64_t first = raw_send(call);
        uint64_t lost = raw_send(raw_sqe(CAPOS_OP_NOP, 0));
        CHECK_EQ(raw_enter(2, CAPOS_FOREVER), 2);
        CHECK_EQ(raw_wait(first).result, 16);
        CHECK_EQ(raw_wait(lost).result, ST_UNSUPPORTED); /* a NOP with a method and a capability */
    }
    return 0;
}

static struct capos_sqe entropy_sqe(void *to, uint32_t bytes)
{
    return CALL(held("entropy"), Entropy, fill, MESSAGE(bytes), 16, to, bytes + 64);
}

static int64_t result_over_indices(void)
{
    struct capos_ring_header *header = raw.header;
    uint64_t *const targets[] = {&header->sq_tail - 3, &header->sq_head - 3, &header->cq_tail - 3,
                                 &header->cq_head - 3, &header->flags - 3};
    for (unsigned round = 0; round < 50; round++) {
        uint64_t *target = targets[round % ARRAY_LEN(targets)];
        uint64_t tail = raw.sq_tail, head = raw.cq_head;
        (void)raw_send(entropy_sqe(target, 16));
        (void)raw_send(raw_sqe(CAPOS_OP_NOP, 0));
        (void)raw_enter(0, 0);
        raw.sq_tail = tail + 2;
        set_tail(tail + 2);
        set_head(head);
        (void)raw_enter(0, 0);
        raw.cq_head = header->cq_tail;
        set_head(raw.cq_head);
        CHECK_EQ(raw_enter(0, 0), 0);
        CHECK_EQ(header->sq_head, tail + 2);
        nop_works();
    }
    return 0;
}

/* Between processes ring pages are no buffers: no answer of the neighbour lands in a queue that is
 * drained at the same time on another processor, and no message is read out of one. */
static int64_t answers_over_ring(void)
{
    static uint64_t message[64];
    capos_cap_t echo = held("echo");
    for (unsigned round = 0; round < 200; round++) {
        void *const targets[] = {raw.header, &raw.header->sq_tail, raw.sq, raw.cq, raw.payload};
        void *target = targets[round % ARRAY_LEN(targets)];
        uint64_t calls[2] = {
            raw_send(raw_call_sqe(echo, HOSTILE_INTERFACE, 0, message, 64, target, 64)),
            raw_send(raw_call_sqe(echo, HOSTILE_INTERFACE, 0, target, 64, message, 64)),
        };
        for (unsigned i = 0; i < 12; i++) {
            nop_works();
        }
        CHECK_EQ(raw_wait(calls[0]).result, ST_BAD_ADDRESS);
        CHECK_EQ(raw_wait(calls[1]).result, ST_BAD_ADDRESS);
    }
    return 0;
}

/* Payload slots: the client owns one until it submits, and may write to it all the same. */
static int64_t slots_rewritten(void)
{
    capos_cap_t object, endpoint;
    CHECK_EQ(new_endpoint(held("ledger"), 128, 0, &endpoint), ST_OK);
    CHECK_EQ(mint(endpoint, 7, 1, 0, &object), ST_OK);
    for (unsigned round = 0; round < 50; round++) {
        uint64_t *slot = (uint64_t *)(void *)raw.payload;
        uint64_t received[32] = {0};
        struct capos_sqe call = raw_call_sqe(object, HOSTILE_INTERFACE, 0, NULL, 64, NULL, 64);
        call.flags = CAPOS_SQE_INLINE;
        slot[0] = 1;
        uint64_t called = raw_start(call);
        slot[0] = 2; /* queued: read at delivery */
        struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, endpoint);
        recv.result = (uintptr_t)received;
        recv.result_len = sizeof(received);
        CHECK_EQ(raw_do(recv).result, 128);
        CHECK_EQ(received[8], 2);
        slot[0] = 3; /* delivered: the copy is the receiver's */
        CHECK_EQ(received[8], 2);
        struct capos_sqe answer = raw_sqe(CAPOS_OP_RETURN, 0);
        answer.interface = received[0];
        answer.flags = CAPOS_SQE_INLINE; /* the answer lies in the very slot it goes to */
        answer.params_len = 64;
        CHECK_EQ(raw_do(answer).result, ST_OK);
        CHECK_EQ(raw_wait(called).result, 64);
        CHECK_EQ(slot[0], 3);
    }
    return 0;
}

/* The slot of an INLINE receive, written to while it waits and while its message is answered out of it;
 * and one slot for both sides of a call. */
static int64_t receive_slots_rewritten(void)
{
    capos_cap_t object, endpoint;
    struct capos_cqe cqe;
    CHECK_EQ(new_endpoint(held("ledger"), 128, 0, &endpoint), ST_OK);
    CHECK_EQ(mint(endpoint, 7, 1, 0, &object), ST_OK);
    for (unsigned round = 0; round < 50; round++) {
        uint64_t offset = (round % raw.payload_slots) * CAPOS_PAYLOAD_SLOT_BYTES;
        uint64_t *slot = (uint64_t *)(void *)(raw.payload + offset);
        uint64_t message[16] = {round, 7}, result[16] = {0};
        struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, endpoint);
        recv.flags = CAPOS_SQE_INLINE; /* and no buffer: none is needed */
        recv.params = offset + chance() % CAPOS_PAYLOAD_SLOT_BYTES;
        uint64_t receiving = raw_start(recv);
        memset(slot, 0xff, CAPOS_PAYLOAD_SLOT_BYTES);
        uint64_t called =
            raw_start(raw_call_sqe(object, HOSTILE_INTERFACE, 0, message, 128, result, 128));
        cqe = raw_wait(receiving);
        CHECK_EQ(cqe.result, 192);
        CHECK_EQ(cqe.flags, CAPOS_CQE_INLINE);
        CHECK_EQ(slot[8], round);
        uint64_t call_id = slot[0];
        memset(slot, 0xff, 64); /* the kernel does not read its own header again */
        struct capos_sqe both = recv;
        both.op = CAPOS_OP_RETURN_RECV;
        both.params = offset + 64;
        both.params_len = 128;
        both.interface = call_id;
        receiving = raw_start(both);
        CHECK_EQ(raw_wait(called).result, 128);
        CHECK_EQ(result[0], round);
        CHECK_EQ(result[1], 7);
        /* The question lies where it is received, and the answer goes there too. */
        slot[0] = round;
        struct capos_sqe call = raw_call_sqe(object, HOSTILE_INTERFACE, 0, NULL, 64, NULL, 64);
        call.flags = CAPOS_SQE_INLINE;
        call.params = offset;
        call.result = offset;
        called = raw_start(call);
        CHECK_EQ(raw_wait(receiving).result, 128);
        CHECK_EQ(slot[8], round);
        struct capos_sqe answer = raw_sqe(CAPOS_OP_RETURN, 0);
        answer.interface = slot[0];
        answer.flags = CAPOS_SQE_INLINE;
        answer.params = offset + 64;
        answer.params_len = 64;
        CHECK_EQ(raw_do(answer).result, ST_OK);
        CHECK_EQ(raw_wait(called).result, 64);
        CHECK_EQ(slot[0], round);
    }
    return 0;
}

static int64_t wild_slots(void)
{
    capos_cap_t endpoint;
    CHECK_EQ(new_endpoint(held("ledger"), 64, 0, &endpoint), ST_OK);
    uint64_t area = (uint64_t)raw.payload_slots * CAPOS_PAYLOAD_SLOT_BYTES;
    const uint64_t wild[] = {
        area,
        area - 8,
        area + 8,
        UINT64_MAX,
        UINT64_MAX - 7,
        4,
        1,
        250,
        248,
        area * 2,
        (uintptr_t)raw.payload,
        (uintptr_t)raw.header,
        UINT64_C(0xffff800000000000),
        (uint64_t)0 - area,
        UINT64_C(1) << 32,
        UINT64_C(1) << 63,
    };
    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        struct capos_sqe call = CALL(held("timer"), Timer, sleep, NULL, 16, NULL, 16);
        call.flags = CAPOS_SQE_INLINE;
        call.params = wild[i];
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
        call = CALL(held("timer"), Timer, now, NULL, 0, NULL, 16);
        call.flags = CAPOS_SQE_INLINE;
        call.result = wild[i];
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
        struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, endpoint);
        recv.flags = CAPOS_SQE_INLINE;
        recv.params = wild[i];
        if (wild[i] >= area) { /* anywhere in a slot names it */
            CHECK_EQ(raw_do(recv).result, ST_BAD_ADDRESS);
        }
    }
    return 0;
}

const struct hostile_case queue_cases[] = {
    CASE_WITH("ring.tail", wild_tail, "a wild SQ tail is BAD_RING and consumes nothing", 0),
    CASE_WITH("ring.head", wild_head, "a wild CQ head is BAD_RING and consumes nothing", 0),
    CASE_WITH("ring.header", scribble_header, "the kernel believes no word of the header", 0),
    CASE_WITH("ring.sq-storm", sq_storm, "a full queue stalls and loses no completion", 0),
    CASE_WITH("ring.record-storm", record_storm, "a ring full of waits can still be emptied", 0),
    CASE_WITH("ring.exit-storm", waiting_at_exit, "hundreds of waits end with their process", 0),
    {.name = "ring.wait-crowd",
     .sentence = "a crowd that waits at one notification is told one by one, and holds up nobody",
     .roles = {{.run = crowd, .holds = HOLD_USUAL | HOLD_NOTE},
               {.run = crowd, .holds = HOLD_USUAL | HOLD_NOTE}}},
    CASE_WITH("ring.alias-entry", result_over_entries,
              "an entry overwritten by a result is what it has become", 0),
    CASE_WITH("ring.alias-index", result_over_indices,
              "indices overwritten by results hurt only this ring", HOLD_ENTROPY),
    CASE_WITH("ring.alias-remote", answers_over_ring,
              "no message between processes is read from or written to a ring", HOLD_ECHO),
    CASE_WITH("ring.slot-rewrite", slots_rewritten, "a payload slot may change at any time", 0),
    CASE_WITH("ring.slot-receive", receive_slots_rewritten,
              "a slot that receives may change at any time", 0),
    CASE_WITH("ring.slot-wild", wild_slots, "no offset leads out of the payload area", 0),
    {.name = NULL},
};
