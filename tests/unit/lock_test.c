/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include <pthread.h>

#include "core/lock.h"
#include "core/panic.h"
#include "core/trace.h"

static const char *wanted[3]; /* what the panic must say */

/* The machine has halted: was it for the reason the test wants? */
static void check_panic(enum host_end how)
{
    CHECK_EQ(how, HOST_END_HALT);
    for (unsigned i = 0; i < 3 && wanted[i] != NULL; i++) {
        if (strstr(host_debug_text(), wanted[i]) == NULL) {
            FAIL(wanted[i]);
        }
    }
    fflush(NULL);
    _exit(test_failures == 0 ? 0 : 1);
}

static void expect_panic(const char *first, const char *second, const char *third)
{
    machine_start(2);
    wanted[0] = first;
    wanted[1] = second;
    wanted[2] = third;
    host_on_end(check_panic);
}

TEST(lock_rank_inversion, "a lock of lower rank under a higher one panics and names both")
{
    struct spinlock object, grant;
    expect_panic("lock order: grant", "while object", NULL);
    lock_init(&object, LOCK_OBJECT);
    lock_init(&grant, LOCK_GRANT);
    lock_acquire(&object);
    lock_acquire(&grant);
    FAIL("the inversion went unnoticed");
}

TEST(lock_same_rank, "a second lock of one rank outside lock_pair panics")
{
    struct spinlock a, b;
    expect_panic("lock order: capability table", "while capability table", NULL);
    lock_init(&a, LOCK_CAP_TABLE);
    lock_init(&b, LOCK_CAP_TABLE);
    lock_acquire(&a);
    lock_acquire(&b);
    FAIL("the second lock went unnoticed");
}

TEST(lock_twice, "taking a lock that this CPU holds panics instead of hanging")
{
    struct spinlock a;
    expect_panic("taken twice", "slab", NULL);
    lock_init(&a, LOCK_SLAB);
    lock_acquire(&a);
    lock_acquire(&a);
    FAIL("it was taken twice");
}

TEST(lock_release_unheld, "releasing a lock that another CPU holds panics")
{
    struct spinlock a;
    expect_panic("released but not held", NULL, NULL);
    lock_init(&a, LOCK_SLAB);
    lock_acquire(&a);
    host_become(1);
    lock_release(&a);
    FAIL("it was released");
}

TEST(lock_assert, "lock_assert_held panics when the lock is not held and is silent when it is")
{
    struct spinlock a;
    expect_panic("should be held", NULL, NULL);
    lock_init(&a, LOCK_RING);
    lock_acquire(&a);
    lock_assert_held(&a);
    lock_release(&a);
    lock_assert_held(&a);
    FAIL("the assertion held");
}

TEST(lock_assert_none_held, "a lock held on the way out of the kernel panics")
{
    struct spinlock a;
    expect_panic("held on the way out", NULL, NULL);
    lock_init(&a, LOCK_RING);
    lock_assert_none();
    lock_acquire(&a);
    lock_assert_none();
    FAIL("nobody noticed");
}

TEST(lock_in_order,
     "locks in order of rank, pairs in either order of naming, and a pair of one lock "
     "are fine")
{
    struct spinlock grant, a, b, thread;
    machine_start(1);
    lock_init(&grant, LOCK_GRANT);
    lock_init(&a, LOCK_CAP_TABLE);
    lock_init(&b, LOCK_CAP_TABLE);
    lock_init(&thread, LOCK_THREAD);
    lock_acquire(&grant);
    lock_pair(&a, &b);
    lock_acquire(&thread);
    lock_release(&thread);
    unlock_pair(&a, &b);
    lock_pair(&b, &a);
    unlock_pair(&b, &a);
    lock_pair(&a, &a);
    unlock_pair(&a, &a);
    lock_release(&grant);
    lock_assert_none();
}

TEST(lock_tickets_wrap, "a lock taken more than 2^16 times still works")
{
    struct spinlock a;
    machine_start(1);
    lock_init(&a, LOCK_RING);
    for (unsigned i = 0; i < 70000; i++) {
        lock_acquire(&a);
        lock_release(&a);
    }
    CHECK_EQ(atomic_load_relaxed(&a.next), 70000 % 65536);
    CHECK_EQ(atomic_load_relaxed(&a.serving), 70000 % 65536);
}

enum { CPUS = 4, TURNS = 5000 };
static struct spinlock shared_lock;
static uint64_t shared_count;

static void *count_up(void *number)
{
    host_become((unsigned)(uintptr_t)number);
    for (unsigned i = 0; i < TURNS; i++) {
        lock_acquire(&shared_lock);
        shared_count++;
        lock_release(&shared_lock);
    }
    return NULL;
}

TEST(lock_excludes, "four CPUs counting under one lock lose no count")
{
    pthread_t threads[CPUS];
    machine_start(CPUS);
    lock_init(&shared_lock, LOCK_OBJECT);
    for (uintptr_t i = 0; i < CPUS; i++) {
        pthread_create(&threads[i], NULL, count_up, (void *)i);
    }
    for (unsigned i = 0; i < CPUS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ(shared_count, CPUS * TURNS);
}

TEST(panic_last_operations, "a panic prints its message, the CPU and the last operations, oldest "
                            "first, on the serial port too")
{
    expect_panic("panic on CPU 1: seven is 7", "  job        0x5 0x6\n  fault      0x7 0x8\n",
                 "the system is halted");
    host_become(1);
    arch_serial_own(false);
    trace_note(TRACE_JOB, 5, 6);
    trace_note(TRACE_FAULT, 7, 8);
    panic("seven is %d", 7);
}

TEST(trace_keeps_last, "the trace keeps the last sixteen notes of each CPU apart")
{
    machine_start(2);
    for (uint64_t i = 0; i < 40; i++) {
        host_become((unsigned)(i % 2));
        trace_note(TRACE_INTERRUPT, i, 0);
    }
    const struct trace_ring *ring = &trace_rings[1];
    CHECK_EQ(ring->next, 20);
    for (uint64_t i = 20 - TRACE_NOTES; i < 20; i++) {
        CHECK_EQ(ring->notes[i % TRACE_NOTES].a, 2 * i + 1);
    }
}
