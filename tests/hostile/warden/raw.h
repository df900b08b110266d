/* SPDX-License-Identifier: MIT */
/*
 * The ring by hand: hostile programs do not use libcapos for anything but their start. Every word of
 * an SQE is the caller's, nothing is checked before it goes to the kernel, and every completion is
 * looked at.
 *
 * A check that fails says where on the log and ends the process with the line number as exit code.
 */
#ifndef CAPOS_TESTS_HOSTILE_RAW_H
#define CAPOS_TESTS_HOSTILE_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/capset.h"
#include "abi/ring.h"
#include "abi/syscall.h"
#include "lib/base/compiler.h"
#include "tests/hostile/common.h"
#include "status.capnp.h"

enum {
    RAW_STASH = 4096, /* completions kept for raw_wait */
    PAGE = 4096,
};

struct raw_ring {
    struct capos_ring_header *header;
    struct capos_sqe *sq;
    struct capos_cqe *cq;
    uint8_t *payload;
    uint32_t sq_entries, cq_entries, cq_reserve, payload_slots;
    uint64_t sq_tail, cq_head; /* our own copies: the shared words may be anything */
    uint64_t sequence;         /* transfer number the kernel expects */
    uint64_t tag;              /* user data of the next operation */
    bool broken;               /* the ring was spoilt on purpose: no log by it */
};
extern struct raw_ring raw;

/* From the start page. Call first. */
void raw_open(void);

/* ---- operations ---- */

struct capos_sqe raw_sqe(uint8_t op, capos_cap_t cap);
/* Queues exactly this; returns its position. user_data is left as it is. */
uint64_t raw_push(const struct capos_sqe *sqe);
int64_t raw_enter(uint64_t min_complete, uint64_t deadline_ns);
/* The next completion, if there is one. */
bool raw_reap(struct capos_cqe *out);
/* The completion with this user data; enters until it is there. */
struct capos_cqe raw_wait(uint64_t user_data);
/* True when it has come already; does not enter. */
bool raw_poll(uint64_t user_data, struct capos_cqe *out);
/* Queues with a fresh tag, which it returns. */
uint64_t raw_send(struct capos_sqe sqe);
/* Queues and lets the kernel take it, without waiting. */
uint64_t raw_start(struct capos_sqe sqe);
/* Queues, enters, waits. */
struct capos_cqe raw_do(struct capos_sqe sqe);
/* The same for who does not care how long the results are. */
status_t raw_status(struct capos_sqe sqe);
/* Where results go that hold nothing: they take 8 bytes. */
extern uint64_t raw_none[2];

/* ---- messages ---- */

/* A bare message: root struct of n data words, no pointers. */
#define ROOT(n) ((uint64_t)(n) << 32)
#define MESSAGE(...) \
    (uint64_t[]) \
    { \
        ROOT(sizeof((uint64_t[]){__VA_ARGS__}) / 8), __VA_ARGS__ \
    }
#define MESSAGE_BYTES(...) (8 + sizeof((uint64_t[]){__VA_ARGS__}))

struct capos_sqe raw_call_sqe(capos_cap_t cap, uint64_t interface, uint16_t method,
                              const void *params, uint32_t params_len, void *result,
                              uint32_t result_len);
#define CALL(cap, Iface, method, params, params_len, result, result_len) \
    raw_call_sqe((cap), Iface##_ID, Iface##_##method##_ORDINAL, (params), (uint32_t)(params_len), \
                 (result), (uint32_t)(result_len))

/* ---- the kernel's methods, well formed; each returns the status ---- */

status_t new_endpoint(capos_cap_t ledger, uint32_t max_bytes, uint16_t max_caps, capos_cap_t *out);
status_t new_notification(capos_cap_t ledger, capos_cap_t *out);
status_t new_memory(capos_cap_t ledger, uint64_t size_bytes, capos_cap_t *out);
status_t mint(capos_cap_t endpoint, uint64_t key, uint64_t methods, unsigned mode,
              capos_cap_t *out);
status_t endpoint_call(capos_cap_t endpoint, uint16_t method, capos_cap_t *out);
status_t attenuate(capos_cap_t manager, capos_cap_t cap, uint64_t methods, capos_cap_t *out);
status_t release(capos_cap_t cap);
status_t signal_bits(capos_cap_t notification, uint64_t bits);
/* Waits for one of the bits and takes it. */
status_t wait_bits(capos_cap_t notification, uint64_t bits);
uint64_t now_ns(void);
void sleep_ms(unsigned ms);

/* A place mapped readable and writable; 0 when refused. */
uint64_t map_pages(capos_cap_t memory, uint64_t bytes);

/* The quota class of the last refusal. */
extern struct capos_cqe raw_last;
static inline unsigned raw_quota_class(void)
{
    return raw_last.needed;
}

/* ---- what the process holds ---- */

/* The grant of that name; ends the process when it is missing. */
capos_cap_t held(const char *name);

struct usage {
    uint64_t used[LEDGER_CLASS_COUNT];
    uint64_t limit[LEDGER_CLASS_COUNT];
};
void usage_now(struct usage *out);
/* Fails unless nothing is used that was not used then. */
void usage_same(const struct usage *then, const char *file, int line);
#define CHECK_USAGE(then) usage_same((then), __FILE__, __LINE__)

/* The ring, the clock and every capability of the start page still work. */
void still_works(const char *file, int line);
#define CHECK_WORKS() still_works(__FILE__, __LINE__)

/* ---- checks ---- */

/* Ends the process. */
NORETURN void check_failed(const char *file, int line, const char *what, int64_t got, int64_t want);

#endif
