/* SPDX-License-Identifier: MIT */
/* The ring itself: draining, refusing, stalling, hostile indices, RELEASE and CANCEL. */
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

#include <pthread.h>
#include <sched.h>

#include "core/panic.h"
#include "gen/ledger.capnp.h"
#include "gen/notification.capnp.h"
#include "object/thread.h"
#include "sched/cpu.h"

static struct capos_sqe nop(struct user *user)
{
    return user_sqe(user, CAPOS_OP_NOP);
}

TEST(ring_nop, "a NOP completes with its user data and nothing else, at every place of the ring")
{
    fixture_start(1);
    struct user *user = user_new("nop");
    for (unsigned i = 0; i < 10 * USER_RING; i++) {
        struct capos_sqe sqe = nop(user);
        struct capos_cqe cqe = user_do(user, &sqe);
        CHECK_EQ(cqe.result, ST_OK);
        CHECK_EQ(cqe.flags, 0);
        CHECK_EQ(cqe.cap_count, 0);
        CHECK_EQ(cqe.signal, 0);
    }
    CHECK_EQ(user_ring(user)->sq_head, 10 * USER_RING);
    fixture_end();
}

/* Another CPU in the midst of posting: it holds the lock and has moved the shared index. It goes on
 * when somebody waits for the lock, or when the entry is over. */
struct poster {
    struct ring *ring;
    uint16_t ticket;
    _Atomic bool entry_over;
};

static void *finish_post(void *arg)
{
    struct poster *poster = arg;
    struct spinlock *lock = &poster->ring->lock;
    while (atomic_load_acquire(&lock->next) == (uint16_t)(poster->ticket + 1) &&
           !atomic_load_acquire(&poster->entry_over)) {
        sched_yield();
    }
    (void)atomic_add_relaxed(&poster->ring->cq_tail, 1);
    atomic_store_release(&lock->serving, (uint16_t)(poster->ticket + 1));
    return NULL;
}

TEST(ring_reaped_early, "a completion reaped while another CPU is still posting it is no nonsense")
{
    fixture_start(1);
    struct user *user = user_new("early");
    struct ring *ring = user->thread->ring;
    struct capos_ring_header *header = user_ring(user);
    struct capos_sqe sqe = nop(user);
    pthread_t thread;
    (void)user_do(user, &sqe);
    ring->claimed++; /* what is posted was claimed when it was submitted */
    struct poster poster = {.ring = ring, .ticket = atomic_add_relaxed(&ring->lock.next, 1)};
    __atomic_store_n(&header->cq_tail, header->cq_tail + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&header->cq_head, ++user->cq_head, __ATOMIC_RELEASE);
    REQUIRE_EQ(pthread_create(&thread, NULL, finish_post, &poster), 0);
    CHECK_EQ(user_enter(user, 0, 0), 0);
    atomic_store_release(&poster.entry_over, true);
    pthread_join(thread, NULL);
    sqe = nop(user);
    CHECK_EQ(user_do(user, &sqe).result, ST_OK);
    header->cq_head = user->cq_head + 1; /* this is nonsense, and stays so */
    CHECK_EQ((int64_t)user_enter(user, 0, 0), ST_BAD_RING);
    header->cq_head = user->cq_head;
    fixture_end();
}

/* The machine has halted. */
static void check_last_words(enum host_end how)
{
    CHECK_EQ(how, HOST_END_HALT);
    CHECK(strstr(host_debug_text(), "of process teller (") != NULL);
    CHECK(strstr(host_debug_text(), "  taken 0: NOP method 0, capability 0, interface 0\n"
                                    "  taken 1: RELEASE method 0, capability 0x2a, interface 0\n"
                                    "  next  2: CALL method 3, capability 0x7, interface 0x63\n"
                                    "the system is halted\n") != NULL);
    fflush(NULL);
    _exit(test_failures == 0 ? 0 : 1);
}

TEST(ring_last_words, "a panic tells whose thread runs and the entries around its drain")
{
    fixture_start(1);
    struct user *user = user_new("teller");
    struct capos_sqe sqe = nop(user);
    (void)user_do(user, &sqe);
    sqe = user_sqe(user, CAPOS_OP_RELEASE);
    sqe.cap = 42;
    CHECK_EQ(user_do(user, &sqe).result, ST_BAD_CAP);
    sqe = user_sqe(user, CAPOS_OP_CALL);
    sqe.method = 3;
    sqe.cap = 7;
    sqe.interface = 99;
    user_submit(user, &sqe);
    host_on_end(check_last_words);
    cpu_this()->current = user->thread;
    panic("for the test");
}

TEST(ring_geometry, "the header tells the geometry, pages are the process's own and zero")
{
    fixture_start(1);
    struct user *user = user_new("ring");
    struct capos_ring_header *ring = user_ring(user);
    CHECK_EQ(ring->magic, CAPOS_RING_MAGIC);
    CHECK_EQ(ring->version, CAPOS_RING_VERSION);
    CHECK_EQ(ring->sq_entries, USER_RING);
    CHECK_EQ(ring->cq_entries, 2 * USER_RING);
    CHECK_EQ(ring->payload_slots, 2 * USER_RING);
    CHECK(ring->sq_offset >= sizeof(*ring));
    CHECK(ring->payload_offset + ring->payload_slots * CAPOS_PAYLOAD_SLOT_BYTES <=
          ring->total_bytes);
    CHECK_EQ(ring->sq_head | ring->sq_tail | ring->cq_head | ring->cq_tail | ring->flags, 0);
    fixture_end();
}

TEST(ring_unknown_op, "an opcode that does not exist completes UNSUPPORTED")
{
    fixture_start(1);
    struct user *user = user_new("op");
    for (unsigned op = CAPOS_OP_COUNT; op < 256; op++) {
        struct capos_sqe sqe = user_sqe(user, (uint8_t)op);
        CHECK_EQ(user_do(user, &sqe).result, ST_UNSUPPORTED);
    }
    fixture_end();
}

TEST(ring_unknown_bits,
     "each bit of a NOP that is not its opcode or user data is refused UNSUPPORTED")
{
    fixture_start(1);
    struct user *user = user_new("bits");
    for (unsigned bit = 8; bit < 512; bit++) {
        struct capos_sqe sqe = nop(user);
        if (bit / 64 == 2 || bit == 16 || bit == 19) { /* user data; LINK, QUIET: flags_test.c */
            continue;
        }
        ((uint64_t *)(void *)&sqe)[bit / 64] |= UINT64_C(1) << bit % 64;
        struct capos_cqe cqe = user_do(user, &sqe);
        CHECK_EQ(cqe.result, ST_UNSUPPORTED);
    }
    fixture_end();
}

TEST(ring_unknown_flags, "unknown and later flags are refused UNSUPPORTED on every opcode")
{
    fixture_start(1);
    struct user *user = user_new("flags");
    for (uint8_t op = 0; op < CAPOS_OP_COUNT; op++) {
        for (unsigned bit = 0; bit < 16; bit++) {
            struct capos_sqe sqe = user_sqe(user, op);
            sqe.flags = (uint16_t)(1u << bit);
            if (sqe.flags == CAPOS_SQE_INLINE || sqe.flags == CAPOS_SQE_QUIET ||
                sqe.flags == CAPOS_SQE_LINK || sqe.flags == CAPOS_SQE_MULTISHOT ||
                op == CAPOS_OP_CALL) {
                continue; /* flags_test.c, pipeline_test.c */
            }
            CHECK_EQ(user_do(user, &sqe).result, ST_UNSUPPORTED);
        }
    }
    fixture_end();
}

TEST(ring_cap_zero, "capability 0 is refused BAD_CAP by every opcode that takes one")
{
    static const uint8_t ops[] = {CAPOS_OP_CALL, CAPOS_OP_RECV, CAPOS_OP_SIGNAL, CAPOS_OP_RELEASE};
    fixture_start(1);
    struct user *user = user_new("zero");
    for (size_t i = 0; i < sizeof(ops); i++) {
        struct capos_sqe sqe = user_sqe(user, ops[i]);
        CHECK_EQ(user_do(user, &sqe).result, ST_BAD_CAP);
    }
    struct capos_sqe wait = sqe_wait(user, 0, CAPOS_EVENT_DEAD, 0);
    CHECK_EQ(user_do(user, &wait).result, ST_BAD_CAP);
    fixture_end();
}

TEST(ring_bad_tail, "a tail beyond the ring, or behind the head, is BAD_RING and consumes nothing")
{
    static const int64_t offsets[] = {USER_RING + 1, USER_RING + 100, -1, INT64_MIN};
    fixture_start(1);
    struct user *user = user_new("tail");
    struct capos_sqe sqe = nop(user);
    user_do(user, &sqe);
    struct capos_ring_header *ring = user_ring(user);
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        uint64_t cq_tail = ring->cq_tail;
        ring->sq_tail = 1 + (uint64_t)offsets[i];
        CHECK_EQ(user_enter(user, 0, 0), (uint64_t)(int64_t)ST_BAD_RING);
        CHECK_EQ(user_enter(user, 1, CAPOS_FOREVER), (uint64_t)(int64_t)ST_BAD_RING);
        CHECK_EQ(ring->sq_head, 1);
        CHECK_EQ(ring->cq_tail, cq_tail);
    }
    ring->sq_tail = user->sq_tail;
    sqe = nop(user);
    CHECK_EQ(user_do(user, &sqe).result, ST_OK);
    fixture_end();
}

TEST(ring_bad_cq_head,
     "a CQ head beyond the tail, or behind what was reaped, is BAD_RING and consumes "
     "nothing")
{
    fixture_start(1);
    struct user *user = user_new("head");
    struct capos_sqe sqe = nop(user);
    user_do(user, &sqe);
    user_do(user, &sqe);
    struct capos_ring_header *ring = user_ring(user);
    static const uint64_t heads[] = {3, 100, UINT64_MAX, UINT64_MAX / 2};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        uint64_t head = ring->sq_head;
        user_submit(user, &sqe);
        ring->cq_head = heads[i];
        CHECK_EQ(user_enter(user, 0, 0), (uint64_t)(int64_t)ST_BAD_RING);
        CHECK_EQ(ring->sq_head, head);
        ring->cq_head = user->cq_head;
        user_enter(user, 1, CAPOS_FOREVER);
        user_expect(user, sqe.user_data);
    }
    fixture_end();
}

TEST(ring_geometry_overwritten,
     "what user space writes over the header changes nothing for the kernel")
{
    fixture_start(1);
    struct user *user = user_new("header");
    struct capos_ring_header *ring = user_ring(user);
    struct capos_ring_header saved = *ring;
    struct capos_sqe sqe = nop(user);
    user_submit(user, &sqe);
    uint64_t tail = ring->sq_tail;
    memset(ring, 0xff, sizeof(*ring));
    ring->sq_tail = tail;
    ring->cq_head = 0;
    user_enter(user, 0, 0);
    CHECK_EQ(ring->sq_head, 1);
    CHECK_EQ(ring->cq_tail, 1);
    saved.sq_head = ring->sq_head;
    saved.sq_tail = tail;
    saved.cq_tail = ring->cq_tail;
    *ring = saved;
    CHECK_EQ(user_expect(user, sqe.user_data).result, ST_OK);
    fixture_end();
}

/* Fills the CQ up to its reserve with NOPs that are not reaped. Returns how many. */
static unsigned fill_cq(struct user *user)
{
    unsigned done = 0;
    for (;;) {
        struct capos_sqe sqe = nop(user);
        uint64_t position = user_submit(user, &sqe);
        user_enter(user, 0, 0);
        if (user_ring(user)->sq_head == position) {
            user_ring(user)->sq_tail = --user->sq_tail;
            return done;
        }
        done++;
        if (done > 10 * USER_RING) {
            FAIL("the CQ never fills");
            return done;
        }
    }
}

TEST(ring_stalled,
     "a full CQ leaves SQEs in the ring, says STALLED, never sleeps, and goes on after "
     "reaping")
{
    fixture_start(1);
    struct user *user = user_new("stall");
    unsigned filled = fill_cq(user);
    CHECK_EQ(filled, 2 * USER_RING - 4);
    struct capos_sqe sqe = nop(user);
    uint64_t position = user_submit(user, &sqe);
    uint64_t result = user_enter(user, 2 * USER_RING, CAPOS_FOREVER);
    CHECK_EQ(result & CAPOS_ENTER_READY_MASK, filled);
    CHECK((result & CAPOS_ENTER_STALLED) != 0);
    CHECK_EQ(user_ring(user)->flags, CAPOS_RING_STALLED);
    CHECK_EQ(user_ring(user)->sq_head, position);
    struct capos_cqe cqe;
    for (unsigned i = 0; i < filled; i++) {
        CHECK(user_reap(user, &cqe));
    }
    CHECK(!user_reap(user, &cqe));
    result = user_enter(user, 1, CAPOS_FOREVER);
    CHECK_EQ(result, 1);
    CHECK_EQ(user_ring(user)->flags, 0);
    user_expect(user, sqe.user_data);
    fixture_end();
}

TEST(ring_reserve,
     "on STALLED the client may take its SQEs back and use the reserve for RELEASE, SIGNAL "
     "and CANCEL")
{
    fixture_start(1);
    struct user *user = user_new("reserve");
    capos_cap_t cap = user_notification(user);
    unsigned filled = fill_cq(user);
    struct capos_sqe blocked = nop(user);
    user_submit(user, &blocked);
    CHECK((user_enter(user, 0, 0) & CAPOS_ENTER_STALLED) != 0);
    user_ring(user)->sq_tail = --user->sq_tail;
    struct capos_sqe sqes[4] = {
        sqe_cap(user, CAPOS_OP_SIGNAL, cap),
        sqe_cap(user, CAPOS_OP_RELEASE, cap),
        sqe_cap(user, CAPOS_OP_CANCEL, 12345),
        sqe_cap(user, CAPOS_OP_RELEASE, cap),
    };
    for (unsigned i = 0; i < 4; i++) {
        user_submit(user, &sqes[i]);
    }
    struct capos_sqe one_more = sqe_cap(user, CAPOS_OP_RELEASE, cap);
    user_submit(user, &one_more);
    uint64_t result = user_enter(user, 0, 0);
    CHECK_EQ(result & CAPOS_ENTER_READY_MASK, 2 * USER_RING);
    CHECK((result & CAPOS_ENTER_STALLED) != 0);
    struct capos_cqe cqe;
    for (unsigned i = 0; i < filled; i++) {
        CHECK(user_reap(user, &cqe));
    }
    CHECK_EQ(user_expect(user, sqes[0].user_data).result, ST_OK);
    CHECK_EQ(user_expect(user, sqes[1].user_data).result, ST_OK);
    CHECK_EQ(user_expect(user, sqes[2].user_data).result, ST_NOT_FOUND);
    CHECK_EQ(user_expect(user, sqes[3].user_data).result, ST_BAD_CAP);
    user_enter(user, 1, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, one_more.user_data).result, ST_BAD_CAP);
    fixture_end();
}

TEST(ring_outstanding_claims_slots,
     "operations that wait hold their CQ slots: no completion is ever lost")
{
    fixture_start(1);
    struct user *user = user_new("claims");
    capos_cap_t cap = user_notification(user);
    unsigned started = 0;
    for (;; started++) {
        struct capos_sqe sqe = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, UINT64_C(1) << 40);
        uint64_t position = user_submit(user, &sqe);
        if ((user_enter(user, 0, 0) & CAPOS_ENTER_STALLED) != 0) {
            CHECK_EQ(user_ring(user)->sq_head, position);
            user_ring(user)->sq_tail = --user->sq_tail;
            break;
        }
    }
    CHECK_EQ(started, 2 * USER_RING - 4);
    uint64_t first = user_ring(user)->sq_head - started;
    for (unsigned i = 0; i < started; i++) {
        struct capos_sqe cancel = sqe_cap(user, CAPOS_OP_CANCEL, first + i);
        user_submit(user, &cancel);
        user_enter(user, 2, CAPOS_FOREVER);
        struct capos_cqe a, b;
        CHECK(user_reap(user, &a) && user_reap(user, &b));
        CHECK_EQ(a.result, ST_CANCELLED);
        CHECK_EQ(b.result, ST_OK);
    }
    fixture_end();
}

TEST(ring_slices, "a full SQ of a large ring is drained in one enter, slice by slice, in order")
{
    enum { ENTRIES = 256 };
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(1);
    user_limits(limits);
    struct user *user = user_new_limits("slices", limits, ENTRIES);
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct capos_sqe sqe = nop(user);
        user_submit(user, &sqe);
    }
    CHECK_EQ(user_enter(user, ENTRIES, CAPOS_FOREVER), ENTRIES);
    for (unsigned i = 0; i < ENTRIES; i++) {
        CHECK_EQ(user_expect(user, user->user_data - ENTRIES + 1 + i).result, ST_OK);
    }
    fixture_end();
}

TEST(ring_wait_deadline,
     "cap_enter waits until its deadline, not a nanosecond less, and says TIMED_OUT")
{
    uint64_t result;
    fixture_start(1);
    struct user *user = user_new("deadline");
    uint64_t deadline = arch_time_ns() + 1000;
    user_enter_start(user, 1, deadline);
    CHECK(!user_entered(user, &result));
    fixture_advance(999);
    CHECK(!user_entered(user, &result));
    fixture_advance(1);
    CHECK(user_entered(user, &result));
    CHECK_EQ(result, CAPOS_ENTER_TIMED_OUT);
    CHECK_EQ(user_enter(user, 1, 1), CAPOS_ENTER_TIMED_OUT);
    CHECK_EQ(user_enter(user, 1, 0), 0);
    CHECK_EQ(user_enter(user, 0, CAPOS_FOREVER), 0);
    fixture_end();
}

TEST(ring_min_complete_clamped,
     "asking for more completions than the CQ holds waits for a full CQ, whatever the number")
{
    static const uint64_t many[] = {
        33, UINT32_MAX, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1, UINT64_C(1) << 63, UINT64_MAX};
    uint64_t result;
    fixture_start(1);
    struct user *user = user_new("clamp");
    struct capos_sqe release = {.op = CAPOS_OP_RELEASE}; /* may take the reserve */
    uint32_t entries = user_ring(user)->cq_entries;
    for (uint32_t filled = fill_cq(user); filled < entries - 1; filled++) {
        user_submit(user, &release);
        CHECK_EQ(user_enter(user, 0, 0), filled + 1);
    }
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
        user_enter_start(user, many[i], arch_time_ns() + 5000);
        CHECK(!user_entered(user, &result));
        fixture_advance(5000);
        CHECK(user_entered(user, &result));
        CHECK_EQ(result, (entries - 1) | CAPOS_ENTER_TIMED_OUT);
    }
    user_submit(user, &release);
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
        CHECK_EQ(user_enter(user, many[i], CAPOS_FOREVER), entries);
    }
    fixture_end();
}

TEST(ring_entries,
     "a ring that is not a power of two from 16 to 4096 is refused BAD_ARGUMENT and leaves "
     "nothing")
{
    static const uint32_t bad[] = {1, 8, 15, 17, 24, 4097, 8192, UINT32_MAX};
    uint64_t limits[LEDGER_CLASSES];
    struct user *user;
    fixture_start(1);
    user_limits(limits);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ(user_try_new("ring", limits, bad[i], &user), ST_BAD_ARGUMENT);
    }
    host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
    fixture_end();
}

TEST(ring_unknown_syscall, "an unknown system call answers UNSUPPORTED and changes nothing")
{
    uint64_t result = 0;
    fixture_start(1);
    struct user *user = user_new("syscall");
    static const uint64_t numbers[] = {0, 1, 60, CAPOS_SYS_ENTER + 2, UINT64_MAX};
    for (size_t i = 0; i < 5; i++) {
        host_syscall(user->thread, numbers[i], 0, 0);
        fixture_settle();
        CHECK(user_entered(user, &result));
        CHECK_EQ(result, (uint64_t)(int64_t)ST_UNSUPPORTED);
    }
    fixture_end();
}

/* ---- RELEASE, CANCEL ---- */

TEST(ring_release, "RELEASE kills the id in the entry that carries it")
{
    fixture_start(1);
    struct user *user = user_new("release");
    capos_cap_t cap = user_notification(user);
    uint64_t used = ledger_state(user->process->ledger).used[LEDGER_CLASS_SLOTS];
    struct capos_sqe release = sqe_cap(user, CAPOS_OP_RELEASE, cap);
    struct capos_sqe signal = sqe_cap(user, CAPOS_OP_SIGNAL, cap);
    signal.params = 1;
    user_submit(user, &release);
    user_submit(user, &signal);
    user_submit(user, &release);
    user_enter(user, 3, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, release.user_data).result, ST_OK);
    CHECK_EQ(user_expect(user, signal.user_data).result, ST_BAD_CAP);
    CHECK_EQ(user_expect(user, release.user_data).result, ST_BAD_CAP);
    CHECK_EQ(ledger_state(user->process->ledger).used[LEDGER_CLASS_SLOTS], used - 1);
    fixture_end();
}

TEST(ring_cancel, "CANCEL ends the operation at that position CANCELLED, once; elsewhere NOT_FOUND")
{
    fixture_start(1);
    struct user *user = user_new("cancel");
    capos_cap_t cap = user_notification(user);
    struct capos_sqe wait = sqe_wait(user, cap, CAPOS_EVENT_SIGNALLED, 0);
    uint64_t position = user_submit(user, &wait);
    CHECK_EQ(user_enter(user, 0, 0), 0);
    struct capos_sqe wrong = sqe_cap(user, CAPOS_OP_CANCEL, position + 2 * USER_RING);
    CHECK_EQ(user_do(user, &wrong).result, ST_NOT_FOUND);
    struct capos_sqe cancel = sqe_cap(user, CAPOS_OP_CANCEL, position);
    user_submit(user, &cancel);
    CHECK_EQ(user_enter(user, 2, CAPOS_FOREVER), 2);
    CHECK_EQ(user_expect(user, wait.user_data).result, ST_CANCELLED);
    CHECK_EQ(user_expect(user, cancel.user_data).result, ST_OK);
    CHECK_EQ(user_do(user, &cancel).result, ST_NOT_FOUND);
    fixture_end();
}
