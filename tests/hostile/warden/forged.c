/* SPDX-License-Identifier: MIT */
/* Capabilities that are not held, not any more, or not for this. */
#include "capabilities.capnp.h"
#include "capos/start.h"
#include "case.h"
#include "endpoint.capnp.h"
#include "kernel_log.capnp.h"
#include "ledger.capnp.h"
#include "lib/base/string.h"
#include "memory.capnp.h"
#include "notification.capnp.h"
#include "time.capnp.h"

static bool is_held(capos_cap_t cap)
{
    const struct capos_capset *page = capos_capset();
    for (uint32_t i = 0; i < page->count; i++) {
        if (page->entries[i].cap == cap) {
            return true;
        }
    }
    return false;
}

/* Every opcode that names a capability says BAD_CAP to this id. */
static void refused_everywhere(capos_cap_t id)
{
    uint64_t buffer[32];
    struct capos_sqe call = CALL(id, Timer, now, NULL, 0, buffer, sizeof(buffer));
    CHECK_EQ(raw_do(call).result, ST_BAD_CAP);
    struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, id);
    wait.method = CAPOS_EVENT_DEAD;
    CHECK_EQ(raw_do(wait).result, ST_BAD_CAP);
    CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_SIGNAL, id)).result, ST_BAD_CAP);
    CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_RELEASE, id)).result, ST_BAD_CAP);
    struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, id);
    recv.result = (uintptr_t)buffer;
    recv.result_len = sizeof(buffer);
    CHECK_EQ(raw_do(recv).result, ST_BAD_CAP);
    capos_cap_t out;
    CHECK_EQ(attenuate(held("capabilities"), id, 1, &out), ST_BAD_CAP);
}

static int64_t forged_ids(void)
{
    static const capos_cap_t wild[] = {
        0,
        1,
        0xff,
        0xffffff,
        0x1000000,
        0x1ffffff,
        UINT64_C(0x8000000000000000),
        UINT64_MAX,
        UINT64_MAX - 1,
        UINT64_C(0xffffff8000000000),
        UINT64_C(0xffffffffff000001),
    };
    for (unsigned i = 0; i < ARRAY_LEN(wild); i++) {
        if (!is_held(wild[i])) {
            refused_everywhere(wild[i]);
        }
    }
    for (unsigned i = 0; i < 64; i++) {
        capos_cap_t guess = chance();
        if (!is_held(guess)) {
            refused_everywhere(guess);
        }
    }
    return 0;
}

/* The next index, the next generation, one bit more or less: no neighbour of an id is an id. */
static int64_t ids_beside(void)
{
    const struct capos_capset *page = capos_capset();
    for (uint32_t i = 0; i < page->count; i++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            capos_cap_t near = page->entries[i].cap ^ (UINT64_C(1) << bit);
            uint64_t buffer[8];
            if (!is_held(near)) {
                CHECK_EQ(raw_do(CALL(near, Timer, now, NULL, 0, buffer, 64)).result, ST_BAD_CAP);
            }
        }
    }
    return 0;
}

static int64_t stale_ids(void)
{
    struct usage before;
    capos_cap_t old, fresh;
    capos_cap_t ledger = held("ledger");
    usage_now(&before);
    for (unsigned i = 0; i < 200; i++) {
        CHECK_EQ(new_notification(ledger, &old), ST_OK);
        CHECK_EQ(release(old), ST_OK);
        CHECK_EQ(new_notification(ledger, &fresh), ST_OK);
        CHECK(old != fresh);
        CHECK_EQ(signal_bits(old, 1), ST_BAD_CAP);
        CHECK_EQ(signal_bits(fresh, 1), ST_OK);
        CHECK_EQ(release(fresh), ST_OK);
    }
    refused_everywhere(old);
    refused_everywhere(fresh);
    CHECK_USAGE(&before);
    return 0;
}

static int64_t released_grants(void)
{
    const struct capos_capset *page = capos_capset();
    for (uint32_t i = 0; i < page->count; i++) {
        if (strcmp(page->entries[i].name, "capabilities") != 0) {
            CHECK_EQ(release(page->entries[i].cap), ST_OK);
            CHECK_EQ(release(page->entries[i].cap), ST_BAD_CAP);
        }
    }
    for (uint32_t i = 0; i < page->count; i++) {
        if (strcmp(page->entries[i].name, "capabilities") != 0) {
            refused_everywhere(page->entries[i].cap);
        }
    }
    return 0;
}

/* The interface must be the base interface of the capability, whatever facet is held. */
static int64_t wrong_interface(void)
{
    static const uint64_t ids[] = {
        Timer_ID,        Ledger_ID,         VirtualMemory_ID,  CapabilityManager_ID,
        Notification_ID, Endpoint_ID,       KernelLog_ID,      LogWriter_ID,
        MemoryObject_ID, ProcessSpawner_ID, HOSTILE_INTERFACE, 0,
        UINT64_MAX,
    };
    const struct capos_capset *page = capos_capset();
    struct usage before;
    usage_now(&before);
    for (uint32_t i = 0; i < page->count; i++) {
        for (unsigned j = 0; j < ARRAY_LEN(ids); j++) {
            uint64_t buffer[16];
            if (ids[j] != page->entries[i].interface) {
                struct capos_sqe sqe =
                    raw_call_sqe(page->entries[i].cap, ids[j], 0, NULL, 0, buffer, 128);
                CHECK_EQ(raw_do(sqe).result, ST_WRONG_INTERFACE);
            }
        }
    }
    CHECK_USAGE(&before);
    return 0;
}

static void no_method(capos_cap_t cap, uint64_t interface, uint16_t method)
{
    uint64_t buffer[16];
    struct capos_sqe sqe = raw_call_sqe(cap, interface, method, NULL, 0, buffer, sizeof(buffer));
    CHECK_EQ(raw_do(sqe).result, ST_NO_METHOD);
}

static int64_t outside_facet(void)
{
    const struct capos_capset *page = capos_capset();
    no_method(page->entries[0].cap, KernelLog_ID, KernelLog_read_ORDINAL);
    for (uint32_t i = 0; i < page->count; i++) {
        for (unsigned method = 0; method < 70; method++) {
            if (method >= 64 || (page->entries[i].facet >> method & 1) == 0) {
                no_method(page->entries[i].cap, page->entries[i].interface, (uint16_t)method);
            }
        }
        no_method(page->entries[i].cap, page->entries[i].interface, 0x100);
        no_method(page->entries[i].cap, page->entries[i].interface, 0xffff);
    }
    return 0;
}

/* An ordinal that stands for an opcode cannot be called. */
static int64_t opcode_ordinals(void)
{
    capos_cap_t note, endpoint, memory;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    CHECK_EQ(new_endpoint(held("ledger"), 64, 0, &endpoint), ST_OK);
    CHECK_EQ(new_memory(held("ledger"), PAGE, &memory), ST_OK);
    no_method(note, Notification_ID, Notification_signal_ORDINAL);
    no_method(note, Notification_ID, Notification_wait_ORDINAL);
    no_method(endpoint, Endpoint_ID, Endpoint_receive_ORDINAL);
    no_method(endpoint, Endpoint_ID, Endpoint_answer_ORDINAL);
    no_method(endpoint, Endpoint_ID, Endpoint_wait_clients_ORDINAL);
    no_method(memory, MemoryObject_ID, MemoryObject_map_ORDINAL);
    no_method(memory, MemoryObject_ID, MemoryObject_map_write_ORDINAL);
    no_method(memory, MemoryObject_ID, MemoryObject_map_execute_ORDINAL);
    no_method(held("self"), ProcessHandle_ID, ProcessHandle_wait_ORDINAL);
    return 0;
}

static status_t wait_events(capos_cap_t cap, uint16_t events)
{
    struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, cap);
    wait.method = events;
    return raw_do(wait).result;
}

static status_t receive_from(capos_cap_t cap)
{
    uint64_t buffer[32];
    struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, cap);
    recv.result = (uintptr_t)buffer;
    recv.result_len = sizeof(buffer);
    return raw_do(recv).result;
}

/* An opcode needs its bit of the facet too. */
static int64_t opcodes_outside_facet(void)
{
    capos_cap_t note, signaller, waiter, endpoint, own, object;
    capos_cap_t manager = held("capabilities");
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    CHECK_EQ(attenuate(manager, note, NotificationSignaller_FACET, &signaller), ST_OK);
    CHECK_EQ(attenuate(manager, note, NotificationWaiter_FACET, &waiter), ST_OK);
    CHECK_EQ(signal_bits(waiter, 1), ST_NO_METHOD);
    CHECK_EQ(wait_events(signaller, CAPOS_EVENT_SIGNALLED), ST_NO_METHOD);
    CHECK_EQ(new_endpoint(held("ledger"), 64, 0, &endpoint), ST_OK);
    CHECK_EQ(attenuate(manager, endpoint, EndpointOwn_FACET, &own), ST_OK);
    CHECK_EQ(receive_from(own), ST_NO_METHOD);
    CHECK_EQ(wait_events(own, CAPOS_EVENT_NO_CLIENTS), ST_NO_METHOD);
    CHECK_EQ(mint(own, 1, 1, 0, &object), ST_NO_METHOD);
    CHECK_EQ(mint(endpoint, 1, 1, 0, &object), ST_OK);
    CHECK_EQ(receive_from(object), ST_WRONG_INTERFACE);
    CHECK_EQ(receive_from(held("timer")), ST_WRONG_INTERFACE);
    CHECK_EQ(signal_bits(held("timer"), 1), ST_WRONG_INTERFACE);
    CHECK_EQ(signal_bits(endpoint, 1), ST_WRONG_INTERFACE);
    no_method(object, HOSTILE_INTERFACE, 1);
    return 0;
}

static int64_t wrong_events(void)
{
    capos_cap_t note;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    CHECK_EQ(wait_events(note, 0), ST_BAD_ARGUMENT);
    for (unsigned bit = 7; bit < 16; bit++) {
        CHECK_EQ(wait_events(note, (uint16_t)(1u << bit)), ST_BAD_ARGUMENT);
    }
    CHECK_EQ(wait_events(note, CAPOS_EVENT_EXIT), ST_NO_METHOD);
    CHECK_EQ(wait_events(note, CAPOS_EVENT_NO_CLIENTS), ST_NO_METHOD);
    CHECK_EQ(wait_events(note, CAPOS_EVENT_SIGNALLED | CAPOS_EVENT_EXIT), ST_NO_METHOD);
    CHECK_EQ(wait_events(held("timer"), CAPOS_EVENT_SIGNALLED), ST_NO_METHOD);
    CHECK_EQ(wait_events(held("self"), CAPOS_EVENT_SIGNALLED), ST_NO_METHOD);
    for (unsigned bit = 4; bit < 7; bit++) {
        CHECK_EQ(wait_events(note, (uint16_t)(1u << bit)), ST_NO_METHOD);
    }
    CHECK_EQ(signal_bits(note, 1), ST_OK);
    CHECK_EQ(wait_events(note, CAPOS_EVENT_SIGNALLED), CAPOS_EVENT_SIGNALLED);
    return 0;
}

/* A subset can be made, never more, and never of what may not be handed on. */
static int64_t attenuate_up(void)
{
    capos_cap_t note, waiter, out;
    capos_cap_t manager = held("capabilities");
    struct usage before;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    CHECK_EQ(attenuate(manager, note, NotificationWaiter_FACET, &waiter), ST_OK);
    usage_now(&before);
    CHECK_EQ(attenuate(manager, waiter, 3, &out), ST_NO_METHOD);
    CHECK_EQ(attenuate(manager, waiter, UINT64_MAX, &out), ST_NO_METHOD);
    CHECK_EQ(attenuate(manager, note, UINT64_C(1) << 63, &out), ST_NO_METHOD);
    CHECK_EQ(attenuate(manager, note, 0, &out), ST_BAD_ARGUMENT);
    CHECK_EQ(attenuate(manager, held("ledger"), 1, &out), ST_NOT_TRANSFERABLE);
    CHECK_EQ(attenuate(manager, held("memory"), 1, &out), ST_NOT_TRANSFERABLE);
    CHECK_EQ(attenuate(manager, manager, 1, &out), ST_NOT_TRANSFERABLE);
    CHECK_USAGE(&before);
    CHECK_EQ(signal_bits(waiter, 1), ST_NO_METHOD);
    return 0;
}

/* With an empty start page there is nothing to be had: no id works, only the ring does. */
static int64_t empty_capset(void)
{
    uint64_t buffer[8];
    CHECK_EQ(capos_capset()->count, 0);
    for (uint64_t index = 0; index < 200; index++) {
        for (uint64_t generation = 0; generation < 4; generation++) {
            capos_cap_t id = generation << CAPOS_CAP_INDEX_BITS | index;
            CHECK_EQ(raw_do(CALL(id, Timer, now, NULL, 0, buffer, 64)).result, ST_BAD_CAP);
            CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_RELEASE, id)).result, ST_BAD_CAP);
        }
    }
    CHECK_EQ(raw_do(raw_sqe(CAPOS_OP_NOP, 0)).result, ST_OK);
    return 0;
}

#define ONE(held_) \
    { \
        { \
            .holds = HOLD_USUAL | (held_) \
        } \
    }
const struct hostile_case forged_cases[] = {
    CASE_WITH("cap.forged", forged_ids, "an id that was never given is refused by every opcode", 0),
    CASE_WITH("cap.beside", ids_beside, "no id is one bit away from another", 0),
    CASE_WITH("cap.stale", stale_ids, "a released id stays dead when its slot is used again", 0),
    CASE_WITH("cap.released", released_grants, "what was granted can be given up once, and is gone",
              0),
    CASE_WITH("cap.interface", wrong_interface, "a call must name the capability's own interface",
              HOLD_SELF),
    CASE_WITH("cap.facet", outside_facet, "no method outside the facet can be called", HOLD_SELF),
    CASE_WITH("cap.opcode-ordinal", opcode_ordinals,
              "an ordinal that stands for an opcode cannot be called", HOLD_SELF),
    CASE_WITH("cap.opcode-facet", opcodes_outside_facet, "an opcode needs its bit of the facet", 0),
    CASE_WITH("cap.events", wrong_events, "only events of the object can be waited for", HOLD_SELF),
    CASE_WITH("cap.attenuate", attenuate_up, "attenuation never adds a method", 0),
    {.name = "cap.empty",
     .sentence = "a process without capabilities can do nothing",
     .roles = {{.run = empty_capset, .holds = HOLD_NOTHING}}},
    {.name = NULL},
};
