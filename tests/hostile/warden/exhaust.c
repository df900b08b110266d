/* SPDX-License-Identifier: MIT */
/*
 * Everything that can be used up, used up: the refusal is QUOTA with the class, nothing was made, what
 * is given back can be had again, and nobody else notices.
 */
#include "capabilities.capnp.h"
#include "capos/start.h"
#include "case.h"
#include "endpoint.capnp.h"
#include "kernel_log.capnp.h"
#include "grants.capnp.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"
#include "memory.capnp.h"
#include "thread.capnp.h"
#include "time.capnp.h"

enum { MANY = 2048 };

static capos_cap_t made[MANY];
static uint64_t result[1024];

/* Makes objects until one is refused; how many there are. */
static unsigned make_all(status_t (*make)(capos_cap_t *), unsigned ledger_class)
{
    unsigned count = 0;
    status_t status = ST_OK;
    while (count < MANY && (status = make(&made[count])) == ST_OK) {
        count++;
    }
    CHECK_EQ(status, ST_QUOTA);
    CHECK_EQ(raw_quota_class(), ledger_class);
    CHECK(count > 0);
    return count;
}

/* Minted objects whose last capability is gone wait for their server to hear of it. */
static void hear_of_idle(capos_cap_t endpoint)
{
    struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, endpoint);
    wait.method = CAPOS_EVENT_NO_CLIENTS;
    wait.deadline_ns = 1;
    while (raw_do(wait).result == CAPOS_EVENT_NO_CLIENTS) {
    }
}

static capos_cap_t minter;
static bool minting;

/* Gives all back, at once or as soon as jobs and notices are through. */
static void give_back(unsigned first, unsigned count)
{
    for (unsigned i = first; i < count; i++) {
        CHECK_EQ(release(made[i]), ST_OK);
    }
    if (minting) {
        hear_of_idle(minter);
    }
    sleep_ms(5);
}

/* Used up three times over, with as many objects each time. */
static void use_up(status_t (*make)(capos_cap_t *), unsigned ledger_class)
{
    struct usage before, full, again;
    capos_cap_t one;
    unsigned first = make_all(make, ledger_class);
    give_back(0, first);
    usage_now(&before);
    for (unsigned round = 0; round < 3; round++) {
        CHECK_EQ(make_all(make, ledger_class), first);
        usage_now(&full);
        for (unsigned i = 0; i < 20; i++) {
            CHECK_EQ(make(&one), ST_QUOTA);
        }
        usage_now(&again);
        CHECK(memcmp(&full, &again, sizeof(full)) == 0);
        give_back(0, 1);
        CHECK_EQ(make(&made[0]), ST_OK);
        give_back(0, first);
        CHECK_USAGE(&before);
    }
}

static status_t make_notification(capos_cap_t *out)
{
    return new_notification(held("ledger"), out);
}

static status_t make_page(capos_cap_t *out)
{
    return new_memory(held("ledger"), PAGE, out);
}

static status_t make_endpoint(capos_cap_t *out)
{
    return new_endpoint(held("ledger"), 64, 0, out);
}

static status_t make_served(capos_cap_t *out)
{
    static uint64_t key;
    return mint(minter, ++key, 1, 0, out);
}

static status_t make_copy(capos_cap_t *out)
{
    return attenuate(held("capabilities"), minter, 1, out);
}

static int64_t slots(void)
{
    use_up(make_notification, LEDGER_CLASS_SLOTS);
    return 0;
}

static int64_t slots_by_copies(void)
{
    CHECK_EQ(make_notification(&minter), ST_OK);
    use_up(make_copy, LEDGER_CLASS_SLOTS);
    return 0;
}

static int64_t frames(void)
{
    use_up(make_page, LEDGER_CLASS_FRAMES);
    return 0;
}

static int64_t kernel_pages(void)
{
    use_up(make_endpoint, LEDGER_CLASS_KERNEL_PAGES);
    return 0;
}

static int64_t served_objects(void)
{
    CHECK_EQ(make_endpoint(&minter), ST_OK);
    minting = true;
    use_up(make_served, LEDGER_CLASS_SERVED_OBJECTS);
    return 0;
}

/* Committed pages until none are left, in one reservation. */
static int64_t committed(void)
{
    enum { PAGES = 1024 };
    struct usage before;
    capos_cap_t memory = held("memory");
    CHECK(raw_do(CALL(memory, VirtualMemory, reserve, MESSAGE(0, PAGES * PAGE), 24, result, 64))
              .result > 0);
    uint64_t base = result[1];
    usage_now(&before);
    for (unsigned round = 0; round < 3; round++) {
        unsigned count = 0;
        int32_t got = 0;
        while (count < PAGES && got >= 0) {
            got = raw_do(CALL(memory, VirtualMemory, commit,
                              MESSAGE(base + count * PAGE, PAGE, PROTECTION_READ_WRITE), 32, result,
                              64))
                      .result;
            count += got >= 0;
        }
        CHECK_EQ(got, ST_QUOTA);
        CHECK(count > 0 && count < PAGES);
        memset((void *)(uintptr_t)base, 0xaa, (size_t)count * PAGE);
        CHECK(raw_do(CALL(memory, VirtualMemory, decommit, MESSAGE(base, (uint64_t)count * PAGE),
                          24, result, 64))
                  .result >= 0);
        sleep_ms(10);
        struct usage after;
        usage_now(&after);
        CHECK_EQ(after.used[LEDGER_CLASS_FRAMES], before.used[LEDGER_CLASS_FRAMES]);
    }
    return 0;
}

static int64_t virtual_pages(void)
{
    static uint64_t bases[MANY];
    capos_cap_t memory = held("memory");
    struct usage before;
    usage_now(&before);
    for (unsigned round = 0; round < 3; round++) {
        unsigned count = 0;
        int32_t got = 0;
        while (count < MANY && got >= 0) {
            got =
                raw_do(CALL(memory, VirtualMemory, reserve, MESSAGE(0, 16u << 20), 24, result, 64))
                    .result;
            bases[count] = result[1];
            count += got >= 0;
        }
        CHECK_EQ(got, ST_QUOTA);
        CHECK(count > 0);
        for (unsigned i = 0; i < count; i++) {
            CHECK(raw_do(CALL(memory, VirtualMemory, unmap, MESSAGE(bases[i], 16u << 20), 24,
                              result, 64))
                      .result >= 0);
        }
        sleep_ms(10);
        CHECK_USAGE(&before);
    }
    return 0;
}

/* The window of the log: refused until the second is over, the neighbour's line goes through. */
static int64_t log_bytes(void)
{
    uint64_t text[32];
    for (unsigned i = 2; i < 32; i++) {
        text[i] = UINT64_C(0x6c6c6c6c6c6c6c6c);
    }
    text[0] = UINT64_C(1) << 48;
    text[1] = UINT64_C(1) | UINT64_C(2) << 32 | UINT64_C(240) << 35;
    text[31] &= UINT64_MAX >> 8;
    capos_cap_t log = capos_capset()->entries[0].cap;
    unsigned count = 0;
    struct capos_cqe cqe;
    do {
        cqe = raw_do(CALL(log, KernelLog, append, text, sizeof(text), raw_none, 16));
        count++;
    } while (cqe.result >= 0 && count < 1000);
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(cqe.flags, CAPOS_CQE_NEEDED);
    CHECK_EQ(cqe.needed, LEDGER_CLASS_LOG_BYTES);
    for (unsigned i = 0; i < 100; i++) {
        CHECK_EQ(raw_do(CALL(log, KernelLog, append, text, sizeof(text), raw_none, 16)).result,
                 ST_QUOTA);
    }
    sleep_ms(1100);
    CHECK(raw_do(CALL(log, KernelLog, append, text, sizeof(text), raw_none, 16)).result >= 0);
    return 0;
}

/* The neighbour flooded with calls, most of them never waited for: the next caller gets through. */
static int64_t call_flood(void)
{
    static uint64_t message[512];
    for (unsigned round = 0; round < 30; round++) {
        while (raw.sq_tail - raw.header->sq_head < raw.sq_entries) {
            (void)raw_send(raw_call_sqe(held("echo"), HOSTILE_INTERFACE, 0, message,
                                        sizeof(message), result, sizeof(result)));
        }
        CHECK(raw_enter(1, CAPOS_FOREVER) > 0);
        struct capos_cqe cqe;
        while (raw_reap(&cqe)) {
            CHECK_EQ(cqe.result, sizeof(message));
        }
    }
    return 0;
}

/* A hundred sleeps, receives and waits at once are records of the ring, paid for when it was made:
 * the ledger does not move. */
static int64_t waiters(void)
{
    struct usage before;
    capos_cap_t note;
    CHECK_EQ(make_notification(&note), ST_OK);
    usage_now(&before);
    unsigned most = raw.cq_entries - raw.cq_reserve - 2;
    uint64_t soon_ns = now_ns() + 20000000;
    for (unsigned i = 0; i < most; i++) {
        struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, note);
        wait.method = CAPOS_EVENT_SIGNALLED;
        wait.deadline_ns = soon_ns + i;
        struct capos_sqe sleep =
            CALL(held("timer"), Timer, sleep, MESSAGE(soon_ns + i), 16, result, 64);
        (void)raw_start(i % 2 ? wait : sleep);
    }
    struct capos_cqe cqe;
    unsigned ended = 0;
    while (ended < most) {
        CHECK(raw_enter(1, CAPOS_FOREVER) > 0);
        while (raw_reap(&cqe)) {
            CHECK(cqe.result == ST_TIMED_OUT || cqe.result == 16);
            ended++;
        }
    }
    CHECK_USAGE(&before);
    return 0;
}

/* Mints, never released, and an exit in the middle of it. */
static int64_t die_full(void)
{
    CHECK_EQ(make_endpoint(&minter), ST_OK);
    (void)make_all(make_served, LEDGER_CLASS_SERVED_OBJECTS);
    for (unsigned i = 0; i < 100; i++) {
        (void)make_page(&made[i]);
        (void)make_endpoint(&made[i]);
        (void)map_pages(held("memory"), PAGE);
    }
    return 0;
}

/* A copy of the log below a grant of its own, whose handle is let go of. */
static status_t make_derived(capos_cap_t *out)
{
    struct {
        uint64_t message[5];
        uint64_t number;
        struct capos_transfer transfer;
    } params = {{ROOT(3) | UINT64_C(1) << 48}, raw.sequence++, {.cap = minter}};
    struct capos_sqe sqe =
        raw_call_sqe(held("capabilities"), CapabilityManager_ID, CapabilityManager_derive_ORDINAL,
                     &params, sizeof(params.message), result, sizeof(result));
    sqe.xfer_count = 1;
    sqe.accept_count = 2;
    struct capos_cqe cqe = raw_do(sqe);
    if (cqe.result < 0) {
        return cqe.result;
    }
    CHECK_EQ(cqe.cap_count, 2);
    *out = cqe.first_cap;
    return release(result[cqe.result / 8 + 2]);
}

static int64_t grants(void)
{
    CHECK_EQ(make_notification(&minter), ST_OK);
    use_up(make_derived, LEDGER_CLASS_GRANTS);
    return 0;
}

static void sleeps(uint64_t argument, struct capos_ring_header *ring)
{
    (void)argument;
    (void)ring;
    for (;;) {
        (void)capos_sys_enter(1, CAPOS_FOREVER);
    }
}

/* A thread takes one of its class, and of calls, waiters and timers what its ring may need. */
static int64_t threads_of(unsigned ledger_class, unsigned most)
{
    enum { STACK_WORDS = 256, STACKS = 8 };
    static uint64_t stacks[STACKS][STACK_WORDS] __attribute__((aligned(16)));
    struct capos_cqe cqe = {0};
    unsigned count = 0;
    for (; count < STACKS; count++) {
        uint64_t top = (uintptr_t)&stacks[count][STACK_WORDS - 1];
        cqe = raw_do(CALL(held("threads"), ThreadSpawner, spawn,
                          MESSAGE((uintptr_t)sleeps, top, 0, 16), 40, result, sizeof(result)));
        if (cqe.result < 0) {
            break;
        }
    }
    CHECK_EQ(cqe.result, ST_QUOTA);
    CHECK_EQ(raw_quota_class(), ledger_class);
    CHECK_EQ(count, most);
    CHECK_WORKS();
    return 0;
}

static int64_t threads(void)
{
    return threads_of(LEDGER_CLASS_THREADS, 2);
}

static int64_t thread_calls(void)
{
    return threads_of(LEDGER_CLASS_CALLS, 1);
}

static int64_t thread_waiters(void)
{
    return threads_of(LEDGER_CLASS_WAITERS, 1);
}

static int64_t thread_timers(void)
{
    return threads_of(LEDGER_CLASS_TIMERS, 1);
}

/* An endpoint may have to end a vacancy: it is a timer. */
static int64_t timers(void)
{
    use_up(make_endpoint, LEDGER_CLASS_TIMERS);
    return 0;
}

#define LIMITED_HOLDING(holds_, name_, function, sentence_, ...) \
    { \
        .name = name_, .sentence = sentence_, .roles = {{.run = function, .holds = holds_}}, \
        .limits = { \
            __VA_ARGS__ \
        } \
    }
#define LIMITED(name_, function, sentence_, ...) \
    LIMITED_HOLDING(HOLD_USUAL | HOLD_ECHO, name_, function, sentence_, __VA_ARGS__)
#define THREADED(name_, function, sentence_, ...) \
    LIMITED_HOLDING(HOLD_USUAL | HOLD_THREADS, name_, function, sentence_, __VA_ARGS__)

const struct hostile_case exhaust_cases[] = {
    LIMITED("full.slots", slots, "slots run out, and come back", {LEDGER_CLASS_SLOTS, true, 40}),
    LIMITED("full.copies", slots_by_copies, "copies run out of slots",
            {LEDGER_CLASS_SLOTS, true, 90}),
    LIMITED("full.frames", frames, "frames run out, and come back",
            {LEDGER_CLASS_SLOTS, true, 1000}),
    LIMITED("full.kernel-pages", kernel_pages, "pages of kernel objects run out, and come back",
            {LEDGER_CLASS_SLOTS, true, 2000}, {LEDGER_CLASS_KERNEL_PAGES, true, 90}),
    LIMITED("full.served", served_objects, "served objects run out, and come back",
            {LEDGER_CLASS_SERVED_OBJECTS, true, 20}),
    LIMITED("full.committed", committed, "committed memory runs out, and comes back",
            {LEDGER_CLASS_FRAMES, true, 400}),
    LIMITED("full.virtual", virtual_pages, "address space runs out, and comes back",
            {LEDGER_CLASS_VIRTUAL_PAGES, true, 65536}),
    LIMITED("full.log", log_bytes, "the log takes so much a second of one process",
            {LEDGER_CLASS_LOG_BYTES, true, 3000}),
    LIMITED("full.calls", call_flood, "a flood of calls is answered, call by call", {0}),
    LIMITED("full.waiters", waiters, "what waits was paid for with the ring", {0}),
    LIMITED("full.timers", timers, "timers run out, and come back",
            {LEDGER_CLASS_TIMERS, true, 80}),
    LIMITED("full.grants", grants, "grants run out, and come back",
            {LEDGER_CLASS_GRANTS, true, 30}),
    THREADED("full.threads", threads, "threads run out", {LEDGER_CLASS_THREADS, true, 3}),
    THREADED("full.thread-calls", thread_calls, "a thread whose ring cannot be paid for is none",
             {LEDGER_CLASS_CALLS, true, 127}),
    THREADED("full.thread-waiters", thread_waiters, "nor one whose waits cannot",
             {LEDGER_CLASS_WAITERS, true, 127}),
    THREADED("full.thread-timers", thread_timers, "nor one whose deadlines cannot",
             {LEDGER_CLASS_TIMERS, true, 130}),
    LIMITED("full.death", die_full, "a process that has used up all gives up all", {0}),
    {.name = NULL},
};
