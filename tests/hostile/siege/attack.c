/* SPDX-License-Identifier: MIT */
/* What every served interface is put through. */
#include "bytestream.client.h"
#include "capos/start.h"
#include "counter.client.h"
#include "ledger.client.h"
#include "lib/base/string.h"
#include "manual.client.h"
#include "siege.h"
#include "system_control.client.h"
#include "terminal.client.h"

/* The maxMessageBytes and maxCaps of manifests/default.capnp; of init's own endpoints as init says. */
const struct target targets[] = {
    {
        /* Without the two methods that end everything: message of chance must not be able to. */
        .name = "control",
        .interface = SystemControl_ID,
        .max_bytes = SystemControl_services_MAX_RESULTS_BYTES,
        .methods = BIT64(SystemControl_restart_ORDINAL) | BIT64(SystemControl_services_ORDINAL) |
                   BIT64(SystemControl_usage_ORDINAL),
        .texts = BIT64(SystemControl_restart_ORDINAL) | BIT64(SystemControl_usage_ORDINAL),
    },
    {
        .name = "registry",
        .service = "manual",
        .interface = SchemaRegistry_ID,
        .max_bytes = 8448,
        .methods = SchemaRegistry_FACET,
    },
    {
        .name = "pages",
        .service = "manual",
        .interface = Manual_ID,
        .max_bytes = 8448,
        .methods = Manual_FACET,
        .texts = BIT64(Manual_page_ORDINAL),
    },
    {
        .name = "terminal",
        .service = "terminal",
        .interface = TerminalSession_ID,
        .max_bytes = 4160,
        .methods = TerminalSession_FACET,
        .blocks = BIT64(TerminalSession_read_line_ORDINAL) |
                  BIT64(TerminalSession_wait_interrupt_ORDINAL),
        .texts = BIT64(TerminalSession_write_ORDINAL) |
                 BIT64(TerminalSession_write_styled_ORDINAL) |
                 BIT64(TerminalSession_read_line_ORDINAL),
    },
    {
        .name = "counter",
        .service = "counter",
        .interface = Counter_ID,
        .max_bytes = 2112,
        .methods = Counter_FACET,
        .blocks = BIT64(Counter_reach_ORDINAL),
        .texts = BIT64(Counter_child_ORDINAL),
    },
    {0},
};

static bool given(const struct target *target, unsigned method)
{
    return method < 64 && (target->methods & BIT64(method)) != 0;
}

static bool may_wait(const struct target *target, unsigned method)
{
    return (target->blocks & BIT64(method)) != 0;
}

/* A method that may wait for ever is given little time. */
static void limit_time(struct shot *shot, const struct target *target, unsigned method, unsigned ms)
{
    if (may_wait(target, method)) {
        shot->op.sqe.deadline_ns = now_ns() + ms * MS;
    }
}

/* How a call may end that a service has looked at, whatever is in it. */
static bool is_answer(status_t status)
{
    return status == ST_OK || status == ST_EXCEPTION || status == ST_TIMED_OUT ||
           status == ST_RESULT_TOO_SMALL;
}

/* ---- messages ---- */

enum { BAD_WORDS = 4 };

struct bad_message {
    uint32_t words;
    uint64_t message[BAD_WORDS];
};

/* Malformed whatever the method. */
static const struct bad_message bad_roots[] = {
    {1, {FAR_PTR(0, 0)}},
    {2, {FAR_PTR(0, 0) | 4, FAR_PTR(1, 0)}},
    {1, {FAR_PTR(0, UINT32_MAX)}},
    {1, {CAP_PTR(0)}},
    {2, {LIST_PTR(0, BYTES, 8), 0}},
    {1, {STRUCT_PTR(0, 0, 1)}},
    {1, {STRUCT_PTR(0, 1, 0)}},
    {2, {STRUCT_PTR(0x1fffffff, 0, 1), 0}},
    {2, {STRUCT_PTR(-2, 0, 1), 0}},
    {2, {STRUCT_PTR(0, 0xffff, 0xffff), 0}},
    {2, {STRUCT_PTR(0, 2, 0), 0}},
};

/* Malformed where the first pointer is a text or data; some refer to themselves. */
static const struct bad_message bad_texts[] = {
    {2, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BYTES, 8)}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0x1ffffff0, BYTES, 8), 0}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(-4, BYTES, 8), 0}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BYTES, 0x1fffffff), 0}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BITS, 0x1fffffff), 0}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, WORDS, 0x1fffffff), 0}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, 0, 0x1fffffff), 0}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, POINTERS, 1), 0}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(-1, POINTERS, 1), 0}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(-2, COMPOSITE, 1), 0}},
    {3, {STRUCT_PTR(0, 0, 1), STRUCT_PTR(0, 1, 0), 0}},
    {3, {STRUCT_PTR(0, 0, 1), STRUCT_PTR(-2, 0, 1), 0}},
    {2, {STRUCT_PTR(-1, 0, 1), 0}},
    {3, {STRUCT_PTR(0, 0, 1), FAR_PTR(0, 0), 0}},
    {3, {STRUCT_PTR(0, 0, 1), FAR_PTR(0, UINT32_MAX), 0}},
    {3, {STRUCT_PTR(0, 0, 1), CAP_PTR(1), 0}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, COMPOSITE, 0), STRUCT_PTR(0x1fffffff, 0xffff, 0xffff)}},
    {3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, COMPOSITE, 0), STRUCT_PTR(0x1fffffff, 0, 0)}},
};

static void send_bad(const struct target *target, capos_cap_t cap, unsigned method,
                     const struct bad_message *bad)
{
    struct shot shot;
    aim(&shot, cap, target->interface, (uint16_t)method);
    load(&shot, bad->message, bad->words * 8);
    limit_time(&shot, target, method, 2000);
    CHECK_EQ(fire(&shot), ST_EXCEPTION);
    CHECK_EQ(last_exception(), CAPOS_EXC_INVALID_ARGUMENT);
}

static void malformed(const struct target *target, capos_cap_t cap)
{
    for (unsigned method = 0; method < 64; method++) {
        for (unsigned i = 0; given(target, method) && i < ARRAY_COUNT(bad_roots); i++) {
            send_bad(target, cap, method, &bad_roots[i]);
        }
        for (unsigned i = 0; (target->texts >> method & 1) != 0 && i < ARRAY_COUNT(bad_texts);
             i++) {
            send_bad(target, cap, method, &bad_texts[i]);
        }
    }
}

/* Words of chance, and words that are nearly pointers. */
static uint32_t noise_message(uint32_t max_words)
{
    uint32_t words = (uint32_t)(chance() % (max_words + 1));
    for (uint32_t i = 0; i < words; i++) {
        message_room[i] = chance() >> (chance() % 64);
        if (chance() % 3 == 0) {
            message_room[i] = STRUCT_PTR(chance() % 4, chance() % 4, chance() % 4);
        } else if (chance() % 3 == 0) {
            message_room[i] = LIST_PTR(chance() % 4, chance() % 8, chance() % 40);
        }
    }
    return words * 8;
}

static void noise(const struct target *target, capos_cap_t cap)
{
    for (unsigned method = 0; method < 64; method++) {
        unsigned rounds = may_wait(target, method) ? 30 : 300;
        for (unsigned i = 0; given(target, method) && i < rounds; i++) {
            struct shot shot;
            aim(&shot, cap, target->interface, (uint16_t)method);
            load(&shot, message_room, noise_message(i % 10 == 0 ? target->max_bytes / 8 : 8));
            limit_time(&shot, target, method, 3);
            CHECK(is_answer(fire(&shot)));
        }
    }
}

/* ---- what the kernel refuses for the service ---- */

static void outside(const struct target *target, capos_cap_t cap)
{
    struct shot shot;
    for (unsigned method = 0; method < 70; method++) {
        if (!given(target, method)) {
            aim(&shot, cap, target->interface, (uint16_t)method);
            CHECK_EQ(fire(&shot), ST_NO_METHOD);
        }
        aim(&shot, cap, target->interface ^ BIT64(method % 64), (uint16_t)method);
        CHECK_EQ(fire(&shot), ST_WRONG_INTERFACE);
        aim(&shot, cap, target->interface == Counter_ID ? ByteStream_ID : Counter_ID,
            (uint16_t)method);
        CHECK_EQ(fire(&shot), ST_WRONG_INTERFACE);
    }
    aim(&shot, cap ^ BIT64(40), target->interface, 0);
    CHECK_EQ(fire(&shot), ST_BAD_CAP);
}

static void sizes(const struct target *target, capos_cap_t cap)
{
    for (unsigned method = 0; method < 64; method++) {
        struct shot shot;
        if (!given(target, method)) {
            continue;
        }
        memset(message_room, 0, sizeof(message_room));
        aim(&shot, cap, target->interface, (uint16_t)method);
        load(&shot, message_room, target->max_bytes + 8);
        CHECK_EQ(fire(&shot), ST_TOO_LARGE);
        aim(&shot, cap, target->interface, (uint16_t)method);
        load(&shot, message_room, target->max_bytes);
        limit_time(&shot, target, method, 3);
        CHECK(is_answer(fire(&shot)));
        for (uint32_t bytes = 1; bytes < 8; bytes++) {
            aim(&shot, cap, target->interface, (uint16_t)method);
            load(&shot, message_room, bytes);
            CHECK(!is_answer(fire(&shot)));
        }
    }
}

/* ---- capabilities nobody asked for ---- */

static capos_cap_t new_bell(void)
{
    capos_cap_t bell = 0;
    if (capos_capset_find("ledger") == NULL) {
        return 0;
    }
    CHECK_EQ(Ledger_new_notification(held("ledger"), &bell), ST_OK);
    return bell;
}

/* As many as the endpoint takes, on every method; and then more. */
static void presents(const struct target *target, capos_cap_t cap)
{
    for (unsigned method = 0; method < 64; method++) {
        for (unsigned count = 1; given(target, method) && count <= 17; count++) {
            struct shot shot;
            capos_cap_t bell = new_bell();
            aim(&shot, cap, target->interface, (uint16_t)method);
            memset(message_room, 0, 512);
            load(&shot, message_room, 8);
            for (unsigned i = 0; i < count; i++) {
                bool move = i == 0 && method % 2 == 0 && bell != 0;
                attach(&shot, move ? bell : held("timer"),
                       move ? CAPOS_XFER_MOVE : CAPOS_XFER_COPY);
            }
            limit_time(&shot, target, method, 3);
            status_t status = fire(&shot);
            CHECK(count <= target->max_caps ? is_answer(status) : status == ST_BAD_TRANSFER);
            capos_release(bell);
        }
    }
}

/* ---- results ---- */

static void small_results(const struct target *target, capos_cap_t cap)
{
    for (unsigned method = 0; method < 64; method++) {
        for (uint32_t bytes = 0; given(target, method) && bytes < 600; bytes += 8) {
            struct shot shot;
            memset(message_room, 0, 64);
            aim(&shot, cap, target->interface, (uint16_t)method);
            catch (&shot, bytes);
            shot.op.sqe.accept_count = (uint8_t)(bytes / 8 % 2);
            limit_time(&shot, target, method, 2);
            CHECK(is_answer(fire(&shot)));
        }
    }
}

/* ---- giving up, and dying ---- */

static void cancels(const struct target *target, capos_cap_t cap)
{
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned method = 0; method < 64; method++) {
            struct shot shot;
            if (!given(target, method)) {
                continue;
            }
            aim(&shot, cap, target->interface, (uint16_t)method);
            shot.op.sqe.deadline_ns = round % 4 == 3 ? now_ns() + round * 2000 : 0;
            capos_op_submit(&shot.op);
            for (unsigned i = 0; i < round % 5; i++) {
                capos_push();
            }
            capos_op_cancel(&shot.op);
            status_t status = shot.op.cqe.result < 0 ? shot.op.cqe.result : ST_OK;
            CHECK(is_answer(status) || status == ST_CANCELLED);
            pick_up(&shot);
        }
    }
}

/* As many calls as the ring holds, of every method in turn. */
static void submit_volley(const struct target *target, capos_cap_t cap, unsigned ms)
{
    unsigned method = 0;
    for (unsigned i = 0; i < CALLS; i++, method++) {
        while (!given(target, method % 64)) {
            method++;
        }
        aim(&volley[i], cap, target->interface, (uint16_t)(method % 64));
        limit_time(&volley[i], target, method % 64, ms);
        capos_op_submit(&volley[i].op);
    }
}

static void flood(const struct target *target, capos_cap_t cap)
{
    for (unsigned round = 0; round < 10; round++) {
        submit_volley(target, cap, 30);
        for (unsigned i = 0; i < CALLS; i++) {
            CHECK(capos_op_wait(&volley[i].op, now_ns() + 5000 * MS));
            CHECK(is_answer(volley[i].op.cqe.result < 0 ? volley[i].op.cqe.result : ST_OK));
            pick_up(&volley[i]);
        }
    }
}

/* Ends with all calls queued, or received, or about to be answered. */
static void die(const struct target *target, capos_cap_t cap)
{
    submit_volley(target, cap, 5000);
    unsigned pushes = (unsigned)(now_ns() / 1000 % 4);
    for (unsigned i = 0; i < pushes; i++) {
        capos_push();
    }
    capos_exit(0);
}

static void never_end(const struct target *target, capos_cap_t cap)
{
    for (;;) {
        submit_volley(target, cap, 20);
        for (unsigned i = 0; i < CALLS; i++) {
            (void)capos_op_wait(&volley[i].op, CAPOS_FOREVER);
            pick_up(&volley[i]);
        }
    }
}

/* Calls until the service has been away and is back: in between they end DISCONNECTED or wait. */
static void bridge(const struct target *target, capos_cap_t cap)
{
    uint64_t until = now_ns() + 600 * MS;
    while (now_ns() < until) {
        submit_volley(target, cap, 20);
        for (unsigned i = 0; i < CALLS; i++) {
            CHECK(capos_op_wait(&volley[i].op, now_ns() + 8000 * MS));
            status_t status = volley[i].op.cqe.result < 0 ? volley[i].op.cqe.result : ST_OK;
            CHECK(is_answer(status) || status == ST_DISCONNECTED);
            pick_up(&volley[i]);
        }
    }
}

const struct attack attacks[] = {
    {"malformed", "a malformed message, a cyclic one among them, is refused as such", malformed,
     .processes = 1},
    {"noise", "messages of chance are answered", noise, .processes = 1},
    {"outside", "methods outside the facet and other interfaces are refused", outside,
     .processes = 1},
    {"sizes", "a message that is too long, or of odd length, is refused", sizes, .processes = 1},
    {"presents", "capabilities that nobody asked for are given back or refused", presents,
     .processes = 1},
    {"results", "a result that does not fit its buffer is the caller's loss alone", small_results,
     .processes = 1},
    {"cancel", "calls given up at every step leave nothing behind", cancels, .processes = 2},
    {"flood", "floods from several processes are answered, call for call", flood, .processes = 3},
    {"die", "callers that die with their calls in flight leave nothing behind", die,
     .processes = 6},
    {"kill", "callers ended in the midst of a flood leave nothing behind", never_end,
     .processes = 4, .killed = true},
    {"restart", "the service is started anew under a flood, and its clients go on", bridge,
     .processes = 2, .restarted = true},
    {0},
};
