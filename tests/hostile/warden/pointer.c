/* SPDX-License-Identifier: MIT */
/* Every field that is an address or a length, with every value that is not one. */
#include "abi/layout.h"
#include "capos/start.h"
#include "case.h"
#include "entropy.capnp.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"
#include "memory.capnp.h"
#include "time.capnp.h"

/* Addresses at which no user byte lies. */
static const uint64_t wild_anywhere[] = {
    0,
    8,
    4096,
    0xfff8,
    CAPOS_MMAP_BASE - 8,
    CAPOS_USER_END - 8,
    CAPOS_USER_END,
    CAPOS_USER_END + 4096,
    UINT64_C(0x0000800000000000),
    UINT64_C(0x0001000000000000),
    UINT64_C(0x8000000000000000),
    UINT64_C(0xffff000000000000),
    UINT64_C(0xffff7ffffffffff8),
    UINT64_C(0xffff800000000000),
    UINT64_C(0xffff888000000000),
    UINT64_C(0xffffc00000000000),
    UINT64_C(0xffffff8000000000),
    UINT64_C(0xffffffff80000000),
    UINT64_C(0xffffffff80100000),
    UINT64_C(0xfffffffffffff000),
    UINT64_C(0xfffffffffffffff8),
};
enum { WILD = ARRAY_LEN(wild_anywhere) + 3 };

/* The last ones are beside what this process has: above its stack, below its ring, after its start page. */
static uint64_t wild(unsigned i)
{
    const struct capos_capset *page = capos_capset();
    return i < ARRAY_LEN(wild_anywhere) ? wild_anywhere[i]
           : i == WILD - 3              ? page->stack_base + page->stack_bytes
           : i == WILD - 2              ? page->ring - 8
                                        : (uintptr_t)page + 4096;
}

/* Readable, never writable. */
static uint64_t read_only(unsigned i)
{
    const struct capos_capset *page = capos_capset();
    return i == 0 ? (uintptr_t)page : i == 1 ? page->image_base : (uintptr_t)&wild_anywhere;
}
enum { READ_ONLY = 3 };

static uint64_t guard_page(void)
{
    return capos_capset()->stack_base - 16;
}

static int64_t kernel_params(void)
{
    uint64_t result[8];
    for (unsigned i = 0; i <= WILD; i++) {
        uint64_t at = i < WILD ? wild(i) : guard_page();
        struct capos_sqe call = CALL(held("timer"), Timer, sleep, NULL, 16, result, 64);
        call.params = at;
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
    }
    CHECK_WORKS();
    return 0;
}

/* A result that cannot be written: refused before anything is made. */
static int64_t kernel_results(void)
{
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < WILD + 1 + READ_ONLY; i++) {
        uint64_t at = i < WILD ? wild(i) : i == WILD ? guard_page() : read_only(i - WILD - 1);
        struct capos_sqe call = CALL(held("timer"), Timer, now, NULL, 0, NULL, 64);
        call.result = at;
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
        call = CALL(held("ledger"), Ledger, new_notification, NULL, 0, NULL, 64);
        call.result = at;
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
        call = CALL(held("entropy"), Entropy, fill, MESSAGE(512), 16, NULL, 1024);
        call.result = at;
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
        CHECK_USAGE(&before);
    }
    return 0;
}

/* Page-sized hole: [0, PAGE) is there, [PAGE, 2 PAGE) is not. */
static uint64_t half_mapped(void)
{
    uint64_t result[8];
    uint64_t address = map_pages(held("memory"), 2 * PAGE);
    CHECK(address != 0);
    CHECK(raw_do(CALL(held("memory"), VirtualMemory, decommit, MESSAGE(address + PAGE, PAGE), 24,
                      result, 64))
              .result >= 0);
    memset((void *)(uintptr_t)address, 0, PAGE);
    return address + PAGE;
}

static int64_t half_buffers(void)
{
    uint64_t result[8];
    uint64_t edge = half_mapped();
    struct usage before;
    usage_now(&before);
    for (unsigned inside = 8; inside < 16; inside += 8) {
        struct capos_sqe call = CALL(held("timer"), Timer, sleep, NULL, 16, result, 64);
        call.params = edge - inside;
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
        call = CALL(held("ledger"), Ledger, new_notification, NULL, 0, NULL, 64);
        call.result = edge - inside;
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
    }
    CHECK_USAGE(&before);
    /* To the very edge it is good. */
    struct capos_sqe call = CALL(held("timer"), Timer, now, NULL, 0, NULL, 16);
    call.result = edge - 16;
    CHECK_EQ(raw_do(call).result, 16);
    return 0;
}

/* The transfer area: its number unreadable is BAD_SEQUENCE, its descriptors BAD_ADDRESS. */
static int64_t transfer_areas(void)
{
    uint64_t result[8];
    for (unsigned i = 0; i < WILD; i++) {
        struct capos_sqe call = CALL(held("timer"), Timer, now, NULL, 0, result, 64);
        call.params = wild(i);
        call.xfer_count = 1;
        struct capos_cqe cqe = raw_do(call);
        CHECK_EQ(cqe.result, ST_BAD_SEQUENCE);
        CHECK_EQ(cqe.flags, CAPOS_CQE_SEQUENCE);
        CHECK_EQ(cqe.expected_seq, 1);
    }
    uint64_t edge = half_mapped();
    uint64_t number = 1;
    memcpy((void *)(uintptr_t)(edge - 8), &number, 8);
    struct capos_sqe call = CALL(held("timer"), Timer, now, NULL, 0, result, 64);
    call.params = edge - 8;
    call.xfer_count = 1;
    CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
    CHECK_EQ(raw_do(call).expected_seq, 2); /* that number is spent */
    return 0;
}

enum { MESSAGE_MAX = 1024, RECEIVE_BYTES = 64 + MESSAGE_MAX };

/* A pair of an endpoint of our own and an object served at it. */
static void own_service(capos_cap_t *endpoint, capos_cap_t *object)
{
    CHECK_EQ(new_endpoint(held("ledger"), MESSAGE_MAX, 0, endpoint), ST_OK);
    CHECK_EQ(mint(*endpoint, 5, 1, 0, object), ST_OK);
}

static uint64_t buffer[RECEIVE_BYTES / 8];

static struct capos_sqe receive_sqe(capos_cap_t endpoint)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_RECV, endpoint);
    sqe.result = (uintptr_t)buffer;
    sqe.result_len = sizeof(buffer);
    return sqe;
}

static struct capos_sqe return_sqe(uint64_t call_id, const void *message, uint32_t bytes)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_RETURN, 0);
    sqe.interface = call_id;
    sqe.params = (uintptr_t)message;
    sqe.params_len = bytes;
    return sqe;
}

/* The caller's bad page completes the call and keeps the receive. */
static int64_t call_params(void)
{
    static uint64_t good[8];
    capos_cap_t endpoint, object;
    own_service(&endpoint, &object);
    uint64_t receiving = raw_start(receive_sqe(endpoint));
    for (unsigned i = 0; i < WILD; i++) {
        struct capos_sqe call = raw_call_sqe(object, HOSTILE_INTERFACE, 0, NULL, 64, good, 64);
        call.params = wild(i);
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
    }
    struct capos_cqe cqe;
    CHECK(!raw_poll(receiving, &cqe));
    uint64_t called = raw_start(raw_call_sqe(object, HOSTILE_INTERFACE, 0, good, 64, good, 64));
    CHECK_EQ(raw_wait(receiving).result, 128);
    CHECK_EQ(raw_do(return_sqe(buffer[0], NULL, 0)).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 0);
    return 0;
}

/* The receiver's bad page completes the receive and keeps the call. */
static int64_t receive_buffers(void)
{
    static uint64_t message[8];
    capos_cap_t endpoint, object;
    own_service(&endpoint, &object);
    uint64_t called =
        raw_start(raw_call_sqe(object, HOSTILE_INTERFACE, 0, message, 64, message, 64));
    struct capos_cqe cqe;
    for (unsigned i = 0; i < WILD + READ_ONLY; i++) {
        struct capos_sqe receive = receive_sqe(endpoint);
        receive.result = i < WILD ? wild(i) : read_only(i - WILD);
        CHECK_EQ(raw_do(receive).result, ST_BAD_ADDRESS);
        CHECK(!raw_poll(called, &cqe));
    }
    /* With INLINE a message that fits the slot needs none of them. */
    struct capos_sqe receive = receive_sqe(endpoint);
    receive.flags = CAPOS_SQE_INLINE;
    receive.params = CAPOS_PAYLOAD_SLOT_BYTES;
    receive.result = wild(0);
    cqe = raw_do(receive);
    CHECK_EQ(cqe.result, 128);
    CHECK_EQ(cqe.flags, CAPOS_CQE_INLINE);
    uint64_t call_id;
    memcpy(&call_id, raw.payload + CAPOS_PAYLOAD_SLOT_BYTES, sizeof(call_id));
    CHECK_EQ(raw_do(return_sqe(call_id, NULL, 0)).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 0);
    /* A larger one does. */
    called =
        raw_start(raw_call_sqe(object, HOSTILE_INTERFACE, 0, buffer, MESSAGE_MAX, message, 64));
    CHECK_EQ(raw_do(receive).result, ST_BAD_ADDRESS);
    CHECK(!raw_poll(called, &cqe));
    CHECK_EQ(raw_do(receive_sqe(endpoint)).result, RECEIVE_BYTES);
    CHECK_EQ(raw_do(return_sqe(buffer[0], NULL, 0)).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 0);
    return 0;
}

/* A bad page in the answer refuses the RETURN: the call is still ours to answer. */
static int64_t return_params(void)
{
    static uint64_t message[8];
    capos_cap_t endpoint, object;
    own_service(&endpoint, &object);
    uint64_t called =
        raw_start(raw_call_sqe(object, HOSTILE_INTERFACE, 0, message, 64, message, 64));
    CHECK_EQ(raw_do(receive_sqe(endpoint)).result, 128);
    struct capos_cqe cqe;
    for (unsigned i = 0; i < WILD; i++) {
        struct capos_sqe answer = return_sqe(buffer[0], NULL, 64);
        answer.params = wild(i);
        CHECK_EQ(raw_do(answer).result, ST_BAD_ADDRESS);
        CHECK(!raw_poll(called, &cqe));
    }
    CHECK_EQ(raw_do(return_sqe(buffer[0], message, 64)).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 64);
    return 0;
}

/* A result page that is bad hurts the caller only; the server's RETURN says GONE. */
static int64_t call_results(void)
{
    static uint64_t message[8];
    capos_cap_t endpoint, object;
    own_service(&endpoint, &object);
    for (unsigned i = 0; i < WILD + READ_ONLY; i++) {
        struct capos_sqe call = raw_call_sqe(object, HOSTILE_INTERFACE, 0, message, 64, NULL, 64);
        call.result = i < WILD ? wild(i) : read_only(i - WILD);
        uint64_t called = raw_start(call);
        CHECK_EQ(raw_do(receive_sqe(endpoint)).result, 128);
        CHECK_EQ(raw_do(return_sqe(buffer[0], message, 64)).result, ST_GONE);
        CHECK_EQ(raw_wait(called).result, ST_BAD_ADDRESS);
    }
    return 0;
}

/* What the neighbour is sent and told to answer to, from another address space. */
static int64_t neighbour_pointers(void)
{
    static uint64_t message[8], result[8];
    capos_cap_t echo = held("echo");
    for (unsigned i = 0; i < WILD; i++) {
        struct capos_sqe call = raw_call_sqe(echo, HOSTILE_INTERFACE, 0, NULL, 64, result, 64);
        call.params = wild(i);
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
        call = raw_call_sqe(echo, HOSTILE_INTERFACE, 0, message, 64, NULL, 64);
        call.result = wild(i);
        CHECK_EQ(raw_do(call).result, ST_BAD_ADDRESS);
    }
    CHECK_EQ(raw_do(raw_call_sqe(echo, HOSTILE_INTERFACE, 0, message, 64, result, 64)).result, 64);
    return 0;
}

/* Lengths: not a multiple of 8, longer than anything takes, longer than what is there. */
static int64_t wild_lengths(void)
{
    static uint64_t message[2048], result[2048];
    capos_cap_t echo = held("echo");
    for (uint32_t odd = 1; odd < 8; odd++) {
        struct capos_sqe call = CALL(held("timer"), Timer, sleep, message, 8 + odd, result, 64);
        CHECK_EQ(raw_do(call).result, ST_BAD_MESSAGE);
        call = CALL(held("timer"), Timer, now, NULL, 0, result, 64 + odd);
        CHECK_EQ(raw_do(call).result, ST_BAD_MESSAGE);
        call = raw_call_sqe(echo, HOSTILE_INTERFACE, 0, message, odd, result, 64);
        CHECK_EQ(raw_do(call).result, ST_BAD_MESSAGE);
    }
    static const uint32_t longs[] = {16384 + 8, 1u << 20, 0x7ffffff8, 0x80000000, 0xfffffff8};
    for (unsigned i = 0; i < ARRAY_LEN(longs); i++) {
        struct capos_sqe call = CALL(held("timer"), Timer, sleep, message, longs[i], result, 64);
        CHECK_EQ(raw_do(call).result, ST_TOO_LARGE);
        call = raw_call_sqe(echo, HOSTILE_INTERFACE, 0, message, longs[i], result, 64);
        CHECK_EQ(raw_do(call).result, ST_TOO_LARGE);
        call = CALL(held("timer"), Timer, now, NULL, 0, result, longs[i]);
        CHECK_EQ(raw_do(call).result, 16); /* room is only what is used */
    }
    return 0;
}

/* Results that need more room than there is: told how much, nothing made. */
static int64_t small_results(void)
{
    static uint64_t message[32], result[32];
    struct usage before;
    usage_now(&before);
    for (uint32_t room = 0; room < 16; room += 8) {
        struct capos_cqe cqe = raw_do(CALL(held("timer"), Timer, now, NULL, 0, result, room));
        CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
        CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
        CHECK_EQ(cqe.needed, 16);
    }
    for (uint32_t room = 0; room < 32; room += 8) {
        struct capos_cqe cqe =
            raw_do(CALL(held("ledger"), Ledger, new_notification, NULL, 0, result, room));
        CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
        CHECK_EQ(cqe.needed, 32);
    }
    struct capos_sqe none = CALL(held("ledger"), Ledger, new_notification, NULL, 0, result, 64);
    none.accept_count = 0;
    CHECK_EQ(raw_do(none).result, ST_RESULT_TOO_SMALL);
    CHECK_USAGE(&before);
    for (uint32_t room = 0; room < 128; room += 8) {
        struct capos_cqe cqe =
            raw_do(raw_call_sqe(held("echo"), HOSTILE_INTERFACE, 0, message, 128, result, room));
        CHECK_EQ(cqe.result, ST_RESULT_TOO_SMALL);
        CHECK_EQ(cqe.needed, 128);
    }
    return 0;
}

/* Alignment is nobody's concern, and buffers may overlap: what is copied is what was there. */
static int64_t overlapping(void)
{
    static uint8_t area[512];
    for (unsigned offset = 0; offset < 16; offset++) {
        memset(area, 0, sizeof(area));
        struct capos_sqe call = CALL(held("timer"), Timer, now, NULL, 0, area + offset, 64);
        CHECK_EQ(raw_do(call).result, 16);
        for (unsigned i = 0; i < 128; i++) {
            area[offset + i] = (uint8_t)(i * 7);
        }
        /* The answer lands on the question, shifted by up to 15 bytes. */
        call = raw_call_sqe(held("echo"), HOSTILE_INTERFACE, 0, area + offset, 128, area + 7, 128);
        CHECK_EQ(raw_do(call).result, 128);
        for (unsigned i = 0; i < 128; i++) {
            CHECK_EQ(area[7 + i], (uint8_t)(i * 7));
        }
    }
    return 0;
}

/* Receive buffer, message, answer and result all in one place. */
static int64_t all_in_one(void)
{
    static uint64_t area[RECEIVE_BYTES / 8];
    capos_cap_t endpoint, object;
    own_service(&endpoint, &object);
    for (unsigned i = 0; i < 8; i++) {
        area[i] = i;
    }
    uint64_t called = raw_start(raw_call_sqe(object, HOSTILE_INTERFACE, 0, area, 64, area, 128));
    struct capos_sqe receive = receive_sqe(endpoint);
    receive.result = (uintptr_t)area;
    CHECK_EQ(raw_do(receive).result, 128);
    uint64_t call_id = area[0];
    CHECK_EQ(raw_do(return_sqe(call_id, area, 128)).result, ST_OK);
    CHECK_EQ(raw_wait(called).result, 128);
    CHECK(area[0] == call_id);
    return 0;
}

/* Memory taken away after the submission and before the delivery. */
static int64_t memory_pulled(void)
{
    static uint64_t out[8];
    capos_cap_t endpoint, object;
    own_service(&endpoint, &object);
    uint64_t page = map_pages(held("memory"), PAGE);
    CHECK(page != 0);
    struct capos_sqe call = raw_call_sqe(object, HOSTILE_INTERFACE, 0, NULL, 64, out, 64);
    call.params = page;
    uint64_t called = raw_start(call);
    CHECK(raw_do(CALL(held("memory"), VirtualMemory, unmap, MESSAGE(page, PAGE), 24, out, 64))
              .result >= 0);
    uint64_t receiving = raw_start(receive_sqe(endpoint));
    CHECK_EQ(raw_wait(called).result, ST_BAD_ADDRESS);
    struct capos_cqe cqe;
    CHECK(!raw_poll(receiving, &cqe));
    return 0;
}

const struct hostile_case pointer_cases[] = {
    CASE_WITH("ptr.kernel-params", kernel_params, "no address reads anything into a kernel call",
              0),
    CASE_WITH("ptr.kernel-results", kernel_results,
              "a result with nowhere to go is refused before it is made", HOLD_ENTROPY),
    CASE_WITH("ptr.half", half_buffers, "a buffer half of which is there is not there", 0),
    CASE_WITH("ptr.transfers", transfer_areas, "an unreadable transfer area spends nothing", 0),
    CASE_WITH("ptr.call-params", call_params, "a caller's bad page costs the call, not the receive",
              0),
    CASE_WITH("ptr.receive", receive_buffers,
              "a receiver's bad page costs the receive, not the call", 0),
    CASE_WITH("ptr.return", return_params, "a bad page in an answer leaves the call in flight", 0),
    CASE_WITH("ptr.call-results", call_results, "a bad result page hurts the caller only", 0),
    CASE_WITH("ptr.neighbour", neighbour_pointers,
              "bad pages sent to another process hurt the sender only", HOLD_ECHO),
    CASE_WITH("ptr.lengths", wild_lengths, "lengths that mean nothing are refused", HOLD_ECHO),
    CASE_WITH("ptr.small-results", small_results, "too little room is told, with what is needed",
              HOLD_ECHO),
    CASE_WITH("ptr.overlap", overlapping, "unaligned and overlapping buffers are copied right",
              HOLD_ECHO),
    CASE_WITH("ptr.one-place", all_in_one, "one buffer may be everything at once", 0),
    CASE_WITH("ptr.pulled", memory_pulled, "memory unmapped under a queued call ends the call", 0),
    {.name = NULL},
};
