/* SPDX-License-Identifier: MIT */
/*
 * Replacing a service while it is called. Beside the instance that serves (the fields of struct service) there is
 * `other`: first the successor, then, when they have changed places, the predecessor until it has ended.
 *
 *   UPGRADE_STARTING  the successor runs and has not asked yet (takeOver)            -> ASKED, or back
 *   UPGRADE_ASKED     the one that serves was answered its awaitHandover, and stops  -> MOVED, or back
 *   UPGRADE_MOVED     handed over; the successor starts like any instance, the other is being ended
 *
 * Until the kernel's HANDOVER the successor's failure changes nothing: the one that serves goes on. When that one
 * ends before, the successor is an instance that starts anew: then it is a restart.
 */
#include "capos/print.h"
#include "endpoint.client.h"
#include "init.h"
#include "ledger.client.h"
#include "lib/base/fmt.h"
#include "memory.client.h"
#include "process.client.h"
#include "supervisor.client.h"
#include "system_control.client.h"

enum { STATE_BYTES = 64 * 1024, NS_PER_MS = 1000000 };

static void change_places(struct service *s)
{
    struct instance serving = s->now;
    s->now = s->other;
    s->other = serving;
}

static void answer_upgrade(struct service *s, enum SystemControl_UpgradeOutcome outcome)
{
    struct capos_request *req = s->upgrade_request;
    if (req == NULL) {
        return;
    }
    s->upgrade_request = NULL;
    SystemControl_upgrade_results_b results =
        SystemControl_upgrade_results_init(capos_results_builder(req));
    SystemControl_upgrade_results_set_outcome(results, outcome);
    SystemControl_upgrade_reply(req);
}

void upgrade_is_over(struct service *s, bool well)
{
    s->upgrade = UPGRADE_NONE;
    capos_release(s->state_memory);
    s->state_memory = 0;
    capos_release(s->next_image);
    s->next_image = 0;
    answer_upgrade(s, well ? SYSTEM_CONTROL_UPGRADE_OUTCOME_DONE
                           : SYSTEM_CONTROL_UPGRADE_OUTCOME_FAILED);
}

static status_t open_program(struct service *s, struct capnp_text program)
{
    char payload[64];
    if (program.len == 0) {
        return ST_OK;
    }
    fmt_format(payload, sizeof(payload), "bin/%s", program.ptr);
    return payload_open(payload, &s->next_image, NULL);
}

/* The successor, in `other`. */
static status_t start_successor(struct service *s)
{
    capos_cap_t image = s->image;
    s->image = s->next_image != 0 ? s->next_image : image;
    change_places(s);
    s->now = (struct instance){.exit_slot = 1 - s->other.exit_slot};
    status_t status = service_start_instance(s);
    change_places(s);
    s->image = image;
    return status;
}

enum SystemControl_UpgradeOutcome upgrade_begin(struct service *s, struct capnp_text program)
{
    if (s->now.process == 0) {
        return SYSTEM_CONTROL_UPGRADE_OUTCOME_NOT_RUNNING;
    }
    if (s->state != SERVICE_STATE_READY || s->now.handover_request == NULL ||
        s->other.process != 0) {
        return SYSTEM_CONTROL_UPGRADE_OUTCOME_NOT_SUPPORTED;
    }
    status_t status = open_program(s, program);
    if (status == ST_OK) {
        status = Ledger_new_memory_object(init.ledger, STATE_BYTES, &s->state_memory);
    }
    if (status == ST_OK) {
        status = start_successor(s);
    }
    if (status != ST_OK) {
        capos_log("%s: no successor can be started: %s: %s", s->name, status_name(status),
                  status_text(status));
        upgrade_is_over(s, false);
        return SYSTEM_CONTROL_UPGRADE_OUTCOME_FAILED;
    }
    capos_log("%s: process %llu is to take over from %llu", s->name,
              (unsigned long long)s->other.process_id, (unsigned long long)s->now.process_id);
    s->upgrade = UPGRADE_STARTING;
    service_set_state(s, SERVICE_STATE_UPGRADING);
    s->deadline_ns = s->since_ns + (uint64_t)Service_get_ready_within_ms(s->r) * NS_PER_MS;
    return SYSTEM_CONTROL_UPGRADE_OUTCOME_DONE;
}

/* takeOver, kept or not, is answered: with what the predecessor wrote, or with nothing. */
static void answer_take_over(struct capos_request *req, capos_cap_t state, uint32_t bytes)
{
    Supervisor_take_over_results_b results =
        Supervisor_take_over_results_init(capos_results_builder(req));
    Supervisor_take_over_results_set_found(results, state != 0);
    if (state != 0) {
        Supervisor_take_over_results_set_state(results, capos_request_copy(req, state));
        Supervisor_take_over_results_set_bytes(results, bytes);
    }
    Supervisor_take_over_reply(req);
}

/* The one that serves is asked to stop and to write down what it knows. */
static void ask(struct service *s)
{
    struct capos_request *req = s->now.handover_request;
    s->now.handover_request = NULL;
    s->upgrade = UPGRADE_ASKED;
    Supervisor_await_handover_results_b results =
        Supervisor_await_handover_results_init(capos_results_builder(req));
    Supervisor_await_handover_results_set_state(results, capos_request_copy(req, s->state_memory));
    Supervisor_await_handover_results_set_room_bytes(results, STATE_BYTES);
    Supervisor_await_handover_reply(req);
}

enum capos_outcome upgrade_take_over(struct service *s, struct capos_request *req, bool is_other)
{
    if (is_other && s->upgrade == UPGRADE_STARTING) {
        s->other.take_over_request = req;
        ask(s);
    } else {
        answer_take_over(req, 0, 0);
    }
    return CAPOS_DEFERRED;
}

static status_t kernel_handover(const struct service *s)
{
    int32_t moved = 0;
    if (s->endpoint == 0) {
        return ST_OK;
    }
    do {
        struct capos_op op;
        capos_op_init(&op, CAPOS_OP_HANDOVER, s->endpoint);
        op.sqe.params = s->now.process;
        op.sqe.interface = s->other.process;
        moved = capos_op_run(&op);
    } while (moved > 0);
    return moved;
}

/* The successor is the service now, and starts as any instance does. */
static void promote(struct service *s)
{
    change_places(s);
    if (s->next_image != 0) {
        capos_release(s->image);
        s->image = s->next_image;
        s->next_image = 0;
    }
    service_set_state(s, SERVICE_STATE_STARTING);
    s->deadline_ns = s->since_ns + (uint64_t)Service_get_ready_within_ms(s->r) * NS_PER_MS;
}

enum capos_outcome upgrade_hand_over(struct service *s, struct capos_request *req, uint32_t bytes)
{
    struct capos_request *taker = s->other.take_over_request;
    if (s->upgrade != UPGRADE_ASKED || taker == NULL || bytes > STATE_BYTES) {
        return capos_fail(req, CAPOS_EXC_FAILED, "there is no successor any more; go on");
    }
    status_t status = kernel_handover(s);
    if (status != ST_OK) {
        capos_log("%s: handing over: %s", s->name, status_name(status));
        upgrade_give_up(s);
        return capos_fail(req, CAPOS_EXC_FAILED, "the kernel refuses it: %s", status_name(status));
    }
    s->other.take_over_request = NULL;
    promote(s);
    s->upgrade = UPGRADE_MOVED;
    answer_take_over(taker, s->state_memory, bytes);
    Supervisor_hand_over_reply(req);
    (void)ProcessHandle_terminate(s->other.process);
    return CAPOS_DEFERRED;
}

void upgrade_give_up(struct service *s)
{
    if (s->other.process != 0) {
        (void)ProcessHandle_terminate(s->other.process);
    }
}

void upgrade_advance(struct service *s)
{
    if (s->upgrade == UPGRADE_MOVED && s->state == SERVICE_STATE_READY && s->other.process == 0) {
        upgrade_is_over(s, true);
    }
}

void upgrade_other_ended(struct service *s)
{
    struct instance *other = &s->other;
    bool as_planned = s->upgrade == UPGRADE_MOVED || s->upgrade == UPGRADE_NONE;
    capos_log("%s: process %llu has ended%s", s->name, (unsigned long long)other->process_id,
              as_planned ? "" : " and does not take over");
    service_forget_instance(s, other);
    if (!as_planned) {
        if (s->state == SERVICE_STATE_UPGRADING) {
            service_set_state(s, SERVICE_STATE_READY);
        }
        upgrade_is_over(s, false);
    }
    upgrade_advance(s);
}

bool upgrade_serving_ended(struct service *s)
{
    if (s->upgrade != UPGRADE_STARTING && s->upgrade != UPGRADE_ASKED) {
        return false;
    }
    struct capos_request *taker = s->other.take_over_request;
    s->other.take_over_request = NULL;
    promote(s);
    s->restarts++;
    upgrade_is_over(s, false);
    if (taker != NULL) {
        answer_take_over(taker, 0, 0);
    }
    return true;
}
