/* SPDX-License-Identifier: MIT */
/*
 * The benchmark: guest instructions per operation, user side included, under an instruction-counting
 * emulator whose time stamp counter counts instructions. Method: shared with the peers' figures
 * (docs/reference/bench.md): a warm-up of a tenth, ten batches, median, least and most.
 * Every result is checked; a wrong one ends the program with a code.
 */
#include <stdatomic.h>

#include "capabilities.capnp.h"
#include "capos/start.h"
#include "abi/layout.h"
#include "counter.capnp.h"
#include "grants.capnp.h"
#include "ledger.capnp.h"
#include "memory.capnp.h"
#include "process.capnp.h"
#include "thread.capnp.h"
#include "notification.capnp.h"
#include "time.capnp.h"
#include "raw.h"

enum { BATCHES = 10, WARM_UP_SHARE = 10, MAX_BATCH = 32 };

static struct raw_ring ring;
static capos_cap_t memory_cap;
static capos_cap_t log_cap, timer_cap, spare_cap, echo_cap, carrier_cap, silent_cap, launcher_cap;
static capos_cap_t manager_cap, ledger_cap;

/* One measured operation: runs `n` times. */
typedef void (*bench_fn)(uint32_t n);

static void sort(uint64_t *values, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        for (unsigned j = i; j > 0 && values[j - 1] > values[j]; j--) {
            uint64_t t = values[j];
            values[j] = values[j - 1];
            values[j - 1] = t;
        }
    }
}

/* Tenths of an instruction per operation. */
static void report(const char *name, uint64_t values[BATCHES])
{
    char line[200];
    sort(values, BATCHES);
    uint64_t median = (values[BATCHES / 2 - 1] + values[BATCHES / 2]) / 2;
    fmt_format(line, sizeof(line), "@bench %s %llu.%llu instr %d %llu.%llu %llu.%llu", name,
               (unsigned long long)(median / 10), (unsigned long long)(median % 10), BATCHES,
               (unsigned long long)(values[0] / 10), (unsigned long long)(values[0] % 10),
               (unsigned long long)(values[BATCHES - 1] / 10),
               (unsigned long long)(values[BATCHES - 1] % 10));
    raw_log(&ring, log_cap, line);
}

static void measure(const char *name, bench_fn run, uint32_t n)
{
    uint64_t values[BATCHES];
    run(n / WARM_UP_SHARE);
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        uint64_t start = raw_cycles();
        run(n);
        values[batch] = (raw_cycles() - start) * 10 / n;
    }
    report(name, values);
}

static inline void enter_and_reap(uint32_t count, int32_t expected)
{
    raw_publish(&ring);
    raw_require((raw_enter(count, CAPOS_FOREVER) & (int64_t)CAPOS_ENTER_READY_MASK) == count, 11);
    for (uint32_t i = 0; i < count; i++) {
        raw_require(raw_reap(&ring) == expected, 12);
    }
    raw_reaped(&ring);
}

static inline void nops(uint32_t n, uint32_t batch)
{
    for (uint32_t done = 0; done < n; done += batch) {
        for (uint32_t i = 0; i < batch; i++) {
            raw_clear(raw_sqe(&ring));
        }
        enter_and_reap(batch, ST_OK);
    }
}

static void bench_nop_1(uint32_t n)
{
    nops(n, 1);
}

static void bench_nop_32(uint32_t n)
{
    nops(n, 32);
}

/* Timer.now by INLINE: the message of results goes to payload slot i. */
static inline void fill_now(struct capos_sqe *sqe, uint32_t slot)
{
    raw_clear(sqe);
    sqe->op = CAPOS_OP_CALL;
    sqe->flags = CAPOS_SQE_INLINE;
    sqe->method = Timer_now_ORDINAL;
    sqe->cap = timer_cap;
    sqe->interface = Timer_ID;
    sqe->result = slot * CAPOS_PAYLOAD_SLOT_BYTES;
    sqe->result_len = CAPOS_PAYLOAD_SLOT_BYTES;
}

static inline void calls(uint32_t n, uint32_t batch)
{
    for (uint32_t done = 0; done < n; done += batch) {
        for (uint32_t i = 0; i < batch; i++) {
            fill_now(raw_sqe(&ring), i);
        }
        enter_and_reap(batch, 16);
    }
}

static void bench_call_1(uint32_t n)
{
    calls(n, 1);
}

static void bench_call_32(uint32_t n)
{
    calls(n, 32);
}

static uint8_t message[4096 + 64] __attribute__((aligned(64)));
static uint8_t answer[4096 + 64] __attribute__((aligned(64)));

static inline struct capos_sqe *fill_echo(uint64_t params, uint64_t result, uint32_t bytes)
{
    struct capos_sqe *sqe = raw_sqe(&ring);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_CALL;
    sqe->method = Counter_increment_ORDINAL;
    sqe->cap = echo_cap;
    sqe->interface = Counter_ID;
    sqe->params = params;
    sqe->params_len = bytes;
    sqe->result = result;
    sqe->result_len = bytes;
    return sqe;
}

/* From payload slot 0 to slot 1. */
static void bench_roundtrip(uint32_t n)
{
    enum { BYTES = 32 };
    uint8_t *back = ring.payload + CAPOS_PAYLOAD_SLOT_BYTES;
    ring.payload[BYTES - 1] = 0x5a;
    for (uint32_t i = 0; i < n; i++) {
        back[BYTES - 1] = 0;
        fill_echo(0, CAPOS_PAYLOAD_SLOT_BYTES, BYTES)->flags = CAPOS_SQE_INLINE;
        enter_and_reap(1, BYTES);
        raw_require(*(volatile uint8_t *)&back[BYTES - 1] == 0x5a, 13);
    }
}

static void bench_roundtrip_4k(uint32_t n)
{
    enum { BYTES = 4096 };
    for (uint32_t i = 0; i < n; i++) {
        answer[BYTES - 1] = 0;
        (void)fill_echo((uint64_t)message, (uint64_t)answer, BYTES);
        enter_and_reap(1, BYTES);
        raw_require(*(volatile uint8_t *)&answer[BYTES - 1] == message[BYTES - 1], 13);
    }
}

/* A capability goes there and comes back: moved both ways. */
static void bench_roundtrip_cap(uint32_t n)
{
    enum { BYTES = 32 };
    uint64_t *area = (uint64_t *)(void *)(ring.payload + BYTES);
    const struct capos_cap_record *back =
        (const struct capos_cap_record *)(void *)(ring.payload + CAPOS_PAYLOAD_SLOT_BYTES + BYTES);
    for (uint32_t i = 0; i < n; i++) {
        area[0] = ring.sequence++;
        *(struct capos_transfer *)(void *)&area[1] =
            (struct capos_transfer){.cap = spare_cap, .mode = CAPOS_XFER_MOVE};
        struct capos_sqe *sqe = fill_echo(0, CAPOS_PAYLOAD_SLOT_BYTES, BYTES);
        sqe->cap = carrier_cap;
        sqe->flags = CAPOS_SQE_INLINE;
        sqe->xfer_count = 1;
        sqe->accept_count = 1;
        sqe->result_len = BYTES + sizeof(*back);
        enter_and_reap(1, BYTES);
        spare_cap = *(volatile const uint64_t *)&back->cap;
        raw_require(spare_cap != 0, 21);
    }
}

/* A call nobody will answer, and its cancellation; both completions. */
static void bench_cancel(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t position = ring.sq_tail;
        struct capos_sqe *sqe = raw_sqe(&ring);
        raw_clear(sqe);
        sqe->op = CAPOS_OP_CALL;
        sqe->method = Counter_increment_ORDINAL;
        sqe->cap = silent_cap;
        sqe->interface = Counter_ID;
        sqe->params = (uint64_t)message;
        sqe->params_len = 32;
        sqe->result = (uint64_t)answer;
        sqe->result_len = 32;
        sqe = raw_sqe(&ring);
        raw_clear(sqe);
        sqe->op = CAPOS_OP_CANCEL;
        sqe->cap = position;
        raw_publish(&ring);
        raw_require((raw_enter(2, CAPOS_FOREVER) & (int64_t)CAPOS_ENTER_READY_MASK) == 2, 14);
        raw_require(raw_reap(&ring) == ST_CANCELLED, 15);
        raw_require(raw_reap(&ring) == ST_OK, 16);
        raw_reaped(&ring);
    }
}

/* The launch message is the same every time: built once, with its transfer area behind it. */
static uint64_t launch_words[160];
static uint32_t launch_bytes;
enum { LAUNCH_GRANTS = 4 };

static void add_grant(Grant_list_b list, uint32_t index, const char *name)
{
    Grant_b grant = Grant_list_b_at(list, index);
    Grant_set_name(grant, name, strlen(name));
    Grant_set_origin(grant, "bench", 5);
    Grant_set_interface(grant, Timer_ID);
    Grant_set_transfer(grant, 0);
}

static void build_launch(void)
{
    static const char *const names[LAUNCH_GRANTS] = {"a", "b", "c", "d"};
    size_t len;
    struct capnp_builder builder;
    capnp_builder_init(&builder, launch_words, sizeof(launch_words) - 24);
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, "bench/null", 10);
    Launcher_launch_params_set_name(params, "null", 4);
    Grant_list_b grants = Launcher_launch_params_init_grants(params, LAUNCH_GRANTS);
    for (uint32_t i = 0; i < LAUNCH_GRANTS; i++) {
        add_grant(grants, i, names[i]);
    }
    raw_require(capnp_finish(&builder, &len) == CAPNP_OK, 17);
    launch_bytes = (uint32_t)len;
}

static capos_cap_t launch(void)
{
    uint64_t *area = &launch_words[launch_bytes / 8];
    area[0] = ring.sequence++;
    struct capos_transfer *xfer = (struct capos_transfer *)(void *)&area[1];
    *xfer = (struct capos_transfer){.cap = timer_cap, .mode = CAPOS_XFER_COPY};
    uint64_t result[8];
    struct capos_sqe sqe = {
        .op = CAPOS_OP_CALL,
        .method = Launcher_launch_ORDINAL,
        .xfer_count = 1,
        .accept_count = 1,
        .cap = launcher_cap,
        .interface = Launcher_ID,
        .params = (uint64_t)launch_words,
        .params_len = launch_bytes,
        .result = (uint64_t)result,
        .result_len = sizeof(result),
    };
    int32_t result_code = raw_run(&ring, &sqe);
    raw_require(result_code >= 0, 100 - result_code);
    return ((const struct capos_cap_record *)(void *)&result[2])->cap;
}

static void bench_process(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        capos_cap_t child = launch();
        struct capos_sqe wait = {.op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_EXIT, .cap = child};
        raw_require(raw_run(&ring, &wait) == CAPOS_EVENT_EXIT, 19);
        struct capos_sqe release = {.op = CAPOS_OP_RELEASE, .cap = child};
        raw_require(raw_run(&ring, &release) == ST_OK, 20);
    }
}

/* ---- revoke ---- */

/* A call with at most one capability, whose message is in `words` with room for a transfer behind it. */
static int32_t call_with(capos_cap_t cap, uint64_t interface, uint16_t method, uint64_t *words,
                         size_t len, capos_cap_t carried, uint64_t result[16])
{
    struct capos_sqe sqe = {
        .op = CAPOS_OP_CALL,
        .method = method,
        .xfer_count = carried != 0,
        .accept_count = 2,
        .cap = cap,
        .interface = interface,
        .params = (uint64_t)words,
        .params_len = (uint32_t)len,
        .result = (uint64_t)result,
        .result_len = 128,
    };
    if (carried != 0) {
        words[len / 8] = ring.sequence++;
        *(struct capos_transfer *)(void *)&words[len / 8 + 1] =
            (struct capos_transfer){.cap = carried};
    }
    return raw_run(&ring, &sqe);
}

static const struct capos_cap_record *records_of(const uint64_t *result, int32_t bytes)
{
    return (const struct capos_cap_record *)(const void *)&result[bytes / 8];
}

static void derive(capos_cap_t *cap_out, capos_cap_t *grant_out)
{
    uint64_t words[16];
    uint64_t result[16];
    size_t len;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words) - 24);
    Derivation_set_origin(Derivation_init(&builder), "bench", 5);
    raw_require(capnp_finish(&builder, &len) == CAPNP_OK, 41);
    int32_t bytes = call_with(manager_cap, CapabilityManager_ID, CapabilityManager_derive_ORDINAL,
                              words, len, timer_cap, result);
    raw_require(bytes > 0, 42);
    *cap_out = records_of(result, bytes)[0].cap;
    *grant_out = records_of(result, bytes)[1].cap;
}

static void release(capos_cap_t cap)
{
    struct capos_sqe sqe = {.op = CAPOS_OP_RELEASE, .cap = cap};
    raw_require(raw_run(&ring, &sqe) == ST_OK, 43);
}

/* Counts from the filling of the SQE to the reaped completion, INLINE as in the other rows. */
static uint64_t revoke(capos_cap_t grant)
{
    uint64_t start = raw_cycles();
    struct capos_sqe *sqe = raw_sqe(&ring);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_CALL;
    sqe->flags = CAPOS_SQE_INLINE;
    sqe->method = GrantHandle_revoke_ORDINAL;
    sqe->cap = grant;
    sqe->interface = GrantHandle_ID;
    sqe->result_len = CAPOS_PAYLOAD_SLOT_BYTES;
    enter_and_reap(1, 8);
    return raw_cycles() - start;
}

/* One derived slot, taken back: deriving it and letting go of it are not counted. */
static uint64_t revoke_one(void)
{
    capos_cap_t cap, grant;
    derive(&cap, &grant);
    uint64_t spent = revoke(grant);
    struct capos_sqe dead = {.op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_DEAD, .cap = cap};
    raw_require(raw_run(&ring, &dead) == ST_DISCONNECTED, 45);
    release(cap);
    release(grant);
    return spent;
}

static void measure_revoke(void)
{
    enum { ONES = 2000 };
    uint64_t values[BATCHES];
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        uint64_t spent = 0;
        for (unsigned i = 0; i < ONES; i++) {
            spent += revoke_one();
        }
        values[batch] = spent * 10 / ONES;
    }
    report("revoke.latency", values);
}

enum { HOLDERS = 100, HELD = 100, HOLDER_GRANTS = 3 };

static void holder_grant(Grant_list_b list, uint32_t index, const char *name, uint64_t interface)
{
    Grant_b grant = Grant_list_b_at(list, index);
    Grant_set_name(grant, name, strlen(name));
    Grant_set_interface(grant, interface);
    Grant_set_transfer(grant, (uint16_t)index);
}

/* A program of the set that gets the lease and the bell, and has rung it. */
static capos_cap_t launch_holder(const char *program, capos_cap_t lease, capos_cap_t bell)
{
    uint64_t words[160];
    uint64_t result[8];
    size_t len;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words) - 64);
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, program, strlen(program));
    Launcher_launch_params_set_name(params, "holder", 6);
    Grant_list_b grants = Launcher_launch_params_init_grants(params, HOLDER_GRANTS);
    holder_grant(grants, 0, "lease", Timer_ID);
    holder_grant(grants, 1, "bell", Notification_ID);
    Grant_b self = Grant_list_b_at(grants, 2);
    Grant_set_name(self, "capabilities", 12);
    Grant_set_interface(self, CapabilityManager_ID);
    Grant_set_self(self, SELF_OBJECT_CAPABILITY_MANAGER);
    raw_require(capnp_finish(&builder, &len) == CAPNP_OK, 46);
    uint64_t *area = &words[len / 8];
    struct capos_transfer *xfers = (struct capos_transfer *)(void *)&area[1];
    area[0] = ring.sequence++;
    xfers[0] = (struct capos_transfer){.cap = lease};
    xfers[1] = (struct capos_transfer){.cap = bell};
    struct capos_sqe sqe = {
        .op = CAPOS_OP_CALL,
        .method = Launcher_launch_ORDINAL,
        .xfer_count = 2,
        .accept_count = 1,
        .cap = launcher_cap,
        .interface = Launcher_ID,
        .params = (uint64_t)words,
        .params_len = (uint32_t)len,
        .result = (uint64_t)result,
        .result_len = sizeof(result),
    };
    int32_t bytes = raw_run(&ring, &sqe);
    raw_require(bytes > 0, 47);
    struct capos_sqe wait = {
        .op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_SIGNALLED, .cap = bell, .params = 1};
    raw_require(raw_run(&ring, &wait) == CAPOS_EVENT_SIGNALLED, 48);
    return records_of(result, bytes)->cap;
}

static void end_holder(capos_cap_t process)
{
    uint64_t words[4] = {0};
    uint64_t result[16];
    struct capos_sqe wait = {.op = CAPOS_OP_WAIT, .method = CAPOS_EVENT_EXIT, .cap = process};
    raw_require(call_with(process, ProcessHandle_ID, ProcessHandle_terminate_ORDINAL, words, 8, 0,
                          result) > 0,
                49);
    raw_require(raw_run(&ring, &wait) == CAPOS_EVENT_EXIT, 50);
    release(process);
}

/* A hundred slots in each of a hundred processes that wait for something else. */
static uint64_t revoke_many(capos_cap_t bell)
{
    static capos_cap_t holders[HOLDERS];
    capos_cap_t cap, grant;
    derive(&cap, &grant);
    for (unsigned i = 0; i < HOLDERS; i++) {
        holders[i] = launch_holder("bench/holder", cap, bell);
    }
    release(cap);
    uint64_t spent = revoke(grant);
    for (unsigned i = 0; i < HOLDERS; i++) {
        end_holder(holders[i]);
    }
    release(grant);
    return spent;
}

static capos_cap_t new_bell(void)
{
    uint64_t words[4] = {0};
    uint64_t result[16];
    int32_t bytes =
        call_with(ledger_cap, Ledger_ID, Ledger_new_notification_ORDINAL, words, 8, 0, result);
    raw_require(bytes > 0, 51);
    return records_of(result, bytes)->cap;
}

static void measure_revoke_slots(void)
{
    uint64_t values[BATCHES];
    capos_cap_t bell = new_bell();
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        values[batch] = revoke_many(bell) * 10 / (HOLDERS * HELD);
    }
    report("revoke.slot", values);
}

/* ---- waiting for each other ---- */

static capos_cap_t pong_bell;

/* Signal the other, and wait for its signal. */
static void bench_notify(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct capos_sqe *sqe = raw_sqe(&ring);
        raw_clear(sqe);
        sqe->op = CAPOS_OP_SIGNAL;
        sqe->cap = pong_bell;
        sqe->params = 4;
        sqe = raw_sqe(&ring);
        raw_clear(sqe);
        sqe->op = CAPOS_OP_WAIT;
        sqe->method = CAPOS_EVENT_SIGNALLED;
        sqe->cap = pong_bell;
        sqe->params = 8;
        raw_publish(&ring);
        raw_require(raw_enter(2, CAPOS_FOREVER) == 2, 71);
        raw_require(raw_reap(&ring) == ST_OK, 72);
        raw_require(raw_reap(&ring) == CAPOS_EVENT_SIGNALLED, 73);
        raw_reaped(&ring);
    }
}

static void measure_notify(void)
{
    pong_bell = new_bell();
    capos_cap_t ponger = launch_holder("bench/ponger", timer_cap, pong_bell);
    measure("notify.pingpong", bench_notify, 20000);
    end_holder(ponger);
}

/* Threads: raw ones, each with a stack here and a ring that the kernel names. */
static uint8_t thread_stack[4096] __attribute__((aligned(64)));
static capos_cap_t threads_cap;
static _Atomic uint32_t
    ball; /* whose turn it is: 0 the first thread's, 1 the second's, 2 nobody's */

typedef void (*thread_fn)(uint64_t argument, uint8_t *base);

static capos_cap_t spawn_thread(thread_fn entry)
{
    uint64_t *params = (uint64_t *)(void *)ring.payload;
    params[0] = UINT64_C(4) << 32;
    params[1] = (uint64_t)entry;
    params[2] = (uint64_t)thread_stack + sizeof(thread_stack) - 64 - 8;
    params[3] = 0;
    params[4] = 16;
    struct capos_sqe *sqe = raw_sqe(&ring);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_CALL;
    sqe->flags = CAPOS_SQE_INLINE;
    sqe->method = ThreadSpawner_spawn_ORDINAL;
    sqe->accept_count = 1;
    sqe->cap = threads_cap;
    sqe->interface = ThreadSpawner_ID;
    sqe->params_len = 40;
    sqe->result = CAPOS_PAYLOAD_SLOT_BYTES;
    sqe->result_len = 32;
    enter_and_reap(1, 16);
    return records_of((const uint64_t *)(void *)(ring.payload + CAPOS_PAYLOAD_SLOT_BYTES), 16)->cap;
}

/* Waits for the thread and lets go of its handle, in one entry. */
static void join(capos_cap_t handle)
{
    struct capos_sqe *sqe = raw_sqe(&ring);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_WAIT;
    sqe->method = CAPOS_EVENT_EXIT;
    sqe->cap = handle;
    sqe = raw_sqe(&ring);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_RELEASE;
    sqe->cap = handle;
    raw_publish(&ring);
    raw_require(raw_enter(2, CAPOS_FOREVER) == 2, 74);
    raw_require(raw_reap(&ring) + raw_reap(&ring) == CAPOS_EVENT_EXIT + ST_OK, 75);
    raw_reaped(&ring);
}

static void ends(uint64_t argument, uint8_t *base)
{
    (void)argument, (void)base;
    capos_sys_exit_thread(0);
}

static void bench_thread(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        join(spawn_thread(ends));
    }
}

/* Gives the ball away and parks until it is back; both in one entry. */
static inline void pass_ball(struct raw_ring *own, uint32_t to, uint32_t mine)
{
    atomic_store_explicit(&ball, to, memory_order_release);
    struct capos_sqe *sqe = raw_sqe(own);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_UNPARK;
    sqe->params = (uint64_t)&ball;
    sqe->interface = 1;
    sqe = raw_sqe(own);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_PARK;
    sqe->params = (uint64_t)&ball;
    sqe->interface = to;
    raw_publish(own);
    raw_require(raw_enter(2, CAPOS_FOREVER) == 2, 76);
    raw_require(raw_reap(own) >= 0, 77);
    raw_require(raw_reap(own) >= 0, 78);
    raw_reaped(own);
    raw_require(atomic_load_explicit(&ball, memory_order_acquire) == mine || mine == 1, 79);
}

static void returns_ball(uint64_t argument, uint8_t *base)
{
    struct raw_ring own;
    (void)argument;
    raw_open_at(&own, base);
    while (atomic_load_explicit(&ball, memory_order_acquire) != 2) {
        pass_ball(&own, 0, 1);
    }
    capos_sys_exit_thread(0);
}

static void bench_park(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        pass_ball(&ring, 1, 0);
    }
}

static void measure_park(void)
{
    capos_cap_t other = spawn_thread(returns_ball);
    measure("park.pingpong", bench_park, 20000);
    atomic_store_explicit(&ball, 2, memory_order_release);
    struct capos_sqe sqe = {.op = CAPOS_OP_UNPARK, .params = (uint64_t)&ball, .interface = 1};
    raw_require(raw_run(&ring, &sqe) == 1, 80);
    join(other);
}

/* One page of a reservation, by a message of so many data words in payload slot 0. */
static inline void page_call(uint16_t method, uint64_t words, uint64_t protection)
{
    uint64_t *slot = (uint64_t *)(void *)ring.payload;
    slot[0] = words << 32;
    slot[1] = CAPOS_MMAP_BASE;
    slot[2] = CAPOS_PAGE_BYTES;
    slot[3] = protection;
    struct capos_sqe *sqe = raw_sqe(&ring);
    raw_clear(sqe);
    sqe->op = CAPOS_OP_CALL;
    sqe->flags = CAPOS_SQE_INLINE;
    sqe->method = method;
    sqe->cap = memory_cap;
    sqe->interface = VirtualMemory_ID;
    sqe->params_len = 8 + (uint32_t)words * 8;
    sqe->result_len = CAPOS_PAYLOAD_SLOT_BYTES;
    enter_and_reap(1, 8);
}

/* A fresh page: committed, touched, and taken out again. The reservation stays. */
static void bench_page(uint32_t n)
{
    volatile uint64_t *page = (volatile uint64_t *)CAPOS_MMAP_BASE;
    for (uint32_t i = 0; i < n; i++) {
        page_call(VirtualMemory_commit_ORDINAL, 3, PROTECTION_READ_WRITE);
        raw_require(*page == 0, 21);
        *page = i + 1;
        page_call(VirtualMemory_decommit_ORDINAL, 2, 0);
    }
}

static void reserve_page(void)
{
    uint64_t params[3] = {UINT64_C(2) << 32, CAPOS_MMAP_BASE, CAPOS_PAGE_BYTES};
    uint64_t result[8];
    struct capos_sqe sqe = {
        .op = CAPOS_OP_CALL,
        .method = VirtualMemory_reserve_ORDINAL,
        .cap = memory_cap,
        .interface = VirtualMemory_ID,
        .params = (uint64_t)params,
        .params_len = sizeof(params),
        .result = (uint64_t)result,
        .result_len = sizeof(result),
    };
    raw_require(raw_run(&ring, &sqe) >= 0, 22);
}

int capos_main(void)
{
    raw_open(&ring);
    log_cap = raw_cap("log");
    timer_cap = raw_cap("timer");
    spare_cap = raw_cap("spare");
    echo_cap = raw_cap("echo");
    carrier_cap = raw_cap("carrier");
    silent_cap = raw_cap("silent");
    launcher_cap = raw_cap("launcher");
    manager_cap = raw_cap("capabilities");
    ledger_cap = raw_cap("ledger");
    threads_cap = raw_cap("threads");
    memory_cap = raw_cap("memory");
    memset(message, 0x5a, sizeof(message));
    build_launch();

    measure("ring.nop.1", bench_nop_1, 20000);
    measure("ring.nop.32", bench_nop_32, 64000);
    measure("call.kernel.1", bench_call_1, 20000);
    measure("call.kernel.32", bench_call_32, 64000);
    measure("ipc.roundtrip", bench_roundtrip, 20000);
    measure("ipc.roundtrip.4k", bench_roundtrip_4k, 20000);
    measure("ipc.roundtrip.cap", bench_roundtrip_cap, 20000);
    measure("call.cancel", bench_cancel, 20000);
    reserve_page();
    measure("page.lifecycle", bench_page, 20000);
    measure_notify();
    measure_park();
    measure("thread.lifecycle", bench_thread, 20000);
    measure("process.lifecycle", bench_process, 2000);
    measure_revoke();
    measure_revoke_slots();
    capos_sys_exit(0); /* the manifest then shuts the machine down */
}
