/* SPDX-License-Identifier: MIT */
#include "raw.h"

#include "capabilities.capnp.h"
#include "capos/start.h"
#include "endpoint.capnp.h"
#include "kernel_log.capnp.h"
#include "ledger.capnp.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "memory.capnp.h"
#include "process.capnp.h"
#include "case.h"
#include "time.capnp.h"

enum { LOG_TEXT_BYTES = 400, USAGE_RESULT_BYTES = 1040 };

struct raw_ring raw;
struct capos_cqe raw_last;
uint64_t raw_none[2];

static struct capos_cqe stash[RAW_STASH];
static uint32_t stash_count;

void raw_open(void)
{
    uintptr_t base = (uintptr_t)capos_capset()->ring;
    struct capos_ring_header *header = (struct capos_ring_header *)base;
    raw = (struct raw_ring){
        .header = header,
        .sq = (struct capos_sqe *)(base + header->sq_offset),
        .cq = (struct capos_cqe *)(base + header->cq_offset),
        .payload = (uint8_t *)(base + header->payload_offset),
        .sq_entries = header->sq_entries,
        .cq_entries = header->cq_entries,
        .payload_slots = header->payload_slots,
        .sq_tail = header->sq_tail,
        .cq_head = header->cq_head,
        .sequence = header->next_sequence,
        .tag = 1,
    };
    raw.cq_reserve = raw.cq_entries / 8 < 4 ? 4 : raw.cq_entries / 8;
}

/* ---- operations ---- */

struct capos_sqe raw_sqe(uint8_t op, capos_cap_t cap)
{
    return (struct capos_sqe){.op = op, .cap = cap};
}

uint64_t raw_push(const struct capos_sqe *sqe)
{
    volatile uint64_t *to = (volatile uint64_t *)&raw.sq[raw.sq_tail & (raw.sq_entries - 1)];
    uint64_t words[8];
    memcpy(words, sqe, sizeof(words));
    for (unsigned i = 0; i < 8; i++) {
        to[i] = words[i];
    }
    uint64_t position = raw.sq_tail++;
    __atomic_store_n(&raw.header->sq_tail, raw.sq_tail, __ATOMIC_RELEASE);
    return position;
}

int64_t raw_enter(uint64_t min_complete, uint64_t deadline_ns)
{
    return capos_sys_enter(min_complete, deadline_ns);
}

bool raw_reap(struct capos_cqe *out)
{
    if (__atomic_load_n(&raw.header->cq_tail, __ATOMIC_ACQUIRE) == raw.cq_head) {
        return false;
    }
    *out = raw.cq[raw.cq_head & (raw.cq_entries - 1)];
    raw.cq_head++;
    __atomic_store_n(&raw.header->cq_head, raw.cq_head, __ATOMIC_RELEASE);
    if (out->flags & CAPOS_CQE_SEQUENCE) {
        raw.sequence = out->expected_seq;
    }
    return true;
}

static void reap_all(void)
{
    while (stash_count < RAW_STASH && raw_reap(&stash[stash_count])) {
        stash_count++;
    }
}

bool raw_poll(uint64_t user_data, struct capos_cqe *out)
{
    reap_all();
    for (uint32_t i = 0; i < stash_count; i++) {
        if (stash[i].user_data == user_data) {
            *out = stash[i];
            stash[i] = stash[--stash_count];
            return true;
        }
    }
    return false;
}

struct capos_cqe raw_wait(uint64_t user_data)
{
    struct capos_cqe cqe;
    while (!raw_poll(user_data, &cqe)) {
        int64_t got = raw_enter(1, CAPOS_FOREVER);
        if (got < 0) {
            raw.broken = true;
            check_failed(__FILE__, __LINE__, "cap_enter", got, 0);
        }
    }
    raw_last = cqe;
    return cqe;
}

uint64_t raw_send(struct capos_sqe sqe)
{
    sqe.user_data = UINT64_C(0x1057000000000000) + raw.tag++;
    (void)raw_push(&sqe);
    return sqe.user_data;
}

uint64_t raw_start(struct capos_sqe sqe)
{
    uint64_t tag = raw_send(sqe);
    CHECK(raw_enter(0, 0) >= 0);
    return tag;
}

struct capos_cqe raw_do(struct capos_sqe sqe)
{
    return raw_wait(raw_send(sqe));
}

status_t raw_status(struct capos_sqe sqe)
{
    int32_t result = raw_do(sqe).result;
    return result < 0 ? result : ST_OK;
}

/* ---- messages and methods ---- */

struct capos_sqe raw_call_sqe(capos_cap_t cap, uint64_t interface, uint16_t method,
                              const void *params, uint32_t params_len, void *result,
                              uint32_t result_len)
{
    return (struct capos_sqe){
        .op = CAPOS_OP_CALL,
        .method = method,
        .accept_count = interface == Launcher_ID ? 2 : 1, /* as many as its methods may give */
        .cap = cap,
        .params = (uintptr_t)params,
        .result = (uintptr_t)result,
        .params_len = params_len,
        .result_len = result_len,
        .interface = interface,
    };
}

/* A call whose result, if any, is one capability. */
static status_t make(capos_cap_t cap, uint64_t interface, uint16_t method, const void *params,
                     uint32_t params_len, capos_cap_t *out)
{
    uint64_t result[16];
    struct capos_sqe sqe =
        raw_call_sqe(cap, interface, method, params, params_len, result, sizeof(result));
    struct capos_cqe cqe = raw_do(sqe);
    if (cqe.result < 0) {
        return cqe.result;
    }
    if (out != NULL) {
        CHECK_EQ(cqe.cap_count, 1);
        *out = cqe.first_cap;
    }
    return ST_OK;
}

status_t new_endpoint(capos_cap_t ledger, uint32_t max_bytes, uint16_t max_caps, capos_cap_t *out)
{
    return make(ledger, Ledger_ID, Ledger_new_endpoint_ORDINAL,
                MESSAGE(max_bytes | (uint64_t)max_caps << 32), 16, out);
}

status_t new_notification(capos_cap_t ledger, capos_cap_t *out)
{
    return make(ledger, Ledger_ID, Ledger_new_notification_ORDINAL, NULL, 0, out);
}

status_t new_memory(capos_cap_t ledger, uint64_t size_bytes, capos_cap_t *out)
{
    return make(ledger, Ledger_ID, Ledger_new_memory_object_ORDINAL, MESSAGE(size_bytes), 16, out);
}

status_t mint(capos_cap_t endpoint, uint64_t key, uint64_t methods, unsigned mode, capos_cap_t *out)
{
    return make(endpoint, Endpoint_ID, Endpoint_mint_ORDINAL,
                MESSAGE(key, HOSTILE_INTERFACE, methods, mode), 40, out);
}

status_t endpoint_call(capos_cap_t endpoint, uint16_t method, capos_cap_t *out)
{
    return make(endpoint, Endpoint_ID, method, NULL, 0, out);
}

status_t attenuate(capos_cap_t manager, capos_cap_t cap, uint64_t methods, capos_cap_t *out)
{
    uint64_t result[8];
    struct {
        uint64_t message[3];
        uint64_t number;
        struct capos_transfer transfer;
    } params = {{ROOT(2), 0, methods}, raw.sequence, {.cap = cap}};
    struct capos_sqe sqe =
        raw_call_sqe(manager, CapabilityManager_ID, CapabilityManager_attenuate_ORDINAL, &params,
                     sizeof(params.message), result, sizeof(result));
    sqe.xfer_count = 1;
    struct capos_cqe cqe = raw_do(sqe);
    if (cqe.result != ST_BAD_SEQUENCE) {
        raw.sequence++;
    }
    if (cqe.result >= 0) {
        *out = cqe.first_cap;
    }
    return cqe.result < 0 ? cqe.result : ST_OK;
}

status_t release(capos_cap_t cap)
{
    return raw_do(raw_sqe(CAPOS_OP_RELEASE, cap)).result;
}

status_t signal_bits(capos_cap_t notification, uint64_t bits)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_SIGNAL, notification);
    sqe.params = bits;
    return raw_do(sqe).result;
}

status_t wait_bits(capos_cap_t notification, uint64_t bits)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_WAIT, notification);
    sqe.method = CAPOS_EVENT_SIGNALLED;
    sqe.params = bits;
    return raw_do(sqe).result;
}

uint64_t now_ns(void)
{
    uint64_t result[8] = {0};
    struct capos_sqe sqe =
        raw_call_sqe(held("timer"), Timer_ID, Timer_now_ORDINAL, NULL, 0, result, sizeof(result));
    CHECK_EQ(raw_do(sqe).result, 16);
    return result[1];
}

void sleep_ms(unsigned ms)
{
    uint64_t result[8];
    uint64_t until_ns = now_ns() + UINT64_C(1000000) * ms;
    struct capos_sqe sqe = raw_call_sqe(held("timer"), Timer_ID, Timer_sleep_ORDINAL,
                                        MESSAGE(until_ns), 16, result, sizeof(result));
    CHECK(raw_do(sqe).result >= 0);
}

uint64_t map_pages(capos_cap_t memory, uint64_t bytes)
{
    uint64_t result[8] = {0};
    struct capos_sqe sqe = raw_call_sqe(memory, VirtualMemory_ID, VirtualMemory_reserve_ORDINAL,
                                        MESSAGE(0, bytes), 24, result, sizeof(result));
    if (raw_do(sqe).result < 0) {
        return 0;
    }
    uint64_t address = result[1];
    status_t status = make(memory, VirtualMemory_ID, VirtualMemory_commit_ORDINAL,
                           MESSAGE(address, bytes, PROTECTION_READ_WRITE), 32, NULL);
    return status == ST_OK ? address : 0;
}

/* ---- what the process holds ---- */

capos_cap_t held(const char *name)
{
    const struct capos_capset_entry *entry = capos_capset_find(name);
    if (entry == NULL) {
        check_failed(__FILE__, __LINE__, name, 0, 0);
    }
    return entry->cap;
}

void usage_now(struct usage *out)
{
    static uint64_t result[USAGE_RESULT_BYTES / 8];
    struct capos_sqe sqe = raw_call_sqe(held("ledger"), Ledger_ID, Ledger_usage_ORDINAL, NULL, 0,
                                        result, sizeof(result));
    struct capos_cqe cqe = raw_do(sqe);
    Ledger_usage_results_r results;
    CHECK(cqe.result >= 0);
    CHECK_EQ(Ledger_usage_results_read(result, (size_t)cqe.result, &results), CAPNP_OK);
    memset(out, 0, sizeof(*out));
    Usage_list_r list = Ledger_usage_results_get_classes(results);
    for (uint32_t i = 0; i < Usage_list_len(list); i++) {
        Usage_r usage = Usage_list_at(list, i);
        unsigned index = (unsigned)Usage_get_ledger_class(usage);
        CHECK(index < LEDGER_CLASS_COUNT);
        out->used[index] = Usage_get_used(usage);
        out->limit[index] = Usage_get_limit(usage);
    }
}

/* Who tells that something has ended still holds its last reference, on another CPU perhaps, so the charge
 * for the object itself goes a moment later: looked at again, a bounded number of times. */
void usage_same(const struct usage *then, const char *file, int line)
{
    enum { LOOKS = 20000 };
    static const char *const names[LEDGER_CLASS_COUNT] = {
        "frames",         "kernel pages", "slots",  "threads",   "virtual pages", "calls",
        "served objects", "waiters",      "timers", "grants",    "interrupts",    "log bytes",
        "processes",      "pinned",       "DMA",    "processor",
    };
    struct usage now;
    unsigned i = 0;
    for (unsigned look = 0; look < LOOKS && i < LEDGER_CLASS_COUNT; look++) {
        usage_now(&now);
        for (i = 0; i < LEDGER_CLASS_COUNT && now.used[i] == then->used[i]; i++) {
        }
    }
    if (i < LEDGER_CLASS_COUNT) {
        check_failed(file, line, names[i], (int64_t)now.used[i], (int64_t)then->used[i]);
    }
}

void still_works(const char *file, int line)
{
    struct capos_cqe cqe = raw_do(raw_sqe(CAPOS_OP_NOP, 0));
    if (cqe.result != ST_OK || cqe.flags != 0) {
        check_failed(file, line, "NOP", cqe.result, ST_OK);
    }
    if (capos_capset_find("timer") != NULL) {
        uint64_t first = now_ns();
        if (now_ns() < first) {
            check_failed(file, line, "time goes on", 0, 0);
        }
    }
}

/* ---- failing ---- */

static void log_line(const char *text, size_t len)
{
    static uint64_t buffer[160];
    const struct capos_capset_entry *log = &capos_capset()->entries[0];
    struct capnp_builder builder;
    size_t bytes = 0;
    capnp_builder_init(&builder, buffer, sizeof(buffer));
    KernelLog_append_params_b params = KernelLog_append_params_init(&builder);
    KernelLog_append_params_set_text(params, text, len);
    if (capnp_finish(&builder, &bytes) != CAPNP_OK || log->interface != KernelLog_ID) {
        return;
    }
    (void)raw_do(raw_call_sqe(log->cap, KernelLog_ID, KernelLog_append_ORDINAL, buffer,
                              (uint32_t)bytes, raw_none, 16));
}

NORETURN void check_failed(const char *file, int line, const char *what, int64_t got, int64_t want)
{
    static bool failing;
    char text[LOG_TEXT_BYTES];
    const char *slash = strrchr(file, '/');
    size_t len = fmt_format(text, sizeof(text), "broken at %s:%d: %s is %lld (%s), expected %lld",
                            slash != NULL ? slash + 1 : file, line, what, (long long)got,
                            status_name((status_t)got), (long long)want);
    if (!raw.broken && !failing && capos_capset()->count > 0) {
        failing = true;
        log_line(text, len < sizeof(text) ? len : sizeof(text) - 1);
    }
    capos_sys_exit(line);
}

uint64_t chance(void)
{
    static uint64_t state = UINT64_C(0x243f6a8885a308d3);
    return chance_after(&state);
}
