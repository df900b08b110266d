/* SPDX-License-Identifier: MIT */
/*
 * A service that lies: whoever calls it gets answers that are none. It says it serves SystemControl.
 * shutdown is never answered, reboot ends it; every other call gets the next of its lies.
 */
#include "capos/print.h"
#include "capos/start.h"
#include "lib/base/string.h"
#include "siege.h"
#include "system_control.client.h"

enum { LONG_TEXT = 8000, TEXT_CONTROLS = 19 /* bytes of `controls` that are UTF-8 */ };

static uint64_t received[(CAPOS_MAX_MESSAGE_BYTES + 512) / 8];
static struct shot answer;

static const char controls[] = "\x1b[2J\x1b]0;owned\x07\xc2\x9b\xe2\x80\xae\xff\b\r\n\x7f";

static status_t reply(uint64_t call_id, unsigned exception, const void *message, uint32_t bytes,
                      unsigned caps)
{
    memset(&answer, 0, sizeof(answer));
    capos_op_init(&answer.op, CAPOS_OP_RETURN, 0);
    answer.op.transfers = answer.transfers;
    answer.op.sqe.interface = call_id;
    answer.op.sqe.method = (uint16_t)exception;
    load(&answer, message, bytes);
    for (unsigned i = 0; i < caps; i++) {
        attach(&answer, held("timer"), CAPOS_XFER_COPY);
    }
    return capos_op_run(&answer.op);
}

/* Services with names that steer, states that do not exist, and as many as fit or one. */
static uint32_t strange_services(unsigned count)
{
    struct capnp_builder builder;
    size_t bytes = 0;
    capnp_builder_init(&builder, message_room, 8192);
    SystemControl_services_results_b results = SystemControl_services_results_init(&builder);
    ServiceStatus_list_b list = SystemControl_services_results_init_services(results, count);
    for (unsigned i = 0; i < count; i++) {
        ServiceStatus_b status = ServiceStatus_list_b_at(list, i);
        ServiceStatus_set_state(status, (enum ServiceState)(i + 5));
        ServiceStatus_set_process_id(status, UINT64_MAX);
        ServiceStatus_set_last_exit_code(status, INT64_MIN);
        if (i == 0) {
            ServiceStatus_set_name(status, controls, TEXT_CONTROLS);
            ServiceStatus_set_last_end(status, controls, TEXT_CONTROLS);
        }
    }
    return capnp_finish(&builder, &bytes) == CAPNP_OK ? (uint32_t)bytes : 0;
}

static uint32_t noise(void)
{
    uint32_t words = 1 + (uint32_t)(chance() % 40);
    for (uint32_t i = 0; i < words; i++) {
        message_room[i] = chance() >> (chance() % 64);
    }
    /* Often a root of the right shape: one data word, one pointer, both noise. */
    if (chance() % 2 == 0) {
        message_room[0] = (uint64_t)1 << 32 | (uint64_t)1 << 48;
        message_room[2] = 1 | (chance() % 8) << 2 | (chance() % 8) << 32 | (chance() % 60) << 35;
    }
    return words * 8;
}

static status_t lie(uint64_t call_id, unsigned number)
{
    memset(message_room, 0, 512);
    switch (number % 12) {
    case 0:
        return reply(call_id, 0, message_room, 0, 0);
    case 1:
        return reply(call_id, 0, message_room, strange_services(1), 0);
    case 2:
        return reply(call_id, 0, message_room, strange_services(100), 0);
    case 3:
        memcpy(message_room, controls, sizeof(controls));
        return reply(call_id, 1 + number / 12 % 5, message_room, sizeof(controls) / 8 * 8 + 8, 0);
    case 4:
        memset(message_room, 'x', LONG_TEXT);
        return reply(call_id, CAPOS_EXC_FAILED, message_room, LONG_TEXT, 0);
    case 5:
        return reply(call_id, 0, message_room, 8, 1 + number / 12 % 4);
    case 6:
        return reply(call_id, 0, message_room, 8192, 0);
    case 7: /* more than the caller has room for */
        return reply(call_id, 0, message_room, CAPOS_MAX_MESSAGE_BYTES, 0);
    default:
        return reply(call_id, 0, message_room, noise(), 0);
    }
}

int liar_run(void)
{
    static uint64_t empty[2];
    for (unsigned number = 0;; number++) {
        struct capos_op receive;
        capos_op_init(&receive, CAPOS_OP_RECV, held("serve"));
        receive.sqe.result = (uintptr_t)received;
        receive.sqe.result_len = sizeof(received);
        receive.sqe.accept_count = 4;
        if (capos_op_run(&receive) < 0) {
            return 1;
        }
        const struct capos_received *call = (const struct capos_received *)(const void *)received;
        if (call->method == SystemControl_reboot_ORDINAL) {
            return 0;
        }
        /* What the kernel does not let through is answered with nothing. */
        if (call->method != SystemControl_shutdown_ORDINAL && lie(call->call_id, number) < 0) {
            (void)reply(call->call_id, 0, empty, 0, 0);
        }
    }
}
