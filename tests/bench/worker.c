/* SPDX-License-Identifier: MIT */
/*
 * Works for a fixed piece of the clock and ends with how much it did: what scale.* adds up. Who is granted `echo` calls it,
 * and who is granted `poller` calls that and looks for the answer without waiting in the kernel;
 * who is granted `threads` computes on two threads; anyone else computes on one. All that are started in the first half of
 * a PERIOD work at the same time: a rest of it to get under way, then WINDOW.
 */
#include <stdatomic.h>

#include "capos/start.h"
#include "counter.capnp.h"
#include "raw.h"
#include "thread.capnp.h"
#include "tests/bench/scale.h"

enum { CALLS_A_LOOK = 64, LOOPS_A_LOOK = 20000, BYTES = 32 };

static uint8_t stack[4096] __attribute__((aligned(64)));
static _Atomic uint64_t second; /* what the other thread did, and one more */

static bool polls; /* set once */

static void call(struct raw_ring *ring, capos_cap_t echo)
{
    struct capos_sqe *sqe = raw_call(ring, echo, Counter_ID, Counter_increment_ORDINAL);
    sqe->params_len = BYTES;
    sqe->result = CAPOS_PAYLOAD_SLOT_BYTES;
    sqe->result_len = BYTES;
    if (polls) {
        raw_poll(ring);
    } else {
        raw_submit(ring, 1);
    }
    raw_require(raw_reap(ring) == BYTES, 51);
    raw_reaped(ring);
}

/* Some work: of echo, or none but one's own. */
static void some(struct raw_ring *ring, capos_cap_t echo)
{
    if (echo == 0) {
        for (unsigned i = 0; i < LOOPS_A_LOOK; i++) {
            __asm__ volatile("");
        }
        return;
    }
    for (unsigned i = 0; i < CALLS_A_LOOK; i++) {
        call(ring, echo);
    }
}

/* How often, between these two times. */
static uint64_t work(struct raw_ring *ring, capos_cap_t echo, uint64_t from_ns, uint64_t to_ns)
{
    capos_cap_t timer = raw_cap("timer");
    uint64_t count = 0;
    for (uint64_t now; (now = raw_now_ns(ring, timer)) < to_ns;) {
        some(ring, echo);
        count += now >= from_ns;
    }
    return count;
}

static uint64_t from_ns; /* set before the other thread is made */

static void other(uint64_t argument, uint8_t *base)
{
    struct raw_ring ring;
    (void)argument;
    raw_open_at(&ring, base);
    uint64_t count = work(&ring, 0, from_ns, from_ns + SCALE_WINDOW_NS);
    atomic_store_explicit(&second, count + 1, memory_order_release);
    capos_sys_exit_thread(0);
}

static void start_other(struct raw_ring *ring, capos_cap_t threads)
{
    uint64_t words[7] = {UINT64_C(4) << 32, (uint64_t)other,
                         (uint64_t)(stack + sizeof(stack) - 64) - 8, 0, 16};
    uint64_t result[16];
    struct capos_sqe call = {
        .cap = threads, .interface = ThreadSpawner_ID, .method = ThreadSpawner_spawn_ORDINAL};
    raw_require(raw_transact(ring, call, words, 40, NULL, 0, result) >= 0, 52);
}

int capos_main(void)
{
    struct raw_ring ring;
    raw_open(&ring);
    const struct capos_capset_entry *poller = capos_capset_find("poller");
    const struct capos_capset_entry *echo = poller != NULL ? poller : capos_capset_find("echo");
    const struct capos_capset_entry *threads = capos_capset_find("threads");
    uint64_t now = raw_now_ns(&ring, raw_cap("timer"));
    from_ns = now - now % SCALE_PERIOD_NS + SCALE_PERIOD_NS / 2;
    polls = poller != NULL;
    if (threads != NULL) {
        start_other(&ring, threads->cap);
    }
    uint64_t count = work(&ring, echo != NULL ? echo->cap : 0, from_ns, from_ns + SCALE_WINDOW_NS);
    while (threads != NULL && atomic_load_explicit(&second, memory_order_acquire) == 0) {
    }
    count += threads != NULL ? atomic_load_explicit(&second, memory_order_acquire) - 1 : 0;
    capos_sys_exit((int64_t)count);
}
