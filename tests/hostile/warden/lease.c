/* SPDX-License-Identifier: MIT */
/*
 * Rings that another processor takes entries of, used against it: memory that goes while it copies, indices that turn to
 * nonsense under it, programs that end in the middle. Only on machines with a processor to spare.
 */
#include "capos/ring.h"
#include "capos/start.h"
#include "case.h"
#include "lib/base/string.h"
#include "memory.capnp.h"
#include "scheduling.capnp.h"
#include "thread.capnp.h"
#include "threads.h"

#define SECOND_NS UINT64_C(1000000000)

enum { TURNS = 200, BATCH = 8 };

static uint64_t result[64];

static struct capos_cqe new_lease(void)
{
    return raw_do(CALL(held("scheduling"), SchedulingPolicy, new_lease, MESSAGE(0), 16, result,
                       sizeof(result)));
}

/* Without a word on the log: it is polled from now on. */
static status_t poll_with(capos_cap_t lease, uint64_t rounds)
{
    return raw_status(CALL(lease, CpuLease, poll, MESSAGE(rounds), 16, result, sizeof(result)));
}

static bool is_polled(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return (__atomic_load_n(&raw.header->flags, __ATOMIC_SEQ_CST) & CAPOS_RING_POLLED) != 0;
}

/* Takes a lease and is polled by it. */
static capos_cap_t be_polled(void)
{
    struct capos_cqe cqe = new_lease();
    CHECK(cqe.result >= 0);
    CHECK_EQ(poll_with(cqe.first_cap, 0), ST_OK);
    return cqe.first_cap;
}

/* The completion of the entry last submitted, entering only when nobody polls. */
static struct capos_cqe await(uint64_t tag, unsigned *unentered)
{
    struct capos_cqe cqe;
    while (!raw_poll(tag, &cqe)) {
        if (!is_polled()) {
            CHECK(raw_enter(0, 0) >= 0);
        } else {
            capos_relax();
            (*unentered)++;
        }
    }
    return cqe;
}

/* As it is meant: entries are carried out, most of them without a system call; stop and revoke end it. */
static int64_t is_served(void)
{
    unsigned looks = 0;
    struct usage before;
    usage_now(&before);
    capos_cap_t lease = be_polled();
    CHECK_EQ(poll_with(lease, 0), ST_BUSY);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        uint64_t tag = 0;
        for (unsigned i = 0; i < BATCH; i++) {
            tag = raw_send(raw_sqe(CAPOS_OP_NOP, 0));
        }
        CHECK_EQ(await(tag, &looks).result, ST_OK);
        capos_cap_t note;
        CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
        CHECK_EQ(await(raw_send(raw_sqe(CAPOS_OP_RELEASE, note)), &looks).result, ST_OK);
    }
    CHECK(looks != 0);
    CHECK_EQ(raw_status(CALL(lease, CpuLease, info, NULL, 0, result, sizeof(result))), ST_OK);
    CHECK(result[3] >= TURNS); /* entries */
    CHECK_EQ(raw_status(CALL(lease, CpuLease, stop, NULL, 0, result, sizeof(result))), ST_OK);
    while (is_polled()) {
        capos_relax();
    }
    for (unsigned i = 0; i < 5; i++) { /* it may be in its last slice, for the ring it leaves */
        status_t status;
        while ((status = poll_with(lease, 1 + i)) == ST_BUSY) {
            capos_relax();
        }
        CHECK_EQ(status, ST_OK);
        CHECK_EQ(await(raw_send(raw_sqe(CAPOS_OP_NOP, 0)), &looks).result, ST_OK);
        CHECK_EQ(raw_status(CALL(lease, CpuLease, stop, NULL, 0, result, sizeof(result))), ST_OK);
    }
    CHECK_EQ(raw_status(CALL(lease, CpuLease, revoke, NULL, 0, result, sizeof(result))), ST_OK);
    CHECK_EQ(poll_with(lease, 0), ST_DISCONNECTED);
    CHECK_EQ(release(lease), ST_OK);
    CHECK_USAGE(&before);
    return 0;
}

/* The pages that entries name come and go while the poller reads and writes them. */
static int64_t pulls_pages(void)
{
    capos_cap_t lease = be_polled();
    unsigned looks = 0, good = 0, bad = 0;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        uint64_t page = map_pages(held("memory"), PAGE);
        CHECK(page != 0);
        uint64_t *message = (uint64_t *)(uintptr_t)page;
        message[0] = 0;
        uint64_t tags[BATCH];
        for (unsigned i = 0; i < BATCH; i++) {
            struct capos_sqe sqe =
                CALL(lease, CpuLease, info, NULL, 0, (void *)(message + 8 + 8 * i), 64);
            tags[i] = raw_send(sqe);
        }
        uint64_t unmap = raw_send(CALL(held("memory"), VirtualMemory, unmap, MESSAGE(page, PAGE),
                                       24, raw_none, sizeof(raw_none)));
        for (unsigned i = 0; i < BATCH; i++) {
            struct capos_cqe cqe = await(tags[i], &looks);
            CHECK(cqe.result >= 0 || cqe.result == ST_BAD_ADDRESS);
            good += cqe.result >= 0;
            bad += cqe.result < 0;
        }
        CHECK(await(unmap, &looks).result >= 0);
    }
    CHECK(good + bad == TURNS * BATCH);
    return 0;
}

/* Everything the client can write, written anyhow, under the poller. It ends as who enters with a bad ring does, or goes on. */
static int64_t scribbles(void)
{
    (void)be_polled();
    uint64_t x = 88172645463325252u;
    for (unsigned turn = 0; turn < 40 * TURNS; turn++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        struct capos_sqe *sqe = &raw.sq[x % raw.sq_entries];
        ((volatile uint64_t *)sqe)[x >> 8 & 7] = x >> 11;
        if ((turn & 7) == 0) {
            __atomic_store_n(&raw.header->sq_tail, raw.sq_tail += x % 3, __ATOMIC_RELEASE);
            __atomic_store_n(&raw.header->cq_head,
                             __atomic_load_n(&raw.header->cq_tail, __ATOMIC_ACQUIRE),
                             __ATOMIC_RELEASE);
        }
        if (x % 1999 == 0) {
            __atomic_store_n(&raw.header->flags, x, __ATOMIC_RELAXED);
            __atomic_store_n(&raw.header->sq_head, x, __ATOMIC_RELAXED);
        }
    }
    __atomic_store_n(&raw.header->sq_tail, x, __ATOMIC_RELEASE);
    raw.broken = true;
    while (raw_enter(0, 0) >= 0) {
        capos_relax();
    }
    return 0;
}

/* Ends with entries under way. */
static int64_t dies(void)
{
    (void)be_polled();
    for (unsigned i = 0; i < raw.sq_entries / 2; i++) {
        (void)raw_send(
            raw_sqe(i % 2 != 0 ? CAPOS_OP_NOP : CAPOS_OP_WAIT, i % 2 != 0 ? 0 : held("timer")));
    }
    return 0;
}

/* ---- threads ---- */

static uint64_t thread_lease;

/* Has its own ring polled, and goes while it is. */
static void is_polled_and_goes(uint64_t argument, struct capos_ring_header *ring)
{
    static uint64_t place[THREADS_MAX][8];
    struct capos_sqe sqe = CALL(thread_lease, CpuLease, poll, MESSAGE(argument), 16,
                                place[argument % THREADS_MAX], sizeof(place[0]));
    int32_t got = peer_do(ring, &sqe);
    struct capos_sqe nop = raw_sqe(CAPOS_OP_NOP, 0);
    (void)peer_do(ring, &nop);
    capos_sys_exit_thread(got >= 0 || got == ST_BUSY ? 0 : 1);
}

static int64_t threads_go(void)
{
    struct capos_cqe cqe = new_lease();
    CHECK(cqe.result >= 0);
    thread_lease = cqe.first_cap;
    for (unsigned i = 0; i < TURNS / 4; i++) {
        join(spawn_thread(is_polled_and_goes, i % 2, i), 0);
    }
    /* The last one's ring is left by now or soon. */
    status_t status;
    while ((status = poll_with(thread_lease, 0)) == ST_BUSY) {
        capos_relax();
    }
    CHECK_EQ(status, ST_OK);
    return 0;
}

/* ---- two who want one processor each ---- */

static int64_t grabs(void)
{
    unsigned got = 0;
    for (unsigned i = 0; i < TURNS; i++) {
        struct capos_cqe cqe = new_lease();
        if (cqe.result >= 0) {
            got++;
            status_t status;
            while ((status = poll_with(cqe.first_cap, 1)) == ST_BUSY) {
                capos_relax(); /* the one before may not have left the ring yet */
            }
            CHECK_EQ(status, ST_OK);
            CHECK_EQ(release(cqe.first_cap), ST_OK);
        } else {
            CHECK(cqe.result == ST_BUSY || cqe.result == ST_QUOTA);
        }
    }
    return got <= TURNS ? 0 : 1;
}

#define HOLDS (HOLD_USUAL | HOLD_THREADS | HOLD_SCHEDULING)
#define LIMITS \
    { \
        { \
            LEDGER_CLASS_CPU_NS, true, SECOND_NS \
        } \
    }
#define LEASE_CASE(name_, run_, sentence_) \
    { \
        .name = name_, .sentence = sentence_, .roles = {{.run = run_, .holds = HOLDS}}, \
        .limits = LIMITS \
    }

const struct hostile_case lease_cases[] = {
    LEASE_CASE("lease.served", is_served,
               "entries are taken without a system call, and a lease ends as it is told"),
    LEASE_CASE("lease.pages", pulls_pages,
               "a poller that copies where pages come and go tells BAD_ADDRESS at worst"),
    LEASE_CASE("lease.scribble", scribbles,
               "nothing a client writes to a polled ring harms the poller"),
    LEASE_CASE("lease.death", dies, "a program ends while another processor takes its entries"),
    LEASE_CASE("lease.threads", threads_go, "threads go while their rings are polled"),
    LEASE_CASE("lease.grab", grabs, "processors are taken and given back in haste"),
    {.name = NULL},
};
