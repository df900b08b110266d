/* SPDX-License-Identifier: MIT */
/*
 * Pipeline: calls of what has not arrived, calls in a batch, calls in a chain, each in one entry into the
 * kernel; and how a failure in the middle reads. docs/how-to/pipeline.md goes through it.
 *
 * Holds: counter (Counter), stdio.
 */
#include "capos/call.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "counter.client.h"
#include "lib/base/fmt.h"

static uint64_t entries;

static void begin(void)
{
    capos_print_flush();
    entries = capos_ring_stats()->entries;
}

/* "1 entry", "3 entries" */
static const char *entries_since(void)
{
    static char text[32];
    unsigned long long taken = capos_ring_stats()->entries - entries;
    fmt_format(text, sizeof(text), "%llu entr%s", taken, taken == 1 ? "y" : "ies");
    return text;
}

static void explain(const struct capos_call *call)
{
    char why[240];
    capos_printf("%s\n", capos_explain(call, why, sizeof(why)));
}

/* counter.child("fruit").child("apples").increment(3): neither child ever takes a slot. */
static void dependent_calls(capos_cap_t counter)
{
    CAPOS_PROMISE(fruit, Counter, child);
    CAPOS_PROMISE(apples, Counter, child);
    CAPOS_CALL(add, Counter, increment);
    int64_t value = 0;
    begin();
    Counter_child_send(&fruit, counter, "fruit");
    Counter_child_send(&apples, Counter_child_promise_counter(&fruit), "apples");
    Counter_increment_send(&add, Counter_child_promise_counter(&apples), 3);
    status_t status = Counter_increment_await(&add, &value);
    const char *taken = entries_since();
    capos_call_end(&fruit);
    capos_call_end(&apples);
    if (status == ST_OK) {
        capos_printf("three calls, each on the result of the one before: %lld, in %s\n",
                     (long long)value, taken);
    } else {
        explain(&add);
    }
}

/* A name that is too long fails its call; what was to be called on the result says so. */
static void failing_step(capos_cap_t counter)
{
    CAPOS_PROMISE(child, Counter, child);
    CAPOS_CALL(read, Counter, read);
    Counter_child_send(&child, counter, "a name of many more bytes than thirty-one");
    Counter_read_send(&read, Counter_child_promise_counter(&child));
    (void)Counter_read_await(&read, NULL);
    explain(&read);
    capos_call_end(&child);
}

/* Calls that do not depend on each other. */
static void batch(capos_cap_t counter)
{
    CAPOS_CALL(first, Counter, increment);
    CAPOS_CALL(second, Counter, increment);
    CAPOS_CALL(third, Counter, info);
    struct capos_call *const calls[] = {&first, &second, &third};
    begin();
    Counter_increment_send(&first, counter, 1);
    Counter_increment_send(&second, counter, 1);
    Counter_info_send(&third, counter);
    status_t status = capos_wait_all(calls, 3);
    capos_printf("three calls at once: %s, in %s\n", status_name(status), entries_since());
    for (unsigned i = 0; i < 3; i++) {
        capos_call_end(calls[i]);
    }
}

/* Each starts when the one before has succeeded; only the last one's completion is wanted. */
static void chain(capos_cap_t counter)
{
    CAPOS_CALL(reset, Counter, reset);
    CAPOS_CALL(add, Counter, increment);
    int64_t value = -1;
    begin();
    reset.quiet = true;
    capos_chain_begin();
    Counter_reset_send(&reset, counter);
    Counter_increment_send(&add, counter, 10);
    capos_chain_end();
    status_t status = Counter_increment_await(&add, &value);
    capos_printf("a reset, and only then ten: %s, %lld, in %s\n", status_name(status),
                 (long long)value, entries_since());
    capos_call_end(&reset);
}

int capos_main(void)
{
    capos_cap_t counter = CAPOS_NEED("counter", Counter);
    dependent_calls(counter);
    failing_step(counter);
    batch(counter);
    chain(counter);
    return 0;
}
