/* SPDX-License-Identifier: MIT */
/*
 * Several threads: started wrongly, ended in every way, and used against the rings, buffers and
 * capabilities of their own process while the kernel works on those on another CPU.
 *
 * A second thread has no log and no checks of its own: it leaves what it found in a word that the
 * first one looks at.
 */
#include "abi/layout.h"
#include "capos/start.h"
#include "case.h"
#include "endpoint.capnp.h"
#include "entropy.capnp.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"
#include "memory.capnp.h"
#include "thread.capnp.h"
#include "threads.h"
#include "time.capnp.h"

#define RACE_NS UINT64_C(400000000) /* at most; a thread that spins has whole slices on one CPU */

static uint8_t stacks[THREADS_MAX][STACK_BYTES] __attribute__((aligned(16)));

static bool flag(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0;
}

static void set(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* ---- starting and joining ---- */

static struct capos_cqe spawn_at(uint64_t entry, uint64_t stack, uint64_t argument,
                                 uint32_t entries)
{
    static uint64_t result[8];
    return raw_do(CALL(held("threads"), ThreadSpawner, spawn,
                       MESSAGE(entry, stack, argument, entries), 40, result, sizeof(result)));
}

capos_cap_t spawn_thread(thread_fn run, unsigned n, uint64_t argument)
{
    uint64_t top = (uintptr_t)stacks[n] + STACK_BYTES - 8;
    struct capos_cqe cqe = spawn_at((uintptr_t)run, top, argument, PEER_ENTRIES);
    CHECK_EQ(cqe.result, 16);
    CHECK_EQ(cqe.cap_count, 1);
    return cqe.first_cap;
}

static struct capos_sqe joining(capos_cap_t handle)
{
    struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, handle);
    wait.method = CAPOS_EVENT_EXIT;
    return wait;
}

void join(capos_cap_t handle, int64_t code)
{
    struct capos_cqe cqe = raw_do(joining(handle));
    CHECK_EQ(cqe.result, CAPOS_EVENT_EXIT);
    CHECK_EQ(cqe.signal, code);
    CHECK_EQ(release(handle), ST_OK);
}

int32_t peer_do(struct capos_ring_header *ring, const struct capos_sqe *sqe)
{
    uint8_t *base = (uint8_t *)ring;
    struct capos_sqe *sq = (struct capos_sqe *)(void *)(base + ring->sq_offset);
    const volatile struct capos_cqe *cq =
        (const volatile struct capos_cqe *)(void *)(base + ring->cq_offset);
    uint64_t tail = ring->sq_tail, head = ring->cq_head;
    sq[tail % ring->sq_entries] = *sqe;
    set(&ring->sq_tail, tail + 1);
    while (__atomic_load_n(&ring->cq_tail, __ATOMIC_ACQUIRE) == head) {
        if (capos_sys_enter(1, CAPOS_FOREVER) < 0) {
            capos_sys_exit(__LINE__);
        }
    }
    int32_t result = cq[head % ring->cq_entries].result;
    set(&ring->cq_head, head + 1);
    return result;
}

static void works_and_ends(uint64_t argument, struct capos_ring_header *ring)
{
    const struct capos_sqe nop = {.op = CAPOS_OP_NOP};
    for (unsigned i = 0; i < 40; i++) {
        if (peer_do(ring, &nop) != ST_OK) {
            capos_sys_exit(__LINE__);
        }
    }
    capos_sys_exit_thread((int64_t)argument);
}

static void spins(uint64_t argument, struct capos_ring_header *ring)
{
    (void)ring;
    for (;;) {
        set((uint64_t *)argument, *(uint64_t *)argument + 1);
    }
}

/* ---- starts ---- */

static int64_t wild_spawns(void)
{
    static const uint64_t wild[] = {CAPOS_USER_END,
                                    UINT64_C(1) << 47,
                                    UINT64_C(1) << 63,
                                    UINT64_C(0xffff800000000000),
                                    UINT64_C(0x0123456789abcdef),
                                    UINT64_MAX};
    static const uint32_t sizes[] = {1, 15, 17, 8192, 0x80000000, UINT32_MAX};
    uint64_t top = (uintptr_t)stacks[0] + STACK_BYTES - 8;
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        CHECK_EQ(spawn_at(wild[i], top, 0, 0).result, ST_BAD_ARGUMENT);
        CHECK_EQ(spawn_at((uintptr_t)spins, wild[i], 0, 0).result, ST_BAD_ARGUMENT);
        CHECK_EQ(raw_do(CALL(held("control"), ThreadControl, set_thread_pointer, MESSAGE(wild[i]),
                             16, raw_none, 16))
                     .result,
                 i == 0 ? 8 : ST_BAD_ARGUMENT);
    }
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        CHECK_EQ(spawn_at((uintptr_t)spins, top, 0, sizes[i]).result, ST_BAD_ARGUMENT);
    }
    CHECK_EQ(raw_do(CALL(held("threads"), ThreadHandle, join, NULL, 0, raw_none, 16)).result,
             ST_WRONG_INTERFACE);
    CHECK_USAGE(&before);
    CHECK_WORKS();
    return 0;
}

static int64_t lands_nowhere(void)
{
    static uint64_t turns;
    uint64_t top = (uintptr_t)stacks[0] + STACK_BYTES - 8;
    CHECK_EQ(spawn_at((uintptr_t)spins, top, (uintptr_t)&turns, 0).result, 16);
    CHECK_EQ(spawn_at(CAPOS_MMAP_BASE, top, 0, 0).result, 16);
    sleep_ms(10000);
    return 1;
}

static int64_t thread_storm(void)
{
    struct usage before;
    usage_now(&before);
    for (unsigned round = 0; round < 30; round++) {
        capos_cap_t handles[THREADS_MAX - 1];
        for (unsigned i = 0; i < THREADS_MAX - 1; i++) {
            handles[i] = spawn_thread(works_and_ends, i, 100 * round + i);
        }
        uint64_t top = (uintptr_t)stacks[THREADS_MAX - 1] + STACK_BYTES - 8;
        struct capos_cqe cqe = spawn_at((uintptr_t)works_and_ends, top, 0, 0);
        if (cqe.result >= 0) { /* one of them has ended already */
            join(cqe.first_cap, 0);
        } else {
            CHECK_EQ(cqe.result, ST_QUOTA);
            CHECK_EQ(cqe.needed, LEDGER_CLASS_THREADS);
        }
        for (unsigned i = 0; i < THREADS_MAX - 1; i++) {
            join(handles[i], 100 * round + i);
        }
        CHECK_USAGE(&before);
    }
    return 0;
}

/* A ring of this size is made in slices: the start is cancelled after more and more of them, and the end of
 * the process finds one under way. */
static int64_t large_rings(void)
{
    enum { LARGE = 4096, ROUNDS = 24 };
    static uint64_t result[8];
    uint64_t top = (uintptr_t)stacks[0] + STACK_BYTES - 8;
    struct usage before, now;
    struct capos_cqe cqe = spawn_at((uintptr_t)works_and_ends, top, 5, LARGE);
    CHECK_EQ(cqe.result, 16);
    join(cqe.first_cap, 5);
    usage_now(&before);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct capos_sqe start =
            CALL(held("threads"), ThreadSpawner, spawn,
                 MESSAGE((uintptr_t)works_and_ends, top, i, LARGE), 40, result, sizeof(result));
        uint64_t position = raw.sq_tail;
        uint64_t tag = raw_start(start);
        sleep_ms(i);
        int32_t cancelled = raw_do(raw_sqe(CAPOS_OP_CANCEL, position)).result;
        cqe = raw_wait(tag);
        CHECK(cqe.result == 16 || (cqe.result == ST_CANCELLED && cancelled == ST_OK));
        if (cqe.result == 16) {
            join(cqe.first_cap, i);
        }
        usage_now(&now);
        for (unsigned n = 0; n < 60000 && memcmp(&before, &now, sizeof(now)) != 0; n++) {
            sleep_ms(1); /* it is given back in slices, too */
            usage_now(&now);
        }
        CHECK_USAGE(&before);
    }
    struct capos_sqe last =
        CALL(held("threads"), ThreadSpawner, spawn,
             MESSAGE((uintptr_t)works_and_ends, top, 0, LARGE), 40, result, sizeof(result));
    (void)raw_start(last);
    return 0;
}

static int64_t handles_misused(void)
{
    capos_cap_t other, handle = spawn_thread(works_and_ends, 0, 7);
    CHECK_EQ(raw_do(CALL(handle, ThreadHandle, join, NULL, 0, raw_none, 16)).result, ST_NO_METHOD);
    struct capos_sqe wait = joining(handle);
    wait.method = CAPOS_EVENT_SIGNALLED;
    CHECK_EQ(raw_do(wait).result, ST_NO_METHOD);
    CHECK_EQ(signal_bits(handle, 1), ST_WRONG_INTERFACE);
    CHECK_EQ(attenuate(held("capabilities"), handle, 0, &other), ST_NOT_TRANSFERABLE);
    join(handle, 7);
    CHECK_EQ(raw_do(joining(handle)).result, ST_BAD_CAP);
    /* A join that is cancelled, and one whose handle goes meanwhile. */
    static uint64_t turns;
    handle = spawn_thread(spins, 0, (uintptr_t)&turns);
    uint64_t position = raw.sq_tail;
    uint64_t tag = raw_start(joining(handle));
    CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_CANCEL, position)).result, ST_OK);
    CHECK_EQ(raw_wait(tag).result, ST_CANCELLED);
    tag = raw_start(joining(handle));
    CHECK_EQ(release(handle), ST_OK);
    struct capos_cqe cqe;
    CHECK(!raw_poll(tag, &cqe));
    return 0; /* with a thread that runs on */
}

/* ---- ends ---- */

/* Threads of this process, as its ledger has them. */
static uint64_t threads_now(struct capos_ring_header *ring)
{
    static uint64_t result[256];
    Ledger_usage_results_r results;
    struct capos_sqe sqe = raw_call_sqe(held("ledger"), Ledger_ID, Ledger_usage_ORDINAL, NULL, 0,
                                        result, sizeof(result));
    int32_t length = peer_do(ring, &sqe);
    if (length < 0 || Ledger_usage_results_read(result, (size_t)length, &results) != CAPNP_OK) {
        capos_sys_exit(__LINE__);
    }
    Usage_list_r list = Ledger_usage_results_get_classes(results);
    return Usage_get_used(Usage_list_at(list, LEDGER_CLASS_THREADS));
}

static void outlives(uint64_t argument, struct capos_ring_header *ring)
{
    while (threads_now(ring) != 1) {
    }
    capos_sys_exit_thread((int64_t)argument);
}

static int64_t first_goes(void)
{
    (void)spawn_thread(outlives, 0, 23);
    capos_sys_exit_thread(1);
}

static void faults(uint64_t argument, struct capos_ring_header *ring)
{
    (void)ring;
    *(volatile uint64_t *)argument = 1;
}

static int64_t second_faults(void)
{
    static uint64_t turns;
    (void)spawn_thread(spins, 0, (uintptr_t)&turns);
    (void)spawn_thread(faults, 1, CAPOS_MMAP_BASE + 8);
    sleep_ms(10000);
    return 1;
}

/* Ends while others run, wait and are on their way out. */
static void waits(uint64_t argument, struct capos_ring_header *ring)
{
    struct capos_sqe wait = {.op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_SIGNALLED, .cap = argument};
    (void)peer_do(ring, &wait);
    capos_sys_exit(__LINE__);
}

static int64_t all_at_once(void)
{
    static uint64_t turns;
    capos_cap_t note;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    (void)spawn_thread(spins, 0, (uintptr_t)&turns);
    (void)spawn_thread(waits, 1, note);
    (void)spawn_thread(works_and_ends, 2, 0);
    while (!flag(&turns)) {
        sleep_ms(1);
    }
    return 0;
}

/* ---- against the rings of the same process ---- */

static uint64_t go, scribbled, stop, stopped;
static uint64_t junk[2048]; /* where entries of chance may read and write */

/* Words that mean something at the place where they are put. */
static uint64_t plausible(unsigned at)
{
    uint64_t word = chance();
    switch (at % 8) {
    case 0:
        return word % 4 == 0 ? word : word % 16 | (word & UINT64_C(0x03030011003f0300));
    case 1:
        return word % 4 == 0 ? word : capos_capset()->entries[word % capos_capset()->count].cap;
    case 3:
    case 4:
        return word % 3 == 0   ? (uintptr_t)raw.header + word % 0x4000
               : word % 3 == 1 ? (uintptr_t)junk + (word & 0xff8)
                               : word & 0xfff8;
    case 5:
        return word & UINT64_C(0xf800000ff8);
    default:
        return word % 4;
    }
}

/* What was submitted before lies in the queue still, the start of a thread among it: done once more, it
 * would put a second thread on the same stack, and what that breaks is no kernel. */
static void forget_entries(void)
{
    memset(raw.sq, 0, raw.sq_entries * sizeof(*raw.sq));
}

/* Writes over the whole of another thread's ring, from when it is told to go until it is told to stop. */
static void scribbles(uint64_t argument, struct capos_ring_header *ring)
{
    (void)ring;
    uint64_t *words = (uint64_t *)argument;
    uint64_t header_words = sizeof(*raw.header) / 8;
    uint64_t sq_words = raw.sq_entries * sizeof(struct capos_sqe) / 8;
    while (!flag(&go)) {
    }
    while (!flag(&stop)) {
        unsigned sq_at = (unsigned)(chance() % sq_words);
        uint64_t slot_words = (uint64_t)raw.payload_slots * CAPOS_PAYLOAD_SLOT_BYTES / 8;
        set(&((uint64_t *)raw.sq)[sq_at], plausible(sq_at));
        set(&((uint64_t *)raw.payload)[chance() % slot_words], chance() % 3 << 32 | chance() % 9);
        if (chance() % 64 == 0) {
            set(&words[chance() % header_words], chance());
        }
        set(&scribbled, scribbled + 1);
    }
    set(&stopped, 1);
    capos_sys_exit_thread(0);
}

/* Another thread begins to write over this one's ring. Its handle may be released by an entry that nobody
 * wrote, so nobody keeps it. */
static void begin_scribbling(void)
{
    (void)spawn_thread(scribbles, 0, (uintptr_t)raw.header);
    forget_entries();
    set(&go, 1);
    while (!flag(&scribbled)) {
    }
}

static int64_t rewritten_while_drained(void)
{
    begin_scribbling();
    for (unsigned round = 0; round < 3000; round++) {
        set(&raw.header->sq_tail,
            __atomic_load_n(&raw.header->sq_head, __ATOMIC_RELAXED) + raw.sq_entries);
        set(&raw.header->cq_head, __atomic_load_n(&raw.header->cq_tail, __ATOMIC_RELAXED));
        (void)raw_enter(round % 3, 0);
    }
    set(&stop, 1);
    while (!flag(&stopped)) {
        (void)raw_enter(0, 0);
    }
    raw.broken = true;
    return 99; /* or it has faulted: entries of chance may take its own memory away */
}

/* A payload slot that changes while a call to the neighbour and back goes through it. */
static void rewrites_slot(uint64_t argument, struct capos_ring_header *ring)
{
    (void)ring;
    while (!flag(&stop)) {
        set((uint64_t *)argument + chance() % 8, chance());
    }
    capos_sys_exit_thread(0);
}

static int64_t slot_rewritten(void)
{
    capos_cap_t handle = spawn_thread(rewrites_slot, 0, (uintptr_t)raw.payload);
    uint64_t until_ns = now_ns() + RACE_NS;
    for (unsigned i = 0; i < 2000 && now_ns() < until_ns; i++) {
        struct capos_sqe call =
            raw_call_sqe(held("echo"), HOSTILE_INTERFACE, 0, NULL, 64, NULL, 128);
        call.flags = CAPOS_SQE_INLINE;
        CHECK_EQ(raw_do(call).result, 64);
        call = CALL(held("timer"), Timer, now, NULL, 8, NULL, 64);
        call.flags = CAPOS_SQE_INLINE;
        int32_t result = raw_do(call).result;
        CHECK(result == 16 || result == ST_BAD_MESSAGE);
    }
    set(&stop, 1);
    join(handle, 0);
    CHECK_WORKS();
    return 0;
}

/* The words of a ring whose thread sleeps in the kernel are looked at when it wakes, and no earlier. */
static int64_t rewritten_asleep(void)
{
    uint64_t until_ns = now_ns() + 50 * UINT64_C(1000000);
    begin_scribbling();
    (void)raw_enter(raw.cq_entries, until_ns);
    set(&stop, 1);
    while (!flag(&stopped)) {
        (void)raw_enter(0, 0);
    }
    raw.broken = true;
    return 99;
}

/* ---- against buffers and capabilities ---- */

static capos_cap_t memory_cap;
static uint64_t buffer_at;
static int32_t peer_bad;

static void unmaps_and_maps(uint64_t argument, struct capos_ring_header *ring)
{
    uint64_t message[4] = {ROOT(3), argument, PAGE, PROTECTION_READ_WRITE};
    uint64_t result[2];
    struct capos_sqe sqe = raw_call_sqe(memory_cap, VirtualMemory_ID, 0, message, 0, result, 16);
    while (!flag(&stop)) {
        message[0] = ROOT(2);
        sqe.method = VirtualMemory_decommit_ORDINAL;
        sqe.params_len = 24;
        int32_t gone = peer_do(ring, &sqe);
        message[0] = ROOT(3);
        sqe.method = VirtualMemory_commit_ORDINAL;
        sqe.params_len = 32;
        int32_t back = peer_do(ring, &sqe);
        /* A page that another CPU may still remember stays charged until it cannot. */
        if (gone != 8 || (back != 8 && back != ST_QUOTA)) {
            peer_bad = gone < 0 ? gone : back;
        }
    }
    capos_sys_exit_thread(0);
}

static int64_t buffer_unmapped(void)
{
    memory_cap = held("memory");
    buffer_at = map_pages(memory_cap, PAGE);
    CHECK(buffer_at != 0);
    capos_cap_t handle = spawn_thread(unmaps_and_maps, 0, buffer_at);
    uint64_t until_ns = now_ns() + RACE_NS;
    for (unsigned i = 0; i < 2000 && now_ns() < until_ns; i++) {
        struct capos_sqe call =
            raw_call_sqe(held("echo"), HOSTILE_INTERFACE, 0, (const void *)(uintptr_t)buffer_at, 64,
                         (void *)(uintptr_t)(buffer_at + 1024), 512);
        int32_t result = raw_do(call).result;
        CHECK(result == 64 || result == ST_BAD_ADDRESS);
        call = CALL(held("timer"), Timer, now, NULL, 0, (void *)(uintptr_t)buffer_at, 64);
        result = raw_do(call).result;
        CHECK(result == 16 || result == ST_BAD_ADDRESS);
    }
    set(&stop, 1);
    join(handle, 0);
    CHECK_EQ(peer_bad, 0);
    CHECK_WORKS();
    return 0;
}

/* Two threads release the same capability, answer the same call: one of them does, each time. */
static uint64_t race_cap, race_go, race_done;
static int64_t race_result;
static uint8_t race_op;

static void races(uint64_t argument, struct capos_ring_header *ring)
{
    for (uint64_t round = 1; round <= argument; round++) {
        while (__atomic_load_n(&race_go, __ATOMIC_ACQUIRE) != round) {
            if (flag(&stop)) {
                capos_sys_exit_thread(1);
            }
        }
        struct capos_sqe sqe = {.op = race_op};
        *(race_op == CAPOS_OP_RELEASE ? &sqe.cap : &sqe.interface) = race_cap;
        race_result = peer_do(ring, &sqe);
        set(&race_done, round);
    }
    capos_sys_exit_thread(0);
}

/* Our own try, beside the other thread's; true when exactly one of the two was the first. */
static bool race(uint64_t round, uint8_t op, uint64_t what, int32_t late)
{
    struct capos_sqe sqe = raw_sqe(op, op == CAPOS_OP_RELEASE ? what : 0);
    sqe.interface = op == CAPOS_OP_RETURN ? what : 0;
    race_op = op;
    race_cap = what;
    set(&race_go, round);
    int32_t mine = raw_do(sqe).result;
    while (__atomic_load_n(&race_done, __ATOMIC_ACQUIRE) != round) {
        (void)raw_enter(0, 0); /* on one CPU it is the other's turn when ours is over */
    }
    return (mine == ST_OK && race_result == late) || (mine == late && race_result == ST_OK);
}

static int64_t races_won_once(void)
{
    enum { ROUNDS = 40 };
    static uint64_t received[32];
    capos_cap_t endpoint, object, note;
    struct usage before;
    CHECK_EQ(new_endpoint(held("ledger"), 64, 0, &endpoint), ST_OK);
    CHECK_EQ(mint(endpoint, 1, 1, 0, &object), ST_OK);
    usage_now(&before);
    capos_cap_t handle = spawn_thread(races, 0, ROUNDS);
    for (uint64_t round = 1; round <= ROUNDS; round += 2) {
        CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
        CHECK(race(round, CAPOS_OP_RELEASE, note, ST_BAD_CAP));
        uint64_t called =
            raw_start(raw_call_sqe(object, HOSTILE_INTERFACE, 0, NULL, 0, raw_none, 16));
        struct capos_sqe receive = raw_sqe(CAPOS_OP_RECV, endpoint);
        receive.result = (uintptr_t)received;
        receive.result_len = sizeof(received);
        CHECK_EQ(raw_do(receive).result, 64);
        CHECK(race(round + 1, CAPOS_OP_RETURN, received[0], ST_GONE));
        CHECK_EQ(raw_wait(called).result, 0);
    }
    join(handle, 0);
    CHECK_USAGE(&before);
    return 0;
}

#define THREADS (HOLD_USUAL | HOLD_THREADS)
#define THREAD_CASE(name, function, sentence, held) \
    CASE_WITH(name, function, sentence, HOLD_THREADS | (held))

const struct hostile_case thread_cases[] = {
    THREAD_CASE("thread.wild", wild_spawns, "a thread is started at no address but a program's", 0),
    {.name = "thread.nowhere",
     .sentence = "a thread that starts where nothing is ends its process, and its siblings",
     .roles = {{.run = lands_nowhere,
                .holds = THREADS,
                .ending = {END_FAULT, 0, 1u << FAULT_RECORD_KIND_PAGE_FAULT, CAPOS_MMAP_BASE}}}},
    THREAD_CASE("thread.storm", thread_storm, "threads by the dozen leave nothing behind", 0),
    {.name = "thread.large",
     .sentence = "a large ring whose making is cut short at any time leaves nothing",
     .roles = {{.run = large_rings, .holds = THREADS}},
     .limits = {{LEDGER_CLASS_KERNEL_PAGES, true, 2000},
                {LEDGER_CLASS_CALLS, true, 9000},
                {LEDGER_CLASS_WAITERS, true, 9000},
                {LEDGER_CLASS_TIMERS, true, 9000}}},
    THREAD_CASE("thread.handle", handles_misused, "a handle of a thread is for waiting alone", 0),
    {.name = "thread.last",
     .sentence = "a process ends with its last thread, and has that one's code",
     .roles = {{.run = first_goes, .holds = THREADS, .ending = {.code = 23}}}},
    {.name = "thread.fault",
     .sentence = "a fault of one thread ends the whole process",
     .roles = {{.run = second_faults,
                .holds = THREADS,
                .ending = {END_FAULT, 0, 1u << FAULT_RECORD_KIND_PAGE_FAULT,
                           CAPOS_MMAP_BASE + 8}}}},
    THREAD_CASE("thread.all", all_at_once, "a process ends while threads run, wait and leave", 0),
    {.name = "thread.ring",
     .sentence = "a ring rewritten by another thread while it is drained hurts its process alone",
     .roles = {{.run = rewritten_while_drained,
                .holds = THREADS | HOLD_ECHO | HOLD_ENTROPY,
                .ending = {END_FAULT, 0, UINT32_MAX, 0}}}},
    {.name = "thread.ring-asleep",
     .sentence = "a ring rewritten while its thread sleeps hurts its process alone",
     .roles = {{.run = rewritten_asleep,
                .holds = THREADS,
                .ending = {END_FAULT, 0, UINT32_MAX, 0}}}},
    THREAD_CASE("thread.slot", slot_rewritten,
                "a payload slot rewritten in mid-call is just a message", HOLD_ECHO),
    THREAD_CASE("thread.unmap", buffer_unmapped,
                "a buffer unmapped in mid-call is a bad address at most", HOLD_ECHO),
    THREAD_CASE("thread.race", races_won_once, "of two threads that do the same, one has done it",
                0),
    {.name = NULL},
};
