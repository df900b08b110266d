/* SPDX-License-Identifier: MIT */
/*
 * The runtime's own threads and locks, used as they are meant, on as many CPUs as there are. These cases
 * leave the ring to libcapos: no raw_* here.
 */
#include "capos/heap.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "capos/thread.h"
#include "case.h"
#include "lib/base/string.h"
#include "time.client.h"

enum { WORKERS = 3 };

/* What fails says so by its line; 0 is well. */
#define WANT(condition) \
    do { \
        if (!(condition)) { \
            return __LINE__; \
        } \
    } while (0)

static capos_cap_t timer(void)
{
    return capos_capset_try("timer", Timer_ID);
}

/* ---- thread-local storage ---- */

static _Thread_local uint64_t untouched;
static _Thread_local uint64_t seeded = 0x5eed;
static _Thread_local uint8_t wide[96] __attribute__((aligned(64)));

static int64_t own_storage(void *argument)
{
    WANT(untouched == 0 && seeded == 0x5eed);
    WANT((uintptr_t)wide % 64 == 0);
    for (unsigned i = 0; i < sizeof(wide); i++) {
        WANT(wide[i] == 0);
    }
    untouched = (uintptr_t)argument;
    seeded = (uintptr_t)argument + 1;
    memset(wide, (int)(uintptr_t)argument, sizeof(wide));
    uint64_t now_ns = 0;
    WANT(Timer_now(timer(), &now_ns) == ST_OK);
    WANT(Timer_sleep(timer(), now_ns + 1000000, &now_ns) == ST_OK);
    WANT(untouched == (uintptr_t)argument && seeded == untouched + 1);
    WANT(wide[0] == untouched && wide[sizeof(wide) - 1] == untouched);
    return -(int64_t)(uintptr_t)argument;
}

static int64_t storage(void)
{
    for (unsigned round = 0; round < 20; round++) {
        struct capos_thread threads[WORKERS];
        for (uintptr_t i = 0; i < WORKERS; i++) {
            WANT(capos_thread_create(&threads[i], own_storage, (void *)(i + 1), 0, 0) == ST_OK);
        }
        untouched = 77;
        for (unsigned i = 0; i < WORKERS; i++) {
            int64_t code = 0;
            WANT(capos_thread_join(&threads[i], &code) == ST_OK);
            WANT(code == -1 - (int64_t)i);
        }
        WANT(untouched == 77 && seeded == 0x5eed);
    }
    return 0;
}

/* ---- mutex, condition, once ---- */

static struct capos_mutex mutex;
static struct capos_condition changed;
static struct capos_once once;
static uint64_t counter, began;

static void begin(void)
{
    uint64_t now_ns = 0;
    (void)Timer_now(timer(), &now_ns);
    (void)Timer_sleep(timer(), now_ns + 2000000, &now_ns);
    began++;
}

static int64_t counts(void *argument)
{
    capos_once(&once, begin);
    WANT(began == 1);
    for (unsigned i = 0; i < 3000; i++) {
        capos_mutex_lock(&mutex);
        uint64_t seen = counter;
        if (i % 4 == 0) {
            (void)capos_push(); /* a way into the kernel, to be preempted on */
        }
        counter = seen + 1;
        capos_mutex_unlock(&mutex);
    }
    (void)argument;
    return 0;
}

static int64_t locks(void)
{
    struct capos_thread threads[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        WANT(capos_thread_create(&threads[i], counts, NULL, 8192, 16) == ST_OK);
    }
    WANT(counts(NULL) == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        int64_t code = 1;
        WANT(capos_thread_join(&threads[i], &code) == ST_OK && code == 0);
    }
    WANT(counter == 3000 * (WORKERS + 1));
    return 0;
}

/* A queue of one place: whoever puts waits until it is empty, whoever takes until it is full. */
static uint64_t place, sum;

static int64_t takes(void *argument)
{
    (void)argument;
    for (;;) {
        capos_mutex_lock(&mutex);
        while (place == 0) {
            (void)capos_condition_wait(&changed, &mutex, CAPOS_FOREVER);
        }
        uint64_t taken = place;
        sum += taken == UINT64_MAX ? 0 : taken;
        place = taken == UINT64_MAX ? taken : 0; /* the last word stays for the others */
        capos_mutex_unlock(&mutex);
        capos_condition_broadcast(&changed);
        if (taken == UINT64_MAX) {
            return 0;
        }
    }
}

static int64_t conditions(void)
{
    struct capos_thread threads[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        WANT(capos_thread_create(&threads[i], takes, NULL, 0, 0) == ST_OK);
    }
    for (uint64_t i = 1; i <= 500; i++) {
        capos_mutex_lock(&mutex);
        while (place != 0) {
            (void)capos_condition_wait(&changed, &mutex, CAPOS_FOREVER);
        }
        place = i < 500 ? i : UINT64_MAX;
        capos_mutex_unlock(&mutex);
        capos_condition_broadcast(&changed);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        WANT(capos_thread_join(&threads[i], NULL) == ST_OK);
    }
    WANT(sum == 499 * 500 / 2);
    uint64_t now_ns = 0;
    WANT(Timer_now(timer(), &now_ns) == ST_OK);
    capos_mutex_lock(&mutex);
    WANT(!capos_condition_wait(&changed, &mutex, now_ns + 1000000));
    WANT(!capos_mutex_try(&mutex));
    capos_mutex_unlock(&mutex);
    return 0;
}

/* ---- heap, output, detached threads ---- */

static _Atomic uint32_t finished;

static int64_t allocates(void *argument)
{
    uint64_t mark = (uintptr_t)argument;
    uint64_t *blocks[16] = {NULL};
    for (unsigned i = 0; i < 1500; i++) {
        uint64_t **block = &blocks[(i * 7 + mark) % 16];
        size_t words = 1 + (i * 13 + mark) % 60;
        if (*block != NULL) {
            WANT((*block)[0] == mark);
            capos_free(*block);
        }
        *block = capos_alloc(words * 8);
        WANT(*block != NULL);
        (*block)[0] = mark;
        (*block)[words - 1] = mark;
    }
    for (unsigned i = 0; i < 16; i++) {
        WANT(blocks[i] == NULL || blocks[i][0] == mark);
        capos_free(blocks[i]);
    }
    atomic_fetch_add(&finished, 1);
    return 0;
}

static int64_t heap(void)
{
    struct capos_thread threads[WORKERS];
    size_t before = capos_heap_stats().used_bytes;
    for (uintptr_t i = 0; i < WORKERS; i++) {
        WANT(capos_thread_create(&threads[i], allocates, (void *)(i + 1), 0, 0) == ST_OK);
    }
    WANT(allocates((void *)9) == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        int64_t code = 1;
        WANT(capos_thread_join(&threads[i], &code) == ST_OK && code == 0);
    }
    WANT(capos_heap_stats().used_bytes == before);
    return 0;
}

/* Far more than fit at once: what ended is given back, or creation would fail for good. */
static int64_t detached(void)
{
    enum { ALL = 60 };
    for (unsigned made = 0; made < ALL;) {
        struct capos_thread thread;
        status_t status = capos_thread_create(&thread, allocates, (void *)5, 0, 0);
        if (status == ST_OK) {
            capos_thread_detach(&thread);
            made++;
        } else {
            WANT(status == ST_QUOTA);
            capos_push();
        }
    }
    while (atomic_load(&finished) != ALL) {
        capos_push();
    }
    return 0;
}

static int64_t refused(void)
{
    struct capos_thread thread;
    WANT(capos_thread_create(&thread, allocates, NULL, 1, 0) == ST_BAD_ARGUMENT);
    WANT(capos_thread_create(&thread, allocates, NULL, UINT64_MAX, 0) == ST_BAD_ARGUMENT);
    WANT(capos_thread_create(&thread, allocates, NULL, 0, 17) == ST_BAD_ARGUMENT);
    WANT(capos_thread_create(&thread, allocates, NULL, 32 << 20, 0) == ST_QUOTA);
    WANT(capos_thread_create(&thread, allocates, (void *)3, 0, 0) == ST_OK);
    WANT(capos_thread_join(&thread, NULL) == ST_OK);
    return 0;
}

#define RUNTIME_CASE(name_, function, sentence_) \
    { \
        .name = name_, .sentence = sentence_, \
        .roles = {{.run = function, .holds = HOLD_USUAL | HOLD_THREADS}}, \
        .limits = {{LEDGER_CLASS_FRAMES, true, 384}}, \
    }

const struct hostile_case runtime_cases[] = {
    RUNTIME_CASE("runtime.storage", storage, "each thread has its own thread-local storage"),
    RUNTIME_CASE("runtime.locks", locks, "a mutex lets in one at a time, a once runs once"),
    RUNTIME_CASE("runtime.conditions", conditions, "no signal of a condition is lost"),
    RUNTIME_CASE("runtime.heap", heap, "threads share the heap"),
    RUNTIME_CASE("runtime.detached", detached, "detached threads leave nothing behind"),
    RUNTIME_CASE("runtime.refused", refused, "a thread that cannot be had is refused"),
    {.name = NULL},
};
